use super::*;

fn text_of(error: Error, context: &Context<'_>) -> String {
    let mut text = String::new();
    error.write_text(context, &mut text);
    text
}

fn body_text(body: &[u8], kind: ErrorKind, offset: usize) -> String {
    let context = Context {
        body,
        ..Context::default()
    };
    text_of(Error::body(kind, offset), &context)
}

#[test]
fn a_fault_in_the_body_is_told_with_its_path() {
    let body = br#"{"shelf":{"id":"a","theme":27}}"#;
    let kind = ErrorKind::Expected(Expected::String);
    assert_eq!(
        body_text(body, kind, 27),
        "body.shelf.theme: expected a string, found a number at byte 27"
    );
    let context = Context {
        body: br#"{"theme":27}"#,
        body_field: Some("shelf"),
        ..Context::default()
    };
    assert_eq!(
        text_of(Error::body(kind, 9), &context),
        "body.shelf.theme: expected a string, found a number at byte 9"
    );
}

#[test]
fn a_fault_in_the_target_is_told_with_its_name() {
    let kind = ErrorKind::OutOfRange(Expected::Int32);
    let context = Context {
        target: b"/v1/shelves/x?a=b&page_size=4294967296&c",
        variables: &[("shelf", b"x\x01%41")],
        ..Context::default()
    };
    assert_eq!(
        text_of(Error::at(kind, Place::Query, 18), &context),
        "query page_size: 4294967296 does not fit int32"
    );
    let kind = ErrorKind::Expected(Expected::Int64);
    assert_eq!(
        text_of(Error::at(kind, Place::Path(0), 0), &context),
        r#"path shelf: expected an int64, found "x\u{1}%41""#
    );
    let kind = ErrorKind::UnknownParameter;
    assert_eq!(
        text_of(Error::at(kind, Place::Query, 39), &context),
        "query c: no such field"
    );
    assert_eq!(
        text_of(Error::at(kind, Place::Query, 4000), &Context::default()),
        "query : no such field"
    );
    assert_eq!(
        text_of(Error::at(kind, Place::Path(3), 0), &context),
        "path variable: no such field"
    );
}

#[test]
fn foreign_bytes_are_escaped_and_cut() {
    let key = "\\u0000\\\"".to_owned() + &"é".repeat(100);
    let body = format!("{{\"{key}\":1}}");
    let text = body_text(body.as_bytes(), ErrorKind::UnknownField, 1);
    let shown = "é".repeat(23);
    assert_eq!(
        text,
        format!("body[\"\\0\\\"{shown}...\"]: unknown field at byte 1")
    );
    let text = body_text(b"\"\xff\x1b[31m\"", ErrorKind::Expected(Expected::Int32), 0);
    assert_eq!(
        text,
        r#"body: expected an int32, found "\xff\u{1b}[31m" at byte 0"#
    );
}

#[test]
fn a_long_path_keeps_its_end() {
    let body = "{\"name\":".repeat(90) + "x";
    let text = body_text(body.as_bytes(), ErrorKind::ExpectedValue, body.len() - 1);
    assert!(text.starts_with("body...e.name.name."), "{text}");
    assert!(
        text.ends_with(".name: expected a JSON value, found \"x\" at byte 720"),
        "{text}"
    );
    assert!(text.len() < limits::ERROR_PATH_LEN_MAX + 80);
}

