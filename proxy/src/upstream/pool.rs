//! A worker's connections to one upstream. In: calls. Out: leases of streams.
//! Always: connections are bounded in number; a lost one is made again with growing, jittered pauses; while that pauses
//! calls fail at once; calls that wait are bounded in number and in time, and the oldest goes first.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::Upstream;
use super::apart::Apart;
use super::backoff::Backoff;
use super::connection::{self, Connection, Lease};
use super::error::Unavailable;
use super::pace::Pace;
use crate::clock;
use crate::limits::UPSTREAM_QUEUE_COUNT_MAX;
use crate::net::{Elapsed, Notify, sleep, spawn, timeout};

/// The connections of one worker to one upstream. Cheap to clone; it is used and dropped on the worker's thread, inside of
/// its runtime. When the last clone is dropped, connections end with the calls they carry.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Rc<Shared>,
}

struct Shared {
    upstream: Arc<Upstream>,
    slots: Vec<RefCell<Slot>>,
    /// Calls that wait for a stream or a connection.
    free: Rc<Notify>,
    /// Slots in use; the rest is opened as calls come together. `started_count <= slots.len()`.
    started_count: Cell<usize>,
    /// Connections that calls whose requests stream do not share with the others.
    apart: Apart,
    /// Of all its connections.
    pace: Rc<Pace>,
}

enum Slot {
    Unused,
    Connecting,
    Up(Rc<Connection>),
    Pausing(Unavailable),
}

impl Pool {
    /// A pool without connections yet: the first call opens the first one.
    pub fn new(upstream: Arc<Upstream>) -> Self {
        let count = upstream.settings.connection_count();
        let slots = (0..count).map(|_| RefCell::new(Slot::Unused)).collect();
        Self {
            shared: Rc::new(Shared {
                upstream,
                slots,
                free: Rc::new(Notify::new()),
                started_count: Cell::new(0),
                apart: Apart::new(),
                pace: Rc::default(),
            }),
        }
    }

    /// What the pool connects to.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.shared.upstream
    }

    /// Opens the first connection without waiting for a call.
    pub fn warm_up(&self) {
        if self.shared.started_count.get() == 0 {
            self.shared.start_slot();
        }
    }

    /// Connections that are up, but for those of calls whose requests stream.
    pub fn connection_count(&self) -> usize {
        self.shared.connections().count()
    }

    /// Calls in flight on connections that take calls.
    pub fn in_flight_count(&self) -> usize {
        let in_flight = |connection: Rc<Connection>| connection.in_flight_count();
        let shared: usize = self.shared.connections().map(in_flight).sum();
        shared + self.shared.apart.in_flight_count()
    }

    pub(super) fn apart(&self) -> &Apart {
        &self.shared.apart
    }

    pub(super) fn pace(&self) -> &Rc<Pace> {
        &self.shared.pace
    }

    /// Whether a connection is there, with or without a free stream.
    pub(super) fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    /// The right to a stream on the connection with the fewest calls in flight. A call without a deadline waits no
    /// longer than the queue's time-out.
    pub(super) async fn lease(&self, has_deadline: bool) -> Result<Lease, Unavailable> {
        let shared = &self.shared;
        self.warm_up();
        // Those who wait already go first.
        if shared.free.waiting_count() == 0
            && let Some(lease) = shared.try_lease()?
        {
            return Ok(lease);
        }
        if shared.free.waiting_count() >= UPSTREAM_QUEUE_COUNT_MAX {
            return Err(Unavailable::QueueFull);
        }
        // In memory of its own, which a call that need not wait does without.
        Box::pin(shared.wait_for_lease(has_deadline)).await
    }
}

impl Shared {
    fn connections(&self) -> impl Iterator<Item = Rc<Connection>> {
        self.slots.iter().filter_map(|slot| match &*slot.borrow() {
            Slot::Up(connection) if connection.is_open() => Some(Rc::clone(connection)),
            _ => None,
        })
    }

    fn is_up(&self) -> bool {
        self.connections().next().is_some()
    }

    /// A lease if a stream is free, `None` if it is worth to wait, an error if it is not.
    fn try_lease(self: &Rc<Self>) -> Result<Option<Lease>, Unavailable> {
        let least = self
            .connections()
            .filter(|connection| connection.has_room())
            .min_by_key(|connection| connection.in_flight_count());
        if let Some(connection) = least {
            if connection.in_flight_count() > 0 {
                self.start_slot();
            }
            return Ok(Some(connection.lease()));
        }
        if self.is_up() {
            self.start_slot();
            return Ok(None);
        }
        let mut why = Unavailable::Lost;
        for slot in &self.slots {
            match &*slot.borrow() {
                // A connection that was left is about to be made again, or to pause.
                Slot::Connecting | Slot::Up(_) => return Ok(None),
                Slot::Pausing(reason) => why = *reason,
                Slot::Unused => {}
            }
        }
        Err(why)
    }

