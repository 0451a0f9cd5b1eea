//! A session's way from its first entry, or from wherever it stands, to the last.
//!
//! The loop asks [`next`] for the step and takes it; what it writes it [takes](State::take) itself, so
//! that its state is always the one that its entries tell. Whatever cannot go on leaves by [`Stop`], so
//! that a step reads as what it does when all is well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::compact;
use super::execute::Sandboxes;
use super::frozen::Frozen;
use super::present::Presenter;
use super::prove::Healing;
use super::resume::REACH;
use super::state::{END, FINDINGS, SHARE, State};
use super::step::{Step, next};
use super::summary::SummaryQueue;
use super::transcript::{REPLACED, TELL};
use super::{
    Aftermath, AgentDeps, Findings, Orders, Progress, Recurring, SessionEnd, Trail, TrailError, Verifier, Wanted,
};
use crate::audit::entry::{ControlEntry, ControlEvent, EntryBody, IncidentEntry, ReasoningEntry};
use crate::model::Model;
use crate::session::SessionId;

/// How long the last words of a session may wait for the store.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);
/// How much of the agent's last words a cancelled session's summary has, in characters.
const LAST_SAID: usize = 1000;
/// How long the last turn may take beyond the wall time.
pub(super) const LAST_TURN: Duration = Duration::from_mins(2);

/// Why a step could not be finished.
pub(super) enum Stop {
    /// The trail cannot be written.
    Trail(TrailError),
    /// The session was cancelled.
    Cancelled,
}

/// What a step gives, if the session goes on.
pub(super) type Flow<T> = Result<T, Stop>;

/// Where a session begins.
pub(super) struct Course {
    pub(super) session: SessionId,
    pub(super) frozen: Frozen,
    /// Of a session that is new.
    pub(super) first: Option<Box<IncidentEntry>>,
    /// What its entries tell so far.
    pub(super) state: State,
    /// The small model's lines so far, by entry.
    pub(super) summaries: HashMap<i64, String>,
}

/// One session while it runs.
pub(super) struct Session {
    pub(super) recorder: Arc<dyn Trail>,
    pub(super) model: Arc<dyn Model>,
    pub(super) sandboxes: Sandboxes,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) summaries: SummaryQueue,
    pub(super) id: SessionId,
    pub(super) frozen: Frozen,
    pub(super) orders: Orders,
    pub(super) verifier: Arc<dyn Verifier>,
    /// Whether the system became well while the agent works.
    pub(super) healing: Healing,
    pub(super) cancel: CancellationToken,
    pub(super) deadline: Instant,
    pub(super) presenter: Presenter,
    pub(super) state: State,
    /// The call that this process put on record and has not begun with. One that an earlier controller put on
    /// record is asked for instead, and never begun with.
    pub(super) announced: Option<i64>,
    /// Why the container in which the command on record was to run is gone.
    pub(super) gone: Option<String>,
    /// Whether the container that stands was made in place of one that was found to be gone, which is still to be
    /// said.
    pub(super) is_replaced: bool,
    first: Option<Box<IncidentEntry>>,
    /// Shows in the progress that an entry waits for the store.
    _waiting: AbortOnDropHandle<()>,
}

/// Runs a session from where it stands to its end.
pub(super) async fn run(deps: AgentDeps, course: Course, cancel: CancellationToken) -> SessionEnd {
    let is_resumed = course.state.is_begun();
    if let Some(end) = sealed(&course) {
        return end;
    }
    let mut session = Session::new(deps, course, cancel);
    let worked = async {
        if is_resumed {
            session.resume().await?;
        }
        session.work().await
    };
    let end = match worked.await {
        Ok(end) => end,
        Err(stop) => session.stopped(stop).await,
    };
    session.seal(end).await
}

/// The end of a session whose last entry stands.
fn sealed(course: &Course) -> Option<SessionEnd> {
    let likely = match next(&course.state, &course.frozen, false) {
        Step::Seal(end) => Some(end),
        _ => None,
    };
    course.state.sealed_end(likely)
}

