//! Ways of doing one job. In: a payload. Out: closures that convert it, the engine first, then the yardsticks.
//! Always: what can be kept from one operation to the next is kept (buffers, tapes, descriptors), for the yardsticks too.

use std::hint::black_box;

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
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

    /// Does the job so many times.
    pub fn run(&mut self, times: u64) {
        (self.run)(times);
    }
}

/// JSON to protobuf. `simd-json tape` stops half way: it has read the JSON and written nothing.
///
/// # Panics
/// When a payload is not valid.
pub fn to_wire_contenders<'p>(payload: &'p Payload<'_>) -> Vec<Contender<'p>> {
    let Payload {
        message,
        descriptor,
        json,
        wire,
        ..
    } = payload;
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::with_capacity(wire.len());
    let transom = Contender::new("transom", move || {
        out.clear();
        to_wire(*message, black_box(json.as_bytes()), &mut scratch, &mut out).expect("checked");
    });

    let mut buffers = simd_json::Buffers::new(json.len());
    let mut text = Vec::with_capacity(json.len());
    let tape = Contender::new("simd-json tape", move || {
        // The tape is made in place, so each round starts from a fresh copy, as a server's read buffer would be.
        text.clear();
        text.extend_from_slice(black_box(json.as_bytes()));
        let tape = simd_json::to_tape_with_buffers(&mut text, &mut buffers).expect("checked");
        black_box(tape.0.len())
    });

    let reflect = Contender::new("prost-reflect", move || {
        let mut parser = serde_json::Deserializer::from_str(black_box(json));
        DynamicMessage::deserialize(descriptor.clone(), &mut parser)
            .expect("checked")
            .encode_to_vec()
    });
    vec![transom, tape, reflect]
}

/// Protobuf to JSON.
///
/// # Panics
/// When a payload is not valid.
pub fn to_json_contenders<'p>(payload: &'p Payload<'_>) -> Vec<Contender<'p>> {
    let Payload {
        message,
        descriptor,
        json,
        wire,
        ..
    } = payload;
    let mut scratch = to_json::Scratch::default();
    let mut out = Vec::with_capacity(json.len());
    let transom = Contender::new("transom", move || {
        out.clear();
        to_json(*message, black_box(wire), &mut scratch, &mut out).expect("checked");
    });

    let reflect = Contender::new("prost-reflect", move || {
        let message = DynamicMessage::decode(descriptor.clone(), black_box(wire.as_slice()))
            .expect("checked");
        serde_json::to_vec(&message).expect("checked")
    });
    vec![transom, reflect]
}
