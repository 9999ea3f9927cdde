//! Numbers of JSON. In: their text. Out: exact integers, or the nearest float.
//! Always: an integer never goes through a float, so that none is rounded (SEMANTICS 79).

use super::decimal::{nearest_f32, nearest_f64};

/// Why a number is not the integer that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInteger {
    /// It has a fraction.
    Fraction,
    /// It is one, but too large or too small.
    OutOfRange,
}

/// A number by the grammar of RFC 8259, read in one pass: `-`, digits without a leading zero, fraction, exponent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'j> {
    text: &'j [u8],
    is_negative: bool,
    /// All digits before the exponent as one integer, modulo 2^64.
    mantissa: u64,
    /// Digits between the point and the exponent.
    fraction_len: usize,
    /// Whether it is, but for its sign, exactly `mantissa` / 10^`fraction_len`: it has no exponent, and its digits fit 64 bits.
    is_plain: bool,
}

/// Digits that surely fit 64 bits.
const SAFE_DIGIT_COUNT: usize = 19;

/// Powers of ten that a double has exactly.
const DOUBLE_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Powers of ten that a float has exactly.
const FLOAT_POWERS: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

impl<'j> Number<'j> {
    /// The number that `text` starts with.
    #[inline(always)]
    pub(crate) fn read(text: &'j [u8]) -> Option<Self> {
        let is_negative = text.first() == Some(&b'-');
        let start = usize::from(is_negative);
        let mut mantissa = 0;
        let integer_end = read_digits(text, start, &mut mantissa);
        // SEMANTICS 97: no leading zero, and no number without a digit before its point.
        if integer_end == start || (integer_end > start + 1 && text.get(start) == Some(&b'0')) {
            return None;
        }
        let mut end = integer_end;
        let mut fraction_len = 0;
        if text.get(end) == Some(&b'.') {
            end = read_digits(text, integer_end + 1, &mut mantissa);
            fraction_len = end - integer_end - 1;
            if fraction_len == 0 {
                return None;
            }
        }
        let has_exponent = matches!(text.get(end), Some(b'e' | b'E'));
        let digit_count = integer_end - start + fraction_len;
        if has_exponent {
            end = exponent_end(text, end + 1)?;
        }
        Some(Self {
            text: text.get(..end)?,
            is_negative,
            mantissa,
            fraction_len,
            is_plain: !has_exponent && digit_count <= SAFE_DIGIT_COUNT,
        })
    }

    /// The number that `text` is, if it is one and nothing else: no sign but a minus, no white space.
    #[inline]
    pub(crate) fn whole(text: &'j [u8]) -> Option<Self> {
        Self::read(text).filter(|number| number.text.len() == text.len())
    }

    /// Its text.
    #[inline]
    pub(crate) fn text(&self) -> &'j [u8] {
        self.text
    }

    /// The integer that it stands for: `5`, `5.0`, `50e-1`, `-0`.
    #[inline]
    pub(crate) fn to_i64(self) -> Result<i64, NotInteger> {
        let magnitude = self.magnitude()?;
        if self.is_negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        }
        .ok_or(NotInteger::OutOfRange)
    }

    /// As [`Self::to_i64`], without negative numbers. `-0` is 0.
    #[inline]
    pub(crate) fn to_u64(self) -> Result<u64, NotInteger> {
        match self.magnitude()? {
            1.. if self.is_negative => Err(NotInteger::OutOfRange),
            magnitude => Ok(magnitude),
        }
    }

    #[inline]
    fn magnitude(self) -> Result<u64, NotInteger> {
        if self.is_plain && self.fraction_len == 0 {
            Ok(self.mantissa)
        } else {
            scaled_magnitude(
                self.text
                    .get(usize::from(self.is_negative)..)
                    .unwrap_or_default(),
            )
        }
    }

    /// The double nearest to it, or nothing if it is beyond the largest (SEMANTICS 80).
    #[inline]
    pub(crate) fn to_f64(self) -> Option<f64> {
        if self.is_plain
            && let Some(value) = plain_f64(self.mantissa, self.fraction_len, self.is_negative)
        {
            return Some(value);
        }
        let value: f64 = std::str::from_utf8(self.text).ok()?.parse().ok()?;
        value.is_finite().then_some(value)
    }

    /// The float nearest to it: rounded once, from the text, not from the nearest double.
    #[inline]
    pub(crate) fn to_f32(self) -> Option<f32> {
        if self.is_plain
            && let Some(value) = plain_f32(self.mantissa, self.fraction_len, self.is_negative)
        {
            return Some(value);
        }
        let value: f32 = std::str::from_utf8(self.text).ok()?.parse().ok()?;
        value.is_finite().then_some(value)
    }
}

