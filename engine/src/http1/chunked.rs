//! Bodies in chunks, decoded as they come (RFC 9112 section 7.1).
//! In: bytes of a connection after a head whose framing is chunked. Out: body bytes appended to the caller's buffer.
//! Always: stops and goes on at any byte with the same result; line ends are CRLF; what is not body is bounded and dropped.

use super::{is_token_byte, is_value_byte};
use crate::error::{Error, ErrorKind};
use crate::limits::CHUNK_OVERHEAD_LEN_MAX;
use crate::text::hex;

/// Where in a chunked body the bytes of one connection are. Make one for each body, and feed it what the connection reads.
///
/// # Examples
/// ```
/// use transom_engine::http1::{ChunkedBody, Decoded};
///
/// let (mut body, mut chunks) = (Vec::new(), ChunkedBody::new());
/// let decoded = chunks.decode(b"5\r\nhel", &mut body, 100)?;
/// assert_eq!(decoded, Decoded { consumed: 6, is_done: false });
/// // What follows the body is left for the next request.
/// let decoded = chunks.decode(b"lo\r\n0\r\n\r\nGET", &mut body, 100)?;
/// assert_eq!(decoded, Decoded { consumed: 9, is_done: true });
/// assert_eq!(body, b"hello");
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ChunkedBody {
    state: State,
    /// What the size line has said so far, then the bytes of the chunk that are still to come.
    chunk_len: u64,
    /// Body bytes whose size line has been read. At most the limit given to `decode`.
    body_len: u64,
    /// Bytes that were not body: size lines, line ends, trailers.
    overhead_len: u64,
    /// How many of those each chunk has for nothing.
    allowance_len: u64,
}

/// How far [`ChunkedBody::decode`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that belong to the body and are done with. All of them unless `is_done`.
    pub consumed: usize,
    /// Whether the body has ended. What follows `consumed` is the next request.
    pub is_done: bool,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A digit of the size, after this many.
    Size(u8),
    /// In the extensions after a size.
    Extension,
    /// The LF after a size line.
    SizeLf,
    /// In the chunk's bytes.
    Content,
    /// The CR after a chunk's bytes.
    ContentCr,
    /// The LF after a chunk's bytes.
    ContentLf,
    /// The first byte of a trailer, or the CR of the last line.
    TrailerStart,
    /// In the name of a trailer.
    TrailerName,
    /// In the value of a trailer.
    TrailerValue,
    /// The LF after a trailer.
    TrailerLf,
    /// The LF of the last line.
    LastLf,
    /// Of the next request.
    Done,
}

/// Bytes that a chunk of a stream may spend on its size line and line ends. A short message a chunk is what such a body is made of.
const STREAM_ALLOWANCE_LEN: u64 = 16;

/// Digits a chunk size may have: as many as 64 bits need.
const SIZE_DIGIT_COUNT_MAX: u8 = 16;

impl ChunkedBody {
    /// At the start of a body.
    pub const fn new() -> Self {
        Self {
            state: State::Size(0),
            chunk_len: 0,
            body_len: 0,
            overhead_len: 0,
            allowance_len: 0,
        }
    }

    /// At the start of a body that goes on for as long as its client likes, in chunks as short as its messages.
    pub const fn of_stream() -> Self {
        Self {
            allowance_len: STREAM_ALLOWANCE_LEN,
            ..Self::new()
        }
    }

    /// Decodes `input`, the bytes that follow those consumed so far, and appends what is body to `out`. `limit` is that of the whole
    /// body, in bytes.
    ///
    /// # Errors
    /// `BadChunk` where the bytes are no chunked body or too much of them is not body; `BodyTooLarge` as soon as a size line
    /// tells of it. The connection cannot be used any more.
    pub fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Decoded, Error> {
        let mut rest = input;
        while self.state != State::Done {
            if self.state == State::Content {
                rest = self.take_content(rest, out);
            }
            let Some((&byte, after)) = rest.split_first() else {
                break;
            };
            self.overhead_len += 1;
            self.state = self.step(byte, limit as u64)?;
            rest = after;
        }
        Ok(Decoded {
            consumed: input.len() - rest.len(),
            is_done: self.state == State::Done,
        })
    }

