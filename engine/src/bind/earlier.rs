//! What a request has bound so far. In: the field path of one capture or parameter after the other, and where the body counts more than the query
//! the paths of all parameters and the body. Out: whether one may stand beside the earlier ones. Always: memory is reused from request to request, and bounded by the limits on parameters and steps; a path is
//! compared with those that it shares its message with, not with all.

use std::ops::Range;

use crate::error::ErrorKind;
use crate::plan::{
    Cardinality, FieldIndex, FieldPlan, FieldStep, Form, Kind, MessageIndex, MessagePlan, Plan,
};
use crate::wire::read::{LEN, Reader, START_GROUP};

/// The field paths bound so far, as a tree, and the keys given for each map.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Empty, or with the root, the input message, first.
    nodes: Vec<Node>,
    map_keys: Vec<MapKey>,
    /// The bytes of `map_keys`, one after the other.
    map_key_bytes: Vec<u8>,
}

/// A field that has been bound or is going to be, or that such a one lies inside. Links are indices of nodes; zero, the root, is no link.
#[derive(Clone, Copy, Debug)]
struct Node {
    field: FieldIndex,
    oneof: Option<u16>,
    bound: Bound,
    body: BodySets,
    /// A field of the message in this field.
    first_child: u32,
    /// Another field of the message that this field is in.
    next_sibling: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Not,
    ByPath,
    ByQuery,
}

/// What the body has set, as far as [`Earlier::compare`] has told. Later ones tell more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BodySets {
    Neither,
    /// This field.
    Field,
    /// Another member of its oneof.
    Sibling,
}

/// A key of the map at `node`.
#[derive(Clone, Copy, Debug)]
struct MapKey {
    node: u32,
    /// Compared before the bytes are.
    hash: u32,
    /// Where the bytes end; they begin where those of the key before end.
    end: u32,
}

/// Whether a query parameter is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Bind,
    /// The path has bound the field already, and wins (SEMANTICS 43).
    PathWins,
    /// The body has set the field, and wins (SEMANTICS 70).
    BodyWins,
}

const ROOT: Node = Node {
    field: FieldIndex(0),
    oneof: None,
    bound: Bound::Not,
    body: BodySets::Neither,
    first_child: 0,
    next_sibling: 0,
};

