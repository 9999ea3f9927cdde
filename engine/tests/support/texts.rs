//! Compiles `.proto` text in memory. In: names and texts of files. Out: an encoded descriptor set.
//! Always: Google's files come from `protos/`; nothing is written.

use std::collections::HashMap;
use std::path::Path;

use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

/// Files that exist in memory only.
#[derive(Debug)]
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The descriptor set of these files, with all their imports or with none.
pub(crate) fn compile(files: &[(&str, &str)], with_imports: bool) -> Vec<u8> {
    let texts = files
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(texts));
    resolver.add(IncludeFileResolver::new(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../protos"),
    ));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(with_imports);
    for (name, _) in files {
        compiler
            .open_file(name)
            .expect("the text is a valid file whose imports are there");
    }
    compiler.encode_file_descriptor_set()
}
