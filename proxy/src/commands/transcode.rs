//! `transom transcode`: the engine as a filter. In: one message on standard input. Out: the same on standard output.
//! Always: nothing is written unless the whole input was good.

use std::io::{self, Read, Write};

use transom_engine::{to_json, to_wire};

use super::{Failure, conversion_text, find_message, load_schema};
use crate::config::{Format, TranscodeArgs};

pub(super) fn run(args: &TranscodeArgs) -> Result<(), Failure> {
    let file = args.source.file()?;
    let (name, from, to) = args.conversion(&file)?;
    let schema = load_schema(&args.source, &file, &args.json.answers(&file).options)?;
    let message = find_message(&schema, &name)?;
    let mut input = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut input)
        .map_err(|error| Failure::Input(format!("cannot read standard input: {error}")))?;

    let mut wire = Vec::new();
    match from {
        Format::Json => to_wire(message, &input, &mut to_wire::Scratch::default(), &mut wire)
            .map_err(|error| Failure::Input(conversion_text(error, &input)))?,
        Format::Proto => wire = input,
    }
    let mut output = Vec::new();
    // Protobuf to protobuf goes through JSON too: the filter checks what it passes on.
    to_json(
        message,
        &wire,
        &mut to_json::Scratch::default(),
        &mut output,
    )
    .map_err(|error| Failure::Input(conversion_text(error, &wire)))?;
    match to {
        Format::Json => output.push(b'\n'),
        Format::Proto => output = wire,
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(&output)?;
    Ok(stdout.flush()?)
}
