//! Requests of pages that were loaded from another origin (CORS, SEMANTICS 138). In: settings, once; then the head of a request. Out: which
//! origin may read the answer, and the headers that say so. Always: nothing of this happens unless it is turned on; a preflight is answered
//! without the upstream.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::{Scratch, Transcoder};
use crate::coding;
use crate::exchange::Envelope;
use crate::http1::{self, PendingHead, RequestHead, is_token_byte, list_members};
use crate::limits::CORS_PATTERN_LEN_MAX;

/// What pages of other origins may do. Turned into [`Cors`] by [`Cors::new`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsSettings {
    /// Who may read answers: `*` is every origin, `https://*.example.com` every name below that one, anything else is itself.
    pub origins: Vec<String>,
    /// The same as regular expressions that have to match a whole origin.
    pub origin_patterns: Vec<String>,
    /// Whether browsers send cookies and the like, and may show the answer then. Not together with the origin `*`.
    pub allow_credentials: bool,
    /// Names of headers that a page may set; `*` is every name.
    pub allow_headers: Vec<String>,
    /// Names of headers of the answer that a page may read.
    pub expose_headers: Vec<String>,
    /// How many seconds a browser may remember the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// [`CorsSettings`] in the form in which requests are compared with them. Part of [`Manners`](super::Manners).
///
/// # Examples
/// ```
/// use transom_engine::exchange::{Cors, CorsSettings, Manners};
///
/// let settings = CorsSettings { origins: vec!["https://a.example".to_owned()], ..CorsSettings::default() };
/// let manners = Manners { cors: Some(Cors::new(settings.clone())?), ..Manners::default() };
/// assert!(Cors::new(CorsSettings { origin_patterns: vec!["(".to_owned()], ..settings }).is_err());
/// # Ok::<(), transom_engine::exchange::BadCors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    settings: CorsSettings,
    is_any: bool,
    patterns: Vec<Regex>,
    /// Values of headers, ready to be written.
    allow_headers: String,
    expose_headers: String,
}

/// What is wrong with [`CorsSettings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCors {
    /// No origin is let in at all.
    NoOrigin,
    /// Text that is no origin.
    Origin(String),
    /// Text that is no regular expression, or one that is too large.
    Pattern(String),
    /// Text that is no name of a header.
    Header(String),
    /// Every origin, with credentials: any page could act in the name of its visitor.
    AnyOriginWithCredentials,
}

/// Who may read the answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Reader {
    /// Nobody is told anything: CORS is off, or the request does not say where it comes from and every origin is as good.
    #[default]
    Unsaid,
    /// Every origin.
    Any,
    /// The origin at this place of the settings.
    Listed(usize),
    /// An origin that fits a wildcard or a pattern.
    Fitting(Box<[u8]>),
    /// No other origin; what is answered depends on the origin all the same.
    None,
}

impl Cors {
    /// Checks settings and prepares them.
    ///
    /// # Errors
    /// [`BadCors`] names what cannot be.
    pub fn new(settings: CorsSettings) -> Result<Self, BadCors> {
        if settings.origins.is_empty() && settings.origin_patterns.is_empty() {
            return Err(BadCors::NoOrigin);
        }
        let is_any = settings.origins.iter().any(|origin| origin == "*");
        if is_any && settings.allow_credentials {
            return Err(BadCors::AnyOriginWithCredentials);
        }
        let bad = settings.origins.iter().find(|origin| !is_origin(origin));
        if let Some(origin) = bad {
            return Err(BadCors::Origin(origin.clone()));
        }
        let patterns = settings.origin_patterns.iter().map(|pattern| {
            // A pattern that matched a part would let `https://a.example.evil.example` in.
            RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(CORS_PATTERN_LEN_MAX)
                .unicode(false)
                .build()
                .map_err(|_words| BadCors::Pattern(pattern.clone()))
        });
        let patterns = patterns.collect::<Result<_, _>>()?;
        let mut names = settings
            .allow_headers
            .iter()
            .chain(&settings.expose_headers);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token_byte);
        if let Some(name) = names.find(|name| !is_name(name)) {
            return Err(BadCors::Header(name.clone()));
        }
        Ok(Self {
            is_any,
            patterns,
            allow_headers: settings.allow_headers.join(", "),
            expose_headers: settings.expose_headers.join(", "),
            settings,
        })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &CorsSettings {
        &self.settings
    }

    /// Who may read the answer to this request.
    pub(super) fn reader(&self, head: &RequestHead, bytes: &[u8]) -> Reader {
        match head.header(bytes, b"origin") {
            None if self.is_any => Reader::Unsaid,
            Some(_) if self.is_any => Reader::Any,
            Some(origin) => self.reader_from(origin),
            None => Reader::None,
        }
    }

