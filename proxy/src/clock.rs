//! The only place that reads a clock. In: nothing. Out: instants for time-outs.
//! Always: monotonic, so a wall clock that jumps neither ends a call early nor keeps one alive.

pub use std::time::Instant;

/// The present, on the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}
