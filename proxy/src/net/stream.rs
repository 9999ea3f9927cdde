//! Connections. In: buffers and addresses. Out: bytes, in the completion style for HTTP/1.1 and in the poll style for h2.
//! Always: buffers are moved into an operation and come back with it; a read that is dropped may lose bytes that had
//! arrived, so keep it in flight or close the connection after it.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use monoio::buf::{IoBuf as _, IoBufMut as _};
use monoio::io::{
    AsyncReadRent as _, AsyncWriteRent as _, AsyncWriteRentExt as _, IntoPollIo as _,
    OwnedReadHalf, OwnedWriteHalf, Splitable as _,
};
use monoio::net::unix::stream_poll::UnixStreamPoll;
use monoio::net::{TcpStream, UnixStream, tcp::stream_poll::TcpStreamPoll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;
use super::ring::set_mode_of_driver;
use super::task::Elapsed;
use crate::limits::READ_ROOM_LEN;

/// A client's TCP connection.
#[derive(Debug)]
pub struct Stream {
    inner: TcpStream,
}

impl Stream {
    /// Takes a connection from the runtime's own accept.
    pub(super) fn from_accepted(inner: TcpStream) -> Self {
        if let Err(error) = inner.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        Self { inner }
    }

    /// Attaches a connection of the standard library to this thread's runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch one more descriptor.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        set_mode_of_driver(|is_nonblocking| stream.set_nonblocking(is_nonblocking))?;
        Ok(Self::from_accepted(TcpStream::from_std(stream)?))
    }

    /// Splits the connection, so that a read can stay in flight while a response is written.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let descriptor = self.inner.as_raw_fd();
        let (reader, writer) = self.inner.into_split();
        let reader = ReadHalf {
            inner: reader,
            descriptor,
        };
        let writer = WriteHalf {
            inner: writer,
            alarm: Alarm::new(),
        };
        (reader, writer)
    }

    /// Turns the connection to the poll style, as h2 wants it.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub fn into_poll(self) -> io::Result<PollStream> {
        PollStream::from_tcp(self.inner)
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct ReadHalf {
    inner: OwnedReadHalf<TcpStream>,
    /// That of `inner`, and open for as long as `inner` is there.
    descriptor: RawFd,
}

impl ReadHalf {
    /// Reads once, appending after the bytes `buffer` holds, up to its capacity. A buffer without spare capacity
    /// gets [`READ_ROOM_LEN`] more. `Ok(0)` means that the client sends no more.
    ///
    /// The future may be kept in flight while others run; when it is dropped, close the connection.
    pub async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(READ_ROOM_LEN);
        }
        let tail = buffer.len()..buffer.capacity();
        let (read, tail) = self.inner.read(buffer.slice_mut(tail)).await;
        (read, tail.into_inner())
    }

    /// Whether the client has ended or reset the connection, though bytes of it may be unread. It costs four system calls and waits for nothing.
    ///
    /// Neither driver says so of a connection that is not read: they tell that there is something to read, which there is all the time. So an epoll
    /// of its own is asked once (`EPOLLRDHUP`, `EPOLLHUP`).
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn has_peer_left(&self) -> io::Result<bool> {
        let mut poll = mio::Poll::new()?;
        let mut events = Events::with_capacity(1);
        let mut source = SourceFd(&self.descriptor);
        let registry = poll.registry();
        registry.register(&mut source, Token(0), Interest::READABLE)?;
        poll.poll(&mut events, Some(Duration::ZERO))?;
        Ok(events
            .iter()
            .any(|event| event.is_read_closed() || event.is_error()))
    }
}

/// The writing half of a connection, with the timer of the task that serves it.
#[derive(Debug)]
pub struct WriteHalf {
    inner: OwnedWriteHalf<TcpStream>,
    alarm: Alarm,
}

impl WriteHalf {
    /// Writes all of `buffer` and gives it back as it was.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if it takes longer than `limit`; then some of it may have been written.
    pub async fn write_all(
        &mut self,
        buffer: Vec<u8>,
        limit: Duration,
    ) -> Result<(io::Result<()>, Vec<u8>), Elapsed> {
        let writing = pin!(self.inner.write_all(buffer));
        let (written, buffer) = self.alarm.within(limit, writing).await?;
        Ok((written.map(|_len| ()), buffer))
    }

    /// The timer, for waiting while nothing is written.
    pub fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    /// Writes a part of `buffer` and gives all of it back as it was.
    pub async fn write_part(
        &mut self,
        buffer: Vec<u8>,
        part: Range<usize>,
    ) -> (io::Result<()>, Vec<u8>) {
        let (written, part) = self.inner.write_all(buffer.slice(part)).await;
        (written.map(|_len| ()), part.into_inner())
    }

    /// Tells the client that nothing more will come (FIN), while reading goes on.
    ///
    /// # Errors
    ///
    /// If the connection is gone already.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown().await
    }
}

/// A connection in the poll style, for h2.
#[derive(Debug)]
pub struct PollStream {
    inner: PollInner,
}

#[derive(Debug)]
enum PollInner {
    Tcp(TcpStreamPoll),
    Unix(UnixStreamPoll),
}

impl PollStream {
    pub(super) fn from_tcp(stream: TcpStream) -> io::Result<Self> {
        Ok(Self {
            inner: PollInner::Tcp(stream.into_poll_io()?),
        })
    }

    pub(super) fn from_unix(stream: UnixStream) -> io::Result<Self> {
        Ok(Self {
            inner: PollInner::Unix(stream.into_poll_io()?),
        })
    }
}

impl AsyncRead for PollStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            PollInner::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            PollInner::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for PollStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            PollInner::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            PollInner::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            PollInner::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            PollInner::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            PollInner::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            PollInner::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            PollInner::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            PollInner::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use socket2::SockRef;

    use super::super::ring::{IoChoice, Runtime};
    use super::super::task::sleep;
    use super::*;

    /// Goal: an end or a reset is seen though bytes before it are unread, and neither where there is none. Method: the client leaves in each way, on
    /// each driver; nothing is ever read.
    #[test]
    fn client_that_has_left_is_seen_behind_what_is_unread() {
        for choice in [IoChoice::Auto, IoChoice::Epoll] {
            // As in a worker, the thread ends with its runtime.
            let worker = std::thread::spawn(move || {
                let mut runtime = Runtime::build(choice).unwrap();
                runtime.block_on(leave_in_each_way());
            });
            worker.join().unwrap();
        }
    }

    async fn leave_in_each_way() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for linger in [None, Some(Duration::ZERO)] {
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let stream = Stream::from_std(listener.accept().unwrap().0).unwrap();
            let (reader, _writer) = stream.into_split();
            assert!(!reader.has_peer_left().unwrap());
            client.write_all(b"unread").unwrap();
            assert!(!reader.has_peer_left().unwrap());
            SockRef::from(&client).set_linger(linger).unwrap();
            drop(client);
            while !reader.has_peer_left().unwrap() {
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
