//! Inputs made to be slow. In: a schema. Out: each input at two sizes, the second four times the first, as contenders.
//! Always: the engine's verdict on each input is checked; what is refused must be refused at a cost that grows no faster.

use std::hint::black_box;

use transom_engine::{to_json, to_wire};

use crate::{BenchSchema, Contender};

/// One input at two sizes.
#[derive(Debug)]
pub struct WorstCase<'s> {
    /// Direction and what is bad about it.
    pub name: String,
    /// The bytes of the smaller one, and the conversion of it.
    pub small: (usize, Contender<'s>),
    /// The same of the larger one.
    pub large: (usize, Contender<'s>),
}

/// All of them. The larger ones have the sizes that the targets of the project name.
pub fn worst_cases(schema: &BenchSchema) -> Vec<WorstCase<'_>> {
    let case = |direction, name, message, verdict, make: &dyn Fn(usize) -> Vec<u8>, count| {
        let sized = |count| {
            let input = make(count);
            let len = input.len();
            (len, contender(schema, direction, message, verdict, input))
        };
        WorstCase {
            name: format!("{}: {name}", direction_name(direction)),
            small: sized(count / 4),
            large: sized(count),
        }
    };
    let json = |name, message, make: &dyn Fn(usize) -> String, count| {
        let make = |count| make(count).into_bytes();
        case(
            Direction::ToWire,
            name,
            message,
            Verdict::Taken,
            &make,
            count,
        )
    };
    let refused = |name, message, make: &dyn Fn(usize) -> String, count| {
        let make = |count| make(count).into_bytes();
        case(
            Direction::ToWire,
            name,
            message,
            Verdict::Refused,
            &make,
            count,
        )
    };
    let wire = |name, message, make: &dyn Fn(usize) -> Vec<u8>, count| {
        case(
            Direction::ToJson,
            name,
            message,
            Verdict::Taken,
            make,
            count,
        )
    };
    vec![
        json("keys in reverse order", NESTED, &reversed_keys, 800),
        json("map keys in reverse order", SMALL, &reversed_labels, 20_000),
        json("50,000 unknown keys", TINY, &unknown_keys, 50_000),
        json("unknown values 100 deep", TINY, &deep_unknown, 4_000),
        json("lists 97 deep", LOG_ENTRY, &deep_lists, 4_000),
        json(
            "a string below 97 objects",
            LOG_ENTRY,
            &deep_string,
            1 << 20,
        ),
        json(
            "4 MiB of \\n",
            TINY,
            &|count| name_of(&"\\n".repeat(count / 2)),
            4 << 20,
        ),
        json(
            "4 MiB of \\u0041",
            TINY,
            &|count| name_of(&"\\u0041".repeat(count / 6)),
            4 << 20,
        ),
        json(
            "4 MiB of surrogate pairs",
            TINY,
            &|count| name_of(&"\\ud83d\\ude00".repeat(count / 12)),
            4 << 20,
        ),
        json("1 MiB of white space", TINY, &white_space, 1 << 20),
        json(
            "64 KB of digits, a double",
            TINY,
            &|count| score_of(&format!("0.{}", "7".repeat(count))),
            64_000,
        ),
        json("64 KB of digits, half way", TINY, &half_way, 64_000),
        json(
            "64 KB of zeros, an int32",
            TINY,
            &|count| format!("{{\"id\":1.{}}}", "0".repeat(count)),
            64_000,
        ),
        refused(
            "64 KB of digits, an int32",
            TINY,
            &|count| format!("{{\"id\":1{}}}", "0".repeat(count)),
            64_000,
        ),
        refused(
            "64 KB of digits, too large a double",
            TINY,
            &|count| score_of(&"9".repeat(count)),
            64_000,
        ),
        refused(
            "4 MiB that never end",
            TINY,
            &|count| format!("{{\"name\":\"{}", "a".repeat(count)),
            4 << 20,
        ),
        wire(
            "4 MiB of control characters",
            TINY,
            &|count| field(2, &vec![1; count]),
            4 << 20,
        ),
        wire("lists in turns", SMALL, &interleaved, 20_000),
        wire("a message in pieces", SMALL, &pieces, 20_000),
        wire("map entries", SMALL, &entries, 20_000),
        wire(
            "the same map key again and again",
            SMALL,
            &|count| field(11, &[field(1, b"k"), field(2, b"v")].concat()).repeat(count),
            20_000,
        ),
        wire(
            "50,000 unknown fields",
            TINY,
            &|count| [0xf8, 0x07, 0x01].repeat(count),
            50_000,
        ),
        wire("lists 48 deep", LOG_ENTRY, &deep_values, 800),
        wire(
            "the largest varints",
            NUMERIC,
            &|count| field(3, &[vec![0xff; 9], vec![1]].concat().repeat(count)),
            20_000,
        ),
    ]
}

const TINY: &str = "transom.bench.v1.Tiny";
const SMALL: &str = "transom.bench.v1.Small";
const NUMERIC: &str = "transom.bench.v1.Numeric";
const NESTED: &str = "transom.bench.v1.Nested";
const LOG_ENTRY: &str = "google.logging.v2.LogEntry";

