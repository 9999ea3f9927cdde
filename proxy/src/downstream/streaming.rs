//! One exchange whose messages are passed on as they come. In: a call that streams, and the connection of its client. Out: the response, and whether
//! another request may follow.
//! Always: both directions run in one task, and none waits for the other; a write under way is never given up but with the connection; a client
//! that leaves ends the call at once (SEMANTICS 126); what a client does not read stays with the upstream, and the other way round.
//!
//! ```text
//!   upload     inlet ──▶ body without its framing ──▶ framed messages ──▶ the upstream's window
//!                 └─ then: notices a client that leaves
//!   answer     the upstream's bytes ──▶ response ──▶ written ──▶ the window is given back
//!                 └─ looks for a fault of the upload whenever it waits
//! ```

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use transom_engine::Error;
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{End, Envelope, Failure, Replies, Requests};
use transom_engine::http1::{BodyFraming, ChunkedBody};

use super::inlet::{Inlet, ReadDone};
use super::outlet::{write, write_and_trim};
use crate::buffers::SharedBuffer;
use crate::clock::{self, Instant};
use crate::limits::{
    IDLE_READ_LEN_MAX, PIPELINE_LEN_MAX, STREAM_IDLE_TIMEOUT, STREAM_SEND_LEN, STREAM_WRITE_LEN,
};
use crate::net::{Elapsed, WriteHalf, timeout};
use crate::relay::{Context, Directions, Outgoing, ends_of, failure_of, is_late, is_long};
use crate::upstream::{Answer, CallError, Carriage, ReceiveHalf, Received, SendHalf};

/// The connection of a client, as far as a stream needs it.
pub(super) struct Carrier<'c, 'p, F> {
    pub(super) inlet: &'c mut Inlet<'p, F>,
    pub(super) writer: &'c mut WriteHalf,
    /// Bytes that are still to be written, of earlier answers too.
    pub(super) out: &'c mut Vec<u8>,
    pub(super) context: &'c Context,
    pub(super) envelope: Envelope,
}

/// How an exchange ended. The last of its response is in [`Carrier::out`].
pub(super) struct Carried {
    /// Whether the response is whole; if not, the connection has to end before its last chunk.
    pub(super) is_whole: bool,
    /// Whether another request may follow: the response says so, and all of this one was read.
    pub(super) keeps_open: bool,
}

/// The body of a client stream, as much of it as is still to come.
pub(super) enum Incoming {
    /// So many bytes.
    Sized(u64),
    Chunked(Box<Chunks>),
}

/// A body in chunks.
pub(super) struct Chunks {
    decoder: ChunkedBody,
    /// What was in the chunks that are here, until it is converted.
    plain: Vec<u8>,
    is_done: bool,
}

impl Incoming {
    /// The body of a request of which nothing but the head has been used.
    pub(super) fn of(framing: BodyFraming) -> Self {
        match framing {
            BodyFraming::None => Self::Sized(0),
            BodyFraming::Length(len) => Self::Sized(len),
            BodyFraming::Chunked => Self::Chunked(Box::new(Chunks {
                decoder: ChunkedBody::of_stream(),
                plain: Vec::new(),
                is_done: false,
            })),
        }
    }

    /// Whether all of it has come, and is so short that any upstream takes it at once.
    fn is_here(&self, here_len: usize) -> bool {
        match self {
            Self::Sized(rest) => {
                usize::try_from(*rest).is_ok_and(|rest| rest <= here_len.min(STREAM_SEND_LEN))
            }
            Self::Chunked(_) => false,
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Sized(rest) => *rest == 0,
            Self::Chunked(chunks) => chunks.is_done,
        }
    }
}

/// What the two directions tell each other.
struct StreamState {
    /// Why the request cannot go on.
    fault: Cell<Option<Failure>>,
    /// When the upstream last sent something.
    heard_at: Cell<Instant>,
    is_request_read: Cell<bool>,
}

