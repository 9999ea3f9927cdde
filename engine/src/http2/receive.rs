//! What the peer sends. In: its bytes, cut anywhere. Out: events, one at a time; answers in the output.
//! Always: the rules of RFC 9113 for who receives as a client; nothing is carried from one read to the next but a head of nine bytes, or a
//! frame that is no DATA; an event holds on to the input, never to a copy.

use super::connection::{Connection, StreamId};
use super::fault::{Code, Fault};
use super::frame::{self, HEAD_LEN, Head, Kind, WINDOW_LEN_MAX};
use super::header_list::HeaderList;
use super::hpack::{self, Section, Undecoded};
use super::settings::FRAME_LEN_DEFAULT;
use crate::limits::{
    HTTP2_ANSWER_COUNT_MAX, HTTP2_CONTINUATION_COUNT_MAX, HTTP2_IDLE_FRAME_COUNT_MAX,
    HTTP2_KEEP_LEN_MAX,
};

/// Something that the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'c, 'b> {
    /// SETTINGS: streams may be opened, or another number of them.
    Settings,
    /// The headers of a response. Interim ones (1xx) are left out.
    Headers {
        /// Whose.
        stream: StreamId,
        /// From 200 to 999.
        status: u16,
        /// All but `:status`. It may be swapped for another list, whose memory is used for the next headers.
        list: &'c mut HeaderList,
        /// Whether nothing follows.
        ends: bool,
    },
    /// Data of a response, as far as they have come: a frame may be in several events.
    Data {
        /// Whose.
        stream: StreamId,
        /// A part of the input. Empty only if it `ends`. To be [released](Connection::release).
        bytes: &'b [u8],
        /// Whether nothing follows.
        ends: bool,
    },
    /// The trailers of a response. Nothing follows.
    Trailers {
        /// Whose.
        stream: StreamId,
        /// As of the headers.
        list: &'c mut HeaderList,
    },
    /// The stream is gone, without having ended.
    Reset {
        /// Whose.
        stream: StreamId,
        /// Why.
        cause: ResetCause,
    },
    /// The answer to a [`Connection::ping`].
    Pong([u8; 8]),
    /// No more streams can be opened. Those up to `last` go on; each of the others is reset by an event that follows.
    GoAway {
        /// The number of the last stream that the peer has looked at or will.
        last: u32,
        /// Why.
        code: Code,
    },
}

/// Why a stream is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// The peer said so. [`Code::NO_ERROR`] after a whole response means that it needs no more of the request.
    Peer(Code),
    /// A GOAWAY left it out.
    GoAway,
    /// The peer broke a rule on it, and was told.
    Broken(Fault),
}

impl ResetCause {
    /// Whether the peer did nothing for the stream, so that its request may be sent again (RFC 9113 section 8.7).
    pub fn is_unstarted(self) -> bool {
        matches!(self, Self::GoAway | Self::Peer(Code::REFUSED_STREAM))
    }
}

/// Where in a frame the input stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// In a head; what came of it is carried.
    Head,
    /// In a payload that is needed as a whole; what came of it is carried.
    Payload(Head),
    /// In DATA.
    Data(DataFrame),
    /// In what is ignored.
    Skip {
        /// At least one.
        left: usize,
    },
}

/// The rest of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataFrame {
    number: u32,
    /// Bytes with the padding.
    left: usize,
    /// `None` while its length is to come: `padding <= left`.
    padding: Option<usize>,
    ends: bool,
}

/// A header block of which more is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenBlock {
    number: u32,
    ends: bool,
    frame_count: u32,
}

/// An event without what it borrows of the connection.
enum Step<'b> {
    Settings,
    Headers {
        stream: StreamId,
        status: u16,
        ends: bool,
    },
    Data {
        stream: StreamId,
        bytes: &'b [u8],
        ends: bool,
    },
    Trailers {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
        cause: ResetCause,
    },
    Pong([u8; 8]),
    GoAway {
        last: u32,
        code: Code,
    },
}

type Stepped<'b> = Result<Option<Step<'b>>, Fault>;

