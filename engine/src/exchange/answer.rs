//! Replies and errors as HTTP responses. In: what the upstream sent, a status, or an error. Out: one whole response appended to
//! the caller's buffer. Always: a response is either whole or not there; every error has the one JSON form (SEMANTICS 114).

use std::fmt::Write as _;

use super::{Call, ErrorForm, Manners, Scratch};
use crate::compile::Schema;
use crate::error::{Context, Error, ErrorKind};
use crate::grpc::metadata::{self, Decision};
use crate::grpc::status::{ReplyHeaders, read_headers, read_trailers};
use crate::grpc::{Code, Status, frame};
use crate::http1::{self, Connection, RequestHead, ResponseHead};
use crate::limits::BODY_LEN_MAX;
use crate::plan::{BodyPlan, Defaults, Message};
use crate::wire::read::Reader;
use crate::{json, route, to_json};

const JSON: &[u8] = b"application/json";

/// What a response says about its connection and its request.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    connection: Connection,
    /// Whether the request was `HEAD`: the head says how long the body would be, and the body is left out.
    answers_head: bool,
}

impl Envelope {
    /// For a request that cannot be read: the connection ends with the answer.
    pub const REFUSED: Self = Self {
        connection: Connection::Close,
        answers_head: false,
    };

    /// For the answer to this request, on a connection that the server is willing to keep.
    pub fn of(head: &RequestHead, bytes: &[u8]) -> Self {
        Self {
            connection: head.connection(),
            answers_head: head.method(bytes) == b"HEAD",
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

    fn head(self, status: u16, content_type: Option<&[u8]>) -> ResponseHead<'_> {
        ResponseHead {
            status,
            connection: self.connection,
            answers_head: self.answers_head,
            content_type,
            date: None,
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
    /// Appends the response to what the upstream sent: its message as JSON, or its error, or ours where it makes no sense.
    pub fn write_reply<'r, H, T>(
        &self,
        schema: &Schema,
        manners: Manners,
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
            return write_status(schema, manners, envelope, &status, scratch, out);
        }
        if let Err(error) =
            self.write_message_reply(schema, manners, envelope, headers(), body, scratch, out)
        {
            let mut text = String::new();
            error.write_text(&Context::default(), &mut text);
            let answer = Answer {
                http_status: error.http_status(),
                code: error.code().number(),
                message: &text,
                details: &[],
            };
            answer.write(schema, manners, envelope, None, scratch, out);
        }
    }

    fn write_message_reply<'r>(
        &self,
        schema: &Schema,
        manners: Manners,
        envelope: Envelope,
        headers: impl Iterator<Item = (&'r [u8], &'r [u8])>,
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let message = frame::deframe(body, BODY_LEN_MAX)?;
        let mut head = http1::begin(out, &envelope.head(200, Some(JSON)));
        for (name, value) in headers {
            if let Decision::Pass(name) = metadata::response_header(manners.headers, name, value) {
                scratch.metadata.name.clear();
                name.write(&mut scratch.metadata.name);
                head.header(out, &scratch.metadata.name, value);
            }
        }
        let pending = head.open_body(out);
        let plan = &schema.plan;
        let route = self.plan(schema);
        let output = schema.method_plan(route.method).output;
        let written = match route.response_body {
            Some(field) => {
                to_json::field_to_json(plan, output, field, message, &mut scratch.to_json, out)
            }
            None => to_json(
                Message {
                    plan,
                    index: output,
                },
                message,
                &mut scratch.to_json,
                out,
            ),
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

/// Appends the response for a call that failed.
#[cold]
pub fn write_status(
    schema: &Schema,
    manners: Manners,
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
    };
    answer.write(schema, manners, envelope, None, scratch, out);
}

/// Appends the response for a request that was refused. `request` is its head, the bytes the head was parsed from, and the body as
/// far as it was read; nothing if the head could not be parsed.
#[cold]
pub fn write_error(
    schema: &Schema,
    manners: Manners,
    envelope: Envelope,
    error: Error,
    request: Option<(&RequestHead, &[u8], &[u8])>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let mut text = String::new();
    let mut allow = String::new();
    if let Some((head, bytes, body)) = request {
        write_text_of(schema, error, head, bytes, body, scratch, &mut text);
        if error.kind == ErrorKind::MethodNotAllowed {
            allow = allowed_methods(schema, head, bytes, scratch);
        }
    } else {
        error.write_text(&Context::default(), &mut text);
    }
    let answer = Answer {
        http_status: error.http_status(),
        code: error.code().number(),
        message: &text,
        details: &[],
    };
    let allow = (!allow.is_empty()).then_some(allow.as_str());
    answer.write(schema, manners, envelope, allow, scratch, out);
}

/// Writes what is wrong with a request, after finding out again what its parts were bound to.
fn write_text_of(
    schema: &Schema,
    error: Error,
    head: &RequestHead,
    bytes: &[u8],
    body: &[u8],
    scratch: &mut Scratch,
    text: &mut String,
) {
    let mut context = Context {
        body,
        target: head.target(bytes),
        ..Context::default()
    };
    let mut variables = Vec::new();
    if let Ok(route) = route::find(
        &schema.routes,
        head.method(bytes),
        head.path(bytes),
        &mut scratch.route,
    ) {
        let plan = schema.route_plan(route);
        let path = head.path(bytes);
        for (variable, range) in plan.variables.iter().zip(scratch.route.captures()) {
            let value = path
                .get(range.start as usize..range.end as usize)
                .unwrap_or_default();
            variables.push((&*variable.name, value));
        }
        if let BodyPlan::Field(field) = plan.body {
            let input = schema.plan.message(schema.method_plan(plan.method).input);
            context.body_field = Some(&input.field(field).json_name);
        }
    }
    context.variables = &variables;
    error.write_text(&context, text);
}

/// Appends the answer to `OPTIONS` of a known path: no body, and the methods that have a rule (SEMANTICS 115).
pub fn write_options(
    schema: &Schema,
    head: &RequestHead,
    bytes: &[u8],
    envelope: Envelope,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let allow = allowed_methods(schema, head, bytes, scratch);
    let mut head = http1::begin(out, &envelope.head(204, None));
    head.header(out, b"allow", allow.as_bytes());
    head.open_body(out).finish(out);
}

/// The value of `Allow`: the methods that have a rule, and those that follow from them.
#[cold]
fn allowed_methods(
    schema: &Schema,
    head: &RequestHead,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> String {
    let mut methods: Vec<_> =
        route::allowed(&schema.routes, head.path(bytes), &mut scratch.route).collect();
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        methods.push("HEAD");
    }
    if !methods.contains(&"OPTIONS") {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

/// One error as it is answered.
struct Answer<'a> {
    http_status: u16,
    code: u32,
    message: &'a str,
    /// An encoded `google.rpc.Status`, or nothing.
    details: &'a [u8],
}

impl Answer<'_> {
    fn write(
        &self,
        schema: &Schema,
        manners: Manners,
        envelope: Envelope,
        allow: Option<&str>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let is_v1 = manners.errors == ErrorForm::GrpcGatewayV1;
        // SEMANTICS 109: grpc-gateway v1 has 412 where everybody else has 400.
        let is_precondition =
            self.code == Code::FailedPrecondition.number() && self.http_status == 400;
        let http_status = if is_v1 && is_precondition {
            412
        } else {
            self.http_status
        };
        let mut head = http1::begin(out, &envelope.head(http_status, Some(JSON)));
        if let Some(allow) = allow {
            head.header(out, b"allow", allow.as_bytes());
        }
        let pending = head.open_body(out);
        out.push(b'{');
        if is_v1 {
            out.extend_from_slice(b"\"error\":");
            json::write::string(self.message, out);
            out.push(b',');
        }
        let mut code = String::new();
        // Writing to a string cannot fail.
        let _written = write!(code, "\"code\":{},\"message\":", self.code);
        out.extend_from_slice(code.as_bytes());
        json::write::string(self.message, out);
        self.write_details(schema, scratch, out);
        out.push(b'}');
        pending.finish(out);
    }

    /// The details of a `google.rpc.Status`, each with its type (SEMANTICS 114, 116, 117).
    fn write_details(&self, schema: &Schema, scratch: &mut Scratch, out: &mut Vec<u8>) {
        const DETAILS: u32 = 3;
        let mut separator: &[u8] = b",\"details\":[";
        let mut reader = Reader::new(self.details, 0..self.details.len());
        while !reader.is_at_end() {
            // Garbage behind good details does not make the details bad.
            let Ok((number, wire_type)) = reader.tag() else {
                break;
            };
            if (number, wire_type) != (DETAILS, 2) {
                if reader.skip(number, wire_type, 0).is_err() {
                    break;
                }
                continue;
            }
            let Ok(any) = reader.bytes() else { break };
            let end = out.len();
            out.extend_from_slice(separator);
            // One detail that is no `Any` at all must not cost the others.
            match to_json::any_to_json(&schema.plan, any, &mut scratch.to_json, out) {
                Ok(()) => separator = b",",
                Err(_) => out.truncate(end),
            }
        }
        if separator == b"," {
            out.push(b']');
        } else if schema.plan.options.defaults == Defaults::All {
            out.extend_from_slice(b",\"details\":[]");
        }
    }
}
