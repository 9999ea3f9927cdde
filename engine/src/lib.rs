//! The transcoding engine of Transom: JSON to protobuf and back by compiled field plans, and the `google.api.http` rules
//! that say which request becomes which call.
//!
//! In: descriptors at start-up; then byte slices. Out: bytes appended to buffers of the caller, or a small [`Error`].
//! Always: no socket, thread, clock, file or log in here; nothing allocates in the steady state of a request.
//!
//! ```text
//! bytes in   http1 ▶ route ▶ bind ▶ to_wire ▶ grpc
//! bytes out  http1 ◀ to_json ◀ grpc
//! ```
//!
//! [`Schema`] compiles descriptors once into immutable tables (`plan`). [`to_wire`] and [`to_json`] convert one message by
//! them. `exchange` walks one HTTP request and its reply through every stage.
#![warn(clippy::indexing_slicing)]

pub mod bind;
mod compile;
pub mod error;
pub mod exchange;
pub mod grpc;
pub mod http1;
mod json;
pub mod limits;
pub mod plan;
pub mod route;
mod schema;
mod text;
pub mod to_json;
pub mod to_wire;
mod wire;

pub use compile::{Body, Method, Route, Schema};
pub use error::Error;
pub use plan::{Message, Options};
pub use schema::SchemaError;
pub use to_json::to_json;
pub use to_wire::to_wire;
