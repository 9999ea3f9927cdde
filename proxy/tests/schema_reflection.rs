//! Schemas from a running server: the demo, scripted servers that describe too little, and peers that are no servers.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use transom::demo;
use transom::schema_source::{
    LoadedSchema, SchemaSourceError, SchemaSourceErrorKind as Kind, SchemaSources, load_schema,
};
use transom_engine::{Schema, to_json};

fn from_upstream(url: &str) -> SchemaSources {
    SchemaSources {
        upstream: Some(url.to_owned()),
        ..SchemaSources::default()
    }
}

/// Loads, and takes any wait for a failure.
fn load(url: &str) -> Result<LoadedSchema, SchemaSourceError> {
    load_schema(&from_upstream(url), &mut |_| ControlFlow::Break(()))
}

#[track_caller]
fn assert_refused(url: &str, kind: Kind, parts: &[&str]) {
    let error = load(url).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains('\n'), "more than one line: {text}");
}

fn file_names(schema: &LoadedSchema) -> Vec<String> {
    let set = FileDescriptorSet::decode(schema.descriptor_set.as_slice()).unwrap();
    set.file.iter().map(|file| file.name().to_owned()).collect()
}

// ---- a server on a thread of its own ----

/// Serves until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve<S>(service: S) -> Running
where
    S: tower::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    serve_on(
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        service,
    )
}

fn serve_on<S>(listener: TcpListener, service: S) -> Running
where
    S: tower::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            tokio::spawn(
                tonic::transport::Server::builder().serve_with_incoming(service, incoming),
            );
            let _dropped = stopped.await;
        });
    });
    Running {
        address,
        stop: Some(stop),
        thread: Some(thread),
    }
}

/// A server that has no service at all.
fn serve_nothing() -> Running {
    serve(tower::service_fn(|_request| async {
        Ok(Status::unimplemented("").into_http())
    }))
}

/// Reflection by a script: what it lists, and what it knows by symbol and by file name.
#[derive(Clone, Default)]
struct Script {
    services: Vec<&'static str>,
    /// Encoded files, by what is in them and by name.
    symbols: BTreeMap<&'static str, Vec<u8>>,
    files: BTreeMap<&'static str, Vec<u8>>,
    /// The code of the error for what it does not know, or 0: it answers with a list of services then.
    unknown_code: i32,
}

impl Script {
    fn answer(&self, question: Option<MessageRequest>) -> MessageResponse {
        let list = || {
            MessageResponse::ListServicesResponse(ListServiceResponse {
                service: self
                    .services
                    .iter()
                    .map(|name| ServiceResponse {
                        name: (*name).to_owned(),
                    })
                    .collect(),
            })
        };
        let found = match question.unwrap() {
            MessageRequest::ListServices(_) => return list(),
            MessageRequest::FileContainingSymbol(name) => self.symbols.get(name.as_str()),
            MessageRequest::FileByFilename(name) => self.files.get(name.as_str()),
            _ => None,
        };
        match found {
            Some(file) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                file_descriptor_proto: vec![file.clone()],
            }),
            None if self.unknown_code == 0 => list(),
            None => MessageResponse::ErrorResponse(ErrorResponse {
                error_code: self.unknown_code,
                error_message: "what\nis that?".to_owned(),
            }),
        }
    }
}

#[tonic::async_trait]
impl ServerReflection for Script {
    type ServerReflectionInfoStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<ServerReflectionResponse, Status>>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let mut requests = request.into_inner();
        let mut answers = Vec::new();
        while let Some(request) = requests.message().await? {
            answers.push(Ok(ServerReflectionResponse {
                message_response: Some(self.answer(request.message_request)),
                ..ServerReflectionResponse::default()
            }));
        }
        Ok(Response::new(tokio_stream::iter(answers)))
    }
}

fn serve_script(script: Script) -> Running {
    serve(ServerReflectionServer::new(script))
}

fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("p".to_owned()),
        dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
        service: vec![ServiceDescriptorProto {
            name: Some("S".to_owned()),
            ..ServiceDescriptorProto::default()
        }],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

/// A server of one service `p.S`, in `s.proto` with these imports.
fn script(imports: &[&str]) -> Script {
    Script {
        services: vec!["p.S"],
        symbols: [("p.S", file("s.proto", imports).encode_to_vec())].into(),
        unknown_code: Code::NotFound.into(),
        ..Script::default()
    }
}

