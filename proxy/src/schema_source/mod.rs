//! Turns the sources named on the command line into the bytes of one descriptor set.
//!
//! In: descriptor set files, `.proto` files, or an upstream that answers server reflection.
//! Out: a [`LoadedSchema`]: an encoded `FileDescriptorSet` for the engine's schema, and where it came from.
//! Always: the set holds every import of its files, imports first, each name once, with extension options as they were
//! given. All work is done on the caller's thread, at start-up or reload; sizes and counts are bounded.

mod bundled;
mod descriptor_sets;
mod error;
mod file_set;
mod proto_files;
mod reflection;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{SchemaSourceError, SchemaSourceErrorKind};
pub use reflection::UpstreamWait;

use file_set::FileSet;

/// Where the schema is to come from. Descriptor sets and `.proto` files may be mixed; only with neither of them is the
/// upstream asked.
#[derive(Clone, Debug, Default)]
pub struct SchemaSources {
    /// Files made by `protoc --include_imports -o FILE` or `buf build -o FILE`.
    pub descriptor_sets: Vec<PathBuf>,
    /// `.proto` files to compile.
    pub protos: Vec<PathBuf>,
    /// Folders in which imports are looked up, in this order. Empty: found out from each file's imports.
    pub proto_paths: Vec<PathBuf>,
    /// `http://host:port` or `unix:///path` of a server with reflection.
    pub upstream: Option<String>,
    /// How long to wait for an upstream that does not answer yet. `None`: until it does.
    pub upstream_wait_max: Option<Duration>,
}

/// A schema's files, ready to be linked.
#[derive(Clone, Debug)]
pub struct LoadedSchema {
    /// An encoded `FileDescriptorSet`, all imports included, imports before the files that need them.
    pub descriptor_set: Vec<u8>,
    /// For people: `server reflection (v1) of http://127.0.0.1:50051`, `shop.binpb` or `3 files`.
    pub origin: String,
    /// What was odd but not wrong, one sentence each.
    pub warnings: Vec<String>,
}

/// Loads the schema, and waits for the upstream if that is where it comes from.
///
/// `on_wait` is called before each pause of such a wait; it may end the wait with [`ControlFlow::Break`].
///
/// # Errors
///
/// When a source cannot be read, compiled or completed. The text names the file, with the line where it is known, and
/// says what to do.
pub fn load_schema(
    sources: &SchemaSources,
    on_wait: &mut dyn FnMut(&UpstreamWait) -> ControlFlow<()>,
) -> Result<LoadedSchema, SchemaSourceError> {
    if sources.descriptor_sets.is_empty() && sources.protos.is_empty() {
        let Some(upstream) = &sources.upstream else {
            return Err(SchemaSourceError::new(
                SchemaSourceErrorKind::NoSource,
                "schema",
                "no source is given",
                "pass --descriptor-set FILE or --proto FILE, or --upstream URL of a server with reflection",
            ));
        };
        return reflection::load(upstream, sources.upstream_wait_max, on_wait);
    }

    let mut files = FileSet::default();
    for path in &sources.descriptor_sets {
        descriptor_sets::read_into(&mut files, path)?;
    }
    if !sources.protos.is_empty() {
        proto_files::compile_into(&mut files, &sources.protos, &sources.proto_paths)?;
    }
    files.add_bundled_imports()?;
    let (descriptor_set, warnings) = files.finish()?;
    Ok(LoadedSchema {
        descriptor_set,
        origin: files_origin(&sources.descriptor_sets, &sources.protos),
        warnings,
    })
}

fn files_origin(descriptor_sets: &[PathBuf], protos: &[PathBuf]) -> String {
    match (descriptor_sets, protos) {
        ([path], []) | ([], [path]) => path.display().to_string(),
        _ => format!("{} files", descriptor_sets.len() + protos.len()),
    }
}
