//! Keys that list headers or methods: `request_headers`, `response_headers`, `timeouts`. In: a map of the file. Out: manners of the engine.
//! Always: a name that cannot be is refused with its line and why.

use std::time::Duration;

use transom_engine::exchange::{Limit, MethodTimeouts};
use transom_engine::grpc::header_lists::{BadName, HeaderLists};

use super::answers::{Answers, TIMEOUT_MS_MAX};
use super::maps::{self, Key};
use super::yaml::{Node, Wrong, cut};

const HEADER_LIST_KEYS: &[Key<HeaderLists>] = &[
    ("allow", |node, to| {
        to.allow_no_others();
        each_name(node, |name| to.allow(name))
    }),
    ("deny", |node, to| each_name(node, |name| to.deny(name))),
    ("rename", |node, to| {
        for entry in node.map("a map of names and new names, as in {x-user: user-id}")? {
            let new_name = entry.value.scalar("the name of a header")?;
            to.rename(&entry.key, new_name).map_err(|bad| {
                let names = format!("{} to {}", cut(&entry.key), cut(new_name));
                wrong_name(entry.line, &names, bad)
            })?;
        }
        Ok(())
    }),
];

const TIMEOUT_KEYS: &[Key<MethodTimeouts>] = &[
    ("default_ms", |node, to| {
        limit(node).map(|limit| to.default = limit)
    }),
    ("max_ms", |node, to| limit(node).map(|limit| to.max = limit)),
];

/// `request_headers` (SEMANTICS 129).
pub(super) fn request_headers(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let mut lists = HeaderLists::for_requests();
    maps::read(node, HEADER_LIST_KEYS, &mut lists)?;
    answers.manners.request_headers = Some(lists);
    Ok(())
}

/// `response_headers` (SEMANTICS 131).
pub(super) fn response_headers(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let mut lists = HeaderLists::for_responses();
    maps::read(node, HEADER_LIST_KEYS, &mut lists)?;
    answers.manners.response_headers = Some(lists);
    Ok(())
}

/// `timeouts` (SEMANTICS 133). Whether there are such methods is asked once there is a schema.
pub(super) fn timeouts(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let entries = node.map("a map")?.iter();
    let timeouts = entries.map(|entry| {
        let mut timeouts = MethodTimeouts {
            selector: entry.key.clone(),
            ..MethodTimeouts::default()
        };
        let read = maps::read(&entry.value, TIMEOUT_KEYS, &mut timeouts);
        read.map_err(|wrong| wrong.within(&entry.key))?;
        Ok(timeouts)
    });
    answers.manners.timeouts = timeouts.collect::<Result<_, _>>()?;
    Ok(())
}

fn each_name(node: &Node, mut add: impl FnMut(&str) -> Result<(), BadName>) -> Result<(), Wrong> {
    for item in node.list("a list of names of headers, as in [authorization, x-app-*]")? {
        let name = item.scalar("the name of a header")?;
        add(name).map_err(|bad| wrong_name(item.line, &cut(name), bad))?;
    }
    Ok(())
}

/// ``found `te`: this name never passes: ..``
fn wrong_name(line: usize, found: &str, bad: BadName) -> Wrong {
    Wrong {
        line,
        text: format!("found `{found}`: {bad}"),
    }
}

/// Milliseconds, or `none`.
fn limit(node: &Node) -> Result<Limit, Wrong> {
    let expected = format!("1 to {TIMEOUT_MS_MAX} or none");
    match node.scalar(&expected)? {
        "none" => Ok(Limit::Never),
        text => match text.parse() {
            Ok(millis @ 1..=TIMEOUT_MS_MAX) => {
                Ok(Limit::After(Duration::from_millis(u64::from(millis))))
            }
            _ => Err(node.wrong(expected)),
        },
    }
}
