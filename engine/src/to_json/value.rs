//! One value of a field. In: a reader behind the tag. Out: the value as JSON. Always: one value is read, whatever it is.

use std::ops::Range;

use super::message::Content;
use super::{Converter, Stop, Stopped, noted};
use crate::error::ErrorKind;
use crate::json::{Slot, Snippet, Text};
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
    // Without optimization, what is inlined adds to the stack that each level of a message takes.
    #[cfg_attr(not(debug_assertions), inline(always))]
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
                self.label(label);
                self.message(index, Content::range(range), depth.wrapping_add(1))?;
                Ok(Written::Value)
            }
            Kind::Group(index) => {
                self.group_value(label, field.number, index, reader, depth)?;
                Ok(Written::Value)
            }
            kind => self.lone_scalar(label, kind, reader),
        }
    }

    /// Writes the one value that comes next without a comma.
    pub(super) fn last_value(
        &mut self,
        field: &'c FieldPlan,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let written = self.value(None, field, reader, depth)?;
        if written != Written::Nothing {
            self.out.pop();
        }
        Ok(written)
    }

    #[inline(never)]
    pub(super) fn lone_scalar(
        &mut self,
        label: Option<&Snippet>,
        kind: Kind,
        reader: &mut Reader<'c>,
    ) -> Result<Written, Stopped> {
        let context = ScalarContext::new(self.plan, &mut self.stop);
        let mut text = Text::new(self.out);
        let written = scalar(label, kind, reader, context, &mut text)?;
        text.end();
        Ok(written)
    }

    #[inline(never)]
    fn string(
        &mut self,
        label: Option<&Snippet>,
        reader: &mut Reader<'c>,
    ) -> Result<Written, Stopped> {
        let (source, len) = self.noted(reader.source())?;
        self.label(label);
        let is_high = self.write(|slot| slot.string(source, len));
        if is_high {
            self.note_high(source, len)?;
        }
        Ok(Written::unless_default(len == 0))
    }

    /// Writes a value that is in no list or that is rare.
    #[inline(always)]
    pub(super) fn write<R>(&mut self, write: impl FnOnce(Slot<'_, '_>) -> R) -> R {
        let mut text = Text::new(self.out);
        let result = write(text.slot());
        text.end();
        result
    }

    #[inline(always)]
    pub(super) fn label(&mut self, label: Option<&Snippet>) {
        if let Some(label) = label {
            self.snippet(label);
        }
    }

    /// Writes a text as it is.
    #[inline(always)]
    pub(super) fn snippet(&mut self, snippet: &Snippet) {
        self.write(|slot| slot.snippet(snippet));
    }

    /// Ends an object or a list, with a comma behind it.
    #[inline(always)]
    pub(super) fn close(&mut self, bracket: u8) {
        let mut text = Text::new(self.out);
        text.close(bracket);
        text.end();
    }

    /// Writes a stretch of the wire as a string, and a comma.
    #[inline(always)]
    pub(super) fn string_at(
        &mut self,
        label: Option<&Snippet>,
        range: Range<usize>,
    ) -> Result<(), Stopped> {
        let source = self.wire.get(range.start..).unwrap_or_default();
        self.label(label);
        let is_high = self.write(|slot| slot.string(source, range.len()));
        if is_high {
            self.note_high(source, range.len())?;
        }
        Ok(())
    }

    /// Notes that a string is not ASCII. `source` is the wire from its first byte on.
    #[inline(always)]
    pub(super) fn note_high(&mut self, source: &[u8], len: usize) -> Result<(), Stopped> {
        self.has_high_bits = true;
        if self.checks_each_text {
            let start = self.wire.len().wrapping_sub(source.len());
            self.text(start..start.wrapping_add(len))?;
        }
        Ok(())
    }

    /// A stretch of the wire that is text.
    #[inline(never)]
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
        self.label(label);
        self.base64(bytes);
        Ok(Written::unless_default(bytes.is_empty()))
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        write_base64(bytes, self.out);
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
        let number = self.noted(reader.clone().varint())? as i32;
        Ok(self.plan.enumeration(index).leaves_out(number))
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
                self.write(|slot| enumeration(plan, plan.default, slot));
            }
            Kind::Bool => self.out.extend_from_slice(b"false,"),
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\","),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                let is_quoted = self.plan.options.int64 == Int64Style::String;
                self.write(|slot| slot.uint64(0, is_quoted));
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

