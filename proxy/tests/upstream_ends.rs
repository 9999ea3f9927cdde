//! Calls that end before their answer: reset streams, lost connections, deadlines, clients that leave (THREATS F1 to F4, F9;
//! SEMANTICS 110, 111, 126, 133).
//!
//! Goal: each end becomes its status, both sides learn of it, and other calls go on. Method: the gateway before a scripted HTTP/2 peer.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    #[allow(
        dead_code,
        unreachable_pub,
        reason = "shared with the tests of the pool, which use other parts of it"
    )]
    pub(crate) mod peer;
    pub(crate) mod process;
    pub(crate) mod stage;
    pub(crate) mod wire;
}

use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use support::gateway::Gateway;
use support::http::{Client, Reply, request};
use support::peer::{Connection, Peer};
use support::stage::{BAD, GOOD, PATIENCE, Stage, assert_good, case, ending, framed, serve};
use support::wire::assert_error;
use transom::clock;

/// HTTP/2's code for a call that is not wanted any more.
const CANCEL: u32 = 8;

const SLOW: &[u8] = b"{\"stringValue\": \"slow\"}";

/// F3: each code of `RST_STREAM`, before and after the headers and in the middle of the message.
#[test]
fn resets_become_the_status_of_their_code() {
    let expected = |code| match code {
        7 => (503, 14),
        8 => (499, 1),
        11 => (429, 8),
        12 => (403, 7),
        _ => BAD,
    };
    let cases = (0..=13).flat_map(|code| {
        [
            case(
                format!("F3 {code} before headers"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| peer.reset(stream, code),
            ),
            case(
                format!("F3 {code} after headers"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| {
                    peer.headers(stream)?;
                    peer.reset(stream, code)
                },
            ),
            case(
                format!("F3 {code} in the message"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| {
                    peer.headers(stream)?;
                    peer.data(stream, &[0, 0, 0, 0, 9, 0x72])?;
                    peer.reset(stream, code)
                },
            ),
        ]
    });
    Stage::new(cases.collect()).play();
}

/// F3, F4, F9: the connection ends under a call; the next one is made at once.
#[test]
fn connections_that_end_cost_the_calls_on_them() {
    let ends = |name: &str, expected, words, act: fn(&mut Connection, u32) -> io::Result<()>| {
        ending(case(name, expected, words, move |peer, stream| {
            act(peer, stream)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }))
    };
    let cases = vec![
        ends("F9 before headers", (503, 14), "lost", |_, _| Ok(())),
        ends("F9 after headers", (503, 14), "lost", |peer, stream| {
            peer.headers(stream)
        }),
        ends("F9 in the message", (503, 14), "lost", |peer, stream| {
            peer.headers(stream)?;
            peer.data(stream, &[0, 0, 0, 0, 9, 0x72])
        }),
        ends(
            "F4 GOAWAY below the call, twice",
            (503, 14),
            "upstream",
            |peer, _| peer.go_away(0, 0),
        ),
        ends("F8 garbage", BAD, "protocol", |peer, _| {
            peer.send(support::peer::DATA, 0, 0, b"garbage")
        }),
        ending(case(
            "F4 GOAWAY above the call",
            GOOD,
            r#""stringValue":"ok""#,
            |peer, stream| {
                peer.go_away(stream, 0)?;
                peer.answer(stream, &framed(b"\x72\x02ok"))
            },
        )),
        ending(case(
            "F8 uppercase header",
            BAD,
            "upstream",
            |peer, stream| {
                let headers = [("content-type", "application/grpc"), ("X-Upper", "y")];
                peer.send_headers(stream, Some(200), &headers, false)?;
                peer.answer(stream, b"")
            },
        )),
    ];
    Stage::new(cases).play();
}

/// F1: nobody listens; somebody listens and says nothing, or something else.
#[test]
fn absent_and_silent_upstreams_are_unavailable_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = Peer::start(|_, mut connection| while connection.read_any().is_ok() {});
    let other = Peer::start(|_, mut connection| {
        use std::io::Write as _;
        let _gone = connection
            .socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (name, url) in [
        ("closed", format!("http://{closed}")),
        ("silent", silent.url()),
        ("other", other.url()),
    ] {
        let gateway = serve(&url);
        let since = clock::now();
        let reply = request(gateway.address(), "POST", "/v1/echo", &[], Some(b"{}")).unwrap();
        assert!(since.elapsed() < Duration::from_secs(5), "{name}");
        assert_eq!(reply.status, 503, "{name}");
        assert_error(&reply, name);
        assert_eq!(reply.json()["code"], 14, "{name}");
        // SEMANTICS 111: no addresses of the inside.
        assert!(
            !reply.text().contains("127.0.0.1"),
            "{name}: {}",
            reply.text()
        );
    }
}

/// F2: 504 at the deadline, and the upstream is told.
#[test]
fn deadline_ends_a_call_here_and_at_the_upstream() {
    let (peer, heard) = watched_peer();
    let gateway = serve(&peer.url());
    let mut client = Client::connect(gateway.address()).unwrap();
    let since = clock::now();
    let reply = client
        .send("POST", "/v1/echo", &[("Grpc-Timeout", "200m")], Some(SLOW))
        .unwrap();
    let waited = since.elapsed();
    assert!(
        waited >= Duration::from_millis(190) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    assert_eq!((reply.status, &reply.json()["code"]), (504, &4.into()));
    assert_error(&reply, "deadline");
    assert_cancelled(&heard);
    assert_good(&mut client, "a deadline");
}

/// SEMANTICS 133: an upstream that watches the clock itself may give up first, and tonic calls that CANCELLED. To the client it is
/// the same deadline; before the deadline it is not.
#[test]
fn upstream_that_gives_up_at_the_deadline_has_exceeded_it() {
    let peer = Peer::start(|_, mut connection| {
        connection.greet(&[]).unwrap();
        while let Ok(request) = connection.request() {
            let status = [("grpc-status", "1"), ("grpc-message", "Timeout expired")];
            connection.trailers_only(request.stream, &status).unwrap();
        }
    });
    let gateway = serve(&peer.url());
    let mut client = Client::connect(gateway.address()).unwrap();
    let mut call = |timeout: &str| {
        let headers = [("Grpc-Timeout", timeout)];
        let reply = client.send("POST", "/v1/echo", &headers, Some(b"{}"));
        let reply = reply.unwrap();
        (reply.status, reply.json()["code"].clone())
    };
    for _ in 0..20 {
        assert_eq!(call("1n"), (504, 4.into()));
    }
    assert_eq!(call("1M"), (499, 1.into()));
}

/// SEMANTICS 126: a client that leaves cancels its call, whether it resets, closes or only stops sending.
#[test]
fn client_that_leaves_cancels_its_call() {
    for driver in ["auto", "epoll"] {
        let (peer, heard) = watched_peer();
        let arguments = ["--io", driver, "--workers", "1"];
        let gateway = Gateway::serve_before(&peer.url(), "example/bookstore.proto", &arguments);
        let slow = format!(
            "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            SLOW.len()
        );
        for finishes in [true, false] {
            let mut client = Client::connect(gateway.address()).unwrap();
            client.write(&[slow.as_bytes(), SLOW].concat()).unwrap();
            let request = heard.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(request, Event::Request { .. }), "{request:?}");
            if finishes {
                client.finish_sending().unwrap();
                assert!(client.is_closed_by_peer().unwrap());
            }
            drop(client);
            let reset = heard.recv_timeout(PATIENCE).unwrap();
            assert!(
                matches!(reset, Event::Reset { code: CANCEL, .. }),
                "{reset:?}"
            );
        }
        assert_good(
            &mut Client::connect(gateway.address()).unwrap(),
            "clients that left",
        );
    }
}

/// One slow call delays nobody else, on the same worker and the same upstream connection.
#[test]
fn slow_call_does_not_delay_other_clients() {
    let (peer, heard) = watched_peer();
    let gateway = serve(&peer.url());
    let address = gateway.address();
    thread::scope(|scope| {
        let slow = scope.spawn(move || {
            request(
                address,
                "POST",
                "/v1/echo",
                &[("Grpc-Timeout", "2S")],
                Some(SLOW),
            )
            .unwrap()
        });
        assert!(heard.recv_timeout(PATIENCE).is_ok());
        let mut client = Client::connect(address).unwrap();
        for _ in 0..50 {
            assert_good(&mut client, "the start of a slow call");
        }
        assert!(!slow.is_finished());
        let reply: Reply = slow.join().unwrap();
        assert_eq!(reply.status, 504);
    });
    assert_cancelled_last(&heard);
}

/// A peer that tells of each request and each reset, and answers none but those for `ok`.
fn watched_peer() -> (Peer, Receiver<Event>) {
    let (events, heard) = channel();
    let peer = Peer::start(move |_, mut connection| {
        connection.greet(&[]).unwrap();
        watch(&mut connection, &events);
    });
    (peer, heard)
}

#[derive(Debug, PartialEq)]
enum Event {
    Request { stream: u32 },
    Reset { stream: u32, code: u32 },
}

fn watch(connection: &mut Connection, events: &Sender<Event>) {
    while let Ok(frame) = connection.read() {
        let stream = frame.stream;
        if frame.kind == support::peer::RST_STREAM {
            let code = u32::from_be_bytes(frame.payload.try_into().unwrap());
            events.send(Event::Reset { stream, code }).unwrap();
        } else if frame.is_end_stream() {
            if frame.payload.len() == 5 {
                connection.answer(stream, &framed(b"\x72\x02ok")).unwrap();
            } else {
                events.send(Event::Request { stream }).unwrap();
            }
        }
    }
}

fn assert_cancelled(heard: &Receiver<Event>) {
    let Event::Request { stream } = heard.recv_timeout(PATIENCE).unwrap() else {
        panic!("expected the request first");
    };
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Event::Reset {
            stream,
            code: CANCEL
        }
    );
}

fn assert_cancelled_last(heard: &Receiver<Event>) {
    let reset = heard.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(reset, Event::Reset { code: CANCEL, .. }),
        "{reset:?}"
    );
}
