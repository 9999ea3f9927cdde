//! Descriptors to plans; start-up only. In: linked descriptors and options. Out: a [`Schema`] of immutable tables.
//! Always: may be slow, must be clear; what cannot be is refused here, so that the hot path need not ask.

mod described;
mod map_entries;
mod messages;
mod route_table;
mod routes;
mod template_table;
mod views;

use std::fmt;

#[cfg(test)]
pub(crate) use route_table::RouteTableBuilder;
pub use template_table::TemplateTable;
#[cfg(test)]
pub(crate) use template_table::route_plan;
pub use views::{Body, Method, Route};

use crate::plan::{
    Message, MessageIndex, MethodIndex, MethodPlan, Options, Plan, RouteIndex, RoutePlan,
    RouteTable,
};
use crate::route::{self, NoRoute};
use crate::schema::SchemaError;
use crate::schema::link;

/// Everything the gateway knows of the services it serves: message plans, methods and routes, compiled once.
pub struct Schema {
    pub(crate) plan: Plan,
    pub(crate) methods: Box<[MethodPlan]>,
    pub(crate) routes: RouteTable,
    service_count: usize,
    message_count: usize,
}

impl Schema {
    /// Compiles an encoded `google.protobuf.FileDescriptorSet` with the default options.
    ///
    /// # Errors
    /// When the set cannot be decoded or linked, or holds what has no plan; the text names the file, message or method.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, SchemaError> {
        Self::compile(bytes, &Options::default())
    }

    /// Compiles an encoded `google.protobuf.FileDescriptorSet`. Files of `google/api`, `google/rpc`, `google/type` and
    /// `google/protobuf` may be left out of it.
    ///
    /// # Errors
    /// As [`Schema::from_descriptor_set`].
    pub fn compile(bytes: &[u8], options: &Options) -> Result<Self, SchemaError> {
        let linked = link::link(bytes)?;
        map_entries::check(&linked.pool)?;
        let plan = messages::compile(&linked, *options)?;
        let compiled = routes::compile(&linked, &plan)?;
        let message_count = linked
            .pool
            .all_messages()
            .filter(|message| linked.own_files.contains(message.parent_file().name()))
            .filter(|message| !message.is_map_entry())
            .count();
        Ok(Self {
            plan,
            methods: compiled.methods,
            routes: compiled.routes,
            service_count: compiled.service_count,
            message_count,
        })
    }

    /// The message with this full name (no leading dot).
    pub fn message(&self, full_name: &str) -> Option<Message<'_>> {
        self.plan.find_message(full_name)
    }

    /// All messages, those of Google's own files too.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        (0..self.plan.messages.len()).filter_map(|index| {
            let index = MessageIndex(u32::try_from(index).ok()?);
            Some(Message {
                plan: &self.plan,
                index,
            })
        })
    }

    /// All methods that are served, in the order of the descriptor set.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = Method<'_>> {
        self.methods
            .iter()
            .map(|plan| Method { plan, schema: self })
    }

    /// All routes: those of rules in the order of the descriptor set, then the `POST /package.Service/Method` of each method.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = Route<'_>> {
        self.routes
            .routes
            .iter()
            .map(|plan| Route { plan, schema: self })
    }

    /// Finds the route of a request. `path` is the raw path: from its first `/` up to a `?`. Where the variables are in it
    /// is in the scratch afterwards.
    ///
    /// # Errors
    /// When no route has this path, or none with this method.
    pub fn find_route(
        &self,
        http_method: &[u8],
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> Result<Route<'_>, NoRoute> {
        let index = route::find(&self.routes, http_method, path, scratch)?;
        Ok(Route {
            plan: self.route_plan(index),
            schema: self,
        })
    }

    /// The HTTP methods with which rules own this path, each once; `*` is every method. `HEAD` (where `GET` is) and
    /// `OPTIONS` are not added.
    pub fn allowed_methods<'s>(
        &'s self,
        path: &[u8],
        scratch: &mut route::Scratch,
    ) -> impl Iterator<Item = &'s str> {
        route::allowed(&self.routes, path, scratch)
    }

    /// How many services the set brings.
    pub fn service_count(&self) -> usize {
        self.service_count
    }

    /// How many messages the set brings, without map entries.
    pub fn message_count(&self) -> usize {
        self.message_count
    }

    #[inline]
    pub(crate) fn route_plan(&self, index: RouteIndex) -> &RoutePlan {
        self.routes.route(index)
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "every MethodIndex is made by compile for this schema"
    )]
    pub(crate) fn method_plan(&self, index: MethodIndex) -> &MethodPlan {
        &self.methods[index.0 as usize]
    }
}

/// Counts only: the tables of a schema are long.
impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Schema")
            .field("services", &self.service_count)
            .field("methods", &self.methods.len())
            .field("routes", &self.routes.routes.len())
            .field("messages", &self.message_count)
            .finish_non_exhaustive()
    }
}
