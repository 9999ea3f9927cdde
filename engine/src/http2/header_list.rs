//! Headers as one run of bytes. In: names and values. Out: the same, in order, as slices. Always: once warm, nothing is allocated; the
//! memory is bounded by what is pushed, which the decoder bounds.

/// Headers in the order they came, as one run of bytes and the lengths of what is in it. It is made once and used again.
///
/// ```text
/// bytes   content-typeapplication/grpcgrpc-status0
/// fields  0 12 16                     28 11 1
/// ```
///
/// ```
/// use transom_engine::http2::HeaderList;
///
/// let mut list = HeaderList::default();
/// list.push(b"grpc-status", b"0");
/// assert_eq!(list.get(b"grpc-status"), Some(&b"0"[..]));
/// assert_eq!(list.iter().count(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList {
    bytes: Vec<u8>,
    /// Each follows the one before it without a gap.
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    name_start: usize,
    value_start: usize,
    value_end: usize,
}

impl HeaderList {
    /// Forgets all headers and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Forgets all headers, and memory beyond so many bytes.
    pub(super) fn shrink_to(&mut self, len: usize) {
        self.clear();
        self.bytes.shrink_to(len);
        self.fields.shrink_to(len / size_of::<Field>());
    }

    /// Bytes of memory that it holds on to.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a header.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name_start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.push_field(name_start, value_start);
    }

    /// The value of the first header of this name, which is in lower case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Names and values in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.fields.iter().map(|field| {
            (
                self.slice(field.name_start, field.value_start),
                self.slice(field.value_start, field.value_end),
            )
        })
    }

    /// Bytes of the headers as they are, which the decoder writes to.
    pub(super) const fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes a header of what was written behind the last one.
    pub(super) fn push_field(&mut self, name_start: usize, value_start: usize) {
        self.fields.push(Field {
            name_start,
            value_start,
            value_end: self.bytes.len(),
        });
    }

    fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }
}
