//! A message as it comes, its fields in the order of their numbers. In: where its bytes are. Out: its JSON form.
//! Always: stops at the first field that is out of order.
//!
//! Encoders write fields in the order of their numbers, and most fields are singular. Such a field takes the short way: eight bytes of
//! the wire show its tag and its length or number, and what is written goes behind them at once. What the short way passes over has left no
//! trace; the long way takes it, and finds the faults.
//!
//! The place in the wire is a number, and no reader is lent to a function that is called: a processor waits where it reads, in one
//! piece, what has just been written to memory in two.

use std::ops::Range;

use super::message::{Braces, Content, accepts, unset_fields};
use super::value::{Written, write_base64};
use super::{Converter, Stopped, noted};
use crate::json::Text;
use crate::plan::{
    Cardinality, FieldPlan, Int64Style, Kind, MemberPlan, MessageIndex, MessagePlan, Plan,
    WATCHED_ONEOF_COUNT,
};
use crate::wire::read::{Reader, TagPattern, Word, array_at};

impl<'c> Converter<'c> {
    /// Writes the message that lies from `start` to `end` of the wire.
    #[inline(never)]
    pub(super) fn members_in_order(
        &mut self,
        plan: &'c MessagePlan,
        start: usize,
        end: usize,
        depth: u32,
        braces: Braces,
    ) -> Result<(), Stopped> {
        let (schema, wire) = (self.plan, self.wire);
        let mut at = start;
        // The fields before these are written, set or unset.
        let mut rest = plan.members.iter();
        // One bit for each oneof that has a member.
        let mut oneofs = 0_u64;
        let mut text = Text::new(self.out);
        if braces == Braces::Yes {
            text.slot().open(b'{');
        }
        loop {
            while at < end
                && let Some(member) = rest.clone().next()
                && let word = Word::at(wire, at)
                && word.is(&member.tag)
            {
                if let Kind::Message(index) = member.kind {
                    let Some(range) = word.delimited_behind(&member.tag, at, end) else {
                        break;
                    };
                    text.label(&member.label, member.label_len);
                    text.end();
                    at = range.end;
                    self.message(index, Content::range(range), depth.wrapping_add(1))?;
                    text = Text::new(self.out);
                } else {
                    let Some(done) = short_value(schema, wire, member, word, at..end, &mut text)
                    else {
                        break;
                    };
                    if let Some(start) = done.high_from {
                        text.end();
                        let source = wire.get(start..).unwrap_or_default();
                        self.note_high(source, done.at.wrapping_sub(start))?;
                        text = Text::new(self.out);
                    }
                    at = done.at;
                }
                if let Some(oneof) = member.oneof
                    && is_second(u16::from(oneof), &mut oneofs)
                {
                    return Err(self.out_of_order());
                }
                rest.next();
            }
            if at >= end {
                break;
            }
            text.end();
            let mut next = plan.members.len().wrapping_sub(rest.len());
            (at, next) = self.other_member(plan, at..end, next, depth, &mut oneofs)?;
            rest = plan.members.get(next..).unwrap_or_default().iter();
            text = Text::new(self.out);
        }
        if rest.len() != 0 {
            let next = plan.members.len().wrapping_sub(rest.len());
            text.lend(|out| unset_fields(plan, next..plan.fields.len(), out));
        }
        if braces == Braces::Yes {
            text.close(b'}');
        }
        text.end();
        Ok(())
    }

    /// Takes what comes at `range.start` of a message that goes on to `range.end`: writes the unset fields before the next one, or writes
    /// that, or skips it. Gives the place behind it, and the index of the first field that is not written.
    #[inline(never)]
    fn other_member(
        &mut self,
        plan: &'c MessagePlan,
        range: Range<usize>,
        mut next: usize,
        depth: u32,
        oneofs: &mut u64,
    ) -> Result<(usize, usize), Stopped> {
        let start = range.start;
        let mut reader = Reader::new(self.wire, range);
        let (field, is_as_declared) = if let Some(field) = plan.fields.get(next)
            && reader.take(&field.tag_pattern)
        {
            (field, true)
        } else {
            let (number, wire_type) = self.noted(reader.tag())?;
            let known = plan
                .numbers
                .find(number)
                .map(|index| (usize::from(index.0), plan.field(index)));
            // SEMANTICS 107
            let Some((index, field)) = known.filter(|(_, field)| accepts(field, wire_type)) else {
                self.noted(reader.skip(number, wire_type, depth))?;
                return Ok((reader.offset(), next));
            };
            if index < next {
                return Err(self.out_of_order());
            }
            if index > next {
                // It may be one for the short way.
                self.unset_fields(plan, next..index);
                return Ok((start, index));
            }
            (field, wire_type == field.wire_type())
        };
        let reader = &mut reader;
        let written_from = self.out.len();
        let written = match field.cardinality {
            Cardinality::Singular => self.value(Some(&field.label), field, reader, depth)?,
            Cardinality::Repeated => self.list_in_order(field, !is_as_declared, reader, depth)?,
            Cardinality::Packed => self.list_in_order(field, is_as_declared, reader, depth)?,
            Cardinality::Map => {
                self.snippet(&field.label);
                self.map_in_order(field, reader, depth)?
            }
        };
        if self.end_field(field, written_from, written) {
            next = next.wrapping_add(1);
            if let Some(oneof) = field.oneof
                && is_second(oneof, oneofs)
            {
                return Err(self.out_of_order());
            }
        }
        Ok((reader.offset(), next))
    }

