//! Streams through the whole gateway: each kind of method over HTTP/1.1, back-pressure both ways, and every way to an end.
//! Each test runs on both I/O drivers, before an upstream that tells what it meets (`support/streams.rs`).

#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod streams;
    pub(crate) mod tools;
}

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::Gateway;
use support::http::Client;
use support::streams::{Event, StreamsServer, on_each_driver, serve_before};
use support::tools::scratch_folder;
use transom::clock;

const CANCEL: u32 = 8;

/// Streams that are stopped together where memory is measured: it comes in steps of megabytes.
const STREAM_COUNT: u64 = 8;

/// How long nothing may change before it is taken to have come to rest.
const REST: Duration = Duration::from_millis(300);

/// A client whose body and answer are under way at the same time.
struct Talk {
    client: Client,
    /// What came of the answer and is not a whole line yet.
    pending: Vec<u8>,
}

impl Talk {
    /// Begins a request whose body comes in chunks.
    fn begin(gateway: &Gateway, path: &str) -> Self {
        let mut talk = Self::connect(gateway);
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        talk.client.write(head.as_bytes()).unwrap();
        talk
    }

    /// Sends a request whose body is whole.
    fn send(gateway: &Gateway, path: &str, headers: &str, body: &str) -> Self {
        let mut talk = Self::connect(gateway);
        talk.request(path, headers, body);
        talk
    }

    fn connect(gateway: &Gateway) -> Self {
        Self {
            client: Client::connect(gateway.address()).unwrap(),
            pending: Vec::new(),
        }
    }

    fn request(&mut self, path: &str, headers: &str, body: &str) {
        let len = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {len}\r\n\r\n{body}"
        );
        self.client.write(request.as_bytes()).unwrap();
    }

    fn chunk(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.client.write(chunk.as_bytes()).unwrap();
    }

    fn end(&mut self) {
        self.client.write(b"0\r\n\r\n").unwrap();
    }

    /// The head of a good answer.
    fn head(&mut self) {
        let (status, headers) = self.client.read_head().unwrap();
        assert_eq!(status, 200, "{headers:?}");
    }

    /// The next line of the answer; nothing at its end.
    fn line(&mut self) -> std::io::Result<Option<Value>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            let Some(chunk) = self.client.read_chunk()? else {
                assert!(self.pending.is_empty(), "the last line is cut");
                return Ok(None);
            };
            self.pending.extend_from_slice(&chunk);
        }
    }

    /// Reads past a line of any length.
    fn pass_line(&mut self) {
        while !self.client.read_chunk().unwrap().unwrap().ends_with(b"\n") {}
    }

    fn item(&mut self) -> Value {
        self.line().unwrap().expect("there is another message")
    }

    /// The error that an answer shows behind its messages.
    fn error(&mut self) -> Value {
        loop {
            let line = self.item();
            if let Some(error) = line.get("error") {
                return error.clone();
            }
        }
    }
}

fn text(line: &Value) -> &str {
    line["text"].as_str().unwrap_or_default()
}

/// Waits until `measure` gives the same twice, and returns it.
fn at_rest(measure: impl Fn() -> u64) -> u64 {
    let mut before = measure();
    let mut since = clock::now();
    while since.elapsed() < REST {
        std::thread::yield_now();
        let after = measure();
        if after != before {
            before = after;
            since = clock::now();
        }
    }
    before
}

