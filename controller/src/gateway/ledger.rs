//! Holds each change until it is on record, and tells what came of it.
//!
//! The state is in [`changes`](super::changes); this is the waiting. A [`Permit`] that is dropped says
//! itself what is known, so that no change is left without an end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Sent, Unannounced};
use super::limits::Limits;
use crate::audit::entry::{Change, ChangeOutcome, ChangeResult};

/// The changes of a session.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<Inner>,
    /// Something is to be sent, or ended.
    moved: Notify,
    /// The session ends: hijacked streams do, too.
    pub closing: CancellationToken,
    held: Duration,
}

#[derive(Debug)]
struct Inner {
    changes: Changes,
    waiting: HashMap<u64, oneshot::Sender<Result<(), String>>>,
    /// Ends the control stream that stands.
    stream: Option<CancellationToken>,
}

/// Why a change does not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It could not be announced.
    #[error(transparent)]
    Unannounced(#[from] Unannounced),
    /// The controller refused, in its own words: the audit store is away, the installation is halted.
    #[error("{0}")]
    Refused(String),
    /// No answer came.
    #[error("audit unavailable: the change could not be put on record within {} s, so it was not done", .0.as_secs())]
    Silent(Duration),
}

impl Ledger {
    /// No change yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let changes = Changes::new(limits.changes, limits.change_bytes);
        let state = Mutex::new(Inner { changes, waiting: HashMap::new(), stream: None });
        Arc::new(Self { state, moved: Notify::new(), closing: CancellationToken::new(), held: limits.held })
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a change until it may happen. Dropping the future withdraws it.
    pub async fn begin(self: &Arc<Self>, change: Change) -> Result<Permit, Denied> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.state();
            let id = state.changes.begin(change)?;
            state.waiting.insert(id, answer);
            id
        };
        self.moved.notify_waiters();
        let mut permit = Permit { ledger: self.clone(), id, since: Instant::now(), step: Step::Held, reason: GONE };
        match timeout(self.held, answered).await {
            Ok(Ok(Ok(()))) => {
                permit.step = Step::Allowed;
                Ok(permit)
            }
            Ok(Ok(Err(reason))) => Err(Denied::Refused(reason)),
            // Dropping the permit gives it up. It may have been allowed in this very moment: then, too, it does
            // not happen.
            Ok(Err(_)) | Err(_) => {
                permit.reason = "it was not on record in time";
                Err(Denied::Silent(self.held))
            }
        }
    }

    /// Takes a fencing token.
    pub fn admit(&self, epoch: u64) -> Result<u64, String> {
        self.state().changes.admit(epoch)
    }

    /// This control stream is the one from now on; the one before ends.
    pub fn take_over(&self) -> CancellationToken {
        let stream = CancellationToken::new();
        if let Some(before) = self.state().stream.replace(stream.clone()) {
            before.cancel();
        }
        stream
    }

    /// The change's row is committed.
    pub fn committed(&self, id: u64) {
        let mut state = self.state();
        if state.changes.allow(id)
            && let Some(waiting) = state.waiting.remove(&id)
        {
            // If nobody waits any more its permit is being dropped, which says so.
            let _ = waiting.send(Ok(()));
        }
    }

    /// There will be no row.
    pub fn refused(&self, id: u64, reason: String) {
        let mut state = self.state();
        if state.changes.refuse(id)
            && let Some(waiting) = state.waiting.remove(&id)
        {
            let _ = waiting.send(Err(reason));
        }
    }

    /// The result is on record.
    pub fn noted(&self, id: u64) {
        self.state().changes.noted(id);
    }

    /// Nothing begins any more, what is held is given up, streams end.
    pub fn close(&self) {
        {
            let mut state = self.state();
            for id in state.changes.close() {
                state.changes.give_up(id, "the session ended", 0);
                if let Some(waiting) = state.waiting.remove(&id) {
                    let _ = waiting.send(Err("the session ended".into()));
                }
            }
        }
        self.closing.cancel();
        self.moved.notify_waiters();
    }

    /// Returns once nothing is held or under way.
    pub async fn idle(&self) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.state().changes.is_idle() {
                return;
            }
            moved.await;
        }
    }

    /// The next frame for a control stream that was sent these.
    pub async fn next_frame(&self, sent: &mut Sent) -> Bytes {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if let Some(frame) = self.state().changes.next_frame(sent) {
                return frame;
            }
            moved.await;
        }
    }

    /// The next frame, if there is one now.
    pub fn waiting_frame(&self, sent: &mut Sent) -> Option<Bytes> {
        self.state().changes.next_frame(sent)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Held,
    Allowed,
    Sent,
    Over,
}

/// A change that may happen, once.
#[derive(Debug)]
pub struct Permit {
    ledger: Arc<Ledger>,
    id: u64,
    since: Instant,
    step: Step,
    /// Why it does not happen, if it is dropped before it was sent.
    reason: &'static str,
}

const GONE: &str = "the client went away before it happened";

impl Permit {
    /// It goes to the engine now.
    pub fn start(&mut self) {
        self.step = Step::Sent;
        self.since = Instant::now();
    }

    /// What came of it; the duration is filled in here.
    pub fn finish(mut self, mut result: ChangeResult) {
        result.duration_ms = self.elapsed_ms();
        self.step = Step::Over;
        self.ledger.state().changes.finish(self.id, result);
        self.ledger.moved.notify_waiters();
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.step == Step::Over {
            return;
        }
        let duration_ms = self.elapsed_ms();
        let mut state = self.ledger.state();
        state.waiting.remove(&self.id);
        if !state.changes.give_up(self.id, self.reason, duration_ms) {
            let outcome = if self.step == Step::Sent {
                ChangeOutcome::Unknown { reason: "the gateway stopped following it".into() }
            } else {
                ChangeOutcome::NotDone { reason: self.reason.into() }
            };
            let result = ChangeResult { outcome, duration_ms, input: None, details: serde_json::Value::Null };
            state.changes.finish(self.id, result);
        }
        drop(state);
        self.ledger.moved.notify_waiters();
    }
}
