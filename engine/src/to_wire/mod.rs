//! JSON to protobuf, driven by the plan. In: JSON text and a message plan. Out: protobuf bytes appended to the caller's buffer.
//! Always: one pass, but for a look ahead, once at most at any byte, where an `Any` does not begin with its type; nothing stands between
//! the text and the wire; no allocation once the scratch has grown; on an error the buffer is as it was.
//!
//! The pass recurses where the JSON nests, and counts: deeper than [`limits::DEPTH_MAX`](crate::limits::DEPTH_MAX) is refused before
//! the stack can feel it. How the lengths of nested messages are written is told in `lengths`.

mod any;
mod cut;
mod field;
mod late_types;
mod lengths;
mod map;
mod message_set;
mod object;
mod pieces;
mod quick;
mod repeated;
mod scalar;
mod trial;
mod well_known;

pub use pieces::{Paused, Pieces, Progress};

use crate::error::{Error, ErrorKind, Expected};
use crate::json::Cursor;
use crate::limits::{DEPTH_MAX, JSON_LEN_MAX};
use crate::plan::{
    Cardinality, FieldIndex, FieldPlan, Form, Kind, Message, MessageIndex, MessagePlan, Plan, Tag,
};
use crate::wire::read::END_GROUP;

/// Memory that [`to_wire()`] works with; keep one per thread and reuse it. It serves any message of any schema, and keeps at most a few MiB of what
/// a large text needed.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One bit a field and a oneof of every open message, innermost last.
    seen: Vec<u64>,
    /// One a key of every open map, innermost last.
    keys: Vec<map::EntryKey>,
    /// Lengths of long messages, which are put in at the end.
    late: lengths::LateLengths,
    /// Where objects that may be an `Any` have their type, found by looking ahead.
    late_types: late_types::LateTypes,
    /// A string whose escapes had to be decoded before it could be understood.
    text: Vec<u8>,
    /// What a text in pieces needs from one to the next.
    pieces: pieces::Memory,
}

/// Keys, lengths and bytes that a scratch keeps room for between texts; what a rare large one needed is given back when the next begins.
const COUNT_KEPT: usize = 1 << 16;

impl Scratch {
    fn clear(&mut self) {
        self.seen.clear();
        clear(&mut self.keys);
        self.late.clear();
        self.late_types.clear();
        clear(&mut self.text);
        self.pieces.clear();
    }
}

/// Empties a list of the scratch.
#[inline]
fn clear<T>(list: &mut Vec<T>) {
    list.clear();
    if list.capacity() > COUNT_KEPT {
        list.shrink_to(COUNT_KEPT);
    }
}

/// Converts JSON text to `message`, whose wire form is appended to `out`. The text is the whole value: white space may surround it, nothing else.
///
/// Read is what protobuf's JSON mapping says (SEMANTICS 77 to 97), by the [`Options`](crate::Options) of the schema: both names of a field, numbers
/// as strings, `null` for unset, well-known types in their own forms. Fields are written in the order of the text, which is a valid message; what
/// another runtime would write byte for byte is not promised.
///
/// Time is linear in the length of the text, and what is written is less than ten times as long. The stack is bounded by
/// [`DEPTH_MAX`]. Text that comes in parts goes through [`Pieces`].
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Schema, to_wire};
///
/// let schema = Schema::from_descriptor_set(&descriptors)?;
/// let note = schema.message("hello.v1.Note").ok_or("no such message")?;
/// let (mut scratch, mut wire) = (to_wire::Scratch::default(), Vec::new()); // kept for the next text
/// to_wire(note, br#"{"id": "150", "title": "a"}"#, &mut scratch, &mut wire)?;
/// assert_eq!(wire, b"\x08\x96\x01\x12\x01a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the text is no JSON or does not fit the message; the offset is that of the byte at fault, and `out` is as it was.
pub fn to_wire(
    message: Message<'_>,
    json: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    Pass::run(message.plan, json, scratch, out, |pass| {
        pass.message(message.index)
    })
}

