//! Response heads, written before the length of the body is known.
//! In: status, headers, and a body that the caller appends between two calls. Out: one response at the end of a buffer, which may
//! hold earlier ones of a pipeline. Always: no byte of foreign text can end a line (THREATS A13); no large body is moved.
//!
//! ```text
//! begin           │ HTTP/1.1 200 OK␍␊ ... content-length:          ␍␊
//! header          │ ... x-name: value␍␊                    ▲ room for digits
//! open_body       │ ... ␍␊
//! (caller)        │ ... {"name":"a"}
//! finish          │ the digits go into their room, and what follows a small body's length closes up to it; before a large body
//!                 │ the white space stays, which is part of no value (RFC 9110 section 5.5)
//! abandon         │ the buffer is as before begin
//! ```
//!
//! After `begin_chunked` the body is one chunk, whose size has its room behind the head; `close_chunk` and trailers come before `finish`.
//! After `begin_stream` and `end_head` the body is any number of chunks, `open_chunk` to `close_chunk`, and then `end_chunks`; or, for clients that know no
//! chunks, whatever is appended until the connection is closed.

use super::{is_token_byte, is_value_byte};

/// What a response says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It stays open, which HTTP/1.1 takes for granted.
    KeepAlive,
    /// It stays open, which a client of HTTP/1.0 has to be told.
    KeepAliveStated,
    /// It is closed after this response.
    Close,
}

/// The parts of a head that every response has.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'r> {
    /// 200 to 599. Anything else, which would be no final status, is answered as 500.
    pub status: u16,
    /// Whether the connection stays open.
    pub connection: Connection,
    /// Whether the request's method was HEAD: the head is that of the answer to GET, and the body is left out.
    pub answers_head: bool,
    /// The value of Content-Type, if there is one.
    pub content_type: Option<&'r [u8]>,
    /// The value of Date, if the caller has a clock.
    pub date: Option<&'r [u8]>,
}

/// A response whose head is not whole: headers may be added.
#[derive(Debug)]
#[must_use = "a head without its end would run into the next response"]
pub struct PendingHead {
    body: PendingBody,
}

/// A response whose body is being appended.
#[derive(Debug)]
#[must_use = "a head without its length would run into the next response"]
pub struct PendingBody {
    /// Where the response begins. `start < length_at < body_start`
    start: usize,
    /// Where the room for the digits of the length begins, if this status has a length.
    length_at: Option<usize>,
    /// Whether the body is one chunk; then there is no length.
    is_chunked: bool,
    body_start: usize,
    body_rule: BodyRule,
}

/// A response whose body is whole: trailers may be added.
#[derive(Debug)]
#[must_use = "a chunked body without its end would run into the next response"]
pub struct PendingTrailers {
    is_chunked: bool,
}

/// What happens to a body that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyRule {
    /// It is sent.
    Send,
    /// It is measured, and not sent.
    Measure,
    /// It is not sent, and the length is 0 if it is stated at all.
    Discard,
}

/// Digits that there is room for. A body of more than 10 GB is moved to make room.
const LENGTH_DIGIT_COUNT: usize = 10;

/// Digits of the size of a chunk; leading zeros are as good as none (RFC 9112 section 7.1).
const CHUNK_DIGIT_COUNT: usize = 8;

/// Bytes behind the length that are moved up to it, so that a head looks as people expect. More than that costs more than the look
/// is worth.
const CLOSE_UP_LEN_MAX: usize = 4096;

/// Names that decide where a message ends or that this file writes itself.
const OWN_NAMES: [&[u8]; 7] = [
    b"connection",
    b"content-length",
    b"content-type",
    b"date",
    b"keep-alive",
    b"trailer",
    b"transfer-encoding",
];