/// Carries an exchange to its end. An error means that the client is gone.
pub(super) async fn carry<F: Future<Output = ReadDone>>(
    carrier: Carrier<'_, '_, F>,
    outgoing: Outgoing,
    streams: Directions,
    incoming: Incoming,
) -> io::Result<Carried> {
    let Carrier {
        inlet,
        writer,
        out,
        context,
        envelope,
    } = carrier;
    // Whatever was answered before, or promised, goes out before anything is waited for.
    write(writer, out).await?;
    let state = StreamState {
        fault: Cell::new(None),
        heard_at: Cell::new(clock::now()),
        is_request_read: Cell::new(false),
    };
    let answering = Answering {
        state: &state,
        context,
        envelope,
        writer,
        out,
    };
    let (requests, replies) = match streams {
        Directions::Replies(replies) => {
            state.is_request_read.set(true);
            let started = unless_gone(inlet, context.start(&outgoing)).await?;
            context.recycle(outgoing);
            let begun = started.map(|(answer, receiver)| (receiver, Some(answer)));
            let answered = answering.with_stream(replies, begun);
            return side_by_side(until_gone(inlet), answered).await?;
        }
        Directions::Requests(requests) => (requests, None),
        Directions::BothWays(requests, replies) => (requests, Some(replies)),
    };
    let carriage = if incoming.is_here(inlet.bytes().len()) {
        Carriage::Shared
    } else {
        Carriage::Own
    };
    let opened = unless_gone(inlet, context.open(&outgoing, carriage)).await?;
    let (sender, begun) = match opened {
        Ok((sender, receiver)) => (Some(sender), Ok((receiver, None))),
        Err(error) => (None, Err(error)),
    };
    let upload = Upload {
        inlet,
        incoming,
        requests,
        sender,
        buffer: SharedBuffer::new(),
        context,
        state: &state,
    };
    let Some(replies) = replies else {
        let answered = answering.with_one(outgoing, begun);
        return side_by_side(upload.run(), answered).await;
    };
    context.recycle(outgoing);
    let answered = answering.with_stream(replies, begun);
    side_by_side(upload.run(), answered).await?
}

/// Polls both directions until the answer is there, or the client gone, which is all that ends the other one.
pub(super) async fn side_by_side<T>(
    upload: impl Future<Output = io::Error>,
    answer: impl Future<Output = T>,
) -> io::Result<T> {
    let (mut upload, mut answer) = (pin!(upload), pin!(answer));
    poll_fn(|task| {
        // First, so that a fault of the request is seen at once.
        if let Poll::Ready(gone) = upload.as_mut().poll(task) {
            return Poll::Ready(Err(gone));
        }
        answer.as_mut().poll(task).map(Ok)
    })
    .await
}

/// Does something while the client is watched (SEMANTICS 126).
pub(super) async fn unless_gone<F: Future<Output = ReadDone>, T>(
    inlet: &mut Inlet<'_, F>,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    side_by_side(until_gone(inlet), work).await
}

async fn until_gone<F: Future<Output = ReadDone>>(inlet: &mut Inlet<'_, F>) -> io::Error {
    poll_fn(|task| inlet.poll_gone(task, PIPELINE_LEN_MAX)).await;
    io::ErrorKind::ConnectionAborted.into()
}

/// The direction to the upstream.
struct Upload<'u, 'p, F> {
    inlet: &'u mut Inlet<'p, F>,
    incoming: Incoming,
    requests: Box<Requests>,
    /// `None` if there is no call.
    sender: Option<SendHalf>,
    /// Framed messages that are being sent.
    buffer: SharedBuffer,
    context: &'u Context,
    state: &'u StreamState,
}

/// Why no more of a request is sent.
enum UploadEnd {
    /// The client has left.
    Gone(io::Error),
    /// The request is wrong.
    Fault(Failure),
    /// The upstream takes no more. The other direction learns why.
    Refused,
}

impl From<Failure> for UploadEnd {
    fn from(failure: Failure) -> Self {
        Self::Fault(failure)
    }
}

impl From<Error> for UploadEnd {
    fn from(error: Error) -> Self {
        Self::Fault(error.into())
    }
}

