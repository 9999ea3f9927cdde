//! Memory that a worker uses again and again. In: buffers no longer needed. Out: empty ones with their capacity.
//! Always: no thread shares one; what is kept is bounded in count and in bytes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use bytes::Buf;
use transom_engine::http1::RequestHead;

use crate::limits::{BUFFER_KEEP_COUNT_MAX, BUFFER_KEEP_LEN_MAX};

/// Lets go of memory that grew large. What is in it has been used; a short buffer keeps its memory.
pub fn trim(buffer: &mut Vec<u8>) {
    if buffer.capacity() > BUFFER_KEEP_LEN_MAX {
        *buffer = Vec::new();
    }
}

/// A worker's free lists: plain buffers for responses, and heads of requests. What was given back last is lent first, since it is what the processor's
/// caches still hold.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "a head is lent as it lies, so that a connection without a request holds a pointer"
)]
pub struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    heads: RefCell<Vec<Box<RequestHead>>>,
}

impl Buffers {
    /// An empty free list.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer, with the capacity of an earlier use if there was one.
    pub fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    /// Buffers that are kept.
    pub fn count(&self) -> usize {
        self.free.borrow().len()
    }

    /// Gives a buffer back. It is dropped if it grew too large or if enough are kept.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if buffer.capacity() == 0
            || buffer.capacity() > BUFFER_KEEP_LEN_MAX
            || free.len() >= BUFFER_KEEP_COUNT_MAX
        {
            return;
        }
        buffer.clear();
        free.push(buffer);
    }

    /// A head for the next request, with the memory that earlier ones needed.
    pub fn take_head(&self) -> Box<RequestHead> {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a head back. It is dropped if enough are kept.
    pub fn give_back_head(&self, head: Box<RequestHead>) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < BUFFER_KEEP_COUNT_MAX {
            heads.push(head);
        }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers")
            .field("free_count", &self.free.borrow().len())
            .field("head_count", &self.heads.borrow().len())
            .finish()
    }
}

/// A buffer whose bytes are lent to the upstream connection without a copy, and which is written again once the
/// connection has let go of them.
///
/// ```text
///   start() -> &mut Vec<u8>      the gateway writes a framed message
///   share() -> SharedBytes       h2 sends it; a retry shares it again
///   start()                      same memory if h2 is done, new memory if not
/// ```
#[derive(Debug, Default)]
#[expect(
    clippy::rc_buffer,
    reason = "the capacity of the vector is what is kept; Rc<[u8]> would copy and lose it"
)]
pub struct SharedBuffer {
    bytes: Rc<Vec<u8>>,
}

impl SharedBuffer {
    /// An empty buffer without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the buffer for a new message. If the bytes of the last one are still lent, they stay with the
    /// borrower and the buffer starts on new memory.
    pub fn start(&mut self) -> &mut Vec<u8> {
        let is_reusable =
            Rc::get_mut(&mut self.bytes).is_some_and(|b| b.capacity() <= BUFFER_KEEP_LEN_MAX);
        if !is_reusable {
            self.bytes = Rc::default();
        }
        // Nobody shares it here, so nothing is copied.
        let bytes = Rc::make_mut(&mut self.bytes);
        bytes.clear();
        bytes
    }

    /// Goes on with what was started and is not lent yet: what is lent would be copied first.
    pub fn more(&mut self) -> &mut Vec<u8> {
        Rc::make_mut(&mut self.bytes)
    }

    /// Lets go of bytes that were lent before, if their memory grew large.
    pub fn trim(&mut self) {
        if self.bytes.capacity() > BUFFER_KEEP_LEN_MAX {
            self.bytes = Rc::default();
        }
    }

    /// A buffer of bytes that were written elsewhere.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Rc::new(bytes),
        }
    }

    /// The bytes, unless some of them are still lent.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        Rc::try_unwrap(self.bytes).ok()
    }

    /// Bytes of memory it holds on to.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Lends the bytes.
    pub fn share(&self) -> SharedBytes {
        SharedBytes {
            bytes: Rc::clone(&self.bytes),
            offset: 0,
            end: self.bytes.len(),
        }
    }
}

/// Bytes lent by a [`SharedBuffer`], read from the front.
#[derive(Clone, Debug)]
#[expect(
    clippy::rc_buffer,
    reason = "the capacity of the vector is what is kept; Rc<[u8]> would copy and lose it"
)]
pub struct SharedBytes {
    bytes: Rc<Vec<u8>>,
    /// Bytes already read. `offset <= end`.
    offset: usize,
    /// Where these bytes end. `end <= bytes.len()`.
    end: usize,
}

