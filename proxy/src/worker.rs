//! One thread for each core, and what starts, watches and stops them. In: an address and a connection handler. Out: served
//! connections.
//! Always: a worker owns its runtime, listener, buffers and whatever its handler makes; nothing is shared between
//! workers while they serve. A worker whose thread panics is started again. A process that is told to stop answers
//! what it has accepted.
//!
//! The seam to the rest of the proxy is [`start`]: `on_worker` runs once on each worker's thread, inside of its runtime,
//! and gives the handler, which runs once for each connection. Whatever is immutable is captured by `on_worker`
//! in an `Arc`; whatever belongs to a worker (upstream pool, scratch memory) is made by it.
//!
//! ```text
//!   main      start ──▶ run: signals, ended threads ──▶ stop: close listeners, wake workers ──▶ wait
//!   worker    on_worker ─▶ accept, handler(connection)… ──▶ draining: queue, connections ──▶ end
//! ```

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::balance::{Balance, OpenInbox, Placed, Seat};
use crate::buffers::Buffers;
use crate::cores;
use crate::limits::{self, ACCEPT_PAUSE_MAX, CLOSE_PAUSE, DRAIN_TIMEOUT, WORKER_RESPAWN_PAUSE};
use crate::net::task::panic_text;
use crate::net::wake::{Wake, WakeSeed};
use crate::net::{
    Accepted, BoundListener, Fresh, IoChoice, IoReport, Listener, Notify, Runtime, WakeReceiver,
    WakeSender, sleep, spawn, spawn_holding, timeout, wake_pair,
};

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Threads that serve; at least one.
    pub worker_count: usize,
    /// Cores for the workers, one after the other and from the start again; without any, workers run where they like.
    pub cores: Vec<usize>,
    /// The I/O driver.
    pub io: IoChoice,
    /// Connections the process serves at once, shared evenly by the workers.
    pub connection_count_max: usize,
    /// How long connections may take to end after a stop.
    pub drain_timeout: Duration,
}

impl WorkerSettings {
    /// The defaults for an address: a worker for each core, as many connections as descriptors allow.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            worker_count: std::thread::available_parallelism().map_or(1, usize::from),
            cores: Vec::new(),
            io: IoChoice::Auto,
            connection_count_max: limits::connection_count_max(limits::descriptor_count_limit()),
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// What connections of one worker know of it. It lives on the worker's thread.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    io: IoReport,
    buffers: Buffers,
    is_draining: Cell<bool>,
    /// Notified when draining begins.
    drain: Notify,
    connection_count: Cell<usize>,
    connection_count_max: usize,
    /// Notified when a connection ends, and when draining begins.
    ended: Notify,
    /// Its place among the others; `None` if there are none.
    seat: Option<Seat>,
}

impl Worker {
    fn new(index: usize, io: IoReport, connection_count_max: usize, seat: Option<Seat>) -> Self {
        Self {
            index,
            io,
            buffers: Buffers::new(),
            is_draining: Cell::new(false),
            drain: Notify::new(),
            connection_count: Cell::new(0),
            connection_count_max,
            ended: Notify::new(),
            seat,
        }
    }

    /// From 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The I/O driver it runs on.
    pub fn io(&self) -> &IoReport {
        &self.io
    }

    /// Recycled memory.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Whether the process is stopping: finish the request at hand, then close.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Waits until the process is stopping, so that an idle connection can close at once.
    pub async fn until_draining(&self) {
        while !self.is_draining.get() {
            self.drain.notified().await;
        }
    }

    /// Connections being served.
    pub fn connection_count(&self) -> usize {
        self.connection_count.get()
    }

    /// Connections this worker serves at most; above it accepting pauses.
    pub fn connection_count_max(&self) -> usize {
        self.connection_count_max
    }

    /// Whether more than four fifths of the connections it may serve are taken.
    pub fn is_crowded(&self) -> bool {
        self.connection_count.get().saturating_mul(5) > self.connection_count_max.saturating_mul(4)
    }

    fn start_draining(&self) {
        self.is_draining.set(true);
        self.drain.notify_all();
        self.ended.notify_all();
    }

