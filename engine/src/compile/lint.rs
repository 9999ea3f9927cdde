//! What is legal but most likely not meant. In: compiled routes, the rules they were made of, the plans. Out: findings, for `transom check`.
//! Always: a finding here refuses nothing; it says what a client will see and what to do.

use std::collections::HashMap;

use prost_reflect::MethodDescriptor;

use super::routes::Compiled;
use crate::bind;
use crate::plan::{BodyPlan, Plan, RoutePlan};
use crate::schema::rule::Place;
use crate::schema::template::{Segment, Template};
use crate::schema::{Finding, FindingKind, HttpRule};

/// Findings of all routes that rules made, in the order of the routes.
pub(super) fn lint(compiled: &Compiled, plan: &Plan, rules: &[HttpRule]) -> Vec<Finding> {
    let mut linter = Linter {
        compiled,
        plan,
        findings: Vec::new(),
    };
    linter.overridden(rules);
    for (route, place) in compiled.rules() {
        linter.body(route, place);
        linter.unreachable(route, place);
        linter.fields(route, place);
    }
    linter.shadows();
    linter.findings
}

struct Linter<'c> {
    compiled: &'c Compiled,
    plan: &'c Plan,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn find(&mut self, kind: FindingKind, route: &RoutePlan, place: &Place, text: &str) {
        let method = self.method(route);
        let place = place.of(method);
        let text = format!(
            "{}: the rule `{} {}`: {text}",
            method.full_name(),
            route.http_method,
            route.template
        );
        self.findings.push(Finding::new(kind, &place, &text));
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "routes hold indices of methods that were compiled with them"
    )]
    fn method(&self, route: &RoutePlan) -> &MethodDescriptor {
        &self.compiled.descriptors[route.method.0 as usize]
    }

    /// SEMANTICS 8: of rules for one method the last is the one.
    fn overridden(&mut self, rules: &[HttpRule]) {
        let mut last = HashMap::new();
        for rule in rules {
            let Some(earlier) = last.insert(rule.selector.as_str(), rule) else {
                continue;
            };
            let text = format!(
                "{}: the rule is void, since {} has a later one for this method; take one of them out",
                rule.selector, rule.place
            );
            let kind = FindingKind::Unreachable;
            self.findings
                .push(Finding::new(kind, &earlier.place, &text));
        }
    }

    /// SEMANTICS 12, 65
    fn body(&mut self, route: &RoutePlan, place: &Place) {
        let http_method = &*route.http_method;
        let has_body = route.body != BodyPlan::Ignored;
        if has_body && matches!(http_method, "GET" | "DELETE" | "HEAD") {
            let text = format!(
                "many clients and proxies drop the body of a {http_method}; leave `body` out, or take POST"
            );
            self.find(FindingKind::Advice, route, place, &text);
        }
        if !has_body
            && matches!(http_method, "POST" | "PUT" | "PATCH")
            && self.unbound(route).next().is_some()
        {
            let text = format!(
                "the body of a {http_method} is not read, and all but the path is taken from the query; if clients send one, add `body: \"*\"`"
            );
            self.find(FindingKind::Advice, route, place, &text);
        }
    }

    /// SEMANTICS 9, 47
    fn unreachable(&mut self, route: &RoutePlan, place: &Place) {
        let capital = route.http_method.to_ascii_uppercase();
        let known = [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ];
        if *route.http_method != *capital && known.contains(&capital.as_str()) {
            let text = format!(
                "no client sends `{}`, since methods differ by case; write {capital}",
                route.http_method
            );
            self.find(FindingKind::Unreachable, route, place, &text);
        }
        let is_dots = |segment: &Segment| matches!(segment, Segment::Literal(text) if text == "." || text == "..");
        if Template::parse(&route.template)
            .is_ok_and(|template| template.segments.iter().any(is_dots))
        {
            let text =
                "clients resolve `.` and `..` before they send a path; take these segments out";
            self.find(FindingKind::Unreachable, route, place, text);
        }
    }

    /// SEMANTICS 55 to 57: fields that neither path nor body give and the query cannot.
    fn fields(&mut self, route: &RoutePlan, place: &Place) {
        let lost: Vec<_> = self
            .unbound(route)
            .filter(|&field| !bind::can_be_given(self.plan, field))
            .map(|field| format!("`{}`", field.name))
            .collect();
        if !lost.is_empty() {
            let text = format!(
                "no query can give {}; bind the field by `body`, or add a binding with `body: \"*\"`",
                lost.join(", ")
            );
            self.find(FindingKind::Unreachable, route, place, &text);
        }
    }

    /// The fields of the request that neither the path nor the body gives.
    fn unbound<'r>(
        &'r self,
        route: &'r RoutePlan,
    ) -> impl Iterator<Item = &'r crate::plan::FieldPlan> {
        let input = self
            .plan
            .find_message(self.method(route).input().full_name());
        let fields = input.map(|message| &self.plan.message(message.index).fields);
        let is_bound = |index: u16| {
            let in_path = route
                .variables
                .iter()
                .filter_map(|variable| variable.path.first())
                .any(|step| step.field.0 == index);
            match route.body {
                BodyPlan::Whole => true,
                BodyPlan::Field(field) => field.0 == index || in_path,
                BodyPlan::Ignored => in_path,
            }
        };
        (0..)
            .zip(fields.into_iter().flatten())
            .filter(move |(index, _)| !is_bound(*index))
            .map(|(_, field)| field)
    }

    /// Rules that take some of the requests that a variable of another one would match (SEMANTICS 40): legal, and a surprise to whoever has a
    /// book of the name `top`.
    fn shadows(&mut self) {
        let mut groups: HashMap<_, Vec<_>> = HashMap::new();
        let mut order = Vec::new();
        for (index, (route, _)) in self.compiled.rules().enumerate() {
            let Ok(template) = Template::parse(&route.template) else {
                continue;
            };
            if template.rest().is_none() {
                let key = (
                    route.http_method.clone(),
                    template.segments.len(),
                    template.verb.clone(),
                );
                groups
                    .entry(key.clone())
                    .or_default()
                    .push((index, template.clone()));
                order.push((index, template, key));
            }
        }
        let routes: Vec<_> = self.compiled.rules().collect();
        for (index, template, key) in order {
            let Some((route, place)) = routes.get(index) else {
                continue;
            };
            let better = groups
                .get(&key)
                .into_iter()
                .flatten()
                .find_map(|(other, better)| Some((other, taken(better, &template)?)));
            let Some((other, taken)) = better else {
                continue;
            };
            let Some((winner, _)) = routes.get(*other) else {
                continue;
            };
            let text = format!(
                "`{} {}` of {} goes before it where a segment is `{taken}`; nothing is to be done if that is meant",
                winner.http_method,
                winner.template,
                self.method(winner).full_name()
            );
            self.find(FindingKind::Shadowed, route, place, &text);
        }
    }
}

/// The first literal with which `better` takes requests from `template`, if it does so with all its segments.
fn taken<'t>(better: &'t Template, template: &Template) -> Option<&'t str> {
    let mut first = None;
    for pair in better.segments.iter().zip(&template.segments) {
        match pair {
            (left, right) if left == right => {}
            (Segment::Literal(text), Segment::Star) => {
                first = first.or(Some(text.as_str()));
            }
            _ => return None,
        }
    }
    first
}
