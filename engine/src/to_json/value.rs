//! One value of a field. In: a reader behind the tag. Out: the value as JSON. Always: one value is read, whatever it is.

use super::message::Content;
use super::{Converter, Stop};
use crate::error::{Error, ErrorKind};
use crate::json::write;
use crate::plan::{EnumIndex, FieldPlan, Form, Int64Style, Kind};
use crate::text::base64;
use crate::wire::read::{Reader, unzigzag32, unzigzag64};

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Value,
    /// The value that an unset field of its kind has.
    Default,
    /// Nothing was written: the number is unknown to a closed enum, which makes it an unknown field (SEMANTICS 102), or a list or
    /// map has nothing in it.
    Nothing,
}

impl Written {
    fn unless_default(is_default: bool) -> Self {
        if is_default {
            Self::Default
        } else {
            Self::Value
        }
    }
}

impl<'c> Converter<'c> {
    /// Writes the one value that comes next. `depth` is the level of the message it is in.
    #[inline(always)]
    pub(super) fn value(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stop> {
        Ok(match field.kind {
            Kind::String => self.string(reader)?,
            Kind::Bytes => self.bytes(reader)?,
            Kind::Message(index) => {
                let range = reader.delimited()?;
                self.message(index, Content::range(range), depth + 1)?;
                Written::Value
            }
            Kind::Group(index) => {
                self.group_value(field.number, index, reader, depth)?;
                Written::Value
            }
            kind => self.packable(kind, reader)?,
        })
    }

    /// Writes the one value that comes next, of a kind that a packed list may have.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts a varint to the width of its field"
    )]
    pub(super) fn packable(
        &mut self,
        kind: Kind,
        reader: &mut Reader<'c>,
    ) -> Result<Written, Error> {
        Ok(match kind {
            Kind::Enum(index) => self.enumeration(index, reader.varint()? as i32),
            Kind::Bool => self.boolean(reader.varint()? != 0),
            Kind::Int32 => self.int32(reader.varint()? as i32),
            Kind::Sint32 => self.int32(unzigzag32(reader.varint()? as u32)),
            Kind::Sfixed32 => self.int32(reader.fixed32()?.cast_signed()),
            Kind::Uint32 => self.uint32(reader.varint()? as u32),
            Kind::Fixed32 => self.uint32(reader.fixed32()?),
            Kind::Sint64 => self.int64(unzigzag64(reader.varint()?)),
            Kind::Sfixed64 => self.int64(reader.fixed64()?.cast_signed()),
            Kind::Uint64 => self.uint64(reader.varint()?),
            Kind::Fixed64 => self.uint64(reader.fixed64()?),
            Kind::Double => {
                let bits = reader.fixed64()?;
                write::double(f64::from_bits(bits), self.out);
                // By its bits: minus zero is not the default, so that its sign is kept (SEMANTICS 101).
                Written::unless_default(bits == 0)
            }
            Kind::Float => {
                let bits = reader.fixed32()?;
                write::float(f32::from_bits(bits), self.out);
                Written::unless_default(bits == 0)
            }
            // Only `Int64` is left.
            _ => self.int64(reader.varint()?.cast_signed()),
        })
    }

    fn string(&mut self, reader: &mut Reader<'c>) -> Result<Written, Error> {
        let range = reader.delimited()?;
        self.string_at(range.start, range.end)?;
        Ok(Written::unless_default(range.is_empty()))
    }

    /// Writes a stretch of the wire as a string.
    #[inline]
    pub(super) fn string_at(&mut self, start: usize, end: usize) -> Result<(), Error> {
        let bytes = self.wire.get(start..end).unwrap_or_default();
        if !write::plain_string(bytes, self.out) {
            let text = self.text(start, end)?;
            write::string(text, self.out);
        }
        Ok(())
    }

    /// A stretch of the wire that is text.
    pub(super) fn text(&self, start: usize, end: usize) -> Result<&'c str, Error> {
        // SEMANTICS 106: never a broken reply.
        str::from_utf8(self.wire.get(start..end).unwrap_or_default())
            .map_err(|fault| Error::reply(ErrorKind::WireUtf8, start + fault.valid_up_to()))
    }

    fn bytes(&mut self, reader: &mut Reader<'c>) -> Result<Written, Error> {
        let bytes = reader.bytes()?;
        self.base64(bytes);
        Ok(Written::unless_default(bytes.is_empty()))
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        base64::encode(bytes, self.out);
        self.out.push(b'"');
    }

    fn boolean(&mut self, value: bool) -> Written {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(text);
        Written::unless_default(!value)
    }

    fn int32(&mut self, value: i32) -> Written {
        write::integer(value, self.out);
        Written::unless_default(value == 0)
    }

    fn uint32(&mut self, value: u32) -> Written {
        write::integer(value, self.out);
        Written::unless_default(value == 0)
    }

    fn int64(&mut self, value: i64) -> Written {
        match self.int64 {
            Int64Style::String => write::quoted_integer(value, self.out),
            Int64Style::Number => write::integer(value, self.out),
        }
        Written::unless_default(value == 0)
    }

    fn uint64(&mut self, value: u64) -> Written {
        match self.int64 {
            Int64Style::String => write::quoted_integer(value, self.out),
            Int64Style::Number => write::integer(value, self.out),
        }
        Written::unless_default(value == 0)
    }

    fn enumeration(&mut self, index: EnumIndex, number: i32) -> Written {
        let plan = self.plan.enumeration(index);
        // SEMANTICS 102
        match plan.find_value(number) {
            Some(value) => self.out.extend_from_slice(&value.text),
            None if plan.is_null_value => self.out.extend_from_slice(b"null"),
            None if plan.is_closed => return Written::Nothing,
            None => write::integer(number, self.out),
        }
        Written::unless_default(number == 0)
    }

    /// Whether the enum value that comes next is unknown to a closed enum.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts a varint to the width of its field"
    )]
    pub(super) fn is_unknown_enum(&self, kind: Kind, reader: &Reader<'c>) -> Result<bool, Error> {
        let Kind::Enum(index) = kind else {
            return Ok(false);
        };
        let plan = self.plan.enumeration(index);
        if !plan.is_closed || plan.is_null_value {
            return Ok(false);
        }
        let number = reader.clone().varint()? as i32;
        Ok(plan.find_value(number).is_none())
    }

    /// Writes the value that an unset field of this kind has. `offset` is where it could have been, for errors.
    pub(super) fn default_value(
        &mut self,
        field: &'c FieldPlan,
        offset: usize,
        depth: u32,
    ) -> Result<(), Stop> {
        match field.kind {
            Kind::Message(index) | Kind::Group(index) => {
                return self.message(index, Content::range(offset..offset), depth + 1);
            }
            Kind::Enum(index) => {
                let default = self.plan.enumeration(index).default;
                self.enumeration(index, default);
            }
            Kind::Bool => self.out.extend_from_slice(b"false"),
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\""),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                self.int64(0);
            }
            _ => self.out.push(b'0'),
        }
        Ok(())
    }

    /// Writes what stands for an unset field that is a whole HTTP body (SEMANTICS 108).
    pub(super) fn unset_body(&mut self, field: &'c FieldPlan, depth: u32) -> Result<(), Stop> {
        let (Kind::Message(index) | Kind::Group(index)) = field.kind else {
            return self.default_value(field, 0, depth);
        };
        let text: &[u8] = match self.plan.message(index).form {
            Form::Object | Form::Struct | Form::Any => b"{}",
            Form::Timestamp
            | Form::Duration
            | Form::FieldMask
            | Form::Value
            | Form::ListValue
            | Form::Wrapper => b"null",
        };
        self.out.extend_from_slice(text);
        Ok(())
    }
}
