//! Descriptor sets to schemas: what links, what is refused, and with which words.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helpers too"
)]

#[path = "support/texts.rs"]
mod texts;

use std::sync::LazyLock;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use texts::compile;
use transom_engine::route::Scratch;
use transom_engine::{Body, Schema, to_json, to_wire};

const SHOP: &str = r#"syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/longrunning/operations.proto";
import "google/protobuf/timestamp.proto";
message Item { string name = 1; map<string, string> labels = 2; }
message GetItem { string name = 1; google.protobuf.Timestamp at = 2; }
message PutItem { string name = 1; Item item = 2; repeated string tags = 3; }
service Items {
  rpc Get(GetItem) returns (Item) {
    option (google.api.http) = {
      get: "/v1/{name=items/*}"
      response_body: "labels"
      additional_bindings { get: "/v1/{name=items/*}/at/{at}" }
    };
  }
  rpc Put(PutItem) returns (google.longrunning.Operation) {
    option (google.api.http) = { patch: "/v1/{item.name=items/*}" body: "item" };
  }
  rpc Watch(stream GetItem) returns (stream Item);
}"#;

fn shop() -> Schema {
    Schema::from_descriptor_set(&compile(&[("shop.proto", SHOP)], false)).unwrap()
}

/// The error of a set.
#[track_caller]
fn refused(set: &[u8]) -> String {
    Schema::from_descriptor_set(set).unwrap_err().to_string()
}

