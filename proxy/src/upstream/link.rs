//! One connection to an upstream on the codec of our own. In: heads and messages of calls, bytes that were read. Out: what came for each call, bytes to
//! write.
//! Always: what calls of one turn of the loop send leaves in one write; a call that is dropped before its end is reset; the memory of a call is used
//! again by the next one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Buf as _;
use http::StatusCode;
use transom_engine::grpc::is_grpc_type;
use transom_engine::http2::{
    Code, Connection, Event, Fault, HeaderBlock, HeaderList, Refusal, ResetCause, Settings,
    StreamId,
};

use super::connection::Change;
use super::error::{CallError, Failure};
use super::memory::{Lent, Memory, Received};
use super::stream::Answer;
use super::{Reply, ReplyMetadata};
use crate::buffers::SharedBytes;
use crate::limits::{
    BUFFER_KEEP_LEN_MAX, UPSTREAM_CONNECTION_WINDOW_LEN, UPSTREAM_HEADER_LIST_LEN_MAX,
    UPSTREAM_STREAM_COUNT_MAX, UPSTREAM_STREAM_WINDOW_LEN,
};
use crate::net::Notify;

/// Bytes of an answer that a call gets at once, so that what it makes of them stays bounded too.
const PIECE_LEN: usize = 16 * 1024;

/// What the calls of a connection share with the task that reads and writes.
pub(super) struct Link {
    state: RefCell<State>,
    /// The task that reads and writes.
    driver: RefCell<Option<Waker>>,
    /// Whether it was woken since it last ran.
    is_driver_called: Cell<bool>,
    /// Whether bytes have come since this was last asked.
    pub(super) is_active: Rc<Cell<bool>>,
    /// Whether headers of an answer have.
    pub(super) has_answered: Cell<bool>,
    /// Whether there is room for a call that there was none for.
    has_more_room: Cell<bool>,
    /// Notified when a PING was answered.
    pub(super) pong: Notify,
    memory: Rc<Memory>,
}

struct State {
    codec: Connection,
    /// By the key of their streams.
    mailboxes: Vec<Mailbox>,
    /// Keys that no call has.
    free_keys: Vec<u32>,
    /// Whether no more calls are taken.
    is_left: bool,
    /// The code of a GOAWAY.
    go_away: Code,
}

/// What came for a call and was not taken yet, and what it has still to send.
struct Mailbox {
    stream: Option<StreamId>,
    /// The rest of a message that waits for its window, and ends the request.
    outgoing: Option<SharedBytes>,
    /// Zero until there are headers.
    status: u16,
    headers: HeaderList,
    /// The last bytes that came.
    body: Vec<u8>,
    /// Those before them, in pieces.
    earlier: VecDeque<Vec<u8>>,
    trailers: HeaderList,
    has_trailers: bool,
    /// Whether nothing of gRPC follows the headers.
    is_headers_only: bool,
    progress: Progress,
    /// Whether the upstream takes nothing more.
    is_gone: bool,
    /// For a call that waits for all at once: the longest body, bytes.
    whole_len_max: Option<usize>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug)]
enum Progress {
    Open,
    Ended,
    Failed(Failure),
}

/// One call's stream. Dropping it before its end resets it.
pub(super) struct Stream {
    link: Rc<Link>,
    id: StreamId,
}

impl Link {
    /// A connection on which nothing was written yet.
    pub(super) fn new() -> Rc<Self> {
        let codec = Connection::new(Settings {
            stream_window_len: UPSTREAM_STREAM_WINDOW_LEN,
            connection_window_len: UPSTREAM_CONNECTION_WINDOW_LEN,
            header_list_len_max: UPSTREAM_HEADER_LIST_LEN_MAX,
            stream_count_max: u32::try_from(UPSTREAM_STREAM_COUNT_MAX).unwrap_or(u32::MAX),
            ..Settings::default()
        });
        Rc::new(Self {
            state: RefCell::new(State {
                codec,
                mailboxes: Vec::new(),
                free_keys: Vec::new(),
                is_left: false,
                go_away: Code::NO_ERROR,
            }),
            driver: RefCell::default(),
            is_driver_called: Cell::new(false),
            is_active: Rc::new(Cell::new(true)),
            has_answered: Cell::new(false),
            has_more_room: Cell::new(false),
            pong: Notify::new(),
            memory: Rc::default(),
        })
    }

