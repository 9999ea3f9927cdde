//! The body of a request on its way in: sized, in chunks, long, or coded. In: a connection whose head has been read. Out: where the body is.
//! Always: room follows what has come and not what was announced; a body that pauses too long or drips is given up; one that is long is moved by
//! another thread.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use transom_engine::Error;
use transom_engine::error::ErrorKind;
use transom_engine::http1::{BodyFraming, ChunkedBody, write_continue};

use super::super::inlet::ReadDone;
use super::{Connection, Part};
use crate::clock::{self, Instant};
use crate::limits::{
    BODY_GAP_TIMEOUT, BODY_RATE_MIN, BODY_ROOM_LEN, LINGER_LEN_MAX, LONG_BODY_LEN, LONG_READ_LEN,
    READ_ROOM_LEN,
};
use crate::net::turn;

/// The body of the current request.
#[derive(Clone, Copy)]
pub(super) struct Body {
    /// Bytes behind the head that belong to it.
    pub(super) inlet_len: usize,
    /// Whether it is in `Connection::chunked`; else it is those bytes.
    is_chunked: bool,
}

/// How fast a body comes.
struct Pace {
    start: Instant,
    received_len: u64,
}

impl<F: Future<Output = ReadDone>, D: Future<Output = ()>> Connection<'_, F, D> {
    pub(super) fn is_body_here(&self, head_len: usize) -> bool {
        match self.head.framing() {
            BodyFraming::None => true,
            BodyFraming::Length(len) => len <= (self.inlet.bytes().len() - head_len) as u64,
            BodyFraming::Chunked => false,
        }
    }

    /// Whether the body is here already, or so short that it costs less to wait for it than to end the connection. The head of any
    /// other request has to be good before its body is waited for.
    pub(super) fn is_body_near(&self, head_len: usize) -> bool {
        let here_len = self.inlet.bytes().len() - head_len;
        match self.head.framing() {
            BodyFraming::None => true,
            BodyFraming::Length(len) => usize::try_from(len).is_ok_and(|len| {
                len <= here_len || (len <= LINGER_LEN_MAX && !self.head.expects_continue())
            }),
            BodyFraming::Chunked => false,
        }
    }

    pub(super) async fn read_body(&mut self, head_len: usize) -> io::Result<Part<Body>> {
        match self.head.framing() {
            BodyFraming::None => Ok(Part::Whole(Body {
                inlet_len: 0,
                is_chunked: false,
            })),
            BodyFraming::Length(len) => match usize::try_from(len) {
                Ok(len) if len > LONG_BODY_LEN && len <= self.context.sizes().request_len_max => {
                    Box::pin(self.read_long_body(head_len, len)).await
                }
                Ok(len) if len <= self.context.sizes().request_len_max => {
                    self.read_sized_body(head_len, len).await
                }
                // SEMANTICS 73: refused before any of it is buffered.
                _ => Ok(Part::Refused(Error::request(ErrorKind::BodyTooLarge))),
            },
            BodyFraming::Chunked => self.read_chunked_body(head_len).await,
        }
    }

    async fn read_sized_body(&mut self, head_len: usize, len: usize) -> io::Result<Part<Body>> {
        let mut pace = None;
        loop {
            let here_len = self.inlet.bytes().len() - head_len;
            if here_len >= len {
                return Ok(Part::Whole(Body {
                    inlet_len: len,
                    is_chunked: false,
                }));
            }
            if here_len == 0 {
                self.promise_to_read();
            }
            // Room follows what has come, not what was announced: an announcement costs the client nothing.
            self.inlet
                .expect((len - here_len).min(here_len.max(BODY_ROOM_LEN)));
            if let Some(part) = self
                .wait_for_body(pace.get_or_insert_with(Pace::new))
                .await?
            {
                return Ok(part);
            }
        }
    }

    async fn read_chunked_body(&mut self, head_len: usize) -> io::Result<Part<Body>> {
        let mut pace = Pace::new();
        let mut decoder = ChunkedBody::new();
        let len_max = self.context.sizes().request_len_max;
        self.chunked.clear();
        if self.inlet.bytes().len() == head_len {
            self.promise_to_read();
        }
        loop {
            let input = self.inlet.bytes().get(head_len..).unwrap_or_default();
            match decoder.decode(input, &mut self.chunked, len_max) {
                Ok(decoded) if decoded.is_done => {
                    if !self.long.is_empty() {
                        Box::pin(self.move_chunked(len_max)).await?;
                    }
                    return Ok(Part::Whole(Body {
                        inlet_len: decoded.consumed,
                        is_chunked: true,
                    }));
                }
                // A body that goes on has taken all there was.
                Ok(_) => self.inlet.truncate(head_len),
                Err(error) => return Ok(Part::Refused(error)),
            }
            let mut room_len = self.chunked.len().clamp(READ_ROOM_LEN, BODY_ROOM_LEN);
            if self.chunked.len() >= LONG_BODY_LEN {
                Box::pin(self.move_chunked(len_max)).await?;
            }
            if !self.long.is_empty() {
                room_len = BODY_ROOM_LEN;
            }
            self.inlet.expect(room_len);
            if let Some(part) = self.wait_for_body(&mut pace).await? {
                return Ok(part);
            }
        }
    }

    /// Reads a body that is long, into memory that grows with what has come and is moved by another thread.
    async fn read_long_body(&mut self, head_len: usize, len: usize) -> io::Result<Part<Body>> {
        let mut pace = Pace::new();
        loop {
            let here_len = self.inlet.bytes().len() - head_len;
            let missing_len = len - self.long.len();
            // As for other bodies: the more has come, the more is made room for.
            let room_len = self
                .long
                .len()
                .clamp(BODY_ROOM_LEN, LONG_READ_LEN)
                .min(missing_len);
            if here_len >= room_len {
                self.make_room(here_len.min(missing_len), missing_len)
                    .await?;
                self.inlet.move_out(head_len, missing_len, &mut self.long);
                if self.long.len() == len {
                    return Ok(Part::Whole(Body {
                        inlet_len: 0,
                        is_chunked: false,
                    }));
                }
                // With epoll a read that finds bytes gives no turn up.
                turn().await;
                continue;
            }
            if here_len == 0 && self.long.is_empty() {
                self.promise_to_read();
            }
            self.inlet.expect(room_len - here_len);
            if let Some(part) = self.wait_for_body(&mut pace).await? {
                return Ok(part);
            }
        }
    }

    /// Moves what has come of a body in chunks to the long body.
    async fn move_chunked(&mut self, len_max: usize) -> io::Result<()> {
        let left_len = len_max - self.long.len();
        self.make_room(self.chunked.len(), left_len).await?;
        self.long.append(&mut self.chunked);
        turn().await;
        Ok(())
    }

    /// Makes room in the long body for `len` bytes more, and for as much again as there is, but not for more than `len_max`.
    async fn make_room(&mut self, len: usize, len_max: usize) -> io::Result<()> {
        if self.long.capacity() - self.long.len() >= len {
            return Ok(());
        }
        let long = std::mem::take(&mut self.long);
        let room_len = long.len().clamp(len, len_max.max(len));
        let grown = self.context.aside().grow(long, room_len).await;
        self.long = grown.ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(())
    }

    /// SEMANTICS 75: a client that asked first is told to go on. One that has begun to send does not need it.
    pub(super) fn promise_to_read(&mut self) {
        if self.head.expects_continue() {
            write_continue(&mut self.out);
        }
    }

    /// Waits for more of a body; nothing when some has come.
    async fn wait_for_body<T>(&mut self, pace: &mut Pace) -> io::Result<Option<Part<T>>> {
        self.flush().await?;
        let more = pin!(self.inlet.more());
        let Ok(read) = self.writer.alarm().within(pace.wait_max(), more).await else {
            let error = Error::request(ErrorKind::RequestTimeout);
            return Ok(Some(Part::Refused(error)));
        };
        let read = read?;
        pace.received_len += read as u64;
        Ok((read == 0).then_some(Part::End))
    }

    /// Whether a body has to be decoded first, and may become long by that: some codings make megabytes of a few bytes.
    pub(super) fn is_coded(&self, head_len: usize, body: Body) -> bool {
        let bytes = self.inlet.bytes();
        !body.bytes(bytes, head_len, &self.chunked).is_empty()
            && self.head.header(bytes, b"content-encoding").is_some()
    }
}

