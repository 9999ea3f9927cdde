//! The tests of calls and streams once more, on the codec that is not the default (`--upstream-codec`). Their texts are the same files, so that neither
//! codec can be told from the other; `support/codec.rs` knows by the name of this one which codec is meant.
#![cfg(test)]
#![allow(
    clippy::duplicate_mod,
    reason = "each of these files stands alone otherwise, with what it needs of the support"
)]

#[path = "streams.rs"]
mod streams;
#[path = "upstream_calls.rs"]
mod upstream_calls;
#[path = "upstream_ends.rs"]
mod upstream_ends;
#[path = "upstream_faults.rs"]
mod upstream_faults;
#[path = "upstream_messages.rs"]
mod upstream_messages;
#[path = "upstream_replies.rs"]
mod upstream_replies;
#[path = "upstream_streams.rs"]
mod upstream_streams;
#[path = "websocket.rs"]
mod websocket;
