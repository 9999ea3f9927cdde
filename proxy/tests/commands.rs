//! The commands as users type them: what they print, how they end, and what they say when something is wrong.
//!
//! Goal: scripts can rely on output and exit code (0 done, 1 the input is at fault, 2 wrong usage), people on the words. Method: the
//! program itself, with the bookstore's proto file.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::gateway::{Gateway, program};
use support::http::request;
use support::tools::scratch_folder;

const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
const EVERY_KIND: &str = "bookstore.v1.EveryKind";

struct Output {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Output {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.text(), self.stderr))
    }

    fn assert_done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// It failed, and said these words, with nothing on standard output.
    fn assert_failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stdout.is_empty(), "{}", self.text());
        for words in words {
            assert!(
                self.stderr.contains(words),
                "expected {words:?} in: {}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panick"), "{}", self.stderr);
    }
}

fn run(arguments: &[&str]) -> Output {
    run_with(arguments, Path::new("/dev/null"))
}

fn run_with(arguments: &[&str], stdin: &Path) -> Output {
    let output = Command::new(program())
        .args(arguments)
        .stdin(File::open(stdin).unwrap())
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    Output {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The command with the bookstore's schema.
fn with_bookstore(arguments: &[&str]) -> Output {
    run(&with_schema(arguments))
}

fn with_schema<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    const PROTO: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../protos/example/bookstore.proto"
    );
    [arguments, &["--proto", PROTO, "--proto-path", PROTOS]].concat()
}

/// Converts `input` with these options.
fn transcode(
    folder: &Path,
    message: &str,
    from: &str,
    to: &str,
    input: &[u8],
    options: &[&str],
) -> Output {
    let file = folder.join("input");
    fs::write(&file, input).unwrap();
    let arguments = with_schema(&[
        "transcode",
        "--message",
        message,
        "--from",
        from,
        "--to",
        to,
    ]);
    run_with(&[&arguments, options].concat(), &file)
}

