//! Generates the code of the yardsticks that have types for each message. In: the schemas of the benches' payloads. Out: Rust code in
//! cargo's folder for it: prost's with pbjson's, and buffa's. Always: needs no compiler but those in these crates.
//!
//! It is not committed: it is two megabytes that nobody reads, and nothing but the benches is built of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use prost_types::{DescriptorProto, FileDescriptorSet};
use protox::prost::Message as _;

/// Why nothing here fails: all input is part of the repository.
const WHY: &str = "the schemas of the repository compile";

fn main() {
    println!("cargo::rerun-if-changed=../../protos");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let set = payload_descriptors();
    for (name, generate) in [
        ("prost", generate_prost as fn(&FileDescriptorSet, &Path)),
        ("buffa", generate_buffa),
    ] {
        let folder = out.join(name);
        fs::create_dir_all(&folder).expect("cargo made the folder above");
        generate(&set, &folder);
    }
}

const FILES: [&str; 9] = [
    "bench.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
    "google/longrunning/operations.proto",
    "google/type/postal_address.proto",
    "google/logging/v2/logging.proto",
    "google/monitoring/v3/metric_service.proto",
    "google/firestore/v1/document.proto",
    "etcd/api/etcdserverpb/rpc.proto",
];

/// The messages of the payloads, and those inside of an `Any`. What none of them needs is not generated.
const ROOTS: [&str; 17] = [
    ".transom.bench.v1.Tiny",
    ".transom.bench.v1.Small",
    ".transom.bench.v1.Numeric",
    ".transom.bench.v1.Strings",
    ".transom.bench.v1.Nested",
    ".google.rpc.Status",
    ".google.rpc.ErrorInfo",
    ".google.rpc.BadRequest",
    ".google.rpc.RetryInfo",
    ".google.rpc.RequestInfo",
    ".google.longrunning.Operation",
    ".google.type.PostalAddress",
    ".google.logging.v2.WriteLogEntriesRequest",
    ".google.monitoring.v3.CreateTimeSeriesRequest",
    ".google.firestore.v1.Document",
    ".etcdserverpb.RangeResponse",
    ".etcdserverpb.TxnRequest",
];

/// The schemas, without services, options, comments, and messages that no payload has.
fn payload_descriptors() -> FileDescriptorSet {
    let root = Path::new("../..");
    let folders = [
        "protos/test",
        "protos/published",
        "protos/test/etcd",
        "protos",
    ];
    let mut compiler = protox::Compiler::new(folders.map(|folder| root.join(folder))).expect(WHY);
    compiler.include_imports(true).open_files(FILES).expect(WHY);
    let mut set = compiler.file_descriptor_set();
    let kept = reachable(&set);
    for file in &mut set.file {
        let package = file.package().to_owned();
        let is_kept = |name: &str| kept.contains(&format!(".{package}.{name}"));
        file.message_type.retain(|message| is_kept(message.name()));
        file.enum_type.retain(|kind| is_kept(kind.name()));
        file.service.clear();
        file.extension.clear();
        file.source_code_info = None;
    }
    let empty: BTreeSet<String> = set
        .file
        .iter()
        .filter(|file| file.message_type.is_empty() && file.enum_type.is_empty())
        .map(|file| file.name().to_owned())
        .collect();
    set.file.retain(|file| !empty.contains(file.name()));
    for file in &mut set.file {
        file.dependency.retain(|name| !empty.contains(name));
        file.public_dependency.clear();
    }
    set
}

/// Full names of the top-level messages and enums that the roots need.
fn reachable(set: &FileDescriptorSet) -> BTreeSet<String> {
    let mut needs = BTreeMap::new();
    for file in &set.file {
        for message in &file.message_type {
            let mut types = Vec::new();
            field_types(message, &mut types);
            needs.insert(format!(".{}.{}", file.package(), message.name()), types);
        }
        for kind in &file.enum_type {
            needs.insert(format!(".{}.{}", file.package(), kind.name()), Vec::new());
        }
    }
    let mut kept = BTreeSet::new();
    let mut open: Vec<String> = ROOTS.map(str::to_owned).to_vec();
    while let Some(name) = open.pop() {
        // A nested type belongs to the one at the top that it is in.
        let top = needs
            .keys()
            .find(|top| name == **top || name.starts_with(&format!("{top}.")))
            .unwrap_or_else(|| unreachable!("{name} is in no file"));
        if kept.insert(top.clone()) {
            open.extend(needs[top].iter().cloned());
        }
    }
    kept
}

fn field_types(message: &DescriptorProto, types: &mut Vec<String>) {
    types.extend(
        message
            .field
            .iter()
            .filter_map(|field| field.type_name.clone()),
    );
    for nested in &message.nested_type {
        field_types(nested, types);
    }
}

/// Rust code of prost, with pbjson's for serde behind it.
fn generate_prost(set: &FileDescriptorSet, folder: &Path) {
    prost_build::Config::new()
        .out_dir(folder)
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(set.clone())
        .expect(WHY);
    drop(fs::remove_file(folder.join("google.protobuf.rs")));
    let packages: Vec<String> = without_well_known(set)
        .file
        .iter()
        .map(|file| format!(".{}", file.package()))
        .collect();
    pbjson_build::Builder::new()
        .out_dir(folder)
        .register_descriptors(&set.encode_to_vec())
        .expect(WHY)
        .extern_path(".google.protobuf", "::pbjson_types")
        .build(&packages)
        .expect(WHY);
}

fn generate_buffa(set: &FileDescriptorSet, folder: &Path) {
    let descriptors = folder.join("payloads.binpb");
    fs::write(&descriptors, set.encode_to_vec()).expect(WHY);
    // buffa-build tells cargo to run this again when the file is newer than the last run, which what it writes itself always is.
    fs::File::options()
        .write(true)
        .open(&descriptors)
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH))
        .expect("it has just been written");
    let names: Vec<String> = without_well_known(set)
        .file
        .iter()
        .map(|file| file.name().to_owned())
        .collect();
    buffa_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&names)
        .out_dir(folder)
        .generate_json(true)
        .generate_views(true)
        .file_per_package(true)
        .include_file("mod.rs")
        .compile()
        .expect(WHY);
}

fn without_well_known(set: &FileDescriptorSet) -> FileDescriptorSet {
    let mut set = set.clone();
    set.file.retain(|file| file.package() != "google.protobuf");
    set
}
