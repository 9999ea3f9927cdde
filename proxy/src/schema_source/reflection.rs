//! Asks a running server for its schema. In: the URL of an upstream that answers server reflection, v1 or v1alpha.
//! Out: the files of all its services, with their imports.
//! Always: every name is asked for once, each answer has a time limit, sizes and counts are bounded; while the server
//! does not listen yet, the caller hears of each attempt and may end the wait.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::codegen::tokio_stream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient as V1Client;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha::ServerReflectionRequest as V1AlphaRequest;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as V1AlphaClient;

use super::LoadedSchema;
use super::bundled;
use super::error::{SchemaSourceError, SchemaSourceErrorKind, printable};
use super::file_set::{FILE_COUNT_MAX, FileSet};

/// Services of one server.
const SERVICE_COUNT_MAX: usize = 4096;
/// Bytes of one answer: a file's descriptor, perhaps with those of its imports.
const ANSWER_LEN_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The reflection service itself is not part of a schema.
const REFLECTION_PACKAGE: &str = "grpc.reflection.";
const ANNOTATIONS_FILE: &str = "google/api/annotations.proto";
/// The key of the extension `google.api.http` (72295728, length-delimited) as it stands in a method's options.
const HTTP_OPTION_KEY: [u8; 5] = [0x82, 0xd3, 0xe4, 0x93, 0x02];

/// The connection preface and an empty SETTINGS frame (RFC 9113, 3.4).
const HTTP2_GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const ADVICE_NO_REFLECTION: &str =
    "enable server reflection there, or pass --proto or --descriptor-set";

/// An upstream that does not answer yet; its text is what to tell the operator.
#[derive(Clone, Debug)]
pub struct UpstreamWait {
    /// The upstream, as it was given.
    pub url: String,
    /// Why it is not there, in a few words.
    pub reason: String,
    /// How often it has been tried, from 1.
    pub attempt: u32,
}

impl fmt::Display for UpstreamWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            reason,
            attempt,
        } = self;
        write!(
            f,
            "waiting for {url} to start ({reason}), attempt {attempt}"
        )
    }
}

/// Loads the schema of the server at `url`, and waits up to `wait_max` until it answers.
pub(super) fn load(
    url: &str,
    wait_max: Option<Duration>,
    on_wait: &mut dyn FnMut(&UpstreamWait) -> ControlFlow<()>,
) -> Result<LoadedSchema, SchemaSourceError> {
    let endpoint = parse_url(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            SchemaSourceError::new(
                SchemaSourceErrorKind::Internal,
                url,
                format!("cannot set up network I/O ({error})"),
                "check the limits on open files and memory",
            )
        })?;
    runtime.block_on(load_when_up(url, &endpoint, wait_max, on_wait))
}

fn parse_url(url: &str) -> Result<Endpoint, SchemaSourceError> {
    let bad = |found: String| {
        SchemaSourceError::new(
            SchemaSourceErrorKind::BadUpstream,
            format!("upstream {}", printable(url)),
            found,
            "give http://host:port or unix:///path",
        )
    };
    if url.starts_with("https://") {
        return Err(bad("reflection over TLS is not supported yet".to_owned()));
    }
    if !url.starts_with("http://") && !url.starts_with("unix:///") {
        return Err(bad("not the URL of an upstream".to_owned()));
    }
    let endpoint =
        Endpoint::from_shared(url.to_owned()).map_err(|error| bad(innermost_text(&error)))?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT))
}

/// Why an attempt brought no schema.
enum Failure {
    /// The server may still be starting.
    NotYet(String),
    /// The connection broke. The server may be starting, or be none that speaks gRPC.
    Broken {
        reason: String,
        is_closed: bool,
    },
    Final(SchemaSourceError),
}

impl From<SchemaSourceError> for Failure {
    fn from(error: SchemaSourceError) -> Self {
        Self::Final(error)
    }
}

