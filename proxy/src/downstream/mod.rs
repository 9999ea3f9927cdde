//! Clients' connections. In: an accepted stream. Out: requests handed to `relay`, responses written in order.
//! Always: one connection never blocks another; whatever a client sends, what it costs is bounded by `limits`.

mod connection;
mod inlet;
mod outlet;
mod passing;
mod pieces;
mod socket;
mod streaming;
mod websocket;

pub(crate) use connection::serve;