    /// Writes the elements that follow one another. Others of that list, or in the other encoding, come out of order then.
    fn list_in_order(
        &mut self,
        field: &'c FieldPlan,
        is_packed: bool,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let mut text = Text::new(self.out);
        text.after(&field.label).open(b'[');
        text.end();
        let start = self.out.len();
        let tag = &field.element_tag_pattern;
        if is_packed {
            self.packed(field, reader)?;
        } else if field.kind == Kind::String {
            let at = self.strings_in_order(tag, reader.offset(), reader.end())?;
            reader.go_to(at);
        } else if let Kind::Message(index) = field.kind {
            let at = self.messages_in_order(index, tag, reader.offset(), reader.end(), depth)?;
            reader.go_to(at);
        } else {
            loop {
                self.element(field, reader, depth)?;
                if !reader.take(tag) {
                    break;
                }
            }
        }
        Ok(self.end_list(start))
    }

    /// Writes messages that follow one another, the first of them behind its tag. Gives the place behind the last.
    #[inline(never)]
    fn messages_in_order(
        &mut self,
        index: MessageIndex,
        tag: &TagPattern,
        mut at: usize,
        end: usize,
        depth: u32,
    ) -> Result<usize, Stopped> {
        loop {
            let range = self.delimited_at(at, end)?;
            at = range.end;
            self.message(index, Content::range(range), depth.wrapping_add(1))?;
            // A tag that is cut off is not the next of this list, but an error of what reads it then.
            if !Word::at(self.wire, at).is(tag) || at.wrapping_add(tag.len()) >= end {
                return Ok(at);
            }
            at = at.wrapping_add(tag.len());
        }
    }