impl Session {
    fn new(deps: AgentDeps, course: Course, cancel: CancellationToken) -> Self {
        let Course { session, frozen, first, state, summaries } = course;
        let wall_time = Duration::from_secs(frozen.budgets.wall_time_seconds);
        let deadline = Instant::now() + wall_time.saturating_sub(state.wall_time(Timestamp::now()));
        // What is only looked up for the end of a session is looked up for a moment in every case.
        let reach = if state.is_begun() { deadline.max(Instant::now() + REACH) } else { deadline };
        deps.progress.send_modify(|progress| progress.cost_known = frozen.pricing.known);
        let healing = Healing::watch(deps.verifier.clone(), &frozen.proving, state.checks.healed_said);
        Self {
            _waiting: show_waiting(&*deps.recorder, deps.progress.clone()),
            summaries: SummaryQueue::start(deps.summariser, session.clone(), summaries),
            presenter: Presenter::new(deps.redactor, frozen.cut, &frozen.system),
            sandboxes: Sandboxes::new(deps.sandbox, deps.progress.clone(), reach),
            recorder: deps.recorder,
            model: deps.model,
            progress: deps.progress,
            id: session,
            frozen,
            orders: deps.orders,
            healing,
            verifier: deps.verifier,
            cancel,
            deadline,
            state,
            announced: None,
            gone: None,
            is_replaced: false,
            first,
        }
    }

    /// One step after another to the end.
    async fn work(&mut self) -> Flow<SessionEnd> {
        loop {
            let step = self.next();
            if let Step::Seal(end) = step {
                return Ok(end);
            }
            // A call that is on record gets its result first.
            if self.cancel.is_cancelled() && self.state.is_begun() && self.state.call.is_none() {
                return Err(Stop::Cancelled);
            }
            if self.stand_by(&step).await? || self.hear(&step).await? {
                continue;
            }
            self.take(step).await?;
        }
    }

