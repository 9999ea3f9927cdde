//! JSON text without a check a byte. In: one value. Out: its text and a comma, appended to the caller's buffer.
//! Always: room for the whole value is made before its first byte is written; nothing past the end of the input is read.
#![expect(
    unsafe_code,
    reason = "a check of the capacity at each byte took a third of the time of to_json"
)]

use super::snippet::{CHUNK_LEN, Snippet};
use super::write;

/// Bytes that a number, a bool or a bracket may take, with what is written beyond it and not kept.
const SLOT_LEN: usize = 64;

/// Bytes of a string that are copied and looked at at once.
const STEP_LEN: usize = 16;

/// Room for what a string takes beside its bytes: quotes, comma, the longest escape, and what the last step writes beyond it.
const STRING_SLACK_LEN: usize = 4 + 8 + STEP_LEN;

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

    /// `value`, negative or not, in quotes or not.
    #[inline(always)]
    pub(crate) fn int64(mut self, is_negative: bool, value: u64, is_quoted: bool) {
        let (end, end_len) = if is_quoted {
            (*b"\",", 2)
        } else {
            (*b",\0", 1)
        };
        // SAFETY: a slot has room for SLOT_LEN bytes; this takes 28 at most.
        unsafe {
            self.put([b'"'], usize::from(is_quoted));
            self.put([b'-'], usize::from(is_negative));
            self.at = put_u64(self.at, value);
            self.put(end, end_len);
        }
        self.end();
    }

    /// The shortest number that reads back as the same double, or what cannot be a number as a string (SEMANTICS 101).
    #[inline(always)]
    pub(crate) fn double(self, value: f64) {
        if value.is_finite() {
            self.number(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(value);
        }
    }

    /// As [`Slot::double`] for a float.
    #[inline(always)]
    pub(crate) fn float(self, value: f32) {
        if value.is_finite() {
            self.number(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(f64::from(value));
        }
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
    /// The bytes behind them may be read, but do not matter. Tells whether a byte is not ASCII; whether those are UTF-8 is the
    /// caller's to ask.
    #[inline(always)]
    pub(crate) fn string(self, source: &[u8], len: usize) -> bool {
        let len = len.min(source.len());
        let mut slot = self.reserved(len + STRING_SLACK_LEN);
        // SAFETY: the room is len + STRING_SLACK_LEN.
        unsafe { slot.put([b'"'], 1) };
        let mut high_bits = 0;
        let mut from = 0;
        loop {
            // Room behind `at`: what is left of the text, and the slack less the quote before it.
            let rest = source.get(from..).unwrap_or_default();
            let step = match rest.first_chunk() {
                Some(step) => *step,
                None => padded(rest),
            };
            let left = len.wrapping_sub(from);
            let inside = if left >= STEP_LEN { 0xffff } else { (1 << left) - 1 };
            let seen = look(step);
            high_bits |= seen.high_bits & inside;
            let special = seen.special & inside;
            // SAFETY: one step is within the slack.
            unsafe { slot.put(step, 0) };
            if special == 0 {
                let count = left.min(STEP_LEN);
                // SAFETY: the bytes were written by this step.
                slot.at = unsafe { slot.at.add(count) };
                if left <= STEP_LEN {
                    break;
                }
                from = from.wrapping_add(STEP_LEN);
                continue;
            }
            let count = special.trailing_zeros() as usize;
            // SAFETY: the bytes were written by this step.
            slot.at = unsafe { slot.at.add(count) };
            from = from.wrapping_add(count).wrapping_add(1);
            let byte = step.get(count).copied().unwrap_or_default();
            let (escape, escape_len) = escape(byte);
            // SAFETY: an escape of 8 bytes is within the slack.
            unsafe { slot.put(escape, escape_len) };
            slot = slot.reserved(len.wrapping_sub(from).wrapping_add(STRING_SLACK_LEN));
            if from == len {
                break;
            }
        }
        // SAFETY: quote and comma are within the slack.
        unsafe { slot.put(*b"\",", 2) };
        slot.end();
        high_bits != 0
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

/// Bits of a step, the first byte lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// Quotes, backslashes and control characters.
    special: u32,
    /// Bytes that are not ASCII.
    high_bits: u32,
}

#[inline(always)]
fn look(step: [u8; STEP_LEN]) -> Look {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has SSE2.
    return unsafe { look_sse2(step) };
    #[cfg(not(target_arch = "x86_64"))]
    look_portable(step)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn look_sse2(step: [u8; STEP_LEN]) -> Look {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: both types are 16 bytes of which every pattern is valid.
    let bytes = unsafe { std::mem::transmute::<[u8; STEP_LEN], __m128i>(step) };
    let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let special = _mm_or_si128(_mm_or_si128(is(b'"'), is(b'\\')), control);
    Look {
        special: _mm_movemask_epi8(special).cast_unsigned(),
        high_bits: _mm_movemask_epi8(bytes).cast_unsigned(),
    }
}

/// The twin that any processor runs.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn look_portable(step: [u8; STEP_LEN]) -> Look {
    let mut look = Look {
        special: 0,
        high_bits: 0,
    };
    for (index, &byte) in step.iter().enumerate() {
        let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
        look.special |= u32::from(is_special) << index;
        look.high_bits |= u32::from(byte >= 0x80) << index;
    }
    look
}

/// The last bytes of a source, with zeros behind them.
#[cold]
fn padded(rest: &[u8]) -> [u8; STEP_LEN] {
    let mut step = [0; STEP_LEN];
    for (byte, given) in step.iter_mut().zip(rest) {
        *byte = *given;
    }
    step
}

/// What stands for a special byte, and its length.
#[inline(always)]
fn escape(byte: u8) -> ([u8; 8], usize) {
    let mut escape = ESCAPES
        .get(usize::from(byte))
        .copied()
        .unwrap_or_default();
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
