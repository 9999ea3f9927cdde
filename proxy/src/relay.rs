//! The spine of the proxy: one exchange between a client's connection and the upstream. In: a parsed head and its body. Out: a call,
//! then the response's bytes. Always: what bytes mean is decided by `transom_engine::exchange`; here they are carried and awaited.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{
    self, BadManners, Call, Envelope, Manners, Request, Scratch, Transcoder,
};
use transom_engine::grpc::{Code, Status};
use transom_engine::http1::RequestHead;
use transom_engine::{Error, Schema};

use crate::buffers::SharedBuffer;
use crate::clock;
use crate::clock::Date;
use crate::limits::{BUFFER_KEEP_COUNT_MAX, BUFFER_KEEP_LEN_MAX};
use crate::upstream::{CallError, CallRequest, Pool, Reply, Upstream};
use crate::worker::Worker;

/// What is served and how: made once, shared by all workers, never changed.
#[derive(Debug)]
pub struct Gateway {
    transcoder: Transcoder,
    upstream: Arc<Upstream>,
    /// The `:path` of each method's calls, in the order of [`Schema::methods`].
    method_paths: Box<[PathAndQuery]>,
}

impl Gateway {
    /// Prepares what the calls of this schema need.
    ///
    /// # Errors
    /// When a method's name cannot be the path of a call, or the manners fit no method.
    pub fn new(
        schema: Schema,
        manners: Manners,
        upstream: Arc<Upstream>,
    ) -> Result<Self, BadGateway> {
        let method_paths = schema
            .methods()
            .map(|method| {
                method
                    .path()
                    .parse()
                    .map_err(|_invalid| BadGateway::MethodName(method.full_name().to_owned()))
            })
            .collect::<Result<_, _>>()?;
        let transcoder = Transcoder::new(schema, manners);
        transcoder.check_manners().map_err(BadGateway::Manners)?;
        Ok(Self {
            transcoder,
            upstream,
            method_paths,
        })
    }

    /// The compiled schema.
    pub fn schema(&self) -> &Schema {
        self.transcoder.schema()
    }

    /// Where the calls go.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

/// What cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadGateway {
    /// A method whose name cannot be sent.
    MethodName(String),
    /// Manners that do not fit the schema.
    Manners(BadManners),
}

impl fmt::Display for BadGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MethodName(name) => write!(
                formatter,
                "{name}: the method's name cannot be the path of a call; expected letters, digits and `_`"
            ),
            Self::Manners(bad) => bad.fmt(formatter),
        }
    }
}

impl std::error::Error for BadGateway {}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Context {
    gateway: Arc<Gateway>,
    worker: Rc<Worker>,
    pool: Pool,
    /// Memory for messages on their way to the upstream.
    messages: RefCell<Vec<SharedBuffer>>,
    scratch: RefCell<Scratch>,
    date: Date,
    /// As in the [`Gateway`], copied: clones of these share a count that no other worker writes.
    method_paths: Box<[PathAndQuery]>,
}

/// A call ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    call: Call,
    metadata: HeaderMap,
    message: SharedBuffer,
}

impl Context {
    /// The context of a worker. The first connection to the upstream is opened at once.
    pub fn new(gateway: Arc<Gateway>, worker: Rc<Worker>) -> Self {
        let pool = Pool::new(Arc::clone(&gateway.upstream));
        pool.warm_up();
        // Parsing makes a copy, where a clone would share.
        let own = |path: &PathAndQuery| path.as_str().parse().unwrap_or_else(|_| path.clone());
        Self {
            method_paths: gateway.method_paths.iter().map(own).collect(),
            date: Date::default(),
            gateway,
            worker,
            pool,
            messages: RefCell::default(),
            scratch: RefCell::default(),
        }
    }

    /// The worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// What the answer to a request has to know of it.
    pub fn envelope(&self, head: &RequestHead, bytes: &[u8]) -> Envelope {
        self.gateway.transcoder.envelope(head, bytes)
    }

    /// Refuses what a head alone decides to be wrong, before its body is waited for.
    ///
    /// # Errors
    /// As [`Transcoder::handle_head`].
    pub fn check(&self, head: &RequestHead, bytes: &[u8]) -> Result<(), Error> {
        let scratch = &mut *self.scratch.borrow_mut();
        let transcoder = &self.gateway.transcoder;
        transcoder.handle_head(head, bytes, scratch).map(drop)
    }