// ---- what works ----

#[test]
fn demo_is_read_by_reflection_v1_with_its_annotations() {
    let server = demo::start().unwrap();
    let schema = load(&server.url()).unwrap();
    let origin = format!("server reflection (v1) of {}", server.url());
    assert_eq!(schema.origin, origin);
    assert!(schema.warnings.is_empty(), "{:?}", schema.warnings);

    let pool = DescriptorPool::decode(schema.descriptor_set.as_slice()).unwrap();
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    let service = pool.get_service_by_name("bookstore.v1.Bookstore").unwrap();
    let annotated = service
        .methods()
        .filter(|method| method.options().has_extension(&http));
    assert_eq!(annotated.count(), service.methods().len() - 1);
    assert!(
        pool.get_service_by_name("grpc.reflection.v1.ServerReflection")
            .is_none()
    );

    let direct = DescriptorPool::decode(demo::DESCRIPTOR_SET).unwrap();
    let of_pool = |pool: &DescriptorPool| {
        let name = "example/bookstore.proto";
        pool.get_file_by_name(name).unwrap().encode_to_vec()
    };
    assert_eq!(of_pool(&pool), of_pool(&direct));
}

#[test]
fn server_that_knows_only_v1alpha_is_asked_in_v1alpha() {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(demo::DESCRIPTOR_SET)
        .build_v1alpha()
        .unwrap();
    let service = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let reflection = reflection.clone();
        async move {
            if request
                .uri()
                .path()
                .starts_with("/grpc.reflection.v1alpha.")
            {
                return tower::ServiceExt::oneshot(reflection, request).await;
            }
            Ok(Status::unimplemented("").into_http())
        }
    });
    let server = serve(service);
    let schema = load(&server.url()).unwrap();
    let origin = format!("server reflection (v1alpha) of {}", server.url());
    assert_eq!(schema.origin, origin);
    assert!(file_names(&schema).contains(&"example/bookstore.proto".to_owned()));
}

#[test]
fn files_given_beside_an_upstream_win() {
    let sources = SchemaSources {
        protos: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../protos/test/hello.proto")],
        // Nothing listens there, and nobody asks.
        upstream: Some("http://127.0.0.1:1".to_owned()),
        ..SchemaSources::default()
    };
    let schema = load_schema(&sources, &mut |_| ControlFlow::Break(())).unwrap();
    assert!(file_names(&schema).contains(&"hello.proto".to_owned()));
}

#[test]
fn google_files_that_the_server_does_not_know_are_taken_from_the_bundle() {
    let server = serve_script(script(&["google/protobuf/timestamp.proto", "own.proto"]));
    let error = load(&server.url()).unwrap_err();
    assert_eq!(error.kind(), Kind::MissingImport, "{error}");
    assert!(error.to_string().contains("own.proto"), "{error}");
    drop(server);

    let mut script = script(&["google/protobuf/timestamp.proto", "own.proto"]);
    let mut own = file("own.proto", &[]);
    own.service.clear();
    script.files.insert("own.proto", own.encode_to_vec());
    let server = serve_script(script);
    let schema = load(&server.url()).unwrap();
    let mut names = file_names(&schema);
    assert_eq!(names.pop().unwrap(), "s.proto");
    names.sort();
    assert_eq!(names, ["google/protobuf/timestamp.proto", "own.proto"]);
}

