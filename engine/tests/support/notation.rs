//! Protobuf bytes written as text, for tests. In: a text such as `1: 5  2: {3: 'abc'}`. Out: the bytes.
//! Always: a text that is no notation panics, with the place.
//!
//! A part of protoscope's language, with strings in single quotes so that they fit into JSON:
//!
//! ```text
//! 1: 150  1: -1  1: 3z      a varint, also of a negative number, also in zigzag
//! 1: 5i32  1: 5i64          fixed 32 and 64
//! 1: 1.5  1: 1.5i32         a double, a float
//! 1: 'text\x00'             a length and these bytes
//! 1: {2: 5}  1: {5 6 7}     a length and what the braces hold; values need no tag
//! 1: !{2: 5}                a group
//! `ff 80`                   these bytes
//! (2: 5)*100                this, a hundred times
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests read this notation, and a broken test may panic"
)]

/// The bytes that `text` stands for.
pub(crate) fn wire(text: &str) -> Vec<u8> {
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
    };
    let mut out = Vec::new();
    parser.sequence(&mut out);
    assert_eq!(parser.at, text.len(), "stray byte in {text}");
    out
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
}

impl Parser<'_> {
    fn sequence(&mut self, out: &mut Vec<u8>) {
        loop {
            while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
                self.at += 1;
            }
            match self.peek() {
                None | Some(b'}' | b')') => return,
                Some(b'(') => self.repeated(out),
                _ => self.item(out),
            }
        }
    }

    fn repeated(&mut self, out: &mut Vec<u8>) {
        self.expect(b'(');
        let mut once = Vec::new();
        self.sequence(&mut once);
        self.expect(b')');
        self.expect(b'*');
        let count: usize = self.word().parse().expect("a count");
        out.extend(once.repeat(count));
    }

    /// A tag and its value, or a value alone.
    fn item(&mut self, out: &mut Vec<u8>) {
        let start = self.at;
        let word = self.word();
        if self.peek() != Some(b':') {
            self.at = start;
            self.value(out);
            return;
        }
        self.expect(b':');
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
        let number: u64 = word.parse().expect("a field number");
        let mut value = Vec::new();
        let wire_type = self.value(&mut value);
        varint(number << 3 | wire_type, out);
        out.extend(value);
        if wire_type == 3 {
            varint(number << 3 | 4, out);
        }
    }

    fn value(&mut self, out: &mut Vec<u8>) -> u64 {
        match self.peek() {
            Some(b'\'') => {
                let bytes = self.string();
                delimited(&bytes, out);
                2
            }
            Some(b'{') => {
                let bytes = self.braces();
                delimited(&bytes, out);
                2
            }
            Some(b'!') => {
                self.expect(b'!');
                out.extend(self.braces());
                3
            }
            Some(b'`') => {
                self.hex(out);
                0
            }
            _ => {
                let word = self.word();
                number(&word, out)
            }
        }
    }

    fn braces(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.expect(b'{');
        self.sequence(&mut bytes);
        self.expect(b'}');
        bytes
    }

    fn string(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.expect(b'\'');
        while let Some(byte) = self.peek()
            && byte != b'\''
        {
            self.at += 1;
            if byte == b'\\' {
                self.expect(b'x');
                let digits = str::from_utf8(&self.text[self.at..self.at + 2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).expect("two hex digits"));
                self.at += 2;
            } else {
                bytes.push(byte);
            }
        }
        self.expect(b'\'');
        bytes
    }

    fn hex(&mut self, out: &mut Vec<u8>) {
        self.expect(b'`');
        let mut digits = String::new();
        while let Some(byte) = self.peek()
            && byte != b'`'
        {
            self.at += 1;
            if byte != b' ' {
                digits.push(char::from(byte));
            }
        }
        self.expect(b'`');
        for pair in digits.as_bytes().chunks(2) {
            let pair = str::from_utf8(pair).unwrap();
            out.push(u8::from_str_radix(pair, 16).expect("two hex digits"));
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(byte) = self.peek()
            && (byte.is_ascii_alphanumeric() || b"-+.".contains(&byte))
        {
            word.push(char::from(byte));
            self.at += 1;
        }
        word
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) {
        assert_eq!(
            self.peek(),
            Some(byte),
            "expected {:?} at {} of {}",
            char::from(byte),
            self.at,
            String::from_utf8_lossy(self.text)
        );
        self.at += 1;
    }
}

fn number(word: &str, out: &mut Vec<u8>) -> u64 {
    let is_real = word.contains('.') || word.starts_with("nan") || word.contains("inf");
    if let Some(word) = word.strip_suffix("i32") {
        let bytes = if is_real {
            word.parse::<f32>().expect("a float").to_le_bytes()
        } else {
            (integer(word) as u32).to_le_bytes()
        };
        out.extend(bytes);
        5
    } else if let Some(word) = word.strip_suffix("i64") {
        out.extend((integer(word) as u64).to_le_bytes());
        1
    } else if is_real {
        out.extend(word.parse::<f64>().expect("a double").to_le_bytes());
        1
    } else if let Some(word) = word.strip_suffix('z') {
        let value = integer(word) as i64;
        varint((value << 1 ^ value >> 63) as u64, out);
        0
    } else {
        varint(integer(word) as u64, out);
        0
    }
}

fn integer(word: &str) -> i128 {
    word.parse()
        .unwrap_or_else(|_| panic!("expected an integer, found {word:?}"))
}

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn delimited(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}
