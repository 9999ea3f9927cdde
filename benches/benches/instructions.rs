//! Counts instructions, which no other program on the machine can change, and compares them with the committed counts.
//!
//! ```text
//! cargo bench -p transom-benches --bench instructions                           counts and compares; fails above +3 %
//! TRANSOM_REGENERATE=1 cargo bench -p transom-benches --bench instructions      writes benches/instructions.txt anew
//! ```
//!
//! Method: this program runs itself under callgrind, which counts only inside of the function `measured`, and writes the count down
//! each time that function returns. Each job is done three times before, so that its buffers have grown.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it prints a table, and says what is wrong"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use transom_benches::{
    BenchSchema, Bookstore, Contender, Payload, ThousandTemplates, exchange_contenders,
    http2_contenders, published, single_routing_contenders, synthetic, to_json_transom,
    to_wire_transom, worst_cases,
};

/// What a count may grow by, in percent.
const GROWTH_MAX: f64 = 3.0;

/// How much more a byte of the larger input may cost than one of the smaller. An effort that grows with the square costs four times.
const SLOPE_MAX: f64 = 1.3;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--measure") {
        measure_all();
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = cannot_count() {
        println!("instruction counts skipped: {reason}");
        return ExitCode::SUCCESS;
    }
    let rows = match count_instructions() {
        Ok(rows) => rows,
        Err(error) => {
            eprintln!("instruction counts failed: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (worst, jobs): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.input_len.is_some());
    let linear = print_worst_cases(&worst);
    let within = if std::env::var_os("TRANSOM_REGENERATE").is_some() {
        std::fs::write(BASELINE, baseline_text(&jobs)).expect("the source tree can be written");
        println!("\nbenches/instructions.txt has been written");
        true
    } else {
        print_comparison(&jobs)
    };
    if linear && within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Why counts of this machine cannot be compared with the committed ones.
fn cannot_count() -> Option<&'static str> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the committed counts are of x86-64");
    }
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Some("the committed counts are of a processor with AVX2");
    }
    let valgrind = Command::new("valgrind").arg("--version").output();
    if valgrind.is_err() {
        return Some("there is no valgrind");
    }
    None
}

/// The only function whose instructions are counted, with all that it calls.
#[inline(never)]
fn measured(contender: &mut Contender<'_>) {
    contender.run(1);
}

/// What runs under callgrind: does each job and prints its name, in the order of callgrind's files.
fn measure_all() {
    let measure = |name: &str, input_len: Option<usize>, contender: &mut Contender<'_>| {
        contender.run(3);
        measured(contender);
        println!(
            "{name}\t{}",
            input_len.map_or_else(String::new, |len| len.to_string())
        );
    };
    let schema = BenchSchema::load();
    for workload in synthetic().into_iter().chain(published()) {
        let payload = Payload::checked(&schema, &workload);
        let mut transom = to_wire_transom(&payload);
        measure(&format!("to_wire/{}", payload.name), None, &mut transom);
        let mut transom = to_json_transom(&payload);
        measure(&format!("to_json/{}", payload.name), None, &mut transom);
    }
    let store = Bookstore::load();
    for mut contender in exchange_contenders(&store) {
        measure(&contender.name.clone(), None, &mut contender);
    }
    for mut contender in http2_contenders() {
        measure(&contender.name.clone(), None, &mut contender);
    }
    let templates = ThousandTemplates::load();
    for mut contender in single_routing_contenders(&templates) {
        measure(&contender.name.clone(), None, &mut contender);
    }
    for case in worst_cases(&schema) {
        for (len, mut contender) in [case.small, case.large] {
            measure(&case.name, Some(len), &mut contender);
        }
    }
}

/// One job and its cost.
struct Row {
    name: String,
    /// Bytes, of a worst case.
    input_len: Option<u32>,
    instructions: u32,
}

