//! The payloads that the benches convert. In: a name. Out: JSON text, its schema, its message, and its protobuf bytes.
//! Always: the same bytes in every run; a payload that is handed out has been converted both ways and found right.

mod synthetic;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use transom_engine::{Message, Schema, to_json, to_wire};

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

impl BenchSchema {
    /// Compiles `protos/test/bench.proto`.
    ///
    /// # Panics
    /// When the file of this repository does not compile.
    pub fn load() -> Self {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
        let mut compiler =
            protox::Compiler::new([directory]).expect("the directory is part of the repository");
        compiler
            .include_imports(true)
            .open_file("bench.proto")
            .expect("the file is part of the repository");
        let set = compiler.encode_file_descriptor_set();
        Self {
            schema: Schema::from_descriptor_set(&set)
                .expect("the file holds nothing that is refused"),
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
    /// Brings a workload into both forms. Checks that prost-reflect finds in our protobuf what the text says, and in our JSON too.
    ///
    /// # Panics
    /// When the engine's answer is not the one that was expected.
    pub fn checked(schema: &'s BenchSchema, workload: &Workload) -> Self {
        let name = workload.name;
        let descriptor = schema
            .pool
            .get_message_by_name(workload.message)
            .expect("every workload names a message of the files");
        let read = |text: &[u8]| {
            let mut parser = serde_json::Deserializer::from_slice(text);
            DynamicMessage::deserialize(descriptor.clone(), &mut parser).expect("the text is valid")
        };
        let original = read(workload.json.as_bytes());
        let json = serde_json::to_string(&original).expect("the message has a JSON form");
        let expected: Value = serde_json::from_str(&json).expect("serde_json reads what it wrote");

        let message = schema
            .schema
            .message(workload.message)
            .expect("the workload's message");
        let mut wire = Vec::new();
        let mut scratch = to_wire::Scratch::default();
        to_wire(message, json.as_bytes(), &mut scratch, &mut wire).expect("the workload is valid");
        let decoded = DynamicMessage::decode(descriptor.clone(), wire.as_slice())
            .expect("our wire bytes decode");
        // By way of text, as the workload came: serde_json does not read every fraction to the nearest double, but the same one each time.
        let text = serde_json::to_string(&decoded).expect("the message has a JSON form");
        let found: Value = serde_json::from_str(&text).expect("serde_json reads what it wrote");
        assert_eq!(found, expected, "{name}: to_wire");

        let wire = decoded.encode_to_vec();
        let mut json_again = Vec::new();
        let mut scratch = to_json::Scratch::default();
        to_json(message, &wire, &mut scratch, &mut json_again)
            .expect("the wire bytes convert back");
        let found = serde_json::to_value(read(&json_again)).expect("the message has a JSON form");
        assert_eq!(found, expected, "{name}: to_json");
        Self {
            name,
            message,
            descriptor,
            json,
            wire,
        }
    }
}
