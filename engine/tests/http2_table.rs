//! The table of HPACK across a whole connection. Goal: both sides have the same table whatever becomes of the streams, and wherever bytes are cut
//! (`TRANSOM_CASES=10000` tries that many plans). Method: an encoder that keeps its table in the plainest way and writes every form there is at
//! random; some streams were cancelled, have ended, have too many headers or such as no response has.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and its texts are short"
)]

use proptest::prelude::*;
use transom_engine::http2::{
    Code, Connection, Event, Fault, HeaderBlock, ResetCause, Scheme, Settings,
};

/// How a header is written: RFC 7541 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By number if the peer has it; else so that it will.
    Indexed,
    /// Kept, though it may be there already.
    Kept,
    Plain,
    NeverIndexed,
}

/// Whose headers they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They are waited for.
    Heard,
    /// Not any more.
    Cancelled,
    /// They have ended before.
    Late,
    /// They are longer together than is accepted.
    TooLong,
    /// No response can have them.
    Malformed,
    /// Trailers that do not end the stream.
    Endless,
}

#[derive(Clone, Debug)]
struct Field {
    name: usize,
    value: usize,
    form: Form,
    /// Whether a name that is known goes by number.
    names: bool,
}

#[derive(Clone, Debug)]
struct Block {
    /// Sizes of the table that it begins with.
    table_lens: Vec<usize>,
    fields: Vec<Field>,
    fate: Fate,
    /// Bytes in each frame.
    frame_len: usize,
    padding: Option<u8>,
}

fn name(index: usize) -> String {
    match index {
        0 => "content-type".to_owned(),
        1 => "grpc-status".to_owned(),
        index => format!("x-{}", "n".repeat(index * index)),
    }
}

fn value(index: usize) -> String {
    "v".repeat(index * index * index)
}

/// The peer's side.
struct Encoder {
    /// The newest first.
    table: Vec<(String, String)>,
    len_max: usize,
}

const OVERHEAD: usize = 32;

/// Those of the 61 that are used here.
const STATIC: [(&str, usize); 2] = [("content-type", 31), (":status", 8)];

impl Encoder {
    fn evict(&mut self, more: usize) {
        let len = |entry: &(String, String)| entry.0.len() + entry.1.len() + OVERHEAD;
        while !self.table.is_empty()
            && self.table.iter().map(len).sum::<usize>() + more > self.len_max
        {
            self.table.pop();
        }
    }

