//! Listeners. In: an address. Out: accepted connections, with `TCP_NODELAY` set.
//! Always: a taken port is an error before any worker starts; accepting never ends by an error and never spins; a
//! pending accept is cancelled and waited for, never dropped (monoio would lose a connection with it).

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use monoio::io::Canceller;
use monoio::net::TcpListener;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::notify::Notify;
use super::ring::set_mode_of_driver;
use super::stream::Stream;
use super::task::sleep;
use crate::limits::{
    ACCEPT_BURST_COUNT_MAX, ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, LISTEN_BACKLOG_COUNT,
};

/// A bound and listening socket that no runtime watches yet.
#[derive(Debug)]
pub struct BoundListener {
    socket: StdListener,
}

impl BoundListener {
    /// Binds `count` sockets to one address, one for each worker. Port 0 lets the kernel choose one port for all.
    ///
    /// ```text
    ///   first   bind without SO_REUSEPORT -> fails if anybody has the port, another Transom included
    ///           set SO_REUSEPORT, listen  -> others of this process may join
    ///   rest    set SO_REUSEPORT, bind, listen
    /// ```
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the port is taken, otherwise as the kernel tells.
    pub fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        let first = new_socket(address)?;
        first.bind(&SockAddr::from(address))?;
        first.set_reuse_port(true)?;
        first.listen(LISTEN_BACKLOG_COUNT)?;
        let first = StdListener::from(first);
        let bound = first.local_addr()?;
        let mut listeners = vec![Self { socket: first }];
        while listeners.len() < count {
            let next = new_socket(bound)?;
            next.set_reuse_port(true)?;
            next.bind(&SockAddr::from(bound))?;
            next.listen(LISTEN_BACKLOG_COUNT)?;
            listeners.push(Self {
                socket: next.into(),
            });
        }
        Ok(listeners)
    }

    /// The address, with the port the kernel chose.
    ///
    /// # Errors
    ///
    /// As the kernel tells; not expected of a bound socket.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Another handle to the same socket and its queue of connections.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
        })
    }

    /// Attaches the socket to this thread's runtime, for [`Listener::accept`].
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn attach(self) -> io::Result<Listener> {
        set_mode_of_driver(|is_nonblocking| self.socket.set_nonblocking(is_nonblocking))?;
        self.watch()
    }

    /// Attaches the socket to this thread's runtime, for [`Listener::accept_fresh`].
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn attach_for_fresh(self) -> io::Result<Listener> {
        self.socket.set_nonblocking(true)?;
        self.watch()
    }

    fn watch(self) -> io::Result<Listener> {
        let rest = self.socket.try_clone()?;
        Ok(Listener {
            inner: TcpListener::from_std(self.socket)?,
            rest,
            canceller: Cell::new(Some(Canceller::new())),
            is_stopped: Cell::new(false),
            stopped: Notify::new(),
            burst_count: Cell::new(0),
        })
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections in TIME_WAIT; two listeners on a port stay impossible.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// The client's address.
    pub peer: SocketAddr,
}

/// A connection that was accepted and that no runtime watches yet, so that any worker may serve it.
#[derive(Debug)]
pub struct Fresh {
    socket: std::net::TcpStream,
    peer: SocketAddr,
}

impl Fresh {
    /// Attaches the connection to this thread's runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch one more descriptor.
    pub fn attach(self) -> io::Result<Accepted> {
        Ok(Accepted {
            stream: Stream::from_std(self.socket)?,
            peer: self.peer,
        })
    }
}

/// A worker's listener.
pub struct Listener {
    inner: TcpListener,
    /// The same socket, for what is left in its queue when accepting stops.
    rest: StdListener,
    canceller: Cell<Option<Canceller>>,
    is_stopped: Cell<bool>,
    /// Notified when accepting stops.
    stopped: Notify,
    /// Connections taken by [`Listener::accept_fresh`] without a look at anything else.
    burst_count: Cell<usize>,
}

