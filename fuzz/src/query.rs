//! Query parameters. In: a byte for the options, one for the request, then a query. Always: the message is what somebody makes of the
//! query who looks each name up in the descriptors and sets one field after the other, and what he refuses is refused at the same place.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor, Value,
};
use transom_engine::error::{Error, Place};
use transom_engine::exchange::{Call, Request, Scratch, Transcoder};
use transom_engine::http1::{Parsed, RequestHead};
use transom_engine::{Body, Schema, route};

use crate::schema::{self, POOL};

/// Requests whose query is read; of the last one it is not.
const REQUESTS: [(&str, &str); 11] = [
    ("GET", "/v1/files/x"),
    ("DELETE", "/v1/files/x/y"),
    ("GET", "/v1/kinds/x:check"),
    ("GET", "/v1/shelves/x/books/5"),
    ("PUT", "/v1/nested/x"),
    ("POST", "/v1/text"),
    ("PATCH", "/v1/any/7"),
    ("POST", "/v1/map"),
    ("POST", "/v1/time"),
    ("POST", "/v1/list"),
    ("PUT", "/v1/everything/5"),
];

/// Parameters of one query (SEMANTICS 61).
const COUNT_MAX: usize = 256;
/// Steps of one key (SEMANTICS 61).
const STEP_COUNT_MAX: usize = 32;

/// A query against one that is bound the long way.
pub fn query(input: &[u8]) {
    let Some(([options, request], query)) = input.split_first_chunk() else {
        return;
    };
    let (http_method, path) = REQUESTS[usize::from(*request) % REQUESTS.len()];
    let transcoder = schema::transcoder(*options);
    let Some(found) = send(transcoder, http_method, path, query) else {
        return;
    };
    let mut scratch = route::Scratch::default();
    let route = transcoder
        .schema()
        .find_route(http_method.as_bytes(), path.as_bytes(), &mut scratch)
        .expect("each request has a route");
    let input = POOL.get_message_by_name(route.method().input().full_name());
    let mut naive = Naive {
        schema: transcoder.schema(),
        reads_json_names_first: usize::from(*options) % 3 != 1,
        is_strict: usize::from(*options) % 3 == 2,
        input: input.expect("both have the same messages"),
        body: route.body(),
        bound: route
            .variables()
            .map(|name| Bound::Path(name.split('.').map(str::to_owned).collect()))
            .collect(),
    };
    let without = send(transcoder, http_method, path, b"").expect("the target is good");
    let without = without.expect("a request without a query is good");
    let mut expected = decode(&naive.input, &without);
    let refused_at = naive.bind(query, &mut expected).err();
    match (found, refused_at) {
        (Ok(wire), None) => {
            let found = decode(&naive.input, &wire);
            let [found, expected] =
                [found, expected].map(|message| canonical(&Value::Message(message)));
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(query));
        }
        (Err(error), Some(at)) => {
            assert_eq!(error.place, Place::Query, "{error:?}");
            let offset = path.len() + 1 + at;
            assert_eq!(error.offset as usize, offset, "{error:?} of {query:?}");
        }
        (found, at) => unreachable!(
            "{found:?}, expected a refusal at {at:?} in {}",
            String::from_utf8_lossy(query)
        ),
    }
}

/// The message of a request; nothing if the query cannot stand in a request line.
fn send(
    transcoder: &Transcoder,
    http_method: &str,
    path: &str,
    query: &[u8],
) -> Option<Result<Vec<u8>, Error>> {
    let line = format!("{http_method} {path}?");
    let bytes = [
        line.as_bytes(),
        query,
        b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ]
    .concat();
    let mut head = RequestHead::new();
    match head.parse(&bytes) {
        Ok(Parsed::Complete { len }) if len == bytes.len() && head.query(&bytes) == query => {}
        _ => return None,
    }
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let call = transcoder.handle_head(&head, &bytes, &mut scratch);
    let Ok(Request::Call(call)) = call else {
        unreachable!("{http_method} {path} is a call, and its query does not matter")
    };
    let result = Call::write_request(
        &call,
        transcoder,
        &head,
        &bytes,
        b"",
        &mut scratch,
        &mut out,
    );
    Some(result.map(|()| out.split_off(5)))
}

fn decode(descriptor: &MessageDescriptor, wire: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(descriptor.clone(), wire).expect("what is written can be read")
}

/// The path of fields that has been bound, or of a map, with its key.
enum Bound {
    Path(Vec<String>),
    Query(Vec<String>),
    Entry(Vec<String>, MapKey),
}

impl Bound {
    fn steps(&self) -> &[String] {
        match self {
            Self::Path(steps) | Self::Query(steps) | Self::Entry(steps, _) => steps,
        }
    }
}

