//! Makes gRPC statuses with details. In: what is wrong, in the bookstore's words. Out: a status whose details hold a
//! message of `google/rpc/error_details.proto`, as `grpc-status-details-bin` carries it.
//! Always: code and message are the same in the status and in its details.

use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::generated::google_rpc::{
    BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo, Status as RpcStatus,
    bad_request::FieldViolation, precondition_failure::Violation,
};

/// A field of the request that cannot be as it is.
pub(super) fn bad_field(field: &str, description: &str) -> Status {
    let detail = BadRequest {
        field_violations: vec![FieldViolation {
            field: field.to_owned(),
            description: description.to_owned(),
            ..FieldViolation::default()
        }],
    };
    with_details(
        Code::InvalidArgument,
        format!("{field}: {description}"),
        vec![pack("BadRequest", &detail)],
    )
}

/// A shelf, book or file that is not there.
pub(super) fn not_found(resource_type: &str, name: &str) -> Status {
    resource_failure(Code::NotFound, resource_type, name, "does not exist")
}

/// A shelf or book that is there already.
pub(super) fn already_exists(resource_type: &str, name: &str) -> Status {
    resource_failure(Code::AlreadyExists, resource_type, name, "exists already")
}

fn resource_failure(code: Code, resource_type: &str, name: &str, description: &str) -> Status {
    let detail = ResourceInfo {
        resource_type: format!("bookstore.v1.{resource_type}"),
        resource_name: name.to_owned(),
        description: description.to_owned(),
        ..ResourceInfo::default()
    };
    with_details(
        code,
        format!("{name:?} {description}"),
        vec![pack("ResourceInfo", &detail)],
    )
}

/// A resource whose state does not allow the call.
pub(super) fn precondition(reason: &str, subject: &str, description: &str) -> Status {
    let detail = PreconditionFailure {
        violations: vec![Violation {
            r#type: reason.to_owned(),
            subject: subject.to_owned(),
            description: description.to_owned(),
        }],
    };
    with_details(
        Code::FailedPrecondition,
        format!("{subject}: {description}"),
        vec![pack("PreconditionFailure", &detail)],
    )
}

/// Something that there is too little of, and when to ask again.
pub(super) fn exhausted(reason: &str, message: String, retry_after_seconds: i64) -> Status {
    let retry = RetryInfo {
        retry_delay: Some(prost_types::Duration {
            seconds: retry_after_seconds,
            nanos: 0,
        }),
    };
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: "bookstore.example".to_owned(),
        ..ErrorInfo::default()
    };
    with_details(
        Code::ResourceExhausted,
        message,
        vec![pack("RetryInfo", &retry), pack("ErrorInfo", &info)],
    )
}

fn pack(name: &str, detail: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: detail.encode_to_vec(),
    }
}

fn with_details(code: Code, message: String, details: Vec<Any>) -> Status {
    let details = RpcStatus {
        code: code as i32,
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, details.encode_to_vec().into())
}