async fn load_when_up(
    url: &str,
    endpoint: &Endpoint,
    wait_max: Option<Duration>,
    on_wait: &mut dyn FnMut(&UpstreamWait) -> ControlFlow<()>,
) -> Result<LoadedSchema, SchemaSourceError> {
    let start = tokio::time::Instant::now();
    let mut pause = PAUSE_MIN;
    let mut attempt = 0_u32;
    loop {
        attempt = attempt.saturating_add(1);
        let reason = match load_once(url, endpoint).await {
            Ok(schema) => return Ok(schema),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::NotYet(reason)) => reason,
            Err(Failure::Broken { reason, is_closed }) => match find_protocol(endpoint.uri()).await
            {
                Some(protocol) => return Err(not_grpc(url, protocol)),
                None if is_closed => reason,
                None => return Err(not_grpc(url, &reason)),
            },
        };
        if wait_max.is_some_and(|wait_max| start.elapsed() + pause > wait_max) {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::Unreachable,
                format!("upstream {url}"),
                format!("no answer after {attempt} attempts ({reason})"),
                "start it, check the URL, or pass --proto or --descriptor-set",
            ));
        }
        let wait = UpstreamWait {
            url: url.to_owned(),
            reason,
            attempt,
        };
        if on_wait(&wait).is_break() {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::Stopped,
                format!("upstream {url}"),
                format!("stopped waiting for it to start ({})", wait.reason),
                "",
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn load_once(url: &str, endpoint: &Endpoint) -> Result<LoadedSchema, Failure> {
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| connect_failure(url, &error))?;
    let mut server = Server {
        url,
        channel,
        version: Version::V1,
    };
    let services = server.list_services().await?;
    let mut files = FileSet::default();
    server.fetch_services(&services, &mut files).await?;
    server.fetch_imports(&mut files).await?;
    warn_of_lost_annotations(&mut files, url);
    let (descriptor_set, warnings) = files.finish()?;
    Ok(LoadedSchema {
        descriptor_set,
        origin: format!("server reflection ({}) of {url}", server.version),
        warnings,
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V1,
    V1Alpha,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V1Alpha => "v1alpha",
        })
    }
}

/// An upstream, and the version of reflection that it answers.
struct Server<'a> {
    url: &'a str,
    channel: Channel,
    version: Version,
}

