//! Protobuf to JSON, driven by the plan.

use crate::error::Error;
use crate::plan::Message;

/// Memory that [`to_json`] works with; keep one per thread and reuse it.
#[derive(Debug, Default)]
pub struct Scratch {}

/// Converts protobuf bytes.
///
/// # Errors
/// not yet
pub fn to_json(
    _message: Message<'_>,
    _wire: &[u8],
    _scratch: &mut Scratch,
    _out: &mut Vec<u8>,
) -> Result<(), Error> {
    Ok(())
}
