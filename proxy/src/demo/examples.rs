//! Calls worth trying on the bookstore. In: nothing. Out: method, path and body of each, and what it shows.
//! Always: run in this order on a fresh bookstore, each gives the status it names; texts hold no single quote, so that
//! a shell takes them as they are.

use std::fmt::Write as _;

/// One HTTP call on the bookstore through the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: &'static str,
    /// What to send, if anything: JSON, one value or several, unless `header` says that it is something else.
    pub body: Option<&'static str>,
    /// A header that the call needs, as `Name: value`.
    pub header: Option<&'static str>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The media type of the answer.
    pub media_type: &'static str,
    /// What there is to see, in a few words.
    pub shows: &'static str,
}

impl Example {
    /// The line to paste into a shell; `base` is `http://host:port` of the gateway.
    pub fn curl(&self, base: &str) -> String {
        let Self {
            method,
            path,
            body,
            header,
            ..
        } = self;
        let mut line = "curl".to_owned();
        // curl picks GET, and POST for a body, by itself.
        let is_implied = matches!((*method, body), ("GET", None) | ("POST", Some(_)));
        if !is_implied {
            let _infallible = write!(line, " -X {method}");
        }
        if let Some(header) = header {
            let _infallible = write!(line, " -H '{header}'");
        }
        if let Some(body) = body {
            let _infallible = write!(line, " -d '{body}'");
        }
        // Lines and events are shown as they come.
        if matches!(self.media_type, "application/x-ndjson" | EVENTS) {
            line.push_str(" -N");
        }
        let _infallible = write!(line, " '{base}{path}'");
        line
    }
}

const EVENTS: &str = "text/event-stream";

/// What most examples have in common.
const PLAIN: Example = Example {
    method: "GET",
    path: "/",
    body: None,
    header: None,
    status: 200,
    media_type: "application/json",
    shows: "",
};

