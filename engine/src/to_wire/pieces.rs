//! JSON text that arrives in pieces. In: the pieces, of any length, cut anywhere. Out: what the text as a whole becomes, or its fault.
//! Always: what has been converted is forgotten; each byte is looked at a bounded number of times; no allocation once the scratch has
//! grown.
//!
//! Value by value, a piece is converted by the same code that converts a whole text, until one cannot be read. What has been written of that
//! is dropped, and `json::border` looks over it for the last place where no token is cut. Up to there, `cut` goes down, with a stack of its
//! own, into the objects and arrays that are open. The rest is carried over, until the next piece brings the end of it:
//!
//! ```text
//! piece 1   {"items":[{"n":1},{"n":2},{"n":3,"tags":["x","y
//!           │                          ▲ cannot be read   ▲ carried over
//!           └ (the root cannot either: a frame is opened, and one for the list)
//! piece 2   z","w"],"m":[4]},{"n":5}]}
//!           ▲  ▲ from here on read where it is
//!           └ added to what is carried
//! ```
//!
//! To read first and look afterwards costs nothing where all is whole, which is almost everything; a look at each byte first would take as long
//! as the conversion of strings. At worst a byte is converted, looked at and converted again.

use super::cut::{Expects, Mode, Walk};
use super::{Pass, Scratch};
use crate::error::{Error, ErrorKind};
use crate::json::{Border, Cursor};
use crate::limits::JSON_LEN_MAX;
use crate::plan::{Message, MessageIndex, Plan};

/// What a [`Scratch`] holds for a text in pieces.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Text that waits for more.
    carry: Vec<u8>,
    /// Objects and arrays that are open, innermost last.
    pub(super) frames: Vec<super::cut::Frame>,
}

impl Memory {
    pub(super) fn clear(&mut self) {
        super::clear(&mut self.carry);
        self.frames.clear();
    }
}

/// One JSON text that is converted as it arrives.
///
/// The result is that of [`to_wire()`](super::to_wire()) on the whole text, faults and their offsets included, but it needs no room for the
/// text: what is carried from piece to piece is the member or element that is cut, if its value is a scalar, and the whole value if that is an
/// `Any`, a `Struct`, a `Value` or a `ListValue`. The output does stay with the caller until the end, since the length of a message stands
/// before its content.
///
/// # Examples
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
/// # let descriptors = prost::Message::encode_to_vec(&protox::compile(["kinds.proto"], [folder])?);
/// use transom_engine::{Schema, to_wire::{self, Progress}};
///
/// let schema = Schema::from_descriptor_set(&descriptors)?;
/// let message = schema.message("transom.test.v1.Nested").ok_or("no such message")?;
/// let (mut scratch, mut wire) = (to_wire::Scratch::default(), Vec::new());
///
/// let mut reader = to_wire::Pieces::new(message, &mut scratch);
/// assert_eq!(reader.push(br#"{"name": "A"#, &mut wire)?, Progress::Open);
/// // What follows the value may be the next one, as in the body of a client stream.
/// assert_eq!(reader.push(br#"da"}{"name""#, &mut wire)?, Progress::Ended { used: 4 });
/// reader.finish(&mut wire)?;
/// assert_eq!(wire, b"\x0a\x03Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pieces<'p, 's> {
    plan: &'p Plan,
    root: MessageIndex,
    scratch: &'s mut Scratch,
    /// Where what is carried can be cut; without meaning while nothing is carried.
    border: Border,
    /// Bytes of the text before those that are carried.
    base: usize,
    /// Where the output begins, once there is some.
    start: Option<usize>,
    depth: u32,
    expects: Expects,
    /// The offset of a bracket that opens a value which has to be whole, and the depth that it stands in.
    held: Option<(u32, usize)>,
    fault: Option<Error>,
    /// Bytes that have been looked at or converted, each time they were.
    #[cfg(test)]
    handled_len: usize,
}

/// A text that waits for its next piece, without the plan and the scratch: what [`Pieces::pause`] leaves and [`Pieces::resume`] takes.
#[derive(Debug)]
pub struct Paused {
    root: MessageIndex,
    border: Border,
    base: usize,
    start: Option<usize>,
    depth: u32,
    expects: Expects,
    held: Option<(u32, usize)>,
    fault: Option<Error>,
    #[cfg(test)]
    handled_len: usize,
}

/// What has come of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The text goes on.
    Open,
    /// The value at the root has ended.
    Ended {
        /// Bytes of the piece that belong to it.
        used: usize,
    },
}

impl<'p, 's> Pieces<'p, 's> {
    /// Begins a text that is to become `message`.
    pub fn new(message: Message<'p>, scratch: &'s mut Scratch) -> Self {
        scratch.clear();
        Self {
            plan: message.plan,
            root: message.index,
            scratch,
            border: Border::new(),
            base: 0,
            start: None,
            depth: 0,
            expects: Expects::Value,
            held: None,
            fault: None,
            #[cfg(test)]
            handled_len: 0,
        }
    }

