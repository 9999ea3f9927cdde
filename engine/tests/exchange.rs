//! Whole exchanges, without sockets: what a raw request becomes for the upstream, and what a reply or an error becomes for the client.
//! Goal: the rules that no stage can keep alone (SEMANTICS sections 4, 7, 8 and 10). Method: `cases/exchange/requests.json` and
//! `cases/exchange/replies.json`, over the methods of `protos/test/rules.proto`, for each profile; JSON is compared by meaning.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use support::notation;
use transom_engine::Error;
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{
    Call, ContentTypes, Cors, CorsSettings, Envelope, ErrorForm, Forms, Limit, Manners,
    MethodTimeouts, QueryRule, Reply, Request, RetryAfter, Scratch, SuccessStatus, Transcoder,
    UnwantedBodies, WrongMethod,
};
use transom_engine::grpc::header_lists::HeaderLists;
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::grpc::{Code, Status};
use transom_engine::http1::{Parsed, RequestHead};
use transom_engine::{Defaults, FieldNames, Options, PatchMasks, Schema, UnknownEnumNames};

/// The profiles as `transom serve --profile` has them.
fn profile(name: &str) -> (Options, Manners) {
    let (options, manners) = (Options::default(), Manners::default());
    match name {
        "transom" => (options, manners),
        "grpc-gateway" => (
            Options {
                defaults: Defaults::All,
                sort_map_keys: true,
                unknown_enum_names: UnknownEnumNames::Drop,
                patch_masks: PatchMasks::FillStrictly,
                ..options
            },
            Manners {
                headers: HeaderRule::GrpcGateway,
                wrong_method: WrongMethod::NotImplemented,
                ignores_trailing_data: true,
                method_override: true,
                retry_after: RetryAfter::Never,
                ..manners
            },
        ),
        "grpc-gateway-v1" => (
            Options {
                names: FieldNames::Proto,
                defaults: Defaults::Omit,
                sort_map_keys: true,
                ..options
            },
            Manners {
                headers: HeaderRule::GrpcGateway,
                errors: ErrorForm::GrpcGatewayV1,
                ignores_trailing_data: true,
                method_override: true,
                retry_after: RetryAfter::Never,
                ..manners
            },
        ),
        "envoy" => (
            Options {
                defaults: Defaults::Omit,
                patch_masks: PatchMasks::Leave,
                ..options
            },
            Manners {
                wrong_method: WrongMethod::NotFound,
                retry_after: RetryAfter::Never,
                query: QueryRule {
                    merges_into_whole_body: true,
                    last_wins: true,
                    ..QueryRule::default()
                },
                ..manners
            },
        ),
        "strict" => (
            Options {
                reject_unknown_fields: true,
                reject_unknown_query: true,
                ..options
            },
            manners,
        ),
        "timed" => (
            options,
            Manners {
                timeout_default: Some(Duration::from_secs(5)),
                timeout_max: Some(Duration::from_mins(1)),
                timeouts: timeouts(),
                ..manners
            },
        ),
        "listed" => (
            options,
            Manners {
                request_headers: Some(request_lists(&["authorization", "x-app-*"])),
                response_headers: Some(response_lists(&["etag", "x-app-*"])),
                cors: Some(cors("cors-any")),
                ..manners
            },
        ),
        "listed without allowed" => (
            options,
            Manners {
                request_headers: Some(request_lists(&[])),
                response_headers: Some(response_lists(&[])),
                ..manners
            },
        ),
        "listed grpc-gateway" => (
            options,
            Manners {
                headers: HeaderRule::GrpcGateway,
                request_headers: Some(request_lists(&["x-app-*", "accept", "x-forwarded-*"])),
                response_headers: Some(response_lists(&["etag", "x-app-*", "content-*"])),
                ..manners
            },
        ),
        "closed" => {
            let (mut requests, mut responses) =
                (HeaderLists::for_requests(), HeaderLists::for_responses());
            requests.allow_no_others();
            responses.allow_no_others();
            requests.deny("TraceState").unwrap();
            (
                options,
                Manners {
                    request_headers: Some(requests),
                    response_headers: Some(responses),
                    ..manners
                },
            )
        }
        // Every manner that is off in the profiles.
        "generous" => (
            options,
            Manners {
                status_from_upstream: true,
                hides_debug_info: true,
                timeout_default: Some(Duration::from_secs(5)),
                timeout_max: Some(Duration::from_mins(1)),
                success_statuses: vec![SuccessStatus {
                    rpc: "transom.test.v1.Rules.Put".to_owned(),
                    status: 201,
                }],
                ..manners
            },
        ),
        "cors" | "cors-any" => (
            options,
            Manners {
                cors: Some(cors(name)),
                ..manners
            },
        ),
        "typed" => (
            options,
            Manners {
                content_types: ContentTypes::Json,
                unwanted_bodies: UnwantedBodies::Refused,
                ..manners
            },
        ),
        "forms" => (
            options,
            Manners {
                forms: Forms::Fields,
                ..manners
            },
        ),
        "typed, forms" => (
            Options {
                reject_unknown_fields: true,
                ..options
            },
            Manners {
                content_types: ContentTypes::Json,
                forms: Forms::Fields,
                ..manners
            },
        ),
        "strict forms" => (
            options,
            Manners {
                content_types: ContentTypes::Json,
                forms: Forms::Fields,
                unwanted_bodies: UnwantedBodies::Refused,
                method_override: true,
                ..manners
            },
        ),
        "captured" => (
            options,
            Manners {
                query: QueryRule {
                    ignored_keys: vec!["alt".to_owned()],
                    captured_by: Some("by_string".to_owned()),
                    ..QueryRule::default()
                },
                ..manners
            },
        ),
        other => panic!("no profile {other}"),
    }
}

