//! Files of any syntax or edition as files of proto2, which is what the linker knows best. In: an encoded `FileDescriptorProto`. Out: another
//! one, and what proto2 cannot say, by name. Always: options pass as they came; an edition or feature that is not known here is refused.
//!
//! SEMANTICS 95. What a feature becomes:
//!
//! ```text
//! field_presence           IMPLICIT: in the list of such fields    EXPLICIT, LEGACY_REQUIRED: as proto2 has it
//! enum_type                OPEN: in the list of such enums         CLOSED: as proto2 has it
//! repeated_field_encoding  the option `packed`
//! message_encoding         DELIMITED: the type of the field is that of a group
//! utf8_validation          nothing: JSON is UTF-8, and text that is none has no form in it
//! json_format              nothing: each field gets a JSON name of its own, whatever it is
//! ```

use std::collections::HashSet;

use prost::Message as _;

use super::SchemaError;
use crate::wire::read::{LEN, Reader};

/// Numbers of `google.protobuf.Edition`.
pub(super) const PROTO2: i32 = 998;
pub(super) const PROTO3: i32 = 999;
const EDITION_2023: i32 = 1000;
const EDITION_2024: i32 = 1001;

/// What the linked files cannot say of what they were.
#[derive(Debug, Default)]
pub(crate) struct Lowered {
    /// Full names of fields without presence, messages among them.
    implicit_fields: HashSet<String>,
    /// Full names of enums that keep numbers without a name.
    open_enums: HashSet<String>,
}

impl Lowered {
    /// Whether this field has no presence, unless it is a message, which always has.
    pub(crate) fn is_implicit(&self, field: &str) -> bool {
        self.implicit_fields.contains(field)
    }

    /// Whether this enum keeps numbers without a name.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open_enums.contains(name)
    }

    /// The file `name` of `edition` as one of proto2.
    ///
    /// # Errors
    /// When the edition or a feature is not known, or the bytes are no file.
    pub(super) fn lower(
        &mut self,
        name: &str,
        edition: i32,
        bytes: &[u8],
    ) -> Result<Vec<u8>, SchemaError> {
        let refuse = |reason: String| SchemaError::new(format!("{name}: {reason}"));
        let features = Features::of_edition(edition).map_err(refuse)?;
        let mut file = FileParts::decode(bytes)
            .map_err(|error| refuse(format!("it cannot be read: {error}")))?;
        self.file(&mut file, features).map_err(refuse)?;
        Ok(file.encode_to_vec())
    }

    fn file(&mut self, file: &mut FileParts, features: Features) -> Result<(), String> {
        let features = features.with(file.options.as_deref(), FILE_FEATURES)?;
        for message in &mut file.message_type {
            self.message(message, &file.package, features)?;
        }
        for each in &file.enum_type {
            self.enumeration(each, &file.package, features)?;
        }
        for extension in &mut file.extension {
            self.field(extension, &file.package, features)?;
        }
        "proto2".clone_into(&mut file.syntax);
        Ok(())
    }

    fn message(
        &mut self,
        message: &mut MessageParts,
        scope: &str,
        features: Features,
    ) -> Result<(), String> {
        let scope = &full_name(scope, &message.name);
        let features = features.with(message.options.as_deref(), MESSAGE_FEATURES)?;
        for field in &mut message.field {
            let oneof = field
                .oneof_index
                .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
            let features = match oneof {
                Some(oneof) => features.with(oneof.options.as_deref(), ONEOF_FEATURES)?,
                None => features,
            };
            self.field(field, scope, features)?;
        }
        set_json_names(&mut message.field);
        for nested in &mut message.nested_type {
            self.message(nested, scope, features)?;
        }
        for each in &message.enum_type {
            self.enumeration(each, scope, features)?;
        }
        for extension in &mut message.extension {
            self.field(extension, scope, features)?;
        }
        Ok(())
    }

    /// A field, or an extension.
    fn field(
        &mut self,
        field: &mut FieldParts,
        scope: &str,
        features: Features,
    ) -> Result<(), String> {
        let features = features.with(field.options.as_deref(), FIELD_FEATURES)?;
        if field.label == LABEL_REPEATED {
            // Field 2 is `packed`. Of what comes twice the last counts, which is what a file without an edition says itself.
            let packed = [0x10, u8::from(features.has_packed_lists)];
            let options = field.options.take().unwrap_or_default();
            field.options = Some([&packed[..], &options].concat());
        } else if !features.has_presence && field.oneof_index.is_none() && field.extendee.is_none()
        {
            self.implicit_fields.insert(full_name(scope, &field.name));
        }
        if field.r#type == TYPE_MESSAGE && features.has_delimited_messages {
            field.r#type = TYPE_GROUP;
        }
        Ok(())
    }

    fn enumeration(
        &mut self,
        each: &EnumParts,
        scope: &str,
        features: Features,
    ) -> Result<(), String> {
        if features
            .with(each.options.as_deref(), ENUM_FEATURES)?
            .has_open_enums
        {
            self.open_enums.insert(full_name(scope, &each.name));
        }
        Ok(())
    }
}

