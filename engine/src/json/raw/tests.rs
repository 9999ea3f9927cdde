use proptest::prelude::*;

use super::*;

/// What `write` appends to a buffer of this capacity, which it must never leave; that is asserted at each write.
fn written(capacity: usize, write: impl FnOnce(Slot<'_, '_>)) -> String {
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(b"before");
    let mut text = Text::new(&mut out);
    write(text.slot());
    text.end();
    String::from_utf8(out.strip_prefix(b"before").unwrap().to_vec()).unwrap()
}

/// The safe twin of [`Slot::double`].
fn plain_double(value: f64) -> String {
    if !value.is_finite() {
        return String::from_utf8(write::not_finite(value).to_vec()).unwrap() + ",";
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    format!("{},", text.strip_suffix(".0").unwrap_or(text))
}

/// The safe twin of [`Slot::float`].
fn plain_float(value: f32) -> String {
    if !value.is_finite() {
        return plain_double(f64::from(value));
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    format!("{},", text.strip_suffix(".0").unwrap_or(text))
}

/// The safe twin of [`Slot::string`].
fn plain_string(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(b"\",");
    out
}

/// Compares both twins on the first `len` bytes of a source.
fn assert_string(source: &[u8], len: usize, capacity: usize) {
    let (text, _) = source.split_at(len);
    let mut out = Vec::with_capacity(capacity);
    let mut room = Text::new(&mut out);
    let is_high = room.slot().string(source, len);
    room.end();
    assert_eq!(out, plain_string(text), "{text:x?} of {}", source.len());
    assert_eq!(is_high, !text.is_ascii(), "{text:x?}");
}

#[test]
fn a_string_of_any_length_may_end_where_its_source_ends() {
    for len in 0..=256 {
        for behind_len in [0, 1, 15, 16, 31, 32, 64] {
            let mut source = vec![b'a'; len];
            source.resize(len + behind_len, b'"');
            assert_string(&source, len, 0);
        }
    }
}

#[test]
fn every_byte_at_every_place_of_a_string_is_written_alike() {
    for byte in 0..=255 {
        for at in 0..70 {
            let mut source = [b'a'; 70];
            if let Some(place) = source.get_mut(at) {
                *place = byte;
            }
            assert_string(&source, 70, 0);
            assert_string(&source, at + 1, 300);
        }
    }
}

#[test]
fn a_string_of_escapes_only_has_room() {
    for len in 0..200 {
        for capacity in [0, len, 6 * len + 40] {
            assert_string(&vec![0x01; len], len, capacity);
        }
    }
}

#[test]
fn integers_at_each_border_of_their_digits_are_written() {
    let mut values = vec![0, u64::MAX];
    for digit_count in 0..20 {
        let power = 10_u64.pow(digit_count);
        values.extend([power - 1, power, power + 1]);
    }
    for value in values {
        for is_quoted in [false, true] {
            let quote = if is_quoted { "\"" } else { "" };
            let expected = format!("{quote}{value}{quote},");
            assert_eq!(written(0, |slot| slot.uint64(value, is_quoted)), expected);
            let signed = value.cast_signed();
            let expected = format!("{quote}{signed}{quote},");
            assert_eq!(written(0, |slot| slot.int64(signed, is_quoted)), expected);
        }
        if let Ok(value) = u32::try_from(value) {
            assert_eq!(written(0, |slot| slot.uint32(value)), format!("{value},"));
            let signed = value.cast_signed();
            assert_eq!(written(0, |slot| slot.int32(signed)), format!("{signed},"));
        }
    }
    assert_eq!(
        written(0, |slot| slot.int64(i64::MIN, true)),
        "\"-9223372036854775808\","
    );
    assert_eq!(written(0, |slot| slot.int32(i32::MIN)), "-2147483648,");
}

#[test]
fn floats_are_shortest_and_valid_json() {
    let cases = [
        (0.0, "0,"),
        (-0.0, "-0,"),
        (1.0, "1,"),
        (-1.5, "-1.5,"),
        (0.1, "0.1,"),
        (97.5, "97.5,"),
        (0.000_001, "1e-6,"),
        (0.000_1, "0.0001,"),
        (123_456_789.123_456, "123456789.123456,"),
        (1e9, "1000000000,"),
        (1e15, "1000000000000000,"),
        (5e-324, "5e-324,"),
        (f64::NAN, "\"NaN\","),
        (f64::INFINITY, "\"Infinity\","),
        (f64::NEG_INFINITY, "\"-Infinity\","),
    ];
    for (value, expected) in cases {
        assert_eq!(written(0, |slot| slot.double(value)), expected);
        assert_eq!(plain_double(value), expected);
    }
    assert_eq!(written(0, |slot| slot.float(0.1)), "0.1,");
    assert_eq!(written(0, |slot| slot.float(f32::MAX)), "3.4028235e+38,");
    assert_eq!(written(0, |slot| slot.float(f32::NAN)), "\"NaN\",");
}

#[test]
fn brackets_take_the_place_of_the_last_comma() {
    let mut out = b"[1,".to_vec();
    let mut text = Text::new(&mut out);
    text.close(b']');
    text.end();
    assert_eq!(out, b"[1],");
    let mut out = b"[".to_vec();
    let mut text = Text::new(&mut out);
    text.close(b']');
    text.end();
    assert_eq!(out, b"[],");
}

proptest! {
    #[test]
    fn both_twins_write_the_same_string(
        source in prop::collection::vec(prop_oneof![
            20 => b' '..0x7f,
            1 => prop::sample::select(&b"\"\\\n\x01\x80\xff"[..]),
        ], 0..200),
        cut: prop::sample::Index,
        capacity in 0..400_usize,
    ) {
        assert_string(&source, cut.index(source.len() + 1), capacity);
    }

    #[test]
    fn integers_are_those_of_the_standard_library(value: u64, shift in 0..64, capacity in 0..100_usize) {
        let value = value >> shift;
        prop_assert_eq!(written(capacity, |slot| slot.uint64(value, false)), format!("{value},"));
        let value = value.cast_signed();
        prop_assert_eq!(written(capacity, |slot| slot.int64(value, false)), format!("{value},"));
    }

    #[test]
    fn any_float_is_that_of_the_general_algorithm(bits: u64, low_bits: u32) {
        let value = f64::from_bits(bits);
        prop_assert_eq!(written(0, |slot| slot.double(value)), plain_double(value));
        let value = f32::from_bits(low_bits);
        prop_assert_eq!(written(0, |slot| slot.float(value)), plain_float(value));
    }

    /// Goal: the short way of decimal numbers takes exactly what it may.
    #[test]
    fn decimal_numbers_are_those_of_the_general_algorithm(
        count in -2_000_000_000_000_000_i64..2_000_000_000_000_000,
        shift in 0..50,
        exponent in 0..12,
        ulps in -2_i32..3,
    ) {
        let near = |value: f64| f64::from_bits(value.to_bits().wrapping_add_signed(i64::from(ulps)));
        #[expect(clippy::cast_precision_loss, reason = "any double will do")]
        let value = near((count >> shift) as f64 / 10_f64.powi(exponent));
        prop_assert_eq!(written(0, |slot| slot.double(value)), plain_double(value));
        let near = |value: f32| f32::from_bits(value.to_bits().wrapping_add_signed(ulps));
        #[expect(clippy::cast_possible_truncation, reason = "any float will do")]
        let value = near(value as f32);
        prop_assert_eq!(written(0, |slot| slot.float(value)), plain_float(value));
    }

    #[test]
    fn finite_numbers_read_back_bit_by_bit(bits: u64) {
        let value = f64::from_bits(bits);
        if value.is_finite() {
            let json = written(0, |slot| slot.double(value));
            let json = json.strip_suffix(',').unwrap();
            serde_json::from_str::<serde_json::Value>(json).unwrap();
            prop_assert_eq!(json.parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
