//! How a call begins. In: a method's path, metadata and the time it may take. Out: a stream of HTTP/2 whose head is sent.
//! Always: what `te`, `content-type` and `user-agent` say is ours; a head that h2 did not take is told from one that may have arrived.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use transom_engine::grpc::{is_grpc_type, timeout as timeout_text};
use transom_engine::http2::{self, HeaderBlock, HeaderList};

use super::connection::{Lease, On};
use super::error::{CallError, Failure};
use super::halves::Begun;
use super::{Pool, Target};
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

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Waiting for a connection or a stream that takes no longer than this is not taken off the timeout that the upstream is told.
const WAIT_NOT_TOLD: Duration = Duration::from_millis(1);

/// Where the calls of one method go: whatever of their heads is always the same, made once.
#[derive(Clone, Debug)]
pub struct CallPath {
    /// For h2.
    uri: Uri,
    /// For the codec of our own.
    block: HeaderBlock,
}

impl CallPath {
    /// The calls of `/package.Service/Method` at an upstream; nothing if that is no path.
    pub fn new(target: &Target, path: &str) -> Option<Self> {
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(target.authority().clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
        let uri = Uri::from_parts(parts).ok()?;
        let authority = target.authority().as_str().as_bytes();
        let fixed = FIXED_HEADERS;
        let fixed = fixed
            .each_ref()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let block =
            HeaderBlock::post(http2::Scheme::Http, authority, path.as_bytes(), fixed).ok()?;
        Some(Self { uri, block })
    }

    /// The same for one worker: clones of it share a count that no other worker writes.
    #[must_use]
    pub fn copied(&self) -> Self {
        // Parsing makes a copy, where a clone would share.
        let uri = self.uri.to_string().parse();
        Self {
            uri: uri.unwrap_or_else(|_invalid| self.uri.clone()),
            block: self.block.clone(),
        }
    }
}

/// What a call says before its messages.
#[derive(Clone, Copy, Debug)]
pub struct CallHead<'a> {
    /// Made once for each method.
    pub path: &'a CallPath,
    /// Headers of this call, with `grpc-timeout` if there is one. `content-type`, `te` and `user-agent` are ours.
    pub metadata: &'a HeaderList,
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

impl Pool {
    /// Waits for the right to a stream and sends the head. `deadline` is when `head.timeout` is up, which is the caller's to heed. The lease has to be
    /// dropped last: who waits for a stream asks the connection whether it has one.
    pub(super) async fn begin(
        &self,
        head: &CallHead<'_>,
        deadline: Option<Instant>,
        carriage: Carriage,
    ) -> Result<(Lease, Begun), Failure> {
        let has_deadline = head.timeout.is_some();
        let leased = match carriage {
            Carriage::Shared => self.lease(has_deadline).await,
            // In memory of its own, which calls that do not stream do without.
            Carriage::Own => Box::pin(self.lease_apart(has_deadline)).await,
        };
        let lease = leased.map_err(|why| Failure::final_error(CallError::Unavailable(why)))?;
        let rest = deadline
            .zip(head.timeout)
            .and_then(|(deadline, limit)| rest_worth_telling(limit, deadline));
        let begun = match lease.on() {
            On::H2(link) => link
                .send(head.request(rest.as_deref())?)
                .map(|(response, sender)| Begun::H2 { response, sender })
                .map_err(|error| Failure::of_refused_head(error.as_ref())),
            On::Transom(link) => link
                .open(&head.path.block, head.pairs(rest.as_deref()))
                .map(Begun::Transom)
                .map_err(Failure::of_refusal),
        };
        if let Err(Failure {
            is_unstarted: true, ..
        }) = &begun
        {
            lease.leave();
        }
        begun.map(|begun| (lease, begun))
    }
}

impl CallHead<'_> {
    /// What goes behind the headers that are always the same; `rest` takes the place of `grpc-timeout`.
    fn pairs<'a>(&'a self, rest: Option<&'a [u8]>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let of_call = self.metadata.iter().filter(move |(name, _)| {
            !(is_ours(name) || rest.is_some() && *name == GRPC_TIMEOUT.as_bytes())
        });
        of_call.chain(rest.map(|rest| (GRPC_TIMEOUT.as_bytes(), rest)))
    }

    /// As h2 wants it.
    fn request(&self, rest: Option<&[u8]>) -> Result<Request<()>, Failure> {
        let count = self.metadata.len() + FIXED_HEADERS.len() + usize::from(rest.is_some());
        let mut headers = HeaderMap::with_capacity(count);
        for (name, value) in FIXED_HEADERS {
            headers.append(name, value);
        }
        for (name, value) in self.pairs(rest) {
            let pair = HeaderName::from_bytes(name)
                .ok()
                .zip(HeaderValue::from_bytes(value).ok());
            // The engine lets only valid names and values through.
            let (name, value) =
                pair.ok_or_else(|| Failure::final_error(CallError::RequestInvalid))?;
            headers.append(name, value);
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Whether a header of every call has this name.
fn is_ours(name: &[u8]) -> bool {
    matches!(name, b"content-type" | b"te" | b"user-agent")
}

/// SEMANTICS 133: what is left of the time of a call that had to wait, as the upstream is told.
fn rest_worth_telling(limit: Duration, deadline: Instant) -> Option<Vec<u8>> {
    let rest = deadline.saturating_duration_since(clock::now());
    // Most calls do not wait, and keep the words of their client.
    if rest + WAIT_NOT_TOLD >= limit {
        return None;
    }
    let mut text = Vec::new();
    timeout_text::write(rest, &mut text);
    Some(text)
}

/// Whether the body is one of gRPC: on any other the status of HTTP decides (SEMANTICS 110).
pub(super) fn is_grpc(http_status: u16, content_type: Option<&[u8]>) -> bool {
    http_status == 200 && content_type.is_some_and(is_grpc_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_call_are_known_by_their_names() {
        for (name, _) in FIXED_HEADERS {
            assert!(is_ours(name.as_str().as_bytes()), "{name}");
        }
        assert!(!is_ours(b"tf"));
    }

    #[test]
    fn upstream_is_told_what_waiting_has_left_of_a_timeout() {
        let limit = Duration::from_secs(5);
        let now = clock::now();
        assert_eq!(rest_worth_telling(limit, now + limit * 2), None);
        let told = rest_worth_telling(limit, now + limit / 2).unwrap();
        let micros: u64 = std::str::from_utf8(&told)
            .unwrap()
            .strip_suffix('u')
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=2_500_000).contains(&micros), "{micros}");
        assert_eq!(rest_worth_telling(limit, now).unwrap(), b"0n");
    }
}
