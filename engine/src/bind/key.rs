//! Query keys to fields. In: a decoded key. Out: the path of the field it names, and the key of a map entry if it has one.
//! Always: either of a field's two names will do at each step (SEMANTICS 49); a key that names nothing creates nothing (SEMANTICS 58).

use super::{entry_fields, value};
use crate::error::ErrorKind;
use crate::limits::QUERY_STEP_COUNT_MAX;
use crate::plan::{BodyPlan, Cardinality, FieldPlan, FieldStep, Form, Kind, MessageIndex, Plan};

/// What a query key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'k> {
    /// No field that can be given in the query.
    Unknown,
    /// A field; its path is in the steps.
    Field,
    /// The entry with this key of the map whose path is in the steps.
    Entry(&'k [u8]),
}

/// Finds what `key` names and appends the path to `steps`.
pub(super) fn find<'k>(
    plan: &Plan,
    input: MessageIndex,
    body: BodyPlan,
    key: &'k [u8],
    steps: &mut Vec<FieldStep>,
) -> Result<Key<'k>, ErrorKind> {
    // Neither dots nor brackets in the key of a map entry mean anything, so the names end at the first bracket.
    let (names, bracket) = match key.iter().position(|&byte| byte == b'[') {
        Some(at) => key.split_at(at),
        None => (key, &[][..]),
    };
    // SEMANTICS 61.
    let names = names.split(|&byte| byte == b'.');
    if names.clone().nth(QUERY_STEP_COUNT_MAX).is_some() {
        return Err(ErrorKind::TooManySteps);
    }
    let mut message = input;
    let mut last: Option<&FieldPlan> = None;
    for name in names {
        if let Some(parent) = last {
            message = step_into(plan, parent)?;
        }
        let Some(field) = plan.message(message).find_field(name) else {
            return Ok(Key::Unknown);
        };
        // SEMANTICS 69: the body fills its field alone.
        if last.is_none() && body == BodyPlan::Field(field) {
            return Ok(Key::Unknown);
        }
        steps.push(FieldStep { message, field });
        last = Some(plan.message(message).field(field));
    }
    match last {
        Some(field) if field.cardinality == Cardinality::Map => find_entry(plan, field, bracket),
        // SEMANTICS 50: no `[]` suffix.
        Some(field) if bracket.is_empty() => check_bindable(plan, field).map(|()| Key::Field),
        _ => Ok(Key::Unknown),
    }
}

/// Whether some query sets this field, or a field below it.
#[cold]
pub(crate) fn can_be_given(plan: &Plan, field: &FieldPlan) -> bool {
    match field.cardinality {
        Cardinality::Map => entry_fields(plan, field)
            .is_some_and(|(_, entry)| value::has_text_form(plan, entry.kind)),
        _ => check_bindable(plan, field).is_ok() || step_into(plan, field).is_ok(),
    }
}

/// The message that a dot behind `field` leads into.
fn step_into(plan: &Plan, field: &FieldPlan) -> Result<MessageIndex, ErrorKind> {
    match (field.kind, field.cardinality) {
        (_, Cardinality::Map) => Err(ErrorKind::MapNotBindable),
        (Kind::Message(message) | Kind::Group(message), Cardinality::Singular) => {
            // SEMANTICS 56: what is in an `Any` is not for a query.
            if plan.message(message).form == Form::Any {
                return Err(ErrorKind::NotBindable);
            }
            Ok(message)
        }
        (Kind::Message(_) | Kind::Group(_), _) => Err(ErrorKind::ListNotBindable),
        (Kind::SetMember(_), _) => Err(ErrorKind::NotBindable),
        // SEMANTICS 57.
        _ => Err(ErrorKind::StepIntoScalar),
    }
}

/// SEMANTICS 55: `m[key]=v`. `bracket` is what stands behind the name of the map.
fn find_entry<'k>(plan: &Plan, map: &FieldPlan, bracket: &'k [u8]) -> Result<Key<'k>, ErrorKind> {
    let is_bindable =
        entry_fields(plan, map).is_some_and(|(_, value)| value::has_text_form(plan, value.kind));
    match bracket {
        [b'[', map_key @ .., b']'] if is_bindable => Ok(Key::Entry(map_key)),
        _ => Err(ErrorKind::MapNotBindable),
    }
}

/// SEMANTICS 55, 57: messages have no value of their own, unless they have a form as text.
fn check_bindable(plan: &Plan, field: &FieldPlan) -> Result<(), ErrorKind> {
    match field.cardinality {
        _ if value::has_text_form(plan, field.kind) => Ok(()),
        Cardinality::Singular => Err(ErrorKind::NotBindable),
        _ => Err(ErrorKind::ListNotBindable),
    }
}
