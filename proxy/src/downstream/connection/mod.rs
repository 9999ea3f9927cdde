//! One HTTP/1.1 connection: heads, bodies, responses in order, keep-alive, pipelining, time limits.
//! In: a stream. Out: calls through `relay`. Always: a request is answered or the connection is closed, never neither; where the
//! next request begins is never guessed.

mod body;

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use transom_engine::Error;
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{Envelope, write_upgrade};
use transom_engine::http1::{self, Parsed, PassedResponse, RequestHead, Version};
use transom_engine::limits::HEAD_LEN_MAX;

use super::inlet::{Inlet, ReadDone, read};
use super::outlet::write;
use super::passing::{self, NoResponse, Passage};
use super::socket::{self, Wires};
use super::streaming::{self, Carrier, Incoming};
use super::websocket::accept_of;
use crate::clock;
use crate::limits::{
    BUFFER_KEEP_LEN_MAX, DRAIN_GRACE, HEAD_TIMEOUT, IDLE_TIMEOUT, IDLE_TIMEOUT_CROWDED,
    LINGER_LEN_MAX, LINGER_TIMEOUT, LONG_BODY_LEN, PIPELINE_LEN_MAX,
};
use crate::net::{Accepted, Elapsed, WriteHalf};
use crate::relay::{
    Context, Directions, Intake, LongBegun, LongRequest, Outgoing, Panicked, is_long,
    passed_request,
};
use crate::upstream::{CallError, Reply, Upstream};
use body::Body;

/// Serves a client's connection until either side ends it.
///
/// What it returns lives as long as the connection, so what of it is rare lies in memory of its own.
pub(crate) fn serve(accepted: Accepted, context: Rc<Context>) -> impl Future<Output = ()> {
    let client = accepted.peer.ip();
    // Split here, since a future holds what it was given beside what it makes of it.
    let (reader, writer) = accepted.stream.into_split();
    async move {
        let flight = pin!(None);
        let worker = Rc::clone(&context);
        worker.note_start();
        let draining = pin!(worker.worker().until_draining());
        let mut connection = Connection {
            inlet: Inlet::new(reader, read, flight),
            writer,
            draining,
            client,
            head: LentHead::default(),
            asks_to_end: false,
            chunked: Vec::new(),
            long: Vec::new(),
            out: Vec::new(),
            context,
        };
        // An I/O error means that the client is gone: there is nobody left to tell.
        if let Ok(End::Unread) = connection.run().await {
            connection.linger().await;
        }
        for memory in [connection.long, connection.chunked, connection.out] {
            if memory.capacity() > LONG_BODY_LEN {
                connection.context.aside().let_go(memory);
            }
        }
        worker.note_end();
    }
}

struct Connection<'p, F, D> {
    inlet: Inlet<'p, F>,
    writer: WriteHalf,
    /// Ready when the worker is to end. One for the whole connection: joining the queue for each request would cost the more the
    /// more connections there are.
    draining: Pin<&'p mut D>,
    /// The client's address.
    client: IpAddr,
    head: LentHead,
    /// Whether the client has asked with the current request that the connection ends.
    asks_to_end: bool,
    /// The body of the current request, where it came in chunks.
    chunked: Vec<u8>,
    /// The body of the current request, where it is long: then it is here and nowhere else.
    long: Vec<u8>,
    /// Responses not yet written.
    out: Vec<u8>,
    context: Rc<Context>,
}

/// The head of the current request, in memory that the worker lends from its first byte until it has been used; before and after that, an empty one.
#[derive(Default)]
struct LentHead(Option<Box<RequestHead>>);

impl Deref for LentHead {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        static NONE: RequestHead = RequestHead::new();
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// How a connection came to its end.
#[derive(Clone, Copy)]
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

/// What becomes of a request.
enum Begun {
    /// The answer has been appended.
    Answered,
    Call(Outgoing),
    /// Another server answers it.
    Passage(Arc<Upstream>, Box<Passage>),
}

impl<F: Future<Output = ReadDone>, D: Future<Output = ()>> Connection<'_, F, D> {
    async fn run(&mut self) -> io::Result<End> {
        let end = loop {
            let exchanged = self.exchange().await;
            self.give_back_head();
            if let Some(end) = exchanged? {
                break end;
            }
            if self.out.len() > BUFFER_KEEP_LEN_MAX {
                self.flush().await?;
            }
            self.inlet.take_turns().await;
        };
        self.flush().await?;
        Ok(end)
    }

