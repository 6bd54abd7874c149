//! Servers that send too much, too slowly or without end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cuelight::backend::github::address::Host;
use cuelight::backend::github::client::{ApiError, Change, Client, Freshness, Mutation, Priority};
use cuelight::model::ServerKind;
use cuelight::store::folder::RunsDir;
use futures_util::future::join_all;
use tokio::sync::mpsc;

/// Path of an answer that takes some time.
const SLOW: &str = "/slow";

/// Path of an answer that is polled at most once a minute.
const PACED: &str = "/paced";

/// Returns the answer of the server to a path: the path of a next page, and the body.
type Answers = fn(&str) -> (Option<String>, String);

/// Path of an answer that never ends.
const ENDLESS: &str = "/endless";

/// A server that answers each request with 200 and a given body.
struct Hostile {
    client: Client,
    /// Highest number of requests that were in flight at the same time.
    most: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
    /// Each request as it arrives.
    arrived: mpsc::UnboundedReceiver<String>,
}

impl Hostile {
    fn start(state: &Path, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let api = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, (arrive, arrived)) = (Arc::<Mutex<Vec<String>>>::default(), mpsc::unbounded_channel());
        let (of_thread, base) = (Arc::clone(&seen), api.clone());
        let (in_flight, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let highest = Arc::clone(&most);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, arrive, base) = (Arc::clone(&of_thread), arrive.clone(), base.clone());
                let (in_flight, most) = (Arc::clone(&in_flight), Arc::clone(&highest));
                thread::spawn(move || {
                    let Some((method, path)) = request(&stream) else { return };
                    seen.lock().expect("a list").push(format!("{method} {path}"));
                    // The test may have ended.
                    let _ = arrive.send(path.clone());
                    most.fetch_max(in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if path.starts_with(SLOW) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    // This is called before the last byte of the answer, because the client may send the next request
                    // after that byte.
                    let done = || assert_ne!(in_flight.fetch_sub(1, Ordering::SeqCst), 0);
                    answer(stream, &base, &path, answers, done);
                });
            }
        });
        let host = Host::new("github.com", ServerKind::GitHub).and_then(|host| host.with_api(&api)).expect("a host");
        let client = Client::new(host, None, &RunsDir::at(state)).expect("a client");
        Self { client, most, seen, arrived }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("a list").clone()
    }
}

