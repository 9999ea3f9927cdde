//! Where groups end. In: a reader behind the tag of a group. Out: where its content is. Always: the bytes of a group are searched for its end
//! once while it is written, however many groups are around it.
//!
//! A group has no length, so whoever wants its end must read it. On the way there all groups inside of it are passed, and where they begin and
//! end is noted. Without that, each level of a nest would read all that is below it (3 MB under 98 levels kept a core busy for a second).
//! The notes are in the order of the bytes. Messages with a length are not looked into, so what is in them may come later and lie before what is
//! noted: such notes begin a row of their own, which is dropped when they are no longer needed.

use std::ops::Range;

use super::message::Content;
use super::{Converter, Stopped};
use crate::json::Snippet;
use crate::plan::MessageIndex;
use crate::wire::read::{GroupAt, Reader};

/// What is known of groups, as a stack.
#[derive(Debug, Default)]
pub(super) struct Groups {
    noted: Vec<GroupAt>,
    /// Where the last row begins. `row <= noted.len()`.
    row: usize,
}

/// How much was known at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    len: usize,
    row: usize,
}

impl Groups {
    pub(super) fn clear(&mut self) {
        self.release(Mark { len: 0, row: 0 });
        if self.noted.capacity() > super::ENTRY_COUNT_KEPT {
            self.noted.shrink_to(super::ENTRY_COUNT_KEPT);
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            len: self.noted.len(),
            row: self.row,
        }
    }

    /// Forgets what has been noted since.
    pub(super) fn release(&mut self, mark: Mark) {
        self.noted.truncate(mark.len);
        self.row = mark.row;
    }

    fn last_row(&self) -> &[GroupAt] {
        self.noted.get(self.row..).unwrap_or_default()
    }

    /// The end of the group whose content begins here.
    fn find(&self, start: usize) -> Option<usize> {
        let row = self.last_row();
        let at = row.binary_search_by_key(&start, |at| at.start()).ok()?;
        row.get(at).map(|at| at.end())
    }

    /// Lets notes from here on follow what is noted, or begin a row.
    fn make_room(&mut self, start: usize) {
        if self
            .last_row()
            .last()
            .is_some_and(|last| last.start() > start)
        {
            self.row = self.noted.len();
        }
    }
}

impl<'c> Converter<'c> {
    /// Writes a group whose tag has been read, behind a label.
    #[inline(never)]
    pub(super) fn group_value(
        &mut self,
        label: Option<&Snippet>,
        number: u32,
        index: MessageIndex,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<(), Stopped> {
        let mark = self.scratch.groups.mark();
        let done = self.group(number, reader, depth).and_then(|range| {
            self.label(label);
            self.message(index, Content::range(range), depth + 1)
        });
        self.scratch.groups.release(mark);
        done
    }

    /// Reads a group whose tag has been read. `depth` is the level of the message that it is in.
    pub(super) fn group(
        &mut self,
        number: u32,
        reader: &mut Reader<'c>,
        depth: u32,
    ) -> Result<Range<usize>, Stopped> {
        let start = reader.offset();
        let groups = &mut self.scratch.groups;
        if let Some(end) = groups.find(start) {
            self.noted(reader.skip_to_end_of_group(end))?;
            return Ok(start..end);
        }
        groups.make_room(start);
        let range = reader.group(number, depth, Some(&mut groups.noted));
        self.noted(range)
    }
}
