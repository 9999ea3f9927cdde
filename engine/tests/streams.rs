//! Streams, without sockets: what the body of a client stream becomes for the upstream, and what the messages of an upstream become for the client.
//! Goal: SEMANTICS section 9. Method: `cases/stream/`, over the methods of `protos/test/streams.proto`, and each case at every cut: whole, byte by
//! byte, in two pieces at each border. What comes out must be the same each time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, in its helpers too"
)]

use std::ops::Range;
use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use transom_engine::exchange::{
    Call, CallKind, End, Envelope, ErrorForm, Failure, Framing, Manners, ReplyHead, Request,
    Scratch, StreamErrors, StreamHead, Streams, Transcoder,
};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::grpc::{Code, Status};
use transom_engine::http1::{Parsed, RequestHead};
use transom_engine::{Defaults, Options, Schema};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/stream");

/// The options and manners under a name of the cases.
fn named(name: &str) -> (Options, Manners) {
    let omit = Options {
        defaults: Defaults::Omit,
        ..Options::default()
    };
    let with = |streams| Manners {
        streams,
        ..Manners::default()
    };
    let default = Streams::default;
    let gateway = || Manners {
        headers: HeaderRule::GrpcGateway,
        ..with(Streams {
            framing: Framing::Wrapped,
            json: Framing::Wrapped,
            head: StreamHead::WithFirst,
            ..default()
        })
    };
    match name {
        "" => (Options::default(), Manners::default()),
        "omit" => (omit, Manners::default()),
        "indent" => (
            Options {
                indent: Some(2),
                ..omit
            },
            Manners::default(),
        ),
        "grpc-gateway" => (omit, gateway()),
        "grpc-gateway-v1" => (
            omit,
            Manners {
                errors: ErrorForm::GrpcGatewayV1,
                ..gateway()
            },
        ),
        "envoy" => (
            omit,
            with(Streams {
                framing: Framing::Array,
                ..default()
            }),
        ),
        "forced events" => (
            omit,
            with(Streams {
                forced: Some(Framing::Events),
                ..default()
            }),
        ),
        "reset" => (
            omit,
            with(Streams {
                errors: StreamErrors::Reset,
                ..default()
            }),
        ),
        "retry" => (
            omit,
            with(Streams {
                retry: Some(Duration::from_millis(1500)),
                ..default()
            }),
        ),
        _ => panic!("no manners are called {name}"),
    }
}

/// What all cases share.
struct World {
    descriptors: Vec<u8>,
    pool: DescriptorPool,
}

impl World {
    fn new() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
        let descriptors = protox::Compiler::new([&format!("{root}/test"), root])
            .and_then(|mut compiler| {
                compiler.include_imports(true).open_file("streams.proto")?;
                Ok(compiler.encode_file_descriptor_set())
            })
            .unwrap();
        let pool = DescriptorPool::decode(&*descriptors).unwrap();
        Self { descriptors, pool }
    }

    fn transcoder(&self, manners: &str) -> Transcoder {
        let (options, manners) = named(manners);
        Transcoder::new(
            Schema::compile(&self.descriptors, &options).unwrap(),
            manners,
        )
    }

    /// Input and output of the method of a call.
    fn types(
        &self,
        call: &Call,
        transcoder: &Transcoder,
    ) -> (MessageDescriptor, MessageDescriptor) {
        let method = transcoder
            .schema()
            .methods()
            .nth(call.method_index(transcoder));
        let full_name = method.unwrap().full_name().to_owned();
        let mut services = self.pool.services();
        let method = services
            .find_map(|service| service.methods().find(|each| each.full_name() == full_name))
            .unwrap();
        (method.input(), method.output())
    }
}

