//! One unary call. In: a method's path, metadata and a framed message. Out: the upstream's headers, body and trailers.
//! Always: a call that ends early, by its deadline or because its future is dropped, tells the upstream by
//! `RST_STREAM(CANCEL)`; it is sent a second time only when it provably did not start; a body grows to its limit and is
//! never reserved ahead.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use transom_engine::grpc::timeout as timeout_text;

use super::Pool;
use super::error::{CallError, Failure, call_error};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::net::timeout;

/// Bytes in front of a gRPC message: the flag of compression and the length.
const PREFIX_LEN: usize = 5;

/// Headers of every call: `te: trailers` is how gRPC detects proxies that lose trailers.
const FIXED_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
    (TE, HeaderValue::from_static("trailers")),
    (
        USER_AGENT,
        HeaderValue::from_static(concat!("transom/", env!("CARGO_PKG_VERSION"))),
    ),
];

/// Waiting for a connection or a stream that takes no longer than this is not taken off the timeout that the upstream is told.
const WAIT_NOT_TOLD: Duration = Duration::from_millis(1);

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
        let lease = self
            .lease(request.timeout.is_some())
            .await
            .map_err(|why| Failure::final_error(CallError::Unavailable(why)))?;
        let mut head = self.request_head(request)?;
        if let Some(rest) = deadline
            .zip(request.timeout)
            .and_then(|(deadline, limit)| rest_worth_telling(limit, deadline))
        {
            head.headers_mut().insert("grpc-timeout", rest);
        }
        let (response, mut sender) = lease.send(head).map_err(|error| {
            let failure = Failure::of_refused_head(error.as_ref());
            if failure.is_unstarted {
                lease.leave();
            }
            failure
        })?;
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

    fn request_head(&self, request: &CallRequest<'_>) -> Result<Request<()>, Failure> {
        let mut uri = Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority().clone());
        uri.path_and_query = Some(request.path.clone());
        let uri = Uri::from_parts(uri)
            .map_err(|_invalid| Failure::final_error(CallError::RequestInvalid))?;

        let mut headers = HeaderMap::with_capacity(request.metadata.len() + FIXED_HEADERS.len());
        for (name, value) in request.metadata {
            headers.append(name, value.clone());
        }
        for (name, value) in FIXED_HEADERS {
            headers.insert(name, value);
        }
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.uri_mut() = uri;
        *head.version_mut() = Version::HTTP_2;
        *head.headers_mut() = headers;
        Ok(head)
    }
}

/// SEMANTICS 133: what is left of the time of a call that had to wait, as the upstream is told.
fn rest_worth_telling(limit: Duration, deadline: Instant) -> Option<HeaderValue> {
    let rest = deadline.saturating_duration_since(clock::now());
    // Most calls do not wait, and keep the words of their client.
    if rest + WAIT_NOT_TOLD >= limit {
        return None;
    }
    let mut text = Vec::new();
    timeout_text::write(rest, &mut text);
    HeaderValue::from_bytes(&text).ok()
}

/// Whether the body is one of gRPC: on any other the status of HTTP decides (SEMANTICS 110).
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    status == StatusCode::OK
        && content_type.is_some_and(|text| text.starts_with(b"application/grpc"))
}

/// Reads a body and its trailers, giving the window back as the bytes are taken.
async fn gather(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_is_told_what_waiting_has_left_of_a_timeout() {
        let limit = Duration::from_secs(5);
        let now = clock::now();
        assert_eq!(rest_worth_telling(limit, now + limit * 2), None);
        let told = rest_worth_telling(limit, now + limit / 2).unwrap();
        let micros: u64 = told
            .to_str()
            .unwrap()
            .strip_suffix('u')
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=2_500_000).contains(&micros), "{micros}");
        assert_eq!(rest_worth_telling(limit, now).unwrap(), "0n");
    }
}
