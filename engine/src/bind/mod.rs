//! Path captures and query parameters to protobuf. In: a route, the captured ranges of the path, the raw query, and the message that the
//! body has begun. Out: the bindings, appended to that message; protobuf merging makes one message of it.
//! Always: the query comes before the path, so that the path wins (SEMANTICS 43, 44); a bound value is written even where it is the
//! default; on an error the buffer is as it was.

mod body;
mod captured;
mod earlier;
mod explain;
mod key;
mod rule;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod value;

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place};
use crate::limits::QUERY_PARAMETER_COUNT_MAX;
use crate::plan::{
    BodyPlan, Cardinality, FieldIndex, FieldPlan, FieldStep, Kind, MessageIndex, MessagePlan, Plan,
    RoutePlan, Tag, VariablePlan,
};
use crate::text::percent::{self, Scope};
use crate::to_wire;
use crate::wire::read::END_GROUP;
use crate::wire::write;

use earlier::{Admission, Earlier};
use key::Key;
pub(crate) use key::can_be_given;
pub use rule::QueryRule;

pub use explain::{Fate, Parameter};
pub(crate) use explain::{capture_text, parameters};

/// The parts of a request that are bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'t> {
    /// Still percent-encoded.
    pub(crate) path: &'t [u8],
    /// One range of `path` for each variable of the route, in order.
    pub(crate) captures: &'t [Range<u32>],
    /// Without the question mark; still percent-encoded.
    pub(crate) query: &'t [u8],
    /// Where the query begins in the request target, for errors.
    pub(crate) query_offset: usize,
    /// The body, if it is a form and no JSON; still percent-encoded. Where the rule has no body, its fields are those of the query (SEMANTICS 119).
    pub(crate) form: &'t [u8],
    pub(crate) rule: &'t QueryRule,
}

/// Where a parameter stands, and so which fields it may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Fields of the input that the body leaves alone.
    Query,
    /// Fields of the message that the body is (SEMANTICS 66).
    Form,
}

/// Memory that [`bind`] works with; keep one per thread and reuse it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The key of a query parameter, decoded.
    key: Vec<u8>,
    /// A capture or the value of a query parameter, decoded.
    text: Vec<u8>,
    /// The field path of the query parameter at hand.
    steps: Vec<FieldStep>,
    /// The key of a map entry at hand, as it is on the wire.
    map_key: Vec<u8>,
    /// What has been bound so far.
    earlier: Earlier,
    writing: Writing,
}

impl Scratch {
    /// Whether the path or the query of the request that was bound last gave this field of the input, or one inside of it.
    pub(crate) fn binds(&self, field: FieldIndex) -> bool {
        self.earlier.binds(field)
    }
}

/// What is needed while one binding is written.
#[derive(Debug, Default)]
struct Writing {
    /// Offsets of the lengths of the messages that are open.
    lengths: Vec<usize>,
    json: to_wire::Scratch,
}

/// Appends the parameters of form and query, and then the captures of one request to the message that begins at `message_start` in `out`; what
/// stands there already is the body.
///
/// # Errors
/// With [`Place::Query`] or [`Place::Form`], or with [`Place::Path`] and the offset in the path. `out` is then as it was.
pub(crate) fn bind(
    plan: &Plan,
    route: &RoutePlan,
    input: MessageIndex,
    target: Target<'_>,
    message_start: usize,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let binder = Binder {
        plan,
        route,
        input,
        target,
        body: message_start..out.len(),
    };
    let result = binder
        .remember_captures(&mut scratch.earlier)
        .and_then(|()| binder.bind_form(scratch, out))
        .and_then(|()| binder.bind_query(scratch, out))
        .and_then(|()| binder.bind_path(scratch, out));
    if result.is_err() {
        out.truncate(binder.body.end);
    }
    result
}

/// Whether the route's requests have a field of this name that takes the query keys which no field has (SEMANTICS 58).
pub(crate) fn can_capture(plan: &Plan, route: &RoutePlan, input: MessageIndex, name: &str) -> bool {
    let field = find_beside_body(plan.message(input), route, name);
    field.is_some_and(|field| captured::takes(plan, field))
}