    async fn wait_for_lease(self: &Rc<Self>, has_deadline: bool) -> Result<Lease, Unavailable> {
        let settings = &self.upstream.settings;
        let mut since = clock::now();
        let mut was_up = self.is_up();
        loop {
            let is_up = self.is_up();
            if is_up != was_up {
                // Waiting for a stream and waiting for a connection have a time each.
                since = clock::now();
                was_up = is_up;
            }
            let limit = match (is_up, has_deadline) {
                (false, _) => Some(settings.connect_timeout),
                (true, false) => Some(settings.queue_timeout),
                // The caller's own timer ends this.
                (true, true) => None,
            };
            let waited = clock::now().saturating_duration_since(since);
            let rest = limit.map(|limit| limit.saturating_sub(waited));
            match wait_at_most(rest, self.free.notified()).await {
                Ok(()) => {
                    if let Some(lease) = self.try_lease()? {
                        return Ok(lease);
                    }
                }
                Err(Elapsed) if is_up => return Err(Unavailable::QueueTimeout),
                // A connection that came up meanwhile has a longer limit of its own.
                Err(Elapsed) if self.is_up() => {}
                Err(Elapsed) => return Err(Unavailable::ConnectTimeout),
            }
        }
    }

    /// Puts one more slot to use, if there is one left.
    fn start_slot(self: &Rc<Self>) {
        let index = self.started_count.get();
        if index < self.slots.len() {
            self.started_count.set(index + 1);
            self.set_slot(index, Slot::Connecting);
            spawn("upstream slot", keep_slot(Rc::downgrade(self), index));
        }
    }

    fn set_slot(&self, index: usize, state: Slot) {
        if let Some(slot) = self.slots.get(index) {
            *slot.borrow_mut() = state;
        }
    }
}

impl Drop for Shared {
    /// Lets go of the connections; each ends when its calls have.
    fn drop(&mut self) {
        for connection in self.connections() {
            connection.leave();
        }
        self.apart.leave();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("upstream", &self.upstream)
            .field("started_count", &self.started_count)
            .finish_non_exhaustive()
    }
}

async fn wait_at_most(
    limit: Option<Duration>,
    future: impl Future<Output = ()>,
) -> Result<(), Elapsed> {
    if let Some(limit) = limit {
        return timeout(limit, future).await;
    }
    future.await;
    Ok(())
}

/// Keeps one slot connected for as long as the pool lives.
async fn keep_slot(pool: Weak<Shared>, index: usize) {
    let Some(settings) = pool
        .upgrade()
        .map(|shared| shared.upstream.settings.clone())
    else {
        return;
    };
    let mut backoff = Backoff::new(settings.backoff_min, settings.backoff_max);
    // Slots begin with different addresses of a name, and go on to the next one after each attempt.
    let mut turn = index;
    loop {
        let Some(shared) = pool.upgrade() else { return };
        shared.set_slot(index, Slot::Connecting);
        let (upstream, free) = (Arc::clone(&shared.upstream), Rc::clone(&shared.free));
        let pace = Rc::clone(&shared.pace);
        drop(shared);

        let opening = connection::open(&upstream, turn, free, &pace);
        turn = turn.wrapping_add(1);
        let opened = timeout(settings.connect_timeout, opening)
            .await
            .unwrap_or(Err(Unavailable::ConnectTimeout));

        let Some(shared) = pool.upgrade() else { return };
        let (why, pause) = match opened {
            Ok(opened) => {
                let connection = Rc::clone(&opened.connection);
                shared.set_slot(index, Slot::Up(Rc::clone(&connection)));
                shared.free.notify_all();
                drop(shared);
                spawn("upstream connection", opened.drive(settings.clone()));
                let since = clock::now();
                connection.until_left().await;
                // A connection that ends as soon as it is made must not be made again in a tight loop.
                if clock::now().saturating_duration_since(since) >= settings.backoff_max {
                    backoff.reset();
                }
                (Unavailable::Lost, backoff.after_loss())
            }
            Err(why) => {
                drop(shared);
                (why, backoff.after_failure())
            }
        };
        if pause.is_zero() {
            continue;
        }
        let Some(shared) = pool.upgrade() else { return };
        shared.set_slot(index, Slot::Pausing(why));
        shared.free.notify_all();
        drop(shared);
        sleep(pause).await;
    }
}
