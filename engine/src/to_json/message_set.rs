//! Message sets (`option message_set_wire_format`). In: where the bytes of one are. Out: its known members, listed.
//! Always: an item counts whichever of its two parts comes first; one of an unknown type is an unknown field (SEMANTICS 107).

use std::ops::Range;

use super::collected::Entry;
use super::{Converter, Stopped};
use crate::plan::{FieldIndex, MessagePlan, Tag};
use crate::wire::read::{LEN, Reader, START_GROUP};

impl<'c> Converter<'c> {
    /// Lists the members in one stretch of a message set.
    pub(super) fn collect_set_members(
        &mut self,
        plan: &'c MessagePlan,
        mut reader: Reader<'c>,
        only: Option<FieldIndex>,
        depth: u32,
    ) -> Result<(), Stopped> {
        while !reader.is_at_end() {
            let (number, wire_type) = self.noted(reader.tag())?;
            let member = match (number, wire_type) {
                (Tag::SET_ITEM_NUMBER, START_GROUP) => {
                    let item = self.noted(reader.group(number, depth, None))?;
                    self.set_item(item, depth)?
                }
                // As if the set were any other message: parsers take that too.
                (_, LEN) => {
                    let start = reader.offset();
                    self.noted(reader.skip(number, wire_type, depth))?;
                    Some((number, start..reader.offset()))
                }
                _ => {
                    self.noted(reader.skip(number, wire_type, depth))?;
                    None
                }
            };
            let Some((type_id, value)) = member else {
                continue;
            };
            if let Some(index) = plan.numbers.find(type_id)
                && only.is_none_or(|only| only == index)
            {
                self.scratch.entries.push(Entry::delimited(index, value));
            }
        }
        Ok(())
    }

    /// The type of an item, and where its message is with its length. Of each part the first counts.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts a varint to the width of its field"
    )]
    fn set_item(
        &mut self,
        item: Range<usize>,
        depth: u32,
    ) -> Result<Option<(u32, Range<usize>)>, Stopped> {
        let mut type_id = None;
        let mut message = None;
        let mut reader = Reader::new(self.wire, item);
        while !reader.is_at_end() {
            let tag_offset = reader.offset();
            let (number, wire_type) = self.noted(reader.tag())?;
            let start = reader.offset();
            let tag = self.wire.get(tag_offset..start).unwrap_or_default();
            if tag == Tag::SET_TYPE_ID.as_bytes() {
                let value = self.noted(reader.varint())? as u32;
                type_id.get_or_insert(value);
                continue;
            }
            self.noted(reader.skip(number, wire_type, depth + 1))?;
            if tag == Tag::SET_MESSAGE.as_bytes() {
                message = message.or_else(|| Some(start..reader.offset()));
            }
        }
        Ok(type_id.zip(message))
    }
}
