//! The judgements on a block with SSE2, which is part of x86-64, and the run of a long string with AVX2.
#![expect(
    unsafe_code,
    reason = "vectors are loaded through pointers, and AVX2 is called once the processor has said that it has it"
)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_min_epu8,
    _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    _mm256_storeu_si256,
};

use super::{BLOCK_LEN, Block, Clean, below_first, clean_len_by_blocks, copy_clean_by_blocks};

/// Bytes for which AVX2 is worth a call.
const WIDE_LEN_MIN: usize = 2 * BLOCK_LEN;

#[inline(always)]
fn halves(block: &Block) -> [__m128i; 2] {
    let start = block.as_ptr();
    // SAFETY: a block has 32 bytes, so that 16 can be read at its start and 16 at its middle; the loads ask for no alignment.
    unsafe {
        [
            _mm_loadu_si128(start.cast()),
            _mm_loadu_si128(start.add(16).cast()),
        ]
    }
}

/// One bit for each byte with its high bit set.
#[inline(always)]
fn mask([low, high]: [__m128i; 2]) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    let [low, high] = unsafe { [_mm_movemask_epi8(low), _mm_movemask_epi8(high)] };
    low.cast_unsigned() | high.cast_unsigned() << 16
}

#[inline(always)]
const fn byte(value: u8) -> i8 {
    value.cast_signed()
}

/// Quotes, backslashes and control characters: where a run of a string ends that stands for itself.
#[inline(always)]
pub(crate) fn stops(block: &Block) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    mask(halves(block).map(|half| unsafe {
        let quotes = _mm_cmpeq_epi8(half, _mm_set1_epi8(byte(b'"')));
        let backslashes = _mm_cmpeq_epi8(half, _mm_set1_epi8(byte(b'\\')));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(half, _mm_set1_epi8(0x1f)), half);
        _mm_or_si128(_mm_or_si128(quotes, backslashes), controls)
    }))
}

/// Bytes that are not ASCII.
#[inline(always)]
pub(crate) fn high(block: &Block) -> u32 {
    mask(halves(block))
}

/// Bytes that are no digits.
#[inline(always)]
pub(crate) fn others_than_digits(block: &Block) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    !mask(halves(block).map(|half| unsafe {
        // Moved to the bottom of the signed bytes, the digits are the ten lowest.
        let moved = _mm_add_epi8(half, _mm_set1_epi8(byte(0x80 - b'0')));
        _mm_cmplt_epi8(moved, _mm_set1_epi8(byte(0x80 + 10)))
    }))
}

/// Spaces, tabs and line ends: the white space of JSON.
#[inline(always)]
pub(crate) fn spaces(block: &Block) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    mask(halves(block).map(|half| unsafe {
        let [space, tab, line, end] =
            [b' ', b'\t', b'\n', b'\r'].map(|one| _mm_cmpeq_epi8(half, _mm_set1_epi8(byte(one))));
        _mm_or_si128(_mm_or_si128(space, tab), _mm_or_si128(line, end))
    }))
}

/// [`super::clean_len`] with AVX2, where the processor has it and `bytes` are enough.
#[inline]
pub(super) fn wide_clean_len(bytes: &[u8]) -> Option<Clean> {
    if bytes.len() < WIDE_LEN_MIN || !is_x86_feature_detected!("avx2") {
        return None;
    }
    // SAFETY: the processor has AVX2.
    Some(unsafe { avx2_clean_len(bytes) })
}

/// [`super::copy_clean`] with AVX2, where the processor has it and `bytes` are a block at least.
#[inline]
pub(super) fn wide_copy_clean(bytes: &[u8], out: &mut Vec<u8>) -> Option<Clean> {
    if bytes.len() < BLOCK_LEN || !is_x86_feature_detected!("avx2") {
        return None;
    }
    // SAFETY: the processor has AVX2.
    Some(unsafe { avx2_copy_clean(bytes, out) })
}

#[target_feature(enable = "avx2")]
fn avx2_copy_clean(bytes: &[u8], out: &mut Vec<u8>) -> Clean {
    let mut high = _mm256_setzero_si256();
    let mut len = 0;
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK_LEN>() {
        // SAFETY: a block has 32 bytes; the load asks for no alignment.
        let vector = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let stops = avx2_stops(vector);
        let clean_len = stops.trailing_zeros() as usize;
        out.reserve(BLOCK_LEN);
        let end = out.len();
        // SAFETY: `reserve` has made 32 bytes of capacity behind the end, which the store fills; it asks for no alignment. Of these
        // at most 32 become part of the buffer.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().add(end).cast(), vector);
            out.set_len(end + clean_len);
        }
        if stops != 0 {
            let last = _mm256_movemask_epi8(vector).cast_unsigned() & below_first(stops);
            return Clean {
                len: len + clean_len,
                has_high_bit: last != 0 || _mm256_movemask_epi8(high) != 0,
            };
        }
        high = _mm256_or_si256(high, vector);
        len += BLOCK_LEN;
        rest = after;
    }
    let last = copy_clean_by_blocks(rest, out);
    Clean {
        len: len + last.len,
        has_high_bit: last.has_high_bit || _mm256_movemask_epi8(high) != 0,
    }
}

/// Quotes, backslashes and control characters, one bit each.
#[inline]
#[target_feature(enable = "avx2")]
fn avx2_stops(vector: __m256i) -> u32 {
    let quotes = _mm256_cmpeq_epi8(vector, _mm256_set1_epi8(byte(b'"')));
    let backslashes = _mm256_cmpeq_epi8(vector, _mm256_set1_epi8(byte(b'\\')));
    let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(vector, _mm256_set1_epi8(0x1f)), vector);
    let all = _mm256_or_si256(_mm256_or_si256(quotes, backslashes), controls);
    _mm256_movemask_epi8(all).cast_unsigned()
}

#[target_feature(enable = "avx2")]
fn avx2_clean_len(bytes: &[u8]) -> Clean {
    let (whole, rest) = bytes.as_chunks::<BLOCK_LEN>();
    let mut high = _mm256_setzero_si256();
    for (index, block) in whole.iter().enumerate() {
        // SAFETY: a block has 32 bytes; the load asks for no alignment.
        let vector: __m256i = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let stops = avx2_stops(vector);
        if stops != 0 {
            let last = _mm256_movemask_epi8(vector).cast_unsigned() & below_first(stops);
            return Clean {
                len: index * BLOCK_LEN + stops.trailing_zeros() as usize,
                has_high_bit: last != 0 || _mm256_movemask_epi8(high) != 0,
            };
        }
        high = _mm256_or_si256(high, vector);
    }
    let last = clean_len_by_blocks(rest);
    Clean {
        len: whole.len() * BLOCK_LEN + last.len,
        has_high_bit: last.has_high_bit || _mm256_movemask_epi8(high) != 0,
    }
}
