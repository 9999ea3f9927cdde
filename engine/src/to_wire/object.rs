//! Objects of JSON as messages. In: the members of an object. Out: the fields they are the values of.
//! Always: no field twice (SEMANTICS 77), no two members of a oneof (SEMANTICS 86).

use super::Pass;
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessagePlan};

impl<'p> Pass<'p, '_, '_> {
    /// Writes the fields of `message`, whose value comes next and is an object.
    pub(super) fn object(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        self.open(b'{', Expected::Object)?;
        let seen = self.seen.len();
        let bit_count = message.fields.len() + usize::from(message.oneof_count);
        self.seen.resize(seen + bit_count.div_ceil(64), 0);
        if !self.json.close_if(b'}') {
            self.members(message, seen)?;
        }
        self.seen.truncate(seen);
        self.depth -= 1;
        Ok(())
    }

    /// Everything between the brackets of an object that is not empty, and the closing one. `seen` is where the bits of the message begin.
    fn members(&mut self, message: &'p MessagePlan, seen: usize) -> Result<(), Error> {
        let mut predicted = 0;
        loop {
            self.json.peek();
            let key_offset = self.json.offset();
            match self.member_key(message, predicted)? {
                Some(index) => {
                    predicted = index + 1;
                    self.member(message, index, seen, key_offset)?;
                }
                None if self.plan.options.reject_unknown_fields => {
                    return Err(Error::body(ErrorKind::UnknownField, key_offset));
                }
                // SEMANTICS 78.
                None => self.json.skip_value(self.depth)?,
            }
            if !self.json.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    /// Takes a key and its colon: the index of the field it names, if there is one.
    #[inline]
    fn member_key(
        &mut self,
        message: &'p MessagePlan,
        predicted: usize,
    ) -> Result<Option<usize>, Error> {
        // Most clients write fields in the order of their declaration: compare with the next before any look-up.
        if let Some(field) = message.fields.get(predicted)
            && field.owns_key
            && self.json.take_if(&field.key)
        {
            return Ok(Some(predicted));
        }
        let key = self.json.key()?;
        let name = key.decoded(self.text)?;
        Ok(message.find_field(name).map(|index| usize::from(index.0)))
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

    /// Sets one bit of the message whose bits begin at `seen`, and tells whether it was set before.
    #[inline]
    fn mark(&mut self, seen: usize, bit_index: usize) -> bool {
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
