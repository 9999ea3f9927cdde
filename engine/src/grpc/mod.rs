//! The gRPC layer as text and bytes: message prefix, status, metadata, timeout.
//! In: bytes of a reply body, header and trailer values. Out: message slices, [`Code`]s, header values.
//! Always: knows neither sockets nor HTTP/2; nothing here trusts what an upstream sent.
//!
//! ```
//! use transom_engine::grpc::{Code, frame};
//!
//! let mut call = Vec::new();
//! let at = frame::open(&mut call);
//! call.extend_from_slice(b"\x0a\x01a");
//! frame::close(&mut call, at)?;
//! assert_eq!(call, b"\0\0\0\0\x03\x0a\x01a");
//!
//! assert_eq!(frame::deframe(&call, 4096)?, b"\x0a\x01a");
//! assert_eq!(Code::NotFound.http_status(), 404);
//! # Ok::<(), transom_engine::Error>(())
//! ```

mod code;
pub mod frame;
pub mod header_lists;
pub mod metadata;
pub(crate) mod status;
pub mod timeout;

pub use code::Code;
pub use status::{Status, is_grpc_type};
