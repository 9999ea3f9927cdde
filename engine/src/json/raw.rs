//! JSON text without a check a byte. In: one value. Out: its text and a comma, appended to the caller's buffer.
//! Always: room for the whole value is made before its first byte is written; nothing past the end of the input is read.
#![expect(
    unsafe_code,
    reason = "a check of the capacity at each byte took a third of the time of to_json"
)]

use super::snippet::{CHUNK_LEN, Snippet};
use super::write;
use crate::simd::{self, BLOCK_LEN, Block};

/// Bytes that a number, a bool or a bracket may take, with what is written beyond it and not kept.
const SLOT_LEN: usize = 64;

/// Bytes of a label that is copied at once, whatever its length.
pub(crate) const LABEL_LEN_MAX: usize = 32;

/// Room for what a string takes beside its bytes: quotes, comma, an escape, and what its last block writes beyond it.
const STRING_SLACK_LEN: usize = 4 + 8 + BLOCK_LEN;

/// Room at the end of a buffer for one value. What has been written becomes part of the buffer when the slot is used up by the method
/// that writes the value; a slot that is dropped leaves the buffer as it was.
pub(crate) struct Slot<'o> {
    out: &'o mut Vec<u8>,
    /// Where the next byte goes. In the allocation of `out`, at or behind its length, and all before it is written. When a
    /// slot is handed out, [`SLOT_LEN`] bytes or more of the capacity lie behind it.
    at: *mut u8,
}

