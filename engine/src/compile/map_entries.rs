//! Messages that say they are entries of maps. In: a linked pool. Out: nothing, or why one cannot be. Always: what passes has a key that
//! can be one and a value, and nothing else, as all that reads and writes maps relies upon.

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::schema::SchemaError;

/// Checks every entry of the pool. `protoc` makes no others than good ones, but a set need not be from `protoc`.
pub(super) fn check(pool: &DescriptorPool) -> Result<(), SchemaError> {
    let mut entries = pool.all_messages().filter(MessageDescriptor::is_map_entry);
    match entries.find(|entry| !is_entry(entry)) {
        None => Ok(()),
        Some(entry) => Err(SchemaError::new(format!(
            "{}: {} is marked as the entry of a map and is none; an entry has a singular key of an integral type, bool or string \
             with number 1 and a singular value with number 2",
            entry.parent_file().name(),
            entry.full_name()
        ))),
    }
}

fn is_entry(message: &MessageDescriptor) -> bool {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let is_single = |field: &FieldDescriptor| field.cardinality() == Cardinality::Optional;
    let [key, value] = &*fields else {
        return false;
    };
    let is_key = !matches!(
        key.kind(),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_)
    );
    (key.number(), value.number()) == (1, 2)
        && is_key
        && is_single(key)
        && is_single(value)
        && message.oneofs().len() == 0
}
