//! The spine of the proxy: one exchange between a client's connection and the upstream. In: a parsed head and its body. Out: a call,
//! then the response's bytes. Always: what bytes mean is decided by `transom_engine::exchange`; here they are carried and awaited.

mod long;
mod socket;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use transom_engine::error::ErrorKind;
use transom_engine::exchange::{
    self, BadManners, Call, CallKind, End, Envelope, Failure, Framing, Manners, Replies, ReplyHead,
    Request, Requests, Scratch, SizeLimits, Transcoder,
};
use transom_engine::grpc::{Code, Status};
use transom_engine::http1::{RequestHead, write_passed_request};
use transom_engine::http2::HeaderList;
use transom_engine::{Error, Schema};

use crate::aside::Aside;
use crate::buffers::SharedBuffer;
use crate::clock;
use crate::clock::Date;
use crate::crowd::Crowd;
use crate::limits::{
    BUFFER_KEEP_COUNT_MAX, BUFFER_KEEP_LEN_MAX, LONG_BODY_LEN, READ_ROOM_LEN, STREAM_SEND_LEN,
};
use crate::upstream::{
    Answer, CallError, CallPath, CallRequest, Carriage, Pool, ReceiveHalf, Reply, ReplyMetadata,
    SendHalf, Upstream,
};
use crate::worker::Worker;

pub use long::{LongBegun, LongRequest, Panicked, is_long};
pub use socket::Socket;

/// What is served and how: made once, shared by all workers, never changed.
#[derive(Debug)]
pub struct Gateway {
    transcoder: Transcoder,
    upstream: Arc<Upstream>,
    /// Who answers paths that no rule has (SEMANTICS 115).
    origin: Option<Arc<Upstream>>,
    /// Where each method's calls go, in the order of [`Schema::methods`].
    call_paths: Box<[CallPath]>,
    /// How often a stream of events without any shows that it is alive.
    keep_alive: Option<Duration>,
    /// Who converts bodies that are long.
    aside: Aside,
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
        let call_paths = schema
            .methods()
            .map(|method| {
                CallPath::new(upstream.target(), method.path())
                    .ok_or_else(|| BadGateway::MethodName(method.full_name().to_owned()))
            })
            .collect::<Result<_, _>>()?;
        let keep_alive = manners.streams.keep_alive;
        let transcoder = Transcoder::new(schema, manners);
        transcoder.check_manners().map_err(BadGateway::Manners)?;
        Ok(Self {
            transcoder,
            upstream,
            origin: None,
            call_paths,
            keep_alive,
            aside: Aside::default(),
        })
    }

    /// The same, with threads that convert bodies which are long; without any, the workers do it.
    #[must_use]
    pub fn with_aside(self, aside: Aside) -> Self {
        Self { aside, ..self }
    }

    /// The same, with another server that answers paths which no rule has (SEMANTICS 115).
    #[must_use]
    pub fn passing_unknown_paths_to(self, origin: Option<Arc<Upstream>>) -> Self {
        Self { origin, ..self }
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
    /// Memory for what goes to the upstream.
    parcels: RefCell<Vec<Parcel>>,
    scratch: RefCell<Scratch>,
    crowd: Crowd,
    date: Date,
    /// As in the [`Gateway`], copied.
    call_paths: Box<[CallPath]>,
}

/// What goes to the upstream with a call. Its memory is used again.
#[derive(Debug, Default)]
struct Parcel {
    metadata: HeaderList,
    /// Empty if the requests stream.
    message: SharedBuffer,
}

/// A call ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    call: Call,
    parcel: Parcel,
    /// What streams of it; `None` for a unary call.
    streams: Option<Directions>,
}

/// How the body of a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// All of it before the call.
    Whole,
    /// While it comes.
    Streaming,
}

/// The directions of a call that stream.
#[derive(Debug)]
pub enum Directions {
    /// One message goes to the upstream, many come back.
    Replies(Box<Replies>),
    /// Many go, one comes back.
    Requests(Box<Requests>),
    /// Many each way.
    BothWays(Box<Requests>, Box<Replies>),
}

impl Directions {
    /// How the body of the request is read.
    pub fn intake(&self) -> Intake {
        match self {
            Self::Replies(_) => Intake::Whole,
            Self::Requests(_) | Self::BothWays(..) => Intake::Streaming,
        }
    }
}

impl Outgoing {
    /// What streams of the call; `None` for a unary call.
    pub fn take_streams(&mut self) -> Option<Directions> {
        self.streams.take()
    }
}

impl Context {
    /// The context of a worker. The first connection to the upstream is opened at once.
    pub fn new(gateway: Arc<Gateway>, worker: Rc<Worker>) -> Self {
        let pool = Pool::new(Arc::clone(&gateway.upstream));
        pool.warm_up();
        Self {
            call_paths: gateway.call_paths.iter().map(CallPath::copied).collect(),
            date: Date::default(),
            gateway,
            worker,
            pool,
            parcels: RefCell::default(),
            scratch: RefCell::default(),
            crowd: Crowd::default(),
        }
    }

