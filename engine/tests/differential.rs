//! This engine against others, on texts nobody wrote by hand: prost-reflect must find the same meaning, `serde_json` and simd-json
//! must agree about what is JSON. Where another is known to be wrong, what it gets wrong is not generated, and the cases cover it.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage,
};
use std::fmt::Write as _;
use std::sync::LazyLock;
use transom_engine::error::{Context, ErrorKind};
use transom_engine::{Error, Schema, to_wire};

struct Schemas {
    pool: DescriptorPool,
    schema: Schema,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let descriptors = protox::compile(["kinds.proto", "proto2.proto"], ["../protos/test"])
        .expect("the test schemas compile")
        .encode_to_vec();
    Schemas {
        pool: DescriptorPool::decode(&descriptors[..]).expect("the descriptors link"),
        schema: Schema::from_descriptor_set(&descriptors).expect("the schema compiles"),
    }
});

const MESSAGES: [&str; 4] = [
    "transom.test.v1.Everything",
    "transom.test.v1.Maps",
    "transom.test.v1.Choice",
    "transom.test.proto2.Old",
];

fn convert(message: &str, json: &[u8]) -> Result<Vec<u8>, Error> {
    let message = SCHEMAS
        .schema
        .message(message)
        .expect("it is in the schema");
    let mut wire = Vec::new();
    to_wire(message, json, &mut to_wire::Scratch::default(), &mut wire)?;
    Ok(wire)
}

/// Random bytes as a row of decisions; when they run out, every decision is the first choice, which is the simplest.
struct Choices<'b>(std::slice::Iter<'b, u8>);

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let [low, high] = [0, 1].map(|_| self.0.next().copied().unwrap_or(0));
        usize::from(u16::from_le_bytes([low, high])) % bound
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn is_spent(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

/// Writes JSON that fits the message.
fn write_message(
    message: &MessageDescriptor,
    depth: usize,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    match message.full_name() {
        "google.protobuf.Timestamp" => {
            return out.push_str(choices.of(&[
                "\"1970-01-01T00:00:00Z\"",
                "\"2026-11-22T13:14:05.25Z\"",
                "\"0001-01-01T00:00:00Z\"",
                "\"9999-12-31T23:59:59.999999999Z\"",
                "\"1969-12-31T23:59:59.5-08:30\"",
            ]));
        }
        "google.protobuf.Duration" => {
            return out.push_str(choices.of(&[
                "\"0s\"",
                "\"1.5s\"",
                "\"-0.000000001s\"",
                "\"315576000000s\"",
                "\"-3s\"",
            ]));
        }
        "google.protobuf.FieldMask" => {
            return out.push_str(choices.of(&["\"\"", "\"fooBar\"", "\"a,b.cD\""]));
        }
        "google.protobuf.Value" => return write_any_json(depth, false, choices, out),
        "google.protobuf.Struct" => return write_any_object(depth, choices, out),
        "google.protobuf.ListValue" => return write_any_array(depth, choices, out),
        "google.protobuf.Empty" => return out.push_str("{}"),
        "google.protobuf.Any" => return write_any(depth, choices, out),
        name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
            let value = message
                .get_field_by_name("value")
                .expect("a wrapper has it");
            return write_scalar(&value.kind(), choices, out);
        }
        _ => {}
    }
    out.push('{');
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    let mut oneofs = Vec::new();
    let mut separator = "";
    while !fields.is_empty() && !choices.is_spent() && choices.below(8) != 7 {
        let field = fields.swap_remove(choices.below(fields.len()));
        if let Some(oneof) = field.containing_oneof() {
            if oneofs.contains(&oneof) {
                continue;
            }
            oneofs.push(oneof);
        }
        if depth == 0 {
            continue;
        }
        out.push_str(separator);
        separator = choices.of(&[",", ", ", "\n,"]);
        let name = if choices.below(2) == 0 {
            field.json_name()
        } else {
            field.name()
        };
        // Two names of `Names` cross, and which of them is meant is not agreed upon.
        let name = if name.starts_with("cross") {
            "unknown"
        } else {
            name
        };
        out.push_str(&serde_json::to_string(name).expect("a string has a JSON form"));
        out.push_str(choices.of(&[":", " : ", ":\t"]));
        write_field(&field, depth - 1, choices, out);
    }
    out.push('}');
}