impl<F: Future<Output = ReadDone>> Upload<'_, '_, F> {
    /// Sends what the client sends, ends the request, then watches the client. Says why it is gone.
    async fn run(mut self) -> io::Error {
        let stopped = self.send_all().await;
        let Self {
            inlet,
            incoming,
            requests,
            sender,
            buffer,
            state,
            ..
        } = self;
        // The answer may take hours from here.
        drop((incoming, requests, buffer));
        match stopped {
            Err(UploadEnd::Gone(error)) => return error,
            Err(UploadEnd::Fault(failure)) => {
                state.fault.set(Some(failure));
                // The answer to it ends the exchange, and whether the client stays for it is seen when it is written.
                return pending().await;
            }
            Ok(()) => {
                state.is_request_read.set(true);
                // SEMANTICS 125: this is not the end of the answer. If it fails, the other direction learns why.
                let _refused = sender.map(SendHalf::finish);
            }
            // The half is kept for as long as the call is: what it was refused for may be a good end.
            Err(UploadEnd::Refused) => {}
        }
        until_gone(inlet).await
    }

    async fn send_all(&mut self) -> Result<(), UploadEnd> {
        loop {
            self.send_what_is_here().await?;
            if self.incoming.is_done() {
                break;
            }
            // Some may have come while the upstream was waited for.
            if self.inlet.bytes().is_empty() {
                self.wait_for_more().await?;
            }
            self.inlet.take_turns().await;
        }
        let messages = self.buffer.start();
        self.context.finish_requests(&mut self.requests, messages)?;
        self.send().await
    }

    /// Converts and sends all that has come of the body.
    async fn send_what_is_here(&mut self) -> Result<(), UploadEnd> {
        loop {
            let is_more_here = match &mut self.incoming {
                Incoming::Sized(rest) => {
                    let bytes = self.inlet.bytes();
                    let len =
                        usize::try_from(*rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
                    let piece = bytes.get(..len).unwrap_or_default();
                    let messages = self.buffer.start();
                    let used_len =
                        self.context
                            .push_request(&mut self.requests, piece, messages)?;
                    self.inlet.consume(used_len);
                    *rest -= used_len as u64;
                    used_len < len
                }
                Incoming::Chunked(chunks) => {
                    if chunks.plain.is_empty() && !chunks.is_done {
                        let bytes = self.inlet.bytes();
                        let decoded =
                            chunks
                                .decoder
                                .decode(bytes, &mut chunks.plain, usize::MAX)?;
                        self.inlet.consume(decoded.consumed);
                        chunks.is_done = decoded.is_done;
                    }
                    let messages = self.buffer.start();
                    let used_len =
                        self.context
                            .push_request(&mut self.requests, &chunks.plain, messages)?;
                    chunks.plain.drain(..used_len);
                    !chunks.plain.is_empty()
                }
            };
            self.send().await?;
            if !is_more_here {
                return Ok(());
            }
        }
    }

    /// Sends what is in the buffer, as the upstream has room, while the client is watched. Not for ever: an end that waits in the client's own kernel,
    /// behind bytes for which ours has no room, is seen by nobody.
    async fn send(&mut self) -> Result<(), UploadEnd> {
        let sender = self.sender.as_mut().ok_or(UploadEnd::Refused)?;
        if self.buffer.as_slice().is_empty() {
            return Ok(());
        }
        let since = clock::now();
        let mut sending = pin!(unless_gone(self.inlet, sender.send(self.buffer.share())));
        loop {
            let quiet_since = since.max(self.state.heard_at.get());
            let Some(rest) = rest_of_patience(quiet_since, clock::now()) else {
                return Err(failure_of(CallError::DeadlineExceeded).into());
            };
            match timeout(rest, sending.as_mut()).await {
                Ok(Ok(Ok(()))) => break,
                Ok(Ok(Err(_refused))) => return Err(UploadEnd::Refused),
                Ok(Err(gone)) => return Err(UploadEnd::Gone(gone)),
                Err(Elapsed) => {}
            }
        }
        // More may be long in coming.
        self.buffer.trim();
        Ok(())
    }

    /// Waits for more of the body. Silence is no fault of a client that is being answered.
    async fn wait_for_more(&mut self) -> Result<(), UploadEnd> {
        let since = clock::now();
        self.inlet.expect(IDLE_READ_LEN_MAX);
        loop {
            let quiet_since = since.max(self.state.heard_at.get());
            let Some(rest) = rest_of_patience(quiet_since, clock::now()) else {
                return Err(Error::request(ErrorKind::RequestTimeout).into());
            };
            match timeout(rest, self.inlet.more()).await {
                Ok(Ok(1..)) => return Ok(()),
                // Cut in the middle: there is nobody to answer.
                Ok(Ok(0)) => return Err(UploadEnd::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(Err(error)) => return Err(UploadEnd::Gone(error)),
                Err(Elapsed) => {}
            }
        }
    }
}

/// How much longer nothing may happen; nothing when the time is up.
fn rest_of_patience(quiet_since: Instant, now: Instant) -> Option<Duration> {
    let quiet = now.saturating_duration_since(quiet_since);
    STREAM_IDLE_TIMEOUT
        .checked_sub(quiet)
        .filter(|rest| !rest.is_zero())
}

/// The direction from the upstream.
struct Answering<'a> {
    state: &'a StreamState,
    context: &'a Context,
    envelope: Envelope,
    writer: &'a mut WriteHalf,
    out: &'a mut Vec<u8>,
}

/// A call that was begun, with its answer's headers if they were waited for already.
type Begun = Result<(ReceiveHalf, Option<Answer>), CallError>;

/// What comes next from the upstream.
enum Next {
    Bytes(Received),
    End,
    Failed(Failure),
    /// Nothing for as long as the client may be left without a sign.
    Quiet,
}

impl Answering<'_> {
    /// Gathers the one message of an answer and responds to it.
    async fn with_one(mut self, outgoing: Outgoing, begun: Begun) -> Carried {
        let gathered = async {
            let (mut receiver, _) = begun?;
            let answer = receiver.answer().await?;
            let reply = receiver.reply(answer).await?;
            if is_late(&receiver, ends_of(&reply)) {
                return Err(CallError::DeadlineExceeded);
            }
            Ok(reply)
        };
        let reply = unless_fault(self.state, gathered).await;
        self.close_if_unread();
        let envelope = self.envelope.clone();
        match reply {
            Ok(Ok(reply)) if is_long(&reply, &envelope) => {
                let finished = self
                    .context
                    .finish_long(outgoing, envelope, reply, self.out);
                if Box::pin(finished).await.is_err() {
                    return self.carried(End::Abort);
                }
            }
            Ok(reply) => self.context.finish(outgoing, envelope, reply, self.out),
            Err(fault) => {
                self.context.write_failure(envelope, &fault, self.out);
                self.context.recycle(outgoing);
            }
        }
        self.carried(End::Whole)
    }

