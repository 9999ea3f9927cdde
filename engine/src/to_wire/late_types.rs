//! Looks ahead for the type of an `Any` that does not begin with it. In: the members of an object. Out: the offset of its key `@type`.
//! Always: no byte is looked at twice, however such objects nest.
//!
//! One look goes over an object up to its `@type`, and notes on the way where the objects inside have theirs. When the conversion comes to
//! one of those, the answer is there; the next look begins where the last one ended, or later:
//!
//! ```text
//! {"a":{"b":{..,"@type":z},"@type":y},"@type":x,"c":{..,"@type":w}}
//! ├─────────── first look ───────────┤              ├─ second ─┤
//! ```

use super::any::TYPE_KEY;
use super::map::offset_u32;
use crate::error::{Error, ErrorKind, Expected};
use crate::json::Cursor;
use crate::limits::DEPTH_MAX;

/// What has been found.
#[derive(Debug, Default)]
pub(super) struct LateTypes {
    /// Sorted by object.
    found: Vec<LateType>,
    /// Objects that open before this offset, and have not been left yet or come to, have been looked at as a whole.
    looked_to: usize,
    /// Bytes that have been looked at, each time they were.
    #[cfg(test)]
    pub(super) looked_len: usize,
}

/// An object that has a key `@type`, but not as its first.
#[derive(Clone, Copy, Debug)]
struct LateType {
    /// Offset of the bracket that opens the object.
    object: u32,
    /// Offset of the first key `@type` in it.
    key: u32,
}

impl LateTypes {
    pub(super) fn clear(&mut self) {
        super::clear(&mut self.found);
        self.looked_to = 0;
        #[cfg(test)]
        {
            self.looked_len = 0;
        }
    }

    /// The offset of the key `@type` in the object that opens at the offset `object`, if it has one. The cursor stands before the first of
    /// the members; they are `depth` levels below the root; `text` is for keys with escapes.
    pub(super) fn find(
        &mut self,
        object: usize,
        members: Cursor<'_>,
        depth: u32,
        text: &mut Vec<u8>,
    ) -> Result<Option<usize>, Error> {
        if object >= self.looked_to {
            self.look(object, members, depth, text)?;
        }
        let object = offset_u32(object);
        let index = self.found.binary_search_by_key(&object, |late| late.object);
        let late = index.ok().and_then(|index| self.found.get(index));
        Ok(late.map(|late| late.key as usize))
    }

    fn look(
        &mut self,
        object: usize,
        members: Cursor<'_>,
        depth: u32,
        text: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let first = self.found.len();
        let mut look = Look {
            json: members,
            found: &mut self.found,
            text,
        };
        look.members(object, depth, true)?;
        self.looked_to = look.json.offset();
        #[cfg(test)]
        {
            self.looked_len += self.looked_to - members.offset();
        }
        // An object is noted when its type comes, which is after those inside. What earlier looks have noted opens before all of these.
        if let Some(new) = self.found.get_mut(first..) {
            new.sort_unstable_by_key(|late| late.object);
        }
        Ok(())
    }
}

/// One look ahead.
struct Look<'j, 't> {
    json: Cursor<'j>,
    found: &'t mut Vec<LateType>,
    text: &'t mut Vec<u8>,
}

impl Look<'_, '_> {
    /// Goes over the members of an object that is not empty, and the closing bracket; or up to `@type` if that will do.
    fn members(&mut self, object: usize, depth: u32, is_wanted: bool) -> Result<(), Error> {
        let mut is_first = true;
        let mut has_type = false;
        loop {
            let key = self.json.key()?;
            if !has_type && key.decoded(self.text)? == TYPE_KEY {
                has_type = true;
                if !is_first {
                    self.found.push(LateType {
                        object: offset_u32(object),
                        key: offset_u32(key.offset()),
                    });
                }
                if is_wanted {
                    return Ok(());
                }
            }
            is_first = false;
            self.value(depth)?;
            if !self.json.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    /// Goes over one value, `depth` levels below the root.
    fn value(&mut self, depth: u32) -> Result<(), Error> {
        let Some(bracket @ (b'{' | b'[')) = self.json.peek() else {
            return self.json.skip_value(depth);
        };
        let at = self.json.offset();
        // SEMANTICS 96.
        if depth >= DEPTH_MAX {
            return Err(Error::body(ErrorKind::TooDeep, at));
        }
        self.json.open(bracket, Expected::Value)?;
        if bracket == b'{' {
            if !self.json.close_if(b'}') {
                self.members(at, depth + 1, false)?;
            }
        } else if !self.json.close_if(b']') {
            loop {
                self.value(depth + 1)?;
                if !self.json.comma_or(b']')? {
                    break;
                }
            }
        }
        Ok(())
    }
}
