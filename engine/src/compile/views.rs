//! What callers may see of methods and routes: tables, explanations, tests. In: a [`Schema`]. Out: names and flags.
//! Always: borrowed from the schema; nothing is made.

use super::Schema;
use crate::plan::{BodyPlan, FieldIndex, Message, MessageIndex, MethodPlan, RoutePlan};

/// One rpc.
#[derive(Clone, Copy, Debug)]
pub struct Method<'s> {
    pub(super) plan: &'s MethodPlan,
    pub(super) schema: &'s Schema,
}

/// One way to call a method over HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Route<'s> {
    pub(super) plan: &'s RoutePlan,
    pub(super) schema: &'s Schema,
}

/// Where the HTTP body of a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'s> {
    /// Nowhere: fields that the path does not set are query parameters.
    Ignored,
    /// It is the whole request message.
    Whole,
    /// It is the value of this field of the request message.
    Field(&'s str),
}

impl<'s> Method<'s> {
    /// `package.Service.Method`
    pub fn full_name(&self) -> &'s str {
        &self.plan.full_name
    }

    /// `/package.Service/Method`
    pub fn path(&self) -> &'s str {
        &self.plan.path
    }

    /// The request message.
    pub fn input(&self) -> Message<'s> {
        self.message(self.plan.input)
    }

    /// The response message.
    pub fn output(&self) -> Message<'s> {
        self.message(self.plan.output)
    }

    /// Whether requests are a stream.
    pub fn is_client_streaming(&self) -> bool {
        self.plan.is_client_streaming
    }

    /// Whether responses are a stream.
    pub fn is_server_streaming(&self) -> bool {
        self.plan.is_server_streaming
    }

    fn message(&self, index: MessageIndex) -> Message<'s> {
        Message {
            plan: &self.schema.plan,
            index,
        }
    }
}

impl<'s> Route<'s> {
    /// `GET`, `POST`, ... or a custom method; `*` is every method.
    pub fn http_method(&self) -> &'s str {
        &self.plan.http_method
    }

    /// The path template as the rule has it.
    pub fn template(&self) -> &'s str {
        &self.plan.template
    }

    /// The rpc that is called.
    pub fn method(&self) -> Method<'s> {
        Method {
            plan: self.schema.method_plan(self.plan.method),
            schema: self.schema,
        }
    }

    /// Where the HTTP body goes.
    pub fn body(&self) -> Body<'s> {
        match self.plan.body {
            BodyPlan::Ignored => Body::Ignored,
            BodyPlan::Whole => Body::Whole,
            BodyPlan::Field(field) => Body::Field(self.field_name(self.method().input(), field)),
        }
    }

    /// The field of the response that is the whole HTTP body, if the rule names one.
    pub fn response_body(&self) -> Option<&'s str> {
        let field = self.plan.response_body?;
        Some(self.field_name(self.method().output(), field))
    }

    /// The variables of the template in its order: `book.name`.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = &'s str> {
        self.plan.variables.iter().map(|variable| &*variable.name)
    }

    fn field_name(&self, message: Message<'s>, field: FieldIndex) -> &'s str {
        &self.schema.plan.message(message.index).field(field).name
    }
}