impl SharedBytes {
    /// Takes the first `len` bytes off, or all if there are fewer. Nothing is copied.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> Self {
        let start = self.offset;
        self.offset += len.min(self.remaining());
        Self {
            bytes: Rc::clone(&self.bytes),
            offset: start,
            end: self.offset,
        }
    }
}

impl Buf for SharedBytes {
    fn remaining(&self) -> usize {
        self.end - self.offset
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.offset..self.end).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        assert!(
            count <= self.remaining(),
            "a reader cannot pass the end of the bytes it was lent"
        );
        self.offset += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_given_back_is_taken_again_empty() {
        let buffers = Buffers::new();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"abc");
        let capacity = buffer.capacity();
        buffers.give_back(buffer);
        let again = buffers.take();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), capacity);
    }

    #[test]
    fn buffer_that_grew_large_is_not_kept() {
        let buffers = Buffers::new();
        buffers.give_back(Vec::with_capacity(BUFFER_KEEP_LEN_MAX + 1));
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn no_more_buffers_are_kept_than_allowed() {
        let buffers = Buffers::new();
        for _ in 0..=BUFFER_KEEP_COUNT_MAX {
            buffers.give_back(Vec::with_capacity(16));
        }
        assert_eq!(buffers.count(), BUFFER_KEEP_COUNT_MAX);
    }

    #[test]
    fn head_given_back_last_is_lent_first_and_no_more_are_kept_than_allowed() {
        let buffers = Buffers::new();
        for _ in 0..BUFFER_KEEP_COUNT_MAX {
            buffers.give_back_head(Box::default());
        }
        let head = buffers.take_head();
        let memory = std::ptr::from_ref(&*head);
        buffers.give_back_head(head);
        buffers.give_back_head(Box::default());
        assert_eq!(buffers.heads.borrow().len(), BUFFER_KEEP_COUNT_MAX);
        assert_eq!(std::ptr::from_ref(&*buffers.take_head()), memory);
    }

    #[test]
    fn shared_buffer_uses_its_memory_again_once_the_borrower_is_gone() {
        let mut buffer = SharedBuffer::new();
        buffer.start().extend_from_slice(b"first message");
        let memory = buffer.as_slice().as_ptr();
        drop(buffer.share());
        buffer.start().extend_from_slice(b"second");
        assert_eq!(buffer.as_slice().as_ptr(), memory);
    }

    #[test]
    fn shared_buffer_lets_go_of_what_grew_large_alone() {
        let mut buffer = SharedBuffer::of(vec![0; BUFFER_KEEP_LEN_MAX]);
        buffer.trim();
        assert_eq!(buffer.capacity(), BUFFER_KEEP_LEN_MAX);
        let mut buffer = SharedBuffer::of(vec![0; BUFFER_KEEP_LEN_MAX + 1]);
        let lent = buffer.share();
        buffer.trim();
        assert_eq!(buffer.capacity(), 0);
        assert_eq!(lent.remaining(), BUFFER_KEEP_LEN_MAX + 1);
    }

    #[test]
    fn lent_bytes_outlive_the_start_of_the_next_message() {
        let mut buffer = SharedBuffer::new();
        buffer.start().extend_from_slice(b"first");
        let mut lent = buffer.share();
        buffer.start().extend_from_slice(b"second");
        lent.advance(2);
        assert_eq!(lent.chunk(), b"rst");
        assert_eq!(lent.remaining(), 3);
        assert_eq!(buffer.as_slice(), b"second");
    }

    #[test]
    fn buffer_gives_its_bytes_unless_they_are_lent() {
        let buffer = SharedBuffer::of(b"abc".to_vec());
        let lent = buffer.share();
        assert_eq!(lent.chunk(), b"abc");
        assert_eq!(buffer.into_bytes(), None);
        drop(lent);
        assert_eq!(
            SharedBuffer::of(b"abc".to_vec()).into_bytes(),
            Some(b"abc".to_vec())
        );
    }

    #[test]
    fn lent_bytes_are_split_without_a_copy() {
        let mut buffer = SharedBuffer::new();
        buffer.start().extend_from_slice(b"abcdef");
        let mut lent = buffer.share();
        lent.advance(1);
        let mut first = lent.split_to(2);
        assert_eq!((first.chunk(), lent.chunk()), (&b"bc"[..], &b"def"[..]));
        assert_eq!(first.chunk().as_ptr(), buffer.as_slice()[1..].as_ptr());
        first.advance(2);
        assert!(!first.has_remaining());
        assert_eq!(lent.split_to(9).chunk(), b"def");
        assert!(!lent.has_remaining());
    }
}
