//! Limits of messages and streams that a configuration file sets (SEMANTICS 73), over sockets: what is at the limit passes, what is one above it is told, and the
//! upstream is told too.

#![cfg(test)]

mod support {
    pub(crate) mod configured;
    pub(crate) mod gateway;
    pub(crate) mod http;
    #[allow(
        dead_code,
        unreachable_pub,
        reason = "shared with the tests of the pool, which use other parts of it"
    )]
    pub(crate) mod peer;
    pub(crate) mod process;
    pub(crate) mod streams;
    pub(crate) mod tools;
}

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use support::configured;
use support::gateway::Gateway;
use support::http::{Client, Reply};
use support::peer::Peer;
use support::streams::{Event, StreamsServer, on_each_driver};
use support::tools::scratch_folder;
use tungstenite::{Message, WebSocket};

const CANCEL: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// A body of `POST /v1/echo` with this many bytes, whose message has 15 fewer.
fn body(len: usize) -> Vec<u8> {
    let text = "x".repeat(len - r#"{"stringValue":""}"#.len());
    format!("{{\"stringValue\":\"{text}\"}}").into_bytes()
}

fn assert_error(reply: &Reply, status: u16, code: u64, words: &str) {
    let text = reply.text();
    assert_eq!(reply.status, status, "{text}");
    assert_eq!(reply.json()["code"], code, "{text}");
    let message = reply.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(words), "{message}");
}

#[test]
fn s73_longest_body_is_as_long_as_is_set() {
    let stage = configured::serve("limits-request", "limits: {request_message: 1KiB}", &[]);
    let chunked = |client: &mut Client, len: usize| {
        let body = String::from_utf8(body(len)).unwrap();
        let head = "POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{len:x}\r\n{body}\r\n0\r\n\r\n");
        client.write(request.as_bytes()).unwrap();
        client.read_reply("POST").unwrap()
    };
    let mut client = stage.connect();
    let sized = |client: &mut Client, len: usize| {
        client
            .send("POST", "/v1/echo", &[], Some(&body(len)))
            .unwrap()
    };
    assert_eq!(sized(&mut client, 1024).status, 200);
    assert_eq!(chunked(&mut client, 1024).status, 200);
    let words = "the body is too large";
    assert_error(&sized(&mut client, 1025), 413, 8, words);
    let mut client = stage.connect();
    assert_error(&chunked(&mut client, 1025), 413, 8, words);
    assert_eq!(stage.call_count(), 2);
    stage.stop();
}

#[cfg(feature = "compression")]
#[test]
fn s73_longest_body_is_as_long_as_is_set_once_it_is_decoded() {
    use std::io::Write as _;

    let stage = configured::serve("limits-coded", "limits: {request_message: 1KiB}", &[]);
    let mut client = stage.connect();
    let mut send = |len: usize| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        coder.write_all(&body(len)).unwrap();
        let coded = coder.finish().unwrap();
        let headers = [("Content-Encoding", "gzip")];
        client
            .send("POST", "/v1/echo", &headers, Some(&coded))
            .unwrap()
    };
    assert_eq!(send(1024).status, 200);
    assert_error(&send(1025), 413, 8, "the body is too large");
    stage.stop();
}

