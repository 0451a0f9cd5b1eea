//! One session's task: from its row to the removal of its container.
//!
//! The row comes first; then the container is made while the agent's first model turn runs; then
//! the agent works; then its end goes into the row, and the container goes. A session that another
//! controller began is not run again: [`take_over`] reads how it ended, or that it was interrupted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::engine::Seat;
use super::ledger::{self, SessionLedger};
use super::view::End;
use super::{SessionId, SessionView};
use crate::agent::{
    self, AgentDeps, IncidentBrief, Progress, SandboxSource, SessionEnd, SessionInput, SubjectBrief, Summariser,
};
use crate::audit::entry::{ControlEntry, ControlEvent};
use crate::audit::{AuditError, EntryBody, NewSession, Recorder, SessionRecord, SessionState};
use crate::context::Context;
use crate::incident::validate::Accepted;
use crate::sandbox::{Sandbox, SandboxError, SandboxPlan, SandboxRequest};

/// Over the session's wall time, after which the supervisor ends by itself.
const WALL_GRACE: Duration = Duration::from_mins(5);
/// Between two tries to reach the audit store.
const RETRY: Duration = Duration::from_secs(2);
/// How long the last words of a session wait for the audit store.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// How long the end of a session waits for its container to go; the sweep looks after the rest.
const REMOVE_LIMIT: Duration = Duration::from_secs(20);
/// Between two updates of a running session's row, which only listings read.
const ROW_PACE: Duration = Duration::from_secs(2);

/// What a session is to work on.
pub struct Work {
    /// Its row, if it is new.
    pub new: NewSession,
    /// What it wants of the engine.
    pub request: SandboxRequest,
    /// What the agent is given.
    pub input: SessionInput,
}

impl Work {
    /// For a new session.
    #[must_use]
    pub fn new(incident: &Incident, accepted: &Accepted, context: &Context) -> Self {
        let now = Timestamp::now();
        let id = SessionId::new(now);
        let spec = &incident.spec;
        let namespace = incident.namespace().unwrap_or_default();
        let uid = incident.uid().unwrap_or_default();
        let evidence = if spec.evidence.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::to_value(&spec.evidence).unwrap_or_default()
        };
        Self {
            new: NewSession {
                id: id.clone(),
                incident_uid: uid.clone(),
                incident_namespace: namespace.clone(),
                incident_name: incident.name_any(),
                attempt: spec.attempt,
                subject: spec.subject_ref.name.clone(),
                model: accepted.model.clone(),
                title: spec.title.clone(),
                severity: spec.severity.as_str().into(),
                started_at: now,
            },
            request: SandboxRequest {
                session: id.clone(),
                subject: accepted.subject.clone(),
                project: accepted.project.clone(),
                image: accepted.image.clone(),
                limits: context.defaults.config.agent.limits.clone(),
                access: accepted.access.clone(),
                egress: accepted.egress.clone(),
                wall_limit: Duration::from_secs(accepted.budgets.wall_time_seconds) + WALL_GRACE,
            },
            input: SessionInput {
                session: id,
                incident: IncidentBrief {
                    namespace,
                    name: incident.name_any(),
                    uid,
                    title: spec.title.clone(),
                    description: Some(spec.description.clone()).filter(|text| !text.is_empty()),
                    severity: spec.severity.as_str().into(),
                    evidence,
                    attempt: spec.attempt,
                },
                subject: SubjectBrief {
                    name: spec.subject_ref.name.clone(),
                    description: Some(accepted.description.clone()).filter(|text| !text.is_empty()),
                    location: serde_json::json!({"docker": {"project": accepted.project}}),
                    networks: Vec::new(),
                },
                model: accepted.model.clone(),
                system_addition: spec.agent.as_ref().and_then(|agent| agent.system_prompt.clone()),
                budgets: accepted.budgets.clone(),
                pricing: context.defaults.config.prices.of(&accepted.model),
                docker: accepted.access.mode.into(),
                operator_version: env!("CARGO_PKG_VERSION").into(),
            },
        }
    }
}

/// Runs a new session to its end. If the store has one for this Incident and attempt already, that
/// one is taken over instead.
pub async fn run(context: Arc<Context>, mut work: Work, mut plan: SandboxPlan, seat: Seat) {
    context.metrics.sessions.inc();
    let running = Running { context: &context };
    let view = &seat.view;
    let began = begin(&context, &work.new, view, &seat.cancel).await;
    let end = match began {
        Err(end) => end,
        Ok(record) if record.new.id != work.new.id => take_over(&context, &record, view).await,
        Ok(record) => {
            plan.request.clone_from(&work.request);
            work.input.subject.networks = plan.networks.iter().map(|network| network.name.clone()).collect();
            work_on(&context, work.input, plan, &record, &seat).await
        }
    };
    drop(running);
    view.send_modify(|view| view.end = Some(end));
}

