//! Immutable tables that steer the hot path. In: nothing at run time; `compile` builds them once from descriptors.
//! Out: look-ups by name, number and index. Always: no descriptor, no logic beyond look-up, `Send + Sync`, swapped as a whole.
//!
//! Everything of one schema lives in one [`Plan`]; parts refer to each other by index. What the options of a schema decide (names,
//! what is printed when unset) is already resolved into the tables, so that no stage asks for an option per field.

mod name_table;
mod number_table;
mod options;
mod route;
mod route_table;

use crate::simd::{BLOCK_LEN, Block};
pub(crate) use crate::wire::Tag;
pub(crate) use name_table::NameTable;
pub(crate) use number_table::NumberTable;
pub use options::{
    BadRules, Defaults, EnumStyle, FieldNames, Int64Style, Options, PatchMasks, SameRequests,
    UnknownEnumNames,
};
pub(crate) use route::{
    BodyPlan, FieldStep, MethodIndex, MethodPlan, RouteIndex, RoutePlan, ShapePlan, VariablePlan,
};
pub(crate) use route_table::{EndIndex, Ends, NodeIndex, PathEnd, PathNode, RouteTable};

use crate::json::{LABEL_LEN_MAX, LABEL_ROOM, Snippet};
use crate::wire::read::TagPattern;

/// All message and enum plans of one schema.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) messages: Box<[MessagePlan]>,
    pub(crate) enums: Box<[EnumPlan]>,
    /// Full name to message, for `Any` and for callers who look one up.
    pub(crate) message_names: NameTable,
    pub(crate) options: Options,
}

/// Index of a message in [`Plan::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageIndex(pub(crate) u32);

/// Index of an enum in [`Plan::enums`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnumIndex(pub(crate) u32);

/// Index of a field in [`MessagePlan::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FieldIndex(pub(crate) u16);

/// A message of a schema: what [`to_wire`](crate::to_wire()) and [`to_json`](crate::to_json()) convert. Found by
/// [`Schema::message`](crate::Schema::message), or as input or output of a [`Method`](crate::Method); borrowed from the schema.
#[derive(Clone, Copy, Debug)]
pub struct Message<'s> {
    pub(crate) plan: &'s Plan,
    pub(crate) index: MessageIndex,
}

impl<'s> Message<'s> {
    /// The full name, without a leading dot.
    pub fn full_name(&self) -> &'s str {
        &self.plan.message(self.index).full_name
    }
}

/// One message type.
#[derive(Debug)]
pub(crate) struct MessagePlan {
    pub(crate) full_name: Box<str>,
    /// Which JSON form the message has.
    pub(crate) form: Form,
    /// Extensions too. In ascending order of field number: the order in which a well-behaved encoder writes them.
    pub(crate) fields: Box<[FieldPlan]>,
    /// What `to_json` needs of each of `fields`, for most of them and at most times.
    pub(crate) members: Box<[MemberPlan]>,
    /// JSON name and proto name, both, to the field.
    pub(crate) names: NameTable,
    /// Field number to the field.
    pub(crate) numbers: NumberTable,
    /// Real oneofs (synthetic ones excluded). Every `FieldPlan::oneof` is below.
    pub(crate) oneof_count: u16,
    /// Whether the message is a message set: its fields are extensions, and come as items of group 1, each with its number.
    pub(crate) is_message_set: bool,
    /// Whether `to_json` may try to write the message as it reads it: it is no message set, has no more oneofs than
    /// [`WATCHED_ONEOF_COUNT`], and no spread oneof. The members of that are numbered around other fields, and the runtimes of Go
    /// and Rust write a oneof where its first member belongs, whichever is set: their fields come out of order.
    pub(crate) is_watchable: bool,
}

/// The JSON form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An object with the message's fields; `google.protobuf.Empty` too.
    Object,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `google.protobuf.FieldMask`
    FieldMask,
    /// `google.protobuf.Struct`
    Struct,
    /// `google.protobuf.Value`
    Value,
    /// `google.protobuf.ListValue`
    ListValue,
    /// `google.protobuf.Any`
    Any,
    /// `google.protobuf.*Value`: the bare value of field 1, which is `fields[0]`.
    Wrapper,
}