impl<'o> Slot<'o> {
    #[inline(always)]
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self::with_room(SLOT_LEN, out)
    }

    /// A slot behind a text.
    #[inline(always)]
    pub(crate) fn after(text: &Snippet, out: &'o mut Vec<u8>) -> Self {
        let chunks = text.chunks();
        let mut slot = Self::with_room(chunks.as_flattened().len() + SLOT_LEN, out);
        slot.copy(text);
        slot
    }

    /// A slot behind the first `len` bytes of a label.
    #[inline(always)]
    pub(crate) fn behind(label: &[u8; LABEL_LEN_MAX], len: u8, out: &'o mut Vec<u8>) -> Self {
        let mut slot = Self::with_room(LABEL_LEN_MAX + SLOT_LEN, out);
        // SAFETY: there is room for all of the label, and `len` is cut to that.
        unsafe { slot.put(*label, usize::from(len).min(LABEL_LEN_MAX)) };
        slot
    }

    #[inline(always)]
    fn with_room(len: usize, out: &'o mut Vec<u8>) -> Self {
        out.reserve(len);
        let start = out.as_mut_ptr();
        // SAFETY: the length is within the allocation.
        let at = unsafe { start.add(out.len()) };
        Self { out, at }
    }

    /// Ends the value: what has been written is kept.
    #[inline(always)]
    pub(crate) fn end(self) {
        let len = self.at.addr().wrapping_sub(self.out.as_ptr().addr());
        debug_assert!(len <= self.out.capacity());
        // SAFETY: `at` is in the allocation and all before it is written.
        unsafe { self.out.set_len(len) }
    }

    /// A bracket that opens, without a comma.
    #[inline(always)]
    pub(crate) fn open(mut self, bracket: u8) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.put([bracket], 1) };
        self.end();
    }

    /// A bracket that closes: the comma behind the last member or element gives way to it, and another one follows it.
    #[inline(always)]
    pub(crate) fn close(bracket: u8, out: &'o mut Vec<u8>) {
        let has_member = out.last() == Some(&b',');
        let mut slot = Self::new(out);
        // SAFETY: where there is a last byte, the one before `at` is in the allocation.
        slot.at = unsafe { slot.at.sub(usize::from(has_member)) };
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { slot.put([bracket, b','], 2) };
        slot.end();
    }

    /// A text that has its comma already.
    #[inline(always)]
    pub(crate) fn snippet(self, text: &Snippet) {
        let mut slot = self.reserved(text.chunks().as_flattened().len());
        slot.copy(text);
        slot.end();
    }

    pub(crate) fn null(mut self) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.put(*b"null,", 5) };
        self.end();
    }

    #[inline(always)]
    pub(crate) fn boolean(mut self, value: bool) {
        let (text, len) = if value {
            (*b"true,\0\0\0", 5)
        } else {
            (*b"false,\0\0", 6)
        };
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.put(text, len) };
        self.end();
    }

    #[inline(always)]
    pub(crate) fn uint32(mut self, value: u32) {
        // SAFETY: a slot has room for SLOT_LEN bytes; this takes 19 at most.
        unsafe {
            self.at = put_u32(self.at, value);
            self.put([b','], 1);
        }
        self.end();
    }

    #[inline(always)]
    pub(crate) fn int32(mut self, value: i32) {
        // SAFETY: a slot has room for SLOT_LEN bytes; this takes 20 at most.
        unsafe {
            self.put([b'-'], usize::from(value < 0));
            self.at = put_u32(self.at, value.unsigned_abs());
            self.put([b','], 1);
        }
        self.end();
    }

    #[inline(always)]
    pub(crate) fn int64(self, value: i64, is_quoted: bool) {
        self.wide_integer(value < 0, value.unsigned_abs(), is_quoted);
    }

    #[inline(always)]
    pub(crate) fn uint64(self, value: u64, is_quoted: bool) {
        self.wide_integer(false, value, is_quoted);
    }

    #[inline(always)]
    fn wide_integer(mut self, is_negative: bool, magnitude: u64, is_quoted: bool) {
        let (end, end_len) = if is_quoted {
            (*b"\",", 2)
        } else {
            (*b",\0", 1)
        };
        // SAFETY: a slot has room for SLOT_LEN bytes; this takes 28 at most.
        unsafe {
            self.put([b'"'], usize::from(is_quoted));
            self.put([b'-'], usize::from(is_negative));
            self.at = put_u64(self.at, magnitude);
            self.put(end, end_len);
        }
        self.end();
    }

    /// The shortest number that reads back as the same double, or what cannot be a number as a string (SEMANTICS 101).
    #[inline(always)]
    pub(crate) fn double(self, value: f64) {
        match millionths(value) {
            Some(count) => self.millionths(value.is_sign_negative(), count),
            None => self.long_double(value),
        }
    }

    #[inline(never)]
    fn long_double(self, value: f64) {
        if value.is_finite() {
            self.number(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(value);
        }
    }

    /// As [`Slot::double`] for a float.
    #[inline(always)]
    pub(crate) fn float(self, value: f32) {
        match float_millionths(value) {
            Some(count) => self.millionths(value.is_sign_negative(), count),
            None => self.long_float(value),
        }
    }

    #[inline(never)]
    fn long_float(self, value: f32) {
        if value.is_finite() {
            self.number(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(f64::from(value));
        }
    }

    /// A number of millionths, of which there are at most 10^15, without trailing zeros.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both parts are 10^9 at most"
    )]
    fn millionths(mut self, is_negative: bool, count: u64) {
        let (whole, fraction) = (count / 1_000_000, (count % 1_000_000) as u32);
        let digits = eight_digits(fraction.wrapping_mul(100));
        let kept_len = 8_u32.wrapping_sub(digits.leading_zeros() / 8) as usize;
        // SAFETY: a slot has room for SLOT_LEN bytes; this takes 35 at most.
        unsafe {
            self.put([b'-'], usize::from(is_negative));
            self.at = put_u32(self.at, whole as u32);
            self.put([b'.'], usize::from(fraction != 0));
            self.put((digits | ASCII_ZEROS).to_le_bytes(), kept_len);
            self.put([b','], 1);
        }
        self.end();
    }

    #[cold]
    #[inline(never)]
    fn not_finite(self, value: f64) {
        self.end_with(|out| write::not_finite(value, out));
    }

    /// Lets `write` append to the buffer, and a comma behind it.
    #[inline]
    pub(crate) fn end_with(self, write: impl FnOnce(&mut Vec<u8>)) {
        let len = self.at.addr().wrapping_sub(self.out.as_ptr().addr());
        // SAFETY: `at` is in the allocation and all before it is written.
        unsafe { self.out.set_len(len) };
        write(self.out);
        self.out.push(b',');
    }

    /// The text of a finite number, of 1 to 24 bytes.
    #[inline(always)]
    fn number(mut self, text: &[u8]) {
        // `1.0` is `1` to a reader of JSON; `-0.0` too keeps its sign as `-0`.
        let len = text.len() - if text.ends_with(b".0") { 2 } else { 0 };
        debug_assert!(text.len() <= 24);
        // The pieces overlap, so that no length needs a loop.
        // SAFETY: a slot has room for SLOT_LEN bytes; each piece ends within the text's 24.
        unsafe {
            if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
                self.at.cast::<[u8; 16]>().write_unaligned(*first);
                let last_at = self.at.add(text.len() - 16);
                last_at.cast::<[u8; 16]>().write_unaligned(*last);
            } else if let (Some(first), Some(last)) =
                (text.first_chunk::<8>(), text.last_chunk::<8>())
            {
                self.at.cast::<[u8; 8]>().write_unaligned(*first);
                let last_at = self.at.add(text.len() - 8);
                last_at.cast::<[u8; 8]>().write_unaligned(*last);
            } else if let (Some(first), Some(last)) =
                (text.first_chunk::<4>(), text.last_chunk::<4>())
            {
                self.at.cast::<[u8; 4]>().write_unaligned(*first);
                let last_at = self.at.add(text.len() - 4);
                last_at.cast::<[u8; 4]>().write_unaligned(*last);
            } else {
                for (index, byte) in text.iter().enumerate() {
                    self.at.add(index).write(*byte);
                }
            }
            self.at = self.at.add(len);
            self.put([b','], 1);
        }
        self.end();
    }

    /// The first `len` bytes of `source` as a string: quotes, and escapes for what RFC 8259 demands and nothing else (SEMANTICS 106).
    /// The bytes behind them may be looked at, but do not matter. Tells whether a byte is not ASCII; whether those are UTF-8 is the
    /// caller's to ask.
    #[inline(always)]
    pub(crate) fn string(self, source: &[u8], len: usize) -> bool {
        let len = len.min(source.len());
        let mut slot = self.reserved(len.wrapping_add(STRING_SLACK_LEN));
        // SAFETY: the quote is within the slack.
        unsafe { slot.put([b'"'], 1) };
        // Most strings are plain and no longer than a block.
        if len <= BLOCK_LEN
            && let Some(block) = source.first_chunk()
        {
            let inside = !(u32::MAX.unbounded_shl(len as u32));
            let high = simd::high(block) & inside;
            if simd::stops(block) & inside == 0 {
                // SAFETY: a block is within the slack, and `len` is not more.
                unsafe { slot.put(*block, len) };
                // SAFETY: quote and comma are within the slack.
                unsafe { slot.put(*b"\",", 2) };
                slot.end();
                return high != 0;
            }
        }
        slot.long_string(source, len)
    }

    /// The rest of [`Slot::string`] behind the first quote: any string, block by block.
    #[inline(never)]
    fn long_string(self, source: &[u8], len: usize) -> bool {
        let mut slot = self;
        let mut high = 0;
        let mut rest = source;
        // Always so many bytes of the text are left at the start of `rest`, and room behind `at` for them and for the slack without a quote.
        let mut left = len;
        loop {
            let block = match rest.first_chunk() {
                Some(block) => *block,
                None => padded(rest),
            };
            let inside = !(u32::MAX.unbounded_shl(left.min(BLOCK_LEN) as u32));
            high |= simd::high(&block) & inside;
            let stops = simd::stops(&block) & inside;
            // SAFETY: a block is within the slack.
            unsafe { slot.put(block, 0) };
            if stops == 0 {
                // SAFETY: the bytes were written with the block.
                slot.at = unsafe { slot.at.add(left.min(BLOCK_LEN)) };
                if left <= BLOCK_LEN {
                    break;
                }
                left = left.wrapping_sub(BLOCK_LEN);
                rest = rest.get(BLOCK_LEN..).unwrap_or_default();
                continue;
            }
            let count = stops.trailing_zeros() as usize;
            // SAFETY: the bytes were written with the block.
            slot.at = unsafe { slot.at.add(count) };
            let byte = block.get(count).copied().unwrap_or_default();
            let (escape, escape_len) = escape(byte);
            // SAFETY: an escape is within the slack.
            unsafe { slot.put(escape, escape_len) };
            left = left.wrapping_sub(count).wrapping_sub(1);
            rest = rest.get(count.wrapping_add(1)..).unwrap_or_default();
            slot = slot.reserved(left.wrapping_add(STRING_SLACK_LEN));
            if left == 0 {
                break;
            }
        }
        // SAFETY: quote and comma are within the slack.
        unsafe { slot.put(*b"\",", 2) };
        slot.end();
        high != 0
    }

    /// A colon in place of the comma that was written last.
    #[inline(always)]
    pub(crate) fn colon(out: &'o mut Vec<u8>) {
        if let Some(last) = out.last_mut() {
            debug_assert_eq!(*last, b',');
            *last = b':';
        }
    }

    /// The slot with this much room, wherever it lies then.
    #[inline(always)]
    fn reserved(self, len: usize) -> Self {
        let used = self.at.addr().wrapping_sub(self.out.as_ptr().addr());
        if self.out.capacity().wrapping_sub(used) >= len {
            return self;
        }
        self.grown(len)
    }

    #[cold]
    #[inline(never)]
    fn grown(self, len: usize) -> Self {
        let used = self.at.addr().wrapping_sub(self.out.as_ptr().addr());
        // SAFETY: `at` is in the allocation and all before it is written.
        unsafe { self.out.set_len(used) };
        Self::with_room(len, self.out)
    }

    /// Copies a text, for which there is room in whole chunks.
    #[inline(always)]
    fn copy(&mut self, text: &Snippet) {
        let start = self.at;
        let mut to = start;
        for chunk in text.chunks() {
            // SAFETY: the caller has made room for every chunk.
            unsafe {
                to.cast::<[u8; CHUNK_LEN]>().write_unaligned(*chunk);
                to = to.add(CHUNK_LEN);
            }
        }
        // SAFETY: the text is not longer than its chunks.
        self.at = unsafe { start.add(text.len()) };
    }

    /// Writes a few bytes and keeps the first `len` of them.
    ///
    /// # Safety
    /// `N` bytes of the capacity lie behind `at`, and `len <= N`.
    #[inline(always)]
    unsafe fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        debug_assert!(len <= N);
        debug_assert!(
            self.at.addr() + N <= self.out.as_ptr().addr() + self.out.capacity(),
            "no room was made"
        );
        // SAFETY: the caller has made room for N bytes.
        unsafe { self.at.cast::<[u8; N]>().write_unaligned(bytes) };
        // SAFETY: len <= N.
        self.at = unsafe { self.at.add(len) };
    }
}

