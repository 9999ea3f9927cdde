//! A wake-up between tasks of one thread. In: notifications. Out: waiting tasks that go on, oldest first.
//! Always: a wake-up meant for one waiter is handed on when that waiter is dropped; nothing is remembered for those who
//! are not waiting yet, so callers check their condition, wait, and check again. Joining, leaving and waking cost the same however
//! many wait.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Places that a queue keeps when nobody waits any more.
const KEEP_COUNT_MAX: usize = 16;

/// A queue of waiting tasks.
#[derive(Debug, Default)]
pub struct Notify {
    queue: RefCell<Queue>,
}

/// Places of waiters, which form a list in the order they came:
///
/// ```text
///   first ─▶ place ─▶ place ─▶ last        (after; before is the other way)
///   places  [ waiting | notified | free ─▶ free | waiting | .. ]
/// ```
#[derive(Debug, Default)]
struct Queue {
    places: Vec<Place>,
    /// The one that has waited longest.
    first: Option<usize>,
    /// The one that came last.
    last: Option<usize>,
    /// The first place that nobody has; `after` leads to the next.
    free: Option<usize>,
    /// Places in the list. `waiting_count <= taken_count`
    waiting_count: usize,
    /// Places of waiters, notified ones among them. `taken_count <= places.len()`
    taken_count: usize,
}

#[derive(Debug, Default)]
struct Place {
    is_notified: bool,
    waker: Option<Waker>,
    before: Option<usize>,
    after: Option<usize>,
}

