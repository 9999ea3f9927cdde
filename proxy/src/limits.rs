//! Every bound of the proxy's side, with its unit and default; the bounds of traffic itself live in `transom_engine`.
//! Always: whatever a peer can make grow (connections, queues, buffers, waiting time) has its line here.

use std::time::Duration;

/// Connections a process serves at once, before the share of descriptors is taken into account.
pub const CONNECTION_COUNT_MAX: usize = 10_000;

/// Descriptors kept for what is not a client's connection: files, name look-ups, upstream connections where nobody says how many.
pub const DESCRIPTOR_RESERVE_COUNT: usize = 64;

/// Descriptors kept for each worker beside its upstream connections: listener, ring, epoll, wake-ups.
pub const DESCRIPTOR_WORKER_COUNT: usize = 16;

/// Descriptors assumed when the process cannot read its own limit.
pub const DESCRIPTOR_COUNT_FALLBACK: usize = 1024;

/// Bytes of a configuration file, and of each file of rules it names.
pub const CONFIG_LEN_MAX: usize = 4 * 1024 * 1024;

/// Lists and maps inside of each other in a configuration file.
pub const CONFIG_DEPTH_MAX: usize = 32;

/// How long a server of unknown paths may neither take nor send anything.
pub const PASSED_SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

/// Connections the kernel queues for one worker's listener before it refuses more; the kernel's own bound (`somaxconn`) is 4096 too. Clients
/// that come all at once, as after a restart, are made to wait a second if there is no place.
pub const LISTEN_BACKLOG_COUNT: i32 = 4096;

/// Entries of a worker's submission ring. 1024 entries on each core stay within the default 8 MiB of lockable memory.
pub const RING_ENTRY_COUNT: u32 = 1024;

/// How long to wait before a ring is tried once more after `ENOMEM`: memory of closed rings comes back late.
pub const RING_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Shortest pause of accepting after an error such as `EMFILE`; doubles up to [`ACCEPT_PAUSE_MAX`].
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Connections a worker takes in a row before those it serves get their turn.
pub const ACCEPT_BURST_COUNT_MAX: usize = 16;

/// A worker hands the next connection over to the one with the fewest if it has more than that one, by more than this part of those: an
/// eighth. Among few connections each counts; among many the kernel spreads them well enough.
pub const HAND_OVER_SLACK_DIVISOR: usize = 8;

/// Longest pause of accepting.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long a worker waits for its connections to end after it was told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a worker that has ended goes on, so that what it closed is closed.
pub const CLOSE_PAUSE: Duration = Duration::from_millis(1);

/// Pause before a worker whose thread panicked is started again.
pub const WORKER_RESPAWN_PAUSE: Duration = Duration::from_millis(100);

/// Connections of a worker from which on they are a crowd: when half of it has left, the allocator gives their memory back to the kernel.
pub const CROWD_COUNT_MIN: usize = 64;

/// Bytes a recycled buffer may keep; a larger one goes back to the allocator.
pub const BUFFER_KEEP_LEN_MAX: usize = 64 * 1024;

/// Buffers a worker keeps for reuse.
pub const BUFFER_KEEP_COUNT_MAX: usize = 256;

/// Bytes that the first read of a connection has room for. A read that fills its room doubles that of the next ones, up to [`READ_ROOM_LEN`], so that a
/// connection holds what its requests need while it waits, and they still come in one read each.
pub const READ_FIRST_LEN: usize = 1024;

/// Spare bytes made when a read is asked to append to a full buffer, at most.
pub const READ_ROOM_LEN: usize = 4 * 1024;

/// How long a client may be silent between requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The same, while more than four fifths of the connections a worker may serve are taken.
pub const IDLE_TIMEOUT_CROWDED: Duration = Duration::from_secs(5);

/// How long an idle connection is read on after the process was told to stop, so that a request on its way is answered.
pub const DRAIN_GRACE: Duration = Duration::from_millis(100);

/// How long a head may take from its first byte on.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may be silent in the middle of a body.
pub const BODY_GAP_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a body a client has to send each second, on average, once [`BODY_GAP_TIMEOUT`] has passed.
pub const BODY_RATE_MIN: u64 = 1024;

