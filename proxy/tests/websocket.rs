//! `WebSocket` through the whole gateway (SEMANTICS 127): each kind of streaming method, every way to an end, on both I/O drivers.
//! The client is that of a library, the upstream tells what it meets (`support/streams.rs`).

#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod streams;
}

use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::Gateway;
use support::http::Client;
use support::streams::{Event, StreamsServer, on_each_driver};
use transom::clock;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

const CANCEL: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(20);

fn open(gateway: &Gateway, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}{path}", gateway.address());
    let (socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

fn say(socket: &mut WebSocket<TcpStream>, text: &str) {
    socket.send(Message::text(text)).unwrap();
}

/// The next message, as JSON.
fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            // On a busy machine a test may be silent for long.
            Message::Ping(_) => {}
            other => panic!("no text: {other:?}"),
        }
    }
}

/// The code with which the gateway closes.
fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    match socket.read().unwrap() {
        Message::Close(Some(CloseFrame { code, .. })) => code.into(),
        other => panic!("no close frame: {other:?}"),
    }
}

#[test]
fn s127_messages_go_both_ways_one_to_a_frame() {
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"a","number":1}"#);
        assert_eq!(
            hear(&mut socket),
            json!({"text": "a", "number": "1", "payload": ""})
        );
        upstream.wait_for(&Event::Received("a".to_owned(), 1));
        // Several values in one message, and bytes instead of text.
        say(&mut socket, "{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
        assert_eq!(hear(&mut socket)["text"], "b");
        assert_eq!(hear(&mut socket)["text"], "c");
        socket
            .send(Message::binary(&br#"[{"text":"d"},{"text":"e"}]"#[..]))
            .unwrap();
        assert_eq!(hear(&mut socket)["text"], "d");
        assert_eq!(hear(&mut socket)["text"], "e");
        // Nothing is the end of the requests, and the upstream ends the replies then.
        say(&mut socket, "");
        upstream.wait_for(&Event::HalfClosed);
        assert_eq!(close_code(&mut socket), 1000);
    });
}

#[test]
fn s127_a_server_stream_needs_no_message_where_the_path_says_all() {
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/count/3");
        for number in ["0", "1", "2"] {
            assert_eq!(hear(&mut socket)["number"], number);
        }
        assert_eq!(close_code(&mut socket), 1000);
        let mut socket = open(gateway, "/v1/count");
        say(&mut socket, r#"{"count":2}"#);
        assert_eq!(hear(&mut socket)["number"], "0");
        assert_eq!(hear(&mut socket)["number"], "1");
        assert_eq!(close_code(&mut socket), 1000);
    });
}

#[test]
fn s127_a_client_stream_answers_once_it_has_ended() {
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/collect");
        for _ in 0..100 {
            say(&mut socket, r#"{"payload":"AAAA"}"#);
        }
        say(&mut socket, "");
        assert_eq!(hear(&mut socket), json!({"count": "100", "len": "300"}));
        assert_eq!(close_code(&mut socket), 1000);
    });
}

#[test]
fn s127_errors_are_a_message_and_then_the_end() {
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"status"}"#);
        let error = json!({"error": {"code": 9, "message": "not today"}});
        assert_eq!(hear(&mut socket), error);
        assert_eq!(close_code(&mut socket), 1011);
        // One that cannot be read: the call is cancelled.
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"a"}"#);
        assert_eq!(hear(&mut socket)["text"], "a");
        say(&mut socket, r#"{"text":7}"#);
        let error = hear(&mut socket);
        assert_eq!(error["error"]["code"], 3);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("message 2.text:"), "{message}");
        assert_eq!(close_code(&mut socket), 1007);
        upstream.wait_for(&Event::Reset(CANCEL));
        // One that is cut.
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"#);
        assert_eq!(hear(&mut socket)["error"]["code"], 3);
        assert_eq!(close_code(&mut socket), 1007);
        // One too many.
        let mut socket = open(gateway, "/v1/count");
        say(&mut socket, r#"{"count":1,"end":"hang"}{"count":2}"#);
        assert_eq!(hear(&mut socket)["error"]["code"], 3);
        assert_eq!(close_code(&mut socket), 1007);
    });
}

