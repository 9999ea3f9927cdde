//! Maps. In: an object. Out: one entry message a member. Always: no key twice (SEMANTICS 77), found at a cost that grows with their number, and of n log n
//! at most, whatever the keys are.

use super::lengths::OpenMessage;
use super::repeated::first_repeated;
use super::scalar::{expected_integer, integer_fault, write_integer};
use super::{Pass, Written};
use crate::error::{Error, ErrorKind, Expected};
use crate::json::JsonString;
use crate::json::number::Number;
use crate::json::short::ShortString;
use crate::plan::{FieldPlan, Kind};
use crate::simd::Block;
use crate::wire::write;

/// Where the key of an entry stands. Equal keys have equal bytes on the wire, however they are spelled in JSON.
/// Kept small, since a body may hold one for every six of its bytes: `limits::JSON_LEN_MAX` sees to it that the offsets fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryKey {
    /// Offset of its bytes, without the tag, from the start of what this pass has written.
    pub(super) start: u32,
    pub(super) len: u32,
    /// Offset of its quote in the JSON text.
    pub(super) json_offset: u32,
}

/// An entry whose value is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenEntry {
    /// Offset of its tag in the output.
    start: usize,
    message: OpenMessage,
    /// Offset of its key in the output, behind the tag of that.
    key_start: usize,
    key_len: usize,
    /// Offset of the key in the JSON text.
    pub(super) json_offset: usize,
}

impl<'p> Pass<'p, '_, '_> {
    /// Writes the entries of a map, whose value comes next.
    pub(super) fn map(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        let Kind::Message(entry) = field.kind else {
            return Ok(());
        };
        let [key, value] = &*self.plan.message(entry).fields else {
            return Ok(());
        };
        self.open(b'{', Expected::Object)?;
        if !self.json.close_if(b'}') {
            let first_key = self.keys.len();
            loop {
                self.json.peek();
                let at = self.json.offset();
                if let Some(end) = self.quick_entry(field, key, value, at) {
                    self.json.move_to(end);
                } else {
                    self.entry(field, key, value)?;
                }
                if !self.json.comma_or(b'}')? {
                    break;
                }
            }
            self.refuse_duplicate(first_key)?;
            self.keys.truncate(first_key);
        }
        self.depth -= 1;
        Ok(())
    }