#[derive(Clone, Copy)]
enum Direction {
    ToWire,
    ToJson,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    Refused,
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::ToWire => "to_wire",
        Direction::ToJson => "to_json",
    }
}

fn contender<'s>(
    schema: &'s BenchSchema,
    direction: Direction,
    message: &'static str,
    verdict: Verdict,
    input: Vec<u8>,
) -> Contender<'s> {
    let name = message;
    let message = schema.schema.message(name).expect("it is in the files");
    let mut out = Vec::new();
    let mut wire_scratch = to_wire::Scratch::default();
    let mut json_scratch = to_json::Scratch::default();
    Contender::new(name, move || {
        out.clear();
        let input = black_box(input.as_slice());
        let result = match direction {
            Direction::ToWire => to_wire(message, input, &mut wire_scratch, &mut out),
            Direction::ToJson => to_json(message, input, &mut json_scratch, &mut out),
        };
        assert_eq!(
            result.is_ok(),
            verdict == Verdict::Taken,
            "{name}: {result:?}"
        );
    })
}

fn name_of(text: &str) -> String {
    format!("{{\"name\":\"{text}\"}}")
}

fn score_of(text: &str) -> String {
    format!("{{\"score\":{text}}}")
}

fn joined(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(",")
}

fn reversed_keys(count: usize) -> String {
    let line =
        r#"{"discount":{"percent":12.5,"code":"A"},"priceCents":"7","quantity":1,"sku":"S"}"#;
    let address = r#"{"longitude":4.5,"latitude":51.5,"countryCode":"NL","postalCode":"1","city":"R","street":"H"}"#;
    let order = format!(r#"{{"lines":[{line},{line}],"shipTo":{address},"orderId":"o"}}"#);
    format!("{{\"orders\":[{}]}}", joined(count, |_| order.clone()))
}

fn reversed_labels(count: usize) -> String {
    let labels = joined(count, |number| {
        format!("\"key {:06}\":\"v\"", count - number)
    });
    format!("{{\"labels\":{{{labels}}}}}")
}

fn unknown_keys(count: usize) -> String {
    format!(
        "{{{}}}",
        joined(count, |number| format!("\"unknown{number}\":{number}"))
    )
}

fn deep_unknown(count: usize) -> String {
    let value = format!("{}{}", "[".repeat(99), "]".repeat(99));
    format!("{{{}}}", joined(count / 8, |_| format!("\"x\":{value}")))
}

/// An entry is one level, its payload another, and so is each list.
fn deep_lists(count: usize) -> String {
    let value = format!("{}1{}", "[".repeat(97), "]".repeat(97));
    let members = joined(count / 8, |number| format!("\"k{number}\":{value}"));
    format!("{{\"jsonPayload\":{{{members}}}}}")
}

/// Each level writes its length before its content, which is known only when it has been written.
fn deep_string(len: usize) -> String {
    let (open, close) = ("{\"a\":".repeat(97), "}".repeat(97));
    let text = "s".repeat(len);
    format!("{{\"jsonPayload\":{{\"a\":{open}\"{text}\"{close}}}}}")
}

fn white_space(count: usize) -> String {
    let space = " \n\t\r".repeat(count / 16);
    format!("{space}{{{space}\"id\"{space}:{space}1}}")
}

/// Just above the middle between two doubles: all digits count.
fn half_way(count: usize) -> String {
    score_of(&format!("9007199254740993.{}1", "0".repeat(count)))
}

/// A field of bytes: a string, a message, or packed numbers.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let tag = u32::from(number) << 3 | 2;
    let mut out = Vec::new();
    for mut value in [u64::from(tag), content.len() as u64] {
        while value >= 0x80 {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
    }
    out.extend_from_slice(content);
    out
}

/// Elements of two lists, one of each in turn.
fn interleaved(count: usize) -> Vec<u8> {
    [field(9, b"tag"), vec![10 << 3, 7]].concat().repeat(count)
}

/// A sub-message whose fields come one at a time, and another in between.
fn pieces(count: usize) -> Vec<u8> {
    let home = field(12, &field(1, b"street"));
    let work = field(13, &field(2, b"city"));
    [home, work].concat().repeat(count)
}

fn entries(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|number| {
            let key = format!("key {:06}", count - number);
            field(11, &[field(1, key.as_bytes()), field(2, b"v")].concat())
        })
        .collect()
}

/// `Struct` with lists in lists: each level of a text is two of messages.
fn deep_values(count: usize) -> Vec<u8> {
    let mut value = vec![0x20, 1];
    for _ in 0..48 {
        value = field(6, &field(1, &value));
    }
    let entries: Vec<u8> = (0..count / 8)
        .flat_map(|number| {
            let key = field(1, format!("k{number}").as_bytes());
            field(1, &[key, field(2, &value)].concat())
        })
        .collect();
    field(6, &entries)
}
