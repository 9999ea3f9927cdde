//! Calls the streams of the running bookstore over gRPC, as any client would.

use prost::Message;
use tokio::sync::mpsc::channel;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::super::generated::bookstore_v1 as v1;
use super::super::generated::google_api::HttpBody;
use super::super::tests::{Client, DUNE, path_of};
use super::{PAGE_CONTENT_TYPE, PAGE_LEN};

impl Client {
    async fn open<Q, A>(
        &self,
        method: &str,
        requests: ReceiverStream<Q>,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<Q, A>::default();
        let response = grpc
            .streaming(Request::new(requests), path_of(method), codec)
            .await?;
        Ok(response.into_inner())
    }

    /// Sends all requests and the end, and collects what comes back.
    fn exchange<Q, A>(&self, method: &str, requests: Vec<Q>) -> Result<Vec<A>, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.runtime.block_on(async {
            let (sender, receiver) = channel(requests.len().max(1));
            for request in requests {
                sender.send(request).await.unwrap();
            }
            drop(sender);
            let mut replies = self.open(method, ReceiverStream::new(receiver)).await?;
            let mut collected = Vec::new();
            while let Some(reply) = replies.message().await? {
                collected.push(reply);
            }
            Ok(collected)
        })
    }
}

fn watch(rounds: i32, interval: Option<prost_types::Duration>) -> v1::WatchBooksRequest {
    v1::WatchBooksRequest {
        parent: "shelves/fiction".to_owned(),
        rounds,
        interval,
    }
}

fn import(title: &str) -> v1::ImportBooksRequest {
    v1::ImportBooksRequest {
        parent: "shelves/science".to_owned(),
        book: Some(v1::Book {
            title: title.to_owned(),
            ..v1::Book::default()
        }),
    }
}

fn question(words: &str) -> v1::Question {
    v1::Question {
        words: words.to_owned(),
    }
}

#[test]
fn watch_sends_the_shelf_once_or_as_often_as_asked() {
    let client = Client::new();
    for (rounds, count) in [(0, 2), (1, 2), (3, 6)] {
        let books: Vec<v1::Book> = client
            .exchange("WatchBooks", vec![watch(rounds, None)])
            .unwrap();
        assert_eq!(books.len(), count, "{rounds}");
        assert_eq!(books[0], client.dune());
    }
}

#[test]
fn watch_shows_the_shelf_as_it_is_at_each_round() {
    let client = Client::new();
    let pause = prost_types::Duration {
        seconds: 1,
        nanos: 0,
    };
    let (sender, receiver) = channel(1);
    let mut books: Streaming<v1::Book> = client.runtime.block_on(async {
        sender.send(watch(2, Some(pause))).await.unwrap();
        drop(sender);
        let requests = ReceiverStream::new(receiver);
        client.open("WatchBooks", requests).await.unwrap()
    });
    let next = |books: &mut Streaming<v1::Book>| {
        let book = client.runtime.block_on(books.message());
        book.unwrap().unwrap()
    };
    assert_eq!(next(&mut books).stock, 5);
    next(&mut books);
    let request = v1::CheckOutBookRequest {
        name: DUNE.to_owned(),
    };
    client.call::<_, v1::Book>("CheckOutBook", request).unwrap();
    assert_eq!(next(&mut books).stock, 4);
}

