//! Values that may be cut, tried. In: a stretch of text of which it is not known what is whole. Out: what can be read of it.
//! Always: what cannot be read leaves no trace; whether it is cut or at fault is not asked here.

use super::Pass;
use super::cut::{Expects, FieldAt, Taken, Walk};
use crate::error::{Error, ErrorKind};
use crate::json::Cursor;
use crate::plan::FieldPlan;

/// How much there was before a value.
pub(super) struct Before {
    offset: usize,
    out_len: usize,
    seen_len: usize,
    key_count: usize,
    late: (usize, usize),
    depth: u32,
}

impl<'p, 'j> Walk<'p, 'j, '_> {
    /// What there is now, for [`Self::undo`].
    pub(super) fn before(&self) -> Before {
        Before {
            offset: self.pass.json.offset(),
            out_len: self.pass.out.len(),
            seen_len: self.pass.seen.len(),
            key_count: self.pass.keys.len(),
            late: self.pass.late.noted(),
            depth: self.pass.depth,
        }
    }

    /// Drops what has been read and written since.
    pub(super) fn undo(&mut self, before: &Before) {
        self.pass.json.back_to(before.offset);
        self.pass.out.truncate(before.out_len);
        self.pass.seen.truncate(before.seen_len);
        self.pass.keys.truncate(before.key_count);
        self.pass.late.forget_after(before.late);
        self.pass.depth = before.depth;
        self.claim = None;
    }

    /// Whether what has been read up to the end of the stretch may be the start of a longer number.
    pub(super) fn may_go_on(&self) -> bool {
        self.pass.json.is_behind_last_digit()
    }

    /// Takes elements of a list that has a tag for each.
    pub(super) fn try_elements(&mut self, at: FieldAt) -> Taken {
        let field = at.plan(self.pass.plan);
        let message = self.pass.object_plan(field.kind);
        self.try_all(|pass| pass.list_element(field, message))
    }

    /// Takes entries of a map.
    pub(super) fn try_entries(&mut self, at: FieldAt) -> Taken {
        let Some((field, [key, value])) = at.entry(self.pass.plan) else {
            return Taken::Whole;
        };
        let base = self.base;
        self.try_all(|pass| {
            let mut entry = pass.begin_entry(field, key)?;
            entry.json_offset += base;
            pass.entry_value(value, &entry)
        })
    }

    /// Takes elements of a packed list.
    pub(super) fn try_packed(&mut self, at: FieldAt) -> Taken {
        let field = at.plan(self.pass.plan);
        self.try_known_elements(field);
        self.try_all(|pass| pass.packed_element(field))
    }

    /// Takes the elements of a packed list before the last comma of the stretch in one go, unless the list ends before. An element has no
    /// comma inside, so that they are whole.
    fn try_known_elements(&mut self, field: &'p FieldPlan) {
        let Some(comma) = self.stretch.iter().rposition(|&byte| byte == b',') else {
            return;
        };
        let offset = self.pass.json.offset();
        let known = self.stretch.get(offset..comma).unwrap_or_default();
        if matches!(known.trim_ascii_end().last(), None | Some(b',')) {
            return;
        }
        let known = self.stretch.get(..comma).unwrap_or_default();
        let out_len = self.pass.out.len();
        let json = std::mem::replace(&mut self.pass.json, Cursor::inside(known).moved_to(offset));
        let result = self.pass.packed_elements(field);
        // There is no bracket, so that they must end in an error: behind the last of them, if there is nothing else to say.
        let is_all_taken = self.pass.json.offset() == comma
            && result == Err(Error::body(ErrorKind::UnexpectedEnd, comma));
        self.pass.json = json;
        if is_all_taken {
            self.pass.json.move_to(comma + 1);
            self.expects = Expects::Value;
        } else {
            self.pass.out.truncate(out_len);
        }
    }

    /// Takes elements or entries, with the commas between them, up to one that cannot be read or that no comma follows.
    #[inline]
    fn try_all(&mut self, take: impl Fn(&mut Pass<'p, 'j, '_>) -> Result<(), Error>) -> Taken {
        loop {
            let before = self.before();
            if take(&mut self.pass).is_err() || self.may_go_on() {
                self.undo(&before);
                return Taken::Held;
            }
            if !self.pass.json.close_if(b',') {
                return Taken::Whole;
            }
            self.expects = Expects::Value;
        }
    }
}
