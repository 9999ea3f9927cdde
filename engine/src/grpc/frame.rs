//! The five bytes before each gRPC message.
//!
//! ```text
//! ┌──────┬─────────────────┬─────────────┐
//! │ flag │ length (32, BE) │ message ... │   flag 1: the message is compressed
//! └──────┴─────────────────┴─────────────┘
//! ```
//!
//! In: the buffer a message is appended to; the bytes of a reply. Out: the prefix, written once the length is known; the one message
//! of a unary reply, or the messages of a stream as their bytes come. Always: a length is compared with the limit and with what is there, and never allocated from (THREATS E6).

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

/// Finds the messages in the body of a stream, which arrives in pieces cut anywhere. Nothing of a message is kept here.
///
/// # Examples
/// ```
/// use transom_engine::{grpc::frame::{Deframer, Part}, limits::BODY_LEN_MAX};
///
/// let mut deframer = Deframer::default();
/// let mut piece = &b"\0\0\0\0\x02\x08\x01\0\0\0\0\x03ab"[..];
/// let whole = deframer.next(&mut piece, BODY_LEN_MAX)?;
/// assert_eq!(whole, Some(Part { bytes: b"\x08\x01", len: 2, is_first: true, is_last: true }));
/// let cut = deframer.next(&mut piece, BODY_LEN_MAX)?;
/// assert_eq!(cut, Some(Part { bytes: b"ab", len: 3, is_first: true, is_last: false }));
/// assert_eq!(deframer.next(&mut piece, BODY_LEN_MAX)?, None);
/// assert!(!deframer.is_between());
/// # Ok::<(), transom_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Deframer {
    /// The first bytes of a prefix that is cut: so many. `prefix_len < PREFIX_LEN`
    prefix: [u8; PREFIX_LEN],
    prefix_len: usize,
    /// The message whose prefix was whole, if more of it is to come.
    open: Option<OpenMessage>,
}

/// A message of which not all has come.
#[derive(Clone, Copy, Debug)]
struct OpenMessage {
    len: usize,
    /// `left <= len`
    left: usize,
}

/// Bytes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'p> {
    /// As many as the piece had.
    pub bytes: &'p [u8],
    /// Bytes of the whole message.
    pub len: usize,
    /// Whether the message begins with them.
    pub is_first: bool,
    /// Whether the message ends with them.
    pub is_last: bool,
}

impl Deframer {
    /// Takes the next part of a message from the front of `piece`; none if there is nothing more in it. `limit` is in bytes of one message.
    ///
    /// # Errors
    /// `ReplyTooLarge`, `ReplyCompressed` or `ReplyFrame`, as [`deframe`] has them; there is no going on then.
    pub fn next<'p>(
        &mut self,
        piece: &mut &'p [u8],
        limit: usize,
    ) -> Result<Option<Part<'p>>, Error> {
        let mut is_first = false;
        let mut open = match self.open {
            Some(open) => open,
            None => {
                let Some(len) = self.prefix(piece, limit)? else {
                    return Ok(None);
                };
                is_first = true;
                OpenMessage { len, left: len }
            }
        };
        // A message whose prefix has come is told of only with bytes of it, unless it has none.
        if piece.is_empty() && open.left > 0 {
            self.open = Some(open);
            return Ok(is_first.then_some(Part {
                bytes: b"",
                len: open.len,
                is_first,
                is_last: false,
            }));
        }
        let (bytes, rest) = piece.split_at(open.left.min(piece.len()));
        *piece = rest;
        open.left -= bytes.len();
        self.open = (open.left > 0).then_some(open);
        Ok(Some(Part {
            bytes,
            len: open.len,
            is_first,
            is_last: open.left == 0,
        }))
    }

    /// Whether a stream may end here: no message is cut.
    pub const fn is_between(&self) -> bool {
        self.open.is_none() && self.prefix_len == 0
    }

    /// Takes what there is of a prefix, and gives the length that it says once it is whole.
    fn prefix(&mut self, piece: &mut &[u8], limit: usize) -> Result<Option<usize>, Error> {
        while let Some((&byte, rest)) = piece.split_first() {
            *piece = rest;
            if self.prefix_len == 0 {
                match byte {
                    0 => {}
                    // Nothing is decompressed, so nothing was offered in grpc-accept-encoding (SEMANTICS 134).
                    1 => return Err(Error::reply(ErrorKind::ReplyCompressed, 0)),
                    _ => return Err(Error::reply(ErrorKind::ReplyFrame, 0)),
                }
            }
            if let Some(place) = self.prefix.get_mut(self.prefix_len) {
                *place = byte;
            }
            self.prefix_len += 1;
            if self.prefix_len == PREFIX_LEN {
                self.prefix_len = 0;
                let [_, len @ ..] = self.prefix;
                // A length that does not fit is above any limit.
                let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
                if len > limit {
                    return Err(Error::reply(ErrorKind::ReplyTooLarge, 0));
                }
                return Ok(Some(len));
            }
        }
        Ok(None)
    }
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

    /// Goal: what is found does not depend on where the pieces are cut.
    #[test]
    fn messages_of_a_stream_are_found_wherever_it_is_cut() {
        let stream = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x02de";
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let (mut deframer, mut found) = (Deframer::default(), Vec::new());
                for mut piece in [&stream[..first], &stream[first..second], &stream[second..]] {
                    while let Some(part) = deframer.next(&mut piece, 3).unwrap() {
                        if part.is_first {
                            found.push((part.len, Vec::new()));
                        }
                        let (len, bytes) = found.last_mut().unwrap();
                        bytes.extend_from_slice(part.bytes);
                        assert_eq!(part.is_last, bytes.len() == *len);
                    }
                }
                assert!(deframer.is_between());
                let expected = [(3, b"abc".to_vec()), (0, Vec::new()), (2, b"de".to_vec())];
                assert_eq!(found, expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn bad_prefixes_end_a_stream_as_soon_as_they_are_seen() {
        let kind = |stream: &[u8]| {
            let (mut deframer, mut piece) = (Deframer::default(), stream);
            loop {
                match deframer.next(&mut piece, 2) {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some(error.kind),
                }
            }
        };
        assert_eq!(kind(b"\0\0\0\0\0\x01"), Some(ErrorKind::ReplyCompressed));
        assert_eq!(kind(b"\0\0\0\0\0\x02"), Some(ErrorKind::ReplyFrame));
        assert_eq!(kind(b"\0\0\0\0\x03"), Some(ErrorKind::ReplyTooLarge));
        assert_eq!(kind(b"\0\0\0\0\x02a"), None);
    }
}
