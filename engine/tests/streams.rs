//! Streams, without sockets: what the body of a client stream becomes for the upstream, and what the messages of an upstream become for the client.
//! Goal: SEMANTICS section 9. Method: `cases/stream/`, over the methods of `protos/test/streams.proto`, and each case at every cut: whole, byte by
//! byte, in two pieces at each border. What comes out must be the same each time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::single_range_in_vec_init,
    reason = "a test may panic, in its helpers too"
)]

use std::ops::Range;
use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use transom_engine::exchange::{
    Call, End, Envelope, ErrorForm, Failure, Framing, Manners, ReplyHead, Request, Scratch,
    StreamErrors, StreamHead, Streams, Transcoder,
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
    const ALL_LEN_MAX: usize = 400;
    let is_border = |at: &usize| {
        len <= ALL_LEN_MAX || *at < 50 || len - at < 50 || at.is_multiple_of(len / 100)
    };
    let two = (0..=len).filter(is_border);
    let two = two.map(|at| vec![0..at, at..len]);
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
            let is_cut = message.get("long_cut").is_some() || message["is_cut"] == true;
            let wire = match message.get(LONG).or_else(|| message.get("long_cut")) {
                // `name`, `count`, `tags`
                Some(len) => {
                    let text = "x".repeat(usize::try_from(len.as_u64().unwrap()).unwrap());
                    let json = json!({"name": text, "count": "5", "tags": ["x"]});
                    encode(output, &json)
                }
                None if message.get("fields").is_some() => fields(message),
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

/// Fields with a length, one after the other: a number each, and a text, so many `x`, bytes or fields.
fn fields(spec: &Value) -> Vec<u8> {
    let mut wire = Vec::new();
    for field in spec["fields"].as_array().unwrap() {
        let content = match &field[1] {
            Value::String(text) => text.clone().into_bytes(),
            Value::Number(len) => b"x".repeat(usize::try_from(len.as_u64().unwrap()).unwrap()),
            content => match content["hex"].as_str() {
                Some(hex) => unhex(hex),
                None => fields(content),
            },
        };
        let number = field[0].as_u64().unwrap();
        prost::encoding::encode_varint(number << 3 | 2, &mut wire);
        prost::encoding::encode_varint(content.len() as u64, &mut wire);
        wire.extend_from_slice(&content);
    }
    wire
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
    let end = end.unwrap_or_else(|| {
        if let Some(status) = &upstream.fail {
            return replies.fail(
                transcoder,
                &envelope,
                status.clone(),
                &mut scratch,
                &mut out,
            );
        }
        let trailers = || borrowed(&upstream.trailers);
        replies.finish(transcoder, &envelope, trailers, &mut scratch, &mut out)
    });
    assert!(call.kind(transcoder).has_replies());
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
            let message_count = case["upstream"]["body"].as_array().map_or(0, Vec::len);
            assert!(
                got.chunk_count <= pieces.len() + message_count.max(2),
                "{name}: {} chunks",
                got.chunk_count
            );
        }
    }
}

/// A call, and the messages that its upstream sends for these fields.
fn long_reply(
    world: &World,
    line: &str,
    manners: &str,
    messages: &Value,
) -> (Transcoder, Vec<u8>, Upstream) {
    let transcoder = world.transcoder(manners);
    let head = head_of(&json!({"request": line}));
    let mut parsed = RequestHead::new();
    _ = parsed.parse(&head);
    let handled = transcoder.handle_head(&parsed, &head, &mut Scratch::default());
    let Ok(Request::Call(call)) = handled else {
        panic!("no call");
    };
    let (_, output) = world.types(&call, &transcoder);
    let upstream = Upstream::of(&json!({"body": messages}), &output);
    (transcoder, head, upstream)
}

