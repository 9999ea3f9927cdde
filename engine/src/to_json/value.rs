//! One value of a field. In: a reader behind the tag. Out: the value as JSON. Always: one value is read, whatever it is.

use std::ops::Range;

use super::message::Content;
use super::{Converter, Stop, Stopped, noted};
use crate::error::ErrorKind;
use crate::json::{Slot, Snippet, Text};
use crate::plan::{EnumPlan, FieldPlan, Form, Int64Style, Kind, Plan};
use crate::text::base64;
use crate::wire::read::{Ahead, Reader, unzigzag32, unzigzag64};

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
    #[inline(always)]
    pub(super) fn unless_default(is_default: bool) -> Self {
        if is_default {
            Self::Default
        } else {
            Self::Value
        }
    }
}

impl<'c> Converter<'c> {
    /// Writes the one value that comes next, behind its label if it has one, with a comma. `depth` is the level of the message it is in.
    #[inline(always)]
    pub(super) fn value(
        &mut self,
        label: Option<&Snippet>,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        match field.kind {
            Kind::String => self.string(label, reader),
            Kind::Bytes => self.bytes(label, reader),
            Kind::Message(index) => {
                let range = self.noted(reader.delimited())?;
                slot(label, self.out).nothing().end();
                self.message(index, Content::range(range), depth.wrapping_add(1))?;
                Ok(Written::Value)
            }
            Kind::Group(index) => {
                let range = self.noted(reader.group(field.number, depth))?;
                slot(label, self.out).nothing().end();
                self.message(index, Content::range(range), depth.wrapping_add(1))?;
                Ok(Written::Value)
            }
            kind => {
                let context = ScalarContext::new(self.plan, &mut self.stop);
                let slot = slot(label, self.out);
                let (text, written) = scalar(kind, reader, reader.ahead(), slot, context)?;
                text.end();
                Ok(written)
            }
        }
    }

    #[inline(always)]
    pub(super) fn string(
        &mut self,
        label: Option<&Snippet>,
        reader: &mut Reader<'c>,
    ) -> Result<Written, Stopped> {
        let (source, len) = self.noted(reader.source())?;
        if self.is_careful {
            let start = self.wire.len() - source.len();
            self.text(start..start + len)?;
        }
        let (text, is_high) = slot(label, self.out).string(source, len);
        text.end();
        self.has_high_bits |= is_high;
        Ok(Written::unless_default(len == 0))
    }

    /// Writes a stretch of the wire as a string, and a comma.
    #[inline(always)]
    pub(super) fn string_at(
        &mut self,
        label: Option<&Snippet>,
        range: Range<usize>,
    ) -> Result<(), Stopped> {
        if self.is_careful {
            self.text(range.clone())?;
        }
        let source = self.wire.get(range.start..).unwrap_or_default();
        let (text, is_high) = slot(label, self.out).string(source, range.len());
        text.end();
        self.has_high_bits |= is_high;
        Ok(())
    }

    /// A stretch of the wire that is text.
    pub(super) fn text(&mut self, range: Range<usize>) -> Result<&'c str, Stopped> {
        let start = range.start;
        // SEMANTICS 106: never a broken reply.
        str::from_utf8(self.wire.get(range).unwrap_or_default())
            .map_err(|fault| self.fault(ErrorKind::WireUtf8, start + fault.valid_up_to()))
    }

    fn bytes(
        &mut self,
        label: Option<&Snippet>,
        reader: &mut Reader<'c>,
    ) -> Result<Written, Stopped> {
        let bytes = self.noted(reader.bytes())?;
        slot(label, self.out).nothing().end();
        self.base64(bytes);
        Ok(Written::unless_default(bytes.is_empty()))
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        base64::encode(bytes, self.out);
        self.out.extend_from_slice(b"\",");
    }

    /// Whether the enum value that comes next is unknown to a closed enum.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts a varint to the width of its field"
    )]
    pub(super) fn is_unknown_enum(
        &mut self,
        kind: Kind,
        reader: &Reader<'c>,
    ) -> Result<bool, Stopped> {
        let Kind::Enum(index) = kind else {
            return Ok(false);
        };
        let plan = self.plan.enumeration(index);
        if !plan.is_closed || plan.is_null_value {
            return Ok(false);
        }
        let number = self.noted(reader.clone().varint())? as i32;
        Ok(plan.find_value(number).is_none())
    }

    /// Writes the value that an unset field of this kind has, and a comma. `offset` is where it could have been, for errors.
    pub(super) fn default_value(
        &mut self,
        field: &'c FieldPlan,
        offset: usize,
        depth: u32,
    ) -> Result<(), Stopped> {
        match field.kind {
            Kind::Message(index) | Kind::Group(index) => {
                return self.message(index, Content::range(offset..offset), depth + 1);
            }
            Kind::Enum(index) => {
                let plan = self.plan.enumeration(index);
                enumeration(plan, plan.default, Slot::new(self.out)).0.end();
            }
            Kind::Bool => self.out.extend_from_slice(b"false,"),
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\","),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                let is_quoted = self.plan.options.int64 == Int64Style::String;
                Slot::new(self.out).uint64(0, is_quoted).end();
            }
            _ => self.out.extend_from_slice(b"0,"),
        }
        Ok(())
    }

    /// Writes what stands for an unset field that is a whole HTTP body (SEMANTICS 108), and a comma.
    pub(super) fn unset_body(&mut self, field: &'c FieldPlan, depth: u32) -> Result<(), Stopped> {
        let (Kind::Message(index) | Kind::Group(index)) = field.kind else {
            return self.default_value(field, 0, depth);
        };
        let text: &[u8] = match self.plan.message(index).form {
            Form::Object | Form::Struct | Form::Any => b"{},",
            Form::Timestamp
            | Form::Duration
            | Form::FieldMask
            | Form::Value
            | Form::ListValue
            | Form::Wrapper => b"null,",
        };
        self.out.extend_from_slice(text);
        Ok(())
    }
}

