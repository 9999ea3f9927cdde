//! What the tests of the proxy share: a scripted HTTP/2 peer, and the floor under a test that makes calls.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    unreachable_pub,
    reason = "shared by several test crates, reachable from none"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helps tests may panic as they do; clippy only knows functions that are tests"
)]

pub mod codec;
pub mod peer;

use std::future::Future;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use transom::buffers::SharedBuffer;
use transom::net::{IoChoice, Runtime, sleep, timeout};
use transom::upstream::{
    CallError, CallPath, CallRequest, Pool, PoolSettings, Reply, Target, Upstream,
};
use transom_engine::http2::HeaderList;

/// Longest a test may take before it fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test's future on each driver this machine has.
pub fn on_each_driver<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for choice in [IoChoice::Auto, IoChoice::Epoll] {
        on_driver(choice, test());
    }
}

/// Runs a test's future on one driver.
pub fn on_driver(choice: IoChoice, test: impl Future<Output = ()>) {
    let mut runtime = Runtime::build(choice).unwrap();
    runtime
        .block_on(timeout(PATIENCE, test))
        .expect("the test took too long");
}

/// A pool to `url`, on the codec of these tests.
pub fn pool_to(url: &str, mut settings: PoolSettings) -> Pool {
    let target: Target = url.parse().unwrap();
    if let Some(name) = codec::name() {
        settings.codec = name.parse().unwrap();
    }
    Pool::new(Upstream::new(target, settings).unwrap())
}

/// Settings whose pauses suit a test, with one connection so that scripts see all calls.
pub fn one_connection() -> PoolSettings {
    PoolSettings {
        connection_count: 1,
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(50),
        ..PoolSettings::default()
    }
}

/// A gRPC frame around `message`.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Where the calls of a method go.
pub fn path_of(pool: &Pool, method: &str) -> CallPath {
    CallPath::new(pool.upstream().target(), method).unwrap()
}

/// Makes a call of `/test.Echo/Say`.
pub async fn call(
    pool: &Pool,
    message: &[u8],
    limit: Option<Duration>,
) -> Result<Reply, CallError> {
    let mut buffer = SharedBuffer::new();
    buffer.start().extend_from_slice(&framed(message));
    pool.call(CallRequest {
        path: &path_of(pool, "/test.Echo/Say"),
        metadata: &HeaderList::default(),
        message: buffer.share(),
        timeout: limit,
    })
    .await
}

/// Waits until the pool is connected, so that a short deadline is spent on the call itself.
pub async fn connected(pool: &Pool) {
    pool.warm_up();
    while pool.connection_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for an event of another thread while the runtime goes on.
pub async fn event<T>(events: &Receiver<T>) -> T {
    loop {
        match events.try_recv() {
            Ok(event) => return event,
            Err(TryRecvError::Empty) => sleep(Duration::from_millis(1)).await,
            Err(TryRecvError::Disconnected) => panic!("the peer is gone"),
        }
    }
}
