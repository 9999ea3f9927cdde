//! Requests that are good HTTP and mean harm: targets, headers and bodies (THREATS B1 to B6, D1 to D9), end to end.
//!
//! Goal: each gets the answer SEMANTICS gives it, quickly, in one JSON form, and the connection goes on. Method: one kept-alive
//! connection for each table, so that a wrong framing or a dead worker shows at the next row; what reaches the upstream is recorded
//! by a small gRPC server of the test.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use http::{HeaderMap, Response};
use support::gateway::Gateway;
use support::http::{Client, Reply};
use support::wire::{assert_error, assert_serves};
use transom::clock;

const PATIENCE: Duration = Duration::from_secs(20);
const MEBIBYTE: usize = 1 << 20;

/// Asserts the status, the form of an error, and that the connection goes on.
fn assert_status(client: &mut Client, name: &str, reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{name}: {}", reply.text());
    if status >= 400 {
        assert_error(reply, name);
    }
    let next = client.send("GET", "/v1/titles", &[], None).unwrap();
    assert_eq!(next.status, 200, "after {name}");
}

/// B4, B5, B7: targets.
#[test]
fn hostile_targets_get_their_answer() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    let parameters = |count: usize| format!("/v1/titles?{}", vec!["a=1"; count].join("&"));
    let (most, more) = (parameters(256), parameters(257));
    let many = format!("/v1/files/{}", "a/".repeat(2_000));
    let steps = format!("/v1/books?{}x=1", "a.".repeat(40));
    let cases: Vec<(&str, &str, u16)> = vec![
        ("encoded dots are a value", "/v1/shelves/%2e%2e", 404),
        ("plain dots are a value", "/v1/shelves/..", 404),
        ("slash in a variable", "/v1/shelves/a%2Fb", 404),
        ("NUL in a variable", "/v1/shelves/%00", 404),
        ("overlong UTF-8", "/v1/shelves/%c0%af", 400),
        ("no UTF-8", "/v1/shelves/%ff", 400),
        ("escape cut", "/v1/shelves/a%2", 400),
        ("no escape", "/v1/shelves/a%zz", 400),
        ("double encoding is decoded once", "/v1/shelves/%252e", 404),
        ("empty segment", "/v1//shelves", 404),
        ("trailing slash", "/v1/titles/", 404),
        ("semicolon and backslash", "/v1/shelves/a;b\\c", 404),
        ("2,000 segments", &many, 404),
        ("unknown verb", "/v1/shelves/fiction/books/dune:nosuch", 404),
        ("no such path", "/etc/passwd", 404),
        ("256 parameters", &most, 200),
        ("257 parameters", &more, 400),
        ("40 steps", &steps, 400),
        ("unknown parameter", "/v1/titles?nosuch.a.b=1", 200),
        ("a scalar twice", "/v1/shelves?page_size=1&page_size=2", 400),
        ("a message as parameter", "/v1/books?filter=x", 400),
        ("a step into a scalar", "/v1/shelves?page_size.x=1", 400),
        (
            "a number out of range",
            "/v1/shelves?page_size=4294967296",
            400,
        ),
        ("bad escape in the query", "/v1/shelves?page_size=%zz", 400),
        ("no UTF-8 in the query", "/v1/books?filter.tags=%ff", 400),
        (
            "two members of a oneof",
            "/v1/echo?choice_text=a&choice_number=1",
            400,
        ),
        (
            "method override is no method",
            "/v1/titles?_method=DELETE",
            200,
        ),
    ];
    for (name, target, status) in cases {
        let reply = client.send("GET", target, &[], None).unwrap();
        assert_status(&mut client, name, &reply, status);
    }
    // What the text means reaches the upstream decoded once, and comes back in its error.
    let reply = client
        .send("GET", "/v1/shelves/%252e%41", &[], None)
        .unwrap();
    assert!(reply.text().contains("shelves/%2eA"), "{}", reply.text());
    // B6: the path wins over the body.
    let reply = client
        .send(
            "PATCH",
            "/v1/shelves/fiction/books/dune?update_mask=rating",
            &[],
            Some(b"{\"name\": \"shelves/x/books/y\", \"rating\": 1}"),
        )
        .unwrap();
    assert_eq!(
        (reply.status, &reply.json()["name"]),
        (200, &"shelves/fiction/books/dune".into())
    );
}

