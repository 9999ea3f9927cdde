//! Counts the allocations of finding a route once the scratch is warm: none, whatever the path.
#![expect(
    unsafe_code,
    reason = "allocations can only be counted by being the allocator"
)]

#[path = "support/texts.rs"]
mod texts;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use transom_engine::Schema;
use transom_engine::route::Scratch;

/// Passes on to the system and counts what the current thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TEXT: &str = r#"syntax = "proto3"; package test;
    import "google/api/annotations.proto";
    message Request { string name = 1; string other = 2; }
    service Service {
      rpc One(Request) returns (Request) { option (google.api.http) = { get: "/v1/{name=shelves/*}/books/{other}" }; }
      rpc Two(Request) returns (Request) { option (google.api.http) = { post: "/v1/{name=**}/raw:sort" }; }
    }"#;

#[test]
fn finding_a_route_does_not_allocate() {
    let set = texts::compile(&[("test.proto", TEXT)], true);
    let schema = Schema::from_descriptor_set(&set).unwrap();
    let long = format!("/v1{}", "/%61%zz".repeat(1000));
    let requests: [(&[u8], &str, bool); 6] = [
        (b"GET", "/v1/shelves/a%2Fb/books/c", true),
        (b"GET", "/v1/%73helves/1/book%73/2", true),
        (b"POST", "/v1/a/b/c/r%61w:sort", true),
        (b"GET", "/v1/a/b/c/raw:sort", false),
        (b"GET", "/nowhere", false),
        (b"GET", &long, false),
    ];
    let mut scratch = Scratch::default();
    let mut find_all = || {
        for (http_method, path, is_found) in requests {
            let found = schema.find_route(http_method, path.as_bytes(), &mut scratch);
            assert_eq!(found.is_ok(), is_found, "{path}");
        }
    };
    find_all();
    let before = COUNT.get();
    find_all();
    assert_eq!(COUNT.get() - before, 0);
}
