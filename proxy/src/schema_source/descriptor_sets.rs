//! Reads `--descriptor-set` files. In: a path. Out: its files, added to the set.
//! Always: a file that is something else than a descriptor set gets an error that says what it looks like.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::error::{SchemaSourceError, SchemaSourceErrorKind};
use super::file_set::{EncodedFiles, FileSet, SET_LEN_MAX};

/// Adds the files of the descriptor set at `path`.
pub(super) fn read_into(files: &mut FileSet, path: &Path) -> Result<(), SchemaSourceError> {
    let place = path.display().to_string();
    let bytes = read_file(path)?;
    let set = EncodedFiles::decode(bytes.clone())
        .map_err(|error| not_a_descriptor_set(path, &bytes, &error.to_string()))?;
    if set.files.is_empty() {
        return Err(not_a_descriptor_set(path, &bytes, "it holds no file"));
    }
    for file in set.files {
        files.add(file, &place)?;
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Bytes, SchemaSourceError> {
    let place = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        SchemaSourceError::new(
            SchemaSourceErrorKind::Unreadable,
            &place,
            error.to_string(),
            "give the path of a file made by protoc --include_imports -o FILE, or buf build -o FILE",
        )
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits.
    file.take(SET_LEN_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > SET_LEN_MAX {
        return Err(SchemaSourceError::new(
            SchemaSourceErrorKind::TooLarge,
            place,
            format!("the file has more than {SET_LEN_MAX} bytes"),
            "pass a descriptor set of only the services that are to be served",
        ));
    }
    Ok(bytes.into())
}

#[cold]
fn not_a_descriptor_set(path: &Path, bytes: &[u8], reason: &str) -> SchemaSourceError {
    let is_proto_text = path
        .extension()
        .is_some_and(|extension| extension == "proto");
    let (found, advice) = if is_proto_text {
        ("this is a .proto file", "pass it with --proto")
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        ("the file is compressed by gzip", "unpack it first")
    } else if bytes.first() == Some(&b'{') {
        (
            "this is JSON, not a binary descriptor set",
            "make it with buf build -o schema.binpb, or protoc --include_imports -o FILE",
        )
    } else {
        return SchemaSourceError::new(
            SchemaSourceErrorKind::WrongFormat,
            path.display().to_string(),
            format!("not a descriptor set ({reason})"),
            "make it with protoc --include_imports -o FILE, or buf build -o FILE",
        );
    };
    SchemaSourceError::new(
        SchemaSourceErrorKind::WrongFormat,
        path.display().to_string(),
        found,
        advice,
    )
}
