//! The testee of protobuf's official conformance suite. In: length-prefixed `ConformanceRequest`s on standard input. Out: a
//! `ConformanceResponse` for each, the same way, on standard output. Always: what converts is the public engine, on a
//! schema compiled from a descriptor set; what the engine has no path for is answered with `skipped`, never with a guess.
//! SEMANTICS 98.
//!
//! `engine/tests/conformance/run.sh` fetches the runner and starts it with this program.

mod unknown_fields;

use std::error::Error;
use std::io::{ErrorKind, Read, Write};

use prost::Message as _;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use transom_engine::error::{Context, ErrorKind as Fault};
use transom_engine::{Defaults, Message, Options, Schema, UnknownEnumNames, to_json, to_wire};
use unknown_fields::UnknownFields;

/// The files of the suite's messages, in `protos/conformance`.
const FILES: [(&str, &str); 2] = [
    (
        "google/protobuf/test_messages_proto2.proto",
        include_str!("../../../protos/conformance/google/protobuf/test_messages_proto2.proto"),
    ),
    (
        "google/protobuf/test_messages_proto3.proto",
        include_str!("../../../protos/conformance/google/protobuf/test_messages_proto3.proto"),
    ),
];

/// Those of them that are of an edition, which no compiler in reach of Cargo reads; `protos/README.md` says how they were compiled.
const EDITIONS: &[u8] = include_bytes!("../../../protos/conformance/editions.binpb");

/// The longest request that is read, in bytes. The suite's are far below.
const REQUEST_LEN_MAX: u32 = 64 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut testee = Testee::new()?;
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    while let Some(request) = read_request(&mut input)? {
        let answer = Some(testee.answer(&request));
        let response = ConformanceResponse { answer }.encode_to_vec();
        output.write_all(&u32::try_from(response.len())?.to_le_bytes())?;
        output.write_all(&response)?;
        output.flush()?;
    }
    Ok(())
}

/// Reads one request, or nothing at the end of the input.
fn read_request(input: &mut impl Read) -> Result<Option<ConformanceRequest>, Box<dyn Error>> {
    let mut len = [0; 4];
    match input.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let len = u32::from_le_bytes(len);
    if len > REQUEST_LEN_MAX {
        return Err(format!("a request of {len} bytes; at most {REQUEST_LEN_MAX} are read").into());
    }
    let mut bytes = vec![0; len as usize];
    input.read_exact(&mut bytes)?;
    Ok(Some(ConformanceRequest::decode(bytes.as_slice())?))
}

/// What is kept from request to request.
struct Testee {
    /// Refuses JSON that names what the schema lacks.
    strict: Schema,
    /// Ignores it (SEMANTICS 78, 84).
    ignoring: Schema,
    unknown_fields: UnknownFields,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    to_wire: to_wire::Scratch,
    to_json: to_json::Scratch,
}

impl Testee {
    fn new() -> Result<Self, Box<dyn Error>> {
        let descriptors = descriptor_set()?;
        // The suite's form of JSON leaves unset fields out (SEMANTICS 100).
        let strict = Options {
            defaults: Defaults::Omit,
            reject_unknown_fields: true,
            ..Options::default()
        };
        let ignoring = Options {
            reject_unknown_fields: false,
            unknown_enum_names: UnknownEnumNames::Drop,
            ..strict
        };
        Ok(Self {
            strict: Schema::compile(&descriptors, &strict)?,
            ignoring: Schema::compile(&descriptors, &ignoring)?,
            unknown_fields: UnknownFields::new(&descriptors)?,
            scratch: Scratch::default(),
        })
    }

    fn answer(&mut self, request: &ConformanceRequest) -> Answer {
        // The runner asks first for a list of failures to expect: none, the list is a file.
        if request.message_type == "conformance.FailureSet" {
            return Answer::Protobuf(Vec::new());
        }
        let schema = if request.test_category == JSON_IGNORE_UNKNOWN_PARSING_TEST {
            &self.ignoring
        } else {
            &self.strict
        };
        let Some(message) = schema.message(&request.message_type) else {
            return Answer::RuntimeError(format!("no message is called {}", request.message_type));
        };
        let converted = match (&request.payload, request.requested_output_format) {
            (Some(Payload::Json(json)), PROTOBUF) => {
                from_json(message, json, &mut self.scratch).map(Answer::Protobuf)
            }
            (Some(Payload::Json(json)), JSON) => from_json(message, json, &mut self.scratch)
                .and_then(|wire| reprinted(message, &wire, &mut self.scratch))
                .map(Answer::Json),
            (Some(Payload::Protobuf(wire)), JSON) => {
                from_protobuf(message, wire, &mut self.scratch).map(Answer::Json)
            }
            // By way of JSON, which is the only one there is; unknown fields have no form in it (SEMANTICS 107).
            (Some(Payload::Protobuf(wire)), PROTOBUF) => {
                match from_protobuf(message, wire, &mut self.scratch) {
                    Ok(_) if self.unknown_fields.are_in(&request.message_type, wire) => {
                        return skipped("the engine has no path that keeps unknown fields");
                    }
                    read => read
                        .and_then(|json| reread(message, &json, &mut self.scratch))
                        .map(Answer::Protobuf),
                }
            }
            _ => return skipped("the engine converts JSON and protobuf only"),
        };
        converted.unwrap_or_else(|failure| failure)
    }
}

