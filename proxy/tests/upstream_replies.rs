//! What clients get when the upstream sends what it should not (THREATS A13, E1 to E7, F1 to F9; sections 7 and 8 of docs/MAPPING.md).
//!
//! Goal: each fault becomes the right status and an error in JSON that says where it is, and costs nothing but its own call. Method:
//! the gateway calls a scripted HTTP/2 peer, which does what the case says to `/v1/echo`; after each case a good call must succeed,
//! and where the fault is only in the answer, on the same connection.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    #[allow(
        dead_code,
        unreachable_pub,
        reason = "shared with the tests of the pool, which use other parts of it"
    )]
    pub(crate) mod peer;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use support::gateway::Gateway;
use support::http::{Client, Reply, request};
use support::peer::{Connection, Peer};
use support::wire::assert_error;
use transom::clock;

const PATIENCE: Duration = Duration::from_secs(20);
/// HTTP/2's code for a call that is not wanted any more.
const CANCEL: u32 = 8;

/// What the peer does with a request.
type Act = Box<dyn Fn(&mut Connection, u32) -> io::Result<()> + Send + Sync>;

struct Case {
    name: String,
    act: Act,
    status: u16,
    code: u64,
    /// Words of the message, or of the whole body if it is a success.
    words: &'static str,
    /// Whether the connection outlives it.
    keeps: bool,
}

fn case(
    name: impl Into<String>,
    (status, code): (u16, u64),
    words: &'static str,
    act: impl Fn(&mut Connection, u32) -> io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case {
        name: name.into(),
        act: Box::new(act),
        status,
        code,
        words,
        keeps: true,
    }
}

/// The answer is this message in its frame.
fn message(name: &str, expected: (u16, u64), words: &'static str, message: &[u8]) -> Case {
    body(name, expected, words, &framed(message))
}

/// The answer has this body.
fn body(name: &str, expected: (u16, u64), words: &'static str, body: &[u8]) -> Case {
    let body = body.to_vec();
    case(name, expected, words, move |peer, stream| {
        peer.answer(stream, &body)
    })
}

