//! Frames that make a response: HEADERS, CONTINUATION, DATA. In: their payloads, those of DATA cut anywhere. Out: steps of a response in the one
//! order there is (RFC 9113 section 8.1). Always: a stream that breaks a rule is reset and leaves the others alone; windows count every byte.

use super::connection::{Connection, StreamId};
use super::event::{ResetCause, Step, Stepped};
use super::fault::Fault;
use super::frame::{self, Head};
use super::hpack::{self, Section, Undecoded};
use super::receive::{DataFrame, Reading, take};
use crate::limits::{HTTP2_CONTINUATION_COUNT_MAX, HTTP2_KEEP_LEN_MAX};

/// A header block of which more is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenBlock {
    pub(super) number: u32,
    ends: bool,
    frame_count: u32,
}

impl Connection {
    pub(super) fn take_headers<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
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

    pub(super) fn take_continuation<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
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

    /// A whole header block. It is read even if nobody wants it, since the table depends on each.
    fn take_block<'b>(&mut self, number: u32, ends: bool, block: &[u8]) -> Stepped<'b> {
        let state = self.streams.get_mut(number);
        let section = match &state {
            Some(state) if state.has_headers => Section::Trailers,
            _ => Section::Headers,
        };
        let list_len_max = self.settings.header_list_len_max as usize;
        self.list.shrink_to(HTTP2_KEEP_LEN_MAX);
        let decoded = match hpack::decode(
            block,
            section,
            list_len_max,
            &mut self.table,
            &mut self.list,
        ) {
            Ok(decoded) => Ok(decoded),
            Err(Undecoded::Broken(fault)) => return Err(fault),
            Err(Undecoded::Refused(fault)) => Err(fault),
        };
        let Some(state) = state else {
            return self.count_idle().map(|()| None);
        };
        let stream = StreamId {
            number,
            key: state.key,
        };
        if state.is_received {
            return Ok(self.break_stream(number, Fault::EndedStream));
        }
        // Section 8.1.
        if section == Section::Trailers && !ends {
            return Ok(self.break_stream(number, Fault::Order));
        }
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(fault) => return Ok(self.break_stream(number, fault)),
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

    pub(super) fn begin_data<'b>(&mut self, head: Head, input: &mut &'b [u8]) -> Stepped<'b> {
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
            is_begun: false,
            ends,
        };
        self.reading = Reading::Data(frame);
        if input.is_empty() && len > 0 {
            return Ok(None);
        }
        self.read_data(frame, input)
    }

    /// Reads on in DATA. There is input, or the frame is empty and ends the stream.
    pub(super) fn read_data<'b>(
        &mut self,
        mut frame: DataFrame,
        input: &mut &'b [u8],
    ) -> Stepped<'b> {
        let padding = if let Some(padding) = frame.padding {
            padding
        } else {
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
        };
        let data_left = frame.left - padding;
        if !frame.is_begun {
            frame.is_begun = true;
            if let Some(fault) = self.begin_content(frame.number, data_left, frame.ends) {
                self.skip(frame.left);
                let step = self.break_stream(frame.number, fault);
                self.give_back_connection(u32::try_from(data_left).unwrap_or(u32::MAX));
                return Ok(step);
            }
        }
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
        Ok(self.take_data(frame.number, bytes, ends))
    }

    /// RFC 9113 section 8.1.1, looked at before any of a frame's data are handed on: what is heard must not depend on how it is cut.
    fn begin_content(&mut self, number: u32, len: usize, ends: bool) -> Option<Fault> {
        let state = self.streams.get_mut(number)?;
        if state.content_left == u64::MAX {
            return None;
        }
        match state.content_left.checked_sub(len as u64) {
            Some(left) if left == 0 || !ends => {
                state.content_left = left;
                None
            }
            _ => Some(Fault::ContentLength),
        }
    }

    fn take_data<'b>(&mut self, number: u32, bytes: &'b [u8], ends: bool) -> Option<Step<'b>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a part of a frame, whose length has 24 bits"
        )]
        let len = bytes.len() as u32;
        let Some(state) = self.streams.get_mut(number) else {
            // It was reset between two reads.
            self.give_back_connection(len);
            return None;
        };
        let stream = StreamId {
            number,
            key: state.key,
        };
        state.held_len += len;
        if len > 0 {
            self.idle_frame_count = 0;
        }
        if ends && let Some(fault) = self.end(number) {
            return self.break_stream(number, fault);
        }
        Some(Step::Data {
            stream,
            bytes,
            ends,
        })
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
    pub(super) fn break_stream<'b>(&mut self, number: u32, fault: Fault) -> Option<Step<'b>> {
        let key = self.streams.get_mut(number)?.key;
        self.write_reset(number, fault.code());
        Some(Step::Reset {
            stream: StreamId { number, key },
            cause: ResetCause::Broken(fault),
        })
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
