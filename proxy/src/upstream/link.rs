//! One connection to an upstream on the codec of our own. In: heads and messages of calls, bytes that were read. Out: what came for each call, bytes to
//! write.
//! Always: what calls of one turn of the loop send leaves in one write; a call that is dropped before its end is reset; the memory of a call is used
//! again by the next one.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf as _;
use transom_engine::http2::{
    Code, Connection, Event, Fault, HeaderBlock, Refusal, ResetCause, Settings, StreamId,
};

use super::connection::Change;
use super::error::{CallError, Failure};
use super::mailbox::{Mailbox, Taken};
use super::memory::{Memory, Received};
use super::pace::Pace;
use super::stream::Answer;
use super::{Reply, ReplyMetadata};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::limits::{
    GATHER_ANSWER_LEN_MAX, UPSTREAM_CONNECTION_WINDOW_LEN, UPSTREAM_HEADER_LIST_LEN_MAX,
    UPSTREAM_STREAM_COUNT_MAX, UPSTREAM_STREAM_WINDOW_LEN,
};
use crate::net::Notify;

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
    /// Whether the answer to a PING of the peer is held back.
    holds_pong: Cell<bool>,
    /// Whether it has been for long enough.
    is_pong_due: Cell<bool>,
    /// Notified when a PING was answered.
    pub(super) pong: Notify,
    memory: Rc<Memory>,
    /// Of all connections of the pool.
    pace: Rc<Pace>,
    /// When the first call of this turn began, which is when all of them did.
    turn_began: Cell<Option<Instant>>,
    /// Bytes that have come since the last whole answer.
    unanswered_len: Cell<usize>,
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

/// One call's stream. Dropping it before its end resets it.
pub(super) struct Stream {
    link: Rc<Link>,
    id: StreamId,
}

