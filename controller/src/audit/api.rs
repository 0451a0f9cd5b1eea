//! The audit API: the trail over HTTP, read-only, for a listener on the pod's loopback.
//!
//! ```text
//! GET /sessions?namespace=&incident=&subject=&phase=&since=&limit=      {"sessions": […]}
//! GET /sessions/ID                                                      a session
//! GET /sessions/ID/entries?after=SEQ&limit=N                            {"entries": […]}, empty at the end
//! GET /sessions/ID/entries?before=SEQ&limit=N                           the last ones before it, in order; empty at the start
//! GET /sessions/ID/entries?after=SEQ&follow=true                        server-sent events
//! GET /proof/keys                                                       {"keys": […]}
//! GET /proof/links?after=N                                              {"links": […]}, empty at the end
//! GET /proof/sessions?after=ID                                          {"sessions": […]}, empty at the end
//! GET /proof/sessions/ID/entries?after=SEQ                              {"entries": […]}, empty at the end
//! ```
//! The last four are rows with nothing left out, for `operator audit verify` and `export`. Beside them is what the
//! monitor shows ([`crate::monitor::api`]).
//!
//! The events are `entry` (its id is the entry's number), `waiting` (nothing can be read just now), `back` (it
//! can again), `error` (and the end), and `end` after the seal. Errors are `{"error": "a sentence"}`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub use audit_client::wire::{Entries, Problem, ProofEntries, ProofKeys, ProofLinks, ProofSessions, Sessions};

use super::reader::{AuditReader, Followed, MAX_ENTRIES, SessionFilter};
use super::{AuditError, SessionRecord};
use crate::session::SessionId;

/// How many may follow at the same time.
pub const MAX_FOLLOWERS: usize = 64;
/// A sign of life on a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A stream ends after this long, so that a follower that died without a word does not stay for
/// ever. A live one comes back.
const LONGEST_FOLLOW: Duration = Duration::from_hours(1);

#[derive(Clone)]
struct Api {
    reader: Arc<dyn AuditReader>,
    followers: Arc<Semaphore>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EntriesQuery {
    after: Option<i64>,
    before: Option<i64>,
    limit: i64,
    follow: bool,
}

impl Default for EntriesQuery {
    fn default() -> Self {
        Self { after: None, before: None, limit: MAX_ENTRIES, follow: false }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AfterNumber {
    after: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AfterName {
    after: String,
}

/// The routes of the audit API.
pub fn router(reader: Arc<dyn AuditReader>) -> Router {
    router_with(reader, Router::new())
}

/// The same with further ones beside them, which are reached under the same names of the host only.
pub fn router_with(reader: Arc<dyn AuditReader>, more: Router) -> Router {
    let api = Api { reader, followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)) };
    Router::new()
        .route("/sessions", get(sessions))
        .route("/sessions/{id}", get(session))
        .route("/sessions/{id}/entries", get(entries))
        .route("/proof/keys", get(proof_keys))
        .route("/proof/links", get(proof_links))
        .route("/proof/sessions", get(proof_sessions))
        .route("/proof/sessions/{id}/entries", get(proof_entries))
        .fallback(async |uri: Uri| problem(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path())))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "the audit API can only be read (GET)")
        })
        .with_state(api)
        .merge(more)
        .layer(middleware::from_fn(only_local_names))
}

async fn sessions(
    State(api): State<Api>,
    filter: Result<Query<SessionFilter>, QueryRejection>,
) -> Result<Json<Sessions>, Response> {
    let Query(filter) = filter.map_err(|error| bad_query(&error))?;
    let sessions = api.reader.sessions(&filter).await.map_err(refuse)?;
    Ok(Json(Sessions { sessions }))
}

