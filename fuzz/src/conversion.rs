//! JSON and protobuf, both ways. In: a byte that says by which options, one that says which message, then JSON or protobuf.
//! Always: what is accepted is good for others too; what is refused leaves no trace; what was written reads back as it was.

use prost_reflect::prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use transom_engine::error::{Context, ErrorKind};
use transom_engine::{Error, Message};

use crate::schema;

/// JSON to protobuf: never panics; the bytes decode, and mean to prost-reflect what the text means to it.
pub fn to_wire(input: &[u8]) {
    let Some((transcoder, choice, text)) = split(input) else {
        return;
    };
    let (message, descriptor) = schema::message(transcoder, choice);
    let wire = match wire_of(message, text) {
        Ok(wire) => wire,
        Err(error) => return check_words(error, text),
    };
    let Some(ours) = decode(&descriptor, &wire) else {
        return;
    };
    assert!(
        ours.unknown_fields().next().is_none(),
        "a field was written that the message lacks"
    );
    // Where it is stricter than the JSON mapping of protobuf, the text must be JSON all the same.
    let Ok(theirs) = read_json(descriptor.clone(), text) else {
        return check_json(text);
    };
    // It keeps more than the wire does (an empty list that was given) until it is encoded.
    let Some(theirs) = decode(&descriptor, &theirs.encode_to_vec()) else {
        return;
    };
    let [our_json, their_json] = [&ours, &theirs].map(serde_json::to_value);
    match (our_json, their_json) {
        (Ok(ours), Ok(theirs)) => {
            let is_exact = !has_fraction(text);
            assert!(
                agree(&ours, &theirs, is_exact),
                "{ours} is {theirs} to others"
            );
        }
        // A path of a field mask that does not come back, and the like: then the messages must be the same.
        _ => assert_eq!(ours, theirs, "prost-reflect reads the text otherwise"),
    }
}

/// Whether the two are the same JSON, but for the last digits of fractions: `serde_json` reads them by way of a double, and not always
/// to the nearest; prost-reflect makes integers of them.
fn agree(ours: &Value, theirs: &Value, is_exact: bool) -> bool {
    let are_near =
        |ours: f64, theirs: f64| (ours - theirs).abs() <= ours.abs() * f64::from(f32::EPSILON);
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) if ours.is_f64() || theirs.is_f64() => ours
            .as_f64()
            .zip(theirs.as_f64())
            .is_some_and(|(ours, theirs)| are_near(ours, theirs)),
        (Value::String(our_text), Value::String(their_text)) if !is_exact => {
            let [our_number, their_number] = [our_text, their_text].map(|text| text.parse().ok());
            ours == theirs
                || our_number
                    .zip(their_number)
                    .is_some_and(|(ours, theirs)| are_near(ours, theirs))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| agree(ours, theirs, is_exact))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let is_member = |(key, ours)| {
                theirs
                    .get(key)
                    .is_some_and(|each| agree(ours, each, is_exact))
            };
            ours.len() == theirs.len() && ours.iter().all(is_member)
        }
        _ => ours == theirs,
    }
}

/// Whether a number with a fraction or an exponent may be in the text.
fn has_fraction(text: &[u8]) -> bool {
    text.windows(2)
        .any(|pair| matches!(pair, [b'0'..=b'9', b'.' | b'e' | b'E']))
}

/// Protobuf to JSON: never panics; what comes out is JSON.
pub fn to_json(input: &[u8]) {
    let Some((transcoder, choice, wire)) = split(input) else {
        return;
    };
    let (message, _) = schema::message(transcoder, choice);
    match json_of(message, wire) {
        Ok(json) => check_json(&json),
        Err(error) => check_words(error, b""),
    }
}

/// Protobuf to JSON to protobuf to JSON: the second time changes nothing.
pub fn round_trip(input: &[u8]) {
    let Some((transcoder, choice, wire)) = split(input) else {
        return;
    };
    let (message, _) = schema::message(transcoder, choice);
    let Ok(json) = json_of(message, wire) else {
        return;
    };
    let second_wire = match wire_of(message, &json) {
        Ok(wire) => wire,
        // Lists count as levels in JSON and not on the wire (SEMANTICS 96); a type URL without a slash is written as it came.
        Err(error) if matches!(error.kind, ErrorKind::TooDeep | ErrorKind::AnyTypeUrl) => return,
        Err(error) => unreachable!("{error:?} in what was written: {}", lossy(&json)),
    };
    let second_json = json_of(message, &second_wire).expect("what was read can be written");
    // A NullValue is written as null whatever its number, and read as 0, which a field without presence need not carry.
    let has_null_value = ["nullValue\":null", "null_value\":null"]
        .iter()
        .any(|text| lossy(&json).contains(text));
    assert!(
        second_json == json || has_null_value,
        "{} became {}",
        lossy(&json),
        lossy(&second_json)
    );
    let third_wire = wire_of(message, &second_json).expect("it was written as the first was");
    assert_eq!(third_wire, second_wire, "the second time changes something");
}

type Split<'i> = (&'static transom_engine::exchange::Transcoder, u8, &'i [u8]);

fn split(input: &[u8]) -> Option<Split<'_>> {
    let ([options, message], rest) = input.split_first_chunk()?;
    Some((schema::transcoder(*options), *message, rest))
}

fn wire_of(message: Message<'_>, text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = b"before".to_vec();
    let mut scratch = transom_engine::to_wire::Scratch::default();
    let result = transom_engine::to_wire(message, text, &mut scratch, &mut out);
    written(&out, result)
}

fn json_of(message: Message<'_>, wire: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = b"before".to_vec();
    let mut scratch = transom_engine::to_json::Scratch::default();
    let result = transom_engine::to_json(message, wire, &mut scratch, &mut out);
    written(&out, result)
}

/// What was appended, after making sure that nothing else was touched.
fn written(out: &[u8], result: Result<(), Error>) -> Result<Vec<u8>, Error> {
    let written = out.strip_prefix(b"before").expect("what was there is kept");
    assert!(
        result.is_ok() || written.is_empty(),
        "an error leaves the buffer as it was"
    );
    result.map(|()| written.to_vec())
}

/// The message that the bytes are to prost, which must be able to read what we write, unless it nests beyond its limit.
fn decode(descriptor: &MessageDescriptor, wire: &[u8]) -> Option<DynamicMessage> {
    match DynamicMessage::decode(descriptor.clone(), wire) {
        Ok(message) => Some(message),
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("recursion limit"), "{words}");
            None
        }
    }
}

fn read_json(descriptor: MessageDescriptor, text: &[u8]) -> serde_json::Result<DynamicMessage> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut parser, &options)?;
    parser.end()?;
    Ok(message)
}

/// The text must be JSON; `serde_json` has bounds on numbers and on nesting that JSON has not.
pub(crate) fn check_json(text: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Value>(text) {
        let words = error.to_string();
        let is_bound = words.contains("out of range") || words.contains("recursion limit");
        assert!(is_bound, "{words} in {}", lossy(text));
    }
}

/// An error must point into the text, and have words of bounded length that are fit to be shown.
fn check_words(error: Error, body: &[u8]) {
    let mut words = String::new();
    let context = Context {
        body,
        ..Context::default()
    };
    error.write_text(&context, &mut words);
    assert!(!words.is_empty() && words.len() < 1000, "{words}");
    assert!(!words.contains(char::is_control), "{words:?}");
    assert!(
        body.is_empty() || error.offset as usize <= body.len(),
        "{error:?} points behind the text"
    );
}

fn lossy(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}
