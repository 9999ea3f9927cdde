//! HTTP rules. In: the options of a method. Out: its bindings, the primary one first. Always: the rule is read by its extension number,
//! so neither a set without `google/api/http.proto` nor options unknown here can hide it.

use prost::Message as _;
use prost_reflect::MethodDescriptor;

use super::template::Template;

/// One way to call a method over HTTP, with names not yet resolved.
#[derive(Debug)]
pub(crate) struct Binding {
    /// `GET`, `POST`, ...; `*` is every method.
    pub(crate) http_method: String,
    /// The template as written.
    pub(crate) text: String,
    pub(crate) template: Template,
    /// Empty, `*`, or a field of the request.
    pub(crate) body: String,
    /// Empty or a field of the response.
    pub(crate) response_body: String,
}

/// The bindings of a method; none where it has no rule.
///
/// Rules that come from outside of the proto file and replace its own (SEMANTICS 8) will enter here.
///
/// # Errors
/// What is wrong with the rule and what to do; the caller adds file and method.
pub(crate) fn bindings(method: &MethodDescriptor) -> Result<Vec<Binding>, String> {
    let options = RuleOptions::decode(method.options().encode_to_vec().as_slice())
        .map_err(|error| format!("its google.api.http option cannot be read: {error}"))?;
    let Some(rule) = options.http else {
        return Ok(Vec::new());
    };
    let mut bindings = vec![binding(&rule)?];
    for additional in &rule.additional_bindings {
        // SEMANTICS 7
        if !additional.additional_bindings.is_empty() {
            return Err(
                "additional_bindings stand inside of additional_bindings; move them to the outer rule"
                    .to_owned(),
            );
        }
        bindings.push(binding(additional)?);
    }
    Ok(bindings)
}

fn binding(rule: &HttpRule) -> Result<Binding, String> {
    let (http_method, text) = match &rule.pattern {
        Some(Pattern::Get(text)) => ("GET", text),
        Some(Pattern::Put(text)) => ("PUT", text),
        Some(Pattern::Post(text)) => ("POST", text),
        Some(Pattern::Delete(text)) => ("DELETE", text),
        Some(Pattern::Patch(text)) => ("PATCH", text),
        // SEMANTICS 9
        Some(Pattern::Custom(custom)) if is_token(&custom.kind) => {
            (custom.kind.as_str(), &custom.path)
        }
        Some(Pattern::Custom(custom)) => {
            return Err(format!(
                "the custom kind `{}` is no HTTP method; give a token such as `HEAD`, or `*` for every method",
                custom.kind.escape_default()
            ));
        }
        None => {
            return Err(
                "its rule has no path; give one of get, put, post, delete, patch and custom"
                    .to_owned(),
            );
        }
    };
    let template = Template::parse(text).map_err(|error| {
        format!(
            "the template `{}` is not valid: {error}",
            text.escape_debug()
        )
    })?;
    Ok(Binding {
        http_method: http_method.to_owned(),
        text: text.clone(),
        template,
        body: rule.body.clone(),
        response_body: rule.response_body.clone(),
    })
}

/// RFC 9110, 5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `google.protobuf.MethodOptions`, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
struct RuleOptions {
    #[prost(message, optional, tag = "72295728")]
    http: Option<HttpRule>,
}

/// `google.api.HttpRule`
#[derive(Clone, PartialEq, prost::Message)]
struct HttpRule {
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    body: String,
    #[prost(message, repeated, tag = "11")]
    additional_bindings: Vec<Self>,
    #[prost(string, tag = "12")]
    response_body: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomPattern),
}

/// `google.api.CustomHttpPattern`
#[derive(Clone, PartialEq, prost::Message)]
struct CustomPattern {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    path: String,
}
