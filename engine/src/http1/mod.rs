//! HTTP/1.1 as bytes: request heads, chunked bodies and response heads.
//! In: what a connection has read so far. Out: spans into those bytes, body bytes, and response bytes appended to a buffer.
//! Always: knows no gRPC; what two servers could read in two ways is refused; nothing allocates once warm.

mod chunked;
mod framing;
mod head;
mod media;
mod response;
mod target;

pub use chunked::{ChunkedBody, Decoded};
pub use framing::{BodyFraming, Version};
pub use head::{Headers, Parsed, RequestHead};
pub use media::check_media;
pub use response::{Connection, PendingBody, PendingHead, ResponseHead, begin, write_continue};

/// Whether `byte` may stand in a method or header name: `tchar` of RFC 9110 section 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// Whether `byte` may stand in a header value: no control character but tab.
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The members of a comma-separated header value, without white space around them. Empty members are left out.
fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}
