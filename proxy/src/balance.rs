//! Connections shared out among workers. In: connections that a worker accepted. Out: the same, to it or to the one with the fewest.
//! Always: a connection is with one worker or in the inbox of one, never lost between them; a request never touches what is here, and
//! a process of one worker does without it.
//!
//! The kernel chooses a listener by a hash of addresses and ports. Of many short connections each worker gets its part by that; of
//! eight that stay, one worker often gets six. So a worker that has accepted a connection, and has noticeably more than another,
//! puts it into the inbox of that one and wakes it.
//!
//! ```text
//!   worker 0  accept ─▶ place ─▶ serve here
//!                         └────▶ inbox of 1 ─▶ wake
//!   worker 1                       collect ◀───┘ ─▶ serve here
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::HAND_OVER_SLACK_DIVISOR;
use crate::net::{Fresh, WakeSender};

/// What workers know of each other. One for the process, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Balance {
    desks: Vec<Desk>,
    /// Connections each worker serves at most.
    share: usize,
}

/// The count of a worker that takes no connections: more than any other, also when those it had have ended.
const CLOSED: usize = usize::MAX / 2;

/// What others see of a worker. It outlives the worker's thread. Two cache lines, since processors fetch them in pairs: no worker's
/// count shares one with that of another.
#[derive(Debug)]
#[repr(align(128))]
struct Desk {
    /// Connections it serves, and those in its inbox; about [`CLOSED`] while it takes none.
    count: AtomicUsize,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    fresh: Vec<Fresh>,
    /// Wakes the worker; `None` while it takes no connections.
    wake: Option<WakeSender>,
}

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Placed {
    /// It stays with who accepted it, and is counted there.
    Here(Fresh),
    /// Another worker has it.
    Elsewhere,
}

/// A worker's own desk.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    balance: Arc<Balance>,
    index: usize,
}

/// The right to an inbox; when dropped, however the worker ends, others put nothing in there any more.
#[derive(Debug)]
pub(crate) struct OpenInbox {
    seat: Seat,
}

impl Balance {
    pub(crate) fn new(worker_count: usize, share: usize) -> Arc<Self> {
        Arc::new(Self {
            desks: (0..worker_count).map(|_| Desk::closed()).collect(),
            share,
        })
    }

    /// The desk of worker `index`, if there is such a worker.
    pub(crate) fn seat(self: &Arc<Self>, index: usize) -> Option<Seat> {
        let balance = Arc::clone(self);
        (index < self.desks.len()).then_some(Seat { balance, index })
    }
}

impl Desk {
    fn closed() -> Self {
        Self {
            count: AtomicUsize::new(CLOSED),
            inbox: Mutex::default(),
        }
    }

    /// Nothing panics while the lock is held, and a list of connections is whole at any time.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Seat {
    fn own(&self) -> &Desk {
        &self.balance.desks[self.index]
    }

    /// Takes connections of others from now on; `wake` tells that there are some. What a thread before this one has left in the inbox
    /// is for this one, and what it served is gone.
    pub(crate) fn open_inbox(&self, wake: WakeSender) -> OpenInbox {
        let desk = self.own();
        let mut inbox = desk.inbox();
        if !inbox.fresh.is_empty() {
            wake.wake();
        }
        inbox.wake = Some(wake);
        desk.count.store(inbox.fresh.len(), Ordering::Relaxed);
        OpenInbox { seat: self.clone() }
    }

    /// What others have put into the inbox; these are counted already.
    pub(crate) fn collect(&self) -> Vec<Fresh> {
        std::mem::take(&mut self.own().inbox().fresh)
    }

    /// Keeps a connection just accepted, or hands it over to the worker with the fewest.
    pub(crate) fn place(&self, fresh: Fresh) -> Placed {
        let own = self.own();
        let count = own.count();
        if let Some(least) = self.least_of_others() {
            let least_count = least.count();
            let is_full = count >= self.balance.share;
            let is_ahead = count > least_count + least_count / HAND_OVER_SLACK_DIVISOR;
            if (is_full || is_ahead) && least_count < self.balance.share {
                return match least.put(fresh) {
                    Ok(()) => Placed::Elsewhere,
                    Err(fresh) => self.keep(fresh),
                };
            }
        }
        self.keep(fresh)
    }

    fn keep(&self, fresh: Fresh) -> Placed {
        self.note_begin();
        Placed::Here(fresh)
    }

    fn least_of_others(&self) -> Option<&Desk> {
        let desks = self.balance.desks.iter().enumerate();
        let others = desks.filter(|(index, _)| *index != self.index);
        others.map(|(_, desk)| desk).min_by_key(|desk| desk.count())
    }

    /// Whether this worker or another may serve one more connection.
    pub(crate) fn has_room(&self) -> bool {
        let mut desks = self.balance.desks.iter();
        desks.any(|desk| desk.count() < self.balance.share)
    }

    /// One more connection is served here.
    pub(crate) fn note_begin(&self) {
        self.own().count.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was counted has ended.
    pub(crate) fn note_end(&self) {
        self.own().count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    /// Puts a connection into the inbox, or gives it back if nobody takes it out there.
    fn put(&self, fresh: Fresh) -> Result<(), Fresh> {
        let mut inbox = self.inbox();
        let Some(wake) = &inbox.wake else {
            return Err(fresh);
        };
        if inbox.fresh.is_empty() {
            wake.wake();
        }
        inbox.fresh.push(fresh);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for OpenInbox {
    fn drop(&mut self) {
        let desk = self.seat.own();
        let mut inbox = desk.inbox();
        inbox.wake = None;
        desk.count.store(CLOSED, Ordering::Relaxed);
    }
}
