//! What the engine costs, beside what others cost that do a part of its work, or the whole.
//!
//! In: the payloads of this crate. Out: contenders that convert them, ready to be timed or counted by the benches.
//! Always: every answer is checked before it is measured; nothing is read from outside the repository.

mod contenders;
mod payloads;
mod stopwatch;

pub use contenders::{Contender, to_json_contenders, to_wire_contenders};
pub use payloads::{BenchSchema, Payload, Workload, published, synthetic};
pub use stopwatch::{Figure, Race, time};
