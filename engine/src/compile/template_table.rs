//! Templates to a table of routes, without a schema around them. In: HTTP methods with templates as text. Out: a table that paths find
//! their way through. Always: the parser, the trie and the search are those of a schema.

use super::route_table::RouteTableBuilder;
use super::routes::{narrow, shape};
use crate::plan::{BodyPlan, MethodIndex, RouteIndex, RoutePlan, RouteTable, VariablePlan};
use crate::route::{self, NoRoute};
use crate::schema::SchemaError;
use crate::schema::template::{Template, Variable};

/// Path templates that are nobody's: what a fuzzer and a bench need of routes. Compiling a whole schema for each set of templates
/// would be most of their time.
#[derive(Debug)]
pub struct TemplateTable {
    routes: RouteTable,
}

impl TemplateTable {
    /// Compiles HTTP methods, or `*`, each with its template.
    ///
    /// # Errors
    /// When a template is not valid, or takes the same requests as one before it.
    pub fn new<'r>(
        rules: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> Result<Self, SchemaError> {
        let mut table = RouteTableBuilder::new();
        let mut routes = Vec::new();
        for (index, (http_method, text)) in (0..).map(RouteIndex).zip(rules) {
            let template = Template::parse(text).map_err(SchemaError::new)?;
            if table.add(&template, http_method, index).is_err() {
                return Err(SchemaError::new(format!(
                    "`{http_method} {}` takes the same requests as a template before it",
                    text.escape_debug()
                )));
            }
            routes.push(route_plan(http_method, &template));
        }
        Ok(Self {
            routes: table.finish(routes),
        })
    }

    /// Which of the templates a request finds; where the variables are in the path is in the scratch afterwards.
    ///
    /// # Errors
    /// As [`Schema::find_route`](super::Schema::find_route).
    pub fn find(
        &self,
        http_method: &[u8],
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> Result<usize, NoRoute> {
        route::find(&self.routes, http_method, path, scratch).map(|index| index.0 as usize)
    }

    /// As [`Schema::allowed_methods`](super::Schema::allowed_methods).
    pub fn allowed_methods<'s>(
        &'s self,
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> impl Iterator<Item = &'s str> {
        route::allowed(&self.routes, path, scratch)
    }
}

/// A route that leads to no method, and whose variables lead to no field.
pub(crate) fn route_plan(http_method: &str, template: &Template) -> RoutePlan {
    let variable = |variable: &Variable| VariablePlan {
        name: variable.path.join(".").into(),
        path: Box::default(),
        is_single_segment: variable.is_single_segment(template),
        segments: narrow(variable.segments.start)..narrow(variable.segments.end),
    };
    RoutePlan {
        http_method: http_method.into(),
        template: template.to_string().into(),
        method: MethodIndex(0),
        body: BodyPlan::Ignored,
        takes_raw_body: false,
        response_body: None,
        gives_raw_body: false,
        mask: None,
        variables: template.variables.iter().map(variable).collect(),
        shape: shape(template),
    }
}
