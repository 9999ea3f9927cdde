//! Errors in words (SEMANTICS 118). In: an [`Error`] and the bytes it points into. Out: one line: the place, what was found, what was expected.
//! Always: cold; foreign bytes are escaped and cut; lower case, no full stop, nothing of the inside of a parser.

use std::fmt::Write as _;

use super::{Error, ErrorKind, Expected, Place};
use crate::json::{Found, Step, found_at, steps_to};
use crate::limits;
use crate::text::percent;

/// The bytes that an [`Error`] points into. What is not at hand may be left empty: the text then says less. The example is that of
/// [`Error::write_text`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The request body; of a client stream the value that is at fault.
    pub body: &'a [u8],
    /// The name of the field whose value the body is, when the rule names one.
    pub body_field: Option<&'a str>,
    /// The request target, as it was sent.
    pub target: &'a [u8],
    /// The name of the header that the error is in, if it is in one.
    pub header: &'a [u8],
    /// Each variable of the route in order: its name, and what it captured, as it was sent.
    pub variables: &'a [(&'a str, &'a [u8])],
}

impl Error {
    /// Appends the error in words: the place, what was expected, what was found.
    ///
    /// It is one line: of foreign bytes at most [`EXCERPT_LEN_MAX`](limits::EXCERPT_LEN_MAX) are shown, and of the path of the field the last
    /// [`ERROR_PATH_LEN_MAX`](limits::ERROR_PATH_LEN_MAX); control characters are escaped. A value of the wrong type is shown where a string or word would have
    /// done, and not where it would not: what stands in a field may be a secret, so treat the text as you treat the request. A reply's bytes are
    /// never shown.
    ///
    /// # Examples
    /// ```
    /// # let descriptors = protox::Compiler::new(["../protos/test", "../protos"])?.include_imports(true).open_file("hello.proto")?.encode_file_descriptor_set();
    /// use transom_engine::{Schema, error::{Context, ErrorKind, Expected, Place}, to_wire};
    ///
    /// let schema = Schema::from_descriptor_set(&descriptors)?;
    /// let note = schema.message("hello.v1.Note").ok_or("no such message")?;
    /// let body = br#"{"readers":[{"id":"7"},{"id":true}]}"#;
    /// let error = to_wire(note, body, &mut to_wire::Scratch::default(), &mut Vec::new()).unwrap_err();
    /// let mut words = String::new();
    /// error.write_text(&Context { body, ..Context::default() }, &mut words);
    /// assert_eq!(words, "body.readers[1].id: expected a string, found a boolean at byte 29");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn write_text(&self, context: &Context<'_>, out: &mut String) {
        let offset = self.offset as usize;
        match self.place {
            Place::Request => self.kind.write_text(None, out),
            Place::Body | Place::Message(_) => {
                match self.place {
                    Place::Message(number) => _ = write!(out, "message {number}"),
                    _ => out.push_str("body"),
                }
                write_body_path(context, offset, out);
                out.push_str(": ");
                // Without the body nothing can be said of what is there, not even that it ends.
                let found = context
                    .body
                    .get(..offset)
                    .filter(|_| !context.body.is_empty());
                self.kind
                    .write_text(found.map(|_| found_at(context.body, offset)), out);
                _ = write!(out, " at byte {offset}");
            }
            Place::Path(index) => {
                let variable = context.variables.get(usize::from(index));
                out.push_str("path ");
                out.push_str(variable.map_or("variable", |(name, _)| name));
                out.push_str(": ");
                let found = variable.map(|(_, captured)| Found::String(captured));
                self.kind.write_text(found, out);
            }
            Place::Query => {
                let rest = context.target.get(offset..).unwrap_or_default();
                self.write_parameter("query ", rest, out);
            }
            Place::Form => {
                let rest = context.body.get(offset..).unwrap_or_default();
                self.write_parameter("form ", rest, out);
            }
            Place::Header(_) => {
                out.push_str("header ");
                write_excerpt(context.header, out);
                out.push_str(": ");
                self.kind.write_text(None, out);
            }
            Place::Reply => {
                out.push_str("reply: ");
                self.kind.write_text(None, out);
                _ = write!(out, " at byte {offset}");
            }
        }
    }
}

