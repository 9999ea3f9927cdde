//! Transcodes JSON to protobuf and back by compiled field plans, and knows the `google.api.http` rules that say which request becomes which
//! call. It is the engine of the gateway Transom, as a library without sockets, threads, clocks, files or logs.
//!
//! In: descriptors at start-up; then byte slices. Out: bytes appended to buffers of the caller, or a small [`Error`].
//! Always: nothing allocates in the steady state of a request, and no input panics.
//!
//! ```text
//! bytes in   http1 ▶ route ▶ bind ▶ to_wire ▶ grpc
//! bytes out  http1 ◀ to_json ◀ grpc
//! ```
//!
//! # A message
//!
//! [`Schema`] compiles descriptors once into immutable tables. They come from `protoc --descriptor_set_out=FILE --include_imports`, from
//! `buf build -o FILE`, or from the crate protox. [`to_wire()`] and [`to_json()`] convert one message by them.
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
//!
//! Keep the scratch and the buffers, one set a thread, and use them for the next message. What is written how is said by [`Options`], given to
//! [`Schema::compile`]. Text or bytes that arrive in parts are converted as they come by [`to_wire::Pieces`] and [`to_json::Pieces`].
//! `examples/filter.rs` and `examples/round_trip.rs` are whole programs.
//!
//! # An exchange
//!
//! [`exchange`] walks one HTTP request and its reply through every stage; its first example is a whole call. The stages are there by themselves: [`http1`] reads and
//! writes HTTP/1.1, [`Schema::find_route`] finds routes, [`grpc`] has frames, codes and timeouts. Who has an HTTP server already can feed
//! [`Schema::find_route`] and the converters from it; who has none needs sockets beside this crate, and has
//! the client's side of HTTP/2 in [`http2`].
//!
//! # What is promised
//!
//! - **No panic, no endless loop** on any bytes of a client or an upstream. Each fault is an [`Error`] with a kind, a place and an offset; [`error::Error::write_text`]
//!   finds the words. Fuzz targets and property tests hold it. (What the caller is to get right: an index or a [`exchange::Call`] belongs to the schema it came from.)
//! - **No allocation in the steady state.** Once buffers and scratch have grown to what the traffic needs, none, of a conversion or of a whole exchange that succeeds;
//!   `tests/allocations.rs` counts. Errors may allocate when they are put into words.
//! - **Output is appended**, and taken back on an error: `out` is then as it was. What a rare large message made of the scratch is given back; buffers are the
//!   caller's to shrink.
//! - **Bounds** on sizes, counts and depth are the constants of [`limits`]. Scratch is bounded by the length of the input, the stack by
//!   [`limits::DEPTH_MAX`]: 256 KiB do in a release build. Time is linear in the input, but for sorting.
//! - **Threads.** A [`Schema`] and a [`exchange::Transcoder`] are `Send` and `Sync` and shared by reference; nothing inside them changes. A scratch is one thread's at
//!   a time. There is no global state but the processor's features, which are asked once.
//! - **The processor** needs no flags: SSE2 or NEON inline, AVX2 where there is one, plain code elsewhere; the results are the same.
//! - **Rust** 1.95 or newer. Raising that is a minor version.
//!
//! The rules cited as `SEMANTICS n` are the lines of `docs/MAPPING.md` in the repository, those as `THREATS n` the rows of `docs/OPERATIONS.md`.
#![warn(clippy::indexing_slicing)]

mod bind;
mod coding;
mod compile;
pub mod error;
pub mod exchange;
pub mod grpc;
pub mod http1;
pub mod http2;
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
pub use plan::{
    BadRules, Defaults, EnumStyle, FieldNames, Int64Style, Message, Options, PatchMasks,
    SameRequests, UnknownEnumNames,
};
pub use schema::{Finding, FindingKind, HttpRule, SchemaError, Severity};
pub use to_json::to_json;
pub use to_wire::to_wire;
