//! An encoded `FileDescriptorSet` to a linked pool. In: bytes of the operator. Out: the pool, and which of its files the set brought.
//! Always: imports of Google's common files need not be in the set, since Transom brings them; options and extensions nobody
//! here knows pass unread; what cannot be linked is refused with its file and what to do.

use std::collections::{HashMap, HashSet, VecDeque};

use prost::Message as _;
use prost_reflect::DescriptorPool;

use super::SchemaError;
use super::editions::{Lowered, PROTO2, PROTO3};

/// `google/api`, `google/rpc`, `google/type`, `google/longrunning` and `google/protobuf`, compiled; `protos/README.md` says how.
const BUNDLE: &[u8] = include_bytes!("bundled.binpb");

/// Files that are there even if nothing imports them: the well-known types, which an `Any` may hold at any time, and the
/// details of errors (SEMANTICS 117).
const ALWAYS: [&str; 9] = [
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

/// What to do about a set that is not what it should be.
const REMEDY: &str = "give the output of `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`";

/// A linked descriptor set.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) pool: DescriptorPool,
    /// Names of the files that came with the set. The services of the others are nobody's, and are not served.
    pub(crate) own_files: HashSet<String>,
    /// What the pool does not tell of files of an edition.
    pub(crate) lowered: Lowered,
}

/// Links a set.
///
/// # Errors
/// When the bytes are no descriptor set, files are missing, contradict each other or import in a circle, use an edition that is not known, or name what
/// is not there.
pub(crate) fn link(set: &[u8]) -> Result<Linked, SchemaError> {
    let mut files = read_set(set)?;
    if files.is_empty() {
        return Err(SchemaError::new(format!(
            "the descriptor set holds no file; {REMEDY}"
        )));
    }
    let own_files = files
        .iter()
        .map(|file| file.outline.name.clone())
        .collect::<HashSet<_>>();
    add_bundled(&mut files)?;
    check_imports(&files)?;
    let mut lowered = Lowered::default();
    for file in &mut files {
        let edition = file.outline.edition();
        file.bytes = lowered.lower(&file.outline.name, edition, &file.bytes)?;
    }
    let public = files_behind_public_imports(&files);
    for (file, more) in files.iter_mut().zip(public) {
        // The last occurrences of a repeated field may follow any other field of an encoded message.
        Imports { dependency: more }
            .encode(&mut file.bytes)
            .map_err(|error| SchemaError::new(error.to_string()))?;
    }
    let linkable = RawSet {
        file: files.into_iter().map(|file| file.bytes).collect(),
    };
    let pool = DescriptorPool::decode(linkable.encode_to_vec().as_slice()).map_err(|error| {
        let file = error.file().unwrap_or("the descriptor set").to_owned();
        SchemaError::new(format!("{file}: {error}; {REMEDY}"))
    })?;
    Ok(Linked {
        pool,
        own_files,
        lowered,
    })
}

struct File {
    /// A `FileDescriptorProto` with all its options as they came.
    bytes: Vec<u8>,
    outline: Outline,
}

fn read_set(set: &[u8]) -> Result<Vec<File>, SchemaError> {
    let raw = RawSet::decode(set).map_err(|error| {
        SchemaError::new(format!(
            "the descriptor set cannot be read: {error}; {REMEDY}"
        ))
    })?;
    let mut files: Vec<File> = Vec::with_capacity(raw.file.len());
    let mut indices = HashMap::new();
    for bytes in raw.file {
        let outline = Outline::decode(bytes.as_slice()).map_err(|error| {
            SchemaError::new(format!(
                "file {} of the descriptor set cannot be read: {error}; {REMEDY}",
                indices.len() + 1
            ))
        })?;
        check_syntax(&outline)?;
        match indices.get(&outline.name).and_then(|&at| files.get(at)) {
            None => {
                indices.insert(outline.name.clone(), files.len());
                files.push(File { bytes, outline });
            }
            // Sets laid end to end are a set, and each may bring the same import. Comments and positions do not count.
            Some(first) if without_source(&first.bytes) == without_source(&bytes) => {}
            // Releases of Google's files differ, and any does.
            Some(first) if first.outline.name.starts_with("google/") => {}
            Some(first) => {
                return Err(SchemaError::new(format!(
                    "{}: the descriptor set holds two different files of this name; leave one of them out",
                    first.outline.name
                )));
            }
        }
    }
    Ok(files)
}

fn check_syntax(file: &Outline) -> Result<(), SchemaError> {
    if file.name.is_empty() {
        return Err(SchemaError::new(format!(
            "the descriptor set holds a file without a name; {REMEDY}"
        )));
    }
    if !matches!(file.syntax.as_str(), "" | "proto2" | "proto3" | "editions") {
        return Err(SchemaError::new(format!(
            "{}: the syntax is `{}`; Transom reads proto2, proto3 and editions",
            file.name,
            file.syntax.escape_default()
        )));
    }
    Ok(())
}

/// The file without its `source_code_info`, for comparison.
fn without_source(file: &[u8]) -> Option<prost_types::FileDescriptorProto> {
    let mut descriptor = prost_types::FileDescriptorProto::decode(file).ok()?;
    descriptor.source_code_info = None;
    Some(descriptor)
}

