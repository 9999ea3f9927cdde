//! The bookstore's methods. In: requests as the generated code decodes them. Out: answers, or statuses with details.
//! Always: the store is locked for the time of one plain step, never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prost_types::{FieldMask, Timestamp};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::failure;
use super::generated::bookstore_v1 as v1;
use super::generated::bookstore_v1::bookstore_server::Bookstore;
use super::generated::bookstore_v1::{Book, BookFilter, EveryKind, Genre, Shelf};
use super::generated::google_api::HttpBody;
use super::seed;
use super::store::{Store, shelf_of};
use super::streams::{self, Watch};

const DELAY_MAX: Duration = Duration::from_secs(10);
const NANOS_IN_UNIT: i128 = 1_000_000_000;
/// When it is worth asking again for a book that is sold out.
const RESTOCK_SECONDS: i64 = 30;
const ARCHIVE_LABEL: &str = "archive-reason";
/// Fields of a book that only the server sets; in an update mask they are passed over.
const FIELDS_OF_SERVER: [&str; 4] = ["name", "archived", "create_time", "update_time"];

/// The shop: what is on its shelves, and how to ask for it.
#[derive(Debug)]
pub(super) struct Shop {
    /// Shared with the streams that go on after their method has returned.
    store: Arc<Mutex<Store>>,
    files: Vec<v1::File>,
}

impl Default for Shop {
    fn default() -> Self {
        let mut store = Store::default();
        for shelf in seed::shelves() {
            store
                .add_shelf(shelf)
                .expect("the seed has each shelf once");
        }
        for book in seed::books() {
            store
                .add_book(book)
                .expect("the seed has each book once, on a shelf that it has");
        }
        Self {
            store: Arc::new(Mutex::new(store)),
            files: seed::files(),
        }
    }
}

