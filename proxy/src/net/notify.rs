//! A wake-up between tasks of one thread. In: notifications. Out: waiting tasks that go on, oldest first.
//! Always: a wake-up meant for one waiter is handed on when that waiter is dropped; nothing is remembered for those who
//! are not waiting yet, so callers check their condition, wait, and check again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A queue of waiting tasks.
#[derive(Debug, Default)]
pub struct Notify {
    waiting: RefCell<VecDeque<Rc<Ticket>>>,
}

#[derive(Debug, Default)]
struct Ticket {
    is_notified: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Ticket {
    fn notify(&self) {
        self.is_notified.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Notify {
    /// A queue in which nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the queue at once, not at the first poll; the future ends when this waiter is notified.
    pub fn notified(&self) -> Notified<'_> {
        let ticket = Rc::new(Ticket::default());
        self.waiting.borrow_mut().push_back(Rc::clone(&ticket));
        Notified {
            notify: self,
            ticket,
            is_done: false,
        }
    }

    /// Lets the task go on that has waited longest.
    pub fn notify_one(&self) {
        let first = self.waiting.borrow_mut().pop_front();
        if let Some(ticket) = first {
            ticket.notify();
        }
    }

    /// Lets all waiting tasks go on.
    pub fn notify_all(&self) {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        for ticket in all {
            ticket.notify();
        }
    }

    /// How many tasks wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// Waits for a notification of its [`Notify`].
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    ticket: Rc<Ticket>,
    is_done: bool,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.ticket.is_notified.get() {
            self.is_done = true;
            return Poll::Ready(());
        }
        let mut waker = self.ticket.waker.borrow_mut();
        match waker.as_mut() {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if self.ticket.is_notified.get() {
            // Notified but gone before it noticed: the next one gets the turn.
            self.notify.notify_one();
            return;
        }
        self.notify
            .waiting
            .borrow_mut()
            .retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
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
}
