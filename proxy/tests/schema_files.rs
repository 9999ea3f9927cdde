//! Schemas from files: `--descriptor-set`, `--proto` and `--proto-path`, good ones and broken ones.
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use transom::schema_source::{
    LoadedSchema, SchemaSourceError, SchemaSourceErrorKind as Kind, SchemaSources, load_schema,
};

/// A folder of one test, empty at first. `name` must be the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("schema_files")
        .join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn repository_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn load(sources: &SchemaSources) -> Result<LoadedSchema, SchemaSourceError> {
    load_schema(sources, &mut |_| ControlFlow::Break(()))
}

fn sets(paths: &[PathBuf]) -> SchemaSources {
    SchemaSources {
        descriptor_sets: paths.to_vec(),
        ..SchemaSources::default()
    }
}

fn protos(paths: &[PathBuf], proto_paths: &[PathBuf]) -> SchemaSources {
    SchemaSources {
        protos: paths.to_vec(),
        proto_paths: proto_paths.to_vec(),
        ..SchemaSources::default()
    }
}

fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn set_of(files: &[FileDescriptorProto]) -> Vec<u8> {
    let file = files.to_vec();
    FileDescriptorSet { file }.encode_to_vec()
}

fn file_names(schema: &LoadedSchema) -> Vec<String> {
    let set = FileDescriptorSet::decode(schema.descriptor_set.as_slice()).unwrap();
    set.file.iter().map(|file| file.name().to_owned()).collect()
}

/// The HTTP rule of a method, in prost-reflect's text form: the extension has come through.
fn http_rule(schema: &LoadedSchema, service: &str, method: &str) -> String {
    let pool = DescriptorPool::decode(schema.descriptor_set.as_slice()).unwrap();
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    let service = pool.get_service_by_name(service).unwrap();
    let method = service
        .methods()
        .find(|candidate| candidate.name() == method)
        .unwrap();
    method.options().get_extension(&http).to_string()
}

/// The error's kind and its text, which must hold all of `parts`.
#[track_caller]
fn assert_refused(sources: &SchemaSources, kind: Kind, parts: &[&str]) {
    let error = load(sources).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains('\n'), "more than one line: {text}");
}

// ---- descriptor sets ----

#[test]
fn descriptor_set_keeps_its_annotations_and_gives_its_name_as_origin() {
    let folder = folder("set_alone");
    let bytes = std::fs::read(repository_path("proxy/src/demo/generated/bookstore.binpb"));
    let path = write(&folder, "shop.binpb", bytes.unwrap());
    let schema = load(&sets(std::slice::from_ref(&path))).unwrap();
    assert_eq!(schema.origin, path.display().to_string());
    assert!(schema.warnings.is_empty(), "{:?}", schema.warnings);
    let rule = http_rule(&schema, "bookstore.v1.Bookstore", "GetShelf");
    assert!(rule.contains("/v1/{name=shelves/*}"), "{rule}");
}