    fn keep(&mut self, name: &str, value: &str) {
        let len = name.len() + value.len() + OVERHEAD;
        self.evict(len);
        if len <= self.len_max {
            self.table.insert(0, (name.to_owned(), value.to_owned()));
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, name: &str, value: &str, form: Form, names: bool) {
        let whole = self.table.iter().position(|(n, v)| n == name && v == value);
        if let Some(place) = whole
            && form == Form::Indexed
        {
            write_integer(out, 0x80, 7, place + 62);
            return;
        }
        let (first, bits) = match form {
            Form::Indexed | Form::Kept => (0x40, 6),
            Form::Plain => (0, 4),
            Form::NeverIndexed => (0x10, 4),
        };
        // The oldest of that name, which may have to go for this one.
        let known = self.table.iter().rposition(|(n, _)| n == name);
        let fixed = STATIC.iter().find(|(n, _)| *n == name);
        let index = match (known, fixed) {
            (Some(place), _) if names => place + 62,
            (_, Some((_, index))) if names => *index,
            _ => 0,
        };
        write_integer(out, first, bits, index);
        if index == 0 {
            write_integer(out, 0, 7, name.len());
            out.extend(name.bytes());
        }
        write_integer(out, 0, 7, value.len());
        out.extend(value.bytes());
        if first == 0x40 {
            self.keep(name, value);
        }
    }
}

fn write_integer(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

fn frame(kind: u8, flags: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
    [&len[..], &[kind, flags], &number.to_be_bytes(), payload].concat()
}

/// HEADERS and CONTINUATION. The first byte, padding, is of HEADERS alone.
fn frames(number: u32, block: &[u8], ends: bool, plan: &Block) -> Vec<u8> {
    let mut pieces: Vec<&[u8]> = block.chunks(plan.frame_len).collect();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    let last = pieces.len() - 1;
    let mut out = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let end_headers = if place == last { 4 } else { 0 };
        if place > 0 {
            out.extend(frame(9, end_headers, number, piece));
            continue;
        }
        let flags = end_headers | u8::from(ends);
        match plan.padding {
            Some(len) => {
                let padded = [&[len], *piece, &vec![0; len.into()]].concat();
                out.extend(frame(1, flags | 8, number, &padded));
            }
            None => out.extend(frame(1, flags, number, piece)),
        }
    }
    out
}

const LIST_LEN_MAX: usize = 2_000;

fn converse(plan: &[Block], cuts: &[usize]) {
    let mut connection = Connection::new(Settings {
        header_list_len_max: LIST_LEN_MAX as u32,
        stream_count_max: 1_000,
        ..Settings::default()
    });
    let block = HeaderBlock::post(Scheme::Http, b"a", b"/", []).unwrap();
    let mut encoder = Encoder {
        table: Vec::new(),
        len_max: 4_096,
    };
    let mut bytes = frame(4, 0, 0, &[]);
    let mut expected = vec!["settings".to_owned()];
    // Those that are cancelled are so before anything comes.
    for one in plan {
        let stream = connection.open(&block, [], 0).unwrap();
        assert_eq!(connection.send(stream, b"x", true), 1);
        if one.fate == Fate::Cancelled {
            connection.reset(stream, Code::CANCEL);
        }
    }
    for (number, one) in (1..).step_by(2).zip(plan) {
        if one.fate == Fate::Late {
            bytes.extend(frame(1, 5, number, &[0x88]));
            expected.push(format!("{number} 200"));
        }
        if one.fate == Fate::Endless {
            bytes.extend(frame(1, 4, number, &[0x88]));
            expected.push(format!("{number} 200"));
        }
        let mut coded = Vec::new();
        for &len in &one.table_lens {
            write_integer(&mut coded, 0x20, 5, len);
            encoder.len_max = len;
            encoder.evict(0);
        }
        let mut list = Vec::new();
        let mut list_len = 0;
        if one.fate != Fate::Endless {
            // Not the number that is fixed for it, so that it may be kept.
            encoder.write(&mut coded, ":status", "200", Form::Indexed, true);
            list_len += ":status200".len() + OVERHEAD;
        }
        for field in &one.fields {
            let (name, value) = (name(field.name), value(field.value));
            let len = name.len() + value.len() + OVERHEAD;
            let is_full = one.fate != Fate::TooLong && list_len + len > LIST_LEN_MAX;
            if is_full || coded.len() + len > LIST_LEN_MAX - 600 {
                break;
            }
            encoder.write(&mut coded, &name, &value, field.form, field.names);
            list_len += len;
            list.push(format!(" {name}={value}"));
        }
        if one.fate == Fate::Malformed {
            encoder.write(&mut coded, "X-Capital", "v", Form::Indexed, true);
            list_len += "X-Capitalv".len() + OVERHEAD;
        }
        if one.fate == Fate::TooLong {
            encoder.write(&mut coded, "x-before", "v", Form::Kept, true);
            while list_len <= LIST_LEN_MAX {
                // `accept-encoding: gzip, deflate`
                coded.push(0x90);
                list_len += 28 + OVERHEAD;
            }
            encoder.write(&mut coded, "x-behind", "v", Form::Kept, true);
        }
        // With padding; longer ones are another fault.
        assert!(coded.len() + 256 <= LIST_LEN_MAX);
        bytes.extend(frames(number, &coded, one.fate != Fate::Endless, one));
        let list = list.concat();
        match one.fate {
            Fate::Heard => expected.push(format!("{number} 200{list}")),
            Fate::Cancelled | Fate::Late => {}
            _ if list_len > LIST_LEN_MAX && one.fate != Fate::Endless => {
                expected.push(format!("{number} {:?}", Fault::HeadersTooLong));
            }
            Fate::TooLong => unreachable!("it was made so"),
            Fate::Malformed => expected.push(format!("{number} {:?}", Fault::Headers)),
            Fate::Endless => expected.push(format!("{number} {:?}", Fault::Order)),
        }
    }
    let mut heard = Vec::new();
    let mut rest = &bytes[..];
    for cut in cuts.iter().cycle() {
        let (mut input, behind) = rest.split_at(rest.len().min(*cut));
        rest = behind;
        while let Some(event) = connection.receive(&mut input).unwrap() {
            heard.push(match event {
                Event::Settings => "settings".to_owned(),
                Event::Headers {
                    stream,
                    status,
                    list,
                    ..
                } => {
                    let words = list.iter().map(|(name, value)| {
                        format!(" {}={}", name.escape_ascii(), value.escape_ascii())
                    });
                    format!("{} {status}{}", stream.number(), words.collect::<String>())
                }
                Event::Reset {
                    stream,
                    cause: ResetCause::Broken(fault),
                } => format!("{} {fault:?}", stream.number()),
                event => panic!("{event:?}"),
            });
        }
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(heard, expected);
}

fn any_field() -> impl Strategy<Value = Field> {
    let form = prop_oneof![
        5 => Just(Form::Indexed),
        2 => Just(Form::Kept),
        1 => Just(Form::Plain),
        1 => Just(Form::NeverIndexed),
    ];
    let value = prop_oneof![6 => 0..6_usize, 1 => 6..12_usize];
    (0..9_usize, value, form, any::<bool>()).prop_map(|(name, value, form, names)| Field {
        name,
        value,
        form,
        names,
    })
}

fn any_block() -> impl Strategy<Value = Block> {
    let table_len = || prop_oneof![Just(0_usize), Just(4_096), 0..400_usize, 0..=4_096_usize];
    let table_lens = prop_oneof![
        6 => Just(Vec::new()),
        1 => prop::collection::vec(table_len(), 1..=2),
    ];
    let fate = prop_oneof![
        5 => Just(Fate::Heard),
        1 => Just(Fate::Cancelled),
        1 => Just(Fate::Late),
        1 => Just(Fate::TooLong),
        1 => Just(Fate::Malformed),
        1 => Just(Fate::Endless),
    ];
    let frame_len = prop_oneof![2 => Just(16_000_usize), 1 => 40..200_usize];
    let padding = prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let fields = prop::collection::vec(any_field(), 0..12);
    (table_lens, fields, fate, frame_len, padding).prop_map(
        |(table_lens, fields, fate, frame_len, padding)| Block {
            table_lens,
            fields,
            fate,
            frame_len,
            padding,
        },
    )
}

fn case_count() -> u32 {
    let count = std::env::var("TRANSOM_CASES").ok();
    count.map_or(300, |count| count.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: case_count(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_of_both_sides_are_the_same(
        plan in prop::collection::vec(any_block(), 1..40),
        cuts in prop_oneof![
            2 => Just(vec![usize::MAX]),
            1 => prop::collection::vec(1..300_usize, 1..8),
        ],
    ) {
        converse(&plan, &cuts);
    }
}
