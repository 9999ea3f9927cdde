//! What the body has set, as far as a capture must know. In: the bytes that `to_wire` wrote for the body, and a field path.
//! Out: whether the body set that field, or a sibling in a oneof. Always: the bytes are walked only along the path.

use std::ops::Range;

use crate::error::ErrorKind;
use crate::plan::{FieldStep, Plan};
use crate::wire::read::{LEN, Reader, START_GROUP};

/// Whether the body set another member of a oneof through which `steps` leads (SEMANTICS 45).
pub(super) fn sets_sibling(
    plan: &Plan,
    out: &[u8],
    body: Range<usize>,
    steps: &[FieldStep],
) -> Result<bool, ErrorKind> {
    let leads_through_oneof = || {
        steps
            .iter()
            .any(|step| plan.message(step.message).field(step.field).oneof.is_some())
    };
    if body.is_empty() || !leads_through_oneof() {
        return Ok(false);
    }
    walk(plan, out, body, steps, Wanted::Sibling)
}

/// Whether the body set the field that `steps` leads to.
pub(super) fn sets_field(
    plan: &Plan,
    out: &[u8],
    body: Range<usize>,
    steps: &[FieldStep],
) -> Result<bool, ErrorKind> {
    walk(plan, out, body, steps, Wanted::Field)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Field,
    Sibling,
}

/// Goes as deep as the path has steps.
fn walk(
    plan: &Plan,
    out: &[u8],
    range: Range<usize>,
    steps: &[FieldStep],
    wanted: Wanted,
) -> Result<bool, ErrorKind> {
    let Some((step, below)) = steps.split_first() else {
        return Ok(false);
    };
    let message = plan.message(step.message);
    let oneof = message.field(step.field).oneof;
    let mut reader = Reader::new(out, range);
    while !reader.is_at_end() {
        let (number, wire_type) = reader.tag().map_err(|error| error.kind)?;
        let content = match wire_type {
            LEN => reader.delimited(),
            START_GROUP => reader.group(number, 0, None),
            _ => reader.skip(number, wire_type, 0).map(|()| 0..0),
        };
        let content = content.map_err(|error| error.kind)?;
        let Some(found) = message.numbers.find(number) else {
            continue;
        };
        let is_wanted = if found == step.field {
            (below.is_empty() && wanted == Wanted::Field)
                || walk(plan, out, content, below, wanted)?
        } else {
            wanted == Wanted::Sibling && oneof.is_some() && message.field(found).oneof == oneof
        };
        if is_wanted {
            return Ok(true);
        }
    }
    Ok(false)
}
