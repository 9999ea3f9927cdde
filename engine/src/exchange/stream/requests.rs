//! The body of a client stream (SEMANTICS 124). In: its bytes as they arrive, cut anywhere, even inside a character. Out: framed gRPC messages, each as
//! soon as its value is whole. Always: path and query are bound into the first message only (SEMANTICS 69); no more is kept than the message that is cut.
//!
//! ```text
//! {"a":1} {"a":2}     a sequence: values, with white space between them or not
//! [{"a":1},{"a":2}]   one array, unless a message is itself a JSON array
//! ```

use std::ops::Range;

use super::super::{Call, Scratch, Transcoder, raw};
use super::Failure;
use crate::bind;
use crate::error::{Context, Error, ErrorKind, Place};
use crate::grpc::frame::{self, PREFIX_LEN};
use crate::http1::RequestHead;
use crate::json::Border;
use crate::limits::BODY_LEN_MAX;
use crate::plan::{BodyPlan, Cardinality, FieldPlan, Form, Kind, Message, RoutePlan};
use crate::to_wire::{self, Progress};

/// Bytes of memory for a message that are kept for the next one; what grew longer is given back.
const MESSAGE_LEN_KEPT: usize = 64 * 1024;

/// The body of a client stream, turned into framed gRPC messages as it arrives. It borrows nothing and lives as long as the stream; it belongs to the
/// transcoder that its call belongs to. Memory is bounded by one message, which may have
/// [`SizeLimits::request_len_max`](crate::exchange::SizeLimits::request_len_max) bytes.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("streams.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Schema, exchange::{Manners, Request, Scratch, Transcoder}, http1::RequestHead};
///
/// let transcoder = Transcoder::new(Schema::from_descriptor_set(&descriptors)?, Manners::default());
/// let (mut head, mut scratch, mut out) = (RequestHead::new(), Scratch::default(), Vec::new());
/// let request = b"POST /v1/send HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
/// head.parse(request)?;
/// let Request::Call(call) = transcoder.handle_head(&head, request, &mut scratch)? else { return Err("OPTIONS".into()) };
/// assert!(call.kind(&transcoder).has_requests());
///
/// // The pieces of the body come as they like; a message goes on as soon as it is whole.
/// let mut requests = call.requests(&transcoder, &head, request, &mut scratch)?;
/// for piece in [&b"{\"name\":\"A"[..], b"da\"} {\"count\":5}"] {
///     let used = requests.push(&transcoder, piece, 64 * 1024, &mut scratch, &mut out).map_err(|failure| failure.status().message.clone())?;
///     assert_eq!(used, piece.len());
/// }
/// assert_eq!(out, b"\0\0\0\0\x05\x0a\x03Ada\0\0\0\0\x02\x10\x05");
/// assert!(requests.finish(&transcoder, &mut scratch, &mut out).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Requests {
    call: Call,
    target: Target,
    /// The value of Content-Type, for raw bytes.
    content_type: Vec<u8>,
    source: Source,
    place: PlaceInBody,
    /// Scratch of its own, which nobody else touches while a value is cut.
    to_wire: to_wire::Scratch,
    /// A value that is cut.
    paused: Option<to_wire::Paused>,
    /// The text of a value that is cut and converted as a whole.
    text: Vec<u8>,
    border: Border,
    /// Prefix and bytes of the message that is being written.
    message: Vec<u8>,
    /// Bytes of the value at hand that have come.
    value_len: usize,
    /// Bytes of the body that have been used.
    body_len: usize,
    /// Messages that have been written.
    count: u32,
    /// What ended the stream too early.
    failure: Option<Box<Failure>>,
}

/// What path and query bind, kept while the head's buffer serves others.
#[derive(Debug, Default)]
struct Target {
    /// The target as it was sent, and the path once more, which may be another one than it says.
    bytes: Vec<u8>,
    /// The path in it.
    path: Range<usize>,
    /// The query in it.
    query: Range<usize>,
    /// Ranges of the path.
    captures: Vec<Range<u32>>,
}

/// What the messages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// JSON values, converted as they come.
    Values,
    /// JSON values of a field, each converted once it is whole.
    FieldValues,
    /// The bytes as they are (SEMANTICS 71).
    Raw,
    /// Path and query alone, which are one message.
    Nothing,
}

/// What the next byte of the body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaceInBody {
    /// The first value, or the bracket of the array that holds all of them.
    Start { may_be_array: bool },
    /// A value of a sequence.
    Sequence,
    /// A value or the closing bracket.
    ArrayStart,
    /// A value.
    ArrayValue,
    /// A comma or the closing bracket.
    ArrayComma,
    /// White space.
    Closed,
    /// The rest of a value.
    Value { is_in_array: bool },
}

