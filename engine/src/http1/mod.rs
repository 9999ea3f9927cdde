//! HTTP/1.1 as bytes: request heads, chunked bodies and response heads.
//! In: what a connection has read so far. Out: spans into those bytes, body bytes, and response bytes appended to a buffer.
//! Always: knows no gRPC; what two servers could read in two ways is refused; nothing allocates once warm.
//!
//! ```
//! use transom_engine::http1::{BodyFraming, Parsed, RequestHead, ResponseHead, begin};
//!
//! let mut head = RequestHead::new();
//! let bytes = b"POST /v1/shelves?page=2 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\n{}";
//! let Parsed::Complete { len } = head.parse(bytes)? else {
//!     unreachable!("the head is whole")
//! };
//! assert_eq!(head.path(bytes), b"/v1/shelves");
//! assert_eq!(head.query(bytes), b"page=2");
//! assert_eq!(head.framing(), BodyFraming::Length(2));
//! assert_eq!(&bytes[len..], b"{}");
//!
//! let mut out = Vec::new();
//! let mut response = begin(
//!     &mut out,
//!     &ResponseHead {
//!         status: 200,
//!         connection: head.connection(),
//!         answers_head: head.method(bytes) == b"HEAD",
//!         content_type: Some(b"application/json"),
//!         date: None,
//!     },
//! );
//! response.header(&mut out, b"x-request-id", b"7");
//! let body = response.open_body(&mut out);
//! out.extend_from_slice(b"{\"ok\":true}");
//! body.finish(&mut out);
//! assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n") && out.ends_with(b"\r\n\r\n{\"ok\":true}"));
//! # Ok::<(), transom_engine::Error>(())
//! ```

mod chunked;
mod framing;
mod head;
mod media;
mod response;
mod target;

pub use chunked::{ChunkedBody, Decoded};
pub use framing::{BodyFraming, Version};
pub use head::{Headers, Parsed, RequestHead};
pub(crate) use media::{BodyForm, check_media, essence, is_form};
pub(crate) use response::reason_phrase;
pub use response::{
    Connection, PendingBody, PendingHead, PendingTrailers, ResponseHead, begin, begin_chunked,
    begin_stream, close_chunk, end_chunks, open_chunk, write_continue,
};

/// Whether `byte` may stand in a method or header name: `tchar` of RFC 9110 section 5.6.2.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// Whether `byte` may stand in a header value: no control character but tab.
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The members of a comma-separated header value, without white space around them. Empty members are left out.
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}
