//! A message that arrives in pieces. In: the pieces of its bytes, of any length, cut anywhere. Out: JSON, while they arrive.
//! Always: what has been written is forgotten; each byte is looked at a bounded number of times; no allocation once the scratch has grown.
//!
//! A message that is short is waited for and converted by the same code as any other. Of one that is long, the fields are converted one by one
//! as they come; `cut` goes down, with a stack of its own, into the messages and packed lists only that are cut and long themselves.

use super::cut::{Frame, Walk, has_frames};
use super::message::Content;
use super::{Converter, Scratch, Stop, convert};
use crate::error::{Error, ErrorKind};
use crate::limits::{HELD_LEN_MAX, JSON_LEN_MAX};
use crate::plan::{Message, MessageIndex, Plan};

/// Bytes of room that a scratch keeps between messages; what grew larger is given back.
const CARRY_LEN_KEPT: usize = 1 << 17;

/// What a [`Scratch`] holds for a message in pieces.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bytes that wait for more.
    carry: Vec<u8>,
    /// Messages and lists that are open, innermost last.
    pub(super) frames: Vec<Frame>,
    /// One bit a field and a oneof of every open message, innermost last: what has been written.
    pub(super) written: Vec<u64>,
}

impl Memory {
    fn clear(&mut self) {
        self.carry.clear();
        if self.carry.capacity() > CARRY_LEN_KEPT {
            self.carry = Vec::new();
        }
        self.frames.clear();
        self.written.clear();
    }
}

/// One message that is converted as it arrives.
///
/// As long as no more of it has come than [`HELD_LEN_MAX`], nothing is written, so that all that protobuf allows is at hand, fields in any
/// order above all; the result is then that of [`to_json()`](super::to_json()), byte for byte. Of a longer message the JSON is written while the rest is still to
/// come, and the caller may pass it on:
///
/// - Fields are written in the order in which they come, and those that are unset at the end of their message. By meaning this is the same.
/// - What has been written stays. A singular field that comes again, a list or map that goes on behind another field, and a second member of
///   a oneof are refused as [`ErrorKind::WireOrder`], and a value without a JSON form at once, though another piece of it might mend it;
///   messages of at most [`HELD_LEN_MAX`] in a longer one may have all of these. Encoders write nothing of the kind.
/// - Of two faults the one that comes first is told, which need not be the one that a look at the whole would find first.
///
/// What is carried from piece to piece is the value that is cut: a text or bytes, a map with all its entries, a group, a well-known type; a
/// message or packed list only if it is not longer than [`HELD_LEN_MAX`]. Behind a map that is cut, the rest of the piece is carried too.
///
/// # Examples
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
/// # let descriptors = prost::Message::encode_to_vec(&protox::compile(["kinds.proto"], [folder])?);
/// use transom_engine::{Schema, to_json};
///
/// let schema = Schema::from_descriptor_set(&descriptors)?;
/// let message = schema.message("transom.test.v1.Nested").ok_or("no such message")?;
/// let (mut scratch, mut json) = (to_json::Scratch::default(), Vec::new());
///
/// let mut reader = to_json::Pieces::new(message, &mut scratch).holding(0);
/// reader.push(b"\x0a\x03Ada\x10", &mut json)?;
/// assert_eq!(json, br#"{"name":"Ada""#);
/// reader.push(b"\x05", &mut json)?;
/// reader.finish(&mut json)?;
/// assert_eq!(json, br#"{"name":"Ada","count":5,"children":[]}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pieces<'p, 's> {
    plan: &'p Plan,
    root: MessageIndex,
    scratch: &'s mut Scratch,
    held_len_max: usize,
    /// Whether anything has been written.
    is_begun: bool,
    /// Bytes of the message before those that are carried.
    base: usize,
    /// What the carried bytes wait for.
    needs: Needs,
    /// Bytes of JSON that have been written.
    out_len: usize,
    state: State,
    fault: Option<Error>,
    /// Fields, entries and groups that have been looked at, each time they were; groups count by the byte.
    #[cfg(test)]
    look_count: usize,
}

/// A message that waits for its next piece, without the plan and the scratch: what [`Pieces::pause`] leaves and [`Pieces::resume`] takes.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    root: MessageIndex,
    held_len_max: usize,
    is_begun: bool,
    base: usize,
    needs: Needs,
    out_len: usize,
    state: State,
    fault: Option<Error>,
    #[cfg(test)]
    look_count: usize,
}

impl Scratch {
    /// Bytes that are carried for a message that is paused.
    pub(crate) fn carried_len(&self) -> usize {
        self.pieces.carry.len()
    }
}

impl Paused {
    /// Whether anything has been written of the message.
    pub const fn is_begun(&self) -> bool {
        self.out_len > 0
    }
}

