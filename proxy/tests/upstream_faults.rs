//! Upstreams that are down, break off, or never answer (THREATS F1, F3, F9).
#![allow(
    clippy::unwrap_used,
    reason = "functions that help tests may panic as tests do"
)]

mod support;

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use support::peer::{PING, Peer};
use support::{call, event, framed, on_each_driver, one_connection, pool_to};
use transom::clock;
use transom::net::sleep;
use transom::upstream::{CallError, PoolSettings, Unavailable};

/// A port nobody listens on, and the listener that will.
fn closed_port() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn absent_upstream_is_unavailable_at_once_and_is_found_when_it_appears() {
    on_each_driver(|| async {
        let address = closed_port();
        let pool = pool_to(&format!("http://{address}"), one_connection());
        let since = clock::now();
        for _ in 0..20 {
            let error = call(&pool, b"", None).await.unwrap_err();
            assert_eq!(error, CallError::Unavailable(Unavailable::ConnectFailed));
        }
        assert!(since.elapsed() < Duration::from_millis(900));

        let _peer = Peer::start_on(TcpListener::bind(address).unwrap(), |_, mut connection| {
            connection.greet(&[]).unwrap();
            connection.echo();
        });
        while call(&pool, b"", None).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(pool.connection_count(), 1);
    });
}

#[test]
fn unix_socket_that_does_not_exist_is_unavailable() {
    on_each_driver(|| async {
        let pool = pool_to("unix:///nowhere/upstream.sock", one_connection());
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::Unavailable(Unavailable::ConnectFailed)
        );
    });
}

#[test]
fn upstream_without_settings_is_unavailable_after_the_connect_timeout() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| while connection.read_any().is_ok() {});
        let settings = PoolSettings {
            connect_timeout: Duration::from_millis(60),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        let since = clock::now();
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::Unavailable(Unavailable::ConnectTimeout)
        );
        let waited = since.elapsed();
        assert!(waited >= Duration::from_millis(50), "{waited:?}");
        assert!(waited < Duration::from_millis(900), "{waited:?}");
    });
}

#[test]
fn something_that_does_not_speak_http2_is_unavailable() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            use std::io::Write as _;
            let text = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
            connection.socket.write_all(text).unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::Unavailable(Unavailable::HandshakeFailed)
        );
    });
}

#[test]
fn call_under_way_is_lost_with_its_connection_and_not_sent_again() {
    on_each_driver(|| async {
        let (requests, request) = channel();
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(received) = connection.request() {
                requests.send(received.body.clone()).unwrap();
                if index == 0 {
                    connection.headers(received.stream).unwrap();
                    return;
                }
                connection.answer(received.stream, &received.body).unwrap();
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        assert_eq!(
            call(&pool, b"first", None).await.unwrap_err(),
            CallError::ConnectionLost
        );
        // The first loss of a connection is mended at once, so the next call waits for it and succeeds.
        assert!(call(&pool, b"second", None).await.is_ok());
        assert_eq!(event(&request).await, framed(b"first"));
        assert_eq!(event(&request).await, framed(b"second"));
        assert!(request.try_recv().is_err());
    });
}

#[test]
fn connection_that_ends_whenever_it_is_made_is_not_made_in_a_tight_loop() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let go_away = connection.go_away(0, 0);
            drop(go_away);
        });
        let settings = PoolSettings {
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(2),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        let _any = call(&pool, b"", None).await;
        sleep(Duration::from_millis(300)).await;
        // At once, then after 10 to 20 ms, 20 to 40, 40 to 80, 80 to 160, 160 to 320.
        let count = peer.connection_count();
        assert!((3..=8).contains(&count), "{count}");
    });
}

