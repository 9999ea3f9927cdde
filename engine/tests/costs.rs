//! Time is linear in the input, whatever it is. Goal: nobody who pays for a byte makes us pay for many. Method: each of the worst inputs we
//! know, once and four times as long, and once on the surface and once deep down; the times are compared with each other, never with a
//! limit of their own. The best of several runs counts, so that a busy machine does not matter.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use support::texts;
use support::worst::{
    BAD_JSON, BAD_WIRE, JSON, MakeDeepText, MakeDeepWire, MakeText, MakeWire, NESTED_JSON,
    NESTED_WIRE, WIRE, Worst, delimited_set,
};
use transom_engine::error::Context;
use transom_engine::exchange::{Manners, Transcoder};
use transom_engine::http1::RequestHead;
use transom_engine::{Error, Message, Options, Schema, to_json, to_wire};

/// Bytes of the shorter input.
const LEN: usize = 32 * 1024;

/// How much longer four times as much may take. What is linear takes four times as long, sorting a little more, the square sixteen times.
const RATIO_MAX: f64 = 7.0;

/// Levels that one of two inputs has around it.
const LEVELS: usize = 90;

/// How much longer the same may take below those levels. What costs its length at each level takes as many times as long.
const NESTED_RATIO_MAX: f64 = 7.0;

/// Runs until a ratio is believed to be too large.
const TRY_COUNT: usize = 12;

static SCHEMAS: LazyLock<HashMap<&str, Schema>> = LazyLock::new(|| {
    let delimited = Schema::from_descriptor_set(&delimited_set()).unwrap();
    HashMap::from([
        ("transom", support::schema(Options::default())),
        ("delimited", delimited),
    ])
});

fn message(name: &str) -> Message<'static> {
    let schema = &SCHEMAS[name.split('.').next().unwrap()];
    schema.message(name).unwrap()
}

fn read_json(name: &str, text: &[u8], scratch: &mut to_wire::Scratch) -> Result<(), Error> {
    to_wire(message(name), text, scratch, &mut Vec::new())
}

fn write_json(name: &str, wire: &[u8], scratch: &mut to_json::Scratch) -> Result<(), Error> {
    to_json(message(name), wire, scratch, &mut Vec::new())
}

/// The words of an error are part of what it costs.
fn find_words(error: Error, body: &[u8]) {
    let mut words = String::new();
    let context = Context {
        body,
        ..Context::default()
    };
    error.write_text(&context, &mut words);
    assert!(words.len() < 1000);
}

fn time(act: impl FnOnce()) -> Duration {
    let start = now();
    act();
    now().saturating_sub(start)
}

/// What this thread has had of a processor, so that other work on the machine does not count; where no one keeps that, what a clock says.
#[expect(clippy::disallowed_methods, reason = "times are what is compared")]
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The count is brought up to date when the thread is taken off the processor.
    std::thread::yield_now();
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = counts
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// How many times as long the second takes, by the best of several runs of each; fewer as soon as it is little enough.
fn ratio(ratio_max: f64, mut run: impl FnMut(bool)) -> f64 {
    let mut best = [Duration::MAX; 2];
    let mut ratio = f64::INFINITY;
    for _ in 0..TRY_COUNT {
        best[0] = best[0].min(time(|| run(false)));
        best[1] = best[1].min(time(|| run(true)));
        ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
        // A run so short is mostly what every run costs.
        if ratio < ratio_max || best[1] < Duration::from_micros(50) {
            return 0.0;
        }
    }
    ratio
}

/// Compares two inputs made of each.
fn compare<F, I: AsRef<[u8]>>(
    all: &[Worst<F>],
    ratio_max: f64,
    make: impl Fn(&F) -> [I; 2],
    mut run: impl FnMut(&str, &[u8]),
) {
    for worst in all {
        let [first, second] = make(&worst.make);
        let found = ratio(ratio_max, |is_second| {
            run(
                worst.message,
                if is_second {
                    second.as_ref()
                } else {
                    first.as_ref()
                },
            );
        });
        assert!(found < ratio_max, "{}: {found} times as long", worst.name);
    }
}

#[test]
fn json_of_four_times_the_length_takes_four_times_as_long() {
    let mut scratch = to_wire::Scratch::default();
    let make = |make: &MakeText| [make(LEN), make(4 * LEN)];
    compare(JSON, RATIO_MAX, make, |name, text| {
        read_json(name, text, &mut scratch).unwrap();
    });
    compare(BAD_JSON, RATIO_MAX, make, |name, text| {
        find_words(read_json(name, text, &mut scratch).unwrap_err(), text);
    });
}

#[test]
fn protobuf_of_four_times_the_length_takes_four_times_as_long() {
    let mut scratch = to_json::Scratch::default();
    let make = |make: &MakeWire| [make(LEN), make(4 * LEN)];
    compare(WIRE, RATIO_MAX, make, |name, wire| {
        write_json(name, wire, &mut scratch).unwrap();
    });
    compare(BAD_WIRE, RATIO_MAX, make, |name, wire| {
        find_words(write_json(name, wire, &mut scratch).unwrap_err(), b"");
    });
}

