//! Keeps `src/schema/bundled.binpb` fresh. In: the files of `protos/google` and the compiler's own `google/protobuf`.
//! Out: a failure when the committed descriptor set is not what they compile to.
//! Always: nothing is written, unless `TRANSOM_REGENERATE=1` asks for it.
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver};

/// What protox compiles in. A service may import any of them, so all of them are bundled.
const WELL_KNOWN_FILES: [&str; 12] = [
    "google/protobuf/any.proto",
    "google/protobuf/api.proto",
    "google/protobuf/compiler/plugin.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/source_context.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
];

fn bundled_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/bundled.binpb")
}

fn protos_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protos")
}

/// Names, as schemas import them, of all files below `protos/google`, in order.
fn vendored_files() -> BTreeSet<String> {
    let root = protos_path();
    let mut names = BTreeSet::new();
    let mut folders = vec![root.join("google")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                names.insert(name.to_owned());
            }
        }
    }
    names
}

fn compile_bundle() -> Vec<u8> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(protos_path()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(false);
    compiler.open_files(WELL_KNOWN_FILES).unwrap();
    compiler.open_files(vendored_files()).unwrap();
    compiler.encode_file_descriptor_set()
}

#[test]
fn bundled_descriptor_set_is_what_the_vendored_files_compile_to() {
    let fresh = compile_bundle();
    if std::env::var_os("TRANSOM_REGENERATE").is_some() {
        std::fs::write(bundled_path(), &fresh).unwrap();
    }
    let committed = std::fs::read(bundled_path()).unwrap();
    assert!(
        committed == fresh,
        "engine/src/schema/bundled.binpb is stale; \
         run TRANSOM_REGENERATE=1 cargo test -p transom-engine --test bundled and commit it"
    );
}

#[test]
fn bundled_descriptor_set_stands_alone_and_holds_every_file() {
    let pool = DescriptorPool::decode(compile_bundle().as_slice()).unwrap();
    let mut expected = vendored_files();
    expected.extend(WELL_KNOWN_FILES.map(str::to_owned));
    let found: BTreeSet<String> = pool.files().map(|file| file.name().to_owned()).collect();
    assert_eq!(found, expected);
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    assert_eq!(http.number(), 72_295_728);
}
