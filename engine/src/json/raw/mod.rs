//! JSON text without a check a byte. In: one value. Out: its text and a comma, appended to the caller's buffer.
//! Always: room for the whole value is made before its first byte is written; nothing past the end of the input is read.
#![expect(
    unsafe_code,
    reason = "a check of the capacity at each byte, and the length in memory, took a third of the time of to_json"
)]

use super::snippet::{CHUNK_LEN, Snippet};
use super::{digits, write};
use crate::simd::{self, BLOCK_LEN, Block};

/// Bytes that a number, a bool or a bracket may take, with what is written beyond it and not kept.
const SLOT_LEN: usize = 64;

/// Bytes of a label as it is held: all are copied at once, whatever its length.
pub(crate) const LABEL_ROOM: usize = 32;

/// Bytes that a label may have: fewer than its room, so that its length is a few bits.
pub(crate) const LABEL_LEN_MAX: usize = LABEL_ROOM - 1;

/// Room for what a string takes beside its bytes: quotes, comma, an escape, and what its last block writes beyond it.
const STRING_SLACK_LEN: usize = 4 + 8 + BLOCK_LEN;

/// Text behind the end of a buffer, which becomes part of it by [`Text::end`]. What is dropped instead was never written.
///
/// ```text
///            out.as_ptr()          out.len()          at               end
///                 │ written before     │ written here  │ room           │
/// ```
#[must_use = "what is not ended is lost"]
pub(crate) struct Text<'o> {
    out: &'o mut Vec<u8>,
    /// Where the next byte goes: in the allocation of `out`. All bytes before it are initialized.
    at: *mut u8,
    /// Where the allocation ends. `at <= end`.
    end: *mut u8,
}

/// A text with room for one value: `end - at >= SLOT_LEN`.
#[must_use = "a slot is there to be filled"]
pub(crate) struct Slot<'t, 'o>(&'t mut Text<'o>);

