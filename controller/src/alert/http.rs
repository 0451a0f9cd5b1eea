//! `POST /webhooks/alertmanager` and `POST /webhooks/generic/NAME`.
//!
//! A request is answered with 2xx once its alerts stand at the API server, and not before. What is refused is refused in
//! the order in which that costs least: who asks (401), whether there is room (429, 503), how large it is (413), what it
//! says (400, 422). What is the fault of nobody and may pass is 503 with `Retry-After`: Alertmanager sends that again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::desk::Desk;
use super::desk::report::Report;
use super::generic::Mapping;
use super::payload;
use crate::metrics::Metrics;
use crate::monitor::bench::{Bench, Done};
use crate::monitor::rate::Rate;

/// The most bytes of a body.
pub const LARGEST: usize = 1 << 20;
/// So much of a body that is refused is read all the same: who is still sending would not see the answer.
const DRAINED: usize = 16 << 20;
/// The same of one who has no token.
const DRAINED_OF_STRANGERS: usize = 2 * LARGEST;
/// How long sending a body may take.
const SENDING: Duration = Duration::from_secs(10);
/// How long a request may take in all that follows.
const HANDLING: Duration = Duration::from_secs(25);
/// Requests whose bodies are in memory.
const IN_HAND: usize = 32;
/// Requests that are read and stored at the same time.
const AT_ONCE: usize = 8;
/// Requests at once …
const BURST: f64 = 300.0;
/// … and after that one each, which makes fifty a second.
const EACH: Duration = Duration::from_millis(20);
/// The least letters of a token: what is shorter is guessed.
const SHORTEST: usize = 16;

/// The token that requests have to carry, as something that can be compared in constant time.
pub struct Token {
    key: [u8; 64],
    tag: Vec<u8>,
}

impl Token {
    /// Of this text.
    ///
    /// # Errors
    /// A sentence, if it is too short.
    pub fn new(text: &SecretString) -> Result<Self, String> {
        let text = text.expose_secret();
        if text.len() < SHORTEST {
            return Err(format!("OPERATOR_WEBHOOK_TOKEN has {} letters: {SHORTEST} are the least", text.len()));
        }
        let key = rand::random();
        Ok(Self { key, tag: mac(&key, text.as_bytes()).finalize().into_bytes().to_vec() })
    }

    /// Whether this is it. How long that takes says nothing of the token.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        mac(&self.key, given).verify_slice(&self.tag).is_ok()
    }

    /// Whether a request carries it.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
        let Some((scheme, given)) = value.as_bytes().split_at_checked("bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && self.is(given.trim_ascii())
    }
}

fn mac(key: &[u8; 64], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(key.into());
    mac.update(text);
    mac
}

/// The webhooks of a controller. Clones are the same.
#[derive(Clone)]
pub struct Webhooks(Arc<Inside>);

struct Inside {
    token: Option<Token>,
    mappings: Arc<Vec<Mapping>>,
    /// Nobody sits there before the controller is connected.
    desk: OnceLock<Arc<Desk>>,
    rate: Rate,
    in_hand: Semaphore,
    at_once: Semaphore,
    bench: Bench,
    metrics: Arc<Metrics>,
}

