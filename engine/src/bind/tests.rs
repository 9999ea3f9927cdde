//! Cases from `tests/cases/bind`, one file a topic, and what cannot be said in them.
//!
//! A case names a message, the variables of a route with the raw text they capture, the raw query, where the body goes and what message
//! it has set. It expects either the message that the wire then holds, compared by meaning, or an error.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

use super::*;
use crate::plan::{MethodIndex, Options, ShapePlan};
use crate::{Schema, SchemaError};

struct Fixture {
    pool: DescriptorPool,
    lenient: Schema,
    strict: Schema,
}

impl Fixture {
    fn new() -> Self {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos/test");
        let set = protox::compile(["kinds.proto", "proto2.proto"], [directory]).unwrap();
        let bytes = set.encode_to_vec();
        let compile = |options| -> Result<Schema, SchemaError> { Schema::compile(&bytes, options) };
        Self {
            pool: DescriptorPool::decode(&*bytes).unwrap(),
            lenient: compile(&Options::default()).unwrap(),
            strict: compile(&Options {
                reject_unknown_query: true,
                ..Options::default()
            })
            .unwrap(),
        }
    }
}

/// One request, ready to be bound.
struct Request<'p> {
    plan: &'p Plan,
    input: MessageIndex,
    route: RoutePlan,
    /// Path, question mark and query.
    target: String,
    captures: Vec<Range<u32>>,
    query_offset: usize,
    body: Vec<u8>,
    rule: QueryRule,
}

/// A variable: name, raw capture, whether it captures many segments.
type Variable<'v> = (&'v str, &'v str, bool);

impl<'p> Request<'p> {
    fn new(schema: &'p Schema, message: &str, variables: &[Variable<'_>], query: &str) -> Self {
        let plan = &schema.plan;
        let input = plan.find_message(message).unwrap().index;
        let mut target = String::new();
        let mut captures = Vec::new();
        let mut plans = Vec::new();
        for &(name, capture, is_many) in variables {
            target.push('/');
            let start = u32::try_from(target.len()).unwrap();
            target.push_str(capture);
            captures.push(start..u32::try_from(target.len()).unwrap());
            plans.push(VariablePlan {
                name: name.into(),
                path: path_of(plan, input, name),
                is_single_segment: !is_many,
                segments: 0..1,
            });
        }
        target.push('?');
        let query_offset = target.len();
        target.push_str(query);
        Self {
            plan,
            input,
            route: RoutePlan {
                http_method: "GET".into(),
                template: "/".into(),
                method: MethodIndex(0),
                body: BodyPlan::Ignored,
                takes_raw_body: false,
                response_body: None,
                gives_raw_body: false,
                mask: None,
                variables: plans.into(),
                shape: ShapePlan {
                    segment_count: 1,
                    rest: None,
                    has_verb: false,
                },
            },
            target,
            captures,
            query_offset,
            body: Vec::new(),
            rule: QueryRule::default(),
        }
    }

    /// The wire of the message, or the error. What stands before the message must stay, and after an error also the body.
    fn bind(&self, scratch: &mut Scratch) -> Result<Vec<u8>, Error> {
        let mut out = b"frame".to_vec();
        out.extend_from_slice(&self.body);
        let (path, query) = self.target.as_bytes().split_at(self.query_offset);
        let target = Target {
            path,
            captures: &self.captures,
            query,
            query_offset: self.query_offset,
            form: b"",
            rule: &self.rule,
        };
        let result = bind(
            self.plan,
            &self.route,
            self.input,
            target,
            5,
            scratch,
            &mut out,
        );
        let wire = out.strip_prefix(b"frame").unwrap().to_vec();
        assert!(wire.starts_with(&self.body));
        assert!(result.is_ok() || wire.len() == self.body.len());
        result.map(|()| wire)
    }
}

fn path_of(plan: &Plan, input: MessageIndex, name: &str) -> Box<[FieldStep]> {
    let mut message = input;
    let mut steps = Vec::new();
    for part in name.split('.') {
        let field = plan.message(message).find_field(part.as_bytes()).unwrap();
        steps.push(FieldStep { message, field });
        if let Kind::Message(below) | Kind::Group(below) = plan.message(message).field(field).kind {
            message = below;
        }
    }
    steps.into()
}

fn text<'c>(case: &'c Value, key: &str) -> &'c str {
    case[key].as_str().unwrap_or_default()
}

