//! What must hold for any bytes at all. In: bytes of nobody's making. Out: nothing, or a panic that says which promise was broken.
//! Always: a body reads its input to the end in bounded time and memory, and depends on nothing else; schemas are compiled once.
//!
//! Each body is a plain function, run by a libFuzzer target of its name, and over `corpus/` by `cargo test`.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic where a promise is broken is what they are for"
)]

mod conversion;
mod http;
mod pieces;
mod schema;
mod template;

use std::io;

pub use conversion::{round_trip, to_json, to_wire};
pub use http::{http1, reply, request};
pub use pieces::{to_json_pieces, to_wire_pieces};
pub use schema::MESSAGES;
pub use template::template;

/// What an input is given to.
pub type Body = fn(&[u8]);

/// Every body by the name of its target, which is the name of its corpus.
pub const BODIES: [(&str, Body); 9] = [
    ("to_wire", to_wire),
    ("to_json", to_json),
    ("round_trip", round_trip),
    ("http1", http1),
    ("request", request),
    ("reply", reply),
    ("template", template),
    ("to_wire_pieces", to_wire_pieces),
    ("to_json_pieces", to_json_pieces),
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