    /// To be called when a connection begins.
    pub fn note_start(&self) {
        self.crowd.note_start(self.worker.connection_count());
    }

    /// To be called when a connection ends, itself still counted: after a crowd has left the allocator is reminded of its memory, by a thread that is not a
    /// worker, since giving much back takes a while.
    pub fn note_end(&self) {
        let left_count = self.worker.connection_count().saturating_sub(1);
        if self.crowd.has_left(left_count) {
            self.aside().let_go(());
        }
    }

    /// The worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// How long messages and streams may be.
    pub fn sizes(&self) -> &SizeLimits {
        self.gateway.transcoder.sizes()
    }

    /// What the answer to a request has to know of it.
    pub fn envelope(&self, head: &RequestHead, bytes: &[u8]) -> Envelope {
        self.gateway.transcoder.envelope(head, bytes)
    }

    /// Refuses what a head alone decides to be wrong, before its body is waited for, and tells how the body is to be read.
    ///
    /// # Errors
    /// As [`Transcoder::handle_head`].
    pub fn check(&self, head: &RequestHead, bytes: &[u8]) -> Result<Intake, Error> {
        let scratch = &mut *self.scratch.borrow_mut();
        let transcoder = &self.gateway.transcoder;
        Ok(match transcoder.handle_head(head, bytes, scratch)? {
            Request::Call(call) if call.kind(transcoder).has_requests() => Intake::Streaming,
            Request::Call(_) | Request::Preflight | Request::Options => Intake::Whole,
        })
    }

    /// Who gets a request that was refused so, if somebody does: a path without a rule is no fault of the client where another server
    /// has it (SEMANTICS 115).
    pub fn origin_for(&self, error: Error) -> Option<&Arc<Upstream>> {
        let is_unknown = error.kind == ErrorKind::NotFound;
        self.gateway.origin.as_ref().filter(|_| is_unknown)
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
        let mut parcel = self.parcels.borrow_mut().pop().unwrap_or_default();
        match self.pack(&call, (head, bytes, body), client, scratch, &mut parcel) {
            Ok(streams) => Ok(Some(Outgoing {
                call,
                parcel,
                streams,
            })),
            Err(error) => {
                self.keep(parcel);
                Err(error)
            }
        }
    }

    /// Writes what goes to the upstream, or prepares for what is to come.
    fn pack(
        &self,
        call: &Call,
        (head, bytes, body): (&RequestHead, &[u8], &[u8]),
        client: IpAddr,
        scratch: &mut Scratch,
        parcel: &mut Parcel,
    ) -> Result<Option<Directions>, Error> {
        self.write_metadata(call, (head, bytes), client, scratch, parcel)?;
        self.write_requests(call, (head, bytes, body), scratch, parcel.message.start())
    }

    /// Writes the metadata of a call; the memory for its message is worked with.
    fn write_metadata(
        &self,
        call: &Call,
        (head, bytes): (&RequestHead, &[u8]),
        client: IpAddr,
        scratch: &mut Scratch,
        parcel: &mut Parcel,
    ) -> Result<(), Error> {
        let transcoder = &self.gateway.transcoder;
        let metadata = &mut parcel.metadata;
        metadata.clear();
        call.each_metadata(transcoder, head, bytes, scratch, |name, value| {
            metadata.push(name, value);
        })?;
        let forwarded_for = parcel.message.start();
        if call.write_forwarded_for(transcoder, head, bytes, client, forwarded_for) {
            metadata.push(b"x-forwarded-for", forwarded_for);
        }
        Ok(())
    }

