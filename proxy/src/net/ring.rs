//! The ladder of I/O drivers. In: what the operator asked for. Out: a runtime on this thread, and which rung won and
//! why.
//! Always: the ring is built on the thread that uses it (`SINGLE_ISSUER` demands it); a runtime is not torn down before
//! its thread ends.
//!
//! Measured in the feasibility spike: `SINGLE_ISSUER | DEFER_TASKRUN` costs 22 to 30 % less CPU a request than the
//! default flags, and the default flags cost more than epoll.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::str::FromStr;
use std::time::Duration;

use monoio::time::TimeDriver;
use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::task::sleep;
use crate::limits::{RING_ENTRY_COUNT, RING_RETRY_PAUSE};

/// What the operator asked for with `--io`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// The best ring the kernel gives, else epoll.
    #[default]
    Auto,
    /// A ring, or an error.
    Uring,
    /// Epoll, without trying a ring.
    Epoll,
}

impl FromStr for IoChoice {
    type Err = UnknownIoChoice;

    fn from_str(text: &str) -> Result<Self, UnknownIoChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(UnknownIoChoice),
        }
    }
}

/// The text names no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownIoChoice;

impl fmt::Display for UnknownIoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("io: expected auto, uring or epoll")
    }
}

impl std::error::Error for UnknownIoChoice {}

/// A rung of the ladder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IoDriver {
    /// `io_uring` with `SINGLE_ISSUER | DEFER_TASKRUN` (Linux 6.1).
    UringDeferred,
    /// `io_uring` with `COOP_TASKRUN` (Linux 5.19).
    UringCooperative,
    /// `io_uring` without flags.
    UringPlain,
    /// Epoll.
    Epoll,
}

impl IoDriver {
    /// Name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::UringDeferred => "io_uring (single issuer, deferred task run)",
            Self::UringCooperative => "io_uring (cooperative task run)",
            Self::UringPlain => "io_uring (plain)",
            Self::Epoll => "epoll",
        }
    }

    /// Whether this rung is a ring.
    pub fn is_uring(self) -> bool {
        self != Self::Epoll
    }
}

/// Which driver a worker runs on, and why not a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoReport {
    /// The driver that was built.
    pub driver: IoDriver,
    /// Why the better ones were not; empty if there was none, or none was wanted.
    pub reason: String,
}

impl IoReport {
    /// Tells the log: a fall-back to epoll is worth a warning, since it costs speed.
    pub fn log(&self, worker_index: usize) {
        let driver = self.driver.name();
        let reason = self.reason.as_str();
        if reason.is_empty() {
            tracing::info!(worker = worker_index, driver, "I/O driver");
        } else if self.driver.is_uring() {
            tracing::info!(worker = worker_index, driver, reason, "I/O driver");
        } else {
            tracing::warn!(
                worker = worker_index,
                driver,
                reason,
                "I/O driver is a fall-back"
            );
        }
    }
}

/// Long enough for the loop to reach the kernel once more.
const LAST_TURN: Duration = Duration::from_millis(1);

type MonoioRuntime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

/// A worker's runtime.
pub struct Runtime {
    /// Never dropped: a task that monoio drops outside of `block_on` panics as soon as it wakes another one, and two
    /// such panics abort the process. The thread ends anyway; the kernel then cancels what the ring had in flight.
    inner: ManuallyDrop<MonoioRuntime>,
    report: IoReport,
}

impl Runtime {
    /// Builds the runtime that `choice` allows, on the thread that will use it.
    ///
    /// # Errors
    ///
    /// With [`IoChoice::Uring`] if there is no ring to be had; otherwise only if even epoll cannot be set up. The text
    /// says what was tried.
    pub fn build(choice: IoChoice) -> io::Result<Self> {
        let (inner, report) = climb(choice, monoio::utils::detect_uring, pause, build_rung)?;
        Ok(Self {
            inner: ManuallyDrop::new(inner),
            report,
        })
    }

    /// Which driver won, and why.
    pub fn report(&self) -> &IoReport {
        &self.report
    }

