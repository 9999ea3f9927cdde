//! The choices a schema is compiled with. In: what the caller sets. Out: plain values. Always: the default is the `transom` profile.

/// How JSON is written and what is accepted (SEMANTICS 78, 84, 99 to 105). Given to [`Schema::compile`](crate::Schema::compile), which resolves it into
/// its tables: another choice is another schema. The default is what protobuf's own JSON mapping says, but that fields without presence are
/// written.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// # use transom_engine::*;
/// # let written = |options: Options, name: &str, wire: &[u8]| -> Result<String, Box<dyn std::error::Error>> {
/// #     let schema = Schema::compile(&descriptors, &options)?;
/// #     let mut json = Vec::new();
/// #     to_json(schema.message(name).ok_or("no such message")?, wire, &mut to_json::Scratch::default(), &mut json)?;
/// #     Ok(String::from_utf8(json)?)
/// # };
/// # let omit = Options { defaults: Defaults::Omit, ..Options::default() };
///
/// // `written` compiles the schema with these options and converts one message.
/// let options = Options { defaults: Defaults::Omit, enums: EnumStyle::Number, ..Options::default() };
/// assert_eq!(written(options, "hello.v1.Note", b"\x08\x05\x20\x02")?, r#"{"id":"5","priority":2}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own and is set by its name"
)]
pub struct Options {
    /// Which of a field's two names is written. Both are always accepted.
    pub names: FieldNames,
    /// Which unset fields are written.
    pub defaults: Defaults,
    /// How enum values are written. Names and numbers are always accepted.
    pub enums: EnumStyle,
    /// How 64-bit integers are written. Strings and numbers are always accepted.
    pub int64: Int64Style,
    /// Refuse JSON keys that no field has, instead of skipping their values.
    pub reject_unknown_fields: bool,
    /// Refuse query keys that no field has, instead of ignoring them.
    pub reject_unknown_query: bool,
    /// What an enum name that the enum lacks does.
    pub unknown_enum_names: UnknownEnumNames,
    /// What the body of a `PATCH` says about a field mask beside it.
    pub patch_masks: PatchMasks,
    /// Write map entries in the order of their keys instead of wire order.
    pub sort_map_keys: bool,
    /// Write each member and element on a line of its own, so many spaces further in than what holds it. `None` is compact JSON, which
    /// [`to_json::Pieces`](crate::to_json::Pieces) and error details are in any case.
    pub indent: Option<u8>,
    /// What a rule that cannot be does to the others.
    pub bad_rules: BadRules,
    /// What two rules that take the same requests do.
    pub same_requests: SameRequests,
    /// Read a path that ends in a slash as if it did not (SEMANTICS 25). A path that is one slash stays.
    pub ignore_trailing_slash: bool,
}

/// Which of a field's two names is written. Both are read, whatever is chosen (SEMANTICS 77, 99).
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// # use transom_engine::*;
/// # let written = |options: Options, name: &str, wire: &[u8]| -> Result<String, Box<dyn std::error::Error>> {
/// #     let schema = Schema::compile(&descriptors, &options)?;
/// #     let mut json = Vec::new();
/// #     to_json(schema.message(name).ok_or("no such message")?, wire, &mut to_json::Scratch::default(), &mut json)?;
/// #     Ok(String::from_utf8(json)?)
/// # };
/// # let omit = Options { defaults: Defaults::Omit, ..Options::default() };
///
/// let note = b"\x42\x05\x12\x03Ada";
/// assert_eq!(written(omit, "hello.v1.Note", note)?, r#"{"author":{"displayName":"Ada"}}"#);
/// let options = Options { names: FieldNames::Proto, ..omit };
/// assert_eq!(written(options, "hello.v1.Note", note)?, r#"{"author":{"display_name":"Ada"}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldNames {
    /// The JSON name: lowerCamelCase, or the `json_name` of the proto file.
    #[default]
    Json,
    /// The name as the proto file has it.
    Proto,
}

/// Which unset fields are written (SEMANTICS 100). Fields that are set are written always.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// # use transom_engine::*;
/// # let written = |options: Options, name: &str, wire: &[u8]| -> Result<String, Box<dyn std::error::Error>> {
/// #     let schema = Schema::compile(&descriptors, &options)?;
/// #     let mut json = Vec::new();
/// #     to_json(schema.message(name).ok_or("no such message")?, wire, &mut to_json::Scratch::default(), &mut json)?;
/// #     Ok(String::from_utf8(json)?)
/// # };
/// # let omit = Options { defaults: Defaults::Omit, ..Options::default() };
///
/// for (defaults, text) in [
///     (Defaults::Omit, r#"{}"#),
///     (Defaults::NoPresence, r#"{"id":"","displayName":"","email":""}"#),
/// ] {
///     let options = Options { defaults, ..Options::default() };
///     assert_eq!(written(options, "hello.v1.Person", b"")?, text);
/// }
/// let options = Options { defaults: Defaults::All, ..Options::default() };
/// assert!(written(options, "hello.v1.Note", b"")?.contains(r#""author":null"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// None.
    Omit,
    /// Those that have no presence: scalars of proto3, lists and maps.
    #[default]
    NoPresence,
    /// Those, and unset messages and proto2 scalars as `null`; no members of a oneof, no `optional` of proto3.
    All,
}

