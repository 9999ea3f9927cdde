//! Pages of other origins, over a socket, as a configuration file says (SEMANTICS 138).
//!
//! Goal: what a browser would see is right, on connections that pages share. Method: the requests that browsers send, one after the other on one
//! connection, so that nothing of one is left for the next.
#![cfg(test)]

mod support {
    pub(crate) mod configured;
    pub(crate) mod gateway;
    pub(crate) mod http;
    #[allow(
        dead_code,
        unreachable_pub,
        reason = "shared with the tests of the pool, which use other parts of it"
    )]
    pub(crate) mod peer;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use support::configured::{serve, values};
use support::http::Reply;

const SETTINGS: &str = r"
cors:
  origins: ['https://shop.example', 'https://*.shop.example:8443', 'null']
  origin_patterns: ['https://pr-[0-9]+\.preview\.example']
  allow_credentials: true
  allow_headers: [authorization, content-type]
  expose_headers: [etag, x-request-id]
  max_age_seconds: 600
";

/// What browsers look for, and nothing more of that kind.
#[track_caller]
fn assert_cors(reply: &Reply, expected: &[(&str, &str)]) {
    let told = reply.headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        (name.starts_with("access-control-") || name == "vary").then_some((name, value.clone()))
    });
    let mut told: Vec<_> = told.collect();
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let mut expected: Vec<_> = expected.iter().map(owned).collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected, "{reply:?}");
}

fn readable(origin: &str) -> [(&str, &str); 4] {
    [
        ("vary", "Origin"),
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "etag, x-request-id"),
    ]
}

#[test]
fn s138_answers_name_the_origin_that_may_read_them_and_no_other() {
    // What the upstream says of it would be a second answer to the question.
    let stage = serve(
        "cors-simple",
        SETTINGS,
        &[("access-control-allow-origin", "*"), ("etag", "\"1\"")],
    );
    let mut client = stage.connect();
    for (origin, is_let_in) in [
        ("https://shop.example", true),
        ("https://evil.example", false),
        ("https://a.b.shop.example:8443", true),
        ("https://shop.example:8443", false),
        ("https://pr-17.preview.example", true),
        ("https://pr-17.preview.example.evil.example", false),
        ("https://pr-x.preview.example", false),
        ("null", true),
        ("HTTPS://SHOP.EXAMPLE", false),
        ("*", false),
        ("https://*.shop.example:8443", false),
    ] {
        let reply = client
            .send("GET", "/v1/shelves/7", &[("Origin", origin)], None)
            .unwrap();
        // The browser keeps it from the page; who sent it is not ours to judge.
        assert_eq!(reply.status, 200, "{origin}");
        assert_eq!(reply.json()["name"], "shelves/7");
        assert_eq!(reply.header("etag"), Some("\"1\""));
        if is_let_in {
            assert_cors(&reply, &readable(origin));
        } else {
            assert_cors(&reply, &[("vary", "Origin")]);
        }
    }
    let reply = client.send("GET", "/v1/shelves/7", &[], None).unwrap();
    assert_cors(&reply, &[("vary", "Origin")]);
    stage.stop();
}

#[test]
fn s138_errors_can_be_read_too() {
    let stage = serve("cors-errors", SETTINGS, &[]);
    let mut client = stage.connect();
    let origin = ("Origin", "https://shop.example");
    for (method, target, body, status) in [
        ("GET", "/nothing/here", None, 404),
        ("PUT", "/v1/shelves/7", None, 405),
        ("POST", "/v1/shelves", Some(&b"{"[..]), 400),
        ("HEAD", "/v1/shelves/7", None, 200),
    ] {
        let reply = client.send(method, target, &[origin], body).unwrap();
        assert_eq!(reply.status, status, "{method} {target}");
        assert_cors(&reply, &readable("https://shop.example"));
    }
    stage.stop();
}

