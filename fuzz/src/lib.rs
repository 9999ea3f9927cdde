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
mod json;
mod query;
mod schema;
mod template;

use std::io;

pub use conversion::{round_trip, to_json, to_wire};
pub use descriptor::descriptor;
pub use grpc::grpc;
pub use http::{http1, reply, request};
pub use json::json;
pub use query::query;
pub use schema::MESSAGES;
pub use template::template;

/// What an input is given to.
pub type Body = fn(&[u8]);

/// Every body by the name of its target, which is the name of its corpus.
pub const BODIES: [(&str, Body); 11] = [
    ("to_wire", to_wire),
    ("to_json", to_json),
    ("round_trip", round_trip),
    ("json", json),
    ("http1", http1),
    ("request", request),
    ("reply", reply),
    ("template", template),
    ("query", query),
    ("grpc", grpc),
    ("descriptor", descriptor),
];

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
