//! Path templates. In: a byte that chooses the method, templates a line each, and a path on the last line. Always: what is a template
//! and what is not, which of several a path finds, and what it captures, is what a reader and matcher say that do it the long way.

use std::cmp::Ordering;
use std::ops::Range;

use transom_engine::TemplateTable;
use transom_engine::route::{NoRoute, Scratch};

/// Bytes of one template.
const TEMPLATE_LEN_MAX: usize = 8 * 1024;
/// Templates of one input.
const TEMPLATE_COUNT_MAX: usize = 8;

/// Templates, with one HTTP method after the other, and a path that may fit some of them.
pub fn template(input: &[u8]) {
    let Some((&choice, lines)) = input.split_first() else {
        return;
    };
    let mut lines: Vec<_> = lines.split(|&byte| byte == b'\n').collect();
    let path = lines.pop().unwrap_or_default();
    let mut rules: Vec<Rule<'_>> = Vec::new();
    let turn = (0..4_usize).cycle().skip(usize::from(choice >> 4));
    for (line, turn) in lines.into_iter().zip(turn).take(TEMPLATE_COUNT_MAX) {
        let Ok(text) = str::from_utf8(line) else {
            continue;
        };
        let http_method = ["GET", "POST", "HEAD", "*"][turn];
        let naive = Template::read(text);
        if let Err(error) = TemplateTable::new([(http_method, text)]) {
            assert!(naive.is_none(), "{text:?} was refused: {error}");
            assert!(!error.to_string().is_empty());
            continue;
        }
        let Some(template) = naive else {
            unreachable!("{text:?} is no template and was accepted");
        };
        let rule = Rule {
            http_method,
            text,
            template,
        };
        // Two rules for the same requests are refused (SEMANTICS 10).
        let is_taken = rules.iter().any(|other| rule.is_the_same(other));
        let table = rules.iter().chain([&rule]).map(Rule::pair);
        assert_eq!(TemplateTable::new(table).is_err(), is_taken, "{text:?}");
        if !is_taken {
            rules.push(rule);
        }
    }
    let table = TemplateTable::new(rules.iter().map(Rule::pair)).expect("each was accepted");
    let http_method = ["GET", "POST", "HEAD", "PUT"][usize::from(choice % 4)];
    check(&table, &rules, http_method, path);
    // A template is a path too, and one that often fits itself.
    for rule in &rules {
        check(&table, &rules, http_method, rule.text.as_bytes());
    }
}

/// The table must find what trying every rule finds.
fn check(table: &TemplateTable, rules: &[Rule<'_>], http_method: &str, path: &[u8]) {
    let matches: Vec<_> = (0..)
        .zip(rules)
        .filter_map(|(index, rule)| Some((index, rule, rule.template.captures(path)?)))
        .collect();
    let best = matches
        .iter()
        .filter_map(|each| Some((each, rank(http_method, each.1.http_method)?)))
        .min_by(|(left, left_rank), (right, right_rank)| {
            let order = left.1.template.order(&right.1.template);
            order.then(left_rank.cmp(right_rank))
        });
    let expected = match best {
        Some(((index, _, captures), _)) => Ok((*index, captures.clone())),
        None if matches.is_empty() => Err(NoRoute::NotFound),
        None => Err(NoRoute::MethodNotAllowed),
    };
    let mut scratch = Scratch::default();
    let found = table
        .find(http_method.as_bytes(), path, &mut scratch)
        .map(|index| {
            let captures = scratch.captures().iter();
            let captures = captures.map(|range| range.start as usize..range.end as usize);
            (index, captures.collect())
        });
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(path));

    let mut allowed: Vec<_> = table.allowed_methods(path, &mut scratch).collect();
    let mut expected: Vec<_> = matches.iter().map(|each| each.1.http_method).collect();
    allowed.sort_unstable();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(allowed, expected, "{}", String::from_utf8_lossy(path));
}

/// How well a rule's method is the one that was asked for.
fn rank(asked: &str, method: &str) -> Option<u8> {
    match (asked, method) {
        (asked, method) if asked == method => Some(0),
        ("HEAD", "GET") => Some(1),
        (_, "*") => Some(2),
        _ => None,
    }
}

