//! Protobuf bytes from values. In: integers, already tagged by the caller. Out: bytes appended to the caller's buffer.
//! Always: varints are of the shortest form; a length is filled in once its content is known.

use super::Tag;
use crate::room;
use crate::simd::{BLOCK_LEN, Block};

/// Bytes that room is made for in front of a value, which are more than a tag has.
const TAG_LEN: usize = 8;

/// Puts a tag at the start of `room`, and tells where it ends.
#[inline(always)]
fn put_tag<const N: usize>(room: &mut [u8; N], tag: Tag) -> usize {
    put(room, 0, tag.bytes);
    usize::from(tag.len & 7)
}

/// Puts bytes where there is room for them.
#[inline(always)]
fn put<const N: usize, const LEN: usize>(room: &mut [u8; N], at: usize, bytes: [u8; LEN]) {
    if let Some(place) = room.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = bytes;
    }
}

/// Appends a tag.
#[inline(always)]
pub(crate) fn tag(tag: Tag, out: &mut Vec<u8>) {
    room::append::<TAG_LEN>(out, |room| put_tag(room, tag));
}

/// Appends a tag and a zero.
#[inline(always)]
pub(crate) fn tag_and_zero(tag: Tag, out: &mut Vec<u8>) {
    // Room is zero before something is put there.
    room::append::<TAG_LEN>(out, |room| put_tag(room, tag) + 1);
}

/// Appends a varint.
#[inline(always)]
pub(crate) fn varint(value: u64, out: &mut Vec<u8>) {
    tagged_varint(Tag::NONE, value, out);
}

/// Appends a tag and the value as a varint.
#[inline(always)]
pub(crate) fn tagged_varint(tag: Tag, value: u64, out: &mut Vec<u8>) {
    room::append::<{ TAG_LEN + 16 }>(out, |room| {
        let at = put_tag(room, tag);
        at + put_varint(room, at, value)
    });
}

/// Appends a tag and the value with its little end first.
#[inline(always)]
pub(crate) fn tagged_fixed<const LEN: usize>(tag: Tag, value: [u8; LEN], out: &mut Vec<u8>) {
    room::append::<{ TAG_LEN + 8 }>(out, |room| {
        let at = put_tag(room, tag);
        put(room, at, value);
        at + LEN
    });
}

/// Appends a tag and the first `len` bytes of a block with their length. `len` is at most that of a block.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a block is short")]
pub(crate) fn tagged_short_bytes(tag: Tag, block: &Block, len: usize, out: &mut Vec<u8>) {
    room::append::<{ TAG_LEN + 1 + BLOCK_LEN }>(out, |room| {
        let at = put_tag(room, tag);
        put(room, at, [len as u8]);
        put(room, at + 1, *block);
        at + 1 + len
    });
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

/// Puts a varint into room, and tells how long it is.
#[inline(always)]
fn put_varint<const N: usize>(room: &mut [u8; N], at: usize, value: u64) -> usize {
    if value < 0x80 {
        put(room, at, [low_byte(value)]);
        return 1;
    }
    // Seven bits a byte, rounded up: the quotient by seven, as a product.
    let len = ((64 - value.leading_zeros()) * 9 + 64) as usize / 64;
    if len > 8 {
        put(room, at, (spread(value) | CONTINUED).to_le_bytes());
        let [low, high] = [value >> 56, value >> 63].map(low_byte);
        let is_continued = u8::from(len == 10) << 7;
        put(room, at + 8, [low & 0x7f | is_continued, high]);
    } else {
        let continued = CONTINUED & ((1 << (8 * (len - 1))) - 1);
        put(room, at, (spread(value) | continued).to_le_bytes());
    }
    len
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
