//! The steps of an exchange whose body is long, each way. In: what the steps for other bodies take, as values of its own. Out: the same. Always: the
//! worker only moves what takes no time; all that grows with the body is done aside, by the same code as for other bodies, so that answers are the same.

use std::net::IpAddr;
use std::sync::Arc;

use transom_engine::Error;
use transom_engine::exchange::{self, Envelope, Request};
use transom_engine::http1::RequestHead;

use super::{Context, Directions, Outgoing, Parcel, passed_request};
use crate::aside::{Aside, Lane};
use crate::buffers::SharedBuffer;
use crate::limits::{LONG_BODY_LEN, LONG_CODED_REPLY_LEN, SHORT_CODED_BODY_LEN};
use crate::upstream::{Reply, ReplyMetadata, Upstream};

/// A request whose body is long.
#[derive(Debug)]
pub struct LongRequest {
    /// Its head.
    pub head: RequestHead,
    /// The bytes that the head was parsed from.
    pub bytes: Vec<u8>,
    /// Its body, without framing.
    pub body: Vec<u8>,
}

/// What has come of a long request.
#[derive(Debug)]
pub enum LongBegun {
    /// It has become a call.
    Call(Box<Outgoing>),
    /// The answer has been appended.
    Answered,
    /// There is no such path here; the request is, as the server gets it that has it.
    Unknown(Arc<Upstream>, Vec<u8>),
}

/// Something panicked, and the connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// What is given back of a long request: the head, and its bytes.
type Used = (RequestHead, Vec<u8>);

impl Context {
    /// As [`Context::begin`], for a body that is long; an error is answered here. Gives the head back.
    ///
    /// # Errors
    /// If the conversion panics.
    pub async fn begin_long(
        &self,
        request: LongRequest,
        (client, envelope): (IpAddr, &Envelope),
        out: &mut Vec<u8>,
    ) -> Result<(Used, LongBegun), Panicked> {
        let LongRequest { head, bytes, body } = request;
        let prepared = self.prepare(&head, &bytes, client);
        let (call, mut parcel) = match prepared {
            Ok(Some(prepared)) => prepared,
            Ok(None) => {
                // An `OPTIONS`, whose body nobody reads.
                let begun = self.begin(&head, &bytes, &[], (client, envelope), out);
                debug_assert!(matches!(begun, Ok(None)), "it was no call");
                return Ok(((head, bytes), LongBegun::Answered));
            }
            Err(error) => {
                if let Some(origin) = self.origin_for(error) {
                    let origin = Arc::clone(origin);
                    let request = LongRequest { head, bytes, body };
                    return self.write_passed_long(request, client, origin).await;
                }
                self.aside().let_go(body);
                // These are never faults of the body.
                let request = Some((&head, &*bytes, &[][..]));
                self.write_error(envelope.clone(), error, request, out);
                return Ok(((head, bytes), LongBegun::Answered));
            }
        };
        let gateway = Arc::clone(&self.gateway);
        let envelope = self.dated(envelope.clone());
        let lane = if body.len() > SHORT_CODED_BODY_LEN {
            Lane::Long
        } else {
            Lane::Short
        };
        let converted = self.aside().run(lane, move |scratch| {
            let transcoder = &gateway.transcoder;
            // It is about as long as the body: to grow step by step would take more of both memory and time.
            let mut message = Vec::with_capacity(body.len());
            // The path is read once more, for its captures are in the scratch of another thread.
            let written = transcoder
                .handle_head(&head, &bytes, scratch)
                .and_then(|_| {
                    call.write_request(transcoder, &head, &bytes, &body, scratch, &mut message)
                });
            let written = written.map_err(|error| {
                let mut answer = Vec::new();
                let request = Some((&head, &*bytes, &*body));
                transcoder.write_error(&envelope, error, request, scratch, &mut answer);
                answer
            });
            ((head, bytes), written.map(|()| message))
        });
        let ((head, bytes), written) = converted.await.ok_or(Panicked)?;
        match written {
            Ok(message) => parcel.message = SharedBuffer::of(message),
            Err(answer) => {
                out.extend_from_slice(&answer);
                return Ok(((head, bytes), LongBegun::Answered));
            }
        }
        let transcoder = &self.gateway.transcoder;
        let has_replies = call.kind(transcoder).has_replies();
        let replies = || Box::new(call.replies(transcoder, &head, &bytes));
        let outgoing = Outgoing {
            call,
            parcel,
            streams: has_replies.then(|| Directions::Replies(replies())),
        };
        Ok(((head, bytes), LongBegun::Call(Box::new(outgoing))))
    }

    /// Writes a request whose body is long as another server gets it.
    async fn write_passed_long(
        &self,
        request: LongRequest,
        client: IpAddr,
        origin: Arc<Upstream>,
    ) -> Result<(Used, LongBegun), Panicked> {
        let LongRequest { head, bytes, body } = request;
        let written = self.aside().run(Lane::Long, move |_| {
            let request = passed_request(&origin, &head, &bytes, &body, client);
            ((head, bytes), origin, request)
        });
        let (used, origin, request) = written.await.ok_or(Panicked)?;
        Ok((used, LongBegun::Unknown(origin, request)))
    }

    /// As [`Context::finish`], for a reply that [is long](is_long). `out` comes back from another thread, with the memory that it got there.
    ///
    /// # Errors
    /// If the conversion panics.
    pub async fn finish_long(
        &self,
        outgoing: Outgoing,
        envelope: Envelope,
        reply: Reply,
        out: &mut Vec<u8>,
    ) -> Result<(), Panicked> {
        let call = outgoing.call;
        self.recycle(outgoing);
        let gateway = Arc::clone(&self.gateway);
        let envelope = self.dated(envelope);
        let mut answer = std::mem::take(out);
        let http_status = reply.http_status.as_u16();
        let body = reply.body.into_bytes();
        let headers = reply.headers.into_list();
        let trailers = reply.trailers.map(ReplyMetadata::into_list);
        let written = self.aside().run(Lane::Long, move |scratch| {
            let reply = exchange::Reply {
                http_status,
                headers: || headers.iter(),
                body: &body,
                trailers: trailers.as_ref().map(|trailers| || trailers.iter()),
            };
            answer.reserve(body.len() + body.len() / 8);
            call.write_reply(&gateway.transcoder, &envelope, reply, scratch, &mut answer);
            answer
        });
        *out = written.await.ok_or(Panicked)?;
        Ok(())
    }

    /// The threads beside the workers.
    pub fn aside(&self) -> &Aside {
        &self.gateway.aside
    }

    /// The call that a request is, and its metadata. Nothing if it is none.
    fn prepare(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        client: IpAddr,
    ) -> Result<Option<(exchange::Call, Parcel)>, Error> {
        let scratch = &mut *self.scratch.borrow_mut();
        let Request::Call(call) = self.gateway.transcoder.handle_head(head, bytes, scratch)? else {
            return Ok(None);
        };
        let mut parcel = Parcel::default();
        self.write_metadata(&call, (head, bytes), client, scratch, &mut parcel)?;
        Ok(Some((call, parcel)))
    }
}

/// Whether a reply is so long that it is converted aside, and compressed if the answer is to be.
pub fn is_long(reply: &Reply, envelope: &Envelope) -> bool {
    let len_max = if envelope.wants_coding() {
        LONG_CODED_REPLY_LEN
    } else {
        LONG_BODY_LEN
    };
    reply.body.len() > len_max
}