impl Error {
    /// Appends the words for the query parameter that `rest` begins with.
    fn write_parameter(&self, place: &str, rest: &[u8], out: &mut String) {
        let parameter = rest.split(|&byte| byte == b'&').next().unwrap_or_default();
        let (key, value) = percent::split_parameter(parameter);
        out.push_str(place);
        write_excerpt(key, out);
        out.push_str(": ");
        self.kind.write_text(Some(Found::String(value)), out);
    }
}

/// `.items[3].name`: the field that the body is the value of, then the steps from the root of the text to the byte at fault.
fn write_body_path(context: &Context<'_>, offset: usize, out: &mut String) {
    let mut path = String::new();
    if let Some(field) = context.body_field {
        path.push('.');
        path.push_str(field);
    }
    for step in steps_to(context.body, offset) {
        match step {
            Step::Index(index) => _ = write!(path, "[{index}]"),
            Step::Key(key) if is_name(&key) => {
                path.push('.');
                path.push_str(&String::from_utf8_lossy(&key));
            }
            Step::Key(key) => {
                path.push_str("[\"");
                write_excerpt(&key, &mut path);
                path.push_str("\"]");
            }
        }
    }
    // The end of a long path tells more than its start.
    let cut = path.ceil_char_boundary(path.len().saturating_sub(limits::ERROR_PATH_LEN_MAX));
    if cut > 0 {
        out.push_str("...");
    }
    out.push_str(path.get(cut..).unwrap_or_default());
}

fn is_name(key: &[u8]) -> bool {
    key.len() <= limits::EXCERPT_LEN_MAX
        && key.first().is_some_and(|byte| !byte.is_ascii_digit())
        && key
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Appends foreign bytes so that they can do no harm: escaped, and cut where they are long.
fn write_excerpt(bytes: &[u8], out: &mut String) {
    let mut len = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            len += character.len_utf8();
            if len > limits::EXCERPT_LEN_MAX {
                out.push_str("...");
                return;
            }
            match character {
                '\'' => out.push(character),
                _ => out.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            len += 1;
            if len > limits::EXCERPT_LEN_MAX {
                out.push_str("...");
                return;
            }
            _ = write!(out, "\\x{byte:02x}");
        }
    }
}

/// A number by its text, though it may stand in quotes.
fn write_number(found: Option<Found<'_>>, out: &mut String) {
    match found {
        Some(Found::String(text)) => write_excerpt(text, out),
        _ => write_value(found, out),
    }
}

/// A value by its text: strings in quotes, so that where they end can be seen.
fn write_value(found: Option<Found<'_>>, out: &mut String) {
    match found {
        Some(Found::Number(text) | Found::Other(text)) => write_excerpt(text, out),
        Some(Found::String(text)) => {
            out.push('"');
            write_excerpt(text, out);
            out.push('"');
        }
        _ => out.push_str("the value"),
    }
}

/// A value by its kind: `a number`.
fn write_found(found: Found<'_>, out: &mut String) {
    let words = match found {
        Found::Object => "an object",
        Found::Array => "an array",
        Found::Number(_) => "a number",
        Found::Bool => "a boolean",
        Found::Null => "null",
        Found::End => "the end of the text",
        Found::String(text) | Found::Other(text) => {
            out.push('"');
            write_excerpt(text, out);
            "\""
        }
    };
    out.push_str(words);
}

