//! Micro benches of both directions, with their yardsticks in the same run: simd-json's bare tape and prost-reflect with serde.
//! Each answer is checked before it is timed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use serde_json::Value;
use transom_benches::{BenchSchema, Workload, workloads};
use transom_engine::{to_json, to_wire};

fn bench_to_wire(criterion: &mut Criterion) {
    let schema = BenchSchema::load();
    for workload in workloads() {
        let Payload { json, wire } = checked(&schema, &workload);
        let message = schema
            .schema
            .message(workload.message)
            .expect("the workload's message");
        let mut group = criterion.benchmark_group(format!("to_wire/{}", workload.name));
        group.throughput(Throughput::Bytes(json.len() as u64));

        let mut scratch = to_wire::Scratch::default();
        let mut out = Vec::with_capacity(wire.len());
        group.bench_function("transom", |bencher| {
            bencher.iter(|| {
                out.clear();
                to_wire(message, black_box(json.as_bytes()), &mut scratch, &mut out)
                    .expect("checked");
            });
        });

        let mut buffers = simd_json::Buffers::new(json.len());
        let mut text = json.clone().into_bytes();
        group.bench_function("simd_json_tape", |bencher| {
            bencher.iter(|| {
                // The tape is made in place, so each round starts from a fresh copy, as a server's read buffer would be.
                text.clear();
                text.extend_from_slice(json.as_bytes());
                black_box(
                    simd_json::to_tape_with_buffers(&mut text, &mut buffers)
                        .expect("checked")
                        .0
                        .len(),
                )
            });
        });

        let descriptor = schema.descriptor(&workload);
        group.bench_function("prost_reflect", |bencher| {
            bencher.iter(|| {
                let mut parser = serde_json::Deserializer::from_str(black_box(&json));
                DynamicMessage::deserialize(descriptor.clone(), &mut parser)
                    .expect("checked")
                    .encode_to_vec()
            });
        });
        group.finish();
    }
}

fn bench_to_json(criterion: &mut Criterion) {
    let schema = BenchSchema::load();
    for workload in workloads() {
        let Payload { json, wire } = checked(&schema, &workload);
        let message = schema
            .schema
            .message(workload.message)
            .expect("the workload's message");
        let mut group = criterion.benchmark_group(format!("to_json/{}", workload.name));
        group.throughput(Throughput::Bytes(wire.len() as u64));

        let mut scratch = to_json::Scratch::default();
        let mut out = Vec::with_capacity(json.len());
        group.bench_function("transom", |bencher| {
            bencher.iter(|| {
                out.clear();
                to_json(message, black_box(&wire), &mut scratch, &mut out).expect("checked");
            });
        });

        let descriptor = schema.descriptor(&workload);
        group.bench_function("prost_reflect", |bencher| {
            bencher.iter(|| {
                let message =
                    DynamicMessage::decode(descriptor.clone(), black_box(wire.as_slice()))
                        .expect("checked");
                serde_json::to_vec(&message).expect("checked")
            });
        });
        group.finish();
    }
}

/// A workload in both forms.
struct Payload {
    json: String,
    wire: Vec<u8>,
}

/// Both forms of a workload, its members in the order of the fields, as nearly everything writes them. Checks that prost-reflect
/// finds in our protobuf what the text says, and in our JSON too.
fn checked(schema: &BenchSchema, workload: &Workload) -> Payload {
    let name = workload.name;
    let descriptor = schema.descriptor(workload);
    let read = |text: &[u8]| {
        let mut parser = serde_json::Deserializer::from_slice(text);
        DynamicMessage::deserialize(descriptor.clone(), &mut parser).expect("the text is valid")
    };
    let original = read(workload.json.as_bytes());
    let json = serde_json::to_string(&original).expect("the message has a JSON form");
    let expected: Value = serde_json::from_str(&json).expect("serde_json reads what it wrote");

    let message = schema
        .schema
        .message(workload.message)
        .expect("the workload's message");
    let mut wire = Vec::new();
    let mut scratch = to_wire::Scratch::default();
    to_wire(message, json.as_bytes(), &mut scratch, &mut wire).expect("the workload is valid");
    let decoded =
        DynamicMessage::decode(descriptor.clone(), wire.as_slice()).expect("our wire bytes decode");
    // By way of text, as the workload came: serde_json does not read every fraction to the nearest double, but the same one each time.
    let text = serde_json::to_string(&decoded).expect("the message has a JSON form");
    let found: Value = serde_json::from_str(&text).expect("serde_json reads what it wrote");
    assert_eq!(found, expected, "{name}: to_wire");

    let wire = decoded.encode_to_vec();
    let mut json_again = Vec::new();
    let mut scratch = to_json::Scratch::default();
    to_json(message, &wire, &mut scratch, &mut json_again).expect("the wire bytes convert back");
    let found = serde_json::to_value(read(&json_again)).expect("the message has a JSON form");
    assert_eq!(found, expected, "{name}: to_json");
    Payload { json, wire }
}

criterion_group!(benches, bench_to_wire, bench_to_json);
criterion_main!(benches);
