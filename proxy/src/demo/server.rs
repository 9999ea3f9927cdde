//! Runs the bookstore on a thread of its own. In: nothing. Out: its address, as long as the handle lives.
//! Always: it listens on loopback only; dropping the handle ends the thread and closes all connections.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use http::{Request, Response};
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic_reflection::server::Builder as ReflectionBuilder;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt};
use transom_engine::limits::MESSAGE_LEN_MAX;

use super::DESCRIPTOR_SET;
use super::bookstore::Shop;
use super::generated::bookstore_v1::bookstore_server::BookstoreServer;

/// A running bookstore. Dropping it stops the server.
#[derive(Debug)]
pub struct DemoServer {
    address: SocketAddr,
    /// Closing this channel is what stops the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl DemoServer {
    /// Where it listens: 127.0.0.1 and a port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, as `--upstream` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the service has been printed where it happened; there is nothing to add here.
            let _ended = thread.join();
        }
    }
}

/// Starts the bookstore with its first books in it. It accepts connections when this returns.
///
/// # Errors
///
/// When no loopback port, thread or runtime is to be had.
pub fn start() -> io::Result<DemoServer> {
    let services = Services::new().map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let incoming = {
        let _context = runtime.enter();
        TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true))
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(
                    tonic::transport::Server::builder().serve_with_incoming(services, incoming),
                );
                // It never receives anything: it ends when the other side is dropped.
                let _closed = stopped.await;
            });
        })?;
    Ok(DemoServer {
        address,
        stop: Some(stop),
        thread: Some(thread),
    })
}

type Route = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// Hands a call to the service that its path names; tonic's own router would bring a whole web framework.
#[derive(Clone, Debug)]
struct Services {
    routes: Vec<(&'static str, Route)>,
}

impl Services {
    fn new() -> Result<Self, tonic_reflection::server::Error> {
        let reflection =
            || ReflectionBuilder::configure().register_encoded_file_descriptor_set(DESCRIPTOR_SET);
        let mut services = Self { routes: Vec::new() };
        // What a gateway may be told to let through: the bookstore is what limits are tried on.
        services
            .add(BookstoreServer::new(Shop::default()).max_decoding_message_size(MESSAGE_LEN_MAX));
        services.add(reflection().build_v1()?);
        services.add(reflection().build_v1alpha()?);
        Ok(services)
    }

    fn add<S>(&mut self, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        self.routes.push((S::NAME, Route::new(service)));
    }

    /// The service of a path `/package.Service/Method`.
    fn find_route(&self, path: &str) -> Option<&Route> {
        let (service, _method) = path.strip_prefix('/')?.split_once('/')?;
        let (_, route) = self.routes.iter().find(|(name, _)| *name == service)?;
        Some(route)
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.find_route(request.uri().path()) {
            Some(route) => Box::pin(route.clone().oneshot(request)),
            None => Box::pin(async { Ok(Status::unimplemented("no such service").into_http()) }),
        }
    }
}
