//! Lists of one's own of what crosses: names to allow, to deny and to rename. In: names and beginnings of names, checked one by one; then the
//! name and value of one header. Out: what to do with it, as borrowed parts. Always: what is reserved passes under no list; a name is
//! compared in any case; nothing is allocated but where lists are made (SEMANTICS 129, 131).

use std::fmt;

use super::metadata::{self, Decision, HeaderRule, Name};

/// Which headers of requests become metadata, or which metadata of replies become headers, beside what the [`HeaderRule`] says (SEMANTICS 129,
/// 131). Part of [`Manners`](crate::exchange::Manners).
///
/// A name in a list is one of a header, in any case, or the beginning of some, with a `*` behind it.
///
/// - What is denied stops, under the name it has and under the name it would get.
/// - What is renamed passes under its new name, and nothing else passes under that.
/// - What is allowed passes under its own name. With such a list nothing else does, as under [`HeaderRule::GrpcGateway`] in any case;
///   what that rule lets pass under a prefix still passes.
///
/// Whatever the lists say, names of gRPC, of one connection and of a message's framing stop, and `traceparent` and `tracestate` of a request pass unless
/// they are denied by their whole names.
///
/// # Examples
/// ```
/// use transom_engine::exchange::Manners;
/// use transom_engine::grpc::header_lists::HeaderLists;
///
/// let mut lists = HeaderLists::for_requests();
/// lists.allow("authorization")?;
/// lists.allow("x-app-*")?;
/// lists.deny("x-app-secret")?;
/// lists.rename("x-user", "user-id")?;
/// let manners = Manners { request_headers: Some(lists), ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// # Ok::<(), transom_engine::grpc::header_lists::BadName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLists {
    direction: Direction,
    /// Without it the rule says what passes under its own name.
    allowed: Option<Names>,
    denied: Names,
    renamed: Vec<Renamed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// Names and beginnings of names, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    whole: Vec<Box<[u8]>>,
    beginnings: Vec<Box<[u8]>>,
}

/// Both in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Renamed {
    from: Box<[u8]>,
    to: Box<[u8]>,
}

/// Why a name cannot be in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It is none: letters, digits, `-`, `_` and `.`.
    NoName,
    /// It never passes.
    Reserved,
    /// A gateway writes this one itself.
    Ours,
    /// Of a name and its new name one ends in `-bin`, which says that the value is base64.
    Binary,
    /// It has another new name already.
    Twice,
}

impl fmt::Display for BadName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoName => {
                "expected the name of a header: letters, digits, `-`, `_` and `.`; a `*` behind the beginning of several"
            }
            Self::Reserved => {
                "this name never passes: it is gRPC's, a connection's or about how a message is sent"
            }
            Self::Ours => "this name is written by the gateway itself",
            Self::Binary => "of two names both end in `-bin` or neither does",
            Self::Twice => "the header has another new name already",
        })
    }
}

impl std::error::Error for BadName {}

impl HeaderLists {
    /// No lists yet, for headers of requests that become metadata.
    pub const fn for_requests() -> Self {
        Self::new(Direction::Request)
    }

    /// No lists yet, for metadata of replies that become headers and trailers.
    pub const fn for_responses() -> Self {
        Self::new(Direction::Response)
    }

    const fn new(direction: Direction) -> Self {
        Self {
            direction,
            allowed: None,
            denied: Names {
                whole: Vec::new(),
                beginnings: Vec::new(),
            },
            renamed: Vec::new(),
        }
    }

    /// Lets nothing pass under its own name but what [`Self::allow`] names.
    pub fn allow_no_others(&mut self) {
        self.allowed.get_or_insert_default();
    }

    /// Lets a header pass under its own name, and no others but those that are allowed too.
    ///
    /// # Errors
    /// `NoName`, or `Reserved` for a name that never passes.
    pub fn allow(&mut self, pattern: &str) -> Result<(), BadName> {
        check_pattern(pattern)?;
        if metadata::is_reserved(pattern.as_bytes()) {
            return Err(BadName::Reserved);
        }
        self.allowed.get_or_insert_default().add(pattern);
        Ok(())
    }

    /// Lets no header of this name pass.
    ///
    /// # Errors
    /// `NoName`.
    pub fn deny(&mut self, pattern: &str) -> Result<(), BadName> {
        check_pattern(pattern)?;
        self.denied.add(pattern);
        Ok(())
    }

