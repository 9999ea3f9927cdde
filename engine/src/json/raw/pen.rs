//! Where the next byte of a text goes. In: bytes, numbers. Out: their text behind the pen, which moves on.
//! Always: the caller has made room. A pen is one register, so that a function that is not inlined takes it and gives it back.
#![expect(
    unsafe_code,
    reason = "a check of the capacity at each byte took a third of the time of to_json"
)]

use super::{SLOT_LEN, pieces};
use crate::json::{digits, write};

/// A place in an allocation. All bytes before it are initialized.
#[derive(Clone, Copy)]
#[must_use = "what is written behind it counts only for who goes on from there"]
pub(super) struct Pen {
    at: *mut u8,
    /// Where the allocation ends.
    #[cfg(debug_assertions)]
    end: *mut u8,
}

impl Pen {
    /// `at <= end`, in or at the end of one allocation.
    #[inline(always)]
    #[cfg_attr(
        not(debug_assertions),
        expect(unused_variables, reason = "asserted only")
    )]
    pub(super) fn new(at: *mut u8, end: *mut u8) -> Self {
        Self {
            at,
            #[cfg(debug_assertions)]
            end,
        }
    }

    #[inline(always)]
    pub(super) fn at(self) -> *mut u8 {
        self.at
    }

    /// Asserts the caller's promise.
    #[inline(always)]
    #[cfg_attr(
        not(debug_assertions),
        expect(unused_variables, reason = "asserted only")
    )]
    fn assert_room(self, len: usize) {
        #[cfg(debug_assertions)]
        assert!(self.end.addr() - self.at.addr() >= len, "no room for {len}");
    }

    /// Writes a few bytes and keeps the first `len` of them.
    ///
    /// # Safety
    /// There is room for `N` bytes, and `len <= N`.
    #[inline(always)]
    pub(super) unsafe fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        debug_assert!(len <= N);
        self.assert_room(N);
        // SAFETY: there is room for N bytes.
        unsafe { self.at.cast::<[u8; N]>().write_unaligned(*bytes) };
        // SAFETY: the bytes up to `len` have been written.
        self.at = unsafe { self.at.add(len) };
    }

    /// Writes the first `len` bytes in quotes, and a comma.
    ///
    /// # Safety
    /// There is room for `N + 3` bytes, and `len <= N`.
    #[inline(always)]
    pub(super) unsafe fn put_quoted<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        // SAFETY: the caller's room.
        unsafe {
            self.put(b"\"", 1);
            self.put(bytes, len);
            self.put(b"\",", 2);
        }
    }

    /// Goes back over bytes that were written.
    ///
    /// # Safety
    /// So many bytes of the allocation lie before the pen.
    #[inline(always)]
    pub(super) unsafe fn back(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        self.at = unsafe { self.at.sub(len) };
    }

    /// Writes at most 32 bytes. Pieces that overlap need no loop: the first is written whole, and the last over it where it belongs.
    ///
    /// # Safety
    /// There is room for 32 bytes.
    #[inline(always)]
    pub(super) unsafe fn put_short(&mut self, bytes: &[u8]) {
        let (bytes, _) = bytes.split_at(bytes.len().min(32));
        if let Some((first, last)) = pieces::<16>(bytes) {
            // SAFETY: the caller's room; both pieces end within `bytes`.
            unsafe { self.put(first, bytes.len() - 16) };
            // SAFETY: as before.
            unsafe { self.put(last, 16) };
        } else if let Some((first, last)) = pieces::<8>(bytes) {
            // SAFETY: as before.
            unsafe { self.put(first, bytes.len() - 8) };
            // SAFETY: as before.
            unsafe { self.put(last, 8) };
        } else if let Some((first, last)) = pieces::<4>(bytes) {
            // SAFETY: as before.
            unsafe { self.put(first, bytes.len() - 4) };
            // SAFETY: as before.
            unsafe { self.put(last, 4) };
        } else {
            for &byte in bytes {
                // SAFETY: as before.
                unsafe { self.put(&[byte], 1) };
            }
        }
    }

    /// Writes three digits.
    ///
    /// # Safety
    /// There is room for 4 bytes.
    #[inline(always)]
    unsafe fn put_group(&mut self, value: u32) {
        // SAFETY: the caller's room.
        unsafe { self.put(&digits::Group::of(value).text(), 3) };
    }

    /// Writes a number below 1000.
    ///
    /// # Safety
    /// There is room for 4 bytes.
    #[inline(always)]
    unsafe fn put_first(&mut self, value: u32) {
        let (text, len) = digits::Group::of(value).first();
        // SAFETY: the caller's room.
        unsafe { self.put(&text, len) };
    }

    /// Writes a number below a million.
    ///
    /// # Safety
    /// There is room for 7 bytes.
    #[inline(always)]
    unsafe fn put_first_groups(&mut self, value: u32) {
        let high = value / 1000;
        // SAFETY: two groups, of which the last takes a byte that is not kept.
        unsafe {
            if high != 0 {
                self.put_first(high);
                self.put_group(value);
            } else {
                self.put_first(value);
            }
        }
    }

    /// Writes a number.
    ///
    /// # Safety
    /// There is room for 16 bytes.
    #[inline(always)]
    pub(super) unsafe fn put_u32(&mut self, value: u32) {
        let millions = value / 1_000_000;
        // SAFETY: at most ten digits, and a byte that is not kept.
        unsafe {
            if millions == 0 {
                self.put_first_groups(value);
            } else {
                self.put_first_groups(millions);
                self.put_group(value / 1000);
                self.put_group(value);
            }
        }
    }

    /// Writes nine digits.
    ///
    /// # Safety
    /// There is room for 10 bytes.
    #[inline(always)]
    unsafe fn put_nine(&mut self, value: u32) {
        // SAFETY: three groups, of which the last takes a byte that is not kept.
        unsafe {
            self.put_group(value / 1_000_000);
            self.put_group(value / 1000);
            self.put_group(value);
        }
    }

    /// Writes a number.
    ///
    /// # Safety
    /// There is room for 24 bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "each part is below 10^9")]
    pub(super) unsafe fn put_u64(&mut self, value: u64) {
        const PART: u64 = 1_000_000_000;
        let (high, low) = (value / PART, value % PART);
        // SAFETY: at most twenty digits, and a byte that is not kept.
        unsafe {
            if high == 0 {
                self.put_u32(low as u32);
                return;
            }
            if high < PART {
                self.put_u32(high as u32);
            } else {
                self.put_first((high / PART) as u32);
                self.put_nine((high % PART) as u32);
            }
            self.put_nine(low as u32);
        }
    }

    /// Writes a number and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    pub(super) unsafe fn put_integer(&mut self, is_negative: bool, magnitude: u32) {
        // SAFETY: sign, number and comma take 18 bytes at most.
        unsafe {
            self.put(b"-", usize::from(is_negative));
            self.put_u32(magnitude);
            self.put(b",", 1);
        }
    }

    /// Writes a number, in quotes or not, and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    pub(super) unsafe fn put_wide_integer(
        &mut self,
        is_negative: bool,
        magnitude: u64,
        is_quoted: bool,
    ) {
        let quote_len = usize::from(is_quoted);
        let end = if is_quoted { *b"\"," } else { *b",\0" };
        // SAFETY: quotes, sign, number and comma take 28 bytes at most.
        unsafe {
            self.put(b"\"", quote_len);
            self.put(b"-", usize::from(is_negative));
            self.put_u64(magnitude);
            self.put(&end, 1 + quote_len);
        }
    }

    /// Writes a number of millionths, of which there are at most 10^15, without trailing zeros, and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both parts are 10^9 at most"
    )]
    unsafe fn put_millionths(&mut self, is_negative: bool, count: u64) {
        let (whole, millionths) = ((count / 1_000_000) as u32, (count % 1_000_000) as u32);
        // SAFETY: sign, number, point, fraction and comma take 27 bytes at most.
        unsafe {
            self.put(b"-", usize::from(is_negative));
            self.put_u32(whole);
            if millionths != 0 {
                self.put(b".", 1);
                let [high, low] = [millionths / 1000, millionths].map(digits::Group::of);
                if low.len() == 0 {
                    self.put(&high.text(), high.len());
                } else {
                    self.put(&high.text(), 3);
                    self.put(&low.text(), low.len());
                }
            }
            self.put(b",", 1);
        }
    }

    /// Writes a double, and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    pub(super) unsafe fn put_double(&mut self, value: f64) {
        match digits::millionths(value) {
            // SAFETY: the caller's room.
            Some(count) => unsafe { self.put_millionths(value.is_sign_negative(), count) },
            // SAFETY: as before.
            None => *self = unsafe { any_double(*self, value) },
        }
    }

    /// Writes a float, and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    pub(super) unsafe fn put_float(&mut self, value: f32) {
        match digits::float_millionths(value) {
            // SAFETY: the caller's room.
            Some(count) => unsafe { self.put_millionths(value.is_sign_negative(), count) },
            // SAFETY: as before.
            None => *self = unsafe { any_float(*self, value) },
        }
    }

    /// Writes the text of a number, of at most 24 bytes, and a comma.
    ///
    /// # Safety
    /// There is room for `SLOT_LEN` bytes.
    #[inline(always)]
    unsafe fn put_number(&mut self, number: &[u8]) {
        // `1.0` is `1` to a reader of JSON; `-0.0` too keeps its sign as `-0`.
        let zero_len = if number.ends_with(b".0") { 2 } else { 0 };
        // SAFETY: the caller's room; what is gone back over has just been written.
        unsafe {
            self.put_short(number);
            self.back(zero_len);
            self.put(b",", 1);
        }
    }
}

