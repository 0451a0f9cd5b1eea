//! A session's state and its way from the first entry to the last.
//!
//! Whatever cannot go on leaves by [`Stop`], so that a step reads as what it does when all is well.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::budget::{Limit, Plan, Spent};
use super::execute::Sandboxes;
use super::summary::SummaryQueue;
use super::transcript::{TELL, Transcript};
use super::turn::Next;
use super::{AgentDeps, Findings, Progress, SessionEnd, SessionInput, Trail, TrailError, prompt, tools};
use crate::audit::entry::{ControlEntry, ControlEvent, EntryBody, IncidentEntry};
use crate::model::{Model, ModelError};

/// How long the last words of a session may wait for the store.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the last turn may take beyond the wall time.
pub(super) const LAST_TURN: Duration = Duration::from_mins(2);

/// Why a step could not be finished.
pub(super) enum Stop {
    /// The trail cannot be written.
    Trail(TrailError),
    /// The session was cancelled.
    Cancelled,
    /// The session is over.
    End(SessionEnd),
}

/// What a step gives, if the session goes on.
pub(super) type Flow<T> = Result<T, Stop>;

/// One session while it runs.
pub(super) struct Session {
    pub(super) recorder: Arc<dyn Trail>,
    pub(super) model: Arc<dyn Model>,
    pub(super) sandboxes: Sandboxes,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) summaries: SummaryQueue,
    pub(super) input: SessionInput,
    pub(super) cancel: CancellationToken,
    pub(super) deadline: Instant,
    pub(super) transcript: Transcript,
    pub(super) system: String,
    pub(super) tools: Value,
    pub(super) presenter: super::present::Presenter,
    /// Shows in the progress that an entry waits for the store.
    _waiting: AbortOnDropHandle<()>,
}

pub(super) async fn run(deps: AgentDeps, input: SessionInput, cancel: CancellationToken) -> SessionEnd {
    let mut session = Session::new(deps, input, cancel);
    let end = match session.work().await {
        Ok(end) => end,
        Err(stop) => session.stopped(stop).await,
    };
    session.seal(end).await
}

impl Session {
    fn new(deps: AgentDeps, input: SessionInput, cancel: CancellationToken) -> Self {
        let deadline = Instant::now() + Duration::from_secs(input.budgets.wall_time_seconds);
        deps.progress.send_modify(|progress| progress.cost_known = input.pricing.known);
        let presenter = super::present::Presenter::new(deps.redactor.clone());
        let cut = presenter.cut;
        Self {
            _waiting: show_waiting(&*deps.recorder, deps.progress.clone()),
            summaries: SummaryQueue::start(deps.summariser, input.session.clone()),
            sandboxes: Sandboxes::new(deps.sandbox, deps.progress.clone(), deadline),
            recorder: deps.recorder,
            model: deps.model,
            progress: deps.progress,
            cancel,
            deadline,
            transcript: Transcript::default(),
            system: prompt::system(&input, cut, &presenter.fence),
            presenter,
            tools: tools::definitions(&input.budgets),
            input,
        }
    }

    /// From the first entry to the end.
    async fn work(&mut self) -> Flow<SessionEnd> {
        self.begin().await?;
        loop {
            let next = match self.plan() {
                Plan::Turn { max_tokens } => self.turn(max_tokens).await?,
                Plan::Last { max_tokens, limit } => return self.last_turn(limit, max_tokens).await,
            };
            if let Next::End(end) = next {
                return Ok(end);
            }
        }
    }

