//! `transom bench`: what converting the user's own payloads costs. In: files of JSON or protobuf. Out: a line a file and direction.
//! Always: both directions are checked against each other before anything is timed.

use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use transom_engine::{Message, to_json, to_wire};

use super::{Failure, conversion_text, find_message, load_schema};
use crate::allocator::allocation_count;
use crate::clock;
use crate::config::BenchArgs;

/// How long one direction of one file is measured, in rounds of which the best counts.
const ROUND_TIME: Duration = Duration::from_millis(100);
const ROUND_COUNT: usize = 5;

pub(super) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let config = args.source.file()?;
    let schema = load_schema(&args.source, &config, &args.source.options(&config))?;
    let name = args.message(&config)?;
    let message = find_message(&schema, &name)?;
    let as_json = config.is_json(args.json);
    let mut stdout = io::stdout().lock();
    if !as_json {
        writeln!(
            stdout,
            "{:<32} {:>9} {:>12} {:>10} {:>9} {:>11}",
            "FILE", "DIRECTION", "NS", "BYTES", "MB/S", "ALLOCATIONS"
        )?;
    }
    for file in &args.files {
        for cost in measure(message, file)? {
            write_cost(&mut stdout, as_json, file, &cost)?;
        }
    }
    Ok(())
}

/// What one direction costs a conversion.
struct Cost {
    direction: &'static str,
    nanoseconds: f64,
    /// Bytes of input.
    bytes: usize,
    allocations: f64,
}

fn write_cost(out: &mut impl Write, as_json: bool, file: &Path, cost: &Cost) -> io::Result<()> {
    let file = file.display();
    let Cost {
        direction,
        nanoseconds,
        bytes,
        allocations,
    } = cost;
    if as_json {
        let line = serde_json::json!({
            "file": file.to_string(), "direction": direction, "ns": nanoseconds, "bytes": bytes, "allocations": allocations,
        });
        return writeln!(out, "{line}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let megabytes_per_second = *bytes as f64 * 1e3 / nanoseconds;
    writeln!(
        out,
        "{file:<32} {direction:>9} {nanoseconds:>12.1} {bytes:>10} {megabytes_per_second:>9.0} {allocations:>11}"
    )
}

fn measure(message: Message<'_>, file: &Path) -> Result<[Cost; 2], Failure> {
    let place = |text: String| Failure::Input(format!("{}: {text}", file.display()));
    let content = fs::read(file).map_err(|error| place(format!("cannot read it: {error}")))?;
    let mut to_wire_scratch = to_wire::Scratch::default();
    let mut to_json_scratch = to_json::Scratch::default();
    let (mut json, mut wire) = (Vec::new(), Vec::new());
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            to_wire(message, &content, &mut to_wire_scratch, &mut wire)
                .map_err(|error| place(conversion_text(error, &content)))?;
            json = content;
        }
        Some("pb") => {
            to_json(message, &content, &mut to_json_scratch, &mut json)
                .map_err(|error| place(conversion_text(error, &content)))?;
            wire = content;
        }
        _ => {
            return Err(place(
                "expected a name that ends in .json or .pb".to_owned(),
            ));
        }
    }
    // A converter that is fast and wrong is of no use: what it makes must read back as the same.
    let (mut json_again, mut wire_again, mut json_third) = (Vec::new(), Vec::new(), Vec::new());
    let convert = |error| {
        Failure::Ours(format!(
            "{}: {}",
            file.display(),
            conversion_text(error, &[])
        ))
    };
    to_json(message, &wire, &mut to_json_scratch, &mut json_again).map_err(convert)?;
    to_wire(message, &json_again, &mut to_wire_scratch, &mut wire_again).map_err(convert)?;
    to_json(message, &wire_again, &mut to_json_scratch, &mut json_third).map_err(convert)?;
    if json_again != json_third {
        return Err(Failure::Ours(format!(
            "{}: the message changes when converted there and back",
            file.display()
        )));
    }

    let mut out = Vec::new();
    let from_json = time(|| {
        out.clear();
        black_box(to_wire(
            message,
            black_box(&json),
            &mut to_wire_scratch,
            &mut out,
        ))
        .is_ok()
    });
    let from_wire = time(|| {
        out.clear();
        black_box(to_json(
            message,
            black_box(&wire),
            &mut to_json_scratch,
            &mut out,
        ))
        .is_ok()
    });
    let cost = |direction, bytes, (nanoseconds, allocations)| Cost {
        direction,
        nanoseconds,
        bytes,
        allocations,
    };
    Ok([
        cost("j2p", json.len(), from_json),
        cost("p2j", wire.len(), from_wire),
    ])
}

/// The best round's nanoseconds, and the allocations, of one call.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn time(mut convert: impl FnMut() -> bool) -> (f64, f64) {
    let mut count = 1_u32;
    // Warm up, and find how many calls fill a round.
    loop {
        let start = clock::now();
        for _ in 0..count {
            assert!(convert(), "the conversion succeeded a moment ago");
        }
        if start.elapsed() * 4 > ROUND_TIME || count > u32::MAX / 4 {
            break;
        }
        count *= 2;
    }
    count = count.saturating_mul(4);
    let mut best = f64::INFINITY;
    let allocations_before = allocation_count();
    for _ in 0..ROUND_COUNT {
        let start = clock::now();
        for _ in 0..count {
            black_box(convert());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    let allocations =
        (allocation_count() - allocations_before) as f64 / (f64::from(count) * ROUND_COUNT as f64);
    (best, allocations)
}