impl Link {
    /// A connection on which nothing was written yet.
    pub(super) fn new(pace: &Rc<Pace>) -> Rc<Self> {
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
            holds_pong: Cell::new(false),
            is_pong_due: Cell::new(false),
            pong: Notify::new(),
            memory: Rc::default(),
            pace: Rc::clone(pace),
            turn_began: Cell::new(None),
            unanswered_len: Cell::new(0),
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
        if state.is_left {
            return Err(Refusal::Closed);
        }
        let key = if let Some(&key) = state.free_keys.last() {
            key
        } else {
            let key = state.add_mailbox()?;
            self.memory.note_call_count(state.mailboxes.len());
            key
        };
        let id = state.codec.open(block, metadata, key)?;
        state.free_keys.pop();
        if let Some(mailbox) = state.mailboxes.get_mut(key as usize) {
            let began = self.turn_began.get().unwrap_or_else(clock::now);
            self.turn_began.set(Some(began));
            mailbox.began = Some(began);
        }
        self.pace.note_begun();
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
        self.turn_began.set(None);
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

    /// Whether the answer to a PING of the peer waits to go out with something else.
    pub(super) fn holds_pong(&self) -> bool {
        self.holds_pong.get()
    }

    /// Sends it alone, if it still waits.
    pub(super) fn let_pong_go(&self) {
        if self.holds_pong.get() {
            self.is_pong_due.set(true);
            self.call_driver();
        }
    }

    /// Swaps what is to be written for the memory of what was, if there is something.
    pub(super) fn poll_output(&self, written: &mut Vec<u8>) -> Poll<()> {
        let state = &mut *self.state.borrow_mut();
        if state.codec.output().is_empty() {
            return Poll::Pending;
        }
        // Servers that measure the way there ask with each answer. The next call would wake the peer a second time.
        let may_wait = state.codec.owes_one_pong() && !state.is_left;
        self.holds_pong.set(may_wait && !self.is_pong_due.take());
        if self.holds_pong.get() {
            return Poll::Pending;
        }
        let had_room = state.codec.room() > 0;
        written.clear();
        mem::swap(state.codec.output(), written);
        if !had_room && state.codec.room() > 0 {
            self.has_more_room.set(true);
        }
        state.send_on();
        Poll::Ready(())
    }

    /// Takes bytes of the peer, and wakes the calls that they are for. Says how long to rest before these run, if at all.
    ///
    /// # Errors
    /// When the peer broke a rule that ends the connection.
    pub(super) fn take_in(&self, mut input: &[u8]) -> Result<Option<Duration>, Fault> {
        self.is_active.set(true);
        let came_len = self.unanswered_len.get() + input.len();
        self.unanswered_len.set(came_len);
        let state = &mut *self.state.borrow_mut();
        let mut answers = Answers::default();
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
                        answers.count(mailbox, ends);
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
                    answers.count(mailbox, ends);
                    match mailbox.take_data(&self.memory, bytes, ends) {
                        Taken::Kept => {}
                        Taken::Whole => state.codec.release(stream, bytes.len()),
                        Taken::TooMuch => state.codec.reset(stream, Code::CANCEL),
                    }
                }
                Event::Trailers { stream, list } => {
                    if let Some(mailbox) = state.mailboxes.get_mut(stream.key() as usize) {
                        answers.count(mailbox, true);
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
        Ok(answers.last_began.and_then(|began| {
            self.unanswered_len.set(0);
            let now = clock::now();
            let quickest = now.saturating_duration_since(began);
            let rest = self.pace.note_answers(answers.count, quickest, now);
            rest.filter(|_| came_len <= answers.count * GATHER_ANSWER_LEN_MAX)
        }))
    }

    /// The worker has rested for them.
    pub(super) fn note_rested(&self) {
        self.pace.note_rested(clock::now());
    }

    /// The connection is over: tells the calls in flight why, and takes no more.
    pub(super) fn end(&self, error: CallError) {
        let state = &mut *self.state.borrow_mut();
        for mailbox in &mut state.mailboxes {
            mailbox.fail(error, false);
        }
    }
}

/// The whole answers that one read has brought.
#[derive(Default)]
struct Answers {
    count: usize,
    /// When the call began that was answered quickest.
    last_began: Option<Instant>,
}

impl Answers {
    fn count(&mut self, mailbox: &Mailbox, ends: bool) {
        if ends && mailbox.whole_len_max.is_some() {
            self.count += 1;
            self.last_began = self.last_began.max(mailbox.began);
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
                None => mailbox.wake_sender(),
            }
        }
    }
}

impl Stream {
    /// Sends the one message of a call; what there is no window for goes out when there is.
    pub(super) fn send_whole(&self, mut message: SharedBytes) {
        let state = &mut *self.link.state.borrow_mut();
        let sent = state.codec.send(self.id, message.chunk(), true);
        message.advance(sent);
        if message.has_remaining()
            && let mailbox = self.mailbox(state)
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
        match self.mailbox(state).wait_to_send(task) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Ends the request.
    pub(super) fn finish(&self) -> Result<(), CallError> {
        let state = &mut *self.link.state.borrow_mut();
        self.mailbox(state).check_can_send()?;
        state.codec.send(self.id, &[], true);
        self.link.call_driver();
        Ok(())
    }

    /// From here on the answer is waited for as a whole, of so many bytes at most.
    pub(super) fn expect_whole(&self, body_len_max: usize) {
        let state = &mut *self.link.state.borrow_mut();
        let was = self.mailbox(state).whole_len_max.replace(body_len_max);
        if was.is_none() {
            self.link.pace.note_whole();
        }
    }

    /// Waits for a whole answer; the call has [said so](Self::expect_whole).
    pub(super) fn poll_whole(&self, task: &Context<'_>) -> Poll<Result<Reply, Failure>> {
        let state = &mut *self.link.state.borrow_mut();
        self.mailbox(state).poll_whole(&self.link.memory, task)
    }

    /// Waits for the headers.
    pub(super) fn poll_answer(&self, task: &Context<'_>) -> Poll<Result<Answer, Failure>> {
        let state = &mut *self.link.state.borrow_mut();
        self.mailbox(state).poll_answer(&self.link.memory, task)
    }

    /// The next bytes of the body; nothing at its end.
    pub(super) fn poll_bytes(
        &self,
        task: &Context<'_>,
    ) -> Poll<Option<Result<Received, CallError>>> {
        let state = &mut *self.link.state.borrow_mut();
        self.mailbox(state).poll_bytes(&self.link.memory, task)
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
        let state = &mut *self.link.state.borrow_mut();
        self.mailbox(state).poll_trailers(&self.link.memory, task)
    }

    fn mailbox<'s>(&self, state: &'s mut State) -> &'s mut Mailbox {
        state
            .mailbox(self.id)
            .expect("a stream's key is that of a mailbox, and none is ever removed")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let state = &mut *self.link.state.borrow_mut();
        // Nothing happens to one that has ended.
        state.codec.reset(self.id, Code::CANCEL);
        let mailbox = self.mailbox(state);
        self.link.pace.note_gone(mailbox.whole_len_max.is_some());
        mailbox.empty(&self.link.memory);
        state.free_keys.push(self.id.key());
        if state.is_left || !state.codec.output().is_empty() {
            self.link.call_driver();
        }
    }
}

