//! HTTP/1.1 as attackers write it (THREATS A1 to A11), against the running gateway with the bookstore behind it.
//!
//! Goal: no request is smuggled, none is guessed at, and none does harm to the next client. Method: raw bytes on a connection of their
//! own; every reply until the gateway closes it is counted and looked at; then a normal request must get its normal answer.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::thread;

use support::gateway::Gateway;
use support::http::{Client, Reply};
use support::wire::{HIDDEN, MARK, assert_error, assert_serves, replies_to, replies_until_close};

/// The head of a POST whose body follows; the rule is `body: "*"`.
const ECHO: &str = "POST /v1/echo HTTP/1.1\r\nHost: h\r\n";

/// Each request is refused with one of the statuses, once, and the connection ends, so what hides behind it is never answered.
fn assert_refused(gateway: &Gateway, cases: &[(&str, Vec<u8>, &[u16])]) {
    for (name, bytes, statuses) in cases {
        let replies = replies_to(gateway.address(), bytes);
        assert_eq!(replies.len(), 1, "{name}: {replies:?}");
        let reply = &replies[0];
        assert!(statuses.contains(&reply.status), "{name}: {reply:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{name}");
        assert!(!reply.text().contains(MARK), "{name}: {reply:?}");
        assert_error(reply, name);
        assert_serves(gateway.address(), name);
    }
}

fn finish(gateway: Gateway) {
    let (status, transcript) = gateway.stop();
    assert!(status.success(), "{status}: {transcript}");
    assert!(!transcript.contains("panick"), "{transcript}");
}

/// A1 to A4: two opinions about where a body ends.
#[test]
fn ambiguous_framing_is_refused_and_hides_nothing() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let with =
        |headers: &str, body: &str| format!("{ECHO}{headers}\r\n\r\n{body}{HIDDEN}").into_bytes();
    let length = |text: &str| with(&format!("Content-Length: {text}"), "{}");
    let coding = |text: &str| with(text, "0\r\n\r\n");
    let mut cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        (
            "A1 CL then TE",
            with(
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            &[400],
        ),
        (
            "A1 TE then CL",
            with(
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                "0\r\n\r\n",
            ),
            &[400],
        ),
        (
            "A1 CL 0, TE, keep-alive",
            with(
                "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive",
                "",
            ),
            &[400],
        ),
        (
            "A2 two that differ",
            with("Content-Length: 2\r\nContent-Length: 60", "{}"),
            &[400],
        ),
        (
            "A2 two that are equal",
            with("Content-Length: 2\r\nContent-Length: 2", "{}"),
            &[400],
        ),
        ("A2 a list", length("2, 2"), &[400]),
        ("A3 2^63-1", length("9223372036854775807"), &[413]),
        ("A3 2^40", length("1099511627776"), &[413]),
        ("A3 one too many", length("4194305"), &[413]),
    ];
    for text in [
        "+2",
        "-1",
        "0x2",
        "2;0",
        "2.0",
        "2e0",
        "",
        "\"2\"",
        "\u{b2}",
        "18446744073709551618",
    ] {
        cases.push((text, length(text), &[400]));
    }
    for text in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        cases.push((text, coding(text), &[400, 501]));
    }
    let old =
        format!("POST /v1/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}");
    cases.push(("A4 in HTTP/1.0", old.into_bytes(), &[400]));
    assert_refused(&gateway, &cases);
    finish(gateway);
}

/// A5, A8, A10: heads that are no heads.
#[test]
fn malformed_heads_are_refused() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let get =
        |rest: &str| format!("GET /v1/titles HTTP/1.1\r\n{rest}\r\n\r\n{HIDDEN}").into_bytes();
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n{HIDDEN}").into_bytes();
    let mut cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        (
            "bare LF",
            format!("GET /v1/titles HTTP/1.1\nHost: h\n\n{HIDDEN}").into_bytes(),
            &[400],
        ),
        ("no Host", get("X: y"), &[400]),
        ("two Hosts", get("Host: a\r\nHost: b"), &[400]),
        ("odd Host", get("Host: a b"), &[400]),
        ("Host with a path", get("Host: a/b"), &[400]),
        (
            "HTTP/0.9",
            format!("GET /v1/titles\r\n\r\n{HIDDEN}").into_bytes(),
            &[400, 505],
        ),
        ("HTTP/1.2", line("GET /v1/titles HTTP/1.2"), &[400, 505]),
        ("HTTP/2.0", line("GET /v1/titles HTTP/2.0"), &[400, 505]),
        ("http/1.1", line("GET /v1/titles http/1.1"), &[400, 505]),
        ("two spaces", line("GET  /v1/titles HTTP/1.1"), &[400]),
        (
            "HTTP/2 preface",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            &[400, 505],
        ),
        ("CONNECT", line("CONNECT h:80 HTTP/1.1"), &[400, 405, 501]),
        ("OPTIONS *", line("OPTIONS * HTTP/1.1"), &[400]),
        (
            "Expect nonsense",
            get("Host: h\r\nExpect: the-unexpected"),
            &[417],
        ),
        (
            "TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            &[400],
        ),
        ("binary", (0_u8..=255).rev().collect(), &[400]),
    ];
    for text in [
        "Host: h\r\nX: a\r\n b",
        "Host: h\r\nX: a\rb",
        "Host: h\r\nX: a\0b",
        "Host: h\r\nX: a\x01b",
        "Host: h\r\nX: a\x7fb",
        "Host: h\r\nX y: a",
        "Host: h\r\nX\u{e9}: a",
        "Host: h\r\nX(: a",
        "Host: h\r\nno colon",
        "Host: h\r\n: empty name",
        "Host: h\nX: bare LF before",
    ] {
        cases.push((text, get(text), &[400]));
    }
    assert_refused(&gateway, &cases);
    finish(gateway);
}

