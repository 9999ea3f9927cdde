//! A real etcd for a test, and Transom in front of one.
//! In: a name that tells servers of one test apart. Out: a fresh server of one member, its address and its metrics.
//! Always: its data lies under `target` and goes with it; ports are free ones of the loopback interface.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gateway::Gateway;
use super::http;
use super::process::Process;
use super::tools;

const START_TIME: Duration = Duration::from_mins(1);
/// Another program may take a port between our look and etcd's bind.
const START_ATTEMPTS: usize = 5;
/// What two servers never have in common, wherever it stands.
pub(crate) const VOLATILE_NAMES: [&str; 3] = ["cluster_id", "member_id", "raft_term"];

/// Transom as a stand-in for etcd's own gateway.
pub(crate) fn serve_before(etcd: &Etcd) -> Gateway {
    serve(etcd, &[])
}

/// The same with a configuration file.
pub(crate) fn serve_before_with(etcd: &Etcd, config: &str) -> Gateway {
    let path = etcd.folder.join("transom.yaml");
    fs::write(&path, config).unwrap();
    serve(etcd, &["--config", &path.display().to_string()])
}

fn serve(etcd: &Etcd, more: &[&str]) -> Gateway {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protos/test/etcd");
    let proto = |name: &str| protos.join(name).display().to_string();
    let upstream = format!("http://{}", etcd.address);
    let folder = protos.display().to_string();
    let files = [
        proto("etcd/api/etcdserverpb/rpc.proto"),
        proto("etcd/server/etcdserver/api/v3lock/v3lockpb/v3lock.proto"),
        proto("etcd/server/etcdserver/api/v3election/v3electionpb/v3election.proto"),
    ];
    let mut arguments = vec![
        "--upstream",
        &upstream,
        "--profile",
        "grpc-gateway-v1",
        "--proto-path",
        &folder,
    ];
    for file in &files {
        arguments.extend(["--proto", file]);
    }
    arguments.extend(more);
    Gateway::serve(&arguments)
}

/// A server of one member, with nothing in it.
pub(crate) struct Etcd {
    process: Process,
    folder: PathBuf,
    /// gRPC and its own gateway both answer here.
    address: SocketAddr,
}

impl Etcd {
    pub(crate) fn start(name: &str) -> Self {
        let etcd = tools::etcd();
        let folder = tools::scratch_folder(&format!("etcd-{name}"));
        let mut reason = String::new();
        for attempt in 0..START_ATTEMPTS {
            let [client_port, peer_port] = find_free_ports();
            let (client_url, peer_url) = (
                format!("http://127.0.0.1:{client_port}"),
                format!("http://127.0.0.1:{peer_port}"),
            );
            let mut command = etcd.command();
            command
                .arg("--data-dir")
                .arg(folder.join(attempt.to_string()));
            command.args([
                "--listen-client-urls",
                &client_url,
                "--advertise-client-urls",
                &client_url,
            ]);
            command.args([
                "--listen-peer-urls",
                &peer_url,
                "--initial-advertise-peer-urls",
                &peer_url,
            ]);
            command.args([
                "--name",
                "test",
                "--initial-cluster",
                &format!("test={peer_url}"),
            ]);
            // etcd takes its options from the environment too.
            for (variable, _) in std::env::vars_os()
                .filter(|(variable, _)| variable.to_string_lossy().starts_with("ETCD_"))
            {
                command.env_remove(variable);
            }
            let mut process = Process::start("etcd", &mut command);
            match process.find_line(START_TIME, |line| {
                line.contains("ready to serve client requests")
                    .then_some(())
            }) {
                Ok(()) => {
                    return Self {
                        process,
                        folder,
                        address: SocketAddr::from(([127, 0, 0, 1], client_port)),
                    };
                }
                Err(text) => reason = text,
            }
        }
        panic!("etcd did not start in {START_ATTEMPTS} attempts: {reason}");
    }
}

impl Etcd {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sum of the values of a metric over all label sets that hold each of `labels`, such as `grpc_method="Watch"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let reply = http::request(self.address, "GET", "/metrics", &[], None).unwrap();
        let text = reply.text();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let set = series.strip_prefix(name)?;
            let is_wanted = set.is_empty() || set.starts_with('{');
            (is_wanted && labels.iter().all(|label| set.contains(label)))
                .then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// Calls of a method that have begun and not ended yet, as etcd itself counts them.
    pub(crate) fn calls_in_flight(&self, method: &str) -> f64 {
        let label = format!("grpc_method=\"{method}\"");
        // The ends are counted first, so that a call between the two looks is not one in flight below zero.
        let ended = self.metric("grpc_server_handled_total", &[&label]);
        self.metric("grpc_server_started_total", &[&label]) - ended
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.process.stop();
        }
        // A server that is being killed may still write; what is left lies in the target folder.
        fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

/// Two ports that were free a moment ago.
fn find_free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