/// What a client may not say of itself is denied or renamed.
fn request_lists(allowed: &[&str]) -> HeaderLists {
    let mut lists = HeaderLists::for_requests();
    for each in allowed {
        lists.allow(each).unwrap();
    }
    for denied in ["Cookie", "x-app-secret*", "trace*", "x-forwarded-host"] {
        lists.deny(denied).unwrap();
    }
    lists.rename("X-User", "user-id").unwrap();
    lists.rename("x-sent-bin", "x-app-blob-bin").unwrap();
    lists
}

fn response_lists(allowed: &[&str]) -> HeaderLists {
    let mut lists = HeaderLists::for_responses();
    for each in allowed {
        lists.allow(each).unwrap();
    }
    lists.deny("x-app-secret*").unwrap();
    lists.rename("revision", "X-Revision").unwrap();
    lists
        .rename("origin", "Access-Control-Allow-Origin")
        .unwrap();
    lists
}

/// One method with limits of its own, one without any.
fn timeouts() -> Vec<MethodTimeouts> {
    let seconds = |seconds| Limit::After(Duration::from_secs(seconds));
    [
        ("transom.test.v1.Rules.Get", seconds(2), Limit::Inherited),
        ("transom.test.v1.Rules.Put", Limit::Never, Limit::Never),
        ("transom.test.v1.Rules.*", Limit::Inherited, seconds(20)),
        ("*", seconds(7), seconds(30)),
    ]
    .map(|(selector, default, max)| MethodTimeouts {
        selector: selector.to_owned(),
        default,
        max,
    })
    .into()
}

/// Origins that are listed, with credentials; or all.
fn cors(name: &str) -> Cors {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let settings = match name {
        "cors" => CorsSettings {
            origins: owned(&["https://a.example", "https://*.b.example"]),
            origin_patterns: owned(&["http://localhost:[0-9]+"]),
            allow_credentials: true,
            allow_headers: owned(&["X-One", "Content-Type"]),
            expose_headers: owned(&["X-Two", "ETag"]),
            max_age_seconds: Some(600),
        },
        _ => CorsSettings {
            origins: owned(&["*"]),
            allow_headers: owned(&["*"]),
            ..CorsSettings::default()
        },
    };
    Cors::new(settings).unwrap()
}

