//! x
pub mod schema_source;
