//! The gRPC layer as text and bytes: message prefix, status, metadata, timeout.
//! In: bytes of a reply body, header and trailer values. Out: message slices, [`Code`]s, header values.
//! Always: knows neither sockets nor HTTP/2; nothing here trusts what an upstream sent.

mod code;
pub mod frame;
pub mod metadata;
pub mod status;
pub mod timeout;

pub use code::Code;
pub use status::Status;
