//! Which texts are JSON, and what they say. In: text. Always: a `google.protobuf.Value`, a value that nobody asked for, and simd-json
//! take exactly the texts that RFC 8259 has, but for what [`Facts`] lists; what we and simd-json take says the same to both.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, MapKey, Value};
use simd_json::{BorrowedValue, StaticNode};
use transom_engine::error::{Error, ErrorKind, Expected};
use transom_engine::limits::DEPTH_MAX;
use transom_engine::to_wire::{self, to_wire};

use crate::schema::{self, POOL};

/// Of a text that is JSON, all that decides whether a reader takes it.
#[derive(Debug, Default)]
struct Facts {
    /// Levels of objects and lists: 100 for us (SEMANTICS 96), 1024 for simd-json.
    depth: usize,
    /// A number without fraction and exponent that fits neither `i64` nor `u64`: simd-json refuses it, to a `Value` it is a double.
    has_long_integer: bool,
    /// A number that is too large for a double: simd-json and a `Value` refuse it. It is skipped where nobody asks for its value.
    has_infinite_number: bool,
    /// A key that comes twice in one object: a `Struct` refuses it (SEMANTICS 87), for simd-json the last one counts.
    has_duplicate_key: bool,
}

/// Levels that simd-json takes.
const SIMD_DEPTH_MAX: usize = 1024;

/// A text as a value, as something to be skipped, and to simd-json.
pub fn json(text: &[u8]) {
    let facts = Reader::read(text);
    let mut simd_text = text.to_vec();
    let simd = simd_json::to_borrowed_value(&mut simd_text);
    let is_simd_expected = facts.as_ref().is_some_and(|facts| {
        !facts.has_long_integer && !facts.has_infinite_number && facts.depth <= SIMD_DEPTH_MAX
    });
    let is_simd = simd.is_ok();
    assert_eq!(is_simd, is_simd_expected, "simd-json of {}", lossy(text));

    let value = convert("google.protobuf.Value", text);
    check(facts.as_ref(), value.as_ref().err().copied(), true, text);
    if let (Ok(wire), Ok(simd)) = (value, simd) {
        let descriptor = POOL.get_message_by_name("google.protobuf.Value");
        let descriptor = descriptor.expect("it is among the imports");
        let ours = DynamicMessage::decode(descriptor, &*wire);
        // prost counts each of the three messages of a level of a `Struct`.
        if let Ok(ours) = ours {
            assert!(is_same(&ours, &simd), "{ours} is {simd} to simd-json");
        }
    }

    // A message without fields skips all it is given. Whatever the text is, the object around it is judged by itself.
    let object = [b"{\"nosuch\":", text, b"}"].concat();
    let refusal = convert("google.protobuf.Empty", &object).err();
    let facts = Reader::read(&object);
    check(facts.as_ref(), refusal, false, &object);
}

fn convert(name: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let transcoder = schema::transcoder(0);
    let message = transcoder.schema().message(name);
    let message = message.expect("well-known types are always there");
    let mut wire = Vec::new();
    to_wire(message, text, &mut to_wire::Scratch::default(), &mut wire).map(|()| wire)
}

/// A refusal must be for one of the reasons that there are, and where there is one there must be a refusal.
fn check(facts: Option<&Facts>, refusal: Option<Error>, is_read: bool, text: &[u8]) {
    let is_too_deep = facts.is_none_or(|facts| facts.depth > DEPTH_MAX as usize);
    let is_infinite = is_read && facts.is_none_or(|facts| facts.has_infinite_number);
    let is_twice = is_read && facts.is_none_or(|facts| facts.has_duplicate_key);
    let Some(error) = refusal else {
        let is_expected = facts.is_some() && !is_too_deep && !is_infinite && !is_twice;
        assert!(is_expected, "{facts:?} was accepted: {}", lossy(text));
        return;
    };
    assert!(error.offset as usize <= text.len(), "{error:?}");
    let is_so = match error.kind {
        ErrorKind::TooDeep => is_too_deep,
        ErrorKind::OutOfRange(Expected::Double) => is_infinite,
        ErrorKind::DuplicateKey => is_twice,
        // Any other is one of syntax.
        _ => facts.is_none(),
    };
    assert!(is_so, "{error:?} of {facts:?} in {}", lossy(text));
}

