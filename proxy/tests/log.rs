//! A log that nobody reads stops nobody (THREATS I4).
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
}

use std::io::{BufRead as _, BufReader, Write as _, pipe};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::gateway::program;
use support::http::Client;
use support::process::send_signal;

const REST: Duration = Duration::from_millis(300);

/// A gateway that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already if all is well.
        self.0.kill().unwrap_or_default();
    }
}

fn limit_descriptors(pid: u32, count: usize) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={count}:")]);
    assert!(command.status().unwrap().success());
}

/// Goal: requests are answered though the log cannot be written. Method: its pipe is filled and not read; then the worker has something to log, because it gets no
/// descriptors for connections that are waiting.
#[test]
fn requests_are_answered_while_nobody_reads_the_log() {
    for io in ["auto", "epoll"] {
        let (reader, writer) = pipe().unwrap();
        let mut filler = writer.try_clone().unwrap();
        let gateway = Command::new(program())
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(["--workers", "1", "--io", io])
            .stdin(Stdio::null())
            .stderr(writer)
            .spawn();
        let mut gateway = Running(gateway.unwrap());
        let pid = gateway.0.id();
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let address =
            lines.find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
        let address = address.unwrap().parse().unwrap();
        let mut client = Client::connect(address).unwrap();
        let ask = |client: &mut Client| {
            let reply = client.send("GET", "/v1/titles", &[], None);
            assert_eq!(reply.unwrap().status, 200, "{io}");
        };
        ask(&mut client);

        let (filled_len, is_over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, stop) = (Arc::clone(&filled_len), Arc::clone(&is_over));
        let filling = thread::spawn(move || {
            // Byte by byte, so that there is no room in the end. The last line is whole.
            while !stop.load(Ordering::SeqCst) {
                filler.write_all(b"\n").unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut before = 0;
        loop {
            assert!(client.is_silent_for(REST).unwrap());
            let now = filled_len.load(Ordering::SeqCst);
            if now == before && now > 0 {
                break;
            }
            before = now;
        }

        limit_descriptors(pid, 3);
        // The first may be taken by an accept that has begun before.
        let mut waiting: Vec<_> = (0..3).map(|_| Client::connect(address).unwrap()).collect();
        for _ in 0..2_000 {
            ask(&mut client);
        }
        limit_descriptors(pid, 512);
        waiting.iter_mut().for_each(ask);

        is_over.store(true, Ordering::SeqCst);
        assert!(lines.any(|line| line.contains("accepting pauses")), "{io}");
        filling.join().unwrap();
        send_signal("TERM", pid);
        drop((client, waiting));
        assert!(gateway.0.wait().unwrap().success(), "{io}");
    }
}
