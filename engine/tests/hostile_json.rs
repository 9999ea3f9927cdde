//! Bodies that nobody means well with (THREATS D1 to D3, D5), in every place that a text has. Goal: a defined error at the place of the fault,
//! found before the rest is looked at.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::sync::LazyLock;

use support::notation;
use transom_engine::error::{Context, ErrorKind};
use transom_engine::limits::DEPTH_MAX;
use transom_engine::{Error, Options, Schema, to_wire};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| support::schema(Options::default()));

fn convert(message: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let message = SCHEMA
        .message(&format!("transom.test.v1.{message}"))
        .unwrap();
    let mut out = b"before".to_vec();
    let result = to_wire(message, text, &mut to_wire::Scratch::default(), &mut out);
    let written = out.split_off(b"before".len());
    assert_eq!(out, b"before");
    if let Err(error) = result {
        assert!(written.is_empty(), "an error leaves no trace");
        let mut words = String::new();
        let context = Context {
            body: text,
            ..Context::default()
        };
        error.write_text(&context, &mut words);
        assert!(
            words.len() < 1000 && !words.contains(char::is_control),
            "{words}"
        );
    }
    result.map(|()| written)
}

/// Around a value: the message, what goes before and what behind.
const VALUES: [(&str, &str, &str); 9] = [
    ("WellKnown", "{\"value\":", "}"),
    ("WellKnown", "{\"struct\":{\"a\":", "}}"),
    ("WellKnown", "{\"listValue\":[", "]}"),
    ("WellKnown", "{\"nosuch\":", "}"),
    (
        "WellKnown",
        "{\"any\":{\"@type\":\"x/google.protobuf.Value\",\"value\":",
        "}}",
    ),
    (
        "WellKnown",
        "{\"any\":{\"value\":",
        ",\"@type\":\"x/google.protobuf.Value\"}}",
    ),
    (
        "WellKnown",
        "{\"any\":{\"nosuch\":",
        ",\"@type\":\"x/google.protobuf.Empty\"}}",
    ),
    ("Maps", "{\"values\":{\"k\":", "}}"),
    ("Nested", "{\"children\":[{\"nosuch\":[0,", "]}]}"),
];

/// THREATS D1: a hundred thousand levels, closed and not, are refused at the limit: the offset shows that nothing behind it was read.
#[test]
fn a_hundred_thousand_levels_are_refused_at_the_limit() {
    let units = [
        ("[", "]"),
        ("{\"a\":", "}"),
        ("[{\"é\":[0,", "]}]"),
        (" [ ", " ] "),
    ];
    for (message, before, behind) in VALUES {
        for (open, close) in units {
            let deep = open.repeat(100_000);
            for end in [String::new(), close.repeat(100_000) + behind] {
                let text = format!("{before}{deep}{end}");
                let error = convert(message, text.as_bytes()).unwrap_err();
                assert_eq!(error.kind, ErrorKind::TooDeep, "{before}{open}");
                let limit = before.len() + DEPTH_MAX as usize * open.len();
                assert!(error.offset as usize <= limit, "{before}{open}: {error:?}");
            }
        }
    }
    let typed = [
        ("Nested", "{\"child\":"),
        ("Nested", "{\"children\":["),
        ("Maps", "{\"maps\":{\"1\":"),
        (
            "WellKnown",
            "{\"any\":{\"@type\":\"x/transom.test.v1.WellKnown\",\"any\":",
        ),
        ("WellKnownLists", "{\"any\":[{\"any\":["),
        ("Everything", "{\"everything\":["),
    ];
    for (message, open) in typed {
        let error = convert(message, open.repeat(100_000).as_bytes()).unwrap_err();
        let is_so = matches!(error.kind, ErrorKind::TooDeep | ErrorKind::AnyTypeMissing);
        assert!(is_so, "{open}: {error:?}");
        assert!(
            error.offset as usize <= DEPTH_MAX as usize * open.len(),
            "{open}: {error:?}"
        );
    }
}

