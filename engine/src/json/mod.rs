//! JSON text: reading it and writing it. In: bytes. Out: tokens, numbers, strings. Always: knows nothing of protobuf or plans.

pub(crate) mod write;