impl Shop {
    fn store(&self) -> MutexGuard<'_, Store> {
        open(&self.store)
    }

    /// Puts a new book on a shelf.
    fn add_book(&self, shelf: &str, id: &str, mut book: Book) -> Result<Book, Status> {
        check_book(&book)?;
        let mut store = self.store();
        store.shelf(shelf)?;
        book.name = store.new_name(&format!("{shelf}/books"), "book_id", id)?;
        book.archived = false;
        book.create_time = Some(now());
        book.update_time = book.create_time;
        store.add_book(book)
    }

    /// Changes one book and notes when.
    fn change_book(
        &self,
        name: &str,
        change: impl FnOnce(&mut Book) -> Result<(), Status>,
    ) -> Result<Book, Status> {
        let mut store = self.store();
        let mut book = store.book(name)?.clone();
        change(&mut book)?;
        book.update_time = Some(now());
        store.replace_book(book)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Bookstore for Shop {
    async fn list_shelves(
        &self,
        request: Request<v1::ListShelvesRequest>,
    ) -> Answer<v1::ListShelvesResponse> {
        let request = request.into_inner();
        let page = self
            .store()
            .page_of_shelves(request.page_size, &request.page_token)?;
        Ok(Response::new(v1::ListShelvesResponse {
            shelves: page.items,
            next_page_token: page.next_page_token,
        }))
    }

    async fn get_shelf(&self, request: Request<v1::GetShelfRequest>) -> Answer<Shelf> {
        let shelf = self.store().shelf(&request.get_ref().name)?.clone();
        Ok(Response::new(shelf))
    }

    async fn create_shelf(&self, request: Request<v1::CreateShelfRequest>) -> Answer<Shelf> {
        let request = request.into_inner();
        let mut shelf = request.shelf.unwrap_or_default();
        if shelf.theme.is_empty() {
            return Err(failure::bad_field("shelf.theme", "must not be empty"));
        }
        let mut store = self.store();
        shelf.name = store.new_name("shelves", "shelf_id", &request.shelf_id)?;
        shelf.create_time = Some(now());
        Ok(Response::new(store.add_shelf(shelf)?))
    }

    async fn delete_shelf(&self, request: Request<v1::DeleteShelfRequest>) -> Answer<()> {
        self.store().remove_shelf(&request.get_ref().name)?;
        Ok(Response::new(()))
    }

    async fn list_books(
        &self,
        request: Request<v1::ListBooksRequest>,
    ) -> Answer<v1::ListBooksResponse> {
        let request = request.into_inner();
        let filter = request.filter.unwrap_or_default();
        let shelf = request.parent.as_str();
        let store = self.store();
        if !shelf.is_empty() {
            store.shelf(shelf)?;
        }
        let page = store.page_of_books(request.page_size, &request.page_token, |book| {
            (shelf.is_empty() || shelf_of(&book.name) == shelf) && passes(&filter, book)
        })?;
        Ok(Response::new(v1::ListBooksResponse {
            books: page.items,
            next_page_token: page.next_page_token,
        }))
    }

    async fn get_book(&self, request: Request<v1::GetBookRequest>) -> Answer<Book> {
        let request = request.into_inner();
        let mut book = self.store().book(&request.name)?.clone();
        if let Some(mask) = fields_of(request.read_mask) {
            let mut masked = Book::default();
            for path in mask {
                move_field("read_mask", &path, &mut book, &mut masked)?;
            }
            book = masked;
        }
        Ok(Response::new(book))
    }

    async fn create_book(&self, request: Request<v1::CreateBookRequest>) -> Answer<Book> {
        let request = request.into_inner();
        let book = request.book.unwrap_or_default();
        let book = self.add_book(&request.parent, &request.book_id, book)?;
        Ok(Response::new(book))
    }

    async fn update_book(&self, request: Request<v1::UpdateBookRequest>) -> Answer<Book> {
        let request = request.into_inner();
        let mut given = request.book.unwrap_or_default();
        let name = std::mem::take(&mut given.name);
        let mask = fields_of(request.update_mask);
        let book = self.change_book(&name, |book| {
            if let Some(mask) = mask {
                for path in mask {
                    if !FIELDS_OF_SERVER.contains(&path.as_str()) {
                        move_field("update_mask", &path, &mut given, book)?;
                    }
                }
            } else {
                let mut replaced = std::mem::replace(book, given);
                for path in FIELDS_OF_SERVER {
                    move_field("update_mask", path, &mut replaced, book)?;
                }
            }
            check_book(book)
        })?;
        Ok(Response::new(book))
    }

    async fn delete_book(&self, request: Request<v1::DeleteBookRequest>) -> Answer<()> {
        self.store().remove_book(&request.get_ref().name)?;
        Ok(Response::new(()))
    }

    async fn archive_book(&self, request: Request<v1::ArchiveBookRequest>) -> Answer<Book> {
        let request = request.into_inner();
        let book = self.change_book(&request.name, |book| {
            book.archived = true;
            if !request.reason.is_empty() {
                book.labels.insert(ARCHIVE_LABEL.to_owned(), request.reason);
            }
            Ok(())
        })?;
        Ok(Response::new(book))
    }

    async fn move_book(&self, request: Request<v1::MoveBookRequest>) -> Answer<Book> {
        let request = request.into_inner();
        let mut store = self.store();
        store.shelf(&request.target)?;
        let book = store.book(&request.name)?;
        let id = book.name.rsplit('/').next().unwrap_or_default();
        let mut moved = book.clone();
        moved.name = format!("{}/books/{id}", request.target);
        moved.update_time = Some(now());
        if store.book(&moved.name).is_ok() {
            return Err(failure::already_exists("Book", &moved.name));
        }
        store.remove_book(&request.name)?;
        Ok(Response::new(store.add_book(moved)?))
    }

    async fn buy_book(&self, request: Request<v1::BuyBookRequest>) -> Answer<v1::Receipt> {
        let v1::BuyBookRequest { name, count } = request.into_inner();
        if count < 1 {
            return Err(failure::bad_field("count", "must be at least 1"));
        }
        let book = self.change_book(&name, |book| {
            check_not_archived(book)?;
            if i64::from(count) > book.stock {
                let message = format!("{name}: {count} asked for, {} in stock", book.stock);
                return Err(failure::exhausted("OUT_OF_STOCK", message, RESTOCK_SECONDS));
            }
            book.stock -= i64::from(count);
            Ok(())
        })?;
        Ok(Response::new(v1::Receipt {
            total: book
                .price
                .map(|price| multiply(&price, count))
                .transpose()?,
            book: book.name,
            count,
            stock: book.stock,
        }))
    }

    async fn check_out_book(&self, request: Request<v1::CheckOutBookRequest>) -> Answer<Book> {
        let book = self.change_book(&request.get_ref().name, |book| {
            check_not_archived(book)?;
            if book.stock < 1 {
                let message = format!("{}: no copy in stock", book.name);
                return Err(failure::exhausted("OUT_OF_STOCK", message, RESTOCK_SECONDS));
            }
            book.stock -= 1;
            Ok(())
        })?;
        Ok(Response::new(book))
    }

    async fn list_titles(
        &self,
        _request: Request<v1::ListTitlesRequest>,
    ) -> Answer<v1::ListTitlesResponse> {
        let titles = self
            .store()
            .books("")
            .map(|book| book.title.clone())
            .collect();
        Ok(Response::new(v1::ListTitlesResponse { titles }))
    }

    async fn get_file(&self, request: Request<v1::GetFileRequest>) -> Answer<v1::File> {
        let path = &request.get_ref().path;
        self.files
            .iter()
            .find(|file| file.path == *path)
            .map(|file| Response::new(file.clone()))
            .ok_or_else(|| failure::not_found("File", path))
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Answer<v1::WaitResponse> {
        let delay = bounded_delay("delay", request.get_ref().delay)?;
        let start = tokio::time::Instant::now();
        tokio::time::sleep(delay).await;
        Ok(Response::new(v1::WaitResponse {
            waited: prost_types::Duration::try_from(start.elapsed()).ok(),
        }))
    }

    async fn echo(&self, request: Request<EveryKind>) -> Answer<EveryKind> {
        Ok(Response::new(request.into_inner()))
    }

    async fn count_books(
        &self,
        _request: Request<v1::CountBooksRequest>,
    ) -> Answer<v1::CountBooksResponse> {
        let store = self.store();
        let mut by_shelf: HashMap<String, i64> = store
            .shelves()
            .map(|shelf| (shelf.name.clone(), 0))
            .collect();
        let mut count = 0;
        for book in store.books("") {
            count += 1;
            *by_shelf.entry(shelf_of(&book.name).to_owned()).or_default() += 1;
        }
        Ok(Response::new(v1::CountBooksResponse { count, by_shelf }))
    }

    type WatchBooksStream = ReceiverStream<Result<Book, Status>>;

    async fn watch_books(
        &self,
        request: Request<v1::WatchBooksRequest>,
    ) -> Answer<Self::WatchBooksStream> {
        let request = request.into_inner();
        self.store().shelf(&request.parent)?;
        let watch = Watch::new(request)?;
        Ok(streams::watch(Arc::clone(&self.store), watch))
    }

    async fn import_books(
        &self,
        request: Request<Streaming<v1::ImportBooksRequest>>,
    ) -> Answer<v1::ImportBooksResponse> {
        let mut requests = request.into_inner();
        let mut shelf = String::new();
        let mut names = Vec::new();
        while let Some(request) = requests.message().await? {
            if !request.parent.is_empty() {
                shelf = request.parent;
            }
            let book = self.add_book(&shelf, "", request.book.unwrap_or_default())?;
            names.push(book.name);
        }
        Ok(Response::new(v1::ImportBooksResponse {
            count: i32::try_from(names.len()).unwrap_or(i32::MAX),
            names,
        }))
    }

    type AskForBooksStream = ReceiverStream<Result<v1::Answer, Status>>;

    async fn ask_for_books(
        &self,
        request: Request<Streaming<v1::Question>>,
    ) -> Answer<Self::AskForBooksStream> {
        Ok(streams::answer(
            Arc::clone(&self.store),
            request.into_inner(),
        ))
    }

    type ReadBookStream = ReceiverStream<Result<HttpBody, Status>>;

    async fn read_book(
        &self,
        request: Request<v1::ReadBookRequest>,
    ) -> Answer<Self::ReadBookStream> {
        let request = request.into_inner();
        let (title, all) = {
            let store = self.store();
            let book = store.book(&request.name)?;
            (book.title.clone(), book.page_count)
        };
        match request.page_count {
            ..0 => Err(failure::bad_field("page_count", "must not be negative")),
            0 => Ok(streams::read(title, all)),
            wanted => Ok(streams::read(title, wanted.min(all))),
        }
    }

    async fn upload_manuscript(
        &self,
        request: Request<Streaming<v1::UploadManuscriptRequest>>,
    ) -> Answer<v1::Manuscript> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap_or_default();
        let name = self.store().book(&first.name)?.name.clone();
        let mut manuscript = v1::Manuscript {
            name,
            ..v1::Manuscript::default()
        };
        let mut content = first.content.unwrap_or_default();
        manuscript.content_type = std::mem::take(&mut content.content_type);
        loop {
            let line_count = content.data.split(|&byte| byte == b'\n').count() - 1;
            manuscript.length += i64::try_from(content.data.len()).unwrap_or(i64::MAX);
            manuscript.line_count += i64::try_from(line_count).unwrap_or(i64::MAX);
            match requests.message().await? {
                Some(request) => content = request.content.unwrap_or_default(),
                None => return Ok(Response::new(manuscript)),
            }
        }
    }
}

/// Locks the store for one step.
pub(super) fn open(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Each step of the store leaves it whole, so what a panicking thread left is good.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time that `field` gives, at most `DELAY_MAX`; none if it is unset.
pub(super) fn bounded_delay(
    field: &str,
    delay: Option<prost_types::Duration>,
) -> Result<Duration, Status> {
    // Not by `Duration::try_from`, which panics on the most negative seconds.
    let bounded = |delay: prost_types::Duration| {
        let seconds = u64::try_from(delay.seconds).ok()?;
        let nanos = u32::try_from(delay.nanos).ok()?;
        let delay = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?;
        (delay <= DELAY_MAX).then_some(delay)
    };
    bounded(delay.unwrap_or_default())
        .ok_or_else(|| failure::bad_field(field, "must be 0 to 10 seconds"))
}

fn passes(filter: &BookFilter, book: &Book) -> bool {
    let published_after = |limit: &Timestamp| {
        book.publish_time
            .is_some_and(|time| (time.seconds, time.nanos) > (limit.seconds, limit.nanos))
    };
    (filter.genre == i32::from(Genre::Unspecified) || filter.genre == book.genre)
        && filter.tags.iter().all(|tag| book.tags.contains(tag))
        && filter.published_after.as_ref().is_none_or(published_after)
        && filter
            .archived
            .is_none_or(|archived| archived == book.archived)
}

fn check_book(book: &Book) -> Result<(), Status> {
    if book.title.is_empty() {
        return Err(failure::bad_field("book.title", "must not be empty"));
    }
    if book.stock < 0 {
        return Err(failure::bad_field("book.stock", "must not be negative"));
    }
    if book.page_count < 0 {
        return Err(failure::bad_field(
            "book.page_count",
            "must not be negative",
        ));
    }
    if let Some(price) = &book.price {
        let is_currency = price.currency.len() == 3
            && price.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_currency {
            return Err(failure::bad_field(
                "book.price.currency",
                "must be three capital letters",
            ));
        }
        if price.units < 0 || !(0..NANOS_IN_UNIT).contains(&price.nanos.into()) {
            return Err(failure::bad_field(
                "book.price",
                "units must not be negative, nanos must be 0 to 999999999",
            ));
        }
    }
    Ok(())
}

fn check_not_archived(book: &Book) -> Result<(), Status> {
    if book.archived {
        return Err(failure::precondition(
            "BOOK_ARCHIVED",
            &book.name,
            "the book is archived",
        ));
    }
    Ok(())
}

/// The paths of a mask, or `None` if it stands for all fields.
fn fields_of(mask: Option<FieldMask>) -> Option<Vec<String>> {
    let paths = mask?.paths;
    let is_all = paths.is_empty() || paths.iter().any(|path| path == "*");
    (!is_all).then_some(paths)
}

/// Moves one top-level field; `mask` is the request field that names it.
fn move_field(mask: &str, path: &str, from: &mut Book, to: &mut Book) -> Result<(), Status> {
    use std::mem::take;
    match path {
        "name" => to.name = take(&mut from.name),
        "title" => to.title = take(&mut from.title),
        "authors" => to.authors = take(&mut from.authors),
        "genre" => to.genre = take(&mut from.genre),
        "isbn" | "catalogue_number" => to.identifier = take(&mut from.identifier),
        "rating" => to.rating = take(&mut from.rating),
        "page_count" => to.page_count = take(&mut from.page_count),
        "stock" => to.stock = take(&mut from.stock),
        "price" => to.price = take(&mut from.price),
        "labels" => to.labels = take(&mut from.labels),
        "tags" => to.tags = take(&mut from.tags),
        "publish_time" => to.publish_time = take(&mut from.publish_time),
        "reading_time" => to.reading_time = take(&mut from.reading_time),
        "cover_digest" => to.cover_digest = take(&mut from.cover_digest),
        "extra" => to.extra = take(&mut from.extra),
        "subtitle" => to.subtitle = take(&mut from.subtitle),
        "archived" => to.archived = take(&mut from.archived),
        "create_time" => to.create_time = take(&mut from.create_time),
        "update_time" => to.update_time = take(&mut from.update_time),
        _ => {
            let description = format!("a book has no field {path:?}");
            return Err(failure::bad_field(mask, &description));
        }
    }
    Ok(())
}

fn multiply(price: &v1::Price, count: i32) -> Result<v1::Price, Status> {
    let nanos =
        (i128::from(price.units) * NANOS_IN_UNIT + i128::from(price.nanos)) * i128::from(count);
    let too_much = || Status::out_of_range("the total does not fit an int64");
    Ok(v1::Price {
        currency: price.currency.clone(),
        units: i64::try_from(nanos / NANOS_IN_UNIT).map_err(|_too_large| too_much())?,
        nanos: i32::try_from(nanos % NANOS_IN_UNIT).map_err(|_too_large| too_much())?,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shop stands for a server elsewhere, which has a clock of its own"
)]
fn now() -> Timestamp {
    SystemTime::now().into()
}
