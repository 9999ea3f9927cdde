//! Text to the value of one field. In: decoded text of a path or a query, and the field. Out: tag and value, appended.
//! Always: the value is written even where it is the default, so that it wins over what was written before.

use crate::error::{ErrorKind, Expected};
use crate::plan::{EnumPlan, FieldPlan, Form, Kind, Message, MessageIndex, Plan, Tag};
use crate::text::number::{self, NumberFault};
use crate::text::{base64, duration, field_mask, timestamp, utf8};
use crate::to_wire::{self, to_wire};
use crate::wire::write::{self, fixed32, fixed64, varint, zigzag32, zigzag64};

/// Field 1 of `Timestamp` and `Duration`.
const SECONDS: Tag = Tag::new(1, 0);
/// Field 2 of `Timestamp` and `Duration`.
const NANOS: Tag = Tag::new(2, 0);
/// Field 1 of `FieldMask`.
const PATHS: Tag = Tag::new(1, 2);

/// Whether a value of this kind can be given as text: scalars, enums and some of the well-known types (SEMANTICS 53, 56, 57).
pub(super) fn has_text_form(plan: &Plan, kind: Kind) -> bool {
    match kind {
        Kind::Message(message) => match plan.message(message).form {
            Form::Timestamp
            | Form::Duration
            | Form::FieldMask
            | Form::Struct
            | Form::Value
            | Form::ListValue
            | Form::Wrapper => true,
            Form::Object | Form::Any => false,
        },
        Kind::Group(_) | Kind::SetMember(_) => false,
        _ => true,
    }
}

/// Whether a second value of the field is merged with the first, instead of taking its place.
pub(super) fn adds_up(plan: &Plan, field: &FieldPlan) -> bool {
    match field.kind {
        Kind::Message(message) => matches!(
            plan.message(message).form,
            Form::FieldMask | Form::Struct | Form::Value | Form::ListValue
        ),
        _ => false,
    }
}

/// Appends one value of `field`: the whole of a singular field, or one element of a list.
pub(super) fn write(
    plan: &Plan,
    field: &FieldPlan,
    text: &[u8],
    json: &mut to_wire::Scratch,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    out.extend_from_slice(field.element_tag.as_bytes());
    match field.kind {
        Kind::Message(message) => {
            let at = write::open(out);
            write_message(plan, message, text, json, out)?;
            write::close(out, at);
            Ok(())
        }
        kind => write_scalar(plan, kind, text, out),
    }
}

fn write_scalar(plan: &Plan, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    match kind {
        Kind::Double => fixed64(double(text)?.to_bits(), out),
        Kind::Float => fixed32(float(text)?.to_bits(), out),
        // A negative number of 32 bits has ten bytes on the wire.
        Kind::Int32 => varint(i64::from(int32(text)?).cast_unsigned(), out),
        Kind::Int64 => varint(int64(text)?.cast_unsigned(), out),
        Kind::Uint32 => varint(u64::from(uint32(text)?), out),
        Kind::Uint64 => varint(uint64(text)?, out),
        Kind::Sint32 => varint(u64::from(zigzag32(int32(text)?)), out),
        Kind::Sint64 => varint(zigzag64(int64(text)?), out),
        Kind::Fixed32 => fixed32(uint32(text)?, out),
        Kind::Fixed64 => fixed64(uint64(text)?, out),
        Kind::Sfixed32 => fixed32(int32(text)?.cast_unsigned(), out),
        Kind::Sfixed64 => fixed64(int64(text)?.cast_unsigned(), out),
        Kind::Bool => varint(u64::from(boolean(text)?), out),
        Kind::String => {
            // SEMANTICS 28, 60.
            if !utf8::is_valid(text) {
                return Err(ErrorKind::InvalidUtf8);
            }
            varint(text.len() as u64, out);
            out.extend_from_slice(text);
        }
        Kind::Bytes => {
            // SEMANTICS 37, 54.
            let at = write::open(out);
            if !base64::decode(text, out) {
                return Err(ErrorKind::Expected(Expected::Base64));
            }
            write::close(out, at);
        }
        Kind::Enum(index) => {
            let number = enum_number(plan.enumeration(index), text)?;
            varint(i64::from(number).cast_unsigned(), out);
        }
        Kind::Message(_) | Kind::Group(_) | Kind::SetMember(_) => {
            return Err(ErrorKind::NotBindable);
        }
    }
    Ok(())
}

// SEMANTICS 35, 36, 62.

