//! JSON that arrives in pieces. Goal: wherever it is cut, it becomes what the whole text becomes, or is refused at the same byte for the same
//! reason. Method: the cases of `cases/to_wire`, cut everywhere; texts of near misses, cut at random; the whole-slice call is the oracle.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

mod support;

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use support::notation;
use transom_engine::error::ErrorKind;
use transom_engine::to_wire::{Pieces, Progress, Scratch};
use transom_engine::{Error, Message, Options, Schema, UnknownEnumNames, to_wire};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| support::schema(Options::default()));

fn message(name: &str) -> Message<'static> {
    SCHEMA.message(&format!("transom.test.v1.{name}")).unwrap()
}

fn whole(message: Message<'_>, json: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, Error> {
    let mut out = b"before".to_vec();
    to_wire(message, json, scratch, &mut out).map(|()| out)
}

/// Converts the pieces as one whole body. After an error the buffer must be as it was.
#[expect(single_use_lifetimes, reason = "an elided one is not stable here")]
fn in_pieces<'j>(
    message: Message<'_>,
    pieces: impl IntoIterator<Item = &'j [u8]>,
    scratch: &mut Scratch,
) -> Result<Vec<u8>, Error> {
    let mut out = b"before".to_vec();
    let result = push_all(message, pieces, scratch, &mut out);
    if result.is_err() {
        assert_eq!(out, b"before", "an error leaves the buffer as it was");
    }
    result.map(|()| out)
}

#[expect(single_use_lifetimes, reason = "an elided one is not stable here")]
fn push_all<'j>(
    message: Message<'_>,
    pieces: impl IntoIterator<Item = &'j [u8]>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut reader = Pieces::new(message, scratch);
    let mut is_ended = false;
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            match reader.push(rest, out)? {
                Progress::Open => {
                    assert!(!is_ended, "what has ended stays so");
                    break;
                }
                Progress::Ended { used } => {
                    assert!(used > 0 || !is_ended, "a space is taken or refused");
                    is_ended = true;
                    rest = &rest[used..];
                }
            }
        }
    }
    reader.finish(out)
}

fn agree(message: Message<'_>, json: &[u8], len: usize, scratch: &mut Scratch) {
    let expected = whole(message, json, scratch);
    let found = in_pieces(message, json.chunks(len), scratch);
    assert_eq!(
        found,
        expected,
        "{} in pieces of {len}",
        json.escape_ascii()
    );
}

/// The text in two pieces, cut at each place, and in many of a few bytes.
fn agree_however_cut(message: Message<'_>, json: &[u8], scratch: &mut Scratch) {
    let expected = whole(message, json, scratch);
    // Texts of one long part are the same all along.
    let places = (0..json.len()).step_by(1 + json.len() / 300);
    for at in places {
        let (left, right) = json.split_at(at);
        let found = in_pieces(message, [left, right], scratch);
        assert_eq!(found, expected, "{} cut at {at}", json.escape_ascii());
    }
    for len in [1, 2, 3, 7] {
        agree(message, json, len, scratch);
    }
}

struct Case {
    options: String,
    message: String,
    json: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    notation::wire(&format!("`{text}`"))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in std::fs::read_dir("tests/cases/to_wire").unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let listed: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        cases.extend(listed.iter().map(|case| {
            let name = case["message"].as_str().unwrap();
            let package = if name.contains('.') {
                ""
            } else {
                "transom.test.v1."
            };
            Case {
                options: case["options"].to_string(),
                message: format!("{package}{name}"),
                json: match case["json"].as_str() {
                    Some(json) => json.as_bytes().to_vec(),
                    None => unhex(case["json_hex"].as_str().unwrap()),
                },
            }
        }));
    }
    assert!(cases.len() > 300, "only {} cases were found", cases.len());
    cases
}

fn options(text: &str) -> Options {
    let mut options = Options::default();
    match text {
        "null" => {}
        r#"{"reject_unknown_fields":true}"# => options.reject_unknown_fields = true,
        r#"{"unknown_enum_names":"drop"}"# => options.unknown_enum_names = UnknownEnumNames::Drop,
        _ => panic!("unknown options {text}"),
    }
    options
}

