//! What it costs to take a connection. In: a way to accept. Out: system calls and CPU a connection of the accepting thread.
//!
//! Another thread on core 1 connects a number of times, waits until all are accepted, and resets them, so that nothing stays in `TIME_WAIT`
//! and ports do not run out. Each connection gets `TCP_NODELAY` and is closed over the ring, however it was taken.
//!
//! Always: a multishot accept does not tell who has come, which costs a call of its own where that must be known.
#![expect(
    unsafe_code,
    reason = "the kernel hands out a descriptor, which is what is measured"
)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode};
use socket2::{Domain, Socket, Type};

use crate::{ASKING, Setup, bytes_of, cpu_time, len_of, pin_to, push, ring_of};

/// Marks of what has been completed.
const ACCEPTED: u64 = 1;
const READABLE: u64 = 2;
const CLOSED: u64 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One order for each connection, as monoio has it; the address comes with it.
    Single,
    /// One order for all.
    Multishot,
    /// The same, and a call for each address.
    MultishotNamed,
    /// An order to wait, and then calls until there is no more: how workers that hand connections over take them.
    Readiness,
}

pub(crate) const WAYS: [(&str, Way); 5] = [
    ("an accept for each, as monoio has it", Way::Single),
    ("the same again", Way::Single),
    ("multishot accept, nobody knows from whom", Way::Multishot),
    ("multishot accept and getpeername", Way::MultishotNamed),
    ("readiness, then accept4 until empty", Way::Readiness),
];

/// What one round of one way came to.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) calls: f64,
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    calls: AtomicU64,
}

impl Counts {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a second are far below 2^52"
    )]
    fn both(&self) -> (f64, f64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        (load(&self.connections), load(&self.calls))
    }
}

/// Accepts in one way for a time, `burst_count` connections at once.
#[expect(
    clippy::disallowed_methods,
    reason = "no worker sleeps here, and a stopwatch is what this is"
)]
pub(crate) fn run(way: Way, burst_count: u64, time: Duration) -> io::Result<Figures> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (is_over, counts) = (AtomicBool::new(false), Counts::default());
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let accept_all = || {
            pin_to(0)?;
            let acceptor = Acceptor::new(way, &listener);
            ready.wait();
            acceptor?.accept_until(&is_over, &counts)
        };
        let acceptor = thread::Builder::new().spawn_scoped(scope, accept_all)?;
        ready.wait();
        let connect_all = || {
            pin_to(1)?;
            connect(address, burst_count, &is_over, &counts.connections)
        };
        let client = thread::Builder::new()
            .name(ASKING.to_owned())
            .spawn_scoped(scope, connect_all)?;
        thread::sleep(time / 5);
        let (cpu, (connections, calls)) = (cpu_time()?, counts.both());
        let since = Instant::now();
        thread::sleep(time);
        let (connections_after, calls_after) = counts.both();
        let (cpu, elapsed) = (cpu_time()?.saturating_sub(cpu), since.elapsed());
        is_over.store(true, Ordering::Relaxed);
        // The last ones are kept until they have been accepted.
        let last = client.join().unwrap_or_else(|_| Err(panicked()))?;
        acceptor.join().unwrap_or_else(|_| Err(panicked()))?;
        drop(last);
        let count = (connections_after - connections).max(1.0);
        Ok(Figures {
            calls: (calls_after - calls) / count,
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            per_second: count / elapsed.as_secs_f64(),
        })
    })
}

fn panicked() -> io::Error {
    io::Error::other("a thread panicked")
}

/// Connects, again and again. After the end it connects once more, which wakes the acceptor, and returns these last ones.
fn connect(
    address: SocketAddr,
    burst_count: u64,
    is_over: &AtomicBool,
    accepted_count: &AtomicU64,
) -> io::Result<Vec<Socket>> {
    let mut count = 0;
    let mut sockets = Vec::new();
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        for _ in 0..burst_count {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            // Closing resets.
            socket.set_linger(Some(Duration::ZERO))?;
            socket.connect(&address.into())?;
            sockets.push(socket);
        }
        if is_last {
            return Ok(sockets);
        }
        count += burst_count;
        while accepted_count.load(Ordering::Relaxed) < count && !is_over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        // At the end some may still have to be accepted.
        if !is_over.load(Ordering::Relaxed) {
            sockets.clear();
        }
    }
}

struct Acceptor<'listener> {
    // First, so that the kernel is done with the address below before it goes.
    ring: IoUring,
    way: Way,
    listener: &'listener TcpListener,
    /// Of the last connection, and its length: they have a place of their own as in monoio.
    peer: Box<(MaybeUninit<libc::sockaddr_storage>, libc::socklen_t)>,
    call_count: u64,
}

impl<'listener> Acceptor<'listener> {
    fn new(way: Way, listener: &'listener TcpListener) -> io::Result<Self> {
        Ok(Self {
            ring: ring_of(Setup::Deferred, 1024)?,
            way,
            listener,
            peer: Box::new((MaybeUninit::uninit(), 0)),
            call_count: 0,
        })
    }

    fn accept_until(mut self, is_over: &AtomicBool, counts: &Counts) -> io::Result<()> {
        self.order()?;
        let mut done = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            self.ring.submit_and_wait(1)?;
            self.call_count += 1;
            done.extend(self.ring.completion());
            let mut accepted_count = 0;
            for completion in done.drain(..) {
                accepted_count += match completion.user_data() {
                    ACCEPTED => {
                        len_of(completion.result())?;
                        // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
                        self.take(unsafe { TcpStream::from_raw_fd(completion.result()) })?;
                        if !cqueue::more(completion.flags()) {
                            self.order()?;
                        }
                        1
                    }
                    READABLE => {
                        let count = self.take_all()?;
                        self.order()?;
                        count
                    }
                    _ => {
                        len_of(completion.result())?;
                        0
                    }
                };
            }
            counts.calls.store(self.call_count, Ordering::Relaxed);
            counts
                .connections
                .fetch_add(accepted_count, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Asks for the next connection, or for all.
    fn order(&mut self) -> io::Result<()> {
        let listener = Fd(self.listener.as_raw_fd());
        let entry = match self.way {
            Way::Single => {
                self.peer.1 = bytes_of(size_of::<libc::sockaddr_storage>());
                let address = self.peer.0.as_mut_ptr().cast();
                opcode::Accept::new(listener, address, &raw mut self.peer.1)
                    .build()
                    .user_data(ACCEPTED)
            }
            Way::Multishot | Way::MultishotNamed => opcode::AcceptMulti::new(listener)
                .build()
                .user_data(ACCEPTED),
            Way::Readiness => opcode::PollAdd::new(listener, libc::POLLIN.cast_unsigned().into())
                .build()
                .user_data(READABLE),
        };
        push(&mut self.ring, &entry)
    }

    /// Makes of a socket what the gateway makes of it, and closes it.
    fn take(&mut self, stream: TcpStream) -> io::Result<()> {
        if self.way == Way::MultishotNamed {
            stream.peer_addr()?;
            self.call_count += 1;
        }
        stream.set_nodelay(true)?;
        self.call_count += 1;
        let close = opcode::Close::new(Fd(stream.into_raw_fd()))
            .build()
            .user_data(CLOSED);
        push(&mut self.ring, &close)
    }

    /// Takes all who wait, and tells how many these were.
    fn take_all(&mut self) -> io::Result<u64> {
        let mut count = 0;
        loop {
            self.call_count += 1;
            match self.listener.accept() {
                Ok((stream, _)) => self.take(stream)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
            count += 1;
        }
    }
}