fn run(fixture: &Fixture, case: &Value, scratch: &mut Scratch) -> Result<Value, String> {
    let message = format!("transom.test.{}", text(case, "message"));
    let descriptor = fixture.pool.get_message_by_name(&message).unwrap();
    let schema = match case["strict"].as_bool() {
        Some(true) => &fixture.strict,
        _ => &fixture.lenient,
    };
    let variables: Vec<_> = case["path"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|each| {
            let is_many = each["segments"].as_str() == Some("**");
            (text(each, "variable"), text(each, "capture"), is_many)
        })
        .collect();
    let mut request = Request::new(schema, &message, &variables, text(case, "query"));
    request.route.body = match text(case, "body") {
        "" => BodyPlan::Ignored,
        "*" => BodyPlan::Whole,
        name => BodyPlan::Field(path_of(request.plan, request.input, name)[0].field),
    };
    if !case["body_sets"].is_null() {
        let body = DynamicMessage::deserialize(descriptor.clone(), &case["body_sets"]).unwrap();
        request.body = body.encode_to_vec();
    }
    let rule = &case["rule"];
    request.rule = QueryRule {
        merges_into_whole_body: rule["merges_into_whole_body"] == true,
        last_wins: rule["last_wins"] == true,
        ignored_keys: rule["ignored_keys"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect(),
        captured_by: rule["captured_by"].as_str().map(str::to_owned),
    };
    let wire = request.bind(scratch).map_err(
        |Error {
             kind,
             place,
             offset,
         }| format!("{kind:?} in {place:?} at {offset}"),
    )?;
    let bound = DynamicMessage::decode(descriptor, &*wire).unwrap();
    Ok(serde_json::to_value(&bound).unwrap())
}

#[test]
fn cases() {
    let fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/bind");
    let mut faults = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap().path();
        let cases: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for case in cases.as_array().unwrap() {
            count += 1;
            let found = run(&fixture, case, &mut scratch);
            let is_expected = match &found {
                Ok(message) => case.get("expect") == Some(message),
                Err(error) => case.get("error").and_then(Value::as_str) == Some(error.as_str()),
            };
            if !is_expected {
                let name = text(case, "case");
                faults.push(format!("{}: {name}\n    found {found:?}", file.display()));
            }
        }
    }
    assert!(count > 100, "the cases are not where they were");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Pieces of queries, so that random ones reach beyond the first look-up.
const PIECES: &[&str] = &[
    "&",
    "&",
    "&",
    "=",
    "=",
    ".",
    "[",
    "]",
    "%",
    "%5B",
    "%ff",
    "+",
    ",",
    ";",
    "1",
    "-1",
    "x",
    "true",
    "null",
    "a_b",
    "nested",
    "choice",
    "maps",
    "lists",
    "wellKnown",
    "well_known_lists",
    "everything",
    "name",
    "count",
    "child",
    "children",
    "inner",
    "tags",
    "mode",
    "one_int32",
    "oneNested",
    "one_timestamp",
    "other_string",
    "byString",
    "by_int32",
    "messages",
    "fInt32",
    "f_string",
    "timestamp",
    "seconds",
    "fieldMask",
    "int64Value",
    "value",
    "any",
    "2020-01-01T00:00:00Z",
    "1.5s",
    "COLOR_RED",
];

proptest! {
    /// Whatever is sent, what is accepted is a message that another library can read.
    #[test]
    fn any_query_is_refused_or_becomes_a_message(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        thread_local! {
            static FIXTURE: Fixture = Fixture::new();
        }
        FIXTURE.with(|fixture| {
            let query: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
            let name = "transom.test.v1.Everything";
            let variables = [("choice.one_nested.name", "%41", false)];
            let request = Request::new(&fixture.lenient, name, &variables, &query);
            if let Ok(wire) = request.bind(&mut Scratch::default()) {
                let descriptor = fixture.pool.get_message_by_name(name).unwrap();
                let message = DynamicMessage::decode(descriptor, &*wire).unwrap();
                let json = serde_json::to_value(&message).unwrap();
                assert_eq!(json["choice"]["oneNested"]["name"], "A", "{query}");
            }
        });
    }

    /// A string comes through the query, the path of one segment, and both, as it was.
    #[test]
    fn any_string_comes_through(text in any::<String>()) {
        thread_local! {
            static FIXTURE: Fixture = Fixture::new();
        }
        FIXTURE.with(|fixture| {
            let escaped = text.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02X}"));
            let name = "transom.test.v1.Nested";
            let variables = [("name", &*escaped, false)];
            let query = format!("child.name={escaped}");
            let request = Request::new(&fixture.strict, name, &variables, &query);
            let wire = request.bind(&mut Scratch::default()).unwrap();
            let descriptor = fixture.pool.get_message_by_name(name).unwrap();
            let message = DynamicMessage::decode(descriptor, &*wire).unwrap();
            let json = serde_json::to_value(&message).unwrap();
            let read = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            assert_eq!(read(&json["name"]), text);
            assert_eq!(read(&json["child"]["name"]), text);
        });
    }
}
