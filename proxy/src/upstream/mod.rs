//! Calls to an upstream over HTTP/2. In: the path, metadata and framed message of a call. Out: headers, body, trailers,
//! or the fact of why there is no answer.
//! Always: nothing here is shared between workers but the name lookup; no gRPC status is read or made here.
//!
//! ```text
//!   Upstream (process)   target, settings, resolver
//!     Pool (worker)      slots, waiting calls
//!       Connection       its keep-alive, calls in flight
//!         h2_link        on h2
//!         link, driver   on the codec of our own
//!         call           one stream, a message each way
//!         stream         one stream, messages as they come
//!     Apart            connections for calls whose requests stream
//! ```

mod apart;
mod backoff;
mod call;
mod codec;
mod connection;
mod driver;
mod error;
mod h2_link;
mod halves;
mod head;
mod link;
mod mailbox;
mod memory;
mod pace;
mod pool;
mod resolve;
mod stream;
mod target;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use call::{CallRequest, Reply};
pub use codec::{Codec, UnknownCodec};
pub use error::{CallError, Unavailable};
pub use head::{CallHead, CallPath, Carriage};
pub use memory::{Received, ReplyMetadata};
pub use pool::Pool;
pub use stream::{Answer, ReceiveHalf, SendHalf};
pub use target::{Place, Target, TargetError};

use crate::limits;
use crate::net::{PollStream, timeout};
use resolve::Resolver;

/// An upstream as all workers see it.
#[derive(Debug)]
pub struct Upstream {
    target: Target,
    settings: PoolSettings,
    /// Only for a target that is a name.
    resolver: Option<Resolver>,
}

impl Upstream {
    /// Describes an upstream. Nothing is connected or looked up yet, so one that is down is no error.
    ///
    /// # Errors
    ///
    /// If the thread for name lookups cannot be started.
    pub fn new(target: Target, settings: PoolSettings) -> io::Result<Arc<Self>> {
        let resolver = match target.place() {
            Place::Name { host, port } => Some(Resolver::start(host.clone(), *port)?),
            Place::Address(_) | Place::Unix(_) => None,
        };
        Ok(Arc::new(Self {
            target,
            settings,
            resolver,
        }))
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Makes a connection for something else than calls. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// If there is none within the time for it.
    pub async fn connect(&self) -> Result<PollStream, Unavailable> {
        let connected = timeout(self.settings.connect_timeout, connection::connect(self, 0));
        let stream = connected.await.unwrap_or(Err(Unavailable::ConnectFailed))?;
        stream.into_poll().map_err(|error| {
            tracing::debug!(%error, "a connection to the upstream cannot be watched");
            Unavailable::ConnectFailed
        })
    }

    /// How each worker treats it.
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }
}

/// How a worker treats its upstream. Defaults are those of [`crate::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// What speaks HTTP/2.
    pub codec: Codec,
    /// Connections each worker may hold; 1 to [`limits::UPSTREAM_CONNECTION_COUNT_MAX`], taken into that range.
    pub connection_count: usize,
    /// Lookup, TCP connect and SETTINGS together.
    pub connect_timeout: Duration,
    /// Wait of a call without a deadline for a free stream.
    pub queue_timeout: Duration,
    /// First pause before a lost connection is made again.
    pub backoff_min: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// Silence, with calls in flight, before a PING.
    pub keepalive_idle: Duration,
    /// From one PING to the next, if no call is answered in between.
    pub keepalive_gap: Duration,
    /// Time for the PING's answer.
    pub keepalive_timeout: Duration,
    /// Longest response message, bytes.
    pub message_len_max: usize,
}

impl PoolSettings {
    fn connection_count(&self) -> usize {
        self.connection_count
            .clamp(1, limits::UPSTREAM_CONNECTION_COUNT_MAX)
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            codec: Codec::default(),
            connection_count: limits::UPSTREAM_CONNECTION_COUNT,
            connect_timeout: limits::UPSTREAM_CONNECT_TIMEOUT,
            queue_timeout: limits::UPSTREAM_QUEUE_TIMEOUT,
            backoff_min: limits::UPSTREAM_BACKOFF_MIN,
            backoff_max: limits::UPSTREAM_BACKOFF_MAX,
            keepalive_idle: limits::UPSTREAM_KEEPALIVE_IDLE,
            keepalive_gap: limits::UPSTREAM_KEEPALIVE_GAP,
            keepalive_timeout: limits::UPSTREAM_KEEPALIVE_TIMEOUT,
            message_len_max: limits::UPSTREAM_MESSAGE_LEN_MAX,
        }
    }
}
