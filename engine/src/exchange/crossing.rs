//! Metadata of a reply on its way to the client. In: names and values of headers and trailers. Out: headers and trailers of the
//! response, and what the upstream asks of the answer. Always: what crosses, and under which name, is decided by `grpc::metadata`
//! (SEMANTICS 131, 132).
#![expect(
    single_use_lifetimes,
    reason = "anonymous lifetimes in impl Trait are unstable"
)]

use super::Manners;
use crate::grpc::metadata::{self, Decision, Name};
use crate::http1::{PendingHead, PendingTrailers};

/// The metadata by which an upstream chooses the HTTP status (SEMANTICS 135).
const STATUS_NAME: &[u8] = b"x-http-code";

/// A name and its value.
pub(super) type Pair<'r> = (&'r [u8], &'r [u8]);

/// The metadata of a reply that failed. Failures are rare, so it may be collected.
#[derive(Debug, Default)]
pub(super) struct Metadata<'r> {
    pub(super) headers: Vec<Pair<'r>>,
    pub(super) trailers: Vec<Pair<'r>>,
}

impl<'r> Metadata<'r> {
    /// All of it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair<'r>> {
        self.headers.iter().chain(&self.trailers).copied()
    }

    /// The values of one name, which is in lower case.
    pub(super) fn values(&self, name: &[u8]) -> impl Iterator<Item = &'r [u8]> {
        self.pairs()
            .filter(move |(each, _)| *each == name)
            .map(|(_, value)| value)
    }
}

impl Manners {
    /// Appends the headers that these become.
    pub(super) fn write_headers<'r>(
        &self,
        pairs: impl Iterator<Item = Pair<'r>>,
        name_text: &mut Vec<u8>,
        head: &mut PendingHead,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in pairs {
            if self.keeps(name) {
                continue;
            }
            if let Decision::Pass(name) = metadata::response_header(self.headers, name, value) {
                name_text.clear();
                name.write(name_text);
                head.header(out, name_text, value);
            }
        }
    }

    /// Appends the names of the trailers that these are going to become.
    pub(super) fn announce_trailers<'r>(
        &self,
        pairs: impl Iterator<Item = Pair<'r>>,
        name_text: &mut Vec<u8>,
        head: &mut PendingHead,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in pairs {
            if let Some(name) = self.trailer_name(name, value) {
                name_text.clear();
                name.write(name_text);
                head.announce_trailer(out, name_text);
            }
        }
    }

    /// Appends the trailers that these become.
    pub(super) fn write_trailers<'r>(
        &self,
        pairs: impl Iterator<Item = Pair<'r>>,
        name_text: &mut Vec<u8>,
        trailers: &mut PendingTrailers,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in pairs {
            if let Some(name) = self.trailer_name(name, value) {
                name_text.clear();
                name.write(name_text);
                trailers.trailer(out, name_text, value);
            }
        }
    }

    /// The name under which a trailer crosses, if it does.
    pub(super) fn trailer_name<'r>(&self, name: &'r [u8], value: &[u8]) -> Option<Name<'r>> {
        match metadata::response_trailer(self.headers, name, value) {
            Decision::Pass(crossing) if !self.keeps(name) => Some(crossing),
            _ => None,
        }
    }

    /// Whether a name of metadata speaks to this gateway, and goes no further.
    fn keeps(&self, name: &[u8]) -> bool {
        // SEMANTICS 138: two answers to who may read it would be none.
        (self.status_from_upstream && name == STATUS_NAME)
            || (self.cors.is_some() && name.starts_with(b"access-control-"))
    }

    /// The HTTP status that the upstream asks for, if it may: three digits (SEMANTICS 135). What is no final status is no wish.
    pub(super) fn chosen_status<'r>(
        &self,
        mut pairs: impl Iterator<Item = Pair<'r>>,
    ) -> Option<u16> {
        if !self.status_from_upstream {
            return None;
        }
        let (_, value) = pairs.find(|(name, _)| *name == STATUS_NAME)?;
        let [
            hundreds @ b'2'..=b'5',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
        ] = *value
        else {
            return None;
        };
        Some(
            [hundreds, tens, ones]
                .iter()
                .fold(0, |status, digit| status * 10 + u16::from(digit - b'0')),
        )
    }
}