/// D1 to D9: bodies.
#[test]
fn hostile_bodies_get_their_answer() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    let deep = |open: &str, close: &str| {
        format!("{}{}", open.repeat(100_000), close.repeat(100_000)).into_bytes()
    };
    let inside = |before: &str, value: Vec<u8>| [before.as_bytes(), &value, b"}"].concat();
    let text = |body: &str| body.as_bytes().to_vec();
    let digits = "9".repeat(100_000);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("D1 deep arrays", deep("[", "]"), 400),
        ("D1 deep objects", deep("{\"nested\":", "}"), 400),
        (
            "D1 deep and never closed",
            text(&"[".repeat(1_000_000)),
            400,
        ),
        (
            "D1 deep in an unknown field",
            inside("{\"x\":", deep("[", "]")),
            400,
        ),
        (
            "D1 deep in a Struct",
            inside("{\"struct\":", deep("{\"a\":", "}")),
            400,
        ),
        (
            "D1 deep in a Value",
            inside("{\"value\":", deep("[", "]")),
            400,
        ),
        (
            "D1 deep in a ListValue",
            inside("{\"listValue\":", deep("[", "]")),
            400,
        ),
        ("D2 1e999999", text("{\"doubleValue\": 1e999999}"), 400),
        (
            "D2 1e999999 for an integer",
            text("{\"int64Value\": 1e999999}"),
            400,
        ),
        (
            "D2 1e-999999 is zero",
            text("{\"doubleValue\": 1e-999999}"),
            200,
        ),
        (
            "D2 100,000 digits",
            text(&format!("{{\"int64Value\": {digits}}}")),
            400,
        ),
        (
            "D2 100,000 digits behind the point",
            text(&format!("{{\"doubleValue\": 0.{digits}}}")),
            200,
        ),
        ("D2 leading zero", text("{\"int32Value\": 01}"), 400),
        ("D2 bare NaN", text("{\"doubleValue\": NaN}"), 400),
        (
            "D2 integer beyond",
            text("{\"int32Value\": 2147483648}"),
            400,
        ),
        ("D2 fraction", text("{\"int32Value\": 1.5}"), 400),
        (
            "D2 1.0 and 1e2",
            text("{\"int32Value\": 1.0, \"int64Value\": 1e2}"),
            200,
        ),
        ("D3 no UTF-8", b"{\"stringValue\": \"\xff\"}".to_vec(), 400),
        (
            "D3 overlong UTF-8",
            b"{\"stringValue\": \"\xc0\xaf\"}".to_vec(),
            400,
        ),
        (
            "D3 encoded surrogate",
            b"{\"stringValue\": \"\xed\xa0\x80\"}".to_vec(),
            400,
        ),
        (
            "D3 lone surrogate",
            text("{\"stringValue\": \"\\ud800\"}"),
            400,
        ),
        (
            "D3 swapped surrogates",
            text("{\"stringValue\": \"\\udc00\\ud800\"}"),
            400,
        ),
        (
            "D3 control byte",
            b"{\"stringValue\": \"a\x01\"}".to_vec(),
            400,
        ),
        ("D3 byte order mark", text("\u{feff}{}"), 400),
        ("D3 UTF-16", b"{\0}\0".to_vec(), 400),
        ("D3 NUL after the end", b"{}\0".to_vec(), 400),
        (
            "D4 a key twice",
            text("{\"int32Value\": 1, \"int32Value\": 1}"),
            400,
        ),
        (
            "D4 both names",
            text("{\"int32Value\": 1, \"int32_value\": 1}"),
            400,
        ),
        (
            "D4 two of a oneof",
            text("{\"choiceText\": \"a\", \"choiceNumber\": 1}"),
            400,
        ),
        (
            "D4 null in a list",
            text("{\"repeatedInt32\": [null]}"),
            400,
        ),
        ("D4 unknown enum name", text("{\"colour\": \"BEIGE\"}"), 400),
        ("D5 trailing garbage", text("{} x"), 400),
        ("D5 two documents", text("{}{}"), 400),
        ("D5 a comment", text("{/**/}"), 400),
        ("D5 single quotes", text("{'int32Value': 1}"), 400),
        ("D5 trailing comma", text("{\"int32Value\": 1,}"), 400),
        ("D5 unterminated", text("{\"stringValue\": \"a"), 400),
        ("D5 an array", text("[]"), 400),
        ("D5 null", text("null"), 400),
        ("D5 blank", text(" \r\n\t "), 200),
        (
            "D6 50,000 unknown keys",
            text(&format!(
                "{{{}}}",
                (0..50_000)
                    .map(|key| format!("\"k{key}\":1"))
                    .collect::<Vec<_>>()
                    .join(",")
            )),
            200,
        ),
        (
            "D7 a string of 1 MiB",
            text(&format!(
                "{{\"stringValue\": \"{}\"}}",
                "x".repeat(MEBIBYTE)
            )),
            200,
        ),
        (
            "D7 escapes",
            text(&format!(
                "{{\"stringValue\": \"{}\"}}",
                "\\u00e9".repeat(50_000)
            )),
            200,
        ),
        (
            "D7 1 MiB of spaces",
            text(&format!("{{{}}}", " ".repeat(MEBIBYTE))),
            200,
        ),
        (
            "D7 4 MiB",
            text(&format!("{{{}}}", " ".repeat(4 * MEBIBYTE - 2))),
            200,
        ),
        (
            "D9 base64 of both alphabets, unpadded",
            text("{\"bytesValue\": \"-_\", \"repeatedBytes\": [\"+/8=\"]}"),
            200,
        ),
        ("D9 no base64", text("{\"bytesValue\": \"a b\"}"), 400),
    ];
    for (name, body, status) in cases {
        let since = clock::now();
        let reply = client.send("POST", "/v1/echo", &[], Some(&body)).unwrap();
        // An unoptimised build on a busy machine; a cost that is not linear is far beyond.
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{name}: {:?}",
            since.elapsed()
        );
        assert_status(&mut client, name, &reply, status);
        assert!(
            reply.body.len() < 5 * MEBIBYTE && (status == 200 || reply.body.len() < 2_000),
            "{name}"
        );
    }

    // D8: what is in no coding, or in one that nobody knows. Bombs are cases of the engine.
    for (coding, status) in [
        ("gzip", 400),
        ("deflate", 400),
        ("br", 400),
        ("zstd", 400),
        ("identity, gzip", 400),
        ("gzip, gzip", 415),
        ("compress", 415),
    ] {
        let reply = client
            .send(
                "POST",
                "/v1/echo",
                &[("Content-Encoding", coding)],
                Some(b"{}"),
            )
            .unwrap();
        assert_status(&mut client, coding, &reply, status);
    }
    let reply = client
        .send(
            "POST",
            "/v1/echo",
            &[("Content-Type", "application/json; charset=utf-16")],
            Some(b"{}"),
        )
        .unwrap();
    assert_status(&mut client, "charset", &reply, 415);

    // One byte more than the limit is refused before it is read, which ends the connection.
    let reply = client.send("POST", "/v1/echo", &[], Some(&vec![b' '; 4 * MEBIBYTE + 1]));
    if let Ok(reply) = reply {
        assert_eq!(reply.status, 413);
    }
    assert_serves(gateway.address(), "a body that is too large");
    assert!(
        gateway.resident_len() < 200 * MEBIBYTE as u64,
        "{}",
        gateway.resident_len()
    );
}

