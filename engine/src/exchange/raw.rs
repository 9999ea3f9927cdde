//! Bodies that are bytes and no JSON (SEMANTICS 71, 72). In: the bytes of a request, or a reply that holds a `google.api.HttpBody`.
//! Out: that message in the request, or the bytes and their type. Always: nothing looks into the bytes.

use super::in_header;
use crate::error::{Error, ErrorKind};
use crate::http1::RequestHead;
use crate::plan::{BodyPlan, FieldIndex, MessagePlan};
use crate::text::utf8;
use crate::wire::http_body::HttpBody;
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
