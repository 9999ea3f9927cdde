//! The command line and the configuration file. In: arguments, YAML. Out: typed settings of each command. Always: parses no traffic; every
//! value it hands on is valid; a flag wins over the file, and the file over the profile.
//!
//! The names and meanings of commands and options are a contract with users (docs/decisions/0001-command-line.md).
#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the text of --help"
)]

mod answers;
mod file;
mod http_rules;
mod lists;
mod maps;
mod profile;
mod sizes;
mod yaml;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use transom_engine::exchange::Framing;
use transom_engine::{Defaults, EnumStyle, FieldNames, Int64Style, Options};

use crate::limits::{UPSTREAM_CONNECTION_COUNT, UPSTREAM_CONNECTION_COUNT_MAX};
use crate::net::IoChoice;
use crate::schema_source::SchemaSources;
use crate::upstream::{Codec, Target, TargetError};

pub use answers::Answers;
pub use file::{ConfigFile, key_names};
pub use profile::Profile;
pub use yaml::Fault;

/// HTTP/JSON to gRPC gateway: serves your gRPC services as REST, without generated code.
#[derive(Debug, Parser)]
#[command(name = "transom", version, styles = STYLES, after_help = "Try it: transom demo", disable_help_subcommand = true, disable_help_flag = true)]
pub struct CommandLine {
    /// Print help
    // Not clap's own: its long form gives each value of each option a line, which no screen holds.
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    pub help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve an upstream gRPC server as HTTP/JSON.
    #[command(
        after_help = "With neither --descriptor-set nor --proto the upstream's reflection gives the schema.\n\
        Example: transom serve --upstream http://localhost:50051"
    )]
    Serve(ServeArgs),
    /// Run a sample gRPC service and the gateway in front of it, in one process.
    #[cfg(feature = "demo")]
    #[command(after_help = "Example: transom demo --listen 127.0.0.1:8080")]
    Demo(DemoArgs),
    /// List every route: method, path, rpc, body.
    #[command(after_help = "Example: transom routes --proto shop.proto")]
    Routes(RoutesArgs),
    /// Say which route a request takes, what binds where, and why other routes do not match.
    #[command(
        after_help = "Exit code: 0 if a route matches and the message can be built, else 1.\n\
        Example: transom explain --proto shop.proto GET '/v1/orders/7?view=FULL'"
    )]
    Explain(ExplainArgs),
    /// Check rules and configuration: what cannot be, what no request comes to, what is most likely not meant.
    #[command(
        after_help = "Exit code 1 if there is an error, 0 if there are warnings and notes at most.\n\
        Example: transom check --proto shop.proto --config transom.yaml"
    )]
    Check(CheckArgs),
    /// Convert one message between JSON and protobuf, from standard input to standard output.
    #[command(
        after_help = "Example: echo '{\"name\":\"Ann\"}' | transom transcode --proto shop.proto --message shop.Customer --from json --to proto | xxd"
    )]
    Transcode(TranscodeArgs),
    /// Measure what converting your own payloads costs, both ways.
    #[command(
        after_help = "--json prints one object a line: file, direction (j2p or p2j), ns, bytes, allocations.\n\
        Example: transom bench --proto shop.proto --message shop.Order order.json order.pb"
    )]
    Bench(BenchArgs),
}

/// Where the schema comes from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Schema (files and directories may be repeated)")]
pub struct SchemaArgs {
    /// Made by protoc --include_imports -o or buf build
    #[arg(long, value_name = "FILE")]
    pub descriptor_set: Vec<PathBuf>,
    /// A .proto file, compiled here without protoc
    #[arg(long, value_name = "FILE")]
    pub proto: Vec<PathBuf>,
    /// A directory to resolve imports in
    #[arg(long, value_name = "DIR")]
    pub proto_path: Vec<PathBuf>,
}

impl SchemaArgs {
    /// The sources named; `upstream` is asked when there are none.
    pub fn sources(&self, file: &ConfigFile, upstream: Option<&UpstreamUrl>) -> SchemaSources {
        let or = |flags: &[PathBuf], file: &[PathBuf]| {
            if flags.is_empty() { file } else { flags }.to_vec()
        };
        let values = &file.values;
        SchemaSources {
            descriptor_sets: or(&self.descriptor_set, &values.descriptor_set),
            protos: or(&self.proto, &values.proto),
            proto_paths: or(&self.proto_path, &values.proto_path),
            upstream: upstream.map(|upstream| upstream.text.clone()),
            upstream_wait_max: None,
        }
    }
}

