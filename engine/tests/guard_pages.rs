//! Nothing is read but what was given, to the byte. Goal: no look at many bytes at once reaches over an end of the text.
//! Method: each text stands right before, and right behind, a page that kills who touches it; texts of every length from 0 to 256.
//! What is found there must be what is found in any other place.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[path = "support/guarded.rs"]
mod guarded;
mod support;

use guarded::Guarded;
use transom_engine::http1::RequestHead;
use transom_engine::{Message, Options, Schema, route, to_json, to_wire};

/// The longest text.
const LEN_MAX: usize = 256;

/// Runs `act` on the text where it is, and at both ends of a page, and compares what it says.
fn everywhere<R: PartialEq + std::fmt::Debug>(
    page: &mut Guarded,
    text: &[u8],
    mut act: impl FnMut(&[u8]) -> R,
) {
    let expected = act(text);
    let shown = || String::from_utf8_lossy(text);
    assert_eq!(act(page.at_end(text)), expected, "{}", shown());
    assert_eq!(act(page.at_start(text)), expected, "{}", shown());
}

/// Both directions, in one go and in two pieces, the first of which ends where the page does.
struct Converters {
    page: Guarded,
    to_wire: to_wire::Scratch,
    to_json: to_json::Scratch,
}

impl Converters {
    fn new() -> Self {
        let page = Guarded::new();
        assert!(page.is_guarded(), "the pages are not forbidden");
        Self {
            page,
            to_wire: to_wire::Scratch::default(),
            to_json: to_json::Scratch::default(),
        }
    }

    fn read_json(&mut self, message: Message<'_>, text: &[u8]) {
        let scratch = &mut self.to_wire;
        everywhere(&mut self.page, text, |text| {
            let mut out = Vec::new();
            to_wire(message, text, scratch, &mut out).map(|()| out)
        });
        let scratch = &mut self.to_wire;
        everywhere(&mut self.page, text, |text| {
            let mut out = Vec::new();
            let mut pieces = to_wire::Pieces::new(message, scratch);
            pieces.push(text, &mut out).map(|progress| (progress, out))
        });
    }

    fn read_wire(&mut self, message: Message<'_>, wire: &[u8]) {
        let scratch = &mut self.to_json;
        everywhere(&mut self.page, wire, |wire| {
            let mut out = Vec::new();
            to_json(message, wire, scratch, &mut out).map(|()| out)
        });
        let scratch = &mut self.to_json;
        everywhere(&mut self.page, wire, |wire| {
            let mut out = Vec::new();
            let mut pieces = to_json::Pieces::new(message, scratch);
            pieces.push(wire, &mut out).map(|()| out)
        });
    }
}

/// `start`, as many `filler` as fit, `end`: a text of exactly this length, or none.
fn filled(len: usize, start: &str, filler: char, end: &str) -> Option<Vec<u8>> {
    let room = len.checked_sub(start.len() + end.len())?;
    let filler = filler.to_string().repeat(room / filler.len_utf8());
    let text = format!("{start}{filler}{end}").into_bytes();
    (text.len() == len).then_some(text)
}

fn everything(schema: &Schema) -> Message<'_> {
    schema.message("transom.test.v1.Everything").unwrap()
}

/// Long values of each kind, whole and cut.
const FRAMES: [(&str, char, &str); 19] = [
    ("", ' ', ""),
    ("", '\t', "{}"),
    ("{", ' ', "}"),
    ("{}", '\n', ""),
    ("{\"", 'k', "\":1}"),
    ("{\"", 'k', ""),
    ("{\"nested\":{\"name\":\"", 'a', "\"}}"),
    ("{\"nested\":{\"name\":\"", 'ü', "\"}}"),
    ("{\"nested\":{\"name\":\"", 'a', ""),
    ("{\"nested\":{\"name\":\"", 'a', "\\"),
    ("{\"nested\":{\"name\":\"", 'a', "\\u00e"),
    ("{\"nested\":{\"name\":\"\\n", 'a', "\\u00e4\"}}"),
    ("{\"nested\":{\"count\":1", '0', "e-2"),
    ("{\"scalars\":{\"fDouble\":0.", '7', "}}"),
    ("{\"scalars\":{\"fDouble\":-", '7', ""),
    ("{\"scalars\":{\"fInt64\":\"", '0', "5\"}}"),
    ("{\"scalars\":{\"fBytes\":\"", 'A', "\"}}"),
    ("{\"unknown\":[", '[', ""),
    ("{\"unknown\":\"", '\\', "\"}"),
];

#[test]
fn no_long_value_is_read_beyond_its_end() {
    let schema = support::schema(Options::default());
    let message = everything(&schema);
    let mut converters = Converters::new();
    let mut count = 0;
    for len in 0..=LEN_MAX {
        for (start, filler, end) in FRAMES {
            if let Some(text) = filled(len, start, filler, end) {
                converters.read_json(message, &text);
                count += 1;
            }
        }
    }
    assert!(count > 4000, "{count}");
}