/// B3: the client's deadline.
#[test]
fn hostile_deadlines_are_refused_or_bounded() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    for (value, status) in [
        ("1", 400),
        ("-1S", 400),
        ("", 400),
        ("S", 400),
        ("123456789S", 400),
        ("1 S", 400),
        ("1s", 400),
        ("99999999H", 200),
        ("99999999n", 200),
        ("10S", 200),
        ("0S", 504),
        ("1n", 504),
    ] {
        let reply = client
            .send(
                "GET",
                "/v1/wait?delay=0.01s",
                &[("Grpc-Timeout", value)],
                None,
            )
            .unwrap();
        assert_status(&mut client, value, &reply, status);
    }
}

/// What an upstream saw of one call.
struct Seen {
    path: String,
    headers: HeaderMap,
}

/// An upstream that records what reaches it and answers with an empty message.
fn recording_upstream() -> (String, Receiver<Seen>) {
    let (tell, seen) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(socket).await else {
                        return;
                    };
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let (parts, _body) = request.into_parts();
                        let path = parts.uri.path().to_owned();
                        tell.send(Seen {
                            path,
                            headers: parts.headers,
                        })
                        .unwrap_or_default();
                        let head = Response::builder()
                            .header("content-type", "application/grpc")
                            .body(())
                            .unwrap();
                        let Ok(mut stream) = respond.send_response(head, false) else {
                            return;
                        };
                        let _sent = stream.send_data(vec![0; 5].into(), false);
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        let _sent = stream.send_trailers(trailers);
                    }
                });
            }
        });
    });
    (url, seen)
}

