//! Formats that JSON, paths and queries share. In: bytes of foreign text, or values. Out: values, or bytes appended to the caller's buffer.
//! Always: knows nothing of JSON, protobuf or plans; allocates nothing but the growth of the caller's buffer; what is refused leaves
//! that buffer as it was.

pub(crate) mod base64;
pub(crate) mod duration;
pub(crate) mod field_mask;
mod fraction;
pub(crate) mod hex;
pub(crate) mod number;
pub(crate) mod percent;
pub(crate) mod timestamp;
pub(crate) mod utf8;
