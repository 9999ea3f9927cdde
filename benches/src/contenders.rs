//! Ways of doing one job. In: a payload. Out: closures that convert it, the engine first, then the yardsticks.
//! Always: what can be kept from one operation to the next is kept (buffers, tapes, descriptors), for the yardsticks too; what a
//! yardstick answers has been checked against the payload.

use std::hint::black_box;

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use simd_json::Tape;
use transom_engine::{to_json, to_wire};

use crate::Payload;

/// One way of doing a job.
pub struct Contender<'p> {
    /// What the tables call it.
    pub name: String,
    run: Box<dyn FnMut(u64) + 'p>,
}

impl std::fmt::Debug for Contender<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl<'p> Contender<'p> {
    /// The loop is inside of the closure, so that no operation is called by pointer.
    pub(crate) fn new<T>(name: impl Into<String>, mut operation: impl FnMut() -> T + 'p) -> Self {
        let run = Box::new(move |times| {
            for _ in 0..times {
                black_box(operation());
            }
        });
        Self {
            name: name.into(),
            run,
        }
    }

    /// One that appends its answer to a buffer. The answer goes through `check` once.
    fn writer(
        name: &str,
        mut write: impl FnMut(&mut Vec<u8>) + 'p,
        check: impl FnOnce(&[u8], &str),
    ) -> Self {
        let mut out = Vec::new();
        write(&mut out);
        check(&out, name);
        Self::new(name, move || {
            out.clear();
            write(&mut out);
        })
    }

    /// Does the job so many times.
    pub fn run(&mut self, times: u64) {
        (self.run)(times);
    }
}

/// JSON to protobuf by the engine.
///
/// # Panics
/// When the answer is wrong.
pub fn to_wire_transom<'p>(payload: &'p Payload<'_>) -> Contender<'p> {
    let Payload { message, json, .. } = payload;
    let mut scratch = to_wire::Scratch::default();
    let write = move |out: &mut Vec<u8>| {
        to_wire(*message, black_box(json.as_bytes()), &mut scratch, out).expect("checked");
    };
    Contender::writer("transom", write, |out, name| payload.check_wire(out, name))
}

/// Protobuf to JSON by the engine.
///
/// # Panics
/// When the answer is wrong.
pub fn to_json_transom<'p>(payload: &'p Payload<'_>) -> Contender<'p> {
    let Payload { message, wire, .. } = payload;
    let mut scratch = to_json::Scratch::default();
    let write = move |out: &mut Vec<u8>| {
        to_json(*message, black_box(wire), &mut scratch, out).expect("checked");
    };
    Contender::writer("transom", write, |out, name| payload.check_json(out, name))
}

/// JSON to protobuf: the engine and those that do the whole job, and readers of JSON, which stop half way.
///
/// # Panics
/// When an answer is wrong.
pub fn to_wire_contenders<'p>(payload: &'p Payload<'_>) -> Vec<Contender<'p>> {
    let Payload {
        descriptor, json, ..
    } = payload;
    let mut contenders = vec![
        to_wire_transom(payload),
        simd_json_tape(json),
        simd_json_tape_padded(json),
    ];
    #[cfg(feature = "yardsticks")]
    contenders.push(Contender::new("sonic-rs Value", move || {
        assert!(transom_yardsticks::sonic_value(black_box(json.as_bytes())));
    }));
    contenders.push(Contender::new("serde_json Value", move || {
        let value: serde_json::Value = serde_json::from_str(black_box(json)).expect("checked");
        assert!(value.is_object());
    }));
    #[cfg(feature = "yardsticks")]
    for (name, converters) in generated(payload) {
        contenders.push(Contender::writer(
            name,
            move |out| (converters.to_wire)(black_box(json), out),
            |out, name| payload.check_wire(out, name),
        ));
    }
    contenders.push(Contender::writer(
        "prost-reflect",
        move |out| {
            let mut parser = serde_json::Deserializer::from_str(black_box(json));
            DynamicMessage::deserialize(descriptor.clone(), &mut parser)
                .expect("checked")
                .encode(out)
                .expect("the buffer grows");
        },
        |out, name| payload.check_wire(out, name),
    ));
    contenders
}

fn simd_json_tape(json: &str) -> Contender<'_> {
    let mut buffers = simd_json::Buffers::new(json.len());
    let mut text = Vec::with_capacity(json.len());
    let mut kept = Tape(Vec::new());
    Contender::new("simd-json tape", move || {
        // The tape is made in place, so each round starts from a fresh copy, as a server's read buffer would be.
        text.clear();
        text.extend_from_slice(black_box(json.as_bytes()));
        let mut tape = take(&mut kept);
        simd_json::fill_tape(&mut text, &mut buffers, &mut tape).expect("checked");
        let len = tape.0.len();
        kept = tape.reset();
        len
    })
}

/// The same without the copy that simd-json makes for itself, since the caller's buffer has room behind the text.
fn simd_json_tape_padded(json: &str) -> Contender<'_> {
    let mut buffers = simd_json::Buffers::new(json.len());
    let mut text = vec![0; json.len() + simd_json::INPUT_PADDING];
    let mut kept = Tape(Vec::new());
    Contender::new("simd-json tape, padded", move || {
        let len = json.len();
        text[..len].copy_from_slice(black_box(json.as_bytes()));
        let mut tape = take(&mut kept);
        simd_json::fill_tape_padded(&mut text, len, &mut buffers, &mut tape).expect("checked");
        let len = tape.0.len();
        kept = tape.reset();
        len
    })
}

/// An empty tape with the memory of the last one.
fn take<'t>(kept: &mut Tape<'static>) -> Tape<'t> {
    std::mem::replace(kept, Tape(Vec::new())).reset()
}

/// Protobuf to JSON.
///
/// # Panics
/// When an answer is wrong.
pub fn to_json_contenders<'p>(payload: &'p Payload<'_>) -> Vec<Contender<'p>> {
    let Payload {
        descriptor, wire, ..
    } = payload;
    let mut contenders = vec![to_json_transom(payload)];
    #[cfg(feature = "yardsticks")]
    for (name, converters) in generated(payload) {
        contenders.push(Contender::writer(
            name,
            move |out| (converters.to_json)(black_box(wire), out),
            |out, name| payload.check_json(out, name),
        ));
    }
    contenders.push(Contender::writer(
        "prost-reflect",
        move |out| {
            let message = DynamicMessage::decode(descriptor.clone(), black_box(wire.as_slice()))
                .expect("checked");
            serde_json::to_writer(out, &message).expect("the buffer grows");
        },
        |out, name| payload.check_json(out, name),
    ));
    contenders
}

/// Those with a type for each message, of which some lack this one.
#[cfg(feature = "yardsticks")]
fn generated(
    payload: &Payload<'_>,
) -> impl Iterator<Item = (&'static str, transom_yardsticks::Converters)> {
    let message = payload.message.full_name();
    let prost = transom_yardsticks::prost_pbjson(message).map(|found| ("prost, pbjson", found));
    let buffa = transom_yardsticks::buffa(message).map(|found| ("buffa", found));
    prost.into_iter().chain(buffa)
}
