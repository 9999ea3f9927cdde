//! What a connection is good for: keep-alive, pipelining, bodies of every kind and size, `Expect`, and what all that costs.
//!
//! Goal: every request that may be answered is, in order, whatever way its bytes come; memory follows what is in use. Method: the
//! gateway with the bookstore behind it, on `io_uring` and on epoll, called over raw connections.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use support::gateway::Gateway;
use support::http::{Client, Reply, request};
use support::wire::{assert_serves, replies_to};
use transom::clock;

const MEBIBYTE: usize = 1 << 20;

fn echo(text: &str) -> String {
    let body = format!("{{\"stringValue\": \"{text}\"}}");
    format!(
        "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunked_echo(text: &str) -> String {
    let body = format!("{{\"stringValue\": \"{text}\"}}");
    let (one, two) = body.split_at(7);
    format!(
        "POST /v1/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:X};x=y\r\n{two}\r\n0\r\nT: u\r\n\r\n",
        one.len(),
        two.len()
    )
}

fn texts(replies: &[Reply]) -> Vec<String> {
    replies
        .iter()
        .map(|reply| {
            reply.json()["stringValue"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

const LAST: &str = "GET /v1/titles HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Calls, errors made here, bodies with a length and in chunks: all in one write, and again cut at every byte.
#[test]
fn pipelined_requests_are_answered_in_order() {
    Gateway::demo_on_each_driver(|gateway| {
        let wrong = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
        let head = "HEAD /v1/titles HTTP/1.1\r\nHost: h\r\n\r\n";
        let slow = "GET /v1/wait?delay=0.05s HTTP/1.1\r\nHost: h\r\n\r\n";
        let all = [
            echo("a"),
            chunked_echo("b"),
            wrong.to_owned(),
            slow.to_owned(),
            chunked_echo("c"),
            echo("d"),
            LAST.to_owned(),
        ]
        .concat();
        let replies = replies_to(gateway.address(), all.as_bytes());
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200, 200, 404, 200, 200, 200, 200]);
        let mut texts = texts(&replies[..6]);
        texts.retain(|text| !text.is_empty());
        assert_eq!(texts, ["a", "b", "c", "d"]);
        assert!(replies[5].header("connection").is_none());
        assert_eq!(replies[6].header("connection"), Some("close"));

        // HEAD has the head of GET and no body, so that the next reply is not taken for it.
        let mut client = Client::connect(gateway.address()).unwrap();
        client.write([head, LAST].concat().as_bytes()).unwrap();
        let without = client.read_reply("HEAD").unwrap();
        let with = client.read_reply("GET").unwrap();
        assert_eq!((without.status, without.body.len()), (200, 0));
        assert_eq!(
            without.header("content-length"),
            with.header("content-length")
        );

        let small = [echo("x"), chunked_echo("y"), LAST.to_owned()].concat();
        let mut client = Client::connect(gateway.address()).unwrap();
        for byte in small.as_bytes() {
            client.write(&[*byte]).unwrap();
        }
        for status in [200, 200, 200] {
            assert_eq!(client.read_reply("GET").unwrap().status, status);
        }
        assert!(client.is_closed_by_peer().unwrap());
    });
}

/// A long pipeline, behind a body that made the buffer large.
#[test]
fn long_pipeline_is_answered_whole() {
    Gateway::demo_on_each_driver(|gateway| {
        const COUNT: usize = 20_000;
        let body = format!("{{\"stringValue\": \"{}\"", "x".repeat(3 * MEBIBYTE));
        let large = format!(
            "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let tiny = "GET /no HTTP/1.1\r\nHost: h\r\n\r\n".repeat(COUNT);
        let mut client = Client::connect(gateway.address()).unwrap();
        let mut sender = client.another_handle().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write as _;
                for part in [large, tiny, LAST.to_owned()] {
                    sender.write_all(part.as_bytes()).unwrap();
                }
            });
            assert_eq!(client.read_reply("POST").unwrap().status, 400);
            for _ in 0..COUNT {
                assert_eq!(client.read_reply("GET").unwrap().status, 404);
            }
            assert_eq!(client.read_reply("GET").unwrap().status, 200);
        });
    });
}

/// One client floods its connection and is answered; others get their turn meanwhile.
#[test]
fn flood_of_one_connection_does_not_starve_another() {
    Gateway::demo_on_each_driver(|gateway| {
        let address = gateway.address();
        let mut client = Client::connect(address).unwrap();
        let mut sender = client.another_handle().unwrap();
        let flood = "GET /no HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2_000);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write as _;
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    sender.write_all(flood.as_bytes()).unwrap();
                }
                sender.write_all(LAST.as_bytes()).unwrap();
            });
            let reader = scope.spawn(move || {
                let mut count = 0;
                while client.read_reply("GET").unwrap().status == 404 {
                    count += 1;
                }
                count
            });
            for _ in 0..20 {
                let since = clock::now();
                assert_serves(address, "a flood on another connection");
                assert!(
                    since.elapsed() < Duration::from_secs(2),
                    "{:?}",
                    since.elapsed()
                );
            }
            drop(stop);
            assert!(reader.join().unwrap() > 0);
        });
    });
}

