//! Streams both ways. In: bytes that choose manners, a method and where to cut, then the body of a client stream, or the frames of a server stream.
//! Always: where the bytes are cut does not matter; what goes upstream are whole messages that decode; what goes to the client is one well-formed response, of
//! lines, events or an array that are JSON.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use transom_engine::exchange::{
    Call, End, Envelope, ErrorForm, Framing, Manners, Replies, ReplyHead, Request, Scratch,
    StreamErrors, StreamHead, Streams, Transcoder,
};
use transom_engine::http1::RequestHead;
use transom_engine::limits::HELD_LEN_MAX;
use transom_engine::{Defaults, Options, Schema};

use crate::pieces::pieces;

/// Client streams: one for each form in which a value stands in a body.
pub const UPLOADS: [&str; 8] = [
    "POST /v1/send",
    "POST /v1/chat",
    "POST /v1/boxes/b?urgency=3",
    "POST /v1/boxes/b/tags",
    "POST /v1/letters/b",
    "PATCH /v1/items/n",
    "POST /v1/count",
    "POST /v1/lists",
];

/// Server streams: objects, one field of them, other values, raw bytes; then without chunks, and without a body.
const DOWNLOADS: [&str; 7] = [
    "GET /v1/watch/n HTTP/1.1",
    "GET /v1/tags/n HTTP/1.1",
    "GET /v1/ask/n HTTP/1.1",
    "GET /v1/inner/n HTTP/1.1",
    "GET /v1/download/n HTTP/1.1",
    "GET /v1/watch/n HTTP/1.0",
    "HEAD /v1/watch/n HTTP/1.1",
];

const FRAMINGS: [Framing; 4] = [
    Framing::Array,
    Framing::Lines,
    Framing::Wrapped,
    Framing::Events,
];

static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    protox::Compiler::new([&format!("{protos}/test"), protos])
        .and_then(|mut compiler| {
            compiler.include_imports(true).open_file("streams.proto")?;
            Ok(compiler.encode_file_descriptor_set())
        })
        .expect("the test schema compiles")
});

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(&DESCRIPTORS[..]).expect("protox links what it writes")
});

/// Each framing by two sets of manners.
static TRANSCODERS: LazyLock<Vec<Transcoder>> = LazyLock::new(|| {
    let choices = [false, true].into_iter();
    let choices = choices.flat_map(|is_other| FRAMINGS.map(|framing| (is_other, framing)));
    choices
        .map(|(is_other, framing)| {
            let (options, mut manners) = (Options::default(), Manners::default());
            let mut options = options;
            manners.streams = Streams {
                forced: Some(framing),
                ..Streams::default()
            };
            if is_other {
                options.defaults = Defaults::Omit;
                manners.errors = ErrorForm::GrpcGatewayV1;
                manners.streams.head = StreamHead::WithFirst;
                manners.streams.errors = match framing {
                    Framing::Lines => StreamErrors::Reset,
                    _ => StreamErrors::Shown,
                };
            }
            let schema = Schema::compile(&DESCRIPTORS, &options).expect("the schema has plans");
            Transcoder::new(schema, manners)
        })
        .collect()
});

/// A client stream: the messages, and whether it is refused, are the same in pieces and as a whole. The first byte chooses the method, the second the cuts.
pub fn client_stream(input: &[u8]) {
    let Some(([method, cuts], body)) = input.split_first_chunk() else {
        return;
    };
    let transcoder = TRANSCODERS.first().expect("there are several");
    let line = pick(&UPLOADS, *method);
    let whole = upload(transcoder, line, &mut std::iter::once(body), usize::MAX);
    let cut = upload(transcoder, line, &mut pieces(*cuts, body), usize::MAX);
    assert_eq!(cut, whole, "the pieces become something else");
    let slow = upload(transcoder, line, &mut pieces(*cuts, body), 1);
    assert_eq!(slow, whole, "message by message it is something else");
}

/// A server stream: the response is the same in pieces and as a whole. The first byte chooses the manners, the second the request, the third the cuts, the
/// fourth how the upstream ends.
pub fn server_stream(input: &[u8]) {
    let Some(([manners, request, cuts, ending], body)) = input.split_first_chunk() else {
        return;
    };
    let index = usize::from(*manners) % TRANSCODERS.len();
    let transcoder = TRANSCODERS.get(index).expect("the remainder is an index");
    let line = pick(&DOWNLOADS, *request);
    let whole = download(transcoder, line, &mut std::iter::once(body), *ending);
    let cut = download(transcoder, line, &mut pieces(*cuts, body), *ending);
    if cut != whole {
        check_cut_off(transcoder, line, body, &cut, &whole);
    }
    let framing = pick(&FRAMINGS, u8::try_from(index % 4).unwrap_or_default());
    check_body(framing, line, &whole);
}

