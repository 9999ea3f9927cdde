//! One field of a message as its descriptors have it, be it declared in the message or an extension. In: a descriptor of either kind.
//! Out: what a plan is made of. Always: an extension goes by its full name in brackets (SEMANTICS 94).

use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind};

use crate::schema::editions::Lowered;

/// What both kinds of descriptor tell of a field.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) json_name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_group: bool,
    pub(super) is_list: bool,
    pub(super) is_map: bool,
    pub(super) is_packed: bool,
    pub(super) has_presence: bool,
    /// Whether it is a member of a oneof, the synthetic one of an `optional` field too.
    pub(super) is_in_oneof: bool,
    pub(super) is_extension: bool,
}

impl Described {
    pub(super) fn field(field: &FieldDescriptor, lowered: &Lowered) -> Self {
        Self {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            kind: field.kind(),
            // Neither the entries of a map nor their values are ever groups, whatever the edition says.
            is_group: field.is_group() && !field.is_map() && !field.parent_message().is_map_entry(),
            is_list: field.is_list(),
            is_map: field.is_map(),
            is_packed: field.is_packed(),
            has_presence: field.supports_presence() && !lowered.is_implicit(field.full_name()),
            is_in_oneof: field.containing_oneof().is_some(),
            is_extension: false,
        }
    }

    pub(super) fn extension(extension: &ExtensionDescriptor) -> Self {
        Self {
            name: extension.json_name().to_owned(),
            json_name: extension.json_name().to_owned(),
            number: extension.number(),
            kind: extension.kind(),
            is_group: extension.is_group(),
            is_list: extension.is_list(),
            is_map: extension.is_map(),
            is_packed: extension.is_packed(),
            has_presence: extension.supports_presence(),
            is_in_oneof: false,
            is_extension: true,
        }
    }
}
