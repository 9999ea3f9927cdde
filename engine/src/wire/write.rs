//! Protobuf bytes from values. In: integers, already tagged by the caller. Out: bytes appended to the caller's buffer.
//! Always: varints are of the shortest form; a length is filled in once its content is known.

use super::Tag;
use crate::room::append;
use crate::simd::Block;

/// Bytes of a tag that count. The mask tells the compiler that they are fewer than the tag has room for.
#[inline(always)]
fn tag_len(tag: Tag) -> usize {
    usize::from(tag.len & 7)
}

/// Appends a tag.
#[inline(always)]
pub(crate) fn tag(tag: Tag, out: &mut Vec<u8>) {
    append(out, [], 0, &tag.bytes, tag_len(tag));
}

/// Appends a tag and a zero.
#[inline(always)]
pub(crate) fn tag_and_zero(tag: Tag, out: &mut Vec<u8>) {
    // The bytes behind a tag are zero.
    append(out, [], 0, &tag.bytes, tag_len(tag) + 1);
}

/// Appends a varint.
#[inline(always)]
pub(crate) fn varint(value: u64, out: &mut Vec<u8>) {
    tagged_varint(Tag::NONE, value, out);
}

/// Bytes of a length as a varint.
pub(crate) const fn varint_len(len: usize) -> usize {
    let bit_count = usize::BITS - (len | 1).leading_zeros();
    bit_count.div_ceil(7) as usize
}

/// Appends a tag and the value as a varint.
#[inline(always)]
pub(crate) fn tagged_varint(tag: Tag, value: u64, out: &mut Vec<u8>) {
    if value < 1 << 56 {
        let (bytes, len) = varint_word(value);
        append(out, tag.bytes, tag_len(tag), &bytes, len);
    } else {
        long_varint(tag, value, out);
    }
}

/// Appends a tag and the value with its little end first.
#[inline(always)]
pub(crate) fn tagged_fixed<const LEN: usize>(tag: Tag, value: [u8; LEN], out: &mut Vec<u8>) {
    append(out, tag.bytes, tag_len(tag), &value, LEN);
}

/// Appends a tag and the first `len` bytes of a block with their length. `len` is at most that of a block.
#[inline(always)]
pub(crate) fn tagged_short_bytes(tag: Tag, block: &Block, len: usize, out: &mut Vec<u8>) {
    let tag_len = tag_len(tag);
    let bytes = u64::from_le_bytes(tag.bytes) | (len as u64) << (8 * tag_len);
    append(out, bytes.to_le_bytes(), tag_len + 1, block, len);
}

/// Appends four bytes, little end first.
#[inline]
pub(crate) fn fixed32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends eight bytes, little end first.
#[inline]
pub(crate) fn fixed64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The bytes of a varint of at most 56 bits, and how many they are.
#[inline(always)]
const fn varint_word(value: u64) -> ([u8; 8], usize) {
    if value < 0x80 {
        return (value.to_le_bytes(), 1);
    }
    if value < 0x4000 {
        return (
            (value & 0x7f | 0x80 | (value & 0x3f80) << 1).to_le_bytes(),
            2,
        );
    }
    // Seven bits a byte, rounded up: the quotient by seven, as a product.
    let bit_count = 64_u32.wrapping_sub(value.leading_zeros());
    let len = bit_count.wrapping_mul(9).wrapping_add(64) / 64;
    let continued = CONTINUED >> (72_u32.wrapping_sub(8_u32.wrapping_mul(len)) & 63);
    ((spread(value) | continued).to_le_bytes(), len as usize)
}

/// [`tagged_varint`] for more than 56 bits: negative numbers, mostly.
#[inline(never)]
fn long_varint(tag: Tag, value: u64, out: &mut Vec<u8>) {
    let mut bytes = [0; 10];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&(spread(value) | CONTINUED).to_le_bytes());
    let is_longest = value >> 63 != 0;
    let ninth = low_byte(value >> 56) & 0x7f | u8::from(is_longest) << 7;
    high.copy_from_slice(&[ninth, u8::from(is_longest)]);
    append(
        out,
        tag.bytes,
        tag_len(tag),
        &bytes,
        9 + usize::from(is_longest),
    );
}

/// The bit of each byte that says that another one follows.
const CONTINUED: u64 = 0x8080808080808080;

