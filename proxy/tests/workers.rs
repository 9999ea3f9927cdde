//! Workers as a whole: accepting, a panicking connection, the cap, draining.
#![expect(
    clippy::unwrap_used,
    reason = "functions that help tests may panic as tests do"
)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use transom::clock;
use transom::net::{Accepted, IoChoice};
use transom::worker::{Ended, Stopper, Worker, WorkerSettings, start};

/// Longest a client of these tests waits for bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says a line back for each line; `panic` panics, `bye` and a draining worker close.
async fn serve_lines(worker: Rc<Worker>, accepted: Accepted) {
    let (mut reader, mut writer) = accepted.stream.into_split();
    let mut buffer = worker.buffers().take();
    loop {
        buffer.clear();
        let (read, bytes) = reader.read(buffer).await;
        buffer = bytes;
        match read {
            Ok(len) if len > 0 => {}
            _ => break,
        }
        assert_ne!(buffer, b"panic", "the client asked for it");
        let (written, bytes) = writer.write_all(buffer, PATIENCE).await.unwrap();
        buffer = bytes;
        if written.is_err() || buffer == b"bye" || worker.is_draining() {
            break;
        }
    }
    worker.buffers().give_back(buffer);
}

struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: JoinHandle<Ended>,
}

fn run(change: impl FnOnce(&mut WorkerSettings)) -> Running {
    let mut settings = WorkerSettings::new("127.0.0.1:0".parse().unwrap());
    settings.worker_count = 2;
    change(&mut settings);
    let workers = start(&settings, |worker: Rc<Worker>| {
        move |accepted| serve_lines(Rc::clone(&worker), accepted)
    })
    .unwrap();
    Running {
        address: workers.address(),
        stopper: workers.stopper(),
        thread: std::thread::spawn(move || workers.run()),
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn say(client: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    client.write_all(text)?;
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer)?;
    Ok(answer)
}

fn on_each_driver(test: impl Fn(IoChoice)) {
    for io in [IoChoice::Auto, IoChoice::Epoll] {
        test(io);
    }
}

#[test]
fn connections_are_served_by_all_workers() {
    on_each_driver(|io| {
        let running = run(|settings| settings.io = io);
        let mut clients: Vec<_> = (0..32).map(|_| connect(running.address)).collect();
        for client in &mut clients {
            assert_eq!(say(client, b"hello").unwrap(), b"hello");
            assert_eq!(say(client, b"again").unwrap(), b"again");
        }
        drop(clients);
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

#[test]
fn connection_that_panics_ends_only_itself() {
    on_each_driver(|io| {
        let running = run(|settings| {
            settings.io = io;
            settings.worker_count = 1;
        });
        let mut neighbour = connect(running.address);
        assert!(say(&mut neighbour, b"before").is_ok());
        let mut client = connect(running.address);
        let error = say(&mut client, b"panic").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(say(&mut neighbour, b"after").is_ok());
        drop(neighbour);
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

#[test]
fn connections_above_the_cap_wait_until_one_ends() {
    on_each_driver(|io| {
        let running = run(|settings| {
            settings.io = io;
            settings.worker_count = 1;
            settings.connection_count_max = 2;
        });
        let mut first = connect(running.address);
        let mut second = connect(running.address);
        assert!(say(&mut first, b"1").is_ok());
        assert!(say(&mut second, b"2").is_ok());
        let mut third = connect(running.address);
        third
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert_eq!(
            say(&mut third, b"3").unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert!(say(&mut first, b"bye").is_ok());
        third.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0];
        third.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"3");
        drop((second, third));
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

/// Answers each line with the number of the worker.
async fn serve_numbers(worker: Rc<Worker>, accepted: Accepted) {
    let (mut reader, mut writer) = accepted.stream.into_split();
    let mut buffer = Vec::with_capacity(64);
    loop {
        buffer.clear();
        let (read, _bytes) = reader.read(std::mem::take(&mut buffer)).await;
        if !read.is_ok_and(|len| len > 0) {
            return;
        }
        let number = vec![u8::try_from(worker.index()).unwrap()];
        let written = writer.write_all(number, Duration::from_secs(10)).await;
        if !matches!(written, Ok((Ok(()), _))) {
            return;
        }
    }
}

fn run_numbered(change: impl FnOnce(&mut WorkerSettings)) -> Running {
    let mut settings = WorkerSettings::new("127.0.0.1:0".parse().unwrap());
    settings.worker_count = 2;
    change(&mut settings);
    let workers = start(&settings, |worker: Rc<Worker>| {
        move |accepted| serve_numbers(Rc::clone(&worker), accepted)
    })
    .unwrap();
    Running {
        address: workers.address(),
        stopper: workers.stopper(),
        thread: std::thread::spawn(move || workers.run()),
    }
}

fn number(client: &mut TcpStream) -> usize {
    usize::from(say(client, b"?").unwrap()[0])
}

/// The kernel's hash alone would have one worker serve six of eight, or more, in three of ten cases.
#[test]
fn few_connections_that_stay_are_shared_out_evenly() {
    on_each_driver(|io| {
        for worker_count in [2, 4] {
            let running = run_numbered(|settings| {
                settings.io = io;
                settings.worker_count = worker_count;
            });
            let mut clients = Vec::new();
            let mut counts = vec![0; worker_count];
            for _ in 0..8 {
                let mut client = connect(running.address);
                counts[number(&mut client)] += 1;
                clients.push(client);
            }
            assert_eq!(counts, vec![8 / worker_count; worker_count]);
            drop(clients);
            running.stopper.stop();
            assert_eq!(running.thread.join().unwrap(), Ended::Drained);
        }
    });
}

#[test]
fn short_connections_are_served_by_all_workers() {
    on_each_driver(|io| {
        let running = run_numbered(|settings| settings.io = io);
        let mut counts = [0; 2];
        for _ in 0..256 {
            counts[number(&mut connect(running.address))] += 1;
        }
        assert!(counts.iter().all(|count| *count >= 32), "{counts:?}");
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

/// A client whose connection fell to a worker that is full used to wait, although the other had room.
#[test]
fn full_worker_hands_connections_over_until_all_are_full() {
    on_each_driver(|io| {
        let running = run_numbered(|settings| {
            settings.io = io;
            settings.connection_count_max = 12;
        });
        let mut clients: Vec<_> = (0..12).map(|_| connect(running.address)).collect();
        let mut counts = [0; 2];
        for client in &mut clients {
            counts[number(client)] += 1;
        }
        assert_eq!(counts[0] + counts[1], 12);
        let mut late = connect(running.address);
        late.write_all(b"?").unwrap();
        late.set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let kind = late.read(&mut [0]).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::WouldBlock);
        drop(clients);
        late.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(late.read(&mut [0]).unwrap(), 1);
        drop(late);
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

/// What is in another worker's inbox when the process is told to stop has been accepted, and is served.
#[test]
fn stop_while_connections_are_handed_over_loses_none() {
    on_each_driver(|io| {
        for _ in 0..20 {
            let running = run_numbered(|settings| {
                settings.io = io;
                settings.worker_count = 4;
            });
            let mut clients: Vec<_> = (0..32).map(|_| connect(running.address)).collect();
            running.stopper.stop();
            for client in &mut clients {
                number(client);
            }
            drop(clients);
            assert_eq!(running.thread.join().unwrap(), Ended::Drained);
        }
    });
}

#[test]
fn stop_lets_connections_finish_and_takes_no_new_ones() {
    on_each_driver(|io| {
        let running = run(|settings| settings.io = io);
        let mut client = connect(running.address);
        assert!(say(&mut client, b"before").is_ok());
        running.stopper.stop();
        // The port closes once the queues are empty; until then a connection is still answered.
        let refused = loop {
            match TcpStream::connect_timeout(&running.address, PATIENCE) {
                Ok(mut late) => {
                    late.set_read_timeout(Some(PATIENCE)).unwrap();
                    drop(say(&mut late, b"late"));
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(say(&mut client, b"last").unwrap(), b"last");
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
        assert!(say(&mut client, b"closed").is_err());
    });
}

/// One worker has nothing left to do and ends; its listener must not go on to queue clients while the other drains.
#[test]
fn worker_that_ended_leaves_no_listener_behind() {
    on_each_driver(|io| {
        let running = run(|settings| {
            settings.io = io;
            settings.worker_count = 4;
        });
        let mut client = connect(running.address);
        assert!(say(&mut client, b"held open").is_ok());
        running.stopper.stop();
        // Workers close their listeners one after the other; in the end there is none.
        let since = clock::now();
        let mut refused_count = 0;
        while refused_count < 32 {
            assert!(since.elapsed() < PATIENCE, "somebody still listens");
            match TcpStream::connect_timeout(&running.address, PATIENCE) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => refused_count += 1,
                _ => refused_count = 0,
            }
        }
        drop(client);
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}

#[test]
fn idle_connection_is_told_that_the_worker_drains() {
    on_each_driver(|io| {
        let settings = WorkerSettings {
            io,
            worker_count: 2,
            ..WorkerSettings::new("127.0.0.1:0".parse().unwrap())
        };
        let (told, hears): (Sender<()>, _) = channel();
        let workers = start(&settings, move |worker: Rc<Worker>| {
            let told = told.clone();
            move |accepted| {
                let (worker, told) = (Rc::clone(&worker), told.clone());
                async move {
                    let _open = accepted;
                    told.send(()).unwrap();
                    worker.until_draining().await;
                }
            }
        })
        .unwrap();
        let mut client = connect(workers.address());
        let stopper = workers.stopper();
        let thread = std::thread::spawn(move || workers.run());
        hears.recv().unwrap();
        stopper.stop();
        assert_eq!(thread.join().unwrap(), Ended::Drained);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn connection_that_does_not_end_is_left_at_the_deadline() {
    on_each_driver(|io| {
        let running = run(|settings| {
            settings.io = io;
            settings.drain_timeout = Duration::from_millis(50);
        });
        let mut client = connect(running.address);
        assert!(say(&mut client, b"here").is_ok());
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::TimedOut);
    });
}

#[test]
fn second_stop_does_not_wait() {
    on_each_driver(|io| {
        let running = run(|settings| settings.io = io);
        let mut client = connect(running.address);
        assert!(say(&mut client, b"here").is_ok());
        running.stopper.stop();
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Forced);
    });
}

#[test]
fn client_that_shuts_down_its_side_still_gets_its_answer() {
    on_each_driver(|io| {
        let running = run(|settings| settings.io = io);
        let mut client = connect(running.address);
        client.write_all(b"last words").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"last words");
        running.stopper.stop();
        assert_eq!(running.thread.join().unwrap(), Ended::Drained);
    });
}
