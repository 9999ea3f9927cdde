//! Protobuf to JSON, driven by the plan. In: the bytes of one message. Out: JSON text, appended to the caller's buffer.
//! Always: fields come in the order of their numbers (SEMANTICS 105); what the wire gives twice is merged as protobuf says;
//! after an error the buffer is as before; time is linear in the input, but for sorting.
//!
//! Encoders write fields in the order of their numbers, so `message` first writes a message as it reads it. When a field
//! comes that should have come before, what was written of that message is dropped, and `collected` lists its fields, sorts the
//! list and writes from there. To keep a hostile nest of such messages from being written again at each level, the bytes that
//! may be written twice are bounded by the length of the input; beyond that everything starts over, listed first throughout.

mod collected;
mod cut;
mod groups;
mod in_order;
mod map;
mod message;
mod message_set;
mod pieces;
#[cfg(test)]
mod tests;
mod value;
mod well_known;

pub use pieces::{Paused, Pieces};

use crate::error::{Error, ErrorKind};
use crate::json;
use crate::limits::JSON_LEN_MAX;
use crate::plan::{FieldIndex, Message, MessageIndex, Plan};
use crate::text::utf8;
use collected::Entry;
use groups::Groups;
use map::MapEntry;
use message::Content;

/// Memory that [`to_json()`] works with; keep one per thread and reuse it.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A stack: what each message that is being written has listed, one after the other.
    entries: Vec<Entry>,
    /// A stack: the entries of each map that is being written.
    map_entries: Vec<MapEntry>,
    /// Where groups end that are being written.
    groups: Groups,
    /// By oneof, while one message is listed.
    members: Vec<collected::Member>,
    /// Compact JSON that is about to be indented.
    compact: Vec<u8>,
    /// What a message in pieces needs from one to the next.
    pieces: pieces::Memory,
}

/// Entries, and bytes, that a scratch keeps room for between messages; what a rare large one needed is given back.
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
    let start = out.len();
    to_line(message, wire, scratch, out)?;
    indent(message.plan, start, scratch, out)
}

/// The same on one line, whatever the options say: where lines are for another purpose.
///
/// # Errors
/// As [`to_json()`].
#[inline]
pub(crate) fn to_line(
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
    let start = out.len();
    field_to_line(plan, message, field, wire, scratch, out)?;
    indent(plan, start, scratch, out)
}

/// The same on one line.
///
/// # Errors
/// As [`to_json()`].
#[inline]
pub(crate) fn field_to_line(
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

/// Puts what has been written from `start` on on lines, if that is wanted: a second pass, since who reads lines is in no hurry.
#[inline(always)]
fn indent(
    plan: &Plan,
    start: usize,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match plan.options.indent {
        None => Ok(()),
        Some(width) => put_on_lines(width, start, scratch, out),
    }
}

#[cold]
#[inline(never)]
fn put_on_lines(
    width: u8,
    start: usize,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let compact = &mut scratch.compact;
    compact.clear();
    compact.extend_from_slice(out.get(start..).unwrap_or_default());
    out.truncate(start);
    let is_whole = json::indent(compact, width, JSON_LEN_MAX, out);
    compact.clear();
    compact.shrink_to(ENTRY_COUNT_KEPT);
    if !is_whole {
        out.truncate(start);
        return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
    }
    Ok(())
}

fn convert(
    plan: &Plan,
    wire: &[u8],
    is_lenient: bool,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
    write: impl Fn(&mut Converter<'_>) -> Result<(), Stopped>,
) -> Result<(), Error> {
    if u32::try_from(wire.len()).is_err() {
        return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
    }
    let mut converter = Converter {
        plan,
        wire,
        scratch,
        out_len_max: out.len().saturating_add(JSON_LEN_MAX),
        out,
        redo_len_left: wire.len(),
        stop: Stop::OutOfOrder,
        is_lenient,
        is_careful: false,
        has_high_bits: false,
        // What is at fault in an `Any` must be known before the next one begins.
        checks_each_text: is_lenient,
    };
    let done = converter.attempt(write);
    converter.scratch.clear();
    done?;
    // The comma behind the value; there is no other.
    converter.out.pop();
    Ok(())
}

impl Scratch {
    /// Forgets what a conversion has left, and gives back what a rare large one needed.
    #[inline]
    fn clear(&mut self) {
        self.entries.clear();
        self.map_entries.clear();
        self.groups.clear();
        if self.entries.capacity() | self.map_entries.capacity() > ENTRY_COUNT_KEPT {
            self.shrink();
        }
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self) {
        if self.entries.capacity() > ENTRY_COUNT_KEPT {
            self.entries.shrink_to(ENTRY_COUNT_KEPT);
        }
        if self.map_entries.capacity() > ENTRY_COUNT_KEPT {
            self.map_entries.shrink_to(ENTRY_COUNT_KEPT);
        }
    }
}

/// One conversion: what it reads, where it writes, what it has been told.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may go with any"
)]
struct Converter<'c> {
    plan: &'c Plan,
    wire: &'c [u8],
    scratch: &'c mut Scratch,
    out: &'c mut Vec<u8>,
    /// Bytes of output behind which no further message or element begins.
    out_len_max: usize,
    /// Bytes that may still be written a second time. `redo_len_left <= wire.len()`.
    redo_len_left: usize,
    /// Why, once a function has returned [`Stopped`].
    stop: Stop,
    /// Whether an `Any` that cannot be resolved or read is written as base64.
    is_lenient: bool,
    /// Whether every message is listed before it is written.
    is_careful: bool,
    /// Whether a string with a byte beyond ASCII has been written.
    has_high_bits: bool,
    /// Whether each such string is checked by itself, rather than all of the text at the end.
    checks_each_text: bool,
}

