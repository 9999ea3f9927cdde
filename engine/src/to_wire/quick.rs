//! The short way of scalars. In: a value that lies in one block, in the spelling that nearly all have. Out: tag and value.
//! Always: it is taken and written as a whole or not at all; what it passes over, `scalar` reads, and refuses if need be.
//!
//! It stands inline in loops that recurse, but in unoptimized code, where a frame would hold every variable of it apart.

use super::Pass;
use crate::json::short::{self, Decimal, Integer, ShortString};
use crate::plan::{EnumIndex, Kind, Tag};
use crate::wire::write::{self, zigzag32, zigzag64};

impl Pass<'_, '_, '_> {
    /// Takes the scalar at an offset and writes it behind `tag`, if it is one that is quickly read: where it ends. Zero, false and nothing
    /// are not written where they are what an unset field has.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn quick_scalar(
        &mut self,
        at: usize,
        kind: Kind,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        match kind {
            Kind::String => self.quick_string(at, tag, is_default_written),
            Kind::Double => self.quick_double(at, tag, is_default_written),
            Kind::Float => self.quick_float(at, tag, is_default_written),
            Kind::Bool => self.quick_boolean(at, tag, is_default_written),
            Kind::Enum(index) => self.quick_enum(at, index, tag, is_default_written),
            Kind::Bytes | Kind::Message(_) | Kind::Group(_) | Kind::SetMember(_) => None,
            _ => self.quick_integer(at, kind, tag, is_default_written),
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn quick_string(
        &mut self,
        at: usize,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        if self.json.byte_at(at) != b'"' {
            return None;
        }
        let start = at.wrapping_add(1);
        let block = self.json.block(start);
        let Some(string) = ShortString::read(block) else {
            return self.long_string(at, tag);
        };
        if string.len > 0 || is_default_written {
            write::tagged_short_bytes(*tag, block, string.len, self.out);
        }
        let end = start.wrapping_add(string.len);
        if !string.is_ascii && !self.json.is_utf8(start, end) {
            // `scalar` says where; what has been written goes with the rest.
            return None;
        }
        Some(end.wrapping_add(1))
    }

    /// The string at an offset, if nothing is wrong with it. It is no empty one.
    #[inline(never)]
    fn long_string(&mut self, at: usize, tag: &Tag) -> Option<usize> {
        let start = self.out.len();
        write::tag_and_zero(*tag, self.out);
        let length = self.out.len() - 1;
        if let Ok(end) = self.json.copy_string(at, self.out) {
            write::close(self.out, length);
            return Some(end);
        }
        self.out.truncate(start);
        None
    }

    #[inline(always)]
    pub(super) fn quick_integer(
        &mut self,
        at: usize,
        kind: Kind,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        let integer = Integer::read(self.json.block(at))?;
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
                return None;
            }
            let bits = value.cast_unsigned();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the value has been found to fit"
            )]
            let low = (value as i32, bits as u32);
            match kind {
                Kind::Sint32 => write::tagged_varint(*tag, u64::from(zigzag32(low.0)), self.out),
                Kind::Sint64 => write::tagged_varint(*tag, zigzag64(value), self.out),
                Kind::Fixed32 | Kind::Sfixed32 => {
                    write::tagged_fixed(*tag, low.1.to_le_bytes(), self.out);
                }
                Kind::Fixed64 | Kind::Sfixed64 => {
                    write::tagged_fixed(*tag, bits.to_le_bytes(), self.out);
                }
                _ => write::tagged_varint(*tag, bits, self.out),
            }
        }
        Some(at.wrapping_add(integer.len))
    }

    #[inline(always)]
    pub(super) fn quick_double(
        &mut self,
        at: usize,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        let decimal = Decimal::read(self.json.block(at))?;
        let value = decimal.to_f64()?;
        // Negative zero is not the default.
        if value.to_bits() != 0 || is_default_written {
            write::tagged_fixed(*tag, value.to_le_bytes(), self.out);
        }
        Some(at.wrapping_add(decimal.len))
    }

    #[inline(always)]
    pub(super) fn quick_float(
        &mut self,
        at: usize,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        let decimal = Decimal::read(self.json.block(at))?;
        let value = decimal.to_f32()?;
        if value.to_bits() != 0 || is_default_written {
            write::tagged_fixed(*tag, value.to_le_bytes(), self.out);
        }
        Some(at.wrapping_add(decimal.len))
    }

    #[inline(always)]
    fn quick_boolean(&mut self, at: usize, tag: &Tag, is_default_written: bool) -> Option<usize> {
        let block = self.json.block(at);
        let (is_true, len) = match block.first_chunk() {
            Some(b"true") => (true, 4),
            Some(b"fals") if short::byte_at(block, 4) == b'e' => (false, 5),
            _ => return None,
        };
        if is_true || is_default_written {
            write::tagged_varint(*tag, u64::from(is_true), self.out);
        }
        Some(at + len)
    }

    /// A name that the enum has.
    #[inline(always)]
    fn quick_enum(
        &mut self,
        at: usize,
        index: EnumIndex,
        tag: &Tag,
        is_default_written: bool,
    ) -> Option<usize> {
        let block = self.json.block(at + 1);
        if self.json.byte_at(at) != b'"' {
            return None;
        }
        let string = ShortString::read(block)?;
        let name = block.get(..string.len).unwrap_or_default();
        let number = self.plan.enumeration(index).find_number(name)?;
        if number != 0 || is_default_written {
            write::tagged_varint(*tag, i64::from(number).cast_unsigned(), self.out);
        }
        Some(at + 1 + string.len + 1)
    }
}
