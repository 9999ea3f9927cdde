//! `transom serve` and `transom demo`. In: what to serve and where. Out: a running gateway, until a signal ends it.
//! Always: the line `listening on http://ADDR` comes when every worker accepts, and not before.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;
use transom_engine::{Body, Route, Schema};

use super::{Failure, compile, count, tell};
use crate::aside::Aside;
use crate::config::{ConfigFile, JsonArgs, RunArgs, ServeArgs};
use crate::relay::{BadGateway, Context, Gateway};
use crate::schema_source::{self, LoadedSchema};
use crate::upstream::{PoolSettings, Target, Upstream};
use crate::worker::{self, Ended, StartError, WorkerSettings, Workers};
use crate::{cores, downstream, limits};

pub(super) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let _log = start_log();
    let file = ConfigFile::read(args.config.as_deref())?;
    let upstream = args.upstream(&file)?;
    let sources = args.schema.sources(&file, Some(&upstream));
    let loaded = schema_source::load_schema(&sources, &mut |wait| {
        tell(&wait.to_string());
        ControlFlow::Continue(())
    })?;
    let (gateway, workers) = start(
        &loaded,
        upstream.target,
        &upstream.text,
        &args.run,
        &args.json,
        &file,
    )?;
    let base = format!("http://{}", workers.address());
    tell(&format!("listening on {base}"));
    if let Some(line) = example(gateway.schema(), &base) {
        tell(&format!("try: {line}"));
    }
    run(workers)
}

#[cfg(feature = "demo")]
pub(super) fn demo(args: &crate::config::DemoArgs) -> Result<(), Failure> {
    use crate::demo;

    let _log = start_log();
    let server = demo::start()
        .map_err(|error| Failure::Ours(format!("the sample service cannot start: {error}")))?;
    let url = server.url();
    let target = url
        .parse::<Target>()
        .map_err(|error| Failure::Ours(error.to_string()))?;
    let loaded = LoadedSchema {
        descriptor_set: demo::DESCRIPTOR_SET.to_vec(),
        origin: "the sample bookstore in this process".to_owned(),
        warnings: Vec::new(),
    };
    let (_gateway, workers) = start(
        &loaded,
        target,
        &url,
        &args.run,
        &args.json,
        &ConfigFile::default(),
    )?;
    let base = format!("http://{}", workers.address());
    tell("\nPaste any of these into another terminal:\n");
    for example in demo::EXAMPLES {
        tell(&format!("# {}\n{}\n", example.shows, example.curl(&base)));
    }
    tell(&format!("listening on {base}"));
    run(workers)
}

/// Compiles the schema, tells what was loaded from where, and starts the workers.
fn start(
    loaded: &LoadedSchema,
    target: Target,
    url: &str,
    args: &RunArgs,
    json: &JsonArgs,
    file: &ConfigFile,
) -> Result<(Arc<Gateway>, Workers), Failure> {
    for warning in &loaded.warnings {
        tell(&format!("warning: {warning}"));
    }
    let mut answers = json.answers(file);
    args.apply(&mut answers);
    let schema = compile(&loaded.descriptor_set, &answers.options, file)?;
    let counts = format!(
        "{} in {}, {}",
        count(schema.methods().len(), "method"),
        count(schema.service_count(), "service"),
        count(schema.routes().len(), "route")
    );
    if schema.methods().len() == 0 {
        return Err(Failure::Input(format!(
            "{}: there is no service in it; expected at least one",
            loaded.origin
        )));
    }
    let pool = PoolSettings {
        codec: args.upstream_codec(file),
        connection_count: args.upstream_connections(file),
        message_len_max: answers.manners.sizes.response_len_max,
        ..PoolSettings::default()
    };
    let upstream = Upstream::new(target, pool.clone())
        .map_err(|error| Failure::Ours(format!("cannot start looking names up: {error}")))?;
    let origin = file.unknown_paths_to().map(|url| {
        Upstream::new(url.target.clone(), PoolSettings::default())
            .map_err(|error| Failure::Ours(format!("cannot start looking names up: {error}")))
    });
    let gateway = Gateway::new(schema, answers.manners, upstream).map_err(|bad| match bad {
        BadGateway::Manners(bad) => Failure::input(file.misfit(&bad)),
        BadGateway::MethodName(_) => Failure::input(bad),
    })?;
    let settings = worker_settings(args, file, pool.connection_count);
    let aside = Aside::start(settings.worker_count)
        .map_err(|error| Failure::Ours(format!("cannot start threads: {error}")))?;
    let gateway = gateway.passing_unknown_paths_to(origin.transpose()?);
    let gateway = Arc::new(gateway.with_aside(aside));
    let shared = Arc::clone(&gateway);
    let workers = worker::start(&settings, move |worker| {
        let context = Rc::new(Context::new(Arc::clone(&shared), worker));
        move |accepted| downstream::serve(accepted, Rc::clone(&context))
    })
    .map_err(|error| match error {
        StartError::Listen { .. } => {
            Failure::input(format!("{error}; another --listen ADDR may be free"))
        }
        StartError::Worker(_) => Failure::input(error),
    })?;

    // Before anybody is told that we are ready: a signal from then on drains.
    workers
        .watch_signals()
        .map_err(|error| Failure::Ours(format!("cannot watch for signals: {error}")))?;

    let io = workers
        .reports()
        .next()
        .map_or("no driver", |report| report.driver.name());
    tell(concat!("transom ", env!("CARGO_PKG_VERSION")));
    tell(&format!("  schema    {counts}, from {}", loaded.origin));
    tell(&format!("  upstream  {url}"));
    tell(&format!("  workers   {}, {io}", settings.worker_count));
    Ok((gateway, workers))
}

