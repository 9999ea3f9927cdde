//! Why descriptors are refused. In: text made where the fault is seen. Out: the one error of start-up.
//! Always: names the file, message or method, and what to do.

use std::fmt;

/// Why descriptors cannot be served: names the file, message or method, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    text: String,
}

impl SchemaError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for SchemaError {}
