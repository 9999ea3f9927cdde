//! A place in a JSON text that moves forward. In: the text. Out: its tokens, one by one, as the caller expects them.
//! Always: never past the end; an error names the byte it was seen at.

use super::JsonString;
use super::number::Number;
use crate::error::{Error, ErrorKind, Expected};
use crate::simd::{self, Block, Padded};
use crate::text::utf8;

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'j> {
    padded: Padded<'j>,
    /// Bytes already read. `at <= text.len()`.
    at: usize,
    /// The text is known to be UTF-8 from some string's start up to here, or to go on with something else.
    utf8_to: usize,
}

impl<'j> Cursor<'j> {
    /// A cursor at the start of `text`.
    pub(crate) fn new(text: &'j [u8]) -> Result<Self, Error> {
        // SEMANTICS 67: RFC 8259 8.1 lets a parser ignore a byte order mark or refuse it; peers refuse it.
        if text.starts_with(b"\xef\xbb\xbf") {
            return Err(Error::body(ErrorKind::ByteOrderMark, 0));
        }
        Ok(Self::inside(text))
    }

    /// A cursor inside of a longer text, of which `text` begins where a token may start.
    pub(crate) fn inside(text: &'j [u8]) -> Self {
        Self {
            padded: Padded::new(text),
            at: 0,
            utf8_to: 0,
        }
    }

