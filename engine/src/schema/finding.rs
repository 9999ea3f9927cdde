//! What is wrong or odd with the rules of a schema. In: text made where it is seen. Out: findings, for a log or a lint.
//! Always: names the place, the method and what to do; one fault does not hide the next.

use std::fmt;

use super::error::printable;
use crate::plan::{BadRules, Options, SameRequests};

/// Something wrong or odd with one rule: [`Schema::findings`](crate::Schema::findings). Its text is for whoever starts the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    kind: FindingKind,
    place: String,
    text: String,
}

/// What a [`Finding`] is about. More kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// A rule that cannot be; it has no route (SEMANTICS 14).
    BadRule,
    /// Two rules that take the same requests; the later has the route (SEMANTICS 10).
    SameRequests,
    /// A rule from outside for a method that is not there (SEMANTICS 8).
    UnknownSelector,
    /// A rule that owns the `POST /package.Service/Method` of another method (SEMANTICS 14a).
    PathTaken,
    /// A rule, or a field of its request, that no request comes to.
    Unreachable,
    /// A rule that is legal and most likely not meant.
    Advice,
    /// A rule that yields to a better one for some values of a variable (SEMANTICS 40).
    Shadowed,
}

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may well be meant.
    Note,
    /// It works, and most likely not as meant.
    Warning,
    /// It does not work.
    Error,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, place: &str, text: &str) -> Self {
        Self {
            kind,
            place: printable(place),
            text: printable(text),
        }
    }

    /// What it is about.
    pub const fn kind(&self) -> FindingKind {
        self.kind
    }

    /// The file, and the line if it is known: `shop.proto:12`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The method, what is wrong and what to do.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether these options refuse a schema for it.
    pub fn is_refused_by(&self, options: &Options) -> bool {
        match self.kind {
            FindingKind::BadRule => options.bad_rules == BadRules::Refuse,
            FindingKind::SameRequests => options.same_requests == SameRequests::Refuse,
            FindingKind::UnknownSelector => true,
            _ => false,
        }
    }

    /// How much it matters to who checks rules. What cannot be is an error, be it skipped or not.
    pub fn severity(&self, options: &Options) -> Severity {
        match self.kind {
            FindingKind::BadRule => Severity::Error,
            FindingKind::Shadowed => Severity::Note,
            _ if self.is_refused_by(options) => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}
