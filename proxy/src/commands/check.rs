//! `transom check`: a lint of rules and configuration. In: a schema and a configuration file. Out: one line a finding, and a summary.
//! Always: the same order: by file, then by line; exit code 1 if anything is an error.

use std::io::{self, Write};

use transom_engine::exchange::Transcoder;
use transom_engine::{Schema, Severity};

use super::{Failure, count, load_descriptors};
use crate::config::{Answers, CheckArgs, ConfigFile, Fault};

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let file = args.source.file()?;
    let answers = args.source.answers(&file);
    let loaded = load_descriptors(&args.source, &file)?;
    let rules = file.rules();
    let (schema, findings) = Schema::lint(&loaded.descriptor_set, &answers.options, &rules)?;
    let lines = findings.iter().map(|finding| Line {
        severity: finding.severity(&answers.options),
        place: finding.place().to_owned(),
        text: finding.text().to_owned(),
    });
    let mut lines: Vec<_> = lines.collect();
    let transcoder = Transcoder::new(schema, answers.manners.clone());
    settings(&file, &answers, &transcoder, &mut lines);
    lines.sort_by_cached_key(place);

    let mut stdout = io::stdout().lock();
    let mut counts = [0; 3];
    for line in &lines {
        let (word, slot) = match line.severity {
            Severity::Error => ("error", 0),
            Severity::Warning => ("warning", 1),
            Severity::Note => ("note", 2),
        };
        counts[slot] += 1;
        writeln!(stdout, "{}: {word}: {}", line.place, line.text)?;
    }
    let [errors, warnings, notes] = counts;
    let schema = transcoder.schema();
    writeln!(
        stdout,
        "{}, {}, {} in {} of {}, from {}",
        count(errors, "error"),
        count(warnings, "warning"),
        count(notes, "note"),
        count(schema.routes().len(), "route"),
        count(schema.methods().len(), "method"),
        loaded.origin
    )?;
    stdout.flush()?;
    if errors > 0 {
        return Err(Failure::Told);
    }
    Ok(())
}

/// One finding.
struct Line {
    severity: Severity,
    place: String,
    text: String,
}

/// What of the settings does not fit the schema. An error is what `serve` does not start with.
fn settings(file: &ConfigFile, answers: &Answers, transcoder: &Transcoder, lines: &mut Vec<Line>) {
    let mut add = |severity, Fault { place, text }| {
        lines.push(Line {
            severity,
            place,
            text,
        });
    };
    if let Err(bad) = transcoder.check_manners() {
        add(Severity::Error, file.misfit(&bad));
    }
    if transcoder.captures_nowhere() {
        add(Severity::Warning, file.captures_nowhere(answers));
    }
    for fault in file.pointless_limits(answers, transcoder.schema()) {
        add(Severity::Warning, fault);
    }
}

/// The file, and the line as a number.
fn place(line: &Line) -> (String, u64) {
    match line.place.rsplit_once(':') {
        Some((file, number)) => (file.to_owned(), number.parse().unwrap_or_default()),
        None => (line.place.clone(), 0),
    }
}
