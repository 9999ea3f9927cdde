//! Protobuf bytes, one tag or one value at a time. In: the bytes of a message. Out: numbers, slices, ranges.
//! Always: nothing past the end is read, nothing panics, groups are followed down to a bound; offsets count from the start of the reply.

use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::limits::DEPTH_MAX;

/// The wire type of a value that is a length and so many bytes.
pub(crate) const LEN: u8 = 2;
/// The wire type of a tag that opens a group.
pub(crate) const START_GROUP: u8 = 3;
/// The wire type of a tag that closes a group.
pub(crate) const END_GROUP: u8 = 4;

/// A place in a message.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'w> {
    /// The whole reply up to the end of the message being read, so that offsets count from its start.
    bytes: &'w [u8],
    /// Bytes already read. `offset <= bytes.len()`.
    offset: usize,
}

impl<'w> Reader<'w> {
    /// Reads `range` of `wire`; what of the range lies outside does not exist.
    #[inline]
    pub(crate) fn new(wire: &'w [u8], range: Range<usize>) -> Self {
        let bytes = wire.get(..range.end).unwrap_or(wire);
        Self {
            bytes,
            offset: range.start.min(bytes.len()),
        }
    }

    /// How many bytes of the reply lie before the next one.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether all has been read.
    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        self.offset == self.bytes.len()
    }

    /// How many bytes of the reply lie before the last that there is to read.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The same bytes at another place, where a tag or value is known to start.
    pub(crate) fn moved_to(self, offset: usize) -> Self {
        debug_assert!(offset <= self.bytes.len());
        Self { offset, ..self }
    }

    /// The next bytes, as many as there are of `len`.
    pub(crate) fn rest_up_to(&self, len: usize) -> &'w [u8] {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        rest.get(..len).unwrap_or(rest)
    }

    /// Steps over `tag` if that is what comes next.
    #[inline]
    pub(crate) fn take(&mut self, tag: &[u8]) -> bool {
        let is_next = self
            .bytes
            .get(self.offset..)
            .is_some_and(|rest| rest.starts_with(tag));
        if is_next {
            self.offset += tag.len();
        }
        is_next
    }

    /// A field number, from 1, and a wire type of 0 to 5.
    #[inline(always)]
    pub(crate) fn tag(&mut self) -> Result<(u32, u8), Error> {
        let start = self.offset;
        match u32::try_from(self.varint()?) {
            Ok(value @ 8..) if value & 7 <= 5 => Ok((value >> 3, (value & 7) as u8)),
            _ => Err(Error::reply(ErrorKind::WireTag, start)),
        }
    }

    /// A varint of at most 64 bits.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        match self.bytes.get(self.offset) {
            Some(&byte) if byte < 0x80 => {
                self.offset += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint().ok_or_else(|| self.varint_fault()),
        }
    }

    /// A varint that takes two bytes or more, or is broken.
    #[inline(never)]
    fn long_varint(&mut self) -> Option<u64> {
        let start = self.offset;
        let rest = self.bytes.get(start..).unwrap_or_default();
        if let [low, high, ..] = *rest
            && high < 0x80
        {
            self.offset = start + 2;
            return Some(u64::from(low & 0x7f) | u64::from(high) << 7);
        }
        if let Some(word) = rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            // The high bit of each byte that says that no more come; one of eight bytes mostly does.
            let last = !word & 0x8080808080808080;
            if last != 0 {
                let unused_bit_count = 63 - last.trailing_zeros();
                self.offset = start + 8 - unused_bit_count as usize / 8;
                return Some(squeeze(word << unused_bit_count >> unused_bit_count));
            }
        }
        let mut value = 0;
        for (index, &byte) in rest.iter().take(10).enumerate() {
            // Of the tenth byte only one bit is left for a number of 64.
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.offset = start + index + 1;
                return Some(value);
            }
        }
        None
    }

    #[cold]
    fn varint_fault(&self) -> Error {
        let kind = if self.bytes.len() - self.offset < 10 {
            ErrorKind::WireTruncated
        } else {
            ErrorKind::WireVarint
        };
        Error::reply(kind, self.offset)
    }

    /// Four bytes, little-endian.
    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self
            .bytes
            .get(self.offset..)
            .and_then(|rest| rest.first_chunk::<N>());
        match array {
            Some(array) => {
                self.offset += N;
                Ok(*array)
            }
            None => Err(Error::reply(ErrorKind::WireTruncated, self.offset)),
        }
    }

    /// A length and where its bytes are.
    #[inline]
    pub(crate) fn delimited(&mut self) -> Result<Range<usize>, Error> {
        let start = self.offset;
        let len = self.varint()?;
        let left = self.bytes.len() - self.offset;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                let range = self.offset..self.offset + len;
                self.offset = range.end;
                Ok(range)
            }
            _ => Err(Error::reply(ErrorKind::WireTruncated, start)),
        }
    }

    /// A length and its bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'w [u8], Error> {
        let range = self.delimited()?;
        Ok(self.bytes.get(range).unwrap_or_default())
    }

    /// What lies between the tag of a group, which has been read, and the tag that closes it. `depth` is the level of the message
    /// that the group is in.
    pub(crate) fn group(&mut self, number: u32, depth: u32) -> Result<Range<usize>, Error> {
        let start = self.offset;
        if depth >= DEPTH_MAX {
            return Err(Error::reply(ErrorKind::WireTooDeep, start));
        }
        while !self.is_at_end() {
            let end = self.offset;
            let (inner, wire_type) = self.tag()?;
            if wire_type != END_GROUP {
                self.skip(inner, wire_type, depth + 1)?;
            } else if inner == number {
                return Ok(start..end);
            } else {
                return Err(Error::reply(ErrorKind::WireGroup, end));
            }
        }
        Err(Error::reply(ErrorKind::WireGroup, start))
    }

    /// Steps over a value whose tag has been read. `depth` is the level of the message it is in.
    pub(crate) fn skip(&mut self, number: u32, wire_type: u8, depth: u32) -> Result<(), Error> {
        match wire_type {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            LEN => self.delimited().map(drop),
            START_GROUP => self.group(number, depth).map(drop),
            5 => self.fixed32().map(drop),
            // The end of a group that was not begun.
            _ => Err(Error::reply(ErrorKind::WireGroup, self.offset)),
        }
    }
}

