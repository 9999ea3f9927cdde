//! HTTP rules. In: the options of a method, or a rule from outside. Out: its bindings, the primary one first. Always: an annotation is read by its
//! extension number, so neither a set without `google/api/http.proto` nor options unknown here can hide it.

use prost::Message as _;
use prost_reflect::MethodDescriptor;

use super::outside;
use super::template::Template;

/// `google.api.http`
const HTTP_EXTENSION: i32 = 72295728;

/// `MethodDescriptorProto.options`
const OPTIONS_TAG: i32 = 4;

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

/// A binding and where its rule stands, or what is wrong with it and what to do.
pub(crate) type Read = (Place, Result<Binding, String>);

/// Where a rule stands.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In the options of its method.
    Annotation,
    /// Outside, where the embedder says.
    Outside(String),
}

impl Place {
    /// The place of a rule of this method, in words: a file, and a line where it is known.
    pub(crate) fn of(&self, method: &MethodDescriptor) -> String {
        match self {
            Self::Annotation => annotation_place(method),
            Self::Outside(place) => place.clone(),
        }
    }
}

/// The file of a method, with the line of its rule, or of the method, where the descriptors tell.
fn annotation_place(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let descriptor = file.file_descriptor_proto();
    let of_rule = [method.path(), &[OPTIONS_TAG, HTTP_EXTENSION]].concat();
    let locations = descriptor
        .source_code_info
        .iter()
        .flat_map(|info| &info.location);
    let line = locations
        .filter(|location| {
            location.path == method.path() || location.path.starts_with(of_rule.as_slice())
        })
        // The rule is further down than the method, and its first line comes before those of its fields.
        .max_by_key(|location| {
            (
                location.path.starts_with(of_rule.as_slice()),
                std::cmp::Reverse(location.path.len()),
            )
        })
        .and_then(|location| location.span.first());
    match line {
        Some(line) => format!("{}:{}", file.name(), line.saturating_add(1)),
        None => file.name().to_owned(),
    }
}

/// The bindings that a method is annotated with; none where it has no rule. Each is read by itself: a bad one does not hide the others
/// (SEMANTICS 14).
pub(crate) fn annotated(method: &MethodDescriptor) -> Vec<Read> {
    let options = match RuleOptions::decode(method.options().encode_to_vec().as_slice()) {
        Ok(options) => options,
        Err(error) => {
            let text = format!("its google.api.http option cannot be read: {error}");
            return vec![(Place::Annotation, Err(text))];
        }
    };
    let Some(rule) = options.http else {
        return Vec::new();
    };
    let additional = rule
        .additional_bindings
        .iter()
        .map(|each| one_level(each.additional_bindings.is_empty()).and_then(|()| annotation(each)));
    std::iter::once(annotation(&rule))
        .chain(additional)
        .map(|binding| (Place::Annotation, binding))
        .collect()
}

/// The bindings of a rule from outside (SEMANTICS 8).
pub(crate) fn from_outside(rule: &outside::HttpRule) -> Vec<Read> {
    let read = |rule: &outside::HttpRule| {
        if rule.template.is_empty() && rule.http_method.is_empty() {
            return Err(NO_PATH.to_owned());
        }
        binding(
            &rule.http_method,
            &rule.template,
            &rule.body,
            &rule.response_body,
        )
    };
    let additional = rule.additional_bindings.iter().map(|each| {
        let binding = one_level(each.additional_bindings.is_empty()).and_then(|()| read(each));
        (Place::Outside(each.place.clone()), binding)
    });
    std::iter::once((Place::Outside(rule.place.clone()), read(rule)))
        .chain(additional)
        .collect()
}

const NO_PATH: &str = "its rule has no path; give one of get, put, post, delete, patch and custom";

/// SEMANTICS 7
fn one_level(is_last: bool) -> Result<(), String> {
    if is_last {
        return Ok(());
    }
    Err(
        "additional_bindings stand inside of additional_bindings; move them to the outer rule"
            .to_owned(),
    )
}

fn annotation(rule: &HttpRule) -> Result<Binding, String> {
    let (http_method, text) = match &rule.pattern {
        Some(Pattern::Get(text)) => ("GET", text),
        Some(Pattern::Put(text)) => ("PUT", text),
        Some(Pattern::Post(text)) => ("POST", text),
        Some(Pattern::Delete(text)) => ("DELETE", text),
        Some(Pattern::Patch(text)) => ("PATCH", text),
        Some(Pattern::Custom(custom)) => (custom.kind.as_str(), &custom.path),
        None => return Err(NO_PATH.to_owned()),
    };
    binding(http_method, text, &rule.body, &rule.response_body)
}

fn binding(
    http_method: &str,
    text: &str,
    body: &str,
    response_body: &str,
) -> Result<Binding, String> {
    // SEMANTICS 9
    if !is_token(http_method) {
        return Err(format!(
            "the custom kind `{}` is no HTTP method; give a token such as `HEAD`, or `*` for every method",
            http_method.escape_default()
        ));
    }
    let template = Template::parse(text).map_err(|error| {
        format!(
            "the template `{}` is not valid: {error}",
            text.escape_debug()
        )
    })?;
    Ok(Binding {
        http_method: http_method.to_owned(),
        text: text.to_owned(),
        template,
        body: body.to_owned(),
        response_body: response_body.to_owned(),
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
