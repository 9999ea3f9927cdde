//! What came for one call on the codec of our own, and what it has still to send. In: events of its stream. Out: headers, bytes and trailers, and a
//! wake-up for who waits for them.
//! Always: what came before a stream was gone is still there; bytes are bounded by the window of their stream, or by the limit of who waits for all
//! of them.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::StatusCode;
use transom_engine::http2::{Code, HeaderList};

use super::call::room_for_announced;
use super::error::{CallError, Failure};
use super::head::is_grpc;
use super::memory::{Lent, Memory, Received};
use super::stream::Answer;
use super::{Reply, ReplyMetadata};
use crate::buffers::SharedBytes;
use crate::clock::Instant;

/// Bytes of an answer that a call gets at once, so that what it makes of them stays bounded too.
pub(super) const PIECE_LEN: usize = 16 * 1024;

/// What came for a call and was not taken yet, and what it has still to send.
pub(super) struct Mailbox {
    /// The rest of a message that waits for its window, and ends the request.
    pub(super) outgoing: Option<SharedBytes>,
    /// Zero until there are headers.
    status: u16,
    headers: HeaderList,
    /// The last bytes that came.
    body: Vec<u8>,
    /// Those before them, in pieces.
    earlier: VecDeque<Vec<u8>>,
    trailers: Option<HeaderList>,
    /// Whether nothing of gRPC follows the headers.
    is_headers_only: bool,
    progress: Progress,
    /// Whether the upstream takes nothing more.
    pub(super) is_gone: bool,
    /// For a call that waits for all at once: the longest body, bytes.
    pub(super) whole_len_max: Option<usize>,
    /// When the call began.
    pub(super) began: Option<Instant>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug)]
enum Progress {
    Open,
    Ended,
    Failed(Failure),
}

