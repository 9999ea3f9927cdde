//! Scalars. In: a value of JSON. Out: its bytes on the wire, without a tag.
//! Always: exact or refused (SEMANTICS 79 to 84).

use super::{Pass, Written};
use crate::error::{Error, ErrorKind, Expected};
use crate::json::JsonString;
use crate::json::number::{self, NotInteger};
use crate::plan::{EnumIndex, Kind, UnknownEnumNames};
use crate::text;
use crate::wire::write::{self, zigzag32, zigzag64};

impl Pass<'_, '_, '_> {
    /// Writes the scalar that comes next.
    #[inline]
    pub(super) fn scalar(&mut self, kind: Kind) -> Result<Written, Error> {
        match kind {
            Kind::String => self.string(),
            Kind::Bytes => self.bytes(),
            Kind::Bool => self.boolean(),
            Kind::Double => self.double(),
            Kind::Float => self.float(),
            Kind::Enum(index) => self.enumeration(index),
            _ => self.integer(kind),
        }
    }

    fn string(&mut self) -> Result<Written, Error> {
        if self.json.peek() != Some(b'"') {
            return Err(self.json.mismatch(Expected::String));
        }
        let string = self.json.string()?;
        self.string_content(&string)?;
        Ok(or_default(string.is_empty()))
    }

    /// Writes a string with its length. Without escapes it is copied from the text as it stands.
    #[inline]
    pub(super) fn string_content(&mut self, string: &JsonString<'_>) -> Result<(), Error> {
        if let Some(plain) = string.plain() {
            write::varint(plain.len() as u64, self.out);
            self.out.extend_from_slice(plain);
            return Ok(());
        }
        let length = write::open(self.out);
        string.decode(self.out)?;
        write::close(self.out, length);
        Ok(())
    }

    fn bytes(&mut self) -> Result<Written, Error> {
        if self.json.peek() != Some(b'"') {
            return Err(self.json.mismatch(Expected::Base64));
        }
        let string = self.json.string()?;
        // Some writers escape the slash of the standard alphabet.
        let text = string.decoded(self.text)?;
        let length = write::open(self.out);
        if !text::base64::decode(text, self.out) {
            return Err(string.refuse(ErrorKind::Expected(Expected::Base64)));
        }
        let is_empty = self.out.len() == length + 1;
        write::close(self.out, length);
        Ok(or_default(is_empty))
    }

    /// SEMANTICS 81: no number, and no string, is a bool.
    fn boolean(&mut self) -> Result<Written, Error> {
        match self.json.peek() {
            Some(b't') => {
                self.json.literal(b"true")?;
                self.out.push(1);
                Ok(Written::Value)
            }
            Some(b'f') => {
                self.json.literal(b"false")?;
                self.out.push(0);
                Ok(Written::Default)
            }
            _ => Err(self.json.mismatch(Expected::Bool)),
        }
    }

    fn double(&mut self) -> Result<Written, Error> {
        let expected = Expected::Double;
        let (text, offset) = self.float_text(expected)?;
        let value = match text {
            b"NaN" => f64::NAN,
            b"Infinity" => f64::INFINITY,
            b"-Infinity" => f64::NEG_INFINITY,
            // SEMANTICS 80: beyond the range is refused, too small for it is zero.
            number => number::to_f64(number)
                .ok_or_else(|| Error::body(ErrorKind::OutOfRange(expected), offset))?,
        };
        write::fixed64(value.to_bits(), self.out);
        // Negative zero is not the default.
        Ok(or_default(value.to_bits() == 0))
    }

    fn float(&mut self) -> Result<Written, Error> {
        let expected = Expected::Float;
        let (text, offset) = self.float_text(expected)?;
        let value = match text {
            b"NaN" => f32::NAN,
            b"Infinity" => f32::INFINITY,
            b"-Infinity" => f32::NEG_INFINITY,
            number => number::to_f32(number)
                .ok_or_else(|| Error::body(ErrorKind::OutOfRange(expected), offset))?,
        };
        write::fixed32(value.to_bits(), self.out);
        Ok(or_default(value.to_bits() == 0))
    }

    fn integer(&mut self, kind: Kind) -> Result<Written, Error> {
        let expected = expected_integer(kind);
        self.json.peek();
        let offset = self.json.offset();
        let written = match self.json.peek() {
            Some(b'-' | b'0'..=b'9') => write_integer(kind, self.json.number()?, self.out),
            Some(b'"') => {
                let text = self.json.string()?.decoded(self.text)?;
                if !is_number(text) {
                    return Err(Error::body(ErrorKind::Expected(expected), offset));
                }
                write_integer(kind, text, self.out)
            }
            _ => return Err(self.json.mismatch(expected)),
        };
        written.map_err(|fault| Error::body(integer_fault(fault, expected), offset))
    }

    /// The text of a float, bare or in quotes: a number by the grammar, or one of the three words (in quotes only). And its offset.
    fn float_text(&mut self, expected: Expected) -> Result<(&[u8], usize), Error> {
        match self.json.peek() {
            Some(b'-' | b'0'..=b'9') => {
                let offset = self.json.offset();
                Ok((self.json.number()?, offset))
            }
            Some(b'"') => {
                let string = self.json.string()?;
                let offset = string.offset();
                let text = string.decoded(self.text)?;
                if !is_number(text) && !matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
                    return Err(Error::body(ErrorKind::Expected(expected), offset));
                }
                Ok((text, offset))
            }
            _ => Err(self.json.mismatch(expected)),
        }
    }

    /// SEMANTICS 84.
    fn enumeration(&mut self, index: EnumIndex) -> Result<Written, Error> {
        let plan = self.plan.enumeration(index);
        let number = match self.json.peek() {
            Some(b'"') => {
                let string = self.json.string()?;
                let name = string.decoded(self.text)?;
                match plan.find_number(name) {
                    Some(number) => number,
                    None if self.plan.options.unknown_enum_names == UnknownEnumNames::Drop => {
                        return Ok(Written::Nothing);
                    }
                    None => return Err(string.refuse(ErrorKind::UnknownEnumName)),
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let offset = self.json.offset();
                let number = to_i32(self.json.number()?)
                    .map_err(|fault| Error::body(integer_fault(fault, Expected::Int32), offset))?;
                if plan.is_closed && plan.find_value(number).is_none() {
                    return Err(Error::body(ErrorKind::UnknownEnumNumber, offset));
                }
                number
            }
            Some(b'n') if plan.is_null_value => {
                self.json.literal(b"null")?;
                0
            }
            _ => return Err(self.json.mismatch(Expected::EnumValue)),
        };
        write::varint(sign_extended(number), self.out);
        Ok(or_default(number == 0))
    }
}

