//! What comes from an upstream, and the memory it is in. In: bodies and lists that are no longer needed. Out: empty ones with their capacity; bytes and
//! metadata of a reply, whichever codec they came through.
//! Always: what is kept is bounded in count and in bytes; what was lent comes home when it is dropped.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use transom_engine::http2::HeaderList;

use crate::buffers::Buffers;
use crate::limits::{BUFFER_KEEP_COUNT_MAX, BUFFER_KEEP_LEN_MAX};

/// The free lists of one connection.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// One for each call there may be at once, and one more: a stream that fell behind has many, and will not soon again.
    bodies: Buffers,
    call_count: Cell<usize>,
    lists: RefCell<Vec<HeaderList>>,
}

impl Memory {
    /// So many calls have been under way at once.
    pub(super) fn note_call_count(&self, count: usize) {
        self.call_count.set(count);
    }

    pub(super) fn take_body(&self) -> Vec<u8> {
        self.bodies.take()
    }

    pub(super) fn take_list(&self) -> HeaderList {
        self.lists.borrow_mut().pop().unwrap_or_default()
    }
}

/// Memory that goes back to its free list.
pub(super) trait Recycled: Default {
    fn go_back(self, memory: &Memory);
}

impl Recycled for Vec<u8> {
    fn go_back(self, memory: &Memory) {
        if memory.bodies.count() <= memory.call_count.get() {
            memory.bodies.give_back(self);
        }
    }
}

impl Recycled for HeaderList {
    fn go_back(mut self, memory: &Memory) {
        let mut lists = memory.lists.borrow_mut();
        let capacity = self.capacity();
        if capacity > 0 && capacity <= BUFFER_KEEP_LEN_MAX && lists.len() < BUFFER_KEEP_COUNT_MAX {
            self.clear();
            lists.push(self);
        }
    }
}

/// Something whose memory goes home when it is dropped.
pub(super) struct Lent<T: Recycled> {
    inner: T,
    home: Rc<Memory>,
}

impl<T: Recycled> Lent<T> {
    pub(super) fn new(inner: T, home: &Rc<Memory>) -> Self {
        Self {
            inner,
            home: Rc::clone(home),
        }
    }
}

impl<T: Recycled> Drop for Lent<T> {
    fn drop(&mut self) {
        mem::take(&mut self.inner).go_back(&self.home);
    }
}

/// Bytes of a reply.
#[derive(Default)]
pub struct Received {
    inner: Inner,
}

enum Inner {
    Shared(Bytes),
    Lent(Lent<Vec<u8>>),
}

impl Default for Inner {
    fn default() -> Self {
        Self::Shared(Bytes::new())
    }
}

impl From<Bytes> for Received {
    fn from(bytes: Bytes) -> Self {
        Self {
            inner: Inner::Shared(bytes),
        }
    }
}

impl From<Lent<Vec<u8>>> for Received {
    fn from(bytes: Lent<Vec<u8>>) -> Self {
        Self {
            inner: Inner::Lent(bytes),
        }
    }
}

impl Received {
    /// The same, for another thread. Nothing is copied, and the memory does not come back.
    pub fn into_bytes(self) -> Bytes {
        match self.inner {
            Inner::Shared(bytes) => bytes,
            Inner::Lent(mut bytes) => mem::take(&mut bytes.inner).into(),
        }
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.inner {
            Inner::Shared(bytes) => bytes,
            Inner::Lent(bytes) => &bytes.inner,
        }
    }
}

impl<B: AsRef<[u8]> + ?Sized> PartialEq<B> for Received {
    fn eq(&self, other: &B) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.escape_ascii().fmt(f)
    }
}

/// The headers or the trailers of a reply.
pub struct ReplyMetadata {
    source: Source,
}

enum Source {
    Map(HeaderMap),
    List(Lent<HeaderList>),
}

/// The pairs of either source.
enum Pairs<M, L> {
    Map(M),
    List(L),
}

