//! Path templates. In: a template, a line end, and a path. Always: a template is refused in words or compiles; what a path is found to
//! capture lies in the path, in order.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use transom_engine::Schema;
use transom_engine::route::Scratch;

/// A template as the rule of a method, and a path that may fit it.
pub fn template(input: &[u8]) {
    let Some(at) = input.iter().position(|&byte| byte == b'\n') else {
        return;
    };
    let (template, path) = input.split_at(at);
    let Ok(template) = str::from_utf8(template) else {
        return;
    };
    let schema = match Schema::from_descriptor_set(&descriptor_set(template)) {
        Ok(schema) => schema,
        Err(error) => {
            assert!(error.to_string().contains("test.Service.Method"), "{error}");
            return;
        }
    };
    let route = schema.routes().next().expect("the method has a rule");
    assert_eq!(route.template(), template);
    let variable_count = route.variables().len();

    let mut scratch = Scratch::default();
    for path in [path.get(1..).unwrap_or_default(), template.as_bytes()] {
        let Ok(route) = schema.find_route(b"GET", path, &mut scratch) else {
            continue;
        };
        let captures = scratch.captures();
        assert_eq!(route.variables().len(), variable_count);
        assert_eq!(captures.len(), variable_count);
        let mut end = 0;
        for capture in captures {
            assert!(end <= capture.start && capture.start <= capture.end);
            end = capture.end;
        }
        assert!(end as usize <= path.len());
        assert!(path.starts_with(b"/"));
    }
}

/// Number of `google.api.http` among the options of a method.
const HTTP_RULE: u32 = 72295728;

/// A file with one method whose rule is `get: template`. Its fields are `a`, `b` and `c`, and `m` is a message of those.
fn descriptor_set(template: &str) -> Vec<u8> {
    let field = |name: &str, number, kind: Type| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: (kind == Type::Message).then(|| ".test.M".to_owned()),
        ..FieldDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".to_owned()),
        package: Some("test".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![DescriptorProto {
            name: Some("M".to_owned()),
            field: vec![
                field("a", 1, Type::String),
                field("b", 2, Type::Int32),
                field("c", 3, Type::Bytes),
                field("m", 4, Type::Message),
            ],
            ..DescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    // The types of prost have no room for the rule, so the service is written by hand: fields of one message may come in pieces.
    let rule = delimited(2, template.as_bytes());
    let method = [
        delimited(1, b"Method"),
        delimited(2, b".test.M"),
        delimited(3, b".test.M"),
        delimited(4, &delimited(HTTP_RULE, &rule)),
    ];
    let service = [delimited(1, b"Service"), delimited(2, &method.concat())];
    let mut file = file.encode_to_vec();
    file.extend(delimited(6, &service.concat()));
    delimited(1, &file)
}

/// A field that is a length and these bytes.
fn delimited(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}
