//! Compiles `--proto` files in-process. In: paths, and folders in which to look up imports.
//! Out: their descriptors and those of their imports, added to the set.
//! Always: an import is looked up on disk, then in the descriptor sets given beside, then among the bundled files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use protox::file::{ChainFileResolver, File, FileResolver, IncludeFileResolver};

use super::bundled;
use super::error::{SchemaSourceError, SchemaSourceErrorKind};
use super::file_set::{EncodedFiles, FileSet};

/// How many folders above a file are tried as the root of its imports.
const ROOT_LEVELS_MAX: usize = 16;

/// Compiles `protos` and adds them and their imports.
pub(super) fn compile_into(
    files: &mut FileSet,
    protos: &[PathBuf],
    proto_paths: &[PathBuf],
) -> Result<(), SchemaSourceError> {
    let known: BTreeMap<String, Bytes> = files
        .files()
        .map(|(name, encoded)| (name.to_owned(), encoded.clone()))
        .collect();
    let roots = if proto_paths.is_empty() {
        infer_roots(protos, &known)
    } else {
        proto_paths.to_vec()
    };
    check_presence(protos, &roots)?;

    let resolver = |places| {
        let mut files = ChainFileResolver::new();
        for root in &roots {
            files.add(IncludeFileResolver::new(root.clone()));
        }
        files.add(KnownFiles(known.clone()));
        SourceFiles {
            files,
            roots: roots.clone(),
            places,
        }
    };
    // What is wrong is told with its line, which takes all places.
    let encoded = compile(resolver(Places::OfComments), protos)
        .or_else(|_told_again| compile(resolver(Places::All), protos))
        .map_err(|(error, proto)| compile_error(&error, proto, &roots))?;
    let set = EncodedFiles::decode(encoded.as_slice()).map_err(|error| {
        SchemaSourceError::new(
            SchemaSourceErrorKind::Internal,
            "schema",
            format!("the compiled files do not decode ({error})"),
            "please report this",
        )
    })?;
    for file in set.files {
        files.add(file, &format!("--proto {}", list_paths(protos)))?;
    }
    Ok(())
}

/// The descriptor set of these files and their imports; or an error, and the file it was found by.
fn compile(
    resolver: SourceFiles,
    protos: &[PathBuf],
) -> Result<Vec<u8>, (protox::Error, &PathBuf)> {
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    // Comments stay in: the OpenAPI document is made of them.
    compiler.include_imports(true).include_source_info(true);
    for proto in protos {
        compiler.open_file(proto).map_err(|error| (error, proto))?;
    }
    Ok(compiler.encode_file_descriptor_set())
}

/// Bytes of source from which on a file is linked without the places of what has no comment.
const PLACES_LEN_MAX: usize = 64 * 1024;

/// Files with as much of their source as linking them is to know.
#[derive(Debug)]
struct SourceFiles {
    files: ChainFileResolver,
    roots: Vec<PathBuf>,
    places: Places,
}

/// Which parts of a file keep their line and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    All,
    /// In a long file only what has a comment. The linker compares each option with each place: with ten thousand rules in one file that
    /// is most of a second, and four times the rules take sixteen times as long.
    OfComments,
}

impl FileResolver for SourceFiles {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        self.files.resolve_path(path)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let file = match self.files.open_file(name) {
            // Whole trees of Google's files bring those of protobuf itself, lately in a syntax that is not known here. What they declare is
            // bundled, and an own version of it is nobody's schema.
            Err(_unread) if name.starts_with("google/protobuf/") && is_bundled(name) => {
                KnownFiles(BTreeMap::new()).open_file(name)?
            }
            opened => opened?,
        };
        let is_long = file
            .source()
            .is_some_and(|source| source.len() >= PLACES_LEN_MAX);
        if self.places == Places::All || !is_long {
            return Ok(file);
        }
        // Without its path it could hide another file of its name unseen.
        let same = self.roots.iter().filter(|root| root.join(name).is_file());
        if same.count() > 1 {
            return Ok(file);
        }
        let mut descriptor = file.file_descriptor_proto().clone();
        if let Some(source) = &mut descriptor.source_code_info {
            source.location.retain(|place| {
                place.leading_comments.is_some()
                    || place.trailing_comments.is_some()
                    || !place.leading_detached_comments.is_empty()
            });
        }
        Ok(File::from_file_descriptor_proto(descriptor))
    }
}

fn is_bundled(name: &str) -> bool {
    bundled::find_file(name).is_some()
}

/// Files that need not be on disk: those of descriptor sets, and the bundled ones.
#[derive(Debug)]
struct KnownFiles(BTreeMap<String, Bytes>);

impl FileResolver for KnownFiles {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let encoded = self.0.get(name).cloned();
        let Some(encoded) = encoded.or_else(|| bundled::find_file(name)) else {
            return Err(protox::Error::file_not_found(name));
        };
        File::decode_file_descriptor_proto(encoded).map_err(protox::Error::new)
    }
}