#[cfg(test)]
mod tests {
    use transom_engine::http2::Scheme;

    use super::super::mailbox::PIECE_LEN;
    use super::*;
    use crate::buffers::SharedBuffer;
    use crate::limits::{GATHER_CALL_COUNT_MIN, GATHER_TIME_MAX};

    /// SETTINGS without any.
    const GREETING: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

    fn greeted() -> Rc<Link> {
        let link = Link::new(&Rc::default());
        assert!(!link.is_ready());
        link.take_in(GREETING).unwrap();
        assert!(link.is_ready());
        let mut opening = Vec::new();
        assert!(link.poll_output(&mut opening).is_ready());
        link
    }

    fn block() -> HeaderBlock {
        HeaderBlock::post(Scheme::Http, b"localhost", b"/test.Echo/Say", []).unwrap()
    }

    fn call(link: &Rc<Link>) -> Stream {
        let stream = link.open(&block(), []).unwrap();
        stream.expect_whole(1024);
        let mut message = SharedBuffer::new();
        message.start().extend_from_slice(b"\0\0\0\0\0");
        stream.send_whole(message.share());
        stream
    }

    /// `:status: 200`, `content-type: application/grpc`, a message without bytes, and `grpc-status: 0`.
    fn answer(number: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 35, 1, 4, 0, 0, 0, number, 0x88, 0x0f, 0x10, 16];
        bytes.extend_from_slice(b"application/grpc");
        // A header that is skipped by who asks for others, up to the length above.
        bytes.extend_from_slice(b"\0\x04skip\x08anything");
        bytes.extend_from_slice(&[0, 0, 5, 0, 0, 0, 0, 0, number, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0, 0, 15, 1, 5, 0, 0, 0, number]);
        bytes.extend_from_slice(b"\0\x0bgrpc-status\x010");
        bytes
    }

    fn types_of(mut frames: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        while let [a, b, c, kind, rest @ ..] = frames {
            types.push(*kind);
            let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            frames = &rest[5 + len..];
        }
        types
    }

    #[test]
    fn calls_of_one_turn_leave_in_one_write() {
        let link = greeted();
        let calls = [call(&link), call(&link), call(&link)];
        let mut written = Vec::new();
        assert!(link.poll_output(&mut written).is_ready());
        assert_eq!(types_of(&written), [1, 0, 1, 0, 1, 0]);
        assert!(link.poll_output(&mut written).is_pending());
        // Those that are dropped before their end are reset, together too.
        drop(calls);
        assert!(link.poll_output(&mut written).is_ready());
        assert_eq!(types_of(&written), [3, 3, 3]);
    }

    /// Goal: a peer that asks with each answer is not woken twice for each call, and yet is answered.
    #[test]
    fn answer_to_a_ping_goes_out_with_the_next_call_or_when_it_is_due() {
        const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0whatever";
        let link = greeted();
        let mut written = Vec::new();
        link.take_in(PING).unwrap();
        assert!(link.poll_output(&mut written).is_pending());
        assert!(link.holds_pong());
        let first = call(&link);
        assert!(link.poll_output(&mut written).is_ready());
        assert_eq!(types_of(&written), [6, 1, 0]);
        assert!(!link.holds_pong());
        link.let_pong_go();
        link.take_in(PING).unwrap();
        assert!(link.poll_output(&mut written).is_pending());
        link.let_pong_go();
        assert!(link.poll_output(&mut written).is_ready());
        assert_eq!(types_of(&written), [6]);
        // Two at once are no measuring, and one that leaves waits for nothing.
        link.take_in(&PING.repeat(2)).unwrap();
        assert!(link.poll_output(&mut written).is_ready());
        drop(first);
        assert!(link.poll_output(&mut written).is_ready());
        assert!(link.leave());
        assert!(link.poll_output(&mut written).is_ready());
        link.take_in(PING).unwrap();
        assert!(link.poll_output(&mut written).is_ready());
    }

    /// Goal: what calls are in flight, and how long they took, is what rests are decided by. Method: calls that began long ago, answered one by one.
    #[test]
    fn answer_of_a_slow_upstream_waits_for_others_while_many_calls_are_in_flight() {
        const LONG: Duration = Duration::from_secs(10);
        let link = greeted();
        for _ in 0..1000 {
            link.pace.note_answers(1, LONG, clock::now());
        }
        let mut calls: Vec<_> = (0..=GATHER_CALL_COUNT_MIN).map(|_| call(&link)).collect();
        for mailbox in &mut link.state.borrow_mut().mailboxes {
            mailbox.began = mailbox.began.and_then(|at| at.checked_sub(LONG));
        }
        // A frame of a kind that nobody knows stands for a long body.
        let mut long = vec![0, 0x40, 0, 0xee, 0, 0, 0, 0, 0];
        long.resize(long.len() + 0x4000, 0);
        assert_eq!(link.take_in(&long).unwrap(), None);
        assert_eq!(link.take_in(&answer(9)).unwrap(), None, "it is long");
        assert_eq!(link.take_in(&answer(1)).unwrap(), Some(GATHER_TIME_MAX));
        calls.drain(..2);
        assert_eq!(link.take_in(&answer(5)).unwrap(), None, "too few are left");
        calls.clear();
        let fresh: Vec<_> = (0..GATHER_CALL_COUNT_MIN).map(|_| call(&link)).collect();
        let quick = 5 + 2 * u8::try_from(GATHER_CALL_COUNT_MIN).unwrap();
        assert_eq!(
            link.take_in(&answer(quick)).unwrap(),
            None,
            "it took no time"
        );
        drop(fresh);
    }

    #[test]
    fn next_call_uses_the_memory_of_the_one_before() {
        let link = greeted();
        let task = Context::from_waker(Waker::noop());
        let mut place = None;
        for number in [1, 3, 5] {
            let stream = call(&link);
            assert!(stream.poll_whole(&task).is_pending());
            link.take_in(&answer(number)).unwrap();
            let Poll::Ready(Ok(reply)) = stream.poll_whole(&task) else {
                panic!("there is no reply");
            };
            assert_eq!(
                reply.headers.value("content-type"),
                Some(&b"application/grpc"[..])
            );
            assert_eq!(reply.body, [0; 5]);
            assert_eq!(
                reply.trailers.as_ref().unwrap().value("grpc-status"),
                Some(&b"0"[..])
            );
            let here = reply.body.as_ptr();
            assert_eq!(*place.get_or_insert(here), here);
        }
        assert_eq!(link.state.borrow().mailboxes.len(), 1);
    }

    #[test]
    fn stream_gets_a_long_body_in_pieces_without_a_gap() {
        let link = greeted();
        let task = Context::from_waker(Waker::noop());
        let stream = link.open(&block(), []).unwrap();
        let mut bytes = vec![0, 0, 20, 1, 4, 0, 0, 0, 1, 0x88, 0x0f, 0x10, 16];
        bytes.extend_from_slice(b"application/grpc");
        let body: Vec<u8> = (0..10_u8).flat_map(|number| [number; 10_000]).collect();
        for frame in body.chunks(10_000) {
            bytes.extend_from_slice(&[0, 0x27, 0x10, 0, 0, 0, 0, 0, 1]);
            bytes.extend_from_slice(frame);
        }
        link.take_in(&bytes).unwrap();
        assert!(matches!(stream.poll_answer(&task), Poll::Ready(Ok(_))));
        let mut received = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = stream.poll_bytes(&task) {
            assert!((1..=PIECE_LEN).contains(&piece.len()));
            received.extend_from_slice(&piece);
        }
        assert_eq!(received, body);
    }

    #[test]
    fn end_of_a_connection_is_the_end_of_its_calls() {
        let link = greeted();
        let task = Context::from_waker(Waker::noop());
        let (waiting, answered) = (call(&link), call(&link));
        link.take_in(&answer(3)).unwrap();
        link.end(CallError::ConnectionLost);
        assert!(link.leave());
        let Poll::Ready(Err(failure)) = waiting.poll_whole(&task) else {
            panic!("the call goes on");
        };
        assert_eq!(failure.error, CallError::ConnectionLost);
        assert!(!failure.is_unstarted);
        assert!(matches!(answered.poll_whole(&task), Poll::Ready(Ok(_))));
        assert!(link.open(&block(), []).is_err());
    }
}
