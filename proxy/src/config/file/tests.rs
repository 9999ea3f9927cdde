use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use clap::CommandFactory as _;
use transom_engine::exchange::{Coding, Compression, CorsSettings, Limit};
use transom_engine::grpc::header_lists::HeaderLists;

use super::super::answers::{KEYS, Values};
use super::super::{CommandLine, JsonArgs};
use super::*;

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md")).unwrap()
}

/// Rows of all tables by the key in their first cell.
fn rows(page: &str) -> BTreeMap<&str, Vec<&str>> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, rest)| (key, rest.split('|').map(str::trim).skip(1).collect()))
        .collect()
}

fn read(name: &str, text: &str) -> Result<ConfigFile, Fault> {
    let path = std::env::temp_dir().join(format!("transom-{}-{name}.yaml", std::process::id()));
    fs::write(&path, text).unwrap();
    let read = ConfigFile::read(Some(&path));
    fs::remove_file(&path).unwrap();
    read
}

#[test]
fn page_of_configuration_has_each_key_and_no_other() {
    let page = page();
    let rows = rows(&page);
    let documented: Vec<_> = rows.keys().copied().collect();
    let mut known: Vec<_> = key_names().collect();
    known.sort_unstable();
    assert_eq!(documented, known);
    for key in KEYS {
        let values = rows[key.name][0];
        for word in key.expected().replace(" or ", ", ").split(", ") {
            assert!(
                values.contains(word),
                "{}: {word} is not in {values}",
                key.name
            );
        }
    }
}

/// A default is the value that changes nothing.
#[test]
fn page_of_configuration_has_the_defaults_of_each_profile() {
    let page = page();
    let rows = rows(&page);
    for (column, profile) in Profile::value_variants().iter().enumerate() {
        for key in KEYS {
            let found = rows[key.name][1 + column].trim_matches('`');
            let mut answers = profile.answers();
            let node = Node {
                line: 1,
                value: match found {
                    "[]" => Value::List(Vec::new()),
                    word => Value::Scalar(word.to_owned()),
                },
            };
            key.set(&node, &mut answers).unwrap();
            assert_eq!(answers, profile.answers(), "{} of {profile:?}", key.name);
        }
    }
}

