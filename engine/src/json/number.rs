//! Numbers of JSON. In: their text. Out: exact integers, or the nearest float.
//! Always: an integer never goes through a float, so that none is rounded (SEMANTICS 79).

/// Why a number is not the integer that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInteger {
    /// It has a fraction.
    Fraction,
    /// It is one, but too large or too small.
    OutOfRange,
}

/// The length of the number that `text` starts with, by the grammar of RFC 8259: `-`, digits without a leading zero, fraction, exponent.
#[inline]
pub(crate) fn token_len(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'-'));
    let first = *text.get(at)?;
    let integer_len = digit_count(text, at);
    // SEMANTICS 97: no leading zero, and no number without a digit before its point.
    if integer_len == 0 || (first == b'0' && integer_len > 1) {
        return None;
    }
    at += integer_len;
    if text.get(at) == Some(&b'.') {
        let fraction_len = digit_count(text, at + 1);
        if fraction_len == 0 {
            return None;
        }
        at += 1 + fraction_len;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let exponent_len = digit_count(text, at);
        if exponent_len == 0 {
            return None;
        }
        at += exponent_len;
    }
    Some(at)
}

#[inline]
fn digit_count(text: &[u8], from: usize) -> usize {
    let digits = text.get(from..).unwrap_or_default();
    digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len())
}

/// The integer that `text`, a number by the grammar, stands for: `5`, `5.0`, `50e-1`, `-0`.
#[inline]
pub(crate) fn to_i64(text: &[u8]) -> Result<i64, NotInteger> {
    let (is_negative, magnitude) = sign_and_magnitude(text)?;
    if is_negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
    .ok_or(NotInteger::OutOfRange)
}

/// As [`to_i64`], without negative numbers. `-0` is 0.
#[inline]
pub(crate) fn to_u64(text: &[u8]) -> Result<u64, NotInteger> {
    match sign_and_magnitude(text)? {
        (true, 1..) => Err(NotInteger::OutOfRange),
        (_, magnitude) => Ok(magnitude),
    }
}

/// Digits that surely fit 64 bits.
const SAFE_DIGIT_COUNT: usize = 19;

#[inline]
fn sign_and_magnitude(text: &[u8]) -> Result<(bool, u64), NotInteger> {
    let (is_negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.len() > SAFE_DIGIT_COUNT {
        return Ok((is_negative, scaled_magnitude(digits)?));
    }
    let mut magnitude = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return Ok((is_negative, scaled_magnitude(digits)?));
        }
        magnitude = magnitude * 10 + u64::from(byte - b'0');
    }
    Ok((is_negative, magnitude))
}

/// The integer that digits with a fraction, an exponent or more places than fit easily stand for. Linear in their length, whatever they say.
#[cold]
fn scaled_magnitude(text: &[u8]) -> Result<u64, NotInteger> {
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (
            text.get(..at).unwrap_or_default(),
            exponent(text.get(at + 1..).unwrap_or_default()),
        ),
        None => (text, 0),
    };
    let fraction_len = mantissa
        .iter()
        .rev()
        .position(|&byte| byte == b'.')
        .unwrap_or(0);
    let digits = || {
        mantissa
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| u64::from(byte - b'0'))
    };
    let zeros_at_end = digits().rev().take_while(|&digit| digit == 0).count();
    let digit_count = digits().count();
    if zeros_at_end == digit_count {
        return Ok(0);
    }
    // The digits up to the last that is not zero, times ten to the power of `scale`.
    let scale = exponent
        .saturating_sub_unsigned(fraction_len as u64)
        .saturating_add_unsigned(zeros_at_end as u64);
    if scale < 0 {
        return Err(NotInteger::Fraction);
    }
    let mut magnitude: u64 = 0;
    let push = |magnitude: u64, digit| magnitude.checked_mul(10)?.checked_add(digit);
    for digit in digits().take(digit_count - zeros_at_end) {
        magnitude = push(magnitude, digit).ok_or(NotInteger::OutOfRange)?;
    }
    // It is at least 1, so that this ends after 20 rounds at most.
    for _ in 0..scale {
        magnitude = push(magnitude, 0).ok_or(NotInteger::OutOfRange)?;
    }
    Ok(magnitude)
}

