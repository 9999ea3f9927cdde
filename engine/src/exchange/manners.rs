//! How the gateway answers, beside the JSON of messages: what a profile decides. In: what the caller sets. Out: plain values, and what is
//! wrong with them for a schema. Always: the default is the `transom` profile.

use std::fmt;
use std::time::Duration;

use super::timeouts::{self, MethodTimeouts};
use super::{
    Coding, ContentTypes, Cors, Forms, QueryRule, SizeLimits, Streams, Transcoder, UnwantedBodies,
};
use crate::bind;
use crate::compile::Schema;
use crate::grpc::header_lists::HeaderLists;
use crate::grpc::metadata::{HeaderRule, Name};
use crate::plan::BodyPlan;

/// How the gateway answers, beside the JSON of messages: what a profile decides. The default is this gateway's own; to be taken for another one, set
/// what clients of that one rely on.
///
/// # Examples
/// ```
/// use transom_engine::exchange::{ErrorForm, Manners, RetryAfter, WrongMethod};
/// use transom_engine::grpc::metadata::HeaderRule;
///
/// // As grpc-gateway v2.
/// let manners = Manners {
///     headers: HeaderRule::GrpcGateway,
///     wrong_method: WrongMethod::NotImplemented,
///     errors: ErrorForm::Status,
///     ignores_trailing_data: true,
///     method_override: true,
///     retry_after: RetryAfter::Never,
///     ..Manners::default()
/// };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, set by name"
)]
pub struct Manners {
    /// Which headers cross, and under which names.
    pub headers: HeaderRule,
    /// Headers of requests that one lets become metadata, or not, or under other names (SEMANTICS 129).
    pub request_headers: Option<HeaderLists>,
    /// The same for metadata of replies that become headers and trailers (SEMANTICS 131).
    pub response_headers: Option<HeaderLists>,
    /// What a known path with a method that no rule has gets.
    pub wrong_method: WrongMethod,
    /// The shape of error bodies.
    pub errors: ErrorForm,
    /// Whether what follows the JSON value of a body is ignored, as both versions of grpc-gateway do, or refused (SEMANTICS 68).
    pub ignores_trailing_data: bool,
    /// Whether a `POST` of a form may ask for another method by `X-HTTP-Method-Override`, and finds the rule for `GET` where there is none for `POST`, as with
    /// grpc-gateway (SEMANTICS 119). Where the rule has no body, the form's fields are bound as those of the query are.
    pub method_override: bool,
    /// Whether the metadata `x-http-code` of a reply, three digits from 200 on, is the HTTP status of the response (SEMANTICS 135). An error
    /// takes only the status of an error.
    pub status_from_upstream: bool,
    /// Whether clients are told when to try again (SEMANTICS 113).
    pub retry_after: RetryAfter,
    /// Whether `google.rpc.DebugInfo` is left out of the details of an error (SEMANTICS 117).
    pub hides_debug_info: bool,
    /// How long a call may take if the client does not say (SEMANTICS 133).
    pub timeout_default: Option<Duration>,
    /// How long a call may take, whatever the client says (SEMANTICS 133).
    pub timeout_max: Option<Duration>,
    /// The same for some methods alone; the more special selector wins, and any wins over the two for all. [`Transcoder::check_manners`] says
    /// which fits no method.
    pub timeouts: Vec<MethodTimeouts>,
    /// The HTTP status of the successes of some methods: 201, 202 (SEMANTICS 136). [`Transcoder::check_manners`] says what is wrong with them.
    pub success_statuses: Vec<SuccessStatus>,
    /// What pages of other origins may do; nothing is said to them without it (SEMANTICS 138).
    pub cors: Option<Cors>,
    /// Which replies are compressed for whom; none without it (SEMANTICS 137). A build without the feature `compression` compresses none.
    pub compression: Option<Compression>,
    /// The pages that may open a WebSocket (SEMANTICS 127).
    pub websocket_origins: WebSocketOrigins,
    /// Which types a body of JSON may state.
    pub content_types: ContentTypes,
    /// What `application/x-www-form-urlencoded` means.
    pub forms: Forms,
    /// What becomes of a body that no rule wants.
    pub unwanted_bodies: UnwantedBodies,
    /// What of a query counts.
    pub query: QueryRule,
    /// How streams of replies are laid out.
    pub streams: Streams,
    /// How long messages and streams may be.
    pub sizes: SizeLimits,
}

/// How replies are compressed (SEMANTICS 137).
///
/// # Examples
/// ```
/// use transom_engine::exchange::{Coding, Compression, Manners};
///
/// let compression = Compression { len_min: 4096, codings: vec![Coding::Gzip], ..Compression::default() };
/// let manners = Manners { compression: Some(compression), ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Bytes of the shortest body that is compressed.
    pub len_min: usize,
    /// What clients may have; where they want several as much, the first one.
    pub codings: Vec<Coding>,
    /// Content types that are compressed, without parameters.
    pub content_types: Vec<String>,
}