/// SEMANTICS 75.
#[test]
fn expectation_is_answered_before_the_body_and_only_when_it_is_wanted() {
    Gateway::demo_on_each_driver(|gateway| {
        let head = |length: usize, path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
            )
        };
        let mut client = Client::connect(gateway.address()).unwrap();
        client.write(head(2, "/v1/echo").as_bytes()).unwrap();
        assert_eq!(client.read_status().unwrap(), 100);
        client.write(b"{}").unwrap();
        assert_eq!(client.read_reply("POST").unwrap().status, 200);

        // In chunks.
        client.write(b"POST /v1/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(client.read_status().unwrap(), 100);
        client.write(b"2\r\n{}\r\n0\r\n\r\n").unwrap();
        assert_eq!(client.read_reply("POST").unwrap().status, 200);

        // Who does not wait needs no word.
        client
            .write(format!("{}{{}}", head(2, "/v1/echo")).as_bytes())
            .unwrap();
        assert_eq!(client.read_status().unwrap(), 200);

        // What is refused by its head is refused before its body.
        for (length, path, status) in [
            (2, "/nowhere", 404),
            (5 * MEBIBYTE, "/v1/echo", 413),
            (2, "/v1/titles", 405),
        ] {
            let replies = replies_to(gateway.address(), head(length, path).as_bytes());
            assert_eq!(replies.len(), 1, "{path}");
            assert_eq!(replies[0].status, status);
        }
    });
}

#[test]
fn old_clients_are_served_and_kept_if_they_ask() {
    Gateway::demo_on_each_driver(|gateway| {
        let replies = replies_to(gateway.address(), b"GET /v1/titles HTTP/1.0\r\n\r\n");
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].status, 200);
        assert!(replies[0].header("transfer-encoding").is_none());

        let kept = "GET /v1/titles HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        let replies = replies_to(
            gateway.address(),
            [kept, kept, "GET /v1/titles HTTP/1.0\r\n\r\n"]
                .concat()
                .as_bytes(),
        );
        assert_eq!(replies.len(), 3);
        assert_eq!(replies[0].header("connection"), Some("keep-alive"));
        assert_eq!(replies[2].header("connection"), Some("close"));
    });
}

