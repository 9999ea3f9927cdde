//! Transom in front of the two Python gRPC servers, called by real HTTP clients.
//!
//! Goal: what a user gets who puts Transom before an existing Python service: right answers, errors and deadlines, and no call lost,
//! doubled or mixed up under load. Method: the servers speak through reflection only, as most services do, and keep a record of the
//! calls they saw; curl, requests, httpx and wrk check each answer; record and answers are then held against each other.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::Gateway;
use support::json::differences;
use support::process::Process;
use support::tools;

const START_TIME: Duration = Duration::from_mins(1);
const CLIENT_TIME: Duration = Duration::from_mins(5);
const LOAD_CONNECTIONS: u64 = 64;
const LOAD_SECONDS: u64 = 10;

/// Load tests take turns: two at once would only measure each other.
static LOAD_TURN: Mutex<()> = Mutex::new(());

#[test]
fn curl_gets_answers_and_errors_of_the_sync_server() {
    call_with_curl("server_sync.py");
}

#[test]
fn curl_gets_answers_and_errors_of_the_aio_server() {
    call_with_curl("server_aio.py");
}

#[test]
fn requests_and_httpx_get_answers_errors_and_deadlines_of_the_sync_server() {
    call_with_python("server_sync.py");
}

#[test]
fn requests_and_httpx_get_answers_errors_and_deadlines_of_the_aio_server() {
    call_with_python("server_aio.py");
}

#[test]
fn each_call_reaches_the_sync_server_exactly_once() {
    count_calls("server_sync.py");
}

#[test]
fn each_call_reaches_the_aio_server_exactly_once() {
    count_calls("server_aio.py");
}

#[test]
fn no_answer_is_wrong_and_no_call_lost_under_load_before_the_sync_server() {
    load("server_sync.py");
}

#[test]
fn no_answer_is_wrong_and_no_call_lost_under_load_before_the_aio_server() {
    load("server_aio.py");
}

/// The servers of the other tests are known by reflection.
#[test]
fn the_schema_may_come_from_a_proto_file_or_a_descriptor_set() {
    let server = GreeterServer::start("server_aio.py");
    let upstream = format!("http://127.0.0.1:{}", server.port);
    let protos = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../protos/test")
        .display()
        .to_string();
    let proto = format!("{protos}/hello.proto");
    let set = tools::python_stubs(&tools::python())
        .join("hello.pb")
        .display()
        .to_string();
    for schema in [
        &["--proto", &proto, "--proto-path", &protos][..],
        &["--descriptor-set", &set],
    ] {
        let gateway = Gateway::serve(&[&["--upstream", &upstream], schema].concat());
        expect_json(
            &[&format!("{}/v1/hello/Ada", gateway.url())],
            200,
            &json!({"message": "Hello Ada!"}),
        );
        expect_clean_stop(gateway);
    }
}