impl Call {
    /// Begins the body of a client stream. `bytes` are those the head was parsed from; like [`Call::write_request`] it reads the captures that
    /// [`Transcoder::handle_head`] has left in `scratch`.
    ///
    /// # Errors
    /// A path or query that does not fit the message.
    pub fn requests(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Requests, Error> {
        let schema = &transcoder.schema;
        let route = self.plan(transcoder);
        let source = match route.body {
            _ if route.takes_raw_body => Source::Raw,
            BodyPlan::Ignored => Source::Nothing,
            BodyPlan::Whole => Source::Values,
            BodyPlan::Field(_) => Source::FieldValues,
        };
        let content_type = if source == Source::Raw {
            raw::content_type(head, bytes)?
        } else {
            b""
        };
        let mut requests = Requests {
            call: *self,
            target: Target::of(head, bytes, scratch.route.captures()),
            content_type: content_type.to_vec(),
            source,
            place: PlaceInBody::Start {
                may_be_array: !is_array(transcoder, route),
            },
            to_wire: to_wire::Scratch::default(),
            paused: None,
            text: Vec::new(),
            border: Border::new(),
            message: Vec::new(),
            value_len: 0,
            body_len: 0,
            count: 0,
            failure: None,
        };
        // What is wrong with the target is told before the first message is waited for.
        let target = requests.target.for_bind(transcoder);
        let input = schema.method_plan(route.method).input;
        let (bind, out) = (&mut scratch.bind, &mut requests.message);
        bind::bind(&schema.plan, route, input, target, 0, bind, out)?;
        requests.message.clear();
        Ok(requests)
    }
}

impl Requests {
    /// Appends the messages that the next bytes of the body make whole, framed, and says how many of the bytes were used: all, unless `out` has grown by
    /// `out_len_max` or more behind a message. Then send what there is, and come again with the rest.
    ///
    /// # Errors
    /// A value that is no JSON or does not fit the message, with its number. The messages before it have been appended, and there is no going on.
    pub fn push(
        &mut self,
        transcoder: &Transcoder,
        piece: &[u8],
        out_len_max: usize,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<usize, Failure> {
        if let Some(failure) = &self.failure {
            return Err((**failure).clone());
        }
        let out_end = out.len().saturating_add(out_len_max);
        let mut used = 0;
        while let Some(rest) = piece.get(used..).filter(|rest| !rest.is_empty())
            && out.len() < out_end
        {
            // SEMANTICS 73.
            let len_left = transcoder.sizes().request_stream.len_max - self.body_len as u64;
            if len_left == 0 {
                let error = Error::request(ErrorKind::StreamTooLong);
                return Err(self.fail(transcoder, error, b""));
            }
            let len = usize::try_from(len_left).map_or(rest.len(), |left| left.min(rest.len()));
            let rest = rest.get(..len).unwrap_or(rest);
            match self.take(transcoder, rest, scratch, out) {
                Ok(len) => {
                    used += len;
                    self.body_len += len;
                }
                Err(error) => return Err(self.fail(transcoder, error, rest)),
            }
        }
        Ok(used)
    }

    /// Ends the body, and appends the last message where only the end shows that it is whole.
    ///
    /// # Errors
    /// A value or an array that is cut.
    pub fn finish(
        &mut self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if let Some(failure) = &self.failure {
            return Err((**failure).clone());
        }
        self.end(transcoder, scratch, out)
            .map_err(|error| self.fail(transcoder, error, b""))
    }

    /// Ends one text of several, as a protocol with frames of its own has them: the next bytes begin another.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn end_text(
        &mut self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if matches!(self.source, Source::Values | Source::FieldValues) {
            self.finish(transcoder, scratch, out)?;
            let may_be_array = !is_array(transcoder, self.call.plan(transcoder));
            self.place = PlaceInBody::Start { may_be_array };
        }
        Ok(())
    }

    /// Whether all there is to say has been said by path and query, and no body is wanted.
    pub fn needs_no_body(&self) -> bool {
        self.source == Source::Nothing
    }

