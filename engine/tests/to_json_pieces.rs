//! Messages that arrive in pieces. Goal: wherever the bytes are cut, they become what the whole becomes: byte for byte if the message is waited
//! for, else in meaning, with the same fields and nothing twice. Method: the cases of `cases/to_json` and messages of random fields, cut
//! everywhere; the whole-slice call is the oracle.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

mod support;

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use support::notation;
use transom_engine::error::ErrorKind;
use transom_engine::to_json::{Pieces, Scratch};
use transom_engine::{
    Defaults, EnumStyle, Error, FieldNames, Int64Style, Message, Options, Schema, to_json,
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| support::schema(Options::default()));
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(&support::descriptor_set()[..]).unwrap());

fn message(name: &str) -> Message<'static> {
    SCHEMA.message(&format!("transom.test.v1.{name}")).unwrap()
}

fn whole(message: Message<'_>, wire: &[u8], scratch: &mut Scratch) -> Result<String, Error> {
    let mut out = Vec::new();
    to_json(message, wire, scratch, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// Converts the pieces; takes the output out after each, as a caller may who passes it on.
#[expect(single_use_lifetimes, reason = "an elided one is not stable here")]
fn in_pieces<'w>(
    message: Message<'_>,
    pieces: impl IntoIterator<Item = &'w [u8]>,
    held_len_max: usize,
    scratch: &mut Scratch,
) -> Result<String, Error> {
    let mut reader = Pieces::new(message, scratch).holding(held_len_max);
    let mut sent = Vec::new();
    // What is not the converter's own is never touched.
    let mut out = b",".to_vec();
    for piece in pieces {
        let result = reader.push(piece, &mut out);
        if result.is_err() {
            assert_eq!(out, b",", "an error leaves the buffer as it was");
        }
        result?;
        assert_eq!(out.first(), Some(&b','));
        sent.extend(out.drain(1..));
    }
    reader.finish(&mut out)?;
    sent.extend(out.drain(1..));
    Ok(String::from_utf8(sent).unwrap())
}

/// Whether another encoder writes the same bytes for the message: then each field is there once, and in order.
fn is_canonical(name: &str, wire: &[u8]) -> bool {
    let descriptor = POOL.get_message_by_name(name).unwrap();
    DynamicMessage::decode(descriptor, wire).is_ok_and(|message| message.encode_to_vec() == wire)
}

/// Of one meaning, and of the same parts: a member that is written twice is seen by the second.
fn is_same(found: &str, expected: &str) -> bool {
    let sorted = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes
    };
    let [found_value, expected_value] =
        [found, expected].map(|text| serde_json::from_str::<Value>(text).unwrap());
    found_value == expected_value && sorted(found) == sorted(expected)
}

/// What is waited for is the same; what is written at once is the same in meaning.
fn check(
    message: Message<'_>,
    wire: &[u8],
    pieces: &[&[u8]],
    scratch: &mut Scratch,
) -> Result<(), String> {
    let expected = whole(message, wire, scratch);
    let held = in_pieces(message, pieces.iter().copied(), usize::MAX, scratch);
    if held != expected {
        return Err(format!("held: {held:?}, expected {expected:?}"));
    }
    for held_len_max in [0, 3] {
        let found = in_pieces(message, pieces.iter().copied(), held_len_max, scratch);
        let is_good = match (&found, &expected) {
            (Ok(found), Ok(expected)) => is_same(found, expected),
            (Err(error), Ok(_)) => {
                // What another piece of the same value would mend comes again too.
                let is_again = matches!(
                    error.kind,
                    ErrorKind::WireOrder | ErrorKind::WireUnprintable(_)
                );
                is_again && !is_canonical(message.full_name(), wire)
            }
            (found, Err(_)) => found.is_err(),
        };
        if !is_good {
            return Err(format!(
                "holding {held_len_max}: {found:?}, expected {expected:?}"
            ));
        }
    }
    Ok(())
}