/// What is carried of a message does not grow with it.
#[test]
fn long_messages_go_on_before_they_are_whole() {
    let world = World::new();
    let tags: Vec<_> = (0..2000).map(|_| json!([3, 1000])).collect();
    for (line, manners, fields) in [
        ("GET /v1/watch/n", "omit", json!(tags)),
        ("GET /v1/watch/n", "forced events", json!(tags)),
        ("GET /v1/inner/n", "omit", json!([[4, {"fields": tags}]])),
        (
            "GET /v1/download/n",
            "omit",
            json!([[1, "a/b"], [2, 2_000_000]]),
        ),
    ] {
        let messages = json!([{"fields": fields}]);
        let mut written_len = 0;
        let carried_len = each_piece(&world, line, manners, &messages, |out| {
            written_len = written_len.max(out.len());
        });
        assert!(
            carried_len <= 64 << 10,
            "{line} {manners}: {carried_len} are carried"
        );
        // Once the first 64 KiB are here they are written together.
        assert!(
            written_len <= 128 << 10,
            "{line} {manners}: {written_len} come at once"
        );
    }
}

/// Who knows grpc-gateway may parse chunk by chunk.
#[test]
fn long_message_is_one_chunk_where_it_is_wrapped() {
    let world = World::new();
    let tags: Vec<_> = (0..200).map(|_| json!([3, 1000])).collect();
    let messages = json!([{"fields": tags}]);
    let mut chunks = Vec::new();
    let written = |out: &[u8]| {
        if !out.is_empty() {
            chunks.push(out.to_vec());
        }
    };
    each_piece(
        &world,
        "GET /v1/watch/n",
        "grpc-gateway",
        &messages,
        written,
    );
    // The head goes out with the first message.
    let [chunk] = &chunks[..] else {
        panic!("{} chunks", chunks.len());
    };
    let text = String::from_utf8_lossy(chunk);
    let (_, chunk) = text.split_once("\r\n\r\n").unwrap();
    let (len, rest) = chunk.split_once("\r\n").unwrap();
    assert_eq!(usize::from_str_radix(len, 16).unwrap() + 2, rest.len());
    assert!(rest.starts_with("{\"result\":") && rest.ends_with("}\n\r\n"));
}

/// Hands over the one message of a reply in pieces of 16 KiB, and what becomes of each to `look`. Tells how many bytes were carried at most.
fn each_piece(
    world: &World,
    line: &str,
    manners: &str,
    messages: &Value,
    mut look: impl FnMut(&[u8]),
) -> usize {
    let (transcoder, head, upstream) = long_reply(world, line, manners, messages);
    let mut parsed = RequestHead::new();
    _ = parsed.parse(&head);
    let mut scratch = Scratch::default();
    let Ok(Request::Call(call)) = transcoder.handle_head(&parsed, &head, &mut scratch) else {
        panic!("no call");
    };
    let envelope = Envelope::of(&parsed, &head);
    let mut replies = call.replies(&transcoder, &parsed, &head);
    let headers = upstream.headers.unwrap();
    let reply = ReplyHead {
        http_status: 200,
        headers: || borrowed(&headers),
        ends_stream: false,
    };
    let mut out = Vec::new();
    _ = replies.take_headers(&transcoder, &envelope, &reply, &mut scratch, &mut out);
    let mut carried_len = 0;
    for piece in upstream.body.chunks(16 << 10) {
        out.clear();
        let end = replies.push(&transcoder, &envelope, piece, &mut scratch, &mut out);
        assert_eq!(end, None, "{line}");
        carried_len = carried_len.max(replies.carried_len());
        look(&out);
    }
    assert_eq!(replies.count(), 1);
    carried_len
}

