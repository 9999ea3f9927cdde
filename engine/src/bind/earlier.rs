//! What a request has bound so far. In: the field path of one capture or parameter after the other. Out: whether it may stand beside
//! the earlier ones. Always: memory is reused from request to request, and bounded by the limits on parameters and steps; a path is
//! compared with those that it shares its message with, not with all.

use crate::error::ErrorKind;
use crate::plan::{Cardinality, FieldIndex, FieldStep, Plan};

/// The field paths bound so far, as a tree, and the keys given for each map.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Empty, or with the root, the input message, first.
    nodes: Vec<Node>,
    map_keys: Vec<MapKey>,
    /// The bytes of `map_keys`, one after the other.
    map_key_bytes: Vec<u8>,
}

/// A field that has been bound, or that a bound one lies inside. Links are indices of nodes; zero, the root, is no link.
#[derive(Clone, Copy, Debug)]
struct Node {
    field: FieldIndex,
    oneof: Option<u16>,
    bound: Bound,
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
}

const ROOT: Node = Node {
    field: FieldIndex(0),
    oneof: None,
    bound: Bound::Not,
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
        let index = self.find_or_add(plan, steps)?;
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
        let index = self.find_or_add(plan, steps)?;
        if self.bound(index) == Bound::ByPath {
            return Ok(Admission::PathWins);
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

    /// The node of a path. It is refused where it parts from an earlier one at a oneof, or where one lies inside the other
    /// (`ts` and `ts.seconds`).
    fn find_or_add(&mut self, plan: &Plan, steps: &[FieldStep]) -> Result<u32, ErrorKind> {
        let mut index = 0;
        let mut is_new = false;
        for step in steps {
            if self.bound(index) != Bound::Not {
                return Err(ErrorKind::GivenTwice);
            }
            let oneof = plan.message(step.message).field(step.field).oneof;
            (index, is_new) = self.find_or_add_child(index, step.field, oneof)?;
        }
        if !is_new && self.node(index).first_child != 0 {
            return Err(ErrorKind::GivenTwice);
        }
        Ok(index)
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
