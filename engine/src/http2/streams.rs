//! The streams that are open. In: numbers. Out: what is known of a stream. Always: found by number in one or two looks, since numbers follow
//! each other; memory grows with the most that were open at once, and nothing is allocated below that.

/// How one of our streams stands.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct Stream {
    /// Odd; zero for a place without a stream.
    pub(super) number: u32,
    /// The caller's.
    pub(super) key: u32,
    /// Bytes that we may send; below zero after SETTINGS that took some back.
    pub(super) send_window: i32,
    /// Bytes that the peer may send.
    pub(super) receive_window: u32,
    /// Bytes that the caller has and did not release.
    pub(super) held_len: u32,
    /// Bytes that are released and that the peer was not told of.
    pub(super) untold_len: u32,
    /// What is to come by the content-length; `u64::MAX` if there is none.
    pub(super) content_left: u64,
    pub(super) has_headers: bool,
    /// Whether we have ended our side.
    pub(super) is_sent: bool,
    /// Whether the peer has ended its side.
    pub(super) is_received: bool,
    pub(super) waits: Waits,
    /// Whether it stands in line, be it that it waits for something else by now.
    pub(super) is_in_line: bool,
}

/// What a stream waits for that has more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    No,
    /// For its own window.
    Window,
    /// In line for the connection's window and for room in the output.
    Turn,
}

impl Stream {
    pub(super) const NONE: Self = Self {
        number: 0,
        key: 0,
        send_window: 0,
        receive_window: 0,
        held_len: 0,
        untold_len: 0,
        content_left: u64::MAX,
        has_headers: false,
        is_sent: false,
        is_received: false,
        waits: Waits::No,
        is_in_line: false,
    };
}

/// A hash table whose places are looked at one after the other, from the one that the number names.
#[derive(Debug)]
pub(super) struct Streams {
    /// None or a power of two; more than half of them are free.
    places: Vec<Stream>,
    count: usize,
    /// How many are not in the place that their number names. Mostly none: numbers follow each other.
    astray_count: usize,
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            count: 0,
            astray_count: 0,
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many places there are: what a walk by [`Self::at_place`] goes through.
    pub(super) const fn place_count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn at_place(&mut self, place: usize) -> Option<&mut Stream> {
        self.places
            .get_mut(place)
            .filter(|stream| stream.number != 0)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Stream> {
        let place = self.find(number)?;
        self.places.get_mut(place)
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.find(number).is_some()
    }

    /// Adds a stream whose number is not there yet.
    pub(super) fn insert(&mut self, stream: Stream) {
        if (self.count + 1) * 2 > self.places.len() {
            self.grow();
        }
        self.count += 1;
        self.put(stream);
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Stream> {
        let mut free = self.find(number)?;
        let removed = std::mem::replace(self.places.get_mut(free)?, Stream::NONE);
        self.count -= 1;
        self.astray_count -= usize::from(self.home(number) != free);
        // Those behind it that had to go past its place come nearer to theirs. They need not be looked for among as many as are open together if
        // there are none.
        let mut place = free;
        while self.astray_count > 0 {
            place = self.next(place);
            let other = self.places.get(place).map_or(0, |stream| stream.number);
            if other == 0 {
                return Some(removed);
            }
            let home = self.home(other);
            let mask = self.places.len() - 1;
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(free) & mask {
                self.astray_count -= usize::from(home == free);
                self.places.swap(free, place);
                free = place;
            }
        }
        Some(removed)
    }

    fn find(&self, number: u32) -> Option<usize> {
        if number == 0 || self.places.is_empty() {
            return None;
        }
        let mut place = self.home(number);
        loop {
            // It ends, for some place is free.
            match self.places.get(place)?.number {
                0 => return None,
                other if other == number => return Some(place),
                _ => place = self.next(place),
            }
        }
    }

    /// Where a stream of this number stands if nothing is in its way. Numbers are odd.
    const fn home(&self, number: u32) -> usize {
        (number >> 1) as usize & (self.places.len() - 1)
    }

    const fn next(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn put(&mut self, stream: Stream) {
        let home = self.home(stream.number);
        let mut place = home;
        while let Some(other) = self.places.get_mut(place) {
            if other.number == 0 {
                *other = stream;
                self.astray_count += usize::from(place != home);
                return;
            }
            place = self.next(place);
        }
    }

    fn grow(&mut self) {
        let len = (self.places.len() * 2).max(16);
        let old = std::mem::replace(&mut self.places, vec![Stream::NONE; len]);
        self.astray_count = 0;
        for stream in old.into_iter().filter(|stream| stream.number != 0) {
            self.put(stream);
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map, with numbers that go around the table many times while some stay.
        #[test]
        fn streams_are_found_as_in_a_map(acts in proptest::collection::vec((0..4_u8, any::<u8>(), 1..40_u32), 1..300)) {
            let mut streams = Streams::new();
            let mut expected = BTreeMap::new();
            let mut next = 1;
            for (act, choice, skipped) in acts {
                let nth = usize::from(choice) % expected.len().max(1);
                let chosen = expected.keys().nth(nth).copied();
                match (act, chosen) {
                    (0 | 1, _) => {
                        streams.insert(Stream { number: next, key: !next, ..Stream::NONE });
                        expected.insert(next, !next);
                        // Not all numbers come here: calls that end at once leave gaps.
                        next += 2 * skipped;
                    }
                    (_, Some(number)) => {
                        let key = expected.remove(&number);
                        prop_assert_eq!(streams.remove(number).map(|stream| stream.key), key);
                        prop_assert!(streams.remove(number).is_none());
                    }
                    (_, None) => prop_assert!(streams.remove(next).is_none()),
                }
                prop_assert_eq!(streams.count(), expected.len());
                let is_astray = |place: usize| {
                    let number = streams.places[place].number;
                    number != 0 && streams.home(number) != place
                };
                let astray_count = (0..streams.place_count()).filter(|&place| is_astray(place)).count();
                prop_assert_eq!(streams.astray_count, astray_count);
                for (&number, &key) in &expected {
                    prop_assert_eq!(streams.get_mut(number).map(|stream| stream.key), Some(key));
                }
                let walked = (0..streams.place_count()).filter(|&place| streams.at_place(place).is_some());
                prop_assert_eq!(walked.count(), expected.len());
            }
        }
    }

    #[test]
    fn empty_table_has_nothing() {
        let mut streams = Streams::new();
        assert!(!streams.contains(1));
        assert!(streams.get_mut(0).is_none());
        assert!(streams.remove(1).is_none());
    }
}
