//! Keeps `src/demo/generated` fresh. In: `protos/example/bookstore.proto` and the vendored `protos/google`.
//! Out: a failure when the committed Rust code or descriptor set is not what they compile to.
//! Always: nothing of the source tree is written, unless `TRANSOM_REGENERATE=1` asks for it.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;

const GENERATED: [&str; 4] = [
    "bookstore.v1.rs",
    "google.api.rs",
    "google.rpc.rs",
    "bookstore.binpb",
];

fn crate_path() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the files of `GENERATED`, and some that nobody needs, into `folder`.
fn generate_into(folder: &Path) {
    let protos = crate_path().join("../protos");
    let compile = |names: &[&str]| {
        let mut compiler = protox::Compiler::new([&protos]).unwrap();
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(names).unwrap();
        let mut set = compiler.file_descriptor_set();
        for file in &mut set.file {
            // Google's long comments are to be read in protos/google.
            if file.name().starts_with("google/") {
                file.source_code_info = None;
            }
        }
        set
    };
    let configure = || {
        tonic_prost_build::configure()
            .out_dir(folder)
            .build_client(false)
            .build_transport(false)
    };
    let shop = compile(&[
        "example/bookstore.proto",
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
    ]);
    // The modules stand side by side, however deep the packages are.
    configure()
        .extern_path(".google.api", "crate::demo::generated::google_api")
        .compile_fds(shop)
        .unwrap();
    configure()
        .compile_fds(compile(&["google/api/httpbody.proto"]))
        .unwrap();

    // The descriptor set is the service's schema alone, with comments: later they become its OpenAPI texts.
    let mut compiler = protox::Compiler::new([&protos]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("example/bookstore.proto").unwrap();
    let descriptor_set = compiler.encode_file_descriptor_set();
    FileDescriptorSet::decode(descriptor_set.as_slice()).unwrap();
    std::fs::write(folder.join("bookstore.binpb"), descriptor_set).unwrap();
}

#[test]
fn generated_code_and_descriptor_set_are_what_the_schema_compiles_to() {
    let committed = crate_path().join("src/demo/generated");
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo_generated");
    std::fs::create_dir_all(&fresh).unwrap();
    generate_into(&fresh);
    for name in GENERATED {
        if std::env::var_os("TRANSOM_REGENERATE").is_some() {
            std::fs::copy(fresh.join(name), committed.join(name)).unwrap();
        }
        assert!(
            std::fs::read(committed.join(name)).unwrap()
                == std::fs::read(fresh.join(name)).unwrap(),
            "proxy/src/demo/generated/{name} is stale; \
             run TRANSOM_REGENERATE=1 cargo test -p transom --test demo_generated and commit it"
        );
    }
}
