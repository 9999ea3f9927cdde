//! The only place that reads a clock. In: nothing. Out: instants for time-outs, and the value of `Date`.
//! Always: time-outs are monotonic, so a wall clock that jumps neither ends a call early nor keeps one alive.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

pub use std::time::Instant;

/// Bytes of a date in HTTP: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE_LEN: usize = 29;

/// How long a date is used before it is made anew; its resolution is a second.
const DATE_AGE_MAX: Duration = Duration::from_secs(1);

/// The present, on the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// A worker's value of `Date`, made once a second (RFC 9110 section 6.6.1).
#[derive(Debug, Default)]
pub struct Date {
    text: Cell<[u8; DATE_LEN]>,
    made_at: Cell<Option<Instant>>,
}

impl Date {
    /// The date, not older than a second.
    pub fn text(&self) -> [u8; DATE_LEN] {
        let now = now();
        let is_fresh = |made_at| now.saturating_duration_since(made_at) < DATE_AGE_MAX;
        if !self.made_at.get().is_some_and(is_fresh) {
            self.text.set(date_of(wall_time()));
            self.made_at.set(Some(now));
        }
        self.text.get()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
fn wall_time() -> SystemTime {
    SystemTime::now()
}

fn date_of(time: SystemTime) -> [u8; DATE_LEN] {
    let mut text = [b' '; DATE_LEN];
    // A date in HTTP fills the array to its end.
    let _written = write!(text.as_mut_slice(), "{}", HttpDate::from(time));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_has_the_form_of_http() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(&date_of(time), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn date_of_the_present_is_made_before_it_is_used() {
        let text = Date::default().text();
        assert!(text.ends_with(b" GMT"), "{}", text.escape_ascii());
    }
}
