//! The one error of this room. In: what went wrong and where. Out: a text for the operator.
//! Always: the text is one line, `place: what was found; what to do`; foreign text in it is escaped and cut.

use std::fmt;

/// Characters of a foreign text (a status message, a name from a descriptor) that an error repeats.
const FOREIGN_TEXT_LEN_MAX: usize = 300;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SchemaSourceErrorKind {
    /// Neither a file nor an upstream was given.
    NoSource,
    /// A file cannot be read.
    Unreadable,
    /// A file is not what its option asks for.
    WrongFormat,
    /// A `.proto` file does not compile.
    Compile,
    /// A `.proto` file is written in an edition, which only a descriptor set can hold.
    Edition,
    /// Two sources give one file name with different content.
    Conflict,
    /// An imported file was not found in any source.
    MissingImport,
    /// Files import each other in a circle.
    ImportCycle,
    /// A source is larger than this program takes.
    TooLarge,
    /// The URL of the upstream is not one that can be asked.
    BadUpstream,
    /// The upstream did not answer in time.
    Unreachable,
    /// The caller ended the wait for the upstream.
    Stopped,
    /// The upstream answers, but not to server reflection.
    NoReflection,
    /// The upstream's reflection gave an error or nonsense.
    Reflection,
    /// This program or its surroundings failed.
    Internal,
}

/// Why there is no schema. Its text names the place, what was found there, and what to do.
#[derive(Clone, Debug)]
pub struct SchemaSourceError {
    kind: SchemaSourceErrorKind,
    place: String,
    found: String,
    advice: String,
}

impl SchemaSourceError {
    pub(super) fn new(
        kind: SchemaSourceErrorKind,
        place: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place: place.into(),
            found: found.into(),
            advice: advice.into(),
        }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> SchemaSourceErrorKind {
        self.kind
    }
}

impl fmt::Display for SchemaSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.found)?;
        if self.advice.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.advice)
    }
}

impl std::error::Error for SchemaSourceError {}

/// Makes foreign text fit to be printed in one line.
pub(super) fn printable(foreign: &str) -> String {
    let mut text = String::new();
    for character in foreign.chars().take(FOREIGN_TEXT_LEN_MAX) {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    if foreign.chars().nth(FOREIGN_TEXT_LEN_MAX).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(printable("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
        let long = "ä".repeat(FOREIGN_TEXT_LEN_MAX + 1);
        assert_eq!(printable(&long), "ä".repeat(FOREIGN_TEXT_LEN_MAX) + "…");
    }
}
