//! Connections for calls whose requests stream. In: such calls. Out: leases of streams, each on a connection that no other call uses, for as long as
//! there are few enough.
//! Always: what a client sends and its upstream does not read costs no other call anything: neither the window of its connection nor the peer's
//! patience with frames; connections are bounded in number, beyond which these calls share theirs; one that is not used ends, but for a few.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::connection::{self, Connection, Lease};
use super::error::Unavailable;
use super::pool::Pool;
use crate::limits::{UPSTREAM_APART_COUNT_MAX, UPSTREAM_APART_KEEP_COUNT};
use crate::net::{Notify, spawn, timeout};

/// The connections of one worker for calls whose requests stream.
pub(super) struct Apart {
    shared: Rc<Shared>,
}

struct Shared {
    connections: RefCell<Vec<Rc<Connection>>>,
    opening_count: Cell<usize>,
    /// Notified when a call or a connection has ended.
    free: Rc<Notify>,
    has_keeper: Cell<bool>,
}

/// A connection that is being made, counted for as long as this lives.
struct Opening<'a>(&'a Cell<usize>);

impl Apart {
    pub(super) fn new() -> Self {
        Self {
            shared: Rc::new(Shared {
                connections: RefCell::default(),
                opening_count: Cell::new(0),
                free: Rc::new(Notify::new()),
                has_keeper: Cell::new(false),
            }),
        }
    }

    /// Calls in flight.
    pub(super) fn in_flight_count(&self) -> usize {
        let connections = self.shared.connections.borrow();
        let counts = connections.iter().map(|one| one.in_flight_count());
        counts.sum()
    }

    /// Lets go of the connections; each ends when its calls have.
    pub(super) fn leave(&self) {
        // Leaving wakes who looks at the list.
        let connections = self.shared.connections.take();
        for connection in connections {
            connection.leave();
        }
        self.shared.free.notify_all();
    }
}

impl Pool {
    /// The right to a stream for a call whose request goes on for as long as its client likes. A call without a deadline waits no longer than
    /// the queue's time-out.
    pub(super) async fn lease_apart(&self, has_deadline: bool) -> Result<Lease, Unavailable> {
        if !self.is_up() {
            // An upstream that is down is waited for, or not, as by any other call.
            drop(self.lease(has_deadline).await?);
        }
        let shared = &self.apart().shared;
        if let Some(unused) = shared.least_used().filter(|one| one.in_flight_count() == 0) {
            return Ok(unused.lease());
        }
        if let Some(opened) = self.open_apart().await {
            return Ok(opened);
        }
        match shared.least_used() {
            Some(least) => Ok(least.lease()),
            None => self.lease(has_deadline).await,
        }
    }

    /// Makes one more connection, if that may and can be done.
    async fn open_apart(&self) -> Option<Lease> {
        let shared = &self.apart().shared;
        let count = shared.connections.borrow().len() + shared.opening_count.get();
        if count >= UPSTREAM_APART_COUNT_MAX {
            return None;
        }
        let _opening = Opening::begin(&shared.opening_count);
        let upstream = self.upstream();
        let settings = upstream.settings().clone();
        let opening = connection::open(upstream, count, Rc::clone(&shared.free), self.pace());
        let opened = timeout(settings.connect_timeout, opening).await;
        let opened = opened.unwrap_or(Err(Unavailable::ConnectTimeout));
        let opened = opened
            .inspect_err(|error| tracing::debug!(%error, "no connection of its own for a stream"))
            .ok()?;
        let connection = Rc::clone(&opened.connection);
        spawn("upstream connection", opened.drive(settings));
        if !connection.has_room() {
            connection.leave();
            return None;
        }
        let lease = connection.lease();
        shared.connections.borrow_mut().push(connection);
        if !shared.has_keeper.replace(true) {
            let free = Rc::clone(&shared.free);
            spawn("connections apart", keep_few(Rc::downgrade(shared), free));
        }
        Some(lease)
    }
}

impl Shared {
    /// The connection with the fewest calls that takes one more.
    fn least_used(&self) -> Option<Rc<Connection>> {
        let connections = self.connections.borrow();
        let with_room = connections.iter().filter(|one| one.has_room());
        with_room
            .min_by_key(|one| one.in_flight_count())
            .map(Rc::clone)
    }

    /// Forgets connections that have ended, and ends those that are not used but for a few.
    fn let_go(&self) {
        let mut unused_count = 0;
        let mut left = Vec::new();
        self.connections.borrow_mut().retain(|one| {
            let is_unused = one.in_flight_count() == 0;
            unused_count += usize::from(is_unused);
            let stays = one.is_open() && !(is_unused && unused_count > UPSTREAM_APART_KEEP_COUNT);
            if !stays {
                left.push(Rc::clone(one));
            }
            stays
        });
        for connection in left {
            connection.leave();
        }
    }
}

/// Looks at the connections whenever a call has ended, for as long as their pool lives.
async fn keep_few(shared: Weak<Shared>, free: Rc<Notify>) {
    loop {
        let woken = free.notified();
        match shared.upgrade() {
            Some(shared) => shared.let_go(),
            None => return,
        }
        woken.await;
    }
}

impl<'a> Opening<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