/// From 1 KiB on, JSON, in any coding.
impl Default for Compression {
    fn default() -> Self {
        Self {
            len_min: 1024,
            codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate],
            content_types: vec!["application/json".to_owned()],
        }
    }
}

/// The HTTP status with which a method succeeds; 200 for those that have none (SEMANTICS 136).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessStatus {
    /// The full name of the method: `package.Service.Method`.
    pub rpc: String,
    /// 200 to 299.
    pub status: u16,
}

/// What is wrong with [`Manners`] for a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadManners {
    /// The schema has no such method.
    UnknownRpc(String),
    /// The status of this method is none of success.
    NoSuccess(String, u16),
    /// The schema has no method that this selector of [`MethodTimeouts`] means.
    UnknownSelector(String),
}

impl fmt::Display for BadManners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRpc(rpc) => write!(
                formatter,
                "success status of {rpc}: the schema has no such method"
            ),
            Self::NoSuccess(rpc, status) => write!(
                formatter,
                "success status of {rpc}: {status} is no success; give 200 to 299"
            ),
            Self::UnknownSelector(selector) => write!(
                formatter,
                "timeouts of {selector}: the schema has no such method; give a full name, as in package.Service.Method, or the beginning of one and a star, as in package.Service.*"
            ),
        }
    }
}

impl std::error::Error for BadManners {}

/// Whether an error whose details hold a `google.rpc.RetryInfo` is answered with `Retry-After` (SEMANTICS 113).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// With its delay in whole seconds, rounded up, unless the upstream sent a `retry-after` that crosses.
    #[default]
    FromRetryInfo,
    /// Only the details say it.
    Never,
}

/// The pages that may open a WebSocket (SEMANTICS 127). Browsers ask nobody before they do, and send the cookies of its host along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSocketOrigins {
    /// Those of the host that the WebSocket is opened to, and those that [`Manners::cors`] lets in. Who is no page says no origin, and is let in.
    #[default]
    Known,
    /// All, as grpc-websocket-proxy.
    Any,
}

/// The answer to a known path with a method that no rule has (SEMANTICS 42, 115).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongMethod {
    /// 405 and `Allow`.
    #[default]
    NotAllowed,
    /// 501, as grpc-gateway v2.
    NotImplemented,
    /// 404, as Envoy when it refuses unknown paths.
    NotFound,
}

/// The shape of error bodies (SEMANTICS 114).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"code", "message", "details"}`
    #[default]
    Status,
    /// The same with `"error"` equal to the message, and 412 for `FAILED_PRECONDITION`: grpc-gateway v1.
    GrpcGatewayV1,
}

impl Manners {
    /// Whether the gateway tells the upstream this of where a request came from: only under the rule of grpc-gateway (SEMANTICS 129).
    pub(super) fn forwards(&self, name: &[u8]) -> bool {
        let is_denied = |lists: &HeaderLists| lists.denies(Name::plain(name));
        self.headers == HeaderRule::GrpcGateway
            && !self.request_headers.as_ref().is_some_and(is_denied)
    }
}

impl Transcoder {
    /// Finds what the manners say of methods that the schema does not have, or cannot be. It is ignored otherwise.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check_manners(&self) -> Result<(), BadManners> {
        for SuccessStatus { rpc, status } in &self.manners.success_statuses {
            if !(200..300).contains(status) {
                return Err(BadManners::NoSuccess(rpc.clone(), *status));
            }
            if self.schema.methods().all(|each| each.full_name() != rpc) {
                return Err(BadManners::UnknownRpc(rpc.clone()));
            }
        }
        for MethodTimeouts { selector, .. } in &self.manners.timeouts {
            let mut methods = self.schema.methods();
            if !methods.any(|each| timeouts::fits(selector, each.full_name())) {
                return Err(BadManners::UnknownSelector(selector.clone()));
            }
        }
        Ok(())
    }

    /// Whether no request of any route has a field that takes what [`QueryRule::captured_by`] names the place of; not if it names none. That is
    /// no fault, but most likely not meant.
    pub fn captures_nowhere(&self) -> bool {
        let Some(name) = &self.manners.query.captured_by else {
            return false;
        };
        let schema = &self.schema;
        schema.routes.routes.iter().all(|route| {
            // SEMANTICS 70.
            let is_merged = self.manners.query.merges_into_whole_body && !route.takes_raw_body;
            let is_read = route.body != BodyPlan::Whole || is_merged;
            let input = schema.method_plan(route.method).input;
            !is_read || !bind::can_capture(&schema.plan, route, input, name)
        })
    }
}

/// The status of each method of the schema; none if they are all 200.
pub(super) fn success_statuses(schema: &Schema, wanted: &[SuccessStatus]) -> Box<[u16]> {
    if wanted.is_empty() {
        return Box::default();
    }
    let status = |rpc: &str| {
        wanted
            .iter()
            .find(|each| each.rpc == rpc && (200..300).contains(&each.status))
            .map_or(200, |each| each.status)
    };
    schema
        .methods()
        .map(|method| status(method.full_name()))
        .collect()
}