/// Counts a session as running for as long as it lives, also when its task is dropped.
struct Running<'a> {
    context: &'a Context,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.context.metrics.sessions.dec();
    }
}

pub(super) fn failed(reason: &str, message: &str) -> End {
    End::of(&SessionEnd::Failed { reason: reason.into(), message: message.into() }, Timestamp::now())
}

/// Makes the session's row. Nothing happens before it stands, however long the store is away.
async fn begin(
    context: &Context,
    new: &NewSession,
    view: &watch::Sender<SessionView>,
    cancel: &CancellationToken,
) -> Result<SessionRecord, End> {
    loop {
        let error = match context.audit.begin_session(new).await {
            Ok(record) => {
                show(view, &record);
                return Ok(record);
            }
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(failed("AuditRefused", &crate::error::chain(&error))),
        };
        tokio::select! {
            () = cancel.cancelled() => {
                let message = "cancelled before the session began: the audit store was not there";
                return Err(End::of(&SessionEnd::Cancelled { message: message.into() }, Timestamp::now()));
            }
            () = wait(view, &error) => {}
        }
    }
}

pub(super) async fn wait(view: &watch::Sender<SessionView>, error: &AuditError) {
    view.send_modify(|view| view.progress.waiting = Some(crate::error::chain(error)));
    tokio::time::sleep(RETRY).await;
}

fn show(view: &watch::Sender<SessionView>, record: &SessionRecord) {
    view.send_modify(|view| {
        view.id = Some(record.new.id.clone());
        view.model.clone_from(&record.new.model);
        view.started_at = Some(record.new.started_at);
        view.progress = Progress {
            turns: record.state.turns,
            commands: record.state.commands,
            input_tokens: record.state.input_tokens,
            output_tokens: record.state.output_tokens,
            cost: record.state.cost,
            cost_known: true,
            last_seq: record.state.last_seq,
            ..Progress::default()
        };
    });
}

/// The session of an earlier controller: as its row says; if that says that it runs, it was
/// interrupted, which is put on record, and its container is removed.
pub(super) async fn take_over(
    context: &Arc<Context>,
    record: &SessionRecord,
    view: &watch::Sender<SessionView>,
) -> End {
    show(view, record);
    if let Some(end) = End::from_record(record) {
        return end;
    }
    let message = "the controller ended in the middle of this session, and this version cannot go on with one; \
                   raise spec.attempt to try again";
    let end = failed("Interrupted", message);
    let recorder = Recorder::new(context.audit.clone(), record, CancellationToken::new());
    let event = |event, details| EntryBody::Control(ControlEntry { event, message: message.into(), details });
    let sealed = serde_json::json!({"phase": end.phase.as_str(), "reason": end.reason});
    let mut words = ledger::left_open(&*context.audit, &record.new.id).await;
    words.extend([event(ControlEvent::Error, serde_json::Value::Null), event(ControlEvent::Sealed, sealed)]);
    for body in words {
        if let Err(error) = recorder.record_within(body, LAST_WORDS).await {
            tracing::error!(session = %record.new.id, error = crate::error::chain(&error), "the interruption is not on record");
        }
    }
    let progress = view.borrow().progress.clone();
    finish(context, record, &progress, &end).await;
    end
}

/// The session's real work.
async fn work_on(
    context: &Arc<Context>,
    input: SessionInput,
    plan: SandboxPlan,
    record: &SessionRecord,
    seat: &Seat,
) -> End {
    let recorder = Arc::new(Recorder::new(context.audit.clone(), record, CancellationToken::new()));
    let (progress, seen) = watch::channel(Progress { cost_known: input.pricing.known, ..Progress::default() });
    let ledger = Arc::new(SessionLedger::new(recorder.clone(), progress.clone()));
    let deps = AgentDeps {
        recorder: recorder.clone(),
        model: context.model.clone(),
        summariser: context.summary_model.clone().map(|name| Summariser {
            model: context.model.clone(),
            name,
            store: context.audit.clone(),
        }),
        redactor: context.redaction.session(&record.new.id),
        sandbox: Arc::new(Source { context: context.clone(), plan, view: seat.view.clone(), ledger }),
        progress,
    };
    let mirror = tokio::spawn(mirror(context.clone(), record.clone(), seen.clone(), seat.view.clone()));
    // A task that is dropped (shutdown) must not leave its mirror behind.
    let mirror = tokio_util::task::AbortOnDropHandle::new(mirror);
    let end = agent::run(deps, input, seat.cancel.clone()).await;
    drop(mirror);
    let end = End::of(&end, Timestamp::now());
    let progress = Progress { waiting: None, command: None, ..seen.borrow().clone() };
    seat.view.send_modify(|view| view.progress = progress.clone());
    finish(context, record, &progress, &end).await;
    end
}

