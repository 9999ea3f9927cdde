//! Transom in front of a real etcd, held against etcd's own gateway.
//!
//! Goal: etcd's REST clients cannot tell Transom (profile `grpc-gateway-v1`) from the gateway built into etcd, but for the rows of the
//! table that say where and why. Method: two fresh etcd servers; each request of `cases/etcd.json` goes to the own gateway of the
//! first and to Transom before the second, so both hold the same state at every row and even revisions must be equal. Status, media
//! type, metadata header and JSON by meaning are compared; what cannot be equal (identities, terms, sizes) must have the same type.
#![cfg(test)]

mod support {
    pub(crate) mod etcd;
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::etcd::{Etcd, VOLATILE_NAMES, serve_before};
use support::http::{Client, Reply};
use support::json::differences;
use support::process::Process;
use support::tools;

const CLIENT_TIME: Duration = Duration::from_mins(1);
/// etcd up to 3.5 repeats the message under this name (SEMANTICS 114).
const GATEWAY_TEXTS: [&str; 2] = ["message", "error"];

#[test]
fn transom_answers_as_the_gateway_of_etcd_does() {
    let cases = read_cases();
    let (reference, behind) = (Etcd::start("reference"), Etcd::start("behind"));
    let gateway = serve_before(&behind);
    let failures = run_cases(&cases, reference.address(), gateway.address(), judge);
    assert!(
        failures.is_empty(),
        "{} of {} rows differ:\n{}\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n"),
        gateway.transcript()
    );
    let (status, transcript) = gateway.stop();
    assert!(
        status.success() && !transcript.contains("panicked"),
        "transom ended with {status}: {transcript}"
    );
}

/// The client is first tried on etcd's own gateway, which shows that its checks are right.
#[test]
fn a_client_of_the_rest_gateway_runs_unchanged() {
    let etcd = Etcd::start("client");
    run_etcd3gw(etcd.address());
    let etcd = Etcd::start("client-behind");
    let gateway = serve_before(&etcd);
    run_etcd3gw(gateway.address());
}

