//! The matcher against a naive one that tries every template: same route, same captures, whatever the order of registration.

use std::cmp::Ordering;
use std::ops::Range;

use proptest::prelude::*;

use super::{Better, NoRoute, Path, Scratch, Verdict, allowed, compare_all, find, search};
use crate::compile::{RouteTableBuilder, route_plan};
use crate::plan::{RouteIndex, RouteTable};
use crate::schema::template::tests::any_template;
use crate::schema::template::{Segment, Template};

/// The table of some templates; those of a shape that is taken are left out of it and of the list.
fn table(rules: Vec<(Template, &'static str)>) -> (RouteTable, Vec<(Template, &'static str)>) {
    let mut builder = RouteTableBuilder::new();
    let mut kept: Vec<(Template, &str)> = Vec::new();
    for (template, http_method) in rules {
        let index = RouteIndex(u32::try_from(kept.len()).unwrap());
        if builder.add(&template, http_method, index).is_ok() {
            kept.push((template, http_method));
        }
    }
    let plans = kept
        .iter()
        .map(|(template, http_method)| route_plan(http_method, template))
        .collect();
    (builder.finish(plans), kept)
}

/// The captures of a template, if it matches. Straight from the definition: the text is cut at slashes, and the segments
/// are laid side by side.
fn naive_captures(template: &Template, path: &str) -> Option<Vec<Range<u32>>> {
    let mut text = path.strip_prefix('/')?;
    if let Some(wanted) = &template.verb {
        let (stem, verb) = text.rsplit_once(':')?;
        if verb.contains('/') || naive_normal(wanted) != verb {
            return None;
        }
        text = stem;
    }
    // A path of one slash has no segment; a verb makes it one.
    let segments: Vec<&str> = if path == "/" {
        Vec::new()
    } else {
        text.split('/').collect()
    };
    let rest = template.rest();
    let extra = segments
        .len()
        .checked_sub(template.segments.len() - usize::from(rest.is_some()))?;
    if rest.is_none() && extra > 0 {
        return None;
    }
    let spread = |index: usize| match rest {
        Some(rest) if index > rest => index + extra - 1,
        _ => index,
    };
    for (index, wanted) in template.segments.iter().enumerate() {
        let is_match = match wanted {
            Segment::Literal(literal) => {
                naive_normal(literal) == naive_normal(segments[spread(index)])
            }
            Segment::Star => !segments[spread(index)].is_empty(),
            Segment::Rest => true,
        };
        if !is_match {
            return None;
        }
    }
    let start = |index: usize| {
        let before: usize = segments[..index].iter().map(|each| each.len() + 1).sum();
        (1 + before).min(1 + text.len())
    };
    let captures = template.variables.iter().map(|variable| {
        let (from, to) = (
            spread(variable.segments.start),
            spread(variable.segments.end),
        );
        let end = if from == to {
            start(from)
        } else {
            start(to - 1) + segments[to - 1].len()
        };
        u32::try_from(start(from)).unwrap()..u32::try_from(end).unwrap()
    });
    Some(captures.collect())
}

/// Enough of SEMANTICS 13 for the letters that these tests use.
fn naive_normal(text: &str) -> String {
    text.replace("%61", "a").replace("%2f", "%2F")
}

/// SEMANTICS 40, as a comparison of two templates that match the same path: the better is less.
fn naive_order(left: &Template, right: &Template) -> Ordering {
    let ranks = |template: &Template| {
        let head = template.rest().unwrap_or(template.segments.len());
        let mut ranks: Vec<_> = template.segments[..head]
            .iter()
            .map(|segment| i32::from(*segment == Segment::Star))
            .collect();
        ranks.push(if template.rest().is_some() { 3 } else { 2 });
        ranks
    };
    let literals_behind_rest =
        |template: &Template| template.rest().map_or(0, |at| template.segments.len() - at);
    ranks(left)
        .cmp(&ranks(right))
        .then(literals_behind_rest(right).cmp(&literals_behind_rest(left)))
        .then(right.verb.is_some().cmp(&left.verb.is_some()))
}

