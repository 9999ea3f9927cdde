//! Cuts long frames of a WebSocket's client. In: its bytes. Out: the same frames, of which none announces more than a piece: a longer one is a
//! first piece and continuations of it, which RFC 6455 section 5.4 lets anyone on the way do.
//! Always: what is held is what has come; the bytes of a message stay as they are, masked too; a message that is to be too long, or a control frame
//! that is, ends it all at its head.
//!
//! ```text
//!   head(text, last, 10 000)  payload ▶ head(text, 4096) payload  head(continuation, 4096) payload  head(continuation, last, 1808) payload
//! ```
//!
//! The library that reads frames makes room for all that a head announces, at once.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use super::websocket::violation;
use crate::limits::{IDLE_READ_LEN_MAX, SOCKET_PIECE_LEN};

/// A mask has four bytes, and begins anew with each piece: it fits if all pieces but the last are multiples of it.
const _: () = assert!(SOCKET_PIECE_LEN.is_multiple_of(4));

/// Bytes that the payload of a control frame may have (RFC 6455 section 5.5).
const CONTROL_LEN_MAX: u64 = 125;

/// The longest head: two bytes, eight of a length, four of a mask.
const HEAD_LEN_MAX: usize = 14;

/// What has come of a client, and is to be read in pieces.
pub(super) struct Pieces {
    received: Vec<u8>,
    /// `used_len <= received.len()`
    used_len: usize,
    /// The head of the piece at hand, from `head_used_len` on.
    head: Vec<u8>,
    head_used_len: usize,
    /// Bytes to come of the piece at hand.
    piece_rest: u64,
    /// The frame at hand, if more pieces of it follow.
    frame: Option<LongFrame>,
    /// Bytes of the message at hand, by the heads of its frames. `message_len <= message_len_max`
    message_len: u64,
    /// Whether the frame at hand is the last of the message.
    ends_message: bool,
    message_len_max: u64,
    /// Why nothing is read any more.
    refusal: Option<CloseCode>,
}

struct LongFrame {
    /// That of the next piece, but for whether it is the last.
    header: FrameHeader,
    is_final: bool,
    /// Bytes behind the piece at hand; not 0.
    rest: u64,
}

impl Pieces {
    /// For messages of at most so many bytes.
    pub(super) fn new(message_len_max: usize) -> Self {
        Self {
            received: Vec::new(),
            used_len: 0,
            head: Vec::with_capacity(HEAD_LEN_MAX),
            head_used_len: 0,
            piece_rest: 0,
            frame: None,
            message_len: 0,
            ends_message: false,
            message_len_max: message_len_max as u64,
            refusal: None,
        }
    }

