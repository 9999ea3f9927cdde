//! A request of a path that no rule has, passed on to another HTTP/1.1 server (SEMANTICS 115). In: the request as that server gets it. Out: its
//! response, written to the client as it comes. Always: a connection for each request; no more of a response is held than one read brings; the
//! client's leaving ends it; silence is bounded.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use transom_engine::http1::{BadResponse, PassedResponse};

use super::inlet::{Inlet, ReadDone};
use super::outlet::write;
use crate::limits::{BODY_ROOM_LEN, PASSED_SILENCE_TIMEOUT, PIPELINE_LEN_MAX, WRITE_PART_LEN};
use crate::net::{Elapsed, PollStream, WriteHalf, timeout, turn};
use crate::upstream::Upstream;

/// A request on its way to another server.
pub(super) struct Passage {
    /// Head and body, as they are sent.
    pub(super) request: Vec<u8>,
    pub(super) response: PassedResponse,
}

/// Why there is no response to pass on; the client has been sent nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResponse {
    /// The server cannot be reached, or what it sent is none.
    Unavailable,
    /// It was silent for too long.
    TimedOut,
}

/// The client's side.
pub(super) struct Client<'c, 'p, F> {
    pub(super) inlet: &'c mut Inlet<'p, F>,
    pub(super) writer: &'c mut WriteHalf,
    /// Holds what is to be written before.
    pub(super) out: &'c mut Vec<u8>,
}

/// What one step of an exchange brought.
enum Step {
    /// Bytes of the request have gone out.
    Sent,
    /// So many bytes have come; none at the end.
    Received(usize),
    Gone,
}

/// Sends a request and writes its response to the client.
///
/// # Errors
/// When the client is gone, or the response broke off in its middle: then the client's connection must be closed.
pub(super) async fn pass<F: Future<Output = ReadDone>>(
    origin: &Upstream,
    passage: &mut Passage,
    client: Client<'_, '_, F>,
) -> io::Result<Result<(), NoResponse>> {
    // What was answered before does not wait for another server.
    write(client.writer, client.out).await?;
    let Ok(mut stream) = origin.connect().await else {
        return Ok(Err(NoResponse::Unavailable));
    };
    let Passage { request, response } = passage;
    let mut rest = &request[..];
    let mut room = vec![0; BODY_ROOM_LEN];
    while !response.is_done() {
        let step = poll_fn(|task| step(&mut stream, &mut rest, &mut room, client.inlet, task));
        let received = match timeout(PASSED_SILENCE_TIMEOUT, step).await {
            Ok(Ok(Step::Sent)) => {
                if !rest.is_empty() {
                    // A socket takes megabytes without waiting.
                    turn().await;
                }
                continue;
            }
            Ok(Ok(Step::Gone)) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(Ok(Step::Received(0))) => response.end(client.out),
            Ok(Ok(Step::Received(len))) => {
                response.receive(room.get(..len).unwrap_or_default(), client.out)
            }
            Ok(Err(error)) => {
                // Not the end of a response, even of one that ends with its connection: a cut one must not look whole.
                tracing::debug!(%error, "the server of unknown paths broke off");
                Err(BadResponse)
            }
            Err(Elapsed) if response.has_begun() => return Err(io::ErrorKind::TimedOut.into()),
            Err(Elapsed) => return Ok(Err(NoResponse::TimedOut)),
        };
        if received.is_err() {
            return if response.has_begun() {
                // What has come of it is no secret, and a client sees that it is not whole.
                write(client.writer, client.out).await?;
                Err(io::ErrorKind::InvalidData.into())
            } else {
                Ok(Err(NoResponse::Unavailable))
            };
        }
        // The other server waits as long as the client does.
        write(client.writer, client.out).await?;
    }
    Ok(Ok(()))
}

/// Writes what is left of the request, and reads what has come of the response.
fn step<F: Future<Output = ReadDone>>(
    stream: &mut PollStream,
    rest: &mut &[u8],
    room: &mut [u8],
    inlet: &mut Inlet<'_, F>,
    task: &mut Task<'_>,
) -> Poll<io::Result<Step>> {
    if !rest.is_empty() {
        let part = rest.get(..WRITE_PART_LEN).unwrap_or(rest);
        match Pin::new(&mut *stream).poll_write(task, part) {
            Poll::Ready(Ok(len)) if len > 0 => {
                *rest = rest.get(len..).unwrap_or_default();
                return Poll::Ready(Ok(Step::Sent));
            }
            // It may have answered before it stopped reading.
            Poll::Ready(_) => *rest = &[],
            Poll::Pending => {}
        }
    }
    let mut buffer = ReadBuf::new(room);
    if let Poll::Ready(read) = Pin::new(stream).poll_read(task, &mut buffer) {
        return Poll::Ready(read.map(|()| Step::Received(buffer.filled().len())));
    }
    inlet
        .poll_gone(task, PIPELINE_LEN_MAX)
        .map(|()| Ok(Step::Gone))
}