/// Every kind that a body can be refused with: the text, the byte at fault and the words. The path is in front, then what was expected
/// and, where that helps, what was found.
const BODY_TEXTS: [(ErrorKind, &str, usize, &str); 36] = {
    use ErrorKind as Kind;
    [
        (
            Kind::UnexpectedEnd,
            r#"{"sub":{"n":"#,
            12,
            "body.sub.n: the text ends too early at byte 12",
        ),
        (
            Kind::ExpectedValue,
            r#"{"sub":{"n":}}"#,
            12,
            "body.sub.n: expected a JSON value, found \"}\" at byte 12",
        ),
        (
            Kind::ExpectedKey,
            r#"{"sub":{n:1}}"#,
            8,
            "body.sub: expected a key in double quotes, found \"n\" at byte 8",
        ),
        (
            Kind::ExpectedColon,
            r#"{"n" 1}"#,
            5,
            "body.n: expected a colon after the key, found a number at byte 5",
        ),
        (
            Kind::ExpectedCommaOrClose,
            r#"{"a":[1 2]}"#,
            8,
            "body.a[0]: expected a comma or the closing bracket, found a number at byte 8",
        ),
        (
            Kind::TrailingData,
            "{} x",
            3,
            "body: expected the end of the text, found \"x\" at byte 3",
        ),
        (
            Kind::InvalidNumber,
            r#"{"n":01}"#,
            5,
            "body.n: 01 is not a number in JSON at byte 5",
        ),
        (
            Kind::InvalidEscape,
            r#"{"n":"\q"}"#,
            6,
            "body.n: a string holds an invalid escape at byte 6",
        ),
        (
            Kind::LoneSurrogate,
            r#"{"n":"\ud800"}"#,
            6,
            "body.n: a string holds an escaped half of a surrogate pair at byte 6",
        ),
        (
            Kind::ControlCharacter,
            "{\"n\":\"\u{1}\"}",
            6,
            "body.n: a string holds a control character that is not escaped at byte 6",
        ),
        (
            Kind::InvalidUtf8,
            r#"{"n":"x"}"#,
            6,
            "body.n: a string is not valid UTF-8 at byte 6",
        ),
        (
            Kind::ByteOrderMark,
            "\u{feff}{}",
            0,
            "body: the text starts with a byte order mark at byte 0",
        ),
        (
            Kind::TooDeep,
            r#"{"a":[[]]}"#,
            6,
            "body.a[0]: nested deeper than 100 levels at byte 6",
        ),
        (
            Kind::Expected(Expected::Object),
            r#"{"items":[{},{},{},{"sub":5}]}"#,
            26,
            "body.items[3].sub: expected an object, found a number at byte 26",
        ),
        (
            Kind::Expected(Expected::Array),
            r#"{"a":"secret"}"#,
            5,
            "body.a: expected an array, found a string at byte 5",
        ),
        (
            Kind::Expected(Expected::String),
            r#"{"a":null}"#,
            5,
            "body.a: expected a string, found null at byte 5",
        ),
        (
            Kind::Expected(Expected::Bool),
            r#"{"a":{}}"#,
            5,
            "body.a: expected true or false, found an object at byte 5",
        ),
        (
            Kind::Expected(Expected::Int32),
            r#"{"sub":{"items":[0,1,2,{"n":"x"}]}}"#,
            28,
            "body.sub.items[3].n: expected an int32, found \"x\" at byte 28",
        ),
        (
            Kind::Expected(Expected::Base64),
            r#"{"a":"*"}"#,
            5,
            "body.a: expected a string of base64, found \"*\" at byte 5",
        ),
        (
            Kind::Expected(Expected::Timestamp),
            r#"{"a":"now"}"#,
            5,
            "body.a: expected a timestamp such as 2006-01-02T15:04:05Z, found \"now\" at byte 5",
        ),
        (
            Kind::Expected(Expected::Duration),
            r#"{"a":"1"}"#,
            5,
            "body.a: expected a duration such as 1.5s, found \"1\" at byte 5",
        ),
        (
            Kind::Expected(Expected::FieldMask),
            r#"{"a":"a_b"}"#,
            5,
            "body.a: expected field paths in lowerCamelCase with commas between them, found \"a_b\" at byte 5",
        ),
        (
            Kind::Expected(Expected::Any),
            r#"{"a":[]}"#,
            5,
            "body.a: expected an object with a key @type, found an array at byte 5",
        ),
        (
            Kind::OutOfRange(Expected::Int32),
            r#"{"a":[1,4294967296]}"#,
            8,
            "body.a[1]: 4294967296 does not fit int32 at byte 8",
        ),
        (
            Kind::NotAnInteger,
            r#"{"a":1.5}"#,
            5,
            "body.a: 1.5 is not an integer at byte 5",
        ),
        (
            Kind::UnknownEnumName,
            r#"{"a":"PINK"}"#,
            5,
            "body.a: \"PINK\" is no name of a value of the enum at byte 5",
        ),
        (
            Kind::UnknownEnumNumber,
            r#"{"a":9}"#,
            5,
            "body.a: 9 is no number of a value of the enum at byte 5",
        ),
        (
            Kind::UnknownField,
            r#"{"sub":{"zz":1}}"#,
            8,
            "body.sub.zz: unknown field at byte 8",
        ),
        (
            Kind::DuplicateField,
            r#"{"a":1,"a":2}"#,
            7,
            "body.a: the field is given more than once at byte 7",
        ),
        (
            Kind::DuplicateKey,
            r#"{"m":{"k":1,"k":2}}"#,
            12,
            "body.m.k: the key is given more than once at byte 12",
        ),
        (
            Kind::OneofConflict,
            r#"{"a":1,"b":2}"#,
            7,
            "body.b: another member of the same oneof is given too at byte 7",
        ),
        (
            Kind::NullElement,
            r#"{"a":[1,null]}"#,
            8,
            "body.a[1]: null is not allowed in a list or map at byte 8",
        ),
        (
            Kind::AnyTypeMissing,
            r#"{"any":{"a":1}}"#,
            7,
            "body.any: the key \"@type\" is missing at byte 7",
        ),
        (
            Kind::AnyTypeUrl,
            r#"{"any":{"@type":"x"}}"#,
            16,
            "body.any[\"@type\"]: \"x\" is not a type URL such as type.googleapis.com/package.Message at byte 16",
        ),
        (
            Kind::AnyTypeUnknown,
            r#"{"any":{"@type":"x/y.Z"}}"#,
            16,
            "body.any[\"@type\"]: \"x/y.Z\" names no message of the schema at byte 16",
        ),
        (
            Kind::AnyValueMissing,
            r#"{"any":{"@type":"x/y.Z"}}"#,
            7,
            "body.any: the key \"value\" is missing at byte 7",
        ),
    ]
};

