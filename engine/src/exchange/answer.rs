//! Replies and errors as HTTP responses. In: what the upstream sent, a status, or an error. Out: one whole response appended to
//! the caller's buffer. Always: a response is either whole or not there; every error has the one JSON form (SEMANTICS 114).

use super::crossing::{Metadata, Pair};
use super::details;
use super::envelope::Envelope;
use super::stream::Failure;
use super::{
    Call, ErrorForm, MetadataScratch, PLAIN_LEN_KEPT, RetryAfter, Scratch, Transcoder, raw,
};
use crate::error::{Context, Error, ErrorKind, Place};
use crate::grpc::metadata::{self, HeaderRule};
use crate::grpc::status::{ReplyHeaders, is_grpc_type, read_headers, read_trailers};
use crate::grpc::{Code, Status, frame};
use crate::http1::{self, BodyForm, RequestHead};
use crate::plan::{BodyPlan, Defaults, Message};
use crate::wire::http_body::HttpBody;
use crate::{json, route, to_json};

const JSON: &[u8] = b"application/json";
const CHALLENGE: &[u8] = b"www-authenticate";
const RETRY_AFTER: &[u8] = b"retry-after";

/// What an upstream sent in answer to a unary call. Names are in lower case, as HTTP/2 has them.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'r, H, T> {
    /// Status of HTTP.
    pub http_status: u16,
    /// Gives the names and values of the headers; they are gone through several times.
    pub headers: H,
    /// The body as it came: one framed message.
    pub body: &'r [u8],
    /// Gives the names and values of the trailers, if there were any; likewise.
    pub trailers: Option<T>,
}

impl Call {
    /// Appends the response to what the upstream sent: its message as JSON, or its error, or ours where it makes no sense. There is no failure: one
    /// whole response is appended in any case. The example is that of the [module](crate::exchange).
    pub fn write_reply<'r, H, T>(
        &self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        reply: Reply<'r, impl Fn() -> H, impl Fn() -> T>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) where
        H: Iterator<Item = Pair<'r>>,
        T: Iterator<Item = Pair<'r>>,
    {
        let Reply {
            http_status,
            headers,
            body,
            trailers,
        } = reply;
        let trailers = trailers.as_ref();
        if let Err(status) = read_status(http_status, headers(), body, trailers.map(|each| each()))
        {
            let trailers = trailers.map(|each| each().collect());
            let metadata = collect(http_status, headers().collect(), body.is_empty(), trailers);
            return transcoder.write_failure(envelope, &status, &metadata, scratch, out);
        }
        let trailers = || trailers.map(|each| each()).into_iter().flatten();
        let (headers, trailers) = (&headers, &trailers);
        let written =
            self.write_message_reply(transcoder, envelope, headers, body, trailers, scratch, out);
        if let Err(error) = written {
            transcoder.write_error(envelope, error, None, scratch, out);
        }
    }