#[test]
fn help_fits_a_screen_and_ends_with_an_example() {
    for command in [
        "serve",
        "demo",
        "routes",
        "check",
        "explain",
        "transcode",
        "bench",
    ] {
        let help = run(&[command, "--help"]).assert_done();
        let lines: Vec<_> = help.text().lines().collect();
        assert!(lines.len() <= 40, "{command}: {} lines", lines.len());
        for line in lines.iter().filter(|line| !line.starts_with("Usage")) {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
        let example = lines.iter().rposition(|line| {
            line.starts_with("Example: transom") || line.starts_with("Example: echo")
        });
        // A long one is wrapped.
        assert!(
            example.is_some_and(|index| index + 2 >= lines.len()),
            "{command}: {}",
            help.text()
        );
    }
    let help = run(&["--help"]).assert_done();
    assert!(help.text().lines().count() <= 40);
    assert!(
        run(&["--version"])
            .assert_done()
            .text()
            .starts_with("transom ")
    );
}

#[test]
fn wrong_usage_ends_with_two_and_names_what_is_wrong() {
    let cases: [(&[&str], &str); 10] = [
        (&[], "Usage"),
        (&["surf"], "surf"),
        (&["serve"], "--upstream"),
        (&["serve", "--upstream", "localhost:1"], "http://host:port"),
        (&["serve", "--upstream", "https://localhost:1"], "TLS"),
        (
            &["serve", "--upstream", "http://h:1", "--listen", ":8080"],
            "as in 127.0.0.1:8080",
        ),
        (
            &["serve", "--upstream", "http://h:1", "--workers", "0"],
            "--workers",
        ),
        (
            &["serve", "--upstream", "http://h:1", "--profile", "nginx"],
            "grpc-gateway-v1",
        ),
        (&["demo", "--io", "kqueue"], "--io"),
        (
            &[
                "transcode",
                "--message",
                "a.B",
                "--from",
                "xml",
                "--to",
                "json",
            ],
            "xml",
        ),
    ];
    for (arguments, words) in cases {
        run(arguments).assert_failed(2, &[words]);
    }
}

/// The file gives all that the command needs, a flag wins over it, and what is wrong in it is told with its line.
#[test]
fn configuration_file_stands_for_flags() {
    let folder = scratch_folder("config");
    let config = folder.join("transom.yaml");
    let name = config.to_str().unwrap();
    let text = format!(
        "proto: {PROTOS}/example/bookstore.proto\nproto_path: [{PROTOS}]\nmessage: {EVERY_KIND}\n\
        from: json\nto: json\njson_defaults: omit\njson_names: proto\njson_indent: 1\njson: true\n"
    );
    fs::write(&config, &text).unwrap();
    let input = folder.join("input");
    fs::write(&input, r#"{"int64Value":"5"}"#).unwrap();
    let print = |flags: &[&str]| {
        let arguments = [&["transcode", "--config", name], flags].concat();
        run_with(&arguments, &input).assert_done()
    };
    assert_eq!(print(&[]).text(), "{\n \"int64_value\": \"5\"\n}\n");
    let text_by_flag = print(&["--json-names", "json"]);
    assert_eq!(text_by_flag.json(), json!({"int64Value": "5"}));
    let listed = run(&["routes", "--config", name]).assert_done().json();
    assert!(listed.as_array().unwrap().len() > 30);

    fs::write(&config, format!("{text}\nlisten: here\n")).unwrap();
    let wrong = run(&["routes", "--config", name]);
    wrong.assert_failed(
        1,
        &["transom.yaml:11: listen: found `here`; expected an IP"],
    );
    fs::write(&config, "io: epoll\n").unwrap();
    let words = ["transom.yaml: upstream is missing; set it, or give --upstream"];
    run(&["serve", "--config", name]).assert_failed(1, &words);
    let words = ["transom.yaml: message is missing"];
    run(&["bench", "--config", name, "a.json", "--proto", "a.proto"])
        .assert_failed(1, &["a.proto"]);
    let bench = with_schema(&["bench", "--config", name, "a.json"]);
    run(&bench).assert_failed(1, &words);
}

/// SEMANTICS 8, 10, 14: what is served is what is listed, and a warning names what is not, with its line.
#[test]
fn bad_rule_is_skipped_with_a_warning_unless_it_is_to_be_refused() {
    let folder = scratch_folder("rules");
    fs::write(
        folder.join("a.proto"),
        "syntax = \"proto3\";\npackage a;\nimport \"google/api/annotations.proto\";\nmessage In { string name = 1; }\n\
        service S {\n  rpc A(In) returns (In) {\n    option (google.api.http) = { get: \"/a/{nobody}\" };\n  }\n\
        rpc B(In) returns (In) { option (google.api.http) = { get: \"/b\" }; }\n\
        rpc C(In) returns (In) { option (google.api.http) = { get: \"/b\" }; }\n}\n",
    )
    .unwrap();
    let rules = "http:\n  rules:\n  - selector: a.S.C\n    get: /c/{name}\n";
    fs::write(folder.join("rules.yaml"), rules).unwrap();
    let config = folder.join("transom.yaml");
    let routes = |more: &str| {
        fs::write(&config, format!("proto: a.proto\n{more}\n")).unwrap();
        run(&["routes", "--config", config.to_str().unwrap()])
    };

    let listed = routes("service_config: rules.yaml").assert_done();
    let warning = "a.proto:7: a.S.A: the rule `GET /a/{nobody}`: the variable `nobody`";
    assert!(listed.stderr.contains("warning: "), "{}", listed.stderr);
    assert!(listed.stderr.contains(warning), "{}", listed.stderr);
    for (route, is_there) in [("/c/{name}", true), ("/a/{", false), ("/b", true)] {
        assert_eq!(listed.text().contains(route), is_there, "{}", listed.text());
    }
    routes("service_config: rules.yaml\nbad_rules: refuse").assert_failed(1, &[warning]);
    routes("").assert_failed(
        1,
        &["a.proto:10: a.S.C: the rule `GET /b`: it takes the same"],
    );
    let listed = routes("profile: grpc-gateway").assert_done();
    let words =
        "of a.S.B; change the path, verb or method of one of the two; the later rule has the route";
    assert!(listed.stderr.contains(words), "{}", listed.stderr);

    // The file's own rules come last.
    let own = "http: {rules: [{selector: a.S.C, get: /own}, {selector: a.S.A, get: /a}]}";
    let listed = routes(&format!("{own}\nservice_config: rules.yaml")).assert_done();
    assert!(listed.text().contains("/own") && !listed.text().contains("/c/"));
    assert_eq!(listed.stderr, "");
    routes("http:\n  rules:\n  - {selector: a.S.D, get: /d}")
        .assert_failed(1, &["transom.yaml:4: the selector `a.S.D` names no method"]);
}

/// Findings come by file and line, what cannot be ends with 1, and a schema without fault says so.
#[test]
fn check_names_each_fault_with_its_line() {
    let folder = scratch_folder("check");
    let proto = |rules: [&str; 4]| {
        let rpc = |(index, rule): (usize, &&str)| {
            format!(
                "  rpc M{index}(In) returns (In) {{\n    option (google.api.http) = {{ {rule} }};\n  }}\n"
            )
        };
        let rpcs: String = rules.iter().enumerate().map(rpc).collect();
        let head = "syntax = \"proto3\";\npackage a;\nimport \"google/api/annotations.proto\";\nmessage In { string name = 1; }";
        fs::write(
            folder.join("a.proto"),
            format!("{head}\nservice S {{\n{rpcs}}}\n"),
        )
        .unwrap();
    };
    let config = folder.join("transom.yaml");
    let check = |more: &str| {
        fs::write(&config, format!("proto: a.proto\n{more}\n")).unwrap();
        run(&["check", "--config", config.to_str().unwrap()])
    };

    proto([
        "get: \"/a/{name}\"",
        "get: \"/a/top\"",
        "get: \"/{nobody}\"",
        "get: \"/a/top\"",
    ]);
    let found = check("");
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    assert_eq!(found.stderr, "");
    let lines: Vec<_> = found.text().lines().collect();
    let expected = [
        "a.proto:7: note: a.S.M0: the rule `GET /a/{name}`: `GET /a/top` of a.S.M3 goes before it",
        "a.proto:13: error: a.S.M2: the rule `GET /{nobody}`: the variable `nobody`: `nobody` is not a field",
        "a.proto:16: error: a.S.M3: the rule `GET /a/top`: it takes the same requests as `GET /a/top` of a.S.M1",
        "2 errors, 0 warnings, 1 note in 6 routes of 4 methods, from ",
    ];
    assert_eq!(lines.len(), expected.len(), "{}", found.text());
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }

    // Rules of the configuration count, and warnings are no failure.
    let rules =
        "http:\n  rules:\n  - {selector: a.S.M2, get: /c, body: '*'}\nprofile: grpc-gateway";
    let found = check(rules).assert_done();
    assert!(
        found
            .text()
            .contains("transom.yaml:4: warning: a.S.M2: the rule `GET /c`: many clients")
    );
    assert!(
        found.text().contains("a.proto:16: warning: a.S.M3: "),
        "{}",
        found.text()
    );
    let found = check("http: {rules: [{selector: a.S.M9, get: /c}]}");
    assert_eq!(found.code, Some(1));
    assert!(
        found
            .text()
            .contains("transom.yaml:2: error: the selector `a.S.M9` names no method")
    );

    // Settings that fit nothing: an error where `serve` would not start, else a warning.
    let statuses = "success_statuses:\n  a.S.M1: 201\n  a.S.M7: 201\nconflicting_rules: last-wins";
    let found = check(statuses);
    assert_eq!(found.code, Some(1));
    let line = "transom.yaml:4: error: success_statuses: a.S.M7: the schema has no such method";
    assert!(found.text().contains(line), "{}", found.text());
    run(&[
        "serve",
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
    ])
    .assert_failed(
        1,
        &["transom.yaml:4: success_statuses: a.S.M7: the schema has no such method"],
    );
    let timeouts = "timeouts:\n  a.S.*: {max_ms: 5}\n  a.*: {}\n  a.T.*: {max_ms: 5}\nconflicting_rules: last-wins";
    let found = check(timeouts);
    assert_eq!(found.code, Some(1));
    let line = "transom.yaml:5: error: timeouts: a.T.*: the schema has no such method; expected a full name, package.Service.* or *";
    assert!(found.text().contains(line), "{}", found.text());
    for (field, is_told) in [("name", true), ("extra", true), ("none", false)] {
        let found = check(&format!("bad_rules: skip\nquery_captured_by: {field}"));
        let words = format!(
            "transom.yaml:3: warning: query_captured_by: no request that takes a query has a field `{field}`"
        );
        assert_eq!(found.text().contains(&words), is_told, "{}", found.text());
    }
    check("jsn: true").assert_failed(
        1,
        &["transom.yaml:2: jsn: there is no such key; did you mean json?"],
    );

    proto(["get: \"/a\"", "get: \"/b\"", "get: \"/c\"", "get: \"/d\""]);
    let text = check("").assert_done().text().to_owned();
    assert!(
        text.starts_with("0 errors, 0 warnings, 0 notes in 8 routes of 4 methods"),
        "{text}"
    );
}

#[test]
fn check_warns_of_limits_that_change_nothing_or_contradict_each_other() {
    let folder = scratch_folder("check-limits");
    let config = folder.join("transom.yaml");
    let check = |ways: (&str, &str), limits: &str| {
        let text = format!(
            "syntax = \"proto3\"; package a; import \"google/api/annotations.proto\"; message M {{}}\n\
             service S {{ rpc M({} M) returns ({} M) {{ option (google.api.http) = {{ post: \"/a\" body: \"*\" }}; }} }}",
            ways.0, ways.1
        );
        fs::write(folder.join("a.proto"), text).unwrap();
        fs::write(&config, format!("proto: a.proto\nlimits:\n{limits}")).unwrap();
        run(&["check", "--config", config.to_str().unwrap()])
    };
    let all = "  request_stream: 1MiB\n  response_stream: 1MiB\n  request_stream_messages: 9\n  response_stream_messages: 9\n";
    let streams = ("stream", "stream");
    let found = check(streams, all).assert_done();
    for line in [
        "transom.yaml:3: warning: limits: request_stream: 1MiB is less than one message may have by request_message (4MiB)",
        "transom.yaml:4: warning: limits: response_stream: 1MiB is less than one message may have by response_message (4MiB)",
    ] {
        assert!(found.text().contains(line), "{}", found.text());
    }
    let fits = "  request_message: 1MiB\n  response_message: 1024KiB\n";
    let found = check(streams, &[all, fits].concat()).assert_done();
    assert!(
        found.text().starts_with("0 errors, 0 warnings"),
        "{}",
        found.text()
    );
    let found = check(("", ""), all).assert_done();
    for line in [
        ":3: warning: limits: request_stream: no method streams its requests",
        ":4: warning: limits: response_stream: no method streams its replies",
        ":5: warning: limits: request_stream_messages: no method streams its requests",
        ":6: warning: limits: response_stream_messages: no method streams its replies",
    ] {
        assert!(found.text().contains(line), "{}", found.text());
    }
    for (limit, words) in [
        (
            "request_message: 65MiB",
            "found `65MiB`; expected 1 to 67108864 bytes, or KiB or MiB as in 32MiB, up to 64MiB",
        ),
        ("response_message: 0", "found `0`; expected 1 to 67108864"),
        (
            "response_message: 32MB",
            "found `32MB`; expected 1 to 67108864",
        ),
        (
            "request_stream: -1",
            "found `-1`; expected a number of bytes from 1 on, KiB, MiB or GiB as in 10GiB, or none",
        ),
        (
            "response_stream_messages: 1KiB",
            "found `1KiB`; expected a number of messages from 1 on, or none",
        ),
        ("request: 1", "there is no such key"),
    ] {
        let place = format!(
            "transom.yaml:3: limits: {}: ",
            limit.split(':').next().unwrap()
        );
        let found = check(streams, &format!("  {limit}\n"));
        found.assert_failed(1, &[&place, words]);
    }
    check(
        streams,
        "  request_message: 64MiB\n  response_message: 67108864\n",
    )
    .assert_done();
}

/// A field takes the keys that no field has if it is of a fitting type, and neither body nor rule keep the query from it.
#[test]
fn check_warns_of_a_capture_that_fits_no_field() {
    let folder = scratch_folder("check-capture");
    let config = folder.join("transom.yaml");
    let check = |rule: &str, field: &str, more: &str| {
        let text = format!(
            r#"syntax = "proto3"; package a;
import "google/api/annotations.proto"; import "google/protobuf/struct.proto";
message In {{ string text = 1; google.protobuf.Struct any = 2; map<string, string> texts = 3; map<string, int32> numbers = 4;
  oneof one {{ google.protobuf.Struct member = 5; }} repeated google.protobuf.Struct many = 6; }}
service S {{ rpc M(In) returns (In) {{ option (google.api.http) = {{ {rule} }}; }} }}"#
        );
        fs::write(folder.join("a.proto"), text).unwrap();
        let text = format!("proto: a.proto\nquery_captured_by: {field}\n{more}\n");
        fs::write(&config, text).unwrap();
        let found = run(&["check", "--config", config.to_str().unwrap()]).assert_done();
        found
            .text()
            .contains("transom.yaml:2: warning: query_captured_by: ")
    };
    let (get, post) = ("get: \"/a\"", "post: \"/a\" body: \"*\"");
    for field in ["any", "texts"] {
        assert!(!check(get, field, ""), "{field}");
        assert!(check(post, field, ""), "{field}");
        assert!(
            !check(post, field, "query_beside_whole_body: merge"),
            "{field}"
        );
        let body = format!("post: \"/a\" body: \"{field}\"");
        assert!(check(&body, field, ""), "{field}");
    }
    for field in ["text", "numbers", "member", "many", "nothing"] {
        assert!(check(get, field, ""), "{field}");
    }
}

#[test]
fn explanation_tells_preflights_and_forms() {
    let folder = scratch_folder("explain-headers");
    let config = folder.join("transom.yaml");
    let config = config.to_str().unwrap();
    let text = "cors: {origins: [https://a.example], allow_headers: [x-a], max_age_seconds: 60}\nmethod_override: forms\n";
    fs::write(config, text).unwrap();
    let preflight = [
        "--config",
        config,
        "-H",
        "Access-Control-Request-Method: POST",
    ];
    for (origin, parts) in [
        (
            "Origin: https://a.example",
            &[
                "route none: this is a preflight of CORS",
                "answer 204 No Content",
                "vary: Origin",
                "access-control-allow-origin: https://a.example",
                "access-control-allow-methods: GET, POST, HEAD, OPTIONS",
                "access-control-allow-headers: x-a",
                "access-control-max-age: 60",
            ][..],
        ),
        (
            "Origin: https://b.example",
            &["route none: this is a preflight of CORS", "vary: Origin"],
        ),
    ] {
        let arguments = [
            &["OPTIONS", "/v1/shelves", "--header", origin],
            &preflight[..],
        ]
        .concat();
        explained(1, &arguments, parts);
    }
    // Without an origin it is no preflight.
    let arguments = [&["OPTIONS", "/v1/shelves"], &preflight[..]].concat();
    explained(
        1,
        &arguments,
        &[
            "route none",
            "answer 204 No Content",
            "allow: GET, POST, HEAD, OPTIONS",
        ],
    );
    let form = [
        "-H",
        "Content-Type: application/x-www-form-urlencoded",
        "--data",
    ];
    let arguments = [
        &["POST", "/v1/shelves/7/books", "--config", config][..],
        &["-H", "X-HTTP-Method-Override: GET"],
        &form[..],
        &["page_size=5&filter.tags=x"],
    ];
    explained(
        0,
        &arguments.concat(),
        &[
            "route GET /v1/{parent=shelves/*}/books",
            "body is a form: its fields are bound as those of a query",
            r#"json {"parent":"shelves/7","pageSize":5,"filter":{"tags":["x"]}}"#,
        ],
    );
    fs::write(config, "forms: fields\n").unwrap();
    let arguments = [
        &["POST", "/v1/shelves", "--config", config][..],
        &form,
        &["theme=T"],
    ];
    explained(
        0,
        &arguments.concat(),
        &[
            "body -> shelf, by the fields of a form",
            r#"json {"shelf":{"theme":"T"}}"#,
        ],
    );
}

#[test]
fn routes_are_listed_as_a_table_and_as_json() {
    let table = with_bookstore(&["routes"]).assert_done();
    let rows: Vec<Vec<&str>> = table
        .text()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["METHOD", "PATH", "RPC", "BODY"]);
    let buy = [
        "POST",
        "/v1/{name=shelves/*/books/*}:buy",
        "bookstore.v1.Bookstore.BuyBook",
        "*",
    ];
    assert!(rows.iter().any(|row| row == &buy), "{}", table.text());
    // Columns stand below each other.
    let at = |line: &str| line.rfind("bookstore.v1.").unwrap();
    let places: Vec<_> = table.text().lines().skip(1).map(at).collect();
    assert!(places.iter().all(|place| *place == places[0]));

    let listed = with_bookstore(&["routes", "--json"]).assert_done().json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len() + 1, rows.len());
    let find = |rpc: &str, method: &str| {
        let rpc = format!("bookstore.v1.Bookstore.{rpc}");
        let found = listed
            .iter()
            .find(|route| route["rpc"] == rpc && route["method"] == method);
        found
            .unwrap_or_else(|| panic!("no {method} of {rpc}"))
            .clone()
    };
    assert_eq!(find("UpdateBook", "PATCH")["body"], "book");
    assert_eq!(find("GetBook", "GET")["body"], Value::Null);
    assert_eq!(find("WatchBooks", "GET")["streaming"], "server");
    assert_eq!(find("CheckOutBook", "CHECKOUT")["streaming"], Value::Null);
    assert!(find("ListTitles", "GET")["response_body"].is_string());
    assert_eq!(
        find("CountBooks", "POST")["path"],
        "/bookstore.v1.Bookstore/CountBooks"
    );
}

