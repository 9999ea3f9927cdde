//! One HTTP/2 connection to an upstream, on either codec. In: a connected stream. Out: leases of streams for calls.
//! Always: a connection takes calls only after the peer's SETTINGS and until its GOAWAY or its end; calls in flight
//! never exceed what the peer allows; silence with calls in flight is ended by a PING that must be answered, but no peer is asked
//! more often than servers of gRPC put up with.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use super::driver::Driver;
use super::error::Unavailable;
use super::h2_link::{H2Driver, H2Link};
use super::link::Link;
use super::pace::Pace;
use super::target::Place;
use super::{Codec, PoolSettings, Upstream};
use crate::clock::{self, Instant};
use crate::net::{Dialed, Notify, sleep, timeout};

/// Quiet quarters of the idle time after which a PING is due.
const QUIET_TICK_COUNT: u32 = 4;

/// A connection that calls can be sent on.
pub(super) struct Connection {
    on: On,
    in_flight_count: Cell<usize>,
    /// Whether a call was answered since the last PING.
    has_answered: Cell<bool>,
    /// Notified when the connection takes no more calls.
    left: Notify,
    /// The pool's waiting calls.
    free: Rc<Notify>,
}

/// What frames can change for calls to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// There is a stream where there was none before.
    MoreRoom,
    /// The connection takes no more of them.
    Closed,
}

/// What the streams of a connection are opened with.
pub(super) enum On {
    H2(H2Link),
    Transom(Rc<Link>),
}

/// The right to one stream of a connection.
pub(super) struct Lease {
    connection: Rc<Connection>,
}

impl Connection {
    /// Whether calls can be sent on it, now or when a stream is free.
    pub(super) fn is_open(&self) -> bool {
        match &self.on {
            On::H2(link) => link.is_open(),
            On::Transom(link) => link.is_open(),
        }
    }

    /// Calls in flight.
    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight_count.get()
    }

    /// Whether one more call may be sent now.
    pub(super) fn has_room(&self) -> bool {
        match &self.on {
            On::H2(link) => link.has_room(self.in_flight_count.get()),
            On::Transom(link) => link.has_room(),
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
        let was_open = match &self.on {
            On::H2(link) => link.leave(),
            On::Transom(link) => link.leave(),
        };
        if was_open {
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

    /// Takes note of what the last frames changed.
    pub(super) fn note(&self, change: Change) {
        match change {
            Change::None => {}
            Change::MoreRoom => self.free.notify_all(),
            Change::Closed => self.leave(),
        }
    }

    /// Takes note that the peer has answered: it counts PINGs only between its answers.
    pub(super) fn note_answer(&self) {
        self.has_answered.set(true);
    }
}

impl Lease {
    /// What the stream is opened with.
    pub(super) fn on(&self) -> &On {
        &self.connection.on
    }

    /// Takes note that the peer has answered.
    pub(super) fn note_answer(&self) {
        self.connection.note_answer();
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
    driver: AnyDriver,
}

enum AnyDriver {
    H2(Box<H2Driver>),
    Transom(Driver),
}

/// Connects and waits for the peer's SETTINGS. `turn` chooses the address to begin with. The caller bounds the time.
pub(super) async fn open(
    upstream: &Upstream,
    turn: usize,
    free: Rc<Notify>,
    pace: &Rc<Pace>,
) -> Result<Opened, Unavailable> {
    let stream = connect(upstream, turn).await?;
    let (on, driver) = match upstream.settings.codec {
        Codec::H2 => {
            let stream = stream.into_poll().map_err(|error| {
                tracing::debug!(%error, "a connection to the upstream cannot be watched");
                Unavailable::ConnectFailed
            })?;
            let (link, driver) = H2Driver::open(stream).await?;
            (On::H2(link), AnyDriver::H2(Box::new(driver)))
        }
        Codec::Transom => {
            let driver = Driver::open(stream, pace).await?;
            (
                On::Transom(Rc::clone(&driver.link)),
                AnyDriver::Transom(driver),
            )
        }
    };
    let connection = Rc::new(Connection {
        on,
        in_flight_count: Cell::new(0),
        has_answered: Cell::new(false),
        left: Notify::new(),
        free,
    });
    Ok(Opened { connection, driver })
}

/// Connects to the first address that answers.
pub(super) async fn connect(upstream: &Upstream, turn: usize) -> Result<Dialed, Unavailable> {
    let addresses: Vec<SocketAddr> = match upstream.target.place() {
        Place::Unix(path) => {
            return Dialed::connect_unix(path).await.map_err(|error| {
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
        match Dialed::connect_tcp(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => tracing::debug!(%address, %error, "connecting to the upstream failed"),
        }
    }
    Err(Unavailable::ConnectFailed)
}

impl Opened {
    /// Reads and writes until the connection ends, and tells the pool what happens.
    pub(super) async fn drive(self, settings: PoolSettings) {
        let connection = &*self.connection;
        match (self.driver, &connection.on) {
            (AnyDriver::H2(driver), On::H2(link)) => {
                driver.drive(connection, link, &settings).await;
            }
            (AnyDriver::Transom(driver), _) => driver.drive(connection, &settings).await,
            // `open` makes both of one kind.
            (AnyDriver::H2(_), On::Transom(_)) => connection.leave(),
        }
    }
}

/// Ends when the peer owes a PING's answer for too long. `ping` sends one and says whether it was answered.
pub(super) async fn keep_alive(
    connection: &Connection,
    is_active: &Cell<bool>,
    mut ping: impl AsyncFnMut() -> bool,
    settings: &PoolSettings,
) {
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
        if timeout(settings.keepalive_timeout, ping()).await != Ok(true) {
            tracing::warn!("the upstream answered no PING; its connection is given up");
            return;
        }
    }
}
