//! Path templates of `google.api.http`. In: the text of a rule. Out: a [`Template`]. Always: a template is valid by itself;
//! whether its variables are fields is for `compile` to say. Printing a template and parsing it again gives an equal one.
//!
//! ```text
//! template = "/" [ segments [ ":" literal ] ]          "/" alone is the root of the site
//! segments = segment { "/" segment }
//! segment  = "*" | "**" | literal | "{" name { "." name } [ "=" segments ] "}"
//! ```

use std::fmt;
use std::ops::Range;

use crate::limits::TARGET_LEN_MAX;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Those of variables too.
    pub(crate) segments: Vec<Segment>,
    /// In the order of the template; their spans are disjoint.
    pub(crate) variables: Vec<Variable>,
    /// What follows the last colon, as written.
    pub(crate) verb: Option<String>,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Exactly this text, as written, perhaps percent-encoded; never empty.
    Literal(String),
    /// `*`: any one segment that is not empty.
    Star,
    /// `**`: any number of segments.
    Rest,
}

/// A variable of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Field names from the request message down; never empty.
    pub(crate) path: Vec<String>,
    /// The segments of the template it spans; never empty.
    pub(crate) segments: Range<usize>,
}

impl Template {
    /// Parses a template (SEMANTICS 1, 2).
    ///
    /// # Errors
    /// A sentence that says what was found, where, and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TARGET_LEN_MAX {
            return Err(format!(
                "it has {} bytes; a request target has at most {TARGET_LEN_MAX}",
                text.len()
            ));
        }
        let mut parser = Parser {
            rest: text,
            len: text.len(),
            template: Self {
                segments: Vec::new(),
                variables: Vec::new(),
                verb: None,
            },
        };
        parser.parse()?;
        Ok(parser.template)
    }

    /// The index of the `**`, if there is one.
    pub(crate) fn rest(&self) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| *segment == Segment::Rest)
    }
}

impl Variable {
    /// Whether the variable captures exactly one segment.
    pub(crate) fn is_single_segment(&self, template: &Template) -> bool {
        self.segments.len() == 1
            && template.segments.get(self.segments.start) != Some(&Segment::Rest)
    }
}

struct Parser<'t> {
    /// What is not yet parsed, a suffix of the template.
    rest: &'t str,
    /// Bytes of the template up to the end of `rest`.
    len: usize,
    template: Template,
}

impl<'t> Parser<'t> {
    fn parse(&mut self) -> Result<(), String> {
        if !self.take('/') {
            return Err("it does not start with `/`".to_owned());
        }
        if self.rest.is_empty() {
            return Ok(());
        }
        let verb = self.split_verb();
        loop {
            if self.take('{') {
                self.variable()?;
            } else {
                self.segment("/{")?;
            }
            if self.rest.is_empty() {
                break;
            }
            self.expect('/')?;
        }
        if let Some(verb) = verb {
            // The segments end at the colon.
            self.template.verb = Some(literal(verb, "verb", self.len + 1)?);
        }
        Ok(())
    }

