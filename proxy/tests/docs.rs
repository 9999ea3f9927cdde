//! Keeps the pages of documentation true where that is cheap: commands and what they print, options, limits, rooms, cited lines, named tests, links.
//! In: the Markdown of this repository, its sources, and the command line as clap has it. Out: a failure that names the page and what it lacks.
//! Always: only reads the source tree, and runs what the page of commands shows.
#![cfg(test)]
#![cfg(feature = "demo")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;
use transom::config::CommandLine;

const UNSAFE_PAGE: &str = "docs/decisions/0007-simd-and-unsafe.md";

const PAGES: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/COMMANDS.md",
    "docs/CONFIG.md",
    "docs/MAPPING.md",
    "docs/OPERATIONS.md",
    UNSAFE_PAGE,
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below these folders whose names end so, with their content.
fn sources(folders: &[&str], ends: &[&str]) -> Vec<(PathBuf, String)> {
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" {
                open.push(path);
            } else if ends.iter().any(|end| name.ends_with(end))
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folders:?}");
    found
}

/// The cells of the rows of all tables, without the white space around them.
fn rows(page: &str) -> impl Iterator<Item = Vec<String>> {
    page.lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| {
            // A bar inside of a cell is escaped.
            let row = row.replace("\\|", "\u{1}");
            let cells = row.split('|');
            cells
                .map(|cell| cell.trim().replace('\u{1}', "|"))
                .collect()
        })
}

/// What stands below a heading, up to the next one of its level.
fn section<'p>(page: &'p str, title: &str) -> &'p str {
    page.split(&format!("\n## {title}\n"))
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .unwrap_or_else(|| panic!("there is no section `{title}`"))
}

/// What stands between backticks, outside of blocks of code.
fn code_spans(page: &str) -> Vec<&str> {
    let lines = page
        .lines()
        .filter(|line| !line.starts_with("    ") && !line.starts_with("```"));
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn readme_has_the_two_commands_and_the_pipeline_runs_the_tests() {
    let readme = read("README.md");
    for command in [
        "cargo run --release -p transom -- demo",
        "cargo test --workspace",
    ] {
        let block = format!("\n    {command}\n");
        assert!(readme.contains(&block), "README.md lacks `{command}`");
    }
    assert!(read(".ci/run").contains("cargo test --workspace"));
}

#[test]
fn example_of_the_readme_is_the_one_that_the_engine_compiles() {
    let readme = read("README.md");
    let example = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("README.md has a block of Rust");
    let compiled: String = read("engine/src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n")
        .filter(|line| !line.starts_with("# "))
        .collect();
    assert!(
        compiled.contains(example),
        "the example of README.md is not in engine/src/lib.rs"
    );
}

/// The commands that a page shows behind `$`, with what it says they print.
fn shown_commands(page: &str) -> Vec<(&str, String)> {
    let mut shown: Vec<(&str, String)> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        if let Some(command) = line.strip_prefix("    $ ") {
            shown.push((command, String::new()));
            is_open = true;
        } else if !(line.is_empty() || line.starts_with("    ")) {
            is_open = false;
        } else if is_open && let Some((_, output)) = shown.last_mut() {
            output.push_str(line.get(4..).unwrap_or_default());
            output.push('\n');
        }
    }
    shown
}

/// Goal: nobody who tries what the page shows sees something else. Method: the commands that read a schema of ours are run, but for the one that measures.
#[test]
fn commands_of_the_page_print_what_it_shows() {
    let page = read("docs/COMMANDS.md");
    let program = Path::new(env!("CARGO_BIN_EXE_transom"));
    let folder = program.parent().expect("a program is in a folder");
    let path = std::env::var("PATH").expect("there are programs");
    let mut count = 0;
    for (command, shown) in shown_commands(&page) {
        if !command.contains("protos/") || command.contains("transom bench") {
            continue;
        }
        count += 1;
        let output = Command::new("sh")
            .args(["-c", &format!("({command}) 2>&1")])
            .env("PATH", format!("{}:{path}", folder.display()))
            .current_dir(root())
            .output()
            .expect("there is a shell");
        let printed = String::from_utf8_lossy(&output.stdout);
        let (shown, printed) = (shown.trim_end(), printed.trim_end());
        match shown.strip_suffix("\n...") {
            Some(shown) => assert!(printed.starts_with(shown), "{command} prints\n{printed}"),
            None => assert_eq!(shown, printed, "{command}"),
        }
    }
    assert!(count >= 6, "{count} commands are shown");
}

