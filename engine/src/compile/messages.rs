//! Message and enum descriptors to plans. In: a linked pool. Out: the [`Plan`]. Always: indices follow the order of the pool.

use std::collections::{HashMap, HashSet};

use prost_reflect::{EnumDescriptor, MessageDescriptor};

use super::described::{Described, Home};
use crate::json::{self, Snippet};
use crate::plan::{
    Cardinality, Defaults, EnumIndex, EnumPlan, EnumStyle, EnumValuePlan, FieldNames, FieldPlan,
    Form, Int64Style, KeyHead, Kind, MemberPlan, MessageIndex, MessagePlan, NameTable, NumberTable,
    Options, Plan, Tag, WATCHED_ONEOF_COUNT,
};
use crate::schema::SchemaError;
use crate::schema::editions::Lowered;
use crate::schema::link::Linked;
use crate::wire::read::TagPattern;

/// Compiles every message and enum of the pool.
pub(super) fn compile(linked: &Linked, options: Options) -> Result<Plan, SchemaError> {
    let pool = &linked.pool;
    let compiler = Compiler {
        lowered: &linked.lowered,
        messages: (0..)
            .zip(pool.all_messages())
            .map(|(index, message)| (message.full_name().to_owned(), index))
            .collect(),
        enums: (0..)
            .zip(pool.all_enums())
            .map(|(index, each)| (each.full_name().to_owned(), index))
            .collect(),
        options,
    };
    let messages: Box<[_]> = pool
        .all_messages()
        .map(|message| compiler.message(&message))
        .collect::<Result<_, _>>()?;
    let enums = pool
        .all_enums()
        .map(|each| compiler.enumeration(&each))
        .collect();
    let message_names = NameTable::new(
        (0..)
            .zip(&messages)
            .map(|(index, message)| (&*message.full_name, index)),
    );
    Ok(Plan {
        messages,
        enums,
        message_names,
        options,
    })
}

struct Compiler<'l> {
    lowered: &'l Lowered,
    messages: HashMap<String, u32>,
    enums: HashMap<String, u32>,
    options: Options,
}