/// How many millionths `value` is without its sign, if that number of at most 15 digits is what is to be written.
///
/// A quotient is rounded to the nearest double, so the decimal number reads back as `value` if the quotient is equal to it. No two
/// decimal numbers of 15 digits read as the same double, so that there is no other one as short or shorter.
#[inline(always)]
fn millionths(value: f64) -> Option<u64> {
    const MILLION: f64 = 1e6;
    let magnitude = value.abs();
    let (count, rounded) = to_integer(magnitude * MILLION);
    // Below a thousandth, more digits and an exponent may be due.
    let is_in_range = magnitude < 1e9 && (magnitude >= 1e-3 || magnitude == 0.0);
    (is_in_range && rounded / MILLION == magnitude).then_some(count)
}

/// As [`millionths`] for a float, of which six digits are unique, or all of them where the decimal number is the very value: below
/// 2^16 no shorter number is near enough to a count of eighths.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked")]
fn float_millionths(value: f32) -> Option<u64> {
    const THOUSAND: f64 = 1e3;
    let magnitude = f64::from(value.abs());
    let (count, rounded) = to_integer(magnitude * THOUSAND);
    let quotient = rounded / THOUSAND;
    let is_short = magnitude < 999.0 && (magnitude >= 1e-3 || magnitude == 0.0);
    let is_found = (is_short && quotient as f32 == value.abs())
        || (magnitude < 65_536.0 && quotient == magnitude);
    is_found.then_some(count.wrapping_mul(1000))
}