impl ErrorKind {
    /// Appends what is wrong, without the place.
    fn write_text(self, found: Option<Found<'_>>, out: &mut String) {
        match self {
            Self::OutOfRange(expected) => {
                write_number(found, out);
                out.push_str(" does not fit ");
                out.push_str(expected.name());
            }
            Self::InvalidNumber => {
                write_number(found, out);
                out.push_str(" is not a number in JSON");
            }
            Self::NotAnInteger => {
                write_number(found, out);
                out.push_str(" is not an integer");
            }
            Self::UnknownEnumName => {
                write_value(found, out);
                out.push_str(" is no name of a value of the enum");
            }
            Self::UnknownEnumNumber => {
                write_number(found, out);
                out.push_str(" is no number of a value of the enum");
            }
            Self::AnyTypeUrl => {
                write_value(found, out);
                out.push_str(" is not a type URL such as type.googleapis.com/package.Message");
            }
            Self::AnyTypeUnknown => {
                write_value(found, out);
                out.push_str(" names no message of the schema");
            }
            Self::WireUnprintable(expected) => {
                out.push_str("the value of a field has no JSON form as ");
                out.push_str(expected.name());
            }
            Self::TooDeep | Self::WireTooDeep => {
                _ = write!(out, "nested deeper than {} levels", limits::DEPTH_MAX);
            }
            Self::TooManyParameters => {
                _ = write!(
                    out,
                    "more than {} parameters",
                    limits::QUERY_PARAMETER_COUNT_MAX
                );
            }
            Self::TooManySteps => {
                _ = write!(
                    out,
                    "more than {} steps in one key",
                    limits::QUERY_STEP_COUNT_MAX
                );
            }
            Self::Expected(expected) => {
                out.push_str("expected ");
                out.push_str(expected.phrase());
                match found {
                    // Where a string will not do whatever it says, what it says is beside the point.
                    Some(Found::String(_)) if !expected.may_be_text() => {
                        out.push_str(", found a string");
                    }
                    Some(found) => {
                        out.push_str(", found ");
                        write_found(found, out);
                    }
                    None => {}
                }
            }
            Self::ExpectedValue
            | Self::ExpectedKey
            | Self::ExpectedColon
            | Self::ExpectedCommaOrClose
            | Self::TrailingData => {
                out.push_str(self.fixed_text());
                if let Some(found) = found {
                    out.push_str(", found ");
                    write_found(found, out);
                }
            }
            _ => out.push_str(self.fixed_text()),
        }
    }

