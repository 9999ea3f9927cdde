//! Replays `corpus/`, and keeps it: every case of `engine/tests/cases` that a body can read is a seed.
//! Always: nothing is written, unless `TRANSOM_REGENERATE=1` asks for it; findings that were added by hand stay.
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

#[path = "../../engine/tests/support/http2.rs"]
mod frames;
#[path = "../../engine/tests/support/notation.rs"]
mod notation;
#[path = "../../engine/tests/support/texts.rs"]
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Seeds longer than this are left out: libFuzzer learns nothing from them that shorter ones do not teach.
const SEED_LEN_MAX: usize = 1024;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

#[test]
fn every_body_holds_for_its_corpus() {
    for (target, body) in transom_fuzz::BODIES {
        let mut count = 0;
        for file in fs::read_dir(corpus(target)).unwrap() {
            let path = file.unwrap().path();
            let input = fs::read(&path).unwrap();
            let outcome = catch_unwind(|| body(&input));
            assert!(outcome.is_ok(), "{} breaks {target}", path.display());
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
    }
}

#[test]
fn every_body_holds_for_short_inputs() {
    for (_, body) in transom_fuzz::BODIES {
        body(b"");
        for byte in 0..=u8::MAX {
            body(&[byte]);
            body(&[0, byte]);
            body(&[0, 0, byte]);
        }
    }
}

#[test]
fn cases_are_seeds() {
    let mut missing = Vec::new();
    for (path, seed) in seeds() {
        if fs::read(&path).is_ok_and(|bytes| bytes == seed) {
            continue;
        }
        if std::env::var_os("TRANSOM_REGENERATE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, seed).unwrap();
        } else {
            missing.push(path);
        }
    }
    assert!(
        missing.is_empty(),
        "run with TRANSOM_REGENERATE=1 to write {missing:?}"
    );
}

/// All seeds by the file they belong in.
fn seeds() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    let mut add = |target: &str, topic: &str, parts: &[&[u8]]| {
        let seed = parts.concat();
        if seed.len() <= SEED_LEN_MAX {
            // By the content, so that a new case moves no other.
            let name = format!("{topic}-{:016x}", fnv(&seed));
            seeds.insert(corpus(target).join(name), seed);
        }
    };
    each_case("to_wire", |topic, case| {
        let Some(text) = case["json"].as_str() else {
            return;
        };
        add(
            "to_wire",
            topic,
            &[&[0, message_choice(case)], text.as_bytes()],
        );
        add("json", topic, &[text.as_bytes()]);
    });
    for text in JSON {
        add("json", "json", &[text.as_bytes()]);
    }
    each_case("to_json", |topic, case| {
        let wire = notation::wire(case["wire"].as_str().unwrap());
        add("to_json", topic, &[&[0, message_choice(case)], &wire]);
        if case["error"].is_null() {
            add("round_trip", topic, &[&[0, message_choice(case)], &wire]);
        }
    });
    each_case("http1", |topic, case| {
        add("http1", topic, &[b"\x07", &bytes_of(&case["input"])]);
    });
    each_case("http2", |topic, case| {
        let first = ["settings".into()];
        let first = case["first"].as_array().map_or(&first[..], Vec::as_slice);
        let peer = first
            .iter()
            .chain(case["peer"].as_array().into_iter().flatten());
        let bytes: Vec<u8> = peer
            .flat_map(|line| frames::bytes(line.as_str().unwrap()))
            .collect();
        // Three calls: one is sent, one goes on, one was reset.
        add("http2", topic, &[&[6, 7, 0b10_01_00], &bytes]);
    });
    let mut add_request = |topic: &str, case: &Value| {
        let body = case["body"].as_str().unwrap_or_default();
        let (line, headers) = match &case["request"] {
            Value::Array(all) => (all[0].as_str().unwrap(), lines(&Value::from(&all[1..]))),
            line => (line.as_str().unwrap(), String::new()),
        };
        let version = if line.contains(" HTTP/") {
            ""
        } else {
            " HTTP/1.1"
        };
        let head = format!("{line}{version}\nHost: x\n{headers}").replace('\n', "\r\n");
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let parts = [
            &profile_choice(case),
            head.as_bytes(),
            length.as_bytes(),
            body.as_bytes(),
        ];
        add("request", topic, &parts);
    };
    for topic in [
        "requests",
        "66-content-types",
        "71-raw-requests",
        "74-patch-masks",
    ] {
        each_case(&format!("exchange/{topic}"), &mut add_request);
    }
    let mut add_reply = |topic: &str, case: &Value| {
        let reply = &case["reply"];
        let headers = match &reply["headers"] {
            Value::Null => "content-type: application/grpc\n".to_owned(),
            headers => lines(headers),
        };
        let mut trailers = lines(&reply["trailers"]);
        if let Some(details) = reply["details"].as_str() {
            let details = base64_simd::STANDARD.encode_to_string(notation::wire(details));
            trailers.extend(["grpc-status-details-bin: ", &details, "\n"]);
        }
        let mut body = Vec::new();
        if let Some(message) = reply["message"].as_str() {
            let message = notation::wire(message);
            body.push(0);
            body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            body.extend(message);
        }
        body.extend(
            reply["raw"]
                .as_str()
                .map(notation::wire)
                .unwrap_or_default(),
        );
        let [options] = profile_choice(case);
        let parts = [
            &[options, reply_choice(case)],
            headers.as_bytes(),
            b"\n",
            trailers.as_bytes(),
            b"\n",
            &body,
        ];
        add("reply", topic, &parts);
    };
    for topic in ["replies", "72-raw-replies"] {
        each_case(&format!("exchange/{topic}"), &mut add_reply);
    }
    add_streams(&mut add);
    for template in TEMPLATES {
        add("template", "template", &[b"\0", template.as_bytes()]);
    }
    for topic in QUERY_TOPICS {
        each_case(&format!("bind/{topic}"), |_, case| {
            let Some(query) = case["query"].as_str() else {
                return;
            };
            let (request, prefix) = query_choice(case["message"].as_str().unwrap());
            let options = if case["strict"] == true { 2 } else { 0 };
            let query = format!("{prefix}{}", query.replace('&', &format!("&{prefix}")));
            add("query", topic, &[&[options, request], query.as_bytes()]);
        });
    }
    for (limit, cut, bytes) in FRAMES {
        add("grpc", "frame", &[&[limit, cut], bytes]);
    }
    // Any bytes are a schema and a message.
    let mut state = fnv(b"schema");
    for len in [0_u8, 4, 8, 16, 32, 64, 64, 64] {
        let bytes = std::iter::repeat_with(|| {
            state = fnv(&state.to_le_bytes());
            state.to_le_bytes()
        });
        let bytes: Vec<_> = bytes.take(64).flatten().collect();
        add("schema", "schema", &[&[len], &bytes]);
    }
    for text in SCHEMAS {
        for (name, with_imports) in [("set", false), ("whole", true)] {
            let set = texts::compile(&[("a.proto", text)], with_imports);
            add("descriptor", name, &[b"\0", &set]);
        }
    }
    seeds
}

