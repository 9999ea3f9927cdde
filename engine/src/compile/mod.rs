//! Descriptors to plans; start-up only. In: linked descriptors and options. Out: a [`Schema`] of immutable tables.
//! Always: may be slow, must be clear; what cannot be is refused here, so that the hot path need not ask.

mod described;
mod http_body;
mod lint;
mod map_entries;
mod messages;
mod route_table;
mod routes;
mod template_table;
mod views;

use std::fmt;

#[cfg(test)]
pub(crate) use route_table::RouteTableBuilder;
pub use template_table::TemplateTable;
#[cfg(test)]
pub(crate) use template_table::route_plan;
pub use views::{Body, Method, Route};

use crate::plan::{
    Message, MessageIndex, MethodIndex, MethodPlan, Options, Plan, RouteIndex, RoutePlan,
    RouteTable,
};
use crate::route::{self, NoRoute};
use crate::schema::{Finding, HttpRule, SchemaError, link};

/// Everything the gateway knows of the services it serves: message plans, methods and routes, compiled once.
///
/// It is immutable, `Send` and `Sync`: share one by reference or [`Arc`](std::sync::Arc) between all threads, and to load another set make another
/// schema. It keeps nothing of the bytes it was made from. Making one takes milliseconds and may allocate much; using it allocates nothing.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::Schema;
///
/// let schema = Schema::from_descriptor_set(&descriptors)?; // protoc --descriptor_set_out=FILE --include_imports, or buf build
/// assert_eq!(schema.service_count(), 1);
/// let call = schema.methods().next().ok_or("no method")?;
/// assert_eq!(call.path(), "/hello.v1.Greeter/SayHello");
/// assert_eq!(call.input().full_name(), "hello.v1.HelloRequest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Schema {
    pub(crate) plan: Plan,
    pub(crate) methods: Box<[MethodPlan]>,
    pub(crate) routes: RouteTable,
    service_count: usize,
    message_count: usize,
    findings: Box<[Finding]>,
}