/// What all cases share.
struct Bench {
    descriptors: Vec<u8>,
    pool: DescriptorPool,
    transcoders: HashMap<String, Transcoder>,
    /// One for all cases, so that what one leaves behind would show in the next.
    scratch: Scratch,
}

/// The answer to a request, or the call it became.
enum Outcome {
    Call(Call, Vec<String>, Vec<u8>),
    Response(Vec<u8>),
}

/// A response in parts.
#[derive(Debug)]
struct Response {
    status: u16,
    /// All but those of framing, as `name: value`.
    headers: Vec<String>,
    body: String,
    trailers: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let descriptors = support::rules();
        Self {
            pool: DescriptorPool::decode(&descriptors[..]).unwrap(),
            descriptors,
            transcoders: HashMap::new(),
            scratch: Scratch::default(),
        }
    }

    /// The transcoder of a case, made once for each profile.
    fn transcoder(&mut self, case: &Value) -> (&Transcoder, &mut Scratch) {
        let name = case["profile"].as_str().unwrap_or("transom");
        let transcoder = self.transcoders.entry(name.to_owned()).or_insert_with(|| {
            let (options, manners) = profile(name);
            let schema = Schema::compile(&self.descriptors, &options).unwrap();
            Transcoder::new(schema, manners)
        });
        (transcoder, &mut self.scratch)
    }

    /// Takes a request as far as the proxy would without an upstream.
    fn receive(&mut self, case: &Value) -> Outcome {
        let (transcoder, scratch) = self.transcoder(case);
        let (head, bytes, body) = request(case);
        let envelope = transcoder.envelope(&head, &bytes);
        let mut out = b"earlier".to_vec();
        let refuse = |error: Error, scratch: &mut Scratch, mut out: Vec<u8>| {
            assert_eq!(out, b"earlier", "an error leaves the buffer as it was");
            let parts = Some((&head, &bytes[..], &body[..]));
            transcoder.write_error(&envelope, error, parts, scratch, &mut out);
            Outcome::Response(out.split_off(b"earlier".len()))
        };
        let call = match transcoder.handle_head(&head, &bytes, scratch) {
            Ok(Request::Call(call)) => call,
            Ok(Request::Preflight) => {
                transcoder.write_preflight(&envelope, &head, &bytes, scratch, &mut out);
                return Outcome::Response(out.split_off(b"earlier".len()));
            }
            Ok(Request::Options) => {
                transcoder.write_options(&envelope, &head, &bytes, scratch, &mut out);
                return Outcome::Response(out.split_off(b"earlier".len()));
            }
            Err(error) => return refuse(error, scratch, out),
        };
        let mut metadata = Vec::new();
        let crossed = call.each_metadata(transcoder, &head, &bytes, scratch, |name, value| {
            let [name, value] = [name, value].map(|each| str::from_utf8(each).unwrap());
            metadata.push(format!("{name}: {value}"));
        });
        let written = crossed
            .and_then(|()| call.write_request(transcoder, &head, &bytes, &body, scratch, &mut out));
        match written {
            Ok(()) => Outcome::Call(call, metadata, out.split_off(b"earlier".len())),
            Err(error) => refuse(error, scratch, out),
        }
    }
}