/// Puts the low seven bits of each of eight bytes together.
const fn squeeze(word: u64) -> u64 {
    let pairs = word & 0x007f007f007f007f | (word & 0x7f007f007f007f00) >> 1;
    let quads = pairs & 0x00003fff00003fff | (pairs & 0x3fff00003fff0000) >> 2;
    quads & 0x0fffffff | (quads & 0x0fffffff00000000) >> 4
}

/// The signed number that a `sint32` holds.
#[inline]
pub(crate) const fn unzigzag32(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The signed number that a `sint64` holds.
#[inline]
pub(crate) const fn unzigzag64(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, 0..bytes.len())
    }

    fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind)
    }

    #[test]
    fn varint_of_ten_bytes_is_read_and_of_eleven_refused() {
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(reader(&longest).varint(), Ok(u64::MAX));
        assert_eq!(reader(&[0x80, 0x00]).varint(), Ok(0));
        assert_eq!(reader(&[0xac, 0x02]).varint(), Ok(300));
        longest[9] = 2;
        assert_eq!(
            kind(reader(&longest).varint()),
            Some(ErrorKind::WireVarint),
            "65 bits"
        );
        assert_eq!(
            kind(reader(&[0x80; 11]).varint()),
            Some(ErrorKind::WireVarint)
        );
        assert_eq!(
            kind(reader(&[0x80; 9]).varint()),
            Some(ErrorKind::WireTruncated)
        );
        assert_eq!(kind(reader(&[]).varint()), Some(ErrorKind::WireTruncated));
    }

    #[test]
    fn tag_of_field_zero_or_of_an_unknown_wire_type_is_refused() {
        assert_eq!(reader(&[0x0a]).tag(), Ok((1, 2)));
        assert_eq!(
            reader(&[0xfd, 0xff, 0xff, 0xff, 0x0f]).tag(),
            Ok(((1 << 29) - 1, 5))
        );
        for bytes in [
            &[0x02_u8][..],
            &[0x0e],
            &[0x0f],
            &[0x80, 0x80, 0x80, 0x80, 0x10],
        ] {
            assert_eq!(kind(reader(bytes).tag()), Some(ErrorKind::WireTag));
        }
    }

    #[test]
    fn length_beyond_the_end_is_refused_however_large() {
        assert_eq!(reader(&[2, 7, 8]).bytes(), Ok(&[7_u8, 8][..]));
        for bytes in [
            &[1_u8][..],
            &[0x80, 0x80, 0x80, 0x80, 0x08],
            &[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0,
            ],
        ] {
            assert_eq!(kind(reader(bytes).bytes()), Some(ErrorKind::WireTruncated));
        }
        let inside = Reader::new(&[2, 7, 8, 9], 0..2).bytes();
        assert_eq!(kind(inside), Some(ErrorKind::WireTruncated));
    }

    #[test]
    fn group_ends_at_its_own_end_tag_only() {
        // Field 1: a group that holds an empty group of field 2 and a varint.
        let bytes = [0x13, 0x14, 0x18, 0x05, 0x0c, 0xff];
        let mut at = reader(&bytes);
        assert_eq!(at.group(1, 1), Ok(0..4));
        assert_eq!(at.offset(), 5);
        assert_eq!(
            kind(reader(&[0x14]).group(1, 1)),
            Some(ErrorKind::WireGroup)
        );
        assert_eq!(
            kind(reader(&[0x08, 0x01]).group(1, 1)),
            Some(ErrorKind::WireGroup)
        );
        assert_eq!(
            kind(reader(&[0x0c]).skip(1, END_GROUP, 1)),
            Some(ErrorKind::WireGroup)
        );
    }

    /// THREATS E2: groups nested in an unknown field count as levels.
    #[test]
    fn group_deeper_than_the_limit_is_refused() {
        let nested = |count: usize| [vec![0x0b; count], vec![0x0c; count]].concat();
        let deepest = nested(DEPTH_MAX as usize - 1);
        let mut at = reader(&deepest);
        assert_eq!(at.tag(), Ok((1, START_GROUP)));
        assert_eq!(at.skip(1, START_GROUP, 1), Ok(()));
        assert!(at.is_at_end());
        let deeper = nested(DEPTH_MAX as usize);
        let mut at = reader(&deeper);
        assert_eq!(at.tag(), Ok((1, START_GROUP)));
        assert_eq!(
            kind(at.skip(1, START_GROUP, 1)),
            Some(ErrorKind::WireTooDeep)
        );
    }

    #[test]
    fn zigzag_is_undone() {
        assert_eq!([0, 1, 2, 3].map(unzigzag32), [0, -1, 1, -2]);
        assert_eq!(unzigzag32(u32::MAX), i32::MIN);
        assert_eq!(unzigzag64(u64::MAX), i64::MIN);
        assert_eq!(unzigzag64(u64::MAX - 1), i64::MAX);
    }
}
