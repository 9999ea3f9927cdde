//! One WebSocket (SEMANTICS 127). In: a call that streams, and the connection of its client, which has been told that the protocol changes. Out: messages
//! both ways, and a close frame that says why it ended.
//! Always: as in `streaming`, both directions run in one task and what is not read stays with its sender; a message of the client is whole before it is
//! converted, and has a limit; a client that gives no sign of life is left; while the upstream takes nothing, so much is read ahead that pings are
//! answered and an end is seen, and no more.
//!
//! ```text
//!   text or bytes ▶ one message, or several, or an array of them        no bytes at all ▶ the end of the requests
//!   {"name":"Ada"} ◀ one message        {"error":{..}} ◀ what went wrong, then the close frame
//!
//!   MessageReader   client's bytes ──▶ frames ──▶ messages ──▶ MessageSender ──▶ the upstream's window
//!                                        └──▶ pongs ──┐           (waits: messages are kept ahead, up to a limit)
//!   ReplyWriter     the upstream's bytes ──▶ frames ──┴──▶ written ──▶ the window is given back
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use transom_engine::exchange::{Failure, Requests, SocketReplies};
use transom_engine::grpc::{Code, Status};

use super::inlet::{Inlet, ReadDone};
use super::outlet::{write, write_and_trim};
use super::streaming::side_by_side;
use super::websocket::{Ending, Received, WebSocket};
use crate::buffers::{SharedBuffer, trim};
use crate::limits::{
    IDLE_READ_LEN_MAX, PIPELINE_LEN_MAX, SOCKET_AHEAD_LEN_MAX, SOCKET_PING_COUNT_MAX,
    SOCKET_PING_GAP, STREAM_SEND_LEN, STREAM_WRITE_LEN,
};
use crate::net::{Elapsed, Notify, WriteHalf, timeout};
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
struct SocketState {
    frames: RefCell<WebSocket>,
    /// Tells that frames have been taken to be written.
    taken: Notify,
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
    let state = SocketState::new(context.sizes().request_len_max);
    let mut reader = MessageReader::new(inlet, &state);
    let mut answering = ReplyWriter {
        replies: &mut socket.replies,
        text: Vec::new(),
        context,
        state: &state,
        writer,
        out,
    };
    // Pings are answered meanwhile, too. In memory of its own, which the open WebSocket does without.
    let opening = answering.wait(context.open(&socket.outgoing, carriage));
    let opening = Box::pin(side_by_side(reader.watch(), opening));
    let (sender, receiver) = match opening.await?? {
        Ok(Ok((sender, receiver))) => (Some(sender), Ok(receiver)),
        Ok(Err(error)) => (None, Err(failure_of(error).into())),
        Err(ended) => (None, Err(ended)),
    };
    let sending = MessageSender {
        reader,
        requests: &mut socket.requests,
        takes_many: socket.takes_many,
        sender,
        buffer: SharedBuffer::new(),
        context,
        state: &state,
    };
    side_by_side(sending.run(), answering.run(receiver)).await?
}

/// Why no more of the client's is read.
enum ClientEnd {
    /// It has left.
    Gone(io::Error),
    /// It has closed.
    Closed,
    /// What it sent is wrong.
    Fault(Failure),
}

impl From<Failure> for ClientEnd {
    fn from(failure: Failure) -> Self {
        Self::Fault(failure)
    }
}

/// What the client sends, as messages.
struct MessageReader<'u, 'p, F> {
    inlet: &'u mut Inlet<'p, F>,
    /// Messages that came while the upstream was waited for, oldest first.
    ahead: VecDeque<Bytes>,
    /// Bytes that they cost.
    ahead_len: usize,
    state: &'u SocketState,
}

impl<'u, 'p, F: Future<Output = ReadDone>> MessageReader<'u, 'p, F> {
    fn new(inlet: &'u mut Inlet<'p, F>, state: &'u SocketState) -> Self {
        Self {
            inlet,
            ahead: VecDeque::new(),
            ahead_len: 0,
            state,
        }
    }

    /// The next message that is whole.
    fn next(&mut self) -> Result<Option<Bytes>, ClientEnd> {
        let Some(message) = self.ahead.pop_front() else {
            return self.next_behind();
        };
        self.ahead_len -= cost_of(&message);
        if self.ahead.is_empty() {
            self.ahead = VecDeque::new();
        }
        Ok(Some(message))
    }

    /// The next message behind those that were read ahead.
    fn next_behind(&self) -> Result<Option<Bytes>, ClientEnd> {
        match self.state.frames.borrow_mut().next() {
            None => Ok(None),
            Some(Received::Message(message)) => Ok(Some(message)),
            Some(Received::Closed) => Err(ClientEnd::Closed),
        }
    }