impl Webhooks {
    /// For those who have the token; without one there are none.
    #[must_use]
    pub fn new(token: Option<Token>, mappings: Arc<Vec<Mapping>>, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inside {
            token,
            mappings,
            desk: OnceLock::new(),
            rate: Rate::new(BURST, EACH),
            in_hand: Semaphore::new(IN_HAND),
            at_once: Semaphore::new(AT_ONCE),
            bench: Bench::default(),
            metrics,
        }))
    }

    /// From now on alerts are taken there.
    pub fn open(&self, desk: Desk) {
        // Opened twice it stays as it is.
        let _ = self.0.desk.set(Arc::new(desk));
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/webhooks/alertmanager", post(alertmanager))
            .route("/webhooks/generic", post(generic))
            .route("/webhooks/generic/{name}", post(generic_named))
            .route("/webhooks/{*rest}", axum::routing::any(nothing))
            .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, "webhooks take POST"))
            .with_state(self.clone())
    }

    fn count(&self, answer: Response) -> Response {
        Metrics::count(&self.0.metrics.webhooks, answer.status().as_str());
        answer
    }

    /// All that is the same for every body: who may, how many, how large, how long.
    async fn take<F>(&self, request: Request, handle: impl FnOnce(Arc<Desk>, Bytes) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let (parts, body) = request.into_parts();
        let Some(token) = &self.0.token else {
            drain(body, DRAINED_OF_STRANGERS).await;
            return problem(
                StatusCode::NOT_FOUND,
                "webhooks are off: this Operator was given no OPERATOR_WEBHOOK_TOKEN",
            );
        };
        if !token.is_in(&parts.headers) {
            drain(body, DRAINED_OF_STRANGERS).await;
            let answer = problem(
                StatusCode::UNAUTHORIZED,
                "the header `Authorization: Bearer TOKEN` is missing, or the token is another",
            );
            return ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response();
        }
        let Some(desk) = self.0.desk.get() else {
            drain(body, DRAINED).await;
            return later(StatusCode::SERVICE_UNAVAILABLE, "the controller is starting", Duration::from_secs(2));
        };
        if !self.0.rate.take(Instant::now()) {
            drain(body, DRAINED).await;
            return later(StatusCode::TOO_MANY_REQUESTS, "more than 50 requests a second come", Duration::from_secs(1));
        }
        let Ok(_place) = self.0.in_hand.try_acquire() else {
            drain(body, DRAINED).await;
            let why = format!("{IN_HAND} requests are under way already");
            return later(StatusCode::SERVICE_UNAVAILABLE, &why, Duration::from_secs(1));
        };
        if let Some(encoding) = parts.headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
            let said = format!("the body is compressed ({encoding:?}), and is taken as it is only");
            drain(body, DRAINED).await;
            return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, said);
        }
        let bytes = match read(&parts.headers, body).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        let handled = async {
            // It is never closed.
            let _turn = self.0.at_once.acquire().await;
            handle(desk.clone(), bytes).await
        };
        let late = || {
            later(StatusCode::SERVICE_UNAVAILABLE, "the API server is slow: not all is stored", Duration::from_secs(5))
        };
        tokio::time::timeout(HANDLING, handled).await.unwrap_or_else(|_| late())
    }
}

async fn alertmanager(State(webhooks): State<Webhooks>, request: Request) -> Response {
    let answer = webhooks.take(request, async |desk, body| {
        let read = match payload::read(&body) {
            Ok(read) => read,
            Err(why) => return problem(StatusCode::BAD_REQUEST, why),
        };
        drop(body);
        let own = read.own;
        let category = crate::metrics::Category { category: "own".into() };
        webhooks.0.metrics.alerts.get_or_create(&category).inc_by(u64::try_from(own).unwrap_or(u64::MAX));
        let report = desk.take(read.alerts, read.left_out).await;
        answer(Report { own, ..report })
    });
    let answer = answer.await;
    webhooks.count(answer)
}

async fn generic(State(webhooks): State<Webhooks>, request: Request) -> Response {
    let answer = map(&webhooks, None, request).await;
    webhooks.count(answer)
}

async fn generic_named(State(webhooks): State<Webhooks>, Path(name): Path<String>, request: Request) -> Response {
    let answer = map(&webhooks, Some(name), request).await;
    webhooks.count(answer)
}

