//! Paths that no rule has, passed on to another HTTP/1.1 server, over sockets (SEMANTICS 115).
//!
//! Goal: the client gets what that server answers, whole or visibly cut; the server gets what the client asked, without what was about the client's
//! connection; nothing either side sends harms the other. Method: a server of raw bytes that answers by path, and requests on one connection.
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
    pub(crate) mod tools;
}

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use support::configured::{Configured, serve, values};

/// Bytes of a body that no buffer of a connection holds.
const LONG_LEN: usize = 8 << 20;

/// A server that answers each connection once, and tells what it was asked.
fn origin() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, requests) = channel();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let asked = asked.clone();
            // A client that breaks off is no fault of the server.
            thread::spawn(move || answer(stream, &asked).ok());
        }
    });
    (address, requests)
}

fn answer(mut stream: TcpStream, asked: &Sender<String>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        let mut room = [0; 4096];
        let len = stream.read(&mut room)?;
        if len == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&room[..len]);
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    _ = asked.send(request);
    let many = "a: b\r\n".repeat(1000);
    match &*target {
        "/length" => stream.write_all(
            b"HTTP/1.1 201 Created\r\nX-One: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\n{}",
        ),
        "/chunked" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        ),
        "/close" => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnothing"),
        "/cut-length" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        // The end of the connection would be that of the response; a reset is not.
        "/reset" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf")?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))
        }
        "/interim" => {
            stream.write_all("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(32).as_bytes())?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        }
        "/interim-flood" => stream.write_all("HTTP/1.1 100 \r\n\r\n".repeat(100_000).as_bytes()),
        "/cut-chunk" => stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
        "/flood" => stream.write_all(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes()),
        "/endless" => loop {
            stream.write_all(b"HTTP/1.1 200 OK and on and on")?;
        },
        "/http2" => stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0"),
        "/two" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
        "/long" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG_LEN}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.write_all(&vec![b'x'; LONG_LEN])
        }
        // It hangs up without a word.
        _ => Ok(()),
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let len = lines.find_map(|line| line.strip_prefix("content-length: "));
    len.is_none_or(|len| body.len() >= len.parse().unwrap())
}

fn passing(name: &str) -> (Configured, Receiver<String>) {
    let (address, requests) = origin();
    let settings = format!("unknown_paths_to: http://{address}");
    (serve(name, &settings, &[]), requests)
}

#[test]
fn s115_unknown_paths_are_answered_by_another_server() {
    let (stage, requests) = passing("passing-answers");
    let mut client = stage.connect();
    let reply = client
        .send(
            "PUT",
            "/length?a=%20b",
            &[
                ("X-Hop", "1"),
                ("Connection", "keep-alive, x-hop"),
                ("X-Own", "2"),
            ],
            Some(b"body"),
        )
        .unwrap();
    // That server hangs up, since it has no such target; but it was asked.
    assert_eq!(reply.status, 503);
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("PUT /length?a=%20b HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{request}"
    );
    for (part, is_there) in [
        ("\r\nconnection: close\r\n", true),
        ("\r\nX-Own: 2\r\n", true),
        ("\r\nx-forwarded-for: 127.0.0.1\r\n", true),
        ("\r\nvia: 1.1 transom\r\n", true),
        ("\r\ncontent-length: 4\r\n\r\nbody", true),
        ("X-Hop", false),
        ("keep-alive", false),
    ] {
        assert_eq!(request.contains(part), is_there, "{part} in {request}");
    }
    for (method, target, status, body) in [
        ("GET", "/length", 201, "{}"),
        ("GET", "/chunked", 200, "abcde"),
        ("HEAD", "/length", 201, ""),
        ("GET", "/close", 404, "nothing"),
        ("GET", "/interim", 200, "{}"),
        ("POST", "/chunked", 200, "abcde"),
    ] {
        let reply = client.send(method, target, &[], None).unwrap();
        assert_eq!(reply.status, status, "{method} {target}");
        assert_eq!(reply.body, body.as_bytes(), "{method} {target}");
        assert!(values(&reply, "x-hop").is_empty());
    }
    // A body in chunks has come whole, and has a length.
    client
        .write(b"POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(client.read_reply("POST").unwrap().status, 201);
    let request = requests.try_iter().last().unwrap();
    assert!(
        request.ends_with("\r\ncontent-length: 3\r\n\r\nabc"),
        "{request}"
    );
    // Paths that have a rule are nobody else's, with any method.
    let reply = client.send("GET", "/v1/shelves/1", &[], None).unwrap();
    assert_ne!(reply.status, 404);
    let reply = client.send("PUT", "/v1/shelves/1", &[], None).unwrap();
    assert_eq!(reply.status, 405);
    assert_eq!(stage.call_count(), 1);
    assert_eq!(requests.try_iter().count(), 0);
    stage.stop();
}

/// A body that would be converted beside the workers is no different where it is not converted at all.
#[test]
fn s115_long_body_is_passed_on_whole() {
    let (stage, requests) = passing("passing-long-body");
    let mut client = stage.connect();
    let body = vec![b'x'; 400_000];
    let reply = client.send("POST", "/length", &[], Some(&body)).unwrap();
    assert_eq!(reply.status, 201);
    let request = requests.recv().unwrap();
    let (head, passed) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("\r\ncontent-length: 400000"), "{head}");
    assert!(passed.as_bytes() == body);
    let reply = client.send("GET", "/chunked", &[], None).unwrap();
    assert_eq!(reply.body, b"abcde");
    stage.stop();
}

#[test]
fn s115_responses_that_are_none_are_unavailable_and_those_that_break_off_end_the_connection() {
    let (stage, _requests) = passing("passing-faults");
    let mut client = stage.connect();
    for target in [
        "/flood",
        "/interim-flood",
        "/endless",
        "/http2",
        "/two",
        "/nothing",
    ] {
        let reply = client.send("GET", target, &[], None).unwrap();
        assert_eq!(reply.status, 503, "{target}");
        assert_eq!(
            String::from_utf8_lossy(&reply.body),
            r#"{"code":14,"message":"the server of this path has no answer"}"#,
            "{target}"
        );
    }
    for target in ["/cut-length", "/cut-chunk", "/reset"] {
        let mut client = stage.connect();
        let error = client.send("GET", target, &[], None).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof,
            "{target}: {error}"
        );
    }
    // The worker is well.
    assert_eq!(
        client.send("GET", "/length", &[], None).unwrap().status,
        201
    );
    stage.stop();
}

/// More than the buffers of two sockets: what waits for the client waits at the server.
#[test]
fn s115_long_response_comes_whole_and_a_client_that_leaves_ends_it() {
    let (stage, _requests) = passing("passing-long");
    let mut client = stage.connect();
    let reply = client.send("GET", "/long", &[], None).unwrap();
    assert_eq!(reply.body.len(), LONG_LEN);
    client
        .write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    drop(client);
    let mut client = stage.connect();
    assert_eq!(
        client.send("GET", "/chunked", &[], None).unwrap().status,
        200
    );
    stage.stop();
}

#[test]
fn s115_server_that_is_not_there_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let stage = serve(
        "passing-nobody",
        &format!("unknown_paths_to: http://{free}"),
        &[],
    );
    let mut client = stage.connect();
    let reply = client.send("GET", "/length", &[], None).unwrap();
    assert_eq!(reply.status, 503);
    assert!(!String::from_utf8_lossy(&reply.body).contains("127.0.0.1"));
    stage.stop();
}
