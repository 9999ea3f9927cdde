//! The value of a field, by its cardinality. In: a value that is not an unset `null`. Out: tags and values.
//! Always: in lists and maps, and where there is presence, every value is written; elsewhere zero is left out, as encoders do.

use super::{Pass, Written};
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Form, Kind, MessagePlan, Tag};
use crate::wire;
use crate::wire::read::END_GROUP;

impl<'p> Pass<'p, '_, '_> {
    /// Writes `field`, whose value comes next.
    #[inline]
    pub(super) fn field(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        match field.cardinality {
            Cardinality::Singular => self.singular(field),
            Cardinality::Repeated => self.repeated(field),
            Cardinality::Packed => self.packed(field),
            Cardinality::Map => self.map(field),
        }
    }

    #[inline]
    pub(super) fn tag(&mut self, tag: Tag) {
        wire::write::tag(tag, self.out);
    }

    /// Writes tag and value, or nothing where the value is what an unset field has.
    #[inline]
    pub(super) fn singular(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        if let Some(message) = self.object_plan(field.kind) {
            return self.nested_object(field.tag, message);
        }
        let start = self.out.len();
        self.tag(field.tag);
        let written = self.value(field)?;
        let is_needed = match written {
            Written::Value => true,
            Written::Default => field.has_presence,
            Written::Nothing => false,
        };
        if !is_needed {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// The message of a field whose values are objects of its fields, with a length before them.
    #[inline]
    pub(super) fn object_plan(&self, kind: Kind) -> Option<&'p MessagePlan> {
        let Kind::Message(index) = kind else {
            return None;
        };
        let message = self.plan.message(index);
        (message.form == Form::Object).then_some(message)
    }

    /// Writes a tag and a value an element.
    pub(super) fn repeated(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        self.open(b'[', Expected::Array)?;
        if !self.json.close_if(b']') {
            let message = self.object_plan(field.kind);
            loop {
                self.list_element(field, message)?;
                if !self.json.comma_or(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes tag and value of an element. `message` is what [`Self::object_plan`] gives for the field.
    #[inline]
    pub(super) fn list_element(
        &mut self,
        field: &'p FieldPlan,
        message: Option<&'p MessagePlan>,
    ) -> Result<(), Error> {
        let next = self.json.peek();
        let at = self.json.offset();
        if let (Some(message), Some(b'{')) = (message, next) {
            return self.nested_object(field.element_tag, message);
        }
        if let Some(end) = self.quick_scalar(at, field.kind, &field.element_tag, true) {
            self.json.move_to(end);
            return Ok(());
        }
        let start = self.out.len();
        self.tag(field.element_tag);
        if self.element(field)? == Written::Nothing {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// Writes the elements one after the other behind one tag and length, or nothing at all if there are none.
    fn packed(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        self.open(b'[', Expected::Array)?;
        if !self.json.close_if(b']') {
            let start = self.out.len();
            self.tag(field.tag);
            let length = wire::write::open(self.out);
            self.packed_elements(field)?;
            self.close_packed(start, length);
        }
        self.depth -= 1;
        Ok(())
    }

    /// Ends a packed list whose tag is at `start` and whose length is at `length` of the output.
    pub(super) fn close_packed(&mut self, start: usize, length: usize) {
        // The elements may all have been enum names that are dropped.
        if self.out.len() == length + 1 {
            self.out.truncate(start);
        } else {
            wire::write::close(self.out, length);
        }
    }

    /// Writes the elements of a packed list, up to the bracket that closes it.
    pub(super) fn packed_elements(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        match field.kind {
            Kind::Double => {
                self.elements(field, |pass, at| pass.quick_double(at, &Tag::NONE, true))
            }
            Kind::Float => self.elements(field, |pass, at| pass.quick_float(at, &Tag::NONE, true)),
            // A kind that is known where this is compiled makes a loop of its own.
            Kind::Int32 => self.elements(field, |pass, at| {
                pass.quick_integer(at, Kind::Int32, &Tag::NONE, true)
            }),
            Kind::Int64 => self.elements(field, |pass, at| {
                pass.quick_integer(at, Kind::Int64, &Tag::NONE, true)
            }),
            kind => self.elements(field, |pass, at| {
                pass.quick_scalar(at, kind, &Tag::NONE, true)
            }),
        }
    }

    /// Writes one element of a packed list.
    pub(super) fn packed_element(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        self.json.peek();
        let at = self.json.offset();
        if let Some(end) = self.quick_scalar(at, field.kind, &Tag::NONE, true) {
            self.json.move_to(end);
            return Ok(());
        }
        self.element(field).map(drop)
    }

    /// Writes the elements of a packed list, of one kind each, up to the bracket that closes it.
    #[inline]
    fn elements(
        &mut self,
        field: &'p FieldPlan,
        quick: impl Fn(&mut Self, usize) -> Option<usize>,
    ) -> Result<(), Error> {
        let mut at = self.json.skip_space(self.json.offset());
        loop {
            if let Some(end) = quick(self, at) {
                at = end;
            } else {
                self.json.move_to(at);
                self.element(field)?;
                at = self.json.offset();
            }
            match self.json.byte_at(at) {
                b',' => at = self.json.skip_space(at.wrapping_add(1)),
                b']' => {
                    self.json.move_to(at + 1);
                    return Ok(());
                }
                // White space, or what is wrong.
                _ => {
                    self.json.move_to(at);
                    if !self.json.comma_or(b']')? {
                        return Ok(());
                    }
                    at = self.json.skip_space(self.json.offset());
                }
            }
        }
    }

    /// Writes the value of a list's element or of a map's entry.
    #[inline]
    pub(super) fn element(&mut self, field: &'p FieldPlan) -> Result<Written, Error> {
        if self.json.peek() == Some(b'n') {
            self.check_null_element(field.kind)?;
        }
        self.value(field)
    }

    /// SEMANTICS 85: there is no unset element.
    #[cold]
    fn check_null_element(&mut self, kind: Kind) -> Result<(), Error> {
        if self.is_null_a_value(kind) {
            return Ok(());
        }
        let offset = self.json.offset();
        self.json.literal(b"null")?;
        Err(Error::body(ErrorKind::NullElement, offset))
    }

    /// Writes one value; its tag has been written.
    #[inline]
    fn value(&mut self, field: &'p FieldPlan) -> Result<Written, Error> {
        match field.kind {
            Kind::Message(index) => {
                let open = self.open_message();
                self.message(index)?;
                self.close_message(&open);
                Ok(Written::Value)
            }
            Kind::Group(index) => {
                self.message(index)?;
                self.tag(Tag::new(field.number, END_GROUP));
                Ok(Written::Value)
            }
            Kind::SetMember(index) => self.set_member(field, index),
            kind => self.scalar(kind),
        }
    }
}
