//! Durations in seconds. In: text; or seconds and nanoseconds. Out: the other of the two.
//! Always: seconds and nanoseconds have the same sign, or one of them is zero.

use super::fraction;

/// 10,000 years.
const SECONDS_MAX: i64 = 315_576_000_000;

/// The seconds and nanoseconds of `text` (SEMANTICS 90): optional sign, digits, up to nine digits after a point, `s`.
pub(crate) fn parse(text: &[u8]) -> Option<(i64, i32)> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digit_count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digit_count);
    if digits.is_empty() {
        return None;
    }
    let mut seconds = 0;
    for digit in digits {
        seconds = seconds * 10 + i64::from(digit - b'0');
        if seconds > SECONDS_MAX {
            return None;
        }
    }
    let (nanos, b"s") = fraction::parse(rest)? else {
        return None;
    };
    Some(if is_negative {
        (-seconds, -nanos)
    } else {
        (seconds, nanos)
    })
}

/// Appends the duration, without quotes, with 0, 3, 6 or 9 digits (SEMANTICS 102). Out of range, or of two signs: false, and nothing
/// is written.
pub(crate) fn write(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> bool {
    let is_in_range = (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds)
        && (-999_999_999..=999_999_999).contains(&nanos);
    if !is_in_range || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0) {
        return false;
    }
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(
        itoa::Buffer::new()
            .format(seconds.unsigned_abs())
            .as_bytes(),
    );
    fraction::write(nanos.unsigned_abs(), out);
    out.push(b's');
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(seconds: i64, nanos: i32) -> Option<String> {
        let mut out = Vec::new();
        let accepted = write(seconds, nanos, &mut out);
        assert!(accepted || out.is_empty());
        accepted.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn signs_and_fractions_are_read() {
        for (text, expected) in [
            ("0s", (0, 0)),
            ("1.5s", (1, 500_000_000)),
            ("-0.5s", (0, -500_000_000)),
            ("-1.000000001s", (-1, -1)),
            ("+3s", (3, 0)),
            ("315576000000s", (SECONDS_MAX, 0)),
            ("-315576000000.999999999s", (-SECONDS_MAX, -999_999_999)),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "-s",
            "--1s",
            "+-1s",
            "1 s",
            " 1s",
            "1s ",
            "1S",
            "1ms",
            "1e3s",
            "1.1234567890s",
            "315576000001s",
            "99999999999999999999999999s",
            "0x1s",
            "1.5",
            "1,5s",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ranges_and_signs_are_checked_when_writing() {
        for (seconds, nanos, expected) in [
            (0, 0, Some("0s")),
            (1, 500_000_000, Some("1.500s")),
            (0, -500_000_000, Some("-0.500s")),
            (-3, -1_000, Some("-3.000001s")),
            (SECONDS_MAX, 0, Some("315576000000s")),
            (SECONDS_MAX + 1, 0, None),
            (-SECONDS_MAX - 1, 0, None),
            (i64::MIN, i32::MIN, None),
            (1, -1, None),
            (-1, 1, None),
            (0, 1_000_000_000, None),
        ] {
            assert_eq!(
                written(seconds, nanos).as_deref(),
                expected,
                "{seconds} {nanos}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_count_of_nanoseconds(
            total in -(i128::from(SECONDS_MAX) * 1_000_000_000)..=i128::from(SECONDS_MAX) * 1_000_000_000,
        ) {
            // Division of the whole count truncates toward zero, which gives both parts the same sign.
            let seconds = i64::try_from(total / 1_000_000_000).unwrap();
            let nanos = i32::try_from(total % 1_000_000_000).unwrap();
            let text = written(seconds, nanos).unwrap();
            let (read_seconds, read_nanos) = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(i128::from(read_seconds) * 1_000_000_000 + i128::from(read_nanos), total);
        }
    }
}
