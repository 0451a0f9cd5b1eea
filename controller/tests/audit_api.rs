//! The audit API and its client, over a real connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::Arc;
use std::time::Duration;

use controller::audit::remote::{RemoteReader, Transport};
use controller::audit::testing;
use controller::audit::testing::samples::{begin, note, seal, session};
use controller::audit::{AuditError, AuditReader, AuditStore, FakeStore, Followed, SessionFilter, api};
use controller::session::SessionId;
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

struct Served {
    address: String,
}

async fn serve(reader: Arc<dyn AuditReader>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, api::router(reader)).await.unwrap() });
    Served { address }
}

/// A way to `to`, listening at `at`; ending the task ends the listener and cuts every connection.
async fn relay(at: &str, to: &str) -> (Served, JoinHandle<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = to.to_owned();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = tokio::net::TcpStream::connect(&to).await.unwrap();
            connections.spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (Served { address }, task)
}

async fn client(served: &Served) -> Arc<RemoteReader> {
    let transport = Transport::direct(&format!("http://{}", served.address)).unwrap();
    Arc::new(RemoteReader::connect(transport).await.unwrap())
}

async fn raw(served: &Served, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(&served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn get(served: &Served, path: &str) -> String {
    raw(served, &format!("GET {path} HTTP/1.1\r\nHost: localhost:8081\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn the_client_sees_what_the_store_has() {
    let store = testing::database().await.store();
    let first = store.begin_session(&session("a", 1)).await.unwrap();
    let second = store.begin_session(&session("b & c/é", 1)).await.unwrap();
    for seq in 1..=3 {
        store.append(&first.new.id, seq, Timestamp::now(), &note("NUL \0 \u{9b}")).await.unwrap();
    }
    store.add_summary(&first.new.id, 2, "short").await.unwrap();
    let served = serve(Arc::new(store.clone())).await;
    let client = client(&served).await;

    let found =
        client.sessions(&SessionFilter { incident: Some("b & c/é".into()), ..Default::default() }).await.unwrap();
    assert_eq!(found, [second]);
    assert_eq!(client.sessions(&SessionFilter::default()).await.unwrap().len(), 2);
    let since = SessionFilter {
        since: Some(Timestamp::now()),
        limit: Some(5),
        phase: Some("Running".into()),
        ..Default::default()
    };
    assert!(client.sessions(&since).await.unwrap().is_empty());
    assert_eq!(client.session(&first.new.id).await.unwrap(), store.session(&first.new.id).await.unwrap());
    assert_eq!(client.session(&SessionId::from("a/b?c".to_owned())).await.unwrap(), None);
    let page = client.page(&first.new.id, 1, 10).await.unwrap();
    assert_eq!(page, store.page(&first.new.id, 1, 10).await.unwrap());
    assert_eq!((page.len(), page[0].summary.as_deref()), (2, Some("short")));
    // From the end, page by page.
    for (before, limit, numbers) in
        [(i64::MAX, 2, vec![2, 3]), (2, 5, vec![1]), (1, 5, vec![]), (3, 1, vec![2]), (0, 5, vec![])]
    {
        let page = client.page_before(&first.new.id, before, limit).await.unwrap();
        assert_eq!(page, store.page_before(&first.new.id, before, limit).await.unwrap());
        assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), numbers, "{before}");
    }
    let error = client.page(&SessionId::from("nobody".to_owned()), 0, 10).await.unwrap_err();
    assert_eq!(error.to_string(), "session nobody is not in the audit store");
}

#[tokio::test]
async fn errors_are_sentences_with_the_right_status() {
    let store = FakeStore::new();
    let id = begin(&store).await.new.id;
    let served = serve(Arc::new(store.clone())).await;
    for (path, status, words) in [
        ("/sessions?limit=many", "400", "limit"),
        ("/sessions?colour=red", "400", "colour"),
        ("/sessions/nobody", "404", "session nobody is not in the audit store"),
        ("/sessions/nobody/entries", "404", "nobody"),
        ("/sessions/nobody/entries?follow=true", "404", "nobody"),
        ("/nothing", "404", "/nothing"),
        ("/sessions/nobody/entries?after=1&before=2", "400", "either after or before"),
        ("/sessions/nobody/entries?before=2&follow=true", "400", "looks back"),
    ] {
        let answer = get(&served, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let problem: api::Problem = serde_json::from_str(body).unwrap();
        assert!(problem.error.contains(words), "{path}: {}", problem.error);
    }
    let answer = raw(&served, "POST /sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = raw(&served, "GET /sessions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    store.make_unavailable("disk full");
    let answer = get(&served, &format!("/sessions/{id}")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("disk full"), "{answer}");
    let error = client(&served).await.session(&id).await.unwrap_err();
    assert_eq!(error.to_string(), "the audit store is unavailable: disk full");
}

#[tokio::test]
async fn following_goes_on_through_outages_until_the_seal() {
    let store = FakeStore::new();
    let id = begin(&store).await.new.id;
    let origin = serve(Arc::new(store.clone())).await;
    let (served, way) = relay("127.0.0.1:0", &origin.address).await;
    let client = client(&served).await;
    let append = async |seq, body| store.append(&id, seq, Timestamp::now(), &body).await.unwrap();
    append(1, note("one")).await;
    let mut followed = Arc::clone(&client).follow(id.clone(), 0);
    let next = async |followed: &mut futures::stream::BoxStream<'static, Result<Followed, AuditError>>| {
        tokio::time::timeout(Duration::from_secs(10), followed.next()).await.unwrap()
    };
    assert!(matches!(next(&mut followed).await, Some(Ok(Followed::Entry(e))) if e.seq == 1));

    // An entry that is written now is there at once, not after the next poll.
    let (told, ()) = tokio::join!(next(&mut followed), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        append(2, note("two")).await;
    });
    let Some(Ok(Followed::Entry(entry))) = told else { panic!("{told:?}") };
    assert_eq!(entry.seq, 2);
    let late = Timestamp::now().duration_since(entry.at).as_millis();
    assert!(late < 100, "{late} ms");

    store.make_unavailable("disk full");
    let told = next(&mut followed).await;
    assert!(matches!(&told, Some(Ok(Followed::Waiting(why))) if why.contains("disk full")), "{told:?}");
    store.heal();
    append(3, note("three")).await;
    assert!(matches!(next(&mut followed).await, Some(Ok(Followed::Back))));
    let told = next(&mut followed).await;
    assert!(matches!(&told, Some(Ok(Followed::Entry(e))) if e.seq == 3), "{told:?}");

    // The way breaks, and comes back a while later; meanwhile the session goes on.
    way.abort();
    let told = next(&mut followed).await;
    assert!(matches!(&told, Some(Ok(Followed::Waiting(_)))), "{told:?}");
    append(4, note("four")).await;
    let (_, again) = relay(&served.address, &origin.address).await;
    assert!(matches!(next(&mut followed).await, Some(Ok(Followed::Back))));
    let told = next(&mut followed).await;
    assert!(matches!(&told, Some(Ok(Followed::Entry(e))) if e.seq == 4), "{told:?}");
    append(5, seal("Concluded")).await;
    let told = next(&mut followed).await;
    assert!(matches!(&told, Some(Ok(Followed::Entry(e))) if e.seq == 5), "{told:?}");
    assert!(next(&mut followed).await.is_none());
    again.abort();

    // From the end there is nothing more to follow.
    let mut over = Arc::new(store.clone()).follow(id.clone(), 5);
    assert!(next(&mut over).await.is_none());
}

#[tokio::test]
async fn followers_are_bounded() {
    let store = FakeStore::new();
    let id = begin(&store).await.new.id;
    let served = serve(Arc::new(store.clone())).await;
    let request = format!("GET /sessions/{id}/entries?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut streams = Vec::new();
    for n in 0..=api::MAX_FOLLOWERS {
        let mut stream = tokio::net::TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        let expected = if n < api::MAX_FOLLOWERS { b"HTTP/1.1 200" } else { b"HTTP/1.1 503" };
        assert_eq!(&head, expected, "{n}");
        streams.push(stream);
    }
    // A place is free again when its follower goes.
    drop(streams);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut stream = tokio::net::TcpStream::connect(&served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
}