/// Bodies of client streams, and frames of server streams.
fn add_streams(add: &mut impl FnMut(&str, &str, &[&[u8]])) {
    for (index, line) in (0..).zip(transom_fuzz::UPLOADS) {
        each_case("stream/124-requests", |_, case| {
            if case["request"] == line
                && let Some(body) = case["body"].as_str()
            {
                add("client_stream", "requests", &[&[index, 2], body.as_bytes()]);
            }
        });
    }
    for manners in 0..8 {
        for (ending, frames) in (0..).zip(STREAMS) {
            add(
                "server_stream",
                "replies",
                &[&[manners, manners, 3, ending], frames],
            );
        }
    }
}

/// Frames: messages of text, some of them cut or at fault.
const STREAMS: [&[u8]; 8] = [
    b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\0\0\0\0\0\x04\x1a\x02x\n",
    b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\x02\x10\x05",
    b"",
    b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\x01\xff\0\0\0\0\0",
    b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\x05\x0a",
    b"\0\0\0\0\x03\x0a\x01a\x01\0\0\0\0",
    b"\0\0\0\0\x0a\x22\x03\x0a\x01a\x22\x03\x1a\x01x\0\0\0\0\x02\x22\0",
    b"\0\0\x01\x10\0\x0a\x80\xa0\x04aaaaaaaa",
];

