//! A message that arrives in pieces, of which fields with a length matter. In: its length, then its bytes, cut anywhere. Out: where such a field begins, its
//! bytes as they come, and where it ends.
//! Always: what is carried is one tag and one number; a length that reaches beyond the message is refused before its bytes come; other fields are stepped
//! over, groups down to a bound.

use super::read::{END_GROUP, LEN, Reader, START_GROUP};
use crate::error::{Error, ErrorKind};
use crate::limits::DEPTH_MAX;

/// Bytes of a tag and a number behind it, at most: two varints.
const HEAD_LEN_MAX: usize = 20;

/// A message of which some has come.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    len: usize,
    /// Bytes that have been used. `at <= len`
    at: usize,
    /// The first bytes of a tag, and of the number behind it, that are cut: so many. `head_len < HEAD_LEN_MAX` between two calls
    head: [u8; HEAD_LEN_MAX],
    head_len: usize,
    place: Place,
    /// The numbers of the groups that are open.
    groups: Vec<u32>,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Tag,
    /// So many bytes of a field.
    Field(usize),
    /// So many that nobody wants.
    Skipped(usize),
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'p> {
    /// The tag of a field, and its length.
    Begin { number: u32, len: usize },
    /// Bytes of that field.
    Bytes(&'p [u8]),
    /// That field has ended.
    End,
}

impl Arriving {
    /// Begins a message of so many bytes.
    pub(crate) fn begin(&mut self, len: usize) {
        self.groups.clear();
        *self = Self {
            len,
            groups: std::mem::take(&mut self.groups),
            ..Self::default()
        };
    }

    /// Takes what comes next from the front of `piece`; nothing when more is needed. The pieces have no more bytes than the message.
    ///
    /// # Errors
    /// What [`Reader`] refuses. There is no going on then.
    pub(crate) fn next<'p>(&mut self, piece: &mut &'p [u8]) -> Result<Option<Event<'p>>, Error> {
        loop {
            match self.place {
                Place::Field(0) => {
                    self.place = Place::Tag;
                    return Ok(Some(Event::End));
                }
                Place::Skipped(0) => self.place = Place::Tag,
                _ if piece.is_empty() => return Ok(None),
                Place::Field(left) => {
                    let bytes = self.take(left, piece);
                    self.place = Place::Field(left - bytes.len());
                    return Ok(Some(Event::Bytes(bytes)));
                }
                Place::Skipped(left) => {
                    let len = self.take(left, piece).len();
                    self.place = Place::Skipped(left - len);
                }
                Place::Tag => {
                    let Some((head, start)) = self.head(piece)? else {
                        return Ok(None);
                    };
                    if let Some(begin) = self.field(&head, start)? {
                        return Ok(Some(begin));
                    }
                }
            }
        }
    }

    /// An error where the message has been read to.
    #[cold]
    pub(crate) fn fault(&self, kind: ErrorKind) -> Error {
        Error::reply(kind, self.at)
    }

    /// Ends the message.
    ///
    /// # Errors
    /// If it is cut.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.head_len > 0 {
            return Err(self.fault(ErrorKind::WireTruncated));
        }
        if !self.groups.is_empty() {
            return Err(self.fault(ErrorKind::WireGroup));
        }
        match self.place {
            Place::Tag | Place::Field(0) | Place::Skipped(0) => Ok(()),
            // A fixed number: lengths are compared with what is to come.
            Place::Field(_) | Place::Skipped(_) => Err(self.fault(ErrorKind::WireTruncated)),
        }
    }

    /// Takes up to `len` bytes.
    fn take<'p>(&mut self, len: usize, piece: &mut &'p [u8]) -> &'p [u8] {
        let (bytes, rest) = piece.split_at(len.min(piece.len()));
        *piece = rest;
        self.at += bytes.len();
        bytes
    }

    /// Takes a tag and the number behind it, and says where it began. What there is of one that is cut is carried.
    fn head(&mut self, piece: &mut &[u8]) -> Result<Option<(Head, usize)>, Error> {
        let start = self.at - self.head_len;
        let is_cut = |fault: &Error| fault.kind == ErrorKind::WireTruncated;
        if self.head_len == 0 {
            match Head::read(piece) {
                Ok(head) => {
                    self.take(head.len, piece);
                    return Ok(Some((head, start)));
                }
                Err(fault) if is_cut(&fault) => self.carry(piece.len(), piece),
                Err(fault) => return Err(fault.moved_by(start)),
            }
        }
        // One byte at a time, so that none behind the number is among them.
        while !piece.is_empty() {
            self.carry(1, piece);
            match Head::read(self.head.get(..self.head_len).unwrap_or_default()) {
                Ok(head) => {
                    self.head_len = 0;
                    return Ok(Some((head, start)));
                }
                Err(fault) if is_cut(&fault) => {}
                Err(fault) => return Err(fault.moved_by(start)),
            }
        }
        Ok(None)
    }

    /// Puts bytes of what is cut aside. Two varints that are cut are never longer than there is room for.
    fn carry(&mut self, len: usize, piece: &mut &[u8]) {
        let bytes = self.take(len, piece);
        for byte in bytes {
            if let Some(room) = self.head.get_mut(self.head_len) {
                *room = *byte;
                self.head_len += 1;
            }
        }
    }

    /// What a field is whose tag and number have come.
    fn field(&mut self, head: &Head, start: usize) -> Result<Option<Event<'static>>, Error> {
        let number = head.number;
        self.place = match head.wire_type {
            0 => Place::Tag,
            1 => Place::Skipped(8),
            5 => Place::Skipped(4),
            LEN => {
                let len = usize::try_from(head.value).unwrap_or(usize::MAX);
                if len > self.len - self.at {
                    return Err(Error::reply(ErrorKind::WireTruncated, start));
                }
                if self.groups.is_empty() {
                    self.place = Place::Field(len);
                    return Ok(Some(Event::Begin { number, len }));
                }
                Place::Skipped(len)
            }
            START_GROUP => {
                if self.groups.len() >= DEPTH_MAX as usize {
                    return Err(Error::reply(ErrorKind::WireTooDeep, start));
                }
                self.groups.push(number);
                Place::Tag
            }
            END_GROUP if self.groups.pop() == Some(number) => Place::Tag,
            _ => return Err(Error::reply(ErrorKind::WireGroup, start)),
        };
        Ok(None)
    }
}