    /// Messages that have been written.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Takes bytes up to the end of a value or of what is between two, and says how many these are.
    fn take(
        &mut self,
        transcoder: &Transcoder,
        bytes: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        match self.source {
            Source::Raw => {
                let len_max = BODY_LEN_MAX.min(transcoder.sizes().request_len_max);
                let (bytes, _) = bytes.split_at(bytes.len().min(len_max));
                self.write_raw(transcoder, bytes, scratch, out)?;
                return Ok(bytes.len());
            }
            Source::Nothing => {
                transcoder.refuse_unwanted_body()?;
                self.write_target(transcoder, scratch, out)?;
                return Ok(bytes.len());
            }
            Source::Values | Source::FieldValues => {}
        }
        let PlaceInBody::Value { is_in_array } = self.place else {
            return self.take_between(transcoder, bytes);
        };
        let len = match self.source {
            Source::Values => self.take_value(transcoder, bytes)?,
            _ => self.take_field_value(transcoder, bytes, scratch)?,
        };
        let Some(len) = len else {
            self.check_len(transcoder, bytes.len())?;
            return Ok(bytes.len());
        };
        self.check_len(transcoder, len)?;
        self.close(transcoder, scratch, out)?;
        self.place = if is_in_array {
            PlaceInBody::ArrayComma
        } else {
            PlaceInBody::Sequence
        };
        Ok(len)
    }

    /// SEMANTICS 73: a message is bounded as the body of a unary call is.
    fn check_len(&mut self, transcoder: &Transcoder, len: usize) -> Result<(), Error> {
        let len_max = transcoder.sizes().request_len_max;
        self.value_len += len;
        if self.value_len > len_max {
            return Err(self.in_message(Error::body(ErrorKind::BodyTooLarge, len_max)));
        }
        Ok(())
    }

    /// Takes what is between two values.
    fn take_between(&mut self, transcoder: &Transcoder, bytes: &[u8]) -> Result<usize, Error> {
        let space_len = bytes
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let Some(space_len) = space_len else {
            return Ok(bytes.len());
        };
        let byte = bytes.get(space_len).copied().unwrap_or(b' ');
        let mut used = space_len;
        self.place = match (self.place, byte) {
            (PlaceInBody::Start { may_be_array: true }, b'[') => {
                used += 1;
                PlaceInBody::ArrayStart
            }
            (PlaceInBody::ArrayStart | PlaceInBody::ArrayComma, b']') => {
                used += 1;
                PlaceInBody::Closed
            }
            (PlaceInBody::ArrayComma, b',') => {
                used += 1;
                PlaceInBody::ArrayValue
            }
            (PlaceInBody::ArrayComma, _) => {
                let kind = ErrorKind::ExpectedCommaOrClose;
                return Err(Error::body(kind, self.body_len + space_len));
            }
            (PlaceInBody::Closed, _) => {
                // SEMANTICS 68.
                return Err(Error::body(
                    ErrorKind::TrailingData,
                    self.body_len + space_len,
                ));
            }
            (place, _) => {
                if u64::from(self.count) >= transcoder.sizes().request_stream.count_max {
                    return Err(Error::request(ErrorKind::StreamCount));
                }
                self.open();
                PlaceInBody::Value {
                    is_in_array: matches!(place, PlaceInBody::ArrayStart | PlaceInBody::ArrayValue),
                }
            }
        };
        Ok(used)
    }

    /// Begins a message.
    fn open(&mut self) {
        self.message.clear();
        frame::open(&mut self.message);
        self.value_len = 0;
    }

    /// Takes bytes of a value that is a message; says how many, if the value has ended.
    fn take_value(
        &mut self,
        transcoder: &Transcoder,
        bytes: &[u8],
    ) -> Result<Option<usize>, Error> {
        let message = self.input(transcoder);
        let mut pieces = match self.paused.take() {
            Some(paused) => to_wire::Pieces::resume(message, &mut self.to_wire, paused),
            None => to_wire::Pieces::new(message, &mut self.to_wire),
        };
        match pieces.push(bytes, &mut self.message) {
            Ok(Progress::Ended { used }) if is_run_on(bytes, used) => {
                // Else it would depend on the cuts whether the value counts.
                let offset = self.value_len + used;
                Err(self.in_message(Error::body(ErrorKind::TrailingData, offset)))
            }
            Ok(Progress::Ended { used }) => Ok(Some(used)),
            Ok(Progress::Open) => {
                self.paused = Some(pieces.pause());
                Ok(None)
            }
            Err(error) => Err(self.in_message(error)),
        }
    }

