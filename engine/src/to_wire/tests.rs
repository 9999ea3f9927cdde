use std::fmt::Write as _;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::*;
use crate::Schema;
use crate::error::Place;

fn schema() -> Schema {
    let descriptors = protox::compile(["kinds.proto", "proto2.proto"], ["../protos/test"])
        .unwrap()
        .encode_to_vec();
    Schema::from_descriptor_set(&descriptors).unwrap()
}

fn convert_field(message: &str, field: &str, json: &str) -> Result<Vec<u8>, Error> {
    let schema = schema();
    let message = schema
        .message(&format!("transom.test.v1.{message}"))
        .unwrap();
    let field = schema
        .plan
        .message(message.index)
        .find_field(field.as_bytes())
        .unwrap();
    let mut out = vec![0xaa];
    let result = field_to_wire(
        &schema.plan,
        message.index,
        field,
        json.as_bytes(),
        &mut Scratch::default(),
        &mut out,
    );
    assert_eq!(out.remove(0), 0xaa);
    assert!(result.is_ok() || out.is_empty());
    result.map(|()| out)
}

#[test]
fn a_body_may_be_the_value_of_a_field_of_any_kind() {
    for (message, field, json, wire) in [
        ("Scalars", "f_int32", " 1 ", &b"\x18\x01"[..]),
        ("Scalars", "f_int32", "0", b""),
        ("Optionals", "f_int32", "0", b"\x18\x00"),
        ("Scalars", "f_string", "\"a\"", b"\x72\x01a"),
        ("Lists", "f_int32", "[1,2]", b"\x1a\x02\x01\x02"),
        ("Lists", "f_string", "[\"a\",\"b\"]", b"\x72\x01a\x72\x01b"),
        (
            "Maps",
            "by_bool",
            "{\"true\":true}",
            b"\x5a\x04\x08\x01\x10\x01",
        ),
        ("Nested", "child", "{}", b"\x1a\x00"),
        ("Nested", "child", "{\"count\":5}", b"\x1a\x02\x10\x05"),
        (
            "WellKnown",
            "timestamp",
            "\"1970-01-01T00:00:01Z\"",
            b"\x0a\x02\x08\x01",
        ),
        ("WellKnown", "int32_value", "0", b"\x7a\x00"),
        ("Choice", "one_string", "\"\"", b"\x32\x00"),
    ] {
        assert_eq!(
            convert_field(message, field, json).as_deref(),
            Ok(wire),
            "{field} {json}"
        );
    }
}

/// SEMANTICS 64, 85: but for the types of which null is a value.
#[test]
fn a_body_of_null_leaves_the_field_unset() {
    for (message, field) in [
        ("Scalars", "f_int32"),
        ("Nested", "child"),
        ("Lists", "f_int32"),
        ("Maps", "by_bool"),
        ("WellKnown", "any"),
    ] {
        assert_eq!(convert_field(message, field, "null"), Ok(vec![]), "{field}");
    }
    assert_eq!(
        convert_field("WellKnown", "value", "null").as_deref(),
        Ok(&b"\x2a\x02\x08\x00"[..])
    );
}

#[test]
fn a_body_that_does_not_fit_its_field_is_refused() {
    for (message, field, json, kind, offset) in [
        (
            "Nested",
            "child",
            "[]",
            ErrorKind::Expected(Expected::Object),
            0,
        ),
        (
            "Nested",
            "child",
            "{\"count\":\"x\"}",
            ErrorKind::Expected(Expected::Int32),
            9,
        ),
        ("Nested", "children", "[null]", ErrorKind::NullElement, 1),
        ("Scalars", "f_int32", "1 2", ErrorKind::TrailingData, 2),
        (
            "Scalars",
            "f_int32",
            "null null",
            ErrorKind::TrailingData,
            5,
        ),
        ("Scalars", "f_int32", "", ErrorKind::UnexpectedEnd, 0),
    ] {
        assert_eq!(
            convert_field(message, field, json),
            Err(Error::at(kind, Place::Body, offset)),
            "{field} {json}"
        );
    }
}

/// Goal: what one text leaves in the scratch means nothing to the next. Method: one that is refused in the middle of a map of a nested message.
#[test]
fn a_scratch_forgets_what_was_refused() {
    let schema = schema();
    let message = schema.message("transom.test.v1.Everything").unwrap();
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let cut = br#"{"scalars":{},"maps":{"byString":{"a":"b","c":"#;
    assert!(to_wire(message, cut, &mut scratch, &mut out).is_err());
    assert!(out.is_empty());
    let whole = br#"{"scalars":{},"maps":{"byString":{"a":"b"}}}"#;
    assert_eq!(to_wire(message, whole, &mut scratch, &mut out), Ok(()));
    assert_eq!(out, b"\x0a\x00\x2a\x08\x62\x06\x0a\x01a\x12\x01b");
}

