//! What clients get when the upstream sends what it should not (THREATS A13, E1 to E6, F5 to F7; sections 7 and 8 of docs/MAPPING.md).
//!
//! Goal: each fault becomes the right status and an error in JSON that says where it is, and costs nothing but its own call. Method:
//! the gateway calls a scripted HTTP/2 peer, which does what the case says to `/v1/echo`; after each case a good call must succeed on
//! the same connection.
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
    pub(crate) mod stage;
    pub(crate) mod wire;
}

use std::io;

use support::http::request;
use support::peer::Connection;
use support::stage::{
    BAD, Case, GOOD, Stage, body, case, ending, framed, message, trailers, trailers_only,
};

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

/// Field 65, `value`.
fn tagged_value(inner: &[u8]) -> Vec<u8> {
    [
        &[0x8a, 0x04][..],
        &[u8::try_from(inner.len()).unwrap()],
        inner,
    ]
    .concat()
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
