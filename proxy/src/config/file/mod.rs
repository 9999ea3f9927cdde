//! The configuration file. In: the path of a YAML file. Out: a [`ConfigFile`]: what the command line leaves open.
//! Always: every key is known and every value is valid, or the file is refused with the line, the key and what was expected.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, net::SocketAddr, num::NonZeroUsize};

use clap::ValueEnum;
use transom_engine::exchange::BadManners;
use transom_engine::{HttpRule, Schema};

use super::answers::{self, AnswerKey, Answers, any_of};
use super::http_rules;
use super::sizes::{self, StreamedWays};
use super::yaml::{self, Entry, Fault, Node, Value, Wrong, cut};
use super::{
    Format, LISTEN_EXPECTED, Profile, UPSTREAM_CONNECTIONS_EXPECTED, UpstreamUrl,
    parse_upstream_connections,
};
use crate::net::IoChoice;
use crate::upstream::Codec;

/// What a configuration file says. The default is a file that says nothing.
#[derive(Debug, Default)]
pub struct ConfigFile {
    path: PathBuf,
    pub(super) values: FileValues,
    /// Keys of [`answers::KEYS`] with their values, in the order of the file.
    answers: Vec<(usize, Node)>,
    /// Rules of the files that `service_config` names.
    service_rules: Vec<HttpRule>,
    /// Rules of the file itself.
    own_rules: Vec<HttpRule>,
}

/// Values of the keys that are command line options too, but for those of [`answers::KEYS`].
#[derive(Debug, Default)]
pub(super) struct FileValues {
    pub(super) upstream: Option<UpstreamUrl>,
    pub(super) unknown_paths_to: Option<UpstreamUrl>,
    pub(super) descriptor_set: Vec<PathBuf>,
    pub(super) proto: Vec<PathBuf>,
    pub(super) proto_path: Vec<PathBuf>,
    pub(super) service_config: Vec<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) pin_workers: Option<bool>,
    pub(super) upstream_connections: Option<usize>,
    pub(super) io: Option<IoChoice>,
    pub(super) upstream_codec: Option<Codec>,
    pub(super) profile: Option<Profile>,
    pub(super) message: Option<String>,
    pub(super) from: Option<Format>,
    pub(super) to: Option<Format>,
    pub(super) json: Option<bool>,
}

/// A key that is not one of [`answers::KEYS`].
struct ValueKey {
    name: &'static str,
    set: fn(&Node, &Path, &mut FileValues) -> Result<(), Wrong>,
}

/// In the order in which docs/CONFIG.md explains them. Paths are taken from the folder of the file.
const VALUE_KEYS: &[ValueKey] = &[
    value("upstream", |node, _, to| {
        upstream(node).map(|url| to.upstream = Some(url))
    }),
    value("unknown_paths_to", |node, _, to| {
        upstream(node).map(|url| to.unknown_paths_to = Some(url))
    }),
    value("descriptor_set", |node, folder, to| {
        paths(node, folder).map(|paths| to.descriptor_set = paths)
    }),
    value("proto", |node, folder, to| {
        paths(node, folder).map(|paths| to.proto = paths)
    }),
    value("proto_path", |node, folder, to| {
        paths(node, folder).map(|paths| to.proto_path = paths)
    }),
    value(SERVICE_CONFIG, |node, folder, to| {
        paths(node, folder).map(|paths| to.service_config = paths)
    }),
    value("listen", |node, _, to| {
        parsed(node, LISTEN_EXPECTED).map(|address| to.listen = Some(address))
    }),
    value("workers", |node, _, to| {
        parsed(node, "a number of threads, 1 or more").map(|count| to.workers = Some(count))
    }),
    value("pin_workers", |node, _, to| {
        parsed(node, "true or false").map(|is_on| to.pin_workers = Some(is_on))
    }),
    value("upstream_connections", |node, _, to| {
        const EXPECTED: &str = UPSTREAM_CONNECTIONS_EXPECTED;
        let count = parse_upstream_connections(node.scalar(EXPECTED)?);
        to.upstream_connections = Some(count.map_err(|_wrong| node.wrong(EXPECTED))?);
        Ok(())
    }),
    value("io", |node, _, to| {
        parsed(node, "auto, uring or epoll").map(|choice| to.io = Some(choice))
    }),
    value("upstream_codec", |node, _, to| {
        parsed(node, "h2 or transom").map(|codec| to.upstream_codec = Some(codec))
    }),
    value("profile", |node, _, to| {
        word(node).map(|profile| to.profile = Some(profile))
    }),
    value("message", |node, _, to| {
        let name = node.scalar("the full name of a message, as in package.Message")?;
        to.message = Some(name.to_owned());
        Ok(())
    }),
    value("from", |node, _, to| {
        word(node).map(|format| to.from = Some(format))
    }),
    value("to", |node, _, to| {
        word(node).map(|format| to.to = Some(format))
    }),
    value("json", |node, _, to| {
        parsed(node, "true or false").map(|is_on| to.json = Some(is_on))
    }),
];

