//! What HTTP/2 lets a server send, and what becomes of it otherwise, driven by the cases in `cases/http2/`.
//!
//! Each case is what the peer of one connection sends, on which some calls were made. Noted are the events, and what the connection writes. The
//! bytes are fed whole, one by one, and in two parts cut at every place: the result must always be the same.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

#[path = "support/http2.rs"]
mod words;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use serde_json::Value;
use transom_engine::http2::{
    Code, Connection, Event, Fault, HeaderBlock, HeaderList, Refusal, ResetCause, Scheme, Settings,
    StreamId,
};
use transom_engine::limits::HTTP2_OUTPUT_LEN_MAX;

/// What is on each stream, and what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    output: Vec<String>,
}

fn block() -> HeaderBlock {
    let headers = [
        (&b"content-type"[..], &b"application/grpc"[..]),
        (b"te", b"trailers"),
    ];
    HeaderBlock::post(Scheme::Http, b"a.example", b"/a.v1.A/B", headers).unwrap()
}

const NO_METADATA: [(&[u8], &[u8]); 0] = [];

/// A connection with its SETTINGS written and one call of each kind: `sent`, `open` (the request goes on), `reset`.
fn connection(settings: Settings, calls: &[&str]) -> (Connection, Vec<StreamId>) {
    let mut connection = Connection::new(settings);
    let mut streams = Vec::new();
    for (key, call) in (100..).zip(calls) {
        let stream = connection.open(&block(), NO_METADATA, key).unwrap();
        match *call {
            "sent" => assert_eq!(connection.send(stream, b"hello", true), 5),
            "reset" => connection.reset(stream, Code::CANCEL),
            "open" => {}
            other => panic!("no such call: {other}"),
        }
        streams.push(stream);
    }
    connection.output().clear();
    (connection, streams)
}

fn header_words(list: &HeaderList) -> String {
    let words: Vec<_> = list
        .iter()
        .map(|(name, value)| format!(" {}={}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    words.concat()
}

fn note_event(event: Event<'_, '_>, events: &mut Vec<String>) {
    let end = |ends| if ends { " end" } else { "" };
    let line = match event {
        Event::Settings => "settings".to_owned(),
        Event::Headers {
            stream,
            status,
            list,
            ends,
        } => format!(
            "headers {} {status}{}{}",
            stream.number(),
            end(ends),
            header_words(list)
        ),
        Event::Data {
            stream,
            bytes,
            ends,
        } => {
            // Parts of a frame are joined again, since it is cut where reads end.
            let start = format!("data {}", stream.number());
            let mut len = bytes.len();
            if let Some(last) = events.last()
                && let Some((before, count)) = last.split_once(" *")
                && before == start
            {
                len += count.parse::<usize>().unwrap();
                events.pop();
            }
            format!("{start}{} *{len}", end(ends))
        }
        Event::Trailers { stream, list } => {
            format!("trailers {}{}", stream.number(), header_words(list))
        }
        Event::Reset { stream, cause } => {
            let why = match cause {
                ResetCause::Peer(code) => format!("peer {code}"),
                ResetCause::GoAway => "goaway".to_owned(),
                ResetCause::Broken(fault) => format!("{fault:?}"),
            };
            let unstarted = if cause.is_unstarted() {
                " unstarted"
            } else {
                ""
            };
            format!("reset {} {why}{unstarted}", stream.number())
        }
        Event::Pong(payload) => format!("pong {}", payload.escape_ascii()),
        Event::GoAway { last, code } => format!("goaway {last} {code}"),
    };
    events.push(line);
}

fn run(settings: Settings, calls: &[&str], releases: bool, parts: &[&[u8]]) -> Outcome {
    let (mut connection, _) = connection(settings, calls);
    let mut outcome = Outcome::default();
    'parts: for part in parts {
        let mut input = *part;
        loop {
            match connection.receive(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    let data = match &event {
                        Event::Data { stream, bytes, .. } => Some((*stream, bytes.len())),
                        _ => None,
                    };
                    note_event(event, &mut outcome.events);
                    if let Some((stream, len)) = data
                        && releases
                    {
                        connection.release(stream, len);
                    }
                }
                Err(fault) => {
                    outcome.events.push(format!("fault {fault:?}"));
                    assert_eq!(connection.receive(&mut &b"x"[..]), Err(fault));
                    assert!(!connection.is_open());
                    break 'parts;
                }
            }
        }
        assert!(input.is_empty(), "all is taken");
    }
    outcome.output = words::lines(connection.output());
    outcome
}

