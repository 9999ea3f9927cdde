//! Threads beside the workers, for work that would hold a worker up: bodies that are long. In: work that owns what it needs. Out: what it gives, on the
//! worker that waits for it. Always: a worker goes on with its other connections meanwhile, and has its core when it wants it; work that panics costs its
//! connection and nothing else; where there is no thread or no descriptor to be had, the worker does the work itself; memory that is free goes back to the
//! kernel from here, so that no worker has to see to it.
//!
//! ```text
//! worker   run(work) ──▶ queue ──▶ thread, with scratch of its own ──▶ slot
//!             ╰──── a pair of sockets, read by the ring ◀──── a byte ────╯
//! ```
//!
//! Why threads, and not slices on the worker: docs/decisions/0015-long-bodies.md.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use transom_engine::exchange::Scratch;

use crate::allocator;
use crate::clock::{self, Instant};
use crate::cores;
use crate::limits::{ASIDE_NICENESS, ASIDE_QUEUE_COUNT_MAX, FREE_MEMORY_PAUSE, LONG_BODY_LEN};
use crate::net::task::panic_text;
use crate::net::wake_pair;

type Work = Box<dyn FnOnce(&mut Scratch) + Send>;

/// The threads, and the queues before them. They end when it is dropped.
#[derive(Default)]
pub struct Aside {
    /// None if there are no threads.
    queues: Option<Queues>,
}

struct Queues {
    long: Arc<Queue>,
    short: Arc<Queue>,
}

/// What work waits behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// What takes its time.
    Long,
    /// What may turn out to, but hardly ever does. It has a thread of its own, and need not wait for a long body of somebody else.
    Short,
}

impl Aside {
    /// Starts so many threads for what is long, and one for what is short. To be called before workers are tied to cores, since threads inherit that.
    ///
    /// # Errors
    /// If the process can have no more threads.
    pub fn start(thread_count: usize) -> io::Result<Self> {
        let (long, short) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        let queues = std::iter::repeat_n(&long, thread_count).chain([&short]);
        let queues: Vec<_> = queues.map(Arc::clone).collect();
        let aside = Self {
            queues: Some(Queues { long, short }),
        };
        for (index, queue) in queues.into_iter().enumerate() {
            std::thread::Builder::new()
                .name(format!("transom-aside-{index}"))
                .spawn(move || work_off(&queue))?;
        }
        Ok(aside)
    }