/// Reads the head of a request. Returns the method and the path.
fn request(mut stream: &TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

/// Answers until the client closes the connection.
fn answer(mut stream: TcpStream, base: &str, path: &str, answers: Answers, done: impl FnOnce()) {
    if path.starts_with(ENDLESS) {
        let mut going_on = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while going_on.is_ok() {
            going_on = stream.write_all(b"x").and_then(|()| stream.flush());
            thread::sleep(Duration::from_millis(100));
        }
        return done();
    }
    let (next, body) = answers(path);
    let paced = if path.starts_with(PACED) { "X-Poll-Interval: 60\r\n" } else { "" };
    let link = next.map(|next| format!("Link: <{base}{next}>; rel=\"next\"\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{link}{paced}Content-Length: {length}\r\n\r\n");
    done();
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// Requests all pages. Returns the number of pages, and whether the list was cut.
async fn pages(client: &Client, path: &str, most: usize) -> (usize, bool) {
    let mut pages = client.pages(path, most, Freshness::NOW, Priority::User);
    let mut count = 0;
    while pages.next().await.expect("a page").is_some() {
        count += 1;
    }
    (count, pages.is_cut())
}

#[tokio::test]
async fn a_list_without_end_is_cut() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Hostile::start(home.path(), |path| {
        let next = match path {
            "/same" => path.to_owned(),
            "/circle" => "/circle2".to_owned(),
            "/circle2" => "/circle".to_owned(),
            path => format!("{path}1"),
        };
        let size = if path.starts_with("/large") { 7 << 20 } else { 0 };
        (Some(next), format!("[\"{}\"]", "x".repeat(size)))
    });
    assert_eq!(pages(&server.client, "/same", 40).await, (1, false), "it names itself");
    assert_eq!(pages(&server.client, "/circle", 40).await, (2, false));
    assert_eq!(server.seen().len(), 3, "{:?}", server.seen());
    assert_eq!(pages(&server.client, "/grows", 4).await, (4, true), "a number of pages");
    assert_eq!(pages(&server.client, "/large", 40).await, (5, true), "32 MB");
}

#[tokio::test]
async fn a_large_answer_is_an_error() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Hostile::start(home.path(), |_| (None, format!("[\"{}\"]", "x".repeat(8 << 20))));
    let error = server.client.get("/large", Freshness::NOW, Priority::User).await.expect_err("too large");
    assert!(matches!(error, ApiError::TooLarge { limit: 8_388_608 }), "{error:?}");
}

#[tokio::test]
async fn a_slow_download_holds_up_neither_reads_nor_changes() {
    let home = tempfile::tempdir().expect("a folder");
    let mut server = Hostile::start(home.path(), |_| (None, "{}".to_owned()));
    let downloads: Vec<_> = (0..3)
        .map(|number| {
            let (client, into) = (server.client.clone(), home.path().join(number.to_string()));
            tokio::spawn(async move { client.download(ENDLESS, &into, 1 << 20, Priority::Visible).await })
        })
        .collect();
    assert_eq!(server.arrived.recv().await.as_deref(), Some(ENDLESS));
    server.client.get("/read", Freshness::NOW, Priority::Background).await.expect("read");
    let cancel = Mutation { change: Change::Post, path: "/change".to_owned(), body: None };
    assert_eq!(server.client.send(&cancel).await.expect("sent").status, 200);
    assert_eq!(server.seen(), ["GET /endless", "GET /read", "POST /change"], "one download at a time");
    downloads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_server_is_polled_no_more_often_than_it_asks_for_by_any_process() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Hostile::start(home.path(), |_| (None, "{}".to_owned()));
    let other = Client::new(server.client.host().clone(), None, &RunsDir::at(home.path())).expect("a client");
    for _ in 0..3 {
        for client in [&server.client, &other] {
            client.get(PACED, Freshness::NOW, Priority::Visible).await.expect("known");
            client.get("/plain", Freshness::NOW, Priority::Background).await.expect("answered");
        }
    }
    server.client.get(PACED, Freshness::NOW, Priority::User).await.expect("answered");
    let seen = server.seen();
    let count = |path: &str| seen.iter().filter(|request| **request == format!("GET {path}")).count();
    assert_eq!((count(PACED), count("/plain")), (2, 6), "once for the polls, and once for the user: {seen:?}");
}

#[tokio::test]
async fn no_more_than_two_requests_of_all_kinds_are_in_flight() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Hostile::start(home.path(), |_| (None, "{}".to_owned()));
    let reads = (0..8).map(|number| {
        let (client, path) = (server.client.clone(), format!("{SLOW}/read/{number}"));
        async move { client.get(&path, Freshness::NOW, Priority::Visible).await.map(drop) }
    });
    let downloads = (0..4).map(|number| {
        let (client, path) = (server.client.clone(), format!("{SLOW}/log/{number}"));
        let into = home.path().join(number.to_string());
        async move { client.download(&path, &into, 1 << 20, Priority::User).await.map(drop) }
    });
    let change = Mutation { change: Change::Post, path: format!("{SLOW}/change"), body: None };
    let (reads, downloads) = (join_all(reads), join_all(downloads));
    let (reads, downloads, changed) = tokio::join!(reads, downloads, server.client.send(&change));
    changed.expect("sent");
    for done in reads.into_iter().chain(downloads) {
        done.expect("answered");
    }
    assert_eq!(server.seen().len(), 13);
    assert_eq!(server.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_change_that_is_given_up_before_its_turn_is_not_sent() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Hostile::start(home.path(), |_| (None, "{}".to_owned()));
    let post = |path: &str| Mutation { change: Change::Post, path: path.to_owned(), body: None };
    let (first, second) = (post("/first"), post("/second"));
    let turn = server.client.ready(&first).await.expect("its turn");
    let waiting = tokio::spawn({
        let client = server.client.clone();
        async move { client.send(&second).await.map(drop) }
    });
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    turn.send().await.expect("sent");
    let third = post("/third");
    server.client.send(&third).await.expect("sent");
    assert_eq!(server.seen(), ["POST /first", "POST /third"]);
}
