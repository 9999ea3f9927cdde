//! What becomes of each query parameter. In: what [`bind`](super::bind) gets. Out: for each parameter in order, the field it means and
//! its fate. Always: cold; the verdict is that of the code which binds, asked with one parameter more at a time, and only the reason of
//! what was ignored is found by a look of its own.

use super::key::{self, Key};
use super::{Binder, QueryRule, Scratch, Target, decode};
use crate::plan::{BodyPlan, FieldIndex, FieldStep, MessageIndex, Plan, RoutePlan};
use crate::text::percent::{Scope, split_parameter};

/// One query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Percent-decoded; what is not UTF-8 is replaced.
    pub key: String,
    /// As the key.
    pub value: String,
    /// The field that the key names, from the request message down; none if it names none.
    pub field: Option<String>,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a query parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The message gets its value.
    Bound,
    /// It changes nothing, since the body is the whole message (SEMANTICS 70).
    BodyIsWhole,
    /// It changes nothing, since the body gives the field (SEMANTICS 69, 70).
    BodyGivesField,
    /// It changes nothing, since the path gives the field (SEMANTICS 43).
    PathGivesField,
    /// It changes nothing, since no field has this name (SEMANTICS 58).
    NoField,
    /// It changes nothing, since its key is on the list of those that are passed over (SEMANTICS 58).
    PassedOver,
    /// The request is refused because of it.
    Refused,
    /// The request was refused before it was read.
    NotReached,
}

/// Follows the parameters of a query. `body` is what the body has begun of the message.
#[cold]
pub(crate) fn parameters(
    plan: &Plan,
    route: &RoutePlan,
    input: MessageIndex,
    target: Target<'_>,
    body: &[u8],
) -> Vec<Parameter> {
    let mut scratch = Scratch::default();
    let mut parameters = Vec::new();
    let mut is_refused = false;
    // Bytes that the parameters before this one have added.
    let mut added = 0;
    let mut end = 0;
    for raw in target.query.split(|&byte| byte == b'&') {
        end += raw.len();
        let query = target.query.get(..end).unwrap_or(target.query);
        end += 1;
        if raw.is_empty() {
            continue;
        }
        let mut out = body.to_vec();
        let binder = Binder {
            plan,
            route,
            input,
            target: Target { query, ..target },
            body: 0..body.len(),
        };
        let bound = binder
            .remember_captures(&mut scratch.earlier)
            .and_then(|()| binder.bind_query(&mut scratch, &mut out));
        let (key, value) = split_parameter(raw);
        let named = find_named(plan, input, key);
        let fate = match bound {
            _ if is_refused => Fate::NotReached,
            Err(_) => Fate::Refused,
            Ok(()) if out.len() - body.len() > added => Fate::Bound,
            Ok(()) if is_passed_over(target.rule, key) => Fate::PassedOver,
            Ok(()) => ignored(plan, route, target.rule, named.as_ref()),
        };
        is_refused |= bound.is_err();
        added = out.len() - body.len();
        parameters.push(Parameter {
            key: text(key),
            value: text(value),
            field: named.map(|named| named.path),
            fate,
        });
    }
    parameters
}

fn is_passed_over(rule: &QueryRule, key: &[u8]) -> bool {
    let key = text(key);
    rule.ignored_keys.contains(&key)
}

/// Why a parameter that is no fault was not bound.
fn ignored(plan: &Plan, route: &RoutePlan, rule: &QueryRule, named: Option<&Named>) -> Fate {
    let is_read = rule.merges_into_whole_body && !route.takes_raw_body;
    let is_captured = |named: &Named| {
        let mut variables = route.variables.iter();
        variables.any(|variable| names(plan, &variable.path) == named.path)
    };
    match (route.body, named) {
        (BodyPlan::Whole, _) if !is_read => Fate::BodyIsWhole,
        (_, None) => Fate::NoField,
        // SEMANTICS 70.
        (BodyPlan::Whole, Some(named)) if !is_captured(named) => Fate::BodyGivesField,
        (BodyPlan::Field(field), Some(named)) if named.first == field => Fate::BodyGivesField,
        (_, Some(_)) => Fate::PathGivesField,
    }
}

/// What a key names.
struct Named {
    /// As a path of names.
    path: String,
    first: FieldIndex,
}

/// What a key names, wherever the body goes; nothing if it is no field that can be bound.
fn find_named(plan: &Plan, input: MessageIndex, key: &[u8]) -> Option<Named> {
    let (mut buffer, mut steps) = (Vec::new(), Vec::new());
    let key = decode(key, Scope::Query, &mut buffer).ok()?;
    let found = key::find(plan, input, BodyPlan::Ignored, key, &mut steps).ok()?;
    let mut path = names(plan, &steps);
    match found {
        Key::Unknown => return None,
        Key::Field => {}
        Key::Entry(entry) => path = format!("{path}[{}]", String::from_utf8_lossy(entry)),
    }
    let first = steps.first()?.field;
    Some(Named { path, first })
}

/// A field path as text.
fn names(plan: &Plan, steps: &[FieldStep]) -> String {
    let name = |step: &FieldStep| &*plan.message(step.message).field(step.field).name;
    steps.iter().map(name).collect::<Vec<_>>().join(".")
}

/// Decoded as far as it can be, for people.
fn text(raw: &[u8]) -> String {
    let mut buffer = Vec::new();
    let decoded = decode(raw, Scope::Query, &mut buffer).unwrap_or(raw);
    String::from_utf8_lossy(decoded).into_owned()
}

/// What a variable captured, decoded as far as it can be, for people.
pub(crate) fn capture_text(capture: &[u8], is_single_segment: bool) -> String {
    let scope = if is_single_segment {
        Scope::Segment
    } else {
        Scope::Segments
    };
    let mut buffer = Vec::new();
    let decoded = decode(capture, scope, &mut buffer).unwrap_or(capture);
    String::from_utf8_lossy(decoded).into_owned()
}
