//! What of a query counts, where gateways differ. In: what the caller sets. Out: plain values. Always: the default is the `transom` profile.

/// What of a query counts, where gateways differ (SEMANTICS 51, 58, 70).
///
/// # Examples
/// ```
/// use transom_engine::exchange::{Manners, QueryRule};
///
/// // As Envoy, with a key that a proxy in front adds.
/// let query = QueryRule {
///     merges_into_whole_body: true,
///     last_wins: true,
///     ignored_keys: vec!["trace".to_owned()],
///     ..QueryRule::default()
/// };
/// let manners = Manners { query, ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRule {
    /// Whether a query is bound where the body is the whole message (SEMANTICS 70), as Envoy does, or ignored there. A field
    /// that the body sets is the body's, and two members of one oneof are 400; what the query gives of a list or a map stands behind what the body
    /// gives. A field without presence that the body sets to zero counts as unset.
    pub merges_into_whole_body: bool,
    /// Whether the last of several values of one field counts (SEMANTICS 51), as with Envoy, or several are 400. Values that add up, which are field
    /// masks and those of `google/protobuf/struct.proto`, are 400 in any case.
    pub last_wins: bool,
    /// Keys that are passed over, even where a field has that name and where unknown keys are refused (SEMANTICS 58): decoded, byte for byte.
    pub ignored_keys: Vec<String>,
    /// A field of the request message that takes the keys which no field has, and their values (SEMANTICS 58): a `google.protobuf.Struct` or a
    /// `map<string, string>`. Messages without such a field do as without this option. Of one key given twice the last value counts.
    pub captured_by: Option<String>,
}
