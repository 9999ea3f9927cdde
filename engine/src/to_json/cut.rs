//! Messages that are cut by the border of what has arrived, and long. In: bytes of such a message. Out: its fields, one by one.
//! Always: no recursion; a field that is whole goes to the converter as it stands; what is written is never taken back.
//!
//! ```text
//! field 1, field 2, field 4 {field 1, field 4 {field 1, fie▏the rest has not come
//! ▲                          ▲                 ▲        ▲
//! frame of the root          frame             frame    carried over
//! ```

use super::message::accepts;
use super::pieces::{Memory, Needs, State};
use super::value::Written;
use super::{Converter, Stop, Stopped};
use crate::error::{Error, ErrorKind};
use crate::limits::DEPTH_MAX;
use crate::plan::{Cardinality, FieldIndex, FieldPlan, Form, Kind, MessageIndex, MessagePlan};
use crate::wire::read::{LEN, Reader, START_GROUP};

/// The end of a message whose length is not known yet.
const UNKNOWN: usize = usize::MAX;

/// A message or list that is open. Offsets count from the start of the message at the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    place: Place,
    end: usize,
    /// Where its length stands.
    len_offset: usize,
}

/// What is open.
#[derive(Clone, Copy, Debug)]
enum Place {
    Message {
        message: MessageIndex,
        /// Where its bits begin.
        written: usize,
        /// The list whose closing bracket has not been written.
        list: Option<FieldIndex>,
    },
    /// A packed list of the message below.
    Packed(FieldIndex),
    /// A value that nobody wants.
    Skipped,
}

/// The message whose fields are read.
#[derive(Clone, Copy)]
struct Open<'c> {
    plan: &'c MessagePlan,
    /// Index of its frame.
    frame: usize,
    written: usize,
    list: Option<FieldIndex>,
    end: usize,
}

/// A field that has come: its tag has been read.
#[derive(Clone, Copy)]
struct Coming<'c> {
    index: FieldIndex,
    field: &'c FieldPlan,
    wire_type: u8,
    /// Where its tag is.
    tag_at: usize,
}

/// One stretch of the message. Offsets named `at` count from its start.
pub(super) struct Walk<'c, 'm> {
    pub(super) converter: Converter<'c>,
    pub(super) memory: &'m mut Memory,
    /// Offset of the stretch in the message.
    pub(super) base: usize,
    pub(super) held_len_max: usize,
    /// Bytes that have been done with.
    pub(super) at: usize,
    /// What must be there, from `at` on, before anything more can be done.
    pub(super) needs: Needs,
    pub(super) state: State,
    /// See `Pieces::look_count`.
    #[cfg(test)]
    pub(super) look_count: usize,
}