    /// Appends the response to a call that succeeded. On an error nothing is appended.
    #[expect(clippy::too_many_arguments, reason = "the parts of one reply")]
    fn write_message_reply<'r, H, T>(
        &self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        headers: &impl Fn() -> H,
        body: &[u8],
        trailers: &impl Fn() -> T,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error>
    where
        H: Iterator<Item = Pair<'r>>,
        T: Iterator<Item = Pair<'r>>,
    {
        let message = frame::deframe(body, transcoder.manners.sizes.response_len_max)?;
        let raw = self.read_raw(transcoder, message)?;
        let content_type = match &raw {
            Some(raw) => Some(raw.content_type)
                .filter(|value| !value.is_empty() && metadata::is_printable(value)),
            None => Some(JSON),
        };
        let write_body = |scratch: &mut to_json::Scratch, out: &mut Vec<u8>| match &raw {
            Some(raw) => {
                out.extend_from_slice(raw.data);
                Ok(())
            }
            None => self.write_json(transcoder, message, scratch, out),
        };
        let manners = &transcoder.manners;
        let status = manners
            .chosen_status(headers().chain(trailers()))
            .unwrap_or_else(|| self.success_status(transcoder));
        // SEMANTICS 131: the trailers of a reply go on as trailers, to who asks for them.
        let has_trailers = envelope.takes_trailers
            && trailers().any(|(name, value)| manners.trailer_name(name, value).is_some());
        let may_code = content_type.is_some_and(|each| manners.may_code(each, status, headers));
        let wanted = envelope.coding.filter(|_| may_code);
        let mut plain = std::mem::take(&mut scratch.plain);
        plain.clear();
        // What may be coded is written beforehand: only its length decides, and the head says so.
        let written = match wanted {
            Some(_) => write_body(&mut scratch.to_json, &mut plain),
            None => Ok(()),
        };
        let coding = wanted.filter(|_| manners.is_worth_coding(&plain));
        let written = written.and_then(|()| {
            let head = envelope.head(status, content_type);
            let mut head = if has_trailers {
                http1::begin_chunked(out, &head)
            } else {
                http1::begin(out, &head)
            };
            if let Some(cors) = &manners.cors {
                cors.write_headers(&envelope.reader, &mut head, out);
            }
            if may_code {
                head.header(out, b"vary", b"Accept-Encoding");
            }
            if let Some(coding) = coding {
                head.header(out, b"content-encoding", coding.name());
            }
            let MetadataScratch { name, value, .. } = &mut scratch.metadata;
            // RFC 9110 section 8.8.1: what is coded is no longer the bytes that a strong tag stands for.
            let weak = coding.is_some().then_some(value);
            manners.write_headers(headers(), name, weak, &mut head, out);
            if has_trailers {
                manners.announce_trailers(trailers(), name, &mut head, out);
            }
            let pending = head.open_body(out);
            let body_start = out.len();
            let written = match (wanted, coding) {
                (None, _) => write_body(&mut scratch.to_json, out),
                (Some(_), None) => {
                    out.extend_from_slice(&plain);
                    Ok(())
                }
                (Some(_), Some(coding)) => {
                    // Writing to memory does not fail; if a coder did, a body without its coding would be a lie.
                    if coding.encode(&plain, out) {
                        Ok(())
                    } else {
                        out.truncate(body_start);
                        Err(Error::reply(ErrorKind::ReplyTooLarge, 0))
                    }
                }
            };
            match written {
                Ok(()) => {
                    let mut pending = pending.close_chunk(out);
                    if has_trailers {
                        manners.write_trailers(trailers(), name, &mut pending, out);
                    }
                    pending.finish(out);
                }
                // SEMANTICS 73, 106: never half a body.
                Err(_) => pending.abandon(out),
            }
            written
        });
        plain.shrink_to(PLAIN_LEN_KEPT);
        scratch.plain = plain;
        written
    }

    /// The bytes that the reply is, where its message holds them for no JSON (SEMANTICS 72): read before the head, which says their type.
    fn read_raw<'r>(
        &self,
        transcoder: &Transcoder,
        message: &'r [u8],
    ) -> Result<Option<HttpBody<'r>>, Error> {
        let route = self.plan(transcoder);
        if !route.gives_raw_body {
            return Ok(None);
        }
        let schema = &transcoder.schema;
        let output = schema.plan.message(schema.method_plan(route.method).output);
        raw::read_reply(output, route.response_body, message).map(Some)
    }

    /// Appends the JSON of a reply's message.
    fn write_json(
        &self,
        transcoder: &Transcoder,
        message: &[u8],
        scratch: &mut to_json::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let plan = &transcoder.schema.plan;
        let route = self.plan(transcoder);
        let index = transcoder.schema.method_plan(route.method).output;
        match route.response_body {
            Some(field) => to_json::field_to_json(plan, index, field, message, scratch, out),
            None => to_json(Message { plan, index }, message, scratch, out),
        }
    }
}

