//! Replies and errors as HTTP responses. In: what the upstream sent, a status, or an error. Out: one whole response appended to
//! the caller's buffer. Always: a response is either whole or not there; every error has the one JSON form (SEMANTICS 114).

use super::{Call, ErrorForm, Scratch, Transcoder, raw};
use crate::error::{Context, Error, ErrorKind, Place};
use crate::grpc::metadata::{self, Decision};
use crate::grpc::status::{ReplyHeaders, read_headers, read_trailers};
use crate::grpc::{Code, Status, frame};
use crate::http1::{self, Connection, RequestHead, ResponseHead};
use crate::limits::BODY_LEN_MAX;
use crate::plan::{BodyPlan, Defaults, Message, Plan};
use crate::wire::read::{LEN, Reader};
use crate::{json, route, to_json};

const JSON: &[u8] = b"application/json";

/// What a response says about its connection and its request: made from the head, before the head's buffer is used for the next one.
///
/// # Examples
/// ```
/// use transom_engine::{exchange::Envelope, http1::RequestHead};
///
/// let mut head = RequestHead::new();
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// head.parse(bytes)?;
/// let envelope = Envelope::of(&head, bytes).dated(*b"Sun, 06 Nov 1994 08:49:37 GMT");
/// assert!(envelope.keeps_open() && !envelope.closing().keeps_open());
/// assert!(!Envelope::REFUSED.keeps_open());
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    connection: Connection,
    /// Whether the request was `HEAD`: the head says how long the body would be, and the body is left out.
    answers_head: bool,
    /// The value of `Date`, from a caller with a clock.
    date: Option<[u8; 29]>,
}

impl Envelope {
    /// For a request that cannot be read: the connection ends with the answer.
    pub const REFUSED: Self = Self {
        connection: Connection::Close,
        answers_head: false,
        date: None,
    };

    /// For the answer to this request, on a connection that the server is willing to keep.
    pub fn of(head: &RequestHead, bytes: &[u8]) -> Self {
        Self {
            connection: head.connection(),
            answers_head: head.method(bytes) == b"HEAD",
            date: None,
        }
    }

    /// The same, with the time of the answer: `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn dated(self, date: [u8; 29]) -> Self {
        Self {
            date: Some(date),
            ..self
        }
    }

    /// The same, but the connection ends with the answer.
    #[must_use]
    pub fn closing(self) -> Self {
        Self {
            connection: Connection::Close,
            ..self
        }
    }

    /// Whether another request may follow on the connection.
    pub fn keeps_open(self) -> bool {
        self.connection != Connection::Close
    }

    fn head<'a>(&'a self, status: u16, content_type: Option<&'a [u8]>) -> ResponseHead<'a> {
        ResponseHead {
            status,
            connection: self.connection,
            answers_head: self.answers_head,
            content_type,
            date: self.date.as_ref().map(<[u8; 29]>::as_slice),
        }
    }
}

/// What an upstream sent in answer to a unary call. Names are in lower case, as HTTP/2 has them.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'r, H, T> {
    /// Status of HTTP.
    pub http_status: u16,
    /// Gives the names and values of the headers; they are gone through twice.
    pub headers: H,
    /// The body as it came: one framed message.
    pub body: &'r [u8],
    /// Names and values of the trailers, if there were any.
    pub trailers: Option<T>,
}

impl Call {
    /// Appends the response to what the upstream sent: its message as JSON, or its error, or ours where it makes no sense. There is no failure: one
    /// whole response is appended in any case. The example is that of the [module](crate::exchange).
    pub fn write_reply<'r, H, T>(
        &self,
        transcoder: &Transcoder,
        envelope: Envelope,
        reply: Reply<'r, impl Fn() -> H, T>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) where
        H: Iterator<Item = (&'r [u8], &'r [u8])>,
        T: Iterator<Item = (&'r [u8], &'r [u8])>,
    {
        let Reply {
            http_status,
            headers,
            body,
            trailers,
        } = reply;
        if let Err(status) = read_status(http_status, headers(), body, trailers) {
            return transcoder.write_status(envelope, &status, scratch, out);
        }
        let written = self.write_message_reply(transcoder, envelope, headers(), body, scratch, out);
        if let Err(error) = written {
            transcoder.write_error(envelope, error, None, scratch, out);
        }
    }

