//! Bodies that are bytes and no JSON (SEMANTICS 71, 72). In: the bytes of a request, or a reply that holds a `google.api.HttpBody`.
//! Out: that message in the request, or the bytes and their type. Always: nothing looks into the bytes.

use super::in_header;
use crate::error::{Error, ErrorKind};
use crate::http1::RequestHead;
use crate::limits::HELD_LEN_MAX;
use crate::plan::{BodyPlan, FieldIndex, MessagePlan};
use crate::text::utf8;
use crate::wire::arriving::{Arriving, Event};
use crate::wire::http_body::{CONTENT_TYPE, DATA, HttpBody};
use crate::wire::read::{LEN, Reader};

/// Appends what a body of raw bytes says of the input.
pub(super) fn write_body(
    input: &MessagePlan,
    plan: BodyPlan,
    head: &RequestHead,
    bytes: &[u8],
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    write_bytes(input, plan, content_type(head, bytes)?, body, out);
    Ok(())
}

/// Appends what bytes of this type say of the input.
pub(super) fn write_bytes(
    input: &MessagePlan,
    plan: BodyPlan,
    content_type: &[u8],
    data: &[u8],
    out: &mut Vec<u8>,
) {
    let body = HttpBody { content_type, data };
    match plan {
        BodyPlan::Ignored => {}
        BodyPlan::Whole => body.write(out),
        // SEMANTICS 64: the message is there, even where the request has no body.
        BodyPlan::Field(field) => {
            out.extend_from_slice(input.field(field).tag.as_bytes());
            body.write_as_field(out);
        }
    }
}

/// The media type with its parameters, as it was sent, or nothing.
pub(super) fn content_type<'b>(head: &'b RequestHead, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
    let mut headers = head.headers(bytes).enumerate();
    match headers.find(|(_, (name, _))| name.eq_ignore_ascii_case(b"content-type")) {
        // A string of protobuf is UTF-8, a header need not be.
        Some((index, (_, value))) if !utf8::is_valid(value) => {
            Err(in_header(index)(Error::request(ErrorKind::InvalidUtf8)))
        }
        Some((_, (_, value))) => Ok(value),
        None => Ok(b""),
    }
}

/// The raw body that a reply is, or that one field of it is.
pub(super) fn read_reply<'r>(
    output: &MessagePlan,
    response_body: Option<FieldIndex>,
    message: &'r [u8],
) -> Result<HttpBody<'r>, Error> {
    let mut body = HttpBody::default();
    let Some(wanted) = response_body else {
        body.merge(message, 0..message.len())?;
        return Ok(body);
    };
    let oneof = output.field(wanted).oneof;
    let mut reader = Reader::new(message, 0..message.len());
    while !reader.is_at_end() {
        let (number, wire_type) = reader.tag()?;
        let found = output.numbers.find(number);
        if found == Some(wanted) && wire_type == LEN {
            // The parts of a message given in parts are one message.
            let range = reader.delimited()?;
            body.merge(message, range)?;
            continue;
        }
        // Of a oneof the last member is set and the others are not.
        if oneof.is_some() && found.is_some_and(|found| output.field(found).oneof == oneof) {
            body = HttpBody::default();
        }
        reader.skip(number, wire_type, 0)?;
    }
    Ok(body)
}

/// A `google.api.HttpBody` that arrives in pieces, whose bytes go on as they come.
///
/// The type of a response stands in its head. So the first message of a stream passes its bytes on if the type comes before them, as encoders write it; else
/// they are carried up to its end. Bytes that have gone on stay: what protobuf lets replace them is refused as [`ErrorKind::WireOrder`].
#[derive(Debug, Default)]
pub(super) struct Pieces {
    fields: Arriving,
    field: Option<Wanted>,
    /// Whether the head of the response waits for the type.
    awaits_type: bool,
    has_type: bool,
    content_type: Vec<u8>,
    /// Bytes that cannot go on yet.
    carried: Vec<u8>,
    is_carrying: bool,
    /// Bytes that have gone on.
    passed_len: usize,
}

/// The field whose bytes come.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Type,
    Data,
}

impl Pieces {
    /// Begins a message of `len` bytes.
    pub(super) fn begin(&mut self, len: usize, awaits_type: bool) {
        self.fields.begin(len);
        self.field = None;
        self.awaits_type = awaits_type;
        self.has_type = false;
        self.content_type.clear();
        self.is_carrying = false;
        self.passed_len = 0;
    }

    /// Whether bytes of the message have gone on.
    pub(super) const fn is_begun(&self) -> bool {
        self.passed_len > 0
    }

    /// The type, once bytes have gone on or the message has ended.
    pub(super) fn content_type(&self) -> &[u8] {
        &self.content_type
    }

    /// Bytes that are carried until more come.
    pub(super) fn carried_len(&self) -> usize {
        self.carried.len()
    }

    /// Takes a part of the message, and appends the bytes that go on.
    pub(super) fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        while let Some(event) = self.fields.next(&mut piece)? {
            match event {
                Event::Begin { number, len } => self.open(number, len)?,
                Event::Bytes(bytes) => match self.field {
                    Some(Wanted::Type) => self.content_type.extend_from_slice(bytes),
                    Some(Wanted::Data) if self.is_carrying => self.carried.extend_from_slice(bytes),
                    Some(Wanted::Data) => {
                        self.passed_len += bytes.len();
                        out.extend_from_slice(bytes);
                    }
                    None => {}
                },
                Event::End => {
                    if matches!(self.field, Some(Wanted::Type)) {
                        self.has_type = true;
                        if !utf8::is_valid(&self.content_type) {
                            return Err(self.fields.fault(ErrorKind::WireUtf8));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.fields.finish()?;
        out.append(&mut self.carried);
        self.carried.shrink_to(HELD_LEN_MAX);
        Ok(())
    }

    fn open(&mut self, number: u32, len: usize) -> Result<(), Error> {
        self.field = match number {
            CONTENT_TYPE => Some(Wanted::Type),
            DATA => Some(Wanted::Data),
            _ => None,
        };
        let is_late = match self.field {
            Some(Wanted::Type) => self.awaits_type && self.is_begun(),
            Some(Wanted::Data) => self.is_begun(),
            None => false,
        };
        if is_late {
            return Err(self.fields.fault(ErrorKind::WireOrder));
        }
        match self.field {
            Some(Wanted::Type) => self.content_type.clear(),
            Some(Wanted::Data) => {
                self.carried.clear();
                self.is_carrying |= len > 0 && self.awaits_type && !self.has_type;
            }
            None => {}
        }
        Ok(())
    }
}
