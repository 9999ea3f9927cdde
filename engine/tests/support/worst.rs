//! Inputs that cost most. In: how many bytes, about. Out: JSON and wire bytes of the test schemas, each with the message it is for.
//! Always: an input of four times the bytes is four times the same.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use super::notation::{delimited, varint, wire};

/// An input, made by its size, or by its levels and its size.
pub(crate) struct Worst<F> {
    pub(crate) name: &'static str,
    pub(crate) message: &'static str,
    pub(crate) make: F,
}

const fn worst<F>(name: &'static str, message: &'static str, make: F) -> Worst<F> {
    Worst {
        name,
        message,
        make,
    }
}

const EVERYTHING: &str = "transom.test.v1.Everything";
const SCALARS: &str = "transom.test.v1.Scalars";
const LISTS: &str = "transom.test.v1.Lists";
const MAPS: &str = "transom.test.v1.Maps";
const NESTED: &str = "transom.test.v1.Nested";
const CHOICE: &str = "transom.test.v1.Choice";
const WELL_KNOWN: &str = "transom.test.v1.WellKnown";
const WELL_KNOWN_LISTS: &str = "transom.test.v1.WellKnownLists";
const OLD: &str = "transom.test.proto2.Old";
const DELIMITED: &str = "delimited.M";

