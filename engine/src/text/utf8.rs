//! Whether bytes are UTF-8. In: bytes. Out: yes or no. Always: surrogates and overlong forms are refused.

/// Whether `bytes` are valid UTF-8.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Bytes of UTF-8 that `bytes` begin with.
pub(crate) fn valid_len(bytes: &[u8]) -> usize {
    if is_valid(bytes) {
        return bytes.len();
    }
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_forms_and_surrogates_are_refused() {
        assert!(is_valid("a\u{0}ß€𝄞".as_bytes()));
        for bytes in [
            &b"\xff"[..],
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"a\xc3",
            b"\xf4\x90\x80\x80",
        ] {
            assert!(!is_valid(bytes), "{bytes:x?}");
        }
    }
}