/// The integer nearest to a number of 0 to 2^52, as such and as a double. What any other number gives has no meaning.
#[inline(always)]
fn to_integer(value: f64) -> (u64, f64) {
    // Doubles from here to twice that are the integers.
    const FIRST: f64 = 4_503_599_627_370_496.0;
    let shifted = value + FIRST;
    (shifted.to_bits() & ((1 << 52) - 1), shifted - FIRST)
}

/// Writes a number and returns where it ends.
///
/// # Safety
/// 18 bytes can be written at `at`.
#[inline(always)]
unsafe fn put_u32(at: *mut u8, value: u32) -> *mut u8 {
    // SAFETY: the caller's room is enough for the 16 bytes that either way writes.
    unsafe {
        if value < 100_000_000 {
            return put_short(at, value);
        }
        let at = put_short(at, value / 100_000_000);
        put_eight(at, value % 100_000_000)
    }
}

/// Writes a number and returns where it ends.
///
/// # Safety
/// 24 bytes can be written at `at`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each part is below 10^8")]
unsafe fn put_u64(at: *mut u8, value: u64) -> *mut u8 {
    // SAFETY: each of the at most three parts writes 8 bytes.
    unsafe {
        if value < 100_000_000 {
            return put_short(at, value as u32);
        }
        let (high, low) = (value / 100_000_000, (value % 100_000_000) as u32);
        let at = if high < 100_000_000 {
            put_short(at, high as u32)
        } else {
            let at = put_short(at, (high / 100_000_000) as u32);
            put_eight(at, (high % 100_000_000) as u32)
        };
        put_eight(at, low)
    }
}

