//! Templates to the trie of routes. In: templates with their HTTP methods. Out: a [`RouteTable`]. Always: two templates of one shape
//! with one HTTP method cannot both be in it; the order in which they come does not change what a path finds.

use std::collections::HashMap;

use crate::plan::{
    EndIndex, Ends, NameTable, NodeIndex, PathEnd, PathNode, RouteIndex, RoutePlan, RouteTable,
};
use crate::route;
use crate::schema::template::{Segment, Template};

/// A trie that grows.
pub(crate) struct RouteTableBuilder {
    nodes: Vec<Node>,
    ends: Vec<End>,
}

#[derive(Default)]
struct Node {
    parent: u32,
    is_star: bool,
    literals: HashMap<String, u32>,
    star: Option<u32>,
    rest: Option<u32>,
    plain: Option<u32>,
    verbs: HashMap<String, u32>,
}

#[derive(Default)]
struct End {
    methods: Vec<(Box<str>, RouteIndex)>,
    any: Option<RouteIndex>,
}

impl RouteTableBuilder {
    /// A trie without a template.
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            ends: Vec::new(),
        }
    }

    /// Adds a template.
    ///
    /// # Errors
    /// The route that has the same shape and the same HTTP method (SEMANTICS 10); nothing is added then.
    pub(crate) fn add(
        &mut self,
        template: &Template,
        http_method: &str,
        route: RouteIndex,
    ) -> Result<(), RouteIndex> {
        let end = self.end(template);
        // SEMANTICS 9: `*` is every method that has no route of its own here.
        if http_method == "*" {
            if let Some(other) = end.any {
                return Err(other);
            }
            end.any = Some(route);
            return Ok(());
        }
        let taken = end
            .methods
            .iter()
            .find(|(method, _)| **method == *http_method);
        if let Some(&(_, other)) = taken {
            return Err(other);
        }
        end.methods.push((http_method.into(), route));
        Ok(())
    }

    /// The route of this shape that takes this HTTP method, be it by `*`.
    pub(crate) fn find(&mut self, template: &Template, http_method: &str) -> Option<RouteIndex> {
        let end = self.end(template);
        let exact = end
            .methods
            .iter()
            .find(|(method, _)| **method == *http_method);
        exact.map(|&(_, route)| route).or(end.any)
    }

    /// The finished table. `routes` are those whose indices were added.
    pub(crate) fn finish(self, routes: Vec<RoutePlan>) -> RouteTable {
        RouteTable {
            routes: routes.into(),
            ignores_trailing_slash: false,
            nodes: self.nodes.into_iter().map(Node::finish).collect(),
            ends: self
                .ends
                .into_iter()
                .map(|end| PathEnd {
                    methods: end.methods.into(),
                    any: end.any,
                })
                .collect(),
        }
    }

    /// The end of a shape, made if it is new.
    #[expect(
        clippy::indexing_slicing,
        reason = "indices of nodes and ends are those of this builder"
    )]
    fn end(&mut self, template: &Template) -> &mut End {
        let mut node = 0;
        let rest = template.rest().unwrap_or(template.segments.len());
        let (head, tail) = template.segments.split_at(rest);
        for segment in head {
            node = self.child(node, segment);
        }
        // Behind `**` the literals are read from the end of the path.
        if let Some((segment, literals)) = tail.split_first() {
            node = self.child(node, segment);
            for segment in literals.iter().rev() {
                node = self.child(node, segment);
            }
        }
        let next = index(self.ends.len());
        let node = &mut self.nodes[node as usize];
        let end = match &template.verb {
            None => *node.plain.get_or_insert(next),
            Some(verb) => *node.verbs.entry(normal(verb)).or_insert(next),
        };
        if end == next {
            self.ends.push(End::default());
        }
        &mut self.ends[end as usize]
    }

    /// The child behind a segment, made if it is new.
    #[expect(
        clippy::indexing_slicing,
        reason = "indices of nodes are those of this builder"
    )]
    fn child(&mut self, parent: u32, segment: &Segment) -> u32 {
        let next = index(self.nodes.len());
        let node = &mut self.nodes[parent as usize];
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(normal(text)).or_insert(next),
            Segment::Star => *node.star.get_or_insert(next),
            Segment::Rest => *node.rest.get_or_insert(next),
        };
        if child == next {
            self.nodes.push(Node {
                parent,
                is_star: *segment == Segment::Star,
                ..Node::default()
            });
        }
        child
    }
}

impl Node {
    fn finish(self) -> PathNode {
        PathNode {
            parent: NodeIndex(self.parent),
            is_star: self.is_star,
            literals: names(&self.literals),
            star: self.star.map(NodeIndex),
            rest: self.rest.map(NodeIndex),
            ends: Ends {
                plain: self.plain.map(EndIndex),
                verbs: names(&self.verbs),
            },
        }
    }
}

fn names(map: &HashMap<String, u32>) -> Option<NameTable> {
    let names = map.iter().map(|(name, &value)| (name.as_str(), value));
    (!map.is_empty()).then(|| NameTable::new(names))
}

/// SEMANTICS 13
fn normal(text: &str) -> String {
    let mut out = Vec::new();
    route::write_normal(text.as_bytes(), &mut out);
    String::from_utf8(out).expect("the normal form of a parsed literal is ASCII")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a descriptor set of less than 4 GiB has fewer segments"
)]
fn index(len: usize) -> u32 {
    len as u32
}