impl Server<'_> {
    /// Finds out the version on the way: older servers know only v1alpha.
    async fn list_services(&mut self) -> Result<Vec<String>, Failure> {
        let question = || MessageRequest::ListServices("*".to_owned());
        let mut answer = self.ask(question()).await;
        if matches!(&answer, Err(status) if status.code() == Code::Unimplemented) {
            self.version = Version::V1Alpha;
            answer = self.ask(question()).await;
        }
        let answer = answer.map_err(|status| self.status_failure("list_services", &status))?;
        let MessageResponse::ListServicesResponse(list) = answer else {
            return Err(self.nonsense("list_services").into());
        };
        if list.service.len() > SERVICE_COUNT_MAX {
            return Err(self
                .too_large(format!("more than {SERVICE_COUNT_MAX} services"))
                .into());
        }
        let names: Vec<String> = list
            .service
            .into_iter()
            .map(|service| service.name)
            .filter(|name| !name.starts_with(REFLECTION_PACKAGE))
            .collect();
        if names.is_empty() {
            return Err(self
                .error(
                    "it lists no service".to_owned(),
                    "check that this is the right server, or pass --proto or --descriptor-set",
                )
                .into());
        }
        Ok(names)
    }

    /// A service that the server lists but cannot describe is a warning, as long as one other is left.
    async fn fetch_services(
        &self,
        services: &[String],
        files: &mut FileSet,
    ) -> Result<(), Failure> {
        let mut described_count = 0_usize;
        for service in services {
            let question = MessageRequest::FileContainingSymbol(service.clone());
            let name = printable(service);
            match self.ask(question).await {
                Ok(answer) => self.add_files(answer, &name, files)?,
                Err(status) if status.code() == Code::NotFound => {
                    files.warn(format!(
                        "{} lists {name} but does not describe it; its methods are not served",
                        self.url
                    ));
                    continue;
                }
                Err(status) => return Err(self.status_failure(&name, &status)),
            }
            described_count += 1;
        }
        if described_count == 0 {
            return Err(self
                .error(
                    "it lists services but describes none of them".to_owned(),
                    "register their descriptors with its reflection service, or pass --proto or --descriptor-set",
                )
                .into());
        }
        Ok(())
    }

    /// Fetches imports by file name until none is missing.
    async fn fetch_imports(&self, files: &mut FileSet) -> Result<(), Failure> {
        let mut asked: BTreeSet<String> = BTreeSet::new();
        loop {
            let missing = files.missing_imports().clone();
            if missing.is_empty() {
                return Ok(());
            }
            for name in missing {
                // The name was asked for, the answer was another file, and the bundle has none either.
                if !asked.insert(name.clone()) {
                    return Err(self.missing_file(&name).into());
                }
                if asked.len() > FILE_COUNT_MAX {
                    return Err(self
                        .too_large(format!("more than {FILE_COUNT_MAX} imports"))
                        .into());
                }
                if !files.contains(&name) {
                    self.fetch_import(&name, files).await?;
                }
            }
        }
    }

    async fn fetch_import(&self, name: &str, files: &mut FileSet) -> Result<(), Failure> {
        let question = MessageRequest::FileByFilename(name.to_owned());
        let printable_name = printable(name);
        match self.ask(question).await {
            Ok(answer) => self.add_files(answer, &printable_name, files)?,
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(self.status_failure(&printable_name, &status)),
        }
        if files.contains(name) {
            return Ok(());
        }
        // Some servers describe their own files only.
        let bundled = bundled::find_file(name).ok_or_else(|| self.missing_file(name))?;
        Ok(files.add(bundled, "the bundled google files")?)
    }

    fn add_files(
        &self,
        answer: MessageResponse,
        asked_for: &str,
        files: &mut FileSet,
    ) -> Result<(), SchemaSourceError> {
        let MessageResponse::FileDescriptorResponse(answer) = answer else {
            return Err(self.nonsense(asked_for));
        };
        for encoded in answer.file_descriptor_proto {
            files.add(Bytes::from(encoded), &format!("upstream {}", self.url))?;
        }
        Ok(())
    }

    /// Asks one question. An error that the server gives inside of an answer comes back as a status, too.
    async fn ask(&self, question: MessageRequest) -> Result<MessageResponse, Status> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_elapsed| {
                Status::unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
            })??;
        match answer.message_response {
            Some(MessageResponse::ErrorResponse(error)) => Err(Status::new(
                Code::from_i32(error.error_code),
                error.error_message,
            )),
            Some(answer) => Ok(answer),
            None => Err(Status::internal("the answer is empty")),
        }
    }

    /// One stream for each question: a server may end its stream at the first name it does not know.
    async fn exchange(
        &self,
        request: ServerReflectionRequest,
    ) -> Result<ServerReflectionResponse, Status> {
        let no_answer = || Status::internal("the stream ended without an answer");
        let channel = self.channel.clone();
        match self.version {
            Version::V1 => {
                let mut client = V1Client::new(channel).max_decoding_message_size(ANSWER_LEN_MAX);
                let answers = client
                    .server_reflection_info(tokio_stream::iter([request]))
                    .await?;
                answers.into_inner().message().await?.ok_or_else(no_answer)
            }
            // The two versions have the same messages under two package names: on the wire they are equal.
            Version::V1Alpha => {
                let unequal = |error: prost::DecodeError| Status::internal(error.to_string());
                let request =
                    V1AlphaRequest::decode(request.encode_to_vec().as_slice()).map_err(unequal)?;
                let mut client =
                    V1AlphaClient::new(channel).max_decoding_message_size(ANSWER_LEN_MAX);
                let answers = client
                    .server_reflection_info(tokio_stream::iter([request]))
                    .await?;
                let answer = answers
                    .into_inner()
                    .message()
                    .await?
                    .ok_or_else(no_answer)?;
                ServerReflectionResponse::decode(answer.encode_to_vec().as_slice()).map_err(unequal)
            }
        }
    }

    #[cold]
    fn status_failure(&self, asked_for: &str, status: &Status) -> Failure {
        match status.code() {
            // Only the client's own transport gives a status a source; what the server sends has none.
            code if let Some(source) = status.source() => Failure::Broken {
                reason: innermost_text(source),
                is_closed: code == Code::Unavailable || is_closed(source),
            },
            Code::Unavailable => Failure::NotYet(printable(status.message())),
            Code::Unimplemented => Failure::Final(SchemaSourceError::new(
                SchemaSourceErrorKind::NoReflection,
                format!("upstream {}", self.url),
                "the server does not answer server reflection",
                ADVICE_NO_REFLECTION,
            )),
            code => Failure::Final(self.error(
                format!(
                    "asked for {asked_for}, it answers {code:?}: {}",
                    printable(status.message())
                ),
                ADVICE_NO_REFLECTION,
            )),
        }
    }

    #[cold]
    fn missing_file(&self, name: &str) -> SchemaSourceError {
        SchemaSourceError::new(
            SchemaSourceErrorKind::MissingImport,
            format!("upstream {}", self.url),
            format!(
                "its reflection does not know the imported file {}",
                printable(name)
            ),
            "register that file with its reflection service, or pass --proto or --descriptor-set",
        )
    }

    #[cold]
    fn nonsense(&self, asked_for: &str) -> SchemaSourceError {
        self.error(
            format!("asked for {asked_for}, it answers something else"),
            "pass --proto or --descriptor-set",
        )
    }

    #[cold]
    fn too_large(&self, found: String) -> SchemaSourceError {
        SchemaSourceError::new(
            SchemaSourceErrorKind::TooLarge,
            format!("server reflection ({}) of {}", self.version, self.url),
            found,
            "pass --proto or --descriptor-set with only the services that are to be served",
        )
    }

    #[cold]
    fn error(&self, found: String, advice: &str) -> SchemaSourceError {
        SchemaSourceError::new(
            SchemaSourceErrorKind::Reflection,
            format!("server reflection ({}) of {}", self.version, self.url),
            found,
            advice,
        )
    }
}

