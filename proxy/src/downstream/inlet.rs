//! The receiving side of a connection: bytes not yet used, and at most one read in flight. In: the reading half. Out: bytes.
//! Always: a read in flight is never dropped before the connection is, since it may hold bytes that have arrived.
//!
//! ```text
//!   more()        waits for bytes               buffer ──▶ read in flight ──▶ buffer
//!   poll_gone()   notices a client that leaves  (spare) ─▶ read in flight     while an upstream works; the bytes it
//!                 while its call is under way                                 brings belong to the next request;
//!                                               full    ─▶ the kernel is      when it holds all it may
//!                                                          asked now and then
//! ```

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::limits::{
    BUSY_PAUSE, BUSY_REQUEST_COUNT_MAX, IDLE_READ_LEN_MAX, LEFT_CHECK_GAP, READ_FIRST_LEN,
    READ_ROOM_LEN,
};
use crate::net::{ReadHalf, sleep};

/// What a read gives back: the half and the buffer it had taken, and how many bytes it appended.
pub(super) type ReadDone = (ReadHalf, Vec<u8>, io::Result<usize>);

/// Starts a read; the future owns all it works with, so it can be kept while other things happen.
pub(super) async fn read(mut half: ReadHalf, buffer: Vec<u8>) -> ReadDone {
    let (read, buffer) = half.read(buffer).await;
    (half, buffer, read)
}

/// The receiving side of a connection.
///
/// ```text
///   received   requests already taken │ bytes()            │ room for the next read
///              0             used_len ┘        .len() ─────┘             .capacity()
/// ```
pub(super) struct Inlet<'p, F> {
    /// The read in flight. Exactly one of `half` and `flight` is there.
    flight: Pin<&'p mut Option<F>>,
    half: Option<ReadHalf>,
    start: fn(ReadHalf, Vec<u8>) -> F,
    received: Vec<u8>,
    /// Where the current request begins. `used_len <= received.len()`, and 0 when they are equal.
    used_len: usize,
    /// Whether the client sends no more.
    has_ended: bool,
    /// Time until the kernel is asked whether the client has left. Only while no more is read.
    next_check: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Whether a read had to be waited for since turns were last taken.
    has_waited: bool,
    /// Turns since a read had to be waited for.
    busy_count: usize,
    /// Bytes that a read into an empty buffer has room for. `READ_FIRST_LEN <= room_len <= READ_ROOM_LEN`
    room_len: usize,
}

impl<'p, F: Future<Output = ReadDone>> Inlet<'p, F> {
    pub(super) fn new(
        half: ReadHalf,
        start: fn(ReadHalf, Vec<u8>) -> F,
        flight: Pin<&'p mut Option<F>>,
    ) -> Self {
        Self {
            flight,
            half: Some(half),
            start,
            received: Vec::new(),
            used_len: 0,
            has_ended: false,
            next_check: None,
            has_waited: false,
            busy_count: 0,
            room_len: READ_FIRST_LEN,
        }
    }

    /// The bytes received and not yet used.
    pub(super) fn bytes(&self) -> &[u8] {
        self.received.get(self.used_len..).unwrap_or_default()
    }

    /// Whether the client sends no more.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Lets others have their turn now and then: with epoll a read that finds bytes does not give it up, so a client that never stops sending
    /// would keep it. To be called once a request, or once a read.
    pub(super) async fn take_turns(&mut self) {
        self.busy_count = if std::mem::take(&mut self.has_waited) {
            0
        } else {
            self.busy_count + 1
        };
        if self.busy_count == BUSY_REQUEST_COUNT_MAX {
            self.busy_count = 0;
            // A timer is 640 bytes long, which the connection would hold at all times.
            Box::pin(sleep(BUSY_PAUSE)).await;
        }
    }

    /// Forgets bytes from the front that were used. Nothing is moved, however many requests are behind them.
    pub(super) fn consume(&mut self, len: usize) {
        self.used_len = self.used_len.saturating_add(len).min(self.received.len());
        if self.used_len == self.received.len() {
            self.received.clear();
            self.used_len = 0;
        }
    }

    /// Forgets all but the first `len` bytes: a body decoder has taken the rest.
    pub(super) fn truncate(&mut self, len: usize) {
        self.received.truncate(self.used_len + len);
    }

