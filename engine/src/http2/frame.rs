//! Frames as bytes. In: nine bytes of a head, or what a frame says. Out: the head as a value, or frames appended to a buffer.
//! Always: the reserved bit is ignored when read and zero when written.

use super::fault::Code;

/// Bytes in front of each frame.
pub(super) const HEAD_LEN: usize = 9;

/// The largest window there can be, and the highest number of a stream.
pub(super) const WINDOW_LEN_MAX: u32 = (1 << 31) - 1;

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const DATA: Self = Self(0);
    pub(super) const HEADERS: Self = Self(1);
    pub(super) const PRIORITY: Self = Self(2);
    pub(super) const RST_STREAM: Self = Self(3);
    pub(super) const SETTINGS: Self = Self(4);
    pub(super) const PUSH_PROMISE: Self = Self(5);
    pub(super) const PING: Self = Self(6);
    pub(super) const GOAWAY: Self = Self(7);
    pub(super) const WINDOW_UPDATE: Self = Self(8);
    pub(super) const CONTINUATION: Self = Self(9);
}

/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// Of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
/// Of DATA and HEADERS.
pub(super) const PADDED: u8 = 0x8;
/// Of HEADERS.
pub(super) const PRIORITY: u8 = 0x20;

/// What stands in front of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// Of the stream; zero for the connection.
    pub(super) number: u32,
}

impl Head {
    pub(super) const fn read(bytes: [u8; HEAD_LEN]) -> Self {
        let [len_high, len_middle, len_low, kind, flags, a, b, c, d] = bytes;
        Self {
            len: u32::from_be_bytes([0, len_high, len_middle, len_low]) as usize,
            kind: Kind(kind),
            flags,
            number: u32::from_be_bytes([a, b, c, d]) & WINDOW_LEN_MAX,
        }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Nine bytes. `len` is less than 2^24.
#[inline]
pub(super) const fn head(len: usize, kind: Kind, flags: u8, number: u32) -> [u8; HEAD_LEN] {
    debug_assert!(len < 1 << 24);
    let [.., len_high, len_middle, len_low] = len.to_be_bytes();
    let [a, b, c, d] = number.to_be_bytes();
    [len_high, len_middle, len_low, kind.0, flags, a, b, c, d]
}

#[inline]
pub(super) fn write_head(out: &mut Vec<u8>, len: usize, kind: Kind, flags: u8, number: u32) {
    out.extend_from_slice(&head(len, kind, flags, number));
}

pub(super) fn write_window_update(out: &mut Vec<u8>, number: u32, len: u32) {
    write_head(out, 4, Kind::WINDOW_UPDATE, 0, number);
    out.extend_from_slice(&len.to_be_bytes());
}

pub(super) fn write_reset(out: &mut Vec<u8>, number: u32, code: Code) {
    write_head(out, 4, Kind::RST_STREAM, 0, number);
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    write_head(out, 8, Kind::PING, flags, 0);
    out.extend_from_slice(&payload);
}

pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    write_head(out, 0, Kind::SETTINGS, ACK, 0);
}

/// The peer opens no streams, so the last of them that was looked at is none.
pub(super) fn write_go_away(out: &mut Vec<u8>, code: Code) {
    write_head(out, 8, Kind::GOAWAY, 0, 0);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&code.0.to_be_bytes());
}