/// The head of a case, the bytes it was parsed from, and the body. Host and length are added where the case does not bring them.
fn request(case: &Value) -> (RequestHead, Vec<u8>, Vec<u8>) {
    let mut lines: Vec<_> = texts(&case["request"]);
    let body = match case["coded"].as_str() {
        // Bytes that are no text.
        Some(base64) => base64_simd::STANDARD.decode_to_vec(base64).unwrap(),
        None => case["body"].as_str().unwrap_or_default().into(),
    };
    let has = |lines: &[String], name: &str| {
        lines
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with(name))
    };
    if !lines[0].contains(" HTTP/") {
        lines[0].push_str(" HTTP/1.1");
    }
    if !has(&lines, "host:") {
        lines.push("Host: a.example".to_owned());
    }
    // Chunks are the caller's to decode: a case gives what they hold.
    let is_framed = has(&lines, "content-length:") || has(&lines, "transfer-encoding:");
    let has_body = case["body"].is_string() || case["coded"].is_string();
    if has_body && !is_framed {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
    let mut head = RequestHead::new();
    let parsed = head.parse(&bytes).expect("the head of a case is good");
    assert_eq!(parsed, Parsed::Complete { len: bytes.len() });
    (head, bytes, body)
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// `name: value` lines as pairs of bytes.
fn pairs(lines: &[String]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.iter().map(|line| {
        let (name, value) = line.split_once(": ").expect("a header is `name: value`");
        (name.as_bytes(), value.as_bytes())
    })
}

/// Takes a response apart, and makes sure that it is one response and no more.
fn read_response(raw: &[u8], answers_head: bool) -> Result<Response, String> {
    let text = str::from_utf8(raw).map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no end of the head")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status.strip_prefix("HTTP/1.1 ").ok_or("no status line")?;
    let status: u16 = status.get(..3).unwrap_or_default().parse().unwrap();
    let mut len = None;
    let mut is_chunked = false;
    let mut headers = Vec::new();
    for line in lines {
        if line == "transfer-encoding: chunked" {
            is_chunked = true;
            continue;
        }
        assert!(!line.contains(['\r', '\n']), "a stray line end in {line:?}");
        match line.strip_prefix("content-length: ") {
            Some(digits) => len = Some(digits.trim().parse::<usize>().unwrap()),
            None => headers.push(line.to_owned()),
        }
    }
    let (body, trailers) = if is_chunked {
        read_chunks(body).ok_or_else(|| format!("bad chunks in {text:?}"))?
    } else {
        (body, Vec::new())
    };
    let is_measured = match len {
        None if is_chunked => true,
        // RFC 9112 section 6.3: only 204 may go without.
        None => status == 204 && body.is_empty(),
        Some(_) if answers_head => body.is_empty(),
        Some(len) => len == body.len(),
    };
    if !is_measured {
        return Err(format!("length is {len:?} of {text:?}"));
    }
    Ok(Response {
        status,
        headers,
        body: body.to_owned(),
        trailers,
    })
}

/// A body of one chunk or none, and the trailers behind it.
fn read_chunks(text: &str) -> Option<(&str, Vec<String>)> {
    let (size, rest) = text.split_once("\r\n")?;
    let size = usize::from_str_radix(size, 16).ok()?;
    let (body, rest) = if size == 0 {
        ("", rest)
    } else {
        let (body, rest) = rest.split_at_checked(size)?;
        (body, rest.strip_prefix("\r\n0\r\n")?)
    };
    let trailers = rest.strip_suffix("\r\n")?;
    Some((body, trailers.lines().map(str::to_owned).collect()))
}

/// Compares a response with what a case says of it.
fn check_response(case: &Value, raw: &[u8]) -> Result<(), String> {
    let answers_head = texts(&case["request"])
        .first()
        .is_some_and(|line| line.starts_with("HEAD "));
    let response = read_response(raw, answers_head)?;
    if u64::from(response.status) != case["status"].as_u64().ok_or("no status expected")? {
        return Err(format!("{response:?}"));
    }
    let mut headers = response.headers.clone();
    // Where a case does not say otherwise the type is JSON; `null` is none.
    let content_type = match case.get("content_type") {
        Some(content_type) => content_type.as_str(),
        None => (response.status != 204).then_some("application/json"),
    };
    let found = headers
        .iter()
        .position(|line| line.starts_with("content-type: "));
    let found = found.map(|index| headers.remove(index));
    if found.as_deref()
        != content_type
            .map(|value| format!("content-type: {value}"))
            .as_deref()
    {
        return Err(format!("the content type is {found:?}: {response:?}"));
    }
    let expected = texts(&case["headers"]);
    if headers != expected {
        return Err(format!("headers are {headers:?}, expected {expected:?}"));
    }
    if response.trailers != texts(&case["trailers"]) {
        return Err(format!("trailers are {:?}", response.trailers));
    }
    let is_as_expected = match (case.get("text"), response.body.as_str()) {
        // The exact text, where order and spelling count, or where it is no JSON.
        (Some(text), body) => body == text.as_str().unwrap(),
        (None, "") => case["json"].is_null(),
        (None, body) => {
            let body: Value =
                serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
            body == case["json"]
        }
    };
    if !is_as_expected {
        return Err(format!("body is {}", response.body));
    }
    Ok(())
}

fn check_request(bench: &mut Bench, case: &Value) -> Result<(), String> {
    let (call, metadata, frame) = match bench.receive(case) {
        Outcome::Call(call, metadata, frame) => (call, metadata, frame),
        Outcome::Response(raw) => return check_response(case, &raw),
    };
    let (transcoder, _) = bench.transcoder(case);
    let index = call.method_index(transcoder);
    let method = transcoder.schema().methods().nth(index).unwrap();
    let name = method.full_name().rsplit('.').next().unwrap().to_owned();
    if case["call"] != json!(name) {
        return Err(format!("became a call of {name}"));
    }
    let Some(([0, len @ ..], wire)) = frame.split_first_chunk::<5>() else {
        return Err(format!("no frame: {frame:?}"));
    };
    assert_eq!(u32::from_be_bytes(*len) as usize, wire.len());
    let input = bench.pool.services().next().unwrap();
    let input = input
        .methods()
        .find(|method| method.name() == name)
        .unwrap()
        .input();
    let message = DynamicMessage::decode(input, wire).map_err(|error| error.to_string())?;
    let message = serde_json::to_value(&message).unwrap();
    if message != case["message"] {
        return Err(format!("message is {message}"));
    }
    match case.get("metadata") {
        Some(expected) if texts(expected) != metadata => Err(format!("metadata is {metadata:?}")),
        _ => Ok(()),
    }
}

/// What the upstream sends in a case: HTTP status, headers, body, trailers.
fn reply(case: &Value) -> (u16, Vec<String>, Vec<u8>, Option<Vec<String>>) {
    let reply = &case["reply"];
    let mut body = Vec::new();
    if let Some(message) = reply["message"].as_str() {
        let message = notation::wire(message);
        body.push(0);
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
    }
    body.extend(
        reply["raw"]
            .as_str()
            .map(notation::wire)
            .unwrap_or_default(),
    );
    let mut trailers = texts(&reply["trailers"]);
    if let Some(details) = reply["details"].as_str() {
        let details = base64_simd::STANDARD_NO_PAD.encode_to_string(notation::wire(details));
        trailers.push(format!("grpc-status-details-bin: {details}"));
    }
    let mut headers = vec!["content-type: application/grpc".to_owned()];
    if reply["headers"].is_array() {
        headers = texts(&reply["headers"]);
    }
    let http_status = reply["http_status"].as_u64().unwrap_or(200);
    let http_status = u16::try_from(http_status).unwrap();
    let trailers = (reply["trailers"].is_array()).then_some(trailers);
    (http_status, headers, body, trailers)
}

fn check_reply(bench: &mut Bench, case: &Value) -> Result<(), String> {
    let Outcome::Call(call, ..) = bench.receive(case) else {
        return Err("the request was refused".to_owned());
    };
    let (transcoder, scratch) = bench.transcoder(case);
    let (head, bytes, _) = request(case);
    let (http_status, headers, body, trailers) = reply(case);
    let reply = Reply {
        http_status,
        headers: || pairs(&headers),
        body: &body,
        trailers: trailers.as_deref().map(|lines| move || pairs(lines)),
    };
    let mut out = b"earlier".to_vec();
    call.write_reply(
        transcoder,
        &transcoder.envelope(&head, &bytes),
        reply,
        scratch,
        &mut out,
    );
    check_response(case, &out.split_off(b"earlier".len()))
}

/// Runs every case of a file, and reports all that fail.
fn run(file: &str, check: fn(&mut Bench, &Value) -> Result<(), String>) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/exchange")
        .join(file);
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut bench = Bench::new();
    let faults: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            Some(format!(
                "{}: {}",
                case["name"],
                check(&mut bench, case).err()?
            ))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    cases.len()
}

