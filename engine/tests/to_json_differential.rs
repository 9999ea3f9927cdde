//! Protobuf to JSON against prost-reflect. Goal: whatever the order, repetition and splitting of fields, the JSON is that of a
//! parser that merges first. Method: random fields of the test schemas, written straight to the wire; both sides read the same bytes.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "a test cuts its random numbers and may panic"
)]

mod support;

use std::sync::LazyLock;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use support::notation::{delimited, varint};
use transom_engine::to_json::Scratch;
use transom_engine::{Defaults, Options, Schema, to_json, to_wire};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(&*support::descriptor_set()).unwrap());

static OMITTING: LazyLock<Schema> = LazyLock::new(|| {
    support::schema(Options {
        defaults: Defaults::Omit,
        ..Options::default()
    })
});

static SORTING: LazyLock<Schema> = LazyLock::new(|| {
    support::schema(Options {
        sort_map_keys: true,
        ..Options::default()
    })
});

const MESSAGES: &[&str] = &[
    "transom.test.v1.Everything",
    "transom.test.v1.Scalars",
    "transom.test.v1.Lists",
    "transom.test.v1.UnpackedLists",
    "transom.test.v1.Maps",
    "transom.test.v1.Nested",
    "transom.test.v1.Choice",
    "transom.test.v1.WellKnown",
    "transom.test.v1.WellKnownLists",
    "transom.test.proto2.Old",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn json_means_the_same_as_that_of_the_merged_message(
        which in 0..MESSAGES.len(),
        choices in prop::collection::vec(any::<u32>(), 0..250),
    ) {
        let (name, wire) = random_message(which, choices);
        let merged = DynamicMessage::decode(POOL.get_message_by_name(name).unwrap(), &*wire).unwrap();
        let mut expected = serde_json::Serializer::new(Vec::new());
        let options = SerializeOptions::new().skip_default_fields(true);
        let expected = merged
            .serialize_with_options(&mut expected, &options)
            .map(|()| serde_json::from_slice::<serde_json::Value>(&expected.into_inner()).unwrap());
        let found = convert(&OMITTING, name, &wire)
            .map(|json| serde_json::from_slice::<serde_json::Value>(&json).unwrap());
        match (found, expected) {
            (Ok(found), Ok(expected)) => prop_assert_eq!(numbers_as_doubles(found), numbers_as_doubles(expected)),
            (Err(_), Err(_)) => {}
            (found, expected) => prop_assert!(false, "found {:?}, expected {:?}", found, expected),
        }
    }

    /// The way of writing in order and the way of listing first agree to the byte.
    #[test]
    fn json_is_the_same_once_the_fields_are_merged_and_in_order(
        which in 0..MESSAGES.len(),
        choices in prop::collection::vec(any::<u32>(), 0..250),
    ) {
        let (name, wire) = random_message(which, choices);
        let merged = DynamicMessage::decode(POOL.get_message_by_name(name).unwrap(), &*wire).unwrap();
        let found = convert(&SORTING, name, &wire).map(|json| String::from_utf8(json).unwrap());
        let in_order = convert(&SORTING, name, &merged.encode_to_vec())
            .map(|json| String::from_utf8(json).unwrap());
        match (found, in_order) {
            (Ok(found), Ok(in_order)) => prop_assert_eq!(found, in_order),
            (Err(_), Err(_)) => {}
            (found, in_order) => prop_assert!(false, "found {:?}, in order {:?}", found, in_order),
        }
    }

    /// What is written is read again, and means the same.
    #[test]
    fn json_reads_back_to_the_same_message(
        which in 0..MESSAGES.len(),
        choices in prop::collection::vec(any::<u32>(), 0..250),
    ) {
        let (name, wire) = random_message(which, choices);
        let Ok(json) = convert(&SORTING, name, &wire) else { return Ok(()) };
        let mut back = Vec::new();
        let message = SORTING.message(name).unwrap();
        let result = to_wire(message, &json, &mut to_wire::Scratch::default(), &mut back);
        prop_assert_eq!(result, Ok(()), "{}", String::from_utf8_lossy(&json));
        let again = convert(&SORTING, name, &back).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(json).unwrap());
    }

    /// THREATS E1 to E5: bytes that were changed, cut or moved give valid JSON or an error that leaves no trace.
    #[test]
    fn garbled_bytes_give_valid_json_or_an_error(
        which in 0..MESSAGES.len(),
        choices in prop::collection::vec(any::<u32>(), 0..250),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let (name, mut wire) = random_message(which, choices);
        for (at, byte, edit) in edits {
            if wire.is_empty() {
                break;
            }
            let at = at.index(wire.len());
            match edit {
                0 => wire[at] = byte,
                1 => wire[at] ^= 1 << (byte % 8),
                2 => wire.insert(at, byte),
                _ => wire.truncate(at),
            }
        }
        check_any_bytes(name, &wire)?;
    }

    #[test]
    fn random_bytes_give_valid_json_or_an_error(
        which in 0..MESSAGES.len(),
        wire in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check_any_bytes(MESSAGES[which], &wire)?;
    }
}