    /// Whether calls can be sent on it, now or when a stream is free.
    pub(super) fn is_open(&self) -> bool {
        let state = self.state.borrow();
        !state.is_left && state.codec.is_open()
    }

    /// Whether the peer's SETTINGS are here, and allow streams.
    pub(super) fn is_ready(&self) -> bool {
        self.state.borrow().codec.is_ready() && self.has_room()
    }

    /// Whether one more call may be sent now.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.borrow();
        !state.is_left && state.codec.room() > 0
    }

    /// What changed for calls to come since this was last asked.
    pub(super) fn change(&self) -> Change {
        if !self.is_open() {
            Change::Closed
        } else if self.has_more_room.take() {
            Change::MoreRoom
        } else {
            Change::None
        }
    }

    /// Takes no more calls; those in flight go on. Says whether it took some before.
    pub(super) fn leave(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        if mem::replace(&mut state.is_left, true) {
            return false;
        }
        state.codec.leave();
        self.call_driver();
        true
    }

    /// Whether all is said and done: no more calls are taken, and none is under way.
    pub(super) fn is_done(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        state.is_left && state.codec.stream_count() == 0 && state.codec.output().is_empty()
    }

    /// Opens a stream.
    pub(super) fn open<'m>(
        self: &Rc<Self>,
        block: &HeaderBlock,
        metadata: impl IntoIterator<Item = (&'m [u8], &'m [u8])>,
    ) -> Result<Stream, Refusal> {
        let state = &mut *self.state.borrow_mut();
        let key = match state.free_keys.last() {
            Some(&key) => key,
            None => state.add_mailbox()?,
        };
        let id = state.codec.open(block, metadata, key)?;
        state.free_keys.pop();
        if let Some(mailbox) = state.mailbox(id) {
            mailbox.stream = Some(id);
        }
        self.call_driver();
        Ok(Stream {
            link: Rc::clone(self),
            id,
        })
    }

    /// Asks the peer for a sign of life.
    pub(super) fn ping(&self) {
        self.state.borrow_mut().codec.ping([0; 8]);
        self.call_driver();
    }

    /// The task that reads and writes runs, and is woken from here on.
    pub(super) fn note_driver(&self, waker: &Waker) {
        self.is_driver_called.set(false);
        let driver = &mut *self.driver.borrow_mut();
        match driver {
            Some(known) => known.clone_from(waker),
            None => *driver = Some(waker.clone()),
        }
    }

    fn call_driver(&self) {
        if self.is_driver_called.replace(true) {
            return;
        }
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// Swaps what is to be written for the memory of what was, if there is something.
    pub(super) fn poll_output(&self, written: &mut Vec<u8>) -> Poll<()> {
        let state = &mut *self.state.borrow_mut();
        if state.codec.output().is_empty() {
            return Poll::Pending;
        }
        let had_room = state.codec.room() > 0;
        written.clear();
        if written.capacity() > BUFFER_KEEP_LEN_MAX {
            *written = Vec::new();
        }
        mem::swap(state.codec.output(), written);
        if !had_room && state.codec.room() > 0 {
            self.has_more_room.set(true);
        }
        state.send_on();
        Poll::Ready(())
    }

    /// Takes bytes of the peer, and wakes the calls that they are for.
    ///
    /// # Errors
    /// When the peer broke a rule that ends the connection.
    pub(super) fn take_in(&self, mut input: &[u8]) -> Result<(), Fault> {
        self.is_active.set(true);
        let state = &mut *self.state.borrow_mut();
        while let Some(event) = state.codec.receive(&mut input)? {
            match event {
                Event::Headers {
                    stream,
                    status,
                    list,
                    ends,
                } => {
                    self.has_answered.set(true);
                    let mailbox = state.mailboxes.get_mut(stream.key() as usize);
                    let is_wanted = mailbox.is_none_or(|mailbox| {
                        mailbox.take_headers(&self.memory, status, list, ends)
                    });
                    if !is_wanted {
                        // Nobody will look into the page of some proxy (THREATS F6).
                        state.codec.reset(stream, Code::CANCEL);
                    }
                }
                Event::Data {
                    stream,
                    bytes,
                    ends,
                } => {
                    let Some(mailbox) = state.mailbox(stream) else {
                        continue;
                    };
                    match mailbox.take_data(&self.memory, bytes, ends) {
                        Taken::Kept => {}
                        Taken::Whole => state.codec.release(stream, bytes.len()),
                        Taken::TooMuch => state.codec.reset(stream, Code::CANCEL),
                    }
                }
                Event::Trailers { stream, list } => {
                    if let Some(mailbox) = state.mailboxes.get_mut(stream.key() as usize) {
                        mailbox.take_trailers(&self.memory, list);
                    }
                }
                Event::Reset { stream, cause } => {
                    let error = match cause {
                        ResetCause::Peer(code) => CallError::Reset { code: code.0 },
                        ResetCause::GoAway => CallError::GoAway {
                            code: state.go_away.0,
                        },
                        ResetCause::Broken(fault) => {
                            tracing::debug!(%fault, "the upstream broke a rule on a stream");
                            CallError::Protocol {
                                code: fault.code().0,
                            }
                        }
                    };
                    if let Some(mailbox) = state.mailbox(stream) {
                        mailbox.fail(error, cause.is_unstarted());
                    }
                }
                Event::Pong(_) => self.pong.notify_all(),
                Event::GoAway { code, .. } => state.go_away = code,
                Event::Settings => self.has_more_room.set(true),
            }
        }
        state.send_on();
        Ok(())
    }

    /// The connection is over: tells the calls in flight why, and takes no more.
    pub(super) fn end(&self, error: CallError) {
        let state = &mut *self.state.borrow_mut();
        for mailbox in &mut state.mailboxes {
            if mailbox.stream.is_some() {
                mailbox.fail(error, false);
            }
        }
    }
}