/// Texts on both sides of the border of what is JSON, and of what one reader takes and another does not.
const JSON: [&str; 24] = [
    "",
    " ",
    "null",
    "nul",
    "[1,]",
    "{\"a\":1,}",
    "[[[[]]]]",
    "{\"a\":{\"a\":[{}]}}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"\\u0061\":2}",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "1e308",
    "1e309",
    "-0",
    "-0.0",
    "1e-400",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00\\ud83d\"",
    "\u{feff}1",
    "[0.1,\"é\\n\",true] ",
];

/// Templates a line each, and a path.
const TEMPLATES: [&str; 17] = [
    "/v1/{a}\n/v1/x",
    "/v1/{a=x/*}/y/{b}:verb\n/v1/x/1/y/2:verb",
    "/v1/{m.a=**}\n/v1/x%2Fy/z",
    "/v1/**/x\n/v1/a/b/x",
    "/%61/*/{m.m.c=*}\n/a/b/c",
    "/\n/",
    "/{a}/{a}\n/x/y",
    "/{a={b}}\n/x",
    "v1\n/",
    "/a/%zz\n/a/%zz",
    "/a:b:c\n/a:b:c",
    "/{a=**}/{b=**}\n/x/y",
    "/a/**/x/y\n/a/**/y\n/a/**\n/a/b/x/y",
    "/a/*\n/a/*\n/a/*\n/a/*\n/a/{b}/c\n/a/b",
    "/{a=**}:v\n/*:v\n/b:v\n/b:v",
    "/a/{b=c/*}/d\n/a/c/e/d\n/a/c/e/f\n/a/c/e/d",
    "/%2f/{a}\n/%2F/*:%41\n/%2f/x:A",
];

/// Cases whose queries are seeds.
const QUERY_TOPICS: [&str; 5] = [
    "json_text",
    "precedence",
    "scalars",
    "structure",
    "well_known",
];

/// Bytes of replies, with a limit and a cut.
const FRAMES: [(u8, u8, &[u8]); 12] = [
    (64, 3, b""),
    (64, 3, b"\0"),
    (64, 3, b"\0\0\0\0\0"),
    (64, 7, b"\0\0\0\0\x03abc"),
    (2, 7, b"\0\0\0\0\x03abc"),
    (64, 1, b"\x01\0\0\0\x03abc"),
    (64, 2, b"\x02\0\0\0\x03abc"),
    (200, 9, b"\0\xff\xff\xff\xffabc"),
    (64, 9, b"\0\0\0\0\x03abc\0\0\0\0\x03abc"),
    (64, 0, b"99999999H"),
    (64, 0, b"100n"),
    (64, 0, b"123456789S"),
];

