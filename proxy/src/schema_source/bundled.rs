//! Google's common files, compiled into the binary. In: the name of a file, as schemas import it.
//! Out: its encoded descriptor. Always: the same bytes that the engine links; `protos/README.md` tells their origin.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;

use super::file_set::{EncodedFiles, file_name};

static DESCRIPTOR_SET: &[u8] = include_bytes!("../../../engine/src/schema/bundled.binpb");

static FILES: LazyLock<BTreeMap<String, Bytes>> = LazyLock::new(|| {
    EncodedFiles::decode(Bytes::from_static(DESCRIPTOR_SET))
        .map(|set| set.files)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|file| Some((file_name(&file)?, file)))
        .collect()
});

/// The descriptor of a bundled file, or `None` if there is no such file.
pub(super) fn find_file(name: &str) -> Option<Bytes> {
    FILES.get(name).cloned()
}

/// Whether files of this name are Google's own, of which every compiler and server carries some version.
pub(super) fn is_google_file(name: &str) -> bool {
    name.starts_with("google/") && FILES.contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_and_well_known_types_are_bundled() {
        for name in [
            "google/api/annotations.proto",
            "google/api/http.proto",
            "google/protobuf/descriptor.proto",
            "google/protobuf/timestamp.proto",
            "google/rpc/error_details.proto",
        ] {
            assert!(find_file(name).is_some(), "{name}");
        }
        assert!(find_file("google/api/no_such.proto").is_none());
    }
}
