//! Calls whose messages are passed on as they come: both directions, back-pressure in each, and every way to an end.

mod support;

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use support::peer::{DATA, INITIAL_WINDOW_SIZE, Peer, RST_STREAM, WINDOW_UPDATE};
use support::{call, connected, event, framed, on_each_driver, one_connection, path_of, pool_to};
use transom::buffers::{SharedBuffer, SharedBytes};
use transom::limits::{UPSTREAM_APART_KEEP_COUNT, UPSTREAM_STREAM_WINDOW_LEN};
use transom::net::{sleep, timeout};
use transom::upstream::{
    Answer, CallError, CallHead, CallRequest, Carriage, Pool, ReceiveHalf, Received, SendHalf,
};
use transom_engine::http2::HeaderList;

const CANCEL: u32 = 8;
const NO_ERROR: u32 = 0;

/// Long enough for what must not happen to happen on this machine.
const A_WHILE: Duration = Duration::from_millis(100);

fn lent(bytes: &[u8]) -> SharedBytes {
    let mut buffer = SharedBuffer::new();
    buffer.start().extend_from_slice(bytes);
    buffer.share()
}

async fn open(pool: &Pool, limit: Option<Duration>) -> Result<(SendHalf, ReceiveHalf), CallError> {
    open_on(pool, limit, Carriage::Shared).await
}

async fn open_on(
    pool: &Pool,
    limit: Option<Duration>,
    carriage: Carriage,
) -> Result<(SendHalf, ReceiveHalf), CallError> {
    let head = CallHead {
        path: &path_of(pool, "/test.Echo/Chat"),
        metadata: &HeaderList::default(),
        timeout: limit,
    };
    pool.open(&head, carriage).await
}

async fn start(pool: &Pool, message: &[u8]) -> Result<(Answer, ReceiveHalf), CallError> {
    pool.start(&CallRequest {
        path: &path_of(pool, "/test.Echo/Watch"),
        metadata: &HeaderList::default(),
        message: lent(&framed(message)),
        timeout: None,
    })
    .await
}

async fn bytes(receiver: &mut ReceiveHalf) -> Option<Result<Received, CallError>> {
    poll_fn(|task| receiver.poll_bytes(task)).await
}

/// All that is left of the body, the window given back at once.
async fn rest(receiver: &mut ReceiveHalf) -> Result<Vec<u8>, CallError> {
    let mut rest = Vec::new();
    while let Some(part) = bytes(receiver).await {
        let part = part?;
        receiver.release(part.len());
        rest.extend_from_slice(&part);
    }
    Ok(rest)
}

#[test]
fn first_answer_arrives_before_the_second_message_is_sent() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let mut is_first = true;
            while let Ok(frame) = connection.read() {
                if frame.kind != DATA {
                    continue;
                }
                if is_first {
                    connection.headers(frame.stream).unwrap();
                    is_first = false;
                }
                connection.data(frame.stream, &frame.payload).unwrap();
                if frame.is_end_stream() {
                    connection.data(frame.stream, b"late").unwrap();
                    connection.trailers(frame.stream).unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (mut sender, mut receiver) = open(&pool, None).await.unwrap();
        sender.send(lent(b"one")).await.unwrap();
        let answer = receiver.answer().await.unwrap();
        assert_eq!((answer.http_status.as_u16(), answer.is_all), (200, false));
        assert_eq!(bytes(&mut receiver).await.unwrap().unwrap(), "one");
        sender.send(lent(b"two")).await.unwrap();
        assert_eq!(bytes(&mut receiver).await.unwrap().unwrap(), "two");
        // SEMANTICS 125: the end of the request is not the end of the answer.
        sender.finish().unwrap();
        assert_eq!(rest(&mut receiver).await.unwrap(), b"late");
        let trailers = receiver.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.value("grpc-status"), Some(&b"0"[..]));
        assert_eq!(pool.in_flight_count(), 1);
        drop(receiver);
        assert_eq!(pool.in_flight_count(), 0);
    });
}

