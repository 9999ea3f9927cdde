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
//!     trailers: Some(trailers.into_iter()),
//! };
//! call.write_reply(&transcoder, Envelope::of(&head, request), reply, &mut scratch, &mut answer);
//! assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\n{\"message\":\"Hi A\"}"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod body;
mod mask;
mod raw;

use std::time::Duration;

use crate::bind;
use crate::compile::Schema;
use crate::error::{Error, ErrorKind, Place};
use crate::grpc::metadata::{self, Decision, HeaderRule, Name};
use crate::grpc::{frame, timeout};
use crate::http1::RequestHead;
use crate::plan::{RouteIndex, RoutePlan};
use crate::route::{self, NoRoute};
use crate::{to_json, to_wire};

pub use crate::bind::QueryRule;
pub use answer::{Envelope, Reply};
pub use body::{ContentTypes, Forms, UnwantedBodies};

/// A schema and the manners in which it is served: made once, shared by all threads (`Send`, `Sync`), never changed. The example of a whole call is
/// that of the [module](self).
#[derive(Debug)]
pub struct Transcoder {
    schema: Schema,
    manners: Manners,
}

/// How the gateway answers, beside the JSON of messages: what a profile decides. The default is this gateway's own; to be taken for another one, set
/// what clients of that one rely on.
///
/// # Examples
/// ```
/// use transom_engine::exchange::{ErrorForm, Manners, WrongMethod};
/// use transom_engine::grpc::metadata::HeaderRule;
///
/// // As grpc-gateway v2.
/// let manners = Manners {
///     headers: HeaderRule::GrpcGateway,
///     wrong_method: WrongMethod::NotImplemented,
///     errors: ErrorForm::Status,
///     ignores_trailing_data: true,
///     ..Manners::default()
/// };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Which headers cross, and under which names.
    pub headers: HeaderRule,
    /// What a known path with a method that no rule has gets.
    pub wrong_method: WrongMethod,
    /// The shape of error bodies.
    pub errors: ErrorForm,
    /// Whether what follows the JSON value of a body is ignored, as both versions of grpc-gateway do, or refused (SEMANTICS 68).
    pub ignores_trailing_data: bool,
    /// Which types a body of JSON may state.
    pub content_types: ContentTypes,
    /// What `application/x-www-form-urlencoded` means.
    pub forms: Forms,
    /// What becomes of a body that no rule wants.
    pub unwanted_bodies: UnwantedBodies,
    /// What of a query counts.
    pub query: QueryRule,
}

/// The answer to a known path with a method that no rule has (SEMANTICS 42, 115).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongMethod {
    /// 405 and `Allow`.
    #[default]
    NotAllowed,
    /// 501, as grpc-gateway v2.
    NotImplemented,
    /// 404, as Envoy when it refuses unknown paths.
    NotFound,
}

/// The shape of error bodies (SEMANTICS 114).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"code", "message", "details"}`
    #[default]
    Status,
    /// The same with `"error"` equal to the message, and 412 for `FAILED_PRECONDITION`: grpc-gateway v1.
    GrpcGatewayV1,
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
    mask: mask::Scratch,
}

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
}

/// A request that has found its method. A small value that borrows nothing: it may wait for the upstream while the scratch serves others. It
/// belongs to the transcoder that made it, and has to be given that one.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    route: RouteIndex,
    /// How long the client lets the call take (SEMANTICS 133).
    pub timeout: Option<Duration>,
}

impl Transcoder {
    /// Puts the two together.
    pub const fn new(schema: Schema, manners: Manners) -> Self {
        Self { schema, manners }
    }

    /// The schema.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Routes a request by its head, and refuses what needs no body to be refused. `bytes` are those the head was parsed from.
    ///
    /// It leaves the captures of the path in `scratch`, where [`Call::write_request`] reads them: call both in one go, and this
    /// one again after waiting for the body.
    ///
    /// # Errors
    /// Unknown path or method, a method that streams, a media type or a timeout that cannot be.
    pub fn handle_head(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Request, Error> {
        let schema = &self.schema;
        let http_method = head.method(bytes);
        let path = head.path(bytes);
        let route = match route::find(&schema.routes, http_method, path, &mut scratch.route) {
            Ok(route) => route,
            Err(NoRoute::NotFound) => return Err(Error::request(ErrorKind::NotFound)),
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
        if method.is_client_streaming || method.is_server_streaming {
            return Err(Error::request(ErrorKind::StreamingUnsupported));
        }
        self.check_body(plan, head, bytes)?;
        let mut timeouts = head
            .headers(bytes)
            .enumerate()
            .filter(|(_, (name, _))| name.eq_ignore_ascii_case(b"grpc-timeout"));
        let timeout = match timeouts.next() {
            Some((index, (_, value))) => Some(timeout::parse(value).map_err(in_header(index))?),
            None => None,
        };
        Ok(Request::Call(Call { route, timeout }))
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
        let rule = transcoder.manners.headers;
        let scratch = &mut scratch.metadata;
        for (index, (name, value)) in head.headers(bytes).enumerate() {
            // RFC 9110 section 7.6.1: what Connection names is meant for us alone.
            if head.connection_lists(bytes, name) {
                continue;
            }
            let crossed = match metadata::request_metadata(rule, name, value) {
                Decision::Drop => Ok(()),
                Decision::Pass(name) => scratch.cross(name, value, &mut each),
                Decision::PassTwice(first, second) => scratch
                    .cross(first, value, &mut each)
                    .and_then(|()| scratch.cross(second, value, &mut each)),
            };
            crossed.map_err(in_header(index))?;
        }
        if let Some(host) = forwarded_host(rule, head, bytes) {
            each(b"x-forwarded-host", host);
        }
        if let Some(limit) = self.timeout {
            scratch.value.clear();
            timeout::write(limit, &mut scratch.value);
            each(b"grpc-timeout", &scratch.value);
        }
        Ok(())
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
        let frame = frame::open(out);
        let written = self
            .write_message(transcoder, head, bytes, body, scratch, out)
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
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let schema = &transcoder.schema;
        let route = self.plan(transcoder);
        let start = out.len();
        // A form is bound as the query is: of JSON there is none then.
        let is_form = transcoder.reads_form(route, head, bytes);
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
        if form.is_empty() {
            transcoder.write_mask(route, json, scratch, out)?;
        }
        Ok(())
    }

    fn plan<'t>(&self, transcoder: &'t Transcoder) -> &'t RoutePlan {
        transcoder.schema.route_plan(self.route)
    }
}

/// The value of `x-forwarded-host` where the rule wants one: what a proxy before us put there, else the host that the request is
/// meant for (SEMANTICS 129). Under the other rule the header passes as any other.
fn forwarded_host<'b>(rule: HeaderRule, head: &RequestHead, bytes: &'b [u8]) -> Option<&'b [u8]> {
    if rule != HeaderRule::GrpcGateway {
        return None;
    }
    head.header(bytes, b"x-forwarded-host")
        .or_else(|| head.host(bytes))
        .filter(|host| !host.is_empty() && metadata::is_printable(host))
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
