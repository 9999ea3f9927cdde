//! Names and values that go with a call. In: those of a request, one after the other, or what an upstream's reply came with. Out: pairs of bytes.
//! Always: in the order they came; a list that was cleared keeps its memory, so a call of the steady state allocates nothing for it.

use http::HeaderMap;

/// What a call says besides its messages: names in lower case and their values, in one piece of memory.
///
/// ```text
///   bytes   x-token one x-token two
///   spans          7   10      17  20
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    bytes: Vec<u8>,
    /// One for each pair; it begins where the one before it ends.
    spans: Vec<Span>,
}

/// Offsets into the bytes. `name_end <= value_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    name_end: usize,
    value_end: usize,
}

impl Metadata {
    /// A list without pairs or memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Adds a pair. A name may be there more than once.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.spans.push(Span {
            name_end,
            value_end: self.bytes.len(),
        });
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of memory it holds on to.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// The pairs, in the order they were added.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let name = self.bytes.get(start..span.name_end);
            let value = self.bytes.get(span.name_end..span.value_end);
            start = span.value_end;
            (name.unwrap_or_default(), value.unwrap_or_default())
        })
    }
}

/// The headers or the trailers of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyMetadata {
    map: HeaderMap,
}

impl ReplyMetadata {
    /// Names in lower case and values, in the order they came, except that those of one name come together.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let pairs = self.map.iter();
        pairs.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }

    /// The first value of a name, which is in lower case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.map.get(name).map(http::HeaderValue::as_bytes)
    }
}

impl From<HeaderMap> for ReplyMetadata {
    fn from(map: HeaderMap) -> Self {
        Self { map }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_their_order() {
        let mut metadata = Metadata::new();
        metadata.append(b"x-token", b"one");
        metadata.append(b"empty", b"");
        metadata.append(b"x-token", b"two");
        let pairs: Vec<_> = metadata.pairs().collect();
        assert_eq!(
            pairs,
            [
                (&b"x-token"[..], &b"one"[..]),
                (b"empty", b""),
                (b"x-token", b"two")
            ]
        );
        assert_eq!(metadata.len(), 3);
    }

    #[test]
    fn list_that_was_cleared_is_filled_in_the_same_memory() {
        let mut metadata = Metadata::new();
        metadata.append(b"x-token", b"a value");
        let capacity = metadata.capacity();
        metadata.clear();
        assert!(metadata.is_empty());
        metadata.append(b"x-other", b"smaller");
        assert_eq!(metadata.capacity(), capacity);
        assert_eq!(
            metadata.pairs().next().unwrap(),
            (&b"x-other"[..], &b"smaller"[..])
        );
    }

    #[test]
    fn first_value_of_a_name_is_found() {
        let mut map = HeaderMap::new();
        map.append("grpc-status", http::HeaderValue::from_static("5"));
        map.append("grpc-status", http::HeaderValue::from_static("0"));
        let metadata = ReplyMetadata::from(map);
        assert_eq!(metadata.value("grpc-status"), Some(&b"5"[..]));
        assert_eq!(metadata.value("grpc-message"), None);
    }
}
