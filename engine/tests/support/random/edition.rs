//! Files of proto2 and proto3 as files of edition 2023. In: a descriptor set. Out: an encoded one that means the same.
//! Always: what a syntax takes for granted is said by features, most of it for the whole file, and what differs at its field.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use super::notation::{delimited, varint};

/// `EDITION_2023`
const EDITION: u64 = 1000;

// Features and their values.
const PRESENCE: u64 = 1;
const EXPLICIT: u64 = 1;
const IMPLICIT: u64 = 2;
const REQUIRED: u64 = 3;
const ENUMS: u64 = 2;
const CLOSED: u64 = 2;
const LISTS: u64 = 3;
const PACKED: u64 = 1;
const EXPANDED: u64 = 2;
const MESSAGES: u64 = 5;
const DELIMITED: u64 = 2;

/// The set with every file in that edition.
pub(super) fn set(set: &FileDescriptorSet) -> Vec<u8> {
    let mut out = Vec::new();
    for each in &set.file {
        field(1, &file(each), &mut out);
    }
    out
}

fn field(number: u64, content: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    delimited(content, out);
}

fn file(file: &FileDescriptorProto) -> Vec<u8> {
    let is_proto3 = file.syntax() == "proto3";
    let mut bare = file.clone();
    let messages = std::mem::take(&mut bare.message_type);
    bare.syntax = Some("editions".to_owned());
    let mut out = bare.encode_to_vec();
    for each in messages {
        field(4, &message(each, is_proto3), &mut out);
    }
    let features: &[(u64, u64)] = if is_proto3 {
        &[(PRESENCE, IMPLICIT)]
    } else {
        &[(ENUMS, CLOSED), (LISTS, EXPANDED)]
    };
    field(8, &options(50, features), &mut out);
    varint(14 << 3, &mut out);
    varint(EDITION, &mut out);
    out
}

fn message(mut message: DescriptorProto, is_proto3: bool) -> Vec<u8> {
    let fields = std::mem::take(&mut message.field);
    let nested = std::mem::take(&mut message.nested_type);
    // The oneofs of `optional` fields, which come last, are gone: presence says the same.
    let optional_count = fields
        .iter()
        .filter(|field| field.proto3_optional())
        .count();
    let oneof_count = message.oneof_decl.len() - optional_count;
    message.oneof_decl.truncate(oneof_count);
    let mut out = message.encode_to_vec();
    for each in fields {
        field(2, &field_of(each, is_proto3), &mut out);
    }
    for each in nested {
        field(3, &self::message(each, is_proto3), &mut out);
    }
    out
}

fn field_of(mut described: FieldDescriptorProto, is_proto3: bool) -> Vec<u8> {
    let mut features = Vec::new();
    if described.proto3_optional() {
        described.proto3_optional = None;
        described.oneof_index = None;
        features.push((PRESENCE, EXPLICIT));
    }
    if described.label() == Label::Required {
        described.set_label(Label::Optional);
        features.push((PRESENCE, REQUIRED));
    }
    if described.r#type() == Type::Group {
        described.set_type(Type::Message);
        features.push((MESSAGES, DELIMITED));
    }
    match described.options.take().and_then(|options| options.packed) {
        Some(true) if !is_proto3 => features.push((LISTS, PACKED)),
        Some(false) if is_proto3 => features.push((LISTS, EXPANDED)),
        _ => {}
    }
    let mut out = described.encode_to_vec();
    if !features.is_empty() {
        field(8, &options(21, &features), &mut out);
    }
    out
}

/// Options whose field of this number is these features.
fn options(number: u64, features: &[(u64, u64)]) -> Vec<u8> {
    let mut content = Vec::new();
    for &(feature, value) in features {
        varint(feature << 3, &mut content);
        varint(value, &mut content);
    }
    let mut out = Vec::new();
    field(number, &content, &mut out);
    out
}
