//! Timestamps in RFC 3339. In: text; or seconds since 1970 and nanoseconds. Out: the other of the two.
//! Always: years 0001 to 9999 of the proleptic Gregorian calendar, no leap seconds.

use super::fraction;

/// 0001-01-01T00:00:00Z.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;
const DAY_SECONDS: i64 = 86_400;

/// The seconds and nanoseconds of `text` (SEMANTICS 89): capital `T` and `Z`, or an offset; second 60 is refused.
pub(crate) fn parse(text: &[u8]) -> Option<(i64, i32)> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        ref rest @ ..,
    ] = text
    else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    let (hour, minute, second) = (pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?);
    if year < 1 || day < 1 || day > days_in_month(year, month)? {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = fraction::parse(rest)?;
    let offset = offset_seconds(zone)?;
    let seconds =
        days_since_1970(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second
            - offset;
    // An offset may carry the first and the last day out of the years that there are.
    (SECONDS_MIN..=SECONDS_MAX)
        .contains(&seconds)
        .then_some((seconds, nanos))
}

/// Appends the timestamp, without quotes, in UTC with 0, 3, 6 or 9 digits (SEMANTICS 102). Out of range: false, and nothing is written.
pub(crate) fn write(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> bool {
    let Some(nanos) = u32::try_from(nanos)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000)
    else {
        return false;
    };
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        return false;
    }
    let (year, month, day) = date(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    let mut text = *b"0000-00-00T00:00:00";
    let places = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, second / 3600),
        (14, second / 60 % 60),
        (17, second % 60),
    ];
    for (at, number) in places {
        if let Some([tens, ones]) = text.get_mut(at..at + 2) {
            *tens += digit(number / 10);
            *ones += digit(number % 10);
        }
    }
    out.extend_from_slice(&text);
    fraction::write(nanos, out);
    out.push(b'Z');
    true
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers pass 0 to 9"
)]
fn digit(number: i64) -> u8 {
    debug_assert!((0..10).contains(&number));
    number as u8
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// `Z` or `+hh:mm` or `-hh:mm`, in seconds east of UTC.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (pair(h1, h2)?, pair(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

// Both conversions count in years that begin in March, so that the leap day is the last of its year, and in eras of 400 years,
// which all have 146,097 days. Day 0 of era 0 is 0000-03-01, 719,468 days before 1970-01-01. Month lengths from March on follow
// (153 * month + 2) / 5. See Howard Hinnant, "chrono-compatible low-level date algorithms".
const ERA_DAYS: i64 = 146_097;
const DAYS_TO_1970: i64 = 719_468;

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - DAYS_TO_1970
}

/// Year, month and day.
fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
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
    fn offsets_and_fractions_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", (0, 0)),
            ("2020-01-01T00:00:00.5Z", (1_577_836_800, 500_000_000)),
            ("2020-01-01T01:30:00+01:30", (1_577_836_800, 0)),
            ("2019-12-31T16:00:00-08:00", (1_577_836_800, 0)),
            ("2020-01-01T00:00:00-00:00", (1_577_836_800, 0)),
            (
                "2020-02-29T23:59:59.999999999Z",
                (1_583_020_799, 999_999_999),
            ),
            ("0001-01-01T00:00:00Z", (SECONDS_MIN, 0)),
            ("9999-12-31T23:59:59.000000001Z", (SECONDS_MAX, 1)),
            ("1969-12-31T23:59:59.1Z", (-1, 100_000_000)),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "2020-01-01",
            "2020-01-01T00:00:00",
            "2020-01-01t00:00:00Z",
            "2020-01-01T00:00:00z",
            "2020-01-01 00:00:00Z",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00.1234567890Z",
            "2020-01-01T00:00:60Z",
            "2020-01-01T00:60:00Z",
            "2020-01-01T24:00:00Z",
            "2020-00-01T00:00:00Z",
            "2020-13-01T00:00:00Z",
            "2020-01-00T00:00:00Z",
            "2020-04-31T00:00:00Z",
            "2019-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "0000-12-31T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2020-01-01T00:00:00+0100",
            "2020-01-01T00:00:00+01",
            "2020-01-01T00:00:00+24:00",
            "2020-01-01T00:00:00+01:60",
            "2020-01-01T00:00:00ZZ",
            "2020-01-01T00:00:00Z ",
            " 2020-01-01T00:00:00Z",
            "2020-1-01T00:00:00Z",
            "+020-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn digits_come_in_threes_and_ranges_hold() {
        for (seconds, nanos, expected) in [
            (0, 0, Some("1970-01-01T00:00:00Z")),
            (0, 500_000_000, Some("1970-01-01T00:00:00.500Z")),
            (0, 1_000, Some("1970-01-01T00:00:00.000001Z")),
            (-1, 1, Some("1969-12-31T23:59:59.000000001Z")),
            (SECONDS_MIN, 0, Some("0001-01-01T00:00:00Z")),
            (SECONDS_MAX, 0, Some("9999-12-31T23:59:59Z")),
            (SECONDS_MIN - 1, 0, None),
            (SECONDS_MAX + 1, 0, None),
            (i64::MIN, 0, None),
            (i64::MAX, 0, None),
            (0, -1, None),
            (0, 1_000_000_000, None),
        ] {
            assert_eq!(
                written(seconds, nanos).as_deref(),
                expected,
                "{seconds} {nanos}"
            );
        }
    }

    /// Walks every day from year 1 to 9999 by the calendar's own rules and checks both conversions against the count.
    #[test]
    fn every_day_agrees_with_a_walk_through_the_calendar() {
        let mut days = SECONDS_MIN / DAY_SECONDS;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month).unwrap() {
                    assert_eq!(days_since_1970(year, month, day), days);
                    assert_eq!(date(days), (year, month, day));
                    days += 1;
                }
            }
        }
        assert_eq!(days - 1, SECONDS_MAX / DAY_SECONDS);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in SECONDS_MIN..=SECONDS_MAX, nanos in 0..1_000_000_000) {
            let text = written(seconds, nanos).unwrap();
            prop_assert_eq!(parse(text.as_bytes()), Some((seconds, nanos)));
        }

        #[test]
        fn an_offset_shifts_the_time(seconds in SECONDS_MIN + DAY_SECONDS..=SECONDS_MAX - DAY_SECONDS, minutes in -1439_i64..=1439) {
            let local = written(seconds + minutes * 60, 0).unwrap();
            let sign = if minutes < 0 { '-' } else { '+' };
            let text = format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(parse(text.as_bytes()), Some((seconds, 0)));
        }

        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some((seconds, nanos)) = parse(&text) {
                prop_assert!(written(seconds, nanos).is_some());
            }
        }
    }
}