impl<'o> Text<'o> {
    #[inline(always)]
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.as_mut_ptr();
        // SAFETY: the length is within the allocation.
        let at = unsafe { start.add(out.len()) };
        // SAFETY: the allocation is as long as the capacity.
        let end = unsafe { start.add(out.capacity()) };
        Self { out, at, end }
    }

    /// Makes what has been written part of the buffer.
    #[inline(always)]
    pub(crate) fn end(self) {
        let len = self.len();
        debug_assert!(len <= self.out.capacity());
        // SAFETY: `at` is in the allocation and all before it is initialized.
        unsafe { self.out.set_len(len) }
    }

    /// The length of the buffer if the text ended here.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at.addr().wrapping_sub(self.out.as_ptr().addr())
    }

    /// Room for a value.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> Slot<'_, 'o> {
        self.make_room(SLOT_LEN);
        Slot(self)
    }

    /// Room for a value behind the first `len` bytes of a label.
    #[inline(always)]
    pub(crate) fn behind(&mut self, label: &[u8; LABEL_ROOM], len: u8) -> Slot<'_, 'o> {
        self.make_room(LABEL_ROOM + SLOT_LEN);
        // SAFETY: there is room for all of the label, and `len` is cut to that.
        unsafe { self.put(label, usize::from(len) & LABEL_LEN_MAX) };
        Slot(self)
    }

    /// A label without its value.
    #[inline(always)]
    pub(crate) fn label(&mut self, label: &[u8; LABEL_ROOM], len: u8) {
        let _ = self.behind(label, len);
    }

    /// A text as it is.
    #[inline(always)]
    pub(crate) fn snippet(&mut self, snippet: &Snippet) {
        let _ = self.after(snippet);
    }

    /// Room for a value behind a snippet.
    #[inline(always)]
    pub(crate) fn after(&mut self, snippet: &Snippet) -> Slot<'_, 'o> {
        let chunks = snippet.chunks();
        self.make_room(chunks.as_flattened().len().wrapping_add(SLOT_LEN));
        let start = self.at;
        for chunk in chunks {
            // SAFETY: there is room for every chunk.
            unsafe { self.put(chunk, CHUNK_LEN) };
        }
        // SAFETY: a snippet is no longer than its chunks.
        self.at = unsafe { start.add(snippet.len()) };
        Slot(self)
    }

    /// A bracket that closes: the comma behind the last member or element gives way to it, and another one follows it.
    #[inline(always)]
    pub(crate) fn close(&mut self, bracket: u8) {
        self.make_room(2);
        // SAFETY: where the text has a length, the byte before `at` is in the allocation and initialized.
        let has_member = self.len() > 0 && unsafe { self.at.sub(1).read() } == b',';
        // SAFETY: as before.
        self.at = unsafe { self.at.sub(usize::from(has_member)) };
        // SAFETY: room for two bytes was made.
        unsafe { self.put(&[bracket, b','], 2) };
    }

    /// Makes what has been written part of the buffer, lets `write` do with it, and goes on behind it.
    #[inline(always)]
    pub(crate) fn lend<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let len = self.len();
        // SAFETY: `at` is in the allocation and all before it is initialized.
        unsafe { self.out.set_len(len) };
        let result = write(self.out);
        let start = self.out.as_mut_ptr();
        // SAFETY: the length is within the allocation.
        self.at = unsafe { start.add(self.out.len()) };
        // SAFETY: the allocation is as long as the capacity.
        self.end = unsafe { start.add(self.out.capacity()) };
        result
    }

    #[inline(always)]
    fn make_room(&mut self, len: usize) {
        if self.end.addr().wrapping_sub(self.at.addr()) < len {
            self.lend(|out| reserve(out, len));
        }
    }

    /// Writes a few bytes and keeps the first `len` of them.
    ///
    /// # Safety
    /// There is room for `N` bytes, and `len <= N`.
    #[inline(always)]
    unsafe fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        debug_assert!(len <= N && self.end.addr() - self.at.addr() >= N);
        // SAFETY: there is room for N bytes.
        unsafe { self.at.cast::<[u8; N]>().write_unaligned(*bytes) };
        // SAFETY: the bytes up to `len` have been written.
        self.at = unsafe { self.at.add(len) };
    }

    /// Writes at most 32 bytes. Pieces that overlap need no loop: the first is written whole, and the last over it where it belongs.
    ///
    /// # Safety
    /// There is room for 32 bytes.
    #[inline(always)]
    unsafe fn put_short(&mut self, bytes: &[u8]) {
        let (bytes, _) = bytes.split_at(bytes.len().min(32));
        if let Some((first, last)) = pieces::<16>(bytes) {
            // SAFETY: the caller's room; both pieces end within `bytes`.
            unsafe { self.put(first, bytes.len() - 16) };
            // SAFETY: as before.
            unsafe { self.put(last, 16) };
        } else if let Some((first, last)) = pieces::<8>(bytes) {
            // SAFETY: as before.
            unsafe { self.put(first, bytes.len() - 8) };
            // SAFETY: as before.
            unsafe { self.put(last, 8) };
        } else if let Some((first, last)) = pieces::<4>(bytes) {
            // SAFETY: as before.
            unsafe { self.put(first, bytes.len() - 4) };
            // SAFETY: as before.
            unsafe { self.put(last, 4) };
        } else {
            for &byte in bytes {
                // SAFETY: as before.
                unsafe { self.put(&[byte], 1) };
            }
        }
    }

    /// Writes a number.
    ///
    /// # Safety
    /// There is room for 16 bytes.
    #[inline(always)]
    unsafe fn put_u32(&mut self, value: u32) {
        if value < 10_000 {
            let (text, len) = digits::shortest(value);
            // SAFETY: the caller's room.
            unsafe { self.put(&text, len) };
            return;
        }
        let mut rest = value;
        if value >= 100_000_000 {
            let (text, len) = digits::shortest(value / 100_000_000);
            // SAFETY: at most two bytes are kept and four written.
            unsafe { self.put(&text, len) };
            rest = value % 100_000_000;
            // SAFETY: at most ten bytes are written in all.
            unsafe { self.put(&digits::eight(rest), 8) };
            return;
        }
        let (text, len) = digits::short(rest);
        // SAFETY: the caller's room.
        unsafe { self.put(&text, len) };
    }

    /// Writes a number.
    ///
    /// # Safety
    /// There is room for 24 bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "each part is below 10^8")]
    unsafe fn put_u64(&mut self, value: u64) {
        const PART: u64 = 100_000_000;
        if value < PART {
            // SAFETY: the caller's room.
            unsafe { self.put_u32(value as u32) };
            return;
        }
        let (high, low) = (value / PART, value % PART);
        if high >= PART {
            let (text, len) = digits::short((high / PART) as u32);
            // SAFETY: the first of three parts of at most eight bytes.
            unsafe { self.put(&text, len) };
            // SAFETY: the second.
            unsafe { self.put(&digits::eight((high % PART) as u32), 8) };
        } else {
            let (text, len) = digits::short(high as u32);
            // SAFETY: the first of two parts of at most eight bytes.
            unsafe { self.put(&text, len) };
        }
        // SAFETY: the last part.
        unsafe { self.put(&digits::eight(low as u32), 8) };
    }
}

