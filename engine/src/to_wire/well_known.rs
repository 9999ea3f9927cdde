//! The well-known types that have a JSON form of their own. In: a value in that form. Out: the fields of the type.
//! Always: `compile` has checked that the types have the fields that are relied upon here.

use super::Pass;
use super::scalar::sign_extended;
use crate::error::{Error, ErrorKind, Expected};
use crate::plan::{FieldPlan, MessagePlan};
use crate::text;
use crate::wire::write;

impl<'p> Pass<'p, '_, '_> {
    /// SEMANTICS 93: the bare value of the only field.
    pub(super) fn wrapper(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        match &*message.fields {
            [value] => self.singular(value),
            _ => Ok(()),
        }
    }

    /// SEMANTICS 89.
    pub(super) fn timestamp(&mut self, message: &MessagePlan) -> Result<(), Error> {
        self.seconds_and_nanos(message, Expected::Timestamp, text::timestamp::parse)
    }

    /// SEMANTICS 90.
    pub(super) fn duration(&mut self, message: &MessagePlan) -> Result<(), Error> {
        self.seconds_and_nanos(message, Expected::Duration, text::duration::parse)
    }

    fn seconds_and_nanos(
        &mut self,
        message: &MessagePlan,
        expected: Expected,
        parse: impl Fn(&[u8]) -> Option<(i64, i32)>,
    ) -> Result<(), Error> {
        if self.json.peek() != Some(b'"') {
            return Err(self.json.mismatch(expected));
        }
        let string = self.json.string()?;
        let text = string.decoded(self.text)?;
        let Some((seconds, nanos)) = parse(text) else {
            return Err(string.refuse(ErrorKind::Expected(expected)));
        };
        if let [seconds_field, nanos_field] = &*message.fields {
            self.varint_unless_zero(seconds_field, seconds.cast_unsigned());
            self.varint_unless_zero(nanos_field, sign_extended(nanos));
        }
        Ok(())
    }

    fn varint_unless_zero(&mut self, field: &FieldPlan, value: u64) {
        if value != 0 {
            self.out.extend_from_slice(field.tag.as_bytes());
            write::varint(value, self.out);
        }
    }

    /// SEMANTICS 91: paths with commas between them; no text is no path.
    pub(super) fn field_mask(&mut self, message: &MessagePlan) -> Result<(), Error> {
        if self.json.peek() != Some(b'"') {
            return Err(self.json.mismatch(Expected::FieldMask));
        }
        let string = self.json.string()?;
        let text = string.decoded(self.text)?;
        let [paths] = &*message.fields else {
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        for path in text.split(|&byte| byte == b',') {
            self.out.extend_from_slice(paths.element_tag.as_bytes());
            let length = write::open(self.out);
            if path.is_empty() || !text::field_mask::path_to_snake(path, self.out) {
                return Err(string.refuse(ErrorKind::Expected(Expected::FieldMask)));
            }
            write::close(self.out, length);
        }
        Ok(())
    }

    /// SEMANTICS 92: an object; its members are the entries of the only field.
    pub(super) fn structure(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        match &*message.fields {
            [fields] => self.map(fields),
            _ => Ok(()),
        }
    }

    /// SEMANTICS 92: an array; its elements are those of the only field.
    pub(super) fn list_value(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        match &*message.fields {
            [values] => self.repeated(values),
            _ => Ok(()),
        }
    }

    /// SEMANTICS 92: any value; what it is tells which member of the oneof it becomes.
    pub(super) fn dynamic_value(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        let [null, number, string, boolean, structure, list] = &*message.fields else {
            return Ok(());
        };
        let field = match self.json.peek() {
            Some(b'n') => null,
            Some(b'-' | b'0'..=b'9') => number,
            Some(b'"') => string,
            Some(b't' | b'f') => boolean,
            Some(b'{') => structure,
            Some(b'[') => list,
            _ => return Err(self.json.mismatch(Expected::Value)),
        };
        self.singular(field)
    }
}
