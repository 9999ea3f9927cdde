//! HTTP/1.1, whole exchanges, and what an upstream may send. In: a byte or two that choose, then bytes of a connection, or a reply as
//! headers, trailers and body. Always: cuts do not matter; every outcome is a call that decodes or one well-formed response.

use std::iter;

use prost_reflect::DynamicMessage;
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{Call, Envelope, Reply, Request, Scratch, Transcoder};
use transom_engine::http1::{BodyFraming, ChunkedBody, Connection, Parsed, RequestHead};

use crate::conversion::check_json;
use crate::schema::{self, POOL};

/// Bytes of one body that are kept.
const BODY_LEN_MAX: usize = 1 << 16;

/// Requests of one connection: read whole and in pieces, they are the same. The first byte is the length of the pieces.
pub fn http1(input: &[u8]) {
    let Some((&len, stream)) = input.split_first() else {
        return;
    };
    let whole = read([stream]);
    let pieces = read(stream.chunks(usize::from(len).max(1)));
    assert_eq!(pieces, whole, "in pieces of {len}");
    let cut = usize::from(len).min(stream.len());
    let (first, second) = stream.split_at(cut);
    assert_eq!(read([first, second]), whole, "cut at {cut}");
}

/// The requests of a connection, each as its lines and its body, and how it ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    requests: Vec<Vec<u8>>,
    end: Option<Result<(), ErrorKind>>,
}

#[expect(
    single_use_lifetimes,
    reason = "an elided one is not stable in this place"
)]
fn read<'i>(pieces: impl IntoIterator<Item = &'i [u8]>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut head = RequestHead::new();
    let mut buffer = Vec::new();
    let mut open: Option<(Vec<u8>, ChunkedBody, usize)> = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while outcome.end.is_none() {
            match step(&mut head, &mut buffer, &mut open) {
                Ok(None) => break,
                Ok(Some(request)) => {
                    outcome.requests.push(request);
                    if head.connection() == Connection::Close {
                        outcome.end = Some(Ok(()));
                    }
                }
                Err(kind) => outcome.end = Some(Err(kind)),
            }
        }
    }
    outcome
}

/// Reads one more request, if all of it is there. An open request is its text so far, its chunks, and where its body begins.
fn step(
    head: &mut RequestHead,
    buffer: &mut Vec<u8>,
    open: &mut Option<(Vec<u8>, ChunkedBody, usize)>,
) -> Result<Option<Vec<u8>>, ErrorKind> {
    if open.is_none() {
        let Parsed::Complete { len } = head.parse(buffer).map_err(|error| error.kind)? else {
            return Ok(None);
        };
        let bytes: Vec<_> = buffer.drain(..len).collect();
        let text = describe(head, &bytes);
        let body_start = text.len();
        *open = Some((text, ChunkedBody::new(), body_start));
    }
    let (text, chunks, body_start) = open.as_mut().expect("it was just opened");
    let is_done = match head.framing() {
        BodyFraming::None => true,
        BodyFraming::Length(len) if len > BODY_LEN_MAX as u64 => {
            return Err(ErrorKind::BodyTooLarge);
        }
        BodyFraming::Length(len) => {
            let missing = usize::try_from(len).expect("it is small") - (text.len() - *body_start);
            text.extend(buffer.drain(..missing.min(buffer.len())));
            (text.len() - *body_start) as u64 == len
        }
        BodyFraming::Chunked => {
            let decoded = chunks
                .decode(buffer, text, BODY_LEN_MAX)
                .map_err(|error| error.kind)?;
            buffer.drain(..decoded.consumed);
            assert!(decoded.is_done || buffer.is_empty(), "bytes are left over");
            decoded.is_done
        }
    };
    assert!(text.len() - *body_start <= BODY_LEN_MAX, "the limit holds");
    Ok(is_done
        .then(|| open.take().map(|(text, ..)| text))
        .flatten())
}

