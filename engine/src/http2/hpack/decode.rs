//! HPACK to headers, and which headers a response can have. In: a whole header block. Out: the headers in a list, `:status` and content-length
//! apart; and the table, which is as the peer's is by then. Always: a block is read to its end, whatever is in it and whoever it is for, or the
//! connection is over; the list is bounded, and so is the work.

use super::{FIELD_OVERHEAD_LEN, Table, huffman, is_name, is_value, static_table};
use crate::http2::{Fault, HeaderList};
use crate::limits::{HTTP2_BLOCK_GROWTH_MAX, HTTP2_TABLE_LEN_MAX};

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
    /// The block was not read to its end, so that the tables of both sides are no longer the same. That ends the connection (RFC 9113 section
    /// 4.3).
    Broken(Fault),
    /// What is in it is not for this stream.
    Refused(Fault),
}

const BROKEN: Undecoded = Undecoded::Broken(Fault::Compression);

/// What kind of header one is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Legal anywhere, and nothing to us. It is so wherever the same is met again.
    Plain,
    /// Listed, but to be looked at each time: a content-length, or one that is malformed.
    Special,
    /// Not listed: a pseudo-header.
    Pseudo,
}

/// Numbers are lengths or indices; none that is good is near this.
const INTEGER_MAX: u32 = 1 << 28;

