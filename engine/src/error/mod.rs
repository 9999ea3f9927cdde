//! What can go wrong with one request, and the one table from kind to HTTP status and gRPC code.
//! In: a kind, a place and an offset, set where the fault is seen. Out: a small `Copy` value; its text is made at the edge.
//! Always: making an [`Error`] costs nothing; the words, and the path of the field, are found by a cold second look at the input.

mod text;

pub use text::Context;

use std::fmt;

use crate::grpc::Code;

/// One fault of one request or reply: what, where, and at which byte.
///
/// It is made without looking around or allocating. Who wants words and the path of the field calls [`Error::write_text`] with the bytes that
/// were converted; [`Display`](std::fmt::Display) does without them and says less. [`Error::http_status`] and [`Error::code`] are what a gateway answers.
///
/// # Examples
/// ```
/// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
/// use transom_engine::{Schema, error::{Context, ErrorKind, Expected, Place}, to_wire};
///
/// let schema = Schema::from_descriptor_set(&descriptors)?;
/// let note = schema.message("hello.v1.Note").ok_or("no such message")?;
/// let body = br#"{"readers":[{"id":"7"},{"id":true}]}"#;
/// let error = to_wire(note, body, &mut to_wire::Scratch::default(), &mut Vec::new()).unwrap_err();
/// assert_eq!((error.kind, error.place, error.offset), (ErrorKind::Expected(Expected::String), Place::Body, 29));
/// assert_eq!((error.http_status(), error.code().number()), (400, 3));
/// assert_eq!(error.to_string(), "body: expected a string at byte 29");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Which part of the exchange it is in.
    pub place: Place,
    /// Byte offset from the start of that part.
    pub offset: u32,
}

/// The part of an exchange an [`Error`] points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The request as a whole; the offset has no meaning.
    Request,
    /// The request body, as JSON text.
    Body,
    /// The value with this number, from 1, in the body of a client stream; the offset is that in the value.
    Message(u32),
    /// The variable of the path with this index in the route.
    Path(u16),
    /// The query; the offset is that of the parameter in the request target.
    Query,
    /// The request body, as a form; the offset is that of the parameter in it.
    Form,
    /// The header with this index in the request head; the offset has no meaning.
    Header(u16),
    /// The bytes of the reply message.
    Reply,
}

/// What is wrong, sorted by who can mend it: the client's JSON, its values, its path and query, its HTTP; then the upstream's reply. More kinds may
/// come. `Debug` gives the name, [`Error::write_text`] the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each kind is described by the text it becomes, in `Error::write_text`"
)]
pub enum ErrorKind {
    // The client: JSON that is no JSON.
    UnexpectedEnd,
    ExpectedValue,
    ExpectedKey,
    ExpectedColon,
    ExpectedCommaOrClose,
    TrailingData,
    InvalidNumber,
    InvalidEscape,
    LoneSurrogate,
    ControlCharacter,
    InvalidUtf8,
    ByteOrderMark,
    TooDeep,
    // The client: JSON, or a path or query value, that does not fit the field.
    Expected(Expected),
    OutOfRange(Expected),
    NotAnInteger,
    UnknownEnumName,
    UnknownEnumNumber,
    UnknownField,
    DuplicateField,
    DuplicateKey,
    OneofConflict,
    NullElement,
    AnyTypeMissing,
    AnyTypeUrl,
    AnyTypeUnknown,
    AnyValueMissing,
    // The client: path and query.
    BadPercentEscape,
    GivenTwice,
    NotBindable,
    ListNotBindable,
    MapNotBindable,
    StepIntoScalar,
    TooManyParameters,
    TooManySteps,
    UnknownParameter,
    // The client: HTTP.
    MalformedHead,
    HeadTooLarge,
    TooManyHeaders,
    TargetTooLong,
    UnsupportedVersion,
    BadHost,
    BadContentLength,
    BadTransferEncoding,
    BadChunk,
    BodyTooLarge,
    StreamTooLong,
    StreamCount,
    UnsupportedCharset,
    UnsupportedContentEncoding,
    BadContentCoding,
    UnsupportedContentType,
    BodyUnwanted,
    UnsupportedExpectation,
    BadTimeout,
    BadSeconds,
    BadMillis,
    BadMetadata,
    NotFound,
    MethodNotAllowed,
    MethodNotImplemented,
    RequestTimeout,
    UnsupportedWebSocketVersion,
    BadWebSocketKey,
    ForeignOrigin,
    // The upstream: a reply that is no valid message.
    WireTruncated,
    WireVarint,
    WireTag,
    WireGroup,
    WireTooDeep,
    WireUtf8,
    WireOrder,
    WireUnprintable(Expected),
    ReplyFrame,
    ReplyTooLarge,
    ReplyCompressed,
    ReplyCount,
    ReplyStreamTooLong,
    ReplyStreamCount,
}