/// Converts JSON text that is the value of one field (`body: "field"`, SEMANTICS 69) and writes the field, tag and all.
/// `null` leaves it unset (SEMANTICS 64), as it would inside an object.
///
/// # Errors
/// As [`to_wire`].
pub(crate) fn field_to_wire(
    plan: &Plan,
    message: MessageIndex,
    field: FieldIndex,
    json: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let field = plan.message(message).field(field);
    Pass::run(plan, json, scratch, out, |pass| {
        if pass.is_unset(field)? {
            return Ok(());
        }
        pass.field(field)
    })
}

/// SEMANTICS 64: without a body the field that the body would be is there and empty if it is a message, and unset if not.
pub(crate) fn write_empty_field(field: &FieldPlan, out: &mut Vec<u8>) {
    match (field.cardinality, field.kind) {
        (Cardinality::Singular, Kind::Message(_)) => {
            out.extend_from_slice(field.tag.as_bytes());
            out.push(0);
        }
        (Cardinality::Singular, Kind::Group(_)) => {
            out.extend_from_slice(field.tag.as_bytes());
            out.extend_from_slice(Tag::new(field.number, END_GROUP).as_bytes());
        }
        _ => {}
    }
}

/// The state of one conversion.
struct Pass<'p, 'j, 's> {
    plan: &'p Plan,
    json: Cursor<'j>,
    /// Objects and arrays that are open. `depth <= DEPTH_MAX`.
    depth: u32,
    seen: &'s mut Vec<u64>,
    keys: &'s mut Vec<map::EntryKey>,
    late: &'s mut lengths::LateLengths,
    late_types: &'s mut late_types::LateTypes,
    text: &'s mut Vec<u8>,
    out: &'s mut Vec<u8>,
    /// Where the output of this pass begins. `start <= out.len()`.
    start: usize,
}

/// What has been written for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// A value.
    Value,
    /// A value that a field without presence need not carry: zero, false, nothing.
    Default,
    /// None: an enum name that is dropped (SEMANTICS 84).
    Nothing,
}

impl<'p, 'j, 's> Pass<'p, 'j, 's> {
    /// Sets the pass up, lets `convert` read the one value at the root, and clears up after an error.
    fn run(
        plan: &'p Plan,
        json: &'j [u8],
        scratch: &'s mut Scratch,
        out: &'s mut Vec<u8>,
        convert: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if json.len() > JSON_LEN_MAX {
            return Err(Error::body(ErrorKind::BodyTooLarge, JSON_LEN_MAX));
        }
        scratch.clear();
        let mut pass = Self {
            plan,
            json: Cursor::new(json)?,
            depth: 0,
            seen: &mut scratch.seen,
            keys: &mut scratch.keys,
            late: &mut scratch.late,
            late_types: &mut scratch.late_types,
            text: &mut scratch.text,
            start: out.len(),
            out,
        };
        let result = convert(&mut pass).and_then(|()| pass.json.end());
        match result {
            Ok(()) => pass.place_lengths(),
            Err(_) => pass.out.truncate(pass.start),
        }
        result
    }

    /// Writes the fields of a message whose value comes next, in the form that its type has in JSON.
    fn message(&mut self, index: MessageIndex) -> Result<(), Error> {
        let message: &'p MessagePlan = self.plan.message(index);
        match message.form {
            Form::Object => self.object(message),
            Form::Wrapper => self.wrapper(message),
            Form::Timestamp => self.timestamp(message),
            Form::Duration => self.duration(message),
            Form::FieldMask => self.field_mask(message),
            Form::Struct => self.structure(message),
            Form::Value => self.dynamic_value(message),
            Form::ListValue => self.list_value(message),
            Form::Any => self.any(message),
        }
    }

    /// Takes the bracket that opens an object or array, one level down.
    #[inline]
    fn open(&mut self, bracket: u8, expected: Expected) -> Result<(), Error> {
        self.json.open(bracket, expected)?;
        // SEMANTICS 96.
        if self.depth == DEPTH_MAX {
            return Err(Error::body(ErrorKind::TooDeep, self.json.offset() - 1));
        }
        self.depth += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
