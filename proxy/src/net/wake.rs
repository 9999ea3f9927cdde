//! A wake-up from another thread, by a pair of sockets. In: a byte from any thread. Out: the worker's task goes on.
//! Always: works without monoio's `sync` feature, whose wakers race in the released version.

use std::io;
use std::io::Write as _;
use std::os::unix::net::UnixStream as StdUnixStream;

use monoio::io::AsyncReadRent as _;
use monoio::net::UnixStream;

use super::ring::set_mode_of_driver;
use super::task::sleep;
use crate::limits::BUSY_PAUSE as TURN_PAUSE;

/// The end another thread holds.
#[derive(Debug)]
pub struct WakeSender {
    socket: StdUnixStream,
}

/// The worker's end before it has arrived on the worker's thread.
#[derive(Debug)]
pub struct WakeSeed {
    socket: StdUnixStream,
}

/// The worker's end.
#[derive(Debug)]
pub struct WakeReceiver {
    socket: UnixStream,
    buffer: Vec<u8>,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The sender woke this thread.
    Called,
    /// The sender is gone.
    Gone,
}

/// Makes the two ends of a wake-up.
///
/// # Errors
///
/// If the process has no descriptors left.
pub fn wake_pair() -> io::Result<(WakeSender, WakeSeed)> {
    let (sender, receiver) = StdUnixStream::pair()?;
    sender.set_nonblocking(true)?;
    Ok((WakeSender { socket: sender }, WakeSeed { socket: receiver }))
}

/// Lets all other tasks of this thread have their turn, and the kernel too: unlike a task that wakes itself it goes through the driver, so that what has
/// arrived for others is seen. Takes some ten microseconds where a timer takes a millisecond.
pub async fn turn() {
    let pair = wake_pair().and_then(|(sender, seed)| Ok((sender, seed.attach()?)));
    match pair {
        Ok((sender, mut receiver)) => {
            sender.wake();
            receiver.wait().await;
        }
        // No descriptor is left.
        Err(_) => sleep(TURN_PAUSE).await,
    }
}

impl WakeSender {
    /// Wakes the other end. A wake-up that is already waiting to be seen is enough, so a full socket is no error.
    pub fn wake(&self) {
        let sent = (&self.socket).write(&[1]);
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::WouldBlock
        {
            tracing::debug!(%error, "a wake-up had no receiver");
        }
    }
}

impl WakeSeed {
    /// Attaches the receiving end to this thread's runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch one more descriptor.
    pub fn attach(self) -> io::Result<WakeReceiver> {
        set_mode_of_driver(|is_nonblocking| self.socket.set_nonblocking(is_nonblocking))?;
        Ok(WakeReceiver {
            socket: UnixStream::from_std(self.socket)?,
            buffer: Vec::with_capacity(16),
        })
    }
}

impl WakeReceiver {
    /// Waits for a wake-up; several at once count as one.
    pub async fn wait(&mut self) -> Wake {
        let buffer = std::mem::take(&mut self.buffer);
        let (read, buffer) = self.socket.read(buffer).await;
        self.buffer = buffer;
        match read {
            Ok(len) if len > 0 => Wake::Called,
            Ok(_) => Wake::Gone,
            Err(error) => {
                tracing::error!(%error, "the wake-up socket of a worker failed");
                Wake::Gone
            }
        }
    }
}