/// Gives each field a JSON name of its own. protobuf lets two have the same where it cannot help it (proto2 and
/// `LEGACY_BEST_EFFORT`): it goes to the field that has this name in the file, else to the first, and others keep that of the file.
fn set_json_names(fields: &mut [FieldParts]) {
    let mut taken = HashSet::new();
    for field in &mut *fields {
        let json_name = field
            .json_name
            .get_or_insert_with(|| default_json_name(&field.name));
        if *json_name == field.name {
            taken.insert(json_name.clone());
        }
    }
    for field in fields {
        match &field.json_name {
            Some(json_name) if *json_name != field.name && !taken.insert(json_name.clone()) => {
                field.json_name = Some(field.name.clone());
            }
            _ => {}
        }
    }
}

/// The JSON name of a field that has none of its own: `page_size` is `pageSize`.
fn default_json_name(name: &str) -> String {
    let mut is_after_underscore = false;
    name.chars()
        .filter_map(|letter| {
            let is_underscore = letter == '_';
            let is_upper = std::mem::replace(&mut is_after_underscore, is_underscore);
            (!is_underscore).then(|| {
                if is_upper {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                }
            })
        })
        .collect()
}

fn full_name(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

/// `google.protobuf.FeatureSet`, resolved, as far as it changes what is converted.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a feature has two values, and each is asked for alone"
)]
struct Features {
    has_presence: bool,
    has_open_enums: bool,
    has_packed_lists: bool,
    has_delimited_messages: bool,
}

impl Features {
    /// Those that a file of this edition begins with.
    fn of_edition(edition: i32) -> Result<Self, String> {
        let proto2 = Self {
            has_presence: true,
            has_open_enums: false,
            has_packed_lists: false,
            has_delimited_messages: false,
        };
        let edition_2023 = Self {
            has_open_enums: true,
            has_packed_lists: true,
            ..proto2
        };
        match edition {
            PROTO2 => Ok(proto2),
            PROTO3 => Ok(Self {
                has_presence: false,
                ..edition_2023
            }),
            EDITION_2023 | EDITION_2024 => Ok(edition_2023),
            0 => Err("it is of an edition, but does not say of which; whatever wrote the descriptors has lost it: give the output of protoc or buf".to_owned()),
            _ => Err(format!(
                "it is of the edition with the number {edition}; Transom reads 2023 and 2024, and proto2 and proto3: write the file in one of these"
            )),
        }
    }

    /// These features with those on top that `options` sets in the field `number`.
    fn with(mut self, options: Option<&[u8]>, number: u32) -> Result<Self, String> {
        let options = options.unwrap_or_default();
        let mut reader = Reader::new(options, 0..options.len());
        while !reader.is_at_end() {
            let (found, wire_type) = reader.tag().map_err(broken)?;
            if (found, wire_type) == (number, LEN) {
                let range = reader.delimited().map_err(broken)?;
                self.set(&mut Reader::new(options, range))?;
            } else {
                reader.skip(found, wire_type, 1).map_err(broken)?;
            }
        }
        Ok(self)
    }

