//! Where a value that arrives in pieces is cut. In: its bytes, piece by piece. Out: a border before which every token is whole, the brackets
//! that are open there, and where the value ends.
//! Always: no byte is looked at twice; nothing is judged: what is no JSON is refused by whoever reads what lies before the border.

use crate::limits::DEPTH_MAX;
use crate::simd;

/// What has been seen of a value so far. Offsets count from the start of the text that it is in.
#[derive(Debug)]
pub(crate) struct Border {
    /// Bytes of the text that have been looked at.
    scanned: usize,
    /// Every token that begins before this offset ends before it. `safe <= scanned`.
    safe: usize,
    inside: Inside,
    /// The offsets of the brackets that are open at `safe`, outermost first: the first `depth` of these.
    open: [u32; DEPTH_MAX as usize],
    depth: usize,
    /// The brackets around the value: where no more than these are open at a border, the value has ended.
    outer_depth: usize,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// White space before the value at the root.
    Start,
    /// A number or word at the root.
    Scalar,
    /// An object or array.
    Brackets,
    /// A string.
    String,
    /// A string, behind a backslash.
    Escape,
    /// Nothing any more: the value at the root ends at `safe`, whether it is one or not.
    Ended,
    /// Nothing any more: the bracket before `safe` is deeper than any may be.
    TooDeep,
}

/// What a byte outside of strings is: nothing, or one of those below.
#[expect(
    clippy::indexing_slicing,
    reason = "every byte has its place in the table"
)]
static MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    marks[b'"' as usize] = QUOTE;
    marks[b',' as usize] = COMMA;
    marks[b'{' as usize] = OPEN;
    marks[b'[' as usize] = OPEN;
    marks[b'}' as usize] = CLOSE;
    marks[b']' as usize] = CLOSE;
    marks
};
const QUOTE: u8 = 1;
const COMMA: u8 = 2;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;

impl Border {
    /// At the start of a text.
    pub(crate) const fn new() -> Self {
        Self {
            scanned: 0,
            safe: 0,
            inside: Inside::Start,
            open: [0; DEPTH_MAX as usize],
            depth: 0,
            outer_depth: 0,
        }
    }

    /// Goes to the value, member or comma at `offset`, with `depth` brackets around it.
    pub(crate) fn begin(&mut self, offset: usize, depth: u32) {
        self.scanned = offset;
        self.safe = offset;
        self.inside = if depth == 0 {
            Inside::Start
        } else {
            Inside::Brackets
        };
        self.depth = depth as usize;
        self.outer_depth = depth as usize;
    }

    /// Goes on with the value or member that is cut inside of this one, with `depth` brackets around it.
    pub(crate) fn narrow(&mut self, depth: u32) {
        self.outer_depth = depth as usize;
    }

    /// Bytes of the text that have been looked at.
    pub(crate) const fn scanned(&self) -> usize {
        self.scanned
    }

    /// The offset before which every token is whole.
    pub(crate) const fn safe(&self) -> usize {
        self.safe
    }

    /// Whether what lies before the border is all there is to read: the value at the root has ended, or nests too deep.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self.inside, Inside::Ended | Inside::TooDeep)
    }

    /// The offset of the bracket that is open at the border and has `depth` others around it.
    #[inline]
    pub(crate) fn open_at(&self, depth: u32) -> Option<usize> {
        let open = self.open.get(..self.depth).unwrap_or(&self.open);
        open.get(depth as usize).map(|&offset| offset as usize)
    }

    /// Looks at the next bytes of the text, up to a border at which the value has ended, and says how many that were.
    pub(crate) fn scan(&mut self, piece: &[u8]) -> usize {
        let mut rest = piece;
        let start = self.safe;
        while !rest.is_empty() && !self.is_final() {
            if self.safe > start && self.depth <= self.outer_depth {
                break;
            }
            let count = match self.inside {
                Inside::Brackets => self.scan_brackets(rest),
                Inside::String => self.scan_string(rest),
                // The byte after a backslash cannot end the string.
                Inside::Escape => self.go_on(1, Inside::String),
                Inside::Start | Inside::Scalar => self.scan_root(rest),
                Inside::Ended | Inside::TooDeep => 0,
            };
            rest = rest.get(count..).unwrap_or_default();
        }
        piece.len() - rest.len()
    }

    #[inline]
    fn go_on(&mut self, count: usize, inside: Inside) -> usize {
        self.scanned += count;
        self.inside = inside;
        count
    }

    /// Goes over what stands between strings, up to the next one.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the length of a text is checked against `limits::JSON_LEN_MAX` piece by piece"
    )]
    fn scan_brackets(&mut self, bytes: &[u8]) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            match mark(byte) {
                0 => {}
                QUOTE => return self.go_on(index + 1, Inside::String),
                COMMA => {
                    self.safe = self.scanned + index + 1;
                    if self.depth <= self.outer_depth {
                        return self.go_on(index + 1, Inside::Brackets);
                    }
                }
                OPEN => {
                    self.safe = self.scanned + index + 1;
                    // SEMANTICS 96.
                    let Some(open) = self.open.get_mut(self.depth) else {
                        return self.go_on(index + 1, Inside::TooDeep);
                    };
                    *open = (self.scanned + index) as u32;
                    self.depth += 1;
                }
                _ => {
                    self.safe = self.scanned + index + 1;
                    self.depth -= 1;
                    if self.depth == 0 {
                        return self.go_on(index + 1, Inside::Ended);
                    }
                    if self.depth <= self.outer_depth {
                        return self.go_on(index + 1, Inside::Brackets);
                    }
                }
            }
        }
        self.go_on(bytes.len(), Inside::Brackets)
    }

    fn scan_string(&mut self, bytes: &[u8]) -> usize {
        let clean_len = simd::clean_len(bytes).len;
        match bytes.get(clean_len) {
            None => self.go_on(clean_len, Inside::String),
            Some(b'\\') => self.go_on(clean_len + 1, Inside::Escape),
            Some(b'"') if self.depth > 0 => self.go_on(clean_len + 1, Inside::Brackets),
            Some(b'"') => self.end(clean_len + 1),
            // A control character, which is refused once the string is read.
            Some(_) => self.go_on(clean_len + 1, Inside::String),
        }
    }

    /// Goes over a byte or more before the value at the root, or of it, if it is a number or word.
    fn scan_root(&mut self, bytes: &[u8]) -> usize {
        let is_begun = self.inside == Inside::Scalar;
        for (index, &byte) in bytes.iter().enumerate() {
            let is_space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            if is_begun || index > 0 {
                // Nothing of a number or word, nor anything of what may follow.
                if is_space || mark(byte) != 0 {
                    return self.end(index);
                }
                continue;
            }
            match mark(byte) {
                0 if is_space => return self.go_on(1, Inside::Start),
                0 => {}
                QUOTE => return self.go_on(1, Inside::String),
                OPEN => {
                    self.inside = Inside::Brackets;
                    return 0;
                }
                // A comma or closing bracket, where no value begins.
                _ => return self.end(1),
            }
        }
        self.go_on(bytes.len(), Inside::Scalar)
    }

    fn end(&mut self, count: usize) -> usize {
        self.safe = self.scanned + count;
        self.go_on(count, Inside::Ended)
    }
}