/// What crosses of a reply that failed. `is_empty` if it has no body.
#[cold]
pub(super) fn collect<'r>(
    http_status: u16,
    headers: Vec<Pair<'r>>,
    is_empty: bool,
    trailers: Option<Vec<Pair<'r>>>,
) -> Metadata<'r> {
    let is_grpc = http_status == 200
        && headers
            .iter()
            .any(|(name, value)| *name == b"content-type" && is_grpc_type(value));
    if !is_grpc {
        // THREATS F6: the answer of some other server; only what it asks of the client is of use.
        let mut headers = headers;
        headers.retain(|(name, _)| *name == CHALLENGE || *name == RETRY_AFTER);
        return Metadata {
            headers,
            trailers: Vec::new(),
        };
    }
    match trailers {
        Some(trailers) => Metadata { headers, trailers },
        // In a reply that ends with its headers these are the trailers, as gRPC has it.
        None if is_empty => Metadata {
            headers: Vec::new(),
            trailers: headers,
        },
        None => Metadata {
            headers,
            trailers: Vec::new(),
        },
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
    /// transcoder.write_status(&Envelope::REFUSED, &status, &mut Scratch::default(), &mut out);
    /// assert!(out.starts_with(b"HTTP/1.1 503 ") && out.ends_with(br#"{"code":14,"message":"no upstream"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn write_status(
        &self,
        envelope: &Envelope,
        status: &Status,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        self.write_failure(envelope, status, &Metadata::default(), scratch, out);
    }

    /// The same for a client stream, whose body may be at fault with words of its own.
    #[cold]
    pub fn write_stream_failure(
        &self,
        envelope: &Envelope,
        failure: &Failure,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let metadata = Metadata::default();
        let http_status = failure.http_status;
        Answer::of_status(self, failure.status(), http_status, &metadata)
            .write(self, envelope, scratch, out);
    }

    /// Appends the response to a call that failed, with what the upstream sent beside the status.
    #[cold]
    fn write_failure(
        &self,
        envelope: &Envelope,
        status: &Status,
        metadata: &Metadata<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        Answer::of_status(self, status, None, metadata).write(self, envelope, scratch, out);
    }

    /// SEMANTICS 109: grpc-gateway v1 has 412 where everybody else has 400.
    fn http_status(&self, code: u32, http_status: u16) -> u16 {
        let is_v1 = self.manners.errors == ErrorForm::GrpcGatewayV1;
        if is_v1 && code == Code::FailedPrecondition.number() {
            412
        } else {
            http_status
        }
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
    /// transcoder.write_error(&envelope, error, Some((&head, request, b"")), &mut scratch, &mut out);
    /// assert!(out.starts_with(b"HTTP/1.1 404 ") && out.ends_with(br#"{"code":5,"message":"not found"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn write_error(
        &self,
        envelope: &Envelope,
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
            metadata: &Metadata::default(),
            allow: &allow,
            is_wrapped: false,
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
        // What is told of a body in a coding is told of what it stands for.
        let mut plain = Vec::new();
        if let Ok(Some(coding)) = http1::check_media(head.headers(bytes), BodyForm::Raw)
            && coding
                .decode(body, self.manners.sizes.request_len_max, &mut plain)
                .is_ok()
        {
            context.body = &plain;
        }
        let mut variables = Vec::new();
        if let (Ok(route), _) = self.find(head, bytes, &mut scratch.route) {
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
        envelope: &Envelope,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let allow = self.allowed_methods(head, bytes, scratch);
        let mut head = http1::begin(out, &envelope.head(204, None));
        head.header(out, b"allow", allow.as_bytes());
        if let Some(cors) = &self.manners.cors {
            cors.write_headers(&envelope.reader, &mut head, out);
        }
        head.open_body(out).finish(out);
    }

    /// The value of `Allow`: the methods that have a rule, and those that follow from them.
    #[cold]
    pub(super) fn allowed_methods(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> String {
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
pub(super) struct Answer<'a> {
    http_status: u16,
    code: u32,
    message: &'a str,
    /// An encoded `google.rpc.Status`, or nothing.
    details: &'a [u8],
    /// What else the upstream sent.
    metadata: &'a Metadata<'a>,
    /// The value of `Allow`, or nothing.
    allow: &'a str,
    /// Whether the body is `{"error":..}` around it all, as in a stream.
    is_wrapped: bool,
}

impl<'a> Answer<'a> {
    /// A call that failed, with what the upstream sent beside the status, and the HTTP status if it is not that of the code.
    pub(super) fn of_status(
        transcoder: &Transcoder,
        status: &'a Status,
        http_status: Option<u16>,
        metadata: &'a Metadata<'a>,
    ) -> Self {
        // SEMANTICS 135: an error is no success, whatever its upstream may wish.
        let chosen = transcoder.manners.chosen_status(metadata.pairs());
        Self {
            http_status: chosen
                .filter(|chosen| *chosen >= 400)
                .or(http_status)
                .unwrap_or_else(|| transcoder.http_status(status.code, status.http_status())),
            code: status.code,
            message: &status.message,
            details: &status.details,
            metadata,
            allow: "",
            is_wrapped: false,
        }
    }

    /// The same inside of `{"error":..}`, if that is wanted (SEMANTICS 122).
    pub(super) const fn in_stream(self, is_wrapped: bool) -> Self {
        Self { is_wrapped, ..self }
    }

    pub(super) fn write(
        &self,
        transcoder: &Transcoder,
        envelope: &Envelope,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let manners = &transcoder.manners;
        // Without a prefix nothing tells trailers from headers, and who fails has no body that could be long in coming.
        let are_joined = manners.headers == HeaderRule::Transom;
        let has_trailers =
            !are_joined && envelope.takes_trailers && !self.metadata.trailers.is_empty();
        let head = envelope.head(self.http_status, Some(JSON));
        let mut head = if has_trailers {
            http1::begin_chunked(out, &head)
        } else {
            http1::begin(out, &head)
        };
        if !self.allow.is_empty() {
            head.header(out, b"allow", self.allow.as_bytes());
        }
        if let Some(cors) = &manners.cors {
            cors.write_headers(&envelope.reader, &mut head, out);
        }
        let name_text = &mut scratch.metadata.name;
        let headers = self.metadata.headers.iter().copied();
        manners.write_headers(headers, name_text, None, &mut head, out);
        if are_joined {
            let trailers = self.metadata.trailers.iter().copied();
            manners.write_headers(trailers, name_text, None, &mut head, out);
        }
        if has_trailers {
            let trailers = self.metadata.trailers.iter().copied();
            manners.announce_trailers(trailers, name_text, &mut head, out);
        }
        self.write_demands(transcoder, are_joined, &mut head, out);
        let pending = head.open_body(out);
        if self.is_wrapped {
            self.write_in_stream(transcoder, scratch, out);
        } else {
            self.write_body(transcoder, scratch, out);
        }
        let mut pending = pending.close_chunk(out);
        let trailers = self.metadata.trailers.iter().copied();
        manners.write_trailers(trailers, &mut scratch.metadata.name, &mut pending, out);
        pending.finish(out);
    }

    /// Appends what a client is asked to do before it tries again. `are_there` if the upstream's own words have crossed.
    fn write_demands(
        &self,
        transcoder: &Transcoder,
        are_there: bool,
        head: &mut http1::PendingHead,
        out: &mut Vec<u8>,
    ) {
        // SEMANTICS 112: RFC 9110 section 15.5.2 wants a challenge. It is the upstream's or a fixed one, never the text of an error.
        if self.http_status == 401 {
            let mut is_challenged = false;
            for challenge in self.metadata.values(CHALLENGE) {
                is_challenged |= are_there || head.header(out, CHALLENGE, challenge);
            }
            if !is_challenged {
                head.header(out, CHALLENGE, b"Bearer");
            }
        }
        // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
        if self.http_status == 426 {
            head.header(out, b"upgrade", b"websocket");
            head.header(out, b"sec-websocket-version", b"13");
        }
        let is_told = are_there && self.metadata.values(RETRY_AFTER).next().is_some();
        // SEMANTICS 113.
        if transcoder.manners.retry_after == RetryAfter::FromRetryInfo
            && !is_told
            && let Some(seconds) = details::retry_delay(self.details)
        {
            let mut digits = itoa::Buffer::new();
            head.header(out, RETRY_AFTER, digits.format(seconds).as_bytes());
        }
    }

    /// Appends the error as a message of a stream (SEMANTICS 123).
    pub(super) fn write_in_stream(
        &self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"error\":");
        if transcoder.manners.errors == ErrorForm::GrpcGatewayV1 {
            self.write_stream_error(transcoder, scratch, out);
        } else {
            self.write_body(transcoder, scratch, out);
        }
        out.push(b'}');
    }

    /// Appends the error as grpc-gateway v1 has it in streams: its `StreamError`.
    fn write_stream_error(
        &self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b"{\"grpc_code\":");
        out.extend_from_slice(digits.format(self.code).as_bytes());
        out.extend_from_slice(b",\"http_code\":");
        out.extend_from_slice(digits.format(self.http_status).as_bytes());
        out.extend_from_slice(b",\"message\":");
        json::write::string(self.message, out);
        out.extend_from_slice(b",\"http_status\":");
        json::write::string(http1::reason_phrase(self.http_status), out);
        self.write_details(transcoder, scratch, out);
        out.push(b'}');
    }

    pub(super) fn write_body(
        &self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        if transcoder.manners.errors == ErrorForm::GrpcGatewayV1 {
            out.extend_from_slice(b"\"error\":");
            json::write::string(self.message, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"code\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.code).as_bytes());
        out.extend_from_slice(b",\"message\":");
        json::write::string(self.message, out);
        self.write_details(transcoder, scratch, out);
        out.push(b'}');
    }

    /// The details of a `google.rpc.Status`, each with its type (SEMANTICS 114, 116, 117).
    fn write_details(&self, transcoder: &Transcoder, scratch: &mut Scratch, out: &mut Vec<u8>) {
        let plan = &transcoder.schema.plan;
        let mut separator: &[u8] = b",\"details\":[";
        for any in details::each(self.details) {
            if transcoder.manners.hides_debug_info && details::is(any, "google.rpc.DebugInfo") {
                continue;
            }
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
