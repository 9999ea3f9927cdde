//! What arrives in pieces. In: two bytes that say by which options and which message, one that says where to cut, then JSON or protobuf.
//! Always: the pieces become what the whole becomes, or are refused as the whole is.

use serde_json::Value;
use transom_engine::error::ErrorKind;
use transom_engine::{Error, Message, to_json, to_wire};

use crate::schema;

/// JSON in pieces to protobuf: the same bytes as from the whole, or the same error.
pub fn to_wire_pieces(input: &[u8]) {
    let Some((message, cuts, text)) = split(input) else {
        return;
    };
    let mut scratch = to_wire::Scratch::default();
    let mut whole = b"before".to_vec();
    let expected = to_wire(message, text, &mut scratch, &mut whole);
    let mut out = b"before".to_vec();
    let found = text_in_pieces(message, cuts, text, &mut scratch, &mut out);
    assert_eq!(found, expected, "the pieces are judged otherwise");
    assert_eq!(out, whole, "the pieces become something else");
}

fn text_in_pieces(
    message: Message<'_>,
    cuts: u8,
    text: &[u8],
    scratch: &mut to_wire::Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut reader = to_wire::Pieces::new(message, scratch);
    for mut piece in pieces(cuts, text) {
        while !piece.is_empty() {
            match reader.push(piece, out)? {
                to_wire::Progress::Open => break,
                to_wire::Progress::Ended { used } => piece = piece.get(used..).unwrap_or_default(),
            }
        }
    }
    reader.finish(out)
}

/// Protobuf in pieces to JSON: the same text as from the whole if all is waited for, and the same members if not.
pub fn to_json_pieces(input: &[u8]) {
    let Some((message, cuts, wire)) = split(input) else {
        return;
    };
    let mut scratch = to_json::Scratch::default();
    let mut whole = Vec::new();
    let expected = to_json(message, wire, &mut scratch, &mut whole);
    let held = wire_in_pieces(message, cuts, wire, usize::MAX, &mut scratch);
    assert_eq!(
        held.as_ref().map_err(|error| *error),
        expected.as_ref().map(|()| &whole).map_err(|error| *error),
        "what was waited for becomes something else"
    );
    for held_len_max in [0, 8] {
        match wire_in_pieces(message, cuts, wire, held_len_max, &mut scratch) {
            Ok(found) => {
                assert!(expected.is_ok(), "the pieces are accepted");
                assert_eq!(sorted(&found), sorted(&whole), "the parts are not the same");
                assert!(is_same(&found, &whole), "the meaning is not the same");
            }
            Err(error) => assert!(
                // What comes later might have mended what has no form, or have taken the place of what is no text.
                matches!(
                    error.kind,
                    ErrorKind::WireOrder | ErrorKind::WireUnprintable(_) | ErrorKind::WireUtf8
                ) || expected.is_err(),
                "the pieces are refused: {error:?}"
            ),
        }
    }
}

fn wire_in_pieces(
    message: Message<'_>,
    cuts: u8,
    wire: &[u8],
    held_len_max: usize,
    scratch: &mut to_json::Scratch,
) -> Result<Vec<u8>, Error> {
    let mut reader = to_json::Pieces::new(message, scratch).holding(held_len_max);
    let (mut sent, mut out) = (Vec::new(), Vec::new());
    for piece in pieces(cuts, wire) {
        reader.push(piece, &mut out)?;
        sent.append(&mut out);
    }
    reader.finish(&mut out)?;
    sent.append(&mut out);
    Ok(sent)
}

fn split(input: &[u8]) -> Option<(Message<'static>, u8, &[u8])> {
    let ([options, message, cuts], rest) = input.split_first_chunk()?;
    let (message, _) = schema::message(schema::transcoder(*options), *message);
    Some((message, *cuts, rest))
}

/// The input in pieces: of a few bytes each, of some more, or of lengths that differ, as `cuts` says.
pub(crate) fn pieces(cuts: u8, input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = input;
    let mut state = u32::from(cuts);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = match cuts {
            0..=31 => usize::from(cuts) + 1,
            _ => 1 + (state >> 24) as usize % (1 + usize::from(cuts) / 4),
        };
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

fn sorted(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.sort_unstable();
    bytes
}

/// Of one meaning, as far as `serde_json` can read it: it has bounds on numbers and on nesting that JSON has not.
fn is_same(found: &[u8], expected: &[u8]) -> bool {
    let [found, expected] = [found, expected].map(serde_json::from_slice::<Value>);
    found.ok() == expected.ok()
}