fn file(name: &str, dependency: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        dependency: dependency.iter().map(|&each| each.to_owned()).collect(),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn set(file: Vec<FileDescriptorProto>) -> Vec<u8> {
    FileDescriptorSet { file }.encode_to_vec()
}

/// What says that it is the entry of a map but has no key, or one that no JSON object could have, would be no map to any reader.
#[test]
fn map_entry_that_is_none_is_refused() {
    let map = "syntax = \"proto3\"; message M { map<string, M> m = 1; }";
    let good = FileDescriptorSet::decode(&*compile(&[("a.proto", map)], false)).unwrap();
    assert!(Schema::from_descriptor_set(&good.encode_to_vec()).is_ok());
    let spoil: [fn(&mut Vec<FieldDescriptorProto>); 8] = [
        Vec::clear,
        |fields| _ = fields.remove(0),
        |fields| _ = fields.pop(),
        |fields| fields[0].number = Some(3),
        |fields| fields[0].set_type(Type::Double),
        |fields| fields[0].set_type(Type::Bytes),
        |fields| fields[1].set_label(Label::Repeated),
        |fields| {
            let mut third = fields[0].clone();
            (third.number, third.name) = (Some(3), Some("third".to_owned()));
            third.json_name = None;
            fields.push(third);
        },
    ];
    for spoil in spoil {
        let mut set = good.clone();
        spoil(&mut set.file[0].message_type[0].nested_type[0].field);
        let words = refused(&set.encode_to_vec());
        assert!(
            words.contains("a.proto: M.MEntry is marked as the entry of a map and is none"),
            "{words}"
        );
    }
}

#[test]
fn control_characters_in_names_are_escaped_in_errors() {
    let words = refused(&set(vec![file("a\x1b[2J\n.proto", &["missing.proto"])]));
    assert!(
        words.starts_with(r"a\u{1b}[2J\n.proto: it imports"),
        "{words}"
    );
}

#[test]
fn routes_are_those_of_rules_and_then_the_paths_of_methods() {
    let schema = shop();
    let routes: Vec<_> = schema
        .routes()
        .map(|route| {
            (
                route.http_method(),
                route.template(),
                route.method().full_name(),
            )
        })
        .collect();
    assert_eq!(
        routes,
        [
            ("GET", "/v1/{name=items/*}", "shop.Items.Get"),
            ("GET", "/v1/{name=items/*}/at/{at}", "shop.Items.Get"),
            ("PATCH", "/v1/{item.name=items/*}", "shop.Items.Put"),
            ("POST", "/shop.Items/Get", "shop.Items.Get"),
            ("POST", "/shop.Items/Put", "shop.Items.Put"),
            ("POST", "/shop.Items/Watch", "shop.Items.Watch"),
        ]
    );
}

#[test]
fn route_tells_body_response_body_and_variables() {
    let schema = shop();
    let routes: Vec<_> = schema.routes().collect();
    assert_eq!(routes[0].body(), Body::Ignored);
    assert_eq!(routes[0].response_body(), Some("labels"));
    assert_eq!(routes[1].response_body(), None);
    assert_eq!(routes[1].variables().collect::<Vec<_>>(), ["name", "at"]);
    assert_eq!(routes[2].body(), Body::Field("item"));
    assert_eq!(routes[2].variables().collect::<Vec<_>>(), ["item.name"]);
    assert_eq!(routes[3].body(), Body::Whole);
}

#[test]
fn method_tells_messages_and_streams() {
    let schema = shop();
    let methods: Vec<_> = schema.methods().collect();
    assert_eq!(methods[1].path(), "/shop.Items/Put");
    assert_eq!(methods[1].input().full_name(), "shop.PutItem");
    assert_eq!(
        methods[1].output().full_name(),
        "google.longrunning.Operation"
    );
    assert!(!methods[1].is_client_streaming() && !methods[1].is_server_streaming());
    assert!(methods[2].is_client_streaming() && methods[2].is_server_streaming());
}

#[test]
fn files_of_google_need_not_be_in_the_set() {
    let schema = shop();
    assert_eq!(schema.routes().len(), 6);
    // The service of google/longrunning is described, but not brought by the set.
    assert_eq!(schema.service_count(), 1);
    assert_eq!(schema.message_count(), 3);
    assert!(schema.message("google.longrunning.Operation").is_some());
}

#[test]
fn services_of_google_that_the_set_brings_are_served() {
    let schema = Schema::from_descriptor_set(&compile(&[("shop.proto", SHOP)], true)).unwrap();
    assert_eq!(schema.service_count(), 2);
    let route = schema
        .find_route(
            b"POST",
            b"/v1/operations/a/b:cancel",
            &mut Scratch::default(),
        )
        .unwrap();
    assert_eq!(
        route.method().full_name(),
        "google.longrunning.Operations.CancelOperation"
    );
}

#[test]
fn error_details_are_always_known() {
    let plain = compile(&[("a.proto", "syntax = \"proto3\"; message A {}")], true);
    let schema = Schema::from_descriptor_set(&plain).unwrap();
    for name in [
        "google.rpc.Status",
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest.FieldViolation",
        "google.protobuf.Timestamp",
        "google.protobuf.StringValue",
    ] {
        assert!(schema.message(name).is_some(), "{name}");
    }
    assert_eq!(schema.message_count(), 1);
}

#[test]
fn files_of_google_under_another_path_link() {
    let status = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../protos/google/rpc/status.proto"),
    )
    .unwrap();
    let own = "syntax = \"proto3\"; import \"third_party/google/rpc/status.proto\"; message A { google.rpc.Status status = 1; }";
    let files = [
        ("third_party/google/rpc/status.proto", status.as_str()),
        ("a.proto", own),
    ];
    let schema = Schema::from_descriptor_set(&compile(&files, true)).unwrap();
    assert!(schema.message("google.rpc.Status").is_some());
    assert!(schema.message("google.rpc.ErrorInfo").is_some());
}

/// The set as a message, so that its unknown options stay while something is taken out.
fn edit(set: &[u8], change: impl Fn(&str, &mut DynamicMessage) -> bool) -> Vec<u8> {
    let kind = DescriptorPool::global()
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .unwrap();
    let mut set = DynamicMessage::decode(kind, set).unwrap();
    let files = set
        .get_field_by_name_mut("file")
        .unwrap()
        .as_list_mut()
        .unwrap();
    files.retain_mut(|file| {
        let Value::Message(file) = file else {
            return false;
        };
        let name = file.get_field_by_name("name").unwrap().into_owned();
        change(name.as_str().unwrap(), file)
    });
    set.encode_to_vec()
}