/// How long a client may take to receive what was written to it at once, beside what [`WRITE_RATE_MIN`] allows for its length.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes a client has to receive each second, on average.
pub const WRITE_RATE_MIN: u64 = 8 * 1024;

/// Requests of one connection that are answered without waiting for anything before the other connections get their turn.
pub const BUSY_REQUEST_COUNT_MAX: usize = 256;

/// How long their turn is: as short as the timer can do.
pub const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// How long a connection is read on after an answer that ends it, so that the answer arrives.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that are read meanwhile. A body no longer than this is read to its end even if its head was refused.
pub const LINGER_LEN_MAX: usize = 64 * 1024;

/// Bytes of further requests that are taken in while a call is under way.
pub const PIPELINE_LEN_MAX: usize = 64 * 1024;

/// How often a connection that is not read on meanwhile is asked whether its client is still there.
pub const LEFT_CHECK_GAP: Duration = Duration::from_secs(1);

/// Room made for a body at once, at least; after that as much as has come already.
pub const BODY_ROOM_LEN: usize = 64 * 1024;

/// Bytes of a body from which on it is taken in parts of this length and converted by another thread: longer ones would hold a worker up for
/// half a millisecond and more.
pub const LONG_BODY_LEN: usize = 256 * 1024;

/// Bytes of a long body that are taken from the kernel at once.
pub const LONG_READ_LEN: usize = 128 * 1024;

/// Bytes of a compressed body up to which it does not wait behind long ones to be decoded, though it may become long.
pub const SHORT_CODED_BODY_LEN: usize = 4 * 1024;

/// Bytes from which on a reply message is converted by another thread whose answer is to be compressed, which takes many times as long.
pub const LONG_CODED_REPLY_LEN: usize = 16 * 1024;

/// Bytes of an answer that are written at once before the other connections get their turn.
pub const WRITE_PART_LEN: usize = 128 * 1024;

/// Long bodies that wait for a thread to convert them; the worker of one more does it itself.
pub const ASIDE_QUEUE_COUNT_MAX: usize = 1024;

/// How much nicer the threads that convert long bodies are than workers: as nice as can be, since with less a worker that wakes up waits for milliseconds now and
/// then. On a core that never rests one of them still gets a seventieth of the time.
pub const ASIDE_NICENESS: i32 = 19;

/// How long memory of long bodies may be free before it goes back to the kernel. mimalloc would have a worker do it after a second.
pub const FREE_MEMORY_PAUSE: Duration = Duration::from_millis(250);

/// Bytes an idle connection may keep for its next read; what a large request needed is given back.
pub const IDLE_READ_LEN_MAX: usize = 8 * 1024;

/// How long neither direction of a call may be heard of while its client has not ended its stream. Once it has, the answer may take as
/// long as it likes.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// Silence of a client's WebSocket after which it is asked for a sign of life.
pub const SOCKET_PING_GAP: Duration = Duration::from_secs(30);

/// Pings without an answer after which a WebSocket's client is taken for gone.
pub const SOCKET_PING_COUNT_MAX: u32 = 2;

/// Bytes of a frame of a WebSocket that are waited for before they are read; a longer frame is read in such pieces.
pub const SOCKET_PIECE_LEN: usize = 4 * 1024;

/// Bytes of a WebSocket's messages that are taken in while the upstream does not take the ones before them, so that a ping or the end is seen behind them.
pub const SOCKET_AHEAD_LEN_MAX: usize = 16 * 1024;

/// Bytes of framed messages that a client's stream is turned into before they are sent, unless one message is longer.
pub const STREAM_SEND_LEN: usize = 16 * 1024;

/// Bytes of a stream's response that are gathered before they are written, if the upstream has sent them already.
pub const STREAM_WRITE_LEN: usize = 32 * 1024;

/// HTTP/2 connections each worker holds to an upstream. Two, since a server that runs one connection on one
/// thread would otherwise serialise a worker's calls, and more would thin out the batching of writes.
pub const UPSTREAM_CONNECTION_COUNT: usize = 2;

/// Most HTTP/2 connections a worker may be told to hold to an upstream.
pub const UPSTREAM_CONNECTION_COUNT_MAX: usize = 64;