fn each_case(mut act: impl FnMut(Message<'_>, &[u8])) {
    let mut schemas = HashMap::new();
    for case in cases() {
        let schema = schemas
            .entry(case.options.clone())
            .or_insert_with(|| support::schema(options(&case.options)));
        act(schema.message(&case.message).unwrap(), &case.json);
    }
}

#[test]
fn every_case_is_the_same_wherever_it_is_cut() {
    let mut scratch = Scratch::default();
    each_case(|message, json| agree_however_cut(message, json, &mut scratch));
}

/// Goal: faults too. Method: each case is broken off everywhere, and has a byte replaced everywhere.
#[test]
fn every_broken_case_is_refused_at_the_same_byte() {
    let mut scratch = Scratch::default();
    each_case(|message, json| {
        let json = &json[..json.len().min(200)];
        for at in 0..json.len() {
            agree(message, &json[..at], 1, &mut scratch);
            let mut broken = json.to_vec();
            // A few at each place, so that a debug build is done with them in seconds.
            let bytes = b"\"\\{}[],:1n \x00\xff".iter().cycle();
            for byte in bytes.skip(at * 5 % 13).take(4) {
                broken[at] = *byte;
                agree(message, &broken, 1 + at % 5, &mut scratch);
            }
        }
    });
}

/// One of every kind of value that can be cut, nested.
const EVERYTHING: &str = r#" {"scalars":{"fDouble":1.5,"fFloat":"NaN","fInt32":1e2,"fInt64":"-9223372036854775808","fBytes":"AQID","fColor":"COLOR_BLUE"},
    "lists":{"fInt32":[1,2,3],"fString":["a\\","b\""],"fNested":[{"name":"a"},{},{"children":[{},{"name":"é"}]}],"fPacked":[]},
    "maps":{"byString":{"a":"b","c":"d"},"messages":{"x":{"name":"y","children":[{}]},"z":{}}},
    "choice":{"oneNested":{"inner":{"mode":"MODE_ON","tags":["x","y"]}},"otherString":""},
    "wellKnown":{"timestamp":"2026-11-22T13:14:05.25Z","duration":"-1.5s","fieldMask":"a.bC,d","struct":{"a":[1,null,{"b":"c"}]},"value":[[[]]],"int64Value":"1","empty":{},
        "any":{"name":"n","@type":"x/transom.test.v1.Nested"}},
    "unknown":{"deep":[{"a":"\u00e9","b":[[],{}]},1.5e3,null,true]},"more":[{}]} "#;

#[test]
fn a_value_of_every_kind_is_converted_in_pieces_of_any_length() {
    let mut scratch = Scratch::default();
    let json = EVERYTHING.as_bytes();
    assert!(whole(message("Everything"), json, &mut scratch).is_ok());
    agree_however_cut(message("Everything"), json, &mut scratch);
    for len in 1..json.len() {
        agree(message("Everything"), json, len, &mut scratch);
    }
}

/// The elements of a packed list are taken in one go up to the last comma there is.
#[test]
fn packed_lists_are_judged_alike_wherever_they_are_cut() {
    let mut scratch = Scratch::default();
    for list in [
        r#""fInt32":[1,2 , 3,"4",5e0,-6]"#,
        r#""fInt32":[1, ,2]"#,
        r#""fInt32":[1,,2,3]"#,
        r#""fInt32":[ , 1,2]"#,
        r#""fInt32":[1,99999999999,2,3]"#,
        r#""fInt32":[1,"2,3",4]"#,
        r#""fInt32":[1,[2],3],"fInt64":[1]"#,
        r#""fInt32":[1,{"a":[1,2]},3]"#,
        r#""fInt32":[1,null,3]"#,
        r#""fInt32":[1,2],"fInt64":[3,4],"fUint32":[5,"#,
        r#""fColor":["COLOR_RED","COLOR_BLUE",3,"COLOR_GREEN"]"#,
        r#""fColor":["COLOR_RED","NO_COLOR","COLOR_GREEN"]"#,
        r#""fBool":[true,false,tru,true]"#,
        r#""fDouble":[1.5 ,2e3,"NaN","-Infinity",-0.0,1e999,2]"#,
    ] {
        let text = format!("{{{list}}}");
        for len in 1..text.len() {
            agree(message("Lists"), text.as_bytes(), len, &mut scratch);
        }
        agree_however_cut(message("Lists"), text.as_bytes(), &mut scratch);
    }
}