/// What a field of one of the kinds of integer expects.
pub(super) const fn expected_integer(kind: Kind) -> Expected {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Expected::Int32,
        Kind::Uint32 | Kind::Fixed32 => Expected::Uint32,
        Kind::Uint64 | Kind::Fixed64 => Expected::Uint64,
        _ => Expected::Int64,
    }
}

/// Writes `number`, text that fits the grammar of numbers, as one of the kinds of integer.
#[inline]
pub(super) fn write_integer(
    kind: Kind,
    number: &[u8],
    out: &mut Vec<u8>,
) -> Result<Written, NotInteger> {
    let bits = match kind {
        Kind::Int32 => sign_extended(to_i32(number)?),
        Kind::Sint32 => u64::from(zigzag32(to_i32(number)?)),
        Kind::Sint64 => zigzag64(number::to_i64(number)?),
        Kind::Uint32 => u64::from(to_u32(number)?),
        Kind::Uint64 => number::to_u64(number)?,
        Kind::Sfixed32 => {
            let value = to_i32(number)?;
            write::fixed32(value.cast_unsigned(), out);
            return Ok(or_default(value == 0));
        }
        Kind::Fixed32 => {
            let value = to_u32(number)?;
            write::fixed32(value, out);
            return Ok(or_default(value == 0));
        }
        Kind::Sfixed64 => {
            let value = number::to_i64(number)?;
            write::fixed64(value.cast_unsigned(), out);
            return Ok(or_default(value == 0));
        }
        Kind::Fixed64 => {
            let value = number::to_u64(number)?;
            write::fixed64(value, out);
            return Ok(or_default(value == 0));
        }
        _ => number::to_i64(number)?.cast_unsigned(),
    };
    write::varint(bits, out);
    Ok(or_default(bits == 0))
}

/// What is wrong with a number that is not the integer wanted.
#[cold]
pub(super) const fn integer_fault(fault: NotInteger, expected: Expected) -> ErrorKind {
    match fault {
        NotInteger::Fraction => ErrorKind::NotAnInteger,
        NotInteger::OutOfRange => ErrorKind::OutOfRange(expected),
    }
}

/// Whether text from inside quotes is a number by the grammar: no sign but a minus, no white space, no leading zero.
#[inline]
pub(super) fn is_number(text: &[u8]) -> bool {
    number::token_len(text) == Some(text.len())
}

#[inline]
fn to_i32(number: &[u8]) -> Result<i32, NotInteger> {
    i32::try_from(number::to_i64(number)?)
        .ok()
        .ok_or(NotInteger::OutOfRange)
}

#[inline]
fn to_u32(number: &[u8]) -> Result<u32, NotInteger> {
    u32::try_from(number::to_u64(number)?)
        .ok()
        .ok_or(NotInteger::OutOfRange)
}

/// A negative number takes ten bytes on the wire, so that it reads as an int64 too.
#[inline]
pub(super) fn sign_extended(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

#[inline]
const fn or_default(is_default: bool) -> Written {
    if is_default {
        Written::Default
    } else {
        Written::Value
    }
}