#[test]
fn first_answer_arrives_before_the_second_message_is_sent() {
    on_each_driver(&[], |gateway, upstream| {
        let mut talk = Talk::begin(gateway, "/v1/chat");
        upstream.wait_for(&Event::Began("Chat".to_owned()));
        talk.chunk(r#"{"text": "one"}"#);
        talk.head();
        assert_eq!(text(&talk.item()), "one");
        // A value is sent on as soon as its last byte is here.
        talk.chunk(r#"{"text": "t"#);
        talk.chunk(r#"wo"} {"text":"#);
        assert_eq!(text(&talk.item()), "two");
        talk.chunk(r#""three"}"#);
        assert_eq!(text(&talk.item()), "three");
        talk.end();
        assert_eq!(talk.line().unwrap(), None);
    });
}

#[test]
fn messages_of_a_server_stream_arrive_one_by_one() {
    on_each_driver(&[], |gateway, upstream| {
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 3, "gap": 200}"#);
        talk.head();
        let mut sent_lens = Vec::new();
        for number in 0..3 {
            let item = talk.item();
            assert_eq!(item["number"], number.to_string());
            sent_lens.push(upstream.sent_len());
        }
        assert_eq!(talk.line().unwrap(), None);
        // Each was here before the next one was sent.
        assert!(sent_lens.is_sorted_by(|a, b| a < b), "{sent_lens:?}");
    });
}

/// SEMANTICS 125: as a watch of etcd, whose body is one message that is here at once.
#[test]
fn answer_stays_open_when_the_request_has_ended() {
    on_each_driver(&[], |gateway, upstream| {
        let mut talk = Talk::send(gateway, "/v1/chat", "", r#"{"text": "watch"}"#);
        talk.head();
        assert_eq!(text(&talk.item()), "watch");
        upstream.wait_for(&Event::HalfClosed);
        for number in 1..10 {
            let item = talk.item();
            assert_eq!(
                (text(&item), &item["number"]),
                ("late", &json!(number.to_string()))
            );
        }
        drop(talk);
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

/// SEMANTICS 126, whatever the call is waiting for.
#[test]
fn client_that_leaves_cancels_its_stream() {
    on_each_driver(&[], |gateway, upstream| {
        let cancelled = |talk: Talk, what: &str| {
            println!("{what}");
            drop(talk);
            upstream.wait_for(&Event::Reset(CANCEL));
            upstream.forget();
        };
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 1, "end": "hang"}"#);
        talk.head();
        talk.item();
        cancelled(talk, "a server stream that pauses");

        let talk = Talk::send(
            gateway,
            "/v1/count",
            "",
            r#"{"count": 100000, "len": 10000}"#,
        );
        upstream.wait_for(&Event::Began("Count".to_owned()));
        at_rest(|| upstream.sent_len());
        cancelled(talk, "a server stream that waits for its reader");

        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"number": 1}"#);
        upstream.wait_for(&Event::Received(String::new(), 1));
        cancelled(talk, "a client stream in the middle");

        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"number": 1, "text": "deaf"}"#);
        upstream.wait_for(&Event::Received("deaf".to_owned(), 1));
        let much = format!(r#"{{"payload": "{}"}}"#, "A".repeat(100_000));
        talk.chunk(&much);
        cancelled(talk, "a client stream whose upstream does not read");

        let mut talk = Talk::begin(gateway, "/v1/chat");
        talk.chunk(r#"{"text": "here"}"#);
        talk.head();
        talk.item();
        cancelled(talk, "both ways in the middle");
    });
}

/// SEMANTICS 126, where no more of a client is read: its end is behind bytes that nobody takes.
#[test]
fn client_that_leaves_with_much_unread_cancels_its_stream() {
    on_each_driver(&[], |gateway, upstream| {
        let message = format!(r#"{{"payload": "{}"}}"#, "A".repeat(10_000));
        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"number": 1, "text": "deaf"}"#);
        upstream.wait_for(&Event::Received("deaf".to_owned(), 1));
        fill(&talk, &message);
        // An end would wait in the client's kernel, behind what ours has no room for. A reset does not wait.
        let client = talk.client.another_handle().unwrap();
        let socket = socket2::SockRef::from(&client);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop((talk, client));
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn connection_is_kept_after_a_stream_and_requests_behind_it_are_answered() {
    on_each_driver(&[], |gateway, _| {
        let mut talk = Talk::connect(gateway);
        let requests = concat!(
            "GET /v1/count/2 HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /v1/collect HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{}{}",
            "POST /v1/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "b\r\n{\"text\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n",
            "POST /v1/say HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n{\"text\": \"bye\"}",
        );
        // The last body is one byte longer than its length says, which the next request begins with.
        let requests = requests.replace("Content-Length: 14", "Content-Length: 15");
        talk.client.write(requests.as_bytes()).unwrap();
        talk.head();
        for number in 0..2 {
            assert_eq!(talk.item()["number"], number.to_string());
        }
        assert_eq!(talk.line().unwrap(), None);
        let summary = talk.client.read_reply("POST").unwrap();
        assert_eq!(
            (summary.status, &summary.json()["count"]),
            (200, &json!("2"))
        );
        talk.head();
        assert_eq!(text(&talk.item()), "a");
        assert_eq!(talk.line().unwrap(), None);
        let said = talk.client.read_reply("POST").unwrap();
        assert_eq!(text(&said.json()), "bye");
    });
}

#[test]
fn client_that_asks_before_it_sends_is_told_to_go_on() {
    on_each_driver(&[], |gateway, _| {
        let mut talk = Talk::connect(gateway);
        talk.client
            .write(b"POST /v1/chat HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        assert_eq!(talk.client.read_status().unwrap(), 100);
        talk.chunk(r#"{"text": "a"}"#);
        talk.head();
        assert_eq!(text(&talk.item()), "a");
        talk.end();
        assert_eq!(talk.line().unwrap(), None);
    });
}

#[test]
fn client_of_the_old_version_gets_the_stream_up_to_the_end_of_the_connection() {
    on_each_driver(&[], |gateway, _| {
        let mut client = TcpStream::connect(gateway.address()).unwrap();
        client
            .write_all(b"GET /v1/count/3 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            !head.to_ascii_lowercase().contains("transfer-encoding"),
            "{head}"
        );
        assert_eq!(body.lines().count(), 3, "{answer}");
    });
}

#[test]
fn head_of_a_stream_is_answered_without_its_messages() {
    on_each_driver(&[], |gateway, upstream| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let reply = client.send("HEAD", "/v1/count/100000", &[], None).unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 0));
        // The next answer is not mixed up with it.
        let said = client.send("POST", "/v1/say", &[], Some(b"{}")).unwrap();
        assert_eq!(said.status, 200);
        assert!(at_rest(|| upstream.sent_len()) < 2 << 20);
    });
}

#[test]
fn bad_value_is_a_status_before_the_first_answer_and_an_error_in_the_stream_after_it() {
    on_each_driver(&[], |gateway, upstream| {
        for path in ["/v1/chat", "/v1/collect"] {
            let mut talk = Talk::begin(gateway, path);
            talk.chunk(r#"{"number": "no"}"#);
            let reply = talk.client.read_reply("POST").unwrap();
            assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(3)));
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("number"), "{message}");
            // What follows in the body is unknown.
            assert!(talk.client.is_closed_by_peer().unwrap());
            upstream.wait_for(&Event::Reset(CANCEL));
        }
        let mut talk = Talk::begin(gateway, "/v1/chat");
        talk.chunk(r#"{"text": "good"}"#);
        talk.head();
        assert_eq!(text(&talk.item()), "good");
        talk.chunk("{]");
        assert_eq!(talk.error()["code"], 3);
        assert_eq!(talk.line().unwrap(), None);
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn bad_chunks_and_a_cut_body_end_the_stream() {
    on_each_driver(&[], |gateway, upstream| {
        let mut talk = Talk::begin(gateway, "/v1/chat");
        talk.client.write(b"xyz\r\n").unwrap();
        assert_eq!(talk.client.read_reply("POST").unwrap().status, 400);
        upstream.wait_for(&Event::Reset(CANCEL));
        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"number": 1}{"num"#);
        talk.end();
        assert_eq!(talk.client.read_reply("POST").unwrap().status, 400);
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn errors_of_the_upstream_are_a_status_before_the_first_message_and_visible_after_it() {
    on_each_driver(&[], |gateway, _| {
        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"text": "status"}"#);
        let reply = talk.client.read_reply("POST").unwrap();
        assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(9)));
        for (end, code) in [("status", 9), ("die", 14), ("reset", 13)] {
            let body = format!(r#"{{"count": 2, "end": "{end}"}}"#);
            let mut talk = Talk::send(gateway, "/v1/count", "", &body);
            talk.head();
            assert_eq!(talk.error()["code"], code, "{end}");
            assert_eq!(talk.line().unwrap(), None, "{end}");
        }
    });
}

/// A configuration file with these settings.
fn settings(name: &str, settings: &str) -> String {
    let file = scratch_folder(name).join("transom.yaml");
    std::fs::write(&file, settings).unwrap();
    file.to_str().unwrap().to_owned()
}

/// SEMANTICS 123: by option nobody can take a stream that failed for whole, and no word of the error is among its messages.
#[test]
fn stream_that_fails_is_cut_where_errors_reset() {
    let file = settings("streams-reset", "stream_errors: reset\n");
    on_each_driver(&["--config", &file], |gateway, _| {
        for end in ["status", "die", "reset"] {
            let body = format!(r#"{{"count": 2, "end": "{end}"}}"#);
            let mut talk = Talk::send(gateway, "/v1/count", "", &body);
            talk.head();
            for number in ["0", "1"] {
                assert_eq!(talk.item()["number"], number, "{end}");
            }
            let cut = talk.line().unwrap_err().kind();
            let is_cut = matches!(cut, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
            assert!(is_cut, "{end}: {cut:?}");
        }
        // One that ends well ends as ever.
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 1}"#);
        talk.head();
        talk.item();
        assert_eq!(talk.line().unwrap(), None);
    });
}

/// SEMANTICS 128: as often as the file says. With the default nothing would come between these messages.
#[test]
fn silent_stream_of_events_is_kept_alive() {
    let file = settings("streams-keep-alive", "sse_keep_alive_ms: 100\n");
    on_each_driver(&["--config", &file], |gateway, _| {
        let accept = "Accept: text/event-stream\r\n";
        let order = r#"{"count": 2, "gap": 1000}"#;
        let mut talk = Talk::send(gateway, "/v1/count", accept, order);
        talk.head();
        let mut chunks = Vec::new();
        while let Some(chunk) = talk.client.read_chunk().unwrap() {
            chunks.push(String::from_utf8(chunk).unwrap());
        }
        let events: Vec<_> = (0..chunks.len())
            .filter(|at| chunks[*at].starts_with("id: "))
            .collect();
        assert!(matches!(events[..], [0, at] if at > 1), "{chunks:?}");
        chunks.retain(|chunk| !chunk.starts_with("id: "));
        assert!(
            chunks.iter().all(|chunk| chunk == ": keep-alive\n\n"),
            "{chunks:?}"
        );
        // Lines have no comments.
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 2, "gap": 500}"#);
        talk.head();
        assert_eq!(
            [talk.item(), talk.item()].map(|item| item["number"].clone()),
            ["0", "1"]
        );
        assert_eq!(talk.line().unwrap(), None);
    });
}

/// A deadline holds over the whole stream, and is told where the stream is.
#[test]
fn deadline_ends_a_stream() {
    on_each_driver(&[], |gateway, upstream| {
        let timeout = "Grpc-Timeout: 300m\r\n";
        let order = r#"{"count": 1000, "gap": 50}"#;
        let mut talk = Talk::send(gateway, "/v1/count", timeout, order);
        talk.head();
        assert_eq!(talk.error()["code"], 4);
        assert_eq!(talk.line().unwrap(), None);
        upstream.wait_for(&Event::Reset(CANCEL));

        let mut talk = Talk::send(gateway, "/v1/collect", timeout, r#"{"text": "hang"}"#);
        let reply = talk.client.read_reply("POST").unwrap();
        assert_eq!((reply.status, &reply.json()["code"]), (504, &json!(4)));
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn message_over_the_limit_is_an_error_never_a_cut_one() {
    on_each_driver(&[], |gateway, upstream| {
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 1, "len": 5000000}"#);
        talk.head();
        assert_eq!(talk.error()["code"], 8);
        upstream.wait_for(&Event::Reset(CANCEL));
        upstream.forget();
        let mut talk = Talk::begin(gateway, "/v1/collect");
        talk.chunk(r#"{"payload": ""#);
        let part = "A".repeat(100_000);
        let mut other = talk.client.another_handle().unwrap();
        std::thread::spawn(move || {
            for _ in 0..60 {
                let chunk = format!("{:x}\r\n{part}\r\n", part.len());
                if other.write_all(chunk.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let reply = talk.client.read_reply("POST").unwrap();
        assert_eq!(reply.status, 413, "{}", reply.text());
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn absent_upstream_is_unavailable_for_streams_too() {
    let upstream = StreamsServer::start();
    let gateway = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        Gateway::serve_before(&url, "test/flows.proto", &[])
    };
    drop(upstream);
    for path in ["/v1/chat", "/v1/collect", "/v1/count"] {
        let mut talk = Talk::send(&gateway, path, "", "{}");
        let reply = talk.client.read_reply("POST").unwrap();
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (503, &json!(14)),
            "{path}"
        );
    }
}

/// THREATS E8: what a client does not read stays with the upstream.
#[test]
fn client_that_does_not_read_stops_its_upstream_and_costs_a_bounded_amount() {
    on_each_driver(&[], |gateway, upstream| {
        // Whatever is made once is made by a stream that is read.
        let mut talk = Talk::send(gateway, "/v1/count", "", r#"{"count": 300, "len": 10000}"#);
        talk.head();
        while talk.line().unwrap().is_some() {}
        let (sent_before, memory_before) = (upstream.sent_len(), gateway.resident_len());
        let order = r#"{"count": 100000, "len": 10000}"#;
        let mut talks: Vec<_> = (0..STREAM_COUNT)
            .map(|_| Talk::send(gateway, "/v1/count", "", order))
            .collect();
        let sent_len = at_rest(|| upstream.sent_len()) - sent_before;
        let grown_len = gateway.resident_len().saturating_sub(memory_before);
        println!("sent {sent_len}, grown {grown_len}");
        // What the kernel holds between gateway and client is its own business.
        assert!(sent_len < STREAM_COUNT * (24 << 20), "{sent_len}");
        assert!(grown_len < STREAM_COUNT << 20, "{grown_len}");
        // They go on where they stopped.
        let talk = &mut talks[0];
        talk.head();
        for number in 0..=sent_len / STREAM_COUNT / 10_000 {
            assert_eq!(talk.item()["number"], number.to_string());
        }
        assert!(upstream.sent_len() - sent_before > sent_len);
    });
}

#[test]
fn upstream_that_does_not_read_stops_its_client() {
    on_each_driver(&[], |gateway, upstream| {
        let message = format!(r#"{{"payload": "{}"}}"#, "A".repeat(10_000));
        // Whatever is made once is made by a stream that is read.
        let mut talk = Talk::send(gateway, "/v1/collect", "", &message.repeat(300));
        assert_eq!(
            talk.client.read_reply("POST").unwrap().json()["count"],
            "300"
        );
        let memory_before = gateway.resident_len();
        let talks: Vec<_> = (0..STREAM_COUNT)
            .map(|_| {
                let mut talk = Talk::begin(gateway, "/v1/collect");
                talk.chunk(r#"{"number": 1, "text": "deaf"}"#);
                upstream.wait_for(&Event::Received("deaf".to_owned(), 1));
                let sent_len = fill(&talk, &message);
                assert!(sent_len < 32 << 20, "the client is not stopped");
                talk
            })
            .collect();
        let grown_len = gateway.resident_len().saturating_sub(memory_before);
        println!("grown {grown_len}");
        assert!(grown_len < STREAM_COUNT << 20, "{grown_len}");
        drop(talks);
        // That they have left stands behind what they sent.
        upstream.heal();
        for _ in 0..STREAM_COUNT {
            upstream.wait_for(&Event::Reset(CANCEL));
        }
    });
}

#[test]
fn requests_that_an_upstream_leaves_unread_delay_no_other_call() {
    on_each_driver(&[], |gateway, upstream| {
        let message = format!(r#"{{"payload": "{}"}}"#, "A".repeat(10_000));
        let talks: Vec<_> = (0..STREAM_COUNT)
            .map(|_| {
                let mut talk = Talk::begin(gateway, "/v1/collect");
                talk.chunk(r#"{"number": 1, "text": "deaf"}"#);
                upstream.wait_for(&Event::Received("deaf".to_owned(), 1));
                fill(&talk, &message);
                talk
            })
            .collect();
        let mut other = Talk::send(gateway, "/v1/say", "", &message);
        let said = other.client.read_reply("POST").unwrap();
        assert_eq!(
            (said.status, said.json()["payload"].is_string()),
            (200, true)
        );
        // Nor one whose request streams too.
        let mut other = Talk::send(gateway, "/v1/collect", "", r#"{"number": 1}"#);
        let collected = other.client.read_reply("POST").unwrap();
        assert_eq!(collected.json()["count"], "1");
        drop(talks);
        // That they have left stands behind what they sent.
        upstream.heal();
        for _ in 0..STREAM_COUNT {
            upstream.wait_for(&Event::Reset(CANCEL));
        }
    });
}

/// Sends messages until no more are taken, and tells how many bytes were.
fn fill(talk: &Talk, message: &str) -> usize {
    let mut client = talk.client.another_handle().unwrap();
    client.set_nonblocking(true).unwrap();
    let chunk = format!("{:x}\r\n{message}\r\n", message.len()).into_bytes();
    let (mut sent_len, mut since) = (0, clock::now());
    while since.elapsed() < REST && sent_len < 64 << 20 {
        match client.write(&chunk[sent_len % chunk.len()..]) {
            Ok(len) => (sent_len, since) = (sent_len + len, clock::now()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    sent_len
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_stream() {
    on_each_driver(&[], |gateway, _| {
        let count = |count: usize, len: usize| {
            let order = format!(r#"{{"count": {count}, "len": {len}}}"#);
            let mut talk = Talk::send(gateway, "/v1/count", "", &order);
            talk.head();
            for number in 0..count {
                assert_eq!(talk.item()["number"], number.to_string());
            }
            assert_eq!(talk.line().unwrap(), None);
            gateway.resident_len()
        };
        let before = count(100, 1000);
        let after = count(10_000, 2000);
        println!("{before} {after}");
        // Memory comes in steps of two megabytes; the stream has twenty.
        assert!(after < before + (5 << 20), "{before} {after}");
    });
}

/// Goal: a stream that rests keeps little of the long message that it once carried. Method: several do so in each direction, one after the other, and stay
/// open.
#[test]
fn memory_of_a_long_message_goes_back_while_its_stream_is_open() {
    let payload = "A".repeat((4 << 20) - 64);
    let long = format!(r#"{{"text":"long","payload":"{payload}"}}"#);
    let order = r#"{"count":1,"len":3000000,"end":"hang"}"#;
    on_each_driver(&[], |gateway, upstream| {
        let carry = |path: &str| {
            if path == "/v1/count" {
                let mut talk = Talk::send(gateway, path, "", order);
                talk.head();
                talk.pass_line();
                return talk;
            }
            let mut talk = Talk::begin(gateway, path);
            talk.chunk(&long);
            upstream.wait_for(&Event::Received("long".to_owned(), 0));
            if path == "/v1/chat" {
                talk.head();
                talk.pass_line();
            }
            talk
        };
        for path in ["/v1/chat", "/v1/collect", "/v1/count"] {
            // What the worker needs for one.
            let mut talks = vec![carry(path)];
            let before = at_rest(|| gateway.resident_len());
            talks.extend((0..STREAM_COUNT).map(|_| carry(path)));
            let grown_len = at_rest(|| gateway.resident_len()).saturating_sub(before);
            println!("{path}: grown {grown_len}");
            // The allocator may keep what one of them needed for a while.
            assert!(grown_len < 24 << 20, "{path}: {grown_len} bytes are kept");
        }
    });
}

#[test]
fn ten_thousand_messages_each_way_arrive_in_order() {
    on_each_driver(&[], |gateway, _| {
        let mut talk = Talk::begin(gateway, "/v1/chat");
        let mut client = talk.client.another_handle().unwrap();
        let sending = std::thread::spawn(move || {
            for number in 0..10_000 {
                let message = format!(r#"{{"number":{number}}}"#);
                let chunk = format!("{:x}\r\n{message}\r\n", message.len());
                client.write_all(chunk.as_bytes()).unwrap();
            }
            client.write_all(b"0\r\n\r\n").unwrap();
        });
        talk.head();
        for number in 0..10_000 {
            assert_eq!(talk.item()["number"], number.to_string());
        }
        assert_eq!(talk.line().unwrap(), None);
        sending.join().unwrap();
    });
}

/// A call that has ended well is a good answer, though its client has more to say; the connection ends, since nobody reads that.
#[test]
fn answer_that_ends_before_its_request_is_whole() {
    on_each_driver(&[], |gateway, _| {
        let mut talk = Talk::begin(gateway, "/v1/chat");
        talk.chunk(r#"{"text": "stop"}"#);
        talk.head();
        assert_eq!(talk.line().unwrap(), None);
        assert!(talk.client.is_closed_by_peer().unwrap());
    });
}

#[test]
fn stream_under_way_goes_on_while_the_gateway_drains() {
    for io in ["auto", "epoll"] {
        let upstream = StreamsServer::start();
        let gateway = serve_before(&upstream, &["--io", io]);
        let mut talk = Talk::send(&gateway, "/v1/count", "", r#"{"count": 20, "gap": 50}"#);
        talk.head();
        talk.item();
        gateway.signal("TERM");
        for number in 1..20 {
            assert_eq!(talk.item()["number"], number.to_string());
        }
        assert_eq!(talk.line().unwrap(), None);
        let (status, transcript) = gateway.wait_for_end(Duration::from_secs(20));
        assert!(status.success(), "{transcript}");
    }
}