    async fn begin(&mut self) -> Flow<()> {
        let input = &self.input;
        let entry = IncidentEntry {
            incident: json(&input.incident),
            subject: json(&input.subject),
            model: input.model.clone(),
            system: self.system.clone(),
            user: prompt::first_message(input, &self.presenter.fence),
            tools: self.tools.clone(),
            prices: json(&input.pricing),
            budgets: json(&input.budgets),
            operator: input.operator_version.clone(),
        };
        let unpriced = (!input.pricing.known).then(|| {
            format!(
                "no price is configured for the model {:?}: its cost is unknown, and reckoned at the dearest known price \
                 so that the budget holds",
                input.model
            )
        });
        self.write(EntryBody::Incident(entry)).await?;
        // The container is made while the model thinks about its first step.
        self.sandboxes.begin(0);
        if let Some(message) = unpriced {
            self.control(ControlEvent::Budget, message, Value::Null).await?;
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let spent = self.spent();
        if Instant::now() >= self.deadline {
            let max_tokens = self.input.budgets.last_tokens(&spent, &self.input.pricing.price);
            return Plan::Last { max_tokens, limit: Limit::WallTime };
        }
        self.input.budgets.plan(&spent, &self.input.pricing.price)
    }

    fn spent(&self) -> Spent {
        Spent {
            turns: self.transcript.turns,
            tokens: self.transcript.tokens,
            cost: self.transcript.cost,
            next_input: self.transcript.next_input_tokens(),
            output_bytes: 0,
        }
    }

    /// Commits an entry. Waits for the store as long as the wall time, and no longer than a moment
    /// once the session is cancelled.
    pub(super) async fn write(&mut self, body: EntryBody) -> Flow<i64> {
        let (cancel, deadline) = (self.cancel.clone(), self.deadline);
        let cancelled = async move {
            cancel.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let seq = tokio::select! {
            biased;
            done = self.recorder.record(body.clone()) => done.map_err(|error| self.trail_stop(error))?,
            () = cancelled => return Err(Stop::Cancelled),
            () = tokio::time::sleep_until(deadline + LAST_TURN) => {
                let reason = "the wall time passed while an entry waited for the audit store".to_owned();
                return Err(Stop::Trail(TrailError { category: "record_gave_up", reason }));
            }
        };
        self.wrote(seq, &body);
        Ok(seq)
    }

    /// Commits an entry also after a cancellation, but waits only a moment for the store.
    pub(super) async fn write_last(&mut self, body: EntryBody, patience: Duration) -> Result<i64, TrailError> {
        let seq = self.recorder.record_within(body.clone(), patience).await?;
        self.wrote(seq, &body);
        Ok(seq)
    }

    fn wrote(&mut self, seq: i64, body: &EntryBody) {
        self.transcript.take(seq, body);
        self.summaries.offer(seq, body);
        self.progress.send_modify(|progress| progress.saw(seq, Timestamp::now(), body));
    }

    /// A recorder that gave up because of the cancellation is a cancelled session.
    fn trail_stop(&self, error: TrailError) -> Stop {
        if self.cancel.is_cancelled() { Stop::Cancelled } else { Stop::Trail(error) }
    }

    /// Commits a control entry.
    pub(super) async fn control(&mut self, event: ControlEvent, message: String, details: Value) -> Flow<()> {
        self.write(EntryBody::Control(ControlEntry { event, message, details })).await.map(drop)
    }

    /// Commits a control entry whose words the model is told.
    pub(super) async fn tell(&mut self, event: ControlEvent, message: String, tell: String) -> Flow<()> {
        self.control(event, message, json!({TELL: tell})).await
    }

    /// The model did not answer: on record, and over.
    pub(super) async fn model_failed(&mut self, error: &ModelError) -> Flow<SessionEnd> {
        let details = json!({"category": error.category(), "requestId": error.request_id, "attempts": error.attempts});
        self.control(ControlEvent::Error, error.to_string(), details).await?;
        Ok(SessionEnd::Failed { reason: error.category().to_owned(), message: error.to_string() })
    }

    /// A person is needed.
    pub(super) fn escalated(reason: &str, message: impl Into<String>, findings: Option<Findings>) -> SessionEnd {
        SessionEnd::Escalated { reason: reason.to_owned(), message: message.into(), findings }
    }

    /// What a step that could not be finished means for the session.
    async fn stopped(&mut self, stop: Stop) -> SessionEnd {
        match stop {
            Stop::End(end) => end,
            Stop::Trail(error) => audit_unavailable(&error),
            Stop::Cancelled => {
                let (turns, commands) = (self.transcript.turns, self.progress.borrow().commands);
                let message = format!("cancelled after {turns} turns and {commands} commands");
                let entry =
                    ControlEntry { event: ControlEvent::Cancelled, message: message.clone(), details: Value::Null };
                match self.write_last(EntryBody::Control(entry), LAST_WORDS).await {
                    Ok(_) => SessionEnd::Cancelled { message },
                    Err(error) => {
                        SessionEnd::Cancelled { message: format!("{message}; the trail could not be closed: {error}") }
                    }
                }
            }
        }
    }

    /// Writes the last entry, if the trail can still be written.
    async fn seal(mut self, end: SessionEnd) -> SessionEnd {
        self.sandboxes.close().await;
        self.progress.send_modify(|progress| (progress.waiting, progress.command) = (None, None));
        if end.reason() == AUDIT_UNAVAILABLE {
            return end;
        }
        let details = json!({"phase": end.phase(), "reason": end.reason()});
        let entry = ControlEntry { event: ControlEvent::Sealed, message: end.message().to_owned(), details };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let patience = if self.cancel.is_cancelled() { LAST_WORDS } else { left.max(Duration::from_secs(30)) };
        let sealed = tokio::select! {
            biased;
            sealed = self.write_last(EntryBody::Control(entry), patience) => sealed,
            () = tokio::time::sleep(patience) => Err(TrailError {
                category: "record_gave_up",
                reason: format!("the audit store did not answer within {} s", patience.as_secs()),
            }),
        };
        match (sealed, end) {
            (Ok(_), end) | (Err(_), end @ SessionEnd::Cancelled { .. }) => end,
            (Err(error), _) => audit_unavailable(&error),
        }
    }
}

/// The reason of a session that ended because its trail could not be written.
const AUDIT_UNAVAILABLE: &str = "AuditUnavailable";

fn audit_unavailable(error: &TrailError) -> SessionEnd {
    let message = format!("the audit trail cannot be written, so nothing more was done: {error}");
    SessionEnd::Failed { reason: AUDIT_UNAVAILABLE.to_owned(), message }
}

/// Any value of ours as JSON; what cannot be (there is nothing of that kind here) is null.
fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn show_waiting(recorder: &dyn Trail, progress: watch::Sender<Progress>) -> AbortOnDropHandle<()> {
    let mut waiting = recorder.waiting();
    AbortOnDropHandle::new(tokio::spawn(async move {
        while waiting.changed().await.is_ok() {
            let sentence = waiting.borrow_and_update().clone();
            progress.send_modify(|progress| progress.waiting = sentence);
        }
    }))
}