/// The field of this name, unless the body gives it.
fn find_beside_body<'p>(
    input: &'p MessagePlan,
    route: &RoutePlan,
    name: &str,
) -> Option<&'p FieldPlan> {
    let field = input.find_field(name.as_bytes())?;
    (route.body != BodyPlan::Field(field)).then(|| input.field(field))
}

struct Binder<'b> {
    plan: &'b Plan,
    route: &'b RoutePlan,
    input: MessageIndex,
    target: Target<'b>,
    /// Where in the buffer the body is.
    body: Range<usize>,
}

impl Binder<'_> {
    /// The captures come first, although they are written last: the query must give way to them.
    fn remember_captures(&self, earlier: &mut Earlier) -> Result<(), Error> {
        earlier.clear();
        for ((index, variable), range) in (0..).zip(&self.route.variables).zip(self.target.captures)
        {
            earlier
                .admit_capture(self.plan, &variable.path)
                .map_err(|kind| Error::at(kind, Place::Path(index), range.start as usize))?;
        }
        Ok(())
    }

    fn bind_query(&self, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), Error> {
        // SEMANTICS 48, 70: with `body: "*"` there are no query fields, unless the rule says so. Raw bytes have none in any case.
        let is_whole = self.route.body == BodyPlan::Whole;
        let is_merged = self.target.rule.merges_into_whole_body && !self.route.takes_raw_body;
        if (is_whole && !is_merged) || self.target.query.is_empty() {
            return Ok(());
        }
        let offset = self.target.query_offset;
        let origin = (Origin::Query, Place::Query);
        self.bind_parameters(self.target.query, offset, origin, scratch, out)
    }

    fn bind_form(&self, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.target.form.is_empty() {
            return Ok(());
        }
        // SEMANTICS 119: without a body in the rule, a form is a query in another place.
        let origin = match self.route.body {
            BodyPlan::Ignored => Origin::Query,
            BodyPlan::Whole | BodyPlan::Field(_) => Origin::Form,
        };
        self.bind_parameters(self.target.form, 0, (origin, Place::Form), scratch, out)
    }

    /// Binds parameters, which begin at `offset` of the place where they stand.
    fn bind_parameters(
        &self,
        parameters: &[u8],
        mut offset: usize,
        (origin, place): (Origin, Place),
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut count = 0;
        // SEMANTICS 60: only `&` separates; `;` is data.
        for parameter in parameters.split(|&byte| byte == b'&') {
            if !parameter.is_empty() {
                count += 1;
                // SEMANTICS 61.
                if count > QUERY_PARAMETER_COUNT_MAX {
                    return Err(Error::at(ErrorKind::TooManyParameters, place, offset));
                }
                self.bind_parameter(parameter, origin, scratch, out)
                    .map_err(|kind| Error::at(kind, place, offset))?;
            }
            offset += parameter.len() + 1;
        }
        Ok(())
    }

    fn bind_parameter(
        &self,
        parameter: &[u8],
        origin: Origin,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        let (raw_key, raw_value) = percent::split_parameter(parameter);
        // SEMANTICS 60: a bad escape is refused even where the parameter would be ignored.
        let key = decode(raw_key, Scope::Query, &mut scratch.key)?;
        let text = decode(raw_value, Scope::Query, &mut scratch.text)?;

        // SEMANTICS 58.
        if origin == Origin::Query && self.ignores(key) {
            return Ok(());
        }
        scratch.steps.clear();
        let steps = &mut scratch.steps;
        let map_key = match self.find(key, origin, steps)? {
            // SEMANTICS 58, 69: captured, ignored or refused by option.
            Key::Unknown if origin == Origin::Query && self.captures(key, text, out)? => {
                return Ok(());
            }
            Key::Unknown => return self.refuse_if_strict(ErrorKind::UnknownParameter, origin),
            Key::Field => None,
            Key::Entry(map_key) => {
                scratch.map_key.clear();
                let (json, wire) = (&mut scratch.writing.json, &mut scratch.map_key);
                write_map_key(self.plan, steps, map_key, json, wire)?;
                Some(&*scratch.map_key)
            }
        };
        // SEMANTICS 51: on the wire the last one wins, but for values that add up.
        let last_wins = origin == Origin::Query
            && self.target.rule.last_wins
            && last_field(self.plan, steps).is_some_and(|field| !value::adds_up(self.plan, field));
        let earlier = &mut scratch.earlier;
        match earlier.admit_parameter(self.plan, steps, map_key, last_wins)? {
            Admission::Bind => {}
            Admission::PathWins => return self.refuse_if_strict(ErrorKind::GivenTwice, origin),
        }
        if origin == Origin::Query && self.body_is_sibling(steps) {
            return Err(ErrorKind::OneofConflict);
        }
        let binding = Binding {
            steps,
            map_key,
            text,
        };
        write_binding(self.plan, &binding, &mut scratch.writing, out)
    }

    /// Finds what a key names, and appends the path from the input to `steps`.
    fn find<'k>(
        &self,
        key: &'k [u8],
        origin: Origin,
        steps: &mut Vec<FieldStep>,
    ) -> Result<Key<'k>, ErrorKind> {
        match (origin, self.route.body) {
            (Origin::Query, body) => key::find(self.plan, self.input, body, key, steps),
            (Origin::Form, BodyPlan::Field(field)) => {
                let message = self.input;
                let kind = self.plan.message(message).field(field).kind;
                let (Kind::Message(inner) | Kind::Group(inner)) = kind else {
                    return Ok(Key::Unknown);
                };
                steps.push(FieldStep { message, field });
                key::find(self.plan, inner, BodyPlan::Ignored, key, steps)
            }
            (Origin::Form, _) => key::find(self.plan, self.input, BodyPlan::Ignored, key, steps),
        }
    }

    /// Whether the body has set another member of the oneof that a query key begins in (SEMANTICS 45). Under a query the body is one field
    /// of the input, which no key leads into, so the plan knows: the body is not read again for each of the parameters.
    fn body_is_sibling(&self, steps: &[FieldStep]) -> bool {
        let (BodyPlan::Field(body), Some(first)) = (self.route.body, steps.first()) else {
            return false;
        };
        let input = self.plan.message(self.input);
        let oneof = input.field(first.field).oneof;
        !self.body.is_empty() && oneof.is_some() && oneof == input.field(body).oneof
    }

    fn ignores(&self, key: &[u8]) -> bool {
        let ignored = &self.target.rule.ignored_keys;
        ignored.iter().any(|ignored| ignored.as_bytes() == key)
    }

    /// Appends an unknown key to the field that takes them, if the input has one that the body leaves alone, and says whether it did.
    fn captures(&self, key: &[u8], text: &[u8], out: &mut Vec<u8>) -> Result<bool, ErrorKind> {
        let Some(name) = &self.target.rule.captured_by else {
            return Ok(false);
        };
        let input = self.plan.message(self.input);
        match find_beside_body(input, self.route, name) {
            Some(field) => captured::write(self.plan, field, key, text, out),
            None => Ok(false),
        }
    }

    fn refuse_if_strict(&self, kind: ErrorKind, origin: Origin) -> Result<(), ErrorKind> {
        let options = &self.plan.options;
        let is_strict = match origin {
            Origin::Query => options.reject_unknown_query,
            Origin::Form => options.reject_unknown_fields,
        };
        if is_strict {
            return Err(kind);
        }
        Ok(())
    }

    fn bind_path(&self, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), Error> {
        debug_assert_eq!(self.route.variables.len(), self.target.captures.len());
        for ((index, variable), range) in (0..).zip(&self.route.variables).zip(self.target.captures)
        {
            let range = range.start as usize..range.end as usize;
            let offset = range.start;
            let capture = self.target.path.get(range).unwrap_or_default();
            self.bind_capture(variable, capture, scratch, out)
                .map_err(|kind| Error::at(kind, Place::Path(index), offset))?;
        }
        Ok(())
    }

    fn bind_capture(
        &self,
        variable: &VariablePlan,
        capture: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        // SEMANTICS 15, 18.
        let scope = if variable.is_single_segment {
            Scope::Segment
        } else {
            Scope::Segments
        };
        let text = decode(capture, scope, &mut scratch.text)?;
        if body::sets_sibling(self.plan, out, self.body.clone(), &variable.path)? {
            return Err(ErrorKind::OneofConflict);
        }
        // A list cannot be overwritten by appending to it: what the body sent would stay (SEMANTICS 44).
        if last_field(self.plan, &variable.path)
            .is_some_and(|field| value::adds_up(self.plan, field))
            && body::sets_field(self.plan, out, self.body.clone(), &variable.path)?
        {
            return Err(ErrorKind::GivenTwice);
        }
        let binding = Binding {
            steps: &variable.path,
            map_key: None,
            text,
        };
        write_binding(self.plan, &binding, &mut scratch.writing, out)
    }
}

