//! One unary call over HTTP/2, without a socket. In: the frames that a server of gRPC answers with. Out: the engine's connection, and the crate h2
//! beside it. Always: both send the same headers and message, and hand out the same headers, message and trailers, which are checked in each call.

use std::cell::RefCell;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::uri::{Authority, Parts, PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use transom_engine::http2::{Connection, Event, HeaderBlock, Scheme, Settings};

use crate::Contender;

/// Bytes of the messages, with their prefixes.
const MESSAGE_LEN: usize = 105;

const AUTHORITY: &str = "localhost:50051";
const PATH: &str = "/bookstore.v1.Bookstore/GetBook";

/// One call, by the engine and by h2.
pub fn http2_contenders() -> Vec<Contender<'static>> {
    vec![engine(), h2_client()]
}

fn frame(kind: u8, flags: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("it is short");
    let [_, len @ ..] = len.to_be_bytes();
    [&len[..], &[kind, flags], &number.to_be_bytes(), payload].concat()
}

/// What a server of gRPC-Go begins with: SETTINGS, and the acknowledgement of ours.
fn opening() -> Vec<u8> {
    [frame(4, 0, 0, &[0, 5, 0, 0, 0x40, 0]), frame(4, 1, 0, &[])].concat()
}

/// Its replies: headers in the code of Huffman, a message, trailers; and from the second on, headers and trailers by their numbers in the table. The
/// number of the stream is filled in by [`set_number`].
fn replies() -> [Vec<u8>; 2] {
    let first: [&[u8]; 2] = [
        b"\x88\x5f\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64",
        b"\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x010\x40\x89\x9a\xca\xc8\xb5\x25\x42\x07\x31\x7f\x00",
    ];
    [first, [b"\x88\xc0", b"\xbf\xbe"]].map(|[headers, trailers]| {
        [
            frame(1, 0x4, 0, headers),
            frame(0, 0, 0, &[7; MESSAGE_LEN]),
            frame(1, 0x5, 0, trailers),
        ]
        .concat()
    })
}

fn set_number(reply: &mut [u8], number: u32) {
    let mut rest = reply;
    while let Some((head, behind)) = rest.split_first_chunk_mut::<9>() {
        let [_, high, low, _, _, number_bytes @ ..] = head;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        *number_bytes = number.to_be_bytes();
        (_, rest) = behind.split_at_mut(len);
    }
}

fn engine() -> Contender<'static> {
    let headers = [
        (&b"content-type"[..], &b"application/grpc"[..]),
        (b"te", b"trailers"),
        (b"user-agent", b"transom/0.1.0"),
    ];
    let block = HeaderBlock::post(Scheme::Http, AUTHORITY.as_bytes(), PATH.as_bytes(), headers)
        .expect("they are legal");
    let mut connection = Connection::new(Settings::default());
    let opening = opening();
    let mut input = &opening[..];
    while let Ok(Some(_)) = connection.receive(&mut input) {}
    let [mut reply, mut next] = replies();
    let mut body = Vec::new();
    Contender::new("http2/unary", move || {
        let metadata = [
            (&b"grpc-timeout"[..], &b"1S"[..]),
            (b"x-request-id", b"4f1c9b2a"),
        ];
        let stream = connection.open(&block, metadata, 7).expect("it is open");
        assert_eq!(
            connection.send(stream, &[9; MESSAGE_LEN], true),
            MESSAGE_LEN
        );
        let written_len = connection.output().len();
        connection.output().clear();

        set_number(&mut reply, stream.number());
        let mut input = &reply[..];
        body.clear();
        let mut has_ended = false;
        while let Some(event) = connection.receive(&mut input).expect("it is legal") {
            match event {
                Event::Headers { status, list, .. } => {
                    assert_eq!(
                        (status, list.get(b"content-type")),
                        (200, Some(&b"application/grpc"[..]))
                    );
                }
                Event::Data { stream, bytes, .. } => {
                    body.extend_from_slice(bytes);
                    connection.release(stream, bytes.len());
                }
                Event::Trailers { list, .. } => {
                    assert_eq!(list.get(b"grpc-status"), Some(&b"0"[..]));
                    has_ended = true;
                }
                other => unreachable!("{other:?}"),
            }
        }
        assert!(has_ended && body.len() == MESSAGE_LEN);
        if !next.is_empty() {
            reply = std::mem::take(&mut next);
        }
        written_len
    })
}

/// What is to be read, and nothing of what is written.
#[derive(Clone, Debug, Default)]
struct Wire(Rc<RefCell<Vec<u8>>>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = self.0.borrow_mut();
        if bytes.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(&bytes);
        bytes.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// As the proxy uses it.
fn h2_client() -> Contender<'static> {
    let wire = Wire::default();
    let mut cx = Context::from_waker(Waker::noop());
    wire.0.borrow_mut().extend(opening());
    let handshake = {
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false);
        let mut handshake = pin!(builder.handshake::<_, Bytes>(wire.clone()));
        let Poll::Ready(handshake) = handshake.as_mut().poll(&mut cx) else {
            unreachable!("nothing is waited for");
        };
        handshake
    };
    let (mut sender, mut connection) = handshake.expect("it is legal");
    assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());

    let authority = Authority::from_static(AUTHORITY);
    let path = PathAndQuery::from_static(PATH);
    let message = Bytes::from(vec![9; MESSAGE_LEN]);
    let [mut reply, mut next] = replies();
    let mut number = 1;
    let mut body = Vec::new();
    Contender::new("http2/unary by h2", move || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut uri = Parts::default();
        uri.scheme = Some(UriScheme::HTTP);
        uri.authority = Some(authority.clone());
        uri.path_and_query = Some(path.clone());
        let mut headers = HeaderMap::with_capacity(5);
        for (name, value) in [
            ("grpc-timeout", "1S"),
            ("x-request-id", "4f1c9b2a"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "transom/0.1.0"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(uri).expect("it is legal");
        *request.headers_mut() = headers;
        *request.version_mut() = Version::HTTP_2;
        let (response, mut stream) = sender.send_request(request, false).expect("it is open");
        stream.send_data(message.clone(), true).expect("it is open");
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());

        set_number(&mut reply, number);
        number += 2;
        wire.0.borrow_mut().extend_from_slice(&reply);
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        let mut response = response;
        let Poll::Ready(Ok(response)) = Pin::new(&mut response).poll(&mut cx) else {
            unreachable!("it is there");
        };
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let mut incoming = response.into_body();
        body.clear();
        while let Poll::Ready(Some(bytes)) = incoming.poll_data(&mut cx) {
            let bytes = bytes.expect("it is legal");
            body.extend_from_slice(&bytes);
            let released = incoming.flow_control().release_capacity(bytes.len());
            released.expect("they were received");
        }
        let Poll::Ready(Ok(Some(trailers))) = incoming.poll_trailers(&mut cx) else {
            unreachable!("they are there");
        };
        assert_eq!(trailers["grpc-status"], "0");
        if !next.is_empty() {
            reply = std::mem::take(&mut next);
        }
        assert_eq!(body.len(), MESSAGE_LEN);
    })
}