/// Puts the end into the session's row and removes its container, side by side.
async fn finish(context: &Arc<Context>, record: &SessionRecord, progress: &Progress, end: &End) {
    let state = SessionState {
        phase: end.phase.as_str().into(),
        root_cause: end.root_cause.clone(),
        summary: Some(end.summary.clone().unwrap_or_else(|| end.message.clone())),
        reason: Some(end.reason.clone()),
        ended_at: Some(end.at),
        ..state_of(progress)
    };
    let id = &record.new.id;
    let row = async {
        let begun = tokio::time::Instant::now();
        while let Err(error) = context.audit.update_session(id, &state).await {
            if !error.is_transient() || begun.elapsed() > LAST_WORDS {
                tracing::error!(session = %id, error = crate::error::chain(&error), "the session's row does not say that it ended; its entries do");
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    let container = async {
        match tokio::time::timeout(REMOVE_LIMIT, context.sandboxes.remove(id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(session = %id, error = crate::error::chain(&error), "the container stays until the next sweep");
            }
            Err(_) => {
                tracing::warn!(session = %id, "the engine did not remove the container in time; it stays until the next sweep");
            }
        }
    };
    tokio::join!(row, container);
    context.metrics.turns.inc_by(u64::try_from(progress.turns).unwrap_or(0));
    context.metrics.commands.inc_by(u64::try_from(progress.commands).unwrap_or(0));
    context.metrics.cost.inc_by(u64::try_from(progress.cost.0).unwrap_or(0));
}

fn state_of(progress: &Progress) -> SessionState {
    SessionState {
        phase: "Running".into(),
        turns: progress.turns,
        commands: progress.commands,
        input_tokens: progress.input_tokens,
        output_tokens: progress.output_tokens,
        cost: progress.cost,
        last_seq: progress.last_seq,
        ..SessionState::default()
    }
}

/// Shows the agent's progress in the view at once, and in the session's row now and then.
async fn mirror(
    context: Arc<Context>,
    record: SessionRecord,
    mut progress: watch::Receiver<Progress>,
    view: watch::Sender<SessionView>,
) {
    let mut pace = tokio::time::interval(ROW_PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stale = true;
    loop {
        tokio::select! {
            changed = progress.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = progress.borrow_and_update().clone();
                view.send_modify(|view| view.progress = now);
                stale = true;
            }
            _ = pace.tick(), if stale => {
                stale = false;
                let row = state_of(&progress.borrow().clone());
                // Listings only: the next tick or the end of the session sets it right.
                if let Err(error) = context.audit.update_session(&record.new.id, &row).await {
                    tracing::debug!(session = %record.new.id, error = crate::error::chain(&error), "the session's row lags");
                }
            }
        }
    }
}

/// Makes the session's container and shows what comes of it.
struct Source {
    context: Arc<Context>,
    plan: SandboxPlan,
    view: watch::Sender<SessionView>,
    ledger: Arc<SessionLedger>,
}

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, replacement: u32) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let made = self.make(replacement).await;
        self.view.send_modify(|view| match &made {
            Ok(sandbox) => {
                view.container = Some(sandbox.name().to_owned());
                view.sandbox_trouble = None;
            }
            Err(error) => {
                view.container = None;
                view.sandbox_trouble = Some((error.category(), crate::error::chain(error)));
            }
        });
        made
    }
}

impl Source {
    async fn make(&self, replacement: u32) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let sandboxes = &self.context.sandboxes;
        if replacement == 0 {
            return sandboxes.create(&self.plan, self.ledger.clone()).await;
        }
        // The one before is lost; and the subject's networks may have changed meanwhile.
        sandboxes.remove(&self.plan.request.session).await?;
        let plan = sandboxes.preflight(&self.plan.request).await?;
        sandboxes.create(&plan, self.ledger.clone()).await
    }
}
