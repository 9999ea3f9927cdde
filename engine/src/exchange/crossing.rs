//! Headers on their way to the upstream, metadata of a reply on its way to the client. In: names and values of headers and trailers. Out: headers and trailers of the
//! response, and what the upstream asks of the answer. Always: what crosses, and under which name, is decided by `grpc::metadata`
//! (SEMANTICS 131, 132).
#![expect(
    single_use_lifetimes,
    reason = "anonymous lifetimes in impl Trait are unstable"
)]

use super::Manners;
use crate::grpc::metadata::{self, Decision, Name};
use crate::http1::{PendingHead, PendingTrailers, essence, list_members};

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
    /// What becomes of a header of a request (SEMANTICS 129).
    pub(super) fn request_decision<'h>(&'h self, name: &'h [u8], value: &[u8]) -> Decision<'h> {
        match &self.request_headers {
            None => metadata::request_metadata(self.headers, name, value),
            Some(lists) => lists.request_metadata(self.headers, name, value),
        }
    }

    /// Appends the headers that these become. With memory for it, an `etag` is made a weak one.
    pub(super) fn write_headers<'r>(
        &self,
        pairs: impl Iterator<Item = Pair<'r>>,
        name_text: &mut Vec<u8>,
        mut weak_tag: Option<&mut Vec<u8>>,
        head: &mut PendingHead,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in pairs {
            if let Some(name) = self.header_name(name, value) {
                name_text.clear();
                name.write(name_text);
                match &mut weak_tag {
                    Some(tag) if name_text == b"etag" && value.starts_with(b"\"") => {
                        tag.clear();
                        tag.extend_from_slice(b"W/");
                        tag.extend_from_slice(value);
                        head.header(out, name_text, tag);
                    }
                    _ => {
                        head.header(out, name_text, value);
                    }
                }
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

    /// The name under which a header crosses, if it does.
    fn header_name<'r>(&'r self, name: &'r [u8], value: &[u8]) -> Option<Name<'r>> {
        let by_rule = metadata::response_header(self.headers, name, value);
        self.crossing_name(name, value, by_rule)
    }

    /// The name under which a trailer crosses, if it does.
    pub(super) fn trailer_name<'r>(&'r self, name: &'r [u8], value: &[u8]) -> Option<Name<'r>> {
        let by_rule = metadata::response_trailer(self.headers, name, value);
        self.crossing_name(name, value, by_rule)
    }

    fn crossing_name<'r>(
        &'r self,
        name: &'r [u8],
        value: &[u8],
        by_rule: Decision<'r>,
    ) -> Option<Name<'r>> {
        let decision = match &self.response_headers {
            None => by_rule,
            Some(lists) => lists.response_field(self.headers, name, value, by_rule),
        };
        match decision {
            // What it speaks to may be told by its new name too.
            Decision::Pass(crossing) if !self.keeps(name) && !self.keeps(crossing.rest()) => {
                Some(crossing)
            }
            _ => None,
        }
    }

    /// Whether a reply of this type and status is compressed for who wants it, however long it is (SEMANTICS 137).
    pub(super) fn may_code<'r, H: Iterator<Item = Pair<'r>>>(
        &self,
        content_type: &[u8],
        status: u16,
        headers: &impl Fn() -> H,
    ) -> bool {
        let Some(compression) = &self.compression else {
            return false;
        };
        let essence = essence(content_type);
        let has_type = |each: &String| essence.eq_ignore_ascii_case(each.as_bytes());
        // RFC 9111 section 5.2.2.6: the upstream may want its bytes as they are.
        let forbids = |(name, value): Pair<'_>| {
            name == b"cache-control"
                && list_members(value).any(|each| each.eq_ignore_ascii_case(b"no-transform"))
        };
        cfg!(feature = "compression")
            && !matches!(status, 204 | 205 | 304)
            && compression.content_types.iter().any(has_type)
            && !headers().any(forbids)
    }

    /// Whether this is long enough to be compressed.
    pub(super) fn is_worth_coding(&self, body: &[u8]) -> bool {
        self.compression
            .as_ref()
            .is_some_and(|compression| body.len() >= compression.len_min)
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
