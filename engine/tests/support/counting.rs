//! An allocator that counts, for each thread by itself. In: nothing. Out: how often memory was asked for, and how much there was at most.
//! Always: every call goes to the system's allocator as it came.
#![expect(unsafe_code, reason = "an allocator cannot be replaced without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// To be the `#[global_allocator]` of a test.
pub(crate) struct Counting;

// Const, so that looking at them asks for no memory.
thread_local! {
    static REQUEST_COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are held; what another thread has allocated and this one frees makes it less than zero.
    static HELD_LEN: Cell<isize> = const { Cell::new(0) };
    static HELD_LEN_MAX: Cell<isize> = const { Cell::new(0) };
}

/// How often this thread has asked for memory.
pub(crate) fn request_count() -> usize {
    REQUEST_COUNT.get()
}

/// Bytes that this thread holds.
pub(crate) fn held_len() -> isize {
    HELD_LEN.get()
}

/// Runs `act` and tells how many bytes more than before it has held at most.
pub(crate) fn peak_len(act: impl FnOnce()) -> usize {
    let before = HELD_LEN.get();
    HELD_LEN_MAX.set(before);
    act();
    usize::try_from(HELD_LEN_MAX.get() - before).unwrap_or_default()
}

fn count(freed: usize, allocated: usize) {
    let held = HELD_LEN.get() + allocated.cast_signed() - freed.cast_signed();
    HELD_LEN.set(held);
    HELD_LEN_MAX.set(HELD_LEN_MAX.get().max(held));
    if allocated > 0 {
        REQUEST_COUNT.set(REQUEST_COUNT.get() + 1);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.dealloc(at, layout) }
    }
}
