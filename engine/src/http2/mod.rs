//! HTTP/2 as a client (RFC 9113): one connection to an upstream, as bytes. In: bytes of the peer, and requests. Out: events, one at a time, and
//! bytes to write. Always: no socket, clock or thread; what a peer can make grow is bounded by [`limits`](crate::limits); nothing is allocated
//! in the steady state; data of a response are slices of what was read, not copies.
//!
//! ```
//! use transom_engine::http2::{Connection, Event, HeaderBlock, Scheme, Settings};
//!
//! let mut connection = Connection::new(Settings::default());
//! let headers = [(&b"content-type"[..], &b"application/grpc"[..]), (b"te", b"trailers")];
//! let block = HeaderBlock::post(Scheme::Http, b"localhost", b"/hello.v1.Hello/Say", headers)?;
//! // A number of the caller's comes back with each event of the stream.
//! let stream = connection.open(&block, [(&b"x-request-id"[..], &b"7"[..])], 42)?;
//! assert_eq!(connection.send(stream, b"\0\0\0\0\0", true), 5);
//! let written = std::mem::take(connection.output());
//! assert!(written.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
//!
//! // SETTINGS, then headers with `:status: 200` that end the stream.
//! let read = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88";
//! let mut input = &read[..];
//! while let Some(event) = connection.receive(&mut input)? {
//!     if let Event::Headers { stream, status, .. } = event {
//!         assert_eq!((stream.key(), status), (42, 200));
//!     }
//! }
//! // What waits to be sent goes on where there is room now, and the output is written.
//! assert_eq!(connection.next_room(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod connection;
mod control;
mod event;
mod fault;
mod frame;
mod header_list;
mod hpack;
mod message;
mod receive;
mod settings;
mod streams;

pub use connection::{Connection, StreamId};
pub use event::{Event, ResetCause};
pub use fault::{Code, Fault, Refusal};
pub use header_list::HeaderList;
pub use hpack::{HeaderBlock, Scheme};
pub use settings::Settings;