/// B1, B2, B10: which headers reach the upstream, as what.
#[test]
fn only_harmless_headers_become_metadata() {
    let (url, seen) = recording_upstream();
    let gateway = Gateway::serve_before(&url, "example/bookstore.proto", &["--workers", "1"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    let sent = [
        ("Authorization", "Bearer x"),
        ("Traceparent", "00-1-2-03"),
        ("X-Twice", "a"),
        ("X-Twice", "b"),
        ("X-Data-Bin", "/+8="),
        ("Grpc-Timeout", "5S"),
        ("Grpc-Encoding", "gzip"),
        ("Grpc-Status", "0"),
        ("Grpc-Message", "m"),
        ("Grpc-Accept-Encoding", "gzip"),
        ("TE", "gzip"),
        ("Content-Type", "application/json"),
        ("Connection", "X-Secret"),
        ("X-Secret", "hop by hop"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "x"),
        ("Upgrade", "h2c"),
        ("X-Beyond", "caf\u{e9}"),
        ("X-HTTP-Method-Override", "DELETE"),
    ];
    let reply = client.send("GET", "/v1/titles", &sent, None).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let Seen { path, headers } = seen.recv_timeout(PATIENCE).unwrap();
    // The override changed nothing.
    assert_eq!(path, "/bookstore.v1.Bookstore/ListTitles");
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &headers {
        found
            .entry(name.as_str())
            .or_default()
            .push(value.to_str().unwrap());
    }
    found.retain(|name, _| *name != "host" && *name != "user-agent");
    let timeout = found.remove("grpc-timeout").unwrap();
    assert_eq!(timeout.len(), 1, "{timeout:?}");
    let expected: BTreeMap<&str, Vec<&str>> = [
        ("authorization", vec!["Bearer x"]),
        ("traceparent", vec!["00-1-2-03"]),
        ("x-twice", vec!["a", "b"]),
        ("x-data-bin", vec!["/+8"]),
        ("te", vec!["trailers"]),
        ("content-type", vec!["application/grpc"]),
        ("x-http-method-override", vec!["DELETE"]),
    ]
    .into();
    assert_eq!(found, expected);

    let reply = client
        .send("GET", "/v1/titles", &[("X-Data-Bin", "no base64!")], None)
        .unwrap();
    assert_eq!(reply.status, 400);
    assert_error(&reply, "binary");
    assert!(seen.try_recv().is_err());
}