/// The answer ends with these trailers after a good message.
fn trailers(
    name: &str,
    expected: (u16, u64),
    words: &'static str,
    trailers: &[(&'static str, &[u8])],
) -> Case {
    let trailers: Vec<_> = trailers
        .iter()
        .map(|(name, value)| (*name, value.to_vec()))
        .collect();
    case(name, expected, words, move |peer, stream| {
        peer.headers(stream)?;
        peer.data(stream, &framed(b""))?;
        peer.send_headers(stream, None, &trailers, true)
    })
}

/// The answer is not gRPC.
fn page(status: u16, expected: (u16, u64)) -> Case {
    case(
        format!("F6 a page with {status}"),
        expected,
        "upstream answered",
        move |peer, stream| {
            let headers = [
                ("content-type", "text/html"),
                ("location", "http://inside.example/"),
            ];
            peer.send_headers(stream, Some(status), &headers, false)?;
            peer.data(stream, b"<html>secret of the inside</html>")?;
            peer.send(support::peer::DATA, 1, stream, b"")
        },
    )
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// A gateway before a peer that plays one case for each call, in order, and answers the calls between them.
struct Stage {
    gateway: Gateway,
    peer: Peer,
    cases: Vec<Case>,
}

impl Stage {
    fn new(cases: Vec<Case>) -> Self {
        let (acts, cases): (Vec<Act>, Vec<Case>) = cases
            .into_iter()
            .map(|case| {
                let good: Act = Box::new(|_, _| Ok(()));
                (case.act, Case { act: good, ..case })
            })
            .unzip();
        let peer = Peer::start(move |_, mut connection| {
            connection.greet(&[]).unwrap();
            while let Ok(request) = connection.request() {
                // Field 3, int32_value: which case, from 1.
                let act = match request.body.get(5..) {
                    Some([0x18, number]) => acts.get(usize::from(*number) - 1),
                    _ => None,
                };
                let done = match act {
                    Some(act) => act(&mut connection, request.stream),
                    None => connection.answer(request.stream, &framed(b"\x72\x02ok")),
                };
                if done.is_err() {
                    return;
                }
            }
        });
        let gateway = serve(&peer.url());
        Self {
            gateway,
            peer,
            cases,
        }
    }

    fn play(self) {
        let address = self.gateway.address();
        let mut client = Client::connect(address).unwrap();
        assert_good(&mut client, "the start");
        for (index, case) in self.cases.iter().enumerate() {
            let name = &case.name;
            let before = self.peer.connection_count();
            let text = format!("{{\"int32Value\": {}}}", index + 1);
            let reply = client
                .send("POST", "/v1/echo", &[], Some(text.as_bytes()))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(reply.status, case.status, "{name}: {}", reply.text());
            assert_eq!(reply.media_type(), "application/json", "{name}");
            if case.status == 200 {
                assert!(
                    reply.text().contains(case.words),
                    "{name}: {}",
                    reply.text()
                );
            } else {
                assert_error(&reply, name);
                assert_eq!(reply.json()["code"], case.code, "{name}: {}", reply.text());
                let message = reply.json()["message"].as_str().unwrap().to_owned();
                assert!(message.contains(case.words), "{name}: {message}");
            }
            assert!(!reply.text().contains("inside"), "{name}: {}", reply.text());
            assert!(reply.header("location").is_none(), "{name}");
            // Whatever ends lines is escaped.
            assert!(
                !reply.body.iter().any(|byte| *byte < b' '),
                "{name}: {}",
                reply.text()
            );
            if case.keeps {
                assert_good(&mut client, name);
                assert_eq!(
                    self.peer.connection_count(),
                    before,
                    "{name}: the connection was lost"
                );
            } else {
                // The pool pauses before it connects again; meanwhile calls are unavailable at once.
                let since = clock::now();
                while !is_good(&mut client) {
                    assert!(since.elapsed() < PATIENCE, "{name}");
                }
            }
        }
        let (status, transcript) = self.gateway.stop();
        assert!(
            status.success() && !transcript.contains("panick"),
            "{transcript}"
        );
    }
}

fn serve(upstream: &str) -> Gateway {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    let proto = format!("{protos}/example/bookstore.proto");
    Gateway::serve(&[
        "--workers",
        "1",
        "--upstream",
        upstream,
        "--proto",
        &proto,
        "--proto-path",
        protos,
    ])
}

fn assert_good(client: &mut Client, after: &str) {
    let reply = client
        .send("POST", "/v1/echo", &[], Some(b"{}"))
        .unwrap_or_else(|error| panic!("after {after}: {error}"));
    assert_eq!(reply.status, 200, "after {after}: {}", reply.text());
    assert_eq!(reply.json()["stringValue"], "ok", "after {after}");
}

fn is_good(client: &mut Client) -> bool {
    let reply = client.send("POST", "/v1/echo", &[], Some(b"{}")).unwrap();
    assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
    reply.status == 200
}

/// A message of `depth` levels of `field` around nothing.
fn nested(tag: &[u8], depth: usize) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..depth {
        let mut outer = tag.to_vec();
        let mut len = message.len();
        while len >= 0x80 {
            outer.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        outer.push(u8::try_from(len).unwrap());
        outer.extend_from_slice(&message);
        message = outer;
    }
    message
}

const BAD: (u16, u64) = (500, 13);
const GOOD: (u16, u64) = (200, 0);

/// E1, E2, E3, E5: bytes that are no message, and some that look odd and are one.
#[test]
fn broken_messages_are_internal_errors_that_say_where() {
    // NESTED (field 17) holds `child` (field 3).
    let deep = [&[0x8a, 0x01][..], &nested(&[0x1a], 150)].concat();
    let deep = nested_in(&deep);
    let groups = [0xc3, 0x3e].repeat(150);
    let cases = vec![
        message("E1 truncated varint", BAD, "at byte", &[0x18, 0x80]),
        message(
            "E1 varint of 11 bytes",
            BAD,
            "at byte",
            &[&[0x18][..], &[0xff; 10], &[1]].concat(),
        ),
        message(
            "E1 length beyond the end",
            BAD,
            "ends too early at byte 1",
            &[0x72, 5, b'a'],
        ),
        message(
            "E1 length 2^31",
            BAD,
            "reply: ",
            &[0x72, 0x80, 0x80, 0x80, 0x80, 8, b'a'],
        ),
        message(
            "E1 length 2^63",
            BAD,
            "reply: ",
            &[&[0x72][..], &[0x80; 9], &[1]].concat(),
        ),
        message("E1 field number 0", BAD, "at byte 0", &[0, 1]),
        message("E1 wire type 6", BAD, "at byte 0", &[0x1e, 0]),
        message("E1 wire type 7", BAD, "at byte 0", &[0x1f, 0]),
        message("E1 group without end", BAD, "reply: ", &[0xc3, 0x3e]),
        message(
            "E1 end without group",
            BAD,
            "malformed group",
            &[0xc4, 0x3e],
        ),
        message(
            "E1 group ended by another",
            BAD,
            "reply: ",
            &[0xc3, 0x3e, 0xcc, 0x3e],
        ),
        message("E1 cut in a fixed64", BAD, "reply: ", &[0x09, 1, 2, 3]),
        message(
            "E1 map entry of nothing",
            GOOD,
            r#""stringToString":{"":""}"#,
            &[0xfa, 1, 0],
        ),
        message("E2 nested too deep", BAD, "nested deeper than 100", &deep),
        message(
            "E2 unknown groups too deep",
            BAD,
            "nested deeper than 100",
            &groups,
        ),
        message(
            "E3 string that is no UTF-8",
            BAD,
            "at byte",
            &[0x72, 2, b'a', 0xff],
        ),
        message("E3 overlong UTF-8", BAD, "at byte", &[0x72, 2, 0xc0, 0x80]),
        message(
            "E5 other wire type is an unknown field",
            GOOD,
            "{",
            &[0x70, 1],
        ),
        message(
            "E5 unknown enum number",
            GOOD,
            r#""colour":99"#,
            &[0x80, 1, 99],
        ),
        message("E5 unknown field", GOOD, "{", &[0xc0, 0x3e, 1]),
        message(
            "E5 last of a singular field",
            GOOD,
            r#""stringValue":"b""#,
            &[0x72, 1, b'a', 0x72, 1, b'b'],
        ),
        message(
            "E5 packed and not",
            GOOD,
            r#""repeatedInt32":[1,2,3]"#,
            &[0xa8, 1, 1, 0xaa, 1, 2, 2, 3],
        ),
    ];
    Stage::new(cases).play();
}

/// Gives the length of what follows a two-byte tag.
fn nested_in(bytes: &[u8]) -> Vec<u8> {
    let (tag, inner) = bytes.split_at(2);
    let len = inner.len();
    let mut out = tag.to_vec();
    out.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
    out.push(u8::try_from(len >> 7).unwrap());
    out.extend_from_slice(inner);
    out
}

/// E4: good bytes whose meaning has no JSON form.
#[test]
fn values_without_json_form_are_internal_errors() {
    let tagged = |tag: u8, inner: &[u8]| {
        [
            &[tag, 0x03 + u8::from(tag < 0xe0)][..],
            &[u8::try_from(inner.len()).unwrap()],
            inner,
        ]
        .concat()
    };
    let huge = [&[0x08][..], &[0xff; 8], &[0x7f]].concat();
    let nan = [&[0x11][..], &f64::NAN.to_le_bytes()].concat();
    let infinite = [&[0x11][..], &f64::INFINITY.to_le_bytes()].concat();
    let cases = vec![
        message(
            "E4 Timestamp beyond 9999",
            BAD,
            "Timestamp",
            &tagged(0xea, &huge),
        ),
        message(
            "E4 Timestamp, nanos of 2^31-1",
            BAD,
            "Timestamp",
            &tagged(0xea, &[0x10, 0xff, 0xff, 0xff, 0xff, 7]),
        ),
        message(
            "E4 Duration out of range",
            BAD,
            "Duration",
            &tagged(0xf2, &huge),
        ),
        message(
            "E4 Duration, signs differ",
            BAD,
            "Duration",
            &tagged(0xf2, &[&[0x08, 1, 0x10][..], &[0xff; 9], &[1]].concat()),
        ),
        message(
            "E4 FieldMask that does not come back",
            BAD,
            "FieldMask",
            &tagged(0xfa, b"\x0a\x04a__b"),
        ),
        message("E4 NaN in a Value", BAD, "Value", &tagged_value(&nan)),
        message(
            "E4 Infinity in a Value",
            BAD,
            "Value",
            &tagged_value(&infinite),
        ),
        message(
            "NaN in a double",
            GOOD,
            r#""doubleValue":"NaN""#,
            &[&[0x09][..], &f64::NAN.to_le_bytes()].concat(),
        ),
    ];
    Stage::new(cases).play();
}

/// Field 65, `value`.
fn tagged_value(inner: &[u8]) -> Vec<u8> {
    [
        &[0x8a, 0x04][..],
        &[u8::try_from(inner.len()).unwrap()],
        inner,
    ]
    .concat()
}

/// E6: frames that are none, too many, too long or in pieces.
#[test]
fn broken_frames_are_errors_without_memory() {
    let flagged = |flag: u8| {
        let mut frame = framed(b"\x72\x02ok");
        frame[0] = flag;
        frame
    };
    let two = [framed(b""), framed(b"")].concat();
    let long = framed(&vec![0; (4 << 20) + 1]);
    let cases = vec![
        body(
            "E6 length 2^32-1",
            (500, 8),
            "reply: ",
            &[0, 0xff, 0xff, 0xff, 0xff],
        ),
        body("E6 cut in the prefix", BAD, "reply: ", &[0, 0, 0]),
        body(
            "E6 cut in the message",
            BAD,
            "reply: ",
            &[0, 0, 0, 0, 5, 0x72],
        ),
        body("E6 compressed", BAD, "compress", &flagged(1)),
        body("E6 flag 2", BAD, "reply: ", &flagged(2)),
        body("E6 two messages", BAD, "reply: ", &two),
        body(
            "E6 a message and some",
            BAD,
            "reply: ",
            &[framed(b""), vec![0]].concat(),
        ),
        body("E6 no message", BAD, "reply: ", b""),
        case(
            "E6 above 4 MiB",
            (500, 8),
            "too large",
            move |peer, stream| {
                peer.headers(stream)?;
                flood(peer, stream, &long)
            },
        ),
        trailers_only(
            "E6 no message, trailers only",
            BAD,
            "reply: ",
            &[("grpc-status", b"0")],
        ),
        case(
            "E6 a byte a frame",
            GOOD,
            r#""stringValue":"ok""#,
            |peer, stream| {
                peer.headers(stream)?;
                for byte in framed(b"\x72\x02ok") {
                    peer.data(stream, &[byte])?;
                }
                peer.trailers(stream)
            },
        ),
    ];
    let stage = Stage::new(cases);
    let before = stage.gateway.resident_len();
    let address = stage.gateway.address();
    for _ in 0..5 {
        // The length of 2^32-1 and the long one: nothing is reserved for what is announced, and nothing is kept.
        for number in [1, 9] {
            let text = format!("{{\"int32Value\": {number}}}");
            let reply = request(address, "POST", "/v1/echo", &[], Some(text.as_bytes())).unwrap();
            assert_eq!(reply.status, 500);
        }
    }
    let grown = stage.gateway.resident_len().saturating_sub(before);
    assert!(grown < 48 << 20, "grew by {grown} bytes");
    stage.play();
}

/// Sends `bytes` as fast as the window of the stream allows, until it is reset.
fn flood(peer: &mut Connection, stream: u32, bytes: &[u8]) -> io::Result<()> {
    const PART_LEN: usize = 16 << 10;
    let mut window = transom::limits::UPSTREAM_STREAM_WINDOW_LEN as usize;
    for part in bytes.chunks(PART_LEN) {
        while window < PART_LEN {
            let frame = peer.read_any()?;
            if frame.stream != stream {
                continue;
            }
            if frame.kind == support::peer::RST_STREAM {
                return Ok(());
            }
            let increment = frame.payload.try_into().map(u32::from_be_bytes).unwrap();
            window += increment as usize;
        }
        peer.data(stream, part)?;
        window -= part.len();
    }
    Ok(())
}

fn trailers_only(
    name: &str,
    expected: (u16, u64),
    words: &'static str,
    headers: &[(&'static str, &[u8])],
) -> Case {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.to_vec()))
        .collect();
    case(name, expected, words, move |peer, stream| {
        peer.trailers_only(stream, &headers)
    })
}

/// F5, F6, F7: statuses as the upstream tells them, well or badly.
#[test]
fn statuses_are_told_as_the_upstream_meant_them() {
    let long = "long ".repeat(13 << 10);
    let unknown_detail = [
        &[0x08, 5, 0x1a, 24][..],
        b"\x0a\x16example.com/no.such.Type",
    ]
    .concat();
    let unknown_detail = [&unknown_detail[..3], &[26], &unknown_detail[4..26 + 4]].concat();
    let cases = vec![
        trailers_only(
            "F5 trailers only",
            (404, 5),
            "no such",
            &[("grpc-status", b"5"), ("grpc-message", b"no such book")],
        ),
        trailers_only("F5 trailers only, nothing said", BAD, "grpc-status", &[]),
        trailers("F5 status missing", BAD, "grpc-status", &[("x", b"y")]),
        trailers(
            "F5 no number",
            (500, 2),
            "grpc-status",
            &[("grpc-status", b"x")],
        ),
        trailers("F5 00", (500, 2), "grpc-status", &[("grpc-status", b"00")]),
        trailers(
            "F5 17",
            (500, 17),
            "beyond",
            &[("grpc-status", b"17"), ("grpc-message", b"beyond")],
        ),
        trailers(
            "F5 error after a message",
            (409, 10),
            "late",
            &[("grpc-status", b"10"), ("grpc-message", b"late")],
        ),
        case(
            "F5 in headers and trailers",
            (403, 7),
            "last",
            |peer, stream| {
                let headers = [("content-type", "application/grpc"), ("grpc-status", "0")];
                peer.send_headers(stream, Some(200), &headers, false)?;
                peer.data(stream, &framed(b""))?;
                peer.send_headers(
                    stream,
                    None,
                    &[("grpc-status", "7"), ("grpc-message", "last")],
                    true,
                )
            },
        ),
        case(
            "F5 ends without trailers",
            BAD,
            "grpc-status",
            |peer, stream| {
                peer.headers(stream)?;
                peer.send(support::peer::DATA, 1, stream, &framed(b""))
            },
        ),
        page(200, (500, 2)),
        page(302, (500, 2)),
        page(400, (500, 13)),
        page(401, (401, 16)),
        page(403, (403, 7)),
        page(404, (501, 12)),
        page(429, (503, 14)),
        page(500, (500, 2)),
        page(503, (503, 14)),
        trailers(
            "F7 message of 64 KiB",
            (404, 5),
            "long long",
            &[("grpc-status", b"5"), ("grpc-message", long.as_bytes())],
        ),
        trailers(
            "F7 bad escapes",
            (404, 5),
            "100% %zz %4",
            &[("grpc-status", b"5"), ("grpc-message", b"100% %zz %4")],
        ),
        trailers(
            "F7 no UTF-8",
            (404, 5),
            "a\u{fffd}b",
            &[("grpc-status", b"5"), ("grpc-message", b"a%ffb")],
        ),
        trailers(
            "F7 raw bytes beyond ASCII",
            (404, 5),
            "a\u{fffd}b",
            &[("grpc-status", b"5"), ("grpc-message", b"a\xffb")],
        ),
        trailers(
            "A13 escaped line ends",
            (404, 5),
            "a\r\nX: y\r\n\r\n\0b",
            &[
                ("grpc-status", b"5"),
                ("grpc-message", b"a%0D%0AX: y%0d%0a%0D%0A%00b"),
            ],
        ),
        trailers(
            "F7 details that are no base64",
            (404, 5),
            "m",
            &[
                ("grpc-status", b"5"),
                ("grpc-message", b"m"),
                ("grpc-status-details-bin", b"!!!"),
            ],
        ),
        trailers(
            "F7 details that are no protobuf",
            (404, 5),
            "m",
            &[
                ("grpc-status", b"5"),
                ("grpc-message", b"m"),
                ("grpc-status-details-bin", b"/////w"),
            ],
        ),
        trailers(
            "F7 details of an unknown type",
            (404, 5),
            "m",
            &[
                ("grpc-status", b"5"),
                ("grpc-message", b"m"),
                (
                    "grpc-status-details-bin",
                    base64(&unknown_detail).as_bytes(),
                ),
            ],
        ),
    ];
    Stage::new(cases).play();
}

/// Standard base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = (0..3).fold(0, |bits, at| {
                bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0))
            });
            (0..=chunk.len()).map(move |at| char::from(ALPHABET[bits >> (18 - 6 * at) & 63]))
        })
        .collect()
}