fn drop_import(file: &mut DynamicMessage, name: &str) {
    file.get_field_by_name_mut("dependency")
        .unwrap()
        .as_list_mut()
        .unwrap()
        .retain(|each| each.as_str() != Some(name));
}

#[test]
fn rule_is_read_among_options_nobody_knows() {
    let options = r#"syntax = "proto3"; package own;
        import "google/protobuf/descriptor.proto";
        message Note { string text = 1; }
        extend google.protobuf.MethodOptions { Note note = 50001; }
        extend google.protobuf.FieldOptions { string since = 50002; }
        extend google.protobuf.FileOptions { int32 level = 50003; }"#;
    let text = r#"syntax = "proto3"; package a;
        import "google/api/annotations.proto";
        import "own.proto";
        option (own.level) = 3;
        message A { string name = 1 [(own.since) = "3.4"]; }
        service S { rpc Get(A) returns (A) {
            option (own.note) = { text: "x" };
            option (google.api.http) = { get: "/v1/{name}" };
        } }"#;
    let full = compile(&[("own.proto", options), ("a.proto", text)], true);
    // Neither the extensions nor google.api.http are declared in what is left.
    let bare = edit(&full, |name, file| {
        drop_import(file, "own.proto");
        drop_import(file, "google/api/annotations.proto");
        name == "a.proto"
    });
    for set in [full, bare] {
        let schema = Schema::from_descriptor_set(&set).unwrap();
        let route = schema.routes().next().unwrap();
        assert_eq!(route.template(), "/v1/{name}");
    }
}

#[test]
fn public_imports_of_public_imports_are_seen() {
    let schema = Schema::from_descriptor_set(&compile(
        &[
            ("d.proto", "syntax = \"proto3\"; message D {}"),
            ("c.proto", "syntax = \"proto3\"; import public \"d.proto\";"),
            ("b.proto", "syntax = \"proto3\"; import public \"c.proto\";"),
        ],
        true,
    ));
    assert!(schema.is_ok());
    let field = FieldDescriptorProto {
        name: Some("d".to_owned()),
        number: Some(1),
        label: Some(1),
        r#type: Some(11),
        type_name: Some(".D".to_owned()),
        ..Default::default()
    };
    let message = |name: &str, field: Vec<_>| prost_types::DescriptorProto {
        name: Some(name.to_owned()),
        field,
        ..Default::default()
    };
    let mut files = vec![
        file("d.proto", &[]),
        file("c.proto", &["d.proto"]),
        file("b.proto", &["c.proto"]),
        file("a.proto", &["b.proto"]),
    ];
    files[0].message_type.push(message("D", Vec::new()));
    files[1].public_dependency.push(0);
    files[2].public_dependency.push(0);
    files[3].message_type.push(message("A", vec![field]));
    assert!(Schema::from_descriptor_set(&set(files.clone())).is_ok());
    files[1].public_dependency.clear();
    assert!(refused(&set(files)).contains("a.proto: name 'D' is not defined"));
}

#[test]
fn sets_laid_end_to_end_are_one_set() {
    let mut both = compile(&[("shop.proto", SHOP)], true);
    both.extend(compile(
        &[("a.proto", "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message A { google.protobuf.Timestamp t = 1; }")],
        true,
    ));
    both.extend(compile(&[("shop.proto", SHOP)], true));
    let schema = Schema::from_descriptor_set(&both).unwrap();
    assert!(schema.message("A").is_some());
    assert_eq!(schema.service_count(), 2);
}

#[test]
fn two_different_files_of_one_name_are_refused() {
    let mut both = compile(&[("a.proto", "syntax = \"proto3\"; message A {}")], true);
    both.extend(compile(
        &[("a.proto", "syntax = \"proto3\"; message B {}")],
        true,
    ));
    assert!(refused(&both).contains("a.proto: the descriptor set holds two different files"));
}

