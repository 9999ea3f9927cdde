//! Values that are cut by the border of what has arrived. In: a stretch of text, and what is known of the brackets that are open at its end.
//! Out: what the values in it become. Always: no recursion; a value that is whole goes to the pass as it stands.
//!
//! If the border is known, every token of the stretch is whole. Each bracket that is open at the border becomes a frame. Where it was opened is known, so that it is told from all others by one
//! comparison:
//!
//! ```text
//! {"name":"a","items":[{"n":1},{"n":2,"tags":["x","y     ▏the rest has not come
//! ▲                   ▲        ▲             ▲
//! frame of a message  a list   a message     a list; "x" is converted, "y is carried over
//! ```

use super::map::OpenEntry;
use super::{Pass, lengths};
use crate::error::{Error, ErrorKind, Expected};
use crate::json::Border;
use crate::plan::{
    Cardinality, FieldIndex, FieldPlan, Form, Kind, MessageIndex, MessagePlan, Plan, Tag,
};
use crate::wire;
use crate::wire::read::END_GROUP;

/// What comes next in the innermost frame, or at the root where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// A value or member, or the closing bracket, since there has been none yet.
    First,
    /// A value or member.
    Value,
    /// A comma or the closing bracket.
    Comma,
    /// The end of the text.
    Nothing,
}

/// An object or array that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    place: Place,
    ending: Ending,
}

/// What is open.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// An object that is a message.
    Message {
        message: MessageIndex,
        /// Where its bits begin in the scratch.
        seen: usize,
        /// Index of the field that most likely comes next.
        predicted: usize,
    },
    /// An array that is a list, with a tag for each element.
    List(FieldAt),
    /// An array that is a list with one tag and length.
    Packed {
        field: FieldAt,
        /// Where its tag is in the output.
        start: usize,
        /// Where its length is.
        length: usize,
    },
    /// An object that is a map.
    Map {
        field: FieldAt,
        /// Where its keys begin in the scratch.
        first_key: usize,
        /// The entry whose value is the next frame.
        entry: Option<OpenEntry>,
    },
    /// An object that nobody wants.
    SkippedObject,
    /// An array that nobody wants.
    SkippedArray,
}

/// A field that is remembered while the plan is not at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldAt {
    message: MessageIndex,
    field: FieldIndex,
}

/// What is to be written when a frame is left.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Nothing,
    /// The length of the message.
    Length(lengths::OpenMessage),
    /// The tag that closes the group with this number.
    Group(u32),
}

/// How a value is gone into whose opening bracket is open at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By a frame.
    In,
    /// Not before it is whole.
    Held,
    /// By the pass, which refuses the bracket.
    Refused,
}

/// What has come of a value or member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Whole,
    /// A frame has been opened.
    Opened,
    /// It is not whole and no frame fits: the cursor stands before it again.
    Held,
}

/// What is known of a stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: what cannot be read may be cut, and is left as it was.
    Trying,
    /// Every token in it is whole, and the border knows which brackets are open at its end.
    Known,
    /// Nothing follows it: what is cut is at fault.
    Last,
}

/// The marks of a member that is being taken.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    seen: usize,
    field: usize,
    oneof: Option<usize>,
}

/// One stretch of the text.
pub(super) struct Walk<'p, 'j, 's> {
    /// Its offsets count from the start of the stretch.
    pub(super) pass: Pass<'p, 'j, 's>,
    /// The text.
    pub(super) stretch: &'j [u8],
    pub(super) frames: &'s mut Vec<Frame>,
    /// Its offsets count from the start of the text.
    pub(super) border: &'s Border,
    /// Offset of the stretch in the text.
    pub(super) base: usize,
    pub(super) mode: Mode,
    pub(super) root: MessageIndex,
    pub(super) expects: Expects,
    /// See `Pieces::held`.
    pub(super) held: Option<(u32, usize)>,
    /// What the member that is being taken marks once it is.
    pub(super) claim: Option<Claim>,
}

