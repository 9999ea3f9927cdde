//! Files with messages and enums of every kind. In: decisions. Out: a descriptor set, and prost-reflect's pool of it.
//! Always: it links; what the language forbids (a group in proto3, a message as the key of a map) does not come up.

use std::collections::HashSet;

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto,
    FieldDescriptorProto, FieldOptions, FileDescriptorProto, FileDescriptorSet, MessageOptions,
    OneofDescriptorProto,
};

use super::{Choices, edition};

/// A schema as Transom reads it and as prost-reflect does.
pub(crate) struct RandomSchema {
    /// An encoded descriptor set, without the well-known types.
    pub(crate) set: Vec<u8>,
    /// The same files in the words of an edition.
    pub(crate) edition_set: Vec<u8>,
    pub(crate) pool: DescriptorPool,
    /// The messages that inputs are made for; never none.
    pub(crate) messages: Vec<MessageDescriptor>,
    /// Whether a number of some enum has two names.
    pub(crate) has_alias: bool,
}

impl RandomSchema {
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        let mut builder = Builder {
            choices,
            is_proto2: false,
            messages: Vec::new(),
            enums: Vec::new(),
            has_alias: false,
        };
        let mut file = Vec::new();
        builder.is_proto2 = builder.choices.one_in(3);
        file.push(builder.file(0));
        // A file of the other syntax, which imports the first. A closed enum is not for proto3.
        if builder.choices.one_in(3) {
            builder.is_proto2 = !builder.is_proto2;
            if !builder.is_proto2 {
                builder.enums.clear();
            }
            file.push(builder.file(1));
        }
        let has_alias = builder.has_alias;
        let set = FileDescriptorSet { file };
        let mut pool = DescriptorPool::global();
        pool.add_file_descriptor_set(set.clone())
            .unwrap_or_else(|error| panic!("{error:?} in {set:#?}"));
        let messages = pool
            .all_messages()
            .filter(|message| {
                message.package_name().starts_with("random") && !message.is_map_entry()
            })
            .collect();
        Self {
            edition_set: edition::set(&set),
            set: set.encode_to_vec(),
            pool,
            messages,
            has_alias,
        }
    }
}

struct Builder<'c, 'b> {
    choices: &'c mut Choices<'b>,
    is_proto2: bool,
    /// Full names that a field may refer to.
    messages: Vec<String>,
    enums: Vec<String>,
    has_alias: bool,
}

const SCALARS: [Type; 15] = [
    Type::Int32,
    Type::String,
    Type::Bool,
    Type::Double,
    Type::Float,
    Type::Int64,
    Type::Uint32,
    Type::Uint64,
    Type::Sint32,
    Type::Sint64,
    Type::Fixed32,
    Type::Fixed64,
    Type::Sfixed32,
    Type::Sfixed64,
    Type::Bytes,
];

const KEYS: [Type; 12] = [
    Type::String,
    Type::Int32,
    Type::Bool,
    Type::Int64,
    Type::Uint32,
    Type::Uint64,
    Type::Sint32,
    Type::Sint64,
    Type::Fixed32,
    Type::Fixed64,
    Type::Sfixed32,
    Type::Sfixed64,
];

const WELL_KNOWN: [&str; 17] = [
    "Timestamp",
    "Duration",
    "FieldMask",
    "Struct",
    "Value",
    "ListValue",
    "Any",
    "Empty",
    "DoubleValue",
    "FloatValue",
    "Int64Value",
    "UInt64Value",
    "Int32Value",
    "UInt32Value",
    "BoolValue",
    "StringValue",
    "BytesValue",
];

/// Files of the well-known types.
const IMPORTS: [&str; 7] = [
    "any",
    "duration",
    "empty",
    "field_mask",
    "struct",
    "timestamp",
    "wrappers",
];

/// What a field is called; each holds its number, so that no two are alike, in JSON neither.
const NAMES: [&str; 8] = [
    "f#",
    "some_field_#",
    "_lead#",
    "Upper#",
    "two__score#",
    "x#_y",
    "trail#_",
    "SHOUT_#",
];

/// Names in JSON that nobody would derive.
const JSON_NAMES: [&str; 5] = ["other name #", "é#", "@type#", "say \"#\"\\", "a.b[#]"];

