//! Criterion benches of both directions with their yardsticks, and of the steps around a message. In: the payloads of this crate.
//! Out: criterion's report. Always: each answer is checked before it is timed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use transom_benches::{
    BenchSchema, Bookstore, Contender, Payload, ThousandTemplates, exchange_contenders, published,
    routing_contenders, synthetic, time, to_json_contenders, to_wire_contenders,
};

fn bench_conversion(criterion: &mut Criterion) {
    let schema = BenchSchema::load();
    for workload in synthetic().into_iter().chain(published()) {
        let payload = Payload::checked(&schema, &workload);
        let (json_len, wire_len) = (payload.json.len(), payload.wire.len());
        for (direction, input_len, contenders) in [
            ("to_wire", json_len, to_wire_contenders(&payload)),
            ("to_json", wire_len, to_json_contenders(&payload)),
        ] {
            let mut group = criterion.benchmark_group(format!("{direction}/{}", payload.name));
            group.throughput(Throughput::Bytes(input_len as u64));
            for mut contender in contenders {
                let name = contender.name.clone();
                group.bench_function(name, |bencher| measure(bencher, &mut contender));
            }
            group.finish();
        }
    }
}

fn bench_exchange(criterion: &mut Criterion) {
    let store = Bookstore::load();
    for mut contender in exchange_contenders(&store) {
        let name = contender.name.clone();
        criterion.bench_function(&name, |bencher| measure(bencher, &mut contender));
    }
}

fn bench_routing(criterion: &mut Criterion) {
    let templates = ThousandTemplates::load();
    let mut group = criterion.benchmark_group("1,000 templates");
    for mut contender in routing_contenders(&templates) {
        let name = contender.name.clone();
        group.bench_function(name, |bencher| measure(bencher, &mut contender));
    }
    group.finish();
}

fn measure(bencher: &mut criterion::Bencher<'_>, contender: &mut Contender<'_>) {
    bencher.iter_custom(|times| time(contender, times));
}

criterion_group!(benches, bench_conversion, bench_exchange, bench_routing);
criterion_main!(benches);
