//! Criterion benches of what surrounds a message: the head, the route and its bindings, the whole way in, the whole way out.

use criterion::{Criterion, criterion_group, criterion_main};
use transom_benches::{Bookstore, exchange_contenders, time};

fn bench_exchange(criterion: &mut Criterion) {
    let store = Bookstore::load();
    for mut contender in exchange_contenders(&store) {
        criterion.bench_function(&contender.name.clone(), |bencher| {
            bencher.iter_custom(|times| time(&mut contender, times));
        });
    }
}

criterion_group!(benches, bench_exchange);
criterion_main!(benches);