    /// Turns a request into a call. Nothing when the answer, to `OPTIONS`, needs none and has been appended to `out`.
    ///
    /// # Errors
    /// When the request is refused; the answer is up to the caller.
    pub fn begin(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        (client, envelope): (IpAddr, &Envelope),
        out: &mut Vec<u8>,
    ) -> Result<Option<Outgoing>, Error> {
        let transcoder = &self.gateway.transcoder;
        let scratch = &mut *self.scratch.borrow_mut();
        let call = match transcoder.handle_head(head, bytes, scratch)? {
            Request::Call(call) => call,
            Request::Preflight => {
                let envelope = self.dated(envelope.clone());
                transcoder.write_preflight(&envelope, head, bytes, scratch, out);
                return Ok(None);
            }
            Request::Options => {
                let envelope = self.dated(envelope.clone());
                transcoder.write_options(&envelope, head, bytes, scratch, out);
                return Ok(None);
            }
        };
        let mut metadata = HeaderMap::new();
        call.each_metadata(transcoder, head, bytes, scratch, |name, value| {
            // The engine lets only valid names and values through; h2 would refuse any other.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                metadata.append(name, value);
            }
        })?;
        let mut message = self.messages.borrow_mut().pop().unwrap_or_default();
        let forwarded_for = message.start();
        if call.write_forwarded_for(transcoder, head, bytes, client, forwarded_for)
            && let Ok(value) = HeaderValue::from_bytes(forwarded_for)
        {
            metadata.append("x-forwarded-for", value);
        }
        match call.write_request(transcoder, head, bytes, body, scratch, message.start()) {
            Ok(()) => Ok(Some(Outgoing {
                call,
                metadata,
                message,
            })),
            Err(error) => {
                self.recycle(message);
                Err(error)
            }
        }
    }

    /// Sends a call and waits for its reply. Dropping the future cancels it upstream.
    ///
    /// # Errors
    /// As [`Pool::call`].
    pub async fn call(&self, outgoing: &Outgoing) -> Result<Reply, CallError> {
        let index = outgoing.call.method_index(&self.gateway.transcoder);
        // The index comes from the schema that the paths were made of.
        let Some(path) = self.method_paths.get(index) else {
            return Err(CallError::RequestInvalid);
        };
        let request = CallRequest {
            path,
            metadata: &outgoing.metadata,
            message: outgoing.message.share(),
            timeout: outgoing.call.timeout,
        };
        let since = request.timeout.map(|limit| (clock::now(), limit));
        let reply = self.pool.call(request).await?;
        match since {
            // SEMANTICS 133: tonic ends a call whose time is up by CANCELLED, and may be quicker than our timer.
            Some((since, limit))
                if clock::now().saturating_duration_since(since) >= limit
                    && is_cancelled(&reply) =>
            {
                Err(CallError::DeadlineExceeded)
            }
            _ => Ok(reply),
        }
    }

    /// Appends the response to what came of a call.
    pub fn finish(
        &self,
        outgoing: Outgoing,
        envelope: Envelope,
        reply: Result<Reply, CallError>,
        out: &mut Vec<u8>,
    ) {
        let transcoder = &self.gateway.transcoder;
        let scratch = &mut *self.scratch.borrow_mut();
        match reply {
            Ok(reply) => {
                let reply = exchange::Reply {
                    http_status: reply.http_status.as_u16(),
                    headers: || pairs(&reply.headers),
                    body: &reply.body,
                    trailers: reply.trailers.as_ref().map(|trailers| || pairs(trailers)),
                };
                outgoing
                    .call
                    .write_reply(transcoder, &self.dated(envelope), reply, scratch, out);
            }
            Err(CallError::MessageTooLarge { .. }) => {
                let error = Error::reply(ErrorKind::ReplyTooLarge, 0);
                transcoder.write_error(&self.dated(envelope), error, None, scratch, out);
            }
            Err(error) => {
                transcoder.write_status(&self.dated(envelope), &status_of(error), scratch, out);
            }
        }
        self.recycle(outgoing.message);
    }

    /// Appends the response to a request that is refused; `request` is as in [`Transcoder::write_error`].
    pub fn write_error(
        &self,
        envelope: Envelope,
        error: Error,
        request: Option<(&RequestHead, &[u8], &[u8])>,
        out: &mut Vec<u8>,
    ) {
        let scratch = &mut *self.scratch.borrow_mut();
        let transcoder = &self.gateway.transcoder;
        transcoder.write_error(&self.dated(envelope), error, request, scratch, out);
    }

    fn dated(&self, envelope: Envelope) -> Envelope {
        envelope.dated(self.date.text())
    }

    fn recycle(&self, message: SharedBuffer) {
        let mut messages = self.messages.borrow_mut();
        if messages.len() < BUFFER_KEEP_COUNT_MAX && message.capacity() <= BUFFER_KEEP_LEN_MAX {
            messages.push(message);
        }
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Whether the upstream gave the call up.
fn is_cancelled(reply: &Reply) -> bool {
    let ends = reply.trailers.as_ref().unwrap_or(&reply.headers);
    ends.get("grpc-status")
        .is_some_and(|code| code.as_bytes() == b"1")
}

/// The status of a call that has no answer (SEMANTICS 110, 111; what `CallError` documents, case by case).
#[cold]
fn status_of(error: CallError) -> Status {
    let code = match error {
        CallError::Reset { code } => return Status::from_reset(code),
        CallError::Unavailable(_) | CallError::GoAway { .. } | CallError::ConnectionLost => {
            Code::Unavailable
        }
        CallError::DeadlineExceeded => Code::DeadlineExceeded,
        CallError::MessageTooLarge { .. } => Code::ResourceExhausted,
        CallError::Protocol { .. } | CallError::RequestInvalid => Code::Internal,
    };
    Status::new(code, &error.to_string())
}
