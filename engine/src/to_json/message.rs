//! A message as it comes, its fields in the order of their numbers. In: where its bytes are. Out: its JSON form.
//! Always: stops at the first field that is out of order, and leaves that message to `collected`.

use std::ops::Range;

use super::value::Written;
use super::{Converter, Stop, Stopped};
use crate::error::ErrorKind;
use crate::json::Slot;
use crate::limits::DEPTH_MAX;
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessageIndex, MessagePlan};
use crate::wire::read::{LEN, Reader};

/// Where the bytes of one message are. Offsets are below 2^32, as `convert` has checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// One stretch of the wire.
    Whole { start: u32, end: u32 },
    /// The values of these entries of the scratch, to be read as if they stood one after the other: how protobuf merges the pieces
    /// of a message.
    Pieces { first: usize, end: usize },
}

impl Content {
    pub(super) fn whole(wire: &[u8]) -> Self {
        Self::range(0..wire.len())
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "convert has checked that the wire is shorter than 2^32"
    )]
    pub(super) fn range(range: Range<usize>) -> Self {
        Self::Whole {
            start: range.start as u32,
            end: range.end as u32,
        }
    }
}

/// Oneofs that writing in order can watch, one bit each.
const WATCHED_ONEOF_COUNT: u16 = 64;

impl<'c> Converter<'c> {
    /// Writes one message in its JSON form, and a comma. `depth` is its level, 1 for the root.
    pub(super) fn message(
        &mut self,
        index: MessageIndex,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let plan = self.plan.message(index);
        // SEMANTICS 96. A `Value` is no level: the objects and lists in it are, and they are checked.
        if depth > DEPTH_MAX && plan.form != Form::Value {
            let offset = self.offset(content);
            return Err(self.fault(ErrorKind::WireTooDeep, offset));
        }
        if self.is_too_long() {
            let offset = self.offset(content);
            return Err(self.fault(ErrorKind::ReplyTooLarge, offset));
        }
        match plan.form {
            Form::Object => {
                Slot::new(self.out).open(b'{');
                self.members(plan, content, depth)?;
                Slot::close(b'}', self.out);
                Ok(())
            }
            Form::Timestamp => self.timestamp(content, depth),
            Form::Duration => self.duration(content, depth),
            Form::FieldMask => self.field_mask(content, depth),
            Form::Struct => self.structure(plan, content, depth),
            Form::Value => self.dynamic_value(plan, content, depth),
            Form::ListValue => self.list_value(plan, content, depth),
            Form::Any => self.any(content, depth),
            Form::Wrapper => self.wrapper(plan, content, depth),
        }
    }

    /// Writes the fields of a message, each followed by a comma.
    pub(super) fn members(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let is_careful =
            self.is_careful || plan.has_spread_oneof || plan.oneof_count > WATCHED_ONEOF_COUNT;
        if let Content::Whole { start, end } = content
            && !is_careful
        {
            let range = start as usize..end as usize;
            let len = range.len();
            let out_len = self.out.len();
            let entry_count = self.scratch.entries.len();
            let map_entry_count = self.scratch.map_entries.len();
            if self.members_in_order(plan, range, depth).is_ok() {
                return Ok(());
            }
            // Only their order may have stopped them, and then they are written again.
            if !matches!(self.stop, Stop::OutOfOrder(_)) || len > self.redo_len_left {
                return Err(Stopped);
            }
            self.redo_len_left -= len;
            self.out.truncate(out_len);
            self.scratch.entries.truncate(entry_count);
            self.scratch.map_entries.truncate(map_entry_count);
        }
        self.members_collected(plan, content, depth)
    }

    fn members_in_order(
        &mut self,
        plan: &'c MessagePlan,
        range: Range<usize>,
        depth: u32,
    ) -> Result<(), Stopped> {
        let mut reader = Reader::new(self.wire, range);
        // Fields of a lower index are written, set or unset.
        let mut next = 0_usize;
        // One bit for each oneof that has a member.
        let mut oneofs = 0_u64;
        while !reader.is_at_end() {
            let tag_offset = reader.offset();
            // Encoders write fields in order, and most fields are set: the next one is compared with before any look-up.
            let (field, is_packed) = match plan.fields.get(next) {
                Some(field) if reader.take(field.tag.word(), field.tag.len) => {
                    (field, field.cardinality == Cardinality::Packed)
                }
                _ => {
                    let (number, wire_type) = self.noted(reader.tag())?;
                    let known = plan.numbers.find(number).map(|index| (index, plan.field(index)));
                    // SEMANTICS 107
                    let Some((index, field)) = known.filter(|(_, field)| accepts(field, wire_type))
                    else {
                        self.noted(reader.skip(number, wire_type, depth))?;
                        continue;
                    };
                    let index = usize::from(index.0);
                    if index < next {
                        return Err(self.out_of_order(tag_offset));
                    }
                    self.unset_fields(plan, next..index);
                    next = index;
                    (field, wire_type != field.kind.wire_type())
                }
            };
            let start = self.out.len();
            let written = match field.cardinality {
                Cardinality::Singular => {
                    self.value(Some(&field.label), field, &mut reader, depth)?
                }
                Cardinality::Repeated | Cardinality::Packed => {
                    self.list_in_order(field, is_packed, &mut reader, depth)?
                }
                Cardinality::Map => self.map_in_order(field, &mut reader, depth)?,
            };
            if !self.end_field(field, start, written) {
                continue;
            }
            next = next.wrapping_add(1);
            if let Some(oneof) = field.oneof {
                let bit = 1 << (oneof % WATCHED_ONEOF_COUNT);
                if oneofs & bit != 0 {
                    return Err(self.out_of_order(tag_offset));
                }
                oneofs |= bit;
            }
        }
        self.unset_fields(plan, next..plan.fields.len());
        Ok(())
    }