    /// Appends the response to a call that succeeded. On an error nothing is appended.
    fn write_message_reply<'r>(
        &self,
        transcoder: &Transcoder,
        envelope: Envelope,
        headers: impl Iterator<Item = (&'r [u8], &'r [u8])>,
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let message = frame::deframe(body, BODY_LEN_MAX)?;
        let plan = &transcoder.schema.plan;
        let route = self.plan(transcoder);
        let index = transcoder.schema.method_plan(route.method).output;
        // SEMANTICS 72: read before the head, which says the type.
        let raw = if route.gives_raw_body {
            let output = plan.message(index);
            Some(raw::read_reply(output, route.response_body, message)?)
        } else {
            None
        };
        let content_type = match &raw {
            Some(raw) => Some(raw.content_type)
                .filter(|value| !value.is_empty() && metadata::is_printable(value)),
            None => Some(JSON),
        };
        let mut head = http1::begin(out, &envelope.head(200, content_type));
        let name_text = &mut scratch.metadata.name;
        for (name, value) in headers {
            let rule = transcoder.manners.headers;
            if let Decision::Pass(name) = metadata::response_header(rule, name, value) {
                name_text.clear();
                name.write(name_text);
                head.header(out, name_text, value);
            }
        }
        let pending = head.open_body(out);
        let scratch = &mut scratch.to_json;
        let written = match (raw, route.response_body) {
            (Some(raw), _) => {
                out.extend_from_slice(raw.data);
                Ok(())
            }
            (None, Some(field)) => {
                to_json::field_to_json(plan, index, field, message, scratch, out)
            }
            (None, None) => to_json(Message { plan, index }, message, scratch, out),
        };
        match written {
            Ok(()) => pending.finish(out),
            // SEMANTICS 73, 106: never half a body.
            Err(_) => pending.abandon(out),
        }
        written
    }
}

/// Whether the reply says that the call succeeded.
fn read_status<'r>(
    http_status: u16,
    headers: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    body: &[u8],
    trailers: Option<impl Iterator<Item = (&'r [u8], &'r [u8])>>,
) -> Result<(), Status> {
    let ends_with_headers = body.is_empty() && trailers.is_none();
    match read_headers(http_status, headers, ends_with_headers)? {
        ReplyHeaders::EndedOk => Ok(()),
        ReplyHeaders::Follow => read_trailers(trailers.into_iter().flatten()),
    }
}

impl Transcoder {
    /// Appends the response for a call that failed without a reply: no connection, a reset, a deadline.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Envelope, Manners, Scratch, Transcoder}, grpc::{Code, Status}};
    ///
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
    /// let (status, mut out) = (Status::new(Code::Unavailable, "no upstream"), Vec::new());
    /// transcoder.write_status(Envelope::REFUSED, &status, &mut Scratch::default(), &mut out);
    /// assert!(out.starts_with(b"HTTP/1.1 503 ") && out.ends_with(br#"{"code":14,"message":"no upstream"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn write_status(
        &self,
        envelope: Envelope,
        status: &Status,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let answer = Answer {
            http_status: status.http_status(),
            code: status.code,
            message: &status.message,
            details: &status.details,
            allow: "",
        };
        answer.write(self, envelope, scratch, out);
    }

    /// Appends the response for a request that was refused. `request` is its head, the bytes the head was parsed from, and the
    /// body as far as it was read; nothing if the head could not be parsed.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Envelope, Manners, Scratch, Transcoder}, http1::RequestHead};
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
    /// let mut scratch = Scratch::default();
    /// let request = b"GET /v1/nothing HTTP/1.1\r\nHost: a.example\r\nX-Tenant: 7\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(request)?;
    /// let (error, mut out) = (transcoder.handle_head(&head, request, &mut scratch).unwrap_err(), Vec::new());
    /// let envelope = Envelope::of(&head, request);
    /// transcoder.write_error(envelope, error, Some((&head, request, b"")), &mut scratch, &mut out);
    /// assert!(out.starts_with(b"HTTP/1.1 404 ") && out.ends_with(br#"{"code":5,"message":"not found"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn write_error(
        &self,
        envelope: Envelope,
        error: Error,
        request: Option<(&RequestHead, &[u8], &[u8])>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let mut message = String::new();
        let mut allow = String::new();
        if let Some((head, bytes, body)) = request {
            self.write_text(error, head, bytes, body, scratch, &mut message);
            if error.kind == ErrorKind::MethodNotAllowed {
                allow = self.allowed_methods(head, bytes, scratch);
            }
        } else {
            error.write_text(&Context::default(), &mut message);
        }
        let answer = Answer {
            http_status: error.http_status(),
            code: error.code().number(),
            message: &message,
            details: &[],
            allow: &allow,
        };
        answer.write(self, envelope, scratch, out);
    }

    /// Appends what is wrong with a request, after finding out again what its parts were bound to.
    fn write_text(
        &self,
        error: Error,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        scratch: &mut Scratch,
        text: &mut String,
    ) {
        let schema = &self.schema;
        let path = head.path(bytes);
        let mut context = Context {
            body,
            target: head.target(bytes),
            ..Context::default()
        };
        let mut variables = Vec::new();
        let http_method = head.method(bytes);
        if let Ok(route) = route::find(&schema.routes, http_method, path, &mut scratch.route) {
            let route = schema.route_plan(route);
            for (variable, range) in route.variables.iter().zip(scratch.route.captures()) {
                let capture = path.get(range.start as usize..range.end as usize);
                variables.push((&*variable.name, capture.unwrap_or_default()));
            }
            if let BodyPlan::Field(field) = route.body {
                let input = schema.plan.message(schema.method_plan(route.method).input);
                context.body_field = Some(&input.field(field).json_name);
            }
        }
        if let Place::Header(index) = error.place {
            let header = head.headers(bytes).nth(usize::from(index));
            context.header = header.map_or(b"", |(name, _)| name);
        }
        context.variables = &variables;
        error.write_text(&context, text);
    }

    /// Appends the answer to `OPTIONS` of a known path: no body, and the methods that have a rule (SEMANTICS 115).
    pub fn write_options(
        &self,
        envelope: Envelope,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let allow = self.allowed_methods(head, bytes, scratch);
        let mut head = http1::begin(out, &envelope.head(204, None));
        head.header(out, b"allow", allow.as_bytes());
        head.open_body(out).finish(out);
    }

    /// The value of `Allow`: the methods that have a rule, and those that follow from them.
    #[cold]
    fn allowed_methods(&self, head: &RequestHead, bytes: &[u8], scratch: &mut Scratch) -> String {
        let path = head.path(bytes);
        let mut methods: Vec<_> =
            route::allowed(&self.schema.routes, path, &mut scratch.route).collect();
        let head_follows = self.answers_head_by_get() && methods.contains(&"GET");
        if head_follows && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        if !methods.contains(&"OPTIONS") {
            methods.push("OPTIONS");
        }
        methods.join(", ")
    }
}

