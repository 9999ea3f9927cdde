//! Nothing allocates in the steady state: once buffers and scratch have grown, a request and its reply pass without asking for memory.
//! Method: an allocator that counts, for each thread by itself; each act is run to warm up, then counted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

#[path = "support/http2.rs"]
mod frames;
mod support;

use std::fmt::Write as _;
use std::time::Duration;

use support::counting::{Counting, request_count};
use support::{notation, texts};
use transom_engine::exchange::{
    Call, Cors, CorsSettings, Envelope, Forms, Framing, Limit, Manners, MethodTimeouts, QueryRule,
    Reply, ReplyHead, Request, Scratch, Streams, Transcoder,
};
use transom_engine::grpc::header_lists::HeaderLists;
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::http1::{BodyFraming, ChunkedBody, Parsed, RequestHead};
use transom_engine::http2::{Code, Connection, Event, HeaderBlock, HeaderList, Scheme, Settings};
use transom_engine::{Options, Schema, route, to_json, to_wire};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `act` twice to let buffers grow, then tells how often it asked for memory the third time.
fn count_in_steady_state(mut act: impl FnMut()) -> usize {
    act();
    act();
    let before = request_count();
    act();
    request_count() - before
}

#[test]
fn the_count_counts() {
    let mut kept = Vec::new();
    let count = count_in_steady_state(|| kept.push(Box::new(1)));
    assert!(count > 0, "an allocation has gone unseen");
}

/// JSON of every kind, by the message it fits.
fn json_texts() -> Vec<(&'static str, String)> {
    let mut large_map = "{\"byString\":{".to_owned();
    for index in 0..5_000 {
        let comma = if index == 0 { "" } else { "," };
        // Not in the order of the keys.
        let key = index * 7919 % 5_000;
        write!(large_map, "{comma}\"key {key}\":\"value\"").unwrap();
    }
    large_map.push_str("}}");
    let deep = "{\"child\":".repeat(90) + "{\"name\":\"x\\n\"}" + &"}".repeat(90);
    let escaped = format!(
        "{{\"fString\":\"{}\",\"f\\u0049nt32\":\"\\u0031\"}}",
        "\\u00e9\\n".repeat(1_000)
    );
    let everything = r#"{"scalars":{"fDouble":1.5,"fFloat":"NaN","fInt32":1e2,"fInt64":"-9223372036854775808","fUint64":18446744073709551615,"fBytes":"AQID","fColor":"COLOR_BLUE","fLevel":10},
        "lists":{"fInt32":[1,2,3],"fString":["a","b"],"fNested":[{"name":"a"},{"children":[{},{}]}]},
        "choice":{"oneNested":{"inner":{"mode":"MODE_ON","tags":["x","y"]}},"otherString":""},
        "wellKnown":{"timestamp":"2026-11-22T13:14:05.25Z","duration":"-1.5s","fieldMask":"a.bC,d","struct":{"a":[1,null,{"b":"c"}]},"value":[[[]]],"int64Value":"1","bytesValue":"","empty":{}},
        "unknown":{"deep":[{"a":"\u00e9"}]}}"#;
    let any = r#"{"any":[{"@type":"x/transom.test.v1.Nested","name":"n"},{"any":[{"name":"\u00e9","\u0040type":"x/transom.test.v1.Nested"}],"@type":"x/transom.test.v1.WellKnownLists"},
        {"value":"1.5s","@type":"x/google.protobuf.Duration"}]}"#;
    vec![
        ("Everything", everything.to_owned()),
        ("Maps", large_map),
        ("Nested", deep),
        ("Scalars", escaped),
        ("Scalars", "{}".to_owned()),
        ("WellKnownLists", any.to_owned()),
    ]
}

/// Counts for each text and for each text that is cut, which is refused.
#[test]
fn to_wire_does_not_allocate() {
    let schema = support::schema(Options::default());
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::new();
    for (name, text) in json_texts() {
        let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
        let whole = text.as_bytes();
        for (json, is_good) in [(whole, true), (&whole[..whole.len() - 1], false)] {
            let count = count_in_steady_state(|| {
                out.clear();
                let result = to_wire(message, json, &mut scratch, &mut out);
                assert_eq!(result.is_ok(), is_good);
            });
            assert_eq!(count, 0, "{name}, good: {is_good}: {text:.80}");
        }
    }
}

