//! The payloads that the benches convert. In: a name. Out: JSON text, its schema, its message, and its protobuf bytes.
//! Always: the same bytes in every run; a payload that is handed out has been converted both ways and found right.

mod published;
mod sequence;
mod synthetic;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use transom_engine::{Defaults, Message, Options, Schema, to_json, to_wire};

pub use published::published;
pub use synthetic::synthetic;

/// A message type and a text for it.
#[derive(Debug)]
pub struct Workload {
    /// What the tables call it.
    pub name: &'static str,
    /// Full name of the message.
    pub message: &'static str,
    /// Compact JSON.
    pub json: String,
}

/// The schema of all payloads, for the engine and for the yardsticks.
#[derive(Debug)]
pub struct BenchSchema {
    /// Compiled for the engine.
    pub schema: Schema,
    /// For yardsticks that work by descriptors.
    pub pool: DescriptorPool,
}

/// Where the files are, and what they import.
const FOLDERS: [&str; 4] = [
    "protos/test",
    "protos/published",
    "protos/test/etcd",
    "protos",
];

/// The messages of the payloads, and those that are inside of an `Any`.
const FILES: [&str; 9] = [
    "bench.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
    "google/longrunning/operations.proto",
    "google/type/postal_address.proto",
    "google/logging/v2/logging.proto",
    "google/monitoring/v3/metric_service.proto",
    "google/firestore/v1/document.proto",
    "etcd/api/etcdserverpb/rpc.proto",
];

impl BenchSchema {
    /// Compiles the files of all payloads.
    ///
    /// # Panics
    /// When the files of this repository do not compile.
    pub fn load() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let folders = FOLDERS.map(|folder| format!("{root}/{folder}"));
        let mut compiler =
            protox::Compiler::new(folders).expect("the folders are part of the repository");
        compiler
            .include_imports(true)
            .open_files(FILES)
            .expect("the files are part of the repository");
        // What the yardsticks write: fields that are set, and no others.
        let options = Options {
            defaults: Defaults::Omit,
            ..Options::default()
        };
        Self {
            schema: Schema::compile(&compiler.encode_file_descriptor_set(), &options)
                .expect("the files hold nothing that is refused"),
            pool: compiler.descriptor_pool(),
        }
    }
}

/// A workload in both forms.
#[derive(Debug)]
pub struct Payload<'s> {
    /// What the tables call it.
    pub name: &'static str,
    /// The message, as the engine has it.
    pub message: Message<'s>,
    /// The message, as prost-reflect has it.
    pub descriptor: MessageDescriptor,
    /// Compact JSON, its members in the order of the fields, as nearly everything writes them.
    pub json: String,
    /// What the text is in protobuf, as prost writes it.
    pub wire: Vec<u8>,
}

impl<'s> Payload<'s> {
    /// Brings a workload into both forms: the text with its members in the order of the fields, and the bytes that prost would write.
    /// The engine does that, since prost-reflect writes maps in another order in each run; prost-reflect says whether it is right.
    ///
    /// # Panics
    /// When the engine's answer is not the one that was expected.
    pub fn checked(schema: &'s BenchSchema, workload: &Workload) -> Self {
        let name = workload.name;
        let message = schema
            .schema
            .message(workload.message)
            .expect("every workload names a message of the files");
        let to_wire = |json: &str| {
            let mut wire = Vec::new();
            let mut scratch = to_wire::Scratch::default();
            to_wire(message, json.as_bytes(), &mut scratch, &mut wire)
                .unwrap_or_else(|error| unreachable!("{name}: {error}"));
            wire
        };
        let mut json = Vec::new();
        let wire = to_wire(&workload.json);
        to_json(message, &wire, &mut to_json::Scratch::default(), &mut json)
            .unwrap_or_else(|error| unreachable!("{name}: {error}"));
        let json = String::from_utf8(json).expect("JSON is text");
        let wire = to_wire(&json);

        let payload = Self {
            name,
            message,
            descriptor: schema
                .pool
                .get_message_by_name(workload.message)
                .expect("both have the same files"),
            json,
            wire,
        };
        let given = payload.meaning(&workload.json);
        assert_eq!(payload.meaning(&payload.json), given, "{name}: to_json");
        let prost_len = payload.read_wire(&payload.wire).encoded_len();
        assert_eq!(payload.wire.len(), prost_len, "{name}: to_wire");
        payload.check_wire(&payload.wire, name);
        payload
    }

    /// Checks that protobuf says what the payload says.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_wire(&self, wire: &[u8], who: &str) {
        // By way of text, as the payload came: serde_json does not read every fraction to the nearest double, but the same one each time.
        let found = serde_json::to_string(&self.read_wire(wire)).expect("it has a JSON form");
        self.check_json(found.as_bytes(), who);
    }

    /// Checks that JSON says what the payload says.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_json(&self, json: &[u8], who: &str) {
        let found = str::from_utf8(json).expect("JSON is text");
        assert!(
            self.meaning(found) == self.meaning(&self.json),
            "{}: {who} says {found}",
            self.name
        );
    }

    /// What prost-reflect finds in JSON, whatever the order of its members.
    fn meaning(&self, json: &str) -> Value {
        let mut parser = serde_json::Deserializer::from_str(json);
        let message = DynamicMessage::deserialize(self.descriptor.clone(), &mut parser)
            .unwrap_or_else(|error| unreachable!("{}: {error}", self.name));
        serde_json::to_value(&message).expect("the message has a JSON form")
    }

    /// What prost-reflect finds in protobuf.
    fn read_wire(&self, wire: &[u8]) -> DynamicMessage {
        DynamicMessage::decode(self.descriptor.clone(), wire)
            .unwrap_or_else(|error| unreachable!("{}: {error}", self.name))
    }
}