#[inline]
#[expect(
    clippy::indexing_slicing,
    reason = "every byte has its place in the table"
)]
fn mark(byte: u8) -> u8 {
    MARKS[byte as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scanned bytes, border, and the open brackets, after these pieces.
    fn scan(pieces: &[&str]) -> (usize, usize, Vec<usize>) {
        let mut border = Border::new();
        for piece in pieces {
            border.scan(piece.as_bytes());
        }
        let open = (0..).map_while(|depth| border.open_at(depth)).collect();
        (border.scanned(), border.safe(), open)
    }

    #[test]
    fn the_border_is_behind_the_last_comma_or_bracket_outside_of_strings() {
        for (text, safe, open) in [
            (r#" {"a":"b,[{\",","c":[1, 2"#, 23, vec![1, 20]),
            (r#"{"a":[{},{"#, 10, vec![0, 5, 9]),
            (r#"{"a":[{}"#, 8, vec![0, 5]),
            (r#"{"a":{"b":tru"#, 6, vec![0, 5]),
            ("[1, 2", 3, vec![0]),
            ("  ", 0, vec![]),
            ("12", 0, vec![]),
            ("\"a,", 0, vec![]),
        ] {
            assert_eq!(scan(&[text]), (text.len(), safe, open), "{text}");
        }
    }

    #[test]
    fn the_value_at_the_root_ends_where_the_next_one_may_begin() {
        for (text, end) in [
            ("{} {}", 2),
            (" [[1]][", 6),
            ("\"a\\\"b\"1", 6),
            ("12 3", 2),
            ("12\"a\"", 2),
            ("true{", 4),
            ("}", 1),
            (",1", 1),
        ] {
            let mut border = Border::new();
            assert_eq!(border.scan(text.as_bytes()), end, "{text}");
            assert_eq!(
                (border.inside, border.safe()),
                (Inside::Ended, end),
                "{text}"
            );
            assert_eq!(border.scan(b"1"), 0, "nothing is looked at behind the end");
        }
    }

    #[test]
    fn one_bracket_too_many_ends_the_search() {
        let deep = "[".repeat(DEPTH_MAX as usize);
        let mut border = Border::new();
        border.scan(deep.as_bytes());
        assert!(!border.is_final());
        border.scan(b"{[");
        assert_eq!(border.inside, Inside::TooDeep);
        assert_eq!(border.safe(), deep.len() + 1);
    }

    proptest! {
        /// Goal: where a text is cut makes no difference to what is seen of it.
        #[test]
        fn pieces_are_seen_as_the_whole(
            text in "([\\[\\]{},: ]|\"a?|\\\\|1|\u{1}){0,24}",
            cut in 0_usize..30,
        ) {
            let cut = cut.min(text.len());
            let (left, right) = text.split_at(cut);
            prop_assert_eq!(scan(&[left, right]), scan(&[&text]));
            let bytes: Vec<_> = text.split("").collect();
            prop_assert_eq!(scan(&bytes), scan(&[&text]));
        }
    }
}
