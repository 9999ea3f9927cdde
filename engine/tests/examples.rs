//! The programs of `examples/` do what their headers say. Method: each is a module here, and runs on streams in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]
#![allow(dead_code, reason = "the examples' own `main` is not called")]

#[path = "../examples/filter.rs"]
mod filter;
#[path = "../examples/round_trip.rs"]
mod round_trip;

use std::fs;

const SET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test/editions.binpb");
const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kinds.jsonl");
const MESSAGE: &str = "transom.test.edition2023.Kinds";

/// Runs the filter on a set and message that are there.
fn filter(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, filter::Failure> {
    let arguments = [&[SET, MESSAGE], arguments].concat();
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    let mut output = Vec::new();
    filter::run(&arguments, &mut &*input, &mut output).map(|()| output)
}

fn failure(arguments: &[&str], input: &[u8]) -> (u8, String) {
    let failure = filter(arguments, input).unwrap_err();
    (failure.code, failure.text)
}

#[test]
fn the_filter_converts_one_message_both_ways() {
    let wire = filter(&["json"], b" {\"required\": 7} ").unwrap();
    assert_eq!(wire, [0x18, 7]);
    let json = String::from_utf8(filter(&["proto"], &wire).unwrap()).unwrap();
    assert!(
        json.contains("\"required\":7") && json.ends_with("}\n"),
        "{json}"
    );
}

#[test]
fn the_filter_converts_many_lines_both_ways() {
    let lines = fs::read(LINES).unwrap();
    let wire = filter(&["json", "--lines"], &lines).unwrap();
    let json = filter(&["proto", "--lines"], &wire).unwrap();
    assert_eq!(json.split(|&byte| byte == b'\n').count(), 5 + 1);
    // What is written is read as the same.
    assert_eq!(filter(&["json", "--lines"], &json).unwrap(), wire);
}

#[test]
fn the_filter_says_what_is_wrong_and_where() {
    let bad = b"{\"required\":1}\n{\"sub\":{\"n\":true}}\n";
    let words = "line 2: body.sub.n: expected an int32, found a boolean at byte 12";
    assert_eq!(failure(&["json", "--lines"], bad), (1, words.to_owned()));
    let words = "body.sub.n: expected an int32, found an array at byte 12";
    let found = failure(&["json"], b"{\"sub\":{\"n\":[]}}");
    assert_eq!(found, (1, words.to_owned()));
    assert_eq!(
        failure(&["proto"], b"\x08").1,
        "reply: the message ends too early at byte 1"
    );
    for wire in [
        &b"\x05\x18\x07"[..],
        b"\x80",
        b"\xff\xff\xff\xff\x7f",
        b"\x80\x80\x80\x80\x80\x01",
    ] {
        let (code, text) = failure(&["proto", "--lines"], wire);
        assert!(code == 1 && text.starts_with("message 1"), "{text}");
    }
    assert_eq!(failure(&["yaml"], b"").0, 2);
    assert_eq!(failure(&["json", "--rows"], b"").0, 2);
}

#[test]
fn the_round_trip_shows_what_changed_and_how_fast() {
    let mut output = Vec::new();
    round_trip::run(SET, MESSAGE, LINES, 2, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("\n5 messages of "), "{output}");
    assert!(
        output.contains("to_wire: ") && output.contains("to_json: "),
        "{output}"
    );
    // The first line is as the engine writes it; the fifth has white space.
    assert!(!output.contains("line 1 "), "{output}");
    assert!(
        output.contains("line 5 differs from byte 12 on:"),
        "{output}"
    );
    let missing = round_trip::run(SET, "no.Such", LINES, 1, &mut Vec::new());
    assert_eq!(
        missing.unwrap_err().to_string(),
        "the descriptor set has no message no.Such"
    );
}
