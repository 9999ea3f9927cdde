//! One HTTP/1.1 connection: heads, bodies, responses in order, keep-alive, pipelining, time limits.
//! In: a stream. Out: calls through `relay`. Always: a request is answered or the connection is closed, never neither.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use transom_engine::Error;
use transom_engine::error::ErrorKind;
use transom_engine::exchange::Envelope;
use transom_engine::http1::{BodyFraming, ChunkedBody, Parsed, RequestHead, write_continue};
use transom_engine::limits::BODY_LEN_MAX;

use super::inlet::{Inlet, ReadDone, read};
use crate::clock;
use crate::limits::{
    BODY_GAP_TIMEOUT, BODY_ROOM_LEN, BUFFER_KEEP_LEN_MAX, HEAD_TIMEOUT, IDLE_TIMEOUT,
    LINGER_LEN_MAX, LINGER_TIMEOUT, PIPELINE_LEN_MAX, WRITE_TIMEOUT,
};
use crate::net::{Elapsed, Stream, WriteHalf, timeout};
use crate::relay::{Context, Outgoing};
use crate::upstream::{CallError, Reply};

/// Serves a client's connection until either side ends it.
pub(crate) async fn serve(stream: Stream, context: Rc<Context>) {
    let (reader, writer) = stream.into_split();
    let flight = pin!(None);
    let worker = Rc::clone(&context);
    let draining = pin!(worker.worker().until_draining());
    let mut connection = Connection {
        inlet: Inlet::new(reader, read, flight),
        writer,
        draining,
        head: RequestHead::new(),
        chunked: Vec::new(),
        awaits_continue: false,
        out: Vec::new(),
        context,
    };
    // An I/O error means that the client is gone: there is nobody left to tell.
    if let Ok(End::Unread) = connection.run().await {
        connection.linger().await;
    }
}

struct Connection<'p, F, D> {
    inlet: Inlet<'p, F>,
    writer: WriteHalf,
    /// Ready when the worker is to end. One for the whole connection: joining the queue for each request would cost the more the
    /// more connections there are.
    draining: Pin<&'p mut D>,
    head: RequestHead,
    /// The body of the current request, where it came in chunks.
    chunked: Vec<u8>,
    /// Whether the client has been promised nothing yet and holds its body back.
    awaits_continue: bool,
    /// Responses not yet written.
    out: Vec<u8>,
    context: Rc<Context>,
}

/// How a connection came to its end.
enum End {
    /// Nothing of what the client sent is left.
    Read,
    /// We answered before reading all that the client sends.
    Unread,
}

/// What came of reading a part of a request.
enum Part<T> {
    Whole(T),
    /// The client sends no further request.
    End,
    /// It cannot be read; where the next request would begin is unknown.
    Refused(Error),
}

/// The body of the current request: `inlet_len` bytes behind the head, or `Connection::chunked`.
#[derive(Clone, Copy)]
struct Body {
    inlet_len: usize,
    is_chunked: bool,
}