impl Builder<'_, '_> {
    fn file(&mut self, index: usize) -> FileDescriptorProto {
        let package = format!("random{index}");
        let mut dependency: Vec<_> = IMPORTS
            .iter()
            .map(|name| format!("google/protobuf/{name}.proto"))
            .collect();
        dependency.extend((index > 0).then(|| "random0.proto".to_owned()));
        let enum_type = (0..self.choices.below(3))
            .map(|at| self.enumeration(&package, &format!("E{at}")))
            .collect();
        // All are known before the first is made, so that they can refer to each other and to themselves.
        let names: Vec<_> = (0..=self.choices.below(3))
            .map(|at| format!("M{at}"))
            .collect();
        let full_names = names.iter().map(|name| format!("{package}.{name}"));
        self.messages.extend(full_names);
        let message_type = names
            .iter()
            .map(|name| self.message(&package, name, 0))
            .collect();
        FileDescriptorProto {
            name: Some(format!("{package}.proto")),
            package: Some(package),
            dependency,
            message_type,
            enum_type,
            syntax: (!self.is_proto2).then(|| "proto3".to_owned()),
            ..FileDescriptorProto::default()
        }
    }

    fn enumeration(&mut self, scope: &str, name: &str) -> EnumDescriptorProto {
        let mut numbers = vec![if self.is_proto2 {
            self.choices.pick(&[0, 1, -1])
        } else {
            0
        }];
        for _ in 0..self.choices.below(4) {
            numbers.push(
                self.choices
                    .pick(&[2, 3, 4, 5, 100, -7, i32::MAX, i32::MIN]),
            );
        }
        let distinct: HashSet<_> = numbers.iter().collect();
        let has_alias = distinct.len() < numbers.len();
        self.has_alias |= has_alias;
        self.enums.push(format!("{scope}.{name}"));
        // The names of values live beside the enum, so they hold its name.
        let prefix = format!("{}_{name}", scope.replace('.', "_"));
        EnumDescriptorProto {
            name: Some(name.to_owned()),
            value: numbers
                .iter()
                .enumerate()
                .map(|(at, &number)| EnumValueDescriptorProto {
                    name: Some(format!("{prefix}_V{at}")),
                    number: Some(number),
                    ..EnumValueDescriptorProto::default()
                })
                .collect(),
            options: has_alias.then(|| EnumOptions {
                allow_alias: Some(true),
                ..EnumOptions::default()
            }),
            ..EnumDescriptorProto::default()
        }
    }

    fn message(&mut self, scope: &str, name: &str, depth: usize) -> DescriptorProto {
        let full_name = format!("{scope}.{name}");
        let mut message = DescriptorProto {
            name: Some(name.to_owned()),
            ..DescriptorProto::default()
        };
        if depth < 2 && self.choices.one_in(4) {
            self.messages.push(format!("{full_name}.N"));
            let nested = self.message(&full_name, "N", depth + 1);
            message.nested_type.push(nested);
        }
        if self.choices.one_in(4) {
            message.enum_type.push(self.enumeration(&full_name, "E"));
        }
        let mut numbers = HashSet::new();
        for at in 0..self.choices.below(8) {
            let number = self.number(&mut numbers);
            let field = self.field(&full_name, at, number, depth, &mut message);
            message.field.push(field);
        }
        // An `optional` of proto3 is alone in a oneof; these come behind the real ones.
        for field in &mut message.field {
            if field.proto3_optional() {
                field.oneof_index = Some(count(message.oneof_decl.len()));
                message.oneof_decl.push(OneofDescriptorProto {
                    name: Some(format!("_{}", field.name())),
                    ..OneofDescriptorProto::default()
                });
            }
        }
        message
    }

    fn number(&mut self, taken: &mut HashSet<i32>) -> i32 {
        let mut number = match self.choices.below(4) {
            0 | 1 => count(taken.len()) + 1,
            2 => self
                .choices
                .pick(&[15, 16, 127, 128, 2047, 2048, 18_990, 20_000]),
            _ => self
                .choices
                .pick(&[1 << 20, (1 << 29) - 100, 262_143, 262_144, 300]),
        };
        while !taken.insert(number) {
            number += 1;
        }
        number
    }