/// One field.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// The field's name in the proto file.
    pub(crate) name: Box<str>,
    /// The field's JSON name.
    pub(crate) json_name: Box<str>,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    /// `kind`, if the field is singular.
    pub(crate) lone_kind: Option<Kind>,
    /// Whether "unset" differs from "default" for this field (messages, oneof members, `optional`, proto2 singular).
    pub(crate) has_presence: bool,
    /// The real oneof this field is a member of.
    pub(crate) oneof: Option<u16>,
    /// The tag as `to_wire` writes it before a value: LEN for strings, messages, maps and packed lists.
    pub(crate) tag: Tag,
    /// The tag before one element: differs from `tag` only for packed lists.
    pub(crate) element_tag: Tag,
    /// `tag` and `element_tag` as they are looked for.
    pub(crate) tag_pattern: TagPattern,
    pub(crate) element_tag_pattern: TagPattern,
    /// The key as `to_json` writes it, for `to_wire` to compare with: quoted, escaped, with its colon: `"pageSize":`.
    pub(crate) key: Box<[u8]>,
    /// The same key, for `to_json` to write.
    pub(crate) label: Snippet,
    /// `key`, in the form in which it is looked for.
    pub(crate) key_head: KeyHead,
    /// Key, value and comma as `to_json` writes them when the field is unset, or nothing if an unset field is not printed:
    /// `"pageSize":0,`.
    pub(crate) unset: Snippet,
}

/// Oneofs of a message that writing in order can watch, one bit each.
pub(crate) const WATCHED_ONEOF_COUNT: u16 = 64;

/// One field as `to_json` passes it while all is as it should be: in one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct MemberPlan {
    /// The key, quoted, escaped, with its colon, and bytes that have no meaning.
    pub(crate) label: [u8; LABEL_ROOM],
    pub(crate) tag: TagPattern,
    pub(crate) kind: Kind,
    /// `label_len <= LABEL_LEN_MAX`.
    pub(crate) label_len: u8,
    /// What is below has a text of its own, that of an unset field: 1 where the default is the same as nothing, and 0 for a field with presence.
    pub(crate) least: u64,
    /// As that of the field.
    pub(crate) oneof: Option<u8>,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// At most once; `required` of proto2 too.
    Singular,
    /// A list, one tag an element.
    Repeated,
    /// A list of scalars in one LEN field.
    Packed,
    /// A map; `kind` is the message of its entries, whose `fields[0]` is the key and `fields[1]` the value.
    Map,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumIndex),
    Message(MessageIndex),
    /// A message between start-group and end-group tags; `tag` is the start.
    Group(MessageIndex),
    /// A member of a message set; `number` is its type id, and `tag` opens its item.
    SetMember(MessageIndex),
}

/// One enum type.
#[derive(Debug)]
pub(crate) struct EnumPlan {
    /// `google.protobuf.NullValue`, whose JSON form is `null`.
    pub(crate) is_null_value: bool,
    /// Whether a number without a name is refused (proto2) or kept (proto3).
    pub(crate) is_closed: bool,
    /// Name, aliases too, to the index of its value in `values`.
    pub(crate) names: NameTable,
    /// One a number, the first name where there are aliases, sorted by number.
    pub(crate) values: Box<[EnumValuePlan]>,
    /// The number of the value an unset field has.
    pub(crate) default: i32,
}

/// One number of an enum.
#[derive(Debug)]
pub(crate) struct EnumValuePlan {
    pub(crate) number: i32,
    /// As `to_json` writes it: `"NAME"`, or the bare number by option, or `null` for `NullValue`; with a comma behind it.
    pub(crate) text: Snippet,
}

/// A key as it may stand at the start of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHead {
    /// The key by words, the first byte lowest, with zeros behind it.
    words: [u64; KEY_WORDS],
    /// The bytes of `words` that are part of it.
    masks: [u64; KEY_WORDS],
    /// Whether it reaches into the upper half of the words.
    is_long: bool,
}

/// Words of a block.
const KEY_WORDS: usize = BLOCK_LEN / 8;

impl KeyHead {
    /// For a key that is never found like this: it is longer than a block, or means another field of the message.
    /// Its bytes are not to be found in UTF-8.
    pub(crate) const NEVER: Self = Self {
        words: [u64::MAX; KEY_WORDS],
        masks: [u64::MAX; KEY_WORDS],
        is_long: false,
    };

    /// The head of `key`.
    pub(crate) fn new(key: &[u8]) -> Self {
        if key.len() > BLOCK_LEN {
            return Self::NEVER;
        }
        let (mut block, mut mask) = ([0; BLOCK_LEN], [0; BLOCK_LEN]);
        for (index, byte) in key.iter().enumerate() {
            if let (Some(place), Some(bits)) = (block.get_mut(index), mask.get_mut(index)) {
                (*place, *bits) = (*byte, u8::MAX);
            }
        }
        Self {
            words: words(&block),
            masks: words(&mask),
            is_long: key.len() > BLOCK_LEN / 2,
        }
    }

