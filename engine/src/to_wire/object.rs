//! Objects of JSON as messages. In: the members of an object. Out: the fields they are the values of.
//! Always: no field twice (SEMANTICS 77), no two members of a oneof (SEMANTICS 86).

use super::Pass;
use super::any::TYPE_KEY;
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessagePlan, Tag};

/// Which fields and oneofs of an open message have been given.
struct Marks {
    /// One bit each, if that is enough.
    bits: u64,
    /// Otherwise where those of this message begin in [`super::Scratch`].
    wide: Option<usize>,
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

    /// Writes tag, length and fields of `message`, whose bracket has been seen.
    #[inline]
    pub(super) fn nested_object(
        &mut self,
        tag: Tag,
        message: &'p MessagePlan,
    ) -> Result<(), Error> {
        let open = self.open_tagged_message(tag);
        self.object(message)?;
        self.close_message(&open);
        Ok(())
    }

    /// Everything between the brackets of an object that is not empty, and the closing one. In an `Any`, `type_offset` is where its key
    /// `@type` stands, which has been read.
    pub(super) fn members(
        &mut self,
        message: &'p MessagePlan,
        type_offset: Option<usize>,
    ) -> Result<(), Error> {
        let mut marks = self.open_marks(message);
        let mut predicted = 0;
        // The place in the text is kept here, and told to the cursor where something else reads on.
        let mut at = self.json.skip_space(self.json.offset());
        loop {
            let key_offset = at;
            // Most clients write fields in the order of their declaration: compare with the next before any look-up.
            let (index, field) = match message.fields.get(predicted) {
                Some(field)
                    if field.key_head.begins(self.json.block(at))
                        && type_offset != Some(key_offset) =>
                {
                    at = at.wrapping_add(field.key.len());
                    (predicted, field)
                }
                _ => {
                    self.json.move_to(at);
                    match self.other_key(message, type_offset)? {
                        Some((index, field)) => {
                            at = self.json.offset();
                            (index, field)
                        }
                        None if self.json.comma_or(b'}')? => {
                            at = self.json.skip_space(self.json.offset());
                            continue;
                        }
                        None => break,
                    }
                }
            };
            predicted = index.wrapping_add(1);
            // SEMANTICS 77: in either form of its name.
            if self.mark(&mut marks, index) {
                return Err(Error::body(ErrorKind::DuplicateField, key_offset));
            }
            at = self.json.skip_space(at);
            if let Some(end) = self.quick_member(field, at) {
                self.mark_oneof(message, field, &mut marks, key_offset)?;
                at = end;
            } else {
                self.json.move_to(at);
                self.member(message, field, &mut marks, key_offset)?;
                at = self.json.offset();
            }
            match self.json.byte_at(at) {
                b',' => at = self.json.skip_space(at.wrapping_add(1)),
                b'}' => {
                    self.json.move_to(at + 1);
                    break;
                }
                // White space, or what is wrong.
                _ => {
                    self.json.move_to(at);
                    if !self.json.comma_or(b'}')? {
                        break;
                    }
                    at = self.json.skip_space(self.json.offset());
                }
            }
        }
        self.close_marks(&marks);
        Ok(())
    }

    /// Takes a key that is not the one which was predicted, and its colon. Where it is none of a field, takes its value too.
    #[inline(never)]
    fn other_key(
        &mut self,
        message: &'p MessagePlan,
        type_offset: Option<usize>,
    ) -> Result<Option<(usize, &'p FieldPlan)>, Error> {
        let key = self.json.key()?;
        let offset = key.offset();
        if type_offset == Some(offset) {
            // Even where a field has that name.
            self.json.skip_value(self.depth)?;
            return Ok(None);
        }
        let name = key.decoded(self.text)?;
        if let Some(index) = message.find_field(name) {
            return Ok(Some((usize::from(index.0), message.field(index))));
        }
        // SEMANTICS 88.
        if name == TYPE_KEY && type_offset.is_some() {
            return Err(Error::body(ErrorKind::DuplicateField, offset));
        }
        self.unknown_member(offset)?;
        Ok(None)
    }

    /// Passes over the value of a key that means nothing here (SEMANTICS 78).
    pub(super) fn unknown_member(&mut self, key_offset: usize) -> Result<(), Error> {
        if self.plan.options.reject_unknown_fields {
            return Err(Error::body(ErrorKind::UnknownField, key_offset));
        }
        self.json.skip_value(self.depth)
    }

    /// Takes the value at an offset if it is a scalar that is quickly read, and tells where it ends. Null is none of them.
    #[inline(always)]
    fn quick_member(&mut self, field: &'p FieldPlan, at: usize) -> Option<usize> {
        self.quick_scalar(at, field.lone_kind?, &field.tag, field.has_presence)
    }

    /// Takes the value of a field whose key has been taken.
    #[inline]
    fn member(
        &mut self,
        message: &'p MessagePlan,
        field: &'p FieldPlan,
        marks: &mut Marks,
        key_offset: usize,
    ) -> Result<(), Error> {
        // SEMANTICS 86: a member that is null does not count.
        if self.is_unset(field)? {
            return Ok(());
        }
        self.mark_oneof(message, field, marks, key_offset)?;
        self.field(field)
    }

    /// SEMANTICS 86: refuses a second member of the field's oneof.
    #[inline]
    fn mark_oneof(
        &mut self,
        message: &MessagePlan,
        field: &FieldPlan,
        marks: &mut Marks,
        key_offset: usize,
    ) -> Result<(), Error> {
        match field.oneof {
            Some(oneof) if self.mark(marks, message.fields.len() + usize::from(oneof)) => {
                Err(Error::body(ErrorKind::OneofConflict, key_offset))
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn open_marks(&mut self, message: &MessagePlan) -> Marks {
        let count = message.fields.len() + usize::from(message.oneof_count);
        let wide = (count > 64).then(|| {
            let start = self.seen.len();
            self.seen.resize(start + count.div_ceil(64), 0);
            start
        });
        Marks { bits: 0, wide }
    }

    #[inline]
    fn close_marks(&mut self, marks: &Marks) {
        if let Some(start) = marks.wide {
            self.seen.truncate(start);
        }
    }

    /// Sets one bit, and tells whether it was set before.
    #[inline]
    fn mark(&mut self, marks: &mut Marks, index: usize) -> bool {
        let bit = 1 << (index % 64);
        let word = match marks.wide {
            None => &mut marks.bits,
            Some(start) => match self.seen.get_mut(start + index / 64) {
                Some(word) => word,
                None => return false,
            },
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
