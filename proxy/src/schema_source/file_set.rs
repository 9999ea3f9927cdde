//! Gathers descriptor files from several sources into one set. In: encoded `FileDescriptorProto`s and where they came
//! from. Out: one encoded `FileDescriptorSet`. Always: files are kept as the bytes that were given, because decoding
//! them into generated types would lose the HTTP annotations, which are extensions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_types::FileDescriptorProto;

use super::bundled;
use super::error::{SchemaSourceError, SchemaSourceErrorKind, printable};

/// Files of one schema, the bundled ones included.
pub(super) const FILE_COUNT_MAX: usize = 10_000;
/// Bytes of all files of one schema.
pub(super) const SET_LEN_MAX: usize = 64 << 20;

/// `FileDescriptorProto.source_code_info`.
const SOURCE_INFO_TAG: u32 = 9;

/// A `FileDescriptorSet` whose files stay encoded.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncodedFiles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) files: Vec<Bytes>,
}

/// The name and nothing else of a `FileDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct FileName {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
}

/// The name in an encoded `FileDescriptorProto`.
pub(super) fn file_name(encoded: &Bytes) -> Option<String> {
    FileName::decode(encoded.clone()).ok()?.name
}

#[derive(Clone, Debug)]
struct SourceFile {
    imports: Vec<String>,
    encoded: Bytes,
    /// The source, as error texts name it.
    origin: String,
}

/// Files by name. The order of insertion does not show in what comes out.
#[derive(Debug, Default)]
pub(super) struct FileSet {
    files: BTreeMap<String, SourceFile>,
    /// What the files import and `files` does not hold.
    missing: BTreeSet<String>,
    /// Bytes of all files. `len <= SET_LEN_MAX`.
    len: usize,
    warnings: Vec<String>,
}

