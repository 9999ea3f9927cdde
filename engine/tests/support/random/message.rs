//! Messages of any schema. In: a descriptor and decisions. Out: the fields of a message as an encoder writes them that does it well,
//! and the same message as one could write it who does it badly.
//! Always: both mean the same to whoever reads protobuf as it is specified; every value has a form in JSON.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};

use super::Choices;
use super::notation::{delimited, varint};

/// The fields of one message, in the order of their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    descriptor: MessageDescriptor,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    descriptor: FieldDescriptor,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    /// A wire type and the bytes.
    Scalar(u8, Vec<u8>),
    /// What a length goes before.
    Bytes(Vec<u8>),
    Packed(u8, Vec<Vec<u8>>),
    Message(Message),
    Group(Message),
}

const DOUBLES: [f64; 9] = [0.0, 1.0, -1.5, 0.1, 0.25, 1e15, 123_456_789.0, 1e20, -1e-5];
const FLOATS: [f32; 8] = [0.0, 1.0, -1.5, 0.1, 0.25, 16_777_216.0, -0.5, 1e10];
const INTEGERS: [u64; 13] = [
    0,
    1,
    2,
    127,
    128,
    300,
    1 << 31,
    (1 << 31) - 1,
    (1 << 32) + 1,
    1 << 53,
    1 << 63,
    u64::MAX,
    u64::MAX - 6,
];
const STRINGS: [&str; 7] = [
    "",
    "a",
    "é😀",
    "a\"\\\n\u{1}",
    "some text that is longer than a block of any kind of register, to be sure",
    "/",
    "\u{2028}\u{7f}",
];
/// Seconds and nanos with one sign.
const DURATIONS: [(i64, i32); 6] = [
    (0, 0),
    (1, 500_000_000),
    (-3, -1),
    (0, -999_999_999),
    (315_576_000_000, 0),
    (5, 0),
];
const TIMESTAMPS: [(i64, i32); 5] = [
    (0, 0),
    (1_577_836_800, 1000),
    (-62_135_596_800, 0),
    (253_402_300_799, 999_999_999),
    (-1, 1),
];

/// Levels below which messages have no messages.
const DEPTH: usize = 4;

impl Message {
    /// Each field at most once, of a oneof one, in the order of their numbers.
    pub(crate) fn new(
        descriptor: &MessageDescriptor,
        depth: usize,
        choices: &mut Choices<'_>,
    ) -> Self {
        let mut message = Self {
            descriptor: descriptor.clone(),
            fields: Vec::new(),
        };
        match descriptor.full_name() {
            "google.protobuf.Timestamp" => message.seconds_and_nanos(choices.pick(&TIMESTAMPS)),
            "google.protobuf.Duration" => message.seconds_and_nanos(choices.pick(&DURATIONS)),
            "google.protobuf.FieldMask" => {
                for _ in 0..choices.below(3) {
                    let path = choices.pick(&["a", "foo_bar", "a.b_c"]);
                    message.push(1, Value::Bytes(path.as_bytes().to_vec()));
                }
            }
            "google.protobuf.Any" => message.any(depth, choices),
            "google.protobuf.Value" => message.dynamic_value(depth, choices),
            _ => message.members(depth, choices),
        }
        message
    }

    fn push(&mut self, number: u32, value: Value) {
        let descriptor = self.descriptor.get_field(number).unwrap();
        self.fields.push(Field { descriptor, value });
    }