/// Writes an `Any`, its type at any place among its members.
fn write_any(depth: usize, choices: &mut Choices<'_>, out: &mut String) {
    let name = choices.of(&[
        "transom.test.v1.Nested",
        "google.protobuf.Duration",
        "transom.test.v1.WellKnown",
        "google.protobuf.Any",
        "transom.test.v1.Scalars",
        "google.protobuf.Value",
        "google.protobuf.Empty",
        "google.protobuf.Int64Value",
        "transom.test.v1.WellKnownLists",
    ]);
    let message = SCHEMAS
        .pool
        .get_message_by_name(name)
        .expect("it is in the pool");
    let mut held = String::new();
    // The other one knows no `Any` without a type.
    if name == "google.protobuf.Any" && depth == 0 {
        held.push_str("{\"@type\":\"/transom.test.v1.Nested\"}");
    } else {
        write_message(&message, depth.saturating_sub(1), choices, &mut held);
    }
    let mut members = vec![format!("\"@type\": \"type.googleapis.com/{name}\"")];
    if name.starts_with("transom.") {
        let inside = &held[1..held.len() - 1];
        members.extend((!inside.is_empty()).then(|| inside.to_owned()));
    } else {
        members.push(format!("\"value\":{held}"));
    }
    if choices.below(4) == 0 {
        members.push("\"unknown\":[{\"@type\":1}]".to_owned());
    }
    let turn = choices.below(members.len());
    members.rotate_left(turn);
    out.push('{');
    out.push_str(&members.join(choices.of(&[",", " ,\n"])));
    out.push('}');
}

fn write_field(field: &FieldDescriptor, depth: usize, choices: &mut Choices<'_>, out: &mut String) {
    let count = choices.below(4);
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            unreachable!()
        };
        let keys: &[&str] = match entry.map_entry_key_field().kind() {
            Kind::String => &["", "a", "b\\n", "é", "longer than the rest"],
            Kind::Bool => &["true", "false"],
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => {
                &["0", "1", "4294967295", "77"]
            }
            _ => &["0", "-1", "2147483647", "-2147483648"],
        };
        out.push('{');
        for (index, key) in keys.iter().take(count).enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            write!(out, "\"{key}\":").expect("a string takes all");
            write_value(&entry.map_entry_value_field().kind(), depth, choices, out);
        }
        out.push('}');
    } else if field.cardinality() == Cardinality::Repeated {
        out.push('[');
        for index in 0..count {
            out.push_str(if index == 0 { "" } else { " , " });
            write_value(&field.kind(), depth, choices, out);
        }
        out.push(']');
    } else {
        write_value(&field.kind(), depth, choices, out);
    }
}

fn write_value(kind: &Kind, depth: usize, choices: &mut Choices<'_>, out: &mut String) {
    match kind {
        Kind::Message(message) => write_message(message, depth, choices, out),
        kind => write_scalar(kind, choices, out),
    }
}

