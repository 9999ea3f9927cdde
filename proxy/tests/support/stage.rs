//! A gateway before a scripted upstream that does one bad thing at a time.
//! In: cases, each with what the peer does and what the client must get. Out: a failed assertion, or nothing.
//! Always: after each case a good call must succeed, on the same connection unless the case says that it ends.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::io;
use std::time::Duration;

use transom::clock;

use super::gateway::Gateway;
use super::http::Client;
use super::peer::{Connection, Peer};
use super::wire::assert_error;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BAD: (u16, u64) = (500, 13);

pub(crate) const GOOD: (u16, u64) = (200, 0);

/// What the peer does with a request.
pub(crate) type Act = Box<dyn Fn(&mut Connection, u32) -> io::Result<()> + Send + Sync>;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) act: Act,
    pub(crate) status: u16,
    pub(crate) code: u64,
    /// Words of the message, or of the whole body if it is a success.
    pub(crate) words: &'static str,
    /// Whether the connection outlives it.
    pub(crate) keeps: bool,
}

pub(crate) fn case(
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
pub(crate) fn message(
    name: &str,
    expected: (u16, u64),
    words: &'static str,
    message: &[u8],
) -> Case {
    body(name, expected, words, &framed(message))
}

/// The answer has this body.
pub(crate) fn body(name: &str, expected: (u16, u64), words: &'static str, body: &[u8]) -> Case {
    let body = body.to_vec();
    case(name, expected, words, move |peer, stream| {
        peer.answer(stream, &body)
    })
}

/// The answer ends with these trailers after a good message.
pub(crate) fn trailers(
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

pub(crate) fn trailers_only(
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

/// The same, but the connection ends with it.
pub(crate) fn ending(case: Case) -> Case {
    Case {
        keeps: false,
        ..case
    }
}

/// A gateway before a peer that plays one case for each call, in order, and answers the calls between them.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) peer: Peer,
    pub(crate) cases: Vec<Case>,
}

impl Stage {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
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

    /// Plays every case, and a good call after each.
    pub(crate) fn play(self) {
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

pub(crate) fn serve(upstream: &str) -> Gateway {
    Gateway::serve_before(upstream, "example/bookstore.proto", &["--workers", "1"])
}

pub(crate) fn assert_good(client: &mut Client, after: &str) {
    let reply = client
        .send("POST", "/v1/echo", &[], Some(b"{}"))
        .unwrap_or_else(|error| panic!("after {after}: {error}"));
    assert_eq!(reply.status, 200, "after {after}: {}", reply.text());
    assert_eq!(reply.json()["stringValue"], "ok", "after {after}");
}

pub(crate) fn is_good(client: &mut Client) -> bool {
    let reply = client.send("POST", "/v1/echo", &[], Some(b"{}")).unwrap();
    assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
    reply.status == 200
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}