/// A6, A7: chunks that are no chunks, or cost more than they carry.
#[test]
fn broken_chunks_are_refused() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let chunks =
        |body: &str| format!("{ECHO}Transfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}").into_bytes();
    let trailers = headers("T", 5_000);
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        (
            "17 digits",
            chunks("00000000000000002\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "2^64+2",
            chunks("10000000000000002\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "2^64-1",
            chunks("ffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            &[413],
        ),
        ("negative", chunks("-1\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("0x", chunks("0x2\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("leading space", chunks(" 2\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("space behind", chunks("2 \r\n{}\r\n0\r\n\r\n"), &[400]),
        ("empty", chunks("\r\n{}\r\n0\r\n\r\n"), &[400]),
        (
            "longer than its size",
            chunks("2\r\n{} \r\n0\r\n\r\n"),
            &[400],
        ),
        ("no line end behind", chunks("2\r\n{}0\r\n\r\n"), &[400]),
        ("LF ends the size", chunks("2\n{}\r\n0\r\n\r\n"), &[400]),
        ("LF ends the chunk", chunks("2\r\n{}\n0\r\n\r\n"), &[400]),
        (
            "LF in an extension",
            chunks("2;a=\n\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "CR in an extension",
            chunks("2;a=\rb\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "extensions of 4 KiB a byte",
            chunks(&format!("1;{}\r\n \r\n", "e".repeat(4096)).repeat(64)),
            &[400],
        ),
        (
            "5,000 trailers",
            chunks(&format!("0\r\n{trailers}\r\n")),
            &[400, 431],
        ),
        (
            "200,000 chunks of a byte",
            chunks(&"1\r\n \r\n".repeat(200_000)),
            &[400],
        ),
        ("more than the limit", chunks("400001\r\n"), &[413]),
    ];
    assert_refused(&gateway, &cases);

    // What is in order: extensions and trailers are dropped, framing fields among them too, and the next request is the next.
    let good = chunks("1;ext=\"a\"\r\n{\r\n01\r\n}\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\n");
    let replies = replies_to(gateway.address(), &good);
    assert_eq!(statuses(&replies), [200, 200], "{replies:?}");
    assert!(replies[1].text().contains(MARK));
    finish(gateway);
}

/// A8, A9, A10: what is legal, or harmless, and gets one answer for each request.
#[test]
fn odd_but_readable_requests_get_one_answer_each() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let get = |method: &str, target: &str, headers: &str, body: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}{HIDDEN}").into_bytes()
    };
    let hidden_len = format!("Content-Length: {}\r\n", HIDDEN.len());
    let chunked = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let te = "Transfer-Encoding: chunked\r\n";
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases: [(&str, Vec<u8>, &[u16]); 10] = [
        (
            "upgrade to h2c",
            get("GET", "/v1/shelves", upgrade, ""),
            &[200, 200],
        ),
        (
            "upgrade to websocket",
            get("GET", "/v1/shelves", websocket, ""),
            &[200, 200],
        ),
        ("TRACE", get("TRACE", "/v1/shelves", "", ""), &[405, 200]),
        (
            "absolute-form, other Host",
            get("GET", "http://other/v1/shelves", "", ""),
            &[200, 200],
        ),
        (
            "GET with a body",
            get("GET", "/v1/shelves", &hidden_len, HIDDEN),
            &[200, 200],
        ),
        (
            "GET with a chunked body",
            get("GET", "/v1/shelves", te, &chunked),
            &[200, 200],
        ),
        (
            "unknown path, body read",
            get("POST", "/nowhere", &hidden_len, HIDDEN),
            &[404, 200],
        ),
        (
            "wrong method, body read",
            get("POST", "/v1/titles", &hidden_len, HIDDEN),
            &[405, 200],
        ),
        (
            "unknown path, chunked body",
            get("POST", "/nowhere", te, &chunked),
            &[404],
        ),
        (
            "empty lines before",
            [b"\r\n\r\n".to_vec(), get("GET", "/v1/shelves", "", "")].concat(),
            &[200, 200],
        ),
    ];
    for (name, bytes, expected) in cases {
        let replies = replies_to(gateway.address(), &bytes);
        assert_eq!(statuses(&replies), expected, "{name}: {replies:?}");
        // The one in a body is never answered, the one behind the request always is.
        let answered = replies.iter().filter(|reply| reply.text().contains(MARK));
        assert_eq!(answered.count(), expected.len() - 1, "{name}");
        assert_serves(gateway.address(), name);
    }
    finish(gateway);
}

/// A11: sizes. The gateway answers at once and takes no memory for what it refuses.
#[test]
fn oversized_heads_are_refused_without_memory() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    assert_serves(gateway.address(), "the start");
    let before = gateway.resident_len();
    let long = |len| "a".repeat(len);
    let many = headers("X", 5_000);
    let exact = headers("X", 100);
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").into_bytes()
    };
    let cases: [(&str, Vec<u8>, &[u16]); 9] = [
        (
            "64 KiB method",
            format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", long(64 << 10)).into_bytes(),
            &[400, 431],
        ),
        (
            "512 KiB target",
            get(&format!("/{}", long(512 << 10)), ""),
            &[414],
        ),
        (
            "target one too long",
            get(&format!("/{}", long(8 << 10)), ""),
            &[414],
        ),
        (
            "512 KiB header",
            get("/v1/titles", &format!("X: {}\r\n", long(512 << 10))),
            &[431],
        ),
        (
            "512 KiB header name",
            get("/v1/titles", &format!("{}: x\r\n", long(512 << 10))),
            &[431],
        ),
        ("5,000 headers", get("/v1/titles", &many), &[431]),
        ("101 headers", get("/v1/titles", &exact), &[431]),
        (
            "4 MiB head",
            get(
                "/v1/titles",
                &format!("X: {}\r\n", long(1000)).repeat(4 << 10),
            ),
            &[431],
        ),
        (
            "1 MiB of empty lines",
            "\r\n".repeat(512 << 10).into_bytes(),
            &[400],
        ),
    ];
    assert_refused(&gateway, &cases);
    let grown = gateway.resident_len().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");

    // Just below the limits all is well.
    let target = format!("/v1/titles?x={}", long((8 << 10) - 13));
    let fits = get(
        &target,
        &format!("Connection: close\r\nX: {}\r\n", long(8 << 10)),
    );
    assert_eq!(statuses(&replies_to(gateway.address(), &fits)), [200]);
    finish(gateway);
}

/// The limits of time: a head from its first byte on, gaps in a body. Both run at once, since they take ten seconds; meanwhile
/// other clients are served.
#[test]
fn slow_clients_are_cut_and_delay_nobody() {
    let gateway = Gateway::demo(&["--workers", "1"]);
    let address = gateway.address();
    thread::scope(|scope| {
        let head = scope.spawn(move || {
            let mut client = Client::connect(address).unwrap();
            client
                .write(b"GET /v1/titles HTTP/1.1\r\nHost: h\r\nX: ")
                .unwrap();
            // A byte now and then does not start the time anew.
            while client
                .is_silent_for(std::time::Duration::from_millis(300))
                .unwrap()
            {
                if client.write(b"a").is_err() {
                    break;
                }
            }
            replies_until_close(&mut client)
        });
        let body = scope.spawn(move || {
            replies_to(
                address,
                format!("{ECHO}Content-Length: 20\r\n\r\n{{").as_bytes(),
            )
        });
        let chunk = scope.spawn(move || {
            let head = format!("{ECHO}Transfer-Encoding: chunked\r\n\r\n5\r\n{{");
            replies_to(address, head.as_bytes())
        });
        for _ in 0..20 {
            assert_serves(address, "slow clients");
        }
        for (name, slow) in [("head", head), ("body", body), ("chunk", chunk)] {
            let replies = slow.join().unwrap();
            assert_eq!(statuses(&replies), [408], "{name}");
            assert_error(&replies[0], name);
        }
    });
    assert_serves(address, "slow clients");
    finish(gateway);
}

/// That many small headers.
fn headers(name: &str, count: usize) -> String {
    let lines: Vec<_> = (0..count)
        .map(|index| format!("{name}-{index}: x\r\n"))
        .collect();
    lines.concat()
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}