/// All that a head says, in one text.
fn describe(head: &RequestHead, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    assert!(head.path(bytes).starts_with(b"/"), "a path is a path");
    let parts = [
        head.method(bytes),
        head.target(bytes),
        head.path(bytes),
        head.query(bytes),
    ];
    let headers = head.headers(bytes).flat_map(|(name, value)| [name, value]);
    for part in parts.into_iter().chain(headers) {
        assert!(!part.contains(&b'\n'), "a line end in a part of the head");
        text.extend_from_slice(part);
        text.push(b'\n');
    }
    text
}

/// A request with its body, as far as the proxy takes it without an upstream. The first byte says by which options.
pub fn request(input: &[u8]) {
    let Some((&options, stream)) = input.split_first() else {
        return;
    };
    let transcoder = schema::transcoder(options);
    let mut head = RequestHead::new();
    let mut scratch = Scratch::default();
    let mut out = b"before".to_vec();
    let len = match head.parse(stream) {
        Ok(Parsed::Complete { len }) => len,
        Ok(Parsed::Partial) => return,
        Err(error) => {
            transcoder.write_error(&Envelope::REFUSED, error, None, &mut scratch, &mut out);
            return check_response(&out, false, Content::Json);
        }
    };
    let (bytes, body) = stream.split_at(len);
    let envelope = transcoder.envelope(&head, bytes);
    let answers_head = head.method(bytes) == b"HEAD";
    let call = match transcoder.handle_head(&head, bytes, &mut scratch) {
        Ok(Request::Call(call)) => Ok(call),
        Ok(Request::Options) => {
            transcoder.write_options(&envelope, &head, bytes, &mut scratch, &mut out);
            return check_response(&out, answers_head, Content::Json);
        }
        Ok(Request::Preflight) => {
            transcoder.write_preflight(&envelope, &head, bytes, &mut scratch, &mut out);
            return check_response(&out, answers_head, Content::Json);
        }
        Err(error) => Err(error),
    };
    let written = call.and_then(|call| {
        call.each_metadata(transcoder, &head, bytes, &mut scratch, check_metadata)?;
        call.write_request(transcoder, &head, bytes, body, &mut scratch, &mut out)?;
        Ok(call)
    });
    match written {
        Ok(call) => check_call(transcoder, &call, &out),
        Err(error) => {
            assert_eq!(out, b"before", "an error leaves the buffer as it was");
            let parts = Some((&head, bytes, body));
            transcoder.write_error(&envelope, error, parts, &mut scratch, &mut out);
            check_response(&out, answers_head, Content::Json);
        }
    }
}

/// What HTTP/2 and gRPC allow in metadata, and nothing that has a meaning of its own.
fn check_metadata(name: &[u8], value: &[u8]) {
    let is_name = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    assert!(!name.is_empty() && name.iter().all(is_name), "{name:?}");
    assert!(
        value.iter().all(|byte| matches!(byte, b' '..=b'~')),
        "{value:?}"
    );
    let reserved: [&[u8]; 5] = [
        b"te",
        b"connection",
        b"content-length",
        b"host",
        b"content-type",
    ];
    assert!(!reserved.contains(&name), "{name:?}");
    assert!(
        !name.starts_with(b"grpc-") || name == b"grpc-timeout",
        "{name:?}"
    );
}

