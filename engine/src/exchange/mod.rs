//! The spine: one HTTP request and its reply through every stage. In: a parsed head, the bytes of its body, then the reply's
//! headers, message and trailers. Out: metadata and a framed gRPC message, then the bytes of the HTTP response.
//! Always: nothing here waits or remembers; a [`Call`] is a small value, memory is the caller's [`Scratch`].
//!
//! ```text
//! handle_head ▶ Call ▶ each_metadata, write_request ▶ (upstream) ▶ write_reply | write_status
//!       │                     │
//!       └──────── Error ──────┴──▶ write_error
//! ```
//!
//! A whole unary call, with the upstream's part played by hand:
//!
//! ```
//! # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
//! use transom_engine::exchange::{Envelope, Manners, Reply, Request, Scratch, Transcoder};
//! use transom_engine::{Schema, grpc::frame, http1::RequestHead};
//!
//! // Once, for all threads. Then, for each thread:
//! let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
//! let (mut head, mut scratch, mut call_bytes, mut answer) = (RequestHead::new(), Scratch::default(), Vec::new(), Vec::new());
//!
//! // What a connection has read. `parse` says how long the head is; the body follows it, by `head.framing()`.
//! let request = b"POST /v1/hello HTTP/1.1\r\nHost: a.example\r\nContent-Length: 14\r\n\r\n{\"name\":\"Ada\"}";
//! let body = &request[request.len() - 14..];
//! head.parse(request)?;
//!
//! // The call: a path, metadata, and one framed message.
//! let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { unreachable!("it is no OPTIONS") };
//! let method = transcoder.schema().methods().nth(call.method_index(&transcoder)).ok_or("no method")?;
//! assert_eq!(method.path(), "/hello.v1.Greeter/SayHello");
//! call.each_metadata(&transcoder, &head, request, &mut scratch, |name, value| drop((name, value)))?;
//! call.write_request(&transcoder, &head, request, body, &mut scratch, &mut call_bytes)?;
//! assert_eq!(call_bytes, b"\0\0\0\0\x05\x0a\x03Ada");
//!
//! // What the upstream answers, as HTTP/2 has it.
//! let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];
//! let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", b"0")];
//! let reply = Reply {
//!     http_status: 200,
//!     headers: || headers.into_iter(),
//!     body: b"\0\0\0\0\x06\x0a\x04Hi A",
//!     trailers: Some(|| trailers.into_iter()),
//! };
//! call.write_reply(&transcoder, &Envelope::of(&head, request), reply, &mut scratch, &mut answer);
//! assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\n{\"message\":\"Hi A\"}"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod body;
mod cors;
mod crossing;
mod details;
mod envelope;
mod explain;
mod manners;
mod mask;
mod raw;
mod sizes;
mod stream;
mod timeouts;
mod upgrade;

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::bind;
use crate::compile::Schema;
use crate::error::{Error, ErrorKind, Place};
use crate::grpc::metadata::{self, Decision, HeaderRule, Name};
use crate::grpc::{frame, timeout};
use crate::http1::RequestHead;
use crate::plan::{BodyPlan, MethodIndex, RouteIndex, RoutePlan};
use crate::route::{self, NoRoute};
use crate::{to_json, to_wire};

pub use crate::bind::QueryRule;
pub use crate::coding::Coding;
pub use answer::Reply;
pub use body::{ContentTypes, Forms, UnwantedBodies};
pub use cors::{BadCors, Cors, CorsSettings};
pub use envelope::Envelope;
pub use explain::{Explanation, Fate, Outcome, Parameter};
pub use manners::{
    BadManners, Compression, ErrorForm, Manners, RetryAfter, SuccessStatus, WebSocketOrigins,
    WrongMethod,
};
pub use sizes::{SizeLimits, StreamLimits};
pub use stream::{
    CallKind, End, Failure, Framing, Pushed, Replies, ReplyHead, Requests, SocketReplies,
    StreamErrors, StreamHead, Streams,
};
pub use timeouts::{Limit, MethodTimeouts};
pub use upgrade::write_upgrade;

use timeouts::TimeoutPlan;

