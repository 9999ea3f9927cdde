//! Paths of field masks. In: one path, in lowerCamelCase as JSON has it or in `snake_case` as protobuf has it. Out: the other form.
//! Always: a path is names of letters, digits and underscores with dots between; a path that would not come back the same is refused.

/// Appends the `snake_case` form of one lowerCamelCase path (SEMANTICS 91: an underscore is refused). Otherwise false, and `out` is as before.
pub(crate) fn path_to_snake(path: &[u8], out: &mut Vec<u8>) -> bool {
    if path.contains(&b'_') || !is_path(path) {
        return false;
    }
    for &byte in path {
        if byte.is_ascii_uppercase() {
            out.push(b'_');
        }
        out.push(byte.to_ascii_lowercase());
    }
    true
}

/// Appends the lowerCamelCase form of one `snake_case` path. False, and `out` is as before, when the path would not come back the same:
/// it has a capital, or an underscore that no small letter follows (SEMANTICS 102).
pub(crate) fn path_to_camel(path: &[u8], out: &mut Vec<u8>) -> bool {
    let entry_len = out.len();
    let mut is_after_underscore = false;
    for &byte in path {
        if byte.is_ascii_uppercase() || (is_after_underscore && !byte.is_ascii_lowercase()) {
            out.truncate(entry_len);
            return false;
        }
        if byte != b'_' {
            out.push(if is_after_underscore {
                byte.to_ascii_uppercase()
            } else {
                byte
            });
        }
        is_after_underscore = byte == b'_';
    }
    if is_after_underscore || !is_path(path) {
        out.truncate(entry_len);
        return false;
    }
    true
}

/// Whether `path` is one or more names with dots between.
pub(crate) fn is_path(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'.').all(|name| {
        name.first().is_some_and(|first| !first.is_ascii_digit())
            && name
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(convert: fn(&[u8], &mut Vec<u8>) -> bool, path: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        let accepted = convert(path.as_bytes(), &mut out);
        let text = String::from_utf8(out.strip_prefix(b"before").unwrap().to_vec()).unwrap();
        assert!(accepted || text.is_empty());
        accepted.then_some(text)
    }

    #[test]
    fn paths_convert_both_ways() {
        for (camel, snake) in [
            ("a", "a"),
            ("fooBar", "foo_bar"),
            ("foo.barBaz.q", "foo.bar_baz.q"),
            ("a1B2", "a1_b2"),
            ("fooBAR", "foo_b_a_r"),
            ("Foo", "_foo"),
            ("a.B", "a._b"),
        ] {
            assert_eq!(
                converted(path_to_snake, camel).as_deref(),
                Some(snake),
                "{camel}"
            );
            assert_eq!(
                converted(path_to_camel, snake).as_deref(),
                Some(camel),
                "{snake}"
            );
        }
    }

    #[test]
    fn underscores_are_refused_in_camel_case() {
        for path in ["foo_bar", "_a", "a_", ""] {
            assert_eq!(converted(path_to_snake, path), None, "{path}");
        }
    }

    #[test]
    fn paths_that_do_not_come_back_are_refused() {
        for path in [
            "fooBar",
            "foo_3_bar",
            "foo__bar",
            "foo_",
            "foo_.bar",
            "foo_Bar",
            "",
        ] {
            assert_eq!(converted(path_to_camel, path), None, "{path}");
        }
    }

    #[test]
    fn text_that_is_no_path_is_refused() {
        for path in [
            ".", ".a", "a.", "a..b", "1a", "a b", "a,b", "a-b", "\u{e9}", "a.1",
        ] {
            assert_eq!(converted(path_to_snake, path), None, "{path}");
            assert_eq!(converted(path_to_camel, path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_comes_back(path in "[a-zA-Z0-9_.]{0,12}") {
            if let Some(snake) = converted(path_to_snake, &path) {
                prop_assert_eq!(converted(path_to_camel, &snake), Some(path.clone()));
            }
            if let Some(camel) = converted(path_to_camel, &path) {
                prop_assert_eq!(converted(path_to_snake, &camel), Some(path));
            }
        }
    }
}
