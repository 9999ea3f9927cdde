//! The two directions of one stream, whichever codec it is on. In: messages of a call. Out: the headers, bytes and trailers of its answer, and what
//! errors of h2 mean.
//! Always: what is received is bounded by its window until it is released, and a body that is gathered by its limit.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::call::room_for_announced;
use super::error::{CallError, Failure, call_error};
use super::head::is_grpc;
use super::link::Stream;
use super::stream::Answer;
use super::{Received, ReplyMetadata};
use crate::buffers::{SharedBuffer, SharedBytes};

/// A stream whose head is sent.
pub(super) enum Begun {
    H2 {
        response: ResponseFuture,
        sender: SendStream<SharedBytes>,
    },
    Transom(Stream),
}

/// The direction to the upstream.
pub(super) enum Outward {
    H2(SendStream<SharedBytes>),
    Transom(Rc<Stream>),
}

/// The direction from the upstream.
pub(super) enum Inward {
    H2 {
        /// Until the headers are here.
        response: Option<ResponseFuture>,
        /// From then on, if there is a body of gRPC.
        body: Option<RecvStream>,
    },
    Transom(Rc<Stream>),
}

impl Begun {
    pub(super) fn split(self) -> (Outward, Inward) {
        match self {
            Self::H2 { response, sender } => {
                let inward = Inward::H2 {
                    response: Some(response),
                    body: None,
                };
                (Outward::H2(sender), inward)
            }
            Self::Transom(stream) => {
                let stream = Rc::new(stream);
                let outward = Outward::Transom(Rc::clone(&stream));
                (outward, Inward::Transom(stream))
            }
        }
    }
}

impl Outward {
    /// Sends the one message of a call; what there is no window for goes out when there is.
    pub(super) fn send_whole(&mut self, message: SharedBytes) -> Result<(), CallError> {
        match self {
            Self::H2(sender) => sender
                .send_data(message, true)
                .map_err(|error| call_error(&error)),
            Self::Transom(stream) => {
                stream.send_whole(message);
                Ok(())
            }
        }
    }

    /// Sends of the front of `bytes` what there is room for, until there are none left.
    pub(super) fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        bytes: &mut SharedBytes,
    ) -> Poll<Result<(), CallError>> {
        let sender = match self {
            Self::Transom(stream) => return stream.poll_send(task, bytes),
            Self::H2(sender) => sender,
        };
        while bytes.has_remaining() {
            sender.reserve_capacity(bytes.remaining());
            let room_len = match sender.capacity() {
                0 => ready!(sender.poll_capacity(task))
                    .unwrap_or(Err(h2::Reason::NO_ERROR.into()))
                    .map_err(|error| call_error(&error))?,
                len => len,
            };
            if room_len > 0 {
                let part = bytes.split_to(room_len);
                sender
                    .send_data(part, false)
                    .map_err(|error| call_error(&error))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the request.
    pub(super) fn finish(&mut self) -> Result<(), CallError> {
        match self {
            Self::H2(sender) => sender
                .send_data(SharedBuffer::new().share(), true)
                .map_err(|error| call_error(&error)),
            Self::Transom(stream) => stream.finish(),
        }
    }
}

impl Inward {
    /// Waits for the headers.
    pub(super) fn poll_answer(&mut self, task: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        let (response, body) = match self {
            Self::Transom(stream) => return stream.poll_answer(task),
            Self::H2 { response, body } => (response, body),
        };
        let Some(waiting) = response.as_mut() else {
            return Poll::Ready(Err(Failure::final_error(CallError::ConnectionLost)));
        };
        let answered = ready!(Pin::new(waiting).poll(task));
        *response = None;
        let (parts, received) = match answered {
            Ok(answer) => answer.into_parts(),
            Err(error) => return Poll::Ready(Err(Failure::of_unanswered(&error))),
        };
        // Nobody will look into the page of some proxy (THREATS F6); dropping it resets the stream.
        let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_all = received.is_end_stream() || !is_grpc(parts.status.as_u16(), content_type);
        if !is_all {
            *body = Some(received);
        }
        Poll::Ready(Ok(Answer {
            http_status: parts.status,
            headers: parts.headers.into(),
            is_all,
        }))
    }

    /// The next bytes of the body, cut anywhere; nothing at its end. Their window has to be given back by [`Self::release`].
    pub(super) fn poll_bytes(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Received, CallError>>> {
        match self {
            Self::H2 { body: None, .. } => Poll::Ready(None),
            Self::H2 {
                body: Some(body), ..
            } => {
                let bytes = ready!(body.poll_data(task));
                Poll::Ready(
                    bytes.map(|bytes| bytes.map(Into::into).map_err(|error| call_error(&error))),
                )
            }
            Self::Transom(stream) => stream.poll_bytes(task),
        }
    }

    /// Lets the upstream send as many bytes more.
    pub(super) fn release(&mut self, len: usize) {
        match self {
            Self::H2 { body, .. } => {
                if let Some(body) = body
                    && let Err(error) = body.flow_control().release_capacity(len)
                {
                    // No more is released than came; h2 checks it.
                    tracing::error!(%error, "the window of a stream was not given back");
                }
            }
            Self::Transom(stream) => stream.release(len),
        }
    }

    /// Waits for the trailers, after the last bytes.
    pub(super) fn poll_trailers(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Result<Option<ReplyMetadata>, CallError>> {
        match self {
            Self::H2 { body: None, .. } => Poll::Ready(Ok(None)),
            Self::H2 {
                body: Some(body), ..
            } => body
                .poll_trailers(task)
                .map_ok(|trailers| trailers.map(Into::into))
                .map_err(|error| call_error(&error)),
            Self::Transom(stream) => stream.poll_trailers(task),
        }
    }

    /// Reads a body and its trailers, giving the window back as the bytes are taken.
    pub(super) async fn gather(
        &mut self,
        body_len_max: usize,
    ) -> Result<(Received, Option<ReplyMetadata>), CallError> {
        let mut whole = Received::default();
        let mut joined: Option<BytesMut> = None;
        while let Some(chunk) = poll_fn(|task| self.poll_bytes(task)).await {
            let chunk = chunk?;
            let gathered_len = joined.as_ref().map_or(whole.len(), BytesMut::len);
            if gathered_len + chunk.len() > body_len_max {
                return Err(CallError::MessageTooLarge { body_len_max });
            }
            self.release(chunk.len());
            match &mut joined {
                Some(joined) => {
                    joined.reserve(room_for_announced(joined, chunk.len(), body_len_max));
                    joined.extend_from_slice(&chunk);
                }
                None if whole.is_empty() => whole = chunk,
                None => {
                    let mut both = BytesMut::with_capacity(whole.len() + chunk.len());
                    both.extend_from_slice(&whole);
                    both.extend_from_slice(&chunk);
                    joined = Some(both);
                }
            }
        }
        let trailers = poll_fn(|task| self.poll_trailers(task)).await?;
        let body = joined.map_or(whole, |joined| Bytes::from(joined).into());
        Ok((body, trailers))
    }
}
