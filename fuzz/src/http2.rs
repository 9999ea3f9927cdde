//! A connection of HTTP/2 as a client. In: three bytes that choose, then what the peer sends. Out: nothing.
//! Always: what it does depends on the bytes and not on how they are cut; what it writes are whole frames that a client may send; windows add up;
//! memory stays within its bounds.

use std::collections::BTreeMap;

use transom_engine::http2::{
    Code, Connection, Event, Fault, HeaderBlock, Scheme, Settings, StreamId,
};
use transom_engine::limits::{
    HTTP2_ANSWER_COUNT_MAX, HTTP2_IDLE_FRAME_COUNT_MAX, HTTP2_OUTPUT_LEN_MAX,
};

/// What happened, without what depends on cuts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    /// Data by stream.
    data: BTreeMap<u32, Vec<u8>>,
    output: Vec<u8>,
    fault: Option<Fault>,
}

/// Bytes of a peer, fed whole and in pieces.
pub fn http2(input: &[u8]) {
    let Some(([setup, cut, calls], bytes)) = input.split_first_chunk::<3>() else {
        return;
    };
    let whole = converse(*setup, *calls, bytes, bytes.len().max(1));
    let pieces = converse(*setup, *calls, bytes, usize::from(*cut).max(1));
    // Who releases sooner opens windows sooner.
    if !releases(*setup) {
        assert_eq!(whole, pieces, "what is cut means the same");
    }
    check_output(&whole);
}

/// Windows are small enough for short inputs to use them up.
fn settings(setup: u8) -> Settings {
    Settings {
        stream_window_len: [100, 0, 65_535, 20_000][usize::from(setup & 3)],
        connection_window_len: 65_535,
        header_list_len_max: [200, 16_384][usize::from(setup >> 2 & 1)],
        stream_count_max: 8,
        ..Settings::default()
    }
}

const fn releases(setup: u8) -> bool {
    setup & 8 != 0
}

/// Three calls, two bits for each: one whose request is sent, one with more to send than there is room for, one that was reset, or none.
fn converse(setup: u8, calls: u8, bytes: &[u8], piece_len: usize) -> Outcome {
    let mut connection = Connection::new(settings(setup));
    let block = HeaderBlock::post(Scheme::Http, b"a", b"/a.B/C", []).expect("it is legal");
    let message = vec![b'm'; 100_000];
    let mut unsent: BTreeMap<u32, usize> = BTreeMap::new();
    let mut open: BTreeMap<u32, StreamId> = BTreeMap::new();
    for key in 0..3_u32 {
        let call = calls >> (key * 2) & 3;
        if call == 3 {
            continue;
        }
        let metadata = [(&b"x-key"[..], &b"1"[..])];
        let stream = connection.open(&block, metadata, key).expect("it is open");
        open.insert(stream.number(), stream);
        if call == 2 {
            connection.reset(stream, Code::CANCEL);
            open.remove(&stream.number());
            continue;
        }
        let len = if call == 0 { 5 } else { message.len() };
        let taken = connection.send(stream, &message[..len], true);
        unsent.insert(stream.number(), len - taken);
    }
    let mut outcome = Outcome::default();
    'pieces: for piece in bytes.chunks(piece_len) {
        let mut input = piece;
        loop {
            let event = match connection.receive(&mut input) {
                Ok(None) => break,
                Ok(Some(event)) => event,
                Err(fault) => {
                    outcome.fault = Some(fault);
                    break 'pieces;
                }
            };
            let released = note(event, &mut outcome, &mut open);
            if let Some((stream, len)) = released
                && releases(setup)
            {
                connection.release(stream, len);
            }
            assert!(connection.stream_count() <= 3);
        }
        assert!(input.is_empty(), "all is taken");
    }
    // Once all is read: when it is sent depends on how reads are cut, as do the frames it is in.
    while let Some(stream) = connection.next_room() {
        assert!(
            open.contains_key(&stream.number()),
            "room for a stream that is gone"
        );
        let left = unsent[&stream.number()];
        let taken = connection.send(stream, &message[..left], true);
        assert!(taken > 0, "room for nothing");
        unsent.insert(stream.number(), left - taken);
    }
    outcome.output = std::mem::take(connection.output());
    outcome
}

/// Writes an event down; gives what may be released.
fn note(
    event: Event<'_, '_>,
    outcome: &mut Outcome,
    open: &mut BTreeMap<u32, StreamId>,
) -> Option<(StreamId, usize)> {
    let mut known = |stream: StreamId, ends: bool| {
        let known = open.get(&stream.number()).copied();
        assert_eq!(known, Some(stream), "an event of a stream that is not open");
        if ends {
            outcome.events.push(format!("end {}", stream.number()));
        }
    };
    match event {
        Event::Data {
            stream,
            bytes,
            ends,
        } => {
            known(stream, ends);
            assert!(ends || !bytes.is_empty());
            let data = outcome.data.entry(stream.number()).or_default();
            data.extend_from_slice(bytes);
            return Some((stream, bytes.len()));
        }
        Event::Headers {
            stream,
            status,
            list,
            ends,
        } => {
            known(stream, ends);
            assert!((200..=999).contains(&status));
            let list_len: usize = list
                .iter()
                .map(|(name, value)| name.len() + value.len() + 32)
                .sum();
            assert!(list_len <= 16_384);
            outcome
                .events
                .push(format!("{} {status} {list:?}", stream.number()));
        }
        Event::Trailers { stream, list } => {
            known(stream, true);
            outcome.events.push(format!("{} {list:?}", stream.number()));
        }
        Event::Reset { stream, cause } => {
            known(stream, false);
            open.remove(&stream.number());
            outcome
                .events
                .push(format!("{} {cause:?}", stream.number()));
        }
        other => outcome.events.push(format!("{other:?}")),
    }
    None
}

/// The preface, then whole frames, each as long as its kind is, in bounds that hold whatever the peer sends.
fn check_output(outcome: &Outcome) {
    let mut rest = outcome
        .output
        .strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("the preface comes first");
    // Some 25 bytes an answer, and a reset and headers for each call.
    let answers_len = 25 * (HTTP2_ANSWER_COUNT_MAX + HTTP2_IDLE_FRAME_COUNT_MAX) as usize;
    assert!(rest.len() <= HTTP2_OUTPUT_LEN_MAX + answers_len);
    let (mut last_kind, mut sent_len) = (None, 0);
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let [a, b, c, kind, flags, number @ ..] = *head;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let number = u32::from_be_bytes(number);
        let (payload, behind) = behind.split_at_checked(len).expect("frames are whole");
        rest = behind;
        last_kind = Some(kind);
        let is_good = match kind {
            0 => {
                sent_len += len;
                number % 2 == 1 && len <= 1 << 24
            }
            1 => number % 2 == 1 && flags & 4 != 0,
            3 => number % 2 == 1 && len == 4,
            4 => number == 0 && len == if flags == 1 { 0 } else { 24 },
            6 => number == 0 && len == 8 && flags == 1,
            7 => number == 0 && len == 8,
            8 => len == 4 && payload > &[0; 4][..] && payload < &[0x80][..],
            _ => false,
        };
        assert!(is_good, "frame {kind} of {len} bytes on {number}");
    }
    assert!(rest.is_empty(), "frames are whole");
    assert!(sent_len <= 300_000, "nothing is sent twice");
    assert_eq!(
        outcome.fault.is_some(),
        last_kind == Some(7),
        "a fault is told, and nothing after it"
    );
}
