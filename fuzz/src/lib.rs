//! What must hold for any bytes at all. In: bytes of nobody's making. Out: nothing, or a panic that says which promise was broken.
//! Always: a body reads its input to the end in bounded time and memory, and depends on nothing else; schemas are compiled once.
//!
//! Each body is a plain function, run by a libFuzzer target of its name, and over `corpus/` by `cargo test`.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic where a promise is broken is what they are for"
)]

mod conversion;
mod descriptor;
mod grpc;
mod http;
mod http2;
mod json;
mod pieces;
mod query;
#[path = "../../engine/tests/support/random/mod.rs"]
mod random;
mod schema;
mod streams;
mod template;

use std::io;

pub use conversion::{round_trip, to_json, to_wire};
pub use descriptor::descriptor;
pub use grpc::grpc;
pub use http::{http1, reply, request};
pub use http2::http2;
pub use json::json;
pub use pieces::{to_json_pieces, to_wire_pieces};
pub use query::query;
pub use schema::MESSAGES;
pub use streams::{UPLOADS, client_stream, server_stream};
pub use template::template;

/// What an input is given to.
pub type Body = fn(&[u8]);

/// Every body by the name of its target, which is the name of its corpus.
pub const BODIES: [(&str, Body); 17] = [
    ("to_wire", to_wire),
    ("to_json", to_json),
    ("round_trip", round_trip),
    ("to_wire_pieces", to_wire_pieces),
    ("to_json_pieces", to_json_pieces),
    ("json", json),
    ("schema", random_schema),
    ("descriptor", descriptor),
    ("http1", http1),
    ("http2", http2),
    ("request", request),
    ("reply", reply),
    ("client_stream", client_stream),
    ("server_stream", server_stream),
    ("template", template),
    ("query", query),
    ("grpc", grpc),
];

/// Bytes that choose a message of a random schema.
const MESSAGE_CHOICES: usize = 96;

/// Messages of a schema, all of them random: twice as many bytes as the first says choose the schema, the others the messages. Too few
/// bytes would all be the one schema that is the simplest. To compile a schema takes far longer than to check a message of it.
pub fn random_schema(input: &[u8]) {
    let Some((&len, choices)) = input.split_first().filter(|_| input.len() > 4) else {
        return;
    };
    let (schema, messages) = choices.split_at((usize::from(len) * 2).min(choices.len()));
    let schema = random::RandomSchema::new(&mut random::Choices::new(schema));
    let compiled = random::check::Compiled::new(&schema);
    for message in messages.chunks(MESSAGE_CHOICES) {
        random::check::check(&schema, &compiled, &mut random::Choices::new(message));
    }
}

/// Runs `body` on each file that the command line names.
///
/// # Errors
/// When a file cannot be read.
pub fn replay_arguments(body: Body) -> io::Result<()> {
    for path in std::env::args_os().skip(1) {
        body(&std::fs::read(path)?);
    }
    Ok(())
}