/// What a place wanted, for the words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is described by the text it becomes, in `Error::write_text`"
)]
pub enum Expected {
    Object,
    Array,
    String,
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float,
    Double,
    Base64,
    EnumValue,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    Any,
    Null,
}

impl Error {
    /// An error at a byte of the JSON body.
    #[cold]
    pub const fn body(kind: ErrorKind, offset: usize) -> Self {
        Self::at(kind, Place::Body, offset)
    }

    /// An error at a byte of the reply message.
    #[cold]
    pub const fn reply(kind: ErrorKind, offset: usize) -> Self {
        Self::at(kind, Place::Reply, offset)
    }

    /// An error of the request as a whole.
    #[cold]
    pub const fn request(kind: ErrorKind) -> Self {
        Self::at(kind, Place::Request, 0)
    }

    /// An error at a byte of `place`.
    #[cold]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets are bounded by the limits on bodies and targets, below 4 GiB"
    )]
    pub const fn at(kind: ErrorKind, place: Place, offset: usize) -> Self {
        Self {
            kind,
            place,
            offset: offset as u32,
        }
    }

    /// The same error in a text of which that one is a part, `base` bytes behind the start.
    #[cold]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets are bounded by the limits on bodies and messages, below 4 GiB"
    )]
    pub(crate) const fn moved_by(self, base: usize) -> Self {
        Self {
            offset: self.offset.wrapping_add(base as u32),
            ..self
        }
    }

    /// What [`Self::moved_by`] undoes.
    #[cold]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets are bounded by the limits on bodies and messages, below 4 GiB"
    )]
    pub(crate) const fn moved_back_by(self, base: usize) -> Self {
        Self {
            offset: self.offset.wrapping_sub(base as u32),
            ..self
        }
    }

    /// The HTTP status this error is answered with (SEMANTICS 115).
    pub const fn http_status(self) -> u16 {
        self.kind.status().0
    }

    /// The gRPC code in the error body (SEMANTICS 114).
    pub const fn code(self) -> Code {
        self.kind.status().1
    }
}

/// The words without the bytes they are about; [`Error::write_text`] says more.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_text(&Context::default(), &mut text);
        formatter.write_str(&text)
    }
}

impl std::error::Error for Error {}

impl ErrorKind {
    /// The one table from kind to HTTP status and gRPC code (SEMANTICS 115, THREATS of docs/OPERATIONS).
    const fn status(self) -> (u16, Code) {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders => (431, Code::InvalidArgument),
            Self::RequestTimeout => (408, Code::DeadlineExceeded),
            Self::TargetTooLong => (414, Code::InvalidArgument),
            Self::UnsupportedVersion => (505, Code::Unimplemented),
            Self::BodyTooLarge => (413, Code::ResourceExhausted),
            Self::StreamTooLong
            | Self::StreamCount
            | Self::ReplyStreamTooLong
            | Self::ReplyStreamCount => (429, Code::ResourceExhausted),
            Self::UnsupportedCharset
            | Self::UnsupportedContentEncoding
            | Self::UnsupportedContentType => (415, Code::InvalidArgument),
            Self::UnsupportedExpectation => (417, Code::InvalidArgument),
            Self::UnsupportedWebSocketVersion => (426, Code::InvalidArgument),
            Self::ForeignOrigin => (403, Code::PermissionDenied),
            Self::NotFound => (404, Code::NotFound),
            Self::MethodNotAllowed => (405, Code::Unimplemented),
            Self::MethodNotImplemented => (501, Code::Unimplemented),
            // SEMANTICS 73: a reply above the limit is never cut.
            Self::ReplyTooLarge => (500, Code::ResourceExhausted),
            Self::WireTruncated
            | Self::WireVarint
            | Self::WireTag
            | Self::WireGroup
            | Self::WireTooDeep
            | Self::WireUtf8
            | Self::WireOrder
            | Self::WireUnprintable(_)
            | Self::ReplyFrame
            | Self::ReplyCompressed
            | Self::ReplyCount => (500, Code::Internal),
            _ => (400, Code::InvalidArgument),
        }
    }
}
