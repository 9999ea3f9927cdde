//! Protobuf bytes: reading and writing them. In: bytes or numbers. Out: numbers or bytes. Always: knows nothing of JSON or plans.

pub(crate) mod read;
