//! Bodies that are compressed, both ways, over a socket, as a configuration file says (SEMANTICS 76, 136, 137).
//!
//! Goal: what a client gets is what the upstream sent, in a coding that it asked for. Method: an upstream that sends back what it got; the codings
//! are done and undone here by the crates themselves, and heads are looked at as they came.
#![cfg(test)]
#![cfg(feature = "compression")]

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
    pub(crate) mod tools;
}

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::Value;
use support::configured::{serve, values};
use support::http::Reply;

/// A path whose answer is long, and that answer.
fn long(len: usize) -> (String, String) {
    let name = "n".repeat(len);
    let body = format!("{{\"name\":\"shelves/{name}\",\"theme\":\"\"}}");
    (format!("/v1/shelves/{name}"), body)
}

fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(&mut out, Compression::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap();
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(&mut out, Compression::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap();
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 20);
            encoder.write_all(plain).unwrap();
            drop(encoder);
        }
        "zstd" => out = zstd::encode_all(plain, 3).unwrap(),
        other => panic!("{other}"),
    }
    out
}

fn plain(reply: &Reply) -> String {
    let body = &reply.body[..];
    let mut text = String::new();
    match reply.header("content-encoding") {
        None => text = reply.text(),
        Some("gzip") => drop(flate2::bufread::GzDecoder::new(body).read_to_string(&mut text)),
        Some("deflate") => drop(flate2::bufread::ZlibDecoder::new(body).read_to_string(&mut text)),
        Some("br") => drop(brotli::Decompressor::new(body, 4096).read_to_string(&mut text)),
        Some("zstd") => text = String::from_utf8(zstd::decode_all(body).unwrap()).unwrap(),
        Some(other) => panic!("{other}"),
    }
    text
}