#[test]
fn s127_an_upstream_that_dies_is_an_error() {
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"a"}"#);
        assert_eq!(hear(&mut socket)["text"], "a");
        say(&mut socket, r#"{"text":"die"}"#);
        assert_eq!(hear(&mut socket)["error"]["code"], 14);
        assert_eq!(close_code(&mut socket), 1011);
    });
}

#[test]
fn s127_a_client_that_closes_or_leaves_cancels_its_call() {
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"watch"}"#);
        assert_eq!(hear(&mut socket)["text"], "watch");
        socket.close(None).unwrap();
        upstream.wait_for(&Event::Reset(CANCEL));
        // The closing is answered.
        let ended = std::iter::from_fn(|| socket.read().ok()).any(|each| each.is_close());
        assert!(ended);
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"watch"}"#);
        assert_eq!(hear(&mut socket)["text"], "watch");
        drop(socket);
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

#[test]
fn s127_pings_are_answered_while_the_upstream_is_silent() {
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"watch"}"#);
        assert_eq!(hear(&mut socket)["text"], "watch");
        socket.send(Message::Ping("alive?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("alive?".into()));
    });
}

/// Goal: a client is answered while its call waits for a connection. Method: an upstream that accepts connections and says nothing.
#[test]
fn s127_pings_are_answered_while_the_call_is_opened() {
    for io in ["auto", "epoll"] {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", mute.local_addr().unwrap());
        let options = ["--workers", "1", "--io", io];
        let gateway = Gateway::serve_before(&url, "test/flows.proto", &options);
        let mut socket = open(&gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"a"}"#);
        for number in 0..10 {
            let ping = Message::Ping(number.to_string().into());
            socket.send(ping).unwrap();
            let pong = Message::Pong(number.to_string().into());
            assert_eq!(socket.read().unwrap(), pong, "{io}");
        }
        // Until it is given up.
        assert_eq!(hear(&mut socket)["error"]["code"], 14);
        assert_eq!(close_code(&mut socket), 1011);
        assert!(gateway.stop().0.success());
    }
}

