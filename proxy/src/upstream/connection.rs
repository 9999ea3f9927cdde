//! One HTTP/2 connection to an upstream, on h2. In: a connected stream. Out: streams for calls.
//! Always: a connection takes calls only after the peer's SETTINGS and until its GOAWAY or its end; calls in flight
//! never exceed what the peer allows; silence with calls in flight is ended by a PING that must be answered, but no peer is asked
//! more often than servers of gRPC put up with.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::Unavailable;
use super::target::Place;
use super::{PoolSettings, Upstream};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::limits::{
    UPSTREAM_CANCELLED_COUNT_MAX, UPSTREAM_CONNECTION_WINDOW_LEN, UPSTREAM_HEADER_LIST_LEN_MAX,
    UPSTREAM_SEND_LEN_MAX, UPSTREAM_STRAY_COUNT_MAX, UPSTREAM_STREAM_COUNT_MAX,
    UPSTREAM_STREAM_WINDOW_LEN,
};
use crate::net::{Notify, PollStream, sleep, timeout};

type H2Connection = h2::client::Connection<Watched, SharedBytes>;

/// Quiet quarters of the idle time after which a PING is due.
const QUIET_TICK_COUNT: u32 = 4;

/// A connection that calls can be sent on.
pub(super) struct Connection {
    /// `None` once the connection takes no more calls, so that h2 can end it.
    sender: RefCell<Option<SendRequest<SharedBytes>>>,
    in_flight_count: Cell<usize>,
    /// Whether a call was answered since the last PING.
    has_answered: Cell<bool>,
    /// What the peer allows, and our own bound.
    stream_count_max: Cell<usize>,
    /// Whether a call found h2 without a stream for it since h2 last had one.
    is_held_up: Cell<bool>,
    /// Notified when the connection takes no more calls.
    left: Notify,
    /// The pool's waiting calls.
    free: Rc<Notify>,
}

/// The right to one stream of a connection.
pub(super) struct Lease {
    connection: Rc<Connection>,
}

impl Connection {
    /// Whether calls can be sent on it, now or when a stream is free.
    pub(super) fn is_open(&self) -> bool {
        self.sender.borrow().is_some()
    }

