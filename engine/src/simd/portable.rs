//! The judgements on a block, byte by byte: what any processor can do, and what the other twins are held against.

use super::Block;

/// Quotes, backslashes and control characters: where a run of a string ends that stands for itself.
pub(crate) fn stops(block: &Block) -> u32 {
    bits(block, |byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// Bytes that are not ASCII.
pub(crate) fn high(block: &Block) -> u32 {
    bits(block, |byte| byte >= 0x80)
}

/// Bytes that are no digits.
pub(crate) fn others_than_digits(block: &Block) -> u32 {
    bits(block, |byte| !byte.is_ascii_digit())
}

/// Spaces, tabs and line ends: the white space of JSON.
pub(crate) fn spaces(block: &Block) -> u32 {
    bits(block, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

fn bits(block: &Block, is_meant: impl Fn(u8) -> bool) -> u32 {
    let mut bits = 0;
    for (index, &byte) in block.iter().enumerate() {
        bits |= u32::from(is_meant(byte)) << index;
    }
    bits
}