/// Shows that the table itself is sound: its rows hold for etcd, and nothing in them is left to chance, but for rows with a documented
/// difference, of which only the status must hold.
#[test]
fn two_etcds_give_equal_answers_to_every_case() {
    let cases = read_cases();
    let (left, right) = (Etcd::start("left"), Etcd::start("right"));
    let failures = run_cases(
        &cases,
        left.address(),
        right.address(),
        |case, left, right| {
            if case.differs.is_none() {
                return judge(case, left, right);
            }
            let statuses = [left.status, right.status];
            if statuses == [case.status; 2] {
                Vec::new()
            } else {
                vec![format!("statuses: {statuses:?}")]
            }
        },
    );
    assert!(
        failures.is_empty(),
        "{} of {} rows differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Shows that `judge` sees each kind of difference.
#[test]
fn a_difference_is_noticed() {
    let case = Case {
        name: "row".to_owned(),
        status: 200,
        ..Case::default()
    };
    let good = reply(
        200,
        "application/json",
        r#"{"header":{"revision":"2","member_id":"1"},"count":"1"}"#,
    );
    assert_eq!(judge(&case, &good, &good), Vec::<String>::new());
    let same_by_meaning = reply(
        200,
        "application/json",
        r#"{ "count":"1", "header":{"member_id":"77","revision":"2"} }"#,
    );
    assert_eq!(judge(&case, &good, &same_by_meaning), Vec::<String>::new());
    for (name, bad) in [
        (
            "status",
            reply(
                400,
                "application/json",
                r#"{"header":{"revision":"2","member_id":"1"},"count":"1"}"#,
            ),
        ),
        (
            "media type",
            reply(
                200,
                "text/plain",
                r#"{"header":{"revision":"2","member_id":"1"},"count":"1"}"#,
            ),
        ),
        ("no JSON", reply(200, "application/json", "{")),
        (
            "other value",
            reply(
                200,
                "application/json",
                r#"{"header":{"revision":"3","member_id":"1"},"count":"1"}"#,
            ),
        ),
        (
            "number for a string",
            reply(
                200,
                "application/json",
                r#"{"header":{"revision":"2","member_id":"1"},"count":1}"#,
            ),
        ),
        (
            "masked field gone",
            reply(
                200,
                "application/json",
                r#"{"header":{"revision":"2"},"count":"1"}"#,
            ),
        ),
        (
            "masked field of another type",
            reply(
                200,
                "application/json",
                r#"{"header":{"revision":"2","member_id":1},"count":"1"}"#,
            ),
        ),
        (
            "one field more",
            reply(
                200,
                "application/json",
                r#"{"header":{"revision":"2","member_id":"1"},"count":"1","more":false}"#,
            ),
        ),
    ] {
        assert!(
            !judge(&case, &good, &bad).is_empty(),
            "{name} went unnoticed"
        );
    }
    let mut with_metadata = good.clone();
    with_metadata.headers.push((
        "Grpc-Metadata-Content-Type".to_owned(),
        "application/grpc".to_owned(),
    ));
    assert!(
        !judge(&case, &with_metadata, &good).is_empty(),
        "a missing header went unnoticed"
    );

    let documented = Case {
        differs: Some(Differs {
            status: 200,
            json: json!({"count": "1"}),
            ..Differs::default()
        }),
        ..case.clone()
    };
    assert!(
        !judge(&documented, &good, &good).is_empty(),
        "a documented difference that is none went unnoticed"
    );
    let own = Case {
        status: 400,
        own_message: true,
        ..case
    };
    let error = |text: &str| {
        reply(
            400,
            "application/json",
            &json!({"code": 3, "message": text, "error": text}).to_string(),
        )
    };
    assert_eq!(
        judge(&own, &error("theirs"), &error("ours")),
        Vec::<String>::new()
    );
    assert!(
        !judge(&own, &error("theirs"), &error("")).is_empty(),
        "an empty message went unnoticed"
    );
}

fn run_etcd3gw(address: SocketAddr) {
    let mut command = tools::python().command();
    command
        .arg(tools::python_folder().join("etcd_client.py"))
        .arg(address.port().to_string());
    let mut client = Process::start("etcd_client.py", &mut command);
    let status = client.wait_for_end(CLIENT_TIME);
    let transcript = client.transcript();
    assert!(
        status.success() && transcript.contains(" passed, 0 failed"),
        "before {address}: {transcript}"
    );
}

/// A row of the table; see [`read_case`] for its JSON.
#[derive(Debug, Clone, Default)]
struct Case {
    name: String,
    method: String,
    path: String,
    content_type: Option<String>,
    body: Option<Vec<u8>>,
    /// What etcd's own gateway answers.
    status: u16,
    /// Fields whose values may differ in this row.
    masked_names: Vec<String>,
    /// The gateway words this error, so the text is its own (SEMANTICS 118).
    own_message: bool,
    differs: Option<Differs>,
}

/// Where Transom answers otherwise on purpose.
#[derive(Debug, Clone, Default)]
struct Differs {
    status: u16,
    /// Fields that the body must have, among others.
    json: Value,
    headers: Vec<(String, String)>,
}

fn read_cases() -> Vec<Case> {
    let rows: Vec<Map<String, Value>> =
        serde_json::from_str(include_str!("cases/etcd.json")).unwrap();
    let cases: Vec<Case> = rows
        .into_iter()
        .filter(|row| !row.contains_key("group"))
        .map(read_case)
        .collect();
    assert!(
        cases.len() > 100,
        "the table of cases has only {} rows",
        cases.len()
    );
    cases
}

/// `get` or `post` with the path; at most one of `body` (JSON), `raw` (text) and `large_value`; `content_type` (JSON unless given, null for
/// none); `status`; `mask`; `own_message`; `differs` with `reason`, `status`, `json`, `headers`. A key that is not known is an error.
fn read_case(mut row: Map<String, Value>) -> Case {
    let name = take_text(&mut row, "name").expect("a row has a name");
    let (method, path) = match (take_text(&mut row, "get"), take_text(&mut row, "post")) {
        (Some(path), None) => ("GET", path),
        (None, Some(path)) => ("POST", path),
        _ => panic!("{name}: give get or post"),
    };
    let body = match (
        row.remove("body"),
        take_text(&mut row, "raw"),
        row.remove("large_value"),
    ) {
        (None, None, None) => None,
        (Some(body), None, None) => Some(body.to_string().into_bytes()),
        (None, Some(raw), None) => Some(raw.into_bytes()),
        (None, None, Some(large)) => {
            let value = "A".repeat(usize::try_from(large["value_len"].as_u64().unwrap()).unwrap());
            Some(
                json!({"key": large["key"], "value": value})
                    .to_string()
                    .into_bytes(),
            )
        }
        _ => panic!("{name}: give one of body, raw and large_value"),
    };
    let content_type = match row.remove("content_type") {
        None => body.is_some().then(|| "application/json".to_owned()),
        Some(content_type) => content_type.as_str().map(str::to_owned),
    };
    let masked_names = row
        .remove("mask")
        .map(|names| serde_json::from_value(names).unwrap())
        .unwrap_or_default();
    let own_message = row.remove("own_message") == Some(Value::Bool(true));
    let status = take_status(&mut row, &name);
    let differs = row
        .remove("differs")
        .map(|differs| read_differs(serde_json::from_value(differs).unwrap(), &name));
    assert!(row.is_empty(), "{name}: unknown keys {row:?}");
    Case {
        name,
        method: method.to_owned(),
        path,
        content_type,
        body,
        status,
        masked_names,
        own_message,
        differs,
    }
}

fn read_differs(mut row: Map<String, Value>, name: &str) -> Differs {
    let reason = take_text(&mut row, "reason").unwrap_or_default();
    assert!(
        reason.starts_with("SEMANTICS "),
        "{name}: a difference needs a reason that cites SEMANTICS"
    );
    let headers: Map<String, Value> = row
        .remove("headers")
        .map(|headers| serde_json::from_value(headers).unwrap())
        .unwrap_or_default();
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, value.as_str().unwrap().to_owned()))
        .collect();
    let (status, json) = (
        take_status(&mut row, name),
        row.remove("json").unwrap_or_else(|| json!({})),
    );
    assert!(row.is_empty(), "{name}: unknown keys {row:?}");
    Differs {
        status,
        json,
        headers,
    }
}