/// What protobuf lets a later field replace may be out already.
#[test]
fn what_a_long_message_says_twice_cuts_the_transfer() {
    let world = World::new();
    for (line, fields) in [
        (
            "GET /v1/download/n",
            json!([[1, "a/b"], [2, 70_000], [2, "x"]]),
        ),
        (
            "GET /v1/download/n",
            json!([[1, "a/b"], [2, 70_000], [1, "c/d"]]),
        ),
        (
            "GET /v1/inner/n",
            json!([[4, {"fields": [[3, "a"]]}], [1, 70_000], [4, {"fields": [[3, "b"]]}]]),
        ),
        ("GET /v1/watch/n", json!([[1, 70_000], [3, "a"], [1, "b"]])),
    ] {
        for manners in ["omit", "grpc-gateway"] {
            let messages = json!([{"fields": fields}]);
            let (transcoder, head, upstream) = long_reply(&world, line, manners, &messages);
            let pieces: Vec<_> = upstream.body.chunks(1000).collect();
            let got = receive(&transcoder, &head, &upstream, &pieces);
            // What is wrapped is gathered first, if it is JSON.
            let is_gathered = manners == "grpc-gateway" && !line.contains("download");
            let end = if is_gathered { End::Whole } else { End::Abort };
            assert_eq!(got.end, end, "{line} {manners}: {:.300}", got.body);
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

/// SEMANTICS 128: not before the head, not inside of a message, and in no other framing.
#[test]
fn events_are_kept_alive_between_messages() {
    let world = World::new();
    let transcoder = world.transcoder("omit");
    let headers = pairs(&["content-type: application/grpc".to_owned()]);
    for (accept, expected) in [
        ("text/event-stream", "0000000e\r\n: keep-alive\n\n\r\n"),
        ("application/x-ndjson", ""),
        ("application/json", ""),
    ] {
        let head = head_of(
            &json!({"request": "GET /v1/watch/n", "headers": [format!("accept: {accept}")]}),
        );
        let (mut parsed, mut scratch) = (RequestHead::new(), Scratch::default());
        parsed.parse(&head).unwrap();
        let Ok(Request::Call(call)) = transcoder.handle_head(&parsed, &head, &mut scratch) else {
            panic!("no call");
        };
        let envelope = Envelope::of(&parsed, &head);
        let mut replies = call.replies(&transcoder, &parsed, &head);
        let mut out = Vec::new();
        let alive = |replies: &transom_engine::exchange::Replies| {
            let mut comment = Vec::new();
            replies.keep_alive(&envelope, &mut comment);
            String::from_utf8(comment).unwrap()
        };
        assert_eq!(alive(&replies), "", "before the head");
        let reply = ReplyHead {
            http_status: 200,
            headers: || borrowed(&headers),
            ends_stream: false,
        };
        replies.take_headers(&transcoder, &envelope, &reply, &mut scratch, &mut out);
        assert_eq!(alive(&replies), expected);
        // Half of a long message: a list of 30 000 names, which is written as it comes.
        let long = encode(
            &world.types(&call, &transcoder).1,
            &json!({"tags": vec!["name"; 30_000]}),
        );
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(long.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&long);
        let (half, rest) = frame.split_at(100_000);
        assert_eq!(
            replies.push(&transcoder, &envelope, half, &mut scratch, &mut out),
            None
        );
        assert_eq!(alive(&replies), "", "inside of a message");
        assert_eq!(
            replies.push(&transcoder, &envelope, rest, &mut scratch, &mut out),
            None
        );
        assert_eq!(alive(&replies), expected);
    }
}

/// Memory does not grow with the length of a message where it need not, nor with the stream.
#[test]
fn a_long_message_leaves_before_it_has_all_come() {
    let world = World::new();
    let transcoder = world.transcoder("omit");
    let head = head_of(&json!({"request": "GET /v1/watch/n"}));
    let (mut parsed, mut scratch) = (RequestHead::new(), Scratch::default());
    parsed.parse(&head).unwrap();
    let Ok(Request::Call(call)) = transcoder.handle_head(&parsed, &head, &mut scratch) else {
        panic!("no call");
    };
    let envelope = Envelope::of(&parsed, &head);
    let mut replies = call.replies(&transcoder, &parsed, &head);
    let headers = pairs(&["content-type: application/grpc".to_owned()]);
    let reply = ReplyHead {
        http_status: 200,
        headers: || borrowed(&headers),
        ends_stream: false,
    };
    let mut out = Vec::new();
    replies.take_headers(&transcoder, &envelope, &reply, &mut scratch, &mut out);
    let output = world.types(&call, &transcoder).1;
    let long = encode(&output, &json!({"tags": vec!["name"; 500_000]}));
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(long.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&long);
    let mut carried_len = 0;
    for piece in frame.chunks(16 * 1024) {
        out.clear();
        let end = replies.push(&transcoder, &envelope, piece, &mut scratch, &mut out);
        assert_eq!(end, None);
        assert!(out.len() < 256 * 1024, "{} bytes at once", out.len());
        carried_len = carried_len.max(replies.carried_len());
    }
    assert!(carried_len <= 80 * 1024, "{carried_len} bytes are carried");
    assert_eq!(replies.count(), 1);
}
