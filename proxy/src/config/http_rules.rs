//! HTTP rules in YAML (SEMANTICS 8), as grpc-gateway's gRPC API configuration and Google's service configuration have them. In: a node, or a file.
//! Out: rules of the engine. Always: each rule and binding knows its file and line; what a rule cannot have is refused.
//!
//! ```yaml
//! type: google.api.Service
//! config_version: 3
//! http:
//!   rules:
//!     - selector: shop.v1.Shop.GetItem
//!       get: /v1/{name=items/*}
//! ```

use std::path::Path;

use transom_engine::HttpRule;

use super::file::unknown;
use super::yaml::{self, Entry, Fault, Node, Wrong, cut};

/// The rules of a service configuration. Other top-level keys are another program's.
pub(super) fn read(path: &Path) -> Result<Vec<HttpRule>, Fault> {
    let root = yaml::read(path)?;
    let fault = |wrong: Wrong| Fault {
        place: format!("{}:{}", path.display(), wrong.line),
        text: wrong.text,
    };
    let mut rules = Vec::new();
    let entries = root
        .map("a service configuration, with `http:`")
        .map_err(fault)?;
    for entry in entries {
        service_key(entry, path, &mut rules).map_err(|wrong| fault(wrong.within(&entry.key)))?;
    }
    if !entries.iter().any(|entry| entry.key == "http") {
        return Err(Fault {
            place: path.display().to_string(),
            text: "it has no `http:`; expected a service configuration with rules".to_owned(),
        });
    }
    Ok(rules)
}

fn service_key(entry: &Entry, path: &Path, rules: &mut Vec<HttpRule>) -> Result<(), Wrong> {
    let node = &entry.value;
    match entry.key.as_str() {
        "http" => *rules = http(node, path)?,
        "type" if node.scalar("google.api.Service")? != "google.api.Service" => {
            return Err(node.wrong("google.api.Service"));
        }
        "config_version" | "configVersion" if node.scalar("3")? != "3" => {
            return Err(node.wrong("3"));
        }
        _ => {}
    }
    Ok(())
}

/// `google.api.Http`
pub(super) fn http(node: &Node, path: &Path) -> Result<Vec<HttpRule>, Wrong> {
    let mut rules = Vec::new();
    for entry in node.map("a map with `rules:`")? {
        match entry.key.as_str() {
            "rules" => {
                for item in entry.value.list("a list of rules")? {
                    rules.push(rule(item, path, Level::Outer)?);
                }
            }
            // The slash of captures of several segments stays escaped here, whatever a gateway elsewhere does.
            "fully_decode_reserved_expansion" | "fullyDecodeReservedExpansion" => {
                if entry.value.scalar("false")? != "false" {
                    return Err(entry
                        .value
                        .wrong("false; Transom does not decode `%2F` there")
                        .within(&entry.key));
                }
            }
            name => return Err(no_such_key(entry, name, &["rules"])),
        }
    }
    Ok(rules)
}

/// Whether a rule stands by itself or among the additional bindings of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    Additional,
}

const RULE_KEYS: [&str; 10] = [
    "selector",
    "get",
    "put",
    "post",
    "delete",
    "patch",
    "custom",
    "body",
    "response_body",
    "additional_bindings",
];

/// `google.api.HttpRule`
fn rule(node: &Node, path: &Path, level: Level) -> Result<HttpRule, Wrong> {
    let mut rule = HttpRule {
        place: format!("{}:{}", path.display(), node.line),
        ..HttpRule::default()
    };
    let mut pattern: Option<&str> = None;
    for entry in node.map("a rule, as in `{selector: a.B.C, get: /v1/c}`")? {
        let (key, value) = (entry.key.as_str(), &entry.value);
        let text = || value.scalar("text").map(str::to_owned);
        match key {
            "selector" => rule.selector = text()?,
            "get" | "put" | "post" | "delete" | "patch" | "custom" => {
                if let Some(first) = pattern.replace(key) {
                    return Err(Wrong {
                        line: entry.line,
                        text: format!(
                            "{key}: the rule has `{first}` already; expected one of them"
                        ),
                    });
                }
                if key == "custom" {
                    (rule.http_method, rule.template) = custom(value)?;
                } else {
                    rule.http_method = key.to_uppercase();
                    rule.template = text()?;
                }
            }
            "body" => rule.body = text()?,
            "response_body" | "responseBody" => rule.response_body = text()?,
            // The engine refuses those inside of others (SEMANTICS 7), so this need not look further in.
            "additional_bindings" | "additionalBindings" if level == Level::Additional => {
                rule.additional_bindings.push(HttpRule::default());
            }
            "additional_bindings" | "additionalBindings" => {
                for item in value.list("a list of rules")? {
                    let binding = self::rule(item, path, Level::Additional)?;
                    rule.additional_bindings.push(binding);
                }
            }
            name => return Err(no_such_key(entry, name, &RULE_KEYS)),
        }
    }
    if level == Level::Outer && rule.selector.is_empty() {
        return Err(Wrong {
            line: node.line,
            text: "the rule has no selector; expected the full name of a method".to_owned(),
        });
    }
    Ok(rule)
}

