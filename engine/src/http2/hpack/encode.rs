//! Headers to HPACK. In: names and values. Out: literals without indexing, appended. Always: no Huffman code and no table, which cost more
//! here than the bytes they save; what HTTP/2 does not allow is refused.

use super::{FIELD_OVERHEAD_LEN, is_name, is_value};
use crate::http2::Refusal;

/// Says that our table is empty from here on: a dynamic table size update to zero.
pub(in crate::http2) const EMPTY_TABLE: u8 = 0x20;

/// The scheme of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// What the requests of one route have in common, as HPACK: made once, and copied for each.
///
/// ```
/// use transom_engine::http2::{HeaderBlock, Scheme};
///
/// let headers = [(&b"content-type"[..], &b"application/grpc"[..]), (b"te", b"trailers")];
/// let block = HeaderBlock::post(Scheme::Http, b"localhost:50051", b"/hello.v1.Hello/Say", headers)?;
/// # let _ = block;
/// # Ok::<(), transom_engine::http2::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeaderBlock {
    bytes: Box<[u8]>,
    /// As `SETTINGS_MAX_HEADER_LIST_SIZE` counts.
    list_len: usize,
}

impl HeaderBlock {
    /// A `POST` of `path` with these headers.
    ///
    /// # Errors
    /// [`Refusal::HeaderInvalid`] if a name, a value, the path or the authority is not one that HTTP/2 allows.
    pub fn post<'h>(
        scheme: Scheme,
        authority: &[u8],
        path: &[u8],
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<Self, Refusal> {
        let is_visible = |text: &[u8]| text.iter().all(u8::is_ascii_graphic);
        if path.first() != Some(&b'/') || !is_visible(path) || !is_visible(authority) {
            return Err(Refusal::HeaderInvalid);
        }
        // The method, the scheme, and the names of the two others by their numbers.
        let (scheme, scheme_name): (u8, &str) = match scheme {
            Scheme::Http => (0x86, "http"),
            Scheme::Https => (0x87, "https"),
        };
        let mut bytes = vec![0x83, scheme];
        let mut list_len =
            ":methodPOST:scheme:path:authority".len() + scheme_name.len() + 4 * FIELD_OVERHEAD_LEN;
        for (name, text) in [(0x04, path), (0x01, authority)] {
            bytes.push(name);
            write_text(&mut bytes, text);
            list_len += text.len();
        }
        for (name, value) in headers {
            list_len += write_header(&mut bytes, name, value)?;
        }
        Ok(Self {
            bytes: bytes.into(),
            list_len,
        })
    }

    pub(in crate::http2) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in crate::http2) const fn list_len(&self) -> usize {
        self.list_len
    }
}

/// Appends one header; gives what it counts for `SETTINGS_MAX_HEADER_LIST_SIZE`.
///
/// # Errors
/// `HeaderInvalid`; part of it is written then.
#[inline]
pub(in crate::http2) fn write_header(
    out: &mut Vec<u8>,
    name: &[u8],
    value: &[u8],
) -> Result<usize, Refusal> {
    if !is_name(name) || !is_value(value) {
        return Err(Refusal::HeaderInvalid);
    }
    out.push(0);
    write_text(out, name);
    write_text(out, value);
    Ok(name.len() + value.len() + FIELD_OVERHEAD_LEN)
}

/// A string as it is: RFC 7541 section 5.2, with the integer of section 5.1 in front.
#[inline]
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    const PREFIX_MAX: usize = 0x7f;
    match u8::try_from(text.len()) {
        Ok(len) if usize::from(len) < PREFIX_MAX => out.push(len),
        _ => {
            out.push(0x7f);
            let mut rest = text.len() - PREFIX_MAX;
            while rest >= 0x80 {
                #[expect(clippy::cast_possible_truncation, reason = "seven bits are left")]
                out.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text);
}