#[test]
fn s73_longest_reply_is_as_long_as_is_set() {
    let stage = configured::serve("limits-response", "limits: {response_message: 1000}", &[]);
    let mut client = stage.connect();
    // A tag, two bytes of length, and the text.
    let mut send = |message_len: usize| {
        let body = body(message_len - 3 + r#"{"stringValue":""}"#.len());
        client.send("POST", "/v1/echo", &[], Some(&body)).unwrap()
    };
    let reply = send(1000);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_error(&send(1001), 500, 8, "reply: the message is too large");
    assert_eq!(send(1000).status, 200);
    stage.stop();
}

/// Runs a test on both drivers with these settings.
fn with_limits(name: &str, limits: &str, test: impl Fn(&Gateway, &StreamsServer)) {
    let file = scratch_folder(name).join("transom.yaml");
    fs::write(&file, format!("limits: {limits}\n")).unwrap();
    on_each_driver(&["--config", file.to_str().unwrap()], test);
}

/// Limits above the default hold too: a gateway that could only lower them would be of little use.
#[test]
fn s73_messages_may_be_longer_than_by_default() {
    let limits = "{request_message: 8MiB, response_message: 8MiB}";
    with_limits("limits-raised", limits, |gateway, _| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let text = "x".repeat((8 << 20) - r#"{"text":""}"#.len());
        let body = format!("{{\"text\":\"{text}\"}}");
        let reply = client.send("POST", "/v1/say", &[], Some(body.as_bytes()));
        let reply = reply.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["text"], text);
        // It is refused by its head.
        let head = format!(
            "POST /v1/say HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            (8 << 20) + 1
        );
        client.write(head.as_bytes()).unwrap();
        let reply = client.read_reply("POST").unwrap();
        assert_error(&reply, 413, 8, "the body is too large");
    });
}

/// The answer to `count` messages with payloads of `len` bytes.
fn count(gateway: &Gateway, accept: &str, count: u32, len: u32) -> Reply {
    let mut client = Client::connect(gateway.address()).unwrap();
    let target = format!("/v1/count/{count}?len={len}");
    client
        .send("GET", &target, &[("Accept", accept)], None)
        .unwrap()
}