    /// Moves what has come of a chunk's bytes to `out` and returns what follows.
    fn take_content<'i>(&mut self, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let len = usize::try_from(self.chunk_len).map_or(input.len(), |len| len.min(input.len()));
        let (content, rest) = input.split_at(len);
        out.extend_from_slice(content);
        self.chunk_len -= len as u64;
        if self.chunk_len == 0 {
            self.state = State::ContentCr;
        }
        rest
    }

    /// The state after one byte that is not content.
    fn step(&mut self, byte: u8, limit: u64) -> Result<State, Error> {
        // Without this, one-byte chunks with long extensions cost a hundred times what they carry (CVE-2023-39326). Checked before the
        // byte is looked at, so that the error does not depend on cuts.
        if self.overhead_len > self.body_len + CHUNK_OVERHEAD_LEN_MAX as u64 {
            return Err(Error::request(ErrorKind::BadChunk));
        }
        Ok(match (self.state, byte) {
            (State::Size(count), _)
                if count < SIZE_DIGIT_COUNT_MAX
                    && let Some(digit) = hex::digit(byte) =>
            {
                self.chunk_len = self.chunk_len << 4 | u64::from(digit);
                State::Size(count + 1)
            }
            // At least one digit; the grammar's white space before `;` is read in different ways, so it is refused.
            (State::Size(1..), b';') => State::Extension,
            (State::Size(1..) | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) if is_value_byte(byte) => State::Extension,
            (State::SizeLf, b'\n') => self.begin_chunk(limit)?,
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => State::Size(0),
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_value_byte(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(Error::request(ErrorKind::BadChunk)),
        })
    }

    /// After a size line: `chunk_len` is known.
    fn begin_chunk(&mut self, limit: u64) -> Result<State, Error> {
        if self.chunk_len == 0 {
            return Ok(State::TrailerStart);
        }
        // SEMANTICS 73: refused before any of it is buffered.
        if self.chunk_len > limit.saturating_sub(self.body_len) {
            return Err(Error::request(ErrorKind::BodyTooLarge));
        }
        self.body_len += self.chunk_len;
        self.overhead_len = self.overhead_len.saturating_sub(self.allowance_len);
        Ok(State::Content)
    }
}

impl Default for ChunkedBody {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_may_have_any_number_of_short_chunks_but_no_long_size_lines() {
        let mut out = Vec::new();
        let mut stream = ChunkedBody::of_stream();
        for _ in 0..100_000 {
            assert!(
                stream
                    .decode(b"3\r\n{}\n\r\n", &mut out, usize::MAX)
                    .is_ok()
            );
            out.clear();
        }
        let mut long_line = b"1;".to_vec();
        long_line.resize(100, b'x');
        long_line.extend_from_slice(b"\r\na\r\n");
        let mut stream = ChunkedBody::of_stream();
        let error = (0..1000)
            .find_map(|_| stream.decode(&long_line, &mut out, usize::MAX).err())
            .map(|error| error.kind);
        assert_eq!(error, Some(ErrorKind::BadChunk));
    }

    fn decode(input: &[u8], limit: usize) -> Result<(Vec<u8>, Decoded), ErrorKind> {
        let mut out = Vec::new();
        let decoded = ChunkedBody::new()
            .decode(input, &mut out, limit)
            .map_err(|error| error.kind)?;
        Ok((out, decoded))
    }

    fn done(consumed: usize) -> Decoded {
        Decoded {
            consumed,
            is_done: true,
        }
    }

    #[test]
    fn chunks_are_joined_and_the_next_request_is_left() {
        let input = b"3\r\nabc\r\n0a;x=\"y\";z\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\nGET";
        let (out, decoded) = decode(input, 13).unwrap();
        assert_eq!(out, b"abc0123456789");
        assert_eq!(decoded, done(input.len() - 3));
    }

    #[test]
    fn a_body_ends_only_after_its_last_line() {
        for (input, is_done) in [("0\r\n", false), ("0\r\n\r", false), ("0\r\n\r\n", true)] {
            let (_, decoded) = decode(input.as_bytes(), 0).unwrap();
            assert_eq!(
                decoded,
                Decoded {
                    consumed: input.len(),
                    is_done
                }
            );
        }
    }

    #[test]
    fn a_chunk_beyond_the_limit_is_refused_at_its_size_line() {
        assert_eq!(decode(b"5\r\n", 4), Err(ErrorKind::BodyTooLarge));
        assert_eq!(
            decode(b"4\r\nabcd\r\n1\r\n", 4),
            Err(ErrorKind::BodyTooLarge)
        );
        assert_eq!(
            decode(b"ffffffffffffffff\r\n", 4),
            Err(ErrorKind::BodyTooLarge)
        );
        assert!(decode(b"4\r\nabcd\r\n0\r\n\r\n", 4).is_ok());
    }

    #[test]
    fn one_byte_chunks_are_bounded() {
        // Each costs five bytes and pays for one.
        let input = b"1\r\nx\r\n".repeat(CHUNK_OVERHEAD_LEN_MAX / 4 + 2);
        assert_eq!(decode(&input, usize::MAX), Err(ErrorKind::BadChunk));
        let input = b"1\r\nx\r\n".repeat(CHUNK_OVERHEAD_LEN_MAX / 4 - 2);
        assert!(decode(&input, usize::MAX).is_ok());
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "e".repeat(CHUNK_OVERHEAD_LEN_MAX);
        assert_eq!(
            decode(format!("1;{long}").as_bytes(), 9),
            Err(ErrorKind::BadChunk)
        );
        assert_eq!(
            decode(format!("0\r\na:{long}").as_bytes(), 9),
            Err(ErrorKind::BadChunk)
        );
        assert!(decode(b"0\r\na:b\r\nc:\t d\r\n\r\n", 9).is_ok());
    }
}