/// Goal: a large text does not cost its thread memory for ever. Method: one with many keys, many long messages and a long escaped key.
#[test]
fn large_scratch_is_given_back() {
    let schema = schema();
    let message = schema.message("transom.test.v1.Everything").unwrap();
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let mut text = format!(
        "{{\"\\n{}\":0,\"maps\":{{\"byInt32\":{{",
        "a".repeat(100_000)
    );
    for index in 0..100_000 {
        write!(text, "{}\"{index}\":1", if index == 0 { "" } else { "," }).unwrap();
    }
    let name = "n".repeat(lengths::MOVE_LEN_MAX);
    let child = format!("{{\"name\":\"{name}\"}}");
    write!(
        text,
        "}}}},\"nested\":{{\"children\":[{}{child}]}}}}",
        format!("{child},").repeat(70_000)
    )
    .unwrap();
    assert_eq!(
        to_wire(message, text.as_bytes(), &mut scratch, &mut out),
        Ok(())
    );
    assert!(scratch.keys.capacity() > COUNT_KEPT && scratch.text.capacity() > COUNT_KEPT);
    assert!(scratch.late.capacity() > COUNT_KEPT);
    assert_eq!(to_wire(message, b"{}", &mut scratch, &mut out), Ok(()));
    assert!(scratch.keys.capacity() <= COUNT_KEPT && scratch.text.capacity() <= COUNT_KEPT);
    assert!(scratch.late.capacity() <= COUNT_KEPT);
}

/// Goal: a duplicate is found among many keys, whose order and spelling are bad for sorting.
#[test]
fn a_duplicate_is_found_in_a_large_map() {
    let schema = schema();
    let message = schema.message("transom.test.v1.Maps").unwrap();
    let mut text = "{\"byInt32\":{".to_owned();
    for index in 0..50_000_u32 {
        write!(text, "\"{}\":1,", index * 7919 % 50_000).unwrap();
    }
    let offset = text.len();
    text += "\"4e1\":1}}";
    let mut out = Vec::new();
    let result = to_wire(message, text.as_bytes(), &mut Scratch::default(), &mut out);
    assert_eq!(result, Err(Error::body(ErrorKind::DuplicateKey, offset)));
}

/// Goal: lengths of every width nest, whichever of them are put in late. Method: a list that doubles the length of its message
/// at every level, read by another implementation.
#[test]
fn lengths_of_every_width_nest() {
    let schema = schema();
    let message = schema.message("transom.test.v1.Nested").unwrap();
    let descriptors = protox::compile(["kinds.proto"], ["../protos/test"]).unwrap();
    let pool = DescriptorPool::decode(&descriptors.encode_to_vec()[..]).unwrap();
    let descriptor = pool.get_message_by_name("transom.test.v1.Nested").unwrap();
    let mut text = "{\"name\":\"x\"}".to_owned();
    for level in 1..14 {
        text = format!("{{\"children\":[{text},{{}},{text}],\"count\":{level}}}");
        let mut out = b"before".to_vec();
        to_wire(message, text.as_bytes(), &mut Scratch::default(), &mut out).unwrap();
        let wire = out.strip_prefix(b"before").unwrap();
        let ours = DynamicMessage::decode(descriptor.clone(), wire).unwrap();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let theirs = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer).unwrap();
        assert!(ours == theirs, "level {level}");
        assert_eq!(
            wire.len(),
            theirs.encoded_len(),
            "level {level}: every length is as short as can be"
        );
    }
}

/// Goal: the keys of a map are compared where they stand, though the entries around them have not moved yet.
#[test]
fn a_duplicate_is_found_between_entries_whose_lengths_come_late() {
    let schema = schema();
    let message = schema.message("transom.test.v1.Maps").unwrap();
    let long = "x".repeat(1000);
    for (last, expected) in [("c", Ok(())), ("a", Err(ErrorKind::DuplicateKey))] {
        let text = format!(
            "{{\"messages\":{{\"a\":{{\"name\":\"{long}\"}},\"b\":{{}},\"{last}\":{{\"child\":{{\"name\":\"{long}\"}}}}}}}}"
        );
        let result = to_wire(
            message,
            text.as_bytes(),
            &mut Scratch::default(),
            &mut Vec::new(),
        );
        assert_eq!(result.map_err(|error| error.kind), expected);
    }
}

/// A text of nested `Any`, `count` levels of them, each with its type behind its value, and `filler` before and behind each value.
fn late_types(count: usize, filler: &str) -> String {
    let mut text = format!("{{{filler},\"@type\":\"x/google.protobuf.Empty\"}}");
    for _ in 0..count {
        text =
            format!("{{{filler},\"value\":{text},{filler},\"@type\":\"x/google.protobuf.Any\"}}");
    }
    text
}

