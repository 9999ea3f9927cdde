//! The Huffman code of HPACK (RFC 7541 appendix B). In: a coded string. Out: its bytes, appended. Always: at most 8/5 as many bytes as came;
//! padding is what the RFC says, and nothing else.
//!
//! The code is canonical: codes of one length follow each other in the order of their bytes, and those of the next length follow them. So its
//! lengths are all there is to it, and the tables are made of them when this is compiled.

use crate::http2::Fault;

/// Bits of each byte's code; the last is the end of the string, which no string may hold.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Index of the end of the string.
const END: u16 = 256;

/// Bits of the longest code that one look finds. All that headers are mostly made of is within: letters, digits, `-`, `.`, `/`.
const SHORT_LEN: u32 = 8;

const LONGEST: u32 = 30;

/// What the next eight bits are.
#[derive(Clone, Copy)]
struct Short {
    symbol: u8,
    /// Zero if the code is longer.
    len: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    /// The first of them in the upper bits of 32.
    first: u32,
    /// What is above the last of them, likewise. So 2^32 is one more than `u32` has.
    end: u64,
    /// Where their symbols begin in `SORTED`.
    start: usize,
}

const TABLES: ([u16; 257], [Codes; LONGEST as usize + 1], [Short; 256]) = make_tables();
/// All symbols by the length of their code, then by value.
static SORTED: [u16; 257] = TABLES.0;
/// The codes by their length.
static CODES: [Codes; LONGEST as usize + 1] = TABLES.1;
static SHORT: [Short; 256] = TABLES.2;

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs when this is compiled, which an index out of bounds would stop"
)]
const fn make_tables() -> ([u16; 257], [Codes; LONGEST as usize + 1], [Short; 256]) {
    let none = Codes {
        first: 0,
        end: 0,
        start: 0,
    };
    let mut sorted = [0; 257];
    let mut codes = [none; LONGEST as usize + 1];
    let mut short = [Short { symbol: 0, len: 0 }; 256];
    let mut sorted_count = 0;
    // In the upper bits of 32.
    let mut next: u64 = 0;
    let mut len = 1;
    while len <= LONGEST {
        codes[len as usize].first = next as u32;
        codes[len as usize].start = sorted_count;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as u32 == len {
                sorted[sorted_count] = symbol as u16;
                sorted_count += 1;
                if len <= SHORT_LEN {
                    let mut index = (next >> 24) as usize;
                    let end = index + (1 << (SHORT_LEN - len));
                    while index < end {
                        short[index] = Short {
                            symbol: symbol as u8,
                            len: len as u8,
                        };
                        index += 1;
                    }
                }
                next += 1 << (32 - len);
            }
            symbol += 1;
        }
        codes[len as usize].end = next;
        len += 1;
    }
    assert!(next == 1 << 32 && sorted_count == 257, "the code is whole");
    (sorted, codes, short)
}

/// Appends what `text` stands for.
///
/// # Errors
/// `Compression` if it ends within a code, holds the end of the string, or is not padded as it should be (RFC 7541 section 5.2).
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    // The shortest code has five bits.
    let start = out.len();
    out.resize(start + text.len() * 8 / 5, 0);
    let mut places = out.get_mut(start..).unwrap_or_default().iter_mut();
    let mut rest = text;
    // The next `count` bits, uppermost first; below them are zeros.
    let mut bits: u64 = 0;
    let mut count = 0;
    loop {
        if count < LONGEST {
            if let Some((four, behind)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*four)) << (32 - count);
                count += 32;
                rest = behind;
            } else {
                for &byte in rest {
                    bits |= u64::from(byte) << (56 - count);
                    count += 8;
                }
                rest = &[];
            }
        }
        // Short ones as long as there are whole ones for sure.
        while count >= SHORT_LEN {
            let short = next_short(bits);
            if short.len == 0 {
                break;
            }
            // There are as many places as there can be codes.
            *places.next().ok_or(Fault::Compression)? = short.symbol;
            // Less than 64, and no more than `count`: not checked, for it is done for each letter.
            bits = bits.wrapping_shl(short.len.into());
            count = count.wrapping_sub(short.len.into());
        }
        if count < SHORT_LEN {
            if rest.is_empty() {
                break;
            }
        } else if count >= LONGEST || rest.is_empty() {
            let (symbol, len) = decode_long(bits).ok_or(Fault::Compression)?;
            *places.next().ok_or(Fault::Compression)? = symbol;
            bits <<= len;
            // One that is cut off.
            count = count.checked_sub(len).ok_or(Fault::Compression)?;
        }
    }
    loop {
        let short = next_short(bits);
        let len = u32::from(short.len);
        if len == 0 || len > count {
            break;
        }
        *places.next().ok_or(Fault::Compression)? = short.symbol;
        bits <<= len;
        count -= len;
    }
    let unused_len = places.len();
    out.truncate(out.len() - unused_len);
    // RFC 7541 section 5.2: what is left is less than a byte, and all ones.
    let is_padding = bits == !u64::MAX.checked_shr(count).unwrap_or(0);
    if is_padding {
        Ok(())
    } else {
        Err(Fault::Compression)
    }
}

