//! Yardsticks that take long to build: generated types and a second fast reader of JSON. In: a message name. Out: functions that
//! convert it. Always: each does what its documentation shows as the way to do it, into a buffer that is used again.
//!
//! A crate of its own, so that the benches of the engine alone need none of this.

mod buffa_types_of_payloads;
mod prost_types_of_payloads;

/// Both directions of one message type.
#[derive(Clone, Copy, Debug)]
pub struct Converters {
    /// Reads JSON into the type and appends protobuf.
    pub to_wire: fn(&str, &mut Vec<u8>),
    /// Reads protobuf into the type and appends JSON.
    pub to_json: fn(&[u8], &mut Vec<u8>),
}

pub use buffa_types_of_payloads::buffa;
pub use prost_types_of_payloads::prost_pbjson;

/// Reads JSON into sonic-rs's `Value`, its tree of values, and tells whether that is an object.
///
/// # Panics
/// When the text is not JSON.
pub fn sonic_value(json: &[u8]) -> bool {
    use sonic_rs::JsonValueTrait as _;

    let value: sonic_rs::Value = sonic_rs::from_slice(json).expect("the caller has checked it");
    value.is_object()
}