impl Earlier {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.nodes.push(ROOT);
        self.map_keys.clear();
        self.map_key_bytes.clear();
    }

    /// Remembers a capture.
    pub(super) fn admit_capture(
        &mut self,
        plan: &Plan,
        steps: &[FieldStep],
    ) -> Result<(), ErrorKind> {
        let (index, _) = self.find_or_add(plan, steps)?;
        match self.bind(index, Bound::ByPath) {
            Bound::Not => Ok(()),
            Bound::ByPath | Bound::ByQuery => Err(ErrorKind::GivenTwice),
        }
    }

    /// Remembers a query parameter. `map_key` is the key on the wire, if the parameter is an entry of a map. With `last_wins` it may have been
    /// given before (SEMANTICS 51).
    pub(super) fn admit_parameter(
        &mut self,
        plan: &Plan,
        steps: &[FieldStep],
        map_key: Option<&[u8]>,
        last_wins: bool,
    ) -> Result<Admission, ErrorKind> {
        let (index, body) = self.find_or_add(plan, steps)?;
        if self.bound(index) == Bound::ByPath {
            return Ok(Admission::PathWins);
        }
        match body {
            BodySets::Neither => {}
            BodySets::Field => return Ok(Admission::BodyWins),
            // SEMANTICS 45, 70.
            BodySets::Sibling => return Err(ErrorKind::OneofConflict),
        }
        let was_bound = self.bind(index, Bound::ByQuery) == Bound::ByQuery;
        let cardinality = steps
            .last()
            .map(|step| plan.message(step.message).field(step.field).cardinality);
        match (cardinality, map_key) {
            _ if last_wins => {}
            (Some(Cardinality::Map), Some(map_key)) => self.add_map_key(index, map_key)?,
            // SEMANTICS 50.
            (Some(Cardinality::Repeated | Cardinality::Packed), _) => {}
            // SEMANTICS 51.
            _ if was_bound => return Err(ErrorKind::GivenTwice),
            _ => {}
        }
        Ok(Admission::Bind)
    }

    /// Whether this field of the input, or one inside of it, has been given.
    pub(super) fn binds(&self, field: FieldIndex) -> bool {
        let mut child = self.node(0).first_child;
        while child != 0 {
            let node = self.node(child);
            if node.field == field {
                return true;
            }
            child = node.next_sibling;
        }
        false
    }

    /// Remembers that a parameter is going to give this field, so that [`Self::compare`] looks for it. What is wrong with it is told
    /// when it is admitted.
    pub(super) fn expect(&mut self, plan: &Plan, steps: &[FieldStep]) {
        let mut index = 0;
        for step in steps {
            let oneof = plan.message(step.message).field(step.field).oneof;
            match self.find_or_add_child(index, step.field, oneof) {
                Ok((child, _)) => index = child,
                Err(_conflict) => return,
            }
        }
    }

    /// Finds out which of the expected fields the body has set, or a sibling of (SEMANTICS 70). The body is the message `input`, on the wire in this
    /// range of `out`; it is read once, and only as deep as parameters lead. Of a list or a map each may give a part.
    pub(super) fn compare(
        &mut self,
        plan: &Plan,
        input: MessageIndex,
        out: &[u8],
        body: Range<usize>,
    ) -> Result<(), ErrorKind> {
        self.compare_below(0, plan, plan.message(input), out, body)
    }

    /// The same for the message at `parent`. Nested as deep as parameters may have steps.
    fn compare_below(
        &mut self,
        parent: u32,
        plan: &Plan,
        message: &MessagePlan,
        out: &[u8],
        range: Range<usize>,
    ) -> Result<(), ErrorKind> {
        let mut reader = Reader::new(out, range);
        while !reader.is_at_end() {
            let (number, wire_type) = reader.tag().map_err(|error| error.kind)?;
            let content = match wire_type {
                LEN => reader.delimited(),
                START_GROUP => reader.group(number, 0, None),
                _ => reader.skip(number, wire_type, 0).map(|()| 0..0),
            };
            let content = content.map_err(|error| error.kind)?;
            let Some(found) = message.numbers.find(number) else {
                continue;
            };
            let field = message.field(found);
            // The body has each of the others once, so that this is no product of two lengths.
            if field.cardinality != Cardinality::Singular {
                continue;
            }
            let mut child = self.node(parent).first_child;
            while child != 0 {
                let node = self.node(child);
                if node.field != found {
                    if field.oneof.is_some() && node.oneof == field.oneof {
                        self.mark(child, BodySets::Sibling);
                    }
                } else if let (Some(below), true) = (object(plan, field), node.first_child != 0) {
                    self.compare_below(child, plan, below, out, content.clone())?;
                } else {
                    self.mark(child, BodySets::Field);
                }
                child = node.next_sibling;
            }
        }
        Ok(())
    }

    /// The node of a path, and what the body has set of it. It is refused where it parts from an earlier one at a oneof, or where one lies inside the other
    /// (`ts` and `ts.seconds`).
    fn find_or_add(
        &mut self,
        plan: &Plan,
        steps: &[FieldStep],
    ) -> Result<(u32, BodySets), ErrorKind> {
        let mut index = 0;
        let mut is_new = false;
        let mut body = BodySets::Neither;
        for step in steps {
            if self.bound(index) != Bound::Not {
                return Err(ErrorKind::GivenTwice);
            }
            let oneof = plan.message(step.message).field(step.field).oneof;
            (index, is_new) = self.find_or_add_child(index, step.field, oneof)?;
            body = body.max(self.node(index).body);
        }
        if !is_new && self.node(index).first_child != 0 {
            return Err(ErrorKind::GivenTwice);
        }
        Ok((index, body))
    }

    /// The node of a field in the message at `parent`, and whether it is new.
    fn find_or_add_child(
        &mut self,
        parent: u32,
        field: FieldIndex,
        oneof: Option<u16>,
    ) -> Result<(u32, bool), ErrorKind> {
        let first_child = self.node(parent).first_child;
        let mut child = first_child;
        while child != 0 {
            let node = self.node(child);
            if node.field == field {
                return Ok((child, false));
            }
            // SEMANTICS 45: two members of one oneof.
            if oneof.is_some() && node.oneof == oneof {
                return Err(ErrorKind::OneofConflict);
            }
            child = node.next_sibling;
        }
        let index = narrow(self.nodes.len());
        self.nodes.push(Node {
            field,
            oneof,
            next_sibling: first_child,
            ..ROOT
        });
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            parent.first_child = index;
        }
        Ok((index, true))
    }

    fn add_map_key(&mut self, node: u32, map_key: &[u8]) -> Result<(), ErrorKind> {
        let hash = hash(map_key);
        let mut start = 0;
        for other in &self.map_keys {
            let range = start..other.end as usize;
            start = range.end;
            if other.hash == hash
                && other.node == node
                && self.map_key_bytes.get(range) == Some(map_key)
            {
                return Err(ErrorKind::GivenTwice);
            }
        }
        self.map_key_bytes.extend_from_slice(map_key);
        let end = narrow(self.map_key_bytes.len());
        self.map_keys.push(MapKey { node, hash, end });
        Ok(())
    }

    fn mark(&mut self, index: u32, body: BodySets) {
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.body = node.body.max(body);
        }
    }

    /// Marks a node and returns what it was before.
    fn bind(&mut self, index: u32, bound: Bound) -> Bound {
        match self.nodes.get_mut(index as usize) {
            Some(node) => std::mem::replace(&mut node.bound, bound),
            None => Bound::Not,
        }
    }

    fn bound(&self, index: u32) -> Bound {
        self.node(index).bound
    }

    fn node(&self, index: u32) -> Node {
        self.nodes.get(index as usize).copied().unwrap_or(ROOT)
    }
}

/// The message in a field, if it is one of named fields: a timestamp is a value, wherever a parameter leads.
fn object<'p>(plan: &'p Plan, field: &FieldPlan) -> Option<&'p MessagePlan> {
    let (Kind::Message(index) | Kind::Group(index)) = field.kind else {
        return None;
    };
    let message = plan.message(index);
    (message.form == Form::Object).then_some(message)
}

/// FNV-1a. Whoever makes keys collide pays for a comparison of bytes, a bounded number of times.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "nodes and bytes are fewer than the limits on targets, parameters and steps multiplied"
)]
fn narrow(count: usize) -> u32 {
    count as u32
}
