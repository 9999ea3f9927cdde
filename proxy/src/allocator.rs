//! mimalloc, counting. In: every allocation of the process. Out: how many the current thread has made.
//! Always: the count is per thread, so that workers share nothing.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; each function only forwards to mimalloc"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;

/// The allocator of the `transom` binary: mimalloc, with a count of allocations for `transom bench`.
#[derive(Debug)]
pub struct CountingAllocator;

/// The longest that the allocator does not refuse unseen: more than a process can address.
const ENORMOUS_LEN: usize = isize::MAX as usize / 2;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations of this thread so far; zero for ever where [`CountingAllocator`] is not the global allocator.
pub fn allocation_count() -> u64 {
    COUNT.get()
}

/// Gives memory that is free in the whole process, and that this thread has of its own, back to the kernel. It takes milliseconds where there is much.
///
/// mimalloc does so at once only when it has been asked for more than there is: so it is, for what no machine has.
pub fn give_back_free_memory() {
    let refused = Vec::<u8>::new().try_reserve_exact(ENORMOUS_LEN);
    debug_assert!(refused.is_err(), "there is no such memory");
}

fn count() {
    // A thread that is ending has no counter any more; its last allocations are nobody's.
    let _counted = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged to mimalloc, which upholds the contract; counting does not allocate, because the
// counter is constant-initialised and has no destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on; they came from `alloc` above, so from mimalloc.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as in `dealloc`, and the caller promises that `new_size` is valid.
        unsafe { MiMalloc.realloc(pointer, layout, new_size) }
    }
}