/// Why a conversion stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Fault(Error),
    /// A field came that the way of writing in order cannot take.
    OutOfOrder,
    /// What was written is no UTF-8, and which string is at fault is yet to be found.
    NoText,
}

/// A conversion has stopped, and [`Converter::stop`] says why. Without the reason in it, results travel in registers.
#[derive(Clone, Copy, Debug)]
struct Stopped;

/// Takes what was read, or notes why the conversion stops.
#[inline(always)]
fn noted<T>(read: Result<T, Error>, stop: &mut Stop) -> Result<T, Stopped> {
    match read {
        Ok(value) => Ok(value),
        Err(error) => {
            note(error, stop);
            Err(Stopped)
        }
    }
}

#[cold]
fn note(error: Error, stop: &mut Stop) {
    *stop = Stop::Fault(error);
}

impl Converter<'_> {
    /// Takes what was read, or stops.
    #[inline(always)]
    fn noted<T>(&mut self, read: Result<T, Error>) -> Result<T, Stopped> {
        noted(read, &mut self.stop)
    }

    #[cold]
    fn fault(&mut self, kind: ErrorKind, offset: usize) -> Stopped {
        note(Error::reply(kind, offset), &mut self.stop);
        Stopped
    }

    #[cold]
    fn out_of_order(&mut self) -> Stopped {
        self.stop = Stop::OutOfOrder;
        Stopped
    }

    /// Writes a value at the end of the output, if need be more than once. `redo_len_left` is to be set.
    fn attempt<T>(&mut self, write: impl Fn(&mut Self) -> Result<T, Stopped>) -> Result<T, Error> {
        let start = self.out.len();
        let redo_len = self.redo_len_left;
        // Each further round begins with one of two flags set that was not.
        loop {
            let done = write(self);
            let is_order = done.is_err() && matches!(self.stop, Stop::OutOfOrder);
            if (done.is_ok() || is_order) && !self.is_text_from(start) {
                self.stop = Stop::NoText;
            } else if let Ok(value) = done {
                return Ok(value);
            }
            self.out.truncate(start);
            self.scratch.entries.clear();
            self.scratch.map_entries.clear();
            self.redo_len_left = redo_len;
            self.has_high_bits = false;
            match self.stop {
                // A value without a JSON form may only be the first piece of one that has it.
                Stop::OutOfOrder
                | Stop::Fault(Error {
                    kind: ErrorKind::WireUnprintable(_),
                    ..
                }) if !self.is_careful => self.is_careful = true,
                Stop::Fault(error) => return Err(error),
                Stop::NoText if !self.checks_each_text => self.checks_each_text = true,
                // Who is careful lists everything first, and who checks each text finds what is none; the fault would be ours.
                Stop::OutOfOrder | Stop::NoText => {
                    debug_assert!(false, "a conversion has stopped twice for one reason");
                    return Err(Error::reply(ErrorKind::WireTag, 0));
                }
            }
        }
    }

    /// Whether what was written from `start` on is UTF-8 (SEMANTICS 106). One look at all of the text costs less than one at each
    /// string, and tells the same: a sequence that a string leaves open ends at its quote.
    fn is_text_from(&self, start: usize) -> bool {
        !self.has_high_bits
            || self.checks_each_text
            || self.out.get(start..).is_none_or(utf8::is_valid)
    }
}
