//! A message as it comes, its fields in the order of their numbers. In: where its bytes are. Out: its JSON form.
//! Always: stops at the first field that is out of order, and leaves that message to `collected`.

use std::ops::Range;

use super::value::{Lead, ScalarContext, Written, scalar, write_base64};
use super::{Converter, Stop, Stopped, noted};
use crate::error::ErrorKind;
use crate::json::Text;
use crate::limits::DEPTH_MAX;
use crate::plan::{
    Cardinality, FieldPlan, Form, Kind, MessageIndex, MessagePlan, WATCHED_ONEOF_COUNT,
};
use crate::wire::read::{LEN, Reader, TagPattern};

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

/// Where in a message the writing is.
struct Walk<'c> {
    reader: Reader<'c>,
    /// Fields of a lower index are written, set or unset.
    next: usize,
    /// Whether the brace is yet to be opened.
    opens: bool,
}

/// What the next tag is.
enum Found<'c> {
    /// A field, and whether it is encoded as it was declared: a list can be packed or not.
    Member(&'c FieldPlan, bool),
    /// Something that has been skipped, or a plain member.
    Nothing,
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
        self.members(plan, content, depth, Braces::Yes)
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
    #[inline]
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
            let mut walk = Walk {
                reader: Reader::new(self.wire, start as usize..end as usize),
                next: 0,
                opens: braces == Braces::Yes,
            };
            let mut done = self.plain_members(plan, &mut walk, braces);
            if done.is_ok() && !walk.reader.is_at_end() {
                done = self.members_in_order(plan, &mut walk, depth, braces);
            }
            if done.is_ok() {
                return Ok(());
            }
            self.begin_again((end - start) as usize, out_len)?;
        }
        self.members_listed(plan, content, depth, braces)
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

    /// Writes the fields of a message from the first that is not plain on.
    #[inline(never)]
    fn members_in_order(
        &mut self,
        plan: &'c MessagePlan,
        walk: &mut Walk<'c>,
        depth: u32,
        braces: Braces,
    ) -> Result<(), Stopped> {
        // One bit for each oneof that has a member.
        let mut oneofs = 0_u64;
        while !walk.reader.is_at_end() {
            let Found::Member(field, is_as_declared) = self.find_member(plan, walk, depth)? else {
                self.plain_members(plan, walk, braces)?;
                continue;
            };
            let start = self.out.len();
            let reader = &mut walk.reader;
            let written = match field.cardinality {
                Cardinality::Singular => self.value(Some(&field.label), field, reader, depth)?,
                Cardinality::Repeated => {
                    self.list_in_order(field, !is_as_declared, reader, depth)?
                }
                Cardinality::Packed => self.list_in_order(field, is_as_declared, reader, depth)?,
                Cardinality::Map => {
                    self.snippet(&field.label);
                    self.map_in_order(field, reader, depth)?
                }
            };
            if self.end_field(field, start, written) {
                walk.next = walk.next.wrapping_add(1);
                if let Some(oneof) = field.oneof {
                    let bit = 1 << (oneof % WATCHED_ONEOF_COUNT);
                    if oneofs & bit != 0 {
                        return Err(self.out_of_order());
                    }
                    oneofs |= bit;
                }
            }
            // Those that follow, and the end.
            self.plain_members(plan, walk, braces)?;
        }
        Ok(())
    }

    /// Writes members as long as each is the one that comes next in the plan, and plain: singular, in no oneof, no message; and the
    /// end of the message if it is there. Encoders write fields in order, and most fields are set, so that this is where most time
    /// goes. It calls nothing but for what is rare, so that what it needs is in registers.
    #[inline(never)]
    fn plain_members(
        &mut self,
        plan: &'c MessagePlan,
        walk: &mut Walk<'c>,
        braces: Braces,
    ) -> Result<(), Stopped> {
        let mut members = plan.members.get(walk.next..).unwrap_or_default();
        let mut reader = walk.reader.clone();
        let mut text = Text::new(self.out);
        if walk.opens {
            text.slot().open(b'{');
            walk.opens = false;
        }
        while let Some((member, following)) = members.split_first()
            && !reader.is_at_end()
            && let Some(ahead) = reader.ahead_of(&member.tag)
        {
            let has_no_presence = !member.has_presence;
            let written = if member.kind == Kind::String || member.kind == Kind::Bytes {
                let (source, len) = noted(reader.source_ahead(ahead), &mut self.stop)?;
                if len == 0 && has_no_presence {
                    Written::Default
                } else if member.kind == Kind::String {
                    let slot = text.behind(&member.label, member.label_len);
                    if slot.string(source, len) {
                        text.end();
                        self.note_high(source, len)?;
                        text = Text::new(self.out);
                    }
                    Written::Value
                } else {
                    text.label(&member.label, member.label_len);
                    text.lend(|out| write_base64(source.get(..len).unwrap_or_default(), out));
                    Written::Value
                }
            } else {
                let context = ScalarContext::new(self.plan, &mut self.stop);
                let lead = Lead::Label(&member.label, member.label_len);
                scalar(
                    member.kind,
                    &mut reader,
                    ahead,
                    context,
                    has_no_presence,
                    lead,
                    &mut text,
                )?
            };
            match written {
                Written::Default if has_no_presence => {
                    // Without presence the default is the same as nothing.
                    let index = plan.members.len().wrapping_sub(members.len());
                    text.lend(|out| unset_fields(plan, index..index.wrapping_add(1), out));
                }
                Written::Nothing => continue,
                _ => {}
            }
            members = following;
        }
        walk.next = plan.members.len().wrapping_sub(members.len());
        if reader.is_at_end() {
            if !members.is_empty() {
                text.lend(|out| unset_fields(plan, walk.next..plan.fields.len(), out));
            }
            if braces == Braces::Yes {
                text.close(b'}');
            }
        }
        text.end();
        walk.reader = reader;
        Ok(())
    }

    /// Finds the field of the next tag, writes the unset ones before it, and steps over the tag. Plain members are left to
    /// [`Converter::plain_members`], tag and all.
    fn find_member(
        &mut self,
        plan: &'c MessagePlan,
        walk: &mut Walk<'c>,
        depth: u32,
    ) -> Result<Found<'c>, Stopped> {
        let before = walk.reader.clone();
        if let Some(field) = plan.fields.get(walk.next)
            && walk.reader.take(&field.tag_pattern)
        {
            return Ok(Found::Member(field, true));
        }
        let (number, wire_type) = self.noted(walk.reader.tag())?;
        let known = plan
            .numbers
            .find(number)
            .map(|index| (index, plan.field(index)));
        // SEMANTICS 107
        let Some((index, field)) = known.filter(|(_, field)| accepts(field, wire_type)) else {
            self.noted(walk.reader.skip(number, wire_type, depth))?;
            return Ok(Found::Nothing);
        };
        let index = usize::from(index.0);
        if index < walk.next {
            return Err(self.out_of_order());
        }
        self.unset_fields(plan, walk.next..index);
        walk.next = index;
        if let Some(member) = plan.members.get(index)
            && before.ahead_of(&member.tag).is_some()
        {
            walk.reader = before;
            return Ok(Found::Nothing);
        }
        Ok(Found::Member(field, wire_type == field.wire_type()))
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

    /// Writes the elements that follow one another. Others of that list, or in the other encoding, come out of order then.
    fn list_in_order(
        &mut self,
        field: &'c FieldPlan,
        is_packed: bool,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        self.snippet(&field.label);
        self.write(|slot| slot.open(b'['));
        let start = self.out.len();
        let tag = &field.element_tag_pattern;
        if is_packed {
            self.packed(field, reader)?;
        } else if field.kind == Kind::String {
            self.strings_in_order(tag, reader)?;
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

    /// Writes strings that follow one another.
    #[inline(never)]
    fn strings_in_order(&mut self, tag: &TagPattern, lent: &mut Reader<'c>) -> Result<(), Stopped> {
        let mut reader = lent.clone();
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
        *lent = reader;
        Ok(())
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
    ) -> Result<Written, Stopped> {
        let Some(entry) = self.entry_plan(field) else {
            return Ok(Written::Nothing);
        };
        let base = self.scratch.map_entries.len();
        loop {
            let range = self.noted(reader.delimited())?;
            self.read_map_entry(entry, range, depth)?;
            // A tag that is too long for a pattern must be found too: what is left would be another field, to those who ask for all.
            let has_more = reader.take(&field.tag_pattern)
                || (field.tag.len > 4 && reader.take_bytes(field.tag.as_bytes()));
            if !has_more {
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
            let ahead = elements.ahead();
            scalar(
                kind,
                &mut elements,
                ahead,
                context,
                false,
                Lead::Nothing,
                &mut text,
            )?;
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
fn unset_fields(plan: &MessagePlan, range: Range<usize>, out: &mut Vec<u8>) {
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
