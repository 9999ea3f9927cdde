//! Memory is bounded by the input, whatever it is. Goal: nobody who pays for a byte makes us hold many, and nothing is allocated because a
//! length says so. Method: an allocator that counts what is held; each of the worst inputs we know, with fresh buffers.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use support::counting::{Counting, peak_len};
use support::notation::wire;
use support::worst::{BAD_JSON, BAD_WIRE, JSON, WIRE};
use transom_engine::error::ErrorKind;
use transom_engine::grpc::frame;
use transom_engine::http1::{BodyFraming, Parsed, RequestHead};
use transom_engine::{Message, Options, Schema, to_json, to_wire};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of an input.
const LEN: usize = 200_000;

/// What a JSON text may take, beside what is written, as a multiple of its length.
const JSON_RATIO_MAX: usize = 3;

/// The same of protobuf. A list of where things are takes 12 bytes a field, and 24 a map entry, which on the wire may be two; half of that
/// memory may be room to grow.
const WIRE_RATIO_MAX: usize = 24;

/// The most that a conversion holds beside `out`, of which half may be room to grow.
fn peak_beside(out: &mut Vec<u8>, convert: impl FnOnce(&mut Vec<u8>)) -> usize {
    let peak_len = peak_len(|| convert(out));
    peak_len - out.capacity().min(2 * out.len())
}

#[test]
fn json_takes_three_times_its_length_at_most() {
    let schema = support::schema(Options::default());
    for worst in JSON.iter().chain(BAD_JSON) {
        let text = (worst.make)(LEN);
        let message = schema.message(worst.message).unwrap();
        let held = peak_beside(&mut Vec::new(), |out| {
            let _ = to_wire(
                message,
                text.as_bytes(),
                &mut to_wire::Scratch::default(),
                out,
            );
        });
        assert!(
            held <= JSON_RATIO_MAX * text.len(),
            "{}: {held} for {}",
            worst.name,
            text.len()
        );
    }
}

#[test]
fn protobuf_takes_a_bounded_multiple_of_its_length() {
    let schema = support::schema(Options::default());
    for worst in WIRE.iter().chain(BAD_WIRE) {
        let wire = (worst.make)(LEN);
        let message = schema.message(worst.message).unwrap();
        let held = peak_beside(&mut Vec::new(), |out| {
            let _ = to_json(message, &wire, &mut to_json::Scratch::default(), out);
        });
        assert!(
            held <= WIRE_RATIO_MAX * wire.len(),
            "{}: {held} for {}",
            worst.name,
            wire.len()
        );
    }
}

/// What a rare large input needed is not kept for ever.
#[test]
fn memory_of_a_large_input_is_given_back_with_the_next() {
    const LEN: usize = 1 << 20;
    const KEPT_LEN_MAX: usize = 4 << 20;
    let is_listed = |name: &str| name.contains("map key") || name.contains("in turn");
    let schema = support::schema(Options::default());
    let mut scratch = (to_wire::Scratch::default(), to_json::Scratch::default());
    let mut out = Vec::with_capacity(64 << 20);
    let kept = peak_len(|| {
        let nested = schema.message("transom.test.v1.Nested").unwrap();
        for worst in JSON.iter().filter(|worst| is_listed(worst.name)) {
            let message = schema.message(worst.message).unwrap();
            out.clear();
            to_wire(
                message,
                (worst.make)(LEN).as_bytes(),
                &mut scratch.0,
                &mut out,
            )
            .unwrap();
        }
        for worst in WIRE.iter().filter(|worst| is_listed(worst.name)) {
            let message = schema.message(worst.message).unwrap();
            out.clear();
            to_json(message, &(worst.make)(LEN), &mut scratch.1, &mut out).unwrap();
        }
        to_wire(nested, b"{}", &mut scratch.0, &mut out).unwrap();
        to_json(nested, b"", &mut scratch.1, &mut out).unwrap();
    });
    assert!(kept > KEPT_LEN_MAX, "the inputs need memory");
    let held = held_by(move || drop((scratch, out)));
    assert!(held <= KEPT_LEN_MAX + (64 << 20), "{held} bytes are kept");
}

/// Bytes that `release` gives back.
fn held_by(release: impl FnOnce()) -> usize {
    let before = support::counting::held_len();
    release();
    usize::try_from(before - support::counting::held_len()).unwrap()
}

/// THREATS E1, E6: lengths from one byte more than there is to the largest that can be said.
#[test]
fn no_memory_is_taken_because_a_length_says_so() {
    const HELD_LEN_MAX: usize = 4096;
    let schema = support::schema(Options::default());
    let refuse = |message: Message<'_>, wire: &[u8]| {
        let held = peak_len(|| {
            let mut scratch = to_json::Scratch::default();
            let error = to_json(message, wire, &mut scratch, &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::WireTruncated);
        });
        assert!(held <= HELD_LEN_MAX, "{held} bytes for {wire:02x?}");
    };
    let lengths: [&[u8]; 5] = [
        b"\x02a",
        b"\xff\x7f",
        b"\xff\xff\xff\xff\x07",
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ];
    let fields = [
        ("transom.test.v1.Scalars", 0x72_u8),
        ("transom.test.v1.Scalars", 0x7a),
        ("transom.test.v1.Lists", 0x0a),
        ("transom.test.v1.Lists", 0x72),
        ("transom.test.v1.Nested", 0x1a),
        ("transom.test.v1.Maps", 0x62),
        ("transom.test.v1.Scalars", 0x9a),
    ];
    for length in lengths {
        for (name, tag) in fields {
            // The last one is a field that nobody knows.
            let tag: &[u8] = if tag == 0x9a { &[0x9a, 0x3f] } else { &[tag] };
            refuse(schema.message(name).unwrap(), &[tag, length].concat());
        }
    }
    let held = peak_len(|| {
        for prefix in [
            b"\0\xff\xff\xff\xff",
            b"\0\x7f\xff\xff\xff",
            b"\0\0\x40\0\0",
        ] {
            let error = frame::deframe(prefix, usize::MAX).unwrap_err();
            assert_eq!(error.kind, ErrorKind::ReplyFrame);
        }
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n";
        let mut parser = RequestHead::new();
        assert!(matches!(parser.parse(head), Ok(Parsed::Complete { .. })));
        assert_eq!(parser.framing(), BodyFraming::Length(i64::MAX as u64));
    });
    assert!(held <= 16 * 1024, "{held} bytes for prefixes and a head");
    let held = peak_len(|| {
        for length in lengths {
            let set = [b"\x0a", length].concat();
            assert!(Schema::from_descriptor_set(&set).is_err());
            let file = [&wire("1: {1: 'a.proto' 12: 'proto3'}"), &*set].concat();
            assert!(Schema::from_descriptor_set(&file).is_err());
        }
    });
    assert!(held <= 64 * 1024, "{held} bytes for descriptor sets");
}
