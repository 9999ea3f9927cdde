//! Counts the allocations of the rooms `http1` and `grpc` for one exchange once buffers are warm: none.
#![expect(
    unsafe_code,
    reason = "allocations can only be counted by being the allocator"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use transom_engine::grpc::metadata::{
    Decision, HeaderRule, request_metadata, response_header, write_value,
};
use transom_engine::grpc::status::{ReplyHeaders, read_headers, read_trailers};
use transom_engine::grpc::{frame, timeout};
use transom_engine::http1::{
    BodyFraming, ChunkedBody, Parsed, RequestHead, ResponseHead, begin, check_media,
};

/// Passes on to the system and counts what the current thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a worker keeps between requests.
#[derive(Default)]
struct Warm {
    head: RequestHead,
    body: Vec<u8>,
    metadata: Vec<u8>,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

const REQUEST: &[u8] = b"POST /v1/shelves?x=y HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nAuthorization: Bearer b\r\n\
    Content-Type: application/json; charset=utf-8\r\nX-Trace-Bin: Zm9v\r\nGrpc-Timeout: 10S\r\nGrpc-Metadata-X: y\r\n\
    Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";

const REPLY_HEADERS: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/grpc"), (b"x-a", b"b")];

fn exchange(warm: &mut Warm) {
    let Warm {
        head,
        body,
        metadata,
        scratch,
        out,
    } = warm;
    for buffer in [&mut *body, &mut *metadata, &mut *out] {
        buffer.clear();
    }
    let Ok(Parsed::Complete { len }) = head.parse(REQUEST) else {
        panic!("the head is whole");
    };
    check_media(head.headers(REQUEST)).unwrap();
    assert_eq!(head.framing(), BodyFraming::Chunked);
    let at = frame::open(body);
    let decoded = ChunkedBody::new()
        .decode(&REQUEST[len..], body, 100)
        .unwrap();
    assert!(decoded.is_done);
    frame::close(body, at).unwrap();
    for rule in [HeaderRule::Transom, HeaderRule::GrpcGateway] {
        for (name, value) in head.headers(REQUEST) {
            if head.connection_lists(REQUEST, name) {
                continue;
            }
            if let Decision::Pass(name) = request_metadata(rule, name, value) {
                name.write(metadata);
                write_value(&name, value, scratch, metadata).unwrap();
            }
        }
    }
    let left = timeout::parse(head.header(REQUEST, b"grpc-timeout").unwrap()).unwrap();
    timeout::write(
        left.checked_sub(Duration::from_millis(3)).unwrap(),
        metadata,
    );

    assert_eq!(
        read_headers(200, REPLY_HEADERS, false),
        Ok(ReplyHeaders::Follow)
    );
    assert_eq!(
        read_trailers([(b"grpc-status".as_slice(), b"0".as_slice())]),
        Ok(())
    );
    let message = frame::deframe(body, 100).unwrap();
    for _ in 0..2 {
        let mut response = begin(
            out,
            &ResponseHead {
                status: 200,
                connection: head.connection(),
                answers_head: false,
                content_type: Some(b"application/json"),
                date: None,
            },
        );
        for (name, value) in REPLY_HEADERS {
            if response_header(HeaderRule::Transom, name, value) != Decision::Drop {
                assert!(response.header(out, name, value));
            }
        }
        let pending = response.open_body(out);
        out.extend_from_slice(message);
        pending.finish(out);
    }
    assert!(out.ends_with(b"\r\n\r\n{\"a\":1}"));
}

#[test]
fn a_warm_exchange_allocates_nothing() {
    let mut warm = Warm::default();
    exchange(&mut warm);
    let before = COUNT.get();
    for _ in 0..100 {
        exchange(&mut warm);
    }
    assert_eq!(COUNT.get() - before, 0);
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(Vec::<u8>::with_capacity(9)));
    assert_eq!(COUNT.get() - before, 1);
}
