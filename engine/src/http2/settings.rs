//! Settings of both sides. In: what the caller wants, and SETTINGS of the peer. Out: the frames that open a connection, and checked values.
//! Always: what is announced is what HTTP/2 allows.

use super::fault::Fault;
use super::frame::{self, Kind, WINDOW_LEN_MAX};
use crate::limits::HTTP2_TABLE_LEN_MAX;

/// What a client of HTTP/2 begins its connection with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The window of a connection and of its streams before anyone said otherwise.
pub(super) const WINDOW_LEN_DEFAULT: u32 = 65_535;

/// The longest frame that may be sent before the peer allows more.
pub(super) const FRAME_LEN_DEFAULT: u32 = 16_384;

const FRAME_LEN_MAX: u32 = (1 << 24) - 1;

/// The table of HPACK before anyone said otherwise.
const TABLE_LEN_DEFAULT: u32 = 4_096;

/// What is not announced is the default.
const _: () = assert!(HTTP2_TABLE_LEN_MAX == TABLE_LEN_DEFAULT as usize);

/// What a connection announces, and how many streams it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of one stream that the peer may send ahead of [`release`](super::Connection::release). At most 2^31 - 1.
    pub stream_window_len: u32,
    /// The same of all streams together. At least 65,535, at most 2^31 - 1.
    pub connection_window_len: u32,
    /// Bytes of the longest frame that is accepted, from 16,384 to 2^24 - 1. Only DATA may be longer than 64 KiB.
    pub frame_len_max: u32,
    /// Bytes of the headers of one response, with 32 more for each (RFC 9113 section 6.5.2).
    pub header_list_len_max: u32,
    /// Streams that are open at once, even if the peer allows more.
    pub stream_count_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream_window_len: WINDOW_LEN_DEFAULT,
            connection_window_len: 1024 * 1024,
            frame_len_max: FRAME_LEN_DEFAULT,
            header_list_len_max: 32 * 1024,
            stream_count_max: 1024,
        }
    }
}

impl Settings {
    /// The nearest that HTTP/2 allows.
    pub(super) fn within_bounds(self) -> Self {
        Self {
            stream_window_len: self.stream_window_len.min(WINDOW_LEN_MAX),
            connection_window_len: self
                .connection_window_len
                .clamp(WINDOW_LEN_DEFAULT, WINDOW_LEN_MAX),
            frame_len_max: self.frame_len_max.clamp(FRAME_LEN_DEFAULT, FRAME_LEN_MAX),
            ..self
        }
    }

    /// Writes what a connection begins with. The table of HPACK is what the RFC begins with, so that there is no time before it is acknowledged.
    pub(super) fn write_opening(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        let settings = [
            (Name::EnablePush, 0),
            (Name::InitialWindowSize, self.stream_window_len),
            (Name::MaxFrameSize, self.frame_len_max),
            (Name::MaxHeaderListSize, self.header_list_len_max),
        ];
        frame::write_head(out, settings.len() * 6, Kind::SETTINGS, 0, 0);
        for (name, value) in settings {
            out.extend_from_slice(&(name as u16).to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        let more = self.connection_window_len - WINDOW_LEN_DEFAULT;
        if more > 0 {
            frame::write_window_update(out, 0, more);
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    EnablePush = 2,
    InitialWindowSize = 4,
    MaxFrameSize = 5,
    MaxHeaderListSize = 6,
}

/// What the peer has announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerSettings {
    pub(super) stream_count_max: u32,
    pub(super) stream_window_len: u32,
    pub(super) frame_len_max: u32,
    pub(super) header_list_len_max: u32,
    /// Whether the next header block must begin by saying that our table is empty (RFC 7541 section 4.2).
    pub(super) wants_table_len: bool,
}

impl PeerSettings {
    pub(super) const fn new() -> Self {
        Self {
            stream_count_max: u32::MAX,
            stream_window_len: WINDOW_LEN_DEFAULT,
            frame_len_max: FRAME_LEN_DEFAULT,
            header_list_len_max: u32::MAX,
            wants_table_len: false,
        }
    }

    /// Takes the payload of a SETTINGS frame, whose length is a multiple of six.
    pub(super) fn apply(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let (settings, _) = payload.as_chunks::<6>();
        for &[name_high, name_low, a, b, c, d] in settings {
            let value = u32::from_be_bytes([a, b, c, d]);
            match u16::from_be_bytes([name_high, name_low]) {
                1 => self.wants_table_len |= value < TABLE_LEN_DEFAULT,
                // RFC 9113 section 6.5.2: a server must not allow pushes to itself.
                2 if value != 0 => return Err(Fault::Setting),
                3 => self.stream_count_max = value,
                4 if value > WINDOW_LEN_MAX => return Err(Fault::WindowSetting),
                4 => self.stream_window_len = value,
                5 if !(FRAME_LEN_DEFAULT..=FRAME_LEN_MAX).contains(&value) => {
                    return Err(Fault::Setting);
                }
                5 => self.frame_len_max = value,
                6 => self.header_list_len_max = value,
                // Section 6.5.2: what is not known is ignored.
                _ => {}
            }
        }
        Ok(())
    }
}