/// A message that is a group in itself, as editions can say it: `M m = 1; string s = 2; repeated M list = 3;`
pub(crate) fn delimited_set() -> Vec<u8> {
    let field = |name: &str, number, label: Label, kind: Type| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(kind.into()),
        type_name: (kind == Type::Group).then(|| format!(".{DELIMITED}")),
        ..FieldDescriptorProto::default()
    };
    let message = DescriptorProto {
        name: Some("M".to_owned()),
        field: vec![
            field("m", 1, Label::Optional, Type::Group),
            field("s", 2, Label::Optional, Type::String),
            field("list", 3, Label::Repeated, Type::Group),
        ],
        ..DescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("delimited.proto".to_owned()),
        package: Some("delimited".to_owned()),
        message_type: vec![message],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

/// Makes a text of so many bytes.
pub(crate) type MakeText = fn(usize) -> String;
/// Makes a message of so many bytes.
pub(crate) type MakeWire = fn(usize) -> Vec<u8>;
/// Makes a text of so many bytes below so many levels.
pub(crate) type MakeDeepText = fn(usize, usize) -> String;
/// Makes a message of so many bytes below so many levels.
pub(crate) type MakeDeepWire = fn(usize, usize) -> Vec<u8>;

/// `text` as often as fits into `len` bytes.
fn times(text: &str, len: usize) -> String {
    text.repeat(len / text.len())
}

/// Numbered texts up to `len` bytes, with commas between them.
fn numbered(len: usize, text: impl Fn(usize) -> String) -> String {
    let mut out = String::with_capacity(len);
    for index in 0.. {
        if out.len() >= len {
            break;
        }
        if index > 0 {
            out.push(',');
        }
        out.push_str(&text(index));
    }
    out
}

/// Reverses the digits, so that numbers are neither sorted nor near each other.
fn turned(index: usize) -> usize {
    index.reverse_bits() >> 40
}

/// THREATS D1, D2, D6, D7: JSON that is read.
pub(crate) const JSON: &[Worst<MakeText>] = &[
    worst("one long string", SCALARS, |len| {
        format!("{{\"fString\":\"{}\"}}", times("a", len))
    }),
    worst("a string of escapes", SCALARS, |len| {
        format!("{{\"fString\":\"{}\"}}", times("\\u00e9\\n", len))
    }),
    worst("a string of surrogates", SCALARS, |len| {
        format!("{{\"fString\":\"{}\"}}", times("\\ud83d\\ude00", len))
    }),
    worst("white space", SCALARS, |len| {
        format!(
            "{{{}\"fInt32\":{}1}}",
            times(" \n", len / 2),
            times("\t", len / 2)
        )
    }),
    worst("a number of many digits", SCALARS, |len| {
        format!("{{\"fDouble\":1.{}e-9}}", times("7", len))
    }),
    worst("a fraction of many digits", SCALARS, |len| {
        format!("{{\"fFloat\":0.{}}}", times("1234567890", len))
    }),
    worst("an exponent of many digits", SCALARS, |len| {
        format!("{{\"fDouble\":1e-{}}}", times("9", len))
    }),
    worst("an integer of many zeros", SCALARS, |len| {
        format!("{{\"fInt64\":1.{}e0}}", times("0", len))
    }),
    worst("a number that is skipped", SCALARS, |len| {
        format!("{{\"nosuch\":-0.{}e+5}}", times("8", len))
    }),
    worst("unknown keys", SCALARS, |len| {
        format!(
            "{{{}}}",
            numbered(len, |index| format!("\"unknown{index}\":[{{}}]"))
        )
    }),
    worst("unknown keys that begin as known ones", SCALARS, |len| {
        format!(
            "{{{}}}",
            numbered(len, |index| format!("\"fInt3{}\":0", index % 10 + 3))
        )
    }),
    worst("unknown keys in capitals", SCALARS, |len| {
        format!("{{{}}}", numbered(len, |_| "\"FINT32\":null".to_owned()))
    }),
    worst("keys in reverse order", EVERYTHING, |len| {
        let all = "{\"fColor\":1,\"fBytes\":\"\",\"fString\":\"\",\"fBool\":true,\"fInt64\":1,\"fInt32\":1,\"fFloat\":1,\"fDouble\":1}";
        format!(
            "{{\"everything\":[{}]}}",
            numbered(len, |_| format!("{{\"scalars\":{all}}}"))
        )
    }),
    worst("keys with escapes", EVERYTHING, |len| {
        format!(
            "{{\"everything\":[{}]}}",
            numbered(len, |_| "{\"\\u0073calars\":{}}".to_owned())
        )
    }),
    worst("map keys in order", MAPS, |len| {
        format!(
            "{{\"byString\":{{{}}}}}",
            numbered(len, |index| format!("\"{index:08}\":\"\""))
        )
    }),
    worst("map keys in no order", MAPS, |len| {
        format!(
            "{{\"byInt64\":{{{}}}}}",
            numbered(len, |index| format!("\"{}\":\"0\"", turned(index)))
        )
    }),
    worst("map keys with one common start", MAPS, |len| {
        let start = "x".repeat(100);
        format!(
            "{{\"byString\":{{{}}}}}",
            numbered(len, |index| format!("\"{start}{}\":\"\"", turned(index)))
        )
    }),
    worst("a map in a map in a map", MAPS, |len| {
        format!(
            "{{\"maps\":{{{}}}}}",
            numbered(len, |index| format!(
                "\"{index}\":{{\"maps\":{{\"1\":{{}}}}}}"
            ))
        )
    }),
    worst("members of a Struct", WELL_KNOWN, |len| {
        format!(
            "{{\"struct\":{{{}}}}}",
            numbered(len, |index| format!("\"{}\":null", turned(index)))
        )
    }),
    worst("elements of a ListValue", WELL_KNOWN, |len| {
        format!("{{\"listValue\":[{}]}}", numbered(len, |_| "0".to_owned()))
    }),
    worst("lists in lists", WELL_KNOWN, |len| {
        let nest = format!("{}{}", "[".repeat(90), "]".repeat(90));
        format!("{{\"value\":[{}]}}", numbered(len, |_| nest.clone()))
    }),
    worst("a packed list", LISTS, |len| {
        format!("{{\"fInt32\":[{}]}}", numbered(len, |_| "1".to_owned()))
    }),
    worst("a packed list of doubles", LISTS, |len| {
        format!("{{\"fDouble\":[{}]}}", numbered(len, |_| "1".to_owned()))
    }),
    worst("a list of empty messages", NESTED, |len| {
        format!("{{\"children\":[{}]}}", numbered(len, |_| "{}".to_owned()))
    }),
    worst("a list of long messages", NESTED, |len| {
        let name = "x".repeat(600);
        format!(
            "{{\"children\":[{}]}}",
            numbered(len, |_| format!("{{\"name\":\"{name}\"}}"))
        )
    }),
    worst("a message that nests, again and again", NESTED, |len| {
        let nest = "{\"child\":".repeat(90) + "{}" + &"}".repeat(90);
        format!("{{\"children\":[{}]}}", numbered(len, |_| nest.clone()))
    }),
    worst(
        "an unknown value that nests, again and again",
        NESTED,
        |len| {
            let nest = "{\"a\":[".repeat(45) + &"]}".repeat(45);
            format!("{{\"nosuch\":[{}]}}", numbered(len, |_| nest.clone()))
        },
    ),
    worst("members of an Any before its type", WELL_KNOWN, |len| {
        let members = numbered(len, |_| "{\"count\":1}".to_owned());
        format!("{{\"any\":{{\"children\":[{members}],\"@type\":\"x/transom.test.v1.Nested\"}}}}")
    }),
    worst("Anys with their types last", WELL_KNOWN_LISTS, |len| {
        format!(
            "{{\"any\":[{}]}}",
            numbered(len, |_| {
                "{\"name\":\"x\",\"@type\":\"x/transom.test.v1.Nested\"}".to_owned()
            })
        )
    }),
    worst("paths of a field mask", WELL_KNOWN, |len| {
        format!(
            "{{\"fieldMask\":\"{}\"}}",
            numbered(len, |_| "aB.cD".to_owned())
        )
    }),
    worst("a duration", WELL_KNOWN, |len| {
        format!("{{\"duration\":\"{}s\"}}", times("0", len))
    }),
    worst("base64", SCALARS, |len| {
        format!("{{\"fBytes\":\"{}\"}}", times("-_-_", len))
    }),
];

/// THREATS D1, D5, D6: JSON that is refused, some of it at its end only.
pub(crate) const BAD_JSON: &[Worst<MakeText>] = &[
    worst("a number that is too large", SCALARS, |len| {
        format!("{{\"fDouble\":{}}}", times("7", len))
    }),
    worst("a string that does not end", SCALARS, |len| {
        format!("{{\"fString\":\"{}", times("é\\\\", len))
    }),
    worst("a map key that comes again at the end", MAPS, |len| {
        format!(
            "{{\"byInt32\":{{{},\"0\":0}}}}",
            numbered(len, |index| format!("\"{}\":0", turned(index)))
        )
    }),
    worst("too deep", WELL_KNOWN, |len| {
        format!("{{\"value\":{}", times("[", len))
    }),
    worst("too deep in what is skipped", NESTED, |len| {
        format!("{{\"nosuch\":{}", times("{\"a\":", len))
    }),
    worst("a fraction of a second", WELL_KNOWN, |len| {
        format!(
            "{{\"timestamp\":\"1970-01-01T00:00:00.{}Z\"}}",
            times("0", len)
        )
    }),
    worst("an enum value that nobody knows", SCALARS, |len| {
        format!("{{\"fColor\":\"{}\"}}", times("C", len))
    }),
    worst("commas where a value should be", SCALARS, |len| {
        format!("{{\"fInt32\":{}", times(",", len))
    }),
    worst("another document behind the first", SCALARS, |len| {
        format!("{{}}{}{{}}", times(" ", len))
    }),
];

/// `unit` as often as fits into `len` bytes.
fn fill(unit: &str, len: usize) -> Vec<u8> {
    let unit = wire(unit);
    unit.repeat(len / unit.len())
}

/// Wire bytes with numbers in them, up to `len` bytes.
fn count_up(len: usize, mut write: impl FnMut(&mut Vec<u8>, u64)) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 100);
    for index in 0.. {
        if out.len() >= len {
            break;
        }
        write(&mut out, index);
    }
    out
}

