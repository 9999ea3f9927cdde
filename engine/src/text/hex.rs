//! Hexadecimal digits, of percent escapes and chunk sizes. In: a byte. Out: its value. Always: both cases.

/// The value of a hexadecimal digit.
#[inline]
pub(crate) const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits stand for.
#[inline]
pub(crate) const fn byte(high: u8, low: u8) -> Option<u8> {
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_agree_with_the_standard_library() {
        for each in 0..=u8::MAX {
            let expected = char::from(each).to_digit(16);
            assert_eq!(digit(each).map(u32::from), expected, "{each}");
        }
        assert_eq!(byte(b'4', b'f'), Some(0x4f));
        assert_eq!(byte(b'4', b'g'), None);
    }
}
