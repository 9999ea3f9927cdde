//! SIGTERM drains, a second one does not wait. One test, since signals reach the whole process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::raise;
use transom::net::Accepted;
use transom::worker::{Ended, Worker, WorkerSettings, start};

#[test]
fn first_signal_drains_and_second_ends_at_once() {
    let settings = WorkerSettings {
        worker_count: 1,
        ..WorkerSettings::new("127.0.0.1:0".parse().unwrap())
    };
    let (drains, draining) = channel();
    let workers = start(&settings, move |worker: Rc<Worker>| {
        let drains = drains.clone();
        move |accepted: Accepted| {
            let (worker, drains) = (Rc::clone(&worker), drains.clone());
            async move {
                let (mut reader, mut writer) = accepted.stream.into_split();
                let (_, bytes) = reader.read(Vec::new()).await;
                let limit = Duration::from_secs(10);
                writer.write_all(bytes, limit).await.unwrap().0.unwrap();
                worker.until_draining().await;
                drains.send(()).unwrap();
                // Goes on until the client leaves.
                reader.read(Vec::new()).await.0.unwrap();
            }
        }
    })
    .unwrap();
    workers.watch_signals().unwrap();
    let mut client = TcpStream::connect(workers.address()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let running = std::thread::spawn(move || workers.run());

    raise(SIGTERM).unwrap();
    draining.recv().unwrap();
    assert!(!running.is_finished());
    raise(SIGINT).unwrap();
    assert_eq!(running.join().unwrap(), Ended::Forced);
}