/// Runs this program under callgrind.
fn count_instructions() -> Result<Vec<Row>, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let out = folder.join("callgrind");
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args([
            "--toggle-collect=instructions::measured",
            "--dump-after=instructions::measured",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg("--measure")
        // Variables lie on the stack, and what lies there moves what comes after.
        .env_clear()
        .env("PATH", path)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("valgrind ended with {}:\n{words}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    names
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let (name, input_len) = line.split_once('\t').ok_or("a line without a tab")?;
            let mut part = out.clone().into_os_string();
            part.push(format!(".{}", index + 1));
            Ok(Row {
                name: name.to_owned(),
                input_len: input_len.parse().ok(),
                instructions: read_total(&PathBuf::from(part))?,
            })
        })
        .collect()
}

/// The sum that callgrind writes at the end of a file.
fn read_total(part: &Path) -> Result<u32, String> {
    let text =
        std::fs::read_to_string(part).map_err(|error| format!("{}: {error}", part.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .and_then(|total| total.trim().parse().ok())
        .filter(|total| *total > 0)
        .ok_or_else(|| format!("{}: no count", part.display()))
}

fn baseline_text(rows: &[Row]) -> String {
    let mut text = format!(
        "# Instructions of one operation, written by the bench `instructions`, which compares them too.\n# compiler: {}\n",
        compiler()
    );
    for row in rows {
        writeln!(text, "{:<24} {:>9}", row.name, row.instructions)
            .expect("a string takes everything");
    }
    text
}

/// The words of `rustc --version`: another compiler counts otherwise.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Prints both counts of each job. Tells whether all are within the bound.
fn print_comparison(rows: &[Row]) -> bool {
    let text = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let mut committed: BTreeMap<&str, u32> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim_end().rsplit_once(' '))
        .filter_map(|(name, count)| Some((name.trim_end(), count.parse().ok()?)))
        .collect();
    let mut grown = Vec::new();
    let mut shrunk = 0;
    println!("\n{:<24} {:>9} {:>9}", "instructions", "committed", "now");
    for row in rows {
        let Some(before) = committed.remove(row.name.as_str()) else {
            println!("{:<24} {:>9} {:>9}", row.name, "-", row.instructions);
            grown.push(format!("{} has no committed count", row.name));
            continue;
        };
        let growth = (f64::from(row.instructions) / f64::from(before) - 1.0) * 100.0;
        println!(
            "{:<24} {before:>9} {:>9} {growth:>+7.2} %",
            row.name, row.instructions
        );
        if growth > GROWTH_MAX {
            grown.push(format!("{} grew by {growth:.2} %", row.name));
        }
        shrunk += usize::from(growth < -GROWTH_MAX);
    }
    grown.extend(
        committed
            .keys()
            .map(|name| format!("{name} is committed, but no longer counted")),
    );
    if shrunk > 0 {
        println!(
            "{shrunk} cost less than before by more than {GROWTH_MAX} %; commit the new counts"
        );
    }
    for line in &grown {
        eprintln!("{line}");
    }
    let now = compiler();
    if !grown.is_empty() && !text.contains(&now) {
        eprintln!("the committed counts are of another compiler; this one is {now}");
    }
    if !grown.is_empty() {
        eprintln!(
            "if that is wanted, run TRANSOM_REGENERATE=1 cargo bench -p transom-benches --bench instructions and commit benches/instructions.txt"
        );
    }
    grown.is_empty()
}

/// Prints what a byte of each costs at both sizes. Tells whether none costs more than a bit more in the larger one.
fn print_worst_cases(rows: &[Row]) -> bool {
    let mut linear = true;
    println!(
        "{:<48} {:>9} {:>9} {:>8} {:>8} {:>6}",
        "instructions a byte", "bytes", "bytes", "small", "large", "slope"
    );
    for pair in rows.chunks_exact(2) {
        let [small, large] = pair else {
            unreachable!("chunks of two")
        };
        let a_byte = |row: &Row| f64::from(row.instructions) / row.input_len.map_or(1.0, f64::from);
        let slope = a_byte(large) / a_byte(small);
        println!(
            "{:<48} {:>9} {:>9} {:>8.2} {:>8.2} {slope:>6.2}",
            large.name,
            small.input_len.unwrap_or_default(),
            large.input_len.unwrap_or_default(),
            a_byte(small),
            a_byte(large),
        );
        if slope > SLOPE_MAX {
            eprintln!("{} does not stay linear", large.name);
            linear = false;
        }
    }
    linear
}
