//! A session's changes of its subject, on record in its trail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::execs::Changes;
use crate::agent::{Progress, Trail, TrailError};
use crate::audit::EntryBody;
use crate::audit::entry::{Change, ChangeEntry, ChangeOrigin, ChangeResult, CompletedChange};
use crate::halt::Halt;
use crate::redact::Redactor;
use crate::sandbox::Ledger;

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
    redactor: Redactor,
    /// Changes that were begun and of which the end is not on record.
    open: Mutex<BTreeMap<i64, Option<ChangeOrigin>>>,
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
    /// The ledger of the session that `trail` writes. `open` are the changes that an earlier controller began.
    #[must_use]
    pub fn new(
        trail: Arc<dyn Trail>,
        progress: watch::Sender<Progress>,
        gate: Gate,
        redactor: Redactor,
        open: BTreeMap<i64, Option<ChangeOrigin>>,
        changes: Changes,
    ) -> Self {
        Self { trail, progress, gate, redactor, open: Mutex::new(open), changes: Mutex::new(changes) }
    }

    /// The session's changes so far.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts on record that nobody knows what came of the changes that are still open.
    pub async fn settle(&self, reason: &str) {
        for (seq, _) in self.left_open() {
            if let Err(error) = self.complete(seq, &ChangeResult::unknown(reason)).await {
                tracing::error!(entry = seq, error, "a change stays without its end on record");
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<i64, Option<ChangeOrigin>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to put the end of this change on record, unless somebody has it or it stands.
    fn claim(&self, seq: i64) -> Option<Claim<'_>> {
        let origin = self.open().remove(&seq)?;
        Some(Claim { ledger: self, seq, origin, is_kept: false })
    }

    async fn write(&self, entry: ChangeEntry, patience: Duration) -> Result<i64, TrailError> {
        let masked = self.redactor.change_entry(&entry).value;
        let body = EntryBody::Change(masked.clone());
        let recorded = tokio::time::timeout(patience, self.trail.record_within(body.clone(), patience)).await;
        let seq = recorded.unwrap_or_else(|_| {
            let reason = format!("the store did not answer within {} s", patience.as_secs());
            Err(TrailError { category: "record_gave_up", reason })
        })?;
        self.state().take(seq, &masked);
        self.progress.send_modify(|progress| progress.saw(seq, Timestamp::now(), &body));
        Ok(seq)
    }
}

/// For the agent, in whose `docker` command it stands.
fn unavailable(error: &TrailError) -> String {
    format!("audit unavailable: {error}")
}

/// Gives a change back whose end did not come to be on record.
struct Claim<'a> {
    ledger: &'a SessionLedger,
    seq: i64,
    origin: Option<ChangeOrigin>,
    is_kept: bool,
}

impl Claim<'_> {
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.ledger.open().insert(self.seq, self.origin);
        }
    }
}

#[async_trait]
impl Ledger for SessionLedger {
    async fn begin(&self, change: &Change) -> Result<i64, String> {
        self.gate.check()?;
        let written = self.write(ChangeEntry::Begun(change.clone()), BEGIN).await;
        if written.as_ref().is_err_and(TrailError::is_fenced) {
            // Another controller leads: the gateway asks it, and this one says nothing in its stead.
            tokio::time::sleep(BEGIN).await;
        }
        let seq = written.map_err(|error| unavailable(&error))?;
        self.open().insert(seq, change.origin);
        Ok(seq)
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        // Each has one end, whoever knows it first.
        let Some(claim) = self.claim(begun) else { return Ok(()) };
        let completed = CompletedChange { change: begun, result: result.clone() };
        self.write(ChangeEntry::Completed(completed), COMPLETE).await.map_err(|error| unavailable(&error))?;
        claim.keep();
        Ok(())
    }

    fn left_open(&self) -> Vec<(i64, Option<ChangeOrigin>)> {
        self.open().iter().map(|(seq, origin)| (*seq, *origin)).collect()
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::audit::entry::{ChangeOutcome, ChangeTarget};
    use crate::audit::fake::Fault;
    use crate::audit::testing::samples;
    use crate::audit::{AuditStore, EntryKind, FakeStore, Recorder};
    use crate::session::SessionId;

    fn change() -> Change {
        let target = ChangeTarget { kind: "container".into(), id: "1".into(), name: "a".into(), service: None };
        let (action, summary, call) = ("container.start".into(), "docker start a".into(), serde_json::Value::Null);
        Change { action, target, summary, argv: Vec::new(), call, origin: None }
    }

    /// A store with a session, and what writes to it.
    async fn session() -> (FakeStore, SessionId, Arc<Recorder>) {
        let (store, new) = (FakeStore::new(), samples::session("i", 1));
        let record = store.begin_session(&new).await.unwrap();
        let recorder = Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new());
        (store, new.id, Arc::new(recorder))
    }

    fn ledger(id: &SessionId, recorder: Arc<Recorder>, open: BTreeMap<i64, Option<ChangeOrigin>>) -> SessionLedger {
        let gate = Gate { cancel: CancellationToken::new(), halt: watch::channel(None).1 };
        let progress = watch::Sender::new(Progress::default());
        SessionLedger::new(recorder, progress, gate, Redactor::of_tests(id), open, Changes::default())
    }

    #[tokio::test]
    async fn who_does_not_lead_refuses_nothing_in_the_stead_of_who_does() {
        let (store, id, recorder) = session().await;
        let ledger = ledger(&id, recorder, BTreeMap::new());
        store.depose();
        let silence = tokio::time::timeout(Duration::from_millis(200), ledger.begin(&change())).await;
        assert!(silence.is_err(), "the gateway is answered: {silence:?}");
        store.heal();
        store.fail_kind(EntryKind::Change, Fault::Refused);
        let said = ledger.begin(&change()).await.unwrap_err();
        assert!(said.starts_with("audit unavailable: "), "{said}");
    }

    #[tokio::test]
    async fn each_change_has_one_end_also_one_that_an_earlier_controller_began() {
        let (store, id, recorder) = session().await;
        let earlier = recorder.record(EntryBody::Change(ChangeEntry::Begun(change()))).await.unwrap();
        let ledger = ledger(&id, recorder, BTreeMap::from([(earlier, None)]));

        let begun = ledger.begin(&change()).await.unwrap();
        assert_eq!(ledger.left_open(), [(earlier, None), (begun, None)]);
        store.fail_kind(EntryKind::Change, Fault::Refused);
        ledger.complete(begun, &ChangeResult::unknown("x")).await.unwrap_err();
        store.heal();
        let outcome = ChangeOutcome::Succeeded { status: 204 };
        let done = ChangeResult { outcome, ..ChangeResult::unknown("") };
        ledger.complete(begun, &done).await.unwrap();
        ledger.settle("nobody knows").await;
        ledger.settle("nobody knows").await;
        let ends: Vec<_> = store
            .bodies(&id)
            .into_iter()
            .filter_map(|body| match body {
                EntryBody::Change(ChangeEntry::Completed(done)) => Some((done.change, done.result.outcome)),
                _ => None,
            })
            .collect();
        let unknown = ChangeOutcome::Unknown { reason: "nobody knows".into() };
        assert_eq!(ends, [(begun, done.outcome), (earlier, unknown)]);
    }
}
