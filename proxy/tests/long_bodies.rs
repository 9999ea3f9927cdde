//! Bodies that are long enough to be read in parts and converted beside the workers, each way, on both I/O drivers: they are answered as short ones are, and their
//! memory goes back.

#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod streams;
    pub(crate) mod tools;
}

use std::fs;
use std::time::Duration;

use serde_json::Value;
use support::gateway::Gateway;
use support::http::{Client, Reply};
use support::streams::{StreamsServer, on_each_driver};
use support::tools::scratch_folder;

const MEBIBYTE: usize = 1 << 20;

/// White space before a body that makes it long.
const PADDING_LEN: usize = 300_000;

fn sized(path: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
}

/// In chunks that fit no part.
fn chunked(path: &str, body: &str) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.as_bytes().chunks(70_001) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// The words of an error, without the offset, and the offset.
fn split_offset(reply: &Reply) -> (String, Option<usize>) {
    let message = reply.json()["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match message.rsplit_once(" at byte ") {
        Some((words, offset)) => (words.to_owned(), offset.parse().ok()),
        None => (message, None),
    }
}

/// Goal: what a body gets does not depend on its length. Method: bodies of all kinds, as they are and behind so much white space that they are long; the answers
/// differ in the offset alone.
#[test]
fn long_bodies_are_answered_as_short_ones() {
    let deep = "{\"nested\":{\"child\":".to_owned() + &"{\"child\":".repeat(120);
    let bodies = [
        r#"{"stringValue":"a","repeatedNested":[{"text":"b","number":1},{"text":"c"}]}"#,
        r#"{"int32ToNested":{"1":{"text":"a"}}}"#,
        "",
        "null",
        "[]",
        "{}{}",
        "{\"stringValue\":\"a\"} x",
        "{\"stringValue\":1}",
        "{\"repeatedNested\":[{},{\"number\":\"x\"}]}",
        "{\"repeatedNested\":[{\"number\":4294967296}]}",
        "{\"int32ToNested\":{\"1\":{},\"1\":{}}}",
        "{\"stringValue\":\"a\",\"stringValue\":\"b\"}",
        "{\"stringValue\":\"\\ud800\"}",
        "{\"stringValue\":\"a",
        "{\"nothing\":[1,{\"a\":2}],\"bytesValue\":\"AQID\"}",
        "{\"bytesValue\":\"*\"}",
        &deep,
    ];
    Gateway::demo_on_each_driver(|gateway| {
        let mut client = Client::connect(gateway.address()).unwrap();
        for body in bodies {
            client.write(&sized("/v1/echo", body)).unwrap();
            let short = client.read_reply("POST").unwrap();
            let padded = " ".repeat(PADDING_LEN) + body;
            for request in [sized("/v1/echo", &padded), chunked("/v1/echo", &padded)] {
                client.write(&request).unwrap();
                let long = client.read_reply("POST").unwrap();
                assert_eq!(long.status, short.status, "{body}: {}", long.text());
                if short.status == 200 {
                    assert_eq!(long.text(), short.text(), "{body}");
                    continue;
                }
                let ((words, offset), (expected, short_offset)) =
                    (split_offset(&long), split_offset(&short));
                assert_eq!(words, expected, "{body}");
                assert_eq!(offset, short_offset.map(|at| at + PADDING_LEN), "{body}");
            }
        }
    });
}

/// The connection goes on where the long body ends, and answers come in order.
#[test]
fn request_behind_a_long_body_is_answered_after_it() {
    Gateway::demo_on_each_driver(|gateway| {
        for make in [sized, chunked] {
            for len in [
                256 * 1024 - 20,
                256 * 1024 - 19,
                256 * 1024,
                MEBIBYTE + 1,
                3 * MEBIBYTE,
            ] {
                let mut client = Client::connect(gateway.address()).unwrap();
                let text = "x".repeat(len);
                let long = make("/v1/echo", &format!("{{\"stringValue\":\"{text}\"}}"));
                let short = sized("/v1/echo", "{\"stringValue\":\"behind\"}");
                let writing = client.another_handle().unwrap();
                let requests = [&*long, &short, &long, &short].concat();
                let writer = std::thread::spawn(move || {
                    std::io::Write::write_all(&mut &writing, &requests).unwrap();
                });
                for _ in 0..2 {
                    let reply = client.read_reply("POST").unwrap();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    assert_eq!(reply.json()["stringValue"], *text);
                    let reply = client.read_reply("POST").unwrap();
                    assert_eq!(reply.json()["stringValue"], "behind");
                }
                writer.join().unwrap();
            }
        }
    });
}

#[test]
fn long_body_that_is_cut_or_badly_framed_ends_its_connection_alone() {
    Gateway::demo_on_each_driver(|gateway| {
        let body = format!("{{\"stringValue\":\"{}\"}}", "x".repeat(MEBIBYTE));
        let mut other = Client::connect(gateway.address()).unwrap();
        let mut client = Client::connect(gateway.address()).unwrap();
        let whole = sized("/v1/echo", &body);
        client.write(&whole[..whole.len() / 2]).unwrap();
        drop(client);
        let mut client = Client::connect(gateway.address()).unwrap();
        let whole = chunked("/v1/echo", &body);
        client.write(&whole[..whole.len() - 10]).unwrap();
        client.write(b"no chunk\r\n").unwrap();
        assert_eq!(client.read_reply("POST").unwrap().status, 400);
        let reply = other.send("GET", "/v1/titles", &[], None).unwrap();
        assert_eq!(reply.status, 200);
    });
}

