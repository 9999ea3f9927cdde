//! Calls the running bookstore over gRPC, as any client would.

use prost::Message;
use prost_types::FieldMask;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::generated::bookstore_v1 as v1;
use super::generated::bookstore_v1::every_kind::{Choice, Colour, Nested};
use super::generated::google_rpc as rpc;
use super::{DemoServer, start};

pub(super) const DUNE: &str = "shelves/fiction/books/dune";

pub(super) struct Client {
    pub(super) channel: Channel,
    pub(super) runtime: tokio::runtime::Runtime,
    // Dropped last: the fields above it still talk to the server.
    _server: DemoServer,
}

impl Client {
    pub(super) fn new() -> Self {
        let server = start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let endpoint = Endpoint::from_shared(server.url()).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self {
            channel,
            runtime,
            _server: server,
        }
    }

    pub(super) fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let path = path_of(method);
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        self.runtime.block_on(async {
            grpc.ready().await.unwrap();
            let codec = ProstCodec::<Q, A>::default();
            Ok(grpc
                .unary(Request::new(request), path, codec)
                .await?
                .into_inner())
        })
    }

    pub(super) fn dune(&self) -> v1::Book {
        self.call("GetBook", get_book(DUNE, &[])).unwrap()
    }
}

pub(super) fn path_of(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/bookstore.v1.Bookstore/{method}")).unwrap()
}

fn get_book(name: &str, mask: &[&str]) -> v1::GetBookRequest {
    v1::GetBookRequest {
        name: name.to_owned(),
        read_mask: Some(mask_of(mask)),
    }
}

