//! The key `limits`: how long messages and streams may be. In: a map of the file. Out: [`SizeLimits`]. Always: a size is a number of bytes or one with
//! a unit of 1024, never one that could mean two things; what contradicts itself is told by `transom check`.

use std::fmt;

use transom_engine::exchange::{SizeLimits, StreamLimits};
use transom_engine::limits::MESSAGE_LEN_MAX;

use super::answers::Answers;
use super::maps::{self, Key};
use super::yaml::{Node, Wrong};

/// The name of the key.
pub(super) const KEY: &str = "limits";

const REQUEST_MESSAGE: &str = "request_message";
const RESPONSE_MESSAGE: &str = "response_message";
const REQUEST_STREAM: &str = "request_stream";
const RESPONSE_STREAM: &str = "response_stream";
const REQUEST_STREAM_MESSAGES: &str = "request_stream_messages";
const RESPONSE_STREAM_MESSAGES: &str = "response_stream_messages";

const KEYS: &[Key<SizeLimits>] = &[
    (REQUEST_MESSAGE, |node, to| {
        message_len(node).map(|len| to.request_len_max = len)
    }),
    (RESPONSE_MESSAGE, |node, to| {
        message_len(node).map(|len| to.response_len_max = len)
    }),
    (REQUEST_STREAM, |node, to| {
        stream_len(node).map(|len| to.request_stream.len_max = len)
    }),
    (RESPONSE_STREAM, |node, to| {
        stream_len(node).map(|len| to.response_stream.len_max = len)
    }),
    (REQUEST_STREAM_MESSAGES, |node, to| {
        count(node).map(|count| to.request_stream.count_max = count)
    }),
    (RESPONSE_STREAM_MESSAGES, |node, to| {
        count(node).map(|count| to.response_stream.count_max = count)
    }),
];

/// Units of 1024: those of 1000 are too easily taken for them.
const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

/// `limits` (SEMANTICS 73).
pub(super) fn limits(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let mut sizes = SizeLimits::default();
    maps::read(node, KEYS, &mut sizes)?;
    answers.manners.sizes = sizes;
    Ok(())
}

/// A limit that another one makes pointless: its key, and why.
pub(super) fn pointless(sizes: &SizeLimits, streams: StreamedWays) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let sides = [
        (
            sizes.request_stream,
            streams.requests,
            sizes.request_len_max,
            [REQUEST_STREAM, REQUEST_STREAM_MESSAGES, REQUEST_MESSAGE],
            "no method streams its requests",
        ),
        (
            sizes.response_stream,
            streams.replies,
            sizes.response_len_max,
            [RESPONSE_STREAM, RESPONSE_STREAM_MESSAGES, RESPONSE_MESSAGE],
            "no method streams its replies",
        ),
    ];
    for (stream, is_there, message_len_max, [len_key, count_key, message_key], unused) in sides {
        let StreamLimits { len_max, count_max } = stream;
        if len_max != u64::MAX && !is_there {
            found.push((len_key, unused.to_owned()));
        } else if len_max < message_len_max as u64 {
            let text = format!(
                "{} is less than one message may have by {message_key} ({})",
                Size(len_max),
                Size(message_len_max as u64)
            );
            found.push((len_key, text));
        }
        if count_max != u64::MAX && !is_there {
            found.push((count_key, unused.to_owned()));
        }
    }
    found
}

/// Which directions of the methods of a schema stream at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamedWays {
    pub(super) requests: bool,
    pub(super) replies: bool,
}

/// The length of a message.
fn message_len(node: &Node) -> Result<usize, Wrong> {
    let expected = format!(
        "1 to {MESSAGE_LEN_MAX} bytes, or KiB or MiB as in 32MiB, up to {}",
        Size(MESSAGE_LEN_MAX as u64)
    );
    let len = parse(node.scalar(&expected)?).and_then(|len| usize::try_from(len).ok());
    len.filter(|len| (1..=MESSAGE_LEN_MAX).contains(len))
        .ok_or_else(|| node.wrong(expected))
}

/// The length of a stream, or `none`.
fn stream_len(node: &Node) -> Result<u64, Wrong> {
    const EXPECTED: &str = "a number of bytes from 1 on, KiB, MiB or GiB as in 10GiB, or none";
    match node.scalar(EXPECTED)? {
        "none" => Ok(u64::MAX),
        text => parse(text)
            .filter(|len| *len > 0)
            .ok_or_else(|| node.wrong(EXPECTED)),
    }
}

/// A number of messages, or `none`.
fn count(node: &Node) -> Result<u64, Wrong> {
    const EXPECTED: &str = "a number of messages from 1 on, or none";
    match node.scalar(EXPECTED)? {
        "none" => Ok(u64::MAX),
        text => digits(text)
            .filter(|count| *count > 0)
            .ok_or_else(|| node.wrong(EXPECTED)),
    }
}

/// `33554432`, `32MiB`
fn parse(text: &str) -> Option<u64> {
    let unit = |(name, shift): (&str, u32)| Some((text.strip_suffix(name)?, shift));
    let (number, shift) = UNITS.into_iter().find_map(unit).unwrap_or((text, 0));
    digits(number)?.checked_mul(1 << shift)
}

/// A number without a sign, and not `u64::MAX`, which stands for none.
fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|len| is_plain && *len < u64::MAX)
}

/// Bytes in the largest unit that they are a whole number of.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &(&str, u32)| self.0 > 0 && self.0.trailing_zeros() >= *shift;
        match UNITS.into_iter().rev().find(fits) {
            Some((name, shift)) => write!(formatter, "{}{name}", self.0 >> shift),
            None => write!(formatter, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit_of_1024() {
        for (text, expected) in [
            ("1", Some(1)),
            ("4194304", Some(4 << 20)),
            ("64KiB", Some(64 << 10)),
            ("32MiB", Some(32 << 20)),
            ("3GiB", Some(3 << 30)),
            ("32MB", None),
            ("32 MiB", None),
            ("32mib", None),
            ("+1", None),
            ("-1", None),
            ("1.5MiB", None),
            ("MiB", None),
            ("", None),
            ("18446744073709551615", None),
            ("18446744073709551615GiB", None),
            ("17179869184GiB", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_told_in_the_unit_they_fit() {
        for (len, text) in [
            (1, "1 bytes"),
            (1 << 10, "1KiB"),
            (3 << 19, "1536KiB"),
            (4 << 20, "4MiB"),
            (1 << 40, "1024GiB"),
        ] {
            assert_eq!(Size(len).to_string(), text);
        }
    }
}
