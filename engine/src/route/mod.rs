//! Turns a path and a method into a route. In: raw path bytes and an HTTP method. Out: a route and captures, as ranges into the path.
//! Always: no allocation in the steady state and no recursion; each node of the trie is entered at most once a request;
//! captures are in the order of the template; bytes are still percent-encoded.

mod explain;
mod normal;
mod path;
mod search;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;

use std::ops::Range;

use crate::plan::{RouteIndex, RoutePlan, RouteTable};

pub(crate) use explain::compare_all;
pub use explain::{Better, Comparison, Difference, Verdict};
pub(crate) use normal::write as write_normal;
use path::Path;
use search::search;

/// Memory that is reused from one request to the next, and the captures of the last one. Keep one per thread; it serves any schema.
#[derive(Debug, Default)]
pub struct Scratch {
    path: path::Scratch,
    captures: Vec<Range<u32>>,
    allowed: Vec<RouteIndex>,
}

/// Why a request has no route: what [`Schema::find_route`](crate::Schema::find_route) says instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No template matches the path (404).
    NotFound,
    /// Templates match the path, but not with this method (405, SEMANTICS 42).
    MethodNotAllowed,
}

impl Scratch {
    /// Where in the path the variables of the route are, one range of bytes each, in the order of the template and of
    /// [`Route::variables`](crate::Route::variables). The bytes are still percent-encoded.
    pub fn captures(&self) -> &[Range<u32>] {
        &self.captures
    }
}

/// Finds the route of a request. `path` is the part of the target from the first `/` up to, not including, a `?`.
///
/// `HEAD` finds the rule of `GET` where the same template has no rule for `HEAD`.
///
/// # Errors
/// When no route has this path, or none with this method. The captures are then without meaning.
pub(crate) fn find(
    table: &RouteTable,
    http_method: &[u8],
    path: &[u8],
    scratch: &mut Scratch,
) -> Result<RouteIndex, NoRoute> {
    let Some(path) = Path::split(read_path(table, path), &mut scratch.path) else {
        return Err(NoRoute::NotFound);
    };
    let mut is_known = false;
    let found = search(table, &path, &mut |end| {
        is_known = true;
        end.find(http_method)
    });
    match found {
        Some(index) => {
            capture(table.route(index), &path, &mut scratch.captures);
            Ok(index)
        }
        None if is_known => Err(NoRoute::MethodNotAllowed),
        None => Err(NoRoute::NotFound),
    }
}

/// The HTTP methods with which rules own this path, each once: what `Allow` lists, but for `HEAD` and `OPTIONS`, which the
/// exchange answers without a rule. `*` stands for every method.
#[cold]
pub(crate) fn allowed<'t>(
    table: &'t RouteTable,
    path: &[u8],
    scratch: &mut Scratch,
) -> impl Iterator<Item = &'t str> {
    let Scratch {
        path: split,
        allowed,
        ..
    } = scratch;
    allowed.clear();
    if let Some(path) = Path::split(read_path(table, path), split) {
        search::<()>(table, &path, &mut |end| {
            for &route in end.methods.iter().map(|(_, route)| route).chain(&end.any) {
                let http_method = &table.route(route).http_method;
                if allowed
                    .iter()
                    .all(|&each| table.route(each).http_method != *http_method)
                {
                    allowed.push(route);
                }
            }
            None
        });
    }
    allowed
        .iter()
        .map(|&route| &*table.route(route).http_method)
}

/// SEMANTICS 25: the path without one slash at its end, if the table is to overlook it.
#[inline]
fn read_path<'p>(table: &RouteTable, path: &'p [u8]) -> &'p [u8] {
    match path {
        [stem @ .., b'/'] if table.ignores_trailing_slash && !stem.is_empty() => stem,
        _ => path,
    }
}

/// Notes where the variables of a route are in a path that it matches.
fn capture(route: &RoutePlan, path: &Path<'_>, captures: &mut Vec<Range<u32>>) {
    let shape = route.shape;
    let segment_count = path.segment_count();
    // Segments up to `**` are counted from the start of the path, those behind it from its end.
    let place = |border: u16| match shape.rest {
        Some(rest) if border > rest => {
            segment_count.saturating_sub(usize::from(shape.segment_count.saturating_sub(border)))
        }
        _ => usize::from(border),
    };
    captures.clear();
    for variable in &route.variables {
        let segments = place(variable.segments.start)..place(variable.segments.end);
        captures.push(path.range(segments, shape.has_verb));
    }
}
