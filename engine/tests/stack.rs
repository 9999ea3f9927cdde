//! Goal: a conversion at the depth that is still accepted, and at the one that is refused, fits a thread whose stack has the size that
//! `limits::DEPTH_MAX` states. Method: the deepest texts and messages of every shape that nests, converted on such a thread; who needs
//! more ends the process.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

mod support;

use std::thread;

use transom_engine::error::{Context, ErrorKind};
use transom_engine::limits::DEPTH_MAX;
use transom_engine::{Options, Schema, to_json, to_wire};

/// Bytes of the thread's stack. Measured when this was written: 640 to 768 KiB without optimization, 128 to 192 KiB with it.
const STACK_LEN: usize = if cfg!(debug_assertions) {
    1024 * 1024
} else {
    256 * 1024
};

/// One shape that nests: a message, what opens and closes a level, what stands innermost, and the levels that the message takes before.
struct Shape {
    message: &'static str,
    before: &'static str,
    open: &'static str,
    innermost: &'static str,
    close: &'static str,
    after: &'static str,
    /// JSON levels of `open`, and of `before` and `innermost` together.
    step: u32,
    fixed: u32,
}

const SHAPES: [Shape; 10] = [
    Shape {
        message: "google.protobuf.Any",
        before: "",
        open: "{\"any\":[",
        innermost: "{}",
        close: "],\"@type\":\"x/transom.test.v1.WellKnownLists\"}",
        after: "",
        step: 2,
        fixed: 1,
    },
    Shape {
        message: "transom.test.v1.Nested",
        before: "",
        open: "{\"child\":",
        innermost: "{}",
        close: "}",
        after: "",
        step: 1,
        fixed: 1,
    },
    Shape {
        message: "transom.test.v1.Nested",
        before: "",
        open: "{\"children\":[{},",
        innermost: "{}",
        close: "]}",
        after: "",
        step: 2,
        fixed: 1,
    },
    Shape {
        message: "transom.test.v1.Maps",
        before: "",
        open: "{\"maps\":{\"5\":",
        innermost: "{}",
        close: "}}",
        after: "",
        step: 2,
        fixed: 1,
    },
    Shape {
        message: "google.protobuf.Value",
        before: "",
        open: "[",
        innermost: "1",
        close: "]",
        after: "",
        step: 1,
        fixed: 0,
    },
    Shape {
        message: "google.protobuf.Struct",
        before: "",
        open: "{\"a\":",
        innermost: "{}",
        close: "}",
        after: "",
        step: 1,
        fixed: 1,
    },
    Shape {
        message: "transom.test.v1.WellKnown",
        before: "{\"listValue\":",
        open: "[{\"a\":",
        innermost: "[]",
        close: "}]",
        after: "}",
        step: 2,
        fixed: 2,
    },
    Shape {
        message: "google.protobuf.Any",
        before: "",
        open: "{\"@type\":\"x/google.protobuf.Any\",\"value\":",
        innermost: "{}",
        close: "}",
        after: "",
        step: 1,
        fixed: 1,
    },
    Shape {
        message: "google.protobuf.Any",
        before: "",
        open: "{\"value\":",
        innermost: "{}",
        close: ",\"@type\":\"x/google.protobuf.Any\"}",
        after: "",
        step: 1,
        fixed: 1,
    },
    Shape {
        message: "transom.test.v1.Everything",
        before: "{\"unknown\":",
        open: "[{\"a\":",
        innermost: "0",
        close: "}]",
        after: "}",
        step: 2,
        fixed: 1,
    },
];

impl Shape {
    fn text(&self, levels: u32) -> String {
        let count = usize::try_from((levels - self.fixed) / self.step).unwrap();
        let Self {
            before,
            innermost,
            after,
            ..
        } = self;
        let (open, close) = (self.open.repeat(count), self.close.repeat(count));
        format!("{before}{open}{innermost}{close}{after}")
    }

    /// The deepest text that is accepted, both ways, and one that is too deep, with its words.
    fn convert(&self, schema: &Schema) {
        let message = schema.message(self.message).unwrap();
        let (mut wire, mut json, mut words) = (Vec::new(), Vec::new(), String::new());
        let deepest = self.text(DEPTH_MAX);
        to_wire(
            message,
            deepest.as_bytes(),
            &mut to_wire::Scratch::default(),
            &mut wire,
        )
        .unwrap_or_else(|error| panic!("{error}: {deepest}"));
        // A message of another shape may nest deeper on the wire than in JSON; then it is refused, as deep as it is.
        let back = to_json(message, &wire, &mut to_json::Scratch::default(), &mut json);
        assert!(
            back.is_ok() || back.is_err_and(|error| error.kind == ErrorKind::WireTooDeep),
            "{deepest}"
        );

        let deeper = self.text(DEPTH_MAX + 2);
        let error = to_wire(
            message,
            deeper.as_bytes(),
            &mut to_wire::Scratch::default(),
            &mut wire,
        )
        .unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooDeep, "{deeper}");
        error.write_text(
            &Context {
                body: deeper.as_bytes(),
                ..Context::default()
            },
            &mut words,
        );
        assert!(words.contains("nested deeper than 100 levels"), "{words}");

        let mut pieces = to_wire::Scratch::default();
        let mut pieces = to_wire::Pieces::new(message, &mut pieces);
        wire.clear();
        for piece in deepest.as_bytes().chunks(7) {
            pieces.push(piece, &mut wire).unwrap();
        }
        pieces.finish(&mut wire).unwrap();
    }
}

/// A message in field 3 of a message, to this depth; the innermost is told to be followed by a field that comes too late.
fn nested_wire(levels: u32, late: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 1..levels {
        let mut outer = vec![3 << 3 | 2];
        prost::encode_length_delimiter(wire.len(), &mut outer).unwrap();
        outer.append(&mut wire);
        if late {
            // Field 1 behind field 3: the message is listed and sorted.
            outer.extend_from_slice(b"\x0a\x01x");
        }
        wire = outer;
    }
    wire
}

fn convert_wire(schema: &Schema) {
    let message = schema.message("transom.test.v1.Nested").unwrap();
    for late in [false, true] {
        let mut json = Vec::new();
        let mut scratch = to_json::Scratch::default();
        to_json(
            message,
            &nested_wire(DEPTH_MAX, late),
            &mut scratch,
            &mut json,
        )
        .unwrap();
        let error = to_json(
            message,
            &nested_wire(DEPTH_MAX + 1, late),
            &mut scratch,
            &mut json,
        );
        assert_eq!(error.unwrap_err().kind, ErrorKind::WireTooDeep);
    }
    // Groups of a field that nobody knows.
    let groups = |count: usize| [b"\x9b\x06".repeat(count), b"\x9c\x06".repeat(count)].concat();
    let mut scratch = to_json::Scratch::default();
    to_json(message, &groups(99), &mut scratch, &mut Vec::new()).unwrap();
    to_json(message, &groups(5000), &mut scratch, &mut Vec::new()).unwrap_err();
}

#[test]
fn full_depth_fits_the_stack_that_is_stated() {
    let schema = support::schema(Options::default());
    thread::scope(|scope| {
        for shape in &SHAPES {
            let thread = thread::Builder::new().stack_size(STACK_LEN);
            let run = thread
                .spawn_scoped(scope, || shape.convert(&schema))
                .unwrap();
            run.join().unwrap();
        }
        let thread = thread::Builder::new().stack_size(STACK_LEN);
        thread
            .spawn_scoped(scope, || convert_wire(&schema))
            .unwrap()
            .join()
            .unwrap();
    });
}