/// A call whose upstream has stopped reading, and whose one message is longer than all that may be on the way.
fn open_before_the_deaf(
    gateway: &Gateway,
    upstream: &StreamsServer,
    path: &str,
) -> WebSocket<TcpStream> {
    let mut socket = open(gateway, path);
    say(&mut socket, r#"{"text":"deaf"}"#);
    upstream.wait_for(&Event::Received("deaf".to_owned(), 0));
    let payload = "A".repeat(2 << 20);
    say(&mut socket, &format!(r#"{{"payload":"{payload}"}}"#));
    socket
}

#[test]
fn s127_pings_are_answered_while_the_upstream_does_not_read() {
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open_before_the_deaf(gateway, upstream, "/v1/collect");
        // Behind messages, too.
        for number in 0..10 {
            let ping = Message::Ping(number.to_string().into());
            let pong = Message::Pong(number.to_string().into());
            socket.send(ping).unwrap();
            assert_eq!(socket.read().unwrap(), pong);
            say(&mut socket, r#"{"payload":"AAAA"}"#);
        }
        upstream.heal();
        say(&mut socket, "");
        let len = 3 * (2 << 20) / 4 + 30;
        assert_eq!(
            hear(&mut socket),
            json!({"count": "12", "len": len.to_string()})
        );
        assert_eq!(close_code(&mut socket), 1000);
    });
}

#[test]
fn s127_a_client_that_closes_while_the_upstream_does_not_read_cancels_its_call() {
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open_before_the_deaf(gateway, upstream, "/v1/chat");
        say(&mut socket, r#"{"payload":"AAAA"}"#);
        socket.close(None).unwrap();
        upstream.wait_for(&Event::Reset(CANCEL));
        assert!(socket.read().unwrap().is_close());
        // A violation is told at once as well.
        let mut socket = open_before_the_deaf(gateway, upstream, "/v1/chat");
        let announces_8_mib = b"\x82\xff\0\0\0\0\0\x80\0\0\0\0\0\0";
        socket.get_mut().write_all(announces_8_mib).unwrap();
        assert_eq!(close_code(&mut socket), 1009);
        upstream.wait_for(&Event::Reset(CANCEL));
    });
}

/// A client writes until nobody takes more, which the buffers of kernels put off for some MiB.
#[test]
fn s127_an_upstream_that_does_not_read_stops_its_client() {
    const LEN_MAX: usize = 48 << 20;
    on_each_driver(&[], |gateway, upstream| {
        let mut socket = open_before_the_deaf(gateway, upstream, "/v1/collect");
        let stream = socket.get_mut();
        let patience = Some(Duration::from_secs(1));
        stream.set_write_timeout(patience).unwrap();
        let message = format!(r#"{{"payload":"{}"}}"#, "A".repeat(64 << 10));
        let mut count = 2;
        loop {
            assert!(count * message.len() < LEN_MAX, "it is read on and on");
            // The library keeps what does not leave.
            count += 1;
            if socket.send(Message::text(message.as_str())).is_err() {
                break;
            }
        }
        upstream.heal();
        socket.get_mut().set_write_timeout(Some(PATIENCE)).unwrap();
        socket.flush().unwrap();
        say(&mut socket, "");
        assert_eq!(hear(&mut socket)["count"], count.to_string());
        assert_eq!(close_code(&mut socket), 1000);
    });
}

#[test]
fn s127_messages_of_grpc_gateway_are_wrapped() {
    on_each_driver(&["--profile", "grpc-gateway"], |gateway, _| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"a"}"#);
        assert_eq!(hear(&mut socket)["result"]["text"], "a");
    });
}

#[test]
fn s127_a_message_above_the_limit_ends_it() {
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/collect");
        let long = "x".repeat(5 << 20);
        // The gateway does not read it to its end.
        let _may_fail = socket.send(Message::text(format!("{{\"text\":\"{long}\"}}")));
        let last = std::iter::from_fn(|| socket.read().ok()).last();
        match last {
            Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1009),
            // A reset may overtake the close frame.
            None => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn s127_what_is_no_opening_is_a_request_like_others() {
    on_each_driver(&[], |gateway, _| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let head = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        // A method that does not stream; the connection stays.
        client
            .write(format!("GET /v1/say HTTP/1.1\r\n{head}\r\n").as_bytes())
            .unwrap();
        assert_eq!(client.read_reply("GET").unwrap().status, 405);
        client
            .write(format!("GET /v1/chat HTTP/1.1\r\n{head}\r\n").as_bytes())
            .unwrap();
        let reply = client.read_reply("GET").unwrap();
        assert_eq!(reply.status, 426);
        assert_eq!(reply.header("sec-websocket-version"), Some("13"));
        let page = |origin: String| {
            let url = format!("ws://{}/v1/chat", gateway.address());
            let request =
                ClientRequestBuilder::new(url.parse().unwrap()).with_header("Origin", origin);
            let stream = TcpStream::connect(gateway.address()).unwrap();
            tungstenite::client(request.into_client_request().unwrap(), stream).is_ok()
        };
        assert!(page(format!("http://{}", gateway.address())));
        assert!(!page("https://evil.example".to_owned()));
    });
}

