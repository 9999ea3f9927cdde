//! A gateway that has its settings from a file, before an upstream that answers with the message it was sent.
//! In: YAML, and headers of the upstream's answers. Out: the gateway, and how many calls came to the upstream.
//! Always: the file says all but where to listen, as that of a user would.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::gateway::Gateway;
use super::http::{Client, Reply};
use super::peer::Peer;
use super::tools::scratch_folder;

pub(crate) struct Configured {
    pub(crate) gateway: Gateway,
    call_count: Arc<AtomicUsize>,
}

/// Serves the bookstore's proto file with these settings.
pub(crate) fn serve(
    name: &str,
    settings: &str,
    headers: &'static [(&'static str, &'static str)],
) -> Configured {
    let call_count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&call_count);
    let peer = Peer::start(move |_, mut connection| {
        connection.greet(&[]).unwrap();
        while let Ok(request) = connection.request() {
            counted.fetch_add(1, Ordering::SeqCst);
            let all = [&[("content-type", "application/grpc")], headers].concat();
            let stream = request.stream;
            let answered = connection
                .send_headers(stream, Some(200), &all, false)
                .and_then(|()| connection.data(stream, &request.body))
                .and_then(|()| connection.trailers(stream));
            if answered.is_err() {
                return;
            }
        }
    });
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    let file = scratch_folder(name).join("transom.yaml");
    let text = format!(
        "upstream: {}\nproto: {protos}/example/bookstore.proto\nproto_path: {protos}\nworkers: 1\n{settings}\n",
        peer.url()
    );
    fs::write(&file, text).unwrap();
    let gateway = Gateway::serve(&["--config", file.to_str().unwrap()]);
    Configured {
        gateway,
        call_count,
    }
}

impl Configured {
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.gateway.address()).unwrap()
    }

    /// Calls that the upstream has had.
    pub(crate) fn call_count(&self) -> usize {
        self.call_count.load(Ordering::SeqCst)
    }

    /// Stops the gateway, which must have nothing to complain of.
    pub(crate) fn stop(self) {
        let (status, transcript) = self.gateway.stop();
        assert!(
            status.success() && !transcript.contains("panick"),
            "{transcript}"
        );
    }
}

/// The values of all headers of this name, in order.
pub(crate) fn values<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    let headers = reply.headers.iter();
    headers
        .filter(|(each, _)| each.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}