fn decode<'t>(raw: &'t [u8], scope: Scope, buffer: &'t mut Vec<u8>) -> Result<&'t [u8], ErrorKind> {
    // SEMANTICS 27, 60.
    percent::decode_if_escaped(raw, scope, buffer)
        .ok()
        .ok_or(ErrorKind::BadPercentEscape)
}

/// The field that a path ends in.
fn last_field<'p>(plan: &'p Plan, steps: &[FieldStep]) -> Option<&'p FieldPlan> {
    let step = steps.last()?;
    Some(plan.message(step.message).field(step.field))
}

/// Key and value of the entries of a field, if it is a map.
fn entry_fields<'p>(plan: &'p Plan, field: &FieldPlan) -> Option<(&'p FieldPlan, &'p FieldPlan)> {
    let (Kind::Message(entry), Cardinality::Map) = (field.kind, field.cardinality) else {
        return None;
    };
    let entry = plan.message(entry);
    Some((entry.field(FieldIndex(0)), entry.field(FieldIndex(1))))
}

/// Appends the key field of an entry of the map that `steps` leads to.
fn write_map_key(
    plan: &Plan,
    steps: &[FieldStep],
    text: &[u8],
    json: &mut to_wire::Scratch,
    wire: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let (key_field, _) = last_field(plan, steps)
        .and_then(|map| entry_fields(plan, map))
        .ok_or(ErrorKind::MapNotBindable)?;
    value::write(plan, key_field, text, json, wire)
}

