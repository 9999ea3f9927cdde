//! What each feature of `io_uring` would give a server like the gateway, one by one: how docs/decisions/0016-io-uring.md was decided.
//!
//! ```text
//!     cargo bench -p transom-benches --bench ring                 the tables, about two minutes
//!     cargo bench -p transom-benches --bench ring -- --quick      does it work? about ten seconds
//!     cargo bench -p transom-benches --bench ring -- --accept     only what taking a connection costs, half a minute
//! ```
//!
//! One thread on core 0 answers requests over its ring, the way a worker does; another on core 1 asks over a ring of its own, and waits for each
//! answer. The features vary on the answering side only. CPU is that of all threads but the asking one, so what the kernel's threads do is in it.
//! What taking a connection costs stands in a table of its own (`accept`).
//! Rounds are interleaved, and the first row stands twice: what lies between these two is noise.
#![expect(
    unsafe_code,
    reason = "the kernel is handed addresses, which is what is measured"
)]

mod accept;

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::squeue::Entry;
use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode};

const REQUEST_LEN: usize = 256;
const ROOM_LEN: usize = 4096;
/// Of the ring of buffers that the kernel chooses from; a power of two.
const POOL_COUNT: u16 = 512;
const PAGE_LEN: usize = 4096;
/// `IORING_CQE_F_NOTIF`.
const NOTIFICATION: u32 = 1 << 3;
/// Name of the thread that asks.
const ASKING: &str = "asking";
/// Marks of what has been completed, above the number of its connection.
const RECEIVED: u64 = 1 << 32;
const SENT: u64 = 2 << 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Setup {
    Plain,
    Cooperative,
    Deferred,
    /// A thread of the kernel submits, on core 0 as well.
    Polled,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receive {
    Plain,
    /// Into registered buffers.
    Registered,
    /// One order for all that comes, into buffers that the kernel chooses.
    Multishot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Send {
    Plain,
    Registered,
    ZeroCopy,
    /// From a registered buffer.
    ZeroCopyRegistered,
}

#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    setup: Setup,
    entry_count: u32,
    has_registered_files: bool,
    receive: Receive,
    send: Send,
    /// Asks for completions again and again instead of waiting for one.
    spins: bool,
}

const BASE: Variant = Variant {
    name: "as the gateway has it",
    setup: Setup::Deferred,
    entry_count: 1024,
    has_registered_files: false,
    receive: Receive::Plain,
    send: Send::Plain,
    spins: false,
};

const SMALL: [Variant; 12] = [
    BASE,
    Variant {
        name: "the same again",
        ..BASE
    },
    Variant {
        name: "flags: none",
        setup: Setup::Plain,
        ..BASE
    },
    Variant {
        name: "flags: COOP_TASKRUN",
        setup: Setup::Cooperative,
        ..BASE
    },
    Variant {
        name: "128 entries",
        entry_count: 128,
        ..BASE
    },
    Variant {
        name: "4096 entries",
        entry_count: 4096,
        ..BASE
    },
    Variant {
        name: "registered files",
        has_registered_files: true,
        ..BASE
    },
    Variant {
        name: "registered buffers",
        receive: Receive::Registered,
        send: Send::Registered,
        ..BASE
    },
    Variant {
        name: "multishot receive",
        receive: Receive::Multishot,
        ..BASE
    },
    Variant {
        name: "multishot receive, registered files",
        receive: Receive::Multishot,
        has_registered_files: true,
        ..BASE
    },
    Variant {
        name: "SQPOLL",
        setup: Setup::Polled,
        ..BASE
    },
    Variant {
        name: "busy polling",
        spins: true,
        ..BASE
    },
];

const LARGE: [Variant; 5] = [
    BASE,
    Variant {
        name: "the same again",
        ..BASE
    },
    Variant {
        name: "registered buffers",
        send: Send::Registered,
        ..BASE
    },
    Variant {
        name: "SEND_ZC",
        send: Send::ZeroCopy,
        ..BASE
    },
    Variant {
        name: "SEND_ZC, registered buffers",
        send: Send::ZeroCopyRegistered,
        ..BASE
    },
];

/// What one round of one variant came to.
#[derive(Clone, Copy)]
struct Figures {
    cpu_micros: f64,
    per_second: f64,
}

fn main() -> io::Result<()> {
    // cargo passes `--bench`.
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (round_count, time) = if is_quick {
        (1, Duration::from_millis(100))
    } else {
        (5, Duration::from_millis(500))
    };
    if !std::env::args().any(|argument| argument == "--accept") {
        compare_requests(round_count, time)?;
    }
    compare_accepts(round_count, time)
}

fn compare_requests(round_count: usize, time: Duration) -> io::Result<()> {
    // Before anything of a ring is counted, so that the first row does not pay for it.
    run(&BASE, 8, ROOM_LEN, time)?;
    for (answer_len, connection_count, variants) in [
        (256, 64, &SMALL[..]),
        (256, 1, &SMALL[..]),
        (16 << 10, 64, &LARGE[..]),
        (64 << 10, 64, &LARGE[..]),
        (1 << 20, 8, &LARGE[..]),
    ] {
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); variants.len()];
        for round in 0..round_count {
            for (variant, figures) in variants.iter().zip(&mut rounds) {
                write!(
                    io::stderr(),
                    "\r\x1b[Kanswers of {answer_len} bytes, round {} of {round_count}: {}",
                    round + 1,
                    variant.name
                )?;
                figures.push(run(variant, connection_count, answer_len, time)?);
            }
        }
        write!(io::stderr(), "\r\x1b[K")?;
        print_table(answer_len, connection_count, variants, &rounds)?;
    }
    Ok(())
}