impl Body {
    /// The bytes of a body that is not long, `inlet` being those from the head on.
    pub(super) fn bytes<'b>(self, inlet: &'b [u8], head_len: usize, chunked: &'b [u8]) -> &'b [u8] {
        if self.is_chunked {
            return chunked;
        }
        let range = head_len..head_len + self.inlet_len;
        inlet.get(range).unwrap_or_default()
    }
}

impl Pace {
    fn new() -> Self {
        Self {
            start: clock::now(),
            received_len: 0,
        }
    }

    /// How long the next bytes may take: no gap too long, and no drip that keeps within the gaps for ever.
    fn wait_max(&self) -> Duration {
        let allowed = BODY_GAP_TIMEOUT + Duration::from_secs(self.received_len / BODY_RATE_MIN);
        let passed = clock::now().saturating_duration_since(self.start);
        allowed.saturating_sub(passed).min(BODY_GAP_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_may_pause_but_not_drip() {
        let drip = Pace {
            start: clock::now(),
            received_len: 0,
        };
        assert!(drip.wait_max() <= BODY_GAP_TIMEOUT);
        assert!(drip.wait_max() > BODY_GAP_TIMEOUT / 2);
        let Some(start) = clock::now().checked_sub(BODY_GAP_TIMEOUT * 2) else {
            return;
        };
        let slow = |received_len| Pace {
            start,
            received_len,
        };
        assert_eq!(slow(BODY_RATE_MIN).wait_max(), Duration::ZERO);
        // Fast until now: the gap is what bounds it.
        assert_eq!(slow(BODY_RATE_MIN * 1000).wait_max(), BODY_GAP_TIMEOUT);
    }
}
