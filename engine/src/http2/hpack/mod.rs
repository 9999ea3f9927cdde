//! HPACK (RFC 7541) without a table that changes: we announce none and use none. In: header blocks, or names and values. Out: a
//! [`HeaderList`](super::HeaderList), or bytes. Always: nothing is kept from one block to the next.

mod decode;
mod encode;
mod huffman;
mod static_table;

pub(super) use decode::{Section, Undecoded, decode};
pub(super) use encode::{EMPTY_TABLE, write_header};
pub use encode::{HeaderBlock, Scheme};

/// What a header counts beside its bytes (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD_LEN: usize = 32;

/// Whether `byte` may stand in the name of a header: `tchar` of RFC 9110 section 5.6.2, but no capital (RFC 9113 section 8.2.1).
const fn is_name_byte(byte: u8) -> bool {
    crate::http1::is_token_byte(byte) && !byte.is_ascii_uppercase()
}

/// Whether `byte` may stand in a value (RFC 9113 section 8.2.1). White space at the ends is let pass: a `grpc-message` has it.
const fn is_value_byte(byte: u8) -> bool {
    !matches!(byte, b'\0' | b'\r' | b'\n')
}
