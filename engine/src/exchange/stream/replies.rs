//! The reply of a stream as an HTTP response. In: headers, pieces of the body and trailers of an upstream, or why there are none. Out: a head, chunks of
//! messages in their framing, and an end. Always: a message that is whole is one chunk; an error is told by status where nothing has been answered, in the framing
//! where something has, and by a transfer that is cut where half a message has (SEMANTICS 122, 123).

use super::super::answer::{self, Answer};
use super::super::crossing::{Metadata, Pair};
use super::super::envelope::Envelope;
use super::super::{Call, Scratch, Transcoder};
use super::Failure;
use super::framing::{Framing, Layout, StreamErrors, StreamHead};
use super::messages::Messages;
use crate::error::Error;
use crate::grpc::Status;
use crate::grpc::metadata::{self, HeaderRule};
use crate::grpc::status::{ReplyHeaders, read_headers, read_trailers};
use crate::http1::{self, RequestHead};

/// The reply of a stream as an HTTP response. It borrows nothing and lives as long as the stream; it belongs to the transcoder that its call belongs to.
/// What it carries is one message that is cut: up to [`HELD_LEN_MAX`](crate::limits::HELD_LEN_MAX) bytes of it; up to
/// [`SizeLimits::response_len_max`](crate::exchange::SizeLimits::response_len_max) if the rule wants one field that is no message of its own, or if raw bytes come before their type.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("streams.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Schema, exchange::{End, Envelope, Manners, ReplyHead, Request, Scratch, Transcoder}, http1::RequestHead};
///
/// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
/// let (mut head, mut scratch, mut out) = (RequestHead::new(), Scratch::default(), Vec::new());
/// let request = b"GET /v1/watch/n HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\r\n";
/// head.parse(request)?;
/// let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { return Err("OPTIONS".into()) };
/// let envelope = Envelope::of(&head, request);
/// let mut replies = call.replies(&transcoder, &head, request);
///
/// // What the upstream sends, as HTTP/2 has it. Whatever is in `out` may be sent on at any time.
/// let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];
/// let reply = ReplyHead { http_status: 200, headers: || headers.into_iter(), ends_stream: false };
/// assert_eq!(replies.take_headers(&transcoder, &envelope, &reply, &mut scratch, &mut out), None);
/// for piece in [&b"\0\0\0\0\x05\x0a"[..], b"\x03Ada"] {
///     assert_eq!(replies.push(&transcoder, &envelope, piece, &mut scratch, &mut out), None);
/// }
/// assert!(out.ends_with(b"id: 1\ndata: {\"name\":\"Ada\",\"count\":\"0\",\"tags\":[]}\n\n\r\n"));
/// let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", b"0")];
/// assert_eq!(replies.finish(&transcoder, &envelope, || trailers.into_iter(), &mut scratch, &mut out), End::Whole);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replies {
    layout: Layout,
    stage: Stage,
    messages: Messages,
    /// What the head is going to hold, if it waits for the first message.
    waiting: Option<Waiting>,
    /// Whether part of a message has been written, and not its end.
    is_inside: bool,
    /// Messages that have begun.
    begun_count: u64,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been written.
    Awaited,
    /// The head is out, and the body goes on.
    Begun,
    /// Nothing more is to come.
    Over,
}

/// A name and its value, kept.
type KeptPair = (Box<[u8]>, Box<[u8]>);

/// The upstream's headers, kept until the head is written.
#[derive(Debug, Default)]
struct Waiting {
    headers: Vec<KeptPair>,
}

/// The first headers of an upstream's reply. Names are in lower case, as HTTP/2 has them.
#[derive(Clone, Copy, Debug)]
pub struct ReplyHead<H> {
    /// Status of HTTP.
    pub http_status: u16,
    /// Gives the names and values of the headers; they are gone through several times.
    pub headers: H,
    /// Whether nothing follows them.
    pub ends_stream: bool,
}

/// How the response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is whole, and says so: another request may follow if the envelope keeps the connection open.
    Whole,
    /// It is whole once the connection is closed, which is how a client of HTTP/1.0 knows.
    Closing,
    /// It is not whole, and must not look so: the connection is to be cut behind what has been written, without the end of a body.
    Abort,
}

impl Call {
    /// Begins the reply of a stream, in the framing that the client accepts (SEMANTICS 120). `bytes` are those the head was parsed from.
    pub fn replies(&self, transcoder: &Transcoder, head: &RequestHead, bytes: &[u8]) -> Replies {
        let layout = transcoder.manners.streams.layout(head, bytes);
        let mut messages = self.messages(transcoder);
        if layout.framing == Framing::Wrapped {
            messages = messages.gathered();
        }
        Replies {
            layout,
            stage: Stage::Awaited,
            messages,
            waiting: None,
            is_inside: false,
            begun_count: 0,
        }
    }
}