    /// The words of the kinds that say nothing of a value or a limit. Those that do have theirs in [`Self::write_text`].
    const fn fixed_text(self) -> &'static str {
        match self {
            Self::UnexpectedEnd => "the text ends too early",
            Self::ExpectedValue => "expected a JSON value",
            Self::ExpectedKey => "expected a key in double quotes",
            Self::ExpectedColon => "expected a colon after the key",
            Self::ExpectedCommaOrClose => "expected a comma or the closing bracket",
            Self::TrailingData => "expected the end of the text",
            Self::InvalidNumber => "not a number in JSON",
            Self::InvalidEscape => "a string holds an invalid escape",
            Self::LoneSurrogate => "a string holds an escaped half of a surrogate pair",
            Self::ControlCharacter => "a string holds a control character that is not escaped",
            Self::InvalidUtf8 | Self::WireUtf8 => "a string is not valid UTF-8",
            Self::ByteOrderMark => "the text starts with a byte order mark",
            Self::TooDeep | Self::WireTooDeep => "nested too deep",
            Self::Expected(_) => "not what was expected",
            Self::OutOfRange(_) => "out of range",
            Self::NotAnInteger => "not an integer",
            Self::UnknownEnumName | Self::UnknownEnumNumber => "unknown value of an enum",
            Self::UnknownField => "unknown field",
            Self::DuplicateField => "the field is given more than once",
            Self::DuplicateKey => "the key is given more than once",
            Self::OneofConflict => "another member of the same oneof is given too",
            Self::NullElement => "null is not allowed in a list or map",
            Self::AnyTypeMissing => "the key \"@type\" is missing",
            Self::AnyTypeUrl => "not a type URL",
            Self::AnyTypeUnknown => "unknown message type",
            Self::AnyValueMissing => "the key \"value\" is missing",
            Self::BadPercentEscape => "invalid percent escape",
            Self::GivenTwice => "given more than once",
            Self::NotBindable => {
                "a message has no value of its own here; give its fields, as in book.title"
            }
            Self::ListNotBindable => "a list of messages cannot be given here",
            Self::MapNotBindable => {
                "a map is given an entry at a time, as in labels[key]; its values must not be messages"
            }
            Self::StepIntoScalar => "the name goes on below a field that has none",
            Self::TooManyParameters => "too many parameters",
            Self::TooManySteps => "too many steps in one key",
            Self::UnknownParameter => "no such field",
            Self::MalformedHead => "malformed request head",
            Self::HeadTooLarge => "the request head is too large",
            Self::TooManyHeaders => "too many headers",
            Self::TargetTooLong => "the request target is too long",
            Self::UnsupportedVersion => "unsupported HTTP version",
            Self::BadHost => "missing, repeated or malformed host",
            Self::BadContentLength => "malformed or contradictory content-length",
            Self::BadTransferEncoding => "unsupported or contradictory transfer-encoding",
            Self::BadChunk => "malformed chunk in the body",
            Self::BodyTooLarge => "the body is too large",
            Self::StreamTooLong | Self::ReplyStreamTooLong => {
                "the stream has more bytes than it may"
            }
            Self::StreamCount | Self::ReplyStreamCount => {
                "the stream has more messages than it may"
            }
            Self::UnsupportedContentType => "unsupported content-type, expected application/json",
            Self::BodyUnwanted => "the request has a body, and this path takes none",
            Self::UnsupportedCharset => "unsupported charset, expected UTF-8",
            Self::UnsupportedContentEncoding => "unsupported content-encoding",
            Self::BadContentCoding => {
                "the body is not in the coding that its content-encoding names"
            }
            Self::UnsupportedExpectation => "unsupported expectation",
            Self::BadTimeout => "expected 1 to 8 digits and one of H, M, S, m, u, n",
            Self::BadSeconds => "expected seconds such as 1.5, of at most 19 digits",
            Self::BadMillis => "expected 1 to 10 digits",
            Self::BadMetadata => "expected base64",
            Self::NotFound => "not found",
            Self::MethodNotAllowed | Self::MethodNotImplemented => "method not allowed",
            Self::RequestTimeout => "the request did not come in time",
            Self::UnsupportedWebSocketVersion => {
                "the WebSocket has another version than 13, which is the only one there is"
            }
            Self::BadWebSocketKey => "Sec-WebSocket-Key is not 16 bytes in base64",
            Self::ForeignOrigin => "pages of this origin may not open a WebSocket here",
            Self::WireTruncated => "the message ends too early",
            Self::WireVarint => "malformed varint",
            Self::WireTag => "malformed tag",
            Self::WireGroup => "malformed group",
            Self::WireOrder => "a field comes again after it has been written",
            Self::WireUnprintable(_) => "a value has no JSON form",
            Self::ReplyFrame => "malformed gRPC frame",
            Self::ReplyTooLarge => "the message is too large",
            Self::ReplyCompressed => "the message is compressed, which was not asked for",
            Self::ReplyCount => "expected exactly one message",
        }
    }
}

impl Expected {
    /// With its article: what the place wanted.
    const fn phrase(self) -> &'static str {
        match self {
            Self::Object | Self::Struct => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Bool => "true or false",
            Self::Int32 => "an int32",
            Self::Uint32 => "a uint32",
            Self::Int64 => "an int64",
            Self::Uint64 => "a uint64",
            Self::Float => "a float",
            Self::Double => "a double",
            Self::Base64 => "a string of base64",
            Self::EnumValue => "the name or number of an enum value",
            Self::Timestamp => "a timestamp such as 2006-01-02T15:04:05Z",
            Self::Duration => "a duration such as 1.5s",
            Self::FieldMask => "field paths in lowerCamelCase with commas between them",
            Self::Value => "a JSON value",
            Self::Any => "an object with a key @type",
            Self::Null => "null",
        }
    }

    /// The bare name of the type.
    const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Float => "float",
            Self::Double => "double",
            Self::Base64 => "bytes",
            Self::EnumValue => "enum",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::FieldMask => "google.protobuf.FieldMask",
            Self::Struct => "google.protobuf.Struct",
            Self::Value => "google.protobuf.Value",
            Self::Any => "google.protobuf.Any",
            Self::Null => "google.protobuf.NullValue",
        }
    }

    /// Whether some strings will do, so that it matters what a string says.
    const fn may_be_text(self) -> bool {
        !matches!(
            self,
            Self::Object | Self::Array | Self::Struct | Self::Any | Self::Null
        )
    }
}

#[cfg(test)]
mod tests;
