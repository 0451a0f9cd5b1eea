//! The paths of the API, and the way of one request through them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request as HttpRequest, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::record::{RecordedRequest, Records};
use super::{Options, body, respond};
use crate::PREFIX;
use crate::answer::Reply;
use crate::attempts::Attempts;
use crate::cache::{self, PrefixCache};
use crate::conversation::View;
use crate::error::ApiError;
use crate::play::{self, Play};
use crate::request::{self, Endpoint, Request};
use crate::script::{Script, ScriptSet};
use crate::{auto, summary};

/// What all requests share.
#[derive(Debug)]
pub(super) struct State {
    scripts: ScriptSet,
    options: Options,
    attempts: Mutex<Attempts>,
    cache: Mutex<PrefixCache>,
    pub(super) records: Records,
    next_id: AtomicU64,
    started: Timestamp,
}

impl State {
    pub(super) fn new(scripts: ScriptSet, options: Options) -> Self {
        Self {
            attempts: Mutex::default(),
            cache: Mutex::new(PrefixCache::new(options.cache_min_tokens)),
            records: Records::new(options.recorded_requests),
            next_id: AtomicU64::new(1),
            started: Timestamp::now(),
            scripts,
            options,
        }
    }
}

/// The id of a request, made once and used in its header, its error body and the log.
#[derive(Clone, Debug)]
struct RequestId(String);

/// All routes.
pub(super) fn app(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .fallback(async |request: HttpRequest| {
            let path = request.uri().path().to_owned();
            refuse(&request, &ApiError::not_found(format!("no such path: {path}")))
        })
        .method_not_allowed_fallback(async |request: HttpRequest| {
            refuse(&request, &ApiError::new(405, "Method Not Allowed"))
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&state), identify))
        .with_state(state)
}

fn refuse(request: &HttpRequest, error: &ApiError) -> Response {
    let id = request.extensions().get::<RequestId>();
    respond::error(error, id.map_or("", |id| id.0.as_str()))
}

/// Gives each request its id, and each answer the header.
async fn identify(Shared(state): Shared<Arc<State>>, mut request: HttpRequest, next: Next) -> Response {
    let number = state.next_id.fetch_add(1, Ordering::Relaxed);
    let id = format!("req_offline_{:x}_{number}", state.started.as_millisecond());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    respond::add(&mut response, "request-id", &id);
    response
}

async fn messages(Shared(state): Shared<Arc<State>>, http: HttpRequest) -> Response {
    exchange(&state, http, Endpoint::Messages).await
}

async fn count_tokens(Shared(state): Shared<Arc<State>>, http: HttpRequest) -> Response {
    exchange(&state, http, Endpoint::CountTokens).await
}

/// Receives, answers and records one request.
async fn exchange(state: &State, http: HttpRequest, endpoint: Endpoint) -> Response {
    let (parts, content) = http.into_parts();
    let id = parts.extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
    let mut sent = Value::Null;
    let mut rule = None;
    let mut received_at = Timestamp::now();
    let outcome = async {
        sent = receive(&parts.headers, content).await?;
        received_at = Timestamp::now();
        let request = request::parse(&sent, endpoint, body::version(&parts.headers)?)?;
        let part = part(&state.scripts, &request)?;
        if endpoint == Endpoint::CountTokens {
            let tokens = cache::total(&request.segments);
            return Ok(respond::json(StatusCode::OK, &json!({"input_tokens": tokens})));
        }
        answer(state, &request, part, id, &mut rule).await
    }
    .await;
    let mut response = outcome.unwrap_or_else(|error: ApiError| {
        tracing::info!(id, %error, "refused");
        respond::error(&error, id)
    });
    if let Some(rule) = &rule {
        respond::add(&mut response, "x-offline-rule", rule);
    }
    state.records.add(RecordedRequest {
        received_at,
        path: parts.uri.path().to_owned(),
        body: sent,
        status: response.status().as_u16(),
        rule,
    });
    response
}

