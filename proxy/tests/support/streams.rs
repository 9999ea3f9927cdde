//! The upstream of the tests of streams: the service of `protos/test/flows.proto` on h2, which tells what it meets.
//! In: calls. Out: answers that do what the messages ask for, and events for the test.
//! Always: it sends no more than the window it was given, and counts it; a stream that is reset is told with its code.
//!
//! | text of a message, or `end` of an order | what it does |
//! |---|---|
//! | `status` | ends with code 9 |
//! | `die` | breaks the connection |
//! | `reset` | resets the stream with code 2 |
//! | `hang` | sends nothing more, and waits |
//! | `watch` | goes on after the end of the request, an item every few milliseconds |
//! | `stop` | ends well at once, though the request goes on |
//! | `deaf` | reads no more until it is told to |
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::sync::Notify;

use super::gateway::Gateway;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    #[prost(int64, tag = "1")]
    pub(crate) count: i64,
    #[prost(int64, tag = "2")]
    pub(crate) len: i64,
    #[prost(int64, tag = "3")]
    pub(crate) gap: i64,
    #[prost(string, tag = "4")]
    pub(crate) end: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Item {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(int64, tag = "2")]
    pub(crate) number: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(int64, tag = "1")]
    count: i64,
    #[prost(int64, tag = "2")]
    len: i64,
}

/// Runs a test before a gateway on each I/O driver, each with an upstream of its own.
pub(crate) fn on_each_driver(arguments: &[&str], test: impl Fn(&Gateway, &StreamsServer)) {
    for io in ["auto", "epoll"] {
        let upstream = StreamsServer::start();
        let gateway = serve_before(&upstream, &[&["--io", io], arguments].concat());
        test(&gateway, &upstream);
        let (status, transcript) = gateway.stop();
        assert!(
            status.success() && !transcript.contains("panick"),
            "{io}: {transcript}"
        );
    }
}

pub(crate) fn serve_before(upstream: &StreamsServer, arguments: &[&str]) -> Gateway {
    let arguments = [&["--workers", "1"], arguments].concat();
    Gateway::serve_before(&upstream.url(), "test/flows.proto", &arguments)
}

/// What the upstream met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A call of this method.
    Began(String),
    /// An item with this text and number.
    Received(String, i64),
    /// The request has ended.
    HalfClosed,
    /// The gateway reset the stream with this code.
    Reset(u32),
}

pub(crate) struct StreamsServer {
    address: SocketAddr,
    events: Receiver<Event>,
    sent_len: Arc<AtomicU64>,
    /// Lets the deaf read again.
    healing: Arc<Notify>,
}

impl StreamsServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (out, events) = channel();
        let sent_len = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent_len);
        let healing = Arc::new(Notify::new());
        let healed = Arc::clone(&healing);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, out, counted, healed));
        });
        Self {
            address,
            events,
            sent_len,
            healing,
        }
    }

    /// Lets all calls go on that read no more.
    pub(crate) fn heal(&self) {
        self.healing.notify_waiters();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of answers that the gateway gave it room for.
    pub(crate) fn sent_len(&self) -> u64 {
        self.sent_len.load(Ordering::SeqCst)
    }

    /// Waits for an event; others before it are passed over.
    pub(crate) fn wait_for(&self, wanted: &Event) {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if event == *wanted => return,
                Ok(_) => {}
                Err(error) => panic!("the upstream did not meet {wanted:?}: {error}"),
            }
        }
    }

    /// The next event.
    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// Forgets what it met so far.
    pub(crate) fn forget(&self) {
        while self.events.try_recv().is_ok() {}
    }
}

async fn serve(
    listener: TcpListener,
    events: Sender<Event>,
    sent_len: Arc<AtomicU64>,
    healing: Arc<Notify>,
) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        let (events, sent_len) = (events.clone(), Arc::clone(&sent_len));
        let healing = Arc::clone(&healing);
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(socket).await else {
                return;
            };
            let death = Arc::new(Notify::new());
            loop {
                let accepted = tokio::select! {
                    accepted = connection.accept() => accepted,
                    () = death.notified() => return,
                };
                let Some(Ok((request, respond))) = accepted else {
                    return;
                };
                let events = events.clone();
                let call = Call {
                    out: Out {
                        respond,
                        stream: None,
                        sent_len: Arc::clone(&sent_len),
                    },
                    events,
                    death: Arc::clone(&death),
                    healing: Arc::clone(&healing),
                };
                tokio::spawn(call.run(request));
            }
        });
    }
}

struct Call {
    out: Out,
    events: Sender<Event>,
    death: Arc<Notify>,
    healing: Arc<Notify>,
}

/// The direction to the gateway.
struct Out {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    sent_len: Arc<AtomicU64>,
}

impl Call {
    async fn run(mut self, request: Request<RecvStream>) {
        let path = request.uri().path().to_owned();
        let method = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.tell(Event::Began(method.clone()));
        let mut items = Messages {
            body: request.into_body(),
            buffer: Vec::new(),
        };
        let done = match method.as_str() {
            "Count" => self.count(&mut items).await,
            "Collect" => self.collect(&mut items).await,
            _ => self.chat(&mut items).await,
        };
        if let Err(error) = done
            && let Some(reason) = error.reason()
        {
            self.tell(Event::Reset(reason.into()));
        }
    }

    /// The test may have ended already.
    fn tell(&self, event: Event) {
        self.events.send(event).unwrap_or_default();
    }