/// Connections each worker holds to an upstream, beside those, for calls whose requests stream: one call each. More such calls share them.
pub const UPSTREAM_APART_COUNT_MAX: usize = 256;

/// How many of these are kept when no call uses them.
pub const UPSTREAM_APART_KEEP_COUNT: usize = 4;

/// Calls in flight on one upstream connection, even if the peer allows more.
pub const UPSTREAM_STREAM_COUNT_MAX: usize = 1024;

/// Calls of a worker in flight below which an answer is looked at as soon as it comes.
pub const GATHER_CALL_COUNT_MIN: usize = 16;

/// Answers that come together and are yet few: before these a worker rests, so that it is woken for several.
pub const GATHER_ANSWER_COUNT_MAX: usize = 4;

/// Bytes of an answer up to which it is worth a rest. Longer ones fill the windows meanwhile, so that the upstream would have to rest as well.
pub const GATHER_ANSWER_LEN_MAX: usize = 4 * 1024;

/// Of what quick calls take, the part that a worker rests.
pub const GATHER_TIME_DIVISOR: u32 = 32;

/// A rest that is shorter than this is none: falling asleep and waking up take a part of it.
pub const GATHER_TIME_MIN: Duration = Duration::from_micros(100);

/// The longest rest.
pub const GATHER_TIME_MAX: Duration = Duration::from_micros(500);

/// How long a worker is awake between two rests.
pub const GATHER_GAP: Duration = Duration::from_micros(100);

/// How long the answer to an upstream's PING may wait for a call to go out with.
pub const UPSTREAM_PONG_DELAY: Duration = Duration::from_millis(5);

/// Bytes that are read at once from an upstream by the codec of our own.
pub const UPSTREAM_READ_LEN: usize = 64 * 1024;

/// Calls of a worker that may wait for a stream or a connection; one more is refused at once. As many as clients can have under way, one
/// on each connection, so that a gateway which took a connection has room for its call.
pub const UPSTREAM_QUEUE_COUNT_MAX: usize = 10_000;

const _: () = assert!(UPSTREAM_QUEUE_COUNT_MAX >= CONNECTION_COUNT_MAX);

/// How long a call without a deadline may wait for a free stream on connections that are up.
pub const UPSTREAM_QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Name resolution, TCP connect and the peer's SETTINGS together (THREATS F1).
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// First pause before a lost connection is made again; doubles up to [`UPSTREAM_BACKOFF_MAX`].
pub const UPSTREAM_BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Longest pause before a lost connection is made again.
pub const UPSTREAM_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Silence on a connection with calls in flight after which a PING is sent.
pub const UPSTREAM_KEEPALIVE_IDLE: Duration = Duration::from_secs(20);

/// Time the peer has to answer that PING before the connection is given up.
pub const UPSTREAM_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time from one PING to the next if the peer answers no call in between. Servers of gRPC end a connection, and the calls on it, after
/// three PINGs less than five minutes apart ("too many pings"; the rest is for timers that are not exact).
pub const UPSTREAM_KEEPALIVE_GAP: Duration = Duration::from_mins(6);

/// Cancelled calls of a connection whose late answers are known as such, each for a second. h2 answers the frames of any other
/// by a reset, and keeps count of those.
pub const UPSTREAM_CANCELLED_COUNT_MAX: usize = 8 * 1024;

/// Frames out of place before h2 gives a connection up, with all calls on it. It counts them for as long as the connection lives,
/// and answers that come too late are among them: its default of 1024 would be a matter of time.
pub const UPSTREAM_STRAY_COUNT_MAX: usize = 64 * 1024;

/// HTTP/2 window of one stream, bytes: what a client that does not read its stream makes us hold of it (THREATS E8).
pub const UPSTREAM_STREAM_WINDOW_LEN: u32 = 512 * 1024;

/// HTTP/2 window of a connection, bytes: that of all its streams together, so that streams whose clients do not read never stop the
/// others. h2 derives its budget for small DATA frames from it (one half), which gRPC streams of small messages need: with the default
/// window they lose the whole connection.
pub const UPSTREAM_CONNECTION_WINDOW_LEN: u32 = 512 * 1024 * 1024;

