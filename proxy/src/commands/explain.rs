//! `transom explain`: where a request goes, and why. In: a schema, a method, a URL, perhaps a body. Out: the route, what bound where, the
//! message or the error a client would get, and the routes that come close. Always: nothing is sent anywhere.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use transom_engine::error::ErrorKind;
use transom_engine::exchange::{
    Envelope, Explanation, Failure as StreamFailure, Fate, Outcome, Parameter, Scratch, Transcoder,
};
use transom_engine::http1::{Parsed, RequestHead};
use transom_engine::route::{Better, Comparison, Difference, Verdict};
use transom_engine::{Body, Error, Message, Route, to_json};

use super::{Failure, conversion_text, load_schema};
use crate::config::ExplainArgs;

/// Routes told beside the chosen one: the most alike.
const OTHER_COUNT_MAX: usize = 8;

/// Bytes of the message in one line of hexadecimal digits.
const HEX_LINE_LEN: usize = 24;

pub(super) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let request = request(args)?;
    let file = args.source.file()?;
    let answers = args.answers(&file);
    let schema = load_schema(&args.source, &file, &answers.options)?;
    let transcoder = Transcoder::new(schema, answers.manners);
    let checked = transcoder.check_manners();
    checked.map_err(|bad| Failure::input(file.misfit(&bad)))?;
    let body = args.data.as_deref().unwrap_or_default().as_bytes();
    let mut head = RequestHead::new();
    let (text, is_call) = match head.parse(&request) {
        Ok(Parsed::Complete { .. }) => {
            let explanation = transcoder.explain(&head, &request, body);
            let origin = file.unknown_paths_to().map(|url| &*url.text);
            explain(args, (&transcoder, origin), &explanation, &head, &request)?
        }
        Ok(Parsed::Partial) => return Err(Failure::Ours("the request has no end".to_owned())),
        Err(error) => (refusal(&transcoder, error, None), false),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    if is_call {
        return Ok(());
    }
    Err(Failure::Told)
}

/// The head that a client would send, in origin-form.
fn request(args: &ExplainArgs) -> Result<Vec<u8>, Failure> {
    let method = &args.method;
    if method.is_empty() || !method.bytes().all(is_token_byte) {
        let method = method.escape_debug();
        return Err(Failure::Input(format!(
            "METHOD `{method}`: expected an HTTP method, as in GET"
        )));
    }
    let url = args.url.as_str();
    let shown = url.escape_debug();
    if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(Failure::Input(format!(
            "URL `{shown}`: it holds a blank; write %20"
        )));
    }
    // A fragment stays with the client.
    let url = url.split('#').next().unwrap_or(url);
    let target = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest
            .find(['/', '?'])
            .and_then(|at| rest.get(at..))
            .unwrap_or("/"),
        _ if url.starts_with('/') => url,
        _ => {
            return Err(Failure::Input(format!(
                "URL `{shown}`: expected a path, as in /v1/shelves?page_size=2, or a URL, as in http://localhost:8080/v1/shelves"
            )));
        }
    };
    let slash = if target.starts_with('?') { "/" } else { "" };
    let mut head = format!("{method} {slash}{target} HTTP/1.1\r\n");
    let mut names = Vec::new();
    for text in &args.header {
        let (name, value) = header(text)?;
        _ = write!(head, "{name}: {value}\r\n");
        names.push(name.to_ascii_lowercase());
    }
    let is_given = |name: &str| names.iter().any(|each| each == name);
    if !is_given("host") {
        head.push_str("Host: localhost\r\n");
    }
    if let Some(data) = &args.data {
        if !is_given("content-type") {
            head.push_str("Content-Type: application/json\r\n");
        }
        _ = write!(head, "Content-Length: {}\r\n", data.len());
    }
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// Name and value of `--header`.
fn header(text: &str) -> Result<(&str, &str), Failure> {
    let wrong = |why: &str| {
        let shown = text.escape_debug();
        Err(Failure::Input(format!("--header `{shown}`: {why}")))
    };
    let Some((name, value)) = text.split_once(':') else {
        return wrong("expected a name and a value, as in `Origin: https://a.example`");
    };
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return wrong("the name is none of a header");
    }
    // The body is that of --data, as it is.
    let framing = ["content-length", "transfer-encoding"];
    if framing.iter().any(|each| each.eq_ignore_ascii_case(name)) {
        return wrong("the length of the body is that of --data; leave it out");
    }
    let value = value.trim_matches([' ', '\t']);
    if value
        .bytes()
        .any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
    {
        return wrong("a value has no line breaks or other control characters");
    }
    Ok((name, value))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// All that is to be told, and whether the request becomes a call. `origin` is the server of paths that no rule has.
