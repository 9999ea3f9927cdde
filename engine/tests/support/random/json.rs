//! JSON said otherwise. In: the JSON of a message, its descriptor and decisions. Out: another text that means the same message: the other
//! name of a field, numbers in quotes, escapes, members nobody knows. Always: the text is JSON.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::Choices;

/// Writes `json` again, which is what a message with this descriptor is in JSON, with JSON names.
pub(crate) fn write_otherwise(
    message: &MessageDescriptor,
    json: &Value,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    match (message.full_name(), json) {
        ("google.protobuf.Any", Value::Object(members)) => any(message, members, choices, out),
        ("google.protobuf.Empty", _) => out.push_str("{}"),
        (name, _) if name.starts_with("google.protobuf.") => {
            match message.get_field_by_name("value") {
                // A wrapper.
                Some(value) if name.ends_with("Value") => scalar(&value.kind(), json, choices, out),
                _ => out.push_str(&json.to_string()),
            }
        }
        (_, Value::Object(members)) => {
            out.push('{');
            object_members(message, members, choices, out);
            close('}', out);
        }
        (name, other) => panic!("{name} is {other}"),
    }
}

type Members = serde_json::Map<String, Value>;

/// The members, each with a comma behind it.
fn object_members(
    message: &MessageDescriptor,
    members: &Members,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    for field in message.fields() {
        let name = if choices.below(2) == 0 {
            field.json_name()
        } else {
            field.name()
        };
        let Some(value) = members.get(field.json_name()) else {
            // Null is nothing, but to what has null for a value, and to a oneof whose other member is there.
            if !has_null(&field) && field.containing_oneof().is_none() && choices.one_in(8) {
                string(name, choices, out);
                out.push_str(":null,");
            }
            continue;
        };
        string(name, choices, out);
        out.push_str(choices.pick(&[":", " :\t", ": "]));
        match value {
            Value::Array(elements) if field.is_list() => {
                out.push('[');
                for element in elements {
                    value_of(&field.kind(), element, choices, out);
                    out.push(',');
                }
                close(']', out);
            }
            Value::Object(entries) if field.is_map() => {
                let Kind::Message(entry) = field.kind() else {
                    unreachable!("a map has entries")
                };
                let kind = entry.map_entry_value_field().kind();
                out.push('{');
                for (key, value) in entries {
                    string(key, choices, out);
                    out.push(':');
                    value_of(&kind, value, choices, out);
                    out.push(',');
                }
                close('}', out);
            }
            value => value_of(&field.kind(), value, choices, out),
        }
        out.push_str(choices.pick(&[",", " ,\n", ", "]));
    }
    if choices.one_in(6) {
        out.push_str(choices.pick(&[
            "\"nosuch\":null,",
            "\"no\\nsuch\":[{\"a\":[1e400,\"\\ud83d\\ude00\"]},{}],",
            "\"f\":-0.5,",
        ]));
    }
}

fn has_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(each) => each.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn any(
    message: &MessageDescriptor,
    members: &Members,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    let Some(Value::String(url)) = members.get("@type") else {
        out.push_str("{}");
        return;
    };
    let name = url.rsplit('/').next().unwrap();
    let held = message.parent_pool().get_message_by_name(name).unwrap();
    let mut inside = String::new();
    if name.starts_with("google.protobuf.") {
        inside.push_str("\"value\":");
        write_otherwise(&held, &members["value"], choices, &mut inside);
        inside.push(',');
    } else {
        let mut members = members.clone();
        members.remove("@type");
        object_members(&held, &members, choices, &mut inside);
    }
    let mut parts = [format!("\"@type\":\"{url}\","), inside];
    if choices.below(2) == 1 {
        parts.reverse();
    }
    out.push('{');
    out.push_str(&parts.concat());
    close('}', out);
}

fn value_of(kind: &Kind, json: &Value, choices: &mut Choices<'_>, out: &mut String) {
    match kind {
        Kind::Message(message) => write_otherwise(message, json, choices, out),
        kind => scalar(kind, json, choices, out),
    }
}

fn scalar(kind: &Kind, json: &Value, choices: &mut Choices<'_>, out: &mut String) {
    let is_integer = !matches!(kind, Kind::Double | Kind::Float);
    match (kind, json) {
        (Kind::String, Value::String(text)) => string(text, choices, out),
        (Kind::Bytes, Value::String(text)) => {
            let url = choices.below(2) == 1;
            let text = if url {
                text.replace('+', "-")
                    .replace('/', "_")
                    .trim_end_matches('=')
                    .to_owned()
            } else {
                text.clone()
            };
            string(&text, choices, out);
        }
        (Kind::Enum(each), Value::String(name)) if choices.below(2) == 1 => {
            let number = each.get_value_by_name(name).unwrap().number();
            write!(out, "{number}").unwrap();
        }
        (Kind::Enum(_), Value::String(name)) => string(name, choices, out),
        // 64 bits are in quotes, and so are floats that are no numbers.
        (_, Value::String(text)) if is_integer && choices.below(2) == 1 => out.push_str(text),
        (_, Value::String(text)) => string(text, choices, out),
        (_, Value::Number(number)) => {
            let text = match choices.below(4) {
                1 => format!("\"{number}\""),
                2 if is_integer && number.as_i64().is_some_and(|value| value % 10 == 0) => {
                    format!("{}e1", number.as_i64().unwrap() / 10)
                }
                3 if is_integer => format!("{number}.0"),
                _ => number.to_string(),
            };
            // An enum has no number in quotes.
            let text = if matches!(kind, Kind::Enum(_)) {
                number.to_string()
            } else {
                text
            };
            out.push_str(&text);
        }
        (_, other) => write!(out, "{other}").unwrap(),
    }
}

/// A string, some of its characters as escapes.
fn string(text: &str, choices: &mut Choices<'_>, out: &mut String) {
    if choices.below(3) != 2 {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for unit in text.encode_utf16() {
        write!(out, "\\u{unit:04x}").unwrap();
    }
    out.push('"');
}

/// The last comma gives way to the bracket.
fn close(bracket: char, out: &mut String) {
    let len = out.trim_end().len();
    if out.trim_end().ends_with(',') {
        out.truncate(len - 1);
    }
    out.push(bracket);
}
