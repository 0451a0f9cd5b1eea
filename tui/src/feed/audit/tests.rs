//! The audit API's part of the feed, against a server that cuts connections and refuses.

use std::sync::{Arc, Mutex};

use audit_client::Transport;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::feed::Format;
use crate::msg::{Done, Msg};
use crate::testing::session::{self, SESSION, record};

/// What the server says to the next question.
type Says = Box<dyn Fn(&str) -> String + Send + Sync>;

/// A server that answers one question a connection, and what it was asked.
async fn serve(says: Says) -> (Audit, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = asked.clone();
    let says = Arc::new(says);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (says, heard) = (says.clone(), heard.clone());
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let Some(path) = line.strip_prefix("GET ").and_then(|line| line.split(' ').next()) else {
                        continue;
                    };
                    heard.lock().unwrap().push(path.to_owned());
                    let answer = says(path);
                    if write.write_all(answer.as_bytes()).await.is_err() || answer.contains("text/event-stream") {
                        break;
                    }
                }
            });
        }
    });
    (Audit::new(Transport::direct(&format!("http://{address}")).unwrap()), asked)
}

fn json(status: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn events(entries: &[Entry], end: bool) -> String {
    let mut text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_owned();
    for entry in entries {
        let stored = crate::screen::session::digest::stored(SESSION, entry);
        text = text + "event: entry\ndata: " + &serde_json::to_string(&stored).unwrap() + "\n\n";
    }
    text + if end { "event: end\ndata: {}\n\n" } else { "" }
}

async fn next(messages: &mut mpsc::Receiver<Msg>) -> Vec<FeedEvent> {
    match tokio::time::timeout(Duration::from_secs(10), messages.recv()).await {
        Ok(Some(Msg::Feed(events))) => events,
        other => panic!("{other:?}"),
    }
}

fn numbers(event: &FeedEvent) -> Vec<i64> {
    let FeedEvent::Entries { entries, .. } = event else { panic!("{event:?}") };
    entries.iter().map(|entry| entry.seq).collect()
}

fn link(event: &FeedEvent) -> &Link {
    let FeedEvent::Link { link, .. } = event else { panic!("{event:?}") };
    link
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_where_it_was() {
    let all = session::ended();
    let (audit, asked) = serve(Box::new(move |path| {
        if path.ends_with("after=10&follow=true") {
            events(&all[10..13], false)
        } else {
            // One that was told already comes again.
            events(&all[11..], true)
        }
    }))
    .await;
    let (outlet, mut messages) = Outlet::new();
    assert!(audit.ask(&Request::Follow { session: SESSION.into(), after: 10 }, &outlet));
    let mut told = Vec::new();
    while told.last().is_none_or(|event| !matches!(event, FeedEvent::Link { link: Link::Ended, .. })) {
        told.extend(next(&mut messages).await);
    }
    let entries: Vec<i64> =
        told.iter().filter(|event| matches!(event, FeedEvent::Entries { .. })).flat_map(numbers).collect();
    assert_eq!(entries, (11..=19).collect::<Vec<_>>());
    let links: Vec<&Link> = told.iter().filter(|event| matches!(event, FeedEvent::Link { .. })).map(link).collect();
    assert!(matches!(links.as_slice(), [Link::Live, Link::Lost { .. }, Link::Live, Link::Ended]), "{links:?}");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|path| path.ends_with("after=13&follow=true")), "{asked:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_tried_again() {
    let away = Arc::new(Mutex::new(true));
    let now = away.clone();
    let (audit, _) = serve(Box::new(move |path| {
        if *now.lock().unwrap() {
            return json(
                "503 Service Unavailable",
                &serde_json::json!({"error": "the audit store is unavailable: disk full"}),
            );
        }
        if path.contains("/entries?") {
            json("200 OK", &serde_json::json!({"entries": []}))
        } else {
            json("200 OK", &record(1, SESSION, false))
        }
    }))
    .await;
    let (outlet, mut messages) = Outlet::new();
    let page = Request::Page { session: SESSION.into(), place: Place::Before(i64::MAX), limit: 5 };
    audit.ask(&page, &outlet);
    let told = next(&mut messages).await;
    assert!(matches!(link(&told[0]), Link::Lost { reason } if reason == "disk full"), "{told:?}");
    *away.lock().unwrap() = false;
    let told = next(&mut messages).await;
    assert!(matches!(&told[0], FeedEvent::Session { .. }) && *link(&told[1]) == Link::Live, "{told:?}");
    audit.ask(&page, &outlet);
    let told = next(&mut messages).await;
    assert!(matches!(&told[0], FeedEvent::Entries { answers: Some(Place::Before(i64::MAX)), .. }), "{told:?}");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let error = serde_json::json!({"error": "session x is not in the audit store"});
    let (audit, _) = serve(Box::new(move |_| json("404 Not Found", &error))).await;
    let (outlet, mut messages) = Outlet::new();
    audit.ask(&Request::Session { session: SESSION.into() }, &outlet);
    let told = next(&mut messages).await;
    assert!(
        matches!(link(&told[0]), Link::Missing { reason } if reason.contains("is not in the audit store")),
        "{told:?}"
    );
    audit.ask(&Request::Unfollow { session: SESSION.into() }, &outlet);
    assert!(!audit.ask(&Request::Reconnect, &outlet));
}

#[tokio::test]
async fn a_session_is_written_page_by_page() {
    let all = session::ended();
    let (audit, asked) = serve(Box::new(move |path| {
        let Some((_, after)) = path.split_once("after=") else { return json("200 OK", &record(1, SESSION, true)) };
        let after: usize = after.split('&').next().unwrap().parse().unwrap();
        let page: Vec<_> = all
            .iter()
            .skip(after)
            .take(8)
            .map(|entry| crate::screen::session::digest::stored(SESSION, entry))
            .collect();
        json("200 OK", &serde_json::json!({"entries": page}))
    }))
    .await;
    let (outlet, mut messages) = Outlet::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.md").display().to_string();
    audit.ask(&Request::Export { session: SESSION.into(), path: path.clone(), format: Format::Markdown }, &outlet);
    let told = tokio::time::timeout(Duration::from_secs(10), messages.recv()).await.unwrap();
    assert!(matches!(&told, Some(Msg::Done(Done::Good(said))) if said.contains("19 entries")), "{told:?}");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("docker start tikv-tikv1-1") && text.contains("conclusion: resolved"), "{text}");
    assert_eq!(asked.lock().unwrap().iter().filter(|path| path.contains("after=")).count(), 4);
}
