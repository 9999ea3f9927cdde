//! The value of a field, by its cardinality. In: a value that is not an unset `null`. Out: tags and values.
//! Always: in lists and maps, and where there is presence, every value is written; elsewhere zero is left out, as encoders do.

use super::{Pass, Written};
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{Cardinality, FieldPlan, Kind, Tag};
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
        wire::write::first_bytes(tag.bytes, usize::from(tag.len), self.out);
    }

    /// Writes tag and value, or nothing where the value is what an unset field has.
    #[inline]
    pub(super) fn singular(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
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

    /// Writes a tag and a value an element.
    pub(super) fn repeated(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        self.open(b'[', Expected::Array)?;
        if !self.json.close_if(b']') {
            loop {
                let start = self.out.len();
                self.tag(field.element_tag);
                if self.element(field)? == Written::Nothing {
                    self.out.truncate(start);
                }
                if !self.json.comma_or(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes the elements one after the other behind one tag and length, or nothing at all if there are none.
    fn packed(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        self.open(b'[', Expected::Array)?;
        if !self.json.close_if(b']') {
            let start = self.out.len();
            self.tag(field.tag);
            let length = wire::write::open(self.out);
            match field.kind {
                Kind::Double => self.elements(field.kind, Self::double),
                Kind::Float => self.elements(field.kind, Self::float),
                Kind::Bool | Kind::Enum(_) => self.elements(field.kind, |pass| pass.value(field)),
                kind => self.elements(kind, |pass| pass.integer(kind)),
            }?;
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

    /// Writes the elements of a packed list, of one kind each, up to the bracket that closes it.
    #[inline]
    fn elements(
        &mut self,
        kind: Kind,
        write: impl Fn(&mut Self) -> Result<Written, Error>,
    ) -> Result<(), Error> {
        loop {
            if self.json.peek() == Some(b'n') {
                self.check_null_element(kind)?;
            }
            write(self)?;
            if !self.json.comma_or(b']')? {
                return Ok(());
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
            kind => self.scalar(kind),
        }
    }
}
