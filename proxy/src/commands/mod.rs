//! What each command does. In: its parsed arguments. Out: text for the user and an exit code.
//! Always: an error names the place and says what to do; panics are ours and exit with 70.

mod bench;
mod check;
mod explain;
mod routes;
mod serve;
mod transcode;

use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use transom_engine::{Error, FindingKind, Message, Options, Schema, SchemaError, error};

use crate::config::{Command, CommandLine, ConfigFile, Fault, OfflineSchemaArgs};
use crate::schema_source::{self, LoadedSchema, SchemaSourceError};

/// Runs the command and says how it went: 0 done, 1 the user's input is at fault, 70 ours.
pub fn run(command_line: CommandLine) -> ExitCode {
    let done = match command_line.command {
        Command::Serve(args) => serve::serve(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => serve::demo(&args),
        Command::Routes(args) => routes::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Transcode(args) => transcode::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    let (text, code) = match failure {
        // The reader of our output has seen enough, as `head` does.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failure::Output(error) => (format!("cannot write the output: {error}"), 1),
        Failure::Told => return ExitCode::from(1),
        Failure::Input(text) => (text, 1),
        Failure::Ours(text) => (text, 70),
    };
    tell(&format!("transom: {text}"));
    ExitCode::from(code)
}

/// Tells the user something beside the command's output.
fn tell(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _told = writeln!(io::stderr(), "{text}");
}

/// Why a command did not do what it should.
#[derive(Debug)]
enum Failure {
    /// The user's input is at fault; the text says what and how to mend it.
    Input(String),
    /// The same, and all is said already.
    Told,
    /// Standard output failed.
    Output(io::Error),
    /// The fault is ours or the machine's.
    Ours(String),
}

impl Failure {
    fn input(text: impl fmt::Display) -> Self {
        Self::Input(text.to_string())
    }
}

impl From<SchemaSourceError> for Failure {
    fn from(error: SchemaSourceError) -> Self {
        Self::input(error)
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::input(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::input(fault)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Loads and compiles the schema of a command that serves nothing.
fn load_schema(
    source: &OfflineSchemaArgs,
    file: &ConfigFile,
    options: &Options,
) -> Result<Schema, Failure> {
    let loaded = load_descriptors(source, file)?;
    compile(&loaded.descriptor_set, options, file)
}

/// Loads what a command that serves nothing has its schema from.
fn load_descriptors(
    source: &OfflineSchemaArgs,
    file: &ConfigFile,
) -> Result<LoadedSchema, Failure> {
    let loaded = schema_source::load_schema(&source.sources(file), &mut |wait| {
        tell(&wait.to_string());
        ControlFlow::Continue(())
    })?;
    for warning in &loaded.warnings {
        tell(&format!("warning: {warning}"));
    }
    Ok(loaded)
}

/// Compiles a schema with the rules of the configuration, and tells what is wrong with rules that do not stop it (SEMANTICS 14).
fn compile(set: &[u8], options: &Options, file: &ConfigFile) -> Result<Schema, Failure> {
    let schema = Schema::compile_with_rules(set, options, &file.rules())?;
    for finding in schema.findings() {
        let fate = match finding.kind() {
            FindingKind::BadRule => "; the rule is skipped",
            FindingKind::SameRequests => "; the later rule has the route",
            _ => "",
        };
        tell(&format!("warning: {finding}{fate}"));
    }
    Ok(schema)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The message the user named, or an error that offers names alike.
fn find_message<'s>(schema: &'s Schema, name: &str) -> Result<Message<'s>, Failure> {
    schema.message(name).ok_or_else(|| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let mut alike: Vec<_> = schema
            .messages()
            .map(|message| message.full_name())
            .filter(|full| {
                full.rsplit('.')
                    .next()
                    .is_some_and(|own| own.eq_ignore_ascii_case(last))
            })
            .collect();
        alike.sort_unstable();
        let hint = if alike.is_empty() {
            "give its full name, as in package.Message".to_owned()
        } else {
            format!("did you mean {}?", alike.join(" or "))
        };
        Failure::Input(format!(
            "--message {name}: no such message in the schema; {hint}"
        ))
    })
}

/// The text of a conversion error of `input`.
fn conversion_text(error: Error, input: &[u8]) -> String {
    let mut text = String::new();
    error.write_text(
        &error::Context {
            body: input,
            ..error::Context::default()
        },
        &mut text,
    );
    text
}