/// Of a message that is too long to be waited for, what has gone on before its fault stays, so that the client is told by a transfer that is cut; in one piece
/// there is nothing to take back. What came before that message is the same.
fn check_cut_off(
    transcoder: &Transcoder,
    line: &str,
    body: &[u8],
    cut: &Downloaded,
    whole: &Downloaded,
) {
    let before = before_long_message(body);
    // Nothing else is sent on before it is whole.
    let Some(before) = before else {
        assert_eq!(cut, whole, "the pieces become something else");
        return;
    };
    assert_eq!(cut.end, End::Abort, "a fault looks like an end");
    let sent = download_part(transcoder, line, before);
    assert!(cut.body.starts_with(&sent), "the pieces lose a message");
    let is_told = !whole.head.starts_with("HTTP/1.1 200 ");
    assert!(
        is_told || whole.body.starts_with(&sent),
        "the whole loses a message"
    );
}

/// The frames before the first that is too long to be waited for, if there is one.
fn before_long_message(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body;
    while let Some(([_, len @ ..], behind)) = rest.split_first_chunk::<5>() {
        let len = u32::from_be_bytes(*len) as usize;
        if len > HELD_LEN_MAX {
            return body.get(..body.len() - rest.len());
        }
        rest = behind.get(len..)?;
    }
    None
}

fn pick<T: Copy>(of: &[T], choice: u8) -> T {
    *of.get(usize::from(choice) % of.len())
        .expect("the remainder is an index")
}

fn call(
    transcoder: &Transcoder,
    line: &str,
    act: impl FnOnce(Call, &RequestHead, &[u8], &mut Scratch),
) {
    let version = if line.contains(" HTTP/") {
        ""
    } else {
        " HTTP/1.1"
    };
    let body = if line.starts_with('P') {
        "transfer-encoding: chunked\r\n"
    } else {
        ""
    };
    let bytes = format!("{line}{version}\r\nhost: a\r\n{body}\r\n").into_bytes();
    let (mut head, mut scratch) = (RequestHead::new(), Scratch::default());
    head.parse(&bytes).expect("it is a head");
    let found = transcoder.handle_head(&head, &bytes, &mut scratch);
    let found = found.ok().and_then(|request| match request {
        Request::Call(call) => Some(call),
        Request::Options | Request::Preflight => None,
    });
    let call = found.expect("each line is a call");
    act(call, &head, &bytes, &mut scratch);
}

/// The framed messages, and HTTP status and code of what ended them.
type Uploaded = (Vec<u8>, Option<(u16, u32)>);

fn upload(
    transcoder: &Transcoder,
    line: &str,
    pieces: &mut dyn Iterator<Item = &[u8]>,
    out_len_max: usize,
) -> Uploaded {
    let (mut sent, mut failure) = (Vec::new(), None);
    call(transcoder, line, |call, head, bytes, scratch| {
        let requests = call.requests(transcoder, head, bytes, scratch);
        let mut requests = requests.expect("path and query fit");
        let mut out = Vec::new();
        for piece in pieces {
            let mut rest = piece;
            while !rest.is_empty() && failure.is_none() {
                match requests.push(transcoder, rest, out_len_max, scratch, &mut out) {
                    Ok(used) => {
                        assert!(used > 0 || !out.is_empty(), "nothing comes of a piece");
                        rest = rest.get(used..).expect("no more than there is was used");
                    }
                    Err(error) => failure = Some(error),
                }
                sent.append(&mut out);
            }
        }
        if failure.is_none() {
            failure = requests.finish(transcoder, scratch, &mut sent).err();
        }
        let index = call.method_index(transcoder);
        let method = transcoder
            .schema()
            .methods()
            .nth(index)
            .expect("it has one");
        let input = method.input().full_name();
        let input = POOL.get_message_by_name(input).expect("it is in the pool");
        let mut rest = &sent[..];
        let mut count = 0;
        while let Some(([flag, len @ ..], behind)) = rest.split_first_chunk::<5>() {
            let len = u32::from_be_bytes(*len) as usize;
            let (message, behind) = behind.split_at_checked(len).expect("a message is whole");
            assert_eq!(*flag, 0, "a message is not compressed");
            let decoded = DynamicMessage::decode(input.clone(), message);
            assert!(decoded.is_ok(), "a message does not decode: {message:?}");
            rest = behind;
            count += 1;
        }
        assert!(rest.is_empty(), "half a message is sent");
        assert_eq!(requests.count(), count, "the count is wrong");
    });
    let failure = failure.map(|failure| {
        let status = failure.http_status();
        assert!(
            (400..500).contains(&status),
            "the client's mistake is {status}"
        );
        assert!(
            !failure.status().message.is_empty(),
            "an error without words"
        );
        (status, failure.status().code)
    });
    (sent, failure)
}