/// Counts for texts in pieces, those that are cut off too.
#[test]
fn to_wire_in_pieces_does_not_allocate() {
    let schema = support::schema(Options::default());
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::new();
    for (name, text) in json_texts() {
        let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
        let whole = text.as_bytes();
        for (json, is_good) in [(whole, true), (&whole[..whole.len() - 1], false)] {
            for len in [1, 7, 1000] {
                let count = count_in_steady_state(|| {
                    out.clear();
                    let mut reader = to_wire::Pieces::new(message, &mut scratch);
                    for piece in json.chunks(len) {
                        reader.push(piece, &mut out).unwrap();
                    }
                    assert_eq!(reader.finish(&mut out).is_ok(), is_good);
                });
                assert_eq!(count, 0, "{name}, pieces of {len}, good: {is_good}");
            }
        }
    }
}

#[test]
fn to_json_in_pieces_does_not_allocate() {
    let entries: Vec<_> = (0..50)
        .map(|n| format!("12: {{1: '{n}' 2: 'v'}}"))
        .collect();
    let maps = format!("5: {{{}}}", entries.join(" "));
    let cases = [
        "1: {1: 1.5 2: 0.1i32 4: -4 14: 'text' 15: 'bytes' 16: 1} 3: {3: {1 2 3} 14: 'a' 14: 'b'} 6: {1: 'n'}",
        "6: {1: 'n' 3: {1: 'x' 2: 1} 4: {} 4: {4: {1: 'y'}}} 8: {1: {1: 5} 4: {1: {1: 'k' 2: {6: {1: {2: 1.5}}}}} 9: {1: 'x/transom.test.v1.Nested' 2: {1: 'n'}}}",
        &maps,
        "99: 'unknown' 98: !{1: 2}",
    ];
    let schema = support::schema(Options::default());
    let message = schema.message("transom.test.v1.Everything").unwrap();
    for text in cases {
        let wire = notation::wire(text);
        let mut scratch = to_json::Scratch::default();
        let mut out = Vec::new();
        for held_len_max in [0, usize::MAX] {
            for len in [1, 7, 1000] {
                let count = count_in_steady_state(|| {
                    out.clear();
                    let mut reader =
                        to_json::Pieces::new(message, &mut scratch).holding(held_len_max);
                    for piece in wire.chunks(len) {
                        reader.push(piece, &mut out).unwrap();
                    }
                    reader.finish(&mut out).unwrap();
                });
                assert_eq!(count, 0, "{text}, pieces of {len}, holding {held_len_max}");
            }
        }
    }
}

#[test]
fn to_json_does_not_allocate() {
    let entries: Vec<_> = (0..50)
        .map(|n| format!("12: {{1: '{}' 2: 'v'}}", n * 7 % 50))
        .collect();
    let entries = entries.join(" ");
    let maps = format!("5: {{{entries} {entries}}}");
    let cases = [
        (
            "in order",
            "1: {1: 1.5 2: 0.1i32 4: -4 14: 'text' 15: 'bytes' 16: 1} 3: {3: {1 2 3} 14: 'a' 14: 'b'} 6: {1: 'n'}",
        ),
        (
            "out of order",
            "6: {2: 5 1: 'n' 3: {2: 1 1: 'x'} 2: 6} 1: {3: 1} 6: {4: {}} 3: {3: 1 4: 2 3: 3}",
        ),
        ("oneofs", "7: {3: 5 9: {1: 'a'} 20: 'x' 9: {2: 1}}"),
        ("large maps with keys given twice", &maps),
        (
            "well-known types",
            "8: {1: {1: 5} 2: {1: 6} 3: {1: 'a_b'} 4: {1: {1: 'k' 2: {6: {1: {2: 1.5}}}}} 9: {1: 'x/transom.test.v1.Nested' 2: {2: 1 1: 'n'}} 13: {1: 5}}",
        ),
        ("a fault", "6: {1: 'n' 3: {1: '\\xff'}}"),
    ];
    let schema = support::schema(Options::default());
    let message = schema.message("transom.test.v1.Everything").unwrap();
    for (name, text) in cases {
        let wire = notation::wire(text);
        let mut scratch = to_json::Scratch::default();
        let mut out = Vec::new();
        let count = count_in_steady_state(|| {
            out.clear();
            let result = to_json(message, &wire, &mut scratch, &mut out);
            assert_eq!(result.is_err(), name == "a fault", "{name}");
        });
        assert_eq!(count, 0, "{name}");
    }
}

