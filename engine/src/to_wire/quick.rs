//! The short way of scalars. In: a value that lies in one block, in the spelling that nearly all have. Out: tag and value.
//! Always: it is taken and written as a whole or not at all; what it passes over, `scalar` reads, and refuses if need be.

use super::Pass;
use crate::json::short::{self, Decimal, Integer, ShortString};
use crate::plan::{EnumIndex, Kind, Tag};
use crate::wire::write::{self, zigzag32, zigzag64};

impl Pass<'_, '_, '_> {
    /// Takes the scalar that comes next and writes it behind `tag`, if it is one that is quickly read. Zero, false and nothing are not
    /// written where they are what an unset field has.
    #[inline(always)]
    pub(super) fn quick_scalar(&mut self, kind: Kind, tag: Tag, is_default_written: bool) -> bool {
        match kind {
            Kind::String => self.quick_string(tag, is_default_written),
            Kind::Double => self.quick_double(tag, is_default_written),
            Kind::Float => self.quick_float(tag, is_default_written),
            Kind::Bool => self.quick_boolean(tag, is_default_written),
            Kind::Enum(index) => self.quick_enum(index, tag, is_default_written),
            Kind::Bytes | Kind::Message(_) | Kind::Group(_) => false,
            _ => self.quick_integer(kind, tag, is_default_written),
        }
    }

    #[inline(always)]
    pub(super) fn quick_string(&mut self, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        if self.json.byte_at(at) != b'"' {
            return false;
        }
        let start = at + 1;
        let block = self.json.block(start);
        let Some(string) = ShortString::read(block) else {
            return false;
        };
        if string.len > 0 || is_default_written {
            write::tagged_short_bytes(tag, block, string.len, self.out);
        }
        let end = start + string.len;
        if !string.is_ascii && !self.json.is_utf8(start, end) {
            // `scalar` says where; what has been written goes with the rest.
            return false;
        }
        self.json.move_to(end + 1);
        true
    }

    #[inline(always)]
    pub(super) fn quick_integer(&mut self, kind: Kind, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        let Some(integer) = Integer::read(self.json.block(at)) else {
            return false;
        };
        if integer.magnitude != 0 || is_default_written {
            let magnitude = integer.magnitude.cast_signed();
            let value = if integer.is_negative {
                -magnitude
            } else {
                magnitude
            };
            let is_in_range = match kind {
                Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => i32::try_from(value).is_ok(),
                Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).is_ok(),
                Kind::Uint64 | Kind::Fixed64 => value >= 0,
                _ => true,
            };
            if !is_in_range {
                return false;
            }
            let bits = value.cast_unsigned();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the value has been found to fit"
            )]
            let low = (value as i32, bits as u32);
            match kind {
                Kind::Sint32 => write::tagged_varint(tag, u64::from(zigzag32(low.0)), self.out),
                Kind::Sint64 => write::tagged_varint(tag, zigzag64(value), self.out),
                Kind::Fixed32 | Kind::Sfixed32 => {
                    write::tagged_fixed(tag, low.1.to_le_bytes(), self.out);
                }
                Kind::Fixed64 | Kind::Sfixed64 => {
                    write::tagged_fixed(tag, bits.to_le_bytes(), self.out);
                }
                _ => write::tagged_varint(tag, bits, self.out),
            }
        }
        self.json.move_to(at + integer.len);
        true
    }

    #[inline(always)]
    pub(super) fn quick_double(&mut self, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        let Some(decimal) = Decimal::read(self.json.block(at)) else {
            return false;
        };
        let Some(value) = decimal.to_f64() else {
            return false;
        };
        // Negative zero is not the default.
        if value.to_bits() != 0 || is_default_written {
            write::tagged_fixed(tag, value.to_le_bytes(), self.out);
        }
        self.json.move_to(at + decimal.len);
        true
    }

    #[inline(always)]
    pub(super) fn quick_float(&mut self, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        let Some(decimal) = Decimal::read(self.json.block(at)) else {
            return false;
        };
        let Some(value) = decimal.to_f32() else {
            return false;
        };
        if value.to_bits() != 0 || is_default_written {
            write::tagged_fixed(tag, value.to_le_bytes(), self.out);
        }
        self.json.move_to(at + decimal.len);
        true
    }

    #[inline(always)]
    fn quick_boolean(&mut self, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        let block = self.json.block(at);
        let (is_true, len) = match block.first_chunk() {
            Some(b"true") => (true, 4),
            Some(b"fals") if short::byte_at(block, 4) == b'e' => (false, 5),
            _ => return false,
        };
        if is_true || is_default_written {
            write::tagged_varint(tag, u64::from(is_true), self.out);
        }
        self.json.move_to(at + len);
        true
    }

    /// A name that the enum has.
    #[inline(always)]
    fn quick_enum(&mut self, index: EnumIndex, tag: Tag, is_default_written: bool) -> bool {
        let at = self.json.offset();
        let block = self.json.block(at + 1);
        if self.json.byte_at(at) != b'"' {
            return false;
        }
        let Some(string) = ShortString::read(block) else {
            return false;
        };
        let name = block.get(..string.len).unwrap_or_default();
        let Some(number) = self.plan.enumeration(index).find_number(name) else {
            return false;
        };
        if number != 0 || is_default_written {
            write::tagged_varint(tag, i64::from(number).cast_unsigned(), self.out);
        }
        self.json.move_to(at + 1 + string.len + 1);
        true
    }
}