#[test]
fn each_reset_code_is_told_as_it_came() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(request) = connection.request() {
                let code = u32::from(request.body[5]);
                let is_after_headers = request.body[6] == 1;
                if is_after_headers {
                    connection.headers(request.stream).unwrap();
                    connection.data(request.stream, b"part").unwrap();
                }
                connection.reset(request.stream, code).unwrap();
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        for is_after_headers in [0, 1] {
            for code in 0..=13 {
                let error = call(&pool, &[code, is_after_headers], None)
                    .await
                    .unwrap_err();
                let code = u32::from(code);
                assert_eq!(error, CallError::Reset { code }, "{is_after_headers}");
            }
        }
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn refused_stream_is_sent_once_more_and_only_once() {
    on_each_driver(|| async {
        let (requests, request) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let mut index = 0;
            while let Ok(received) = connection.request() {
                requests.send(received.body.clone()).unwrap();
                // Refused: the first of the first call, both of the second.
                if index == 1 {
                    connection.answer(received.stream, &received.body).unwrap();
                } else {
                    connection.reset(received.stream, 7).unwrap();
                }
                index += 1;
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reply = call(&pool, b"first", None).await.unwrap();
        assert_eq!(reply.body, framed(b"first"));
        assert_eq!(
            call(&pool, b"second", None).await.unwrap_err(),
            CallError::Reset { code: 7 }
        );
        for expected in [b"first".as_slice(), b"first", b"second", b"second"] {
            assert_eq!(event(&request).await, framed(expected));
        }
        assert!(request.try_recv().is_err());
    });
}

#[test]
fn broken_frames_are_a_fault_of_the_upstream() {
    on_each_driver(|| async {
        let peer = Peer::start(|index, mut connection| {
            connection.greet(&[]).unwrap();
            if index > 0 {
                return connection.echo();
            }
            let request = connection.request().unwrap();
            // DATA before HEADERS: an error of the stream, or of the connection, as a client likes (RFC 9113 section 5.4.2).
            connection.data(request.stream, b"x").unwrap();
            connection.echo();
        });
        let pool = pool_to(&peer.url(), one_connection());
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::Protocol { code: 1 }
        );
        assert!(call(&pool, b"", None).await.is_ok());
    });
}

#[test]
fn silent_upstream_is_pinged_and_given_up_when_it_does_not_answer() {
    on_each_driver(|| async {
        let (pings, ping) = channel();
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            if index > 0 {
                return connection.echo();
            }
            while let Ok(frame) = connection.read_any() {
                if frame.kind == PING {
                    pings.send(()).unwrap();
                }
            }
        });
        let settings = PoolSettings {
            keepalive_idle: Duration::from_millis(40),
            keepalive_timeout: Duration::from_millis(40),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::ConnectionLost
        );
        event(&ping).await;
        assert!(call(&pool, b"", None).await.is_ok());
    });
}

#[test]
fn slow_upstream_that_answers_pings_is_waited_for() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let mut stream = 0;
            let mut ping_count = 0;
            // Answers the call after the second PING.
            while let Ok(frame) = connection.read_any() {
                if frame.is_end_stream() {
                    stream = frame.stream;
                }
                if frame.kind == PING {
                    let ack = 1;
                    connection.send(PING, ack, 0, &frame.payload).unwrap();
                    ping_count += 1;
                    if ping_count == 2 {
                        connection.answer(stream, b"late").unwrap();
                    }
                }
            }
        });
        let settings = PoolSettings {
            keepalive_idle: Duration::from_millis(40),
            keepalive_gap: Duration::from_millis(40),
            keepalive_timeout: Duration::from_secs(5),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        assert_eq!(call(&pool, b"", None).await.unwrap().body, b"late"[..]);
    });
}

/// grpc-go, grpc-java and the C core with its Python take PINGs that come oftener than each five minutes, without an answer to a call in
/// between, for abuse, and end the connection with the call that was waited for.
#[test]
fn long_call_is_pinged_once_and_once_more_after_an_answer() {
    on_each_driver(|| async {
        let (pings, ping) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(frame) = connection.read_any() {
                if frame.kind == PING {
                    let ack = 1;
                    connection.send(PING, ack, 0, &frame.payload).unwrap();
                    pings.send(()).unwrap();
                } else if frame.is_end_stream() && frame.payload == framed(b"quick") {
                    connection.answer(frame.stream, b"").unwrap();
                }
            }
        });
        let settings = PoolSettings {
            keepalive_idle: Duration::from_millis(20),
            keepalive_gap: Duration::from_mins(5),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        let limit = Some(Duration::from_millis(300));
        for _ in 0..2 {
            assert!(call(&pool, b"quick", None).await.is_ok());
            let error = call(&pool, b"long", limit).await.unwrap_err();
            assert_eq!(error, CallError::DeadlineExceeded);
            event(&ping).await;
            assert!(ping.try_recv().is_err());
        }
        assert_eq!(peer.connection_count(), 1);
    });
}

/// Goal: a server that asks for a sign of life gets it, though there is no call that it could go out with.
#[test]
fn ping_of_a_server_is_answered_without_a_call() {
    on_each_driver(|| async {
        let (pongs, pong) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            for payload in [*b"ping one", *b"ping two"] {
                connection.send(PING, 0, 0, &payload).unwrap();
                while let Ok(frame) = connection.read_any() {
                    if frame.kind == PING {
                        pongs.send(frame.payload == payload).unwrap();
                        break;
                    }
                }
            }
            while connection.read_any().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        pool.warm_up();
        assert!(event(&pong).await);
        assert!(event(&pong).await);
    });
}

#[test]
fn idle_connection_is_not_pinged() {
    on_each_driver(|| async {
        let (pings, ping) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            connection.answer(request.stream, b"").unwrap();
            while let Ok(frame) = connection.read_any() {
                if frame.kind == PING {
                    pings.send(()).unwrap();
                }
            }
        });
        let settings = PoolSettings {
            keepalive_idle: Duration::from_millis(20),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        assert!(call(&pool, b"", None).await.is_ok());
        sleep(Duration::from_millis(100)).await;
        assert!(ping.try_recv().is_err());
    });
}