/// What has to be there before carried bytes are looked at again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    /// So many bytes and no more, so that what comes behind them can be read where it is.
    Bytes(usize),
    /// Any more: where the end is cannot be told.
    More,
}

/// What is remembered of one stretch for the next, beside the frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Whether a comma stands before what is written next.
    pub(super) needs_comma: bool,
    /// How far the entries of the map that comes next are known to be whole: an offset from the start of the message.
    pub(super) map_end: usize,
    /// Messages that are open.
    pub(super) depth: u32,
}

impl<'p, 's> Pieces<'p, 's> {
    /// Begins the bytes of a `message`.
    pub fn new(message: Message<'p>, scratch: &'s mut Scratch) -> Self {
        scratch.clear();
        scratch.pieces.clear();
        Self {
            plan: message.plan,
            root: message.index,
            scratch,
            held_len_max: HELD_LEN_MAX,
            is_begun: false,
            base: 0,
            needs: Needs::Bytes(0),
            out_len: 0,
            state: State::default(),
            fault: None,
            #[cfg(test)]
            look_count: 0,
        }
    }

    /// Puts the message aside, so that nothing is borrowed while its next piece is waited for. The scratch has to stay as it is: a message that may wait
    /// needs one of its own.
    pub fn pause(self) -> Paused {
        Paused {
            root: self.root,
            held_len_max: self.held_len_max,
            is_begun: self.is_begun,
            base: self.base,
            needs: self.needs,
            out_len: self.out_len,
            state: self.state,
            fault: self.fault,
            #[cfg(test)]
            look_count: self.look_count,
        }
    }

    /// Goes on with a message that was paused. `message` is any one of the same schema.
    pub fn resume(message: Message<'p>, scratch: &'s mut Scratch, paused: Paused) -> Self {
        Self {
            plan: message.plan,
            root: paused.root,
            scratch,
            held_len_max: paused.held_len_max,
            is_begun: paused.is_begun,
            base: paused.base,
            needs: paused.needs,
            out_len: paused.out_len,
            state: paused.state,
            fault: paused.fault,
            #[cfg(test)]
            look_count: paused.look_count,
        }
    }

    /// Bytes of the message that are carried until more comes.
    pub fn carried_len(&self) -> usize {
        self.scratch.pieces.carry.len()
    }

    /// Waits for messages and packed lists of up to `len_max` bytes as a whole, instead of [`HELD_LEN_MAX`]: with more, more may come out of
    /// order; with less, JSON is written earlier and less is carried.
    #[must_use]
    pub fn holding(mut self, len_max: usize) -> Self {
        self.held_len_max = len_max;
        self
    }

