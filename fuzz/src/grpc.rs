//! Frames and timeouts of gRPC. In: a byte for the limit, one for a cut, then the body of a reply. Out of what a peer declares nothing
//! is allocated. Always: a frame is what it was made from; anything more, less or other is refused.

use std::time::Duration;

use transom_engine::error::ErrorKind;
use transom_engine::grpc::frame::{self, PREFIX_LEN};
use transom_engine::grpc::timeout;

/// The bytes as a reply, as a message, and as a timeout.
pub fn grpc(input: &[u8]) {
    let Some(([limit, cut], bytes)) = input.split_first_chunk() else {
        return;
    };
    // From nothing to more than 32 bits on most machines.
    let limit = match limit {
        0..=64 => usize::from(*limit),
        65..=128 => usize::from(*limit) << 8,
        _ => usize::MAX >> (limit % 64),
    };
    check_reply(bytes, limit);
    check_message(bytes, usize::from(*cut), limit);
    check_timeout(bytes);
}

/// What comes out of a reply is between a prefix that says so and the end; each refusal has its reason.
fn check_reply(reply: &[u8], limit: usize) {
    let declared = reply
        .first_chunk()
        .map(|[_, len @ ..]: &[u8; PREFIX_LEN]| u32::from_be_bytes(*len) as usize);
    let there = reply.len().saturating_sub(PREFIX_LEN);
    match frame::deframe(reply, limit) {
        Ok(message) => {
            let len = u32::try_from(message.len()).expect("a prefix has 32 bits");
            let again = [&[0][..], &len.to_be_bytes(), message].concat();
            assert_eq!(again, reply);
            assert!(message.len() <= limit);
        }
        Err(error) => {
            assert!(error.offset as usize <= reply.len(), "{error:?}");
            let is_so = match error.kind {
                ErrorKind::ReplyCompressed => reply.starts_with(&[1]),
                ErrorKind::ReplyTooLarge => declared.is_some_and(|len| len > limit),
                ErrorKind::ReplyCount => {
                    reply.is_empty() || declared.is_some_and(|len| len <= limit && len < there)
                }
                ErrorKind::ReplyFrame => {
                    reply.first().is_some_and(|flag| *flag > 1)
                        || declared.is_none_or(|len| len > there)
                }
                _ => false,
            };
            assert!(is_so, "{error:?} at a limit of {limit}");
        }
    }
}

/// A message in its frame comes back; cut, followed by another, flagged or above the limit, it does not.
fn check_message(message: &[u8], cut: usize, limit: usize) {
    let mut out = b"before".to_vec();
    let at = frame::open(&mut out);
    out.extend_from_slice(message);
    frame::close(&mut out, at).expect("the message is short");
    let framed = out.strip_prefix(b"before").expect("what was there is kept");
    if message.len() > limit {
        assert_eq!(kind(framed, limit), Err(ErrorKind::ReplyTooLarge));
    }
    assert_eq!(kind(framed, message.len()), Ok(message));
    let (part, rest) = framed.split_at(cut.min(framed.len() - 1));
    let expected = if part.is_empty() {
        ErrorKind::ReplyCount
    } else {
        ErrorKind::ReplyFrame
    };
    assert_eq!(kind(part, usize::MAX), Err(expected));
    let followed = [framed, rest].concat();
    assert_eq!(kind(&followed, usize::MAX), Err(ErrorKind::ReplyCount));
    let twice = framed.repeat(2);
    assert_eq!(kind(&twice, usize::MAX), Err(ErrorKind::ReplyCount));
    let flag = u8::try_from(cut.clamp(1, 255)).expect("it was clamped");
    let flagged = [&[flag], framed.strip_prefix(&[0]).unwrap_or_default()].concat();
    let expected = if flag == 1 {
        ErrorKind::ReplyCompressed
    } else {
        ErrorKind::ReplyFrame
    };
    assert_eq!(kind(&flagged, usize::MAX), Err(expected));
}

fn kind(reply: &[u8], limit: usize) -> Result<&[u8], ErrorKind> {
    frame::deframe(reply, limit).map_err(|error| error.kind)
}

/// A timeout that is read is never written shorter, unless it is longer than any can be (SEMANTICS 133).
fn check_timeout(text: &[u8]) {
    let is_timeout = match text {
        [digits @ .., unit] => {
            (1..=8).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && b"HMSmun".contains(unit)
        }
        [] => false,
    };
    let Ok(read) = timeout::parse(text) else {
        assert!(!is_timeout, "{text:?} was refused");
        return;
    };
    assert!(is_timeout, "{text:?} was read as {read:?}");
    let mut out = Vec::new();
    timeout::write(read, &mut out);
    let again = timeout::parse(&out).expect("what is written can be read");
    // The next coarser unit is at most a thousand times, or sixty times, as long.
    assert!(
        again >= read && again <= read + read / 1000 + Duration::from_nanos(1),
        "{read:?}"
    );
    assert!(out.len() <= 9);
}
