//! `google.protobuf.Any` (SEMANTICS 88). In: an object with a key `@type`. Out: the type URL, and the message it names as bytes.
//! Always: the members are converted where they stand; only where `@type` does not come first is it looked for, by `late_types`.
//!
//! ```text
//! {"@type":url,"name":"a"}                 a message whose form is an object: its fields stand beside the type
//! {"@type":url,"value":"1.5s"}             any other form: it stands under `value`
//! {"@type":url} {"@type":url,"value":{}}   Empty: both are written, the first by C++ and Java, the second by Go
//! {}                                       an Any without type and value
//! ```

use super::Pass;
use crate::error::{Error, ErrorKind, Expected};
use crate::json::{Cursor, JsonString};
use crate::plan::{FieldPlan, Form, MessageIndex, MessagePlan};
use crate::wire::write;

/// The key of the type.
pub(super) const TYPE_KEY: &[u8] = b"@type";

/// The key of what has a JSON form of its own.
const VALUE_KEY: &[u8] = b"value";

/// The object that is converted, once its type is known; the cursor stands before the next of its members, if there is one.
struct Typed {
    /// Offset of the bracket that opens the object.
    object: usize,
    /// Offset of its key `@type`.
    type_offset: usize,
    /// What the type names.
    held: MessageIndex,
    /// Whether there is a member to come.
    has_more: bool,
}

impl<'p, 'j> Pass<'p, 'j, '_> {
    /// Writes the fields of an `Any`, whose value comes next. `message` is its plan.
    pub(super) fn any(&mut self, message: &'p MessagePlan) -> Result<(), Error> {
        let [type_url, value] = &*message.fields else {
            return Ok(());
        };
        self.open(b'{', Expected::Any)?;
        let object = self.json.offset() - 1;
        if !self.json.close_if(b'}') {
            let typed = self.any_type(type_url, object)?;
            self.any_value(value, &typed)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes the type of the object that has just been opened at the offset `object`.
    fn any_type(&mut self, type_url: &FieldPlan, object: usize) -> Result<Typed, Error> {
        let members = self.json;
        let key = self.json.key()?;
        if key.decoded(self.text)? == TYPE_KEY {
            return Ok(Typed {
                object,
                type_offset: key.offset(),
                held: self.type_url(type_url)?,
                has_more: self.json.comma_or(b'}')?,
            });
        }
        let type_offset = self.late_type(object, members)?;
        self.json = members.moved_to(type_offset);
        self.json.key()?;
        let held = self.type_url(type_url)?;
        self.json = members;
        Ok(Typed {
            object,
            type_offset,
            held,
            has_more: true,
        })
    }

    /// Finds the key `@type` of an object that does not begin with it.
    #[inline(never)]
    fn late_type(&mut self, object: usize, members: Cursor<'j>) -> Result<usize, Error> {
        self.late_types
            .find(object, members, self.depth, self.text)?
            .ok_or_else(|| Error::body(ErrorKind::AnyTypeMissing, object))
    }

    /// Writes the type URL that comes next, and finds the message it names.
    fn type_url(&mut self, field: &FieldPlan) -> Result<MessageIndex, Error> {
        if self.json.peek() != Some(b'"') {
            return Err(self.json.mismatch(Expected::String));
        }
        let string: JsonString<'j> = self.json.string()?;
        let url = string.decoded(self.text)?;
        // The host and path before the last slash say where a type could be looked up, which nobody does.
        let name = match url.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => url.get(slash + 1..).unwrap_or_default(),
            None => b"",
        };
        if name.is_empty() {
            return Err(string.refuse(ErrorKind::AnyTypeUrl));
        }
        let Some(index) = self.plan.message_names.find(name) else {
            return Err(string.refuse(ErrorKind::AnyTypeUnknown));
        };
        self.out.extend_from_slice(field.tag.as_bytes());
        write::varint(url.len() as u64, self.out);
        self.out.extend_from_slice(url);
        Ok(MessageIndex(index))
    }

    /// Writes the message that the object holds, up to the closing bracket, or nothing if it has no bytes.
    fn any_value(&mut self, field: &FieldPlan, typed: &Typed) -> Result<(), Error> {
        let held: &'p MessagePlan = self.plan.message(typed.held);
        let start = self.out.len();
        self.out.extend_from_slice(field.tag.as_bytes());
        let open = self.open_message();
        let content_start = self.out.len();
        let is_empty_type = held.fields.is_empty() && &*held.full_name == "google.protobuf.Empty";
        if held.form != Form::Object || is_empty_type {
            let is_given = self.value_member(typed)?;
            if !is_given && !is_empty_type {
                return Err(Error::body(ErrorKind::AnyValueMissing, typed.object));
            }
        } else if typed.has_more {
            self.members(held, Some(typed.type_offset))?;
        }
        if self.out.len() == content_start {
            self.out.truncate(start);
        } else {
            self.close_message(&open);
        }
        Ok(())
    }

    /// Writes the message under `value`, and tells whether there was one.
    fn value_member(&mut self, typed: &Typed) -> Result<bool, Error> {
        let mut is_given = false;
        let mut has_more = typed.has_more;
        while has_more {
            let key = self.json.key()?;
            let offset = key.offset();
            match key.decoded(self.text)? {
                TYPE_KEY if offset == typed.type_offset => self.json.skip_value(self.depth)?,
                TYPE_KEY => return Err(key.refuse(ErrorKind::DuplicateField)),
                VALUE_KEY if is_given => return Err(key.refuse(ErrorKind::DuplicateField)),
                VALUE_KEY => {
                    is_given = true;
                    self.message(typed.held)?;
                }
                _ => self.unknown_member(offset)?,
            }
            has_more = self.json.comma_or(b'}')?;
        }
        Ok(is_given)
    }
}
