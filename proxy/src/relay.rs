//! The spine of the proxy: one exchange between a client's connection and the upstream. In: a parsed head and its body. Out: the
//! response's bytes. Always: what bytes mean is decided by `transom_engine::exchange`; here they are carried, and awaited.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use transom_engine::error::ErrorKind;
use transom_engine::exchange::{self, Call, Envelope, Manners, Request, Scratch};
use transom_engine::grpc::{self, Code, Status};
use transom_engine::http1::RequestHead;
use transom_engine::{Error, Schema};

use crate::buffers::{Buffers, SharedBuffer};
use crate::limits::MESSAGE_BUFFER_COUNT_MAX;
use crate::upstream::{CallError, CallRequest, Pool, Reply};

/// What is served and how; made once, shared by all workers, never changed.
#[derive(Debug)]
pub struct Gateway {
    schema: Schema,
    manners: Manners,
    /// The `:path` of each method's calls, by its index in the schema.
    method_paths: Box<[PathAndQuery]>,
}

impl Gateway {
    /// Prepares what calls of this schema need.
    ///
    /// # Errors
    /// Names the method whose name cannot be the path of a call.
    pub fn new(schema: Schema, manners: Manners) -> Result<Self, String> {
        let method_paths = schema
            .method_paths()
            .map(|path| path.parse().map_err(|_| format!("{path}: this method's name cannot be the path of a call")))
            .collect::<Result<_, _>>()?;
        Ok(Self { schema, manners, method_paths })
    }

    /// The compiled schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Context {
    gateway: Arc<Gateway>,
    pool: Pool,
    /// Free memory for responses.
    pub buffers: Buffers,
    messages: RefCell<Vec<SharedBuffer>>,
    scratch: RefCell<Scratch>,
}

/// A call ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    call: Call,
    metadata: HeaderMap,
    message: SharedBuffer,
}
