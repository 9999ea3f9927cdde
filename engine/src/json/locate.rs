//! Where in a JSON text a byte is, in words: the cold second look at a text that has been refused.
//! In: the text and an offset. Out: the steps from the root to that byte, and what stands there.
//! Always: bounded by the offset and by the limit on depth; the text may be anything.

use super::number::Number;
use super::{Cursor, JsonString};
use crate::limits::DEPTH_MAX;

/// One step down from a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the member of an object; the key with its escapes decoded.
    Key(Vec<u8>),
    /// To the element of an array, from 0.
    Index(usize),
}

/// What stands at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'j> {
    /// `{`
    Object,
    /// `[`
    Array,
    /// The inside of a string, or of the rest of one that does not end.
    String(&'j [u8]),
    /// The text of a number.
    Number(&'j [u8]),
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// Anything else: its bytes up to the next that could follow it.
    Other(&'j [u8]),
    /// The end of the text.
    End,
}

/// An object or array that is open at the place the walk has come to.
enum Level {
    /// Offset of the quote that opens the key of the member that is being read; none until the key comes.
    Object(Option<usize>),
    /// The index of the element that is being read.
    Array(usize),
}

/// The steps from the root of `text` to the byte at `offset`. A key that starts there is the last step.
#[cold]
pub(crate) fn steps_to(text: &[u8], offset: usize) -> Vec<Step> {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while at <= offset
        && let Some(&byte) = text.get(at)
    {
        if byte == b'"' {
            if let Some(Level::Object(key @ None)) = levels.last_mut() {
                *key = Some(at);
            }
            at = inside_of_string(text, at).1 + 1;
            continue;
        }
        // The byte at the offset itself is not stepped into: it is a bracket of the value that is at fault.
        if at < offset {
            step(&mut levels, byte);
        }
        at += 1;
    }
    let steps = levels.into_iter().filter_map(|level| match level {
        Level::Object(key) => key.map(|open| Step::Key(key_at(text, open))),
        Level::Array(index) => Some(Step::Index(index)),
    });
    steps.collect()
}

fn step(levels: &mut Vec<Level>, byte: u8) {
    // What has been read so far is within the limit, or the walk would have ended.
    let has_room = levels.len() <= DEPTH_MAX as usize;
    match byte {
        b'{' if has_room => levels.push(Level::Object(None)),
        b'[' if has_room => levels.push(Level::Array(0)),
        b'}' | b']' => _ = levels.pop(),
        b',' => match levels.last_mut() {
            Some(Level::Object(key)) => *key = None,
            Some(Level::Array(index)) => *index += 1,
            None => {}
        },
        _ => {}
    }
}

/// What stands at `offset`.
#[cold]
pub(crate) fn found_at(text: &[u8], offset: usize) -> Found<'_> {
    let rest = text.get(offset..).unwrap_or_default();
    match rest.first() {
        None => Found::End,
        Some(b'{') => Found::Object,
        Some(b'[') => Found::Array,
        Some(b'"') => Found::String(inside_of_string(text, offset).0),
        _ if let Some(number) = Number::read(rest) => Found::Number(number.text()),
        _ => {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
            let word_len = rest
                .iter()
                .position(|&byte| !is_word(byte))
                .unwrap_or(rest.len());
            match rest.get(..word_len).unwrap_or_default() {
                b"true" | b"false" => Found::Bool,
                b"null" => Found::Null,
                b"" => Found::Other(rest.get(..1).unwrap_or_default()),
                word => Found::Other(word),
            }
        }
    }
}

/// The inside of the string whose opening quote is at `open`, and the offset of its closing quote or of the end of the text.
fn inside_of_string(text: &[u8], open: usize) -> (&[u8], usize) {
    let mut end = open + 1;
    while let Some(&byte) = text.get(end)
        && byte != b'"'
    {
        end += if byte == b'\\' { 2 } else { 1 };
    }
    let end = end.min(text.len());
    (text.get(open + 1..end).unwrap_or_default(), end)
}

/// What the key whose opening quote is at `open` says, or its raw bytes if it is broken.
fn key_at(text: &[u8], open: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let (raw, end) = inside_of_string(text, open);
    // Nothing behind the key is looked at, which is one of many.
    let decoded = Cursor::new(text.get(..=end).unwrap_or(text))
        .and_then(|mut cursor| JsonString::read(&mut cursor, open + 1))
        .and_then(|string| string.decode(&mut key));
    if decoded.is_err() {
        key.clear();
        key.extend_from_slice(raw);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn steps_lead_from_the_root_to_the_byte() {
        let text = br#"{"a":{"b,}":[1,[2,{"c\n":3}]]},"d":4}"#;
        let at = |needle: &str| {
            text.windows(needle.len())
                .position(|window| window == needle.as_bytes())
                .unwrap()
        };
        assert_eq!(steps_to(text, 0), []);
        assert_eq!(steps_to(text, at("\"a\"")), [key("a")]);
        assert_eq!(steps_to(text, at("{\"b")), [key("a")]);
        assert_eq!(steps_to(text, at("[1")), [key("a"), key("b,}")]);
        assert_eq!(
            steps_to(text, at("1,[")),
            [key("a"), key("b,}"), Step::Index(0)]
        );
        assert_eq!(
            steps_to(text, at("3}")),
            [
                key("a"),
                key("b,}"),
                Step::Index(1),
                Step::Index(1),
                key("c\n")
            ]
        );
        assert_eq!(steps_to(text, at("4}")), [key("d")]);
    }

    #[test]
    fn steps_end_in_the_middle_of_a_broken_text() {
        assert_eq!(steps_to(b"{\"a\":\"b\\", 8), [key("a")]);
        assert_eq!(steps_to(b"{\"a", 3), [key("a")]);
        assert_eq!(steps_to(b"]]}[", 4), [Step::Index(0)]);
        assert_eq!(
            steps_to("[".repeat(10_000).as_bytes(), 9_999).len(),
            DEPTH_MAX as usize + 1
        );
    }

    #[test]
    fn what_stands_at_a_byte_is_named() {
        for (text, found) in [
            ("{}", Found::Object),
            ("[1]", Found::Array),
            ("\"a\\\"b\",", Found::String(b"a\\\"b")),
            ("\"a", Found::String(b"a")),
            ("-1.5e3,", Found::Number(b"-1.5e3")),
            ("01", Found::Other(b"01")),
            ("true,", Found::Bool),
            ("null", Found::Null),
            ("NaN}", Found::Other(b"NaN")),
            ("}", Found::Other(b"}")),
            ("", Found::End),
        ] {
            assert_eq!(found_at(text.as_bytes(), 0), found, "{text}");
        }
    }
}
