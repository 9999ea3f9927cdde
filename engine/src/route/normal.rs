//! The one normal form in which literals of templates and segments of paths are compared (SEMANTICS 13).
//! In: raw path bytes. Out: the same with unreserved escapes decoded, other escapes in upper case, and what must be escaped escaped.
//! Always: `/` and `:` stay where they are and none appears, so segments and verbs are the same before and after.

use crate::text::hex;

/// Whether the text is in normal form already: it then stands for itself.
#[inline]
pub(super) fn is_normal(text: &[u8]) -> bool {
    #[expect(clippy::indexing_slicing, reason = "there is a place for each byte")]
    text.iter().all(|&byte| PLAIN[usize::from(byte)])
}

/// [`is_plain`] of each byte.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "it runs when this is compiled, which an index out of bounds would stop"
        )]
        {
            plain[byte] = is_plain(byte as u8);
        }
        byte += 1;
    }
    plain
};

/// Appends the normal form of `text` to `out`. A `%` without two hex digits becomes a byte that no template has.
pub(crate) fn write(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            match after {
                [high, low, after @ ..] => match hex::byte(*high, *low) {
                    Some(decoded) => {
                        rest = after;
                        if is_unreserved(decoded) {
                            out.push(decoded);
                        } else {
                            escape(decoded, out);
                        }
                    }
                    None => out.push(NEVER),
                },
                _ => out.push(NEVER),
            }
        } else if is_plain(byte) {
            out.push(byte);
        } else {
            escape(byte, out);
        }
    }
}

/// No template has this byte: those outside of ASCII are escaped.
const NEVER: u8 = 0xff;

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let [high, low] = [byte >> 4, byte & 15].map(|digit| {
        DIGITS
            .get(usize::from(digit))
            .map_or(NEVER, |&digit| digit as u8)
    });
    out.extend_from_slice(&[b'%', high, low]);
}

/// RFC 3986, 2.3
#[inline]
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What stands for itself in a path: `pchar` and `/` (RFC 3986, 3.3).
#[inline]
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn unreserved_escapes_are_decoded_and_others_written_in_upper_case() {
        assert_eq!(normal("%66oo%2dbar%2E%7e"), "foo-bar.~");
        assert_eq!(normal("a%2fb%3a%c3%bc"), "a%2Fb%3A%C3%BC");
    }

    #[test]
    fn bytes_that_should_have_been_escaped_are_escaped() {
        assert_eq!(normal("ü|\""), "%C3%BC%7C%22");
    }

    #[test]
    fn one_escape_is_decoded_once() {
        assert_eq!(normal("%2566"), "%2566");
    }

    #[test]
    fn broken_escape_equals_nothing() {
        for text in ["%", "a%2", "%zz", "%%32F"] {
            assert!(normal(text).contains('\u{fffd}'), "{text}");
        }
    }

    #[test]
    fn normal_text_stands_for_itself() {
        let text = "/v1/a:b@c;d=e,f+g(h)!$&'*~._-";
        assert!(is_normal(text.as_bytes()));
        assert_eq!(normal(text), text);
        assert!(!is_normal(b"/v1/%66oo"));
    }
}
