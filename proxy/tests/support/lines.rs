//! A reply that comes line by line, read while it is still being written.
//! In: a request in one piece, or in chunks that the test sends one by one. Out: the head, each line as JSON, and whether the reply has ended.
//! Always: a wait for a line has the client's deadline; silence is looked for during a fixed time.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Client, Reply};

/// What is not there after this time is taken not to come.
const QUIET_TIME: Duration = Duration::from_millis(400);

pub(crate) struct Lines {
    client: Client,
    head: Option<Reply>,
    /// What has come after the last line feed.
    rest: Vec<u8>,
    /// The lines that have come.
    values: Vec<Value>,
    /// Chunks that have come, as long as the body is chunked.
    chunk_count: usize,
    has_ended: bool,
}

impl Lines {
    /// POSTs a body in one piece.
    pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Self {
        Self::request(address, path, &[], body)
    }

    pub(crate) fn request(address: SocketAddr, path: &str, headers: &[&str], body: &str) -> Self {
        let length = format!("Content-Length: {}", body.len());
        let mut stream = Self::start(address, path, headers, &length);
        stream.client.write(body.as_bytes()).unwrap();
        stream
    }

    /// POSTs a head; the body follows by [`Lines::send`] and [`Lines::finish`].
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        Self::start(address, path, &[], "Transfer-Encoding: chunked")
    }

    fn start(address: SocketAddr, path: &str, headers: &[&str], framing: &str) -> Self {
        let mut client = Client::connect(address).unwrap();
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{framing}\r\n"
        );
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        client.write(head.as_bytes()).unwrap();
        Self {
            client,
            head: None,
            rest: Vec::new(),
            values: Vec::new(),
            chunk_count: 0,
            has_ended: false,
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.client.write(chunk.as_bytes()).unwrap();
    }

    pub(crate) fn finish(&mut self) {
        self.client.write(b"0\r\n\r\n").unwrap();
    }

    /// Waits for the next line; none if the reply ends before it.
    pub(crate) fn next(&mut self) -> Result<Option<Value>> {
        let count = self.values.len();
        while self.values.len() == count && !self.has_ended {
            self.read_piece()?;
        }
        Ok(self.values.get(count).cloned())
    }

    /// Reads one piece of the reply without keeping its lines; the line it completed, if any, as text.
    pub(crate) fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line = self.rest.drain(..=end).collect();
                return String::from_utf8(line).map(Some).map_err(Error::other);
            }
            if self.head.is_none() {
                self.head = Some(self.client.read_reply_head()?);
            }
            let Some(chunk) = self.client.read_chunk()? else {
                return Ok(None);
            };
            self.rest.extend_from_slice(&chunk);
        }
    }

    /// True when nothing comes, not even the end.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.client.is_silent_for(QUIET_TIME).unwrap()
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunk_count
    }

    pub(crate) fn client(self) -> Client {
        self.client
    }

    /// All there is to see of the reply, once it has `line_count` lines and nothing more comes: `{"status", "media_type", "metadata",
    /// "lines", "end"}`, or `{"end": "silent"}` before a head has come. The end is `open`, `whole` or `cut`.
    pub(crate) fn seen(&mut self, line_count: usize) -> Value {
        let mut end = "whole";
        while !self.has_ended {
            if self.values.len() >= line_count && self.is_silent() {
                end = "open";
                break;
            }
            match self.read_piece() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    end = "cut";
                    break;
                }
                Err(error) => panic!("{error}; up to then: {:?}", self.values),
            }
        }
        let Some(head) = &self.head else {
            return json!({"end": "silent"});
        };
        let mut seen = json!({
            "status": head.status,
            "media_type": head.media_type(),
            "metadata": head.header("grpc-metadata-content-type"),
            "lines": self.values,
            "end": end,
        });
        if !self.rest.is_empty() {
            seen["rest"] = String::from_utf8_lossy(&self.rest).into();
        }
        seen
    }

    /// Reads the head, or else a chunk; the body of a reply that is not chunked is read at once, and counts as a line if it is JSON.
    fn read_piece(&mut self) -> Result<()> {
        let Some(head) = &self.head else {
            self.head = Some(self.client.read_reply_head()?);
            return Ok(());
        };
        if head.header("transfer-encoding").is_none() {
            self.rest = self.client.read_rest(head)?;
            self.has_ended = true;
            if let Ok(value) = serde_json::from_slice(&self.rest) {
                self.rest.clear();
                self.values.push(value);
            }
            return Ok(());
        }
        match self.client.read_chunk()? {
            Some(chunk) => {
                self.chunk_count += 1;
                self.rest.extend_from_slice(&chunk);
            }
            None => self.has_ended = true,
        }
        // An error in the middle of a stream has no line feed in grpc-gateway v1.
        if self.has_ended && !self.rest.is_empty() {
            self.rest.push(b'\n');
        }
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let value = serde_json::from_slice(&line)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&line)));
            self.values.push(value);
        }
        Ok(())
    }
}
