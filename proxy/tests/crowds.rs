//! Many clients at once, and how they fall to workers, cores and upstream connections.
//!
//! Goal: a gateway that took a connection has room for its call; what the options say of workers and connections is so. Method: the
//! program itself, before an upstream that allows few calls at once and holds them until all clients have asked.
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
}

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use support::gateway::Gateway;
use support::http::Client;
use support::peer::{MAX_CONCURRENT_STREAMS, Peer};
use transom::{cores, limits};

/// More than a worker's line of calls held once, beside what is in flight.
const CLIENT_COUNT: usize = 2_000;

/// Calls on a connection, as grpc servers often have it.
const STREAM_COUNT: u32 = 100;

fn serve(peer: &Peer, arguments: &[&str]) -> Gateway {
    Gateway::serve_before(&peer.url(), "example/bookstore.proto", arguments)
}

#[test]
fn each_connection_has_its_call_answered_though_the_upstream_takes_few_at_once() {
    for driver in ["auto", "epoll"] {
        let may_answer = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = Arc::clone(&may_answer);
        let peer = Peer::start(move |_, mut connection| {
            connection
                .greet(&[(MAX_CONCURRENT_STREAMS, STREAM_COUNT)])
                .unwrap();
            let (is_open, opened) = &*gate;
            while let Ok(request) = connection.request() {
                let is_open = is_open.lock().unwrap();
                drop(opened.wait_while(is_open, |is_open| !*is_open).unwrap());
                let message = b"\0\0\0\0\x04\x72\x02ok";
                if connection.answer(request.stream, message).is_err() {
                    return;
                }
            }
        });
        let options = ["--workers", "1", "--upstream-connections", "3"];
        let gateway = serve(&peer, &[&options[..], &["--io", driver]].concat());
        // Both ends need a descriptor for each, and this process has no more than the gateway.
        let descriptor_count = limits::descriptor_count_limit();
        let count = CLIENT_COUNT.min(limits::connection_count_max(descriptor_count));
        let mut clients: Vec<_> = (0..count)
            .map(|_| {
                let mut client = Client::connect(gateway.address()).unwrap();
                let request = b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
                client.write(request).unwrap();
                client
            })
            .collect();
        let (is_open, opened) = &*may_answer;
        *is_open.lock().unwrap() = true;
        opened.notify_all();
        for (index, client) in clients.iter_mut().enumerate() {
            let reply = client.read_reply("POST").unwrap();
            assert_eq!(reply.status, 200, "{driver}: {index}: {}", reply.text());
        }
        assert_eq!(peer.connection_count(), 3, "{driver}");
        drop(clients);
        assert!(gateway.stop().0.success(), "{driver}");
    }
}

/// What is kept of a crowd's memory at most, though nobody uses it: some pages of each length of block.
const KEPT_LEN_MAX: u64 = 3 << 20;

/// Goal: what a crowd needed goes back to the kernel when it has left, though nothing else happens then. Method: the memory of the process; a client that
/// stays is the clock.
#[test]
fn memory_of_a_crowd_goes_back_when_it_has_left() {
    Gateway::demo_on_each_driver(|gateway| {
        let used = || {
            let mut client = Client::connect(gateway.address()).unwrap();
            let body = Some(&b"{}"[..]);
            let reply = client.send("POST", "/v1/echo", &[], body).unwrap();
            assert_eq!(reply.status, 200);
            client
        };
        let mut waiting = used();
        let before = gateway.resident_len();
        let more = || gateway.resident_len().saturating_sub(before);
        let descriptor_count = limits::descriptor_count_limit();
        let count = CLIENT_COUNT.min(limits::connection_count_max(descriptor_count) / 2);
        let clients: Vec<_> = (0..count).map(|_| used()).collect();
        let grown = more();
        drop(clients);
        let left_len_max = KEPT_LEN_MAX.max(grown / 2);
        let mut quarter_count = 0;
        while more() > left_len_max && quarter_count < 60 {
            let is_silent = waiting.is_silent_for(Duration::from_millis(250));
            assert!(is_silent.unwrap());
            quarter_count += 1;
        }
        let left = more();
        assert!(left <= left_len_max, "{left} of {grown} bytes are left");
    });
}

/// The cores that each worker's thread may run on, in order of the workers.
fn cores_of_workers(gateway: &Gateway) -> Vec<String> {
    let mut workers = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        // The kernel keeps 15 letters of a thread's name.
        if value("Name:").starts_with("transom-worker") {
            let pid: u32 = value("Pid:").parse().unwrap();
            workers.push((pid, value("Cpus_allowed_list:")));
        }
    }
    // Threads are numbered as they are started.
    workers.sort_unstable();
    workers.into_iter().map(|(_, cores)| cores).collect()
}

#[test]
fn pinned_workers_stay_on_the_cores_one_after_the_other() {
    let cores = cores::allowed().unwrap();
    let count = cores.len() + 1;
    let gateway = Gateway::demo(&["--pin-workers", "--workers", &count.to_string()]);
    let mut expected: Vec<_> = cores.iter().map(ToString::to_string).collect();
    expected.push(expected[0].clone());
    assert_eq!(cores_of_workers(&gateway), expected);
    let mut client = Client::connect(gateway.address()).unwrap();
    assert_eq!(
        client.send("GET", "/v1/titles", &[], None).unwrap().status,
        200
    );
    drop(client);
    let (status, transcript) = gateway.stop();
    assert!(status.success(), "{transcript}");
    let warning = format!("warning: --pin-workers: {count} workers on ");
    assert!(transcript.contains(&warning), "{transcript}");

    let free = Gateway::demo(&["--workers", "2"]);
    let everywhere = cores_of_workers(&free);
    assert_eq!(everywhere.len(), 2);
    assert!(cores.len() == 1 || everywhere.iter().all(|list| list.len() > 1));
    assert!(!free.stop().1.contains("pin-workers"));
}

/// Whoever embeds the proxy may name a core that is not there.
#[test]
fn worker_that_cannot_be_pinned_serves_all_the_same() {
    use transom::worker::{Ended, WorkerSettings, start};

    let mut settings = WorkerSettings::new("127.0.0.1:0".parse().unwrap());
    settings.worker_count = 2;
    settings.cores = vec![usize::MAX];
    let (serves, served) = channel();
    let workers = start(&settings, move |_worker| {
        let serves = serves.clone();
        move |_accepted| {
            let serves = serves.clone();
            async move { serves.send(()).unwrap() }
        }
    })
    .unwrap();
    let _client = std::net::TcpStream::connect(workers.address()).unwrap();
    served.recv().unwrap();
    workers.stopper().stop();
    assert_eq!(workers.run(), Ended::Drained);
}