fn settings_of(case: &Value) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in case["settings"].as_object().into_iter().flatten() {
        let value = u32::try_from(value.as_u64().unwrap()).unwrap();
        match name.as_str() {
            "stream_window_len" => settings.stream_window_len = value,
            "connection_window_len" => settings.connection_window_len = value,
            "frame_len_max" => settings.frame_len_max = value,
            "header_list_len_max" => settings.header_list_len_max = value,
            other => panic!("no such setting: {other}"),
        }
    }
    settings
}

fn strings(value: &Value) -> Vec<&str> {
    let values = value.as_array().into_iter().flatten();
    values.map(|value| value.as_str().unwrap()).collect()
}

fn check_case(topic: &str, case: &Value) {
    let name = format!("{topic}: {}", case["name"].as_str().unwrap());
    let mut calls = strings(&case["calls"]);
    if case["calls"].is_null() {
        calls = vec!["sent"];
    }
    let releases = case["releases"] == true;
    // SETTINGS come first everywhere but where that is the matter.
    let mut peer = vec!["settings"];
    if case["first"].is_array() {
        peer = strings(&case["first"]);
    }
    peer.extend(strings(&case["peer"]));
    let bytes: Vec<u8> = peer.iter().flat_map(|line| words::bytes(line)).collect();
    let mut expected = Outcome {
        events: vec!["settings".to_owned()],
        output: vec!["settings ack".to_owned()],
    };
    if !case["first"].is_null() {
        expected = Outcome::default();
    }
    expected
        .events
        .extend(strings(&case["events"]).into_iter().map(str::to_owned));
    expected
        .output
        .extend(strings(&case["output"]).into_iter().map(str::to_owned));

    let settings = settings_of(case);
    let check = |how: &str, parts: &[&[u8]]| {
        let outcome = run(settings, &calls, releases, parts);
        assert_eq!(outcome, expected, "{name}, {how}");
    };
    check("whole", &[&bytes]);
    check("byte by byte", &bytes.chunks(1).collect::<Vec<_>>());
    // Long ones are long by repetition.
    let step = if bytes.len() > 2_000 {
        bytes.len() / 20
    } else {
        1
    };
    for cut in (0..bytes.len()).step_by(step) {
        let (start, end) = bytes.split_at(cut);
        check(&format!("cut at {cut}"), &[start, end]);
    }
}

#[test]
fn peer_is_answered_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/http2");
    let (mut count, mut failed) = (0, Vec::new());
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let topic = path.file_stem().unwrap().to_string_lossy().into_owned();
        let cases: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            if catch_unwind(|| check_case(&topic, case)).is_err() {
                failed.push(case["name"].clone());
            }
            count += 1;
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(count > 100, "{count} cases");
}

/// Gives the connection what the peer sends, and the names of the events back.
fn feed(connection: &mut Connection, lines: &[&str]) -> Vec<String> {
    let bytes: Vec<u8> = lines.iter().flat_map(|line| words::bytes(line)).collect();
    let mut input = &bytes[..];
    let mut events = Vec::new();
    while let Some(event) = connection.receive(&mut input).unwrap() {
        note_event(event, &mut events);
    }
    events
}

/// What was written since the last look.
fn written(connection: &mut Connection) -> Vec<String> {
    let lines = words::lines(connection.output());
    connection.output().clear();
    lines
}

/// A connection whose peer allows what its settings say, and an open call.
fn ready(settings: &str, calls: &[&str]) -> (Connection, Vec<StreamId>) {
    let (mut connection, streams) = connection(Settings::default(), calls);
    assert!(!connection.is_ready());
    feed(&mut connection, &[settings]);
    assert!(connection.is_ready());
    connection.output().clear();
    (connection, streams)
}

