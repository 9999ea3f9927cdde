//! Goal: converting to JSON allocates nothing once scratch and output have grown. Method: a counting allocator around the second of
//! two equal conversions, for messages in order and out of it.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use support::notation;
use transom_engine::to_json::Scratch;
use transom_engine::{Options, to_json};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn second_conversion_allocates_nothing() {
    let entries: Vec<_> = (0..50)
        .map(|n| format!("12: {{1: '{}' 2: 'v'}}", n * 7 % 50))
        .collect();
    let entries = entries.join(" ");
    let maps = format!("5: {{{entries} {entries}}}");
    let cases = [
        (
            "in order",
            "1: {1: 1.5 2: 0.1i32 4: -4 14: 'text' 15: 'bytes' 16: 1} 3: {3: {1 2 3} 14: 'a' 14: 'b'} 6: {1: 'n'}",
        ),
        (
            "out of order",
            "6: {2: 5 1: 'n' 3: {2: 1 1: 'x'} 2: 6} 1: {3: 1} 6: {4: {}} 3: {3: 1 4: 2 3: 3}",
        ),
        ("oneofs", "7: {3: 5 9: {1: 'a'} 20: 'x' 9: {2: 1}}"),
        ("large maps with keys given twice", &maps),
        (
            "well-known types",
            "8: {1: {1: 5} 2: {1: 6} 3: {1: 'a_b'} 4: {1: {1: 'k' 2: {6: {1: {2: 1.5}}}}} 9: {1: 'x/transom.test.v1.Nested' 2: {2: 1 1: 'n'}} 13: {1: 5}}",
        ),
        ("a fault", "6: {1: 'n' 3: {1: '\\xff'}}"),
    ];
    let schema = support::schema(Options::default());
    let message = schema.message("transom.test.v1.Everything").unwrap();
    for (name, text) in cases {
        let wire = notation::wire(text);
        let mut scratch = Scratch::default();
        let mut out = Vec::new();
        let first = to_json(message, &wire, &mut scratch, &mut out);
        assert_eq!(first.is_err(), name == "a fault", "{name}");
        out.clear();
        let before = COUNT.with(Cell::get);
        let second = to_json(message, &wire, &mut scratch, &mut out);
        let count = COUNT.with(Cell::get) - before;
        assert_eq!(second, first);
        assert_eq!(count, 0, "{name}");
    }
}
