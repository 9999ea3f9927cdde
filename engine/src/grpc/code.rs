//! The status codes of gRPC and the HTTP status each becomes.
//! In: a code number, an HTTP status or the reason of a reset. Out: a [`Code`] and its HTTP status.
//! Always: the two tables of SEMANTICS 109 and 110 are here and nowhere else.

/// A gRPC status code, as in `google/rpc/code.proto`.
///
/// # Examples
/// ```
/// use transom_engine::grpc::Code;
///
/// assert_eq!(Code::from_number(5), Some(Code::NotFound));
/// assert_eq!(Code::from_number(17), None);
/// assert_eq!(Code::DeadlineExceeded.http_status(), 504);
/// // A status of HTTP from something between us and the server, without grpc-status.
/// assert_eq!(Code::from_http_status(502), Code::Unavailable);
/// // REFUSED_STREAM of HTTP/2.
/// assert_eq!(Code::from_reset(7), Code::Unavailable);
/// // Codes that are none of the 17 may come over the wire, and are a fault of the server.
/// assert_eq!(Code::http_status_of(4711), 500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are those of google/rpc/code.proto, which defines them"
)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The code with this number, if it is one of the 17.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Ok,
            1 => Self::Cancelled,
            2 => Self::Unknown,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => return None,
        })
    }

    /// The code for an HTTP status that came without `grpc-status` (SEMANTICS 110).
    pub const fn from_http_status(status: u16) -> Self {
        match status {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The code for an HTTP/2 stream that was reset with this reason (SEMANTICS 110).
    pub const fn from_reset(reason: u32) -> Self {
        match reason {
            // REFUSED_STREAM
            7 => Self::Unavailable,
            // CANCEL
            8 => Self::Cancelled,
            // ENHANCE_YOUR_CALM
            11 => Self::ResourceExhausted,
            // INADEQUATE_SECURITY
            12 => Self::PermissionDenied,
            0..=13 => Self::Internal,
            _ => Self::Unknown,
        }
    }

    /// The HTTP status for a code number, whether it is one of the 17 or not: a number above them is 500 (SEMANTICS 109).
    pub const fn http_status_of(number: u32) -> u16 {
        match Self::from_number(number) {
            Some(code) => code.http_status(),
            None => 500,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The HTTP status for this code (SEMANTICS 109).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Cancelled => 499,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::DeadlineExceeded => 504,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::PermissionDenied => 403,
            Self::ResourceExhausted => 429,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unauthenticated => 401,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_up_to_16_is_a_code_and_none_above() {
        for number in 0..=16 {
            assert_eq!(Code::from_number(number).map(Code::number), Some(number));
        }
        assert_eq!(Code::from_number(17), None);
        assert_eq!(Code::http_status_of(17), 500);
        assert_eq!(Code::http_status_of(u32::MAX), 500);
        assert_eq!(Code::http_status_of(5), 404);
    }

    #[test]
    fn http_statuses_become_codes_as_grpc_says() {
        use Code::{
            Internal, PermissionDenied, Unauthenticated, Unavailable, Unimplemented, Unknown,
        };
        for (status, code) in [
            (400, Internal),
            (401, Unauthenticated),
            (403, PermissionDenied),
            (404, Unimplemented),
            (429, Unavailable),
            (502, Unavailable),
            (503, Unavailable),
            (504, Unavailable),
            (200, Unknown),
            (302, Unknown),
            (500, Unknown),
        ] {
            assert_eq!(Code::from_http_status(status), code, "{status}");
        }
    }

    #[test]
    fn reset_reasons_become_codes_as_grpc_says() {
        for reason in [0, 1, 2, 3, 4, 5, 6, 9, 10, 13] {
            assert_eq!(Code::from_reset(reason), Code::Internal, "{reason}");
        }
        assert_eq!(Code::from_reset(7), Code::Unavailable);
        assert_eq!(Code::from_reset(8), Code::Cancelled);
        assert_eq!(Code::from_reset(11), Code::ResourceExhausted);
        assert_eq!(Code::from_reset(12), Code::PermissionDenied);
        assert_eq!(Code::from_reset(14), Code::Unknown);
    }
}
