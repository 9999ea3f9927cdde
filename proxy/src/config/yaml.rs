//! YAML text to a tree that knows its lines. In: the text of one file. Out: a [`Node`] for its one document, or a [`Fault`].
//! Always: size and depth are bounded; no key twice, no alias and no tag, so that what a reader sees is what is meant.

use std::fmt;
use std::path::Path;
use std::{fs, io::Read as _};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::limits::{CONFIG_DEPTH_MAX, CONFIG_LEN_MAX};

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, and the line if the fault is in one: `shop.yaml:3`.
    pub place: String,
    /// The key, what was found, what was expected.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

impl std::error::Error for Fault {}

/// One value of a document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing behind the colon, `~` or `null`.
    Nothing,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One member of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: Node,
}

/// A value of the wrong kind: the line, and the words without the key, which the caller knows.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Wrong {
    /// The same, told with the key whose value it is in.
    pub(super) fn within(self, key: &str) -> Self {
        Self {
            line: self.line,
            text: format!("{}: {}", cut(key), self.text),
        }
    }
}

impl Node {
    /// `found ..; expected ..`
    pub(super) fn wrong(&self, expected: impl fmt::Display) -> Wrong {
        let found = match &self.value {
            Value::Nothing => "nothing".to_owned(),
            Value::Scalar(text) => format!("`{}`", cut(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        };
        Wrong {
            line: self.line,
            text: format!("found {found}; expected {expected}"),
        }
    }

    pub(super) fn scalar(&self, expected: &str) -> Result<&str, Wrong> {
        match &self.value {
            Value::Scalar(text) => Ok(text),
            _ => Err(self.wrong(expected)),
        }
    }

    pub(super) fn map(&self, expected: &str) -> Result<&[Entry], Wrong> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.wrong(expected)),
        }
    }

    pub(super) fn list(&self, expected: &str) -> Result<&[Self], Wrong> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(expected)),
        }
    }
}

/// A text of the file for a message, on one line and not too long.
pub(super) fn cut(text: &str) -> String {
    const LEN_MAX: usize = 60;
    let mut short: String = text.chars().take(LEN_MAX).collect();
    if short.len() < text.len() {
        short.push_str("..");
    }
    short.escape_debug().to_string()
}

/// Reads a file of YAML.
pub(super) fn read(path: &Path) -> Result<Node, Fault> {
    let fault = |text: String| Fault {
        place: path.display().to_string(),
        text,
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| fault(format!("cannot read it: {error}")))?;
    // One byte more than allowed tells a file that is too long from one that just fits.
    file.take(CONFIG_LEN_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| fault(format!("cannot read it: {error}")))?;
    if text.len() > CONFIG_LEN_MAX {
        return Err(fault(format!(
            "the file has more than {CONFIG_LEN_MAX} bytes"
        )));
    }
    parse(&text).map_err(|wrong| Fault {
        place: format!("{}:{}", path.display(), wrong.line),
        text: wrong.text,
    })
}

/// A container that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    /// With the key whose value is to come.
    Map(usize, Vec<Entry>, Option<(usize, String)>),
}

/// An empty document is an empty map.
fn parse(text: &str) -> Result<Node, Wrong> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Wrong {
            line: error.marker().line(),
            text: format!("it is not YAML: {}", cut(error.info())),
        })?;
        let line = span.start.line();
        let node = match event {
            Event::DocumentStart(_) if document.is_some() => {
                return wrong(line, "there is a second document; expected one");
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
            Event::Alias(_) => {
                return wrong(
                    line,
                    "an alias (`*name`) is not supported; write the value out",
                );
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return wrong(line, "a tag (`!name`) is not supported; leave it out");
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= CONFIG_DEPTH_MAX {
                    return wrong(
                        line,
                        &format!("values stand in each other more than {CONFIG_DEPTH_MAX} deep"),
                    );
                }
                if let Some(Open::Map(_, _, key @ None)) = open.last_mut() {
                    *key = None;
                    return wrong(line, "a key is a list or a map; expected a name");
                }
                open.push(match event {
                    Event::SequenceStart(..) => Open::List(line, Vec::new()),
                    _ => Open::Map(line, Vec::new(), None),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node {
                    line,
                    value: Value::List(items),
                },
                Some(Open::Map(line, entries, _)) => Node {
                    line,
                    value: Value::Map(entries),
                },
                None => continue,
            },
            Event::Scalar(text, style, ..) => Node {
                line,
                value: scalar(&text, style),
            },
        };
        match open.last_mut() {
            None => document = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, key)) => match (key.take(), node.value) {
                (Some((line, key)), value) => entries.push(Entry {
                    line,
                    key,
                    value: Node {
                        line: node.line,
                        value,
                    },
                }),
                (None, Value::Scalar(name)) => {
                    if let Some(first) = entries.iter().find(|entry| entry.key == name) {
                        let text = format!(
                            "{}: the key is there already, in line {}",
                            cut(&name),
                            first.line
                        );
                        return wrong(line, &text);
                    }
                    *key = Some((line, name));
                }
                (None, _) => return wrong(line, "a key is empty; expected a name"),
            },
        }
    }
    Ok(document
        .filter(|node| !matches!(node.value, Value::Nothing))
        .unwrap_or(Node {
            line: 1,
            value: Value::Map(Vec::new()),
        }))
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Nothing,
        _ => Value::Scalar(text.to_owned()),
    }
}

fn wrong<T>(line: usize, text: &str) -> Result<T, Wrong> {
    Err(Wrong {
        line,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_know_their_lines() {
        let node = parse("a: 1\nb:\n  - x\n  - \"null\"\nc: {d: ~}\n").unwrap();
        let entries = node.map("a map").unwrap();
        let lines: Vec<_> = entries
            .iter()
            .map(|entry| (entry.line, &*entry.key))
            .collect();
        assert_eq!(lines, [(1, "a"), (2, "b"), (5, "c")]);
        let items = entries[1].value.list("a list").unwrap();
        assert_eq!((items[1].line, items[1].scalar("").unwrap()), (4, "null"));
        let inner = &entries[2].value.map("a map").unwrap()[0];
        assert!(matches!(inner.value.value, Value::Nothing));
        assert!(
            parse("# nothing\n")
                .unwrap()
                .map("a map")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_could_mean_something_else_is_refused_with_its_line() {
        let deep = "[".repeat(CONFIG_DEPTH_MAX + 1);
        for (text, line, words) in [
            ("a: 1\na: 2\n", 2, "a: the key is there already, in line 1"),
            ("a: &x 1\nb: *x\n", 2, "alias"),
            ("\na: !!int 1\n", 2, "tag"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("[a]: 1\n", 1, "expected a name"),
            ("~: 1\n", 1, "a key is empty"),
            ("a: 1\n b: 2\n", 2, "not YAML"),
            ("a: [1\n", 2, "not YAML"),
            (&deep, 1, "deep"),
        ] {
            let wrong = parse(text).unwrap_err();
            assert!(wrong.text.contains(words), "{text}: {wrong:?}");
            assert_eq!(wrong.line, line, "{text}: {wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_tree_or_a_fault(text in "[a-c:\\-\\[\\]{},\"'&*!|>#~ \n\t]{0,80}") {
            let _either = parse(&text);
        }
    }
}
