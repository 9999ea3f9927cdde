//! Descriptors, HTTP rules and path templates; start-up only. In: an encoded descriptor set. Out: a linked pool, and rules as
//! typed bindings. Always: names are not yet resolved to plans; what is malformed is refused with its file, method and remedy.

pub(crate) mod editions;
mod error;
pub(crate) mod finding;
pub(crate) mod link;
pub(crate) mod outside;
pub(crate) mod rule;
pub(crate) mod template;

pub use error::SchemaError;
pub use finding::{Finding, FindingKind, Severity};
pub use outside::HttpRule;
