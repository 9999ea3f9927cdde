//! The timer of a task that waits again and again. In: futures, each with the time it may take. Out: what they give, or that the time is up.
//! Always: used by one task; no wait ends early; one that ends late is late by what the runtime's timers are; a wait that is over in time touches
//! no timer.
//!
//! ```text
//!   wait      ├─ 5 s ─ ─ ┤  ├─ 30 s ─ ─ ─ ─ ┤  ├─ 5 s ─ ─ ┤      most end at once
//!   timer     ├────────────────────────▶ rings: put off to the end of the wait at hand
//! ```
//!
//! A timer for each wait would be put into the runtime's wheel and taken out of it twice a request.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::task::Elapsed;
use crate::clock::{self, Instant};

/// A timer for many waits, one after the other.
#[derive(Default)]
pub struct Alarm {
    /// Made by the first wait that is not over at once.
    ring: Option<Ring>,
}

struct Ring {
    sleep: Pin<Box<monoio::time::Sleep>>,
    /// When it rings, or has rung.
    at: Instant,
}

impl Alarm {
    /// One that nobody has waited by.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for `future`, for `limit` at most. A future that is ready at the same time wins; one that is not may be waited for again.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the time is up before the future is ready.
    pub async fn within<T>(
        &mut self,
        limit: Duration,
        mut future: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Elapsed> {
        let mut deadline = None;
        poll_fn(|task| {
            if let Poll::Ready(value) = future.as_mut().poll(task) {
                return Poll::Ready(Ok(value));
            }
            let deadline = *deadline.get_or_insert_with(|| clock::now() + limit);
            self.poll(deadline, task).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Ready once `deadline` has passed.
    fn poll(&mut self, deadline: Instant, task: &mut Context<'_>) -> Poll<()> {
        match &self.ring {
            // It wakes this task in time, and is put off then if need be.
            Some(ring) if ring.at <= deadline && !ring.sleep.is_elapsed() => Poll::Pending,
            _ => self.set(deadline, task),
        }
    }

    #[cold]
    fn set(&mut self, deadline: Instant, task: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= deadline {
            return Poll::Ready(());
        }
        let ring = self.ring.get_or_insert_with(|| Ring {
            sleep: Box::pin(monoio::time::sleep_until(deadline.into())),
            at: deadline,
        });
        if ring.at != deadline || ring.sleep.is_elapsed() {
            ring.sleep.as_mut().reset(deadline.into());
            ring.at = deadline;
        }
        ring.sleep.as_mut().poll(task)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("at", &self.ring.as_ref().map(|ring| ring.at))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::pin::pin;

    use super::*;
    use crate::net::{IoChoice, Runtime, sleep};

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(60);
    const FOREVER: Duration = Duration::from_hours(1);

    fn on_each_driver(test: impl AsyncFn() + Copy + Send + 'static) {
        for choice in [IoChoice::Auto, IoChoice::Epoll] {
            // As in a worker, the thread ends with its runtime.
            let worker = std::thread::spawn(move || {
                Runtime::build(choice).unwrap().block_on(test());
            });
            worker.join().unwrap();
        }
    }

    /// How long a wait took whose time was up.
    async fn wait_in_vain(alarm: &mut Alarm, limit: Duration) -> Duration {
        let start = clock::now();
        let waited = alarm.within(limit, pin!(pending::<()>())).await;
        assert_eq!(waited, Err(Elapsed));
        clock::now() - start
    }

    #[test]
    fn wait_ends_when_its_time_is_up_however_long_the_waits_before_were_to_take() {
        on_each_driver(async || {
            let mut alarm = Alarm::new();
            for limit in [SHORT, LONG, SHORT, SHORT] {
                let soon = pin!(sleep(Duration::from_millis(1)));
                assert_eq!(alarm.within(FOREVER, soon).await, Ok(()));
                assert!(wait_in_vain(&mut alarm, limit).await >= limit);
            }
        });
    }

    /// Goal: a timer set for an earlier wait does not end a later one, and the task is woken again for it.
    #[test]
    fn wait_goes_on_when_the_timer_of_an_earlier_one_rings() {
        on_each_driver(async || {
            let mut alarm = Alarm::new();
            assert_eq!(
                alarm
                    .within(SHORT, pin!(sleep(Duration::from_millis(1))))
                    .await,
                Ok(())
            );
            assert!(wait_in_vain(&mut alarm, LONG).await >= LONG);
            assert_eq!(alarm.within(FOREVER, pin!(sleep(SHORT))).await, Ok(()));
        });
    }

    #[test]
    fn what_is_ready_needs_no_timer_and_wins_over_one_that_rings() {
        on_each_driver(async || {
            let mut alarm = Alarm::new();
            assert_eq!(alarm.within(Duration::ZERO, pin!(async { 7 })).await, Ok(7));
            assert!(alarm.ring.is_none());
        });
    }

    #[test]
    fn what_was_not_ready_in_time_may_be_waited_for_again() {
        on_each_driver(async || {
            let mut alarm = Alarm::new();
            let is_done = Cell::new(false);
            let mut work = pin!(async {
                sleep(LONG).await;
                is_done.set(true);
            });
            assert_eq!(alarm.within(SHORT, work.as_mut()).await, Err(Elapsed));
            assert!(!is_done.get());
            assert_eq!(alarm.within(FOREVER, work).await, Ok(()));
            assert!(is_done.get());
        });
    }
}