#[inline(always)]
fn next_short(bits: u64) -> Short {
    let [next, ..] = bits.to_be_bytes();
    #[expect(clippy::indexing_slicing, reason = "there is a place for each byte")]
    SHORT[usize::from(next)]
}

/// The byte whose code begins `bits`, and its length. `None` for the end of the string.
#[cold]
fn decode_long(bits: u64) -> Option<(u8, u32)> {
    let window = bits >> 32;
    let (len, codes) = (0..)
        .zip(&CODES)
        .skip(SHORT_LEN as usize + 1)
        .find(|(_, codes)| window < codes.end)?;
    let index = usize::try_from((window - u64::from(codes.first)) >> (32 - len)).ok()?;
    let symbol = *SORTED.get(codes.start + index)?;
    if symbol == END {
        return None;
    }
    u8::try_from(symbol).ok().map(|symbol| (symbol, len))
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The code of a symbol by the rule of a canonical code, without the tables.
    fn code(symbol: usize) -> (u32, u8) {
        let len = LENGTHS[symbol];
        let below = LENGTHS.iter().filter(|&&other| other < len);
        let first: u64 = below.map(|&other| 1_u64 << (len - other)).sum();
        let before = LENGTHS[..symbol].iter().filter(|&&other| other == len);
        ((first + before.count() as u64) as u32, len)
    }

    fn encode(text: &[u8]) -> Vec<u8> {
        let (mut bits, mut out) = (String::new(), Vec::new());
        for &byte in text {
            let (code, len) = code(byte.into());
            write!(bits, "{code:0len$b}", len = usize::from(len)).unwrap();
        }
        while bits.len() % 8 != 0 {
            bits.push('1');
        }
        for byte in bits.as_bytes().chunks(8) {
            out.push(u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap());
        }
        out
    }

    fn decoded(text: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut out = b"before".to_vec();
        decode(text, &mut out)?;
        Ok(out.split_off(6))
    }

    /// Rows of RFC 7541 appendix B, of each length that matters.
    #[test]
    fn codes_are_those_of_the_table() {
        for (symbol, expected) in [
            (usize::from(b'0'), (0x0, 5)),
            (usize::from(b't'), (0x9, 5)),
            (usize::from(b' '), (0x14, 6)),
            (usize::from(b'z'), (0x7b, 7)),
            (usize::from(b'&'), (0xf8, 8)),
            (usize::from(b'!'), (0x3f8, 10)),
            (usize::from(b'@'), (0x1ffa, 13)),
            (usize::from(b'\\'), (0x7fff0, 19)),
            (0, (0x1ff8, 13)),
            (255, (0x3ffffee, 26)),
            (10, (0x3ffffffc, 30)),
            (usize::from(END), (0x3fffffff, 30)),
        ] {
            assert_eq!(code(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn pairs_of_bytes_come_back() {
        for first in 0..=u8::MAX {
            for second in (first % 8..=u8::MAX).step_by(8) {
                let text = [first, second, first];
                assert_eq!(decoded(&encode(&text)), Ok(text.to_vec()));
            }
        }
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(decoded(&encode(&all)), Ok(all));
        assert_eq!(decoded(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_or_padded_otherwise_is_refused() {
        for byte in 0..=u8::MAX {
            let whole = encode(&[byte]);
            let cut = &whole[..whole.len() - 1];
            assert!(cut.is_empty() || decoded(cut).is_err(), "{byte}");
            let padded = [&whole[..], &[0xff]].concat();
            assert!(decoded(&padded).is_err(), "{byte}");
            let (_, len) = code(byte.into());
            if len % 8 != 0 {
                let mut other = whole.clone();
                *other.last_mut().unwrap() &= 0xfe;
                assert!(decoded(&other).is_err(), "{byte}");
            }
        }
        assert!(decoded(&[0xff; 4]).is_err(), "the end of the string");
        assert!(
            decoded(&[0x07, 0xff, 0xff, 0xff, 0xfc]).is_err(),
            "and behind a letter"
        );
    }
}
