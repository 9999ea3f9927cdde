//! Objects of JSON as messages. In: the members of an object. Out: the fields they are the values of.
//! Always: no field twice (SEMANTICS 77), no two members of a oneof (SEMANTICS 86).

use super::Pass;
use super::any::TYPE_KEY;
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessagePlan, Tag};

/// What a key stands for.
enum Key {
    /// The field with this index.
    Field(usize),
    /// The type of an `Any`, unless the message has a field of that name.
    Type,
    /// Nothing that the message has.
    Unknown,
}

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
            let key = match message.fields.get(predicted) {
                Some(field) if field.key_head.begins(self.json.block(at)) => {
                    at += field.key.len();
                    Key::Field(predicted)
                }
                _ => {
                    self.json.move_to(at);
                    let key = self.other_key(message)?;
                    at = self.json.offset();
                    key
                }
            };
            at = self.json.skip_space(at);
            match key {
                // Even where a field has that name.
                _ if type_offset == Some(key_offset) => {
                    self.json.move_to(at);
                    self.json.skip_value(self.depth)?;
                    at = self.json.offset();
                }
                Key::Field(index) => {
                    predicted = index + 1;
                    // SEMANTICS 77: in either form of its name.
                    if self.mark(&mut marks, index) {
                        return Err(Error::body(ErrorKind::DuplicateField, key_offset));
                    }
                    let Some(field) = message.fields.get(index) else {
                        break;
                    };
                    if let Some(end) = self.quick_member(field, at) {
                        at = end;
                    } else {
                        self.json.move_to(at);
                        self.member(message, field, &mut marks, key_offset)?;
                        at = self.json.offset();
                    }
                }
                // SEMANTICS 88.
                Key::Type if type_offset.is_some() => {
                    return Err(Error::body(ErrorKind::DuplicateField, key_offset));
                }
                Key::Type | Key::Unknown => {
                    self.json.move_to(at);
                    self.unknown_member(key_offset)?;
                    at = self.json.offset();
                }
            }
            at = self.json.skip_space(at);
            match self.json.byte_at(at) {
                b',' => at = self.json.skip_space(at + 1),
                b'}' => break,
                _ => {
                    self.json.move_to(at);
                    return Err(self.json.no_comma());
                }
            }
        }
        self.json.move_to(at + 1);
        self.close_marks(&marks);
        Ok(())
    }

    /// Passes over the value of a key that means nothing here (SEMANTICS 78).
    pub(super) fn unknown_member(&mut self, key_offset: usize) -> Result<(), Error> {
        if self.plan.options.reject_unknown_fields {
            return Err(Error::body(ErrorKind::UnknownField, key_offset));
        }
        self.json.skip_value(self.depth)
    }

    /// Takes a key that is not the one which was predicted, and its colon.
    fn other_key(&mut self, message: &MessagePlan) -> Result<Key, Error> {
        let key = self.json.key()?;
        let name = key.decoded(self.text)?;
        Ok(match message.find_field(name) {
            Some(index) => Key::Field(usize::from(index.0)),
            None if name == TYPE_KEY => Key::Type,
            None => Key::Unknown,
        })
    }

    /// Takes the value at an offset if it is a scalar that is quickly read, and tells where it ends. Null is none of them.
    #[inline(always)]
    fn quick_member(&mut self, field: &'p FieldPlan, at: usize) -> Option<usize> {
        if field.cardinality != Cardinality::Singular || field.oneof.is_some() {
            return None;
        }
        self.quick_scalar(at, field.kind, field.tag, field.has_presence)
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
        if let Some(oneof) = field.oneof
            && self.mark(marks, message.fields.len() + usize::from(oneof))
        {
            return Err(Error::body(ErrorKind::OneofConflict, key_offset));
        }
        self.field(field)
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