    pub(super) fn next(&self) -> Step {
        next(&self.state, &self.frozen, self.is_overdue())
    }

    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline
    }

    async fn take(&mut self, step: Step) -> Flow<()> {
        match step {
            Step::Begin => self.begin().await,
            Step::SayRecurring(recurring) => self.say_recurring(recurring).await,
            Step::SayUnpriced => {
                let message = format!(
                    "no price is configured for the model {:?}: its cost is unknown, and reckoned at the dearest known \
                     price so that the budget holds",
                    self.frozen.model
                );
                self.control(ControlEvent::Budget, message, Value::Null).await
            }
            Step::Say { turn, text, thinking } => {
                self.write(EntryBody::Reasoning(ReasoningEntry { turn, text, thinking })).await.map(drop)
            }
            Step::Announce { call, todo } => self.announce(&call, todo).await,
            Step::Answer { seq, call, answer } => self.answer(seq, &call, answer).await,
            Step::SayLost { reason } => self.say_lost(&reason).await,
            Step::Nudge { message, tell } => self.tell(ControlEvent::Nudged, message, tell).await,
            Step::Warn { share, text } => {
                let message = format!("more than {share} % of a budget is used; the model was told what is left");
                self.control(ControlEvent::Budget, message, json!({SHARE: share, TELL: text})).await
            }
            Step::Compact { entries } => self.compact(&entries).await,
            Step::Ask { max_tokens } => self.turn(max_tokens).await,
            Step::SayLimit { limit, max_tokens } => self.say_limit(limit, max_tokens).await,
            Step::AskLast { max_tokens } => self.last_turn(max_tokens).await,
            Step::Verify { attempt, begun } => self.verify(attempt, begun).await,
            Step::Seal(_) => Ok(()),
        }
    }

    async fn begin(&mut self) -> Flow<()> {
        // There is always one where nothing stands yet.
        let Some(first) = self.first.take() else { return Err(Stop::Cancelled) };
        self.write(EntryBody::Incident(*first)).await.map(drop)
    }

    async fn say_recurring(&mut self, Recurring { message, findings }: Recurring) -> Flow<()> {
        let end = SessionEnd::Escalated { reason: "Recurring".to_owned(), message, findings: Some(findings) };
        let details = json!({END: end.as_decided()});
        self.control(ControlEvent::Recurring, end.message().to_owned(), details).await
    }

    /// The wall time stood still for a while: it ends later.
    pub(super) fn put_off(&mut self) {
        let wall_time = Duration::from_secs(self.frozen.budgets.wall_time_seconds);
        self.deadline = Instant::now() + wall_time.saturating_sub(self.state.wall_time(Timestamp::now()));
        self.sandboxes.put_off(self.deadline);
    }

    /// The container is made while the model thinks.
    pub(super) fn want_sandbox(&mut self) {
        let lost = self.state.transcript.lost_sandboxes;
        self.sandboxes.want(lost, if lost == 0 { Wanted::Standing } else { Wanted::Fresh });
    }

    /// Commits an entry. Waits for the store as long as the wall time, and no longer than a moment
    /// once the session is cancelled.
    pub(super) async fn write(&mut self, body: EntryBody) -> Flow<i64> {
        let body = self.presenter.redactor.repeated(body);
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
        let now = Timestamp::now();
        self.state.take(seq, now, body);
        let shown = self.presenter.redactor.shown(body);
        self.summaries.offer(seq, &shown);
        self.progress.send_modify(|progress| progress.saw(seq, now, &shown));
    }

    /// Replaces old results in the conversation; on record stands what by.
    async fn compact(&mut self, entries: &[i64]) -> Flow<()> {
        let transcript = &self.state.transcript;
        let before = transcript.next_input_tokens();
        let replaced: Vec<compact::Replaced> = transcript
            .results()
            .filter(|(result, _)| entries.contains(&result.entry))
            .map(|(result, text)| {
                let summary = self.summaries.line(result.entry);
                let text = compact::replacement(result, text, summary.as_deref(), &self.presenter.fence);
                compact::Replaced { entry: result.entry, call: result.call, text }
            })
            .collect();
        let message = format!(
            "the conversation would measure about {before} tokens of the model's {}: {} old results were replaced by \
             summaries",
            self.frozen.budgets.window.tokens,
            replaced.len()
        );
        self.control(ControlEvent::Compacted, message, json!({REPLACED: replaced, "tokens": before})).await
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

    /// Commits a control entry about a failure that decides the end.
    pub(super) async fn decide(&mut self, message: String, mut details: Value, end: &SessionEnd) -> Flow<()> {
        details[END] = end.as_decided();
        self.control(ControlEvent::Error, message, details).await
    }

    /// What a step that could not be finished means for the session.
    async fn stopped(&mut self, stop: Stop) -> SessionEnd {
        match stop {
            Stop::Trail(error) => audit_unavailable(&error),
            Stop::Cancelled => {
                // First of all, whatever the store does: nothing of it runs any more.
                let aftermath = self.orders.brake.end().await;
                let (message, findings) = self.cancelled(&aftermath);
                let mut details = json!(aftermath);
                details[FINDINGS] = json!(findings);
                let entry = ControlEntry { event: ControlEvent::Cancelled, message: message.clone(), details };
                let message = match self.write_last(EntryBody::Control(entry), LAST_WORDS).await {
                    Ok(_) => message,
                    Err(error) => format!("{message}; the trail could not be closed: {error}"),
                };
                SessionEnd::Cancelled { message, findings: Some(findings) }
            }
        }
    }

    /// What a person who cancelled is told: in a line, and what was found and done so far.
    fn cancelled(&self, aftermath: &Aftermath) -> (String, Findings) {
        let (turns, commands) = (self.state.transcript.turns, self.progress.borrow().commands);
        let message = format!("cancelled after {turns} turns and {commands} commands{}", aftermath.warning());
        let mut summary = match aftermath.changes {
            0 => "Nothing was changed through Docker.".to_owned(),
            changes => {
                let last = aftermath.last_changes.join("\n- ");
                format!("Changes through Docker: {changes}. The last of them:\n- {last}")
            }
        };
        if let Some(words) = &self.state.transcript.last_words {
            let words: String = words.chars().take(LAST_SAID).collect();
            summary = format!("{summary}\nThe agent's last words: {words}");
        }
        (message, Findings { root_cause: None, summary, follow_up: None })
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

fn show_waiting(recorder: &dyn Trail, progress: watch::Sender<Progress>) -> AbortOnDropHandle<()> {
    let mut waiting = recorder.waiting();
    AbortOnDropHandle::new(tokio::spawn(async move {
        while waiting.changed().await.is_ok() {
            let sentence = waiting.borrow_and_update().clone();
            progress.send_modify(|progress| progress.waiting = sentence);
        }
    }))
}