    /// Lets a header pass under another name.
    ///
    /// # Errors
    /// When one of the names cannot be, or the two do not go together.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), BadName> {
        let [from, to] = [from, to].map(str::to_ascii_lowercase);
        for name in [&from, &to] {
            check_pattern(name)?;
            if name.ends_with('*') {
                return Err(BadName::NoName);
            }
            if metadata::is_reserved(name.as_bytes()) {
                return Err(BadName::Reserved);
            }
        }
        let is_ours = match self.direction {
            Direction::Request => to == "user-agent",
            Direction::Response => metadata::is_of_this_hop(to.as_bytes()),
        };
        if is_ours {
            return Err(BadName::Ours);
        }
        // SEMANTICS 130.
        if from.ends_with("-bin") != to.ends_with("-bin") {
            return Err(BadName::Binary);
        }
        if self.new_name(from.as_bytes()).is_some() {
            return Err(BadName::Twice);
        }
        let [from, to] = [from, to].map(|name| name.into_bytes().into_boxed_slice());
        self.renamed.push(Renamed { from, to });
        Ok(())
    }

    /// Decides what the request header `name` becomes, as [`metadata::request_metadata`] does without lists.
    pub(crate) fn request_metadata<'h>(
        &'h self,
        rule: HeaderRule,
        name: &'h [u8],
        value: &[u8],
    ) -> Decision<'h> {
        if self.denies(Name::plain(name)) {
            return Decision::Drop;
        }
        if let Some(new_name) = self.new_name(name) {
            return metadata::pass(Name::plain(new_name), value);
        }
        let is_plain = match (&self.allowed, rule) {
            (None, _) => false,
            // SEMANTICS 129: tracing must not end at a gateway.
            (Some(allowed), HeaderRule::Transom) => {
                if !allowed.have(Name::plain(name)) && !metadata::is_of_tracing(name) {
                    return Decision::Drop;
                }
                true
            }
            // These two it writes itself; Authorization passes under both of its names.
            (Some(allowed), HeaderRule::GrpcGateway) => {
                allowed.have(Name::plain(name))
                    && !metadata::is_one_of(name, &["x-forwarded-for", "x-forwarded-host"])
                    && !name.eq_ignore_ascii_case(b"authorization")
            }
        };
        let decision = if !is_plain {
            metadata::request_metadata(rule, name, value)
        } else if metadata::is_reserved(name) {
            Decision::Drop
        } else {
            metadata::pass(Name::plain(name), value)
        };
        self.unless_barred(decision)
    }

    /// Decides what metadata of a reply becomes; `by_rule` is what the rule says of it.
    pub(crate) fn response_field<'h>(
        &'h self,
        rule: HeaderRule,
        name: &'h [u8],
        value: &[u8],
        by_rule: Decision<'h>,
    ) -> Decision<'h> {
        // SEMANTICS 132.
        if !metadata::is_printable(value) || self.denies(Name::plain(name)) {
            return Decision::Drop;
        }
        if let Some(new_name) = self.new_name(name) {
            return metadata::pass(Name::plain(new_name), value);
        }
        let decision = match &self.allowed {
            None => by_rule,
            Some(allowed) if allowed.have(Name::plain(name)) && metadata::may_answer(name) => {
                metadata::pass(Name::plain(name), value)
            }
            Some(_) if rule == HeaderRule::GrpcGateway => by_rule,
            Some(_) => Decision::Drop,
        };
        self.unless_barred(decision)
    }

    /// Whether a header of this name stops, which may be one that the gateway writes.
    pub(crate) fn denies(&self, name: Name<'_>) -> bool {
        let is_tracing = self.direction == Direction::Request && name.is_of_tracing();
        self.denied.have_whole(name) || (!is_tracing && self.denied.have_beginning(name))
    }

    /// Takes out the names that may not be given: those denied, lest a prefix lead around the list, and those that are new names of
    /// other headers, lest a client give what somebody vouches for.
    fn unless_barred<'h>(&self, decision: Decision<'h>) -> Decision<'h> {
        let is_barred = |name: Name<'_>| {
            self.denies(name) || self.renamed.iter().any(|renamed| name.is(&renamed.to))
        };
        match decision {
            Decision::Pass(name) if is_barred(name) => Decision::Drop,
            Decision::PassTwice(first, second) => match (is_barred(first), is_barred(second)) {
                (false, false) => decision,
                (false, true) => Decision::Pass(first),
                (true, false) => Decision::Pass(second),
                (true, true) => Decision::Drop,
            },
            _ => decision,
        }
    }

    fn new_name(&self, name: &[u8]) -> Option<&[u8]> {
        let mut renamed = self.renamed.iter();
        let found = renamed.find(|renamed| name.eq_ignore_ascii_case(&renamed.from))?;
        Some(&found.to)
    }
}