fn take_text(row: &mut Map<String, Value>, key: &str) -> Option<String> {
    row.remove(key).map(|value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("{key}: expected a string, found {value}"))
            .to_owned()
    })
}

fn take_status(row: &mut Map<String, Value>, name: &str) -> u16 {
    row.remove("status")
        .and_then(|status| u16::try_from(status.as_u64()?).ok())
        .unwrap_or_else(|| panic!("{name}: give a status"))
}

/// Sends each case to both, in the order of the table; returns what was found wrong, one text a case.
fn run_cases(
    cases: &[Case],
    reference: SocketAddr,
    subject: SocketAddr,
    judge: impl Fn(&Case, &Reply, &Reply) -> Vec<String>,
) -> Vec<String> {
    let (mut reference, mut subject) = (Caller::new(reference), Caller::new(subject));
    let mut failures = Vec::new();
    for case in cases {
        let faults = match (reference.call(case), subject.call(case)) {
            (Ok(expected), Ok(found)) => {
                let mut faults = judge(case, &expected, &found);
                if !faults.is_empty() {
                    faults.extend([
                        format!("etcd: {}", show(&expected)),
                        format!("here: {}", show(&found)),
                    ]);
                }
                faults
            }
            (Err(error), _) => vec![format!("etcd's gateway gives no answer: {error}")],
            (_, Err(error)) => vec![format!("no answer: {error}")],
        };
        if !faults.is_empty() {
            failures.push(format!(
                "- {} ({} {})\n    {}",
                case.name,
                case.method,
                case.path,
                faults.join("\n    ")
            ));
        }
    }
    failures
}

/// What is wrong with the answer `found`, given what etcd's gateway answered.
fn judge(case: &Case, expected: &Reply, found: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    if expected.status != case.status {
        faults.push(format!(
            "the table is wrong: it says that etcd answers {}",
            case.status
        ));
    }
    match &case.differs {
        Some(differs) => judge_documented_difference(differs, expected, found, &mut faults),
        None => judge_equality(case, expected, found, &mut faults),
    }
    faults
}

