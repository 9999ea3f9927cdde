//! What clients see when the gateway is told to stop (THREATS I8).
//!
//! Goal: no request that was sent before the signal goes without its answer, and nothing else holds the process. Method: the program
//! itself, on each driver; signals to its own process id; slow calls of the bookstore behind it.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::thread;
use std::time::Duration;

use support::gateway::Gateway;
use support::http::Client;
use transom::clock;
use transom::limits::DRAIN_GRACE;

const PATIENCE: Duration = Duration::from_secs(15);
const SLOW: &[u8] = b"GET /v1/wait?delay=1s HTTP/1.1\r\nHost: h\r\n\r\n";
const QUICK: &[u8] = b"GET /v1/titles HTTP/1.1\r\nHost: h\r\n\r\n";

fn on_each_driver(test: impl Fn(Gateway, &str)) {
    for driver in ["auto", "uring", "epoll"] {
        test(Gateway::demo(&["--workers", "2", "--io", driver]), driver);
    }
}

/// A connection whose requests are on their way through the gateway.
fn client_that_waits(gateway: &Gateway, requests: &[&[u8]]) -> Client {
    let mut client = Client::connect(gateway.address()).unwrap();
    // The first one proves that the gateway has accepted the connection.
    assert_eq!(
        client.send("GET", "/v1/titles", &[], None).unwrap().status,
        200
    );
    client.write(&requests.concat()).unwrap();
    client
}

#[test]
fn calls_in_flight_are_answered_and_the_process_ends_well() {
    on_each_driver(|gateway, driver| {
        let mut clients: Vec<_> = (0..8)
            .map(|_| client_that_waits(&gateway, &[SLOW]))
            .collect();
        let mut pipelined = client_that_waits(&gateway, &[SLOW, QUICK, QUICK]);
        let address = gateway.address();
        gateway.signal("TERM");
        for client in &mut clients {
            let reply = client.read_reply("GET").unwrap();
            assert_eq!(reply.status, 200, "{driver}");
            assert_eq!(reply.header("connection"), Some("close"), "{driver}");
            assert!(client.is_closed_by_peer().unwrap());
        }
        // The listener is gone by now.
        assert!(Client::connect(address).is_err(), "{driver}");
        for _ in 0..3 {
            assert_eq!(pipelined.read_reply("GET").unwrap().status, 200, "{driver}");
        }
        assert!(pipelined.is_closed_by_peer().unwrap());
        let (status, transcript) = gateway.wait_for_end(PATIENCE);
        assert!(status.success(), "{driver}: {status}: {transcript}");
    });
}

#[test]
fn idle_connections_do_not_hold_the_process() {
    on_each_driver(|gateway, driver| {
        let mut used: Vec<_> = (0..4).map(|_| client_that_waits(&gateway, &[])).collect();
        let mut fresh = Client::connect(gateway.address()).unwrap();
        let since = clock::now();
        gateway.signal("TERM");
        for client in used.iter_mut().chain([&mut fresh]) {
            assert!(client.is_closed_by_peer().unwrap(), "{driver}");
        }
        let (status, transcript) = gateway.wait_for_end(PATIENCE);
        assert!(status.success(), "{driver}: {status}: {transcript}");
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{driver}: {:?}",
            since.elapsed()
        );
    });
}

/// What a client has sent before the signal is answered, although the gateway may not have read it yet.
#[test]
fn requests_on_their_way_are_answered() {
    on_each_driver(|gateway, driver| {
        let mut kept: Vec<_> = (0..8).map(|_| client_that_waits(&gateway, &[])).collect();
        let mut fresh: Vec<_> = (0..8)
            .map(|_| Client::connect(gateway.address()).unwrap())
            .collect();
        for client in kept.iter_mut().chain(&mut fresh) {
            client.write(QUICK).unwrap();
        }
        gateway.signal("TERM");
        for client in kept.iter_mut().chain(&mut fresh) {
            assert_eq!(client.read_reply("GET").unwrap().status, 200, "{driver}");
        }
        let (status, transcript) = gateway.wait_for_end(PATIENCE);
        assert!(status.success(), "{driver}: {status}: {transcript}");
    });
}

#[test]
fn second_signal_does_not_wait() {
    on_each_driver(|gateway, driver| {
        let _waiting = client_that_waits(
            &gateway,
            &[b"GET /v1/wait?delay=10s HTTP/1.1\r\nHost: h\r\n\r\n"],
        );
        let since = clock::now();
        gateway.signal("TERM");
        // Accepting ends with the first signal, so this tells that it has been heard.
        while Client::connect(gateway.address()).is_ok() {
            assert!(since.elapsed() < PATIENCE, "{driver}");
        }
        gateway.signal("TERM");
        let (status, transcript) = gateway.wait_for_end(PATIENCE);
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{driver}: {:?}",
            since.elapsed()
        );
        // Calls were cut, and whoever started the program should know.
        assert_eq!(status.code(), Some(70), "{driver}: {transcript}");
        assert!(transcript.contains("second signal"), "{transcript}");
    });
}

/// Load all the while: nothing that was sent before the end of its connection was announced goes without an answer.
#[test]
fn stop_under_load_loses_no_answer() {
    on_each_driver(|gateway, driver| {
        let address = gateway.address();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(move || {
                        let mut client = Client::connect(address).unwrap();
                        let mut count = 0;
                        let mut replied_at = clock::now();
                        loop {
                            let reply = match client.send("GET", "/v1/titles", &[], None) {
                                Ok(reply) => reply,
                                // A client that the machine held up for longer than the grace was idle, and its connection was closed.
                                Err(_) if replied_at.elapsed() > DRAIN_GRACE => return count,
                                Err(error) => panic!("{driver}: {error}"),
                            };
                            replied_at = clock::now();
                            assert_eq!(reply.status, 200);
                            count += 1;
                            if reply.header("connection") == Some("close") {
                                return count;
                            }
                        }
                    })
                })
                .collect();
            let mut warm = Client::connect(address).unwrap();
            for _ in 0..50 {
                assert_eq!(
                    warm.send("GET", "/v1/titles", &[], None).unwrap().status,
                    200
                );
            }
            gateway.signal("TERM");
            for client in clients {
                assert!(client.join().unwrap() > 0, "{driver}");
            }
        });
        let (status, transcript) = gateway.wait_for_end(PATIENCE);
        assert!(status.success(), "{driver}: {status}: {transcript}");
    });
}