    /// All of the text.
    #[inline]
    pub(super) fn text(&self) -> &'j [u8] {
        self.padded.text()
    }

    /// Bytes already read.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Whether all has been read, and the last of it was a digit.
    #[inline]
    pub(crate) fn is_behind_last_digit(&self) -> bool {
        let text = self.text();
        self.at == text.len() && text.last().is_some_and(u8::is_ascii_digit)
    }

    /// The same text at another place, where a token is known to start.
    #[inline]
    pub(crate) fn moved_to(self, offset: usize) -> Self {
        debug_assert!(offset <= self.text().len());
        Self { at: offset, ..self }
    }

    /// The block at an offset of the text, with zeros behind the end.
    #[inline(always)]
    pub(crate) fn block(&self, offset: usize) -> &Block {
        self.padded.block(offset)
    }

    /// Goes on to an offset behind a token that has been seen in the block here.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, offset: usize) {
        debug_assert!(self.at <= offset && offset <= self.text().len());
        self.at = offset;
    }

    /// Goes back to an offset where it has stood before.
    #[inline]
    pub(crate) fn back_to(&mut self, offset: usize) {
        debug_assert!(offset <= self.at);
        self.at = offset;
    }

    /// The byte at an offset of the text, or zero behind it.
    #[inline(always)]
    pub(crate) fn byte_at(&self, offset: usize) -> u8 {
        self.text().get(offset).copied().unwrap_or_default()
    }

    /// Whether the inside of a string is UTF-8 (SEMANTICS 82).
    ///
    /// The first that is not ASCII has all of the text behind it looked at, since one look at much costs less than many at little.
    #[inline]
    pub(crate) fn is_utf8(&mut self, start: usize, end: usize) -> bool {
        if self.utf8_to == 0 {
            self.utf8_to = start + utf8::valid_len(self.text().get(start..).unwrap_or_default());
        }
        end <= self.utf8_to
    }

    /// The bytes that are still to be read.
    #[inline]
    pub(super) fn rest(&self) -> &'j [u8] {
        self.text().get(self.at..).unwrap_or_default()
    }

    /// Takes `count` bytes that [`Self::rest`] has shown to be there.
    #[inline]
    pub(super) fn take(&mut self, count: usize) {
        debug_assert!(count <= self.text().len() - self.at);
        self.at += count;
    }

    /// Skips white space and looks at the byte after it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.at = self.skip_space(self.at);
        self.text().get(self.at).copied()
    }

    /// The offset behind the white space at an offset.
    #[inline(always)]
    pub(crate) fn skip_space(&self, offset: usize) -> usize {
        // Compact text has none: one comparison, since no token starts with a byte this low.
        match self.text().get(offset) {
            Some(byte) if *byte <= b' ' => self.skip_some_space(offset),
            _ => offset,
        }
    }

    /// Not where it is called: compact text took up to 13 % more instructions then.
    #[inline(never)]
    fn skip_some_space(&self, offset: usize) -> usize {
        // One space behind a colon or comma is by far the most frequent. More is looked for elsewhere, so that this one needs no stack.
        match self.text().get(offset..) {
            Some([b' ', after, ..]) if *after > b' ' => offset.wrapping_add(1),
            _ => self.skip_much_space(offset),
        }
    }

    #[inline(never)]
    fn skip_much_space(&self, offset: usize) -> usize {
        offset + simd::space_len(self.text().get(offset..).unwrap_or_default())
    }

    /// Takes `token` if it comes next, byte for byte.
    #[inline]
    pub(crate) fn take_if(&mut self, token: &[u8]) -> bool {
        let is_next = starts_with(self.rest(), token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    /// Takes `null`, `true` or `false`.
    #[inline]
    pub(crate) fn literal(&mut self, word: &[u8]) -> Result<(), Error> {
        self.peek();
        if self.take_if(word) {
            return Ok(());
        }
        Err(self.no_value())
    }

    /// Takes the bracket that opens an object or an array.
    #[inline]
    pub(crate) fn open(&mut self, bracket: u8, expected: Expected) -> Result<(), Error> {
        if self.peek() == Some(bracket) {
            self.at += 1;
            return Ok(());
        }
        Err(self.mismatch(expected))
    }

    /// Takes `bracket` if it comes next: the object or array is empty.
    #[inline]
    pub(crate) fn close_if(&mut self, bracket: u8) -> bool {
        let is_next = self.peek() == Some(bracket);
        self.at += usize::from(is_next);
        is_next
    }

    /// After a member or element: true when a comma says that another one follows, false when `bracket` closed the whole.
    #[inline]
    pub(crate) fn comma_or(&mut self, bracket: u8) -> Result<bool, Error> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == bracket => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(ErrorKind::ExpectedCommaOrClose)),
        }
    }

    /// Takes the key of a member and its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<JsonString<'j>, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(ErrorKind::ExpectedKey));
        }
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    /// Takes the colon behind a key.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), Error> {
        if self.peek() != Some(b':') {
            return Err(self.unexpected(ErrorKind::ExpectedColon));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a string whose opening quote has been seen.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<JsonString<'j>, Error> {
        let string = JsonString::read(self, self.at + 1)?;
        self.at = string.end() + 1;
        Ok(string)
    }

    /// Takes a number whose first byte has been seen.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'j>, Error> {
        let Some(number) = Number::read(self.rest()) else {
            return Err(Error::body(ErrorKind::InvalidNumber, self.at));
        };
        self.at += number.text().len();
        Ok(number)
    }

    /// Takes a number that comes next, bare or in quotes. None for whatever else comes, and for a string with an escape.
    #[inline(always)]
    pub(crate) fn number_or_quoted(&mut self) -> Option<Number<'j>> {
        let is_quoted = self.text().get(self.at) == Some(&b'"');
        let start = self.at + usize::from(is_quoted);
        let number = Number::read(self.text().get(start..)?)?;
        let end = start + number.text().len();
        if is_quoted && self.text().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + usize::from(is_quoted);
        Some(number)
    }

    /// Refuses what follows the value at the root (SEMANTICS 68).
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Error::body(ErrorKind::TrailingData, self.at)),
        }
    }

    /// What to say when the value that comes next is not the one the field wants: it may be none at all.
    #[cold]
    pub(crate) fn mismatch(&mut self, expected: Expected) -> Error {
        self.peek();
        let rest = self.rest();
        let is_value = match rest.first() {
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9') => true,
            Some(b't') => rest.starts_with(b"true"),
            Some(b'f') => rest.starts_with(b"false"),
            Some(b'n') => rest.starts_with(b"null"),
            _ => false,
        };
        if is_value {
            Error::body(ErrorKind::Expected(expected), self.at)
        } else {
            self.no_value()
        }
    }

    /// What to say when no value comes next.
    #[cold]
    pub(super) fn no_value(&mut self) -> Error {
        self.unexpected(ErrorKind::ExpectedValue)
    }

    /// `kind` at the next byte, unless there is none.
    #[cold]
    fn unexpected(&mut self, kind: ErrorKind) -> Error {
        match self.peek() {
            Some(_) => Error::body(kind, self.at),
            None => Error::body(ErrorKind::UnexpectedEnd, self.at),
        }
    }
}

/// Whether `text` starts with `token`. Tokens are short: the first and the last bytes of most, which may overlap, are all of them.
#[inline]
fn starts_with(text: &[u8], token: &[u8]) -> bool {
    let Some(head) = text.get(..token.len()) else {
        return false;
    };
    match token.len() {
        4..=8 => ends_agree::<4>(head, token),
        9..=16 => ends_agree::<8>(head, token),
        _ => head == token,
    }
}

/// Whether the first `N` bytes are the same and the last `N` too.
#[inline]
fn ends_agree<const N: usize>(left: &[u8], right: &[u8]) -> bool {
    left.first_chunk::<N>() == right.first_chunk() && left.last_chunk::<N>() == right.last_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_length_is_told_from_one_that_differs_anywhere() {
        let text = b"abcdefghijklmnopqrstuvwxyz";
        for len in 0..text.len() {
            let (token, _) = text.split_at(len);
            assert!(starts_with(text, token));
            assert!(starts_with(token, token));
            for at in 0..len {
                let mut other = token.to_vec();
                if let Some(byte) = other.get_mut(at) {
                    *byte = b'_';
                }
                assert!(!starts_with(text, &other), "{at} of {len}");
                assert!(!starts_with(token.split_at(at).0, token), "{at} of {len}");
            }
        }
    }
}