impl<'p> Walk<'p, '_, '_> {
    /// Converts until the stretch or the text ends, or comes to a value that has to be whole. Offsets of errors count from the start of the
    /// stretch.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        while self.expects != Expects::Nothing {
            // The end of the stretch is the end of the text only if nothing follows.
            if self.pass.json.peek().is_none() && self.mode != Mode::Last {
                return Ok(());
            }
            let frame = self.frames.last().copied();
            let bracket = frame.map_or(b' ', |frame| frame.place.closing_bracket());
            if self.expects == Expects::First && self.pass.json.close_if(bracket) {
                self.close()?;
            } else if self.expects != Expects::Comma {
                match self.next(frame)? {
                    Taken::Opened => self.expects = Expects::First,
                    Taken::Held => return Ok(()),
                    Taken::Whole if frame.is_none() => self.end()?,
                    Taken::Whole => self.expects = Expects::Comma,
                }
            } else if self.pass.json.comma_or(bracket)? {
                self.expects = Expects::Value;
            } else {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Takes the next value or member; if that is only tried, and fails, all is as before.
    fn next(&mut self, frame: Option<Frame>) -> Result<Taken, Error> {
        if self.mode != Mode::Trying {
            let taken = self.value(frame);
            self.settle();
            return taken;
        }
        match frame.map(|frame| frame.place) {
            Some(Place::List(field)) => return Ok(self.try_elements(field)),
            Some(Place::Packed { field, .. }) => return Ok(self.try_packed(field)),
            Some(Place::Map { field, .. }) => return Ok(self.try_entries(field)),
            _ => {}
        }
        let before = self.before();
        let taken = self.value(frame);
        if taken.is_err() || self.may_go_on() {
            self.undo(&before);
            return Ok(Taken::Held);
        }
        self.settle();
        taken
    }

    /// Marks the member that has been taken.
    #[inline]
    fn settle(&mut self) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        self.mark(claim.seen, claim.field);
        if let Some(oneof) = claim.oneof {
            self.mark(claim.seen, oneof);
        }
    }