    /// Takes bytes of a value that is a field; says how many, if the value has ended.
    fn take_field_value(
        &mut self,
        transcoder: &Transcoder,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<usize>, Error> {
        if self.text.is_empty() {
            self.border.begin(0, 0);
        }
        let mut len = 0;
        while !self.border.is_final() {
            let Some(rest) = bytes.get(len..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            len += self.border.scan(rest);
        }
        let bytes = bytes.get(..len).unwrap_or(bytes);
        if !self.border.is_final() || !self.text.is_empty() {
            // Before the memory is grown.
            let len_max = transcoder.sizes().request_len_max;
            if self.text.len() + len > len_max {
                self.value_len = 0;
                return Err(self.in_message(Error::body(ErrorKind::BodyTooLarge, len_max)));
            }
            self.text.extend_from_slice(bytes);
        }
        if !self.border.is_final() {
            return Ok(None);
        }
        let mut text = std::mem::take(&mut self.text);
        let value = if text.is_empty() { bytes } else { &text };
        let written = self.write_field_value(transcoder, value, scratch);
        if text.capacity() <= MESSAGE_LEN_KEPT {
            text.clear();
            self.text = text;
        }
        written.map(|()| Some(len))
    }

    /// Writes a whole value of a field, and the mask that it fills.
    fn write_field_value(
        &mut self,
        transcoder: &Transcoder,
        value: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let schema = &transcoder.schema;
        let route = self.call.plan(transcoder);
        let BodyPlan::Field(field) = route.body else {
            return Ok(());
        };
        let index = schema.method_plan(route.method).input;
        let out = &mut self.message;
        let json = &mut scratch.to_wire;
        to_wire::field_to_wire(&schema.plan, index, field, value, json, out)
            .map_err(|error| self.in_message(error))?;
        if let Some(mask) = route.mask
            && self.count == 0
        {
            // Whether path or query give it is known once they are bound.
            let end = self.message.len();
            self.bind(transcoder, scratch)?;
            self.message.truncate(end);
            if scratch.bind.binds(mask) {
                return Ok(());
            }
        }
        transcoder
            .write_mask(route, value, scratch, &mut self.message)
            .map_err(|error| self.in_message(error))
    }

    /// Appends what path and query say to the message at hand.
    fn bind(&mut self, transcoder: &Transcoder, scratch: &mut Scratch) -> Result<(), Error> {
        let schema = &transcoder.schema;
        let route = self.call.plan(transcoder);
        let input = schema.method_plan(route.method).input;
        let target = self.target.for_bind(transcoder);
        let (bind, out) = (&mut scratch.bind, &mut self.message);
        bind::bind(&schema.plan, route, input, target, PREFIX_LEN, bind, out)
    }

    /// Ends the message at hand.
    fn close(
        &mut self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.count == 0 && !self.target.is_empty() {
            self.bind(transcoder, scratch)?;
        }
        self.send(out)
    }

    /// Appends the message at hand to the output.
    fn send(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        frame::close(&mut self.message, 0)?;
        out.extend_from_slice(&self.message);
        self.message.clear();
        // Now, for the next message may be long in coming.
        if self.message.capacity() > MESSAGE_LEN_KEPT {
            self.message = Vec::new();
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Writes a message of raw bytes. Their type, path and query are in the first only.
    fn write_raw(
        &mut self,
        transcoder: &Transcoder,
        bytes: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let schema = &transcoder.schema;
        let route = self.call.plan(transcoder);
        let input = schema.plan.message(schema.method_plan(route.method).input);
        self.open();
        let content_type = if self.count == 0 {
            &self.content_type[..]
        } else {
            b""
        };
        raw::write_bytes(input, route.body, content_type, bytes, &mut self.message);
        self.close(transcoder, scratch, out)
    }

    /// Writes the one message that path and query are, if it has not been.
    fn write_target(
        &mut self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.count > 0 {
            return Ok(());
        }
        self.open();
        self.close(transcoder, scratch, out)
    }

    fn end(
        &mut self,
        transcoder: &Transcoder,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self.source {
            Source::Nothing => return self.write_target(transcoder, scratch, out),
            // The server is to know the type, and what the path says, of no bytes too.
            Source::Raw if self.count == 0 => return self.write_raw(transcoder, b"", scratch, out),
            Source::Raw => return Ok(()),
            Source::Values | Source::FieldValues => {}
        }
        match self.place {
            PlaceInBody::Start { .. } | PlaceInBody::Sequence | PlaceInBody::Closed => Ok(()),
            PlaceInBody::ArrayStart | PlaceInBody::ArrayValue | PlaceInBody::ArrayComma => {
                Err(Error::body(ErrorKind::UnexpectedEnd, self.body_len))
            }
            PlaceInBody::Value { is_in_array } => {
                self.end_value(transcoder, scratch)?;
                self.close(transcoder, scratch, out)?;
                if is_in_array {
                    return Err(Error::body(ErrorKind::UnexpectedEnd, self.body_len));
                }
                self.place = PlaceInBody::Sequence;
                Ok(())
            }
        }
    }

    /// Ends the value at hand, which must be a number or word.
    fn end_value(&mut self, transcoder: &Transcoder, scratch: &mut Scratch) -> Result<(), Error> {
        if let Some(paused) = self.paused.take() {
            let message = self.input(transcoder);
            return to_wire::Pieces::resume(message, &mut self.to_wire, paused)
                .finish(&mut self.message)
                .map_err(|error| self.in_message(error));
        }
        let text = std::mem::take(&mut self.text);
        self.write_field_value(transcoder, &text, scratch)
    }

    fn input<'t>(&self, transcoder: &'t Transcoder) -> Message<'t> {
        let schema = &transcoder.schema;
        let index = schema.method_plan(self.call.plan(transcoder).method).input;
        Message {
            plan: &schema.plan,
            index,
        }
    }

    /// Gives an error in the value at hand its number.
    #[cold]
    fn in_message(&self, error: Error) -> Error {
        match error.place {
            Place::Body => Error {
                place: Place::Message(self.count.saturating_add(1)),
                ..error
            },
            _ => error,
        }
    }

    /// Puts an error into words, and remembers it. `rest` is where the value at fault begins, if it begins in the piece at hand.
    #[cold]
    fn fail(&mut self, transcoder: &Transcoder, error: Error, rest: &[u8]) -> Failure {
        let route = self.call.plan(transcoder);
        let mut context = Context {
            target: &self.target.bytes,
            ..Context::default()
        };
        if matches!(error.place, Place::Message(_)) && self.value_len == 0 {
            context.body = rest;
        }
        if let (BodyPlan::Field(field), Place::Message(_)) = (route.body, error.place) {
            let Message { plan, index } = self.input(transcoder);
            context.body_field = Some(&plan.message(index).field(field).json_name);
        }
        let path = self.target.bytes.get(self.target.path.clone());
        let path = path.unwrap_or_default();
        let mut variables = Vec::new();
        for (variable, range) in route.variables.iter().zip(&self.target.captures) {
            let capture = path.get(range.start as usize..range.end as usize);
            variables.push((&*variable.name, capture.unwrap_or_default()));
        }
        context.variables = &variables;
        let failure = Failure::of(error, &context);
        self.failure = Some(Box::new(failure.clone()));
        failure
    }
}

/// Whether a number or word is followed by what can stand behind neither: it is no value then, whoever reads it byte by byte.
fn is_run_on(bytes: &[u8], used: usize) -> bool {
    let last = used.checked_sub(1).and_then(|at| bytes.get(at));
    let closes_itself = last.is_some_and(|byte| matches!(byte, b'}' | b']' | b'"'));
    let next = bytes.get(used);
    !closes_itself
        && used > 0
        && next.is_some_and(|byte| {
            !matches!(
                byte,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b'[' | b']' | b'{' | b'}' | b'"'
            )
        })
}

impl Target {
    fn of(head: &RequestHead, bytes: &[u8], captures: &[Range<u32>]) -> Self {
        let (target, path) = (head.target(bytes), head.path(bytes));
        let query_start = head.query_offset() as usize;
        let mut copy = Vec::with_capacity(target.len() + path.len());
        copy.extend_from_slice(target);
        copy.extend_from_slice(path);
        Self {
            path: target.len()..copy.len(),
            query: query_start..query_start + head.query(bytes).len(),
            bytes: copy,
            captures: captures.to_vec(),
        }
    }

    /// Whether nothing is bound.
    fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.query.is_empty()
    }

    fn for_bind<'t>(&'t self, transcoder: &'t Transcoder) -> bind::Target<'t> {
        bind::Target {
            path: self.bytes.get(self.path.clone()).unwrap_or_default(),
            captures: &self.captures,
            query: self.bytes.get(self.query.clone()).unwrap_or_default(),
            query_offset: self.query.start,
            form: b"",
            rule: &transcoder.manners.query,
        }
    }
}

/// Whether the JSON of one message is an array, so that an array is one message and not all of them.
fn is_array(transcoder: &Transcoder, route: &RoutePlan) -> bool {
    let plan = &transcoder.schema.plan;
    let input = transcoder.schema.method_plan(route.method).input;
    let is_array_form =
        |message| matches!(plan.message(message).form, Form::ListValue | Form::Value);
    match route.body {
        BodyPlan::Ignored => false,
        BodyPlan::Whole => is_array_form(input),
        BodyPlan::Field(field) => match plan.message(input).field(field) {
            FieldPlan {
                cardinality: Cardinality::Singular,
                kind: Kind::Message(message) | Kind::Group(message),
                ..
            } => is_array_form(*message),
            FieldPlan { cardinality, .. } => {
                !matches!(cardinality, Cardinality::Singular | Cardinality::Map)
            }
        },
    }
}