/// The runner's JSON as protobuf.
fn from_json(message: Message<'_>, json: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, Answer> {
    let mut wire = Vec::new();
    to_wire(message, json, &mut scratch.to_wire, &mut wire)
        .map_err(|error| Answer::ParseError(in_words(error, json)))?;
    Ok(wire)
}

/// The runner's protobuf as JSON.
fn from_protobuf(
    message: Message<'_>,
    wire: &[u8],
    scratch: &mut Scratch,
) -> Result<Vec<u8>, Answer> {
    let mut json = Vec::new();
    to_json(message, wire, &mut scratch.to_json, &mut json).map_err(|error| {
        let text = in_words(error, b"");
        match error.kind {
            // The message is valid, but JSON cannot say it.
            Fault::WireUnprintable(_) => Answer::SerializeError(text),
            _ => Answer::ParseError(text),
        }
    })?;
    Ok(json)
}

/// Our own protobuf as JSON: a fault in it is never one of the input.
fn reprinted(message: Message<'_>, wire: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, Answer> {
    let mut json = Vec::new();
    to_json(message, wire, &mut scratch.to_json, &mut json)
        .map_err(|error| Answer::SerializeError(in_words(error, b"")))?;
    Ok(json)
}

/// Our own JSON as protobuf: a fault in it is never one of the input.
fn reread(message: Message<'_>, json: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, Answer> {
    let mut wire = Vec::new();
    to_wire(message, json, &mut scratch.to_wire, &mut wire)
        .map_err(|error| Answer::SerializeError(in_words(error, json)))?;
    Ok(wire)
}

fn in_words(error: transom_engine::Error, json: &[u8]) -> String {
    let context = Context {
        body: json,
        ..Context::default()
    };
    let mut text = String::new();
    error.write_text(&context, &mut text);
    text
}

fn skipped(reason: &str) -> Answer {
    Answer::Skipped(reason.to_owned())
}

/// The suite's messages as an encoded `google.protobuf.FileDescriptorSet`.
fn descriptor_set() -> Result<Vec<u8>, protox::Error> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(SuiteFiles);
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for (name, _) in FILES {
        compiler.open_file(name)?;
    }
    // Sets laid end to end are one set.
    let mut set = compiler.encode_file_descriptor_set();
    set.extend_from_slice(EDITIONS);
    Ok(set)
}

/// Finds [`FILES`].
struct SuiteFiles;

impl FileResolver for SuiteFiles {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match FILES.iter().find(|(each, _)| *each == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// `WireFormat.PROTOBUF`
const PROTOBUF: i32 = 1;
/// `WireFormat.JSON`
const JSON: i32 = 2;
/// `TestCategory.JSON_IGNORE_UNKNOWN_PARSING_TEST`
const JSON_IGNORE_UNKNOWN_PARSING_TEST: i32 = 3;

/// `conformance.ConformanceRequest` of `conformance/conformance.proto`, as far as it is read here.
#[derive(Clone, PartialEq, prost::Message)]
struct ConformanceRequest {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    requested_output_format: i32,
    #[prost(string, tag = "4")]
    message_type: String,
    #[prost(int32, tag = "5")]
    test_category: i32,
}

/// What is to be converted. Texts are bytes here, since it is for the engine to refuse what is no UTF-8.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(bytes, tag = "1")]
    Protobuf(Vec<u8>),
    #[prost(bytes, tag = "2")]
    Json(Vec<u8>),
    #[prost(bytes, tag = "7")]
    Jspb(Vec<u8>),
    #[prost(bytes, tag = "8")]
    Text(Vec<u8>),
}

/// `conformance.ConformanceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct ConformanceResponse {
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4, 5, 6")]
    answer: Option<Answer>,
}

/// The `result` of a response.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(string, tag = "2")]
    RuntimeError(String),
    #[prost(bytes, tag = "3")]
    Protobuf(Vec<u8>),
    /// Bytes that are text: what the engine writes is for the runner to judge.
    #[prost(bytes, tag = "4")]
    Json(Vec<u8>),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}
