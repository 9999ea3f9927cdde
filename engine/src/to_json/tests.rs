//! The entries that only the engine itself calls: one field as a whole body, and `Any` in error details.

use prost::Message as _;

use super::*;
use crate::plan::{Defaults, Options};
use crate::{Schema, error::Expected};

#[path = "../../tests/support/notation.rs"]
mod notation;

fn schema(defaults: Defaults) -> Schema {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
    let set = protox::compile(["kinds.proto", "proto2.proto"], [protos]).unwrap();
    let options = Options {
        defaults,
        ..Options::default()
    };
    Schema::compile(&set.encode_to_vec(), &options).unwrap()
}

/// SEMANTICS 108: the value of one field of a message of `transom.test`.
fn field(schema: &Schema, message: &str, field: &str, wire: &str) -> Result<String, ErrorKind> {
    let message = schema.message(&format!("transom.test.{message}")).unwrap();
    let index = schema
        .plan
        .message(message.index)
        .find_field(field.as_bytes())
        .unwrap();
    let wire = notation::wire(wire);
    let mut out = b"before".to_vec();
    let mut scratch = Scratch::default();
    let result = field_to_json(
        &schema.plan,
        message.index,
        index,
        &wire,
        &mut scratch,
        &mut out,
    );
    let text = String::from_utf8(out.strip_prefix(b"before").unwrap().to_vec()).unwrap();
    assert!(result.is_ok() || text.is_empty());
    result.map(|()| text).map_err(|error| error.kind)
}

#[test]
fn field_stands_alone_as_its_value() {
    let schema = schema(Defaults::Omit);
    let cases = [
        ("v1.Scalars", "f_int64", "4: 5", "\"5\""),
        ("v1.Scalars", "f_int32", "4: 5 3: 1 14: 'x' 3: 2", "2"),
        ("v1.Scalars", "f_string", "14: ''", "\"\""),
        ("v1.Optionals", "f_int32", "3: 0", "0"),
        ("v1.Lists", "f_int32", "3: {1} 4: 9 3: 2", "[1,2]"),
        (
            "v1.Lists",
            "f_nested",
            "18: {1: 'a'} 18: {}",
            "[{\"name\":\"a\"},{}]",
        ),
        (
            "v1.Maps",
            "by_bool",
            "11: {1: 1} 1: {} 11: {1: 1 2: 1}",
            "{\"true\":true}",
        ),
        (
            "v1.Nested",
            "child",
            "3: {2: 1 1: 'a'} 1: 'x' 3: {2: 3}",
            "{\"name\":\"a\",\"count\":3}",
        ),
        (
            "v1.WellKnown",
            "timestamp",
            "1: {}",
            "\"1970-01-01T00:00:00Z\"",
        ),
        ("v1.WellKnown", "value", "5: {1: 0}", "null"),
        ("v1.WellKnown", "int64_value", "13: {}", "\"0\""),
        (
            "v1.Choice",
            "one_nested",
            "9: {1: 'a'} 9: {2: 1}",
            "{\"name\":\"a\",\"count\":1}",
        ),
        (
            "v1.Choice",
            "one_nested",
            "9: {1: 'a'} 3: 1 9: {2: 1}",
            "{\"count\":1}",
        ),
        ("proto2.Old", "details", "12: !{1: 't'}", "{\"text\":\"t\"}"),
    ];
    for (message, name, wire, expected) in cases {
        let found = field(&schema, message, name, wire);
        assert_eq!(found.as_deref(), Ok(expected), "{message}.{name}: {wire}");
    }
    let unprintable = field(&schema, "v1.WellKnown", "value", "5: {}");
    assert_eq!(
        unprintable,
        Err(ErrorKind::WireUnprintable(Expected::Value))
    );
    let broken = field(&schema, "v1.Scalars", "f_int32", "3: 1 `72 05`");
    assert_eq!(broken, Err(ErrorKind::WireTruncated));
}

