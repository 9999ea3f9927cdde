//! One WebSocket (SEMANTICS 127). In: a call that streams, and the connection of its client, which has been told that the protocol changes. Out: messages
//! both ways, and a close frame that says why it ended.
//! Always: as in `streaming`, both directions run in one task and what is not read stays with its sender; a message of the client is whole before it is
//! converted, and has a limit; a client that gives no sign of life is left.
//!
//! ```text
//!   text or bytes ▶ one message, or several, or an array of them        no bytes at all ▶ the end of the requests
//!   {"name":"Ada"} ◀ one message        {"error":{..}} ◀ what went wrong, then the close frame
//! ```

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll};

use transom_engine::exchange::{Failure, Requests, SocketReplies};
use transom_engine::grpc::{Code, Status};
use transom_engine::limits::BODY_LEN_MAX;

use super::connection::{write, write_and_trim};
use super::inlet::{Inlet, ReadDone};
use super::streaming::{side_by_side, unless_gone};
use super::websocket::{Ending, Incoming, WebSocket};
use crate::buffers::SharedBuffer;
use crate::limits::{
    BUFFER_KEEP_LEN_MAX, BUSY_PAUSE, IDLE_READ_LEN_MAX, SOCKET_PING_COUNT_MAX, SOCKET_PING_GAP,
    STREAM_SEND_LEN, STREAM_WRITE_LEN,
};
use crate::net::{Elapsed, WriteHalf, sleep, timeout};
use crate::relay::{Context, Socket, failure_of, is_late};
use crate::upstream::{CallError, Carriage, ReceiveHalf, SendHalf};

/// The connection of a client, as far as a WebSocket needs it.
pub(super) struct Wires<'c, 'p, F> {
    pub(super) inlet: &'c mut Inlet<'p, F>,
    pub(super) writer: &'c mut WriteHalf,
    /// Bytes that are still to be written: the response that changes the protocol, and of earlier answers.
    pub(super) out: &'c mut Vec<u8>,
    pub(super) context: &'c Context,
}

/// What the two directions share.
struct Shared {
    frames: RefCell<WebSocket>,
    /// Why the requests cannot go on.
    fault: Cell<Option<Failure>>,
    /// Whether that is why the exchange ends.
    is_fault: Cell<bool>,
    /// Whether the upstream has been told that there are no more requests.
    are_requests_over: Cell<bool>,
    /// Whether the client has closed: nothing is to be sent but the answer to that.
    has_closed: Cell<bool>,
}

/// Carries a WebSocket to its end. The connection is of no use afterwards. An error means that the client is gone.
pub(super) async fn carry<F: Future<Output = ReadDone>>(
    wires: Wires<'_, '_, F>,
    mut socket: Socket,
) -> io::Result<()> {
    let Wires {
        inlet,
        writer,
        out,
        context,
    } = wires;
    write(writer, out).await?;
    let carriage = if socket.takes_many {
        Carriage::Own
    } else {
        Carriage::Shared
    };
    let opened = unless_gone(inlet, context.open(&socket.outgoing, carriage)).await?;
    let shared = Shared {
        frames: RefCell::new(WebSocket::new(BODY_LEN_MAX)),
        fault: Cell::new(None),
        is_fault: Cell::new(false),
        are_requests_over: Cell::new(false),
        has_closed: Cell::new(false),
    };
    let (sender, receiver) = match opened {
        Ok((sender, receiver)) => (Some(sender), Ok(receiver)),
        Err(error) => (None, Err(failure_of(error))),
    };
    let takes_many = socket.takes_many;
    let upload = Upload {
        inlet,
        requests: &mut socket.requests,
        takes_many,
        sender,
        buffer: SharedBuffer::new(),
        context,
        shared: &shared,
    };
    let answering = Answering {
        replies: &mut socket.replies,
        text: Vec::new(),
        context,
        shared: &shared,
        writer,
        out,
    };
    side_by_side(upload.run(), answering.run(receiver)).await?
}