    /// Takes bytes of the client.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.received.drain(..self.used_len);
        self.used_len = 0;
        self.received.extend_from_slice(bytes);
    }

    /// Puts bytes into `buffer`, and says how many. None when more are needed, or when nothing is read any more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut done_len = 0;
        while let Some(room) = buffer.get_mut(done_len..)
            && !room.is_empty()
        {
            let head = self.head.get(self.head_used_len..).unwrap_or_default();
            if !head.is_empty() {
                let len = copy(head, room);
                self.head_used_len += len;
                done_len += len;
                continue;
            }
            if self.piece_rest == 0 {
                if self.begin_piece() {
                    continue;
                }
                break;
            }
            let rest = usize::try_from(self.piece_rest).unwrap_or(usize::MAX);
            let here = self.received.get(self.used_len..).unwrap_or_default();
            let len = copy(here.get(..rest).unwrap_or(here), room);
            if len == 0 {
                break;
            }
            self.used_len += len;
            self.piece_rest -= len as u64;
            done_len += len;
        }
        if self.used_len == self.received.len() {
            self.received.clear();
            self.received.shrink_to(IDLE_READ_LEN_MAX);
            self.used_len = 0;
        }
        done_len
    }

    /// The code to close with, once all before what is wrong has been read.
    pub(super) fn refusal(&self) -> Option<CloseCode> {
        self.refusal
    }

    /// Bytes of the message at hand, of which more has to come.
    pub(super) fn unfinished_len(&self) -> usize {
        let rest = self.frame.as_ref().map_or(0, |frame| frame.rest);
        let come = self.message_len.saturating_sub(self.piece_rest + rest);
        usize::try_from(come).unwrap_or(usize::MAX)
    }

    /// Makes the head of the next piece. Whether there is one.
    fn begin_piece(&mut self) -> bool {
        if let Some(frame) = self.frame.take() {
            self.put_piece(frame.header, frame.is_final, frame.rest);
            return true;
        }
        if std::mem::take(&mut self.ends_message) {
            self.message_len = 0;
        }
        if self.refusal.is_some() {
            return false;
        }
        let here = self.received.get(self.used_len..).unwrap_or_default();
        let mut cursor = Cursor::new(here);
        let (header, len) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return false,
            Err(error) => {
                self.refusal = Some(violation(&error));
                return false;
            }
        };
        // Of at most 14 bytes.
        self.used_len += usize::try_from(cursor.position()).unwrap_or(HEAD_LEN_MAX);
        self.refusal = self.admit(&header, len).err();
        if self.refusal.is_some() {
            return false;
        }
        let is_final = header.is_final;
        self.put_piece(header, is_final, len);
        true
    }

    /// What a head announces has to be within the limits, whatever comes of it.
    fn admit(&mut self, header: &FrameHeader, len: u64) -> Result<(), CloseCode> {
        if len > self.message_len_max {
            return Err(CloseCode::Size);
        }
        let before = match header.opcode {
            // RFC 6455 section 5.5.
            OpCode::Control(_) if len > CONTROL_LEN_MAX => return Err(CloseCode::Protocol),
            OpCode::Control(_) => return Ok(()),
            OpCode::Data(Data::Continue) => self.message_len,
            OpCode::Data(_) => 0,
        };
        let message_len = before.saturating_add(len);
        if message_len > self.message_len_max {
            return Err(CloseCode::Size);
        }
        self.message_len = message_len;
        self.ends_message = header.is_final;
        Ok(())
    }

    fn put_piece(&mut self, mut header: FrameHeader, is_final: bool, len: u64) {
        let piece_len = len.min(SOCKET_PIECE_LEN as u64);
        let rest = len - piece_len;
        header.is_final = is_final && rest == 0;
        self.head.clear();
        self.head_used_len = 0;
        header
            .format(piece_len, &mut self.head)
            .expect("a vector takes all that is written");
        self.piece_rest = piece_len;
        if rest > 0 {
            header.opcode = OpCode::Data(Data::Continue);
            self.frame = Some(LongFrame {
                header,
                is_final,
                rest,
            });
        }
    }
}