/// `--upstream`
#[derive(Clone, Debug)]
pub struct UpstreamUrl {
    /// As it was given.
    pub text: String,
    /// What it means.
    pub target: Target,
}

impl FromStr for UpstreamUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        Ok(Self {
            text: text.to_owned(),
            target: text.parse()?,
        })
    }
}

/// How JSON looks. An option given by itself wins over the profile.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "JSON")]
pub struct JsonArgs {
    /// Answer as transom, grpc-gateway, grpc-gateway-v1 or envoy [default: transom]
    #[arg(long, value_enum, value_name = "PROFILE", hide_possible_values = true)]
    pub profile: Option<Profile>,
    /// Field names written: json or proto [by profile]
    #[arg(long, value_enum, value_name = "WHICH", hide_possible_values = true)]
    pub json_names: Option<JsonNames>,
    /// Unset fields written: omit, no-presence or all, messages as null [by profile]
    #[arg(long, value_enum, value_name = "WHICH", hide_possible_values = true)]
    pub json_defaults: Option<JsonDefaults>,
    /// Enums written by name or number [default: name]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    pub json_enums: Option<JsonEnums>,
    /// 64-bit integers as string or number [default: string]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    pub json_int64: Option<JsonInt64>,
    /// JSON keys of no field: ignore or reject [default: ignore]
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub unknown_fields: Option<Unknown>,
}

impl JsonArgs {
    /// How to answer: the profile, changed by the file, changed by the flags.
    pub fn answers(&self, file: &ConfigFile) -> Answers {
        let mut answers = self.profile(file).answers();
        file.apply(&mut answers);
        let options = &mut answers.options;
        if let Some(names) = self.json_names {
            options.names = match names {
                JsonNames::Json => FieldNames::Json,
                JsonNames::Proto => FieldNames::Proto,
            };
        }
        if let Some(defaults) = self.json_defaults {
            options.defaults = match defaults {
                JsonDefaults::Omit => Defaults::Omit,
                JsonDefaults::NoPresence => Defaults::NoPresence,
                JsonDefaults::All => Defaults::All,
            };
        }
        if let Some(enums) = self.json_enums {
            options.enums = match enums {
                JsonEnums::Name => EnumStyle::Name,
                JsonEnums::Number => EnumStyle::Number,
            };
        }
        if let Some(int64) = self.json_int64 {
            options.int64 = match int64 {
                JsonInt64::String => Int64Style::String,
                JsonInt64::Number => Int64Style::Number,
            };
        }
        if let Some(unknown) = self.unknown_fields {
            options.reject_unknown_fields = unknown == Unknown::Reject;
        }
        answers
    }

    fn profile(&self, file: &ConfigFile) -> Profile {
        self.profile.or(file.values.profile).unwrap_or_default()
    }
}

/// `--json-names`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JsonNames {
    /// lowerCamelCase, or the json_name of the proto file
    Json,
    /// as the proto file has it
    Proto,
}

/// `--json-defaults`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JsonDefaults {
    /// no unset field
    Omit,
    /// unset fields that have no presence
    NoPresence,
    /// those, and unset messages as null
    All,
}

/// `--json-enums`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JsonEnums {
    /// by name
    Name,
    /// by number
    Number,
}

/// `--json-int64`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JsonInt64 {
    /// in quotes
    String,
    /// bare
    Number,
}

/// `--unknown-fields` and `--unknown-query`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unknown {
    /// skip it
    Ignore,
    /// answer 400
    Reject,
}

/// `--stream`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StreamFraming {
    /// one JSON array
    Array,
    /// a line a message
    Ndjson,
    /// a line `{"result":..}` a message
    Wrapped,
    /// server-sent events
    Sse,
}

/// How the gateway runs; shared by `serve` and `demo`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// Keep each worker on a core of its own
    #[arg(long)]
    pub pin_workers: bool,
    /// Of each worker, 1 to 64 [default: 2]
    // Under a heading of its own, since its long name would give the help of its neighbours lines of their own.
    #[arg(long, value_name = "N", value_parser = parse_upstream_connections, help_heading = "Upstream")]
    pub upstream_connections: Option<usize>,
    /// I/O driver; auto is io_uring where allowed [default: auto]
    #[arg(long, value_name = "auto|uring|epoll")]
    pub io: Option<IoChoice>,
    /// HTTP/2 to upstream: h2 or transom [default: h2]
    #[arg(long, value_name = "NAME")]
    pub upstream_codec: Option<Codec>,
    /// Query keys of no field: ignore or reject [default: ignore]
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub unknown_query: Option<Unknown>,
    /// Streams of who accepts anything: array, ndjson, wrapped, sse [default: by profile]
    #[arg(long, value_enum, value_name = "FRAMING", hide_possible_values = true)]
    pub stream: Option<StreamFraming>,
}