/// Whether a `Value` says the same as what simd-json read.
fn is_same(ours: &DynamicMessage, theirs: &BorrowedValue<'_>) -> bool {
    let Some((field, value)) = ours.fields().next() else {
        return false;
    };
    match (field.name(), value, theirs) {
        ("null_value", _, BorrowedValue::Static(StaticNode::Null)) => true,
        ("bool_value", Value::Bool(ours), BorrowedValue::Static(StaticNode::Bool(theirs))) => {
            ours == theirs
        }
        ("string_value", Value::String(ours), BorrowedValue::String(theirs)) => ours == theirs,
        ("number_value", Value::F64(ours), BorrowedValue::Static(number)) => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "to a Value all numbers are doubles"
            )]
            let theirs = match number {
                StaticNode::I64(number) => *number as f64,
                StaticNode::U64(number) => *number as f64,
                StaticNode::F64(number) => *number,
                _ => return false,
            };
            // Minus zero without a fraction is an integer to it, and has no sign.
            ours.to_bits() == theirs.to_bits() || (*ours == 0.0 && theirs == 0.0)
        }
        ("list_value", Value::Message(list), BorrowedValue::Array(theirs)) => {
            let ours = list.get_field_by_name("values");
            let ours = ours.as_ref().and_then(|values| values.as_list());
            ours.is_some_and(|ours| {
                let mut pairs = ours.iter().zip(theirs.iter());
                ours.len() == theirs.len()
                    && pairs.all(|(ours, theirs)| is_same_value(ours, theirs))
            })
        }
        ("struct_value", Value::Message(structure), BorrowedValue::Object(theirs)) => {
            let ours = structure.get_field_by_name("fields");
            let ours = ours.as_ref().and_then(|fields| fields.as_map());
            ours.is_some_and(|ours| {
                ours.len() == theirs.len()
                    && theirs.iter().all(|(key, theirs)| {
                        let ours = ours.get(&MapKey::String(key.to_string()));
                        ours.is_some_and(|ours| is_same_value(ours, theirs))
                    })
            })
        }
        _ => false,
    }
}

fn is_same_value(ours: &Value, theirs: &BorrowedValue<'_>) -> bool {
    ours.as_message().is_some_and(|ours| is_same(ours, theirs))
}

/// RFC 8259, one production a function; open objects and lists are on a stack of its own.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    facts: Facts,
    /// Of each open object the keys it has had; nothing of a list.
    open: Vec<Option<HashSet<String>>>,
}

impl<'t> Reader<'t> {
    /// Nothing if the text is no JSON.
    fn read(text: &'t [u8]) -> Option<Facts> {
        let mut reader = Reader {
            text: str::from_utf8(text).ok()?,
            at: 0,
            facts: Facts::default(),
            open: Vec::new(),
        };
        reader.document()?;
        Some(reader.facts)
    }

    fn document(&mut self) -> Option<()> {
        loop {
            self.white_space();
            let is_open = match self.next()? {
                b'{' => self.open_object()?,
                b'[' => self.open_list(),
                first => {
                    self.scalar(first)?;
                    false
                }
            };
            if !is_open && self.close()? {
                return Some(());
            }
        }
    }

    /// Behind a value: closes what ends here. True at the end of the text, false if another value follows.
    fn close(&mut self) -> Option<bool> {
        loop {
            self.white_space();
            let Some(is_object) = self.open.last().map(Option::is_some) else {
                return (self.at == self.text.len()).then_some(true);
            };
            match (self.next()?, is_object) {
                (b',', true) => return self.key().map(|()| false),
                (b',', false) => return Some(false),
                (b'}', true) | (b']', false) => self.open.pop(),
                _ => return None,
            };
        }
    }

    /// Whether it is still open.
    fn open_object(&mut self) -> Option<bool> {
        self.enter(Some(HashSet::new()));
        if self.take(b'}') {
            self.open.pop();
            return Some(false);
        }
        self.key()?;
        Some(true)
    }

    fn open_list(&mut self) -> bool {
        self.enter(None);
        let is_empty = self.take(b']');
        if is_empty {
            self.open.pop();
        }
        !is_empty
    }

    fn enter(&mut self, keys: Option<HashSet<String>>) {
        self.open.push(keys);
        self.facts.depth = self.facts.depth.max(self.open.len());
        self.white_space();
    }

    fn key(&mut self) -> Option<()> {
        self.white_space();
        (self.next()? == b'"').then_some(())?;
        let key = self.string()?;
        if let Some(Some(keys)) = self.open.last_mut() {
            self.facts.has_duplicate_key |= !keys.insert(key);
        }
        self.white_space();
        (self.next()? == b':').then_some(())
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        let word = match first {
            b'"' => return self.string().map(drop),
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                return self.number();
            }
            b't' => "rue",
            b'f' => "alse",
            b'n' => "ull",
            _ => return None,
        };
        let is_word = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_word.then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_integer = false;
            let _is_signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let number = self.text.get(start..self.at)?;
        let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
        self.facts.has_long_integer |= is_integer && !fits;
        let double = number.parse::<f64>();
        self.facts.has_infinite_number |= double.is_ok_and(f64::is_infinite);
        Some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Behind the opening quote; what it says.
    fn string(&mut self) -> Option<String> {
        let mut units: Vec<u16> = Vec::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let character = rest.chars().next()?;
            self.at += character.len_utf8();
            match character {
                '"' => return String::from_utf16(&units).ok(),
                '\\' => units.push(self.escape()?),
                ' '.. => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.next()? {
            quoted @ (b'"' | b'\\' | b'/') => u16::from(quoted),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                return is_hex.then(|| u16::from_str_radix(digits, 16).ok())?;
            }
            _ => return None,
        })
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

fn lossy(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}
