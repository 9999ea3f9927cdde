//! A message whose fields come in any order, often, or in pieces. In: where its bytes are. Out: its fields as JSON.
//! Always: the result is that of a parser that merges: of a scalar the last counts, pieces of a message are joined, elements
//! keep their order, of a oneof the last member stays.

use std::ops::Range;

use super::message::{Content, accepts};
use super::value::Written;
use super::{Converter, Stopped};
use crate::plan::{Cardinality, FieldIndex, FieldPlan, Kind, MessageIndex, MessagePlan};
use crate::wire::read::{LEN, Reader, START_GROUP};

/// One occurrence of a known field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Index of the field, or [`DROPPED`].
    field: u16,
    wire_type: u8,
    /// Where the value begins, behind its tag.
    pub(super) start: u32,
    /// Where the value ends; that of a group before its end tag.
    end: u32,
}

impl Entry {
    /// A value of wire type `LEN`; `range` holds its length too.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "convert has checked that the wire is shorter than 2^32"
    )]
    pub(super) fn delimited(field: FieldIndex, range: Range<usize>) -> Self {
        Self {
            field: field.0,
            wire_type: LEN,
            start: range.start as u32,
            end: range.end as u32,
        }
    }
}

/// The field of an entry that another member of its oneof has overridden. No message has so many fields.
const DROPPED: u16 = u16::MAX;

/// What is known of a oneof while the entries of a message are read backwards.
#[derive(Clone, Copy, Debug)]
pub(super) enum Member {
    None,
    /// This member was set last, and so far by nothing but this member.
    Last(u16),
    /// Another member was set before the last one, which emptied it: what comes before that is gone.
    Emptied,
}

impl<'c> Converter<'c> {
    /// Writes the fields of a message, each followed by a comma.
    #[inline(never)]
    pub(super) fn members_collected(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let mark = self.scratch.groups.mark();
        let done = self.members_by_number(plan, content, depth);
        self.scratch.groups.release(mark);
        done
    }

    fn members_by_number(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let base = self.scratch.entries.len();
        self.collect(plan, content, None, depth)?;
        let mut at = base;
        let mut next = 0;
        while let Some(index) = self.field_at(at) {
            let end = self.end_of_run(at, index);
            self.unset_fields(plan, next..usize::from(index));
            next = usize::from(index);
            let field = plan.field(FieldIndex(index));
            let start = self.out.len();
            self.snippet(&field.label);
            let written = self.run(field, at, end, depth)?;
            if self.end_field(field, start, written) {
                next += 1;
            }
            at = end;
        }
        self.unset_fields(plan, next..plan.fields.len());
        self.scratch.entries.truncate(base);
        Ok(())
    }

    /// Writes one field as a whole body.
    pub(super) fn lone_field(
        &mut self,
        message: MessageIndex,
        index: FieldIndex,
        content: Content,
    ) -> Result<(), Stopped> {
        let plan = self.plan.message(message);
        let field = plan.field(index);
        let start = self.out.len();
        self.collect(plan, content, Some(index), 1)?;
        let end = self.end_of_run(0, index.0);
        let mut written = Written::Nothing;
        if end > 0 {
            written = self.run(field, 0, end, 1)?;
        }
        if written == Written::Nothing {
            self.out.truncate(start);
            match field.cardinality {
                Cardinality::Singular => self.unset_body(field, 1)?,
                Cardinality::Repeated | Cardinality::Packed => self.out.extend_from_slice(b"[],"),
                Cardinality::Map => self.out.extend_from_slice(b"{},"),
            }
        }
        Ok(())
    }