#[test]
fn files_of_an_edition_arrive_with_their_features() {
    #[derive(Clone, PartialEq, Message)]
    struct Files {
        #[prost(bytes = "vec", repeated, tag = "1")]
        files: Vec<Vec<u8>>,
    }
    let set = include_bytes!("../../protos/test/editions.binpb");
    let edition2023 = Files::decode(&set[..]).unwrap().files.swap_remove(0);
    let server = serve_script(Script {
        services: vec!["transom.test.edition2023.Edition"],
        symbols: [("transom.test.edition2023.Edition", edition2023)].into(),
        unknown_code: Code::NotFound.into(),
        ..Script::default()
    });
    let loaded = load(&server.url()).unwrap();
    let schema = Schema::from_descriptor_set(&loaded.descriptor_set).unwrap();
    let kinds = schema.message("transom.test.edition2023.Kinds").unwrap();
    let mut json = Vec::new();
    // Field 1 has no presence, and field 9 is a group.
    let wire = b"\x08\x00\x4b\x08\x01\x4c";
    to_json(kinds, wire, &mut to_json::Scratch::default(), &mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(r#""delimited":{"n":1}"#), "{json}");
    assert!(json.starts_with(r#"{"implicit":0,"open""#), "{json}");
}

#[test]
fn service_that_is_listed_but_not_described_is_a_warning() {
    let mut script = script(&[]);
    script.services.push("p.Ghost");
    let server = serve_script(script);
    let schema = load(&server.url()).unwrap();
    assert_eq!(schema.warnings.len(), 1);
    assert!(
        schema.warnings[0].contains("p.Ghost"),
        "{:?}",
        schema.warnings
    );
}

#[test]
fn annotations_that_the_server_lost_are_a_warning() {
    let server = serve_script(script(&["google/api/annotations.proto"]));
    let schema = load(&server.url()).unwrap();
    assert_eq!(schema.warnings.len(), 1);
    let warning = &schema.warnings[0];
    assert!(
        warning.contains("has lost the google.api.http annotations"),
        "{warning}"
    );
}

// ---- servers that start late ----

/// The port is bound from the start, so nobody else can take it, and listens from the second attempt on.
#[test]
fn load_waits_for_a_server_that_starts_late() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any_port: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    socket.bind(&any_port.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut socket = Some(socket);
    let mut running = None;
    let mut told = Vec::new();

    let url = format!("http://{address}");
    let schema = load_schema(&from_upstream(&url), &mut |wait| {
        told.push(wait.to_string());
        if wait.attempt == 2 {
            let socket = socket.take().unwrap();
            socket.listen(16).unwrap();
            let service = ServerReflectionServer::new(script(&[]));
            running = Some(serve_on(socket.into(), service));
        }
        ControlFlow::Continue(())
    })
    .unwrap();

    assert_eq!(file_names(&schema), ["s.proto"]);
    let first = format!("waiting for {url} to start (connection refused), attempt 1");
    assert_eq!(told[0], first);
    assert_eq!(told.len(), 2, "{told:?}");
    drop(running);
}

#[test]
fn wait_ends_when_the_time_is_up_or_the_caller_says_so() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let sources = SchemaSources {
        upstream_wait_max: Some(Duration::ZERO),
        ..from_upstream(&url)
    };
    let error = load_schema(&sources, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let text = format!("upstream {url}: no answer after 1 attempts (connection refused)");
    assert!(error.to_string().starts_with(&text), "{error}");
    assert_refused(&url, Kind::Stopped, &["connection refused"]);
}

#[test]
fn unix_socket_is_waited_for_and_asked() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("r{}.sock", std::process::id()));
    let url = format!("unix://{}", path.display());
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stopped = Some(stopped);
    let mut thread = None;
    let schema = load_schema(&from_upstream(&url), &mut |wait| {
        if let Some(stopped) = stopped.take() {
            assert_eq!(wait.reason, "no such socket");
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            listener.set_nonblocking(true).unwrap();
            thread = Some(std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
                    let service = ServerReflectionServer::new(script(&[]));
                    tokio::spawn(
                        tonic::transport::Server::builder().serve_with_incoming(service, incoming),
                    );
                    let _dropped = stopped.await;
                });
            }));
        }
        ControlFlow::Continue(())
    });
    drop(stop);
    thread.unwrap().join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file_names(&schema.unwrap()), ["s.proto"]);
}

// ---- what does not work ----

#[test]
fn server_without_reflection_is_refused_with_the_way_out() {
    let server = serve_nothing();
    let parts = [
        "does not answer server reflection; enable server reflection",
        "--proto",
        "--descriptor-set",
    ];
    assert_refused(&server.url(), Kind::NoReflection, &parts);
}

#[test]
fn server_that_lists_nothing_or_describes_nothing_is_refused() {
    let server = serve_script(Script {
        services: vec!["grpc.reflection.v1.ServerReflection"],
        ..Script::default()
    });
    assert_refused(&server.url(), Kind::Reflection, &["it lists no service"]);
    let mut script = script(&[]);
    script.symbols.clear();
    let server = serve_script(script);
    let parts = ["describes none of them"];
    assert_refused(&server.url(), Kind::Reflection, &parts);
}