/// A client that sends all before it reads anything must find the answer, not a reset in its place.
#[test]
fn answer_given_before_the_body_was_read_arrives() {
    Gateway::demo_on_each_driver(|gateway| {
        let address = gateway.address();
        let body = vec![b' '; 40 << 10];
        let expect = |name: &str, head: &str, status: u16| {
            let head = format!("{head} HTTP/1.1\r\nHost: h\r\n");
            for framing in [
                format!("Content-Length: {}\r\n\r\n", 5 * MEBIBYTE),
                format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", 5 * MEBIBYTE),
            ] {
                let replies = replies_to(
                    address,
                    &[head.as_bytes(), framing.as_bytes(), &body].concat(),
                );
                assert_eq!(replies.len(), 1, "{name}");
                assert_eq!(replies[0].status, status, "{name}");
                assert_eq!(replies[0].header("connection"), Some("close"), "{name}");
            }
        };
        expect("too large", "POST /v1/echo", 413);
        expect("unknown path", "POST /nowhere", 404);

        // A short body is read instead, although its head was refused, and the connection goes on.
        let mut client = Client::connect(address).unwrap();
        for _ in 0..3 {
            client
                .write(b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 40960\r\n\r\n")
                .unwrap();
            client.write(&body).unwrap();
            assert_eq!(client.read_reply("POST").unwrap().status, 404);
        }
    });
}

/// D7: four mebibytes both ways, with a length and in chunks; memory is three times that at most, and is given back.
#[test]
fn largest_body_fits_and_leaves_no_memory_behind() {
    Gateway::demo_on_each_driver(|gateway| {
        let wrap = r#"{"stringValue": ""}"#.len();
        let text = "x".repeat(4 * MEBIBYTE - wrap - 64);
        let body = format!("{{\"stringValue\": \"{text}\"}}");
        let mut clients: Vec<_> = (0..8)
            .map(|_| Client::connect(gateway.address()).unwrap())
            .collect();
        let send = |client: &mut Client, chunked: bool| {
            let reply = if chunked {
                let mut request =
                    b"POST /v1/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        .to_vec();
                for chunk in body.as_bytes().chunks(100_000) {
                    request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    request.extend_from_slice(chunk);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(b"0\r\n\r\n");
                client.write(&request).unwrap();
                client.read_reply("POST").unwrap()
            } else {
                client
                    .send("POST", "/v1/echo", &[], Some(body.as_bytes()))
                    .unwrap()
            };
            assert_eq!(reply.status, 200);
            assert_eq!(
                reply.json()["stringValue"].as_str().map(str::len),
                Some(text.len())
            );
        };
        send(&mut clients[0], true);
        send(&mut clients[0], false);
        let before = gateway.resident_len();
        for client in &mut clients {
            send(client, true);
            send(client, false);
        }
        // Eight connections that kept their bodies would hold 64 MiB. The bookstore is in the same process.
        let grown = gateway.resident_len().saturating_sub(before);
        assert!(grown < 24 * MEBIBYTE as u64, "grew by {grown} bytes");
        for client in &mut clients {
            assert_eq!(
                client.send("GET", "/v1/titles", &[], None).unwrap().status,
                200
            );
        }
    });
}

/// Clients of an upstream's echo, each of which has sent a body of so many bytes.
fn used(gateway: &Gateway, count: usize, body_len: usize) -> Vec<Client> {
    let body = format!("{{\"stringValue\":\"{}\"}}", "x".repeat(body_len));
    let connect = |_| {
        let mut client = Client::connect(gateway.address()).unwrap();
        let reply = client.send("POST", "/v1/echo", &[], Some(body.as_bytes()));
        assert_eq!(reply.unwrap().status, 200);
        client
    };
    (0..count).map(connect).collect()
}

/// I10: what an idle connection costs, when it has sent nothing and when it has been used.
#[test]
fn idle_connection_costs_little_memory() {
    Gateway::demo_on_each_driver(|gateway| {
        const COUNT: usize = 300;
        // What is made once is there afterwards, and every connection has been accepted.
        let mut clients = used(gateway, COUNT / 10, 1024);
        let before = gateway.resident_len();
        let cost = |clients: &[Client]| {
            let more = gateway.resident_len().saturating_sub(before);
            more / (clients.len() - COUNT / 10) as u64
        };
        clients.extend((0..COUNT).map(|_| Client::connect(gateway.address()).unwrap()));
        clients.extend(used(gateway, 1, 0));
        let each = cost(&clients);
        assert!(
            each <= 10 << 10,
            "{each} bytes a connection without a request"
        );
        clients.extend(used(gateway, COUNT, 1024));
        let each = cost(&clients);
        assert!(each <= 10 << 10, "{each} bytes a connection");
    });
}

/// Goal: a connection begins with little room and holds what its requests need; requests longer than that are whole all the same. Method: texts of many
/// lengths, up and down, cut in two at each kind of place, and several at once.
#[test]
fn requests_of_all_lengths_come_whole_on_a_connection_that_began_with_little_room() {
    Gateway::demo_on_each_driver(|gateway| {
        let mut client = Client::connect(gateway.address()).unwrap();
        for len in [0, 2000, 10, 900, 1024, 5000, 1, 20_000, 3000, 7] {
            let text = "x".repeat(len);
            let request = echo(&text);
            for cut in [1, request.len() / 2, request.len() - 1, request.len()] {
                let (first, rest) = request.as_bytes().split_at(cut);
                client.write(first).unwrap();
                if !rest.is_empty() {
                    assert!(client.is_silent_for(Duration::from_millis(5)).unwrap());
                    client.write(rest).unwrap();
                }
                let reply = client.read_reply("POST").unwrap();
                assert_eq!(texts(&[reply]), [text.clone()], "{len} cut at {cut}");
            }
            let twice = request.repeat(2) + &echo("last");
            client.write(twice.as_bytes()).unwrap();
            let replies: Vec<_> = (0..3).map(|_| client.read_reply("POST").unwrap()).collect();
            assert_eq!(texts(&replies), [text.clone(), text, "last".to_owned()]);
        }
    });
}

/// A client that only stops sending still gets what needs no upstream, and the end of its body is not guessed.
#[test]
fn half_closed_client_is_answered_where_it_can_be() {
    Gateway::demo_on_each_driver(|gateway| {
        let mut client = Client::connect(gateway.address()).unwrap();
        client
            .write(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        client.finish_sending().unwrap();
        assert_eq!(client.read_reply("GET").unwrap().status, 404);
        assert!(client.is_closed_by_peer().unwrap());

        let mut client = Client::connect(gateway.address()).unwrap();
        client
            .write(b"POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}")
            .unwrap();
        client.finish_sending().unwrap();
        match client.read_reply("POST") {
            Ok(reply) => assert_eq!(reply.status, 400),
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        }
    });
}

/// Many clients at once on several workers.
#[test]
fn clients_do_not_get_each_others_answers() {
    let gateway = Gateway::demo(&["--workers", "2"]);
    let address = gateway.address();
    thread::scope(|scope| {
        for client_index in 0..16 {
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                for call_index in 0..50 {
                    let text = format!("{client_index}-{call_index}");
                    client.write(echo(&text).as_bytes()).unwrap();
                    assert_eq!(texts(&[client.read_reply("POST").unwrap()]), [text]);
                }
            });
        }
    });
    let reply = request(address, "GET", "/v1/titles", &[], None).unwrap();
    assert_eq!(reply.status, 200);
}
