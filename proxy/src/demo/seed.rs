//! What stands in the bookstore when it opens. In: nothing. Out: shelves, books and files.
//! Always: the same, so that the examples' answers are known.

use prost_types::{Duration, Struct, Timestamp, Value, value::Kind};

use super::generated::bookstore_v1::{Author, Book, File, Genre, Price, Shelf, book::Identifier};

/// 2024-01-01T00:00:00Z, when the shop opened.
const OPENED: Timestamp = Timestamp {
    seconds: 1_704_067_200,
    nanos: 0,
};

pub(super) fn shelves() -> Vec<Shelf> {
    [
        ("fiction", "Fiction"),
        ("poetry", "Poems"),
        ("science", "Science & engineering"),
    ]
    .map(|(id, theme)| Shelf {
        name: format!("shelves/{id}"),
        theme: theme.to_owned(),
        create_time: Some(OPENED),
    })
    .into()
}

pub(super) fn books() -> Vec<Book> {
    vec![
        Book {
            name: "shelves/fiction/books/dune".to_owned(),
            title: "Dune".to_owned(),
            authors: vec![author("Frank", "Herbert")],
            genre: Genre::Novel.into(),
            identifier: Some(Identifier::Isbn("9780441013593".to_owned())),
            rating: Some(4.5),
            page_count: 412,
            stock: 5,
            price: Some(euros(9, 990_000_000)),
            tags: strings(&["classic", "desert"]),
            labels: [("language".to_owned(), "en".to_owned())].into(),
            // 1965-08-01.
            publish_time: Some(time(-139_449_600)),
            reading_time: Some(hours(21)),
            cover_digest: vec![0xd0, 0x4e, 0xff, 0x00],
            extra: Some(Struct {
                fields: [
                    ("series".to_owned(), text("Dune Chronicles")),
                    ("volume".to_owned(), number(1.0)),
                ]
                .into(),
            }),
            ..opened_with()
        },
        Book {
            name: "shelves/fiction/books/middlemarch".to_owned(),
            title: "Middlemarch".to_owned(),
            authors: vec![author("George", "Eliot")],
            genre: Genre::Novel.into(),
            identifier: Some(Identifier::CatalogueNumber(9_007_199_254_740_993)),
            page_count: 880,
            stock: 2,
            price: Some(euros(12, 500_000_000)),
            tags: strings(&["classic"]),
            subtitle: Some("A Study of Provincial Life".to_owned()),
            // 1871-12-01.
            publish_time: Some(time(-3_095_280_000)),
            reading_time: Some(hours(35)),
            ..opened_with()
        },
        Book {
            name: "shelves/poetry/books/leaves-of-grass".to_owned(),
            title: "Leaves of Grass".to_owned(),
            authors: vec![author("Walt", "Whitman")],
            genre: Genre::Poetry.into(),
            // Rated, with nought: not the same as not rated.
            rating: Some(0.0),
            page_count: 95,
            stock: 1,
            price: Some(euros(7, 0)),
            // 1855-07-04.
            publish_time: Some(time(-3_613_161_600)),
            ..opened_with()
        },
        Book {
            name: "shelves/science/books/on-the-origin-of-species".to_owned(),
            title: "On the Origin of Species".to_owned(),
            authors: vec![author("Charles", "Darwin")],
            genre: Genre::Textbook.into(),
            rating: Some(5.0),
            page_count: 502,
            stock: 0,
            price: Some(euros(10, 0)),
            tags: strings(&["classic", "biology"]),
            // 1859-11-24.
            publish_time: Some(time(-3_474_576_000)),
            ..opened_with()
        },
        Book {
            name: "shelves/science/books/the-art-of-computer-programming".to_owned(),
            title: "The Art of Computer Programming".to_owned(),
            authors: vec![author("Donald", "Knuth")],
            genre: Genre::Textbook.into(),
            page_count: 3168,
            stock: 3,
            price: Some(euros(250, 0)),
            tags: strings(&["computing"]),
            subtitle: Some("Volumes 1 to 4A".to_owned()),
            // 1968-01-01.
            publish_time: Some(time(-63_158_400)),
            ..opened_with()
        },
    ]
}

pub(super) fn files() -> Vec<File> {
    [
        ("covers/dune.txt", "~~~~ sand, and a moon ~~~~\n"),
        ("covers/small/dune.txt", "~ sand ~\n"),
        ("opening-hours.txt", "Mon-Sat 9:00-18:00\n"),
    ]
    .map(|(path, content)| File {
        path: path.to_owned(),
        content_type: "text/plain; charset=utf-8".to_owned(),
        content: content.into(),
    })
    .into()
}

fn opened_with() -> Book {
    Book {
        create_time: Some(OPENED),
        update_time: Some(OPENED),
        ..Book::default()
    }
}

fn author(given_name: &str, family_name: &str) -> Author {
    Author {
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
    }
}

fn euros(units: i64, nanos: i32) -> Price {
    Price {
        currency: "EUR".to_owned(),
        units,
        nanos,
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn time(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn hours(hours: i64) -> Duration {
    Duration {
        seconds: hours * 3600,
        nanos: 0,
    }
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn number(number: f64) -> Value {
    Value {
        kind: Some(Kind::NumberValue(number)),
    }
}