/// `google.api.CustomHttpPattern`
fn custom(node: &Node) -> Result<(String, String), Wrong> {
    const EXPECTED: &str = "`{kind: HEAD, path: /v1/a}`";
    let (mut kind, mut path) = (String::new(), String::new());
    for entry in node.map(EXPECTED)? {
        let value = entry.value.scalar(EXPECTED)?.to_owned();
        match entry.key.as_str() {
            "kind" => kind = value,
            "path" => path = value,
            name => return Err(no_such_key(entry, name, &["kind", "path"])),
        }
    }
    if kind.is_empty() || path.is_empty() {
        return Err(node.wrong(EXPECTED));
    }
    Ok((kind, path))
}

fn no_such_key(entry: &Entry, name: &str, known: &[&str]) -> Wrong {
    Wrong {
        line: entry.line,
        text: format!("{}: {}", cut(name), unknown(name, known)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parse(text: &str) -> Result<Vec<HttpRule>, String> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("transom-rules-{}-{number}.yaml", std::process::id());
        let path = std::env::temp_dir().join(&name);
        fs::write(&path, text).unwrap();
        let folder = std::env::temp_dir().join("").display().to_string();
        let short = |text: &str| text.replace(&folder, "").replace(&name, "r.yaml");
        let read = read(&path);
        fs::remove_file(&path).unwrap();
        read.map_err(|fault| short(&fault.to_string()))
            .map(|mut rules| {
                for rule in &mut rules {
                    rule.place = short(&rule.place);
                    for binding in &mut rule.additional_bindings {
                        binding.place = short(&binding.place);
                    }
                }
                rules
            })
    }

    /// As the documentation of grpc-gateway and of ESPv2 write them, other keys of a service configuration included.
    #[test]
    fn service_configuration_is_read_as_others_read_it() {
        let rules = parse(
            "type: google.api.Service\nconfig_version: 3\nname: shop.example.com\napis:\n- name: shop.Shop\n\
            http:\n  fully_decode_reserved_expansion: false\n  rules:\n  - selector: shop.Shop.Get\n    get: /v1/{name=items/*}\n    additional_bindings:\n    - custom: {kind: HEAD, path: /v1/head}\n      response_body: item\n  \
            - selector: shop.Shop.Put\n    put: \"/v1/items\"\n    body: \"*\"\nbackend: {rules: [{selector: '*'}]}\n",
        )
        .unwrap();
        let text = |text: &str| text.to_owned();
        let get = HttpRule {
            selector: text("shop.Shop.Get"),
            http_method: text("GET"),
            template: text("/v1/{name=items/*}"),
            place: text("r.yaml:9"),
            additional_bindings: vec![HttpRule {
                http_method: text("HEAD"),
                template: text("/v1/head"),
                response_body: text("item"),
                place: text("r.yaml:12"),
                ..HttpRule::default()
            }],
            ..HttpRule::default()
        };
        let put = HttpRule {
            selector: text("shop.Shop.Put"),
            http_method: text("PUT"),
            template: text("/v1/items"),
            body: text("*"),
            place: text("r.yaml:14"),
            ..HttpRule::default()
        };
        assert_eq!(rules, [get, put]);
    }

    #[test]
    fn wrong_rule_is_refused_with_its_line() {
        for (rule, words) in [
            ("- get: /v1", "r.yaml:3: http: the rule has no selector"),
            (
                "- selector: a.B.C\n    gte: /v1",
                "r.yaml:4: http: gte: there is no such key; did you mean get?",
            ),
            (
                "- selector: a.B.C\n    get: /v1\n    put: /v2",
                "r.yaml:5: http: put: the rule has `get` already",
            ),
            (
                "- selector: a.B.C\n    get: [/v1]",
                "r.yaml:4: http: found a list; expected text",
            ),
            (
                "- selector: a.B.C\n    custom: {kind: HEAD}",
                "r.yaml:4: http: found a map; expected `{kind: HEAD, path: /v1/a}`",
            ),
            (
                "- selector: a.B.C\n    custom: {kin: HEAD}",
                "r.yaml:4: http: kin: there is no such key; did you mean kind?",
            ),
            (
                "- selector: a.B.C\n    additional_bindings: {get: /v1}",
                "expected a list of rules",
            ),
            ("- a", "r.yaml:3: http: found `a`; expected a rule"),
        ] {
            let fault = parse(&format!("http:\n  rules:\n  {rule}\n")).unwrap_err();
            assert!(fault.contains(words), "{rule}: {fault}");
        }
        for (text, words) in [
            (
                "http: {rule: []}",
                "r.yaml:1: http: rule: there is no such key; did you mean rules?",
            ),
            (
                "http: {fully_decode_reserved_expansion: true}",
                "found `true`; expected false",
            ),
            (
                "type: google.api.Servis\nhttp: {}",
                "r.yaml:1: type: found `google.api.Servis`; expected google.api.Service",
            ),
            (
                "config_version: 2\nhttp: {}",
                "config_version: found `2`; expected 3",
            ),
            ("http: {rules: a}", "expected a list of rules"),
            ("a: b", "r.yaml: it has no `http:`"),
            ("- a", "expected a service configuration"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }
}