impl Slot<'_, '_> {
    /// A bracket that opens, without a comma.
    #[inline(always)]
    pub(crate) fn open(self, bracket: u8) {
        let Self(text) = self;
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.put(&[bracket], 1) };
    }

    /// A value that has its comma already.
    #[inline(always)]
    pub(crate) fn snippet(self, value: &Snippet) {
        let _ = self.0.after(value);
    }

    pub(crate) fn null(self) {
        let Self(text) = self;
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.put(b"null,", 5) };
    }

    #[inline(always)]
    pub(crate) fn boolean(self, value: bool) {
        let Self(text) = self;
        let (word, len) = if value {
            (*b"true,\0\0\0", 5)
        } else {
            (*b"false,\0\0", 6)
        };
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.put(&word, len) };
    }

    #[inline(always)]
    pub(crate) fn uint32(self, value: u32) {
        self.integer(false, value);
    }

    #[inline(always)]
    pub(crate) fn int32(self, value: i32) {
        self.integer(value < 0, value.unsigned_abs());
    }

    #[inline(always)]
    fn integer(self, is_negative: bool, magnitude: u32) {
        let Self(text) = self;
        // SAFETY: a slot has room for SLOT_LEN bytes; sign, number and comma take 18 at most.
        unsafe {
            text.put(b"-", usize::from(is_negative));
            text.put_u32(magnitude);
            text.put(b",", 1);
        }
    }

    #[inline(always)]
    pub(crate) fn uint64(self, value: u64, is_quoted: bool) {
        self.wide_integer(false, value, is_quoted);
    }

    #[inline(always)]
    pub(crate) fn int64(self, value: i64, is_quoted: bool) {
        self.wide_integer(value < 0, value.unsigned_abs(), is_quoted);
    }

    #[inline(always)]
    fn wide_integer(self, is_negative: bool, magnitude: u64, is_quoted: bool) {
        let Self(text) = self;
        let quote_len = usize::from(is_quoted);
        let end = if is_quoted { *b"\"," } else { *b",\0" };
        // SAFETY: a slot has room for SLOT_LEN bytes; quotes, sign, number and comma take 28 at most.
        unsafe {
            text.put(b"\"", quote_len);
            text.put(b"-", usize::from(is_negative));
            text.put_u64(magnitude);
            text.put(&end, 1 + quote_len);
        }
    }

    /// The shortest number that reads back as the same double, or what cannot be a number as a string (SEMANTICS 101).
    #[inline(always)]
    pub(crate) fn double(self, value: f64) {
        match digits::millionths(value) {
            Some(count) => self.millionths(value.is_sign_negative(), count),
            None => self.any_double(value),
        }
    }

    /// As [`Slot::double`] for a float.
    #[inline(always)]
    pub(crate) fn float(self, value: f32) {
        match digits::float_millionths(value) {
            Some(count) => self.millionths(value.is_sign_negative(), count),
            None => self.any_float(value),
        }
    }

    /// A number of millionths, of which there are at most 10^15, without trailing zeros.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both parts are 10^9 at most"
    )]
    fn millionths(self, is_negative: bool, count: u64) {
        let Self(text) = self;
        let (whole, millionths) = ((count / 1_000_000) as u32, (count % 1_000_000) as u32);
        let (fraction, fraction_len) = digits::fraction(millionths);
        // SAFETY: a slot has room for SLOT_LEN bytes; sign, number, point, fraction and comma take 27 at most.
        unsafe {
            text.put(b"-", usize::from(is_negative));
            text.put_u32(whole);
            text.put(b".", usize::from(millionths != 0));
            text.put(&fraction, fraction_len);
            text.put(b",", 1);
        }
    }

    fn any_double(self, value: f64) {
        self.0.lend(|out| write_any_double(value, out));
    }

    fn any_float(self, value: f32) {
        self.0.lend(|out| write_any_float(value, out));
    }

    /// The text of a number, of at most 24 bytes.
    #[inline(always)]
    fn number(self, number: &[u8]) {
        let Self(text) = self;
        let (number, _) = number.split_at(number.len().min(24));
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.put_short(number) };
        // `1.0` is `1` to a reader of JSON; `-0.0` too keeps its sign as `-0`.
        let zero_len = if number.ends_with(b".0") { 2 } else { 0 };
        // SAFETY: these two bytes have just been written.
        text.at = unsafe { text.at.sub(zero_len) };
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.put(b",", 1) };
    }

    /// The first `len` bytes of `source` as a string: quotes, and escapes for what RFC 8259 demands and nothing else (SEMANTICS 106).
    /// The bytes behind them may be looked at, but do not matter. Tells whether a byte is not ASCII; whether those are UTF-8 is the
    /// caller's to ask.
    #[inline(always)]
    pub(crate) fn string(self, source: &[u8], len: usize) -> bool {
        let Self(text) = self;
        // Most strings are plain and no longer than a block.
        if len <= BLOCK_LEN {
            if let Some(block) = source.first_chunk() {
                let block = *block;
                let inside = first_bits(len);
                let is_high = simd::high(&block) & inside != 0;
                if simd::stops(&block) & inside == 0 {
                    // SAFETY: a slot has room for SLOT_LEN bytes; quotes, a block and a comma are fewer.
                    unsafe {
                        text.put(b"\"", 1);
                        text.put(&block, len);
                        text.put(b"\",", 2);
                    }
                    return is_high;
                }
            } else if let Some(bytes) = source.get(..len)
                && write::is_plain(bytes)
            {
                // SAFETY: as before, since there are fewer bytes than a block.
                unsafe {
                    text.put(b"\"", 1);
                    text.put_short(bytes);
                    text.put(b"\",", 2);
                }
                return false;
            }
        }
        text.lend(|out| write_string(source, len, out))
    }
}

