//! One call whose messages are passed on as they come. In: bytes of framed messages, whenever there are some. Out: the upstream's headers, then its
//! bytes as they arrive, then its trailers.
//! Always: no more is taken from the caller than the upstream has room for, and no more from the upstream than the caller has given back the
//! window for; when the halves are dropped before the call has ended, the upstream is told by `RST_STREAM(CANCEL)`; once a deadline has passed, the
//! receiving half says so before anything else.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;

use super::call::PREFIX_LEN;
use super::connection::Lease;
use super::error::{CallError, Failure};
use super::halves::{Begun, Inward, Outward};
use super::head::{CallHead, Carriage};
use super::{CallRequest, Pool, Received, Reply, ReplyMetadata};
use crate::buffers::SharedBytes;
use crate::clock::{self, Instant};
use crate::net::{Elapsed, sleep_until, timeout};

/// The direction to the upstream. Dropping it without [`SendHalf::finish`] cancels the call only together with the other half.
pub struct SendHalf {
    outward: Outward,
    /// The last field, so that it is dropped last.
    _lease: Rc<Lease>,
}

/// The direction from the upstream.
pub struct ReceiveHalf {
    inward: Inward,
    deadline: Option<Deadline>,
    /// Longest body of a reply of one message, bytes.
    body_len_max: usize,
    /// The last field, so that it is dropped last.
    lease: Rc<Lease>,
}

struct Deadline {
    at: Instant,
    passed: Pin<Box<dyn Future<Output = ()>>>,
}

/// How the upstream's answer begins.
#[derive(Debug)]
pub struct Answer {
    /// Status of HTTP; of any use only if the answer is not gRPC.
    pub http_status: StatusCode,
    /// Headers. They hold `grpc-status` when the upstream sent no body ("trailers-only").
    pub headers: ReplyMetadata,
    /// Whether nothing of gRPC follows.
    pub is_all: bool,
}

impl Pool {
    /// Begins a call whose messages are still to come. It is begun a second time if it provably was not the first time.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there is no stream for it. What becomes of the call the receiving half tells.
    pub async fn open(
        &self,
        head: &CallHead<'_>,
        carriage: Carriage,
    ) -> Result<(SendHalf, ReceiveHalf), CallError> {
        within(head.timeout, async |deadline| {
            let begun = match self.begin(head, deadline, carriage).await {
                Err(failure) if failure.is_unstarted => self.begin(head, deadline, carriage).await,
                begun => begun,
            };
            let begun = begun.map_err(|failure| failure.error)?;
            Ok(self.halves(begun, deadline))
        })
        .await
    }

    /// Begins a call of one message and waits for the headers of its answer. It is sent a second time if it provably did not start.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there are no headers.
    pub async fn start(
        &self,
        request: &CallRequest<'_>,
    ) -> Result<(Answer, ReceiveHalf), CallError> {
        within(request.timeout, async |deadline| {
            let started = match self.start_once(request, deadline).await {
                Err(failure) if failure.is_unstarted => self.start_once(request, deadline).await,
                started => started,
            };
            started.map_err(|failure| failure.error)
        })
        .await
    }

    async fn start_once(
        &self,
        request: &CallRequest<'_>,
        deadline: Option<Instant>,
    ) -> Result<(Answer, ReceiveHalf), Failure> {
        let begun = self
            .begin(&request.head(), deadline, Carriage::Shared)
            .await?;
        let (mut sender, mut receiver) = self.halves(begun, deadline);
        // If the connection has just ended this fails, and so does the response, which tells why.
        let sent = sender.outward.send_whole(request.message.clone());
        drop(sender);
        let answer = poll_fn(|task| receiver.poll_answer(task)).await?;
        if sent.is_err() {
            return Err(Failure::final_error(CallError::ConnectionLost));
        }
        Ok((answer, receiver))
    }

    fn halves(
        &self,
        (lease, begun): (Lease, Begun),
        deadline: Option<Instant>,
    ) -> (SendHalf, ReceiveHalf) {
        let lease = Rc::new(lease);
        let (outward, inward) = begun.split();
        let sender = SendHalf {
            outward,
            _lease: Rc::clone(&lease),
        };
        let receiver = ReceiveHalf {
            inward,
            deadline: deadline.map(|at| Deadline {
                at,
                passed: Box::pin(sleep_until(at)),
            }),
            body_len_max: self.upstream().settings.message_len_max + PREFIX_LEN,
            lease,
        };
        (sender, receiver)
    }
}

