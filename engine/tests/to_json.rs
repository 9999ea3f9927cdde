//! Protobuf to JSON, case by case. Goal: each rule of SEMANTICS 99 to 107 as data that fuzzers and benches can read too.
//! Method: `cases/to_json/*.json`, each a list of wire bytes in the notation of `support::notation` and the exact text expected.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::notation;
use transom_engine::error::ErrorKind;
use transom_engine::to_json::Scratch;
use transom_engine::{Defaults, EnumStyle, FieldNames, Int64Style, Options, Schema, to_json};

#[test]
fn every_case_gives_its_json_or_its_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/to_json");
    let mut schemas = BTreeMap::new();
    let mut case_count = 0;
    let mut faults = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in &cases {
            case_count += 1;
            let key = case["options"].to_string();
            let schema = schemas
                .entry(key)
                .or_insert_with(|| support::schema(options(&case["options"])));
            if let Err(fault) = check(schema, case) {
                faults.push(format!(
                    "{}: {}: {fault}",
                    path.file_stem().unwrap().display(),
                    case["name"]
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(case_count > 100, "only {case_count} cases were found");
}

/// A message inside itself, `levels` of them in all: field `number` of each holds the next, behind and before these fields.
fn nest(levels: usize, number: u64, behind: &str, before: &str) -> Vec<u8> {
    let (behind, before) = (notation::wire(behind), notation::wire(before));
    let mut wire = Vec::new();
    for _ in 1..levels {
        let mut outer = before.clone();
        notation::varint(number << 3 | 2, &mut outer);
        notation::delimited(&wire, &mut outer);
        outer.extend(&behind);
        wire = outer;
    }
    wire
}

fn convert(message: &str, wire: &[u8]) -> Result<String, ErrorKind> {
    let schema = support::schema(Options::default());
    let mut out = Vec::new();
    to_json(
        schema.message(message).unwrap(),
        wire,
        &mut Scratch::default(),
        &mut out,
    )
    .map(|()| String::from_utf8(out).unwrap())
    .map_err(|error| error.kind)
}

/// SEMANTICS 96, THREATS E2.
#[test]
fn hundred_levels_are_written_and_one_more_is_refused() {
    let name = "transom.test.v1.Nested";
    for before in ["", "2: 1 1: 'x'"] {
        assert!(convert(name, &nest(100, 3, "", before)).is_ok());
        let deeper = convert(name, &nest(101, 3, "", before));
        assert_eq!(deeper, Err(ErrorKind::WireTooDeep));
    }
}

/// SEMANTICS 96: in JSON an object in a `Struct` is one level, though on the wire it is three.
#[test]
fn hundred_levels_of_a_struct_are_written_and_one_more_is_refused() {
    let structure = |levels| {
        let mut value = notation::wire("4: 1");
        for _ in 1..levels {
            value = struct_with(&value);
            let mut outer = Vec::new();
            notation::varint(5 << 3 | 2, &mut outer);
            notation::delimited(&value, &mut outer);
            value = outer;
        }
        struct_with(&value)
    };
    let text = convert("google.protobuf.Struct", &structure(100)).unwrap();
    assert_eq!(text.matches('{').count(), 100);
    let deeper = convert("google.protobuf.Struct", &structure(101));
    assert_eq!(deeper, Err(ErrorKind::WireTooDeep));
}

fn struct_with(value: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    notation::varint(2 << 3 | 2, &mut entry);
    notation::delimited(value, &mut entry);
    let mut wire = Vec::new();
    notation::varint(1 << 3 | 2, &mut wire);
    notation::delimited(&entry, &mut wire);
    wire
}

/// An `Any` in an `Any` is a level.
#[test]
fn any_that_nests_too_deep_is_refused() {
    let mut wire = Vec::new();
    for _ in 0..200 {
        let mut outer = notation::wire("1: 'x/google.protobuf.Any'");
        notation::varint(2 << 3 | 2, &mut outer);
        notation::delimited(&wire, &mut outer);
        wire = outer;
    }
    let deep = convert("google.protobuf.Any", &wire);
    assert_eq!(deep, Err(ErrorKind::WireTooDeep));
}

/// Each level breaks the order only after its child has been written: if each wrote its child again, the innermost would be
/// written 2^99 times, and this test would not end.
#[test]
fn nest_of_messages_out_of_order_takes_linear_time() {
    let text = convert("transom.test.v1.Nested", &nest(100, 3, "2: 7 1: 'x'", "")).unwrap();
    assert_eq!(text.matches("{\"name\":\"x\",\"count\":7,").count(), 99);
}

fn check(schema: &Schema, case: &Value) -> Result<(), String> {
    let name = case["message"].as_str().unwrap();
    let message = schema
        .message(name)
        .or_else(|| schema.message(&format!("transom.test.v1.{name}")))
        .ok_or("no such message")?;
    let wire = notation::wire(case["wire"].as_str().unwrap());
    let mut out = b"before".to_vec();
    let result = to_json(message, &wire, &mut Scratch::default(), &mut out);
    let found = String::from_utf8(out).map_err(|error| error.to_string())?;
    let found = found
        .strip_prefix("before")
        .ok_or("the buffer was touched")?;
    if let Some(expected) = case["text"].as_str() {
        // Single quotes stand for double ones.
        let expected = expected.replace('\'', "\"");
        result.map_err(|error| format!("{error:?}"))?;
        serde_json::from_str::<Value>(found).map_err(|error| format!("{error}: {found}"))?;
        (found == expected)
            .then_some(())
            .ok_or_else(|| format!("\n  found    {found}\n  expected {expected}"))
    } else {
        let error = result.err().ok_or_else(|| format!("found {found}"))?;
        let kind = format!("{:?}", error.kind);
        let is_expected = kind == case["error"].as_str().unwrap()
            && case["offset"]
                .as_u64()
                .is_none_or(|at| at == u64::from(error.offset));
        if !is_expected || !found.is_empty() {
            return Err(format!("{error:?}, out {found:?}"));
        }
        Ok(())
    }
}

fn options(case: &Value) -> Options {
    let mut options = Options {
        // So that a case shows what it is about.
        defaults: Defaults::Omit,
        ..Options::default()
    };
    for (name, value) in case.as_object().into_iter().flatten() {
        match (name.as_str(), value.as_str()) {
            ("defaults", Some("no-presence")) => options.defaults = Defaults::NoPresence,
            ("defaults", Some("all")) => options.defaults = Defaults::All,
            ("names", Some("proto")) => options.names = FieldNames::Proto,
            ("enums", Some("number")) => options.enums = EnumStyle::Number,
            ("int64", Some("number")) => options.int64 = Int64Style::Number,
            ("sort_map_keys", None) => options.sort_map_keys = value.as_bool().unwrap(),
            other => panic!("unknown option {other:?}"),
        }
    }
    options
}