fn mask_of(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// The status, decoded from its details, with the type names of the details in it.
fn details_of(status: &Status) -> (rpc::Status, Vec<String>) {
    let details = rpc::Status::decode(status.details()).unwrap();
    assert_eq!(details.code, status.code() as i32);
    assert_eq!(details.message, status.message());
    let types = details
        .details
        .iter()
        .map(|detail| detail.type_url.clone())
        .collect();
    (details, types)
}

#[test]
fn server_stops_when_its_handle_is_dropped() {
    let server = start().unwrap();
    let address = server.address();
    assert!(std::net::TcpStream::connect(address).is_ok());
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn two_bookstores_do_not_share_books() {
    let one = Client::new();
    let two = Client::new();
    let gone = v1::DeleteBookRequest {
        name: DUNE.to_owned(),
    };
    one.call::<_, ()>("DeleteBook", gone).unwrap();
    let missing = one.call::<_, v1::Book>("GetBook", get_book(DUNE, &[]));
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    assert_eq!(two.dune().title, "Dune");
}

#[test]
fn list_goes_on_where_the_page_token_says() {
    let client = Client::new();
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListBooksRequest {
            page_size: 2,
            page_token,
            ..v1::ListBooksRequest::default()
        };
        let page: v1::ListBooksResponse = client.call("ListBooks", request).unwrap();
        assert!((1..=2).contains(&page.books.len()));
        names.extend(page.books.into_iter().map(|book| book.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 5);
    assert!(names.is_sorted());
}

#[test]
fn list_filters_by_every_condition_given() {
    let client = Client::new();
    let list = |filter| {
        let request = v1::ListBooksRequest {
            filter: Some(filter),
            ..v1::ListBooksRequest::default()
        };
        let page: v1::ListBooksResponse = client.call("ListBooks", request).unwrap();
        page.books
            .into_iter()
            .map(|book| book.title)
            .collect::<Vec<_>>()
    };
    let classic_novels = v1::BookFilter {
        genre: v1::Genre::Novel.into(),
        tags: vec!["classic".to_owned()],
        ..v1::BookFilter::default()
    };
    assert_eq!(list(classic_novels), ["Dune", "Middlemarch"]);
    let after_1965 = v1::BookFilter {
        published_after: client.dune().publish_time,
        ..v1::BookFilter::default()
    };
    assert_eq!(list(after_1965), ["The Art of Computer Programming"]);
    let archived = v1::BookFilter {
        archived: Some(true),
        ..v1::BookFilter::default()
    };
    assert!(list(archived).is_empty());
}

#[test]
fn negative_page_size_is_a_bad_request_that_names_the_field() {
    let client = Client::new();
    let request = v1::ListShelvesRequest {
        page_size: -1,
        ..v1::ListShelvesRequest::default()
    };
    let status = client
        .call::<_, v1::ListShelvesResponse>("ListShelves", request)
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let (details, types) = details_of(&status);
    assert_eq!(types, ["type.googleapis.com/google.rpc.BadRequest"]);
    let bad = rpc::BadRequest::decode(details.details[0].value.as_slice()).unwrap();
    assert_eq!(bad.field_violations[0].field, "page_size");
}

#[test]
fn read_mask_keeps_only_the_fields_it_names() {
    let client = Client::new();
    let book: v1::Book = client
        .call("GetBook", get_book(DUNE, &["title", "stock"]))
        .unwrap();
    let expected = v1::Book {
        title: "Dune".to_owned(),
        stock: 5,
        ..v1::Book::default()
    };
    assert_eq!(book, expected);
    let status = client
        .call::<_, v1::Book>("GetBook", get_book(DUNE, &["colour"]))
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn created_book_can_be_read_back_and_not_created_again() {
    let client = Client::new();
    let request = v1::CreateBookRequest {
        parent: "shelves/fiction".to_owned(),
        book_id: "emma".to_owned(),
        book: Some(v1::Book {
            title: "Emma".to_owned(),
            name: "shelves/other/books/other".to_owned(),
            ..v1::Book::default()
        }),
    };
    let made: v1::Book = client.call("CreateBook", request.clone()).unwrap();
    assert_eq!(made.name, "shelves/fiction/books/emma");
    assert!(made.create_time.is_some());
    let read: v1::Book = client
        .call("GetBook", get_book(&made.name, &["*"]))
        .unwrap();
    assert_eq!(read, made);
    let status = client
        .call::<_, v1::Book>("CreateBook", request)
        .unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
}

#[test]
fn book_without_title_with_a_bad_id_or_on_no_shelf_is_refused() {
    let client = Client::new();
    let create = |parent: &str, book_id: &str, title: &str| {
        let request = v1::CreateBookRequest {
            parent: parent.to_owned(),
            book_id: book_id.to_owned(),
            book: Some(v1::Book {
                title: title.to_owned(),
                ..v1::Book::default()
            }),
        };
        client.call::<_, v1::Book>("CreateBook", request)
    };
    assert_eq!(
        create("shelves/fiction", "a", "").unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        create("shelves/fiction", "a/b", "A").unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        create("shelves/none", "a", "A").unwrap_err().code(),
        Code::NotFound
    );
    let made = create("shelves/fiction", "", "A").unwrap();
    assert_eq!(made.name, "shelves/fiction/books/new-1");
}

#[test]
fn item_over_16_kib_is_refused() {
    let client = Client::new();
    let request = v1::CreateBookRequest {
        parent: "shelves/fiction".to_owned(),
        book: Some(v1::Book {
            title: "A".repeat(16 << 10),
            ..v1::Book::default()
        }),
        ..v1::CreateBookRequest::default()
    };
    let status = client
        .call::<_, v1::Book>("CreateBook", request)
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn shelves_are_bounded_in_number() {
    let client = Client::new();
    let create = || {
        let request = v1::CreateShelfRequest {
            shelf: Some(v1::Shelf {
                theme: "more".to_owned(),
                ..v1::Shelf::default()
            }),
            ..v1::CreateShelfRequest::default()
        };
        client.call::<_, v1::Shelf>("CreateShelf", request)
    };
    for _ in 3..100 {
        create().unwrap();
    }
    let status = create().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[test]
fn update_changes_the_masked_fields_or_without_a_mask_all() {
    let client = Client::new();
    let before = client.dune();
    let update = |mask: Option<FieldMask>| {
        let request = v1::UpdateBookRequest {
            book: Some(v1::Book {
                name: DUNE.to_owned(),
                title: "Dune Messiah".to_owned(),
                stock: 7,
                archived: true,
                ..v1::Book::default()
            }),
            update_mask: mask,
        };
        client.call::<_, v1::Book>("UpdateBook", request)
    };

    let masked = update(Some(mask_of(&["stock", "archived"]))).unwrap();
    let expected = v1::Book {
        stock: 7,
        update_time: masked.update_time,
        ..before.clone()
    };
    assert_eq!(masked, expected);
    assert_ne!(masked.update_time, before.update_time);

    let replaced = update(None).unwrap();
    let expected = v1::Book {
        name: DUNE.to_owned(),
        title: "Dune Messiah".to_owned(),
        stock: 7,
        create_time: before.create_time,
        update_time: replaced.update_time,
        ..v1::Book::default()
    };
    assert_eq!(replaced, expected);

    let status = update(Some(mask_of(&["price.units"]))).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn buying_takes_from_stock_and_multiplies_the_price() {
    let client = Client::new();
    let buy = |count| {
        let request = v1::BuyBookRequest {
            name: DUNE.to_owned(),
            count,
        };
        client.call::<_, v1::Receipt>("BuyBook", request)
    };
    let receipt = buy(2).unwrap();
    assert_eq!(receipt.stock, 3);
    let total = receipt.total.unwrap();
    assert_eq!(
        (total.currency.as_str(), total.units, total.nanos),
        ("EUR", 19, 980_000_000)
    );

    let status = buy(4).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let (details, types) = details_of(&status);
    assert_eq!(
        types,
        [
            "type.googleapis.com/google.rpc.RetryInfo",
            "type.googleapis.com/google.rpc.ErrorInfo"
        ]
    );
    let retry = rpc::RetryInfo::decode(details.details[0].value.as_slice()).unwrap();
    assert_eq!(retry.retry_delay.unwrap().seconds, 30);
    assert_eq!(buy(0).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn archived_book_is_not_sold() {
    let client = Client::new();
    let request = v1::ArchiveBookRequest {
        name: DUNE.to_owned(),
        reason: "worn out".to_owned(),
    };
    let book: v1::Book = client.call("ArchiveBook", request).unwrap();
    assert!(book.archived);
    assert_eq!(book.labels["archive-reason"], "worn out");
    let request = v1::CheckOutBookRequest {
        name: DUNE.to_owned(),
    };
    let status = client
        .call::<_, v1::Book>("CheckOutBook", request)
        .unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let (_, types) = details_of(&status);
    assert_eq!(
        types,
        ["type.googleapis.com/google.rpc.PreconditionFailure"]
    );
}

#[test]
fn moved_book_is_found_on_its_new_shelf_only() {
    let client = Client::new();
    let move_to = |target: &str| {
        let request = v1::MoveBookRequest {
            name: DUNE.to_owned(),
            target: target.to_owned(),
        };
        client.call::<_, v1::Book>("MoveBook", request)
    };
    let onto_itself = move_to("shelves/fiction").unwrap_err();
    assert_eq!(onto_itself.code(), Code::AlreadyExists);
    let moved = move_to("shelves/science").unwrap();
    assert_eq!(moved.name, "shelves/science/books/dune");
    assert_eq!(
        move_to("shelves/poetry").unwrap_err().code(),
        Code::NotFound
    );
}

#[test]
fn shelf_with_books_is_not_deleted() {
    let client = Client::new();
    let delete = |name: &str| {
        let name = name.to_owned();
        client.call::<_, ()>("DeleteShelf", v1::DeleteShelfRequest { name })
    };
    let status = delete("shelves/poetry").unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let request = v1::DeleteBookRequest {
        name: "shelves/poetry/books/leaves-of-grass".to_owned(),
    };
    client.call::<_, ()>("DeleteBook", request).unwrap();
    delete("shelves/poetry").unwrap();
    assert_eq!(delete("shelves/poetry").unwrap_err().code(), Code::NotFound);
}

#[test]
fn wait_is_bounded() {
    let client = Client::new();
    let wait = |seconds, nanos| {
        let delay = Some(prost_types::Duration { seconds, nanos });
        client.call::<_, v1::WaitResponse>("Wait", v1::WaitRequest { delay })
    };
    let waited = wait(0, 1_000_000).unwrap().waited.unwrap();
    assert!(waited.seconds > 0 || waited.nanos >= 1_000_000);
    for (seconds, nanos) in [(10, 1), (-1, 0), (i64::MAX, i32::MAX), (i64::MIN, i32::MIN)] {
        let status = wait(seconds, nanos).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{seconds} {nanos}");
    }
}

#[test]
fn echo_gives_back_every_kind() {
    let client = Client::new();
    let sent = v1::EveryKind {
        int64_value: i64::MIN,
        uint64_value: u64::MAX,
        bytes_value: vec![0, 255],
        colour: Colour::Infrared.into(),
        repeated_colour: vec![Colour::Green.into(), 99],
        unpacked_sint64: vec![-1, 0, 1],
        int32_to_nested: [(-1, Nested::default())].into(),
        optional_int32: Some(0),
        choice: Some(Choice::ChoiceNull(0)),
        wrapped_string: Some(String::new()),
        renamed: "x".to_owned(),
        ..v1::EveryKind::default()
    };
    let got: v1::EveryKind = client.call("Echo", sent.clone()).unwrap();
    assert_eq!(got, sent);
}

#[test]
fn counts_titles_and_files_agree_with_the_seed() {
    let client = Client::new();
    let counts: v1::CountBooksResponse =
        client.call("CountBooks", v1::CountBooksRequest {}).unwrap();
    assert_eq!(counts.count, 5);
    assert_eq!(counts.by_shelf["shelves/fiction"], 2);
    let titles: v1::ListTitlesResponse =
        client.call("ListTitles", v1::ListTitlesRequest {}).unwrap();
    assert_eq!(titles.titles.len(), 5);
    let file = |path: &str| {
        let path = path.to_owned();
        client.call::<_, v1::File>("GetFile", v1::GetFileRequest { path })
    };
    assert!(!file("covers/small/dune.txt").unwrap().content.is_empty());
    assert_eq!(file("../secret").unwrap_err().code(), Code::NotFound);
}

#[test]
fn unknown_method_and_unknown_service_are_unimplemented() {
    let client = Client::new();
    let status = client.call::<_, ()>("NoSuchMethod", ()).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let mut grpc = tonic::client::Grpc::new(client.channel.clone());
    let status = client.runtime.block_on(async {
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/no.such.Service/Method");
        grpc.unary(Request::new(()), path, ProstCodec::<(), ()>::default())
            .await
            .unwrap_err()
    });
    assert_eq!(status.code(), Code::Unimplemented);
}
