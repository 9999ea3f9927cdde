//! How a call begins. In: a method's path, metadata and the time it may take. Out: a stream of HTTP/2 whose head is sent.
//! Always: what `te`, `content-type` and `user-agent` say is ours; a head that h2 did not take is told from one that may have arrived.

use std::time::Duration;

use h2::SendStream;
use h2::client::ResponseFuture;
use http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use transom_engine::grpc::{is_grpc_type, timeout as timeout_text};

use super::Pool;
use super::connection::Lease;
use super::error::{CallError, Failure};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};

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

/// What a call says before its messages.
#[derive(Clone, Copy, Debug)]
pub struct CallHead<'a> {
    /// `/package.Service/Method`, made once for each route.
    pub path: &'a PathAndQuery,
    /// Headers of this call, with `grpc-timeout` if there is one. `content-type`, `te` and `user-agent` are ours.
    pub metadata: &'a HeaderMap,
    /// How long the call may take, waiting for a connection included.
    pub timeout: Option<Duration>,
}

/// Which connection carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// One that it shares with others.
    Shared,
    /// One of its own, if there can be: its request goes on for as long as the client likes, and what the upstream leaves unread of it is to cost
    /// no other call anything.
    Own,
}

/// A stream whose head is sent.
pub(super) struct Begun {
    pub(super) response: ResponseFuture,
    pub(super) sender: SendStream<SharedBytes>,
    /// Dropped last: who waits for a stream asks h2 whether it has one.
    pub(super) lease: Lease,
}

impl Pool {
    /// Waits for the right to a stream and sends the head. `deadline` is when `head.timeout` is up, which is the caller's to heed.
    pub(super) async fn begin(
        &self,
        head: &CallHead<'_>,
        deadline: Option<Instant>,
        carriage: Carriage,
    ) -> Result<Begun, Failure> {
        let has_deadline = head.timeout.is_some();
        let leased = match carriage {
            Carriage::Shared => self.lease(has_deadline).await,
            // In memory of its own, which calls that do not stream do without.
            Carriage::Own => Box::pin(self.lease_apart(has_deadline)).await,
        };
        let lease = leased.map_err(|why| Failure::final_error(CallError::Unavailable(why)))?;
        let mut request = self.request(head)?;
        if let Some(rest) = deadline
            .zip(head.timeout)
            .and_then(|(deadline, limit)| rest_worth_telling(limit, deadline))
        {
            request.headers_mut().insert("grpc-timeout", rest);
        }
        let (response, sender) = lease.send(request).map_err(|error| {
            let failure = Failure::of_refused_head(error.as_ref());
            if failure.is_unstarted {
                lease.leave();
            }
            failure
        })?;
        Ok(Begun {
            response,
            sender,
            lease,
        })
    }

    fn request(&self, head: &CallHead<'_>) -> Result<Request<()>, Failure> {
        let mut uri = Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority().clone());
        uri.path_and_query = Some(head.path.clone());
        let uri = Uri::from_parts(uri)
            .map_err(|_invalid| Failure::final_error(CallError::RequestInvalid))?;

        let mut headers = HeaderMap::with_capacity(head.metadata.len() + FIXED_HEADERS.len());
        for (name, value) in head.metadata {
            headers.append(name, value.clone());
        }
        for (name, value) in FIXED_HEADERS {
            headers.insert(name, value);
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        Ok(request)
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
pub(super) fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    status == StatusCode::OK && content_type.is_some_and(is_grpc_type)
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
