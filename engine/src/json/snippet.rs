//! Text that is written as it is, often. In: the text, once. Out: the text in chunks, so that it is copied by a few wide moves of a
//! fixed size. Always: what stands behind the text in the last chunk is zeros.

/// How many bytes are moved at once.
pub(super) const CHUNK_LEN: usize = 32;

/// A piece of JSON that is held ready.
#[derive(Debug)]
pub(crate) struct Snippet {
    chunks: Box<[[u8; CHUNK_LEN]]>,
    /// `len <= CHUNK_LEN * chunks.len() < len + CHUNK_LEN`.
    len: usize,
}

impl Snippet {
    pub(crate) fn new(text: &[u8]) -> Self {
        let chunks = text.chunks(CHUNK_LEN).map(|part| {
            let mut chunk = [0; CHUNK_LEN];
            for (byte, given) in chunk.iter_mut().zip(part) {
                *byte = *given;
            }
            chunk
        });
        Self {
            chunks: chunks.collect(),
            len: text.len(),
        }
    }

    /// The text and what stands behind it.
    #[inline(always)]
    pub(super) fn chunks(&self) -> &[[u8; CHUNK_LEN]] {
        &self.chunks
    }

    /// The length of the text.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.chunks
            .as_flattened()
            .get(..self.len)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length_is_kept() {
        let text: Vec<u8> = (b'!'..=b'~').collect();
        for len in 0..text.len() {
            let (text, _) = text.split_at(len);
            let snippet = Snippet::new(text);
            assert_eq!((snippet.as_bytes(), snippet.len()), (text, len));
            assert_eq!(snippet.chunks().len(), len.div_ceil(CHUNK_LEN));
        }
    }
}