fn write_scalar(kind: &Kind, choices: &mut Choices<'_>, out: &mut String) {
    out.push_str(match kind {
        Kind::Bool => choices.of(&["false", "true"]),
        Kind::String => choices.of(&["\"\"", "\"a\"", "\"\\u0000\\ud83d\\ude00\\n\"", "\"é😀 and more\"", "\"a string that is longer than the words a scan takes at once, by far, and more than 128 bytes long in all so that its length takes two\""]),
        Kind::Bytes => choices.of(&["\"\"", "\"AQ==\"", "\"AQID\"", "\"-_8\"", "\"+\\/8=\""]),
        // prost takes negative zero for the default, and loses it.
        Kind::Double => choices.of(&["0", "1.5", "1e300", "\"2.5\"", "\"-Infinity\"", "4.9e-324", "0.1", "123456789012345678901234567890"]),
        Kind::Float => choices.of(&["0", "1.5", "\"2.5\"", "\"Infinity\"", "0.1"]),
        Kind::Enum(each) if each.full_name() == "google.protobuf.NullValue" => "null",
        Kind::Enum(each) => {
            let values: Vec<_> = each.values().collect();
            let value = &values[choices.below(values.len())];
            let by_name = choices.below(2) == 0;
            let text = if by_name { format!("\"{}\"", value.name()) } else { value.number().to_string() };
            return out.push_str(&text);
        }
        Kind::Uint32 | Kind::Fixed32 => choices.of(&["0", "1", "\"7\"", "4294967295", "300"]),
        Kind::Uint64 | Kind::Fixed64 => choices.of(&["0", "1", "\"18446744073709551615\"", "18446744073709551615", "9007199254740993"]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => choices.of(&["0", "-1", "\"7\"", "2147483647", "-2147483648"]),
        _ => choices.of(&["0", "-1", "\"9223372036854775807\"", "-9223372036854775808", "9007199254740993"]),
    });
}

fn write_any_json(depth: usize, is_nested: bool, choices: &mut Choices<'_>, out: &mut String) {
    match choices.below(if depth == 0 { 6 } else { 8 }) {
        0 if is_nested => out.push_str("null"),
        0 | 1 => out.push_str("true"),
        2 => write_scalar(&Kind::String, choices, out),
        3..6 => out.push_str(choices.of(&["0", "-1.5e3", "0.25", "1e300"])),
        6 => write_any_array(depth - 1, choices, out),
        _ => write_any_object(depth - 1, choices, out),
    }
}

fn write_any_array(depth: usize, choices: &mut Choices<'_>, out: &mut String) {
    out.push('[');
    for index in 0..choices.below(4) {
        out.push_str(if index == 0 { "" } else { "," });
        write_any_json(depth, true, choices, out);
    }
    out.push(']');
}

fn write_any_object(depth: usize, choices: &mut Choices<'_>, out: &mut String) {
    out.push('{');
    for (index, key) in ["", "a", "é\\t", "b"]
        .iter()
        .take(choices.below(5))
        .enumerate()
    {
        out.push_str(if index == 0 { "" } else { "," });
        write!(out, "\"{key}\":").expect("a string takes all");
        write_any_json(depth, true, choices, out);
    }
    out.push('}');
}

/// A message and JSON that fits it.
fn fitting_json() -> impl Strategy<Value = (&'static str, String)> {
    (
        0..MESSAGES.len(),
        proptest::collection::vec(any::<u8>(), 0..600),
    )
        .prop_map(|(index, bytes)| {
            let message = SCHEMAS
                .pool
                .get_message_by_name(MESSAGES[index])
                .expect("it is in the pool");
            let mut text = String::new();
            write_message(&message, 5, &mut Choices(bytes.iter()), &mut text);
            (MESSAGES[index], text)
        })
}

/// Whether the fault is one of syntax: then the text is no JSON for anyone.
fn is_syntax(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEnd
            | ErrorKind::ExpectedValue
            | ErrorKind::ExpectedKey
            | ErrorKind::ExpectedColon
            | ErrorKind::ExpectedCommaOrClose
            | ErrorKind::TrailingData
            | ErrorKind::InvalidNumber
            | ErrorKind::InvalidEscape
            | ErrorKind::LoneSurrogate
            | ErrorKind::ControlCharacter
            | ErrorKind::InvalidUtf8
            | ErrorKind::ByteOrderMark
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_that_fits_means_the_same_to_prost_reflect((message, text) in fitting_json()) {
        let wire = convert(message, text.as_bytes());
        let wire = wire.map_err(|error| TestCaseError::fail(format!("{error:?} in {text}")))?;
        let descriptor = SCHEMAS.pool.get_message_by_name(message).unwrap();
        let ours = DynamicMessage::decode(descriptor.clone(), &wire[..]).unwrap();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let theirs = DynamicMessage::deserialize_with_options(
            descriptor,
            &mut deserializer,
            &prost_reflect::DeserializeOptions::new().deny_unknown_fields(false),
        );
        let theirs = theirs.map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
        // It tells an empty list that was given from one that was not, until it is encoded.
        let theirs = DynamicMessage::decode(theirs.descriptor(), &theirs.encode_to_vec()[..]).unwrap();
        // It writes what an `Any` holds in the order of numbers, and maps in any order.
        let is_same = ours == theirs
            || serde_json::to_value(&ours).unwrap() == serde_json::to_value(&theirs).unwrap();
        prop_assert!(is_same, "{}", text);
    }

    /// Goal: no two readers of one body differ about whether it is JSON. Method: a text that fits is hurt at one or two places.
    #[test]
    fn hurt_json_is_judged_as_others_judge_it(
        (message, text) in fitting_json(),
        hurts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4, any::<u8>(), 0..24_usize), 1..3),
    ) {
        let mut text = text.into_bytes();
        for (place, act, byte, token) in hurts {
            let at = place.index(text.len() + 1);
            match act {
                0 => text.truncate(at),
                1 => _ = (at < text.len()).then(|| text.remove(at)),
                2 => text.insert(at, byte),
                _ => _ = text.splice(at..at, b"{}[],:\"\\0-.eEtfn \n\t\x00\xff\x7fu1".get(token).copied()),
            }
        }
        let ours = convert(message, &text);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        let is_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        let simd = simd_json::to_borrowed_value(&mut text.clone()).is_ok();
        // It refuses integers beyond 64 bits.
        let is_long = text.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > 18);
        match ours {
            Ok(_) => {
                prop_assert!(theirs.is_ok() || is_range, "accepted: {:?}", String::from_utf8_lossy(&text));
                prop_assert!(simd || is_range || is_long, "accepted: {:?}", String::from_utf8_lossy(&text));
            }
            Err(error) => {
                if is_syntax(error.kind) && !is_range {
                    prop_assert!(theirs.is_err(), "refused as {:?}: {:?}", error, String::from_utf8_lossy(&text));
                    prop_assert!(!simd, "refused as {:?}: {:?}", error, String::from_utf8_lossy(&text));
                }
                let mut words = String::new();
                error.write_text(&Context { body: &text, ..Context::default() }, &mut words);
                prop_assert!(words.starts_with("body") && words.len() < 600, "{}", words);
                prop_assert!(error.offset as usize <= text.len());
            }
        }
    }
}