/// THREATS D2: as many digits as fit into a body, wherever a number may be.
#[test]
fn numbers_of_a_hundred_thousand_digits_are_exact_or_refused() {
    let nines = "9".repeat(100_000);
    let zeros = "0".repeat(100_000);
    let fits = [
        (format!("{{\"fDouble\":0.{nines}}}"), "1: 1.0"),
        (format!("{{\"fDouble\":0.{zeros}1}}"), ""),
        (format!("{{\"fDouble\":1.{zeros}}}"), "1: 1.0"),
        (format!("{{\"fDouble\":1e-{nines}}}"), ""),
        (format!("{{\"fFloat\":\"1.{zeros}e0\"}}"), "2: 1.0i32"),
        (format!("{{\"fInt32\":7.{zeros}}}"), "3: 7"),
        (format!("{{\"fInt64\":\"7.{zeros}\"}}"), "4: 7"),
        (format!("{{\"fUint64\":0e{nines}}}"), ""),
        (format!("{{\"nosuch\":[{nines},-{nines}e{nines}]}}"), ""),
    ];
    for (text, expected) in fits {
        let wire = convert("Scalars", text.as_bytes()).unwrap();
        assert_eq!(wire, notation::wire(expected), "{text:.20}");
    }
    for (field, digits) in [
        ("fDouble", format!("{nines}.5")),
        ("fDouble", format!("1e{nines}")),
        ("fFloat", format!("-{nines}")),
        ("fInt32", nines.clone()),
        ("fInt64", format!("-{nines}")),
        ("fUint64", format!("1{zeros}")),
        ("fUint32", format!("\"{nines}\"")),
        ("fColor", nines.clone()),
    ] {
        let error = convert("Scalars", format!("{{\"{field}\":{digits}}}").as_bytes()).unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::OutOfRange(_)),
            "{field}: {error:?}"
        );
    }
    let broken = [
        format!("0{nines}"),
        format!("{nines}."),
        format!("1e+{nines}e"),
        format!("-{nines}-"),
    ];
    for number in broken {
        for field in ["fDouble", "fInt32", "nosuch"] {
            let text = format!("{{\"{field}\":{number}}}");
            let kind = convert("Scalars", text.as_bytes()).unwrap_err().kind;
            let is_syntax = matches!(
                kind,
                ErrorKind::InvalidNumber
                    | ErrorKind::ExpectedCommaOrClose
                    | ErrorKind::OutOfRange(_)
            );
            assert!(is_syntax, "{field} {number:.5}: {kind:?}");
        }
    }
}

/// Around what a string holds.
const STRINGS: [(&str, &str, &str); 15] = [
    ("Scalars", "{\"fString\":\"", "\"}"),
    ("Scalars", "{\"fBytes\":\"", "\"}"),
    ("Scalars", "{\"fColor\":\"", "\"}"),
    ("Scalars", "{\"fInt32\":\"", "\"}"),
    ("Scalars", "{\"fDouble\":\"", "\"}"),
    ("Scalars", "{\"", "\":1}"),
    ("Scalars", "{\"nosuch\":\"", "\"}"),
    ("Scalars", "{\"nosuch\":{\"", "\":1}}"),
    ("Maps", "{\"byString\":{\"", "\":\"\"}}"),
    ("Maps", "{\"byString\":{\"k\":\"", "\"}}"),
    ("WellKnown", "{\"struct\":{\"", "\":null}}"),
    ("WellKnown", "{\"value\":[\"", "\"]}"),
    ("WellKnown", "{\"timestamp\":\"", "\"}"),
    ("WellKnown", "{\"fieldMask\":\"", "\"}"),
    ("WellKnown", "{\"any\":{\"@type\":\"", "\"}}"),
];