#[test]
fn unset_field_stands_alone_as_its_default_whatever_the_option() {
    for defaults in [Defaults::Omit, Defaults::NoPresence, Defaults::All] {
        let schema = schema(defaults);
        let cases = [
            ("v1.Scalars", "f_int64", "\"0\""),
            ("v1.Scalars", "f_double", "0"),
            ("v1.Scalars", "f_bool", "false"),
            ("v1.Scalars", "f_bytes", "\"\""),
            ("v1.Scalars", "f_color", "\"COLOR_UNSPECIFIED\""),
            ("v1.Optionals", "f_int32", "0"),
            ("v1.Lists", "f_string", "[]"),
            ("v1.Maps", "by_string", "{}"),
            ("v1.Nested", "child", "{}"),
            ("v1.WellKnown", "struct", "{}"),
            ("v1.WellKnown", "any", "{}"),
            ("v1.WellKnown", "empty", "{}"),
            ("v1.WellKnown", "timestamp", "null"),
            ("v1.WellKnown", "duration", "null"),
            ("v1.WellKnown", "field_mask", "null"),
            ("v1.WellKnown", "value", "null"),
            ("v1.WellKnown", "list_value", "null"),
            ("v1.WellKnown", "string_value", "null"),
            ("v1.Choice", "one_null", "null"),
            ("proto2.Old", "count", "0"),
            ("proto2.Old", "grade", "\"GRADE_A\""),
            ("proto2.Old", "details", "{}"),
        ];
        for (message, name, expected) in cases {
            // A field of an unknown number is no field of it, and a list of no elements is unset.
            let found = field(&schema, message, name, "5000: 'x'");
            assert_eq!(found.as_deref(), Ok(expected), "{message}.{name}");
        }
        let overridden = field(&schema, "v1.Choice", "one_int32", "3: 5 6: 'x'");
        assert_eq!(overridden.as_deref(), Ok("0"));
        let packed = field(&schema, "v1.Lists", "f_int32", "3: {}");
        assert_eq!(packed.as_deref(), Ok("[]"));
    }
}

fn any(wire: &str) -> Result<String, ErrorKind> {
    let schema = schema(Defaults::Omit);
    let wire = notation::wire(wire);
    let mut out = Vec::new();
    any_to_json(&schema.plan, &wire, &mut Scratch::default(), &mut out)
        .map(|()| String::from_utf8(out).unwrap())
        .map_err(|error| error.kind)
}

/// SEMANTICS 117: an error keeps its details whatever their types.
#[test]
fn any_that_cannot_be_resolved_or_read_becomes_base64() {
    let cases = [
        (
            "1: 'x/transom.test.v1.Nested' 2: {2: 1 1: 'n'}",
            "{\"@type\":\"x/transom.test.v1.Nested\",\"name\":\"n\",\"count\":1}",
        ),
        (
            "1: 'x/no.Such' 2: {1: 5}",
            "{\"@type\":\"x/no.Such\",\"value\":\"CAU=\"}",
        ),
        ("1: 'x/no.Such'", "{\"@type\":\"x/no.Such\",\"value\":\"\"}"),
        ("2: {1: 5}", "{\"@type\":\"\",\"value\":\"CAU=\"}"),
        ("", "{}"),
        // Text that is no UTF-8, after a field that was already written.
        (
            "1: 'x/transom.test.v1.Nested' 2: {1: 'n' 3: {1: '\\xff'}}",
            "{\"@type\":\"x/transom.test.v1.Nested\",\"value\":\"CgFuGgMKAf8=\"}",
        ),
        (
            "1: 'x/google.protobuf.Duration' 2: {1: -1 2: 1}",
            "{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"CP///////////wEQAQ==\"}",
        ),
        // Only the innermost that is at fault.
        (
            "1: 'x/transom.test.v1.WellKnown' 2: {2: {1: 1} 9: {1: 'y/no.Such' 2: 'v'}}",
            "{\"@type\":\"x/transom.test.v1.WellKnown\",\"duration\":\"1s\",\"any\":{\"@type\":\"y/no.Such\",\"value\":\"dg==\"}}",
        ),
    ];
    for (wire, expected) in cases {
        assert_eq!(any(wire).as_deref(), Ok(expected), "{wire}");
    }
}

