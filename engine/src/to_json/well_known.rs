//! The messages of `google.protobuf` that have a JSON form of their own. In: where their bytes are. Out: that form.
//! Always: what has no such form is a fault, never invalid or misleading text (SEMANTICS 102 to 104).

use std::ops::Range;

use super::message::{Braces, Content};
use super::{Converter, Stop, Stopped};
use crate::error::{Error, ErrorKind, Expected};
use crate::limits::DEPTH_MAX;
use crate::plan::{FieldIndex, FieldPlan, Form, MessagePlan};
use crate::text::{duration, field_mask, timestamp};
use crate::wire::read::{LEN, Reader};

/// The field of `Value` that holds a number.
const NUMBER_VALUE: u32 = 2;

impl<'c> Converter<'c> {
    pub(super) fn timestamp(&mut self, content: Content, depth: u32) -> Result<(), Stopped> {
        let (seconds, nanos) = self.seconds_and_nanos(content, depth)?;
        self.out.push(b'"');
        if !timestamp::write(seconds, nanos, self.out) {
            return Err(self.unprintable(Expected::Timestamp, content));
        }
        self.out.extend_from_slice(b"\",");
        Ok(())
    }

    pub(super) fn duration(&mut self, content: Content, depth: u32) -> Result<(), Stopped> {
        let (seconds, nanos) = self.seconds_and_nanos(content, depth)?;
        self.out.push(b'"');
        if !duration::write(seconds, nanos, self.out) {
            return Err(self.unprintable(Expected::Duration, content));
        }
        self.out.extend_from_slice(b"\",");
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts a varint to the width of its field"
    )]
    fn seconds_and_nanos(&mut self, content: Content, depth: u32) -> Result<(i64, i32), Stopped> {
        let mut seconds = 0;
        let mut nanos = 0;
        self.each_field(content, depth, |number, wire_type, reader| {
            match (number, wire_type) {
                (1, 0) => seconds = reader.varint()?.cast_signed(),
                (2, 0) => nanos = reader.varint()? as i32,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok((seconds, nanos))
    }

    pub(super) fn field_mask(&mut self, content: Content, depth: u32) -> Result<(), Stopped> {
        let wire = self.wire;
        self.out.push(b'"');
        let start = self.out.len();
        let mut piece = 0;
        while let Some(mut reader) = self.piece_reader(content, piece)? {
            piece += 1;
            while !reader.is_at_end() {
                let (number, wire_type) = self.noted(reader.tag())?;
                if (number, wire_type) != (1, LEN) {
                    self.noted(reader.skip(number, wire_type, depth))?;
                    continue;
                }
                let range = self.noted(reader.delimited())?;
                if self.out.len() > start {
                    self.out.push(b',');
                }
                let path = wire.get(range.clone()).unwrap_or_default();
                // SEMANTICS 102: what would not read back the same is refused.
                if !field_mask::path_to_camel(path, self.out) {
                    return Err(self.unprintable(Expected::FieldMask, Content::range(range)));
                }
            }
        }
        self.out.extend_from_slice(b"\",");
        Ok(())
    }

    pub(super) fn structure(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let Some(entry) = plan.fields.first().and_then(|field| self.entry_plan(field)) else {
            return Ok(());
        };
        let base = self.scratch.map_entries.len();
        let mut piece = 0;
        while let Some(mut reader) = self.piece_reader(content, piece)? {
            piece += 1;
            while !reader.is_at_end() {
                let (number, wire_type) = self.noted(reader.tag())?;
                if (number, wire_type) == (1, LEN) {
                    let range = self.noted(reader.delimited())?;
                    self.read_map_entry(entry, range, depth)?;
                } else {
                    self.noted(reader.skip(number, wire_type, depth))?;
                }
            }
        }
        self.map(entry, base, depth)?;
        Ok(())
    }

    pub(super) fn list_value(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let Some(values) = plan.fields.first() else {
            return Ok(());
        };
        self.write(|slot| slot.open(b'['));
        let mut piece = 0;
        while let Some(mut reader) = self.piece_reader(content, piece)? {
            piece += 1;
            while !reader.is_at_end() {
                let (number, wire_type) = self.noted(reader.tag())?;
                if (number, wire_type) == (1, LEN) {
                    self.element(values, &mut reader, depth)?;
                } else {
                    self.noted(reader.skip(number, wire_type, depth))?;
                }
            }
        }
        self.close(b']');
        Ok(())
    }

    /// Writes a `Value`. It is no level of its own: in JSON only the objects and lists are, and the limit is that of JSON.
    pub(super) fn dynamic_value(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let level = depth - 1;
        if let Some((field, mut reader)) = self.only_field(plan, content)? {
            self.noted(refuse_not_finite(field, &reader))?;
            self.value(None, field, &mut reader, level)?;
            return Ok(());
        }
        let base = self.scratch.entries.len();
        self.collect(plan, content, None, depth)?;
        // SEMANTICS 104: a value without a kind has no form.
        let Some(index) = self.field_at(base) else {
            return Err(self.unprintable(Expected::Value, content));
        };
        let end = self.end_of_run(base, index);
        let field = plan.field(FieldIndex(index));
        self.noted(refuse_not_finite(field, &self.entry_reader(end - 1)))?;
        self.run(field, base, end, level)?;
        self.scratch.entries.truncate(base);
        Ok(())
    }

    /// The field of a message that holds one known field and nothing else, and a reader of its value.
    fn only_field(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
    ) -> Result<Option<(&'c FieldPlan, Reader<'c>)>, Stopped> {
        let Content::Whole { start, end } = content else {
            return Ok(None);
        };
        let mut reader = Reader::new(self.wire, start as usize..end as usize);
        if reader.is_at_end() {
            return Ok(None);
        }
        let (number, wire_type) = self.noted(reader.tag())?;
        let Some(index) = plan.numbers.find(number) else {
            return Ok(None);
        };
        let field = plan.field(index);
        if field.kind.wire_type() != wire_type {
            return Ok(None);
        }
        let value = reader.clone();
        self.noted(reader.skip(number, wire_type, 1))?;
        Ok(reader.is_at_end().then_some((field, value)))
    }

    pub(super) fn wrapper(
        &mut self,
        plan: &'c MessagePlan,
        content: Content,
        depth: u32,
    ) -> Result<(), Stopped> {
        let Some(field) = plan.fields.first() else {
            return Ok(());
        };
        let mut last = None;
        self.each_field(content, depth, |number, wire_type, reader| {
            if (number, wire_type) != (1, field.kind.wire_type()) {
                return Ok(false);
            }
            last = Some(reader.clone());
            reader.skip(number, wire_type, depth)?;
            Ok(true)
        })?;
        match last {
            Some(mut value) => self.value(None, field, &mut value, depth).map(drop),
            None => self.default_value(field, self.offset(content), depth),
        }
    }

    /// Writes an `Any`: the fields of the message it holds behind its type, or the JSON form of a well-known type as `value`
    /// (SEMANTICS 103).
    pub(super) fn any(&mut self, content: Content, depth: u32) -> Result<(), Stopped> {
        let (url, value) = self.url_and_value(content, depth)?;
        if url.is_empty() && value.is_empty() {
            self.out.extend_from_slice(b"{},");
            return Ok(());
        }
        let name = self.text(url)?;
        let entry_count = self.scratch.entries.len();
        let map_entry_count = self.scratch.map_entries.len();
        self.out.extend_from_slice(b"{\"@type\":");
        self.write(|slot| slot.string(name.as_bytes(), name.len()));
        let type_end = self.out.len();
        let resolved = self.any_value(name, Content::range(value.clone()), depth);
        if resolved.is_ok() {
            self.close(b'}');
            return Ok(());
        }
        if !self.is_lenient || !matches!(self.stop, Stop::Fault(_)) {
            return Err(Stopped);
        }
        // SEMANTICS 117
        self.scratch.entries.truncate(entry_count);
        self.scratch.map_entries.truncate(map_entry_count);
        self.out.truncate(type_end);
        self.out.extend_from_slice(b"\"value\":");
        self.base64(self.wire.get(value).unwrap_or_default());
        self.close(b'}');
        Ok(())
    }

    /// Writes the message that an `Any` holds, each field with a comma after it.
    fn any_value(&mut self, url: &str, value: Content, depth: u32) -> Result<(), Stopped> {
        // SEMANTICS 88: the name is what follows the last slash. Without one no request would take what is written here.
        let name = url.rsplit_once('/').map(|(_, name)| name);
        let Some(message) = name.and_then(|name| self.plan.find_message(name)) else {
            return Err(self.unprintable(Expected::Any, value));
        };
        let plan = self.plan.message(message.index);
        if plan.form != Form::Object {
            self.out.extend_from_slice(b"\"value\":");
            return self.message(message.index, value, depth + 1);
        }
        // SEMANTICS 96
        if depth >= DEPTH_MAX {
            return Err(self.fault(ErrorKind::WireTooDeep, self.offset(value)));
        }
        self.members(plan, value, depth + 1, Braces::No)
    }

    fn url_and_value(
        &mut self,
        content: Content,
        depth: u32,
    ) -> Result<(Range<usize>, Range<usize>), Stopped> {
        let mut url = 0..0;
        let mut value = 0..0;
        self.each_field(content, depth, |number, wire_type, reader| {
            match (number, wire_type) {
                (1, LEN) => url = reader.delimited()?,
                (2, LEN) => value = reader.delimited()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok((url, value))
    }

    /// Hands each field of a message to `read`, which says whether it has read the value; if not, it is skipped.
    #[inline]
    fn each_field(
        &mut self,
        content: Content,
        depth: u32,
        mut read: impl FnMut(u32, u8, &mut Reader<'c>) -> Result<bool, Error>,
    ) -> Result<(), Stopped> {
        let mut piece = 0;
        while let Some(mut reader) = self.piece_reader(content, piece)? {
            piece += 1;
            while !reader.is_at_end() {
                let (number, wire_type) = self.noted(reader.tag())?;
                let is_read = read(number, wire_type, &mut reader);
                if !self.noted(is_read)? {
                    self.noted(reader.skip(number, wire_type, depth))?;
                }
            }
        }
        Ok(())
    }

    /// A reader of the piece of a message with this index, if it has so many.
    fn piece_reader(
        &mut self,
        content: Content,
        index: usize,
    ) -> Result<Option<Reader<'c>>, Stopped> {
        let range = match content {
            Content::Whole { start, end } if index == 0 => start as usize..end as usize,
            Content::Pieces { first, end } if index < end - first => self.piece(first + index)?,
            _ => return Ok(None),
        };
        Ok(Some(Reader::new(self.wire, range)))
    }

    #[cold]
    fn unprintable(&mut self, expected: Expected, content: Content) -> Stopped {
        let offset = self.offset(content);
        self.fault(ErrorKind::WireUnprintable(expected), offset)
    }
}

/// SEMANTICS 104: JSON has no number that is not finite, and as a string it would be another `Value`.
fn refuse_not_finite(field: &FieldPlan, value: &Reader<'_>) -> Result<(), Error> {
    if field.number != NUMBER_VALUE || f64::from_bits(value.clone().fixed64()?).is_finite() {
        return Ok(());
    }
    let kind = ErrorKind::WireUnprintable(Expected::Value);
    Err(Error::reply(kind, value.offset()))
}