    /// Puts the text aside, so that nothing is borrowed while its next piece is waited for. The scratch and the output have to stay as they are: a
    /// text that may wait needs a scratch of its own.
    pub fn pause(self) -> Paused {
        Paused {
            root: self.root,
            border: self.border,
            base: self.base,
            start: self.start,
            depth: self.depth,
            expects: self.expects,
            held: self.held,
            fault: self.fault,
            #[cfg(test)]
            handled_len: self.handled_len,
        }
    }

    /// Goes on with a text that was paused. `message` is any one of the same schema.
    pub fn resume(message: Message<'p>, scratch: &'s mut Scratch, paused: Paused) -> Self {
        Self {
            plan: message.plan,
            root: paused.root,
            scratch,
            border: paused.border,
            base: paused.base,
            start: paused.start,
            depth: paused.depth,
            expects: paused.expects,
            held: paused.held,
            fault: paused.fault,
            #[cfg(test)]
            handled_len: paused.handled_len,
        }
    }

    /// Bytes of the text that are carried until more comes.
    pub fn carried_len(&self) -> usize {
        self.scratch.pieces.carry.len()
    }

    /// Takes the next piece of the text, and appends to `out` what it becomes. Between two calls `out` must stay as it is.
    ///
    /// Where the text is an object or array, or a string, its end is known at once. A number or word ends with the byte after it, if there
    /// is one, or when [`Self::finish`] is called. Bytes behind the end of the text are left to the caller. They may be given back to this
    /// reader, which takes white space and refuses anything else: then it is the whole body that is one value.
    ///
    /// # Errors
    /// As [`to_wire()`](super::to_wire()). `out` is then as it was when the text began, and every further call ends with the same error.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        self.guarded(out, |reader, out| reader.take(piece, out))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// As [`Self::push`]; above all when the text is not complete.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.guarded(out, |reader, out| {
            if reader.expects != Expects::Nothing {
                reader.convert(Mode::Last, out)?;
            }
            Ok(())
        })
    }

    /// Cuts the output back after an error, and remembers the error.
    fn guarded<T>(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let start = *self.start.get_or_insert(out.len());
        let result = act(self, out);
        if let Err(fault) = result {
            out.truncate(start);
            self.fault = Some(fault);
        }
        result
    }

    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        if self.expects == Expects::Nothing {
            let used = self.take_space(piece)?;
            return Ok(Progress::Ended { used });
        }
        let mut used = 0;
        while self.expects != Expects::Nothing {
            let Some(rest) = piece.get(used..).filter(|rest| !rest.is_empty()) else {
                return Ok(Progress::Open);
            };
            used += if self.scratch.pieces.carry.is_empty() {
                self.take_whole(rest, out)?
            } else {
                self.take_cut(rest, out)?
            };
        }
        // What a rare large one needed is not kept until the next one comes.
        self.scratch.clear();
        Ok(Progress::Ended { used })
    }

    /// Takes white space behind the end.
    fn take_space(&mut self, piece: &[u8]) -> Result<usize, Error> {
        let mut rest = Cursor::inside(piece);
        if rest.peek().is_some() {
            // SEMANTICS 68.
            let offset = self.base + rest.offset();
            return Err(Error::body(ErrorKind::TrailingData, offset));
        }
        self.base += piece.len();
        check_len(self.base)?;
        Ok(piece.len())
    }

    /// Takes what is whole of the next bytes, and begins what is cut. Says how many bytes belong to the text.
    fn take_whole(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        let done = self.walk(bytes, Mode::Trying, out)?;
        check_len(self.base)?;
        let rest = bytes.get(done..).unwrap_or_default();
        if self.expects == Expects::Nothing || rest.is_empty() {
            return Ok(done);
        }
        self.border.begin(self.base, self.depth);
        let len = self.border.scan(rest);
        check_len(self.border.scanned())?;
        let rest = rest.get(..len).unwrap_or(rest);
        let safe_len = self.border.safe() - self.base;
        let mut known = 0;
        if safe_len > 0 {
            let text = rest.get(..safe_len).unwrap_or(rest);
            known = self.walk(text, self.known(), out)?;
        }
        let cut = rest.get(known..).unwrap_or_default();
        self.scratch.pieces.carry.extend_from_slice(cut);
        Ok(done + len)
    }

    /// Takes the next bytes of what is cut, up to its end. Says how many they are.
    fn take_cut(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        let safe_before = self.border.safe();
        let len = self.border.scan(bytes);
        check_len(self.border.scanned())?;
        let part = bytes.get(..len).unwrap_or(bytes);
        self.scratch.pieces.carry.extend_from_slice(part);
        let is_held = self
            .held
            .is_some_and(|(depth, bracket)| self.border.open_at(depth) == Some(bracket));
        if self.border.is_final() || self.border.safe() > safe_before && !is_held {
            self.convert(self.known(), out)?;
        }
        Ok(len)
    }

    /// How what lies before the border is to be read.
    fn known(&self) -> Mode {
        if self.border.is_final() {
            Mode::Last
        } else {
            Mode::Known
        }
    }

    /// Converts what is carried, up to the border if there is one.
    fn convert(&mut self, mode: Mode, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut carry = std::mem::take(&mut self.scratch.pieces.carry);
        let is_ended = mode == Mode::Last && !self.border.is_final();
        let safe_len = self.border.safe().saturating_sub(self.base);
        let text = match carry.get(..safe_len) {
            Some(text) if !is_ended => text,
            _ => &carry,
        };
        let done = self.walk(text, mode, out);
        carry.drain(..*done.as_ref().unwrap_or(&0));
        self.scratch.pieces.carry = carry;
        done.map(drop)
    }

    /// Converts as much of `text` as can be, and says how much that is.
    fn walk(&mut self, text: &[u8], mode: Mode, out: &mut Vec<u8>) -> Result<usize, Error> {
        #[cfg(test)]
        {
            self.handled_len += text.len();
        }
        let json = match self.base {
            0 => Cursor::new(text)?,
            _ => Cursor::inside(text),
        };
        let scratch = &mut *self.scratch;
        // What has been looked up lies in text that is gone.
        scratch.late_types.clear();
        let pass = Pass {
            plan: self.plan,
            json,
            depth: self.depth,
            seen: &mut scratch.seen,
            keys: &mut scratch.keys,
            late: &mut scratch.late,
            late_types: &mut scratch.late_types,
            text: &mut scratch.text,
            start: self.start.unwrap_or(out.len()),
            out,
        };
        let mut walk = Walk {
            pass,
            stretch: text,
            frames: &mut scratch.pieces.frames,
            border: &self.border,
            base: self.base,
            mode,
            root: self.root,
            expects: self.expects,
            held: None,
            claim: None,
        };
        walk.run().map_err(|error| error.moved_by(self.base))?;
        let done = walk.pass.json.offset();
        self.depth = walk.pass.depth;
        self.expects = walk.expects;
        self.held = walk.held;
        self.base += done;
        self.border.narrow(self.depth);
        Ok(done)
    }
}

