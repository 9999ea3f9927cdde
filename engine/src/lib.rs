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
//! [`Schema`] compiles descriptors once into immutable tables (`plan`). [`to_wire()`] and [`to_json()`] convert one message by
//! them. `exchange` walks one HTTP request and its reply through every stage.
//!
//! ```
//! # let descriptors = prost::Message::encode_to_vec(&protox::compile(["hello.proto"], ["../protos/test", "../protos"])?);
//! use transom_engine::{Schema, error::Context, to_json, to_wire};
//!
//! let schema = Schema::from_descriptor_set(&descriptors)?; // made by protoc or buf
//! let request = schema.message("hello.v1.HelloRequest").ok_or("no such message")?;
//! let (mut wire, mut json, mut words) = (Vec::new(), Vec::new(), String::new());
//!
//! let text = br#"{"name": "Ada"}"#;
//! if let Err(error) = to_wire(request, text, &mut to_wire::Scratch::default(), &mut wire) {
//!     error.write_text(&Context { body: text, ..Context::default() }, &mut words);
//! }
//! assert_eq!(wire, b"\x0a\x03Ada");
//! assert!(to_json(request, &wire, &mut to_json::Scratch::default(), &mut json).is_ok());
//! assert_eq!(json, br#"{"name":"Ada"}"#);
//! # assert!(words.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(clippy::indexing_slicing)]

mod bind;
mod compile;
pub mod error;
pub mod exchange;
pub mod grpc;
pub mod http1;
mod json;
pub mod limits;
mod plan;
mod room;
pub mod route;
mod schema;
mod simd;
mod text;
pub mod to_json;
pub mod to_wire;
mod wire;

#[doc(hidden)]
pub use compile::TemplateTable;
pub use compile::{Body, Method, Route, Schema};
pub use error::Error;
pub use plan::{Defaults, EnumStyle, FieldNames, Int64Style, Message, Options, UnknownEnumNames};
pub use schema::SchemaError;
pub use to_json::to_json;
pub use to_wire::to_wire;