    /// Writes the message of a request that is one, or prepares for those to come.
    fn write_requests(
        &self,
        call: &Call,
        (head, bytes, body): (&RequestHead, &[u8], &[u8]),
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Option<Directions>, Error> {
        let transcoder = &self.gateway.transcoder;
        let kind = call.kind(transcoder);
        if matches!(kind, CallKind::Unary | CallKind::ServerStream) {
            call.write_request(transcoder, head, bytes, body, scratch, out)?;
        }
        let requests = |scratch| {
            call.requests(transcoder, head, bytes, scratch)
                .map(Box::new)
        };
        let replies = || Box::new(call.replies(transcoder, head, bytes));
        let streams = match kind {
            CallKind::Unary => return Ok(None),
            CallKind::ServerStream => Directions::Replies(replies()),
            CallKind::ClientStream => Directions::Requests(requests(scratch)?),
            CallKind::BothWays => Directions::BothWays(requests(scratch)?, replies()),
        };
        Ok(Some(streams))
    }

    /// Sends a call and waits for its reply. Dropping the future cancels it upstream.
    ///
    /// # Errors
    /// As [`Pool::call`].
    pub async fn call(&self, outgoing: &Outgoing) -> Result<Reply, CallError> {
        let request = self.call_request(outgoing)?;
        let since = request.timeout.map(|limit| (clock::now(), limit));
        let reply = self.pool.call(request).await?;
        match since {
            // SEMANTICS 133: tonic ends a call whose time is up by CANCELLED, and may be quicker than our timer.
            Some((since, limit))
                if clock::now().saturating_duration_since(since) >= limit
                    && says_cancelled(ends_of(&reply)) =>
            {
                Err(CallError::DeadlineExceeded)
            }
            _ => Ok(reply),
        }
    }

    /// Sends a call whose replies stream and waits for the headers. Dropping the future, or the half, cancels it upstream.
    ///
    /// # Errors
    /// As [`Pool::start`].
    pub async fn start(&self, outgoing: &Outgoing) -> Result<(Answer, ReceiveHalf), CallError> {
        self.pool.start(&self.call_request(outgoing)?).await
    }

    /// Begins a call whose requests stream. Dropping the future, or both halves, cancels it upstream.
    ///
    /// # Errors
    /// As [`Pool::open`].
    pub async fn open(
        &self,
        outgoing: &Outgoing,
        carriage: Carriage,
    ) -> Result<(SendHalf, ReceiveHalf), CallError> {
        let request = self.call_request(outgoing)?;
        self.pool.open(&request.head(), carriage).await
    }

    fn call_request<'a>(&'a self, outgoing: &'a Outgoing) -> Result<CallRequest<'a>, CallError> {
        let index = outgoing.call.method_index(&self.gateway.transcoder);
        Ok(CallRequest {
            // The index comes from the schema that the paths were made of.
            path: self
                .call_paths
                .get(index)
                .ok_or(CallError::RequestInvalid)?,
            metadata: &outgoing.parcel.metadata,
            message: outgoing.parcel.message.share(),
            timeout: outgoing.call.timeout,
        })
    }

    /// Turns a piece of a body into framed messages, and tells how much of it was used: less than all of it when there are many.
    ///
    /// # Errors
    /// When the body is wrong.
    pub fn push_request(
        &self,
        requests: &mut Requests,
        piece: &[u8],
        messages: &mut Vec<u8>,
    ) -> Result<usize, Failure> {
        let scratch = &mut *self.scratch.borrow_mut();
        let transcoder = &self.gateway.transcoder;
        requests.push(transcoder, piece, STREAM_SEND_LEN, scratch, messages)
    }

    /// The body has ended: the last message may end with it.
    ///
    /// # Errors
    /// When something of it is missing.
    pub fn finish_requests(
        &self,
        requests: &mut Requests,
        messages: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let scratch = &mut *self.scratch.borrow_mut();
        requests.finish(&self.gateway.transcoder, scratch, messages)
    }

    /// Takes the headers of a stream of replies, and appends what the response begins with. Gives the end where they are all there is.
    pub fn take_headers(
        &self,
        replies: &mut Replies,
        envelope: &Envelope,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> Option<End> {
        let head = ReplyHead {
            http_status: answer.http_status.as_u16(),
            headers: || answer.headers.pairs(),
            ends_stream: answer.is_all,
        };
        let scratch = &mut *self.scratch.borrow_mut();
        let envelope = &self.dated(envelope.clone());
        replies.take_headers(&self.gateway.transcoder, envelope, &head, scratch, out)
    }

    /// Takes bytes of a stream of replies, and appends the messages that they make whole. Gives the end if they are at fault.
    pub fn push_reply(
        &self,
        replies: &mut Replies,
        envelope: &Envelope,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<End> {
        let scratch = &mut *self.scratch.borrow_mut();
        replies.push(&self.gateway.transcoder, envelope, piece, scratch, out)
    }

    /// Appends the end of a stream of replies.
    pub fn finish_replies(
        &self,
        replies: &mut Replies,
        envelope: &Envelope,
        trailers: Option<&ReplyMetadata>,
        out: &mut Vec<u8>,
    ) -> End {
        let scratch = &mut *self.scratch.borrow_mut();
        let envelope = &self.dated(envelope.clone());
        let trailers = || trailers.into_iter().flat_map(ReplyMetadata::pairs);
        replies.finish(&self.gateway.transcoder, envelope, trailers, scratch, out)
    }

    /// Appends the end of a stream of replies that went wrong.
    pub fn fail_replies(
        &self,
        replies: &mut Replies,
        envelope: &Envelope,
        failure: Failure,
        out: &mut Vec<u8>,
    ) -> End {
        let scratch = &mut *self.scratch.borrow_mut();
        let envelope = &self.dated(envelope.clone());
        replies.fail(&self.gateway.transcoder, envelope, failure, scratch, out)
    }

    /// How long a client that gets these may be left without a sign of life (SEMANTICS 128).
    pub fn keep_alive_of(&self, replies: &Replies) -> Option<Duration> {
        let is_asked_for = replies.framing() == Framing::Events;
        self.gateway.keep_alive.filter(|_| is_asked_for)
    }

    /// Appends the response to a stream of requests that went wrong.
    pub fn write_failure(&self, envelope: Envelope, failure: &Failure, out: &mut Vec<u8>) {
        let scratch = &mut *self.scratch.borrow_mut();
        let envelope = &self.dated(envelope);
        self.gateway
            .transcoder
            .write_stream_failure(envelope, failure, scratch, out);
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
                    headers: || reply.headers.pairs(),
                    body: &reply.body,
                    trailers: reply.trailers.as_ref().map(|trailers| || trailers.pairs()),
                };
                outgoing
                    .call
                    .write_reply(transcoder, &self.dated(envelope), reply, scratch, out);
            }
            Err(CallError::MessageTooLarge { .. }) => {
                let error = Error::reply(ErrorKind::ReplyTooLarge, 0);
                transcoder.write_error(&self.dated(envelope), error, None, scratch, out);
            }
            Err(CallError::HeadersTooLong) => {
                let error = Error::request(ErrorKind::HeadTooLarge);
                transcoder.write_error(&self.dated(envelope), error, None, scratch, out);
            }
            Err(error) => {
                transcoder.write_status(&self.dated(envelope), &status_of(error), scratch, out);
            }
        }
        self.recycle(outgoing);
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

    /// Appends the response to a request that was passed on, and not answered.
    pub fn write_unanswered(&self, envelope: Envelope, is_late: bool, out: &mut Vec<u8>) {
        let status = if is_late {
            Status::new(
                Code::DeadlineExceeded,
                "the server of this path is too slow",
            )
        } else {
            Status::new(Code::Unavailable, "the server of this path has no answer")
        };
        let scratch = &mut *self.scratch.borrow_mut();
        let transcoder = &self.gateway.transcoder;
        transcoder.write_status(&self.dated(envelope), &status, scratch, out);
    }

    fn dated(&self, envelope: Envelope) -> Envelope {
        envelope.dated(self.date.text())
    }

    /// Takes back the memory of a call that has been sent.
    pub fn recycle(&self, outgoing: Outgoing) {
        self.keep(outgoing.parcel);
    }

    fn keep(&self, parcel: Parcel) {
        if parcel.message.capacity() > LONG_BODY_LEN {
            // Unless the connection still has it.
            if let Some(bytes) = parcel.message.into_bytes() {
                self.gateway.aside.let_go(bytes);
            }
            return;
        }
        let mut parcels = self.parcels.borrow_mut();
        let capacity = parcel.message.capacity() + parcel.metadata.capacity();
        if parcels.len() < BUFFER_KEEP_COUNT_MAX && capacity <= BUFFER_KEEP_LEN_MAX {
            parcels.push(parcel);
        }
    }
}

/// Whether a call was given up because its time is up: by the headers or trailers that it ends with. SEMANTICS 133: tonic ends such a call by
/// CANCELLED, and may be quicker than our timer.
pub fn is_late(receiver: &ReceiveHalf, ends: &ReplyMetadata) -> bool {
    receiver.is_past_deadline() && says_cancelled(ends)
}

/// What a reply ends with.
pub fn ends_of(reply: &Reply) -> &ReplyMetadata {
    reply.trailers.as_ref().unwrap_or(&reply.headers)
}

/// Whether these headers or trailers say that the upstream gave the call up.
fn says_cancelled(ends: &ReplyMetadata) -> bool {
    ends.value("grpc-status") == Some(b"1")
}

/// What the client of a stream is told of a call without an end.
#[cold]
pub fn failure_of(error: CallError) -> Failure {
    match error {
        CallError::HeadersTooLong => Error::request(ErrorKind::HeadTooLarge).into(),
        error => status_of(error).into(),
    }
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
        CallError::HeadersTooLong => Code::InvalidArgument,
        CallError::Protocol { .. } | CallError::RequestInvalid => Code::Internal,
    };
    Status::new(code, &error.to_string())
}

/// A request as the server of unknown paths gets it.
pub fn passed_request(
    origin: &Upstream,
    head: &RequestHead,
    bytes: &[u8],
    body: &[u8],
    client: IpAddr,
) -> Vec<u8> {
    let mut request = Vec::with_capacity(bytes.len() + READ_ROOM_LEN + body.len());
    let authority = origin.target().authority().as_str().as_bytes();
    write_passed_request(head, bytes, body, client, authority, &mut request);
    request
}
