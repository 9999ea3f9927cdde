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
mod mask;
mod raw;

use std::time::Duration;

use crate::bind;
use crate::compile::Schema;
use crate::error::{Error, ErrorKind, Place};
use crate::grpc::metadata::{self, Decision, HeaderRule, Name};
use crate::grpc::{frame, timeout};
use crate::http1::{BodyForm, BodyFraming, RequestHead, check_media, is_form};
use crate::plan::{BodyPlan, Cardinality, FieldPlan, Form, Kind, Message, RouteIndex, RoutePlan};
use crate::route::{self, NoRoute};
use crate::to_wire::{field_to_wire, write_empty_field};
use crate::{to_json, to_wire};

pub use crate::bind::QueryRule;
pub use answer::{Envelope, Reply};

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

/// Which types a body of JSON may state (SEMANTICS 66). None at all is fine in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentTypes {
    /// Any: it is read as JSON.
    #[default]
    Any,
    /// `application/json` and `application/NAME+json`, with any parameters; others are 415.
    Json,
}

/// What `application/x-www-form-urlencoded` means (SEMANTICS 66).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forms {
    /// A type like others: plain `curl -d` states it for the JSON that it sends.
    #[default]
    Json,
    /// What it says: the body is read as a query is, with keys that name fields of the message which the body is. Where the body is no message,
    /// 415. Such a body fills no field mask.
    Fields,
}

/// What becomes of a body that no rule wants (SEMANTICS 65).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnwantedBodies {
    /// It is not looked at.
    #[default]
    Ignored,
    /// The request is 400.
    Refused,
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

    /// Refuses a body that the route cannot take, as far as the head tells.
    fn check_body(&self, route: &RoutePlan, head: &RequestHead, bytes: &[u8]) -> Result<(), Error> {
        let framing = head.framing();
        if framing == BodyFraming::None {
            return Ok(());
        }
        if route.body == BodyPlan::Ignored {
            return match framing {
                BodyFraming::Length(1..) => self.refuse_unwanted_body(),
                _ => Ok(()),
            };
        }
        let form = match (route.takes_raw_body, self.manners.content_types) {
            (true, _) => BodyForm::Raw,
            (false, ContentTypes::Any) => BodyForm::Json,
            (false, ContentTypes::Json) => BodyForm::Stated {
                reads_forms: self.manners.forms == Forms::Fields,
            },
        };
        check_media(head.headers(bytes), form)?;
        if self.reads_form(route, head, bytes) && !self.takes_form(route) {
            return Err(Error::request(ErrorKind::UnsupportedContentType));
        }
        Ok(())
    }

    /// SEMANTICS 65.
    fn refuse_unwanted_body(&self) -> Result<(), Error> {
        match self.manners.unwanted_bodies {
            UnwantedBodies::Ignored => Ok(()),
            UnwantedBodies::Refused => Err(Error::request(ErrorKind::BodyUnwanted)),
        }
    }

    /// Whether the body is a form and is to be read as one (SEMANTICS 66).
    fn reads_form(&self, route: &RoutePlan, head: &RequestHead, bytes: &[u8]) -> bool {
        self.manners.forms == Forms::Fields
            && route.body != BodyPlan::Ignored
            && !route.takes_raw_body
            && head.header(bytes, b"content-type").is_some_and(is_form)
    }

    /// Whether the body is a message whose fields a form can name.
    fn takes_form(&self, route: &RoutePlan) -> bool {
        let plan = &self.schema.plan;
        let input = self.schema.method_plan(route.method).input;
        let message = match route.body {
            BodyPlan::Ignored => return false,
            BodyPlan::Whole => input,
            BodyPlan::Field(field) => match plan.message(input).field(field) {
                FieldPlan {
                    kind: Kind::Message(message) | Kind::Group(message),
                    cardinality: Cardinality::Singular,
                    ..
                } => *message,
                _ => return false,
            },
        };
        plan.message(message).form == Form::Object
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
        // A form is bound with the query: of JSON there is none then.
        let (json, form) = if transcoder.reads_form(self.plan(transcoder), head, bytes) {
            (&b""[..], body)
        } else {
            (body, &b""[..])
        };
        let written = self
            .write_body(transcoder, head, bytes, json, &mut scratch.to_wire, out)
            .and_then(|()| self.write_bindings(transcoder, head, bytes, form, frame, scratch, out))
            .and_then(|()| match form {
                [] => self.write_mask(transcoder, json, scratch, out),
                _ => Ok(()),
            })
            .and_then(|()| frame::close(out, frame));
        if written.is_err() {
            out.truncate(frame);
        }
        written
    }

    /// Appends what the body says of the message.
    fn write_body(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        scratch: &mut to_wire::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let plan = &transcoder.schema.plan;
        let route = self.plan(transcoder);
        let index = transcoder.schema.method_plan(route.method).input;
        if route.takes_raw_body {
            return raw::write_body(plan.message(index), route.body, head, bytes, body, out);
        }
        let convert = |body: &[u8], scratch: &mut _, out: &mut Vec<u8>| match route.body {
            BodyPlan::Field(field) if is_blank(body) => {
                write_empty_field(plan.message(index).field(field), out);
                Ok(())
            }
            BodyPlan::Field(field) => field_to_wire(plan, index, field, body, scratch, out),
            BodyPlan::Whole if !is_blank(body) => {
                to_wire(Message { plan, index }, body, scratch, out)
            }
            // SEMANTICS 64: an empty body is an empty message.
            BodyPlan::Whole => Ok(()),
            // SEMANTICS 65: one that no rule wants is not read.
            BodyPlan::Ignored if body.is_empty() => Ok(()),
            BodyPlan::Ignored => transcoder.refuse_unwanted_body(),
        };
        match convert(body, scratch, out) {
            // SEMANTICS 68: whether this is a fault is for the manners to say, and it is rare enough to be read again.
            Err(error)
                if error.kind == ErrorKind::TrailingData
                    && transcoder.manners.ignores_trailing_data =>
            {
                let value = body.get(..error.offset as usize).unwrap_or(body);
                convert(value, scratch, out)
            }
            converted => converted,
        }
    }

    /// Appends what query and path say of the message in the frame.
    fn write_bindings(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        form: &[u8],
        frame: usize,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let route = self.plan(transcoder);
        let target = bind::Target {
            path: head.path(bytes),
            captures: scratch.route.captures(),
            query: head.query(bytes),
            query_offset: head.query_offset() as usize,
            form,
            rule: &transcoder.manners.query,
        };
        bind::bind(
            &transcoder.schema.plan,
            route,
            transcoder.schema.method_plan(route.method).input,
            target,
            frame + frame::PREFIX_LEN,
            &mut scratch.bind,
            out,
        )
    }

    /// Appends the field mask of a `PATCH` whose path and query left it unset (SEMANTICS 74).
    fn write_mask(
        &self,
        transcoder: &Transcoder,
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let route = self.plan(transcoder);
        let (Some(mask), BodyPlan::Field(field)) = (route.mask, route.body) else {
            return Ok(());
        };
        if scratch.bind.binds(mask) {
            return Ok(());
        }
        let plan = &transcoder.schema.plan;
        let input = plan.message(transcoder.schema.method_plan(route.method).input);
        let Kind::Message(message) = input.field(field).kind else {
            return Ok(());
        };
        let mask = input.field(mask);
        mask::write(plan, message, mask, body, &mut scratch.mask, out)
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

/// Whether there is nothing but white space.
fn is_blank(body: &[u8]) -> bool {
    body.iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}
