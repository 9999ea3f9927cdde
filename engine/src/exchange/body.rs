//! The body of a request. In: a head, a route and the bytes of the body. Out: what they say of the message, or why they cannot.
//! Always: what the rule makes of a body was settled when the schema was loaded; the type of the body counts only where an option says so.

use super::{Scratch, Transcoder, mask, raw};
use crate::coding::Coding;
use crate::error::{Error, ErrorKind};
use crate::http1::{BodyForm, BodyFraming, RequestHead, check_media, is_form};
use crate::plan::{BodyPlan, Cardinality, FieldPlan, Form, Kind, Message, RoutePlan};
use crate::to_wire::{self, field_to_wire, to_wire, write_empty_field};

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

impl Transcoder {
    /// Refuses a body that the route cannot take, as far as the head tells, and tells the coding that has to be undone. `binds_form` if the
    /// body is a form for a rule that has none (SEMANTICS 119).
    pub(super) fn check_body(
        &self,
        route: &RoutePlan,
        head: &RequestHead,
        bytes: &[u8],
        binds_form: bool,
    ) -> Result<Option<Coding>, Error> {
        let framing = head.framing();
        if framing == BodyFraming::None {
            return Ok(None);
        }
        if binds_form {
            return check_media(head.headers(bytes), BodyForm::Json);
        }
        if route.body == BodyPlan::Ignored {
            return match framing {
                BodyFraming::Length(1..) => self.refuse_unwanted_body().map(|()| None),
                _ => Ok(None),
            };
        }
        let form = match (route.takes_raw_body, self.manners.content_types) {
            (true, _) => BodyForm::Raw,
            (false, ContentTypes::Any) => BodyForm::Json,
            (false, ContentTypes::Json) => BodyForm::Stated {
                reads_forms: self.manners.forms == Forms::Fields,
            },
        };
        let coding = check_media(head.headers(bytes), form)?;
        if self.reads_form(route, head, bytes) && !self.takes_form(route) {
            return Err(Error::request(ErrorKind::UnsupportedContentType));
        }
        Ok(coding)
    }

    /// SEMANTICS 65.
    pub(super) fn refuse_unwanted_body(&self) -> Result<(), Error> {
        match self.manners.unwanted_bodies {
            UnwantedBodies::Ignored => Ok(()),
            UnwantedBodies::Refused => Err(Error::request(ErrorKind::BodyUnwanted)),
        }
    }

    /// Whether the body is a form and is to be read as one (SEMANTICS 66).
    pub(super) fn reads_form(&self, route: &RoutePlan, head: &RequestHead, bytes: &[u8]) -> bool {
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

    /// Appends what the body says of the message.
    pub(super) fn write_body(
        &self,
        route: &RoutePlan,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        scratch: &mut to_wire::Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let plan = &self.schema.plan;
        let index = self.schema.method_plan(route.method).input;
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
            BodyPlan::Ignored => self.refuse_unwanted_body(),
        };
        match convert(body, scratch, out) {
            // SEMANTICS 68: whether this is a fault is for the manners to say, and it is rare enough to be read again.
            Err(error)
                if error.kind == ErrorKind::TrailingData && self.manners.ignores_trailing_data =>
            {
                let value = body.get(..error.offset as usize).unwrap_or(body);
                convert(value, scratch, out)
            }
            converted => converted,
        }
    }

    /// Appends the field mask of a `PATCH`, if there is one to fill (SEMANTICS 74). The caller has seen that path and query left it unset.
    pub(super) fn write_mask(
        &self,
        route: &RoutePlan,
        body: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (Some(mask), BodyPlan::Field(field)) = (route.mask, route.body) else {
            return Ok(());
        };
        let plan = &self.schema.plan;
        let input = plan.message(self.schema.method_plan(route.method).input);
        let Kind::Message(message) = input.field(field).kind else {
            return Ok(());
        };
        let mask = input.field(mask);
        mask::write(plan, message, mask, body, &mut scratch.mask, out)
    }
}

/// Whether there is nothing but white space.
fn is_blank(body: &[u8]) -> bool {
    body.iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}
