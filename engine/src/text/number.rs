//! Numbers in paths and queries, which are read more loosely than in JSON (SEMANTICS 35, 36, 62). In: decoded text. Out: values.
//! Always: exact or refused for integers; rounded once, from the text itself, for floats.

/// Why text is no number of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// It is no number at all.
    Malformed,
    /// It is a number that the type does not reach.
    OutOfRange,
}

/// A signed integer of 32 bits: `42`, `-1`, `-0`, `+1`, `05`.
pub(crate) fn parse_i32(text: &[u8]) -> Result<i32, NumberFault> {
    narrow(parse_i64(text)?)
}

/// An unsigned integer of 32 bits; `-0` is 0.
pub(crate) fn parse_u32(text: &[u8]) -> Result<u32, NumberFault> {
    narrow(parse_u64(text)?)
}

/// A signed integer of 64 bits.
pub(crate) fn parse_i64(text: &[u8]) -> Result<i64, NumberFault> {
    let (is_negative, magnitude) = parse_integer(text)?;
    if is_negative {
        0i64.checked_sub_unsigned(magnitude)
            .ok_or(NumberFault::OutOfRange)
    } else {
        narrow(magnitude)
    }
}

/// An unsigned integer of 64 bits; `-0` is 0.
pub(crate) fn parse_u64(text: &[u8]) -> Result<u64, NumberFault> {
    match parse_integer(text)? {
        (true, 1..) => Err(NumberFault::OutOfRange),
        (_, magnitude) => Ok(magnitude),
    }
}

/// A double: decimal with optional point and exponent, `NaN`, `Infinity`, `-Infinity`. Beyond the range is refused; too small is zero.
pub(crate) fn parse_f64(text: &[u8]) -> Result<f64, NumberFault> {
    match text {
        b"NaN" => return Ok(f64::NAN),
        b"Infinity" => return Ok(f64::INFINITY),
        b"-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let value: f64 = decimal(text)?.parse().ok().ok_or(NumberFault::Malformed)?;
    if value.is_infinite() {
        return Err(NumberFault::OutOfRange);
    }
    Ok(value)
}

/// A float, rounded from the text and not by way of a double.
pub(crate) fn parse_f32(text: &[u8]) -> Result<f32, NumberFault> {
    match text {
        b"NaN" => return Ok(f32::NAN),
        b"Infinity" => return Ok(f32::INFINITY),
        b"-Infinity" => return Ok(f32::NEG_INFINITY),
        _ => {}
    }
    let value: f32 = decimal(text)?.parse().ok().ok_or(NumberFault::Malformed)?;
    if value.is_infinite() {
        return Err(NumberFault::OutOfRange);
    }
    Ok(value)
}

fn narrow<W, N: TryFrom<W>>(wide: W) -> Result<N, NumberFault> {
    N::try_from(wide).ok().ok_or(NumberFault::OutOfRange)
}

/// Optional sign, then digits only. Returns whether there was a minus, and the magnitude.
fn parse_integer(text: &[u8]) -> Result<(bool, u64), NumberFault> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberFault::Malformed);
    }
    digits
        .iter()
        .try_fold(0u64, |magnitude, digit| {
            magnitude
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))
        })
        .map(|magnitude| (is_negative, magnitude))
        .ok_or(NumberFault::OutOfRange)
}

/// Keeps the words that the standard library reads (`inf`, `nan`, `infinity`) away from it.
fn decimal(text: &[u8]) -> Result<&str, NumberFault> {
    let is_decimal = text
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    std::str::from_utf8(text)
        .ok()
        .filter(|_| is_decimal)
        .ok_or(NumberFault::Malformed)
}