/// Text for a field.
struct Binding<'b> {
    /// From the input message down to the field.
    steps: &'b [FieldStep],
    /// The key field of a map entry, as it is on the wire, if the field is a map.
    map_key: Option<&'b [u8]>,
    /// Decoded.
    text: &'b [u8],
}

/// Appends one value inside as many messages as its path has steps before the last.
fn write_binding(
    plan: &Plan,
    binding: &Binding<'_>,
    writing: &mut Writing,
    out: &mut Vec<u8>,
) -> Result<(), ErrorKind> {
    let Some((last, parents)) = binding.steps.split_last() else {
        return Ok(());
    };
    writing.lengths.clear();
    for step in parents {
        let parent = plan.message(step.message).field(step.field);
        out.extend_from_slice(parent.tag.as_bytes());
        if !matches!(parent.kind, Kind::Group(_)) {
            writing.lengths.push(write::open(out));
        }
    }
    let field = plan.message(last.message).field(last.field);
    match (binding.map_key, entry_fields(plan, field)) {
        (Some(map_key), Some((_, value_field))) => {
            out.extend_from_slice(field.tag.as_bytes());
            let entry = write::open(out);
            out.extend_from_slice(map_key);
            value::write(plan, value_field, binding.text, &mut writing.json, out)?;
            write::close(out, entry);
        }
        _ => value::write(plan, field, binding.text, &mut writing.json, out)?,
    }
    for step in parents.iter().rev() {
        let parent = plan.message(step.message).field(step.field);
        if matches!(parent.kind, Kind::Group(_)) {
            out.extend_from_slice(Tag::new(parent.number, END_GROUP).as_bytes());
        } else if let Some(at) = writing.lengths.pop() {
            write::close(out, at);
        }
    }
    Ok(())
}