/// The requests of a method that streams its replies are no streams: they are converted as any others.
#[test]
fn long_request_of_a_stream_of_replies_is_converted() {
    on_each_driver(&[], |gateway, _| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let body = format!("{}{{\"count\":2}}", " ".repeat(PADDING_LEN));
        let headers = [("Accept", "application/x-ndjson")];
        let reply = client
            .send("POST", "/v1/count", &headers, Some(body.as_bytes()))
            .unwrap();
        assert_eq!(reply.text().lines().count(), 2, "{}", reply.text());
        let body = format!("{}{{\"count\":x}}", " ".repeat(PADDING_LEN));
        let reply = client
            .send("POST", "/v1/count", &headers, Some(body.as_bytes()))
            .unwrap();
        assert_eq!(reply.status, 400);
    });
}

/// Goal: 32 MiB go both ways, need no more than is told in docs/OPERATIONS.md, and leave nothing behind.
#[test]
fn thirty_two_mebibytes_go_both_ways_and_their_memory_goes_back() {
    let file = scratch_folder("long-bodies").join("transom.yaml");
    let limits = "limits: {request_message: 32MiB, response_message: 32MiB}\n";
    fs::write(&file, limits).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    on_each_driver(&config, |gateway: &Gateway, _: &StreamsServer| {
        let text = "x".repeat(32 * MEBIBYTE - 64);
        let body = format!("{{\"text\":\"{text}\"}}");
        let mut client = Client::connect(gateway.address()).unwrap();
        let short = |client: &mut Client| {
            let reply = client.send("POST", "/v1/say", &[], Some(b"{\"text\":\"a\"}"));
            assert_eq!(reply.unwrap().status, 200);
        };
        short(&mut client);
        let before = gateway.resident_len();
        gateway.forget_peak();
        for make in [sized, chunked] {
            client.write(&make("/v1/say", &body)).unwrap();
            let reply = client.read_reply("POST").unwrap();
            assert_eq!(reply.status, 200);
            let answer: Value = serde_json::from_slice(&reply.body).unwrap();
            assert!(answer["text"] == *text);
        }
        let peak = gateway.peak_resident_len().saturating_sub(before);
        assert!(peak < 5 * 32 * MEBIBYTE as u64, "{peak} bytes at the peak");
        // It goes back when nothing more has come for a while.
        let mut grown = u64::MAX;
        for _ in 0..100 {
            short(&mut client);
            grown = gateway.resident_len().saturating_sub(before);
            // Less than one body: what is left the allocator keeps, and it is no more after many.
            if grown < 24 * MEBIBYTE as u64 {
                return;
            }
            assert!(client.is_silent_for(Duration::from_millis(100)).unwrap());
        }
        panic!("grew by {grown} bytes");
    });
}

/// What is compressed is decoded and coded beside the workers even where it is shorter; it is the same as without.
#[cfg(feature = "compression")]
#[test]
fn compressed_bodies_go_both_ways() {
    use std::fmt::Write as _;
    use std::io::{Read as _, Write as _};

    use flate2::Compression;
    use flate2::read::GzDecoder;
    use flate2::write::GzEncoder;

    let file = scratch_folder("long-coded").join("transom.yaml");
    fs::write(&file, "compression: {codings: [gzip]}\n").unwrap();
    on_each_driver(&["--config", file.to_str().unwrap()], |gateway, _| {
        let mut client = Client::connect(gateway.address()).unwrap();
        for count in [3_000, 100_000] {
            let mut text = String::new();
            for number in 0..count {
                write!(text, "{:x}", number * 7919).unwrap();
            }
            for body in [
                format!("{{\"text\":\"{text}\"}}"),
                format!("{{\"text\":\"{text}\"}} x"),
            ] {
                let mut coder = GzEncoder::new(Vec::new(), Compression::fast());
                coder.write_all(body.as_bytes()).unwrap();
                let coded = coder.finish().unwrap();
                assert!(coded.len() > 4096);
                let headers = [("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")];
                let reply = client
                    .send("POST", "/v1/say", &headers, Some(&coded))
                    .unwrap();
                if body.ends_with('x') {
                    let place = format!(" at byte {}", body.len() - 1);
                    assert_eq!(reply.status, 400);
                    assert!(reply.text().contains(&place), "{}", reply.text());
                    continue;
                }
                assert_eq!(reply.status, 200);
                assert_eq!(reply.header("content-encoding"), Some("gzip"));
                let mut plain = String::new();
                GzDecoder::new(&*reply.body)
                    .read_to_string(&mut plain)
                    .unwrap();
                let answer: Value = serde_json::from_str(&plain).unwrap();
                assert!(answer["text"] == *text);
            }
        }
    });
}

/// A few bytes may stand for many: they are decoded beside the workers however few they are, and answered as what they stand for.
#[cfg(feature = "compression")]
#[test]
fn few_compressed_bytes_stand_for_a_long_body() {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    on_each_driver(&[], |gateway, _| {
        let mut client = Client::connect(gateway.address()).unwrap();
        for len in [1, 1000, 3 * MEBIBYTE] {
            let text = "x".repeat(len);
            let mut coder = GzEncoder::new(Vec::new(), Compression::best());
            write!(coder, "{{\"text\":\"{text}\"}}").unwrap();
            let coded = coder.finish().unwrap();
            assert!(coded.len() < 4096, "{} bytes", coded.len());
            let headers = [("Content-Encoding", "gzip")];
            let reply = client
                .send("POST", "/v1/say", &headers, Some(&coded))
                .unwrap();
            assert_eq!(reply.status, 200);
            let answer: Value = serde_json::from_slice(&reply.body).unwrap();
            assert!(answer["text"] == *text);
        }
    });
}