#[test]
fn watch_of_a_shelf_that_is_taken_away_ends_with_an_error() {
    let client = Client::new();
    let request = v1::WatchBooksRequest {
        parent: "shelves/poetry".to_owned(),
        ..watch(
            2,
            Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        )
    };
    let (sender, receiver) = channel(1);
    let mut books: Streaming<v1::Book> = client.runtime.block_on(async {
        sender.send(request).await.unwrap();
        drop(sender);
        let requests = ReceiverStream::new(receiver);
        client.open("WatchBooks", requests).await.unwrap()
    });
    let first = client.runtime.block_on(books.message()).unwrap().unwrap();
    let request = v1::DeleteBookRequest { name: first.name };
    client.call::<_, ()>("DeleteBook", request).unwrap();
    let name = "shelves/poetry".to_owned();
    client
        .call::<_, ()>("DeleteShelf", v1::DeleteShelfRequest { name })
        .unwrap();
    let status = client.runtime.block_on(books.message()).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[test]
fn watch_is_bounded() {
    let client = Client::new();
    let long = prost_types::Duration {
        seconds: 10,
        nanos: 1,
    };
    for request in [
        watch(-1, None),
        watch(1_000_001, None),
        watch(2, Some(long)),
    ] {
        let status = client
            .exchange::<_, v1::Book>("WatchBooks", vec![request.clone()])
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}");
    }
    let nowhere = v1::WatchBooksRequest {
        parent: "shelves/none".to_owned(),
        ..watch(1, None)
    };
    let status = client
        .exchange::<_, v1::Book>("WatchBooks", vec![nowhere])
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[test]
fn import_adds_each_book_until_one_is_wrong() {
    let client = Client::new();
    let replies: Vec<v1::ImportBooksResponse> = client
        .exchange("ImportBooks", vec![import("Optics"), import("Almagest")])
        .unwrap();
    assert_eq!(replies[0].count, 2);
    let request = v1::GetBookRequest {
        name: replies[0].names[1].clone(),
        read_mask: None,
    };
    let book: v1::Book = client.call("GetBook", request).unwrap();
    assert_eq!(book.title, "Almagest");

    let status = client
        .exchange::<_, v1::ImportBooksResponse>(
            "ImportBooks",
            vec![import("Elements"), import(""), import("Conics")],
        )
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let counts: v1::CountBooksResponse =
        client.call("CountBooks", v1::CountBooksRequest {}).unwrap();
    assert_eq!(counts.by_shelf["shelves/science"], 2 + 3);

    // Where the gateway tells the shelf once only, it holds for the rest.
    let mut short = import("Conics");
    short.parent = String::new();
    let replies: Vec<v1::ImportBooksResponse> = client
        .exchange("ImportBooks", vec![import("Elements"), short])
        .unwrap();
    assert_eq!(replies[0].count, 2);

    let none: Vec<v1::ImportBooksResponse> = client
        .exchange("ImportBooks", Vec::<v1::ImportBooksRequest>::new())
        .unwrap();
    assert_eq!(none, [v1::ImportBooksResponse::default()]);
}

#[test]
fn question_is_answered_before_the_next_one_is_asked() {
    let client = Client::new();
    client.runtime.block_on(async {
        let (sender, receiver) = channel(1);
        // Before the first question, for the call itself waits for none.
        let mut answers: Streaming<v1::Answer> = client
            .open("AskForBooks", ReceiverStream::new(receiver))
            .await
            .unwrap();
        for (words, count, title) in [
            ("DESERT", 1, "Dune"),
            ("classic", 3, "Dune"),
            ("classic darwin", 1, "On the Origin of Species"),
        ] {
            sender.send(question(words)).await.unwrap();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!((answer.words.as_str(), answer.count), (words, count));
            assert_eq!(answer.book.unwrap().title, title);
        }
        sender.send(question("classicbiology")).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.count, answer.book), (0, None));
        sender.send(question(" ")).await.unwrap();
        let status = answers.message().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    });
}

#[test]
fn book_is_read_page_by_page() {
    let client = Client::new();
    let read = |page_count| {
        let request = v1::ReadBookRequest {
            name: DUNE.to_owned(),
            page_count,
        };
        client.exchange::<_, HttpBody>("ReadBook", vec![request])
    };
    for (asked, got) in [(1, 1), (17, 17), (0, 412), (1000, 412)] {
        let parts = read(asked).unwrap();
        assert_eq!(parts[0].content_type, PAGE_CONTENT_TYPE);
        let text: Vec<u8> = parts.into_iter().flat_map(|part| part.data).collect();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.len(), got * PAGE_LEN, "{asked}");
        assert!(text.starts_with("Dune, page 1\n"));
        assert!(text.contains(&format!("\nDune, page {got}\n")) || got == 1);
    }
    assert_eq!(read(-1).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn upload_counts_what_it_is_given() {
    let client = Client::new();
    let part = |name: &str, content_type: &str, data: &[u8]| v1::UploadManuscriptRequest {
        name: name.to_owned(),
        content: Some(HttpBody {
            content_type: content_type.to_owned(),
            data: data.to_vec(),
            ..HttpBody::default()
        }),
    };
    let parts = vec![
        part(DUNE, "text/plain", b"one\ntwo"),
        part("", "", b"\n\xff"),
    ];
    let replies: Vec<v1::Manuscript> = client.exchange("UploadManuscript", parts).unwrap();
    let expected = v1::Manuscript {
        name: DUNE.to_owned(),
        content_type: "text/plain".to_owned(),
        length: 9,
        line_count: 2,
    };
    assert_eq!(replies, [expected]);
    let status = client
        .exchange::<_, v1::Manuscript>("UploadManuscript", vec![part("", "", b"x")])
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}
