//! Threads beside the workers, for work that would hold a worker up: bodies that are long. In: work that owns what it needs. Out: what it gives, on the
//! worker that waits for it. Always: a worker goes on with its other connections meanwhile; work that panics costs its connection and nothing else; where
//! there is no thread or no descriptor to be had, the worker does the work itself.
//!
//! ```text
//! worker   run(work) ──▶ queue ──▶ thread, with scratch of its own ──▶ slot
//!             ╰──── a pair of sockets, read by the ring ◀──── a byte ────╯
//! ```
//!
//! Why threads, and not slices on the worker: docs/decisions/0015-long-bodies.md.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SyncSender, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use transom_engine::exchange::Scratch;

use crate::limits::{ASIDE_QUEUE_COUNT_MAX, LONG_BODY_LEN};
use crate::net::task::panic_text;
use crate::net::wake_pair;

/// When a thread that has nothing to do reminds the allocator, how often, and by how many bytes.
const REMINDER_PAUSE: Duration = Duration::from_millis(250);
const REMINDER_COUNT: u32 = 12;
const REMINDER_LEN: usize = 2 * 1024 * 1024;

type Work = Box<dyn FnOnce(&mut Scratch) + Send>;

/// The threads, and the queue before them. They end when it is dropped.
#[derive(Default)]
pub struct Aside {
    /// None if there are no threads.
    queue: Option<SyncSender<Work>>,
}

impl Aside {
    /// Starts so many threads. To be called before workers are tied to cores, since threads inherit that.
    ///
    /// # Errors
    /// If the process can have no more threads.
    pub fn start(thread_count: usize) -> io::Result<Self> {
        let (queue, works) = sync_channel(ASIDE_QUEUE_COUNT_MAX);
        let works = Arc::new(Mutex::new(works));
        for index in 0..thread_count {
            let works = Arc::clone(&works);
            std::thread::Builder::new()
                .name(format!("transom-aside-{index}"))
                .spawn(move || work_off(&works))?;
        }
        Ok(Self { queue: Some(queue) })
    }

    /// Has something done and waits for it. Nothing if it panicked.
    ///
    /// When the future is dropped, the work is done all the same, and what it gives is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Option<T> {
        let waiting = wake_pair().and_then(|(wake, seed)| Ok((wake, seed.attach()?)));
        let (Some(queue), Ok((wake, mut woken))) = (&self.queue, waiting) else {
            return guarded(|| work(&mut Scratch::default()));
        };
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let work: Work = Box::new(move |scratch| {
            let done = work(scratch);
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            // If the work panics this is dropped, which wakes too.
            wake.wake();
        });
        if let Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) =
            queue.try_send(work)
        {
            guarded(|| work(&mut Scratch::default()));
        }
        woken.wait().await;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes room for so many bytes more, and moves what there is if it has to. Nothing if there is no memory.
    pub async fn grow(&self, mut buffer: Vec<u8>, len: usize) -> Option<Vec<u8>> {
        if buffer.len() < LONG_BODY_LEN {
            buffer.reserve_exact(len);
            return Some(buffer);
        }
        let grown = self.run(move |_| {
            buffer.reserve_exact(len);
            buffer
        });
        grown.await
    }

    /// Lets go of memory so large that giving it back to the kernel takes a while.
    pub fn let_go(&self, memory: impl Send + 'static) {
        if let Some(queue) = &self.queue {
            // If the queue is full, it is dropped here.
            let _sent = queue.try_send(Box::new(move |_| drop(memory)));
        }
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Aside")
            .field("has_threads", &self.queue.is_some())
            .finish()
    }
}

/// What a thread does.
fn work_off(works: &Mutex<Receiver<Work>>) {
    let mut scratch = Scratch::default();
    let mut reminder_count = 0;
    loop {
        let next = {
            let works = works.lock().unwrap_or_else(PoisonError::into_inner);
            if reminder_count > 0 {
                works.recv_timeout(REMINDER_PAUSE)
            } else {
                works
                    .recv()
                    .map_err(|RecvError| RecvTimeoutError::Disconnected)
            }
        };
        match next {
            Ok(work) => {
                reminder_count = REMINDER_COUNT;
                if guarded(|| work(&mut scratch)).is_none() {
                    scratch = Scratch::default();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                reminder_count -= 1;
                remind_allocator();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Memory that was let go of goes back to the kernel a second later and not before mimalloc is asked for something large again, which where nothing
/// comes any more would be never. What is asked for here is not touched, so that it costs nothing.
fn remind_allocator() {
    drop(black_box(Vec::<u8>::with_capacity(REMINDER_LEN)));
}

fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            let panic = panic_text(&*panic);
            tracing::error!(panic, "the conversion of a long body panicked");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{IoChoice, Runtime};

    fn on_each_driver(test: impl AsyncFn(&Aside) + Copy) {
        for choice in [IoChoice::Auto, IoChoice::Epoll] {
            for aside in [Aside::default(), Aside::start(1).unwrap()] {
                let mut runtime = Runtime::build(choice).unwrap();
                runtime.block_on(test(&aside));
            }
        }
    }

    #[test]
    fn work_is_done_and_what_it_gives_comes_back() {
        on_each_driver(async |aside| {
            for number in 0..10 {
                assert_eq!(aside.run(move |_| number + 1).await, Some(number + 1));
            }
        });
    }

    #[test]
    fn work_that_panics_gives_nothing_and_the_next_is_done() {
        on_each_driver(async |aside| {
            assert_eq!(aside.run(|_| -> u32 { panic!("no such luck") }).await, None);
            assert_eq!(aside.run(|_| 2).await, Some(2));
        });
    }

    #[test]
    fn work_is_done_elsewhere_if_there_is_a_thread() {
        let here = std::thread::current().id();
        on_each_driver(async |aside| {
            let there = aside.run(|_| std::thread::current().id()).await;
            assert_eq!(there != Some(here), aside.queue.is_some());
        });
    }

    /// The thread waits for a byte that comes after all others have been queued, so that the queue must overflow.
    #[test]
    fn work_that_finds_no_room_in_the_queue_is_done_here() {
        let aside = Aside::start(1).unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        aside.let_go(Held(wait));
        for _ in 0..2 * ASIDE_QUEUE_COUNT_MAX {
            aside.let_go(());
        }
        let here = std::thread::current().id();
        let mut runtime = Runtime::build(IoChoice::Auto).unwrap();
        let there = runtime.block_on(aside.run(|_| std::thread::current().id()));
        assert_eq!(there, Some(here));
        go.send(()).unwrap();
    }

    struct Held(Receiver<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.recv().unwrap_or_default();
        }
    }
}
