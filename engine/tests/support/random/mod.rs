//! Schemas that nobody wrote, and messages of theirs. In: random bytes, each pair one decision. Out: descriptors, wire bytes, JSON.
//! Always: the same bytes give the same; when they run out, each decision is the first choice, which is the simplest, so that fewer and
//! smaller bytes are a smaller case: proptest and libFuzzer shrink it without knowing what it is.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "only tests use this, each a part of it, and a broken test may panic"
)]

pub(crate) mod check;
mod edition;
mod json;
mod message;
#[path = "../notation.rs"]
mod notation;
mod schema;

pub(crate) use schema::RandomSchema;

/// A row of decisions.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// A number below `bound`; zero when the bytes have run out.
    fn below(&mut self, bound: usize) -> usize {
        let Some((pair, rest)) = self.bytes.split_first_chunk() else {
            self.bytes = &[];
            return 0;
        };
        self.bytes = rest;
        usize::from(u16::from_le_bytes(*pair)) % bound
    }

    /// True once in `count` times.
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
