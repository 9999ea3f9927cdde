//! Calls that succeed: what the upstream sees, and what comes back.
#![allow(
    clippy::unwrap_used,
    reason = "functions that help tests may panic as tests do"
)]

mod support;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use support::peer::{DATA, Peer};
use support::{call, connected, event, framed, on_each_driver, one_connection, path_of, pool_to};
use transom::buffers::SharedBuffer;
use transom::net::{Notify, spawn};
use transom::upstream::{CallError, CallRequest, PoolSettings};
use transom_engine::http2::HeaderList;

/// An h2 server that tells the heads it sees and echoes bodies; it decodes HPACK, which the scripted peer does not.
fn h2_echo(listener: std::net::TcpListener) -> std::sync::mpsc::Receiver<Request<()>> {
    let (heads, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let heads = heads.clone();
                tokio::spawn(async move {
                    let (head, mut body) = request.into_parts();
                    let mut bytes = Vec::new();
                    while let Some(Ok(chunk)) = body.data().await {
                        body.flow_control().release_capacity(chunk.len()).unwrap();
                        bytes.extend_from_slice(&chunk);
                    }
                    heads.send(Request::from_parts(head, ())).unwrap();
                    let response = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("x-from", "peer")
                        .body(())
                        .unwrap();
                    let mut stream = respond.send_response(response, false).unwrap();
                    stream.send_data(Bytes::from(bytes), false).unwrap();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", HeaderValue::from_static("0"));
                    stream.send_trailers(trailers).unwrap();
                });
            }
        });
    });
    seen
}

#[test]
fn s134_upstream_sees_a_grpc_request_and_its_answer_comes_back_whole() {
    on_each_driver(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let heads = h2_echo(listener);
        let pool = pool_to(&format!("http://{authority}"), one_connection());
        // What waiting for a connection takes is taken off the timeout that the upstream is told.
        connected(&pool).await;
        let mut buffer = SharedBuffer::new();
        buffer.start().extend_from_slice(&framed(b"hello"));
        let mut metadata = HeaderList::default();
        metadata.push(b"x-token", b"one");
        metadata.push(b"x-token", b"two");
        metadata.push(b"grpc-timeout", b"5S");
        metadata.push(b"te", b"gzip");
        let reply = pool
            .call(CallRequest {
                path: &path_of(&pool, "/test.Echo/Say"),
                metadata: &metadata,
                message: buffer.share(),
                timeout: Some(Duration::from_secs(5)),
            })
            .await
            .unwrap();
        assert_eq!(reply.http_status, StatusCode::OK);
        assert_eq!(reply.headers.value("x-from"), Some(&b"peer"[..]));
        assert_eq!(reply.body, framed(b"hello"));
        assert_eq!(
            reply.trailers.unwrap().value("grpc-status"),
            Some(&b"0"[..])
        );

        let head = event(&heads).await;
        assert_eq!(head.method(), "POST");
        assert_eq!(
            head.uri().to_string(),
            format!("http://{authority}/test.Echo/Say")
        );
        let headers = head.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-timeout"], "5S");
        let agent = concat!("transom/", env!("CARGO_PKG_VERSION"));
        assert_eq!(headers["user-agent"], agent);
        let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("x-token"), ["one", "two"]);
        assert_eq!(all("te"), ["trailers"]);
    });
}

#[test]
fn hundred_calls_at_once_share_the_connections() {
    on_each_driver(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let _heads = h2_echo(listener);
        let pool = pool_to(&url, one_connection());
        let done = Rc::new(Notify::new());
        let results = Rc::new(std::cell::RefCell::new(Vec::new()));
        for index in 0..100_u32 {
            let (pool, done, results) = (pool.clone(), Rc::clone(&done), Rc::clone(&results));
            spawn("call", async move {
                let message = index.to_be_bytes();
                let reply = call(&pool, &message, None).await.map(|reply| reply.body);
                results.borrow_mut().push((index, reply));
                done.notify_all();
            });
        }
        while results.borrow().len() < 100 {
            done.notified().await;
        }
        for (index, reply) in results.borrow().iter() {
            assert_eq!(reply.as_ref().unwrap(), &framed(&index.to_be_bytes()));
        }
        assert_eq!(pool.connection_count(), 1);
        assert_eq!(pool.in_flight_count(), 0);
    });
}