#[cold]
#[inline(never)]
fn reserve(out: &mut Vec<u8>, len: usize) {
    out.reserve(len);
}

#[inline(never)]
fn write_any_double(value: f64, out: &mut Vec<u8>) {
    let mut text = Text::new(out);
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        text.slot().number(buffer.format_finite(value).as_bytes());
    } else {
        text.slot().number(write::not_finite(value));
    }
    text.end();
}

#[inline(never)]
fn write_any_float(value: f32, out: &mut Vec<u8>) {
    let mut text = Text::new(out);
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        text.slot().number(buffer.format_finite(value).as_bytes());
    } else {
        text.slot().number(write::not_finite(f64::from(value)));
    }
    text.end();
}

/// [`Slot::string`] for any string, block by block.
#[inline(never)]
fn write_string(source: &[u8], len: usize, out: &mut Vec<u8>) -> bool {
    let mut text = Text::new(out);
    let mut high = 0;
    let mut rest = source;
    // Bytes of the string at the start of `rest`. There is always room for them and the slack, but for the first quote.
    let mut left = len.min(source.len());
    text.make_room(left.wrapping_add(STRING_SLACK_LEN));
    // SAFETY: the quote is within the slack.
    unsafe { text.put(b"\"", 1) };
    while left > BLOCK_LEN
        && let Some(block) = rest.first_chunk()
    {
        high |= simd::high(block);
        let stops = simd::stops(block);
        if stops == 0 {
            // SAFETY: a block is within the slack.
            unsafe { text.put(block, BLOCK_LEN) };
        } else {
            text.lend(|out| write_escaped(rest, BLOCK_LEN, stops, left, out));
        }
        left = left.wrapping_sub(BLOCK_LEN);
        rest = rest.get(BLOCK_LEN..).unwrap_or_default();
    }
    let block = match rest.first_chunk() {
        Some(block) => *block,
        None => padded(rest),
    };
    let inside = first_bits(left);
    high |= simd::high(&block) & inside;
    let stops = simd::stops(&block) & inside;
    if stops == 0 {
        // SAFETY: a block is within the slack.
        unsafe { text.put(&block, left) };
    } else {
        text.lend(|out| write_escaped(rest, left, stops, left, out));
    }
    // SAFETY: quote and comma are within the slack.
    unsafe { text.put(b"\",", 2) };
    text.end();
    high != 0
}

