//! The observations of a Subject over HTTP, beside the audit API on the pod's loopback:
//!
//! ```text
//! GET /subjects/NAMESPACE/NAME/observations                 what is known, and the last rounds
//! GET /subjects/NAMESPACE/NAME/observations?follow=true     server-sent events
//! ```
//! The events are `observations` (what is known: the first with the last rounds, the others without), `round`, and
//! `end`, after which the Subject is not watched any more. Only the controller that leads watches: the others say so with
//! a 503. Secrets are masked as everywhere.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use audit_client::observations::{Observations, Observed, Observer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use crds::Subject;
use futures::stream::{self, Stream, StreamExt as _};
use kube::runtime::reflector::ObjectRef;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

use super::status;
use super::watched::{Registry, Snapshot, Watched};
use crate::audit::api::Problem;
use crate::redact::{Redaction, Redactor};

/// How many may follow at the same time.
const MAX_FOLLOWERS: usize = 64;
/// A sign of life on a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A stream ends after this long; a follower that lives comes back.
const LONGEST_FOLLOW: Duration = Duration::from_hours(1);
/// Between two of what is known: a screen is not drawn more often.
const PACE: Duration = Duration::from_millis(250);

#[derive(Clone)]
struct Api {
    registry: Registry,
    redaction: Arc<Redaction>,
    followers: Arc<Semaphore>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Follow {
    follow: bool,
}

/// The routes.
pub fn router(registry: Registry, redaction: Arc<Redaction>) -> Router {
    let api = Api { registry, redaction, followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)) };
    Router::new().route("/subjects/{namespace}/{name}/observations", get(observations)).with_state(api)
}