/// Runs `work` for `limit` at most.
async fn within<T>(
    limit: Option<Duration>,
    work: impl AsyncFnOnce(Option<Instant>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    match limit {
        Some(limit) => {
            let deadline = clock::now().checked_add(limit);
            timeout(limit, work(deadline))
                .await
                .unwrap_or_else(|Elapsed| Err(CallError::DeadlineExceeded))
        }
        None => work(None).await,
    }
}

impl SendHalf {
    /// Sends bytes, as fast as the upstream takes them. May be dropped, with the call.
    ///
    /// # Errors
    ///
    /// When the upstream takes no more; the receiving half tells why, which may be a good end.
    pub async fn send(&mut self, mut bytes: SharedBytes) -> Result<(), CallError> {
        poll_fn(|task| self.outward.poll_send(task, &mut bytes)).await
    }

    /// Tells the upstream that nothing more will be sent. The answer may go on for as long as it likes (SEMANTICS 125).
    ///
    /// # Errors
    ///
    /// As [`SendHalf::send`].
    pub fn finish(mut self) -> Result<(), CallError> {
        self.outward.finish()
    }
}

impl ReceiveHalf {
    /// Waits for the headers.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there will be none.
    pub async fn answer(&mut self) -> Result<Answer, CallError> {
        poll_fn(|task| self.poll_answer(task))
            .await
            .map_err(|failure| failure.error)
    }

    fn poll_answer(&mut self, task: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        if self.poll_deadline(task).is_ready() {
            let failure = Failure::final_error(CallError::DeadlineExceeded);
            return Poll::Ready(Err(failure));
        }
        let answer = ready!(self.inward.poll_answer(task));
        if answer.is_ok() {
            self.lease.note_answer();
        }
        Poll::Ready(answer)
    }

    /// The next bytes of the body, cut anywhere; nothing at its end. Their window has to be given back by [`ReceiveHalf::release`].
    pub fn poll_bytes(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Received, CallError>>> {
        if self.poll_deadline(task).is_ready() {
            return Poll::Ready(Some(Err(CallError::DeadlineExceeded)));
        }
        self.inward.poll_bytes(task)
    }

    /// Lets the upstream send as many bytes more.
    pub fn release(&mut self, len: usize) {
        self.inward.release(len);
    }

    /// Waits for the trailers, after the last bytes.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the body did not end as it should.
    pub async fn trailers(&mut self) -> Result<Option<ReplyMetadata>, CallError> {
        poll_fn(|task| {
            if self.poll_deadline(task).is_ready() {
                return Poll::Ready(Err(CallError::DeadlineExceeded));
            }
            self.inward.poll_trailers(task)
        })
        .await
    }

    /// Waits for a body of one message, and its trailers.
    ///
    /// # Errors
    ///
    /// [`CallError`] if they are not complete.
    pub async fn reply(&mut self, answer: Answer) -> Result<Reply, CallError> {
        let gathered = self.inward.gather(self.body_len_max);
        let (body, trailers) = match &self.deadline {
            None => gathered.await?,
            Some(deadline) => {
                let rest = deadline.at.saturating_duration_since(clock::now());
                timeout(rest, gathered)
                    .await
                    .unwrap_or(Err(CallError::DeadlineExceeded))?
            }
        };
        Ok(Reply {
            http_status: answer.http_status,
            headers: answer.headers,
            body,
            trailers,
        })
    }

    /// Whether the time of the call is up.
    pub fn is_past_deadline(&self) -> bool {
        self.deadline
            .as_ref()
            .is_some_and(|deadline| clock::now() >= deadline.at)
    }

    fn poll_deadline(&mut self, task: &mut Context<'_>) -> Poll<()> {
        match self.deadline.as_mut() {
            // A timer that has fired is not asked again.
            Some(deadline) if clock::now() >= deadline.at => Poll::Ready(()),
            Some(deadline) => deadline.passed.as_mut().poll(task),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReceiveHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveHalf").finish_non_exhaustive()
    }
}