    /// Moves up to `len_max` bytes behind the first `start` to the end of `to`.
    pub(super) fn move_out(&mut self, start: usize, len_max: usize, to: &mut Vec<u8>) {
        let start = (self.used_len + start).min(self.received.len());
        let end = start.saturating_add(len_max).min(self.received.len());
        to.extend(self.received.drain(start..end));
    }

    /// Makes room, so that the next read can bring as much at once, and hardly more: what it brings of the next request would be
    /// carried along with this one. A read in flight has its room already.
    pub(super) fn expect(&mut self, len: usize) {
        if self.half.is_some() {
            self.compact();
            self.received.reserve_exact(len);
        }
    }

    /// Waits for more bytes behind those received. Zero means that the client sends no more.
    ///
    /// May be dropped and called again: the read stays in flight.
    pub(super) async fn more(&mut self) -> io::Result<usize> {
        if self.has_ended {
            return Ok(0);
        }
        if let Some(half) = self.half.take() {
            self.next_check = None;
            self.compact();
            let buffer = self.take_received();
            self.begin_read(half, buffer);
        }
        poll_fn(|context| self.poll_flight(context)).await
    }

    /// Notices the end of a client while its call is under way: ready when the client is gone, pending otherwise.
    /// Bytes that come are kept, up to `len_max`.
    ///
    /// A client that only closes its sending side cannot be told from one that has left before something is written to it.
    /// It counts as gone, as it does for nginx and Go. With `len_max` bytes here no more is read; an end behind those that the kernel holds is noticed
    /// within [`LEFT_CHECK_GAP`].
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>, len_max: usize) -> Poll<()> {
        loop {
            if self.has_ended {
                return Poll::Ready(());
            }
            if self.half.is_some() && self.bytes().len() >= len_max {
                // Enough of the next requests is here; the client waits as it would behind a full socket buffer.
                return self.poll_left(context);
            }
            if let Some(half) = self.half.take() {
                self.next_check = None;
                // With bytes of the next request here the read gets a buffer of its own, so that they can be parsed meanwhile.
                let buffer = if self.received.is_empty() {
                    self.take_received()
                } else {
                    Vec::new()
                };
                self.begin_read(half, buffer);
            }
            match ready!(self.poll_flight(context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Notices the end of a client behind bytes that nobody reads (SEMANTICS 126).
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(check) = &mut self.next_check {
                ready!(check.as_mut().poll(context));
                self.next_check = None;
                // That it cannot be told for want of descriptors is no sign of an end.
                let has_left = |half: &ReadHalf| half.has_peer_left().unwrap_or(false);
                if self.half.as_ref().is_some_and(has_left) {
                    return Poll::Ready(());
                }
            }
            self.next_check = Some(Box::pin(sleep(LEFT_CHECK_GAP)));
        }
    }

    /// Starts a read into `buffer`, which gets room if it is full.
    fn begin_read(&mut self, half: ReadHalf, mut buffer: Vec<u8>) {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(self.room_len);
        }
        self.flight.set(Some((self.start)(half, buffer)));
    }

    fn poll_flight(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(flight) = self.flight.as_mut().as_pin_mut() else {
            return Poll::Ready(Ok(0));
        };
        let Poll::Ready((half, buffer, read)) = flight.poll(context) else {
            self.has_waited = true;
            return Poll::Pending;
        };
        self.flight.set(None);
        self.half = Some(half);
        if buffer.len() == buffer.capacity() {
            // This client sends more at once.
            self.room_len = READ_ROOM_LEN.min(self.room_len * 2);
        }
        if self.received.is_empty() {
            self.received = buffer;
        } else {
            self.compact();
            self.received.extend_from_slice(&buffer);
        }
        self.has_ended = !matches!(read, Ok(1..));
        Poll::Ready(read)
    }

    /// Moves the current request to the front of the buffer.
    fn compact(&mut self) {
        self.received.drain(..self.used_len);
        self.used_len = 0;
    }

    /// The buffer for the next read. An empty one is let go if it grew large, since the read may be in flight for as long as the client is idle, and its
    /// memory with it; and if it has become too small for what this client sends at once.
    fn take_received(&mut self) -> Vec<u8> {
        let buffer = std::mem::take(&mut self.received);
        if buffer.is_empty() && !(self.room_len..=IDLE_READ_LEN_MAX).contains(&buffer.capacity()) {
            return Vec::new();
        }
        buffer
    }
}