fn compare_accepts(round_count: usize, time: Duration) -> io::Result<()> {
    accept::run(accept::Way::Single, 1, time)?;
    for burst_count in [1, 64] {
        let mut rounds = vec![Vec::new(); accept::WAYS.len()];
        for _ in 0..round_count {
            for ((_, way), figures) in accept::WAYS.iter().zip(&mut rounds) {
                figures.push(accept::run(*way, burst_count, time)?);
            }
        }
        print_accepts(burst_count, &rounds)?;
    }
    Ok(())
}

fn print_table(
    answer_len: usize,
    connection_count: usize,
    variants: &[Variant],
    rounds: &[Vec<Figures>],
) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(
        out,
        "\nAnswers of {answer_len} bytes, {connection_count} connections\n"
    )?;
    writeln!(
        out,
        "| ring | CPU µs a request | ÷ the first row | requests/s |\n|---|---:|---:|---:|"
    )?;
    let first = rounds.first().map_or(&[][..], Vec::as_slice);
    for (variant, figures) in variants.iter().zip(rounds) {
        let (cpu, low, high) = median(figures.iter().map(|one| one.cpu_micros).collect());
        let (ratio, ..) = median(
            figures
                .iter()
                .zip(first)
                .map(|(one, base)| one.cpu_micros / base.cpu_micros)
                .collect(),
        );
        let (rate, ..) = median(figures.iter().map(|one| one.per_second).collect());
        writeln!(
            out,
            "| {} | {cpu:.2} ({low:.2} to {high:.2}) | {ratio:.2} | {rate:.0} |",
            variant.name
        )?;
    }
    Ok(())
}

fn print_accepts(burst_count: u64, rounds: &[Vec<accept::Figures>]) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "\nNew connections, {burst_count} at once\n")?;
    writeln!(
        out,
        "| way | system calls a connection | ÷ the first row | CPU µs a connection | ÷ the first row | connections/s |\n|---|---:|---:|---:|---:|---:|"
    )?;
    let first = rounds.first().map_or(&[][..], Vec::as_slice);
    for ((name, _), figures) in accept::WAYS.iter().zip(rounds) {
        let column = |value: fn(&accept::Figures) -> f64| {
            let values = figures.iter().map(value).collect();
            let ratios = figures.iter().zip(first);
            let ratios = ratios.map(|(one, base)| value(one) / value(base)).collect();
            (median(values), median(ratios).0)
        };
        let ((calls, ..), calls_ratio) = column(|one| one.calls);
        let ((cpu, low, high), cpu_ratio) = column(|one| one.cpu_micros);
        let ((rate, ..), _) = column(|one| one.per_second);
        writeln!(
            out,
            "| {name} | {calls:.2} | {calls_ratio:.2} | {cpu:.2} ({low:.2} to {high:.2}) | {cpu_ratio:.2} | {rate:.0} |"
        )?;
    }
    Ok(())
}

/// The median, the least and the largest.
fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (
        at(values.len() / 2),
        at(0),
        at(values.len().saturating_sub(1)),
    )
}