fn field(number: u64, content: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    delimited(content, out);
}

/// THREATS E1 to E5: protobuf that is written as JSON.
pub(crate) const WIRE: &[Worst<MakeWire>] = &[
    worst("one long string", SCALARS, |len| {
        let mut out = Vec::new();
        field(14, &vec![b'a'; len], &mut out);
        out
    }),
    worst("a string of what is escaped", SCALARS, |len| {
        let mut out = Vec::new();
        field(14, &vec![1; len], &mut out);
        out
    }),
    worst("bytes", SCALARS, |len| {
        let mut out = Vec::new();
        field(15, &vec![0xff; len], &mut out);
        out
    }),
    worst("one field again and again", SCALARS, |len| {
        fill("3: 5", len)
    }),
    worst("two fields in turn", NESTED, |len| fill("2: 5 1: 'a'", len)),
    worst("two lists in turn", LISTS, |len| {
        fill("18: {} 14: 'a'", len)
    }),
    worst("packed and not in turn", LISTS, |len| {
        fill("3: {1 2} 3: 5", len)
    }),
    worst("a packed list", LISTS, |len| {
        let mut out = Vec::new();
        field(13, &vec![1; len], &mut out);
        out
    }),
    worst(
        "a list that is not packed",
        "transom.test.v1.UnpackedLists",
        |len| fill("13: 1", len),
    ),
    worst("a list of empty messages", NESTED, |len| fill("4: {}", len)),
    worst("pieces of one message", NESTED, |len| {
        fill("3: {1: 'a'}", len)
    }),
    worst("pieces of pieces", NESTED, |len| {
        fill("3: {3: {3: {}}}", len)
    }),
    worst("pieces of a Value", WELL_KNOWN, |len| {
        fill("5: {6: {1: {4: 1}}}", len)
    }),
    worst("members of a oneof in turn", CHOICE, |len| {
        fill("3: 5 6: 'a' 9: {}", len)
    }),
    worst("map entries with one key", MAPS, |len| {
        fill("12: {1: 'k' 2: 'v'}", len)
    }),
    worst("map entries without a key", MAPS, |len| fill("1: {}", len)),
    worst("map keys in no order", MAPS, |len| {
        count_up(len, |out, index| {
            let mut entry = Vec::new();
            varint(1 << 3, &mut entry);
            varint(index.reverse_bits() >> 40, &mut entry);
            field(2, &entry, out);
        })
    }),
    worst("string keys with one common start", MAPS, |len| {
        count_up(len, |out, index| {
            let mut entry = Vec::new();
            let key = format!("{}{}", "x".repeat(60), index.reverse_bits() >> 40);
            field(1, key.as_bytes(), &mut entry);
            field(12, &entry, out);
        })
    }),
    worst("members of a Struct in no order", WELL_KNOWN, |len| {
        let members = count_up(len, |out, index| {
            let mut entry = Vec::new();
            field(
                1,
                (index.reverse_bits() >> 40).to_string().as_bytes(),
                &mut entry,
            );
            field(2, &[0x20, 1], &mut entry);
            field(1, &entry, out);
        });
        let mut out = Vec::new();
        field(4, &members, &mut out);
        out
    }),
    worst("unknown fields", SCALARS, |len| {
        fill("1000: 5 1001: 'a' 1002: 5i32 1003: !{1: 1}", len)
    }),
    worst("unknown groups that nest", SCALARS, |len| {
        let nest = [vec![0xa3, 6], vec![0x0b; 90], vec![0x0c; 90], vec![0xa4, 6]].concat();
        nest.repeat(len / nest.len())
    }),
    worst("messages that nest, again and again", NESTED, |len| {
        let mut nest = Vec::new();
        for _ in 0..90 {
            let inner = std::mem::take(&mut nest);
            field(3, &inner, &mut nest);
        }
        let mut element = Vec::new();
        field(4, &nest, &mut element);
        element.repeat(len / element.len())
    }),
    worst("groups", OLD, |len| fill("13: !{1: 'a'}", len)),
    worst("Anys", WELL_KNOWN_LISTS, |len| {
        fill("9: {2: {2: 5} 1: 'x/transom.test.v1.Nested'}", len)
    }),
    worst("paths of a field mask", WELL_KNOWN, |len| {
        let mut out = Vec::new();
        field(3, &fill("1: 'a_b.c'", len), &mut out);
        out
    }),
];

