//! Methods and HTTP rules to methods and routes. In: a linked pool and its message plans. Out: [`MethodPlan`]s and the [`RouteTable`].
//! Always: a rule that cannot be has no route, and a finding with its file, method and template, and with what to do.

use std::collections::{HashMap, HashSet};

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::http_body;
use super::route_table::RouteTableBuilder;
use crate::plan::{
    BodyPlan, Cardinality, FieldIndex, FieldPlan, FieldStep, Form, Kind, MessageIndex, MethodIndex,
    MethodPlan, PatchMasks, Plan, RouteIndex, RoutePlan, RouteTable, ShapePlan, VariablePlan,
};
use crate::schema::link::Linked;
use crate::schema::rule::{self, Binding, Place};
use crate::schema::template::{Template, Variable};
use crate::schema::{Finding, FindingKind, HttpRule, SchemaError};

/// Methods, routes and what they were made of.
pub(super) struct Compiled {
    pub(super) methods: Box<[MethodPlan]>,
    pub(super) routes: RouteTable,
    pub(super) service_count: usize,
    pub(super) findings: Vec<Finding>,
    /// Of each method, in the order of `methods`.
    pub(super) descriptors: Vec<MethodDescriptor>,
    /// Of each route that a rule made; these are the first of `routes`.
    places: Vec<Place>,
}

impl Compiled {
    /// The routes that rules made, each with where its rule stands.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&RoutePlan, &Place)> {
        self.routes.routes.iter().zip(&self.places)
    }
}

/// Compiles the methods and rules of all services that the set brings. What is wrong with a rule becomes a finding, and the others go on
/// (SEMANTICS 14); whether that refuses the schema is the caller's to say.
pub(super) fn compile(
    linked: &Linked,
    plan: &Plan,
    rules: &[HttpRule],
) -> Result<Compiled, SchemaError> {
    let services: Vec<_> = linked
        .pool
        .services()
        .filter(|service| linked.own_files.contains(service.parent_file().name()))
        .filter(is_served)
        .collect();
    let descriptors: Vec<_> = services
        .iter()
        .flat_map(ServiceDescriptor::methods)
        .collect();
    // SEMANTICS 8: of rules for one method the last is the one.
    let outside: HashMap<_, _> = rules
        .iter()
        .map(|rule| (rule.selector.as_str(), rule))
        .collect();
    let mut compiler = Compiler {
        plan,
        methods: Vec::with_capacity(descriptors.len()),
        routes: Vec::new(),
        places: Vec::new(),
        table: RouteTableBuilder::new(),
        findings: unknown_selectors(rules, &descriptors),
    };
    for descriptor in &descriptors {
        let rule = outside.get(descriptor.full_name()).copied();
        compiler
            .method(descriptor, rule)
            .map_err(|reason| error(descriptor, &reason))?;
    }
    let places = std::mem::take(&mut compiler.places);
    // All rules come first, whatever their order, so that the paths of methods know which of them are taken.
    for (index, descriptor) in (0..).map(MethodIndex).zip(&descriptors) {
        compiler
            .method_path(index, descriptor)
            .map_err(|reason| error(descriptor, &reason))?;
    }
    Ok(Compiled {
        methods: compiler.methods.into(),
        routes: compiler.table.finish(compiler.routes),
        service_count: services.len(),
        findings: compiler.findings,
        descriptors,
        places,
    })
}

/// SEMANTICS 8: a selector that names nothing is most likely misspelt.
fn unknown_selectors(rules: &[HttpRule], methods: &[MethodDescriptor]) -> Vec<Finding> {
    let names: HashSet<_> = methods.iter().map(MethodDescriptor::full_name).collect();
    let unknown = rules
        .iter()
        .filter(|rule| !names.contains(rule.selector.as_str()));
    unknown
        .map(|rule| {
            let own = rule.selector.rsplit('.').next().unwrap_or_default();
            let nearest = methods
                .iter()
                .find(|method| method.name().eq_ignore_ascii_case(own));
            let hint = match nearest {
                Some(method) => format!("did you mean `{}`?", method.full_name()),
                None => "give its full name, as in `package.Service.Method`".to_owned(),
            };
            let text = format!(
                "the selector `{}` names no method of the schema; {hint}",
                rule.selector.escape_debug()
            );
            Finding::new(FindingKind::UnknownSelector, &rule.place, &text)
        })
        .collect()
}