    /// Reads and answers one request. Says how the connection ends, if it ends with it.
    async fn exchange(&mut self) -> io::Result<Option<End>> {
        let head_len = match self.read_head().await? {
            Part::Whole(len) => len,
            Part::End => return Ok(Some(End::Read)),
            Part::Refused(error) => {
                self.context
                    .write_error(Envelope::REFUSED, error, None, &mut self.out);
                return Ok(Some(End::Unread));
            }
        };
        if self.head.asks_for_websocket(self.inlet.bytes())
            && let Some(end) = Box::pin(self.open_socket(head_len)).await?
        {
            return Ok(Some(end));
        }
        let envelope = self.context.envelope(&self.head, self.inlet.bytes());
        if !self.is_body_here(head_len) {
            match self.context.check(&self.head, self.inlet.bytes()) {
                Ok(Intake::Whole) => {}
                Ok(Intake::Streaming) => {
                    return Box::pin(self.begin_upload(head_len, envelope)).await;
                }
                // A body that is near is read first, so that the connection can stay; one for another server is passed on as a whole.
                Err(error)
                    if self.is_body_near(head_len) || self.context.origin_for(error).is_some() => {}
                Err(error) => {
                    self.refuse(envelope, error);
                    return Ok(Some(End::Unread));
                }
            }
        }
        let body = match self.read_body(head_len).await? {
            Part::Whole(body) => body,
            Part::End => return Ok(Some(End::Read)),
            Part::Refused(error) => {
                self.refuse(envelope, error);
                return Ok(Some(End::Unread));
            }
        };
        let request_len = head_len + body.inlet_len;
        let envelope = self.closing_if_last(envelope, request_len);
        let mut keeps_open = envelope.keeps_open();
        if self.long.is_empty() && self.is_coded(head_len, body) {
            let bytes = self.inlet.bytes();
            self.long = body.bytes(bytes, head_len, &self.chunked).to_vec();
        }
        let begun = if self.long.is_empty() {
            self.begin(head_len, body, &envelope)
        } else {
            Box::pin(self.begin_long(head_len, &envelope)).await?
        };
        self.chunked.clear();
        match begun {
            Begun::Call(mut outgoing) => {
                if let Some(streams) = outgoing.take_streams() {
                    // A body that streams is all here, and is sent on from there.
                    let used_len = match streams.intake() {
                        Intake::Streaming => head_len,
                        Intake::Whole => request_len,
                    };
                    self.inlet.consume(used_len);
                    return self.stream(outgoing, streams, envelope).await;
                }
                self.inlet.consume(request_len);
                self.give_back_head();
                let reply = match self.call(&outgoing).await {
                    Ok(reply) => reply,
                    Err(gone) => {
                        self.context.recycle(outgoing);
                        return Err(gone);
                    }
                };
                let envelope = self.closing_if_last(envelope, 0);
                keeps_open = envelope.keeps_open();
                match reply {
                    Ok(reply) if is_long(&reply, &envelope) => {
                        Box::pin(self.finish_long(outgoing, envelope, reply)).await?;
                    }
                    reply => self
                        .context
                        .finish(outgoing, envelope, reply, &mut self.out),
                }
            }
            Begun::Passage(origin, mut passage) => {
                self.inlet.consume(request_len);
                keeps_open = self.pass(&origin, &mut passage, envelope).await?;
            }
            Begun::Answered => self.inlet.consume(request_len),
        }
        Ok(self.end_after(keeps_open))
    }

    /// Lets other connections have the memory of the head, now that it has been used.
    fn give_back_head(&mut self) {
        if let Some(head) = self.head.0.take() {
            self.context.worker().buffers().give_back_head(head);
        }
    }

    /// How the connection goes on after an answer.
    fn end_after(&self, keeps_open: bool) -> Option<End> {
        match (keeps_open, self.inlet.bytes()) {
            (true, _) => None,
            // A client that asked for the end sends no more; one that did not may have, and a reset would cost it the answer.
            (false, []) if self.asks_to_end => Some(End::Read),
            (false, _) => Some(End::Unread),
        }
    }