    fn field(
        &mut self,
        scope: &str,
        at: usize,
        number: i32,
        depth: usize,
        message: &mut DescriptorProto,
    ) -> FieldDescriptorProto {
        let index = at.to_string();
        let mut field = FieldDescriptorProto {
            name: Some(self.choices.pick(&NAMES).replace('#', &index)),
            number: Some(number),
            label: Some(Label::Optional.into()),
            ..FieldDescriptorProto::default()
        };
        if self.choices.one_in(6) {
            field.json_name = Some(self.choices.pick(&JSON_NAMES).replace('#', &index));
        }
        let kind = self.choices.below(12);
        match kind {
            // A map.
            6 => {
                let entry = self.map_entry(at);
                field.label = Some(Label::Repeated.into());
                field.r#type = Some(Type::Message.into());
                field.type_name = Some(format!(".{scope}.{}", entry.name()));
                message.nested_type.push(entry);
                return field;
            }
            // A group, or a message as one, which editions call delimited and which may be in itself.
            7 if self.is_proto2 && self.choices.one_in(2) => {
                let at = self.choices.below(self.messages.len());
                field.r#type = Some(Type::Group.into());
                field.type_name = Some(format!(".{}", self.messages[at]));
            }
            // Its field has its name in small letters.
            7 if self.is_proto2 => {
                let group = format!("G{at}");
                self.messages.push(format!("{scope}.{group}"));
                let nested = self.message(scope, &group, depth + 1);
                message.nested_type.push(nested);
                field.name = Some(group.to_lowercase());
                field.r#type = Some(Type::Group.into());
                field.type_name = Some(format!(".{scope}.{group}"));
            }
            _ => self.set_type(&mut field),
        }
        self.set_cardinality(&mut field, message);
        field
    }

    /// A scalar, an enum, a message or a well-known type.
    fn set_type(&mut self, field: &mut FieldDescriptorProto) {
        let (kind, name) = match self.choices.below(8) {
            4 if !self.enums.is_empty() => {
                let at = self.choices.below(self.enums.len());
                (Type::Enum, Some(self.enums[at].clone()))
            }
            5 | 6 => {
                let at = self.choices.below(self.messages.len());
                (Type::Message, Some(self.messages[at].clone()))
            }
            7 => {
                let name = self.choices.pick(&WELL_KNOWN);
                (Type::Message, Some(format!("google.protobuf.{name}")))
            }
            _ => (self.choices.pick(&SCALARS), None),
        };
        field.r#type = Some(kind.into());
        field.type_name = name.map(|name| format!(".{name}"));
    }

    fn set_cardinality(&mut self, field: &mut FieldDescriptorProto, message: &mut DescriptorProto) {
        let is_packable = !matches!(
            field.r#type(),
            Type::String | Type::Bytes | Type::Message | Type::Group
        );
        match self.choices.below(6) {
            1 | 2 => {
                field.label = Some(Label::Repeated.into());
                let packed = self.choices.pick(&[None, Some(true), Some(false)]);
                if is_packable && packed.is_some() {
                    field.options = Some(FieldOptions {
                        packed,
                        ..FieldOptions::default()
                    });
                }
            }
            3 => {
                // One of two oneofs, made when it is first asked for.
                let at = self.choices.below(2).min(message.oneof_decl.len());
                if at == message.oneof_decl.len() {
                    message.oneof_decl.push(OneofDescriptorProto {
                        name: Some(format!("oneof{at}")),
                        ..OneofDescriptorProto::default()
                    });
                }
                field.oneof_index = Some(count(at));
            }
            4 if self.is_proto2 => field.label = Some(Label::Required.into()),
            4 => field.proto3_optional = Some(true),
            5 if self.is_proto2 => {
                field.default_value = match field.r#type() {
                    Type::String | Type::Bytes => Some("none".to_owned()),
                    Type::Bool => Some("true".to_owned()),
                    Type::Enum | Type::Message | Type::Group => None,
                    _ => Some("41".to_owned()),
                }
            }
            _ => {}
        }
    }

    fn map_entry(&mut self, at: usize) -> DescriptorProto {
        let field = |name: &str, number| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            label: Some(Label::Optional.into()),
            ..FieldDescriptorProto::default()
        };
        let mut key = field("key", 1);
        key.r#type = Some(self.choices.pick(&KEYS).into());
        let mut value = field("value", 2);
        self.set_type(&mut value);
        DescriptorProto {
            name: Some(format!("Map{at}Entry")),
            field: vec![key, value],
            options: Some(MessageOptions {
                map_entry: Some(true),
                ..MessageOptions::default()
            }),
            ..DescriptorProto::default()
        }
    }
}

fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap()
}
