//! Which HTTP headers become metadata of a call and which metadata becomes headers of a response, and under which name.
//! In: the name and value of one header. Out: what to do with it, as borrowed parts. Always: nothing that is reserved for gRPC or for
//! a connection passes, in no direction and under no prefix; a text value that passes is printable ASCII (SEMANTICS 132).
//!
//! What takes two headers or a socket is the caller's: skipping what Connection lists, and writing `x-forwarded-for` and, under the
//! rule of grpc-gateway, `x-forwarded-host`.

use crate::error::{Error, ErrorKind};
use crate::http1::is_named;
use crate::text::base64;

/// Whose rules are followed when headers become metadata, and metadata headers (SEMANTICS 129, 131). Part of
/// [`Manners`](crate::exchange::Manners).
///
/// Under either rule nothing passes that is reserved for gRPC or for a connection; names cross in lower case; a name that ends in `-bin` has
/// base64 for a value, and what is none is refused (SEMANTICS 130, 132).
///
/// # Examples
/// ```
/// use transom_engine::{exchange::Manners, grpc::metadata::HeaderRule};
///
/// let manners = Manners { headers: HeaderRule::GrpcGateway, ..Manners::default() };
/// assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderRule {
    /// Every end-to-end header passes under its own name, both ways.
    #[default]
    Transom,
    /// What grpc-gateway does: some headers pass under a prefix, those with its prefix pass without it, and all others stop.
    GrpcGateway,
}

/// What becomes of one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision<'h> {
    /// It stops here.
    Drop,
    /// It passes under this name.
    Pass(Name<'h>),
    /// It passes under both names: Authorization in grpc-gateway.
    PassTwice(Name<'h>, Name<'h>),
}

/// A name that a header passes under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name<'h> {
    /// Comes before `rest`, in lower case.
    prefix: &'static str,
    /// In the case the header had. Letters, digits, `_`, `-` and `.`; not empty.
    rest: &'h [u8],
}

/// What grpc-gateway's clients put before the name of metadata.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// What grpc-gateway puts before the name of a trailer.
const TRAILER_PREFIX: &str = "grpc-trailer-";

/// What grpc-gateway puts before the name of an HTTP header.
const GATEWAY_PREFIX: &str = "grpcgateway-";

/// Decides what the request header `name` becomes in the metadata of the call. The value of a name that [is
/// binary](Name::is_binary) has to go through [`write_value`].
pub(crate) fn request_metadata<'h>(rule: HeaderRule, name: &'h [u8], value: &[u8]) -> Decision<'h> {
    let plain = Name::plain(name);
    match rule {
        HeaderRule::Transom => {
            if is_reserved(name) {
                return Decision::Drop;
            }
            pass(plain, value)
        }
        HeaderRule::GrpcGateway => {
            if name.eq_ignore_ascii_case(b"authorization") {
                if !is_printable(value) {
                    return Decision::Drop;
                }
                return Decision::PassTwice(
                    plain,
                    Name {
                        prefix: GATEWAY_PREFIX,
                        rest: name,
                    },
                );
            }
            if is_permanent(name) {
                return pass(
                    Name {
                        prefix: GATEWAY_PREFIX,
                        rest: name,
                    },
                    value,
                );
            }
            // SEMANTICS 129: tracing must not end at a gateway, whatever the rule.
            if is_of_tracing(name) {
                return pass(plain, value);
            }
            match strip_prefix(name, METADATA_PREFIX) {
                // THREATS B1: the prefix must not smuggle what has a meaning of its own.
                Some(rest) if !is_reserved(rest) && !rest.eq_ignore_ascii_case(b"user-agent") => {
                    pass(Name::plain(rest), value)
                }
                _ => Decision::Drop,
            }
        }
    }
}

