//! What must hold of any message of any schema. In: a schema, and decisions for a message. Out: nothing, or a panic that says what does not.
//! Always: prost-reflect is asked for nothing that it is known to get wrong: closed enums, negative zero, infinities, aliases by name.

use prost::Message as _;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage as _, SerializeOptions,
};
use serde_json::Value;
use transom_engine::{
    Defaults, EnumStyle, FieldNames, Int64Style, Options, Schema, to_json, to_wire,
};

use super::json::write_otherwise;
use super::message::Message;
use super::{Choices, RandomSchema};

/// A schema, compiled in as many ways as are compared.
pub(crate) struct Compiled {
    omitting: Schema,
    plain: Schema,
    other: Schema,
    /// As `plain`, from the same files in the words of an edition.
    of_edition: Schema,
}

impl Compiled {
    pub(crate) fn new(schema: &RandomSchema) -> Self {
        let compile_set = |set: &[u8], options| {
            Schema::compile(set, &options).unwrap_or_else(|error| panic!("{error}"))
        };
        let compile = |options| compile_set(&schema.set, options);
        Self {
            omitting: compile(Options {
                defaults: Defaults::Omit,
                ..Options::default()
            }),
            plain: compile(Options::default()),
            other: compile(Options {
                names: FieldNames::Proto,
                defaults: Defaults::All,
                enums: EnumStyle::Number,
                int64: Int64Style::Number,
                ..Options::default()
            }),
            of_edition: compile_set(&schema.edition_set, Options::default()),
        }
    }
}

/// One message: wire to JSON, JSON to wire, both there and back, by three sets of options and as others read it.
pub(crate) fn check(schema: &RandomSchema, compiled: &Compiled, choices: &mut Choices<'_>) {
    let descriptor = &schema.messages[choices.below(schema.messages.len())];
    let message = Message::new(descriptor, 0, choices);
    let wire = message.wire();
    let name = descriptor.full_name();
    let json = json_of(&compiled.omitting, name, &wire);
    let theirs = DynamicMessage::decode(descriptor.clone(), &*wire).unwrap();

    // What others read and write.
    let meaning = value_of(&json);
    if !schema.has_alias {
        let options = SerializeOptions::new().skip_default_fields(true);
        assert_eq!(
            plain(&meaning),
            plain(&their_json(&theirs, &options)),
            "{}",
            lossy(&json)
        );
    }
    assert_eq!(
        reread(descriptor, &json),
        reencoded(&theirs),
        "{}",
        lossy(&json)
    );

    // What the options say.
    let mut expected = meaning.clone();
    populate(descriptor, Defaults::NoPresence, &mut expected);
    let populated = json_of(&compiled.plain, name, &wire);
    assert_eq!(value_of(&populated), expected, "{}", lossy(&json));
    let other = json_of(&compiled.other, name, &wire);
    let options = SerializeOptions::new()
        .skip_default_fields(true)
        .use_proto_field_name(true)
        .use_enum_numbers(true)
        .stringify_64_bit_integers(false);
    let mut expected = their_json(&theirs, &options);
    populate(descriptor, Defaults::All, &mut expected);
    assert_eq!(
        plain(&value_of(&other)),
        plain(&expected),
        "{}",
        lossy(&other)
    );

    // There and back.
    let mut texts = vec![(&compiled.omitting, &json), (&compiled.plain, &populated)];
    // An unset `Value` that is printed as null is a `Value` that is null when it is read.
    if !lossy(&other).contains(":null") {
        texts.push((&compiled.other, &other));
    }
    for (schema, json) in texts {
        let back = wire_of(schema, name, json);
        let message = DynamicMessage::decode(descriptor.clone(), &*back).unwrap();
        assert_eq!(reencoded(&message), reencoded(&theirs), "{}", lossy(json));
        assert_eq!(lossy(&json_of(schema, name, &back)), lossy(json));
    }

    // What an edition says is what a syntax means.
    let found = json_of(&compiled.of_edition, name, &wire);
    assert_eq!(lossy(&found), lossy(&populated));
    let back = wire_of(&compiled.of_edition, name, &populated);
    assert_eq!(back, wire_of(&compiled.plain, name, &populated));

    // The same message in pieces: all of it waited for, or written as it comes, its fields then in the order in which they are set.
    let len = 1 + choices.below(20);
    let pieces = json_of_pieces(&compiled.plain, name, &wire, len, usize::MAX);
    assert_eq!(lossy(&pieces), lossy(&populated), "in pieces of {len}");
    let pieces = json_of_pieces(&compiled.plain, name, &wire, len, 0);
    assert_eq!(
        value_of(&pieces),
        value_of(&populated),
        "in pieces of {len}"
    );
    let pieces = wire_of_pieces(&compiled.plain, name, &populated, len);
    assert_eq!(pieces, back, "in pieces of {len}");

    // The same message, written otherwise.
    let disturbed = message.disturbed_wire(choices);
    for (schema, json) in [(&compiled.omitting, &json), (&compiled.plain, &populated)] {
        let found = json_of(schema, name, &disturbed);
        assert_eq!(
            lossy(&found),
            lossy(json),
            "{disturbed:02x?} is not {wire:02x?}"
        );
    }
    let pieces = json_of_pieces(&compiled.plain, name, &disturbed, len, usize::MAX);
    assert_eq!(lossy(&pieces), lossy(&populated), "in pieces of {len}");
    let mut text = String::new();
    write_otherwise(descriptor, &meaning, choices, &mut text);
    let back = wire_of(&compiled.omitting, name, text.as_bytes());
    let message = DynamicMessage::decode(descriptor.clone(), &*back).unwrap();
    assert_eq!(reencoded(&message), reencoded(&theirs), "{text}");
    // Maps have another order now.
    let again = json_of(&compiled.omitting, name, &back);
    assert_eq!(value_of(&again), meaning, "{text}");
}