/// A reader that goes away is no error, as with any filter.
#[test]
fn output_nobody_reads_is_no_error() {
    let mut child = Command::new(program())
        .args(with_schema(&["routes"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn message_is_converted_both_ways() {
    let folder = scratch_folder("transcode");
    let text = br#"{"int64Value":"9007199254740993","string_value":"\u00e9","colour":2,"nested":{"child":{"number":-1}},"stringToString":{"k":"v"},"timestamp":"2020-01-01T00:00:00.5Z","otherName":"x"}"#;
    let wire = transcode(&folder, EVERY_KIND, "json", "proto", text, &[])
        .assert_done()
        .stdout;
    let back = transcode(
        &folder,
        EVERY_KIND,
        "proto",
        "json",
        &wire,
        &["--json-defaults", "omit"],
    )
    .assert_done();
    assert!(back.text().ends_with("}\n"));
    assert_eq!(
        back.json(),
        json!({"int64Value": "9007199254740993", "stringValue": "\u{e9}", "colour": "GREEN", "nested": {"child": {"number": -1}},
            "stringToString": {"k": "v"}, "timestamp": "2020-01-01T00:00:00.500Z", "otherName": "x"})
    );
    let same = transcode(&folder, EVERY_KIND, "proto", "proto", &wire, &[])
        .assert_done()
        .stdout;
    assert_eq!(same, wire);

    transcode(
        &folder,
        EVERY_KIND,
        "json",
        "proto",
        br#"{"nested": {"number": "x"}}"#,
        &[],
    )
    .assert_failed(1, &["body.nested.number: "]);
    transcode(&folder, EVERY_KIND, "proto", "json", &[0x72, 9, 1], &[])
        .assert_failed(1, &["at byte 1"]);
    transcode(&folder, EVERY_KIND, "proto", "proto", &[0x0f], &[]).assert_failed(1, &["at byte 0"]);
}

/// DESIGN 4: what each option and each profile changes.
#[test]
fn json_options_and_profiles_change_the_output() {
    let folder = scratch_folder("options");
    let wire = transcode(
        &folder,
        EVERY_KIND,
        "json",
        "proto",
        br#"{"int64Value":"5","colour":"RED"}"#,
        &[],
    )
    .assert_done()
    .stdout;
    let print = |options: &[&str]| {
        transcode(&folder, EVERY_KIND, "proto", "json", &wire, options)
            .assert_done()
            .json()
    };
    let small = |options: &[&str]| print(&[options, &["--json-defaults", "omit"]].concat());
    assert_eq!(small(&[]), json!({"int64Value": "5", "colour": "RED"}));
    assert_eq!(
        small(&["--json-names", "proto"]),
        json!({"int64_value": "5", "colour": "RED"})
    );
    assert_eq!(
        small(&["--json-enums", "number"]),
        json!({"int64Value": "5", "colour": 1})
    );
    assert_eq!(
        small(&["--json-int64", "number"]),
        json!({"int64Value": 5, "colour": "RED"})
    );

    // Which unset fields are there: one without presence, one with, a message.
    let unset = |options: &[&str]| {
        let value = print(options);
        ["stringValue", "optionalString", "nested"].map(|name| value.get(name).cloned())
    };
    let empty = Some(Value::from(""));
    assert_eq!(unset(&["--json-defaults", "omit"]), [None, None, None]);
    assert_eq!(
        unset(&["--json-defaults", "no-presence"]),
        [empty.clone(), None, None]
    );
    let all = unset(&["--json-defaults", "all"]);
    assert_eq!((&all[0], &all[2]), (&empty, &Some(Value::Null)));
    assert_eq!(unset(&[]), [empty, None, None]);
    assert_eq!(unset(&["--profile", "grpc-gateway"]), all);
    assert_eq!(unset(&["--profile", "envoy"]), [None, None, None]);
    assert_eq!(
        print(&["--profile", "grpc-gateway-v1"]),
        json!({"int64_value": "5", "colour": "RED"})
    );
    // An option given by itself wins.
    assert_eq!(
        print(&["--profile", "grpc-gateway-v1", "--json-names", "json"]),
        json!({"int64Value": "5", "colour": "RED"})
    );

    let unknown = br#"{"noSuchField": 1}"#;
    transcode(&folder, EVERY_KIND, "json", "proto", unknown, &[]).assert_done();
    transcode(
        &folder,
        EVERY_KIND,
        "json",
        "proto",
        unknown,
        &["--unknown-fields", "reject"],
    )
    .assert_failed(1, &["noSuchField", "unknown field"]);
}

/// DESIGN 4: what a profile changes beside the JSON of messages.
#[test]
fn profiles_change_errors_and_headers() {
    for (profile, wrong_method, precondition, prefix) in [
        ("transom", 405, 400, false),
        ("grpc-gateway", 501, 400, true),
        ("grpc-gateway-v1", 405, 412, true),
        ("envoy", 404, 400, false),
    ] {
        let gateway = Gateway::demo(&["--profile", profile, "--workers", "1"]);
        let call =
            |method: &str, path: &str| request(gateway.address(), method, path, &[], None).unwrap();
        let reply = call("POST", "/v1/titles");
        assert_eq!(reply.status, wrong_method, "{profile}");
        let details = (profile == "grpc-gateway").then_some(json!([]));
        assert_eq!(reply.json().get("details"), details.as_ref(), "{profile}");
        assert_eq!(
            reply.header("allow").is_some(),
            wrong_method == 405,
            "{profile}"
        );
        let reply = call("DELETE", "/v1/shelves/fiction");
        assert_eq!(reply.status, precondition, "{profile}: {}", reply.text());
        let body = reply.json();
        assert_eq!(body["code"], 9, "{profile}");
        let error = (profile == "grpc-gateway-v1").then_some(&body["message"]);
        assert_eq!(body.get("error"), error, "{profile}");
        let reply = call("GET", "/v1/titles");
        assert_eq!(
            reply.header("grpc-metadata-content-type").is_some(),
            prefix,
            "{profile}"
        );
    }
    let gateway = Gateway::demo(&[
        "--unknown-query",
        "reject",
        "--unknown-fields",
        "reject",
        "--json-enums",
        "number",
    ]);
    let call = |method: &str, path: &str, body: Option<&[u8]>| {
        request(gateway.address(), method, path, &[], body).unwrap()
    };
    assert_eq!(call("GET", "/v1/titles?nosuch=1", None).status, 400);
    assert_eq!(
        call("POST", "/v1/echo", Some(b"{\"nosuch\": 1}")).status,
        400
    );
    assert_eq!(
        call("POST", "/v1/echo", Some(b"{\"colour\": \"RED\"}")).json()["colour"],
        1
    );
}

#[test]
fn unknown_message_suggests_a_name() {
    for (name, words) in [
        ("everykind", "did you mean bookstore.v1.EveryKind?"),
        ("other.Book", "did you mean bookstore.v1.Book?"),
        ("nothing.like.it", "package.Message"),
    ] {
        let arguments = [
            "transcode",
            "--message",
            name,
            "--from",
            "json",
            "--to",
            "proto",
        ];
        with_bookstore(&arguments).assert_failed(1, &[name, words]);
    }
}

#[test]
fn cost_of_payloads_is_measured_both_ways() {
    let folder = scratch_folder("bench");
    let (text, wire) = (folder.join("kind.json"), folder.join("kind.pb"));
    let body = br#"{"int64Value": "5", "stringValue": "text", "nested": {"number": 7}, "repeatedString": ["a", "b"]}"#;
    fs::write(&text, body).unwrap();
    let bytes = transcode(&folder, EVERY_KIND, "json", "proto", body, &[])
        .assert_done()
        .stdout;
    fs::write(&wire, &bytes).unwrap();
    let (text, wire) = (text.to_str().unwrap(), wire.to_str().unwrap());

    let output =
        with_bookstore(&["bench", "--message", EVERY_KIND, "--json", text, wire]).assert_done();
    let lines: Vec<Value> = output
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["file"].as_str().unwrap(),
                line["direction"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(text, "j2p"), (text, "p2j"), (wire, "j2p"), (wire, "p2j")]
    );
    for line in &lines {
        assert!(line["ns"].as_f64().is_some_and(|ns| ns > 0.0), "{line}");
        assert_eq!(line["allocations"].as_f64(), Some(0.0), "{line}");
    }
    assert_eq!(lines[0]["bytes"], body.len());
    assert_eq!(lines[1]["bytes"], bytes.len());

    let table = with_bookstore(&["bench", "--message", EVERY_KIND, text]).assert_done();
    assert_eq!(table.text().lines().count(), 3);
    assert!(table.text().starts_with("FILE"));

    let wrong = folder.join("wrong.json");
    fs::write(&wrong, b"{\"int64Value\": true}").unwrap();
    with_bookstore(&["bench", "--message", EVERY_KIND, wrong.to_str().unwrap()])
        .assert_failed_after_head(&["wrong.json", "int64Value"]);
    with_bookstore(&["bench", "--message", EVERY_KIND, "absent.json"])
        .assert_failed_after_head(&["absent.json"]);
    with_bookstore(&["bench", "--message", EVERY_KIND, "odd.name"])
        .assert_failed_after_head(&["odd.name"]);
}

impl Output {
    /// It failed with 1 and these words, though the head of a table may have been printed.
    fn assert_failed_after_head(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        for words in words {
            assert!(
                self.stderr.contains(words),
                "expected {words:?} in: {}",
                self.stderr
            );
        }
    }
}

/// Schemas that are none: the message names the file, and where it can the line.
#[test]
fn broken_schema_is_the_users_fault_and_names_the_file() {
    let folder = scratch_folder("broken");
    let proto = folder.join("broken.proto");
    fs::write(
        &proto,
        "syntax = \"proto3\";\nmessage A {\n  string name = ;\n}\n",
    )
    .unwrap();
    let missing = folder.join("missing.proto");
    fs::write(
        &missing,
        "syntax = \"proto3\";\nimport \"no/such.proto\";\nmessage A {}\n",
    )
    .unwrap();
    let set = folder.join("broken.binpb");
    fs::write(&set, b"\xff\xff\xff").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let dir = path(&folder);
    run(&["routes", "--proto", &path(&proto), "--proto-path", &dir])
        .assert_failed(1, &["broken.proto", "3"]);
    run(&["routes", "--proto", &path(&missing), "--proto-path", &dir])
        .assert_failed(1, &["no/such.proto"]);
    run(&["routes", "--proto", "absent.proto"]).assert_failed(1, &["absent.proto"]);
    run(&["routes", "--descriptor-set", &path(&set)]).assert_failed(1, &["broken.binpb"]);
    run(&[
        "serve",
        "--upstream",
        "http://127.0.0.1:1",
        "--proto",
        &path(&proto),
        "--proto-path",
        &dir,
    ])
    .assert_failed(1, &["broken.proto"]);
    run(&["routes"]).assert_failed(1, &["--proto"]);
}

#[test]
fn taken_port_is_told_and_ends_the_program() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(&["demo", "--listen", &address]).assert_failed(1, &[&address, "in use", "--listen"]);
    with_bookstore(&[
        "serve",
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        &address,
    ])
    .assert_failed(1, &[&address, "in use"]);
}

/// What `transom explain` says of a request to the bookstore: the lines of it are the `parts`, in this order, and others between them.
#[track_caller]
fn explained(code: i32, arguments: &[&str], parts: &[&str]) {
    let output = with_bookstore(&[&["explain"], arguments].concat());
    assert_eq!(output.code, Some(code), "{}", output.stderr);
    assert_eq!(output.stderr, "", "{arguments:?}");
    let mut lines = output.text().lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ")
    });
    for part in parts {
        assert!(
            lines.any(|line| line == *part),
            "expected {part:?} of {arguments:?} in: {}",
            output.text()
        );
    }
}

