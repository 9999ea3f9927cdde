//! Compares JSON by meaning.
//! In: two values and the names of the fields that may differ. Out: the places where they differ, as text.
//! Always: a masked field must still be there on both sides with the same type of value; `1` and `1.0` are the same number.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use serde_json::Value;

/// Characters of a value that a difference shows.
const SHOWN_LEN_MAX: usize = 300;

/// The differences, one a line, each with its place; none means equal.
pub(crate) fn differences(expected: &Value, found: &Value, masked_names: &[&str]) -> Vec<String> {
    let mut differences = Vec::new();
    compare("$", expected, found, masked_names, &mut differences);
    differences
}

fn compare(
    place: &str,
    expected: &Value,
    found: &Value,
    masked_names: &[&str],
    differences: &mut Vec<String>,
) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, expected) in expected {
                let place = format!("{place}.{name}");
                match found.get(name) {
                    None => {
                        differences.push(format!("{place}: missing, expected {}", cut(expected)));
                    }
                    Some(found) if masked_names.contains(&name.as_str()) => {
                        compare_type(&place, expected, found, differences);
                    }
                    Some(found) => compare(&place, expected, found, masked_names, differences),
                }
            }
            for (name, found) in found
                .iter()
                .filter(|(name, _)| !expected.contains_key(*name))
            {
                differences.push(format!(
                    "{place}.{name}: not expected, found {}",
                    cut(found)
                ));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                differences.push(format!(
                    "{place}: expected {} items, found {}",
                    expected.len(),
                    found.len()
                ));
            }
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(
                    &format!("{place}[{index}]"),
                    expected,
                    found,
                    masked_names,
                    differences,
                );
            }
        }
        (Value::Number(left), Value::Number(right))
            if (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64() => {}
        _ if expected == found => {}
        _ => differences.push(format!(
            "{place}: expected {}, found {}",
            cut(expected),
            cut(found)
        )),
    }
}

/// The value as JSON, short enough to read.
fn cut(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        Some((end, _)) => format!(
            "{} and {} bytes more",
            text.get(..end).unwrap_or_default(),
            text.len() - end
        ),
        None => text,
    }
}

/// For a masked value: the same type, and a number in quotes stays a number in quotes.
fn compare_type(place: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    if describe_type(expected) != describe_type(found) {
        differences.push(format!(
            "{place}: expected {} like {expected}, found {found}",
            describe_type(expected)
        ));
    }
}

fn describe_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(text)
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            "a number in quotes"
        }
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
