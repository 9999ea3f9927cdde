//! A process that runs out of descriptors (THREATS I1): it neither spins nor dies, and recovers.
//!
//! The server is this test program once more, as a child with few descriptors; the test is its client.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions that help tests may panic as tests do"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use transom::clock;
use transom::net::{Accepted, IoChoice};
use transom::worker::{WorkerSettings, start};

/// Set for the child, to the driver it shall use.
const CHILD: &str = "TRANSOM_TEST_CHILD_IO";

const DESCRIPTOR_COUNT: usize = 48;

async fn echo(accepted: Accepted) {
    let (mut reader, mut writer) = accepted.stream.into_split();
    loop {
        let (read, bytes) = reader.read(Vec::new()).await;
        if !matches!(read, Ok(len) if len > 0)
            || !matches!(
                writer
                    .write_all(bytes, std::time::Duration::from_secs(20))
                    .await,
                Ok((Ok(()), _))
            )
        {
            return;
        }
    }
}

/// The child: prints its address and serves until it is killed.
fn serve_as_child(io: IoChoice) {
    let settings = WorkerSettings {
        worker_count: 1,
        io,
        connection_count_max: 10_000,
        ..WorkerSettings::new("127.0.0.1:0".parse().unwrap())
    };
    let workers = start(&settings, |_worker: Rc<_>| echo).unwrap();
    println!("address {}", workers.address());
    workers.run();
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(io: &str, test: &str) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -n {DESCRIPTOR_COUNT}; exec \"$0\" --exact {test} --nocapture"
            ))
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, io)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let address = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("address ")?.1.parse().unwrap()))
            .expect("the child tells its address");
        Self { child, address }
    }

    /// Processor time used so far, in ticks of 10 ms (user and system: fields 14 and 15 of the stat line).
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn is_echoed(client: &mut TcpStream, patience: Duration) -> bool {
    client.set_read_timeout(Some(patience)).unwrap();
    let mut answer = [0];
    client.write_all(b"x").is_ok() && client.read_exact(&mut answer).is_ok()
}

fn runs_out_and_recovers(io: &str, test: &str) {
    let server = Server::start(io, test);
    let connect = || TcpStream::connect(server.address).unwrap();
    let mut clients: Vec<_> = (0..2 * DESCRIPTOR_COUNT).map(|_| connect()).collect();
    let long = Duration::from_secs(10);
    assert!(is_echoed(&mut clients[0], long));
    let last = clients.last_mut().unwrap();
    assert!(
        !is_echoed(last, Duration::from_millis(200)),
        "out of descriptors"
    );

    let before = server.cpu_ticks();
    let since = clock::now();
    assert!(!is_echoed(last, Duration::from_secs(1)));
    assert!(since.elapsed() >= Duration::from_millis(900));
    let used = server.cpu_ticks() - before;
    assert!(used <= 5, "{used} ticks of 10 ms in one second");

    let mut last = clients.pop().unwrap();
    drop(clients);
    // The bytes sent while it waited are answered, and so is a new connection.
    assert!(is_echoed(&mut last, long));
    assert!(is_echoed(&mut connect(), long));
}

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_a_ring() {
    match std::env::var(CHILD) {
        Ok(io) => serve_as_child(io.parse().unwrap()),
        Err(_) => runs_out_and_recovers(
            "auto",
            "accepting_pauses_without_descriptors_and_goes_on_with_a_ring",
        ),
    }
}

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_epoll() {
    match std::env::var(CHILD) {
        Ok(io) => serve_as_child(io.parse().unwrap()),
        Err(_) => runs_out_and_recovers(
            "epoll",
            "accepting_pauses_without_descriptors_and_goes_on_with_epoll",
        ),
    }
}
