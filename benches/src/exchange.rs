//! What surrounds a message: the head, the route and its bindings, the whole way in, the whole way out. In: nothing.
//! Out: contenders that answer requests to the bookstore of `protos/example`. Always: each answer has been checked.

use std::hint::black_box;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use transom_engine::Schema;
use transom_engine::exchange::{
    Call, Envelope, Manners, Reply, Request as Found, Scratch, Transcoder,
};
use transom_engine::http1::{Parsed, RequestHead};

use crate::Contender;

/// The bookstore of `protos/example`, for the engine and for the yardstick.
#[derive(Debug)]
pub struct Bookstore {
    transcoder: Transcoder,
    pool: DescriptorPool,
}

/// One request and what it must become.
#[derive(Clone)]
struct Request {
    name: &'static str,
    head: &'static str,
    body: &'static str,
    input: &'static str,
    message: Value,
}

/// What a worker keeps between requests.
#[derive(Default)]
struct Worker {
    head: RequestHead,
    scratch: Scratch,
    out: Vec<u8>,
}

impl Bookstore {
    /// Compiles the bookstore.
    ///
    /// # Panics
    /// When the files of this repository do not compile.
    pub fn load() -> Self {
        let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
        let mut compiler = protox::Compiler::new([&format!("{protos}/example"), protos])
            .expect("the directories are part of the repository");
        compiler
            .include_imports(true)
            .open_file("bookstore.proto")
            .expect("the file is part of the repository");
        let schema = Schema::from_descriptor_set(&compiler.encode_file_descriptor_set())
            .expect("the file holds nothing that is refused");
        Self {
            transcoder: Transcoder::new(schema, Manners::default()),
            pool: compiler.descriptor_pool(),
        }
    }
}

fn requests() -> [Request; 3] {
    [
        Request {
            name: "get",
            head: "GET /v1/shelves/7/books/42 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
            body: "",
            input: "bookstore.v1.GetBookRequest",
            message: json!({"name": "shelves/7/books/42"}),
        },
        Request {
            name: "query",
            head: "GET /v1/shelves/7/books?page_size=50&filter.tags=new&filter.tags=old%20one&filter.archived=false HTTP/1.1\r\nHost: localhost:8080\r\n\r\n",
            body: "",
            input: "bookstore.v1.ListBooksRequest",
            message: json!({"parent": "shelves/7", "pageSize": 50, "filter": {"tags": ["new", "old one"], "archived": false}}),
        },
        Request {
            name: "body",
            head: "POST /v1/shelves/7/books?book_id=ulysses HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n",
            body: "{\"title\":\"Ulysses\",\"tags\":[\"novel\",\"sea\"]}",
            input: "bookstore.v1.CreateBookRequest",
            message: json!({"parent": "shelves/7", "book": {"title": "Ulysses", "tags": ["novel", "sea"]}, "bookId": "ulysses"}),
        },
    ]
}

impl Worker {
    fn parse(&mut self, request: &Request) {
        let parsed = self.head.parse(black_box(request.head.as_bytes()));
        let len = request.head.len();
        assert_eq!(parsed, Ok(Parsed::Complete { len }));
    }

    fn route(&mut self, store: &Bookstore, request: &Request) -> Call {
        let bytes = request.head.as_bytes();
        let found = store
            .transcoder
            .handle_head(&self.head, bytes, &mut self.scratch);
        match found {
            Ok(Found::Call(call)) => call,
            other => unreachable!("{}: {other:?}", request.name),
        }
    }

    /// Route, body, query and path; the framed message is in `out`.
    fn write(&mut self, store: &Bookstore, request: &Request) -> Call {
        let call = self.route(store, request);
        let Self { head, scratch, out } = self;
        out.clear();
        let (bytes, body) = (request.head.as_bytes(), request.body.as_bytes());
        call.write_request(&store.transcoder, head, bytes, body, scratch, out)
            .expect("checked");
        call
    }

    /// The whole way in.
    fn take(&mut self, store: &Bookstore, request: &Request) {
        self.parse(request);
        let call = self.write(store, request);
        let bytes = request.head.as_bytes();
        let Self { head, scratch, .. } = self;
        call.each_metadata(&store.transcoder, head, bytes, scratch, |name, value| {
            black_box((name, value));
        })
        .expect("checked");
    }

    fn checked(store: &Bookstore, request: &Request) -> Self {
        let mut worker = Self::default();
        worker.parse(request);
        worker.write(store, request);
        let (_, wire) = worker.out.split_at(5);
        let input = store
            .pool
            .get_message_by_name(request.input)
            .expect("the message is in the file");
        let message = DynamicMessage::decode(input, wire).expect("our wire bytes decode");
        let message = serde_json::to_value(&message).expect("the message has a JSON form");
        assert_eq!(message, request.message, "{}", request.name);
        worker
    }
}

/// The steps of three requests, and one reply.
///
/// # Panics
/// When the engine's answer is not the one that was expected.
pub fn exchange_contenders(store: &Bookstore) -> Vec<Contender<'_>> {
    let mut contenders = Vec::new();
    for request in requests() {
        let mut add = |step: &str, act: fn(&mut Worker, &Bookstore, &Request)| {
            let mut worker = Worker::checked(store, &request);
            let request = request.clone();
            contenders.push(Contender::new(
                format!("{step}/{}", request.name),
                move || act(&mut worker, store, &request),
            ));
        };
        add("head", |worker, _, request| worker.parse(request));
        add("route", |worker, store, request| {
            black_box(worker.route(store, request));
        });
        add("route and bind", |worker, store, request| {
            black_box(worker.write(store, request));
        });
        add("request", Worker::take);
    }
    contenders.push(reply(store));
    contenders
}

/// A book on its way to the client.
fn reply(store: &Bookstore) -> Contender<'_> {
    let [get, ..] = requests();
    let mut worker = Worker::checked(store, &get);
    let call = worker.route(store, &get);
    // A book with a name and a title.
    let book = b"\x0a\x12shelves/7/books/42\x12\x07Ulysses";
    let mut frame = vec![0, 0, 0, 0, 29];
    frame.extend_from_slice(book);
    assert_eq!(frame.len(), 5 + 29);
    let headers: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/grpc"), (b"x-a", b"b")];
    let trailers: [(&[u8], &[u8]); 1] = [(b"grpc-status", b"0")];
    let answer = move |worker: &mut Worker| {
        let envelope = Envelope::of(&worker.head, get.head.as_bytes());
        let reply = Reply {
            http_status: 200,
            headers: || headers.into_iter(),
            body: black_box(&frame),
            trailers: Some(|| trailers.into_iter()),
        };
        let Worker { scratch, out, .. } = worker;
        out.clear();
        call.write_reply(&store.transcoder, &envelope, reply, scratch, out);
    };
    answer(&mut worker);
    let response = String::from_utf8_lossy(&worker.out);
    let (head, body) = response.split_once("\r\n\r\n").expect("a head ends");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let body: Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["name"], "shelves/7/books/42");
    assert_eq!(body["title"], "Ulysses");
    Contender::new("reply/get", move || answer(&mut worker))
}
