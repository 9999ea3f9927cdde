//! A real browser on the streams of the demo.
//!
//! Goal: a page of another origin gets events by `EventSource` and lines by `fetch` as they happen, sees an error in the middle of a
//! stream, and can send and fetch bytes. Method: headless Chromium opens `browser.html` from a server of the test's own, with the
//! gateway's address in its query; the page plays its checks and reports what it saw, which is compared here.
#![cfg(test)]

mod support {
    pub(crate) mod gateway;
    pub(crate) mod process;
    pub(crate) mod tools;
}

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::Gateway;
use support::process::Process;
use support::tools;

const PAGE: &str = include_str!("browser.html");
const BROWSER_TIME: Duration = Duration::from_mins(2);
const REPORT_LEN_MAX: u64 = 1 << 20;

#[test]
fn a_browser_reads_and_sends_streams() {
    let (page, reports) = serve_page();
    let demo = Gateway::demo(&[]);
    let gateway = serve_for_pages(&demo);
    let folder = tools::scratch_folder("browser");
    let mut command = tools::browser().command();
    // The sandbox needs rights that neither root nor a container gives; the page is our own.
    command.args([
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        // Keeps the browser running until it is stopped.
        "--remote-debugging-port=0",
    ]);
    command.arg(format!("--user-data-dir={}", folder.display()));
    command.arg(format!("http://{page}/?gateway={}", gateway.url()));
    let mut browser = Process::start("chromium", &mut command);
    let mut seen = HashMap::new();
    loop {
        let report = reports
            .recv_timeout(BROWSER_TIME)
            .unwrap_or_else(|_| panic!("{}", browser.describe("reported nothing more")));
        let name = report["name"].as_str().unwrap().to_owned();
        if name == "done" {
            break;
        }
        seen.insert(name, report["seen"].clone());
    }
    browser.stop();
    std::fs::remove_dir_all(&folder).unwrap_or_default();

    let titles = |name: &str| -> Vec<Value> {
        let events = seen[name]["events"].as_array().unwrap();
        events.iter().map(|event| event["title"].clone()).collect()
    };
    let at = |value: &Value| value["at"].as_f64().unwrap();

    let events = &seen["events"];
    assert_eq!(
        titles("events"),
        ["Dune", "Middlemarch", "Dune", "Middlemarch"],
        "{events}"
    );
    assert_eq!(events["opened"], true);
    assert_eq!(events["events"][3]["id"], "4", "{events}");
    // The first round was there before the second was made, half a second later.
    assert!(
        at(&events["events"][2]) - at(&events["events"][1]) > 250.0,
        "{events}"
    );

    let broken = &seen["error in the middle"];
    assert_eq!(titles("error in the middle"), ["Only"], "{broken}");
    assert_eq!(broken["error"]["code"], 5, "{broken}");
    // CLOSED: an answer that is no success is not asked for again.
    assert_eq!(
        seen["error at the start"],
        json!({"opened": false, "events": [], "error": null, "state": 2})
    );

    let lines = &seen["lines"];
    assert_eq!(
        (&lines["status"], &lines["type"], &lines["rest"]),
        (&json!(200), &json!("application/x-ndjson"), &json!("")),
        "{lines}"
    );
    assert_eq!(lines["lines"].as_array().map(Vec::len), Some(3), "{lines}");
    assert!(
        at(&lines["lines"][1]) - at(&lines["lines"][0]) > 250.0,
        "{lines}"
    );

    let answers = &seen["questions"];
    let title = |index: usize| &answers["lines"][index]["value"]["book"]["title"];
    assert_eq!(
        (title(0), title(1)),
        (&json!("Dune"), &json!("On the Origin of Species")),
        "{answers}"
    );
    assert_eq!(
        answers["lines"][2]["value"]["error"]["code"], 3,
        "{answers}"
    );

    let socket = &seen["socket"];
    let title = |index: usize| &socket["replies"][index]["book"]["title"];
    assert_eq!(
        (title(0), title(1), &socket["code"]),
        (
            &json!("Dune"),
            &json!("On the Origin of Species"),
            &json!(1000)
        ),
        "{socket}"
    );

    assert_eq!(seen["import"]["count"], 2, "{}", seen["import"]);
    assert_eq!(
        seen["upload"],
        json!({"name": "shelves/fiction/books/dune", "contentType": "text/plain", "length": "700000", "lineCount": "100000"})
    );
    assert_eq!(
        seen["download"],
        json!({"type": "text/plain; charset=utf-8", "length": 412 * 2048, "begins": "Dune, page 1\n"})
    );
    assert_eq!(seen["left"], json!({"status": 200}));
}

/// A second gateway before the demo's bookstore, which lets pages of other origins in.
fn serve_for_pages(demo: &Gateway) -> Gateway {
    let transcript = demo.transcript();
    let upstream = transcript
        .lines()
        .find_map(|line| line.trim().strip_prefix("upstream"))
        .unwrap_or_else(|| panic!("no upstream: {transcript}"));
    let folder = tools::scratch_folder("browser-config");
    let config = folder.join("transom.yaml");
    std::fs::write(
        &config,
        "cors:\n  origins: [\"*\"]\n  allow_headers: [\"*\"]\n",
    )
    .unwrap();
    Gateway::serve(&[
        "--upstream",
        upstream.trim(),
        "--config",
        &config.display().to_string(),
    ])
}

/// Gives the page at any path, and hands on what is sent to it.
fn serve_page() -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, reports) = channel();
    // Ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            // A connection that the browser opens ahead and leaves unused must hold up no other.
            thread::spawn(move || answer(&stream, &sender));
        }
    });
    (address, reports)
}

fn answer(stream: &TcpStream, reports: &Sender<Value>) -> Option<()> {
    let mut input = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut output = stream;
    if head.starts_with("POST ") {
        let lowered = head.to_ascii_lowercase();
        let (_, length) = lowered.split_once("content-length:")?;
        let length: u64 = length.lines().next()?.trim().parse().ok()?;
        let mut body = Vec::new();
        input
            .take(length.min(REPORT_LEN_MAX))
            .read_to_end(&mut body)
            .ok()?;
        reports.send(serde_json::from_slice(&body).ok()?).ok()?;
        return output
            .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .ok();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        PAGE.len()
    );
    output
        .write_all(head.as_bytes())
        .and_then(|()| output.write_all(PAGE.as_bytes()))
        .ok()
}
