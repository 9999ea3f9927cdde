//! Why each route does or does not take a request. In: the table, an HTTP method and a path. Out: a verdict for every route.
//! Always: cold; it reads templates off the trie that [`find`](super::find) walks and compares each with the path by itself, segment by
//! segment, so that the two check each other.

use super::path::Path;
use super::{Scratch, find};
use crate::plan::{EndIndex, NameTable, NodeIndex, PathEnd, PathNode, RouteIndex, RouteTable};

/// How one route stands to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Segments of the path that are what the template has at their places, be it by `*`: how alike the two are.
    pub alike: usize,
    /// What becomes of the route.
    pub verdict: Verdict,
}

/// What becomes of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes this way.
    Chosen,
    /// It would take the request, but the chosen one is better (SEMANTICS 40).
    Outranked(Better),
    /// The path is its, the HTTP method is not (SEMANTICS 42).
    OtherMethod,
    /// The path is not its.
    Differs(Difference),
}

/// Where the chosen template is better than another that matches the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Better {
    /// At this segment of the path, counted from one: a literal before `*` before the end before `**`.
    Segment(usize),
    /// It has more literals behind `**`.
    MoreLiterals,
    /// It has a verb, and the other has none.
    Verb,
    /// Both have one path, and it names the method more exactly.
    Method,
}

/// The first place at which a path is not what a template wants. Segments are counted from one and are in the normal form in which they
/// are compared (SEMANTICS 13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A segment is another one, or is empty where `*` stands.
    Segment {
        /// Its place.
        at: usize,
        /// A literal or `*`.
        expected: String,
        /// What the path has there.
        found: String,
    },
    /// The path ends before this segment.
    Ends {
        /// Its place.
        at: usize,
        /// A literal or `*`.
        expected: String,
    },
    /// The path goes on behind the last segment of the template.
    GoesOn {
        /// The place of the first segment too many.
        at: usize,
        /// What it is.
        found: String,
    },
    /// The path does not end in this verb.
    Verb {
        /// Without its colon.
        expected: String,
    },
}

/// One template as the trie has it, and what it leads to.
struct Leaf<'t> {
    /// Up to `**`: literals, and nothing for `*`.
    head: Vec<Option<&'t str>>,
    /// The literals behind `**`, if there is one.
    tail: Option<Vec<&'t str>>,
    verb: Option<&'t str>,
    end: &'t PathEnd,
}

/// The verdict on each route, in no order; nothing if `path` is none.
#[cold]
pub(crate) fn compare_all(
    table: &RouteTable,
    http_method: &[u8],
    path: &[u8],
    scratch: &mut Scratch,
) -> Vec<(RouteIndex, Comparison)> {
    let chosen = find(table, http_method, path, scratch).ok();
    let Some(path) = Path::split(path, &mut scratch.path) else {
        return Vec::new();
    };
    let leaves = leaves(table);
    let winner = leaves
        .iter()
        .find(|leaf| chosen.is_some() && leaf.routes().any(|(_, route)| Some(route) == chosen));
    let mut comparisons = Vec::with_capacity(table.routes.len());
    for leaf in &leaves {
        let (alike, difference) = leaf.compare(&path);
        for (method, route) in leaf.routes() {
            let verdict = match (&difference, winner) {
                _ if chosen == Some(route) => Verdict::Chosen,
                (Some(difference), _) => Verdict::Differs(difference.clone()),
                (None, Some(winner)) if takes(method, http_method) => {
                    Verdict::Outranked(leaf.worse_than(winner))
                }
                (None, _) => Verdict::OtherMethod,
            };
            comparisons.push((route, Comparison { alike, verdict }));
        }
    }
    comparisons
}

/// Whether a rule for `method` may take a request with `asked`.
fn takes(method: &str, asked: &[u8]) -> bool {
    method == "*" || method.as_bytes() == asked || (method == "GET" && asked == b"HEAD")
}

/// A node on the way to templates, and how it is reached.
struct Open<'t> {
    index: NodeIndex,
    head: Vec<Option<&'t str>>,
    /// The last literal first, as the trie has those behind `**`.
    tail: Option<Vec<&'t str>>,
}

impl<'t> Open<'t> {
    /// The child behind a literal.
    fn literal(&self, name: &'t str, child: u32) -> Self {
        let mut open = Self {
            index: NodeIndex(child),
            head: self.head.clone(),
            tail: self.tail.clone(),
        };
        match &mut open.tail {
            Some(tail) => tail.push(name),
            None => open.head.push(Some(name)),
        }
        open
    }