    async fn until_room(&self) {
        while self.connection_count.get() >= self.connection_count_max && !self.is_draining.get() {
            self.ended.notified().await;
        }
    }

    /// Waits until any worker has room. That of another is seen a little late.
    async fn until_room_anywhere(&self, seat: &Seat) {
        while !seat.has_room() && !self.is_draining.get() {
            let _elapsed = timeout(ACCEPT_PAUSE_MAX, self.ended.notified()).await;
        }
    }

    async fn until_empty(&self) {
        while self.connection_count.get() > 0 {
            self.ended.notified().await;
        }
    }
}

/// Counts a connection for as long as it is served, however it ends.
struct ConnectionGuard {
    worker: Rc<Worker>,
}

impl ConnectionGuard {
    fn new(worker: &Rc<Worker>) -> Self {
        worker
            .connection_count
            .set(worker.connection_count.get() + 1);
        Self {
            worker: Rc::clone(worker),
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker
            .connection_count
            .set(worker.connection_count.get() - 1);
        if let Some(seat) = &worker.seat {
            seat.note_end();
        }
        worker.ended.notify_all();
    }
}

/// Why no worker serves.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// As the kernel told.
        error: io::Error,
    },
    /// A worker did not come up: no I/O driver, no thread, no descriptors.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "listen {address}: address in use")
            }
            Self::Listen { address, error } => write!(f, "listen {address}: {error}"),
            Self::Worker(error) => write!(f, "worker: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::Worker(error) => Some(error),
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection was served to its end.
    Drained,
    /// Some connections had not ended in time.
    TimedOut,
    /// A second stop came before the first had done its work: leave the process now.
    Forced,
}

/// Listens and starts the workers, and comes back when all of them are accepting.
///
/// # Errors
///
/// If the address is taken or a worker cannot be set up; none is left running then.
pub fn start<M, H, F>(settings: &WorkerSettings, on_worker: M) -> Result<Workers, StartError>
where
    M: Fn(Rc<Worker>) -> H + Send + Sync + 'static,
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let count = settings.worker_count.max(1);
    let listeners =
        BoundListener::bind_all(settings.listen, count).map_err(|error| StartError::Listen {
            address: settings.listen,
            error,
        })?;
    let (io, drain_timeout) = (settings.io, settings.drain_timeout);
    let share = settings.connection_count_max.div_ceil(count).max(1);
    let balance = (count > 1).then(|| Balance::new(count, share));
    let cores = settings.cores.clone();
    let body = move |seed: Seed| {
        pin(seed.index, &cores);
        let mut runtime = Runtime::build(io)?;
        let report = runtime.report().clone();
        report.log(seed.index);
        let seat = balance.as_ref().and_then(|all| all.seat(seed.index));
        let worker = Rc::new(Worker::new(seed.index, report.clone(), share, seat));
        runtime.block_on(async {
            let listener = match worker.seat {
                Some(_) => seed.listener.attach_for_fresh()?,
                None => seed.listener.attach()?,
            };
            let wake = seed.wake.attach()?;
            let handler = Rc::new(on_worker(Rc::clone(&worker)));
            let inbox = open_inbox(&worker, &handler)?;
            seed.ready.tell(report);
            Ok(serve(&worker, listener, inbox, wake, &handler, drain_timeout).await)
        })
    };
    Workers::start(listeners, Arc::new(body)).map_err(StartError::Worker)
}

/// Keeps this thread on the core that is a worker's.
fn pin(index: usize, cores: &[usize]) {
    let Some(core) = cores.iter().cycle().nth(index) else {
        return;
    };
    if let Err(error) = cores::pin_this_thread(*core) {
        tracing::warn!(worker = index, core, %error, "a worker cannot be kept on its core");
    }
}

/// Lets the others hand connections over to this worker, if there are others.
fn open_inbox<H, F>(worker: &Rc<Worker>, handler: &Rc<H>) -> io::Result<Option<OpenInbox>>
where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let Some(seat) = worker.seat.clone() else {
        return Ok(None);
    };
    let (wake, seed) = wake_pair()?;
    let mut wakes = seed.attach()?;
    let open = seat.open_inbox(wake);
    let (worker, handler) = (Rc::clone(worker), Rc::clone(handler));
    spawn("worker inbox", async move {
        while wakes.wait().await == Wake::Called {
            for fresh in seat.collect() {
                serve_fresh(&worker, &handler, fresh);
            }
        }
    });
    Ok(Some(open))
}

