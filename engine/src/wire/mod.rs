//! Protobuf bytes: reading and writing them. In: bytes or values. Out: values or bytes. Always: knows nothing of JSON or plans.

pub(crate) mod read;
pub(crate) mod room;
pub(crate) mod write;