    fn leaf(&self, verb: Option<&'t str>, end: &'t PathEnd) -> Leaf<'t> {
        let tail = self.tail.as_ref();
        Leaf {
            head: self.head.clone(),
            tail: tail.map(|tail| tail.iter().rev().copied().collect()),
            verb,
            end,
        }
    }
}

/// Every template of the table.
fn leaves(table: &RouteTable) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    let mut pending = vec![Open {
        index: RouteTable::ROOT,
        head: Vec::new(),
        tail: None,
    }];
    while let Some(open) = pending.pop() {
        let node = table.node(open.index);
        for (verb, end) in ends(node) {
            leaves.push(open.leaf(verb, table.end(end)));
        }
        for (name, child) in node.literals.iter().flat_map(NameTable::iter) {
            pending.push(open.literal(name, child));
        }
        if let Some(index) = node.star {
            pending.push(Open {
                index,
                head: [&open.head[..], &[None]].concat(),
                tail: None,
            });
        }
        if let Some(index) = node.rest {
            pending.push(Open {
                index,
                head: open.head,
                tail: Some(Vec::new()),
            });
        }
    }
    leaves
}

/// The ends at a node with their verbs.
fn ends(node: &PathNode) -> impl Iterator<Item = (Option<&str>, EndIndex)> {
    let verbs = node.ends.verbs.iter().flat_map(NameTable::iter);
    let plain = node.ends.plain.map(|end| (None, end));
    plain
        .into_iter()
        .chain(verbs.map(|(verb, end)| (Some(verb), EndIndex(end))))
}

impl<'t> Leaf<'t> {
    fn routes(&self) -> impl Iterator<Item = (&'t str, RouteIndex)> + use<'t> {
        let end = self.end;
        let named = end
            .methods
            .iter()
            .map(|(method, route)| (&**method, *route));
        named.chain(end.any.map(|route| ("*", route)))
    }

    /// How many segments are alike, and the first difference.
    fn compare(&self, path: &Path<'_>) -> (usize, Option<Difference>) {
        let count = path.segment_count();
        let has_verb = path
            .verb()
            .is_some_and(|(_, verb)| Some(verb) == self.verb.map(str::as_bytes));
        let segment = |index: usize| match path.verb() {
            // Where the verb is another one that is the difference, and not the segment before it.
            Some((stem, _)) if self.verb.is_some() && index + 1 == count => stem,
            _ => path.segment(index),
        };
        let mut alike = 0;
        let mut first = None;
        let mut note = |at: usize, expected: Option<&str>, found: Option<&[u8]>| {
            let is_alike = match (expected, found) {
                (Some(expected), Some(found)) => expected.as_bytes() == found,
                (None, Some(found)) => !found.is_empty(),
                (_, None) => false,
            };
            if is_alike {
                alike += 1;
            } else if first.is_none() {
                let expected = expected.unwrap_or("*").to_owned();
                first = Some(match found {
                    Some(found) => Difference::Segment {
                        at,
                        expected,
                        found: String::from_utf8_lossy(found).into_owned(),
                    },
                    None => Difference::Ends { at, expected },
                });
            }
        };
        for (index, expected) in self.head.iter().enumerate() {
            note(
                index + 1,
                *expected,
                (index < count).then(|| segment(index)),
            );
        }
        let fixed = self.head.len() + self.tail.as_ref().map_or(0, Vec::len);
        let rest_len = count.saturating_sub(fixed);
        for (index, expected) in (self.head.len() + rest_len..).zip(self.tail.iter().flatten()) {
            note(
                index + 1,
                Some(expected),
                (index < count).then(|| segment(index)),
            );
        }
        if first.is_none() && self.tail.is_none() && rest_len > 0 {
            first = Some(Difference::GoesOn {
                at: fixed + 1,
                found: String::from_utf8_lossy(segment(fixed)).into_owned(),
            });
        }
        let verb = self.verb.filter(|_| !has_verb);
        let difference = first.or_else(|| {
            verb.map(|verb| Difference::Verb {
                expected: verb.to_owned(),
            })
        });
        (alike, difference)
    }

    /// Where `winner` is better, both of which match the path.
    fn worse_than(&self, winner: &Self) -> Better {
        if std::ptr::eq(self.end, winner.end) {
            return Better::Method;
        }
        let shared = self.head.iter().zip(&winner.head);
        // What the heads share is equal, then one of them ends or is worse.
        let same = shared.take_while(|(own, other)| own == other).count();
        if same < self.head.len().max(winner.head.len())
            || self.tail.is_some() != winner.tail.is_some()
        {
            return Better::Segment(same + 1);
        }
        if self.tail != winner.tail {
            return Better::MoreLiterals;
        }
        Better::Verb
    }
}
