//! JSON text without a check a byte. In: one value. Out: its text and a comma, appended to the caller's buffer.
//! Always: room for the whole value is made before its first byte is written; nothing past the end of the input is read.
#![expect(
    unsafe_code,
    reason = "a check of the capacity at each byte, and the length in memory, took a third of the time of to_json"
)]

mod pen;

use super::snippet::{CHUNK_LEN, Snippet};
use super::write;
use crate::simd::{self, BLOCK_LEN, Block, HALF_LEN};
use pen::Pen;

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
    /// Where the next byte goes: in the allocation of `out`.
    pen: Pen,
    /// Where the allocation ends, not before the pen.
    end: *mut u8,
}

/// A text with room for one value: `end - at >= SLOT_LEN`.
#[must_use = "a slot is there to be filled"]
pub(crate) struct Slot<'t, 'o>(&'t mut Text<'o>);

impl<'o> Text<'o> {
    #[inline(always)]
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        let (pen, end) = behind(out);
        Self { out, pen, end }
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
        self.pen.at().addr().wrapping_sub(self.out.as_ptr().addr())
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
        unsafe { self.pen.put(label, usize::from(len) & LABEL_LEN_MAX) };
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
        for chunk in chunks {
            // SAFETY: there is room for every chunk.
            unsafe { self.pen.put(chunk, CHUNK_LEN) };
        }
        let len = chunks.as_flattened().len();
        // SAFETY: these are some of the bytes that have just been written, since a snippet is no longer than its chunks.
        unsafe { self.pen.back(len.wrapping_sub(snippet.len())) };
        Slot(self)
    }

    /// A bracket that closes: the comma behind the last member or element gives way to it, and another one follows it.
    #[inline(always)]
    pub(crate) fn close(&mut self, bracket: u8) {
        self.make_room(2);
        // SAFETY: where the text has a length, the byte before `at` is in the allocation and initialized.
        let has_member = self.len() > 0 && unsafe { self.pen.at().sub(1).read() } == b',';
        // SAFETY: as before.
        unsafe { self.pen.back(usize::from(has_member)) };
        // SAFETY: room for two bytes was made.
        unsafe { self.pen.put(&[bracket, b','], 2) };
    }

    /// Writes a colon over the comma behind a value, which becomes a key.
    #[inline(always)]
    pub(crate) fn turn_comma_to_colon(&mut self) {
        if self.len() > 0 {
            // SAFETY: where the text has a length, the byte before the pen is in the allocation.
            unsafe {
                self.pen.back(1);
                self.pen.put(b":", 1);
            }
        }
    }

    /// Makes what has been written part of the buffer, lets `write` do with it, and goes on behind it.
    #[inline(always)]
    pub(crate) fn lend<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let len = self.len();
        // SAFETY: `at` is in the allocation and all before it is initialized.
        unsafe { self.out.set_len(len) };
        let result = write(self.out);
        (self.pen, self.end) = behind(self.out);
        result
    }

    #[inline(always)]
    fn make_room(&mut self, len: usize) {
        if self.end.addr().wrapping_sub(self.pen.at().addr()) < len {
            self.lend(|out| reserve(out, len));
        }
    }
}