#[test]
fn what_is_no_descriptor_set_is_refused_with_a_remedy() {
    for set in [
        &b""[..],
        b"{\"file\": []}",
        b"syntax = \"proto3\";",
        b"\x0a\x05abc",
        b"\x0a\x00",
    ] {
        assert!(refused(set).contains("--include_imports"), "{set:?}");
    }
}

#[test]
fn missing_import_is_named_with_the_file_that_wants_it() {
    let error = refused(&set(vec![file("a.proto", &["other/b.proto"])]));
    assert!(
        error.starts_with("a.proto: it imports other/b.proto, which the descriptor set lacks"),
        "{error}"
    );
}

#[test]
fn imports_in_a_circle_are_refused() {
    for files in [
        vec![file("a.proto", &["a.proto"])],
        vec![
            file("a.proto", &["b.proto"]),
            file("b.proto", &["c.proto"]),
            file("c.proto", &["b.proto"]),
        ],
    ] {
        assert!(refused(&set(files)).contains("a.proto: its imports lead back"));
    }
}

#[test]
fn syntax_that_is_not_known_is_refused() {
    let mut odd = file("a.proto", &[]);
    odd.syntax = Some("proto4".to_owned());
    assert!(refused(&set(vec![odd])).contains("a.proto: the syntax is `proto4`"));
}

/// The files of editions in `protos/test`.
const EDITIONS: &[u8] = include_bytes!("../../protos/test/editions.binpb");

#[test]
fn rules_of_a_file_of_an_edition_are_read() {
    let schema = Schema::from_descriptor_set(EDITIONS).unwrap();
    let routes: Vec<_> = schema.routes().map(|route| route.template()).collect();
    assert_eq!(
        routes,
        [
            "/v1/kinds/{implicit}",
            "/transom.test.edition2023.Edition/Get"
        ]
    );
}

/// A set of the file `a.proto` with one message `M`, `syntax` and `edition` as given, and these bytes as the options of the file and of
/// the message.
fn of_edition(syntax: &str, edition: u8, file_options: &[u8], options: &[u8]) -> Vec<u8> {
    let part = |tag: &[u8], bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).unwrap();
        [tag, &[len], bytes].concat()
    };
    let message = [part(b"\x0a", b"M"), part(b"\x3a", options)].concat();
    let file = [
        part(b"\x0a", b"a.proto"),
        part(b"\x22", &message),
        part(b"\x42", file_options),
        part(b"\x62", syntax.as_bytes()),
        // The high byte of the varint of any number close to 1000 is 7.
        vec![0x70, edition, 7],
    ]
    .concat();
    part(b"\x0a", &file)
}

/// The low byte of the varints of `Edition.EDITION_2023`, 1000, and of `EDITION_2024`.
const EDITION_2023: u8 = 0xe8;
const EDITION_2024: u8 = 0xe9;

#[test]
fn edition_that_is_not_known_is_refused_with_the_way_out() {
    for edition in [EDITION_2023, EDITION_2024] {
        let set = of_edition("editions", edition, b"", b"");
        assert!(Schema::from_descriptor_set(&set).is_ok());
    }
    // One that is none yet.
    for (syntax, edition, number) in [
        ("editions", 0xea, "1002"),
        ("", 0xea, "1002"),
        ("proto3", 0xea, "1002"),
    ] {
        let error = refused(&of_edition(syntax, edition, b"", b""));
        let start = format!("a.proto: it is of the edition with the number {number}; Transom");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("2023 and 2024"), "{error}");
    }
    assert!(Schema::from_descriptor_set(&of_edition("proto3", 0xe7, b"", b"")).is_ok());
    let mut lost = file("a.proto", &[]);
    lost.syntax = Some("editions".to_owned());
    assert!(refused(&set(vec![lost])).contains("a.proto: it is of an edition, but does not say"));
}