/// A schema and the manners in which it is served: made once, shared by all threads (`Send`, `Sync`), never changed. The example of a whole call is
/// that of the [module](self).
#[derive(Debug)]
pub struct Transcoder {
    schema: Schema,
    manners: Manners,
    /// For each method of the schema; empty if all succeed with 200.
    success_statuses: Box<[u16]>,
    /// For each method of the schema; empty if all have the same limits.
    timeouts: Box<[TimeoutPlan]>,
}

/// Memory that the stages work with; keep one per thread. It serves any [`Transcoder`], one exchange at a time. Between
/// [`Transcoder::handle_head`] and [`Call::write_request`] it holds where the variables are in the path.
#[derive(Debug, Default)]
pub struct Scratch {
    route: route::Scratch,
    bind: bind::Scratch,
    to_wire: to_wire::Scratch,
    to_json: to_json::Scratch,
    metadata: MetadataScratch,
    /// A body before it is coded, or after it was decoded.
    plain: Vec<u8>,
    mask: mask::Scratch,
}

/// Bytes that the memory of such a body keeps.
const PLAIN_LEN_KEPT: usize = 64 * 1024;

/// One header in the form in which it crosses.
#[derive(Debug, Default)]
struct MetadataScratch {
    name: Vec<u8>,
    value: Vec<u8>,
    /// The bytes behind a value in base64.
    binary: Vec<u8>,
}

/// What a request head asks for.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// A call of an upstream method.
    Call(Call),
    /// `OPTIONS` of a known path: 204 and `Allow`, by [`Transcoder::write_options`].
    Options,
    /// A page of another origin asks what it may do: 204, by [`Transcoder::write_preflight`].
    Preflight,
}

/// A request that has found its method. A small value that borrows nothing: it may wait for the upstream while the scratch serves others. It
/// belongs to the transcoder that made it, and has to be given that one.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    route: RouteIndex,
    /// Whether the body is a form that is bound as a query is (SEMANTICS 119).
    binds_form: bool,
    /// What the body has to be decoded from (SEMANTICS 76).
    coding: Option<Coding>,
    /// How long the call may take (SEMANTICS 133).
    pub timeout: Option<Duration>,
}

impl Transcoder {
    /// Puts the two together.
    pub fn new(schema: Schema, manners: Manners) -> Self {
        Self {
            success_statuses: manners::success_statuses(&schema, &manners.success_statuses),
            timeouts: timeouts::plans(&schema, &manners),
            schema,
            manners: Manners {
                sizes: manners.sizes.bounded(),
                ..manners
            },
        }
    }

    /// The schema.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How long messages and streams may be: those of the manners, within the hard maximum.
    pub const fn sizes(&self) -> &SizeLimits {
        &self.manners.sizes
    }

