//! Strings of JSON. In: the text after an opening quote. Out: the raw bytes up to the closing one, and what their escapes stand for.
//! Always: no raw control character and only UTF-8 (SEMANTICS 82); escapes are checked where they are decoded or skipped.

use super::Cursor;
use crate::error::{Error, ErrorKind};
use crate::room::append;
use crate::simd;

/// The inside of a string, as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonString<'j> {
    raw: &'j [u8],
    /// Offset of `raw` in the text.
    start: usize,
    has_escapes: bool,
}

impl<'j> JsonString<'j> {
    /// Reads on from `start`, which is behind the opening quote.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'j>, start: usize) -> Result<Self, Error> {
        let json = cursor.text();
        let mut end = start;
        let mut has_escapes = false;
        let mut has_high_bit = false;
        loop {
            let clean = simd::clean_len(json.get(end..).unwrap_or_default());
            end += clean.len;
            has_high_bit |= clean.has_high_bit;
            match json.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    // The byte after it cannot end the string; whether it is an escape is seen when it is decoded.
                    has_escapes = true;
                    end += 2;
                }
                Some(_) => return Err(Error::body(ErrorKind::ControlCharacter, end)),
                None => return Err(Error::body(ErrorKind::UnexpectedEnd, json.len())),
            }
        }
        let raw = json.get(start..end).unwrap_or_default();
        if has_high_bit && !cursor.is_utf8(start, end) {
            return Err(invalid_utf8(raw, start));
        }
        Ok(Self {
            raw,
            start,
            has_escapes,
        })
    }

    /// Offset of the closing quote.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.start + self.raw.len()
    }

    /// Offset of the opening quote.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.start - 1
    }

    /// An error about the string as a whole.
    #[cold]
    pub(crate) fn refuse(&self, kind: ErrorKind) -> Error {
        Error::body(kind, self.offset())
    }

    /// What the string says, if that is what stands in the text.
    #[inline]
    pub(crate) fn plain(&self) -> Option<&'j [u8]> {
        (!self.has_escapes).then_some(self.raw)
    }

    /// What the string says; `buffer` holds it if it has to be decoded.
    #[inline]
    pub(crate) fn decoded<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Error>
    where
        'j: 'a,
    {
        if !self.has_escapes {
            return Ok(self.raw);
        }
        buffer.clear();
        self.decode(buffer)?;
        Ok(buffer)
    }

    /// Appends what the string says, which is never longer than its raw bytes.
    pub(crate) fn decode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.parts(|clean, decoded| {
            out.extend_from_slice(clean);
            if let Some(decoded) = decoded {
                out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
            }
        })
    }

    /// Checks the escapes of a string that nobody wants.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.has_escapes {
            self.parts(|_, _| ())?;
        }
        Ok(())
    }

    /// Walks the string: bytes that stand for themselves, then what the escape behind them stands for.
    fn parts(&self, mut each: impl FnMut(&[u8], Option<char>)) -> Result<(), Error> {
        let mut rest = self.raw;
        loop {
            // A quote or control character stands nowhere but behind the backslash that is found here first.
            let (clean, escape) = rest.split_at(simd::clean_len(rest).len);
            if escape.is_empty() {
                each(clean, None);
                return Ok(());
            }
            let (decoded, len) =
                read_escape(escape).map_err(|kind| Error::body(kind, self.end() - escape.len()))?;
            each(clean, Some(decoded));
            rest = escape.get(len..).unwrap_or_default();
        }
    }
}

impl Cursor<'_> {
    /// Takes a string whose opening quote has been seen, and appends what it says.
    pub(crate) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let end = self.copy_string(self.offset(), out)?;
        self.move_to(end);
        Ok(())
    }

    /// Appends what the string says whose opening quote is at an offset, and tells where it ends. It is copied while it is looked at.
    pub(crate) fn copy_string(&mut self, open: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let start = open + 1;
        let mut at = start;
        let mut has_high_bit = false;
        loop {
            let clean = simd::copy_clean(self.text().get(at..).unwrap_or_default(), out);
            at += clean.len;
            has_high_bit |= clean.has_high_bit;
            match self.text().get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += self.escape_into(at, out)?,
                Some(_) => return Err(Error::body(ErrorKind::ControlCharacter, at)),
                None => return Err(Error::body(ErrorKind::UnexpectedEnd, at)),
            }
        }
        if has_high_bit && !self.is_utf8(start, at) {
            let raw = self.text().get(start..at).unwrap_or_default();
            return Err(invalid_utf8(raw, start));
        }
        Ok(at + 1)
    }

    /// Appends what the escape at an offset stands for, and tells how long it is.
    #[inline]
    fn escape_into(&self, at: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let byte = short_escape(self.byte_at(at + 1));
        if byte != 0 {
            append(out, [], 0, &[byte], 1);
            return Ok(2);
        }
        self.long_escape_into(at, out)
    }

    #[inline(never)]
    fn long_escape_into(&self, at: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let text = self.text().get(at..).unwrap_or_default();
        // Behind a backslash that ends the text there is no escape to be wrong.
        if text.len() < 2 {
            return Err(Error::body(ErrorKind::UnexpectedEnd, self.text().len()));
        }
        let (decoded, len) = read_escape(text).map_err(|kind| Error::body(kind, at))?;
        out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(len)
    }
}