fn json_of(schema: &Schema, name: &str, wire: &[u8]) -> Vec<u8> {
    let message = schema.message(name).unwrap();
    let mut out = Vec::new();
    to_json(message, wire, &mut to_json::Scratch::default(), &mut out)
        .unwrap_or_else(|error| panic!("{error:?} in {name} {wire:02x?}"));
    out
}

fn wire_of(schema: &Schema, name: &str, json: &[u8]) -> Vec<u8> {
    let message = schema.message(name).unwrap();
    let mut out = Vec::new();
    to_wire(message, json, &mut to_wire::Scratch::default(), &mut out)
        .unwrap_or_else(|error| panic!("{error:?} in {name} {}", lossy(json)));
    out
}

fn json_of_pieces(
    schema: &Schema,
    name: &str,
    wire: &[u8],
    len: usize,
    held_len_max: usize,
) -> Vec<u8> {
    let mut scratch = to_json::Scratch::default();
    let mut out = Vec::new();
    let message = schema.message(name).unwrap();
    let mut reader = to_json::Pieces::new(message, &mut scratch).holding(held_len_max);
    for piece in wire.chunks(len) {
        reader.push(piece, &mut out).unwrap_or_else(|error| {
            panic!("{error:?} in pieces of {len}: {name} {wire:02x?}");
        });
    }
    reader.finish(&mut out).unwrap();
    out
}

fn wire_of_pieces(schema: &Schema, name: &str, json: &[u8], len: usize) -> Vec<u8> {
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::new();
    let mut reader = to_wire::Pieces::new(schema.message(name).unwrap(), &mut scratch);
    for piece in json.chunks(len) {
        let progress = reader.push(piece, &mut out).unwrap_or_else(|error| {
            panic!("{error:?} in pieces of {len}: {}", lossy(json));
        });
        assert!(
            matches!(progress, to_wire::Progress::Open)
                || matches!(progress, to_wire::Progress::Ended { used } if used == piece.len())
        );
    }
    reader.finish(&mut out).unwrap();
    out
}

fn value_of(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error} in {}", lossy(json)))
}

fn their_json(message: &DynamicMessage, options: &SerializeOptions) -> Value {
    // By way of text, in which a float has its own digits and not those of a double.
    let mut writer = serde_json::Serializer::new(Vec::new());
    message
        .serialize_with_options(&mut writer, options)
        .unwrap();
    value_of(&writer.into_inner())
}

/// What prost-reflect makes of our JSON.
fn reread(descriptor: &MessageDescriptor, json: &[u8]) -> String {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new();
    let message =
        DynamicMessage::deserialize_with_options(descriptor.clone(), &mut parser, &options);
    reencoded(&message.unwrap_or_else(|error| panic!("{error} in {}", lossy(json))))
}

/// A message as text in which equal messages are equal. prost-reflect tells what was given and is the default from what was not, until it
/// is encoded; and the bytes inside of an `Any` are as they came.
fn reencoded(message: &DynamicMessage) -> String {
    let descriptor = message.descriptor();
    let mut message = DynamicMessage::decode(descriptor, &*message.encode_to_vec()).unwrap();
    settle(&mut message);
    sorted(&prost_reflect::Value::Message(message))
}

