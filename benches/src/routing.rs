//! Paths among a thousand templates. In: nothing. Out: contenders that find routes. Always: each finds the template that its path was made
//! from, or nothing where there is none, before it is timed.
//!
//! The templates are those of a hundred collections as large APIs have them: at the top and below projects and locations, with verbs, so
//! that the first segments are shared by nearly all.

use std::hint::black_box;

use transom_engine::TemplateTable;
use transom_engine::route::Scratch;

use crate::Contender;

const COLLECTION_COUNT: usize = 100;

type Rule = (&'static str, &'static str, &'static str, &'static str);

/// What each collection has: a name for it, a method, a template and a path that takes it. `#` is the number of the collection.
const RULES: [Rule; 10] = [
    ("list", "GET", "/v1/things#", "/v1/things#"),
    ("create", "POST", "/v1/things#", "/v1/things#"),
    ("get", "GET", "/v1/{name=things#/*}", "/v1/things#/a-7"),
    (
        "delete",
        "DELETE",
        "/v1/{name=things#/*}",
        "/v1/things#/a-7",
    ),
    (
        "undelete",
        "POST",
        "/v1/{name=things#/*}:undelete",
        "/v1/things#/a-7:undelete",
    ),
    (
        "list below",
        "GET",
        "/v1/{parent=projects/*/locations/*}/things#",
        "/v1/projects/acme-42/locations/europe-west1/things#",
    ),
    (
        "get below",
        "GET",
        "/v1/{name=projects/*/locations/*/things#/*}",
        "/v1/projects/acme-42/locations/europe-west1/things#/a-7",
    ),
    (
        "patch below",
        "PATCH",
        "/v1/{thing.name=projects/*/locations/*/things#/*}",
        "/v1/projects/acme-42/locations/europe-west1/things#/a-7",
    ),
    (
        "move below",
        "POST",
        "/v1/{name=projects/*/locations/*/things#/*}:move",
        "/v1/projects/acme-42/locations/europe-west1/things#/a-7:move",
    ),
    (
        "get part",
        "GET",
        "/v1/{name=projects/*/locations/*/things#/*/parts/*}",
        "/v1/projects/acme-42/locations/europe-west1/things#/a-7/parts/3",
    ),
];

/// A thousand templates, and a path for each.
#[derive(Debug)]
pub struct ThousandTemplates {
    table: TemplateTable,
    /// Method and path, in the order of the templates: all of the first rule, then all of the second.
    requests: Vec<(&'static str, String)>,
}

impl ThousandTemplates {
    /// Compiles them.
    ///
    /// # Panics
    /// When a path does not find its template.
    pub fn load() -> Self {
        let of_each = |text: fn(&Rule) -> &'static str| {
            RULES.iter().flat_map(move |rule| {
                let text = text(rule);
                (0..COLLECTION_COUNT)
                    .map(move |number| (rule.1, text.replace('#', &number.to_string())))
            })
        };
        let templates: Vec<_> = of_each(|rule| rule.2).collect();
        let requests: Vec<_> = of_each(|rule| rule.3).collect();
        let rules = templates
            .iter()
            .map(|(http_method, text)| (*http_method, text.as_str()));
        let table = TemplateTable::new(rules).expect("the templates are valid and differ");
        let mut scratch = Scratch::default();
        for (index, (http_method, path)) in requests.iter().enumerate() {
            let found = table.find(http_method.as_bytes(), path.as_bytes(), &mut scratch);
            assert_eq!(found, Ok(index), "{http_method} {path}");
        }
        Self { table, requests }
    }

    /// Finds one path after the other of these.
    fn contender<'t>(
        &'t self,
        name: &str,
        requests: &'t [(&'static str, String)],
    ) -> Contender<'t> {
        let mut scratch = Scratch::default();
        let mut next = requests.iter().cycle();
        Contender::new(name, move || {
            let (http_method, path) = next.next().expect("a cycle does not end");
            self.table.find(
                black_box(http_method.as_bytes()),
                black_box(path.as_bytes()),
                &mut scratch,
            )
        })
    }
}

/// Routes of a thousand: by each kind of path, each time of another collection, then by all paths in turn, then by one that has none.
///
/// # Panics
/// When the one finds a route.
pub fn routing_contenders(templates: &ThousandTemplates) -> Vec<Contender<'_>> {
    let mut contenders: Vec<_> = RULES
        .iter()
        .zip(templates.requests.chunks(COLLECTION_COUNT))
        .map(|((_, http_method, template, _), requests)| {
            templates.contender(&format!("{http_method} {template}"), requests)
        })
        .collect();
    contenders.push(templates.contender("all in turn", &templates.requests));
    contenders.push(no_route(templates, "no route"));
    contenders
}

/// The same by one path of each kind, named shortly: the figure in the middle is that of the median path, the largest that of the worst.
///
/// # Panics
/// When the path without a route finds one.
pub fn single_routing_contenders(templates: &ThousandTemplates) -> Vec<Contender<'_>> {
    let kinds = RULES
        .iter()
        .zip(templates.requests.chunks(COLLECTION_COUNT));
    let mut contenders: Vec<_> = kinds
        .map(|((name, ..), requests)| {
            let middle = requests.get(COLLECTION_COUNT / 2..=COLLECTION_COUNT / 2);
            let middle = middle.expect("each collection has a path of each kind");
            templates.contender(&format!("find/{name}"), middle)
        })
        .collect();
    contenders.push(no_route(templates, "find/nothing"));
    contenders
}

fn no_route<'t>(templates: &'t ThousandTemplates, name: &str) -> Contender<'t> {
    let mut scratch = Scratch::default();
    let mut find = move || {
        let path = b"/v1/projects/acme-42/locations/europe-west1/nothing/a-7";
        templates.table.find(b"GET", black_box(path), &mut scratch)
    };
    assert!(find().is_err());
    Contender::new(name, find)
}
