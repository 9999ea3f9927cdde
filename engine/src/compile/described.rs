//! One field of a message as its descriptors have it, be it declared in the message or an extension. In: a descriptor of either kind.
//! Out: what a plan is made of. Always: an extension goes by its full name in brackets (SEMANTICS 94).

use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind};

use crate::plan::Cardinality;
use crate::schema::editions::Lowered;

/// What both kinds of descriptor tell of a field.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) json_name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_group: bool,
    pub(super) cardinality: Cardinality,
    pub(super) has_presence: bool,
    pub(super) home: Home,
}

/// Where a field is declared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In its message.
    Message,
    /// In a oneof of its message; the synthetic one of an `optional` field is one too.
    Oneof,
    /// Outside: it is an extension.
    Outside,
}

impl Described {
    pub(super) fn field(field: &FieldDescriptor, lowered: &Lowered) -> Self {
        let is_message = matches!(field.kind(), Kind::Message(_));
        let is_of_map = field.is_map() || field.parent_message().is_map_entry();
        Self {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            kind: field.kind(),
            // Neither the entries of a map nor their values are ever groups, whatever the edition says.
            is_group: field.is_group() && !is_of_map,
            cardinality: if field.is_map() {
                Cardinality::Map
            } else {
                cardinality(field.is_list(), field.is_packed())
            },
            has_presence: field.supports_presence()
                && (is_message || !lowered.is_implicit(field.full_name())),
            home: if field.containing_oneof().is_some() {
                Home::Oneof
            } else {
                Home::Message
            },
        }
    }

    pub(super) fn extension(extension: &ExtensionDescriptor) -> Self {
        Self {
            name: extension.json_name().to_owned(),
            json_name: extension.json_name().to_owned(),
            number: extension.number(),
            kind: extension.kind(),
            is_group: extension.is_group(),
            cardinality: cardinality(extension.is_list(), extension.is_packed()),
            has_presence: extension.supports_presence(),
            home: Home::Outside,
        }
    }
}

fn cardinality(is_list: bool, is_packed: bool) -> Cardinality {
    match (is_list, is_packed) {
        (false, _) => Cardinality::Singular,
        (true, false) => Cardinality::Repeated,
        (true, true) => Cardinality::Packed,
    }
}
