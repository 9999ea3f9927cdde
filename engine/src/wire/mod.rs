//! Protobuf bytes: reading and writing them. In: bytes or values. Out: values or bytes. Always: knows nothing of JSON or plans.

pub(crate) mod arriving;
pub(crate) mod http_body;
pub(crate) mod read;
mod tag;
pub(crate) mod write;

pub(crate) use tag::Tag;