/// The direction to the upstream.
struct Upload<'u, 'p, F> {
    inlet: &'u mut Inlet<'p, F>,
    requests: &'u mut Requests,
    /// Whether the method takes more than one message.
    takes_many: bool,
    /// `None` once the requests have ended, or if there is no call.
    sender: Option<SendHalf>,
    /// Framed messages that are being sent.
    buffer: SharedBuffer,
    context: &'u Context,
    shared: &'u Shared,
}

/// Why no more of the client's is read.
enum Stop {
    /// It has left.
    Gone(io::Error),
    /// It has closed.
    Closed,
    /// What it sent is wrong.
    Fault(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Fault(failure)
    }
}

impl<F: Future<Output = ReadDone>> Upload<'_, '_, F> {
    /// Sends what the client sends, and watches it for as long as the call goes on. Says why it is gone.
    async fn run(mut self) -> io::Error {
        match self.read_all().await {
            Stop::Gone(error) => return error,
            Stop::Closed => self.shared.has_closed.set(true),
            Stop::Fault(failure) => self.shared.fault.set(Some(failure)),
        }
        // The other direction ends the exchange, and cancels the call by that.
        pending().await
    }

    async fn read_all(&mut self) -> Stop {
        // What path and query say may be all there is to say.
        if self.requests.needs_no_body()
            && let Err(stop) = self.end().await
        {
            return stop;
        }
        loop {
            if let Err(stop) = self.take_what_is_here().await {
                return stop;
            }
            // Answers to pings are to be read too: else they would pile up here, for as long as a write may take.
            while self.shared.frames.borrow().output_len() >= STREAM_WRITE_LEN {
                sleep(BUSY_PAUSE).await;
            }
            if let Err(stop) = self.wait_for_more().await {
                return stop;
            }
            self.inlet.take_turns().await;
        }
    }

    /// Converts the messages that are whole, and sends them together: each frame of HTTP/2 that is short costs the upstream's patience, which is for
    /// all calls of the connection.
    async fn take_what_is_here(&mut self) -> Result<(), Stop> {
        let taken = loop {
            let next = self.shared.frames.borrow_mut().next();
            let taken = match next {
                None => break Ok(()),
                Some(Incoming::Closed) => break Err(Stop::Closed),
                Some(Incoming::Message(bytes)) => self.take(&bytes).await,
            };
            if taken.is_err() {
                break taken;
            }
        };
        // Those before one that is at fault have gone on.
        self.send().await.and(taken)
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), Stop> {
        if message.is_empty() {
            return self.end().await;
        }
        if self.shared.are_requests_over.get() {
            let words = "a message came behind the last one that the method takes";
            return Err(Failure::from(Status::new(Code::InvalidArgument, words)).into());
        }
        let mut rest = message;
        while !rest.is_empty() {
            let messages = self.buffer.more();
            let used_len = self.context.push_request(self.requests, rest, messages)?;
            rest = rest.get(used_len..).unwrap_or_default();
            self.send_if_full().await?;
        }
        let messages = self.buffer.more();
        self.context.end_request_text(self.requests, messages)?;
        self.send_if_full().await?;
        if self.takes_many {
            return Ok(());
        }
        self.end().await
    }

    /// Ends the requests. The replies may go on for as long as they like (SEMANTICS 125).
    async fn end(&mut self) -> Result<(), Stop> {
        if self.shared.are_requests_over.replace(true) {
            return Ok(());
        }
        let messages = self.buffer.more();
        self.context.finish_requests(self.requests, messages)?;
        if !self.takes_many && self.requests.count() == 0 {
            let words = "the method takes one message, and there is none";
            return Err(Failure::from(Status::new(Code::InvalidArgument, words)).into());
        }
        self.send().await?;
        if let Some(sender) = self.sender.take() {
            // If it fails, the other direction learns why.
            let _refused = sender.finish();
        }
        Ok(())
    }

