//! The frames of one WebSocket. In: bytes from the client; messages for it. Out: its messages; bytes to be written.
//! Always: no socket is touched here; a message has a limit, and what is held of it is what has come; pings are answered and a violation ends with the close code that RFC 6455 has for it.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::Message;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::pieces::Pieces;
use crate::buffers::trim;
use crate::limits::SOCKET_PIECE_LEN;

/// Bytes that the reason of a close frame may have (RFC 6455 section 5.5.1: a control frame has 125, two of them the code).
const REASON_LEN_MAX: usize = 123;

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message, of text or of bytes, which clients do not always tell apart. It may be empty.
    Message(Bytes),
    /// The client closes, or violates the protocol: nothing more is read, and what there is to say about it waits to be written.
    Closed,
}

/// Why a WebSocket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The call ended with OK.
    Done,
    /// The client sent what cannot be read.
    BadMessage,
    /// Anything else that went wrong.
    Failed,
}

/// The state of a WebSocket whose opening has been answered.
pub(super) struct WebSocket {
    context: WebSocketContext,
    wire: Wire,
    has_closed: bool,
}

/// Bytes on their way; stands in for the connection.
struct Wire {
    received: Pieces,
    to_write: Vec<u8>,
}

/// The value of `Sec-WebSocket-Accept` for a key.
pub(super) fn accept_of(key: &[u8]) -> String {
    derive_accept_key(key)
}

impl WebSocket {
    /// A WebSocket of a client whose messages have at most `message_len_max` bytes.
    pub(super) fn new(message_len_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_PIECE_LEN)
            .write_buffer_size(0)
            .max_message_size(Some(message_len_max));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            wire: Wire::new(message_len_max),
            has_closed: false,
        }
    }

    /// Takes bytes from the client. [`Self::next`] makes messages of them.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.wire.received.feed(bytes);
    }

    /// Bytes that are held of a message of which more has to come, once there is no next one.
    pub(super) fn unfinished_len(&self) -> usize {
        self.wire.received.unfinished_len()
    }

    /// The next message of the client; nothing when more bytes are needed. Pongs, and answers to pings, are seen to.
    pub(super) fn next(&mut self) -> Option<Received> {
        if self.has_closed {
            return None;
        }
        loop {
            match self.context.read(&mut self.wire) {
                Ok(Message::Text(text)) => return Some(Received::Message(text.into())),
                Ok(Message::Binary(bytes)) => return Some(Received::Message(bytes)),
                // What has to be answered is in line behind what is written next.
                Ok(Message::Ping(_)) => self.flush(),
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    self.flush();
                    self.has_closed = true;
                    return Some(Received::Closed);
                }
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    let code = self.wire.received.refusal()?;
                    self.close_with(code, "");
                    return Some(Received::Closed);
                }
                Err(error) => {
                    self.close_with(violation(&error), "");
                    return Some(Received::Closed);
                }
            }
        }
    }

    /// Sends a message of text. What is no UTF-8, which JSON of ours never is, goes as bytes.
    pub(super) fn send_text(&mut self, text: &[u8]) {
        match std::str::from_utf8(text) {
            Ok(_) => self.send_data(Data::Text, text),
            Err(_) => self.send_bytes(text),
        }
    }

    /// Sends a message of bytes.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.send_data(Data::Binary, bytes);
    }

    /// Asks the client for a sign of life.
    pub(super) fn ping(&mut self) {
        if !self.has_closed {
            self.note(|context, wire| context.write(wire, Message::Ping(Bytes::new())));
            self.flush();
        }
    }

    /// Says why the WebSocket ends. Later messages are dropped.
    pub(super) fn close(&mut self, ending: Ending, reason: &str) {
        let code = match ending {
            Ending::Done => CloseCode::Normal,
            Ending::BadMessage => CloseCode::Invalid,
            Ending::Failed => CloseCode::Error,
        };
        self.close_with(code, reason);
    }

    /// Appends what is to be written to the client. Memory that grew large goes with it.
    pub(super) fn take_output(&mut self, out: &mut Vec<u8>) {
        let to_write = &mut self.wire.to_write;
        if out.is_empty() {
            std::mem::swap(out, to_write);
        } else {
            out.append(to_write);
        }
        trim(to_write);
    }

    /// Bytes that are to be written.
    pub(super) fn output_len(&self) -> usize {
        self.wire.to_write.len()
    }

    fn close_with(&mut self, code: CloseCode, reason: &str) {
        if self.has_closed {
            return;
        }
        self.has_closed = true;
        let reason = reason.get(..reason.floor_char_boundary(REASON_LEN_MAX));
        let frame = CloseFrame {
            code,
            reason: reason.unwrap_or_default().into(),
        };
        self.note(|context, wire| context.close(wire, Some(frame)));
    }

    /// A frame of our own is laid out where it is to be: the library would copy it twice, and keep memory for the longest there ever was.
    fn send_data(&mut self, kind: Data, bytes: &[u8]) {
        if self.has_closed {
            return;
        }
        let header = FrameHeader {
            opcode: OpCode::Data(kind),
            ..FrameHeader::default()
        };
        let to_write = &mut self.wire.to_write;
        header
            .format(bytes.len() as u64, to_write)
            .expect("a vector takes all that is written");
        to_write.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.note(WebSocketContext::flush);
    }

    /// Writing to memory fails only where the WebSocket has been closed, and then there is nobody to write to.
    fn note(
        &mut self,
        act: impl FnOnce(&mut WebSocketContext, &mut Wire) -> tungstenite::Result<()>,
    ) {
        if let Err(error) = act(&mut self.context, &mut self.wire) {
            tracing::debug!(%error, "a WebSocket took no more");
        }
    }
}