/// Adds what is imported but missing, and what is always there, as far as the bundle holds it.
fn add_bundled(files: &mut Vec<File>) -> Result<(), SchemaError> {
    let mut bundle: HashMap<_, _> = read_set(BUNDLE)?
        .into_iter()
        .map(|file| (file.outline.name.clone(), file))
        .collect();
    // A set may hold a common file under a path of its own: `third_party/google/rpc/status.proto`.
    let symbols: HashSet<_> = files
        .iter()
        .flat_map(|file| file.outline.symbols())
        .collect();
    let mut present: HashSet<_> = files.iter().map(|file| file.outline.name.clone()).collect();
    let mut wanted: VecDeque<String> = files
        .iter()
        .flat_map(|file| file.outline.dependency.iter().cloned())
        .collect();
    wanted.extend(ALWAYS.iter().filter_map(|&name| {
        let is_free = bundle
            .get(name)?
            .outline
            .symbols()
            .all(|symbol| !symbols.contains(&symbol));
        is_free.then(|| name.to_owned())
    }));
    while let Some(name) = wanted.pop_front() {
        if present.contains(&name) {
            continue;
        }
        // What the bundle lacks is reported by the file that imports it.
        let Some(file) = bundle.remove(&name) else {
            continue;
        };
        wanted.extend(file.outline.dependency.iter().cloned());
        present.insert(name);
        files.push(file);
    }
    Ok(())
}

/// Every import is there, and none leads back to its file.
fn check_imports(files: &[File]) -> Result<(), SchemaError> {
    let mut importers: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut open_counts: HashMap<&str, usize> = files
        .iter()
        .map(|file| (file.outline.name.as_str(), file.outline.dependency.len()))
        .collect();
    for file in files {
        for import in &file.outline.dependency {
            if !open_counts.contains_key(import.as_str()) {
                return Err(SchemaError::new(format!(
                    "{}: it imports {import}, which the descriptor set lacks; {REMEDY}",
                    file.outline.name
                )));
            }
            importers
                .entry(import)
                .or_default()
                .push(&file.outline.name);
        }
    }
    let mut settled: Vec<&str> = open_counts
        .iter()
        .filter(|&(_, &count)| count == 0)
        .map(|(&name, _)| name)
        .collect();
    while let Some(name) = settled.pop() {
        open_counts.remove(name);
        for &importer in importers.get(name).into_iter().flatten() {
            if let Some(count) = open_counts.get_mut(importer) {
                *count -= 1;
                if *count == 0 {
                    settled.push(importer);
                }
            }
        }
    }
    match open_counts.into_keys().min() {
        None => Ok(()),
        Some(name) => Err(SchemaError::new(format!(
            "{name}: its imports lead back to the file itself, or to such a circle; take one import out"
        ))),
    }
}

/// For each file what it sees through public imports of its imports, but does not import. The linker follows one such step only.
fn files_behind_public_imports(files: &[File]) -> Vec<Vec<String>> {
    let public: HashMap<&str, Vec<&str>> = files
        .iter()
        .map(|file| {
            let imports = file.outline.public_dependency.iter().filter_map(|&index| {
                let import = file.outline.dependency.get(usize::try_from(index).ok()?)?;
                Some(import.as_str())
            });
            (file.outline.name.as_str(), imports.collect())
        })
        .collect();
    files
        .iter()
        .map(|file| {
            let mut seen: HashSet<&str> =
                file.outline.dependency.iter().map(String::as_str).collect();
            let mut open: Vec<&str> = seen.iter().copied().collect();
            let mut more = Vec::new();
            while let Some(name) = open.pop() {
                for &import in public.get(name).into_iter().flatten() {
                    if seen.insert(import) {
                        open.push(import);
                        more.push(import.to_owned());
                    }
                }
            }
            more
        })
        .collect()
}

/// `google.protobuf.FileDescriptorSet` with files left encoded: decoding them would drop the bytes of extensions.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// `google.protobuf.FileDescriptorProto`, as far as linking needs it.
#[derive(Clone, PartialEq, prost::Message)]
struct Outline {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<Named>,
    #[prost(message, repeated, tag = "5")]
    enum_type: Vec<Named>,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Named>,
    #[prost(message, repeated, tag = "7")]
    extension: Vec<Named>,
    #[prost(int32, repeated, packed = "false", tag = "10")]
    public_dependency: Vec<i32>,
    #[prost(string, tag = "12")]
    syntax: String,
    #[prost(int32, tag = "14")]
    edition: i32,
}

/// Anything whose name is field 1.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// The imports of a `FileDescriptorProto`.
#[derive(Clone, PartialEq, prost::Message)]
struct Imports {
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
}

impl Outline {
    /// The number of the edition, which proto2 and proto3 are too, though they say it otherwise.
    fn edition(&self) -> i32 {
        match self.syntax.as_str() {
            "editions" => self.edition,
            _ if !matches!(self.edition, 0 | PROTO2 | PROTO3) => self.edition,
            "proto3" => PROTO3,
            _ => PROTO2,
        }
    }

    /// Full names of what the file defines outside of messages.
    fn symbols(&self) -> impl Iterator<Item = String> {
        self.message_type
            .iter()
            .chain(&self.enum_type)
            .chain(&self.service)
            .chain(&self.extension)
            .map(|each| format!("{}.{}", self.package, each.name))
    }
}