    /// Routes a request by its head, and refuses what needs no body to be refused. `bytes` are those the head was parsed from.
    ///
    /// It leaves the captures of the path in `scratch`, where [`Call::write_request`] reads them: call both in one go, and this
    /// one again after waiting for the body.
    ///
    /// # Errors
    /// Unknown path or method, a media type or a timeout that cannot be.
    pub fn handle_head(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Request, Error> {
        let schema = &self.schema;
        let http_method = head.method(bytes);
        let (found, is_form) = self.find(head, bytes, &mut scratch.route);
        let route = match found {
            Err(NoRoute::NotFound) => return Err(Error::request(ErrorKind::NotFound)),
            // SEMANTICS 138: even where a rule has the method.
            _ if self.is_preflight(head, bytes) => return Ok(Request::Preflight),
            Ok(route) => route,
            // SEMANTICS 115, 138.
            Err(NoRoute::MethodNotAllowed) if http_method == b"OPTIONS" => {
                return Ok(Request::Options);
            }
            Err(NoRoute::MethodNotAllowed) => return Err(self.wrong_method()),
        };
        let plan = schema.route_plan(route);
        // SEMANTICS 115: where a wrong method is 501, so is HEAD.
        if http_method == b"HEAD" && &*plan.http_method == "GET" && !self.answers_head_by_get() {
            return Err(self.wrong_method());
        }
        let method = schema.method_plan(plan.method);
        let binds_form = is_form && plan.body == BodyPlan::Ignored;
        let coding = self.check_body(plan, head, bytes, binds_form)?;
        if method.is_client_streaming {
            // A coding is undone, and a form is read, as a whole, which a stream never is.
            if coding.is_some() {
                return Err(Error::request(ErrorKind::UnsupportedContentEncoding));
            }
            if binds_form || self.reads_form(plan, head, bytes) {
                return Err(Error::request(ErrorKind::UnsupportedContentType));
            }
        }
        Ok(Request::Call(Call {
            route,
            binds_form,
            coding,
            timeout: self.timeout(plan.method, head, bytes)?,
        }))
    }

    /// The route of a request, and whether it was found for a form in the place of `POST` (SEMANTICS 119).
    fn find(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut route::Scratch,
    ) -> (Result<RouteIndex, NoRoute>, bool) {
        let routes = &self.schema.routes;
        let http_method = head.method(bytes);
        let path = head.path(bytes);
        if !self.manners.method_override || http_method != b"POST" || !is_form(head, bytes) {
            return (route::find(routes, http_method, path, scratch), false);
        }
        let Some(wanted) = head.header(bytes, b"x-http-method-override") else {
            return match route::find(routes, http_method, path, scratch) {
                // Never another method: a form must not be able to delete unless it says so.
                Err(NoRoute::MethodNotAllowed) => {
                    (route::find(routes, b"GET", path, scratch), true)
                }
                found => (found, false),
            };
        };
        // Methods are case-sensitive; those of HTTP are taken in any case, as grpc-gateway does.
        let standard = [&b"GET"[..], b"PUT", b"POST", b"DELETE", b"PATCH"];
        let wanted = standard
            .into_iter()
            .find(|each| each.eq_ignore_ascii_case(wanted))
            .unwrap_or(wanted);
        (route::find(routes, wanted, path, scratch), true)
    }

    /// How long a call may take (SEMANTICS 133).
    fn timeout(
        &self,
        method: MethodIndex,
        head: &RequestHead,
        bytes: &[u8],
    ) -> Result<Option<Duration>, Error> {
        let mut wanted = None;
        let mut wanted_otherwise = None;
        for (index, (name, value)) in head.headers(bytes).enumerate() {
            let read: fn(&[u8]) -> Result<Duration, Error> = match name.len() {
                12 if name.eq_ignore_ascii_case(b"grpc-timeout") => {
                    // The first of several counts.
                    if wanted.is_none() {
                        wanted = Some(timeout::parse(value).map_err(in_header(index))?);
                    }
                    continue;
                }
                16 if name.eq_ignore_ascii_case(b"x-server-timeout") => timeout::parse_seconds,
                18 if name.eq_ignore_ascii_case(b"connect-timeout-ms") => timeout::parse_millis,
                _ => continue,
            };
            // grpc-gateway does not know these.
            if self.manners.headers == HeaderRule::Transom && wanted_otherwise.is_none() {
                wanted_otherwise = Some(read(value).map_err(in_header(index))?);
            }
        }
        let plan = self.timeouts.get(method.0 as usize).copied();
        let plan = plan.unwrap_or_else(|| TimeoutPlan::of_all(&self.manners));
        let method = self.schema.method_plan(method);
        let is_streaming = method.is_client_streaming || method.is_server_streaming;
        Ok(plan.limit(wanted.or(wanted_otherwise), is_streaming))
    }

    /// SEMANTICS 42, 115.
    #[cold]
    fn wrong_method(&self) -> Error {
        Error::request(match self.manners.wrong_method {
            WrongMethod::NotAllowed => ErrorKind::MethodNotAllowed,
            WrongMethod::NotImplemented => ErrorKind::MethodNotImplemented,
            WrongMethod::NotFound => ErrorKind::NotFound,
        })
    }

    /// Whether `HEAD` is answered by a rule for `GET`.
    fn answers_head_by_get(&self) -> bool {
        self.manners.wrong_method != WrongMethod::NotImplemented
    }
}

impl Call {
    /// The method's place among [`Schema::methods`].
    pub fn method_index(&self, transcoder: &Transcoder) -> usize {
        self.plan(transcoder).method.0 as usize
    }

