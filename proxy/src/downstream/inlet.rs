//! The receiving side of a connection: bytes not yet used, and at most one read in flight. In: the reading half. Out: bytes.
//! Always: a read in flight is never dropped before the connection is, since it may hold bytes that have arrived.
//!
//! ```text
//!   more()   waits for bytes                    buffer ──▶ read in flight ──▶ buffer
//!   watch()  notices a client that leaves       (spare) ─▶ read in flight     while an upstream works; the bytes it
//!            while its call is under way                                      brings belong to the next request
//! ```

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::limits::IDLE_READ_LEN_MAX;
use crate::net::ReadHalf;

/// What a read gives back: the half and the buffer it had taken, and how many bytes it appended.
pub(super) type ReadDone = (ReadHalf, Vec<u8>, io::Result<usize>);

/// Starts a read; the future owns all it works with, so it can be kept while other things happen.
pub(super) async fn read(mut half: ReadHalf, buffer: Vec<u8>) -> ReadDone {
    let (read, buffer) = half.read(buffer).await;
    (half, buffer, read)
}

/// The receiving side of a connection.
pub(super) struct Inlet<'p, F> {
    /// The read in flight. Exactly one of `half` and `flight` is there.
    flight: Pin<&'p mut Option<F>>,
    half: Option<ReadHalf>,
    start: fn(ReadHalf, Vec<u8>) -> F,
    /// Bytes received and not yet used, from the start of the current request.
    bytes: Vec<u8>,
    has_ended: bool,
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
            bytes: Vec::new(),
            has_ended: false,
        }
    }

    /// The bytes received and not yet used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets bytes from the front that were used.
    pub(super) fn consume(&mut self, len: usize) {
        if len >= self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..len);
        }
    }

    /// Forgets bytes behind the head that a body decoder has taken.
    pub(super) fn cut(&mut self, from: usize, len: usize) {
        self.bytes.drain(from..from + len);
    }

    /// Makes room, so that the next read can bring as much at once.
    pub(super) fn expect(&mut self, len: usize) {
        self.bytes.reserve(len);
    }

    /// Drops memory that a large request has left behind.
    pub(super) fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_READ_LEN_MAX {
            self.bytes = Vec::new();
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
            let buffer = std::mem::take(&mut self.bytes);
            self.flight.set(Some((self.start)(half, buffer)));
        }
        poll_fn(|context| self.poll_flight(context)).await
    }

    /// Notices the end of a client while its call is under way: ready when the client is gone, pending otherwise.
    /// Bytes that come are kept, up to `len_max`.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>, len_max: usize) -> Poll<()> {
        loop {
            if self.has_ended {
                return Poll::Ready(());
            }
            if self.half.is_some() && self.bytes.len() >= len_max {
                // Enough of the next requests is here; the client waits as it would behind a full socket buffer.
                return Poll::Pending;
            }
            if let Some(half) = self.half.take() {
                // With bytes of the next request here the read gets a buffer of its own, so that they can be parsed meanwhile.
                let buffer = if self.bytes.is_empty() {
                    std::mem::take(&mut self.bytes)
                } else {
                    Vec::new()
                };
                self.flight.set(Some((self.start)(half, buffer)));
            }
            match ready!(self.poll_flight(context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    fn poll_flight(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(flight) = self.flight.as_mut().as_pin_mut() else {
            return Poll::Ready(Ok(0));
        };
        let (half, buffer, read) = ready!(flight.poll(context));
        self.flight.set(None);
        self.half = Some(half);
        if self.bytes.is_empty() {
            self.bytes = buffer;
        } else {
            self.bytes.extend_from_slice(&buffer);
        }
        self.has_ended = !matches!(read, Ok(1..));
        Poll::Ready(read)
    }
}
