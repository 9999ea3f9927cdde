//! Numbers that look random and are the same in every run. In: a seed. Out: numbers, fractions, choices, base64.

use base64_simd::STANDARD;

/// A linear congruential generator; its low bits are dropped.
pub(super) struct Sequence(pub(super) u64);

impl Sequence {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[expect(clippy::cast_precision_loss, reason = "any double will do")]
    pub(super) fn double(&mut self) -> f64 {
        self.below(1 << 40) as f64 / 1e6 - 4e5
    }

    /// A fraction that a float has exactly.
    #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
    pub(super) fn eighths(&mut self) -> f64 {
        self.below(20_000) as f64 / 8.0 - 1250.0
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is an index")]
    pub(super) fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len() as u64) as usize]
    }

    /// So many bytes, as base64.
    pub(super) fn base64(&mut self, len: u64) -> String {
        let bytes: Vec<u8> = (0..len).map(|_| self.next().to_le_bytes()[0]).collect();
        STANDARD.encode_to_string(bytes)
    }
}
