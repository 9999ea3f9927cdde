//! Frames of HTTP/2 as words. In: lines such as `headers 1 end | :status 200`. Out: bytes; and frames as lines. Always: knows nothing of the
//! engine, so that a frame means what the RFC says and not what the engine makes of it.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(
    clippy::cast_possible_truncation,
    reason = "cases are short, and a cut one fails"
)]

use std::fmt::Write as _;

const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("payloads of tests are short");
    let [_, len @ ..] = len.to_be_bytes();
    [&len[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The bytes of a line:
///
/// ```text
/// settings 4=100 | settings ack             headers 1 end open padded=3 priority | :status 200 | name value
/// data 1 end padded=3 text                  block 1 end open 88 0f0d        the header block in hexadecimal
/// data 1 *70000                             continuation 1 open 88
/// reset 1 CANCEL    goaway 0 NO_ERROR       raw 000000 04 00 00000000       the whole frame in hexadecimal
/// window 1 100      ping ack 12345678       repeat 3 any of these
/// ```
pub(crate) fn bytes(line: &str) -> Vec<u8> {
    if let Some(rest) = line.strip_prefix("repeat ") {
        let (count, line) = rest.split_once(' ').expect("a count and a line");
        return bytes(line).repeat(count.parse().expect("a count"));
    }
    let (line, fields) = match line.split_once(" | ") {
        Some((line, fields)) => (line, fields.split(" | ").collect()),
        None => (line, Vec::new()),
    };
    let mut words: Vec<_> = line.split(' ').collect();
    let kind = words.remove(0);
    if kind == "raw" {
        return hexadecimal(&words.concat());
    }
    let stream = match words.first().map(|word| word.parse()) {
        Some(Ok(stream)) if !matches!(kind, "goaway" | "ping") => {
            words.remove(0);
            stream
        }
        _ => 0,
    };
    let mut flags = match kind {
        "headers" | "block" | "continuation" => 0x4,
        _ => 0,
    };
    let (mut padding, mut has_priority) = (None, false);
    words.retain(|word| {
        match *word {
            "end" | "ack" => flags |= 0x1,
            "open" => flags &= !0x4,
            "priority" => has_priority = true,
            word => match word.strip_prefix("padded=") {
                Some(len) => padding = Some(len.parse::<u8>().expect("a length")),
                None => return true,
            },
        }
        false
    });
    let mut payload = Vec::new();
    if let Some(len) = padding {
        flags |= 0x8;
        payload.push(len);
    }
    if has_priority {
        flags |= 0x20;
        payload.extend([0, 0, 0, 0, 15]);
    }
    let kind = match kind {
        "data" => {
            match words.first().and_then(|word| word.strip_prefix('*')) {
                Some(len) => payload.resize(payload.len() + len.parse::<usize>().unwrap(), b'x'),
                None => payload.extend(words.join(" ").bytes()),
            }
            0
        }
        "headers" => {
            payload.extend(block(&fields));
            1
        }
        "block" => {
            payload.extend(hexadecimal(&words.concat()));
            1
        }
        "reset" => {
            payload.extend(code(words[0]).to_be_bytes());
            3
        }
        "settings" => {
            for word in words {
                let (name, value) = word.split_once('=').expect("a setting");
                payload.extend(name.parse::<u16>().unwrap().to_be_bytes());
                payload.extend(value.parse::<u32>().unwrap().to_be_bytes());
            }
            4
        }
        "ping" => {
            payload.extend(words[0].bytes());
            6
        }
        "goaway" => {
            payload.extend(words[0].parse::<u32>().unwrap().to_be_bytes());
            payload.extend(code(words[1]).to_be_bytes());
            payload.extend(words[2..].join(" ").bytes());
            7
        }
        "window" => {
            payload.extend(words[0].parse::<u32>().unwrap().to_be_bytes());
            8
        }
        "continuation" => {
            payload.extend(hexadecimal(&words.concat()));
            9
        }
        _ => unreachable!("no such frame: {line}"),
    };
    payload.resize(payload.len() + usize::from(padding.unwrap_or_default()), 0);
    frame(kind, flags, stream, &payload)
}

/// Literals without indexing and without a code. A field is a name and a value with a space between.
fn block(fields: &[&str]) -> Vec<u8> {
    let mut block = Vec::new();
    for field in fields {
        let (name, value) = field.split_once(' ').unwrap_or((field, ""));
        block.push(0);
        for text in [name, value] {
            // A prefix of seven bits, and as many bytes as that takes.
            let mut len = text.len();
            if len < 127 {
                block.push(len as u8);
            } else {
                block.push(127);
                len -= 127;
                while len >= 128 {
                    block.push((len % 128) as u8 | 128);
                    len /= 128;
                }
                block.push(len as u8);
            }
            block.extend(text.bytes());
        }
    }
    block
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16);
    digits
        .map(|pair| byte(pair).expect("hexadecimal"))
        .collect()
}

fn code(name: &str) -> u32 {
    let index = CODES.iter().position(|code| *code == name);
    index.map_or_else(|| name.parse().expect("a code"), |index| index as u32)
}

fn code_name(bytes: &[u8]) -> String {
    let code = u32::from_be_bytes(*bytes.first_chunk().expect("a code has four bytes"));
    let name = CODES.get(code as usize);
    name.map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

/// Kind, flags, stream and payload of each frame. All of `bytes` must be frames.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, &[u8])> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<9>().expect("a whole head");
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let (payload, rest) = rest.split_at_checked(len).expect("a whole payload");
        frames.push((kind, flags, u32::from_be_bytes(stream), payload));
        bytes = rest;
    }
    frames
}

/// What we write, as lines.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let line = |(kind, flags, stream, payload): (u8, u8, u32, &[u8])| {
        let ack = if flags & 1 != 0 { " ack" } else { "" };
        match kind {
            0 => {
                let end = if flags & 1 != 0 { " end" } else { "" };
                format!("data {stream}{end} *{}", payload.len())
            }
            1 => format!("headers {stream}"),
            3 => format!("reset {stream} {}", code_name(payload)),
            4 => {
                let mut line = format!("settings{ack}");
                for setting in payload.chunks(6) {
                    let value = u32::from_be_bytes(*setting[2..].first_chunk().unwrap());
                    write!(line, " {}={value}", setting[1]).unwrap();
                }
                line
            }
            6 => format!("ping{ack} {}", String::from_utf8_lossy(payload)),
            7 => format!("goaway {}", code_name(&payload[4..])),
            8 => format!(
                "window {stream} {}",
                u32::from_be_bytes(*payload.first_chunk().unwrap())
            ),
            9 => format!("continuation {stream}"),
            kind => format!("frame {kind}"),
        }
    };
    frames(bytes).into_iter().map(line).collect()
}