struct Rule<'i> {
    http_method: &'static str,
    text: &'i str,
    template: Template<'i>,
}

impl<'i> Rule<'i> {
    fn pair(&self) -> (&'i str, &'i str) {
        (self.http_method, self.text)
    }

    fn is_the_same(&self, other: &Self) -> bool {
        let [left, right] = [&self.template, &other.template];
        let are_equal = |pair: (&Segment<'_>, &Segment<'_>)| match pair {
            (Segment::Literal(left), Segment::Literal(right)) => normal(left) == normal(right),
            (left, right) => left == right,
        };
        let normal = |verb: &&str| normal(verb.as_bytes());
        self.http_method == other.http_method
            && left.segments.len() == right.segments.len()
            && left.segments.iter().zip(&right.segments).all(are_equal)
            && left.verb.as_ref().map(normal) == right.verb.as_ref().map(normal)
    }
}

/// A template, read by cutting it at its slashes rather than from the left to the right.
struct Template<'i> {
    segments: Vec<Segment<'i>>,
    /// For each variable its name and its segments.
    variables: Vec<(&'i str, Range<usize>)>,
    verb: Option<&'i str>,
}

#[derive(PartialEq)]
enum Segment<'i> {
    Literal(&'i [u8]),
    Star,
    Rest,
}

impl<'i> Template<'i> {
    /// SEMANTICS 1, 2, 4
    fn read(text: &'i str) -> Option<Self> {
        let mut template = Template {
            segments: Vec::new(),
            variables: Vec::new(),
            verb: None,
        };
        if text.len() > TEMPLATE_LEN_MAX {
            return None;
        }
        let mut rest = text.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(template);
        }
        if let Some((before, verb)) = rest.rsplit_once(':')
            && !verb.contains(['/', '}'])
        {
            is_literal(verb).then_some(())?;
            template.verb = Some(verb);
            rest = before;
        }
        for piece in split_outside_of_braces(rest)? {
            let start = template.segments.len();
            let Some(variable) = piece.strip_prefix('{') else {
                template.segments.push(segment(piece)?);
                continue;
            };
            let variable = variable.strip_suffix('}')?;
            let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
            for segment_text in pattern.split('/') {
                template.segments.push(segment(segment_text)?);
            }
            let is_new = template.variables.iter().all(|(other, _)| *other != name);
            (is_new && name.split('.').all(is_identifier)).then_some(())?;
            let range = start..template.segments.len();
            template.variables.push((name, range));
        }
        let rest = template.rest().unwrap_or(template.segments.len());
        let mut tail = template.segments.iter().skip(rest + 1);
        tail.all(|segment| matches!(segment, Segment::Literal(_)))
            .then_some(template)
    }

    fn rest(&self) -> Option<usize> {
        self.segments.iter().position(|each| *each == Segment::Rest)
    }

    /// What the variables capture, if the path fits: the text is cut at slashes and laid beside the segments.
    fn captures(&self, path: &[u8]) -> Option<Vec<Range<usize>>> {
        let mut text = path.strip_prefix(b"/")?;
        if let Some(wanted) = self.verb {
            // SEMANTICS 31, 34
            let colon = text.iter().rposition(|&byte| byte == b':')?;
            let (stem, verb) = text.split_at(colon);
            let verb = verb.strip_prefix(b":").unwrap_or_default();
            if verb.contains(&b'/') || normal(wanted.as_bytes()) != verb {
                return None;
            }
            text = stem;
        }
        // A path of one slash has no segment; a verb makes it one.
        let mut places = Vec::new();
        let mut start = 1;
        if path != b"/" {
            for segment in text.split(|&byte| byte == b'/') {
                places.push(start..start + segment.len());
                start += segment.len() + 1;
            }
        }
        let rest = self.rest();
        let fixed_count = self.segments.len() - usize::from(rest.is_some());
        let extra = places.len().checked_sub(fixed_count)?;
        if rest.is_none() && extra > 0 {
            return None;
        }
        let spread = |index: usize| match rest {
            Some(rest) if index > rest => index + extra - 1,
            _ => index,
        };
        let is_match = |(index, wanted): (usize, &Segment<'_>)| {
            let found = || {
                places
                    .get(spread(index))
                    .and_then(|at| path.get(at.clone()))
            };
            match wanted {
                Segment::Literal(literal) => normal(literal) == normal(found().unwrap_or(b"%")),
                Segment::Star => found().is_some_and(|segment| !segment.is_empty()),
                Segment::Rest => true,
            }
        };
        if !self.segments.iter().enumerate().all(is_match) {
            return None;
        }
        let end = 1 + text.len();
        let captures = self.variables.iter().map(|(_, segments)| {
            let (from, to) = (spread(segments.start), spread(segments.end));
            let start = places.get(from).map_or(end, |place| place.start);
            let last = to.checked_sub(1).and_then(|last| places.get(last));
            if from == to {
                start.min(end)..start.min(end)
            } else {
                start..last.map_or(start, |place| place.end)
            }
        });
        Some(captures.collect())
    }

    /// SEMANTICS 40, of two templates that fit the same path: the better is less.
    fn order(&self, other: &Self) -> Ordering {
        let ranks = |template: &Self| {
            let head = template.segments.iter().map_while(|segment| match segment {
                Segment::Literal(_) => Some(0),
                Segment::Star => Some(1),
                Segment::Rest => None,
            });
            let end = if template.rest().is_some() { 3 } else { 2 };
            head.chain([end]).collect::<Vec<_>>()
        };
        let behind = |template: &Self| template.rest().map_or(0, |at| template.segments.len() - at);
        ranks(self)
            .cmp(&ranks(other))
            .then(behind(other).cmp(&behind(self)))
            .then(other.verb.is_some().cmp(&self.verb.is_some()))
    }
}