async fn session(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<SessionRecord>, Response> {
    Ok(Json(find(&api, &SessionId::from(id)).await?))
}

async fn entries(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Result<Query<EntriesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let id = SessionId::from(id);
    let entries = match (query.after, query.before) {
        (Some(_), Some(_)) => return Err(bad("either after or before: a page has one end that is given")),
        (None, Some(_)) if query.follow => {
            return Err(bad("before looks back: what is followed begins after an entry"));
        }
        (after, None) if query.follow => {
            return follow(api, id, after.unwrap_or(0).max(last_event(&headers))).await;
        }
        (after, None) => api.reader.page(&id, after.unwrap_or(0), query.limit).await,
        (None, Some(before)) => api.reader.page_before(&id, before, query.limit).await,
    };
    let entries = entries.map_err(refuse)?;
    if entries.is_empty() {
        find(&api, &id).await?;
    }
    Ok(Json(Entries { entries }).into_response())
}

async fn proof_keys(State(api): State<Api>) -> Result<Json<ProofKeys>, Response> {
    Ok(Json(ProofKeys { keys: api.reader.keys().await.map_err(refuse)? }))
}

async fn proof_links(
    State(api): State<Api>,
    query: Result<Query<AfterNumber>, QueryRejection>,
) -> Result<Json<ProofLinks>, Response> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    Ok(Json(ProofLinks { links: api.reader.links(query.after).await.map_err(refuse)? }))
}

async fn proof_sessions(
    State(api): State<Api>,
    query: Result<Query<AfterName>, QueryRejection>,
) -> Result<Json<ProofSessions>, Response> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    Ok(Json(ProofSessions { sessions: api.reader.session_rows(&query.after).await.map_err(refuse)? }))
}

async fn proof_entries(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Result<Query<AfterNumber>, QueryRejection>,
) -> Result<Json<ProofEntries>, Response> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let rows = api.reader.entry_rows(&SessionId::from(id), query.after).await;
    Ok(Json(ProofEntries { entries: rows.map_err(refuse)? }))
}

async fn follow(api: Api, id: SessionId, after: i64) -> Result<Response, Response> {
    find(&api, &id).await?;
    let Ok(place) = api.followers.clone().try_acquire_owned() else {
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MAX_FOLLOWERS} follow already: try again later"),
        ));
    };
    let events = api.reader.follow(id, after).map(|followed| match followed {
        Ok(Followed::Entry(entry)) => named("entry", &entry).id(entry.seq.to_string()),
        Ok(Followed::Waiting(reason)) => named("waiting", &Problem { error: reason }),
        Ok(Followed::Back) => Event::default().event("back").data("{}"),
        Err(error) => named("error", &Problem { error: error.to_string() }),
    });
    // The end is told only when there is one: a stream that breaks off is taken up again.
    let events = events
        .chain(stream::once(async { Event::default().event("end").data("{}") }))
        .take_until(tokio::time::sleep(LONGEST_FOLLOW))
        .map(move |event| {
            let _held = &place;
            Ok::<_, Infallible>(event)
        });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn named(name: &str, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data).unwrap_or_else(|error| {
        serde_json::json!({ "error": format!("this cannot be written as JSON: {error}") }).to_string()
    });
    Event::default().event(name).data(text)
}

fn last_event(headers: &HeaderMap) -> i64 {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok()).unwrap_or(0)
}

async fn find(api: &Api, id: &SessionId) -> Result<SessionRecord, Response> {
    match api.reader.session(id).await {
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err(refuse(AuditError::NotFound(format!("session {id}")))),
        Err(error) => Err(refuse(error)),
    }
}

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Problem { error: error.into() })).into_response()
}

fn bad(error: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, error)
}

fn bad_query(error: &QueryRejection) -> Response {
    problem(StatusCode::BAD_REQUEST, error.body_text())
}

#[allow(clippy::needless_pass_by_value)] // reads well in map_err
fn refuse(error: AuditError) -> Response {
    let status = match &error {
        AuditError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        AuditError::NotFound(_) => StatusCode::NOT_FOUND,
        AuditError::OutOfSequence { .. } | AuditError::Schema(_) | AuditError::Refused(_) | AuditError::Fenced(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    problem(status, error.to_string())
}

/// A page in a browser could have its own name resolve to the loopback and read the trail through
/// somebody's port-forward. It cannot change the name in the request.
async fn only_local_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?").to_owned());
    if host.as_deref().is_none_or(is_local) {
        next.run(request).await
    } else {
        problem(StatusCode::FORBIDDEN, "the audit API answers to localhost or an address, not to other names")
    }
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_names_that_nobody_can_own() {
        for host in ["localhost", "LOCALHOST:8081", "127.0.0.1:8081", "[::1]:8081", "10.1.2.3"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8081", "", "a b"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
