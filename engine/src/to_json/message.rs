//! A message, a list, a field: what all ways of writing them share. In: where its bytes are. Out: its JSON form.
//! Always: a message is written as it comes, by `in_order`; one that is not in order is left to `collected`.

use std::ops::Range;

use super::value::{ScalarContext, Written, scalar};
use super::{Converter, Stop, Stopped};
use crate::error::ErrorKind;
use crate::json::Text;
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

/// Whether the members of a message are to be put in braces, or stand behind others that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    Yes,
    No,
}

impl<'c> Converter<'c> {
    /// Writes one message in its JSON form, and a comma. `depth` is its level, 1 for the root.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn message(
        &mut self,
        index: MessageIndex,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let plan = self.plan.message(index);
        if plan.form == Form::Object && depth <= DEPTH_MAX && !self.is_too_long() {
            return self.members(plan, content, depth, Braces::Yes);
        }
        self.special_message(plan, content, depth)
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
        self.check_len(self.offset(content))?;
        match plan.form {
            Form::Object => self.members(plan, content, depth, Braces::Yes),
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
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn members(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
        braces: Braces,
    ) -> Result<(), Stopped> {
        if let Content::Whole { start, end } = content
            && plan.is_watchable
            && !self.is_careful
        {
            let out_len = self.out.len();
            let done = self.members_in_order(plan, start as usize, end as usize, depth, braces);
            if done.is_ok() {
                return done;
            }
            return self.members_again(plan, start..end, depth, braces, out_len);
        }
        self.members_listed(plan, content, depth, braces)
    }

    /// Writes a message, which began at `out_len` of the output, once more, if it was only the order of its fields that stopped it.
    #[cold]
    #[inline(never)]
    fn members_again(
        &mut self,
        plan: &'c MessagePlan,
        range: Range<u32>,
        depth: u32,
        braces: Braces,
        out_len: usize,
    ) -> Result<(), Stopped> {
        let Range { start, end } = range;
        self.begin_again((end - start) as usize, out_len)?;
        self.members_listed(plan, Content::Whole { start, end }, depth, braces)
    }

    /// Cuts the output back to where a message of `len` bytes began, if it was only the order of its fields that stopped it.
    #[cold]
    fn begin_again(&mut self, len: usize, out_len: usize) -> Result<(), Stopped> {
        if !matches!(self.stop, Stop::OutOfOrder) || len > self.redo_len_left {
            return Err(Stopped);
        }
        if !self.is_text_from(out_len) {
            self.stop = Stop::NoText;
            return Err(Stopped);
        }
        // Only a message that is itself out of order comes here, since what it holds is no longer than it. Between its own fields
        // nothing of it is on the stacks of the scratch.
        self.redo_len_left -= len;
        self.out.truncate(out_len);
        Ok(())
    }

    #[inline(never)]
    fn members_listed(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
        braces: Braces,
    ) -> Result<(), Stopped> {
        if braces == Braces::Yes {
            self.write(|slot| slot.open(b'{'));
        }
        self.members_collected(plan, content, depth)?;
        if braces == Braces::Yes {
            self.close(b'}');
        }
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
                self.snippet(&field.unset);
            }
            _ => {}
        }
        true
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

    /// Writes an element.
    #[inline]
    pub(super) fn element(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<(), Stopped> {
        self.check_len(reader.offset())?;
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
            scalar(None, kind, &mut elements, context, &mut text)?;
        }
        text.end();
        Ok(())
    }

    pub(super) fn unset_fields(&mut self, plan: &MessagePlan, range: Range<usize>) {
        unset_fields(plan, range, self.out);
    }

    /// Whether the output is too long to go on. Asked before what may be far longer as JSON than on the wire: a message, for the fields
    /// that it leaves unset, and an element, for the name of an enum's value. Nothing else can grow more than six times.
    #[inline(always)]
    fn is_too_long(&self) -> bool {
        self.out.len() > self.out_len_max
    }

    /// Refuses to go on there. `offset` is where the reading is.
    pub(super) fn check_len(&mut self, offset: usize) -> Result<(), Stopped> {
        if self.is_too_long() {
            return Err(self.fault(ErrorKind::ReplyTooLarge, offset));
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

#[inline(never)]
pub(super) fn unset_fields(plan: &MessagePlan, range: Range<usize>, out: &mut Vec<u8>) {
    let mut text = Text::new(out);
    for field in plan.fields.get(range).unwrap_or_default() {
        text.snippet(&field.unset);
    }
    text.end();
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
