//! The configuration file. In: the path of a YAML file. Out: a [`ConfigFile`]: what the command line leaves open.
//! Always: every key is known and every value is valid, or the file is refused with the line, the key and what was expected.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, net::SocketAddr, num::NonZeroUsize};

use clap::ValueEnum;
use transom_engine::HttpRule;
use transom_engine::exchange::BadManners;

use super::answers::{self, AnswerKey, Answers, any_of};
use super::http_rules;
use super::yaml::{self, Entry, Fault, Node, Value, Wrong, cut};
use super::{Format, LISTEN_EXPECTED, Profile, UpstreamUrl};
use crate::net::IoChoice;

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
    pub(super) descriptor_set: Vec<PathBuf>,
    pub(super) proto: Vec<PathBuf>,
    pub(super) proto_path: Vec<PathBuf>,
    pub(super) service_config: Vec<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) io: Option<IoChoice>,
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
    value("io", |node, _, to| {
        parsed(node, "auto, uring or epoll").map(|choice| to.io = Some(choice))
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
        const KEY: &str = "success_statuses";
        let (BadManners::UnknownRpc(rpc) | BadManners::NoSuccess(rpc, _)) = bad;
        let line = self.line_of(KEY, Some(rpc));
        let text = match bad {
            BadManners::UnknownRpc(_) => format!(
                "{KEY}: {}: the schema has no such method; expected a full name, as in package.Service.Method",
                cut(rpc)
            ),
            BadManners::NoSuccess(..) => format!("{KEY}: {bad}"),
        };
        self.fault(line, text)
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
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    use clap::CommandFactory as _;
    use transom_engine::exchange::{Coding, Compression, CorsSettings};

    use super::super::answers::{KEYS, Values};
    use super::super::{CommandLine, JsonArgs};
    use super::*;

    fn page() -> String {
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md")).unwrap()
    }

    /// Rows of all tables by the key in their first cell.
    fn rows(page: &str) -> BTreeMap<&str, Vec<&str>> {
        page.lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(key, rest)| (key, rest.split('|').map(str::trim).skip(1).collect()))
            .collect()
    }

    fn read(name: &str, text: &str) -> Result<ConfigFile, Fault> {
        let path = std::env::temp_dir().join(format!("transom-{}-{name}.yaml", std::process::id()));
        fs::write(&path, text).unwrap();
        let read = ConfigFile::read(Some(&path));
        fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn page_of_configuration_has_each_key_and_no_other() {
        let page = page();
        let rows = rows(&page);
        let documented: Vec<_> = rows.keys().copied().collect();
        let mut known: Vec<_> = key_names().collect();
        known.sort_unstable();
        assert_eq!(documented, known);
        for key in KEYS {
            let values = rows[key.name][0];
            for word in key.expected().replace(" or ", ", ").split(", ") {
                assert!(
                    values.contains(word),
                    "{}: {word} is not in {values}",
                    key.name
                );
            }
        }
    }

    /// A default is the value that changes nothing.
    #[test]
    fn page_of_configuration_has_the_defaults_of_each_profile() {
        let page = page();
        let rows = rows(&page);
        for (column, profile) in Profile::value_variants().iter().enumerate() {
            for key in KEYS {
                let found = rows[key.name][1 + column].trim_matches('`');
                let mut answers = profile.answers();
                let node = Node {
                    line: 1,
                    value: match found {
                        "[]" => Value::List(Vec::new()),
                        word => Value::Scalar(word.to_owned()),
                    },
                };
                key.set(&node, &mut answers).unwrap();
                assert_eq!(answers, profile.answers(), "{} of {profile:?}", key.name);
            }
        }
    }

    #[test]
    fn example_of_the_page_is_read_and_has_each_key() {
        let page = page();
        let example = page.split("```yaml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        // The file of rules that it names is the other example.
        let mut rules = page.split("    type: google.api.Service").nth(1).unwrap();
        rules = rules.split("\n\n").next().unwrap();
        let folder = std::env::temp_dir().join(format!("transom-example-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let rules = rules.replace("\n    ", "\n");
        fs::write(
            folder.join("rules.yaml"),
            format!("type: google.api.Service{rules}\n"),
        )
        .unwrap();
        fs::write(folder.join("transom.yaml"), example).unwrap();
        let file = ConfigFile::read(Some(&folder.join("transom.yaml"))).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let selectors: Vec<_> = file.rules().into_iter().map(|rule| rule.selector).collect();
        assert_eq!(
            selectors,
            [
                "shop.v1.Shop.GetItem",
                "shop.v1.Shop.CheckItem",
                "shop.v1.Shop.PutItem"
            ]
        );
        for name in key_names() {
            assert!(example.contains(&format!("{name}:")), "{name}");
        }
        assert_eq!(file.answers.len(), KEYS.len());
        assert_eq!(file.values.profile, Some(Profile::GrpcGateway));
        assert_eq!(file.values.workers.map(NonZeroUsize::get), Some(4));
    }

    #[test]
    fn each_option_of_a_command_that_takes_a_file_is_a_key() {
        // The body and the headers of one request to explain are no settings.
        let mut count = 0;
        for command in CommandLine::command().get_subcommands() {
            let names: Vec<_> = command
                .get_arguments()
                .filter_map(clap::Arg::get_long)
                .collect();
            if !names.contains(&"config") {
                continue;
            }
            for name in names
                .iter()
                .filter(|name| !["config", "data", "header", "help"].contains(name))
            {
                let key = name.replace('-', "_");
                assert!(key_names().any(|known| known == key), "{key}");
                count += 1;
            }
        }
        assert!(count > 30, "{count} options");
    }

    /// Each word of each key by itself changes what it says and nothing else.
    #[test]
    fn file_wins_over_the_profile_and_a_flag_over_the_file() {
        for key in KEYS {
            let Values::Words(words) = key.values else {
                continue;
            };
            for (word, set) in words {
                let text = format!("{}: {word}\nprofile: envoy\n", key.name);
                let file = read(key.name, &text).unwrap();
                let mut expected = Profile::Envoy.answers();
                set(&mut expected);
                assert_eq!(JsonArgs::default().answers(&file), expected, "{text}");
            }
        }
        let file = read("over", "profile: envoy\njson_names: proto\n").unwrap();
        let text = "query_ignored_keys: [a, b]\nquery_captured_by: extra\njson_indent: 3\ntimeout_default_ms: 1500\ntimeout_max_ms: 99999999\n";
        let answers = JsonArgs::default().answers(&read("lists", text).unwrap());
        let manners = &answers.manners;
        assert_eq!(manners.timeout_default, Some(Duration::from_millis(1500)));
        assert_eq!(manners.timeout_max, Some(Duration::from_millis(99_999_999)));
        assert_eq!(answers.manners.query.ignored_keys, ["a", "b"]);
        assert_eq!(answers.manners.query.captured_by.as_deref(), Some("extra"));
        assert_eq!(answers.options.indent, Some(3));
        let flags = JsonArgs {
            profile: Some(Profile::GrpcGateway),
            json_names: Some(super::super::JsonNames::Json),
            ..JsonArgs::default()
        };
        assert_eq!(flags.answers(&file), Profile::GrpcGateway.answers());
    }

    #[test]
    fn example_of_each_map_on_the_page_is_read() {
        let page = page();
        let example = page.split("## Keys that are maps\n\n").nth(1).unwrap();
        let example = example.split("\n\n").next().unwrap();
        let text = example.replace("\n    ", "\n");
        let file = read("maps", text.trim_start()).unwrap();
        let answers = JsonArgs::default().answers(&file);
        let manners = answers.manners;
        let statuses: Vec<_> = manners
            .success_statuses
            .iter()
            .map(|each| (&*each.rpc, each.status))
            .collect();
        assert_eq!(statuses, [("shop.v1.Shop.CreateItem", 201)]);
        let cors = manners.cors.unwrap();
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let expected = CorsSettings {
            origins: texts(&[
                "https://shop.example",
                "https://*.shop.example",
                "http://localhost:3000",
            ]),
            origin_patterns: texts(&["https://pr-[0-9]+\\.preview\\.example"]),
            allow_credentials: true,
            allow_headers: texts(&["authorization", "content-type"]),
            expose_headers: texts(&["etag", "grpc-metadata-request-id"]),
            max_age_seconds: Some(600),
        };
        assert_eq!(cors.settings(), &expected);
        let expected = Compression {
            len_min: 1024,
            codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            content_types: texts(&["application/json"]),
        };
        assert_eq!(manners.compression, Some(expected));
    }

    #[test]
    fn maps_take_both_ends_of_their_ranges_and_what_is_left_out_is_the_default() {
        let manners = |text: &str| {
            let file = read("ranges", text).unwrap();
            JsonArgs::default().answers(&file).manners
        };
        assert_eq!(
            manners("compression: {}").compression,
            Some(Compression::default())
        );
        assert_eq!(manners("compression: none").compression, None);
        for len_min in [0, 4_194_304] {
            let compression = manners(&format!("compression: {{from: {len_min}}}")).compression;
            assert_eq!(compression.unwrap().len_min, len_min);
        }
        for age in [0, 86_400] {
            let cors = manners(&format!("cors: {{origins: ['*'], max_age_seconds: {age}}}")).cors;
            assert_eq!(cors.unwrap().settings().max_age_seconds, Some(age));
        }
        for status in [200, 299] {
            let statuses = manners(&format!("success_statuses: {{a.S.M: {status}}}"));
            assert_eq!(statuses.success_statuses[0].status, status);
        }
        let json = manners("compression: {codings: [deflate], content_types: [text/plain]}");
        let compression = json.compression.unwrap();
        assert_eq!(compression.codings, [Coding::Deflate]);
        assert_eq!(compression.content_types, ["text/plain"]);
    }

    #[test]
    fn wrong_map_is_refused_with_line_key_and_what_was_expected() {
        for (text, line, words) in [
            ("cors: on", 1, "cors: found `on`; expected a map or none"),
            (
                "cors: {}",
                1,
                "cors: no origin is let in; give origins or origin_patterns",
            ),
            (
                "cors:\n  origin: ['*']",
                2,
                "cors: origin: there is no such key; did you mean origins?",
            ),
            (
                "cors:\n  origins: https://a.example",
                2,
                "cors: origins: found `https://a.example`; expected a list of texts",
            ),
            (
                "cors:\n  origins:\n    - https://a.example\n    - https://a.example/\n",
                4,
                "cors: origins: found `https://a.example/`; expected *, null, or a scheme and a host",
            ),
            (
                "cors:\n  origin_patterns: ['(']",
                2,
                "cors: origin_patterns: found `(`; expected a regular expression",
            ),
            (
                "cors:\n  origins: ['*']\n  allow_headers: [x y]",
                3,
                "cors: allow_headers: found `x y`; expected the name of a header",
            ),
            (
                "cors:\n  origins: ['*']\n  expose_headers: ['']",
                3,
                "cors: expose_headers: found ``; expected the name of a header",
            ),
            (
                "cors:\n  origins: ['*']\n  allow_credentials: true",
                2,
                "cors: the origin * and allow_credentials exclude each other; list the origins",
            ),
            (
                "cors: {origins: ['*'], allow_credentials: yes}",
                1,
                "cors: allow_credentials: found `yes`; expected true or false",
            ),
            (
                "cors: {origins: ['*'], max_age_seconds: 86401}",
                1,
                "cors: max_age_seconds: found `86401`; expected 0 to 86400",
            ),
            (
                "compression:\n  from: -1",
                2,
                "compression: from: found `-1`; expected 0 to 4194304",
            ),
            ("compression: {from: 4194305}", 1, "expected 0 to 4194304"),
            (
                "compression: {codings: [gzip, lzma]}",
                1,
                "compression: codings: found `lzma`; expected zstd, br, gzip or deflate",
            ),
            (
                "compression: {content_types: [json]}",
                1,
                "compression: content_types: found `json`; expected a content type without parameters",
            ),
            (
                "compression: {content_types: ['text/plain; charset=utf-8']}",
                1,
                "expected a content type without parameters",
            ),
            (
                "success_statuses: [201]",
                1,
                "found a list; expected a map or none",
            ),
            (
                "success_statuses:\n  a.S.M: 300",
                2,
                "success_statuses: a.S.M: found `300`; expected 200 to 299",
            ),
            ("success_statuses: {a.S.M: 199}", 1, "expected 200 to 299"),
        ] {
            let fault = read("wrong-map", text).unwrap_err();
            assert!(fault.text.contains(words), "{text}: {fault}");
            let place = format!(".yaml:{line}");
            assert!(fault.place.ends_with(&place), "{text}: {fault}");
        }
    }

    #[test]
    fn wrong_file_is_refused_with_line_key_and_what_was_expected() {
        for (text, line, words) in [
            (
                "json_name: json",
                1,
                "json_name: there is no such key; did you mean json_names?",
            ),
            ("\njson-names: json", 2, "did you mean json_names?"),
            (
                "surfboard: 1",
                1,
                "there is no such key; expected upstream, ",
            ),
            (
                "json_names: jsn",
                1,
                "json_names: found `jsn`; expected json or proto",
            ),
            (
                "json_names:\n  - json",
                2,
                "json_names: found a list; expected json or proto",
            ),
            (
                "json_names:",
                1,
                "json_names: found nothing; expected json or proto",
            ),
            (
                "json_indent: 17",
                1,
                "json_indent: found `17`; expected 0 to 16 or none",
            ),
            ("json_indent: -1", 1, "expected 0 to 16"),
            (
                "query_ignored_keys: key",
                1,
                "found `key`; expected a list of texts",
            ),
            (
                "query_ignored_keys: [[a]]",
                1,
                "found a list; expected text",
            ),
            ("query_captured_by: ''", 1, "expected a name or none"),
            (
                "profile: nginx",
                1,
                "expected transom, grpc-gateway, grpc-gateway-v1 or envoy",
            ),
            (
                "listen: :8080",
                1,
                "listen: found `:8080`; expected an IP address",
            ),
            (
                "workers: 0",
                1,
                "workers: found `0`; expected a number of threads, 1 or more",
            ),
            ("workers: many", 1, "1 or more"),
            ("io: kqueue", 1, "expected auto, uring or epoll"),
            ("upstream: localhost:1", 1, "http://host:port"),
            ("upstream: https://localhost:1", 1, "TLS"),
            (
                "proto: {a: b}",
                1,
                "proto: found a map; expected a path or a list of paths",
            ),
            ("proto: [a.proto, [b]]", 1, "found a list; expected a path"),
            (
                "json: maybe",
                1,
                "json: found `maybe`; expected true or false",
            ),
            ("- a", 1, "found a list; expected keys and values"),
            ("a: [", 2, "not YAML"),
        ] {
            let fault = read("wrong", text).unwrap_err();
            assert!(fault.text.contains(words), "{text}: {fault}");
            assert!(
                fault.place.ends_with(&format!(".yaml:{line}")),
                "{text}: {fault}"
            );
        }
        let fault = ConfigFile::read(Some(Path::new("no/such.yaml"))).unwrap_err();
        assert!(
            fault
                .to_string()
                .starts_with("no/such.yaml: cannot read it: "),
            "{fault}"
        );
    }

    #[test]
    fn paths_are_taken_from_the_folder_of_the_file() {
        let file = read("paths", "proto: a.proto\nproto_path: [b, /c]").unwrap();
        let folder = std::env::temp_dir();
        assert_eq!(file.values.proto, [folder.join("a.proto")]);
        assert_eq!(
            file.values.proto_path,
            [folder.join("b"), PathBuf::from("/c")]
        );
    }
}