    fn reader_from(&self, origin: &[u8]) -> Reader {
        let listed = &self.settings.origins;
        // No origin holds a `*`, so that one with a wildcard is never found here.
        let at = listed.iter().position(|each| each.as_bytes() == origin);
        if let Some(index) = at.filter(|_| !origin.contains(&b'*')) {
            return Reader::Listed(index);
        }
        let fits = |each: &String| {
            let parts = each.split_once('*');
            parts.is_some_and(|(start, end)| is_below(origin, start.as_bytes(), end.as_bytes()))
        };
        if listed.iter().any(fits) || self.patterns.iter().any(|each| each.is_match(origin)) {
            return Reader::Fitting(origin.into());
        }
        Reader::None
    }

    /// Appends what every answer says.
    pub(super) fn write_headers(&self, reader: &Reader, head: &mut PendingHead, out: &mut Vec<u8>) {
        if !self.write_reader(reader, head, out) {
            return;
        }
        if !self.expose_headers.is_empty() {
            let names = self.expose_headers.as_bytes();
            head.header(out, b"access-control-expose-headers", names);
        }
    }

    /// Appends who may read the answer; says whether somebody may.
    fn write_reader(&self, reader: &Reader, head: &mut PendingHead, out: &mut Vec<u8>) -> bool {
        const ALLOW_ORIGIN: &[u8] = b"access-control-allow-origin";
        if !self.is_any {
            // A cache must not hand the answer for one origin to another.
            head.header(out, b"vary", b"Origin");
        }
        match reader {
            Reader::Unsaid | Reader::None => return false,
            Reader::Any => head.header(out, ALLOW_ORIGIN, b"*"),
            Reader::Listed(index) => {
                let origin = self.settings.origins.get(*index).map_or("", String::as_str);
                head.header(out, ALLOW_ORIGIN, origin.as_bytes())
            }
            Reader::Fitting(origin) => head.header(out, ALLOW_ORIGIN, origin),
        };
        if self.settings.allow_credentials {
            head.header(out, b"access-control-allow-credentials", b"true");
        }
        true
    }

    /// Appends what a preflight is told beside that: what the page may send.
    fn write_permissions(
        &self,
        methods: &str,
        wanted_headers: Option<&[u8]>,
        head: &mut PendingHead,
        out: &mut Vec<u8>,
    ) {
        head.header(out, b"access-control-allow-methods", methods.as_bytes());
        let lets_all = self.settings.allow_headers.iter().any(|name| name == "*");
        let names = if lets_all {
            // `*` itself would leave out Authorization, and have no meaning with credentials.
            wanted_headers.filter(|names| {
                list_members(names).all(|name| name.iter().all(|&byte| is_token_byte(byte)))
            })
        } else {
            Some(self.allow_headers.as_bytes())
        };
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            head.header(out, b"access-control-allow-headers", names);
        }
        if let Some(seconds) = self.settings.max_age_seconds {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(seconds).as_bytes();
            head.header(out, b"access-control-max-age", digits);
        }
    }
}

/// Two that were made of the same settings.
impl PartialEq for Cors {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Cors {}

impl fmt::Display for BadCors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrigin => {
                formatter.write_str("cors: no origin is let in; give one, or a pattern")
            }
            Self::Origin(text) => write!(
                formatter,
                "cors origin {text:?}: expected *, or a scheme and a host such as https://a.example or https://*.example.com, and nothing behind them"
            ),
            Self::Pattern(text) => write!(
                formatter,
                "cors origin pattern {text:?}: no regular expression, or too large a one"
            ),
            Self::Header(text) => write!(formatter, "cors header {text:?}: no name of a header"),
            Self::AnyOriginWithCredentials => formatter.write_str(
                "cors: the origin * and credentials exclude each other; list the origins",
            ),
        }
    }
}

impl std::error::Error for BadCors {}

impl Transcoder {
    /// What the answer to this request has to know of it: [`Envelope::of`], and what the manners want to know.
    pub fn envelope(&self, head: &RequestHead, bytes: &[u8]) -> Envelope {
        let mut envelope = Envelope::of(head, bytes);
        if let Some(cors) = &self.manners.cors {
            envelope.reader = cors.reader(head, bytes);
        }
        if let Some(compression) = &self.manners.compression {
            envelope.coding = head
                .header(bytes, b"accept-encoding")
                .and_then(|value| coding::accepted(value, &compression.codings));
        }
        envelope
    }

    /// Whether this asks what a page of another origin may do (SEMANTICS 138). Any other `OPTIONS` is a request like others.
    pub(super) fn is_preflight(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        self.manners.cors.is_some()
            && head.method(bytes) == b"OPTIONS"
            && head.header(bytes, b"origin").is_some()
            && head
                .header(bytes, b"access-control-request-method")
                .is_some()
    }