async fn map(webhooks: &Webhooks, name: Option<String>, request: Request) -> Response {
    let inside = webhooks.0.clone();
    let handled = webhooks.take(request, async |desk, body| {
        let at = match find(&inside.mappings, name.as_deref()) {
            Ok(at) => at,
            Err((status, why)) => return problem(status, why),
        };
        let body: serde_json::Value = match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(error) => return problem(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}")),
        };
        let mappings = inside.mappings.clone();
        let mapped = inside.bench.work(move || mappings[at].read(&body, Timestamp::now())).await;
        let mapped = match mapped {
            Done::Yes(Ok(mapped), _) => mapped,
            Done::Yes(Err(why), _) => return problem(StatusCode::UNPROCESSABLE_ENTITY, why),
            Done::Late(_) => {
                let name = &inside.mappings[at].name;
                let why = format!("the expressions of the webhook {name:?} take too long on this body");
                return problem(StatusCode::UNPROCESSABLE_ENTITY, why);
            }
            Done::Broke => return problem(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the controller"),
        };
        match desk.take_for(&mapped.namespace, &mapped.subject, mapped.alert).await {
            Ok(report) => answer(report),
            Err(why) => problem(StatusCode::UNPROCESSABLE_ENTITY, why),
        }
    });
    handled.await
}

/// Which mapping is meant: the only one needs no name.
fn find(mappings: &[Mapping], name: Option<&str>) -> Result<usize, (StatusCode, String)> {
    let names = || mappings.iter().map(|mapping| mapping.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, mappings) {
        (_, []) => Err((StatusCode::NOT_FOUND, "the configuration names no webhooks (webhooks.generic)".into())),
        (None, [_]) => Ok(0),
        (None, _) => {
            let why = format!("there is more than one: say which, as /webhooks/generic/NAME with one of {}", names());
            Err((StatusCode::BAD_REQUEST, why))
        }
        (Some(name), all) => all.iter().position(|mapping| mapping.name == name).ok_or_else(|| {
            let name = crate::printable::short_line(name, 60);
            (StatusCode::NOT_FOUND, format!("no webhook is called {name:?}; there are {}", names()))
        }),
    }
}

async fn nothing(State(webhooks): State<Webhooks>, uri: Uri) -> Response {
    webhooks.count(problem(StatusCode::NOT_FOUND, format!("there is no webhook at {}", uri.path())))
}

/// 200 if all stands where it has to; else it is to be sent again.
fn answer(report: Report) -> Response {
    match report.again {
        None => (StatusCode::OK, Json(report)).into_response(),
        Some(after) => {
            ([(header::RETRY_AFTER, seconds(after))], (StatusCode::SERVICE_UNAVAILABLE, Json(report))).into_response()
        }
    }
}

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(json!({"error": error.into()}))).into_response()
}

fn later(status: StatusCode, why: &str, after: Duration) -> Response {
    ([(header::RETRY_AFTER, seconds(after))], problem(status, format!("{why}: try again"))).into_response()
}

fn seconds(after: Duration) -> String {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1).to_string()
}

/// Reads a body that is not too large.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Response> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || problem(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {LARGEST} bytes"));
    if said.is_some_and(|length| length > LARGEST as u64) {
        drain(body, DRAINED).await;
        return Err(too_large());
    }
    let mut body = body;
    let mut bytes = Vec::with_capacity(usize::try_from(said.unwrap_or(0)).unwrap_or(0).min(LARGEST));
    let sent = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Some(error.to_string()))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if bytes.len() + data.len() > LARGEST {
                return Err(None::<String>);
            }
            bytes.extend_from_slice(data);
        }
        Ok(())
    };
    match tokio::time::timeout(SENDING, sent).await {
        Ok(Ok(())) => Ok(Bytes::from(bytes)),
        Ok(Err(None)) => {
            drain(body, DRAINED).await;
            Err(too_large())
        }
        Ok(Err(Some(why))) => Err(problem(StatusCode::BAD_REQUEST, format!("the body breaks off: {why}"))),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {SENDING:?}"))),
    }
}

/// Reads on and keeps nothing, so that who is still sending sees the answer; but not for ever.
async fn drain(body: Body, most: usize) {
    let mut limited = Limited::new(body, most);
    let drained = async { while let Some(Ok(_)) = limited.frame().await {} };
    let _ = tokio::time::timeout(SENDING, drained).await;
}

#[cfg(test)]
mod tests;