    /// Waits for more bytes, of which [`Self::next`] makes messages.
    async fn more(&mut self) -> Result<(), ClientEnd> {
        // Answers to pings are to be read too: else they would pile up here, for as long as a write may take.
        self.state.room().await;
        self.inlet.take_turns().await;
        // Some may have come while the upstream was waited for.
        if self.inlet.bytes().is_empty() {
            self.wait_for_bytes().await?;
        }
        let bytes = self.inlet.bytes();
        let piece = bytes.get(..IDLE_READ_LEN_MAX).unwrap_or(bytes);
        let len = piece.len();
        self.state.frames.borrow_mut().feed(piece);
        self.inlet.consume(len);
        Ok(())
    }

    /// One who is silent is asked for a sign of life.
    async fn wait_for_bytes(&mut self) -> Result<(), ClientEnd> {
        let mut ping_count = 0;
        loop {
            self.inlet.expect(IDLE_READ_LEN_MAX);
            match timeout(SOCKET_PING_GAP, self.inlet.more()).await {
                Ok(Ok(1..)) => return Ok(()),
                Ok(Ok(0)) => return Err(ClientEnd::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(Err(error)) => return Err(ClientEnd::Gone(error)),
                Err(Elapsed) if ping_count < SOCKET_PING_COUNT_MAX => {
                    ping_count += 1;
                    self.state.frames.borrow_mut().ping();
                }
                Err(Elapsed) => return Err(ClientEnd::Gone(io::ErrorKind::TimedOut.into())),
            }
        }
    }

    /// Does something while the client is listened to.
    async fn listen_during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ClientEnd> {
        let (mut work, mut listening) = (pin!(work), pin!(self.listen_ahead()));
        poll_fn(|task| {
            // First, so that nothing is read ahead where nothing has to be waited for.
            if let Poll::Ready(done) = work.as_mut().poll(task) {
                return Poll::Ready(Ok(done));
            }
            listening.as_mut().poll(task).map(Err)
        })
        .await
    }

    /// Does so while there is nobody to send to yet. Says why the client is gone; what else ends it, the other direction looks for. May be dropped.
    async fn watch(&mut self) -> io::Error {
        let end = self.listen_ahead().await;
        self.state.end_by(end).await
    }

    /// Answers pings and looks for the end of the client, as far as the messages before them can be kept. Behind that it is only noticed when it leaves, and
    /// the rest stays with it. May be dropped and called again.
    async fn listen_ahead(&mut self) -> ClientEnd {
        loop {
            loop {
                match self.next_behind() {
                    Ok(Some(message)) => {
                        self.ahead_len += cost_of(&message);
                        self.ahead.push_back(message);
                    }
                    Ok(None) => break,
                    Err(end) => return end,
                }
            }
            let unfinished_len = self.state.frames.borrow().unfinished_len();
            if self.ahead_len + unfinished_len >= SOCKET_AHEAD_LEN_MAX {
                poll_fn(|task| self.inlet.poll_gone(task, PIPELINE_LEN_MAX)).await;
                return ClientEnd::Gone(io::ErrorKind::ConnectionAborted.into());
            }
            if let Err(end) = self.more().await {
                return end;
            }
        }
    }
}

/// Bytes that it costs to keep a message.
fn cost_of(message: &Bytes) -> usize {
    message.len() + size_of::<Bytes>()
}

/// The direction to the upstream.
struct MessageSender<'u, 'p, F> {
    reader: MessageReader<'u, 'p, F>,
    requests: &'u mut Requests,
    /// Whether the method takes more than one message.
    takes_many: bool,
    /// `None` once the requests have ended, or if there is no call.
    sender: Option<SendHalf>,
    /// Framed messages that are being sent.
    buffer: SharedBuffer,
    context: &'u Context,
    state: &'u SocketState,
}

impl<F: Future<Output = ReadDone>> MessageSender<'_, '_, F> {
    /// Sends what the client sends, and watches it for as long as the call goes on. Says why it is gone.
    async fn run(mut self) -> io::Error {
        let end = self.send_all().await;
        self.state.end_by(end).await
    }

    async fn send_all(&mut self) -> ClientEnd {
        // What path and query say may be all there is to say.
        if self.requests.needs_no_body()
            && let Err(end) = self.end().await
        {
            return end;
        }
        loop {
            if let Err(end) = self.take_what_is_here().await {
                return end;
            }
            if let Err(end) = self.reader.more().await {
                return end;
            }
        }
    }

