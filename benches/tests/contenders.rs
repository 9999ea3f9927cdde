//! Every contender does its job right, so that no bench ends half way. The feature `yardsticks` brings those that take long to build.

use transom_benches::{
    BenchSchema, Bookstore, Payload, ThousandTemplates, exchange_contenders, published,
    routing_contenders, synthetic, to_json_contenders, to_wire_contenders, worst_cases,
};

#[test]
fn contenders_of_each_payload_answer_what_the_payload_says() {
    let schema = BenchSchema::load();
    let mut names = Vec::new();
    for workload in synthetic().into_iter().chain(published()) {
        assert!(!names.contains(&workload.name), "{}", workload.name);
        names.push(workload.name);
        // Each checks its first answer when it is made.
        let payload = Payload::checked(&schema, &workload);
        for contenders in [to_wire_contenders(&payload), to_json_contenders(&payload)] {
            assert_eq!(contenders[0].name, "transom");
            for mut contender in contenders {
                contender.run(2);
            }
        }
    }
}

#[test]
fn payloads_are_the_same_each_time() {
    let (one, another) = (BenchSchema::load(), BenchSchema::load());
    for (left, right) in synthetic().iter().zip(&synthetic()) {
        let left = Payload::checked(&one, left);
        let right = Payload::checked(&another, right);
        assert!(
            left.json == right.json && left.wire == right.wire,
            "{}",
            left.name
        );
    }
}

#[test]
fn steps_of_an_exchange_answer_right() {
    let store = Bookstore::load();
    for mut contender in exchange_contenders(&store) {
        contender.run(2);
    }
}

/// Each is checked when it is made.
#[test]
fn paths_find_their_templates_among_a_thousand() {
    let templates = ThousandTemplates::load();
    for mut contender in routing_contenders(&templates) {
        contender.run(2);
    }
}

#[test]
fn worst_cases_get_the_verdict_that_is_expected() {
    let schema = BenchSchema::load();
    for mut case in worst_cases(&schema) {
        assert!(case.large.0 > case.small.0 * 3, "{}", case.name);
        case.small.1.run(1);
    }
}