#[test]
fn second_connection_is_opened_when_calls_overlap() {
    on_each_driver(|| async {
        let (answer, may_answer) = std::sync::mpsc::channel::<()>();
        let may_answer = std::sync::Mutex::new(may_answer);
        let peer = Peer::start(move |index, mut connection| {
            connection.greet(&[]).unwrap();
            if index == 0 {
                let first = connection.request().unwrap();
                may_answer.lock().unwrap().recv().unwrap();
                connection.answer(first.stream, &first.body).unwrap();
            }
            connection.echo();
        });
        let settings = PoolSettings {
            connection_count: 2,
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        let slow = pool.clone();
        let done = Rc::new(Notify::new());
        let slow_done = Rc::clone(&done);
        spawn("slow call", async move {
            assert!(call(&slow, b"slow", None).await.is_ok());
            slow_done.notify_all();
        });
        while pool.in_flight_count() == 0 {
            transom::net::sleep(Duration::from_millis(1)).await;
        }
        // The peer reads nothing on its first connection now, so the call that asks for the second one is cut off.
        let stuck = call(
            &pool,
            b"asks for a second one",
            Some(Duration::from_millis(50)),
        )
        .await;
        assert_eq!(stuck.unwrap_err(), CallError::DeadlineExceeded);
        while pool.connection_count() < 2 {
            transom::net::sleep(Duration::from_millis(1)).await;
        }
        let reply = call(&pool, b"goes past the slow one", None).await.unwrap();
        assert_eq!(reply.body, framed(b"goes past the slow one"));
        let finished = done.notified();
        answer.send(()).unwrap();
        finished.await;
        assert_eq!(peer.connection_count(), 2);
    });
}

#[test]
fn large_messages_pass_both_ways_through_flow_control() {
    on_each_driver(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let _heads = h2_echo(listener);
        let pool = pool_to(&url, one_connection());
        let message: Vec<u8> = (0..4 * 1024 * 1024_u32)
            .map(|i| i.to_be_bytes()[3])
            .collect();
        let reply = call(&pool, &message, None).await.unwrap();
        assert!(reply.body == framed(&message));
    });
}

#[test]
fn answer_in_ten_thousand_tiny_frames_keeps_the_connection() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            connection.headers(request.stream).unwrap();
            for _ in 0..10_000 {
                connection.send(DATA, 0, request.stream, b"x").unwrap();
            }
            connection.trailers(request.stream).unwrap();
            connection.echo();
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reply = call(&pool, b"", None).await.unwrap();
        assert_eq!(reply.body, vec![b'x'; 10_000]);
        assert!(call(&pool, b"again", None).await.is_ok());
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn answer_without_body_or_trailers_is_told_as_it_came() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            let headers = [("content-type", "application/grpc"), ("grpc-status", "5")];
            let block = support::peer::header_block(Some(200), &headers);
            let end_stream_and_headers = 5;
            connection
                .send(
                    support::peer::HEADERS,
                    end_stream_and_headers,
                    request.stream,
                    &block,
                )
                .unwrap();
            connection.echo();
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reply = call(&pool, b"", None).await.unwrap();
        assert_eq!(reply.headers.value("grpc-status"), Some(&b"5"[..]));
        assert!(reply.body.is_empty());
        assert!(reply.trailers.is_none());
    });
}

#[test]
fn page_of_something_else_is_not_read() {
    on_each_driver(|| async {
        let (resets, reset) = std::sync::mpsc::channel();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            let request = connection.request().unwrap();
            let block = support::peer::header_block(Some(503), &[("content-type", "text/html")]);
            let end_headers = 4;
            connection
                .send(support::peer::HEADERS, end_headers, request.stream, &block)
                .unwrap();
            connection.data(request.stream, b"<html>").unwrap();
            resets
                .send(connection.reset_code(request.stream).unwrap())
                .unwrap();
        });
        let pool = pool_to(&peer.url(), one_connection());
        let reply = call(&pool, b"", None).await.unwrap();
        assert_eq!(reply.http_status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.body.is_empty());
        assert_eq!(event(&reset).await, 8);
    });
}

#[test]
fn body_over_the_limit_is_refused_and_the_connection_kept() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            connection.echo();
        });
        let settings = PoolSettings {
            message_len_max: 1000,
            ..one_connection()
        };
        let pool = pool_to(&peer.url(), settings);
        assert!(call(&pool, &[7; 1000], None).await.is_ok());
        assert_eq!(
            call(&pool, &[7; 1001], None).await.unwrap_err(),
            CallError::MessageTooLarge { body_len_max: 1005 }
        );
        assert!(call(&pool, b"small", None).await.is_ok());
        assert_eq!(peer.connection_count(), 1);
    });
}

#[test]
fn name_of_an_upstream_is_looked_up() {
    on_each_driver(|| async {
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            connection.echo();
        });
        let url = format!("http://localhost:{}", peer.address.port());
        let pool = pool_to(&url, one_connection());
        assert!(call(&pool, b"by name", None).await.is_ok());
    });
}

#[test]
fn unix_socket_carries_calls() {
    on_each_driver(|| async {
        let folder = std::env::temp_dir().join(format!("transom-unix-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("upstream.sock");
        drop(std::fs::remove_file(&path));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // The scripted peer speaks TCP; the two are joined by copying bytes.
        let peer = Peer::start(|_, mut connection| {
            connection.greet(&[]).unwrap();
            connection.echo();
        });
        let address = peer.address;
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = std::net::TcpStream::connect(address).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            let (mut from, mut to) = (server, client);
            drop(std::io::copy(&mut from, &mut to));
        });
        let pool = pool_to(&format!("unix://{}", path.display()), one_connection());
        let reply = call(&pool, b"over a path", None).await.unwrap();
        assert_eq!(reply.body, framed(b"over a path"));
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