/// Appends a status line and the headers every response has. It goes on with [`PendingHead::header`] and [`PendingHead::open_body`], and ends with
/// [`PendingBody::finish`]; all on the same buffer, to which nothing but the body is appended meanwhile.
///
/// # Examples
/// ```
/// use transom_engine::http1::{self, Connection, ResponseHead};
///
/// let mut out = Vec::new();
/// let head = ResponseHead {
///     status: 200,
///     connection: Connection::KeepAlive,
///     answers_head: false,
///     content_type: Some(b"text/plain"),
///     date: None,
/// };
/// let body = http1::begin(&mut out, &head).open_body(&mut out);
/// out.extend_from_slice(b"hello");
/// body.finish(&mut out);
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello");
/// ```
pub fn begin(out: &mut Vec<u8>, head: &ResponseHead<'_>) -> PendingHead {
    begin_framed(out, head, Framing::Length)
}

/// The same for a response that ends in trailers, which only a client of HTTP/1.1 understands: the body is one chunk. The answer to `HEAD`, and a status
/// that has no content, get none.
///
/// # Examples
/// ```
/// use transom_engine::http1::{self, Connection, ResponseHead};
///
/// let mut out = Vec::new();
/// let head = ResponseHead {
///     status: 200,
///     connection: Connection::KeepAlive,
///     answers_head: false,
///     content_type: Some(b"text/plain"),
///     date: None,
/// };
/// let mut head = http1::begin_chunked(&mut out, &head);
/// head.announce_trailer(&mut out, b"x-cost");
/// let body = head.open_body(&mut out);
/// out.extend_from_slice(b"hello");
/// let mut trailers = body.close_chunk(&mut out);
/// trailers.trailer(&mut out, b"x-cost", b"7");
/// trailers.finish(&mut out);
/// assert!(out.ends_with(b"\r\n\r\n00000005\r\nhello\r\n0\r\nx-cost: 7\r\n\r\n"));
/// ```
pub fn begin_chunked(out: &mut Vec<u8>, head: &ResponseHead<'_>) -> PendingHead {
    begin_framed(out, head, Framing::Chunk)
}

/// The same for a response whose body is written while its head is on its way: in chunks, or up to the end of the connection, which `head` then has to
/// close. It goes on with [`PendingHead::header`] and ends with [`PendingHead::end_head`].
///
/// # Examples
/// ```
/// use transom_engine::http1::{self, Connection, ResponseHead};
///
/// let mut out = Vec::new();
/// let head = ResponseHead {
///     status: 200,
///     connection: Connection::KeepAlive,
///     answers_head: false,
///     content_type: Some(b"text/plain"),
///     date: None,
/// };
/// http1::begin_stream(&mut out, &head, true).end_head(&mut out);
/// for text in ["hel", "lo"] {
///     let chunk = http1::open_chunk(&mut out);
///     out.extend_from_slice(text.as_bytes());
///     http1::close_chunk(&mut out, chunk);
/// }
/// http1::end_chunks(&mut out).finish(&mut out);
/// assert!(out.ends_with(b"\r\n\r\n00000003\r\nhel\r\n00000002\r\nlo\r\n0\r\n\r\n"));
/// ```
pub fn begin_stream(out: &mut Vec<u8>, head: &ResponseHead<'_>, is_chunked: bool) -> PendingHead {
    let framing = if is_chunked {
        Framing::Chunks
    } else {
        Framing::Close
    };
    begin_framed(out, head, framing)
}

/// Reserves the size of a chunk that is going to be appended to `out`, and returns where it is, for [`close_chunk`].
#[inline]
pub fn open_chunk(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[b'0'; CHUNK_DIGIT_COUNT]);
    out.extend_from_slice(b"\r\n");
    at
}