/// The exponent, or the nearest that 64 bits hold: long before that, the number is a fraction or out of range.
fn exponent(text: &[u8]) -> i64 {
    let (is_negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let magnitude = digits.iter().fold(0_i64, |magnitude, &byte| {
        magnitude
            .saturating_mul(10)
            .saturating_add(i64::from(byte.wrapping_sub(b'0')))
    });
    if is_negative { -magnitude } else { magnitude }
}

/// The double nearest to a number of the grammar, or nothing if it is beyond the largest (SEMANTICS 80).
#[inline]
pub(crate) fn to_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// The float nearest to a number of the grammar: rounded once, from the text, not from the nearest double.
#[inline]
pub(crate) fn to_f32(text: &[u8]) -> Option<f32> {
    let value: f32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grammar_is_that_of_the_rfc() {
        for (text, len) in [
            ("0", 1),
            ("-0", 2),
            ("10,", 2),
            ("1.50", 4),
            ("1e5", 3),
            ("1E+05]", 5),
            ("-12.5e-7}", 8),
            ("0.0", 3),
            ("0e0", 3),
        ] {
            assert_eq!(token_len(text.as_bytes()), Some(len), "{text}");
        }
        for text in [
            "", "-", "+1", "01", "-01", "00", ".5", "5.", "5.e1", "1e", "1e+", "1e-", "-.5", "e5",
            "NaN", " 1",
        ] {
            assert_eq!(token_len(text.as_bytes()), None, "{text}");
        }
        // What follows a number is its reader's business.
        assert_eq!(token_len(b"1.5.5"), Some(3));
        assert_eq!(token_len(b"0x10"), Some(1));
    }

    #[test]
    fn integers_in_every_spelling_are_exact() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0e5", 0),
            ("0e999999999999999999999", 0),
            ("5.0", 5),
            ("5e0", 5),
            ("1e2", 100),
            ("-1.5e1", -15),
            ("12300e-2", 123),
            ("0.00012e5", 12),
            ("1000000000000000000000000e-6", 1_000_000_000_000_000_000),
            ("1e18", 1_000_000_000_000_000_000),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775807.000", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-922337203685477580.8e1", i64::MIN),
        ] {
            assert_eq!(to_i64(text.as_bytes()), Ok(value), "{text}");
        }
        assert_eq!(to_u64(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(to_u64(b"1.8446744073709551615e19"), Ok(u64::MAX));
        assert_eq!(to_u64(b"-0"), Ok(0));
        assert_eq!(to_u64(b"-0.000"), Ok(0));
    }

    #[test]
    fn what_is_no_integer_or_too_large_is_refused() {
        for (text, fault) in [
            ("5.5", NotInteger::Fraction),
            ("1e-1", NotInteger::Fraction),
            ("123e-3", NotInteger::Fraction),
            ("0.1", NotInteger::Fraction),
            ("1e-99999999999999999999", NotInteger::Fraction),
            ("9223372036854775808", NotInteger::OutOfRange),
            ("-9223372036854775809", NotInteger::OutOfRange),
            ("1e19", NotInteger::OutOfRange),
            ("1e99999999999999999999", NotInteger::OutOfRange),
            ("99999999999999999999999999", NotInteger::OutOfRange),
        ] {
            assert_eq!(to_i64(text.as_bytes()), Err(fault), "{text}");
        }
        for text in ["18446744073709551616", "2e19", "-1", "-1e0"] {
            assert_eq!(
                to_u64(text.as_bytes()),
                Err(NotInteger::OutOfRange),
                "{text}"
            );
        }
    }

    #[test]
    fn floats_are_rounded_once() {
        // Between two floats, a hair above the middle: the nearest double is the middle itself, which would round to even.
        let text = b"1.00000005960464477540";
        assert_eq!(to_f32(text), Some(1.000_000_1));
        assert_eq!(to_f32(b"3.4028235e38"), Some(f32::MAX));
        assert_eq!(to_f32(b"3.5e38"), None);
        assert_eq!(to_f64(b"1e309"), None);
        assert_eq!(to_f64(b"1e-400"), Some(0.0));
        assert!(to_f64(b"-0").is_some_and(f64::is_sign_negative));
    }

    proptest! {
        #[test]
        fn any_integer_comes_back(value in any::<i64>(), zeros in 0..30_usize) {
            let text = format!("{value}.{:0<zeros$}0", "");
            prop_assert_eq!(to_i64(value.to_string().as_bytes()), Ok(value));
            prop_assert_eq!(to_i64(text.as_bytes()), Ok(value));
            prop_assert_eq!(to_i64(format!("{value}{:0<zeros$}e-{zeros}", "").as_bytes()), Ok(value));
        }

        #[test]
        fn any_unsigned_integer_comes_back(value in any::<u64>()) {
            prop_assert_eq!(to_u64(value.to_string().as_bytes()), Ok(value));
        }
    }
}
