//! Finds the end of a string. In: bytes. Out: how many of them need no look. Always: plain code that any processor runs;
//! faster twins go beside it.

/// What [`clean_len`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clean {
    /// Bytes before the first quote, backslash or control character, or all there are.
    pub(super) len: usize,
    /// Whether one of them, or of a few behind them, is not ASCII.
    pub(super) has_high_bit: bool,
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Counts the bytes before the first quote, backslash or control character.
#[inline]
pub(super) fn clean_len(bytes: &[u8]) -> Clean {
    let mut clean = Clean {
        len: 0,
        has_high_bit: false,
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut high_bits = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let stops = stops(word);
        high_bits |= word & HIGH_BITS;
        if stops != 0 {
            clean.len += (stops.trailing_zeros() / 8) as usize;
            clean.has_high_bit = high_bits != 0;
            return clean;
        }
        clean.len += 8;
    }
    clean.has_high_bit = high_bits != 0;
    if let Some(last) = bytes.last_chunk::<8>()
        && let rest_len @ 1.. = rest.len()
    {
        // The bytes of the last word that have been looked at give way to zeros behind it, which stop like any control character.
        let word = u64::from_le_bytes(*last) >> (64 - 8 * rest_len);
        clean.has_high_bit |= word & HIGH_BITS != 0;
        clean.len += (stops(word).trailing_zeros() / 8) as usize;
        return clean;
    }
    for &byte in rest {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        clean.has_high_bit |= byte >= 0x80;
        clean.len += 1;
    }
    clean
}

/// The high bit of each byte of `word` that is a quote, a backslash or a control character. Bytes above the lowest such byte may be
/// marked by mistake, since a borrow runs upwards; none is missed.
#[inline]
pub(super) const fn stops(word: u64) -> u64 {
    // Quote and space change places, so that the quote and the control characters are what lies below 0x21.
    let below_space = (word ^ (LOW_BITS * 0x02)).wrapping_sub(LOW_BITS * 0x21);
    let backslash = (word ^ (LOW_BITS * b'\\' as u64)).wrapping_sub(LOW_BITS);
    (below_space | backslash) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_len(bytes: &[u8]) -> usize {
        bytes
            .iter()
            .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
            .unwrap_or(bytes.len())
    }

    #[test]
    fn every_byte_at_every_place_is_judged_alike() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'a'; 20];
                *bytes.get_mut(at).unwrap() = byte;
                assert_eq!(
                    clean_len(&bytes).len,
                    plain_len(&bytes),
                    "byte {byte} at {at}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_look_at_each_byte(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let clean = clean_len(&bytes);
            prop_assert_eq!(clean.len, plain_len(&bytes));
            if bytes.iter().take(clean.len).any(|byte| *byte >= 0x80) {
                prop_assert!(clean.has_high_bit);
            }
        }
    }
}