#[test]
fn example_of_the_page_is_read_and_has_each_key() {
    let page = page();
    let example = page.split("```yaml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    // The file of rules that it names is the other example.
    let mut rules = page.split("    type: google.api.Service").nth(1).unwrap();
    rules = rules.split("\n\n").next().unwrap();
    let folder = std::env::temp_dir().join(format!("transom-example-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let rules = rules.replace("\n    ", "\n");
    fs::write(
        folder.join("rules.yaml"),
        format!("type: google.api.Service{rules}\n"),
    )
    .unwrap();
    fs::write(folder.join("transom.yaml"), example).unwrap();
    let file = ConfigFile::read(Some(&folder.join("transom.yaml"))).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let selectors: Vec<_> = file.rules().into_iter().map(|rule| rule.selector).collect();
    assert_eq!(
        selectors,
        [
            "shop.v1.Shop.GetItem",
            "shop.v1.Shop.CheckItem",
            "shop.v1.Shop.PutItem"
        ]
    );
    for name in key_names() {
        assert!(example.contains(&format!("{name}:")), "{name}");
    }
    assert_eq!(file.answers.len(), KEYS.len());
    assert_eq!(file.values.profile, Some(Profile::GrpcGateway));
    assert_eq!(file.values.workers.map(NonZeroUsize::get), Some(4));
    assert_eq!(file.values.pin_workers, Some(true));
    assert_eq!(file.values.upstream_connections, Some(4));
}

#[test]
fn each_option_of_a_command_that_takes_a_file_is_a_key() {
    // The body and the headers of one request to explain are no settings.
    let mut count = 0;
    for command in CommandLine::command().get_subcommands() {
        let names: Vec<_> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .collect();
        if !names.contains(&"config") {
            continue;
        }
        for name in names
            .iter()
            .filter(|name| !["config", "data", "header", "help"].contains(name))
        {
            let key = name.replace('-', "_");
            assert!(key_names().any(|known| known == key), "{key}");
            count += 1;
        }
    }
    assert!(count > 30, "{count} options");
}

/// Each word of each key by itself changes what it says and nothing else.
#[test]
fn file_wins_over_the_profile_and_a_flag_over_the_file() {
    for key in KEYS {
        let Values::Words(words) = key.values else {
            continue;
        };
        for (word, set) in words {
            let text = format!("{}: {word}\nprofile: envoy\n", key.name);
            let file = read(key.name, &text).unwrap();
            let mut expected = Profile::Envoy.answers();
            set(&mut expected);
            assert_eq!(JsonArgs::default().answers(&file), expected, "{text}");
        }
    }
    let file = read("over", "profile: envoy\njson_names: proto\n").unwrap();
    let text = "query_ignored_keys: [a, b]\nquery_captured_by: extra\njson_indent: 3\ntimeout_default_ms: 1500\ntimeout_max_ms: 99999999\n";
    let answers = JsonArgs::default().answers(&read("lists", text).unwrap());
    let manners = &answers.manners;
    assert_eq!(manners.timeout_default, Some(Duration::from_millis(1500)));
    assert_eq!(manners.timeout_max, Some(Duration::from_millis(99_999_999)));
    assert_eq!(answers.manners.query.ignored_keys, ["a", "b"]);
    assert_eq!(answers.manners.query.captured_by.as_deref(), Some("extra"));
    assert_eq!(answers.options.indent, Some(3));
    let flags = JsonArgs {
        profile: Some(Profile::GrpcGateway),
        json_names: Some(super::super::JsonNames::Json),
        ..JsonArgs::default()
    };
    assert_eq!(flags.answers(&file), Profile::GrpcGateway.answers());
}

#[test]
fn example_of_each_map_on_the_page_is_read() {
    let page = page();
    let example = page.split("## Keys that are maps\n\n").nth(1).unwrap();
    let example = example.split("\n\n").next().unwrap();
    let text = example.replace("\n    ", "\n");
    let file = read("maps", text.trim_start()).unwrap();
    let answers = JsonArgs::default().answers(&file);
    let manners = answers.manners;
    let statuses: Vec<_> = manners
        .success_statuses
        .iter()
        .map(|each| (&*each.rpc, each.status))
        .collect();
    assert_eq!(statuses, [("shop.v1.Shop.CreateItem", 201)]);
    let limits: Vec<_> = manners
        .timeouts
        .iter()
        .map(|each| (&*each.selector, each.default, each.max))
        .collect();
    let after = |seconds| Limit::After(Duration::from_secs(seconds));
    assert_eq!(
        limits,
        [
            ("shop.v1.*", after(5), Limit::Inherited),
            ("shop.v1.Shop.ExportItems", Limit::Never, after(600)),
        ]
    );
    let mut lists = HeaderLists::for_requests();
    for allowed in ["authorization", "x-shop-*"] {
        lists.allow(allowed).unwrap();
    }
    lists.deny("x-shop-internal-*").unwrap();
    lists.rename("x-user", "user-id").unwrap();
    assert_eq!(manners.request_headers, Some(lists));
    let mut lists = HeaderLists::for_responses();
    lists.deny("x-debug-*").unwrap();
    lists.rename("revision", "etag").unwrap();
    assert_eq!(manners.response_headers, Some(lists));
    let cors = manners.cors.unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let expected = CorsSettings {
        origins: texts(&[
            "https://shop.example",
            "https://*.shop.example",
            "http://localhost:3000",
        ]),
        origin_patterns: texts(&["https://pr-[0-9]+\\.preview\\.example"]),
        allow_credentials: true,
        allow_headers: texts(&["authorization", "content-type"]),
        expose_headers: texts(&["etag", "grpc-metadata-request-id"]),
        max_age_seconds: Some(600),
    };
    assert_eq!(cors.settings(), &expected);
    let expected = Compression {
        len_min: 1024,
        codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        content_types: texts(&["application/json"]),
    };
    assert_eq!(manners.compression, Some(expected));
}

#[test]
fn maps_take_both_ends_of_their_ranges_and_what_is_left_out_is_the_default() {
    let manners = |text: &str| {
        let file = read("ranges", text).unwrap();
        JsonArgs::default().answers(&file).manners
    };
    assert_eq!(
        manners("compression: {}").compression,
        Some(Compression::default())
    );
    assert_eq!(manners("compression: none").compression, None);
    for len_min in [0, 4_194_304] {
        let compression = manners(&format!("compression: {{from: {len_min}}}")).compression;
        assert_eq!(compression.unwrap().len_min, len_min);
    }
    for age in [0, 86_400] {
        let cors = manners(&format!("cors: {{origins: ['*'], max_age_seconds: {age}}}")).cors;
        assert_eq!(cors.unwrap().settings().max_age_seconds, Some(age));
    }
    for status in [200, 299] {
        let statuses = manners(&format!("success_statuses: {{a.S.M: {status}}}"));
        assert_eq!(statuses.success_statuses[0].status, status);
    }
    for millis in [1, 99_999_999] {
        let limits = manners(&format!("timeouts: {{'*': {{max_ms: {millis}}}}}"));
        let expected = Limit::After(Duration::from_millis(millis));
        assert_eq!(limits.timeouts[0].max, expected);
        assert_eq!(limits.timeouts[0].default, Limit::Inherited);
    }
    let mut none = HeaderLists::for_requests();
    assert_eq!(
        manners("request_headers: {}").request_headers,
        Some(none.clone())
    );
    none.allow_no_others();
    let lists = manners("request_headers: {allow: []}").request_headers;
    assert_eq!(lists, Some(none));
    let json = manners("compression: {codings: [deflate], content_types: [text/plain]}");
    let compression = json.compression.unwrap();
    assert_eq!(compression.codings, [Coding::Deflate]);
    assert_eq!(compression.content_types, ["text/plain"]);
}

#[test]
fn wrong_map_is_refused_with_line_key_and_what_was_expected() {
    for (text, line, words) in [
        ("cors: on", 1, "cors: found `on`; expected a map or none"),
        (
            "cors: {}",
            1,
            "cors: no origin is let in; give origins or origin_patterns",
        ),
        (
            "cors:\n  origin: ['*']",
            2,
            "cors: origin: there is no such key; did you mean origins?",
        ),
        (
            "cors:\n  origins: https://a.example",
            2,
            "cors: origins: found `https://a.example`; expected a list of texts",
        ),
        (
            "cors:\n  origins:\n    - https://a.example\n    - https://a.example/\n",
            4,
            "cors: origins: found `https://a.example/`; expected *, null, or a scheme and a host",
        ),
        (
            "cors:\n  origin_patterns: ['(']",
            2,
            "cors: origin_patterns: found `(`; expected a regular expression",
        ),
        (
            "cors:\n  origins: ['*']\n  allow_headers: [x y]",
            3,
            "cors: allow_headers: found `x y`; expected the name of a header",
        ),
        (
            "cors:\n  origins: ['*']\n  expose_headers: ['']",
            3,
            "cors: expose_headers: found ``; expected the name of a header",
        ),
        (
            "cors:\n  origins: ['*']\n  allow_credentials: true",
            2,
            "cors: the origin * and allow_credentials exclude each other; list the origins",
        ),
        (
            "cors: {origins: ['*'], allow_credentials: yes}",
            1,
            "cors: allow_credentials: found `yes`; expected true or false",
        ),
        (
            "cors: {origins: ['*'], max_age_seconds: 86401}",
            1,
            "cors: max_age_seconds: found `86401`; expected 0 to 86400",
        ),
        (
            "compression:\n  from: -1",
            2,
            "compression: from: found `-1`; expected 0 to 67108864",
        ),
        ("compression: {from: 67108865}", 1, "expected 0 to 67108864"),
        (
            "compression: {codings: [gzip, lzma]}",
            1,
            "compression: codings: found `lzma`; expected zstd, br, gzip or deflate",
        ),
        (
            "compression: {content_types: [json]}",
            1,
            "compression: content_types: found `json`; expected a content type without parameters",
        ),
        (
            "compression: {content_types: ['text/plain; charset=utf-8']}",
            1,
            "expected a content type without parameters",
        ),
        (
            "success_statuses: [201]",
            1,
            "found a list; expected a map or none",
        ),
        (
            "success_statuses:\n  a.S.M: 300",
            2,
            "success_statuses: a.S.M: found `300`; expected 200 to 299",
        ),
        ("success_statuses: {a.S.M: 199}", 1, "expected 200 to 299"),
        (
            "request_headers:\n  allow:\n    - x-a\n    - Grpc-Timeout",
            4,
            "request_headers: allow: found `Grpc-Timeout`: this name never passes",
        ),
        (
            "request_headers: {deny: x}",
            1,
            "request_headers: deny: found `x`; expected a list of names of headers",
        ),
        (
            "request_headers: {deny: ['a b']}",
            1,
            "deny: found `a b`: expected the name of a header",
        ),
        (
            "request_headers:\n  rename:\n    x-a: x-b\n    X-A: x-c",
            4,
            "rename: found `X-A to x-c`: the header has another new name already",
        ),
        (
            "response_headers: {rename: {x: date}}",
            1,
            "response_headers: rename: found `x to date`: this name is written by the gateway itself",
        ),
        (
            "response_headers: {renames: {}}",
            1,
            "renames: there is no such key; did you mean rename?",
        ),
        (
            "timeouts:\n  a.S.M:\n    max_ms: 0",
            3,
            "timeouts: a.S.M: max_ms: found `0`; expected 1 to 99999999 or none",
        ),
        (
            "timeouts: {a.S.M: 5}",
            1,
            "a.S.M: found `5`; expected a map",
        ),
    ] {
        let fault = read("wrong-map", text).unwrap_err();
        assert!(fault.text.contains(words), "{text}: {fault}");
        let place = format!(".yaml:{line}");
        assert!(fault.place.ends_with(&place), "{text}: {fault}");
    }
}

#[test]
fn wrong_file_is_refused_with_line_key_and_what_was_expected() {
    for (text, line, words) in [
        (
            "json_name: json",
            1,
            "json_name: there is no such key; did you mean json_names?",
        ),
        ("\njson-names: json", 2, "did you mean json_names?"),
        (
            "surfboard: 1",
            1,
            "there is no such key; expected upstream, ",
        ),
        (
            "json_names: jsn",
            1,
            "json_names: found `jsn`; expected json or proto",
        ),
        (
            "json_names:\n  - json",
            2,
            "json_names: found a list; expected json or proto",
        ),
        (
            "json_names:",
            1,
            "json_names: found nothing; expected json or proto",
        ),
        (
            "json_indent: 17",
            1,
            "json_indent: found `17`; expected 0 to 16 or none",
        ),
        ("json_indent: -1", 1, "expected 0 to 16"),
        (
            "query_ignored_keys: key",
            1,
            "found `key`; expected a list of texts",
        ),
        (
            "query_ignored_keys: [[a]]",
            1,
            "found a list; expected text",
        ),
        ("query_captured_by: ''", 1, "expected a name or none"),
        (
            "profile: nginx",
            1,
            "expected transom, grpc-gateway, grpc-gateway-v1 or envoy",
        ),
        (
            "listen: :8080",
            1,
            "listen: found `:8080`; expected an IP address",
        ),
        (
            "workers: 0",
            1,
            "workers: found `0`; expected a number of threads, 1 or more",
        ),
        ("workers: many", 1, "1 or more"),
        (
            "pin_workers: 1",
            1,
            "pin_workers: found `1`; expected true or false",
        ),
        (
            "upstream_connections: 0",
            1,
            "upstream_connections: found `0`; expected a number of connections, 1 to 64",
        ),
        ("upstream_connections: 65", 1, "1 to 64"),
        ("upstream_connections: many", 1, "1 to 64"),
        ("io: kqueue", 1, "expected auto, uring or epoll"),
        (
            "upstream_codec: quic",
            1,
            "upstream_codec: found `quic`; expected h2 or transom",
        ),
        ("upstream: localhost:1", 1, "http://host:port"),
        ("upstream: https://localhost:1", 1, "TLS"),
        (
            "proto: {a: b}",
            1,
            "proto: found a map; expected a path or a list of paths",
        ),
        ("proto: [a.proto, [b]]", 1, "found a list; expected a path"),
        (
            "json: maybe",
            1,
            "json: found `maybe`; expected true or false",
        ),
        ("- a", 1, "found a list; expected keys and values"),
        ("a: [", 2, "not YAML"),
    ] {
        let fault = read("wrong", text).unwrap_err();
        assert!(fault.text.contains(words), "{text}: {fault}");
        assert!(
            fault.place.ends_with(&format!(".yaml:{line}")),
            "{text}: {fault}"
        );
    }
    let fault = ConfigFile::read(Some(Path::new("no/such.yaml"))).unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("no/such.yaml: cannot read it: "),
        "{fault}"
    );
}

#[test]
fn paths_are_taken_from_the_folder_of_the_file() {
    let file = read("paths", "proto: a.proto\nproto_path: [b, /c]").unwrap();
    let folder = std::env::temp_dir();
    assert_eq!(file.values.proto, [folder.join("a.proto")]);
    assert_eq!(
        file.values.proto_path,
        [folder.join("b"), PathBuf::from("/c")]
    );
}
