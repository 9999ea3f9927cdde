//! How a call ended: `grpc-status` and its companions, or what stands in for them when an upstream leaves them out.
//! In: names and values of an upstream's headers and trailers, and its HTTP status. Out: nothing for OK, else a [`Status`].
//! Always: OK allocates nothing and is said only where the upstream said so; text is cut to a limit and valid UTF-8.

use super::Code;
use crate::limits::STATUS_MESSAGE_LEN_MAX;
use crate::text::{base64, hex};

/// The status of a call that failed: the upstream's, read from its trailers by
/// [`Call::write_reply`](crate::exchange::Call::write_reply), or one that the gateway makes where no reply came, for
/// [`Transcoder::write_status`](crate::exchange::Transcoder::write_status).
///
/// # Examples
/// ```
/// use transom_engine::grpc::{Code, Status};
///
/// let status = Status::new(Code::Unavailable, "no connection to the upstream");
/// assert_eq!((status.code, status.http_status()), (14, 503));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code, not 0. Numbers above 16 are kept (SEMANTICS 109).
    pub code: u32,
    /// The message, decoded. May hold any character, so it must never go into a header as it is.
    pub message: String,
    /// The bytes of a `google.rpc.Status`, or nothing. They are the upstream's: code and message in there do not count (SEMANTICS 116).
    pub details: Vec<u8>,
}

/// What the first headers of a reply say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyHeaders {
    /// Messages and trailers follow.
    Follow,
    /// The call has ended with OK, and there is no message.
    EndedOk,
}

/// The values of the headers that carry a status.
#[derive(Clone, Copy, Debug, Default)]
struct StatusValues<'h> {
    code: Option<&'h [u8]>,
    message: Option<&'h [u8]>,
    details: Option<&'h [u8]>,
}

impl Status {
    /// A status that the gateway makes itself, without details. `code` should not be [`Code::Ok`]: that would be answered as 200.
    #[cold]
    pub fn new(code: Code, message: &str) -> Self {
        Self {
            code: code.number(),
            message: message.to_owned(),
            details: Vec::new(),
        }
    }

    /// The status for a stream that was reset with this HTTP/2 error code (SEMANTICS 110).
    #[cold]
    pub fn from_reset(reason: u32) -> Self {
        Self::new(
            Code::from_reset(reason),
            &format!("upstream reset the stream with HTTP/2 error {reason}"),
        )
    }

    /// The HTTP status (SEMANTICS 109).
    pub const fn http_status(&self) -> u16 {
        Code::http_status_of(self.code)
    }
}

/// Reads the first headers of a reply. `ends_stream` when nothing follows them (Trailers-Only). Names are in lower case, as HTTP/2
/// has them.
///
/// # Errors
/// The status of the call, if it is known already and is not OK.
pub(crate) fn read_headers<'h>(
    http_status: u16,
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    ends_stream: bool,
) -> Result<ReplyHeaders, Status> {
    let mut values = StatusValues::default();
    let mut is_grpc = false;
    for (name, value) in headers {
        if name == b"content-type" {
            is_grpc = is_grpc_type(value);
        }
        values.add(name, value);
    }
    let is_reply = http_status == 200 && is_grpc;
    // Where trailers are going to follow, theirs is the status that counts (THREATS F5).
    if is_reply && !ends_stream {
        return Ok(ReplyHeaders::Follow);
    }
    // SEMANTICS 110: the HTTP status counts only where there is no grpc-status.
    if values.code.is_some() {
        return values.status().map(|()| ReplyHeaders::EndedOk);
    }
    Err(if http_status != 200 {
        Status::new(
            Code::from_http_status(http_status),
            &format!("upstream answered with HTTP status {http_status}"),
        )
    } else if is_grpc {
        missing_status()
    } else {
        Status::new(
            Code::Unknown,
            "upstream answered with a content type that is not application/grpc",
        )
    })
}

