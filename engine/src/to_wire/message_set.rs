//! Members of a message set (`option message_set_wire_format`). In: the value of an extension key. Out: one item.
//! Always: the type id comes before the message, as parsers of one pass want it.
//!
//! ```text
//! │ 0x0b │ 0x10 │ type id │ 0x1a │ length │ message │ 0x0c │     group 1 { int32 type_id = 2; bytes message = 3; }
//! ```

use super::{Pass, Written};
use crate::error::Error;
use crate::plan::{FieldPlan, MessageIndex, Tag};
use crate::wire::write;

impl Pass<'_, '_, '_> {
    /// Writes a member behind the tag that opens its item.
    pub(super) fn set_member(
        &mut self,
        field: &FieldPlan,
        index: MessageIndex,
    ) -> Result<Written, Error> {
        self.tag(Tag::SET_TYPE_ID);
        write::varint(u64::from(field.number), self.out);
        self.tag(Tag::SET_MESSAGE);
        let open = self.open_message();
        self.message(index)?;
        self.close_message(&open);
        self.tag(Tag::SET_ITEM_END);
        Ok(Written::Value)
    }
}
