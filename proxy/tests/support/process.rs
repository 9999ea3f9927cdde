//! Runs a program beside the test and keeps what it says.
//! In: a command. Out: its lines as they come, all it said, and how it ended.
//! Always: every wait has a deadline, and whatever was started is stopped by its own process id when its value is dropped.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take from SIGTERM to its end before SIGKILL.
const STOP_TIME: Duration = Duration::from_secs(15);
/// What is kept of the output; the rest is read and thrown away, so that no program blocks on a full pipe.
const TRANSCRIPT_LEN_MAX: usize = 1 << 20;

pub(crate) struct Process {
    name: String,
    pid: u32,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    transcript: Arc<Mutex<String>>,
    end: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} does not start: {error}; the command was {command:?}")
            });
        let pid = child.id();
        let stdin = child.stdin.take();
        let transcript = Arc::new(Mutex::new(String::new()));
        let (line_out, lines) = channel();
        read_lines(
            child.stdout.take().unwrap(),
            line_out.clone(),
            Arc::clone(&transcript),
        );
        read_lines(
            child.stderr.take().unwrap(),
            line_out,
            Arc::clone(&transcript),
        );
        let end = wait_for_end(child);
        Self {
            name: name.to_owned(),
            pid,
            stdin,
            lines,
            transcript,
            end,
            status: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything that the program has said up to now, on both of its outputs.
    pub(crate) fn transcript(&self) -> String {
        self.transcript.lock().unwrap().clone()
    }

    /// The first line from here on for which `wanted` gives a value. An error tells why there was none: the program ended, or time ran out.
    pub(crate) fn find_line<T>(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        let started = now();
        loop {
            match self
                .lines
                .recv_timeout(limit.saturating_sub(started.elapsed()))
            {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(
                        self.describe(&format!("did not say what was awaited within {limit:?}"))
                    );
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.describe("ended without saying what was awaited"));
                }
            }
        }
    }

    pub(crate) fn wait_for_line<T>(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.find_line(limit, wanted)
            .unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Sends a line to the program's standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self
            .stdin
            .as_mut()
            .expect("the standard input is open until the end");
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .unwrap_or_else(|error| panic!("{} takes no more input: {error}", self.name));
    }

    /// Waits for the program to end by itself.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        self.stdin = None;
        if self.status.is_none() {
            self.status = self.end.recv_timeout(limit).ok();
        }
        self.status.unwrap_or_else(|| {
            panic!(
                "{}",
                self.describe(&format!("did not end within {limit:?}"))
            )
        })
    }

    /// Sends a signal, named as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(name, self.pid);
    }

    /// SIGTERM, and SIGKILL if the program does not heed it in time. Returns how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.stdin = None;
        for signal in ["TERM", "KILL"] {
            if self.status.is_none() {
                self.status = self.end.try_recv().ok();
            }
            if let Some(status) = self.status {
                return status;
            }
            send_signal(signal, self.pid);
            self.status = self.end.recv_timeout(STOP_TIME).ok();
        }
        self.status
            .unwrap_or_else(|| panic!("{} (pid {}) outlived SIGKILL", self.name, self.pid))
    }

    pub(crate) fn describe(&self, what: &str) -> String {
        format!(
            "{} (pid {}) {what}; it said:\n{}",
            self.name,
            self.pid,
            self.transcript()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
            return;
        }
        // A second panic would hide the first: only make sure that the program is gone.
        self.stdin = None;
        if self.status.is_none() && self.end.try_recv().is_err() {
            send_signal("KILL", self.pid);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a real process is awaited by the real clock; no result depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

fn read_lines(
    source: impl Read + Send + 'static,
    lines: Sender<String>,
    transcript: Arc<Mutex<String>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            {
                let mut kept = transcript.lock().unwrap();
                if kept.len() < TRANSCRIPT_LEN_MAX {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
            // Nobody may be listening any more; the pipe must be read all the same.
            lines.send(line).unwrap_or_default();
        }
    });
}

fn wait_for_end(mut child: Child) -> Receiver<ExitStatus> {
    let (end_out, end) = channel();
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            // Nobody may be waiting any more.
            end_out.send(status).unwrap_or_default();
        }
    });
    end
}

pub(crate) fn send_signal(signal: &str, pid: u32) {
    // The shell's own `kill`: signals have no safe function in the standard library, and /bin/kill is not on every machine.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{signal} {pid} 2>/dev/null"))
        .status();
    if let Err(error) = status {
        eprintln!("cannot run sh to stop process {pid}: {error}");
    }
}
