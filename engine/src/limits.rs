//! Every bound of the engine in one place, each with its unit, its default and the reason.
//! In: nothing. Out: constants. Always: a bound is checked before memory or time is spent on what it bounds.
//!
//! They are fixed, hard limits, but for [`BODY_LEN_MAX`], which is what holds if nothing else is said
//! ([`SizeLimits`](crate::exchange::SizeLimits)). A caller may keep lower ones of its own.
//!
//! ```
//! use transom_engine::limits;
//!
//! // A read buffer that holds any head that is accepted.
//! let buffer = Vec::<u8>::with_capacity(limits::HEAD_LEN_MAX);
//! # assert!(buffer.capacity() >= 32 * 1024);
//! ```

/// Levels of nesting a JSON text, a protobuf message or a type may have (SEMANTICS 96). The conformance suite wants 25 accepted
/// and 200 refused.
///
/// The converters recurse as deep as that, so it bounds their stack: a thread with 256 KiB does in a release build, one with 1 MiB in a
/// build without optimization (`tests/stack.rs` holds both). Threads of std have 2 MiB unless told otherwise.
pub const DEPTH_MAX: u32 = 100;

/// Bytes of a request head: request line and headers with their line ends (431).
pub const HEAD_LEN_MAX: usize = 32 * 1024;

/// Headers in one request head, and options that its Connection headers list (431).
pub const HEADER_COUNT_MAX: usize = 100;

/// Empty lines skipped before a request line (400). RFC 9112 section 2.2 wants one tolerated; more than a few are an attack.
pub const LEADING_LINE_COUNT_MAX: usize = 4;

/// Bytes of the request target (414, SEMANTICS 61).
pub const TARGET_LEN_MAX: usize = 8 * 1024;

/// Bytes of a request body, and of a reply message, unless another limit is set: the default limit of gRPC itself (413, SEMANTICS 73). Also bytes of
/// the paths of a field mask that is filled in (SEMANTICS 74), whatever is set.
pub const BODY_LEN_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a request body, and of a reply message, that a limit may be set to. What they become in the other notation fits 32 bits.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024 * 1024;

const _: () = assert!(BODY_LEN_MAX <= MESSAGE_LEN_MAX && MESSAGE_LEN_MAX <= JSON_LEN_MAX);

/// Bytes of a message, or of a message or packed list in one, that [`to_json::Pieces`](crate::to_json::Pieces) waits for as a whole before it
/// writes anything of it: what is whole may have its fields in any order.
pub const HELD_LEN_MAX: usize = 64 * 1024;

/// Bytes of one JSON text, whatever limit bodies have (413; 500 with code 8 for a reply). The wire form of a text that is read is less
/// than ten times as long, so that offsets into either fit 32 bits. A text that is written may be hundreds of times as long as its wire
/// form: two bytes are a message with all the fields it prints unset.
pub const JSON_LEN_MAX: usize = 256 * 1024 * 1024;

/// Bytes that chunk headers, extensions and trailers may add to a body before it is refused (400).
pub const CHUNK_OVERHEAD_LEN_MAX: usize = 16 * 1024;

/// Query parameters in one request, and parameters in a form that is its body (400, SEMANTICS 61).
pub const QUERY_PARAMETER_COUNT_MAX: usize = 256;

/// Dotted steps in one query key (400, SEMANTICS 61).
pub const QUERY_STEP_COUNT_MAX: usize = 32;

/// Bytes of an excerpt of foreign text inside an error message.
pub const EXCERPT_LEN_MAX: usize = 48;

/// Bytes of the path of a field inside an error message; of a longer one the end is kept.
pub const ERROR_PATH_LEN_MAX: usize = 256;

/// Bytes of `grpc-message` text that is passed on.
pub const STATUS_MESSAGE_LEN_MAX: usize = 8 * 1024;

/// Bytes of memory that one compiled pattern of origins may take (SEMANTICS 138); a larger one stops the start.
pub const CORS_PATTERN_LEN_MAX: usize = 1024 * 1024;

/// Bytes that wait to be written on a connection of HTTP/2, before no more data and no new streams are taken. Answers and resets still are,
/// and one request's headers may go beyond it.
pub const HTTP2_OUTPUT_LEN_MAX: usize = 128 * 1024;

/// Answers to PING and SETTINGS of a peer that wait to be written: a peer that asks and does not read is given up.
pub const HTTP2_ANSWER_COUNT_MAX: u32 = 1_000;

/// Frames of a peer in a row that move nothing: SETTINGS, windows, answers nobody asked for, empty data, interim headers, what comes late for streams that are gone, and what
/// is not known. Data and headers of streams that are open, and what is sent, begin the count anew. It is high, since much may be on its way
/// for calls that were cancelled; data of those count only beyond what their windows allowed.
pub const HTTP2_IDLE_FRAME_COUNT_MAX: u32 = 10_000;

/// Frames of one header block, however short: at 16 KiB each, far more than are accepted of headers.
pub const HTTP2_CONTINUATION_COUNT_MAX: u32 = 64;

/// The table of HPACK that a peer fills, in bytes as RFC 7541 section 4.1 counts them. It is what every connection begins with, so that nothing is announced.
/// The memory is some 9 KiB, for those connections whose peer uses it.
pub const HTTP2_TABLE_LEN_MAX: usize = 4_096;

/// How many times as long as is accepted the headers of a block may be together, and still be read to the end for the sake of the table.
pub const HTTP2_BLOCK_GROWTH_MAX: usize = 16;

/// Bytes of memory for header blocks and lists that are kept for the next ones.
pub const HTTP2_KEEP_LEN_MAX: usize = 16 * 1024;
