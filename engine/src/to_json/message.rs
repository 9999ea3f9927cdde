//! A message as it comes, its fields in the order of their numbers. In: where its bytes are. Out: its JSON form.
//! Always: stops at the first field that is out of order, and leaves that message to `collected`.

use std::ops::Range;

use super::value::{ScalarContext, Written, scalar};
use super::{Converter, Stop, Stopped, noted};
use crate::error::ErrorKind;
use crate::json::{Slot, Text};
use crate::limits::DEPTH_MAX;
use crate::plan::{
    Cardinality, FieldPlan, Form, Kind, MemberPlan, MessageIndex, MessagePlan, WATCHED_ONEOF_COUNT,
};
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

/// What a tag that was not expected is.
enum Found {
    /// The field with this index, and whether it is encoded as it was declared: a list can be packed or not.
    Member(usize, bool),
    /// Nothing that is known.
    Skipped,
}

impl<'c> Converter<'c> {
    /// Writes one message in its JSON form, and a comma. `depth` is its level, 1 for the root.
    #[inline]
    pub(super) fn message(
        &mut self,
        index: MessageIndex,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let plan = self.plan.message(index);
        if plan.form != Form::Object || depth > DEPTH_MAX || self.is_too_long() {
            return self.special_message(plan, content, depth);
        }
        Slot::new(self.out).open(b'{').end();
        self.members(plan, content, depth)?;
        Text::new(self.out).close(b'}').end();
        Ok(())
    }

