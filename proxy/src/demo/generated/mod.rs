//! What `protos/example/bookstore.proto` and Google's status messages compile to. In: nothing. Out: Rust types and the
//! server trait. Always: written by `proxy/tests/demo_generated.rs`, never by hand; `protos/README.md` tells how.

#[rustfmt::skip]
#[path = "bookstore.v1.rs"]
#[allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, clippy::use_self, clippy::clone_on_ref_ptr, dead_code, missing_docs, unnameable_types, unreachable_pub, unused_qualifications, reason = "generated code")]
pub(super) mod bookstore_v1;

#[rustfmt::skip]
#[path = "google.api.rs"]
#[allow(clippy::all, clippy::pedantic, dead_code, missing_docs, unnameable_types, unreachable_pub, unused_qualifications, reason = "generated code")]
pub(super) mod google_api;

#[rustfmt::skip]
#[path = "google.rpc.rs"]
#[allow(clippy::all, clippy::pedantic, dead_code, missing_docs, unnameable_types, unreachable_pub, unused_qualifications, reason = "generated code")]
pub(super) mod google_rpc;