#[test]
fn finding_a_route_does_not_allocate() {
    const TEXT: &str = r#"syntax = "proto3"; package test;
        import "google/api/annotations.proto";
        message Request { string name = 1; string other = 2; }
        service Service {
          rpc One(Request) returns (Request) { option (google.api.http) = { get: "/v1/{name=shelves/*}/books/{other}" }; }
          rpc Two(Request) returns (Request) { option (google.api.http) = { post: "/v1/{name=**}/raw:sort" }; }
        }"#;
    let set = texts::compile(&[("test.proto", TEXT)], true);
    let schema = Schema::from_descriptor_set(&set).unwrap();
    let long = format!("/v1{}", "/%61%zz".repeat(1000));
    let requests: [(&[u8], &str, bool); 6] = [
        (b"GET", "/v1/shelves/a%2Fb/books/c", true),
        (b"GET", "/v1/%73helves/1/book%73/2", true),
        (b"POST", "/v1/a/b/c/r%61w:sort", true),
        (b"GET", "/v1/a/b/c/raw:sort", false),
        (b"GET", "/nowhere", false),
        (b"GET", &long, false),
    ];
    let mut scratch = route::Scratch::default();
    for (http_method, path, is_found) in requests {
        let count = count_in_steady_state(|| {
            let found = schema.find_route(http_method, path.as_bytes(), &mut scratch);
            assert_eq!(found.is_ok(), is_found);
        });
        assert_eq!(count, 0, "{path:.80}");
    }
}

/// What a worker keeps between requests.
#[derive(Default)]
struct Worker {
    head: RequestHead,
    body: Vec<u8>,
    metadata: Vec<u8>,
    message: Vec<u8>,
    scratch: Scratch,
    out: Vec<u8>,
}

/// One request as it comes from a connection, and its reply.
struct Exchange {
    request: &'static [u8],
    headers: &'static [(&'static [u8], &'static [u8])],
    reply: Vec<u8>,
}

impl Worker {
    fn run(&mut self, transcoder: &Transcoder, exchange: &Exchange) {
        let Self {
            head,
            body,
            metadata,
            message,
            scratch,
            out,
        } = self;
        for buffer in [&mut *body, &mut *metadata, &mut *message, &mut *out] {
            buffer.clear();
        }
        let Ok(Parsed::Complete { len }) = head.parse(exchange.request) else {
            panic!("the head is whole");
        };
        let (bytes, rest) = exchange.request.split_at(len);
        if head.framing() == BodyFraming::Chunked {
            let decoded = ChunkedBody::new().decode(rest, body, 1000).unwrap();
            assert!(decoded.is_done);
        } else {
            body.extend_from_slice(rest);
        }
        let Ok(Request::Call(call)) = transcoder.handle_head(head, bytes, scratch) else {
            panic!("the request is a call");
        };
        call.each_metadata(transcoder, head, bytes, scratch, |name, value| {
            metadata.extend_from_slice(name);
            metadata.extend_from_slice(value);
        })
        .unwrap();
        call.write_request(transcoder, head, bytes, body, scratch, message)
            .unwrap();
        self.answer(transcoder, &call, bytes, exchange);
    }

