//! Memory between two pages that must not be touched. In: bytes. Out: the same bytes, ending where a forbidden page begins, or beginning where one
//! ends. Always: whoever reads or writes a byte beyond them is killed by the kernel, so that the test cannot pass.
//!
//! ```text
//! │ forbidden │ bytes..          │ forbidden │      at_start
//! │ forbidden │          ..bytes │ forbidden │      at_end
//! ```
#![expect(
    unsafe_code,
    reason = "pages are mapped and forbidden by system calls on raw addresses"
)]

use std::{ptr, slice};

/// A page of memory between two forbidden ones.
pub(crate) struct Guarded {
    /// Where the first forbidden page begins. Three pages from there on are mapped, and are this value's alone.
    start: *mut u8,
    page_len: usize,
}

impl Guarded {
    /// Maps the pages.
    pub(crate) fn new() -> Self {
        // SAFETY: `sysconf` only looks up a number.
        let page_len = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
            .expect("a page has a length");
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                3 * page_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "no memory");
        let start = start.cast::<u8>();
        for page in [0, 2] {
            // SAFETY: the first and third page of the mapping above, of which nothing has been lent yet.
            let forbidden = unsafe {
                libc::mprotect(start.add(page * page_len).cast(), page_len, libc::PROT_NONE)
            };
            assert_eq!(forbidden, 0, "the page cannot be forbidden");
        }
        Self { start, page_len }
    }

    /// The same bytes, with a forbidden page right behind them.
    pub(crate) fn at_end(&mut self, bytes: &[u8]) -> &[u8] {
        self.place(self.page_len.checked_sub(bytes.len()), bytes)
    }

    /// The same bytes, with a forbidden page right before them.
    pub(crate) fn at_start(&mut self, bytes: &[u8]) -> &[u8] {
        self.place(Some(0), bytes)
    }

    fn place(&mut self, offset: Option<usize>, bytes: &[u8]) -> &[u8] {
        // SAFETY: the second page is readable and writable, was set to zero when it was mapped, and belongs to `self`, which is
        // borrowed as long as the slice lives.
        let page =
            unsafe { slice::from_raw_parts_mut(self.start.add(self.page_len), self.page_len) };
        let place = offset.and_then(|offset| page.get_mut(offset..)?.get_mut(..bytes.len()));
        let place = place.expect("the bytes fit a page");
        place.copy_from_slice(bytes);
        place
    }

    /// Whether the kernel, asked to read the byte before and the one behind the page, refuses both, and reads the page's own.
    pub(crate) fn is_guarded(&self) -> bool {
        let mut ends = [0; 2];
        // SAFETY: `pipe` writes two numbers, for which there is room.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "no pipe");
        // The kernel answers a bad address with an error, where a read of our own would end the process.
        let reads = |offset: usize| {
            // SAFETY: the address lies within the mapping; the kernel checks whether it may be read.
            unsafe { libc::write(ends[1], self.start.add(offset).cast(), 1) == 1 }
        };
        let page = self.page_len;
        let read = [page - 1, page, 2 * page - 1, 2 * page].map(reads);
        for end in ends {
            // SAFETY: the pipe's ends were opened above and are closed once.
            unsafe { libc::close(end) };
        }
        read == [false, true, true, false]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.cast(), 3 * self.page_len) };
    }
}
