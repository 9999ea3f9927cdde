//! The task that reads and writes a connection on the codec of our own. In: a connected stream. Out: bytes for its [`Link`], and bytes of it on their way.
//! Always: one read and at most one write are in flight; neither is dropped before the connection is; who sends much is not read for longer than others
//! can wait.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use transom_engine::http2::Fault;

use super::PoolSettings;
use super::connection::{Connection, keep_alive};
use super::error::{CallError, Unavailable};
use super::link::Link;
use super::pace::Pace;
use crate::buffers::trim;
use crate::limits::{UPSTREAM_PONG_DELAY, UPSTREAM_READ_LEN};
use crate::net::{Dialed, DialedReader, DialedWriter, rest_thread, sleep, timeout, turn};

/// Reads in a row after which other tasks have their turn.
const READ_COUNT_MAX: u32 = 16;

/// How long the last frames of a connection that was given up may take.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection whose peer has sent its SETTINGS.
pub(super) struct Driver {
    pub(super) link: Rc<Link>,
    reader: DialedReader,
    writer: DialedWriter,
    /// For what is read.
    buffer: Vec<u8>,
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// All is said and done.
    Done,
    /// The peer ended it.
    Closed,
    #[expect(dead_code, reason = "it is told by its debug form")]
    Failed(io::Error),
    /// The peer broke a rule.
    Broken(Fault),
    /// The peer answered no PING.
    Silent,
}

impl Driver {
    /// Sends what a connection begins with, and waits for the peer's SETTINGS. The caller bounds the time.
    pub(super) async fn open(stream: Dialed, pace: &Rc<Pace>) -> Result<Self, Unavailable> {
        let link = Link::new(pace);
        let (mut reader, mut writer) = stream.into_split();
        let mut opening = Vec::new();
        if link.poll_output(&mut opening).is_ready() {
            writer.write_all(opening).await.0.map_err(refused)?;
        }
        let mut buffer = Vec::with_capacity(UPSTREAM_READ_LEN);
        while !link.is_ready() {
            let (read, back) = reader.read(buffer).await;
            buffer = back;
            if read.map_err(refused)? == 0 {
                return Err(refused("it was closed"));
            }
            link.take_in(&buffer).map_err(refused)?;
        }
        Ok(Self {
            link,
            reader,
            writer,
            buffer,
        })
    }

    /// Reads and writes until the connection ends.
    pub(super) async fn drive(self, connection: &Connection, settings: &PoolSettings) {
        let Self {
            link,
            mut reader,
            mut writer,
            buffer,
        } = self;
        let is_writing = Cell::new(false);
        let mut writing = pin!(write(&link, &mut writer, &is_writing));
        let mut pong = pin!(let_pong_go(&link));
        let end = {
            let mut reading = pin!(read(&link, &mut reader, buffer));
            let ping = async || {
                let pong = link.pong.notified();
                link.ping();
                pong.await;
                true
            };
            let mut keepalive = pin!(keep_alive(connection, &link.is_active, ping, settings));
            poll_fn(|task| {
                link.note_driver(task.waker());
                if let Poll::Ready(end) = reading.as_mut().poll(task) {
                    return Poll::Ready(end);
                }
                if let Poll::Ready(error) = writing.as_mut().poll(task) {
                    return Poll::Ready(End::Failed(error));
                }
                if pong.as_mut().poll(task).is_ready() {
                    pong.set(let_pong_go(&link));
                }
                if link.has_answered.take() {
                    connection.note_answer();
                }
                connection.note(link.change());
                if !is_writing.get() && link.is_done() {
                    return Poll::Ready(End::Done);
                }
                keepalive.as_mut().poll(task).map(|()| End::Silent)
            })
            .await
        };
        tracing::debug!(?end, "a connection to the upstream ended");
        let error = match &end {
            End::Broken(fault) => CallError::Protocol {
                code: fault.code().0,
            },
            End::Done | End::Closed | End::Failed(_) | End::Silent => CallError::ConnectionLost,
        };
        // The calls in flight learn of it before the next attempt begins.
        link.end(error);
        connection.leave();
        if matches!(end, End::Broken(_)) {
            // The peer is told what it did, if it reads.
            let told = poll_fn(|task| {
                let written = writing.as_mut().poll(task);
                if written.is_ready() || !is_writing.get() {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            if timeout(LAST_WRITE_TIMEOUT, told).await.is_err() {
                tracing::debug!("the upstream did not read why its connection ended");
            }
        }
    }
}

fn refused(why: impl std::fmt::Display) -> Unavailable {
    tracing::debug!(%why, "HTTP/2 handshake with the upstream failed");
    Unavailable::HandshakeFailed
}

/// Reads until there is nothing more to be read.
async fn read(link: &Link, reader: &mut DialedReader, mut buffer: Vec<u8>) -> End {
    let mut read_count = 0;
    loop {
        let mut has_waited = false;
        let (read, back) = {
            let mut read = pin!(reader.read(buffer));
            poll_fn(|task| {
                let read = read.as_mut().poll(task);
                has_waited |= read.is_pending();
                read
            })
            .await
        };
        buffer = back;
        match read {
            Ok(0) => return End::Closed,
            Ok(_) => {}
            Err(error) => return End::Failed(error),
        }
        match link.take_in(&buffer) {
            Ok(None) => {}
            Ok(Some(rest)) => {
                rest_thread(rest);
                link.note_rested();
            }
            Err(fault) => return End::Broken(fault),
        }
        read_count = if has_waited { 0 } else { read_count + 1 };
        if read_count >= READ_COUNT_MAX {
            read_count = 0;
            turn().await;
        }
    }
}

/// Sees to it that the answer to a PING leaves in time, if nothing else has taken it along.
async fn let_pong_go(link: &Link) {
    // Whatever makes the task hold one back lets it look here.
    poll_fn(|_task| {
        if link.holds_pong() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    sleep(UPSTREAM_PONG_DELAY).await;
    link.let_pong_go();
}

/// Writes whatever there is to write, until that fails.
async fn write(link: &Link, writer: &mut DialedWriter, is_writing: &Cell<bool>) -> io::Error {
    let mut buffer = Vec::new();
    loop {
        is_writing.set(false);
        // Whoever leaves something to write wakes this task.
        poll_fn(|_task| link.poll_output(&mut buffer)).await;
        is_writing.set(true);
        let (written, back) = writer.write_all(buffer).await;
        buffer = back;
        if let Err(error) = written {
            return error;
        }
        // The next may be long in coming.
        trim(&mut buffer);
    }
}