    /// Lists the known fields of a message at the end of the scratch, sorted by field and then by place, without those that a
    /// later member of their oneof has overridden. With `only`, all but that field and its oneof are left out.
    pub(super) fn collect(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        only: Option<FieldIndex>,
        depth: u32,
    ) -> Result<(), Stopped> {
        let base = self.scratch.entries.len();
        match content {
            Content::Whole { start, end } => {
                let reader = Reader::new(self.wire, start as usize..end as usize);
                self.collect_piece(plan, reader, only, depth)?;
            }
            Content::Pieces { first, end } => {
                for piece in first..end {
                    let reader = Reader::new(self.wire, self.piece(piece)?);
                    self.collect_piece(plan, reader, only, depth)?;
                }
            }
        }
        if plan.oneof_count > 0 {
            self.drop_overridden(plan, base);
        }
        // The place makes each key unique, so the sort need not be stable, and so it needs no memory.
        let entries = self.scratch.entries.get_mut(base..).unwrap_or_default();
        entries.sort_unstable_by_key(|entry| (entry.field, entry.start));
        if plan.oneof_count > 0 {
            let kept = entries.partition_point(|entry| entry.field != DROPPED);
            self.scratch.entries.truncate(base + kept);
        }
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "convert has checked that the wire is shorter than 2^32"
    )]
    fn collect_piece(
        &mut self,
        plan: &'c MessagePlan,
        mut reader: Reader<'c>,
        only: Option<FieldIndex>,
        depth: u32,
    ) -> Result<(), Stopped> {
        if plan.is_message_set {
            return self.collect_set_members(plan, reader, only, depth);
        }
        while !reader.is_at_end() {
            let (number, wire_type) = self.noted(reader.tag())?;
            let value = reader.clone();
            let end = if wire_type == START_GROUP {
                self.group(number, &mut reader, depth)?.end
            } else {
                self.noted(reader.skip(number, wire_type, depth))?;
                reader.offset()
            };
            let Some(index) = plan.numbers.find(number) else {
                continue;
            };
            let field = plan.field(index);
            let is_wanted = only.is_none_or(|only| {
                only == index || (field.oneof.is_some() && field.oneof == plan.field(only).oneof)
            });
            if !is_wanted || !accepts(field, wire_type) {
                continue;
            }
            if field.cardinality == Cardinality::Singular
                && self.is_unknown_enum(field.kind, &value)?
            {
                continue;
            }
            self.scratch.entries.push(Entry {
                field: index.0,
                wire_type,
                start: value.offset() as u32,
                end: end as u32,
            });
        }
        Ok(())
    }

    /// Marks the entries from `base` on that a later member of their oneof has overridden.
    fn drop_overridden(&mut self, plan: &MessagePlan, base: usize) {
        let members = &mut self.scratch.members;
        members.clear();
        members.resize(usize::from(plan.oneof_count), Member::None);
        let entries = self.scratch.entries.get_mut(base..).unwrap_or_default();
        for entry in entries.iter_mut().rev() {
            let Some(member) = plan
                .field(FieldIndex(entry.field))
                .oneof
                .and_then(|oneof| members.get_mut(usize::from(oneof)))
            else {
                continue;
            };
            match *member {
                Member::None => *member = Member::Last(entry.field),
                Member::Last(last) if last == entry.field => {}
                Member::Last(_) | Member::Emptied => {
                    *member = Member::Emptied;
                    entry.field = DROPPED;
                }
            }
        }
    }

    /// The field of the entry at this place of the scratch.
    #[inline]
    pub(super) fn field_at(&self, at: usize) -> Option<u16> {
        self.scratch.entries.get(at).map(|entry| entry.field)
    }

    /// Where the entries of `field` that begin at `at` end.
    pub(super) fn end_of_run(&self, at: usize, field: u16) -> usize {
        let mut end = at;
        while self.field_at(end) == Some(field) {
            end += 1;
        }
        end
    }

    /// Writes the value of a field from its entries, which are not none.
    pub(super) fn run(
        &mut self,
        field: &'c FieldPlan,
        first: usize,
        end: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        match field.cardinality {
            Cardinality::Singular => self.singular_run(field, first, end, depth),
            Cardinality::Repeated | Cardinality::Packed => {
                self.write(|slot| slot.open(b'['));
                self.list_run(field, first, end, depth)
            }
            Cardinality::Map => self.map_run(field, first, end, depth),
        }
    }

    fn singular_run(
        &mut self,
        field: &'c FieldPlan,
        first: usize,
        end: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        if let Kind::Message(index) | Kind::Group(index) | Kind::SetMember(index) = field.kind
            && end - first > 1
        {
            self.message(index, Content::Pieces { first, end }, depth + 1)?;
            return Ok(Written::Value);
        }
        self.entry_value(field, end - 1, depth)
    }

    /// Writes the elements and the closing bracket.
    fn list_run(
        &mut self,
        field: &'c FieldPlan,
        first: usize,
        end: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let start = self.out.len();
        for at in first..end {
            if self.wire_type_at(at) == field.kind.wire_type() {
                self.entry_value(field, at, depth)?;
            } else {
                self.packed(field, &mut self.entry_reader(at))?;
            }
        }
        Ok(self.end_list(start))
    }

    fn map_run(
        &mut self,
        field: &'c FieldPlan,
        first: usize,
        end: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let Some(entry) = self.entry_plan(field) else {
            return Ok(Written::Nothing);
        };
        let base = self.scratch.map_entries.len();
        for at in first..end {
            let range = self.noted(self.entry_reader(at).delimited())?;
            self.read_map_entry(entry, range, depth)?;
        }
        self.map(entry, base, depth)
    }

    /// Writes the value of one entry.
    fn entry_value(
        &mut self,
        field: &'c FieldPlan,
        at: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        if let Kind::Message(index) | Kind::Group(index) | Kind::SetMember(index) = field.kind {
            let content = Content::range(self.piece(at)?);
            self.message(index, content, depth + 1)?;
            return Ok(Written::Value);
        }
        self.value(None, field, &mut self.entry_reader(at), depth)
    }

    /// Where the bytes of the message in one entry are.
    pub(super) fn piece(&mut self, at: usize) -> Result<Range<usize>, Stopped> {
        match self.scratch.entries.get(at) {
            Some(entry) if entry.wire_type == START_GROUP => {
                Ok(entry.start as usize..entry.end as usize)
            }
            _ => self.noted(self.entry_reader(at).delimited()),
        }
    }

    fn wire_type_at(&self, at: usize) -> u8 {
        let entry = self.scratch.entries.get(at);
        entry.map_or(LEN, |entry| entry.wire_type)
    }

    /// A reader of the value of one entry.
    pub(super) fn entry_reader(&self, at: usize) -> Reader<'c> {
        let range = self
            .scratch
            .entries
            .get(at)
            .map_or(0..0, |entry| entry.start as usize..entry.end as usize);
        Reader::new(self.wire, range)
    }
}
