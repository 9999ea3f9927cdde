//! `transom check`: a lint of rules and configuration. In: a schema and a configuration file. Out: one line a finding, and a summary.
//! Always: the same order: by file, then by line; exit code 1 if anything is an error.

use std::io::{self, Write};

use transom_engine::{Finding, Schema, Severity};

use super::{Failure, count, load_descriptors};
use crate::config::CheckArgs;

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let file = args.source.file()?;
    let options = args.source.options(&file);
    let loaded = load_descriptors(&args.source, &file)?;
    let (schema, mut findings) = Schema::lint(&loaded.descriptor_set, &options, &file.rules())?;
    findings.sort_by_cached_key(place);

    let mut stdout = io::stdout().lock();
    let mut counts = [0; 3];
    for finding in &findings {
        let (word, slot) = match finding.severity(&options) {
            Severity::Error => ("error", 0),
            Severity::Warning => ("warning", 1),
            Severity::Note => ("note", 2),
        };
        counts[slot] += 1;
        writeln!(stdout, "{}: {word}: {}", finding.place(), finding.text())?;
    }
    let [errors, warnings, notes] = counts;
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

/// The file, and the line as a number.
fn place(finding: &Finding) -> (String, u64) {
    let place = finding.place();
    match place.rsplit_once(':') {
        Some((file, line)) => (file.to_owned(), line.parse().unwrap_or_default()),
        None => (place.to_owned(), 0),
    }
}
