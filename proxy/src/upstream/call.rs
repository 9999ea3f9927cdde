//! One unary call. In: a method's path, metadata and a framed message. Out: the upstream's headers, body and trailers.
//! Always: a call that ends early, by its deadline or because its future is dropped, tells the upstream by
//! `RST_STREAM(CANCEL)`; it is sent a second time only when it provably did not start; a body grows to its limit and is
//! never reserved ahead.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use transom_engine::http2::HeaderList;

use super::error::{CallError, Failure};
use super::halves::Begun;
use super::head::{CallHead, CallPath, Carriage};
use super::{Pool, Received, ReplyMetadata};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::limits::LONG_BODY_LEN;
use crate::net::Alarm;

/// Bytes in front of a gRPC message: the flag of compression and the length.
pub(super) const PREFIX_LEN: usize = 5;

/// What a call sends.
#[derive(Debug)]
pub struct CallRequest<'a> {
    /// Made once for each method.
    pub path: &'a CallPath,
    /// Headers of this call, with `grpc-timeout` if there is one. `content-type`, `te` and `user-agent` are ours.
    pub metadata: &'a HeaderList,
    /// The message with its prefix.
    pub message: SharedBytes,
    /// How long the call may take, waiting for a connection included.
    pub timeout: Option<Duration>,
}

impl CallRequest<'_> {
    /// What is sent before the message.
    pub fn head(&self) -> CallHead<'_> {
        CallHead {
            path: self.path,
            metadata: self.metadata,
            timeout: self.timeout,
        }
    }
}

/// What came back. Whether it is a success is for `transom_engine` to say.
#[derive(Debug)]
pub struct Reply {
    /// Status of HTTP; of any use only if the answer is not gRPC.
    pub http_status: StatusCode,
    /// Headers. They hold `grpc-status` when the upstream sent no body ("trailers-only").
    pub headers: ReplyMetadata,
    /// The body as it came, prefix included; empty if the answer is not gRPC. A body of one frame is not copied.
    pub body: Received,
    /// Trailers, if there were any.
    pub trailers: Option<ReplyMetadata>,
}

impl Pool {
    /// Makes a call. Dropping the future cancels it upstream.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there is no complete answer. An answer that tells of an error of the application is a
    /// [`Reply`].
    pub async fn call(&self, request: CallRequest<'_>) -> Result<Reply, CallError> {
        match request.timeout {
            Some(limit) => {
                let deadline = clock::now().checked_add(limit);
                let call = pin!(self.call_up_to_twice(&request, deadline));
                // A timer is 640 bytes long, which a call without a deadline does without.
                let called = Alarm::new().within(limit, call).await;
                called.unwrap_or(Err(CallError::DeadlineExceeded))
            }
            None => self.call_up_to_twice(&request, None).await,
        }
    }

    async fn call_up_to_twice(
        &self,
        request: &CallRequest<'_>,
        deadline: Option<Instant>,
    ) -> Result<Reply, CallError> {
        match self.call_once(request, deadline).await {
            Ok(reply) => Ok(reply),
            Err(failure) if failure.is_unstarted => {
                tracing::debug!(error = %failure.error, "the call did not start and is sent once more");
                let again = Box::pin(self.call_once(request, deadline)).await;
                again.map_err(|again| again.error)
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn call_once(
        &self,
        request: &CallRequest<'_>,
        deadline: Option<Instant>,
    ) -> Result<Reply, Failure> {
        // The lease stands first, so that it is dropped last.
        let (lease, begun) = self
            .begin(&request.head(), deadline, Carriage::Shared)
            .await?;
        let body_len_max = self.upstream().settings.message_len_max + PREFIX_LEN;
        let begun = match begun {
            Begun::Transom(stream) => {
                stream.expect_whole(body_len_max);
                stream.send_whole(request.message.clone());
                return poll_fn(|task| stream.poll_whole(task)).await;
            }
            begun @ Begun::H2 { .. } => begun,
        };
        let (mut outward, mut inward) = begun.split();
        // If the connection has just ended this fails, and so does the response, which tells why.
        let sent = outward.send_whole(request.message.clone());
        let answer = poll_fn(|task| inward.poll_answer(task)).await?;
        lease.note_answer();
        if sent.is_err() {
            return Err(Failure::final_error(CallError::ConnectionLost));
        }
        let gathered = inward.gather(body_len_max).await;
        let (body, trailers) = gathered.map_err(Failure::final_error)?;
        Ok(Reply {
            http_status: answer.http_status,
            headers: answer.headers,
            body,
            trailers,
        })
    }
}

/// How much longer a body that is one message becomes, by its prefix: once much has come, room is made for all of it, since a longer one would take a while
/// to move.
pub(super) fn room_for_announced(body: &[u8], more_len: usize, body_len_max: usize) -> usize {
    if body.len() >= LONG_BODY_LEN || body.len() + more_len < LONG_BODY_LEN {
        return 0;
    }
    let len = body.get(1..PREFIX_LEN).and_then(|len| len.try_into().ok());
    let len = len.map_or(0, u32::from_be_bytes);
    let announced_len =
        usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(PREFIX_LEN));
    announced_len.min(body_len_max).saturating_sub(body.len())
}