fn lines(reply: &Reply) -> Vec<Value> {
    let text = reply.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn s73_stream_of_replies_ends_with_an_error_at_its_limit_of_messages() {
    with_limits(
        "limits-replies",
        "{response_stream_messages: 3}",
        |gateway, upstream| {
            let whole = count(gateway, "application/x-ndjson", 3, 1);
            assert_eq!((whole.status, lines(&whole).len()), (200, 3));
            upstream.forget();

            let cut = lines(&count(gateway, "application/x-ndjson", 1000, 1));
            assert_eq!(cut.len(), 4);
            assert_eq!(cut[3]["error"]["code"], 8, "{cut:?}");
            let message = cut[3]["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains("more messages than it may"), "{message}");
            let array = count(gateway, "application/json", 4, 1).json();
            assert_eq!(array[3]["error"]["code"], 8, "{array}");
            let events = count(gateway, "text/event-stream", 4, 1).text();
            assert!(
                events.contains("event: error\ndata: {\"code\":8,"),
                "{events}"
            );
        },
    );
}

#[test]
fn s73_stream_of_replies_ends_with_an_error_at_its_limit_of_bytes() {
    // The first message has no number, so 102 bytes; the second 104.
    with_limits(
        "limits-reply-bytes",
        "{response_stream: 206}",
        |gateway, upstream| {
            let whole = lines(&count(gateway, "application/x-ndjson", 2, 100));
            assert_eq!(whole.len(), 2, "{whole:?}");
            upstream.forget();
            let cut = lines(&count(gateway, "application/x-ndjson", 2, 101));
            assert_eq!(cut.len(), 2, "{cut:?}");
            assert_eq!(cut[1]["error"]["code"], 8, "{cut:?}");
            // The upstream goes no further.
            let endless = lines(&count(gateway, "application/x-ndjson", 1_000_000, 100));
            assert_eq!(endless.len(), 3);
            upstream.wait_for(&Event::Reset(CANCEL));
        },
    );
}

/// An answer that has not begun is a status: here it waits for its first message, as under the profiles of others.
#[test]
fn s73_stream_that_has_not_begun_is_429_above_its_limit() {
    let file = scratch_folder("limits-status").join("transom.yaml");
    fs::write(
        &file,
        "stream_head: with-first\nlimits: {response_stream: 100, request_stream: 30}\n",
    )
    .unwrap();
    on_each_driver(&["--config", file.to_str().unwrap()], |gateway, _| {
        let words = "the stream has more bytes than it may";
        let reply = count(gateway, "application/x-ndjson", 1, 101);
        assert_error(&reply, 429, 8, words);
        let mut client = Client::connect(gateway.address()).unwrap();
        let mut send = |body: &str| {
            client
                .send("POST", "/v1/collect", &[], Some(body.as_bytes()))
                .unwrap()
        };
        assert_eq!(send("{\"number\":1}{\"number\":234567}\n").status, 200);
        assert_error(
            &send("{\"number\":1}{\"number\":234567}\n\n"),
            429,
            8,
            words,
        );
    });
}

#[test]
fn s73_stream_of_requests_has_a_limit_of_messages() {
    with_limits(
        "limits-requests",
        "{request_stream_messages: 2}",
        |gateway, upstream| {
            let send = |body: &str| {
                let mut client = Client::connect(gateway.address()).unwrap();
                client
                    .send("POST", "/v1/collect", &[], Some(body.as_bytes()))
                    .unwrap()
            };
            let reply = send("[{\"number\":1},{\"number\":2}]");
            assert_eq!((reply.status, &reply.json()["count"]), (200, &"2".into()));
            upstream.forget();
            let reply = send("[{\"number\":1},{\"number\":2},{\"number\":3}]");
            assert_error(&reply, 429, 8, "the stream has more messages than it may");
            upstream.wait_for(&Event::Reset(CANCEL));
        },
    );
}

fn open(gateway: &Gateway, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}{path}", gateway.address());
    tungstenite::client(url, stream).unwrap().0
}

/// The next message, as JSON.
fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    match socket.read().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn s73_websocket_has_the_limits_of_streams() {
    with_limits(
        "limits-socket",
        "{request_stream_messages: 2, response_stream_messages: 1}",
        |gateway, upstream| {
            // Messages of the client.
            let mut socket = open(gateway, "/v1/collect");
            for number in 1..=3 {
                let text = format!("{{\"number\":{number}}}");
                socket.send(Message::text(text)).unwrap();
            }
            let error = hear(&mut socket);
            assert_eq!(error["error"]["code"], 8, "{error}");
            let Message::Close(Some(frame)) = socket.read().unwrap() else {
                panic!("no close frame")
            };
            assert!(frame.reason.contains("more messages"), "{}", frame.reason);
            upstream.wait_for(&Event::Reset(CANCEL));
            // Messages of the upstream.
            let mut socket = open(gateway, "/v1/count/2");
            assert_eq!(hear(&mut socket)["number"], "0");
            let error = hear(&mut socket);
            assert_eq!(error["error"]["code"], 8, "{error}");
        },
    );
}

#[test]
fn s73_message_of_a_websocket_is_as_long_as_is_set() {
    with_limits("limits-frame", "{request_message: 1KiB}", |gateway, _| {
        let mut socket = open(gateway, "/v1/chat");
        let text = |len: usize| format!("{{\"text\":\"{}\"}}", "x".repeat(len - 11));
        socket.send(Message::text(text(1024))).unwrap();
        assert_eq!(hear(&mut socket)["text"].as_str().unwrap().len(), 1013);
        // The rest of it may meet a connection that is closed already.
        let _sent = socket.send(Message::text(text(1025)));
        let Message::Close(Some(frame)) = socket.read().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(frame.code), 1009);
    });
}

/// A client's headers may be fine for us and too long for the upstream, which is no fault of a server.
#[test]
fn headers_longer_than_the_upstream_takes_are_431() {
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    let peer = Peer::start(|_, mut connection| {
        connection.greet(&[(MAX_HEADER_LIST_SIZE, 1000)]).unwrap();
        while let Ok(request) = connection.request() {
            connection.answer(request.stream, &[0; 5]).unwrap();
        }
    });
    let codec = ["--upstream-codec", "transom"];
    let gateway = Gateway::serve_before(&peer.url(), "test/flows.proto", &codec);
    let status = |path: &str, header: &str| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let reply = client.send("POST", path, &[("x-header", header)], Some(b"{}"));
        let reply = reply.unwrap();
        (reply.status, reply.text().contains("\"code\":3"))
    };
    for path in ["/v1/say", "/v1/count", "/v1/collect"] {
        assert_eq!(status(path, &"a".repeat(2000)), (431, true), "{path}");
        assert_eq!(status(path, "a"), (200, false), "{path}");
    }
}