impl RunArgs {
    /// Where to listen.
    pub fn listen(&self, file: &ConfigFile) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], 8080));
        self.listen.or(file.values.listen).unwrap_or(default)
    }

    /// How many threads serve, if anybody said.
    pub fn workers(&self, file: &ConfigFile) -> Option<NonZeroUsize> {
        self.workers.or(file.values.workers)
    }

    /// Whether each worker is kept on a core.
    pub fn pins_workers(&self, file: &ConfigFile) -> bool {
        self.pin_workers || file.values.pin_workers == Some(true)
    }

    /// How many connections each worker holds to the upstream.
    pub fn upstream_connections(&self, file: &ConfigFile) -> usize {
        self.upstream_connections
            .or(file.values.upstream_connections)
            .unwrap_or(UPSTREAM_CONNECTION_COUNT)
    }

    /// How workers talk to the kernel.
    pub fn io(&self, file: &ConfigFile) -> IoChoice {
        self.io.or(file.values.io).unwrap_or_default()
    }

    /// What speaks HTTP/2 with the upstream.
    pub fn upstream_codec(&self, file: &ConfigFile) -> Codec {
        let codec = self.upstream_codec.or(file.values.upstream_codec);
        codec.unwrap_or_default()
    }

    /// Changes what the flags here say of how to answer.
    pub fn apply(&self, answers: &mut Answers) {
        if let Some(unknown) = self.unknown_query {
            answers.options.reject_unknown_query = unknown == Unknown::Reject;
        }
        if let Some(stream) = self.stream {
            answers.manners.streams.framing = match stream {
                StreamFraming::Array => Framing::Array,
                StreamFraming::Ndjson => Framing::Lines,
                StreamFraming::Wrapped => Framing::Wrapped,
                StreamFraming::Sse => Framing::Events,
            };
        }
    }
}

const UPSTREAM_CONNECTIONS_EXPECTED: &str = "a number of connections, 1 to 64";

const _: () = assert!(UPSTREAM_CONNECTION_COUNT_MAX == 64);

fn parse_upstream_connections(text: &str) -> Result<usize, String> {
    let count = text.parse().ok();
    count
        .filter(|count| (1..=UPSTREAM_CONNECTION_COUNT_MAX).contains(count))
        .ok_or_else(|| format!("expected {UPSTREAM_CONNECTIONS_EXPECTED}"))
}

/// A name could mean several addresses, and a port alone leaves open who may reach us, so neither is guessed.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_invalid| format!("expected {LISTEN_EXPECTED}"))
}

const LISTEN_EXPECTED: &str =
    "an IP address and a port, as in 127.0.0.1:8080, or 0.0.0.0:8080 to be reached from outside";

/// `transom serve`
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The gRPC server: http://host:port or unix:///path
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    pub upstream: Option<UpstreamUrl>,
    /// A YAML file of settings; see docs/CONFIG.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub run: RunArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub schema: SchemaArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub json: JsonArgs,
}

/// `transom demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub run: RunArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub json: JsonArgs,
}

/// Where a command that serves nothing gets its schema.
#[derive(Args, Debug)]
pub struct OfflineSchemaArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub schema: SchemaArgs,
    /// A gRPC server whose reflection gives the schema when no file does: http://host:port or unix:///path
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Schema (files and directories may be repeated)"
    )]
    pub upstream: Option<UpstreamUrl>,
    /// A YAML file of settings; see docs/CONFIG.md
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Schema (files and directories may be repeated)"
    )]
    pub config: Option<PathBuf>,
}