    /// Takes the verb off the end: what follows the last colon of the last segment, outside of a variable.
    fn split_verb(&mut self) -> Option<&'t str> {
        let at = self.rest.rfind(['/', '}', ':'])?;
        let (segments, verb) = self.rest.split_at_checked(at)?;
        let verb = verb.strip_prefix(':')?;
        self.rest = segments;
        self.len = self.len - verb.len() - 1;
        Some(verb)
    }

    /// After `{`.
    fn variable(&mut self) -> Result<(), String> {
        let Some(end) = self.rest.find(['=', '}']) else {
            return Err("a `{` is not closed by `}`".to_owned());
        };
        let (name, rest) = self.rest.split_at(end);
        if let Some(bad) = name.split('.').find(|step| !is_identifier(step)) {
            return Err(format!(
                "`{}` is not a field name, at byte {}",
                bad.escape_default(),
                self.offset()
            ));
        }
        let path: Vec<_> = name.split('.').map(str::to_owned).collect();
        self.rest = rest;
        // SEMANTICS 4
        if self.template.variables.iter().any(|each| each.path == path) {
            return Err(format!("the variable `{name}` comes twice"));
        }
        let start = self.template.segments.len();
        if self.take('=') {
            loop {
                if self.rest.starts_with('{') {
                    return Err(format!("the variable `{name}` holds another variable"));
                }
                self.segment("/{}")?;
                if !self.take('/') {
                    break;
                }
            }
        } else {
            self.push(Segment::Star)?;
        }
        self.expect('}')?;
        let segments = start..self.template.segments.len();
        self.template.variables.push(Variable { path, segments });
        Ok(())
    }

    /// A segment that is no variable; one of `ends` or the end of the text is behind it.
    fn segment(&mut self, ends: &str) -> Result<(), String> {
        let end = self
            .rest
            .find(|each| ends.contains(each))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let segment = match text {
            "*" => Segment::Star,
            "**" => Segment::Rest,
            _ => Segment::Literal(literal(text, "segment", self.offset())?),
        };
        self.push(segment)?;
        self.rest = rest;
        Ok(())
    }

    /// SEMANTICS 2: one `**`, and behind it nothing but literals.
    fn push(&mut self, segment: Segment) -> Result<(), String> {
        if self.template.rest().is_some() && !matches!(segment, Segment::Literal(_)) {
            return Err(format!(
                "`{segment}` comes after `**`, which only literals may follow, at byte {}",
                self.offset()
            ));
        }
        self.template.segments.push(segment);
        Ok(())
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = self.rest.chars().next().map_or_else(
            || "the end".to_owned(),
            |each| format!("`{}`", each.escape_default()),
        );
        Err(format!(
            "expected `{wanted}`, found {found}, at byte {}",
            self.offset()
        ))
    }

    fn offset(&self) -> usize {
        self.len - self.rest.len()
    }
}