    fn answer(&mut self, transcoder: &Transcoder, call: &Call, bytes: &[u8], exchange: &Exchange) {
        let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", b"0")];
        let reply = Reply {
            http_status: 200,
            headers: || exchange.headers.iter().copied(),
            body: &exchange.reply,
            trailers: Some(|| trailers.into_iter()),
        };
        let envelope = transcoder.envelope(&self.head, bytes);
        call.write_reply(
            transcoder,
            &envelope,
            reply,
            &mut self.scratch,
            &mut self.out,
        );
        assert!(self.out.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

/// A message with its prefix.
fn frame(text: &str) -> Vec<u8> {
    let message = notation::wire(text);
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// SEMANTICS sections 2 to 10 in one go: head, chunks, route, metadata, body, query, path; then status, headers and message.
#[test]
fn a_call_that_succeeds_does_not_allocate() {
    let exchanges = [
        Exchange {
            request: b"PUT /v1/nested/a%20b?scalars.fInt32=5&lists.fString=x%20y&maps.byString[k]=v&wellKnown.struct=%7B%7D HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nAuthorization: Bearer b\r\n\
                Content-Type: application/json; charset=utf-8\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nX-Trace-Bin: Zm9v\r\nGrpc-Timeout: 10S\r\nGrpc-Metadata-X: y\r\n\
                Transfer-Encoding: chunked\r\n\r\n13\r\n{\"count\":2,\"child\":\r\n15\r\n{\"name\":\"\\u00e9\\n\"}} \r\n0\r\n\r\n",
            headers: &[(b"content-type", b"application/grpc"), (b"x-a", b"b"), (b"x-b-bin", b"AQ")],
            reply: frame("6: {1: 'n' 2: 5 3: {1: 'm'}}"),
        },
        Exchange {
            request: b"GET /v1/files/a/b?choice.oneString=c&scalars.fDouble=1.5&wellKnown.timestamp=2020-01-01T00:00:00Z HTTP/1.1\r\nHost: x\r\nOrigin: https://b.example\r\n\r\n",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame("6: {2: 5 1: 'n'} 5: {12: {1: 'b' 2: 'v'} 12: {1: 'a'}} 6: {1: 'o'}"),
        },
        Exchange {
            request: b"PUT /v1/everything/5 HTTP/1.1\r\nHost: x\r\nContent-Length: 39\r\n\r\n{\"lists\":{\"fInt32\":[1,2]},\"unknown\":[]}",
            headers: &[(b"content-type", b"application/grpc+proto")],
            reply: frame("1: {4: 5} 8: {1: {1: 5} 4: {1: {1: 'k' 2: {2: 1.5}}}}"),
        },
        Exchange {
            request: b"PATCH /v1/changes/n HTTP/1.1\r\nHost: x\r\nContent-Length: 67\r\n\r\n{\"scalars\":{\"fString\":\"x\",\"f\\u0049nt32\":1},\"nested\":{\"count\":null}}",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame("1: {4: 5}"),
        },
        Exchange {
            request: b"GET /v1/maps?a=1&trace=2&by_string[k]=v HTTP/1.1\r\nHost: x\r\n\r\n",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame("12: {1: 'b' 2: 'v'}"),
        },
        Exchange {
            request: b"PUT /v1/everything/5?nested.count=1&trace=2 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n{}",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame(""),
        },
        // Where the query is merged into the body, the two are compared.
        Exchange {
            request: b"PUT /v1/everything/6?nested.name=q&nested.count=1&lists.fInt32=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n{\"nested\":{\"name\":\"body\"}}",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame(""),
        },
        Exchange {
            request: b"POST /v1/attachments/n HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG",
            headers: &[(b"content-type", b"application/grpc")],
            reply: frame("2: {3: {1: 'x'} 2: 'bytes'} 1: 'n' 2: {1: 'image/png'}"),
        },
    ];
    let cors = CorsSettings {
        origins: vec![
            "https://a.example".to_owned(),
            "https://b.example".to_owned(),
        ],
        origin_patterns: vec!["https://.*\\.example\\.com".to_owned()],
        ..CorsSettings::default()
    };
    let gateway = Manners {
        headers: HeaderRule::GrpcGateway,
        cors: Some(Cors::new(cors).unwrap()),
        ..Manners::default()
    };
    let envoy = Manners {
        query: QueryRule {
            merges_into_whole_body: true,
            last_wins: true,
            ignored_keys: vec!["trace".to_owned()],
            captured_by: Some("by_string".to_owned()),
        },
        forms: Forms::Fields,
        ..Manners::default()
    };
    let mut lists = HeaderLists::for_requests();
    lists.allow("x-*").unwrap();
    lists.rename("authorization", "x-authorization").unwrap();
    let mut shown = HeaderLists::for_responses();
    shown.deny("x-secret*").unwrap();
    shown.rename("etag", "x-etag").unwrap();
    let listed = Manners {
        request_headers: Some(lists),
        response_headers: Some(shown),
        timeouts: vec![MethodTimeouts {
            selector: "*".to_owned(),
            max: Limit::After(Duration::from_secs(9)),
            ..MethodTimeouts::default()
        }],
        ..Manners::default()
    };
    for manners in [Manners::default(), gateway, envoy, listed] {
        let schema = Schema::from_descriptor_set(&support::rules()).unwrap();
        let transcoder = Transcoder::new(schema, manners);
        let mut worker = Worker::default();
        for exchange in &exchanges {
            let count = count_in_steady_state(|| worker.run(&transcoder, exchange));
            let line = exchange
                .request
                .split(|&byte| byte == b'\r')
                .next()
                .unwrap();
            assert_eq!(count, 0, "{}", String::from_utf8_lossy(line));
        }
    }
}

/// `streams.proto` with what it imports; replies in this framing for who accepts anything.
fn streams(framing: Framing) -> Transcoder {
    let google = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    let descriptors = protox::Compiler::new([support::PROTOS, google])
        .and_then(|mut compiler| {
            compiler.include_imports(true).open_file("streams.proto")?;
            Ok(compiler.encode_file_descriptor_set())
        })
        .unwrap();
    let schema = Schema::from_descriptor_set(&descriptors).unwrap();
    let streams = Streams {
        framing,
        ..Streams::default()
    };
    let manners = Manners {
        streams,
        ..Manners::default()
    };
    Transcoder::new(schema, manners)
}

fn parse(request: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    assert!(matches!(head.parse(request), Ok(Parsed::Complete { .. })));
    head
}

/// A stream may last for days: what it does for each message must cost no memory.
#[test]
fn requests_of_a_stream_do_not_allocate() {
    let transcoder = streams(Framing::Lines);
    let text =
        br#"{"name":"h\u00e9llo","count":"5","tags":["a","b"],"inner":{"inner":{"name":"x"}}} "#;
    for line in [
        "POST /v1/send",
        "POST /v1/boxes/b?urgency=3",
        "PATCH /v1/items/n",
    ] {
        for len in [text.len(), 1, 7] {
            let request =
                format!("{line} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
            let request = request.as_bytes();
            let (head, mut scratch, mut out) = (parse(request), Scratch::default(), Vec::new());
            let Ok(Request::Call(call)) = transcoder.handle_head(&head, request, &mut scratch)
            else {
                panic!("the request is a call");
            };
            let requests = call.requests(&transcoder, &head, request, &mut scratch);
            let mut requests = requests.unwrap();
            let count = count_in_steady_state(|| {
                out.clear();
                for piece in text.chunks(len) {
                    let used =
                        requests.push(&transcoder, piece, usize::MAX, &mut scratch, &mut out);
                    assert_eq!(used, Ok(piece.len()));
                }
                assert!(!out.is_empty());
            });
            assert_eq!(count, 0, "{line} in pieces of {len}");
        }
    }
}

#[test]
fn replies_of_a_stream_do_not_allocate() {
    let short = frame("1: 'name' 2: 5 3: 'a' 3: 'b' 4: {1: 'x'}");
    // Longer than what is waited for, so that they go on as they come.
    let tags = "3: 'a tag of a few bytes' ".repeat(4_000);
    let long = frame(&format!("2: 5 {tags}"));
    let inner = frame(&format!("1: 'name' 4: {{{tags}}} 3: 'a'"));
    let raw = frame(&format!("1: 'image/png' 2: '{}'", "x".repeat(80_000)));
    let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];
    let whole = usize::MAX;
    for (framing, path, frames) in [
        (
            Framing::Array,
            "watch",
            &[(&short, whole), (&short, 3), (&long, 5_000)][..],
        ),
        (
            Framing::Lines,
            "watch",
            &[(&short, whole), (&short, 3), (&long, 5_000)],
        ),
        // Long ones are gathered there, in memory that is given back.
        (Framing::Wrapped, "watch", &[(&short, whole), (&short, 3)]),
        (
            Framing::Events,
            "watch",
            &[(&short, whole), (&short, 3), (&long, 5_000)],
        ),
        (Framing::Lines, "inner", &[(&short, 3), (&inner, 5_000)]),
        (Framing::Lines, "download", &[(&raw, whole), (&raw, 5_000)]),
    ] {
        let transcoder = streams(framing);
        for &(frame, len) in frames {
            let request = format!("GET /v1/{path}/n HTTP/1.1\r\nhost: a\r\n\r\n");
            let request = request.as_bytes();
            let (head, mut scratch, mut out) = (parse(request), Scratch::default(), Vec::new());
            let Ok(Request::Call(call)) = transcoder.handle_head(&head, request, &mut scratch)
            else {
                panic!("the request is a call");
            };
            let envelope = Envelope::of(&head, request);
            let mut replies = call.replies(&transcoder, &head, request);
            let reply = ReplyHead {
                http_status: 200,
                headers: || headers.into_iter(),
                ends_stream: false,
            };
            let end = replies.take_headers(&transcoder, &envelope, &reply, &mut scratch, &mut out);
            assert_eq!(end, None);
            let count = count_in_steady_state(|| {
                out.clear();
                for piece in frame.chunks(len.min(frame.len())) {
                    let end = replies.push(&transcoder, &envelope, piece, &mut scratch, &mut out);
                    assert_eq!(end, None);
                }
                assert!(!out.is_empty());
            });
            assert_eq!(count, 0, "{path}, {framing:?}, in pieces of {len}");
        }
    }
}

/// Unary calls and one stream over one connection, with what a server of gRPC sends beside.
#[test]
fn calls_over_http2_do_not_allocate() {
    let headers = [
        (&b"content-type"[..], &b"application/grpc"[..]),
        (b"te", b"trailers"),
    ];
    let block = HeaderBlock::post(Scheme::Http, b"localhost:50051", b"/a.v1.A/B", headers);
    let block = block.unwrap();
    let mut connection = Connection::new(Settings::default());
    let (mut written, mut read) = (Vec::new(), Vec::new());
    let mut list = HeaderList::default();
    let opening = frames::bytes("settings 3=100 4=65535 5=16384");
    let mut input = &opening[..];
    assert!(matches!(
        connection.receive(&mut input),
        Ok(Some(Event::Settings))
    ));
    // Headers in the code of Huffman, data, trailers; windows and a ping; for each of eight calls that are open together.
    let reply = frames::bytes("block 1 88 5f8b1d75d0620d263d4c4d6564")
        .into_iter()
        .chain(frames::bytes("data 1 *300"))
        .chain(frames::bytes(
            "block 1 end 40889acac8b21234da8f0130 40899acac8b5254207317f00",
        ))
        .chain(frames::bytes("window 0 305"))
        .chain(frames::bytes("ping 12345678"));
    let reply: Vec<u8> = reply.collect();
    for cut in [reply.len(), 17, 1] {
        let count = count_in_steady_state(|| {
            read.clear();
            for key in 0..8 {
                let metadata = [(&b"grpc-timeout"[..], &b"1S"[..])];
                let stream = connection.open(&block, metadata, key).unwrap();
                assert_eq!(connection.send(stream, &[0; 300], key < 4), 300);
                let start = read.len();
                read.extend_from_slice(&reply);
                for (offset, kind) in [(0, 1), (23, 0), (332, 1)] {
                    let head = &mut read[start + offset..];
                    assert_eq!(head[3], kind, "a frame begins here");
                    head[5..9].copy_from_slice(&stream.number().to_be_bytes());
                }
            }
            std::mem::swap(connection.output(), &mut written);
            written.clear();
            let mut end_count = 0;
            for part in read.chunks(cut) {
                let mut input = part;
                while let Some(event) = connection.receive(&mut input).unwrap() {
                    match event {
                        Event::Headers { list: headers, .. } => {
                            std::mem::swap(headers, &mut list);
                            assert_eq!(list.get(b"content-type"), Some(&b"application/grpc"[..]));
                        }
                        Event::Data { stream, bytes, .. } => {
                            connection.release(stream, bytes.len());
                        }
                        Event::Trailers { stream, list } => {
                            assert_eq!(list.get(b"grpc-status"), Some(&b"0"[..]));
                            end_count += 1;
                            connection.reset(stream, Code::CANCEL);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(end_count, 8);
            assert_eq!(connection.stream_count(), 0);
        });
        assert_eq!(count, 0, "in pieces of {cut}");
    }
}