impl OfflineSchemaArgs {
    /// The configuration file that is named, or one that says nothing.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn file(&self) -> Result<ConfigFile, Fault> {
        ConfigFile::read(self.config.as_deref())
    }

    /// What the schema is compiled with, for commands that have no flags for it: the profile, changed by the file.
    pub fn options(&self, file: &ConfigFile) -> Options {
        self.answers(file).options
    }

    /// How to answer, for commands that have no flags for it.
    pub fn answers(&self, file: &ConfigFile) -> Answers {
        JsonArgs::default().answers(file)
    }

    /// Where the schema comes from.
    pub fn sources(&self, file: &ConfigFile) -> SchemaSources {
        let upstream = self.upstream.as_ref().or(file.values.upstream.as_ref());
        self.schema.sources(file, upstream)
    }
}

/// `transom routes`
#[derive(Args, Debug)]
pub struct RoutesArgs {
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub source: OfflineSchemaArgs,
}

/// `transom explain`
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The HTTP method
    pub method: String,
    /// A path with its query, or a URL
    pub url: String,
    /// The body of the request
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Answer as transom, grpc-gateway, grpc-gateway-v1 or envoy [default: transom]
    #[arg(long, value_enum, value_name = "PROFILE", hide_possible_values = true)]
    pub profile: Option<Profile>,
    /// JSON keys of no field: ignore or reject [default: ignore]
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub unknown_fields: Option<Unknown>,
    /// Query keys of no field: ignore or reject [default: ignore]
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub unknown_query: Option<Unknown>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub source: OfflineSchemaArgs,
}

/// `transom check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub source: OfflineSchemaArgs,
}

impl ExplainArgs {
    /// How to answer. The message is shown without what is unset, whatever the profile and the file write.
    pub fn answers(&self, file: &ConfigFile) -> Answers {
        let json = JsonArgs {
            profile: self.profile,
            unknown_fields: self.unknown_fields,
            ..JsonArgs::default()
        };
        let mut answers = json.answers(file);
        answers.options.defaults = Defaults::Omit;
        if let Some(unknown) = self.unknown_query {
            answers.options.reject_unknown_query = unknown == Unknown::Reject;
        }
        answers
    }
}

/// `transom transcode`
#[derive(Args, Debug)]
pub struct TranscodeArgs {
    /// The full name of the message, as in package.Message
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    pub message: Option<String>,
    /// What standard input holds
    #[arg(
        long,
        value_enum,
        value_name = "json|proto",
        hide_possible_values = true,
        required_unless_present = "config"
    )]
    pub from: Option<Format>,
    /// What standard output gets
    #[arg(
        long,
        value_enum,
        value_name = "json|proto",
        hide_possible_values = true,
        required_unless_present = "config"
    )]
    pub to: Option<Format>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub source: OfflineSchemaArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub json: JsonArgs,
}

impl TranscodeArgs {
    /// The message, what comes in and what goes out.
    ///
    /// # Errors
    /// When neither the flags nor the file say it.
    pub fn conversion(&self, file: &ConfigFile) -> Result<(String, Format, Format), Fault> {
        Ok((
            or_lacks(
                self.message.as_ref(),
                file.values.message.as_ref(),
                file,
                "message",
            )?,
            or_lacks(self.from.as_ref(), file.values.from.as_ref(), file, "from")?,
            or_lacks(self.to.as_ref(), file.values.to.as_ref(), file, "to")?,
        ))
    }
}

impl ServeArgs {
    /// The upstream.
    ///
    /// # Errors
    /// When neither the flags nor the file name it.
    pub fn upstream(&self, file: &ConfigFile) -> Result<UpstreamUrl, Fault> {
        or_lacks(
            self.upstream.as_ref(),
            file.values.upstream.as_ref(),
            file,
            "upstream",
        )
    }
}

impl BenchArgs {
    /// The message that the payloads hold.
    ///
    /// # Errors
    /// When neither the flags nor the file say it.
    pub fn message(&self, file: &ConfigFile) -> Result<String, Fault> {
        or_lacks(
            self.message.as_ref(),
            file.values.message.as_ref(),
            file,
            "message",
        )
    }
}

fn or_lacks<T: Clone>(
    flag: Option<&T>,
    value: Option<&T>,
    file: &ConfigFile,
    key: &str,
) -> Result<T, Fault> {
    let either = flag.or(value);
    either.cloned().ok_or_else(|| file.lacks(key))
}

/// A form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON text
    Json,
    /// protobuf bytes
    Proto,
}

/// `transom bench`
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Payloads: files that end in .json or .pb
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The full name of the message they hold
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    pub message: Option<String>,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub source: OfflineSchemaArgs,
}