#[test]
fn opening_announces_what_the_settings_say() {
    let mut connection = Connection::new(Settings {
        stream_window_len: 1 << 20,
        connection_window_len: 3 << 20,
        header_list_len_max: 1000,
        ..Settings::default()
    });
    let output = std::mem::take(connection.output());
    let rest = output
        .strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let window = (3 << 20) - 65_535;
    assert_eq!(
        words::lines(rest),
        [
            "settings 2=0 4=1048576 5=16384 6=1000".to_owned(),
            format!("window 0 {window}"),
        ]
    );
    let beyond = Connection::new(Settings {
        stream_window_len: u32::MAX,
        connection_window_len: 0,
        frame_len_max: 1,
        ..Settings::default()
    });
    let mut beyond = beyond;
    let rest = beyond.output().split_off(24);
    assert_eq!(
        words::lines(&rest),
        ["settings 2=0 4=2147483647 5=16384 6=32768"]
    );
}

#[test]
fn data_go_as_far_as_the_windows() {
    let (mut connection, streams) = ready("settings 4=100", &["open"]);
    let stream = streams[0];
    assert_eq!(connection.send(stream, &[0; 150], true), 100);
    assert_eq!(written(&mut connection), ["data 1 *100"]);
    assert_eq!(connection.next_room(), None);
    assert_eq!(connection.send(stream, &[0; 50], true), 0);
    assert_eq!(written(&mut connection), [""; 0]);

    feed(&mut connection, &["window 1 30"]);
    assert_eq!(connection.next_room(), Some(stream));
    assert_eq!(connection.next_room(), None);
    assert_eq!(connection.send(stream, &[0; 50], true), 30);
    feed(&mut connection, &["window 1 20"]);
    assert_eq!(connection.next_room(), Some(stream));
    assert_eq!(connection.send(stream, &[0; 20], true), 20);
    assert_eq!(written(&mut connection), ["data 1 *30", "data 1 end *20"]);
    // What has ended takes no more.
    assert_eq!(connection.send(stream, b"x", true), 0);
    assert_eq!(written(&mut connection), [""; 0]);
}

#[test]
fn end_needs_no_window() {
    let (mut connection, streams) = ready("settings 4=0", &["open"]);
    assert_eq!(connection.send(streams[0], b"", true), 0);
    assert_eq!(written(&mut connection), ["data 1 end *0"]);
}

#[test]
fn settings_may_take_a_window_back() {
    let (mut connection, streams) = ready("settings 4=100", &["open"]);
    let stream = streams[0];
    assert_eq!(connection.send(stream, &[0; 80], false), 80);
    feed(&mut connection, &["settings 4=10"]);
    assert_eq!(
        connection.send(stream, b"x", false),
        0,
        "70 less than nothing"
    );
    feed(&mut connection, &["window 1 70"]);
    assert_eq!(connection.next_room(), None, "nothing");
    feed(&mut connection, &["settings 4=13"]);
    assert_eq!(connection.next_room(), Some(stream));
    assert_eq!(connection.send(stream, b"abcd", false), 3);
    // A window that is gone again before its turn came.
    feed(&mut connection, &["window 1 5", "settings 4=1"]);
    assert_eq!(connection.next_room(), None);
    feed(&mut connection, &["window 1 10"]);
    assert_eq!(connection.next_room(), Some(stream));
    assert_eq!(connection.send(stream, b"dabcd", true), 3);
}

#[test]
fn window_of_the_connection_is_shared_in_turn() {
    let (mut connection, streams) = ready("settings 4=100000", &["open", "open", "open"]);
    assert_eq!(connection.send(streams[0], &vec![0; 70_000], false), 65_535);
    for stream in &streams {
        assert_eq!(connection.send(*stream, &[0; 10], false), 0);
    }
    assert_eq!(connection.next_room(), None);
    for stream in streams.iter().chain(&streams[..1]) {
        feed(&mut connection, &["window 0 5"]);
        assert_eq!(connection.next_room(), Some(*stream));
        assert_eq!(connection.send(*stream, &[0; 10], false), 5);
        assert_eq!(connection.next_room(), None);
    }
    // One that is reset loses its turn.
    connection.reset(streams[1], Code::CANCEL);
    feed(&mut connection, &["window 0 5"]);
    assert_eq!(connection.next_room(), Some(streams[2]));
}