/// RFC 6455 section 7.4.1.
pub(super) fn violation(error: &tungstenite::Error) -> CloseCode {
    match error {
        tungstenite::Error::Capacity(_) => CloseCode::Size,
        tungstenite::Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    }
}

impl Wire {
    fn new(message_len_max: usize) -> Self {
        Self {
            received: Pieces::new(message_len_max),
            to_write: Vec::new(),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.received.read(buffer) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_write.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BUFFER_KEEP_LEN_MAX;

    const LEN_MAX: usize = 1024;

    /// The frames of a client, masked as they must be.
    struct Client {
        context: WebSocketContext,
        wire: Wire,
    }

    impl Client {
        fn new() -> Self {
            Self {
                context: WebSocketContext::new(Role::Client, None),
                wire: Wire::new(1 << 30),
            }
        }

        fn frames(&mut self, message: Message) -> Vec<u8> {
            self.context.write(&mut self.wire, message).unwrap();
            self.context.flush(&mut self.wire).unwrap();
            std::mem::take(&mut self.wire.to_write)
        }

        fn read(&mut self, server: &mut WebSocket) -> Option<Message> {
            let mut output = Vec::new();
            server.take_output(&mut output);
            self.wire.received.feed(&output);
            self.context.read(&mut self.wire).ok()
        }
    }

    fn close_code(message: Option<Message>) -> Option<u16> {
        match message {
            Some(Message::Close(Some(frame))) => Some(frame.code.into()),
            _ => None,
        }
    }

    #[test]
    fn the_key_of_the_rfc_gets_the_answer_of_the_rfc() {
        assert_eq!(
            accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn messages_are_the_same_however_their_frames_are_cut() {
        let mut client = Client::new();
        let mut bytes = client.frames(Message::text("{\"a\":\"é\"}"));
        bytes.extend(client.frames(Message::binary(vec![7; 300])));
        bytes.extend(client.frames(Message::text("")));
        for cut in 0..=bytes.len() {
            let mut server = WebSocket::new(LEN_MAX);
            let mut messages = Vec::new();
            let (first, second) = bytes.split_at(cut);
            for piece in [first, second] {
                server.feed(piece);
                messages.extend(std::iter::from_fn(|| server.next()));
            }
            assert_eq!(
                messages,
                [
                    Received::Message("{\"a\":\"é\"}".into()),
                    Received::Message(vec![7; 300].into()),
                    Received::Message(Bytes::new()),
                ],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn pings_are_answered_and_a_close_too() {
        let (mut client, mut server) = (Client::new(), WebSocket::new(LEN_MAX));
        server.feed(&client.frames(Message::Ping("x".into())));
        assert_eq!(server.next(), None);
        assert_eq!(client.read(&mut server), Some(Message::Pong("x".into())));
        client.context.close(&mut client.wire, None).unwrap();
        server.feed(&std::mem::take(&mut client.wire.to_write));
        assert_eq!(server.next(), Some(Received::Closed));
        assert!(server.output_len() > 0);
        server.send_text(b"too late");
        assert!(matches!(client.read(&mut server), Some(Message::Close(_))));
        assert_eq!(server.next(), None);
    }

    #[test]
    fn what_is_sent_arrives_and_the_end_says_why() {
        let (mut client, mut server) = (Client::new(), WebSocket::new(LEN_MAX));
        server.send_text("{\"ü\":1}".as_bytes());
        assert_eq!(client.read(&mut server), Some(Message::text("{\"ü\":1}")));
        server.send_bytes(b"\xff");
        assert_eq!(
            client.read(&mut server),
            Some(Message::binary(&b"\xff"[..]))
        );
        server.close(Ending::Failed, &"ü".repeat(100));
        assert_eq!(close_code(client.read(&mut server)), Some(1011));
    }

    /// The frame is longer than a piece, the text has letters of two bytes at all borders, and the cut is anywhere.
    #[test]
    fn long_messages_are_the_same_however_their_frames_are_cut() {
        let text = format!("a{}", "é".repeat(SOCKET_PIECE_LEN));
        let bytes = Client::new().frames(Message::text(text.clone()));
        for cut in (0..=bytes.len()).step_by(7) {
            let mut server = WebSocket::new(text.len());
            let (first, second) = bytes.split_at(cut);
            server.feed(first);
            let early = server.next();
            server.feed(second);
            let message = early.or_else(|| server.next());
            assert!(
                message == Some(Received::Message(text.clone().into())),
                "cut at {cut}"
            );
            assert_eq!(server.next(), None);
        }
    }

    #[test]
    fn memory_of_long_replies_is_not_kept() {
        let mut server = WebSocket::new(LEN_MAX);
        let mut out = Vec::with_capacity(100);
        server.send_text(&vec![b'x'; BUFFER_KEEP_LEN_MAX + 1]);
        server.take_output(&mut out);
        assert!(out.len() > BUFFER_KEEP_LEN_MAX);
        assert_eq!(server.wire.to_write.capacity(), 100);
        server.send_text(&vec![b'x'; BUFFER_KEEP_LEN_MAX + 1]);
        server.take_output(&mut out);
        assert!(out.len() > 2 * BUFFER_KEEP_LEN_MAX);
        assert_eq!(server.wire.to_write.capacity(), 0);
    }

    #[test]
    fn what_came_before_a_violation_is_read_first() {
        let (mut client, mut server) = (Client::new(), WebSocket::new(LEN_MAX));
        server.feed(&client.frames(Message::text("1")));
        server.feed(b"\x82\xfe\x10\x00\0\0\0\0");
        assert_eq!(server.next(), Some(Received::Message("1".into())));
        assert_eq!(server.next(), Some(Received::Closed));
        assert_eq!(close_code(client.read(&mut server)), Some(1009));
    }

    #[test]
    fn violations_end_with_their_code() {
        // A frame without a mask, one with a reserved bit, one above the limit, fragments that are to be above it, a ping that is too long,
        // a ping in fragments, text that is no UTF-8, a continuation of nothing, a beginning in the middle.
        for (bytes, code) in [
            (&b"\x81\x01a"[..], 1002),
            (b"\xf1\x80\0\0\0\0", 1002),
            (b"\x82\xfe\x10\x00\0\0\0\0", 1009),
            (b"\x02\x81\0\0\0\0a\x80\xfe\x04\x00\0\0\0\0", 1009),
            (b"\x89\xfe\x00\x7e\0\0\0\0", 1002),
            (b"\x09\x80\0\0\0\0", 1002),
            (b"\x80\x80\0\0\0\0", 1002),
            (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
            (b"\x81\x81\0\0\0\0\xff", 1007),
        ] {
            let (mut client, mut server) = (Client::new(), WebSocket::new(LEN_MAX));
            server.feed(bytes);
            assert_eq!(server.next(), Some(Received::Closed), "{bytes:?}");
            assert_eq!(
                close_code(client.read(&mut server)),
                Some(code),
                "{bytes:?}"
            );
        }
    }
}
