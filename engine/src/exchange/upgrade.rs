//! The `WebSocket` of a streaming method (SEMANTICS 127). In: a head that asks for one. Out: the call that it is for, and the response that
//! switches over. Always: a page of a strange origin gets none; a method that does not stream is called as if nobody had asked.

use super::{Call, Manners, Scratch, Transcoder, WebSocketOrigins};
use crate::error::{Error, ErrorKind};
use crate::grpc::metadata::{Decision, Name};
use crate::http1::{self, RequestHead};
use crate::route;

/// Methods whose rules a WebSocket may find, in this order: browsers open them with `GET` alone, and rules of streams have `POST` mostly.
const METHODS: [&[u8]; 5] = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"];

impl Transcoder {
    /// The call for which a client wants a WebSocket. Nothing if it wants none, or where the path has no streaming method: then it is a request as
    /// any other, for [`Self::handle_head`]. As with that, captures of the path are left in `scratch`.
    ///
    /// # Errors
    /// An opening that is not whole, a page that may not, a timeout that cannot be.
    pub fn handle_upgrade(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Call>, Error> {
        if !head.asks_for_websocket(bytes) {
            return Ok(None);
        }
        let schema = &self.schema;
        let found = METHODS.into_iter().find_map(|http_method| {
            let route = route::find(
                &schema.routes,
                http_method,
                head.path(bytes),
                &mut scratch.route,
            )
            .ok()?;
            let method = schema.method_plan(schema.route_plan(route).method);
            (method.is_client_streaming || method.is_server_streaming).then_some(route)
        });
        let Some(route) = found else {
            return Ok(None);
        };
        head.websocket_key(bytes)?;
        if !self.manners.lets_open(head, bytes) {
            return Err(Error::request(ErrorKind::ForeignOrigin));
        }
        Ok(Some(Call {
            route,
            binds_form: false,
            coding: None,
            timeout: self.timeout(schema.route_plan(route).method, head, bytes)?,
        }))
    }
}

impl Call {
    /// Hands `each` the metadata that a WebSocket can only send as a protocol: a token, where there is no `Authorization`.
    pub fn each_websocket_metadata(
        &self,
        transcoder: &Transcoder,
        head: &RequestHead,
        bytes: &[u8],
        mut each: impl FnMut(&[u8], &[u8]),
    ) {
        let token = head.websocket_token(bytes);
        let Some(token) = token.filter(|_| head.header(bytes, b"authorization").is_none()) else {
            return;
        };
        let value = [b"Bearer ", token].concat();
        let mut pass = |name: Name<'_>| {
            let mut text = Vec::new();
            name.write(&mut text);
            each(&text, &value);
        };
        match transcoder
            .manners
            .request_decision(b"authorization", &value)
        {
            Decision::Drop => {}
            Decision::Pass(name) => pass(name),
            Decision::PassTwice(first, second) => {
                pass(first);
                pass(second);
            }
        }
    }
}

/// Appends the response that switches to WebSocket. `accept` is made of the key: [`RequestHead::websocket_key`].
pub fn write_upgrade(head: &RequestHead, bytes: &[u8], accept: &[u8], out: &mut Vec<u8>) {
    // A browser gives up unless one of the protocols that it offers is taken.
    let protocol = head.websocket_token(bytes).map(|_token| &b"Bearer"[..]);
    http1::write_switch(accept, protocol, out);
}

impl Manners {
    /// Whether who asks may open a WebSocket.
    fn lets_open(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        let Some(origin) = head.header(bytes, b"origin") else {
            return true;
        };
        let is_own = || {
            let mut parts = origin.splitn(3, |&byte| byte == b'/');
            let host = parts.nth(2).unwrap_or_default();
            head.host(bytes)
                .is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(host))
        };
        self.websocket_origins == WebSocketOrigins::Any
            || is_own()
            || self.cors.as_ref().is_some_and(|cors| cors.lets_in(origin))
    }
}