#[test]
fn error_of_the_server_is_repeated_in_one_line() {
    let mut script = script(&["own.proto"]);
    script.unknown_code = Code::PermissionDenied.into();
    let server = serve_script(script);
    let parts = ["asked for own.proto", "PermissionDenied: what\\nis that?"];
    assert_refused(&server.url(), Kind::Reflection, &parts);
}

#[test]
fn answer_to_another_question_is_refused() {
    let mut script = script(&["own.proto"]);
    script.unknown_code = 0;
    let server = serve_script(script);
    let parts = ["asked for own.proto, it answers something else"];
    assert_refused(&server.url(), Kind::Reflection, &parts);
}

/// A server may hand out another file than the one asked for; asking again would go on for ever.
#[test]
fn import_that_never_comes_ends_the_search() {
    let mut script = script(&["own.proto"]);
    let mut other = file("other.proto", &[]);
    other.service.clear();
    script.files.insert("own.proto", other.encode_to_vec());
    let server = serve_script(script);
    assert_refused(&server.url(), Kind::MissingImport, &["own.proto"]);
}

#[test]
fn more_than_4096_services_are_refused() {
    let server = serve_script(Script {
        services: vec!["p.S"; 4097],
        ..script(&[])
    });
    assert_refused(&server.url(), Kind::TooLarge, &["more than 4096 services"]);
}

#[test]
fn answer_over_16_mib_is_refused() {
    let mut script = script(&[]);
    let mut large = file("s.proto", &[]);
    large.package = Some("p".repeat(16 << 20));
    script.symbols.insert("p.S", large.encode_to_vec());
    let server = serve_script(script);
    let parts = ["asked for p.S, it answers OutOfRange"];
    assert_refused(&server.url(), Kind::Reflection, &parts);
}

#[test]
fn one_name_for_two_files_is_refused() {
    let mut script = script(&[]);
    script.services.push("p.T");
    let other = file("s.proto", &["own.proto"]);
    script.symbols.insert("p.T", other.encode_to_vec());
    let server = serve_script(script);
    assert_refused(&server.url(), Kind::Conflict, &["s.proto"]);
}

/// Accepts connections, answers whatever comes with `answer` and hangs up, until `load` is done.
fn assert_peer_refused(answer: &'static [u8], kind: Kind, parts: &[&str]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (done, is_done) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        while is_done.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let _len = stream.read(&mut buffer);
            let _written = stream.write_all(answer);
            // Closing with bytes unread would send a reset, which may overtake the answer.
            let _ended = stream.shutdown(Shutdown::Write);
            let _rest = stream.read_to_end(&mut Vec::new());
        }
    });
    assert_refused(&format!("http://{address}"), kind, parts);
    drop(done);
    // Wakes the thread, which may be in accept.
    drop(std::net::TcpStream::connect(address));
    thread.join().unwrap();
}

#[test]
fn http_1_server_is_told_from_a_grpc_server() {
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let parts = ["does not speak gRPC", "it is an HTTP/1.1 server"];
    assert_peer_refused(answer, Kind::NoReflection, &parts);
}

#[test]
fn tls_server_is_told_from_a_grpc_server() {
    // An alert: fatal, unexpected message.
    let parts = ["does not speak gRPC", "it is a TLS server"];
    assert_peer_refused(&[0x15, 3, 3, 0, 2, 2, 10], Kind::NoReflection, &parts);
}

#[test]
fn noise_is_told_from_a_grpc_server() {
    let parts = ["does not speak gRPC over cleartext HTTP/2"];
    assert_peer_refused(&[0xff; 64], Kind::NoReflection, &parts);
}

/// A port forwarder accepts before the server behind it is up, and hangs up again.
#[test]
fn peer_that_hangs_up_at_once_is_waited_for() {
    assert_peer_refused(b"", Kind::Stopped, &["it closes the connection"]);
}

#[test]
fn urls_that_cannot_be_asked_are_refused() {
    let cases = [
        ("https://localhost:1", "TLS"),
        ("localhost:50051", "not the URL"),
        ("ftp://localhost", "not the URL"),
        ("unix:relative", "not the URL"),
        ("http://", "http://host:port"),
        ("http://a b", "http://host:port"),
        ("", "http://host:port"),
    ];
    for (url, part) in cases {
        assert_refused(url, Kind::BadUpstream, &[part, "give http://host:port"]);
    }
}