impl<P, M: Iterator<Item = P>, L: Iterator<Item = P>> Iterator for Pairs<M, L> {
    type Item = P;

    fn next(&mut self) -> Option<P> {
        match self {
            Self::Map(pairs) => pairs.next(),
            Self::List(pairs) => pairs.next(),
        }
    }
}

impl ReplyMetadata {
    /// Names in lower case and values, in the order they came, though those of one name may come together.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        match &self.source {
            Source::Map(map) => Pairs::Map(
                map.iter()
                    .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())),
            ),
            Source::List(list) => Pairs::List(list.inner.iter()),
        }
    }

    /// The same, for another thread. The memory does not come back.
    pub fn into_list(self) -> HeaderList {
        match self.source {
            Source::List(mut list) => mem::take(&mut list.inner),
            Source::Map(_) => {
                let mut list = HeaderList::default();
                for (name, value) in self.pairs() {
                    list.push(name, value);
                }
                list
            }
        }
    }

    /// The first value of a name, which is in lower case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        match &self.source {
            Source::Map(map) => map.get(name).map(http::HeaderValue::as_bytes),
            Source::List(list) => list.inner.get(name.as_bytes()),
        }
    }
}

impl From<HeaderMap> for ReplyMetadata {
    fn from(map: HeaderMap) -> Self {
        Self {
            source: Source::Map(map),
        }
    }
}

impl From<Lent<HeaderList>> for ReplyMetadata {
    fn from(list: Lent<HeaderList>) -> Self {
        Self {
            source: Source::List(list),
        }
    }
}

impl fmt::Debug for ReplyMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs();
        let texts = pairs.map(|(name, value)| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            (text(name), text(value))
        });
        f.debug_map().entries(texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_of_a_name_is_found_in_either_source() {
        let mut map = HeaderMap::new();
        map.append("grpc-status", http::HeaderValue::from_static("5"));
        map.append("grpc-status", http::HeaderValue::from_static("0"));
        let mut list = HeaderList::default();
        list.push(b"grpc-status", b"5");
        list.push(b"grpc-status", b"0");
        let memory = Rc::default();
        for metadata in [
            ReplyMetadata::from(map),
            ReplyMetadata::from(Lent::new(list, &memory)),
        ] {
            assert_eq!(metadata.value("grpc-status"), Some(&b"5"[..]));
            assert_eq!(metadata.value("grpc-message"), None);
            assert_eq!(metadata.pairs().count(), 2);
        }
    }

    #[test]
    fn lent_memory_is_empty_when_it_is_taken_again() {
        let memory = Rc::new(Memory::default());
        let bytes = Lent::new(b"abc".to_vec(), &memory);
        let place = bytes.inner.as_ptr();
        drop(Received::from(bytes));
        let again = memory.take_body();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);

        let mut list = memory.take_list();
        list.push(b"a", b"b");
        let capacity = list.capacity();
        drop(ReplyMetadata::from(Lent::new(list, &memory)));
        let again = memory.take_list();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), capacity);
    }

    #[test]
    fn memory_of_more_bodies_than_calls_is_not_kept() {
        let memory = Rc::new(Memory::default());
        memory.note_call_count(2);
        let bodies: Vec<_> = (0..10)
            .map(|_| Lent::new(b"abc".to_vec(), &memory))
            .collect();
        drop(bodies);
        assert_eq!(memory.bodies.count(), 3);
    }

    #[test]
    fn large_memory_is_not_kept() {
        let memory = Rc::new(Memory::default());
        drop(Lent::new(vec![0; BUFFER_KEEP_LEN_MAX + 1], &memory));
        assert_eq!(memory.take_body().capacity(), 0);
        let mut list = HeaderList::default();
        list.push(b"a", &vec![b'v'; BUFFER_KEEP_LEN_MAX]);
        drop(Lent::new(list, &memory));
        assert_eq!(memory.take_list().capacity(), 0);
    }
}