impl State {
    fn mailbox(&mut self, stream: StreamId) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(stream.key() as usize)
    }

    fn add_mailbox(&mut self) -> Result<u32, Refusal> {
        let key = u32::try_from(self.mailboxes.len()).map_err(|_too_many| Refusal::NoStream)?;
        self.mailboxes.push(Mailbox::new());
        self.free_keys.push(key);
        Ok(key)
    }

    /// Goes on with calls that had waited for room to send.
    fn send_on(&mut self) {
        while let Some(stream) = self.codec.next_room() {
            let Some(mailbox) = self.mailboxes.get_mut(stream.key() as usize) else {
                continue;
            };
            match &mut mailbox.outgoing {
                Some(message) => {
                    let sent = self.codec.send(stream, message.chunk(), true);
                    message.advance(sent);
                    if !message.has_remaining() {
                        mailbox.outgoing = None;
                    }
                }
                None => wake(&mut mailbox.sender),
            }
        }
    }
}

/// What became of data.
enum Taken {
    /// The call has yet to look at it.
    Kept,
    /// The call waits for all of it and needs no window meanwhile.
    Whole,
    /// It is more than the call takes.
    TooMuch,
}

impl Mailbox {
    fn new() -> Self {
        Self {
            stream: None,
            outgoing: None,
            status: 0,
            headers: HeaderList::default(),
            body: Vec::new(),
            earlier: VecDeque::new(),
            trailers: HeaderList::default(),
            has_trailers: false,
            is_headers_only: false,
            progress: Progress::Open,
            is_gone: false,
            whole_len_max: None,
            receiver: None,
            sender: None,
        }
    }

    /// Takes headers; says whether what follows them is wanted.
    fn take_headers(
        &mut self,
        memory: &Rc<Memory>,
        status: u16,
        list: &mut HeaderList,
        ends: bool,
    ) -> bool {
        let is_wanted = is_grpc(status, list);
        self.status = status;
        self.headers = memory.take_list();
        mem::swap(&mut self.headers, list);
        self.is_headers_only = ends || !is_wanted;
        if self.is_headers_only {
            self.end();
        } else if self.whole_len_max.is_none() {
            wake(&mut self.receiver);
        }
        is_wanted || ends
    }

    fn take_data(&mut self, memory: &Rc<Memory>, bytes: &[u8], ends: bool) -> Taken {
        let len = self.body.len() + bytes.len();
        match self.whole_len_max {
            Some(body_len_max) if len > body_len_max => {
                self.fail(CallError::MessageTooLarge { body_len_max }, false);
                return Taken::TooMuch;
            }
            None if len > PIECE_LEN && !self.body.is_empty() => {
                self.earlier.push_back(mem::take(&mut self.body));
            }
            Some(_) | None => {}
        }
        if self.body.capacity() == 0 {
            self.body = memory.take_body();
        }
        self.body.extend_from_slice(bytes);
        if ends {
            self.end();
        }
        if self.whole_len_max.is_some() {
            return Taken::Whole;
        }
        wake(&mut self.receiver);
        Taken::Kept
    }