#[inline(never)]
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64::encode(bytes, out);
    out.extend_from_slice(b"\",");
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

/// Reads the one value that comes next, of a kind that a packed list may have, and writes it behind its label, if it has one.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts a varint to the width of its field"
)]
pub(super) fn scalar(
    label: Option<&Snippet>,
    kind: Kind,
    reader: &mut Reader<'_>,
    context: ScalarContext<'_>,
    text: &mut Text<'_>,
) -> Result<Written, Stopped> {
    let ScalarContext { plan, stop } = context;
    let is_quoted = || plan.options.int64 == Int64Style::String;
    // Each kind reads and writes for itself, so that one jump leads to all that is to be done.
    macro_rules! write {
        ($read:expr, $value:pat => $is_default:expr, $method:ident($($argument:expr),+)) => {{
            let $value = noted($read, stop)?;
            slot(label, text).$method($($argument),+);
            $is_default
        }};
    }
    macro_rules! varint {
        () => {
            reader.varint_ahead(reader.ahead())
        };
    }
    macro_rules! fixed {
        ($method:ident) => {
            reader.$method()
        };
    }
    let is_default = match kind {
        // By their bits: minus zero is not the default, so that its sign is kept (SEMANTICS 101).
        Kind::Double => write!(fixed!(fixed64), bits => bits == 0, double(f64::from_bits(bits))),
        Kind::Float => write!(fixed!(fixed32), bits => bits == 0, float(f32::from_bits(bits))),
        Kind::Int32 => write!(varint!(), bits => bits as u32 == 0, int32(bits as i32)),
        Kind::Uint32 => write!(varint!(), bits => bits as u32 == 0, uint32(bits as u32)),
        Kind::Sint32 => {
            write!(varint!(), bits => bits as u32 == 0, int32(unzigzag32(bits as u32)))
        }
        Kind::Int64 => {
            write!(varint!(), bits => bits == 0, int64(bits.cast_signed(), is_quoted()))
        }
        Kind::Uint64 => write!(varint!(), bits => bits == 0, uint64(bits, is_quoted())),
        Kind::Sint64 => {
            write!(varint!(), bits => bits == 0, int64(unzigzag64(bits), is_quoted()))
        }
        Kind::Bool => write!(varint!(), bits => bits == 0, boolean(bits != 0)),
        Kind::Fixed32 => write!(fixed!(fixed32), bits => bits == 0, uint32(bits)),
        Kind::Sfixed32 => write!(fixed!(fixed32), bits => bits == 0, int32(bits.cast_signed())),
        Kind::Fixed64 => write!(fixed!(fixed64), bits => bits == 0, uint64(bits, is_quoted())),
        Kind::Sfixed64 => {
            write!(fixed!(fixed64), bits => bits == 0, int64(bits.cast_signed(), is_quoted()))
        }
        Kind::Enum(index) => {
            let number = noted(reader.varint_ahead(reader.ahead()), stop)? as i32;
            let plan = plan.enumeration(index);
            if plan.leaves_out(number) {
                return Ok(Written::Nothing);
            }
            enumeration(plan, number, slot(label, text));
            number == 0
        }
        // These are no scalars of which lists can be packed; nobody asks for them here.
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) | Kind::SetMember(_) => {
            return Ok(Written::Nothing);
        }
    };
    Ok(Written::unless_default(is_default))
}

#[inline(always)]
fn slot<'t, 'o>(label: Option<&Snippet>, text: &'t mut Text<'o>) -> Slot<'t, 'o> {
    match label {
        Some(label) => text.after(label),
        None => text.slot(),
    }
}

/// Writes the number of an enum that is not left out.
#[inline(always)]
fn enumeration(plan: &EnumPlan, number: i32, slot: Slot<'_, '_>) {
    // SEMANTICS 102
    match plan.find_value(number) {
        Some(value) => slot.snippet(&value.text),
        None if plan.is_null_value => slot.null(),
        None => slot.int32(number),
    }
}
