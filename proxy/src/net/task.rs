//! Tasks and timers. In: futures and durations. Out: their effects, on the thread that started them.
//! Always: a task that panics ends only itself; timers are exact to a millisecond.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use crate::clock::Instant;

/// Starts a task on this thread and lets it run.
///
/// A panic inside it, also one while it is dropped, is caught and logged under `name`: monoio would otherwise end
/// the whole worker by it.
///
/// # Panics
///
/// Outside of [`super::Runtime::block_on`].
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + 'static) {
    spawn_holding(name, (), future);
}

/// The same, and drops `held` when the future has ended or panicked and is gone. A future that held it itself, around another one, would be longer than that
/// one by more than what is held.
///
/// # Panics
///
/// Outside of [`super::Runtime::block_on`].
pub fn spawn_holding(
    name: &'static str,
    held: impl Sized + 'static,
    future: impl Future<Output = ()> + 'static,
) {
    // What is held stands last, so that it is dropped last.
    let mut running = Some((Box::pin(future), held));
    let guarded = poll_fn(move |cx| {
        let Some((future, _held)) = running.as_mut() else {
            return Poll::Ready(());
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => log_panic(name, &*panic),
        }
        let done = running.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(done))) {
            log_panic(name, &*panic);
        }
        Poll::Ready(())
    });
    drop(monoio::spawn(guarded));
}

#[cold]
fn log_panic(name: &'static str, panic: &(dyn Any + Send)) {
    tracing::error!(task = name, panic = panic_text(panic), "a task panicked");
}

/// The text a panic was raised with.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// Waits until `deadline`.
pub async fn sleep_until(deadline: Instant) {
    monoio::time::sleep_until(deadline.into()).await;
}

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Runs `future` for `duration` at most and drops it then. A future that is ready at the same time wins.
///
/// # Errors
///
/// [`Elapsed`] if the time is up before the future is ready.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    match monoio::time::timeout(duration, future).await {
        Ok(value) => Ok(value),
        Err(_elapsed) => Err(Elapsed),
    }
}
