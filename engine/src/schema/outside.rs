//! Rules that come from outside of the proto file. In: what the embedder read from a service configuration or made itself.
//! Out: plain values. Always: names and templates are not yet checked; `compile` does that.

/// A rule for one method in place of its `google.api.http` annotation: `google.api.HttpRule`, as data (SEMANTICS 8). Given to
/// [`Schema::compile_with_rules`](crate::Schema::compile_with_rules).
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::{HttpRule, Options, Schema, route::Scratch};
///
/// let rule = HttpRule {
///     selector: "hello.v1.Greeter.SayHello".to_owned(),
///     http_method: "GET".to_owned(),
///     template: "/v2/{name}".to_owned(),
///     ..HttpRule::default()
/// };
/// let schema = Schema::compile_with_rules(&descriptors, &Options::default(), &[rule])?;
/// assert!(schema.find_route(b"GET", b"/v2/Ada", &mut Scratch::default()).is_ok());
/// assert!(schema.find_route(b"GET", b"/v1/hello/Ada", &mut Scratch::default()).is_err()); // the annotation is void
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRule {
    /// The full name of the method: `package.Service.Method`. Of no meaning inside of `additional_bindings`.
    pub selector: String,
    /// `GET`, `POST`, ... or the kind of a custom pattern; `*` is every method.
    pub http_method: String,
    /// The path template.
    pub template: String,
    /// Empty, `*`, or a field of the request.
    pub body: String,
    /// Empty, or a field of the response.
    pub response_body: String,
    /// Further ways to call the method. One level only (SEMANTICS 7).
    pub additional_bindings: Vec<Self>,
    /// Where the rule stands, for errors: `rules.yaml:7`.
    pub place: String,
}