/// Copies as much as there is room for.
fn copy(source: &[u8], target: &mut [u8]) -> usize {
    let len = source.len().min(target.len());
    let (Some(source), Some(target)) = (source.get(..len), target.get_mut(..len)) else {
        return 0;
    };
    target.copy_from_slice(source);
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 20, 30, 250];
    const LEN_MAX: usize = 64 * 1024;

    /// A frame whose payload has been masked already.
    fn frame(first_byte: u8, announced_len: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let header = FrameHeader {
            is_final: first_byte & 0x80 != 0,
            opcode: (first_byte & 0xf).into(),
            mask: Some(MASK),
            ..FrameHeader::default()
        };
        header.format(announced_len, &mut frame).unwrap();
        frame.extend(payload);
        frame
    }

    fn masked(payload: &[u8]) -> Vec<u8> {
        let mask = MASK.iter().cycle();
        payload
            .iter()
            .zip(mask)
            .map(|(byte, mask)| byte ^ mask)
            .collect()
    }

    fn payload_of(len: usize) -> Vec<u8> {
        (0..251).cycle().take(len).collect()
    }

    /// All that is to be read, as the pieces come.
    fn read_all(pieces: &mut Pieces) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            match pieces.read(&mut buffer) {
                0 => return all,
                len => all.extend(&buffer[..len]),
            }
        }
    }

    /// Heads and payloads, the latter without their masks.
    fn parse(mut bytes: &[u8]) -> Vec<(FrameHeader, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let mut cursor = Cursor::new(bytes);
            let (header, len) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            let start = usize::try_from(cursor.position()).unwrap();
            let end = start + usize::try_from(len).unwrap();
            frames.push((header, masked(&bytes[start..end])));
            bytes = &bytes[end..];
        }
        frames
    }

    #[test]
    fn long_frame_is_a_first_piece_and_continuations_with_the_same_bytes() {
        for len in [
            0,
            1,
            SOCKET_PIECE_LEN - 1,
            SOCKET_PIECE_LEN,
            SOCKET_PIECE_LEN + 1,
            3 * SOCKET_PIECE_LEN,
            3 * SOCKET_PIECE_LEN + 2,
        ] {
            for first_byte in [0x81, 0x01, 0x82, 0x02] {
                let payload = payload_of(len);
                let mut pieces = Pieces::new(LEN_MAX);
                pieces.feed(&frame(first_byte, len as u64, &masked(&payload)));
                let frames = parse(&read_all(&mut pieces));
                let joined: Vec<u8> = frames.iter().flat_map(|(_, part)| part.clone()).collect();
                assert_eq!(joined, payload);
                assert!(
                    frames
                        .iter()
                        .all(|(_, part)| part.len() <= SOCKET_PIECE_LEN)
                );
                let (first, rest) = frames.split_first().unwrap();
                assert_eq!(u8::from(first.0.opcode), first_byte & 0xf);
                let continues = OpCode::Data(Data::Continue);
                assert!(rest.iter().all(|(header, _)| header.opcode == continues));
                let (last, before) = frames.split_last().unwrap();
                assert_eq!(last.0.is_final, first_byte & 0x80 != 0, "{len}");
                assert!(before.iter().all(|(header, _)| !header.is_final));
            }
        }
    }

    #[test]
    fn pieces_are_the_same_however_their_bytes_come() {
        let mut bytes = frame(0x81, 5000, &payload_of(5000));
        bytes.extend(frame(0x89, 3, b"abc"));
        bytes.extend(frame(0x02, 9000, &payload_of(9000)));
        bytes.extend(frame(0x80, 0, b""));
        let mut whole = Pieces::new(LEN_MAX);
        whole.feed(&bytes);
        let expected = read_all(&mut whole);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let mut pieces = Pieces::new(LEN_MAX);
            pieces.feed(first);
            let mut all = read_all(&mut pieces);
            pieces.feed(second);
            all.extend(read_all(&mut pieces));
            assert!(all == expected, "cut at {cut}");
        }
    }

    #[test]
    fn memory_follows_what_has_come_and_not_what_is_announced() {
        let mut pieces = Pieces::new(LEN_MAX);
        pieces.feed(&frame(0x82, LEN_MAX as u64, b"abc"));
        let read = read_all(&mut pieces);
        // The one who reads makes room for what is announced here, and not for the frame.
        let announced = FrameHeader::parse(&mut Cursor::new(&read))
            .unwrap()
            .unwrap()
            .1;
        assert_eq!(announced, SOCKET_PIECE_LEN as u64);
        assert_eq!(pieces.unfinished_len(), 3);
        assert!(pieces.received.capacity() <= IDLE_READ_LEN_MAX);
        // What came at once, and was read, is let go.
        pieces.feed(&payload_of(LEN_MAX - 3));
        read_all(&mut pieces);
        assert_eq!(pieces.unfinished_len(), 0);
        assert!(pieces.received.capacity() <= IDLE_READ_LEN_MAX);
    }

    #[test]
    fn length_above_the_limit_is_refused_by_its_head() {
        let limit = LEN_MAX as u64;
        let halves = |opcode| {
            let first = frame(opcode, limit - 10, &payload_of(LEN_MAX - 10));
            [first, frame(0x89, 1, b"p"), frame(0x80, 11, b"")].concat()
        };
        for (bytes, code) in [
            (frame(0x82, limit + 1, b""), CloseCode::Size),
            (frame(0x82, u64::MAX, b""), CloseCode::Size),
            (frame(0x89, limit + 1, b""), CloseCode::Size),
            (halves(0x01), CloseCode::Size),
            (halves(0x02), CloseCode::Size),
            // A control frame has its own limit.
            (frame(0x89, 126, b""), CloseCode::Protocol),
            (frame(0x83, 0, b""), CloseCode::Protocol),
        ] {
            let mut pieces = Pieces::new(LEN_MAX);
            pieces.feed(&bytes);
            read_all(&mut pieces);
            assert_eq!(pieces.refusal(), Some(code));
            // Whatever comes behind it.
            pieces.feed(&frame(0x81, 1, b"a"));
            assert_eq!(read_all(&mut pieces), b"");
        }
        // The sum is that of one message.
        let mut pieces = Pieces::new(LEN_MAX);
        for _ in 0..3 {
            pieces.feed(&frame(0x02, 10, &[0; 10]));
            pieces.feed(&frame(0x80, limit - 10, &payload_of(LEN_MAX - 10)));
            read_all(&mut pieces);
            assert_eq!(pieces.refusal(), None);
        }
    }
}
