//! Starts the gateway as its users do: the built binary, its command line, a free port of the loopback interface.
//! In: the arguments of `transom serve` or `transom demo` but for `--listen`. Out: the address it serves on, and all that it wrote.
//! Always: ready means that it said so (DESIGN 4); stopped by SIGTERM to its own process id.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::process::Process;

// Here, so that test files need not name it.
#[path = "codec.rs"]
mod codec;

const START_TIME: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    process: Process,
    address: SocketAddr,
}

impl Gateway {
    /// Runs `transom serve --listen 127.0.0.1:0 ARGUMENTS` and waits until it is ready.
    pub(crate) fn serve(arguments: &[&str]) -> Self {
        Self::start("serve", arguments)
    }

    /// Runs `transom demo --listen 127.0.0.1:0 ARGUMENTS` and waits until it is ready.
    pub(crate) fn demo(arguments: &[&str]) -> Self {
        Self::start("demo", arguments)
    }

    /// Runs `transom serve` before an upstream whose schema is a file below `protos/`.
    pub(crate) fn serve_before(upstream: &str, proto: &str, arguments: &[&str]) -> Self {
        let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
        let proto = format!("{protos}/{proto}");
        let schema = ["--proto", &proto, "--proto-path", protos];
        Self::serve(&[&["--upstream", upstream], &schema[..], arguments].concat())
    }

    /// Runs a test before the demo on each I/O driver, and sees that it ends well.
    pub(crate) fn demo_on_each_driver(test: impl Fn(&Self)) {
        for driver in ["auto", "epoll"] {
            let gateway = Self::demo(&["--workers", "1", "--io", driver]);
            test(&gateway);
            let (status, transcript) = gateway.stop();
            assert!(
                status.success() && !transcript.contains("panick"),
                "{transcript}"
            );
        }
    }

    fn start(subcommand: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command
            .args([subcommand, "--listen", "127.0.0.1:0"])
            .args(arguments);
        if let Some(name) = codec::name() {
            command.args(["--upstream-codec", &name]);
        }
        let mut process = Process::start("transom", &mut command);
        let address = process.wait_for_line(START_TIME, find_address);
        Self { process, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, with no slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it wrote up to now.
    pub(crate) fn transcript(&self) -> String {
        self.process.transcript()
    }

    /// Memory it has in use, in bytes.
    pub(crate) fn resident_len(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory it had in use since its start, or since [`Gateway::forget_peak`], in bytes.
    pub(crate) fn peak_resident_len(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The peak is what is in use now.
    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.pid());
        std::fs::write(&path, "5").unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
    }

    fn memory(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kibibytes = line.and_then(|number| number.trim().parse::<u64>().ok());
        kibibytes.expect("the kernel tells the memory of a process in kB") * 1024
    }

    /// Sends a signal, named as `kill` names it, to its own process id.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for it to end by itself; returns how it ended and what it wrote.
    pub(crate) fn wait_for_end(mut self, limit: Duration) -> (ExitStatus, String) {
        let status = self.process.wait_for_end(limit);
        (status, self.process.transcript())
    }

    /// SIGTERM; returns how it ended and what it wrote.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let status = self.process.stop();
        (status, self.process.transcript())
    }
}

/// The binary that cargo built with the tests, or the one that `TRANSOM_PROGRAM` names (a release build, an installed package).
pub(crate) fn program() -> String {
    std::env::var("TRANSOM_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_transom").to_owned())
}

/// The address in a line that has `listening on http://ADDRESS`, wherever in the line it stands.
fn find_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http://")?;
    let end = rest
        .find(|letter: char| letter.is_whitespace() || letter == '/')
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