    /// Hands each header that becomes metadata to `each`, as name (lower case) and value, by the [`HeaderRule`] of the manners. The
    /// `grpc-timeout`, if the client sent one, comes last.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Manners, Request, Scratch, Transcoder}, http1::RequestHead};
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
    /// let mut scratch = Scratch::default();
    /// let request = b"GET /v1/hello/Ada HTTP/1.1\r\nHost: a.example\r\nX-Tenant: 7\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(request)?;
    /// let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { return Err("OPTIONS".into()) };
    /// let mut metadata = Vec::new();
    /// call.each_metadata(&transcoder, &head, request, &mut scratch, |name, value| metadata.push((name.to_vec(), value.to_vec())))?;
    /// assert_eq!(metadata, [(b"x-tenant".to_vec(), b"7".to_vec())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A header that may not cross as it is (SEMANTICS 130, 132).
    pub fn each_metadata(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        let manners = &transcoder.manners;
        let scratch = &mut scratch.metadata;
        for (index, (name, value)) in head.headers(bytes).enumerate() {
            // RFC 9110 section 7.6.1: what Connection names is meant for us alone.
            if head.connection_lists(bytes, name) {
                continue;
            }
            let crossed = match manners.request_decision(name, value) {
                Decision::Drop => Ok(()),
                Decision::Pass(name) => scratch.cross(name, value, &mut each),
                Decision::PassTwice(first, second) => scratch
                    .cross(first, value, &mut each)
                    .and_then(|()| scratch.cross(second, value, &mut each)),
            };
            crossed.map_err(in_header(index))?;
        }
        if let Some(host) = forwarded_host(manners, head, bytes) {
            each(b"x-forwarded-host", host);
        }
        if let Some(limit) = self.timeout {
            scratch.value.clear();
            timeout::write(limit, &mut scratch.value);
            each(b"grpc-timeout", &scratch.value);
        }
        Ok(())
    }

