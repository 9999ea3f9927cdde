//! A small blocking HTTP/1.1 client, so that the tests see on the wire what no library tidies up.
//! In: a request in parts, or raw bytes. Out: status, headers as sent, body with its framing taken off.
//! Always: reads have a deadline and a bound; a reply whose framing is wrong is an error, never a guess.
#![allow(dead_code, reason = "every test binary takes the part that it needs")]

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

const IO_TIME: Duration = Duration::from_secs(30);
const HEAD_LEN_MAX: usize = 256 << 10;
const BODY_LEN_MAX: u64 = 64 << 20;

/// One kept-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    authority: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In the order and the letters in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, IO_TIME)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IO_TIME))?;
        stream.set_write_timeout(Some(IO_TIME))?;
        Ok(Self {
            stream: BufReader::new(stream),
            authority: address.to_string(),
        })
    }

    /// Sends a request and reads its reply. `Host` and `Content-Length` are added.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply> {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.authority).into_bytes();
        for (name, value) in headers {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = body {
            request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.unwrap_or_default());
        self.write(&request)?;
        self.read_reply(method)
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Reads one reply; `method` is that of its request, because the reply to HEAD has no body whatever its headers say.
    pub(crate) fn read_reply(&mut self, method: &str) -> Result<Reply> {
        loop {
            let (status, headers) = self.read_head()?;
            if (100..200).contains(&status) {
                continue;
            }
            let body = if method == "HEAD" || status == 204 || status == 304 {
                Vec::new()
            } else {
                self.read_body(&headers)?
            };
            return Ok(Reply {
                status,
                headers,
                body,
            });
        }
    }

    /// True when the peer has closed the connection and sent nothing more.
    pub(crate) fn is_closed_by_peer(&mut self) -> Result<bool> {
        Ok(self.stream.fill_buf()?.is_empty())
    }

    /// True when nothing comes for `limit`, not even the end.
    pub(crate) fn is_silent_for(&mut self, limit: Duration) -> Result<bool> {
        self.stream.get_ref().set_read_timeout(Some(limit))?;
        let filled = self.stream.fill_buf().map(drop);
        self.stream.get_ref().set_read_timeout(Some(IO_TIME))?;
        match filled {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The status of the next head, be it that of an interim response; the rest of a final one, body included, is read past.
    pub(crate) fn read_status(&mut self) -> Result<u16> {
        let (status, headers) = self.read_head()?;
        if status >= 200 {
            self.read_body(&headers)?;
        }
        Ok(status)
    }

    /// A second handle to the connection, for a thread that sends while this one reads.
    pub(crate) fn another_handle(&self) -> Result<TcpStream> {
        self.stream.get_ref().try_clone()
    }

    /// Tells the peer that nothing more will be sent, while reading goes on.
    pub(crate) fn finish_sending(&self) -> Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Reads the head of a final reply and leaves its body to [`Client::read_chunk`].
    pub(crate) fn read_reply_head(&mut self) -> Result<Reply> {
        loop {
            let (status, headers) = self.read_head()?;
            if status >= 200 {
                return Ok(Reply {
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
        }
    }

    /// The rest of the reply whose head this is.
    pub(crate) fn read_rest(&mut self, head: &Reply) -> Result<Vec<u8>> {
        self.read_body(&head.headers)
    }

    /// The next head, be it that of an interim response.
    pub(crate) fn read_head(&mut self) -> Result<(u16, Vec<(String, String)>)> {
        let mut left = HEAD_LEN_MAX;
        let status_line = self.read_line(&mut left)?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| wrong(&format!("expected a status line, found {status_line:?}")))?;
        Ok((status, self.read_headers(&mut left)?))
    }

    fn read_headers(&mut self, left: &mut usize) -> Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.read_line(left)?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| wrong(&format!("expected a header, found {line:?}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, headers: &[(String, String)]) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let length = find_header(headers, "content-length");
        match (find_header(headers, "transfer-encoding"), length) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "a reply has both Transfer-Encoding and Content-Length",
                ));
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
                self.read_chunks(&mut body)?;
            }
            (Some(coding), None) => {
                return Err(wrong(&format!("unknown transfer coding {coding:?}")));
            }
            (None, Some(length)) => {
                let length: u64 = length
                    .parse()
                    .map_err(|error| wrong(&format!("Content-Length {length:?}: {error}")))?;
                self.read_exactly(length, &mut body)?;
            }
            (None, None) => {
                self.stream
                    .by_ref()
                    .take(BODY_LEN_MAX)
                    .read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        while let Some(chunk) = self.read_chunk()? {
            if (body.len() + chunk.len()) as u64 > BODY_LEN_MAX {
                return Err(wrong("the body is longer than this client takes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// The next chunk of a body; nothing after the last one.
    pub(crate) fn read_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.read_line(&mut { HEAD_LEN_MAX })?;
        let digits = line.split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16)
            .map_err(|error| wrong(&format!("chunk size {line:?}: {error}")))?;
        if length == 0 {
            // What follows the last chunk are trailers, which no caller asks for yet.
            self.read_headers(&mut { HEAD_LEN_MAX })?;
            return Ok(None);
        }
        let mut chunk = Vec::new();
        self.read_exactly(length, &mut chunk)?;
        if !self.read_line(&mut { 2 })?.is_empty() {
            return Err(wrong("a chunk is longer than its size says"));
        }
        Ok(Some(chunk))
    }

    fn read_exactly(&mut self, length: u64, body: &mut Vec<u8>) -> Result<()> {
        if body.len() as u64 + length > BODY_LEN_MAX {
            return Err(wrong("the body is longer than this client takes"));
        }
        let read = self.stream.by_ref().take(length).read_to_end(body)? as u64;
        if read < length {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                format!("the body ends after {read} of {length} bytes"),
            ));
        }
        Ok(())
    }

    fn read_line(&mut self, left: &mut usize) -> Result<String> {
        let mut line = Vec::new();
        let read = self
            .stream
            .by_ref()
            .take(*left as u64)
            .read_until(b'\n', &mut line)?;
        *left -= read;
        if read == 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the peer closed the connection within or before a reply",
            ));
        }
        let line = line.strip_suffix(b"\r\n").ok_or_else(|| {
            wrong(&format!(
                "expected a line ended by CR LF, found {:?}",
                line.escape_ascii().to_string()
            ))
        })?;
        String::from_utf8(line.to_vec()).map_err(|error| wrong(&error.to_string()))
    }
}

impl Reply {
    /// The first header of this name, in any letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The media type without its parameters, in lower case; empty when there is none.
    pub(crate) fn media_type(&self) -> String {
        self.header("content-type")
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON: {error}: {:?}", self.text()))
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Reply> {
    Client::connect(address)?.send(method, target, headers, body)
}

fn find_header<'h>(headers: &'h [(String, String)], wanted: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.as_str())
}

fn wrong(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}