    /// Converts the messages that are whole, and sends them together: each frame of HTTP/2 that is short costs the upstream's patience, which is for
    /// all calls of the connection.
    async fn take_what_is_here(&mut self) -> Result<(), ClientEnd> {
        let fault = loop {
            let taken = match self.reader.next()? {
                None => break Ok(()),
                Some(message) => self.take(&message).await,
            };
            match taken {
                Ok(()) => {}
                Err(ClientEnd::Fault(failure)) => break Err(failure.into()),
                // The call is cancelled, and nothing waits for the upstream any more.
                Err(end) => return Err(end),
            }
        };
        // Those before one that is at fault go on.
        self.send().await.and(fault)
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), ClientEnd> {
        if message.is_empty() {
            return self.end().await;
        }
        if self.state.are_requests_over.get() {
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
    async fn end(&mut self) -> Result<(), ClientEnd> {
        if self.state.are_requests_over.replace(true) {
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

    async fn send_if_full(&mut self) -> Result<(), ClientEnd> {
        if self.buffer.as_slice().len() < STREAM_SEND_LEN {
            return Ok(());
        }
        self.send().await
    }

    /// Sends what is in the buffer, as the upstream has room, while the client is listened to.
    async fn send(&mut self) -> Result<(), ClientEnd> {
        if !self.takes_many && self.requests.count() > 1 {
            let words = "the method takes one message, and these are several";
            return Err(Failure::from(Status::new(Code::InvalidArgument, words)).into());
        }
        if let Some(sender) = self.sender.as_mut()
            && !self.buffer.as_slice().is_empty()
        {
            let sending = sender.send(self.buffer.share());
            // What is refused may be so for a good end, of which the other direction learns.
            let _sent = self.reader.listen_during(sending).await?;
        }
        self.buffer.start();
        Ok(())
    }
}

/// The direction from the upstream.
struct ReplyWriter<'a> {
    replies: &'a mut SocketReplies,
    /// The message at hand.
    text: Vec<u8>,
    context: &'a Context,
    state: &'a SocketState,
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

impl ReplyWriter<'_> {
    async fn run(mut self, begun: Result<ReceiveHalf, Ended>) -> io::Result<()> {
        let ended = match begun {
            Ok(receiver) => self.pass_on(receiver).await?,
            Err(ended) => ended,
        };
        match ended {
            Ended::Done => self.state.frames.borrow_mut().close(Ending::Done, ""),
            Ended::Failed(failure) => self.say(&failure),
            Ended::Closed => {}
        }
        self.flush().await
    }

    /// SEMANTICS 127: an error is a message, and the reason of the end.
    fn say(&mut self, failure: &Failure) {
        self.text.clear();
        self.context.write_error_message(failure, &mut self.text);
        let ending = if failure.http_status() < 500 && self.state.is_fault.get() {
            Ending::BadMessage
        } else {
            Ending::Failed
        };
        let frames = &mut *self.state.frames.borrow_mut();
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
            if let Some(ended) = self.state.ended() {
                return Ok(ended);
            }
            let here = poll_fn(|task| Poll::Ready(receiver.poll_bytes(task))).await;
            let waiting_len = self.state.frames.borrow().output_len();
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
        let frames = &mut *self.state.frames.borrow_mut();
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
                trim(&mut self.text);
            }
            rest = rest.get(pushed.used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for the upstream, while frames go out and the other direction is looked after.
    async fn wait<T>(&mut self, work: impl Future<Output = T>) -> io::Result<Result<T, Ended>> {
        let mut work = pin!(work);
        loop {
            let event = poll_fn(|task| self.state.poll_with(work.as_mut(), task)).await;
            match event {
                Event::Ready(done) => return Ok(Ok(done)),
                Event::Ended(ended) => return Ok(Err(ended)),
                Event::Output => self.flush().await?,
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.state.frames.borrow_mut().take_output(self.out);
        self.state.taken.notify_all();
        write_and_trim(self.writer, self.out).await
    }
}

impl SocketState {
    fn new(message_len_max: usize) -> Self {
        Self {
            frames: RefCell::new(WebSocket::new(message_len_max)),
            taken: Notify::new(),
            fault: Cell::new(None),
            is_fault: Cell::new(false),
            are_requests_over: Cell::new(false),
            has_closed: Cell::new(false),
        }
    }

    /// Waits until not too much is to be written.
    async fn room(&self) {
        while self.frames.borrow().output_len() >= STREAM_WRITE_LEN {
            self.taken.notified().await;
        }
    }

    /// Tells the direction to the client, which ends the exchange and cancels the call by that, why no more is read; or why the client is gone.
    async fn end_by(&self, end: ClientEnd) -> io::Error {
        match end {
            ClientEnd::Gone(error) => return error,
            ClientEnd::Closed => self.has_closed.set(true),
            ClientEnd::Fault(failure) => self.fault.set(Some(failure)),
        }
        pending().await
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn reading_waits_for_the_writing_and_is_woken_by_nothing_else() {
        let state = SocketState::new(1024);
        let wakes = Arc::new(WakeCount::default());
        let waker = Arc::clone(&wakes).into();
        let mut task = Task::from_waker(&waker);
        assert!(pin!(state.room()).poll(&mut task).is_ready());
        state
            .frames
            .borrow_mut()
            .send_text(&vec![b'x'; STREAM_WRITE_LEN]);
        let mut room = pin!(state.room());
        assert!(room.as_mut().poll(&mut task).is_pending());
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        state.frames.borrow_mut().take_output(&mut Vec::new());
        state.taken.notify_all();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(room.poll(&mut task).is_ready());
    }
}