    fn seconds_and_nanos(&mut self, (seconds, nanos): (i64, i32)) {
        for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
            if value != 0 {
                self.push(number, Value::Scalar(0, varint_of(value.cast_unsigned())));
            }
        }
    }

    fn any(&mut self, depth: usize, choices: &mut Choices<'_>) {
        let pool = self.descriptor.parent_pool();
        let mut messages: Vec<_> = pool
            .all_messages()
            .filter(|each| each.package_name().starts_with("random") && !each.is_map_entry())
            .collect();
        let others = ["google.protobuf.Duration", "google.protobuf.Int64Value"];
        messages.extend(
            others
                .iter()
                .filter_map(|name| pool.get_message_by_name(name)),
        );
        let held = &messages[choices.below(messages.len())];
        let url = format!("type.googleapis.com/{}", held.full_name());
        self.push(1, Value::Bytes(url.into_bytes()));
        let held = Self::new(held, depth + 1, choices).wire();
        self.push(2, Value::Bytes(held));
    }

    fn dynamic_value(&mut self, depth: usize, choices: &mut Choices<'_>) {
        let (number, value) = match choices.below(if depth < DEPTH { 6 } else { 4 }) {
            0 => (1, Value::Scalar(0, vec![0])),
            1 => {
                let finite: f64 = choices.pick(&[0.5, 0.0, 1e15, -2.0]);
                (2, Value::Scalar(1, finite.to_le_bytes().to_vec()))
            }
            2 => (3, Value::Bytes(choices.pick(&STRINGS).as_bytes().to_vec())),
            3 => (4, Value::Scalar(0, vec![1])),
            other => {
                let number = if other == 4 { 5 } else { 6 };
                let field = self.descriptor.get_field(number).unwrap();
                (number, field_value(&field, depth, choices))
            }
        };
        self.push(number, value);
    }

    fn members(&mut self, depth: usize, choices: &mut Choices<'_>) {
        let mut fields: Vec<_> = self.descriptor.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        let mut oneofs = Vec::new();
        for field in fields {
            let is_message = matches!(field.kind(), Kind::Message(_));
            if choices.below(2) == 0 || (is_message && depth >= DEPTH) {
                continue;
            }
            if let Some(oneof) = field.containing_oneof() {
                if oneofs.contains(&oneof) {
                    continue;
                }
                oneofs.push(oneof);
            }
            self.member(&field, depth, choices);
        }
    }

    fn member(&mut self, field: &FieldDescriptor, depth: usize, choices: &mut Choices<'_>) {
        let number = field.number();
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                unreachable!("a map has entries")
            };
            let count = choices.below(4);
            for key in keys(&entry.map_entry_key_field()).into_iter().take(count) {
                let mut message = Self {
                    descriptor: entry.clone(),
                    fields: Vec::new(),
                };
                message.push(1, key);
                message.push(
                    2,
                    field_value(&entry.map_entry_value_field(), depth, choices),
                );
                self.push(number, Value::Message(message));
            }
        } else if field.is_list() {
            let values: Vec<_> = (0..choices.below(4))
                .map(|_| field_value(field, depth, choices))
                .collect();
            if !field.is_packed() {
                for value in values {
                    self.push(number, value);
                }
            } else if !values.is_empty() {
                let mut elements = Vec::new();
                for value in values {
                    let Value::Scalar(_, bytes) = value else {
                        unreachable!("only scalars are packed")
                    };
                    elements.push(bytes);
                }
                let wire_type = wire_type(&field.kind());
                self.push(number, Value::Packed(wire_type, elements));
            }
        } else {
            self.push(number, field_value(field, depth, choices));
        }
    }

    /// As a good encoder writes it.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in &self.fields {
            write(field.descriptor.number(), &field.value, &mut out);
        }
        out
    }

    /// The same message, its fields in any order, in pieces, and after others that they override, among fields that nobody knows.
    pub(crate) fn disturbed_wire(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        // Rows of bytes. What is in one row must stay in its order: a field's, or that of all members of a oneof.
        let mut rows: Vec<(Row, Vec<Vec<u8>>)> = Vec::new();
        for field in &self.fields {
            let row = Row::of(&field.descriptor);
            let at = rows.iter().position(|(each, _)| *each == row);
            let at = at.unwrap_or_else(|| {
                rows.push((row, overridden(&field.descriptor, choices)));
                rows.len() - 1
            });
            disturb(field, choices, &mut rows[at].1);
        }
        for unknown in 0..choices.below(3) {
            rows.push((Row::Unknown(unknown), vec![self.unknown(choices)]));
        }
        let mut out = Vec::new();
        let mut queues: Vec<_> = rows.into_iter().map(|(_, row)| row.into_iter()).collect();
        while !queues.is_empty() {
            let at = choices.below(queues.len());
            match queues[at].next() {
                Some(piece) => out.extend(piece),
                None => _ = queues.remove(at),
            }
        }
        out
    }

    fn unknown(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let is_free = |number: &u32| self.descriptor.get_field(*number).is_none();
        let number = [77_777, 3, 77_778].into_iter().find(is_free).unwrap();
        match choices.below(5) {
            0 => write(number, &Value::Scalar(0, vec![5]), &mut out),
            1 => write(number, &Value::Bytes(b"\x08\xff".to_vec()), &mut out),
            2 => write(number, &Value::Scalar(1, vec![7; 8]), &mut out),
            3 => {
                varint(u64::from(number) << 3 | 3, &mut out);
                out.extend(b"\x0b\x10\x01\x0c\x1d\x01\x02\x03\x04");
                varint(u64::from(number) << 3 | 4, &mut out);
            }
            // A field that is known, with a wire type that is not its own.
            _ => {
                let fields: Vec<_> = self.descriptor.fields().collect();
                if !fields.is_empty() {
                    let field = &fields[choices.below(fields.len())];
                    let value = match wire_type(&field.kind()) {
                        1 => Value::Scalar(5, vec![1; 4]),
                        _ => Value::Scalar(1, vec![1; 8]),
                    };
                    write(field.number(), &value, &mut out);
                }
            }
        }
        out
    }
}