/// The same, but the connection ends with it.
fn ending(case: Case) -> Case {
    Case {
        keeps: false,
        ..case
    }
}

/// A13: whatever metadata holds, it ends no line and frames no message; the rest of the answer arrives.
#[test]
fn metadata_cannot_split_or_reframe_a_response() {
    let with = |name: &'static str, value: &'static [u8], expected, words| {
        case(
            format!("{name}: {}", value.escape_ascii()),
            expected,
            words,
            move |peer, stream| {
                let headers: [(&str, &[u8]); 3] = [
                    ("content-type", b"application/grpc"),
                    (name, value),
                    ("x-good", b"yes"),
                ];
                peer.send_headers(stream, Some(200), &headers, false)?;
                peer.data(stream, &framed(b"\x72\x02ok"))?;
                peer.trailers(stream)
            },
        )
    };
    let ok = r#""stringValue":"ok""#;
    let cases = vec![
        // HTTP/2 itself forbids these (RFC 9113 section 8.2.1). The stream is malformed, but h2 ends the whole connection.
        ending(with("x-bad", b"a\r\nset-cookie: stolen", BAD, "upstream")),
        ending(with("x-bad", b"a\nb", BAD, "upstream")),
        ending(with("x-bad", b"a\0b", BAD, "upstream")),
        // These pass HTTP/2 and stop here.
        with("x-bad", b"caf\xc3\xa9", GOOD, ok),
        with("x-bad", b"\xff", GOOD, ok),
        with("content-length", b"9", GOOD, ok),
        with("content-length", b"11", BAD, "upstream"),
        with("trailer", b"x", GOOD, ok),
        with("keep-alive", b"timeout=1", BAD, "upstream"),
        with("content-encoding", b"gzip", GOOD, ok),
        with("x-empty", b"", GOOD, ok),
    ];
    let stage = Stage::new(cases);
    let reply = request(
        stage.gateway.address(),
        "POST",
        "/v1/echo",
        &[],
        Some(b"{\"int32Value\": 4}"),
    )
    .unwrap();
    assert_eq!(reply.header("x-good"), Some("yes"));
    assert_eq!(reply.header("x-bad"), None);
    stage.play();
}