#[test]
fn output_that_is_not_written_takes_no_more() {
    let (mut connection, streams) = ready("settings 4=2000000", &["open", "open"]);
    feed(&mut connection, &["window 0 2000000"]);
    let taken = connection.send(streams[0], &vec![0; 1_000_000], false);
    assert_eq!(taken, HTTP2_OUTPUT_LEN_MAX);
    assert_eq!(connection.send(streams[1], b"x", true), 0);
    assert_eq!(connection.room(), 0);
    assert_eq!(
        connection.open(&block(), NO_METADATA, 0),
        Err(Refusal::OutputFull)
    );
    assert_eq!(connection.next_room(), None);
    connection.output().clear();
    assert!(connection.room() > 0);
    assert_eq!(connection.next_room(), Some(streams[0]));
    assert_eq!(connection.next_room(), Some(streams[1]));
    assert_eq!(connection.send(streams[1], b"x", true), 1);
}

#[test]
fn frames_are_no_longer_than_the_peer_allows() {
    let (mut connection, streams) = ready("settings 5=16384", &["open"]);
    assert_eq!(connection.send(streams[0], &vec![0; 40_000], true), 40_000);
    assert_eq!(
        written(&mut connection),
        ["data 1 *16384", "data 1 *16384", "data 1 end *7232"]
    );
    let long = vec![b'x'; 20_000];
    let stream = connection
        .open(&block(), [(&b"a"[..], &long[..])], 0)
        .unwrap();
    let output = std::mem::take(connection.output());
    let frames = words::frames(&output);
    let shape: Vec<_> = frames
        .iter()
        .map(|(kind, flags, number, payload)| (*kind, *flags, *number, payload.len() <= 16_384))
        .collect();
    assert_eq!(
        shape,
        [(1, 0, stream.number(), true), (9, 4, stream.number(), true)]
    );
}

#[test]
fn streams_are_as_many_as_both_sides_allow() {
    let (mut connection, streams) = ready("settings 3=2", &["sent"]);
    assert_eq!(connection.room(), 1);
    connection.open(&block(), NO_METADATA, 0).unwrap();
    assert_eq!(connection.room(), 0);
    assert_eq!(
        connection.open(&block(), NO_METADATA, 0),
        Err(Refusal::NoStream)
    );
    feed(&mut connection, &["settings 3=1"]);
    assert_eq!(connection.room(), 0);
    feed(
        &mut connection,
        &["settings 3=2", "headers 1 end | :status 200"],
    );
    assert_eq!((connection.room(), connection.stream_count()), (1, 1));
    assert_eq!(connection.send(streams[0], b"x", true), 0, "it is gone");
    feed(&mut connection, &["goaway 3 NO_ERROR"]);
    assert!(!connection.is_open());
    assert_eq!(connection.room(), 0);
    assert_eq!(
        connection.open(&block(), NO_METADATA, 0),
        Err(Refusal::Closed)
    );
}

#[test]
fn one_who_leaves_opens_no_more() {
    let (mut connection, _) = ready("settings", &["sent"]);
    connection.leave();
    connection.leave();
    assert_eq!(written(&mut connection), ["goaway NO_ERROR"]);
    assert_eq!(
        connection.open(&block(), NO_METADATA, 0),
        Err(Refusal::Closed)
    );
    let events = feed(&mut connection, &["headers 1 end | :status 200"]);
    assert_eq!(events, ["headers 1 200 end"]);
}

#[test]
fn headers_that_cannot_be_are_refused_before_anything_is_written() {
    let (mut connection, _) = ready("settings 6=300", &[]);
    let long = vec![b'x'; 300];
    let refused: [(&[u8], &[u8], Refusal); 7] = [
        (b"", b"x", Refusal::HeaderInvalid),
        (b"A", b"x", Refusal::HeaderInvalid),
        (b":path", b"x", Refusal::HeaderInvalid),
        (b"a b", b"x", Refusal::HeaderInvalid),
        (b"a", b"x\r\n", Refusal::HeaderInvalid),
        (b"a", b"\0", Refusal::HeaderInvalid),
        (b"a", &long, Refusal::HeadersTooLong),
    ];
    for (name, value, refusal) in refused {
        let opened = connection.open(&block(), [(&b"ok"[..], &b""[..]), (name, value)], 0);
        assert_eq!(opened, Err(refusal), "{name:?}");
        assert!(connection.output().is_empty());
    }
    let stream = connection.open(&block(), NO_METADATA, 0).unwrap();
    assert_eq!(stream.number(), 1);
    for (authority, path) in [
        ("a", "x"),
        ("a", ""),
        ("a", "/a b"),
        ("a\r\n", "/"),
        ("a", "/\n"),
    ] {
        let block = HeaderBlock::post(Scheme::Https, authority.as_bytes(), path.as_bytes(), []);
        assert_eq!(
            block.err(),
            Some(Refusal::HeaderInvalid),
            "{authority:?} {path:?}"
        );
    }
}