/// How enum values are written. Names and numbers are read, whatever is chosen.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// # use transom_engine::*;
/// # let written = |options: Options, name: &str, wire: &[u8]| -> Result<String, Box<dyn std::error::Error>> {
/// #     let schema = Schema::compile(&descriptors, &options)?;
/// #     let mut json = Vec::new();
/// #     to_json(schema.message(name).ok_or("no such message")?, wire, &mut to_json::Scratch::default(), &mut json)?;
/// #     Ok(String::from_utf8(json)?)
/// # };
/// # let omit = Options { defaults: Defaults::Omit, ..Options::default() };
///
/// assert_eq!(written(omit, "hello.v1.Note", b"\x20\x02")?, r#"{"priority":"PRIORITY_HIGH"}"#);
/// // A number that the enum does not name.
/// assert_eq!(written(omit, "hello.v1.Note", b"\x20\x09")?, r#"{"priority":9}"#);
/// let options = Options { enums: EnumStyle::Number, ..omit };
/// assert_eq!(written(options, "hello.v1.Note", b"\x20\x02")?, r#"{"priority":2}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnumStyle {
    /// By name; a number that has no name is written as the number.
    #[default]
    Name,
    /// By number.
    Number,
}

/// How 64-bit integers are written. Strings and numbers are read, whatever is chosen. Many readers of JSON hold numbers as doubles, which have
/// 53 bits: bare numbers above that reach them changed.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// # use transom_engine::*;
/// # let written = |options: Options, name: &str, wire: &[u8]| -> Result<String, Box<dyn std::error::Error>> {
/// #     let schema = Schema::compile(&descriptors, &options)?;
/// #     let mut json = Vec::new();
/// #     to_json(schema.message(name).ok_or("no such message")?, wire, &mut to_json::Scratch::default(), &mut json)?;
/// #     Ok(String::from_utf8(json)?)
/// # };
/// # let omit = Options { defaults: Defaults::Omit, ..Options::default() };
///
/// assert_eq!(written(omit, "hello.v1.Note", b"\x08\x05")?, r#"{"id":"5"}"#);
/// let options = Options { int64: Int64Style::Number, ..omit };
/// assert_eq!(written(options, "hello.v1.Note", b"\x08\x05")?, r#"{"id":5}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int64Style {
    /// In quotes, as the JSON mapping of protobuf says.
    #[default]
    String,
    /// As bare numbers.
    Number,
}

/// What an enum name that the enum lacks does (SEMANTICS 84).
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Options, Schema, UnknownEnumNames, to_wire};
///
/// let text = br#"{"title":"a","priority":"PRIORITY_ABSURD"}"#;
/// for (unknown_enum_names, expected) in [
///     (UnknownEnumNames::Reject, None),
///     (UnknownEnumNames::Drop, Some(b"\x12\x01a".to_vec())),
/// ] {
///     let schema = Schema::compile(&descriptors, &Options { unknown_enum_names, ..Options::default() })?;
///     let note = schema.message("hello.v1.Note").ok_or("no such message")?;
///     let mut wire = Vec::new();
///     let done = to_wire(note, text, &mut to_wire::Scratch::default(), &mut wire);
///     assert_eq!(done.ok().map(|()| wire), expected);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownEnumNames {
    /// It is refused.
    #[default]
    Reject,
    /// The field stays unset; the element or entry is left out. What grpc-gateway v2 does.
    Drop,
}

/// What a rule for `PATCH` does whose body is a message field and whose request has one field mask beside it, which the request leaves unset
/// (SEMANTICS 74).
///
/// # Examples
/// ```
/// use transom_engine::{Options, PatchMasks};
///
/// // The body {"title":"a","sequel":{"title":"b"}} makes the mask "sequel.title,title". To leave that to the client:
/// let options = Options { patch_masks: PatchMasks::Leave, ..Options::default() };
/// # assert_ne!(options, Options::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchMasks {
    /// Fills the mask with the paths that the body gives.
    #[default]
    Fill,
    /// The same, and refuses a key of the body that no field has, as grpc-gateway v2.
    FillStrictly,
    /// Leaves the mask unset, as Envoy.
    Leave,
}

/// What a rule that cannot be does to the others (SEMANTICS 14).
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::{BadRules, HttpRule, Options, Schema};
///
/// let bad = HttpRule {
///     selector: "hello.v1.Greeter.SayHello".to_owned(),
///     http_method: "GET".to_owned(),
///     template: "/v2/{nobody}".to_owned(),
///     place: "rules.yaml:3".to_owned(),
///     ..HttpRule::default()
/// };
/// let options = Options::default();
/// assert!(Schema::compile_with_rules(&descriptors, &options, &[bad.clone()]).is_err());
///
/// let options = Options { bad_rules: BadRules::Skip, ..options };
/// let schema = Schema::compile_with_rules(&descriptors, &options, &[bad])?;
/// assert_eq!(schema.findings()[0].place(), "rules.yaml:3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRules {
    /// The schema is refused.
    #[default]
    Refuse,
    /// The others are served; [`Schema::findings`](crate::Schema::findings) names it.
    Skip,
}

/// What two rules that take the same requests do (SEMANTICS 10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameRequests {
    /// The schema is refused.
    #[default]
    Refuse,
    /// The later one has the route, as in grpc-gateway; [`Schema::findings`](crate::Schema::findings) names both.
    LastWins,
}
