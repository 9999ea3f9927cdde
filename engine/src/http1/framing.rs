//! How long a request body is, decided by the strict reading of RFC 9112 section 6.
//! In: the values of the headers that frame a message. Out: a [`BodyFraming`]. Always: whatever a second server in front of or
//! behind us could read otherwise is an error, after which the connection cannot be used any more.

use crate::error::{Error, ErrorKind};

/// The version a request line names. Responses are always HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// No chunks, and closed after the answer unless asked otherwise.
    Http10,
    /// Kept open after the answer unless asked otherwise.
    #[default]
    Http11,
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    #[default]
    None,
    /// It is this many bytes. Not checked against a limit on bodies: that limit is the caller's.
    Length(u64),
    /// It comes in chunks, see [`ChunkedBody`](super::ChunkedBody).
    Chunked,
}

/// What the framing headers seen so far say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingHeaders {
    content_length: Option<u64>,
    has_transfer_encoding: bool,
}

impl FramingHeaders {
    /// Takes in one Content-Length header.
    pub(super) fn add_content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        // RFC 9112 section 6.3 lets a recipient fold equal values; who sends two has two opinions, so a second one is refused.
        if self.content_length.is_some() {
            return Err(Error::request(ErrorKind::BadContentLength));
        }
        self.content_length =
            Some(read_content_length(value).ok_or(Error::request(ErrorKind::BadContentLength))?);
        Ok(())
    }

    /// Takes in one Transfer-Encoding header.
    pub(super) fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        // No coding but `chunked`, once, is implemented; a list that ends in it could be read as no list at all.
        if self.has_transfer_encoding || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Error::request(ErrorKind::BadTransferEncoding));
        }
        self.has_transfer_encoding = true;
        Ok(())
    }

    /// The framing, once every header was seen.
    pub(super) fn decide(self, version: Version) -> Result<BodyFraming, Error> {
        match (self.content_length, self.has_transfer_encoding) {
            (None, false) => Ok(BodyFraming::None),
            (Some(len), false) => Ok(BodyFraming::Length(len)),
            // SEMANTICS 75: both headers at once are a smuggling attempt. So is a chunked HTTP/1.0 request (RFC 9112 section 6.1).
            (None, true) if version == Version::Http11 => Ok(BodyFraming::Chunked),
            (_, true) => Err(Error::request(ErrorKind::BadTransferEncoding)),
        }
    }
}

/// Reads `1*DIGIT` that fits 64 bits: no sign, list, white space, hexadecimal or fraction.
fn read_content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |len, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        len.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_digits_that_fit_64_bits() {
        assert_eq!(read_content_length(b"0"), Some(0));
        assert_eq!(read_content_length(b"0005"), Some(5));
        assert_eq!(read_content_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "+5",
            "-1",
            "0x5",
            "5;0",
            "5.0",
            "5e0",
            "\"\"",
            "5, 5",
            "5 5",
            "\u{b2}",
            "18446744073709551616",
            "18446744073709551621",
        ] {
            assert_eq!(read_content_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn chunks_need_version_1_1_and_no_length() {
        let mut framing = FramingHeaders::default();
        framing.add_transfer_encoding(b"Chunked").unwrap();
        assert_eq!(framing.decide(Version::Http11), Ok(BodyFraming::Chunked));
        let refused = Err(Error::request(ErrorKind::BadTransferEncoding));
        assert_eq!(framing.decide(Version::Http10), refused);
        framing.add_content_length(b"0").unwrap();
        assert_eq!(framing.decide(Version::Http11), refused);
    }
}