/// Finds the folders that the files' imports are relative to.
///
/// Each file's root is the nearest folder above it from which all its imports are found, else its own folder. Roots are
/// sorted from the top down, so that a file below two of them gets its longer name: that is the name by which the files
/// that needed the upper root import it.
fn infer_roots(protos: &[PathBuf], known: &BTreeMap<String, Bytes>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    for proto in protos {
        let imports = list_imports(proto, known);
        let folder = proto.parent().unwrap_or_else(|| Path::new(""));
        let root = folder
            .ancestors()
            .take(ROOT_LEVELS_MAX)
            .find(|root| imports.iter().all(|import| root.join(import).is_file()))
            .unwrap_or(folder);
        // "" is the current folder to a reader of paths, but not to the resolver.
        let root = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root
        };
        if !roots.iter().any(|present| present == root) {
            roots.push(root.to_owned());
        }
    }
    let depth = |root: &PathBuf| {
        if root == Path::new(".") {
            0
        } else {
            root.components().count()
        }
    };
    roots.sort_by_key(depth);
    roots
}

/// The imports of a file that must come from disk. None if it does not parse: compiling it will tell why.
fn list_imports(proto: &Path, known: &BTreeMap<String, Bytes>) -> Vec<String> {
    let name = proto.to_string_lossy();
    let Ok(file) = File::open(&name, proto) else {
        return Vec::new();
    };
    let imports = &file.file_descriptor_proto().dependency;
    imports
        .iter()
        .filter(|import| !known.contains_key(*import) && bundled::find_file(import).is_none())
        .cloned()
        .collect()
}

/// The compiler says of a file that is nowhere that no folder includes it; say plainly that it is not there.
fn check_presence(protos: &[PathBuf], roots: &[PathBuf]) -> Result<(), SchemaSourceError> {
    for proto in protos {
        let is_present = proto.is_file() || roots.iter().any(|root| root.join(proto).is_file());
        if !is_present {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::Unreadable,
                proto.display().to_string(),
                "no such file",
                "give the path of a .proto file, from here or from a --proto-path",
            ));
        }
    }
    Ok(())
}

#[cold]
fn compile_error(error: &protox::Error, proto: &Path, roots: &[PathBuf]) -> SchemaSourceError {
    let proto = proto.display();
    if let Some(file) = error.file()
        && is_written_in_an_edition(file, roots)
    {
        return SchemaSourceError::new(
            SchemaSourceErrorKind::Edition,
            file,
            "the compiler in Transom reads proto2 and proto3, and this file says `edition`",
            "compile it with protoc --include_imports -o FILE or buf build -o FILE, and pass that with --descriptor-set",
        );
    }
    // The debug form of this error is `file:line:column: message`, the display form only `message`.
    let text = format!("{error:?}");
    if !error.is_file_not_found() {
        let place = format!("--proto {proto}");
        let advice = if text.contains("is not valid utf-8") {
            "if this is a descriptor set, pass it with --descriptor-set"
        } else if text.contains("already defined") {
            "if one file is found by two names, pass the folder that imports start from with --proto-path"
        } else {
            ""
        };
        return SchemaSourceError::new(SchemaSourceErrorKind::Compile, place, text, advice);
    }
    if error.file().is_none() {
        return SchemaSourceError::new(
            SchemaSourceErrorKind::Compile,
            format!("--proto {proto}"),
            format!(
                "the file is in none of the import folders ({})",
                list_paths(roots)
            ),
            "add the folder that imports start from with --proto-path DIR",
        );
    }
    SchemaSourceError::new(
        SchemaSourceErrorKind::MissingImport,
        format!("--proto {proto}"),
        format!("{text} (looked in {})", list_paths(roots)),
        "add the folder that holds it with --proto-path DIR, or pass a descriptor set made by protoc --include_imports",
    )
}

/// Whether the first statement of a file is `edition = ...`. An unreadable file is not.
fn is_written_in_an_edition(name: &str, roots: &[PathBuf]) -> bool {
    let path = roots
        .iter()
        .map(|root| root.join(name))
        .find(|path| path.is_file());
    let Some(text) = path.and_then(|path| std::fs::read_to_string(path).ok()) else {
        return false;
    };
    starts_with_edition(&text)
}

fn starts_with_edition(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let after_comment = if let Some(comment) = rest.strip_prefix("//") {
            comment.split_once('\n')
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")
        } else {
            break;
        };
        let Some((_, after)) = after_comment else {
            return false;
        };
        rest = after.trim_start();
    }
    rest.strip_prefix("edition")
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn list_paths(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edition_is_seen_behind_comments_only_as_the_first_statement() {
        assert!(starts_with_edition("edition = \"2023\";"));
        assert!(starts_with_edition("// a\n/* b\n */ edition=\"2023\";"));
        assert!(!starts_with_edition(
            "syntax = \"proto3\"; // edition = \"2023\""
        ));
        assert!(!starts_with_edition("editions = 1"));
        assert!(!starts_with_edition("/* never closed"));
        assert!(!starts_with_edition(""));
    }
}