    fn take_trailers(&mut self, memory: &Rc<Memory>, list: &mut HeaderList) {
        self.trailers = memory.take_list();
        mem::swap(&mut self.trailers, list);
        self.has_trailers = true;
        self.end();
    }

    fn end(&mut self) {
        self.progress = Progress::Ended;
        wake(&mut self.receiver);
    }

    /// The stream is gone. What had come whole stays whole.
    fn fail(&mut self, error: CallError, is_unstarted: bool) {
        self.is_gone = true;
        self.outgoing = None;
        if matches!(self.progress, Progress::Open) {
            let is_unstarted = is_unstarted && self.status == 0;
            self.progress = Progress::Failed(Failure {
                error,
                is_unstarted,
            });
        }
        wake(&mut self.receiver);
        wake(&mut self.sender);
    }

    fn take_answer(&mut self, memory: &Rc<Memory>) -> Answer {
        let headers = mem::take(&mut self.headers);
        Answer {
            http_status: status_of(self.status),
            headers: Lent::new(headers, memory).into(),
            is_all: self.is_headers_only,
        }
    }

    /// The oldest bytes.
    fn take_body(&mut self, memory: &Rc<Memory>) -> Received {
        let body = self.earlier.pop_front();
        let body = body.unwrap_or_else(|| mem::take(&mut self.body));
        Lent::new(body, memory).into()
    }