/// The frame must hold one message of the method's input.
fn check_call(transcoder: &Transcoder, call: &Call, out: &[u8]) {
    let frame = out.strip_prefix(b"before").expect("what was there is kept");
    let (prefix, wire) = frame
        .split_first_chunk::<5>()
        .expect("a frame has a prefix");
    let [flag, len @ ..] = *prefix;
    assert_eq!((flag, u32::from_be_bytes(len) as usize), (0, wire.len()));
    let index = call.method_index(transcoder);
    let method = transcoder
        .schema()
        .methods()
        .nth(index)
        .expect("the index is one of them");
    let name = method.full_name();
    let input = POOL
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .find(|method| method.full_name() == name)
        .expect("both have the same methods")
        .input();
    if let Err(error) = DynamicMessage::decode(input, wire) {
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}

/// A reply of an upstream: two bytes that choose, headers as `name: value` lines up to an empty one, trailers likewise, then the body.
pub fn reply(input: &[u8]) {
    let Some(([options, choice], rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let (headers, rest) = read_lines(rest);
    let (trailers, body) = read_lines(rest);
    let transcoder = schema::transcoder(*options);
    let requests: [&[u8]; 7] = [
        b"GET /v1/files/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /v1/nested/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/number HTTP/1.0\r\nHost: x\r\n\r\n",
        b"POST /v1/map HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD /v1/files/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/raw HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/pictures/x HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    let bytes = requests
        .get(usize::from(*choice) % requests.len())
        .expect("the remainder is an index");
    let mut head = RequestHead::new();
    let mut scratch = Scratch::default();
    head.parse(bytes).expect("the request is good");
    let Ok(Request::Call(call)) = transcoder.handle_head(&head, bytes, &mut scratch) else {
        return;
    };
    let mut out = b"before".to_vec();
    let reply = Reply {
        http_status: [200, 200, 200, 404, 503][usize::from(choice / 7) % 5],
        headers: || headers.iter().copied(),
        body,
        trailers: (!trailers.is_empty()).then_some(|| trailers.iter().copied()),
    };
    let envelope = transcoder.envelope(&head, bytes);
    call.write_reply(transcoder, &envelope, reply, &mut scratch, &mut out);
    let content = match head.path(bytes) {
        b"/v1/raw" | b"/v1/pictures/x" => Content::RawWhereGood,
        _ => Content::Json,
    };
    check_response(&out, head.method(bytes) == b"HEAD", content);
}

type Pair<'i> = (&'i [u8], &'i [u8]);

/// The lines up to an empty one, and what follows it.
fn read_lines(input: &[u8]) -> (Vec<Pair<'_>>, &[u8]) {
    let mut rest = input;
    let lines = iter::from_fn(|| {
        let mut parts = rest.splitn(2, |&byte| byte == b'\n');
        let line = parts.next().unwrap_or_default();
        rest = parts.next().unwrap_or_default();
        let at = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at(at);
        Some((name, value.strip_prefix(b": ").unwrap_or(value)))
    });
    // HTTP/2 has bounds on how many there can be.
    (lines.take(64).collect(), rest)
}

/// What the body of a response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Json,
    /// Bytes of any type or none if the call succeeded, otherwise JSON (SEMANTICS 72).
    RawWhereGood,
}

/// `out` must be one whole response, whose body is what it should be and as long as its head says.
fn check_response(out: &[u8], answers_head: bool, content: Content) {
    let response = out.strip_prefix(b"before").expect("what was there is kept");
    // Headers and trailers of an error are joined, and ours come on top.
    let mut slots = [httparse::EMPTY_HEADER; 192];
    let mut head = httparse::Response::new(&mut slots);
    let Ok(httparse::Status::Complete(len)) = head.parse(response) else {
        unreachable!("no response: {}", String::from_utf8_lossy(response));
    };
    let (lines, body) = response.split_at(len);
    let lines = lines
        .strip_suffix(b"\r\n\r\n")
        .expect("a head ends in an empty line");
    for line in lines.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r'), "a stray line end");
    }
    let values = |name: &str| {
        head.headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.trim_ascii())
            .collect::<Vec<_>>()
    };
    assert!(values("transfer-encoding").is_empty());
    let is_raw = content == Content::RawWhereGood && head.code == Some(200);
    match *values("content-length") {
        [] => assert!(head.code == Some(204) && body.is_empty()),
        [len] => {
            let len: usize = str::from_utf8(len)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .expect("a length is digits");
            assert!(if answers_head {
                body.is_empty()
            } else {
                body.len() == len
            });
            if is_raw {
                assert!(values("content-type").len() <= 1, "two types");
            } else {
                assert_eq!(values("content-type"), [b"application/json"]);
            }
        }
        _ => unreachable!("two lengths"),
    }
    if !body.is_empty() && !is_raw {
        check_json(body);
    }
}
