//! The lengths of nested messages. In: where a message begins, and that it ends. Out: its length before its content.
//! Always: a byte of output is moved a bounded number of times, however deep it is nested.
//!
//! One byte is reserved for a length. A short content moves when its length takes more; that is cheapest where all is small. Content that is
//! long stays, since under a hundred levels it would move hundreds of times (a body of 4 MiB kept a core busy for more than a second), and its
//! length is noted. At the end one walk from behind moves everything to its place and puts the noted lengths in:
//!
//! ```text
//! │ a │0│ b │0│ c │   with lengths of two bytes noted for both   ▶   │ a │len│ b │len│ c │
//! ```

use super::Pass;
use crate::plan::Tag;
use crate::wire::write;

/// Content of fewer bytes than this moves at once.
pub(super) const MOVE_LEN_MAX: usize = 512;

/// Lengths that have been noted.
#[derive(Debug, Default)]
pub(super) struct LateLengths {
    lengths: Vec<LateLength>,
    /// Bytes that the noted lengths take more than those reserved for them.
    extra: usize,
}

/// Offsets fit 32 bits, as `limits::JSON_LEN_MAX` sees to.
#[derive(Clone, Copy, Debug)]
struct LateLength {
    /// Offset of the reserved byte from the start of what the pass has written.
    at: u32,
    /// Bytes of content once everything is in its place.
    len: u32,
}

/// A message whose content is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenMessage {
    /// Offset of the byte reserved for its length.
    at: usize,
    /// [`LateLengths::extra`] when it was opened.
    extra: usize,
}

impl LateLengths {
    pub(super) fn clear(&mut self) {
        super::clear(&mut self.lengths);
        self.extra = 0;
    }

    /// How much has been noted, for [`Self::forget_after`].
    pub(super) fn noted(&self) -> (usize, usize) {
        (self.lengths.len(), self.extra)
    }

    /// Forgets what has been noted since [`Self::noted`].
    pub(super) fn forget_after(&mut self, (count, extra): (usize, usize)) {
        self.lengths.truncate(count);
        self.extra = extra;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.lengths.capacity()
    }
}

impl Pass<'_, '_, '_> {
    /// Reserves a byte for the length of a message whose content is written next.
    #[inline]
    pub(super) fn open_message(&mut self) -> OpenMessage {
        OpenMessage {
            at: write::open(self.out),
            extra: self.late.extra,
        }
    }

    /// As [`Self::open_message`], behind a tag.
    #[inline]
    pub(super) fn open_tagged_message(&mut self, tag: Tag) -> OpenMessage {
        write::tag_and_zero(tag, self.out);
        OpenMessage {
            at: self.out.len() - 1,
            extra: self.late.extra,
        }
    }

    /// Fills the length in, or notes it.
    #[inline]
    pub(super) fn close_message(&mut self, open: &OpenMessage) {
        let len = self.out.len() - open.at - 1;
        if len < MOVE_LEN_MAX {
            // Nothing noted lies inside, since what is noted is longer.
            write::close(self.out, open.at);
        } else {
            self.note_length(open, len);
        }
    }

    #[inline(never)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`limits::JSON_LEN_MAX` is checked before a pass begins"
    )]
    fn note_length(&mut self, open: &OpenMessage, len: usize) {
        // Messages noted inside have still to grow.
        let len = len + (self.late.extra - open.extra);
        self.late.extra += varint_len(len) - 1;
        self.late.lengths.push(LateLength {
            at: (open.at - self.start) as u32,
            len: len as u32,
        });
    }

    /// Moves everything to its place and puts the noted lengths in.
    #[inline]
    pub(super) fn place_lengths(&mut self) {
        if !self.late.lengths.is_empty() {
            self.place_noted_lengths();
        }
    }

    fn place_noted_lengths(&mut self) {
        let mut content_end = self.out.len();
        let mut placed_from = content_end + self.late.extra;
        self.out.resize(placed_from, 0);
        // They were noted as messages ended; what is needed is the order in which they begin.
        self.late.lengths.sort_unstable_by_key(|late| late.at);
        for late in self.late.lengths.iter().rev() {
            let at = self.start + late.at as usize;
            placed_from -= content_end - (at + 1);
            self.out.copy_within(at + 1..content_end, placed_from);
            let len = late.len as usize;
            placed_from -= varint_len(len);
            write_varint_at(self.out, placed_from, len);
            content_end = at;
        }
        debug_assert_eq!(placed_from, content_end);
    }
}

/// Bytes that `value` takes as a varint.
const fn varint_len(value: usize) -> usize {
    let bit_count = usize::BITS - (value | 1).leading_zeros();
    bit_count.div_ceil(7) as usize
}

/// Writes a varint over the bytes that are kept for it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits at a time are kept"
)]
fn write_varint_at(out: &mut [u8], at: usize, value: usize) {
    let mut rest = value;
    for byte in out.iter_mut().skip(at).take(varint_len(value)) {
        *byte = rest as u8 & 0x7f;
        rest >>= 7;
        if rest != 0 {
            *byte |= 0x80;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_long_as_it_is_written() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            u32::MAX as usize,
        ] {
            let mut written = Vec::new();
            write::varint(value as u64, &mut written);
            assert_eq!(varint_len(value), written.len());
            let mut over = vec![0xff; written.len() + 2];
            write_varint_at(&mut over, 1, value);
            assert_eq!(over, [&[0xff], &written[..], &[0xff]].concat());
        }
    }
}