/// What may come before a field and leaves no trace: another value, or another member of the oneof.
fn overridden(field: &FieldDescriptor, choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    if field.is_list() || field.is_map() || !choices.one_in(3) {
        return out;
    }
    let siblings: Vec<_> = field
        .containing_oneof()
        .iter()
        .flat_map(OneofDescriptor::fields)
        .collect();
    let mut other = field.clone();
    if !siblings.is_empty() {
        other = siblings[choices.below(siblings.len())].clone();
    }
    // A message would be merged, not replaced.
    if other == *field && matches!(field.kind(), Kind::Message(_)) {
        return out;
    }
    let mut piece = Vec::new();
    write(other.number(), &zero(&other), &mut piece);
    out.push(piece);
    out
}

/// What must keep its order.
#[derive(PartialEq)]
enum Row {
    Field(u32),
    Oneof(OneofDescriptor),
    Unknown(usize),
}

impl Row {
    fn of(field: &FieldDescriptor) -> Self {
        match field.containing_oneof() {
            Some(oneof) => Self::Oneof(oneof),
            None => Self::Field(field.number()),
        }
    }
}

/// Appends a field, perhaps in several pieces.
fn disturb(field: &Field, choices: &mut Choices<'_>, row: &mut Vec<Vec<u8>>) {
    let number = field.descriptor.number();
    let is_singular = !field.descriptor.is_list() && !field.descriptor.is_map();
    let mut add = |value: &Value| {
        let mut piece = Vec::new();
        write(number, value, &mut piece);
        row.push(piece);
    };
    match &field.value {
        Value::Packed(wire_type, elements) => {
            for (at, element) in elements.iter().enumerate() {
                if choices.below(2) == 0 {
                    add(&Value::Packed(*wire_type, elements[at..=at].to_vec()));
                } else {
                    add(&Value::Scalar(*wire_type, element.clone()));
                }
            }
        }
        Value::Scalar(wire_type, element) if field.descriptor.is_list() && choices.one_in(3) => {
            add(&Value::Packed(*wire_type, vec![element.clone()]));
        }
        Value::Message(message) | Value::Group(message) => {
            let is_group = matches!(field.value, Value::Group(_));
            let mut rest = message.clone();
            let mut parts = Vec::new();
            while is_singular && choices.one_in(3) && parts.len() < 3 {
                let cut = choices.below(rest.fields.len() + 1);
                let mut part = rest.clone();
                rest.fields = part.fields.split_off(cut);
                parts.push(part);
            }
            parts.push(rest);
            for part in parts {
                let content = part.disturbed_wire(choices);
                let mut piece = Vec::new();
                varint(
                    u64::from(number) << 3 | if is_group { 3 } else { 2 },
                    &mut piece,
                );
                if is_group {
                    piece.extend(content);
                    varint(u64::from(number) << 3 | 4, &mut piece);
                } else {
                    delimited(&content, &mut piece);
                }
                row.push(piece);
            }
        }
        value => add(value),
    }
}

