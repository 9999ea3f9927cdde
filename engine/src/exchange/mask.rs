//! The field mask of a `PATCH` (SEMANTICS 74). In: the JSON that has become the body field, and the message it is of. Out: the paths that
//! it gives, as the value of the mask field. Always: the text is one that `to_wire` has taken; each path once, sorted; no more bytes of
//! paths than a body may have.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Expected};
use crate::json::Cursor;
use crate::limits::BODY_LEN_MAX;
use crate::plan::{
    Cardinality, FieldPlan, Form, Kind, MessageIndex, MessagePlan, PatchMasks, Plan, Tag,
};
use crate::wire::read::LEN;
use crate::wire::write;

/// Field 1 of `FieldMask`.
const PATHS: Tag = Tag::new(1, LEN);

/// Bytes and paths that room is kept for between requests.
const COUNT_KEPT: usize = 1 << 16;

/// Memory that [`write()`] works with.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A key whose escapes had to be decoded.
    key: Vec<u8>,
    /// The path of the object that is open, with a dot behind it unless it is the root.
    prefix: Vec<u8>,
    /// All paths, one after the other.
    bytes: Vec<u8>,
    /// Where each is in `bytes`.
    paths: Vec<Range<u32>>,
}

/// Appends the field `mask` with the paths of `body`, the JSON of a message.
pub(super) fn write(
    plan: &Plan,
    message: MessageIndex,
    mask: &FieldPlan,
    body: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    scratch.clear();
    let mut walk = Walk {
        plan,
        json: Cursor::new(body)?,
        scratch,
    };
    // A body of white space is an empty message, and `null` is none (SEMANTICS 64).
    if walk.json.peek() == Some(b'{') {
        walk.object(plan.message(message), 0)?;
    }
    scratch.sort();
    out.extend_from_slice(mask.tag.as_bytes());
    let len: usize = scratch
        .paths()
        .map(|path| PATHS.as_bytes().len() + write::varint_len(path.len()) + path.len())
        .sum();
    write::varint(len as u64, out);
    for path in scratch.paths() {
        out.extend_from_slice(PATHS.as_bytes());
        write::varint(path.len() as u64, out);
        out.extend_from_slice(path);
    }
    Ok(())
}

impl Scratch {
    fn clear(&mut self) {
        for buffer in [&mut self.key, &mut self.prefix, &mut self.bytes] {
            buffer.clear();
            buffer.shrink_to(COUNT_KEPT);
        }
        self.paths.clear();
        self.paths.shrink_to(COUNT_KEPT);
    }

    /// A key may stand in a text in both of its forms, or again after a null.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        let path = |range: &Range<u32>| bytes.get(range.start as usize..range.end as usize);
        self.paths.sort_unstable_by(|a, b| path(a).cmp(&path(b)));
        self.paths.dedup_by(|a, b| path(a) == path(b));
    }

    fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths
            .iter()
            .filter_map(|range| self.bytes.get(range.start as usize..range.end as usize))
    }

    /// Adds the path of a field in the object that is open.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bytes are no more than a body may have"
    )]
    fn add(&mut self, field: &FieldPlan) -> Result<(), Error> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.prefix);
        self.bytes.extend_from_slice(field.name.as_bytes());
        // Paths repeat the names of what they lead through, so that they may be longer than the text by any factor.
        if self.bytes.len() > BODY_LEN_MAX {
            return Err(Error::request(ErrorKind::BodyTooLarge));
        }
        self.paths.push(start as u32..self.bytes.len() as u32);
        Ok(())
    }
}

struct Walk<'p, 'j, 's> {
    plan: &'p Plan,
    json: Cursor<'j>,
    scratch: &'s mut Scratch,
}

impl<'p> Walk<'p, '_, '_> {
    /// Adds the paths of an object that comes next, `depth` levels below the root. `to_wire` has read it, and no deeper than it may.
    fn object(&mut self, message: &'p MessagePlan, depth: u32) -> Result<(), Error> {
        self.json.open(b'{', Expected::Object)?;
        if self.json.close_if(b'}') {
            return Ok(());
        }
        loop {
            self.member(message, depth + 1)?;
            if !self.json.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    fn member(&mut self, message: &'p MessagePlan, depth: u32) -> Result<(), Error> {
        let key = self.json.key()?;
        let offset = key.offset();
        let found = message.find_field(key.decoded(&mut self.scratch.key)?);
        let Some(field) = found.map(|index| message.field(index)) else {
            if self.plan.options.patch_masks == PatchMasks::FillStrictly {
                return Err(Error::body(ErrorKind::UnknownField, offset));
            }
            return self.json.skip_value(depth);
        };
        // An extension has no name that a mask could say.
        if field.name.starts_with('[') {
            return self.json.skip_value(depth);
        }
        if let Some(below) = self.object_of(field)
            && self.opens_members()
        {
            let prefix_len = self.scratch.prefix.len();
            self.scratch.prefix.extend_from_slice(field.name.as_bytes());
            self.scratch.prefix.push(b'.');
            self.object(below, depth)?;
            self.scratch.prefix.truncate(prefix_len);
            return Ok(());
        }
        self.scratch.add(field)?;
        self.json.skip_value(depth)
    }

    /// The message in a field, if paths lead into it: not through lists, maps and well-known types.
    fn object_of(&self, field: &FieldPlan) -> Option<&'p MessagePlan> {
        match (field.kind, field.cardinality) {
            (Kind::Message(index) | Kind::Group(index), Cardinality::Singular) => {
                let message = self.plan.message(index);
                (message.form == Form::Object && !message.is_message_set).then_some(message)
            }
            _ => None,
        }
    }

    /// Whether an object comes next that is not empty.
    fn opens_members(&mut self) -> bool {
        if self.json.peek() != Some(b'{') {
            return false;
        }
        let behind = self.json.skip_space(self.json.offset() + 1);
        self.json.byte_at(behind) != b'}'
    }
}