impl Replies {
    /// Whether the head of the response has been written.
    pub fn is_begun(&self) -> bool {
        self.stage != Stage::Awaited
    }

    /// The framing that the client gets.
    pub const fn framing(&self) -> Framing {
        self.layout.framing
    }

    /// Messages that have been written.
    pub const fn count(&self) -> u64 {
        self.messages.ended_count()
    }

    /// Bytes that are carried until more come.
    pub fn carried_len(&self) -> usize {
        self.messages.carried_len()
    }

    /// Takes the upstream's headers, and appends the head of the response if it goes out early (SEMANTICS 121). Gives the end where these are the
    /// reply: it failed, or ended, or the client wants no more than the head. The call upstream is to be dropped then.
    pub fn take_headers<'r, H: Iterator<Item = Pair<'r>>>(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        reply: &ReplyHead<impl Fn() -> H>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Option<End> {
        let ReplyHead {
            http_status,
            headers,
            ends_stream,
        } = reply;
        match read_headers(*http_status, headers(), *ends_stream) {
            Err(status) => {
                let headers = headers().collect();
                let metadata = answer::collect(*http_status, headers, *ends_stream, None);
                let failure = status.into();
                Some(self.fail_with(transcoder, envelope, &failure, &metadata, scratch, out))
            }
            Ok(ReplyHeaders::EndedOk) => {
                self.keep(headers());
                Some(self.end(transcoder, envelope, std::iter::empty, scratch, out))
            }
            Ok(ReplyHeaders::Follow) => {
                let is_head = envelope.answers_head && !self.messages.is_raw();
                let waits = transcoder.manners.streams.head == StreamHead::WithFirst && !is_head;
                // The type of raw bytes stands in the first message.
                if waits || self.messages.is_raw() {
                    self.keep(headers());
                    return None;
                }
                let has_body = self.begin(transcoder, envelope, headers, scratch, out);
                (!has_body).then(|| self.over(envelope))
            }
        }
    }

    /// Takes bytes of the upstream's body, cut anywhere, and appends what becomes of them, a chunk for each message. Gives the end if they are at fault, which has
    /// been told to the client then as far as it can be.
    pub fn push(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        piece: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Option<End> {
        if self.stage == Stage::Over {
            return Some(End::Abort);
        }
        let start = out.len();
        let written = self.write_messages(transcoder, envelope, piece, scratch, out);
        if let Err(error) = written {
            // Messages before the one at fault have been taken from upstream in order, and go out in order.
            if self.stage == Stage::Awaited && self.begun_count == 0 {
                out.truncate(start);
            } else if let Some(end) = self.begin_late(transcoder, envelope, start, scratch, out) {
                return Some(end);
            }
            return Some(self.fail(transcoder, envelope, error, scratch, out));
        }
        if self.begun_count == 0 {
            return None;
        }
        self.begin_late(transcoder, envelope, start, scratch, out)
    }

    /// Takes the upstream's trailers, and appends the end of the response: that of the framing, or the error that they say. Without any, the
    /// reply has been cut.
    pub fn finish<'r, T: Iterator<Item = Pair<'r>>>(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        trailers: impl Fn() -> T,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> End {
        let failure = match read_trailers(trailers()) {
            Err(status) => Failure::from(status),
            Ok(()) => match self.messages.check_end() {
                Ok(()) => return self.end(transcoder, envelope, trailers, scratch, out),
                Err(error) => error.into(),
            },
        };
        let waiting = self.waiting.take().unwrap_or_default();
        let metadata = Metadata {
            headers: waiting.pairs().collect(),
            trailers: trailers().collect(),
        };
        self.fail_with(transcoder, envelope, &failure, &metadata, scratch, out)
    }

    /// Ends the response for a reply that does not come to its end: a lost connection, a deadline, a request that went wrong.
    pub fn fail(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        failure: impl Into<Failure>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> End {
        let metadata = Metadata::default();
        let failure = failure.into();
        self.fail_with(transcoder, envelope, &failure, &metadata, scratch, out)
    }

    /// Appends what shows that a stream of events is alive (SEMANTICS 128), if there is one.
    pub fn keep_alive(&self, envelope: &Envelope, out: &mut Vec<u8>) {
        let is_events = self.layout.framing == Framing::Events && !self.messages.is_raw();
        if is_events && self.stage == Stage::Begun && !self.is_inside {
            let chunk = open_chunk(envelope, out);
            out.extend_from_slice(b": keep-alive\n\n");
            close_chunk(chunk, out);
        }
    }

    /// Appends what becomes of a piece. After an error what was written of the message at fault has been taken back, but for what went out earlier.
    ///
    /// Each message is a chunk of its own, unless it is long and cut, and not wrapped: there are clients that parse chunk by chunk what they know from
    /// grpc-gateway, though nothing promises them borders (`etcd3gw` does).
    fn write_messages(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        piece: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut rest = piece;
        while !rest.is_empty() {
            let at = out.len();
            let chunk = open_chunk(envelope, out);
            if !self.is_inside {
                self.open_message(out);
            }
            let pushed = self.messages.push(transcoder, rest, scratch, out);
            let pushed = match pushed {
                Ok(pushed) => pushed,
                Err(error) => {
                    out.truncate(at);
                    return Err(error);
                }
            };
            if pushed.is_first {
                self.begun_count += 1;
                self.is_inside = true;
            } else if !self.is_inside {
                out.truncate(at);
            }
            if pushed.is_last {
                self.is_inside = false;
                self.close_message(out);
            }
            close_chunk(chunk, out);
            rest = rest.get(pushed.used..).unwrap_or_default();
        }
        Ok(())
    }

    fn open_message(&self, out: &mut Vec<u8>) {
        if self.messages.is_raw() {
            return;
        }
        match self.layout.framing {
            Framing::Array if self.begun_count == 0 => out.push(b'['),
            Framing::Array => out.push(b','),
            Framing::Lines => {}
            Framing::Wrapped => out.extend_from_slice(b"{\"result\":"),
            Framing::Events => {
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(digits.format(self.begun_count + 1).as_bytes());
                out.extend_from_slice(b"\ndata: ");
            }
        }
    }

    fn close_message(&self, out: &mut Vec<u8>) {
        if self.messages.is_raw() {
            return;
        }
        out.extend_from_slice(match self.layout.framing {
            Framing::Array => b"",
            Framing::Lines => b"\n",
            Framing::Wrapped => b"}\n",
            Framing::Events => b"\n\n",
        });
    }

    /// Keeps headers until the head is written.
    #[expect(
        single_use_lifetimes,
        reason = "anonymous lifetimes in impl Trait are unstable"
    )]
    fn keep<'r>(&mut self, headers: impl Iterator<Item = Pair<'r>>) {
        self.waiting = Some(Waiting {
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        });
    }

    /// Puts the head before what has been written from `start` on, if it is not out yet. Gives the end if there is to be no body.
    fn begin_late(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        start: usize,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Option<End> {
        if self.stage == Stage::Begun {
            return None;
        }
        let waiting = self.waiting.take().unwrap_or_default();
        let mut head = Vec::new();
        let headers = || waiting.pairs();
        if self.begin(transcoder, envelope, &headers, scratch, &mut head) {
            out.splice(start..start, head);
            return None;
        }
        out.truncate(start);
        out.extend_from_slice(&head);
        Some(self.over(envelope))
    }

    /// Appends the head of the response, and says whether a body follows.
    fn begin<'r, H: Iterator<Item = Pair<'r>>>(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        headers: &impl Fn() -> H,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> bool {
        let manners = &transcoder.manners;
        let status = manners
            .chosen_status(headers())
            .unwrap_or_else(|| self.messages.call().success_status(transcoder));
        let is_raw = self.messages.is_raw();
        let content_type = if is_raw {
            Some(self.messages.content_type())
                .filter(|value| !value.is_empty() && metadata::is_printable(value))
        } else {
            Some(self.layout.content_type)
        };
        let has_body = !envelope.answers_head && !matches!(status, 204 | 205 | 304);
        let mut head = envelope.head(status, content_type);
        if has_body && !envelope.takes_chunks {
            head.connection = http1::Connection::Close;
        }
        let mut head = http1::begin_stream(out, &head, envelope.takes_chunks);
        if let Some(cors) = &manners.cors {
            cors.write_headers(&envelope.reader, &mut head, out);
        }
        let is_events = !is_raw && self.layout.framing == Framing::Events;
        if is_events {
            head.header(out, b"cache-control", b"no-cache");
        }
        let name_text = &mut scratch.metadata.name;
        let headers = headers().filter(|(name, _)| !is_events || *name != b"cache-control");
        manners.write_headers(headers, name_text, None, &mut head, out);
        head.end_head(out);
        self.stage = Stage::Begun;
        if has_body
            && is_events
            && let Some(retry) = manners.streams.retry
        {
            let chunk = open_chunk(envelope, out);
            let mut digits = itoa::Buffer::new();
            out.extend_from_slice(b"retry: ");
            out.extend_from_slice(digits.format(retry.as_millis()).as_bytes());
            out.extend_from_slice(b"\n\n");
            close_chunk(chunk, out);
        }
        has_body
    }

    /// Appends the end of a response that succeeded.
    fn end<'r, T: Iterator<Item = Pair<'r>>>(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        trailers: impl Fn() -> T,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> End {
        if self.stage == Stage::Over {
            return End::Abort;
        }
        let start = out.len();
        if let Some(end) = self.begin_late(transcoder, envelope, start, scratch, out) {
            return end;
        }
        if self.layout.framing == Framing::Array && !self.messages.is_raw() {
            let chunk = open_chunk(envelope, out);
            out.extend_from_slice(if self.begun_count == 0 { b"[]" } else { b"]" });
            close_chunk(chunk, out);
        }
        close(transcoder, envelope, trailers(), None, scratch, out);
        self.over(envelope)
    }

    /// Ends the response with an error, where it can be seen.
    #[cold]
    fn fail_with(
        &mut self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        failure: &Failure,
        metadata: &Metadata<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> End {
        let status = &failure.status;
        let answer = Answer::of_status(transcoder, status, failure.http_status, metadata);
        match self.stage {
            Stage::Over => return End::Abort,
            // SEMANTICS 122.
            Stage::Awaited => {
                // grpc-gateway answers to a request that it cannot read as to one that does not stream.
                let is_of_request = failure.http_status.is_some_and(|status| status < 500);
                let is_wrapped = self.layout.framing == Framing::Wrapped
                    && !self.messages.is_raw()
                    && !is_of_request;
                answer
                    .in_stream(is_wrapped)
                    .write(transcoder, envelope, scratch, out);
                self.stage = Stage::Over;
                return End::Whole;
            }
            Stage::Begun => {}
        }
        let is_reset = transcoder.manners.streams.errors == StreamErrors::Reset;
        // SEMANTICS 123: half a message, and bytes that may be anything, are not to be followed by words.
        if self.is_inside || self.messages.is_raw() || is_reset {
            self.stage = Stage::Over;
            return End::Abort;
        }
        let chunk = open_chunk(envelope, out);
        match self.layout.framing {
            Framing::Array => {
                out.push(if self.begun_count == 0 { b'[' } else { b',' });
                answer.write_in_stream(transcoder, scratch, out);
                out.push(b']');
            }
            Framing::Lines | Framing::Wrapped => {
                answer.write_in_stream(transcoder, scratch, out);
                out.push(b'\n');
            }
            Framing::Events => {
                out.extend_from_slice(b"event: error\ndata: ");
                answer.write_body(transcoder, scratch, out);
                out.extend_from_slice(b"\n\n");
            }
        }
        close_chunk(chunk, out);
        let trailers = metadata.trailers.iter().copied();
        close(transcoder, envelope, trailers, Some(status), scratch, out);
        self.over(envelope)
    }

    fn over(&mut self, envelope: &Envelope) -> End {
        self.stage = Stage::Over;
        if envelope.takes_chunks || envelope.answers_head {
            End::Whole
        } else {
            End::Closing
        }
    }
}

/// Ends a body, with the trailers that go on to who asks for them (SEMANTICS 131), and the status of one that failed (123).
#[expect(
    single_use_lifetimes,
    reason = "anonymous lifetimes in impl Trait are unstable"
)]
fn close<'r>(
    transcoder: &Transcoder,
    envelope: &Envelope,
    trailers: impl Iterator<Item = Pair<'r>>,
    status: Option<&Status>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    if !envelope.takes_chunks {
        return;
    }
    let mut pending = http1::end_chunks(out);
    if envelope.takes_trailers {
        let manners = &transcoder.manners;
        manners.write_trailers(trailers, &mut scratch.metadata.name, &mut pending, out);
        if let Some(status) = status {
            let name: &[u8] = match manners.headers {
                HeaderRule::Transom => b"grpc-status",
                HeaderRule::GrpcGateway => b"grpc-trailer-grpc-status",
            };
            let mut digits = itoa::Buffer::new();
            pending.trailer(out, name, digits.format(status.code).as_bytes());
        }
    }
    pending.finish(out);
}

/// Begins a chunk, if the client knows chunks.
fn open_chunk(envelope: &Envelope, out: &mut Vec<u8>) -> Option<usize> {
    envelope.takes_chunks.then(|| http1::open_chunk(out))
}

fn close_chunk(chunk: Option<usize>, out: &mut Vec<u8>) {
    if let Some(at) = chunk {
        http1::close_chunk(out, at);
    }
}

impl Waiting {
    fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }
}