    /// Appends the answer to a preflight: what the routes of the path allow, if the origin is let in.
    pub fn write_preflight(
        &self,
        envelope: &Envelope,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let mut methods = self.allowed_methods(head, bytes, scratch);
        // A rule for every method: what the page wants is allowed, and `*` would mean nothing with credentials.
        if methods.split(", ").any(|method| method == "*") {
            let wanted = head.header(bytes, b"access-control-request-method");
            let wanted = wanted.filter(|wanted| wanted.iter().all(|&byte| is_token_byte(byte)));
            methods = String::from_utf8_lossy(wanted.unwrap_or(b"GET")).into_owned();
        }
        let mut pending = http1::begin(out, &envelope.head(204, None));
        if let Some(cors) = &self.manners.cors {
            let is_let_in = cors.write_reader(&envelope.reader, &mut pending, out);
            let dependence = b"Access-Control-Request-Method, Access-Control-Request-Headers";
            pending.header(out, b"vary", dependence);
            if is_let_in {
                let wanted = head.header(bytes, b"access-control-request-headers");
                cors.write_permissions(&methods, wanted, &mut pending, out);
            }
        }
        pending.open_body(out).finish(out);
    }
}

/// Whether this may stand in a list of origins.
fn is_origin(text: &str) -> bool {
    if text == "*" || text == "null" {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let is_plain = |byte: u8| {
        byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"/?#@*\"\\".contains(&byte)
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    scheme.bytes().all(|byte| byte.is_ascii_lowercase())
        && !scheme.is_empty()
        && !name.is_empty()
        && name.bytes().all(is_plain)
}

/// Whether an origin is one or more labels between the parts of `https://*.example.com`.
fn is_below(origin: &[u8], start: &[u8], end: &[u8]) -> bool {
    let labels = origin
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end));
    labels.is_some_and(|labels| {
        !labels.is_empty()
            && labels
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], patterns: &[&str]) -> Result<Cors, BadCors> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Cors::new(CorsSettings {
            origins: owned(origins),
            origin_patterns: owned(patterns),
            ..CorsSettings::default()
        })
    }

    #[test]
    fn origins_are_compared_as_a_whole() {
        let listed = cors(
            &["https://a.example", "https://*.b.example:8443", "null"],
            &[],
        )
        .unwrap();
        let matched = cors(&[], &["https://[a-z]+\\.c\\.example(:[0-9]+)?|http://x"]).unwrap();
        for (cors, origin, is_let_in) in [
            (&listed, "https://a.example", true),
            (&listed, "https://a.example.evil", false),
            (&listed, "http://a.example", false),
            (&listed, "https://a.example:444", false),
            (&listed, "https://x.b.example:8443", true),
            (&listed, "https://x.y.b.example:8443", true),
            (&listed, "https://.b.example:8443", false),
            (&listed, "https://b.example:8443", false),
            (&listed, "https://evil/.b.example:8443", false),
            (&listed, "https://evil:1@x.b.example:8443", false),
            (&listed, "null", true),
            (&listed, "", false),
            (&matched, "https://x.c.example", true),
            (&matched, "https://x.c.example:1", true),
            (&matched, "https://x.c.example.evil", false),
            (&matched, "evil https://x.c.example", false),
            (&matched, "http://x", true),
            (&matched, "http://xy", false),
            (&matched, "http://x\n", false),
        ] {
            // A lone prefix of the wildcard is a name without a label of its own; one dot is one of those bytes.
            let reader = cors.reader_from(origin.as_bytes());
            assert_eq!(reader != Reader::None, is_let_in, "{origin:?}");
        }
        // As if somebody sent what the settings say.
        assert_eq!(
            listed.reader_from(b"https://*.b.example:8443"),
            Reader::None
        );
    }

    #[test]
    fn settings_that_cannot_be_are_told() {
        assert_eq!(cors(&[], &[]), Err(BadCors::NoOrigin));
        for text in [
            "",
            "a.example",
            "https://",
            "https://a/",
            "https://a.*",
            "https://A.example",
            "*://a",
        ] {
            assert_eq!(cors(&[text], &[]), Err(BadCors::Origin(text.to_owned())));
        }
        for text in ["(", "a{1000000}"] {
            assert_eq!(cors(&[], &[text]), Err(BadCors::Pattern(text.to_owned())));
        }
        let settings = CorsSettings {
            origins: vec!["*".to_owned()],
            ..CorsSettings::default()
        };
        let credentials = CorsSettings {
            allow_credentials: true,
            ..settings.clone()
        };
        assert_eq!(
            Cors::new(credentials),
            Err(BadCors::AnyOriginWithCredentials)
        );
        let header = CorsSettings {
            allow_headers: vec!["x y".to_owned()],
            ..settings
        };
        assert_eq!(Cors::new(header), Err(BadCors::Header("x y".to_owned())));
    }
}
