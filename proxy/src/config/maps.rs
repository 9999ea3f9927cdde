//! Keys whose values are maps: `cors`, `compression`, `success_statuses`. In: a map of the file. Out: manners of the engine.
//! Always: what the engine would refuse, or overlook, is refused here, with its line and what was expected.

use std::fmt;
use std::str::FromStr;

use transom_engine::exchange::{BadCors, Coding, Compression, Cors, CorsSettings, SuccessStatus};

use super::answers::Answers;
use super::file::unknown;
use super::yaml::{Node, Value, Wrong};

/// Bytes of the largest message that there is.
const COMPRESSION_FROM_MAX: usize = transom_engine::limits::MESSAGE_LEN_MAX;
/// Seconds in a day: no browser remembers a preflight for longer.
const MAX_AGE_SECONDS_MAX: u32 = 86_400;

/// A key of a map, and what it sets.
pub(super) type Key<T> = (&'static str, fn(&Node, &mut T) -> Result<(), Wrong>);

const CORS_KEYS: &[Key<CorsSettings>] = &[
    ("origins", |node, to| {
        texts(node).map(|texts| to.origins = texts)
    }),
    ("origin_patterns", |node, to| {
        texts(node).map(|texts| to.origin_patterns = texts)
    }),
    ("allow_credentials", |node, to| {
        let expected = "true or false";
        let text = node.scalar(expected)?;
        to.allow_credentials = text.parse().map_err(|_neither| node.wrong(expected))?;
        Ok(())
    }),
    ("allow_headers", |node, to| {
        texts(node).map(|texts| to.allow_headers = texts)
    }),
    ("expose_headers", |node, to| {
        texts(node).map(|texts| to.expose_headers = texts)
    }),
    ("max_age_seconds", |node, to| {
        number(node, 0, MAX_AGE_SECONDS_MAX).map(|seconds| to.max_age_seconds = Some(seconds))
    }),
];

const COMPRESSION_KEYS: &[Key<Compression>] = &[
    ("from", |node, to| {
        number(node, 0, COMPRESSION_FROM_MAX).map(|len| to.len_min = len)
    }),
    ("codings", |node, to| {
        let items = node.list(CODINGS_EXPECTED)?.iter();
        to.codings = items.map(coding).collect::<Result<_, _>>()?;
        Ok(())
    }),
    ("content_types", |node, to| {
        let items = node
            .list("a list of content types, as in [application/json]")?
            .iter();
        to.content_types = items.map(content_type).collect::<Result<_, _>>()?;
        Ok(())
    }),
];

const CODINGS: [(&str, Coding); 4] = [
    ("zstd", Coding::Zstd),
    ("br", Coding::Brotli),
    ("gzip", Coding::Gzip),
    ("deflate", Coding::Deflate),
];
const CODINGS_EXPECTED: &str = "a list of zstd, br, gzip and deflate";

/// `cors` (SEMANTICS 138).
pub(super) fn cors(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let mut settings = CorsSettings::default();
    read(node, CORS_KEYS, &mut settings)?;
    let cors = Cors::new(settings).map_err(|bad| wrong_cors(node, &bad))?;
    answers.manners.cors = Some(cors);
    Ok(())
}

/// `compression` (SEMANTICS 137).
pub(super) fn compression(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let mut compression = Compression::default();
    read(node, COMPRESSION_KEYS, &mut compression)?;
    answers.manners.compression = Some(compression);
    Ok(())
}

/// `success_statuses` (SEMANTICS 136). Whether there are such methods is asked once there is a schema.
pub(super) fn success_statuses(node: &Node, answers: &mut Answers) -> Result<(), Wrong> {
    let entries = node.map("a map")?.iter();
    let statuses = entries.map(|entry| {
        let status = number(&entry.value, 200, 299).map_err(|wrong| wrong.within(&entry.key))?;
        Ok(SuccessStatus {
            rpc: entry.key.clone(),
            status,
        })
    });
    answers.manners.success_statuses = statuses.collect::<Result<_, _>>()?;
    Ok(())
}

/// Sets what each entry of a map says.
pub(super) fn read<T>(node: &Node, keys: &[Key<T>], to: &mut T) -> Result<(), Wrong> {
    for entry in node.map("a map")? {
        let set = match keys.iter().find(|(name, _)| *name == entry.key) {
            Some((_, set)) => set(&entry.value, to),
            None => Err(Wrong {
                line: entry.line,
                text: unknown(
                    &entry.key,
                    &keys.iter().map(|key| key.0).collect::<Vec<_>>(),
                ),
            }),
        };
        set.map_err(|wrong| wrong.within(&entry.key))?;
    }
    Ok(())
}

/// What the engine says of the whole, told of the line that it means.
fn wrong_cors(node: &Node, bad: &BadCors) -> Wrong {
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let at = |keys: &[&str], text: &str, expected: &str| {
        for entry in entries.iter().filter(|entry| keys.contains(&&*entry.key)) {
            let items = entry.value.list("").unwrap_or_default();
            let item = items.iter().find(|item| item.scalar("").ok() == Some(text));
            if let Some(item) = item {
                return item.wrong(expected).within(&entry.key);
            }
        }
        node.wrong(expected)
    };
    match bad {
        BadCors::Origin(text) => at(
            &["origins"],
            text,
            "*, null, or a scheme and a host in small letters with nothing behind them, as in https://a.example or https://*.example.com",
        ),
        BadCors::Pattern(text) => at(
            &["origin_patterns"],
            text,
            "a regular expression, and not too large a one",
        ),
        BadCors::Header(text) => at(
            &["allow_headers", "expose_headers"],
            text,
            "the name of a header",
        ),
        BadCors::NoOrigin => Wrong {
            line: node.line,
            text: "no origin is let in; give origins or origin_patterns, or none for all of it"
                .to_owned(),
        },
        BadCors::AnyOriginWithCredentials => Wrong {
            line: node.line,
            text: "the origin * and allow_credentials exclude each other; list the origins"
                .to_owned(),
        },
    }
}

fn coding(item: &Node) -> Result<Coding, Wrong> {
    let text = item.scalar(CODINGS_EXPECTED)?;
    let found = CODINGS.iter().find(|(name, _)| *name == text);
    let (_, coding) = found.ok_or_else(|| item.wrong("zstd, br, gzip or deflate"))?;
    Ok(*coding)
}

fn content_type(item: &Node) -> Result<String, Wrong> {
    let expected = "a content type without parameters, as in application/json";
    let text = item.scalar(expected)?;
    let is_part = |part: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        !part.is_empty() && part.bytes().all(is_fit)
    };
    match text.split_once('/') {
        Some((kind, name)) if is_part(kind) && is_part(name) => Ok(text.to_owned()),
        _ => Err(item.wrong(expected)),
    }
}

/// A list of texts, which may be empty.
pub(super) fn texts(node: &Node) -> Result<Vec<String>, Wrong> {
    let items = node.list("a list of texts")?.iter();
    let texts = items.map(|item| item.scalar("text").map(str::to_owned));
    texts.collect()
}

/// A whole number of this range.
fn number<T>(node: &Node, min: T, max: T) -> Result<T, Wrong>
where
    T: Copy + FromStr + PartialOrd + fmt::Display,
{
    let expected = format!("{min} to {max}");
    match node.scalar(&expected)?.parse() {
        Ok(number) if min <= number && number <= max => Ok(number),
        _ => Err(node.wrong(expected)),
    }
}
