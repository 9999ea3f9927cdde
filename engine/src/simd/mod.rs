//! Many bytes looked at at once. In: a block of 32 bytes, or a slice. Out: one bit a byte, or how many bytes need no look.
//! Always: the same answer on every processor, that of `portable`; nothing is read but the bytes that are given.
//!
//! Blocks are judged with what every x86-64 (SSE2) and every aarch64 (NEON) has, so that the code stands inline where it is used. Only
//! a long run is worth a call: there the processor is asked, once, whether it has AVX2.
//!
//! ```text
//! block  │ a │ d │ a │ " │ : │ 1 │ , │..│      stops(block) = ..0001000, whose trailing zeros are the length of the string
//! ```

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod padded;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as blocks;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use portable as blocks;
#[cfg(target_arch = "x86_64")]
use x86_64 as blocks;

pub(crate) use blocks::{high, others_than_digits, spaces, stops};
pub(crate) use padded::Padded;

use crate::room::append;

/// Bytes of a block.
pub(crate) const BLOCK_LEN: usize = 32;

/// Bytes that are looked at together; bit `n` of an answer is about byte `n`.
pub(crate) type Block = [u8; BLOCK_LEN];

/// Bytes of half a block, for what is short.
pub(crate) const HALF_LEN: usize = BLOCK_LEN / 2;

type Half = [u8; HALF_LEN];

/// As [`stops`] for half a block.
#[inline(always)]
pub(crate) fn half_stops(half: &Half) -> u32 {
    stops(&whole(half))
}

/// As [`high`] for half a block.
#[inline(always)]
pub(crate) fn half_high(half: &Half) -> u32 {
    high(&whole(half))
}

/// The half and as many spaces, about which the compiler knows the answer.
#[inline(always)]
fn whole(half: &Half) -> Block {
    let mut block = [b' '; BLOCK_LEN];
    if let Some(place) = block.first_chunk_mut() {
        *place = *half;
    }
    block
}

/// What [`clean_len`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clean {
    /// Bytes before the first quote, backslash or control character, or all there are.
    pub(crate) len: usize,
    /// Whether one of them is not ASCII.
    pub(crate) has_high_bit: bool,
}

/// Counts the bytes before the first quote, backslash or control character.
#[inline]
pub(crate) fn clean_len(bytes: &[u8]) -> Clean {
    if let Some(block) = bytes.first_chunk()
        && let stops @ 1.. = stops(block)
    {
        return Clean {
            len: stops.trailing_zeros() as usize,
            has_high_bit: high(block) & below_first(stops) != 0,
        };
    }
    long_clean_len(bytes)
}

#[inline(never)]
fn long_clean_len(bytes: &[u8]) -> Clean {
    #[cfg(target_arch = "x86_64")]
    if let Some(clean) = x86_64::wide_clean_len(bytes) {
        return clean;
    }
    clean_len_by_blocks(bytes)
}

/// [`clean_len`] without a look at the processor.
fn clean_len_by_blocks(bytes: &[u8]) -> Clean {
    let mut clean = Clean {
        len: 0,
        has_high_bit: false,
    };
    let (whole, rest) = bytes.as_chunks();
    for block in whole {
        let stops = stops(block);
        if stops != 0 {
            clean.len += stops.trailing_zeros() as usize;
            clean.has_high_bit |= high(block) & below_first(stops) != 0;
            return clean;
        }
        clean.len += BLOCK_LEN;
        clean.has_high_bit |= high(block) != 0;
    }
    // The zeros behind the rest stop like any control character, and have no high bit.
    let block = padded(rest);
    let stops = stops(&block);
    clean.len += stops.trailing_zeros() as usize;
    clean.has_high_bit |= high(&block) & below_first(stops) != 0;
    clean
}

/// Appends the bytes before the first quote, backslash or control character, and counts them.
pub(crate) fn copy_clean(bytes: &[u8], out: &mut Vec<u8>) -> Clean {
    #[cfg(target_arch = "x86_64")]
    if let Some(clean) = x86_64::wide_copy_clean(bytes, out) {
        return clean;
    }
    copy_clean_by_blocks(bytes, out)
}

/// [`copy_clean`] without a look at the processor.
fn copy_clean_by_blocks(bytes: &[u8], out: &mut Vec<u8>) -> Clean {
    let mut clean = Clean {
        len: 0,
        has_high_bit: false,
    };
    let (whole, rest) = bytes.as_chunks();
    // Behind the rest there are zeros, which stop it.
    for block in whole.iter().chain(&[padded(rest)]) {
        let stops = stops(block);
        let len = stops.trailing_zeros() as usize;
        append(out, [], 0, block, len);
        clean.len += len;
        clean.has_high_bit |= high(block) & below_first(stops) != 0;
        if stops != 0 {
            break;
        }
    }
    clean
}

/// Counts the spaces, tabs and line ends that `bytes` begins with.
pub(crate) fn space_len(bytes: &[u8]) -> usize {
    let (whole, rest) = bytes.as_chunks();
    for (index, block) in whole.iter().enumerate() {
        let others = !spaces(block);
        if others != 0 {
            return index * BLOCK_LEN + others.trailing_zeros() as usize;
        }
    }
    whole.len() * BLOCK_LEN + (!spaces(&padded(rest))).trailing_zeros() as usize
}

/// Fewer bytes than a block, with zeros behind them.
#[inline]
fn padded(rest: &[u8]) -> Block {
    let mut block = [0; BLOCK_LEN];
    for (byte, given) in block.iter_mut().zip(rest) {
        *byte = *given;
    }
    block
}

/// The bits below the lowest one that is set.
#[inline]
pub(crate) const fn below_first(bits: u32) -> u32 {
    !bits & bits.wrapping_sub(1)
}

#[cfg(test)]
mod tests;