#[test]
fn explanation_tells_route_bindings_and_message() {
    explained(
        0,
        &[
            "GET",
            "http://h:1/v1/shelves/a%20b/books?page_size=50&filter.tags=x+y&parent=q&z=1#part",
        ],
        &[
            "route GET /v1/{parent=shelves/*}/books",
            "rpc bookstore.v1.Bookstore.ListBooks",
            "path {parent} -> parent = \"shelves/a b\"",
            "query page_size -> page_size = \"50\"",
            "filter.tags -> filter.tags = \"x y\"",
            "parent is ignored: the path gives parent",
            "z is ignored: bookstore.v1.ListBooksRequest has no field of this name",
            "message bookstore.v1.ListBooksRequest, 22 bytes",
            r#"json {"parent":"shelves/a b","pageSize":50,"filter":{"tags":["x y"]}}"#,
            "hex 10 32 22 05 12 03 78 20 79 0a 0b 73 68 65 6c 76 65 73 2f 61 20 62",
            "POST /v1/{parent=shelves/*}/books the path is its, but it is for POST",
            "GET /v1/{name=shelves/*/books/*} the path ends before segment 5, `*`",
        ],
    );
    explained(
        0,
        &[
            "POST",
            "/v1/shelves/7/books?book_id=u&book.title=v",
            "--data",
            r#"{"title":"U"}"#,
        ],
        &[
            "query book_id -> book_id = \"u\"",
            "book.title is ignored: the body gives book.title",
            "body -> book",
            r#"json {"parent":"shelves/7","book":{"title":"U"},"bookId":"u"}"#,
        ],
    );
    explained(
        0,
        &["POST", "/v1/shelves/7/books/4:move?x=1"],
        &[
            "route POST /v1/{name=shelves/*/books/*}:move",
            "query x is ignored: the body is the whole message",
            "body none; it would be bookstore.v1.MoveBookRequest, the whole message",
            "POST /v1/{name=shelves/*/books/*}:archive the path does not end in `:archive`",
        ],
    );
    explained(
        0,
        &["DELETE", "/v1/shelves/7", "--data", "no JSON"],
        &[
            "body is not read: the rule names no body",
            "hex 0a 09 73 68 65 6c 76 65 73 2f 37",
        ],
    );
}