fn write(number: u32, value: &Value, out: &mut Vec<u8>) {
    let wire_type = match value {
        Value::Scalar(wire_type, _) => *wire_type,
        Value::Group(_) => 3,
        _ => 2,
    };
    varint(u64::from(number) << 3 | u64::from(wire_type), out);
    match value {
        Value::Scalar(_, bytes) => out.extend(bytes),
        Value::Bytes(bytes) => delimited(bytes, out),
        Value::Packed(_, elements) => delimited(&elements.concat(), out),
        Value::Message(message) => delimited(&message.wire(), out),
        Value::Group(message) => {
            out.extend(message.wire());
            varint(u64::from(number) << 3 | 4, out);
        }
    }
}

/// One value of a field: of a list an element.
fn field_value(field: &FieldDescriptor, depth: usize, choices: &mut Choices<'_>) -> Value {
    match field.kind() {
        Kind::Message(message) => {
            let message = Message::new(&message, depth + 1, choices);
            if field.is_group() {
                Value::Group(message)
            } else {
                Value::Message(message)
            }
        }
        Kind::String => Value::Bytes(choices.pick(&STRINGS).as_bytes().to_vec()),
        Kind::Bytes => Value::Bytes(
            choices
                .pick(&[&b""[..], b"\xff", b"\0a", b"abc\x80"])
                .to_vec(),
        ),
        Kind::Double => Value::Scalar(1, choices.pick(&DOUBLES).to_le_bytes().to_vec()),
        Kind::Float => Value::Scalar(5, choices.pick(&FLOATS).to_le_bytes().to_vec()),
        Kind::Bool => Value::Scalar(0, vec![choices.below(2) as u8]),
        Kind::Enum(each) if each.full_name() == "google.protobuf.NullValue" => {
            Value::Scalar(0, vec![0])
        }
        Kind::Enum(each) => {
            let mut numbers: Vec<_> = each.values().map(|value| value.number()).collect();
            // Only an open enum has numbers that it does not name.
            if each.parent_file().syntax() == prost_reflect::Syntax::Proto3 {
                numbers.push(12_345);
            }
            let number = i64::from(choices.pick(&numbers));
            Value::Scalar(0, varint_of(number.cast_unsigned()))
        }
        kind => scalar(&kind, choices.pick(&INTEGERS)),
    }
}

/// An integer of any kind from the low bits of a number, as a good encoder would write it.
fn scalar(kind: &Kind, number: u64) -> Value {
    let narrow = number as u32;
    match kind {
        Kind::Int32 => {
            let wide = i64::from(narrow.cast_signed()).cast_unsigned();
            Value::Scalar(0, varint_of(wide))
        }
        Kind::Uint32 | Kind::Sint32 => Value::Scalar(0, varint_of(u64::from(narrow))),
        Kind::Fixed32 | Kind::Sfixed32 => Value::Scalar(5, narrow.to_le_bytes().to_vec()),
        Kind::Fixed64 | Kind::Sfixed64 => Value::Scalar(1, number.to_le_bytes().to_vec()),
        _ => Value::Scalar(0, varint_of(number)),
    }
}

/// Keys of a map, no two the same.
fn keys(field: &FieldDescriptor) -> Vec<Value> {
    match field.kind() {
        Kind::String => ["a", "", "é\"\n"]
            .map(|key| Value::Bytes(key.as_bytes().to_vec()))
            .to_vec(),
        Kind::Bool => [1, 0].map(|key| Value::Scalar(0, vec![key])).to_vec(),
        kind => [1, 0, u64::MAX - 6].map(|key| scalar(&kind, key)).to_vec(),
    }
}

/// The value that costs least, of any field.
fn zero(field: &FieldDescriptor) -> Value {
    let kind = field.kind();
    match (wire_type(&kind), kind) {
        (_, Kind::Message(descriptor)) if field.is_group() => Value::Group(Message {
            descriptor,
            fields: Vec::new(),
        }),
        (1, _) => Value::Scalar(1, vec![0; 8]),
        (5, _) => Value::Scalar(5, vec![0; 4]),
        (2, _) => Value::Bytes(Vec::new()),
        _ => Value::Scalar(0, vec![0]),
    }
}

fn wire_type(kind: &Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => 5,
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        _ => 0,
    }
}

fn varint_of(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(value, &mut out);
    out
}
