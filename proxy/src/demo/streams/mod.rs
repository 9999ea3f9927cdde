//! The bookstore's streams that go on after their method has returned. In: the store, and what was asked. Out: a stream of answers.
//! Always: at most `AHEAD_COUNT_MAX` messages wait for the client, and the task behind a stream ends when its client leaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::bookstore::{bounded_delay, open};
use super::failure;
use super::generated::bookstore_v1::{Answer, Book, Question, WatchBooksRequest};
use super::generated::google_api::HttpBody;
use super::store::Store;

/// Messages made ahead of what the client has taken.
const AHEAD_COUNT_MAX: usize = 4;
const ROUND_COUNT_MAX: i32 = 1_000_000;
/// Bytes of a page, line feeds included.
const PAGE_LEN: usize = 2048;
/// Pages in one message of a download, so 32 KiB.
const PAGES_PER_MESSAGE: i32 = 16;
const PAGE_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// What a shelf is sent by: how often, and how far apart.
#[derive(Debug)]
pub(super) struct Watch {
    shelf: String,
    rounds: i32,
    interval: Duration,
}

impl Watch {
    pub(super) fn new(request: WatchBooksRequest) -> Result<Self, Status> {
        if !(0..=ROUND_COUNT_MAX).contains(&request.rounds) {
            return Err(failure::bad_field("rounds", "must be 0 to 1000000"));
        }
        Ok(Self {
            shelf: request.parent,
            rounds: request.rounds.max(1),
            interval: bounded_delay("interval", request.interval)?,
        })
    }
}

/// The books of a shelf, round by round, as they are at each. Ends with an error when the shelf is gone.
pub(super) fn watch(
    store: Arc<Mutex<Store>>,
    watch: Watch,
) -> Response<ReceiverStream<Result<Book, Status>>> {
    stream(async move |sender| {
        for round in 0..watch.rounds {
            if round > 0 && leaves_within(watch.interval, &sender).await {
                return;
            }
            let books = books_of(&open(&store), &watch.shelf);
            // A shelf without books would otherwise make a loop without a pause.
            tokio::task::yield_now().await;
            let is_gone = books.is_err();
            for book in books.unwrap_or_else(|status| vec![Err(status)]) {
                if sender.send(book).await.is_err() {
                    return;
                }
            }
            if is_gone {
                return;
            }
        }
    })
}

/// An answer to each question, sent before the next one is read.
pub(super) fn answer(
    store: Arc<Mutex<Store>>,
    mut questions: Streaming<Question>,
) -> Response<ReceiverStream<Result<Answer, Status>>> {
    stream(async move |sender| {
        loop {
            let answer = match questions.message().await {
                Ok(Some(question)) => find_books(&open(&store), question),
                Ok(None) => return,
                Err(status) => Err(status),
            };
            let is_last = answer.is_err();
            if sender.send(answer).await.is_err() || is_last {
                return;
            }
        }
    })
}

/// The first `page_count` pages of a book.
pub(super) fn read(
    title: String,
    page_count: i32,
) -> Response<ReceiverStream<Result<HttpBody, Status>>> {
    stream(async move |sender| {
        let mut page = 0;
        // A book without pages is an empty text, which has a type all the same.
        loop {
            let end = page_count.min(page + PAGES_PER_MESSAGE);
            let mut data = Vec::new();
            while page < end {
                page += 1;
                write_page(&title, page, &mut data);
            }
            let part = HttpBody {
                content_type: PAGE_CONTENT_TYPE.to_owned(),
                data,
                ..HttpBody::default()
            };
            if sender.send(Ok(part)).await.is_err() || page >= page_count {
                return;
            }
        }
    })
}

/// Feeds a stream from a task of its own.
fn stream<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    feed: impl FnOnce(Sender<Result<T, Status>>) -> F,
) -> Response<ReceiverStream<Result<T, Status>>> {
    let (sender, receiver) = channel(AHEAD_COUNT_MAX);
    tokio::spawn(feed(sender));
    Response::new(ReceiverStream::new(receiver))
}

/// Waits; true if the client has left by then.
async fn leaves_within<T>(time: Duration, sender: &Sender<T>) -> bool {
    // The shortest time that the timer knows is a millisecond.
    if time.is_zero() {
        return sender.is_closed();
    }
    tokio::time::timeout(time, sender.closed()).await.is_ok()
}

fn books_of(store: &Store, shelf: &str) -> Result<Vec<Result<Book, Status>>, Status> {
    store.shelf(shelf)?;
    Ok(store.books(shelf).cloned().map(Ok).collect())
}

fn find_books(store: &Store, question: Question) -> Result<Answer, Status> {
    let wanted = question.words.to_lowercase();
    if wanted.trim().is_empty() {
        return Err(failure::bad_field("words", "must not be empty"));
    }
    let mut found = store.books("").filter(|book| {
        let text = searched_text(book);
        wanted.split_whitespace().all(|word| text.contains(word))
    });
    let book = found.next().cloned();
    let others = i32::try_from(found.count()).unwrap_or(i32::MAX);
    Ok(Answer {
        words: question.words,
        count: others + i32::from(book.is_some()),
        book,
    })
}

/// Title, authors and tags in small letters, one a line, so that no word reaches over two of them.
fn searched_text(book: &Book) -> String {
    let mut text = book.title.clone();
    let names = book
        .authors
        .iter()
        .flat_map(|author| [&author.given_name, &author.family_name]);
    for part in names.chain(&book.tags) {
        text.push('\n');
        text.push_str(part);
    }
    text.to_lowercase()
}

/// Appends `PAGE_LEN` bytes: the same line as often as it fits, then dots.
fn write_page(title: &str, page: i32, out: &mut Vec<u8>) {
    let line = format!("{title}, page {page}\n");
    let end = out.len() + PAGE_LEN;
    while out.len() + line.len() < end {
        out.extend_from_slice(line.as_bytes());
    }
    out.resize(end - 1, b'.');
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
