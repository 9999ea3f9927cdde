//! Where the kernel or the container gives no ring (THREATS I2): `--io auto` serves on epoll and says so, `--io uring` says what is wrong.
//!
//! Method: the program itself, behind a seccomp filter as containers have it, and as a user without lockable memory.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
}

use std::process::Command;
use std::time::Duration;

use support::gateway::program;
use support::http::Client;
use support::process::Process;

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn container_that_forbids_io_uring_is_served_by_epoll() {
    let filter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/without_io_uring.py"
    );
    let filtered = || {
        let mut command = Command::new("python3");
        command.arg(filter).arg(program());
        command
    };
    let driver = serve_on_auto(filtered());
    assert!(driver.contains("epoll"), "{driver}");
    refuse_uring(filtered());
}

#[test]
fn user_without_lockable_memory_is_served_by_epoll() {
    // Root may lock memory beyond the limit, unless that right is taken away.
    let limited = || {
        let mut command = Command::new("prlimit");
        command.arg("--memlock=0:0");
        if is_root() {
            command.args(["setpriv", "--bounding-set=-ipc_lock", "--"]);
        }
        command.arg(program());
        command
    };
    let driver = serve_on_auto(limited());
    assert!(driver.contains("epoll"), "{driver}");
    refuse_uring(limited());
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// Runs the demo with `--io auto`, checks that it answers and ends well, and gives its line about the driver.
fn serve_on_auto(mut command: Command) -> String {
    command.args(["demo", "--listen", "127.0.0.1:0", "--io", "auto"]);
    let mut process = Process::start("transom", &mut command);
    let driver = process.wait_for_line(PATIENCE, |line| {
        line.contains("  workers ").then(|| line.to_owned())
    });
    let address = process.wait_for_line(PATIENCE, |line| {
        line.strip_prefix("listening on http://").map(str::to_owned)
    });
    let mut client = Client::connect(address.parse().unwrap()).unwrap();
    let reply = client.send("GET", "/v1/titles", &[], None).unwrap();
    assert_eq!(reply.status, 200, "{driver}");
    drop(client);
    assert!(process.stop().success(), "{}", process.transcript());
    assert!(
        driver.contains("io_uring") || process.transcript().contains("I/O driver is a fall-back"),
        "the fall-back is not logged: {}",
        process.transcript()
    );
    driver
}

fn refuse_uring(mut command: Command) {
    command.args(["demo", "--listen", "127.0.0.1:0", "--io", "uring"]);
    let refused = command.output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("io_uring"), "{text}");
}
