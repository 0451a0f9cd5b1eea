//! The API's error answers.

use serde_json::{Value, json};

/// An error as the Messages API says it: a status, a type and a sentence.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {kind}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The `error.type` of the body.
    pub kind: String,
    /// The `error.message` of the body.
    pub message: String,
    /// The `retry-after` header in seconds, when there is one.
    pub retry_after: Option<f64>,
}

impl ApiError {
    /// An error whose type is the one that the API uses with this status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: kind_of(status).to_owned(), message: message.into(), retry_after: None }
    }

    /// 400: the request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 404: no such model or path.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// 500: the script is wrong in a way that shows only while it plays.
    pub fn script(message: impl Into<String>) -> Self {
        Self::new(500, format!("offline script error: {}", message.into()))
    }

    /// The body of the answer, or the data of an `error` event in a stream.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Value {
        json!({
            "type": "error",
            "error": {"type": self.kind, "message": self.message},
            "request_id": request_id,
        })
    }
}

/// The error type that belongs to a status.
#[must_use]
pub(crate) fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
