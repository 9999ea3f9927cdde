//! Where a request goes, and why. In: a request head and a body. Out: a verdict on every route, what bound where, and what becomes of it.
//! Always: cold, for a person who asks; the outcome is that of [`Transcoder::handle_head`] and [`Call::write_request`] themselves.

use super::{Call, Failure, Request, Scratch, Transcoder};
use crate::compile::Route;
use crate::error::Error;
use crate::grpc::frame::{self, Deframer};
use crate::http1::RequestHead;
use crate::limits::BODY_LEN_MAX;
use crate::plan::{BodyPlan, RouteIndex};
use crate::route::{self, Comparison, Verdict};
use crate::{bind, to_wire};

pub use crate::bind::{Fate, Parameter};

/// Where a request goes, and why.
#[derive(Debug)]
pub struct Explanation<'t> {
    /// Each route of the schema with its verdict, in the order of [`Schema::routes`](crate::Schema::routes).
    pub routes: Vec<(Route<'t>, Comparison)>,
    /// The variables of the chosen route: the field, and the text it gets.
    pub variables: Vec<(&'t str, String)>,
    /// The parameters of the query, in their order; none where no route was chosen.
    pub parameters: Vec<Parameter>,
    /// Whether a body would be read as a form, field by field, and not as JSON (SEMANTICS 66, 119).
    pub reads_form: bool,
    /// What becomes of the request.
    pub outcome: Outcome,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream gets this message.
    Message(Vec<u8>),
    /// The upstream gets these messages of a method that streams its requests, each when it has come.
    Messages {
        /// In their order.
        messages: Vec<Vec<u8>>,
        /// What is wrong behind them, if something is; [`Transcoder::write_stream_failure`] writes the answer.
        failure: Option<Failure>,
    },
    /// It is answered here, by [`Transcoder::write_options`].
    Options,
    /// It is answered here, by [`Transcoder::write_preflight`].
    Preflight,
    /// It is refused; [`Transcoder::write_error`] writes the answer.
    Refused(Error),
}

impl<'t> Explanation<'t> {
    /// The route that the request goes, if there is one.
    pub fn chosen(&self) -> Option<Route<'t>> {
        let chosen = |(_, comparison): &&(_, Comparison)| comparison.verdict == Verdict::Chosen;
        self.routes.iter().find(chosen).map(|&(route, _)| route)
    }
}