fn cases(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{CASES}/{file}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The head of a case's request.
fn head_of(case: &Value) -> Vec<u8> {
    let line = case["request"].as_str().unwrap();
    let version = if line.contains(" HTTP/") {
        ""
    } else {
        " HTTP/1.1"
    };
    let mut text = format!("{line}{version}\r\nhost: a\r\n");
    for header in strings(&case["headers"]) {
        text.push_str(&header);
        text.push_str("\r\n");
    }
    if line.starts_with("POST") || line.starts_with("PATCH") {
        text.push_str("transfer-encoding: chunked\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// All ways to cut what is not long, and some to cut what is.
fn cuts(len: usize) -> Vec<Vec<Range<usize>>> {
    let step = 1 + len / 400;
    let two = (0..=len).step_by(step).map(|at| vec![0..at, at..len]);
    let each = |size: usize| {
        (0..len)
            .step_by(size)
            .map(|at| at..len.min(at + size))
            .collect()
    };
    [vec![0..len], each(1), each(7)]
        .into_iter()
        .chain(two)
        .collect()
}

/// The messages that a body became, and what ended it.
type Sent = (Vec<Vec<u8>>, Option<Failure>);

/// Sends a body in these pieces, `out_len_max` bytes at a time.
fn send(
    transcoder: &Transcoder,
    head: &[u8],
    pieces: &[&[u8]],
    out_len_max: usize,
) -> Result<Sent, transom_engine::Error> {
    let mut scratch = Scratch::default();
    let mut parsed = RequestHead::new();
    assert!(
        matches!(parsed.parse(head), Ok(Parsed::Complete { .. })),
        "a bad head"
    );
    let Request::Call(call) = transcoder.handle_head(&parsed, head, &mut scratch)? else {
        panic!("no call");
    };
    assert!(call.kind(transcoder).has_requests());
    let mut requests = call.requests(transcoder, &parsed, head, &mut scratch)?;
    // What comes between two pieces must not matter.
    let (mut sent, mut failure) = (Vec::new(), None);
    'body: for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let mut scratch = Scratch::default();
            let mut out = b"before".to_vec();
            let pushed = requests.push(transcoder, rest, out_len_max, &mut scratch, &mut out);
            sent.extend_from_slice(out.strip_prefix(b"before").unwrap());
            match pushed {
                Ok(used) => {
                    assert!(used > 0 || out.len() > 6, "nothing has come of {rest:?}");
                    rest = &rest[used..];
                }
                Err(error) => {
                    let again = requests.push(transcoder, b"{}", 1, &mut scratch, &mut out);
                    assert_eq!(again, Err(error.clone()), "it goes on after an error");
                    failure = Some(error);
                    break 'body;
                }
            }
        }
    }
    if failure.is_none() {
        failure = requests
            .finish(transcoder, &mut Scratch::default(), &mut sent)
            .err();
    }
    assert_eq!(requests.count() as usize, deframe(&sent).len());
    Ok((deframe(&sent), failure))
}

fn deframe(mut framed: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = framed.split_first_chunk::<5>() {
        assert_eq!(prefix[0], 0);
        let len = u32::from_be_bytes(*prefix.last_chunk().unwrap()) as usize;
        let (message, rest) = rest.split_at(len);
        messages.push(message.to_vec());
        framed = rest;
    }
    assert!(framed.is_empty(), "half a message was sent");
    messages
}

#[test]
fn requests_are_what_the_cases_say_wherever_they_are_cut() {
    let world = World::new();
    for case in cases("124-requests.json") {
        let name = case["name"].as_str().unwrap();
        let transcoder = world.transcoder(case["manners"].as_str().unwrap_or_default());
        let head = head_of(&case);
        if let Some(pieces) = case["pieces"].as_array() {
            let pieces: Vec<_> = pieces
                .iter()
                .map(|piece| piece.as_str().unwrap().as_bytes())
                .collect();
            check_sent(&world, &transcoder, &case, &head, &pieces, usize::MAX);
            continue;
        }
        let body = match case["body_hex"].as_str() {
            Some(hex) => unhex(hex),
            None => case["body"]
                .as_str()
                .unwrap_or_default()
                .as_bytes()
                .to_vec(),
        };
        for cut in cuts(body.len()) {
            let pieces: Vec<_> = cut.iter().map(|range| &body[range.clone()]).collect();
            for out_len_max in [1, usize::MAX] {
                check_sent(&world, &transcoder, &case, &head, &pieces, out_len_max);
            }
        }
        assert!(!name.is_empty());
    }
}

fn check_sent(
    world: &World,
    transcoder: &Transcoder,
    case: &Value,
    head: &[u8],
    pieces: &[&[u8]],
    out_len_max: usize,
) {
    let name = &case["name"];
    let expected = &case["error"];
    let (sent, failure) = match send(transcoder, head, pieces, out_len_max) {
        Ok(sent) => sent,
        Err(error) => {
            let mut scratch = Scratch::default();
            let mut parsed = RequestHead::new();
            _ = parsed.parse(head);
            let mut out = Vec::new();
            let request = Some((&parsed, head, &b""[..]));
            transcoder.write_error(&Envelope::REFUSED, error, request, &mut scratch, &mut out);
            assert_eq!(error.http_status(), expected["status"], "{name}");
            let text = String::from_utf8(out).unwrap();
            let words = expected["message"].as_str().unwrap_or_default();
            let words = Value::from(words).to_string();
            assert!(words == "\"\"" || text.contains(&words), "{name}: {text}");
            return;
        }
    };
    let mut parsed = RequestHead::new();
    _ = parsed.parse(head);
    let Ok(Request::Call(call)) = transcoder.handle_head(&parsed, head, &mut Scratch::default())
    else {
        panic!("{name}: no call");
    };
    let (input, _) = world.types(&call, transcoder);
    let found: Vec<_> = sent
        .iter()
        .map(|message| {
            let message = DynamicMessage::decode(input.clone(), &**message).unwrap();
            serde_json::to_value(message).unwrap()
        })
        .collect();
    let texts: Vec<_> = pieces
        .iter()
        .map(|piece| String::from_utf8_lossy(piece))
        .collect();
    assert_eq!(
        json!(found),
        case["messages"],
        "{name} in {texts:?}: {failure:?}"
    );
    let Some(failure) = failure else {
        assert!(expected.is_null(), "{name}: no error in {pieces:?}");
        return;
    };
    assert_eq!(
        failure.http_status(),
        expected["status"],
        "{name}: {failure:?}"
    );
    assert_eq!(failure.status().code, expected["code"], "{name}");
    if let ([_], Some(message)) = (pieces, expected["message"].as_str()) {
        // What can be shown of the value depends on what is at hand.
        assert_eq!(failure.status().message, message, "{name}");
    }
}

/// What an upstream sends, by a case.
struct Upstream {
    http_status: u16,
    headers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    ends: bool,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    fail: Option<Status>,
}

fn pairs(headers: &[String]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |header: &String| {
        let (name, value) = header.split_once(": ").unwrap();
        (name.into(), value.into())
    };
    headers.iter().map(pair).collect()
}

fn borrowed(pairs: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs.iter().map(|(name, value)| (&**name, &**value))
}

const LONG: &str = "long";

impl Upstream {
    fn of(spec: &Value, output: &MessageDescriptor) -> Self {
        let headers = match &spec["headers"] {
            Value::Null if spec.get("headers").is_some() => None,
            Value::Null => Some(vec!["content-type: application/grpc".to_owned()]),
            headers => Some(strings(headers)),
        };
        let trailers = match spec.get("trailers") {
            None => vec!["grpc-status: 0".to_owned()],
            Some(trailers) => strings(trailers),
        };
        let mut body = Vec::new();
        for message in spec["body"].as_array().into_iter().flatten() {
            if let Some(hex) = message["hex"].as_str() {
                body.extend_from_slice(&unhex(hex));
                continue;
            }
            let is_cut = message.get("long_cut").is_some();
            let wire = match message.get(LONG).or_else(|| message.get("long_cut")) {
                // `name`, `count`, `tags`
                Some(len) => {
                    let text = "x".repeat(usize::try_from(len.as_u64().unwrap()).unwrap());
                    let json = json!({"name": text, "count": "5", "tags": ["x"]});
                    encode(output, &json)
                }
                None => encode(output, message),
            };
            body.push(0);
            body.extend_from_slice(&u32::try_from(wire.len()).unwrap().to_be_bytes());
            body.extend_from_slice(&wire);
            if is_cut {
                body.truncate(body.len() - 1);
            }
        }
        let fail = spec.get("fail").map(|fail| Status {
            code: u32::try_from(fail["code"].as_u64().unwrap()).unwrap(),
            ..Status::new(Code::Unknown, fail["message"].as_str().unwrap())
        });
        Self {
            http_status: u16::try_from(spec["http_status"].as_u64().unwrap_or(200)).unwrap(),
            headers: headers.map(|headers| pairs(&headers)),
            ends: spec["ends"].as_bool().unwrap_or_default(),
            body,
            trailers: pairs(&trailers),
            fail,
        }
    }
}

fn encode(output: &MessageDescriptor, json: &Value) -> Vec<u8> {
    use prost::Message as _;
    let message = DynamicMessage::deserialize(output.clone(), json).unwrap();
    message.encode_to_vec()
}

/// What a client has got.
#[derive(Debug, PartialEq)]
struct Got {
    head: String,
    body: String,
    trailers: Vec<String>,
    end: End,
    /// When the head went out.
    head_at: &'static str,
    chunk_count: usize,
}

fn receive(transcoder: &Transcoder, head: &[u8], upstream: &Upstream, pieces: &[&[u8]]) -> Got {
    let mut parsed = RequestHead::new();
    assert!(
        matches!(parsed.parse(head), Ok(Parsed::Complete { .. })),
        "a bad head"
    );
    let mut scratch = Scratch::default();
    let Ok(Request::Call(call)) = transcoder.handle_head(&parsed, head, &mut scratch) else {
        panic!("no call");
    };
    let envelope = Envelope::of(&parsed, head);
    let mut replies = call.replies(transcoder, &parsed, head);
    let mut out = Vec::new();
    let mut head_at = "end";
    let mut end = None;
    if let Some(headers) = &upstream.headers {
        let reply = ReplyHead {
            http_status: upstream.http_status,
            headers: || borrowed(headers),
            ends_stream: upstream.ends,
        };
        end = replies.take_headers(transcoder, &envelope, &reply, &mut scratch, &mut out);
        if !out.is_empty() {
            head_at = "headers";
        }
        for piece in pieces {
            if end.is_some() {
                break;
            }
            let mut scratch = Scratch::default();
            let before = out.len();
            end = replies.push(transcoder, &envelope, piece, &mut scratch, &mut out);
            if before == 0 && !out.is_empty() {
                head_at = "body";
            }
            assert_eq!(replies.is_begun(), !out.is_empty());
        }
    }
    let end = end.unwrap_or_else(|| match &upstream.fail {
        Some(status) => replies.fail(
            transcoder,
            &envelope,
            status.clone(),
            &mut scratch,
            &mut out,
        ),
        None => {
            let trailers = || borrowed(&upstream.trailers);
            replies.finish(transcoder, &envelope, trailers, &mut scratch, &mut out)
        }
    });
    let parts = if call.kind(transcoder) == CallKind::Unary {
        0
    } else {
        1
    };
    assert_eq!(parts, 1, "the method does not stream");
    read(&out, end, head_at)
}

/// Reads a response as a client would.
fn read(out: &[u8], end: End, head_at: &'static str) -> Got {
    let text = String::from_utf8(out.to_vec()).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut got = Got {
        head: head.to_owned(),
        body: String::new(),
        trailers: Vec::new(),
        end,
        head_at,
        chunk_count: 0,
    };
    if !head.contains("\r\ntransfer-encoding: chunked") {
        rest.clone_into(&mut got.body);
        return got;
    }
    loop {
        let Some((size, behind)) = rest.split_once("\r\n") else {
            assert!(
                rest.is_empty() && (end == End::Abort || got.body.is_empty()),
                "{text:?}"
            );
            return got;
        };
        let len = usize::from_str_radix(size, 16).unwrap();
        if len == 0 {
            let trailers = behind.strip_suffix("\r\n").unwrap();
            got.trailers = trailers.lines().map(str::to_owned).collect();
            assert_ne!(end, End::Abort);
            return got;
        }
        got.chunk_count += 1;
        got.body.push_str(&behind[..len]);
        rest = behind[len..].strip_prefix("\r\n").unwrap();
    }
}

#[test]
fn replies_are_what_the_cases_say_wherever_they_are_cut() {
    let world = World::new();
    for case in cases("120-replies.json") {
        let name = case["name"].as_str().unwrap();
        let transcoder = world.transcoder(case["manners"].as_str().unwrap_or_default());
        let head = head_of(&case);
        let mut parsed = RequestHead::new();
        _ = parsed.parse(&head);
        let Ok(Request::Call(call)) =
            transcoder.handle_head(&parsed, &head, &mut Scratch::default())
        else {
            panic!("{name}: no call");
        };
        let (_, output) = world.types(&call, &transcoder);
        let upstream = Upstream::of(&case["upstream"], &output);
        let mut expected = case["body"].as_str().map(str::to_owned);
        if let Some(body) = &mut expected {
            *body = body.replace("{long}", &"x".repeat(70_000));
        }
        for cut in cuts(upstream.body.len()) {
            let pieces: Vec<_> = cut
                .iter()
                .map(|range| &upstream.body[range.clone()])
                .collect();
            let got = receive(&transcoder, &head, &upstream, &pieces);
            check_got(
                &case,
                expected.as_deref(),
                &got,
                &format!("{name} in {cut:?}"),
            );
            assert!(got.chunk_count <= pieces.len() + 2, "{name}: {got:?}");
        }
    }
}

fn check_got(case: &Value, body: Option<&str>, got: &Got, name: &str) {
    let status = case["status"].as_u64().unwrap_or(200);
    assert!(
        got.head.starts_with(&format!("HTTP/1.1 {status} ")),
        "{name}: {}",
        got.head
    );
    let headers: Vec<_> = got.head.lines().skip(1).collect();
    match case["type"].as_str() {
        Some(value) => assert!(
            headers.contains(&&*format!("content-type: {value}")),
            "{name}: {headers:?}"
        ),
        None if body.is_some() && case["request"].as_str().unwrap().contains("download") => {
            assert!(!got.head.contains("content-type"), "{name}: {headers:?}");
        }
        None => {}
    }
    for header in strings(&case["has"]) {
        assert!(headers.contains(&&*header), "{name}: {headers:?}");
    }
    match body {
        // The words are another test's.
        Some(body) if case["any_words"] == true => {
            let start = body.split("\"message\"").next().unwrap();
            assert!(got.body.starts_with(start), "{name}: {}", got.body);
            assert!(got.body.trim_end().ends_with("}}"), "{name}: {}", got.body);
        }
        Some(body) => assert!(got.body == body, "{name}: {:.300}", got.body),
        None => {}
    }
    let end = match case["end"].as_str() {
        Some("abort") => End::Abort,
        Some("closing") => End::Closing,
        _ => End::Whole,
    };
    assert_eq!(got.end, end, "{name}");
    if let Some(at) = case["head_at"].as_str() {
        assert_eq!(got.head_at, at, "{name}");
    }
    assert_eq!(got.trailers, strings(&case["trailers"]), "{name}");
}