impl Connection {
    /// Takes from the front of `input` what makes one event. `None` means that all was taken: come back with more.
    ///
    /// # Errors
    /// The rule that the peer broke, after which nothing more is received or sent, but for the GOAWAY that stands in the output by then. The streams are
    /// lost; which of them the peer has begun is not known.
    #[inline]
    pub fn receive<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Event<'_, 'b>>, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let step = match self.step(input) {
            Ok(None) => return Ok(None),
            Ok(Some(step)) => step,
            Err(fault) => {
                self.fault = Some(fault);
                frame::write_go_away(&mut self.output, fault.code());
                return Err(fault);
            }
        };
        Ok(Some(match step {
            Step::Settings => Event::Settings,
            Step::Headers {
                stream,
                status,
                ends,
            } => Event::Headers {
                stream,
                status,
                list: &mut self.list,
                ends,
            },
            Step::Data {
                stream,
                bytes,
                ends,
            } => Event::Data {
                stream,
                bytes,
                ends,
            },
            Step::Trailers { stream } => Event::Trailers {
                stream,
                list: &mut self.list,
            },
            Step::Reset { stream, cause } => Event::Reset { stream, cause },
            Step::Pong(payload) => Event::Pong(payload),
            Step::GoAway { last, code } => Event::GoAway { last, code },
        }))
    }

    fn step<'b>(&mut self, input: &mut &'b [u8]) -> Stepped<'b> {
        loop {
            if self.walk.is_some()
                && let Some(step) = self.walk_on()
            {
                return Ok(Some(step));
            }
            // Each round takes at least a byte.
            if input.is_empty() {
                return Ok(None);
            }
            let step = match self.reading {
                Reading::Head => match self.read_head(input) {
                    Some(head) => self.begin_frame(head, input)?,
                    None => None,
                },
                Reading::Payload(head) => self.gather(head, input)?,
                Reading::Data(frame) => self.read_data(frame, input)?,
                Reading::Skip { left } => {
                    let skipped = left.min(input.len());
                    take(input, skipped);
                    self.skip(left - skipped);
                    None
                }
            };
            if step.is_some() {
                return Ok(step);
            }
        }
    }

    /// Reads the head of a frame once it is whole.
    fn read_head(&mut self, input: &mut &[u8]) -> Option<Head> {
        if self.carried.is_empty()
            && let Some((head, rest)) = input.split_first_chunk::<HEAD_LEN>()
        {
            *input = rest;
            return Some(Head::read(*head));
        }
        let more = HEAD_LEN.saturating_sub(self.carried.len()).min(input.len());
        self.carried.extend_from_slice(take(input, more));
        let head = *self.carried.first_chunk::<HEAD_LEN>()?;
        self.carried.clear();
        Some(Head::read(head))
    }

    /// Looks at a head, and at the payload if it is there.
    fn begin_frame<'b>(&mut self, head: Head, input: &mut &'b [u8]) -> Stepped<'b> {
        self.check_order(head)?;
        self.check_head(head)?;
        match head.kind {
            Kind::DATA => self.begin_data(head, input),
            Kind::PRIORITY => {
                self.skip(head.len);
                self.count_idle()?;
                // RFC 9113 section 6.3; that is all there is to priorities.
                Ok((head.len != 5)
                    .then(|| self.break_stream(head.number, Fault::FrameLength))
                    .flatten())
            }
            Kind(0..=9) => {
                let len = needed_len(head);
                if input.len() >= len {
                    let payload = take(input, len);
                    self.skip(head.len - len);
                    self.take_frame(head, payload)
                } else {
                    self.reading = Reading::Payload(head);
                    Ok(None)
                }
            }
            // Section 5.5: what is not known is ignored.
            _ => {
                self.skip(head.len);
                self.count_idle()?;
                Ok(None)
            }
        }
    }

    /// Which frames may come now.
    fn check_order(&self, head: Head) -> Result<(), Fault> {
        // Section 3.4.
        if !self.is_ready && (head.kind != Kind::SETTINGS || head.has(frame::ACK)) {
            return Err(Fault::NoSettings);
        }
        // Section 6.2: a header block is not interrupted. Section 6.10: nothing else is continued.
        let is_continued = head.kind == Kind::CONTINUATION;
        match self.open_block {
            Some(block) if !is_continued || block.number != head.number => Err(Fault::Continuation),
            None if is_continued => Err(Fault::Continuation),
            _ => Ok(()),
        }
    }

    /// Lengths and streams that a type can have: section 6.
    fn check_head(&self, head: Head) -> Result<(), Fault> {
        let check = |is_good: bool, fault: Fault| if is_good { Ok(()) } else { Err(fault) };
        check(
            head.len <= self.settings.frame_len_max as usize,
            Fault::FrameLength,
        )?;
        let is_of_stream = head.number != 0;
        match head.kind {
            Kind::DATA => {
                check(is_of_stream, Fault::StreamZero)?;
                self.check_known(head.number)
            }
            Kind::HEADERS => {
                check(is_of_stream, Fault::StreamZero)?;
                self.check_known(head.number)?;
                check(head.len <= self.block_len_max(), Fault::BlockTooLong)
            }
            Kind::PRIORITY => check(is_of_stream, Fault::StreamZero),
            Kind::RST_STREAM => {
                check(is_of_stream, Fault::StreamZero)?;
                check(head.len == 4, Fault::FrameLength)?;
                self.check_known(head.number)
            }
            Kind::SETTINGS => {
                check(!is_of_stream, Fault::StreamZero)?;
                let is_good = if head.has(frame::ACK) {
                    head.len == 0
                } else {
                    // Longer ones are carried by nobody, though larger frames be allowed.
                    head.len.is_multiple_of(6) && head.len <= FRAME_LEN_DEFAULT as usize
                };
                check(is_good, Fault::FrameLength)
            }
            // Section 8.4: it was not allowed.
            Kind::PUSH_PROMISE => Err(Fault::Push),
            Kind::PING => {
                check(!is_of_stream, Fault::StreamZero)?;
                check(head.len == 8, Fault::FrameLength)
            }
            Kind::GOAWAY => {
                check(!is_of_stream, Fault::StreamZero)?;
                check(head.len >= 8, Fault::FrameLength)
            }
            Kind::WINDOW_UPDATE => {
                check(head.len == 4, Fault::FrameLength)?;
                check(!is_of_stream, Fault::IdleStream).or_else(|_| self.check_known(head.number))
            }
            Kind::CONTINUATION => check(
                self.block.len() + head.len <= self.block_len_max(),
                Fault::BlockTooLong,
            ),
            _ => Ok(()),
        }
    }

    /// Section 5.1: streams that were never opened have no frames. Even numbers are of pushes, which there are none of.
    const fn check_known(&self, number: u32) -> Result<(), Fault> {
        if number % 2 == 1 && number < self.next_number {
            Ok(())
        } else {
            Err(Fault::IdleStream)
        }
    }

    /// A list is not shorter than its block by more than a bad compressor makes it.
    const fn block_len_max(&self) -> usize {
        self.settings.header_list_len_max as usize
    }

    /// Gathers a payload that is not whole.
    fn gather<'b>(&mut self, head: Head, input: &mut &'b [u8]) -> Stepped<'b> {
        let len = needed_len(head);
        let more = len.saturating_sub(self.carried.len()).min(input.len());
        self.carried.extend_from_slice(take(input, more));
        if self.carried.len() < len {
            return Ok(None);
        }
        self.skip(head.len - len);
        let mut payload = std::mem::take(&mut self.carried);
        let step = self.take_frame(head, &payload);
        payload.clear();
        payload.shrink_to(HTTP2_KEEP_LEN_MAX);
        self.carried = payload;
        step
    }

    /// What follows next, if so many bytes are to be ignored before.
    fn skip(&mut self, left: usize) {
        self.reading = if left == 0 {
            Reading::Head
        } else {
            Reading::Skip { left }
        };
    }

    /// A frame that is no DATA, whose head was looked at.
    fn take_frame<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        match (head.kind, payload) {
            (Kind::HEADERS, _) => self.take_headers(head, payload),
            (Kind::CONTINUATION, _) => self.take_continuation(head, payload),
            (Kind::RST_STREAM, &[a, b, c, d]) => {
                let code = Code(u32::from_be_bytes([a, b, c, d]));
                let Some(state) = self.forget(head.number) else {
                    return self.count_idle().map(|()| None);
                };
                let stream = StreamId {
                    number: state.number,
                    key: state.key,
                };
                let cause = ResetCause::Peer(code);
                Ok(Some(Step::Reset { stream, cause }))
            }
            (Kind::SETTINGS, _) => self.take_settings(head, payload),
            (Kind::PING, &[a, b, c, d, e, f, g, h]) => {
                let payload = [a, b, c, d, e, f, g, h];
                self.count_idle()?;
                if head.has(frame::ACK) {
                    return Ok(Some(Step::Pong(payload)));
                }
                self.count_answer()?;
                frame::write_ping(&mut self.output, frame::ACK, payload);
                Ok(None)
            }
            (Kind::GOAWAY, &[a, b, c, d, e, f, g, h]) => {
                self.count_idle()?;
                let last = u32::from_be_bytes([a, b, c, d]) & WINDOW_LEN_MAX;
                let code = Code(u32::from_be_bytes([e, f, g, h]));
                // Section 6.8.
                if self.go_away.is_some_and(|before| last > before) {
                    return Err(Fault::GoAwayRaised);
                }
                self.go_away = Some(last);
                self.walk = Some(0);
                Ok(Some(Step::GoAway { last, code }))
            }
            (Kind::WINDOW_UPDATE, &[a, b, c, d]) => {
                let more = u32::from_be_bytes([a, b, c, d]) & WINDOW_LEN_MAX;
                self.take_window_update(head.number, more)
            }
            // `check_head` has let pass no other lengths.
            _ => Err(Fault::FrameLength),
        }
    }

    fn take_settings<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        self.count_idle()?;
        if head.has(frame::ACK) {
            return Ok(None);
        }
        let before = self.peer.stream_window_len;
        self.peer.apply(payload)?;
        self.count_answer()?;
        frame::write_settings_ack(&mut self.output);
        self.is_ready = true;
        // Section 6.9.2: the difference is one of all streams, which may leave them with less than nothing.
        let difference = i64::from(self.peer.stream_window_len) - i64::from(before);
        if difference != 0 {
            for place in 0..self.streams.place_count() {
                let Some(state) = self.streams.at_place(place) else {
                    continue;
                };
                state.send_window = i32::try_from(i64::from(state.send_window) + difference)
                    .map_err(|_too_large| Fault::WindowTooLarge)?;
                self.line_up_place(place);
            }
        }
        Ok(Some(Step::Settings))
    }

    fn take_window_update<'b>(&mut self, number: u32, more: u32) -> Stepped<'b> {
        self.count_idle()?;
        if number == 0 {
            if more == 0 {
                return Err(Fault::WindowUpdateOfZero);
            }
            let window = self.send_window + more;
            if window > WINDOW_LEN_MAX {
                return Err(Fault::WindowTooLarge);
            }
            self.send_window = window;
            return Ok(None);
        }
        let Some(state) = self.streams.get_mut(number) else {
            return Ok(None);
        };
        // Section 6.9.
        if more == 0 {
            return Ok(self.break_stream(number, Fault::WindowUpdateOfZero));
        }
        let Some(window) = state.send_window.checked_add_unsigned(more) else {
            return Ok(self.break_stream(number, Fault::WindowTooLarge));
        };
        state.send_window = window;
        self.line_up_number(number);
        Ok(None)
    }

    fn take_headers<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        let block = header_block(head, payload)?;
        let ends = head.has(frame::END_STREAM);
        if head.has(frame::END_HEADERS) {
            return self.take_block(head.number, ends, block);
        }
        self.block.clear();
        self.block.extend_from_slice(block);
        self.open_block = Some(OpenBlock {
            number: head.number,
            ends,
            frame_count: 1,
        });
        Ok(None)
    }

    fn take_continuation<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        let Some(open) = &mut self.open_block else {
            return Err(Fault::Continuation);
        };
        open.frame_count += 1;
        // THREATS C3 is of the other side; here too empty frames are frames.
        if open.frame_count > HTTP2_CONTINUATION_COUNT_MAX {
            return Err(Fault::BlockTooLong);
        }
        let OpenBlock { number, ends, .. } = *open;
        self.block.extend_from_slice(payload);
        if !head.has(frame::END_HEADERS) {
            return Ok(None);
        }
        self.open_block = None;
        let mut block = std::mem::take(&mut self.block);
        let step = self.take_block(number, ends, &block);
        block.clear();
        block.shrink_to(HTTP2_KEEP_LEN_MAX);
        self.block = block;
        step
    }

    /// A whole header block.
    fn take_block<'b>(&mut self, number: u32, ends: bool, block: &[u8]) -> Stepped<'b> {
        let Some(state) = self.streams.get_mut(number) else {
            // Without a table, nothing is lost by not reading it.
            return self.count_idle().map(|()| None);
        };
        let stream = StreamId {
            number,
            key: state.key,
        };
        if state.is_received {
            return Ok(self.break_stream(number, Fault::EndedStream));
        }
        let section = if state.has_headers {
            Section::Trailers
        } else {
            Section::Headers
        };
        // Section 8.1.
        if section == Section::Trailers && !ends {
            return Ok(self.break_stream(number, Fault::Order));
        }
        let list_len_max = self.settings.header_list_len_max as usize;
        self.list.shrink_to(HTTP2_KEEP_LEN_MAX);
        let decoded = match hpack::decode(block, section, list_len_max, &mut self.list) {
            Ok(decoded) => decoded,
            Err(Undecoded::Broken) => return Err(Fault::Compression),
            Err(Undecoded::Refused(fault)) => return Ok(self.break_stream(number, fault)),
        };
        if section == Section::Headers {
            if decoded.status < 200 {
                // RFC 9110 section 15.2: others may follow; RFC 9113 section 8.6: but no other protocol.
                if ends || decoded.status == 101 {
                    return Ok(self.break_stream(number, Fault::Order));
                }
                return self.count_idle().map(|()| None);
            }
            state.has_headers = true;
            // RFC 9110 section 8.6: this one tells of a body that does not come.
            if decoded.status != 304 {
                state.content_left = decoded.content_len.unwrap_or(u64::MAX);
            }
        }
        self.idle_frame_count = 0;
        if ends && let Some(fault) = self.end(number) {
            return Ok(self.break_stream(number, fault));
        }
        Ok(Some(match section {
            Section::Headers => Step::Headers {
                stream,
                status: decoded.status,
                ends,
            },
            Section::Trailers => Step::Trailers { stream },
        }))
    }

    fn begin_data<'b>(&mut self, head: Head, input: &mut &'b [u8]) -> Stepped<'b> {
        let len = u32::try_from(head.len).map_err(|_too_long| Fault::FrameLength)?;
        let ends = head.has(frame::END_STREAM);
        let is_padded = head.has(frame::PADDED);
        if is_padded && len == 0 {
            return Err(Fault::FrameLength);
        }
        // Section 6.9.1: padding counts, and streams that are gone count.
        self.receive_window = self
            .receive_window
            .checked_sub(len)
            .ok_or(Fault::WindowExceeded)?;
        let Some(state) = self.streams.get_mut(head.number) else {
            self.skip(head.len);
            self.give_back_connection(len);
            match self.late_len.checked_sub(u64::from(len)) {
                Some(left) if len > 0 => self.late_len = left,
                _ => self.count_idle()?,
            }
            return Ok(None);
        };
        let fault = if state.is_received {
            Some(Fault::EndedStream)
        } else if !state.has_headers {
            Some(Fault::Order)
        } else if len > state.receive_window {
            Some(Fault::WindowExceeded)
        } else {
            None
        };
        if let Some(fault) = fault {
            self.skip(head.len);
            let step = self.break_stream(head.number, fault);
            self.give_back_connection(len);
            return Ok(step);
        }
        state.receive_window -= len;
        if len == 0 && !ends {
            // An empty frame that ends nothing: CVE-2019-9518.
            self.reading = Reading::Head;
            self.count_idle()?;
            return Ok(None);
        }
        let frame = DataFrame {
            number: head.number,
            left: head.len,
            padding: (!is_padded).then_some(0),
            ends,
        };
        self.reading = Reading::Data(frame);
        if input.is_empty() && len > 0 {
            return Ok(None);
        }
        self.read_data(frame, input)
    }

    /// Reads on in DATA. There is input, or the frame is empty and ends the stream.
    fn read_data<'b>(&mut self, mut frame: DataFrame, input: &mut &'b [u8]) -> Stepped<'b> {
        let padding = match frame.padding {
            Some(padding) => padding,
            None => {
                let Some((&padding, rest)) = input.split_first() else {
                    return Ok(None);
                };
                *input = rest;
                frame.left -= 1;
                // Section 6.1.
                if usize::from(padding) > frame.left {
                    return Err(Fault::Padding);
                }
                // Nobody else will give it back.
                let len = u32::from(padding) + 1;
                self.give_back(frame.number, len);
                self.give_back_connection(len);
                frame.padding = Some(usize::from(padding));
                usize::from(padding)
            }
        };
        let data_left = frame.left - padding;
        let bytes = take(input, data_left.min(input.len()));
        frame.left -= bytes.len();
        let is_whole = bytes.len() == data_left;
        if is_whole {
            self.skip(frame.left);
        } else {
            self.reading = Reading::Data(frame);
        }
        let ends = frame.ends && is_whole;
        if bytes.is_empty() && !ends {
            return Ok(None);
        }
        self.take_data(frame.number, bytes, ends)
    }

    fn take_data<'b>(&mut self, number: u32, bytes: &'b [u8], ends: bool) -> Stepped<'b> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a part of a frame, whose length has 24 bits"
        )]
        let len = bytes.len() as u32;
        let Some(state) = self.streams.get_mut(number) else {
            // It was reset between two reads.
            self.give_back_connection(len);
            return Ok(None);
        };
        let stream = StreamId {
            number,
            key: state.key,
        };
        state.held_len += len;
        if state.content_left != u64::MAX {
            // RFC 9113 section 8.1.1.
            let Some(left) = state.content_left.checked_sub(u64::from(len)) else {
                return Ok(self.break_stream(number, Fault::ContentLength));
            };
            state.content_left = left;
        }
        if len > 0 {
            self.idle_frame_count = 0;
        }
        if ends && let Some(fault) = self.end(number) {
            return Ok(self.break_stream(number, fault));
        }
        Ok(Some(Step::Data {
            stream,
            bytes,
            ends,
        }))
    }

    /// The peer ends its side of a stream.
    fn end(&mut self, number: u32) -> Option<Fault> {
        let state = self.streams.get_mut(number)?;
        if !matches!(state.content_left, 0 | u64::MAX) {
            return Some(Fault::ContentLength);
        }
        state.is_received = true;
        if state.is_sent {
            self.forget(number);
        }
        None
    }

    /// Resets a stream on which the peer broke a rule.
    #[cold]
    fn break_stream<'b>(&mut self, number: u32, fault: Fault) -> Option<Step<'b>> {
        let key = self.streams.get_mut(number)?.key;
        self.write_reset(number, fault.code());
        Some(Step::Reset {
            stream: StreamId { number, key },
            cause: ResetCause::Broken(fault),
        })
    }

    /// The next stream that a GOAWAY has left out.
    #[cold]
    fn walk_on<'b>(&mut self) -> Option<Step<'b>> {
        let last = self.go_away?;
        let mut place = self.walk?;
        while place < self.streams.place_count() {
            if let Some(state) = self.streams.at_place(place)
                && state.number > last
            {
                let (number, key) = (state.number, state.key);
                // Another may have taken its place.
                self.walk = Some(place);
                self.walk_found = true;
                self.forget(number);
                return Some(Step::Reset {
                    stream: StreamId { number, key },
                    cause: ResetCause::GoAway,
                });
            }
            place += 1;
        }
        // Streams that the caller reset meanwhile may have moved others to where the walk had been.
        if std::mem::take(&mut self.walk_found) {
            self.walk = Some(0);
            return self.walk_on();
        }
        self.walk = None;
        None
    }

    fn count_idle(&mut self) -> Result<(), Fault> {
        self.idle_frame_count += 1;
        if self.idle_frame_count > HTTP2_IDLE_FRAME_COUNT_MAX {
            return Err(Fault::TooManyIdleFrames);
        }
        Ok(())
    }

    fn count_answer(&mut self) -> Result<(), Fault> {
        if self.output.is_empty() {
            self.answer_count = 0;
        }
        self.answer_count += 1;
        if self.answer_count > HTTP2_ANSWER_COUNT_MAX {
            return Err(Fault::TooManyAnswers);
        }
        Ok(())
    }
}

/// Bytes of a payload that are read: of a GOAWAY, not the text that may follow.
fn needed_len(head: Head) -> usize {
    if head.kind == Kind::GOAWAY {
        head.len.min(8)
    } else {
        head.len
    }
}

/// The header block in HEADERS, without padding and priority: section 6.2.
fn header_block(head: Head, payload: &[u8]) -> Result<&[u8], Fault> {
    let mut block = payload;
    let mut padding = 0;
    if head.has(frame::PADDED) {
        let (&len, rest) = block.split_first().ok_or(Fault::FrameLength)?;
        padding = usize::from(len);
        block = rest;
    }
    if head.has(frame::PRIORITY) {
        block = block.get(5..).ok_or(Fault::FrameLength)?;
    }
    let len = block.len().checked_sub(padding).ok_or(Fault::Padding)?;
    Ok(block.get(..len).unwrap_or_default())
}

/// Cuts so many bytes off the front. There are as many.
#[inline]
fn take<'b>(input: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (front, rest) = input.split_at_checked(len).unwrap_or((input, &[]));
    *input = rest;
    front
}
