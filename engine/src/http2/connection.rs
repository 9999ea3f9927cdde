//! One connection as its owner sees it. In: requests, what was consumed, what is to be reset. Out: frames in the output.
//! Always: windows, stream limits and the length of the output are kept to; a stream that is gone takes nothing and does no harm.

use std::collections::VecDeque;

use super::fault::{Code, Fault, Refusal};
use super::frame::{self, Kind, WINDOW_LEN_MAX};
use super::header_list::HeaderList;
use super::hpack::{EMPTY_TABLE, HeaderBlock, Table, write_header};
use super::message::OpenBlock;
use super::receive::Reading;
use super::settings::{PeerSettings, Settings, WINDOW_LEN_DEFAULT};
use super::streams::{Stream, Streams, Waits};
use crate::limits::HTTP2_OUTPUT_LEN_MAX;

/// One connection of HTTP/2 as a client. See the [module](super) for how it is used.
#[derive(Debug)]
pub struct Connection {
    pub(super) settings: Settings,
    pub(super) peer: PeerSettings,
    pub(super) output: Vec<u8>,
    pub(super) streams: Streams,
    /// Of the next stream. Odd; beyond `WINDOW_LEN_MAX` when all are used up.
    pub(super) next_number: u32,
    pub(super) is_ready: bool,
    /// Whether we have said that we open no more.
    has_left: bool,
    /// The last stream that the peer's GOAWAY lets finish.
    pub(super) go_away: Option<u32>,
    pub(super) fault: Option<Fault>,

    /// Bytes that we may send on all streams: at most 2^31 - 1.
    pub(super) send_window: u32,
    /// Bytes that the peer may send on all streams.
    pub(super) receive_window: u32,
    /// Bytes that are released and that the peer was not told of.
    pub(super) untold_len: u32,
    /// Streams that wait for the connection's window or for room in the output; some are gone.
    turns: VecDeque<u32>,

    pub(super) reading: Reading,
    /// Parts of a frame that were not whole when they came.
    pub(super) carried: Vec<u8>,
    /// A header block of several frames.
    pub(super) block: Vec<u8>,
    pub(super) open_block: Option<OpenBlock>,
    pub(super) table: Table,
    pub(super) list: HeaderList,
    /// Where the walk over streams goes on that a frame made necessary; see `receive`.
    pub(super) walk: Option<usize>,
    pub(super) walk_found: bool,
    /// Answers to PING and SETTINGS since the output was last empty.
    pub(super) answer_count: u32,
    /// PINGs of ours that are not answered.
    pub(super) awaited_pong_count: u32,
    /// Frames that move nothing, since one last did.
    pub(super) idle_frame_count: u32,
    /// Bytes that may still come for streams that were reset, since the peer had not heard of it.
    pub(super) late_len: u64,
}

/// One stream of a connection: its number, and the key that the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    pub(super) number: u32,
    pub(super) key: u32,
}

impl StreamId {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// What the caller gave to [`Connection::open`].
    pub const fn key(self) -> u32 {
        self.key
    }
}

impl Connection {
    /// Begins a connection: the preface, SETTINGS and the window are in the output. Settings beyond what HTTP/2 allows become the nearest
    /// that it does.
    pub fn new(settings: Settings) -> Self {
        let settings = settings.within_bounds();
        let mut output = Vec::new();
        settings.write_opening(&mut output);
        Self {
            settings,
            peer: PeerSettings::new(),
            output,
            streams: Streams::new(),
            next_number: 1,
            is_ready: false,
            has_left: false,
            go_away: None,
            fault: None,
            send_window: WINDOW_LEN_DEFAULT,
            receive_window: settings.connection_window_len,
            untold_len: 0,
            turns: VecDeque::new(),
            reading: Reading::Head,
            carried: Vec::new(),
            block: Vec::new(),
            open_block: None,
            table: Table::new(),
            list: HeaderList::default(),
            walk: None,
            walk_found: false,
            answer_count: 0,
            awaited_pong_count: 0,
            idle_frame_count: 0,
            late_len: 0,
        }
    }

    /// Whether the peer's SETTINGS are here. Streams may be opened before; how many it allows is not known then.
    pub const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether streams can be opened, now or when others have ended: no GOAWAY, no fault, numbers left.
    pub const fn is_open(&self) -> bool {
        self.go_away.is_none()
            && self.fault.is_none()
            && !self.has_left
            && self.next_number <= WINDOW_LEN_MAX
    }