/// [`Pen::put_double`] apart, for who has other things in the registers.
///
/// # Safety
/// There is room for `SLOT_LEN` bytes.
#[inline(never)]
pub(super) unsafe fn double(mut pen: Pen, value: f64) -> Pen {
    // SAFETY: the caller's room.
    unsafe { pen.put_double(value) };
    pen
}

/// As [`double`] for a float.
///
/// # Safety
/// There is room for `SLOT_LEN` bytes.
#[inline(never)]
pub(super) unsafe fn float(mut pen: Pen, value: f32) -> Pen {
    // SAFETY: the caller's room.
    unsafe { pen.put_float(value) };
    pen
}

/// # Safety
/// There is room for `SLOT_LEN` bytes.
#[inline(never)]
unsafe fn any_double(mut pen: Pen, value: f64) -> Pen {
    let mut buffer = zmij::Buffer::new();
    let number = if value.is_finite() {
        buffer.format_finite(value).as_bytes()
    } else {
        write::not_finite(value)
    };
    // SAFETY: the caller's room.
    unsafe { pen.put_number(number) };
    pen
}

/// # Safety
/// There is room for `SLOT_LEN` bytes.
#[inline(never)]
unsafe fn any_float(mut pen: Pen, value: f32) -> Pen {
    let mut buffer = zmij::Buffer::new();
    let number = if value.is_finite() {
        buffer.format_finite(value).as_bytes()
    } else {
        write::not_finite(f64::from(value))
    };
    // SAFETY: the caller's room.
    unsafe { pen.put_number(number) };
    pen
}

const _: () = assert!(
    SLOT_LEN >= 32,
    "the longest value is a number of 24 bytes, written as a short text"
);
