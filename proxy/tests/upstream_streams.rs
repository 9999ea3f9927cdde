//! The life of streams: deadlines, cancelled calls, GOAWAY, the peer's stream limit (THREATS F2, F4, F8).

mod support;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::task::Poll;
use std::time::Duration;

use support::peer::{MAX_CONCURRENT_STREAMS, Peer, RST_STREAM};
use support::{call, connected, event, framed, on_each_driver, one_connection, pool_to};
use transom::limits::UPSTREAM_QUEUE_COUNT_MAX;
use transom::net::{Notify, sleep, spawn, timeout};
use transom::upstream::{CallError, PoolSettings, Unavailable};

const CANCEL: u32 = 8;

#[test]
fn call_past_its_deadline_is_cancelled_upstream_and_its_stream_freed() {
    on_each_driver(|| async {
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            let request = connection.request().unwrap();
            resets
                .send(connection.reset_code(request.stream).unwrap())
                .unwrap();
            connection.echo();
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let limit = Some(Duration::from_millis(200));
        assert_eq!(
            call(&pool, b"", limit).await.unwrap_err(),
            CallError::DeadlineExceeded
        );
        assert_eq!(event(&reset).await, CANCEL);
        assert!(call(&pool, b"", None).await.is_ok());
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn deadline_covers_a_body_that_never_ends() {
    on_each_driver(|| async {
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            connection.headers(request.stream).unwrap();
            connection.data(request.stream, b"part").unwrap();
            resets
                .send(connection.reset_code(request.stream).unwrap())
                .unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let limit = Some(Duration::from_millis(200));
        assert_eq!(
            call(&pool, b"", limit).await.unwrap_err(),
            CallError::DeadlineExceeded
        );
        assert_eq!(event(&reset).await, CANCEL);
    });
}

#[test]
fn dropped_call_is_cancelled_upstream() {
    on_each_driver(|| async {
        let (requests, request_seen) = channel();
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            requests.send(()).unwrap();
            resets
                .send(connection.reset_code(request.stream).unwrap())
                .unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        {
            let mut call = std::pin::pin!(call(&pool, b"", None));
            let mut request_seen = std::pin::pin!(event(&request_seen));
            poll_fn(|cx| {
                assert!(call.as_mut().poll(cx).is_pending());
                request_seen.as_mut().poll(cx)
            })
            .await;
        }
        assert_eq!(event(&reset).await, CANCEL);
        assert_eq!(pool.in_flight_count(), 0);
    });
}

/// The reset of a cancelled call cannot be written to a peer that reads nothing, so its stream is not free; the calls behind it wait
/// for it as for any other.
#[test]
fn calls_wait_for_a_stream_whose_reset_is_not_written_yet() {
    on_each_driver(|| async {
        let (read_on, may_read) = channel::<()>();
        let may_read = Mutex::new(may_read);
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            may_read.lock().unwrap().recv().unwrap();
            let mut cancelled = 0;
            while let Ok(frame) = connection.read() {
                if frame.kind == RST_STREAM {
                    cancelled = frame.stream;
                } else if frame.is_end_stream() && frame.stream > cancelled {
                    connection.answer(frame.stream, b"").unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let limit = Some(Duration::from_millis(50));
        let larger_than_any_socket_buffer = vec![0; 14 << 20];
        for message in [&larger_than_any_socket_buffer[..], b"", b"", b""] {
            let error = call(&pool, message, limit).await.unwrap_err();
            assert_eq!(error, CallError::DeadlineExceeded);
        }
        read_on.send(()).unwrap();
        assert!(call(&pool, b"", None).await.is_ok());
        assert_eq!(peer.connection_count(), 1);
    });
}

/// An upstream that answers at the deadline of a call, as one does that watches the clock itself, answers streams that are reset
/// already. However many they are, the connection and the other calls on it live.
#[test]
fn answers_that_come_too_late_do_not_cost_the_connection() {
    const ROUND_COUNT: usize = 8;
    const CALL_COUNT: usize = 200;
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(frame) = connection.read() {
                let is_late = frame.kind == RST_STREAM;
                let is_wanted = frame.is_end_stream() && frame.payload == framed(b"wanted");
                if (is_late || is_wanted) && connection.answer(frame.stream, b"answer").is_err() {
                    return;
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        for _ in 0..ROUND_COUNT {
            let mut pending: Vec<_> = (0..CALL_COUNT)
                .map(|_| Box::pin(call(&pool, b"late", Some(Duration::from_millis(10)))))
                .collect();
            poll_fn(|cx| {
                pending.retain_mut(|call| match call.as_mut().poll(cx) {
                    Poll::Pending => true,
                    Poll::Ready(end) => {
                        assert_eq!(end.unwrap_err(), CallError::DeadlineExceeded);
                        false
                    }
                });
                if pending.is_empty() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            assert!(call(&pool, b"wanted", None).await.is_ok());
        }
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn going_away_lets_streams_finish_and_moves_new_calls_to_a_new_connection() {
    on_each_driver(|| async {
        let (told, go_away_told) = channel();
        let (finish, may_finish) = channel::<()>();
        let may_finish = Mutex::new(may_finish);
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            if index > 0 {
                return connection.echo();
            }
            let request = connection.request().unwrap();
            connection.go_away(request.stream, 0).unwrap();
            told.send(()).unwrap();
            may_finish.lock().unwrap().recv().unwrap();
            connection.answer(request.stream, &request.body).unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        let first = Rc::new(RefCell::new(None));
        let done = Rc::new(Notify::new());
        let (of_first, of_done, of_pool) = (Rc::clone(&first), Rc::clone(&done), pool.clone());
        spawn("first call", async move {
            let reply = call(&of_pool, b"first", None).await;
            *of_first.borrow_mut() = Some(reply);
            of_done.notify_all();
        });
        event(&go_away_told).await;
        while peer.connection_count() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let second = call(&pool, b"second", None).await.unwrap();
        assert_eq!(second.body, framed(b"second"));
        assert!(first.borrow().is_none());
        let finished = done.notified();
        finish.send(()).unwrap();
        finished.await;
        let first = first.borrow_mut().take().unwrap().unwrap();
        assert_eq!(first.body, framed(b"first"));
    });
}

#[test]
fn stream_above_the_last_id_is_sent_once_more_on_a_new_connection() {
    on_each_driver(|| async {
        let (requests, request) = channel();
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(received) = connection.request() {
                requests.send((index, received.body.clone())).unwrap();
                if index == 0 {
                    connection.go_away(0, 0).unwrap();
                } else {
                    connection.answer(received.stream, &received.body).unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reply = call(&pool, b"moved", None).await.unwrap();
        assert_eq!(reply.body, framed(b"moved"));
        assert_eq!(event(&request).await, (0, framed(b"moved")));
        assert_eq!(event(&request).await, (1, framed(b"moved")));
        assert!(request.try_recv().is_err());
    });
}

#[test]
fn stream_taken_by_a_peer_that_went_away_and_closed_is_lost_not_repeated() {
    on_each_driver(|| async {
        let (requests, request) = channel();
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(received) = connection.request() {
                requests.send(index).unwrap();
                if index == 0 {
                    connection.go_away(received.stream, 11).unwrap();
                    return;
                }
                connection.answer(received.stream, &received.body).unwrap();
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let error = call(&pool, b"taken", None).await.unwrap_err();
        assert_eq!(error, CallError::ConnectionLost);
        assert!(call(&pool, b"next", None).await.is_ok());
        assert_eq!(event(&request).await, 0);
        assert_eq!(event(&request).await, 1);
        assert!(request.try_recv().is_err());
    });
}

#[test]
fn calls_take_turns_when_the_peer_allows_one_stream() {
    on_each_driver(|| async {
        let (depths, depth) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            // A second request before the answer of the first would show as a frame of another stream.
            while let Ok(request) = connection.request() {
                depths.send(request.body[5]).unwrap();
                connection.answer(request.stream, &request.body).unwrap();
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        // The limit is known from SETTINGS before the first call is sent.
        let results = Rc::new(RefCell::new(Vec::new()));
        for index in 0..20_u8 {
            let (pool, results) = (pool.clone(), Rc::clone(&results));
            spawn("call", async move {
                let reply = call(&pool, &[index], None).await;
                results.borrow_mut().push(reply.map(|reply| reply.body[5]));
            });
        }
        while results.borrow().len() < 20 {
            assert!(pool.in_flight_count() <= 1);
            sleep(Duration::from_millis(1)).await;
        }
        let order: Vec<u8> = depth.try_iter().collect();
        assert_eq!(order, (0..20).collect::<Vec<u8>>(), "the oldest goes first");
        assert!(results.borrow().iter().all(Result::is_ok));
    });
}

#[test]
fn call_waits_no_longer_than_allowed_for_a_stream() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            while connection.read().is_ok() {}
        });
        let settings = PoolSettings {
            queue_timeout: Duration::from_millis(40),
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        let holder = pool.clone();
        spawn("holder", async move {
            drop(call(&holder, b"", None).await);
        });
        while pool.in_flight_count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            call(&pool, b"", None).await.unwrap_err(),
            CallError::Unavailable(Unavailable::QueueTimeout)
        );
        assert_eq!(
            call(&pool, b"", Some(Duration::from_millis(60)))
                .await
                .unwrap_err(),
            CallError::DeadlineExceeded
        );
    });
}

#[test]
fn calls_that_wait_are_bounded_in_number() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            while connection.read().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let refused = Rc::new(RefCell::new(Vec::new()));
        // One has the stream, and as many wait as may; the next two are refused.
        for _ in 0..1 + UPSTREAM_QUEUE_COUNT_MAX + 2 {
            let (pool, refused) = (pool.clone(), Rc::clone(&refused));
            spawn("call", async move {
                let error = call(&pool, b"", None).await.unwrap_err();
                refused.borrow_mut().push(error);
            });
        }
        while refused.borrow().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let expected = CallError::Unavailable(Unavailable::QueueFull);
        assert_eq!(*refused.borrow(), [expected, expected]);
    });
}

#[test]
fn raised_stream_limit_lets_waiting_calls_go_on() {
    on_each_driver(|| async {
        let (raises, may_raise) = channel::<()>();
        let may_raise = Mutex::new(may_raise);
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(MAX_CONCURRENT_STREAMS, 1)]).unwrap();
            let held = connection.request().unwrap();
            may_raise.lock().unwrap().recv().unwrap();
            let mut payload = MAX_CONCURRENT_STREAMS.to_be_bytes().to_vec();
            payload.extend_from_slice(&2_u32.to_be_bytes());
            connection
                .send(support::peer::SETTINGS, 0, 0, &payload)
                .unwrap();
            let second = connection.request().unwrap();
            connection.answer(second.stream, &second.body).unwrap();
            drop(held);
            while connection.read().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        let holder = pool.clone();
        spawn("holder", async move {
            drop(call(&holder, b"", None).await);
        });
        while pool.in_flight_count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let early = timeout(Duration::from_millis(30), call(&pool, b"early", None)).await;
        assert!(early.is_err());
        raises.send(()).unwrap();
        let reply = call(&pool, b"late", None).await.unwrap();
        assert_eq!(reply.body, framed(b"late"));
    });
}

#[test]
fn pool_that_is_dropped_closes_its_connections() {
    on_each_driver(|| async {
        let (ends, end) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            connection.echo();
            ends.send(()).unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        assert!(call(&pool, b"", None).await.is_ok());
        drop(pool);
        event(&end).await;
    });
}
