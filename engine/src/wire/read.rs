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

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A place in a message.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'w> {
    /// What has not been read of the whole reply: of what follows the message too, so that eight bytes can be looked at at once
    /// near the end of a message that others follow.
    rest: &'w [u8],
    /// How many bytes follow the message. `behind_len <= rest.len()`.
    behind_len: usize,
    /// The length of the whole reply, from whose start offsets count. `rest.len() <= wire_len`.
    wire_len: usize,
}

/// A tag of at most four bytes as it is looked for in eight bytes at once, of which the first is the lowest. A longer one, which is
/// that of a field number from 2^25 on, is never found this way, but by reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagPattern {
    word: u32,
    /// The bits of the tag's bytes.
    mask: u32,
    /// `8 * len`
    bit_count: u8,
    /// 0 to 4.
    len: u8,
}

impl TagPattern {
    /// The tag of what has none.
    pub(crate) const NONE: Self = Self {
        word: 0,
        mask: 0,
        bit_count: 0,
        len: 0,
    };

    /// How many bytes the tag has.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// What no bytes match.
    pub(crate) const NEVER: Self = Self {
        word: 1,
        mask: 0,
        bit_count: 8,
        len: 1,
    };

    /// `tag` is a varint.
    pub(crate) fn new(tag: &[u8]) -> Self {
        let &[a, ref rest @ ..] = tag else {
            return Self::NEVER;
        };
        let (bytes, mask, len) = match *rest {
            [] => ([a, 0, 0, 0], 0xff, 1),
            [b] => ([a, b, 0, 0], 0xffff, 2),
            [b, c] => ([a, b, c, 0], 0x00ff_ffff, 3),
            [b, c, d] => ([a, b, c, d], u32::MAX, 4),
            _ => return Self::NEVER,
        };
        Self {
            word: u32::from_le_bytes(bytes),
            mask,
            bit_count: 8 * len,
            len,
        }
    }
}

/// The bytes from this offset on, as many as the array has.
#[inline(always)]
pub(crate) fn array_at<const N: usize>(wire: &[u8], offset: usize) -> Option<&[u8; N]> {
    // A range of a known length takes one comparison less than what comes from an offset on, of which the first are asked for.
    wire.get(offset..offset.wrapping_add(N))?.first_chunk()
}

/// The next eight bytes of a wire, the first of them lowest. What lies beyond its end is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word(u64);

impl Word {
    /// What comes from this offset on.
    #[inline(always)]
    pub(crate) fn at(wire: &[u8], offset: usize) -> Self {
        match array_at(wire, offset) {
            Some(bytes) => Self(u64::from_le_bytes(*bytes)),
            None => Self::last(wire, offset),
        }
    }

    /// Less than eight bytes come.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it is 8 at most")]
    fn last(wire: &[u8], offset: usize) -> Self {
        match wire.last_chunk() {
            Some(bytes) => {
                let missing_len = offset.wrapping_add(8).wrapping_sub(wire.len()).min(8);
                let word = u64::from_le_bytes(*bytes);
                Self(word.unbounded_shr(8 * missing_len as u32))
            }
            None => Self::of_few(wire.get(offset..).unwrap_or_default()),
        }
    }

    #[cold]
    #[inline(never)]
    fn of_few(rest: &[u8]) -> Self {
        let mut bytes = [0; 8];
        for (byte, next) in bytes.iter_mut().zip(rest) {
            *byte = *next;
        }
        Self(u64::from_le_bytes(bytes))
    }

    /// As a number whose highest byte is the first.
    #[inline(always)]
    pub(crate) fn big_endian(self) -> u64 {
        self.0.swap_bytes()
    }

