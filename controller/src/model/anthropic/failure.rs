//! What went wrong with an attempt, and whether another may go better.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tokio::time::timeout;

use crate::model::{ErrorKind, ModelError};
use crate::printable::short_line;

/// How much of an error's body is read.
const BODY_LIMIT: usize = 64 << 10;

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    /// What failed.
    pub(super) error: ModelError,
    /// Whether another attempt is worth making.
    pub(super) retry: bool,
}

impl Failure {
    fn new(kind: ErrorKind, detail: impl AsRef<str>) -> Self {
        Self { error: ModelError::new(kind, detail), retry: kind.is_transient() }
    }

    /// No connection, or no answer.
    pub(super) fn network(detail: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Network, detail)
    }

    /// An answer that broke off or cannot be read.
    pub(super) fn stream(detail: impl AsRef<str>) -> Self {
        Self::new(ErrorKind::Stream, detail)
    }

    /// The same, but another attempt would go no better.
    pub(super) fn for_good(self) -> Self {
        Self { retry: false, ..self }
    }

    /// With the request id of the answer, if the error itself named none.
    pub(super) fn with_request_id(mut self, id: Option<String>) -> Self {
        self.error.request_id = self.error.request_id.or(id);
        self
    }
}

/// The API's id of a request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get("request-id").and_then(|value| value.to_str().ok()).map(|id| id.chars().take(100).collect())
}

/// An error with all its causes in one line: the outermost says little ("error sending request").
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// The failure that an answer without success tells of.
pub(super) async fn of_response(response: reqwest::Response, idle: Duration) -> Failure {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Ok(Some(Ok(chunk))) = timeout(idle, chunks.next()).await {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= BODY_LIMIT {
            break;
        }
    }
    let data: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (word, message) = words(&data);
    let detail = match message {
        Some(message) => message.to_owned(),
        None => format!("status {status}: {}", String::from_utf8_lossy(&body)),
    };
    let mut failure = Failure::new(kind_of(status, word, &detail), detail);
    failure.error.request_id = request_id(&headers).or_else(|| body_request_id(&data));
    failure.error.retry_after = retry_after(&headers, Timestamp::now());
    match headers.get("x-should-retry").map(reqwest::header::HeaderValue::as_bytes) {
        Some(b"true") => failure.retry = true,
        Some(b"false") => failure.retry = false,
        _ => failure.retry |= matches!(status, 408 | 409),
    }
    failure
}

/// The failure that an `error` event in the stream tells of.
pub(super) fn of_event(data: &Value) -> Failure {
    let (word, message) = words(data);
    let detail = message.unwrap_or("the stream ended with an error");
    let mut failure = Failure::new(kind_of(200, word, detail), detail);
    failure.error.request_id = body_request_id(data);
    failure
}

fn words(data: &Value) -> (Option<&str>, Option<&str>) {
    let word = |key: &str| data.get("error").and_then(|error| error.get(key)).and_then(Value::as_str);
    (word("type"), word("message"))
}

fn body_request_id(data: &Value) -> Option<String> {
    data.get("request_id").and_then(Value::as_str).map(|id| short_line(id, 100))
}

/// The kind by the status; an error in the stream has a good status and is told by its type.
fn kind_of(status: u16, word: Option<&str>, detail: &str) -> ErrorKind {
    match (status, word) {
        (401, _) | (200, Some("authentication_error")) => ErrorKind::Authentication,
        (402, _) | (_, Some("billing_error")) => ErrorKind::Billing,
        (403, _) | (200, Some("permission_error")) => ErrorKind::Permission,
        (404, _) | (200, Some("not_found_error")) => ErrorKind::NotFound,
        (413, _) | (_, Some("request_too_large")) => ErrorKind::TooLarge,
        (400, _) if detail.contains("prompt is too long") => ErrorKind::TooLarge,
        (429, _) | (200, Some("rate_limit_error")) => ErrorKind::RateLimited,
        (529, _) | (_, Some("overloaded_error")) => ErrorKind::Overloaded,
        (408 | 409 | 500.., _) | (200, Some("api_error" | "timeout_error")) => ErrorKind::Server,
        (200, Some("invalid_request_error")) => ErrorKind::InvalidRequest,
        (200, _) => ErrorKind::Stream,
        _ => ErrorKind::InvalidRequest,
    }
}

/// How long the API asks to wait: milliseconds, seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str, scale: f64| {
        text.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * scale).ok())
    };
    if let Some(wait) = text("retry-after-ms").and_then(|text| seconds(text, 1e-3)) {
        return Some(wait);
    }
    let text = text(RETRY_AFTER.as_str())?;
    seconds(text, 1.0).or_else(|| {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers, "2026-10-21T07:28:00Z".parse().unwrap())
    }

    #[test]
    fn reads_every_form_of_retry_after() {
        assert_eq!(asked("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(asked("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(asked("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("retry-after", "Wed, 21 Oct 2026 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("retry-after", "-5"), None);
        assert_eq!(asked("retry-after", "soon"), None);
    }

    #[test]
    fn names_each_status() {
        let table = [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (402, ErrorKind::Billing),
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (408, ErrorKind::Server),
            (413, ErrorKind::TooLarge),
            (418, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (502, ErrorKind::Server),
            (503, ErrorKind::Server),
            (504, ErrorKind::Server),
            (529, ErrorKind::Overloaded),
        ];
        for (status, kind) in table {
            assert_eq!(kind_of(status, None, ""), kind, "{status}");
        }
        assert_eq!(kind_of(400, Some("invalid_request_error"), "prompt is too long: 9 > 8"), ErrorKind::TooLarge);
        assert_eq!(kind_of(200, Some("overloaded_error"), ""), ErrorKind::Overloaded);
        assert_eq!(kind_of(200, Some("brand_new_error"), ""), ErrorKind::Stream);
    }
}