    /// Ends a field that was begun at `start` of the output. False if that leaves it unset and unwritten.
    #[inline(always)]
    pub(super) fn end_field(&mut self, field: &FieldPlan, start: usize, written: Written) -> bool {
        match written {
            Written::Nothing => {
                self.out.truncate(start);
                return false;
            }
            // Without presence the default is the same as nothing.
            Written::Default if !field.has_presence => {
                self.out.truncate(start);
                self.unset_field(field);
            }
            _ => {}
        }
        true
    }

    /// Writes the elements that follow one another. Others of that list, or in the other encoding, come out of order then.
    fn list_in_order(
        &mut self,
        field: &'c FieldPlan,
        is_packed: bool,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        Slot::after(&field.label, self.out).open(b'[');
        let start = self.out.len();
        let (tag, tag_len) = (field.element_tag.word(), field.element_tag.len);
        if is_packed {
            self.packed(field, reader)?;
        } else if field.kind == Kind::String {
            loop {
                self.string(None, reader)?;
                if !reader.take(tag, tag_len) {
                    break;
                }
            }
        } else {
            loop {
                self.element(field, reader, depth)?;
                if !reader.take(tag, tag_len) {
                    break;
                }
            }
        }
        Ok(self.end_list(start))
    }

    /// Ends a list whose elements were begun at `start` of the output.
    pub(super) fn end_list(&mut self, start: usize) -> Written {
        let written = if self.out.len() == start {
            Written::Nothing
        } else {
            Written::Value
        };
        Slot::close(b']', self.out);
        written
    }

    fn map_in_order(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let Some(entry) = self.entry_plan(field) else {
            return Ok(Written::Nothing);
        };
        Slot::after(&field.label, self.out).end();
        let base = self.scratch.map_entries.len();
        loop {
            let range = self.noted(reader.delimited())?;
            self.read_map_entry(entry, range, depth)?;
            if !reader.take(field.tag.word(), field.tag.len) {
                break;
            }
        }
        self.map(entry, base, depth)
    }

    /// Writes an element.
    #[inline]
    pub(super) fn element(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<(), Stopped> {
        if self.is_too_long() {
            return Err(self.fault(ErrorKind::ReplyTooLarge, reader.offset()));
        }
        self.value(None, field, reader, depth)?;
        Ok(())
    }

    /// Writes the elements of one packed field.
    pub(super) fn packed(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
    ) -> Result<(), Stopped> {
        let range = self.noted(reader.delimited())?;
        let elements = Reader::new(self.wire, range);
        // A kind that is known when compiled makes a loop of its own.
        match field.kind {
            Kind::Double => self.packed_of(Kind::Double, elements),
            Kind::Float => self.packed_of(Kind::Float, elements),
            Kind::Int32 => self.packed_of(Kind::Int32, elements),
            Kind::Int64 => self.packed_of(Kind::Int64, elements),
            Kind::Uint32 => self.packed_of(Kind::Uint32, elements),
            Kind::Uint64 => self.packed_of(Kind::Uint64, elements),
            kind => self.packed_of(kind, elements),
        }
    }

    #[inline(always)]
    fn packed_of(&mut self, kind: Kind, mut elements: Reader<'c>) -> Result<(), Stopped> {
        while !elements.is_at_end() {
            if self.is_too_long() {
                return Err(self.fault(ErrorKind::ReplyTooLarge, elements.offset()));
            }
            self.packable(None, kind, &mut elements)?;
        }
        Ok(())
    }

    pub(super) fn unset_fields(&mut self, plan: &MessagePlan, range: Range<usize>) {
        for field in plan.fields.get(range).unwrap_or_default() {
            self.unset_field(field);
        }
    }

    #[inline]
    fn unset_field(&mut self, field: &FieldPlan) {
        if field.unset.len() > 0 {
            Slot::after(&field.unset, self.out).end();
        }
    }

    /// Whether the output is too long to go on. Asked before what may be far longer as JSON than on the wire: a message, for the fields
    /// that it leaves unset, and an element, for the name of an enum's value. Nothing else can grow more than six times.
    #[inline(always)]
    fn is_too_long(&self) -> bool {
        self.out.len() > self.out_len_max
    }

    /// The plan of a map's entries.
    pub(super) fn entry_plan(&self, field: &FieldPlan) -> Option<&'c MessagePlan> {
        match field.kind {
            Kind::Message(index) => Some(self.plan.message(index)),
            _ => None,
        }
    }

    /// Where a message begins, for errors.
    pub(super) fn offset(&self, content: Content) -> usize {
        match content {
            Content::Whole { start, .. } => start as usize,
            Content::Pieces { first, .. } => self
                .scratch
                .entries
                .get(first)
                .map_or(0, |entry| entry.start as usize),
        }
    }
}

/// Whether a value of this wire type is one of the field; any other is an unknown field that happens to have its number.
#[inline]
pub(super) fn accepts(field: &FieldPlan, wire_type: u8) -> bool {
    let own = field.kind.wire_type();
    // A list of scalars is read packed or not, however it was declared.
    wire_type == own
        || (wire_type == LEN
            && matches!(own, 0 | 1 | 5)
            && field.cardinality != Cardinality::Singular)
}