fn check_any_bytes(name: &str, wire: &[u8]) -> Result<(), TestCaseError> {
    let mut out = b"before".to_vec();
    let mut scratch = Scratch::default();
    let result = to_json(
        OMITTING.message(name).unwrap(),
        wire,
        &mut scratch,
        &mut out,
    );
    let json = out.strip_prefix(b"before").unwrap();
    match result {
        Ok(()) => prop_assert!(
            serde_json::from_slice::<serde_json::Value>(json).is_ok(),
            "{}",
            String::from_utf8_lossy(json)
        ),
        Err(error) => {
            prop_assert_eq!(json, b"");
            prop_assert!(error.offset as usize <= wire.len());
            prop_assert_eq!(error.http_status(), 500);
        }
    }
    Ok(())
}

fn convert(schema: &Schema, name: &str, wire: &[u8]) -> Result<Vec<u8>, transom_engine::Error> {
    let mut out = Vec::new();
    let mut scratch = Scratch::default();
    to_json(schema.message(name).unwrap(), wire, &mut scratch, &mut out).map(|()| out)
}

/// `1` and `1.0` are equal in JSON; integers of 64 bits are strings here, so a double holds all that is left.
fn numbers_as_doubles(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.into_iter().map(numbers_as_doubles).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, numbers_as_doubles(value)))
            .collect(),
        other => other,
    }
}

fn random_message(which: usize, choices: Vec<u32>) -> (&'static str, Vec<u8>) {
    let name = MESSAGES[which];
    let descriptor = POOL.get_message_by_name(name).unwrap();
    let mut choices = Choices(choices.into_iter());
    let mut wire = Vec::new();
    choices.message(&descriptor, 0, &mut wire);
    (name, wire)
}

fn is_value(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Value")
}

fn is_packable(field: &FieldDescriptor) -> bool {
    !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_))
}

/// Where every decision comes from, so that proptest can shrink them. Zero once it runs dry.
struct Choices(std::vec::IntoIter<u32>);

const STRINGS: &[&str] = &[
    "",
    "a",
    "b",
    "a\"\\\n\u{1}",
    "é😀",
    "some text that is longer than a block",
    "c",
];
const DOUBLES: &[f64] = &[0.0, 1.0, -1.5, 1e300, 5e-324, 0.1, 1e21, 123456789.0];
const FLOATS: &[f32] = &[0.0, 1.0, -1.5, f32::MAX, 1e-45, 0.1, 16777216.0];
const INTEGERS: &[u64] = &[
    0,
    1,
    2,
    3,
    127,
    128,
    1 << 31,
    (1 << 32) + 1,
    1 << 63,
    u64::MAX,
    u64::MAX - 6,
];

impl Choices {
    fn next(&mut self) -> u32 {
        self.0.next().unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize, out: &mut Vec<u8>) {
        match descriptor.full_name() {
            "google.protobuf.Timestamp" => {
                return self.seconds_and_nanos(&[0, 1_577_836_800, 253_402_300_799], out);
            }
            "google.protobuf.Duration" => {
                return self.seconds_and_nanos(&[0, 1, 315_576_000_000], out);
            }
            "google.protobuf.Any" => return self.any(depth, out),
            _ => {}
        }
        let fields: Vec<_> = descriptor.fields().collect();
        if fields.is_empty() {
            return;
        }
        // Few fields, so that the same one is often hit again.
        let first = self.below(fields.len());
        let spread = 1 + self.below(fields.len().min(6));
        let mut count = self.below(if depth > 4 { 2 } else { 7 });
        if descriptor.full_name() == "google.protobuf.Value" {
            count = 1 + self.below(8) / 7;
        }
        for _ in 0..count {
            let field = &fields[(first + self.below(spread)) % fields.len()];
            self.field(field, depth, out);
            if self.below(8) == 7 {
                self.unknown(out);
            }
        }
    }

