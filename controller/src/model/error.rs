//! Why the model did not answer, in words that a person on call can act on.

use std::fmt;
use std::time::Duration;

use crate::printable::short_line;

/// A call that gave no message. Its `Display` is the sentence for the Incident's status; it never
/// holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ModelError {
    /// Which kind of failure.
    pub kind: ErrorKind,
    /// What the API or the connection said, shortened to one line.
    pub detail: String,
    /// The API's request id, for its support.
    pub request_id: Option<String>,
    /// How long the API asks to wait.
    pub retry_after: Option<Duration>,
    /// How many attempts were made.
    pub attempts: u32,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 401: the key is missing, wrong or revoked.
    Authentication,
    /// 402: the account cannot pay.
    Billing,
    /// 403: the key may not do this.
    Permission,
    /// 404: no such model, or a wrong base URL.
    NotFound,
    /// 400 and other refusals of what was sent.
    InvalidRequest,
    /// 413: the request is too large.
    TooLarge,
    /// 429: too many requests or tokens.
    RateLimited,
    /// 529: the API is overloaded.
    Overloaded,
    /// 500, 502, 503, 504: the API failed.
    Server,
    /// No connection, or no answer in time.
    Network,
    /// The answer was cut off or cannot be read.
    Stream,
    /// The installation's limit of a day has no room for the call; it was not made.
    DailyBudget,
    /// What the call may cost could not be put on record; it was not made.
    Unrecorded,
    /// The call was cancelled.
    Cancelled,
}

impl ErrorKind {
    /// The reason as a condition has it, also for metrics.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Authentication => "ModelAuthentication",
            Self::Billing => "ModelBilling",
            Self::Permission => "ModelPermission",
            Self::NotFound => "ModelNotFound",
            Self::InvalidRequest => "ModelInvalidRequest",
            Self::TooLarge => "ModelRequestTooLarge",
            Self::RateLimited => "ModelRateLimited",
            Self::Overloaded => "ModelOverloaded",
            Self::Server => "ModelServerError",
            Self::Network => "ModelUnreachable",
            Self::Stream => "ModelStreamBroken",
            Self::DailyBudget => "DailyBudget",
            Self::Unrecorded => "AuditUnavailable",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Overloaded | Self::Server | Self::Network | Self::Stream)
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Authentication => "the model's API refused the key: check ANTHROPIC_API_KEY",
            Self::Billing => "the model's API refused for want of payment: check the account's billing",
            Self::Permission => "the model's API does not permit this key to do that",
            Self::NotFound => "the model's API does not know this model: check the model's name and ANTHROPIC_BASE_URL",
            Self::InvalidRequest => "the model's API refused the request",
            Self::TooLarge => "the model's API refused the request as too large",
            Self::RateLimited => "the model's API limits the rate of requests",
            Self::Overloaded => "the model's API is overloaded",
            Self::Server => "the model's API failed",
            Self::Network => "the model's API cannot be reached",
            Self::Stream => "the model's answer broke off or could not be read",
            Self::DailyBudget => "the model was not asked",
            Self::Unrecorded => "the model was not asked: what it may cost cannot be put on record",
            Self::Cancelled => "the call to the model was cancelled",
        }
    }
}

impl ModelError {
    /// An error of this kind. `detail` is shortened to one printable line.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl AsRef<str>) -> Self {
        Self { kind, detail: short_line(detail.as_ref(), 300), request_id: None, retry_after: None, attempts: 1 }
    }

    /// The reason as a condition has it, also for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.kind.category()
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        let mut notes = Vec::new();
        if self.attempts > 1 {
            notes.push(format!("after {} attempts", self.attempts));
        }
        if let Some(id) = &self.request_id {
            notes.push(format!("request {id}"));
        }
        if !notes.is_empty() {
            write!(f, " ({})", notes.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_do_and_keeps_the_request_id() {
        let mut error = ModelError::new(ErrorKind::Authentication, "invalid\n x-api-key\u{202e}");
        error.request_id = Some("req_1".to_owned());
        assert_eq!(
            error.to_string(),
            "the model's API refused the key: check ANTHROPIC_API_KEY: invalid x-api-key\\u{202e} (request req_1)"
        );
        assert_eq!(error.category(), "ModelAuthentication");
        assert!(!error.kind.is_transient());
        error.detail = String::new();
        error.attempts = 3;
        assert!(error.to_string().ends_with("(after 3 attempts, request req_1)"));
    }

    #[test]
    fn shortens_on_character_borders() {
        let error = ModelError::new(ErrorKind::Server, "ä".repeat(1000));
        assert_eq!(error.detail.chars().count(), 301);
    }
}
