//! A message as it comes, its fields in the order of their numbers. In: where its bytes are. Out: its JSON form.
//! Always: stops at the first field that is out of order, and leaves that message to `collected`.

use std::ops::Range;

use super::value::Written;
use super::{Converter, Stop};
use crate::error::{Error, ErrorKind};
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
    /// Writes one message in its JSON form. `depth` is its level, 1 for the root.
    pub(super) fn message(
        &mut self,
        index: MessageIndex,
        content: Content,
        depth: u32,
    ) -> Result<(), Stop> {
        let plan = self.plan.message(index);
        // SEMANTICS 96. A `Value` is no level: the objects and lists in it are, and they are checked.
        if depth > DEPTH_MAX && plan.form != Form::Value {
            let offset = self.offset(content);
            return Err(Error::reply(ErrorKind::WireTooDeep, offset).into());
        }
        self.check_len(|converter| converter.offset(content))?;
        match plan.form {
            Form::Object => {
                self.out.push(b'{');
                self.members(plan, content, depth)?;
                self.close(b'}');
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
    ) -> Result<(), Stop> {
        let is_careful = self.is_careful
            || plan.has_spread_oneof
            || plan.is_message_set
            || plan.oneof_count > WATCHED_ONEOF_COUNT;
        if let Content::Whole { start, end } = content
            && !is_careful
        {
            let range = start as usize..end as usize;
            let len = range.len();
            let out_len = self.out.len();
            let entry_count = self.scratch.entries.len();
            let map_entry_count = self.scratch.map_entries.len();
            match self.members_in_order(plan, range, depth) {
                Err(Stop::OutOfOrder(_)) if len <= self.redo_len_left => {
                    self.redo_len_left -= len;
                    self.out.truncate(out_len);
                    self.scratch.entries.truncate(entry_count);
                    self.scratch.map_entries.truncate(map_entry_count);
                }
                done => return done,
            }
        }
        self.members_collected(plan, content, depth)
    }

    fn members_in_order(
        &mut self,
        plan: &'c MessagePlan,
        range: Range<usize>,
        depth: u32,
    ) -> Result<(), Stop> {
        let mut reader = Reader::new(self.wire, range);
        // Fields of a lower index are written, set or unset.
        let mut next = 0;
        // One bit for each oneof that has a member.
        let mut oneofs = 0_u64;
        while !reader.is_at_end() {
            let tag_offset = reader.offset();
            let (number, wire_type) = reader.tag()?;
            // SEMANTICS 107
            let Some(index) = plan.numbers.find(number) else {
                reader.skip(number, wire_type, depth)?;
                continue;
            };
            let field = plan.field(index);
            if !accepts(field, wire_type) {
                reader.skip(number, wire_type, depth)?;
                continue;
            }
            let index = usize::from(index.0);
            if index < next {
                return Err(Stop::OutOfOrder(tag_offset));
            }
            if next < index {
                self.unset_fields(plan, next..index);
                next = index;
            }
            if !self.field_in_order(field, wire_type, &mut reader, depth)? {
                continue;
            }
            next += 1;
            if let Some(oneof) = field.oneof {
                let bit = 1 << (oneof % WATCHED_ONEOF_COUNT);
                if oneofs & bit != 0 {
                    return Err(Stop::OutOfOrder(tag_offset));
                }
                oneofs |= bit;
            }
        }
        self.unset_fields(plan, next..plan.fields.len());
        Ok(())
    }

    /// Writes a field whose tag has been read, with a comma after it. False if that leaves it unset and unwritten.
    #[inline]
    fn field_in_order(
        &mut self,
        field: &'c FieldPlan,
        wire_type: u8,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<bool, Stop> {
        let start = self.out.len();
        self.out.extend_from_slice(&field.key);
        let written = match field.cardinality {
            Cardinality::Singular => self.value(field, reader, depth)?,
            Cardinality::Repeated | Cardinality::Packed => {
                self.list_in_order(field, wire_type, reader, depth)?
            }
            Cardinality::Map => self.map_in_order(field, reader, depth)?,
        };
        Ok(self.end_field(field, start, written))
    }

    /// Ends a field that was begun at `start` of the output. False if that leaves it unset and unwritten.
    #[inline]
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
            _ => self.out.push(b','),
        }
        true
    }

    /// Writes the elements that follow one another. Others of that list, or in the other encoding, come out of order then.
    fn list_in_order(
        &mut self,
        field: &'c FieldPlan,
        wire_type: u8,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stop> {
        self.out.push(b'[');
        let start = self.out.len();
        if wire_type == field.kind.wire_type() {
            loop {
                self.element(field, reader, depth)?;
                if !reader.take(field.element_tag.as_bytes()) {
                    break;
                }
            }
        } else {
            self.packed(field, reader)?;
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
        self.close(b']');
        written
    }

    /// Ends elements that were begun at `start` of the output and go on elsewhere: the last comma is taken back.
    pub(super) fn end_elements(&mut self, start: usize) -> Written {
        if self.out.len() == start {
            return Written::Nothing;
        }
        self.out.pop();
        Written::Value
    }

    pub(super) fn map_in_order(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stop> {
        let Some(entry) = self.entry_plan(field) else {
            return Ok(Written::Nothing);
        };
        let base = self.scratch.map_entries.len();
        loop {
            let range = reader.delimited()?;
            self.read_map_entry(entry, range, depth)?;
            if !reader.take(field.tag.as_bytes()) {
                break;
            }
        }
        self.map(entry, base, depth)
    }

    /// Writes an element, with a comma after it.
    #[inline]
    pub(super) fn element(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<(), Stop> {
        self.check_len(|_| reader.offset())?;
        if self.value(field, reader, depth)? != Written::Nothing {
            self.out.push(b',');
        }
        Ok(())
    }

    /// Writes the elements of one packed field, each with a comma after it.
    pub(super) fn packed(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
    ) -> Result<(), Stop> {
        let mut elements = Reader::new(self.wire, reader.delimited()?);
        while !elements.is_at_end() {
            self.check_len(|_| elements.offset())?;
            if self.packable(field.kind, &mut elements)? != Written::Nothing {
                self.out.push(b',');
            }
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
        if !field.unset.is_empty() {
            self.out.extend_from_slice(&field.unset);
            self.out.push(b',');
        }
    }

    /// Ends an object or array whose members each have a comma after them: the last comma gives way to the bracket.
    #[inline]
    pub(super) fn close(&mut self, bracket: u8) {
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = bracket,
            _ => self.out.push(bracket),
        }
    }

    /// Refuses to go on where the output is too long. Asked before what may be far longer as JSON than on the wire: a message, for the fields
    /// that it leaves unset, and an element, for the name of an enum's value. Nothing else can grow more than six times.
    #[inline]
    pub(super) fn check_len(&self, offset: impl Fn(&Self) -> usize) -> Result<(), Error> {
        if self.out.len() > self.out_len_max {
            return Err(Error::reply(ErrorKind::ReplyTooLarge, offset(self)));
        }
        Ok(())
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