/// Fills in the size of the chunk that [`open_chunk`] began at `at`. A chunk without bytes, which would end the body, is taken back.
pub fn close_chunk(out: &mut Vec<u8>, at: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let len = out.len().saturating_sub(at + CHUNK_DIGIT_COUNT + 2);
    if len == 0 {
        out.truncate(at);
        return;
    }
    let room = out.iter_mut().skip(at).take(CHUNK_DIGIT_COUNT).rev();
    for (index, digit) in room.enumerate() {
        *digit = DIGITS.get(len >> (4 * index) & 15).copied().unwrap_or(b'0');
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the chunk that ends a body. Trailers may follow.
pub fn end_chunks(out: &mut Vec<u8>) -> PendingTrailers {
    out.extend_from_slice(b"0\r\n");
    PendingTrailers { is_chunked: true }
}

/// What tells where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Its length.
    Length,
    /// One chunk and the end of chunks.
    Chunk,
    /// Chunks that come one by one.
    Chunks,
    /// The end of the connection.
    Close,
}

#[inline(always)]
fn begin_framed(out: &mut Vec<u8>, head: &ResponseHead<'_>, framing: Framing) -> PendingHead {
    let start = out.len();
    write_status_line(out, head.status);
    match head.connection {
        Connection::KeepAlive => {}
        Connection::KeepAliveStated => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Connection::Close => out.extend_from_slice(b"connection: close\r\n"),
    }
    if let Some(date) = head.date {
        write_own_header(out, "date", date);
    }
    let body_rule = match head.status {
        // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: no content; SEMANTICS 135.
        204 | 205 | 304 => BodyRule::Discard,
        _ if head.answers_head => BodyRule::Measure,
        _ => BodyRule::Send,
    };
    if let Some(content_type) = head.content_type
        && body_rule != BodyRule::Discard
    {
        write_own_header(out, "content-type", content_type);
    }
    let is_chunked = framing == Framing::Chunk && body_rule == BodyRule::Send;
    // RFC 9112 section 6.1: the answer to HEAD may say how the body would come.
    let has_chunks = framing == Framing::Chunks && body_rule != BodyRule::Discard;
    if is_chunked || has_chunks {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    let is_open = has_chunks || (framing == Framing::Close && body_rule != BodyRule::Discard);
    // RFC 9112 section 6.3: 204 and 304 end with their head; a length there would be that of another answer.
    let has_length = !is_chunked && !is_open && !matches!(head.status, 204 | 304);
    let length_at = has_length.then(|| {
        out.extend_from_slice(b"content-length: ");
        let at = out.len();
        out.extend_from_slice(&[b' '; LENGTH_DIGIT_COUNT]);
        out.extend_from_slice(b"\r\n");
        at
    });
    PendingHead {
        body: PendingBody {
            start,
            length_at,
            is_chunked,
            body_start: out.len(),
            body_rule,
        },
    }
}

/// Appends the interim response to `Expect: 100-continue` (SEMANTICS 75).
pub fn write_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

impl PendingHead {
    /// Appends one header, and says whether it did: a name or value that could end the line, or a name of framing, is dropped.
    pub fn header(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
        !is_own(name) && write_header(out, name, value)
    }

    /// Appends the name of a trailer that is going to come (RFC 9110 section 6.6.2), if trailers may come at all.
    pub fn announce_trailer(&mut self, out: &mut Vec<u8>, name: &[u8]) -> bool {
        self.body.is_chunked && !is_own(name) && is_good_header(name, b"") && {
            write_header(out, b"trailer", name)
        }
    }

    /// Ends the head of a response that was begun by [`begin_stream`].
    pub fn end_head(self, out: &mut Vec<u8>) {
        let body = self.open_body(out);
        // Only a status without content has a length here, which is 0.
        if body.length_at.is_some() {
            body.fill_length(out);
        }
    }

    /// Ends the head. What the caller appends from here on is the body.
    pub fn open_body(self, out: &mut Vec<u8>) -> PendingBody {
        out.extend_from_slice(b"\r\n");
        if self.body.is_chunked {
            open_chunk(out);
        }
        PendingBody {
            body_start: out.len(),
            ..self.body
        }
    }
}

impl PendingBody {
    /// Fills in the length of what was appended since `open_body`. The response is whole then.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.close_chunk(out).finish(out);
    }

    /// The same, but trailers may follow if the response was begun for them. Without, those that are given are dropped.
    pub fn close_chunk(self, out: &mut Vec<u8>) -> PendingTrailers {
        if self.is_chunked {
            close_chunk(out, self.body_start - (CHUNK_DIGIT_COUNT + 2));
            return end_chunks(out);
        }
        self.fill_length(out);
        PendingTrailers { is_chunked: false }
    }

    fn fill_length(&self, out: &mut Vec<u8>) {
        let len = match self.body_rule {
            BodyRule::Send | BodyRule::Measure => out.len() - self.body_start,
            BodyRule::Discard => 0,
        };
        if self.body_rule != BodyRule::Send {
            out.truncate(self.body_start);
        }
        if let Some(at) = self.length_at {
            fill_length(out, at, LENGTH_DIGIT_COUNT, len);
        }
    }

    /// Takes the response back, head and all.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

impl PendingTrailers {
    /// Appends one trailer, and says whether it did; see [`PendingHead::header`].
    pub fn trailer(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
        self.is_chunked && !is_own(name) && write_header(out, name, value)
    }

    /// Ends the response.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.is_chunked {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes `len` into the `width` bytes at `at`, and closes or makes room where it has fewer or more digits.
fn fill_length(out: &mut Vec<u8>, at: usize, width: usize, len: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(len).as_bytes();
    let behind_len = out.len() - (at + width);
    let from = at + width.saturating_sub(digits.len());
    match out.get_mut(from..at + width) {
        Some(room) if room.len() == digits.len() && behind_len > CLOSE_UP_LEN_MAX => {
            room.copy_from_slice(digits);
        }
        _ => {
            out.splice(at..at + width, digits.iter().copied());
        }
    }
}

fn is_own(name: &[u8]) -> bool {
    OWN_NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether these bytes are one header and no more.
fn is_good_header(name: &[u8], value: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte)) && is_good_value(value)
}

/// Whether these bytes are the value of a header and no more.
fn is_good_value(value: &[u8]) -> bool {
    // Without an early end, so that many bytes are looked at in one step: nearly all values are good.
    value
        .iter()
        .fold(true, |is_good, &byte| is_good & is_value_byte(byte))
}

/// Appends a header whose name is ours, unless its value could be taken for more.
fn write_own_header(out: &mut Vec<u8>, name: &'static str, value: &[u8]) {
    if is_good_value(value) {
        append_header(out, name.as_bytes(), value);
    }
}

/// Appends a header unless its bytes could be taken for more than one.
pub(super) fn write_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let is_good = is_good_header(name, value);
    if is_good {
        append_header(out, name, value);
    }
    is_good
}

fn append_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let status = match status {
        200..=599 => status,
        _ => 500,
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    // RFC 9112 section 4: the space stays where there is no phrase.
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase of RFC 9110, RFC 6585 and RFC 7538; 499 is nginx's and google/rpc/code.proto's.
pub(crate) const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: ResponseHead<'static> = ResponseHead {
        status: 200,
        connection: Connection::KeepAlive,
        answers_head: false,
        content_type: Some(b"application/json"),
        date: None,
    };

    fn answer(head: &ResponseHead<'_>, body: &str) -> String {
        let mut out = Vec::new();
        let pending = begin(&mut out, head).open_body(&mut out);
        out.extend_from_slice(body.as_bytes());
        pending.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_length_is_filled_in_after_the_body() {
        assert_eq!(
            answer(&JSON, "{\"a\":\"bcdef\"}"),
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"a\":\"bcdef\"}"
        );
    }

    #[test]
    fn pipelined_responses_share_a_buffer() {
        let mut out = Vec::new();
        for body in ["a", "bc"] {
            let mut head = begin(&mut out, &JSON);
            assert!(head.header(&mut out, b"x-n", body.as_bytes()));
            let pending = head.open_body(&mut out);
            out.extend_from_slice(body.as_bytes());
            pending.finish(&mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let (first, second) = text.split_at(text.rfind("HTTP/1.1").unwrap());
        assert!(first.ends_with(": 1\r\nx-n: a\r\n\r\na"), "{first:?}");
        assert!(second.ends_with(": 2\r\nx-n: bc\r\n\r\nbc"), "{second:?}");
    }

    #[test]
    fn abandoning_restores_the_buffer() {
        let mut out = b"earlier".to_vec();
        let pending = begin(&mut out, &JSON).open_body(&mut out);
        out.extend_from_slice(b"half a body");
        pending.abandon(&mut out);
        assert_eq!(out, b"earlier");
    }

    #[test]
    fn the_answer_to_head_has_the_length_and_no_body() {
        let head = ResponseHead {
            answers_head: true,
            ..JSON
        };
        assert!(answer(&head, "12345").ends_with("content-length: 5\r\n\r\n"));
    }

    #[test]
    fn statuses_without_content_have_neither_body_nor_type() {
        for (status, end) in [
            (204, "HTTP/1.1 204 No Content\r\n\r\n"),
            (304, "HTTP/1.1 304 Not Modified\r\n\r\n"),
            (
                205,
                "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
            ),
        ] {
            assert_eq!(answer(&ResponseHead { status, ..JSON }, "{}"), end);
        }
    }

    #[test]
    fn connection_and_date_are_stated_when_they_are_given() {
        let close = ResponseHead {
            status: 499,
            connection: Connection::Close,
            content_type: None,
            date: Some(b"Thu, 01 Jan 1970 00:00:00 GMT"),
            ..JSON
        };
        assert_eq!(
            answer(&close, ""),
            "HTTP/1.1 499 Client Closed Request\r\nconnection: close\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             content-length: 0\r\n\r\n"
        );
        let stated = ResponseHead {
            connection: Connection::KeepAliveStated,
            ..JSON
        };
        assert!(answer(&stated, "").contains("\r\nconnection: keep-alive\r\n"));
    }

    #[test]
    fn a_status_that_is_not_final_becomes_500() {
        for status in [0, 100, 199, 600, u16::MAX] {
            let text = answer(&ResponseHead { status, ..JSON }, "");
            assert!(
                text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"),
                "{text}"
            );
        }
        let text = answer(
            &ResponseHead {
                status: 299,
                ..JSON
            },
            "",
        );
        assert!(text.starts_with("HTTP/1.1 299 \r\n"), "{text}");
    }

    #[test]
    fn headers_that_could_split_the_response_are_dropped() {
        let mut out = Vec::new();
        let content_type = Some(b"text/plain\r\nset-cookie: a=b".as_slice());
        let mut head = begin(
            &mut out,
            &ResponseHead {
                content_type,
                ..JSON
            },
        );
        let before = out.len();
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\rb"),
            ("x", "a\0b"),
            ("x", "\u{7f}"),
            ("x\r\ny", "a"),
            ("x y", "a"),
            ("x:", "a"),
            ("", "a"),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
            ("CONNECTION", "close"),
        ] {
            assert!(
                !head.header(&mut out, name.as_bytes(), value.as_bytes()),
                "{name:?} {value:?}"
            );
        }
        assert_eq!(out.len(), before);
        assert!(head.header(&mut out, b"x", "caf\u{e9}\t1".as_bytes()));
        head.open_body(&mut out).finish(&mut out);
        assert!(!String::from_utf8(out).unwrap().contains("set-cookie"));
    }

    #[test]
    fn a_length_beyond_its_room_moves_what_follows() {
        let mut out = b"length:  \r\n\r\nbody".to_vec();
        fill_length(&mut out, 8, 1, 123);
        assert_eq!(out, b"length: 123\r\n\r\nbody");
        let mut out = b"length:     \r\n\r\nbody".to_vec();
        fill_length(&mut out, 8, 4, 123);
        assert_eq!(out, b"length: 123\r\n\r\nbody");
    }

    #[test]
    fn a_large_body_is_not_moved() {
        let body = "x".repeat(CLOSE_UP_LEN_MAX + 1);
        let text = answer(&JSON, &body);
        assert!(
            text.contains("\r\ncontent-length:       4097\r\n\r\nx"),
            "{}",
            text.trim_end_matches('x')
        );
    }
}
