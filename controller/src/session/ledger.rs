//! A session's changes of its subject, on record in its trail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::agent::{Progress, Trail};
use crate::audit::EntryBody;
use crate::audit::entry::{Change, ChangeEntry, ChangeResult, CompletedChange};
use crate::sandbox::Ledger;

/// How long a change waits for the audit store before it is refused. The gateway itself waits a little
/// longer, so that it hears the reason.
const BEGIN: Duration = Duration::from_secs(25);
/// How long what came of a change waits for the audit store before the gateway is left to say it again.
const COMPLETE: Duration = Duration::from_secs(60);

/// Writes changes as entries of one session.
pub struct SessionLedger {
    trail: Arc<dyn Trail>,
    progress: watch::Sender<Progress>,
}

impl SessionLedger {
    /// The ledger of the session that `trail` writes.
    #[must_use]
    pub fn new(trail: Arc<dyn Trail>, progress: watch::Sender<Progress>) -> Self {
        Self { trail, progress }
    }

    async fn write(&self, entry: ChangeEntry, patience: Duration) -> Result<i64, String> {
        let body = EntryBody::Change(entry);
        let recorded = tokio::time::timeout(patience, self.trail.record_within(body.clone(), patience)).await;
        let seq = recorded
            .map_err(|_| format!("the audit store did not answer within {} s", patience.as_secs()))?
            .map_err(|error| error.to_string())?;
        self.progress.send_modify(|progress| progress.saw(seq, Timestamp::now(), &body));
        Ok(seq)
    }
}

#[async_trait]
impl Ledger for SessionLedger {
    async fn begin(&self, change: &Change) -> Result<i64, String> {
        self.write(ChangeEntry::Begun(change.clone()), BEGIN).await
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        let completed = CompletedChange { change: begun, result: result.clone() };
        self.write(ChangeEntry::Completed(completed), COMPLETE).await.map(drop)
    }
}