    /// Changes over to WebSocket, and serves it to its end. Nothing if the request has to be answered as any other (SEMANTICS 127).
    async fn open_socket(&mut self, head_len: usize) -> io::Result<Option<End>> {
        let bytes = self.inlet.bytes();
        let begun = self.context.begin_socket(&self.head, bytes, self.client);
        let opened = begun.and_then(|begun| {
            begun
                .map(|socket| {
                    let accept = accept_of(self.head.websocket_key(bytes)?);
                    write_upgrade(&self.head, bytes, accept.as_bytes(), &mut self.out);
                    Ok(socket)
                })
                .transpose()
        });
        let socket = match opened {
            Ok(Some(socket)) => socket,
            Ok(None) => return Ok(None),
            Err(error) => {
                let envelope = self.context.envelope(&self.head, bytes);
                self.refuse(envelope, error);
                return Ok(Some(End::Unread));
            }
        };
        self.inlet.consume(head_len);
        self.give_back_head();
        let wires = Wires {
            inlet: &mut self.inlet,
            writer: &mut self.writer,
            out: &mut self.out,
            context: &self.context,
        };
        // In memory of its own, which a connection without one does without.
        Box::pin(socket::carry(wires, socket)).await?;
        Ok(Some(End::Unread))
    }

    /// Begins a call whose body is still to come, all or some of it, and is sent on as it does.
    async fn begin_upload(
        &mut self,
        head_len: usize,
        envelope: Envelope,
    ) -> io::Result<Option<End>> {
        let begun = self.context.begin(
            &self.head,
            self.inlet.bytes(),
            &[],
            (self.client, &envelope),
            &mut self.out,
        );
        let begun = begun.map(|outgoing| {
            outgoing
                .and_then(|mut outgoing| outgoing.take_streams().map(|streams| (outgoing, streams)))
        });
        match begun {
            Ok(Some((outgoing, streams))) => {
                self.inlet.consume(head_len);
                self.stream(outgoing, streams, envelope).await
            }
            // Nothing else has such a body.
            Ok(None) => Ok(Some(End::Unread)),
            Err(error) => {
                self.refuse(envelope, error);
                Ok(Some(End::Unread))
            }
        }
    }

    /// Carries a call that streams. Of its request the head has been used, and the body if that does not stream.
    async fn stream(
        &mut self,
        outgoing: Outgoing,
        streams: Directions,
        mut envelope: Envelope,
    ) -> io::Result<Option<End>> {
        let incoming = Incoming::of(self.head.framing());
        if streams.intake() == Intake::Streaming && self.inlet.bytes().is_empty() {
            self.promise_to_read();
        }
        // Without chunks only the end of the connection ends a response whose length nobody knows.
        if self.head.version() == Version::Http10 || self.context.worker().is_draining() {
            envelope = envelope.closing();
        }
        self.give_back_head();
        let carrier = Carrier {
            inlet: &mut self.inlet,
            writer: &mut self.writer,
            out: &mut self.out,
            context: &self.context,
            envelope,
        };
        // In memory of its own, which a connection without streams does without.
        let carrying = Box::pin(streaming::carry(carrier, outgoing, streams, incoming));
        let carried = carrying.await?;
        if carried.is_whole {
            return Ok(self.end_after(carried.keeps_open));
        }
        Ok(Some(End::Unread))
    }

    /// Reads up to the end of a head, and says how long it is.
    async fn read_head(&mut self) -> io::Result<Part<usize>> {
        let mut deadline = None;
        let mut parsed_len = 0;
        loop {
            let bytes = self.inlet.bytes();
            if may_parse_further(bytes, parsed_len) {
                parsed_len = bytes.len();
                let buffers = self.context.worker().buffers();
                let head = self.head.0.get_or_insert_with(|| buffers.take_head());
                match head.parse(bytes) {
                    Ok(Parsed::Complete { len }) => {
                        self.asks_to_end = !head.keep_alive();
                        return Ok(Part::Whole(len));
                    }
                    Ok(Parsed::Partial) => {}
                    Err(error) => return Ok(Part::Refused(error)),
                }
            }
            // Whatever is answered goes out before the client is waited for.
            self.flush().await?;
            if self.inlet.bytes().is_empty() {
                if self.wait_idle().await.unwrap_or(Ok(0))? == 0 {
                    return Ok(Part::End);
                }
                self.out = self.context.worker().buffers().take();
                continue;
            }
            let now = clock::now();
            let deadline = *deadline.get_or_insert(now + HEAD_TIMEOUT);
            let rest = deadline.saturating_duration_since(now);
            let more = pin!(self.inlet.more());
            let Ok(read) = self.writer.alarm().within(rest, more).await else {
                return Ok(Part::Refused(Error::request(ErrorKind::RequestTimeout)));
            };
            // Cut in the middle: there is nobody to answer, or nothing to answer to.
            if read? == 0 {
                return Ok(Part::End);
            }
        }
    }

