//! The session's own writer of entries, as the loop sees it.

use async_trait::async_trait;

use crate::audit::EntryBody;

/// Writes one session's entries, one after another.
#[async_trait]
pub trait Trail: Send + Sync + 'static {
    /// Commits the next entry and says its number. Waits for a store that is away for a while; an
    /// error is final: nothing may be done any more that would need an entry.
    async fn record(&self, body: EntryBody) -> Result<i64, TrailError>;
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
}