#[test]
fn a_sequence_of_values_is_told_apart() {
    let mut scratch = Scratch::default();
    for (name, text, count) in [
        (
            "transom.test.v1.Nested",
            r#" {"name":"a"}{}  {"name":"}{"}"#,
            3,
        ),
        ("google.protobuf.Int32Value", "12 3\n\t-4 5", 4),
        ("google.protobuf.StringValue", r#""a"  "\"""c" "#, 3),
        ("google.protobuf.Value", r#"{"a":1}[2]"x"null 5 "#, 5),
    ] {
        let message = SCHEMA.message(name).unwrap();
        for len in 1..text.len() {
            let mut ends = 0;
            let mut pieces = text.as_bytes().chunks(len);
            let mut rest: &[u8] = &[];
            loop {
                let mut wire = Vec::new();
                let mut reader = Pieces::new(message, &mut scratch);
                let is_ended = loop {
                    if rest.is_empty() {
                        match pieces.next() {
                            Some(piece) => rest = piece,
                            None => break false,
                        }
                    }
                    match reader.push(rest, &mut wire).unwrap() {
                        Progress::Open => rest = &[],
                        Progress::Ended { used } => {
                            rest = &rest[used..];
                            break true;
                        }
                    }
                };
                if is_ended {
                    reader.finish(&mut wire).unwrap();
                    ends += 1;
                } else {
                    // Either white space alone or a number that nothing follows.
                    ends += usize::from(reader.finish(&mut wire).is_ok());
                    break;
                }
            }
            assert_eq!(ends, count, "{text} in pieces of {len}");
        }
    }
}

/// SEMANTICS 68: as one whole body, a value is followed by white space only.
#[test]
fn what_follows_a_whole_body_is_refused_where_it_stands() {
    let mut scratch = Scratch::default();
    for text in ["{} \n x", "{}{}", "{}  ", "{} \u{feff}"] {
        agree_however_cut(message("Nested"), text.as_bytes(), &mut scratch);
    }
    let mut out = Vec::new();
    let mut reader = Pieces::new(message("Nested"), &mut scratch);
    reader.push(b"{\"name\":\"a\"}", &mut out).unwrap();
    reader.push(b"  ", &mut out).unwrap();
    let fault = reader.push(b" ]", &mut out).unwrap_err();
    assert_eq!(fault, Error::body(ErrorKind::TrailingData, 15));
    assert!(out.is_empty());
    assert_eq!(reader.push(b" ", &mut out), Err(fault), "a fault stays");
    assert_eq!(reader.finish(&mut out), Err(fault));
}

/// The names of fields of these messages, and near misses of all else: most texts are wrong somewhere, many not before their end.
fn near_miss() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"name\":",
        "\"count\":",
        "\"children\":[",
        "\"inner\":{",
        "\"lists\":{",
        "\"fInt32\":[",
        "\"fNested\":[",
        "\"maps\":{",
        "\"byString\":{",
        "\"messages\":{",
        "\"wellKnown\":{",
        "\"any\":{",
        "\"@type\":",
        "\"x/transom.test.v1.Nested\"",
        "\"struct\":{",
        "\"value\":",
        "\"listValue\":[",
        "\"choice\":{",
        "\"oneString\":",
        "\"otherString\":",
        "\"unknown\":[",
        "\"fColor\":[",
        "\"COLOR_RED\"",
        "\"fDouble\":[1,",
        "300,",
        "\"7\",",
        "\"a\":",
        "\"a\"",
        "\"\\u00e9\\\"\"",
        "\"\\",
        "1",
        "-",
        "2.5e1",
        "null",
        "true",
        " ",
        "\n",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Texts that are right: the brackets of `near_miss` closed in order, members separated.
fn nest() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"name":"a,]}\""}"#.to_owned()),
        Just(r#"{"count":12,"unknown":[[{"a":[]}],"]"]}"#.to_owned()),
        Just(r#"{"count":1.5}"#.to_owned()),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!(r#"{{"children":[{}],"name":"x"}}"#, all.join(" ,\n"))),
            inner.prop_map(|one| format!(r#"{{ "unknown" :{one},"children": [ {one} ] }}"#)),
        ]
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..400, 0..12)
}

fn cut<'t>(text: &'t str, cuts: &[usize]) -> Vec<&'t [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|at| at % (text.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in places {
        pieces.push(&text.as_bytes()[from..at]);
        from = at;
    }
    pieces.push(&text.as_bytes()[from..]);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn near_misses_are_judged_alike(text in near_miss(), cuts in cuts(), is_nested in any::<bool>()) {
        let message = message(if is_nested { "Nested" } else { "Everything" });
        let text = format!("{{{text}");
        let mut scratch = Scratch::default();
        let expected = whole(message, text.as_bytes(), &mut scratch);
        for pieces in [cut(&text, &cuts), text.as_bytes().chunks(1).collect()] {
            let found = in_pieces(message, pieces, &mut scratch);
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn nests_are_converted_alike(text in nest(), cuts in cuts()) {
        let message = message("Nested");
        let mut scratch = Scratch::default();
        let expected = whole(message, text.as_bytes(), &mut scratch);
        for pieces in [cut(&text, &cuts), text.as_bytes().chunks(1).collect()] {
            let found = in_pieces(message, pieces, &mut scratch);
            prop_assert_eq!(&found, &expected);
        }
    }
}