    /// Waits for the first byte of a request, without memory for anything else. Nothing when the time is up or the worker is to end.
    async fn wait_idle(&mut self) -> Option<io::Result<usize>> {
        let Self {
            inlet,
            writer,
            draining,
            chunked,
            out,
            context,
            ..
        } = self;
        let worker = context.worker();
        worker.buffers().give_back(std::mem::take(chunked));
        worker.buffers().give_back(std::mem::take(out));
        let mut more = pin!(inlet.more());
        let mut waited = Duration::ZERO;
        while !worker.is_draining() {
            let either = pin!(poll_fn(|task| match more.as_mut().poll(task) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => draining.as_mut().poll(task).map(|()| None),
            }));
            match writer.alarm().within(IDLE_TIMEOUT_CROWDED, either).await {
                Ok(Some(read)) => return Some(read),
                Ok(None) => break,
                Err(Elapsed) => waited += IDLE_TIMEOUT_CROWDED,
            }
            if waited >= IDLE_TIMEOUT || worker.is_crowded() {
                return None;
            }
        }
        writer.alarm().within(DRAIN_GRACE, more).await.ok()
    }

    /// Says in the answer that the connection ends, if the worker is to end and nothing has come behind this request.
    fn closing_if_last(&self, envelope: Envelope, request_len: usize) -> Envelope {
        let is_last = self.inlet.bytes().len() == request_len;
        if is_last && self.context.worker().is_draining() {
            envelope.closing()
        } else {
            envelope
        }
    }

    /// Makes the call out of the request, or answers it here.
    fn begin(&mut self, head_len: usize, body: Body, envelope: &Envelope) -> Begun {
        let bytes = self.inlet.bytes();
        let body = body.bytes(bytes, head_len, &self.chunked);
        match self.context.begin(
            &self.head,
            bytes,
            body,
            (self.client, envelope),
            &mut self.out,
        ) {
            Ok(Some(outgoing)) => Begun::Call(outgoing),
            Ok(None) => Begun::Answered,
            Err(error) => {
                if let Some(origin) = self.context.origin_for(error) {
                    let request = passed_request(origin, &self.head, bytes, body, self.client);
                    let passage = self.passage(request, bytes, envelope);
                    return Begun::Passage(Arc::clone(origin), Box::new(passage));
                }
                let request = Some((&*self.head, bytes, body));
                self.context
                    .write_error(envelope.clone(), error, request, &mut self.out);
                Begun::Answered
            }
        }
    }

    /// The same as [`Self::begin`] for a body that is long.
    async fn begin_long(&mut self, head_len: usize, envelope: &Envelope) -> io::Result<Begun> {
        let request = LongRequest {
            head: *self.head.0.take().unwrap_or_default(),
            bytes: self
                .inlet
                .bytes()
                .get(..head_len)
                .unwrap_or_default()
                .to_vec(),
            body: std::mem::take(&mut self.long),
        };
        let asked = (self.client, envelope);
        let begun = self.context.begin_long(request, asked, &mut self.out).await;
        let ((head, bytes), begun) = begun.map_err(|Panicked| io::ErrorKind::Other)?;
        self.head.0 = Some(Box::new(head));
        Ok(match begun {
            LongBegun::Call(outgoing) => Begun::Call(*outgoing),
            LongBegun::Answered => Begun::Answered,
            LongBegun::Unknown(origin, request) => {
                let passage = self.passage(request, &bytes, envelope);
                Begun::Passage(origin, Box::new(passage))
            }
        })
    }

    /// Appends the answer of a reply that is long, and writes all there is.
    async fn finish_long(
        &mut self,
        outgoing: Outgoing,
        envelope: Envelope,
        reply: Reply,
    ) -> io::Result<()> {
        let finished = self
            .context
            .finish_long(outgoing, envelope, reply, &mut self.out);
        finished.await.map_err(|Panicked| io::ErrorKind::Other)?;
        write(&mut self.writer, &mut self.out).await?;
        self.context.aside().let_go(std::mem::take(&mut self.out));
        Ok(())
    }

    /// A request on its way to another server.
    fn passage(&self, request: Vec<u8>, bytes: &[u8], envelope: &Envelope) -> Passage {
        let connection = if envelope.keeps_open() {
            self.head.connection()
        } else {
            http1::Connection::Close
        };
        Passage {
            request,
            response: PassedResponse::new(&self.head, bytes, connection),
        }
    }

    /// Passes a request on, and its response back. Says whether the connection stays open.
    async fn pass(
        &mut self,
        origin: &Upstream,
        passage: &mut Passage,
        envelope: Envelope,
    ) -> io::Result<bool> {
        let client = passing::Client {
            inlet: &mut self.inlet,
            writer: &mut self.writer,
            out: &mut self.out,
        };
        // In memory of its own, which a connection that passes nothing on does without.
        let passing = Box::pin(passing::pass(origin, passage, client));
        let passed = passing.await;
        let request = std::mem::take(&mut passage.request);
        if request.capacity() > LONG_BODY_LEN {
            self.context.aside().let_go(request);
        }
        let Err(why) = passed? else {
            return Ok(passage.response.keeps_open());
        };
        let keeps_open = envelope.keeps_open();
        let is_late = why == NoResponse::TimedOut;
        self.context
            .write_unanswered(envelope, is_late, &mut self.out);
        Ok(keeps_open)
    }

    /// Answers a request whose body is not read to its end, so that the connection ends too.
    fn refuse(&mut self, envelope: Envelope, error: Error) {
        let request = Some((&*self.head, self.inlet.bytes(), &[][..]));
        self.context
            .write_error(envelope.closing(), error, request, &mut self.out);
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
        // Mostly there is nothing to write, and a connection does without the memory to do it.
        let mut flush = (!out.is_empty()).then(|| Box::pin(write(writer, out)));
        let mut reply = None;
        poll_fn(|task| {
            if reply.is_none()
                && let Poll::Ready(done) = call.as_mut().poll(task)
            {
                reply = Some(done);
            }
            if let Some(writing) = &mut flush
                && let Poll::Ready(written) = writing.as_mut().poll(task)
            {
                written?;
                flush = None;
            }
            // Both are polled to their ends, and no further.
            if flush.is_none()
                && let Some(reply) = reply.take()
            {
                return Poll::Ready(Ok(reply));
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
        if self.inlet.has_ended() || self.writer.shutdown().await.is_err() {
            return;
        }
        let inlet = &mut self.inlet;
        let discard = pin!(async {
            let mut len = 0;
            while len < LINGER_LEN_MAX {
                inlet.consume(usize::MAX);
                match inlet.more().await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => len += read,
                }
            }
        });
        // Either way the connection is closed now.
        let _ended = self.writer.alarm().within(LINGER_TIMEOUT, discard).await;
    }
}

/// Whether a head that was not whole at `parsed_len` bytes can be more now. Without this a head that comes byte by byte would be
/// parsed as many times as it has bytes; so it is for each line, and when it has doubled, which finds errors within a line.
fn may_parse_further(bytes: &[u8], parsed_len: usize) -> bool {
    let (parsed, new) = bytes.split_at(parsed_len.min(bytes.len()));
    new.len() >= parsed.len() || new.contains(&b'\n') || bytes.len() >= HEAD_LEN_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a future is that lives as long as its connection.
    fn future_len<F>(_serve: impl Fn(Accepted, Rc<Context>) -> F) -> usize {
        size_of::<F>()
    }

    /// What a call or a stream needs beyond this belongs into memory of its own, or ten thousand idle connections pay for it.
    #[test]
    fn connection_that_is_idle_is_short() {
        let len = future_len(serve);
        assert!(len <= 3 * 1024, "{len} bytes");
    }

    #[test]
    fn head_is_parsed_again_at_the_end_of_a_line_or_when_it_has_doubled() {
        assert!(may_parse_further(b"", 0));
        assert!(may_parse_further(b"G", 0));
        assert!(!may_parse_further(b"GET / H", 4));
        assert!(may_parse_further(b"GET / HTTP", 5));
        assert!(may_parse_further(b"GET / H\n", 7));
        assert!(may_parse_further(
            &vec![b'a'; HEAD_LEN_MAX],
            HEAD_LEN_MAX - 1
        ));
    }
}
