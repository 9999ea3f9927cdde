//! Whether a request body is in a form that can be read.
//! In: the headers of a request. Out: nothing, or why not. Always: the type itself is looked at only where an option says so, since
//! everything is read as JSON (SEMANTICS 66); the framing is known, so the connection can live on after a refusal.

use super::is_named;
use crate::coding::{self, Coding};
use crate::error::{Error, ErrorKind};

/// What a rule makes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// Bytes of any type (SEMANTICS 71).
    Raw,
    /// JSON, whatever its type says.
    Json,
    /// JSON that says so, or says nothing of its type, and a form that says so if forms are read.
    Stated { reads_forms: bool },
}

/// Checks Content-Type and Content-Encoding among `headers`, which are names and values, and tells the coding that has to be undone.
///
/// # Errors
/// `UnsupportedCharset`, `UnsupportedContentEncoding` or `UnsupportedContentType`.
pub(crate) fn check_media<'h>(
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    form: BodyForm,
) -> Result<Option<Coding>, Error> {
    let mut coding = None;
    for (name, value) in headers {
        if is_named(name, b"content-type") && form != BodyForm::Raw {
            check_charset(value)?;
            if let BodyForm::Stated { reads_forms } = form {
                check_type(value, reads_forms)?;
            }
        } else if is_named(name, b"content-encoding") {
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

/// SEMANTICS 66.
fn check_type(content_type: &[u8], reads_forms: bool) -> Result<(), Error> {
    if is_json(content_type) || (reads_forms && is_form(content_type)) {
        return Ok(());
    }
    Err(Error::request(ErrorKind::UnsupportedContentType))
}

/// Whether a type is `application/json` or `application/NAME+json`.
fn is_json(content_type: &[u8]) -> bool {
    let parts = essence(content_type).split_at_checked(b"application/".len());
    let Some((kind, subtype)) = parts else {
        return false;
    };
    let suffix_at = subtype.len().saturating_sub(b"+json".len());
    let (name, suffix) = subtype.split_at(suffix_at);
    kind.eq_ignore_ascii_case(b"application/")
        && (subtype.eq_ignore_ascii_case(b"json")
            || (!name.is_empty() && suffix.eq_ignore_ascii_case(b"+json")))
}

/// Whether a type is that of a form.
pub(crate) fn is_form(content_type: &[u8]) -> bool {
    essence(content_type).eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// A type without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> &[u8] {
    let mut parts = content_type.split(|&byte| byte == b';');
    parts.next().unwrap_or_default().trim_ascii()
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
        let checked = check_media([(name.as_bytes(), value.as_bytes())], BodyForm::Json);
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
    fn where_types_count_json_has_to_say_so() {
        let check = |value: &'static str, reads_forms| {
            let headers = [(&b"content-type"[..], value.as_bytes())];
            let checked = check_media(headers, BodyForm::Stated { reads_forms });
            checked.map(drop).map_err(|error| error.kind)
        };
        for value in [
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/problem+json",
            "application/vnd.a.b+JSON;x=y",
        ] {
            assert_eq!(check(value, false), Ok(()), "{value}");
        }
        for value in [
            "",
            "json",
            "text/json",
            "text/plain",
            "application/",
            "application/+json",
            "application/jsonx",
            "application/x+jso",
            "application/json, text/plain",
            "application/x-www-form-urlencoded",
        ] {
            let refused = Err(ErrorKind::UnsupportedContentType);
            assert_eq!(check(value, false), refused, "{value}");
        }
        assert_eq!(check("application/X-www-form-urlencoded;a", true), Ok(()));
        assert_eq!(
            check("application/json; charset=x", true),
            Err(ErrorKind::UnsupportedCharset)
        );
        // No type at all is no other type.
        let form = BodyForm::Stated { reads_forms: false };
        assert_eq!(check_media([], form), Ok(None));
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
    fn bytes_may_have_any_type_and_no_unknown_coding() {
        let check =
            |name: &'static [u8], value: &'static [u8]| check_media([(name, value)], BodyForm::Raw);
        assert_eq!(check(b"content-type", b"a; charset=latin1"), Ok(None));
        assert!(check(b"content-encoding", b"compress").is_err());
    }

    #[test]
    fn unknown_content_codings_are_refused() {
        assert_eq!(check("content-encoding", "identity, Identity"), Ok(()));
        for value in ["compress", "gzip, br", "x"] {
            let refused = Err(ErrorKind::UnsupportedContentEncoding);
            assert_eq!(check("Content-Encoding", value), refused, "{value}");
        }
        let twice = [(&b"content-encoding"[..], &b"gzip"[..]); 2];
        let check = |headers: &[(&'static [u8], &'static [u8])]| {
            check_media(headers.iter().copied(), BodyForm::Json)
        };
        assert!(check(&twice).is_err() && check(&twice[..1]).is_ok());
    }
}
