//! The five bytes before each gRPC message.
//!
//! ```text
//! ┌──────┬─────────────────┬─────────────┐
//! │ flag │ length (32, BE) │ message ... │   flag 1: the message is compressed
//! └──────┴─────────────────┴─────────────┘
//! ```
//!
//! In: the buffer a message is appended to; the bytes of a reply. Out: the prefix, written once the length is known; the one message
//! of a unary reply. Always: a length is compared with the limit and with what is there, and never allocated from (THREATS E6).

use crate::error::{Error, ErrorKind};

/// Bytes of the prefix.
pub const PREFIX_LEN: usize = 5;

/// Reserves the prefix of the message that is going to be appended to `out`, and returns where it is, for [`close`].
///
/// # Examples
/// ```
/// use transom_engine::grpc::frame;
///
/// let mut out = Vec::new();
/// let at = frame::open(&mut out);
/// out.extend_from_slice(b"abc"); // to_wire appends here
/// frame::close(&mut out, at)?;
/// assert_eq!(out, b"\0\0\0\0\x03abc");
/// # Ok::<(), transom_engine::Error>(())
/// ```
pub fn open(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; PREFIX_LEN]);
    at
}

/// Fills in the prefix that [`open`] reserved at `at`. The message is what was appended since.
///
/// # Errors
/// `BodyTooLarge` if the message is longer than a prefix can say, 4 GiB, which any limit on bodies is below.
pub fn close(out: &mut [u8], at: usize) -> Result<(), Error> {
    let too_large = Error::request(ErrorKind::BodyTooLarge);
    let frame = out.get_mut(at..).ok_or(too_large)?;
    let len = frame.len().checked_sub(PREFIX_LEN).ok_or(too_large)?;
    let len = u32::try_from(len).ok().ok_or(too_large)?;
    let (flag, rest) = frame.split_first_mut().ok_or(too_large)?;
    *flag = 0;
    *rest.first_chunk_mut::<4>().ok_or(too_large)? = len.to_be_bytes();
    Ok(())
}

/// The one message of a whole unary reply whose status is OK; `limit` is in bytes of the message, without the prefix. The slice borrows
/// from the reply.
///
/// # Examples
/// ```
/// use transom_engine::{error::ErrorKind, grpc::frame, limits::BODY_LEN_MAX};
///
/// assert_eq!(frame::deframe(b"\0\0\0\0\x02\x08\x01", BODY_LEN_MAX)?, b"\x08\x01");
/// let cut = frame::deframe(b"\0\0\0\0\x02\x08", BODY_LEN_MAX);
/// assert_eq!(cut.unwrap_err().kind, ErrorKind::ReplyFrame);
/// # Ok::<(), transom_engine::Error>(())
/// ```
///
/// # Errors
/// `ReplyTooLarge` when the message is longer than `limit` bytes, `ReplyCompressed`, `ReplyFrame` for a flag that means nothing and for a
/// message that was cut, and `ReplyCount` when there is no message or something follows it.
pub fn deframe(reply: &[u8], limit: usize) -> Result<&[u8], Error> {
    let Some(&flag) = reply.first() else {
        return Err(Error::reply(ErrorKind::ReplyCount, 0));
    };
    match flag {
        0 => {}
        // Nothing is decompressed, so nothing was offered in grpc-accept-encoding (SEMANTICS 134).
        1 => return Err(Error::reply(ErrorKind::ReplyCompressed, 0)),
        _ => return Err(Error::reply(ErrorKind::ReplyFrame, 0)),
    }
    let cut = Error::reply(ErrorKind::ReplyFrame, reply.len());
    let ([_, len @ ..], rest) = reply.split_first_chunk::<PREFIX_LEN>().ok_or(cut)?;
    // A length that does not fit is above any limit.
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if len > limit {
        return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
    }
    let (message, after) = rest.split_at_checked(len).ok_or(cut)?;
    if !after.is_empty() {
        return Err(Error::reply(ErrorKind::ReplyCount, PREFIX_LEN + len));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(reply: &[u8], limit: usize) -> ErrorKind {
        deframe(reply, limit).unwrap_err().kind
    }

    #[test]
    fn a_message_goes_through_its_frame() {
        let mut out = b"before".to_vec();
        let at = open(&mut out);
        out.extend_from_slice(b"message");
        close(&mut out, at).unwrap();
        let frame = out.strip_prefix(b"before").unwrap();
        assert!(frame.starts_with(&[0, 0, 0, 0, 7]));
        assert_eq!(deframe(frame, 7), Ok(b"message".as_slice()));
        assert_eq!(deframe(&[0; PREFIX_LEN], 0), Ok(b"".as_slice()));
    }

    #[test]
    fn a_reply_has_exactly_one_message() {
        assert_eq!(kind(b"", 9), ErrorKind::ReplyCount);
        assert_eq!(kind(b"\0\0\0\0\x01a\0\0\0\0\0", 9), ErrorKind::ReplyCount);
        assert_eq!(kind(b"\0\0\0\0\x01ab", 9), ErrorKind::ReplyCount);
    }

    #[test]
    fn every_cut_of_a_reply_is_noticed() {
        let reply = b"\0\0\0\0\x03abc";
        for len in 1..reply.len() {
            let (reply, _) = reply.split_at(len);
            assert_eq!(kind(reply, 9), ErrorKind::ReplyFrame, "{len}");
        }
    }

    #[test]
    fn bad_prefixes_are_refused_at_once() {
        assert_eq!(kind(b"\x01", 9), ErrorKind::ReplyCompressed);
        assert_eq!(kind(b"\x02", 9), ErrorKind::ReplyFrame);
        assert_eq!(kind(b"\0\xff\xff\xff\xff", 9), ErrorKind::ReplyTooLarge);
        assert_eq!(kind(b"\0\0\0\0\x0a", 9), ErrorKind::ReplyTooLarge);
    }

    #[test]
    fn closing_what_was_not_opened_is_an_error() {
        assert!(close(&mut [0; 4], 0).is_err());
        assert!(close(&mut [0; 9], 10).is_err());
    }
}
