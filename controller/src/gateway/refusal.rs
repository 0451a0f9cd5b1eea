//! The sentence for what the gateway does not do.

use http::StatusCode;

/// Why a request is not followed: what is wrong, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// As HTTP has it.
    pub status: StatusCode,
    /// A sentence for the agent; the Docker CLI prints it.
    pub reason: String,
}

impl Refusal {
    /// Not allowed, whoever asks: 403.
    #[must_use]
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, reason: reason.into() }
    }

    /// Not a request that makes sense: 400.
    #[must_use]
    pub fn bad(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// Not there, or not the subject's, which looks the same: 404. `kind` is the engine's word, such as
    /// `container`.
    #[must_use]
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: format!("No such {kind}: {name}") }
    }
}
