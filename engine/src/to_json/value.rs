//! One value of a field. In: a reader behind the tag. Out: the value as JSON. Always: one value is read, whatever it is.

use std::ops::Range;

use super::message::Content;
use super::{Converter, Stop, Stopped, noted};
use crate::error::ErrorKind;
use crate::json::{Slot, Snippet};
use crate::plan::{EnumPlan, FieldPlan, Form, Int64Style, Kind, Plan};
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
                slot(label, self.out).end();
                self.message(index, Content::range(range), depth.wrapping_add(1))?;
                Ok(Written::Value)
            }
            Kind::Group(index) => {
                let range = self.noted(reader.group(field.number, depth))?;
                slot(label, self.out).end();
                self.message(index, Content::range(range), depth.wrapping_add(1))?;
                Ok(Written::Value)
            }
            kind => {
                let context = ScalarContext::new(self.plan, &mut self.stop);
                scalar(kind, reader, slot(label, self.out), context)
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
        self.has_high_bits |= slot(label, self.out).string(source, len);
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
        self.has_high_bits |= slot(label, self.out).string(source, range.len());
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
        slot(label, self.out).end();
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
                enumeration(plan, plan.default, Slot::new(self.out));
            }
            Kind::Bool => self.out.extend_from_slice(b"false,"),
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\","),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                let is_quoted = self.plan.options.int64 == Int64Style::String;
                Slot::new(self.out).uint64(0, is_quoted);
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
        Some(label) => Slot::after(label, out),
        None => Slot::new(out),
    }
}

/// What [`scalar`] needs of a converter, whose output is lent out to the slot.
pub(super) struct ScalarContext<'s> {
    plan: &'s Plan,
    int64_is_quoted: bool,
    stop: &'s mut Stop,
}

impl<'s> ScalarContext<'s> {
    #[inline(always)]
    pub(super) fn new(plan: &'s Plan, stop: &'s mut Stop) -> Self {
        Self {
            plan,
            int64_is_quoted: plan.options.int64 == Int64Style::String,
            stop,
        }
    }
}

/// Writes the one value that comes next, of a kind that a packed list may have.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts a varint to the width of its field"
)]
pub(super) fn scalar(
    kind: Kind,
    reader: &mut Reader<'_>,
    slot: Slot<'_>,
    context: ScalarContext<'_>,
) -> Result<Written, Stopped> {
    let is_quoted = context.int64_is_quoted;
    let is_default = match kind.wire_type() {
        1 => {
            let bits = noted(reader.fixed64(), context.stop)?;
            match kind {
                Kind::Double => slot.double(f64::from_bits(bits)),
                Kind::Sfixed64 => slot.int64(bits.cast_signed(), is_quoted),
                _ => slot.uint64(bits, is_quoted),
            }
            // By its bits: minus zero is not the default, so that its sign is kept (SEMANTICS 101).
            bits == 0
        }
        5 => {
            let bits = noted(reader.fixed32(), context.stop)?;
            match kind {
                Kind::Float => slot.float(f32::from_bits(bits)),
                Kind::Sfixed32 => slot.int32(bits.cast_signed()),
                _ => slot.uint32(bits),
            }
            bits == 0
        }
        _ => {
            let bits = noted(reader.varint(), context.stop)?;
            let low = bits as u32;
            match kind {
                Kind::Enum(index) => {
                    let plan = context.plan.enumeration(index);
                    return Ok(enumeration(plan, low.cast_signed(), slot));
                }
                Kind::Bool => slot.boolean(bits != 0),
                Kind::Int32 => slot.int32(low.cast_signed()),
                Kind::Sint32 => slot.int32(unzigzag32(low)),
                Kind::Uint32 => slot.uint32(low),
                Kind::Uint64 => slot.uint64(bits, is_quoted),
                Kind::Sint64 => slot.int64(unzigzag64(bits), is_quoted),
                // Only `Int64` is left.
                _ => slot.int64(bits.cast_signed(), is_quoted),
            }
            match kind {
                Kind::Int32 | Kind::Sint32 | Kind::Uint32 => low == 0,
                _ => bits == 0,
            }
        }
    };
    Ok(Written::unless_default(is_default))
}

#[inline(always)]
fn enumeration(plan: &EnumPlan, number: i32, slot: Slot<'_>) -> Written {
    // SEMANTICS 102
    match plan.find_value(number) {
        Some(value) => slot.snippet(&value.text),
        None if plan.is_null_value => slot.null(),
        None if plan.is_closed => return Written::Nothing,
        None => slot.int32(number),
    }
    Written::unless_default(number == 0)
}
