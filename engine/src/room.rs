//! Bytes appended by whole words and blocks. In: arrays, and how many bytes of each count. Out: the buffer, longer by these.
//! Always: an array is copied whole, which takes a store or two; the capacity is looked at once for all that is written together.
#![expect(
    unsafe_code,
    reason = "bytes are written through a pointer into the capacity of a `Vec`, whose length is set behind them"
)]

/// Appends the first `first_len` bytes of one array, and behind them the first `second_len` of another. Neither is more than its array.
///
/// ```text
/// first  │ 0a  0  0  0  0  0  0  0 │ 1     out │ bytes │ 0a │ A  d  a │ 0  0  0 ..
/// second │ A  d  a  0  0 ..        │ 3                         ▲ the end before
/// ```
#[inline(always)]
pub(crate) fn append<const FIRST: usize, const SECOND: usize>(
    out: &mut Vec<u8>,
    first: [u8; FIRST],
    first_len: usize,
    second: &[u8; SECOND],
    second_len: usize,
) {
    debug_assert!(first_len <= FIRST && second_len <= SECOND);
    let (first_len, second_len) = (first_len.min(FIRST), second_len.min(SECOND));
    out.reserve(FIRST + SECOND);
    let end = out.len();
    // SAFETY: `reserve` has made `FIRST + SECOND` bytes of capacity behind the end, and neither write reaches beyond them, since
    // `first_len <= FIRST`; so no sum is beyond the capacity. The bytes below the new length are initialized: up to `first_len` by the first write, then up to
    // `second_len` more by the second. The arrays do not overlap the buffer, which is borrowed mutably.
    unsafe {
        let start = out.as_mut_ptr().add(end);
        start.cast::<[u8; FIRST]>().write(first);
        start.add(first_len).cast::<[u8; SECOND]>().write(*second);
        out.set_len(end.wrapping_add(first_len).wrapping_add(second_len));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The safe twin of [`append`].
    fn plain_append(
        out: &mut Vec<u8>,
        first: &[u8],
        first_len: usize,
        second: &[u8],
        second_len: usize,
    ) {
        out.extend(first.iter().take(first_len));
        out.extend(second.iter().take(second_len));
    }

    proptest! {
        #[test]
        fn both_twins_write_the_same(
            before in proptest::collection::vec(any::<u8>(), 0..40),
            capacity in 0..100_usize,
            first in any::<[u8; 8]>(),
            first_len in 0..=8_usize,
            second in any::<[u8; 32]>(),
            second_len in 0..=32_usize,
        ) {
            let mut out = Vec::with_capacity(capacity);
            out.extend_from_slice(&before);
            let mut expected = out.clone();
            append(&mut out, first, first_len, &second, second_len);
            plain_append(&mut expected, &first, first_len, &second, second_len);
            prop_assert_eq!(&out, &expected);
            append(&mut out, [], 0, &second, second_len);
            plain_append(&mut expected, &[], 0, &second, second_len);
            prop_assert_eq!(out, expected);
        }
    }
}