/// Server reflection describes the services and is not one that clients want; it streams both ways.
fn is_served(service: &ServiceDescriptor) -> bool {
    !service.full_name().starts_with("grpc.reflection.")
}

fn error(method: &MethodDescriptor, reason: &str) -> SchemaError {
    SchemaError::new(format!(
        "{}: {}: {reason}",
        method.parent_file().name(),
        method.full_name()
    ))
}

/// What is wrong with a binding, and which one it is.
fn about(binding: &Binding, reason: &str) -> String {
    format!(
        "the rule `{} {}`: {reason}",
        binding.http_method, binding.text
    )
}

struct Compiler<'p> {
    plan: &'p Plan,
    methods: Vec<MethodPlan>,
    routes: Vec<RoutePlan>,
    places: Vec<Place>,
    table: RouteTableBuilder,
    findings: Vec<Finding>,
}

impl Compiler<'_> {
    /// Adds a method and the routes of its rule: the one from outside, if there is one (SEMANTICS 8), or its own.
    fn method(
        &mut self,
        descriptor: &MethodDescriptor,
        outside: Option<&HttpRule>,
    ) -> Result<(), String> {
        let index = MethodIndex(index(self.methods.len()));
        let method = MethodPlan {
            full_name: descriptor.full_name().into(),
            path: format!(
                "/{}/{}",
                descriptor.parent_service().full_name(),
                descriptor.name()
            )
            .into(),
            input: self.message(descriptor.input().full_name())?,
            output: self.message(descriptor.output().full_name())?,
            is_client_streaming: descriptor.is_client_streaming(),
            is_server_streaming: descriptor.is_server_streaming(),
        };
        let messages = (method.input, method.output);
        self.methods.push(method);
        let bindings = match outside {
            Some(rule) => rule::from_outside(rule),
            None => rule::annotated(descriptor),
        };
        for (place, binding) in bindings {
            let added = binding.and_then(|binding| {
                self.route(index, messages, &binding)
                    .map_err(|reason| about(&binding, &reason))
                    .map(|route| (binding, route))
            });
            match added {
                Ok((binding, route)) => {
                    if let Err(reason) = self.add(&binding.template, route, &place) {
                        let text = about(&binding, &reason);
                        self.find(FindingKind::SameRequests, descriptor, &place, &text);
                    }
                }
                Err(reason) => self.find(FindingKind::BadRule, descriptor, &place, &reason),
            }
        }
        Ok(())
    }

    fn find(&mut self, kind: FindingKind, method: &MethodDescriptor, place: &Place, text: &str) {
        let place = place.of(method);
        let text = format!("{}: {text}", method.full_name());
        self.findings.push(Finding::new(kind, &place, &text));
    }

    /// SEMANTICS 14a: a method answers under its gRPC path too, unless a rule owns that.
    fn method_path(
        &mut self,
        index: MethodIndex,
        descriptor: &MethodDescriptor,
    ) -> Result<(), String> {
        let Some(method) = self.methods.get(index.0 as usize) else {
            return Ok(());
        };
        let path = method.path.clone();
        let template = Template::parse(&path)
            .map_err(|error| format!("`{}` is not a path: {error}", path.escape_debug()))?;
        if let Some(owner) = self.table.find(&template, "POST") {
            self.path_taken(index, owner, descriptor);
            return Ok(());
        }
        let (input, output) = (method.input, method.output);
        let route = RoutePlan {
            http_method: "POST".into(),
            shape: shape(&template),
            template: path,
            method: index,
            body: BodyPlan::Whole,
            takes_raw_body: http_body::is_http_body(self.plan, input),
            response_body: None,
            gives_raw_body: http_body::is_http_body(self.plan, output),
            mask: None,
            variables: Box::default(),
        };
        self.add(&template, route, &Place::Annotation)
    }

    /// Whoever calls a method by its path should know that another method answers.
    #[expect(
        clippy::indexing_slicing,
        reason = "the table holds indices of routes that were pushed"
    )]
    fn path_taken(&mut self, index: MethodIndex, owner: RouteIndex, descriptor: &MethodDescriptor) {
        let route = &self.routes[owner.0 as usize];
        if route.method != index {
            let text = format!(
                "its path `POST {}` belongs to `{} {}` of {}; change that rule if clients use the path",
                self.methods[index.0 as usize].path,
                route.http_method,
                route.template,
                self.methods[route.method.0 as usize].full_name
            );
            let kind = FindingKind::PathTaken;
            self.find(kind, descriptor, &Place::Annotation, &text);
        }
    }

    /// Adds a route. If another takes the same requests, the new one replaces it, and both are named (SEMANTICS 10).
    #[expect(
        clippy::indexing_slicing,
        reason = "the table holds indices of routes, and they those of methods, that were pushed"
    )]
    fn add(&mut self, template: &Template, route: RoutePlan, place: &Place) -> Result<(), String> {
        let index = RouteIndex(index(self.routes.len()));
        let taken = self.table.add(template, &route.http_method, index);
        if let Err(RouteIndex(other)) = taken {
            if let Some(of_other) = self.places.get_mut(other as usize) {
                *of_other = place.clone();
            }
            let other = &mut self.routes[other as usize];
            let text = format!(
                "it takes the same requests as `{} {}` of {}; change the path, verb or method of one of the two",
                other.http_method, other.template, self.methods[other.method.0 as usize].full_name
            );
            *other = route;
            return Err(text);
        }
        self.routes.push(route);
        self.places.push(place.clone());
        Ok(())
    }

    fn route(
        &self,
        index: MethodIndex,
        (input, output): (MessageIndex, MessageIndex),
        binding: &Binding,
    ) -> Result<RoutePlan, String> {
        let template = &binding.template;
        let variables: Vec<_> = template
            .variables
            .iter()
            .map(|variable| self.variable(input, template, variable))
            .collect::<Result<_, _>>()?;
        self.check_oneofs(&variables)?;
        let body = match binding.body.as_str() {
            "" => BodyPlan::Ignored,
            "*" => BodyPlan::Whole,
            name => BodyPlan::Field(self.body_field("body", input, name)?),
        };
        let response_body = match binding.response_body.as_str() {
            "" => None,
            name => Some(self.body_field("response_body", output, name)?),
        };
        let takes_raw_body = http_body::is_taken(self.plan, input, body);
        let mask = match body {
            BodyPlan::Field(field) if binding.http_method == "PATCH" && !takes_raw_body => {
                self.mask(input, field)
            }
            _ => None,
        };
        Ok(RoutePlan {
            http_method: binding.http_method.as_str().into(),
            template: binding.text.as_str().into(),
            method: index,
            body,
            takes_raw_body,
            response_body,
            gives_raw_body: http_body::is_given(self.plan, output, response_body),
            mask,
            variables: variables.into(),
            shape: shape(template),
        })
    }

    /// The field mask that a `PATCH` of the field `body` fills (SEMANTICS 74). Of two nobody could say which one is meant.
    fn mask(&self, input: MessageIndex, body: FieldIndex) -> Option<FieldIndex> {
        let has_form = |field: &FieldPlan, form| match (field.kind, field.cardinality) {
            (Kind::Message(message), Cardinality::Singular) => {
                self.plan.message(message).form == form
            }
            _ => false,
        };
        let input = self.plan.message(input);
        if self.plan.options.patch_masks == PatchMasks::Leave
            || !has_form(input.field(body), Form::Object)
        {
            return None;
        }
        let mut masks = (0..)
            .map(FieldIndex)
            .zip(&input.fields)
            .filter(|(_, field)| has_form(field, Form::FieldMask) && field.oneof.is_none());
        match (masks.next(), masks.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }

    /// SEMANTICS 5: a field of the message itself, of any kind.
    fn body_field(
        &self,
        option: &str,
        message: MessageIndex,
        name: &str,
    ) -> Result<FieldIndex, String> {
        let full_name = &self.plan.message(message).full_name;
        if name == "*" {
            return Err(format!(
                "{option} `*` is not allowed; leave it out to send the whole {full_name}"
            ));
        }
        if name.contains('.') {
            return Err(format!(
                "{option} `{}` is a path of fields; give one field of {full_name}",
                name.escape_debug()
            ));
        }
        self.field(message, name)
            .map(|(index, _)| index)
            .ok_or_else(|| {
                format!(
                    "{option} `{}` is not a field of {full_name}; give the name that the proto file has",
                    name.escape_debug()
                )
            })
    }

    fn variable(
        &self,
        input: MessageIndex,
        template: &Template,
        variable: &Variable,
    ) -> Result<VariablePlan, String> {
        let name = variable.path.join(".");
        let refuse = |reason: String| Err(format!("the variable `{name}`: {reason}"));
        let mut path = Vec::with_capacity(variable.path.len());
        let mut message = input;
        // SEMANTICS 3
        for (index, step) in variable.path.iter().enumerate() {
            let is_last = index + 1 == variable.path.len();
            let full_name = &self.plan.message(message).full_name;
            let Some((index, field)) = self.field(message, step) else {
                return refuse(format!(
                    "`{step}` is not a field of {full_name}; give the name that the proto file has"
                ));
            };
            match field.cardinality {
                Cardinality::Singular => {}
                Cardinality::Map => {
                    return refuse(format!(
                        "`{step}` of {full_name} is a map; a path holds single values"
                    ));
                }
                Cardinality::Repeated | Cardinality::Packed => {
                    return refuse(format!(
                        "`{step}` of {full_name} is repeated; a path holds single values"
                    ));
                }
            }
            path.push(FieldStep {
                message,
                field: index,
            });
            match field.kind {
                Kind::Message(of) | Kind::Group(of) if !is_last => message = of,
                Kind::Message(of) | Kind::Group(of) if !has_string_form(self.plan, of) => {
                    return refuse(format!(
                        "`{step}` of {full_name} is a message; name one of its fields, as in `{{{name}.field}}`"
                    ));
                }
                _ if is_last => {}
                _ => {
                    return refuse(format!(
                        "`{step}` of {full_name} is no message and has no fields"
                    ));
                }
            }
        }
        Ok(VariablePlan {
            name: name.into(),
            path: path.into(),
            is_single_segment: variable.is_single_segment(template),
            segments: narrow(variable.segments.start)..narrow(variable.segments.end),
        })
    }

    /// Two variables in one oneof would contradict each other in every request (SEMANTICS 45).
    fn check_oneofs(&self, variables: &[VariablePlan]) -> Result<(), String> {
        for (index, later) in variables.iter().enumerate() {
            for earlier in variables.iter().take(index) {
                let parting = earlier.path.iter().zip(&later.path).find(|(a, b)| a != b);
                let Some((a, b)) = parting else { continue };
                let message = self.plan.message(a.message);
                let oneof = message.field(a.field).oneof;
                if oneof.is_some() && oneof == message.field(b.field).oneof {
                    return Err(format!(
                        "the variables `{}` and `{}` are members of one oneof of {}; keep one of them",
                        earlier.name, later.name, message.full_name
                    ));
                }
            }
        }
        Ok(())
    }

    /// A field by the name that the proto file has; rules know no other, and an extension has none there.
    fn field(&self, message: MessageIndex, name: &str) -> Option<(FieldIndex, &FieldPlan)> {
        (0..)
            .map(FieldIndex)
            .zip(&self.plan.message(message).fields)
            .find(|(_, field)| &*field.name == name && !name.starts_with('['))
    }

    fn message(&self, full_name: &str) -> Result<MessageIndex, String> {
        self.plan
            .find_message(full_name)
            .map(|message| message.index)
            .ok_or_else(|| format!("the message {full_name} has no plan"))
    }
}

/// The well-known types that are one string or scalar in JSON.
fn has_string_form(plan: &Plan, message: MessageIndex) -> bool {
    matches!(
        plan.message(message).form,
        Form::Timestamp | Form::Duration | Form::FieldMask | Form::Wrapper
    )
}

pub(super) fn shape(template: &Template) -> ShapePlan {
    ShapePlan {
        segment_count: narrow(template.segments.len()),
        rest: template.rest().map(narrow),
        has_verb: template.verb.is_some(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a template is no longer than a request target, and has fewer segments than bytes"
)]
pub(super) fn narrow(segment: usize) -> u16 {
    segment as u16
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a descriptor set of less than 4 GiB has fewer methods and rules"
)]
fn index(len: usize) -> u32 {
    len as u32
}
