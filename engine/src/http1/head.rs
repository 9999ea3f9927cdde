//! One request head: request line and headers.
//! In: the bytes a connection has read so far, from the start of a request. Out: spans into them, and what the head decides: version,
//! framing of the body, whether the connection stays open. Always: spans survive a move of the bytes; parsing allocates nothing;
//! the outcome depends on the bytes and not on how they were cut.
//!
//! httparse reads the lines. Where it is more lenient than we are (bare LF, bytes beyond ASCII in the target), or has no opinion
//! (framing, Host), the checks are here.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::framing::{BodyFraming, FramingHeaders, Version};
use super::response::Connection;
use super::target::{is_host, split_target};
use super::{is_named, list_members};
use crate::error::{Error, ErrorKind};
use crate::limits::{HEAD_LEN_MAX, HEADER_COUNT_MAX, LEADING_LINE_COUNT_MAX, TARGET_LEN_MAX};

/// What [`RequestHead::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head goes on beyond the bytes given.
    Partial,
    /// The head is whole.
    Complete {
        /// Bytes of the head, with empty lines before it; the body starts there.
        len: usize,
    },
}

/// A request head as spans into the bytes it was parsed from. Made once and used for request after request.
///
/// It borrows nothing, so that the bytes may move between reads; what asks it for a part passes the bytes again. They have to be those of
/// the last `parse`, from the same start; with others the answers are of no use, but never a panic.
///
/// Refused is whatever two servers could read in two ways: both framings at once, a list of lengths, bare LF, white space before a colon,
/// a second `Host`, `CONNECT`. Limits: [`HEAD_LEN_MAX`], [`HEADER_COUNT_MAX`], [`TARGET_LEN_MAX`].
///
/// # Examples
/// ```
/// use transom_engine::http1::{BodyFraming, Parsed, RequestHead};
///
/// let mut head = RequestHead::new();
/// let mut read = b"GET /v1/hello/Ada?x=1 HTTP/1.1\r\nHost: a.exa".to_vec();
/// assert_eq!(head.parse(&read)?, Parsed::Partial);
/// read.extend_from_slice(b"mple\r\n\r\n");
/// assert_eq!(head.parse(&read)?, Parsed::Complete { len: read.len() });
///
/// assert_eq!((head.method(&read), head.path(&read), head.query(&read)), (&b"GET"[..], &b"/v1/hello/Ada"[..], &b"x=1"[..]));
/// assert_eq!(head.header(&read, b"host"), Some(&b"a.example"[..]));
/// assert_eq!(head.framing(), BodyFraming::None);
/// assert!(head.keep_alive());
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct RequestHead {
    method: Span,
    target: Span,
    authority: Option<Span>,
    path: Span,
    query: Span,
    host: Option<Span>,
    /// Its memory grows with what comes, and is kept. `headers.len() <= HEADER_COUNT_MAX`
    headers: Vec<HeaderSpan>,
    version: Version,
    framing: BodyFraming,
    keep_alive: bool,
    expects_continue: bool,
    /// What Connection headers name beside `close` and `keep-alive`. `connection_options.len() <= HEADER_COUNT_MAX`
    connection_options: Vec<Span>,
}

/// Bytes of the connection's buffer, from the start of the request.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct HeaderSpan {
    name: Span,
    value: Span,
}

/// The headers of a request, in order, as names and values.
#[derive(Clone, Debug)]
pub struct Headers<'h> {
    spans: std::slice::Iter<'h, HeaderSpan>,
    bytes: &'h [u8],
}

impl RequestHead {
    /// An empty head, without memory of its own yet.
    pub const fn new() -> Self {
        Self {
            method: Span::EMPTY,
            target: Span::EMPTY,
            authority: None,
            path: Span::EMPTY,
            query: Span::EMPTY,
            host: None,
            headers: Vec::new(),
            version: Version::Http11,
            framing: BodyFraming::None,
            keep_alive: false,
            expects_continue: false,
            connection_options: Vec::new(),
        }
    }

