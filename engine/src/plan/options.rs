//! The choices a schema is compiled with. In: what the caller sets. Out: plain values. Always: the default is the `transom` profile.

/// How JSON is written and what is accepted (SEMANTICS 78, 84, 99 to 105).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which of a field's two names is written. Both are always accepted.
    pub names: FieldNames,
    /// Which unset fields are written.
    pub defaults: Defaults,
    /// How enum values are written. Names and numbers are always accepted.
    pub enums: EnumStyle,
    /// How 64-bit integers are written. Strings and numbers are always accepted.
    pub int64: Int64Style,
    /// Refuse JSON keys that no field has, instead of skipping their values.
    pub reject_unknown_fields: bool,
    /// Refuse query keys that no field has, instead of ignoring them.
    pub reject_unknown_query: bool,
    /// What an enum name that the enum lacks does.
    pub unknown_enum_names: UnknownEnumNames,
    /// Write map entries in the order of their keys instead of wire order.
    pub sort_map_keys: bool,
    /// Write each member and element on a line of its own, so many spaces further in than what holds it. `None` is compact JSON, which
    /// [`to_json::Pieces`](crate::to_json::Pieces) and error details are in any case.
    pub indent: Option<u8>,
}

/// Which of a field's two names is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldNames {
    /// The JSON name: lowerCamelCase, or the `json_name` of the proto file.
    #[default]
    Json,
    /// The name as the proto file has it.
    Proto,
}

/// Which unset fields are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// None.
    Omit,
    /// Those that have no presence: scalars of proto3, lists and maps.
    #[default]
    NoPresence,
    /// Those, and unset messages and proto2 scalars as `null`; no members of a oneof, no `optional` of proto3.
    All,
}

/// How enum values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnumStyle {
    /// By name; a number that has no name is written as the number.
    #[default]
    Name,
    /// By number.
    Number,
}

/// How 64-bit integers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int64Style {
    /// In quotes, as the JSON mapping of protobuf says.
    #[default]
    String,
    /// As bare numbers.
    Number,
}

/// What an enum name that the enum lacks does (SEMANTICS 84).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownEnumNames {
    /// It is refused.
    #[default]
    Reject,
    /// The field stays unset; the element or entry is left out. What grpc-gateway v2 does.
    Drop,
}
