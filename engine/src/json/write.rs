//! JSON text from values. In: strings and numbers. Out: bytes appended to the caller's buffer. Always: valid JSON.

use super::scan;
use crate::simd;

/// Appends `text` as a JSON string, quotes included. Escapes what RFC 8259 demands and nothing else (SEMANTICS 106).
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (clean, special) = rest.split_at(simd::clean_len(rest).len);
        out.extend_from_slice(clean);
        let Some((&byte, after)) = special.split_first() else {
            break;
        };
        escape(byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// Whether `text` is ASCII with nothing to escape, which is valid as UTF-8 and as JSON at once. Its last word may overlap the one before
/// it, so that there is no rest to be looked at byte by byte.
#[inline]
pub(super) fn is_plain(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk::<8>() {
        let (words, _) = text.as_chunks::<8>();
        // Without branches the compiler makes vector instructions of it.
        let any = words
            .iter()
            .fold(special(*last), |any, word| any | special(*word));
        return any & scan::HIGH_BITS == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let [first, last] = [*first, *last].map(|half| u64::from(u32::from_le_bytes(half)));
        return special((first | last << 32).to_le_bytes()) & scan::HIGH_BITS == 0;
    }
    text.iter().all(|&byte| byte < 0x80 && !is_special(byte))
}

/// The high bit of a byte tells that one of the eight is not plain.
#[inline]
const fn special(bytes: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(bytes);
    word | scan::stops(word)
}

#[inline]
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            let [high, low] = [byte >> 4, byte & 15]
                .map(|nibble| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    }
}

/// What cannot be a number, as a string (SEMANTICS 101).
#[cold]
pub(super) fn not_finite(value: f64) -> &'static [u8] {
    if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn string_escapes_what_it_must_and_nothing_else() {
        let text =
            text_of(|out| string("a\"b\\c/\u{8}\t\n\u{c}\r\0\u{1f}\u{7f}é<>&\u{2028}😀", out));
        assert_eq!(
            text,
            "\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}é<>&\u{2028}😀\""
        );
    }

    proptest! {
        #[test]
        fn string_reads_back(text in "\\PC*|[\\x00-\\x7f]{0,80}") {
            let json = text_of(|out| string(&text, out));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn text_is_plain_exactly_if_nothing_is_escaped(
            mut text in prop::collection::vec(b' '..0x7f, 0..40),
            place: prop::sample::Index,
            byte: u8,
        ) {
            if !text.is_empty() {
                let at = place.index(text.len());
                if let Some(place) = text.get_mut(at) {
                    *place = byte;
                }
            }
            let plain = text.iter().all(|&byte| byte.is_ascii() && !is_special(byte));
            prop_assert_eq!(is_plain(&text), plain);
        }
    }
}