fn check_len(len: usize) -> Result<(), Error> {
    if len > JSON_LEN_MAX {
        return Err(Error::body(ErrorKind::BodyTooLarge, JSON_LEN_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Schema;
    use prost::Message as _;

    /// Goal: the cost is linear whatever is cut, and what is carried is no more than what is cut. Method: bytes that are converted or looked at
    /// are counted, each time they are. Once as a trial, once by the border, once for good is three times; a member that is held is begun once more.
    #[test]
    fn a_byte_is_handled_a_bounded_number_of_times() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
        let set = protox::compile(["kinds.proto"], [folder])
            .unwrap()
            .encode_to_vec();
        let schema = Schema::from_descriptor_set(&set).unwrap();
        let mut scratch = Scratch::default();
        let row = |text: &str, count: usize| vec![text; count].join(",");
        let deep = "{\"children\":[".repeat(45);
        let entries: Vec<_> = (0..3_000).map(|n| format!("\"key {n}\":\"v\"")).collect();
        for (name, json, carried_len_max) in [
            (
                "Scalars",
                format!("{{\"fString\":\"{}\"}}", "a".repeat(40_000)),
                40_012,
            ),
            (
                "Scalars",
                format!("{{\"fString\":\"{}\"}}", "\\n".repeat(20_000)),
                40_012,
            ),
            (
                "Scalars",
                format!("{{\"unknown\":[{}]}}", row("[{\"a\":[1,\"b\"]}]", 2_000)),
                20,
            ),
            (
                "Scalars",
                format!("{{\"fString\":{}\"\"}}", " ".repeat(40_000)),
                40_012,
            ),
            (
                "Lists",
                format!("{{\"fDouble\":[{}]}}", row("1.25", 8_000)),
                20,
            ),
            (
                "Lists",
                format!("{{\"fString\":[{}]}}", row("\"a,b\"", 8_000)),
                20,
            ),
            (
                "Maps",
                format!("{{\"byString\":{{{}}}}}", entries.join(",")),
                30,
            ),
            (
                "Nested",
                format!(
                    "{deep}{}{}",
                    row("{\"name\":\"a\",\"inner\":{\"tags\":[\"b\"]}}", 900),
                    "]}".repeat(45)
                ),
                30,
            ),
            (
                "WellKnown",
                format!("{{\"struct\":{{\"a\":[{}]}}}}", row("{\"b\":1}", 4_000)),
                32_020,
            ),
        ] {
            let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
            for len in [1, 2, 15, 16, 4_000, json.len()] {
                let mut out = Vec::new();
                let mut reader = Pieces::new(message, &mut scratch);
                let mut carried_len = 0;
                for piece in json.as_bytes().chunks(len) {
                    reader.push(piece, &mut out).unwrap();
                    carried_len = carried_len.max(reader.carried_len());
                }
                assert_eq!(reader.expects, Expects::Nothing);
                let handled_len = reader.handled_len;
                assert!(
                    handled_len <= 4 * json.len(),
                    "{handled_len} of {}: {json:.40} by {len}",
                    json.len()
                );
                assert!(
                    carried_len <= carried_len_max,
                    "{carried_len} are carried: {json:.40} by {len}"
                );
            }
        }
    }
}
