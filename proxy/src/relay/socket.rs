//! The steps of a call over a WebSocket. In: the head that asks for one, then messages of the client, then what the upstream sends. Out: a call, framed
//! messages, and texts for the client. Always: as in `relay`, what bytes mean is decided by `transom_engine::exchange`.

use std::net::IpAddr;

use transom_engine::Error;
use transom_engine::exchange::{Failure, Pushed, ReplyHead, Requests, SocketReplies};
use transom_engine::http1::RequestHead;

use super::{Context, Outgoing, Parcel};
use crate::upstream::{Answer, ReplyMetadata};

/// A call whose messages go over a WebSocket.
#[derive(Debug)]
pub struct Socket {
    /// What the call is begun with.
    pub outgoing: Outgoing,
    /// What the client sends.
    pub requests: Requests,
    /// What it gets.
    pub replies: SocketReplies,
    /// Whether the method takes more than one message.
    pub takes_many: bool,
}

impl Context {
    /// The call that a WebSocket is opened for. Nothing if the request asks for none, or its path has no streaming method: it is one as any other then.
    ///
    /// # Errors
    /// When it is refused; the answer is up to the caller.
    pub fn begin_socket(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        client: IpAddr,
    ) -> Result<Option<Socket>, Error> {
        let transcoder = &self.gateway.transcoder;
        let scratch = &mut *self.scratch.borrow_mut();
        let Some(call) = transcoder.handle_upgrade(head, bytes, scratch)? else {
            return Ok(None);
        };
        let requests = call.requests(transcoder, head, bytes, scratch)?;
        let mut parcel = Parcel::default();
        self.write_metadata(&call, (head, bytes), client, scratch, &mut parcel)?;
        call.each_websocket_metadata(transcoder, head, bytes, |name, value| {
            parcel.metadata.push(name, value);
        });
        Ok(Some(Socket {
            requests,
            replies: call.socket_replies(transcoder),
            takes_many: call.kind(transcoder).has_requests(),
            outgoing: Outgoing {
                call,
                parcel,
                streams: None,
            },
        }))
    }

    /// Ends one message of the client: what it holds is whole, and the next one begins anew.
    ///
    /// # Errors
    /// When something of it is missing.
    pub fn end_request_text(
        &self,
        requests: &mut Requests,
        messages: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let scratch = &mut *self.scratch.borrow_mut();
        requests.end_text(&self.gateway.transcoder, scratch, messages)
    }

    /// Takes the headers of an answer, and says whether messages follow.
    ///
    /// # Errors
    /// When the call failed already.
    pub fn take_socket_headers(
        &self,
        replies: &SocketReplies,
        answer: &Answer,
    ) -> Result<bool, Failure> {
        replies.take_headers(&ReplyHead {
            http_status: answer.http_status.as_u16(),
            headers: || answer.headers.pairs(),
            ends_stream: answer.is_all,
        })
    }

    /// Takes bytes of an answer up to the end of a message, and appends what becomes of them.
    ///
    /// # Errors
    /// When they are at fault.
    pub fn push_socket_reply(
        &self,
        replies: &mut SocketReplies,
        piece: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<Pushed, Failure> {
        let scratch = &mut *self.scratch.borrow_mut();
        replies.push(&self.gateway.transcoder, piece, scratch, text)
    }

    /// Takes the trailers of an answer.
    ///
    /// # Errors
    /// What they say went wrong.
    pub fn finish_socket(
        &self,
        replies: &SocketReplies,
        trailers: Option<&ReplyMetadata>,
    ) -> Result<(), Failure> {
        replies.finish(trailers.into_iter().flat_map(ReplyMetadata::pairs))
    }

    /// Appends an error as a message.
    pub fn write_error_message(&self, failure: &Failure, text: &mut Vec<u8>) {
        let scratch = &mut *self.scratch.borrow_mut();
        failure.write_json(&self.gateway.transcoder, scratch, text);
    }
}
