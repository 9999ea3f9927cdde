//! The sending side of a connection. In: what is to be written. Out: bytes on their way.
//! Always: a client has a time for what it is to receive; a long answer goes out in parts, between which others have their turn.

use std::io;
use std::time::Duration;

use crate::buffers::trim;
use crate::limits::{WRITE_PART_LEN, WRITE_RATE_MIN, WRITE_TIMEOUT};
use crate::net::{Elapsed, WriteHalf, timeout, turn};

/// Writes what `out` holds, and leaves it empty with its memory.
pub(super) async fn write(writer: &mut WriteHalf, out: &mut Vec<u8>) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    if out.len() > WRITE_PART_LEN {
        return Box::pin(write_long(writer, out)).await;
    }
    let limit = WRITE_TIMEOUT + Duration::from_secs(out.len() as u64 / WRITE_RATE_MIN);
    let (written, buffer) = writer
        .write_all(std::mem::take(out), limit)
        .await
        .map_err(|Elapsed| io::Error::from(io::ErrorKind::TimedOut))?;
    *out = buffer;
    out.clear();
    written
}

/// The same for more than goes out at once: in parts, between which others have their turn.
async fn write_long(writer: &mut WriteHalf, out: &mut Vec<u8>) -> io::Result<()> {
    let limit = WRITE_TIMEOUT + Duration::from_secs(out.len() as u64 / WRITE_RATE_MIN);
    let mut buffer = std::mem::take(out);
    let writing = async {
        let mut start = 0;
        while start < buffer.len() {
            let end = buffer.len().min(start + WRITE_PART_LEN);
            let (written, same) = writer
                .write_part(std::mem::take(&mut buffer), start..end)
                .await;
            buffer = same;
            written?;
            start = end;
            turn().await;
        }
        Ok(())
    };
    let written = timeout(limit, writing).await;
    *out = buffer;
    out.clear();
    written.map_err(|Elapsed| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The same in a stream, which may last: memory that grew large is let go.
pub(super) async fn write_and_trim(writer: &mut WriteHalf, out: &mut Vec<u8>) -> io::Result<()> {
    write(writer, out).await?;
    trim(out);
    Ok(())
}
