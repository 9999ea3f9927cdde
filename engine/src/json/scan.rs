//! Marks the bytes of a word that a string cannot hold as they stand. Always: plain code that any processor runs.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte of `word` that is a quote, a backslash or a control character. Bytes above the lowest such byte may be
/// marked by mistake, since a borrow runs upwards; none is missed.
#[inline]
pub(super) const fn stops(word: u64) -> u64 {
    // Quote and space change places, so that the quote and the control characters are what lies below 0x21.
    let below_space = (word ^ (LOW_BITS * 0x02)).wrapping_sub(LOW_BITS * 0x21);
    let backslash = (word ^ (LOW_BITS * b'\\' as u64)).wrapping_sub(LOW_BITS);
    (below_space | backslash) & !word & HIGH_BITS
}