#[test]
fn requests_become_calls_or_errors() {
    assert!(run("requests.json", check_request) > 60);
}

#[test]
fn replies_become_responses() {
    assert!(run("replies.json", check_reply) > 30);
}

/// SEMANTICS 109 to 119 and 129 to 136: what upstreams ask for beside their messages.
#[test]
fn wishes_of_upstreams_and_clients_are_met() {
    assert!(run("answers.json", check_reply) > 30);
    assert!(run("asked.json", check_request) > 20);
}

/// SEMANTICS 76.
#[cfg(feature = "compression")]
#[test]
fn compressed_bodies_are_read() {
    assert!(run("codings.json", check_request) > 10);
}

/// SEMANTICS 138.
#[test]
fn pages_of_other_origins_are_answered_as_the_settings_say() {
    assert!(run("preflights.json", check_request) > 10);
    assert!(run("origins.json", check_reply) > 8);
}

/// SEMANTICS 129, 131.
#[test]
fn lists_say_what_crosses_and_under_which_name() {
    assert!(run("129-lists.json", check_request) > 10);
    assert!(run("131-lists.json", check_reply) > 6);
}

#[test]
fn manners_that_fit_no_method_are_told() {
    let schema = || Schema::from_descriptor_set(&support::rules()).unwrap();
    let told = |rpc: &str, status| {
        let manners = Manners {
            success_statuses: vec![SuccessStatus {
                rpc: rpc.to_owned(),
                status,
            }],
            ..Manners::default()
        };
        let checked = Transcoder::new(schema(), manners).check_manners();
        checked.map_err(|bad| bad.to_string())
    };
    assert_eq!(told("transom.test.v1.Rules.Put", 202), Ok(()));
    assert_eq!(
        told("transom.test.v1.Rules.Put", 404).unwrap_err(),
        "success status of transom.test.v1.Rules.Put: 404 is no success; give 200 to 299"
    );
    assert_eq!(
        told("Put", 202).unwrap_err(),
        "success status of Put: the schema has no such method"
    );
    let told = |selector: &str| {
        let manners = Manners {
            timeouts: vec![MethodTimeouts {
                selector: selector.to_owned(),
                ..MethodTimeouts::default()
            }],
            ..Manners::default()
        };
        Transcoder::new(schema(), manners).check_manners()
    };
    for selector in [
        "*",
        "transom.*",
        "transom.test.v1.Rules.*",
        "transom.test.v1.Rules.Put",
    ] {
        assert_eq!(told(selector), Ok(()));
    }
    for selector in [
        "",
        "Put",
        "transom.test.v1.Rules.P*",
        "transom.test.v1.Rules",
        "**",
        "other.*",
    ] {
        let text = told(selector).unwrap_err().to_string();
        let start = format!("timeouts of {selector}: the schema has no such method; ");
        assert!(text.starts_with(&start), "{text}");
    }
}

