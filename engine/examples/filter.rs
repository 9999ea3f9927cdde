//! A filter: JSON on standard input to protobuf on standard output, or the other way, for one message of a descriptor set.
//!
//! ```text
//! filter DESCRIPTOR_SET MESSAGE json|proto [--lines]
//! ```
//!
//! The third argument says what comes in. With `--lines` many messages pass: on the JSON side each is a line of its own, on the protobuf side each has
//! its length before it as a varint, as `parseDelimitedFrom` of Java and `protodelim` of Go read it.
//! A descriptor set is what `protoc --descriptor_set_out=FILE --include_imports` and `buf build -o FILE` write. In this repository, there and back:
//!
//! ```text
//! filter="cargo run -q -p transom-engine --example filter -- protos/test/editions.binpb transom.test.edition2023.Kinds"
//! $filter json --lines < engine/examples/kinds.jsonl | $filter proto --lines
//! ```
//!
//! Exit codes: 0; 1 if the input is at fault, with the place in words on standard error; 2 for wrong usage. What was good before a fault has been written.

use std::fs;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use transom_engine::error::{Context, Error};
use transom_engine::limits::BODY_LEN_MAX;
use transom_engine::{Message, Schema, to_json, to_wire};

const USAGE: &str = "usage: filter DESCRIPTOR_SET MESSAGE json|proto [--lines]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut output = io::BufWriter::new(io::stdout().lock());
    let done = run(&arguments, &mut io::stdin().lock(), &mut output);
    let Err(failure) = done.and_then(|()| output.flush().map_err(Failure::from)) else {
        return ExitCode::SUCCESS;
    };
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", failure.text);
    ExitCode::from(failure.code)
}

/// Why the filter stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        input(error.to_string())
    }
}

fn input(text: String) -> Failure {
    Failure { code: 1, text }
}

fn usage(text: &str) -> Failure {
    let text = format!("{text}\n{USAGE}");
    Failure { code: 2, text }
}

/// The whole program, with its streams as arguments.
pub(crate) fn run(
    arguments: &[String],
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (arguments, by_lines) = match arguments[..] {
        [ref arguments @ .., "--lines"] => (arguments, true),
        ref arguments => (arguments, false),
    };
    let &[set, name, format] = arguments else {
        return Err(usage("three arguments are needed"));
    };
    let set = fs::read(set).map_err(|error| input(format!("{set}: {error}")))?;
    let schema = Schema::from_descriptor_set(&set).map_err(|error| input(error.to_string()))?;
    let Some(message) = schema.message(name) else {
        return Err(input(format!("the descriptor set has no message {name}")));
    };
    match (format, by_lines) {
        ("json", true) => json_lines(message, from, to),
        ("proto", true) => delimited(message, from, to),
        ("json" | "proto", false) => lone_message(message, format == "json", from, to),
        _ => Err(usage("the input is json or proto")),
    }
}

/// One message, which is all of the input.
fn lone_message(
    message: Message<'_>,
    is_json: bool,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let (mut text, mut out) = (Vec::new(), Vec::new());
    from.read_to_end(&mut text)?;
    let converted = if is_json {
        to_wire(message, &text, &mut to_wire::Scratch::default(), &mut out)
    } else {
        let converted = to_json(message, &text, &mut to_json::Scratch::default(), &mut out);
        out.push(b'\n');
        converted
    };
    converted.map_err(|error| input(in_words(error, &text)))?;
    Ok(to.write_all(&out)?)
}

/// Lines of JSON to messages with their lengths. Buffers and scratch serve all lines, so that only the longest one costs memory.
fn json_lines(
    message: Message<'_>,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let mut scratch = to_wire::Scratch::default();
    let (mut line, mut wire, mut len) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1_u64.. {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        wire.clear();
        to_wire(message, &line, &mut scratch, &mut wire)
            .map_err(|error| input(format!("line {number}: {}", in_words(error, &line))))?;
        len.clear();
        prost::encode_length_delimiter(wire.len(), &mut len)
            .map_err(|error| input(format!("line {number}: {error}")))?;
        to.write_all(&len)?;
        to.write_all(&wire)?;
    }
    Ok(())
}

/// Messages with their lengths to lines of JSON.
fn delimited(
    message: Message<'_>,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let mut scratch = to_json::Scratch::default();
    let (mut wire, mut line) = (Vec::new(), Vec::new());
    for number in 1_u64.. {
        let Some(len) =
            read_len(from).map_err(|error| input(format!("message {number}: {error}")))?
        else {
            break;
        };
        wire.resize(len, 0);
        from.read_exact(&mut wire)
            .map_err(|error| input(format!("message {number} of {len} bytes: {error}")))?;
        line.clear();
        to_json(message, &wire, &mut scratch, &mut line)
            .map_err(|error| input(format!("message {number}: {}", in_words(error, &[]))))?;
        line.push(b'\n');
        to.write_all(&line)?;
    }
    Ok(())
}

/// Reads a length, or nothing at the end of the input. No more than a body may have is taken for a length: memory is made for it.
fn read_len(from: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut len = 0;
    for shift in (0..32).step_by(7) {
        let mut byte = [0];
        match from.read_exact(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && shift == 0 => {
                return Ok(None);
            }
            done => done?,
        }
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 && len <= BODY_LEN_MAX {
            return Ok(Some(len));
        }
    }
    let text = format!("its length is none, or is more than {BODY_LEN_MAX} bytes");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The error in words; those about JSON look at the text again.
fn in_words(error: Error, json: &[u8]) -> String {
    let context = Context {
        body: json,
        ..Context::default()
    };
    let mut words = String::new();
    error.write_text(&context, &mut words);
    words
}
