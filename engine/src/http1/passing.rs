//! Requests and responses that pass through as they are: from a client to another HTTP/1.1 server and back (SEMANTICS 115). In: a parsed request; then
//! bytes of a response, in pieces. Out: a request for a connection of its own; then the response, piece by piece, framed for the client.
//! Always: what is about one connection stays on it; where a message ends is never guessed; of a response only the head is kept.

use std::io::Write as _;
use std::net::IpAddr;

use super::framing::FramingHeaders;
use super::response::{write_header, write_status_line};
use super::{BodyFraming, ChunkedBody, Connection, RequestHead, Version, list_members};
use crate::limits::{HEAD_LEN_MAX, HEADER_COUNT_MAX};

/// Appends a request that asks another server the same: the head without what was about the client's connection, and the whole body.
/// `authority` is the name of that server, for a client of HTTP/1.0 that named none.
///
/// # Examples
/// ```
/// use transom_engine::http1::{RequestHead, write_passed_request};
///
/// let bytes = b"POST /version?full HTTP/1.1\r\nHost: a.example\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Y: 2\r\nContent-Length: 2\r\n\r\n{}";
/// let mut head = RequestHead::new();
/// head.parse(bytes)?;
/// let mut out = Vec::new();
/// write_passed_request(&head, bytes, b"{}", "192.0.2.7".parse()?, b"origin", &mut out);
/// assert_eq!(out, b"POST /version?full HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\nX-Y: 2\r\nx-forwarded-for: 192.0.2.7\r\nvia: 1.1 transom\r\ncontent-length: 2\r\n\r\n{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_passed_request(
    head: &RequestHead,
    bytes: &[u8],
    body: &[u8],
    client: IpAddr,
    authority: &[u8],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(head.method(bytes));
    out.push(b' ');
    let target = head.target(bytes);
    if target.starts_with(b"/") || target == b"*" {
        out.extend_from_slice(target);
    } else {
        // RFC 9112 section 3.2.1: from absolute-form, in which a client takes us for a proxy.
        out.extend_from_slice(head.path(bytes));
        if !head.query(bytes).is_empty() {
            out.push(b'?');
            out.extend_from_slice(head.query(bytes));
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = head.host(bytes).filter(|host| !host.is_empty());
    write_header(out, b"host", host.unwrap_or(authority));
    out.extend_from_slice(b"connection: close\r\n");
    for (name, value) in head.headers(bytes) {
        let is_ours = name.eq_ignore_ascii_case(b"host") || is_of_one_hop(name);
        if !is_ours && !head.connection_lists(bytes, name) {
            write_header(out, name, value);
        }
    }
    // Writing to memory does not fail.
    _ = write!(out, "x-forwarded-for: {client}\r\n");
    // RFC 9110 section 7.6.3.
    out.extend_from_slice(b"via: 1.1 transom\r\n");
    if head.framing() != BodyFraming::None {
        write_length(out, body.len() as u64);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Interim responses before the final one.
const INTERIM_COUNT_MAX: usize = 32;

/// A response on its way from another server to the client. Feed it what the connection reads.
///
/// # Examples
/// ```
/// use transom_engine::http1::{Connection, PassedResponse, RequestHead};
///
/// let bytes = b"GET /version HTTP/1.1\r\nHost: a.example\r\n\r\n";
/// let mut head = RequestHead::new();
/// head.parse(bytes)?;
/// let mut response = PassedResponse::new(&head, bytes, Connection::KeepAlive);
/// let mut out = Vec::new();
/// assert!(response.receive(b"HTTP/1.1 200 OK\r\nContent-Le", &mut out).is_ok() && !response.has_begun());
/// assert!(response.receive(b"ngth: 2\r\nServer: x\r\n\r\n{}", &mut out).is_ok() && response.is_done());
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 2\r\n\r\n{}");
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct PassedResponse {
    state: State,
    /// What has come of the head.
    head: Vec<u8>,
    /// Interim responses that have been left out.
    interim_count: usize,
    /// What has been taken out of its chunks.
    content: Vec<u8>,
    connection: Connection,
    answers_head: bool,
    /// Whether a body whose length nobody knows goes to the client in chunks; else its end is that of the connection.
    takes_chunks: bool,
    /// Whether this one does.
    writes_chunks: bool,
}

#[derive(Debug)]
enum State {
    Head,
    /// Bytes that are still to come.
    Length(u64),
    Chunked(ChunkedBody),
    UntilClose,
    Done,
}

/// Why a response cannot pass on: it is no HTTP/1.1, its end is told in two ways, or it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse;

impl PassedResponse {
    /// Before the first byte. `connection` is what the client is told of its own.
    pub fn new(request: &RequestHead, bytes: &[u8], connection: Connection) -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            interim_count: 0,
            content: Vec::new(),
            connection,
            answers_head: request.method(bytes) == b"HEAD",
            takes_chunks: request.version() == Version::Http11,
            writes_chunks: false,
        }
    }

    /// Whether the client has been sent anything of it.
    pub const fn has_begun(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Whether all of it has come.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the client's connection stays open behind it.
    pub fn keeps_open(&self) -> bool {
        self.connection != Connection::Close
    }

    /// Takes in what the other server sent next, and appends what the client gets of it.
    ///
    /// # Errors
    /// When it cannot go on. If it [has begun](Self::has_begun), the client's connection must be closed.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), BadResponse> {
        let mut input = input;
        while matches!(self.state, State::Head) {
            let Some(rest) = self.receive_head(input, out)? else {
                return Ok(());
            };
            input = rest;
        }
        match &mut self.state {
            State::Head | State::Done => {}
            State::Length(rest_len) => {
                let len =
                    usize::try_from(*rest_len).map_or(input.len(), |len| len.min(input.len()));
                *rest_len -= len as u64;
                out.extend_from_slice(input.get(..len).unwrap_or_default());
                if *rest_len == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunked(chunks) => {
                self.content.clear();
                let decoded = chunks.decode(input, &mut self.content, usize::MAX);
                let is_done = decoded.map_err(|_no_chunk| BadResponse)?.is_done;
                write_content(self.writes_chunks, &self.content, out);
                if is_done {
                    self.finish(out);
                }
            }
            State::UntilClose => write_content(self.writes_chunks, input, out),
        }
        Ok(())
    }

    /// Takes note that the other server sends no more.
    ///
    /// # Errors
    /// When the response has not ended.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadResponse> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.finish(out);
                Ok(())
            }
            State::Head | State::Length(_) | State::Chunked(_) => Err(BadResponse),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.writes_chunks {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.state = State::Done;
    }

    /// Takes in a part of a head. Once it is whole, it is appended, and what follows it is returned.
    fn receive_head<'i>(
        &mut self,
        input: &'i [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<&'i [u8]>, BadResponse> {
        const END: &[u8] = b"\r\n\r\n";
        let known_len = self.head.len();
        let room = input.get(..HEAD_LEN_MAX - known_len).unwrap_or(input);
        self.head.extend_from_slice(room);
        let from = known_len.saturating_sub(END.len() - 1);
        let new = self.head.get(from..).unwrap_or_default();
        let Some(at) = new.windows(END.len()).position(|window| window == END) else {
            // It has to end some time.
            return if self.head.len() == HEAD_LEN_MAX {
                Err(BadResponse)
            } else {
                Ok(None)
            };
        };
        let head_len = from + at + END.len();
        let mut head = std::mem::take(&mut self.head);
        head.truncate(head_len);
        self.pass_head(&head, out)?;
        Ok(input.get(head_len - known_len..))
    }

    /// Appends a head that is whole, unless it is that of an interim response.
    fn pass_head(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadResponse> {
        let mut headers = [httparse::EMPTY_HEADER; HEADER_COUNT_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(bytes).map_err(|_no_head| BadResponse)?;
        let (httparse::Status::Complete(len), Some(status)) = (parsed, head.code) else {
            return Err(BadResponse);
        };
        if len != bytes.len() {
            return Err(BadResponse);
        }
        match status {
            // RFC 9110 section 15.2: they may be left out. Nobody asked for another protocol.
            // A flood of them is refused below: each costs a look at all that has come.
            100 | 102..=199 if self.interim_count < INTERIM_COUNT_MAX => {
                self.interim_count += 1;
                return Ok(());
            }
            200..=599 => {}
            _ => return Err(BadResponse),
        }
        let headers = &*head.headers;
        let framing = framing(headers, head.version == Some(1))?;
        write_status_line(out, status);
        let is_listed = |name: &str| {
            let mut connection = headers.iter().filter(|each| is(each, "connection"));
            connection.any(|each| {
                list_members(each.value).any(|member| member.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        for header in headers {
            if !is_of_one_hop(header.name.as_bytes()) && !is_listed(header.name) {
                write_header(out, header.name.as_bytes(), header.value);
            }
        }
        let has_content = !self.answers_head && !matches!(status, 204 | 304);
        self.state = match framing {
            // RFC 9112 section 6.3: the length is that of another answer.
            BodyFraming::Length(len) if !has_content => {
                if status != 204 {
                    write_length(out, len);
                }
                State::Done
            }
            _ if !has_content => State::Done,
            BodyFraming::Length(len) => {
                write_length(out, len);
                if len == 0 {
                    State::Done
                } else {
                    State::Length(len)
                }
            }
            framing => {
                self.writes_chunks = self.takes_chunks;
                if self.writes_chunks {
                    out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                } else {
                    self.connection = Connection::Close;
                }
                if framing == BodyFraming::Chunked {
                    State::Chunked(ChunkedBody::of_stream())
                } else {
                    State::UntilClose
                }
            }
        };
        match self.connection {
            Connection::KeepAlive => {}
            Connection::KeepAliveStated => out.extend_from_slice(b"connection: keep-alive\r\n"),
            Connection::Close => out.extend_from_slice(b"connection: close\r\n"),
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Where the body of a response ends; `None` is where the connection does.
fn framing(headers: &[httparse::Header<'_>], is_http11: bool) -> Result<BodyFraming, BadResponse> {
    let mut framing = FramingHeaders::default();
    for header in headers {
        // A second length, or a coding that is no chunk, could be read in two ways.
        let added = if is(header, "content-length") {
            framing.add_content_length(header.value)
        } else if is(header, "transfer-encoding") {
            framing.add_transfer_encoding(header.value)
        } else {
            Ok(())
        };
        added.map_err(|_unclear| BadResponse)?;
    }
    let version = if is_http11 {
        Version::Http11
    } else {
        Version::Http10
    };
    framing.decide(version).map_err(|_unclear| BadResponse)
}

fn is(header: &httparse::Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// Names that are about one connection, or that are written anew (RFC 9110 section 7.6.1).
fn is_of_one_hop(name: &[u8]) -> bool {
    let names: &[&str] = match name.len() {
        2 => &["te"],
        6 => &["expect"],
        7 => &["trailer", "upgrade"],
        10 => &["connection", "keep-alive"],
        14 => &["content-length", "http2-settings"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => &[],
    };
    let mut names = names.iter();
    names.any(|each| name.eq_ignore_ascii_case(each.as_bytes()))
}

fn write_length(out: &mut Vec<u8>, len: u64) {
    write_header(
        out,
        b"content-length",
        itoa::Buffer::new().format(len).as_bytes(),
    );
}

/// Appends bytes of a body, as a chunk where the client gets chunks.
fn write_content(as_chunk: bool, content: &[u8], out: &mut Vec<u8>) {
    if content.is_empty() {
        return;
    }
    if as_chunk {
        // Writing to memory does not fail.
        _ = write!(out, "{:x}\r\n", content.len());
        out.extend_from_slice(content);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(request: &[u8]) -> PassedResponse {
        let mut head = RequestHead::new();
        head.parse(request).unwrap();
        PassedResponse::new(&head, request, head.connection())
    }

    const GET: &[u8] = b"GET /v HTTP/1.1\r\nHost: a\r\n\r\n";
    const OLD: &[u8] = b"GET /v HTTP/1.0\r\n\r\n";
    const HEAD: &[u8] = b"HEAD /v HTTP/1.1\r\nHost: a\r\n\r\n";

    /// In one piece, and byte by byte with chunks joined.
    #[test]
    fn response_passes_however_its_end_is_told() {
        for (request, raw, expected) in [
            (
                GET,
                "HTTP/1.1 201 Made\r\nX: 1\r\nContent-Length: 2\r\nKeep-Alive: 5\r\n\r\n{}more",
                "HTTP/1.1 201 Created\r\nX: 1\r\ncontent-length: 2\r\n\r\n{}",
            ),
            (
                GET,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n2\r\n{}\r\n0\r\nx-t: 1\r\n\r\n",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            ),
            (
                GET,
                "HTTP/1.0 200 OK\r\n\r\n{}",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            ),
            (
                OLD,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            ),
            (
                HEAD,
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
            ),
            (
                GET,
                "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 204 No Content\r\n\r\n",
            ),
            (
                GET,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            ),
        ] {
            let mut out = Vec::new();
            let mut whole = response(request);
            whole.receive(raw.as_bytes(), &mut out).unwrap();
            whole.end(&mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), expected, "{raw}");
            out.clear();
            let mut pieces = response(request);
            for byte in raw.as_bytes() {
                pieces.receive(&[*byte], &mut out).unwrap();
            }
            pieces.end(&mut out).unwrap();
            let joined = expected.replace("2\r\n{}\r\n", "1\r\n{\r\n1\r\n}\r\n");
            assert_eq!(String::from_utf8_lossy(&out), joined, "{raw}");
        }
    }

    #[test]
    fn response_that_could_be_read_in_two_ways_or_is_none_is_refused() {
        let header = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
        let many = "a: b\r\n".repeat(HEADER_COUNT_MAX) + "c: d";
        let long = format!("a: {}", "b".repeat(HEAD_LEN_MAX));
        for raw in [
            header("Content-Length: 2\r\nContent-Length: 2"),
            header("Content-Length: +2"),
            header("Content-Length: 2\r\nTransfer-Encoding: chunked"),
            header("Transfer-Encoding: gzip, chunked"),
            header("a b: c"),
            header(&many),
            header(&long),
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
            "HTTP/1.1 600 X\r\n\r\n".to_owned(),
            "HTTP/2 200 OK\r\n\r\n".to_owned(),
            "\0\0\0\u{4}\0\0\0\0\r\n\r\n".to_owned(),
        ] {
            let mut out = Vec::new();
            let mut response = response(GET);
            assert_eq!(
                response.receive(raw.as_bytes(), &mut out),
                Err(BadResponse),
                "{raw:?}"
            );
            assert!(out.is_empty() && !response.has_begun(), "{raw:?}");
        }
    }

    #[test]
    fn response_that_is_cut_has_no_end() {
        for raw in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ] {
            let mut out = Vec::new();
            let mut response = response(GET);
            response.receive(raw.as_bytes(), &mut out).unwrap();
            assert_eq!(response.end(&mut out), Err(BadResponse), "{raw:?}");
            assert!(!out.ends_with(b"0\r\n\r\n"), "{raw:?}");
        }
        let mut response = response(GET);
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut out = Vec::new();
        response.receive(head, &mut out).unwrap();
        assert_eq!(response.receive(b"zz\r\n", &mut out), Err(BadResponse));
        assert!(response.has_begun());
    }
}