    /// Whether that is a tag.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are what is wanted"
    )]
    pub(crate) fn is(self, tag: &TagPattern) -> bool {
        self.0 as u32 & tag.mask == tag.word
    }

    /// The varint behind a tag, and the length of both, if the word holds all of it. Those that do not end with the wire end beyond.
    #[inline(always)]
    pub(crate) fn varint_behind(self, tag: &TagPattern) -> Option<(u64, usize)> {
        let tag_len = usize::from(tag.len);
        let bit_count = u32::from(tag.bit_count);
        let word = self.0.wrapping_shr(bit_count);
        if word & 0x80 == 0 {
            return Some((word & 0x7f, tag_len.wrapping_add(1)));
        }
        // A tag of at most four bytes leaves as many.
        if word & 0x8000 == 0 {
            let value = word & 0x7f | word >> 1 & 0x3f80;
            return Some((value, tag_len.wrapping_add(2)));
        }
        // The high bit of each byte says that more come.
        let last @ 1.. = (!self.0 & HIGH_BITS).wrapping_shr(bit_count) else {
            return None;
        };
        let used = last ^ last.wrapping_sub(1);
        let len = last.trailing_zeros().wrapping_add(1) / 8;
        Some((squeeze(word & used), tag_len.wrapping_add(len as usize)))
    }

    /// Where the bytes are of the value with a length behind a tag, if the word holds the length and the message has the bytes. The word is
    /// that at `at` of a message that ends at `end`.
    #[inline(always)]
    pub(crate) fn delimited_behind(
        self,
        tag: &TagPattern,
        at: usize,
        end: usize,
    ) -> Option<Range<usize>> {
        let (len, head) = self.varint_behind(tag)?;
        let left = end.checked_sub(at)?;
        // A number that a word holds has 56 bits at most.
        let whole = len.wrapping_add(head as u64);
        let whole = usize::try_from(whole).ok().filter(|&whole| whole <= left)?;
        Some(at.wrapping_add(head)..at.wrapping_add(whole))
    }
}

/// The bytes behind a tag that is yet to be stepped over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// Four bytes or more, the first of them lowest. What lies beyond the reply is zero.
    word: u64,
    tag_len: usize,
}

impl<'w> Reader<'w> {
    /// Reads `range` of `wire`; what of the range lies outside does not exist.
    #[inline]
    pub(crate) fn new(wire: &'w [u8], range: Range<usize>) -> Self {
        let end = range.end.min(wire.len());
        Self {
            rest: wire.get(range.start.min(end)..).unwrap_or_default(),
            behind_len: wire.len().wrapping_sub(end),
            wire_len: wire.len(),
        }
    }

