//! Whether a request body is in a form that can be read.
//! In: the headers of a request. Out: nothing, or why not. Always: the type itself is not looked at, since everything is read as JSON
//! (SEMANTICS 66); the framing is known, so the connection can live on after a refusal.

use crate::coding::{self, Coding};
use crate::error::{Error, ErrorKind};

/// Checks Content-Type and Content-Encoding among `headers`, which are names and values, and tells the coding that has to be undone.
///
/// # Errors
/// `UnsupportedCharset` or `UnsupportedContentEncoding`.
pub(crate) fn check_media<'h>(
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<Option<Coding>, Error> {
    let mut coding = None;
    for (name, value) in headers {
        if name.eq_ignore_ascii_case(b"content-type") {
            check_charset(value)?;
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            // SEMANTICS 76: a coding that is not undone is 415, and so are several.
            let another = coding::of_content(value)?;
            if coding.is_some() && another.is_some() {
                return Err(Error::request(ErrorKind::UnsupportedContentEncoding));
            }
            coding = coding.or(another);
        }
    }
    Ok(coding)
}

/// SEMANTICS 67: a charset other than UTF-8 is 415.
fn check_charset(content_type: &[u8]) -> Result<(), Error> {
    // A `;` inside of quotes splits a parameter in two; what is left of it is no charset that could be mistaken for one of ours.
    for parameter in content_type.split(|&byte| byte == b';').skip(1) {
        let Some(equals) = parameter.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (name, value) = parameter.split_at(equals);
        if !name.trim_ascii().eq_ignore_ascii_case(b"charset") {
            continue;
        }
        let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(value);
        if !value.eq_ignore_ascii_case(b"utf-8") && !value.eq_ignore_ascii_case(b"utf8") {
            return Err(Error::request(ErrorKind::UnsupportedCharset));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), ErrorKind> {
        let checked = check_media([(name.as_bytes(), value.as_bytes())]);
        checked.map(drop).map_err(|error| error.kind)
    }

    #[test]
    fn any_type_in_utf_8_is_read() {
        for value in [
            "",
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "text/plain; Charset = utf8 ; x=y",
            "application/x-www-form-urlencoded",
            "application/json; profile=\"a;b\"",
        ] {
            assert_eq!(check("Content-Type", value), Ok(()), "{value}");
        }
    }

    #[test]
    fn other_charsets_are_refused() {
        for value in [
            "application/json; charset=latin1",
            "application/json; x=y;CHARSET=\"utf-16\"",
            "application/json; charset=",
            "application/json; charset=utf-8; charset=utf-7",
        ] {
            assert_eq!(
                check("content-type", value),
                Err(ErrorKind::UnsupportedCharset),
                "{value}"
            );
        }
    }

    #[test]
    fn unknown_content_codings_are_refused() {
        assert_eq!(check("content-encoding", "identity, Identity"), Ok(()));
        for value in ["compress", "gzip, br", "x"] {
            let refused = Err(ErrorKind::UnsupportedContentEncoding);
            assert_eq!(check("Content-Encoding", value), refused, "{value}");
        }
        let twice = [(&b"content-encoding"[..], &b"gzip"[..]); 2];
        assert!(check_media(twice).is_err() && check_media([twice[0]]).is_ok());
    }
}