/// What a backslash and this byte stand for, or zero if that is not said by one byte alone.
#[inline]
fn short_escape(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "a byte is an index of 256")]
    const MEANINGS: [u8; 256] = {
        let mut meanings = [0; 256];
        meanings[b'"' as usize] = b'"';
        meanings[b'\\' as usize] = b'\\';
        meanings[b'/' as usize] = b'/';
        meanings[b'b' as usize] = 0x08;
        meanings[b'f' as usize] = 0x0c;
        meanings[b'n' as usize] = b'\n';
        meanings[b'r' as usize] = b'\r';
        meanings[b't' as usize] = b'\t';
        meanings
    };
    MEANINGS.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cold]
fn invalid_utf8(raw: &[u8], start: usize) -> Error {
    let valid_len = std::str::from_utf8(raw).map_or_else(|error| error.valid_up_to(), str::len);
    Error::body(ErrorKind::InvalidUtf8, start + valid_len)
}

/// Reads the escape that `text` starts with: what it stands for, and its length.
fn read_escape(text: &[u8]) -> Result<(char, usize), ErrorKind> {
    let letter = text.get(1).copied().unwrap_or_default();
    match short_escape(letter) {
        0 if letter == b'u' => read_unicode_escape(text),
        0 => Err(ErrorKind::InvalidEscape),
        decoded => Ok((char::from(decoded), 2)),
    }
}

/// `\uXXXX`, or two of them that are a pair of surrogates.
fn read_unicode_escape(text: &[u8]) -> Result<(char, usize), ErrorKind> {
    let unit = read_unit(text).ok_or(ErrorKind::InvalidEscape)?;
    if let Some(decoded) = char::from_u32(unit) {
        return Ok((decoded, 6));
    }
    // SEMANTICS 82: half a pair has no meaning in UTF-8.
    let low = text
        .get(6..)
        .and_then(read_unit)
        .filter(|low| (0xdc00..0xe000).contains(low));
    match low {
        Some(low) if unit < 0xdc00 => {
            char::from_u32(0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00)))
                .map(|decoded| (decoded, 12))
                .ok_or(ErrorKind::LoneSurrogate)
        }
        _ => Err(ErrorKind::LoneSurrogate),
    }
}

/// The number that `\uXXXX` names.
fn read_unit(text: &[u8]) -> Option<u32> {
    let (start, rest) = text.split_first_chunk::<2>()?;
    let digits = rest.first_chunk::<4>()?;
    if start != b"\\u" {
        return None;
    }
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, Error> {
        let string = JsonString::read(&mut Cursor::new(text.as_bytes())?, 1)?;
        let mut buffer = Vec::new();
        string.decoded(&mut buffer).map(<[u8]>::to_vec)
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(
            read(r#""a\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC\ud83d\ude00z""#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\t\0é€😀z".as_bytes()
        );
    }

    #[test]
    fn what_is_no_escape_is_refused_where_it_stands() {
        for (text, kind, offset) in [
            (r#""ab\x""#, ErrorKind::InvalidEscape, 3),
            (r#""\u12g4""#, ErrorKind::InvalidEscape, 1),
            (r#""\u+123""#, ErrorKind::InvalidEscape, 1),
            (r#""\u123""#, ErrorKind::InvalidEscape, 1),
            (r#""\ud800""#, ErrorKind::LoneSurrogate, 1),
            (r#""a\udc00b""#, ErrorKind::LoneSurrogate, 2),
            (r#""\ud800\n""#, ErrorKind::LoneSurrogate, 1),
            (r#""\ud800\ud800""#, ErrorKind::LoneSurrogate, 1),
            (r#""\udc00\ud800""#, ErrorKind::LoneSurrogate, 1),
            (r#""\ude00\ude00""#, ErrorKind::LoneSurrogate, 1),
            (r#""abc"#, ErrorKind::UnexpectedEnd, 4),
            (r#""abc\"#, ErrorKind::UnexpectedEnd, 5),
            (r#""abc\""#, ErrorKind::UnexpectedEnd, 6),
            ("\"a\nb\"", ErrorKind::ControlCharacter, 2),
        ] {
            assert_eq!(read(text), Err(Error::body(kind, offset)), "{text}");
        }
    }
}