/// Goal: no nesting makes the look ahead for types cost more than one pass. Method: it counts the bytes that it looks at.
#[test]
fn a_late_type_is_looked_for_once_at_any_byte() {
    let schema = schema();
    let filler = format!("\"x\":[\"{}\",{{\"@type\":1}}]", "y".repeat(2000));
    let deep = late_types(90, &filler);
    let row = format!("{deep},").repeat(3) + "{}";
    let lists = "x/transom.test.v1.WellKnownLists";
    for (message, text) in [
        ("google.protobuf.Any", deep.clone()),
        ("transom.test.v1.WellKnown", format!("{{\"any\":{deep}}}")),
        (
            "google.protobuf.Any",
            format!("{{\"@type\":\"{lists}\",\"any\":[{row}]}}"),
        ),
        (
            "google.protobuf.Any",
            format!("{{\"any\":[{row}],\"@type\":\"{lists}\",{filler}}}"),
        ),
    ] {
        let message = schema.message(message).unwrap();
        let mut scratch = Scratch::default();
        let result = to_wire(message, text.as_bytes(), &mut scratch, &mut Vec::new());
        assert_eq!(result, Ok(()), "{text:.100}");
        let looked_len = scratch.late_types.looked_len;
        assert!(looked_len > text.len() / 3, "the type comes late");
        assert!(looked_len <= text.len(), "{looked_len} of {}", text.len());
    }
}

/// Goal: a type that comes first costs no look ahead, though others inside come late.
#[test]
fn a_type_that_comes_first_is_not_looked_for() {
    let schema = schema();
    let message = schema.message("google.protobuf.Any").unwrap();
    let late = late_types(1, "\"x\":1");
    let text = format!(
        "{{\"@type\":\"x/google.protobuf.Any\",\"long\":\"{}\",\"value\":{late}}}",
        "y".repeat(10_000)
    );
    let mut scratch = Scratch::default();
    let result = to_wire(message, text.as_bytes(), &mut scratch, &mut Vec::new());
    assert_eq!(result, Ok(()));
    assert!((1..=late.len()).contains(&scratch.late_types.looked_len));
}

/// Goal: the bytes that `Any` holds get lengths of every width, whichever are put in late, with types that come first and last.
#[test]
fn lengths_of_every_width_nest_in_any() {
    let schema = schema();
    let message = schema.message("google.protobuf.Any").unwrap();
    let descriptors = protox::compile(["kinds.proto"], ["../protos/test"]).unwrap();
    let pool = DescriptorPool::decode(&descriptors.encode_to_vec()[..]).unwrap();
    let descriptor = pool.get_message_by_name("google.protobuf.Any").unwrap();
    let type_member = "\"@type\":\"x/transom.test.v1.WellKnownLists\"";
    let mut text = "{\"@type\":\"x/transom.test.v1.Nested\",\"name\":\"x\"}".to_owned();
    for level in 1..12 {
        let inside = format!("\"any\":[{text},{{\"@type\":\"x/transom.test.v1.Nested\"}},{text}]");
        text = if level % 2 == 0 {
            format!("{{{type_member},{inside}}}")
        } else {
            format!("{{{inside},{type_member}}}")
        };
        let mut out = b"before".to_vec();
        to_wire(message, text.as_bytes(), &mut Scratch::default(), &mut out).unwrap();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let theirs = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer).unwrap();
        assert!(
            out.strip_prefix(b"before") == Some(&theirs.encode_to_vec()[..]),
            "level {level}"
        );
    }
}

/// Goal: the deepest nesting of what takes most of the stack a level fits a stack as small as a thread may be given.
#[test]
fn the_deepest_text_fits_a_small_stack() {
    let structure = "{\"struct\":".to_owned() + &"{\"a\":[".repeat(49) + &"]}".repeat(49) + "}";
    let any = format!("{{\"any\":{}}}", late_types(98, "\"x\":1"));
    let lists = "{\"any\":[".repeat(49)
        + "{}"
        + &"],\"@type\":\"x/transom.test.v1.WellKnownLists\"}".repeat(49);
    let convert = move || {
        let schema = schema();
        [
            ("transom.test.v1.WellKnown", structure),
            ("transom.test.v1.WellKnown", any),
            ("google.protobuf.Any", lists),
        ]
        .map(|(message, text)| {
            to_wire(
                schema.message(message).unwrap(),
                text.as_bytes(),
                &mut Scratch::default(),
                &mut Vec::new(),
            )
        })
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let results = thread.spawn(convert).unwrap().join().unwrap();
    assert_eq!(results, [Ok(()); 3]);
}