    fn is_marked(&self, seen: usize, bit: usize) -> bool {
        let word = self.pass.seen.get(seen + bit / 64);
        word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn mark(&mut self, seen: usize, bit: usize) {
        if let Some(word) = self.pass.seen.get_mut(seen + bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Takes the value at the root.
    fn root(&mut self) -> Result<Taken, Error> {
        if let Some(bracket) = self.cut() {
            match way_into_message(self.pass.plan, self.root, bracket) {
                Way::In => {
                    self.open_object(self.root, Ending::Nothing)?;
                    return Ok(Taken::Opened);
                }
                Way::Held => return Ok(self.hold()),
                Way::Refused => {}
            }
        }
        self.pass.message(self.root)?;
        Ok(Taken::Whole)
    }

    /// Ends the text behind the value at the root.
    fn end(&mut self) -> Result<(), Error> {
        if self.mode != Mode::Trying {
            self.pass.json.end()?;
        }
        self.pass.place_lengths();
        self.expects = Expects::Nothing;
        Ok(())
    }

    /// Takes the next value or member of the innermost frame, or the root.
    fn value(&mut self, frame: Option<Frame>) -> Result<Taken, Error> {
        let Some(frame) = frame else {
            return self.root();
        };
        match frame.place {
            Place::Message {
                message,
                seen,
                predicted,
            } => self.member(message, seen, predicted),
            Place::List(field) | Place::Packed { field, .. } => self.element(field),
            Place::Map { field, .. } => self.entry(field),
            Place::SkippedObject => {
                self.skip_key()?;
                self.skipped_value()
            }
            Place::SkippedArray => self.skipped_value(),
        }
    }

    /// Takes a member of an object that is a message.
    fn member(
        &mut self,
        index: MessageIndex,
        seen: usize,
        predicted: usize,
    ) -> Result<Taken, Error> {
        let message: &'p MessagePlan = self.pass.plan.message(index);
        self.pass.json.peek();
        let key_offset = self.pass.json.offset();
        let Some(at) = self.member_key(message, predicted)? else {
            return self.unknown_member(key_offset);
        };
        let Some(field) = message.fields.get(at) else {
            return Ok(Taken::Whole);
        };
        let bracket = self.cut();
        let way = bracket.map_or(Way::Refused, |bracket| {
            way_into_field(self.pass.plan, field, bracket)
        });
        if way == Way::Held {
            let taken = self.hold();
            self.pass.json.back_to(key_offset);
            return Ok(taken);
        }
        if let Some(Frame {
            place: Place::Message { predicted, .. },
            ..
        }) = self.frames.last_mut()
        {
            *predicted = at + 1;
        }
        // SEMANTICS 77.
        if self.is_marked(seen, at) {
            return Err(Error::body(ErrorKind::DuplicateField, key_offset));
        }
        let is_unset = self.pass.is_unset(field)?;
        let oneof = field.oneof.filter(|_| !is_unset);
        let oneof = oneof.map(|oneof| message.fields.len() + usize::from(oneof));
        // SEMANTICS 86.
        if oneof.is_some_and(|oneof| self.is_marked(seen, oneof)) {
            return Err(Error::body(ErrorKind::OneofConflict, key_offset));
        }
        self.claim = Some(Claim {
            seen,
            field: at,
            oneof,
        });
        if way == Way::Refused {
            if !is_unset {
                self.pass.field(field)?;
            }
            return Ok(Taken::Whole);
        }
        let at = FieldAt {
            message: index,
            field: field_index(at),
        };
        self.open_field(at, field)?;
        Ok(Taken::Opened)
    }

    /// Takes a key and its colon, and tells which field it means.
    fn member_key(
        &mut self,
        message: &MessagePlan,
        predicted: usize,
    ) -> Result<Option<usize>, Error> {
        let at = self.pass.json.offset();
        if let Some(field) = message.fields.get(predicted)
            && field.key_head.begins(self.pass.json.block(at))
        {
            self.pass.json.move_to(at + field.key.len());
            return Ok(Some(predicted));
        }
        let key = self.pass.json.key()?;
        let name = key.decoded(self.pass.text)?;
        Ok(message.find_field(name).map(|index| usize::from(index.0)))
    }

    fn unknown_member(&mut self, key_offset: usize) -> Result<Taken, Error> {
        if self.cut().is_some() && !self.pass.plan.options.reject_unknown_fields {
            return self.skipped_value();
        }
        self.pass.unknown_member(key_offset)?;
        Ok(Taken::Whole)
    }

    fn skip_key(&mut self) -> Result<(), Error> {
        self.pass.json.key()?.check()
    }

    fn skipped_value(&mut self) -> Result<Taken, Error> {
        let Some(bracket) = self.cut() else {
            self.pass.json.skip_value(self.pass.depth)?;
            return Ok(Taken::Whole);
        };
        self.pass.open(bracket, Expected::Value)?;
        let place = if bracket == b'{' {
            Place::SkippedObject
        } else {
            Place::SkippedArray
        };
        self.frames.push(Frame {
            place,
            ending: Ending::Nothing,
        });
        Ok(Taken::Opened)
    }

    /// Takes an element of a list.
    fn element(&mut self, at: FieldAt) -> Result<Taken, Error> {
        let field = at.plan(self.pass.plan);
        match self.way_into_value(field.kind) {
            Way::In => {
                self.pass.tag(field.element_tag);
                self.open_message(field)?;
                return Ok(Taken::Opened);
            }
            Way::Held => return Ok(self.hold()),
            Way::Refused if field.cardinality == Cardinality::Packed => {
                self.pass.packed_element(field)?;
            }
            Way::Refused => {
                let message = self.pass.object_plan(field.kind);
                self.pass.list_element(field, message)?;
            }
        }
        Ok(Taken::Whole)
    }

    /// Takes an entry of a map.
    fn entry(&mut self, at: FieldAt) -> Result<Taken, Error> {
        let Some((field, [key, value])) = at.entry(self.pass.plan) else {
            return Ok(Taken::Whole);
        };
        self.pass.json.peek();
        let key_offset = self.pass.json.offset();
        let mut entry = self.pass.begin_entry(field, key)?;
        entry.json_offset += self.base;
        match self.way_into_value(value.kind) {
            Way::In => {
                self.pass.tag(value.tag);
                self.open_message(value)?;
                let below = self.frames.len().checked_sub(2);
                if let Some(Frame {
                    place: Place::Map { entry: open, .. },
                    ..
                }) = below.and_then(|below| self.frames.get_mut(below))
                {
                    *open = Some(entry);
                }
                return Ok(Taken::Opened);
            }
            Way::Held => {
                let taken = self.hold();
                self.pass.drop_entry(&entry);
                self.pass.json.back_to(key_offset);
                return Ok(taken);
            }
            Way::Refused => self.pass.entry_value(value, &entry)?,
        }
        Ok(Taken::Whole)
    }

    /// The bracket that comes next, if it is open at the border.
    #[inline]
    fn cut(&mut self) -> Option<u8> {
        let bracket = self.pass.json.peek()?;
        let offset = self.base + self.pass.json.offset();
        let is_cut = self.mode == Mode::Known
            && matches!(bracket, b'{' | b'[')
            && self.border.open_at(self.pass.depth) == Some(offset);
        is_cut.then_some(bracket)
    }

    /// The way into the value that comes next, of a list or map.
    fn way_into_value(&mut self, kind: Kind) -> Way {
        let bracket = self.cut();
        bracket.map_or(Way::Refused, |bracket| {
            way_into_kind(self.pass.plan, kind, bracket)
        })
    }

    /// Waits until the value whose bracket comes next is whole.
    fn hold(&mut self) -> Taken {
        let bracket = self.base + self.pass.json.offset();
        self.held = Some((self.pass.depth, bracket));
        Taken::Held
    }

    /// Opens the value of a field, which is cut, by its cardinality.
    fn open_field(&mut self, at: FieldAt, field: &'p FieldPlan) -> Result<(), Error> {
        let place = match field.cardinality {
            Cardinality::Singular => {
                self.pass.tag(field.tag);
                return self.open_message(field);
            }
            Cardinality::Repeated => {
                self.pass.open(b'[', Expected::Array)?;
                Place::List(at)
            }
            Cardinality::Packed => {
                self.pass.open(b'[', Expected::Array)?;
                let start = self.pass.out.len();
                self.pass.tag(field.tag);
                Place::Packed {
                    field: at,
                    start,
                    length: wire::write::open(self.pass.out),
                }
            }
            Cardinality::Map => {
                self.pass.open(b'{', Expected::Object)?;
                Place::Map {
                    field: at,
                    first_key: self.pass.keys.len(),
                    entry: None,
                }
            }
        };
        self.frames.push(Frame {
            place,
            ending: Ending::Nothing,
        });
        Ok(())
    }

    /// Opens the message that is the value of a field, an element or an entry, and whose tag has been written.
    fn open_message(&mut self, field: &'p FieldPlan) -> Result<(), Error> {
        match field.kind {
            Kind::Message(index) => {
                let open = self.pass.open_message();
                self.open_object(index, Ending::Length(open))
            }
            Kind::Group(index) => self.open_object(index, Ending::Group(field.number)),
            _ => Ok(()),
        }
    }

    fn open_object(&mut self, index: MessageIndex, ending: Ending) -> Result<(), Error> {
        self.pass.open(b'{', Expected::Object)?;
        let message = self.pass.plan.message(index);
        let bit_count = message.fields.len() + usize::from(message.oneof_count);
        let seen = self.pass.seen.len();
        self.pass.seen.resize(seen + bit_count.div_ceil(64), 0);
        self.frames.push(Frame {
            place: Place::Message {
                message: index,
                seen,
                predicted: 0,
            },
            ending,
        });
        Ok(())
    }

    /// Leaves the innermost frame, whose closing bracket has been taken.
    fn close(&mut self) -> Result<(), Error> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        self.pass.depth -= 1;
        match frame.place {
            Place::Message { seen, .. } => self.pass.seen.truncate(seen),
            Place::Packed { start, length, .. } => self.pass.close_packed(start, length),
            Place::Map { first_key, .. } => {
                // Offsets of keys count from the start of the text, unlike those of all other errors in here.
                self.pass
                    .refuse_duplicate(first_key)
                    .map_err(|error| error.moved_back_by(self.base))?;
                self.pass.keys.truncate(first_key);
            }
            Place::List(_) | Place::SkippedObject | Place::SkippedArray => {}
        }
        match frame.ending {
            Ending::Nothing => {}
            Ending::Length(open) => self.pass.close_message(&open),
            Ending::Group(number) => self.pass.tag(Tag::new(number, END_GROUP)),
        }
        self.expects = Expects::Comma;
        match self.frames.last_mut() {
            None => return self.end(),
            Some(Frame {
                place: Place::Map { entry, .. },
                ..
            }) => {
                if let Some(entry) = entry.take() {
                    self.pass.end_entry(&entry);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }
}

impl Place {
    const fn closing_bracket(self) -> u8 {
        match self {
            Self::Message { .. } | Self::Map { .. } | Self::SkippedObject => b'}',
            Self::List(_) | Self::Packed { .. } | Self::SkippedArray => b']',
        }
    }
}

impl FieldAt {
    pub(super) fn plan(self, plan: &Plan) -> &FieldPlan {
        plan.message(self.message).field(self.field)
    }

    /// The field, which is a map, and the key and value of its entries.
    pub(super) fn entry(self, plan: &Plan) -> Option<(&FieldPlan, &[FieldPlan; 2])> {
        let field = self.plan(plan);
        let Kind::Message(entry) = field.kind else {
            return None;
        };
        let fields = plan.message(entry).fields.as_ref();
        Some((field, fields.try_into().ok()?))
    }
}

fn way_into_field(plan: &Plan, field: &FieldPlan, bracket: u8) -> Way {
    match (field.cardinality, bracket) {
        (Cardinality::Repeated | Cardinality::Packed, b'[') | (Cardinality::Map, b'{') => Way::In,
        (Cardinality::Singular, _) => way_into_kind(plan, field.kind, bracket),
        _ => Way::Refused,
    }
}

fn way_into_kind(plan: &Plan, kind: Kind, bracket: u8) -> Way {
    match kind {
        Kind::Message(index) | Kind::Group(index) => way_into_message(plan, index, bracket),
        // Its value stands inside of an item of the set, for which there is no frame.
        Kind::SetMember(index) => match way_into_message(plan, index, bracket) {
            Way::In => Way::Held,
            way => way,
        },
        _ => Way::Refused,
    }
}

fn way_into_message(plan: &Plan, index: MessageIndex, bracket: u8) -> Way {
    match (plan.message(index).form, bracket) {
        (Form::Object, b'{') => Way::In,
        (Form::Any | Form::Struct | Form::Value, b'{') | (Form::ListValue | Form::Value, b'[') => {
            Way::Held
        }
        _ => Way::Refused,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "compile refuses messages with 2^16 fields or more"
)]
const fn field_index(index: usize) -> FieldIndex {
    FieldIndex(index as u16)
}