async fn observations(
    State(api): State<Api>,
    Path((namespace, name)): Path<(String, String)>,
    query: Result<Query<Follow>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(Follow { follow }) = query.map_err(|error| problem(StatusCode::BAD_REQUEST, error.body_text()))?;
    let subject: ObjectRef<Subject> = ObjectRef::new(&name).within(&namespace);
    let Some(watched) = api.registry.of(&subject) else {
        return Err(if api.registry.is_empty() {
            let why =
                "this controller watches nothing: it stands by, or there is nothing to watch; ask the one that leads";
            problem(StatusCode::SERVICE_UNAVAILABLE, why)
        } else {
            problem(StatusCode::NOT_FOUND, format!("Subject {namespace}/{name} is not watched"))
        });
    };
    let redactor = watched.redactor(&api.redaction);
    let name = format!("{namespace}/{name}");
    if !follow {
        return Ok(Json(whole(&name, &watched, &redactor)).into_response());
    }
    let Ok(place) = api.followers.clone().try_acquire_owned() else {
        let why = format!("{MAX_FOLLOWERS} follow already: try again later");
        return Err(problem(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let events = events(name, watched, redactor).take_until(tokio::time::sleep(LONGEST_FOLLOW)).map(move |event| {
        let _held = &place;
        Ok::<_, Infallible>(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// What is known, with the last rounds.
fn whole(subject: &str, watched: &Watched, redactor: &Redactor) -> Observations {
    let now = watched.views.borrow().clone();
    let last = watched.rounds().0.iter().filter_map(|round| masked(round, redactor)).collect();
    Observations { last: Some(last), ..known(subject, &now, redactor) }
}

fn known(subject: &str, known: &Snapshot, redactor: &Redactor) -> Observations {
    let observer = known.observer.as_ref();
    let shown = serde_json::to_value(&known.shown).unwrap_or_default();
    Observations {
        subject: subject.to_owned(),
        at: known.at,
        rounds: known.rounds,
        observed: Observed {
            status: known.observed.status.as_str().to_owned(),
            reason: known.observed.reason.to_string(),
            message: known.observed.message.clone(),
        },
        observer: observer
            .map(|observer| Observer { container: observer.name.clone(), started_at: observer.started_at }),
        invariants: known.views.iter().map(status::whole_invariant).collect(),
        held: known.held.clone(),
        display: serde_json::from_value(redactor.value(&shown).value).unwrap_or_default(),
        last: None,
    }
}

fn masked(round: &str, redactor: &Redactor) -> Option<Value> {
    let value: Value = serde_json::from_str(round).ok()?;
    Some(redactor.value(&value).value)
}

/// Where somebody who follows is.
struct Follower {
    subject: String,
    /// Until it has begun: who holds it keeps its streams open.
    watched: Option<Arc<Watched>>,
    redactor: Redactor,
    views: tokio::sync::watch::Receiver<Arc<Snapshot>>,
    rounds: tokio::sync::broadcast::Receiver<Arc<str>>,
    shown: tokio::time::Instant,
    over: bool,
}

fn events(subject: String, watched: Arc<Watched>, redactor: Redactor) -> impl Stream<Item = Event> {
    let follower = Follower {
        subject,
        views: watched.views.clone(),
        rounds: watched.rounds().1,
        watched: Some(watched),
        redactor,
        shown: tokio::time::Instant::now(),
        over: false,
    };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        if let Some(watched) = self.watched.take() {
            self.views.mark_unchanged();
            return Some(named("observations", &whole(&self.subject, &watched, &self.redactor)));
        }
        loop {
            tokio::select! {
                round = self.rounds.recv() => match round {
                    Ok(round) => if let Some(round) = masked(&round, &self.redactor) {
                        return Some(named("round", &round));
                    },
                    // Who is too slow misses some.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Some(self.end()),
                },
                changed = changed(&mut self.views, self.shown + PACE) => {
                    if changed.is_err() {
                        return Some(self.end());
                    }
                    self.shown = tokio::time::Instant::now();
                    let now = self.views.borrow_and_update().clone();
                    return Some(named("observations", &known(&self.subject, &now, &self.redactor)));
                }
            }
        }
    }

    fn end(&mut self) -> Event {
        self.over = true;
        Event::default().event("end").data("{}")
    }
}

/// Something is new, and it is time to say so.
async fn changed(
    views: &mut tokio::sync::watch::Receiver<Arc<Snapshot>>,
    not_before: tokio::time::Instant,
) -> Result<(), tokio::sync::watch::error::RecvError> {
    tokio::time::sleep_until(not_before).await;
    views.changed().await?;
    views.mark_changed();
    Ok(())
}

fn named(name: &str, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data)
        .unwrap_or_else(|error| json!({ "error": format!("this cannot be written as JSON: {error}") }).to_string());
    Event::default().event(name).data(text)
}

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Problem { error: error.into() })).into_response()
}

#[cfg(test)]
mod tests {
    use crds::invariant::InvariantState;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::redaction::RedactionConfig;
    use crate::invariant::{KeyView, View};
    use crate::monitor::lines::Heard;
    use crate::probe::{Reading, Round};
    use crate::redact::{InstallationSecret, Rules};

    async fn serve(registry: &Registry) -> String {
        let rules = Rules::compile(&RedactionConfig::default(), &[]).unwrap();
        let redaction = Arc::new(rules.with(InstallationSecret::new([3; 32])));
        let router = crate::audit::api::router_with(
            Arc::new(crate::audit::FakeStore::new()),
            router(registry.clone(), redaction),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    async fn ask(address: &str, path: &str, host: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn get(address: &str, path: &str) -> (String, Value) {
        let mut answer = String::new();
        ask(address, path, "localhost").await.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn round(text: &str) -> Heard {
        let reading = Reading { ok: true, value: Some(json!({ "said": text })), ..Reading::default() };
        let at = "2026-01-28T20:54:48Z".parse().unwrap();
        Heard::own(Round { probe: "web".into(), at, readings: [(String::new(), reading)].into() })
    }

    fn watched() -> (Registry, Arc<Watched>) {
        let (registry, (watched, asked)) = (Registry::default(), Watched::new("u-1"));
        std::mem::forget(asked);
        registry.set(ObjectRef::new("shop").within("ns"), Some(watched.clone()));
        let key = KeyView { key: "a".into(), state: InvariantState::Violated, ..KeyView::default() };
        let view = View { name: "down".into(), state: InvariantState::Violated, keys: vec![key], ..View::default() };
        watched.show(Arc::new(Snapshot { views: vec![view], rounds: 7, ..Snapshot::default() }));
        (registry, watched)
    }

    #[tokio::test]
    async fn what_is_known_is_told_with_the_last_rounds_and_without_secrets() {
        let (registry, watched) = watched();
        watched.keep(&round("first"));
        watched.keep(&round("password=hunter2-and-more"));
        let address = serve(&registry).await;
        let (status, body) = get(&address, "/subjects/ns/shop/observations").await;
        assert_eq!((status.as_str(), &body["subject"], &body["rounds"]), ("200", &json!("ns/shop"), &json!(7)));
        assert_eq!(body["invariants"][0]["keys"][0]["key"], "a");
        assert_eq!(body["observed"]["reason"], "Starting");
        assert_eq!(body["last"][0]["readings"][""]["value"]["said"], "first");
        let second = body["last"][1].to_string();
        assert!(second.contains("[redacted:") && !second.contains("hunter2"), "{second}");

        assert_eq!(get(&address, "/subjects/ns/other/observations").await.0, "404");
        assert_eq!(get(&address, "/subjects/ns/shop/observations?folow=true").await.0, "400");
        let (status, body) = get(&serve(&Registry::default()).await, "/subjects/ns/shop/observations").await;
        assert!(status == "503" && body["error"].as_str().unwrap().contains("ask the one that leads"), "{body}");
        let mut answer = String::new();
        let mut foreign = ask(&address, "/subjects/ns/shop/observations", "evil.example").await;
        foreign.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn who_follows_hears_of_rounds_and_of_what_changes_until_the_end() {
        let (registry, watched) = watched();
        watched.keep(&round("before"));
        let address = serve(&registry).await;
        let stream = ask(&address, "/subjects/ns/shop/observations?follow=true", "localhost").await;
        let mut lines = BufReader::new(stream).lines();
        let mut next = async || loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                let data = lines.next_line().await.unwrap().unwrap();
                return (event.to_owned(), data.strip_prefix("data: ").unwrap().to_owned());
            }
        };
        let (event, data) = next().await;
        assert!(event == "observations" && data.contains("before"), "{event} {data}");
        watched.keep(&round("after"));
        let (event, data) = next().await;
        assert!(event == "round" && data.contains("after"), "{event} {data}");
        watched.show(Arc::new(Snapshot { rounds: 8, ..Snapshot::default() }));
        let (event, data) = next().await;
        assert!(event == "observations" && data.contains("\"rounds\":8") && !data.contains("before"), "{event} {data}");
        registry.set(ObjectRef::new("shop").within("ns"), None);
        drop(watched);
        assert_eq!(next().await.0, "end");
    }
}