    async fn send_if_full(&mut self) -> Result<(), Stop> {
        if self.buffer.as_slice().len() < STREAM_SEND_LEN {
            return Ok(());
        }
        self.send().await
    }

    /// Sends what is in the buffer, as the upstream has room, while the client is watched.
    async fn send(&mut self) -> Result<(), Stop> {
        if !self.takes_many && self.requests.count() > 1 {
            let words = "the method takes one message, and these are several";
            return Err(Failure::from(Status::new(Code::InvalidArgument, words)).into());
        }
        if let Some(sender) = self.sender.as_mut()
            && !self.buffer.as_slice().is_empty()
        {
            let sending = sender.send(self.buffer.share());
            // What is refused may be so for a good end, of which the other direction learns.
            let _sent = unless_gone(self.inlet, sending).await.map_err(Stop::Gone)?;
        }
        self.buffer.start();
        Ok(())
    }

    /// Waits for more bytes, unless some came while the upstream was waited for. One who is silent is asked for a sign of life.
    async fn wait_for_more(&mut self) -> Result<(), Stop> {
        let mut ping_count = 0;
        while self.inlet.bytes().is_empty() {
            self.inlet.expect(IDLE_READ_LEN_MAX);
            match timeout(SOCKET_PING_GAP, self.inlet.more()).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return Err(Stop::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(Err(error)) => return Err(Stop::Gone(error)),
                Err(Elapsed) if ping_count < SOCKET_PING_COUNT_MAX => {
                    ping_count += 1;
                    self.shared.frames.borrow_mut().ping();
                }
                Err(Elapsed) => return Err(Stop::Gone(io::ErrorKind::TimedOut.into())),
            }
        }
        let frames = &mut *self.shared.frames.borrow_mut();
        frames.feed(self.inlet.bytes());
        self.inlet.consume(usize::MAX);
        Ok(())
    }
}

/// The direction from the upstream.
struct Answering<'a> {
    replies: &'a mut SocketReplies,
    /// The message at hand.
    text: Vec<u8>,
    context: &'a Context,
    shared: &'a Shared,
    writer: &'a mut WriteHalf,
    out: &'a mut Vec<u8>,
}

/// How the replies end.
enum Ended {
    /// The call succeeded.
    Done,
    /// It did not, or a message was wrong.
    Failed(Failure),
    /// The client has closed.
    Closed,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What happens first.
enum Event<T> {
    Ready(T),
    /// Frames are to be written: an answer to a ping, or a ping.
    Output,
    Ended(Ended),
}

impl Answering<'_> {
    async fn run(mut self, begun: Result<ReceiveHalf, Failure>) -> io::Result<()> {
        let ended = match begun {
            Ok(receiver) => self.pass_on(receiver).await?,
            Err(failure) => failure.into(),
        };
        match ended {
            Ended::Done => self.shared.frames.borrow_mut().close(Ending::Done, ""),
            Ended::Failed(failure) => self.say(&failure),
            Ended::Closed => {}
        }
        self.flush().await
    }

    /// SEMANTICS 127: an error is a message, and the reason of the end.
    fn say(&mut self, failure: &Failure) {
        self.text.clear();
        self.context.write_error_message(failure, &mut self.text);
        let ending = if failure.http_status() < 500 && self.shared.is_fault.get() {
            Ending::BadMessage
        } else {
            Ending::Failed
        };
        let frames = &mut *self.shared.frames.borrow_mut();
        frames.send_text(&self.text);
        frames.close(ending, &failure.status().message);
    }