const _: () = assert!(
    UPSTREAM_CONNECTION_WINDOW_LEN as usize
        >= UPSTREAM_STREAM_WINDOW_LEN as usize * UPSTREAM_STREAM_COUNT_MAX
);

/// Bytes of a client's stream that wait in h2 for the connection to the upstream to take them.
pub const UPSTREAM_SEND_LEN_MAX: usize = 64 * 1024;

/// Headers or trailers of a response, bytes, counted as HTTP/2 counts them. A `grpc-message` of 64 KiB fits.
pub const UPSTREAM_HEADER_LIST_LEN_MAX: u32 = 256 * 1024;

/// A response message, bytes, unless another limit is set: that of the engine, which the body is gathered up to.
pub const UPSTREAM_MESSAGE_LEN_MAX: usize = 4 * 1024 * 1024;

const _: () = assert!(UPSTREAM_MESSAGE_LEN_MAX == transom_engine::limits::BODY_LEN_MAX);

/// Addresses of an upstream's name that are tried.
pub const UPSTREAM_ADDRESS_COUNT_MAX: usize = 16;

/// Name lookups that may wait for the helper thread.
pub const RESOLVE_QUEUE_COUNT_MAX: usize = 64;

/// Connections one process may serve, of the descriptors it may open: half of them, since a connection may need a
/// second one upstream, less a reserve.
pub fn connection_count_max(descriptor_count: usize) -> usize {
    (descriptor_count / 2)
        .saturating_sub(DESCRIPTOR_RESERVE_COUNT)
        .clamp(1, CONNECTION_COUNT_MAX)
}

/// The same, where connections of clients share those upstream, of which each worker has `upstream_count` and those for calls whose requests
/// stream: all descriptors but for these, if that is more.
pub fn connection_count_max_sharing(
    descriptor_count: usize,
    worker_count: usize,
    upstream_count: usize,
) -> usize {
    let of_worker = DESCRIPTOR_WORKER_COUNT + upstream_count + UPSTREAM_APART_COUNT_MAX;
    descriptor_count
        .saturating_sub(DESCRIPTOR_RESERVE_COUNT)
        .saturating_sub(of_worker.saturating_mul(worker_count))
        .clamp(connection_count_max(descriptor_count), CONNECTION_COUNT_MAX)
}

/// Descriptors this process may open, as the kernel tells in `/proc/self/limits`.
pub fn descriptor_count_limit() -> usize {
    std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| parse_descriptor_limit(&text))
        .unwrap_or(DESCRIPTOR_COUNT_FALLBACK)
}

/// The soft limit of the line `Max open files  1024  4096  files`.
fn parse_descriptor_limit(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_ascii_whitespace().next()?;
    if soft == "unlimited" {
        return Some(usize::MAX);
    }
    soft.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_half_of_the_descriptors_less_a_reserve() {
        assert_eq!(connection_count_max(1024), 448);
        assert_eq!(connection_count_max(usize::MAX), CONNECTION_COUNT_MAX);
    }

    #[test]
    fn connections_that_share_those_upstream_take_more_than_half() {
        assert_eq!(connection_count_max_sharing(4096, 2, 2), 3484);
        assert_eq!(
            connection_count_max_sharing(20_000, 2, 64),
            CONNECTION_COUNT_MAX
        );
        // Of few descriptors, half is more than what is left of them.
        assert_eq!(connection_count_max_sharing(1024, 4, 2), 448);
        assert_eq!(connection_count_max_sharing(0, 64, 64), 1);
    }

    #[test]
    fn at_least_one_connection_is_served_however_few_descriptors_there_are() {
        assert_eq!(connection_count_max(0), 1);
        assert_eq!(connection_count_max(129), 1);
    }

    #[test]
    fn descriptor_limit_is_read_from_the_kernels_table() {
        let text = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(parse_descriptor_limit(text), Some(1024));
        assert_eq!(
            parse_descriptor_limit("Max open files unlimited unlimited files"),
            Some(usize::MAX)
        );
        assert_eq!(parse_descriptor_limit("Max cpu time 1 1 s"), None);
    }
}