    fn take_kept_trailers(&mut self, memory: &Rc<Memory>) -> Option<ReplyMetadata> {
        self.has_trailers.then(|| {
            let trailers = mem::take(&mut self.trailers);
            Lent::new(trailers, memory).into()
        })
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn note(waiting: &mut Option<Waker>, task: &Context<'_>) {
    match waiting {
        Some(known) => known.clone_from(task.waker()),
        None => *waiting = Some(task.waker().clone()),
    }
}

/// Whether the body is one of gRPC: on any other the status of HTTP decides (SEMANTICS 110).
fn is_grpc(status: u16, headers: &HeaderList) -> bool {
    status == 200 && headers.get(b"content-type").is_some_and(is_grpc_type)
}

/// The codec lets no other numbers through.
fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Stream {
    /// Sends the one message of a call; what there is no window for goes out when there is.
    pub(super) fn send_whole(&self, mut message: SharedBytes) {
        let state = &mut *self.link.state.borrow_mut();
        let sent = state.codec.send(self.id, message.chunk(), true);
        message.advance(sent);
        if message.has_remaining()
            && let Some(mailbox) = state.mailbox(self.id)
            && !mailbox.is_gone
        {
            mailbox.outgoing = Some(message);
        }
        self.link.call_driver();
    }

    /// Sends of the front of `bytes` what there is room for, until there are none left.
    pub(super) fn poll_send(
        &self,
        task: &Context<'_>,
        bytes: &mut SharedBytes,
    ) -> Poll<Result<(), CallError>> {
        let state = &mut *self.link.state.borrow_mut();
        let sent = state.codec.send(self.id, bytes.chunk(), false);
        bytes.advance(sent);
        if sent > 0 {
            self.link.call_driver();
        }
        if !bytes.has_remaining() {
            return Poll::Ready(Ok(()));
        }
        match state.mailbox(self.id) {
            Some(mailbox) if !mailbox.is_gone => {
                note(&mut mailbox.sender, task);
                Poll::Pending
            }
            mailbox => Poll::Ready(Err(gone(mailbox))),
        }
    }

    /// Ends the request.
    pub(super) fn finish(&self) -> Result<(), CallError> {
        let state = &mut *self.link.state.borrow_mut();
        match state.mailbox(self.id) {
            Some(mailbox) if !mailbox.is_gone => {}
            mailbox => return Err(gone(mailbox)),
        }
        state.codec.send(self.id, &[], true);
        self.link.call_driver();
        Ok(())
    }

    /// From here on the answer is waited for as a whole, of so many bytes at most.
    pub(super) fn expect_whole(&self, body_len_max: usize) {
        if let Some(mailbox) = self.link.state.borrow_mut().mailbox(self.id) {
            mailbox.whole_len_max = Some(body_len_max);
        }
    }

    /// Waits for a whole answer; the call has [said so](Self::expect_whole).
    pub(super) fn poll_whole(&self, task: &Context<'_>) -> Poll<Result<Reply, Failure>> {
        self.poll_mailbox(|mailbox, memory| match mailbox.progress {
            Progress::Open => {
                note(&mut mailbox.receiver, task);
                Poll::Pending
            }
            Progress::Failed(failure) => Poll::Ready(Err(failure)),
            Progress::Ended => {
                let Answer {
                    http_status,
                    headers,
                    ..
                } = mailbox.take_answer(memory);
                Poll::Ready(Ok(Reply {
                    http_status,
                    headers,
                    body: mailbox.take_body(memory),
                    trailers: mailbox.take_kept_trailers(memory),
                }))
            }
        })
    }

    /// Waits for the headers.
    pub(super) fn poll_answer(&self, task: &Context<'_>) -> Poll<Result<Answer, Failure>> {
        self.poll_mailbox(|mailbox, memory| {
            if mailbox.status != 0 {
                return Poll::Ready(Ok(mailbox.take_answer(memory)));
            }
            if let Progress::Failed(failure) = mailbox.progress {
                return Poll::Ready(Err(failure));
            }
            note(&mut mailbox.receiver, task);
            Poll::Pending
        })
    }

    /// All bytes of the body that are here; nothing at its end.
    pub(super) fn poll_bytes(
        &self,
        task: &Context<'_>,
    ) -> Poll<Option<Result<Received, CallError>>> {
        self.poll_mailbox(|mailbox, memory| {
            if !mailbox.earlier.is_empty() || !mailbox.body.is_empty() {
                return Poll::Ready(Some(Ok(mailbox.take_body(memory))));
            }
            match mailbox.progress {
                Progress::Failed(failure) => Poll::Ready(Some(Err(failure.error))),
                Progress::Ended => Poll::Ready(None),
                Progress::Open => {
                    note(&mut mailbox.receiver, task);
                    Poll::Pending
                }
            }
        })
    }

    /// Lets the upstream send as many bytes more.
    pub(super) fn release(&self, len: usize) {
        let state = &mut *self.link.state.borrow_mut();
        state.codec.release(self.id, len);
        if !state.codec.output().is_empty() {
            self.link.call_driver();
        }
    }

    /// Waits for the trailers, after the last bytes.
    pub(super) fn poll_trailers(
        &self,
        task: &Context<'_>,
    ) -> Poll<Result<Option<ReplyMetadata>, CallError>> {
        self.poll_mailbox(|mailbox, memory| match mailbox.progress {
            Progress::Open => {
                note(&mut mailbox.receiver, task);
                Poll::Pending
            }
            Progress::Failed(failure) => Poll::Ready(Err(failure.error)),
            Progress::Ended => Poll::Ready(Ok(mailbox.take_kept_trailers(memory))),
        })
    }

    fn poll_mailbox<T>(&self, look: impl FnOnce(&mut Mailbox, &Rc<Memory>) -> T) -> T {
        let state = &mut *self.link.state.borrow_mut();
        let mailbox = state
            .mailbox(self.id)
            .expect("a stream's key is that of a mailbox, and none is ever removed");
        look(mailbox, &self.link.memory)
    }
}

/// Why nothing more can be sent.
fn gone(mailbox: Option<&mut Mailbox>) -> CallError {
    match mailbox.map(|mailbox| mailbox.progress) {
        Some(Progress::Failed(failure)) => failure.error,
        // The answer is whole, and the upstream needs no more of the request.
        _ => CallError::Reset {
            code: Code::NO_ERROR.0,
        },
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let state = &mut *self.link.state.borrow_mut();
        // Nothing happens to one that has ended.
        state.codec.reset(self.id, Code::CANCEL);
        if let Some(mailbox) = state.mailbox(self.id) {
            let memory = &self.link.memory;
            for body in mailbox.earlier.drain(..) {
                drop(Lent::new(body, memory));
            }
            drop(mailbox.take_body(memory));
            drop(Lent::new(mem::take(&mut mailbox.headers), memory));
            drop(Lent::new(mem::take(&mut mailbox.trailers), memory));
            *mailbox = Mailbox::new();
            state.free_keys.push(self.id.key());
        }
        if state.is_left || !state.codec.output().is_empty() {
            self.link.call_driver();
        }
    }
}