/// Serves until told to stop; tells whether all connections ended in time.
async fn serve<H, F>(
    worker: &Rc<Worker>,
    listener: Listener,
    inbox: Option<OpenInbox>,
    mut wake: WakeReceiver,
    handler: &Rc<H>,
    drain_timeout: Duration,
) -> bool
where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let listener = Rc::new(listener);
    let (told, stopped) = (Rc::clone(worker), Rc::clone(&listener));
    spawn("worker stop", async move {
        wake.wait().await;
        told.start_draining();
        stopped.stop();
    });
    match &worker.seat {
        None => accept_alone(worker, &listener, handler).await,
        Some(seat) => accept_among_others(worker, seat, &listener, handler).await,
    }
    drop(inbox);
    // Nothing is put into the inbox any more, and what is in there was promised to be served.
    for fresh in worker.seat.iter().flat_map(Seat::collect) {
        serve_fresh(worker, handler, fresh);
    }
    // The task above has ended, since only it ends accepting.
    if let Some(listener) = Rc::into_inner(listener) {
        for accepted in listener.drain() {
            serve_connection(ConnectionGuard::new(worker), handler, accepted);
        }
    }
    let emptied = timeout(drain_timeout, worker.until_empty()).await;
    if emptied.is_err() {
        let count = worker.connection_count();
        tracing::warn!(
            worker = worker.index,
            count,
            "connections did not end in time"
        );
    }
    // The ring closes descriptors with its next turn. Without one the listener of a worker that had nothing to do would go on
    // taking connections that nobody serves, until the last worker has ended.
    sleep(CLOSE_PAUSE).await;
    emptied.is_ok()
}

async fn accept_alone<H, F>(worker: &Rc<Worker>, listener: &Listener, handler: &Rc<H>)
where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    while let Some(accepted) = listener.accept().await {
        let guard = ConnectionGuard::new(worker);
        serve_connection(guard, handler, accepted);
        worker.until_room().await;
    }
}

async fn accept_among_others<H, F>(
    worker: &Rc<Worker>,
    seat: &Seat,
    listener: &Listener,
    handler: &Rc<H>,
) where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    // Others may have filled this worker while it waited.
    let until_room = async || worker.until_room_anywhere(seat).await;
    while let Some(fresh) = listener.accept_fresh(until_room).await {
        if let Placed::Here(fresh) = seat.place(fresh) {
            serve_fresh(worker, handler, fresh);
        }
    }
}

/// Serves a connection that was counted when it was placed.
fn serve_fresh<H, F>(worker: &Rc<Worker>, handler: &Rc<H>, fresh: Fresh)
where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let guard = ConnectionGuard::new(worker);
    match fresh.attach() {
        Ok(accepted) => serve_connection(guard, handler, accepted),
        Err(error) => tracing::warn!(%error, "a connection was lost"),
    }
}

fn serve_connection<H, F>(guard: ConnectionGuard, handler: &Rc<H>, accepted: Accepted)
where
    H: Fn(Accepted) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    spawn_holding("connection", guard, handler(accepted));
}

/// What a worker's thread is given.
struct Seed {
    index: usize,
    listener: BoundListener,
    wake: WakeSeed,
    ready: Ready,
}

/// Tells the main thread that a worker accepts connections.
struct Ready {
    index: usize,
    events: Sender<Event>,
}

impl Ready {
    fn tell(&self, report: IoReport) {
        send(
            &self.events,
            Event::Ready {
                index: self.index,
                report,
            },
        );
    }
}

/// What a worker's thread runs; tells whether all connections ended in time.
type Body = dyn Fn(Seed) -> io::Result<bool> + Send + Sync;

/// What the main thread hears.
enum Event {
    Ready {
        index: usize,
        report: IoReport,
    },
    /// A worker's thread is about to end.
    Ended {
        index: usize,
        result: io::Result<bool>,
    },
    Stop,
}