#[cold]
fn connect_failure(url: &str, error: &tonic::transport::Error) -> Failure {
    if io_error_of(error).is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return Failure::Final(SchemaSourceError::new(
            SchemaSourceErrorKind::Unreachable,
            format!("upstream {url}"),
            "permission to connect is denied",
            "check the owner and the mode of the socket",
        ));
    }
    Failure::NotYet(innermost_text(error))
}

#[cold]
fn not_grpc(url: &str, reason: &str) -> SchemaSourceError {
    SchemaSourceError::new(
        SchemaSourceErrorKind::NoReflection,
        format!("upstream {url}"),
        format!("what listens there does not speak gRPC over cleartext HTTP/2 ({reason})"),
        "check the port, or pass --proto or --descriptor-set",
    )
}

/// What a peer speaks that hung up on HTTP/2: the error of the broken stream does not tell, but the peer's own first
/// bytes often do. `None` if they do not either.
async fn find_protocol(uri: &http::Uri) -> Option<&'static str> {
    let authority = uri.authority()?;
    let address = match authority.port() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:80"),
    };
    let mut answer = [0_u8; 16];
    let ask = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.writable().await?;
        stream.try_write(HTTP2_GREETING)?;
        stream.readable().await?;
        stream.try_read(&mut answer)
    };
    let asked: Result<io::Result<usize>, _> = tokio::time::timeout(CONNECT_TIMEOUT, ask).await;
    asked.ok()?.ok()?;
    // A TLS server answers what is no handshake with an alert of version 3.x.
    if answer.starts_with(b"HTTP/1.") {
        Some("it is an HTTP/1.1 server")
    } else if answer.starts_with(&[0x15, 0x03]) {
        Some("it is a TLS server")
    } else {
        None
    }
}

/// A few words for the error at the bottom: those above it say "transport error".
fn innermost_text(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = io_error_of(error) {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => return "connection refused".to_owned(),
            _ if is_closed(error) => return "it closes the connection".to_owned(),
            io::ErrorKind::NotFound => return "no such socket".to_owned(),
            io::ErrorKind::TimedOut => return "connecting takes too long".to_owned(),
            _ => {}
        }
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    printable(&innermost.to_string())
}

/// Whether the peer ended the connection, as opposed to saying something wrong on it.
fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    io_error_of(error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        )
    })
}

fn io_error_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

/// Some servers decode their descriptors into types without extensions before they send them, and so lose every HTTP
/// annotation (earlier tonic-reflection did). The schema is usable then, but not what its author wrote.
fn warn_of_lost_annotations(files: &mut FileSet, url: &str) {
    let mut imports_annotations = false;
    for (name, encoded) in files.files() {
        if bundled::is_google_file(name) {
            continue;
        }
        if encoded
            .windows(HTTP_OPTION_KEY.len())
            .any(|window| window == HTTP_OPTION_KEY)
        {
            return;
        }
        imports_annotations |= encoded
            .windows(ANNOTATIONS_FILE.len())
            .any(|window| window == ANNOTATIONS_FILE.as_bytes());
    }
    if imports_annotations {
        files.warn(format!(
            "the reflection of {url} has lost the google.api.http annotations, as some servers do; \
             only the default routes are served; pass --proto or --descriptor-set to have the others"
        ));
    }
}