/// SEMANTICS 71.
#[test]
fn raw_bodies_become_messages() {
    assert!(run("71-raw-requests.json", check_request) > 10);
}

/// SEMANTICS 71: a header may hold bytes that a string of protobuf may not.
#[test]
fn type_of_a_raw_body_that_is_no_text_is_refused() {
    let mut bench = Bench::new();
    let (transcoder, scratch) = bench.transcoder(&Value::Null);
    let bytes = b"POST /v1/raw HTTP/1.1\r\nHost: a\r\nContent-Type: a/\xff\r\n\r\n";
    let mut head = RequestHead::new();
    head.parse(bytes).unwrap();
    let Ok(Request::Call(call)) = transcoder.handle_head(&head, bytes, scratch) else {
        panic!("it is a call");
    };
    let mut out = Vec::new();
    let written = call.write_request(transcoder, &head, bytes, b"x", scratch, &mut out);
    let error = written.unwrap_err();
    assert!(out.is_empty());
    transcoder.write_error(
        &Envelope::REFUSED,
        error,
        Some((&head, bytes, b"x")),
        scratch,
        &mut out,
    );
    let response = read_response(&out, false).unwrap();
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let message = "header Content-Type: a string is not valid UTF-8";
    assert_eq!(
        (response.status, body),
        (400, json!({"code": 3, "message": message}))
    );
}