impl Compiler<'_> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the count of fields is checked first, and oneofs have fields"
    )]
    fn message(&self, descriptor: &MessageDescriptor) -> Result<MessagePlan, SchemaError> {
        let oneofs: Vec<_> = descriptor
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .collect();
        let declared = descriptor.fields().map(|field| {
            let oneof = field
                .containing_oneof()
                .and_then(|of| oneofs.iter().position(|each| *each == of));
            let described = Described::field(&field, self.lowered);
            (described, oneof.map(|index| index as u16))
        });
        let form = form(descriptor)?;
        let mut described: Vec<_> = declared.collect();
        // What has a form of its own has no place for others, whatever a file declares.
        if form == Form::Object && !descriptor.is_map_entry() {
            described.extend(extensions(descriptor)?.into_iter().map(|each| (each, None)));
        }
        described.sort_by_key(|(field, _)| field.number);
        if described.len() > usize::from(u16::MAX - 1) {
            return Err(SchemaError::new(format!(
                "{}: message {} has {} fields, extensions among them; at most {} can be served",
                descriptor.parent_file().name(),
                descriptor.full_name(),
                described.len(),
                u16::MAX - 1
            )));
        }
        let is_message_set = is_message_set(descriptor);
        if is_message_set {
            check_message_set(descriptor, &described)?;
        }
        let mut fields: Box<[_]> = described
            .iter()
            .map(|(field, oneof)| self.field(field, *oneof, is_message_set))
            .collect();
        let numbers: Vec<_> = fields.iter().map(|field| field.number).collect();
        let json_names = (0..)
            .zip(&fields)
            .map(|(index, field)| (&*field.json_name, index));
        let proto_names = (0..)
            .zip(&fields)
            .map(|(index, field)| (&*field.name, index));
        // The names that are written come first: where the JSON name of one field is the proto name of another, what has been
        // written reads back as it was.
        let names = match self.options.names {
            FieldNames::Json => NameTable::new(json_names.chain(proto_names)),
            FieldNames::Proto => NameTable::new(proto_names.chain(json_names)),
        };
        for (index, field) in (0..).zip(&mut fields) {
            if names.find(self.written_name(field).as_bytes()) != Some(index) {
                field.key_head = KeyHead::NEVER;
            }
        }
        Ok(MessagePlan {
            full_name: descriptor.full_name().into(),
            form,
            names,
            numbers: NumberTable::new(&numbers),
            oneof_count: oneofs.len() as u16,
            is_message_set,
            is_watchable: !is_message_set
                && !has_spread_oneof(&fields)
                && oneofs.len() <= usize::from(WATCHED_ONEOF_COUNT),
            members: fields.iter().map(MemberPlan::new).collect(),
            fields,
        })
    }

    fn field(
        &self,
        described: &Described,
        oneof: Option<u16>,
        is_member_of_set: bool,
    ) -> FieldPlan {
        let kind = match self.kind(described) {
            Kind::Message(index) if is_member_of_set => Kind::SetMember(index),
            kind => kind,
        };
        let tag = match (kind, described.cardinality) {
            (Kind::SetMember(_), _) => Tag::SET_ITEM,
            (_, Cardinality::Packed) => Tag::new(described.number, 2),
            _ => Tag::new(described.number, kind.wire_type()),
        };
        let mut key = Vec::new();
        let name = match self.options.names {
            FieldNames::Json => &described.json_name,
            FieldNames::Proto => &described.name,
        };
        json::write::string(name, &mut key);
        key.push(b':');
        let mut unset = Vec::new();
        if let Some(value) = self.unset_value(described) {
            unset.extend_from_slice(&key);
            unset.extend_from_slice(&value);
            unset.push(b',');
        }
        let element_tag = Tag::new(described.number, kind.wire_type());
        FieldPlan {
            name: described.name.as_str().into(),
            json_name: described.json_name.as_str().into(),
            number: described.number,
            kind,
            cardinality: described.cardinality,
            lone_kind: (described.cardinality == Cardinality::Singular).then_some(kind),
            has_presence: described.has_presence,
            oneof,
            tag,
            element_tag,
            tag_pattern: TagPattern::new(tag.as_bytes()),
            element_tag_pattern: TagPattern::new(element_tag.as_bytes()),
            label: Snippet::new(&key),
            key_head: KeyHead::new(&key),
            key: key.into(),
            unset: Snippet::new(&unset),
        }
    }

    fn written_name<'f>(&self, field: &'f FieldPlan) -> &'f str {
        match self.options.names {
            FieldNames::Json => &field.json_name,
            FieldNames::Proto => &field.name,
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a linked pool holds every type its fields name"
    )]
    fn kind(&self, described: &Described) -> Kind {
        use prost_reflect::Kind as Of;
        match &described.kind {
            Of::Double => Kind::Double,
            Of::Float => Kind::Float,
            Of::Int32 => Kind::Int32,
            Of::Int64 => Kind::Int64,
            Of::Uint32 => Kind::Uint32,
            Of::Uint64 => Kind::Uint64,
            Of::Sint32 => Kind::Sint32,
            Of::Sint64 => Kind::Sint64,
            Of::Fixed32 => Kind::Fixed32,
            Of::Fixed64 => Kind::Fixed64,
            Of::Sfixed32 => Kind::Sfixed32,
            Of::Sfixed64 => Kind::Sfixed64,
            Of::Bool => Kind::Bool,
            Of::String => Kind::String,
            Of::Bytes => Kind::Bytes,
            Of::Enum(each) => Kind::Enum(EnumIndex(self.enums[each.full_name()])),
            Of::Message(message) => {
                let index = MessageIndex(self.messages[message.full_name()]);
                if described.is_group {
                    Kind::Group(index)
                } else {
                    Kind::Message(index)
                }
            }
        }
    }

    /// What is written for an unset field (SEMANTICS 99, 100), or nothing.
    fn unset_value(&self, described: &Described) -> Option<Vec<u8>> {
        match (self.options.defaults, described.cardinality) {
            // A message does not know of its extensions.
            _ if described.home == Home::Outside => None,
            (Defaults::Omit, _) => None,
            (_, Cardinality::Map) => Some(b"{}".to_vec()),
            (_, Cardinality::Repeated | Cardinality::Packed) => Some(b"[]".to_vec()),
            (_, Cardinality::Singular) if !described.has_presence => {
                Some(self.default_value(described))
            }
            (Defaults::NoPresence, _) => None,
            (Defaults::All, _) => (described.home == Home::Message).then(|| b"null".to_vec()),
        }
    }

    fn default_value(&self, described: &Described) -> Vec<u8> {
        use prost_reflect::Kind as Of;
        let text: &[u8] = match &described.kind {
            Of::Bool => b"false",
            Of::String | Of::Bytes => b"\"\"",
            Of::Int64 | Of::Uint64 | Of::Sint64 | Of::Fixed64 | Of::Sfixed64
                if self.options.int64 == Int64Style::String =>
            {
                b"\"0\""
            }
            Of::Enum(each) => {
                let default = each.default_value();
                return self.enum_text(each, default.name(), default.number());
            }
            _ => b"0",
        };
        text.to_vec()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the values of one enum are far fewer than 2^32"
    )]
    fn enumeration(&self, descriptor: &EnumDescriptor) -> EnumPlan {
        // As declared: `values()` of the descriptor has the aliases of a number in reverse.
        let declared = &descriptor.enum_descriptor_proto().value;
        let mut values: Vec<_> = declared
            .iter()
            .map(|value| EnumValuePlan {
                number: value.number(),
                text: self.enum_snippet(descriptor, value.name(), value.number()),
            })
            .collect();
        // The sort is stable and of aliases the first stays: the first name is the one that is written.
        values.sort_by_key(|value| value.number);
        values.dedup_by_key(|value| value.number);
        let named: Vec<_> = declared
            .iter()
            .filter_map(|value| {
                let index = values
                    .binary_search_by_key(&value.number(), |each| each.number)
                    .ok()?;
                Some((value.name().to_owned(), index as u32))
            })
            .collect();
        EnumPlan {
            is_null_value: is_null_value(descriptor),
            is_closed: !self.lowered.is_open(descriptor.full_name()),
            names: NameTable::new(named.iter().map(|(name, index)| (name.as_str(), *index))),
            values: values.into(),
            default: descriptor.default_value().number(),
        }
    }

    fn enum_snippet(&self, descriptor: &EnumDescriptor, name: &str, number: i32) -> Snippet {
        let mut text = self.enum_text(descriptor, name, number);
        text.push(b',');
        Snippet::new(&text)
    }

    fn enum_text(&self, descriptor: &EnumDescriptor, name: &str, number: i32) -> Vec<u8> {
        if is_null_value(descriptor) {
            return b"null".to_vec();
        }
        match self.options.enums {
            EnumStyle::Number => number.to_string().into_bytes(),
            EnumStyle::Name => {
                let mut text = Vec::new();
                json::write::string(name, &mut text);
                text
            }
        }
    }
}

