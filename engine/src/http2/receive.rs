//! What the peer sends. In: its bytes, cut anywhere. Out: events, one at a time; answers in the output.
//! Always: the rules of RFC 9113 for who receives as a client; nothing is carried from one read to the next but a head of nine bytes, or a
//! frame that is no DATA; an event holds on to the input, never to a copy.

use super::connection::Connection;
use super::event::{Event, Stepped};
use super::fault::Fault;
use super::frame::{self, HEAD_LEN, Head, Kind};
use crate::limits::{HTTP2_ANSWER_COUNT_MAX, HTTP2_IDLE_FRAME_COUNT_MAX, HTTP2_KEEP_LEN_MAX};

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
    pub(super) number: u32,
    /// Bytes with the padding.
    pub(super) left: usize,
    /// `None` while its length is to come: `padding <= left`.
    pub(super) padding: Option<usize>,
    /// Whether its length was compared with the content-length.
    pub(super) is_begun: bool,
    pub(super) ends: bool,
}

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
        Ok(Some(step.with(&mut self.list)))
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

    /// A list is not shorter than its block by more than a bad compressor makes it.
    pub(super) const fn block_len_max(&self) -> usize {
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
    pub(super) fn skip(&mut self, left: usize) {
        self.reading = if left == 0 {
            Reading::Head
        } else {
            Reading::Skip { left }
        };
    }

    /// A frame that is no DATA, whose head was looked at.
    fn take_frame<'b>(&mut self, head: Head, payload: &[u8]) -> Stepped<'b> {
        match head.kind {
            Kind::HEADERS => self.take_headers(head, payload),
            Kind::CONTINUATION => self.take_continuation(head, payload),
            Kind::RST_STREAM => self.take_reset(head.number, payload),
            Kind::SETTINGS => self.take_settings(head, payload),
            Kind::PING => self.take_ping(head, payload),
            Kind::GOAWAY => self.take_go_away(payload),
            Kind::WINDOW_UPDATE => self.take_window_update(head.number, payload),
            // `check_head` lets no other pass.
            _ => Ok(None),
        }
    }

    pub(super) fn count_idle(&mut self) -> Result<(), Fault> {
        self.idle_frame_count += 1;
        if self.idle_frame_count > HTTP2_IDLE_FRAME_COUNT_MAX {
            return Err(Fault::TooManyIdleFrames);
        }
        Ok(())
    }

    pub(super) fn count_answer(&mut self) -> Result<(), Fault> {
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

/// Cuts so many bytes off the front. There are as many.
#[inline]
pub(super) fn take<'b>(input: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (front, rest) = input.split_at_checked(len).unwrap_or((input, &[]));
    *input = rest;
    front
}