/// Decides what the metadata `name` of a reply becomes in the headers of the response. The value passes as it is; that of a binary
/// name is base64 text already (SEMANTICS 130).
pub(crate) fn response_header<'h>(rule: HeaderRule, name: &'h [u8], value: &[u8]) -> Decision<'h> {
    if !is_printable(value) {
        return Decision::Drop;
    }
    match rule {
        HeaderRule::Transom if !may_answer(name) => Decision::Drop,
        HeaderRule::Transom => pass(Name::plain(name), value),
        // SEMANTICS 131: the content type passes, for clients of etcd see `Grpc-Metadata-Content-Type: application/grpc`.
        HeaderRule::GrpcGateway
            if is_reserved(name) && !name.eq_ignore_ascii_case(b"content-type") =>
        {
            Decision::Drop
        }
        HeaderRule::GrpcGateway => pass(
            Name {
                prefix: METADATA_PREFIX,
                rest: name,
            },
            value,
        ),
    }
}

/// Decides what the metadata `name` of a reply's trailers becomes in the trailers of the response.
pub(crate) fn response_trailer<'h>(rule: HeaderRule, name: &'h [u8], value: &[u8]) -> Decision<'h> {
    // SEMANTICS 131: of what a message is made up is settled by its head.
    if !is_printable(value) || !may_answer(name) {
        return Decision::Drop;
    }
    let prefix = match rule {
        HeaderRule::Transom => "",
        HeaderRule::GrpcGateway => TRAILER_PREFIX,
    };
    pass(Name { prefix, rest: name }, value)
}

/// Appends a request header's value as the metadata `name` has it: text unchanged, binary values in canonical base64.
/// `scratch` holds the bytes of a binary value meanwhile.
///
/// # Errors
/// `BadMetadata` when a binary value is not base64 (SEMANTICS 130). `out` is as before then.
pub(crate) fn write_value(
    name: &Name<'_>,
    value: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    if !name.is_binary() {
        out.extend_from_slice(value);
        return Ok(());
    }
    let start = out.len();
    // A comma separates values that a proxy joined; gRPC reads them apart again.
    for (index, element) in value.split(|&byte| byte == b',').enumerate() {
        scratch.clear();
        if !base64::decode(element.trim_ascii(), scratch) {
            out.truncate(start);
            return Err(Error::request(ErrorKind::BadMetadata));
        }
        if index > 0 {
            out.push(b',');
        }
        base64::encode(scratch, out);
        // gRPC over HTTP/2: implementations should emit values without padding.
        while out.last() == Some(&b'=') {
            out.pop();
        }
    }
    Ok(())
}

impl<'h> Name<'h> {
    /// This name without a prefix.
    pub(crate) const fn plain(name: &'h [u8]) -> Self {
        Self {
            prefix: "",
            rest: name,
        }
    }

    /// What comes behind the prefix.
    pub(crate) const fn rest(&self) -> &'h [u8] {
        self.rest
    }

    /// Whether it is this one, which is in lower case.
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        self.prefix.len() + self.rest.len() == name.len() && self.begins_with(name)
    }

    /// Whether it begins with these bytes, which are in lower case.
    pub(crate) fn begins_with(&self, beginning: &[u8]) -> bool {
        let (prefix, rest) = beginning.split_at(self.prefix.len().min(beginning.len()));
        self.prefix.as_bytes().starts_with(prefix)
            && self
                .rest
                .get(..rest.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(rest))
    }

    pub(crate) fn is_of_tracing(&self) -> bool {
        self.prefix.is_empty() && is_of_tracing(self.rest)
    }

    /// Appends the name in lower case, as HTTP/2 wants it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend(self.rest.iter().map(u8::to_ascii_lowercase));
    }

    /// Whether the value is base64 of any bytes.
    pub(crate) fn is_binary(&self) -> bool {
        self.rest
            .last_chunk::<4>()
            .is_some_and(|end| end.eq_ignore_ascii_case(b"-bin"))
    }
}

/// Lets a header pass if the name is a metadata key, and the value is printable or will be decoded.
pub(crate) fn pass<'h>(name: Name<'h>, value: &[u8]) -> Decision<'h> {
    // HTTP allows more in a name than gRPC, whose servers may fail the call for it.
    let is_key = !name.rest.is_empty() && name.rest.iter().copied().all(is_name_byte);
    if is_key && (name.is_binary() || is_printable(value)) {
        Decision::Pass(name)
    } else {
        Decision::Drop
    }
}

/// A byte of a name in gRPC over HTTP/2, in either case.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// The bytes of `ASCII-Value` in gRPC over HTTP/2.
pub(crate) fn is_printable(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// What remains of a name after a prefix that may be in any case.
fn strip_prefix<'h>(name: &'h [u8], prefix: &str) -> Option<&'h [u8]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix.as_bytes())
        .then_some(rest)
}

