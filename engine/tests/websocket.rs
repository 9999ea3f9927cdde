//! How a `WebSocket` is opened (SEMANTICS 127). Goal: who gets one, for what, and with which metadata. Method: `cases/stream/127-openings.json` over the
//! methods of `protos/test/rules.proto`; `WS` stands for the headers of a whole opening.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::path::Path;

use serde_json::Value;
use transom_engine::exchange::{
    Cors, CorsSettings, Envelope, Manners, Scratch, Transcoder, WebSocketOrigins, write_upgrade,
};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::http1::RequestHead;
use transom_engine::{Error, Schema};

const OPENING: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

fn manners(profile: Option<&str>) -> Manners {
    match profile {
        Some("grpc-gateway") => Manners {
            headers: HeaderRule::GrpcGateway,
            websocket_origins: WebSocketOrigins::Any,
            ..Manners::default()
        },
        Some("cors") => Manners {
            cors: Some(
                Cors::new(CorsSettings {
                    origins: vec!["https://b.example".to_owned()],
                    ..CorsSettings::default()
                })
                .unwrap(),
            ),
            ..Manners::default()
        },
        _ => Manners::default(),
    }
}

fn strings(case: &Value, key: &str) -> Vec<String> {
    let list = case.get(key).and_then(Value::as_array);
    let text = |each: &Value| each.as_str().unwrap().to_owned();
    list.into_iter().flatten().map(text).collect()
}

fn request(case: &Value) -> Vec<u8> {
    let mut lines = strings(case, "request");
    for line in &mut lines {
        if line == "WS" {
            OPENING.clone_into(line);
        }
    }
    let (first, rest) = lines.split_first().unwrap();
    let mut text = format!("{first} HTTP/1.1\r\nHost: a.example\r\n");
    for line in rest {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What is answered to an opening that is refused.
fn refusal(transcoder: &Transcoder, head: &RequestHead, bytes: &[u8], error: Error) -> String {
    let mut out = Vec::new();
    let envelope = Envelope::of(head, bytes);
    let request = Some((head, bytes, &[][..]));
    transcoder.write_error(&envelope, error, request, &mut Scratch::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn openings_get_what_the_cases_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/cases/stream/127-openings.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let folders = [root.join("../protos/test"), root.join("../protos")];
    let descriptors = protox::Compiler::new(folders)
        .unwrap()
        .include_imports(true)
        .open_file("rules.proto")
        .unwrap()
        .encode_file_descriptor_set();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let schema = Schema::from_descriptor_set(&descriptors).unwrap();
        let transcoder = Transcoder::new(schema, manners(case["profile"].as_str()));
        let bytes = request(case);
        let mut head = RequestHead::new();
        head.parse(&bytes).unwrap();
        let call = match transcoder.handle_upgrade(&head, &bytes, &mut Scratch::default()) {
            Ok(call) => call,
            Err(error) => {
                let answer = refusal(&transcoder, &head, &bytes, error);
                let status = format!("HTTP/1.1 {} ", case["status"]);
                assert!(answer.starts_with(&status), "{name}: {answer}");
                assert!(
                    answer.contains(case["message"].as_str().unwrap()),
                    "{name}: {answer}"
                );
                for header in strings(case, "headers") {
                    assert!(
                        answer.contains(&format!("\r\n{header}\r\n")),
                        "{name}: {answer}"
                    );
                }
                continue;
            }
        };
        assert!(case.get("call").is_some(), "{name}: it was not refused");
        let method = call.map(|call| {
            let index = call.method_index(&transcoder);
            transcoder
                .schema()
                .methods()
                .nth(index)
                .unwrap()
                .full_name()
                .to_owned()
        });
        assert_eq!(method.as_deref(), case["call"].as_str(), "{name}");
        let Some(call) = call else { continue };
        let mut metadata = Vec::new();
        call.each_websocket_metadata(&transcoder, &head, &bytes, |key, value| {
            metadata.push(format!("{}: {}", key.escape_ascii(), value.escape_ascii()));
        });
        assert_eq!(metadata, strings(case, "metadata"), "{name}");
        let mut out = Vec::new();
        write_upgrade(&head, &bytes, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &mut out);
        let answer = String::from_utf8(out).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{name}");
        let protocol = case["protocol"].as_str();
        let line = protocol.map(|each| format!("sec-websocket-protocol: {each}\r\n"));
        assert_eq!(
            answer.contains("sec-websocket-protocol"),
            line.is_some_and(|line| answer.contains(&line)),
            "{name}: {answer}"
        );
    }
}
