//! `google.api.HttpBody`: bytes that are no message, and their type (SEMANTICS 71, 72). In: a media type and bytes, or the message. Out: the
//! other of the two. Always: the bytes are copied once at most; the fields of a message may come in any order, often, or not at all.

use std::ops::Range;

use super::Tag;
use super::read::{LEN, Reader};
use super::write;
use crate::error::{Error, ErrorKind};
use crate::text::utf8;

/// The number of `content_type`.
pub(crate) const CONTENT_TYPE: u32 = 1;
/// The number of `data`.
pub(crate) const DATA: u32 = 2;

/// The fields that matter of an `HttpBody`; what is unset is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpBody<'w> {
    pub(crate) content_type: &'w [u8],
    pub(crate) data: &'w [u8],
}

impl<'w> HttpBody<'w> {
    /// Appends the fields.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (tag, value) in self.fields() {
            write_delimited(tag, value, out);
        }
    }

    /// Appends it as the value of a field, whose tag has been written.
    pub(crate) fn write_as_field(&self, out: &mut Vec<u8>) {
        // The length goes before the bytes, which are many and would have to move for it.
        let len: usize = self.fields().map(|(_, value)| field_len(value)).sum();
        write::varint(len as u64, out);
        self.write(out);
    }

    /// Takes what the message in `range` of `wire` sets. Of a field given twice the last counts, as where messages are merged.
    pub(crate) fn merge(&mut self, wire: &'w [u8], range: Range<usize>) -> Result<(), Error> {
        let mut reader = Reader::new(wire, range);
        while !reader.is_at_end() {
            match reader.tag()? {
                (CONTENT_TYPE, LEN) => {
                    let offset = reader.offset();
                    self.content_type = reader.bytes()?;
                    if !utf8::is_valid(self.content_type) {
                        return Err(Error::reply(ErrorKind::WireUtf8, offset));
                    }
                }
                (DATA, LEN) => self.data = reader.bytes()?,
                (number, wire_type) => reader.skip(number, wire_type, 0)?,
            }
        }
        Ok(())
    }

    /// The fields that are set, with their tags.
    fn fields(&self) -> impl Iterator<Item = (Tag, &'w [u8])> {
        const TAGS: [Tag; 2] = [Tag::new(CONTENT_TYPE, LEN), Tag::new(DATA, LEN)];
        TAGS.into_iter()
            .zip([self.content_type, self.data])
            .filter(|(_, value)| !value.is_empty())
    }
}

/// Bytes of a field with a tag of one byte.
fn field_len(value: &[u8]) -> usize {
    1 + write::varint_len(value.len()) + value.len()
}

fn write_delimited(tag: Tag, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(tag.as_bytes());
    write::varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the length before the message is that of the message, at each width that a length can have.
    #[test]
    fn a_body_of_any_length_comes_back() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let data = vec![0xff; len];
            for content_type in [&b""[..], b"text/plain"] {
                let body = HttpBody {
                    content_type,
                    data: &data,
                };
                let mut wire = b"before".to_vec();
                body.write_as_field(&mut wire);
                let mut reader = Reader::new(&wire, 6..wire.len());
                let range = reader.delimited().unwrap();
                assert!(reader.is_at_end());
                let mut read = HttpBody::default();
                read.merge(&wire, range).unwrap();
                assert!(read == body, "{len} bytes");
            }
        }
    }
}