const fn value(
    name: &'static str,
    set: fn(&Node, &Path, &mut FileValues) -> Result<(), Wrong>,
) -> ValueKey {
    ValueKey { name, set }
}

/// Keys of rules from outside of the proto files (SEMANTICS 8).
const SERVICE_CONFIG: &str = "service_config";
const HTTP: &str = "http";

/// The names of all keys.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    let values = VALUE_KEYS.iter().map(|key| key.name);
    let values = values.chain([HTTP]);
    values.chain(answers::KEYS.iter().map(|key| key.name))
}

impl ConfigFile {
    /// Reads the file that `--config` names; without it, what is read says nothing.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it should be.
    pub fn read(path: Option<&Path>) -> Result<Self, Fault> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let root = yaml::read(path)?;
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let at = |line: usize, text: String| Fault {
            place: format!("{}:{line}", path.display()),
            text,
        };
        let entries = root
            .map("keys and values, as in `listen: 127.0.0.1:8080`")
            .map_err(|wrong| at(wrong.line, wrong.text))?;
        for entry in entries {
            file.entry(entry)
                .map_err(|wrong| wrong.within(&entry.key))
                .map_err(|wrong| at(wrong.line, wrong.text))?;
        }
        for path in &file.values.service_config {
            file.service_rules.extend(http_rules::read(path)?);
        }
        Ok(file)
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Wrong> {
        let name = entry.key.as_str();
        if name == HTTP {
            self.own_rules = http_rules::http(&entry.value, &self.path)?;
            return Ok(());
        }
        if let Some(key) = VALUE_KEYS.iter().find(|key| key.name == name) {
            let folder = self.path.parent().unwrap_or_else(|| Path::new(""));
            return (key.set)(&entry.value, folder, &mut self.values);
        }
        if let Some(index) = answers::KEYS.iter().position(|key| key.name == name) {
            answers::KEYS[index].set(&entry.value, &mut Answers::default())?;
            self.answers.push((index, entry.value.clone()));
            return Ok(());
        }
        Err(Wrong {
            line: entry.line,
            text: unknown(name, &key_names().collect::<Vec<_>>()),
        })
    }

    /// The server that answers paths which no rule has.
    pub fn unknown_paths_to(&self) -> Option<&UpstreamUrl> {
        self.values.unknown_paths_to.as_ref()
    }

    /// Whether output is to be JSON, for commands that also print tables.
    pub fn is_json(&self, flag: bool) -> bool {
        flag || self.values.json == Some(true)
    }

    /// The rules that stand for annotations. The later of two for one method is the one that counts, and the file's own come last.
    pub fn rules(&self) -> Vec<HttpRule> {
        [self.service_rules.as_slice(), &self.own_rules].concat()
    }

    /// Sets what the file says of how to answer.
    pub(super) fn apply(&self, answers: &mut Answers) {
        for (index, node) in &self.answers {
            let key: &AnswerKey = &answers::KEYS[*index];
            let set = key.set(node, answers);
            debug_assert!(set.is_ok(), "the value was set once when the file was read");
        }
    }

    /// Where a key of [`answers::KEYS`] stands, or the entry of this name in the map that is its value.
    fn line_of(&self, name: &str, entry: Option<&str>) -> Option<usize> {
        let is_named = |(index, _): &&(usize, Node)| answers::KEYS[*index].name == name;
        let (_, node) = self.answers.iter().find(is_named)?;
        match (&node.value, entry) {
            (Value::Map(entries), Some(key)) => {
                let entry = entries.iter().find(|entry| entry.key == key)?;
                Some(entry.line)
            }
            _ => Some(node.line),
        }
    }

    fn fault(&self, line: Option<usize>, text: String) -> Fault {
        let path = self.path.display();
        let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
        Fault { place, text }
    }

