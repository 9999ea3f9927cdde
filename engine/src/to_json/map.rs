//! Maps. In: the entries of one map, as they come. Out: an object. Always: each key is written once, with its last value, at the
//! place of that; by option the keys are sorted; neither takes memory of its own or more than `n log n` steps.

use std::cmp::Ordering;
use std::ops::Range;

use super::message::{Content, accepts};
use super::value::Written;
use super::{Converter, Stopped, noted};
use crate::error::Error;
use crate::json::Text;
use crate::plan::{FieldPlan, Kind, MessagePlan};
use crate::wire::read::{LEN, Reader, Word, unzigzag32, unzigzag64};

/// One entry of a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapEntry {
    /// Ordered as the key is: a number with its sign bit turned, a bool, or the stretch of a string, start in the upper half.
    key: u64,
    value: ValueAt,
    /// How many entries came before. Below 2^32, as the length of the wire is.
    position: u32,
}

/// Where the value of an entry is.
#[derive(Clone, Copy, Debug)]
enum ValueAt {
    /// Nowhere: it is the default (SEMANTICS 98).
    Missing {
        start: u32,
    },
    Once {
        start: u32,
        end: u32,
    },
    /// In several pieces in this entry, which nobody writes but protobuf allows.
    Pieces {
        start: u32,
        end: u32,
    },
}

/// The lowest key of a signed kind becomes zero.
const SIGN: u64 = 1 << 63;

/// Up to this many entries, each pair of keys is compared.
const PAIRED_COUNT_MAX: usize = 8;

