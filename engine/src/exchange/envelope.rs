//! What an answer has to know of its request and its connection. In: a request head. Out: a small value that outlives the head's buffer.
//! Always: nothing borrowed; made before the upstream is waited for.

use super::cors::Reader;
use crate::coding::Coding;
use crate::http1::{Connection, RequestHead, ResponseHead, Version, list_members};

/// What a response says about its connection and its request: made from the head, before the head's buffer is used for the next one.
///
/// # Examples
/// ```
/// use transom_engine::{exchange::Envelope, http1::RequestHead};
///
/// let mut head = RequestHead::new();
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// head.parse(bytes)?;
/// let envelope = Envelope::of(&head, bytes).dated(*b"Sun, 06 Nov 1994 08:49:37 GMT");
/// assert!(envelope.keeps_open() && !envelope.clone().closing().keeps_open());
/// assert!(!Envelope::REFUSED.keeps_open());
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envelope {
    connection: Connection,
    /// Whether the request was `HEAD`: the head says how long the body would be, and the body is left out.
    pub(super) answers_head: bool,
    /// Whether the client knows chunks: those of HTTP/1.0 do not.
    pub(super) takes_chunks: bool,
    /// Whether the client wants trailers: it said `TE: trailers`, and can be sent chunks.
    pub(super) takes_trailers: bool,
    /// Which origin may read the answer (SEMANTICS 138).
    pub(super) reader: Reader,
    /// The coding that the client wants most of those offered (SEMANTICS 137).
    pub(super) coding: Option<Coding>,
    /// The value of `Date`, from a caller with a clock.
    date: Option<[u8; 29]>,
}

impl Envelope {
    /// For a request that cannot be read: the connection ends with the answer.
    pub const REFUSED: Self = Self {
        connection: Connection::Close,
        answers_head: false,
        takes_chunks: false,
        takes_trailers: false,
        reader: Reader::Unsaid,
        coding: None,
        date: None,
    };

    /// For the answer to this request, on a connection that the server is willing to keep.
    pub fn of(head: &RequestHead, bytes: &[u8]) -> Self {
        Self {
            connection: head.connection(),
            answers_head: head.method(bytes) == b"HEAD",
            takes_chunks: head.version() == Version::Http11,
            takes_trailers: takes_trailers(head, bytes),
            reader: Reader::Unsaid,
            coding: None,
            date: None,
        }
    }

    /// The same, with the time of the answer: `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn dated(self, date: [u8; 29]) -> Self {
        Self {
            date: Some(date),
            ..self
        }
    }

    /// Whether the answer may be compressed (SEMANTICS 137).
    pub const fn wants_coding(&self) -> bool {
        self.coding.is_some()
    }

    /// The same, but the connection ends with the answer.
    #[must_use]
    pub fn closing(self) -> Self {
        Self {
            connection: Connection::Close,
            ..self
        }
    }

    /// Whether another request may follow on the connection.
    pub fn keeps_open(&self) -> bool {
        self.connection != Connection::Close
    }

    pub(super) fn head<'a>(
        &'a self,
        status: u16,
        content_type: Option<&'a [u8]>,
    ) -> ResponseHead<'a> {
        ResponseHead {
            status,
            connection: self.connection,
            answers_head: self.answers_head,
            content_type,
            date: self.date.as_ref().map(<[u8; 29]>::as_slice),
        }
    }
}

/// SEMANTICS 131: trailers go to whoever asks for them. They take chunks, which HTTP/1.0 does not know.
fn takes_trailers(head: &RequestHead, bytes: &[u8]) -> bool {
    head.header(bytes, b"te").is_some_and(|value| {
        head.version() == Version::Http11
            && list_members(value).any(|member| member.eq_ignore_ascii_case(b"trailers"))
    })
}