/// One error as it is answered.
struct Answer<'a> {
    http_status: u16,
    code: u32,
    message: &'a str,
    /// An encoded `google.rpc.Status`, or nothing.
    details: &'a [u8],
    /// The value of `Allow`, or nothing.
    allow: &'a str,
}

impl Answer<'_> {
    fn write(
        &self,
        transcoder: &Transcoder,
        envelope: Envelope,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let is_v1 = transcoder.manners.errors == ErrorForm::GrpcGatewayV1;
        // SEMANTICS 109: grpc-gateway v1 has 412 where everybody else has 400.
        let http_status = if is_v1 && self.code == Code::FailedPrecondition.number() {
            412
        } else {
            self.http_status
        };
        let mut head = http1::begin(out, &envelope.head(http_status, Some(JSON)));
        if !self.allow.is_empty() {
            head.header(out, b"allow", self.allow.as_bytes());
        }
        let pending = head.open_body(out);
        out.push(b'{');
        if is_v1 {
            out.extend_from_slice(b"\"error\":");
            json::write::string(self.message, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"code\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.code).as_bytes());
        out.extend_from_slice(b",\"message\":");
        json::write::string(self.message, out);
        self.write_details(&transcoder.schema.plan, scratch, out);
        out.push(b'}');
        pending.finish(out);
    }

    /// The details of a `google.rpc.Status`, each with its type (SEMANTICS 114, 116, 117).
    fn write_details(&self, plan: &Plan, scratch: &mut Scratch, out: &mut Vec<u8>) {
        const DETAILS: u32 = 3;
        let mut separator: &[u8] = b",\"details\":[";
        let mut reader = Reader::new(self.details, 0..self.details.len());
        while !reader.is_at_end() {
            // Garbage behind good details does not make the details bad.
            let Ok((number, wire_type)) = reader.tag() else {
                break;
            };
            if (number, wire_type) != (DETAILS, LEN) {
                if reader.skip(number, wire_type, 0).is_err() {
                    break;
                }
                continue;
            }
            let Ok(any) = reader.bytes() else { break };
            let end = out.len();
            out.extend_from_slice(separator);
            // One detail that is no `Any` at all must not cost the others.
            match to_json::any_to_json(plan, any, &mut scratch.to_json, out) {
                Ok(()) => separator = b",",
                Err(_) => out.truncate(end),
            }
        }
        if separator == b"," {
            out.push(b']');
        } else if plan.options.defaults == Defaults::All {
            out.extend_from_slice(b",\"details\":[]");
        }
    }
}
