//! Protobuf to JSON, driven by the plan. In: the bytes of one message. Out: JSON text, appended to the caller's buffer.
//! Always: fields come in the order of their numbers (SEMANTICS 105); what the wire gives twice is merged as protobuf says;
//! after an error the buffer is as before; time is linear in the input, but for sorting and for groups in groups.
//!
//! Encoders write fields in the order of their numbers, so `message` first writes a message as it reads it. When a field
//! comes that should have come before, what was written of that message is dropped, and `collected` lists its fields, sorts the
//! list and writes from there. To keep a hostile nest of such messages from being written again at each level, the bytes that
//! may be written twice are bounded by the length of the input; beyond that everything starts over, listed first throughout.

mod collected;
mod cut;
mod map;
mod message;
mod message_set;
mod pieces;
#[cfg(test)]
mod tests;
mod value;
mod well_known;

pub use pieces::Pieces;

use crate::error::{Error, ErrorKind};
use crate::limits::JSON_LEN_MAX;
use crate::plan::{FieldIndex, Int64Style, Message, MessageIndex, Plan};
use collected::Entry;
use map::MapEntry;
use message::Content;

/// Memory that [`to_json()`] works with; keep one per thread and reuse it.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A stack: what each message that is being written has listed, one after the other.
    entries: Vec<Entry>,
    /// A stack: the entries of each map that is being written.
    map_entries: Vec<MapEntry>,
    /// By oneof, while one message is listed.
    members: Vec<collected::Member>,
    /// What a message in pieces needs from one to the next.
    pieces: pieces::Memory,
}

/// Entries that a scratch keeps room for between messages; what a rare large one needed is given back.
const ENTRY_COUNT_KEPT: usize = 1 << 16;

/// Converts the protobuf bytes of one message to JSON, which is appended to `out`: compact, in the order of the field numbers, by the
/// [`Options`](crate::Options) of the schema (SEMANTICS 99 to 108). Any legal wire order is read; fields that the schema does not know are left out.
///
/// The text may be far longer than the message (unset fields are written by default), up to [`JSON_LEN_MAX`]. Bytes that come in parts go through
/// [`Pieces`].
///
/// # Errors
/// When the bytes are no valid protobuf, nest too deep, or hold what has no JSON form: text that is no UTF-8 (SEMANTICS 106), a
/// timestamp or duration out of range, a number in a `Value` that is not finite, an `Any` of unknown type (SEMANTICS 102 to 104), or
/// when the text would be longer than [`JSON_LEN_MAX`]. `out` is then as before.
///
/// # Examples
/// ```
/// use prost::Message as _;
/// use transom_engine::{Schema, to_json};
///
/// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
/// let files = protox::compile(["kinds.proto"], [folder])?;
/// let schema = Schema::from_descriptor_set(&files.encode_to_vec())?;
/// let message = schema.message("transom.test.v1.Nested").expect("it is in the file");
///
/// let mut scratch = to_json::Scratch::default();
/// let mut out = Vec::new();
/// // Field 2, given before field 1 and again after it.
/// to_json(message, b"\x10\x01\x0a\x02hi\x10\x05", &mut scratch, &mut out).expect("it is valid");
/// assert_eq!(out, br#"{"name":"hi","count":5,"children":[]}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_json(
    message: Message<'_>,
    wire: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    convert(message.plan, wire, false, scratch, out, |converter| {
        converter.message(message.index, Content::whole(wire), 1)
    })
}

/// Converts one field of a message, to stand alone as a whole HTTP body (`response_body`).
///
/// SEMANTICS 108: an unset scalar is its default, an unset list `[]`, map or message `{}`, and an unset well-known type whose JSON
/// is no object `null`.
///
/// # Errors
/// As [`to_json()`].
pub(crate) fn field_to_json(
    plan: &Plan,
    message: MessageIndex,
    field: FieldIndex,
    wire: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    convert(plan, wire, false, scratch, out, |converter| {
        converter.lone_field(message, field, Content::whole(wire))
    })
}

/// Converts a `google.protobuf.Any` inside an error detail: what cannot be resolved or read becomes its type and base64
/// (SEMANTICS 117).
///
/// # Errors
/// When the bytes are no `Any`, or its type URL is no text.
pub(crate) fn any_to_json(
    plan: &Plan,
    wire: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    convert(plan, wire, true, scratch, out, |converter| {
        converter.any(Content::whole(wire), 1)
    })
}

fn convert<'c>(
    plan: &'c Plan,
    wire: &'c [u8],
    is_lenient: bool,
    scratch: &'c mut Scratch,
    out: &'c mut Vec<u8>,
    write: impl Fn(&mut Converter<'c>) -> Result<(), Stop>,
) -> Result<(), Error> {
    if u32::try_from(wire.len()).is_err() {
        return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
    }
    let start = out.len();
    scratch.clear();
    let mut converter = Converter {
        plan,
        wire,
        scratch,
        out,
        int64: plan.options.int64,
        sorts_map_keys: plan.options.sort_map_keys,
        is_lenient,
        is_careful: false,
        redo_len_left: wire.len(),
        out_len_max: start.saturating_add(JSON_LEN_MAX),
    };
    let mut done = write(&mut converter);
    // A value without a JSON form may only be the first piece of one that has it.
    if let Err(
        Stop::OutOfOrder(_)
        | Stop::Fault(Error {
            kind: ErrorKind::WireUnprintable(_),
            ..
        }),
    ) = done
    {
        converter.out.truncate(start);
        converter.scratch.clear();
        converter.is_careful = true;
        done = write(&mut converter);
    }
    converter.scratch.clear();
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Fault(error)) => {
            converter.out.truncate(start);
            Err(error)
        }
        // A careful converter lists everything first, so nothing can be out of order; the fault would be ours.
        Err(Stop::OutOfOrder(offset)) => {
            debug_assert!(false, "a careful converter met a field out of order");
            converter.out.truncate(start);
            Err(Error::reply(ErrorKind::WireTag, offset))
        }
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(ENTRY_COUNT_KEPT);
        self.map_entries.clear();
        self.map_entries.shrink_to(ENTRY_COUNT_KEPT);
    }
}

/// One conversion: what it reads, where it writes, what it has been told.
struct Converter<'c> {
    plan: &'c Plan,
    wire: &'c [u8],
    scratch: &'c mut Scratch,
    out: &'c mut Vec<u8>,
    int64: Int64Style,
    sorts_map_keys: bool,
    /// Whether an `Any` that cannot be resolved or read is written as base64.
    is_lenient: bool,
    /// Whether every message is listed before it is written.
    is_careful: bool,
    /// Bytes that may still be written a second time. `redo_len_left <= wire.len()`.
    redo_len_left: usize,
    /// Bytes of output behind which no further message or element begins.
    out_len_max: usize,
}

/// Why a conversion stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Fault(Error),
    /// At this byte a field came that the way of writing in order cannot take.
    OutOfOrder(usize),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}
