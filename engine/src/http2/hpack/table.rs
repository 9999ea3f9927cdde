//! The headers that a peer refers to by number beyond the static ones (RFC 7541 section 2.3.2). In: headers that it wants kept. Out: the same by
//! number, the newest first. Always: no longer than the limit, as the RFC counts; once warm, nothing is allocated; a header is one slice.

use std::collections::VecDeque;

use super::FIELD_OVERHEAD_LEN;
use crate::limits::HTTP2_TABLE_LEN_MAX;

/// Headers in the order they came. Those at the front go when others need the room.
///
/// ```text
/// bytes   ........content-typeapplication/grpcgrpc-status0grpc-message        gone: .
/// entries         oldest                      ^          ^ newest
/// ```
///
/// New ones are written behind the last. What is left moves to the front when the end of the memory is reached, which is twice the limit, so that
/// this is done once for as many bytes as the table is long.
#[derive(Debug)]
pub(in crate::http2) struct Table {
    /// `bytes.len() <= MEMORY_LEN`. None until the first header is kept.
    bytes: Vec<u8>,
    /// Each ends where the next begins; the last ends with `bytes`.
    entries: VecDeque<Entry>,
    /// As RFC 7541 section 4.1 counts: `len <= len_max`.
    len: usize,
    /// What the peer has chosen: `len_max <= HTTP2_TABLE_LEN_MAX`.
    len_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u16,
    name_len: u16,
    value_len: u16,
    is_plain: bool,
}

impl Entry {
    const fn bytes_len(self) -> usize {
        self.name_len as usize + self.value_len as usize
    }
}

/// A header of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'t> {
    /// Name and value, without a gap.
    pub(super) bytes: &'t [u8],
    /// `name_len <= bytes.len()`
    pub(super) name_len: usize,
    /// Whether there is nothing to look at any more: see [`Nature`](super::decode::Nature).
    pub(super) is_plain: bool,
}

const MEMORY_LEN: usize = 2 * HTTP2_TABLE_LEN_MAX;

/// Places in the memory fit an `Entry`.
const _: () = assert!(MEMORY_LEN <= u16::MAX as usize);

impl Table {
    pub(in crate::http2) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            len: 0,
            len_max: HTTP2_TABLE_LEN_MAX,
        }
    }

    /// The header that came so many before the newest.
    #[inline]
    pub(super) fn find(&self, age: usize) -> Option<Kept<'_>> {
        let place = self.entries.len().checked_sub(age)?.checked_sub(1)?;
        let entry = *self.entries.get(place)?;
        let start = usize::from(entry.start);
        Some(Kept {
            bytes: self.bytes.get(start..start + entry.bytes_len())?,
            name_len: entry.name_len.into(),
            is_plain: entry.is_plain,
        })
    }

    /// Sets the limit, no higher than [`HTTP2_TABLE_LEN_MAX`]; what has no room goes (RFC 7541 section 4.3).
    pub(super) fn set_len_max(&mut self, len_max: usize) {
        self.len_max = len_max.min(HTTP2_TABLE_LEN_MAX);
        self.make_room(0);
    }

    /// Keeps a header as the newest. One that is longer than the table empties it, which is no fault (RFC 7541 section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], is_plain: bool) {
        let bytes_len = name.len() + value.len();
        let counted_len = bytes_len + FIELD_OVERHEAD_LEN;
        self.make_room(counted_len);
        if counted_len > self.len_max {
            return;
        }
        if self.bytes.len() + bytes_len > MEMORY_LEN {
            self.move_to_front();
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(MEMORY_LEN);
            self.entries
                .reserve_exact(HTTP2_TABLE_LEN_MAX / FIELD_OVERHEAD_LEN);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "places and lengths are no more than `MEMORY_LEN`"
        )]
        let entry = Entry {
            start: self.bytes.len() as u16,
            name_len: name.len() as u16,
            value_len: value.len() as u16,
            is_plain,
        };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(entry);
        self.len += counted_len;
    }

    /// Drops the oldest until there is room for so much, or nothing is left.
    fn make_room(&mut self, counted_len: usize) {
        while self.len + counted_len > self.len_max {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.len -= oldest.bytes_len() + FIELD_OVERHEAD_LEN;
        }
    }

    /// What is gone makes room behind the rest. That is no longer than the limit, which is half of the memory.
    fn move_to_front(&mut self) {
        let gone = self.entries.front().map(|oldest| oldest.start);
        let gone_len = gone.map_or(self.bytes.len(), usize::from);
        self.bytes.drain(..gone_len);
        for entry in &mut self.entries {
            entry.start -= gone.unwrap_or_default();
        }
    }
}

#[cfg(test)]
impl Table {
    /// Names and values, the newest first, and the length: as the RFC's examples are printed.
    pub(super) fn print(&self) -> (Vec<String>, usize) {
        let kept = (0..).map_while(|age| self.find(age));
        let lines = kept.map(|kept| {
            let (name, value) = kept.bytes.split_at(kept.name_len);
            format!("{}: {}", name.escape_ascii(), value.escape_ascii())
        });
        (lines.collect(), self.len)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// However many come and go, the memory is what it was after the first, and what is found is what came last.
    #[test]
    fn memory_is_bounded_and_the_newest_are_found() {
        let mut table = Table::new();
        let value = vec![b'v'; 3_000];
        table.insert(b"a", b"", true);
        let memory = (table.bytes.capacity(), table.entries.capacity());
        assert!(memory.0 == MEMORY_LEN && memory.1 >= 128, "{memory:?}");
        for round in 0..5_000_usize {
            let len = [0, 1, 7, 300, 1_500, 3_000][round % 6] + round % 5;
            let value = &value[..len.min(3_000)];
            table.insert(round.to_string().as_bytes(), value, round % 2 == 0);
            let newest = table.find(0).unwrap();
            let (name, found) = newest.bytes.split_at(newest.name_len);
            assert_eq!(name, round.to_string().as_bytes());
            assert_eq!((found, newest.is_plain), (value, round % 2 == 0));
            let (lines, table_len) = table.print();
            let counted: usize = lines.iter().map(|line| line.len() - 2 + 32).sum();
            assert_eq!(table_len, counted);
            assert!(counted <= HTTP2_TABLE_LEN_MAX);
            assert_eq!(
                (table.bytes.capacity(), table.entries.capacity()),
                memory,
                "no more memory"
            );
        }
        // As many as there can be.
        table.set_len_max(0);
        table.set_len_max(usize::MAX);
        for _ in 0..1_000 {
            table.insert(b"", b"", true);
        }
        assert_eq!(table.entries.len(), 128);
        assert_eq!(table.entries.capacity(), memory.1);
        assert!(table.find(128).is_none() && table.find(usize::MAX).is_none());
    }

    #[test]
    fn longer_than_the_table_empties_it() {
        let mut table = Table::new();
        table.set_len_max(100);
        table.insert(b"a", b"b", true);
        table.insert(b"name", &[b'v'; 64], true);
        assert_eq!(table.print().1, 100, "just short enough");
        table.insert(b"name", &[b'v'; 65], true);
        assert_eq!(table.print(), (Vec::new(), 0));
        table.insert(b"a", b"b", true);
        assert_eq!(table.print(), (vec!["a: b".to_owned()], 34));
    }
}