    /// Calls in flight.
    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight_count.get()
    }

    /// Whether one more call may be sent now.
    pub(super) fn has_room(&self) -> bool {
        if self.in_flight_count.get() >= self.stream_count_max.get() {
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

    /// Takes the right to one stream. The caller has asked [`Connection::has_room`].
    pub(super) fn lease(self: &Rc<Self>) -> Lease {
        self.in_flight_count.set(self.in_flight_count.get() + 1);
        Lease {
            connection: Rc::clone(self),
        }
    }

    /// Takes no more calls; those in flight go on.
    pub(super) fn leave(&self) {
        let sender = self.sender.borrow_mut().take();
        if sender.is_some() {
            drop(sender);
            self.left.notify_all();
            self.free.notify_all();
        }
    }

    /// Waits until the connection takes no more calls.
    pub(super) async fn until_left(&self) {
        while self.is_open() {
            self.left.notified().await;
        }
    }

    /// Looks what the last frames changed: the peer's stream limit, a GOAWAY, stream ids used up.
    fn observe(&self, io: &H2Connection) {
        let allowed = io
            .max_concurrent_send_streams()
            .min(UPSTREAM_STREAM_COUNT_MAX);
        let before = self.stream_count_max.replace(allowed);
        if allowed > before {
            self.free.notify_all();
        }
        match self.poll_ready() {
            Poll::Ready(Ok(())) if self.is_held_up.take() => self.free.notify_all(),
            Poll::Ready(Err(_)) => self.leave(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
}

impl Lease {
    /// Opens a stream with `request` as its head.
    pub(super) fn send(
        &self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, SendStream<SharedBytes>), Option<h2::Error>> {
        let mut sender = self.connection.sender.borrow_mut();
        let sender = sender.as_mut().ok_or(None)?;
        sender.send_request(request, false).map_err(Some)
    }

    /// Notes that the peer has answered: it counts PINGs only between its answers.
    pub(super) fn note_answer(&self) {
        self.connection.has_answered.set(true);
    }

    /// Takes the connection out of use, since it refused a stream.
    pub(super) fn leave(&self) {
        self.connection.leave();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection
            .in_flight_count
            .set(connection.in_flight_count.get() - 1);
        if connection.free.waiting_count() > 0 && connection.has_room() {
            connection.free.notify_one();
        }
    }
}

/// A connection and the work that keeps it going.
pub(super) struct Opened {
    pub(super) connection: Rc<Connection>,
    io: H2Connection,
    pings: Option<PingPong>,
    is_active: Rc<Cell<bool>>,
}

/// Connects and waits for the peer's SETTINGS. `turn` chooses the address to begin with. The caller bounds the time.
pub(super) async fn open(
    upstream: &Upstream,
    turn: usize,
    free: Rc<Notify>,
) -> Result<Opened, Unavailable> {
    let stream = connect(upstream, turn).await?;
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
    let connection = Rc::new(Connection {
        sender: RefCell::new(Some(sender)),
        in_flight_count: Cell::new(0),
        has_answered: Cell::new(false),
        stream_count_max: Cell::new(0),
        is_held_up: Cell::new(false),
        left: Notify::new(),
        free,
    });
    connection.observe(&io);
    Ok(Opened {
        connection,
        io,
        pings,
        is_active,
    })
}

/// Connects to the first address that answers.
async fn connect(upstream: &Upstream, turn: usize) -> Result<PollStream, Unavailable> {
    let addresses: Vec<SocketAddr> = match upstream.target.place() {
        Place::Unix(path) => {
            return PollStream::connect_unix(path).await.map_err(|error| {
                tracing::debug!(%error, "connecting to the upstream failed");
                Unavailable::ConnectFailed
            });
        }
        Place::Address(address) => vec![*address],
        Place::Name { .. } => {
            let resolver = upstream.resolver.as_ref();
            let resolver = resolver.ok_or(Unavailable::NameUnresolved)?;
            let found = resolver.addresses().await;
            found.ok_or(Unavailable::NameUnresolved)?
        }
    };
    let count = addresses.len();
    for address in addresses.iter().cycle().skip(turn % count).take(count) {
        match PollStream::connect_tcp(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => tracing::debug!(%address, %error, "connecting to the upstream failed"),
        }
    }
    Err(Unavailable::ConnectFailed)
}

impl Opened {
    /// Reads and writes until the connection ends, and tells the pool what happens.
    pub(super) async fn drive(self, settings: PoolSettings) {
        let Self {
            connection,
            mut io,
            pings,
            is_active,
        } = self;
        let mut keepalive = pin!(keep_alive(&connection, &is_active, pings, &settings));
        let end = poll_fn(|cx| {
            let end = Pin::new(&mut io).poll(cx);
            connection.observe(&io);
            if end.is_pending() && keepalive.as_mut().poll(cx).is_ready() {
                tracing::warn!("the upstream answered no PING; its connection is given up");
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

/// Ends when the peer owes a PING's answer for too long.
async fn keep_alive(
    connection: &Connection,
    is_active: &Cell<bool>,
    pings: Option<PingPong>,
    settings: &PoolSettings,
) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    let tick = settings.keepalive_idle / QUIET_TICK_COUNT;
    let mut quiet_count = 0;
    let mut pinged_at: Option<Instant> = None;
    loop {
        sleep(tick).await;
        if is_active.replace(false) || connection.in_flight_count() == 0 {
            quiet_count = 0;
            continue;
        }
        quiet_count += 1;
        let now = clock::now();
        let is_welcome = connection.has_answered.get()
            || pinged_at
                .is_none_or(|at| now.saturating_duration_since(at) >= settings.keepalive_gap);
        if quiet_count < QUIET_TICK_COUNT || !is_welcome {
            continue;
        }
        quiet_count = 0;
        connection.has_answered.set(false);
        pinged_at = Some(now);
        let answered = timeout(settings.keepalive_timeout, pings.ping(Ping::opaque())).await;
        if !matches!(answered, Ok(Ok(_))) {
            return;
        }
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