/// The low 56 bits, seven in each byte. Halves, quarters and eighths are moved apart one after the other.
#[inline(always)]
const fn spread(value: u64) -> u64 {
    let halves = value & 0x0fffffff | (value & 0x00fffffff0000000) << 4;
    let quarters = halves & 0x00003fff00003fff | (halves & 0x0fffc0000fffc000) << 2;
    quarters & 0x007f007f007f007f | (quarters & 0x3f803f803f803f80) << 1
}

/// Maps 0, -1, 1, -2 to 0, 1, 2, 3: the value that `varint` writes for a `sint32`.
#[inline]
pub(crate) const fn zigzag32(value: i32) -> u32 {
    (value << 1 ^ value >> 31).cast_unsigned()
}

/// As [`zigzag32`] for a `sint64`.
#[inline]
pub(crate) const fn zigzag64(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Reserves one byte for a length and returns its offset; [`close`] takes it once the content has been written behind it.
#[inline]
pub(crate) fn open(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.push(0);
    at
}

/// Fills in the length of what has been written since [`open`] gave `at`.
///
/// ```text
/// at │0│ content, fewer than 128 bytes │   ▶  │len│ content │
/// at │0│ content, 128 bytes or more    │   ▶  │len│len│..│ content, moved by the bytes that the length takes more │
/// ```
#[inline]
pub(crate) fn close(out: &mut Vec<u8>, at: usize) {
    let len = out.len().saturating_sub(at + 1);
    if len < 0x80 {
        if let Some(byte) = out.get_mut(at) {
            *byte = low_byte(len as u64);
        }
    } else {
        close_long(out, at, len);
    }
}

#[inline(never)]
fn close_long(out: &mut Vec<u8>, at: usize, len: usize) {
    let content_end = out.len();
    // The length is written behind the content, which makes the room for it, and is kept while the content moves.
    varint(len as u64, out);
    let mut length = [0; 10];
    let length_len = out.len() - content_end;
    for (kept, byte) in length.iter_mut().zip(out.iter().skip(content_end)) {
        *kept = *byte;
    }
    out.pop();
    out.copy_within(at + 1..content_end, at + length_len);
    for (byte, kept) in out.iter_mut().skip(at).zip(length.iter().take(length_len)) {
        *byte = *kept;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are what is wanted"
)]
const fn low_byte(value: u64) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{decode_varint, encode_varint};

    use super::*;

    #[test]
    fn zigzag_keeps_small_magnitudes_small() {
        for (value, mapped) in [
            (0, 0),
            (-1, 1),
            (1, 2),
            (-2, 3),
            (i32::MAX, u32::MAX - 1),
            (i32::MIN, u32::MAX),
        ] {
            assert_eq!(zigzag32(value), mapped);
        }
        for (value, mapped) in [
            (0, 0),
            (-1, 1),
            (1, 2),
            (i64::MAX, u64::MAX - 1),
            (i64::MIN, u64::MAX),
        ] {
            assert_eq!(zigzag64(value), mapped);
        }
    }

    #[test]
    fn fixed_values_have_their_little_end_first() {
        let mut out = Vec::new();
        fixed32(0x0403_0201, &mut out);
        fixed64(0x0c0b_0a09_0807_0605, &mut out);
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    /// Goal: the content arrives whole behind a length of any width, and what stands before it is untouched.
    #[test]
    fn a_length_of_any_width_precedes_its_content() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152] {
            let content: Vec<u8> = (0..=250).cycle().take(len).collect();
            let mut out = b"before".to_vec();
            let at = open(&mut out);
            out.extend_from_slice(&content);
            close(&mut out, at);
            let mut rest = out.strip_prefix(b"before").unwrap();
            assert_eq!(decode_varint(&mut rest).unwrap(), len as u64);
            assert!(rest == content, "content of {len} bytes");
        }
    }

    #[test]
    fn lengths_nest() {
        let mut out = Vec::new();
        let outer = open(&mut out);
        out.extend_from_slice(&[7; 100]);
        let inner = open(&mut out);
        out.extend_from_slice(&[8; 200]);
        close(&mut out, inner);
        close(&mut out, outer);
        let mut rest = &out[..];
        assert_eq!(decode_varint(&mut rest).unwrap(), 302);
        let mut rest = rest.strip_prefix(&[7; 100]).unwrap();
        assert_eq!(decode_varint(&mut rest).unwrap(), 200);
        assert_eq!(rest, [8; 200]);
    }

    proptest! {
        #[test]
        fn varints_agree_with_prost(value in any::<u64>(), shift in 0..64) {
            let value = value >> shift;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            varint(value, &mut ours);
            encode_varint(value, &mut theirs);
            prop_assert_eq!(ours, theirs);
        }
    }
}
