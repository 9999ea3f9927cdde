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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wake::WakeSeed;
    use crate::net::{BoundListener, IoChoice, Runtime, wake_pair};
    use std::net::TcpStream;

    /// Seats of as many workers, and connections for them.
    struct Scene {
        seats: Vec<Seat>,
        listener: BoundListener,
        clients: Vec<TcpStream>,
    }

    impl Scene {
        fn new(worker_count: usize, share: usize) -> Self {
            let balance = Balance::new(worker_count, share);
            let any_port = "127.0.0.1:0".parse().unwrap();
            let mut listeners = BoundListener::bind_all(any_port, 1).unwrap();
            Self {
                seats: (0..worker_count)
                    .map(|index| balance.seat(index).unwrap())
                    .collect(),
                listener: listeners.remove(0),
                clients: Vec::new(),
            }
        }

        fn open(&self, index: usize) -> (OpenInbox, WakeSeed) {
            let (wake, seed) = wake_pair().unwrap();
            (self.seats[index].open_inbox(wake), seed)
        }

        fn fresh(&mut self) -> Fresh {
            let address = self.listener.local_address().unwrap();
            self.clients.push(TcpStream::connect(address).unwrap());
            let listener = self.listener.try_clone().unwrap();
            let mut runtime = Runtime::build(IoChoice::Epoll).unwrap();
            runtime.block_on(async {
                let listener = listener.attach_for_fresh().unwrap();
                listener.accept_fresh(async || ()).await.unwrap()
            })
        }

        /// Whether worker `index` serves the next connection that it accepts.
        fn keeps_next(&mut self, index: usize) -> bool {
            let fresh = self.fresh();
            matches!(self.seats[index].place(fresh), Placed::Here(_))
        }
    }

    #[test]
    fn next_connection_is_handed_over_once_another_worker_has_fewer() {
        let mut scene = Scene::new(2, 100);
        let _open = (scene.open(0), scene.open(1));
        assert!(scene.keeps_next(0));
        assert!(!scene.keeps_next(0));
        assert!(scene.keeps_next(0));
        assert_eq!(scene.seats[1].collect().len(), 1);
        assert!(scene.seats[1].collect().is_empty());
    }

    #[test]
    fn small_differences_are_left_alone_where_there_are_many() {
        let mut scene = Scene::new(2, 100);
        let _open = (scene.open(0), scene.open(1));
        for _ in 0..16 {
            scene.seats[0].note_begin();
            scene.seats[1].note_begin();
        }
        assert!(scene.keeps_next(0));
        assert!(scene.keeps_next(0));
        assert!(scene.keeps_next(0));
        assert!(!scene.keeps_next(0));
    }

    #[test]
    fn worker_that_is_full_is_given_nothing() {
        let mut scene = Scene::new(2, 2);
        let _open = (scene.open(0), scene.open(1));
        for _ in 0..4 {
            assert!(scene.seats[0].has_room());
            scene.keeps_next(0);
        }
        assert!(!scene.seats[0].has_room());
        assert_eq!(scene.seats[1].collect().len(), 2);
    }

    #[test]
    fn worker_that_has_ended_is_given_nothing_and_its_inbox_waits_for_the_next_thread() {
        let mut scene = Scene::new(2, 100);
        let _own = scene.open(0);
        // Nobody is there yet.
        assert!(scene.keeps_next(0));
        let (open, _seed) = scene.open(1);
        assert!(!scene.keeps_next(0));
        // The thread dies with a connection in its inbox, and what it served ends later.
        drop(open);
        scene.seats[1].note_end();
        assert!(scene.keeps_next(0));
        let (_again, seed) = scene.open(1);
        let mut runtime = Runtime::build(IoChoice::Epoll).unwrap();
        let woken = runtime.block_on(async { seed.attach().unwrap().wait().await });
        assert_eq!(woken, crate::net::wake::Wake::Called);
        assert_eq!(scene.seats[1].collect().len(), 1);
        assert_eq!(scene.seats[1].own().count(), 1);
    }

    #[test]
    fn desks_share_no_cache_line() {
        assert_eq!(align_of::<Desk>(), 128);
        assert_eq!(size_of::<Desk>() % 128, 0);
    }
}