    fn set(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        while !reader.is_at_end() {
            let (number, wire_type) = reader.tag().map_err(broken)?;
            // The features of one language, which are extensions, and how names are to be written and seen.
            if matches!(number, 7 | 8 | 1000..) {
                reader.skip(number, wire_type, 1).map_err(broken)?;
                continue;
            }
            if !matches!((number, wire_type), (1..=6, 0)) {
                return Err(unknown_feature(number, None));
            }
            let value = reader.varint().map_err(broken)?;
            match (number, value) {
                (1, 1 | 3) => self.has_presence = true,
                (1, 2) => self.has_presence = false,
                (2, 1 | 2) => self.has_open_enums = value == 1,
                (3, 1 | 2) => self.has_packed_lists = value == 1,
                (4, 2 | 3) | (6, 1 | 2) => {}
                (5, 1 | 2) => self.has_delimited_messages = value == 2,
                _ => return Err(unknown_feature(number, Some(value))),
            }
        }
        Ok(())
    }
}

fn broken(_: crate::error::Error) -> String {
    "its options are not valid protobuf".to_owned()
}

fn unknown_feature(number: u32, value: Option<u64>) -> String {
    let name = match number {
        1 => "field_presence",
        2 => "enum_type",
        3 => "repeated_field_encoding",
        4 => "utf8_validation",
        5 => "message_encoding",
        6 => "json_format",
        _ => {
            return format!(
                "it sets the feature with the number {number}, which editions 2023 and 2024 lack; take it out"
            );
        }
    };
    match value {
        Some(value) => format!(
            "it sets the feature {name} to the number {value}, which editions 2023 and 2024 lack; take it out"
        ),
        None => format!("it sets the feature {name} to something that is no number; take it out"),
    }
}

/// Numbers of the field `features` in the options of each kind.
const FILE_FEATURES: u32 = 50;
const MESSAGE_FEATURES: u32 = 12;
const FIELD_FEATURES: u32 = 21;
const ONEOF_FEATURES: u32 = 1;
const ENUM_FEATURES: u32 = 7;

/// `FieldDescriptorProto.Type`
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
/// `FieldDescriptorProto.Label`
const LABEL_REPEATED: i32 = 3;

/// `google.protobuf.FileDescriptorProto` without its edition. What need not be looked into stays encoded, so that nothing of it is lost.
#[derive(Clone, PartialEq, prost::Message)]
struct FileParts {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<MessageParts>,
    #[prost(message, repeated, tag = "5")]
    enum_type: Vec<EnumParts>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    service: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "7")]
    extension: Vec<FieldParts>,
    #[prost(bytes = "vec", optional, tag = "8")]
    options: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "9")]
    source_code_info: Option<Vec<u8>>,
    #[prost(int32, repeated, packed = "false", tag = "10")]
    public_dependency: Vec<i32>,
    #[prost(int32, repeated, packed = "false", tag = "11")]
    weak_dependency: Vec<i32>,
    #[prost(string, tag = "12")]
    syntax: String,
}

/// `google.protobuf.DescriptorProto`
#[derive(Clone, PartialEq, prost::Message)]
struct MessageParts {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    field: Vec<FieldParts>,
    #[prost(message, repeated, tag = "3")]
    nested_type: Vec<Self>,
    #[prost(message, repeated, tag = "4")]
    enum_type: Vec<EnumParts>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    extension_range: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "6")]
    extension: Vec<FieldParts>,
    #[prost(bytes = "vec", optional, tag = "7")]
    options: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "8")]
    oneof_decl: Vec<OneofParts>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    reserved_range: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "10")]
    reserved_name: Vec<String>,
}

/// `google.protobuf.FieldDescriptorProto`
#[derive(Clone, PartialEq, prost::Message)]
struct FieldParts {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    extendee: Option<String>,
    #[prost(int32, tag = "3")]
    number: i32,
    #[prost(int32, tag = "4")]
    label: i32,
    #[prost(int32, tag = "5")]
    r#type: i32,
    #[prost(string, optional, tag = "6")]
    type_name: Option<String>,
    #[prost(string, optional, tag = "7")]
    default_value: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    options: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "9")]
    oneof_index: Option<i32>,
    #[prost(string, optional, tag = "10")]
    json_name: Option<String>,
    #[prost(bool, tag = "17")]
    proto3_optional: bool,
}

/// `google.protobuf.OneofDescriptorProto`
#[derive(Clone, PartialEq, prost::Message)]
struct OneofParts {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    options: Option<Vec<u8>>,
}

/// `google.protobuf.EnumDescriptorProto`
#[derive(Clone, PartialEq, prost::Message)]
struct EnumParts {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    value: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    options: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    reserved_range: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "5")]
    reserved_name: Vec<String>,
}