    /// Whether `block` begins with the key.
    #[inline(always)]
    pub(crate) fn begins(&self, block: &Block) -> bool {
        let [first, second, third, fourth] = words(block);
        let ([a, b, c, d], [in_a, in_b, in_c, in_d]) = (self.words, self.masks);
        ((first ^ a) & in_a) | ((second ^ b) & in_b) == 0
            && (!self.is_long || ((third ^ c) & in_c) | ((fourth ^ d) & in_d) == 0)
    }
}

/// The words of a block, the first byte lowest.
#[inline(always)]
fn words(block: &Block) -> [u64; KEY_WORDS] {
    let (words, _) = block.as_chunks();
    let mut values = [0; KEY_WORDS];
    for (value, word) in values.iter_mut().zip(words) {
        *value = u64::from_le_bytes(*word);
    }
    values
}

impl Plan {
    /// The message with this full name (no leading dot).
    pub(crate) fn find_message(&self, full_name: &str) -> Option<Message<'_>> {
        self.message_names
            .find(full_name.as_bytes())
            .map(|index| Message {
                plan: self,
                index: MessageIndex(index),
            })
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every MessageIndex is made by compile for this arena"
    )]
    pub(crate) fn message(&self, index: MessageIndex) -> &MessagePlan {
        &self.messages[index.0 as usize]
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every EnumIndex is made by compile for this arena"
    )]
    pub(crate) fn enumeration(&self, index: EnumIndex) -> &EnumPlan {
        &self.enums[index.0 as usize]
    }
}

impl MessagePlan {
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every FieldIndex is made by compile for this message"
    )]
    pub(crate) fn field(&self, index: FieldIndex) -> &FieldPlan {
        &self.fields[index.0 as usize]
    }

    /// The field with this JSON or proto name.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the table holds field indices, which are u16"
    )]
    pub(crate) fn find_field(&self, name: &[u8]) -> Option<FieldIndex> {
        self.names.find(name).map(|index| FieldIndex(index as u16))
    }
}

impl EnumPlan {
    /// The number of the value with this name, aliases included.
    pub(crate) fn find_number(&self, name: &[u8]) -> Option<i32> {
        let index = self.names.find(name)?;
        self.values.get(index as usize).map(|value| value.number)
    }

    /// Whether a value of this number is an unknown field (SEMANTICS 102).
    #[inline(always)]
    pub(crate) fn leaves_out(&self, number: i32) -> bool {
        self.is_closed && !self.is_null_value && self.find_value(number).is_none()
    }

    /// The value with this number.
    #[inline]
    pub(crate) fn find_value(&self, number: i32) -> Option<&EnumValuePlan> {
        // Most enums count up from zero without gaps, so that the number is the index.
        if let Some(value) = usize::try_from(number)
            .ok()
            .and_then(|index| self.values.get(index))
            && value.number == number
        {
            return Some(value);
        }
        self.search_value(number)
    }

    #[inline(never)]
    fn search_value(&self, number: i32) -> Option<&EnumValuePlan> {
        let index = self
            .values
            .binary_search_by_key(&number, |value| value.number)
            .ok()?;
        self.values.get(index)
    }
}

impl FieldPlan {
    /// The wire type of [`FieldPlan::tag`].
    pub(crate) fn wire_type(&self) -> u8 {
        self.tag.bytes[0] & 7
    }
}

impl MemberPlan {
    /// Only what is singular, in no oneof, no message and shortly named is passed that way; of anything else the tag never matches.
    pub(crate) fn new(field: &FieldPlan) -> Self {
        let is_plain = field.cardinality == Cardinality::Singular
            && !matches!(field.kind, Kind::Group(_) | Kind::SetMember(_))
            && field.oneof.is_none_or(|oneof| oneof < WATCHED_ONEOF_COUNT)
            && field.key.len() <= LABEL_LEN_MAX;
        let mut label = [0; LABEL_ROOM];
        for (byte, given) in label.iter_mut().zip(&field.key) {
            *byte = *given;
        }
        Self {
            label,
            label_len: u8::try_from(field.key.len()).unwrap_or(u8::MAX),
            tag: if is_plain {
                TagPattern::new(field.tag.as_bytes())
            } else {
                TagPattern::NEVER
            },
            kind: field.kind,
            least: u64::from(!field.has_presence),
            oneof: field.oneof.and_then(|oneof| u8::try_from(oneof).ok()),
        }
    }
}

impl Kind {
    /// The wire type of one value: 0 varint, 1 fixed 64, 2 length-delimited, 3 group, 5 fixed 32.
    #[inline]
    pub(crate) const fn wire_type(self) -> u8 {
        match self {
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool
            | Self::Enum(_) => 0,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::String | Self::Bytes | Self::Message(_) | Self::SetMember(_) => 2,
            Self::Group(_) => 3,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
        }
    }
}
