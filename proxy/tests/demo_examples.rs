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
use transom::demo::{EXAMPLES, Example};

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
        let (status, content_type) = written.split_once(' ').unwrap();
        let media_type = content_type.split(';').next().unwrap();
        assert_eq!(
            (status, media_type),
            (&*example.status.to_string(), example.media_type),
            "{line}: {body}"
        );
        check_body(example, body, line);
    }
}

#[test]
fn calls_of_the_readme_are_answered_as_it_shows() {
    drop(tools::curl());
    let gateway = Gateway::demo(&[]);
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut lines = readme.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("    $ curl ") else {
            continue;
        };
        count += 1;
        let command = command.replace("http://127.0.0.1:8080", &gateway.url());
        let output = Command::new("sh")
            .args(["-c", &format!("curl --silent --show-error {command}")])
            .output()
            .unwrap();
        let shown = lines.next().unwrap_or_default().trim_start();
        assert_eq!(String::from_utf8_lossy(&output.stdout), shown, "{line}");
    }
    assert!(count >= 3, "{count} calls are shown");
}

/// A body that is JSON is one value, and lines are one each; other ones are there at all.
fn check_body(example: &Example, body: &str, line: &str) {
    let parse = |text: &str| -> serde_json::Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    };
    match example.media_type {
        "application/json" if example.status == 200 => {
            let value = parse(body);
            assert!(value.get("code").is_none(), "{line}: {body}");
        }
        "application/json" => {
            let value = parse(body);
            let message = value["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{line}: {body}");
        }
        "application/x-ndjson" => {
            let lines: Vec<_> = body.lines().map(parse).collect();
            assert!(lines.len() > 2, "{line}: {body}");
        }
        _ => assert!(!body.is_empty(), "{line}"),
    }
}

/// The same over one kept-alive connection, and on a bookstore that nobody has changed.
#[test]
fn examples_give_their_status_over_one_connection() {
    let gateway = Gateway::demo(&["--workers", "1", "--io", "epoll"]);
    let mut client = Client::connect(gateway.address()).unwrap();
    for example in EXAMPLES {
        let body = example.body.map(str::as_bytes);
        let header = example.header.and_then(|header| header.split_once(": "));
        let reply = client
            .send(example.method, example.path, header.as_slice(), body)
            .unwrap();
        assert_eq!(
            reply.status,
            example.status,
            "{}: {}",
            example.shows,
            reply.text()
        );
        assert_eq!(reply.media_type(), example.media_type);
        check_body(example, reply.text().trim_end(), example.path);
    }
}
