//! The choice of what speaks HTTP/2 with an upstream. In: a word. Out: a codec.
//! Always: calls cannot tell which one it is.

use std::fmt;
use std::str::FromStr;

/// What speaks HTTP/2 with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// The codec of our own, [`transom_engine::http2`].
    #[default]
    Transom,
    /// The h2 crate.
    H2,
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        match text {
            "h2" => Ok(Self::H2),
            "transom" => Ok(Self::Transom),
            _ => Err(UnknownCodec),
        }
    }
}

/// The text names no codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCodec;

impl fmt::Display for UnknownCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected h2 or transom")
    }
}

impl std::error::Error for UnknownCodec {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_is_read_from_its_name() {
        assert_eq!("h2".parse(), Ok(Codec::H2));
        assert_eq!("transom".parse(), Ok(Codec::Transom));
        assert_eq!("H2".parse::<Codec>(), Err(UnknownCodec));
    }
}
