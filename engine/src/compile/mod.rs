//! Descriptors to plans; start-up only. In: linked descriptors and options. Out: a [`Schema`] of immutable tables.
//! Always: may be slow, must be clear; what cannot be is refused here, so that the hot path need not ask.

mod messages;

use std::fmt;

use prost_reflect::DescriptorPool;

use crate::plan::{Message, Options, Plan};

/// Everything the gateway knows of the services it serves: message plans, methods and routes, compiled once.
#[derive(Debug)]
pub struct Schema {
    pub(crate) plan: Plan,
}

impl Schema {
    /// Compiles an encoded `google.protobuf.FileDescriptorSet` with the default options.
    ///
    /// # Errors
    /// When the set cannot be decoded or linked, or holds what has no plan; the text names the file, message or method.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, SchemaError> {
        Self::compile(bytes, &Options::default())
    }

    /// Compiles an encoded `google.protobuf.FileDescriptorSet`.
    ///
    /// # Errors
    /// As [`Schema::from_descriptor_set`].
    pub fn compile(bytes: &[u8], options: &Options) -> Result<Self, SchemaError> {
        let pool =
            DescriptorPool::decode(bytes).map_err(|error| SchemaError::new(error.to_string()))?;
        Ok(Self {
            plan: messages::compile(&pool, options)?,
        })
    }

    /// The message with this full name (no leading dot).
    pub fn message(&self, full_name: &str) -> Option<Message<'_>> {
        self.plan.find_message(full_name)
    }
}

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