/// The double nearest to `mantissa` / 10^`fraction_len`, if it is found without the text.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "so small an integer is exact")]
pub(super) fn plain_f64(mantissa: u64, fraction_len: usize, is_negative: bool) -> Option<f64> {
    // Dividend and divisor are exact, so that the quotient is rounded once, to the nearest.
    let magnitude = match DOUBLE_POWERS.get(fraction_len) {
        Some(power) if mantissa <= 1 << f64::MANTISSA_DIGITS => {
            mantissa.cast_signed() as f64 / power
        }
        _ => nearest_f64(mantissa, fraction_len)?,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// As [`plain_f64`], for a float.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "so small an integer is exact")]
pub(super) fn plain_f32(mantissa: u64, fraction_len: usize, is_negative: bool) -> Option<f32> {
    let magnitude = match FLOAT_POWERS.get(fraction_len) {
        Some(power) if mantissa <= 1 << f32::MANTISSA_DIGITS => {
            mantissa.cast_signed() as f32 / power
        }
        _ => nearest_f32(mantissa, fraction_len)?,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// Reads on through the digits from `at`, each of which is another place of `value`: where they end.
#[inline]
fn read_digits(text: &[u8], mut at: usize, value: &mut u64) -> usize {
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let (count, digits) = leading_digits(u64::from_le_bytes(*word));
        let power = POWERS.get(count).copied().unwrap_or_default();
        *value = value.wrapping_mul(power).wrapping_add(digits);
        at += count;
        if count < 8 {
            return at;
        }
    }
    while let Some(&byte @ b'0'..=b'9') = text.get(at) {
        *value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        at += 1;
    }
    at
}

/// Powers of ten by how many digits of a word they make room for.
const POWERS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// How many of the eight bytes of `word`, from its low end, are digits before the first that is none, and the integer they stand for.
#[inline]
const fn leading_digits(word: u64) -> (usize, u64) {
    let values = word ^ 0x3030303030303030;
    // The high bit of each byte that is no digit; a carry may mark bytes above one that is none, which does not change the count.
    let others = (values.wrapping_add(0x7676767676767676) | values) & 0x8080808080808080;
    let count = others.trailing_zeros() / 8;
    // Zeros come in from below, where they lead the digits; twice by half, since a shift by 64 is none.
    let half = 32 - count * 4;
    let ones = values << half << half;
    // Neighbours are put together: eight digits, four pairs, two fours, one eight.
    let pairs = ones.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff00ff00ff00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000ffff0000ffff;
    let eight = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
    (count as usize, eight)
}

/// Where the exponent ends whose letter stands before `at`.
fn exponent_end(text: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let end = read_digits(text, start, &mut 0);
    (end > start).then_some(end)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token_len(text: &[u8]) -> Option<usize> {
        Number::read(text).map(|number| number.text().len())
    }

    fn to_i64(text: &[u8]) -> Result<i64, NotInteger> {
        Number::whole(text).unwrap().to_i64()
    }

    fn to_u64(text: &[u8]) -> Result<u64, NotInteger> {
        Number::whole(text).unwrap().to_u64()
    }

    fn to_f64(text: &[u8]) -> Option<f64> {
        Number::whole(text).unwrap().to_f64()
    }

    fn to_f32(text: &[u8]) -> Option<f32> {
        Number::whole(text).unwrap().to_f32()
    }

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

        /// Goal: the short way of plain numbers and the long way of others agree. Method: numbers around the bounds of the short
        /// way, against the standard library.
        #[test]
        fn floats_of_every_length_are_the_nearest(
            digits in 0..=u64::MAX,
            shift in 0..64,
            point in 0..20_usize,
            end in "|,|]       |e5|E-7 ",
        ) {
            let mut text = format!("{:01$}", digits >> shift, point + 1);
            text.insert(text.len() - point, '.');
            let text = text.trim_end_matches('.').to_owned() + &end;
            let number = Number::read(text.as_bytes()).unwrap();
            let token = text.trim_end_matches([',', ']', ' ']);
            prop_assert_eq!(number.text(), token.as_bytes());
            prop_assert_eq!(number.to_f64(), token.parse().ok());
            prop_assert_eq!(number.to_f32(), token.parse().ok());
            let negative = format!("-{text}");
            let number = Number::read(negative.as_bytes()).unwrap();
            prop_assert_eq!(number.to_f64().map(f64::to_bits), token.parse().ok().map(|value: f64| (-value).to_bits()));
            prop_assert_eq!(number.to_f32().map(f32::to_bits), token.parse().ok().map(|value: f32| (-value).to_bits()));
        }

        #[test]
        fn digits_of_a_word_are_those_before_the_first_other_byte(
            bytes in any::<[u8; 8]>(),
            digits in 0..8_usize,
        ) {
            let mut bytes = bytes;
            for byte in bytes.iter_mut().take(digits) {
                *byte = b'0' + *byte % 10;
            }
            let text: String = bytes.iter().take_while(|byte| byte.is_ascii_digit()).map(|&byte| char::from(byte)).collect();
            let expected = (text.len(), text.parse().unwrap_or(0));
            prop_assert_eq!(leading_digits(u64::from_le_bytes(bytes)), expected);
        }

        #[test]
        fn any_unsigned_integer_comes_back(value in any::<u64>()) {
            prop_assert_eq!(to_u64(value.to_string().as_bytes()), Ok(value));
        }
    }
}