/// A response as its client reads it.
#[derive(Debug, PartialEq, Eq)]
struct Downloaded {
    head: String,
    body: Vec<u8>,
    end: End,
}

fn download(
    transcoder: &Transcoder,
    line: &str,
    pieces: &mut dyn Iterator<Item = &[u8]>,
    ending: u8,
) -> Downloaded {
    let mut response = None;
    call(transcoder, line, |call, head, bytes, scratch| {
        let envelope = Envelope::of(head, bytes);
        let mut replies = call.replies(transcoder, head, bytes);
        let mut out = Vec::new();
        let mut end = begin(transcoder, &envelope, &mut replies, scratch, &mut out);
        for piece in pieces {
            if end.is_none() {
                end = replies.push(transcoder, &envelope, piece, scratch, &mut out);
            }
        }
        let status: &[u8] = if ending.is_multiple_of(2) { b"0" } else { b"5" };
        let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", status)];
        let count = usize::from(ending % 4 < 2);
        let trailers = || trailers.into_iter().take(count);
        let end = end
            .unwrap_or_else(|| replies.finish(transcoder, &envelope, trailers, scratch, &mut out));
        response = Some(read(&out, end));
    });
    response.expect("there is a response")
}

/// What has gone to the client of a body that goes on.
fn download_part(transcoder: &Transcoder, line: &str, frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    call(transcoder, line, |call, head, bytes, scratch| {
        let envelope = Envelope::of(head, bytes);
        let mut replies = call.replies(transcoder, head, bytes);
        let end = begin(transcoder, &envelope, &mut replies, scratch, &mut out);
        if end.is_none() {
            replies.push(transcoder, &envelope, frames, scratch, &mut out);
        }
    });
    if out.is_empty() {
        return out;
    }
    read(&out, End::Abort).body
}

/// The upstream's headers.
fn begin(
    transcoder: &Transcoder,
    envelope: &Envelope,
    replies: &mut Replies,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Option<End> {
    let headers: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/grpc"), (b"x-a", b"b")];
    let reply = ReplyHead {
        http_status: 200,
        headers: || headers.into_iter(),
        ends_stream: false,
    };
    replies.take_headers(transcoder, envelope, &reply, scratch, out)
}

fn read(out: &[u8], end: End) -> Downloaded {
    let at = out.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, mut rest) = out.split_at(at.expect("there is a head") + 4);
    let head = String::from_utf8(head.to_vec()).expect("a head is ASCII");
    assert!(head.starts_with("HTTP/1.1 "), "no status line");
    let mut body = Vec::new();
    if !head.contains("transfer-encoding: chunked") || rest.is_empty() {
        body.extend_from_slice(rest);
        return Downloaded { head, body, end };
    }
    loop {
        let Some((size, behind)) = rest.split_first_chunk::<8>() else {
            let is_ended = rest == b"0\r\n\r\n";
            assert_eq!(is_ended, end != End::Abort, "the end of the chunks");
            assert!(is_ended || rest.is_empty(), "half a chunk");
            return Downloaded { head, body, end };
        };
        let size = std::str::from_utf8(size).expect("a size is ASCII");
        let len = usize::from_str_radix(size, 16).expect("a size is a number");
        assert!(len > 0, "a chunk without bytes");
        let chunk = behind.strip_prefix(b"\r\n").expect("a size ends its line");
        let (chunk, behind) = chunk.split_at_checked(len).expect("a chunk is whole");
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").expect("a chunk ends its line");
    }
}

/// What has been sent can be read, up to where the transfer was cut.
fn check_body(framing: Framing, line: &str, response: &Downloaded) {
    let is_error = !response.head.starts_with("HTTP/1.1 200 ");
    if line.starts_with("HEAD") {
        assert!(response.body.is_empty(), "an answer to HEAD has a body");
        return;
    }
    if is_error {
        check_json(&response.body);
        return;
    }
    if line.contains("download") {
        return;
    }
    let text = std::str::from_utf8(&response.body).expect("JSON is UTF-8");
    match framing {
        Framing::Array if response.end == End::Abort => {}
        Framing::Array => check_json(text.as_bytes()),
        Framing::Lines | Framing::Wrapped => {
            for line in text.lines() {
                check_json(line.as_bytes());
            }
        }
        Framing::Events => {
            let mut count = 0;
            for event in text.split_terminator("\n\n") {
                let data = event.strip_prefix("event: error\n").unwrap_or_else(|| {
                    count += 1;
                    let id = format!("id: {count}\n");
                    event.strip_prefix(&*id).expect("ids count up")
                });
                let data = data.strip_prefix("data: ").expect("an event has data");
                check_json(data.as_bytes());
            }
        }
    }
}

fn check_json(text: &[u8]) {
    let read = serde_json::from_slice::<Value>(text);
    assert!(read.is_ok(), "no JSON: {}", String::from_utf8_lossy(text));
}
