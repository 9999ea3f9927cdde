//! Random messages of random schemas. Goal: no turn of a schema is read otherwise than prost-reflect reads it, or comes back otherwise than
//! it was sent. Method: a schema and a message from random bytes, checked every way; `support/random` says how.
//!
//! `TRANSOM_CASES=100000 cargo test -p transom-engine --release --test random_schemas` tries that many schemas.

#[path = "support/random/mod.rs"]
mod random;

use proptest::prelude::*;
use random::check::{Compiled, check};
use random::{Choices, RandomSchema};

/// Messages of one schema.
const MESSAGE_COUNT: usize = 6;

fn case_count() -> u32 {
    let count = std::env::var("TRANSOM_CASES").ok();
    count.and_then(|text| text.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: case_count(),
        failure_persistence: None,
        max_shrink_iters: 1_500,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_message_of_any_schema_goes_there_and_back(
        schema in prop::collection::vec(any::<u8>(), 0..400),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), MESSAGE_COUNT),
    ) {
        let schema = RandomSchema::new(&mut Choices::new(&schema));
        let compiled = Compiled::new(&schema);
        for message in &messages {
            check(&schema, &compiled, &mut Choices::new(message));
        }
    }
}
