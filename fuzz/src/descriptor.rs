//! Descriptor sets. In: a byte for the options, then a set, of anybody's making. Always: it is refused in words, or compiles to a schema
//! in which every message can be read and written, and every method and route has its names.

use transom_engine::{Message, Schema, to_json, to_wire};

use crate::schema::OPTIONS;

/// A set that a schema is made of.
pub fn descriptor(input: &[u8]) {
    let Some((&choice, set)) = input.split_first() else {
        return;
    };
    let options = &OPTIONS[usize::from(choice) % OPTIONS.len()];
    let schema = match Schema::compile(set, options) {
        Ok(schema) => schema,
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty(), "an error without words");
            assert!(!words.contains(char::is_control), "{words:?}");
            return;
        }
    };
    for message in schema.messages() {
        check(&schema, message);
    }
    for method in schema.methods() {
        assert!(method.path().starts_with('/'));
        check(&schema, method.input());
        check(&schema, method.output());
    }
    for route in schema.routes() {
        assert!(route.template().starts_with('/'));
        assert!(!route.http_method().is_empty());
        assert!(route.variables().all(|name| !name.is_empty()));
        let method = route.method();
        assert!(schema.methods().any(|each| each.path() == method.path()));
    }
}

/// An empty message comes through, and its name leads to it.
fn check(schema: &Schema, message: Message<'_>) {
    let name = message.full_name();
    let found = schema.message(name).map(|message| message.full_name());
    assert_eq!(found, Some(name));
    let mut json = Vec::new();
    if to_json(message, b"", &mut to_json::Scratch::default(), &mut json).is_err() {
        return;
    }
    let mut wire = Vec::new();
    let result = to_wire(message, &json, &mut to_wire::Scratch::default(), &mut wire);
    assert!(
        result.is_ok(),
        "{name}: {result:?} of {}",
        String::from_utf8_lossy(&json)
    );
}
