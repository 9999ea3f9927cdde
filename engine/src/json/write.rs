//! JSON text from values. In: strings and numbers. Out: bytes appended to the caller's buffer. Always: valid JSON.

/// Appends `text` as a JSON string, quotes included. Escapes what RFC 8259 demands and nothing else (SEMANTICS 106).
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some((clean, byte, after)) = split_at_special(rest) {
        out.extend_from_slice(clean);
        escape(byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Bytes looked at together: so few steps, without a branch, that the compiler makes vector instructions of them.
const BLOCK_LEN: usize = 16;

/// What lies before the first byte that must be escaped, that byte, and what lies after it.
#[inline]
fn split_at_special(text: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (blocks, _) = text.as_chunks::<BLOCK_LEN>();
    let clean_count = blocks
        .iter()
        .position(|block| {
            block
                .iter()
                .fold(false, |any, &byte| any | is_special(byte))
        })
        .unwrap_or(blocks.len());
    let (clean, doubtful) = text.split_at_checked(clean_count * BLOCK_LEN)?;
    let at = doubtful.iter().position(|&byte| is_special(byte))? + clean.len();
    let (clean, from) = text.split_at_checked(at)?;
    let (&byte, after) = from.split_first()?;
    Some((clean, byte, after))
}

#[inline]
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without branches the compiler makes vector instructions of it"
)]
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Appends `text` as a JSON string if it is plain: ASCII with nothing to escape, which is valid as UTF-8 and as JSON at once and is
/// what most strings are. Otherwise false, and nothing is written.
#[inline]
pub(crate) fn plain_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    if !is_plain(text) {
        return false;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
    true
}

/// The last block or word of a text may overlap the one before it, so that no text has a rest to be looked at byte by byte.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk::<BLOCK_LEN>() {
        let (blocks, _) = text.as_chunks::<BLOCK_LEN>();
        return blocks.iter().all(is_plain_block) && is_plain_block(last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return is_plain_word(u64::from_le_bytes(*first))
            && is_plain_word(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let [first, last] = [*first, *last].map(|half| u64::from(u32::from_le_bytes(half)));
        return is_plain_word(first | last << 32);
    }
    text.iter().all(|&byte| byte < 0x80 && !is_special(byte))
}

#[inline]
fn is_plain_block(block: &[u8; BLOCK_LEN]) -> bool {
    let special = |byte| u8::from(is_special(byte)) << 7;
    // Without branches the compiler makes vector instructions of it.
    let any = block
        .iter()
        .fold(0, |any, &byte| any | byte | special(byte));
    any < 0x80
}

/// Whether each of the eight bytes is plain. The high bit of a byte of `special` tells that it is not; a borrow may set that of
/// a byte above one that is not, which does not change the answer.
#[inline]
fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let special = word | below(word, 0x20) | below(quote, 1) | below(backslash, 1);
    special & (ONES << 7) == 0
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

/// Appends an integer in decimal.
#[inline]
pub(crate) fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer in decimal, in quotes.
#[inline]
pub(crate) fn quoted_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.push(b'"');
    integer(value, out);
    out.push(b'"');
}

/// Appends the shortest number that reads back as the same double, or what cannot be a number as a string (SEMANTICS 101).
pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        not_finite(value, out);
    }
}

/// Appends the shortest number that reads back as the same float, or what cannot be a number as a string (SEMANTICS 101).
pub(crate) fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        not_finite(f64::from(value), out);
    }
}

/// `1.0` is `1` to a reader of JSON; `-0.0` too keeps its sign as `-0`.
#[inline]
fn finite(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

#[cold]
fn not_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
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

    #[test]
    fn floats_are_shortest_and_valid_json() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e15, "1000000000000000"),
            (5e-324, "5e-324"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            assert_eq!(text_of(|out| double(value, out)), expected);
        }
        assert_eq!(text_of(|out| float(0.1, out)), "0.1");
        assert_eq!(text_of(|out| float(f32::MAX, out)), "3.4028235e+38");
        assert_eq!(text_of(|out| float(f32::NAN, out)), "\"NaN\"");
    }

    proptest! {
        #[test]
        fn string_reads_back(text in "\\PC*|[\\x00-\\x7f]{0,80}") {
            let json = text_of(|out| string(&text, out));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn plain_string_is_written_exactly_if_nothing_is_escaped(
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
            let is_plain = text.iter().all(|&byte| byte.is_ascii() && !is_special(byte));
            let mut out = Vec::new();
            prop_assert_eq!(plain_string(&text, &mut out), is_plain);
            let mut expected = Vec::new();
            if is_plain {
                string(str::from_utf8(&text).unwrap(), &mut expected);
            }
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn finite_numbers_read_back_bit_by_bit(bits: u64, low_bits: u32) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let json = text_of(|out| double(value, out));
                serde_json::from_str::<serde_json::Value>(&json).unwrap();
                prop_assert_eq!(json.parse::<f64>().unwrap().to_bits(), bits);
            }
            let value = f32::from_bits(low_bits);
            if value.is_finite() {
                let json = text_of(|out| float(value, out));
                serde_json::from_str::<serde_json::Value>(&json).unwrap();
                prop_assert_eq!(json.parse::<f32>().unwrap().to_bits(), low_bits);
            }
        }
    }
}