/// THREATS E1, E3: protobuf that is refused.
pub(crate) const BAD_WIRE: &[Worst<MakeWire>] = &[
    worst("text that is no UTF-8 at its end", SCALARS, |len| {
        let mut text = "é".repeat(len / 2).into_bytes();
        text.push(0xff);
        let mut out = Vec::new();
        field(14, &text, &mut out);
        out
    }),
    worst("a length beyond the end", LISTS, |len| {
        let mut out = fill("14: 'a'", len);
        out.extend([0x72, 0xff, 0xff, 0xff, 0xff, 0x07]);
        out
    }),
    worst("a varint that does not end", LISTS, |len| {
        let mut out = Vec::new();
        field(3, &vec![0xff; len], &mut out);
        out
    }),
];

/// `len` bytes of JSON at a level of nesting, by ways in which a level may cost something.
pub(crate) const NESTED_JSON: &[Worst<MakeDeepText>] = &[
    worst("messages", NESTED, |levels, len| {
        let name = times("{\"name\":\"x\"},", len);
        let inner = format!("{{\"children\":[{name}{{}}]}}");
        "{\"child\":".repeat(levels) + &inner + &"}".repeat(levels)
    }),
    worst("lists", WELL_KNOWN, |levels, len| {
        let inner = times("0,", len) + "0";
        format!(
            "{{\"value\":{}{inner}{}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    }),
    worst("what is skipped", WELL_KNOWN, |levels, len| {
        let inner = times("0,", len) + "0";
        format!(
            "{{\"nosuch\":{}{inner}{}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    }),
    worst(
        "Anys with their types last",
        WELL_KNOWN_LISTS,
        |levels, len| {
            let mut inner = format!(
                "{{\"name\":\"{}\",\"@type\":\"x/transom.test.v1.Nested\"}}",
                times("x", len)
            );
            for _ in 0..levels / 3 {
                inner = format!("{{\"any\":[{inner}],\"@type\":\"x/{WELL_KNOWN_LISTS}\"}}");
            }
            format!("{{\"any\":[{inner}]}}")
        },
    ),
];

/// `len` bytes of protobuf at a level of nesting, likewise.
pub(crate) const NESTED_WIRE: &[Worst<MakeDeepWire>] = &[
    worst("messages", NESTED, |levels, len| {
        nest(levels, fill("4: {1: 'x'}", len), 3, b"", b"")
    }),
    worst("messages out of order", NESTED, |levels, len| {
        nest(levels, fill("4: {1: 'x'}", len), 3, b"", b"\x0a\x01a")
    }),
    worst("messages in two pieces", NESTED, |levels, len| {
        nest(levels, fill("4: {1: 'x'}", len), 3, b"\x1a\0", b"")
    }),
    worst("groups", DELIMITED, |levels, len| {
        nest_groups(levels, len, b"")
    }),
    worst("groups out of order", DELIMITED, |levels, len| {
        nest_groups(levels, len, b"\x12\x01a")
    }),
    worst(
        "groups of which the innermost is out of order",
        DELIMITED,
        |levels, len| {
            let mut inner = fill("3: !{2: 'x'}", len);
            inner.extend(b"\x12\x01a");
            for _ in 0..levels {
                inner = [&[0x0b], &*inner, &[0x0c]].concat();
            }
            inner
        },
    ),
    worst("unknown groups", OLD, |levels, len| {
        let mut inner = fill("1: 'x'", len);
        for _ in 0..levels {
            inner = [&[0x9b, 0x3e], &*inner, &[0x9c, 0x3e]].concat();
        }
        inner
    }),
    worst("Anys", WELL_KNOWN_LISTS, |levels, len| {
        let mut inner = fill("1: {1: 5}", len);
        for _ in 0..levels / 3 {
            let mut any = Vec::new();
            field(1, format!("x/{WELL_KNOWN_LISTS}").as_bytes(), &mut any);
            field(2, &inner, &mut any);
            inner.clear();
            field(9, &any, &mut inner);
        }
        inner
    }),
    worst("lists of a Value", WELL_KNOWN, |levels, len| {
        let mut inner = fill("1: {4: 1}", len);
        for _ in 1..levels {
            let (mut list, mut value) = (Vec::new(), Vec::new());
            field(6, &inner, &mut list);
            field(1, &list, &mut value);
            inner = value;
        }
        let (mut list, mut out) = (Vec::new(), Vec::new());
        field(6, &inner, &mut list);
        field(5, &list, &mut out);
        out
    }),
];

fn nest(levels: usize, mut inner: Vec<u8>, number: u64, before: &[u8], behind: &[u8]) -> Vec<u8> {
    for _ in 0..levels {
        let mut outer = before.to_vec();
        field(number, &inner, &mut outer);
        outer.extend(behind);
        inner = outer;
    }
    inner
}

fn nest_groups(levels: usize, len: usize, before: &[u8]) -> Vec<u8> {
    let mut inner = fill("3: !{2: 'x'}", len);
    for _ in 0..levels {
        inner = [before, &[0x0b], &inner, &[0x0c]].concat();
    }
    inner
}