async fn receive(headers: &HeaderMap, content: Body) -> Result<Value, ApiError> {
    // The body is read before anything is refused: a client that is still sending would see a
    // broken connection instead of the refusal.
    let value = body::json(content).await;
    if matches!(&value, Err(error) if error.status == 413) {
        return value;
    }
    body::authenticate(headers)?;
    body::version(headers)?;
    value
}

/// Whom a model plays.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    /// The built-in summary.
    Summary,
    /// A script, with its name.
    Script(&'a str, &'a Script),
    /// The script that the conversation chooses.
    Auto,
}

fn find<'a>(scripts: &'a ScriptSet, model: &'a str) -> Result<Part<'a>, ApiError> {
    let Some(name) = model.strip_prefix(PREFIX) else {
        return Err(ApiError::not_found(format!(
            "model: {model}. This is the offline model, which plays scripts and does not reason; \
             it has {}",
            scripts.models().join(", ")
        )));
    };
    match (name, scripts.get(name)) {
        (summary::NAME, _) => Ok(Part::Summary),
        (auto::NAME, _) => Ok(Part::Auto),
        (name, Some(script)) => Ok(Part::Script(name, script)),
        (name, None) => Err(ApiError::not_found(format!(
            "model: {model}. There is no offline script \"{name}\"; there are {}",
            scripts.models().join(", ")
        ))),
    }
}

/// The same for a request, which has the conversation that chooses.
fn part<'a>(scripts: &'a ScriptSet, request: &'a Request) -> Result<Part<'a>, ApiError> {
    match find(scripts, &request.model)? {
        Part::Auto => {
            let view = View::new(&request.system, &request.messages);
            auto::script(scripts, &view.first_user_text()).map(|(name, script)| Part::Script(name, script))
        }
        part => Ok(part),
    }
}

async fn answer(
    state: &State,
    request: &Request,
    part: Part<'_>,
    id: &str,
    rule: &mut Option<String>,
) -> Result<Response, ApiError> {
    let turn = View::new(&request.system, &request.messages).turns();
    let (play, delay) = plan(state, request, part)?;
    *rule = Some(play.rule.clone()).filter(|rule| !rule.is_empty());
    tracing::info!(id, model = request.model, turn, rule = play.rule, "answering");
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let input = state.cache.lock().unwrap_or_else(PoisonError::into_inner).account(
        &request.model,
        &request.segments,
        Instant::now(),
    );
    let reply = Reply::new(play.draft, request, turn, input);
    Ok(respond::reply(&reply, play.trouble, request.stream, id))
}

/// What to answer, and after how many milliseconds.
fn plan(state: &State, request: &Request, part: Part<'_>) -> Result<(Play, u64), ApiError> {
    let Part::Script(name, script) = part else {
        return Ok((play::summarize(request), state.options.summary_delay_ms));
    };
    let mut attempts = state.attempts.lock().unwrap_or_else(PoisonError::into_inner);
    let play = play::play(name, script, request, &mut attempts)?;
    let delay = play.delay_ms.or(state.options.delay_ms).or(script.delay_ms).unwrap_or(0);
    Ok((play, delay))
}

async fn models(Shared(state): Shared<Arc<State>>, http: HttpRequest) -> Response {
    if let Err(error) = greet(http.headers()) {
        return refuse(&http, &error);
    }
    let names = state.scripts.models();
    let data: Vec<Value> = names.iter().map(|name| model_info(name, state.started)).collect();
    respond::json(
        StatusCode::OK,
        &json!({
            "data": data,
            "has_more": false,
            "first_id": names.first(),
            "last_id": names.last(),
        }),
    )
}

async fn model(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, http: HttpRequest) -> Response {
    match greet(http.headers()).and_then(|()| find(&state.scripts, &name)) {
        Ok(_) => respond::json(StatusCode::OK, &model_info(&name, state.started)),
        Err(error) => refuse(&http, &error),
    }
}

fn greet(headers: &HeaderMap) -> Result<(), ApiError> {
    body::authenticate(headers)?;
    body::version(headers).map(|_| ())
}

fn model_info(name: &str, created_at: Timestamp) -> Value {
    json!({
        "type": "model",
        "id": name,
        "display_name": format!("{name} (a script, no reasoning)"),
        "created_at": created_at,
        "lifecycle": "active",
    })
}
