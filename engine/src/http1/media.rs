//! Whether a request body is in a form that can be read.
//! In: the headers of a request. Out: nothing, or why not. Always: the type itself is not looked at, since everything is read as JSON
//! (SEMANTICS 66); the framing is known, so the connection can live on after a refusal.

use super::list_members;
use crate::error::{Error, ErrorKind};

/// What a rule makes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// Bytes of any type (SEMANTICS 71).
    Raw,
    /// JSON, whatever its type says.
    Json,
}

/// Checks Content-Type and Content-Encoding among `headers`, which are names and values.
///
/// # Errors
/// `UnsupportedCharset` or `UnsupportedContentEncoding`.
pub(crate) fn check_media<'h>(
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    form: BodyForm,
) -> Result<(), Error> {
    for (name, value) in headers {
        if name.eq_ignore_ascii_case(b"content-type") && form != BodyForm::Raw {
            check_charset(value)?;
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            check_content_encoding(value)?;
        }
    }
    Ok(())
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

/// SEMANTICS 76: a coding that is not undone is 415.
fn check_content_encoding(value: &[u8]) -> Result<(), Error> {
    if list_members(value).all(|coding| coding.eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(Error::request(ErrorKind::UnsupportedContentEncoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), ErrorKind> {
        check_media([(name.as_bytes(), value.as_bytes())], BodyForm::Json)
            .map_err(|error| error.kind)
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
    fn bytes_may_have_any_type_and_no_coding() {
        let check =
            |name: &'static [u8], value: &'static [u8]| check_media([(name, value)], BodyForm::Raw);
        assert_eq!(check(b"content-type", b"a; charset=latin1"), Ok(()));
        assert!(check(b"content-encoding", b"gzip").is_err());
    }

    #[test]
    fn content_codings_are_refused() {
        assert_eq!(check("content-encoding", "identity, Identity"), Ok(()));
        for value in ["gzip", "identity, br", "x"] {
            let refused = Err(ErrorKind::UnsupportedContentEncoding);
            assert_eq!(check("Content-Encoding", value), refused, "{value}");
        }
    }
}