/// Each section of COMMANDS.md with the rows of its options.
fn documented_sections() -> BTreeMap<String, (String, BTreeMap<String, String>)> {
    let page = read("docs/COMMANDS.md");
    page.split("\n## ")
        .skip(1)
        .map(|section| {
            let (title, text) = section.split_once('\n').expect("a heading has a line");
            let options = rows(text)
                .filter_map(|cells| {
                    let name = cells.first()?.strip_prefix("`--")?;
                    let name = name.split(['`', ' ']).next()?;
                    Some((name.to_owned(), cells.join(" | ")))
                })
                .collect();
            (
                title.trim_matches('`').to_owned(),
                (text.to_owned(), options),
            )
        })
        .collect()
}

#[test]
fn page_of_commands_has_each_option_of_each_command_and_no_other() {
    let sections = documented_sections();
    for command in CommandLine::command().get_subcommands() {
        let name = command.get_name();
        let own = sections.get(&format!("transom {name}"));
        let (_, own) = own.unwrap_or_else(|| panic!("COMMANDS.md lacks a section for {name}"));
        // A group of options begins by saying whose they are.
        let groups = sections.values().filter(|(text, _)| {
            let first = text.trim_start().lines().next().unwrap_or_default();
            first.starts_with("Of `") && first.contains(&format!("`{name}`"))
        });
        let mut documented = own.clone();
        documented.extend(groups.flat_map(|(_, options)| options.clone()));

        let mut known = BTreeSet::new();
        for argument in command
            .get_arguments()
            .filter(|argument| argument.get_id() != "help")
        {
            let Some(long) = argument.get_long() else {
                continue;
            };
            known.insert(long.to_owned());
            let Some(row) = documented.get(long) else {
                panic!("COMMANDS.md lacks --{long} of {name}");
            };
            let values = argument.get_possible_values();
            let values = values.iter().map(|value| value.get_name().to_owned());
            let defaults = argument
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy().into_owned());
            // Clap lists true and false for a switch.
            for value in values
                .chain(defaults)
                .filter(|value| value != "true" && value != "false")
            {
                assert!(
                    row.contains(&value),
                    "--{long} of {name}: COMMANDS.md lacks `{value}`"
                );
            }
        }
        let documented: BTreeSet<_> = documented.into_keys().collect();
        assert_eq!(documented, known, "options of {name} in COMMANDS.md");
        assert!(
            read("README.md").contains(&format!("| `transom {name}` |")),
            "README.md lacks {name}"
        );
    }
}

/// The ids cited behind `word`: `10`, `43 to 45`, `114, 116`, `A1`, `F1 to F6`.
fn cited(text: &str, word: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for mut rest in text.split(word).skip(1) {
        let mut last = None;
        let mut is_range = false;
        while let Some((id, after)) = split_id(rest) {
            if is_range && let Some(from) = last {
                ids.extend(between(from, id));
            }
            ids.insert(id.to_owned());
            last = Some(id);
            let separators = [", ", " and ", " or ", " to ", "-"];
            let Some((separator, behind)) = separators
                .iter()
                .find_map(|separator| Some((*separator, after.strip_prefix(separator)?)))
            else {
                break;
            };
            is_range = matches!(separator, " to " | "-");
            rest = behind;
        }
    }
    ids
}

/// A number, perhaps with a capital before it or an `a` behind.
fn split_id(text: &str) -> Option<(&str, &str)> {
    let number = text.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    if text.len() > number.len() + 1 || rest.len() == number.len() {
        return None;
    }
    let is_14a = number.strip_suffix(rest) == Some("14") && rest.starts_with('a');
    text.split_at_checked(text.len() - rest.len() + usize::from(is_14a))
}

fn between(from: &str, to: &str) -> Vec<String> {
    let letter = from.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = |id: &str| id.trim_start_matches(letter).parse::<u32>().ok();
    let (Some(from), Some(to)) = (number(from), number(to)) else {
        return Vec::new();
    };
    (from..=to)
        .map(|number| format!("{letter}{number}"))
        .collect()
}

fn first_cells(page: &str) -> Vec<String> {
    rows(page)
        .filter_map(|cells| cells.into_iter().next())
        .collect()
}

fn assert_cited_lines_exist(word: &str, page: &str, known: &BTreeSet<String>) {
    let folders = ["engine", "proxy", "fuzz", "benches", "protos"];
    for (path, text) in sources(
        &folders,
        &[".rs", ".json", ".proto", ".py", ".toml", ".lua"],
    ) {
        for id in cited(&text, word) {
            assert!(
                known.contains(&id),
                "{}: cites {word}{id}, which {page} lacks",
                path.display()
            );
        }
    }
}