#[test]
fn no_more_is_sent_than_the_upstream_has_room_for() {
    on_each_driver(|| async {
        let (frames, frame_seen) = channel();
        let (widen, may_widen) = channel::<()>();
        let may_widen = Mutex::new(may_widen);
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(INITIAL_WINDOW_SIZE, 1000)]).unwrap();
            let mut received_len = 0;
            while let Ok(frame) = connection.read() {
                received_len += frame.payload.len();
                if frame.kind != DATA {
                    received_len = 0;
                    continue;
                }
                frames.send((received_len, frame.is_end_stream())).unwrap();
                if received_len == 1000 {
                    may_widen.lock().unwrap().recv().unwrap();
                    let payload = 1_u32.to_be_bytes();
                    // A window that opens by a byte lets a byte pass.
                    connection
                        .send(WINDOW_UPDATE, 0, frame.stream, &payload)
                        .unwrap();
                }
                if received_len == 1001 {
                    let payload = 100_000_u32.to_be_bytes();
                    connection
                        .send(WINDOW_UPDATE, 0, frame.stream, &payload)
                        .unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (mut sender, _receiver) = open(&pool, None).await.unwrap();
        let message = lent(&[7; 5000]);
        let mut sending = Box::pin(sender.send(message));
        assert!(timeout(A_WHILE, sending.as_mut()).await.is_err());
        assert_eq!(event(&frame_seen).await, (1000, false));
        assert!(frame_seen.try_recv().is_err());
        widen.send(()).unwrap();
        sending.as_mut().await.unwrap();
        drop(sending);
        sender.finish().unwrap();
        assert_eq!(event(&frame_seen).await, (1001, false));
        while event(&frame_seen).await != (5000, true) {}
    });
}

