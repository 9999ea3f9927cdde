//! When a worker rests before it looks at an answer. In: calls that begin and end, and how long answers took. Out: for how long to rest, if at all.
//! Always: a rest is a small part of what quick calls take, and shorter than [`GATHER_TIME_MAX`]; there is none while messages stream, with few calls
//! in flight, right after another one, or where answers come several at a time anyway.
//!
//! An upstream that answers slowly, one call after the other, wakes its worker for each answer, and its client's next request wakes it once more. Each time costs
//! several times what the work itself does. With many calls in flight nobody is served later if the worker sleeps on for a moment and finds several:
//!
//! ```text
//!   without   ·a····r··a···r·····a··r····a···r··a·        a answer, r request: each wakes the worker
//!   with      ·a─────────ar·r────────a─────────ar·r··     ─ rest: one wake-up for what came meanwhile
//! ```
//!
//! [Decision 19](../../../docs/decisions/0019-wake-ups.md) has the figures.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Instant;
use crate::limits::{
    GATHER_ANSWER_COUNT_MAX, GATHER_CALL_COUNT_MIN, GATHER_GAP, GATHER_TIME_DIVISOR,
    GATHER_TIME_MAX, GATHER_TIME_MIN,
};

/// Of so many calls as quick as each other, two thirds raise [`Pace::quick`] to what they take. A quicker one counts at once.
const RISE_DIVISOR: u32 = 64;

/// How the calls of a worker to its upstream go.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What quick calls take: at most as long as the last one did.
    quick: Cell<Duration>,
    /// Calls in flight.
    call_count: Cell<usize>,
    /// Those that wait for their answer as a whole. `whole_count <= call_count`.
    whole_count: Cell<usize>,
    /// When the last rest ended.
    rested_at: Cell<Option<Instant>>,
}

impl Pace {
    /// A call has begun.
    pub(super) fn note_begun(&self) {
        self.call_count.set(self.call_count.get() + 1);
    }

    /// It waits for its answer as a whole.
    pub(super) fn note_whole(&self) {
        self.whole_count.set(self.whole_count.get() + 1);
    }

    /// It is over.
    pub(super) fn note_gone(&self, is_whole: bool) {
        self.call_count.set(self.call_count.get() - 1);
        self.whole_count
            .set(self.whole_count.get() - usize::from(is_whole));
    }

    /// One read has brought `count` answers by `now`, the quickest of which took `quickest`. Says how long to rest before they are looked at.
    ///
    /// Between two rests the worker is awake for [`GATHER_GAP`] at least, whichever connections answers come over. What came during a rest is not rested for,
    /// since it lies in the sockets already: calls would become slow enough to be rested for by nothing but rests.
    pub(super) fn note_answers(
        &self,
        count: usize,
        quickest: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let quick = self.quick.get();
        let rise = quickest.saturating_sub(quick) / RISE_DIVISOR;
        self.quick.set(quickest.min(quick + rise));
        let has_just_rested = self
            .rested_at
            .get()
            .is_some_and(|at| now.saturating_duration_since(at) < GATHER_GAP);
        let is_all_whole = self.whole_count.get() == self.call_count.get();
        let is_worth_it =
            self.call_count.get() >= GATHER_CALL_COUNT_MIN && count <= GATHER_ANSWER_COUNT_MAX;
        let rest = self.quick.get() / GATHER_TIME_DIVISOR;
        (!has_just_rested && is_worth_it && is_all_whole && rest >= GATHER_TIME_MIN)
            .then(|| rest.min(GATHER_TIME_MAX))
    }

    /// The worker has rested until `now`.
    pub(super) fn note_rested(&self, now: Instant) {
        self.rested_at.set(Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SLOW: Duration = Duration::from_millis(10);

    /// A worker with so many calls in flight, each of which takes as long as the last thousand did.
    fn steady(call_count: usize, took: Duration) -> Pace {
        let pace = Pace::default();
        for _ in 0..call_count {
            pace.note_begun();
            pace.note_whole();
        }
        for _ in 0..1000 {
            pace.note_answers(1, took, clock::now());
        }
        pace
    }

    #[test]
    fn rest_is_a_small_part_of_what_slow_calls_take() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        let rest = pace.note_answers(1, SLOW, clock::now()).unwrap();
        assert!(rest <= SLOW / GATHER_TIME_DIVISOR, "{rest:?}");
        assert!(rest > SLOW / GATHER_TIME_DIVISOR / 2, "{rest:?}");
        let slower = steady(GATHER_CALL_COUNT_MIN, SLOW * 100);
        assert_eq!(
            slower.note_answers(1, SLOW * 100, clock::now()),
            Some(GATHER_TIME_MAX)
        );
    }

    #[test]
    fn quick_calls_are_not_made_to_wait() {
        let pace = steady(GATHER_CALL_COUNT_MIN, Duration::from_millis(1));
        assert_eq!(
            pace.note_answers(1, Duration::from_millis(1), clock::now()),
            None
        );
        assert_eq!(
            Pace::default().note_answers(1, SLOW, clock::now()),
            None,
            "nothing is known yet"
        );
    }

    /// Goal: a quick call among slow ones is noticed at once, and remembered for some of them.
    #[test]
    fn quick_call_among_slow_ones_ends_the_rests() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        assert_eq!(
            pace.note_answers(1, Duration::from_millis(1), clock::now()),
            None
        );
        for _ in 0..10 {
            assert_eq!(pace.note_answers(1, SLOW, clock::now()), None);
        }
        let until_rest = (0..1000).find(|_| pace.note_answers(1, SLOW, clock::now()).is_some());
        assert!(until_rest.is_some());
    }

    #[test]
    fn few_calls_in_flight_are_not_made_to_wait() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        pace.note_gone(true);
        assert_eq!(pace.note_answers(1, SLOW, clock::now()), None);
    }

    #[test]
    fn answers_that_come_together_are_not_gathered() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        assert!(
            pace.note_answers(GATHER_ANSWER_COUNT_MAX, SLOW, clock::now())
                .is_some()
        );
        assert_eq!(
            pace.note_answers(GATHER_ANSWER_COUNT_MAX + 1, SLOW, clock::now()),
            None
        );
    }

    #[test]
    fn messages_of_a_stream_are_not_made_to_wait() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        pace.note_begun();
        assert_eq!(pace.note_answers(1, SLOW, clock::now()), None);
        pace.note_gone(false);
        assert!(pace.note_answers(1, SLOW, clock::now()).is_some());
    }

    /// Goal: rests do not add up, over however many connections answers come, and calls are not slow because of rests alone.
    #[test]
    fn what_came_during_a_rest_is_not_rested_for() {
        let pace = steady(GATHER_CALL_COUNT_MIN, SLOW);
        let now = clock::now();
        assert!(pace.note_answers(1, SLOW, now).is_some());
        pace.note_rested(now);
        assert_eq!(pace.note_answers(1, SLOW, now), None);
        assert_eq!(pace.note_answers(1, SLOW, now + GATHER_GAP / 2), None);
        assert!(pace.note_answers(1, SLOW, now + GATHER_GAP).is_some());
    }
}