#[test]
fn s137_replies_are_coded_as_the_client_wants_most() {
    let stage = serve("coded-replies", "compression: {from: 512}", &[]);
    let mut client = stage.connect();
    let (path, body) = long(3000);
    let cases: Value = serde_json::from_str(include_str!("cases/137-codings.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let (accept, coding) = (case["accept"].as_str().unwrap(), case["coding"].as_str());
        let reply = client
            .send("GET", &path, &[("Accept-Encoding", accept)], None)
            .unwrap();
        assert_eq!(reply.status, 200, "{accept}");
        assert_eq!(reply.header("content-encoding"), coding, "{accept}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(values(&reply, "vary"), ["Accept-Encoding"], "{accept}");
        assert_eq!(plain(&reply), body, "{accept}");
        if coding.is_some() {
            assert!(reply.body.len() < 200, "{accept}: {}", reply.body.len());
        }
    }
    // Nothing said is nothing wanted.
    let reply = client.send("GET", &path, &[], None).unwrap();
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.text(), body);
    stage.stop();
}

#[test]
fn s137_short_replies_and_errors_are_sent_as_they_are() {
    let stage = serve("coded-short", "compression: {from: 100}", &[]);
    let mut client = stage.connect();
    let accept = ("Accept-Encoding", "gzip");
    let overhead = long(0).1.len();
    for (len, is_coded) in [(99, false), (100, true)] {
        let (path, body) = long(len - overhead);
        let reply = client.send("GET", &path, &[accept], None).unwrap();
        assert_eq!(body.len(), len);
        assert_eq!(
            reply.header("content-encoding").is_some(),
            is_coded,
            "{len}"
        );
        assert_eq!(values(&reply, "vary"), ["Accept-Encoding"], "{len}");
        assert_eq!(plain(&reply), body);
    }
    let reply = client.send("GET", "/nothing", &[accept], None).unwrap();
    assert_eq!(
        (reply.status, reply.header("content-encoding")),
        (404, None)
    );
    assert_eq!(reply.json()["code"], 5);
    stage.stop();
}

#[test]
fn s137_head_is_answered_as_get_is() {
    let stage = serve("coded-head", "compression: {}", &[("etag", "\"7\"")]);
    let mut client = stage.connect();
    let (path, _) = long(2000);
    for accept in ["br", "identity"] {
        let headers = [("Accept-Encoding", accept)];
        let get = client.send("GET", &path, &headers, None).unwrap();
        let head = client.send("HEAD", &path, &headers, None).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in [
            "content-encoding",
            "content-length",
            "content-type",
            "vary",
            "etag",
        ] {
            assert_eq!(values(&head, name), values(&get, name), "{accept} {name}");
        }
    }
    stage.stop();
}

#[test]
fn s137_tag_of_what_was_coded_is_weak() {
    let stage = serve("coded-tag", "compression: {}", &[("etag", "\"7\"")]);
    let mut client = stage.connect();
    let (path, _) = long(2000);
    for (accept, tag) in [("gzip", "W/\"7\""), ("identity", "\"7\"")] {
        let reply = client
            .send("GET", &path, &[("Accept-Encoding", accept)], None)
            .unwrap();
        assert_eq!(values(&reply, "etag"), [tag], "{accept}");
    }
    stage.stop();
}

#[test]
fn s137_file_says_which_codings_and_types() {
    let settings = "compression: {from: 0, codings: [deflate, gzip]}\nsuccess_statuses: {bookstore.v1.Bookstore.GetShelf: 203}";
    let stage = serve("coded-some", settings, &[]);
    let mut client = stage.connect();
    let accept = ("Accept-Encoding", "zstd, br, gzip, deflate");
    let reply = client
        .send("GET", "/v1/shelves/7", &[accept], None)
        .unwrap();
    assert_eq!(reply.header("content-encoding"), Some("deflate"));
    assert_eq!(plain(&reply), "{\"name\":\"shelves/7\",\"theme\":\"\"}");
    // SEMANTICS 136.
    assert_eq!(reply.status, 203);
    stage.stop();

    let stage = serve(
        "coded-types",
        "compression: {content_types: [text/plain]}",
        &[],
    );
    let mut client = stage.connect();
    let reply = client.send("GET", &long(2000).0, &[accept], None).unwrap();
    assert_eq!(
        (reply.header("content-encoding"), reply.header("vary")),
        (None, None)
    );
    stage.stop();

    // Under no such key nothing is compressed.
    let stage = serve("coded-off", "", &[]);
    let mut client = stage.connect();
    let reply = client.send("GET", &long(2000).0, &[accept], None).unwrap();
    assert_eq!(
        (reply.header("content-encoding"), reply.header("vary")),
        (None, None)
    );
    stage.stop();
}

/// Reading them takes no key.
#[test]
fn s76_requests_are_read_in_each_coding() {
    let stage = serve("coded-requests", "", &[]);
    let mut client = stage.connect();
    let text = format!("{{\"stringValue\":\"{}\"}}", "s".repeat(100_000));
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let body = coded(coding, text.as_bytes());
        assert!(body.len() < 1000, "{coding}");
        let header = ("Content-Encoding", coding);
        let reply = client
            .send("POST", "/v1/echo", &[header], Some(&body))
            .unwrap();
        assert_eq!(reply.status, 200, "{coding}: {}", reply.text());
        let echoed = reply.json();
        assert_eq!(echoed["stringValue"].as_str().unwrap().len(), 100_000);

        // The same in chunks.
        let head = format!(
            "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        client.write(head.as_bytes()).unwrap();
        for chunk in body.chunks(7) {
            let size = format!("{:x}\r\n", chunk.len());
            client
                .write(&[size.as_bytes(), chunk, b"\r\n"].concat())
                .unwrap();
        }
        client.write(b"0\r\n\r\n").unwrap();
        let reply = client.read_reply("POST").unwrap();
        assert_eq!(reply.status, 200, "{coding}: {}", reply.text());
        assert_eq!(reply.json(), echoed);
    }
    stage.stop();
}

#[test]
fn s76_what_is_no_such_body_is_the_clients_fault_and_the_connection_goes_on() {
    let stage = serve("coded-faults", "", &[]);
    let mut client = stage.connect();
    let text = b"{\"stringValue\":\"ok\"}";
    let bomb = vec![b' '; 5 << 20];
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let good = coded(coding, text);
        let bomb = coded(coding, &bomb);
        for (what, encoding, body, status) in [
            ("no such coding", coding, &text[..], 400),
            ("a cut one", coding, &good[..good.len() - 1], 400),
            (
                "more behind it",
                coding,
                &[&good[..], b"more"].concat(),
                400,
            ),
            ("a bomb", coding, &bomb[..], 413),
            ("twice", &*format!("{coding}, {coding}"), &good[..], 415),
            ("an unknown one", "lzma", &good[..], 415),
        ] {
            let header = ("Content-Encoding", encoding);
            let reply = client
                .send("POST", "/v1/echo", &[header], Some(body))
                .unwrap();
            assert_eq!(reply.status, status, "{coding}: {what}: {}", reply.text());
            assert!(reply.json()["code"].is_number(), "{coding}: {what}");
        }
        assert_eq!(stage.call_count(), 0);
    }
    let header = ("Content-Encoding", "br");
    let body = coded("br", text);
    let reply = client
        .send("POST", "/v1/echo", &[header], Some(&body))
        .unwrap();
    assert_eq!((reply.status, stage.call_count()), (200, 1));
    stage.stop();
}
