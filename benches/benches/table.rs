//! Prints what the engine costs beside its yardsticks, as the tables of docs/BENCHMARKS.md, from one interleaved run.
//!
//! ```text
//! cargo bench -p transom-benches --bench table -- --quick                       in half a minute, to see where one is
//! cargo bench -p transom-benches --bench table -- --quick small nested          only these payloads
//! cargo bench -p transom-benches --bench table --features yardsticks            with all yardsticks, in two to three minutes
//! cargo bench -p transom-benches --bench table --features yardsticks -- --write the same, into docs/BENCHMARKS.md
//! cargo bench -p transom-benches --bench table -- --hot to_wire small 1000000   one job so many times, for perf
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it prints tables, and says what is wrong"
)]

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use transom_benches::{
    Allocations, BenchSchema, Bookstore, Contender, CountingAllocator, Figure, Payload, Race,
    ThousandTemplates, count_allocations, exchange_contenders, published, routing_contenders,
    synthetic, to_json_contenders, to_json_transom, to_wire_contenders, to_wire_transom,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/BENCHMARKS.md");
const FIRST_LINE: &str = "<!-- The bench `table` writes what follows. -->\n";
const LAST_LINE: &str = "<!-- The bench `table` wrote what precedes. -->\n";

const QUICK: Race = Race {
    slice: Duration::from_millis(1),
    round_count: 101,
};
const THOROUGH: Race = Race {
    slice: Duration::from_millis(1),
    round_count: 501,
};

/// What the project has set itself.
struct Target {
    payload: &'static str,
    /// Time over the tape's, at most.
    to_wire_over_tape: f64,
    /// How many times as long as the engine prost-reflect takes, at least.
    to_wire_reflect: f64,
    to_json_reflect: f64,
}

const TARGETS: [Target; 5] = [
    target("tiny", 0.55, 12.0, 12.0),
    target("small", 0.8, 15.0, 14.0),
    target("numeric", 0.9, 4.0, 2.5),
    target("strings", 0.75, 6.0, 9.0),
    target("nested", 1.0, 15.0, 14.0),
];

const fn target(payload: &'static str, tape: f64, to_wire: f64, to_json: f64) -> Target {
    Target {
        payload,
        to_wire_over_tape: tape,
        to_wire_reflect: to_wire,
        to_json_reflect: to_json,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let schema = BenchSchema::load();
    let payload = |name: &str| {
        let mut workloads = synthetic().into_iter().chain(published());
        let workload = workloads.find(|workload| workload.name == name);
        workload.map(|workload| Payload::checked(&schema, &workload))
    };
    if let ["--hot", direction, name, times] = words.as_slice() {
        let (Some(payload), Ok(times)) = (payload(name), times.parse()) else {
            eprintln!("--hot to_wire|to_json PAYLOAD TIMES");
            return ExitCode::FAILURE;
        };
        match *direction {
            "to_wire" => to_wire_transom(&payload).run(times),
            _ => to_json_transom(&payload).run(times),
        }
        return ExitCode::SUCCESS;
    }
    let (options, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with("--"));
    let payloads: Vec<_> = synthetic()
        .iter()
        .chain(&published())
        .filter(|workload| names.is_empty() || names.contains(&workload.name))
        .map(|workload| Payload::checked(&schema, workload))
        .collect();
    let race = if options.contains(&"--quick") {
        QUICK
    } else {
        THOROUGH
    };
    let text = measure(&payloads, race);
    println!("{text}");
    if options.contains(&"--write") {
        return write_page(&text);
    }
    ExitCode::SUCCESS
}

/// Puts the tables into the page, in place of those that are there.
fn write_page(text: &str) -> ExitCode {
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    let parts = page
        .split_once(FIRST_LINE)
        .and_then(|(before, rest)| Some((before, rest.split_once(LAST_LINE)?.1)));
    let Some((before, after)) = parts else {
        eprintln!("{PAGE} lacks the lines between which the tables go");
        return ExitCode::FAILURE;
    };
    let page = format!("{before}{FIRST_LINE}\n{text}\n{LAST_LINE}{after}");
    match std::fs::write(PAGE, page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PAGE}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A payload with what was measured of it, in one direction.
struct Measured<'p> {
    payload: &'p Payload<'p>,
    /// The engine first, and last once more.
    figures: Vec<Figure>,
    allocations: Vec<Allocations>,
}

impl<'p> Measured<'p> {
    fn run(
        payload: &'p Payload<'p>,
        race: Race,
        mut contenders: Vec<Contender<'p>>,
        mut again: Contender<'p>,
    ) -> Self {
        "transom again".clone_into(&mut again.name);
        let allocations = contenders.iter_mut().map(count_allocations).collect();
        contenders.push(again);
        Self {
            payload,
            figures: race.run(&mut contenders),
            allocations,
        }
    }

    fn transom(&self) -> &Figure {
        &self.figures[0]
    }

    fn find(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// How many times as long as the engine another takes.
    fn times(&self, name: &str) -> String {
        self.find(name).map_or_else(
            || "-".to_owned(),
            |figure| short(figure.times(self.transom())),
        )
    }

    fn target(&self, of: impl Fn(&Target) -> f64) -> String {
        TARGETS
            .iter()
            .find(|target| target.payload == self.payload.name)
            .map_or_else(|| "-".to_owned(), |target| short(of(target)))
    }
}

fn measure(payloads: &[Payload<'_>], race: Race) -> String {
    let mut to_wire = Vec::new();
    let mut to_json = Vec::new();
    for payload in payloads {
        eprintln!("{}", payload.name);
        let (contenders, again) = (to_wire_contenders(payload), to_wire_transom(payload));
        to_wire.push(Measured::run(payload, race, contenders, again));
        let (contenders, again) = (to_json_contenders(payload), to_json_transom(payload));
        to_json.push(Measured::run(payload, race, contenders, again));
    }
    let mut text = String::new();
    push_machine(&mut text, race, to_wire.iter().chain(&to_json));
    push_to_wire(&mut text, &to_wire);
    push_to_json(&mut text, &to_json);
    push_times(&mut text, "JSON to protobuf, nanoseconds", &to_wire);
    push_times(&mut text, "Protobuf to JSON, nanoseconds", &to_json);
    push_allocations(&mut text, "JSON to protobuf, memory", &to_wire);
    push_allocations(&mut text, "Protobuf to JSON, memory", &to_json);
    push_exchange(&mut text, race);
    push_routing(&mut text, race);
    text
}

/// Where and how all of this was measured, and how much of it is noise.
fn push_machine<'m>(
    text: &mut String,
    race: Race,
    measured: impl Iterator<Item = &'m Measured<'m>>,
) {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let load = read("/proc/loadavg");
    let mut again: Vec<f64> = measured
        .filter_map(|row| Some(row.find("transom again")?.times(row.transom())))
        .collect();
    again.sort_by(f64::total_cmp);
    line(
        text,
        format_args!(
            "{model}, {} processors, Linux {}, {}, commit {}; {} rounds of {} ms; load at the end {}.",
            processors
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            read("/proc/sys/kernel/osrelease").trim(),
            words_of("rustc", &["--version"]),
            words_of("git", &["rev-parse", "--short", "HEAD"]),
            race.round_count,
            race.slice.as_millis(),
            load.split(' ').next().unwrap_or_default(),
        ),
    );
    if let (Some(least), Some(most)) = (again.first(), again.last()) {
        line(
            text,
            format_args!(
                "The engine against itself in the same run: {} to {} times its own time. Differences below that are noise.",
                short(*least),
                short(*most)
            ),
        );
    }
}

/// The first line that a program prints.
fn words_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    output.map_or_else(
        |_| format!("no {program}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn push_to_wire(text: &mut String, rows: &[Measured<'_>]) {
    push_heading(
        text,
        "JSON to protobuf",
        &[
            "payload",
            "JSON bytes",
            "ns",
            "÷ tape",
            "at most",
            "× prost-reflect",
            "at least",
            "× prost, pbjson",
            "× buffa",
            "× serde_json Value",
            "× sonic-rs Value",
        ],
    );
    for row in rows {
        let tape = row.find("simd-json tape").map_or_else(
            || "-".to_owned(),
            |tape| format!("{:.2}", row.transom().times(tape)),
        );
        push_row(
            text,
            &[
                row.payload.name.to_owned(),
                row.payload.json.len().to_string(),
                short(row.transom().median()),
                tape,
                row.target(|target| target.to_wire_over_tape),
                row.times("prost-reflect"),
                row.target(|target| target.to_wire_reflect),
                row.times("prost, pbjson"),
                row.times("buffa"),
                row.times("serde_json Value"),
                row.times("sonic-rs Value"),
            ],
        );
    }
}

fn push_to_json(text: &mut String, rows: &[Measured<'_>]) {
    push_heading(
        text,
        "Protobuf to JSON",
        &[
            "payload",
            "protobuf bytes",
            "ns",
            "× prost-reflect",
            "at least",
            "× prost, pbjson",
            "× buffa",
        ],
    );
    for row in rows {
        push_row(
            text,
            &[
                row.payload.name.to_owned(),
                row.payload.wire.len().to_string(),
                short(row.transom().median()),
                row.times("prost-reflect"),
                row.target(|target| target.to_json_reflect),
                row.times("prost, pbjson"),
                row.times("buffa"),
            ],
        );
    }
}

/// Median and range of each contender.
fn push_times(text: &mut String, title: &str, rows: &[Measured<'_>]) {
    push_each(text, title, rows, |row, name| {
        row.find(name).map(|figure| {
            let (least, most) = figure.range();
            let (median, least, most) = (short(figure.median()), short(least), short(most));
            format!("{median} ({least} to {most})")
        })
    });
}

/// Requests and bytes of each contender.
fn push_allocations(text: &mut String, title: &str, rows: &[Measured<'_>]) {
    push_each(text, title, rows, |row, name| {
        let index = row.figures.iter().position(|figure| figure.name == name)?;
        let found = row.allocations.get(index)?;
        Some(match found.request_count {
            0 => "0".to_owned(),
            count => format!("{count} ({} B)", found.byte_count),
        })
    });
}

/// A table with a column for each contender.
fn push_each(
    text: &mut String,
    title: &str,
    rows: &[Measured<'_>],
    cell: impl Fn(&Measured<'_>, &str) -> Option<String>,
) {
    let widest = rows.iter().max_by_key(|row| row.figures.len());
    let names: Vec<&str> = widest.map_or_else(Vec::new, |row| {
        let names = row.figures.iter().map(|figure| figure.name.as_str());
        names.filter(|name| *name != "transom again").collect()
    });
    let columns: Vec<&str> = ["payload"]
        .into_iter()
        .chain(names.iter().copied())
        .collect();
    push_heading(text, title, &columns);
    for row in rows {
        let cells = names
            .iter()
            .map(|name| cell(row, name).unwrap_or_else(|| "-".to_owned()));
        let cells: Vec<String> = [row.payload.name.to_owned()]
            .into_iter()
            .chain(cells)
            .collect();
        push_row(text, &cells);
    }
}

/// What surrounds a message. These are different jobs; they share the rounds, no more.
fn push_exchange(text: &mut String, race: Race) {
    let store = Bookstore::load();
    push_steps(
        text,
        race,
        ["Around a message", "step"],
        exchange_contenders(&store),
    );
}

/// How long it takes to find one route among many.
fn push_routing(text: &mut String, race: Race) {
    let templates = ThousandTemplates::load();
    push_steps(
        text,
        race,
        ["A route among 1,000 templates", "path of"],
        routing_contenders(&templates),
    );
}

fn push_steps(
    text: &mut String,
    race: Race,
    [title, column]: [&str; 2],
    mut contenders: Vec<Contender<'_>>,
) {
    let allocations: Vec<Allocations> = contenders.iter_mut().map(count_allocations).collect();
    let figures = race.run(&mut contenders);
    push_heading(text, title, &[column, "ns", "range", "allocations"]);
    for (figure, allocations) in figures.iter().zip(allocations) {
        let (least, most) = figure.range();
        push_row(
            text,
            &[
                figure.name.clone(),
                short(figure.median()),
                format!("{} to {}", short(least), short(most)),
                allocations.request_count.to_string(),
            ],
        );
    }
}

fn push_heading(text: &mut String, title: &str, columns: &[&str]) {
    line(text, format_args!("\n### {title}\n"));
    line(text, format_args!("| {} |", columns.join(" | ")));
    let rule = columns
        .iter()
        .enumerate()
        .map(|(index, _)| if index == 0 { "---" } else { "---:" });
    line(
        text,
        format_args!("|{}|", rule.collect::<Vec<_>>().join("|")),
    );
}

fn push_row(text: &mut String, cells: &[String]) {
    line(text, format_args!("| {} |", cells.join(" | ")));
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a string takes everything");
}

/// As many digits as mean something.
fn short(value: f64) -> String {
    let digits = usize::from(value < 100.0) + usize::from(value < 10.0);
    format!("{value:.digits$}")
}