/// Sends to the main thread. If it is gone, the process is about to end and nothing needs to be told.
fn send(events: &Sender<Event>, event: Event) {
    if events.send(event).is_err() {
        tracing::debug!("the main thread is gone");
    }
}

/// The running workers, as the main thread sees them. When dropped, they drain on their own.
pub struct Workers {
    body: Arc<Body>,
    /// The sockets the workers listen on; a worker that is started again takes over its queue.
    listeners: Vec<BoundListener>,
    /// One for each worker; `None` once it has ended.
    wakes: Vec<Option<WakeSender>>,
    reports: Vec<Option<IoReport>>,
    address: SocketAddr,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl Workers {
    fn start(listeners: Vec<BoundListener>, body: Arc<Body>) -> io::Result<Self> {
        let address = listeners
            .first()
            .ok_or(io::ErrorKind::InvalidInput)?
            .local_address()?;
        let count = listeners.len();
        let (sender, events) = channel();
        let mut workers = Self {
            body,
            listeners,
            wakes: (0..count).map(|_| None).collect(),
            reports: vec![None; count],
            address,
            sender,
            events,
        };
        for index in 0..count {
            workers.start_worker(index, Duration::ZERO)?;
        }
        workers.wait_until_ready()?;
        Ok(workers)
    }

    fn start_worker(&mut self, index: usize, pause: Duration) -> io::Result<()> {
        let Some(listener) = self.listeners.get(index) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (wake, seed) = wake_pair()?;
        let seed = Seed {
            index,
            listener: listener.try_clone()?,
            wake: seed,
            ready: Ready {
                index,
                events: self.sender.clone(),
            },
        };
        let body = Arc::clone(&self.body);
        let events = self.sender.clone();
        std::thread::Builder::new()
            .name(format!("transom-worker-{index}"))
            .spawn(move || {
                if !pause.is_zero() {
                    std::thread::park_timeout(pause);
                }
                let result = catch_unwind(AssertUnwindSafe(|| body(seed)))
                    .unwrap_or_else(|panic| Err(panic_error(&*panic)));
                send(&events, Event::Ended { index, result });
            })?;
        if let Some(slot) = self.wakes.get_mut(index) {
            *slot = Some(wake);
        }
        Ok(())
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        while self.reports.iter().any(Option::is_none) {
            match self.next_event() {
                Event::Ready { index, report } => self.note_ready(index, report),
                Event::Ended { result, .. } => {
                    let error = result.err();
                    return Err(error.unwrap_or_else(|| io::Error::other("ended at its start")));
                }
                Event::Stop => return Err(io::ErrorKind::Interrupted.into()),
            }
        }
        Ok(())
    }

    /// Waits for an event; they cannot run out while `self` holds a sender.
    fn next_event(&self) -> Event {
        self.events.recv().unwrap_or(Event::Stop)
    }

    fn note_ready(&mut self, index: usize, report: IoReport) {
        if let Some(slot) = self.reports.get_mut(index) {
            *slot = Some(report);
        }
    }

    /// Where the workers listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The I/O driver of each worker.
    pub fn reports(&self) -> impl Iterator<Item = &IoReport> {
        self.reports.iter().flatten()
    }

    /// A handle that stops the workers from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            events: self.sender.clone(),
        }
    }

    /// Lets SIGTERM and SIGINT stop the workers from now on.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn watch_signals(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let stopper = self.stopper();
        std::thread::Builder::new()
            .name("transom-signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    tracing::info!(signal, "told to stop");
                    stopper.stop();
                }
            })?;
        Ok(())
    }

    /// Watches the workers until they have stopped. A second stop does not wait for the first.
    pub fn run(mut self) -> Ended {
        let mut alive_count = self.wakes.len();
        let mut is_stopping = false;
        let mut ended = Ended::Drained;
        while alive_count > 0 {
            match self.next_event() {
                Event::Ready { index, report } => self.note_ready(index, report),
                Event::Stop if is_stopping => return Ended::Forced,
                Event::Stop => {
                    is_stopping = true;
                    self.stop_workers();
                }
                Event::Ended {
                    result: Ok(is_drained),
                    ..
                } => {
                    alive_count -= 1;
                    if !is_drained {
                        ended = Ended::TimedOut;
                    }
                }
                Event::Ended {
                    index,
                    result: Err(error),
                } => {
                    tracing::error!(worker = index, %error, "a worker ended");
                    if is_stopping {
                        alive_count -= 1;
                        ended = Ended::TimedOut;
                    } else {
                        self.start_again(index);
                    }
                }
            }
        }
        ended
    }

    fn start_again(&mut self, index: usize) {
        if let Err(error) = self.start_worker(index, WORKER_RESPAWN_PAUSE) {
            // No descriptors or threads now: as if the new worker had ended at once, after the same pause.
            std::thread::park_timeout(WORKER_RESPAWN_PAUSE);
            let result = Err(error);
            send(&self.sender, Event::Ended { index, result });
        }
    }

    /// Closes the listeners and wakes the workers, which close theirs once their queues are empty.
    fn stop_workers(&mut self) {
        self.listeners.clear();
        for wake in self.wakes.iter().flatten() {
            wake.wake();
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("address", &self.address)
            .field("reports", &self.reports)
            .finish_non_exhaustive()
    }
}