fn check_however_cut(
    message: Message<'_>,
    wire: &[u8],
    scratch: &mut Scratch,
) -> Result<(), String> {
    for at in (0..wire.len()).step_by(1 + wire.len() / 100) {
        let (left, right) = wire.split_at(at);
        check(message, wire, &[left, right], scratch)
            .map_err(|fault| format!("cut at {at}: {fault}"))?;
    }
    for len in [1, 2, 3, 7] {
        let pieces: Vec<_> = wire.chunks(len).collect();
        check(message, wire, &pieces, scratch)
            .map_err(|fault| format!("in pieces of {len}: {fault}"))?;
    }
    Ok(())
}

fn options(case: &Value) -> Options {
    let mut options = Options {
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

fn each_case(mut act: impl FnMut(&str, Message<'_>, &[u8])) {
    let mut schemas = HashMap::new();
    let mut case_count = 0;
    for file in std::fs::read_dir("tests/cases/to_json").unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let cases: Vec<Value> = serde_json::from_slice(&text).unwrap();
        for case in &cases {
            case_count += 1;
            let schema: &Schema = schemas
                .entry(case["options"].to_string())
                .or_insert_with(|| support::schema(options(&case["options"])));
            let name = case["message"].as_str().unwrap();
            let message = schema
                .message(name)
                .or_else(|| schema.message(&format!("transom.test.v1.{name}")))
                .unwrap();
            let wire = notation::wire(case["wire"].as_str().unwrap());
            act(case["name"].as_str().unwrap(), message, &wire);
        }
    }
    assert!(case_count > 100, "only {case_count} cases were found");
}

#[test]
fn every_case_is_the_same_wherever_it_is_cut() {
    let mut scratch = Scratch::default();
    let mut faults = Vec::new();
    each_case(|name, message, wire| {
        if let Err(fault) = check_however_cut(message, wire, &mut scratch) {
            faults.push(format!("{name}: {fault}"));
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A tag of five bytes is longer than what is compared at once elsewhere.
#[test]
fn fields_with_the_longest_tags_are_read_whole() {
    let text = "syntax = \"proto3\"; message M { map<string, int32> far = 536870911; repeated string list = 536870910; repeated int32 tight = 536870909; }";
    let set = support::texts::compile(&[("far.proto", text)], false);
    let schema = Schema::from_descriptor_set(&set).unwrap();
    let message = schema.message("M").unwrap();
    let wire = notation::wire(
        "536870909: {1 2} 536870910: 'a' 536870910: 'b' 536870911: {1: 'k' 2: 5} 536870911: {1: 'l'} 536870911: {2: 6}",
    );
    let mut scratch = Scratch::default();
    let expected = r#"{"tight":[1,2],"list":["a","b"],"far":{"k":5,"l":0,"":6}}"#;
    assert_eq!(whole(message, &wire, &mut scratch).unwrap(), expected);
    for len in 1..=wire.len() {
        for held_len_max in [0, usize::MAX] {
            let found = in_pieces(message, wire.chunks(len), held_len_max, &mut scratch);
            assert_eq!(found.unwrap(), expected, "pieces of {len}");
        }
    }
}

/// Goal: broken bytes are refused or accepted as the whole is. Method: each case ends early, or has a byte replaced.
#[test]
fn every_broken_case_is_judged_alike() {
    let mut scratch = Scratch::default();
    let mut faults = Vec::new();
    each_case(|name, message, wire| {
        let wire = &wire[..wire.len().min(100)];
        for at in 0..wire.len() {
            let mut broken = wire.to_vec();
            for byte in [0x00, 0x01, 0x0a, 0x0c, 0x7f, 0x80, 0xff] {
                broken[at] = byte;
                for wire in [&broken[..], &broken[..=at]] {
                    let pieces: Vec<_> = wire.chunks(1 + at % 3).collect();
                    if let Err(fault) = check(message, wire, &pieces, &mut scratch) {
                        faults.push(format!("{name}, {wire:02x?}: {fault}"));
                    }
                }
            }
        }
    });
    let count = faults.len();
    faults.truncate(20);
    assert!(faults.is_empty(), "{count}:\n{}", faults.join("\n"));
}

/// One field of a random message. `Nested`: 1 name, 2 count, 3 child, 4 children, 5 inner; others are unknown.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        "[a-z\"é]{0,9}".prop_map(|text| {
            let mut wire = vec![0x0a];
            notation::delimited(text.as_bytes(), &mut wire);
            wire
        }),
        any::<i32>().prop_map(|count| {
            let mut wire = vec![0x10];
            notation::varint(i64::from(count).cast_unsigned(), &mut wire);
            wire
        }),
        prop::sample::select(vec![
            "2: 0",
            "1: ''",
            "5: {1: 1 2: 'x' 2: 'y'}",
            "5: {}",
            "6: 7",
            "7: 'unknown'",
            "8: !{1: 2 3: !{}}",
            "9: 5i32",
            "10: 5i64",
            "3: 5",
            "4: {4: {} 4: {1: 'deep'}}",
            "4: {}",
            "`92 80 00 01`",
        ])
        .prop_map(notation::wire),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        (prop::bool::ANY, prop::collection::vec(inner, 0..8)).prop_map(|(is_child, fields)| {
            let mut wire = vec![if is_child { 0x1a } else { 0x22 }];
            notation::delimited(&fields.concat(), &mut wire);
            wire
        })
    })
}

/// Lists of scalars in both encodings, and a map, in `Lists` and `Maps` alike by number.
fn list_field() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        "3: {1 2 300 70000}",
        "3: 5",
        "3: -1",
        "3: {}",
        "1: {`00 00 00 00 00 00 f0 3f`}",
        "1: 1.5",
        "14: 'a'",
        "14: ''",
        "15: 'bytes'",
        "16: {1 2 9}",
        "16: 0",
        "18: {1: 'a'}",
        "18: {4: {4: {}}}",
        "13: {1 0 1}",
        "12: 7i64",
        "12: {`01 00 00 00 00 00 00 00`}",
    ])
    .prop_map(notation::wire)
}

