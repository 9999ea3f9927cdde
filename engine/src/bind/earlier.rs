//! What a query has bound so far. In: the field path of one parameter after the other. Out: whether it may stand beside the earlier ones.
//! Always: memory is reused from request to request; its size is bounded by the limits on parameters and steps.

use crate::error::ErrorKind;
use crate::plan::{Cardinality, FieldPlan, FieldStep, Plan};

/// The parameters bound so far, and the one at hand.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    bindings: Vec<Binding>,
    /// The paths of `bindings`, one after the other, then that of the parameter at hand.
    steps: Vec<FieldStep>,
    /// The same for the keys of map entries, as they are on the wire; empty for what is no map.
    map_keys: Vec<u8>,
}

/// Where a binding ends; it begins where the one before it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Binding {
    /// `steps_end <= steps.len()`
    steps_end: usize,
    /// `map_key_end <= map_keys.len()`
    map_key_end: usize,
}

/// How two field paths of one message lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Neither disturbs the other.
    Apart,
    /// They are the same field.
    Same,
    /// One field lies inside the other: `ts` and `ts.seconds`.
    Inside,
    /// They part at two members of one oneof (SEMANTICS 45).
    Siblings,
}

/// How the path `left` lies to the path `right`.
pub(super) fn relate(plan: &Plan, left: &[FieldStep], right: &[FieldStep]) -> Relation {
    for (one, other) in left.iter().zip(right) {
        if one.field == other.field {
            continue;
        }
        let message = plan.message(one.message);
        let oneof = message.field(one.field).oneof;
        return if oneof.is_some() && oneof == message.field(other.field).oneof {
            Relation::Siblings
        } else {
            Relation::Apart
        };
    }
    if left.len() == right.len() {
        Relation::Same
    } else {
        Relation::Inside
    }
}

impl Earlier {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bindings.clear();
        self.steps.clear();
        self.map_keys.clear();
    }

    /// Begins the next parameter; what was begun and not kept is forgotten. Its path is to be appended to what is returned.
    pub(super) fn begin(&mut self) -> &mut Vec<FieldStep> {
        let kept = self.kept();
        self.steps.truncate(kept.steps_end);
        self.map_keys.truncate(kept.map_key_end);
        &mut self.steps
    }

    /// The path of the parameter at hand.
    pub(super) fn steps(&self) -> &[FieldStep] {
        self.steps.get(self.kept().steps_end..).unwrap_or_default()
    }

    /// Where the map key of the parameter at hand is to be appended.
    pub(super) fn map_key(&mut self) -> &mut Vec<u8> {
        &mut self.map_keys
    }

    /// The map key of the parameter at hand.
    pub(super) fn map_key_wire(&self) -> &[u8] {
        self.map_keys
            .get(self.kept().map_key_end..)
            .unwrap_or_default()
    }

    /// Whether the parameter at hand, which names `field`, may stand beside the earlier ones. If so: whether it is the first with
    /// its path, and so worth to be [kept](Self::keep).
    pub(super) fn admit(&self, plan: &Plan, field: &FieldPlan) -> Result<bool, ErrorKind> {
        let (steps, map_key) = (self.steps(), self.map_key_wire());
        let mut start = Binding::default();
        for &end in &self.bindings {
            let other = self.steps.get(start.steps_end..end.steps_end);
            let other_map_key = self.map_keys.get(start.map_key_end..end.map_key_end);
            start = end;
            match relate(plan, steps, other.unwrap_or_default()) {
                Relation::Apart => {}
                Relation::Inside => return Err(ErrorKind::GivenTwice),
                Relation::Siblings => return Err(ErrorKind::OneofConflict),
                Relation::Same => match field.cardinality {
                    // SEMANTICS 51.
                    Cardinality::Singular => return Err(ErrorKind::GivenTwice),
                    // SEMANTICS 50. The first element stands for the list: it has been compared with all before it already.
                    Cardinality::Repeated | Cardinality::Packed => return Ok(false),
                    Cardinality::Map if other_map_key == Some(map_key) => {
                        return Err(ErrorKind::GivenTwice);
                    }
                    Cardinality::Map => {}
                },
            }
        }
        Ok(true)
    }

    /// Remembers the parameter at hand.
    pub(super) fn keep(&mut self) {
        self.bindings.push(Binding {
            steps_end: self.steps.len(),
            map_key_end: self.map_keys.len(),
        });
    }

    fn kept(&self) -> Binding {
        self.bindings.last().copied().unwrap_or_default()
    }
}
