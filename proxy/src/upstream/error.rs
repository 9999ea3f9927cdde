//! How a call can fail without an answer of the application. In: what h2, the timer and the pool met. Out: facts.
//! Always: only facts; which gRPC code they become is decided by one table in `transom_engine`, and noted here for the
//! reader.

use std::fmt;

use transom_engine::http2::Refusal;

/// Why a call has no answer.
///
/// The column on the right is the code of SEMANTICS 110, 111 and THREATS F1 to F6.
///
/// | kind | gRPC code |
/// |---|---|
/// | [`CallError::Unavailable`] | 14 `UNAVAILABLE` |
/// | [`CallError::DeadlineExceeded`] | 4 `DEADLINE_EXCEEDED` |
/// | [`CallError::Reset`] | 7 (`REFUSED_STREAM`) 14; 8 (`CANCEL`) 1 `CANCELLED`; 11 (`ENHANCE_YOUR_CALM`) 8 `RESOURCE_EXHAUSTED`; 12 (`INADEQUATE_SECURITY`) 7 `PERMISSION_DENIED`; the rest 13 `INTERNAL` |
/// | [`CallError::GoAway`] | 14 `UNAVAILABLE` |
/// | [`CallError::ConnectionLost`] | 14 `UNAVAILABLE` |
/// | [`CallError::Protocol`] | 13 `INTERNAL` |
/// | [`CallError::MessageTooLarge`] | 8 `RESOURCE_EXHAUSTED` |
/// | [`CallError::HeadersTooLong`] | 3 `INVALID_ARGUMENT`, with HTTP 431 |
/// | [`CallError::RequestInvalid`] | 13 `INTERNAL`: the gateway built what HTTP/2 forbids |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// There is no connection to send it on. Nothing was sent.
    Unavailable(Unavailable),
    /// The call's time was up. The upstream was told by `RST_STREAM(CANCEL)`.
    DeadlineExceeded,
    /// The upstream reset the stream.
    Reset {
        /// HTTP/2 error code of the `RST_STREAM`.
        code: u32,
    },
    /// The upstream went away before it took the call, twice. It was not started.
    GoAway {
        /// HTTP/2 error code of the `GOAWAY`.
        code: u32,
    },
    /// The connection broke while the call was under way. It may have been carried out.
    ConnectionLost,
    /// The upstream broke the rules of HTTP/2.
    Protocol {
        /// HTTP/2 error code it was told.
        code: u32,
    },
    /// The response is longer than allowed. The rest was refused by `RST_STREAM(CANCEL)`.
    MessageTooLarge {
        /// The longest body that would have been taken, bytes, with the prefix of gRPC.
        body_len_max: usize,
    },
    /// The request's headers are longer than the upstream has said that it takes. Nothing was sent.
    HeadersTooLong,
    /// The request's headers cannot be sent over HTTP/2.
    RequestInvalid,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Connecting failed: refused, unreachable, no such socket, out of descriptors.
    ConnectFailed,
    /// The name has no address, or nobody could say.
    NameUnresolved,
    /// No TCP connection, or no HTTP/2 SETTINGS on it, within the connect time-out.
    ConnectTimeout,
    /// Something that does not speak HTTP/2 took the connection, or it was closed before its SETTINGS.
    HandshakeFailed,
    /// The last connection was lost just now, and the pause before the next attempt is not over.
    Lost,
    /// All streams are taken and too many calls wait already.
    QueueFull,
    /// All streams stayed taken for as long as a call may wait.
    QueueTimeout,
}

impl fmt::Display for CallError {
    /// Without addresses or names of the inside network (SEMANTICS 111).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "upstream unavailable: {why}"),
            Self::DeadlineExceeded => f.write_str("deadline exceeded"),
            Self::Reset { code } => write!(f, "upstream reset the stream with code {code}"),
            Self::GoAway { code } => write!(f, "upstream is going away with code {code}"),
            Self::ConnectionLost => f.write_str("connection to the upstream was lost"),
            Self::Protocol { code } => {
                write!(f, "upstream broke the protocol, code {code}")
            }
            Self::MessageTooLarge { body_len_max } => {
                write!(
                    f,
                    "response message is larger than {body_len_max} bytes allow"
                )
            }
            Self::HeadersTooLong => f.write_str("headers are longer than the upstream takes"),
            Self::RequestInvalid => f.write_str("request cannot be sent over HTTP/2"),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectFailed => "connection failed",
            Self::NameUnresolved => "name was not resolved",
            Self::ConnectTimeout => "no connection in time",
            Self::HandshakeFailed => "no HTTP/2 spoken",
            Self::Lost => "connection lost",
            Self::QueueFull => "too many calls are waiting",
            Self::QueueTimeout => "no free stream in time",
        })
    }
}

impl std::error::Error for CallError {}

/// An error and whether the call is proven not to have started, so that it may be sent once more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) error: CallError,
    pub(super) is_unstarted: bool,
}

impl Failure {
    pub(super) fn final_error(error: CallError) -> Self {
        Self {
            error,
            is_unstarted: false,
        }
    }

    /// What it means that h2 did not take a request's head; `None`: the connection had been left before it was asked.
    ///
    /// Nothing was sent, so the call may go to another connection, unless it is the head itself that h2 cannot send.
    pub(super) fn of_refused_head(error: Option<&h2::Error>) -> Self {
        let error = error.map_or(CallError::ConnectionLost, call_error);
        Self {
            error,
            is_unstarted: error != CallError::RequestInvalid,
        }
    }

    /// The same for the codec of our own.
    pub(super) fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::HeaderInvalid => Self::final_error(CallError::RequestInvalid),
            Refusal::HeadersTooLong => Self::final_error(CallError::HeadersTooLong),
            Refusal::NoStream | Refusal::OutputFull | Refusal::Closed => Self {
                error: CallError::ConnectionLost,
                is_unstarted: true,
            },
        }
    }

    /// What an error of h2 on a stream means before any of the response has come.
    ///
    /// Proof that a call did not start: `REFUSED_STREAM`, or a stream above the last id of a GOAWAY, which are the only
    /// streams that h2 ends with a remote GOAWAY (RFC 9113 section 8.7; THREATS F4).
    pub(super) fn of_unanswered(error: &h2::Error) -> Self {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        Self {
            error: call_error(error),
            is_unstarted: error.is_remote() && (is_refused || error.is_go_away()),
        }
    }
}

/// What an error of h2 means.
pub(super) fn call_error(error: &h2::Error) -> CallError {
    let code = error.reason().map_or(0, u32::from);
    if error.is_io() {
        CallError::ConnectionLost
    } else if error.is_remote() && error.is_reset() {
        CallError::Reset { code }
    } else if error.is_remote() && error.is_go_away() {
        CallError::GoAway { code }
    } else if error.is_library() {
        CallError::Protocol { code }
    } else {
        CallError::RequestInvalid
    }
}
