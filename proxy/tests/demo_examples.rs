//! The examples that `transom demo` prints, run by the reader's own tool.
//!
//! Goal: whoever pastes a line gets what its heading promises. Method: the printed lines are taken from the program's output and run
//! by `sh -c`, in order, with nothing added but the option that prints the status; they are held against the list in the crate.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::process::Command;

use support::gateway::Gateway;
use support::http::Client;
use support::tools;
use transom::demo::EXAMPLES;

#[test]
fn printed_lines_give_the_status_they_promise() {
    // Fails with a word of help where there is no curl.
    drop(tools::curl());
    let gateway = Gateway::demo(&[]);
    let transcript = gateway.transcript();
    let lines: Vec<_> = transcript
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), EXAMPLES.len(), "{transcript}");
    for (line, example) in lines.into_iter().zip(EXAMPLES) {
        assert!(
            transcript.contains(&format!("# {}\n{line}\n", example.shows)),
            "{transcript}"
        );
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "{line} --silent --show-error --write-out '\\n%{{http_code}} %{{content_type}}'"
            ))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (body, written) = text.rsplit_once('\n').unwrap();
        assert_eq!(
            written,
            format!("{} application/json", example.status),
            "{line}: {body}"
        );
        let value: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{line}: {error}: {body}"));
        if example.status == 200 {
            assert!(value.get("code").is_none(), "{line}: {body}");
        } else {
            assert!(
                value["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{line}: {body}"
            );
        }
    }
}

/// The same over one kept-alive connection, and on a bookstore that nobody has changed.
#[test]
fn examples_give_their_status_over_one_connection() {
    let gateway = Gateway::demo(&["--workers", "1", "--io", "epoll"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    for example in EXAMPLES {
        let body = example.body.map(str::as_bytes);
        let reply = client
            .send(example.method, example.path, &[], body)
            .unwrap();
        assert_eq!(
            reply.status,
            example.status,
            "{}: {}",
            example.shows,
            reply.text()
        );
        reply.json();
    }
}
