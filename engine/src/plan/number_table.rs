//! Field numbers to field indices. In: the numbers of one message. Out: a look-up.
//! Always: dense numbers cost one load; sparse ones a binary search.

use super::FieldIndex;

/// Field numbers of one message.
#[derive(Debug)]
pub(crate) struct NumberTable {
    /// By number: the index plus one, or zero. Covers the numbers below its length.
    dense: Box<[u16]>,
    /// The numbers that `dense` does not cover, sorted.
    sparse: Box<[(u32, FieldIndex)]>,
}

/// A table by number may be this many times longer than it has fields.
const DENSE_SPREAD: usize = 4;

impl NumberTable {
    /// Builds the table from the numbers in ascending order; the position of a number is its field's index.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "compile refuses messages with 2^16 fields or more"
    )]
    pub(crate) fn new(numbers: &[u32]) -> Self {
        let dense_count = (1..=numbers.len())
            .rev()
            .find(|&count| {
                numbers
                    .get(count - 1)
                    .is_some_and(|&last| (last as usize) < DENSE_SPREAD * count + 16)
            })
            .unwrap_or(0);
        let (low, high) = numbers.split_at(dense_count);
        let mut dense = vec![0; low.last().map_or(0, |&last| last as usize + 1)];
        for (index, &number) in low.iter().enumerate() {
            if let Some(slot) = dense.get_mut(number as usize) {
                *slot = index as u16 + 1;
            }
        }
        let sparse = high
            .iter()
            .enumerate()
            .map(|(index, &number)| (number, FieldIndex((dense_count + index) as u16)));
        Self {
            dense: dense.into_boxed_slice(),
            sparse: sparse.collect(),
        }
    }

    /// The field with this number.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<FieldIndex> {
        if let Some(&slot) = self.dense.get(number as usize) {
            return slot.checked_sub(1).map(FieldIndex);
        }
        if self.sparse.is_empty() {
            return None;
        }
        let index = self
            .sparse
            .binary_search_by_key(&number, |&(number, _)| number)
            .ok()?;
        self.sparse.get(index).map(|&(_, field)| field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_numbers_are_found() {
        let numbers = [1, 2, 5, 40, 1000, 536_870_911];
        let table = NumberTable::new(&numbers);
        for (index, &number) in (0..).zip(&numbers) {
            assert_eq!(table.find(number), Some(FieldIndex(index)));
        }
        for number in [0, 3, 41, 999, 1001, u32::MAX] {
            assert_eq!(table.find(number), None);
        }
        assert!(
            table.dense.len() < 100,
            "a far number must not blow up the table"
        );
    }
}
