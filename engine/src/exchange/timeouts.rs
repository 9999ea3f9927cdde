//! How long calls may take, method by method. In: selectors with limits, and the limits of all methods. Out: a table by method, and for one call
//! the limit. Always: without selectors there is no table; the selector that says most of a method counts (SEMANTICS 133).

use std::time::Duration;

use super::Manners;
use crate::compile::Schema;

/// How long the calls of some methods may take (SEMANTICS 133). What it leaves open is as for all methods.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use transom_engine::exchange::{Limit, Manners, MethodTimeouts};
///
/// let watch = MethodTimeouts {
///     selector: "shop.v1.Shop.Watch".to_owned(),
///     max: Limit::Never,
///     ..MethodTimeouts::default()
/// };
/// let manners = Manners { timeout_max: Some(Duration::from_mins(1)), timeouts: vec![watch], ..Manners::default() };
/// # assert_ne!(manners, Manners::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodTimeouts {
    /// The full name of a method, `package.Service.Method`; or the beginning of several and `*` in the place of the last names:
    /// `package.Service.*`, `package.*`, `*`. Of several that fit a method the longest counts, and of two alike the later one.
    pub selector: String,
    /// How long a call may take if the client does not say. Methods that stream have no default.
    pub default: Limit,
    /// How long a call may take, whatever the client says.
    pub max: Limit,
}

/// A limit of some methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// That of less special selectors, and at last that of all methods.
    #[default]
    Inherited,
    /// There is none.
    Never,
    /// So long.
    After(Duration),
}

/// How long the calls of one method may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimeoutPlan {
    default: Option<Duration>,
    max: Option<Duration>,
}

impl TimeoutPlan {
    /// The limits of the methods that no selector names.
    pub(super) const fn of_all(manners: &Manners) -> Self {
        Self {
            default: manners.timeout_default,
            max: manners.timeout_max,
        }
    }

    /// How long a call may take: what the client says, else the default, and never more than the maximum.
    pub(super) fn limit(self, wanted: Option<Duration>, is_streaming: bool) -> Option<Duration> {
        // SEMANTICS 133: what goes on for long by its nature is not cut off unless somebody says so.
        let default = self.default.filter(|_| !is_streaming);
        match (wanted.or(default), self.max) {
            (Some(wanted), Some(max)) => Some(wanted.min(max)),
            (wanted, max) => wanted.or(max),
        }
    }
}

/// The limits of each method of the schema; none if all have the same.
pub(super) fn plans(schema: &Schema, manners: &Manners) -> Box<[TimeoutPlan]> {
    if manners.timeouts.is_empty() {
        return Box::default();
    }
    let mut selected: Vec<_> = manners.timeouts.iter().collect();
    selected.sort_by_key(|each| specificity(&each.selector));
    let plan = |full_name: &str| {
        let mut plan = TimeoutPlan::of_all(manners);
        for each in &selected {
            if fits(&each.selector, full_name) {
                each.default.replace(&mut plan.default);
                each.max.replace(&mut plan.max);
            }
        }
        plan
    };
    schema
        .methods()
        .map(|method| plan(method.full_name()))
        .collect()
}

impl Limit {
    fn replace(self, limit: &mut Option<Duration>) {
        match self {
            Self::Inherited => {}
            Self::Never => *limit = None,
            Self::After(duration) => *limit = Some(duration),
        }
    }
}

/// Whether a selector means this method.
pub(super) fn fits(selector: &str, full_name: &str) -> bool {
    match selector.strip_suffix('*') {
        Some(beginning) => {
            (beginning.is_empty() || beginning.ends_with('.')) && full_name.starts_with(beginning)
        }
        None => selector == full_name,
    }
}

/// More for the more special one of two selectors that mean the same method.
fn specificity(selector: &str) -> (bool, usize) {
    (!selector.ends_with('*'), selector.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that is asked for and the most that is given, of methods that stream as well.
    #[test]
    fn streams_have_a_maximum_and_no_default() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (default, max, wanted, is_streaming, limit) in [
            (seconds(5), None, None, false, seconds(5)),
            (seconds(5), None, None, true, None),
            (seconds(5), seconds(60), None, true, seconds(60)),
            (seconds(5), seconds(3), None, false, seconds(3)),
            (seconds(5), seconds(60), seconds(90), true, seconds(60)),
            (seconds(5), None, seconds(9), true, seconds(9)),
            (None, None, None, false, None),
        ] {
            let plan = TimeoutPlan { default, max };
            assert_eq!(plan.limit(wanted, is_streaming), limit, "{plan:?}");
        }
    }
}
