//! The walk through the trie. In: a split path. Out: the ends of all templates that match it, the best first.
//! Always: each node is entered at most once, the way back is read off the nodes, so there is neither recursion nor a stack.
//!
//! What is better (SEMANTICS 40): segment by segment from the left, a literal before `*` before the end before `**`; behind `**` more
//! literals before fewer; then with a verb before without. The order in which rules were given does not count.

use super::path::Path;
use crate::plan::{EndIndex, NodeIndex, PathEnd, PathNode, RouteTable};

/// What to try next at a node.
enum Step {
    Literal,
    Star,
    Rest,
}

/// Visits the ends that match, the best first, until `visit` takes one.
pub(super) fn search<T>(
    table: &RouteTable,
    path: &Path<'_>,
    visit: &mut impl FnMut(&PathEnd) -> Option<T>,
) -> Option<T> {
    let mut visit = |end: Option<EndIndex>| end.and_then(|end| visit(table.end(end)));
    let Some(last) = path.segment_count().checked_sub(1) else {
        let root = table.node(RouteTable::ROOT);
        return visit(root.ends.plain).or_else(|| visit(rest_ends(table, root)?.ends.plain));
    };
    let mut index = RouteTable::ROOT;
    let mut depth = 0;
    let mut step = Step::Literal;
    loop {
        let node = table.node(index);
        // SEMANTICS 41: what does not lead on is given up, and the node before it tries its next best.
        let next = match step {
            Step::Literal if depth == last => {
                let found = visit_last(table, node, path, &mut visit);
                if found.is_some() {
                    return found;
                }
                step = Step::Rest;
                continue;
            }
            Step::Literal => {
                step = Step::Star;
                node.literal(path.segment(depth))
            }
            Step::Star => {
                step = Step::Rest;
                // SEMANTICS 24, 26: `*` needs a segment that is not empty.
                node.star.filter(|_| !path.segment(depth).is_empty())
            }
            Step::Rest => {
                let found = visit_rest(table, node, path, depth, &mut visit);
                if found.is_some() {
                    return found;
                }
                if index == RouteTable::ROOT {
                    return None;
                }
                step = if node.is_star { Step::Rest } else { Step::Star };
                index = node.parent;
                depth -= 1;
                continue;
            }
        };
        if let Some(child) = next {
            index = child;
            depth += 1;
            step = Step::Literal;
        }
    }
}

/// The last segment by a literal, then by `*`, each with and without its verb. The verb itself is compared as it was sent.
fn visit_last<T>(
    table: &RouteTable,
    node: &PathNode,
    path: &Path<'_>,
    visit: &mut impl FnMut(Option<EndIndex>) -> Option<T>,
) -> Option<T> {
    let whole = path.segment(path.segment_count() - 1);
    let (stem, verb) = match path.verb() {
        Some((stem, verb)) => (Some(stem), verb),
        None => (None, &[][..]),
    };
    let by_literal = |segment: &[u8]| node.literal(segment).map(|index| table.node(index));
    let by_star = |segment: &[u8]| {
        let index = node.star.filter(|_| !segment.is_empty())?;
        Some(table.node(index))
    };
    let literals = (stem.and_then(by_literal), by_literal(whole));
    let stars = (stem.and_then(by_star), by_star(whole));
    for (with_verb, without) in [literals, stars] {
        let found = visit(with_verb.and_then(|node| node.ends.verb(verb)))
            .or_else(|| visit(without.and_then(|node| node.ends.plain)))
            // SEMANTICS 21: `**` behind the last segment matches nothing at all.
            .or_else(|| visit(rest_ends(table, with_verb?)?.ends.verb(verb)))
            .or_else(|| visit(rest_ends(table, without?)?.ends.plain));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The node whose ends are those of `**` with nothing behind it.
fn rest_ends<'t>(table: &'t RouteTable, node: &PathNode) -> Option<&'t PathNode> {
    node.rest.map(|rest| table.node(rest))
}

/// `**` from the segment at `depth` on: the literals behind it are read from the end of the path, as far as they match.
fn visit_rest<T>(
    table: &RouteTable,
    node: &PathNode,
    path: &Path<'_>,
    depth: usize,
    visit: &mut impl FnMut(Option<EndIndex>) -> Option<T>,
) -> Option<T> {
    let root = node.rest?;
    let whole = path.segment(path.segment_count() - 1);
    let mut without = Some(descend(table, root, path, depth, whole));
    let mut with_verb = path
        .verb()
        .map(|(stem, verb)| (descend(table, root, path, depth, stem), verb));
    // The way back, from many literals to none; at the same number the verb is first.
    loop {
        let tail_len = without.as_ref().map(|tail| tail.len);
        match (&mut with_verb, &mut without) {
            (Some((tail, verb)), _) if Some(tail.len) >= tail_len => {
                let found = visit(table.node(tail.node).ends.verb(verb));
                if found.is_some() {
                    return found;
                }
                if !tail.shorten(table) {
                    with_verb = None;
                }
            }
            (_, Some(tail)) => {
                let found = visit(table.node(tail.node).ends.plain);
                if found.is_some() {
                    return found;
                }
                if !tail.shorten(table) {
                    without = None;
                }
            }
            _ => return None,
        }
    }
}

/// Literals at the end of a path.
struct Tail {
    node: NodeIndex,
    /// How many literals lead to `node`.
    len: usize,
}

/// The longest tail that the path ends in, whose last segment is read as `last`.
fn descend(
    table: &RouteTable,
    root: NodeIndex,
    path: &Path<'_>,
    depth: usize,
    last: &[u8],
) -> Tail {
    let mut tail = Tail { node: root, len: 0 };
    for index in (depth..path.segment_count()).rev() {
        let segment = if tail.len == 0 {
            last
        } else {
            path.segment(index)
        };
        match table.node(tail.node).literal(segment) {
            Some(node) => tail.node = node,
            None => break,
        }
        tail.len += 1;
    }
    tail
}

impl Tail {
    /// Gives the literal up that is farthest from the end; false when there is none.
    fn shorten(&mut self, table: &RouteTable) -> bool {
        if self.len == 0 {
            return false;
        }
        self.node = table.node(self.node).parent;
        self.len -= 1;
        true
    }
}
