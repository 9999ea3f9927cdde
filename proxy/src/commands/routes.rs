//! `transom routes`: the table of routes. In: a schema. Out: one line a route, or a JSON array.
//! Always: the same order: by path, then by method.

use std::io::{self, Write};

use transom_engine::Options;

use super::{Failure, load_schema};
use crate::config::RoutesArgs;

pub(super) fn run(args: &RoutesArgs) -> Result<(), Failure> {
    let schema = load_schema(&args.source, &Options::default())?;
    let mut routes: Vec<_> = schema.routes().collect();
    routes.sort_by_key(|route| (route.template().to_owned(), route.http_method().to_owned()));
    let mut stdout = io::stdout().lock();
    if args.json {
        let rows: Vec<_> = routes
            .iter()
            .map(|route| {
                serde_json::json!({
                    "method": route.http_method(),
                    "path": route.template(),
                    "rpc": route.rpc(),
                    "body": route.body(),
                    "response_body": route.response_body(),
                    "streaming": route.streaming(),
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut stdout, &rows).map_err(io::Error::from)?;
        return Ok(writeln!(stdout)?);
    }
    let rows: Vec<[String; 4]> = std::iter::once(["METHOD", "PATH", "RPC", "BODY"].map(str::to_owned))
        .chain(routes.iter().map(|route| {
            let streaming = route.streaming().map(|kind| format!(" ({kind} stream)")).unwrap_or_default();
            [
                route.http_method().to_owned(),
                route.template().to_owned(),
                format!("{}{streaming}", route.rpc()),
                route.body().unwrap_or("-").to_owned(),
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
