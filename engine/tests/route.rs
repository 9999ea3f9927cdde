//! Routes by the cases of `cases/route`: each file is a set of rules and requests to them. Every set is tried with its
//! rules in their order and turned round, since the order must not count (SEMANTICS 40).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test may panic, in its helpers too"
)]

#[path = "support/texts.rs"]
mod texts;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use transom_engine::route::{NoRoute, Scratch};
use transom_engine::{Options, Schema};

fn schema(rules: &[&str], options: &Options) -> Schema {
    let mut rpcs = String::new();
    for (index, rule) in rules.iter().enumerate() {
        let (http_method, template) = rule.split_once(' ').unwrap();
        writeln!(
            rpcs,
            r#"rpc M{index}(Request) returns (Request) {{ option (google.api.http) = {{ custom: {{ kind: "{http_method}" path: "{template}" }} }}; }}"#
        )
        .unwrap();
    }
    let text = format!(
        r#"syntax = "proto3";
        package test;
        import "google/api/annotations.proto";
        message Request {{ string name = 1; string other = 2; }}
        service Service {{ {rpcs} }}"#
    );
    Schema::compile(&texts::compile(&[("test.proto", &text)], true), options).unwrap()
}

fn check(schema: &Schema, case: &Value, scratch: &mut Scratch) {
    let name = &case["name"];
    let (http_method, path) = case["request"].as_str().unwrap().split_once(' ').unwrap();
    let found = schema.find_route(http_method.as_bytes(), path.as_bytes(), scratch);
    match (found, case["error"].as_str()) {
        (Ok(route), None) => {
            let captures: Vec<_> = scratch
                .captures()
                .iter()
                .map(|range| &path[range.start as usize..range.end as usize])
                .collect();
            let expected: Vec<_> = case["captures"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|capture| capture.as_str().unwrap())
                .collect();
            let text = format!("{} {}", route.http_method(), route.template());
            assert_eq!(Some(text.as_str()), case["route"].as_str(), "{name}");
            assert_eq!(captures, expected, "{name}");
            assert_eq!(captures.len(), route.variables().len(), "{name}");
        }
        (Err(NoRoute::NotFound), Some("NotFound"))
        | (Err(NoRoute::MethodNotAllowed), Some("MethodNotAllowed")) => {}
        (found, expected) => panic!(
            "{name}: found {:?}, expected error {expected:?}",
            found.map(|route| route.template().to_owned())
        ),
    }
    if let Some(expected) = case["allowed"].as_array() {
        let mut allowed: Vec<_> = schema.allowed_methods(path.as_bytes(), scratch).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, *expected, "{name}");
    }
}

fn check_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/route")
        .join(name);
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut rules: Vec<_> = file["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule.as_str().unwrap())
        .collect();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    let options = Options {
        ignore_trailing_slash: file["ignore_trailing_slash"] == true,
        ..Options::default()
    };
    let mut scratch = Scratch::default();
    for _ in 0..2 {
        let schema = schema(&rules, &options);
        for case in cases {
            check(&schema, case, &mut scratch);
        }
        rules.reverse();
    }
}

#[test]
fn paths_match_as_specified() {
    check_file("paths.json");
}

#[test]
fn slash_at_the_end_is_overlooked_if_it_is_to() {
    check_file("trailing_slash.json");
}

#[test]
fn literals_are_compared_in_normal_form() {
    check_file("literals.json");
}

#[test]
fn better_template_wins_in_any_order() {
    check_file("precedence.json");
}

#[test]
fn methods_match_as_specified() {
    check_file("methods.json");
}
