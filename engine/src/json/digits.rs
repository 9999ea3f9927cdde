//! Numbers as decimal digits, without a loop. In: numbers. Out: bytes of a fixed size, and how many of them count.
//! Always: floats only where this is exactly the shortest form; the general algorithm has the rest.

/// The digits of a number below 10^8 without leading zeros, and how many they are.
#[inline(always)]
pub(super) fn short(value: u32) -> ([u8; 8], usize) {
    let digits = eight_digits(value);
    // Of zero the last digit stays.
    let zero_count = (digits | 1 << 56).trailing_zeros() / 8;
    let text = (digits | ASCII_ZEROS) >> (8 * zero_count);
    (text.to_le_bytes(), 8_u32.wrapping_sub(zero_count) as usize)
}

/// The digits of a number below 10^4 without leading zeros, and how many they are.
#[inline(always)]
pub(super) fn shortest(value: u32) -> ([u8; 4], usize) {
    let digits = four_digits(value);
    let zero_count = (digits | 1 << 24).trailing_zeros() / 8;
    let text = (digits | 0x3030_3030) >> (8 * zero_count);
    (text.to_le_bytes(), 4_u32.wrapping_sub(zero_count) as usize)
}

/// All eight digits of a number below 10^8.
#[inline(always)]
pub(super) const fn eight(value: u32) -> [u8; 8] {
    (eight_digits(value) | ASCII_ZEROS).to_le_bytes()
}

/// The digits behind the point of a number of millionths below a million, without trailing zeros, and how many they are.
#[inline(always)]
pub(super) const fn fraction(millionths: u32) -> ([u8; 8], usize) {
    let digits = eight_digits(millionths.wrapping_mul(100));
    let len = 8_u32.wrapping_sub(digits.leading_zeros() / 8) as usize;
    ((digits | ASCII_ZEROS).to_le_bytes(), len)
}

/// How many millionths `value` is without its sign, if that number of at most 15 digits is what is to be written.
///
/// A quotient is rounded to the nearest double, so the decimal number reads back as `value` if the quotient is equal to it. No two
/// decimal numbers of 15 digits read as the same double, so that there is no other one as short or shorter.
#[inline(always)]
#[expect(clippy::float_cmp, reason = "being the same is what is asked")]
pub(super) fn millionths(value: f64) -> Option<u64> {
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
#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "rounding to a float, and being the same, is what is asked"
)]
pub(super) fn float_millionths(value: f32) -> Option<u64> {
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

/// As [`eight_digits`] for a number below 10^4.
#[inline(always)]
const fn four_digits(value: u32) -> u32 {
    let hundreds = value.wrapping_mul(10_486) >> 20;
    let twos = hundreds | value.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (twos.wrapping_mul(103) >> 10) & 0x000f_000f;
    tens | twos.wrapping_sub(tens.wrapping_mul(10)) << 8
}