/// A text with a bit of everything, of which every beginning is read.
const DOCUMENTS: [&str; 4] = [
    r#"{"scalars":{"fDouble":-1.5e-7,"fInt32":-2147483648,"fInt64":"9223372036854775807","fBool":true,"fString":"a\nb\u00fc\ud834\udd1e","fBytes":"3q2+7w==","fColor":"COLOR_BLUE"},"lists":{"fUint32":[1,22,333,4444,55555,4294967295],"fString":["","x","yy"]}, "names":{}}"#,
    r#"{ "maps" : { "byString" : { "a key of some length" : "value" , "b" : "" } , "byInt32" : { "-7" : 8 } } , "choice":{"oneBool":false,"otherSint64":"-1"},"nested":{"child":{"child":{"children":[{"name":"x"},{"inner":{"mode":"MODE_ON","tags":[]}}]}}}}        "#,
    r#"{"wellKnown":{"timestamp":"2006-01-02T15:04:05.123456789Z","duration":"-1.5s","fieldMask":"a.b,cD","struct":{"x":[1,null,{"y":"z"}]},"any":{"value":"1.5s","@type":"type.googleapis.com/google.protobuf.Duration"},"int64Value":"5","stringValue":null,"empty":{}}}   "#,
    "\r\n\t {\"noSuchField\":{\"a\":[1,2,{\"b\":\"\\\"\"}],\"c\":-0.0e+10},\"names\":{\"other name\":\"1\",\"say \\\"hi\\\"\\\\\":\"2\",\"\\u00e9\":\"3\",\"@kind\":\"4\"},\"everything\":[{},{},{\"everything\":[{\"nested\":{}}]}]}",
];

#[test]
fn no_text_is_read_beyond_where_it_was_cut() {
    let schema = support::schema(Options::default());
    let message = everything(&schema);
    let mut converters = Converters::new();
    for document in DOCUMENTS {
        for len in 0..=document.len().min(LEN_MAX) {
            let (text, _) = document.as_bytes().split_at(len);
            converters.read_json(message, text);
        }
        let mut out = Vec::new();
        let done = to_wire(
            message,
            document.as_bytes(),
            &mut converters.to_wire,
            &mut out,
        );
        assert_eq!(done, Ok(()), "{document}");
        // The wire form of the same, cut at each place.
        for len in 0..=out.len().min(LEN_MAX) {
            converters.read_wire(message, out.split_at(len).0);
        }
    }
}

/// A field that is a length and these bytes.
fn lone_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut wire = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut wire).unwrap();
    wire.extend_from_slice(bytes);
    wire
}

#[test]
fn no_message_is_read_beyond_its_end() {
    let schema = support::schema(Options::default());
    let nested = schema.message("transom.test.v1.Nested").unwrap();
    let lists = schema.message("transom.test.v1.Lists").unwrap();
    let mut converters = Converters::new();
    for len in 0..=LEN_MAX {
        for text in ["a", "\u{fc}", "\t", "\"", "\u{20ac}\\"] {
            let wire = lone_field(1, &text.repeat(len / text.len()).into_bytes());
            converters.read_wire(nested, &wire);
        }
        // A string, bytes, packed numbers and a nest, each of which is all that remains.
        for (message, number) in [
            (nested, 1),
            (lists, 15),
            (lists, 6),
            (lists, 1),
            (nested, 3),
        ] {
            for filler in [b'a', 1, 0x80, 0xff] {
                let mut wire = lone_field(number, &vec![filler; len]);
                converters.read_wire(message, &wire);
                wire.pop();
                converters.read_wire(message, &wire);
            }
        }
    }
}

#[test]
fn no_head_and_no_path_is_read_beyond_its_end() {
    let head = "GET /v1/shelves/a%20b/books/c?page_size=1&x=%41 HTTP/1.1\r\nHost: a.example\r\nX-Long-Header-Name: and a value that is long too\r\nContent-Length: 0\r\n\r\n";
    let mut page = Guarded::new();
    let mut parsed = RequestHead::new();
    let mut scratch = route::Scratch::default();
    let schema = Schema::from_descriptor_set(&support::rules()).unwrap();
    for len in 0..=head.len() {
        let (cut, _) = head.as_bytes().split_at(len);
        everywhere(&mut page, cut, |bytes| parsed.parse(bytes));
        everywhere(&mut page, cut.get(4..).unwrap_or_default(), |path| {
            let found = schema.find_route(b"GET", path, &mut scratch);
            found.map(|route| route.template().to_owned())
        });
    }
}