struct Naive<'s> {
    schema: &'s Schema,
    reads_json_names_first: bool,
    /// Whether unknown parameters, and those of fields that the path has bound, are refused.
    is_strict: bool,
    input: MessageDescriptor,
    body: Body<'s>,
    /// What has been bound so far. The path counts as first, since the query must give way to it (SEMANTICS 43).
    bound: Vec<Bound>,
}

struct Refused;

impl Naive<'_> {
    /// Sets what the query says. Errors with the offset of the parameter that is refused.
    fn bind(&mut self, query: &[u8], message: &mut DynamicMessage) -> Result<(), usize> {
        if self.body == Body::Whole {
            return Ok(());
        }
        let mut offset = 0;
        let mut count = 0;
        for parameter in query.split(|&byte| byte == b'&') {
            if !parameter.is_empty() {
                count += 1;
                if count > COUNT_MAX || self.parameter(parameter, message).is_err() {
                    return Err(offset);
                }
            }
            offset += parameter.len() + 1;
        }
        Ok(())
    }

    fn parameter(&mut self, parameter: &[u8], message: &mut DynamicMessage) -> Result<(), Refused> {
        let mut sides = parameter.splitn(2, |&byte| byte == b'=');
        let [key, text] = [(); 2].map(|()| percent_decoded(sides.next().unwrap_or_default()));
        let (key, text) = (key.ok_or(Refused)?, text.ok_or(Refused)?);
        let bracket = key.iter().position(|&byte| byte == b'[');
        let (names, bracket) = key.split_at(bracket.unwrap_or(key.len()));
        let Some(fields) = self.fields(names)? else {
            return self.ignore();
        };
        let steps: Vec<_> = fields.iter().map(|field| field.name().to_owned()).collect();
        let (field, parents) = fields.split_last().ok_or(Refused)?;
        let map = field.is_map().then(|| map_fields(field));
        let entry_key = match (&map, bracket) {
            // SEMANTICS 55
            (Some((key_field, value_field)), [b'[', entry_key @ .., b']']) => {
                has_text_form(&value_field.kind())
                    .then_some(())
                    .ok_or(Refused)?;
                let value = Self::scalar(&key_field.kind(), entry_key).ok_or(Refused)?;
                Some(value.into_map_key().ok_or(Refused)?)
            }
            (None, []) if has_text_form(&field.kind()) => None,
            (Some(_), _) | (None, []) => return Err(Refused),
            // SEMANTICS 50: there is no `[]`.
            (None, _) => return self.ignore(),
        };
        let value_kind = map.map_or_else(|| field.kind(), |(_, value_field)| value_field.kind());
        if !self.admit(&fields, &steps, entry_key.as_ref())? {
            return self.ignore();
        }
        let value = self.value(&value_kind, &text).ok_or(Refused)?;
        let mut target = message;
        for parent in parents {
            target = target
                .get_field_mut(parent)
                .as_message_mut()
                .ok_or(Refused)?;
        }
        match (entry_key, field.is_list()) {
            (Some(entry_key), _) => {
                let map = target.get_field_mut(field).as_map_mut().ok_or(Refused)?;
                map.insert(entry_key.clone(), value);
                self.bound.push(Bound::Entry(steps, entry_key));
            }
            (None, true) => {
                let list = target.get_field_mut(field).as_list_mut().ok_or(Refused)?;
                list.push(value);
                self.bound.push(Bound::Query(steps));
            }
            (None, false) => {
                target.set_field(field, value);
                self.bound.push(Bound::Query(steps));
            }
        }
        Ok(())
    }

    fn ignore(&self) -> Result<(), Refused> {
        if self.is_strict { Err(Refused) } else { Ok(()) }
    }

    /// The fields that a key leads through; nothing if one is unknown.
    fn fields(&self, names: &[u8]) -> Result<Option<Vec<FieldDescriptor>>, Refused> {
        let names: Vec<_> = names.split(|&byte| byte == b'.').collect();
        if names.len() > STEP_COUNT_MAX {
            return Err(Refused);
        }
        let mut message = self.input.clone();
        let mut fields: Vec<FieldDescriptor> = Vec::new();
        for name in names {
            if let Some(parent) = fields.last() {
                match parent.kind() {
                    // SEMANTICS 56: what is in an `Any` is not for a query.
                    Kind::Message(next)
                        if !parent.is_list()
                            && !parent.is_map()
                            && next.full_name() != "google.protobuf.Any" =>
                    {
                        message = next;
                    }
                    _ => return Err(Refused),
                }
            }
            let by_json_name = message
                .fields()
                .find(|field| field.json_name().as_bytes() == name);
            let by_name = message
                .fields()
                .find(|field| field.name().as_bytes() == name);
            let found = if self.reads_json_names_first {
                by_json_name.or(by_name)
            } else {
                by_name.or(by_json_name)
            };
            let Some(field) = found else { return Ok(None) };
            // SEMANTICS 69: the body fills its field alone.
            if fields.is_empty() && self.body == Body::Field(field.name()) {
                return Ok(None);
            }
            fields.push(field);
        }
        Ok(Some(fields))
    }

    /// Whether a parameter is bound, beside all that were before it; false if the path has bound the same field.
    fn admit(
        &self,
        fields: &[FieldDescriptor],
        steps: &[String],
        entry_key: Option<&MapKey>,
    ) -> Result<bool, Refused> {
        let mut is_bound = true;
        for other in &self.bound {
            let others = other.steps();
            let common = steps
                .iter()
                .zip(others)
                .take_while(|(left, right)| left == right);
            let common = common.count();
            match (steps.get(common), others.get(common)) {
                // One lies inside the other.
                (None, Some(_)) | (Some(_), None) => return Err(Refused),
                // SEMANTICS 45: both are members of one oneof.
                (Some(_), Some(other_step)) => {
                    let field = fields.get(common).ok_or(Refused)?;
                    let oneof = field
                        .containing_oneof()
                        .filter(|oneof: &OneofDescriptor| !oneof.is_synthetic());
                    let is_sibling = |oneof: OneofDescriptor| {
                        oneof.fields().any(|sibling| sibling.name() == other_step)
                    };
                    if oneof.is_some_and(is_sibling) {
                        return Err(Refused);
                    }
                }
                (None, None) => match other {
                    Bound::Path(_) => is_bound = false,
                    Bound::Entry(_, other_key) if Some(other_key) == entry_key => {
                        return Err(Refused);
                    }
                    Bound::Entry(..) => {}
                    Bound::Query(_) if fields.last().is_some_and(FieldDescriptor::is_list) => {}
                    // SEMANTICS 51
                    Bound::Query(_) => return Err(Refused),
                },
            }
        }
        Ok(is_bound)
    }

    fn value(&self, kind: &Kind, text: &[u8]) -> Option<Value> {
        let Kind::Message(message) = kind else {
            return Self::scalar(kind, text);
        };
        let quoted = || serde_json::to_string(str::from_utf8(text).ok()?).ok();
        let json = match message.full_name() {
            // SEMANTICS 53: what the text means in JSON it means here.
            "google.protobuf.Timestamp" | "google.protobuf.Duration" => quoted()?.into_bytes(),
            "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue" => {
                text.to_vec()
            }
            "google.protobuf.FieldMask" => return field_mask(message, text),
            _ => {
                let field = message.get_field_by_name("value")?;
                let mut wrapper = DynamicMessage::new(message.clone());
                wrapper.set_field(&field, Self::scalar(&field.kind(), text)?);
                return Some(Value::Message(wrapper));
            }
        };
        let ours = self.schema.message(message.full_name())?;
        let mut wire = Vec::new();
        let mut scratch = transom_engine::to_wire::Scratch::default();
        transom_engine::to_wire(ours, &json, &mut scratch, &mut wire).ok()?;
        Some(Value::Message(decode(message, &wire)))
    }

    /// SEMANTICS 35 to 39, 52, 54, 62
    fn scalar(kind: &Kind, text: &[u8]) -> Option<Value> {
        if let Kind::Bytes = kind {
            return base64_decoded(text).map(|bytes| Value::Bytes(bytes.into()));
        }
        let text = str::from_utf8(text).ok()?;
        let decimal = || {
            let is_decimal = |each: char| each.is_ascii_digit() || "+-.eE".contains(each);
            text.chars().all(is_decimal).then_some(text)
        };
        Some(match kind {
            Kind::String => Value::String(text.to_owned()),
            Kind::Bool => Value::Bool(text.parse().ok()?),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                Value::I32(text.parse::<i128>().ok()?.try_into().ok()?)
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                Value::I64(text.parse::<i128>().ok()?.try_into().ok()?)
            }
            Kind::Uint32 | Kind::Fixed32 => Value::U32(text.parse::<i128>().ok()?.try_into().ok()?),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(text.parse::<i128>().ok()?.try_into().ok()?),
            Kind::Double => Value::F64(match text {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => decimal()?
                    .parse()
                    .ok()
                    .filter(|value: &f64| value.is_finite())?,
            }),
            Kind::Float => Value::F32(match text {
                "NaN" => f32::NAN,
                "Infinity" => f32::INFINITY,
                "-Infinity" => f32::NEG_INFINITY,
                _ => decimal()?
                    .parse()
                    .ok()
                    .filter(|value: &f32| value.is_finite())?,
            }),
            Kind::Enum(of) => Value::EnumNumber(match of.get_value_by_name(text) {
                Some(value) => value.number(),
                None => text.parse::<i128>().ok()?.try_into().ok()?,
            }),
            Kind::Bytes | Kind::Message(_) => return None,
        })
    }
}