impl<'c> Walk<'c, '_> {
    /// Converts as far as the stretch goes. Begins with the message `root`, if there is one; ends at `total`, if that is known. Offsets of
    /// errors count from the start of the stretch.
    pub(super) fn run(
        &mut self,
        root: Option<MessageIndex>,
        total: Option<usize>,
    ) -> Result<(), Error> {
        if let Some(root) = root {
            self.open_message(root, UNKNOWN, 0, 0)?;
        }
        if let Some(total) = total {
            self.end_at(total)?;
        }
        while let Some(&frame) = self.memory.frames.last() {
            let is_further = match frame.place {
                _ if self.base + self.at == frame.end => {
                    self.close(frame);
                    true
                }
                Place::Message {
                    message,
                    written,
                    list,
                } => {
                    let open = Open {
                        plan: self.converter.plan.message(message),
                        frame: self.memory.frames.len() - 1,
                        written,
                        list,
                        end: frame.end,
                    };
                    self.field(open)?
                }
                Place::Packed(field) => self.packed(field, frame.end)?,
                Place::Skipped => {
                    self.at = self.reader(frame.end).end();
                    self.base + self.at == frame.end
                }
            };
            if !is_further {
                break;
            }
        }
        Ok(())
    }

    /// Ends the message at the root, and refuses what reaches beyond.
    fn end_at(&mut self, total: usize) -> Result<(), Error> {
        if let Some(frame) = self.memory.frames.get(1)
            && frame.end > total
        {
            let fault = Error::reply(ErrorKind::WireTruncated, frame.len_offset);
            return Err(fault.moved_back_by(self.base));
        }
        if let Some(root) = self.memory.frames.first_mut() {
            root.end = total;
        }
        Ok(())
    }

    /// A reader of what there is of the innermost frame, which ends at `end`.
    fn reader(&self, end: usize) -> Reader<'c> {
        let len = self.converter.wire.len();
        let end = end.saturating_sub(self.base).min(len);
        Reader::new(self.converter.wire, self.at..end)
    }

    /// Whether more of the innermost frame, which ends at `end`, is to come.
    fn is_open(&self, end: usize) -> bool {
        end > self.base + self.converter.wire.len()
    }

    /// `fault`, unless it may be that something is still to come.
    fn unless_cut(&self, fault: Error, end: usize) -> Result<bool, Error> {
        if fault.kind == ErrorKind::WireTruncated && self.is_open(end) {
            return Ok(false);
        }
        Err(fault)
    }

    /// Reads the next field of a message. False if it is not whole.
    fn field(&mut self, open: Open<'c>) -> Result<bool, Error> {
        #[cfg(test)]
        {
            self.look_count += 1;
        }
        let mut reader = self.reader(open.end);
        let (number, wire_type) = match reader.tag() {
            Ok(tag) => tag,
            Err(fault) => return self.unless_cut(fault, open.end),
        };
        let coming = match open.plan.numbers.find(number) {
            Some(index) => Some(Coming {
                index,
                field: open.plan.field(index),
                wire_type,
                tag_at: self.at,
            }),
            None => None,
        }
        // SEMANTICS 107.
        .filter(|coming| accepts(coming.field, wire_type));
        let value = reader.clone();
        let skipped = match wire_type {
            LEN => return self.delimited(open, coming, reader),
            _ => reader.skip(number, wire_type, self.state.depth),
        };
        match skipped {
            // A group says how long it is by its end only. To look for that again when there is twice as much is a bounded number of looks at
            // each byte.
            Err(_) if wire_type == START_GROUP && self.is_open(open.end) => {
                #[cfg(test)]
                {
                    self.look_count += self.converter.wire.len() - self.at;
                }
                self.needs = Needs::Bytes(2 * (self.converter.wire.len() - self.at));
                return Ok(false);
            }
            Err(fault) => return self.unless_cut(fault, open.end),
            Ok(()) => {}
        }
        self.at = reader.offset();
        if let Some(coming) = coming {
            self.whole(open, coming, &value, reader.offset())?;
            self.more_elements(open, coming)?;
        }
        Ok(true)
    }

    /// Reads a field whose length comes next.
    fn delimited(
        &mut self,
        open: Open<'c>,
        coming: Option<Coming<'c>>,
        mut reader: Reader<'c>,
    ) -> Result<bool, Error> {
        let value = reader.clone();
        let len_at = value.offset();
        let len = match reader.varint() {
            Ok(len) => len,
            Err(fault) => return self.unless_cut(fault, open.end),
        };
        let content_at = reader.offset();
        let content_len = usize::try_from(len).unwrap_or(UNKNOWN);
        let end = content_len.saturating_add(self.base + content_at);
        // No message is longer than what 32 bits can count.
        if end > open.end || u32::try_from(end).is_err() {
            return Err(Error::reply(ErrorKind::WireTruncated, len_at));
        }
        let is_whole = end - self.base <= self.converter.wire.len();
        let Some(coming) = coming else {
            self.at = content_at;
            self.push(Place::Skipped, end, len_at);
            return Ok(true);
        };
        if coming.field.cardinality == Cardinality::Map {
            return self.map(open, coming, &value);
        }
        if is_whole {
            self.at = end - self.base;
            self.whole(open, coming, &value, end - self.base)?;
            self.more_elements(open, coming)?;
            return Ok(true);
        }
        if content_len > self.held_len_max {
            match coming.field.kind {
                Kind::Message(index) if has_frames(self.converter.plan.message(index)) => {
                    self.refuse_again(open, coming)?;
                    self.write_start(open, coming);
                    self.mark(open, coming);
                    self.open_message(index, end, len_at, content_at)?;
                    self.at = content_at;
                    return Ok(true);
                }
                kind if kind.wire_type() != LEN => {
                    self.refuse_again(open, coming)?;
                    self.at = content_at;
                    self.push(Place::Packed(coming.index), end, len_at);
                    return Ok(true);
                }
                _ => {}
            }
        }
        self.needs = Needs::Bytes(end - self.base - self.at);
        Ok(false)
    }

    /// Writes a field that is whole and no map. `value` stands behind its tag, `end_at` is where it ends.
    fn whole(
        &mut self,
        open: Open<'c>,
        coming: Coming<'c>,
        value: &Reader<'c>,
        end_at: usize,
    ) -> Result<(), Error> {
        let field = coming.field;
        let is_singular = field.cardinality == Cardinality::Singular;
        if is_singular {
            // SEMANTICS 102: it is an unknown field.
            let is_unknown = self.converter.is_unknown_enum(field.kind, value);
            if self.reason(is_unknown)? {
                return Ok(());
            }
            self.refuse_again(open, coming)?;
        }
        let start = self.converter.out.len();
        self.write_start(open, coming);
        let content_start = self.converter.out.len();
        let depth = self.state.depth;
        let written = self.carefully(coming.tag_at..end_at, |converter| {
            let mut value = value.clone();
            if is_singular || coming.wire_type == field.kind.wire_type() {
                converter.check_len(value.offset())?;
                return converter.last_value(field, &mut value, depth);
            }
            converter.packed(field, &mut value)?;
            Ok(converter.end_elements(content_start))
        })?;
        match written {
            // It leaves no trace.
            Written::Nothing => self.converter.out.truncate(start),
            Written::Default if is_singular && !field.has_presence => {
                self.converter.out.truncate(start);
                self.write_default(open, coming);
            }
            _ => {
                self.refuse_again(open, coming)?;
                self.mark(open, coming);
            }
        }
        Ok(())
    }

    /// Writes the elements that follow the one that has come, and are whole.
    fn more_elements(&mut self, open: Open<'c>, coming: Coming<'c>) -> Result<(), Error> {
        let field = coming.field;
        let is_open = self.memory.frames.get(open.frame).is_some_and(
            |frame| matches!(frame.place, Place::Message { list, .. } if list == Some(coming.index)),
        );
        if !is_open || coming.wire_type != field.kind.wire_type() {
            return Ok(());
        }
        let tag = field.element_tag.as_bytes();
        let mut reader = self.reader(open.end);
        let depth = self.state.depth;
        while reader.take_bytes(tag) {
            let value = reader.clone();
            // What is cut, or at fault, is left to be looked at.
            if reader.skip(field.number, coming.wire_type, depth).is_err() {
                break;
            }
            let start = self.converter.out.len();
            self.converter.out.push(b',');
            let written = self.carefully(self.at..reader.offset(), |converter| {
                converter.check_len(value.offset())?;
                converter.last_value(field, &mut value.clone(), depth)
            })?;
            if written == Written::Nothing {
                self.converter.out.truncate(start);
            }
            self.at = reader.offset();
        }
        Ok(())
    }

    /// Writes a field that has its default value and no presence: as if it were unset.
    fn write_default(&mut self, open: Open<'c>, coming: Coming<'c>) {
        if !coming.field.unset.is_empty() {
            self.end_list(open);
            self.comma();
            self.write_unset(coming.field);
            self.mark(open, coming);
        }
    }

    /// Writes what stands for an unset field, without the comma behind it.
    fn write_unset(&mut self, field: &FieldPlan) {
        let text = field.unset.as_bytes();
        let text = text.strip_suffix(b",").unwrap_or(text);
        self.converter.out.extend_from_slice(text);
    }

    /// Writes what stands before a value or an element.
    fn write_start(&mut self, open: Open<'c>, coming: Coming<'c>) {
        if open.list == Some(coming.index) {
            return self.comma();
        }
        self.end_list(open);
        self.comma();
        self.converter.out.extend_from_slice(&coming.field.key);
        if coming.field.cardinality != Cardinality::Singular
            && coming.field.cardinality != Cardinality::Map
        {
            self.converter.out.push(b'[');
        }
    }

    fn end_list(&mut self, open: Open<'c>) {
        if open.list.is_some() {
            self.converter.out.push(b']');
        }
    }

    fn comma(&mut self) {
        if self.state.needs_comma {
            self.converter.out.push(b',');
        }
    }

    /// Refuses a field that has been written, unless it is the list that is open, and a second member of a oneof.
    fn refuse_again(&self, open: Open<'c>, coming: Coming<'c>) -> Result<(), Error> {
        let is_again = open.list != Some(coming.index)
            && (self.is_written(open.written, usize::from(coming.index.0))
                || oneof_bit(open, coming).is_some_and(|bit| self.is_written(open.written, bit)));
        if is_again {
            return Err(Error::reply(ErrorKind::WireOrder, coming.tag_at));
        }
        Ok(())
    }

    /// Notes that a field has been written, or an element of it.
    fn mark(&mut self, open: Open<'c>, coming: Coming<'c>) {
        if open.list != Some(coming.index) {
            self.set_written(open.written, usize::from(coming.index.0));
            if let Some(bit) = oneof_bit(open, coming) {
                self.set_written(open.written, bit);
            }
            let is_list = matches!(
                coming.field.cardinality,
                Cardinality::Repeated | Cardinality::Packed
            );
            if let Some(Frame {
                place: Place::Message { list, .. },
                ..
            }) = self.memory.frames.get_mut(open.frame)
            {
                *list = is_list.then_some(coming.index);
            }
        }
        self.state.needs_comma = true;
    }

    fn is_written(&self, written: usize, bit: usize) -> bool {
        let word = self.memory.written.get(written + bit / 64);
        word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn set_written(&mut self, written: usize, bit: usize) {
        if let Some(word) = self.memory.written.get_mut(written + bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Writes a map once all entries that follow one another have come. `value` stands behind the tag of the first.
    fn map(
        &mut self,
        open: Open<'c>,
        coming: Coming<'c>,
        value: &Reader<'c>,
    ) -> Result<bool, Error> {
        let tag = coming.field.tag.as_bytes();
        let mut reader = value.clone();
        let known_end = self.state.map_end.saturating_sub(self.base);
        if known_end > self.at {
            reader = Reader::new(self.converter.wire, known_end..reader.end());
        } else if let Err(fault) = reader.delimited() {
            return self.map_cut(fault, open, reader);
        }
        loop {
            #[cfg(test)]
            {
                self.look_count += 1;
            }
            self.state.map_end = self.base + reader.offset();
            if self.is_open(open.end) && tag.starts_with(reader.rest_up_to(tag.len())) {
                // Whether another entry follows is not known yet.
                if reader.rest_up_to(tag.len()).len() < tag.len() {
                    self.needs = Needs::More;
                    return Ok(false);
                }
            }
            if !reader.take_bytes(tag) {
                break;
            }
            if let Err(fault) = reader.delimited() {
                return self.map_cut(fault, open, reader);
            }
        }
        let end_at = reader.offset();
        self.refuse_again(open, coming)?;
        let start = self.converter.out.len();
        self.write_start(open, coming);
        let depth = self.state.depth;
        let entries = Reader::new(self.converter.wire, value.offset()..end_at);
        let written = self.carefully(self.at..end_at, |converter| {
            let written = converter.map_in_order(coming.field, &mut entries.clone(), depth)?;
            converter.out.pop();
            Ok(written)
        })?;
        if written == Written::Nothing {
            self.converter.out.truncate(start);
        } else {
            self.mark(open, coming);
        }
        self.at = end_at;
        self.state.map_end = 0;
        Ok(true)
    }

    /// What to do where an entry cannot be read: wait, if it is cut.
    fn map_cut(
        &mut self,
        fault: Error,
        open: Open<'c>,
        mut reader: Reader<'c>,
    ) -> Result<bool, Error> {
        let len_at = fault_at(fault);
        if !self.unless_cut(fault, open.end)? {
            // The length may be there, or be cut itself.
            reader = Reader::new(self.converter.wire, len_at..reader.end());
            if let Ok(len) = reader.varint() {
                let end = usize::try_from(len)
                    .unwrap_or(UNKNOWN)
                    .saturating_add(self.base + reader.offset());
                if end > open.end || u32::try_from(end).is_err() {
                    return Err(fault);
                }
            }
            self.needs = Needs::More;
        }
        Ok(false)
    }

    /// Writes the elements of a packed list that have come. False if there is no more.
    fn packed(&mut self, index: FieldIndex, end: usize) -> Result<bool, Error> {
        let Some(open) = self.open_below() else {
            return Ok(false);
        };
        let coming = Coming {
            index,
            field: open.plan.field(index),
            wire_type: LEN,
            tag_at: self.at,
        };
        let start = self.converter.out.len();
        self.write_start(open, coming);
        let content_start = self.converter.out.len();
        let mut elements = self.reader(end);
        let mut is_cut = false;
        while !elements.is_at_end() && !is_cut {
            let is_short = self.converter.check_len(elements.offset());
            self.reason(is_short)?;
            let written = self
                .converter
                .lone_scalar(None, coming.field.kind, &mut elements);
            match self.reason(written) {
                Ok(_) => self.at = elements.offset(),
                Err(fault) => is_cut = !self.unless_cut(fault, end)?,
            }
        }
        if self.converter.end_elements(content_start) == Written::Nothing {
            self.converter.out.truncate(start);
        } else {
            self.mark(open, coming);
        }
        Ok(!is_cut && !self.is_open(end))
    }

    /// The message below the innermost frame.
    fn open_below(&self) -> Option<Open<'c>> {
        let frame = self.memory.frames.len().checked_sub(2)?;
        let below = self.memory.frames.get(frame)?;
        let Place::Message {
            message,
            written,
            list,
        } = below.place
        else {
            return None;
        };
        Some(Open {
            plan: self.converter.plan.message(message),
            frame,
            written,
            list,
            end: below.end,
        })
    }

    /// Converts what stands in `range`, once more with everything listed first if its fields are out of order.
    fn carefully(
        &mut self,
        range: std::ops::Range<usize>,
        write: impl Fn(&mut Converter<'c>) -> Result<Written, Stopped>,
    ) -> Result<Written, Error> {
        self.converter.redo_len_left = range.len();
        self.converter.has_high_bits = false;
        let done = self.converter.attempt(write);
        self.converter.is_careful = false;
        self.converter.checks_each_text = false;
        done
    }

    /// Why the converter stopped, if it did. The order of fields is nothing that stops what is asked here.
    fn reason<T>(&self, done: Result<T, Stopped>) -> Result<T, Error> {
        done.map_err(|Stopped| match self.converter.stop {
            Stop::Fault(error) => error,
            Stop::OutOfOrder | Stop::NoText => Error::reply(ErrorKind::WireTag, self.at),
        })
    }

    /// Opens a message whose key has been written, and whose content begins at `content_at`.
    fn open_message(
        &mut self,
        index: MessageIndex,
        end: usize,
        len_at: usize,
        content_at: usize,
    ) -> Result<(), Error> {
        // SEMANTICS 96
        if self.state.depth >= DEPTH_MAX {
            return Err(Error::reply(ErrorKind::WireTooDeep, content_at));
        }
        let is_short = self.converter.check_len(content_at);
        self.reason(is_short)?;
        self.converter.out.push(b'{');
        self.state.depth += 1;
        self.state.needs_comma = false;
        let plan = self.converter.plan.message(index);
        let bit_count = plan.fields.len() + usize::from(plan.oneof_count);
        let written = self.memory.written.len();
        self.memory
            .written
            .resize(written + bit_count.div_ceil(64), 0);
        let place = Place::Message {
            message: index,
            written,
            list: None,
        };
        self.push(place, end, len_at);
        Ok(())
    }

    fn push(&mut self, place: Place, end: usize, len_at: usize) {
        self.memory.frames.push(Frame {
            place,
            end,
            len_offset: self.base + len_at,
        });
    }

    /// Leaves the innermost frame.
    fn close(&mut self, frame: Frame) {
        self.memory.frames.pop();
        let Place::Message {
            message,
            written,
            list,
        } = frame.place
        else {
            return;
        };
        if list.is_some() {
            self.converter.out.push(b']');
        }
        for (bit, field) in self
            .converter
            .plan
            .message(message)
            .fields
            .iter()
            .enumerate()
        {
            if !field.unset.is_empty() && !self.is_written(written, bit) {
                self.comma();
                self.write_unset(field);
                self.state.needs_comma = true;
            }
        }
        self.converter.out.push(b'}');
        self.memory.written.truncate(written);
        self.state.depth -= 1;
        self.state.needs_comma = true;
    }
}

/// Whether the fields of a message can be written one by one: it has no form of its own, and is no message set.
pub(super) fn has_frames(message: &MessagePlan) -> bool {
    message.form == Form::Object && !message.is_message_set
}

/// The bit of the oneof that the field is a member of.
fn oneof_bit(open: Open<'_>, coming: Coming<'_>) -> Option<usize> {
    let oneof = coming.field.oneof?;
    Some(open.plan.fields.len() + usize::from(oneof))
}

const fn fault_at(fault: Error) -> usize {
    fault.offset as usize
}
