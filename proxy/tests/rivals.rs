//! Transom held against grpc-gateway v2 and Envoy, by what these answered when they were last run.
//!
//! Goal: a client that moves from one of them to Transom notices nothing but what `differential/explained.json` lists with its reason.
//! Method: `differential/run.py --recorded` sends every request of `differential/requests.json` to Transom in the profile of each rival and
//! compares with the rival's recorded answer. Without `--recorded` it records anew; see the README there.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::gateway;
use support::process::Process;
use support::tools;

const RUN_TIME: Duration = Duration::from_mins(5);
const RIVALS: [&str; 2] = ["envoy", "grpc-gateway"];

#[test]
fn transom_answers_as_its_rivals_do() {
    let (succeeded, transcript) = compare_with(&folder().join("recorded"));
    assert!(succeeded, "{transcript}");
}

/// One answer that agreed is changed, and one that is explained is made to agree.
#[test]
fn a_difference_and_a_needless_explanation_are_noticed() {
    let recorded = tools::scratch_folder("recorded-answers");
    for rival in RIVALS {
        let name = format!("{rival}.json");
        let text = fs::read_to_string(folder().join("recorded").join(&name)).unwrap();
        let mut record: Value = serde_json::from_str(&text).unwrap();
        if rival == "grpc-gateway" {
            answer_mut(&mut record, "s16 escaped space and plus")["upstream"][0] =
                Value::from("One name: \"a b c\"");
            let not_found = answer_mut(&mut record, "s25 slash at the end").clone();
            let explained = answer_mut(&mut record, "s24 one segment, empty");
            for part in ["status", "type", "headers", "body", "upstream"] {
                explained[part] = not_found[part].clone();
            }
        }
        fs::write(recorded.join(&name), record.to_string()).unwrap();
    }
    let (succeeded, transcript) = compare_with(&recorded);
    assert!(!succeeded, "{transcript}");
    let open: Vec<&str> = transcript
        .lines()
        .filter(|line| line.starts_with("- "))
        .collect();
    assert_eq!(
        open,
        [
            "- s16 escaped space and plus (GET /q1/a%20b+c)",
            "- s24 one segment, empty (GET /q1/)"
        ],
        "{transcript}"
    );
    fs::remove_dir_all(&recorded).unwrap();
}

fn answer_mut<'r>(record: &'r mut Value, name: &str) -> &'r mut Value {
    record["answers"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|answer| answer["name"] == name)
        .unwrap_or_else(|| panic!("no answer to `{name}` is recorded"))
}

/// Whether all rows are accounted for, and what was printed.
fn compare_with(recorded: &Path) -> (bool, String) {
    let mut command = tools::python().command();
    command
        .arg(folder().join("run.py"))
        .arg("--recorded")
        .arg(recorded)
        .args(["--transom", &gateway::program()]);
    let mut script = Process::start("run.py", &mut command);
    let status = script.wait_for_end(RUN_TIME);
    (status.success(), script.transcript())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}