fn map_fields(map: &FieldDescriptor) -> (FieldDescriptor, FieldDescriptor) {
    let Kind::Message(entry) = map.kind() else {
        unreachable!("a map is a list of entries")
    };
    (entry.map_entry_key_field(), entry.map_entry_value_field())
}

/// SEMANTICS 53, 56, 57
fn has_text_form(kind: &Kind) -> bool {
    let Kind::Message(message) = kind else {
        return true;
    };
    let name = message.full_name().strip_prefix("google.protobuf.");
    name.is_some_and(|name| {
        name.ends_with("Value") || matches!(name, "Timestamp" | "Duration" | "FieldMask" | "Struct")
    })
}

/// SEMANTICS 53: in lowerCamelCase, or in `snake_case` and then as it is.
fn field_mask(message: &MessageDescriptor, text: &[u8]) -> Option<Value> {
    let text = str::from_utf8(text).ok()?;
    let is_name = |name: &str| {
        let is_letter = |each: char| each == '_' || each.is_ascii_alphanumeric();
        name.chars()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
            && name.chars().all(is_letter)
    };
    let mut paths = Vec::new();
    for path in text.split(',').filter(|_| !text.is_empty()) {
        path.split('.').all(is_name).then_some(())?;
        let snake = || {
            path.chars().flat_map(|each| {
                let bar = each.is_ascii_uppercase().then_some('_');
                bar.into_iter().chain([each.to_ascii_lowercase()])
            })
        };
        paths.push(Value::String(if path.contains('_') {
            path.to_owned()
        } else {
            snake().collect()
        }));
    }
    let mut mask = DynamicMessage::new(message.clone());
    mask.set_field(&message.get_field_by_name("paths")?, Value::List(paths));
    Some(Value::Message(mask))
}

