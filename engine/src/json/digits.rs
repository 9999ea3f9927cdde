//! Numbers as decimal digits, without a loop. In: numbers. Out: bytes of a fixed size, and how many of them count.
//! Always: floats only where this is exactly the shortest form; the general algorithm has the rest.

/// Three digits: a number below 1000.
#[derive(Clone, Copy)]
pub(super) struct Group(u32);

impl Group {
    /// The last three digits of a number.
    #[inline(always)]
    pub(super) fn of(value: u32) -> Self {
        Self(GROUPS.get((value % 1000) as usize).copied().unwrap_or(0))
    }

    /// All three digits, and a byte that has no meaning.
    #[inline(always)]
    pub(super) const fn text(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// The digits without leading zeros, but for the last, and how many they are.
    #[inline(always)]
    pub(super) const fn first(self) -> ([u8; 4], usize) {
        // Eight for each leading zero.
        let shift = self.0 >> 24 & 0x18;
        let text = self.0 >> shift;
        (text.to_le_bytes(), 3 - (shift / 8) as usize)
    }

    /// How many digits there are without trailing zeros.
    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        (self.0 >> 24 & 3) as usize
    }
}

/// By number: the digits, the first of them lowest, and in the highest byte what [`Group`] says of them.
static GROUPS: [u32; 1000] = {
    let mut groups = [0; 1000];
    let mut value = 0;
    while value < 1000 {
        let digits = [value / 100, value / 10 % 10, value % 10];
        let leading_zero_count = if value < 10 {
            2
        } else if value < 100 {
            1
        } else {
            0
        };
        let len = match digits {
            [0, 0, 0] => 0,
            [_, 0, 0] => 1,
            [_, _, 0] => 2,
            _ => 3,
        };
        let [a, b, c] = digits;
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            groups[value as usize] =
                ASCII_ZEROS | a | b << 8 | c << 16 | (leading_zero_count * 8 + len) << 24;
        }
        value += 1;
    }
    groups
};

const ASCII_ZEROS: u32 = 0x30_3030;

/// How many millionths `value` is without its sign, if that number of at most 15 digits is what is to be written.
///
/// A quotient is rounded to the nearest double, so the decimal number reads back as `value` if the quotient is equal to it. No two
/// decimal numbers of 15 digits read as the same double, so that there is no other one as short or shorter.
#[inline(always)]
#[expect(clippy::float_cmp, reason = "being the same is what is asked")]
pub(super) fn millionths(value: f64) -> Option<u64> {
    const MILLION: f64 = 1e6;
    let magnitude = value.abs();
    let (count, rounded) = to_integer(magnitude * MILLION);
    // Below a thousandth, more digits and an exponent may be due.
    let is_in_range = magnitude < 1e9 && (magnitude >= 1e-3 || magnitude == 0.0);
    (is_in_range && rounded / MILLION == magnitude).then_some(count)
}

/// As [`millionths`] for a float, of which six digits are unique, or all of them where the decimal number is the very value: below
/// 2^16 no shorter number is near enough to a count of eighths.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "rounding to a float, and being the same, is what is asked"
)]
pub(super) fn float_millionths(value: f32) -> Option<u64> {
    const THOUSAND: f64 = 1e3;
    let magnitude = f64::from(value.abs());
    let (count, rounded) = to_integer(magnitude * THOUSAND);
    let quotient = rounded / THOUSAND;
    let is_short = magnitude < 999.0 && (magnitude >= 1e-3 || magnitude == 0.0);
    let is_found = (is_short && quotient as f32 == value.abs())
        || (magnitude < 65_536.0 && quotient == magnitude);
    is_found.then_some(count.wrapping_mul(1000))
}

/// The integer nearest to a number of 0 to 2^52, as such and as a double. What any other number gives has no meaning.
#[inline(always)]
fn to_integer(value: f64) -> (u64, f64) {
    // Doubles from here to twice that are the integers.
    const FIRST: f64 = 4_503_599_627_370_496.0;
    let shifted = value + FIRST;
    (shifted.to_bits() & ((1 << 52) - 1), shifted - FIRST)
}
