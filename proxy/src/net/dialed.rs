//! Connections that were made from here. In: addresses and paths. Out: a connection, in the completion style or in the poll style.
//! Always: as in [`super::stream`]; a read or a write that is dropped leaves a connection that is of no more use.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use monoio::buf::IoBufMut as _;
use monoio::io::{
    AsyncReadRent as _, AsyncWriteRentExt as _, OwnedReadHalf, OwnedWriteHalf, Splitable as _,
};
use monoio::net::{TcpStream, UnixStream};

use super::stream::PollStream;

/// A connection to a server.
#[derive(Debug)]
pub struct Dialed {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Dialed {
    /// Connects to a TCP address. Dropping the future gives the attempt up.
    ///
    /// # Errors
    ///
    /// As the kernel tells: refused, unreachable, out of descriptors.
    pub async fn connect_tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_addr(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            inner: Inner::Tcp(stream),
        })
    }

    /// Connects to the socket at a path. Dropping the future gives the attempt up.
    ///
    /// # Errors
    ///
    /// As the kernel tells: no such file, refused, out of descriptors.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        Ok(Self {
            inner: Inner::Unix(UnixStream::connect(path).await?),
        })
    }

    /// Turns the connection to the poll style, as h2 wants it.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub fn into_poll(self) -> io::Result<PollStream> {
        match self.inner {
            Inner::Tcp(stream) => PollStream::from_tcp(stream),
            Inner::Unix(stream) => PollStream::from_unix(stream),
        }
    }

    /// Splits the connection, so that a read can stay in flight while something is written.
    pub fn into_split(self) -> (DialedReader, DialedWriter) {
        match self.inner {
            Inner::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (DialedReader::Tcp(reader), DialedWriter::Tcp(writer))
            }
            Inner::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (DialedReader::Unix(reader), DialedWriter::Unix(writer))
            }
        }
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub enum DialedReader {
    /// Of TCP.
    Tcp(OwnedReadHalf<TcpStream>),
    /// Of a socket in the file system.
    Unix(OwnedReadHalf<UnixStream>),
}

impl DialedReader {
    /// Reads once into the whole capacity of `buffer`, over what it holds. `Ok(0)` means that the server sends no more.
    ///
    /// The future may be kept in flight while others run; when it is dropped, close the connection.
    pub async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        buffer.clear();
        let room = 0..buffer.capacity();
        let (read, room) = match self {
            Self::Tcp(half) => half.read(buffer.slice_mut(room)).await,
            Self::Unix(half) => half.read(buffer.slice_mut(room)).await,
        };
        (read, room.into_inner())
    }
}

/// The writing half of a connection.
#[derive(Debug)]
pub enum DialedWriter {
    /// Of TCP.
    Tcp(OwnedWriteHalf<TcpStream>),
    /// Of a socket in the file system.
    Unix(OwnedWriteHalf<UnixStream>),
}

impl DialedWriter {
    /// Writes all of `buffer` and gives it back as it was.
    pub async fn write_all(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (written, buffer) = match self {
            Self::Tcp(half) => half.write_all(buffer).await,
            Self::Unix(half) => half.write_all(buffer).await,
        };
        (written.map(|_len| ()), buffer)
    }
}
