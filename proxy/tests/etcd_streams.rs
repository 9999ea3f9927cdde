//! The streams of a real etcd through Transom, held against etcd's own gateway.
//!
//! Goal: a client that watches, keeps leases alive, follows an election or takes a snapshot cannot tell Transom (profile
//! `grpc-gateway-v1`) from the gateway built into etcd, but for the rows that say where and why. Method: two fresh etcd servers; each row
//! is played on the own gateway of the first and on Transom before the second, in the same order, and what was seen is compared by
//! meaning: status, media type, metadata header, lines, and whether the reply ended, stayed open, or never began. What etcd itself
//! counts (watchers, calls in flight) tells whether a client that left has cancelled its call. The table is printed.
#![cfg(test)]

mod support {
    pub(crate) mod etcd;
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod lines;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::etcd::{Etcd, VOLATILE_NAMES, serve_before, serve_before_with};
use support::http;
use support::json::differences;
use support::lines::Lines;
use support::process::Process;
use support::tools;

const CLIENT_TIME: Duration = Duration::from_mins(2);
/// How often etcd's metrics are asked before a figure is taken to stay wrong. Each look takes milliseconds.
const LOOK_COUNT_MAX: usize = 1000;
/// The keys `foo` and `k`, the lease and election names of the rows, in base64.
const FOO: &str = "Zm9v";

/// One of the two ways to an etcd.
#[derive(Clone, Copy)]
struct Front<'e> {
    etcd: &'e Etcd,
    address: SocketAddr,
}