/// Stops the workers.
#[derive(Clone, Debug)]
pub struct Stopper {
    events: Sender<Event>,
}

impl Stopper {
    /// The first time: drain and end. The second time: end at once.
    pub fn stop(&self) {
        send(&self.events, Event::Stop);
    }
}

#[cold]
fn panic_error(panic: &(dyn Any + Send)) -> io::Error {
    io::Error::other(format!("panicked: {}", panic_text(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::IoDriver;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn listeners(count: usize) -> Vec<BoundListener> {
        BoundListener::bind_all((Ipv4Addr::LOCALHOST, 0).into(), count).unwrap()
    }

    fn any_report() -> IoReport {
        IoReport {
            driver: IoDriver::Epoll,
            reason: String::new(),
        }
    }

    /// The first thread of worker 1 panics, its second one tells the test to stop.
    #[test]
    fn worker_whose_thread_panics_is_started_again() {
        let start_count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&start_count);
        let (again, started_again) = channel();
        let body = move |seed: Seed| -> io::Result<bool> {
            seed.ready.tell(any_report());
            let is_first_of_one = seed.index == 1 && counted.fetch_add(1, Ordering::SeqCst) == 0;
            assert!(!is_first_of_one, "panics as the test wants it");
            again.send(seed.index).unwrap();
            let mut runtime = Runtime::build(IoChoice::Epoll)?;
            runtime.block_on(async {
                seed.wake.attach()?.wait().await;
                Ok(true)
            })
        };
        let workers = Workers::start(listeners(2), Arc::new(body)).unwrap();
        let stopper = workers.stopper();
        let running = std::thread::spawn(move || workers.run());
        let mut indices = [started_again.recv().unwrap(), started_again.recv().unwrap()];
        indices.sort_unstable();
        assert_eq!(indices, [0, 1]);
        stopper.stop();
        assert_eq!(running.join().unwrap(), Ended::Drained);
        assert_eq!(start_count.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn worker_that_cannot_come_up_is_an_error_of_the_start() {
        let body = |seed: Seed| match seed.index {
            0 => {
                seed.ready.tell(any_report());
                Ok(true)
            }
            _ => Err(io::Error::other("io: no ring to be had")),
        };
        let error = Workers::start(listeners(2), Arc::new(body)).unwrap_err();
        // Worker 0 ends right after it was ready, so either end may be heard first.
        let text = error.to_string();
        assert!(
            text == "io: no ring to be had" || text == "ended at its start",
            "{text}"
        );
    }

    #[test]
    fn taken_address_is_told_as_such() {
        let taken = listeners(1);
        let settings = WorkerSettings::new(taken[0].local_address().unwrap());
        let error = start(&settings, |_worker| |_accepted| async {}).unwrap_err();
        let address = settings.listen;
        assert_eq!(
            error.to_string(),
            format!("listen {address}: address in use")
        );
    }
}