impl Names {
    fn add(&mut self, pattern: &str) {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_suffix('*') {
            Some(beginning) => self.beginnings.push(beginning.as_bytes().into()),
            None => self.whole.push(pattern.into_bytes().into()),
        }
    }

    fn have(&self, name: Name<'_>) -> bool {
        self.have_whole(name) || self.have_beginning(name)
    }

    fn have_whole(&self, name: Name<'_>) -> bool {
        self.whole.iter().any(|whole| name.is(whole))
    }

    fn have_beginning(&self, name: Name<'_>) -> bool {
        let mut beginnings = self.beginnings.iter();
        beginnings.any(|beginning| name.begins_with(beginning))
    }
}

/// SEMANTICS 132: what gRPC takes for a name, with a `*` behind it or alone.
fn check_pattern(pattern: &str) -> Result<(), BadName> {
    let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
    if !pattern.is_empty() && beginning.bytes().all(metadata::is_name_byte) {
        Ok(())
    } else {
        Err(BadName::NoName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_refused() {
        let mut lists = HeaderLists::for_requests();
        for name in ["", "a b", "x:", "a*b", "**", "*a", "caf\u{e9}"] {
            assert_eq!(lists.allow(name), Err(BadName::NoName), "{name}");
            assert_eq!(lists.deny(name), Err(BadName::NoName), "{name}");
            assert_eq!(lists.rename(name, "x"), Err(BadName::NoName), "{name}");
            assert_eq!(lists.rename("x", name), Err(BadName::NoName), "{name}");
        }
        for name in ["Grpc-Timeout", "grpc-*", "host", "TE", "content-type"] {
            assert_eq!(lists.allow(name), Err(BadName::Reserved), "{name}");
        }
        for name in ["grpc-status", "Connection", "content-length"] {
            assert_eq!(lists.rename("x", name), Err(BadName::Reserved), "{name}");
            assert_eq!(lists.rename(name, "x"), Err(BadName::Reserved), "{name}");
        }
        assert_eq!(lists.rename("x-*", "y"), Err(BadName::NoName));
        assert_eq!(lists.rename("x", "User-Agent"), Err(BadName::Ours));
        assert_eq!(lists.rename("x", "y-bin"), Err(BadName::Binary));
        assert_eq!(lists.rename("x-BIN", "y"), Err(BadName::Binary));
        assert_eq!(lists, HeaderLists::for_requests());
        assert_eq!(lists.rename("X", "date"), Ok(()));
        assert_eq!(lists.rename("x", "z"), Err(BadName::Twice));
        let mut lists = HeaderLists::for_responses();
        assert_eq!(lists.rename("x", "Date"), Err(BadName::Ours));
        assert_eq!(lists.rename("x", "alt-svc"), Err(BadName::Ours));
        assert_eq!(lists.rename("date", "x"), Ok(()));
    }

    /// Whatever the lists let through, by whatever way.
    #[test]
    fn reserved_names_pass_under_no_list() {
        let mut both = [HeaderLists::for_requests(), HeaderLists::for_responses()];
        for lists in &mut both {
            lists.allow("*").unwrap();
            lists.allow("g*").unwrap();
        }
        let [requests, responses] = both;
        for name in [
            "connection",
            "te",
            "Host",
            "content-length",
            "transfer-encoding",
            "grpc-timeout",
            "grpc-",
            "content-type",
            "x y",
        ] {
            let rule = HeaderRule::Transom;
            let name = name.as_bytes();
            let decision = requests.request_metadata(rule, name, b"v");
            assert_eq!(decision, Decision::Drop);
            for field in [metadata::response_header, metadata::response_trailer] {
                let by_rule = field(rule, name, b"v");
                let decision = responses.response_field(rule, name, b"v", by_rule);
                assert_eq!(decision, Decision::Drop);
            }
        }
        let by_rule = metadata::response_header(HeaderRule::Transom, b"x", b"a\r\nb");
        let decision = responses.response_field(HeaderRule::Transom, b"x", b"a\r\nb", by_rule);
        assert_eq!(decision, Decision::Drop);
    }
}
