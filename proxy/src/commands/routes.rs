//! `transom routes`: the table of routes. In: a schema. Out: one line a route, or a JSON array.
//! Always: the same order: by path, then by method.

use std::io::{self, Write};

use transom_engine::{Body, Method};

use super::{Failure, load_schema};
use crate::config::RoutesArgs;

pub(super) fn run(args: &RoutesArgs) -> Result<(), Failure> {
    let file = args.source.file()?;
    let schema = load_schema(&args.source, &file, &args.source.options(&file))?;
    let mut routes: Vec<_> = schema.routes().collect();
    routes.sort_by_key(|route| (route.template().to_owned(), route.http_method().to_owned()));
    let mut stdout = io::stdout().lock();
    if file.is_json(args.json) {
        let rows: Vec<_> = routes
            .iter()
            .map(|route| {
                serde_json::json!({
                    "method": route.http_method(),
                    "path": route.template(),
                    "rpc": route.method().full_name(),
                    "body": body(route.body()),
                    "response_body": route.response_body(),
                    "streaming": streaming(route.method()),
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut stdout, &rows).map_err(io::Error::from)?;
        return Ok(writeln!(stdout)?);
    }
    let rows: Vec<[String; 4]> =
        std::iter::once(["METHOD", "PATH", "RPC", "BODY"].map(str::to_owned))
            .chain(routes.iter().map(|route| {
                let method = route.method();
                let streaming = streaming(method)
                    .map(|kind| format!(" ({kind} stream)"))
                    .unwrap_or_default();
                [
                    route.http_method().to_owned(),
                    route.template().to_owned(),
                    format!("{}{streaming}", method.full_name()),
                    body(route.body()).unwrap_or("-").to_owned(),
                ]
            }))
            .collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [method, path, rpc, _] = widths;
    for [a, b, c, d] in &rows {
        writeln!(stdout, "{a:method$}  {b:path$}  {c:rpc$}  {d}")?;
    }
    Ok(())
}

/// What the rule says of the body.
fn body(body: Body<'_>) -> Option<&str> {
    match body {
        Body::Ignored => None,
        Body::Whole => Some("*"),
        Body::Field(name) => Some(name),
    }
}

/// Which sides stream, if any.
fn streaming(method: Method<'_>) -> Option<&'static str> {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => None,
        (false, true) => Some("server"),
        (true, false) => Some("client"),
        (true, true) => Some("bidi"),
    }
}
