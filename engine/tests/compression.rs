//! Replies are compressed for who wants it (SEMANTICS 137).
//! Method: one reply, answered under different manners to different requests; what comes is decoded by the crates themselves.
#![cfg(feature = "compression")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

mod support;

use std::io::Read;

use transom_engine::exchange::{Compression, Manners, Reply, Request, Scratch, Transcoder};
use transom_engine::http1::RequestHead;
use transom_engine::{Defaults, Options, Schema};

/// Head and body of the answer to `GET`, with a name of 2000 bytes in it.
fn answer(
    manners: Manners,
    request_headers: &str,
    reply_headers: &[(&str, &str)],
) -> (String, Vec<u8>) {
    // Everything.nested.name
    let name = [&b"\x0a\xd0\x0f"[..], &[b'n'; 2000]].concat();
    let message = [&b"\x32\xd3\x0f"[..], &name].concat();
    let path = "/v1/files/x";
    answer_with(manners, path, &message, request_headers, reply_headers)
}

/// Head and body of the answer to `GET` where the upstream replies with this message.
fn answer_with(
    manners: Manners,
    path: &str,
    message: &[u8],
    request_headers: &str,
    reply_headers: &[(&str, &str)],
) -> (String, Vec<u8>) {
    let options = Options {
        defaults: Defaults::Omit,
        ..Options::default()
    };
    let schema = Schema::compile(&support::rules(), &options).unwrap();
    let transcoder = Transcoder::new(schema, manners);
    let bytes = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{request_headers}\r\n").into_bytes();
    let mut head = RequestHead::new();
    head.parse(&bytes).unwrap();
    let mut scratch = Scratch::default();
    let Ok(Request::Call(call)) = transcoder.handle_head(&head, &bytes, &mut scratch) else {
        panic!("the request is a call");
    };
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = [&[0], &len[..], message].concat();
    let grpc = [("content-type", "application/grpc")];
    let headers = || {
        let all = grpc.iter().chain(reply_headers);
        all.map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    };
    let trailers = || [(&b"grpc-status"[..], &b"0"[..]), (b"x-t", b"1")].into_iter();
    let reply = Reply {
        http_status: 200,
        headers,
        body: &frame,
        trailers: Some(trailers),
    };
    let mut out = Vec::new();
    let envelope = transcoder.envelope(&head, &bytes);
    call.write_reply(&transcoder, &envelope, reply, &mut scratch, &mut out);
    let end = out
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let body = out.split_off(end + 4);
    (String::from_utf8(out).unwrap(), body)
}

fn on() -> Manners {
    Manners {
        compression: Some(Compression::default()),
        ..Manners::default()
    }
}

fn plain() -> Vec<u8> {
    format!("{{\"nested\":{{\"name\":\"{}\"}}}}", "n".repeat(2000)).into_bytes()
}

