//! What stands on both sides: extensions, message sets and the features of editions, as JSON and as wire bytes of one message. Goal: SEMANTICS 94
//! and 95 as data. Method: `cases/both_ways/*.json`; each case gives the text and the wire that must become each other, other texts
//! and wires that mean the same, or what is refused. Wires are in the notation of `support::notation`.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use support::notation;
use transom_engine::error::ErrorKind;
use transom_engine::{Defaults, Message, Options, Schema, to_json, to_wire};

/// `edition2023.proto` and `edition2024.proto`; `protos/README.md` says how they were compiled.
const EDITIONS: &[u8] = include_bytes!("../../protos/test/editions.binpb");

#[test]
fn every_case_goes_both_ways() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/both_ways");
    let mut schemas = HashMap::new();
    let mut case_count = 0;
    let mut faults = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in &cases {
            case_count += 1;
            let defaults = case["options"]["defaults"].as_str();
            let schema = schemas
                .entry(defaults.map(str::to_owned))
                .or_insert_with(|| schema(defaults));
            if let Err(fault) = check(schema, case) {
                faults.push(format!("{}: {}: {fault}", path.display(), case["name"]));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(case_count > 60, "only {case_count} cases were found");
}

fn check(schema: &Schema, case: &Value) -> Result<(), String> {
    let message = schema
        .message(case["message"].as_str().unwrap())
        .ok_or("no such message")?;
    // Single quotes stand for double ones.
    let text = case["text"].as_str().map(|text| text.replace('\'', "\""));
    let wire = case["wire"].as_str().map(notation::wire);
    if let Some(kind) = case["refused"].as_str() {
        let found = match (text, wire) {
            (Some(text), None) => wire_of(message, &text).map(|_| ()),
            (None, Some(wire)) => text_of(message, &wire).map(|_| ()),
            _ => return Err("a case that is refused has a text or a wire".to_owned()),
        };
        return equal(&found, &Err(kind.to_owned()));
    }
    let (text, wire) = text.zip(wire).ok_or("a text or a wire is missing")?;
    equal(&wire_of(message, &text), &Ok(wire.clone()))?;
    equal(&text_of(message, &wire), &Ok(text.clone()))?;
    for other in case["other_texts"].as_array().into_iter().flatten() {
        let other = other.as_str().unwrap().replace('\'', "\"");
        equal(&wire_of(message, &other), &Ok(wire.clone())).map_err(|fault| other + &fault)?;
    }
    for other in case["other_wires"].as_array().into_iter().flatten() {
        let other = other.as_str().unwrap();
        let found = text_of(message, &notation::wire(other));
        equal(&found, &Ok(text.clone())).map_err(|fault| other.to_owned() + &fault)?;
    }
    Ok(())
}

/// The test schemas of all kinds. Unknown fields are refused, so that no key passes for one that is known.
fn schema(defaults: Option<&str>) -> Schema {
    let options = Options {
        defaults: match defaults {
            None => Defaults::Omit,
            Some("no-presence") => Defaults::NoPresence,
            Some("all") => Defaults::All,
            Some(other) => panic!("unknown defaults {other}"),
        },
        reject_unknown_fields: true,
        ..Options::default()
    };
    // Sets laid end to end are one set.
    let mut set = support::descriptor_set();
    set.extend_from_slice(EDITIONS);
    Schema::compile(&set, &options).expect("the test schemas have plans")
}

fn wire_of(message: Message<'_>, text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut scratch = to_wire::Scratch::default();
    let whole = to_wire(message, text.as_bytes(), &mut scratch, &mut out);
    for len in [1, 3, 16] {
        let mut pieces_out = Vec::new();
        let mut reader = to_wire::Pieces::new(message, &mut scratch);
        let result = text
            .as_bytes()
            .chunks(len)
            .try_for_each(|piece| reader.push(piece, &mut pieces_out).map(drop))
            .and_then(|()| reader.finish(&mut pieces_out));
        equal(&(result, &pieces_out), &(whole, &out))?;
    }
    whole.map_err(|error| format!("{:?}", error.kind))?;
    Ok(out)
}

fn text_of(message: Message<'_>, wire: &[u8]) -> Result<String, String> {
    let mut out = Vec::new();
    let mut scratch = to_json::Scratch::default();
    let whole = to_json(message, wire, &mut scratch, &mut out);
    for len in [1, 3, 16] {
        let mut pieces_out = Vec::new();
        let mut reader = to_json::Pieces::new(message, &mut scratch).holding(0);
        let result = wire
            .chunks(len)
            .try_for_each(|piece| reader.push(piece, &mut pieces_out))
            .and_then(|()| reader.finish(&mut pieces_out));
        let is_again = result.is_err_and(|error| error.kind == ErrorKind::WireOrder);
        if whole.is_ok() && !is_again {
            result.map_err(|error| format!("in pieces of {len}: {:?}", error.kind))?;
            let [found, expected] = [&pieces_out, &out].map(|text| {
                serde_json::from_slice::<Value>(text).map_err(|error| error.to_string())
            });
            equal(&found, &expected)?;
        }
    }
    whole.map_err(|error| format!("{:?}", error.kind))?;
    String::from_utf8(out).map_err(|error| error.to_string())
}

fn equal<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("\n  found    {found:?}\n  expected {expected:?}"))
}