#[test]
fn google_files_that_a_set_lacks_are_taken_from_the_bundle() {
    let folder = folder("set_without_google");
    let imports = [
        "google/api/annotations.proto",
        "google/protobuf/empty.proto",
    ];
    let path = write(&folder, "a.binpb", set_of(&[file("a.proto", &imports)]));
    let schema = load(&sets(&[path])).unwrap();
    let names = file_names(&schema);
    assert_eq!(names.last().unwrap(), "a.proto");
    for name in ["google/api/http.proto", "google/protobuf/descriptor.proto"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    DescriptorPool::decode(schema.descriptor_set.as_slice()).unwrap();
}

#[test]
fn files_come_out_imports_first_whatever_order_they_were_in() {
    let folder = folder("set_order");
    let set = set_of(&[
        file("a.proto", &["m.proto", "z.proto"]),
        file("m.proto", &["z.proto"]),
        file("z.proto", &[]),
    ]);
    let schema = load(&sets(&[write(&folder, "a.binpb", set)])).unwrap();
    assert_eq!(file_names(&schema), ["z.proto", "m.proto", "a.proto"]);
}

#[test]
fn file_given_twice_with_the_same_content_counts_once_comments_aside() {
    let folder = folder("set_twice");
    let plain = file("a.proto", &[]);
    let mut commented = plain.clone();
    commented.source_code_info = Some(prost_types::SourceCodeInfo::default());
    let one = write(&folder, "one.binpb", set_of(&[plain]));
    let two = write(&folder, "two.binpb", set_of(&[commented]));
    let schema = load(&sets(&[one, two])).unwrap();
    assert_eq!(file_names(&schema), ["a.proto"]);
    assert_eq!(schema.origin, "2 files");
}

#[test]
fn file_given_twice_with_different_content_is_refused_with_both_origins() {
    let folder = folder("set_conflict");
    let mut other = file("a.proto", &[]);
    other.message_type.push(DescriptorProto {
        name: Some("M".to_owned()),
        ..DescriptorProto::default()
    });
    let one = write(&folder, "one.binpb", set_of(&[file("a.proto", &[])]));
    let two = write(&folder, "two.binpb", set_of(&[other]));
    let parts = ["a.proto: ", "one.binpb", "two.binpb", "different content"];
    assert_refused(&sets(&[one, two]), Kind::Conflict, &parts);
}

#[test]
fn two_versions_of_a_google_file_are_a_warning() {
    let folder = folder("set_google_twice");
    let name = "google/api/annotations.proto";
    let one = set_of(&[file(name, &[]), file("a.proto", &[name])]);
    let two = set_of(&[file(name, &["google/api/http.proto"])]);
    let one = write(&folder, "one.binpb", one);
    let two = write(&folder, "two.binpb", two);
    let schema = load(&sets(&[one, two])).unwrap();
    assert_eq!(schema.warnings.len(), 1);
    assert!(
        schema.warnings[0].starts_with(name),
        "{:?}",
        schema.warnings
    );
}

#[test]
fn import_that_no_set_holds_is_named_with_the_file_that_wants_it() {
    let folder = folder("set_missing_import");
    let set = set_of(&[file("shop/a.proto", &["shop/b.proto"])]);
    let path = write(&folder, "a.binpb", set);
    let parts = [
        "a.binpb: shop/a.proto imports shop/b.proto",
        "protoc --include_imports",
    ];
    assert_refused(&sets(&[path]), Kind::MissingImport, &parts);
}

#[test]
fn import_cycle_in_a_set_is_refused() {
    let folder = folder("set_cycle");
    let set = set_of(&[file("a.proto", &["b.proto"]), file("b.proto", &["a.proto"])]);
    let path = write(&folder, "a.binpb", set);
    let parts = ["a.proto -> b.proto -> a.proto"];
    assert_refused(&sets(&[path]), Kind::ImportCycle, &parts);
    let itself = set_of(&[file("a.proto", &["a.proto"])]);
    let path = write(&folder, "b.binpb", itself);
    assert_refused(&sets(&[path]), Kind::ImportCycle, &["a.proto -> a.proto"]);
}

#[test]
fn what_is_not_a_descriptor_set_is_told_by_its_looks() {
    let folder = folder("set_wrong_format");
    let cases: [(&str, &[u8], &str); 6] = [
        ("a.proto", b"syntax = \"proto3\";", "pass it with --proto"),
        ("a.binpb.gz", &[0x1f, 0x8b, 8, 0], "unpack it first"),
        ("a.json", b"{\"file\": []}", "this is JSON"),
        ("empty.binpb", b"", "it holds no file"),
        ("noise.binpb", &[0xff; 40], "not a descriptor set"),
        (
            "other.binpb",
            &[0x0a, 2, 0xff, 0xff],
            "not a FileDescriptorProto",
        ),
    ];
    for (name, content, part) in cases {
        let path = write(&folder, name, content);
        assert_refused(&sets(&[path]), Kind::WrongFormat, &[name, part]);
    }
    let nameless = set_of(&[FileDescriptorProto::default()]);
    let path = write(&folder, "nameless.binpb", nameless);
    assert_refused(&sets(&[path]), Kind::WrongFormat, &["without a name"]);
}

#[test]
fn absent_descriptor_set_is_named() {
    let path = folder("set_absent").join("no.binpb");
    assert_refused(
        &sets(&[path]),
        Kind::Unreadable,
        &["no.binpb: No such file"],
    );
}

#[test]
fn long_chain_of_imports_is_no_danger_to_the_stack() {
    let folder = folder("set_chain");
    let count = 9000;
    let files: Vec<FileDescriptorProto> = (0..count)
        .map(|index| match index {
            0 => file("f0.proto", &[]),
            _ => file(
                &format!("f{index}.proto"),
                &[format!("f{}.proto", index - 1).as_str()],
            ),
        })
        .collect();
    let path = write(&folder, "a.binpb", set_of(&files));
    let schema = load(&sets(&[path])).unwrap();
    assert_eq!(file_names(&schema).len(), count);
}

#[test]
fn more_than_ten_thousand_files_are_refused() {
    let folder = folder("set_count");
    let files: Vec<FileDescriptorProto> = (0..10_001)
        .map(|index| file(&format!("f{index}.proto"), &[]))
        .collect();
    let path = write(&folder, "a.binpb", set_of(&files));
    assert_refused(&sets(&[path]), Kind::TooLarge, &["more than 10000 files"]);
}

// ---- .proto files ----

#[test]
fn proto_file_needs_no_proto_path_for_google_imports() {
    let path = repository_path("protos/example/bookstore.proto");
    let schema = load(&protos(&[path], &[])).unwrap();
    assert!(file_names(&schema).contains(&"bookstore.proto".to_owned()));
    let rule = http_rule(&schema, "bookstore.v1.Bookstore", "ListTitles");
    assert!(rule.contains("response_body"), "{rule}");
}

#[test]
fn imports_beside_the_file_are_found() {
    let folder = folder("proto_siblings");
    let main = "syntax = \"proto3\"; import \"part.proto\"; message Main { Part part = 1; }";
    let main = write(&folder, "main.proto", main);
    let part = "syntax = \"proto3\"; message Part {}";
    let part = write(&folder, "part.proto", part);
    for order in [[main.clone(), part.clone()], [part, main]] {
        let schema = load(&protos(&order, &[])).unwrap();
        assert_eq!(file_names(&schema), ["part.proto", "main.proto"]);
        assert_eq!(schema.origin, "2 files");
    }
}

/// The second file has no imports, so nothing but the first tells that its name starts two folders up.
#[test]
fn imports_from_a_root_further_up_are_found() {
    let folder = folder("proto_root");
    let main = "syntax = \"proto3\"; package api.v1; import \"api/v1/part.proto\"; message Main { Part part = 1; }";
    let main = write(&folder, "api/v1/main.proto", main);
    let part = "syntax = \"proto3\"; package api.v1; message Part {}";
    let part = write(&folder, "api/v1/part.proto", part);
    for order in [[main.clone(), part.clone()], [part, main]] {
        let schema = load(&protos(&order, &[])).unwrap();
        let names = file_names(&schema);
        assert_eq!(names, ["api/v1/part.proto", "api/v1/main.proto"]);
    }
}

#[test]
fn proto_path_resolves_imports_and_the_file_itself() {
    let folder = folder("proto_path");
    let main = "syntax = \"proto3\"; import \"shared/part.proto\"; message Main { Part part = 1; }";
    write(&folder, "own/main.proto", main);
    let part = "syntax = \"proto3\"; message Part {}";
    write(&folder, "third_party/shared/part.proto", part);
    let roots = [folder.join("own"), folder.join("third_party")];
    for path in [folder.join("own/main.proto"), PathBuf::from("main.proto")] {
        let schema = load(&protos(&[path], &roots)).unwrap();
        assert_eq!(file_names(&schema), ["shared/part.proto", "main.proto"]);
    }
}

#[test]
fn syntax_error_is_given_with_line_and_column() {
    let folder = folder("proto_syntax");
    let text = "syntax = \"proto3\";\nmessage M {\n  int32 a 1;\n}\n";
    let path = write(&folder, "broken.proto", text);
    assert_refused(
        &protos(&[path], &[]),
        Kind::Compile,
        &["broken.proto:3:11: "],
    );
}

#[test]
fn unknown_type_is_given_with_line_and_column() {
    let folder = folder("proto_type");
    let text = "syntax = \"proto3\";\nmessage M {\n  Nothing a = 1;\n}\n";
    let path = write(&folder, "broken.proto", text);
    let parts = ["broken.proto:3:3: ", "Nothing"];
    assert_refused(&protos(&[path], &[]), Kind::Compile, &parts);
}

#[test]
fn missing_import_is_given_with_its_line_and_the_way_out() {
    let folder = folder("proto_missing_import");
    let text = "syntax = \"proto3\";\n\nimport \"shared/part.proto\";\n";
    let path = write(&folder, "main.proto", text);
    let parts = [
        "main.proto:3:1: ",
        "import 'shared/part.proto' not found",
        "--proto-path DIR",
    ];
    assert_refused(&protos(&[path], &[]), Kind::MissingImport, &parts);
}

#[test]
fn import_cycle_between_proto_files_is_refused() {
    let folder = folder("proto_cycle");
    let a = write(
        &folder,
        "a.proto",
        "syntax = \"proto3\"; import \"b.proto\";",
    );
    write(
        &folder,
        "b.proto",
        "syntax = \"proto3\"; import \"a.proto\";",
    );
    assert_refused(&protos(&[a], &[]), Kind::Compile, &["cycle", "a.proto"]);
}

#[test]
fn edition_2023_is_refused_with_the_way_out_in_the_file_and_in_its_imports() {
    let folder = folder("proto_edition");
    let text = "// New.\nedition = \"2023\";\nmessage M {}\n";
    let edition = write(&folder, "new.proto", text);
    let main = "syntax = \"proto3\"; import \"new.proto\";";
    let main = write(&folder, "main.proto", main);
    for path in [edition, main] {
        let parts = ["new.proto: ", "edition", "--descriptor-set"];
        assert_refused(&protos(&[path], &[]), Kind::Edition, &parts);
    }
}

#[test]
fn absent_proto_file_and_a_folder_are_named() {
    let folder = folder("proto_absent");
    let path = folder.join("no.proto");
    assert_refused(
        &protos(&[path], &[]),
        Kind::Unreadable,
        &["no.proto: no such file"],
    );
    assert_refused(&protos(&[folder], &[]), Kind::Unreadable, &["no such file"]);
}

#[test]
fn proto_file_outside_of_the_proto_paths_is_refused_with_the_way_out() {
    let folder = folder("proto_outside");
    let path = write(&folder, "a.proto", "syntax = \"proto3\";");
    let elsewhere = [folder.join("elsewhere")];
    let parts = ["a.proto: ", "--proto-path DIR"];
    assert_refused(&protos(&[path], &elsewhere), Kind::Compile, &parts);
}

#[test]
fn descriptor_set_given_as_a_proto_file_is_recognised() {
    let folder = folder("proto_binary");
    let mut bytes = set_of(&[file("a.proto", &[])]);
    bytes.push(0xff);
    let path = write(&folder, "a.binpb", bytes);
    assert_refused(
        &protos(&[path], &[]),
        Kind::Compile,
        &["a.binpb", "--descriptor-set"],
    );
}

// ---- both ----

#[test]
fn proto_file_may_import_what_only_a_descriptor_set_holds() {
    let folder = folder("mixed");
    let mut part = file("lib/part.proto", &[]);
    part.message_type.push(DescriptorProto {
        name: Some("Part".to_owned()),
        ..DescriptorProto::default()
    });
    let set = write(&folder, "lib.binpb", set_of(&[part]));
    let main = "syntax = \"proto3\"; import \"lib/part.proto\"; message Main { Part part = 1; }";
    let main = write(&folder, "main.proto", main);
    let sources = SchemaSources {
        descriptor_sets: vec![set],
        protos: vec![main],
        ..SchemaSources::default()
    };
    let schema = load(&sources).unwrap();
    assert_eq!(file_names(&schema), ["lib/part.proto", "main.proto"]);
    assert_eq!(schema.origin, "2 files");
}

#[test]
fn no_source_at_all_says_which_there_are() {
    let parts = ["--descriptor-set", "--proto", "--upstream"];
    assert_refused(&SchemaSources::default(), Kind::NoSource, &parts);
}

/// A tree of Google's files may bring those of protobuf in a syntax that is not known here.
#[test]
fn google_file_that_cannot_be_read_gives_way_to_the_bundled_one() {
    let folder = folder("proto_unread_google");
    write(
        &folder,
        "google/protobuf/descriptor.proto",
        "edition = \"2099\"; message FileOptions { reserved 1 to 2 [x = y]; }",
    );
    let text = "syntax = \"proto3\"; import \"google/api/annotations.proto\"; message M {}
        service S { rpc R(M) returns (M) { option (google.api.http) = { get: \"/r\" }; } }";
    let path = write(&folder, "a.proto", text);
    let schema = load(&protos(&[path], &[folder])).unwrap();
    assert!(http_rule(&schema, "S", "R").contains("/r"));
}

/// Long files are linked without most places, but what is wrong is told with its own, and comments stay.
#[test]
fn long_file_keeps_comments_and_the_line_of_a_fault() {
    let folder = folder("proto_long");
    let fields = |bad: &str| {
        let messages: String = (0..4000).fold(String::new(), |text, index| {
            text + &format!("// About {index}.\nmessage M{index} {{ string name = 1; }}\n")
        });
        format!("syntax = \"proto3\";\n{messages}message Last {{ {bad} last = 1; }}\n")
    };
    assert!(fields("M0").len() > 100_000);
    let path = write(&folder, "good.proto", fields("M0"));
    let schema = load(&protos(&[path], std::slice::from_ref(&folder))).unwrap();
    let set = FileDescriptorSet::decode(schema.descriptor_set.as_slice()).unwrap();
    let places = &set.file[0].source_code_info.as_ref().unwrap().location;
    let comments = places
        .iter()
        .map(prost_types::source_code_info::Location::leading_comments);
    assert!(comments.eq((0..4000).map(|index| format!(" About {index}.\n"))));

    let path = write(&folder, "bad.proto", fields("Absent"));
    let sources = protos(&[path], std::slice::from_ref(&folder));
    assert_refused(&sources, Kind::Compile, &["bad.proto:8002:", "Absent"]);
}