    /// Parses the head at the start of `bytes`. After `Partial` it is called again with the same bytes and more.
    ///
    /// # Errors
    /// When the head is malformed, ambiguous or above a limit. What follows it cannot be framed then: the connection has to be closed
    /// after the error was answered.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, Error> {
        self.clear();
        let Some(start) = skip_empty_lines(bytes)? else {
            return Ok(Parsed::Partial);
        };
        let lines = bytes.get(start..).unwrap_or_default();
        let lines = lines.get(..HEAD_LEN_MAX).unwrap_or(lines);

        let mut slots = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
        let mut request = httparse::Request::new(&mut []);
        let outcome = request.parse_with_uninit_headers(lines, &mut slots);
        // Before the outcome, so that a target too long is the same error whether what follows has come or not.
        check_target_len(&request, lines)?;
        let len = match outcome {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if lines.len() == HEAD_LEN_MAX => {
                return Err(Error::request(ErrorKind::HeadTooLarge));
            }
            Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Error::request(ErrorKind::TooManyHeaders));
            }
            Err(httparse::Error::Version) => {
                return Err(Error::request(ErrorKind::UnsupportedVersion));
            }
            Err(_) => return Err(Error::request(ErrorKind::MalformedHead)),
        };
        let len = start + len;
        let decided = self
            .keep(&request, bytes, len)
            .ok_or(Error::request(ErrorKind::MalformedHead))
            .and_then(|()| self.decide(bytes));
        if let Err(error) = decided {
            self.clear();
            return Err(error);
        }
        Ok(Parsed::Complete { len })
    }

    fn clear(&mut self) {
        self.headers.clear();
        self.method = Span::default();
        self.target = Span::default();
        self.authority = None;
        self.path = Span::default();
        self.query = Span::default();
        self.host = None;
        self.version = Version::Http11;
        self.framing = BodyFraming::None;
        self.keep_alive = false;
        self.expects_continue = false;
        self.connection_options.clear();
    }

    /// Takes over what httparse found as spans. None if a line ends in a bare LF, for CONNECT, and for a target of a form we do not take.
    fn keep(
        &mut self,
        request: &httparse::Request<'_, '_>,
        bytes: &[u8],
        len: usize,
    ) -> Option<()> {
        // THREATS A8: there are no tunnels.
        if request.method? == "CONNECT" {
            return None;
        }
        let target = request.path?.as_bytes();
        let parts = split_target(target)?;
        self.method = Span::of(request.method?.as_bytes(), bytes);
        self.target = Span::of(target, bytes);
        self.authority = parts.authority.map(|range| self.target.part(&range));
        self.path = self.target.part(&parts.path);
        self.query = self.target.part(&parts.query);
        self.version = match request.version? {
            0 => Version::Http10,
            _ => Version::Http11,
        };
        for header in request.headers.iter() {
            let name = Span::of(header.name.as_bytes(), bytes);
            // RFC 9112 section 2.2 lets a recipient take a bare LF for a line end. Peers differ, so we do not; httparse does. It lets
            // LF stand nowhere else, so looking back from the start of each line is enough.
            bytes
                .get(..name.start as usize)?
                .ends_with(b"\r\n")
                .then_some(())?;
            self.headers.push(HeaderSpan {
                name,
                value: Span::of(header.value, bytes),
            });
        }
        bytes.get(..len)?.ends_with(b"\r\n\r\n").then_some(())
    }

    /// Decides what the headers say about the message itself.
    fn decide(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut framing = FramingHeaders::default();
        let mut closes = false;
        let mut keeps_alive = false;
        for index in 0..self.headers.len() {
            let Some(header) = self.headers.get(index).copied() else {
                break;
            };
            let name = header.name.slice(bytes);
            let value = header.value.slice(bytes);
            if is_named(name, b"content-length") {
                framing.add_content_length(value)?;
            } else if is_named(name, b"transfer-encoding") {
                framing.add_transfer_encoding(value)?;
            } else if is_named(name, b"host") {
                // RFC 9112 section 3.2: more than one Host, or one that is no host, is 400.
                if self.host.is_some() || !is_host(value) {
                    return Err(Error::request(ErrorKind::BadHost));
                }
                self.host = Some(header.value);
            } else if is_named(name, b"connection") {
                for member in list_members(value) {
                    if member.eq_ignore_ascii_case(b"close") {
                        closes = true;
                    } else if member.eq_ignore_ascii_case(b"keep-alive") {
                        keeps_alive = true;
                    } else {
                        // Each is compared with each header, so that more of them than there can be headers are an attack.
                        if self.connection_options.len() == HEADER_COUNT_MAX {
                            return Err(Error::request(ErrorKind::TooManyHeaders));
                        }
                        self.connection_options.push(Span::of(member, bytes));
                    }
                }
            } else if is_named(name, b"expect") {
                // RFC 9110 section 10.1.1: no other expectation is defined, and one that is not met is 417.
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Error::request(ErrorKind::UnsupportedExpectation));
                }
                self.expects_continue = true;
            }
        }
        self.framing = framing.decide(self.version)?;
        // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is 400, in absolute-form too.
        if self.host.is_none() && self.version == Version::Http11 {
            return Err(Error::request(ErrorKind::BadHost));
        }
        self.keep_alive = !closes && (self.version == Version::Http11 || keeps_alive);
        // RFC 9110 section 10.1.1: ignored from HTTP/1.0, and without a body there is nothing to wait for.
        self.expects_continue &= self.version == Version::Http11
            && matches!(
                self.framing,
                BodyFraming::Chunked | BodyFraming::Length(1..)
            );
        Ok(())
    }

    /// The method, case and all.
    pub fn method<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.method.slice(bytes)
    }

    /// The request target as it was sent.
    pub fn target<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.target.slice(bytes)
    }

    /// The path, still percent-encoded; starts with `/`.
    pub fn path<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self.path.slice(bytes) {
            // An absolute-form target without a path means the root (RFC 9110 section 4.2.3).
            [] => b"/",
            path => path,
        }
    }

    /// The query, still percent-encoded, without its `?`; empty when there is none.
    pub fn query<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.query.slice(bytes)
    }

    /// Offset of [`query`](Self::query) in [`target`](Self::target).
    pub fn query_offset(&self) -> u32 {
        self.query.start - self.target.start
    }

    /// Host and port the request is meant for. The authority of an absolute-form target wins over Host (RFC 9112 section 3.2.2).
    pub fn host<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        self.authority.or(self.host).map(|span| span.slice(bytes))
    }

    /// All headers in order.
    pub fn headers<'h>(&'h self, bytes: &'h [u8]) -> Headers<'h> {
        Headers {
            spans: self.headers.iter(),
            bytes,
        }
    }

    /// The value of the first header with this name, in any case.
    pub fn header<'b>(&self, bytes: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
        self.headers
            .iter()
            .find(|header| header.name.slice(bytes).eq_ignore_ascii_case(name))
            .map(|header| header.value.slice(bytes))
    }

    /// Whether a Connection header names the header `name`, which makes it hop-by-hop (RFC 9110 section 7.6.1).
    pub fn connection_lists(&self, bytes: &[u8], name: &[u8]) -> bool {
        self.connection_options
            .iter()
            .any(|option| option.slice(bytes).eq_ignore_ascii_case(name))
    }

    /// The version of the request line.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends.
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Whether the client wants the connection open after the answer.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// What the response to this request has to say about the connection, if the server is willing to keep it.
    pub fn connection(&self) -> Connection {
        match (self.keep_alive, self.version) {
            (false, _) => Connection::Close,
            (true, Version::Http10) => Connection::KeepAliveStated,
            (true, Version::Http11) => Connection::KeepAlive,
        }
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl<'h> Iterator for Headers<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.spans.next()?;
        Some((
            header.name.slice(self.bytes),
            header.value.slice(self.bytes),
        ))
    }
}