/// Runs one variant on fresh connections.
#[expect(
    clippy::disallowed_methods,
    reason = "no worker sleeps here, and a stopwatch is what this is"
)]
fn run(
    variant: &Variant,
    connection_count: usize,
    answer_len: usize,
    time: Duration,
) -> io::Result<Figures> {
    let (asking, answering) = connect(connection_count)?;
    let (is_over, answered_count) = (AtomicBool::new(false), AtomicU64::new(0));
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let serve = || {
            pin_to(0)?;
            let server = Server::new(*variant, &answering, answer_len);
            ready.wait();
            server?.serve(&answered_count)
        };
        let server = thread::Builder::new().spawn_scoped(scope, serve)?;
        ready.wait();
        let ask_all = || {
            pin_to(1)?;
            ask(&asking, answer_len, &is_over)
        };
        let client = thread::Builder::new()
            .name(ASKING.to_owned())
            .spawn_scoped(scope, ask_all)?;
        thread::sleep(time / 5);
        let (cpu, count) = (cpu_time()?, answered_count.load(Ordering::Relaxed));
        let since = Instant::now();
        thread::sleep(time);
        let count = answered_count.load(Ordering::Relaxed) - count;
        let (cpu, elapsed) = (cpu_time()?.saturating_sub(cpu), since.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for end in [client.join(), server.join()] {
            end.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of a second are far below 2^52"
        )]
        let count = count.max(1) as f64;
        Ok(Figures {
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            per_second: count / elapsed.as_secs_f64(),
        })
    })
}

fn connect(count: usize) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (mut asking, mut answering) = (Vec::new(), Vec::new());
    for _ in 0..count {
        asking.push(TcpStream::connect(listener.local_addr()?)?);
        answering.push(listener.accept()?.0);
    }
    for stream in asking.iter().chain(&answering) {
        stream.set_nodelay(true)?;
    }
    Ok((asking, answering))
}

fn pin_to(core: usize) -> io::Result<()> {
    // SAFETY: a set of cores is plain bits, for which zeros are the empty set.
    let mut cores: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours, and a core beyond it is overlooked.
    unsafe { libc::CPU_SET(core, &mut cores) };
    // SAFETY: the kernel reads as many bytes of the set as it is told it has.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What all threads have run but the asking one. The kernel's threads of a ring are among ours.
fn cpu_time() -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        // One that has just ended is no more to be counted.
        let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else {
            continue;
        };
        let id = task.file_name().to_str().and_then(|id| id.parse().ok());
        if let Some(id) = id
            && name.trim_end() != ASKING
        {
            sum += cpu_time_of(id);
        }
    }
    Ok(sum)
}

/// What a thread of this process has run so far, to the nanosecond; nothing if it has ended.
fn cpu_time_of(thread_id: i32) -> Duration {
    // How the kernel names the clock of a thread: the bits of its id turned over, then "of a thread" and "by the scheduler".
    let clock = (!thread_id << 3) | 4 | 2;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is ours to be written.
    let outcome = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    match outcome {
        0 => Duration::new(secs, nanos),
        _ => Duration::ZERO,
    }
}

fn ring_of(setup: Setup, entry_count: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    match setup {
        Setup::Plain => &mut builder,
        Setup::Cooperative => builder.setup_coop_taskrun(),
        Setup::Deferred => builder.setup_single_issuer().setup_defer_taskrun(),
        Setup::Polled => builder.setup_sqpoll(50).setup_sqpoll_cpu(0),
    }
    .build(entry_count)
}

/// Puts an order into the ring; what is in it already goes to the kernel if it is full.
fn push(ring: &mut IoUring, entry: &Entry) -> io::Result<()> {
    // SAFETY: every address in an entry is of memory that the caller of the whole ring keeps until the ring is gone.
    while unsafe { ring.submission().push(entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

fn len_of(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::from_raw_os_error(-result))
}

/// Asks over all connections until it is over, and checks the length of what comes back.
fn ask(streams: &[TcpStream], answer_len: usize, is_over: &AtomicBool) -> io::Result<()> {
    let request = vec![b'r'; REQUEST_LEN];
    // What comes is thrown away, so all may write to the same place.
    let mut room = vec![0_u8; answer_len.max(ROOM_LEN)];
    let mut rest_lens = vec![answer_len; streams.len()];
    let mut ring = ring_of(Setup::Deferred, 1024)?;
    let fds: Vec<RawFd> = streams.iter().map(AsRawFd::as_raw_fd).collect();
    let send = |ring: &mut IoUring, fd: RawFd, index: u64| {
        let send = opcode::Send::new(Fd(fd), request.as_ptr(), bytes_of(REQUEST_LEN));
        push(ring, &send.build().user_data(SENT | index))
    };
    for (index, fd) in (0..).zip(&fds) {
        send(&mut ring, *fd, index)?;
    }
    let mut done = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion());
        for completion in done.drain(..) {
            let len = len_of(completion.result())?;
            let index = completion.user_data() & u64::from(u32::MAX);
            let place = usize::try_from(index).map_err(io::Error::other)?;
            let (fd, rest_len) = (fds[place], &mut rest_lens[place]);
            if completion.user_data() & RECEIVED != 0 {
                *rest_len -= len;
                if len == 0 || *rest_len == 0 {
                    assert_eq!(*rest_len, 0, "an answer is cut");
                    *rest_len = answer_len;
                    send(&mut ring, fd, index)?;
                    continue;
                }
            }
            let recv = opcode::Recv::new(Fd(fd), room.as_mut_ptr(), bytes_of(*rest_len));
            push(&mut ring, &recv.build().user_data(RECEIVED | index))?;
        }
    }
    // The kernel may still write to the room; the end of the connections ends that.
    for stream in streams {
        stream.shutdown(std::net::Shutdown::Both)?;
    }
    drop(ring);
    Ok(())
}