#[test]
fn each_kind_names_the_path_and_what_was_expected() {
    for (kind, body, offset, words) in BODY_TEXTS {
        assert_eq!(body_text(body.as_bytes(), kind, offset), words);
        // Without the body there are words still, and none of what is not known.
        let words = body_text(b"", kind, offset);
        assert!(
            words.starts_with("body: ") && !words.contains("found"),
            "{words}"
        );
    }
}

/// Goal: whatever the input, the words are one short line that a log or terminal can take. Method: long and nasty values in each place
/// that words may show, for each kind.
#[test]
fn no_words_show_more_than_an_excerpt_nor_a_control_character() {
    let nasty = [
        "x".repeat(9000),
        "\u{1b}[31m\r\n\t\u{0}".repeat(900),
        "\u{202e}\u{feff}é€𝄞".repeat(900),
        "\\u001b\\n".repeat(900),
    ];
    // An escape such as `\u{10ffff}` takes ten characters for at least one byte.
    let len_max = limits::ERROR_PATH_LEN_MAX + 10 * limits::EXCERPT_LEN_MAX + 200;
    let kinds = BODY_TEXTS.map(|(kind, ..)| kind);
    let all = |text: &str| {
        assert!(text.len() <= len_max, "{} bytes: {text}", text.len());
        let is_bad = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{feff}');
        assert!(!text.chars().any(is_bad), "{text:?}");
    };
    for text in &nasty {
        let keyed = format!("{{\"{text}\":\"{text}\"}}");
        let bare = format!("[{text}");
        for kind in kinds {
            for (body, offset) in [(&keyed, 1), (&keyed, text.len() + 4), (&bare, 1)] {
                all(&body_text(body.as_bytes(), kind, offset));
            }
            let target = format!("/v1?{text}={text}");
            let context = Context {
                target: target.as_bytes(),
                header: text.as_bytes(),
                variables: &[("name", text.as_bytes())],
                ..Context::default()
            };
            for place in [
                Place::Query,
                Place::Form,
                Place::Header(0),
                Place::Path(0),
                Place::Request,
                Place::Reply,
            ] {
                all(&text_of(Error::at(kind, place, 4), &context));
            }
        }
    }
}

#[test]
fn a_request_and_a_reply_have_their_words() {
    let context = Context::default();
    assert_eq!(
        text_of(Error::request(ErrorKind::NotFound), &context),
        "not found"
    );
    assert_eq!(
        text_of(Error::reply(ErrorKind::WireVarint, 7), &context),
        "reply: malformed varint at byte 7"
    );
}
