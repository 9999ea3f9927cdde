//! One connection to an upstream on h2. In: a connected stream. Out: streams for calls.
//! Always: no stream is opened before the peer's SETTINGS, and never more than they allow.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::PoolSettings;
use super::connection::{Change, Connection, keep_alive};
use super::error::Unavailable;
use crate::buffers::SharedBytes;
use crate::limits::{
    UPSTREAM_CANCELLED_COUNT_MAX, UPSTREAM_CONNECTION_WINDOW_LEN, UPSTREAM_HEADER_LIST_LEN_MAX,
    UPSTREAM_SEND_LEN_MAX, UPSTREAM_STRAY_COUNT_MAX, UPSTREAM_STREAM_COUNT_MAX,
    UPSTREAM_STREAM_WINDOW_LEN,
};
use crate::net::PollStream;

type H2Connection = h2::client::Connection<Watched, SharedBytes>;

/// What calls of a connection on h2 are sent with.
pub(super) struct H2Link {
    /// `None` once the connection takes no more calls, so that h2 can end it.
    sender: RefCell<Option<SendRequest<SharedBytes>>>,
    /// What the peer allows, and our own bound.
    stream_count_max: Cell<usize>,
    /// Whether a call found h2 without a stream for it since h2 last had one.
    is_held_up: Cell<bool>,
}

impl H2Link {
    /// Whether calls can be sent on it, now or when a stream is free.
    pub(super) fn is_open(&self) -> bool {
        self.sender.borrow().is_some()
    }

    /// Whether one more call may be sent now, besides those in flight.
    pub(super) fn has_room(&self, in_flight_count: usize) -> bool {
        if in_flight_count >= self.stream_count_max.get() {
            return false;
        }
        // A cancelled call still holds its stream in h2 while its reset cannot be written, and h2 refuses what it has no stream for.
        let readiness = self.poll_ready();
        if readiness.is_pending() {
            self.is_held_up.set(true);
        }
        matches!(readiness, Poll::Ready(Ok(())))
    }

    /// Whether h2 takes a call now; an error once it never will again.
    fn poll_ready(&self) -> Poll<Result<(), h2::Error>> {
        let mut cx = Context::from_waker(Waker::noop());
        match &mut *self.sender.borrow_mut() {
            Some(sender) => sender.poll_ready(&mut cx),
            None => Poll::Pending,
        }
    }

    /// Takes no more calls. Says whether it took some before.
    pub(super) fn leave(&self) -> bool {
        let sender = self.sender.borrow_mut().take();
        sender.is_some()
    }

    /// Opens a stream with `request` as its head; `None` as an error: the connection had been left.
    pub(super) fn send(
        &self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, SendStream<SharedBytes>), Option<h2::Error>> {
        let mut sender = self.sender.borrow_mut();
        let sender = sender.as_mut().ok_or(None)?;
        sender.send_request(request, false).map_err(Some)
    }

    /// Looks what the last frames changed: the peer's stream limit, a GOAWAY, stream ids used up.
    fn observe(&self, io: &H2Connection) -> Change {
        let allowed = io
            .max_concurrent_send_streams()
            .min(UPSTREAM_STREAM_COUNT_MAX);
        let before = self.stream_count_max.replace(allowed);
        match self.poll_ready() {
            Poll::Ready(Ok(())) if self.is_held_up.take() => Change::MoreRoom,
            Poll::Ready(Err(_)) => Change::Closed,
            Poll::Ready(Ok(())) | Poll::Pending if allowed > before => Change::MoreRoom,
            Poll::Ready(Ok(())) | Poll::Pending => Change::None,
        }
    }
}

/// A connection on h2 and the work that keeps it going.
pub(super) struct H2Driver {
    io: H2Connection,
    pings: Option<PingPong>,
    is_active: Rc<Cell<bool>>,
}

impl H2Driver {
    /// Waits for the peer's SETTINGS. The caller bounds the time.
    pub(super) async fn open(stream: PollStream) -> Result<(H2Link, Self), Unavailable> {
        let is_active = Rc::new(Cell::new(true));
        let watched = Watched {
            stream,
            is_active: Rc::clone(&is_active),
        };
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            // No stream before the peer's SETTINGS: h2 sets the number with them, which is how we see them.
            .initial_max_send_streams(0)
            .initial_window_size(UPSTREAM_STREAM_WINDOW_LEN)
            .initial_connection_window_size(UPSTREAM_CONNECTION_WINDOW_LEN)
            .max_send_buffer_size(UPSTREAM_SEND_LEN_MAX)
            .max_header_list_size(UPSTREAM_HEADER_LIST_LEN_MAX)
            .max_concurrent_reset_streams(UPSTREAM_CANCELLED_COUNT_MAX)
            .max_local_error_reset_streams(Some(UPSTREAM_STRAY_COUNT_MAX))
            .handshake(watched)
            .await;
        let (sender, mut io) = handshake.map_err(|error| {
            tracing::debug!(%error, "HTTP/2 handshake with the upstream failed");
            Unavailable::HandshakeFailed
        })?;
        let pings = io.ping_pong();
        poll_fn(|cx| match Pin::new(&mut io).poll(cx) {
            Poll::Ready(result) => {
                tracing::debug!(?result, "the upstream ended before its SETTINGS");
                Poll::Ready(Err(Unavailable::HandshakeFailed))
            }
            Poll::Pending if io.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let link = H2Link {
            sender: RefCell::new(Some(sender)),
            stream_count_max: Cell::new(0),
            is_held_up: Cell::new(false),
        };
        link.observe(&io);
        let driver = Self {
            io,
            pings,
            is_active,
        };
        Ok((link, driver))
    }

    /// Reads and writes until the connection ends.
    pub(super) async fn drive(
        self,
        connection: &Connection,
        link: &H2Link,
        settings: &PoolSettings,
    ) {
        let Self {
            mut io,
            mut pings,
            is_active,
        } = self;
        let ping = async || match &mut pings {
            Some(pings) => pings.ping(Ping::opaque()).await.is_ok(),
            None => std::future::pending().await,
        };
        let mut keepalive = pin!(keep_alive(connection, &is_active, ping, settings));
        let end = poll_fn(|cx| {
            let end = Pin::new(&mut io).poll(cx);
            connection.note(link.observe(&io));
            if end.is_pending() && keepalive.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            end
        })
        .await;
        if let Err(error) = end {
            tracing::debug!(%error, "a connection to the upstream ended");
        }
        // Dropped first, so that the calls in flight learn of the end before the next attempt begins.
        drop(io);
        connection.leave();
    }
}

/// A stream that remembers whether bytes have come.
#[derive(Debug)]
struct Watched {
    stream: PollStream,
    is_active: Rc<Cell<bool>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.is_active.set(true);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
