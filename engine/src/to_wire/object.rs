//! Objects of JSON as messages. In: the members of an object. Out: the fields they are the values of.
//! Always: no field twice (SEMANTICS 77), no two members of a oneof (SEMANTICS 86).

use super::Pass;
use super::any::TYPE_KEY;
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessagePlan};

/// What a key stands for.
pub(super) enum Key {
    /// The field with this index.
    Field(usize),
    /// The type of an `Any`, unless the message has a field of that name.
    Type,
    /// Nothing that the message has.
    Unknown,
}

impl<'p> Pass<'p, '_, '_> {
    /// Writes the fields of `message`, whose value comes next and is an object.
    pub(super) fn object(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        self.open(b'{', Expected::Object)?;
        if !self.json.close_if(b'}') {
            self.members(message, None)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Everything between the brackets of an object that is not empty, and the closing one. In an `Any`, `type_offset` is where its key
    /// `@type` stands, which has been read.
    pub(super) fn members(
        &mut self,
        message: &'p MessagePlan,
        type_offset: Option<usize>,
    ) -> Result<(), Error> {
        let seen = self.begin_seen(message);
        let mut predicted = 0;
        loop {
            self.json.peek();
            let key_offset = self.json.offset();
            match self.member_key(message, predicted)? {
                // Even where a field has that name.
                _ if type_offset == Some(key_offset) => self.json.skip_value(self.depth)?,
                Key::Field(index) => {
                    predicted = index + 1;
                    self.member(message, index, seen, key_offset)?;
                }
                // SEMANTICS 88.
                Key::Type if type_offset.is_some() => {
                    return Err(Error::body(ErrorKind::DuplicateField, key_offset));
                }
                Key::Type | Key::Unknown => self.unknown_member(key_offset)?,
            }
            if !self.json.comma_or(b'}')? {
                break;
            }
        }
        self.seen.truncate(seen);
        Ok(())
    }

    /// Makes room for the bits of a message, and says where they begin.
    #[inline]
    pub(super) fn begin_seen(&mut self, message: &MessagePlan) -> usize {
        let seen = self.seen.len();
        let bit_count = message.fields.len() + usize::from(message.oneof_count);
        self.seen.resize(seen + bit_count.div_ceil(64), 0);
        seen
    }

    /// Passes over the value of a key that means nothing here (SEMANTICS 78).
    pub(super) fn unknown_member(&mut self, key_offset: usize) -> Result<(), Error> {
        if self.plan.options.reject_unknown_fields {
            return Err(Error::body(ErrorKind::UnknownField, key_offset));
        }
        self.json.skip_value(self.depth)
    }

    /// Takes a key and its colon.
    #[inline]
    pub(super) fn member_key(
        &mut self,
        message: &'p MessagePlan,
        predicted: usize,
    ) -> Result<Key, Error> {
        // Most clients write fields in the order of their declaration: compare with the next before any look-up.
        if let Some(field) = message.fields.get(predicted)
            && field.owns_key
            && self.json.take_if(&field.key)
        {
            return Ok(Key::Field(predicted));
        }
        let key = self.json.key()?;
        let name = key.decoded(self.text)?;
        Ok(match message.find_field(name) {
            Some(index) => Key::Field(usize::from(index.0)),
            None if name == TYPE_KEY => Key::Type,
            None => Key::Unknown,
        })
    }

    /// Takes the value of a field whose key has been taken.
    #[inline]
    fn member(
        &mut self,
        message: &'p MessagePlan,
        index: usize,
        seen: usize,
        key_offset: usize,
    ) -> Result<(), Error> {
        let Some(field) = message.fields.get(index) else {
            return Ok(());
        };
        // SEMANTICS 77: in either form of its name.
        if self.mark(seen, index) {
            return Err(Error::body(ErrorKind::DuplicateField, key_offset));
        }
        // SEMANTICS 86: a member that is null does not count.
        if self.is_unset(field)? {
            return Ok(());
        }
        if let Some(oneof) = field.oneof
            && self.mark(seen, message.fields.len() + usize::from(oneof))
        {
            return Err(Error::body(ErrorKind::OneofConflict, key_offset));
        }
        self.field(field)
    }

    /// Whether one bit of the message whose bits begin at `seen` is set.
    pub(super) fn is_marked(&self, seen: usize, bit_index: usize) -> bool {
        let word = self.seen.get(seen + bit_index / 64);
        word.is_some_and(|word| word >> (bit_index % 64) & 1 == 1)
    }

    /// Sets one bit of the message whose bits begin at `seen`, and tells whether it was set before.
    #[inline]
    pub(super) fn mark(&mut self, seen: usize, bit_index: usize) -> bool {
        let bit = 1 << (bit_index % 64);
        let Some(word) = self.seen.get_mut(seen + bit_index / 64) else {
            return false;
        };
        let was_set = *word & bit != 0;
        *word |= bit;
        was_set
    }

    /// Takes `null` where it leaves a field unset: everywhere but where it is a value itself (SEMANTICS 85).
    #[inline]
    pub(super) fn is_unset(&mut self, field: &FieldPlan) -> Result<bool, Error> {
        if self.json.peek() != Some(b'n') {
            return Ok(false);
        }
        self.is_unset_by_null(field)
    }

    #[inline(never)]
    fn is_unset_by_null(&mut self, field: &FieldPlan) -> Result<bool, Error> {
        if field.cardinality == Cardinality::Singular && self.is_null_a_value(field.kind) {
            return Ok(false);
        }
        self.json.literal(b"null")?;
        Ok(true)
    }

    /// Whether `null` is a value of this type: `google.protobuf.Value` and `NullValue`.
    pub(super) fn is_null_a_value(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(index) => self.plan.message(index).form == Form::Value,
            Kind::Enum(index) => self.plan.enumeration(index).is_null_value,
            _ => false,
        }
    }
}