impl Span {
    const EMPTY: Self = Self { start: 0, len: 0 };

    /// The place of `part` in `whole`, which it is borrowed from and which is shorter than 4 GiB where `part` is.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "parts lie in a head, which is at most HEAD_LEN_MAX bytes and a few empty lines"
    )]
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        Self {
            start: start as u32,
            len: part.len() as u32,
        }
    }

    /// The span of a range of this span.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is inside this span, whose length is a u32"
    )]
    fn part(self, range: &Range<usize>) -> Self {
        Self {
            start: self.start + range.start as u32,
            len: range.len() as u32,
        }
    }

    /// The bytes of the span; nothing if `bytes` is not what was parsed and too short.
    #[inline]
    fn slice(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes
            .get(start..start + self.len as usize)
            .unwrap_or_default()
    }
}

/// Offset of the request line, or nothing if it has not come yet. RFC 9112 section 2.2: empty lines before it are skipped.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let mut rest = bytes;
    for _ in 0..=LEADING_LINE_COUNT_MAX {
        match rest {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', after @ ..] => rest = after,
            [b'\r' | b'\n', ..] => break,
            _ => return Ok(Some(bytes.len() - rest.len())),
        }
    }
    Err(Error::request(ErrorKind::MalformedHead))
}

/// Refuses a target above the limit, as soon as that much of it has come (SEMANTICS 61).
fn check_target_len(request: &httparse::Request<'_, '_>, lines: &[u8]) -> Result<(), Error> {
    let len = match (request.path, request.method) {
        (Some(path), _) => path.len(),
        // The end of the target has not come, or there is a bad byte in it: what counts is the bytes before.
        (None, Some(method)) => lines
            .get(method.len() + 1..)
            .unwrap_or_default()
            .iter()
            .take(TARGET_LEN_MAX + 1)
            .take_while(|&&byte| byte > b' ' && byte != 0x7f)
            .count(),
        (None, None) => 0,
    };
    if len > TARGET_LEN_MAX {
        return Err(Error::request(ErrorKind::TargetTooLong));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> (RequestHead, Result<Parsed, Error>) {
        let mut head = RequestHead::new();
        let parsed = head.parse(bytes);
        (head, parsed)
    }

    #[test]
    fn spans_survive_a_move_of_the_bytes() {
        let bytes = b"POST http://h/a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Y: \t z \r\nx-y:\r\ncontent-length: 3\r\n\r\nabc";
        let (head, parsed) = parse(bytes);
        assert_eq!(
            parsed,
            Ok(Parsed::Complete {
                len: bytes.len() - 3
            })
        );
        let moved = bytes.to_vec();
        assert_eq!(head.method(&moved), b"POST");
        assert_eq!(head.target(&moved), b"http://h/a/b?c=d");
        assert_eq!(head.path(&moved), b"/a/b");
        assert_eq!(head.query(&moved), b"c=d");
        assert_eq!(head.query_offset(), 13);
        assert_eq!(head.host(&moved), Some(b"h".as_slice()));
        assert_eq!(head.header(&moved, b"x-y"), Some(b"z".as_slice()));
        assert_eq!(
            head.headers(&moved).nth(2),
            Some((b"x-y".as_slice(), b"".as_slice()))
        );
        assert_eq!(head.framing(), BodyFraming::Length(3));
        assert!(head.keep_alive());
    }

    #[test]
    fn bytes_that_are_not_the_parsed_ones_never_panic() {
        let (head, _) = parse(b"GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(head.method(b""), b"");
        assert_eq!(head.path(b"GE"), b"/");
        assert_eq!(head.headers(b"G").count(), 1);
    }

    #[test]
    fn a_refused_head_leaves_nothing_behind() {
        let (head, parsed) = parse(b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n");
        assert_eq!(parsed, Err(Error::request(ErrorKind::BadContentLength)));
        assert_eq!(head.headers(b"").count(), 0);
        assert_eq!(head.connection(), Connection::Close);
    }

    #[test]
    fn connection_lists_the_headers_it_names() {
        let bytes =
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Foo , close\r\nConnection: bar\r\n\r\n";
        let (head, _) = parse(bytes);
        assert!(head.connection_lists(bytes, b"foo") && head.connection_lists(bytes, b"BAR"));
        assert!(!head.connection_lists(bytes, b"host"));
        assert_eq!(head.connection(), Connection::Close);
    }

    #[test]
    fn old_clients_are_closed_unless_they_ask() {
        let (head, _) = parse(b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(head.connection(), Connection::Close);
        let (head, _) = parse(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(head.connection(), Connection::KeepAliveStated);
    }

    #[test]
    fn continue_is_expected_only_where_a_body_follows() {
        let bytes =
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\n";
        assert!(parse(bytes).0.expects_continue());
        let bytes =
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n";
        assert!(!parse(bytes).0.expects_continue());
        let bytes = b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
        assert!(!parse(bytes).0.expects_continue());
    }
}
