//! HTTP/1.1 framing, driven by the cases in `cases/http1/`, one file per row of the catalogue of attacks.
//!
//! Each input is what one connection sends. A small connection reads it as the proxy does (head, body, next head) and notes what it would
//! answer: the requests, and how it ends. The input is fed whole, byte by byte, and in two parts cut at every place: the result must
//! always be the same.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use transom_engine::error::ErrorKind;
use transom_engine::http1::{
    BodyFraming, ChunkedBody, Connection, Parsed, RequestHead, ResponseHead, begin,
};
use transom_engine::limits::BODY_LEN_MAX;

/// What a connection would answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    /// Each as `METHOD path?query body`, as bytes.
    requests: Vec<Vec<u8>>,
    /// `wait`, `close`, or the kind of an error.
    then: String,
}

/// The reading half of a connection.
struct Reader {
    head: RequestHead,
    buffer: Vec<u8>,
    body: Option<OpenBody>,
    outcome: Outcome,
}

/// A request whose head is whole.
struct OpenBody {
    line: Vec<u8>,
    content: Vec<u8>,
    framing: BodyFraming,
    chunks: ChunkedBody,
    is_last: bool,
}

impl Reader {
    fn new() -> Self {
        Self {
            head: RequestHead::new(),
            buffer: Vec::new(),
            body: None,
            outcome: Outcome {
                requests: Vec::new(),
                then: "wait".to_owned(),
            },
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while self.outcome.then == "wait" {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return,
                Err(kind) => self.outcome.then = format!("{kind:?}"),
            }
        }
    }

    /// Takes one step, or says that more bytes are needed.
    fn advance(&mut self) -> Result<bool, ErrorKind> {
        if self.body.is_none() && !self.read_head()? {
            return Ok(false);
        }
        let body = self.body.as_mut().expect("the head is whole");
        let is_done = match body.framing {
            BodyFraming::None => true,
            BodyFraming::Length(len) => {
                let missing = usize::try_from(len).unwrap() - body.content.len();
                let take = missing.min(self.buffer.len());
                body.content.extend(self.buffer.drain(..take));
                take == missing
            }
            BodyFraming::Chunked => {
                let decoded = body
                    .chunks
                    .decode(&self.buffer, &mut body.content, BODY_LEN_MAX)
                    .map_err(|error| error.kind)?;
                self.buffer.drain(..decoded.consumed);
                assert!(decoded.is_done || self.buffer.is_empty());
                decoded.is_done
            }
        };
        if !is_done {
            return Ok(false);
        }
        let mut body = self.body.take().expect("the body is whole");
        if !body.content.is_empty() {
            body.line.push(b' ');
            body.line.extend(body.content);
        }
        self.outcome.requests.push(body.line);
        if body.is_last {
            "close".clone_into(&mut self.outcome.then);
        }
        Ok(true)
    }

    fn read_head(&mut self) -> Result<bool, ErrorKind> {
        let Parsed::Complete { len } = self.head.parse(&self.buffer).map_err(|error| error.kind)?
        else {
            return Ok(false);
        };
        if matches!(self.head.framing(), BodyFraming::Length(len) if len > BODY_LEN_MAX as u64) {
            return Err(ErrorKind::BodyTooLarge);
        }
        // Spans must survive that the bytes move.
        let bytes: Vec<u8> = self.buffer.drain(..len).collect();
        let mut line = self.head.method(&bytes).to_vec();
        line.push(b' ');
        line.extend_from_slice(self.head.path(&bytes));
        if !self.head.query(&bytes).is_empty() {
            line.push(b'?');
            line.extend_from_slice(self.head.query(&bytes));
        }
        self.body = Some(OpenBody {
            line,
            content: Vec::new(),
            framing: self.head.framing(),
            chunks: ChunkedBody::new(),
            is_last: self.head.connection() == Connection::Close,
        });
        Ok(true)
    }
}

fn read(parts: &[&[u8]]) -> Outcome {
    let mut reader = Reader::new();
    for part in parts {
        reader.feed(part);
    }
    reader.outcome
}

/// Reads `input` whole and cut in many ways, and returns the one outcome.
fn read_in_every_cut(name: &str, input: &[u8]) -> Outcome {
    let whole = read(&[input]);
    // Every place of a small input, and some of a large one, whose heads are read again for each piece.
    let step = if input.len() <= 2000 {
        1
    } else {
        input.len() / 50
    };
    for cut in (0..=input.len()).step_by(step) {
        let (first, second) = input.split_at(cut);
        assert_eq!(read(&[first, second]), whole, "{name}, cut at {cut}");
    }
    let piece_len = if input.len() <= 2000 { 1 } else { 499 };
    let pieces: Vec<_> = input.chunks(piece_len).collect();
    assert_eq!(read(&pieces), whole, "{name}, in pieces of {piece_len}");
    whole
}