impl FileSet {
    /// Adds a file; one that is there already with the same content is passed over.
    pub(super) fn add(&mut self, encoded: Bytes, origin: &str) -> Result<(), SchemaSourceError> {
        let descriptor = FileDescriptorProto::decode(encoded.clone()).map_err(|error| {
            SchemaSourceError::new(
                SchemaSourceErrorKind::WrongFormat,
                origin,
                format!("holds a file that is not a FileDescriptorProto ({error})"),
                "make it anew with protoc --include_imports -o FILE, or buf build -o FILE",
            )
        })?;
        let Some(name) = descriptor.name.filter(|name| !name.is_empty()) else {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::WrongFormat,
                origin,
                "holds a file without a name",
                "make it anew with protoc --include_imports -o FILE, or buf build -o FILE",
            ));
        };

        if let Some(present) = self.files.get(&name) {
            if is_same_content(&present.encoded, &encoded) {
                return Ok(());
            }
            return self.keep_first(&name, origin);
        }
        let len = self.len.saturating_add(encoded.len());
        if self.files.len() >= FILE_COUNT_MAX || len > SET_LEN_MAX {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::TooLarge,
                origin,
                format!("the schema has more than {FILE_COUNT_MAX} files or {SET_LEN_MAX} bytes"),
                "pass a descriptor set of only the services that are to be served",
            ));
        }
        self.len = len;
        self.missing.remove(&name);
        for import in &descriptor.dependency {
            if *import != name && !self.files.contains_key(import) {
                self.missing.insert(import.clone());
            }
        }
        self.files.insert(
            name,
            SourceFile {
                imports: descriptor.dependency,
                encoded,
                origin: origin.to_owned(),
            },
        );
        Ok(())
    }

    /// Two compilers carry two versions of Google's files, and that is no reason to refuse. Anything else is: which of
    /// the two would be served?
    fn keep_first(&mut self, name: &str, origin: &str) -> Result<(), SchemaSourceError> {
        let first = &self.files[name].origin;
        if bundled::is_google_file(name) {
            self.warnings.push(format!(
                "{name} of {origin} differs from that of {first}, which is used"
            ));
            return Ok(());
        }
        Err(SchemaSourceError::new(
            SchemaSourceErrorKind::Conflict,
            printable(name),
            format!("{first} and {origin} both have a file of this name, with different content"),
            "pass only one of them, or build both from the same sources",
        ))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.files
            .iter()
            .map(|(name, file)| (name.as_str(), &file.encoded))
    }

    pub(super) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Names that some file imports and no source gave.
    pub(super) fn missing_imports(&self) -> &BTreeSet<String> {
        &self.missing
    }

    /// Adds the bundled files that are imported but not there, and what those import in turn.
    pub(super) fn add_bundled_imports(&mut self) -> Result<(), SchemaSourceError> {
        loop {
            let found: Vec<Bytes> = self
                .missing_imports()
                .iter()
                .filter_map(|name| bundled::find_file(name))
                .collect();
            if found.is_empty() {
                return Ok(());
            }
            for file in found {
                self.add(file, "the bundled google files")?;
            }
        }
    }

    /// Encodes the set, imports first, and hands over the warnings.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<String>), SchemaSourceError> {
        let files = self.sort_imports_first()?;
        Ok((EncodedFiles { files }.encode_to_vec(), self.warnings))
    }

    /// Depth-first over the imports, with a stack of its own: the depth is the sources' choice.
    fn sort_imports_first(&self) -> Result<Vec<Bytes>, SchemaSourceError> {
        let mut sorted = Vec::with_capacity(self.files.len());
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for root in self.files.keys() {
            // Each entry: a file, and how many of its imports have been looked at.
            let mut stack: Vec<(&str, usize)> = Vec::new();
            if !done.contains(root.as_str()) {
                open.insert(root);
                stack.push((root, 0));
            }
            while let Some((name, import_index)) = stack.pop() {
                let file = &self.files[name];
                let Some(import) = file.imports.get(import_index) else {
                    open.remove(name);
                    done.insert(name);
                    sorted.push(file.encoded.clone());
                    continue;
                };
                stack.push((name, import_index + 1));
                if done.contains(import.as_str()) {
                    continue;
                }
                if !self.files.contains_key(import) {
                    return Err(missing_import(name, import, &file.origin));
                }
                if !open.insert(import) {
                    return Err(import_cycle(&stack, import));
                }
                stack.push((import, 0));
            }
        }
        Ok(sorted)
    }
}

#[cold]
fn missing_import(file: &str, import: &str, origin: &str) -> SchemaSourceError {
    SchemaSourceError::new(
        SchemaSourceErrorKind::MissingImport,
        origin,
        format!(
            "{} imports {}, which no source holds",
            printable(file),
            printable(import)
        ),
        "build the set with all imports: protoc --include_imports -o FILE, or buf build -o FILE",
    )
}

#[cold]
fn import_cycle(stack: &[(&str, usize)], import: &str) -> SchemaSourceError {
    let mut cycle = String::new();
    for (name, _) in stack.iter().skip_while(|(name, _)| *name != import) {
        let _infallible = write!(cycle, "{name} -> ");
    }
    cycle.push_str(import);
    SchemaSourceError::new(
        SchemaSourceErrorKind::ImportCycle,
        printable(import),
        format!("imports itself: {}", printable(&cycle)),
        "move what both files need into a third one",
    )
}

/// Whether two files differ in comments and positions at most.
fn is_same_content(left: &Bytes, right: &Bytes) -> bool {
    left == right || without_source_info(left) == without_source_info(right)
}

/// The file's bytes less its `source_code_info`; all its bytes if they are not well formed.
fn without_source_info(encoded: &Bytes) -> Vec<u8> {
    let mut rest = encoded.clone();
    let mut kept = Vec::with_capacity(encoded.len());
    while rest.has_remaining() {
        let field = rest.clone();
        let Ok((tag, wire_type)) = decode_key(&mut rest) else {
            return encoded.to_vec();
        };
        if skip_field(wire_type, tag, &mut rest, DecodeContext::default()).is_err() {
            return encoded.to_vec();
        }
        if tag != SOURCE_INFO_TAG {
            kept.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    kept
}