    /// Responds with messages as they come. Its last bytes are not written yet.
    async fn with_stream(mut self, mut replies: Box<Replies>, begun: Begun) -> io::Result<Carried> {
        let (mut receiver, answer) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(self.fail(replies, failure_of(error))),
        };
        let answer = match answer {
            Some(answer) => answer,
            None => match unless_fault(self.state, receiver.answer()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Ok(self.fail(replies, failure_of(error))),
                Err(fault) => return Ok(self.fail(replies, fault)),
            },
        };
        self.close_if_unread();
        if is_late(&receiver, &answer.headers) {
            return Ok(self.fail(replies, failure_of(CallError::DeadlineExceeded)));
        }
        let ended = self
            .context
            .take_headers(&mut replies, &self.envelope, &answer, self.out);
        if let Some(end) = ended {
            return Ok(self.carried(end));
        }
        self.pass_on(replies, receiver).await
    }

    /// Passes messages on until there are no more.
    async fn pass_on(
        mut self,
        mut replies: Box<Replies>,
        mut receiver: ReceiveHalf,
    ) -> io::Result<Carried> {
        let keep_alive = self.context.keep_alive_of(&replies);
        // Bytes whose window is not given back yet.
        let mut taken_len = 0;
        loop {
            let mut next = poll_fn(|task| Poll::Ready(self.poll_next(&mut receiver, task))).await;
            if next.is_pending() || self.out.len() >= STREAM_WRITE_LEN {
                write_and_trim(self.writer, self.out).await?;
                // Only now: a client that does not read stops its upstream (SEMANTICS 126, THREATS E8).
                receiver.release(std::mem::take(&mut taken_len));
            }
            if next.is_pending() {
                next = Poll::Ready(self.next(&mut receiver, keep_alive).await);
            }
            let Poll::Ready(next) = next else { continue };
            match next {
                Next::Bytes(bytes) => {
                    taken_len += bytes.len();
                    self.state.heard_at.set(clock::now());
                    let envelope = &self.envelope;
                    let ended = self
                        .context
                        .push_reply(&mut replies, envelope, &bytes, self.out);
                    if let Some(end) = ended {
                        return Ok(self.carried(end));
                    }
                }
                Next::Quiet => replies.keep_alive(&self.envelope, self.out),
                Next::Failed(failure) => return Ok(self.fail(replies, failure)),
                Next::End => return Ok(self.finish(replies, receiver).await),
            }
        }
    }

    async fn finish(mut self, mut replies: Box<Replies>, mut receiver: ReceiveHalf) -> Carried {
        let trailers = match receiver.trailers().await {
            Ok(trailers) => trailers,
            Err(error) => return self.fail(replies, failure_of(error)),
        };
        if trailers
            .as_ref()
            .is_some_and(|ends| is_late(&receiver, ends))
        {
            return self.fail(replies, failure_of(CallError::DeadlineExceeded));
        }
        let trailers = trailers.as_ref();
        let end = self
            .context
            .finish_replies(&mut replies, &self.envelope, trailers, self.out);
        self.carried(end)
    }

    /// The next of an answer, as soon as it is there.
    async fn next(&self, receiver: &mut ReceiveHalf, keep_alive: Option<Duration>) -> Next {
        let next = poll_fn(|task| self.poll_next(receiver, task));
        match keep_alive {
            Some(limit) => timeout(limit, next).await.unwrap_or(Next::Quiet),
            None => next.await,
        }
    }

    fn poll_next(&self, receiver: &mut ReceiveHalf, task: &mut Task<'_>) -> Poll<Next> {
        if let Some(fault) = self.state.fault.take() {
            return Poll::Ready(Next::Failed(fault));
        }
        Poll::Ready(match ready!(receiver.poll_bytes(task)) {
            Some(Ok(bytes)) => Next::Bytes(bytes),
            Some(Err(error)) => Next::Failed(failure_of(error)),
            None => Next::End,
        })
    }

    fn fail(&mut self, mut replies: Box<Replies>, failure: Failure) -> Carried {
        self.close_if_unread();
        let end = self
            .context
            .fail_replies(&mut replies, &self.envelope, failure, self.out);
        self.carried(end)
    }

    fn carried(&self, end: End) -> Carried {
        Carried {
            is_whole: end != End::Abort,
            keeps_open: end == End::Whole && self.envelope.keeps_open(),
        }
    }

    /// Whatever is said while the request goes on cannot promise that another one may follow.
    fn close_if_unread(&mut self) {
        if !self.state.is_request_read.get() {
            self.envelope = self.envelope.clone().closing();
        }
    }
}

/// Waits for the upstream, unless the request turns out to be wrong.
async fn unless_fault<T>(state: &StreamState, work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut work = pin!(work);
    poll_fn(|task| match state.fault.take() {
        Some(fault) => Poll::Ready(Err(fault)),
        None => work.as_mut().poll(task).map(Ok),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_may_be_silent_for_as_long_as_it_is_answered_and_a_while_longer() {
        let quiet_since = clock::now();
        let after = |passed| rest_of_patience(quiet_since, quiet_since + passed);
        assert_eq!(after(Duration::ZERO), Some(STREAM_IDLE_TIMEOUT));
        assert_eq!(
            after(STREAM_IDLE_TIMEOUT / 3),
            Some(STREAM_IDLE_TIMEOUT * 2 / 3)
        );
        assert_eq!(after(STREAM_IDLE_TIMEOUT), None);
        assert_eq!(after(STREAM_IDLE_TIMEOUT * 2), None);
    }
}