/// Bytes of a piece: few enough for the longer input to come in thousands.
const PIECE_LEN: usize = 61;

#[test]
fn json_in_pieces_of_four_times_the_length_takes_four_times_as_long() {
    let mut scratch = to_wire::Scratch::default();
    let make = |make: &MakeText| [make(LEN), make(4 * LEN)];
    let mut read = |name: &str, text: &[u8]| {
        let mut reader = to_wire::Pieces::new(message(name), &mut scratch);
        let mut out = Vec::new();
        for mut piece in text.chunks(PIECE_LEN) {
            while let to_wire::Progress::Ended { used } = reader.push(piece, &mut out)? {
                piece = &piece[used..];
                if piece.is_empty() {
                    break;
                }
            }
        }
        reader.finish(&mut out)
    };
    compare(JSON, RATIO_MAX, make, |name, text| {
        read(name, text).unwrap();
    });
    compare(BAD_JSON, RATIO_MAX, make, |name, text| {
        read(name, text).unwrap_err();
    });
}

#[test]
fn protobuf_in_pieces_of_four_times_the_length_takes_four_times_as_long() {
    let make = |make: &MakeWire| [make(LEN), make(4 * LEN)];
    for held_len_max in [0, 4 * LEN] {
        let mut scratch = to_json::Scratch::default();
        compare(WIRE, RATIO_MAX, make, |name, wire| {
            let pieces = to_json::Pieces::new(message(name), &mut scratch);
            let mut reader = pieces.holding(held_len_max);
            let mut out = Vec::new();
            let mut pieces = wire.chunks(PIECE_LEN);
            // Some of these come out of order, which is refused where not all is waited for.
            let result = pieces.try_for_each(|piece| reader.push(piece, &mut out));
            let result = result.and_then(|()| reader.finish(&mut out));
            let is_waited_for = held_len_max > wire.len();
            assert!(result.is_ok() || !is_waited_for, "{result:?}");
        });
    }
}

#[test]
fn json_takes_as_long_deep_down_as_on_the_surface() {
    let mut scratch = to_wire::Scratch::default();
    let make = |make: &MakeDeepText| [make(1, LEN), make(LEVELS, LEN)];
    compare(NESTED_JSON, NESTED_RATIO_MAX, make, |name, text| {
        read_json(name, text, &mut scratch).unwrap();
    });
}

#[test]
fn protobuf_takes_as_long_deep_down_as_on_the_surface() {
    let mut scratch = to_json::Scratch::default();
    let make = |make: &MakeDeepWire| [make(1, LEN), make(LEVELS, LEN)];
    compare(NESTED_WIRE, NESTED_RATIO_MAX, make, |name, wire| {
        write_json(name, wire, &mut scratch).unwrap();
    });
}

/// Methods of the smaller of two schemas.
const METHOD_COUNT: usize = 250;

/// A schema whose methods have rules that share their first segments, as those of large APIs do.
fn schema_of_methods(count: usize) -> Vec<u8> {
    let mut rpcs = String::new();
    for index in 0..count {
        let rule = format!("get: \"/v1/{{name=projects/*/things{index}/*}}:read{index}\"");
        let other = format!("additional_bindings {{ get: \"/v1/things{index}/{{name}}\" }}");
        rpcs.push_str("rpc M");
        rpcs.push_str(&index.to_string());
        rpcs.push_str("(Request) returns (Request) { option (google.api.http) = { ");
        rpcs.push_str(&rule);
        rpcs.push_str(&other);
        rpcs.push_str(" }; }\n");
    }
    let text = format!(
        "syntax = \"proto3\"; package test; import \"google/api/annotations.proto\";
        message Request {{ string name = 1; }} service Service {{ {rpcs} }}"
    );
    texts::compile(&[("test.proto", &text)], true)
}

/// What compiles rules, and what explains a request by all of them.
#[test]
fn schema_of_four_times_the_routes_takes_four_times_as_long() {
    let sets = [METHOD_COUNT, 4 * METHOD_COUNT].map(schema_of_methods);
    let found = ratio(RATIO_MAX, |is_second| {
        let schema = Schema::from_descriptor_set(&sets[usize::from(is_second)]).unwrap();
        assert!(schema.routes().len() >= 3 * METHOD_COUNT);
    });
    assert!(found < RATIO_MAX, "compiling: {found} times as long");

    let head = b"GET /v1/projects/a/things7/b:read7 HTTP/1.1\r\nHost: a\r\n\r\n";
    let transcoders = sets.map(|set| {
        let schema = Schema::from_descriptor_set(&set).unwrap();
        Transcoder::new(schema, Manners::default())
    });
    let mut request = RequestHead::new();
    request.parse(head).unwrap();
    let found = ratio(RATIO_MAX, |is_second| {
        let explanation = transcoders[usize::from(is_second)].explain(&request, head, b"");
        assert!(explanation.chosen().is_some());
    });
    assert!(found < RATIO_MAX, "explaining: {found} times as long");
}