/// Whether another field stands between two members of a oneof. `fields` are sorted by number.
fn has_spread_oneof(fields: &[FieldPlan]) -> bool {
    let mut closed = HashSet::new();
    fields.windows(2).any(|pair| {
        let [left, right] = pair else { return false };
        if left.oneof != right.oneof {
            closed.extend(left.oneof);
        }
        right.oneof.is_some_and(|oneof| closed.contains(&oneof))
    })
}

/// The extensions of a message that any file of the set declares.
fn extensions(descriptor: &MessageDescriptor) -> Result<Vec<Described>, SchemaError> {
    let mut holders = HashMap::new();
    let mut extensions = Vec::new();
    for extension in descriptor.extensions() {
        match holders.insert(extension.number(), extension.full_name().to_owned()) {
            None => extensions.push(Described::extension(&extension)),
            // Options are not traffic, and sets laid end to end may have theirs from unrelated places.
            Some(_) if descriptor.parent_file().name() == "google/protobuf/descriptor.proto" => {}
            Some(other) => {
                return Err(SchemaError::new(format!(
                    "{}: the extension {} has the number {} of {}, which {other} has too; leave one of them out",
                    extension.parent_file().name(),
                    extension.full_name(),
                    extension.number(),
                    descriptor.full_name(),
                )));
            }
        }
    }
    Ok(extensions)
}