/// Names that never pass as metadata: those of gRPC, of one connection, and of the framing and coding of one message.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    // By length first: most headers are then compared with one name or none.
    let names: &[&str] = match name.len() {
        2 => &["te"],
        4 => &["host"],
        6 => &["expect"],
        7 => &["trailer", "upgrade"],
        10 => &["connection", "keep-alive"],
        12 => &["content-type"],
        14 => &["content-length", "http2-settings"],
        15 => &["accept-encoding"],
        16 => &["content-encoding", "proxy-connection"],
        17 => &["sec-websocket-key", "transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        20 => &["sec-websocket-accept"],
        21 => &["sec-websocket-version"],
        22 => &["sec-websocket-protocol"],
        24 => &["sec-websocket-extensions"],
        _ => &[],
    };
    // By its first letter first, for the same reason.
    let is_of_grpc = matches!(name, [b'g' | b'G', ..]) && strip_prefix(name, "grpc-").is_some();
    is_of_grpc || is_one_of(name, names)
}

/// Whether metadata of a reply may become a header or trailer of this name.
pub(crate) fn may_answer(name: &[u8]) -> bool {
    !is_reserved(name) && !is_of_this_hop(name)
}

/// The names of W3C Trace Context.
pub(crate) fn is_of_tracing(name: &[u8]) -> bool {
    is_one_of(name, &["traceparent", "tracestate"])
}

/// Names of a response that speak for the server that sent it, and would be ours if they passed.
pub(crate) fn is_of_this_hop(name: &[u8]) -> bool {
    is_one_of(name, &["alt-svc", "date"])
}

/// The permanent HTTP headers as grpc-gateway has them (`isPermanentHTTPHeader` in `runtime/context.go`), without Authorization, which
/// has a rule of its own, and Host and Expect, which are about this hop.
fn is_permanent(name: &[u8]) -> bool {
    let names: &[&str] = match name.len() {
        3 => &["via"],
        4 => &["date", "from"],
        6 => &["accept", "cookie", "origin", "pragma"],
        7 => &["referer", "warning"],
        8 => &["if-match"],
        10 => &["user-agent"],
        12 => &["content-type", "max-forwards"],
        13 => &["accept-ranges", "cache-control", "if-none-match"],
        14 => &["accept-charset"],
        15 => &["accept-language"],
        17 => &["if-modified-since"],
        19 => &["if-unmodified-since"],
        21 => &["if-schedule-tag-match"],
        _ => &[],
    };
    is_one_of(name, names)
}

