//! Keys of a map that are there twice. In: where the keys of a map stand in what was written. Out: the first of them that was there before.
//! Always: no memory, and no choice of keys makes it slower than n log n comparisons. Where nobody chose them to be bad, bytes are looked at in the order
//! they were written: among many keys each look at another place waits for memory, which would make a map of 32 MiB cost more a key than one of 1 MiB.

use super::map::EntryKey;

/// Keys of which each is compared with each, since they are few.
const PAIRED_COUNT_MAX: usize = 8;

/// What stands for the length of a key that does not fit the byte for it: it is a string then, and begins with its length.
const LONG: u32 = 0xff;

/// The offset in the text of the first key that was there before. The keys are of no more use then.
#[inline]
pub(super) fn first_repeated(keys: &mut [EntryKey], written: &[u8]) -> Option<u32> {
    if keys.len() < 2 || are_few_and_distinct(keys, written) {
        return None;
    }
    first_of_many(keys, written)
}

fn are_few_and_distinct(keys: &[EntryKey], written: &[u8]) -> bool {
    let has_pair = || {
        keys.iter().enumerate().any(|(index, key)| {
            let mut before = keys.iter().take(index);
            before.any(|other| other.len == key.len && bytes(other, written) == bytes(key, written))
        })
    };
    keys.len() <= PAIRED_COUNT_MAX && !has_pair()
}

/// Equal keys stand side by side once all are sorted by a hash of their bytes; those of one hash are sorted by their bytes.
fn first_of_many(keys: &mut [EntryKey], written: &[u8]) -> Option<u32> {
    if keys.is_sorted_by(|left, right| bytes(left, written) < bytes(right, written)) {
        return None;
    }
    for key in &mut *keys {
        key.len = hash(bytes(key, written)) << 8 | key.len.min(LONG);
    }
    keys.sort_unstable_by_key(|key| key.len);
    let runs = keys.chunk_by_mut(|left, right| left.len == right.len);
    runs.filter(|run| run.len() > 1)
        .filter_map(|run| first_of_run(run, written))
        .min()
}

/// The same among keys of one hash and length.
fn first_of_run(run: &mut [EntryKey], written: &[u8]) -> Option<u32> {
    run.sort_unstable_by(|left, right| {
        let order = marked_bytes(left, written).cmp(marked_bytes(right, written));
        order.then(left.json_offset.cmp(&right.json_offset))
    });
    run.array_windows()
        .filter(|[left, right]| marked_bytes(left, written) == marked_bytes(right, written))
        .map(|[_, right]| right.json_offset)
        .min()
}

fn bytes<'w>(key: &EntryKey, written: &'w [u8]) -> &'w [u8] {
    let start = key.start as usize;
    written
        .get(start..start + key.len as usize)
        .unwrap_or_default()
}

/// The bytes of a key whose length gave way to its hash.
fn marked_bytes<'w>(key: &EntryKey, written: &'w [u8]) -> &'w [u8] {
    let from = written.get(key.start as usize..).unwrap_or_default();
    let len = match key.len & LONG {
        LONG => long_len(from),
        len => len as usize,
    };
    from.get(..len).unwrap_or_default()
}

/// How long a string is with its length, which is a varint (protobuf's encoding, "length-delimited").
fn long_len(from: &[u8]) -> usize {
    let mut len = 0;
    for (index, &byte) in from.iter().take(5).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return len + index + 1;
        }
    }
    0
}

/// Multiply and fold, eight bytes at a time. Whoever makes keys collide makes them be sorted by their bytes.
fn hash(bytes: &[u8]) -> u32 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |state: u64| {
        let product = u128::from(state) * u128::from(SEED);
        // The halves, on top of each other.
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let low = product as u64;
        low ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = SEED;
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word));
    }
    let tail = rest
        .iter()
        .fold(0, |tail, &byte| tail << 8 | u64::from(byte));
    (fold(state ^ tail) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes strings as keys are, with their offsets in a text where each takes one byte more than its length.
    fn written(strings: &[&str]) -> (Vec<EntryKey>, Vec<u8>) {
        let (mut keys, mut out, mut json_offset) = (Vec::new(), Vec::new(), 0);
        for string in strings {
            let start = out.len();
            let mut len = string.len();
            while len >= 0x80 {
                out.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
                len >>= 7;
            }
            out.push(u8::try_from(len).unwrap());
            out.extend_from_slice(string.as_bytes());
            keys.push(EntryKey {
                start: u32::try_from(start).unwrap(),
                len: u32::try_from(out.len() - start).unwrap(),
                json_offset,
            });
            json_offset += u32::try_from(string.len()).unwrap() + 1;
        }
        (keys, out)
    }

    /// Goal: what is found does not depend on how many keys there are, how long they are, or where. Method: a set finds the same.
    #[test]
    fn first_that_was_there_before_is_found_at_each_place() {
        let texts: Vec<String> = (0..400_usize)
            .map(|number| format!("{}{}", number * 7919 % 1009, "x".repeat(number * 31 % 700)))
            .collect();
        for count in [2, 3, 8, 9, 50, 400] {
            for (from, to) in [(0, 0), (0, count - 1), (count / 2, 0), (1, count / 2)] {
                let mut strings: Vec<&str> = texts.iter().map(String::as_str).collect();
                let repeated = strings.get(from).copied().unwrap();
                strings.splice(to..=to, [repeated]);
                strings.truncate(count);
                let mut seen = std::collections::BTreeSet::new();
                let mut offset = 0;
                let mut expected = None;
                for string in &strings {
                    if !seen.insert(*string) && expected.is_none() {
                        expected = Some(offset);
                    }
                    offset += u32::try_from(string.len()).unwrap() + 1;
                }
                let (mut keys, out) = written(&strings);
                assert_eq!(
                    first_repeated(&mut keys, &out),
                    expected,
                    "{count} {from} {to}"
                );
            }
        }
    }

    /// Keys that differ in what the hash does not see are no repetition: the run is compared by its bytes.
    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let (mut keys, out) = written(&["one", "two", "six", "two"]);
        for key in &mut keys {
            key.len |= 7 << 8;
        }
        assert_eq!(first_of_run(&mut keys, &out), Some(12));
        let (mut keys, out) = written(&["one", "two", "six"]);
        for key in &mut keys {
            key.len |= 7 << 8;
        }
        assert_eq!(first_of_run(&mut keys, &out), None);
    }
}
