//! An upstream that does exactly what its script says, frame by frame (RFC 9113 section 4.1).
//!
//! ```text
//!   +---------+------+-------+-----------+---------+
//!   | len  24 | kind | flags | stream 31 | payload |
//!   +---------+------+-------+-----------+---------+
//! ```

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Bytes of a frame's payload that every peer takes.
const FRAME_LEN_MAX: usize = 16_384;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// A listening peer; each connection runs the script with its index on a thread of its own.
pub struct Peer {
    pub address: SocketAddr,
    connection_count: Arc<AtomicUsize>,
}

impl Peer {
    pub fn start(script: impl Fn(usize, Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::start_on(listener, script)
    }

    pub fn start_on(
        listener: TcpListener,
        script: impl Fn(usize, Connection) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let connection_count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connection_count);
        let script = Arc::new(script);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let index = counted.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                let socket = socket.unwrap();
                socket.set_nodelay(true).unwrap();
                thread::spawn(move || script(index, Connection { socket }));
            }
        });
        Self {
            address,
            connection_count,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub fn connection_count(&self) -> usize {
        self.connection_count.load(Ordering::SeqCst)
    }
}

pub struct Connection {
    pub socket: TcpStream,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn is_end_stream(&self) -> bool {
        (self.kind == DATA || self.kind == HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A request that has come whole.
#[derive(Debug)]
pub struct Received {
    pub stream: u32,
    pub body: Vec<u8>,
}

impl Connection {
    /// Takes the preface and sends SETTINGS with `settings` and a large window.
    pub fn greet(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let mut preface = [0; 24];
        self.socket.read_exact(&mut preface)?;
        assert_eq!(&preface[..14], b"PRI * HTTP/2.0");
        let mut payload = Vec::new();
        for (id, value) in [(INITIAL_WINDOW_SIZE, 1 << 24)].iter().chain(settings) {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&u32::to_be_bytes(*value));
        }
        self.send(SETTINGS, 0, 0, &payload)?;
        self.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![len[1], len[2], len[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame)
    }

    /// The next frame, whatever it is; an error at the end of the connection.
    pub fn read_any(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head)?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.socket.read_exact(&mut payload)?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of a stream or a GOAWAY; SETTINGS and PING are answered on the way.
    pub fn read(&mut self) -> io::Result<Frame> {
        loop {
            let frame = self.read_any()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[])?,
                PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload)?,
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => return Ok(frame),
            }
        }
    }

    /// The next whole request; other streams must not be mixed into it.
    pub fn request(&mut self) -> io::Result<Received> {
        let mut body = Vec::new();
        loop {
            let frame = self.read()?;
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.is_end_stream() {
                return Ok(Received {
                    stream: frame.stream,
                    body,
                });
            }
        }
    }

    /// Reads until the stream is reset, and tells the code.
    pub fn reset_code(&mut self, stream: u32) -> io::Result<u32> {
        loop {
            let frame = self.read()?;
            if frame.kind == RST_STREAM && frame.stream == stream {
                return Ok(u32::from_be_bytes(frame.payload.try_into().unwrap()));
            }
        }
    }

    pub fn headers(&mut self, stream: u32) -> io::Result<()> {
        self.send_headers(
            stream,
            Some(200),
            &[("content-type", "application/grpc")],
            false,
        )
    }

    /// A header section of any length, in as many frames as it takes.
    pub fn send_headers<V: AsRef<[u8]>>(
        &mut self,
        stream: u32,
        status: Option<u16>,
        headers: &[(&str, V)],
        ends_stream: bool,
    ) -> io::Result<()> {
        let block = header_block(status, headers);
        let parts: Vec<_> = block.chunks(FRAME_LEN_MAX).collect();
        for (index, part) in parts.iter().enumerate() {
            let kind = if index == 0 { HEADERS } else { CONTINUATION };
            let mut flags = 0;
            if index == 0 && ends_stream {
                flags |= END_STREAM;
            }
            if index + 1 == parts.len() {
                flags |= END_HEADERS;
            }
            self.send(kind, flags, stream, part)?;
        }
        Ok(())
    }

    /// An answer without a body: headers that are trailers too.
    pub fn trailers_only<V: AsRef<[u8]>>(
        &mut self,
        stream: u32,
        headers: &[(&str, V)],
    ) -> io::Result<()> {
        let mut all: Vec<(&str, &[u8])> = vec![("content-type", b"application/grpc")];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_ref())));
        self.send_headers(stream, Some(200), &all, true)
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(FRAME_LEN_MAX) {
            self.send(DATA, 0, stream, part)?;
        }
        Ok(())
    }

    pub fn trailers(&mut self, stream: u32) -> io::Result<()> {
        self.send_headers(stream, None, &[("grpc-status", "0")], true)
    }

    /// A good answer with `body`.
    pub fn answer(&mut self, stream: u32, body: &[u8]) -> io::Result<()> {
        self.headers(stream)?;
        self.data(stream, body)?;
        self.trailers(stream)
    }

    pub fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    pub fn go_away(&mut self, last_stream: u32, code: u32) -> io::Result<()> {
        let mut payload = last_stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&code.to_be_bytes());
        self.send(GOAWAY, 0, 0, &payload)
    }

    /// Answers each request with its own body until the connection ends.
    pub fn echo(&mut self) {
        while let Ok(request) = self.request() {
            if self.answer(request.stream, &request.body).is_err() {
                return;
            }
        }
    }
}

/// A header block of literals without indexing (RFC 7541 section 6.2.2).
pub fn header_block<V: AsRef<[u8]>>(status: Option<u16>, headers: &[(&str, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    if let Some(status) = status {
        literal(&mut block, ":status", status.to_string().as_bytes());
    }
    for (name, value) in headers {
        literal(&mut block, name, value.as_ref());
    }
    block
}

fn literal(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    for text in [name.as_bytes(), value] {
        string_len(block, text.len());
        block.extend_from_slice(text);
    }
}

/// The length of a string without Huffman coding: an integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn string_len(block: &mut Vec<u8>, len: usize) {
    const PREFIX_MAX: usize = 127;
    if len < PREFIX_MAX {
        block.push(u8::try_from(len).unwrap());
        return;
    }
    block.push(0x7f);
    let mut rest = len - PREFIX_MAX;
    while rest >= 0x80 {
        block.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap());
}