impl<'c> Converter<'c> {
    /// Reads one entry of a map and puts it on the stack, unless its value is unknown to a closed enum.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "convert has checked that the wire is shorter than 2^32"
    )]
    pub(super) fn read_map_entry(
        &mut self,
        plan: &'c MessagePlan,
        range: Range<usize>,
        depth: u32,
    ) -> Result<(), Stopped> {
        let [key_field, value_field] = &*plan.fields else {
            return Ok(());
        };
        let is_message = matches!(value_field.kind, Kind::Message(_) | Kind::Group(_));
        let mut key = default_key(key_field.kind);
        let mut value = ValueAt::Missing {
            start: range.start as u32,
        };
        let mut is_unknown = false;
        let mut reader = Reader::new(self.wire, range.clone());
        while !reader.is_at_end() {
            let (number, wire_type) = self.noted(reader.tag())?;
            if number == 1 && accepts(key_field, wire_type) {
                key = self.noted(read_key(key_field.kind, &mut reader))?;
                continue;
            }
            let at = reader.clone();
            self.noted(reader.skip(number, wire_type, depth))?;
            if number != 2 || !accepts(value_field, wire_type) {
                continue;
            }
            // The rest is read all the same: an entry that is not printed must still be one.
            is_unknown = self.is_unknown_enum(value_field.kind, &at)?;
            value = match value {
                ValueAt::Once { .. } | ValueAt::Pieces { .. } if is_message => ValueAt::Pieces {
                    start: range.start as u32,
                    end: range.end as u32,
                },
                _ => ValueAt::Once {
                    start: at.offset() as u32,
                    end: reader.offset() as u32,
                },
            };
        }
        // SEMANTICS 102
        if is_unknown {
            return Ok(());
        }
        let position = self.scratch.map_entries.len() as u32;
        self.scratch.map_entries.push(MapEntry {
            key,
            value,
            position,
        });
        Ok(())
    }

    /// [`Converter::read_map_entry`] for a string and a value with a length, both there and nothing else. False if it is another one,
    /// and not read.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "convert has checked that the wire is shorter than 2^32"
    )]
    pub(super) fn read_plain_entry(&mut self, plan: &MessagePlan, range: Range<usize>) -> bool {
        let [key_field, value_field] = &*plan.fields else {
            return false;
        };
        let (key_tag, value_tag) = (&key_field.tag_pattern, &value_field.tag_pattern);
        let word = Word::at(self.wire, range.start);
        if key_field.kind != Kind::String
            || value_field.kind.wire_type() != LEN
            || !word.is(key_tag)
        {
            return false;
        }
        let Some(key) = word.delimited_behind(key_tag, range.start, range.end) else {
            return false;
        };
        let word = Word::at(self.wire, key.end);
        if !word.is(value_tag)
            || word
                .delimited_behind(value_tag, key.end, range.end)
                .is_none_or(|value| value.end != range.end)
        {
            return false;
        }
        let position = self.scratch.map_entries.len() as u32;
        self.scratch.map_entries.push(MapEntry {
            key: string_key(key.clone()),
            value: ValueAt::Once {
                start: key.end.wrapping_add(value_tag.len()) as u32,
                end: range.end as u32,
            },
            position,
        });
        true
    }

    /// Writes the entries of the stack from `base` on as an object and takes them off.
    pub(super) fn map(
        &mut self,
        plan: &'c MessagePlan,
        base: usize,
        depth: u32,
    ) -> Result<Written, Stopped> {
        let [key_field, value_field] = &*plan.fields else {
            return Ok(Written::Nothing);
        };
        self.settle(key_field.kind, base);
        self.write(|slot| slot.open(b'{'));
        let end = self.scratch.map_entries.len();
        if key_field.kind == Kind::String && value_field.kind == Kind::String {
            self.string_entries(base)?;
        } else {
            for at in base..end {
                let Some(&entry) = self.scratch.map_entries.get(at) else {
                    break;
                };
                self.write_key(key_field.kind, entry.key)?;
                self.map_value(plan, value_field, entry.value, depth)?;
            }
        }
        self.close(b'}');
        self.scratch.map_entries.truncate(base);
        Ok(if end == base {
            Written::Nothing
        } else {
            Written::Value
        })
    }

    /// Leaves the last entry of each key, in the order in which they are to be written.
    fn settle(&mut self, kind: Kind, base: usize) {
        let wire = self.wire;
        let sorts_map_keys = self.plan.options.sort_map_keys;
        let compare =
            |left: &MapEntry, right: &MapEntry| compare_keys(wire, kind, left.key, right.key);
        let entries = self.scratch.map_entries.get_mut(base..).unwrap_or_default();
        // Sorted and without a pair: how encoders that sort write, and maps of one entry.
        if entries.is_sorted_by(|left, right| compare(left, right) == Ordering::Less) {
            return;
        }
        if !sorts_map_keys && entries.len() <= PAIRED_COUNT_MAX {
            let has_pair = entries.iter().enumerate().any(|(index, entry)| {
                let before = entries.iter().take(index);
                before
                    .into_iter()
                    .any(|other| compare(entry, other) == Ordering::Equal)
            });
            if !has_pair {
                return;
            }
        }
        entries.sort_unstable_by(|left, right| {
            compare(left, right).then(left.position.cmp(&right.position))
        });
        let kept = keep_last_of_equals(entries, |left, right| {
            compare(left, right) == Ordering::Equal
        });
        self.scratch.map_entries.truncate(base + kept);
        if !sorts_map_keys {
            let entries = self.scratch.map_entries.get_mut(base..).unwrap_or_default();
            entries.sort_unstable_by_key(|entry| entry.position);
        }
    }

    /// Writes the entries of the stack from `base` on, whose keys are strings and whose values are too.
    #[inline(never)]
    fn string_entries(&mut self, base: usize) -> Result<(), Stopped> {
        let wire = self.wire;
        let mut text = Text::new(self.out);
        for at in base..self.scratch.map_entries.len() {
            let Some(entry) = self.scratch.map_entries.get(at) else {
                break;
            };
            let key = stretch(entry.key);
            let key_source = wire.get(key.start..).unwrap_or_default();
            let (source, len) = match entry.value {
                ValueAt::Once { start, end } => {
                    let mut reader = Reader::new(wire, start as usize..end as usize);
                    noted(reader.source(), &mut self.stop)?
                }
                // SEMANTICS 98. Only messages come in pieces.
                ValueAt::Missing { .. } | ValueAt::Pieces { .. } => (&[][..], 0),
            };
            let is_high = text.slot().string(key_source, key.len());
            text.turn_comma_to_colon();
            if is_high | text.slot().string(source, len) {
                text.end();
                self.note_high(key_source, key.len())?;
                self.note_high(source, len)?;
                text = Text::new(self.out);
            }
        }
        text.end();
        Ok(())
    }

    /// Writes a key and its colon; all keys of JSON are strings.
    fn write_key(&mut self, kind: Kind, key: u64) -> Result<(), Stopped> {
        match kind {
            Kind::String => self.string_at(None, stretch(key))?,
            Kind::Bool if key == 0 => self.out.extend_from_slice(b"\"false\","),
            Kind::Bool => self.out.extend_from_slice(b"\"true\","),
            _ if is_signed(kind) => {
                self.write(|slot| slot.int64((key ^ SIGN).cast_signed(), true));
            }
            _ => self.write(|slot| slot.uint64(key, true)),
        }
        // What was written as a value is a key.
        if let Some(comma) = self.out.last_mut() {
            *comma = b':';
        }
        Ok(())
    }

    fn map_value(
        &mut self,
        plan: &'c MessagePlan,
        field: &'c FieldPlan,
        value: ValueAt,
        depth: u32,
    ) -> Result<(), Stopped> {
        match value {
            ValueAt::Missing { start } => self.default_value(field, start as usize, depth),
            ValueAt::Once { start, end } => {
                let mut reader = Reader::new(self.wire, start as usize..end as usize);
                self.value(None, field, &mut reader, depth).map(drop)
            }
            ValueAt::Pieces { start, end } => {
                let base = self.scratch.entries.len();
                self.collect(plan, Content::Whole { start, end }, None, depth)?;
                // The key, or keys, come first.
                let first = self.end_of_run(base, 0);
                let end = self.end_of_run(first, 1);
                self.run(field, first, end, depth)?;
                self.scratch.entries.truncate(base);
                Ok(())
            }
        }
    }
}