/// Files that use what descriptors can say, each as small as can be.
const SCHEMAS: [&str; 9] = [
    "syntax = \"proto3\"; message A { A a = 1; repeated int32 b = 2; map<string, A> c = 3; optional bytes d = 536870911; }",
    "syntax = \"proto2\"; message A { required group B = 1 { optional B b = 1; } extensions 100 to max; } extend A { optional A x = 100; }",
    "syntax = \"proto2\"; enum E { option allow_alias = true; A = 1; B = 1; C = -1; } message M { optional E e = 1 [default = C]; repeated E f = 2 [packed = true]; }",
    "syntax = \"proto3\"; message M { oneof o { string a = 1 [json_name = \"b\"]; int32 c = 3; } fixed64 b_c = 2; enum E { Z = 0; } E e = 4; }",
    "syntax = \"proto3\"; package p.q; import \"google/protobuf/any.proto\"; message M { google.protobuf.Any a = 1; message N { M m = 1; } N n = 2; }",
    "syntax = \"proto3\"; package p; import \"google/api/annotations.proto\"; message M { string a = 1; M m = 2; }
        service S { rpc R(M) returns (M) { option (google.api.http) = { get: \"/v1/{m.a=x/*}:r\" additional_bindings { post: \"/v1/**\" body: \"m\" response_body: \"a\" } }; } }",
    "syntax = \"proto3\"; message M { string a = 1; } service S { rpc R(stream M) returns (stream M); }",
    "syntax = \"proto3\"; import public \"google/protobuf/timestamp.proto\"; message M { repeated google.protobuf.Timestamp t = 1; }",
    "syntax = \"proto3\"; package google.protobuf; message Duration { string seconds = 1; }",
];

/// The byte that stands for a request to which this message is the input, or one in which it is a field, and the name of that field.
fn query_choice(message: &str) -> (u8, &'static str) {
    match message.rsplit('.').next().unwrap_or_default() {
        "Scalars" => (5, ""),
        "Choice" => (6, ""),
        "Maps" => (7, ""),
        "WellKnown" => (8, ""),
        "Lists" => (9, ""),
        "UnpackedLists" => (0, "unpackedLists."),
        "Optionals" => (0, "optionals."),
        "Names" => (0, "names."),
        "Nested" => (0, "nested."),
        "WellKnownLists" => (0, "wellKnownLists."),
        _ => (0, ""),
    }
}

/// Runs `act` on each case of a topic: a folder of files, or one file.
fn each_case(topic: &str, mut act: impl FnMut(&str, &Value)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/cases")
        .join(topic);
    let files: Vec<_> = match fs::read_dir(&path) {
        Ok(folder) => folder.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![path.with_extension("json")],
    };
    for file in files {
        let cases: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let cases = cases.get("cases").unwrap_or(&cases);
        let topic = file.file_stem().unwrap().to_string_lossy();
        for case in cases.as_array().unwrap() {
            act(&topic, case);
        }
    }
}

/// The byte that stands for the message of a case.
fn message_choice(case: &Value) -> u8 {
    let name = case["message"].as_str().unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or_default();
    let index = transom_fuzz::MESSAGES
        .iter()
        .position(|each| each.rsplit('.').next() == Some(name));
    u8::try_from(index.unwrap_or_default()).unwrap()
}

/// The byte that stands for the profile of a case.
fn profile_choice(case: &Value) -> [u8; 1] {
    match case["profile"].as_str() {
        Some("grpc-gateway" | "grpc-gateway-v1") => [1],
        Some("strict" | "envoy" | "forms") => [2],
        _ => [0],
    }
}

/// The byte that stands for the request which a reply answers.
fn reply_choice(case: &Value) -> u8 {
    match case["request"].as_str() {
        Some("POST /v1/raw") => 5,
        Some("POST /v1/pictures/n") => 6,
        _ => 0,
    }
}

/// One line or several, each with its end.
fn lines(value: &Value) -> String {
    match value {
        Value::String(line) => format!("{line}\n"),
        Value::Array(all) => all.iter().map(lines).collect(),
        _ => String::new(),
    }
}

/// The bytes of a case of http1: a string whose characters are bytes, a part to be repeated, or a list of those.
fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect(),
        Value::Array(parts) => parts.iter().flat_map(bytes_of).collect(),
        part => {
            let unit = part.get("repeat").or_else(|| part.get("parts")).unwrap();
            let count = usize::try_from(part["count"].as_u64().unwrap()).unwrap();
            bytes_of(unit).repeat(count)
        }
    }
}

/// A hash that is the same everywhere.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf29ce484222325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3)
    })
}