/// Writes a number below 10^8 without leading zeros and returns where it ends.
///
/// # Safety
/// 8 bytes can be written at `at`.
#[inline(always)]
unsafe fn put_short(at: *mut u8, value: u32) -> *mut u8 {
    let digits = eight_digits(value);
    // Of zero the last digit stays.
    let zero_count = (digits | 1 << 56).trailing_zeros() / 8;
    let text = (digits | ASCII_ZEROS) >> (8 * zero_count);
    // SAFETY: the caller's room.
    unsafe {
        at.cast::<[u8; 8]>().write_unaligned(text.to_le_bytes());
        at.add(8_u32.wrapping_sub(zero_count) as usize)
    }
}

/// Writes all eight digits of a number below 10^8 and returns where they end.
///
/// # Safety
/// 8 bytes can be written at `at`.
#[inline(always)]
unsafe fn put_eight(at: *mut u8, value: u32) -> *mut u8 {
    let text = eight_digits(value) | ASCII_ZEROS;
    // SAFETY: the caller's room.
    unsafe {
        at.cast::<[u8; 8]>().write_unaligned(text.to_le_bytes());
        at.add(8)
    }
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of a number below 10^8, one a byte, the first lowest. Each step halves the groups:
///
/// ```text
/// 12345678  ▶  1234 │ 5678  ▶  12 │ 34 │ 56 │ 78  ▶  1│2│3│4│5│6│7│8
/// ```
#[inline(always)]
const fn eight_digits(value: u32) -> u64 {
    let value = value as u64;
    // Division by multiplication: 10486 / 2^20 is a hundredth for what is below 10^4, 103 / 2^10 a tenth for what is below 100.
    let high = value / 10_000;
    let fours = high | (value.wrapping_sub(high.wrapping_mul(10_000))) << 32;
    let hundreds = (fours.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours.wrapping_sub(hundreds.wrapping_mul(100))) << 16;
    let tens = (twos.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos.wrapping_sub(tens.wrapping_mul(10))) << 8
}

/// The last bytes of a source, with zeros behind them.
#[cold]
fn padded(rest: &[u8]) -> Block {
    let mut block = [0; BLOCK_LEN];
    for (byte, given) in block.iter_mut().zip(rest) {
        *byte = *given;
    }
    block
}

/// What stands for a special byte, and its length.
#[inline(always)]
fn escape(byte: u8) -> ([u8; 8], usize) {
    let mut escape = ESCAPES.get(usize::from(byte)).copied().unwrap_or_default();
    let [.., len] = &mut escape;
    let len = usize::from(std::mem::take(len)).min(6);
    (escape, len)
}

/// By byte up to the backslash: the escape, and in the last byte its length.
const ESCAPES: [[u8; 8]; 0x5d] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut escapes = [[0; 8]; 0x5d];
    let mut byte = 0;
    while byte < 0x20 {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            let (high, low) = (HEX[byte >> 4], HEX[byte & 15]);
            escapes[byte] = [b'\\', b'u', b'0', b'0', high, low, 0, 6];
        }
        byte += 1;
    }
    let short = [
        (b'"', b'"'),
        (b'\\', b'\\'),
        (0x08, b'b'),
        (b'\t', b't'),
        (b'\n', b'n'),
        (0x0c, b'f'),
        (b'\r', b'r'),
    ];
    let mut index = 0;
    while index < short.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            let (byte, letter) = short[index];
            escapes[byte as usize] = [b'\\', letter, 0, 0, 0, 0, 0, 2];
        }
        index += 1;
    }
    escapes
};