/// RFC 7541 section 4.2: a table that the peer made smaller is said to be empty, once.
#[test]
fn table_that_the_peer_made_smaller_is_told_of() {
    let (mut connection, _) = ready("settings 1=0", &[]);
    for first in [0x20, 0x83] {
        connection.open(&block(), NO_METADATA, 0).unwrap();
        let output = std::mem::take(connection.output());
        assert_eq!(words::frames(&output)[0].3[0], first);
    }
    let (mut connection, _) = ready("settings 1=65536", &[]);
    connection.open(&block(), NO_METADATA, 0).unwrap();
    let output = std::mem::take(connection.output());
    assert_eq!(words::frames(&output)[0].3[0], 0x83);
}

#[test]
fn released_bytes_open_the_windows_at_half() {
    let settings = Settings {
        stream_window_len: 100,
        ..Settings::default()
    };
    let (mut connection, streams) = connection(settings, &["sent"]);
    let stream = streams[0];
    feed(
        &mut connection,
        &["settings", "headers 1 | :status 200", "data 1 *100"],
    );
    connection.output().clear();
    connection.release(stream, 50);
    assert_eq!(written(&mut connection), [""; 0]);
    connection.release(stream, 1);
    assert_eq!(written(&mut connection), ["window 1 51"]);
    // More than was there opens no more than was there.
    connection.release(stream, 1_000);
    assert_eq!(written(&mut connection), [""; 0]);
    assert_eq!(feed(&mut connection, &["data 1 *51"]), ["data 1 *51"]);
    connection.release(stream, 1_000);
    assert_eq!(written(&mut connection), ["window 1 100"]);
    // Nobody sends on what has ended.
    feed(&mut connection, &["data 1 end *100"]);
    connection.release(stream, 100);
    assert_eq!(written(&mut connection), [""; 0]);
}

#[test]
fn answer_to_one_ping_alone_is_told_from_anything_else() {
    let (mut connection, _) = ready("settings", &["sent"]);
    assert!(!connection.owes_one_pong());
    feed(&mut connection, &["ping 12345678"]);
    assert!(connection.owes_one_pong());
    feed(&mut connection, &["ping 12345678"]);
    assert!(!connection.owes_one_pong(), "there are two");
    connection.output().clear();
    connection.ping(*b"12345678");
    assert!(!connection.owes_one_pong(), "it is a PING of ours");
}

#[test]
fn answers_that_are_read_have_no_end() {
    let (mut connection, _) = ready("settings", &["sent"]);
    feed(&mut connection, &["headers 1 | :status 200"]);
    for _ in 0..30 {
        feed(&mut connection, &["repeat 999 ping 12345678"]);
        assert_eq!(written(&mut connection).len(), 999);
    }
    // Nor have answers to what was asked.
    for _ in 0..20_000 {
        connection.ping(*b"12345678");
        let events = feed(&mut connection, &["ping ack 12345678"]);
        assert_eq!(events, ["pong 12345678"]);
    }
}

#[test]
fn keys_come_back() {
    let (mut connection, streams) = ready("settings", &["sent", "open"]);
    let bytes = words::bytes("headers 3 end | :status 200");
    let mut input = &bytes[..];
    let event = connection.receive(&mut input).unwrap().unwrap();
    let Event::Headers { stream, list, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!((stream, stream.key()), (streams[1], 101));
    // The list is the caller's to take.
    let list = std::mem::take(list);
    assert!(list.is_empty());
    connection.ping(*b"12345678");
    connection.reset(streams[0], Code(77));
    assert_eq!(written(&mut connection), ["ping 12345678", "reset 1 77"]);
    connection.reset(streams[0], Code(77));
    assert_eq!(written(&mut connection), [""; 0]);
}

#[test]
fn fault_has_words_and_a_code() {
    let fault = Fault::WindowExceeded;
    assert_eq!(fault.to_string(), "more was sent than the window allows");
    assert_eq!(fault.code(), Code::FLOW_CONTROL_ERROR);
    assert_eq!(Code(7).to_string(), "REFUSED_STREAM");
    assert_eq!(Code(14).to_string(), "code 14");
}