#[test]
fn feature_that_is_not_known_is_refused_with_its_name() {
    // Field 50 of the options of a file, and 12 of those of a message, hold the features.
    let both = |features: &[u8]| {
        let len = u8::try_from(features.len()).unwrap();
        let of_file = [b"\x92\x03", &[len][..], features].concat();
        let of_message = [b"\x62", &[len][..], features].concat();
        [(of_file, Vec::new()), (Vec::new(), of_message)]
    };
    for features in [
        &b""[..],
        b"\x08\x01\x10\x01\x18\x01\x20\x02\x28\x01\x30\x01",
        b"\x08\x03\x10\x02\x18\x02\x20\x03\x28\x02\x30\x02",
        // How names are written and seen, and the features of a language, which are extensions.
        b"\x38\x01\x40\x02\xc2\x3e\x02\x08\x01",
    ] {
        for (of_file, of_message) in both(features) {
            let set = of_edition("editions", EDITION_2024, &of_file, &of_message);
            assert!(Schema::from_descriptor_set(&set).is_ok(), "{features:?}");
        }
    }
    for (features, words) in [
        (&b"\x08\x04"[..], "field_presence to the number 4"),
        (b"\x10\x00", "enum_type to the number 0"),
        (b"\x18\x03", "repeated_field_encoding to the number 3"),
        (b"\x20\x01", "utf8_validation to the number 1"),
        (b"\x28\x03", "message_encoding to the number 3"),
        (b"\x30\x03", "json_format to the number 3"),
        (b"\x0a\x00", "field_presence to something that is no number"),
        (b"\x48\x01", "the feature with the number 9"),
        (b"\x08", "not valid protobuf"),
    ] {
        for (of_file, of_message) in both(features) {
            let error = refused(&of_edition("editions", EDITION_2023, &of_file, &of_message));
            assert!(
                error.starts_with("a.proto: ") && error.contains(words),
                "{error}"
            );
        }
    }
}

#[test]
fn extensions_of_one_number_are_refused_but_for_options() {
    let text = r#"syntax = "proto2"; package a;
        import "google/protobuf/descriptor.proto";
        message A { extensions 4 to max; }
        extend A { optional int32 one = 4; }
        extend google.protobuf.FieldOptions { optional int32 mine = 50000; }"#;
    let other = r#"syntax = "proto2"; package b;
        import "a.proto";
        import "google/protobuf/descriptor.proto";
        extend a.A { optional int32 two = 4; }
        extend google.protobuf.FieldOptions { optional int32 yours = 50000; }"#;
    let error = refused(&compile(&[("a.proto", text), ("b.proto", other)], true));
    assert!(
        error.starts_with("b.proto: the extension b.two has the number 4 of a.A, which a.one has"),
        "{error}"
    );
    let other = other.replace("two = 4", "two = 5");
    let set = compile(&[("a.proto", text), ("b.proto", &other)], true);
    assert!(Schema::from_descriptor_set(&set).is_ok());
}

