//! x
#[cfg(feature = "demo")]
pub mod demo;
pub mod schema_source;
