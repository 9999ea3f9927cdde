//! A path, split. In: raw path bytes. Out: segments, as written and in normal form, and the verb that the last one may hold.
//! Always: bounded by the length of the path; memory is the scratch's.

use std::ops::Range;

use super::normal;

/// Memory for [`Path`].
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Offsets of the segments in the path, and one past a slash that is thought behind it.
    starts: Vec<u32>,
    /// The path in normal form, unless it is so from the start.
    normal: Vec<u8>,
    /// As `starts`, for `normal`.
    normal_starts: Vec<u32>,
}

/// A path and its borders.
///
/// ```text
/// /v1/a//b:c      segments "v1" "a" "" "b:c"; the last is also "b" with the verb "c"
///  ^  ^ ^^   ^    starts
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    starts: &'p [u32],
    /// The path in normal form, with its borders; `/` and `:` are where they are in the path itself.
    normal: &'p [u8],
    normal_starts: &'p [u32],
    /// The verb, raw (SEMANTICS 31: encoded letters in a verb do not match), with the offsets where what is before it ends.
    verb: Option<Verb<'p>>,
}

#[derive(Clone, Copy, Debug)]
struct Verb<'p> {
    text: &'p [u8],
    /// Offset of its colon in the path.
    colon: u32,
    /// Offset of its colon in the normal form.
    normal_colon: u32,
}

impl<'p> Path<'p> {
    /// Splits a path; nothing if it does not start with `/`.
    pub(super) fn split(path: &'p [u8], scratch: &'p mut Scratch) -> Option<Self> {
        if path.first() != Some(&b'/') || path.len() > (u32::MAX / 4) as usize {
            return None;
        }
        split_segments(path, &mut scratch.starts);
        let is_normal = normal::is_normal(path);
        if !is_normal {
            scratch.normal.clear();
            normal::write(path, &mut scratch.normal);
            split_segments(&scratch.normal, &mut scratch.normal_starts);
        }
        let scratch = &*scratch;
        let (normal, normal_starts): (&[u8], &[u32]) = if is_normal {
            (path, &scratch.starts)
        } else {
            (&scratch.normal, &scratch.normal_starts)
        };
        let mut split = Self {
            starts: &scratch.starts,
            normal,
            normal_starts,
            verb: None,
        };
        split.verb = split.find_verb(path);
        Some(split)
    }

    /// SEMANTICS 34: the verb is after the last raw colon of the last segment.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`Path::split` bounds the length"
    )]
    fn find_verb(&self, path: &'p [u8]) -> Option<Verb<'p>> {
        let last = self.segment_count().checked_sub(1)?;
        let segment = slice(path, self.starts, last);
        let at = segment.iter().rposition(|&byte| byte == b':')?;
        let normal_at = self.segment(last).iter().rposition(|&byte| byte == b':')?;
        Some(Verb {
            text: segment.get(at + 1..)?,
            colon: self.starts.get(last)? + at as u32,
            normal_colon: self.normal_starts.get(last)? + normal_at as u32,
        })
    }

    /// How many segments there are. `/` has none.
    #[inline]
    pub(super) fn segment_count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// A segment in normal form.
    #[inline]
    pub(super) fn segment(&self, index: usize) -> &'p [u8] {
        slice(self.normal, self.normal_starts, index)
    }

    /// The last segment in normal form without its verb, and the verb, if it may have one.
    #[inline]
    pub(super) fn verb(&self) -> Option<(&'p [u8], &'p [u8])> {
        let verb = self.verb?;
        let last = self.segment_count().checked_sub(1)?;
        let start = *self.normal_starts.get(last)? as usize;
        let before = self.normal.get(start..verb.normal_colon as usize)?;
        Some((before, verb.text))
    }

    /// Where these segments are in the path; the verb is left out of the last one if it is one.
    pub(super) fn range(&self, segments: Range<usize>, has_verb: bool) -> Range<u32> {
        let end_of_path = match self.verb {
            Some(verb) if has_verb => verb.colon,
            _ => self.start(self.segment_count()).saturating_sub(1),
        };
        let start = self.start(segments.start).min(end_of_path);
        if segments.is_empty() {
            return start..start;
        }
        let end = self.start(segments.end).saturating_sub(1).min(end_of_path);
        start..end.max(start)
    }

    fn start(&self, index: usize) -> u32 {
        self.starts.get(index).copied().unwrap_or(0)
    }
}

#[inline]
fn slice<'p>(text: &'p [u8], starts: &[u32], index: usize) -> &'p [u8] {
    let (Some(&start), Some(&end)) = (starts.get(index), starts.get(index + 1)) else {
        return &[];
    };
    text.get(start as usize..end as usize - 1).unwrap_or(&[])
}

/// Notes where the segments start. `text` starts with `/`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`Path::split` bounds the length"
)]
fn split_segments(text: &[u8], starts: &mut Vec<u32>) {
    starts.clear();
    if text.len() > 1 {
        for (at, &byte) in text.iter().enumerate() {
            if byte == b'/' {
                starts.push(at as u32 + 1);
            }
        }
    }
    starts.push(text.len() as u32 + 1);
}
