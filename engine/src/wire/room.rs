//! Room at the end of a buffer. In: what writes into it. Out: the buffer, longer by what was written.
//! Always: the capacity is looked at once for all that is written together, which is most of what appending byte by byte costs.
#![expect(
    unsafe_code,
    reason = "the length of a `Vec` is set behind bytes that were written through a pointer"
)]

/// Appends what `write` puts at the start of `N` bytes, as many as it says. They are zero before.
///
/// ```text
/// out │ bytes │ 0  0  0 .. 0  0 │   ▶  write  ▶   out │ bytes │ 8  1 │
///             ├──────  N  ──────┤
/// ```
#[inline(always)]
pub(crate) fn append<const N: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut [u8; N]) -> usize) {
    out.reserve(N);
    let len = out.len();
    // SAFETY: `reserve` has made `N` bytes of capacity behind `len`. They are initialized by the zeros, so that a reference to
    // them may be made, and nothing else refers to them, since `out` is borrowed mutably. Every length up to `len + N` covers
    // initialized bytes only; what `write` says is cut to that.
    unsafe {
        let room = out.as_mut_ptr().add(len).cast::<[u8; N]>();
        room.write([0; N]);
        let written = write(&mut *room);
        out.set_len(len + written.min(N));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The safe twin of [`append`].
    fn plain_append<const N: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut [u8; N]) -> usize) {
        let mut room = [0; N];
        let written = write(&mut room).min(N);
        out.extend(room.iter().take(written));
    }

    proptest! {
        #[test]
        fn both_twins_write_the_same(
            before in proptest::collection::vec(any::<u8>(), 0..40),
            bytes in any::<[u8; 16]>(),
            capacity in 0..80_usize,
            start in 0..16_usize,
            written in 0..40_usize,
        ) {
            let write = |room: &mut [u8; 16]| {
                for (place, byte) in room.iter_mut().zip(bytes).skip(start) {
                    *place = byte;
                }
                written
            };
            let mut out = Vec::with_capacity(capacity);
            out.extend_from_slice(&before);
            let mut expected = out.clone();
            append(&mut out, write);
            plain_append(&mut expected, write);
            prop_assert_eq!(out, expected);
        }
    }
}