    /// Has something done and waits for it. Nothing if it panicked.
    ///
    /// When the future is dropped, the work is done all the same, and what it gives is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Option<T> {
        let waiting = wake_pair().and_then(|(wake, seed)| Ok((wake, seed.attach()?)));
        let (Some(queues), Ok((wake, mut woken))) = (&self.queues, waiting) else {
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
        let queue = match lane {
            Lane::Long => &queues.long,
            Lane::Short => &queues.short,
        };
        if let Err(work) = queue.put(work) {
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
        let grown = self.run(Lane::Long, move |_| {
            buffer.reserve_exact(len);
            buffer
        });
        grown.await
    }

    /// Lets go of memory so large that giving it back to the kernel takes a while.
    pub fn let_go(&self, memory: impl Send + 'static) {
        if let Some(Queues { long, .. }) = &self.queues {
            // If the queue is full, it is dropped here.
            let _put = long.put(Box::new(move |_| drop(memory)));
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        for queue in self.queues.iter().flat_map(|all| [&all.long, &all.short]) {
            queue.state().is_closed = true;
            queue.changed.notify_all();
        }
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Aside")
            .field("has_threads", &self.queues.is_some())
            .finish()
    }
}

/// Work that waits for a thread.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// `works.len() <= ASIDE_QUEUE_COUNT_MAX`
    works: VecDeque<Work>,
    is_closed: bool,
    /// When free memory last went back to the kernel.
    given_back_at: Option<Instant>,
}

/// What a thread is to do next.
enum Next {
    Work(Work),
    /// There has been nothing for a while.
    Rest,
    End,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the work back if there are too many before it.
    fn put(&self, work: Work) -> Result<(), Work> {
        let works = &mut self.state().works;
        if works.len() >= ASIDE_QUEUE_COUNT_MAX {
            return Err(work);
        }
        works.push_back(work);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work; a thread that has worked also for the time to clear up.
    fn next(&self, has_worked: bool) -> Next {
        let is_idle = |state: &mut QueueState| state.works.is_empty() && !state.is_closed;
        let state = self.state();
        let mut state = if has_worked {
            let waited = self
                .changed
                .wait_timeout_while(state, FREE_MEMORY_PAUSE, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = self.changed.wait_while(state, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        match state.works.pop_front() {
            Some(work) => Next::Work(work),
            None if state.is_closed => Next::End,
            None => Next::Rest,
        }
    }

    /// Whether free memory has to go back now. mimalloc lets whoever asks it for memory next do that with what has been free for a second, a worker as soon
    /// as any other thread, and it takes a third of a millisecond for 4 MiB. So it is done here before that second is over.
    fn is_giving_back_due(&self) -> bool {
        let now = clock::now();
        let at = &mut self.state().given_back_at;
        let is_due = at.is_none_or(|at| now.saturating_duration_since(at) >= FREE_MEMORY_PAUSE);
        if is_due {
            *at = Some(now);
        }
        is_due
    }
}

/// What a thread does.
fn work_off(queue: &Queue) {
    // Workers come first: a conversion takes what they leave of a core, and a part that keeps it from starving where they leave nothing.
    if let Err(error) = cores::let_others_go_first(ASIDE_NICENESS) {
        tracing::warn!(%error, "long bodies are converted at the priority of the workers");
    }
    let mut scratch = Scratch::default();
    let mut has_worked = false;
    loop {
        match queue.next(has_worked) {
            Next::Work(work) => {
                has_worked = true;
                if guarded(|| work(&mut scratch)).is_none() {
                    scratch = Scratch::default();
                }
                if queue.is_giving_back_due() {
                    allocator::give_back_free_memory();
                }
            }
            Next::Rest => {
                has_worked = false;
                scratch = Scratch::default();
                allocator::give_back_free_memory();
            }
            Next::End => return,
        }
    }
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
                assert_eq!(
                    aside.run(Lane::Long, move |_| number + 1).await,
                    Some(number + 1)
                );
            }
        });
    }

    #[test]
    fn work_that_panics_gives_nothing_and_the_next_is_done() {
        on_each_driver(async |aside| {
            let unlucky = aside.run(Lane::Long, |_| -> u32 { panic!("no such luck") });
            assert_eq!(unlucky.await, None);
            assert_eq!(aside.run(Lane::Long, |_| 2).await, Some(2));
        });
    }

    #[test]
    fn work_is_done_elsewhere_if_there_is_a_thread() {
        let here = std::thread::current().id();
        on_each_driver(async |aside| {
            for lane in [Lane::Long, Lane::Short] {
                let there = aside.run(lane, |_| std::thread::current().id()).await;
                assert_eq!(there != Some(here), aside.queues.is_some());
            }
        });
    }

    /// The thread waits for a byte that comes after all others have been queued, so that the queue must overflow.
    #[test]
    fn work_that_finds_no_room_in_the_queue_is_done_here() {
        let aside = Aside::start(1).unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begun, is_held) = std::sync::mpsc::channel();
        aside.let_go(Held(begun, wait));
        // Were it taken off the queue later, there would be room for one more.
        is_held.recv().unwrap();
        for _ in 0..2 * ASIDE_QUEUE_COUNT_MAX {
            aside.let_go(());
        }
        let here = std::thread::current().id();
        let mut runtime = Runtime::build(IoChoice::Auto).unwrap();
        let there = |lane| aside.run(lane, |_| std::thread::current().id());
        assert_eq!(runtime.block_on(there(Lane::Long)), Some(here));
        // What is short does not wait behind it.
        assert_ne!(runtime.block_on(there(Lane::Short)), Some(here));
        go.send(()).unwrap();
    }

    struct Held(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.send(()).unwrap_or_default();
            self.1.recv().unwrap_or_default();
        }
    }
}
