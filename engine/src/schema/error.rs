//! Why descriptors are refused. In: text made where the fault is seen. Out: the one error of start-up.
//! Always: names the file, message or method, and what to do.

use std::fmt;

/// Why descriptors cannot be served: names the file, message or method, and what to do. Its text is for whoever starts the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    text: String,
}

impl SchemaError {
    /// Names in a descriptor set may hold anything; what could move a terminal's cursor is escaped.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: printable(&text.into()),
        }
    }
}

/// The text with control characters escaped.
pub(super) fn printable(text: &str) -> String {
    let escaped = text.chars().map(|each| match each {
        each if each.is_control() => each.escape_default().to_string(),
        each => each.to_string(),
    });
    escaped.collect()
}

impl fmt::Display for SchemaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for SchemaError {}