fn bytes_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The answering side.
struct Server {
    // First, so that the kernel is done with the memory below before it goes.
    ring: IoUring,
    variant: Variant,
    fds: Vec<RawFd>,
    /// One after another, `ROOM_LEN` bytes a connection.
    rooms: Vec<u8>,
    /// What was received of the request, and what was sent of the answer.
    received_lens: Vec<usize>,
    sent_lens: Vec<usize>,
    answer: Vec<u8>,
    pool: Option<BufferPool>,
}

impl Server {
    fn new(variant: Variant, streams: &[TcpStream], answer_len: usize) -> io::Result<Self> {
        let mut server = Self {
            ring: ring_of(variant.setup, variant.entry_count)?,
            fds: streams.iter().map(AsRawFd::as_raw_fd).collect(),
            rooms: vec![0; streams.len() * ROOM_LEN],
            received_lens: vec![0; streams.len()],
            sent_lens: vec![0; streams.len()],
            answer: vec![b'a'; answer_len],
            pool: None,
            variant,
        };
        let submitter = server.ring.submitter();
        if variant.has_registered_files {
            submitter.register_files(&server.fds)?;
        }
        let registered = [&server.rooms, &server.answer].map(|memory| libc::iovec {
            iov_base: memory.as_ptr().cast_mut().cast(),
            iov_len: memory.len(),
        });
        if variant.receive == Receive::Registered
            || matches!(variant.send, Send::Registered | Send::ZeroCopyRegistered)
        {
            // SAFETY: both stay where they are until the server is dropped, its ring before them.
            unsafe { submitter.register_buffers(&registered) }?;
        }
        if variant.receive == Receive::Multishot {
            let pool = BufferPool::new();
            // SAFETY: the pool is dropped behind the ring.
            unsafe { submitter.register_buf_ring(pool.address(), POOL_COUNT, 0) }?;
            server.pool = Some(pool);
        }
        Ok(server)
    }

