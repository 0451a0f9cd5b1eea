//! The session's own writer of entries, as the loop sees it.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::audit::{AuditError, EntryBody, RecordError, Recorder};

/// Writes one session's entries, one after another.
#[async_trait]
pub trait Trail: Send + Sync + 'static {
    /// Commits the next entry and says its number. Waits for a store that is away; an error is
    /// final: nothing may be done any more that would need an entry.
    async fn record(&self, body: EntryBody) -> Result<i64, TrailError>;

    /// The same, waiting no longer than `patience`, also after a cancellation: for last words.
    async fn record_within(&self, body: EntryBody, patience: Duration) -> Result<i64, TrailError>;

    /// `Some(sentence)` while an entry waits for the store.
    fn waiting(&self) -> watch::Receiver<Option<String>>;
}

/// The trail cannot be written any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TrailError {
    /// A static name for metrics.
    pub category: &'static str,
    /// What the store said, in a sentence.
    pub reason: String,
}

impl TrailError {
    /// The name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.category
    }

    /// Whether another controller leads, and writes.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.category == AuditError::FENCED
    }
}

impl From<RecordError> for TrailError {
    fn from(error: RecordError) -> Self {
        let mut reason = error.to_string();
        if let Some(cause) = error.source() {
            reason = format!("{reason}: {cause}");
        }
        Self { category: error.category(), reason }
    }
}

#[async_trait]
impl Trail for Recorder {
    async fn record(&self, body: EntryBody) -> Result<i64, TrailError> {
        Ok(Self::record(self, body).await?)
    }

    async fn record_within(&self, body: EntryBody, patience: Duration) -> Result<i64, TrailError> {
        Ok(Self::record_within(self, body, patience).await?)
    }

    fn waiting(&self) -> watch::Receiver<Option<String>> {
        Self::waiting(self)
    }
}