pub(crate) fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|candidate| is_named(name, candidate.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(decision: Decision<'_>) -> Vec<String> {
        let write = |name: Name<'_>| {
            let mut out = Vec::new();
            name.write(&mut out);
            String::from_utf8(out).unwrap()
        };
        match decision {
            Decision::Drop => Vec::new(),
            Decision::Pass(name) => vec![write(name)],
            Decision::PassTwice(first, second) => vec![write(first), write(second)],
        }
    }

    fn request(rule: HeaderRule, name: &str) -> Vec<String> {
        names(request_metadata(rule, name.as_bytes(), b"value"))
    }

    fn response(rule: HeaderRule, name: &str) -> Vec<String> {
        names(response_header(rule, name.as_bytes(), b"value"))
    }

    const RESERVED: [&str; 26] = [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "HTTP2-Settings",
        "Expect",
        "Host",
        "Content-Length",
        "Content-Encoding",
        "Accept-Encoding",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
        "grpc-status",
        "Grpc-Message",
        "grpc-status-details-bin",
        "grpc-trace-bin",
        "grpc-",
        "x y",
        "x!",
        "",
    ];

    #[test]
    fn end_to_end_headers_pass_under_their_names() {
        for name in [
            "Authorization",
            "cookie",
            "X-Request-Id",
            "traceparent",
            "user-agent",
            "x_y.z-bin",
        ] {
            assert_eq!(
                request(HeaderRule::Transom, name),
                [name.to_ascii_lowercase()]
            );
        }
        assert_eq!(response(HeaderRule::Transom, "Set-Cookie"), ["set-cookie"]);
    }

    #[test]
    fn reserved_names_never_pass() {
        for name in RESERVED {
            assert!(request(HeaderRule::Transom, name).is_empty(), "{name}");
            assert!(request(HeaderRule::GrpcGateway, name).is_empty(), "{name}");
            assert!(response(HeaderRule::Transom, name).is_empty(), "{name}");
            assert!(response(HeaderRule::GrpcGateway, name).is_empty(), "{name}");
            let prefixed = format!("Grpc-Metadata-{name}");
            assert!(
                request(HeaderRule::Transom, &prefixed).is_empty(),
                "{prefixed}"
            );
            assert!(
                request(HeaderRule::GrpcGateway, &prefixed).is_empty(),
                "{prefixed}"
            );
        }
        assert!(request(HeaderRule::Transom, "content-type").is_empty());
        for name in ["content-type", "date", "alt-svc"] {
            assert!(response(HeaderRule::Transom, name).is_empty(), "{name}");
        }
        assert!(request(HeaderRule::GrpcGateway, "Grpc-Metadata-Content-Type").is_empty());
        assert!(request(HeaderRule::GrpcGateway, "Grpc-Metadata-User-Agent").is_empty());
    }

    #[test]
    fn grpc_gateway_renames_what_it_lets_pass() {
        let request = |name| request(HeaderRule::GrpcGateway, name);
        assert_eq!(request("Grpc-Metadata-X-Foo"), ["x-foo"]);
        assert_eq!(request("Accept"), ["grpcgateway-accept"]);
        assert_eq!(request("Content-Type"), ["grpcgateway-content-type"]);
        assert_eq!(
            request("If-Unmodified-Since"),
            ["grpcgateway-if-unmodified-since"]
        );
        assert_eq!(
            request("Authorization"),
            ["authorization", "grpcgateway-authorization"]
        );
        assert_eq!(request("Traceparent"), ["traceparent"]);
        assert!(request("X-Foo").is_empty() && request("x-forwarded-for").is_empty());
        let response = |name| response(HeaderRule::GrpcGateway, name);
        assert_eq!(response("x-foo"), ["grpc-metadata-x-foo"]);
        assert_eq!(response("content-type"), ["grpc-metadata-content-type"]);
    }

    #[test]
    fn values_that_are_not_printable_are_dropped() {
        for value in ["a\tb", "caf\u{e9}", "a\r\nb: c", "\0", "\u{7f}"] {
            for rule in [HeaderRule::Transom, HeaderRule::GrpcGateway] {
                for name in ["x", "authorization", "grpc-metadata-x"] {
                    let decision = request_metadata(rule, name.as_bytes(), value.as_bytes());
                    assert_eq!(decision, Decision::Drop, "{name} {value:?}");
                }
                for name in ["x", "x-bin"] {
                    let decision = response_header(rule, name.as_bytes(), value.as_bytes());
                    assert_eq!(decision, Decision::Drop, "{name} {value:?}");
                }
            }
        }
    }

    #[test]
    fn binary_values_become_canonical_base64() {
        let write = |name: &str, value: &str| {
            let Decision::Pass(name) =
                request_metadata(HeaderRule::Transom, name.as_bytes(), value.as_bytes())
            else {
                panic!("{name} was dropped");
            };
            let mut out = b"before".to_vec();
            let written = write_value(&name, value.as_bytes(), &mut Vec::new(), &mut out);
            assert!(written.is_ok() || out == b"before");
            written.map(|()| String::from_utf8(out.split_off(6)).unwrap())
        };
        for (value, canonical) in [
            ("-_8=", "+/8"),
            ("Zg", "Zg"),
            ("Zg==, Zm8", "Zg,Zm8"),
            ("", ""),
        ] {
            assert_eq!(write("X-Trace-BIN", value).as_deref(), Ok(canonical));
        }
        for value in ["!", "Z", "Zg=", "Zg==Zg==", "caf\u{e9}", "a b"] {
            let refused = Err(Error::request(ErrorKind::BadMetadata));
            assert_eq!(write("x-bin", value), refused, "{value}");
        }
        assert_eq!(write("x-text", "!").as_deref(), Ok("!"));
    }
}