    /// How many bytes of the reply lie before the next one.
    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.wire_len.wrapping_sub(self.rest.len())
    }

    /// Whether all has been read.
    #[inline(always)]
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.len() <= self.behind_len
    }

    /// Goes on from this byte of the reply, up to which all has been read.
    #[inline]
    pub(crate) fn go_to(&mut self, offset: usize) {
        let len = offset.wrapping_sub(self.offset());
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    /// How many bytes of the reply lie before the last that there is to read.
    pub(crate) fn end(&self) -> usize {
        self.wire_len.wrapping_sub(self.behind_len)
    }

    /// The next bytes, as many as there are of `len`.
    pub(crate) fn rest_up_to(&self, len: usize) -> &'w [u8] {
        let rest = self.message_rest();
        rest.get(..len).unwrap_or(rest)
    }

    /// Steps over these bytes, if they are what comes next.
    pub(crate) fn take_bytes(&mut self, bytes: &[u8]) -> bool {
        self.rest_up_to(bytes.len()) == bytes && self.step_over(bytes.len()).is_some()
    }

    /// Steps over a tag, if that is what comes next.
    #[inline(always)]
    pub(crate) fn take(&mut self, tag: &TagPattern) -> bool {
        match self.ahead_of(tag) {
            Some(ahead) => self.step(ahead).is_ok(),
            None => false,
        }
    }

    /// What lies behind a tag, if that is what comes next.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are what is wanted"
    )]
    pub(crate) fn ahead_of(&self, tag: &TagPattern) -> Option<Ahead> {
        let Ahead { word, .. } = self.ahead();
        (word as u32 & tag.mask == tag.word).then_some(Ahead {
            word: word.wrapping_shr(u32::from(tag.bit_count)),
            tag_len: usize::from(tag.len),
        })
    }

    /// What comes next, with no tag before it.
    #[inline(always)]
    pub(crate) fn ahead(&self) -> Ahead {
        let Word(word) = match self.rest.first_chunk() {
            Some(bytes) => Word(u64::from_le_bytes(*bytes)),
            None => Word::of_few(self.rest),
        };
        Ahead { word, tag_len: 0 }
    }

    /// Steps over the tag.
    #[inline(always)]
    pub(crate) fn step(&mut self, ahead: Ahead) -> Result<(), Error> {
        match self.step_over(ahead.tag_len) {
            Some(()) => Ok(()),
            None => Err(Error::reply(ErrorKind::WireTruncated, self.offset())),
        }
    }

    /// Steps over the tag and takes a varint.
    #[inline(always)]
    pub(crate) fn varint_ahead(&mut self, ahead: Ahead) -> Result<u64, Error> {
        let Ahead { word, tag_len } = ahead;
        // A tag of at most four bytes leaves as many.
        if word & 0x80 == 0 && self.step_over(tag_len.wrapping_add(1)).is_some() {
            return Ok(word & 0x7f);
        }
        if word & 0x8080 == 0x80 && self.step_over(tag_len.wrapping_add(2)).is_some() {
            return Ok(word & 0x7f | word >> 1 & 0x3f80);
        }
        self.step(ahead)?;
        self.varint()
    }

    /// Steps over the tag and takes a length, which is not beyond the end of the message, and its bytes with all that follow
    /// them in the reply.
    #[inline(always)]
    pub(crate) fn source_ahead(&mut self, ahead: Ahead) -> Result<(&'w [u8], usize), Error> {
        let before = self.rest;
        let len = self.varint_ahead(ahead)?;
        let source = self.rest;
        match usize::try_from(len) {
            Ok(len) if self.step_over(len).is_some() => Ok((source, len)),
            _ => {
                let offset = self.offset_of(before).wrapping_add(ahead.tag_len);
                Err(Error::reply(ErrorKind::WireTruncated, offset))
            }
        }
    }

    /// How many bytes of the reply lie before `source`, which this reader gave.
    #[inline(always)]
    fn offset_of(&self, source: &[u8]) -> usize {
        self.wire_len.wrapping_sub(source.len())
    }

    /// Steps over `len` bytes, if the message has so many.
    #[inline(always)]
    fn step_over(&mut self, len: usize) -> Option<()> {
        let rest = self.rest.get(len..)?;
        if rest.len() < self.behind_len {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// A field number, from 1, and a wire type of 0 to 5.
    #[inline(always)]
    pub(crate) fn tag(&mut self) -> Result<(u32, u8), Error> {
        let start = self.offset();
        match u32::try_from(self.varint()?) {
            Ok(value @ 8..) if value & 7 <= 5 => Ok((value >> 3, (value & 7) as u8)),
            _ => Err(Error::reply(ErrorKind::WireTag, start)),
        }
    }

    /// A varint of at most 64 bits.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        if let [byte @ ..0x80, rest @ ..] = self.rest
            && rest.len() >= self.behind_len
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        if let Some(bytes) = self.rest.first_chunk()
            && let word = u64::from_le_bytes(*bytes)
            && let last @ 1.. = !word & HIGH_BITS
        {
            // The high bit of each byte says that more come. What stands behind the lowest byte without it is cut off.
            let unused_bit_count = 63 - last.trailing_zeros();
            if self
                .step_over(8 - (unused_bit_count / 8) as usize)
                .is_some()
            {
                return Ok(squeeze(word << unused_bit_count >> unused_bit_count));
            }
        }
        let (value, len) = long_varint(self.message_rest());
        if len == 0 || self.step_over(len).is_none() {
            return Err(self.varint_fault());
        }
        Ok(value)
    }

    /// What has not been read of the message.
    #[inline]
    fn message_rest(&self) -> &'w [u8] {
        let len = self.rest.len().wrapping_sub(self.behind_len);
        self.rest.get(..len).unwrap_or_default()
    }

    #[cold]
    fn varint_fault(&self) -> Error {
        let kind = if self.message_rest().len() < 10 {
            ErrorKind::WireTruncated
        } else {
            ErrorKind::WireVarint
        };
        Error::reply(kind, self.offset())
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
        match self.rest.split_first_chunk() {
            Some((array, rest)) if rest.len() >= self.behind_len => {
                self.rest = rest;
                Ok(*array)
            }
            _ => Err(Error::reply(ErrorKind::WireTruncated, self.offset())),
        }
    }

    /// A length and where its bytes are.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn delimited(&mut self) -> Result<Range<usize>, Error> {
        let (source, len) = self.source()?;
        let start = self.offset_of(source);
        Ok(start..start.wrapping_add(len))
    }

    /// A length and its bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'w [u8], Error> {
        let (source, len) = self.source()?;
        Ok(source.get(..len).unwrap_or_default())
    }

    /// A length that is not beyond the end of the message, and its bytes with all that follow them in the reply.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn source(&mut self) -> Result<(&'w [u8], usize), Error> {
        self.source_ahead(self.ahead())
    }

    /// What lies between the tag of a group, which has been read, and the tag that closes it. `depth` is the level of the message
    /// that the group is in. Where it is, and the groups inside of it are, is added to `noted`, in the order of their starts.
    pub(crate) fn group(
        &mut self,
        number: u32,
        depth: u32,
        mut noted: Option<&mut Vec<GroupAt>>,
    ) -> Result<Range<usize>, Error> {
        let start = self.offset();
        if depth >= DEPTH_MAX {
            return Err(Error::reply(ErrorKind::WireTooDeep, start));
        }
        let note = noted.as_deref().map(Vec::len);
        if let Some(noted) = noted.as_deref_mut() {
            noted.push(GroupAt::new(start..start));
        }
        while !self.is_at_end() {
            let end = self.offset();
            match self.tag()? {
                (inner, START_GROUP) => {
                    self.group(inner, depth + 1, noted.as_deref_mut())?;
                }
                (inner, END_GROUP) if inner == number => {
                    if let Some(note) = noted.zip(note).and_then(|(noted, at)| noted.get_mut(at)) {
                        *note = GroupAt::new(start..end);
                    }
                    return Ok(start..end);
                }
                (_, END_GROUP) => return Err(Error::reply(ErrorKind::WireGroup, end)),
                (inner, wire_type) => self.skip(inner, wire_type, depth + 1)?,
            }
        }
        Err(Error::reply(ErrorKind::WireGroup, start))
    }

    /// Steps over what is left of a group, and the tag that closes it, which is known to be at this byte.
    pub(crate) fn skip_to_end_of_group(&mut self, end: usize) -> Result<(), Error> {
        let len = end
            .saturating_sub(self.offset())
            .min(self.message_rest().len());
        self.rest = self.rest.get(len..).unwrap_or_default();
        self.tag().map(drop)
    }

    /// Steps over a value whose tag has been read. `depth` is the level of the message it is in.
    pub(crate) fn skip(&mut self, number: u32, wire_type: u8, depth: u32) -> Result<(), Error> {
        match wire_type {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            LEN => self.delimited().map(drop),
            START_GROUP => self.group(number, depth, None).map(drop),
            5 => self.fixed32().map(drop),
            // The end of a group that was not begun.
            _ => Err(Error::reply(ErrorKind::WireGroup, self.offset())),
        }
    }
}

