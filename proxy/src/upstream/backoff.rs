//! Pauses between attempts to connect. In: losses and failures. Out: how long to wait.
//! Always: pauses double up to a bound and are jittered, so that workers and gateways do not knock in step; the first
//! loss of a connection that had lived is not waited for.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    may_go_at_once: bool,
    /// State of a small generator; never zero.
    random: u64,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            next: min,
            may_go_at_once: true,
            // The standard library's hasher is seeded by the system: enough for jitter, and no dependency.
            random: RandomState::new().hash_one(0_u8) | 1,
        }
    }

    /// The connection that was just lost, or made, had proved itself.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
        self.may_go_at_once = true;
    }

    /// How long to wait after a connection was lost.
    pub(super) fn after_loss(&mut self) -> Duration {
        if std::mem::take(&mut self.may_go_at_once) {
            return Duration::ZERO;
        }
        self.after_failure()
    }

    /// How long to wait after an attempt failed: between one half and the whole of the current pause.
    pub(super) fn after_failure(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        let half = pause / 2;
        half + half.mul_f64(self.random_share())
    }

    /// From 0 to 1 (xorshift).
    fn random_share(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let [a, b, ..] = self.random.to_be_bytes();
        f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(2);

    #[test]
    fn pauses_double_within_their_jitter_up_to_the_bound() {
        let mut backoff = Backoff::new(MIN, MAX);
        for expected_ms in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            let whole = Duration::from_millis(expected_ms);
            let pause = backoff.after_failure();
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} {whole:?}");
        }
    }

    #[test]
    fn only_the_first_loss_is_mended_at_once() {
        let mut backoff = Backoff::new(MIN, MAX);
        assert_eq!(backoff.after_loss(), Duration::ZERO);
        assert!(backoff.after_loss() >= MIN / 2);
        backoff.reset();
        assert_eq!(backoff.after_loss(), Duration::ZERO);
    }

    #[test]
    fn jitter_differs_from_one_backoff_to_another() {
        let first = |_| Backoff::new(MIN, MAX).after_failure();
        let pauses: std::collections::BTreeSet<_> = (0..16).map(first).collect();
        assert!(pauses.len() > 1);
    }
}