#[test]
fn each_coding_is_written_for_who_wants_it_most() {
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip;q=0.5, br;q=0.7, *;q=0.1", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
    ] {
        let (head, body) = answer(on(), &format!("Accept-Encoding: {accept}\r\n"), &[]);
        assert!(head.contains("\r\nvary: Accept-Encoding\r\n"), "{head}");
        assert!(
            head.contains(&format!("\r\ncontent-encoding: {coding}\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(body.len() < 200, "{accept}");
        let mut read = Vec::new();
        let read_len = match coding {
            "gzip" => flate2::bufread::GzDecoder::new(&body[..]).read_to_end(&mut read),
            "deflate" => flate2::bufread::ZlibDecoder::new(&body[..]).read_to_end(&mut read),
            "br" => brotli::Decompressor::new(&body[..], 4096).read_to_end(&mut read),
            _ => zstd::stream::read::Decoder::new(&body[..])
                .unwrap()
                .read_to_end(&mut read),
        };
        assert_eq!(read_len.unwrap(), read.len());
        assert!(read == plain(), "{accept}");
    }
}

#[test]
fn what_is_not_to_be_compressed_is_sent_as_it_is() {
    let long = Manners {
        compression: Some(Compression {
            len_min: 4096,
            ..Compression::default()
        }),
        ..Manners::default()
    };
    let text = Manners {
        compression: Some(Compression {
            content_types: vec!["text/plain".to_owned()],
            ..Compression::default()
        }),
        ..Manners::default()
    };
    let no_transform = [("cache-control", "private, no-transform")];
    for (what, manners, accept, headers, varies) in [
        ("off", Manners::default(), "gzip", &[][..], false),
        ("not asked for", on(), "", &[], true),
        ("refused", on(), "gzip;q=0, *;q=0", &[], true),
        (
            "identity is better",
            on(),
            "identity, gzip;q=0.9",
            &[],
            true,
        ),
        ("too short", long, "gzip", &[], true),
        ("another type", text, "gzip", &[], false),
        ("forbidden", on(), "gzip", &no_transform, false),
    ] {
        let (head, body) = answer(manners, &format!("Accept-Encoding: {accept}\r\n"), headers);
        assert!(body == plain(), "{what}");
        assert!(!head.contains("content-encoding"), "{what}: {head}");
        assert_eq!(
            head.contains("vary: Accept-Encoding"),
            varies,
            "{what}: {head}"
        );
    }
}

#[test]
fn strong_tag_becomes_a_weak_one() {
    for (tag, told) in [("\"1\"", "W/\"1\""), ("W/\"1\"", "W/\"1\"")] {
        let (head, _) = answer(on(), "Accept-Encoding: gzip\r\n", &[("etag", tag)]);
        assert!(head.contains(&format!("\r\netag: {told}\r\n")), "{head}");
        let (head, _) = answer(on(), "", &[("etag", tag)]);
        assert!(head.contains(&format!("\r\netag: {tag}\r\n")), "{head}");
    }
}

#[test]
fn trailers_follow_a_compressed_body() {
    let (head, body) = answer(on(), "Accept-Encoding: gzip\r\nTE: trailers\r\n", &[]);
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    let body = body.strip_suffix(b"\r\n0\r\nx-t: 1\r\n\r\n").unwrap();
    let (size, body) = body.split_at(10);
    let size = usize::from_str_radix(str::from_utf8(size).unwrap().trim_end(), 16).unwrap();
    assert_eq!(size, body.len());
    let mut read = Vec::new();
    flate2::bufread::GzDecoder::new(body)
        .read_to_end(&mut read)
        .unwrap();
    assert!(read == plain());
}

/// SEMANTICS 72: what counts is the type that the message states.
#[test]
fn raw_replies_are_compressed_by_their_own_type() {
    let text = "n".repeat(2000);
    for (content_type, is_coded) in [
        ("application/json; charset=utf-8", true),
        ("image/png", false),
        ("", false),
    ] {
        let type_len = u8::try_from(content_type.len()).unwrap();
        let message = [
            &[0x0a, type_len],
            content_type.as_bytes(),
            b"\x12\xd0\x0f",
            text.as_bytes(),
        ]
        .concat();
        let accept = "Accept-Encoding: gzip\r\n";
        let (head, body) = answer_with(on(), "/v1/raw", &message, accept, &[]);
        assert_eq!(
            head.contains("\r\ncontent-encoding: gzip\r\n"),
            is_coded,
            "{head}"
        );
        assert_eq!(
            head.contains(&format!("\r\ncontent-type: {content_type}\r\n")),
            !content_type.is_empty(),
            "{head}"
        );
        let mut read = Vec::new();
        if is_coded {
            let mut decoder = flate2::bufread::GzDecoder::new(&body[..]);
            decoder.read_to_end(&mut read).unwrap();
        } else {
            read = body;
        }
        assert!(read == text.as_bytes(), "{content_type}");
    }
}
