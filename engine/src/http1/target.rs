//! The request target and the host it is meant for.
//! In: the target of a request line, or a Host value. Out: where authority, path and query are. Always: only origin-form and
//! absolute-form pass (SEMANTICS 46); nothing is decoded or normalised (SEMANTICS 47).

use std::ops::Range;

/// Ranges into a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TargetParts {
    /// Only in absolute-form.
    pub(super) authority: Option<Range<usize>>,
    /// Empty when an absolute-form target has none; it then stands for `/`.
    pub(super) path: Range<usize>,
    /// Without the `?`; empty at the end of the target when there is none.
    pub(super) query: Range<usize>,
}

/// Splits a target, or refuses it: `*`, authority-form, other schemes, a fragment, bytes beyond ASCII.
pub(super) fn split_target(target: &[u8]) -> Option<TargetParts> {
    // RFC 9112 section 3.2: a target is a URI without a fragment, and a URI is ASCII. Peers differ on both, so neither passes.
    if !target.is_ascii() || target.contains(&b'#') {
        return None;
    }
    let authority = match target.first()? {
        b'/' => None,
        _ => Some(find_authority(target)?),
    };
    let path_start = authority.as_ref().map_or(0, |authority| authority.end);
    let rest = target.get(path_start..)?;
    let path_len = rest
        .iter()
        .position(|&byte| byte == b'?')
        .unwrap_or(rest.len());
    let path_end = path_start + path_len;
    Some(TargetParts {
        authority,
        path: path_start..path_end,
        query: (path_end + 1).min(target.len())..target.len(),
    })
}

/// The authority of an absolute-form target, whose scheme is `http` or `https` in any case.
fn find_authority(target: &[u8]) -> Option<Range<usize>> {
    let start = [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })?
        .len();
    let rest = target.get(start..)?;
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    is_host(rest.get(..len)?).then_some(start..start + len)
}

/// Whether `text` is `uri-host [ ":" port ]` of RFC 9110 section 7.2, not empty, without user information.
pub(super) fn is_host(text: &[u8]) -> bool {
    let name_len = match text.first() {
        Some(b'[') => match text.iter().position(|&byte| byte == b']') {
            Some(close) => close + 1,
            None => return false,
        },
        _ => text
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(name_len);
    let name_is_good = match name {
        [b'[', address @ .., b']'] => {
            !address.is_empty() && address.iter().all(|&byte| is_address_byte(byte))
        }
        _ => !name.is_empty() && name.iter().all(|&byte| is_host_byte(byte)),
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_good && port_is_good
}

/// `IPv6address` and `IPvFuture`, loosely: what can stand in brackets and cannot be taken for a delimiter.
const fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'-' | b'_' | b'~')
}

/// `reg-name` of RFC 3986 without the comma, which list-minded peers would split at.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(target: &str) -> Option<(Option<&str>, &str, &str)> {
        let parts = split_target(target.as_bytes())?;
        Some((
            parts.authority.map(|range| target.get(range).unwrap()),
            target.get(parts.path)?,
            target.get(parts.query)?,
        ))
    }

    #[test]
    fn origin_form_splits_at_the_first_question_mark() {
        assert_eq!(split("/"), Some((None, "/", "")));
        assert_eq!(split("/a//b/?x=1?y"), Some((None, "/a//b/", "x=1?y")));
        assert_eq!(split("/a?"), Some((None, "/a", "")));
        assert_eq!(split("//h/a"), Some((None, "//h/a", "")));
    }

    #[test]
    fn absolute_form_gives_authority_and_path() {
        let host = Some("h.example:80");
        assert_eq!(split("http://h.example:80/a?b"), Some((host, "/a", "b")));
        assert_eq!(split("HTTPS://h.example:80?b"), Some((host, "", "b")));
        assert_eq!(split("http://h.example:80"), Some((host, "", "")));
    }

    #[test]
    fn other_forms_are_refused() {
        for target in [
            "",
            "*",
            "host:443",
            "http:///a",
            "http://",
            "http:/a",
            "ftp://h/a",
            "a/b",
            "?x",
            "http://u@h/",
            "http://h:8x/",
            "/a#b",
            "/caf\u{e9}",
        ] {
            assert_eq!(split(target), None, "{target}");
        }
    }

    #[test]
    fn odd_hosts_are_refused() {
        for host in [
            "h",
            "h.example.",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "h:",
            "a_b-c.d",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "h:123456", "h:8a", "a b", "a,b", "a/b", "u@h", "[]", "[::1", "[::1]x",
            "h:1:2", "a\tb", "\u{e9}", "a?b", "a#b", "a\\b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
