//! How long messages and streams may be. In: what the caller sets. Out: the same, within the hard maximum. Always: a length is compared before what it
//! bounds is kept; the default of a message is that of gRPC itself, and streams have none.

use crate::limits::{BODY_LEN_MAX, MESSAGE_LEN_MAX};

/// How long messages and streams may be (SEMANTICS 73).
///
/// # Examples
/// ```
/// use transom_engine::exchange::{Manners, SizeLimits};
///
/// let sizes = SizeLimits { request_len_max: 32 << 20, ..SizeLimits::default() };
/// let manners = Manners { sizes, ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Bytes of the body of a request, as it comes and as it is decoded, or of one message in the body of a stream. At most
    /// [`MESSAGE_LEN_MAX`].
    pub request_len_max: usize,
    /// Bytes of a message of a reply. At most [`MESSAGE_LEN_MAX`].
    pub response_len_max: usize,
    /// The requests of a method that streams them.
    pub request_stream: StreamLimits,
    /// The replies of a method that streams them.
    pub response_stream: StreamLimits,
}

/// How long one stream may be, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes: of requests, those of the body without its framing; of replies, those of the messages without their prefixes.
    pub len_max: u64,
    /// Messages. Raw bytes of a request (SEMANTICS 71) are not counted so, since nobody but us cuts them into messages.
    pub count_max: u64,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            request_len_max: BODY_LEN_MAX,
            response_len_max: BODY_LEN_MAX,
            request_stream: StreamLimits::NONE,
            response_stream: StreamLimits::NONE,
        }
    }
}

impl StreamLimits {
    /// As long as it likes.
    pub const NONE: Self = Self {
        len_max: u64::MAX,
        count_max: u64::MAX,
    };
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self::NONE
    }
}

impl SizeLimits {
    /// The same, with messages no longer than the rest of the engine can do with.
    pub(super) fn bounded(self) -> Self {
        Self {
            request_len_max: self.request_len_max.min(MESSAGE_LEN_MAX),
            response_len_max: self.response_len_max.min(MESSAGE_LEN_MAX),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_never_longer_than_the_hard_maximum() {
        let wanted = SizeLimits {
            request_len_max: usize::MAX,
            response_len_max: MESSAGE_LEN_MAX + 1,
            ..SizeLimits::default()
        };
        let bounded = wanted.bounded();
        assert_eq!(bounded.request_len_max, MESSAGE_LEN_MAX);
        assert_eq!(bounded.response_len_max, MESSAGE_LEN_MAX);
        assert_eq!(SizeLimits::default().bounded(), SizeLimits::default());
    }
}
