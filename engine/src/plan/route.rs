//! Methods and routes as tables. In: nothing at run time. Out: what `route` finds and `bind` follows.
//! Always: indices are valid for the plan they were compiled with.

use std::ops::Range;

use super::{FieldIndex, MessageIndex};

/// Index of a method in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodIndex(pub(crate) u32);

/// Index of a route in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteIndex(pub(crate) u32);

/// One rpc.
#[derive(Debug)]
pub(crate) struct MethodPlan {
    /// `package.Service.Method`, as tables and errors name it.
    pub(crate) full_name: Box<str>,
    /// `/package.Service/Method`, the `:path` of its calls.
    pub(crate) path: Box<str>,
    pub(crate) input: MessageIndex,
    pub(crate) output: MessageIndex,
    pub(crate) is_client_streaming: bool,
    pub(crate) is_server_streaming: bool,
}

/// One binding of a method to a template.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    /// `GET`, `POST`, ... or a custom kind; `*` is every method (SEMANTICS 9).
    pub(crate) http_method: Box<str>,
    /// The template as written, for tables and errors.
    pub(crate) template: Box<str>,
    pub(crate) method: MethodIndex,
    pub(crate) body: BodyPlan,
    /// Whether what `body` leads to is a `google.api.HttpBody`, which takes the bytes of the request as they are (SEMANTICS 71).
    pub(crate) takes_raw_body: bool,
    /// The field of the reply that is the whole HTTP body, if the rule names one.
    pub(crate) response_body: Option<FieldIndex>,
    /// Whether that field, or else the whole reply, is a `google.api.HttpBody`, whose bytes are the response (SEMANTICS 72).
    pub(crate) gives_raw_body: bool,
    /// The field mask that the body of a `PATCH` fills where the request leaves it unset (SEMANTICS 74). Never the field of the body.
    pub(crate) mask: Option<FieldIndex>,
    /// In the order of the template, which is the order of their places in the path.
    pub(crate) variables: Box<[VariablePlan]>,
    pub(crate) shape: ShapePlan,
}

/// What `route` needs to find the places of variables in a path that has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapePlan {
    /// Segments of the template.
    pub(crate) segment_count: u16,
    /// The segment that is `**`, if one is. `rest < segment_count`.
    pub(crate) rest: Option<u16>,
    /// Whether the template ends in `:verb`.
    pub(crate) has_verb: bool,
}

/// Where the HTTP body of a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyPlan {
    /// Nowhere; every unbound field is a query field.
    Ignored,
    /// It is the whole message; there are no query fields.
    Whole,
    /// It is the value of this field of the input.
    Field(FieldIndex),
}

/// One variable of a template.
#[derive(Debug)]
pub(crate) struct VariablePlan {
    /// As written: `book.name`.
    pub(crate) name: Box<str>,
    /// From the input message down to the field; never empty.
    pub(crate) path: Box<[FieldStep]>,
    /// Whether it captures exactly one segment, which is decoded in full (SEMANTICS 15); else `%2F` stays (SEMANTICS 18).
    pub(crate) is_single_segment: bool,
    /// The segments of the template it spans. `start < end <= segment_count`.
    pub(crate) segments: Range<u16>,
}

/// One step into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldStep {
    pub(crate) message: MessageIndex,
    pub(crate) field: FieldIndex,
}
