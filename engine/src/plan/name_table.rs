//! Names to small numbers. In: a fixed set of names. Out: a look-up. Always: immutable; the cost of a look-up is bounded by the schema,
//! never by what a client sends, since only the schema's names are ever stored.

/// An open-addressed hash table over names known at start-up.
#[derive(Debug)]
pub(crate) struct NameTable {
    /// A power of two, at most half full, so that a probe ends at an empty slot soon.
    slots: Box<[Slot]>,
    /// The names, one after the other.
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The hash of the name; compared before the bytes are.
    hash: u64,
    /// Offset of the name in `bytes`. `start + len <= bytes.len()`.
    start: u32,
    len: u32,
    value: u32,
}

/// Marks a slot without a name; no name is this long.
const EMPTY: u32 = u32::MAX;

impl NameTable {
    /// Builds the table. Where a name comes twice the first wins.
    #[expect(
        single_use_lifetimes,
        reason = "an elided one is not stable in this place"
    )]
    pub(crate) fn new<'n>(names: impl Iterator<Item = (&'n str, u32)>) -> Self {
        let names: Vec<_> = names.collect();
        let slot_count = (names.len() * 2).next_power_of_two().max(2);
        let mut table = Self {
            slots: vec![
                Slot {
                    hash: 0,
                    start: 0,
                    len: EMPTY,
                    value: 0
                };
                slot_count
            ]
            .into_boxed_slice(),
            bytes: Box::default(),
        };
        let mut bytes = Vec::new();
        for (name, value) in names {
            if table.find_in(&bytes, name.as_bytes()).is_none() {
                table.insert(&mut bytes, name, value);
            }
        }
        table.bytes = bytes.into_boxed_slice();
        table
    }

    /// The number stored for `name`.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        self.find_in(&self.bytes, name)
    }

    /// All names with their numbers, in no order; for explanations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.slots.iter().filter_map(|slot| {
            let end = (slot.len != EMPTY).then_some(slot.start as usize + slot.len as usize)?;
            let name = self.bytes.get(slot.start as usize..end)?;
            Some((std::str::from_utf8(name).ok()?, slot.value))
        })
    }

    #[inline]
    fn find_in(&self, bytes: &[u8], name: &[u8]) -> Option<u32> {
        let hash = hash(name);
        let mut index = self.home(hash);
        loop {
            let slot = self.slots.get(index)?;
            if slot.len == EMPTY {
                return None;
            }
            if slot.hash == hash
                && bytes.get(slot.start as usize..slot.start as usize + slot.len as usize)
                    == Some(name)
            {
                return Some(slot.value);
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "names of one schema are far below 4 GiB"
    )]
    #[expect(
        clippy::indexing_slicing,
        reason = "the index is masked by the length, a power of two"
    )]
    fn insert(&mut self, bytes: &mut Vec<u8>, name: &str, value: u32) {
        let hash = hash(name.as_bytes());
        let mut index = self.home(hash);
        while self.slots[index].len != EMPTY {
            index = (index + 1) & (self.slots.len() - 1);
        }
        self.slots[index] = Slot {
            hash,
            start: bytes.len() as u32,
            len: name.len() as u32,
            value,
        };
        bytes.extend_from_slice(name.as_bytes());
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the low bits choose a slot"
    )]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}

/// Multiply-and-fold over eight bytes at a time; the quality is enough for tables that no client can fill.
#[inline]
fn hash(name: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = name.len() as u64 ^ SEED;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), SEED);
    }
    let mut tail = 0;
    for &byte in rest {
        tail = tail << 8 | u64::from(byte);
    }
    fold(state ^ tail, SEED)
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves of the product are used"
)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let names: Vec<String> = (0..500).map(|n| format!("field_{n}")).collect();
        let table = NameTable::new(
            (0..)
                .zip(&names)
                .map(|(value, name)| (name.as_str(), value)),
        );
        for (value, name) in (0..).zip(&names) {
            assert_eq!(table.find(name.as_bytes()), Some(value));
        }
        let mut listed: Vec<_> = table.iter().collect();
        listed.sort_by_key(|&(_, value)| value);
        assert!(listed.iter().map(|&(name, _)| name).eq(&names));
        assert_eq!(table.find(b"field_500"), None);
        assert_eq!(table.find(b""), None);
    }

    #[test]
    fn the_first_of_two_equal_names_wins() {
        let table = NameTable::new([("a", 1), ("a", 2)].into_iter());
        assert_eq!(table.find(b"a"), Some(1));
    }
}