    /// Takes the next piece of the message, and appends to `out` what can be written. What is in `out` may be taken out between two calls.
    ///
    /// # Errors
    /// As [`to_json()`](super::to_json()), and [`ErrorKind::WireOrder`] as told above. `out` is then as it was before this call; what earlier
    /// calls have written is no JSON without the rest. Every further call ends with the same error.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.guarded(out, |reader, out| reader.take(piece, out))
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`Self::push`]; above all when the message is not complete.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let result = self.guarded(out, Self::end);
        // What a rare large one needed is not kept until the next one comes.
        self.scratch.pieces.clear();
        result
    }

    /// Cuts the output back after an error, and remembers the error.
    fn guarded(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let start = out.len();
        let result = act(self, out);
        if let Err(fault) = result {
            out.truncate(start);
            self.fault = Some(fault);
        }
        self.out_len += out.len() - start;
        result
    }

    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let len = self.scratch.pieces.carry.len() + piece.len();
        // As of a whole message, so that offsets fit 32 bits.
        if u32::try_from(self.base + len).is_err() {
            return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
        }
        let is_held = len <= self.held_len_max || !has_frames(self.plan.message(self.root));
        if !self.is_begun && is_held {
            self.scratch.pieces.carry.extend_from_slice(piece);
            return Ok(());
        }
        let mut rest = piece;
        while !rest.is_empty() {
            let carried_len = self.scratch.pieces.carry.len();
            if carried_len == 0 {
                let done = self.walk(rest, None, out)?;
                let cut = rest.get(done..).unwrap_or_default();
                self.scratch.pieces.carry.extend_from_slice(cut);
                return Ok(());
            }
            let wanted_len = match self.needs {
                Needs::Bytes(len) => len.saturating_sub(carried_len).max(1),
                Needs::More => rest.len(),
            };
            let (added, behind) = rest.split_at(wanted_len.min(rest.len()));
            self.scratch.pieces.carry.extend_from_slice(added);
            rest = behind;
            if added.len() == wanted_len {
                self.walk_carry(None, out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.is_begun {
            let total = self.base + self.scratch.pieces.carry.len();
            return self.walk_carry(Some(total), out);
        }
        let wire = std::mem::take(&mut self.scratch.pieces.carry);
        let result = convert(self.plan, &wire, false, self.scratch, out, |converter| {
            converter.message(self.root, Content::whole(&wire), 1)
        });
        self.scratch.pieces.carry = wire;
        result
    }

    /// Converts what is carried, as far as it goes. `total` is the length of the message, if that is known.
    fn walk_carry(&mut self, total: Option<usize>, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut carry = std::mem::take(&mut self.scratch.pieces.carry);
        let done = self.walk(&carry, total, out);
        carry.drain(..*done.as_ref().unwrap_or(&0));
        self.scratch.pieces.carry = carry;
        done.map(drop)
    }

    /// Converts as much of `bytes` as can be, and says how much that is.
    fn walk(
        &mut self,
        bytes: &[u8],
        total: Option<usize>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let mut memory = std::mem::take(&mut self.scratch.pieces);
        let out_len_left = JSON_LEN_MAX.saturating_sub(self.out_len);
        let mut walk = Walk {
            converter: Converter {
                plan: self.plan,
                wire: bytes,
                out_len_max: out.len().saturating_add(out_len_left),
                out,
                scratch: self.scratch,
                redo_len_left: 0,
                stop: Stop::OutOfOrder,
                is_lenient: false,
                is_careful: false,
                has_high_bits: false,
                checks_each_text: false,
            },
            memory: &mut memory,
            base: self.base,
            held_len_max: self.held_len_max,
            at: 0,
            needs: Needs::Bytes(0),
            state: self.state,
            #[cfg(test)]
            look_count: self.look_count,
        };
        let result = walk.run((!self.is_begun).then_some(self.root), total);
        self.is_begun = true;
        self.state = walk.state;
        self.needs = walk.needs;
        let done = walk.at;
        #[cfg(test)]
        {
            self.look_count = walk.look_count;
        }
        self.scratch.pieces = memory;
        result.map_err(|error| error.moved_by(self.base))?;
        self.base += done;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::compile::Schema;

    fn delimited(number: u8, content: &[u8]) -> Vec<u8> {
        let mut wire = vec![number << 3 | 2];
        crate::wire::write::varint(content.len() as u64, &mut wire);
        wire.extend_from_slice(content);
        wire
    }

    /// Goal: the cost is linear whatever is cut, and what is carried is no more than what is cut. Method: looks at fields are counted.
    #[test]
    fn a_byte_is_looked_at_a_bounded_number_of_times() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
        let set = protox::compile(["kinds.proto"], [folder])
            .unwrap()
            .encode_to_vec();
        let schema = Schema::from_descriptor_set(&set).unwrap();
        let mut scratch = Scratch::default();
        let inner = delimited(5, &delimited(2, b"tag"));
        let mut deep = delimited(4, &inner).repeat(1_000);
        for _ in 0..40 {
            deep = delimited(3, &deep);
        }
        let entries: Vec<_> = (0..3_000)
            .flat_map(|n: u32| delimited(12, &delimited(1, format!("key {n}").as_bytes())))
            .collect();
        let map_len = entries.len();
        let group = [&[0x7b][..], &[0x08, 0x01].repeat(10_000), &[0x7c]].concat();
        for (name, wire, carried_len_max) in [
            ("Scalars", delimited(14, &b"a".repeat(40_000)), 40_010),
            ("Lists", delimited(3, &[0xff, 0x01].repeat(10_000)), 10),
            ("Lists", [0x18, 0x05].repeat(10_000), 10),
            ("Nested", delimited(15, &b"\xff".repeat(40_000)), 10),
            ("Nested", deep, 20),
            ("Nested", group, 20_010),
            ("Maps", entries, map_len + 10),
        ] {
            let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
            for len in [1, 2, 15, 4_000, wire.len()] {
                let mut out = Vec::new();
                let mut reader = Pieces::new(message, &mut scratch).holding(0);
                let mut carried_len = 0;
                for piece in wire.chunks(len) {
                    reader.push(piece, &mut out).unwrap();
                    carried_len = carried_len.max(reader.carried_len());
                }
                let look_count = reader.look_count;
                assert!(reader.finish(&mut out).is_ok(), "{name} by {len}");
                assert!(
                    look_count <= 4 * wire.len(),
                    "{look_count} of {}: {name} by {len}",
                    wire.len()
                );
                assert!(
                    carried_len <= carried_len_max,
                    "{carried_len} are carried: {name} by {len}"
                );
            }
        }
    }
}