/// SEMANTICS 124.
#[test]
fn explanation_tells_a_client_stream_message_by_message() {
    let path = "/v1/shelves/7/books:import";
    for body in [
        r#"{"title":"A"} {"title":"B"}"#,
        r#"[{"title":"A"},{"title":"B"}]"#,
    ] {
        explained(
            0,
            &["POST", path, "--data", body],
            &[
                "route POST /v1/{parent=shelves/*}/books:import",
                "stream 2 messages",
                r#"json {"parent":"shelves/7","book":{"title":"A"}}"#,
                r#"json {"book":{"title":"B"}}"#,
            ],
        );
    }
    explained(0, &["POST", path], &["stream no message"]);
    explained(
        1,
        &["POST", path, "--data", r#"{"title":"A"} {"title":7}"#],
        &[
            "stream 1 message",
            r#"json {"parent":"shelves/7","book":{"title":"A"}}"#,
            "answer 400 Bad Request",
            r#"{"code":3,"message":"message 2.book.title: expected a string, found a number at byte 9"}"#,
        ],
    );
    let coded = ["POST", path, "--data", "{}", "-H", "Content-Encoding: gzip"];
    explained(1, &coded, &["answer 415 Unsupported Media Type"]);
}

#[test]
fn explanation_tells_where_a_path_is_passed_on() {
    let folder = scratch_folder("explain-passed");
    let config = folder.join("transom.yaml");
    let config = config.to_str().unwrap();
    fs::write(config, "unknown_paths_to: http://127.0.0.1:8081\n").unwrap();
    explained(
        1,
        &["GET", "/version", "--config", config],
        &[
            "route none",
            "passed to http://127.0.0.1:8081, as it is (`unknown_paths_to`)",
        ],
    );
    // A path that some rule has stays here.
    explained(
        1,
        &["PUT", "/v1/shelves/7", "--config", config],
        &["answer 405 Method Not Allowed"],
    );
}

#[test]
fn explanation_tells_the_answer_to_what_is_no_call_and_ends_with_one() {
    explained(
        1,
        &["GET", "/v2/shelves/7"],
        &[
            "route none",
            "answer 404 Not Found",
            r#"{"code":5,"message":"not found"}"#,
            "GET /v1/{name=shelves/*} segment 1 is `v2`, not `v1`",
        ],
    );
    explained(
        1,
        &["PUT", "/v1/shelves/7"],
        &[
            "route none",
            "answer 405 Method Not Allowed",
            "allow: GET, DELETE, HEAD, OPTIONS",
            "GET /v1/{name=shelves/*} the path is its, but it is for GET",
        ],
    );
    explained(
        1,
        &["PUT", "/v1/shelves/7", "--profile", "grpc-gateway"],
        &["answer 501 Not Implemented"],
    );
    explained(1, &["OPTIONS", "/v1/shelves"], &["answer 204 No Content"]);
    explained(
        1,
        &["GET", "/v1/shelves/7/books?page_size=x&page_token=y"],
        &[
            "route GET /v1/{parent=shelves/*}/books",
            "query page_size -> page_size = \"x\" is refused",
            "page_token is not reached",
            "answer 400 Bad Request",
        ],
    );
    explained(
        1,
        &["GET", "/v1/shelves?z=1", "--unknown-query", "reject"],
        &[
            "query z -> no field = \"1\" is refused",
            "answer 400 Bad Request",
        ],
    );
    explained(
        1,
        &["POST", "/v1/shelves", "--data", r#"{"theme":7}"#],
        &[
            "body -> shelf",
            "answer 400 Bad Request",
            r#"{"code":3,"message":"body.shelf.theme: expected a string, found a number at byte 9"}"#,
        ],
    );
    let long = format!("/{}", "x".repeat(9000));
    explained(1, &["GET", &long], &["answer 414 URI Too Long"]);
}

#[test]
fn explanation_tells_why_a_route_that_matches_too_was_not_taken() {
    let folder = scratch_folder("explain");
    let proto = folder.join("ranks.proto");
    let rules = [
        ("get", "/a/{name}"),
        ("get", "/a/b"),
        ("get", "/{name=**}"),
        ("get", "/{name=**}/b"),
        ("get", "/c/{name}:up"),
        ("get", "/c/{name}"),
        ("get", "/d/{name=**}"),
        ("get", "/d/{name=**}/x"),
    ];
    let mut rpcs = String::new();
    for (index, (kind, path)) in rules.iter().enumerate() {
        let rule = format!("option (google.api.http) = {{ {kind}: \"{path}\" }};");
        writeln!(rpcs, "rpc M{index}(R) returns (R) {{ {rule} }}").unwrap();
    }
    rpcs.push_str(r#"rpc Any(R) returns (R) { option (google.api.http) = { custom: { kind: "*" path: "/a/b" } }; }"#);
    let text = format!(
        "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\";\nmessage R {{ string name = 1; }}\nservice S {{ {rpcs} }}"
    );
    fs::write(&proto, text).unwrap();
    let explain = |path: &str| {
        let arguments = ["explain", "--proto", proto.to_str().unwrap(), "GET", path];
        let output = run(&arguments).assert_done();
        let lines = output.text().lines();
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    for (path, parts) in [
        (
            "/a/b",
            &[
                "route GET /a/b",
                "* /a/b matches too, but the chosen one names the method",
                "GET /a/{name} matches too, but /a/b says more at segment 2",
                "GET /{name=**}/b matches too, but /a/b says more at segment 1",
            ][..],
        ),
        (
            "/c/x:up",
            &[
                "route GET /c/{name}:up",
                "path {name} -> name = \"x\"",
                "GET /c/{name} matches too, but /c/{name}:up has the verb",
            ],
        ),
        (
            "/d/e/x",
            &[
                "route GET /d/{name=**}/x",
                "GET /d/{name=**} matches too, but /d/{name=**}/x has more literals at its end",
            ],
        ),
    ] {
        let lines = explain(path);
        for part in parts {
            assert!(
                lines.iter().any(|line| line == part),
                "{part:?} of {path} in {lines:#?}"
            );
        }
    }
}

#[test]
fn explanation_of_what_is_no_request_is_refused() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["GET", "/v1/a", "-H", "Origin"],
            "--header `Origin`: expected a name and a value",
        ),
        (
            &["GET", "/v1/a", "-H", "a b: c"],
            "the name is none of a header",
        ),
        (&["GET", "/v1/a", "-H", "A: b\r\nC: d"], "line breaks"),
        (&["GET", "/v1/a", "-H", "content-length: 1"], "leave it out"),
        (&["GET", "v1/shelves"], "expected a path"),
        (&["GET", "/v1/a b"], "%20"),
        (&["GET", "/v1/a\r\nX: y"], "blank"),
        (&["G T", "/v1/a"], "METHOD `G T`"),
    ];
    for (arguments, words) in cases {
        with_bookstore(&[&["explain"], arguments].concat()).assert_failed(1, &[words]);
    }
}
