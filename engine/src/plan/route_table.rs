//! All routes of a schema and the trie by which a path finds them. In: nothing at run time; `compile` builds it once.
//! Out: look-ups of one node. Always: one node is one path of segments from the root, so a search enters it at most once.
//!
//! ```text
//! /v1/{name=shelves/*}:sort   root ─"v1"─ ● ─"shelves"─ ● ─ * ─ ●   verb "sort"
//! /v1/{name=**}               root ─"v1"─ ● ─ ** ─ ○                plain
//! /v1/{name=**}/raw           root ─"v1"─ ● ─ ** ─ ○ ─"raw"─ ○      plain; the nodes ○ are read from the end of the path
//! ```

use super::{NameTable, RouteIndex, RoutePlan};

/// Index of a node in [`RouteTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeIndex(pub(crate) u32);

/// Index of a [`PathEnd`] in [`RouteTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndIndex(pub(crate) u32);

/// The routes and their trie.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) routes: Box<[RoutePlan]>,
    /// `nodes[0]` is the root.
    pub(crate) nodes: Box<[PathNode]>,
    pub(crate) ends: Box<[PathEnd]>,
    /// Whether `/a/` is read as `/a` (SEMANTICS 25).
    pub(crate) ignores_trailing_slash: bool,
}

/// What may follow a path of segments.
#[derive(Debug)]
pub(crate) struct PathNode {
    /// The node one segment nearer to the root; the root of a trie is its own parent.
    pub(crate) parent: NodeIndex,
    /// Whether the parent reaches this node by `*`, not by a literal.
    pub(crate) is_star: bool,
    /// Literal segments in normal form (SEMANTICS 13) to [`NodeIndex`]; none below most nodes.
    pub(crate) literals: Option<NameTable>,
    /// Any one segment that is not empty.
    pub(crate) star: Option<NodeIndex>,
    /// `**`: the root of a trie of the literals behind it, last one first. Never set inside such a trie.
    pub(crate) rest: Option<NodeIndex>,
    /// What the templates that end here lead to.
    pub(crate) ends: Ends,
}

/// The templates that end at one node.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Without a verb.
    pub(crate) plain: Option<EndIndex>,
    /// Verb to [`EndIndex`].
    pub(crate) verbs: Option<NameTable>,
}

/// One shape of path: the routes that share it, told apart by the HTTP method.
#[derive(Debug)]
pub(crate) struct PathEnd {
    /// No method twice; never `*`.
    pub(crate) methods: Box<[(Box<str>, RouteIndex)]>,
    /// The route of every other method (SEMANTICS 9).
    pub(crate) any: Option<RouteIndex>,
}

impl RouteTable {
    /// The root of the trie.
    pub(crate) const ROOT: NodeIndex = NodeIndex(0);

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every RouteIndex is made by compile for this table"
    )]
    pub(crate) fn route(&self, index: RouteIndex) -> &RoutePlan {
        &self.routes[index.0 as usize]
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every NodeIndex is made by compile for this table"
    )]
    pub(crate) fn node(&self, index: NodeIndex) -> &PathNode {
        &self.nodes[index.0 as usize]
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every EndIndex is made by compile for this table"
    )]
    pub(crate) fn end(&self, index: EndIndex) -> &PathEnd {
        &self.ends[index.0 as usize]
    }
}

impl PathNode {
    /// The child behind this literal, which is in normal form.
    #[inline]
    pub(crate) fn literal(&self, segment: &[u8]) -> Option<NodeIndex> {
        self.literals.as_ref()?.find(segment).map(NodeIndex)
    }
}

impl Ends {
    /// The end behind `:verb`.
    #[inline]
    pub(crate) fn verb(&self, verb: &[u8]) -> Option<EndIndex> {
        self.verbs.as_ref()?.find(verb).map(EndIndex)
    }
}

impl PathEnd {
    /// The route of an HTTP method. `HEAD` without a rule of its own is answered as `GET` (RFC 9110, 9.3.2), and only then
    /// as any method.
    #[inline]
    pub(crate) fn find(&self, http_method: &[u8]) -> Option<RouteIndex> {
        self.exact(http_method)
            .or_else(|| {
                (http_method == b"HEAD")
                    .then(|| self.exact(b"GET"))
                    .flatten()
            })
            .or(self.any)
    }

    #[inline]
    fn exact(&self, http_method: &[u8]) -> Option<RouteIndex> {
        self.methods
            .iter()
            .find(|(method, _)| method.as_bytes() == http_method)
            .map(|&(_, route)| route)
    }
}
