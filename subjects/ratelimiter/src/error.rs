//! What can go wrong, in the words that clients and metrics see.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use serde_json::json;

/// The kinds of Redis faults that metrics count. A closed set, so every series exists from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Redis takes no writes: it is a replica.
    Readonly,
    /// No connection, or it broke.
    Connection,
    /// Redis did not answer in time.
    Timeout,
    /// Redis is still reading its data from disk.
    Loading,
    /// Redis has no memory left for a write.
    Oom,
    /// Redis refuses writes because it cannot save them (`MISCONF`).
    Misconf,
    /// Wrong password, or no permission.
    Auth,
    /// What is stored for a key is not what we store.
    Data,
    /// Everything else.
    Other,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Readonly,
        Self::Connection,
        Self::Timeout,
        Self::Loading,
        Self::Oom,
        Self::Misconf,
        Self::Auth,
        Self::Data,
        Self::Other,
    ];

    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Loading => "loading",
            Self::Oom => "oom",
            Self::Misconf => "misconf",
            Self::Auth => "auth",
            Self::Data => "data",
            Self::Other => "other",
        }
    }

    /// Whether the connection is of no use any more.
    #[must_use]
    pub fn breaks_connection(self) -> bool {
        matches!(self, Self::Connection | Self::Timeout)
    }
}

/// A fault of Redis, cheap to hand to every request that meets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RedisFault {
    /// What kind it is.
    pub kind: FaultKind,
    /// Redis' own words where there are some.
    pub message: String,
}

impl RedisFault {
    /// A fault in our own words.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<&RedisError> for RedisFault {
    fn from(error: &RedisError) -> Self {
        // Redis' own answer reads best as it was sent: the code, then the sentence.
        let message = match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            (Some(code), None) => code.to_owned(),
            _ => error.to_string(),
        };
        let kind = match error.kind() {
            ErrorKind::Server(ServerErrorKind::ReadOnly) => FaultKind::Readonly,
            ErrorKind::Server(ServerErrorKind::BusyLoading) => FaultKind::Loading,
            ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => FaultKind::Auth,
            _ if error.is_timeout() => FaultKind::Timeout,
            ErrorKind::Io => FaultKind::Connection,
            _ => by_code(error.code(), &message),
        };
        Self { kind, message }
    }
}

impl From<RedisError> for RedisFault {
    fn from(error: RedisError) -> Self {
        Self::from(&error)
    }
}

fn by_code(code: Option<&str>, message: &str) -> FaultKind {
    match code {
        Some("READONLY") => FaultKind::Readonly,
        Some("OOM") => FaultKind::Oom,
        Some("MISCONF") => FaultKind::Misconf,
        Some("NOAUTH" | "WRONGPASS") => FaultKind::Auth,
        Some("BADLIMIT" | "WRONGTYPE") => FaultKind::Data,
        // An error inside a script arrives as plain ERR with the real code in its text.
        _ if message.contains("WRONGTYPE") => FaultKind::Data,
        _ if message.contains("READONLY") => FaultKind::Readonly,
        _ => FaultKind::Other,
    }
}

/// An answer that is not a success.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request makes no sense; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// Nothing there.
    #[error("{0}")]
    NotFound(String),
    /// Redis failed, so there is no answer.
    #[error(transparent)]
    Redis(#[from] RedisFault),
}

impl ApiError {
    /// Status and the word for it in the body.
    #[must_use]
    pub fn code(&self) -> (StatusCode, String) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid".to_owned()),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found".to_owned()),
            Self::Redis(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("redis_{}", fault.kind.as_str())),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error) = self.code();
        (status, Json(json!({"error": error, "message": self.to_string()}))).into_response()
    }
}
