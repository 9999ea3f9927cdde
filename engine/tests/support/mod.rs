//! What several tests of the engine need: the schemas of `protos/test`, and wire bytes as text.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod counting;
pub(crate) mod notation;
pub(crate) mod texts;
pub(crate) mod worst;

use prost::Message as _;
use transom_engine::{Options, Schema};

/// The folder of the test schemas.
pub(crate) const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");

/// `kinds.proto` and `proto2.proto` with what they import, as an encoded descriptor set.
pub(crate) fn descriptor_set() -> Vec<u8> {
    protox::compile(["kinds.proto", "proto2.proto"], [PROTOS])
        .expect("the test schemas compile")
        .encode_to_vec()
}

/// The test schemas, compiled with these options.
pub(crate) fn schema(options: Options) -> Schema {
    Schema::compile(&descriptor_set(), &options).expect("the test schemas have plans")
}

/// `rules.proto` with what it imports, as an encoded descriptor set.
pub(crate) fn rules() -> Vec<u8> {
    let google = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    // Not `protox::compile`: the types of prost that it returns have no room for the rules.
    protox::Compiler::new([PROTOS, google])
        .and_then(|mut compiler| {
            compiler.include_imports(true).open_file("rules.proto")?;
            Ok(compiler.encode_file_descriptor_set())
        })
        .expect("the test schemas compile")
}
