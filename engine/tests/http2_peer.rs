//! The connection against the crate h2 as a server. Goal: what both sides hear is what was said, whatever the windows, the order of things and
//! the places where bytes are cut (`TRANSOM_CASES=10000` tries that many plans). Method: both are driven by hand, without sockets, clocks or threads; proptest chooses calls, settings and cuts.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "bodies are a pattern of bytes, and calls are few"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use transom_engine::http2::{
    Code, Connection, Event, HeaderBlock, HeaderList, ResetCause, Scheme, Settings, StreamId,
};

/// Bytes on their way, by direction.
#[derive(Debug, Default)]
struct Wire {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
}

/// The server's end.
#[derive(Clone, Debug, Default)]
struct End(Rc<RefCell<Wire>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut self.0.borrow_mut().to_server;
        if wire.is_empty() {
            return Poll::Pending;
        }
        let len = buffer.remaining().min(wire.len());
        let bytes: Vec<_> = wire.drain(..len).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().to_client.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a server does with a call once it has the whole request, or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Headers, data, trailers.
    Reply,
    /// Headers that end the stream, before the request is read.
    TrailersOnly,
    /// A reset instead of a reply.
    Reset,
    /// Headers and data, then a reset.
    ResetLate,
}

#[derive(Clone, Debug)]
struct Call {
    manner: Manner,
    request_len: usize,
    reply_len: usize,
    /// Bytes of metadata each way.
    metadata_len: usize,
    /// Whether the client leaves in the midst of the reply.
    leaves: bool,
    /// Whether it leaves before anything has come.
    leaves_early: bool,
    /// Which of a few headers the reply has that others have too, so that h2 refers to them by number: a bit for each.
    kept: u8,
}

#[derive(Clone, Debug)]
struct Plan {
    calls: Vec<Call>,
    server_window: u32,
    server_connection_window: u32,
    server_frame_len: u32,
    server_stream_count: u32,
    client: Settings,
    /// Bytes that reach the other side at once.
    cuts: Vec<usize>,
    /// Bytes that the client has not released when it does.
    hold_len: usize,
}

/// Bytes that tell of their call and their place.
fn body(call: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + call * 13) as u8).collect()
}