/// SEMANTICS 95: protoc lets them pass with a warning, and the linker would not.
#[test]
fn fields_of_one_json_name_go_by_names_of_their_own() {
    // The file's syntax, its fields, and the keys that they are written by.
    for (syntax, fields, keys) in [
        (
            "proto2",
            [("foo_bar", None), ("fooBar", None)],
            ["foo_bar", "fooBar"],
        ),
        (
            "proto2",
            [("fooBar", None), ("foo_bar", None)],
            ["fooBar", "foo_bar"],
        ),
        (
            "proto2",
            [("foo_bar", None), ("foo__bar", None)],
            ["fooBar", "foo__bar"],
        ),
        ("proto2", [("x", Some("y")), ("y", None)], ["x", "y"]),
        (
            "proto3",
            [("foo_bar", Some("fooBar")), ("fooBar", Some("fooBar"))],
            ["foo_bar", "fooBar"],
        ),
        // These have two JSON names, but the linker takes them for one in proto3.
        ("proto3", [("a_b", None), ("ab", None)], ["aB", "ab"]),
        ("proto3", [("foo", None), ("FOO", None)], ["foo", "FOO"]),
    ] {
        let mut one = file("a.proto", &[]);
        one.syntax = Some(syntax.to_owned());
        one.message_type.push(prost_types::DescriptorProto {
            name: Some("M".to_owned()),
            field: (1..)
                .zip(fields)
                .map(|(number, (name, json_name))| FieldDescriptorProto {
                    name: Some(name.to_owned()),
                    json_name: json_name.map(str::to_owned),
                    number: Some(number),
                    label: Some(1),
                    r#type: Some(5),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        let schema = Schema::from_descriptor_set(&set(vec![one])).unwrap();
        let message = schema.message("M").unwrap();
        let mut json = Vec::new();
        let wire = b"\x08\x01\x10\x02";
        to_json(message, wire, &mut to_json::Scratch::default(), &mut json).unwrap();
        let expected = format!(r#"{{"{}":1,"{}":2}}"#, keys[0], keys[1]);
        assert_eq!(String::from_utf8(json).unwrap(), expected);
        let mut read = Vec::new();
        let scratch = &mut to_wire::Scratch::default();
        to_wire(message, expected.as_bytes(), scratch, &mut read).unwrap();
        assert_eq!(read, wire);
    }
}

#[test]
fn rule_that_names_an_extension_is_refused() {
    let text = r#"syntax = "proto2";
        import "google/api/annotations.proto";
        message A { extensions 4 to max; }
        extend A { optional string more = 4; }
        service S { rpc Put(A) returns (A) { option (google.api.http) = { put: "/v1" body: "[more]" }; } }"#;
    let error = refused(&compile(&[("a.proto", text)], true));
    assert!(
        error.contains("body `[more]` is not a field of A"),
        "{error}"
    );
}

#[test]
fn member_of_a_message_set_that_has_no_item_is_refused() {
    for member in [
        "optional int32 odd = 4;",
        "repeated a.A odd = 4;",
        "optional group Odd = 4 {}",
    ] {
        let text = format!(
            "syntax = \"proto2\"; package a; message A {{ option message_set_wire_format = true; extensions 4 to max; }} extend A {{ {member} }}"
        );
        let error = refused(&compile(&[("a.proto", &text)], true));
        assert!(
            error.starts_with("a.proto: message a.A is a message set, and [a.odd] is no extension"),
            "{error}"
        );
    }
}

#[test]
fn reflection_has_no_routes() {
    let text = "syntax = \"proto3\"; package grpc.reflection.v1; message A {} service ServerReflection { rpc Info(stream A) returns (stream A); }";
    let schema = Schema::from_descriptor_set(&compile(&[("r.proto", text)], true)).unwrap();
    assert_eq!(schema.service_count(), 0);
    assert_eq!(schema.methods().len(), 0);
    assert_eq!(schema.routes().len(), 0);
}

/// A set of one method with this rule, in the text format.
fn with_rule(rule: &str) -> Result<Schema, String> {
    let text = format!(
        r#"syntax = "proto3";
        package a;
        import "google/api/annotations.proto";
        import "google/protobuf/any.proto";
        import "google/protobuf/struct.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        message Sub {{ string name = 1; Sub sub = 2; google.protobuf.Timestamp at = 3; }}
        message In {{
          string name = 1; Sub sub = 2; repeated string list = 3; map<string, Sub> map = 4; repeated Sub subs = 5;
          google.protobuf.StringValue wrapped = 6; google.protobuf.Struct free = 7; google.protobuf.Any any = 8;
          int32 page_size = 9; oneof which {{ string left = 10; Sub right = 11; }}
        }}
        message Out {{ string name = 1; }}
        service S {{
          rpc First(In) returns (Out) {{ option (google.api.http) = {{ get: "/first/{{name}}/x" }}; }}
          rpc Get(In) returns (Out) {{ option (google.api.http) = {{ {rule} }}; }}
        }}"#
    );
    Schema::from_descriptor_set(&compile(&[("dir/a.proto", &text)], true))
        .map_err(|error| error.to_string())
}

#[track_caller]
fn rule_is_refused(rule: &str, why: &str) {
    let error = with_rule(rule).unwrap_err();
    assert!(
        error.starts_with("dir/a.proto: a.S.Get: ") && error.contains(why),
        "{rule}: {error}"
    );
}

#[track_caller]
fn rule_is_accepted(rule: &str) -> Schema {
    with_rule(rule).unwrap_or_else(|error| panic!("{rule}: {error}"))
}

#[test]
fn bad_template_is_refused_with_its_text() {
    rule_is_refused(
        r#"get: "v1""#,
        "the template `v1` is not valid: it does not start with `/`",
    );
    rule_is_refused(r#"get: "/v1/{name""#, "not closed");
    rule_is_refused(r#"get: "/v1/{name=**}/{sub.name}""#, "`*` comes after `**`");
    rule_is_refused(r#"get: "/v1/{name}/{name}""#, "`name` comes twice");
    rule_is_refused(r#"get: """#, "does not start with `/`");
    rule_is_refused(r#"body: "*""#, "its rule has no path");
}

#[test]
fn variable_that_is_no_single_value_is_refused() {
    rule_is_refused(
        r#"get: "/v1/{nosuch}""#,
        "the rule `GET /v1/{nosuch}`: the variable `nosuch`: `nosuch` is not a field of a.In",
    );
    rule_is_refused(
        r#"get: "/v1/{sub.nosuch}""#,
        "`nosuch` is not a field of a.Sub",
    );
    rule_is_refused(
        r#"get: "/v1/{pageSize}""#,
        "give the name that the proto file has",
    );
    rule_is_refused(r#"get: "/v1/{list}""#, "`list` of a.In is repeated");
    rule_is_refused(r#"get: "/v1/{subs.name}""#, "`subs` of a.In is repeated");
    rule_is_refused(r#"get: "/v1/{map}""#, "`map` of a.In is a map");
    rule_is_refused(r#"get: "/v1/{map.name}""#, "`map` of a.In is a map");
    rule_is_refused(
        r#"get: "/v1/{sub}""#,
        "`sub` of a.In is a message; name one of its fields, as in `{sub.field}`",
    );
    rule_is_refused(r#"get: "/v1/{free}""#, "is a message");
    rule_is_refused(r#"get: "/v1/{any}""#, "is a message");
    rule_is_refused(r#"get: "/v1/{name.x}""#, "`name` of a.In is no message");
    rule_is_refused(
        r#"get: "/v1/{left}/{right.name}""#,
        "members of one oneof of a.In",
    );
    rule_is_accepted(r#"get: "/v1/{wrapped}/{sub.at}/{sub.sub.name}/{page_size}/{left}""#);
}

#[test]
fn body_is_nothing_everything_or_one_field() {
    rule_is_refused(
        r#"post: "/v1" body: "sub.name""#,
        "body `sub.name` is a path of fields",
    );
    rule_is_refused(
        r#"post: "/v1" body: "nosuch""#,
        "body `nosuch` is not a field of a.In",
    );
    rule_is_refused(
        r#"get: "/v1" response_body: "sub""#,
        "response_body `sub` is not a field of a.Out",
    );
    rule_is_refused(
        r#"get: "/v1" response_body: "*""#,
        "response_body `*` is not allowed",
    );
    for body in ["*", "sub", "list", "map", "subs", "name"] {
        rule_is_accepted(&format!(r#"post: "/v1" body: "{body}""#));
    }
    // SEMANTICS 6, 12
    rule_is_accepted(r#"post: "/v1/{sub.name}" body: "sub""#);
    rule_is_accepted(r#"delete: "/v1" body: "*""#);
    rule_is_accepted(r#"get: "/v1" response_body: "name""#);
}

#[test]
fn additional_bindings_have_one_level() {
    rule_is_refused(
        r#"get: "/v1" additional_bindings { get: "/v2" additional_bindings { get: "/v3" } }"#,
        "additional_bindings stand inside of additional_bindings",
    );
    rule_is_refused(
        r#"get: "/v1" additional_bindings { body: "*" }"#,
        "its rule has no path",
    );
}

#[test]
fn custom_kind_is_a_token() {
    rule_is_refused(
        r#"custom { kind: "A B" path: "/v1" }"#,
        "the custom kind `A B`",
    );
    rule_is_refused(r#"custom { path: "/v1" }"#, "the custom kind ``");
    rule_is_accepted(r#"custom { kind: "*" path: "/v1" }"#);
    rule_is_accepted(r#"custom { kind: "x-Brew" path: "/v1" }"#);
}

#[test]
fn rules_that_take_the_same_requests_are_refused_with_both_names() {
    for template in ["/first/{sub.name}/x", "/first/*/x", "/%66irst/{name}/%78"] {
        let error = with_rule(&format!("get: \"{template}\"")).unwrap_err();
        assert_eq!(
            error,
            format!(
                "dir/a.proto: a.S.Get: the rule `GET {template}`: it takes the same requests as `GET /first/{{name}}/x` of a.S.First; change the path, verb or method of one of the two"
            )
        );
    }
    rule_is_refused(
        r#"get: "/v1/{name}" additional_bindings { get: "/v1/{left}" }"#,
        "it takes the same requests as `GET /v1/{name}` of a.S.Get",
    );
    rule_is_refused(
        r#"custom { kind: "*" path: "/v1" } additional_bindings { custom { kind: "*" path: "/v1" } }"#,
        "it takes the same requests as `* /v1` of a.S.Get",
    );
    rule_is_accepted(r#"post: "/first/{name}/x""#);
    rule_is_accepted(r#"get: "/first/{name}/x:verb""#);
    rule_is_accepted(r#"get: "/first/{name=**}/x""#);
    rule_is_accepted(r#"custom { kind: "*" path: "/first/{name}/x" }"#);
}

#[test]
fn path_of_a_method_yields_to_a_rule_that_owns_it() {
    let owners = |schema: &Schema, path: &str| {
        schema
            .routes()
            .filter(|route| route.template() == path)
            .map(|route| {
                (
                    route.http_method().to_owned(),
                    route.method().full_name().to_owned(),
                )
            })
            .collect::<Vec<_>>()
    };
    let owned = rule_is_accepted(r#"post: "/a.S/First" body: "sub""#);
    assert_eq!(
        owners(&owned, "/a.S/First"),
        [("POST".into(), "a.S.Get".into())]
    );
    let own = rule_is_accepted(r#"post: "/a.S/Get" body: "*""#);
    assert_eq!(
        owners(&own, "/a.S/Get"),
        [("POST".into(), "a.S.Get".into())]
    );
    let any = rule_is_accepted(r#"custom { kind: "*" path: "/a.S/First" }"#);
    assert_eq!(owners(&any, "/a.S/First"), [("*".into(), "a.S.Get".into())]);
    let other = rule_is_accepted(r#"get: "/a.S/First""#);
    assert_eq!(owners(&other, "/a.S/First").len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_set_is_served_or_refused_but_never_a_panic(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        whole in prop::sample::select(vec![0, 1, 2]),
    ) {
        // Without the imports, so that most of the damage is done to what the schema is made of.
        static WHOLE: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
            let proto2 = include_str!("../../protos/test/proto2.proto");
            [
                compile(&[("shop.proto", SHOP)], false),
                compile(&[("proto2.proto", proto2)], false),
                EDITIONS.to_vec(),
            ]
        });
        let mut set = WHOLE[whole].clone();
        if let Some(cut) = cut {
            set.truncate(cut.index(set.len()));
        }
        for (place, byte) in places {
            if !set.is_empty() {
                let at = place.index(set.len());
                set[at] = byte;
            }
        }
        match Schema::from_descriptor_set(&set) {
            Ok(schema) => {
                prop_assert!(schema.routes().len() >= schema.methods().len());
                // Plans of odd descriptors hold as well, whatever comes.
                for message in schema.messages() {
                    let mut json = Vec::new();
                    let _ = to_json(message, &set, &mut to_json::Scratch::default(), &mut json);
                    let _ = to_wire(message, b"{}", &mut to_wire::Scratch::default(), &mut json);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