/// THREATS D3: in whatever string, and wherever in it, so that the blocks that a scan takes make no difference.
#[test]
fn bytes_that_are_no_text_are_refused_in_every_string() {
    let broken: [&[u8]; 14] = [
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc3",
        b"\xc3\x28",
        b"\xe0\x9f\xbf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
    ];
    let controls: Vec<_> = (0..0x20_u8).map(|byte| [byte]).collect();
    let half_pairs: [&[u8]; 4] = [b"\\ud800", b"\\udc00", b"\\ude00\\ud83d", b"\\ud83dx"];
    let all = broken
        .iter()
        .map(|bytes| (*bytes, ErrorKind::InvalidUtf8))
        .chain(
            controls
                .iter()
                .map(|bytes| (&bytes[..], ErrorKind::ControlCharacter)),
        )
        .chain(
            half_pairs
                .iter()
                .map(|bytes| (*bytes, ErrorKind::LoneSurrogate)),
        );
    for (bytes, kind) in all {
        for (message, before, behind) in STRINGS {
            for padding_len in [0, 1, 7, 15, 16, 31, 33, 63, 64, 130] {
                let padding = "x".repeat(padding_len);
                let text = [
                    before.as_bytes(),
                    padding.as_bytes(),
                    bytes,
                    b"yz",
                    behind.as_bytes(),
                ];
                let error = convert(message, &text.concat()).unwrap_err();
                assert_eq!(error.kind, kind, "{before} {padding_len} {bytes:02x?}");
            }
        }
    }
}

/// THREATS D3, D5: bytes that stand between the tokens of a text, before it or behind it.
#[test]
fn bytes_that_are_no_token_are_refused_between_tokens() {
    let whole = b"{ \"fInt32\" : [ 1 , { \"a\" : null } ] , \"b\" : true }";
    assert!(convert("Nested", whole).is_ok(), "every key is unknown");
    let places = (0..=whole.len()).filter(|&at| {
        let is_space = |at: usize| whole.get(at).is_none_or(|&byte| byte == b' ');
        is_space(at) || at == 0
    });
    for at in places {
        for bytes in [
            &b"\0"[..],
            b"\x01",
            b"\x0b",
            b"\x0c",
            b"\x1f",
            b"\x7f",
            b"\x80",
            b"\xa0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\xc2\xa0",
            b"\xe2\x80\xa8",
            b"'",
            b"//\n",
            b"/**/",
            b"#",
            b";",
            b"\\",
            b"?",
            b"+",
            b"=",
            b"(",
            b"\xfe\xff",
        ] {
            let (before, behind) = whole.split_at(at);
            let text = [before, bytes, behind].concat();
            let error = convert("Nested", &text).unwrap_err();
            assert!(
                error.offset as usize >= at.saturating_sub(1),
                "{bytes:02x?} at {at}: {error:?}"
            );
        }
    }
    let utf16: Vec<u8> = "{\"name\":\"x\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for text in [&utf16[..], &[b"\xff\xfe", &utf16[..]].concat(), &utf16[1..]] {
        assert!(convert("Nested", text).is_err(), "{text:02x?}");
    }
}

/// THREATS D5: what stands behind the first value.
#[test]
fn anything_behind_the_value_is_refused() {
    for behind in [
        "{}", "[]", "x", "}", "]", ",", "null", "//", "\0", "\u{1a}", "\u{feff}",
    ] {
        for space in ["", " ", "\r\n", &" ".repeat(100)] {
            let text = format!("{{\"name\":\"a\"}}{space}{behind}");
            let error = convert("Nested", text.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::TrailingData, "{behind:?}");
            assert_eq!(error.offset as usize, text.len() - behind.len());
        }
    }
}

/// Every cut of a text that is good is refused, and is known to be an end that comes too early.
#[test]
fn every_cut_of_a_text_is_refused() {
    let text = r#"{"struct":{"a":[1.5e3,"\u00e9é",{"b":null}],"c":true},"timestamp":"1970-01-01T00:00:00Z","any":{"count":1,"@type":"x/transom.test.v1.Nested"},"nosuch":{"d":[-0,false]}}"#;
    assert!(convert("WellKnown", text.as_bytes()).is_ok());
    for cut in 0..text.len() {
        let cut = &text.as_bytes()[..cut];
        let kind = convert("WellKnown", cut).unwrap_err().kind;
        // Half a word, number, escape or character is not a whole one.
        let is_so = matches!(
            kind,
            ErrorKind::UnexpectedEnd
                | ErrorKind::ExpectedValue
                | ErrorKind::InvalidNumber
                | ErrorKind::InvalidEscape
                | ErrorKind::InvalidUtf8
        );
        assert!(is_so, "{kind:?} in {}", String::from_utf8_lossy(cut));
    }
}
