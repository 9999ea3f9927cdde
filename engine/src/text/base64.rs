//! Base64. In: text of either alphabet, padded or not; or bytes. Out: bytes; or standard text with padding.
//! Always: white space, misplaced padding and a mix of the alphabets are refused.

use base64_simd::{Base64, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Appends the bytes that `text` stands for, in the standard or the URL alphabet, padded or not (SEMANTICS 37, 83).
/// Otherwise false, and `out` is as before.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(text) = without_padding(text) else {
        return false;
    };
    decode_alphabet(&STANDARD_NO_PAD, text, out) || decode_alphabet(&URL_SAFE_NO_PAD, text, out)
}

/// Appends `bytes` as text in the standard alphabet, padded (SEMANTICS 102).
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    // The library reserves exactly what it needs, which would make the growth of `out` quadratic over many fields.
    out.reserve(STANDARD.encoded_length(bytes.len()));
    STANDARD.encode_append(bytes, out);
}

fn without_padding(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = text.strip_suffix(b"=") else {
        return Some(text);
    };
    text.len()
        .is_multiple_of(4)
        .then(|| rest.strip_suffix(b"=").unwrap_or(rest))
}

/// The library refuses set bits behind the last whole byte. The conformance suite sends such text (`-_` for the byte 0xfb), so
/// the last two or three characters are decoded here.
fn decode_alphabet(alphabet: &Base64, text: &[u8], out: &mut Vec<u8>) -> bool {
    let (quads, tail) = text.split_at(text.len() & !3);
    let entry_len = out.len();
    out.reserve(STANDARD.estimated_decoded_length(text.len()));
    if alphabet.decode_append(quads, out).is_err() {
        return false;
    }
    if decode_tail(alphabet, tail, out).is_none() {
        out.truncate(entry_len);
        return false;
    }
    true
}

fn decode_tail(alphabet: &Base64, tail: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match *tail {
        [] => {}
        [first, second] => {
            let bits = sextet(alphabet, first)? << 6 | sextet(alphabet, second)?;
            let [_, _, byte, _] = (bits << 4).to_be_bytes();
            out.push(byte);
        }
        [first, second, third] => {
            let bits = sextet(alphabet, first)? << 12
                | sextet(alphabet, second)? << 6
                | sextet(alphabet, third)?;
            let [_, high, low, _] = (bits << 6).to_be_bytes();
            out.extend_from_slice(&[high, low]);
        }
        _ => return None,
    }
    Some(())
}

fn sextet(alphabet: &Base64, character: u8) -> Option<u32> {
    let [.., plus, slash] = *alphabet.charset();
    match character {
        b'A'..=b'Z' => Some(u32::from(character - b'A')),
        b'a'..=b'z' => Some(u32::from(character - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(character - b'0') + 52),
        _ if character == plus => Some(62),
        _ if character == slash => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let accepted = decode(text.as_bytes(), &mut out);
        let bytes = out.strip_prefix(b"before").unwrap().to_vec();
        assert!(accepted || bytes.is_empty(), "a refusal left bytes behind");
        accepted.then_some(bytes)
    }

    #[test]
    fn both_alphabets_are_accepted_padded_or_not() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("-_-_", b"\xfb\xff\xbf"),
            ("-_8=", b"\xfb\xff"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn set_bits_behind_the_last_byte_are_dropped() {
        assert_eq!(decoded("-_").as_deref(), Some(&b"\xfb"[..]));
        assert_eq!(decoded("Zm9vZm9").as_deref(), Some(&b"foofo"[..]));
        assert_eq!(decoded("Zn==").as_deref(), Some(&b"f"[..]));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "Z", "Zm9vZ", "Zg=", "Zg===", "=", "==", "====", "Z===", "Zg==Zg==", "Zm8=Zm8=",
            "Zm 9v", "Zm9v\n", "Zm9*", "-+AA", "AAAA-A+A", "AAAA-+", "Zm9v=", "Zm9v====", "Zg=A",
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(text.len() % 4, 0);
            let url = text.replace('+', "-").replace('/', "_");
            for form in [&text, text.trim_end_matches('='), &url, url.trim_end_matches('=')] {
                prop_assert_eq!(decoded(form), Some(bytes.clone()));
            }
        }
    }
}
