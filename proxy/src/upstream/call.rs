//! One unary call. In: a method's path, metadata and a framed message. Out: the upstream's headers, body and trailers.
//! Always: a call that ends early, by its deadline or because its future is dropped, tells the upstream by
//! `RST_STREAM(CANCEL)`; it is sent a second time only when it provably did not start; a body grows to its limit and is
//! never reserved ahead.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};

use super::Pool;
use super::error::{CallError, Failure, call_error};
use super::head::{Begun, CallHead, Carriage, is_grpc};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::limits::LONG_BODY_LEN;
use crate::net::timeout;

/// Bytes in front of a gRPC message: the flag of compression and the length.
pub(super) const PREFIX_LEN: usize = 5;

/// What a call sends.
#[derive(Debug)]
pub struct CallRequest<'a> {
    /// `/package.Service/Method`, made once for each route.
    pub path: &'a PathAndQuery,
    /// Headers of this call, with `grpc-timeout` if there is one. `content-type`, `te` and `user-agent` are ours.
    pub metadata: &'a HeaderMap,
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
    pub headers: HeaderMap,
    /// The body as it came, prefix included; empty if the answer is not gRPC. A body of one frame is not copied.
    pub body: Bytes,
    /// Trailers, if there were any.
    pub trailers: Option<HeaderMap>,
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
                timeout(limit, self.call_up_to_twice(&request, deadline))
                    .await
                    .unwrap_or(Err(CallError::DeadlineExceeded))
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
                let again = self.call_once(request, deadline).await;
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
        let Begun {
            lease,
            response,
            mut sender,
        } = self
            .begin(&request.head(), deadline, Carriage::Shared)
            .await?;
        // If the connection has just ended this fails, and so does the response, which tells why.
        let sent = sender.send_data(request.message.clone(), true);
        let response = response
            .await
            .map_err(|error| Failure::of_unanswered(&error))?;
        lease.note_answer();
        if sent.is_err() {
            return Err(Failure::final_error(CallError::ConnectionLost));
        }
        let (parts, body) = response.into_parts();
        let (body, trailers) = if is_grpc(parts.status, &parts.headers) {
            let body_len_max = self.upstream().settings.message_len_max + PREFIX_LEN;
            gather(body, body_len_max)
                .await
                .map_err(Failure::final_error)?
        } else {
            // Nobody will look into the page of some proxy (THREATS F6); dropping it resets the stream.
            (Bytes::new(), None)
        };
        Ok(Reply {
            http_status: parts.status,
            headers: parts.headers,
            body,
            trailers,
        })
    }
}

/// Reads a body and its trailers, giving the window back as the bytes are taken.
pub(super) async fn gather(
    mut body: RecvStream,
    body_len_max: usize,
) -> Result<(Bytes, Option<HeaderMap>), CallError> {
    let mut whole = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(chunk) = poll_fn(|cx| body.poll_data(cx)).await {
        let chunk = chunk.map_err(|error| call_error(&error))?;
        let gathered_len = joined.as_ref().map_or(whole.len(), BytesMut::len);
        if gathered_len + chunk.len() > body_len_max {
            return Err(CallError::MessageTooLarge { body_len_max });
        }
        body.flow_control()
            .release_capacity(chunk.len())
            .map_err(|error| call_error(&error))?;
        match &mut joined {
            Some(joined)
                if joined.len() < LONG_BODY_LEN && gathered_len + chunk.len() >= LONG_BODY_LEN =>
            {
                // Once much has come, room is made for all that was announced, since a longer one would take a while to move.
                joined.extend_from_slice(&chunk);
                let announced_len = announced_len(joined).min(body_len_max);
                joined.reserve(announced_len.saturating_sub(joined.len()));
            }
            Some(joined) => joined.extend_from_slice(&chunk),
            None if whole.is_empty() => whole = chunk,
            None => {
                let mut both = BytesMut::with_capacity(whole.len() + chunk.len());
                both.extend_from_slice(&whole);
                both.extend_from_slice(&chunk);
                joined = Some(both);
            }
        }
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx))
        .await
        .map_err(|error| call_error(&error))?;
    Ok((joined.map_or(whole, BytesMut::freeze), trailers))
}

/// Bytes of a body that is one message, by its prefix.
fn announced_len(body: &[u8]) -> usize {
    let len = body.get(1..PREFIX_LEN).and_then(|len| len.try_into().ok());
    let len = len.map_or(0, u32::from_be_bytes);
    usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(PREFIX_LEN))
}
