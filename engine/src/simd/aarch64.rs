//! The judgements on a block with NEON, which is part of aarch64.
#![expect(unsafe_code, reason = "vectors are loaded through pointers")]

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vcgeq_u8, vcgtq_u8, vcltq_u8, vdupq_n_u8, vgetq_lane_u32,
    vld1q_u8, vorrq_u8, vpaddq_u8, vreinterpretq_u32_u8, vsubq_u8,
};

use super::Block;

/// One bit for each of eight bytes, twice.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

#[inline(always)]
fn vector(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: 16 bytes are there to be read; the load asks for no alignment; NEON is part of aarch64.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline(always)]
fn halves(block: &Block) -> [uint8x16_t; 2] {
    let ([low, high], []) = block.as_chunks::<16>() else {
        unreachable!("a block is two halves")
    };
    [vector(low), vector(high)]
}

/// One bit for each byte that is all ones; the others are zero.
#[inline(always)]
fn mask(truth: [uint8x16_t; 2]) -> u32 {
    // SAFETY: NEON is part of aarch64.
    unsafe {
        let [low, high] = truth.map(|half| vandq_u8(half, vector(&BITS)));
        let pairs = vpaddq_u8(low, high);
        let fours = vpaddq_u8(pairs, pairs);
        let eights = vpaddq_u8(fours, fours);
        vgetq_lane_u32::<0>(vreinterpretq_u32_u8(eights))
    }
}

/// Quotes, backslashes and control characters: where a run of a string ends that stands for itself.
#[inline(always)]
pub(crate) fn stops(block: &Block) -> u32 {
    // SAFETY: NEON is part of aarch64.
    mask(halves(block).map(|half| unsafe {
        let quotes = vceqq_u8(half, vdupq_n_u8(b'"'));
        let backslashes = vceqq_u8(half, vdupq_n_u8(b'\\'));
        let controls = vcltq_u8(half, vdupq_n_u8(0x20));
        vorrq_u8(vorrq_u8(quotes, backslashes), controls)
    }))
}

/// Bytes that are not ASCII.
#[inline(always)]
pub(crate) fn high(block: &Block) -> u32 {
    // SAFETY: NEON is part of aarch64.
    mask(halves(block).map(|half| unsafe { vcgeq_u8(half, vdupq_n_u8(0x80)) }))
}

/// Bytes that are no digits.
#[inline(always)]
pub(crate) fn others_than_digits(block: &Block) -> u32 {
    // SAFETY: NEON is part of aarch64.
    mask(
        halves(block)
            .map(|half| unsafe { vcgtq_u8(vsubq_u8(half, vdupq_n_u8(b'0')), vdupq_n_u8(9)) }),
    )
}

/// Spaces, tabs and line ends: the white space of JSON.
#[inline(always)]
pub(crate) fn spaces(block: &Block) -> u32 {
    // SAFETY: NEON is part of aarch64.
    mask(halves(block).map(|half| unsafe {
        let [space, tab, line, end] =
            [b' ', b'\t', b'\n', b'\r'].map(|one| vceqq_u8(half, vdupq_n_u8(one)));
        vorrq_u8(vorrq_u8(space, tab), vorrq_u8(line, end))
    }))
}
