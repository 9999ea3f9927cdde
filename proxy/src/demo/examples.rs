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
    /// The JSON to send, if any.
    pub body: Option<&'static str>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// What there is to see, in a few words.
    pub shows: &'static str,
}

impl Example {
    /// The line to paste into a shell; `base` is `http://host:port` of the gateway.
    pub fn curl(&self, base: &str) -> String {
        let Self {
            method, path, body, ..
        } = self;
        let mut line = "curl".to_owned();
        // curl picks GET, and POST for a body, by itself.
        let is_implied = matches!((*method, body), ("GET", None) | ("POST", Some(_)));
        if !is_implied {
            let _infallible = write!(line, " -X {method}");
        }
        if let Some(body) = body {
            let _infallible = write!(line, " -d '{body}'");
        }
        let _infallible = write!(line, " '{base}{path}'");
        line
    }
}

/// The examples, in an order in which each finds what it needs.
pub static EXAMPLES: &[Example] = &[
    Example {
        method: "GET",
        path: "/v1/shelves?page_size=2",
        body: None,
        status: 200,
        shows: "a list in pages; query parameters are request fields",
    },
    Example {
        method: "GET",
        path: "/v1/shelves/fiction/books/dune?read_mask=name,title,price",
        body: None,
        status: 200,
        shows: "a path variable over four segments, a FieldMask",
    },
    Example {
        method: "GET",
        path: "/v1/books?filter.genre=NOVEL&filter.tags=classic",
        body: None,
        status: 200,
        shows: "an additional binding; nested query parameters",
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books?book_id=emma",
        body: Some(
            r#"{"title": "Emma", "authors": [{"givenName": "Jane", "familyName": "Austen"}], "genre": "NOVEL", "stock": "4", "publishTime": "1815-12-23T00:00:00Z"}"#,
        ),
        status: 200,
        shows: "the body is one field, book; book_id stays in the query",
    },
    Example {
        method: "PATCH",
        path: "/v1/shelves/fiction/books/emma?update_mask=rating,labels",
        body: Some(r#"{"rating": 4.5, "labels": {"language": "en"}}"#),
        status: 200,
        shows: "the variable is a nested field, book.name",
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/emma:archive",
        body: Some(r#"{"reason": "worn out"}"#),
        status: 200,
        shows: "a custom verb",
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": 2}"#),
        status: 200,
        shows: "body: \"*\"",
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": 100}"#),
        status: 429,
        shows: "an error with RetryInfo in its details",
    },
    Example {
        method: "POST",
        path: "/v1/shelves/fiction/books/dune:buy",
        body: Some(r#"{"count": "many"}"#),
        status: 400,
        shows: "an error found by the gateway itself, with its place",
    },
    Example {
        method: "GET",
        path: "/v1/shelves/fiction/books/no-such-book",
        body: None,
        status: 404,
        shows: "NOT_FOUND, with ResourceInfo",
    },
    Example {
        method: "CHECKOUT",
        path: "/v1/shelves/fiction/books/dune",
        body: None,
        status: 200,
        shows: "an HTTP method of one's own",
    },
    Example {
        method: "GET",
        path: "/v1/titles",
        body: None,
        status: 200,
        shows: "response_body: a bare array",
    },
    Example {
        method: "GET",
        path: "/v1/files/covers/small/dune.txt",
        body: None,
        status: 200,
        shows: "** takes the rest of the path; bytes are base64",
    },
    Example {
        method: "POST",
        path: "/v1/echo",
        body: Some(
            r#"{"int64Value": "9007199254740993", "bytesValue": "AQID", "colour": "VERDE", "duration": "1.5s", "wrappedBool": false, "struct": {"any": ["json", null]}}"#,
        ),
        status: 200,
        shows: "every kind of field, there and back",
    },
    Example {
        method: "GET",
        path: "/v1/wait?delay=0.25s",
        body: None,
        status: 200,
        shows: "a slow method",
    },
    Example {
        method: "POST",
        path: "/bookstore.v1.Bookstore/CountBooks",
        body: Some("{}"),
        status: 200,
        shows: "a method without annotation, by its default route",
    },
    Example {
        method: "DELETE",
        path: "/v1/shelves/fiction/books/emma",
        body: None,
        status: 200,
        shows: "an empty answer",
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
                status: 200,
                shows: "",
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
    }

    #[test]
    fn examples_survive_the_shell_and_bodies_are_json() {
        for example in EXAMPLES {
            let body = example.body.unwrap_or("null");
            // curl itself expands brackets and braces in a URL.
            assert!(
                !example.path.contains(['\'', '[', ']', '{', '}', ' ']),
                "{}",
                example.path
            );
            assert!(!body.contains('\''), "{body}");
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }
}
