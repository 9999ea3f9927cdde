//! What a peer did, as its caller hears of it. Always: data are slices of what was read, lists are lent.

use super::connection::StreamId;
use super::fault::{Code, Fault};
use super::header_list::HeaderList;

/// Something that the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'c, 'b> {
    /// SETTINGS: streams may be opened, or another number of them.
    Settings,
    /// The headers of a response. Interim ones (1xx) are left out.
    Headers {
        /// Whose.
        stream: StreamId,
        /// From 200 to 999.
        status: u16,
        /// All but `:status`. It may be swapped for another list, whose memory is used for the next headers.
        list: &'c mut HeaderList,
        /// Whether nothing follows.
        ends: bool,
    },
    /// Data of a response, as far as they have come: a frame may be in several events.
    Data {
        /// Whose.
        stream: StreamId,
        /// A part of the input. Empty only if it `ends`. To be [released](super::Connection::release).
        bytes: &'b [u8],
        /// Whether nothing follows.
        ends: bool,
    },
    /// The trailers of a response. Nothing follows.
    Trailers {
        /// Whose.
        stream: StreamId,
        /// As of the headers.
        list: &'c mut HeaderList,
    },
    /// The stream is gone, without having ended.
    Reset {
        /// Whose.
        stream: StreamId,
        /// Why.
        cause: ResetCause,
    },
    /// The answer to a [`Connection::ping`](super::Connection::ping).
    Pong([u8; 8]),
    /// No more streams can be opened. Those up to `last` go on; each of the others is reset by an event that follows.
    GoAway {
        /// The number of the last stream that the peer has looked at or will.
        last: u32,
        /// Why.
        code: Code,
    },
}

/// Why a stream is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// The peer said so. [`Code::NO_ERROR`] after a whole response means that it needs no more of the request.
    Peer(Code),
    /// A GOAWAY left it out.
    GoAway,
    /// The peer broke a rule on it, and was told.
    Broken(Fault),
}

impl ResetCause {
    /// Whether the peer did nothing for the stream, so that its request may be sent again (RFC 9113 section 8.7).
    pub fn is_unstarted(self) -> bool {
        matches!(self, Self::GoAway | Self::Peer(Code::REFUSED_STREAM))
    }
}

/// An event without what it borrows of the connection.
pub(super) enum Step<'b> {
    Settings,
    Headers {
        stream: StreamId,
        status: u16,
        ends: bool,
    },
    Data {
        stream: StreamId,
        bytes: &'b [u8],
        ends: bool,
    },
    Trailers {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
        cause: ResetCause,
    },
    Pong([u8; 8]),
    GoAway {
        last: u32,
        code: Code,
    },
}

/// What a frame came to.
pub(super) type Stepped<'b> = Result<Option<Step<'b>>, Fault>;

impl<'b> Step<'b> {
    /// The event, with what it borrows.
    #[inline]
    pub(super) const fn with(self, list: &mut HeaderList) -> Event<'_, 'b> {
        match self {
            Self::Settings => Event::Settings,
            Self::Headers {
                stream,
                status,
                ends,
            } => Event::Headers {
                stream,
                status,
                list,
                ends,
            },
            Self::Data {
                stream,
                bytes,
                ends,
            } => Event::Data {
                stream,
                bytes,
                ends,
            },
            Self::Trailers { stream } => Event::Trailers { stream, list },
            Self::Reset { stream, cause } => Event::Reset { stream, cause },
            Self::Pong(payload) => Event::Pong(payload),
            Self::GoAway { last, code } => Event::GoAway { last, code },
        }
    }
}