    /// Passes messages on until there are no more.
    async fn pass_on(&mut self, mut receiver: ReceiveHalf) -> io::Result<Ended> {
        let answer = match self.wait(receiver.answer()).await? {
            Ok(answer) => answer,
            Err(ended) => return Ok(ended),
        };
        let goes_on = answer
            .and_then(|answer| {
                if is_late(&receiver, &answer.headers) {
                    return Err(CallError::DeadlineExceeded);
                }
                Ok(answer)
            })
            .map_err(failure_of)
            .and_then(|answer| self.context.take_socket_headers(self.replies, &answer));
        match goes_on {
            Ok(true) => {}
            Ok(false) => return Ok(Ended::Done),
            Err(failure) => return Ok(failure.into()),
        }
        // Bytes whose window is not given back yet.
        let mut taken_len = 0;
        loop {
            // The upstream may have something at all times.
            if let Some(ended) = self.shared.ended() {
                return Ok(ended);
            }
            let here = poll_fn(|task| Poll::Ready(receiver.poll_bytes(task))).await;
            let waiting_len = self.shared.frames.borrow().output_len();
            if here.is_pending() || waiting_len >= STREAM_WRITE_LEN {
                self.flush().await?;
                // Only now: a client that does not read stops its upstream (SEMANTICS 126, THREATS E8).
                receiver.release(std::mem::take(&mut taken_len));
            }
            let next = match here {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    match self.wait(poll_fn(|task| receiver.poll_bytes(task))).await? {
                        Ok(next) => next,
                        Err(ended) => return Ok(ended),
                    }
                }
            };
            let pushed = match next {
                None => break,
                Some(Err(error)) => Err(failure_of(error)),
                Some(Ok(bytes)) => {
                    taken_len += bytes.len();
                    self.push(&bytes)
                }
            };
            if let Err(failure) = pushed {
                return Ok(failure.into());
            }
        }
        let trailers = match receiver.trailers().await {
            Ok(trailers) => trailers,
            Err(error) => return Ok(failure_of(error).into()),
        };
        if trailers
            .as_ref()
            .is_some_and(|ends| is_late(&receiver, ends))
        {
            return Ok(failure_of(CallError::DeadlineExceeded).into());
        }
        let finished = self.context.finish_socket(self.replies, trailers.as_ref());
        Ok(finished.map_or_else(Ended::Failed, |()| Ended::Done))
    }

    /// Makes frames of the messages that these bytes make whole.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let frames = &mut *self.shared.frames.borrow_mut();
        let mut rest = bytes;
        while !rest.is_empty() {
            let pushed = self
                .context
                .push_socket_reply(self.replies, rest, &mut self.text)?;
            if pushed.is_last {
                if self.replies.is_raw() {
                    frames.send_bytes(&self.text);
                } else {
                    frames.send_text(&self.text);
                }
                self.text.clear();
                self.text.shrink_to(BUFFER_KEEP_LEN_MAX);
            }
            rest = rest.get(pushed.used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for the upstream, while frames go out and the other direction is looked after.
    async fn wait<T>(&mut self, work: impl Future<Output = T>) -> io::Result<Result<T, Ended>> {
        let mut work = pin!(work);
        loop {
            let event = poll_fn(|task| self.shared.poll_with(work.as_mut(), task)).await;
            match event {
                Event::Ready(done) => return Ok(Ok(done)),
                Event::Ended(ended) => return Ok(Err(ended)),
                Event::Output => self.flush().await?,
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.shared.frames.borrow_mut().take_output(self.out);
        write_and_trim(self.writer, self.out).await
    }
}

impl Shared {
    /// How the other direction has ended the exchange, if it has.
    fn ended(&self) -> Option<Ended> {
        if self.has_closed.get() {
            return Some(Ended::Closed);
        }
        let failure = self.fault.take()?;
        self.is_fault.set(true);
        Some(failure.into())
    }

    fn poll_with<T>(
        &self,
        work: Pin<&mut impl Future<Output = T>>,
        task: &mut Task<'_>,
    ) -> Poll<Event<T>> {
        if let Some(ended) = self.ended() {
            return Poll::Ready(Event::Ended(ended));
        }
        if self.frames.borrow().output_len() > 0 {
            return Poll::Ready(Event::Output);
        }
        work.poll(task).map(Event::Ready)
    }
}