/// Reads `block` into `list`, which is cleared before.
pub(in crate::http2) fn decode(
    block: &[u8],
    section: Section,
    list_len_max: usize,
    table: &mut Table,
    list: &mut HeaderList,
) -> Result<Decoded, Undecoded> {
    list.clear();
    let mut reader = Reader {
        rest: block,
        table,
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
        if first & 0x80 == 0 {
            reader.read_literal(first)?;
        } else {
            reader.read_indexed(first)?;
        }
    }
    if reader.is_too_long() {
        return Err(Undecoded::Refused(Fault::HeadersTooLong));
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

struct Reader<'b, 't> {
    rest: &'b [u8],
    table: &'t mut Table,
    list: &'t mut HeaderList,
    /// As `SETTINGS_MAX_HEADER_LIST_SIZE` counts. Nothing is listed any more when it is beyond `list_len_max`.
    list_len: usize,
    list_len_max: usize,
    section: Section,
    decoded: Decoded,
    is_malformed: bool,
    /// Whether a header was seen that is no pseudo-header.
    has_plain: bool,
}

impl Reader<'_, '_> {
    /// RFC 7541 section 4.2: changes of the table's size stand at the beginning, two at most; section 6.3: none is beyond what was announced.
    fn read_table_lens(&mut self) -> Result<(), Undecoded> {
        for _ in 0..2 {
            let Some((&first, rest)) = self.rest.split_first() else {
                return Ok(());
            };
            if first & 0xe0 != 0x20 {
                return Ok(());
            }
            self.rest = rest;
            let len_max = self.read_integer(first, 0x1f)?;
            if len_max > HTTP2_TABLE_LEN_MAX {
                return Err(BROKEN);
            }
            self.table.set_len_max(len_max);
        }
        Ok(())
    }

    /// A header that is known by number: RFC 7541 section 6.1.
    #[inline]
    fn read_indexed(&mut self, first: u8) -> Result<(), Undecoded> {
        let index = self.read_integer(first, 0x7f)?;
        if let Some(age) = index.checked_sub(static_table::END) {
            let kept = self.table.find(age).ok_or(BROKEN)?;
            count(&mut self.list_len, self.list_len_max, kept.bytes.len())?;
            if self.list_len > self.list_len_max {
                return Ok(());
            }
            let bytes = self.list.bytes_mut();
            let name_start = bytes.len();
            bytes.extend_from_slice(kept.bytes);
            let value_start = name_start + kept.name_len;
            if kept.is_plain {
                self.has_plain = true;
                self.list.push_field(name_start, value_start);
            } else {
                let nature = self.look_at(name_start, value_start, false);
                self.list_or_drop(name_start, value_start, nature);
            }
            return Ok(());
        }
        let (name, value) = static_table::find(index).ok_or(BROKEN)?;
        count(
            &mut self.list_len,
            self.list_len_max,
            name.len() + value.len(),
        )?;
        if let Some(status) = static_table::find_status(index) {
            self.take_status(Some(status));
        } else if !self.is_too_long() {
            let bytes = self.list.bytes_mut();
            let name_start = bytes.len();
            bytes.extend_from_slice(name);
            let value_start = bytes.len();
            bytes.extend_from_slice(value);
            let nature = self.look_at(name_start, value_start, true);
            self.list_or_drop(name_start, value_start, nature);
        }
        Ok(())
    }

    /// A header that is spelt out, its name perhaps by number: RFC 7541 section 6.2.
    fn read_literal(&mut self, first: u8) -> Result<(), Undecoded> {
        let is_kept = first & 0x40 != 0;
        let index = match first {
            0x40.. => self.read_integer(first, 0x3f)?,
            // A size of the table that is not at the beginning.
            0x20..0x40 => return Err(BROKEN),
            // Whether it may never be kept is for those who send it on as HPACK.
            _ => self.read_integer(first, 0x0f)?,
        };
        let name_start = self.list.bytes_mut().len();
        let mut is_known_name = true;
        if index == 0 {
            self.read_text()?;
            is_known_name = false;
        } else if let Some(age) = index.checked_sub(static_table::END) {
            let kept = self.table.find(age).ok_or(BROKEN)?;
            let name = kept.bytes.get(..kept.name_len).unwrap_or_default();
            self.list.bytes_mut().extend_from_slice(name);
            is_known_name = kept.is_plain;
        } else {
            let (name, _) = static_table::find(index).ok_or(BROKEN)?;
            self.list.bytes_mut().extend_from_slice(name);
        }
        let value_start = self.list.bytes_mut().len();
        self.read_text()?;
        let len = self.list.bytes_mut().len() - name_start;
        count(&mut self.list_len, self.list_len_max, len)?;
        let nature = if self.is_too_long() {
            // Nobody will look at the list.
            Nature::Pseudo
        } else {
            self.look_at(name_start, value_start, is_known_name)
        };
        if is_kept {
            // The name is a copy by now: RFC 7541 section 4.4, where it may be in what has to go.
            let bytes = self.list.bytes_mut();
            let name = bytes.get(name_start..value_start).unwrap_or_default();
            let value = bytes.get(value_start..).unwrap_or_default();
            self.table.insert(name, value, nature == Nature::Plain);
        }
        self.list_or_drop(name_start, value_start, nature);
        Ok(())
    }

    const fn is_too_long(&self) -> bool {
        self.list_len > self.list_len_max
    }

    /// Looks at a header that stands at the end of the list's bytes.
    fn look_at(&mut self, name_start: usize, value_start: usize, is_known_name: bool) -> Nature {
        let bytes = self.list.bytes_mut();
        let name = bytes.get(name_start..value_start).unwrap_or_default();
        let value = bytes.get(value_start..).unwrap_or_default();
        if name.first() == Some(&b':') {
            let status = read_status(value).filter(|_| name == b":status");
            self.take_status(status);
            return Nature::Pseudo;
        }
        self.has_plain = true;
        let is_legal = (is_known_name || is_name(name)) && is_value(value);
        if !is_legal || is_of_connection(name, value) {
            self.is_malformed = true;
            return Nature::Special;
        }
        if name != b"content-length" {
            return Nature::Plain;
        }
        if self.section == Section::Headers {
            let len = read_content_len(value);
            // RFC 9110 section 8.6.
            self.is_malformed |= len.is_none()
                || self
                    .decoded
                    .content_len
                    .is_some_and(|other| Some(other) != len);
            self.decoded.content_len = len;
        }
        Nature::Special
    }

    /// RFC 9113 section 8.3: before all others, once each, and a response has but one of them.
    #[inline]
    fn take_status(&mut self, status: Option<u16>) {
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
    }

    fn list_or_drop(&mut self, name_start: usize, value_start: usize, nature: Nature) {
        if nature == Nature::Pseudo {
            self.list.bytes_mut().truncate(name_start);
        } else {
            self.list.push_field(name_start, value_start);
        }
    }

    /// Appends a string (RFC 7541 section 5.2) to the list's bytes.
    fn read_text(&mut self) -> Result<(), Undecoded> {
        let (&first, rest) = self.rest.split_first().ok_or(BROKEN)?;
        self.rest = rest;
        let len = self.read_integer(first, 0x7f)?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(BROKEN)?;
        self.rest = rest;
        let bytes = self.list.bytes_mut();
        if first & 0x80 == 0 {
            bytes.extend_from_slice(text);
            Ok(())
        } else {
            huffman::decode(text, bytes).map_err(|_broken| BROKEN)
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
            let (&byte, rest) = self.rest.split_first().ok_or(BROKEN)?;
            self.rest = rest;
            value = u32::from(byte & 0x7f)
                .checked_mul(1 << shift)
                .and_then(|part| value.checked_add(part))
                .filter(|value| *value < INTEGER_MAX)
                .ok_or(BROKEN)?;
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err(BROKEN)
    }
}

/// Counts a header of so many bytes.
///
/// # Errors
/// A block that grows beyond all measure when it is read: THREATS C5 is of the other side, F8 of this one. What it refers to again and again need not
/// be copied, but it need not be borne either.
#[inline]
fn count(list_len: &mut usize, list_len_max: usize, len: usize) -> Result<(), Undecoded> {
    *list_len += len + FIELD_OVERHEAD_LEN;
    if *list_len > list_len_max.saturating_mul(HTTP2_BLOCK_GROWTH_MAX) {
        return Err(Undecoded::Broken(Fault::HeadersTooLong));
    }
    Ok(())
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
