//! Names to addresses, on a thread of its own. In: requests of workers. Out: addresses.
//! Always: no worker ever waits in `getaddrinfo`; a lookup that fails falls back on the last answer that did not.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{RESOLVE_QUEUE_COUNT_MAX, UPSTREAM_ADDRESS_COUNT_MAX};
use crate::net::{WakeSender, wake_pair};

/// Looks up one host, for all workers.
pub(super) struct Resolver {
    requests: SyncSender<Request>,
}

struct Request {
    answer: Arc<Answer>,
    /// Dropped or rung when the answer is there.
    wake: WakeSender,
}

/// Filled by the helper thread; empty if the lookup failed.
type Answer = Mutex<Vec<SocketAddr>>;

impl Resolver {
    /// Starts the helper thread for `host` and `port`. It ends when the resolver is dropped.
    pub(super) fn start(host: String, port: u16) -> io::Result<Self> {
        Self::with_lookup(move || {
            let found = (host.as_str(), port).to_socket_addrs()?;
            Ok(found.take(UPSTREAM_ADDRESS_COUNT_MAX).collect())
        })
    }

    fn with_lookup(
        lookup: impl FnMut() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, receiver) = sync_channel(RESOLVE_QUEUE_COUNT_MAX);
        std::thread::Builder::new()
            .name("transom-resolve".to_owned())
            .spawn(move || answer_requests(&receiver, lookup))?;
        Ok(Self { requests })
    }

    /// The host's addresses, at least one; `None` if there are none or the lookup cannot be made. Waits as long as the
    /// system takes; the caller sets the bound.
    pub(super) async fn addresses(&self) -> Option<Vec<SocketAddr>> {
        let (wake, seed) = wake_pair().ok()?;
        let mut rung = seed.attach().ok()?;
        let answer = Arc::new(Answer::default());
        let request = Request {
            answer: Arc::clone(&answer),
            wake,
        };
        self.requests.try_send(request).ok()?;
        rung.wait().await;
        let addresses = std::mem::take(&mut *answer.lock().unwrap_or_else(PoisonError::into_inner));
        (!addresses.is_empty()).then_some(addresses)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn answer_requests(
    requests: &Receiver<Request>,
    mut lookup: impl FnMut() -> io::Result<Vec<SocketAddr>>,
) {
    let mut last = Vec::new();
    while let Ok(first) = requests.recv() {
        match lookup() {
            Ok(found) if !found.is_empty() => last = found,
            Ok(_) => tracing::warn!("the upstream's name has no address"),
            Err(error) => tracing::warn!(%error, "the upstream's name was not resolved"),
        }
        // One lookup answers all who asked while it ran; who asks once woken wants another.
        let waiting: Vec<_> = std::iter::once(first).chain(requests.try_iter()).collect();
        for request in waiting {
            request
                .answer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&last);
            request.wake.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{IoChoice, Runtime};

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn failed_lookup_falls_back_on_the_last_answer() {
        let mut answers = [
            Err(io::Error::other("first")),
            Ok(vec![address(1)]),
            Err(io::Error::other("third")),
            Ok(Vec::new()),
            Ok(vec![address(2)]),
        ]
        .into_iter();
        let resolver = Resolver::with_lookup(move || answers.next().unwrap()).unwrap();
        let mut runtime = Runtime::build(IoChoice::Auto).unwrap();
        runtime.block_on(async {
            assert_eq!(resolver.addresses().await, None);
            for expected in [1, 1, 1, 2] {
                assert_eq!(resolver.addresses().await, Some(vec![address(expected)]));
            }
        });
    }

    #[test]
    fn lookup_that_panics_is_an_unresolved_name() {
        let resolver = Resolver::with_lookup(|| panic!("no such thing")).unwrap();
        let mut runtime = Runtime::build(IoChoice::Epoll).unwrap();
        runtime.block_on(async {
            assert_eq!(resolver.addresses().await, None);
            assert_eq!(resolver.addresses().await, None);
        });
    }
}
