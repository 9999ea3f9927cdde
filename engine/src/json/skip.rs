//! Passes over a value nobody wants. In: a cursor. Out: the cursor behind the value.
//! Always: the value is checked as strictly as one that is wanted; no recursion; no memory but one word pair.

use super::Cursor;
use crate::error::{Error, ErrorKind};
use crate::limits::DEPTH_MAX;

/// One bit a level, set for an object and clear for an array; the innermost lowest.
#[derive(Default)]
struct Levels {
    is_object: u128,
    count: u32,
}

const _: () = assert!(
    DEPTH_MAX <= u128::BITS,
    "every level needs a bit in `Levels`"
);

impl Levels {
    fn push(&mut self, is_object: bool) {
        self.is_object = self.is_object << 1 | u128::from(is_object);
        self.count += 1;
    }

    fn pop(&mut self) {
        self.is_object >>= 1;
        self.count -= 1;
    }

    fn is_in_object(&self) -> bool {
        self.is_object & 1 == 1
    }
}

impl Cursor<'_> {
    /// Takes one value of any kind, `depth` levels below the root.
    pub(crate) fn skip_value(&mut self, depth: u32) -> Result<(), Error> {
        let mut levels = Levels::default();
        loop {
            let is_open = self.skip_scalar_or_open(&mut levels, depth)?;
            if is_open {
                if !self.close_if(if levels.is_in_object() { b'}' } else { b']' }) {
                    self.skip_key(&levels)?;
                    continue;
                }
                levels.pop();
            }
            // A value has ended; go on to the next one, closing what ends with it.
            loop {
                if levels.count == 0 {
                    return Ok(());
                }
                let close = if levels.is_in_object() { b'}' } else { b']' };
                if self.comma_or(close)? {
                    break;
                }
                levels.pop();
            }
            self.skip_key(&levels)?;
        }
    }

    /// Takes a scalar (false) or the bracket that opens an object or array (true).
    fn skip_scalar_or_open(&mut self, levels: &mut Levels, depth: u32) -> Result<bool, Error> {
        match self.peek() {
            Some(b'"') => self.string()?.check()?,
            Some(b'-' | b'0'..=b'9') => _ = self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            Some(bracket @ (b'{' | b'[')) => {
                // SEMANTICS 96.
                if depth + levels.count >= DEPTH_MAX {
                    return Err(Error::body(ErrorKind::TooDeep, self.offset()));
                }
                self.take(1);
                levels.push(bracket == b'{');
                return Ok(true);
            }
            _ => return Err(self.no_value()),
        }
        Ok(false)
    }

    fn skip_key(&mut self, levels: &Levels) -> Result<(), Error> {
        if levels.is_in_object() {
            self.key()?.check()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skip(text: &[u8]) -> Result<usize, Error> {
        let mut cursor = Cursor::new(text)?;
        cursor.skip_value(0)?;
        Ok(cursor.offset())
    }

    #[test]
    fn a_value_of_any_kind_is_passed_over() {
        for text in [
            "1",
            "\"a\\n\"",
            "true",
            "false",
            "null",
            "{}",
            "[]",
            "[{}]",
            "[[],[1,{\"a\":[]}]]",
            "{\"a\":1,\"b\":{\"c\":[2]}}",
            " [ 1 , { \"a\" : null } ]",
        ] {
            assert_eq!(skip(text.as_bytes()), Ok(text.len()), "{text}");
        }
        assert_eq!(skip(b"[1],2"), Ok(3));
    }

    #[test]
    fn the_deepest_level_is_the_limit() {
        let depth = DEPTH_MAX as usize;
        let text = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(skip(text.as_bytes()), Ok(2 * depth));
        let text = "[".repeat(100_000);
        assert_eq!(
            skip(text.as_bytes()),
            Err(Error::body(ErrorKind::TooDeep, depth))
        );
        let text = "{\"a\":".repeat(depth + 1);
        assert_eq!(
            skip(text.as_bytes()),
            Err(Error::body(ErrorKind::TooDeep, 5 * depth))
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for (text, kind, offset) in [
            ("", ErrorKind::UnexpectedEnd, 0),
            ("[1,]", ErrorKind::ExpectedValue, 3),
            ("[1 2]", ErrorKind::ExpectedCommaOrClose, 3),
            ("[1}", ErrorKind::ExpectedCommaOrClose, 2),
            ("{\"a\":1]", ErrorKind::ExpectedCommaOrClose, 6),
            ("{,}", ErrorKind::ExpectedKey, 1),
            ("{\"a\":1,}", ErrorKind::ExpectedKey, 7),
            ("{a:1}", ErrorKind::ExpectedKey, 1),
            ("{'a':1}", ErrorKind::ExpectedKey, 1),
            ("{\"a\"}", ErrorKind::ExpectedColon, 4),
            ("{\"a\" 1}", ErrorKind::ExpectedColon, 5),
            ("{\"a\":}", ErrorKind::ExpectedValue, 5),
            ("{\"\\ud800\":1}", ErrorKind::LoneSurrogate, 2),
            ("[\"\\q\"]", ErrorKind::InvalidEscape, 2),
            ("[01]", ErrorKind::InvalidNumber, 1),
            ("[tru]", ErrorKind::ExpectedValue, 1),
            ("[NaN]", ErrorKind::ExpectedValue, 1),
            ("[/**/]", ErrorKind::ExpectedValue, 1),
            ("[\u{a0}1]", ErrorKind::ExpectedValue, 1),
            ("{\"a\":[", ErrorKind::UnexpectedEnd, 6),
            ("{\"a", ErrorKind::UnexpectedEnd, 3),
        ] {
            assert_eq!(
                skip(text.as_bytes()),
                Err(Error::body(kind, offset)),
                "{text}"
            );
        }
    }

    fn is_json(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text);
        cursor
            .as_mut()
            .is_ok_and(|cursor| cursor.skip_value(0).is_ok() && cursor.end().is_ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Goal: what is skipped unseen is JSON to others too, and the other way round. The alphabet makes near misses likely.
        #[test]
        fn accepts_what_serde_json_accepts(
            text in "([\\[\\]{},:]|\"a\"|\"\\\\u[dD][89cC]00\"|\"\\\\[nux/]\"|-?[01]\\.?[05]?|1e5|2E-|true|null|fals| |\u{e9}){0,12}"
        ) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // It also refuses numbers beyond a double, and stops there.
            prop_assume!(!theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")));
            prop_assert_eq!(is_json(text.as_bytes()), theirs.is_ok());
        }

        #[test]
        fn any_bytes_are_judged_like_serde_json(text in proptest::collection::vec(any::<u8>(), 0..12)) {
            let quoted = [b"\"", &text[..], b"\""].concat();
            let theirs = serde_json::from_slice::<serde_json::Value>(&quoted).is_ok();
            prop_assert_eq!(is_json(&quoted), theirs);
        }
    }
}