#[cfg(test)]
mod tests {
    use NumberFault::{Malformed, OutOfRange};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_take_a_sign_and_leading_zeros() {
        for (text, value) in [
            ("42", 42),
            ("-1", -1),
            ("-0", 0),
            ("+1", 1),
            ("05", 5),
            ("2147483647", i32::MAX),
            ("-2147483648", i32::MIN),
            ("000000000000000000000000000007", 7),
        ] {
            assert_eq!(parse_i32(text.as_bytes()), Ok(value), "{text}");
            assert_eq!(parse_i64(text.as_bytes()), Ok(i64::from(value)), "{text}");
        }
        assert_eq!(parse_u32(b"-0"), Ok(0));
        assert_eq!(parse_u32(b"4294967295"), Ok(u32::MAX));
        assert_eq!(parse_i64(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_u64(b"18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn integers_refuse_other_text() {
        for text in [
            "", " 5", "5 ", "0x10", "1e2", "5.0", "abc", "+", "-", "--1", "+-1", "1_000", "\u{661}",
        ] {
            assert_eq!(parse_i32(text.as_bytes()), Err(Malformed), "{text}");
            assert_eq!(parse_u64(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(parse_i32(b"2147483648"), Err(OutOfRange));
        assert_eq!(parse_i32(b"-2147483649"), Err(OutOfRange));
        assert_eq!(parse_u32(b"4294967296"), Err(OutOfRange));
        assert_eq!(parse_u32(b"-1"), Err(OutOfRange));
        assert_eq!(parse_i64(b"9223372036854775808"), Err(OutOfRange));
        assert_eq!(parse_i64(b"-9223372036854775809"), Err(OutOfRange));
        assert_eq!(parse_u64(b"18446744073709551616"), Err(OutOfRange));
        assert_eq!(parse_u64(b"99999999999999999999999"), Err(OutOfRange));
    }

    #[test]
    fn floats_take_decimals_and_three_words() {
        assert_eq!(parse_f64(b"1.5"), Ok(1.5));
        assert_eq!(parse_f64(b"1e5"), Ok(1e5));
        assert_eq!(parse_f64(b"+1.5E-3"), Ok(0.0015));
        assert_eq!(parse_f64(b"Infinity"), Ok(f64::INFINITY));
        assert_eq!(parse_f64(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(parse_f64(b"NaN").unwrap().is_nan());
        assert!(parse_f64(b"-0").unwrap().is_sign_negative());
        assert_eq!(parse_f64(b"1e-400"), Ok(0.0));
        assert!(parse_f32(b"NaN").unwrap().is_nan());
        assert_eq!(parse_f32(b"-Infinity"), Ok(f32::NEG_INFINITY));
        assert_eq!(parse_f32(b"3.4028235e38"), Ok(f32::MAX));
    }

    #[test]
    fn floats_refuse_other_words_and_what_is_beyond_the_range() {
        for text in [
            "",
            "inf",
            "-inf",
            "+Infinity",
            "infinity",
            "nan",
            "-NaN",
            "abc",
            "1e",
            "e5",
            ".",
            "+",
            "1.2.3",
            " 1",
            "1,5",
            "0x1p3",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Err(Malformed), "{text}");
            assert_eq!(parse_f32(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(parse_f64(b"1e400"), Err(OutOfRange));
        assert_eq!(parse_f64(b"-1e400"), Err(OutOfRange));
        assert_eq!(parse_f32(b"3.5e38"), Err(OutOfRange));
    }

    /// Just above the middle between two floats by less than a double can tell: by way of a double it would round to even, downwards.
    #[test]
    fn a_float_is_rounded_once() {
        let text = "1.00000005960464477540000000000000001";
        let once = parse_f32(text.as_bytes()).unwrap();
        assert_eq!(once.to_bits(), 1.0f32.to_bits() + 1);
    }

    proptest! {
        #[test]
        fn any_integer_reads_back(value in any::<i64>(), wide in any::<u64>()) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Ok(value));
            prop_assert_eq!(parse_u64(wide.to_string().as_bytes()), Ok(wide));
            prop_assert_eq!(parse_i32(value.to_string().as_bytes()).ok(), i32::try_from(value).ok());
        }
    }
}
