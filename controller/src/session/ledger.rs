//! A session's changes of its subject, on record in its trail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::agent::{Progress, Trail};
use crate::audit::EntryBody;
use crate::audit::entry::{Change, ChangeEntry, ChangeOrigin, ChangeResult, CompletedChange};
use crate::redact::Redactor;
use crate::sandbox::Ledger;

/// How long a change waits for the audit store before it is refused. The gateway itself waits a little
/// longer, so that it hears the reason.
const BEGIN: Duration = Duration::from_secs(25);
/// How long what came of a change waits for the audit store before the gateway is left to say it again.
const COMPLETE: Duration = Duration::from_mins(1);

/// Writes changes as entries of one session.
pub struct SessionLedger {
    trail: Arc<dyn Trail>,
    progress: watch::Sender<Progress>,
    redactor: Redactor,
    /// Changes that were begun and of which the end is not on record.
    open: Mutex<BTreeMap<i64, Option<ChangeOrigin>>>,
}

impl SessionLedger {
    /// The ledger of the session that `trail` writes. `open` are the changes that an earlier controller began.
    #[must_use]
    pub fn new(
        trail: Arc<dyn Trail>,
        progress: watch::Sender<Progress>,
        redactor: Redactor,
        open: BTreeMap<i64, Option<ChangeOrigin>>,
    ) -> Self {
        Self { trail, progress, redactor, open: Mutex::new(open) }
    }

    /// Puts on record that nobody knows what came of the changes that are still open.
    pub async fn settle(&self) {
        for (seq, _) in self.left_open() {
            let unknown = ChangeResult::unknown("the controller ended before it heard what came of it");
            if let Err(error) = self.complete(seq, &unknown).await {
                tracing::error!(entry = seq, error, "a change stays without its end on record");
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<i64, Option<ChangeOrigin>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, entry: ChangeEntry, patience: Duration) -> Result<i64, String> {
        let body = EntryBody::Change(self.redactor.change_entry(&entry).value);
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
        let seq = self.write(ChangeEntry::Begun(change.clone()), BEGIN).await?;
        self.open().insert(seq, change.origin);
        Ok(seq)
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        let completed = CompletedChange { change: begun, result: result.clone() };
        self.write(ChangeEntry::Completed(completed), COMPLETE).await?;
        self.open().remove(&begun);
        Ok(())
    }

    fn left_open(&self) -> Vec<(i64, Option<ChangeOrigin>)> {
        self.open().iter().map(|(seq, origin)| (*seq, *origin)).collect()
    }
}