/// F3: each code of RST_STREAM, before and after the headers and in the middle of the message.
#[test]
fn resets_become_the_status_of_their_code() {
    let expected = |code| match code {
        7 => (503, 14),
        8 => (499, 1),
        11 => (429, 8),
        12 => (403, 7),
        _ => BAD,
    };
    let cases = (0..=13).flat_map(|code| {
        [
            case(
                format!("F3 {code} before headers"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| peer.reset(stream, code),
            ),
            case(
                format!("F3 {code} after headers"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| {
                    peer.headers(stream)?;
                    peer.reset(stream, code)
                },
            ),
            case(
                format!("F3 {code} in the message"),
                expected(code),
                "upstream reset the stream",
                move |peer, stream| {
                    peer.headers(stream)?;
                    peer.data(stream, &[0, 0, 0, 0, 9, 0x72])?;
                    peer.reset(stream, code)
                },
            ),
        ]
    });
    Stage::new(cases.collect()).play();
}

/// F3, F4, F9: the connection ends under a call; the next one is made at once.
#[test]
fn connections_that_end_cost_the_calls_on_them() {
    let ends = |name: &str, expected, words, act: fn(&mut Connection, u32) -> io::Result<()>| {
        ending(case(name, expected, words, move |peer, stream| {
            act(peer, stream)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }))
    };
    let cases = vec![
        ends("F9 before headers", (503, 14), "lost", |_, _| Ok(())),
        ends("F9 after headers", (503, 14), "lost", |peer, stream| {
            peer.headers(stream)
        }),
        ends("F9 in the message", (503, 14), "lost", |peer, stream| {
            peer.headers(stream)?;
            peer.data(stream, &[0, 0, 0, 0, 9, 0x72])
        }),
        ends(
            "F4 GOAWAY below the call, twice",
            (503, 14),
            "upstream",
            |peer, _| peer.go_away(0, 0),
        ),
        ends("F8 garbage", BAD, "protocol", |peer, _| {
            peer.send(support::peer::DATA, 0, 0, b"garbage")
        }),
        ending(case(
            "F4 GOAWAY above the call",
            GOOD,
            r#""stringValue":"ok""#,
            |peer, stream| {
                peer.go_away(stream, 0)?;
                peer.answer(stream, &framed(b"\x72\x02ok"))
            },
        )),
        ending(case(
            "F8 uppercase header",
            BAD,
            "upstream",
            |peer, stream| {
                let headers = [("content-type", "application/grpc"), ("X-Upper", "y")];
                peer.send_headers(stream, Some(200), &headers, false)?;
                peer.answer(stream, b"")
            },
        )),
    ];
    Stage::new(cases).play();
}

/// F1: nobody listens; somebody listens and says nothing, or something else.
#[test]
fn absent_and_silent_upstreams_are_unavailable_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = Peer::start(|_, mut connection| while connection.read_any().is_ok() {});
    let other = Peer::start(|_, mut connection| {
        use std::io::Write as _;
        let _gone = connection
            .socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (name, url) in [
        ("closed", format!("http://{closed}")),
        ("silent", silent.url()),
        ("other", other.url()),
    ] {
        let gateway = serve(&url);
        let since = clock::now();
        let reply = request(gateway.address(), "POST", "/v1/echo", &[], Some(b"{}")).unwrap();
        assert!(since.elapsed() < Duration::from_secs(5), "{name}");
        assert_eq!(reply.status, 503, "{name}");
        assert_error(&reply, name);
        assert_eq!(reply.json()["code"], 14, "{name}");
        // SEMANTICS 111: no addresses of the inside.
        assert!(
            !reply.text().contains("127.0.0.1"),
            "{name}: {}",
            reply.text()
        );
    }
}

/// A peer that tells of each request and each reset, and answers none but those for `ok`.
fn watched_peer() -> (Peer, Receiver<Event>) {
    let (events, heard) = channel();
    let peer = Peer::start(move |_, mut connection| {
        connection.greet(&[]).unwrap();
        watch(&mut connection, &events);
    });
    (peer, heard)
}

#[derive(Debug, PartialEq)]
enum Event {
    Request { stream: u32 },
    Reset { stream: u32, code: u32 },
}

fn watch(connection: &mut Connection, events: &Sender<Event>) {
    while let Ok(frame) = connection.read() {
        let stream = frame.stream;
        if frame.kind == support::peer::RST_STREAM {
            let code = u32::from_be_bytes(frame.payload.try_into().unwrap());
            events.send(Event::Reset { stream, code }).unwrap();
        } else if frame.is_end_stream() {
            if frame.payload.len() == 5 {
                connection.answer(stream, &framed(b"\x72\x02ok")).unwrap();
            } else {
                events.send(Event::Request { stream }).unwrap();
            }
        }
    }
}

const SLOW: &[u8] = b"{\"stringValue\": \"slow\"}";

/// F2: 504 at the deadline, and the upstream is told.
#[test]
fn deadline_ends_a_call_here_and_at_the_upstream() {
    let (peer, heard) = watched_peer();
    let gateway = serve(&peer.url());
    let mut client = Client::connect(gateway.address()).unwrap();
    let since = clock::now();
    let reply = client
        .send("POST", "/v1/echo", &[("Grpc-Timeout", "200m")], Some(SLOW))
        .unwrap();
    let waited = since.elapsed();
    assert!(
        waited >= Duration::from_millis(190) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    assert_eq!((reply.status, &reply.json()["code"]), (504, &4.into()));
    assert_error(&reply, "deadline");
    assert_cancelled(&heard);
    assert_good(&mut client, "a deadline");
}

/// SEMANTICS 126: a client that leaves cancels its call, whether it resets, closes or only stops sending.
#[test]
fn client_that_leaves_cancels_its_call() {
    for driver in ["auto", "epoll"] {
        let (peer, heard) = watched_peer();
        let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
        let proto = format!("{protos}/example/bookstore.proto");
        let url = peer.url();
        let gateway = Gateway::serve(&[
            "--io",
            driver,
            "--workers",
            "1",
            "--upstream",
            &url,
            "--proto",
            &proto,
            "--proto-path",
            protos,
        ]);
        let slow = format!(
            "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            SLOW.len()
        );
        for finishes in [true, false] {
            let mut client = Client::connect(gateway.address()).unwrap();
            client.write(&[slow.as_bytes(), SLOW].concat()).unwrap();
            let request = heard.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(request, Event::Request { .. }), "{request:?}");
            if finishes {
                client.finish_sending().unwrap();
                assert!(client.is_closed_by_peer().unwrap());
            }
            drop(client);
            let reset = heard.recv_timeout(PATIENCE).unwrap();
            assert!(
                matches!(reset, Event::Reset { code: CANCEL, .. }),
                "{reset:?}"
            );
        }
        assert_good(
            &mut Client::connect(gateway.address()).unwrap(),
            "clients that left",
        );
    }
}

/// One slow call delays nobody else, on the same worker and the same upstream connection.
#[test]
fn slow_call_does_not_delay_other_clients() {
    let (peer, heard) = watched_peer();
    let gateway = serve(&peer.url());
    let address = gateway.address();
    thread::scope(|scope| {
        let slow = scope.spawn(move || {
            request(
                address,
                "POST",
                "/v1/echo",
                &[("Grpc-Timeout", "2S")],
                Some(SLOW),
            )
            .unwrap()
        });
        assert!(heard.recv_timeout(PATIENCE).is_ok());
        let mut client = Client::connect(address).unwrap();
        for _ in 0..50 {
            assert_good(&mut client, "the start of a slow call");
        }
        assert!(!slow.is_finished());
        let reply: Reply = slow.join().unwrap();
        assert_eq!(reply.status, 504);
    });
    assert_cancelled_last(&heard);
}

fn assert_cancelled(heard: &Receiver<Event>) {
    let Event::Request { stream } = heard.recv_timeout(PATIENCE).unwrap() else {
        panic!("expected the request first");
    };
    assert_eq!(
        heard.recv_timeout(PATIENCE).unwrap(),
        Event::Reset {
            stream,
            code: CANCEL
        }
    );
}

fn assert_cancelled_last(heard: &Receiver<Event>) {
    let reset = heard.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(reset, Event::Reset { code: CANCEL, .. }),
        "{reset:?}"
    );
}