#[test]
fn lines_of_the_mapping_are_all_there_and_hold_whatever_is_cited() {
    let mut lines = first_cells(&read("docs/MAPPING.md"));
    lines.retain(|cell| cell.starts_with(|c: char| c.is_ascii_digit()));
    let known: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(lines.len(), known.len(), "MAPPING.md has a line twice");
    let mut expected: BTreeSet<_> = (1..=138).map(|line| line.to_string()).collect();
    expected.insert("14a".to_owned());
    assert_eq!(known, expected);
    assert_cited_lines_exist("SEMANTICS ", "docs/MAPPING.md", &known);
}

#[test]
fn rows_of_threats_hold_whatever_is_cited() {
    let page = read("docs/OPERATIONS.md");
    let mut known: BTreeSet<_> = first_cells(section(&page, "Threats")).into_iter().collect();
    // The limits as a whole.
    known.insert("1".to_owned());
    assert_cited_lines_exist("THREATS ", "docs/OPERATIONS.md", &known);
}

#[test]
fn citations_are_read_in_each_form() {
    let of = |text: &str| cited(text, "CITED ").into_iter().collect::<Vec<_>>();
    assert_eq!(of("CITED 14a, CITED section 5, CITED 7."), ["14a", "7"]);
    assert_eq!(of("(CITED 43 to 45, 9)"), ["43", "44", "45", "9"]);
    assert_eq!(of("CITED 15-17, 29, 47: x"), ["15", "16", "17", "29", "47"]);
    assert_eq!(
        of("CITED F1 to F3 and CITED A8, Z"),
        ["A8", "F1", "F2", "F3"]
    );
}

/// The constants of a file of limits, each with its value: a number, or microseconds.
fn limits_of(path: &str) -> BTreeMap<String, u64> {
    let text = read(path);
    let constants = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "));
    constants
        .map(|line| {
            let (name, rest) = line.split_once(':').expect("a constant has a type");
            let (_, value) = rest
                .split_once('=')
                .unwrap_or_else(|| panic!("{path}: {name} goes on in a second line"));
            let value = value.trim().trim_end_matches(';');
            let (factors, unit) = match value.trim_end_matches(')').split_once("Duration::from_") {
                Some((_, call)) => {
                    let (unit, count) = call.split_once('(').expect("a call");
                    let unit = match unit {
                        "micros" => 1,
                        "millis" => 1000,
                        "secs" => 1000 * 1000,
                        "mins" => 60 * 1000 * 1000,
                        _ => panic!("{path}: {name}: unit {unit}"),
                    };
                    (count, unit)
                }
                None => (value, 1),
            };
            let product: u64 = factors
                .split('*')
                .map(|factor| factor.trim().replace('_', "").parse::<u64>())
                .product::<Result<_, _>>()
                .unwrap_or_else(|error| panic!("{path}: {name} = {value}: {error}"));
            (name.to_owned(), product * unit)
        })
        .collect()
}

/// A value as a table has it: `10 000`, `32 KiB`, `250 ms`.
fn documented_value(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != ' ')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "" | "levels" | "bytes" | "µs" => 1,
        "ms" => 1000,
        "s" => 1000 * 1000,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    Some(number.replace(' ', "").parse::<u64>().ok()? * unit)
}

#[test]
fn tables_of_limits_have_each_limit_with_its_value_and_no_other() {
    let page = read("docs/OPERATIONS.md");
    let documented: BTreeMap<_, _> = rows(section(&page, "Limits"))
        .filter_map(|cells| {
            let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
            let is_constant = name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            is_constant.then(|| (name.to_owned(), documented_value(&cells[1])))
        })
        .collect();
    let mut limits = limits_of("engine/src/limits.rs");
    limits.extend(limits_of("proxy/src/limits.rs"));
    assert!(limits.len() > 40, "{limits:?}");
    let limits: BTreeMap<_, _> = limits
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    assert_eq!(
        documented, limits,
        "limits in OPERATIONS.md, left, and in code"
    );
}

#[test]
fn lines_of_the_log_are_those_that_are_written() {
    let page = read("docs/OPERATIONS.md");
    let code: String = sources(&["proxy/src"], &[".rs"])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let spans = code_spans(section(&page, "The log"));
    let lines: Vec<_> = spans.iter().filter(|span| span.contains(' ')).collect();
    assert!(lines.len() > 2, "{lines:?}");
    for line in lines {
        assert!(
            code.contains(&format!("\"{line}\"")),
            "OPERATIONS.md: nobody logs `{line}`"
        );
    }
}