#[test]
fn any_of_error_details_that_is_no_any_is_refused() {
    assert_eq!(any("`0a 05`"), Err(ErrorKind::WireTruncated));
    assert_eq!(any("1: '\\xff'"), Err(ErrorKind::WireUtf8));
}

#[test]
fn large_scratch_is_given_back() {
    let schema = schema(Defaults::Omit);
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    // Out of order from the second field on, so that every element is listed.
    let wire = notation::wire("4: 1 (3: 1)*200000");
    let message = schema.message("transom.test.v1.Lists").unwrap();
    assert_eq!(to_json(message, &wire, &mut scratch, &mut out), Ok(()));
    assert!(out.len() > 200000);
    assert!(scratch.entries.capacity() <= ENTRY_COUNT_KEPT);
}

/// Goal: few bytes that stand for a long text do not fill the memory, whether it is unset fields that make it long or the names of enums.
/// Method: the limit is lowered to a few pages.
#[test]
fn text_that_grows_beyond_the_limit_is_refused() {
    const LEN_MAX: usize = 1 << 14;
    let schema = schema(Defaults::NoPresence);
    let entries = (0..1 << 10).map(|key| format!("18: {{1: {key} 2: {{}}}} "));
    for (message, wire) in [
        ("Everything", "(11: {1: {}})*1000".to_owned()),
        ("Lists", "16: {(1)*4000}".to_owned()),
        ("UnpackedLists", "(16: 1)*4000".to_owned()),
        ("Maps", entries.collect()),
    ] {
        let message = schema
            .message(&format!("transom.test.v1.{message}"))
            .unwrap();
        let wire = notation::wire(&wire);
        assert!(wire.len() < LEN_MAX);
        let mut scratch = Scratch::default();
        let mut out = b"before".to_vec();
        assert_eq!(to_json(message, &wire, &mut scratch, &mut out), Ok(()));
        assert!(out.len() > 2 * LEN_MAX);
        let mut out = b"before".to_vec();
        let result = convert(
            &schema.plan,
            &wire,
            false,
            &mut scratch,
            &mut out,
            |converter| {
                converter.out_len_max = LEN_MAX;
                converter.message(message.index, Content::whole(&wire), 1)
            },
        );
        assert_eq!(
            result.map_err(|error| error.kind),
            Err(ErrorKind::ReplyTooLarge)
        );
        assert_eq!(out, b"before");
        assert!(out.capacity() < 4 * LEN_MAX);
    }
}

#[test]
fn indented_json_is_the_compact_one_on_lines() {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
    let set = protox::compile(["kinds.proto"], [protos]).unwrap();
    let options = Options {
        defaults: Defaults::Omit,
        indent: Some(2),
        ..Options::default()
    };
    let schema = Schema::compile(&set.encode_to_vec(), &options).unwrap();
    let message = schema.message("transom.test.v1.Nested").unwrap();
    let wire = notation::wire("1: 'a' 3: {2: 5} 4: {} 4: {1: 'b'}");
    let mut out = b"before".to_vec();
    let mut scratch = Scratch::default();
    assert_eq!(to_json(message, &wire, &mut scratch, &mut out), Ok(()));
    let expected = r#"before{
  "name": "a",
  "child": {
    "count": 5
  },
  "children": [
    {},
    {
      "name": "b"
    }
  ]
}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let body = field(&schema, "v1.Lists", "f_int32", "3: {1} 3: 2");
    assert_eq!(body.as_deref(), Ok("[\n  1,\n  2\n]"));
    let mut out = Vec::new();
    let mut pieces = Pieces::new(message, &mut scratch);
    pieces.push(&wire, &mut out).unwrap();
    pieces.finish(&mut out).unwrap();
    assert!(!out.contains(&b'\n'), "pieces are compact");
}
