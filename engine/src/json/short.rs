//! Tokens that lie in one block, as nearly all do, in the spelling that nearly all have. In: the block that begins with one. Out: what
//! it says and how long it is, or nothing: then the long way of `string` and `number` reads it, and finds what is wrong with it if
//! anything is. Always: what is read here, the long way would read alike.

use super::number::{plain_f32, plain_f64};
use crate::simd::{self, Block};

/// An integer of at most 16 digits, bare or in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Integer {
    /// Less than 10^16.
    pub(crate) magnitude: u64,
    pub(crate) is_negative: bool,
    /// Bytes of its token, quotes included.
    pub(crate) len: usize,
}

/// A number without an exponent and quotes, of at most 8 digits before its point and 16 behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// All its digits as one integer.
    pub(crate) mantissa: u64,
    /// Digits behind the point.
    pub(crate) fraction_len: usize,
    pub(crate) is_negative: bool,
    /// Bytes of its token.
    pub(crate) len: usize,
}

/// A string without escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortString {
    /// Bytes up to the closing quote, fewer than a block.
    pub(crate) len: usize,
    pub(crate) is_ascii: bool,
}

/// Digits that are read by word, twice.
const DIGIT_COUNT_MAX: usize = 16;

/// Powers of ten by the digits they make room for; as many as can be asked for without a check.
const POWERS: [u64; 32] = {
    let mut powers = [1; 32];
    let mut exponent = 1;
    #[expect(clippy::indexing_slicing, reason = "the loop ends before the array")]
    while exponent <= DIGIT_COUNT_MAX {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

impl Integer {
    /// Reads the integer that `block` begins with.
    #[inline(always)]
    pub(crate) fn read(block: &Block) -> Option<Self> {
        let is_quoted = byte_at(block, 0) == b'"';
        let sign = usize::from(is_quoted);
        let is_negative = byte_at(block, sign) == b'-';
        let start = sign.wrapping_add(usize::from(is_negative));
        let count = (simd::others_than_digits(block) >> start).trailing_zeros() as usize;
        let end = start.wrapping_add(count);
        let after = byte_at(block, end);
        let is_ended = if is_quoted {
            after == b'"'
        } else {
            !matches!(after, b'.' | b'e' | b'E')
        };
        // SEMANTICS 97: no leading zero.
        if count == 0
            || count > DIGIT_COUNT_MAX
            || !is_ended
            || (count > 1 && byte_at(block, start) == b'0')
        {
            return None;
        }
        Some(Self {
            magnitude: digits(block, start, count),
            is_negative,
            len: end.wrapping_add(usize::from(is_quoted)),
        })
    }
}

impl Decimal {
    /// Reads the number that `block` begins with.
    #[inline(always)]
    pub(crate) fn read(block: &Block) -> Option<Self> {
        let is_negative = byte_at(block, 0) == b'-';
        let start = usize::from(is_negative);
        let others = simd::others_than_digits(block) >> start;
        let count = others.trailing_zeros() as usize;
        if count == 0 || count > 8 || (count > 1 && byte_at(block, start) == b'0') {
            return None;
        }
        let mut mantissa = digits(block, start, count);
        let mut end = start.wrapping_add(count);
        let mut fraction_len = 0;
        if byte_at(block, end) == b'.' {
            // The point is not among the digits, so that the next other byte is behind it.
            let fraction_end = (others & others.wrapping_sub(1)).trailing_zeros() as usize;
            let digit_count = fraction_end.wrapping_sub(1);
            fraction_len = digit_count.wrapping_sub(count);
            if fraction_len == 0 || fraction_len > DIGIT_COUNT_MAX || digit_count > 19 {
                return None;
            }
            let fraction = digits(block, end.wrapping_add(1), fraction_len);
            mantissa = mantissa
                .wrapping_mul(power_of_ten(fraction_len))
                .wrapping_add(fraction);
            end = start.wrapping_add(fraction_end);
        }
        if matches!(byte_at(block, end), b'e' | b'E') {
            return None;
        }
        Some(Self {
            mantissa,
            fraction_len,
            is_negative,
            len: end,
        })
    }

    /// The double nearest to it, if it is found without the text.
    #[inline(always)]
    pub(crate) fn to_f64(self) -> Option<f64> {
        plain_f64(self.mantissa, self.fraction_len, self.is_negative)
    }

    /// As [`Self::to_f64`], for a float.
    #[inline(always)]
    pub(crate) fn to_f32(self) -> Option<f32> {
        plain_f32(self.mantissa, self.fraction_len, self.is_negative)
    }
}

impl ShortString {
    /// Reads the string whose opening quote stands before `block`.
    #[inline(always)]
    pub(crate) fn read(block: &Block) -> Option<Self> {
        let stops = simd::stops(block);
        let len = stops.trailing_zeros() as usize;
        if byte_at(block, len) != b'"' {
            return None;
        }
        Some(Self {
            len,
            is_ascii: simd::high(block) & simd::below_first(stops) == 0,
        })
    }
}

/// A byte of the block, or zero behind it.
#[inline(always)]
pub(crate) fn byte_at(block: &Block, at: usize) -> u8 {
    block.get(at).copied().unwrap_or_default()
}

/// The integer that `count` digits from `start` on stand for: 1 to 16 of them, from one of the first sixteen bytes on.
#[inline(always)]
fn digits(block: &Block, start: usize, count: usize) -> u64 {
    let bit_count = count.wrapping_mul(8);
    let start = start & 15;
    if count <= 8 {
        return eight_digits(word(block, start) << (64_usize.wrapping_sub(bit_count) & 63));
    }
    let rest = word(block, start.wrapping_add(8)) << (128_usize.wrapping_sub(bit_count) & 63);
    eight_digits(word(block, start))
        .wrapping_mul(power_of_ten(count.wrapping_sub(8)))
        .wrapping_add(eight_digits(rest))
}

/// A power of at most 16.
#[inline(always)]
fn power_of_ten(exponent: usize) -> u64 {
    POWERS.get(exponent & 31).copied().unwrap_or_default()
}

/// Eight bytes of the block, the first lowest, from one of the first 24 on.
#[inline(always)]
fn word(block: &Block, start: usize) -> u64 {
    let bytes = block.get(start & 31..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The integer that eight bytes stand for that are digits, or zeros in place of those before the first.
#[inline(always)]
const fn eight_digits(word: u64) -> u64 {
    // A digit and its value agree in the low half of the byte. Neighbours are put together: four pairs, two fours, one eight.
    let ones = word & 0x0f0f0f0f0f0f0f0f;
    let pairs = ones.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff00ff00ff00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000ffff0000ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}
