//! What speaks HTTP/2 with the upstreams of a test. In: where the test stands, and `TRANSOM_TEST_UPSTREAM_CODEC`. Out: the codec's name, if it is not
//! left to the gateway.
//! Always: the tests that stand in `other_codec.rs` use the codec that is not the default.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

/// The one that is not the default.
const OTHER: &str = "h2";

/// For `--upstream-codec`.
pub(crate) fn name() -> Option<String> {
    if module_path!().starts_with("other_codec::") {
        return Some(OTHER.to_owned());
    }
    std::env::var("TRANSOM_TEST_UPSTREAM_CODEC").ok()
}