fn call_with_curl(server: &str) {
    let server = GreeterServer::start(server);
    let gateway = server.serve();
    let url = gateway.url();

    expect_json(
        &["--get", &format!("{url}/v1/hello/Ada")],
        200,
        &json!({"message": "Hello Ada!"}),
    );
    expect_json(
        &[
            "--data",
            r#"{"name":"Ada"}"#,
            "--header",
            "Content-Type: application/json",
            &format!("{url}/v1/hello"),
        ],
        200,
        &json!({"message": "Hello Ada!"}),
    );
    // Plain `curl -d` says that its JSON is a form (SEMANTICS 66).
    expect_json(
        &["--data", r#"{"name":"Ada"}"#, &format!("{url}/v1/hello")],
        200,
        &json!({"message": "Hello Ada!"}),
    );
    expect_json(
        &[
            "--data",
            "{}",
            &format!("{url}/hello.v1.Greeter/SayHelloPlainly"),
        ],
        200,
        &json!({"message": "Hello world!"}),
    );
    expect_json(
        &["--http1.0", &format!("{url}/v1/hello/Ada")],
        200,
        &json!({"message": "Hello Ada!"}),
    );
    // Two addresses in one call: curl keeps the connection and would complain of a reply that is cut or too long.
    let (twice, _) = curl(&[
        "--fail",
        &format!("{url}/v1/hello/Ada"),
        &format!("{url}/v1/hello/Bob"),
    ]);
    assert!(
        twice.contains("Hello Ada!") && twice.contains("Hello Bob!"),
        "two calls in one: {twice}"
    );

    expect_json(
        &[&format!("{url}/v1/fail/5?message=no+such+shelf")],
        404,
        &json!({"code": 5, "message": "no such shelf"}),
    );
    expect_json(
        &[
            "--data",
            r#"{"code":16,"message":"who are you?"}"#,
            &format!("{url}/v1/hello:fail"),
        ],
        401,
        &json!({"code": 16, "message": "who are you?"}),
    );
    expect_error(
        &["--data", r#"{"name":"#, &format!("{url}/v1/hello")],
        400,
        3,
    );
    expect_error(&[&format!("{url}/v1/nowhere")], 404, 5);
    expect_error(
        &["--request", "DELETE", &format!("{url}/v1/hello/Ada")],
        405,
        12,
    );
    expect_error(
        &[
            "--header",
            "Grpc-Timeout: 300m",
            &format!("{url}/v1/hello/wait-curl"),
        ],
        504,
        4,
    );
    expect_error(
        &[
            "--header",
            "Grpc-Timeout: soon",
            &format!("{url}/v1/hello/Ada"),
        ],
        400,
        3,
    );
    expect_clean_stop(gateway);
}

fn call_with_python(server: &str) {
    let mut server = GreeterServer::start(server);
    let gateway = server.serve();
    run_client(&["check", &gateway.url()]);

    // Two libraries have each let one deadline pass: the server must have been told of both, and cancelled.
    let stats = server.stats_when_cancelled(2);
    let deadlines: Vec<f64> = stats["deadlines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| left.as_f64().expect("the call has a deadline"))
        .collect();
    assert_eq!(deadlines.len(), 2, "{stats}");
    // grpcio computes what is left from what it is told, so its own clock may add a hair.
    assert!(
        deadlines.iter().all(|left| *left <= 0.31),
        "the server was given more time than the client gave: {stats}"
    );
    expect_clean_stop(gateway);
}

/// With a fixed number of calls that all end, nothing is in flight afterwards, so the numbers must be equal.
fn count_calls(server: &str) {
    let mut server = GreeterServer::start(server);
    let gateway = server.serve();
    let total = 2000;
    run_client(&["count", &gateway.url(), &total.to_string()]);
    let stats = server.stats();
    assert_eq!(
        (
            stats["seen"].as_u64(),
            stats["seen_twice"].as_u64(),
            stats["answered"].as_u64()
        ),
        (Some(total), Some(0), Some(total)),
        "{stats}"
    );
    expect_clean_stop(gateway);
}

/// wrk ends by time: up to one call a connection is then in flight, sent but not answered. With S sent, U seen upstream and A answered:
/// `A <= U <= S <= A + connections`. A call that is lost earlier than at the very end holds its connection until wrk reports a time-out,
/// and a call that is retried is seen twice; `count_calls` shows the same with nothing in flight at the end.
fn load(server: &str) {
    let wrk = tools::wrk();
    let mut server = GreeterServer::start(server);
    let gateway = server.serve();
    let turn = LOAD_TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut command = wrk.command();
    command.args([
        "--threads",
        "2",
        "--connections",
        &LOAD_CONNECTIONS.to_string(),
        "--duration",
        &format!("{LOAD_SECONDS}s"),
        "--timeout",
        "5s",
    ]);
    command
        .arg("--script")
        .arg(tools::python_folder().join("load.lua"))
        .arg(gateway.url());
    let mut running = Process::start("wrk", &mut command);
    let totals = running.wait_for_line(CLIENT_TIME, |line| {
        line.strip_prefix("totals ").map(parse_json)
    });
    let status = running.wait_for_end(CLIENT_TIME);
    drop(turn);

    assert!(status.success(), "{}", running.transcript());
    let number = |name: &str| {
        totals[name]
            .as_u64()
            .unwrap_or_else(|| panic!("wrk reports no {name}: {totals}"))
    };
    for fault in [
        "bad_status",
        "bad_type",
        "bad_body",
        "errors_connect",
        "errors_read",
        "errors_write",
        "errors_status",
        "errors_timeout",
    ] {
        assert_eq!(number(fault), 0, "{fault}: {totals}");
    }
    let (sent, answered) = (number("sent"), number("answered"));
    assert_eq!(
        answered,
        number("requests"),
        "every reply was checked: {totals}"
    );
    assert!(
        answered > LOAD_CONNECTIONS,
        "hardly anything was served: {totals}"
    );
    let stats = server.stats();
    let seen = stats["seen"].as_u64().unwrap();
    assert_eq!(
        stats["seen_twice"],
        json!(0),
        "a call reached the server twice: {stats}"
    );
    assert!(
        answered <= seen && seen <= sent && sent <= answered + LOAD_CONNECTIONS,
        "sent {sent}, seen upstream {seen}, answered {answered}"
    );

    // What wrk left behind must not harm the next client.
    expect_json(
        &[&format!("{}/v1/hello/after", gateway.url())],
        200,
        &json!({"message": "Hello after!"}),
    );
    expect_clean_stop(gateway);
}

struct GreeterServer {
    process: Process,
    port: u16,
}

impl GreeterServer {
    fn start(file: &str) -> Self {
        let python = tools::python();
        let mut command = python.command();
        command
            .arg(tools::python_folder().join(file))
            .env("PYTHONPATH", tools::python_stubs(&python))
            .env("PYTHONUNBUFFERED", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::start(file, &mut command);
        let port = process.wait_for_line(START_TIME, |line| {
            line.strip_prefix("listening on ")?.parse().ok()
        });
        Self { process, port }
    }

    /// A gateway that knows the service by reflection alone.
    fn serve(&self) -> Gateway {
        Gateway::serve(&["--upstream", &format!("http://127.0.0.1:{}", self.port)])
    }

    fn stats(&mut self) -> Value {
        self.process.tell("stats");
        self.process.wait_for_line(START_TIME, read_stats)
    }

    /// The record once it counts as many cancelled calls; a cancellation needs a moment to arrive.
    fn stats_when_cancelled(&mut self, count: u64) -> Value {
        self.process.tell(&format!("stats {count}"));
        let stats = self.process.wait_for_line(START_TIME, read_stats);
        assert_eq!(stats["cancelled"].as_u64(), Some(count), "{stats}");
        stats
    }
}

fn read_stats(line: &str) -> Option<Value> {
    line.strip_prefix("stats ").map(parse_json)
}

/// Runs client.py to its end; any failed check fails the test.
fn run_client(arguments: &[&str]) {
    let mut command = tools::python().command();
    command
        .arg(tools::python_folder().join("client.py"))
        .args(arguments);
    let mut client = Process::start("client.py", &mut command);
    let status = client.wait_for_end(CLIENT_TIME);
    let transcript = client.transcript();
    assert!(
        status.success() && transcript.contains(" passed, 0 failed"),
        "{transcript}"
    );
    assert!(
        !transcript.contains("\n0 passed") && !transcript.starts_with("0 passed"),
        "client.py checked nothing"
    );
}

/// Runs curl; returns the body, and the status and the content type.
fn curl(arguments: &[&str]) -> (String, (u16, String)) {
    let mut command = tools::curl().command();
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "--write-out",
            "\n%{http_code} %{content_type}",
        ])
        .args(arguments);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let output = String::from_utf8(stdout).unwrap();
    assert!(
        status.success(),
        "curl {arguments:?}: {status}: {output} {}",
        String::from_utf8_lossy(&stderr)
    );
    let (body, end) = output.rsplit_once('\n').unwrap();
    let (code, content_type) = end.split_once(' ').unwrap();
    (
        body.to_owned(),
        (code.parse().unwrap(), content_type.to_owned()),
    )
}

fn curl_json(arguments: &[&str], expected_status: u16) -> Value {
    let (body, (status, content_type)) = curl(arguments);
    assert_eq!(
        (status, content_type.split(';').next()),
        (expected_status, Some("application/json")),
        "curl {arguments:?}: {body}"
    );
    parse_json(&body)
}

fn expect_json(arguments: &[&str], status: u16, expected: &Value) {
    let found = curl_json(arguments, status);
    let differences = differences(expected, &found, &[]);
    assert!(
        differences.is_empty(),
        "curl {arguments:?}: {}",
        differences.join("\n")
    );
}

fn expect_error(arguments: &[&str], status: u16, code: u64) {
    let found = curl_json(arguments, status);
    assert_eq!(
        found["code"].as_u64(),
        Some(code),
        "curl {arguments:?}: {found}"
    );
    assert!(
        found["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "curl {arguments:?}: {found}"
    );
}

/// After the work the gateway must still be alive, obey SIGTERM with exit code 0, and have no panic to tell of.
fn expect_clean_stop(gateway: Gateway) {
    let (status, transcript) = gateway.stop();
    assert!(
        status.success(),
        "transom ended with {status}: {transcript}"
    );
    assert!(!transcript.contains("panicked"), "{transcript}");
}

fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