fn double(text: &[u8]) -> Result<f64, ErrorKind> {
    number::parse_f64(text).map_err(|fault| misfit(fault, Expected::Double))
}

fn float(text: &[u8]) -> Result<f32, ErrorKind> {
    number::parse_f32(text).map_err(|fault| misfit(fault, Expected::Float))
}

fn int32(text: &[u8]) -> Result<i32, ErrorKind> {
    number::parse_i32(text).map_err(|fault| misfit(fault, Expected::Int32))
}

fn int64(text: &[u8]) -> Result<i64, ErrorKind> {
    number::parse_i64(text).map_err(|fault| misfit(fault, Expected::Int64))
}

fn uint32(text: &[u8]) -> Result<u32, ErrorKind> {
    number::parse_u32(text).map_err(|fault| misfit(fault, Expected::Uint32))
}

fn uint64(text: &[u8]) -> Result<u64, ErrorKind> {
    number::parse_u64(text).map_err(|fault| misfit(fault, Expected::Uint64))
}

fn misfit(fault: NumberFault, expected: Expected) -> ErrorKind {
    match fault {
        NumberFault::Malformed => ErrorKind::Expected(expected),
        NumberFault::OutOfRange => ErrorKind::OutOfRange(expected),
    }
}

/// SEMANTICS 39.
fn boolean(text: &[u8]) -> Result<bool, ErrorKind> {
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(ErrorKind::Expected(Expected::Bool)),
    }
}

/// SEMANTICS 38, 52: a name, or a number; one without a name is kept by open enums only.
fn enum_number(enumeration: &EnumPlan, text: &[u8]) -> Result<i32, ErrorKind> {
    if let Some(number) = enumeration.find_number(text) {
        return Ok(number);
    }
    if text.is_empty() {
        return Err(ErrorKind::Expected(Expected::EnumValue));
    }
    let number = number::parse_i32(text).map_err(|fault| match fault {
        NumberFault::Malformed => ErrorKind::UnknownEnumName,
        NumberFault::OutOfRange => ErrorKind::OutOfRange(Expected::EnumValue),
    })?;
    if enumeration.is_closed && enumeration.find_value(number).is_none() {
        return Err(ErrorKind::UnknownEnumNumber);
    }
    Ok(number)
}

/// The fields of a well-known type from its text (SEMANTICS 53, 56).
fn write_message(
    plan: &Plan,
    index: MessageIndex,
    text: &[u8],
    json: &mut to_wire::Scratch,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let message = plan.message(index);
    match message.form {
        Form::Timestamp => {
            let (seconds, nanos) =
                timestamp::parse(text).ok_or(ErrorKind::Expected(Expected::Timestamp))?;
            write_seconds(seconds, nanos, out);
            Ok(())
        }
        Form::Duration => {
            let (seconds, nanos) =
                duration::parse(text).ok_or(ErrorKind::Expected(Expected::Duration))?;
            write_seconds(seconds, nanos, out);
            Ok(())
        }
        Form::FieldMask => write_field_mask(text, out),
        Form::Wrapper => match message.fields.first() {
            Some(value) => {
                out.extend_from_slice(value.tag.as_bytes());
                write_scalar(plan, value.kind, text, out)
            }
            None => Err(ErrorKind::NotBindable),
        },
        // The offset in the text is given up for that of the parameter.
        Form::Struct | Form::Value | Form::ListValue => {
            to_wire(Message { plan, index }, text, json, out).map_err(|error| error.kind)
        }
        Form::Object | Form::Any => Err(ErrorKind::NotBindable),
    }
}

/// Both fields, zero or not: a field left out would let one that the body sent stay.
fn write_seconds(seconds: i64, nanos: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(SECONDS.as_bytes());
    varint(seconds.cast_unsigned(), out);
    out.extend_from_slice(NANOS.as_bytes());
    varint(i64::from(nanos).cast_unsigned(), out);
}

/// SEMANTICS 53: each path in lowerCamelCase, or in `snake_case` and then stored as it is. Empty text is an empty mask.
fn write_field_mask(text: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    if text.is_empty() {
        return Ok(());
    }
    for path in text.split(|&byte| byte == b',') {
        out.extend_from_slice(PATHS.as_bytes());
        let at = write::open(out);
        if path.contains(&b'_') && field_mask::is_path(path) {
            out.extend_from_slice(path);
        } else if !field_mask::path_to_snake(path, out) {
            return Err(ErrorKind::Expected(Expected::FieldMask));
        }
        write::close(out, at);
    }
    Ok(())
}
