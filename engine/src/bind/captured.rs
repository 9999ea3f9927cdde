//! Query keys that no field has, kept in one that takes them (SEMANTICS 58). In: a key and its value, decoded. Out: an entry of that field.
//! Always: nothing is written for a field of another type.

use super::entry_fields;
use crate::error::ErrorKind;
use crate::plan::{Cardinality, FieldPlan, Form, Kind, Plan, Tag};
use crate::text::utf8;
use crate::wire::read::LEN;
use crate::wire::write;

/// Field 1 of `Struct`, and of an entry of a map.
const FIRST: Tag = Tag::new(1, LEN);
/// Field 2 of an entry of a map.
const VALUE: Tag = Tag::new(2, LEN);
/// Field 3 of `Value`.
const STRING_VALUE: Tag = Tag::new(3, LEN);

/// Appends one entry, if the field is a `Struct` or a map of strings, and says whether it is.
pub(super) fn write(
    plan: &Plan,
    field: &FieldPlan,
    key: &[u8],
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, ErrorKind> {
    if !takes(plan, field) {
        return Ok(false);
    }
    // SEMANTICS 60.
    if !utf8::is_valid(key) || !utf8::is_valid(text) {
        return Err(ErrorKind::InvalidUtf8);
    }
    out.extend_from_slice(field.tag.as_bytes());
    let outer = write::open(out);
    if is_struct(plan, field) {
        out.extend_from_slice(FIRST.as_bytes());
        let entry = write::open(out);
        string(FIRST, key, out);
        out.extend_from_slice(VALUE.as_bytes());
        let value = write::open(out);
        string(STRING_VALUE, text, out);
        write::close(out, value);
        write::close(out, entry);
    } else {
        string(FIRST, key, out);
        string(VALUE, text, out);
    }
    write::close(out, outer);
    Ok(true)
}

/// Whether the field is of a type that takes such keys.
pub(super) fn takes(plan: &Plan, field: &FieldPlan) -> bool {
    is_struct(plan, field) || is_map_of_strings(plan, field)
}

fn is_struct(plan: &Plan, field: &FieldPlan) -> bool {
    match (field.kind, field.cardinality) {
        // A member of a oneof could contradict another one.
        (Kind::Message(message), Cardinality::Singular) => {
            plan.message(message).form == Form::Struct && field.oneof.is_none()
        }
        _ => false,
    }
}

fn is_map_of_strings(plan: &Plan, field: &FieldPlan) -> bool {
    entry_fields(plan, field)
        .is_some_and(|(key, value)| (key.kind, value.kind) == (Kind::String, Kind::String))
}

fn string(tag: Tag, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(tag.as_bytes());
    write::varint(text.len() as u64, out);
    out.extend_from_slice(text);
}