/// SEMANTICS 72.
#[test]
fn raw_replies_become_bodies() {
    assert!(run("72-raw-replies.json", check_reply) > 15);
}

/// SEMANTICS 65, 66.
#[test]
fn bodies_are_taken_by_their_type() {
    assert!(run("66-content-types.json", check_request) > 30);
}

/// SEMANTICS 74.
#[test]
fn patches_fill_their_masks() {
    assert!(run("74-patch-masks.json", check_request) > 20);
}

/// Goal: paths are bounded, though a tree of a few hundred KiB has so many and so long ones that they would take more than a body may.
/// Method: a tree of two children, on a stem that makes each path longer.
#[test]
fn paths_of_a_mask_are_no_more_than_a_body_may_be() {
    const TEXT: &str = r#"syntax = "proto3"; package test;
        import "google/api/annotations.proto"; import "google/protobuf/field_mask.proto";
        message Tree { Tree l = 1; Tree r = 2; }
        message Request { Tree tree = 1; google.protobuf.FieldMask mask = 2; }
        service Service { rpc Plant(Request) returns (Tree) { option (google.api.http) = { patch: "/v1/tree" body: "tree" }; } }"#;
    let set = support::texts::compile(&[("test.proto", TEXT)], true);
    let schema = Schema::from_descriptor_set(&set).unwrap();
    let transcoder = Transcoder::new(schema, Manners::default());
    for (levels, is_good) in [(13, true), (15, false)] {
        let mut tree = "{}".to_owned();
        for _ in 0..levels {
            tree = format!("{{\"l\":{tree},\"r\":{tree}}}");
        }
        let tree = "{\"l\":".repeat(80) + &tree + &"}".repeat(80);
        let request = json!({"request": "PATCH /v1/tree", "body": tree});
        let (head, bytes, body) = self::request(&request);
        let mut scratch = Scratch::default();
        let Ok(Request::Call(call)) = transcoder.handle_head(&head, &bytes, &mut scratch) else {
            panic!("it is a call");
        };
        let mut out = Vec::new();
        let written = call.write_request(&transcoder, &head, &bytes, &body, &mut scratch, &mut out);
        let kind = written.map_err(|error| error.kind);
        assert_eq!(kind.is_ok(), is_good, "{levels} levels");
        assert!(is_good || kind == Err(ErrorKind::BodyTooLarge));
    }
}

/// SEMANTICS 111: what the gateway finds out by itself has the same form.
#[test]
fn a_status_of_our_own_is_answered_as_one_of_the_upstream() {
    let mut bench = Bench::new();
    let (transcoder, scratch) = bench.transcoder(&Value::Null);
    let mut out = Vec::new();
    let status = Status::new(Code::Unavailable, "upstream is \"away\"\r\n");
    transcoder.write_status(&Envelope::REFUSED, &status, scratch, &mut out);
    let response = read_response(&out, false).unwrap();
    assert_eq!(response.status, 503);
    assert_eq!(response.headers[0], "connection: close");
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(
        body,
        json!({"code": 14, "message": "upstream is \"away\"\r\n"})
    );
}

#[test]
fn a_head_that_cannot_be_read_is_answered_and_the_connection_ends() {
    let mut bench = Bench::new();
    let (transcoder, scratch) = bench.transcoder(&Value::Null);
    let mut out = Vec::new();
    let error = Error::request(ErrorKind::TargetTooLong);
    transcoder.write_error(&Envelope::REFUSED, error, None, scratch, &mut out);
    let response = read_response(&out, false).unwrap();
    assert_eq!(response.status, 414);
    assert_eq!(response.headers[0], "connection: close");
    assert!(!Envelope::REFUSED.keeps_open());
}