    /// Appends the value of `x-forwarded-for` for a call: what proxies before us wrote, then the address of the client. Says whether there is one: only under the
    /// rule of grpc-gateway, where no header passes as itself (SEMANTICS 129).
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Manners, Request, Scratch, Transcoder}, grpc::metadata::HeaderRule, http1::RequestHead};
    /// let manners = Manners { headers: HeaderRule::GrpcGateway, ..Manners::default() };
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, manners);
    /// let request = b"GET /v1/hello/Ada HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(request)?;
    /// let Request::Call(call) = transcoder.handle_head(&head, request, &mut Scratch::default())? else { return Err("OPTIONS".into()) };
    /// let mut value = Vec::new();
    /// assert!(call.write_forwarded_for(&transcoder, &head, request, "127.0.0.1".parse()?, &mut value));
    /// assert_eq!(value, b"192.0.2.7, 127.0.0.1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_forwarded_for(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        client: IpAddr,
        out: &mut Vec<u8>,
    ) -> bool {
        if !transcoder.manners.forwards(b"x-forwarded-for") {
            return false;
        }
        for (name, value) in head.headers(bytes) {
            if name.eq_ignore_ascii_case(b"x-forwarded-for") && metadata::is_printable(value) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        }
        // Writing to memory does not fail.
        _ = write!(out, "{client}");
        true
    }

    /// Appends the framed gRPC message: the body, then the query, then the path, so that on the wire the later wins
    /// (SEMANTICS 43 to 45). `bytes` are those the head was parsed from, `body` is the whole body without framing.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Manners, Request, Scratch, Transcoder}, http1::RequestHead};
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
    /// let mut scratch = Scratch::default();
    /// let request = b"GET /v1/hello/Ada HTTP/1.1\r\nHost: a.example\r\nX-Tenant: 7\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(request)?;
    /// let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { return Err("OPTIONS".into()) };
    /// let mut out = Vec::new();
    /// call.write_request(&transcoder, &head, request, b"", &mut scratch, &mut out)?;
    /// assert_eq!(out, b"\0\0\0\0\x05\x0a\x03Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When body, query or path do not fit the message; `out` is as it was.
    pub fn write_request(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if let Some(coding) = self.coding {
            let mut plain = std::mem::take(&mut scratch.plain);
            plain.clear();
            let written = coding
                .decode(body, transcoder.manners.sizes.request_len_max, &mut plain)
                .and_then(|()| self.write_plain(transcoder, (head, bytes, &plain), scratch, out));
            plain.shrink_to(PLAIN_LEN_KEPT);
            scratch.plain = plain;
            return written;
        }
        self.write_plain(transcoder, (head, bytes, body), scratch, out)
    }

    /// The same for a body that is in no coding.
    fn write_plain(
        &self,
        transcoder: &Transcoder,
        (head, bytes, body): (&RequestHead, &[u8], &[u8]),
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let frame = frame::open(out);
        let written = self
            .write_message(transcoder, (head, bytes, body), scratch, out)
            .and_then(|()| frame::close(out, frame));
        if written.is_err() {
            out.truncate(frame);
        }
        written
    }

    /// Appends the message, which begins at the end of `out`.
    fn write_message(
        &self,
        transcoder: &Transcoder,
        (head, bytes, body): (&RequestHead, &[u8], &[u8]),
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let schema = &transcoder.schema;
        let route = self.plan(transcoder);
        let start = out.len();
        // A form is bound as the query is: of JSON there is none then.
        let is_form = self.binds_form || transcoder.reads_form(route, head, bytes);
        let (json, form) = if is_form {
            (&b""[..], body)
        } else {
            (body, &b""[..])
        };
        transcoder.write_body(route, head, bytes, json, &mut scratch.to_wire, out)?;
        let target = bind::Target {
            path: head.path(bytes),
            captures: scratch.route.captures(),
            query: head.query(bytes),
            query_offset: head.query_offset() as usize,
            form,
            rule: &transcoder.manners.query,
        };
        let input = schema.method_plan(route.method).input;
        let bind = &mut scratch.bind;
        bind::bind(&schema.plan, route, input, target, start, bind, out)?;
        let is_mask_given = route.mask.is_some_and(|mask| scratch.bind.binds(mask));
        if !is_form && !is_mask_given {
            transcoder.write_mask(route, json, scratch, out)?;
        }
        Ok(())
    }

    /// The HTTP status with which the method succeeds (SEMANTICS 136).
    fn success_status(&self, transcoder: &Transcoder) -> u16 {
        let statuses = &transcoder.success_statuses;
        statuses
            .get(self.method_index(transcoder))
            .copied()
            .unwrap_or(200)
    }

    fn plan<'t>(&self, transcoder: &'t Transcoder) -> &'t RoutePlan {
        transcoder.schema.route_plan(self.route)
    }
}

/// The value of `x-forwarded-host` where the rule wants one: what a proxy before us put there, else the host that the request is
/// meant for (SEMANTICS 129). Under the other rule the header passes as any other.
fn forwarded_host<'b>(manners: &Manners, head: &RequestHead, bytes: &'b [u8]) -> Option<&'b [u8]> {
    if !manners.forwards(b"x-forwarded-host") {
        return None;
    }
    head.header(bytes, b"x-forwarded-host")
        .or_else(|| head.host(bytes))
        .filter(|host| !host.is_empty() && metadata::is_printable(host))
}

/// Whether the content type is that of a form, as grpc-gateway has it: without parameters.
fn is_form(head: &RequestHead, bytes: &[u8]) -> bool {
    head.header(bytes, b"content-type")
        .is_some_and(|value| value == b"application/x-www-form-urlencoded")
}

impl MetadataScratch {
    fn cross(
        &mut self,
        name: Name<'_>,
        value: &[u8],
        each: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        self.name.clear();
        name.write(&mut self.name);
        self.value.clear();
        metadata::write_value(&name, value, &mut self.binary, &mut self.value)?;
        each(&self.name, &self.value);
        Ok(())
    }
}

/// Gives an error its place: the header with this index.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a head has at most HEADER_COUNT_MAX headers"
)]
fn in_header(index: usize) -> impl FnOnce(Error) -> Error {
    move |error| Error::at(error.kind, Place::Header(index as u16), 0)
}
