//! The gateway around `transom-engine`: sockets, time, threads, files, configuration and observation.
//!
//! In: a command line. Out: a gateway that serves, or a command's output. Always: what bytes of traffic mean is decided in the engine.
//! The binary `transom` is a thin shell over [`commands::run`].

pub mod allocator;
pub mod aside;
mod balance;
pub mod buffers;
pub mod clock;
pub mod commands;
pub mod config;
pub mod cores;
mod crowd;
#[cfg(feature = "demo")]
pub mod demo;
mod downstream;
pub mod limits;
pub mod net;
pub mod relay;
pub mod schema_source;
pub mod upstream;
pub mod worker;
