//! HPACK to headers, and which headers a response can have. In: a whole header block. Out: the headers in a list, `:status` and content-length
//! apart. Always: a block is read to its end or refused; the list is bounded; no table is kept, so no number beyond the static ones
//! means anything.

use super::{FIELD_OVERHEAD_LEN, huffman, is_name, is_value, static_table};
use crate::http2::{Fault, HeaderList};

/// Which headers a block may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http2) enum Section {
    Headers,
    Trailers,
}

/// What was in a block beside the list.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http2) struct Decoded {
    /// From 100 to 999; zero of trailers.
    pub(in crate::http2) status: u16,
    pub(in crate::http2) content_len: Option<u64>,
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http2) enum Undecoded {
    /// The block is broken, which ends the connection (RFC 9113 section 4.3).
    Broken,
    /// What is in it is not for this stream.
    Refused(Fault),
}

/// Numbers are lengths or indices; none that is good is near this.
const INTEGER_MAX: u32 = 1 << 28;

/// Reads `block` into `list`, which is cleared before.
pub(in crate::http2) fn decode(
    block: &[u8],
    section: Section,
    list_len_max: usize,
    list: &mut HeaderList,
) -> Result<Decoded, Undecoded> {
    list.clear();
    let mut reader = Reader {
        rest: block,
        list,
        list_len: 0,
        list_len_max,
        section,
        decoded: Decoded::default(),
        is_malformed: false,
        has_plain: false,
    };
    reader.read_table_lens()?;
    while let Some((&first, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        reader.read_header(first)?;
    }
    let Reader {
        decoded,
        is_malformed,
        ..
    } = reader;
    // RFC 9113 section 8.3.2: a response has a status; section 8.1: trailers have none.
    if is_malformed || (decoded.status == 0) != (section == Section::Trailers) {
        return Err(Undecoded::Refused(Fault::Headers));
    }
    Ok(decoded)
}

struct Reader<'b, 'l> {
    rest: &'b [u8],
    list: &'l mut HeaderList,
    /// As `SETTINGS_MAX_HEADER_LIST_SIZE` counts: `list_len <= list_len_max`.
    list_len: usize,
    list_len_max: usize,
    section: Section,
    decoded: Decoded,
    is_malformed: bool,
    /// Whether a header was seen that is no pseudo-header.
    has_plain: bool,
}

impl Reader<'_, '_> {
    /// RFC 7541 section 4.2: changes of the table's size stand at the beginning, two at most. Ours is 0, as was announced.
    fn read_table_lens(&mut self) -> Result<(), Undecoded> {
        for _ in 0..2 {
            let Some((&first, rest)) = self.rest.split_first() else {
                return Ok(());
            };
            if first & 0xe0 != 0x20 {
                return Ok(());
            }
            self.rest = rest;
            if self.read_integer(first, 0x1f)? != 0 {
                return Err(Undecoded::Broken);
            }
        }
        Ok(())
    }

    fn read_header(&mut self, first: u8) -> Result<(), Undecoded> {
        let name_start = self.list.bytes_mut().len();
        let mut is_known_name = true;
        let value_start;
        if first & 0x80 != 0 {
            let index = self.read_integer(first, 0x7f)?;
            let (name, value) = static_table::find(index).ok_or(Undecoded::Broken)?;
            // The most common header of all, without a look at its bytes.
            let bytes = self.list.bytes_mut();
            bytes.extend_from_slice(name);
            value_start = bytes.len();
            bytes.extend_from_slice(value);
        } else {
            let index = match first {
                // With a place in the table, which is then empty again: RFC 7541 section 4.4.
                0x40.. => self.read_integer(first, 0x3f)?,
                // A size of the table that is not at the beginning.
                0x20..0x40 => return Err(Undecoded::Broken),
                _ => self.read_integer(first, 0x0f)?,
            };
            if index == 0 {
                self.read_text()?;
                is_known_name = false;
            } else {
                let (name, _) = static_table::find(index).ok_or(Undecoded::Broken)?;
                self.list.bytes_mut().extend_from_slice(name);
            }
            value_start = self.list.bytes_mut().len();
            self.read_text()?;
        }
        self.list_len += self.list.bytes_mut().len() - name_start + FIELD_OVERHEAD_LEN;
        if self.list_len > self.list_len_max {
            return Err(Undecoded::Refused(Fault::HeadersTooLong));
        }
        self.take_header(name_start, value_start, is_known_name);
        Ok(())
    }

    /// Looks at a header that stands at the end of the list's bytes.
    fn take_header(&mut self, name_start: usize, value_start: usize, is_known_name: bool) {
        let bytes = self.list.bytes_mut();
        let name = bytes.get(name_start..value_start).unwrap_or_default();
        let value = bytes.get(value_start..).unwrap_or_default();
        if name.first() == Some(&b':') {
            // RFC 9113 section 8.3: before all others, once each, and a response has but one of them.
            let status = read_status(value).filter(|_| name == b":status");
            match status {
                Some(status)
                    if self.section == Section::Headers
                        && !self.has_plain
                        && self.decoded.status == 0 =>
                {
                    self.decoded.status = status;
                }
                _ => self.is_malformed = true,
            }
            bytes.truncate(name_start);
            return;
        }
        self.has_plain = true;
        let is_legal = (is_known_name || is_name(name)) && is_value(value);
        self.is_malformed |= !is_legal || is_of_connection(name, value);
        if self.section == Section::Headers && name == b"content-length" {
            let len = read_content_len(value);
            // RFC 9110 section 8.6.
            self.is_malformed |= len.is_none()
                || self
                    .decoded
                    .content_len
                    .is_some_and(|other| Some(other) != len);
            self.decoded.content_len = len;
        }
        self.list.push_field(name_start, value_start);
    }

    /// Appends a string (RFC 7541 section 5.2) to the list's bytes.
    fn read_text(&mut self) -> Result<(), Undecoded> {
        let (&first, rest) = self.rest.split_first().ok_or(Undecoded::Broken)?;
        self.rest = rest;
        let len = self.read_integer(first, 0x7f)?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(Undecoded::Broken)?;
        self.rest = rest;
        let bytes = self.list.bytes_mut();
        if first & 0x80 == 0 {
            bytes.extend_from_slice(text);
            Ok(())
        } else {
            huffman::decode(text, bytes).map_err(|_broken| Undecoded::Broken)
        }
    }

    /// RFC 7541 section 5.1: in the bits of `mask`, or behind them if these are all ones.
    #[inline]
    fn read_integer(&mut self, first: u8, mask: u8) -> Result<usize, Undecoded> {
        if first & mask != mask {
            return Ok(usize::from(first & mask));
        }
        let mut value = u32::from(mask);
        for shift in [0, 7, 14, 21, 28] {
            let (&byte, rest) = self.rest.split_first().ok_or(Undecoded::Broken)?;
            self.rest = rest;
            value = u32::from(byte & 0x7f)
                .checked_mul(1 << shift)
                .and_then(|part| value.checked_add(part))
                .filter(|value| *value < INTEGER_MAX)
                .ok_or(Undecoded::Broken)?;
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err(Undecoded::Broken)
    }
}

/// Three digits: RFC 9110 section 15.
fn read_status(value: &[u8]) -> Option<u16> {
    let [
        hundreds @ b'1'..=b'9',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
    ] = *value
    else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    Some(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
}

fn read_content_len(value: &[u8]) -> Option<u64> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

/// RFC 9113 section 8.2.2: what is about one connection of HTTP/1.1 has no place here.
fn is_of_connection(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            true
        }
        b"te" => value != b"trailers",
        _ => false,
    }
}
