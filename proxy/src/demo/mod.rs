//! The sample service of `transom demo`: a bookstore that lives in this process.
//!
//! In: nothing but [`start`]. Out: a gRPC server on a loopback port of its own, with server reflection, and the calls
//! worth trying on it, [`EXAMPLES`].
//! Always: it has its own thread and runtime, keeps its data in bounded memory, and ends when its handle is dropped.
//! The schema is `protos/example/bookstore.proto`.

mod bookstore;
mod examples;
mod failure;
mod generated;
mod seed;
mod server;
mod store;
mod streams;

pub use examples::{EXAMPLES, Example};
pub use server::{DemoServer, start};

/// The encoded `FileDescriptorSet` of the bookstore, all imports included.
pub static DESCRIPTOR_SET: &[u8] = include_bytes!("generated/bookstore.binpb");

#[cfg(test)]
mod tests;