    /// Runs `future` and everything it spawns until `future` ends.
    pub fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.inner.block_on(async {
            let output = future.await;
            // A ring closes descriptors by operations that wait for its next turn. Without this last turn, what was
            // closed at the end would stay open for as long as the process lives.
            sleep(LAST_TURN).await;
            output
        })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// Sets a descriptor to the mode this thread's driver needs: epoll wants it non-blocking, a ring blocking (a ring
/// answers `EAGAIN` at once on a non-blocking listener instead of waiting).
pub(super) fn set_mode_of_driver(
    set_nonblocking: impl FnOnce(bool) -> io::Result<()>,
) -> io::Result<()> {
    set_nonblocking(monoio::utils::is_legacy())
}

const RINGS: [IoDriver; 3] = [
    IoDriver::UringDeferred,
    IoDriver::UringCooperative,
    IoDriver::UringPlain,
];

/// `ENOMEM` as Linux numbers it.
const OUT_OF_MEMORY: i32 = 12;

/// Goes down the ladder until a rung holds. `detect` tells whether the kernel has the operations we need, `pause` waits,
/// `build` tries one rung.
fn climb<T>(
    choice: IoChoice,
    detect: impl FnOnce() -> bool,
    mut pause: impl FnMut(Duration),
    mut build: impl FnMut(IoDriver) -> io::Result<T>,
) -> io::Result<(T, IoReport)> {
    let mut reasons = Vec::new();
    if choice != IoChoice::Epoll {
        if detect() {
            // Lockable memory of closed rings comes back late, so one more try is owed to a fast restart, but only one.
            let mut may_retry = true;
            for rung in RINGS {
                let mut built = build(rung);
                let is_short =
                    matches!(&built, Err(error) if error.raw_os_error() == Some(OUT_OF_MEMORY));
                if is_short && may_retry {
                    may_retry = false;
                    pause(RING_RETRY_PAUSE);
                    built = build(rung);
                }
                match built {
                    Ok(runtime) => return Ok((runtime, report(rung, &reasons))),
                    Err(error) => reasons.push(refusal(rung, &error)),
                }
                if is_short {
                    // All rings need the same memory, so the next rung would not help.
                    break;
                }
            }
        } else {
            reasons.push(
                "io_uring or an operation of it is not available here (kernel, seccomp, `ulimit -l`, or MONOIO_FORCE_LEGACY_DRIVER)"
                    .to_owned(),
            );
        }
    }
    if choice == IoChoice::Uring {
        return Err(io::Error::other(format!(
            "io: no ring to be had: {}",
            reasons.join("; ")
        )));
    }
    match build(IoDriver::Epoll) {
        Ok(runtime) => Ok((runtime, report(IoDriver::Epoll, &reasons))),
        Err(error) => {
            reasons.push(refusal(IoDriver::Epoll, &error));
            Err(io::Error::other(format!(
                "io: no driver to be had: {}",
                reasons.join("; ")
            )))
        }
    }
}

fn report(driver: IoDriver, reasons: &[String]) -> IoReport {
    IoReport {
        driver,
        reason: reasons.join("; "),
    }
}

#[cold]
fn refusal(rung: IoDriver, error: &io::Error) -> String {
    let hint = if error.raw_os_error() == Some(OUT_OF_MEMORY) {
        " (lockable memory is short, see `ulimit -l`)"
    } else {
        ""
    };
    format!("{}: {error}{hint}", rung.name())
}

/// There is no runtime yet whose timer could be asked.
fn pause(duration: Duration) {
    rest_thread(duration);
}

/// Stops this thread, and all its tasks, for so long. Not for waiting, which is [`sleep`]'s business: what comes meanwhile is to be found together, where each
/// of it would wake the thread. It may come back earlier.
pub fn rest_thread(duration: Duration) {
    std::thread::park_timeout(duration);
}

fn build_rung(rung: IoDriver) -> io::Result<MonoioRuntime> {
    let mut ring = io_uring::IoUring::builder();
    match rung {
        IoDriver::UringDeferred => {
            ring.setup_single_issuer().setup_defer_taskrun();
        }
        IoDriver::UringCooperative => {
            ring.setup_coop_taskrun();
        }
        IoDriver::UringPlain => {}
        IoDriver::Epoll => {
            let runtime = RuntimeBuilder::<LegacyDriver>::new()
                .with_entries(RING_ENTRY_COUNT)
                .enable_timer()
                .build()?;
            return Ok(FusionRuntime::Legacy(runtime));
        }
    }
    let runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(RING_ENTRY_COUNT)
        .uring_builder(ring)
        .enable_timer()
        .build()?;
    Ok(FusionRuntime::Uring(runtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Climbs a ladder whose rungs answer as scripted, and tells what was tried.
    fn climb_scripted(
        choice: IoChoice,
        is_detected: bool,
        answer: impl Fn(IoDriver, usize) -> io::Result<()>,
    ) -> (io::Result<IoReport>, Vec<IoDriver>, usize) {
        let mut tried = Vec::new();
        let mut pause_count = 0;
        let result = climb(
            choice,
            || is_detected,
            |_| pause_count += 1,
            |rung| {
                let earlier = tried.iter().filter(|t| **t == rung).count();
                tried.push(rung);
                answer(rung, earlier)
            },
        );
        (result.map(|((), report)| report), tried, pause_count)
    }

    fn errno(number: i32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(number))
    }

    #[test]
    fn best_ring_wins_without_a_reason() {
        let (result, tried, _) = climb_scripted(IoChoice::Auto, true, |_, _| Ok(()));
        let report = result.unwrap();
        assert_eq!(report.driver, IoDriver::UringDeferred);
        assert_eq!(report.reason, "");
        assert_eq!(tried, [IoDriver::UringDeferred]);
    }

    #[test]
    fn flags_the_kernel_does_not_know_lead_to_the_next_rung() {
        let (result, tried, _) = climb_scripted(IoChoice::Auto, true, |rung, _| match rung {
            IoDriver::UringPlain => Ok(()),
            _ => errno(22),
        });
        let report = result.unwrap();
        assert_eq!(report.driver, IoDriver::UringPlain);
        assert!(report.reason.contains("Invalid argument"), "{report:?}");
        assert_eq!(tried, RINGS);
    }

    #[test]
    fn short_memory_is_tried_once_more_and_may_have_come_back() {
        let (result, tried, pause_count) =
            climb_scripted(IoChoice::Auto, true, |_, earlier| match earlier {
                0 => errno(OUT_OF_MEMORY),
                _ => Ok(()),
            });
        assert_eq!(result.unwrap().driver, IoDriver::UringDeferred);
        assert_eq!(tried, [IoDriver::UringDeferred, IoDriver::UringDeferred]);
        assert_eq!(pause_count, 1);
    }

    #[test]
    fn short_memory_that_stays_short_ends_on_epoll_after_one_pause() {
        let (result, tried, pause_count) =
            climb_scripted(IoChoice::Auto, true, |rung, _| match rung {
                IoDriver::Epoll => Ok(()),
                _ => errno(OUT_OF_MEMORY),
            });
        let report = result.unwrap();
        assert_eq!(report.driver, IoDriver::Epoll);
        assert!(report.reason.contains("ulimit -l"), "{report:?}");
        assert_eq!(pause_count, 1);
        let ring = IoDriver::UringDeferred;
        assert_eq!(tried, [ring, ring, IoDriver::Epoll]);
    }

    #[test]
    fn ring_that_was_demanded_is_an_error_when_there_is_none() {
        let (result, tried, _) = climb_scripted(IoChoice::Uring, true, |_, _| errno(1));
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with("io: no ring to be had: "), "{text}");
        assert_eq!(tried, RINGS);
        let (result, tried, _) = climb_scripted(IoChoice::Uring, false, |_, _| Ok(()));
        assert!(result.is_err());
        assert!(tried.is_empty());
    }

    #[test]
    fn epoll_that_was_asked_for_tries_no_ring() {
        let (result, tried, _) = climb_scripted(IoChoice::Epoll, true, |_, _| Ok(()));
        let report = result.unwrap();
        assert_eq!(
            (report.driver, report.reason.as_str()),
            (IoDriver::Epoll, "")
        );
        assert_eq!(tried, [IoDriver::Epoll]);
    }

    #[test]
    fn each_rung_this_kernel_gives_runs_a_future() {
        for rung in RINGS.into_iter().chain([IoDriver::Epoll]) {
            if let Ok(runtime) = build_rung(rung) {
                let mut runtime = ManuallyDrop::new(runtime);
                let slept = runtime.block_on(async {
                    sleep(Duration::from_millis(1)).await;
                    7
                });
                assert_eq!(slept, 7, "{}", rung.name());
            }
        }
    }

    #[test]
    fn choice_is_read_from_its_text() {
        assert_eq!("auto".parse(), Ok(IoChoice::Auto));
        assert_eq!("uring".parse(), Ok(IoChoice::Uring));
        assert_eq!("epoll".parse(), Ok(IoChoice::Epoll));
        assert_eq!("kqueue".parse::<IoChoice>(), Err(UnknownIoChoice));
    }
}
