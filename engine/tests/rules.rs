//! Rules by the cases of `cases/rules`: annotations and rules from outside, what becomes of them, and what is said of those that cannot be.
//! Goal: which rule has which route does not depend on luck, and every bad one is named. Method: one message, and a method for each annotation.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

#[path = "support/texts.rs"]
mod texts;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use transom_engine::{BadRules, HttpRule, Options, SameRequests, Schema};

/// Methods in the order of their names, each with its annotation.
fn descriptors(case: &Value) -> Vec<u8> {
    let mut rpcs = String::new();
    for (name, rule) in case["methods"].as_object().unwrap() {
        let rule = rule.as_str().unwrap();
        let option = if rule.is_empty() {
            String::new()
        } else {
            format!("option (google.api.http) = {{ {rule} }};")
        };
        let input = if name.starts_with("Many") {
            "Many"
        } else {
            "In"
        };
        let stream = if name.starts_with("Watch") {
            "stream"
        } else {
            ""
        };
        writeln!(
            rpcs,
            "rpc {name}({input}) returns ({stream} In) {{ {option} }}"
        )
        .unwrap();
    }
    let text = format!(
        r#"syntax = "proto3";
        package a;
        import "google/api/annotations.proto";
        message In {{ string name = 1; In sub = 2; repeated string list = 3; }}
        message Many {{ string name = 1; repeated In subs = 2; map<string, In> map = 3; }}
        service S {{ {rpcs} }}"#
    );
    texts::compile(&[("a.proto", &text)], true)
}

fn rules(value: &Value) -> Vec<HttpRule> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rule = |rule: &Value| {
        let pattern = text(&rule["rule"]);
        let (http_method, template) = pattern.split_once(' ').unwrap_or_default();
        HttpRule {
            selector: text(&rule["selector"]),
            http_method: http_method.to_owned(),
            template: template.to_owned(),
            body: text(&rule["body"]),
            response_body: text(&rule["response_body"]),
            additional_bindings: rules(&rule["additional_bindings"]),
            place: text(&rule["place"]),
        }
    };
    value.as_array().into_iter().flatten().map(rule).collect()
}

fn options(case: &Value) -> Options {
    let mut options = Options::default();
    for option in case["options"].as_array().into_iter().flatten() {
        match option.as_str().unwrap() {
            "skip" => options.bad_rules = BadRules::Skip,
            "last wins" => options.same_requests = SameRequests::LastWins,
            other => panic!("no option {other}"),
        }
    }
    options
}

/// `GET /path method`, in order, without the paths of methods.
fn routes(schema: &Schema) -> Vec<String> {
    let routes = schema.routes().map(|route| {
        let method = route.method().full_name().trim_start_matches("a.S.");
        format!("{} {} {method}", route.http_method(), route.template())
    });
    routes.filter(|route| !route.contains(" /a.S/")).collect()
}

fn check(case: &Value) {
    let name = &case["name"];
    let compiled =
        Schema::compile_with_rules(&descriptors(case), &options(case), &rules(&case["rules"]));
    let schema = match (compiled, case["refused"].as_str()) {
        (Ok(schema), None) => schema,
        (Err(error), Some(words)) => return assert_eq!(error.to_string(), words, "{name}"),
        (Ok(schema), Some(_)) => panic!("{name}: is not refused: {:?}", routes(&schema)),
        (Err(error), None) => panic!("{name}: {error}"),
    };
    assert_eq!(routes(&schema), texts(&case["routes"]), "{name}");
    let found: Vec<_> = schema.findings().iter().map(ToString::to_string).collect();
    assert_eq!(found, texts(&case["findings"]), "{name}");
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap()).collect()
}

fn check_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/rules")
        .join(name);
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.iter().for_each(check);
}

/// Each finding of a lint as `severity place: text`.
#[test]
fn lint_tells_what_is_legal_and_most_likely_not_meant() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/rules/lint.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let options = options(case);
        let (_, findings) =
            Schema::lint(&descriptors(case), &options, &rules(&case["rules"])).unwrap();
        let found: Vec<_> = findings
            .iter()
            .map(|finding| format!("{:?} {finding}", finding.severity(&options)))
            .collect();
        assert_eq!(found, texts(&case["findings"]), "{}", case["name"]);
    }
}

#[test]
fn rules_from_outside_replace_annotations() {
    check_file("outside.json");
}

#[test]
fn bad_rules_do_not_stop_the_others() {
    check_file("bad.json");
}

#[test]
fn paths_and_bodies_of_rules_are_what_they_may_be() {
    check_file("templates.json");
}

#[test]
fn rules_that_take_the_same_requests_are_refused_or_the_last_wins() {
    check_file("same.json");
}