#[test]
fn s138_preflights_are_answered_without_the_upstream() {
    const ASKED: &str = "Access-Control-Request-Method, Access-Control-Request-Headers";
    let stage = serve("cors-preflight", SETTINGS, &[]);
    let mut client = stage.connect();
    let wants = ("Access-Control-Request-Method", "DELETE");
    let headers = ("Access-Control-Request-Headers", "x-other");
    let origin = |origin| [("Origin", origin), wants, headers];

    let reply = client
        .send(
            "OPTIONS",
            "/v1/shelves/7",
            &origin("https://x.shop.example:8443"),
            None,
        )
        .unwrap();
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert!(reply.header("content-length").is_none(), "{reply:?}");
    assert_cors(
        &reply,
        &[
            ("vary", "Origin"),
            ("vary", ASKED),
            ("access-control-allow-origin", "https://x.shop.example:8443"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, DELETE, HEAD, OPTIONS"),
            (
                "access-control-allow-headers",
                "authorization, content-type",
            ),
            ("access-control-max-age", "600"),
        ],
    );

    // A stranger is told nothing of what there is.
    let reply = client
        .send(
            "OPTIONS",
            "/v1/shelves/7",
            &origin("https://evil.example"),
            None,
        )
        .unwrap();
    assert_eq!(reply.status, 204);
    assert_cors(&reply, &[("vary", "Origin"), ("vary", ASKED)]);

    let reply = client
        .send(
            "OPTIONS",
            "/nothing/here",
            &origin("https://shop.example"),
            None,
        )
        .unwrap();
    assert_eq!(reply.status, 404);

    // Without the question it is a request like others.
    let reply = client
        .send(
            "OPTIONS",
            "/v1/shelves/7",
            &[("Origin", "https://shop.example")],
            None,
        )
        .unwrap();
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("allow"), Some("GET, DELETE, HEAD, OPTIONS"));
    assert_cors(&reply, &readable("https://shop.example"));
    assert_eq!(stage.call_count(), 0);

    // The connection goes on with the request that was asked for.
    let reply = client
        .send(
            "DELETE",
            "/v1/shelves/7",
            &[("Origin", "https://shop.example")],
            None,
        )
        .unwrap();
    assert_eq!((reply.status, stage.call_count()), (200, 1));
    stage.stop();
}

#[test]
fn s138_every_origin_and_every_header_by_a_star() {
    let settings = "cors: {origins: ['*'], allow_headers: ['*']}";
    let stage = serve("cors-star", settings, &[]);
    let mut client = stage.connect();
    let reply = client
        .send(
            "GET",
            "/v1/shelves/7",
            &[("Origin", "https://any.example")],
            None,
        )
        .unwrap();
    assert_cors(&reply, &[("access-control-allow-origin", "*")]);
    let reply = client
        .send(
            "OPTIONS",
            "/v1/shelves/7",
            &[
                ("Origin", "https://any.example"),
                ("Access-Control-Request-Method", "GET"),
                ("Access-Control-Request-Headers", "authorization, x-mine"),
            ],
            None,
        )
        .unwrap();
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        values(&reply, "access-control-allow-headers"),
        ["authorization, x-mine"]
    );
    assert!(reply.header("access-control-max-age").is_none());
    stage.stop();
}

#[test]
fn s138_without_the_key_nothing_is_said() {
    let stage = serve(
        "cors-off",
        "",
        &[("access-control-allow-origin", "https://a.example")],
    );
    let mut client = stage.connect();
    let origin = ("Origin", "https://a.example");
    let reply = client
        .send("GET", "/v1/shelves/7", &[origin], None)
        .unwrap();
    // The upstream's own word, then.
    assert_cors(
        &reply,
        &[("access-control-allow-origin", "https://a.example")],
    );
    let wants = ("Access-Control-Request-Method", "GET");
    let reply = client
        .send("OPTIONS", "/v1/shelves/7", &[origin, wants], None)
        .unwrap();
    assert_eq!(reply.status, 204);
    assert_cors(&reply, &[]);
    stage.stop();
}