impl Schema {
    /// Compiles an encoded `google.protobuf.FileDescriptorSet` with the default options. Files of proto2, proto3 and the editions 2023 and 2024
    /// may be in it.
    ///
    /// # Examples
    /// ```
    /// let refused = transom_engine::Schema::from_descriptor_set(b"no descriptors");
    /// println!("{}", refused.unwrap_err()); // says what is wrong
    /// ```
    ///
    /// # Errors
    /// When the set cannot be decoded or linked, or holds what has no plan; the text names the file, message or method.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, SchemaError> {
        Self::compile(bytes, &Options::default())
    }

    /// Compiles an encoded `google.protobuf.FileDescriptorSet`. Files of `google/api`, `google/rpc`, `google/type` and
    /// `google/protobuf` may be left out of it.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{FieldNames, Options, Schema, to_json};
    ///
    /// let options = Options { names: FieldNames::Proto, ..Options::default() };
    /// let schema = Schema::compile(&descriptors, &options)?;
    /// let person = schema.message("hello.v1.Person").ok_or("no such message")?;
    /// let mut json = Vec::new();
    /// to_json(person, b"\x12\x03Ada", &mut to_json::Scratch::default(), &mut json)?;
    /// assert_eq!(json, br#"{"id":"","display_name":"Ada","email":""}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Schema::from_descriptor_set`].
    pub fn compile(bytes: &[u8], options: &Options) -> Result<Self, SchemaError> {
        Self::compile_with_rules(bytes, options, &[])
    }

    /// As [`Schema::compile`], with rules from outside of the proto files. Each replaces the annotation of its method as a whole; of several for
    /// one method the last is the one (SEMANTICS 8). The example is that of [`HttpRule`].
    ///
    /// # Errors
    /// As [`Schema::from_descriptor_set`], and when a rule names a method that is not there.
    pub fn compile_with_rules(
        bytes: &[u8],
        options: &Options,
        rules: &[HttpRule],
    ) -> Result<Self, SchemaError> {
        let (schema, _) = Self::build(bytes, options, rules, false)?;
        let refused = |finding: &&Finding| finding.is_refused_by(options);
        match schema.findings.iter().find(refused) {
            Some(finding) => Err(SchemaError::new(finding.to_string())),
            None => Ok(schema),
        }
    }

    /// As [`Schema::compile_with_rules`], but no rule refuses the schema. Whatever is wrong with rules is told, and what is legal but most likely not
    /// meant.
    ///
    /// # Errors
    /// When the set cannot be decoded or linked, or holds what has no plan.
    pub fn lint(
        bytes: &[u8],
        options: &Options,
        rules: &[HttpRule],
    ) -> Result<(Self, Vec<Finding>), SchemaError> {
        let (schema, advice) = Self::build(bytes, options, rules, true)?;
        let findings = schema.findings.iter().cloned().chain(advice).collect();
        Ok((schema, findings))
    }

    fn build(
        bytes: &[u8],
        options: &Options,
        rules: &[HttpRule],
        is_lint: bool,
    ) -> Result<(Self, Vec<Finding>), SchemaError> {
        let linked = link::link(bytes)?;
        map_entries::check(&linked.pool)?;
        let plan = messages::compile(&linked, *options)?;
        let mut compiled = routes::compile(&linked, &plan, rules)?;
        compiled.routes.ignores_trailing_slash = options.ignore_trailing_slash;
        let message_count = linked
            .pool
            .all_messages()
            .filter(|message| linked.own_files.contains(message.parent_file().name()))
            .filter(|message| !message.is_map_entry())
            .count();
        let advice = if is_lint {
            lint::lint(&compiled, &plan, rules)
        } else {
            Vec::new()
        };
        let schema = Self {
            plan,
            methods: compiled.methods,
            routes: compiled.routes,
            service_count: compiled.service_count,
            message_count,
            findings: compiled.findings.into(),
        };
        Ok((schema, advice))
    }

    /// What is wrong or odd with the rules, as far as the options did not refuse it.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The message with this full name (no leading dot); nested ones and those of Google's own files too. Look it up once where you can: the
    /// result is two words, and `Copy`.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::Schema;
    ///
    /// let schema = Schema::from_descriptor_set(&descriptors)?;
    /// assert!(schema.message("hello.v1.Note").is_some());
    /// assert!(schema.message("hello.v1.Nothing").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn message(&self, full_name: &str) -> Option<Message<'_>> {
        self.plan.find_message(full_name)
    }

    /// All messages, those of Google's own files too, in no particular order.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        (0..self.plan.messages.len()).filter_map(|index| {
            let index = MessageIndex(u32::try_from(index).ok()?);
            Some(Message {
                plan: &self.plan,
                index,
            })
        })
    }

    /// All methods that are served, in the order of the descriptor set.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = Method<'_>> {
        self.methods
            .iter()
            .map(|plan| Method { plan, schema: self })
    }

    /// All routes: those of rules in the order of the descriptor set, then the `POST /package.Service/Method` of each method.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = Route<'_>> {
        self.routes
            .routes
            .iter()
            .map(|plan| Route { plan, schema: self })
    }

    /// Finds the route of a request. `path` is the raw path, still percent-encoded: from its first `/` up to a `?`. Where the variables are in it
    /// is in the scratch afterwards. `HEAD` finds the rule of `GET` where it has none of its own (SEMANTICS 138).
    ///
    /// Routes are a trie by segments of the path, each node of which is entered at most once: no path costs more than all of it.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, route::{NoRoute, Scratch}};
    ///
    /// let schema = Schema::from_descriptor_set(&descriptors)?;
    /// let (mut scratch, path) = (Scratch::default(), b"/v1/hello/Ada");
    /// let route = schema.find_route(b"GET", path, &mut scratch).map_err(|_| "no route")?;
    /// assert_eq!(route.template(), "/v1/hello/{name}");
    /// assert_eq!(route.method().full_name(), "hello.v1.Greeter.SayHello");
    /// let name = scratch.captures()[0].clone();
    /// assert_eq!(&path[name.start as usize..name.end as usize], b"Ada");
    ///
    /// let other = schema.find_route(b"PUT", path, &mut scratch);
    /// assert_eq!(other.err(), Some(NoRoute::MethodNotAllowed));
    /// assert!(schema.allowed_methods(path, &mut scratch).eq(["GET"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When no route has this path, or none with this method.
    pub fn find_route(
        &self,
        http_method: &[u8],
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> Result<Route<'_>, NoRoute> {
        let index = route::find(&self.routes, http_method, path, scratch)?;
        Ok(self.route(index))
    }

    /// The HTTP methods with which rules own this path, each once; `*` is every method. `HEAD` (where `GET` is) and
    /// `OPTIONS` are not added. For the `Allow` of an answer to [`NoRoute::MethodNotAllowed`]; the example is that of
    /// [`find_route`](Self::find_route).
    pub fn allowed_methods<'s>(
        &'s self,
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> impl Iterator<Item = &'s str> {
        route::allowed(&self.routes, path, scratch)
    }

    /// How many services the set brings.
    pub fn service_count(&self) -> usize {
        self.service_count
    }

    /// How many messages the set brings, without map entries.
    pub fn message_count(&self) -> usize {
        self.message_count
    }

    pub(crate) fn route(&self, index: RouteIndex) -> Route<'_> {
        Route {
            plan: self.route_plan(index),
            schema: self,
        }
    }

    #[inline]
    pub(crate) fn route_plan(&self, index: RouteIndex) -> &RoutePlan {
        self.routes.route(index)
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every MethodIndex is made by compile for this schema"
    )]
    pub(crate) fn method_plan(&self, index: MethodIndex) -> &MethodPlan {
        &self.methods[index.0 as usize]
    }
}

/// Counts only: the tables of a schema are long.
impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Schema")
            .field("services", &self.service_count)
            .field("methods", &self.methods.len())
            .field("routes", &self.routes.routes.len())
            .field("messages", &self.message_count)
            .finish_non_exhaustive()
    }
}
