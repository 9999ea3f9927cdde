use proptest::prelude::*;

use super::*;

#[cfg(unix)]
#[path = "../../tests/support/guarded.rs"]
mod guarded;

fn is_stop(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// What [`clean_len`] is to say, looked up byte by byte.
fn plain_clean_len(bytes: &[u8]) -> Clean {
    let run = || bytes.iter().take_while(|&&byte| !is_stop(byte));
    Clean {
        len: run().count(),
        has_high_bit: run().any(|&byte| byte >= 0x80),
    }
}

fn plain_space_len(bytes: &[u8]) -> usize {
    let is_space = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | b'\r');
    bytes.iter().take_while(is_space).count()
}

fn assert_twins_agree(block: &Block) {
    assert_eq!(stops(block), portable::stops(block), "{block:x?}");
    assert_eq!(high(block), portable::high(block), "{block:x?}");
    assert_eq!(
        others_than_digits(block),
        portable::others_than_digits(block),
        "{block:x?}"
    );
    assert_eq!(spaces(block), portable::spaces(block), "{block:x?}");
}

fn assert_runs_agree(bytes: &[u8]) {
    let expected = plain_clean_len(bytes);
    assert_eq!(clean_len(bytes), expected, "{bytes:x?}");
    assert_eq!(clean_len_by_blocks(bytes), expected, "{bytes:x?}");
    assert_eq!(long_clean_len(bytes), expected, "{bytes:x?}");
    assert_eq!(space_len(bytes), plain_space_len(bytes), "{bytes:x?}");
    for copy in [copy_clean, copy_clean_by_blocks] {
        let mut out = b"before".to_vec();
        assert_eq!(copy(bytes, &mut out), expected, "{bytes:x?}");
        let (clean, _) = bytes.split_at(expected.len);
        assert_eq!(out, [b"before", clean].concat());
    }
}

#[test]
fn every_byte_at_every_place_is_judged_alike_by_both_twins() {
    for byte in 0..=255 {
        for at in 0..BLOCK_LEN {
            for other in [b'a', b'5', b' '] {
                let mut block = [other; BLOCK_LEN];
                *block.get_mut(at).unwrap() = byte;
                assert_twins_agree(&block);
            }
        }
    }
}

#[test]
fn a_run_may_end_at_any_place_of_any_length() {
    for len in 0..=256 {
        assert_runs_agree(&vec![b'a'; len]);
        assert_runs_agree(&vec![b' '; len]);
        for at in 0..len {
            for end in [b'"', b'\\', 0x1f, 0xff] {
                let mut bytes = vec![b'a'; len];
                bytes.splice(at..=at, [end]);
                assert_runs_agree(&bytes);
            }
            let mut bytes = vec![b' '; len];
            bytes.splice(at..=at, [b'{']);
            assert_runs_agree(&bytes);
        }
    }
}

/// Texts of this length: all alike, and with something else at one of some places, the last one among them.
#[cfg(unix)]
fn texts_of(len: usize) -> impl Iterator<Item = Vec<u8>> {
    let with = [
        (b'a', b'"'),
        (b'a', 0xc3),
        (b' ', b'{'),
        (b'7', b'.'),
        (b'\\', b'a'),
    ];
    with.into_iter().flat_map(move |(most, one)| {
        let plain = std::iter::once(vec![most; len]);
        let places = (0..len).rev().step_by(13);
        plain.chain(places.map(move |at| {
            let mut text = vec![most; len];
            text.splice(at..=at, [one]);
            text
        }))
    })
}

/// Goal: no kernel reads a byte that it was not given. Method: the byte before and the one behind belong to pages that kill who reads them.
#[cfg(unix)]
#[test]
fn nothing_before_or_behind_a_text_is_read_at_any_length() {
    let mut page = guarded::Guarded::new();
    assert!(page.is_guarded());
    for len in 0..=256 {
        for text in texts_of(len) {
            assert_runs_agree(page.at_end(&text));
            assert_runs_agree(page.at_start(&text));
        }
        let text: Vec<u8> = (1..=u8::MAX).cycle().take(len).collect();
        for place in [guarded::Guarded::at_end, guarded::Guarded::at_start] {
            let text = place(&mut page, &text);
            let padded = Padded::new(text);
            for offset in 0..=len + BLOCK_LEN {
                let block = padded.block(offset);
                let expected = text
                    .iter()
                    .copied()
                    .skip(offset)
                    .chain(std::iter::repeat(0));
                assert!(
                    block.iter().copied().eq(expected.take(BLOCK_LEN)),
                    "{offset} of {len}"
                );
                assert_twins_agree(block);
            }
        }
    }
}

proptest! {
    #[test]
    fn twins_agree_on_any_block(block in any::<Block>()) {
        assert_twins_agree(&block);
    }

    #[test]
    fn runs_agree_on_any_bytes(bytes in proptest::collection::vec(0x1f_u8..=0x81, 0..300)) {
        assert_runs_agree(&bytes);
    }
}

#[test]
fn half_a_block_is_judged_as_the_first_half_of_a_whole_one() {
    for byte in 0..=255 {
        for at in 0..HALF_LEN {
            let mut block = [b' '; BLOCK_LEN];
            if let Some(place) = block.get_mut(at) {
                *place = byte;
            }
            let half = block.first_chunk().unwrap();
            assert_eq!(half_stops(half), stops(&block), "{byte:#x} at {at}");
            assert_eq!(half_high(half), high(&block), "{byte:#x} at {at}");
        }
    }
}