    fn unknown(&mut self, out: &mut Vec<u8>) {
        let number = 5000 + self.below(3) as u64;
        match self.below(3) {
            0 => {
                varint(number << 3, out);
                varint(self.pick(INTEGERS), out);
            }
            1 => {
                varint(number << 3 | 2, out);
                delimited(b"unknown", out);
            }
            _ => {
                varint(number << 3 | 3, out);
                varint(number << 3 | 4, out);
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize, out: &mut Vec<u8>) {
        let number = u64::from(field.number());
        if field.is_list() && is_packable(field) && self.below(2) == 0 {
            let mut elements = Vec::new();
            for _ in 0..self.below(4) {
                self.value(field, depth, &mut elements);
            }
            varint(number << 3 | 2, out);
            delimited(&elements, out);
            return;
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                unreachable!()
            };
            let mut bytes = Vec::new();
            for _ in 0..=self.below(5) / 4 {
                let parts = [entry.map_entry_key_field(), entry.map_entry_value_field()];
                // Mostly key and value; now and then one is missing or the order is turned. A `Value` must be there: without a kind
                // we refuse it and the oracle takes it for null.
                let orders: &[&[usize]] = if is_value(&parts[1]) {
                    &[&[0, 1], &[1, 0], &[1], &[0, 1, 1]]
                } else {
                    &[&[0, 1], &[0, 1], &[0, 1], &[1, 0], &[0], &[1], &[0, 1, 1]]
                };
                let order = self.pick(orders);
                for &part in order {
                    self.field(&parts[part], depth, &mut bytes);
                }
            }
            varint(number << 3 | 2, out);
            delimited(&bytes, out);
            return;
        }
        let mut value = Vec::new();
        let wire_type = self.value(field, depth, &mut value);
        varint(number << 3 | wire_type, out);
        out.extend(value);
        if wire_type == 3 {
            varint(number << 3 | 4, out);
        }
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize, out: &mut Vec<u8>) -> u64 {
        match field.kind() {
            Kind::Double => out.extend(self.pick(DOUBLES).to_le_bytes()),
            Kind::Float => out.extend(self.pick(FLOATS).to_le_bytes()),
            Kind::Fixed32 | Kind::Sfixed32 => {
                out.extend((self.pick(INTEGERS) as u32).to_le_bytes());
            }
            Kind::Fixed64 | Kind::Sfixed64 => out.extend(self.pick(INTEGERS).to_le_bytes()),
            Kind::String if field.parent_message().full_name() == "google.protobuf.FieldMask" => {
                delimited(self.pick(&["a", "foo_bar", "a.b_c"]).as_bytes(), out);
            }
            Kind::String | Kind::Bytes => delimited(self.pick(STRINGS).as_bytes(), out),
            // The oracle knows no closed enums: only numbers that they have.
            Kind::Enum(closed) if closed.full_name() == "transom.test.proto2.Grade" => {
                varint(self.pick(&[1, 2, u64::MAX]), out);
            }
            Kind::Bool => varint(self.below(2) as u64, out),
            Kind::Message(message) => {
                let mut content = Vec::new();
                self.message(&message, depth + 1, &mut content);
                if field.is_group() {
                    out.extend(content);
                    return 3;
                }
                delimited(&content, out);
            }
            _ => varint(self.pick(INTEGERS), out),
        }
        match field.kind() {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => 5,
            Kind::String | Kind::Bytes | Kind::Message(_) => 2,
            _ => 0,
        }
    }

    fn seconds_and_nanos(&mut self, seconds: &[u64], out: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            if self.below(2) == 0 {
                varint(1 << 3, out);
                varint(self.pick(seconds), out);
            } else {
                varint(2 << 3, out);
                varint(self.pick(&[0, 1, 1000, 999_000_000]), out);
            }
        }
    }

    fn any(&mut self, depth: usize, out: &mut Vec<u8>) {
        let name = self.pick(&[
            "transom.test.v1.Nested",
            "google.protobuf.Duration",
            "transom.test.v1.Maps",
            "google.protobuf.Int64Value",
        ]);
        let mut value = Vec::new();
        self.message(
            &POOL.get_message_by_name(name).unwrap(),
            depth + 1,
            &mut value,
        );
        varint(1 << 3 | 2, out);
        delimited(format!("type.googleapis.com/{name}").as_bytes(), out);
        varint(2 << 3 | 2, out);
        delimited(&value, out);
    }
}