struct Row {
    name: &'static str,
    play: fn(Front<'_>) -> Value,
    /// Why Transom answers otherwise, and what is seen then.
    differs: Option<(&'static str, Value)>,
}

#[test]
fn transom_streams_as_the_gateway_of_etcd_does() {
    let (reference, behind) = (
        Etcd::start("streams-reference"),
        Etcd::start("streams-behind"),
    );
    let gateway = serve_before(&behind);
    let own = Front {
        etcd: &reference,
        address: reference.address(),
    };
    let ours = Front {
        etcd: &behind,
        address: gateway.address(),
    };
    let mut faults = Vec::new();
    let mut table = "| row | etcd's own gateway | Transom |\n|---|---|---|\n".to_owned();
    for row in rows() {
        let (expected, found) = ((row.play)(own), (row.play)(ours));
        let (verdict, wrong) = judge(&row, &expected, &found);
        let told = summary(&expected);
        writeln!(table, "| {} | {told} | {verdict} |", row.name).unwrap();
        if !wrong.is_empty() {
            faults.push(format!(
                "- {}\n    {}\n    etcd: {expected}\n    here: {found}",
                row.name,
                wrong.join("\n    ")
            ));
        }
    }
    println!("{table}");
    assert!(
        faults.is_empty(),
        "{} rows differ:\n{}\n{}",
        faults.len(),
        faults.join("\n"),
        gateway.transcript()
    );
    let (status, transcript) = gateway.stop();
    assert!(
        status.success() && !transcript.contains("panicked"),
        "transom ended with {status}: {transcript}"
    );
}

/// Shows that nothing in the rows is left to chance, and that each holds for etcd.
#[test]
fn two_etcds_stream_alike() {
    let (left, right) = (Etcd::start("streams-left"), Etcd::start("streams-right"));
    let front = |etcd| Front {
        etcd,
        address: Etcd::address(etcd),
    };
    let mut faults = Vec::new();
    for row in rows() {
        let (expected, found) = ((row.play)(front(&left)), (row.play)(front(&right)));
        if row.differs.is_some() {
            continue;
        }
        for fault in differences(&expected, &found, &VOLATILE_NAMES) {
            faults.push(format!("{}: {fault}", row.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Goal: the length of a download is not in the memory of the gateway. Method: a snapshot of more than 50 MB is read to its end; etcd
/// closes it with the SHA-256 of what goes before, which tells whether every byte came through.
#[test]
fn snapshot_of_50_mb_comes_through_whole_in_flat_memory() {
    let etcd = Etcd::start("snapshot");
    let gateway = serve_before(&etcd);
    fill(etcd.address(), 52);
    // What a worker keeps for each connection and for reading is there before it counts.
    assert!(read_snapshot(gateway.address()).is_whole);
    let before = gateway.resident_len();
    gateway.forget_peak();
    let snapshot = read_snapshot(gateway.address());
    let growth = gateway.peak_resident_len().saturating_sub(before);
    assert!(
        snapshot.is_whole,
        "the SHA-256 at the end of the snapshot is another"
    );
    assert!(snapshot.length > 50_000_000, "{}", snapshot.length);
    println!(
        "snapshot: {} bytes in {} messages; memory before {before}, growth {growth}",
        snapshot.length, snapshot.message_count
    );
    assert!(growth < 8 << 20, "the memory grew by {growth} bytes");
}

/// A reader that stops must stop etcd, and not fill the gateway.
#[test]
fn snapshot_that_nobody_reads_stops_at_the_source() {
    let etcd = Etcd::start("unread");
    let gateway = serve_before(&etcd);
    fill(etcd.address(), 52);
    assert!(read_snapshot(gateway.address()).is_whole);
    let before = gateway.resident_len();
    gateway.forget_peak();
    let readers: Vec<Lines> = (0..8)
        .map(|_| {
            let mut reader = Lines::post(gateway.address(), "/v3/maintenance/snapshot", "{}");
            reader.next_text().unwrap().unwrap();
            reader
        })
        .collect();
    // Something else goes on meanwhile: the snapshots are not read, the gateway is not stuck.
    for _ in 0..50 {
        let reply = http::request(
            gateway.address(),
            "POST",
            "/v3/kv/range",
            &[],
            Some(br#"{"key":"Zm9v"}"#),
        )
        .unwrap();
        assert_eq!(reply.status, 200);
    }
    assert!(
        (etcd.calls_in_flight("Snapshot") - 8.0).abs() < 0.5,
        "a snapshot has ended though nobody reads it"
    );
    let growth = gateway.peak_resident_len().saturating_sub(before);
    println!("8 snapshots that nobody reads: memory before {before}, growth {growth}");
    assert!(growth < 16 << 20, "the memory grew by {growth} bytes");
    drop(readers);
    assert!(
        comes_true(|| etcd.calls_in_flight("Snapshot") == 0.0),
        "snapshots go on though their clients have left"
    );
}

/// `etcd3gw` reads a watch chunk by chunk and takes each to be one message.
#[test]
fn each_message_is_a_chunk() {
    let etcd = Etcd::start("chunks");
    let gateway = serve_before(&etcd);
    for address in [etcd.address(), gateway.address()] {
        let mut renewals =
            Lines::post(address, "/v3/lease/keepalive", &r#"{"ID":"99"}"#.repeat(20));
        let seen = renewals.seen(20);
        assert_eq!(seen["lines"].as_array().map(Vec::len), Some(20), "{seen}");
        assert_eq!(renewals.chunk_count(), 20, "at {address}");
    }
}

/// The clients are first tried on etcd's own gateway, which shows that their checks are right.
#[test]
fn clients_of_the_rest_gateway_stream_unchanged() {
    for script in ["etcd3gw_streams.py", "etcd3py_client.py"] {
        let etcd = Etcd::start("client");
        run_client(script, &etcd, etcd.address());
        let etcd = Etcd::start("client-behind");
        // `etcd3-py` asks for `/version` first, which etcd serves beside its calls.
        let passing = format!("unknown_paths_to: http://{}\n", etcd.address());
        let gateway = serve_before_with(&etcd, &passing);
        run_client(script, &etcd, gateway.address());
    }
}

fn run_client(script: &str, etcd: &Etcd, address: SocketAddr) {
    let mut command = tools::python().command();
    command
        .arg(tools::python_folder().join(script))
        .arg(address.port().to_string());
    let mut client = Process::start(script, &mut command);
    let status = client.wait_for_end(CLIENT_TIME);
    let transcript = client.transcript();
    assert!(
        status.success() && transcript.contains(" passed, 0 failed"),
        "{script} before {address}: {transcript}"
    );
    assert!(
        comes_true(|| etcd.calls_in_flight("Watch") == 0.0),
        "{script} left a watch behind"
    );
}

/// What the row says of the two, and what is wrong.
fn judge(row: &Row, expected: &Value, found: &Value) -> (String, Vec<String>) {
    let equal = differences(expected, found, &VOLATILE_NAMES);
    let Some((why, ours)) = &row.differs else {
        return ("the same".to_owned(), equal);
    };
    let mut wrong = Vec::new();
    if equal.is_empty() {
        wrong.push("the row is wrong: it says that the answers differ".to_owned());
    }
    // The words of our own errors are pinned elsewhere; here they must be there, twice where a call that is no stream fails.
    let mut masked = vec!["message"];
    masked.extend(VOLATILE_NAMES);
    if ours.pointer("/lines/0/error").is_some_and(Value::is_string) {
        masked.push("error");
    }
    wrong.extend(differences(ours, found, &masked));
    (format!("{}: {why}", summary(found)), wrong)
}

/// `200, 2 lines, open`.
fn summary(seen: &Value) -> String {
    let end = seen["end"].as_str().unwrap_or_default();
    match (seen["status"].as_u64(), seen["lines"].as_array()) {
        (Some(status), Some(lines)) => {
            let lines = match lines.len() {
                1 => "1 line".to_owned(),
                count => format!("{count} lines"),
            };
            format!("{status}, {lines}, {end}")
        }
        _ if end == "silent" => "nothing yet".to_owned(),
        _ => "as told".to_owned(),
    }
}

fn rows() -> Vec<Row> {
    let same = |name, play| Row {
        name,
        play,
        differs: None,
    };
    let mut rows = Vec::new();
    rows.extend(lease_rows(same));
    rows.extend(watch_rows(same));
    rows.extend(other_rows(same));
    rows
}

type Same = fn(&'static str, fn(Front<'_>) -> Value) -> Row;

fn lease_rows(same: Same) -> Vec<Row> {
    vec![
        same("keepalive: two renewals in one body", |front| {
            post(front, "/v3/lease/grant", r#"{"ID":77,"TTL":600}"#);
            Lines::post(
                front.address,
                "/v3/lease/keepalive",
                r#"{"ID":77}{"ID":"77"}"#,
            )
            .seen(2)
        }),
        same(
            "keepalive: one a line, white space between and after",
            |front| {
                Lines::post(
                    front.address,
                    "/v3/lease/keepalive",
                    "{\"ID\":77}\n \t{\"ID\":77}\r\n\n",
                )
                .seen(2)
            },
        ),
        same("keepalive: a lease that is not there", |front| {
            Lines::post(front.address, "/v3/lease/keepalive", r#"{"ID":99}"#).seen(1)
        }),
        same(
            "keepalive: the body in chunks, cut within a value",
            |front| {
                let mut stream = Lines::open(front.address, "/v3/lease/keepalive");
                for piece in [r#"{"I"#, r#"D":7"#, r#"7}{"ID":"7"#, r#"7"}"#] {
                    stream.send(piece);
                }
                stream.finish();
                stream.seen(2)
            },
        ),
        Row {
            name: "keepalive: an empty body",
            play: |front| Lines::post(front.address, "/v3/lease/keepalive", "").seen(0),
            differs: Some((
                "SEMANTICS 131: the metadata header is there though no message is",
                json!({"status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "whole", "lines": []}),
            )),
        },
        Row {
            name: "keepalive: the second value has the wrong type",
            play: |front| {
                let mut stream = Lines::open(front.address, "/v3/lease/keepalive");
                stream.send(r#"{"ID":77}"#);
                stream.seen(0);
                stream.send(r#"{"ID":"x"}"#);
                stream.finish();
                stream.seen(2)
            },
            differs: Some((
                "SEMANTICS 124: etcd's gateway hides the mistake and ends as if all were well",
                json!({"status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "whole", "lines": [
                    renewed(), stream_error(3, 400, "Bad Request"),
                ]}),
            )),
        },
        Row {
            name: "keepalive: the first value has the wrong type",
            play: |front| {
                Lines::post(front.address, "/v3/lease/keepalive", r#"{"ID":"x"}"#).seen(1)
            },
            differs: Some((
                "SEMANTICS 124: a mistake of the client is 400 with code 3, and not 500 with code 2",
                refusal(),
            )),
        },
        Row {
            name: "keepalive: question and answer in turn, the body still open",
            play: |front| {
                let mut stream = Lines::open(front.address, "/v3/lease/keepalive");
                stream.send(r#"{"ID":77}"#);
                let first = stream.seen(0);
                stream.send(r#"{"ID":77}"#);
                let second = stream.seen(0);
                stream.finish();
                json!({"while open": [first["end"], second["end"]], "in the end": stream.seen(2)})
            },
            differs: Some((
                "SEMANTICS 125: answers at once; Go's server holds the reply back until the body has ended",
                json!({"while open": ["open", "open"], "in the end": {
                    "status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "whole",
                    "lines": [renewed(), renewed()],
                }}),
            )),
        },
    ]
}

fn watch_rows(same: Same) -> Vec<Row> {
    vec![
        same(
            "watch: created, a put, a delete; open although the body has ended; gone when the client leaves",
            |front| {
                let mut watch = create_watch(front, "");
                let created = watch.seen(1);
                post(
                    front,
                    "/v3/kv/put",
                    &format!(r#"{{"key":"{FOO}","value":"YmFy"}}"#),
                );
                watch.next().unwrap();
                post(
                    front,
                    "/v3/kv/deleterange",
                    &format!(r#"{{"key":"{FOO}"}}"#),
                );
                let all = watch.seen(3);
                let counted = front.etcd.metric("etcd_debugging_mvcc_watcher_total", &[]);
                drop(watch);
                json!({"created": created, "all": all, "watchers": counted, "after the client has left": watchers_end(front)})
            },
        ),
        same(
            "watch: with the previous value, from a revision in the past",
            |front| {
                let mut watch = create_watch(front, r#","start_revision":"2","prev_kv":true"#);
                watch.seen(2)
            },
        ),
        same("watch: puts filtered out", |front| {
            create_watch(front, r#","start_revision":2,"filters":["NOPUT"]"#).seen(2)
        }),
        same("watch: two of them in one body", |front| {
            let create = format!(r#"{{"create_request":{{"key":"{FOO}"}}}}"#);
            Lines::post(front.address, "/v3/watch", &format!("{create}\n{create}")).seen(2)
        }),
        same("watch: created and cancelled in one body", |front| {
            let body = format!(
                r#"{{"create_request":{{"key":"{FOO}"}}}}{{"cancel_request":{{"watch_id":0}}}}"#
            );
            Lines::post(front.address, "/v3/watch", &body).seen(2)
        }),
        same("watch: an event of 200 kB", |front| {
            let mut watch = create_watch(front, "");
            watch.next().unwrap();
            let value = "QUJD".repeat(50_000);
            post(
                front,
                "/v3/kv/put",
                &format!(r#"{{"key":"{FOO}","value":"{value}"}}"#),
            );
            let event = watch.next().unwrap().unwrap();
            let found = &event["result"]["events"][0]["kv"]["value"];
            json!({"arrived": found.as_str() == Some(&value)})
        }),
        same("watch: 300 puts, each seen once and in order", |front| {
            let mut watch = create_watch(front, "");
            watch.next().unwrap();
            let mut client = http::Client::connect(front.address).unwrap();
            for number in 0..300 {
                let body = format!(
                    r#"{{"key":"{FOO}","value":"{}"}}"#,
                    ["QQ==", "Qg=="][number % 2]
                );
                assert_eq!(
                    client
                        .send("POST", "/v3/kv/put", &[], Some(body.as_bytes()))
                        .unwrap()
                        .status,
                    200
                );
            }
            let mut values = Vec::new();
            while values.len() < 300 {
                let line = watch.next().unwrap().unwrap();
                let events = line["result"]["events"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                values.extend(
                    events
                        .into_iter()
                        .map(|event| json!([event["kv"]["version"], event["kv"]["value"]])),
                );
            }
            json!({"events": values})
        }),
        same("watch: nothing asked for, {}", |front| {
            Lines::post(front.address, "/v3/watch", "{}").seen(0)
        }),
        same("watch: a cancel of what is not there", |front| {
            Lines::post(
                front.address,
                "/v3/watch",
                r#"{"cancel_request":{"watch_id":"9"}}"#,
            )
            .seen(0)
        }),
        Row {
            name: "watch: broken JSON",
            play: |front| Lines::post(front.address, "/v3/watch", r#"{"create_request":"#).seen(1),
            differs: Some((
                "SEMANTICS 124: a mistake of the client is 400 with code 3, and not 500 with code 2",
                refusal(),
            )),
        },
        Row {
            name: "watch: an array of requests",
            play: |front| {
                let body = format!(r#"[{{"create_request":{{"key":"{FOO}"}}}}]"#);
                Lines::post(front.address, "/v3/watch", &body).seen(1)
            },
            differs: Some((
                "SEMANTICS 124: an array is taken as well",
                json!({"status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "open", "lines": [
                    {"result": {"header": header("304"), "created": true}},
                ]}),
            )),
        },
        Row {
            name: "watch: the body stays open; an event; cancelled by the client's next request",
            play: |front| {
                let mut watch = Lines::open(front.address, "/v3/watch");
                watch.send(&format!(r#"{{"create_request":{{"key":"{FOO}"}}}}"#));
                let created = watch.seen(0);
                if created["end"] == "silent" {
                    return created;
                }
                watch.send(r#"{"cancel_request":{"watch_id":"0"}}"#);
                let cancelled = watch.seen(2);
                watch.finish();
                json!({"created": created["end"], "cancelled": cancelled["end"], "in the end": watch.seen(2)})
            },
            differs: Some((
                "SEMANTICS 125: Go's server holds the reply back until the body has ended",
                json!({"created": "open", "cancelled": "open", "in the end": {
                    "status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "open", "lines": [
                        {"result": {"header": header("304"), "created": true}},
                        {"result": {"header": header("304"), "canceled": true}},
                    ]},
                }),
            )),
        },
        Row {
            name: "watch: a deadline before the first message",
            play: |front| {
                Lines::request(front.address, "/v3/watch", &["Grpc-Timeout: 300m"], "{}").seen(1)
            },
            differs: Some((
                "SEMANTICS 109, 122: always 504 with code 4; etcd's gateway says so, or 500 with code 2, as its two timers will",
                early_error(4, 504, "Gateway Timeout"),
            )),
        },
        Row {
            name: "watch: a deadline after the first message",
            play: |front| {
                let body = format!(r#"{{"create_request":{{"key":"{FOO}"}}}}"#);
                Lines::request(front.address, "/v3/watch", &["Grpc-Timeout: 900m"], &body).seen(2)
            },
            differs: Some((
                "SEMANTICS 118: only the text is our own",
                json!({"status": 200, "media_type": "application/json", "metadata": "application/grpc", "end": "whole", "lines": [
                    {"result": {"header": header("304"), "created": true}}, stream_error(4, 504, "Gateway Timeout"),
                ]}),
            )),
        },
        same("watch: from a revision that is compacted", |front| {
            post(front, "/v3/kv/compaction", r#"{"revision":"4"}"#);
            create_watch(front, r#","start_revision":"2""#).seen(2)
        }),
        same("watch: by GET", |front| {
            let reply = http::request(front.address, "GET", "/v3/watch", &[], None).unwrap();
            json!({"status": reply.status})
        }),
    ]
}

fn other_rows(same: Same) -> Vec<Row> {
    vec![
        same("observe: nobody is elected", |front| {
            let mut observer =
                Lines::post(front.address, "/v3/election/observe", r#"{"name":"ZWw="}"#);
            observer.seen(0)
        }),
        same(
            "observe: elected, proclaimed, resigned; gone when the client leaves",
            |front| {
                let mut observer =
                    Lines::post(front.address, "/v3/election/observe", r#"{"name":"ZWw="}"#);
                let leader = post(
                    front,
                    "/v3/election/campaign",
                    r#"{"name":"ZWw=","lease":"77","value":"YQ=="}"#,
                );
                let elected = observer.next().unwrap();
                let leader = &leader["leader"];
                post(
                    front,
                    "/v3/election/proclaim",
                    &json!({"leader": leader, "value": "Yg=="}).to_string(),
                );
                let proclaimed = observer.next().unwrap();
                post(
                    front,
                    "/v3/election/resign",
                    &json!({"leader": leader}).to_string(),
                );
                let all = observer.seen(2);
                drop(observer);
                let left = comes_true(|| front.etcd.calls_in_flight("Observe") == 0.0);
                json!({"elected": elected, "proclaimed": proclaimed, "all": all, "gone": left})
            },
        ),
        same("lock: the second waits until the first unlocks", |front| {
            let first = post(front, "/v3/lock/lock", r#"{"name":"bA==","lease":"77"}"#);
            post(front, "/v3/lease/grant", r#"{"ID":78,"TTL":600}"#);
            let mut second = Lines::post(
                front.address,
                "/v3/lock/lock",
                r#"{"name":"bA==","lease":"78"}"#,
            );
            let waits = second.seen(0);
            post(
                front,
                "/v3/lock/unlock",
                &json!({"key": first["key"]}).to_string(),
            );
            json!({"first": first, "waits": waits, "second": second.seen(1)})
        }),
        same("lock: a client that leaves waits no longer", |front| {
            post(front, "/v3/lease/grant", r#"{"ID":79,"TTL":600}"#);
            let mut third = Lines::post(
                front.address,
                "/v3/lock/lock",
                r#"{"name":"bA==","lease":"79"}"#,
            );
            let waits = third.seen(0);
            drop(third);
            let left = comes_true(|| front.etcd.calls_in_flight("Lock") == 0.0);
            json!({"waits": waits, "gone": left})
        }),
        same("snapshot: whole", |front| {
            let snapshot = read_snapshot(front.address);
            json!({"whole": snapshot.is_whole})
        }),
        Row {
            name: "snapshot: broken JSON",
            play: |front| Lines::post(front.address, "/v3/maintenance/snapshot", "{").seen(1),
            differs: Some(("SEMANTICS 118: the text is our own", refusal())),
        },
        same(
            "a stream that has ended leaves its connection in use",
            |front| {
                let mut renewals =
                    Lines::post(front.address, "/v3/lease/keepalive", r#"{"ID":77}"#);
                let seen = renewals.seen(1);
                let mut client = renewals.client();
                let reply = client
                    .send("POST", "/v3/kv/range", &[], Some(br#"{"key":"bm9uZQ=="}"#))
                    .unwrap();
                json!({"stream": seen, "next": reply.status, "range": reply.json()})
            },
        ),
        // The last, for nothing else is allowed after it.
        same(
            "errors of etcd itself before a first message: a user is asked for",
            |front| {
                post(
                    front,
                    "/v3/auth/user/add",
                    r#"{"name":"root","password":"r"}"#,
                );
                post(
                    front,
                    "/v3/auth/user/grant",
                    r#"{"user":"root","role":"root"}"#,
                );
                post(front, "/v3/auth/enable", "{}");
                let snapshot = Lines::post(front.address, "/v3/maintenance/snapshot", "{}").seen(1);
                let watch = create_watch(front, "").seen(1);
                json!({"snapshot": snapshot, "watch": watch})
            },
        ),
    ]
}

fn create_watch(front: Front<'_>, options: &str) -> Lines {
    let body = format!(r#"{{"create_request":{{"key":"{FOO}"{options}}}}}"#);
    Lines::post(front.address, "/v3/watch", &body)
}

/// A call that is no stream and goes well.
fn post(front: Front<'_>, path: &str, body: &str) -> Value {
    let headers = [("Content-Type", "application/json")];
    let reply =
        http::request(front.address, "POST", path, &headers, Some(body.as_bytes())).unwrap();
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

fn header(revision: &str) -> Value {
    json!({"cluster_id": "1", "member_id": "1", "revision": revision, "raft_term": "1"})
}

fn renewed() -> Value {
    json!({"result": {"header": header("1"), "ID": "77", "TTL": "600"}})
}

/// What is seen of a request that Transom refuses before anything has been answered.
fn refusal() -> Value {
    let text = "masked";
    json!({"status": 400, "media_type": "application/json", "metadata": null, "end": "whole", "lines": [
        {"code": 3, "message": text, "error": text},
    ]})
}

/// An error as grpc-gateway v1 tells it in a stream.
fn stream_error(code: u8, status: u16, name: &str) -> Value {
    json!({"error": {"grpc_code": code, "http_code": status, "http_status": name, "message": "masked"}})
}

/// What is seen of a stream that fails before anything has been answered.
fn early_error(code: u8, status: u16, name: &str) -> Value {
    json!({"status": status, "media_type": "application/json", "metadata": null, "end": "whole", "lines": [stream_error(code, status, name)]})
}

fn watchers_end(front: Front<'_>) -> bool {
    comes_true(|| {
        front.etcd.metric("etcd_debugging_mvcc_watcher_total", &[]) == 0.0
            && front.etcd.calls_in_flight("Watch") == 0.0
    })
}

fn comes_true(is_true: impl Fn() -> bool) -> bool {
    (0..LOOK_COUNT_MAX).any(|_| is_true())
}

/// Puts `count` values of 1 MiB, none of which compresses to another.
fn fill(address: SocketAddr, count: u32) {
    let mut client = http::Client::connect(address).unwrap();
    let mut state = 1_u64;
    for number in 0..count {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: Vec<u8> = (0..(4 << 20) / 3 / 4 * 4)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                alphabet[(state >> 58) as usize]
            })
            .collect();
        let body = format!(
            r#"{{"key":"{FOO}{number:04}","value":"{}"}}"#,
            String::from_utf8(text).unwrap()
        );
        let reply = client
            .send("POST", "/v3/kv/put", &[], Some(body.as_bytes()))
            .unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

struct Snapshot {
    length: usize,
    message_count: usize,
    /// Its last 32 bytes are the SHA-256 of those before.
    is_whole: bool,
}

fn read_snapshot(address: SocketAddr) -> Snapshot {
    let mut hash = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut hashed = hash.stdin.take().unwrap();
    let digest = thread::spawn(move || hash.wait_with_output().unwrap());
    let mut stream = Lines::post(address, "/v3/maintenance/snapshot", "{}");
    let (mut length, mut message_count, mut held) = (0, 0, Vec::new());
    while let Some(line) = stream.next_text().unwrap() {
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
        let blob = message["result"]["blob"]
            .as_str()
            .unwrap_or_else(|| panic!("no blob: {line:.200}"));
        let before = held.len();
        decode_base64(blob, &mut held);
        length += held.len() - before;
        message_count += 1;
        // The last 32 bytes seen so far are kept back: they may be the digest.
        let ready = held.len().saturating_sub(32);
        hashed.write_all(&held[..ready]).unwrap();
        held.drain(..ready);
    }
    drop(hashed);
    let digest = digest.join().unwrap();
    let mut expected = String::new();
    for byte in &held {
        write!(expected, "{byte:02x}").unwrap();
    }
    Snapshot {
        length,
        message_count,
        is_whole: held.len() == 32 && digest.stdout.starts_with(expected.as_bytes()),
    }
}

/// Standard base64 with padding, as protobuf's JSON has it.
fn decode_base64(text: &str, out: &mut Vec<u8>) {
    let mut table = [0_u8; 256];
    for (value, digit) in (0_u8..).zip(
        (b'A'..=b'Z')
            .chain(b'a'..=b'z')
            .chain(b'0'..=b'9')
            .chain(*b"+/"),
    ) {
        table[usize::from(digit)] = value;
    }
    for group in text.as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, &digit| {
            bits << 6 | u32::from(table[usize::from(digit)])
        });
        let padding = usize::from(group[2] == b'=') + usize::from(group[3] == b'=');
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
}