/// Reads the trailers of a reply; none at all is an empty list. Names are in lower case.
///
/// # Errors
/// The status of the call, unless it is OK.
pub(crate) fn read_trailers<'h>(
    trailers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<(), Status> {
    let mut values = StatusValues::default();
    for (name, value) in trailers {
        values.add(name, value);
    }
    values.status()
}

impl<'h> StatusValues<'h> {
    /// Takes in one header. The first of several counts, as most clients of gRPC have it.
    fn add(&mut self, name: &[u8], value: &'h [u8]) {
        let slot = match name {
            b"grpc-status" => &mut self.code,
            b"grpc-message" => &mut self.message,
            b"grpc-status-details-bin" => &mut self.details,
            _ => return,
        };
        slot.get_or_insert(value);
    }

    fn status(&self) -> Result<(), Status> {
        match self.code {
            Some(b"0") => Ok(()),
            Some(code) => Err(self.failure(code)),
            None => Err(missing_status()),
        }
    }

    #[cold]
    fn failure(&self, code: &[u8]) -> Status {
        let message = decode_message(self.message.unwrap_or_default());
        let Some(number) = read_code(code) else {
            // THREATS F5: never OK. grpc-go, tonic and gRPC C call it UNKNOWN too.
            return Status {
                message: if message.is_empty() {
                    "upstream sent a grpc-status that is not a code".to_owned()
                } else {
                    message
                },
                ..Status::new(Code::Unknown, "")
            };
        };
        let mut details = Vec::new();
        // SEMANTICS 116: padded or not; garbage, and several joined by commas, are no details.
        if !base64::decode(self.details.unwrap_or_default(), &mut details) {
            details.clear();
        }
        Status {
            code: number,
            message,
            details,
        }
    }
}