/// The examples, in an order in which each finds what it needs.
pub static EXAMPLES: &[Example] = &[
    Example {
        method: "GET",
        path: "/v1/shelves?page_size=2",
        body: None,
        status: 200,
        shows: "a list in pages; query parameters are request fields",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/shelves/fiction/books/dune?read_mask=name,title,price",
        body: None,
        status: 200,
        shows: "a path variable over four segments, a FieldMask",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/books?filter.genre=NOVEL&filter.tags=classic",
        body: None,
        status: 200,
        shows: "an additional binding; nested query parameters",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books?book_id=emma",
        body: Some(
            r#"{"title": "Emma", "authors": [{"givenName": "Jane", "familyName": "Austen"}], "genre": "NOVEL", "stock": "4", "publishTime": "1815-12-23T00:00:00Z"}"#,
        ),
        status: 200,
        shows: "the body is one field, book; book_id stays in the query",
        ..PLAIN
    },
    Example {
        method: "PATCH",
        path: "/v1/shelves/fiction/books/emma?update_mask=rating,labels",
        body: Some(r#"{"rating": 4.5, "labels": {"language": "en"}}"#),
        status: 200,
        shows: "the variable is a nested field, book.name",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/emma:archive",
        body: Some(r#"{"reason": "worn out"}"#),
        status: 200,
        shows: "a custom verb",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": 2}"#),
        status: 200,
        shows: "body: \"*\"",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": 100}"#),
        status: 429,
        shows: "an error with RetryInfo in its details",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": "many"}"#),
        status: 400,
        shows: "an error found by the gateway itself, with its place",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/shelves/fiction/books/no-such-book",
        body: None,
        status: 404,
        shows: "NOT_FOUND, with ResourceInfo",
        ..PLAIN
    },
    Example {
        method: "CHECKOUT",
        path: "/v1/shelves/fiction/books/dune",
        body: None,
        status: 200,
        shows: "an HTTP method of one's own",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/titles",
        body: None,
        status: 200,
        shows: "response_body: a bare array",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/files/covers/small/dune.txt",
        body: None,
        status: 200,
        shows: "** takes the rest of the path; bytes are base64",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/echo",
        body: Some(
            r#"{"int64Value": "9007199254740993", "bytesValue": "AQID", "colour": "VERDE", "duration": "1.5s", "wrappedBool": false, "struct": {"any": ["json", null]}}"#,
        ),
        status: 200,
        shows: "every kind of field, there and back",
        ..PLAIN
    },
    Example {
        method: "GET",
        path: "/v1/wait?delay=0.25s",
        body: None,
        status: 200,
        shows: "a slow method",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/bookstore.v1.Bookstore/CountBooks",
        body: Some("{}"),
        status: 200,
        shows: "a method without annotation, by its default route",
        ..PLAIN
    },
    Example {
        path: "/v1/shelves/fiction/books:watch?rounds=3&interval=0.5s",
        media_type: "application/x-ndjson",
        shows: "a stream: a line for each message, as it comes",
        ..PLAIN
    },
    Example {
        path: "/v1/shelves/fiction/books:watch?rounds=2&interval=0.5s",
        header: Some("Accept: text/event-stream"),
        media_type: EVENTS,
        shows: "the same as events for a browser",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/shelves/science/books:import",
        body: Some(r#"{"title": "Optics"} {"title": "Almagest"}"#),
        shows: "a stream of requests: one JSON value after the other",
        ..PLAIN
    },
    Example {
        method: "POST",
        path: "/v1/books:ask",
        body: Some(r#"{"words": "desert"} {"words": "darwin"} {"words": ""}"#),
        media_type: "application/x-ndjson",
        shows: "a stream both ways, and an error in the middle of it",
        ..PLAIN
    },
    Example {
        path: "/v1/shelves/poetry/books/leaves-of-grass:read?page_count=1",
        media_type: "text/plain",
        shows: "a download: bytes and no JSON",
        ..PLAIN
    },
    Example {
        method: "PUT",
        path: "/v1/shelves/fiction/books/dune/manuscript",
        body: Some("A beginning is the time for taking the most delicate care."),
        header: Some("Content-Type: text/plain"),
        shows: "an upload",
        ..PLAIN
    },
    Example {
        method: "DELETE",
        path: "/v1/shelves/fiction/books/emma",
        body: None,
        status: 200,
        shows: "an empty answer",
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_line_names_the_method_only_where_curl_would_pick_another() {
        let line = |method, body| {
            Example {
                method,
                path: "/p?a=b",
                body,
                ..PLAIN
            }
            .curl("http://h:1")
        };
        assert_eq!(line("GET", None), "curl 'http://h:1/p?a=b'");
        assert_eq!(line("POST", Some("{}")), "curl -d '{}' 'http://h:1/p?a=b'");
        assert_eq!(
            line("PATCH", Some("{}")),
            "curl -X PATCH -d '{}' 'http://h:1/p?a=b'"
        );
        assert_eq!(line("DELETE", None), "curl -X DELETE 'http://h:1/p?a=b'");
        let events = Example {
            header: Some("Accept: text/event-stream"),
            media_type: EVENTS,
            ..PLAIN
        };
        assert_eq!(
            events.curl("http://h:1"),
            "curl -H 'Accept: text/event-stream' -N 'http://h:1/'"
        );
    }

    #[test]
    fn examples_survive_the_shell_and_bodies_are_json() {
        for example in EXAMPLES {
            let body = example.body.unwrap_or("null");
            assert!(
                !example.header.is_some_and(|header| header.contains('\'')),
                "{:?}",
                example.header
            );
            // curl itself expands brackets and braces in a URL.
            assert!(
                !example.path.contains(['\'', '[', ']', '{', '}', ' ']),
                "{}",
                example.path
            );
            assert!(!body.contains('\''), "{body}");
            let is_json = !example
                .header
                .is_some_and(|header| header.starts_with("Content-Type: "));
            let values = serde_json::Deserializer::from_str(body).into_iter::<serde_json::Value>();
            assert!(!is_json || values.map(Result::unwrap).count() > 0, "{body}");
        }
    }
}