fn map_field() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        "12: {1: 'a' 2: 'b'}",
        "12: {1: 'c'}",
        "12: {2: 'd'}",
        "12: {}",
        "1: {1: 1 2: 2}",
        "1: {1: 1 2: 3}",
        "17: {1: 'x' 2: {1: 'n'}}",
        "17: {1: 'x' 2: {1: 'n'} 2: {2: 5}}",
        "18: {1: 1 2: {12: {1: 'deep'}}}",
        "16: {1: 'a' 2: 77}",
        "99: 'unknown'",
    ])
    .prop_map(notation::wire)
}

fn cut<'w>(wire: &'w [u8], cuts: &[usize]) -> Vec<&'w [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|at| at % (wire.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in places {
        pieces.push(&wire[from..at]);
        from = at;
    }
    pieces.push(&wire[from..]);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_messages_are_converted_alike(
        fields in prop_oneof![
            (Just("Nested"), prop::collection::vec(field(), 0..12)),
            (Just("Lists"), prop::collection::vec(list_field(), 0..16)),
            (Just("Maps"), prop::collection::vec(map_field(), 0..16)),
        ],
        cuts in prop::collection::vec(0_usize..500, 0..10),
    ) {
        let (name, fields) = fields;
        let wire = fields.concat();
        let mut scratch = Scratch::default();
        for pieces in [cut(&wire, &cuts), wire.chunks(1).collect()] {
            if let Err(fault) = check(message(name), &wire, &pieces, &mut scratch) {
                return Err(TestCaseError::fail(fault));
            }
        }
    }

    /// A message whose fields come once and in order is converted whatever is waited for.
    #[test]
    fn fields_in_order_are_never_refused(
        mut fields in prop::collection::vec(list_field(), 0..16),
        cuts in prop::collection::vec(0_usize..500, 0..10),
    ) {
        fields.sort_by_key(|field| field[0] >> 3);
        let wire = fields.concat();
        let mut scratch = Scratch::default();
        let expected = whole(message("Lists"), &wire, &mut scratch).unwrap();
        let found = in_pieces(message("Lists"), cut(&wire, &cuts), 0, &mut scratch);
        let is_good = found.as_ref().is_ok_and(|found| is_same(found, &expected));
        prop_assert!(is_good, "{:?}, expected {}", found, expected);
    }
}
