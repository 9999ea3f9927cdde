//! The address of an upstream. In: the text of `--upstream`. Out: a place to connect to and the `:authority` to send.
//! Always: a target is complete and valid once it is parsed; what cannot be served yet is refused by name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use http::uri::Authority;

/// Bytes of a Unix socket's path that the kernel takes, without the closing zero.
const UNIX_PATH_LEN_MAX: usize = 107;

/// Port of `http://` when none is given.
const HTTP_PORT: u16 = 80;

/// Where an upstream is, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    place: Place,
    authority: Authority,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address as given.
    Address(SocketAddr),
    /// A name, looked up whenever a connection is made.
    Name {
        /// The host's name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl Target {
    /// Where to connect.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What goes into `:authority`.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// Why a text is no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// There is no `://`.
    SchemeMissing,
    /// `https://`.
    TlsNotAvailable,
    /// Neither `http` nor `unix`.
    SchemeUnknown,
    /// `http://` and nothing after it.
    HostMissing,
    /// The host has bytes no host has.
    HostInvalid,
    /// The port is no number from 1 to 65535.
    PortInvalid,
    /// `user:password@`.
    UserInfo,
    /// A path, query or fragment after the host.
    PathNotEmpty,
    /// `unix://` without an absolute path.
    UnixPathNotAbsolute,
    /// Longer than the kernel takes.
    UnixPathTooLong,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("upstream: ")?;
        f.write_str(match self {
            Self::SchemeMissing => "expected http://host:port or unix:///path",
            Self::TlsNotAvailable => {
                "TLS to the upstream is not available yet; use http://host:port"
            }
            Self::SchemeUnknown => "unknown scheme; expected http://host:port or unix:///path",
            Self::HostMissing => "no host; expected http://host:port",
            Self::HostInvalid => {
                "not a valid host; expected http://host:port, an IPv6 address in brackets"
            }
            Self::PortInvalid => "not a valid port; give 1 to 65535",
            Self::UserInfo => "a user name or password is not allowed",
            Self::PathNotEmpty => "a path, query or fragment is not allowed after the host",
            Self::UnixPathNotAbsolute => "expected an absolute path, as in unix:///run/server.sock",
            Self::UnixPathTooLong => "the path of a unix socket is at most 107 bytes long",
        })
    }
}

impl std::error::Error for TargetError {}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::SchemeMissing)?;
        if scheme.eq_ignore_ascii_case("http") {
            parse_http(rest)
        } else if scheme.eq_ignore_ascii_case("unix") {
            parse_unix(rest)
        } else if scheme.eq_ignore_ascii_case("https") {
            Err(TargetError::TlsNotAvailable)
        } else {
            Err(TargetError::SchemeUnknown)
        }
    }
}

fn parse_http(rest: &str) -> Result<Target, TargetError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(TargetError::PathNotEmpty);
    }
    if rest.contains('@') {
        return Err(TargetError::UserInfo);
    }
    let (host, port) = split_port(rest)?;
    if host.is_empty() {
        return Err(TargetError::HostMissing);
    }
    let authority = Authority::try_from(rest).map_err(|_invalid| TargetError::HostInvalid)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let place = match (bare, host.parse::<IpAddr>()) {
        (Some(bare), _) => {
            let ip: IpAddr = bare.parse().map_err(|_invalid| TargetError::HostInvalid)?;
            Place::Address(SocketAddr::new(ip, port))
        }
        (None, Ok(ip)) => Place::Address(SocketAddr::new(ip, port)),
        (None, Err(_is_a_name)) => Place::Name {
            host: host.to_owned(),
            port,
        },
    };
    Ok(Target { place, authority })
}

/// Parts `host:port`; colons inside of `[..]` belong to the host.
fn split_port(text: &str) -> Result<(&str, u16), TargetError> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((text, HTTP_PORT));
    };
    if port.ends_with(']') {
        return Ok((text, HTTP_PORT));
    }
    if host.contains(':') && !host.ends_with(']') {
        return Err(TargetError::HostInvalid);
    }
    let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(number) if is_number && number != 0 => Ok((host, number)),
        _ => Err(TargetError::PortInvalid),
    }
}

fn parse_unix(path: &str) -> Result<Target, TargetError> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(TargetError::UnixPathNotAbsolute);
    }
    if path.len() > UNIX_PATH_LEN_MAX {
        return Err(TargetError::UnixPathTooLong);
    }
    Ok(Target {
        place: Place::Unix(PathBuf::from(path)),
        // What gRPC implementations send over a Unix socket.
        authority: Authority::from_static("localhost"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, TargetError> {
        text.parse::<Target>().map(|target| target.place)
    }

    #[test]
    fn name_and_port_are_taken_apart() {
        let target: Target = "http://books.internal:50051".parse().unwrap();
        assert_eq!(target.authority(), "books.internal:50051");
        let expected = Place::Name {
            host: "books.internal".to_owned(),
            port: 50051,
        };
        assert_eq!(target.place(), &expected);
    }

    #[test]
    fn addresses_need_no_lookup() {
        let address = |text: &str| Ok(Place::Address(text.parse().unwrap()));
        assert_eq!(place("http://127.0.0.1:9/"), address("127.0.0.1:9"));
        assert_eq!(place("HTTP://[::1]:9"), address("[::1]:9"));
        assert_eq!(place("http://[::1]"), address("[::1]:80"));
        assert_eq!(place("http://10.0.0.1"), address("10.0.0.1:80"));
    }

    #[test]
    fn unix_socket_is_a_path() {
        let target: Target = "unix:///run/books.sock".parse().unwrap();
        assert_eq!(target.place(), &Place::Unix("/run/books.sock".into()));
        assert_eq!(target.authority(), "localhost");
    }

    #[test]
    fn each_wrong_text_is_refused_for_its_reason() {
        let long = format!("unix:///{}", "x".repeat(UNIX_PATH_LEN_MAX));
        let cases = [
            ("localhost:50051", TargetError::SchemeMissing),
            ("", TargetError::SchemeMissing),
            ("https://books:443", TargetError::TlsNotAvailable),
            ("grpc://books:443", TargetError::SchemeUnknown),
            ("http://", TargetError::HostMissing),
            ("http://:80", TargetError::HostMissing),
            ("http://a b:80", TargetError::HostInvalid),
            ("http://::1:80", TargetError::HostInvalid),
            ("http://[::g]:80", TargetError::HostInvalid),
            ("http://books:0", TargetError::PortInvalid),
            ("http://books:65536", TargetError::PortInvalid),
            ("http://books:+80", TargetError::PortInvalid),
            ("http://books:", TargetError::PortInvalid),
            ("http://user:secret@books:80", TargetError::UserInfo),
            ("http://books:80/v1", TargetError::PathNotEmpty),
            ("http://books:80?x=1", TargetError::PathNotEmpty),
            ("unix://run/books.sock", TargetError::UnixPathNotAbsolute),
            ("unix:///", TargetError::UnixPathNotAbsolute),
            (long.as_str(), TargetError::UnixPathTooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(place(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn error_text_says_what_to_do_and_keeps_passwords_out() {
        let error = "https://x".parse::<Target>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "upstream: TLS to the upstream is not available yet; use http://host:port"
        );
    }
}