/// A tag with the varint behind it, if it has one.
struct Head {
    number: u32,
    wire_type: u8,
    /// The varint, or 0.
    value: u64,
    /// Bytes of both.
    len: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes, 0..bytes.len());
        let (number, wire_type) = reader.tag()?;
        let value = match wire_type {
            0 | LEN => reader.varint()?,
            _ => 0,
        };
        Ok(Self {
            number,
            wire_type,
            value,
            len: reader.offset(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and bytes of the fields, or what is wrong.
    fn read(wire: &[u8], cuts: &[usize]) -> Result<Vec<(u32, Vec<u8>)>, ErrorKind> {
        let mut message = Arriving::default();
        message.begin(wire.len());
        let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut ended_count = 0;
        let mut from = 0;
        for &to in cuts.iter().chain(&[wire.len()]) {
            let mut piece = wire.get(from..to).unwrap_or_default();
            from = to;
            while let Some(event) = message.next(&mut piece).map_err(|fault| fault.kind)? {
                match event {
                    Event::Begin { number, .. } => fields.push((number, Vec::new())),
                    Event::Bytes(bytes) => fields.last_mut().unwrap().1.extend(bytes),
                    Event::End => ended_count += 1,
                }
            }
            assert!(piece.is_empty());
        }
        message.finish().map_err(|fault| fault.kind)?;
        assert_eq!(ended_count, fields.len());
        Ok(fields)
    }

    #[track_caller]
    fn check(wire: &[u8], expected: &Result<Vec<(u32, Vec<u8>)>, ErrorKind>) {
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                assert_eq!(&read(wire, &[first, second]), expected, "{first} {second}");
            }
        }
        let each: Vec<_> = (1..wire.len()).collect();
        assert_eq!(&read(wire, &each), expected);
    }

    #[test]
    fn fields_with_a_length_come_wherever_they_are_cut() {
        let wire = [
            // A number of ten bytes, one of eight, one of four, and a group with a field inside and another group.
            &b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x11abcdefgh\x1dabcd\x23\x0a\x01x\x2b\x2c\x24"[..],
            b"\x0a\x03Ada\x12\0\xfa\xff\xff\xff\x0f\x01z\x0a\x01b\x38\x05",
        ]
        .concat();
        let fields = [(1, "Ada"), (2, ""), ((1 << 29) - 1, "z"), (1, "b")];
        let fields = fields.map(|(number, text)| (number, text.as_bytes().to_vec()));
        check(&wire, &Ok(fields.to_vec()));
        check(b"", &Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_or_at_fault_is_refused_wherever_it_is_cut() {
        for (wire, kind) in [
            (&b"\x0a\x04Ada"[..], ErrorKind::WireTruncated),
            (b"\x0a\x01a\x0a", ErrorKind::WireTruncated),
            (b"\x0a\x80", ErrorKind::WireTruncated),
            (b"\x11abc", ErrorKind::WireTruncated),
            (b"\x1dabc", ErrorKind::WireTruncated),
            (
                b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
                ErrorKind::WireVarint,
            ),
            (
                b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
                ErrorKind::WireVarint,
            ),
            (b"\x02\x01a", ErrorKind::WireTag),
            (b"\x0e", ErrorKind::WireTag),
            (b"\x23\x08\x01", ErrorKind::WireGroup),
            (b"\x23\x2c", ErrorKind::WireGroup),
            (b"\x24", ErrorKind::WireGroup),
        ] {
            check(wire, &Err(kind));
        }
        let deep = vec![0x23; DEPTH_MAX as usize + 1];
        assert_eq!(read(&deep, &[]), Err(ErrorKind::WireTooDeep));
    }
}
