//! Which bodies are bytes and no JSON. In: the messages that a rule leads between. Out: whether one is a `google.api.HttpBody`.
//! Always: a message of that name with other fields is a message like others.

use crate::plan::{BodyPlan, Cardinality, FieldIndex, FieldPlan, Kind, MessageIndex, Plan};
use crate::wire::http_body::{CONTENT_TYPE, DATA};

/// Whether the body of a request is one (SEMANTICS 71).
pub(super) fn is_taken(plan: &Plan, input: MessageIndex, body: BodyPlan) -> bool {
    match body {
        BodyPlan::Ignored => false,
        BodyPlan::Whole => is_http_body(plan, input),
        BodyPlan::Field(field) => is_field(plan, plan.message(input).field(field)),
    }
}

/// Whether the body of a response is one (SEMANTICS 72).
pub(super) fn is_given(
    plan: &Plan,
    output: MessageIndex,
    response_body: Option<FieldIndex>,
) -> bool {
    match response_body {
        None => is_http_body(plan, output),
        Some(field) => is_field(plan, plan.message(output).field(field)),
    }
}

/// A list of them is JSON, and so is one in a group, which nobody has.
fn is_field(plan: &Plan, field: &FieldPlan) -> bool {
    match (field.kind, field.cardinality) {
        (Kind::Message(message), Cardinality::Singular) => is_http_body(plan, message),
        _ => false,
    }
}

pub(super) fn is_http_body(plan: &Plan, message: MessageIndex) -> bool {
    let message = plan.message(message);
    let has = |number, kind| {
        message.fields.iter().any(|field| {
            field.number == number
                && field.kind == kind
                && field.cardinality == Cardinality::Singular
        })
    };
    &*message.full_name == "google.api.HttpBody"
        && has(CONTENT_TYPE, Kind::String)
        && has(DATA, Kind::Bytes)
}