/// What became of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The call has yet to look at it.
    Kept,
    /// The call waits for all of it and needs no window meanwhile.
    Whole,
    /// It is more than the call takes.
    TooMuch,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self {
            outgoing: None,
            status: 0,
            headers: HeaderList::default(),
            body: Vec::new(),
            earlier: VecDeque::new(),
            trailers: None,
            is_headers_only: false,
            progress: Progress::Open,
            is_gone: false,
            whole_len_max: None,
            began: None,
            receiver: None,
            sender: None,
        }
    }

    /// Takes headers; says whether what follows them is wanted.
    pub(super) fn take_headers(
        &mut self,
        memory: &Rc<Memory>,
        status: u16,
        list: &mut HeaderList,
        ends: bool,
    ) -> bool {
        let is_wanted = is_grpc(status, list.get(b"content-type"));
        self.status = status;
        self.headers = memory.take_list();
        mem::swap(&mut self.headers, list);
        self.is_headers_only = ends || !is_wanted;
        if self.is_headers_only {
            self.end();
        } else if self.whole_len_max.is_none() {
            wake(&mut self.receiver);
        }
        is_wanted || ends
    }

    pub(super) fn take_data(&mut self, memory: &Rc<Memory>, bytes: &[u8], ends: bool) -> Taken {
        let len = self.body.len() + bytes.len();
        match self.whole_len_max {
            Some(body_len_max) if len > body_len_max => {
                self.fail(CallError::MessageTooLarge { body_len_max }, false);
                return Taken::TooMuch;
            }
            None if len > PIECE_LEN && !self.body.is_empty() => {
                self.earlier.push_back(mem::take(&mut self.body));
            }
            Some(_) | None => {}
        }
        if self.body.capacity() == 0 {
            self.body = memory.take_body();
        }
        if let Some(body_len_max) = self.whole_len_max {
            let room_len = room_for_announced(&self.body, bytes.len(), body_len_max);
            self.body.reserve(room_len);
        }
        self.body.extend_from_slice(bytes);
        if ends {
            self.end();
        }
        if self.whole_len_max.is_some() {
            return Taken::Whole;
        }
        wake(&mut self.receiver);
        Taken::Kept
    }

    pub(super) fn take_trailers(&mut self, memory: &Rc<Memory>, list: &mut HeaderList) {
        let mut trailers = memory.take_list();
        mem::swap(&mut trailers, list);
        self.trailers = Some(trailers);
        self.end();
    }

    fn end(&mut self) {
        self.progress = Progress::Ended;
        wake(&mut self.receiver);
    }

    /// The stream is gone. What had come whole stays whole.
    pub(super) fn fail(&mut self, error: CallError, is_unstarted: bool) {
        self.is_gone = true;
        self.outgoing = None;
        if matches!(self.progress, Progress::Open) {
            let is_unstarted = is_unstarted && self.status == 0;
            self.progress = Progress::Failed(Failure {
                error,
                is_unstarted,
            });
        }
        wake(&mut self.receiver);
        wake(&mut self.sender);
    }

    /// The call can send again.
    pub(super) fn wake_sender(&mut self) {
        wake(&mut self.sender);
    }

    /// Waits for room to send.
    ///
    /// # Errors
    /// When nothing more can be sent.
    pub(super) fn wait_to_send(&mut self, task: &Context<'_>) -> Result<(), CallError> {
        self.check_can_send()?;
        note(&mut self.sender, task);
        Ok(())
    }

    /// Why nothing more can be sent, if so.
    pub(super) fn check_can_send(&self) -> Result<(), CallError> {
        match self.progress {
            _ if !self.is_gone => Ok(()),
            Progress::Failed(failure) => Err(failure.error),
            // The answer is whole, and the upstream needs no more of the request.
            Progress::Open | Progress::Ended => Err(CallError::Reset {
                code: Code::NO_ERROR.0,
            }),
        }
    }

    /// Waits for all of an answer.
    pub(super) fn poll_whole(
        &mut self,
        memory: &Rc<Memory>,
        task: &Context<'_>,
    ) -> Poll<Result<Reply, Failure>> {
        match self.progress {
            Progress::Open => self.wait_to_receive(task),
            Progress::Failed(failure) => Poll::Ready(Err(failure)),
            Progress::Ended => Poll::Ready(Ok(Reply {
                http_status: self.http_status(),
                headers: self.take_kept_headers(memory),
                body: self.take_body(memory),
                trailers: self.take_kept_trailers(memory),
            })),
        }
    }

    /// Waits for the headers.
    pub(super) fn poll_answer(
        &mut self,
        memory: &Rc<Memory>,
        task: &Context<'_>,
    ) -> Poll<Result<Answer, Failure>> {
        if self.status != 0 {
            return Poll::Ready(Ok(Answer {
                http_status: self.http_status(),
                headers: self.take_kept_headers(memory),
                is_all: self.is_headers_only,
            }));
        }
        match self.progress {
            Progress::Failed(failure) => Poll::Ready(Err(failure)),
            Progress::Open | Progress::Ended => self.wait_to_receive(task),
        }
    }

    /// The oldest bytes of the body; nothing at its end.
    pub(super) fn poll_bytes(
        &mut self,
        memory: &Rc<Memory>,
        task: &Context<'_>,
    ) -> Poll<Option<Result<Received, CallError>>> {
        if !self.earlier.is_empty() || !self.body.is_empty() {
            return Poll::Ready(Some(Ok(self.take_body(memory))));
        }
        match self.progress {
            Progress::Failed(failure) => Poll::Ready(Some(Err(failure.error))),
            Progress::Ended => Poll::Ready(None),
            Progress::Open => self.wait_to_receive(task),
        }
    }

    /// Waits for the trailers, after the last bytes.
    pub(super) fn poll_trailers(
        &mut self,
        memory: &Rc<Memory>,
        task: &Context<'_>,
    ) -> Poll<Result<Option<ReplyMetadata>, CallError>> {
        match self.progress {
            Progress::Open => self.wait_to_receive(task),
            Progress::Failed(failure) => Poll::Ready(Err(failure.error)),
            Progress::Ended => Poll::Ready(Ok(self.take_kept_trailers(memory))),
        }
    }

    /// Forgets the call, but for its memory.
    pub(super) fn empty(&mut self, memory: &Rc<Memory>) {
        for body in self.earlier.drain(..) {
            drop(Lent::new(body, memory));
        }
        drop(self.take_body(memory));
        drop(self.take_kept_headers(memory));
        drop(self.take_kept_trailers(memory));
        *self = Self::new();
    }

    fn wait_to_receive<T>(&mut self, task: &Context<'_>) -> Poll<T> {
        note(&mut self.receiver, task);
        Poll::Pending
    }

    /// The codec lets no other numbers through.
    fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn take_kept_headers(&mut self, memory: &Rc<Memory>) -> ReplyMetadata {
        Lent::new(mem::take(&mut self.headers), memory).into()
    }

    fn take_body(&mut self, memory: &Rc<Memory>) -> Received {
        let body = self.earlier.pop_front();
        let body = body.unwrap_or_else(|| mem::take(&mut self.body));
        Lent::new(body, memory).into()
    }

    fn take_kept_trailers(&mut self, memory: &Rc<Memory>) -> Option<ReplyMetadata> {
        let trailers = self.trailers.take();
        trailers.map(|trailers| Lent::new(trailers, memory).into())
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn note(waiting: &mut Option<Waker>, task: &Context<'_>) {
    match waiting {
        Some(known) => known.clone_from(task.waker()),
        None => *waiting = Some(task.waker().clone()),
    }
}