impl<F: Future<Output = ReadDone>, D: Future<Output = ()>> Connection<'_, F, D> {
    async fn run(&mut self) -> io::Result<End> {
        while self.exchange().await? {
            if self.out.len() > BUFFER_KEEP_LEN_MAX {
                self.flush().await?;
            }
        }
        self.flush().await?;
        Ok(if self.inlet.bytes().is_empty() {
            End::Read
        } else {
            End::Unread
        })
    }

    /// Reads and answers one request. False when the connection ends with it.
    async fn exchange(&mut self) -> io::Result<bool> {
        let head_len = match self.read_head().await? {
            Part::Whole(len) => len,
            Part::End => return Ok(false),
            Part::Refused(error) => {
                self.context
                    .write_error(Envelope::REFUSED, error, None, &mut self.out);
                return Ok(false);
            }
        };
        let mut envelope = Envelope::of(&self.head, self.inlet.bytes());
        if self.context.worker().is_draining() {
            envelope = envelope.closing();
        }
        // What the head alone decides is decided before the body is waited for.
        if let Err(error) = self.context.check(&self.head, self.inlet.bytes()) {
            let is_body_here = self.is_body_here(head_len);
            let envelope = if is_body_here.is_some() {
                envelope
            } else {
                envelope.closing()
            };
            self.write_error(envelope, error, &[]);
            self.inlet.consume(head_len + is_body_here.unwrap_or(0));
            return Ok(envelope.keeps_open());
        }
        let body = match self.read_body(head_len).await? {
            Part::Whole(body) => body,
            Part::End => return Ok(false),
            Part::Refused(error) => {
                self.write_error(envelope.closing(), error, &[]);
                return Ok(false);
            }
        };
        match self.begin(head_len, body, envelope) {
            None => self.inlet.consume(head_len + body.inlet_len),
            Some(outgoing) => {
                self.inlet.consume(head_len + body.inlet_len);
                let reply = self.call(&outgoing).await?;
                self.context
                    .finish(outgoing, envelope, reply, &mut self.out);
            }
        }
        self.chunked.clear();
        Ok(envelope.keeps_open())
    }

    /// Reads up to the end of a head, and says how long it is.
    async fn read_head(&mut self) -> io::Result<Part<usize>> {
        let mut deadline = None;
        loop {
            match self.head.parse(self.inlet.bytes()) {
                Ok(Parsed::Complete { len }) => return Ok(Part::Whole(len)),
                Ok(Parsed::Partial) => {}
                Err(error) => return Ok(Part::Refused(error)),
            }
            // Whatever is answered goes out before the client is waited for.
            self.flush().await?;
            if self.inlet.bytes().is_empty() {
                let read = self.wait_idle().await.unwrap_or(Ok(0))?;
                if read == 0 {
                    return Ok(Part::End);
                }
                self.out = self.context.worker().buffers().take();
                continue;
            }
            let now = clock::now();
            let deadline = *deadline.get_or_insert(now + HEAD_TIMEOUT);
            let Ok(read) =
                timeout(deadline.saturating_duration_since(now), self.inlet.more()).await
            else {
                return Ok(Part::Refused(Error::request(ErrorKind::RequestTimeout)));
            };
            // Cut in the middle: there is nobody to answer, or nothing to answer to.
            if read? == 0 {
                return Ok(Part::End);
            }
        }
    }

    /// Waits for the first byte of a request. Nothing when the time is up or the worker is to end.
    async fn wait_idle(&mut self) -> Option<io::Result<usize>> {
        self.inlet.shrink();
        let Self {
            inlet,
            draining,
            out,
            context,
            ..
        } = self;
        let worker = context.worker();
        worker.buffers().give_back(std::mem::take(out));
        if worker.is_draining() {
            return None;
        }
        let mut more = pin!(inlet.more());
        let either = poll_fn(|task| match more.as_mut().poll(task) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => draining.as_mut().poll(task).map(|()| None),
        });
        timeout(IDLE_TIMEOUT, either).await.unwrap_or(None)
    }

    /// How long the body is, if all of it is here.
    fn is_body_here(&self, head_len: usize) -> Option<usize> {
        let here_len = self.inlet.bytes().len() - head_len;
        match self.head.framing() {
            BodyFraming::None => Some(0),
            BodyFraming::Length(len) => usize::try_from(len).ok().filter(|&len| len <= here_len),
            BodyFraming::Chunked => None,
        }
    }

    async fn read_body(&mut self, head_len: usize) -> io::Result<Part<Body>> {
        self.awaits_continue = self.head.expects_continue();
        match self.head.framing() {
            BodyFraming::None => Ok(Part::Whole(Body {
                inlet_len: 0,
                is_chunked: false,
            })),
            BodyFraming::Length(len) => match usize::try_from(len) {
                Ok(len) if len <= BODY_LEN_MAX => self.read_sized_body(head_len, len).await,
                // SEMANTICS 73: refused before any of it is buffered.
                _ => Ok(Part::Refused(Error::request(ErrorKind::BodyTooLarge))),
            },
            BodyFraming::Chunked => self.read_chunked_body(head_len).await,
        }
    }

    async fn read_sized_body(&mut self, head_len: usize, len: usize) -> io::Result<Part<Body>> {
        loop {
            let here_len = self.inlet.bytes().len() - head_len;
            if here_len >= len {
                return Ok(Part::Whole(Body {
                    inlet_len: len,
                    is_chunked: false,
                }));
            }
            // Room follows what has come, not what was announced: an announcement costs the client nothing.
            self.inlet
                .expect((len - here_len).min(here_len.max(BODY_ROOM_LEN)));
            if let Some(part) = self.wait_for_body().await? {
                return Ok(part);
            }
        }
    }

    async fn read_chunked_body(&mut self, head_len: usize) -> io::Result<Part<Body>> {
        let mut decoder = ChunkedBody::new();
        self.chunked.clear();
        loop {
            let input = self.inlet.bytes().get(head_len..).unwrap_or_default();
            match decoder.decode(input, &mut self.chunked, BODY_LEN_MAX) {
                Ok(decoded) => {
                    self.inlet.cut(head_len, decoded.consumed);
                    if decoded.is_done {
                        return Ok(Part::Whole(Body {
                            inlet_len: 0,
                            is_chunked: true,
                        }));
                    }
                }
                Err(error) => return Ok(Part::Refused(error)),
            }
            if let Some(part) = self.wait_for_body().await? {
                return Ok(part);
            }
        }
    }

    /// Waits for more of a body; nothing when some has come.
    async fn wait_for_body<T>(&mut self) -> io::Result<Option<Part<T>>> {
        // SEMANTICS 75: a client that asked first waits for this; one that has begun to send does not need it.
        if std::mem::take(&mut self.awaits_continue) {
            write_continue(&mut self.out);
        }
        self.flush().await?;
        let Ok(read) = timeout(BODY_GAP_TIMEOUT, self.inlet.more()).await else {
            return Ok(Some(Part::Refused(Error::request(
                ErrorKind::RequestTimeout,
            ))));
        };
        Ok((read? == 0).then_some(Part::End))
    }

    /// Makes the call out of the request, or answers it here.
    fn begin(&mut self, head_len: usize, body: Body, envelope: Envelope) -> Option<Outgoing> {
        let bytes = self.inlet.bytes();
        let body = if body.is_chunked {
            &*self.chunked
        } else {
            bytes
                .get(head_len..head_len + body.inlet_len)
                .unwrap_or_default()
        };
        match self
            .context
            .begin(&self.head, bytes, body, envelope, &mut self.out)
        {
            Ok(outgoing) => outgoing,
            Err(error) => {
                let request = Some((&self.head, bytes, body));
                self.context
                    .write_error(envelope, error, request, &mut self.out);
                None
            }
        }
    }

    fn write_error(&mut self, envelope: Envelope, error: Error, body: &[u8]) {
        let request = Some((&self.head, self.inlet.bytes(), body));
        self.context
            .write_error(envelope, error, request, &mut self.out);
    }

    /// Waits for the upstream, while earlier answers go out and the client is watched: one that leaves cancels its call
    /// (SEMANTICS 126), which is an error here.
    async fn call(&mut self, outgoing: &Outgoing) -> io::Result<Result<Reply, CallError>> {
        let Self {
            inlet,
            writer,
            out,
            context,
            ..
        } = self;
        let mut call = pin!(context.call(outgoing));
        let mut flush = pin!(write(writer, out));
        let mut is_flushed = false;
        let mut reply = None;
        poll_fn(|task| {
            if reply.is_none()
                && let Poll::Ready(done) = call.as_mut().poll(task)
            {
                reply = Some(done);
            }
            if !is_flushed && let Poll::Ready(written) = flush.as_mut().poll(task) {
                written?;
                is_flushed = true;
            }
            match reply.take() {
                Some(reply) if is_flushed => return Poll::Ready(Ok(reply)),
                still => reply = still,
            }
            inlet
                .poll_gone(task, PIPELINE_LEN_MAX)
                .map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
        })
        .await
    }

    async fn flush(&mut self) -> io::Result<()> {
        write(&mut self.writer, &mut self.out).await
    }

    /// Closes so that the answer arrives: a reset would overtake it if the client were still sending.
    async fn linger(&mut self) {
        if self.writer.shutdown().await.is_err() {
            return;
        }
        let discard = async {
            let mut len = 0;
            while len < LINGER_LEN_MAX {
                self.inlet.consume(usize::MAX);
                match self.inlet.more().await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => len += read,
                }
            }
        };
        // Either way the connection is closed now.
        let _ended = timeout(LINGER_TIMEOUT, discard).await;
    }
}

/// Writes what `out` holds, and leaves it empty with its memory.
async fn write(writer: &mut WriteHalf, out: &mut Vec<u8>) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let (written, buffer) = timeout(WRITE_TIMEOUT, writer.write_all(std::mem::take(out)))
        .await
        .map_err(|Elapsed| io::Error::from(io::ErrorKind::TimedOut))?;
    *out = buffer;
    out.clear();
    written
}