/// Where the content of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupAt {
    start: u32,
    end: u32,
}

impl GroupAt {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a reply is shorter than 2^32, as its readers check"
    )]
    fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) fn end(self) -> usize {
        self.end as usize
    }
}

/// A varint of any length and how many bytes it takes: none if it is broken or cut off.
#[inline(never)]
fn long_varint(rest: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (index, &byte) in rest.iter().take(10).enumerate() {
        // Of the tenth byte only one bit is left for a number of 64.
        if index == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return (value, index + 1);
        }
    }
    (0, 0)
}

/// Puts the low seven bits of each of eight bytes together.
#[inline]
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
    use crate::wire::{Tag, write};

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
    fn word_is_what_a_reader_reads_wherever_the_wire_ends() {
        // Varints of one to ten bytes, a tag of one to four bytes before each, and up to nine bytes behind.
        for shift in 0..64 {
            let value = u64::MAX >> shift;
            for number in [1, 16, 1 << 12, 1 << 20] {
                let tag = Tag::new(number, 0);
                let mut wire = tag.as_bytes().to_vec();
                write::varint(value, &mut wire);
                let len = wire.len();
                for behind_len in 0..9 {
                    wire.resize(len + behind_len, 0xff);
                    let pattern = TagPattern::new(tag.as_bytes());
                    let word = Word::at(&wire, 0);
                    assert!(word.is(&pattern), "{wire:x?}");
                    assert!(!word.is(&TagPattern::new(&[0x2d])), "{wire:x?}");
                    let expected = (len <= 8).then_some((value, len));
                    assert_eq!(word.varint_behind(&pattern), expected, "{wire:x?}");
                    let behind = Word::at(&wire, pattern.len());
                    let own_len = len - pattern.len();
                    let expected = (own_len <= 8).then_some((value, own_len));
                    assert_eq!(behind.varint_behind(&TagPattern::NONE), expected);
                }
            }
        }
    }

    #[test]
    fn word_beyond_the_end_is_zero() {
        for len in 0..20 {
            let wire: Vec<u8> = (1..=len).collect();
            for at in 0..30 {
                let mut bytes = [0; 8];
                for (byte, next) in bytes.iter_mut().zip(wire.iter().skip(at)) {
                    *byte = *next;
                }
                assert_eq!(
                    Word::at(&wire, at).0,
                    u64::from_le_bytes(bytes),
                    "{len} {at}"
                );
            }
        }
    }

    #[test]
    fn length_that_leaves_the_message_is_no_range() {
        let wire = [0x0a, 3, b'a', b'b', b'c', 0, 0, 0, 0];
        let tag = TagPattern::new(&[0x0a]);
        for end in 0..=wire.len() {
            let expected = (end >= 5).then_some(2..5);
            assert_eq!(Word::at(&wire, 0).delimited_behind(&tag, 0, end), expected);
        }
    }

    #[test]
    fn group_ends_at_its_own_end_tag_only() {
        // Field 1: a group that holds an empty group of field 2 and a varint.
        let bytes = [0x13, 0x14, 0x18, 0x05, 0x0c, 0xff];
        let mut at = reader(&bytes);
        assert_eq!(at.group(1, 1, None), Ok(0..4));
        assert_eq!(at.offset(), 5);
        assert_eq!(
            kind(reader(&[0x14]).group(1, 1, None)),
            Some(ErrorKind::WireGroup)
        );
        assert_eq!(
            kind(reader(&[0x08, 0x01]).group(1, 1, None)),
            Some(ErrorKind::WireGroup)
        );
        assert_eq!(
            kind(reader(&[0x0c]).skip(1, END_GROUP, 1)),
            Some(ErrorKind::WireGroup)
        );
    }

    #[test]
    fn groups_inside_of_a_group_are_noted_in_order() {
        // Field 1 is a group that holds two of field 2, the first with one of field 3 in it, and a field 4 with a length.
        let bytes = [
            0x13, 0x1b, 0x1c, 0x14, 0x22, 0x02, 0x13, 0x14, 0x13, 0x14, 0x0c,
        ];
        let mut noted = Vec::new();
        assert_eq!(reader(&bytes).group(1, 1, Some(&mut noted)), Ok(0..10));
        let ranges: Vec<_> = noted.iter().map(|at| (at.start(), at.end())).collect();
        assert_eq!(ranges, [(0, 10), (1, 3), (2, 2), (9, 9)]);
        let mut at = reader(&bytes);
        assert_eq!(at.skip_to_end_of_group(3), Ok(()));
        assert_eq!(at.offset(), 4);
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