#[test]
fn architecture_names_every_room() {
    let page = read("docs/ARCHITECTURE.md");
    let named: BTreeSet<_> = code_spans(&page).into_iter().collect();
    for folder in ["engine/src", "proxy/src"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let mut name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                name.push('/');
            }
            assert!(
                named.contains(name.as_str()),
                "ARCHITECTURE.md lacks `{name}` of {folder}"
            );
        }
    }
}

/// The functions of a source in which blocks of `unsafe` stand, once for each block.
fn unsafe_blocks(source: &str) -> Vec<String> {
    let mut function = "";
    let mut blocks = Vec::new();
    let code = source.lines().map(str::trim_start);
    for line in code.filter(|line| !line.starts_with("//")) {
        if let Some((_, rest)) = line.split_once("fn ")
            && rest.starts_with(|c: char| c.is_ascii_lowercase())
        {
            function = rest.split(['(', '<']).next().unwrap_or_default();
        }
        let count = line.matches("unsafe {").count();
        blocks.extend(std::iter::repeat_n(function.to_owned(), count));
    }
    blocks
}

/// Each file, the number of its blocks, and the functions they are in: the table of the decision against the sources.
#[test]
fn unsafe_code_is_where_the_decision_says() {
    let mut documented: BTreeMap<_, _> = rows(section(&read(UNSAFE_PAGE), "Where `unsafe` is"))
        .filter_map(|cells| {
            let file = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
            let count = cells.get(1)?.parse::<usize>().ok()?;
            let named = code_spans(cells.get(2)?);
            let named: BTreeSet<_> = named.into_iter().map(str::to_owned).collect();
            Some((file.to_owned(), (count, named)))
        })
        .collect();
    // What this file says of blocks is no code.
    let this_file = root().join(file!());
    let this_name = this_file.file_name();
    for (path, source) in sources(&["engine", "proxy", "fuzz", "benches"], &[".rs"]) {
        let blocks = unsafe_blocks(&source);
        if blocks.is_empty() || path.file_name() == this_name {
            continue;
        }
        let name = path
            .strip_prefix(root())
            .expect("sources lie below the root");
        let name = name.to_string_lossy().into_owned();
        let code: String = source
            .lines()
            .filter(|line| !line.starts_with("//!"))
            .flat_map(str::split_whitespace)
            .collect();
        assert!(
            code.starts_with("#![expect(unsafe_code,reason="),
            "{name} does not begin by saying why it needs unsafe code"
        );
        let Some((count, named)) = documented.remove(&name) else {
            panic!("{UNSAFE_PAGE} lacks `{name}`: {blocks:?}");
        };
        assert_eq!(count, blocks.len(), "blocks of {name}: {blocks:?}");
        for function in &blocks {
            assert!(
                named.contains(function),
                "{UNSAFE_PAGE}: {name} lacks `{function}`"
            );
        }
    }
    assert!(documented.is_empty(), "{UNSAFE_PAGE} names {documented:?}");
}

#[test]
fn tests_and_cases_that_are_named_exist() {
    let code: String = sources(&["engine", "proxy", "fuzz"], &[".rs"])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let mut count = 0;
    for page in ["docs/MAPPING.md", "docs/OPERATIONS.md", UNSAFE_PAGE] {
        for span in code_spans(&read(page)) {
            let is_json = Path::new(span)
                .extension()
                .is_some_and(|extension| extension == "json");
            let is_case = is_json && span.contains('/') && !span.contains('*');
            let is_function = span.matches('_').count() >= 3
                && span
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_case {
                let path = root().join("engine/tests/cases").join(span);
                assert!(path.exists(), "{page}: there are no cases `{span}`");
            } else if is_function {
                assert!(
                    code.contains(&format!("fn {span}(")),
                    "{page}: there is no test `{span}`"
                );
            }
            count += usize::from(is_case || is_function);
        }
    }
    assert!(count > 100, "{count} names were found");
}

/// As GitHub makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then_some(c),
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for page in PAGES {
        let text = read(page);
        let folder = root().join(page);
        let folder = folder.parent().expect("a page lies in a folder");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.starts_with("https://") {
                continue;
            }
            let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(page)
            } else {
                folder.join(path)
            };
            assert!(target.exists(), "{page}: {link} leads nowhere");
            if !wanted.is_empty() {
                let content = fs::read_to_string(&target).unwrap();
                let mut headings = content.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == wanted),
                    "{page}: {link} names no heading"
                );
            }
        }
    }
}