/// Each frame of HTTP/2 that is short costs the upstream's patience, which is for all calls of the connection.
#[test]
fn s127_a_burst_of_small_messages_does_not_cost_others_their_calls() {
    const COUNT: usize = 10_000;
    on_each_driver(&[], |gateway, upstream| {
        let mut other = open(gateway, "/v1/chat");
        say(&mut other, r#"{"text":"a"}"#);
        assert_eq!(hear(&mut other)["text"], "a");
        let mut socket = open(gateway, "/v1/collect");
        say(&mut socket, r#"{"text":"deaf"}"#);
        upstream.wait_for(&Event::Received("deaf".to_owned(), 0));
        for _ in 0..COUNT {
            socket.write(Message::text("{}")).unwrap();
        }
        socket.flush().unwrap();
        // The gateway has read all of them when it answers this.
        socket.send(Message::Ping("all?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("all?".into()));
        say(&mut other, r#"{"text":"b"}"#);
        assert_eq!(hear(&mut other)["text"], "b");
        upstream.heal();
        say(&mut socket, "");
        assert_eq!(hear(&mut socket)["count"], (COUNT + 1).to_string());
    });
}

/// How long nothing may be taken before it is held to have come to rest.
const REST: Duration = Duration::from_millis(300);

/// What a client sends that reads no answers, at most.
const FLOOD_LEN_MAX: usize = 64 << 20;

/// Goal: answers to pings do not pile up. Method: a client pings without reading until no more is taken of it, which has to happen, and to cost little.
/// Each ping is answered once it reads.
#[test]
fn s127_a_flood_of_pings_stops_its_client() {
    // Of 125 bytes; a mask of zeros leaves them as they are.
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'p'; 125]].concat();
    on_each_driver(&[], |gateway, _| {
        let mut socket = open(gateway, "/v1/chat");
        say(&mut socket, r#"{"text":"here"}"#);
        assert_eq!(hear(&mut socket)["text"], "here");
        let memory_before = gateway.resident_len();
        let stream = socket.get_mut();
        stream.set_nonblocking(true).unwrap();
        let (mut sent_len, mut since) = (0, clock::now());
        while since.elapsed() < REST && sent_len < FLOOD_LEN_MAX {
            match stream.write(&ping[sent_len % ping.len()..]) {
                Ok(len) => (sent_len, since) = (sent_len + len, clock::now()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let grown_len = gateway.resident_len().saturating_sub(memory_before);
        println!("sent {sent_len}, grown {grown_len}");
        // What the kernel holds between the two, both ways, is its own business.
        assert!(sent_len < FLOOD_LEN_MAX, "the client is not stopped");
        assert!(grown_len < 4 << 20, "{grown_len}");
        socket.get_mut().set_nonblocking(false).unwrap();
        for _ in 0..sent_len / ping.len() {
            assert!(socket.read().unwrap().is_pong());
        }
    });
}

/// Goal: a socket that rests keeps little of the long message that it once carried. Method: several do so, one after the other, and stay open.
#[test]
fn s127_memory_of_a_long_message_goes_back() {
    const COUNT: usize = 6;
    let payload = "A".repeat((4 << 20) - 64);
    let long = format!(r#"{{"payload":"{payload}"}}"#);
    on_each_driver(&[], |gateway, _| {
        let carry = || {
            let mut socket = open(gateway, "/v1/chat");
            say(&mut socket, &long);
            assert_eq!(hear(&mut socket)["payload"], *payload);
            socket
        };
        // What the worker needs for one.
        let mut sockets = vec![carry()];
        let before = gateway.resident_len();
        sockets.extend((0..COUNT).map(|_| carry()));
        let since = clock::now();
        let mut grown_len = u64::MAX;
        // The allocator may keep what one of them needed for a while.
        while grown_len > 24 << 20 {
            assert!(since.elapsed() < PATIENCE, "{grown_len} bytes are kept");
            for socket in &mut sockets {
                say(socket, r#"{"text":"short"}"#);
                assert_eq!(hear(socket)["text"], "short");
            }
            grown_len = gateway.resident_len().saturating_sub(before);
        }
        println!("grown {grown_len}");
    });
}
