//! A session's changes of its subject, on record in its trail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::execs::Changes;
use crate::agent::{Progress, Trail};
use crate::audit::entry::{Change, ChangeEntry, ChangeOutcome, ChangeResult, CompletedChange};
use crate::audit::{AuditStore, Entry, EntryBody};
use crate::halt::Halt;
use crate::sandbox::Ledger;
use crate::session::SessionId;

/// How long a change waits for the audit store before it is refused. The gateway itself waits a little
/// longer, so that it hears the reason.
const BEGIN: Duration = Duration::from_secs(25);
/// How long what came of a change waits for the audit store before the gateway is left to say it again.
const COMPLETE: Duration = Duration::from_mins(1);

/// Writes changes as entries of one session, as long as there may be any.
pub struct SessionLedger {
    trail: Arc<dyn Trail>,
    progress: watch::Sender<Progress>,
    gate: Gate,
    changes: Mutex<Changes>,
}

/// What closes a ledger for new changes, in the moment in which it happens.
#[derive(Clone)]
pub struct Gate {
    /// The session is cancelled.
    pub cancel: CancellationToken,
    /// The installation is halted.
    pub halt: watch::Receiver<Option<Halt>>,
}

impl Gate {
    fn check(&self) -> Result<(), String> {
        if self.cancel.is_cancelled() {
            return Err("the session is cancelled: nothing is changed any more".into());
        }
        match &*self.halt.borrow() {
            Some(halt) => Err(format!("{}; nothing is changed until that ends", halt.sentence())),
            None => Ok(()),
        }
    }
}

impl SessionLedger {
    /// The ledger of the session that `trail` writes.
    #[must_use]
    pub fn new(trail: Arc<dyn Trail>, progress: watch::Sender<Progress>, gate: Gate) -> Self {
        Self { trail, progress, gate, changes: Mutex::default() }
    }

    /// The session's changes so far.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.state().clone()
    }

    /// Takes into account what an earlier controller put on record.
    pub fn recall(&self, seq: i64, entry: &ChangeEntry) {
        self.state().take(seq, entry);
    }

    fn state(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, entry: ChangeEntry, patience: Duration) -> Result<i64, String> {
        let body = EntryBody::Change(entry.clone());
        let recorded = tokio::time::timeout(patience, self.trail.record_within(body.clone(), patience)).await;
        let seq = recorded
            .map_err(|_| format!("audit unavailable: the store did not answer within {} s", patience.as_secs()))?
            .map_err(|error| format!("audit unavailable: {error}"))?;
        self.state().take(seq, &entry);
        self.progress.send_modify(|progress| progress.saw(seq, Timestamp::now(), &body));
        Ok(seq)
    }
}

#[async_trait]
impl Ledger for SessionLedger {
    async fn begin(&self, change: &Change) -> Result<i64, String> {
        self.gate.check()?;
        self.write(ChangeEntry::Begun(change.clone()), BEGIN).await
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        let completed = CompletedChange { change: begun, result: result.clone() };
        self.write(ChangeEntry::Completed(completed), COMPLETE).await.map(drop)
    }
}

/// How many entries are read at once.
const PAGE: i64 = 500;

/// The last words on changes of which an earlier controller put the beginning on record and not the end.
pub async fn left_open(store: &dyn AuditStore, session: &SessionId) -> Vec<EntryBody> {
    let (mut open, mut after) = (BTreeSet::new(), 0);
    loop {
        match store.entries(session, after, PAGE).await {
            Ok(page) => {
                let Some(last) = page.last() else { break };
                after = last.seq;
                for entry in &page {
                    note(&mut open, entry);
                }
            }
            Err(error) => {
                tracing::error!(%session, error = crate::error::chain(&error), "changes may stay without their end on record");
                break;
            }
        }
    }
    let reason = "the controller ended before it heard what came of it";
    let unknown = |change| {
        let outcome = ChangeOutcome::Unknown { reason: reason.to_owned() };
        let result = ChangeResult { outcome, duration_ms: 0, input: None, details: serde_json::Value::Null };
        EntryBody::Change(ChangeEntry::Completed(CompletedChange { change, result }))
    };
    open.into_iter().map(unknown).collect()
}

fn note(open: &mut BTreeSet<i64>, entry: &Entry) {
    match &entry.body {
        EntryBody::Change(ChangeEntry::Begun(_)) => {
            open.insert(entry.seq);
        }
        EntryBody::Change(ChangeEntry::Completed(done)) => {
            open.remove(&done.change);
        }
        _ => {}
    }
}
