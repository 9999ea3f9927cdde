//! Whether a message holds fields that its schema lacks. In: protobuf that the engine has read. Out: yes or no.
//! Always: by the descriptors alone, so that no fault of the engine can hide behind a yes.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MessageOptions};

/// The fields of every message, extensions too.
#[derive(Default)]
pub(crate) struct UnknownFields {
    messages: HashMap<String, Shape>,
}

#[derive(Default)]
struct Shape {
    /// Number to the name of the message that the field holds, if it holds one.
    fields: HashMap<u64, Option<String>>,
    is_message_set: bool,
}

impl UnknownFields {
    /// Reads the messages of an encoded descriptor set.
    pub(crate) fn new(descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let mut this = Self::default();
        for file in FileDescriptorSet::decode(descriptors)?.file {
            let scope = format!(".{}", file.package());
            file.extension
                .iter()
                .for_each(|each| this.add_field(each.extendee(), each));
            file.message_type
                .iter()
                .for_each(|each| this.add_message(&scope, each));
        }
        Ok(this)
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        let options = message.options.as_ref();
        self.messages
            .entry(name.clone())
            .or_default()
            .is_message_set = options.is_some_and(MessageOptions::message_set_wire_format);
        message
            .field
            .iter()
            .for_each(|each| self.add_field(&name, each));
        message
            .extension
            .iter()
            .for_each(|each| self.add_field(each.extendee(), each));
        message
            .nested_type
            .iter()
            .for_each(|each| self.add_message(&name, each));
    }

    fn add_field(&mut self, message: &str, field: &FieldDescriptorProto) {
        let shape = self.messages.entry(message.to_owned()).or_default();
        let number = u64::from(field.number().cast_unsigned());
        shape.fields.insert(number, field.type_name.clone());
    }

    /// Whether `wire`, a message called `name`, holds a field that is unknown, at any depth.
    pub(crate) fn are_in(&self, name: &str, wire: &[u8]) -> bool {
        self.are_below(&format!(".{name}"), wire)
    }

    fn are_below(&self, name: &str, mut wire: &[u8]) -> bool {
        // The name of an enum is no message.
        let Some(shape) = self.messages.get(name) else {
            return false;
        };
        while let Some((number, value)) = next_field(&mut wire) {
            let (number, value) = match number {
                1 if shape.is_message_set => set_item(value),
                _ => (number, value),
            };
            match shape.fields.get(&number) {
                None => return true,
                Some(Some(message)) if self.are_below(message, value) => return true,
                Some(_) => {}
            }
        }
        false
    }
}

/// The type of an item of a message set, and its message.
fn set_item(mut item: &[u8]) -> (u64, &[u8]) {
    let mut type_id = 0;
    let mut message = item;
    while let Some((number, mut value)) = next_field(&mut item) {
        match number {
            2 => type_id = varint(&mut value).unwrap_or(0),
            3 => message = value,
            _ => {}
        }
    }
    (type_id, message)
}

/// Takes a field off the front: its number, and the bytes of its value without length or end tag.
fn next_field<'w>(wire: &mut &'w [u8]) -> Option<(u64, &'w [u8])> {
    let key = varint(wire)?;
    let start = *wire;
    let mut end_len = 0;
    match key & 7 {
        0 => {
            varint(wire)?;
        }
        1 => *wire = wire.get(8..)?,
        2 => {
            let len = usize::try_from(varint(wire)?).ok()?;
            let (value, rest) = wire.split_at_checked(len)?;
            *wire = rest;
            return Some((key >> 3, value));
        }
        3 => loop {
            let rest = *wire;
            if varint(&mut { rest })? & 7 == 4 {
                varint(wire)?;
                end_len = rest.len() - wire.len();
                break;
            }
            next_field(wire)?;
        },
        5 => *wire = wire.get(4..)?,
        _ => return None,
    }
    Some((key >> 3, start.get(..start.len() - wire.len() - end_len)?))
}

fn varint(wire: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = wire.split_first()?;
        *wire = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
