//! Fractions of a second, as timestamps and durations write them. In: text from the point on; or nanoseconds. Out: nanoseconds and the
//! rest of the text; or text. Always: nanoseconds are 0 to 999,999,999.

/// Reads `.` and one to nine digits, or nothing; returns the nanoseconds and what follows.
pub(super) fn parse(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let digit_count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    // SEMANTICS 89, 90: up to nine digits; a point without any is no fraction.
    if digit_count == 0 || digit_count > 9 {
        return None;
    }
    let (digits, rest) = digits.split_at(digit_count);
    let zeros = std::iter::repeat_n(&b'0', 9 - digit_count);
    let nanos = digits
        .iter()
        .chain(zeros)
        .fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'));
    Some((nanos, rest))
}

/// Appends `.` and 3, 6 or 9 digits, or nothing for zero (SEMANTICS 102). `nanos` is below 1,000,000,000.
pub(super) fn write(nanos: u32, out: &mut Vec<u8>) {
    if nanos == 0 {
        return;
    }
    let mut text = *b".000000000";
    let mut rest = nanos;
    for digit in text.iter_mut().skip(1).rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    let len = if nanos.is_multiple_of(1_000_000) {
        4
    } else if nanos.is_multiple_of(1_000) {
        7
    } else {
        10
    };
    out.extend(text.iter().take(len));
}