impl Listener {
    /// Waits for the next connection; `None` after [`Listener::stop`].
    ///
    /// Errors are logged and waited out: `EMFILE`, `ENFILE`, `ENOBUFS` and the like pass when others close, and
    /// `ECONNABORTED` is the client's business (THREATS I1). Never drop this future while it is pending.
    pub async fn accept(&self) -> Option<Accepted> {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            if self.is_stopped.get() {
                return None;
            }
            let canceller = self.canceller.take().unwrap_or_default();
            let handle = canceller.handle();
            self.canceller.set(Some(canceller));
            match self.inner.cancelable_accept(handle).await {
                Ok((stream, peer)) => {
                    let stream = Stream::from_accepted(stream);
                    return Some(Accepted { stream, peer });
                }
                Err(_) if self.is_stopped.get() => return None,
                Err(error) => pause = wait_out(&error, pause).await,
            }
        }
    }

    /// As [`Listener::accept`], but the connection belongs to no runtime yet. It takes a call of the system more. Right before a connection
    /// is taken, `until_room` waits until that may be done.
    pub async fn accept_fresh(&self, until_room: impl AsyncFn()) -> Option<Fresh> {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            until_room().await;
            if self.is_stopped.get() {
                return None;
            }
            // Those who are connected already get their turn between those who come.
            let burst_count = self.burst_count.get();
            let accepted = if burst_count < ACCEPT_BURST_COUNT_MAX {
                self.burst_count.set(burst_count + 1);
                self.rest.accept()
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
            let error = match accepted {
                Ok((socket, peer)) => return Some(Fresh { socket, peer }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.burst_count.set(0);
                    match self.until_readable().await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            pause = wait_out(&error, pause).await;
        }
    }

    /// Waits for a connection, or for the end. No connection is lost when this is dropped.
    async fn until_readable(&self) -> io::Result<()> {
        let mut readable = pin!(self.inner.readable(false));
        let mut stopped = pin!(self.stopped.notified());
        poll_fn(|cx| match stopped.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => readable.as_mut().poll(cx),
        })
        .await
    }

    /// Ends accepting; a pending [`Listener::accept`] answers `None`, or the connection it had already got.
    pub fn stop(&self) {
        self.is_stopped.set(true);
        self.stopped.notify_all();
        if let Some(canceller) = self.canceller.take() {
            self.canceller.set(Some(canceller.cancel()));
        }
    }

    /// Takes what the kernel has already accepted for us, and ends listening. Call it after [`Listener::accept`]
    /// has answered `None`: those clients believe they are connected, and deserve an answer.
    pub fn drain(self) -> Vec<Accepted> {
        let accepted = self.take_queue();
        // Closing alone would not do: while any handle to the socket is open, a ring's pending close among them, the
        // kernel goes on to queue connections that nobody would ever accept.
        if let Err(error) = SockRef::from(&self.rest).shutdown(Shutdown::Both) {
            tracing::warn!(%error, "the listener could not be shut down");
        }
        accepted
    }

    fn take_queue(&self) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        if let Err(error) = self.rest.set_nonblocking(true) {
            tracing::warn!(%error, "the listener's queue could not be drained");
            return accepted;
        }
        loop {
            match self.rest.accept() {
                Ok((stream, peer)) => match Stream::from_std(stream) {
                    Ok(stream) => accepted.push(Accepted { stream, peer }),
                    Err(error) => tracing::warn!(%error, "a queued connection was lost"),
                },
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::warn!(%error, "the listener's queue could not be drained");
                    }
                    return accepted;
                }
            }
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("inner", &self.inner)
            .field("is_stopped", &self.is_stopped)
            .finish_non_exhaustive()
    }
}

/// Logs an error of accept, waits, and gives the next pause.
#[cold]
async fn wait_out(error: &io::Error, pause: Duration) -> Duration {
    if is_of_one_connection(error) {
        tracing::debug!(%error, "a connection was gone before it was accepted");
    } else if pause == ACCEPT_PAUSE_MIN {
        tracing::warn!(%error, "accepting pauses until the error is over");
    }
    sleep(pause).await;
    (pause * 2).min(ACCEPT_PAUSE_MAX)
}

/// Whether the error tells of one connection, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn any_port() -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()
    }

    #[test]
    fn port_zero_gives_all_workers_the_same_port() {
        let listeners = BoundListener::bind_all(any_port(), 3).unwrap();
        let address = listeners[0].local_address().unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(listeners.len(), 3);
        for listener in &listeners {
            assert_eq!(listener.local_address().unwrap(), address);
        }
    }

    #[test]
    fn port_of_another_gateway_is_in_use_although_it_may_be_shared() {
        let other = BoundListener::bind_all(any_port(), 2).unwrap();
        let address = other[0].local_address().unwrap();
        let error = BoundListener::bind_all(address, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn port_is_free_again_once_its_listeners_are_gone() {
        let first = BoundListener::bind_all(any_port(), 2).unwrap();
        let address = first[0].local_address().unwrap();
        drop(first);
        assert!(BoundListener::bind_all(address, 2).is_ok());
    }
}
