//! Calls that stream: many messages one way or both. In: the bytes of a body as they arrive, cut anywhere. Out: framed gRPC messages, or an HTTP response in
//! one of the framings. Always: nothing waits; what is whole goes on at once and what is cut is carried, at most one message of it; the result does not
//! depend on where the input was cut.
//!
//! ```text
//! bytes in   Call::requests ▶ Requests::push* ▶ finish        JSON values ▶ framed messages (`requests`)
//! bytes out  Call::replies ▶ Replies::take_headers ▶ push* ▶ finish | fail
//!                            framed messages ▶ JSON (`messages`) ▶ array, lines or events (`framing`) ▶ chunks (`replies`)
//! ```
//!
//! A method that streams one way only is unary the other way: its request goes through [`Call::write_request`], its reply through
//! [`Call::write_reply`].

mod framing;
mod long;
mod messages;
mod replies;
mod requests;
mod socket;

pub use framing::{Framing, StreamErrors, StreamHead, Streams};
pub use messages::Pushed;
pub use replies::{End, Replies, ReplyHead};
pub use requests::Requests;
pub use socket::SocketReplies;

use super::answer::Answer;
use super::crossing::Metadata;
use super::{Call, Scratch, Transcoder};
use crate::error::{Context, Error};
use crate::grpc::Status;

/// What a method streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Nothing: one message each way.
    Unary,
    /// Replies.
    ServerStream,
    /// Requests.
    ClientStream,
    /// Both.
    BothWays,
}

impl CallKind {
    /// Whether there may be many requests: their body goes through [`Call::requests`].
    pub const fn has_requests(self) -> bool {
        matches!(self, Self::ClientStream | Self::BothWays)
    }

    /// Whether there may be many replies: they go through [`Call::replies`].
    pub const fn has_replies(self) -> bool {
        matches!(self, Self::ServerStream | Self::BothWays)
    }
}

impl Call {
    /// What the method streams.
    pub fn kind(&self, transcoder: &Transcoder) -> CallKind {
        let method = transcoder.schema.method_plan(self.plan(transcoder).method);
        match (method.is_client_streaming, method.is_server_streaming) {
            (false, false) => CallKind::Unary,
            (false, true) => CallKind::ServerStream,
            (true, false) => CallKind::ClientStream,
            (true, true) => CallKind::BothWays,
        }
    }
}

/// Why a stream cannot go on, as the client is told: a status, and the HTTP status where nothing has been answered yet.
///
/// It is made of a [`Status`] (a lost connection, a deadline) or of an [`Error`] in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub(super) status: Status,
    /// If it is not that of the code.
    pub(super) http_status: Option<u16>,
}

impl Failure {
    /// An error with its words.
    #[cold]
    pub(super) fn of(error: Error, context: &Context<'_>) -> Self {
        let mut message = String::new();
        error.write_text(context, &mut message);
        Self {
            status: Status {
                message,
                ..Status::new(error.code(), "")
            },
            http_status: Some(error.http_status()),
        }
    }

    /// Appends `{"error":..}`, as it stands in a stream (SEMANTICS 123).
    #[cold]
    pub fn write_json(&self, transcoder: &Transcoder, scratch: &mut Scratch, out: &mut Vec<u8>) {
        let metadata = Metadata::default();
        Answer::of_status(transcoder, &self.status, self.http_status, &metadata)
            .write_in_stream(transcoder, scratch, out);
    }

    /// The status, as gRPC has it.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// The HTTP status of an answer that has not begun.
    pub fn http_status(&self) -> u16 {
        self.http_status
            .unwrap_or_else(|| self.status.http_status())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self {
            status,
            http_status: None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(error, &Context::default())
    }
}
