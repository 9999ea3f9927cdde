//! The replies of a call as messages of a WebSocket (SEMANTICS 127). In: headers, pieces of the body and trailers of an upstream. Out: one text after the
//! other, or what went wrong. Always: a text is whole before it is sent; an error is a message of its own.

use super::super::crossing::Pair;
use super::super::{Call, Scratch, Transcoder};
use super::Failure;
use super::framing::Framing;
use super::messages::{Messages, Pushed};
use super::replies::ReplyHead;
use crate::error::{Error, ErrorKind};
use crate::grpc::status::{ReplyHeaders, read_headers};

/// The replies of a call as messages of a WebSocket. It borrows nothing and lives as long as the stream; it belongs to the transcoder that its call
/// belongs to.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("streams.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Schema, exchange::{Failure, Manners, Request, Scratch, Transcoder}, http1::RequestHead};
///
/// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
/// let (mut head, mut scratch, mut text) = (RequestHead::new(), Scratch::default(), Vec::new());
/// let request = b"GET /v1/watch/n HTTP/1.1\r\nHost: a.example\r\n\r\n";
/// head.parse(request)?;
/// let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { return Err("OPTIONS".into()) };
/// let mut messages = call.socket_replies(&transcoder);
///
/// let (mut piece, mut frames) = (&b"\0\0\0\0\x05\x0a\x03Ada\0\0\0\0\0\0"[..], Vec::new());
/// while !piece.is_empty() {
///     let pushed = messages.push(&transcoder, piece, &mut scratch, &mut text).map_err(|failure| failure.status().message.clone())?;
///     piece = &piece[pushed.used..];
///     if pushed.is_last {
///         frames.push(std::mem::take(&mut text));
///     }
/// }
/// assert_eq!(frames.len(), 2);
/// let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", b"0")];
/// let cut = messages.finish(trailers.into_iter()).unwrap_err();
/// cut.write_json(&transcoder, &mut scratch, &mut text);
/// assert!(text.starts_with(br#"{"error":{"code":13,"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SocketReplies {
    messages: Messages,
    /// Whether a message is the member `result` of an object, as grpc-websocket-proxy sends what grpc-gateway writes.
    is_wrapped: bool,
    /// Whether there is exactly one.
    is_one: bool,
    is_inside: bool,
}

impl Call {
    /// Begins the replies that go into a WebSocket.
    pub fn socket_replies(&self, transcoder: &Transcoder) -> SocketReplies {
        let streams = &transcoder.manners.streams;
        let is_one = !self.kind(transcoder).has_replies();
        SocketReplies {
            messages: self.messages(transcoder),
            is_wrapped: streams.forced.unwrap_or(streams.framing) == Framing::Wrapped && !is_one,
            is_one,
            is_inside: false,
        }
    }
}

impl SocketReplies {
    /// Whether the messages are bytes and no text.
    pub const fn is_raw(&self) -> bool {
        self.messages.is_raw()
    }

    /// Takes the upstream's headers, and says whether messages and trailers follow.
    ///
    /// # Errors
    /// The call failed already.
    pub fn take_headers<'r, H: Iterator<Item = Pair<'r>>>(
        &self,
        reply: &ReplyHead<impl Fn() -> H>,
    ) -> Result<bool, Failure> {
        let headers = (reply.headers)();
        let read = read_headers(reply.http_status, headers, reply.ends_stream)?;
        let has_ended = read == ReplyHeaders::EndedOk;
        if has_ended {
            self.check_count()?;
        }
        Ok(!has_ended)
    }

    /// Takes bytes of the upstream's body up to the end of a message. `out` holds the whole text when `is_last` says so; until then it has to stay.
    ///
    /// # Errors
    /// A message that is too large, no protobuf, or has no JSON form.
    pub fn push(
        &mut self,
        transcoder: &Transcoder,
        piece: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Pushed, Failure> {
        let is_wrapped = self.is_wrapped && !self.is_raw();
        if is_wrapped && !self.is_inside {
            out.extend_from_slice(b"{\"result\":");
        }
        self.is_inside = true;
        let pushed = self.messages.push(transcoder, piece, scratch, out)?;
        if pushed.is_last {
            self.is_inside = false;
            if is_wrapped {
                out.push(b'}');
            }
        }
        Ok(pushed)
    }

    /// Takes the upstream's trailers.
    ///
    /// # Errors
    /// What they say went wrong, or that the reply has been cut.
    #[expect(
        single_use_lifetimes,
        reason = "anonymous lifetimes in impl Trait are unstable"
    )]
    pub fn finish<'r>(&self, trailers: impl Iterator<Item = Pair<'r>>) -> Result<(), Failure> {
        self.messages.read_trailers(trailers)?;
        self.check_count()
    }

    fn check_count(&self) -> Result<(), Failure> {
        if self.is_one && self.messages.ended_count() != 1 {
            return Err(Error::reply(ErrorKind::ReplyCount, 0).into());
        }
        Ok(())
    }
}
