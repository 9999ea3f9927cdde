//! The details of a `google.rpc.Status`. In: the bytes that came as `grpc-status-details-bin`. Out: each detail, an `Any`, and what the
//! gateway itself understands of them. Always: garbage behind good details does not make the details bad (SEMANTICS 116).

use crate::wire::read::{LEN, Reader};

/// The number of `Status.details`.
const DETAILS: u32 = 3;

/// The details in order, as they came.
pub(super) fn each(status: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(status).filter_map(|(number, value)| match value {
        Value::Bytes(any) if number == DETAILS => Some(any),
        _ => None,
    })
}

/// Whether the detail is of this type.
pub(super) fn is(any: &[u8], type_name: &str) -> bool {
    let type_url = bytes_field(any, 1).unwrap_or_default();
    let name = type_url.rsplit(|&byte| byte == b'/').next();
    name == Some(type_name.as_bytes()) && type_url.len() > type_name.len()
}

/// The delay that the first `google.rpc.RetryInfo` asks for, in seconds, rounded up (SEMANTICS 113). One that is less than nothing is none.
pub(super) fn retry_delay(status: &[u8]) -> Option<u64> {
    let info = each(status).find(|any| is(any, "google.rpc.RetryInfo"))?;
    let delay = bytes_field(bytes_field(info, 2)?, 1)?;
    let (mut seconds, mut nanos) = (0, 0);
    for (number, value) in fields(delay) {
        match (number, value) {
            (1, Value::Number(number)) => seconds = number.cast_signed(),
            // An int32 is written as 64 bits.
            (2, Value::Number(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    let seconds = u64::try_from(seconds).ok()?;
    Some(seconds.saturating_add(u64::from(nanos > 0)))
}

/// The value of a field of bytes; the last one counts.
fn bytes_field(message: &[u8], wanted: u32) -> Option<&[u8]> {
    let values = fields(message).filter_map(|(number, value)| match value {
        Value::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    });
    values.last()
}

/// The value of one field.
enum Value<'w> {
    Number(u64),
    Bytes(&'w [u8]),
    Other,
}

/// The fields of a message, up to its end or to where it is none.
fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    const VARINT: u8 = 0;
    let mut reader = Reader::new(message, 0..message.len());
    std::iter::from_fn(move || {
        if reader.is_at_end() {
            return None;
        }
        let (number, wire_type) = reader.tag().ok()?;
        let value = match wire_type {
            VARINT => Value::Number(reader.varint().ok()?),
            LEN => Value::Bytes(reader.bytes().ok()?),
            _ => {
                reader.skip(number, wire_type, 0).ok()?;
                Value::Other
            }
        };
        Some((number, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len_field(number: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, len], content].concat()
    }

    fn status(type_url: &str, value: &[u8]) -> Vec<u8> {
        let any = [len_field(1, type_url.as_bytes()), len_field(2, value)].concat();
        [b"\x08\x0e".to_vec(), len_field(3, &any)].concat()
    }

    #[test]
    fn delay_is_rounded_up_to_seconds() {
        let url = "type.googleapis.com/google.rpc.RetryInfo";
        let minus_one = [&[0xff; 9][..], &[1]].concat();
        for (duration, delay) in [
            (b"\x08\x05".to_vec(), Some(5)),
            (b"\x08\x05\x10\x01".to_vec(), Some(6)),
            (b"\x10\x01".to_vec(), Some(1)),
            (Vec::new(), Some(0)),
            ([b"\x08", &minus_one[..]].concat(), None),
            ([b"\x08\x02\x10", &minus_one[..]].concat(), Some(2)),
            (b"\x08".to_vec(), Some(0)),
        ] {
            let found = retry_delay(&status(url, &len_field(1, &duration)));
            assert_eq!(found, delay, "{duration:?}");
        }
        assert_eq!(retry_delay(&status(url, b"")), None);
        let other = status("x/google.rpc.RetryInfos", &len_field(1, b"\x08\x05"));
        assert_eq!(retry_delay(&other), None);
        assert_eq!(retry_delay(b"\x1a\xff\xff"), None);
    }
}
