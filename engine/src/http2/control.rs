//! Frames that are no message: settings, windows, pings, resets, GOAWAY. In: their payloads. Out: what they change, and answers in the output.
//! Always: answers are counted, and so is what moves nothing.

use super::connection::{Connection, StreamId};
use super::event::{ResetCause, Step, Stepped};
use super::fault::{Code, Fault};
use super::frame::{self, Head, WINDOW_LEN_MAX};

impl Connection {
    pub(super) fn take_reset<'b>(&mut self, number: u32, payload: &[u8]) -> Stepped<'b> {
        let (code, _) = read_word(payload)?;
        let Some(state) = self.forget(number) else {
            return self.count_idle().map(|()| None);
        };
        let stream = StreamId {
            number,
            key: state.key,
        };
        let cause = ResetCause::Peer(Code(code));
        Ok(Some(Step::Reset { stream, cause }))
    }

    pub(super) fn take_ping<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        let &payload = payload.first_chunk().ok_or(Fault::FrameLength)?;
        if head.has(frame::ACK) {
            match self.awaited_pong_count.checked_sub(1) {
                Some(count) => self.awaited_pong_count = count,
                None => self.count_idle()?,
            }
            return Ok(Some(Step::Pong(payload)));
        }
        // Not idle: a server may ask for days whether we are there, on a stream on which nothing happens.
        self.count_answer()?;
        frame::write_ping(&mut self.output, frame::ACK, payload);
        Ok(None)
    }

    pub(super) fn take_go_away<'b>(&mut self, payload: &[u8]) -> Stepped<'b> {
        let (last, rest) = read_word(payload)?;
        let (code, _) = read_word(rest)?;
        let last = last & WINDOW_LEN_MAX;
        self.count_idle()?;
        // Section 6.8.
        if self.go_away.is_some_and(|before| last > before) {
            return Err(Fault::GoAwayRaised);
        }
        self.go_away = Some(last);
        self.walk = Some(0);
        let code = Code(code);
        Ok(Some(Step::GoAway { last, code }))
    }

    pub(super) fn take_settings<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
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

    pub(super) fn take_window_update<'b>(&mut self, number: u32, payload: &[u8]) -> Stepped<'b> {
        let (more, _) = read_word(payload)?;
        let more = more & WINDOW_LEN_MAX;
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

    /// The next stream that a GOAWAY has left out.
    #[cold]
    pub(super) fn walk_on<'b>(&mut self) -> Option<Step<'b>> {
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
}

/// The next four bytes, of which `check_head` has seen that they are there.
fn read_word(payload: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let (word, rest) = payload.split_first_chunk().ok_or(Fault::FrameLength)?;
    Ok((u32::from_be_bytes(*word), rest))
}
