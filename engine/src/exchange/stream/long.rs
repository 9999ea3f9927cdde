//! A message that is too long to be waited for. In: its parts, as they come. Out: what it becomes, as JSON or raw bytes, as far as it goes.
//! Always: nothing is held but what is cut; what has been written is never taken back, so that protobuf's ways to say otherwise later are refused.

use super::super::raw;
use super::super::{Call, Transcoder};
use crate::error::{Error, ErrorKind};
use crate::grpc::frame::Part;
use crate::plan::{Cardinality, Form, Kind, Message, MessageIndex};
use crate::to_json;
use crate::wire::arriving::{Arriving, Event};

/// The message that is under way, and memory for the next.
#[derive(Debug, Default)]
pub(super) struct Long {
    way: Option<Way>,
    /// Scratch of its own, which nobody else touches while the message waits for its next part.
    json: to_json::Scratch,
    paused: Option<to_json::Paused>,
    fields: Arriving,
    field: Field,
    raw: raw::Pieces,
}

/// What such a message becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// JSON.
    Json(MessageIndex),
    /// JSON of the field with this number, which is a message (`response_body`).
    Field { number: u32, message: MessageIndex },
    /// Its raw bytes.
    Raw,
}

/// How far the one field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Awaited,
    /// Its bytes come.
    Open,
    /// Those of another one do.
    Other {
        has_come: bool,
    },
    Done,
}

impl Way {
    /// How messages of this call go; nothing if they have to be gathered. Which of several values of a list or a oneof counts is only known at the end.
    pub(super) fn of(call: &Call, transcoder: &Transcoder) -> Option<Self> {
        let schema = &transcoder.schema;
        let route = call.plan(transcoder);
        let output = schema.method_plan(route.method).output;
        let Some(field) = route.response_body else {
            return Some(if route.gives_raw_body {
                Self::Raw
            } else {
                Self::Json(output)
            });
        };
        let field = schema.plan.message(output).field(field);
        let Kind::Message(message) = field.kind else {
            return None;
        };
        let is_alone = field.cardinality == Cardinality::Singular && field.oneof.is_none();
        let is_object = schema.plan.message(message).form == Form::Object;
        (is_alone && is_object && !route.gives_raw_body).then_some(Self::Field {
            number: field.number,
            message,
        })
    }
}

impl Long {
    /// Whether anything has been written of a message of which more is to come.
    pub(super) fn is_begun(&self) -> bool {
        match self.way {
            None => false,
            Some(Way::Raw) => self.raw.is_begun(),
            Some(Way::Json(_) | Way::Field { .. }) => {
                let is_done = matches!(self.field, Field::Done | Field::Other { has_come: true });
                is_done || self.paused.is_some_and(|paused| paused.is_begun())
            }
        }
    }

    /// The type of raw bytes, once some have gone on.
    pub(super) fn content_type(&self) -> &[u8] {
        self.raw.content_type()
    }

    /// Bytes that are carried until more come.
    pub(super) fn carried_len(&self) -> usize {
        let paused_len = self.paused.map_or(0, |_| self.json.carried_len());
        paused_len + self.raw.carried_len()
    }

    /// Takes a part, and appends what can be written. `awaits_type` is whether a type of raw bytes has to come before them.
    pub(super) fn take(
        &mut self,
        way: Way,
        transcoder: &Transcoder,
        part: &Part<'_>,
        awaits_type: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if part.is_first {
            self.way = Some(way);
            match way {
                Way::Json(_) => self.field = Field::Awaited,
                Way::Field { .. } => {
                    self.fields.begin(part.len);
                    self.field = Field::Awaited;
                }
                Way::Raw => self.raw.begin(part.len, awaits_type),
            }
        }
        match way {
            Way::Json(index) => self.convert(transcoder, index, part.bytes, part.is_last, out)?,
            Way::Field { number, message } => {
                self.take_field(transcoder, number, message, part, out)?;
            }
            Way::Raw => {
                self.raw.push(part.bytes, out)?;
                if part.is_last {
                    self.raw.finish(out)?;
                }
            }
        }
        if part.is_last {
            self.way = None;
        }
        Ok(())
    }

    /// Converts bytes of a message.
    fn convert(
        &mut self,
        transcoder: &Transcoder,
        index: MessageIndex,
        bytes: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let plan = &transcoder.schema.plan;
        let message = Message { plan, index };
        let mut pieces = match self.paused.take() {
            Some(paused) => to_json::Pieces::resume(message, &mut self.json, paused),
            None => to_json::Pieces::new(message, &mut self.json),
        };
        let pushed = pieces.push(bytes, out);
        if pushed.is_ok() && is_last {
            return pieces.finish(out);
        }
        self.paused = Some(pieces.pause());
        pushed
    }

    /// Converts what there is of one field.
    fn take_field(
        &mut self,
        transcoder: &Transcoder,
        wanted: u32,
        message: MessageIndex,
        part: &Part<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut rest = part.bytes;
        while let Some(event) = self.fields.next(&mut rest)? {
            match (event, self.field) {
                (Event::Begin { number, .. }, field) => {
                    let has_come = field == Field::Done;
                    // Parts of a message given in parts are one message, of which the first is written.
                    if number == wanted && has_come {
                        return Err(self.fields.fault(ErrorKind::WireOrder));
                    }
                    self.field = if number == wanted {
                        Field::Open
                    } else {
                        Field::Other { has_come }
                    };
                }
                (Event::Bytes(bytes), Field::Open) => {
                    self.convert(transcoder, message, bytes, false, out)?;
                }
                (Event::Bytes(_), _) => {}
                (Event::End, Field::Open) => {
                    self.convert(transcoder, message, b"", true, out)?;
                    self.field = Field::Done;
                }
                (Event::End, Field::Other { has_come: true }) => self.field = Field::Done,
                (Event::End, _) => self.field = Field::Awaited,
            }
        }
        if !part.is_last {
            return Ok(());
        }
        self.fields.finish()?;
        if self.field == Field::Awaited {
            // SEMANTICS 108: an unset message.
            out.extend_from_slice(b"{}");
        }
        Ok(())
    }
}
