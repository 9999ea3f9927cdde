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
    // The limit does not bind root, so the program runs as nobody, which only root can bring about.
    let limited = || {
        let mut command = Command::new("prlimit");
        command.args([
            "--memlock=0:0",
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
        ]);
        command.args(["--inh-caps=-all", "--bounding-set=-all", "--"]);
        command.arg(program());
        command
    };
    let usable = limited().arg("--version").output();
    if !usable.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: needs prlimit, setpriv and the right to become another user");
        return;
    }
    let driver = serve_on_auto(limited());
    if driver.contains("io_uring") {
        eprintln!("not tested: this kernel gives rings without lockable memory");
        return;
    }
    refuse_uring(limited());
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