impl Transcoder {
    /// Says where a request goes, and why. `bytes` are those the head was parsed from, `body` is the whole body without framing.
    ///
    /// It compares the request with every route and may allocate as it likes: it is not for traffic.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, exchange::{Fate, Manners, Outcome, Transcoder}, http1::RequestHead};
    ///
    /// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
    /// let request = b"GET /v1/hello/Ada?colour=red HTTP/1.1\r\nHost: a.example\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(request)?;
    /// let explanation = transcoder.explain(&head, request, b"");
    /// assert_eq!(explanation.chosen().map(|route| route.template()), Some("/v1/hello/{name}"));
    /// assert_eq!(explanation.variables, [("name", "Ada".to_owned())]);
    /// assert_eq!(explanation.parameters[0].fate, Fate::NoField);
    /// assert_eq!(explanation.outcome, Outcome::Message(b"\x0a\x03Ada".to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn explain(&self, head: &RequestHead, bytes: &[u8], body: &[u8]) -> Explanation<'_> {
        let schema = &self.schema;
        let mut scratch = Scratch::default();
        let path = head.path(bytes);
        // SEMANTICS 119: a form may have asked for another method.
        let (found, is_asked_by_form) = self.find(head, bytes, &mut scratch.route);
        let plan = found.ok().map(|route| schema.route_plan(route));
        let http_method = match plan {
            Some(plan) if is_asked_by_form && &*plan.http_method != "*" => {
                plan.http_method.as_bytes()
            }
            _ => head.method(bytes),
        };
        let reads_form = plan.is_some_and(|plan| {
            (is_asked_by_form && plan.body == BodyPlan::Ignored)
                || self.reads_form(plan, head, bytes)
        });
        let table = &schema.routes;
        let mut compared = route::compare_all(table, http_method, path, &mut scratch.route);
        compared.sort_by_key(|&(route, _)| route.0);
        let chosen = compared
            .iter()
            .find(|(_, comparison)| comparison.verdict == Verdict::Chosen)
            .map(|&(route, _)| route);
        let routes = compared
            .into_iter()
            .map(|(route, comparison)| (schema.route(route), comparison))
            .collect();
        let (variables, parameters) = chosen.map_or_else(Default::default, |route| {
            self.bound(route, head, bytes, body)
        });
        Explanation {
            routes,
            variables,
            parameters,
            reads_form,
            outcome: self.outcome(head, bytes, body),
        }
    }

    fn outcome(&self, head: &RequestHead, bytes: &[u8], body: &[u8]) -> Outcome {
        let mut scratch = Scratch::default();
        let mut out = Vec::new();
        let written = match self.handle_head(head, bytes, &mut scratch) {
            Ok(Request::Options) => return Outcome::Options,
            Ok(Request::Preflight) => return Outcome::Preflight,
            Ok(Request::Call(call)) if call.kind(self).has_requests() => {
                return self.stream_outcome(&call, (head, bytes, body), &mut scratch);
            }
            Ok(Request::Call(call)) => {
                call.write_request(self, head, bytes, body, &mut scratch, &mut out)
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => Outcome::Message(out.split_off(frame::PREFIX_LEN)),
            Err(error) => Outcome::Refused(error),
        }
    }

    /// What becomes of the body of a client stream (SEMANTICS 124).
    fn stream_outcome(
        &self,
        call: &Call,
        (head, bytes, body): (&RequestHead, &[u8], &[u8]),
        scratch: &mut Scratch,
    ) -> Outcome {
        let mut requests = match call.requests(self, head, bytes, scratch) {
            Ok(requests) => requests,
            Err(error) => return Outcome::Refused(error),
        };
        let mut out = Vec::new();
        // With no bound on the output all of the body is used.
        let pushed = requests.push(self, body, usize::MAX, scratch, &mut out);
        let ended = pushed.and_then(|_| requests.finish(self, scratch, &mut out));
        let (mut deframer, mut rest, mut messages) = (Deframer::default(), &out[..], Vec::new());
        // These are our own frames.
        while let Ok(Some(part)) = deframer.next(&mut rest, BODY_LEN_MAX) {
            messages.push(part.bytes.to_vec());
        }
        Outcome::Messages {
            messages,
            failure: ended.err(),
        }
    }

    /// What path and query bind.
    fn bound(
        &self,
        index: RouteIndex,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
    ) -> (Vec<(&str, String)>, Vec<Parameter>) {
        let schema = &self.schema;
        let route = schema.route_plan(index);
        let path = head.path(bytes);
        let mut scratch = route::Scratch::default();
        let (found, is_asked_by_form) = self.find(head, bytes, &mut scratch);
        if found != Ok(index) {
            return Default::default();
        }
        let captures = scratch.captures();
        let variables = route
            .variables
            .iter()
            .zip(captures)
            .map(|(variable, range)| {
                let capture = path.get(range.start as usize..range.end as usize);
                let capture = capture.unwrap_or_default();
                let text = bind::capture_text(capture, variable.is_single_segment);
                (&*variable.name, text)
            })
            .collect();
        let target = bind::Target {
            path,
            captures,
            query: head.query(bytes),
            query_offset: head.query_offset() as usize,
            form: b"",
            rule: &self.manners.query,
        };
        // A body that does not fit is told by the outcome; the parameters are then looked at as if there were none. Nor does a form hide any.
        let binds_form = is_asked_by_form && route.body == BodyPlan::Ignored;
        let json = if binds_form || self.reads_form(route, head, bytes) {
            b""
        } else {
            body
        };
        let mut wire = Vec::new();
        let mut to_wire = to_wire::Scratch::default();
        if let Err(_told) = self.write_body(route, head, bytes, json, &mut to_wire, &mut wire) {
            wire.clear();
        }
        let input = schema.method_plan(route.method).input;
        let parameters = bind::parameters(&schema.plan, route, input, target, &wire);
        (variables, parameters)
    }
}
