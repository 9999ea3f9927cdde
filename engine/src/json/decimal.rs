//! Decimals to the nearest double or float. In: digits as an integer, and how many of them stand behind the point. Out: what is nearest,
//! or nothing.
//! Always: what is given is the nearest, ties to even; the rare case that 128 bits do not decide is left to the long way.
//!
//! The method is Eisel and Lemire's (D. Lemire, Number Parsing at a Gigabyte per Second, 2021): the digits times a power of ten
//! that is kept to 128 bits gives all bits that a double has and those it is rounded by.

/// Digits behind the point that the table reaches to.
const FRACTION_LEN_MAX: usize = 22;

/// The first 128 bits of 1 / 5^n, rounded up, the highest bit set.
const RECIPROCALS: [u128; FRACTION_LEN_MAX + 1] = {
    let mut reciprocals = [1 << 127; FRACTION_LEN_MAX + 1];
    let mut power: u128 = 1;
    let mut exponent = 1;
    #[expect(clippy::indexing_slicing, reason = "the loop ends with the array")]
    while exponent < reciprocals.len() {
        power *= 5;
        reciprocals[exponent] = reciprocal(power);
        exponent += 1;
    }
    reciprocals
};

/// The first 128 bits of 1 / `divisor`, rounded up. `divisor` is greater than 1, odd and below 2^64, so that the division leaves a rest.
const fn reciprocal(divisor: u128) -> u128 {
    let mut quotient: u128 = 0;
    let mut rest: u128 = 1;
    // Long division by bit, until the highest bit of the quotient is set.
    while quotient >> 127 == 0 {
        rest *= 2;
        quotient = quotient << 1 | (rest >= divisor) as u128;
        if rest >= divisor {
            rest -= divisor;
        }
    }
    quotient + 1
}

/// The double nearest to `mantissa` / 10^`fraction_len`.
#[inline]
pub(super) fn nearest_f64(mantissa: u64, fraction_len: usize) -> Option<f64> {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let (significand, exponent) = nearest::<{ f64::MANTISSA_DIGITS }>(mantissa, fraction_len)?;
    // A significand that was rounded up to the next power of two goes on into the exponent, which is what it should do.
    let biased = u64::from(exponent.wrapping_add(f64::MAX_EXP - 2).cast_unsigned());
    Some(f64::from_bits(
        (biased << FRACTION_BITS).wrapping_add(significand),
    ))
}

/// As [`nearest_f64`], for a float. It is rounded once, from the digits.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a significand of 24 bits, or one more where it was rounded up"
)]
pub(super) fn nearest_f32(mantissa: u64, fraction_len: usize) -> Option<f32> {
    const FRACTION_BITS: u32 = f32::MANTISSA_DIGITS - 1;
    let (significand, exponent) = nearest::<{ f32::MANTISSA_DIGITS }>(mantissa, fraction_len)?;
    let biased = exponent.wrapping_add(f32::MAX_EXP - 2).cast_unsigned();
    Some(f32::from_bits(
        (biased << FRACTION_BITS).wrapping_add(significand as u32),
    ))
}

/// The integer of `DIGITS` bits nearest to `mantissa` / 10^`fraction_len`, which is not zero, times a power of two; and the exponent of
/// the highest bit. The integer may have been rounded up to 2^`DIGITS`.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "halves of a product, and exponents that the table bounds"
)]
fn nearest<const DIGITS: u32>(mantissa: u64, fraction_len: usize) -> Option<(u64, i32)> {
    let reciprocal = *RECIPROCALS.get(fraction_len)?;
    if mantissa == 0 {
        return None;
    }
    let shift = mantissa.leading_zeros();
    let normal = mantissa << shift;
    // The product with the high half of the power is enough, unless the bits below those that count are all ones.
    let product = u128::from(normal) * (reciprocal >> 64);
    let (mut high, mut low) = ((product >> 64) as u64, product as u64);
    let below_mask = u64::MAX >> (DIGITS + 2);
    if high & below_mask == below_mask {
        let below = (u128::from(normal) * u128::from(reciprocal as u64)) >> 64;
        let (sum, is_over) = low.overflowing_add(below as u64);
        low = sum;
        high = high.wrapping_add(u64::from(is_over));
    }
    let top = (high >> 63) as u32;
    let kept_shift = top.wrapping_add(62 - DIGITS);
    let kept = high >> kept_shift;
    // Half way between two, as far as can be seen: only the digits decide.
    if low <= 1 && kept & 3 == 1 && kept << kept_shift == high {
        return None;
    }
    let significand = kept.wrapping_add(kept & 1) >> 1;
    // That of 1 / 5^n, which is -n log2 5 rounded down, and n less.
    let power = (fraction_len as i32).wrapping_mul(-217_706) >> 16;
    let exponent = power
        .wrapping_add(63 + top as i32)
        .wrapping_sub(shift as i32);
    Some((significand, exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_nearest(mantissa: u64, fraction_len: usize) {
        let text = format!("{mantissa}e-{fraction_len}");
        if let Some(value) = nearest_f64(mantissa, fraction_len) {
            let parsed: f64 = text.parse().unwrap();
            assert_eq!(value.to_bits(), parsed.to_bits(), "{text}");
        }
        if let Some(value) = nearest_f32(mantissa, fraction_len) {
            let parsed: f32 = text.parse().unwrap();
            assert_eq!(value.to_bits(), parsed.to_bits(), "{text}");
        }
    }

    #[test]
    fn nearly_every_shortest_double_is_found() {
        let mut found = 0;
        for step in 0..10_000_u32 {
            let value = f64::from(step).mul_add(0.123_456_789, -1.0) / 7.0;
            let text = format!("{}", value.abs());
            let digits: u64 = text.replace('.', "").parse().unwrap();
            let fraction_len = text.len() - text.find('.').unwrap_or(text.len() - 1) - 1;
            if let Some(nearest) = nearest_f64(digits, fraction_len) {
                assert_eq!(nearest.to_bits(), value.abs().to_bits(), "{text}");
                found += 1;
            }
        }
        assert!(found > 9_900, "{found}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_found_is_the_nearest(mantissa in any::<u64>(), shift in 0..64_u32, fraction_len in 0..=FRACTION_LEN_MAX) {
            assert_nearest(mantissa >> shift, fraction_len);
        }

        /// Goal: ties are never decided wrongly. Method: integers half way between doubles, and their neighbours.
        #[test]
        fn halves_are_left_alone_or_rounded_to_even(bits in 1_u64 << 52..1 << 53, shift in 0..10_u32, is_float: bool, step in -2..=2_i64, fraction_len in 0..4_usize) {
            let bits = if is_float { bits >> 29 } else { bits };
            let middle = (bits << 1 | 1) << shift;
            assert_nearest(middle.wrapping_add_signed(step), fraction_len);
        }
    }
}