fn naive_find(
    rules: &[(Template, &str)],
    http_method: &str,
    path: &str,
) -> Result<(String, Vec<Range<u32>>), NoRoute> {
    let matches: Vec<_> = rules
        .iter()
        .filter_map(|(template, method)| Some((template, *method, naive_captures(template, path)?)))
        .collect();
    let rank = |method: &str| match (http_method, method) {
        (asked, method) if asked == method => Some(0),
        ("HEAD", "GET") => Some(1),
        (_, "*") => Some(2),
        _ => None,
    };
    let best = matches
        .iter()
        .filter_map(|(template, method, captures)| Some((template, rank(method)?, captures)))
        .min_by(|left, right| naive_order(left.0, right.0).then(left.1.cmp(&right.1)));
    match best {
        Some((template, rank, captures)) => {
            Ok((format!("{rank} {template}"), Vec::clone(captures)))
        }
        None if matches.is_empty() => Err(NoRoute::NotFound),
        None => Err(NoRoute::MethodNotAllowed),
    }
}

fn any_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a", "b", "a", "b", "", "c", "a:b", "b:a", "a:a:b", ":a", "a:", "%61", "a%2Fb", "%2f",
        "%2F",
    ]);
    prop::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn any_rules() -> impl Strategy<Value = Vec<(Template, &'static str)>> {
    let http_method = prop::sample::select(vec!["GET", "GET", "POST", "HEAD", "*"]);
    prop::collection::vec((any_template(), http_method), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn finds_what_trying_every_template_finds(
        rules in any_rules(),
        paths in prop::collection::vec(any_path(), 1..8),
        http_method in prop::sample::select(vec!["GET", "POST", "HEAD", "PUT"]),
    ) {
        let (table, rules) = table(rules);
        let mut scratch = Scratch::default();
        for path in &paths {
            let found = find(&table, http_method.as_bytes(), path.as_bytes(), &mut scratch);
            let found = found.map(|index| {
                let route = table.route(index);
                let rank = match &*route.http_method {
                    method if method == http_method => 0,
                    "*" => 2,
                    _ => 1,
                };
                (format!("{rank} {}", route.template), scratch.captures().to_vec())
            });
            prop_assert_eq!(found, naive_find(&rules, http_method, path), "{} in {:?}", path, rules);
        }
    }

    #[test]
    fn verdicts_agree_with_what_is_found(
        rules in any_rules(),
        path in any_path(),
        http_method in prop::sample::select(vec!["GET", "POST", "HEAD", "PUT"]),
    ) {
        let (table, rules) = table(rules);
        let mut scratch = Scratch::default();
        let found = find(&table, http_method.as_bytes(), path.as_bytes(), &mut scratch).ok();
        let mut verdicts = compare_all(&table, http_method.as_bytes(), path.as_bytes(), &mut scratch);
        verdicts.sort_by_key(|(route, _)| route.0);
        // Every rule has one verdict.
        prop_assert_eq!(verdicts.len(), rules.len());
        for ((index, comparison), (template, method)) in verdicts.into_iter().zip(&rules) {
            let matches = naive_captures(template, &path).is_some();
            let takes = *method == http_method || *method == "*" || (*method == "GET" && http_method == "HEAD");
            let context = format!("{http_method} {path}, {method} {template}: {comparison:?}");
            match comparison.verdict {
                Verdict::Chosen => prop_assert_eq!(found, Some(index), "{}", context),
                Verdict::Differs(_) => prop_assert!(!matches, "{}", context),
                Verdict::OtherMethod => prop_assert!(matches && !takes, "{}", context),
                Verdict::Outranked(better) => {
                    prop_assert!(matches && takes && found.is_some(), "{}", context);
                    let chosen = &rules[found.unwrap().0 as usize].0;
                    let order = naive_order(chosen, template);
                    if better == Better::Method {
                        prop_assert_eq!(order, Ordering::Equal, "{}", context);
                    } else {
                        prop_assert_eq!(order, Ordering::Less, "{}", context);
                    }
                }
            }
        }
    }

    #[test]
    fn order_of_registration_does_not_count(
        rules in any_rules(),
        path in any_path(),
        seed in any::<prop::sample::Index>(),
    ) {
        let (first, mut rules) = table(rules);
        let turn = seed.index(rules.len());
        rules.rotate_left(turn);
        rules.reverse();
        let (second, rules) = table(rules);
        prop_assert_eq!(first.routes.len(), rules.len());
        let mut scratch = Scratch::default();
        let answer = |table: &RouteTable, scratch: &mut Scratch| {
            find(table, b"GET", path.as_bytes(), scratch)
                .map(|index| (table.route(index).template.clone(), scratch.captures().to_vec()))
        };
        prop_assert_eq!(answer(&first, &mut scratch), answer(&second, &mut scratch));
    }

    #[test]
    fn allowed_methods_are_those_of_every_template_that_matches(
        rules in any_rules(),
        path in any_path(),
    ) {
        let (table, rules) = table(rules);
        let mut found: Vec<_> = allowed(&table, path.as_bytes(), &mut Scratch::default()).collect();
        found.sort_unstable();
        let mut expected: Vec<_> = rules
            .iter()
            .filter(|(template, _)| naive_captures(template, &path).is_some())
            .map(|(_, http_method)| *http_method)
            .collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn captures_of_any_bytes_lie_in_the_path_in_order(
        rules in any_rules(),
        path in prop::collection::vec(prop_oneof![Just(b'/'), Just(b':'), Just(b'%'), Just(b'a'), any::<u8>()], 0..40),
    ) {
        let (table, _) = table(rules);
        let mut scratch = Scratch::default();
        if find(&table, b"GET", &path, &mut scratch).is_ok() {
            let mut last = 0;
            for capture in scratch.captures() {
                prop_assert!(last <= capture.start && capture.start <= capture.end);
                last = capture.end;
            }
            prop_assert!(last as usize <= path.len());
        }
    }
}

/// The worst a trie can be: each node has a literal and a `*` below it and the path goes with both. Each end is seen
/// once, the best first: templates in the order of their segments, literals before `*`.
#[test]
fn search_sees_each_of_many_ends_once_and_in_order() {
    let depth = 10;
    let templates: Vec<_> = (0..1 << depth)
        .map(|bits: u32| {
            (0..depth)
                .rev()
                .map(|at| if bits >> at & 1 == 0 { "/a" } else { "/*" })
                .collect::<String>()
        })
        .collect();
    let rules = templates
        .iter()
        .rev()
        .map(|text| (Template::parse(text).unwrap(), "GET"))
        .collect();
    let (table, _) = table(rules);
    let mut scratch = Scratch::default();
    let path = "/a".repeat(depth);
    let path = Path::split(path.as_bytes(), &mut scratch.path).unwrap();
    let mut seen = Vec::new();
    search::<()>(&table, &path, &mut |end| {
        seen.push(table.route(end.find(b"GET").unwrap()).template.to_string());
        None
    });
    assert_eq!(seen, templates);
}

#[test]
fn target_that_is_no_path_has_no_route() {
    let (table, _) = table(vec![(Template::parse("/**").unwrap(), "*")]);
    let mut scratch = Scratch::default();
    for path in ["", "*", "a/b"] {
        assert_eq!(
            find(&table, b"GET", path.as_bytes(), &mut scratch),
            Err(NoRoute::NotFound)
        );
        assert_eq!(allowed(&table, path.as_bytes(), &mut scratch).count(), 0);
    }
}
