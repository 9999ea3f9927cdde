//! Tags of fields. In: number and wire type. Out: the varint that stands before a value. Always: made at start-up, copied after.

/// A field tag, already encoded. `bytes[..len]` is a varint of `number << 3 | wire type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The varint; bytes from `len` on are zero.
    pub(crate) bytes: [u8; 8],
    /// 1 to 5, or 0 for none.
    pub(crate) len: u8,
}

impl Tag {
    /// What stands before an element of a packed list: nothing.
    pub(crate) const NONE: Self = Self {
        bytes: [0; 8],
        len: 0,
    };

    /// The field number of the items of a message set.
    pub(crate) const SET_ITEM_NUMBER: u32 = 1;
    /// Opens an item of a message set.
    pub(crate) const SET_ITEM: Self = Self::new(Self::SET_ITEM_NUMBER, 3);
    /// Closes it.
    pub(crate) const SET_ITEM_END: Self = Self::new(Self::SET_ITEM_NUMBER, 4);
    /// Before the number of the extension that the item holds.
    pub(crate) const SET_TYPE_ID: Self = Self::new(2, 0);
    /// Before its message.
    pub(crate) const SET_MESSAGE: Self = Self::new(3, 2);

    /// Encodes the tag of a field. `number` is 1 to 2^29 - 1, as descriptors guarantee.
    pub(crate) const fn new(number: u32, wire_type: u8) -> Self {
        let mut rest = number << 3 | wire_type as u32;
        let mut tag = Self::NONE;
        loop {
            let byte = (rest & 0x7f) as u8;
            rest >>= 7;
            #[expect(
                clippy::indexing_slicing,
                reason = "a varint of 32 bits has at most 5 bytes"
            )]
            {
                tag.bytes[tag.len as usize] = if rest == 0 { byte } else { byte | 0x80 };
            }
            tag.len += 1;
            if rest == 0 {
                return tag;
            }
        }
    }

    /// The encoded bytes.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_of_a_large_number_takes_five_bytes() {
        assert_eq!(Tag::new(1, 0).as_bytes(), [0x08]);
        assert_eq!(Tag::new(16, 2).as_bytes(), [0x82, 0x01]);
        assert_eq!(
            Tag::new((1 << 29) - 1, 7).as_bytes(),
            [0xff, 0xff, 0xff, 0xff, 0x0f]
        );
    }
}
