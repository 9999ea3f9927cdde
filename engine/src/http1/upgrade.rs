//! The opening of a WebSocket (RFC 6455). In: a request head. Out: the key of the opening, and the head of the response that switches over.
//! Always: nothing but WebSocket is switched to (THREATS A8); what is no whole opening is refused before anything is switched.

use super::head::RequestHead;
use super::list_members;
use super::{BodyFraming, Version, response};
use crate::error::{Error, ErrorKind};

/// Characters of a key: 16 bytes in base64.
const KEY_LEN: usize = 24;

impl RequestHead {
    /// Whether the client wants to go on with WebSocket. The header counts only in a `GET` of HTTP/1.1 without a body whose `Connection` names it; else it is one
    /// that may be ignored (RFC 9110 section 7.8).
    pub fn asks_for_websocket(&self, bytes: &[u8]) -> bool {
        self.connection_lists(bytes, b"upgrade")
            && self.version() == Version::Http11
            && self.method(bytes) == b"GET"
            && self.framing() == BodyFraming::None
            && self.headers(bytes).any(|(name, value)| {
                name.eq_ignore_ascii_case(b"upgrade")
                    && list_members(value).any(|each| each.eq_ignore_ascii_case(b"websocket"))
            })
    }

    /// The key of the opening of a WebSocket, which the answer has to prove that it has read.
    ///
    /// # Examples
    /// ```
    /// use transom_engine::http1::RequestHead;
    ///
    /// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    ///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    /// let mut head = RequestHead::new();
    /// head.parse(bytes)?;
    /// assert!(head.asks_for_websocket(bytes));
    /// assert_eq!(head.websocket_key(bytes)?, b"dGhlIHNhbXBsZSBub25jZQ==");
    /// # Ok::<(), transom_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedWebSocketVersion` and `BadWebSocketKey` (RFC 6455 section 4.2.1).
    pub fn websocket_key<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
        if self.header(bytes, b"sec-websocket-version") != Some(b"13") {
            return Err(Error::request(ErrorKind::UnsupportedWebSocketVersion));
        }
        self.header(bytes, b"sec-websocket-key")
            .filter(|key| is_key(key))
            .ok_or(Error::request(ErrorKind::BadWebSocketKey))
    }

    /// The token of an offer of the protocols `Bearer, TOKEN`: the only way for a page to send one, and what grpc-websocket-proxy makes of it,
    /// which etcd uses (SEMANTICS 127).
    pub fn websocket_token<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let mut offers = list_members(self.header(bytes, b"sec-websocket-protocol")?);
        offers.next().filter(|first| *first == b"Bearer")?;
        offers.next()
    }
}

/// Appends the response that switches to WebSocket. `accept` is made of the key; `protocol` is one of those offered.
///
/// # Examples
/// ```
/// let mut out = Vec::new();
/// transom_engine::http1::write_switch(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", None, &mut out);
/// assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
/// ```
pub fn write_switch(accept: &[u8], protocol: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
    );
    response::write_header(out, b"sec-websocket-accept", accept);
    if let Some(protocol) = protocol {
        response::write_header(out, b"sec-websocket-protocol", protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether this is base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_LEN
        && key
            .strip_suffix(b"==")
            .is_some_and(|digits| digits.iter().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> RequestHead {
        let mut head = RequestHead::new();
        head.parse(bytes).unwrap();
        head
    }

    fn opening(more: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n{more}\r\n")
            .into_bytes()
    }

    #[test]
    fn an_opening_is_a_get_of_http_1_1_whose_connection_names_upgrade() {
        let whole = opening("");
        assert!(parse(&whole).asks_for_websocket(&whole));
        for other in [
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 8\r\n\r\n",
        ] {
            let bytes = other.as_bytes();
            assert!(!parse(bytes).asks_for_websocket(bytes), "{other}");
        }
    }

    #[test]
    fn an_opening_has_a_version_and_a_key_of_16_bytes() {
        let version = "Sec-WebSocket-Version: 13\r\n";
        let kind = |more: String| {
            let bytes = opening(&more);
            parse(&bytes).websocket_key(&bytes).unwrap_err().kind
        };
        assert_eq!(kind(String::new()), ErrorKind::UnsupportedWebSocketVersion);
        assert_eq!(
            kind("Sec-WebSocket-Version: 8\r\n".to_owned()),
            ErrorKind::UnsupportedWebSocketVersion
        );
        assert_eq!(kind(version.to_owned()), ErrorKind::BadWebSocketKey);
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ====",
            "dGhlIHNhbX,sZSBub25jZQ==",
        ] {
            let more = format!("{version}Sec-WebSocket-Key: {key}\r\n");
            assert_eq!(kind(more), ErrorKind::BadWebSocketKey, "{key}");
        }
    }

    #[test]
    fn a_token_comes_as_the_protocol_behind_bearer() {
        let token = |offer: &str| {
            let bytes = opening(&format!("Sec-WebSocket-Protocol: {offer}\r\n"));
            parse(&bytes).websocket_token(&bytes).map(<[u8]>::to_vec)
        };
        assert_eq!(token("Bearer, abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(token("Bearer"), None);
        assert_eq!(token("chat, abc"), None);
    }
}