fn explain(
    args: &ExplainArgs,
    (transcoder, origin): (&Transcoder, Option<&str>),
    explanation: &Explanation<'_>,
    head: &RequestHead,
    bytes: &[u8],
) -> Result<(String, bool), Failure> {
    let mut text = String::new();
    let body = args.data.as_deref().unwrap_or_default();
    let is_preflight = explanation.outcome == Outcome::Preflight;
    let chosen = explanation.chosen();
    match chosen {
        _ if is_preflight => text.push_str("route    none: this is a preflight of CORS\n"),
        Some(route) => {
            write_chosen(route, &mut text);
            write_bindings(explanation, route, args.data.is_some(), &mut text);
        }
        None => text.push_str("route    none\n"),
    }
    text.push('\n');
    let is_call = match (&explanation.outcome, chosen) {
        (Outcome::Message(wire), Some(route)) => {
            write_message(route.method().input(), wire, &mut text)?;
            true
        }
        (Outcome::Messages { messages, failure }, Some(route)) => {
            write_messages(route.method().input(), messages, &mut text)?;
            if let Some(failure) = failure {
                text.push_str(&stream_refusal(transcoder, failure, head, bytes));
            }
            failure.is_none()
        }
        // SEMANTICS 115: it goes on as it is.
        (Outcome::Refused(error), _) if error.kind == ErrorKind::NotFound && origin.is_some() => {
            let origin = origin.unwrap_or_default();
            _ = writeln!(text, "passed   to {origin}, as it is (`unknown_paths_to`)");
            false
        }
        (&Outcome::Refused(error), _) => {
            let request = Some((head, bytes, body.as_bytes()));
            text.push_str(&refusal(transcoder, error, request));
            false
        }
        _ => {
            let mut response = Vec::new();
            let envelope = transcoder.envelope(head, bytes);
            let mut scratch = Scratch::default();
            if is_preflight {
                transcoder.write_preflight(&envelope, head, bytes, &mut scratch, &mut response);
            } else {
                transcoder.write_options(&envelope, head, bytes, &mut scratch, &mut response);
            }
            write_response(&response, &mut text);
            false
        }
    };
    write_others(explanation, &mut text);
    Ok((text, is_call))
}

fn write_chosen(route: Route<'_>, text: &mut String) {
    let method = route.method();
    _ = writeln!(
        text,
        "route    {} {}\nrpc      {}",
        route.http_method(),
        route.template(),
        method.full_name()
    );
}

/// What comes from path, query and body.
fn write_bindings(
    explanation: &Explanation<'_>,
    route: Route<'_>,
    has_body: bool,
    text: &mut String,
) {
    let input = route.method().input().full_name();
    let mut label = "path";
    for (field, value) in &explanation.variables {
        _ = writeln!(text, "{label:8} {{{field}}} -> {field} = {value:?}");
        label = "";
    }
    label = "query";
    for parameter in &explanation.parameters {
        _ = writeln!(text, "{label:8} {}", parameter_text(parameter, input));
        label = "";
    }
    let by_form = if explanation.reads_form {
        ", by the fields of a form"
    } else {
        ""
    };
    let body = match (route.body(), has_body) {
        (Body::Ignored, false) => return,
        (Body::Ignored, true) if explanation.reads_form => {
            "is a form: its fields are bound as those of a query".to_owned()
        }
        (Body::Ignored, true) => "is not read: the rule names no body".to_owned(),
        (Body::Whole, true) => format!("-> {input}, the whole message{by_form}"),
        (Body::Field(field), true) => format!("-> {field}{by_form}"),
        (Body::Whole, false) => format!("none; it would be {input}, the whole message"),
        (Body::Field(field), false) => format!("none; it would be {field}"),
    };
    _ = writeln!(text, "body     {body}");
}

