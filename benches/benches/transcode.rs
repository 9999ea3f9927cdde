//! Micro benches of both directions, with their yardsticks in the same run. Each answer is checked before it is timed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use transom_benches::{
    BenchSchema, Contender, Payload, published, synthetic, time, to_json_contenders,
    to_wire_contenders,
};

fn bench_both_directions(criterion: &mut Criterion) {
    let schema = BenchSchema::load();
    for workload in synthetic().into_iter().chain(published()) {
        let payload = Payload::checked(&schema, &workload);
        let (json_len, wire_len) = (payload.json.len(), payload.wire.len());
        bench_group(
            criterion,
            "to_wire",
            &payload,
            json_len,
            to_wire_contenders(&payload),
        );
        bench_group(
            criterion,
            "to_json",
            &payload,
            wire_len,
            to_json_contenders(&payload),
        );
    }
}

fn bench_group(
    criterion: &mut Criterion,
    direction: &str,
    payload: &Payload<'_>,
    input_len: usize,
    contenders: Vec<Contender<'_>>,
) {
    let mut group = criterion.benchmark_group(format!("{direction}/{}", payload.name));
    group.throughput(Throughput::Bytes(input_len as u64));
    for mut contender in contenders {
        group.bench_function(contender.name.clone(), |bencher| {
            bencher.iter_custom(|times| time(&mut contender, times));
        });
    }
    group.finish();
}

criterion_group!(benches, bench_both_directions);
criterion_main!(benches);
