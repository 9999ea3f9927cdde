//! The proxy of Transom: sockets, time, threads, files, configuration and observation around `transom-engine`.

pub mod buffers;
pub mod clock;
pub mod limits;
pub mod net;
pub mod upstream;
pub mod worker;