fn is_message_set(descriptor: &MessageDescriptor) -> bool {
    let options = descriptor.descriptor_proto().options.as_ref();
    options.is_some_and(prost_types::MessageOptions::message_set_wire_format)
}

/// The members of a message set are messages and extensions; no other has an item.
fn check_message_set(
    descriptor: &MessageDescriptor,
    members: &[(Described, Option<u16>)],
) -> Result<(), SchemaError> {
    let odd = members.iter().map(|(member, _)| member).find(|member| {
        member.home != Home::Outside
            || member.is_group
            || member.cardinality != Cardinality::Singular
            || !matches!(member.kind, prost_reflect::Kind::Message(_))
    });
    match odd {
        None => Ok(()),
        Some(odd) => Err(SchemaError::new(format!(
            "{}: message {} is a message set, and {} is no extension with a single message; take message_set_wire_format out",
            descriptor.parent_file().name(),
            descriptor.full_name(),
            odd.name,
        ))),
    }
}

fn is_null_value(descriptor: &EnumDescriptor) -> bool {
    descriptor.full_name() == "google.protobuf.NullValue"
}

/// The JSON form of a message, by its name. The well-known ones are relied upon by their fields, so a file that defines one
/// of these names otherwise is refused.
fn form(descriptor: &MessageDescriptor) -> Result<Form, SchemaError> {
    let (form, fields): (_, &[&str]) = match descriptor.full_name() {
        "google.protobuf.Timestamp" => (Form::Timestamp, &["1 int64 seconds", "2 int32 nanos"]),
        "google.protobuf.Duration" => (Form::Duration, &["1 int64 seconds", "2 int32 nanos"]),
        "google.protobuf.FieldMask" => (Form::FieldMask, &["1 string paths"]),
        "google.protobuf.Struct" => (
            Form::Struct,
            &["1 google.protobuf.Struct.FieldsEntry fields"],
        ),
        "google.protobuf.ListValue" => (Form::ListValue, &["1 google.protobuf.Value values"]),
        "google.protobuf.Any" => (Form::Any, &["1 string type_url", "2 bytes value"]),
        "google.protobuf.Value" => (
            Form::Value,
            &[
                "1 google.protobuf.NullValue null_value",
                "2 double number_value",
                "3 string string_value",
                "4 bool bool_value",
                "5 google.protobuf.Struct struct_value",
                "6 google.protobuf.ListValue list_value",
            ],
        ),
        "google.protobuf.DoubleValue" => (Form::Wrapper, &["1 double value"]),
        "google.protobuf.FloatValue" => (Form::Wrapper, &["1 float value"]),
        "google.protobuf.Int64Value" => (Form::Wrapper, &["1 int64 value"]),
        "google.protobuf.UInt64Value" => (Form::Wrapper, &["1 uint64 value"]),
        "google.protobuf.Int32Value" => (Form::Wrapper, &["1 int32 value"]),
        "google.protobuf.UInt32Value" => (Form::Wrapper, &["1 uint32 value"]),
        "google.protobuf.BoolValue" => (Form::Wrapper, &["1 bool value"]),
        "google.protobuf.StringValue" => (Form::Wrapper, &["1 string value"]),
        "google.protobuf.BytesValue" => (Form::Wrapper, &["1 bytes value"]),
        _ => return Ok(Form::Object),
    };
    let found: Vec<_> = descriptor
        .fields()
        .map(|field| format!("{} {:?} {}", field.number(), field.kind(), field.name()))
        .collect();
    if found != fields {
        return Err(SchemaError::new(format!(
            "{}: {} is not the well-known type of that name: its fields are [{}], expected [{}]; leave the file out, Transom brings its own",
            descriptor.parent_file().name(),
            descriptor.full_name(),
            found.join(", "),
            fields.join(", ")
        )));
    }
    Ok(form)
}
