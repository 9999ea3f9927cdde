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
mod passing;
mod response;
mod target;
mod upgrade;

pub use chunked::{ChunkedBody, Decoded};
pub use framing::{BodyFraming, Version};
pub use head::{Headers, Parsed, RequestHead};
pub(crate) use media::{BodyForm, check_media, essence, is_form};
pub use passing::{BadResponse, PassedResponse, write_passed_request};
pub(crate) use response::reason_phrase;
pub use response::{
    Connection, PendingBody, PendingHead, PendingTrailers, ResponseHead, begin, begin_chunked,
    begin_stream, close_chunk, end_chunks, open_chunk, write_continue,
};
pub use upgrade::write_switch;

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

/// Whether a name is this one, which is in lower case and of letters, digits, `-` and `.`. Eight bytes at once: it is asked several
/// times for each header.
#[inline]
pub(crate) fn is_named(name: &[u8], lower: &[u8]) -> bool {
    // The bit that makes a letter lower is set where there is a letter: it has this one, and digits and signs do not.
    const LETTER: u64 = 0x4040_4040_4040_4040;
    debug_assert!(lower.iter().all(|&byte| is_of_name(byte)));
    if name.len() != lower.len() {
        return false;
    }
    let differs = |name: u64, lower: u64| (name | (lower & LETTER) >> 1) ^ lower;
    let (words, rest) = name.as_chunks::<8>();
    let (lower_words, lower_rest) = lower.as_chunks::<8>();
    let mut difference = 0;
    for (word, lower) in words.iter().zip(lower_words) {
        difference |= differs(u64::from_ne_bytes(*word), u64::from_ne_bytes(*lower));
    }
    if let (Some(end), Some(lower)) = (name.last_chunk::<8>(), lower.last_chunk::<8>()) {
        // Some of it for the second time.
        difference |= differs(u64::from_ne_bytes(*end), u64::from_ne_bytes(*lower));
    } else {
        for (&byte, &lower) in rest.iter().zip(lower_rest) {
            difference |= differs(byte.into(), lower.into());
        }
    }
    difference == 0
}

/// What [`is_named`] can compare.
const fn is_of_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')
}

/// The members of a comma-separated header value, without white space around them. Empty members are left out.
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// As the plain comparison says, for names of each length, with any byte anywhere.
    #[test]
    fn names_are_compared_without_their_case() {
        let long = "x-2.a-header-with-a-long-name";
        for len in 0..=long.len() {
            let lower = &long.as_bytes()[..len];
            assert!(is_named(lower, lower));
            assert!(is_named(&lower.to_ascii_uppercase(), lower));
            assert!(!is_named(&long.as_bytes()[..len.max(1) - 1], lower) || len == 0);
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut name = lower.to_ascii_uppercase();
                    name[at] = byte;
                    let expected = name.eq_ignore_ascii_case(lower);
                    assert_eq!(is_named(&name, lower), expected, "{name:?}");
                }
            }
        }
    }
}