fn parameter_text(parameter: &Parameter, input: &str) -> String {
    let Parameter { key, value, .. } = parameter;
    let key = key.escape_debug();
    let field = parameter.field.as_deref().unwrap_or("no field");
    let why = match parameter.fate {
        Fate::Bound if parameter.field.is_none() => {
            return format!("{key} -> the field of `query_captured_by`, as {value:?}");
        }
        Fate::Bound => return format!("{key} -> {field} = {value:?}"),
        Fate::Refused => return format!("{key} -> {field} = {value:?} is refused"),
        Fate::NotReached => "is not reached".to_owned(),
        Fate::BodyIsWhole => "is ignored: the body is the whole message".to_owned(),
        Fate::BodyGivesField => format!("is ignored: the body gives {field}"),
        Fate::PathGivesField => format!("is ignored: the path gives {field}"),
        Fate::NoField => format!("is ignored: {input} has no field of this name"),
        Fate::PassedOver => "is ignored: it is one of `query_ignored_keys`".to_owned(),
    };
    format!("{key} {why}")
}

/// The message in JSON and in hexadecimal digits.
fn write_message(message: Message<'_>, wire: &[u8], text: &mut String) -> Result<(), Failure> {
    let mut json = Vec::new();
    to_json(message, wire, &mut to_json::Scratch::default(), &mut json)
        .map_err(|error| Failure::Ours(conversion_text(error, wire)))?;
    let (name, json) = (message.full_name(), String::from_utf8_lossy(&json));
    let bytes = if wire.len() == 1 { "byte" } else { "bytes" };
    let len = wire.len();
    _ = writeln!(text, "message  {name}, {len} {bytes}\njson     {json}");
    let mut label = "hex";
    for line in wire.chunks(HEX_LINE_LEN) {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        _ = writeln!(text, "{label:8} {}", digits.join(" "));
        label = "";
    }
    Ok(())
}

/// The messages of a client stream.
fn write_messages(
    message: Message<'_>,
    messages: &[Vec<u8>],
    text: &mut String,
) -> Result<(), Failure> {
    let count = messages.len();
    _ = match count {
        0 => writeln!(text, "stream   no message"),
        1 => writeln!(text, "stream   1 message"),
        _ => writeln!(text, "stream   {count} messages"),
    };
    for wire in messages {
        write_message(message, wire, text)?;
    }
    Ok(())
}

/// The answer to a client stream that goes wrong, if nothing has been answered by then.
fn stream_refusal(
    transcoder: &Transcoder,
    failure: &StreamFailure,
    head: &RequestHead,
    bytes: &[u8],
) -> String {
    let (mut scratch, mut response) = (Scratch::default(), Vec::new());
    let envelope = transcoder.envelope(head, bytes);
    transcoder.write_stream_failure(&envelope, failure, &mut scratch, &mut response);
    let mut text = String::new();
    write_response(&response, &mut text);
    text
}

/// The answer to a request that is refused.
fn refusal(
    transcoder: &Transcoder,
    error: Error,
    request: Option<(&RequestHead, &[u8], &[u8])>,
) -> String {
    let envelope = request.map_or(Envelope::REFUSED, |(head, bytes, _)| {
        transcoder.envelope(head, bytes)
    });
    let (mut scratch, mut response) = (Scratch::default(), Vec::new());
    transcoder.write_error(&envelope, error, request, &mut scratch, &mut response);
    let mut text = String::new();
    // A client that asks with HEAD gets no words, but who asks us does.
    if request.is_some_and(|(head, bytes, _)| head.method(bytes) == b"HEAD") {
        response.clear();
        transcoder.write_error(
            &Envelope::REFUSED,
            error,
            request,
            &mut scratch,
            &mut response,
        );
    }
    write_response(&response, &mut text);
    text
}