fn judge_equality(case: &Case, expected: &Reply, found: &Reply, faults: &mut Vec<String>) {
    if expected.status != found.status {
        faults.push(format!(
            "status: expected {}, found {}",
            expected.status, found.status
        ));
    }
    if expected.media_type() != found.media_type() {
        faults.push(format!(
            "media type: expected {:?}, found {:?}",
            expected.media_type(),
            found.media_type()
        ));
    }
    let metadata = "grpc-metadata-content-type";
    if expected.header(metadata) != found.header(metadata) {
        faults.push(format!(
            "{metadata}: expected {:?}, found {:?}",
            expected.header(metadata),
            found.header(metadata)
        ));
    }
    let (Ok(expected_json), Ok(found_json)) = (parse(expected), parse(found)) else {
        if expected.body != found.body {
            faults.push("body: not equal, and not JSON on both sides".to_owned());
        }
        return;
    };
    let mut masked: Vec<&str> = VOLATILE_NAMES
        .into_iter()
        .chain(case.masked_names.iter().map(String::as_str))
        .collect();
    if case.own_message {
        masked.extend(GATEWAY_TEXTS);
        judge_error_texts(&found_json, faults);
    }
    faults.extend(differences(&expected_json, &found_json, &masked));
}

fn judge_documented_difference(
    differs: &Differs,
    expected: &Reply,
    found: &Reply,
    faults: &mut Vec<String>,
) {
    let Ok(json) = parse(found) else {
        faults.push("body: expected JSON".to_owned());
        return;
    };
    if found.status != differs.status || found.media_type() != "application/json" {
        faults.push(format!("expected {} application/json", differs.status));
    }
    for (name, value) in differs.json.as_object().into_iter().flatten() {
        if json.get(name) != Some(value) {
            faults.push(format!(
                "$.{name}: expected {value}, found {:?}",
                json.get(name)
            ));
        }
    }
    for (name, value) in &differs.headers {
        if found.header(name) != Some(value) {
            faults.push(format!(
                "header {name}: expected {value:?}, found {:?}",
                found.header(name)
            ));
        }
    }
    judge_error_texts(&json, faults);
    if expected.status == found.status && parse(expected).is_ok_and(|expected| expected == json) {
        faults.push("the table is wrong: it says that the answers differ".to_owned());
    }
}

/// An error of our own has a text, twice in this profile.
fn judge_error_texts(json: &Value, faults: &mut Vec<String>) {
    let [message, error] =
        GATEWAY_TEXTS.map(|name| json.get(name).and_then(Value::as_str).unwrap_or_default());
    if message.is_empty() || message != error {
        faults.push(format!(
            "expected a message and an equal error, found {message:?} and {error:?}"
        ));
    }
}

fn parse(reply: &Reply) -> serde_json::Result<Value> {
    serde_json::from_slice(&reply.body)
}

fn show(reply: &Reply) -> String {
    let text: String = reply.text().chars().take(400).collect();
    format!(
        "{} {:?} {}",
        reply.status,
        reply.media_type(),
        text.trim_end()
    )
}

fn reply(status: u16, content_type: &str, body: &str) -> Reply {
    Reply {
        status,
        headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

/// A client that keeps its connection for as long as the peer does.
struct Caller {
    address: SocketAddr,
    client: Option<Client>,
}

impl Caller {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            client: None,
        }
    }

    fn call(&mut self, case: &Case) -> std::io::Result<Reply> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address)?,
        };
        let headers: Vec<(&str, &str)> = case
            .content_type
            .iter()
            .map(|content_type| ("Content-Type", content_type.as_str()))
            .collect();
        let reply = client.send(&case.method, &case.path, &headers, case.body.as_deref())?;
        if !reply
            .header("connection")
            .is_some_and(|option| option.eq_ignore_ascii_case("close"))
        {
            self.client = Some(client);
        }
        Ok(reply)
    }
}
