//! What goes wrong on a connection. In: what was seen. Out: a kind, the code of HTTP/2 that answers it, and its words.
//! Always: small values without foreign bytes.

use std::fmt;

/// An error code of HTTP/2: RFC 9113 section 7. Codes that are not listed there pass as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// A rule was broken that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The fault of who sends the code.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More was sent than the window allows.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    /// A frame for a stream that is half closed.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a length that it cannot have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// The stream was refused before anything was done for it.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is no longer needed.
    pub const CANCEL: Self = Self(8);
    /// Headers that HPACK cannot read.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// A tunnel was lost.
    pub const CONNECT_ERROR: Self = Self(10);
    /// The peer asks for more than it should.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// The transport is not safe enough.
    pub const INADEQUATE_SECURITY: Self = Self(12);
    /// The peer wants HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(13);

    const NAMES: [&'static str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];

    fn name(self) -> Option<&'static str> {
        let index = usize::try_from(self.0).ok()?;
        Self::NAMES.get(index).copied()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "code {}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A rule that the peer broke. Whether that ends the connection or one stream is said by where it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first frame is not SETTINGS.
    NoSettings,
    /// A frame is longer than was allowed, or has a length that its type cannot have.
    FrameLength,
    /// A frame of a connection on a stream, or one of a stream on none.
    StreamZero,
    /// A frame for a stream that was never opened.
    IdleStream,
    /// Padding that is longer than its frame.
    Padding,
    /// A header block was not continued, or what continues none.
    Continuation,
    /// `PUSH_PROMISE`, which was not allowed.
    Push,
    /// A setting with a value it cannot have.
    Setting,
    /// `SETTINGS_INITIAL_WINDOW_SIZE` beyond what a window can be.
    WindowSetting,
    /// A window was raised by nothing.
    WindowUpdateOfZero,
    /// A window was raised beyond what it can be.
    WindowTooLarge,
    /// More was sent than the window allows.
    WindowExceeded,
    /// A GOAWAY with a higher last stream than the one before.
    GoAwayRaised,
    /// A header block that HPACK cannot read.
    Compression,
    /// A header block longer than is accepted, or in more frames.
    BlockTooLong,
    /// More to answer than is answered while the peer reads nothing.
    TooManyAnswers,
    /// Too many frames that move nothing.
    TooManyIdleFrames,
    /// A frame for a stream that the peer has ended.
    EndedStream,
    /// Headers that are longer together than is accepted.
    HeadersTooLong,
    /// Headers that no response can have: names, values, pseudo-headers, or those of a connection.
    Headers,
    /// DATA before headers, interim headers that end the stream, or trailers that do not.
    Order,
    /// A body that is not as long as its content-length says.
    ContentLength,
}

impl Fault {
    /// The code that the peer is told.
    pub const fn code(self) -> Code {
        match self {
            Self::FrameLength => Code::FRAME_SIZE_ERROR,
            Self::WindowSetting | Self::WindowTooLarge | Self::WindowExceeded => {
                Code::FLOW_CONTROL_ERROR
            }
            Self::Compression => Code::COMPRESSION_ERROR,
            Self::BlockTooLong
            | Self::TooManyAnswers
            | Self::TooManyIdleFrames
            | Self::HeadersTooLong => Code::ENHANCE_YOUR_CALM,
            Self::EndedStream => Code::STREAM_CLOSED,
            Self::NoSettings
            | Self::StreamZero
            | Self::IdleStream
            | Self::Padding
            | Self::Continuation
            | Self::Push
            | Self::Setting
            | Self::WindowUpdateOfZero
            | Self::GoAwayRaised
            | Self::Headers
            | Self::Order
            | Self::ContentLength => Code::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoSettings => "expected SETTINGS as the first frame",
            Self::FrameLength => "a frame has a length that it cannot have",
            Self::StreamZero => "a frame is on a stream where it cannot be",
            Self::IdleStream => "a frame is for a stream that was never opened",
            Self::Padding => "padding is longer than its frame",
            Self::Continuation => "a header block is not continued where it should be",
            Self::Push => "a push was promised, which was not allowed",
            Self::Setting => "a setting has a value that it cannot have",
            Self::WindowSetting => "the initial window is larger than a window can be",
            Self::WindowUpdateOfZero => "a window is raised by nothing",
            Self::WindowTooLarge => "a window is raised beyond what it can be",
            Self::WindowExceeded => "more was sent than the window allows",
            Self::GoAwayRaised => "the last stream of a GOAWAY is higher than before",
            Self::Compression => "a header block cannot be decompressed",
            Self::BlockTooLong => "a header block is too long or in too many frames",
            Self::TooManyAnswers => "too much is to be answered while nothing is read",
            Self::TooManyIdleFrames => "too many frames move nothing",
            Self::EndedStream => "a frame is for a stream that has ended",
            Self::HeadersTooLong => "the headers are too long",
            Self::Headers => "the headers are not those of a response",
            Self::Order => "headers and data are not in the order of a response",
            Self::ContentLength => "the body is not as long as its content-length says",
        })
    }
}

impl std::error::Error for Fault {}

/// Why a stream was not opened. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many streams are open as the peer or our own settings allow.
    NoStream,
    /// Too much waits to be written.
    OutputFull,
    /// The connection takes no more streams: a GOAWAY, a fault, or all numbers are used.
    Closed,
    /// A name or value that HTTP/2 does not allow.
    HeaderInvalid,
    /// The headers are longer together than the peer accepts.
    HeadersTooLong,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoStream => "no more streams may be open at once",
            Self::OutputFull => "too much waits to be written",
            Self::Closed => "the connection takes no more streams",
            Self::HeaderInvalid => "a header is not one that HTTP/2 allows",
            Self::HeadersTooLong => "the headers are longer than the peer accepts",
        })
    }
}

impl std::error::Error for Refusal {}