    /// How many more streams may be opened now.
    pub fn room(&self) -> usize {
        if !self.is_open() || self.is_output_full() {
            return 0;
        }
        let most = self
            .peer
            .stream_count_max
            .min(self.settings.stream_count_max);
        (most as usize).saturating_sub(self.streams.count())
    }

    /// Streams that are open.
    pub const fn stream_count(&self) -> usize {
        self.streams.count()
    }

    /// Bytes to be written, in order. To swap the buffer for an empty one, or to clear what was written, is how they are taken.
    /// Ask [`Self::next_room`] afterwards.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether all there is to be written is the answer to one PING, which may wait a moment to go out with something else.
    pub fn owes_one_pong(&self) -> bool {
        let head = frame::head(8, Kind::PING, frame::ACK, 0);
        self.output.len() == head.len() + 8 && self.output.starts_with(&head)
    }

    /// Opens a stream: HEADERS with what the route has prepared and the metadata of this call. `key` comes back with each of its events.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is sent then.
    pub fn open<'m>(
        &mut self,
        block: &HeaderBlock,
        metadata: impl IntoIterator<Item = (&'m [u8], &'m [u8])>,
        key: u32,
    ) -> Result<StreamId, Refusal> {
        if !self.is_open() {
            return Err(Refusal::Closed);
        }
        if self.is_output_full() {
            return Err(Refusal::OutputFull);
        }
        if self.room() == 0 {
            return Err(Refusal::NoStream);
        }
        let start = self.output.len();
        let number = self.next_number;
        if let Err(refusal) = self.write_headers(number, block, metadata) {
            self.output.truncate(start);
            return Err(refusal);
        }
        self.peer.wants_table_len = false;
        self.next_number += 2;
        self.streams.insert(Stream {
            number,
            key,
            send_window: self.peer.stream_window_len.cast_signed(),
            receive_window: self.settings.stream_window_len,
            ..Stream::NONE
        });
        self.idle_frame_count = 0;
        Ok(StreamId { number, key })
    }

    fn write_headers<'m>(
        &mut self,
        number: u32,
        block: &HeaderBlock,
        metadata: impl IntoIterator<Item = (&'m [u8], &'m [u8])>,
    ) -> Result<(), Refusal> {
        let head_start = self.output.len();
        let out = &mut self.output;
        // The length is filled in when it is known.
        frame::write_head(out, 0, Kind::HEADERS, frame::END_HEADERS, number);
        let start = out.len();
        if self.peer.wants_table_len {
            out.push(EMPTY_TABLE);
        }
        out.extend_from_slice(block.bytes());
        let mut list_len = block.list_len();
        for (name, value) in metadata {
            list_len += write_header(out, name, value)?;
        }
        if list_len > self.peer.header_list_len_max as usize {
            return Err(Refusal::HeadersTooLong);
        }
        let len = out.len() - start;
        let frame_len_max = self.peer.frame_len_max as usize;
        if len > frame_len_max {
            split_block(out, head_start, frame_len_max, number);
            return Ok(());
        }
        let head = frame::head(len, Kind::HEADERS, frame::END_HEADERS, number);
        if let Some(place) = out.get_mut(head_start..start) {
            place.copy_from_slice(&head);
        }
        Ok(())
    }

    /// Sends as much of `data` as the windows and the output have room for, and the end of the request with its last byte if `end` says
    /// so. Gives how many bytes were taken. Less than all means that the rest is to be sent when [`Self::next_room`] names the stream; a stream
    /// that is gone takes nothing, and an event has said or will say why.
    pub fn send(&mut self, stream: StreamId, data: &[u8], end: bool) -> usize {
        let is_full = self.is_output_full();
        let Some(state) = self.streams.get_mut(stream.number) else {
            return 0;
        };
        if state.is_sent || self.fault.is_some() {
            return 0;
        }
        let own_room = usize::try_from(state.send_window).unwrap_or(0);
        let output_room = if is_full {
            0
        } else {
            HTTP2_OUTPUT_LEN_MAX - self.output.len()
        };
        let room = own_room.min(self.send_window as usize).min(output_room);
        let taken = room.min(data.len());
        let ends = end && taken == data.len();
        let (now, _later) = data.split_at_checked(taken).unwrap_or((data, &[]));

        if taken < data.len() {
            let waits = if own_room > taken {
                Waits::Turn
            } else {
                Waits::Window
            };
            state.waits = waits;
            if waits == Waits::Turn && !state.is_in_line {
                state.is_in_line = true;
                self.turns.push_back(stream.number);
            }
        } else {
            state.waits = Waits::No;
        }
        if taken > 0 || ends {
            // `taken` is at most either window, so that neither cast loses anything.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_possible_wrap,
                reason = "it is no more than `send_window`, which has 31 bits"
            )]
            {
                state.send_window -= taken as i32;
                self.send_window -= taken as u32;
            }
            self.idle_frame_count = 0;
            let frame_len_max = self.peer.frame_len_max as usize;
            write_data(&mut self.output, stream.number, now, frame_len_max, ends);
        }
        if ends {
            state.is_sent = true;
            if state.is_received {
                self.forget(stream.number);
            }
        }
        self.shorten_turns();
        taken
    }

    /// A stream that waits to send and now has room. Ask until there is none: after [`Self::receive`](Self::receive) and after the output
    /// was taken.
    pub fn next_room(&mut self) -> Option<StreamId> {
        while self.send_window > 0 && !self.is_output_full() && self.fault.is_none() {
            let number = self.turns.pop_front()?;
            let Some(state) = self.streams.get_mut(number) else {
                continue;
            };
            state.is_in_line = false;
            if state.waits != Waits::Turn {
                continue;
            }
            if state.send_window > 0 {
                state.waits = Waits::No;
                let key = state.key;
                return Some(StreamId { number, key });
            }
            // SETTINGS have taken its window back meanwhile.
            state.waits = Waits::Window;
        }
        None
    }

    /// Ends a stream: `RST_STREAM`. What the peer still sends on it is skipped. Nothing happens if it is gone.
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        if self.fault.is_none() && self.streams.contains(stream.number) {
            self.write_reset(stream.number, code);
        }
    }

    /// The caller is done with so many bytes of a stream's data, and the peer may send as many more. It is told of them when they are half
    /// of a window. A stream that is gone has had its bytes released.
    pub fn release(&mut self, stream: StreamId, len: usize) {
        let Some(state) = self.streams.get_mut(stream.number) else {
            return;
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(state.held_len);
        state.held_len -= len;
        self.give_back(stream.number, len);
        self.give_back_connection(len);
    }

    /// Asks the peer for a sign of life, which is [`Event::Pong`](super::Event::Pong) with the same payload.
    pub fn ping(&mut self, payload: [u8; 8]) {
        if self.fault.is_none() {
            self.awaited_pong_count = self.awaited_pong_count.saturating_add(1);
            frame::write_ping(&mut self.output, 0, payload);
        }
    }

    /// Says that no more streams will be opened: GOAWAY without an error. Those that are open go on.
    pub fn leave(&mut self) {
        if self.fault.is_none() && !self.has_left {
            frame::write_go_away(&mut self.output, Code::NO_ERROR);
        }
        self.has_left = true;
    }

    pub(super) const fn is_output_full(&self) -> bool {
        self.output.len() >= HTTP2_OUTPUT_LEN_MAX
    }

    /// Resets a stream that is there.
    pub(super) fn write_reset(&mut self, number: u32, code: Code) {
        frame::write_reset(&mut self.output, number, code);
        if let Some(state) = self.forget(number)
            && !state.is_received
        {
            // All of it may be on its way.
            self.late_len += u64::from(state.receive_window);
        }
    }

    /// Forgets a stream that has ended; its bytes no longer count for the connection.
    pub(super) fn forget(&mut self, number: u32) -> Option<Stream> {
        let state = self.streams.remove(number)?;
        self.give_back_connection(state.held_len);
        Some(state)
    }

    /// Lets the peer send as much more on a stream that is there.
    pub(super) fn give_back(&mut self, number: u32, len: u32) {
        let half = self.settings.stream_window_len / 2;
        let Some(state) = self.streams.get_mut(number) else {
            return;
        };
        state.untold_len += len;
        // Half a window, so that neither the peer waits nor each frame is answered by another. Nobody sends on what has ended.
        if state.untold_len > half && !state.is_received && self.fault.is_none() {
            frame::write_window_update(&mut self.output, number, state.untold_len);
            state.receive_window += state.untold_len;
            state.untold_len = 0;
        }
    }

    /// The same on the connection.
    pub(super) fn give_back_connection(&mut self, len: u32) {
        self.untold_len += len;
        if self.untold_len > self.settings.connection_window_len / 2 && self.fault.is_none() {
            frame::write_window_update(&mut self.output, 0, self.untold_len);
            self.receive_window += self.untold_len;
            self.untold_len = 0;
        }
    }

    /// The stream has window again.
    pub(super) fn line_up(turns: &mut VecDeque<u32>, state: &mut Stream) {
        if state.waits == Waits::Window && state.send_window > 0 {
            state.waits = Waits::Turn;
            if !state.is_in_line {
                state.is_in_line = true;
                turns.push_back(state.number);
            }
        }
    }

    pub(super) fn line_up_number(&mut self, number: u32) {
        if let Some(state) = self.streams.get_mut(number) {
            Self::line_up(&mut self.turns, state);
        }
    }

    pub(super) fn line_up_place(&mut self, place: usize) {
        if let Some(state) = self.streams.at_place(place) {
            Self::line_up(&mut self.turns, state);
        }
    }

    /// Forgets those in line that are gone, before they are more than those that are not.
    fn shorten_turns(&mut self) {
        if self.turns.len() > 2 * self.streams.count() + 16 {
            let streams = &self.streams;
            self.turns.retain(|&number| streams.contains(number));
        }
    }
}

