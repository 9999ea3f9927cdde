//! The codings themselves, by the crates that are trusted with them. In: bytes. Out: bytes. Always: what a decoder may use beside its output is
//! bounded by its format or by us.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

use super::Coding;
use crate::error::{Error, ErrorKind};

/// The largest window of a zstd frame as a power of two: 8 MiB, which RFC 9659 has for HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Levels at which replies are coded while a client waits: about the knee where more time buys few bytes.
const FLATE_LEVEL: u32 = 4;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_LOG: u32 = 19;
const ZSTD_LEVEL: i32 = 3;

/// Bytes that the brotli crate works on at once.
const BROTLI_BUFFER_LEN: usize = 4096;

/// See [`Coding::decode`].
pub(super) fn decode(
    coding: Coding,
    coded: &[u8],
    len_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = out.len();
    let mut rest = coded;
    let read = match coding {
        Coding::Gzip => read_up_to(MultiGzDecoder::new(&mut rest), len_max, out),
        Coding::Deflate if is_zlib(coded) => read_up_to(ZlibDecoder::new(&mut rest), len_max, out),
        Coding::Deflate => read_up_to(DeflateDecoder::new(&mut rest), len_max, out),
        Coding::Brotli => {
            let mut decoder = brotli::Decompressor::new(&mut rest, BROTLI_BUFFER_LEN);
            // It takes in more than it needs; asked once more behind the end, it fails if something of that is left.
            read_up_to(&mut decoder, len_max, out).and_then(|()| decoder.read(&mut [0]).map(drop))
        }
        Coding::Zstd => zstd_reader(&mut rest).and_then(|reader| read_up_to(reader, len_max, out)),
    };
    let failure = match read {
        Ok(()) if rest.is_empty() => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => ErrorKind::BodyTooLarge,
        Ok(()) | Err(_) => ErrorKind::BadContentCoding,
    };
    out.truncate(start);
    Err(Error::request(failure))
}

fn zstd_reader<R: BufRead>(coded: R) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(coded)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Reads to the end, or until there is more than `len_max`: the room grows with what has come, never with what was announced.
fn read_up_to(decoder: impl Read, len_max: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let read = decoder.take(len_max as u64 + 1).read_to_end(out)?;
    if read > len_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Whether this begins with the two bytes of zlib (RFC 1950 section 2.2); else it is deflate without them, as some clients have it.
fn is_zlib(coded: &[u8]) -> bool {
    matches!(*coded, [method, flags, ..] if method & 15 == 8
        && u16::from_be_bytes([method, flags]) % 31 == 0)
}

/// See [`Coding::encode`].
pub(super) fn encode(coding: Coding, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::new(FLATE_LEVEL));
            encoder.write_all(plain)?;
            encoder.finish().map(drop)
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::new(FLATE_LEVEL));
            encoder.write_all(plain)?;
            encoder.finish().map(drop)
        }
        Coding::Brotli => {
            let (quality, window_log) = (BROTLI_QUALITY, BROTLI_WINDOW_LOG);
            let mut encoder =
                brotli::CompressorWriter::new(out, BROTLI_BUFFER_LEN, quality, window_log);
            encoder.write_all(plain)?;
            // Ends the stream.
            encoder.into_inner();
            Ok(())
        }
        Coding::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
            encoder.write_all(plain)?;
            encoder.finish().map(drop)
        }
    }
}
