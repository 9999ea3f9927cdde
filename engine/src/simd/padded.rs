//! A text of which blocks can be had at any offset. In: a slice. Out: 32 bytes from an offset on, with zeros behind the end.
//! Always: nothing behind the slice is read; its last bytes are copied once, and stand there with zeros behind them.
#![expect(
    unsafe_code,
    reason = "a block is taken where one comparison has shown that it lies within the text"
)]

use super::{BLOCK_LEN, Block};

/// A text, and its end with zeros behind.
///
/// ```text
/// text │ { "id":1234,"name":"Ada Lovelace","active":true}│      blocks begin here up to whole_count
/// tail                 │ Lovelace","active":true}│0 0 0 ..│    and here from there on
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padded<'t> {
    text: &'t [u8],
    /// Offsets below this have a whole block of the text: `whole_count + BLOCK_LEN <= text.len() + 1`, or it is zero.
    whole_count: usize,
    /// What the text holds from there on, fewer bytes than a block, and zeros.
    tail: [u8; 2 * BLOCK_LEN],
}

impl<'t> Padded<'t> {
    /// Keeps the end of `text` at hand.
    #[inline]
    pub(crate) fn new(text: &'t [u8]) -> Self {
        let whole_count = (text.len() + 1).saturating_sub(BLOCK_LEN);
        let mut tail = [0; 2 * BLOCK_LEN];
        if let Some(last) = text.last_chunk::<{ BLOCK_LEN - 1 }>() {
            if let Some(start) = tail.first_chunk_mut() {
                *start = *last;
            }
        } else {
            for (byte, given) in tail.iter_mut().zip(text) {
                *byte = *given;
            }
        }
        Self {
            text,
            whole_count,
            tail,
        }
    }

    /// All of it.
    #[inline(always)]
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// The block at an offset.
    #[inline(always)]
    pub(crate) fn block(&self, offset: usize) -> &Block {
        if offset < self.whole_count {
            // SAFETY: `whole_count` is set in `new`, where it is `text.len() + 1 - BLOCK_LEN` if it is not zero. An offset below
            // it has `BLOCK_LEN` bytes of the text behind it. A block is bytes, which need no alignment.
            unsafe { &*self.text.as_ptr().add(offset).cast::<Block>() }
        } else {
            self.tail_block(offset)
        }
    }

    #[inline(always)]
    fn tail_block(&self, offset: usize) -> &Block {
        let start = (offset - self.whole_count).min(BLOCK_LEN);
        let block = self.tail.get(start..).and_then(<[u8]>::first_chunk);
        block.unwrap_or(&[0; BLOCK_LEN])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The safe twin of [`Padded::block`].
    fn plain_block(text: &[u8], offset: usize) -> Block {
        let mut block = [0; BLOCK_LEN];
        for (place, byte) in block.iter_mut().zip(text.iter().skip(offset)) {
            *place = *byte;
        }
        block
    }

    #[test]
    fn blocks_of_both_twins_are_the_same_at_every_offset_of_every_length() {
        let bytes: Vec<u8> = (1..=u8::MAX).cycle().take(256).collect();
        for len in 0..=bytes.len() {
            let (text, _) = bytes.split_at(len);
            let padded = Padded::new(text);
            for offset in 0..len + 2 * BLOCK_LEN {
                assert_eq!(
                    *padded.block(offset),
                    plain_block(text, offset),
                    "{offset} of {len}"
                );
            }
        }
    }
}
