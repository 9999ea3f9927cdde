//! How a stream of replies is laid out in one HTTP body (SEMANTICS 120). In: the manners and what a client accepts. Out: a framing, and the bytes that it puts
//! around messages. Always: a message is compact JSON, so that lines and events have no line end inside.

use std::time::Duration;

use crate::coding::weights;
use crate::http1::RequestHead;

/// The layout of a stream of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON array.
    Array,
    /// A line for each message.
    Lines,
    /// A line `{"result":..}` for each message, as grpc-gateway has it.
    Wrapped,
    /// Server-sent events.
    Events,
}

/// What clients get where a method streams replies. The default is that of the `transom` profile.
///
/// # Examples
/// ```
/// use transom_engine::exchange::{Framing, Manners, StreamHead, Streams};
///
/// // As grpc-gateway.
/// let streams = Streams {
///     framing: Framing::Wrapped,
///     json: Framing::Wrapped,
///     head: StreamHead::WithFirst,
///     ..Streams::default()
/// };
/// let manners = Manners { streams, ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// For who accepts anything, or says nothing.
    pub framing: Framing,
    /// For who names `application/json`.
    pub json: Framing,
    /// For everybody, whatever they say.
    pub forced: Option<Framing>,
    /// When the head of the response goes out.
    pub head: StreamHead,
    /// What a client sees of an error once the response has begun.
    pub errors: StreamErrors,
    /// How long a browser is told to wait before it connects again, in events (SEMANTICS 128).
    pub retry: Option<Duration>,
    /// How often a comment is sent in a stream of events that has nothing else to send. It takes a clock to heed that: the caller's.
    pub keep_alive: Option<Duration>,
}

/// When the head of a response goes out (SEMANTICS 121).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamHead {
    /// With the headers of the upstream, so that a browser knows the stream is open.
    #[default]
    AtOnce,
    /// With the first message, so that an error before it has its own status.
    WithFirst,
}

/// What a client sees of an error once the response has begun (SEMANTICS 123).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamErrors {
    /// The error, as the last message.
    #[default]
    Shown,
    /// A transfer that is cut, so that nobody takes it for whole.
    Reset,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            framing: Framing::Lines,
            json: Framing::Array,
            forced: None,
            head: StreamHead::AtOnce,
            errors: StreamErrors::Shown,
            retry: None,
            keep_alive: Some(Duration::from_secs(15)),
        }
    }
}

/// A framing under the name that the client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) framing: Framing,
    pub(super) content_type: &'static [u8],
}

const JSON_LINES: &[u8] = b"application/jsonl";

impl Framing {
    const fn content_type(self) -> &'static [u8] {
        match self {
            Self::Array | Self::Wrapped => b"application/json",
            Self::Lines => b"application/x-ndjson",
            Self::Events => b"text/event-stream",
        }
    }
}

impl From<Framing> for Layout {
    fn from(framing: Framing) -> Self {
        Self {
            framing,
            content_type: framing.content_type(),
        }
    }
}

impl Streams {
    /// The layout for a client (SEMANTICS 120): of the types that it names the one it wants most, the first of several; where it wants anything else
    /// more, or names none that there is, the default.
    pub(super) fn layout(&self, head: &RequestHead, bytes: &[u8]) -> Layout {
        if let Some(forced) = self.forced {
            return forced.into();
        }
        let mut best = (Layout::from(self.framing), 0);
        let mut anything = 0;
        for (name, value) in head.headers(bytes) {
            if !name.eq_ignore_ascii_case(b"accept") {
                continue;
            }
            for (media_type, weight) in weights(value) {
                match self.named(media_type) {
                    Some(layout) if weight > best.1 => best = (layout, weight),
                    None if matches!(media_type, b"*/*" | b"application/*") => {
                        anything = weight.max(anything);
                    }
                    _ => {}
                }
            }
        }
        if anything > best.1 {
            return self.framing.into();
        }
        best.0
    }

    /// The layout that a media type names.
    fn named(&self, media_type: &[u8]) -> Option<Layout> {
        let is = |name: &[u8]| media_type.eq_ignore_ascii_case(name);
        if is(b"application/json") {
            Some(self.json.into())
        } else if is(b"text/event-stream") {
            Some(Framing::Events.into())
        } else if is(b"application/x-ndjson") {
            Some(Framing::Lines.into())
        } else if is(JSON_LINES) {
            Some(Layout {
                framing: Framing::Lines,
                content_type: JSON_LINES,
            })
        } else {
            None
        }
    }
}