/// Writes DATA frames, the last with the end if it `ends`.
fn write_data(out: &mut Vec<u8>, number: u32, data: &[u8], frame_len_max: usize, ends: bool) {
    let mut rest = data;
    loop {
        let (now, later) = rest.split_at_checked(frame_len_max).unwrap_or((rest, &[]));
        let flags = if ends && later.is_empty() {
            frame::END_STREAM
        } else {
            0
        };
        frame::write_head(out, now.len(), Kind::DATA, flags, number);
        out.extend_from_slice(now);
        if later.is_empty() {
            return;
        }
        rest = later;
    }
}

/// Lays a header block that is too long for one frame out as HEADERS and CONTINUATION. It stands at the end of `out`, behind the room for one
/// head.
#[cold]
fn split_block(out: &mut Vec<u8>, head_start: usize, frame_len_max: usize, number: u32) {
    let whole = out.split_off(head_start);
    let block = whole.get(frame::HEAD_LEN..).unwrap_or_default();
    let mut pieces = block.chunks(frame_len_max).peekable();
    let mut kind = Kind::HEADERS;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() {
            frame::END_HEADERS
        } else {
            0
        };
        frame::write_head(out, piece.len(), kind, flags, number);
        out.extend_from_slice(piece);
        kind = Kind::CONTINUATION;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_streams_are_used_up() {
        let mut connection = Connection::new(Settings::default());
        connection.next_number = WINDOW_LEN_MAX - 2;
        let block = HeaderBlock::post(super::super::Scheme::Http, b"a", b"/", []).unwrap();
        for number in [WINDOW_LEN_MAX - 2, WINDOW_LEN_MAX] {
            assert!(connection.is_open());
            let stream = connection.open(&block, [], 0).unwrap();
            assert_eq!(stream.number(), number);
            assert_eq!(connection.send(stream, b"x", true), 1);
        }
        assert!(!connection.is_open());
        assert_eq!(connection.open(&block, [], 0), Err(Refusal::Closed));
    }

    /// What waits in line is bounded by what is open, however many are reset while they wait.
    #[test]
    fn line_is_no_longer_than_what_is_open() {
        let mut connection = Connection::new(Settings::default());
        let block = HeaderBlock::post(super::super::Scheme::Http, b"a", b"/", []).unwrap();
        let first = connection.open(&block, [], 0).unwrap();
        assert_eq!(connection.send(first, &vec![0; 65_535], false), 65_535);
        for _ in 0..1_000 {
            let stream = connection.open(&block, [], 0).unwrap();
            assert_eq!(connection.send(stream, b"x", true), 0);
            connection.reset(stream, Code::CANCEL);
            connection.output().clear();
        }
        assert!(connection.turns.len() <= 20, "{}", connection.turns.len());
    }
}