fn text(call: usize, len: usize) -> String {
    (0..len)
        .map(|at| char::from(b' ' + ((at * 5 + call) % 95) as u8))
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Headers that many replies have: in bits 0 to 4 of headers, in bits 3 to 7 of trailers. Some are never to be kept.
fn kept(bits: u8, is_trailers: bool) -> Vec<(String, String, bool)> {
    let places = if is_trailers { 3..8 } else { 0..5 };
    places
        .filter(|place| bits >> place & 1 != 0)
        .map(|place: u8| {
            let value = text(
                place.into(),
                [3, 0, 700, 40, 1_500, 2_000, 3_990, 20][usize::from(place)],
            );
            (format!("x-kept-{place}"), value, place == 3)
        })
        .collect()
}

fn insert_kept(headers: &mut HeaderMap, bits: u8, is_trailers: bool) {
    for (name, value, is_sensitive) in kept(bits, is_trailers) {
        let mut value: HeaderValue = value.parse().unwrap();
        value.set_sensitive(is_sensitive);
        headers.insert(HeaderName::try_from(name).unwrap(), value);
    }
}

fn check_kept(list: &HeaderList, bits: u8, is_trailers: bool) {
    let mut heard: Vec<_> = list
        .iter()
        .filter(|(name, _)| name.starts_with(b"x-kept-"))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    heard.sort();
    let said: Vec<_> = kept(bits, is_trailers)
        .into_iter()
        .map(|(name, value, _)| (name.into_bytes(), value.into_bytes()))
        .collect();
    assert_eq!(heard, said);
}

/// What the server knows of one call.
struct Served {
    index: usize,
    request: Vec<u8>,
    incoming: Option<RecvStream>,
    response: SendResponse<Bytes>,
    outgoing: Option<(SendStream<Bytes>, Vec<u8>)>,
    is_done: bool,
}

impl Served {
    fn step(&mut self, call: &Call, cx: &mut Context<'_>) {
        if self.is_done {
            return;
        }
        if call.manner == Manner::TrailersOnly {
            let mut response = Response::new(());
            response
                .headers_mut()
                .insert("grpc-status", "5".parse().unwrap());
            insert_kept(response.headers_mut(), call.kept, false);
            drop(self.response.send_response(response, true));
            // Dropped with the request unread, which resets the stream without an error.
            self.incoming = None;
            self.is_done = true;
            return;
        }
        while let Some(incoming) = &mut self.incoming {
            match incoming.poll_data(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.request.extend_from_slice(&bytes);
                    incoming
                        .flow_control()
                        .release_capacity(bytes.len())
                        .unwrap();
                }
                Poll::Ready(None) => {
                    assert_eq!(self.request, body(self.index, call.request_len));
                    self.incoming = None;
                    if call.manner == Manner::Reset {
                        self.response.send_reset(Reason::INTERNAL_ERROR);
                        self.is_done = true;
                        return;
                    }
                    let mut response = Response::new(());
                    let value = text(self.index, call.metadata_len);
                    response
                        .headers_mut()
                        .insert("x-reply", value.parse().unwrap());
                    // Twice, so that h2 refers to the first by number.
                    response
                        .headers_mut()
                        .append("x-reply", value.parse().unwrap());
                    insert_kept(response.headers_mut(), call.kept, false);
                    let Ok(outgoing) = self.response.send_response(response, false) else {
                        self.is_done = true;
                        return;
                    };
                    self.outgoing = Some((outgoing, body(self.index, call.reply_len)));
                }
                // The client has left.
                Poll::Ready(Some(Err(_))) => {
                    self.is_done = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
        let Some((outgoing, rest)) = &mut self.outgoing else {
            return;
        };
        while !rest.is_empty() {
            outgoing.reserve_capacity(rest.len());
            match outgoing.poll_capacity(cx) {
                Poll::Ready(Some(Ok(len))) if len > 0 => {
                    let now: Vec<_> = rest.drain(..len).collect();
                    outgoing.send_data(now.into(), false).unwrap();
                }
                Poll::Ready(Some(Ok(_))) | Poll::Pending => return,
                Poll::Ready(_) => {
                    self.is_done = true;
                    return;
                }
            }
        }
        if call.manner == Manner::ResetLate {
            outgoing.send_reset(Reason::CANCEL);
        } else {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            insert_kept(&mut trailers, call.kept, true);
            drop(outgoing.send_trailers(trailers));
        }
        self.is_done = true;
    }
}

/// What the client knows of one call.
#[derive(Debug, Default)]
struct Made {
    stream: Option<StreamId>,
    unsent: Vec<u8>,
    status: Option<u16>,
    reply_metadata: Vec<String>,
    reply: Vec<u8>,
    held_len: usize,
    end: Option<String>,
}

struct Client {
    connection: Connection,
    block: HeaderBlock,
    calls: Vec<Made>,
    opened_count: usize,
}

impl Client {
    fn open_calls(&mut self, plan: &Plan) {
        while self.connection.is_ready()
            && self.opened_count < plan.calls.len()
            && self.connection.room() > 0
        {
            let index = self.opened_count;
            let call = &plan.calls[index];
            let value = text(index, call.metadata_len);
            let metadata = [(&b"x-index"[..], index.to_string()), (b"x-value", value)];
            let metadata = metadata
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()));
            let stream = self
                .connection
                .open(&self.block, metadata, index as u32)
                .unwrap();
            self.opened_count += 1;
            self.calls[index].stream = Some(stream);
            self.calls[index].unsent = body(index, call.request_len);
            self.send(stream);
            if call.leaves_early {
                // What h2 says all the same is read for the sake of the table.
                self.calls[index].end = Some("left".to_owned());
                self.connection.reset(stream, Code::CANCEL);
            }
        }
    }

    fn send(&mut self, stream: StreamId) {
        let made = &mut self.calls[stream.key() as usize];
        assert!(
            made.end.is_none(),
            "there is no room on a stream that is gone"
        );
        let taken = self.connection.send(stream, &made.unsent, true);
        made.unsent.drain(..taken);
    }

    fn receive(&mut self, plan: &Plan, mut input: &[u8]) {
        let whole = input;
        while let Some(event) = self.connection.receive(&mut input).unwrap() {
            match event {
                Event::Headers {
                    stream,
                    status,
                    list,
                    ends,
                } => {
                    let index = stream.key() as usize;
                    check_kept(list, plan.calls[index].kept, false);
                    let made = &mut self.calls[index];
                    made.status = Some(status);
                    let values = list.iter().filter(|(name, _)| *name == b"x-reply");
                    made.reply_metadata = values
                        .map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
                        .collect();
                    if ends {
                        made.end = Some(format!("status {:?}", list.get(b"grpc-status").unwrap()));
                        // Nobody reads the rest of the request.
                        self.connection.reset(stream, Code::NO_ERROR);
                    }
                }
                Event::Data {
                    stream,
                    bytes,
                    ends,
                } => {
                    assert!(!ends, "trailers end it");
                    assert!(
                        whole.as_ptr_range().contains(&bytes.as_ptr()),
                        "it is not a copy"
                    );
                    let index = stream.key() as usize;
                    let made = &mut self.calls[index];
                    made.reply.extend_from_slice(bytes);
                    made.held_len += bytes.len();
                    if plan.calls[index].leaves
                        && made.reply.len() * 2 > plan.calls[index].reply_len
                    {
                        made.end = Some("left".to_owned());
                        self.connection.reset(stream, Code::CANCEL);
                    }
                }
                Event::Trailers { stream, list } => {
                    let index = stream.key() as usize;
                    check_kept(list, plan.calls[index].kept, true);
                    let made = &mut self.calls[index];
                    made.end = Some(format!("status {:?}", list.get(b"grpc-status").unwrap()));
                }
                Event::Reset { stream, cause } => {
                    let made = &mut self.calls[stream.key() as usize];
                    let ResetCause::Peer(code) = cause else {
                        panic!("{cause:?}");
                    };
                    // After a whole reply it is no news.
                    made.end.get_or_insert_with(|| code.to_string());
                }
                Event::Settings => {}
                Event::Pong(_) | Event::GoAway { .. } => panic!("nobody asked"),
            }
        }
        assert!(input.is_empty());
    }

    /// Releases what is held, of those that hold more than so much.
    fn release(&mut self, hold_len: usize) {
        for made in &mut self.calls {
            if made.held_len > hold_len {
                self.connection.release(made.stream.unwrap(), made.held_len);
                made.held_len = 0;
            }
        }
    }

    fn send_more(&mut self) {
        while let Some(stream) = self.connection.next_room() {
            self.send(stream);
        }
    }

    fn is_done(&self) -> bool {
        self.calls.iter().all(|made| made.end.is_some())
    }
}

fn converse(plan: &Plan) {
    let wire = End::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(plan.server_window)
        .initial_connection_window_size(plan.server_connection_window)
        .max_frame_size(plan.server_frame_len)
        .max_concurrent_streams(plan.server_stream_count)
        .max_header_list_size(1 << 20);
    let mut handshake = pin!(builder.handshake::<_, Bytes>(wire.clone()));
    let mut server = None;
    let mut served: BTreeMap<usize, Served> = BTreeMap::new();

    let headers = [
        (&b"content-type"[..], &b"application/grpc"[..]),
        (b"te", b"trailers"),
    ];
    let mut client = Client {
        connection: Connection::new(plan.client),
        block: HeaderBlock::post(Scheme::Http, b"a.example", b"/a.v1.A/B", headers).unwrap(),
        calls: plan.calls.iter().map(|_| Made::default()).collect(),
        opened_count: 0,
    };
    let mut unread: VecDeque<u8> = VecDeque::new();
    let mut cuts = plan.cuts.iter().copied().cycle();
    let mut quiet_count = 0;
    while !client.is_done() {
        let before = (
            client.connection.output().len(),
            wire.0.borrow().to_server.len(),
            unread.len(),
        );
        client.open_calls(plan);
        client.send_more();
        let output = client.connection.output();
        unread.extend(output.drain(..));
        client.send_more();
        let len = cuts.next().unwrap().min(unread.len());
        wire.0.borrow_mut().to_server.extend(unread.drain(..len));

        if server.is_none()
            && let Poll::Ready(connection) = handshake.as_mut().poll(&mut cx)
        {
            server = Some(connection.unwrap());
        }
        if let Some(server) = &mut server {
            while let Poll::Ready(accepted) = server.poll_accept(&mut cx) {
                let (request, response) = accepted.expect("the connection stays").unwrap();
                let one = accept(plan, request, response);
                served.insert(one.index, one);
            }
            for one in served.values_mut() {
                one.step(&plan.calls[one.index], &mut cx);
            }
            // What the steps have given it to write.
            assert!(server.poll_accept(&mut cx).is_pending());
        }

        let len = cuts.next().unwrap().min(wire.0.borrow().to_client.len());
        let bytes: Vec<_> = wire.0.borrow_mut().to_client.drain(..len).collect();
        client.receive(plan, &bytes);
        let is_quiet = bytes.is_empty() && before == (0, 0, 0) && unread.is_empty();
        quiet_count = if is_quiet { quiet_count + 1 } else { 0 };
        // What is held may be what the other side waits for.
        client.release(if quiet_count > 2 { 0 } else { plan.hold_len });
        assert!(
            quiet_count < 20,
            "nothing moves: {:?}",
            client
                .calls
                .iter()
                .map(|made| (&made.end, made.unsent.len(), made.reply.len()))
                .collect::<Vec<_>>()
        );
    }

    for (index, (call, made)) in plan.calls.iter().zip(&client.calls).enumerate() {
        let value = text(index, call.metadata_len);
        let end = made.end.as_deref().unwrap();
        if made.status.is_some() && call.manner != Manner::TrailersOnly {
            assert_eq!(made.reply_metadata, [value.as_str(), &value]);
        }
        let whole = body(index, call.reply_len);
        match call.manner {
            _ if end == "left" => assert!(whole.starts_with(&made.reply)),
            Manner::Reply => {
                assert_eq!(end, "status [48]");
                assert_eq!((made.status, &made.reply), (Some(200), &whole));
            }
            Manner::TrailersOnly => {
                assert_eq!((made.status, end), (Some(200), "status [53]"));
            }
            Manner::Reset => assert_eq!((made.status, end), (None, "INTERNAL_ERROR")),
            // h2 forgets what it had not written when it resets.
            Manner::ResetLate => {
                assert_eq!(end, "CANCEL");
                assert!(whole.starts_with(&made.reply));
            }
        }
    }
}

fn accept(plan: &Plan, request: Request<RecvStream>, response: SendResponse<Bytes>) -> Served {
    let (head, incoming) = request.into_parts();
    assert_eq!(head.uri, "http://a.example/a.v1.A/B");
    assert_eq!(head.headers["te"], "trailers");
    let index: usize = head.headers["x-index"].to_str().unwrap().parse().unwrap();
    let value = text(index, plan.calls[index].metadata_len);
    assert_eq!(head.headers["x-value"].as_bytes(), value.as_bytes());
    Served {
        index,
        request: Vec::new(),
        incoming: Some(incoming),
        response,
        outgoing: None,
        is_done: false,
    }
}

fn any_call() -> impl Strategy<Value = Call> {
    let manner = prop_oneof![
        6 => Just(Manner::Reply),
        1 => Just(Manner::TrailersOnly),
        1 => Just(Manner::Reset),
        1 => Just(Manner::ResetLate),
    ];
    let len = || prop_oneof![Just(0_usize), 0..100_usize, 0..200_000_usize];
    let metadata_len = prop_oneof![4 => 0..40_usize, 1 => 0..40_000_usize];
    let leaves = || proptest::bool::weighted(0.1);
    let kept = prop_oneof![any::<u8>(), Just(0x09), Just(0x99)];
    (manner, len(), len(), metadata_len, leaves(), leaves(), kept).prop_map(
        |(manner, request_len, reply_len, metadata_len, leaves, leaves_early, kept)| Call {
            manner,
            request_len,
            reply_len,
            metadata_len,
            leaves,
            leaves_early,
            kept,
        },
    )
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let window = || prop_oneof![1..200_u32, 1..100_000_u32, Just((1 << 31) - 1)];
    let server = (window(), window(), 16_384..100_000_u32, 1..8_u32);
    let client = (window(), window(), 16_384..100_000_u32);
    let cuts = prop_oneof![
        Just(vec![usize::MAX]),
        prop::collection::vec(1..100_000_usize, 1..8),
        prop::collection::vec(500..5_000_usize, 1..8),
    ];
    let calls = prop::collection::vec(any_call(), 1..24);
    (calls, server, client, cuts, 0..100_000_usize).prop_map(
        |(calls, server, client, cuts, hold_len)| Plan {
            calls,
            server_window: server.0,
            server_connection_window: server.1.max(65_535),
            server_frame_len: server.2,
            server_stream_count: server.3,
            client: Settings {
                stream_window_len: client.0,
                connection_window_len: client.1,
                frame_len_max: client.2,
                header_list_len_max: 1 << 20,
                stream_count_max: 6,
            },
            cuts,
            hold_len,
        },
    )
}

fn case_count() -> u32 {
    let count = std::env::var("TRANSOM_CASES").ok();
    count.map_or(60, |count| count.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: case_count(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_heard(plan in any_plan()) {
        converse(&plan);
    }
}

#[test]
fn plain_call_is_answered() {
    let call = Call {
        manner: Manner::Reply,
        request_len: 5,
        reply_len: 12,
        metadata_len: 3,
        leaves: false,
        leaves_early: false,
        kept: 0xff,
    };
    converse(&Plan {
        calls: vec![call; 3],
        server_window: 65_535,
        server_connection_window: 65_535,
        server_frame_len: 16_384,
        server_stream_count: 100,
        client: Settings::default(),
        cuts: vec![usize::MAX],
        hold_len: 0,
    });
}

/// Every byte there is, through h2's code of Huffman and ours.
#[test]
fn every_value_that_the_server_can_send_arrives() {
    let bytes: Vec<u8> = (0x20..0x7f).chain(0x80..=0xff).collect();
    let mut values: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte; 3]).collect();
    values.extend((0..bytes.len()).map(|start| [&bytes[start..], &bytes[..start]].concat()));
    let wire = End::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut connection = Connection::new(Settings::default());
    let block = HeaderBlock::post(Scheme::Http, b"a", b"/", []).unwrap();
    for key in 0..values.len() as u32 {
        connection.open(&block, [], key).unwrap();
    }
    wire.0
        .borrow_mut()
        .to_server
        .extend(connection.output().drain(..));
    let mut handshake = pin!(h2::server::handshake(wire.clone()));
    let Poll::Ready(server) = handshake.as_mut().poll(&mut cx) else {
        panic!("all is there");
    };
    let mut server = server.unwrap();
    let mut index = 0;
    while let Poll::Ready(accepted) = server.poll_accept(&mut cx) {
        let (_, mut response) = accepted.unwrap().unwrap();
        let mut head = Response::new(());
        let value = HeaderValue::from_bytes(&values[index]).unwrap();
        head.headers_mut().insert("x-value", value);
        response.send_response(head, true).unwrap();
        index += 1;
    }
    assert_eq!(index, values.len());
    let read = std::mem::take(&mut wire.0.borrow_mut().to_client);
    let mut input = &read[..];
    let mut count = 0;
    while let Some(event) = connection.receive(&mut input).unwrap() {
        if let Event::Headers { stream, list, .. } = event {
            assert_eq!(
                list.get(b"x-value"),
                Some(&values[stream.key() as usize][..])
            );
            count += 1;
        }
    }
    assert_eq!(count, values.len());
}