/// A literal of a template that starts at byte `at` of it.
fn literal(text: &str, what: &str, at: usize) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("a {what} is empty, at byte {at}"));
    }
    if let Some(bad) = text
        .chars()
        .find(|&each| "*{}?#\\\"<>".contains(each) || each.is_whitespace() || each.is_control())
    {
        return Err(format!(
            "`{}` cannot stand in a {what}, at byte {at}",
            bad.escape_default()
        ));
    }
    // The first piece is what comes before any percent sign.
    let is_escaped = text.split('%').skip(1).all(|after| {
        after
            .as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !is_escaped {
        return Err(format!(
            "a `%` is not followed by two hex digits, in the {what} at byte {at}"
        ));
    }
    Ok(text.to_owned())
}

fn is_identifier(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            formatter.write_str("/")?;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            formatter.write_str("/")?;
            for variable in &self.variables {
                if variable.segments.start == index {
                    write!(formatter, "{{{}=", variable.path.join("."))?;
                }
            }
            write!(formatter, "{segment}")?;
            for variable in &self.variables {
                if variable.segments.end == index + 1 {
                    formatter.write_str("}")?;
                }
            }
        }
        if let Some(verb) = &self.verb {
            write!(formatter, ":{verb}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Literal(text) => text,
            Self::Star => "*",
            Self::Rest => "**",
        })
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = Template::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }

    #[test]
    fn variable_without_a_pattern_is_one_segment() {
        assert_eq!(
            Template::parse("/v1/{book.name}").unwrap(),
            Template::parse("/v1/{book.name=*}").unwrap()
        );
    }

    #[test]
    fn segments_of_variables_and_verb_are_told_apart() {
        let template = Template::parse("/v1/{name=shelves/*/books/**}/raw:x%2Fy").unwrap();
        assert_eq!(template.segments.len(), 6);
        assert_eq!(template.rest(), Some(4));
        assert_eq!(template.verb.as_deref(), Some("x%2Fy"));
        assert_eq!(template.variables.len(), 1);
        assert_eq!(template.variables[0].segments, 1..5);
        assert!(!template.variables[0].is_single_segment(&template));
    }

    #[test]
    fn colon_before_the_last_one_is_part_of_the_literal() {
        let template = Template::parse("/v1/a:b/c:d:e").unwrap();
        assert_eq!(template.segments[1], Segment::Literal("a:b".into()));
        assert_eq!(template.segments[2], Segment::Literal("c:d".into()));
        assert_eq!(template.verb.as_deref(), Some("e"));
    }

    #[test]
    fn colon_in_a_variable_is_no_verb() {
        let template = Template::parse("/v1/{name=a:b}").unwrap();
        assert_eq!(template.segments[1], Segment::Literal("a:b".into()));
        assert_eq!(template.verb, None);
    }

    #[test]
    fn root_has_no_segments() {
        assert_eq!(Template::parse("/").unwrap().segments, []);
    }

    #[test]
    fn what_the_grammar_does_not_know_is_refused() {
        refused("", "does not start with `/`");
        refused("v1/a", "does not start with `/`");
        refused("/v1//a", "a segment is empty, at byte 4");
        refused("/v1/", "a segment is empty, at byte 4");
        refused("/:verb", "a segment is empty, at byte 1");
        refused("/v1/a:", "a verb is empty, at byte 6");
        refused("/v1/{a", "not closed");
        refused("/v1/{a=*", "expected `}`, found the end, at byte 8");
        refused("/v1/a}", "`}` cannot stand in a segment, at byte 4");
        refused("/v1/{a}b", "expected `/`, found `b`, at byte 7");
        refused("/v1/b{a}", "expected `/`, found `{`, at byte 5");
        refused("/v1/{}", "`` is not a field name, at byte 5");
        refused("/v1/{a.}", "`` is not a field name");
        refused("/v1/{1a}", "`1a` is not a field name");
        refused("/v1/{a-b}", "`a-b` is not a field name");
        refused("/v1/{a={b}}", "`a` holds another variable");
        refused("/v1/{a=x/{b}}", "`a` holds another variable");
        refused("/v1/{a=}", "a segment is empty");
        refused("/v1/{a}/{a=**}", "`a` comes twice");
        refused("/v1/**/**", "`**` comes after `**`");
        refused("/v1/**/*", "`*` comes after `**`");
        refused("/v1/**/{a}", "`*` comes after `**`");
        refused("/v1/{a=**}/{b=c/*}", "`*` comes after `**`");
        refused("/v1/a*", "`*` cannot stand in a segment");
        refused("/v1/a?b=c", "`?` cannot stand in a segment");
        refused("/v1/a b", "` ` cannot stand in a segment");
        refused("/v1/a%2", "two hex digits, in the segment at byte 4");
        refused("/v1/a:%zz", "two hex digits, in the verb at byte 6");
        refused(&format!("/{}", "a".repeat(9000)), "at most 8192");
    }

    /// Any valid template over a small alphabet, so that templates collide and paths match often.
    pub(crate) fn any_template() -> impl Strategy<Value = Template> {
        let literal = prop::sample::select(vec!["a", "b", "a:b", "%2F", "%61"]);
        let head = prop::collection::vec(
            prop_oneof![
                3 => literal.clone().prop_map(|text| Segment::Literal(text.to_owned())),
                2 => Just(Segment::Star),
            ],
            0..4,
        );
        let tail = prop::collection::vec(literal, 0..3);
        let verb = prop::option::of(prop::sample::select(vec!["a", "b"]));
        let cuts = prop::collection::vec(any::<u8>(), 0..5);
        (head, prop::option::of(tail), verb, cuts).prop_map(|(mut segments, tail, verb, cuts)| {
            if let Some(tail) = tail {
                segments.push(Segment::Rest);
                segments.extend(
                    tail.into_iter()
                        .map(|text| Segment::Literal(text.to_owned())),
                );
            }
            let verb = verb
                .filter(|_| !segments.is_empty())
                .map(ToOwned::to_owned);
            let mut places: Vec<_> = cuts
                .iter()
                .map(|cut| usize::from(*cut) % (segments.len() + 1))
                .collect();
            places.sort_unstable();
            places.dedup();
            let variables = places
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&[start, end]| Variable {
                    path: vec![format!("v{start}"), "f".to_owned()],
                    segments: start..end,
                })
                .collect();
            Template {
                segments,
                variables,
                verb,
            }
        })
        // A colon in a bare last segment would be read back as a verb.
        .prop_filter("last literal looks like a verb", |template| {
            template.verb.is_some()
                || !matches!(template.segments.last(), Some(Segment::Literal(text)) if text.contains(':'))
        })
    }

    proptest! {
        #[test]
        fn printed_template_parses_to_itself(template in any_template()) {
            prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
        }

        #[test]
        fn any_text_is_refused_or_a_sound_template(text in "[/{}*:=.a%0-9é]{0,24}") {
            if let Ok(template) = Template::parse(&text) {
                let head = template.rest().map_or(template.segments.len(), |at| at + 1);
                prop_assert!(template.segments[head..].iter().all(|each| matches!(each, Segment::Literal(_))));
                prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
            }
        }
    }
}