impl Queue {
    /// Takes a place at the end of the list.
    fn join(&mut self) -> usize {
        let place = Place {
            before: self.last,
            ..Place::default()
        };
        let index = match self.free {
            Some(index) => {
                self.free = self.places[index].after;
                self.places[index] = place;
                index
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        match self.last {
            Some(last) => self.places[last].after = Some(index),
            None => self.first = Some(index),
        }
        self.last = Some(index);
        self.waiting_count += 1;
        self.taken_count += 1;
        index
    }

    /// Takes a place out of the list. It stays its waiter's.
    fn unlink(&mut self, index: usize) {
        let (before, after) = (self.places[index].before, self.places[index].after);
        match before {
            Some(before) => self.places[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.places[after].before = before,
            None => self.last = before,
        }
        self.waiting_count -= 1;
    }

    /// Notifies the one that has waited longest, if there is one, and gives what wakes it.
    fn notify_first(&mut self) -> Option<Option<Waker>> {
        let index = self.first?;
        self.unlink(index);
        self.places[index].is_notified = true;
        Some(self.places[index].waker.take())
    }

    /// Gives up a place that is in the list no more.
    fn release(&mut self, index: usize) -> Option<Waker> {
        let waker = self.places[index].waker.take();
        self.places[index].after = self.free;
        self.free = Some(index);
        self.taken_count -= 1;
        if self.taken_count == 0 && self.places.len() > KEEP_COUNT_MAX {
            // A crowd has gone, and its memory with it.
            *self = Self::default();
        }
        waker
    }
}

impl Notify {
    /// A queue in which nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the queue at once, not at the first poll; the future ends when this waiter is notified.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            index: Some(self.queue.borrow_mut().join()),
        }
    }

    /// Lets the task go on that has waited longest.
    pub fn notify_one(&self) {
        // Whoever is woken may use this queue at once, so it is not borrowed then.
        let first = self.queue.borrow_mut().notify_first();
        if let Some(Some(waker)) = first {
            waker.wake();
        }
    }

    /// Lets all waiting tasks go on.
    pub fn notify_all(&self) {
        for _ in 0..self.waiting_count() {
            self.notify_one();
        }
    }

    /// How many tasks wait.
    pub fn waiting_count(&self) -> usize {
        self.queue.borrow().waiting_count
    }
}

/// Waits for a notification of its [`Notify`].
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// Its place; `None` once it has noticed its notification.
    index: Option<usize>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(index) = self.index else {
            return Poll::Ready(());
        };
        let mut queue = self.notify.queue.borrow_mut();
        let place = &mut queue.places[index];
        if place.is_notified {
            let waker = queue.release(index);
            drop(queue);
            drop(waker);
            self.index = None;
            return Poll::Ready(());
        }
        let is_known = |known: &Waker| known.will_wake(cx.waker());
        if !place.waker.as_ref().is_some_and(is_known) {
            let other = place.waker.replace(cx.waker().clone());
            drop(queue);
            drop(other);
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(index) = self.index else { return };
        let mut queue = self.notify.queue.borrow_mut();
        let is_notified = queue.places[index].is_notified;
        if !is_notified {
            queue.unlink(index);
        }
        let waker = queue.release(index);
        drop(queue);
        drop(waker);
        if is_notified {
            // Notified but gone before it noticed: the next one gets the turn.
            self.notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiter: &mut Notified<'_>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(waiter).poll(&mut cx).is_ready()
    }

    #[test]
    fn one_notification_lets_the_oldest_waiter_go_on() {
        let notify = Notify::new();
        let (mut first, mut second) = (notify.notified(), notify.notified());
        notify.notify_one();
        assert!(!poll(&mut second));
        assert!(poll(&mut first));
        assert_eq!(notify.waiting_count(), 1);
    }

    #[test]
    fn notification_of_a_dropped_waiter_goes_to_the_next() {
        let notify = Notify::new();
        let first = notify.notified();
        let mut second = notify.notified();
        notify.notify_one();
        drop(first);
        assert!(poll(&mut second));
    }

    #[test]
    fn waiter_that_gave_up_leaves_the_queue() {
        let notify = Notify::new();
        let mut first = notify.notified();
        assert!(!poll(&mut first));
        drop(first);
        assert_eq!(notify.waiting_count(), 0);
    }

    #[test]
    fn all_waiters_go_on_at_once() {
        let notify = Notify::new();
        let (mut first, mut second) = (notify.notified(), notify.notified());
        notify.notify_all();
        assert!(poll(&mut first) && poll(&mut second));
    }

    #[test]
    fn those_who_leave_from_the_middle_keep_the_order_of_the_others() {
        let notify = Notify::new();
        let mut waiters: Vec<_> = (0..64).map(|_| Some(notify.notified())).collect();
        for leaver in waiters.iter_mut().skip(1).step_by(2) {
            *leaver = None;
        }
        // The places that became free are taken by those who come last.
        waiters.push(Some(notify.notified()));
        assert_eq!(notify.waiting_count(), 33);
        for index in (0..waiters.len()).step_by(2) {
            notify.notify_one();
            let is_ready: Vec<_> = waiters.iter_mut().flatten().map(poll).collect();
            let turn = index / 2;
            assert!(is_ready[..=turn].iter().all(|is_ready| *is_ready));
            assert!(!is_ready[turn + 1..].iter().any(|is_ready| *is_ready));
        }
        assert_eq!(notify.waiting_count(), 0);
    }

    #[test]
    fn crowd_that_has_gone_leaves_no_memory_behind() {
        let notify = Notify::new();
        let crowd: Vec<_> = (0..10_000).map(|_| notify.notified()).collect();
        notify.notify_all();
        assert_eq!(notify.waiting_count(), 0);
        drop(crowd);
        assert!(notify.queue.borrow().places.capacity() <= KEEP_COUNT_MAX);
        let mut next = notify.notified();
        notify.notify_one();
        assert!(poll(&mut next));
    }

    /// Leaving used to look at each who waits: this took minutes then.
    #[test]
    fn leaving_costs_the_same_however_many_wait() {
        let notify = Notify::new();
        let _crowd: Vec<_> = (0..200_000).map(|_| notify.notified()).collect();
        let (leavers, rest): (Vec<_>, Vec<_>) = (0..400_000)
            .map(|index| (index, notify.notified()))
            .partition(|(index, _)| index % 2 == 0);
        drop(leavers);
        assert_eq!(notify.waiting_count(), 400_000);
        drop(rest);
        assert_eq!(notify.waiting_count(), 200_000);
    }
}