/// The pieces between the slashes that are not in braces; nothing where braces are not in pairs, or lie in one another.
fn split_outside_of_braces(text: &str) -> Option<Vec<&str>> {
    let mut is_inside = false;
    let mut is_sound = true;
    let pieces = text
        .split(|each| {
            match each {
                '{' => is_sound &= !std::mem::replace(&mut is_inside, true),
                '}' => is_sound &= std::mem::replace(&mut is_inside, false),
                _ => {}
            }
            each == '/' && !is_inside
        })
        .collect();
    (is_sound && !is_inside).then_some(pieces)
}

fn segment(text: &str) -> Option<Segment<'_>> {
    match text {
        "*" => Some(Segment::Star),
        "**" => Some(Segment::Rest),
        _ => is_literal(text).then_some(Segment::Literal(text.as_bytes())),
    }
}

fn is_literal(text: &str) -> bool {
    let mut escapes = text.match_indices('%').map(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    });
    let is_forbidden =
        |each: char| each.is_whitespace() || each.is_control() || "*{}?#\\\"<>".contains(each);
    !text.is_empty() && !text.contains(is_forbidden) && escapes.all(|is_whole| is_whole)
}

fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    let is_letter = |each: char| each == '_' || each.is_ascii_alphabetic();
    letters.next().is_some_and(is_letter)
        && letters.all(|each| is_letter(each) || each.is_ascii_digit())
}

/// SEMANTICS 13, one byte at a time. A broken escape becomes a byte that is in no other normal form.
fn normal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        let mut is_escaped = false;
        let mut meant = byte;
        if byte == b'%' {
            let digits = text
                .get(at..at + 2)
                .filter(|two| two.iter().all(u8::is_ascii_hexdigit));
            let digits = digits.and_then(|two| str::from_utf8(two).ok());
            let Some(value) = digits.and_then(|two| u8::from_str_radix(two, 16).ok()) else {
                out.push(0);
                continue;
            };
            at += 2;
            (meant, is_escaped) = (value, true);
        }
        let is_unreserved = meant.is_ascii_alphanumeric() || b"-._~".contains(&meant);
        if is_unreserved || (!is_escaped && b"/:@!$&'()*+,;=".contains(&meant)) {
            out.push(meant);
        } else {
            out.extend(format!("%{meant:02X}").into_bytes());
        }
    }
    out
}
