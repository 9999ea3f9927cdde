//! Content codings: gzip, deflate, br, zstd. In: the text of a header, a body that is coded or is to be. Out: which coding, and the body
//! the other way round. Always: a body that is decoded grows to its limit and no further (SEMANTICS 76); without the feature `compression` there
//! is no coding at all.

#[cfg(feature = "compression")]
mod codecs;

use crate::error::{Error, ErrorKind};
use crate::http1::list_members;

/// A content coding of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The format of RFC 1952.
    Gzip,
    /// The format of RFC 1950, zlib; and RFC 1951, which some take it for.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with windows up to 8 MiB as RFC 9659 says.
    Zstd,
}

impl Coding {
    /// The coding of this name; none if it is unknown or left out of this build.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 5] = [
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
        ];
        if !cfg!(feature = "compression") {
            return None;
        }
        NAMES
            .into_iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, coding)| coding)
    }

    /// The name for `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"gzip",
            Self::Deflate => b"deflate",
            Self::Brotli => b"br",
            Self::Zstd => b"zstd",
        }
    }

    /// Appends the body that was coded to `out`, if it has at most `len_max` bytes.
    ///
    /// # Errors
    /// `BodyTooLarge`, or `BadContentCoding` where the bytes are not in this coding, end too early or go on behind its end.
    #[cfg(feature = "compression")]
    pub(crate) fn decode(
        self,
        coded: &[u8],
        len_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        codecs::decode(self, coded, len_max, out)
    }

    /// There is no coding to begin with.
    #[cfg(not(feature = "compression"))]
    #[expect(clippy::unused_self, reason = "the same face without the feature")]
    pub(crate) fn decode(self, _: &[u8], _: usize, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::request(ErrorKind::UnsupportedContentEncoding))
    }

    /// Appends the body in this coding, and says whether it did.
    #[cfg(feature = "compression")]
    pub(crate) fn encode(self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        codecs::encode(self, plain, out).is_ok()
    }

    /// There is no coding to begin with.
    #[cfg(not(feature = "compression"))]
    #[expect(clippy::unused_self, reason = "the same face without the feature")]
    pub(crate) fn encode(self, _: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }
}

/// The coding of a body by the value of `Content-Encoding`; none for `identity`.
///
/// # Errors
/// `UnsupportedContentEncoding` for an unknown coding, and for several: nobody sends them but who looks for trouble (SEMANTICS 76).
pub(crate) fn of_content(value: &[u8]) -> Result<Option<Coding>, Error> {
    let mut found = None;
    for name in list_members(value) {
        if name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        match Coding::of_name(name) {
            Some(coding) if found.is_none() => found = Some(coding),
            _ => return Err(Error::request(ErrorKind::UnsupportedContentEncoding)),
        }
    }
    Ok(found)
}

/// The coding that an `Accept-Encoding` wants most, of those that are offered, the best first (SEMANTICS 137). None if it would rather have
/// none.
pub(crate) fn accepted(value: &[u8], offered: &[Coding]) -> Option<Coding> {
    // RFC 9110 section 12.5.3: what is named has its own weight, `*` gives all others theirs, and identity is good unless it is said not to be.
    let weight = |coding: Coding| {
        weight_of(value, |name| Coding::of_name(name) == Some(coding))
            .or_else(|| weight_of(value, |name| name == b"*"))
            .unwrap_or(0)
    };
    let mut best = None;
    let mut best_weight = 0;
    for &coding in offered {
        let weight = weight(coding);
        if weight > best_weight {
            (best, best_weight) = (Some(coding), weight);
        }
    }
    let identity = weight_of(value, |name| name.eq_ignore_ascii_case(b"identity")).unwrap_or(0);
    best.filter(|_| best_weight >= identity)
}

/// The weight of the first member with such a name, in thousandths.
fn weight_of(value: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Option<u16> {
    weights(value).find_map(|(name, weight)| is_wanted(name).then_some(weight))
}

/// What is before the first semicolon of each member of a list, and its weight in thousandths (RFC 9110 section 12.4.2).
pub(crate) fn weights(value: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    list_members(value).map(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', digits @ ..] => Some(read_weight(digits)),
            _ => None,
        });
        (name, q.unwrap_or(1000))
    })
}

/// A weight of at most three decimals, in thousandths; what is none is 0, so that nobody gets what he may not want.
fn read_weight(text: &[u8]) -> u16 {
    let (whole, decimals) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return 0,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let digits = decimals.iter().chain(b"000").take(3);
    let thousandths = digits.fold(u16::from(whole - b'0'), |sum, digit| {
        sum * 10 + u16::from(digit - b'0')
    });
    if thousandths > 1000 { 0 } else { thousandths }
}

#[cfg(all(test, feature = "compression"))]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
