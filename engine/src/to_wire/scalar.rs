//! Scalars. In: a value of JSON. Out: its bytes on the wire, without a tag.
//! Always: exact or refused (SEMANTICS 79 to 84).

use super::{Pass, Written};
use crate::error::{Error, ErrorKind, Expected};
use crate::json::number::{NotInteger, Number};
use crate::json::{Cursor, JsonString};
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
        let start = self.out.len();
        let length = write::open(self.out);
        self.json.string_into(self.out)?;
        write::close(self.out, length);
        Ok(or_default(self.out.len() == start + 1))
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

    #[inline]
    pub(super) fn double(&mut self) -> Result<Written, Error> {
        let expected = Expected::Double;
        self.json.peek();
        let offset = self.json.offset();
        let value = match self.json.number_or_quoted() {
            Some(number) => number.to_f64(),
            None => match unusual_float(&mut self.json, self.text, expected)? {
                UnusualFloat::Word(value) => Some(f64::from(value)),
                UnusualFloat::Number(number) => number.to_f64(),
            },
        };
        // SEMANTICS 80: beyond the range is refused, too small for it is zero.
        let Some(value) = value else {
            return Err(Error::body(ErrorKind::OutOfRange(expected), offset));
        };
        write::fixed64(value.to_bits(), self.out);
        // Negative zero is not the default.
        Ok(or_default(value.to_bits() == 0))
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<Written, Error> {
        let expected = Expected::Float;
        self.json.peek();
        let offset = self.json.offset();
        let value = match self.json.number_or_quoted() {
            Some(number) => number.to_f32(),
            None => match unusual_float(&mut self.json, self.text, expected)? {
                UnusualFloat::Word(value) => Some(value),
                UnusualFloat::Number(number) => number.to_f32(),
            },
        };
        let Some(value) = value else {
            return Err(Error::body(ErrorKind::OutOfRange(expected), offset));
        };
        write::fixed32(value.to_bits(), self.out);
        Ok(or_default(value.to_bits() == 0))
    }

    #[inline]
    pub(super) fn integer(&mut self, kind: Kind) -> Result<Written, Error> {
        self.json.peek();
        let offset = self.json.offset();
        let number = match self.json.number_or_quoted() {
            Some(number) => number,
            None => unusual_number(&mut self.json, self.text, expected_integer(kind))?,
        };
        write_integer(kind, number, self.out)
            .map_err(|fault| Error::body(integer_fault(fault, expected_integer(kind)), offset))
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

/// What stands for a float, if it is not a plain number.
enum UnusualFloat<'t> {
    Number(Number<'t>),
    /// Not a number, or infinite, which is the same to a float and a double.
    Word(f32),
}

/// A float that [`Cursor::number_or_quoted`] does not find: one of three words in quotes, or a number with escapes.
#[cold]
#[expect(single_use_lifetimes, reason = "an elided one has no bound")]
fn unusual_float<'j: 't, 't>(
    json: &mut Cursor<'j>,
    buffer: &'t mut Vec<u8>,
    expected: Expected,
) -> Result<UnusualFloat<'t>, Error> {
    let (text, offset) = unusual_text(json, buffer, expected)?;
    match text {
        b"NaN" => Ok(UnusualFloat::Word(f32::NAN)),
        b"Infinity" => Ok(UnusualFloat::Word(f32::INFINITY)),
        b"-Infinity" => Ok(UnusualFloat::Word(f32::NEG_INFINITY)),
        _ => number_in(text, offset, expected).map(UnusualFloat::Number),
    }
}

/// A number that [`Cursor::number_or_quoted`] does not find: it is spelled with escapes.
#[cold]
#[expect(single_use_lifetimes, reason = "an elided one has no bound")]
fn unusual_number<'j: 't, 't>(
    json: &mut Cursor<'j>,
    buffer: &'t mut Vec<u8>,
    expected: Expected,
) -> Result<Number<'t>, Error> {
    let (text, offset) = unusual_text(json, buffer, expected)?;
    number_in(text, offset, expected)
}

/// What the string that comes next says, and its offset.
#[expect(single_use_lifetimes, reason = "an elided one has no bound")]
fn unusual_text<'j: 't, 't>(
    json: &mut Cursor<'j>,
    buffer: &'t mut Vec<u8>,
    expected: Expected,
) -> Result<(&'t [u8], usize), Error> {
    match json.peek() {
        Some(b'"') => {
            let string = json.string()?;
            Ok((string.decoded(buffer)?, string.offset()))
        }
        Some(b'-' | b'0'..=b'9') => Err(Error::body(ErrorKind::InvalidNumber, json.offset())),
        _ => Err(json.mismatch(expected)),
    }
}

fn number_in(text: &[u8], offset: usize, expected: Expected) -> Result<Number<'_>, Error> {
    Number::whole(text).ok_or_else(|| Error::body(ErrorKind::Expected(expected), offset))
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

/// Writes `number` as one of the kinds of integer.
#[inline]
pub(super) fn write_integer(
    kind: Kind,
    number: Number<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, NotInteger> {
    let bits = match kind {
        Kind::Int32 => sign_extended(to_i32(number)?),
        Kind::Sint32 => u64::from(zigzag32(to_i32(number)?)),
        Kind::Sint64 => zigzag64(number.to_i64()?),
        Kind::Uint32 => u64::from(to_u32(number)?),
        Kind::Uint64 => number.to_u64()?,
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
            let value = number.to_i64()?;
            write::fixed64(value.cast_unsigned(), out);
            return Ok(or_default(value == 0));
        }
        Kind::Fixed64 => {
            let value = number.to_u64()?;
            write::fixed64(value, out);
            return Ok(or_default(value == 0));
        }
        _ => number.to_i64()?.cast_unsigned(),
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

#[inline]
fn to_i32(number: Number<'_>) -> Result<i32, NotInteger> {
    i32::try_from(number.to_i64()?)
        .ok()
        .ok_or(NotInteger::OutOfRange)
}

#[inline]
fn to_u32(number: Number<'_>) -> Result<u32, NotInteger> {
    u32::try_from(number.to_u64()?)
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