/// Moves the last of each run of equals to the front and says how many there are.
#[expect(
    clippy::indexing_slicing,
    reason = "kept <= index < entries.len(), and kept - 1 only where kept is not zero"
)]
fn keep_last_of_equals(
    entries: &mut [MapEntry],
    is_equal: impl Fn(&MapEntry, &MapEntry) -> bool,
) -> usize {
    let mut kept = 0;
    for index in 0..entries.len() {
        if kept > 0 && is_equal(&entries[kept - 1], &entries[index]) {
            kept -= 1;
        }
        entries[kept] = entries[index];
        kept += 1;
    }
    kept
}

const fn is_signed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64
    )
}

const fn default_key(kind: Kind) -> u64 {
    if is_signed(kind) { SIGN } else { 0 }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts a varint to the width of its field"
)]
fn read_key(kind: Kind, reader: &mut Reader<'_>) -> Result<u64, Error> {
    let signed = |value: i64| value.cast_unsigned() ^ SIGN;
    Ok(match kind {
        Kind::String => {
            let range = reader.delimited()?;
            string_key(range)
        }
        Kind::Bool => u64::from(reader.varint()? != 0),
        Kind::Int32 => signed(i64::from(reader.varint()? as i32)),
        Kind::Sint32 => signed(i64::from(unzigzag32(reader.varint()? as u32))),
        Kind::Sfixed32 => signed(i64::from(reader.fixed32()?.cast_signed())),
        Kind::Int64 => signed(reader.varint()?.cast_signed()),
        Kind::Sint64 => signed(unzigzag64(reader.varint()?)),
        Kind::Sfixed64 => signed(reader.fixed64()?.cast_signed()),
        Kind::Uint32 => u64::from(reader.varint()? as u32),
        Kind::Fixed32 => u64::from(reader.fixed32()?),
        Kind::Fixed64 => reader.fixed64()?,
        // No other kind can be a key but uint64.
        _ => reader.varint()?,
    })
}

fn compare_keys(wire: &[u8], kind: Kind, left: u64, right: u64) -> Ordering {
    if kind != Kind::String {
        return left.cmp(&right);
    }
    let [left, right] = [left, right].map(stretch);
    // The first eight bytes tell most keys apart. What stands behind a shorter key does not count.
    let len = left.len().min(right.len());
    let [first, second] = [&left, &right].map(|range| Word::at(wire, range.start).big_endian());
    let same_len = (first ^ second).leading_zeros() / 8;
    if (same_len as usize) < len.min(8) {
        return first.cmp(&second);
    }
    let bytes = |range| wire.get(range).unwrap_or_default();
    bytes(left).cmp(bytes(right))
}

/// The key of an entry whose string is there.
const fn string_key(range: Range<usize>) -> u64 {
    (range.start as u64) << 32 | range.end as u64
}

/// Where the bytes of a string key are.
const fn stretch(key: u64) -> Range<usize> {
    (key >> 32) as usize..(key & 0xffff_ffff) as usize
}