    /// Takes the entry at an offset and writes it, if key and value are short strings of ASCII, without escapes: where it ends.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn quick_entry(
        &mut self,
        field: &FieldPlan,
        key: &FieldPlan,
        value: &FieldPlan,
        at: usize,
    ) -> Option<usize> {
        if key.kind != Kind::String || value.kind != Kind::String {
            return None;
        }
        let (key_block, key_len, colon) = self.quick_ascii(at)?;
        if self.json.byte_at(colon) != b':' {
            return None;
        }
        let value_at = self.json.skip_space(colon.wrapping_add(1));
        let (value_block, value_len, end) = self.quick_ascii(value_at)?;
        // Each has a tag and a length of one byte: the fields of an entry are 1 and 2, and a block is short.
        let content_len = key_len.wrapping_add(value_len).wrapping_add(4);
        write::tagged_varint(field.tag, content_len as u64, self.out);
        let key_start = self.out.len().wrapping_add(1);
        write::tagged_short_bytes(key.tag, &key_block, key_len, self.out);
        let key_end = self.out.len();
        write::tagged_short_bytes(value.tag, &value_block, value_len, self.out);
        self.keys.push(EntryKey {
            start: offset_u32(key_start.wrapping_sub(self.start)),
            len: offset_u32(key_end.wrapping_sub(key_start)),
            json_offset: offset_u32(at),
        });
        Some(end)
    }

    /// The short string of ASCII at an offset: the block behind its quote, its length, and where it ends.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn quick_ascii(&self, at: usize) -> Option<(Block, usize, usize)> {
        let start = at.wrapping_add(1);
        let block = self.json.block(start);
        let string = ShortString::read(block)?;
        if self.json.byte_at(at) != b'"' || !string.is_ascii {
            return None;
        }
        let end = start.wrapping_add(string.len).wrapping_add(1);
        Some((*block, string.len, end))
    }

    /// Writes one entry: a message with the key as field 1 and the value as field 2.
    fn entry(
        &mut self,
        field: &'p FieldPlan,
        key: &'p FieldPlan,
        value: &'p FieldPlan,
    ) -> Result<(), Error> {
        let entry = self.begin_entry(field, key)?;
        self.entry_value(value, &entry)
    }

    /// Writes an entry up to its value.
    #[inline]
    pub(super) fn begin_entry(
        &mut self,
        field: &'p FieldPlan,
        key: &'p FieldPlan,
    ) -> Result<OpenEntry, Error> {
        let start = self.out.len();
        let message = self.open_tagged_message(field.tag);
        let key_start = self.out.len() + usize::from(key.tag.len);
        let json_offset = self.map_key(key)?;
        Ok(OpenEntry {
            start,
            message,
            key_start,
            key_len: self.out.len() - key_start,
            json_offset,
        })
    }

    /// Writes the value of an entry and ends it.
    #[inline]
    pub(super) fn entry_value(
        &mut self,
        value: &'p FieldPlan,
        entry: &OpenEntry,
    ) -> Result<(), Error> {
        self.json.peek();
        let at = self.json.offset();
        if let Some(end) = self.quick_scalar(at, value.kind, &value.tag, true) {
            self.json.move_to(end);
        } else {
            self.tag(value.tag);
            if self.element(value)? == Written::Nothing {
                // SEMANTICS 84: the entry is dropped with its value.
                self.drop_entry(entry);
                return Ok(());
            }
        }
        self.end_entry(entry);
        Ok(())
    }

    /// Ends an entry whose value has been written.
    #[inline]
    pub(super) fn end_entry(&mut self, entry: &OpenEntry) {
        let end = self.out.len();
        self.close_message(&entry.message);
        // The key may have moved, since the length of the entry may take more than the byte that was reserved for it.
        let moved = self.out.len() - end;
        self.keys.push(EntryKey {
            start: offset_u32(entry.key_start + moved - self.start),
            len: offset_u32(entry.key_len),
            json_offset: offset_u32(entry.json_offset),
        });
    }

    /// Takes back what has been written of an entry.
    pub(super) fn drop_entry(&mut self, entry: &OpenEntry) {
        self.out.truncate(entry.start);
    }

    /// Writes the key of an entry, and tells its offset in the text.
    #[inline]
    fn map_key(&mut self, key: &'p FieldPlan) -> Result<usize, Error> {
        self.json.peek();
        let at = self.json.offset();
        if key.kind == Kind::String
            && let Some(end) = self.quick_string(at, &key.tag, true)
        {
            self.json.move_to(end);
            self.json.colon()?;
            return Ok(at);
        }
        self.tag(key.tag);
        let string = self.json.key()?;
        self.long_map_key(key.kind, &string)?;
        Ok(string.offset())
    }

    /// Writes the key of an entry from the string that stands for it (SEMANTICS 87).
    fn long_map_key(&mut self, kind: Kind, string: &JsonString<'_>) -> Result<(), Error> {
        match kind {
            Kind::String => self.string_content(string),
            Kind::Bool => {
                let is_true = match string.decoded(self.text)? {
                    b"true" => true,
                    b"false" => false,
                    _ => return Err(string.refuse(ErrorKind::Expected(Expected::Bool))),
                };
                self.out.push(u8::from(is_true));
                Ok(())
            }
            kind => {
                let expected = expected_integer(kind);
                let text = string.decoded(self.text)?;
                let Some(number) = Number::whole(text) else {
                    return Err(string.refuse(ErrorKind::Expected(expected)));
                };
                match write_integer(kind, number, self.out) {
                    Ok(_) => Ok(()),
                    Err(fault) => Err(string.refuse(integer_fault(fault, expected))),
                }
            }
        }
    }

    /// Refuses a map in which two of the keys from `first` on are equal.
    #[inline]
    pub(super) fn refuse_duplicate(&mut self, first: usize) -> Result<(), Error> {
        let keys = self.keys.get_mut(first..).unwrap_or_default();
        let written = self.out.get(self.start..).unwrap_or_default();
        match first_repeated(keys, written) {
            None => Ok(()),
            Some(offset) => Err(Error::body(ErrorKind::DuplicateKey, offset as usize)),
        }
    }
}

/// An offset that the limit on the length of the text keeps below 4 GiB.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`limits::JSON_LEN_MAX` is checked before a pass begins"
)]
pub(super) const fn offset_u32(offset: usize) -> u32 {
    offset as u32
}
