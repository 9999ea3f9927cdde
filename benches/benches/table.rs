//! Prints what the engine costs beside its yardsticks, from one interleaved run.
//!
//! ```text
//! cargo bench -p transom-benches --bench table                                  the table
//! cargo bench -p transom-benches --bench table -- --quick                       the same in about ten seconds
//! cargo bench -p transom-benches --bench table -- --hot to_wire small 1000000   one job, for perf or callgrind
//! ```
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::time::Duration;

use transom_benches::{
    BenchSchema, Contender, Payload, Race, published, synthetic, to_json_contenders,
    to_wire_contenders,
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let schema = BenchSchema::load();
    let payloads: Vec<_> = synthetic()
        .into_iter()
        .chain(published())
        .map(|workload| Payload::checked(&schema, &workload))
        .collect();
    match words.as_slice() {
        [] => print_ratios(&payloads, SLOW),
        ["--quick"] => print_ratios(&payloads, QUICK),
        ["--hot", direction, name, times] => {
            let payload = payloads
                .iter()
                .find(|payload| payload.name == *name)
                .expect("a payload of that name");
            let times = times.parse().expect("a count");
            contenders(direction, payload)[0].run(times);
        }
        _ => println!("--quick, or --hot to_wire|to_json PAYLOAD TIMES"),
    }
}

const QUICK: Race = Race {
    slice: Duration::from_millis(10),
    round_count: 31,
};
const SLOW: Race = Race {
    slice: Duration::from_millis(30),
    round_count: 51,
};

fn contenders<'p>(direction: &str, payload: &'p Payload<'_>) -> Vec<Contender<'p>> {
    match direction {
        "to_wire" => to_wire_contenders(payload),
        _ => to_json_contenders(payload),
    }
}

fn print_ratios(payloads: &[Payload<'_>], race: Race) {
    for direction in ["to_wire", "to_json"] {
        for payload in payloads {
            let figures = race.run(&mut contenders(direction, payload));
            let line: Vec<String> = figures
                .iter()
                .map(|figure| {
                    let (least, most) = figure.range();
                    format!(
                        "{} {:.0} ns ({least:.0} to {most:.0}) x{:.2}",
                        figure.name,
                        figure.median(),
                        figure.times(&figures[0])
                    )
                })
                .collect();
            println!(
                "{direction:8} {:8} {:6} B json {:6} B wire | {}",
                payload.name,
                payload.json.len(),
                payload.wire.len(),
                line.join(" | ")
            );
        }
    }
}