/// The bytes of a case: a string whose characters are bytes, a part to be repeated, or a list of those.
fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).expect("a character is a byte"))
            .collect(),
        Value::Array(parts) => parts.iter().flat_map(bytes_of).collect(),
        Value::Object(part) => {
            let unit = part.get("repeat").or_else(|| part.get("parts")).unwrap();
            let count = part["count"].as_u64().unwrap();
            bytes_of(unit).repeat(usize::try_from(count).unwrap())
        }
        other => panic!("no bytes: {other}"),
    }
}

fn cases() -> Vec<(String, Vec<u8>, Outcome)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/http1");
    let mut cases = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let name = format!("{}: {}", path.file_stem().unwrap().display(), case["name"]);
            let outcome = Outcome {
                requests: case["requests"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(bytes_of)
                    .collect(),
                then: case["then"].as_str().unwrap().to_owned(),
            };
            cases.push((name, bytes_of(&case["input"]), outcome));
        }
    }
    assert!(cases.len() > 200, "the cases are where they are looked for");
    cases
}

#[test]
fn every_case_is_answered_as_stated_in_every_cut() {
    let mut failures = Vec::new();
    for (name, input, stated) in cases() {
        let outcome = read_in_every_cut(&name, &input);
        if outcome != stated {
            let requests: Vec<_> = outcome
                .requests
                .iter()
                .map(|r| r.escape_ascii().to_string())
                .collect();
            failures.push(format!("{name}: {requests:?}, then {}", outcome.then));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A chunked body of these chunks, with extensions and trailers.
fn chunked(chunks: &[Vec<u8>], extension: &str, trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        body.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0{extension}\r\n{trailer}\r\n").as_bytes());
    body
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_alike_in_every_cut(input in proptest::collection::vec(any::<u8>(), 0..64)) {
        read_in_every_cut("arbitrary", &input);
    }

    /// Changes a few bytes of a case, so that more than the first byte is reached.
    #[test]
    fn damaged_cases_are_read_alike_in_every_cut(
        case in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        thread_local!(static CASES: Vec<Vec<u8>> = cases()
            .into_iter()
            .map(|(_, input, _)| input)
            .filter(|input| (1..400).contains(&input.len()))
            .collect());
        let mut input = CASES.with(|cases| cases[case.index(cases.len())].clone());
        for (at, byte) in edits {
            let at = at.index(input.len());
            input[at] = byte;
        }
        read_in_every_cut("damaged", &input);
    }

    #[test]
    fn chunks_survive_a_round_trip(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
        extension in "(;[a-z]{1,4}(=[a-z\"]{0,4})?){0,2}",
        trailer in "([A-Za-z]{1,4}: [ -~]{0,8}\r\n){0,2}",
        cut in any::<prop::sample::Index>(),
    ) {
        let input = chunked(&chunks, &extension, &trailer);
        let mut body = ChunkedBody::new();
        let mut out = Vec::new();
        let (first, second) = input.split_at(cut.index(input.len() + 1));
        let decoded = body.decode(first, &mut out, BODY_LEN_MAX).unwrap();
        prop_assert_eq!(decoded.consumed, first.len());
        let decoded = body.decode(&[second, b"next"].concat(), &mut out, BODY_LEN_MAX).unwrap();
        prop_assert!(decoded.is_done);
        prop_assert_eq!(decoded.consumed, second.len());
        prop_assert_eq!(out, chunks.concat());
    }

    /// A response is read back as one response with the headers that were taken, whatever bytes they had.
    #[test]
    fn no_header_splits_a_response(
        headers in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..6), proptest::collection::vec(any::<u8>(), 0..12)),
            0..5,
        ),
        status in any::<u16>(),
        body in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut out = Vec::new();
        let mut head = begin(&mut out, &ResponseHead {
            status,
            connection: Connection::Close,
            answers_head: false,
            content_type: None,
            date: None,
        });
        let taken: Vec<_> = headers
            .iter()
            .filter(|(name, value)| head.header(&mut out, name, value))
            .collect();
        let pending = head.open_body(&mut out);
        out.extend_from_slice(&body);
        pending.finish(&mut out);

        let mut slots = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut slots);
        let parsed = response.parse(&out);
        let Ok(httparse::Status::Complete(body_start)) = parsed else {
            return Err(TestCaseError::fail(format!("{parsed:?}")));
        };
        let has_no_content = matches!(status, 204 | 205 | 304);
        prop_assert_eq!(&out[body_start..], if has_no_content { &[][..] } else { &body[..] });
        let mut read = response.headers.iter().skip(1);
        if !matches!(status, 204 | 304) {
            let length: usize = std::str::from_utf8(read.next().unwrap().value).unwrap().parse().unwrap();
            prop_assert_eq!(length, out.len() - body_start);
        }
        for (name, value) in taken {
            let header = read.next().unwrap();
            prop_assert_eq!(header.name.as_bytes(), &name[..]);
            prop_assert_eq!(header.value.trim_ascii(), value.trim_ascii());
        }
        prop_assert!(read.next().is_none());
    }
}
