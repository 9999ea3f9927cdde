//! What hostile clients do to a gateway, and whether it lives on.
//! In: bytes as they are. Out: every reply until the gateway closes the connection.
//! Always: a connection that is not closed in time fails the test; a reset counts as closed.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::http::{Client, Reply, request};

/// A request that must not be answered where an attack hides it; its reply would hold `MARK`.
pub(crate) const HIDDEN: &str =
    "GET /v1/titles HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n";
/// In every reply to `HIDDEN`, and in no error.
pub(crate) const MARK: &str = "Dune";

/// Sends `bytes` on a connection of its own and reads all replies until the gateway closes it.
pub(crate) fn replies_to(address: SocketAddr, bytes: &[u8]) -> Vec<Reply> {
    let mut client = Client::connect(address).unwrap();
    // A gateway that has refused a long request need not take the rest of it.
    let written = client.write(bytes);
    if let Err(error) = written {
        assert!(is_closed(error.kind()), "{error}");
    }
    replies_until_close(&mut client)
}

/// Reads all replies until the gateway closes the connection.
pub(crate) fn replies_until_close(client: &mut Client) -> Vec<Reply> {
    let mut replies = Vec::new();
    loop {
        match client.is_closed_by_peer() {
            Ok(true) => return replies,
            Ok(false) => replies.push(client.read_reply("GET").unwrap()),
            Err(error) if is_closed(error.kind()) => return replies,
            Err(error) => panic!("the connection stays open after {replies:?}: {error}"),
        }
    }
}

/// Asserts that a normal request gets its normal answer.
pub(crate) fn assert_serves(address: SocketAddr, after: &str) {
    let reply = request(address, "GET", "/v1/titles", &[], None)
        .unwrap_or_else(|error| panic!("no answer after {after}: {error}"));
    assert_eq!(reply.status, 200, "after {after}");
    assert!(reply.text().contains(MARK), "after {after}");
}

/// Asserts that a reply is an error in the one form they have (SEMANTICS 114).
pub(crate) fn assert_error(reply: &Reply, name: &str) {
    assert_eq!(reply.media_type(), "application/json", "{name}");
    let body = reply.json();
    let code = body.get("code").and_then(serde_json::Value::as_u64);
    let message = body.get("message").and_then(serde_json::Value::as_str);
    assert!(code.is_some_and(|code| code > 0), "{name}: {body}");
    assert!(
        message.is_some_and(|message| !message.is_empty()),
        "{name}: {body}"
    );
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