fn worker_settings(args: &RunArgs, file: &ConfigFile, upstream_count: usize) -> WorkerSettings {
    let mut settings = WorkerSettings::new(args.listen(file));
    settings.io = args.io(file);
    if let Some(workers) = args.workers(file) {
        settings.worker_count = workers.get();
    }
    let worker_count = settings.worker_count;
    if file.unknown_paths_to().is_none() {
        // Nothing else would give a client's connection one of its own upstream.
        settings.connection_count_max = limits::connection_count_max_sharing(
            limits::descriptor_count_limit(),
            worker_count,
            upstream_count,
        );
    }
    if args.pins_workers(file) {
        match cores::allowed() {
            Ok(cores) => {
                if cores.len() < worker_count {
                    tell(&format!(
                        "warning: --pin-workers: {} on {}: some share one",
                        count(worker_count, "worker"),
                        count(cores.len(), "core")
                    ));
                }
                settings.cores = cores;
            }
            Err(error) => tell(&format!(
                "warning: --pin-workers: the cores of this process cannot be told: {error}; workers are not pinned"
            )),
        }
    }
    settings
}

/// Serves until a signal ends it.
fn run(workers: Workers) -> Result<(), Failure> {
    match workers.run() {
        Ended::Drained => Ok(()),
        Ended::TimedOut => Err(Failure::Ours(
            "some connections had not ended in time and were cut".to_owned(),
        )),
        Ended::Forced => Err(Failure::Ours(
            "a second signal ended the process before its connections".to_owned(),
        )),
    }
}

/// Starts the log, which ends with the guard.
fn start_log() -> WorkerGuard {
    // Lines wait in a bounded queue and are dropped when it is full: a reader that has stopped must not stop the workers (THREATS I4).
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(LevelFilter::WARN)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // A second start, in a test, keeps the first one's.
    let _first = log.try_init();
    guard
}

/// A `curl` line that this schema answers: a GET if there is one, with as few variables as can be.
fn example(schema: &Schema, base: &str) -> Option<String> {
    let unary = |route: &Route<'_>| {
        !route.method().is_client_streaming() && !route.method().is_server_streaming()
    };
    let route = schema.routes().filter(unary).min_by_key(|route| {
        (
            route.http_method() != "GET",
            route.http_method() != "POST",
            route.variables().len(),
        )
    })?;
    let path = example_path(route.template());
    Some(match (route.http_method(), route.body()) {
        ("GET", _) => format!("curl '{base}{path}'"),
        ("POST", Body::Whole) => format!("curl -d '{{}}' '{base}{path}'"),
        (method, _) => format!("curl -X {method} '{base}{path}'"),
    })
}

/// A path that a template matches: each wildcard becomes `x`.
fn example_path(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, variable)) = rest.split_once('{') {
        path.push_str(before);
        let (variable, after) = variable.split_once('}').unwrap_or((variable, ""));
        path.push_str(
            variable
                .split_once('=')
                .map_or("*", |(_, segments)| segments),
        );
        rest = after;
    }
    path.push_str(rest);
    path.replace("**", "x").replace('*', "x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_a_template_become_values() {
        assert_eq!(
            example_path("/v1/{name=shelves/*/books/*}:archive"),
            "/v1/shelves/x/books/x:archive"
        );
        assert_eq!(example_path("/v1/hello/{name}"), "/v1/hello/x");
        assert_eq!(example_path("/files/{path=**}"), "/files/x");
    }
}
