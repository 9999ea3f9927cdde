//! A round trip: each line of JSON to protobuf and back. Tells of what has changed on the way, and how fast both ways were.
//!
//! ```text
//! round_trip DESCRIPTOR_SET MESSAGE FILE [ROUNDS]
//! ```
//!
//! FILE holds one JSON text a line. Each has to survive: what comes back must mean the same message, byte for byte on the wire. How it is written may
//! differ (white space, order, escapes, defaults that are left out, numbers in another form); such lines are shown from where they do.
//! ROUNDS is how often all lines are converted for the measurement, 1000 unless given. In this repository:
//!
//! ```text
//! cargo run --release -p transom-engine --example round_trip -- \
//!     protos/test/editions.binpb transom.test.edition2023.Kinds engine/examples/kinds.jsonl
//! ```
//!
//! It works as a server would: one schema for all, and one set of buffers and scratch a thread, which grow to what the largest message needs and
//! stay. Exit codes: 0; 1 if the input is at fault or a message did not survive; 2 for wrong usage.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use transom_engine::error::{self, Context};
use transom_engine::{Defaults, Message, Options, Schema, to_json, to_wire};

const USAGE: &str = "usage: round_trip DESCRIPTOR_SET MESSAGE FILE [ROUNDS]";

/// Bytes of a line that are shown from where it differs.
const SHOWN_LEN: usize = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [set, name, file, rounds @ ..] = &arguments[..] else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let rounds = match rounds {
        [] => Ok(1000),
        [rounds] => rounds.parse(),
        _ => "".parse(),
    };
    let Ok(rounds) = rounds else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    match run(set, name, file, rounds, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// What one thread keeps from message to message.
#[derive(Default)]
struct Worker {
    to_wire: to_wire::Scratch,
    to_json: to_json::Scratch,
    wire: Vec<u8>,
    json: Vec<u8>,
    /// What comes of `json`.
    wire_again: Vec<u8>,
}

/// The whole program, with its output as an argument.
pub(crate) fn run(
    set: &str,
    name: &str,
    file: &str,
    rounds: u32,
    output: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let set = fs::read(set).map_err(|error| format!("{set}: {error}"))?;
    let text = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    // What is unset in the text is left out on the way back too, so that less differs.
    let options = Options {
        defaults: Defaults::Omit,
        ..Options::default()
    };
    let schema = Schema::compile(&set, &options)?;
    let message = schema
        .message(name)
        .ok_or_else(|| format!("the descriptor set has no message {name}"))?;

    let mut worker = Worker::default();
    let mut lines = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        worker
            .check(message, line, output)
            .map_err(|error| format!("line {}: {error}", index + 1))?
            .map_or(Ok(()), |from| {
                writeln!(output, "line {} differs from byte {from} on:", index + 1)?;
                writeln!(output, "  given   {}", shown(line, from))?;
                writeln!(output, "  written {}", shown(&worker.json, from))
            })?;
        lines.push(line);
    }
    worker.measure(message, &lines, rounds, output)
}

/// Some bytes of a line, escaped, since they may be anything.
fn shown(line: &[u8], from: usize) -> String {
    let rest = line.get(from..).unwrap_or_default();
    let cut = rest.get(..SHOWN_LEN).unwrap_or(rest);
    let mut text = String::new();
    for character in String::from_utf8_lossy(cut).chars() {
        if character.is_control() {
            text.extend(character.escape_debug());
        } else {
            text.push(character);
        }
    }
    text
}

impl Worker {
    /// Converts one line there and back, and says from where on the text differs, if it does.
    fn check(
        &mut self,
        message: Message<'_>,
        line: &[u8],
        output: &mut impl Write,
    ) -> Result<Option<usize>, Box<dyn Error>> {
        self.wire.clear();
        self.json.clear();
        self.wire_again.clear();
        to_wire(message, line, &mut self.to_wire, &mut self.wire)
            .map_err(|error| in_words(error, line))?;
        to_json(message, &self.wire, &mut self.to_json, &mut self.json)
            .map_err(|error| in_words(error, &[]))?;
        to_wire(message, &self.json, &mut self.to_wire, &mut self.wire_again)
            .map_err(|error| in_words(error, &self.json))?;
        if self.wire != self.wire_again {
            output.flush()?;
            return Err("the message did not survive".into());
        }
        if self.json == line {
            return Ok(None);
        }
        let same = self
            .json
            .iter()
            .zip(line)
            .take_while(|(ours, theirs)| ours == theirs);
        Ok(Some(same.count()))
    }

    /// Times all lines in both directions.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine knows no time; this program is there to measure it"
    )]
    fn measure(
        &mut self,
        message: Message<'_>,
        lines: &[&[u8]],
        rounds: u32,
        output: &mut impl Write,
    ) -> Result<(), Box<dyn Error>> {
        let mut messages = Vec::new();
        for line in lines {
            let mut wire = Vec::new();
            to_wire(message, line, &mut self.to_wire, &mut wire)?;
            messages.push(wire);
        }
        let start = Instant::now();
        for line in (0..rounds).flat_map(|_| lines) {
            self.wire.clear();
            to_wire(message, black_box(line), &mut self.to_wire, &mut self.wire)?;
            black_box(&self.wire);
        }
        let there = start.elapsed();
        let start = Instant::now();
        for wire in (0..rounds).flat_map(|_| &messages) {
            self.json.clear();
            to_json(message, black_box(wire), &mut self.to_json, &mut self.json)?;
            black_box(&self.json);
        }
        let back = start.elapsed();
        let json_len: usize = lines.iter().map(|line| line.len()).sum();
        let count = lines.len();
        writeln!(
            output,
            "{count} messages of {json_len} bytes of JSON survived"
        )?;
        for (direction, time) in [("to_wire", there), ("to_json", back)] {
            write_speed(direction, time, rounds, count, json_len, output)?;
        }
        Ok(())
    }
}

/// Time a message, and speed by the bytes of the given JSON.
#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn write_speed(
    direction: &str,
    time: Duration,
    rounds: u32,
    count: usize,
    json_len: usize,
    output: &mut impl Write,
) -> io::Result<()> {
    let seconds = time.as_secs_f64() / f64::from(rounds.max(1));
    let nanoseconds = seconds * 1e9 / count.max(1) as f64;
    let megabytes = json_len as f64 / seconds.max(f64::MIN_POSITIVE) / 1e6;
    writeln!(
        output,
        "{direction}: {nanoseconds:.0} ns a message, {megabytes:.0} MB/s"
    )
}

fn in_words(error: error::Error, json: &[u8]) -> String {
    let context = Context {
        body: json,
        ..Context::default()
    };
    let mut words = String::new();
    error.write_text(&context, &mut words);
    words
}