/// Room for a value, behind its label if it has one.
#[inline(always)]
fn slot<'o>(label: Option<&Snippet>, out: &'o mut Vec<u8>) -> Slot<'o> {
    match label {
        Some(label) => Text::new(out).after(label),
        None => Slot::new(out),
    }
}

/// What [`scalar`] needs of a converter, whose output is lent out to the slot.
pub(super) struct ScalarContext<'s> {
    plan: &'s Plan,
    stop: &'s mut Stop,
}

impl<'s> ScalarContext<'s> {
    #[inline(always)]
    pub(super) fn new(plan: &'s Plan, stop: &'s mut Stop) -> Self {
        Self { plan, stop }
    }
}

/// Writes the one value that comes next behind a tag whose place is told by `ahead`, of a kind that a packed list may have.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts a varint to the width of its field"
)]
pub(super) fn scalar<'o>(
    kind: Kind,
    reader: &mut Reader<'_>,
    ahead: Ahead,
    slot: Slot<'o>,
    context: ScalarContext<'_>,
) -> Result<(Text<'o>, Written), Stopped> {
    let is_quoted = || context.plan.options.int64 == Int64Style::String;
    macro_rules! varint {
        () => {
            noted(reader.varint_ahead(ahead), context.stop)?
        };
    }
    macro_rules! fixed {
        ($read:ident) => {
            noted(
                reader.step(ahead).and_then(|()| reader.$read()),
                context.stop,
            )?
        };
    }
    // Each kind reads for itself, so that one jump leads to all that is to be done.
    let (text, is_default) = match kind {
        Kind::Double => {
            let bits = fixed!(fixed64);
            // By its bits: minus zero is not the default, so that its sign is kept (SEMANTICS 101).
            (slot.double(f64::from_bits(bits)), bits == 0)
        }
        Kind::Float => {
            let bits = fixed!(fixed32);
            (slot.float(f32::from_bits(bits)), bits == 0)
        }
        Kind::Int32 => {
            let value = varint!() as i32;
            (slot.int32(value), value == 0)
        }
        Kind::Uint32 => {
            let value = varint!() as u32;
            (slot.uint32(value), value == 0)
        }
        Kind::Sint32 => {
            let value = unzigzag32(varint!() as u32);
            (slot.int32(value), value == 0)
        }
        Kind::Int64 => {
            let value = varint!().cast_signed();
            (slot.int64(value, is_quoted()), value == 0)
        }
        Kind::Uint64 => {
            let value = varint!();
            (slot.uint64(value, is_quoted()), value == 0)
        }
        Kind::Sint64 => {
            let value = unzigzag64(varint!());
            (slot.int64(value, is_quoted()), value == 0)
        }
        Kind::Fixed32 => {
            let value = fixed!(fixed32);
            (slot.uint32(value), value == 0)
        }
        Kind::Sfixed32 => {
            let value = fixed!(fixed32).cast_signed();
            (slot.int32(value), value == 0)
        }
        Kind::Fixed64 => {
            let value = fixed!(fixed64);
            (slot.uint64(value, is_quoted()), value == 0)
        }
        Kind::Sfixed64 => {
            let value = fixed!(fixed64).cast_signed();
            (slot.int64(value, is_quoted()), value == 0)
        }
        Kind::Bool => {
            let value = varint!() != 0;
            (slot.boolean(value), !value)
        }
        Kind::Enum(index) => {
            let number = varint!() as i32;
            return Ok(enumeration(context.plan.enumeration(index), number, slot));
        }
        // These are no scalars of which lists can be packed; nobody asks for them here.
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) => {
            return Ok((slot.nothing(), Written::Nothing));
        }
    };
    Ok((text, Written::unless_default(is_default)))
}

#[inline(always)]
fn enumeration<'o>(plan: &EnumPlan, number: i32, slot: Slot<'o>) -> (Text<'o>, Written) {
    // SEMANTICS 102
    let text = match plan.find_value(number) {
        Some(value) => slot.snippet(&value.text),
        None if plan.is_null_value => slot.null(),
        None if plan.is_closed => return (slot.nothing(), Written::Nothing),
        None => slot.int32(number),
    };
    (text, Written::unless_default(number == 0))
}