/// Makes the same of what any two writers put into an `Any`.
fn settle(message: &mut DynamicMessage) {
    if message.descriptor().full_name() == "google.protobuf.Any" {
        let url = message.get_field_by_name("type_url").unwrap().into_owned();
        let bytes = message.get_field_by_name("value").unwrap().into_owned();
        let name = url.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let Some(held) = message
            .descriptor()
            .parent_pool()
            .get_message_by_name(&name)
        else {
            return;
        };
        let mut held = DynamicMessage::decode(held, bytes.as_bytes().unwrap().clone()).unwrap();
        settle(&mut held);
        // Fields in order; maps may be in any, so the text that has them sorted stands for the bytes.
        let text = sorted(&prost_reflect::Value::Message(held));
        message.set_field_by_name("value", prost_reflect::Value::Bytes(text.into()));
        return;
    }
    for (_, value) in message.fields_mut() {
        settle_value(value);
    }
}

fn settle_value(value: &mut prost_reflect::Value) {
    match value {
        prost_reflect::Value::Message(message) => settle(message),
        prost_reflect::Value::List(values) => values.iter_mut().for_each(settle_value),
        prost_reflect::Value::Map(entries) => entries.values_mut().for_each(settle_value),
        _ => {}
    }
}

/// A value as text in which equal values are equal.
fn sorted(value: &prost_reflect::Value) -> String {
    use prost_reflect::Value as Found;
    match value {
        Found::Message(message) => {
            let mut fields: Vec<_> = message
                .fields()
                .map(|(field, value)| (field.number(), sorted(value)))
                .collect();
            fields.sort();
            format!("{fields:?}")
        }
        Found::List(values) => format!("{:?}", values.iter().map(sorted).collect::<Vec<_>>()),
        Found::Map(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| (format!("{key:?}"), sorted(value)))
                .collect();
            entries.sort();
            format!("{entries:?}")
        }
        value => format!("{value:?}"),
    }
}

/// Numbers as doubles: `1` and `1.0` are equal in JSON, and a map of prost-reflect has no order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Adds what the options want of fields that are unset (SEMANTICS 99, 100), the long way.
fn populate(descriptor: &MessageDescriptor, defaults: Defaults, json: &mut Value) {
    let Value::Object(members) = json else { return };
    let full_name = descriptor.full_name();
    if full_name == "google.protobuf.Any" {
        let Some(Value::String(url)) = members.get("@type") else {
            return;
        };
        let name = url.rsplit('/').next().unwrap();
        let held = descriptor.parent_pool().get_message_by_name(name).unwrap();
        if !held.full_name().starts_with("google.protobuf.") {
            populate(&held, defaults, json);
        }
        return;
    }
    if full_name.starts_with("google.protobuf.") {
        return;
    }
    for field in descriptor.fields() {
        let name = match defaults {
            Defaults::All => field.name(),
            _ => field.json_name(),
        };
        if let Some(value) = members.get_mut(name) {
            populate_field(&field, defaults, value);
        } else {
            let unset = unset_value(&field, defaults);
            members.extend(unset.map(|value| (name.to_owned(), value)));
        }
    }
}

fn populate_field(field: &FieldDescriptor, defaults: Defaults, json: &mut Value) {
    let Kind::Message(message) = field.kind() else {
        return;
    };
    match json {
        Value::Array(elements) if field.is_list() => {
            for element in elements {
                populate(&message, defaults, element);
            }
        }
        Value::Object(entries) if field.is_map() => {
            let value_field = message.map_entry_value_field();
            for (_, value) in entries {
                populate_field(&value_field, defaults, value);
            }
        }
        value => populate(&message, defaults, value),
    }
}

/// What an unset field is printed as, if it is.
fn unset_value(field: &FieldDescriptor, defaults: Defaults) -> Option<Value> {
    if field.is_map() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    if field.is_list() {
        return Some(Value::Array(Vec::new()));
    }
    if field.supports_presence() {
        let is_null = defaults == Defaults::All && field.containing_oneof().is_none();
        return is_null.then_some(Value::Null);
    }
    let is_text = defaults != Defaults::All;
    Some(match field.kind() {
        Kind::Bool => false.into(),
        Kind::String | Kind::Bytes => "".into(),
        Kind::Enum(each) if is_text => each.default_value().name().into(),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 if is_text => {
            "0".into()
        }
        _ => 0.into(),
    })
}

fn lossy(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}
