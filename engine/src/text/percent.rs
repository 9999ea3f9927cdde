//! Percent-escapes of paths and queries. In: raw bytes of the request target. Out: decoded bytes, appended.
//! Always: decoded once, never twice; the result may be any bytes, UTF-8 or not.

use super::hex;

/// Which escapes are decoded, and what a plus means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One path segment: every escape is decoded (SEMANTICS 15), a plus is a plus (SEMANTICS 16).
    Segment,
    /// Several path segments: every escape but that of the slash, which stays as it was sent (SEMANTICS 18 to 20).
    Segments,
    /// A key or a value of a query: every escape is decoded, a plus is a space (SEMANTICS 49).
    Query,
}

/// `text` decoded: itself where nothing in it is escaped, otherwise in `buffer`, whose content is replaced. Errors as [`decode`].
pub(crate) fn decode_if_escaped<'t>(
    text: &'t [u8],
    scope: Scope,
    buffer: &'t mut Vec<u8>,
) -> Result<&'t [u8], usize> {
    if next_special(text, scope).is_none() {
        return Ok(text);
    }
    buffer.clear();
    decode(text, scope, buffer)?;
    Ok(buffer)
}

/// Appends `text` decoded. On a `%` without two hexadecimal digits behind it (SEMANTICS 27, 60): `Err` with its offset in `text`, and
/// `out` is as before.
pub(crate) fn decode(text: &[u8], scope: Scope, out: &mut Vec<u8>) -> Result<(), usize> {
    let entry_len = out.len();
    let mut rest = text;
    while let Some(at) = next_special(rest, scope) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match *from {
            [b'+', ref after @ ..] => {
                out.push(b' ');
                after
            }
            [b'%', high, low, ref after @ ..] if let Some(byte) = hex::byte(high, low) => {
                if byte == b'/' && scope == Scope::Segments {
                    out.extend_from_slice(&[b'%', high, low]);
                } else {
                    out.push(byte);
                }
                after
            }
            _ => {
                out.truncate(entry_len);
                return Err(text.len() - from.len());
            }
        };
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Key and value of a query parameter, both still escaped. A key without `=` has an empty value (SEMANTICS 59).
pub(crate) fn split_parameter(parameter: &[u8]) -> (&[u8], &[u8]) {
    match parameter.iter().position(|&byte| byte == b'=') {
        Some(at) => {
            let (key, rest) = parameter.split_at(at);
            (key, rest.split_first().map_or(rest, |(_, value)| value))
        }
        None => (parameter, &[]),
    }
}

fn next_special(text: &[u8], scope: Scope) -> Option<usize> {
    text.iter()
        .position(|&byte| byte == b'%' || (byte == b'+' && scope == Scope::Query))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str, scope: Scope) -> Result<Vec<u8>, usize> {
        let mut out = b"before".to_vec();
        let result = decode(text.as_bytes(), scope, &mut out);
        let bytes = out.strip_prefix(b"before").unwrap().to_vec();
        assert!(result.is_ok() || bytes.is_empty());
        let result = result.map(|()| bytes);
        let mut buffer = b"of another text".to_vec();
        let borrowed = decode_if_escaped(text.as_bytes(), scope, &mut buffer);
        assert_eq!(borrowed.map(<[u8]>::to_vec), result);
        result
    }

    #[test]
    fn each_scope_decodes_its_own_escapes() {
        for (text, scope, expected) in [
            ("a%2Fb", Scope::Segment, &b"a/b"[..]),
            ("a%20b+c", Scope::Segment, b"a b+c"),
            ("a%3Ab%40%26", Scope::Segment, b"a:b@&"),
            ("a/x%2Fy/b/z%20w", Scope::Segments, b"a/x%2Fy/b/z w"),
            ("a%2Fb/c%3Ad%20e", Scope::Segments, b"a%2Fb/c:d e"),
            ("a%2fb", Scope::Segments, b"a%2fb"),
            ("a+b%2Bc%20d", Scope::Query, b"a b+c d"),
            ("%2F", Scope::Query, b"/"),
            ("%00%ff", Scope::Segment, b"\0\xff"),
            ("%2541", Scope::Segment, b"%41"),
            ("", Scope::Query, b""),
        ] {
            assert_eq!(decoded(text, scope).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_broken_escape_is_refused_at_its_offset() {
        for (text, offset) in [
            ("%", 0),
            ("a%2", 1),
            ("a%zz", 1),
            ("%41%4", 3),
            ("%%41", 0),
            ("a%+1", 1),
        ] {
            for scope in [Scope::Segment, Scope::Segments, Scope::Query] {
                assert_eq!(decoded(text, scope), Err(offset), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn escaped_bytes_decode_to_themselves(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = bytes.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
            prop_assert_eq!(decoded(&text, Scope::Query), Ok(bytes.clone()));
            prop_assert_eq!(decoded(&text, Scope::Segment), Ok(bytes));
        }
    }
}