    /// A message that has a form of its own or is not to be written at all.
    #[inline(never)]
    fn special_message(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        // SEMANTICS 96. A `Value` is no level: the objects and lists in it are, and they are checked.
        if depth > DEPTH_MAX && plan.form != Form::Value {
            let offset = self.offset(content);
            return Err(self.fault(ErrorKind::WireTooDeep, offset));
        }
        match plan.form {
            Form::Timestamp if !self.is_too_long() => self.timestamp(content, depth),
            Form::Duration if !self.is_too_long() => self.duration(content, depth),
            Form::FieldMask if !self.is_too_long() => self.field_mask(content, depth),
            Form::Struct if !self.is_too_long() => self.structure(plan, content, depth),
            Form::Value if !self.is_too_long() => self.dynamic_value(plan, content, depth),
            Form::ListValue if !self.is_too_long() => self.list_value(plan, content, depth),
            Form::Any if !self.is_too_long() => self.any(content, depth),
            Form::Wrapper if !self.is_too_long() => self.wrapper(plan, content, depth),
            _ => {
                let offset = self.offset(content);
                Err(self.fault(ErrorKind::ReplyTooLarge, offset))
            }
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
        // What is lent to a function, readers and the text alike, is a copy, so that these need not be in memory.
        let mut text = Text::new(self.out);
        // Fields of a lower index are written, set or unset.
        let mut next = 0_usize;
        // One bit for each oneof that has a member.
        let mut oneofs = 0_u64;
        while !reader.is_at_end() {
            let mut member = plan.members.get(next);
            let mut is_as_declared = true;
            // Encoders write fields in order, and most fields are set: the next one is compared with before any look-up.
            let ahead = match member.and_then(|member| reader.tag_ahead(member.tag, member.tag_len))
            {
                Some(ahead) => ahead,
                None => {
                    text.end();
                    let mut lent = reader.clone();
                    let found = self.find_member(plan, next, &mut lent, depth)?;
                    reader = lent;
                    text = Text::new(self.out);
                    let Found::Member(index, as_declared) = found else {
                        continue;
                    };
                    next = index;
                    member = plan.members.get(next);
                    is_as_declared = as_declared;
                    reader.ahead()
                }
            };
            let Some(member) = member else { break };
            if member.oneof & oneofs != 0 {
                return Err(self.out_of_order(reader.offset()));
            }
            let start = text.len();
            let written;
            match member.kind {
                _ if !member.is_plain => {
                    text.end();
                    let mut lent = reader.clone();
                    self.noted(lent.step(ahead))?;
                    written = self.other_member(plan, next, is_as_declared, &mut lent, depth)?;
                    reader = lent;
                    text = Text::new(self.out);
                }
                Kind::String => {
                    let (source, len) = noted(reader.source_ahead(ahead), &mut self.stop)?;
                    let slot = text.behind(&member.label, member.label_len);
                    let is_high;
                    (text, is_high) = slot.string(source, len);
                    self.has_high_bits |= is_high;
                    written = Written::unless_default(len == 0);
                }
                Kind::Message(index) => {
                    let (source, len) = noted(reader.source_ahead(ahead), &mut self.stop)?;
                    let start = reader.offset_of(source);
                    text.behind(&member.label, member.label_len).nothing().end();
                    let content = Content::range(start..start.wrapping_add(len));
                    self.message(index, content, depth.wrapping_add(1))?;
                    text = Text::new(self.out);
                    written = Written::Value;
                }
                Kind::Bytes => {
                    let (source, len) = noted(reader.source_ahead(ahead), &mut self.stop)?;
                    text.behind(&member.label, member.label_len).nothing().end();
                    self.base64(source.get(..len).unwrap_or_default());
                    text = Text::new(self.out);
                    written = Written::unless_default(len == 0);
                }
                kind => {
                    let slot = text.behind(&member.label, member.label_len);
                    let context = ScalarContext::new(self.plan, &mut self.stop);
                    (text, written) = scalar(kind, &mut reader, ahead, slot, context)?;
                }
            }
            match written {
                Written::Value => {}
                Written::Default if member.has_presence => {}
                _ => {
                    text.cut(start).end();
                    if written == Written::Default {
                        self.unset_fields(plan, next..next.wrapping_add(1));
                    }
                    text = Text::new(self.out);
                    if written == Written::Nothing {
                        continue;
                    }
                }
            }
            oneofs |= member.oneof;
            next = next.wrapping_add(1);
        }
        text.end();
        if next < plan.members.len() {
            self.unset_fields(plan, next..plan.members.len());
        }
        Ok(())
    }

    /// Reads a tag that is not that of the field `next` and says whose it is, unless it has been skipped.
    #[inline(never)]
    fn find_member(
        &mut self,
        plan: &'c MessagePlan,
        next: usize,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Found, Stopped> {
        let tag_offset = reader.offset();
        let (number, wire_type) = self.noted(reader.tag())?;
        // SEMANTICS 107
        let known = plan
            .numbers
            .find(number)
            .map(|index| (index, plan.field(index)));
        let Some((index, field)) = known.filter(|(_, field)| accepts(field, wire_type)) else {
            self.noted(reader.skip(number, wire_type, depth))?;
            return Ok(Found::Skipped);
        };
        let index = usize::from(index.0);
        if index < next {
            return Err(self.out_of_order(tag_offset));
        }
        self.unset_fields(plan, next..index);
        Ok(Found::Member(index, wire_type == field.wire_type()))
    }

    /// Writes a member that is a list, a map, a group, or has a long label.
    #[inline(never)]
    fn other_member(
        &mut self,
        plan: &'c MessagePlan,
        index: usize,
        is_as_declared: bool,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let Some(field) = plan.fields.get(index) else {
            return Ok(Written::Nothing);
        };
        match field.cardinality {
            Cardinality::Singular => self.value(Some(&field.label), field, reader, depth),
            Cardinality::Repeated => self.list_in_order(field, !is_as_declared, reader, depth),
            Cardinality::Packed => self.list_in_order(field, is_as_declared, reader, depth),
            Cardinality::Map => self.map_in_order(field, reader, depth),
        }
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
        Text::new(self.out).after(&field.label).open(b'[').end();
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
        Text::new(self.out).close(b']').end();
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
        Text::new(self.out).after(&field.label).nothing().end();
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
        let mut text = Text::new(self.out);
        while !elements.is_at_end() {
            if text.len() > self.out_len_max {
                return Err(self.fault(ErrorKind::ReplyTooLarge, elements.offset()));
            }
            let context = ScalarContext::new(self.plan, &mut self.stop);
            let ahead = elements.ahead();
            (text, _) = scalar(kind, &mut elements, ahead, text.slot(), context)?;
        }
        text.end();
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
            Text::new(self.out).after(&field.unset).nothing().end();
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