/// SEMANTICS 49, 60
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = text.split(|&byte| byte == b'%');
    let plain = |text: &[u8]| {
        text.iter()
            .map(|&byte| if byte == b'+' { b' ' } else { byte })
            .collect::<Vec<_>>()
    };
    let mut out = plain(pieces.next()?);
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        out.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
        out.extend(plain(rest));
    }
    Some(out)
}

/// Either alphabet, padded to quads or not at all; what the last character has to spare is ignored (SEMANTICS 37).
fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let padding_len = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    (padding_len == 0 || (padding_len <= 2 && text.len().is_multiple_of(4))).then_some(())?;
    let digits = text.get(..text.len() - padding_len)?;
    (digits.len() % 4 != 1).then_some(())?;
    let has = |set: &[u8]| digits.iter().any(|byte| set.contains(byte));
    (!has(b"+/") || !has(b"-_")).then_some(())?;
    let mut bits: Vec<bool> = Vec::new();
    for &digit in digits {
        let sextet = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits.extend((0..6).rev().map(|bit| sextet >> bit & 1 == 1));
    }
    let (bytes, _) = bits.as_chunks::<8>();
    Some(
        bytes
            .iter()
            .map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
            .collect(),
    )
}

/// The value as text in which the same values are the same: fields and entries in order, floats by their bits, defaults of fields
/// without presence left out.
fn canonical(value: &Value) -> String {
    match value {
        Value::Message(message) => {
            let mut fields: Vec<_> = message.fields().collect();
            fields.sort_by_key(|(field, _)| field.number());
            let is_set = |field: &FieldDescriptor, value: &Value| {
                field.supports_presence() || !value.is_default_for_field(field)
            };
            let fields = fields.iter().filter(|(field, value)| is_set(field, value));
            let texts =
                fields.map(|(field, value)| format!("{}: {}", field.number(), canonical(value)));
            format!("{{{}}}", texts.collect::<Vec<_>>().join(", "))
        }
        Value::List(values) => {
            let texts: Vec<_> = values.iter().map(canonical).collect();
            format!("[{}]", texts.join(", "))
        }
        Value::Map(entries) => {
            let texts = entries
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", canonical(value)));
            let mut texts: Vec<_> = texts.collect();
            texts.sort_unstable();
            format!("<{}>", texts.join(", "))
        }
        Value::F64(value) => format!("{:#x}", value.to_bits()),
        Value::F32(value) => format!("{:#x}", value.to_bits()),
        value => format!("{value:?}"),
    }
}