#[test]
fn window_is_given_back_when_the_caller_says_so() {
    on_each_driver(|| async {
        let (updates, update) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let stream = connection.request().unwrap().stream;
            connection.headers(stream).unwrap();
            let window_len = usize::try_from(UPSTREAM_STREAM_WINDOW_LEN).unwrap();
            connection.data(stream, &vec![1; window_len]).unwrap();
            while let Ok(frame) = connection.read_any() {
                if frame.kind == WINDOW_UPDATE && frame.stream == stream {
                    let len = u32::from_be_bytes(frame.payload.try_into().unwrap());
                    updates.send(len).unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (_, mut receiver) = start(&pool, b"").await.unwrap();
        let window_len = usize::try_from(UPSTREAM_STREAM_WINDOW_LEN).unwrap();
        let mut received_len = 0;
        while received_len < window_len {
            received_len += bytes(&mut receiver).await.unwrap().unwrap().len();
        }
        sleep(A_WHILE).await;
        assert!(update.try_recv().is_err());
        receiver.release(received_len);
        assert_eq!(event(&update).await, UPSTREAM_STREAM_WINDOW_LEN);
    });
}

#[test]
fn one_stream_that_is_not_read_does_not_stop_the_others() {
    on_each_driver(|| async {
        const STREAM_COUNT: usize = 40;
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(request) = connection.request() {
                if request.body == framed(b"much") {
                    let window_len = usize::try_from(UPSTREAM_STREAM_WINDOW_LEN).unwrap();
                    connection.headers(request.stream).unwrap();
                    connection
                        .data(request.stream, &vec![1; window_len])
                        .unwrap();
                } else {
                    connection.answer(request.stream, &request.body).unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let mut unread = Vec::new();
        // Together they hold more than a connection's window would be if it were not that of all of its streams.
        for _ in 0..STREAM_COUNT {
            unread.push(start(&pool, b"much").await.unwrap());
        }
        let reply = call(&pool, b"little", None).await.unwrap();
        assert_eq!(reply.body, framed(b"little"));
    });
}

#[test]
fn call_that_is_dropped_is_cancelled_even_if_bytes_wait_for_room() {
    on_each_driver(|| async {
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[(INITIAL_WINDOW_SIZE, 1000)]).unwrap();
            while let Ok(frame) = connection.read() {
                if frame.kind == RST_STREAM {
                    resets.send(frame.payload).unwrap();
                }
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let cancel = CANCEL.to_be_bytes().to_vec();

        drop(open(&pool, None).await.unwrap());
        assert_eq!(event(&reset).await, cancel);

        let (mut sender, receiver) = open(&pool, None).await.unwrap();
        let sent = timeout(A_WHILE, sender.send(lent(&[7; 5000]))).await;
        assert!(sent.is_err());
        drop((sender, receiver));
        assert_eq!(event(&reset).await, cancel);

        let (sender, receiver) = open(&pool, None).await.unwrap();
        sender.finish().unwrap();
        drop(receiver);
        assert_eq!(event(&reset).await, cancel);
        assert_eq!((pool.in_flight_count(), peer.connection_count()), (0, 1));
    });
}

#[test]
fn reset_is_told_with_its_code_before_and_after_the_headers() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(request) = connection.request() {
                if request.body != framed(b"at once") {
                    connection.headers(request.stream).unwrap();
                    connection.data(request.stream, b"part").unwrap();
                }
                connection.reset(request.stream, 11).unwrap();
            }
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reset = CallError::Reset { code: 11 };
        assert_eq!(start(&pool, b"at once").await.unwrap_err(), reset);
        // The reset may be read together with the headers, and comes first then.
        match start(&pool, b"later").await {
            Ok((_, mut receiver)) => assert_eq!(rest(&mut receiver).await.unwrap_err(), reset),
            Err(error) => assert_eq!(error, reset),
        }
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn call_that_did_not_start_is_begun_again_and_one_that_did_goes_on_after_goaway() {
    on_each_driver(|| async {
        let peer = Peer::start(|index, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            if index == 0 {
                connection.go_away(0, 0).unwrap();
                return;
            }
            connection.headers(request.stream).unwrap();
            connection.go_away(request.stream, 0).unwrap();
            connection.data(request.stream, &request.body).unwrap();
            connection.trailers(request.stream).unwrap();
            while connection.read().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (answer, mut receiver) = start(&pool, b"moved").await.unwrap();
        assert!(!answer.is_all);
        assert_eq!(rest(&mut receiver).await.unwrap(), framed(b"moved"));
        assert!(receiver.trailers().await.unwrap().is_some());
    });
}

#[test]
fn answer_of_trailers_only_and_one_that_is_not_grpc_are_all_there_is() {
    on_each_driver(|| async {
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let first = connection.request().unwrap().stream;
            connection
                .trailers_only(first, &[("grpc-status", "5")])
                .unwrap();
            let second = connection.request().unwrap().stream;
            let page = [("content-type", "text/html")];
            connection
                .send_headers(second, Some(502), &page, false)
                .unwrap();
            connection.data(second, b"<html>").unwrap();
            resets.send(connection.reset_code(second).unwrap()).unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (answer, mut receiver) = start(&pool, b"").await.unwrap();
        assert!(answer.is_all);
        assert_eq!(answer.headers.value("grpc-status"), Some(&b"5"[..]));
        assert!(bytes(&mut receiver).await.is_none());
        assert!(receiver.trailers().await.unwrap().is_none());
        let (answer, mut receiver) = start(&pool, b"").await.unwrap();
        assert_eq!((answer.http_status.as_u16(), answer.is_all), (502, true));
        assert!(bytes(&mut receiver).await.is_none());
        assert_eq!(event(&reset).await, CANCEL);
    });
}

/// The time of the call is up while bytes come faster than they are taken.
#[test]
fn deadline_ends_a_call_whose_answer_never_pauses() {
    on_each_driver(|| async {
        let (resets, reset) = channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let frame = connection.read().unwrap();
            connection.headers(frame.stream).unwrap();
            connection.data(frame.stream, &vec![0; 100_000]).unwrap();
            resets
                .send(connection.reset_code(frame.stream).unwrap())
                .unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let limit = Duration::from_millis(150);
        let (sender, mut receiver) = open(&pool, Some(limit)).await.unwrap();
        assert!(receiver.answer().await.is_ok());
        let first = bytes(&mut receiver).await.unwrap().unwrap();
        assert!(!first.is_empty() && !receiver.is_past_deadline());
        sleep(limit).await;
        assert!(receiver.is_past_deadline());
        let end = bytes(&mut receiver).await.unwrap().unwrap_err();
        assert_eq!(end, CallError::DeadlineExceeded);
        drop((sender, receiver));
        assert_eq!(event(&reset).await, CANCEL);
    });
}

#[test]
fn deadline_ends_a_call_whose_answer_pauses() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let frame = connection.read().unwrap();
            connection.headers(frame.stream).unwrap();
            while connection.read().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        connected(&pool).await;
        let limit = Duration::from_millis(100);
        let (_sender, mut receiver) = open(&pool, Some(limit)).await.unwrap();
        assert!(receiver.answer().await.is_ok());
        let end = bytes(&mut receiver).await.unwrap().unwrap_err();
        assert_eq!(end, CallError::DeadlineExceeded);
    });
}

#[test]
fn connection_that_breaks_is_an_error_never_an_end() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let stream = connection.request().unwrap().stream;
            connection.headers(stream).unwrap();
            connection.data(stream, &framed(b"one")).unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        match start(&pool, b"").await {
            Ok((_, mut receiver)) => {
                let end = rest(&mut receiver).await.unwrap_err();
                assert_eq!(end, CallError::ConnectionLost);
            }
            Err(error) => assert_eq!(error, CallError::ConnectionLost),
        }
    });
}

