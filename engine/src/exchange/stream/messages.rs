//! Framed gRPC messages as they arrive, to JSON or raw bytes. In: pieces of the body of a reply. Out: what one message after the other becomes.
//! Always: a message that is whole in its piece is converted where it is; of one that is cut and short the bytes are carried, one that is longer than
//! `HELD_LEN_MAX` goes on while it comes (`long`), wherever that is known.

use super::super::crossing::Pair;
use super::super::{Call, Scratch, StreamLimits, Transcoder, raw};
use super::Failure;
use super::long::{Long, Way};
use crate::error::{Error, ErrorKind};
use crate::grpc::frame::{Deframer, Part};
use crate::grpc::status::read_trailers;
use crate::limits::HELD_LEN_MAX;
use crate::plan::Message;
use crate::to_json;

/// The messages of a reply, one by one and without a framing of HTTP: what a protocol with frames of its own sends on. Made by [`Call::messages`].
#[derive(Debug)]
pub(super) struct Messages {
    call: Call,
    deframer: Deframer,
    /// The bytes of a message that is cut, unless it is converted as it comes.
    held: Vec<u8>,
    /// A message that goes on as it comes.
    long: Long,
    /// How long messages go, unless they have to be gathered.
    way: Option<Way>,
    is_raw: bool,
    /// The type of the raw bytes, from the first message.
    content_type: Vec<u8>,
    /// Messages that have ended.
    ended_count: u64,
    /// Bytes of messages that have begun.
    begun_len: u64,
}

/// What has come of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes of the piece that were used. With the end of a message they may be fewer than there are.
    pub used: usize,
    /// Whether a message begins with what was appended.
    pub is_first: bool,
    /// Whether a message ends with what was appended.
    pub is_last: bool,
}

impl Call {
    /// Begins the messages of a reply, for a protocol that has frames of its own.
    pub(super) fn messages(&self, transcoder: &Transcoder) -> Messages {
        Messages {
            call: *self,
            deframer: Deframer::default(),
            held: Vec::new(),
            long: Long::default(),
            way: Way::of(self, transcoder),
            is_raw: self.plan(transcoder).gives_raw_body,
            content_type: Vec::new(),
            ended_count: 0,
            begun_len: 0,
        }
    }
}

impl Messages {
    /// Messages that are written at once, however long they are. Of one that is cut as many bytes are carried then as a message may have.
    #[must_use]
    pub(super) fn gathered(self) -> Self {
        let way = self.way.filter(|way| *way == Way::Raw);
        Self { way, ..self }
    }

    /// Whether the messages are raw bytes and no JSON (SEMANTICS 72).
    pub(super) const fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// The type of raw bytes, once the first message has come; it may be empty.
    pub(super) fn content_type(&self) -> &[u8] {
        &self.content_type
    }

    /// Whether the reply may end here: no message is cut.
    pub(super) const fn is_between(&self) -> bool {
        self.deframer.is_between()
    }

    /// Messages that have ended.
    pub(super) const fn ended_count(&self) -> u64 {
        self.ended_count
    }

    /// Bytes that are carried until more come.
    pub(super) fn carried_len(&self) -> usize {
        self.held.len() + self.long.carried_len()
    }

    /// Reads the upstream's trailers; none at all is an empty list.
    ///
    /// # Errors
    /// The status of a reply that has failed, or was cut.
    #[expect(
        single_use_lifetimes,
        reason = "anonymous lifetimes in impl Trait are unstable"
    )]
    pub(super) fn read_trailers<'r>(
        &self,
        trailers: impl Iterator<Item = Pair<'r>>,
    ) -> Result<(), Failure> {
        read_trailers(trailers)?;
        self.check_end()?;
        Ok(())
    }

    /// Takes bytes up to the end of a message, and appends what can be written of it. All of the piece has been used once `is_last` is not set.
    ///
    /// # Errors
    /// When the message is too large, no protobuf, or has no JSON form. Nothing more can be read then; what was appended before, of a long
    /// message, is no whole value.
    pub(super) fn push(
        &mut self,
        transcoder: &Transcoder,
        piece: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Pushed, Error> {
        let mut pushed = Pushed {
            used: 0,
            is_first: false,
            is_last: false,
        };
        let sizes = transcoder.sizes();
        let mut rest = piece;
        let start = out.len();
        while !pushed.is_last
            && let Some(part) = self.deframer.next(&mut rest, sizes.response_len_max)?
        {
            if part.is_first {
                self.check_stream(&sizes.response_stream, part.len)?;
            }
            let is_begun = self.long.is_begun();
            self.take(transcoder, &part, scratch, out)?;
            pushed.is_last = part.is_last;
            pushed.is_first = !is_begun && (part.is_last || out.len() > start);
        }
        pushed.used = piece.len() - rest.len();
        self.ended_count += u64::from(pushed.is_last);
        Ok(pushed)
    }

    /// Refuses a message that the stream is too long with, before any of it is written (SEMANTICS 73).
    fn check_stream(&mut self, limits: &StreamLimits, len: usize) -> Result<(), Error> {
        self.begun_len = self.begun_len.saturating_add(len as u64);
        if self.ended_count >= limits.count_max {
            return Err(Error::reply(ErrorKind::ReplyStreamCount, 0));
        }
        if self.begun_len > limits.len_max {
            return Err(Error::reply(ErrorKind::ReplyStreamTooLong, 0));
        }
        Ok(())
    }

    /// Takes one part of a message.
    fn take(
        &mut self,
        transcoder: &Transcoder,
        part: &Part<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if part.is_first && part.is_last {
            return self.write(transcoder, part.bytes, scratch, out);
        }
        if part.len > HELD_LEN_MAX
            && let Some(way) = self.way
        {
            let (start, is_first) = (out.len(), self.ended_count == 0);
            self.long.take(way, transcoder, part, is_first, out)?;
            if is_first && self.content_type.is_empty() && (part.is_last || out.len() > start) {
                self.content_type
                    .extend_from_slice(self.long.content_type());
            }
            return Ok(());
        }
        if part.is_first {
            self.held.clear();
        }
        self.held.extend_from_slice(part.bytes);
        if !part.is_last {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let written = self.write(transcoder, &held, scratch, out);
        if held.capacity() <= HELD_LEN_MAX {
            held.clear();
            self.held = held;
        }
        written
    }

    /// Appends what a whole message becomes.
    fn write(
        &mut self,
        transcoder: &Transcoder,
        message: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let route = self.call.plan(transcoder);
        let plan = &transcoder.schema.plan;
        let index = transcoder.schema.method_plan(route.method).output;
        if self.is_raw {
            let body = raw::read_reply(plan.message(index), route.response_body, message)?;
            if self.ended_count == 0 {
                self.content_type.extend_from_slice(body.content_type);
            }
            out.extend_from_slice(body.data);
            return Ok(());
        }
        let scratch = &mut scratch.to_json;
        match route.response_body {
            Some(field) => to_json::field_to_line(plan, index, field, message, scratch, out),
            None => to_json::to_line(Message { plan, index }, message, scratch, out),
        }
    }

    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    /// What is wrong if the reply ends here.
    pub(super) fn check_end(&self) -> Result<(), Error> {
        if self.is_between() {
            return Ok(());
        }
        Err(Error::reply(ErrorKind::ReplyFrame, 0))
    }
}
