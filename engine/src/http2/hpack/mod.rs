//! HPACK (RFC 7541). In: header blocks, or names and values. Out: a [`HeaderList`](super::HeaderList), or bytes. Always: of what is received the
//! [`Table`] is kept from one block to the next, and nothing else; of what is sent nothing is kept, and the peer need not either.

mod decode;
mod encode;
mod huffman;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub(super) use decode::{Section, Undecoded, decode};
pub(super) use encode::{EMPTY_TABLE, write_header};
pub use encode::{HeaderBlock, Scheme};
pub(super) use table::Table;

/// What a header counts beside its bytes (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD_LEN: usize = 32;

/// What each byte may stand in: names, values.
static LEGAL: [u8; 256] = make_legal();
const IN_NAME: u8 = 1;
const IN_VALUE: u8 = 2;

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs when this is compiled, which an index out of bounds would stop"
)]
const fn make_legal() -> [u8; 256] {
    let mut legal = [0; 256];
    let mut index = 0;
    while index < legal.len() {
        let byte = index as u8;
        // `tchar` of RFC 9110 section 5.6.2, but no capital (RFC 9113 section 8.2.1).
        if crate::http1::is_token_byte(byte) && !byte.is_ascii_uppercase() {
            legal[index] |= IN_NAME;
        }
        // Section 8.2.1. White space at the ends is let pass: a `grpc-message` has it.
        if !matches!(byte, b'\0' | b'\r' | b'\n') {
            legal[index] |= IN_VALUE;
        }
        index += 1;
    }
    legal
}

/// Whether `text` may be the name of a header.
#[inline]
fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && all_are(text, IN_NAME)
}

/// Whether `text` may be the value of a header.
#[inline]
fn is_value(text: &[u8]) -> bool {
    all_are(text, IN_VALUE)
}

/// Without an early end: most are legal.
#[inline]
fn all_are(text: &[u8], place: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "there is a place for each byte")]
    let places = text
        .iter()
        .fold(place, |places, &byte| places & LEGAL[usize::from(byte)]);
    places != 0
}
