//! The watch against an API server that says what the test wants.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::feed::Object;
use crate::msg::Msg;

/// What one request is answered with.
enum Answer {
    /// A whole answer.
    Body(u16, Value),
    /// Events of a watch; then the connection is cut, or stays open.
    Events(Vec<Value>, bool),
}

fn incident(name: &str, version: u64) -> Value {
    json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
            "managedFields": [{"manager": "m", "operation": "Apply"}]},
        "spec": {"title": "t", "subjectRef": {"name": "s"}},
    })
}

fn list(names: &[&str], version: u64, more: Option<&str>) -> Answer {
    let items: Vec<Value> = names.iter().map(|name| incident(name, version)).collect();
    let meta = json!({"resourceVersion": version.to_string(), "continue": more.unwrap_or("")});
    Answer::Body(
        200,
        json!({"apiVersion": "operator.dev/v1alpha1", "kind": "IncidentList", "metadata": meta, "items": items}),
    )
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "No", "code": code})
}

/// Answers one request after the other, and tells which paths were asked for.
async fn server(answers: Vec<Answer>) -> (kube::Client, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, paths) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut open = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 << 10];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let _ = asked.send(request.split(' ').nth(1).unwrap_or_default().to_owned());
            open.extend(respond(stream, answer).await);
        }
        // What stays open does so until the test is over.
        std::future::pending::<()>().await;
        drop(open);
    });
    (kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(), paths)
}

async fn respond(mut stream: TcpStream, answer: Answer) -> Option<TcpStream> {
    let head = "Content-Type: application/json\r\nConnection: close";
    match answer {
        Answer::Body(code, body) => {
            let body = body.to_string();
            let text = format!("HTTP/1.1 {code} X\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
            None
        }
        Answer::Events(events, stays) => {
            let text = format!("HTTP/1.1 200 OK\r\n{head}\r\nTransfer-Encoding: chunked\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            for event in events {
                let line = format!("{event}\n");
                stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
            }
            stays.then_some(stream)
        }
    }
}

/// What a watch tells, a word for each piece of news, until there are so many.
async fn told(answers: Vec<Answer>, how_many: usize) -> (Vec<String>, Vec<String>) {
    let (client, mut paths) = server(answers).await;
    let scope = tokio::sync::watch::Sender::new(Scope::Namespace("shop".to_owned()));
    let shared = Shared { client, outlet: OnceLock::new(), scope, pulse: tokio::sync::watch::Sender::new(0) };
    let (outlet, mut messages) = Outlet::new();
    let task = tokio::spawn(watch::<crds::Incident>(Arc::new(shared), outlet, Kind::Incidents, Object::Incident));
    let mut words = Vec::new();
    while words.len() < how_many {
        let message = timeout(Duration::from_secs(20), messages.recv()).await;
        let Ok(Some(Msg::Feed(events))) = message else { panic!("{words:?}") };
        words.extend(events.iter().map(word));
    }
    task.abort();
    let mut asked = Vec::new();
    while let Ok(path) = paths.try_recv() {
        asked.push(path);
    }
    (words, asked)
}

fn word(event: &FeedEvent) -> String {
    match event {
        FeedEvent::Listing { .. } => "listing".to_owned(),
        FeedEvent::Listed { .. } => "listed".to_owned(),
        FeedEvent::Applied { object: Object::Incident(incident) } => {
            assert!(incident.metadata.managed_fields.is_none());
            format!("+{}", incident.name_any())
        }
        FeedEvent::Deleted { uid, .. } => format!("-{uid}"),
        FeedEvent::Link { link: Link::Live, .. } => "live".to_owned(),
        FeedEvent::Link { link: Link::Lost { .. }, .. } => "lost".to_owned(),
        FeedEvent::Link { link: Link::Forbidden { reason }, .. } => format!("forbidden: {reason}"),
        FeedEvent::Link { link: Link::Missing { reason }, .. } => format!("missing: {reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let answers = vec![
        list(&["a"], 5, Some("more")),
        list(&["b"], 5, None),
        // Cut in the middle of an answer.
        Answer::Events(vec![event("MODIFIED", &incident("a", 7))], false),
        Answer::Events(vec![event("DELETED", &incident("b", 9))], true),
    ];
    let (words, asked) = told(answers, 8).await;
    assert_eq!(words, ["listing", "+a", "+b", "listed", "live", "+a", "live", "-uid-b"]);
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[1].contains("continue=more") && asked[2].contains("resourceVersion=5"), "{asked:?}");
    assert!(asked[3].contains("watch=true") && asked[3].contains("resourceVersion=7"), "{asked:?}");
}

#[tokio::test]
async fn an_api_server_that_is_away_is_said_until_it_is_back() {
    let answers = vec![
        list(&["a"], 5, None),
        Answer::Events(vec![], false),
        Answer::Body(500, status(500)),
        Answer::Events(vec![event("MODIFIED", &incident("a", 7))], true),
    ];
    let (words, asked) = told(answers, 7).await;
    assert_eq!(words, ["listing", "+a", "listed", "live", "lost", "live", "+a"]);
    assert!(asked[3].contains("resourceVersion=5"), "{asked:?}");
}

#[tokio::test]
async fn a_version_that_was_forgotten_is_listed_anew() {
    let answers = vec![
        list(&["a"], 5, None),
        Answer::Events(vec![event("ERROR", &status(410))], true),
        list(&["b"], 20, None),
        Answer::Events(vec![], true),
    ];
    let (words, asked) = told(answers, 8).await;
    assert_eq!(words, ["listing", "+a", "listed", "live", "listing", "+b", "listed", "live"]);
    assert!(asked[3].contains("resourceVersion=20"), "{asked:?}");
}

#[tokio::test]
async fn one_that_cannot_be_read_stops_nothing() {
    let mut bad = incident("bad", 6);
    bad["spec"] = json!({"title": 3});
    let answers = vec![
        list(&["a"], 5, None),
        Answer::Events(vec![event("ADDED", &bad), event("ADDED", &incident("c", 7))], true),
    ];
    let (words, _) = told(answers, 6).await;
    assert_eq!(words, ["listing", "+a", "listed", "live", "-uid-bad", "+c"]);
}

#[tokio::test]
async fn what_a_person_has_to_change_is_said() {
    let (words, _) = told(vec![Answer::Body(404, status(404))], 2).await;
    assert!(
        words[1].contains("missing: ") && words[1].contains("helm install operator-crds charts/operator-crds"),
        "{words:?}"
    );
    let (words, _) = told(vec![Answer::Body(403, status(403))], 2).await;
    assert!(
        words[1].contains("forbidden: You may not list and watch incidents.operator.dev in the namespace shop"),
        "{words:?}"
    );
}