/// Status and body of a response, `Allow`, and what it says to pages of other origins.
fn write_response(response: &[u8], text: &mut String) {
    let response = String::from_utf8_lossy(response);
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    for (index, line) in head.lines().enumerate() {
        let is_told = line.split_once(':').is_some_and(|(name, _)| {
            let name = name.to_ascii_lowercase();
            matches!(&*name, "allow" | "vary") || name.starts_with("access-control-")
        });
        match line.split_once(' ') {
            Some((_, status)) if index == 0 => _ = writeln!(text, "answer   {status}"),
            _ if is_told => _ = writeln!(text, "{:8} {line}", ""),
            _ => {}
        }
    }
    if !body.is_empty() {
        _ = writeln!(text, "{:8} {body}", "");
    }
}

/// The routes that come closest, and why they are not it.
fn write_others(explanation: &Explanation<'_>, text: &mut String) {
    let mut others: Vec<_> = explanation
        .routes
        .iter()
        .filter(|(_, comparison)| comparison.verdict != Verdict::Chosen)
        .collect();
    let (all_count, rank) = (others.len(), |each: &&(_, Comparison)| {
        (
            matches!(each.1.verdict, Verdict::Differs(_)),
            std::cmp::Reverse(each.1.alike),
        )
    });
    others.sort_by_key(rank);
    others.retain(|(_, comparison)| comparison.alike > 0 || !is_other_path(comparison));
    others.truncate(OTHER_COUNT_MAX);
    if others.is_empty() {
        return;
    }
    text.push_str("\nother routes, the closest first\n");
    let names: Vec<_> = others
        .iter()
        .map(|(route, _)| format!("{} {}", route.http_method(), route.template()))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    for (name, (route, comparison)) in names.iter().zip(&others) {
        let why = why_not(*route, comparison, explanation.chosen());
        _ = writeln!(text, "  {name:width$}  {why}");
    }
    let rest_count = all_count - others.len();
    if rest_count > 0 {
        _ = writeln!(text, "  and {rest_count} less like it");
    }
}

fn is_other_path(comparison: &Comparison) -> bool {
    matches!(comparison.verdict, Verdict::Differs(_))
}

fn why_not(route: Route<'_>, comparison: &Comparison, chosen: Option<Route<'_>>) -> String {
    match &comparison.verdict {
        Verdict::Chosen => "chosen".to_owned(),
        Verdict::OtherMethod => format!("the path is its, but it is for {}", route.http_method()),
        Verdict::Outranked(better) => {
            let winner = chosen.map_or("the chosen one", |route| route.template());
            match better {
                Better::Segment(at) => {
                    format!("matches too, but {winner} says more at segment {at}")
                }
                Better::MoreLiterals => {
                    format!("matches too, but {winner} has more literals at its end")
                }
                Better::Verb => format!("matches too, but {winner} has the verb"),
                Better::Method => "matches too, but the chosen one names the method".to_owned(),
            }
        }
        Verdict::Differs(difference) => match difference {
            Difference::Segment {
                at,
                expected,
                found,
            } if found.is_empty() => {
                format!("segment {at} is empty, not `{expected}`")
            }
            Difference::Segment {
                at,
                expected,
                found,
            } => {
                format!(
                    "segment {at} is `{}`, not `{expected}`",
                    found.escape_debug()
                )
            }
            Difference::Ends { at, expected } => {
                format!("the path ends before segment {at}, `{expected}`")
            }
            Difference::GoesOn { at, found } => {
                format!(
                    "the path goes on at segment {at}, `{}`",
                    found.escape_debug()
                )
            }
            Difference::Verb { expected } => format!("the path does not end in `:{expected}`"),
        },
    }
}
