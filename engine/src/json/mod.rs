//! JSON text: reading it and writing it. In: bytes. Out: tokens, numbers, strings. Always: knows nothing of protobuf or plans.
//!
//! What is read is RFC 8259 to the letter (SEMANTICS 97): what another parser would let pass is refused, in values that are
//! skipped too, so that no two readers of one body can differ about what it says.

mod border;
mod cursor;
mod decimal;
mod digits;
mod indent;
mod locate;
pub(crate) mod number;
mod raw;
mod scan;
pub(crate) mod short;
mod skip;
mod snippet;
mod string;
pub(crate) mod write;

pub(crate) use border::Border;
pub(crate) use cursor::Cursor;
pub(crate) use indent::indent;
pub(crate) use locate::{Found, Step, found_at, steps_to};
pub(crate) use raw::{LABEL_LEN_MAX, LABEL_ROOM, Slot, Text};
pub(crate) use snippet::Snippet;
pub(crate) use string::JsonString;