    /// What to say of manners that do not fit the schema.
    pub fn misfit(&self, bad: &BadManners) -> Fault {
        const STATUSES: &str = "success_statuses";
        const TIMEOUTS: &str = "timeouts";
        let (key, rpc, text) = match bad {
            BadManners::UnknownRpc(rpc) => (
                STATUSES,
                rpc,
                format!(
                    "{STATUSES}: {}: the schema has no such method; expected a full name, as in package.Service.Method",
                    cut(rpc)
                ),
            ),
            BadManners::NoSuccess(rpc, _) => (STATUSES, rpc, format!("{STATUSES}: {bad}")),
            BadManners::UnknownSelector(selector) => (
                TIMEOUTS,
                selector,
                format!(
                    "{TIMEOUTS}: {}: the schema has no such method; expected a full name, package.Service.* or *",
                    cut(selector)
                ),
            ),
        };
        self.fault(self.line_of(key, Some(rpc)), text)
    }

    /// What to say of a field for query keys that no request has.
    pub fn captures_nowhere(&self, answers: &Answers) -> Fault {
        const KEY: &str = "query_captured_by";
        let field = answers.manners.query.captured_by.as_deref();
        let text = format!(
            "{KEY}: no request that takes a query has a field `{}` of the type google.protobuf.Struct or map<string, string>, outside of its body; name one that some request has, or leave the key out",
            cut(field.unwrap_or_default())
        );
        self.fault(self.line_of(KEY, None), text)
    }

    /// What to say of limits that change nothing, or contradict each other.
    pub fn pointless_limits(&self, answers: &Answers, schema: &Schema) -> Vec<Fault> {
        let mut streams = StreamedWays::default();
        for method in schema.methods() {
            streams.requests |= method.is_client_streaming();
            streams.replies |= method.is_server_streaming();
        }
        let pointless = sizes::pointless(&answers.manners.sizes, streams).into_iter();
        let fault = |(key, text)| {
            let line = self.line_of(sizes::KEY, Some(key));
            self.fault(line, format!("{}: {key}: {text}", sizes::KEY))
        };
        pointless.map(fault).collect()
    }

    /// What to say of a key that the command needs and neither the file nor the command line has.
    pub fn lacks(&self, key: &str) -> Fault {
        Fault {
            place: self.path.display().to_string(),
            text: format!(
                "{key} is missing; set it, or give --{}",
                key.replace('_', "-")
            ),
        }
    }
}

/// What to say of a key nobody knows: the nearest one, or all.
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    let plain = name.replace('-', "_").to_lowercase();
    let likeness = |each: &str| strsim::normalized_damerau_levenshtein(&plain, each);
    let nearest = known
        .iter()
        .copied()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|nearest| likeness(nearest) > 0.6);
    match nearest {
        Some(nearest) => format!("there is no such key; did you mean {nearest}?"),
        None => format!("there is no such key; expected {}", any_of(known)),
    }
}

fn parsed<T: FromStr>(node: &Node, expected: &str) -> Result<T, Wrong>
where
    T::Err: fmt::Display,
{
    node.scalar(expected)?
        .parse()
        .map_err(|_wrong| node.wrong(expected))
}

fn upstream(node: &Node) -> Result<UpstreamUrl, Wrong> {
    let text = node.scalar("a URL, as in http://host:port")?;
    text.parse().map_err(|error| Wrong {
        line: node.line,
        text: format!("found `{}`: {error}", cut(text)),
    })
}

fn word<T: ValueEnum>(node: &Node) -> Result<T, Wrong> {
    let names: Vec<_> = T::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
        .map(|value| value.get_name().to_owned())
        .collect();
    let expected = any_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    T::from_str(node.scalar(&expected)?, false).map_err(|_unknown| node.wrong(expected))
}

/// One path, or a list of them.
pub(super) fn paths(node: &Node, folder: &Path) -> Result<Vec<PathBuf>, Wrong> {
    const EXPECTED: &str = "a path or a list of paths";
    let items = match node.list(EXPECTED) {
        Ok(items) => items,
        Err(_no_list) => std::slice::from_ref(node),
    };
    items
        .iter()
        .map(|item| match item.scalar(EXPECTED)? {
            "" => Err(item.wrong(EXPECTED)),
            path => Ok(folder.join(path)),
        })
        .collect()
}

#[cfg(test)]
mod tests;
