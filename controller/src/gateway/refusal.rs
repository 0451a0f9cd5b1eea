//! The sentence for what the gateway does not do.

use http::StatusCode;

use crate::printable::short_line;

/// No refusal has more characters: it may repeat the client's own words.
pub const LONGEST_REASON: usize = 1000;

/// Why a request is not followed: what is wrong, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// As HTTP has it.
    pub status: StatusCode,
    /// A sentence for the agent, on one printable line of at most [`LONGEST_REASON`]; the Docker CLI prints it.
    pub reason: String,
}

impl Refusal {
    /// How every one is made: names and fields in its sentence come from the client, and its terminal shows them.
    #[must_use]
    pub fn new(status: StatusCode, reason: impl AsRef<str>) -> Self {
        Self { status, reason: short_line(reason.as_ref(), LONGEST_REASON) }
    }

    /// Not allowed, whoever asks: 403.
    #[must_use]
    pub fn forbidden(reason: impl AsRef<str>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// Not a request that makes sense: 400.
    #[must_use]
    pub fn bad(reason: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// Not there, or not the subject's, which looks the same: 404. `kind` is the engine's word, such as
    /// `container`.
    #[must_use]
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("No such {kind}: {name}"))
    }
}
