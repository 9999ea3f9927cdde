//! The text of `grpc-timeout`: at most eight digits and a unit (SEMANTICS 133).
//! In: a header value, or what is left of a deadline. Out: a `Duration`, or the value for the upstream.
//! Always: what is written is never shorter than what was given, except at the end of the range.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Largest number that eight digits hold.
const AMOUNT_MAX: u128 = 99_999_999;

/// Units from fine to coarse, with their length in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Reads a `grpc-timeout`: at most eight digits and a unit, hours to nanoseconds.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use transom_engine::grpc::timeout;
///
/// assert_eq!(timeout::parse(b"250m")?, Duration::from_millis(250));
/// assert!(timeout::parse(b"0.25S").is_err());
/// # Ok::<(), transom_engine::Error>(())
/// ```
///
/// # Errors
/// `BadTimeout` where it is not one to eight digits and one of `H`, `M`, `S`, `m`, `u`, `n`.
pub fn parse(text: &[u8]) -> Result<Duration, Error> {
    let bad = Error::request(ErrorKind::BadTimeout);
    let (unit, digits) = text.split_last().ok_or(bad)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    let amount = digits
        .iter()
        .fold(0u64, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    // Eight digits of hours are 3.6e11 seconds: no product overflows.
    Ok(match unit {
        b'H' => Duration::from_hours(amount),
        b'M' => Duration::from_mins(amount),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return Err(bad),
    })
}

/// Reads an `x-server-timeout`: seconds, with a fraction perhaps.
///
/// # Errors
/// `BadSeconds` where it is no such number, of at most 19 characters.
pub(crate) fn parse_seconds(text: &[u8]) -> Result<Duration, Error> {
    let bad = Error::request(ErrorKind::BadSeconds);
    let is_number = (1..=19).contains(&text.len())
        && text.first().is_some_and(u8::is_ascii_digit)
        && text.last().is_some_and(u8::is_ascii_digit)
        && text
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let seconds = str::from_utf8(text).ok().filter(|_| is_number);
    // A float tells nanoseconds apart up to years; nobody waits longer. Two points are no float.
    let seconds = seconds.and_then(|text| text.parse::<f64>().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(bad)
}

/// Reads a `connect-timeout-ms`: one to ten digits, as the protocol Connect has it.
///
/// # Errors
/// `BadMillis` where it is not.
pub(crate) fn parse_millis(text: &[u8]) -> Result<Duration, Error> {
    if !(1..=10).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return Err(Error::request(ErrorKind::BadMillis));
    }
    let amount = text
        .iter()
        .fold(0u64, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    Ok(Duration::from_millis(amount))
}

/// Appends `timeout` as a `grpc-timeout` in the finest unit it fits, rounded up. Longer than 99999999 hours becomes that.
///
/// # Examples
/// ```
/// let mut out = Vec::new();
/// transom_engine::grpc::timeout::write(std::time::Duration::from_secs(10), &mut out);
/// assert_eq!(out, b"10000000u");
/// ```
pub fn write(timeout: Duration, out: &mut Vec<u8>) {
    let nanos = timeout.as_nanos();
    let (amount, unit) = UNITS
        .into_iter()
        .map(|(unit, unit_nanos)| (nanos.div_ceil(unit_nanos), unit))
        .find(|&(amount, _)| amount <= AMOUNT_MAX)
        .unwrap_or((AMOUNT_MAX, b'H'));
    out.extend_from_slice(itoa::Buffer::new().format(amount).as_bytes());
    out.push(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(timeout: Duration) -> String {
        let mut out = Vec::new();
        write(timeout, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_and_milliseconds_are_read() {
        for (text, timeout) in [
            ("5", Duration::from_secs(5)),
            ("0.25", Duration::from_millis(250)),
            (
                "9999999999999999999",
                Duration::from_secs(10_000_000_000_000_000_000),
            ),
        ] {
            assert_eq!(parse_seconds(text.as_bytes()), Ok(timeout), "{text}");
        }
        for text in [
            "",
            "-1",
            ".5",
            "5.",
            "1e3",
            "1.2.3",
            "NaN",
            "99999999999999999999",
        ] {
            let bad = Err(Error::request(ErrorKind::BadSeconds));
            assert_eq!(parse_seconds(text.as_bytes()), bad, "{text}");
        }
        assert_eq!(parse_millis(b"1500"), Ok(Duration::from_millis(1500)));
        for text in ["", "1.5", "-1", "12345678901"] {
            let bad = Err(Error::request(ErrorKind::BadMillis));
            assert_eq!(parse_millis(text.as_bytes()), bad, "{text}");
        }
    }

    #[test]
    fn every_unit_is_read() {
        for (text, timeout) in [
            ("1H", Duration::from_hours(1)),
            ("02M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
            ("99999999H", Duration::from_hours(99_999_999)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(timeout), "{text}");
        }
    }

    #[test]
    fn bad_forms_are_refused() {
        for text in [
            "",
            "1",
            "S",
            "-1S",
            "+1S",
            "1 S",
            " 1S",
            "1s",
            "1h",
            "1.5S",
            "123456789S",
            "1SS",
            "0x1S",
            "\u{661}S",
        ] {
            let refused = Err(Error::request(ErrorKind::BadTimeout));
            assert_eq!(parse(text.as_bytes()), refused, "{text}");
        }
    }

    #[test]
    fn the_finest_unit_that_fits_is_written() {
        for (timeout, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_nanos(100_000_001), "100001u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_nanos(99_999_999_001), "100000m"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_000), "1666667M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(written(timeout), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_as_no_less(nanos: u64, shift in 0..64) {
            let timeout = Duration::from_nanos(nanos >> shift);
            let read = parse(written(timeout).as_bytes()).unwrap();
            proptest::prop_assert!(read >= timeout);
            // Eight digits do not hold it in the unit before, which is at most a thousand times as fine: rounding up adds less than one part
            // in a hundred thousand.
            proptest::prop_assert!(read.checked_sub(timeout).unwrap() <= timeout / 100_000);
        }

        #[test]
        fn no_text_panics(text: Vec<u8>) {
            let _ = parse(&text);
        }
    }
}