impl Slot<'_, '_> {
    /// A bracket that opens, without a comma.
    #[inline(always)]
    pub(crate) fn open(self, bracket: u8) {
        let Self(text) = self;
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.pen.put(&[bracket], 1) };
    }

    /// A value that has its comma already.
    #[inline(always)]
    pub(crate) fn snippet(self, value: &Snippet) {
        let _ = self.0.after(value);
    }

    pub(crate) fn null(self) {
        let Self(text) = self;
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { text.pen.put(b"null,", 5) };
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
        unsafe { text.pen.put(&word, len) };
    }

    #[inline(always)]
    pub(crate) fn uint32(self, value: u32) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_integer(false, value) };
    }

    #[inline(always)]
    pub(crate) fn int32(self, value: i32) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_integer(value < 0, value.unsigned_abs()) };
    }

    #[inline(always)]
    pub(crate) fn uint64(self, value: u64, is_quoted: bool) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_wide_integer(false, value, is_quoted) };
    }

    #[inline(always)]
    pub(crate) fn int64(self, value: i64, is_quoted: bool) {
        let magnitude = value.unsigned_abs();
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_wide_integer(value < 0, magnitude, is_quoted) };
    }

    /// The shortest number that reads back as the same double, or what cannot be a number as a string (SEMANTICS 101).
    #[inline(always)]
    pub(crate) fn double(self, value: f64) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_double(value) };
    }

    /// As [`Slot::double`] for a float.
    #[inline(always)]
    pub(crate) fn float(self, value: f32) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        unsafe { self.0.pen.put_float(value) };
    }

    /// [`Slot::double`] by a call, for who has other things in the registers.
    #[inline(always)]
    pub(crate) fn lone_double(self, value: f64) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        self.0.pen = unsafe { pen::double(self.0.pen, value) };
    }

    /// As [`Slot::lone_double`] for a float.
    #[inline(always)]
    pub(crate) fn lone_float(self, value: f32) {
        // SAFETY: a slot has room for SLOT_LEN bytes.
        self.0.pen = unsafe { pen::float(self.0.pen, value) };
    }

    /// The first `len` bytes of `source` as a string: quotes, and escapes for what RFC 8259 demands and nothing else (SEMANTICS 106).
    /// The bytes behind them may be looked at, but do not matter. Tells whether a byte is not ASCII; whether those are UTF-8 is the
    /// caller's to ask.
    #[inline(always)]
    pub(crate) fn string(self, source: &[u8], len: usize) -> bool {
        let Self(text) = self;
        // Most strings are plain and no longer than a block, and half of one is often enough.
        if len <= HALF_LEN
            && let Some(half) = source.first_chunk::<HALF_LEN>()
        {
            let inside = first_bits(len);
            if simd::half_stops(half) & inside == 0 {
                // SAFETY: a slot has room for SLOT_LEN bytes; quotes, half a block and a comma are fewer.
                unsafe { text.pen.put_quoted(half, len) };
                return simd::half_high(half) & inside != 0;
            }
        } else if len <= BLOCK_LEN {
            if let Some(block) = source.first_chunk::<BLOCK_LEN>() {
                let inside = first_bits(len);
                if simd::stops(block) & inside == 0 {
                    // SAFETY: a slot has room for SLOT_LEN bytes; quotes, a block and a comma are fewer.
                    unsafe { text.pen.put_quoted(block, len) };
                    return simd::high(block) & inside != 0;
                }
            } else if let Some(bytes) = source.get(..len)
                && write::is_plain(bytes)
            {
                // SAFETY: as before, since there are fewer bytes than a block.
                unsafe {
                    text.pen.put(b"\"", 1);
                    text.pen.put_short(bytes);
                    text.pen.put(b"\",", 2);
                }
                return false;
            }
        }
        text.lend(|out| write_string(source, len, out))
    }
}

/// The end of what is in a buffer, and that of its allocation.
#[inline(always)]
fn behind(out: &mut Vec<u8>) -> (Pen, *mut u8) {
    let start = out.as_mut_ptr();
    // SAFETY: the length is within the allocation.
    let at = unsafe { start.add(out.len()) };
    // SAFETY: the allocation is as long as the capacity.
    let end = unsafe { start.add(out.capacity()) };
    (Pen::new(at, end), end)
}

#[cold]
#[inline(never)]
fn reserve(out: &mut Vec<u8>, len: usize) {
    out.reserve(len);
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
    unsafe { text.pen.put(b"\"", 1) };
    while left > BLOCK_LEN
        && let Some(block) = rest.first_chunk()
    {
        high |= simd::high(block);
        let stops = simd::stops(block);
        if stops == 0 {
            // SAFETY: a block is within the slack.
            unsafe { text.pen.put(block, BLOCK_LEN) };
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
        unsafe { text.pen.put(&block, left) };
    } else {
        text.lend(|out| write_escaped(rest, left, stops, left, out));
    }
    // SAFETY: quote and comma are within the slack.
    unsafe { text.pen.put(b"\",", 2) };
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
        unsafe { text.pen.put(block_at(twice, at), stop.wrapping_sub(at)) };
        let (escape, escape_len) = escape(twice.get(stop).copied().unwrap_or_default());
        // SAFETY: as before.
        unsafe { text.pen.put(&escape, escape_len) };
        at = stop.wrapping_add(1);
    }
    // SAFETY: as before.
    unsafe { text.pen.put(block_at(twice, at), count.wrapping_sub(at)) };
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