/// A server may end its answer without reading the request to its end, and say by `NO_ERROR` that it wants no more (RFC 9113 section 8.1).
#[test]
fn answer_that_ends_early_is_whole_and_stops_the_sender() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let mut frame = connection.read().unwrap();
            while frame.kind != DATA {
                frame = connection.read().unwrap();
            }
            connection.answer(frame.stream, &framed(b"enough")).unwrap();
            connection.reset(frame.stream, NO_ERROR).unwrap();
            while connection.read().is_ok() {}
        });
        let pool = pool_to(&peer.url(), one_connection());
        let (mut sender, mut receiver) = open(&pool, None).await.unwrap();
        sender.send(lent(b"one")).await.unwrap();
        assert!(receiver.answer().await.is_ok());
        assert_eq!(rest(&mut receiver).await.unwrap(), framed(b"enough"));
        let trailers = receiver.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.value("grpc-status"), Some(&b"0"[..]));
        while sender.send(lent(b"more")).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn call_whose_requests_stream_has_a_connection_of_its_own() {
    const COUNT: usize = UPSTREAM_APART_KEEP_COUNT + 2;
    on_each_driver(|| async {
        let (ends, end_seen) = channel();
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            // What it is sent first tells which connection it is.
            while let Ok(frame) = connection.read() {
                if frame.kind == DATA {
                    connection.headers(frame.stream).unwrap();
                    let index = index.to_string();
                    connection.data(frame.stream, index.as_bytes()).unwrap();
                    connection.trailers(frame.stream).unwrap();
                }
            }
            ends.send(index).unwrap();
        });
        let carrier = async |halves: &mut (SendHalf, ReceiveHalf)| {
            halves.0.send(lent(b"which?")).await.unwrap();
            halves.1.answer().await.unwrap();
            rest(&mut halves.1).await.unwrap()
        };
        let pool = pool_to(&peer.url(), one_connection());
        let mut shared = open(&pool, None).await.unwrap();
        let mut apart = Vec::new();
        for _ in 0..COUNT {
            let halves = open_on(&pool, None, Carriage::Own).await.unwrap();
            apart.push(halves);
        }
        assert_eq!(pool.in_flight_count(), COUNT + 1);
        assert_eq!(carrier(&mut shared).await, b"0");
        for (halves, index) in apart.iter_mut().zip(1..) {
            assert_eq!(carrier(halves).await, index.to_string().into_bytes());
        }
        // One that is free again is used again.
        drop(apart.remove(0));
        let mut next = open_on(&pool, None, Carriage::Own).await.unwrap();
        assert_eq!(carrier(&mut next).await, b"1");
        // All but a few end when nobody uses them.
        drop((apart, next));
        let gone = event(&end_seen).await;
        assert_ne!(gone, event(&end_seen).await);
        assert_eq!(pool.in_flight_count(), 1);
        drop((shared, pool));
        for _ in 0..=UPSTREAM_APART_KEEP_COUNT {
            event(&end_seen).await;
        }
    });
}