/// A 200 without grpc-status (SEMANTICS 110).
#[cold]
fn missing_status() -> Status {
    Status::new(
        Code::Internal,
        "upstream ended the reply without grpc-status",
    )
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc;...`, but not `application/grpc-web`.
pub fn is_grpc_type(value: &[u8]) -> bool {
    let Some((start, rest)) = value.split_at_checked(b"application/grpc".len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Reads a code other than `0`: digits without a sign or a leading zero, that fit 31 bits, as the field in `google.rpc.Status` has.
fn read_code(text: &[u8]) -> Option<u32> {
    if text.len() > 10 || matches!(text, [] | [b'0', ..]) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text
        .iter()
        .fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    i32::try_from(number).ok().map(i32::cast_unsigned)
}

/// Percent-decodes a `grpc-message` leniently: bad escapes stay, bytes that are no UTF-8 become U+FFFD, and it is cut at the limit
/// (SEMANTICS 116, THREATS F7).
fn decode_message(text: &[u8]) -> String {
    // A character that is cut in two begins behind the limit then, and goes with the rest.
    let decoded_len_max = STATUS_MESSAGE_LEN_MAX + 4;
    let mut decoded = Vec::with_capacity(text.len().min(decoded_len_max));
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first()
        && decoded.len() < decoded_len_max
    {
        let escaped = match rest {
            [b'%', high, low, ..] => hex::byte(*high, *low),
            _ => None,
        };
        if let Some(byte) = escaped {
            decoded.push(byte);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    let mut message = String::from_utf8_lossy(&decoded).into_owned();
    message.truncate(message.floor_char_boundary(STATUS_MESSAGE_LEN_MAX));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'h>(headers: &'h [(&'h str, &'h str)]) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    fn trailers(headers: &[(&str, &str)]) -> Result<(), Status> {
        read_trailers(pairs(headers))
    }

    fn headers(status: u16, headers: &[(&str, &str)], ends: bool) -> Result<ReplyHeaders, u32> {
        read_headers(status, pairs(headers), ends).map_err(|status| status.code)
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

    #[test]
    fn only_a_plain_zero_is_ok() {
        assert_eq!(
            trailers(&[("x", "y"), ("grpc-status", "0"), ("grpc-message", "z")]),
            Ok(())
        );
        for (text, code) in [
            ("00", 2),
            ("", 2),
            ("x", 2),
            ("-1", 2),
            ("+0", 2),
            ("0 ", 2),
            ("05", 2),
            ("4294967296", 2),
            ("2147483648", 2),
            ("2147483647", 2147483647),
            ("17", 17),
            ("5", 5),
        ] {
            let status = trailers(&[("grpc-status", text)]).unwrap_err();
            assert_eq!(status.code, code, "{text}");
            assert_ne!(status.http_status(), 200, "{text}");
        }
    }

    #[test]
    fn missing_trailers_are_internal() {
        assert_eq!(trailers(&[]).unwrap_err().code, 13);
        assert_eq!(trailers(&[("grpc-message", "hi")]).unwrap_err().code, 13);
    }

    #[test]
    fn a_bad_code_keeps_the_message() {
        let status = trailers(&[("grpc-status", "x"), ("grpc-message", "why")]).unwrap_err();
        assert_eq!(status.message, "why");
    }

    #[test]
    fn headers_of_a_grpc_reply_wait_for_trailers() {
        assert_eq!(headers(200, &[GRPC], false), Ok(ReplyHeaders::Follow));
        assert_eq!(
            headers(200, &[GRPC, ("grpc-status", "5")], false),
            Ok(ReplyHeaders::Follow)
        );
    }

    #[test]
    fn trailers_only_is_honoured() {
        assert_eq!(headers(200, &[GRPC, ("grpc-status", "5")], true), Err(5));
        assert_eq!(
            headers(200, &[GRPC, ("grpc-status", "0")], true),
            Ok(ReplyHeaders::EndedOk)
        );
        assert_eq!(headers(200, &[GRPC], true), Err(13));
    }

    #[test]
    fn replies_that_are_not_grpc_get_a_code_from_their_status() {
        let html = ("content-type", "text/html");
        assert_eq!(headers(200, &[html], false), Err(2));
        assert_eq!(headers(200, &[], false), Err(2));
        assert_eq!(
            headers(200, &[("content-type", "application/grpc-web")], false),
            Err(2)
        );
        assert_eq!(headers(302, &[html], false), Err(2));
        assert_eq!(headers(404, &[html], false), Err(12));
        assert_eq!(headers(503, &[GRPC], false), Err(14));
        assert_eq!(headers(503, &[("grpc-status", "7")], true), Err(7));
    }

    #[test]
    fn messages_are_decoded_leniently() {
        for (text, message) in [
            ("plain", "plain"),
            ("caf%C3%A9%20%0d%0A", "caf\u{e9} \r\n"),
            ("100% %zz %4", "100% %zz %4"),
            ("%ff", "\u{fffd}"),
            ("%", "%"),
        ] {
            assert_eq!(decode_message(text.as_bytes()), message);
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let limit = STATUS_MESSAGE_LEN_MAX;
        assert_eq!(decode_message(&b"a".repeat(limit * 8)).len(), limit);
        let text = decode_message("\u{20ac}".repeat(limit).as_bytes());
        assert_eq!(text.len(), limit / 3 * 3);
        assert!(text.chars().all(|c| c == '\u{20ac}'));
        // Each bad byte becomes three.
        assert_eq!(decode_message(&b"%ff".repeat(limit)).len(), limit / 3 * 3);
    }

    #[test]
    fn details_are_decoded_and_garbage_is_none() {
        let details = |text| {
            trailers(&[("grpc-status", "3"), ("grpc-status-details-bin", text)])
                .unwrap_err()
                .details
        };
        assert_eq!(details("CAMSAmhp"), b"\x08\x03\x12\x02hi");
        assert_eq!(details("CAM="), b"\x08\x03");
        assert_eq!(details("CAM"), b"\x08\x03");
        assert_eq!(details("CAM=,CAM="), b"");
        assert_eq!(details("!!"), b"");
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics_or_is_too_long(text: Vec<u8>, times in 1..4000usize) {
            let text = text.repeat(times);
            proptest::prop_assert!(decode_message(&text).len() <= STATUS_MESSAGE_LEN_MAX);
        }
    }
}
