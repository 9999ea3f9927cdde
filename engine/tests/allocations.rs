//! Nothing allocates in the steady state: once buffers and scratch have grown, a request is converted without asking for memory.
//! Method: an allocator that counts, for each thread by itself; each conversion is run to warm up, then counted.
#![expect(unsafe_code, reason = "an allocator cannot be replaced without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;

use prost::Message as _;
use transom_engine::{Schema, to_wire};

struct Counting;

thread_local! {
    /// Requests for memory that this thread has made. Const, so that looking at it asks for none.
    static REQUEST_COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_request() {
    REQUEST_COUNT.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_request();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_request();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `act` twice to let buffers grow, then tells how often it asked for memory the third time.
fn count_in_steady_state(mut act: impl FnMut()) -> usize {
    act();
    act();
    let before = REQUEST_COUNT.get();
    act();
    REQUEST_COUNT.get() - before
}

fn schema() -> Schema {
    let descriptors = protox::compile(["kinds.proto", "proto2.proto"], ["../protos/test"])
        .expect("the test schemas compile")
        .encode_to_vec();
    Schema::from_descriptor_set(&descriptors).expect("the schema compiles")
}

/// JSON of every kind, by the message it fits.
fn texts() -> Vec<(&'static str, String)> {
    let mut large_map = "{\"byString\":{".to_owned();
    for index in 0..5_000 {
        let comma = if index == 0 { "" } else { "," };
        // Not in the order of the keys.
        write!(
            large_map,
            "{comma}\"key {}\":\"value\"",
            index * 7919 % 5_000
        )
        .expect("a string takes all");
    }
    large_map.push_str("}}");
    let deep = "{\"child\":".repeat(90) + "{\"name\":\"x\\n\"}" + &"}".repeat(90);
    let escaped = format!(
        "{{\"fString\":\"{}\",\"f\\u0049nt32\":\"\\u0031\"}}",
        "\\u00e9\\n".repeat(1_000)
    );
    let fields = [
        "Everything",
        r#"{"scalars":{"fDouble":1.5,"fFloat":"NaN","fInt32":1e2,"fInt64":"-9223372036854775808","fUint64":18446744073709551615,"fBytes":"AQID","fColor":"COLOR_BLUE","fLevel":10},
            "lists":{"fInt32":[1,2,3],"fString":["a","b"],"fNested":[{"name":"a"},{"children":[{},{}]}]},
            "choice":{"oneNested":{"inner":{"mode":"MODE_ON","tags":["x","y"]}},"otherString":""},
            "wellKnown":{"timestamp":"2026-11-22T13:14:05.25Z","duration":"-1.5s","fieldMask":"a.bC,d","struct":{"a":[1,null,{"b":"c"}]},"value":[[[]]],"int64Value":"1","bytesValue":"","empty":{}},
            "unknown":{"deep":[{"a":"\u00e9"}]}}"#,
    ];
    vec![
        (fields[0], fields[1].to_owned()),
        ("Maps", large_map),
        ("Nested", deep),
        ("Scalars", escaped),
        ("Scalars", "{}".to_owned()),
    ]
}

#[test]
fn to_wire_does_not_allocate() {
    let schema = schema();
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::new();
    for (name, text) in texts() {
        let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
        let count = count_in_steady_state(|| {
            out.clear();
            to_wire(message, text.as_bytes(), &mut scratch, &mut out)
                .expect("the text fits the message");
        });
        assert_eq!(count, 0, "{name}: {text:.80}");
    }
}

#[test]
fn to_wire_does_not_allocate_for_what_it_refuses() {
    let schema = schema();
    let mut scratch = to_wire::Scratch::default();
    let mut out = Vec::new();
    for (name, text) in texts() {
        let message = schema.message(&format!("transom.test.v1.{name}")).unwrap();
        let cut = text
            .as_bytes()
            .split_last()
            .map_or(&b""[..], |(_, cut)| cut);
        let count = count_in_steady_state(|| {
            out.clear();
            assert!(to_wire(message, cut, &mut scratch, &mut out).is_err());
        });
        assert_eq!(count, 0, "{name}: {text:.80}");
    }
}

#[test]
fn the_count_counts() {
    let mut kept = Vec::new();
    let count = count_in_steady_state(|| kept.push(Box::new(1)));
    assert!(count > 0, "an allocation has gone unseen");
}