    /// Where the bytes are of the value with a length that comes at `at` of a message that ends at `end`.
    #[inline(always)]
    fn delimited_at(&mut self, at: usize, end: usize) -> Result<Range<usize>, Stopped> {
        match Word::at(self.wire, at).delimited_behind(&TagPattern::NONE, at, end) {
            Some(range) => Ok(range),
            None => self.long_delimited_at(at, end),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_delimited_at(&mut self, at: usize, end: usize) -> Result<Range<usize>, Stopped> {
        let read = Reader::new(self.wire, at..end).delimited();
        self.noted(read)
    }

    /// Writes strings that follow one another, the first of them behind its tag. Gives the place behind the last.
    #[inline(never)]
    fn strings_in_order(
        &mut self,
        tag: &TagPattern,
        at: usize,
        end: usize,
    ) -> Result<usize, Stopped> {
        let mut reader = Reader::new(self.wire, at..end);
        let mut text = Text::new(self.out);
        let mut ahead = reader.ahead();
        loop {
            let (source, len) = noted(reader.source_ahead(ahead), &mut self.stop)?;
            if text.slot().string(source, len) {
                text.end();
                self.note_high(source, len)?;
                text = Text::new(self.out);
            }
            // A tag that is cut off is not the next of this list, but an error of what reads it then.
            match reader.ahead_of(tag) {
                Some(next) if !reader.is_at_end() => ahead = next,
                _ => break,
            }
        }
        text.end();
        Ok(reader.offset())
    }

    pub(super) fn map_in_order(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let Some(entry) = self.entry_plan(field) else {
            return Ok(Written::Nothing);
        };
        let base = self.scratch.map_entries.len();
        let tag = &field.tag_pattern;
        let mut at = reader.offset();
        let end = reader.end();
        loop {
            let range = self.delimited_at(at, end)?;
            at = range.end;
            if !self.read_plain_entry(entry, range.clone()) {
                self.read_map_entry(entry, range, depth)?;
            }
            // A tag that is too long for a pattern must be found too: what is left would be another field, to those who ask for all.
            if Word::at(self.wire, at).is(tag) && at.wrapping_add(tag.len()) < end {
                at = at.wrapping_add(tag.len());
            } else if field.tag.len > 4
                && let Some(rest) = self.wire.get(at..end)
                && rest.starts_with(field.tag.as_bytes())
            {
                at = at.wrapping_add(field.tag.as_bytes().len());
            } else {
                break;
            }
        }
        reader.go_to(at);
        self.map(entry, base, depth)
    }
}

/// Where the short way has come to.
struct Done {
    /// The place behind the value.
    at: usize,
    /// Where the value begins, if it is a string with a byte that is not ASCII.
    high_from: Option<usize>,
}

impl Done {
    #[inline(always)]
    fn at(at: usize) -> Self {
        Self {
            at,
            high_from: None,
        }
    }
}

/// Writes label and value of a member, that is no message, in the short way. `word` is what stands at `range.start`, the member's tag at
/// first; `range.end` is the end of the message.
// Without optimization, what is inlined adds to the stack that each level of a message takes.
#[cfg_attr(not(debug_assertions), inline(always))]
#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts a varint to the width of its field"
)]
fn short_value(
    plan: &Plan,
    wire: &[u8],
    member: &MemberPlan,
    word: Word,
    range: Range<usize>,
    text: &mut Text<'_>,
) -> Option<Done> {
    let MemberPlan {
        tag,
        label,
        label_len,
        least,
        ..
    } = member;
    let Range { start: at, end } = range;
    macro_rules! varint {
        ($bits:ident => $kept:expr, $method:ident($($argument:expr),+)) => {{
            let varint = word.varint_behind(tag);
            let ($bits, len) = varint.or_else(|| wide_varint(wire, at, tag))?;
            if len > end.wrapping_sub(at) || $kept < *least {
                return None;
            }
            text.behind(label, *label_len).$method($($argument),+);
            Some(Done::at(at.wrapping_add(len)))
        }};
    }
    macro_rules! fixed {
        ($bytes:ident => $bits:expr, $method:ident($argument:expr)) => {{
            let start = at.wrapping_add(tag.len());
            let $bytes = array_at(wire, start)?;
            let bits = $bits;
            let value_end = start.wrapping_add($bytes.len());
            if value_end > end || u64::from(bits) < *least {
                return None;
            }
            text.behind(label, *label_len).$method($argument(bits));
            Some(Done::at(value_end))
        }};
    }
    match member.kind {
        Kind::String => {
            let range = word.delimited_behind(tag, at, end)?;
            if (range.len() as u64) < *least {
                return None;
            }
            let source = wire.get(range.start..)?;
            let is_high = text.behind(label, *label_len).string(source, range.len());
            Some(Done {
                at: range.end,
                high_from: is_high.then_some(range.start),
            })
        }
        Kind::Bytes => {
            let range = word.delimited_behind(tag, at, end)?;
            if (range.len() as u64) < *least {
                return None;
            }
            let at = range.end;
            let bytes = wire.get(range).unwrap_or_default();
            text.label(label, *label_len);
            text.lend(|out| write_base64(bytes, out));
            Some(Done::at(at))
        }
        Kind::Enum(index) => {
            let (bits, len) = word.varint_behind(tag)?;
            let number = bits as i32;
            if len > end.wrapping_sub(at) || u64::from(number.cast_unsigned()) < *least {
                return None;
            }
            let value = plan.enumeration(index).find_value(number)?;
            text.behind(label, *label_len).snippet(&value.text);
            Some(Done::at(at.wrapping_add(len)))
        }
        Kind::Bool => varint!(bits => bits, boolean(bits != 0)),
        Kind::Int32 => varint!(bits => u64::from(bits as u32), int32(bits as i32)),
        Kind::Uint32 => varint!(bits => u64::from(bits as u32), uint32(bits as u32)),
        Kind::Int64 => varint!(bits => bits, int64(bits.cast_signed(), is_quoted(plan))),
        Kind::Uint64 => varint!(bits => bits, uint64(bits, is_quoted(plan))),
        Kind::Double => fixed!(bytes => u64::from_le_bytes(*bytes), lone_double(f64::from_bits)),
        Kind::Float => fixed!(bytes => u32::from_le_bytes(*bytes), lone_float(f32::from_bits)),
        _ => None,
    }
}

/// A varint that the word at its tag does not hold, and the length of both.
#[inline(always)]
fn wide_varint(wire: &[u8], at: usize, tag: &TagPattern) -> Option<(u64, usize)> {
    let word = Word::at(wire, at.wrapping_add(tag.len()));
    let (value, len) = word.varint_behind(&TagPattern::NONE)?;
    Some((value, tag.len().wrapping_add(len)))
}

/// Whether 64-bit integers are strings. Asked where one is written, so that no register holds the answer all the time.
#[inline(always)]
fn is_quoted(plan: &Plan) -> bool {
    plan.options.int64 == Int64Style::String
}

/// Notes that a member of a oneof is set. True if another one was.
#[inline(always)]
fn is_second(oneof: u16, oneofs: &mut u64) -> bool {
    let bit = 1 << (oneof % WATCHED_ONEOF_COUNT);
    let is_second = *oneofs & bit != 0;
    *oneofs |= bit;
    is_second
}
