//! The bookstore's data. In: shelves and books by name. Out: the same, in pages.
//! Always: at most `SHELF_COUNT_MAX` shelves and `BOOK_COUNT_MAX` books of `ITEM_LEN_MAX` bytes; a book's shelf exists.

use std::collections::BTreeMap;
use std::ops::Bound;

use prost::Message;
use tonic::Status;

use super::failure;
use super::generated::bookstore_v1::{Book, Shelf};

const SHELF_COUNT_MAX: usize = 100;
const BOOK_COUNT_MAX: usize = 1000;
/// Encoded bytes of one shelf or book.
const ITEM_LEN_MAX: usize = 16 << 10;
const ID_LEN_MAX: usize = 63;
const PAGE_SIZE_DEFAULT: usize = 10;
const PAGE_SIZE_MAX: usize = 100;

/// Shelves and books by resource name, so in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Store {
    shelves: BTreeMap<String, Shelf>,
    books: BTreeMap<String, Book>,
    /// The last id that the store made up.
    last_id: u64,
}

/// Some items, and the token to go on with.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_page_token: String,
}

impl Store {
    pub(super) fn shelf(&self, name: &str) -> Result<&Shelf, Status> {
        self.shelves
            .get(name)
            .ok_or_else(|| failure::not_found("Shelf", name))
    }

    pub(super) fn book(&self, name: &str) -> Result<&Book, Status> {
        self.books
            .get(name)
            .ok_or_else(|| failure::not_found("Book", name))
    }

    pub(super) fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves.values()
    }

    /// The books of one shelf, or of all if `shelf` is empty.
    pub(super) fn books<'a>(&'a self, shelf: &'a str) -> impl Iterator<Item = &'a Book> {
        self.books
            .values()
            .filter(move |book| shelf.is_empty() || shelf_of(&book.name) == shelf)
    }

    pub(super) fn page_of_shelves(
        &self,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Shelf>, Status> {
        page_of(&self.shelves, page_size, page_token, |_| true)
    }

    pub(super) fn page_of_books(
        &self,
        page_size: i32,
        page_token: &str,
        is_wanted: impl Fn(&Book) -> bool,
    ) -> Result<Page<Book>, Status> {
        page_of(&self.books, page_size, page_token, is_wanted)
    }

    /// The name for a new item below `collection`, with the id asked for or one made up.
    pub(super) fn new_name(
        &mut self,
        collection: &str,
        id_field: &str,
        id: &str,
    ) -> Result<String, Status> {
        if !id.is_empty() {
            check_id(id_field, id)?;
            return Ok(format!("{collection}/{id}"));
        }
        self.last_id = self.last_id.saturating_add(1);
        Ok(format!("{collection}/new-{}", self.last_id))
    }

    pub(super) fn add_shelf(&mut self, shelf: Shelf) -> Result<Shelf, Status> {
        if self.shelves.contains_key(&shelf.name) {
            return Err(failure::already_exists("Shelf", &shelf.name));
        }
        check_len("shelf", &shelf)?;
        check_count("shelves", self.shelves.len(), SHELF_COUNT_MAX)?;
        self.shelves.insert(shelf.name.clone(), shelf.clone());
        Ok(shelf)
    }

    pub(super) fn add_book(&mut self, book: Book) -> Result<Book, Status> {
        self.shelf(shelf_of(&book.name))?;
        if self.books.contains_key(&book.name) {
            return Err(failure::already_exists("Book", &book.name));
        }
        check_len("book", &book)?;
        check_count("books", self.books.len(), BOOK_COUNT_MAX)?;
        self.books.insert(book.name.clone(), book.clone());
        Ok(book)
    }

    /// Puts `book` in the place of the one of its name.
    pub(super) fn replace_book(&mut self, book: Book) -> Result<Book, Status> {
        check_len("book", &book)?;
        let present = self
            .books
            .get_mut(&book.name)
            .ok_or_else(|| failure::not_found("Book", &book.name))?;
        present.clone_from(&book);
        Ok(book)
    }

    pub(super) fn remove_shelf(&mut self, name: &str) -> Result<(), Status> {
        self.shelf(name)?;
        if self.books(name).next().is_some() {
            return Err(failure::precondition(
                "SHELF_NOT_EMPTY",
                name,
                "there are still books on the shelf",
            ));
        }
        self.shelves.remove(name);
        Ok(())
    }

    pub(super) fn remove_book(&mut self, name: &str) -> Result<Book, Status> {
        self.books
            .remove(name)
            .ok_or_else(|| failure::not_found("Book", name))
    }
}

/// `shelves/fiction` of `shelves/fiction/books/dune`.
pub(super) fn shelf_of(book_name: &str) -> &str {
    book_name
        .split_once("/books/")
        .map_or("", |(shelf, _)| shelf)
}

/// The token is the name of the page's last item: it stays good when items come and go.
fn page_of<T: Clone>(
    items: &BTreeMap<String, T>,
    page_size: i32,
    page_token: &str,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<Page<T>, Status> {
    let page_size = match usize::try_from(page_size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(page_size) => page_size.min(PAGE_SIZE_MAX),
        Err(_negative) => return Err(failure::bad_field("page_size", "must not be negative")),
    };
    let mut rest = items
        .range::<str, _>((Bound::Excluded(page_token), Bound::Unbounded))
        .filter(|(_, item)| is_wanted(item));
    let page: Vec<(&String, &T)> = rest.by_ref().take(page_size).collect();
    let next_page_token = match (page.last(), rest.next()) {
        (Some((name, _)), Some(_)) => (*name).clone(),
        _ => String::new(),
    };
    Ok(Page {
        items: page.into_iter().map(|(_, item)| item.clone()).collect(),
        next_page_token,
    })
}

fn check_id(field: &str, id: &str) -> Result<(), Status> {
    let is_valid = id.len() <= ID_LEN_MAX
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_valid {
        return Ok(());
    }
    Err(failure::bad_field(
        field,
        "must be 1 to 63 characters of a-z, 0-9 and \"-\"",
    ))
}

fn check_len(field: &str, item: &impl Message) -> Result<(), Status> {
    if item.encoded_len() <= ITEM_LEN_MAX {
        return Ok(());
    }
    Err(failure::bad_field(
        field,
        "must not take more than 16 KiB in protobuf",
    ))
}

fn check_count(what: &str, count: usize, count_max: usize) -> Result<(), Status> {
    if count < count_max {
        return Ok(());
    }
    let message = format!("the store holds {count_max} {what} already; delete some");
    Err(failure::exhausted("STORE_FULL", message, 60))
}
