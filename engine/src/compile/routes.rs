//! Methods and HTTP rules to methods and routes. In: a linked pool and its message plans. Out: [`MethodPlan`]s and the [`RouteTable`].
//! Always: a rule that cannot be is refused with its file, method and template, and with what to do.

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::http_body;
use super::route_table::RouteTableBuilder;
use crate::plan::{
    BodyPlan, Cardinality, FieldIndex, FieldPlan, FieldStep, Form, Kind, MessageIndex, MethodIndex,
    MethodPlan, PatchMasks, Plan, RouteIndex, RoutePlan, RouteTable, ShapePlan, VariablePlan,
};
use crate::schema::SchemaError;
use crate::schema::link::Linked;
use crate::schema::rule::{self, Binding};
use crate::schema::template::{Template, Variable};

/// Methods, routes and what they were made of.
pub(super) struct Compiled {
    pub(super) methods: Box<[MethodPlan]>,
    pub(super) routes: RouteTable,
    pub(super) service_count: usize,
}

/// Compiles the methods and rules of all services that the set brings.
pub(super) fn compile(linked: &Linked, plan: &Plan) -> Result<Compiled, SchemaError> {
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
    let mut compiler = Compiler {
        plan,
        methods: Vec::with_capacity(descriptors.len()),
        routes: Vec::new(),
        table: RouteTableBuilder::new(),
    };
    for descriptor in &descriptors {
        compiler
            .method(descriptor)
            .map_err(|reason| error(descriptor, &reason))?;
    }
    // All rules come first, whatever their order, so that the paths of methods know which of them are taken.
    for (index, descriptor) in (0..).map(MethodIndex).zip(&descriptors) {
        compiler
            .method_path(index)
            .map_err(|reason| error(descriptor, &reason))?;
    }
    Ok(Compiled {
        methods: compiler.methods.into(),
        routes: compiler.table.finish(compiler.routes),
        service_count: services.len(),
    })
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

struct Compiler<'p> {
    plan: &'p Plan,
    methods: Vec<MethodPlan>,
    routes: Vec<RoutePlan>,
    table: RouteTableBuilder,
}

impl Compiler<'_> {
    /// Adds a method and the routes of its rule.
    fn method(&mut self, descriptor: &MethodDescriptor) -> Result<(), String> {
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
        for binding in rule::bindings(descriptor)? {
            self.route(index, messages, &binding)
                .and_then(|route| self.add(&binding.template, route))
                .map_err(|reason| {
                    format!(
                        "the rule `{} {}`: {reason}",
                        binding.http_method, binding.text
                    )
                })?;
        }
        Ok(())
    }

    /// SEMANTICS 14a: a method answers under its gRPC path too, unless a rule owns that.
    fn method_path(&mut self, index: MethodIndex) -> Result<(), String> {
        let Some(method) = self.methods.get(index.0 as usize) else {
            return Ok(());
        };
        let path = method.path.clone();
        let template = Template::parse(&path)
            .map_err(|error| format!("`{}` is not a path: {error}", path.escape_debug()))?;
        if self.table.has(&template, "POST") {
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
        self.add(&template, route)
    }

    /// Adds a route, or names the one that stands in its way (SEMANTICS 10).
    #[expect(
        clippy::indexing_slicing,
        reason = "the table holds indices of routes, and they those of methods, that were pushed"
    )]
    fn add(&mut self, template: &Template, route: RoutePlan) -> Result<(), String> {
        let index = RouteIndex(index(self.routes.len()));
        let taken = self.table.add(template, &route.http_method, index);
        if let Err(RouteIndex(other)) = taken {
            let other = &self.routes[other as usize];
            return Err(format!(
                "it takes the same requests as `{} {}` of {}; change the path, verb or method of one of the two",
                other.http_method, other.template, self.methods[other.method.0 as usize].full_name
            ));
        }
        self.routes.push(route);
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
