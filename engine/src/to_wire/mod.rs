//! JSON and bindings to protobuf, driven by the plan.

use crate::error::Error;
use crate::plan::Message;

/// Memory that [`to_wire`] works with; keep one per thread and reuse it.
#[derive(Debug, Default)]
pub struct Scratch {}

/// Converts JSON text.
///
/// # Errors
/// not yet
pub fn to_wire(
    _message: Message<'_>,
    _json: &[u8],
    _scratch: &mut Scratch,
    _out: &mut Vec<u8>,
) -> Result<(), Error> {
    Ok(())
}
