//! When a crowd of clients has left. In: how many connections a worker serves, whenever one comes or goes. Out: whether so many have gone that the allocator
//! has memory to give back.
//! Always: a comparison for each connection, and nothing for a request; few connections are no crowd.
//!
//! ```text
//!   connections   ╭──── peak ────╮                       told at half the peak, which begins anew from there
//!              ───╯               ╰── told ──╮
//!                                            ╰── told ── ...  down to a crowd that is none
//! ```

use std::cell::Cell;

use crate::limits::CROWD_COUNT_MIN;

/// The most connections of a worker since memory was last given back.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    peak_count: Cell<usize>,
}

impl Crowd {
    /// Notes that one more connection is served.
    pub(crate) fn note_start(&self, count: usize) {
        self.peak_count.set(self.peak_count.get().max(count));
    }

    /// Whether so many have gone, now that one more does and `count` are left, that memory should go back.
    pub(crate) fn has_left(&self, count: usize) -> bool {
        let peak_count = self.peak_count.get();
        let has_left = peak_count >= CROWD_COUNT_MIN && count <= peak_count / 2;
        if has_left {
            self.peak_count.set(count);
        }
        has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which counts it is told, while a crowd comes and goes again one by one.
    fn told_at(peak_count: usize) -> Vec<usize> {
        let crowd = Crowd::default();
        (1..=peak_count).for_each(|count| crowd.note_start(count));
        (0..peak_count)
            .rev()
            .filter(|count| crowd.has_left(*count))
            .collect()
    }

    #[test]
    fn crowd_has_left_whenever_it_is_half_of_what_it_was_until_it_is_none() {
        assert_eq!(told_at(5 * CROWD_COUNT_MIN), [160, 80, 40]);
        assert_eq!(told_at(CROWD_COUNT_MIN), [32]);
        assert!(told_at(CROWD_COUNT_MIN - 1).is_empty());
    }

    #[test]
    fn connections_that_come_and_go_are_no_crowd_that_leaves() {
        let crowd = Crowd::default();
        for _ in 0..3 {
            crowd.note_start(2 * CROWD_COUNT_MIN);
            assert!(!crowd.has_left(2 * CROWD_COUNT_MIN - 1));
        }
    }
}
