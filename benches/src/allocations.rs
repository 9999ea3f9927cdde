//! Counts requests for memory. In: a job. Out: how many requests it made, and for how many bytes.
//! Always: while nobody counts, all that is added to a request is a look at a flag, so that the same program can time.
#![expect(unsafe_code, reason = "an allocator cannot be replaced without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::Contender;

/// Passes on to the system's allocator, and counts if it is asked to. For a `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct CountingAllocator;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static REQUEST_COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTE_COUNT: AtomicUsize = AtomicUsize::new(0);

fn note(size: usize) {
    if IS_COUNTING.load(Relaxed) {
        REQUEST_COUNT.fetch_add(1, Relaxed);
        BYTE_COUNT.fetch_add(size, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What one operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// New blocks, and blocks that grew.
    pub request_count: usize,
    /// The sizes that were asked for, added up; of a block that grew, its new size.
    pub byte_count: usize,
}

/// Counts one operation, after three that let buffers grow. Zero always, unless [`CountingAllocator`] is the global allocator.
pub fn count_allocations(contender: &mut Contender<'_>) -> Allocations {
    contender.run(3);
    REQUEST_COUNT.store(0, Relaxed);
    BYTE_COUNT.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
    contender.run(1);
    IS_COUNTING.store(false, Relaxed);
    Allocations {
        request_count: REQUEST_COUNT.load(Relaxed),
        byte_count: BYTE_COUNT.load(Relaxed),
    }
}
