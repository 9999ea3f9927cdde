//! Everything that a profile decides, by name. In: a key and its value. Out: options and manners of the engine.
//! Always: each field of the engine that a profile may set has one row in [`KEYS`], so that a file can set it by itself.

use std::time::Duration;

use transom_engine::exchange::{
    ContentTypes, ErrorForm, Forms, Framing, Manners, RetryAfter, SizeLimits, StreamErrors,
    StreamHead, UnwantedBodies, WebSocketOrigins, WrongMethod,
};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::{
    BadRules, Defaults, EnumStyle, FieldNames, Int64Style, Options, PatchMasks, SameRequests,
    UnknownEnumNames,
};

use super::yaml::{Node, Value, Wrong};
use super::{lists, maps, sizes};

/// How the gateway answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What schemas are compiled with.
    pub options: Options,
    /// What exchanges go by.
    pub manners: Manners,
}

/// A key of the configuration file that changes how the gateway answers. A new field of [`Options`] or [`Manners`] becomes settable by a
/// row in [`KEYS`] and one in docs/CONFIG.md, which a test asks for with its default in each profile.
pub(super) struct AnswerKey {
    pub(super) name: &'static str,
    pub(super) values: Values,
}

/// A word, and what it does.
type Word = (&'static str, fn(&mut Answers));

/// What a key may be set to.
pub(super) enum Values {
    /// One of these words, each with what it does.
    Words(&'static [Word]),
    /// A whole number in this range, or a word.
    Number {
        min: u32,
        max: u32,
        set: fn(&mut Answers, u32),
        word: Word,
    },
    /// Any text, or a word.
    Text {
        set: fn(&mut Answers, String),
        word: Word,
    },
    /// A list of texts, which may be empty.
    Texts(fn(&mut Answers, Vec<String>)),
    /// A map, or a word.
    Map {
        set: fn(&Node, &mut Answers) -> Result<(), Wrong>,
        word: Word,
    },
}

/// Milliseconds of the longest timeout that can be set: 27 hours.
pub(super) const TIMEOUT_MS_MAX: u32 = 99_999_999;
/// Milliseconds of the longest pause that a stream of events may have: a day.
const STREAM_PAUSE_MS_MAX: u32 = 86_400_000;
/// Milliseconds of the shortest time between two comments of such a stream.
const KEEP_ALIVE_MS_MIN: u32 = 100;

/// A key of words, each with the field of [`Answers`] that it sets, and to what.
macro_rules! words {
    ($name:literal: $($word:literal => $part:ident $(. $field:ident)+ = $value:expr,)+) => {
        AnswerKey {
            name: $name,
            values: Values::Words(&[$(($word, |to| to.$part$(.$field)+ = $value)),+]),
        }
    };
}

/// The keys, in the order in which docs/CONFIG.md explains them.
pub(super) const KEYS: &[AnswerKey] = &[
    words! {"json_names":
        "json" => options.names = FieldNames::Json,
        "proto" => options.names = FieldNames::Proto,
    },
    words! {"json_defaults":
        "omit" => options.defaults = Defaults::Omit,
        "no-presence" => options.defaults = Defaults::NoPresence,
        "all" => options.defaults = Defaults::All,
    },
    words! {"json_enums":
        "name" => options.enums = EnumStyle::Name,
        "number" => options.enums = EnumStyle::Number,
    },
    words! {"json_int64":
        "string" => options.int64 = Int64Style::String,
        "number" => options.int64 = Int64Style::Number,
    },
    AnswerKey {
        name: "json_indent",
        values: Values::Number {
            min: 0,
            max: 16,
            set: |to, spaces| to.options.indent = u8::try_from(spaces).ok(),
            word: ("none", |to| to.options.indent = None),
        },
    },
    words! {"map_keys":
        "as-they-come" => options.sort_map_keys = false,
        "sorted" => options.sort_map_keys = true,
    },
    words! {"unknown_fields":
        "ignore" => options.reject_unknown_fields = false,
        "reject" => options.reject_unknown_fields = true,
    },
    words! {"unknown_query":
        "ignore" => options.reject_unknown_query = false,
        "reject" => options.reject_unknown_query = true,
    },
    words! {"unknown_enum_names":
        "reject" => options.unknown_enum_names = UnknownEnumNames::Reject,
        "drop" => options.unknown_enum_names = UnknownEnumNames::Drop,
    },
    words! {"trailing_data":
        "reject" => manners.ignores_trailing_data = false,
        "ignore" => manners.ignores_trailing_data = true,
    },
    words! {"patch_masks":
        "fill" => options.patch_masks = PatchMasks::Fill,
        "fill-strictly" => options.patch_masks = PatchMasks::FillStrictly,
        "leave" => options.patch_masks = PatchMasks::Leave,
    },
    words! {"content_types":
        "any" => manners.content_types = ContentTypes::Any,
        "json" => manners.content_types = ContentTypes::Json,
    },
    words! {"forms":
        "json" => manners.forms = Forms::Json,
        "fields" => manners.forms = Forms::Fields,
    },
    words! {"unwanted_bodies":
        "ignore" => manners.unwanted_bodies = UnwantedBodies::Ignored,
        "reject" => manners.unwanted_bodies = UnwantedBodies::Refused,
    },
    words! {"query_beside_whole_body":
        "ignore" => manners.query.merges_into_whole_body = false,
        "merge" => manners.query.merges_into_whole_body = true,
    },
    words! {"query_given_twice":
        "reject" => manners.query.last_wins = false,
        "last-wins" => manners.query.last_wins = true,
    },
    AnswerKey {
        name: "query_ignored_keys",
        values: Values::Texts(|to, keys| to.manners.query.ignored_keys = keys),
    },
    AnswerKey {
        name: "query_captured_by",
        values: Values::Text {
            set: |to, field| to.manners.query.captured_by = Some(field),
            word: ("none", |to| to.manners.query.captured_by = None),
        },
    },
    words! {"headers":
        "transom" => manners.headers = HeaderRule::Transom,
        "grpc-gateway" => manners.headers = HeaderRule::GrpcGateway,
    },
    AnswerKey {
        name: "request_headers",
        values: Values::Map {
            set: lists::request_headers,
            word: ("none", |to| to.manners.request_headers = None),
        },
    },
    AnswerKey {
        name: "response_headers",
        values: Values::Map {
            set: lists::response_headers,
            word: ("none", |to| to.manners.response_headers = None),
        },
    },
    words! {"error_form":
        "status" => manners.errors = ErrorForm::Status,
        "grpc-gateway-v1" => manners.errors = ErrorForm::GrpcGatewayV1,
    },
    words! {"wrong_method":
        "405" => manners.wrong_method = WrongMethod::NotAllowed,
        "501" => manners.wrong_method = WrongMethod::NotImplemented,
        "404" => manners.wrong_method = WrongMethod::NotFound,
    },
    words! {"websocket_origins":
        "known" => manners.websocket_origins = WebSocketOrigins::Known,
        "any" => manners.websocket_origins = WebSocketOrigins::Any,
    },
    words! {"method_override":
        "ignore" => manners.method_override = false,
        "forms" => manners.method_override = true,
    },
    words! {"status_from_upstream":
        "ignore" => manners.status_from_upstream = false,
        "x-http-code" => manners.status_from_upstream = true,
    },
    words! {"retry_after":
        "from-details" => manners.retry_after = RetryAfter::FromRetryInfo,
        "never" => manners.retry_after = RetryAfter::Never,
    },
    words! {"debug_info":
        "show" => manners.hides_debug_info = false,
        "hide" => manners.hides_debug_info = true,
    },
    AnswerKey {
        name: "timeout_default_ms",
        values: Values::Number {
            min: 1,
            max: TIMEOUT_MS_MAX,
            set: |to, millis| to.manners.timeout_default = Some(from_millis(millis)),
            word: ("none", |to| to.manners.timeout_default = None),
        },
    },
    AnswerKey {
        name: "timeout_max_ms",
        values: Values::Number {
            min: 1,
            max: TIMEOUT_MS_MAX,
            set: |to, millis| to.manners.timeout_max = Some(from_millis(millis)),
            word: ("none", |to| to.manners.timeout_max = None),
        },
    },
    AnswerKey {
        name: "timeouts",
        values: Values::Map {
            set: lists::timeouts,
            word: ("none", |to| to.manners.timeouts.clear()),
        },
    },
    AnswerKey {
        name: "success_statuses",
        values: Values::Map {
            set: maps::success_statuses,
            word: ("none", |to| to.manners.success_statuses.clear()),
        },
    },
    AnswerKey {
        name: "cors",
        values: Values::Map {
            set: maps::cors,
            word: ("none", |to| to.manners.cors = None),
        },
    },
    AnswerKey {
        name: "compression",
        values: Values::Map {
            set: maps::compression,
            word: ("none", |to| to.manners.compression = None),
        },
    },
    AnswerKey {
        name: sizes::KEY,
        values: Values::Map {
            set: sizes::limits,
            word: ("default", |to| to.manners.sizes = SizeLimits::default()),
        },
    },
    words! {"stream":
        "array" => manners.streams.framing = Framing::Array,
        "ndjson" => manners.streams.framing = Framing::Lines,
        "wrapped" => manners.streams.framing = Framing::Wrapped,
        "sse" => manners.streams.framing = Framing::Events,
    },
    words! {"stream_for_json":
        "array" => manners.streams.json = Framing::Array,
        "ndjson" => manners.streams.json = Framing::Lines,
        "wrapped" => manners.streams.json = Framing::Wrapped,
        "sse" => manners.streams.json = Framing::Events,
    },
    words! {"stream_forced":
        "none" => manners.streams.forced = None,
        "array" => manners.streams.forced = Some(Framing::Array),
        "ndjson" => manners.streams.forced = Some(Framing::Lines),
        "wrapped" => manners.streams.forced = Some(Framing::Wrapped),
        "sse" => manners.streams.forced = Some(Framing::Events),
    },
    words! {"stream_head":
        "at-once" => manners.streams.head = StreamHead::AtOnce,
        "with-first" => manners.streams.head = StreamHead::WithFirst,
    },
    words! {"stream_errors":
        "show" => manners.streams.errors = StreamErrors::Shown,
        "reset" => manners.streams.errors = StreamErrors::Reset,
    },
    AnswerKey {
        name: "sse_retry_ms",
        values: Values::Number {
            min: 0,
            max: STREAM_PAUSE_MS_MAX,
            set: |to, millis| to.manners.streams.retry = Some(from_millis(millis)),
            word: ("none", |to| to.manners.streams.retry = None),
        },
    },
    AnswerKey {
        name: "sse_keep_alive_ms",
        values: Values::Number {
            min: KEEP_ALIVE_MS_MIN,
            max: STREAM_PAUSE_MS_MAX,
            set: |to, millis| to.manners.streams.keep_alive = Some(from_millis(millis)),
            word: ("none", |to| to.manners.streams.keep_alive = None),
        },
    },
    words! {"trailing_slash":
        "reject" => options.ignore_trailing_slash = false,
        "ignore" => options.ignore_trailing_slash = true,
    },
    words! {"bad_rules":
        "skip" => options.bad_rules = BadRules::Skip,
        "refuse" => options.bad_rules = BadRules::Refuse,
    },
    words! {"conflicting_rules":
        "refuse" => options.same_requests = SameRequests::Refuse,
        "last-wins" => options.same_requests = SameRequests::LastWins,
    },
];

fn from_millis(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}

impl AnswerKey {
    /// Sets what the key names.
    pub(super) fn set(&self, node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
        let expected = self.expected();
        match self.values {
            Values::Texts(set) => return maps::texts(node).map(|texts| set(answers, texts)),
            Values::Map { set, .. } if matches!(node.value, Value::Map(_)) => {
                return set(node, answers);
            }
            _ => {}
        }
        let text = node.scalar(&expected)?;
        let is_set = match self.values {
            Values::Words(words) => set_word(words, text, answers),
            Values::Number {
                min,
                max,
                set,
                word,
            } => match text.parse() {
                Ok(number) if (min..=max).contains(&number) => {
                    set(answers, number);
                    true
                }
                _ => set_word(&[word], text, answers),
            },
            Values::Text { set, word } => {
                if !set_word(&[word], text, answers) && !text.is_empty() {
                    set(answers, text.to_owned());
                }
                !text.is_empty()
            }
            Values::Map { word, .. } => set_word(&[word], text, answers),
            // Set above.
            Values::Texts(_) => false,
        };
        if is_set {
            Ok(())
        } else {
            Err(node.wrong(expected))
        }
    }

    /// `json or proto`, `0 to 16 or none`
    pub(super) fn expected(&self) -> String {
        match self.values {
            Values::Words(words) => {
                any_of(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>())
            }
            Values::Number { min, max, word, .. } => format!("{min} to {max} or {}", word.0),
            Values::Text { word, .. } => format!("a name or {}", word.0),
            Values::Texts(_) => "a list of texts".to_owned(),
            Values::Map { word, .. } => format!("a map or {}", word.0),
        }
    }
}

fn set_word(words: &[Word], text: &str, answers: &mut Answers) -> bool {
    let Some((_, set)) = words.iter().find(|(word, _)| *word == text) else {
        return false;
    };
    set(answers);
    true
}

/// `a, b or c`
pub(super) fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
