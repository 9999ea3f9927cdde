//! What the engine costs, beside what others cost that do a part of its work, or the whole.
//!
//! In: the payloads of this crate. Out: contenders that convert them, ready to be timed or counted by the benches.
//! Always: every answer is checked before it is measured; nothing is read from outside the repository.

mod allocations;
mod contenders;
mod exchange;
mod http2;
mod payloads;
mod routing;
mod stopwatch;
mod worst_cases;

pub use allocations::{Allocations, CountingAllocator, count_allocations};
pub use contenders::{
    Contender, to_json_contenders, to_json_transom, to_wire_contenders, to_wire_transom,
};
pub use exchange::{Bookstore, exchange_contenders};
pub use http2::http2_contenders;
pub use payloads::{BenchSchema, Payload, Workload, published, synthetic};
pub use routing::{ThousandTemplates, routing_contenders, single_routing_contenders};
pub use stopwatch::{Figure, Race, time};
pub use worst_cases::{WorstCase, worst_cases};
