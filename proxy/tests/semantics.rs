//! Each numbered line of docs/MAPPING.md has a case or a test that carries its number.
//!
//! Goal: a line that nobody tests any more is noticed, and how many have how much is a figure that anybody can print. Method: names are
//! read, not run: `s71 a name` and `SEMANTICS 15, 19: a name` of a case, `74-patch-masks.json` of a file of cases, `s137_a_name` of a test
//! function. What the cases say is held by the tests that run them.
//!
//!     cargo test -p transom --test semantics -- --nocapture
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Rules, paths, queries and bodies; statuses and errors; headers, metadata and deadlines.
const LINES: [RangeInclusive<u32>; 3] = [1..=76, 109..=119, 129..=138];

/// What every call carries is one fact, not a table of cases.
const BY_FUNCTIONS_ALONE: [u32; 1] = [134];

/// What carries a number.
#[derive(Default)]
struct Evidence {
    cases: BTreeSet<String>,
    functions: BTreeSet<String>,
}

#[test]
fn each_line_has_a_case_or_a_test_that_carries_its_number() {
    let evidence = collect();
    let lines: Vec<u32> = LINES.into_iter().flatten().collect();
    let none = Evidence::default();
    let of = |line: &u32| evidence.get(line).unwrap_or(&none);
    let lacking = |lines: &[u32], is_there: fn(&Evidence) -> bool| -> Vec<u32> {
        let lines = lines.iter().copied();
        lines.filter(|line| !is_there(of(line))).collect()
    };
    let with_nothing = lacking(&lines, |line| {
        !line.cases.is_empty() || !line.functions.is_empty()
    });
    let without_cases = lacking(&lines, |line| !line.cases.is_empty());
    let case_count: usize = lines.iter().map(|line| of(line).cases.len()).sum();
    println!(
        "{} of {} lines have a case or a test of their number; {} of them cases in data, {case_count} in all; fewest:",
        lines.len() - with_nothing.len(),
        lines.len(),
        lines.len() - without_cases.len(),
    );
    let mut few = lines;
    few.sort_by_key(|line| of(line).cases.len());
    for line in few.iter().take(12) {
        let names = of(line).cases.iter().chain(&of(line).functions);
        let names: Vec<_> = names.map(String::as_str).take(2).collect();
        println!("{line:>4}: {}", names.join("; "));
    }
    assert_eq!(with_nothing, [0; 0], "lines without a case or a test");
    assert_eq!(without_cases, BY_FUNCTIONS_ALONE, "lines without a case");
}

#[test]
fn numbers_are_read_where_a_name_begins_and_nowhere_else() {
    for (name, numbers) in [
        ("s71 raw", &[71][..]),
        ("s10 s14 two", &[10, 14]),
        ("s14a default routes", &[14]),
        ("SEMANTICS 15, 19: captures", &[15, 19]),
        ("SEMANTICS 14a: a path", &[14]),
        ("s1", &[]),
        ("5 is an int32", &[]),
        ("1s", &[]),
        ("shelves/7", &[]),
        ("as s71 is", &[]),
    ] {
        assert_eq!(numbers_of(name), numbers, "{name}");
    }
}

fn collect() -> BTreeMap<u32, Evidence> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut evidence: BTreeMap<u32, Evidence> = BTreeMap::new();
    let folders = ["engine/tests/cases", "proxy/tests/cases"].map(|folder| root.join(folder));
    let requests = root.join("proxy/tests/differential/requests.json");
    let paths = folders.iter().flat_map(|folder| files(folder, "json"));
    for path in paths.chain([requests]) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let of_file = file
            .split_once('-')
            .and_then(|(number, _)| number.parse().ok());
        let mut names = Vec::new();
        each_name(&serde_json::from_str(&text).unwrap(), &mut names);
        for name in names {
            for number in numbers_of(&name).into_iter().chain(of_file) {
                let cases = &mut evidence.entry(number).or_default().cases;
                cases.insert(format!("{file}: {name}"));
            }
        }
    }
    for folder in ["engine/src", "engine/tests", "proxy/src", "proxy/tests"] {
        for path in files(&root.join(folder), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix("fn "));
            for name in names.filter_map(|rest| rest.strip_suffix("() {")) {
                for number in numbers_of(&name.replacen('_', " ", 2)) {
                    let functions = &mut evidence.entry(number).or_default().functions;
                    functions.insert(name.to_owned());
                }
            }
        }
    }
    evidence
}

/// All files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    found
}

/// What stands under `name` and `case`, however deep.
fn each_name(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_name(item, names)),
        Value::Object(members) => {
            let own = ["name", "case"]
                .into_iter()
                .filter_map(|key| members.get(key));
            names.extend(own.filter_map(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| each_name(member, names));
        }
        _ => {}
    }
}

/// The lines that a name begins with.
fn numbers_of(name: &str) -> Vec<u32> {
    // 14a is a line of its own beside 14, and counts as it.
    let number = |text: &str| text.trim_end_matches('a').parse().ok();
    if let Some((list, _)) = name
        .strip_prefix("SEMANTICS ")
        .and_then(|rest| rest.split_once(':'))
    {
        return list.split(", ").filter_map(number).collect();
    }
    let mut words: Vec<_> = name.split(' ').collect();
    // A number alone is no name.
    words.pop();
    let numbers = words
        .iter()
        .map(|word| word.strip_prefix('s').and_then(number));
    numbers.map_while(|number| number).collect()
}