    async fn count(&mut self, items: &mut Messages) -> Result<(), h2::Error> {
        let order: Order = items.next().await?.unwrap_or_default();
        self.out.begin()?;
        for number in 0..order.count {
            let item = Item {
                text: String::new(),
                number,
                payload: vec![b'x'; usize::try_from(order.len).unwrap()],
            };
            self.out.send(&item).await?;
            if order.gap > 0 {
                let gap = Duration::from_millis(order.gap.unsigned_abs());
                self.out.pause(gap).await?;
            }
        }
        self.end(&order.end).await
    }

    async fn collect(&mut self, items: &mut Messages) -> Result<(), h2::Error> {
        let mut summary = Summary::default();
        while let Some(item) = items.next::<Item>().await? {
            self.tell(Event::Received(item.text.clone(), item.number));
            summary.count += 1;
            summary.len += i64::try_from(item.payload.len()).unwrap();
            match item.text.as_str() {
                "" => {}
                "stop" => break,
                "deaf" => self.be_deaf().await?,
                end => return self.end(end).await,
            }
        }
        self.tell(Event::HalfClosed);
        self.out.begin()?;
        self.out.send(&summary).await?;
        self.end("").await
    }

    async fn chat(&mut self, items: &mut Messages) -> Result<(), h2::Error> {
        let mut watches = false;
        while let Some(item) = items.next::<Item>().await? {
            self.tell(Event::Received(item.text.clone(), item.number));
            if self.out.stream.is_none() {
                self.out.begin()?;
            }
            match item.text.as_str() {
                "watch" => watches = true,
                "stop" => return self.end("").await,
                "deaf" => self.be_deaf().await?,
                "status" | "die" | "reset" | "hang" => return self.end(&item.text).await,
                _ => {}
            }
            self.out.send(&item).await?;
        }
        self.tell(Event::HalfClosed);
        if !watches {
            return self.end("").await;
        }
        for number in 1.. {
            self.out.pause(Duration::from_millis(20)).await?;
            let item = Item {
                text: "late".to_owned(),
                number,
                payload: Vec::new(),
            };
            self.out.send(&item).await?;
        }
        Ok(())
    }

    async fn be_deaf(&mut self) -> Result<(), h2::Error> {
        tokio::select! {
            paused = self.out.pause(Duration::from_mins(10)) => paused,
            () = self.healing.notified() => Ok(()),
        }
    }

    async fn end(&mut self, end: &str) -> Result<(), h2::Error> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        match end {
            "hang" => {
                self.out.begin()?;
                self.out.pause(Duration::from_mins(10)).await?;
            }
            "die" => {
                // What was sent before has to have left.
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.death.notify_one();
                // The stream is not let go of, which would reset it.
                std::future::pending::<()>().await;
            }
            "reset" => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.out.begin()?;
                if let Some(stream) = self.out.stream.as_mut() {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                }
                return Ok(());
            }
            "status" => {
                trailers.insert("grpc-status", HeaderValue::from_static("9"));
                trailers.insert("grpc-message", HeaderValue::from_static("not today"));
            }
            _ => {}
        }
        if let Some(stream) = self.out.stream.as_mut() {
            return stream.send_trailers(trailers);
        }
        let mut response = head();
        response.headers_mut().extend(trailers);
        self.out.respond.send_response(response, true).map(drop)
    }
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

impl Out {
    fn begin(&mut self) -> Result<(), h2::Error> {
        if self.stream.is_none() {
            self.stream = Some(self.respond.send_response(head(), false)?);
        }
        Ok(())
    }

    /// Sends a message as the window allows.
    async fn send(&mut self, message: &impl prost::Message) -> Result<(), h2::Error> {
        let message = message.encode_to_vec();
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&message);
        let mut frame = Bytes::from(frame);
        let Some(stream) = self.stream.as_mut() else {
            return Ok(());
        };
        while !frame.is_empty() {
            stream.reserve_capacity(frame.len());
            let room_len = match stream.capacity() {
                0 => poll_fn(|task| stream.poll_capacity(task))
                    .await
                    .unwrap_or(Err(Reason::CANCEL.into()))?,
                len => len,
            };
            let part = frame.split_to(room_len.min(frame.len()));
            self.sent_len.fetch_add(part.len() as u64, Ordering::SeqCst);
            stream.send_data(part, false)?;
        }
        Ok(())
    }

    /// Waits, unless the stream is reset.
    async fn pause(&mut self, time: Duration) -> Result<(), h2::Error> {
        let reset = poll_fn(|task| match self.stream.as_mut() {
            Some(stream) => stream.poll_reset(task),
            None => self.respond.poll_reset(task),
        });
        match tokio::time::timeout(time, reset).await {
            Ok(reset) => Err(reset?.into()),
            Err(_) => Ok(()),
        }
    }
}

/// The direction from the gateway, cut into messages.
struct Messages {
    body: RecvStream,
    buffer: Vec<u8>,
}

impl Messages {
    async fn next<M: prost::Message + Default>(&mut self) -> Result<Option<M>, h2::Error> {
        loop {
            if let Some((prefix, rest)) = self.buffer.split_first_chunk::<5>() {
                let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
                let len = usize::try_from(len).unwrap();
                if rest.len() >= len {
                    let message = M::decode(&rest[..len]).unwrap();
                    self.buffer.drain(..5 + len);
                    return Ok(Some(message));
                }
            }
            let Some(bytes) = self.body.data().await else {
                assert!(self.buffer.is_empty(), "the last message is cut");
                return Ok(None);
            };
            let bytes = bytes?;
            self.body.flow_control().release_capacity(bytes.len())?;
            self.buffer.extend_from_slice(&bytes);
        }
    }
}