    /// Answers until all connections have ended.
    fn serve(mut self, answered_count: &AtomicU64) -> io::Result<()> {
        let mut open_count = self.fds.len();
        for index in 0..self.fds.len() {
            self.receive(index)?;
        }
        let mut done = Vec::new();
        while open_count > 0 {
            self.wait()?;
            done.extend(self.ring.completion());
            for completion in done.drain(..) {
                let index = usize::try_from(completion.user_data() & u64::from(u32::MAX));
                let index = index.map_err(io::Error::other)?;
                // The kernel is done with the memory of what was sent without a copy.
                if completion.flags() & NOTIFICATION != 0 {
                    continue;
                }
                let len = match completion.result() {
                    result if completion.user_data() & RECEIVED != 0 => {
                        self.received(index, result, completion.flags())?
                    }
                    result => self.sent(index, result, answered_count)?,
                };
                open_count -= usize::from(len == 0);
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        if !self.variant.spins {
            return self.ring.submit_and_wait(1).map(drop);
        }
        // A time-out of nothing: the kernel does what is due and returns.
        let now = io_uring::types::Timespec::new();
        let arguments = io_uring::types::SubmitArgs::new().timespec(&now);
        loop {
            match self.ring.submitter().submit_with_args(1, &arguments) {
                Err(error) if error.raw_os_error() != Some(libc::ETIME) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            if !self.ring.completion().is_empty() {
                return Ok(());
            }
        }
    }

    /// How many bytes came; zero at the end of a connection.
    fn received(&mut self, index: usize, result: i32, flags: u32) -> io::Result<usize> {
        if let (Some(pool), Some(id)) = (&mut self.pool, cqueue::buffer_select(flags)) {
            pool.give_back(id);
        }
        // A client that is gone, or buffers that had run out.
        if result == -libc::ECONNRESET || result == 0 {
            return Ok(0);
        }
        let is_over = !cqueue::more(flags);
        if result == -libc::ENOBUFS {
            self.receive(index)?;
            return Ok(1);
        }
        let len = len_of(result)?;
        let received_len = &mut self.received_lens[index];
        *received_len += len;
        if *received_len == REQUEST_LEN {
            *received_len = 0;
            self.sent_lens[index] = 0;
            self.send(index)?;
            if self.variant.receive != Receive::Multishot {
                return Ok(len);
            }
        }
        if is_over {
            self.receive(index)?;
        }
        Ok(len)
    }

    fn sent(&mut self, index: usize, result: i32, answered_count: &AtomicU64) -> io::Result<usize> {
        if result == -libc::EPIPE || result == -libc::ECONNRESET {
            // Of a multishot receive the end is told apart.
            return Ok(usize::from(self.variant.receive == Receive::Multishot));
        }
        let len = len_of(result)?;
        self.sent_lens[index] += len;
        if self.sent_lens[index] < self.answer.len() {
            self.send(index)?;
        } else {
            answered_count.fetch_add(1, Ordering::Relaxed);
            if self.variant.receive != Receive::Multishot {
                self.receive(index)?;
            }
        }
        Ok(len)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let (fd, slot) = (Fd(self.fds[index]), Fixed(bytes_of(index)));
        let room = self.rooms[index * ROOM_LEN..].as_mut_ptr();
        let is_fixed = self.variant.has_registered_files;
        let len = bytes_of(REQUEST_LEN);
        let entry = match (self.variant.receive, is_fixed) {
            (Receive::Plain, false) => opcode::Recv::new(fd, room, len).build(),
            (Receive::Plain, true) => opcode::Recv::new(slot, room, len).build(),
            (Receive::Registered, false) => opcode::ReadFixed::new(fd, room, len, 0).build(),
            (Receive::Registered, true) => opcode::ReadFixed::new(slot, room, len, 0).build(),
            (Receive::Multishot, false) => opcode::RecvMulti::new(fd, 0).build(),
            (Receive::Multishot, true) => opcode::RecvMulti::new(slot, 0).build(),
        };
        push(&mut self.ring, &entry.user_data(RECEIVED | index as u64))
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let (fd, slot) = (Fd(self.fds[index]), Fixed(bytes_of(index)));
        let rest = &self.answer[self.sent_lens[index]..];
        let (from, len) = (rest.as_ptr(), bytes_of(rest.len()));
        let is_fixed = self.variant.has_registered_files;
        let entry = match (self.variant.send, is_fixed) {
            (Send::Plain, false) => opcode::Send::new(fd, from, len).build(),
            (Send::Plain, true) => opcode::Send::new(slot, from, len).build(),
            (Send::Registered, _) => opcode::WriteFixed::new(fd, from, len, 1).build(),
            (Send::ZeroCopy, _) => opcode::SendZc::new(fd, from, len).build(),
            (Send::ZeroCopyRegistered, _) => opcode::SendZc::new(fd, from, len)
                .buf_index(Some(1))
                .build(),
        };
        push(&mut self.ring, &entry.user_data(SENT | index as u64))
    }
}

/// Buffers that the kernel chooses from: a page-aligned ring of their addresses, and the buffers.
struct BufferPool {
    /// With room to begin at a page.
    entries: Vec<u8>,
    buffers: Vec<u8>,
    tail: u16,
}

impl BufferPool {
    fn new() -> Self {
        let count = usize::from(POOL_COUNT);
        let mut pool = Self {
            entries: vec![0; count * size_of::<BufRingEntry>() + PAGE_LEN],
            buffers: vec![0; count * ROOM_LEN],
            tail: 0,
        };
        for id in 0..POOL_COUNT {
            pool.give_back(id);
        }
        pool
    }

    fn address(&self) -> u64 {
        (self.entries.as_ptr() as u64).next_multiple_of(PAGE_LEN as u64)
    }

    /// Lets the kernel use a buffer, again.
    fn give_back(&mut self, id: u16) {
        let first = self.address() as *mut BufRingEntry;
        let place = usize::from(self.tail % POOL_COUNT);
        let buffer = self.buffers[usize::from(id) * ROOM_LEN..].as_ptr() as u64;
        // SAFETY: the ring has `POOL_COUNT` entries behind its address, all of them ours until the tail says otherwise. The tail lies in the first
        // one, in a field that is no part of an entry, and is read by the kernel once it has been written.
        unsafe {
            let entry = &mut *first.add(place);
            entry.set_addr(buffer);
            entry.set_len(bytes_of(ROOM_LEN));
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut());
            tail.store(self.tail, Ordering::Release);
        }
    }
}