/// Writes the first `count` bytes of `rest`, at most a block, with escapes for those that `stops` tells, and leaves room for the
/// rest of a string of which `left` bytes are left.
#[inline(always)]
fn write_escaped(rest: &[u8], count: usize, stops: u32, left: usize, out: &mut Vec<u8>) {
    let mut text = Text::new(out);
    // An escape takes six bytes of room instead of one.
    text.make_room(left.wrapping_add(STRING_SLACK_LEN + 5 * BLOCK_LEN));
    // A block can be loaded behind each byte of this one, as a rule where it lies.
    let mut copied = [0; 2 * BLOCK_LEN];
    let twice = if let Some(twice) = rest.first_chunk() {
        twice
    } else {
        for (byte, given) in copied.iter_mut().zip(rest) {
            *byte = *given;
        }
        &copied
    };
    let mut stops = stops;
    let mut at = 0;
    while stops != 0 {
        let stop = stops.trailing_zeros() as usize;
        stops &= stops.wrapping_sub(1);
        // SAFETY: room was made for what this block can become and a block more.
        unsafe { text.put(block_at(twice, at), stop.wrapping_sub(at)) };
        let (escape, escape_len) = escape(twice.get(stop).copied().unwrap_or_default());
        // SAFETY: as before.
        unsafe { text.put(&escape, escape_len) };
        at = stop.wrapping_add(1);
    }
    // SAFETY: as before.
    unsafe { text.put(block_at(twice, at), count.wrapping_sub(at)) };
    text.end();
}

/// The lowest `count` bits, which are at most 32.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the upper half is zero")]
const fn first_bits(count: usize) -> u32 {
    1_u64.wrapping_shl(count as u32).wrapping_sub(1) as u32
}

/// Fewer bytes than a block, with zeros behind them. Pieces that overlap need no loop.
#[inline(always)]
fn padded(rest: &[u8]) -> Block {
    let mut block = [0; BLOCK_LEN];
    if let Some((first, last)) = pieces::<16>(rest) {
        copy(first, 0, &mut block);
        copy(last, rest.len().wrapping_sub(16), &mut block);
    } else if let Some((first, last)) = pieces::<8>(rest) {
        copy(first, 0, &mut block);
        copy(last, rest.len().wrapping_sub(8), &mut block);
    } else if let Some((first, last)) = pieces::<4>(rest) {
        copy(first, 0, &mut block);
        copy(last, rest.len().wrapping_sub(4), &mut block);
    } else {
        for (byte, given) in block.iter_mut().zip(rest) {
            *byte = *given;
        }
    }
    block
}

/// The block that begins at this place of two.
#[inline(always)]
fn block_at(twice: &[u8; 2 * BLOCK_LEN], at: usize) -> &Block {
    let rest = twice.get(at..).unwrap_or_default();
    rest.first_chunk().unwrap_or(&[0; BLOCK_LEN])
}

#[inline(always)]
fn pieces<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    Some((bytes.first_chunk()?, bytes.last_chunk()?))
}

#[inline(always)]
fn copy<const N: usize>(piece: &[u8; N], at: usize, block: &mut Block) {
    if let Some(place) = block.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = *piece;
    }
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

#[cfg(test)]
mod tests;
