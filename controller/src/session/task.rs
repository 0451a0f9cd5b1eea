//! One session's task: from its row to the removal of its container.
//!
//! The row comes first; then the container is made while the agent's first model turn runs; then
//! the agent works; then its end goes into the row, and the container goes. A session that an earlier
//! controller began is [gone on with](super::resume) instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::brake::SessionBrake;
use super::engine::Seat;
use super::execs::Changes;
use super::ledger::{Gate, SessionLedger};
use super::resume::go_on;
use super::source::Source;
use super::view::End;
use super::{SessionId, SessionView};
use super::{earlier, recurrence};
use crate::agent::{
    self, AgentDeps, Brake, IncidentBrief, Orders, Progress, SessionEnd, SessionInput, SubjectBrief, Summariser,
};
use crate::audit::entry::{ChangeOrigin, NoteEntry};
use crate::audit::recorder::Head;
use crate::audit::{AuditError, NewSession, Recorder, SessionRecord, SessionState};
use crate::context::Context;
use crate::incident::dereference::Earlier;
use crate::incident::validate::Accepted;
use crate::sandbox::{Access, SandboxPlan, SandboxRequest};

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
    /// For a new session. `earlier` are the Incidents of the same fault before this one.
    #[must_use]
    pub fn new(incident: &Incident, accepted: &Accepted, earlier: &[Earlier], context: &Context) -> Self {
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
        let request = SandboxRequest {
            session: id.clone(),
            subject: accepted.subject.clone(),
            project: accepted.project.clone(),
            image: accepted.image.clone(),
            limits: context.defaults.config.agent.limits.clone(),
            access: accepted.access.clone(),
            egress: accepted.egress.clone(),
            // The supervisor's clock goes on while its container is paused.
            wall_limit: Duration::from_secs(accepted.budgets.wall_time_seconds)
                + accepted.proving.longest()
                + WALL_GRACE,
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
                title: context.redaction.session(&id).text(&spec.title).value,
                severity: spec.severity.as_str().into(),
                started_at: now,
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
                    violated: accepted.proving.must.clone(),
                    attempt: spec.attempt,
                    notes: NoteEntry::all(&spec.notes),
                },
                earlier: None,
                recurrence: recurrence::told(incident, earlier, &accepted.recurrence),
                recurring: recurrence::too_often(incident, earlier, &accepted.recurrence),
                proving: accepted.proving.clone(),
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
                sandbox: on_record(&request),
                operator_version: env!("CARGO_PKG_VERSION").into(),
            },
            request,
        }
    }

    /// The same for a session that has a name already.
    #[must_use]
    pub fn named(mut self, session: &SessionId) -> Self {
        self.new.id.clone_from(session);
        self.request.session.clone_from(session);
        self.input.session.clone_from(session);
        self.input.sandbox = on_record(&self.request);
        self
    }
}

/// The request as the first entry keeps it: without the compose file, in which passwords stand.
fn on_record(request: &SandboxRequest) -> serde_json::Value {
    let access = Access { compose_file: None, ..request.access.clone() };
    serde_json::to_value(SandboxRequest { access, ..request.clone() }).unwrap_or_default()
}

/// Runs a new session to its end. If the store has one for this Incident and attempt already, that
/// one is taken over instead.
pub async fn run(context: Arc<Context>, work: Work, mut plan: SandboxPlan, seat: Seat) {
    let running = Running::begin(&context);
    let view = &seat.view;
    let began = begin(&context, &work.new, view, &seat.cancel).await;
    let end = match began {
        Err(end) => end,
        // The row stands since an earlier controller that did not come to write the status.
        Ok(record) if record.new.id != work.new.id => Box::pin(go_on(&context, &record, Some(work), &seat)).await,
        Ok(record) => {
            plan.request.clone_from(&work.request);
            start(&context, work, plan, &record, &seat).await
        }
    };
    drop(running);
    view.send_modify(|view| view.end = Some(end));
}

/// Counts a session as running for as long as it lives, also when its task is dropped.
pub(super) struct Running<'a> {
    context: &'a Context,
}

impl<'a> Running<'a> {
    pub(super) fn begin(context: &'a Context) -> Self {
        context.metrics.sessions.inc();
        Self { context }
    }
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
                return Err(End::of(&cancelled(message), Timestamp::now()));
            }
            () = wait(view, &error) => {}
        }
    }
}

/// What earlier attempts left, for the first message. It is waited for as the row is.
async fn earlier(context: &Context, new: &NewSession, seat: &Seat) -> Result<Option<String>, End> {
    loop {
        let error = match earlier::told(&*context.audit, &new.incident_uid, new.attempt).await {
            Ok(told) => {
                seat.view.send_if_modified(|view| view.progress.waiting.take().is_some());
                return Ok(told);
            }
            Err(error) if error.is_transient() => error,
            Err(error) => {
                let error = crate::error::chain(&error);
                tracing::error!(session = %new.id, error, "what earlier attempts left cannot be read");
                return Ok(Some(format!(
                    "There were earlier attempts on this incident; their trails cannot be read: {error}\n"
                )));
            }
        };
        tokio::select! {
            () = seat.cancel.cancelled() => {
                let message = "cancelled before the session began: the audit store was not there";
                return Err(End::of(&cancelled(message), Timestamp::now()));
            }
            () = wait(&seat.view, &error) => {}
        }
    }
}

fn cancelled(message: &str) -> SessionEnd {
    SessionEnd::Cancelled { message: message.to_owned(), findings: None }
}

pub(super) async fn wait(view: &watch::Sender<SessionView>, error: &AuditError) {
    view.send_modify(|view| view.progress.waiting = Some(crate::error::chain(error)));
    tokio::time::sleep(RETRY).await;
}

pub(super) fn show(view: &watch::Sender<SessionView>, record: &SessionRecord) {
    view.send_modify(|view| {
        view.id = Some(record.new.id.clone());
        view.model.clone_from(&record.new.model);
        view.started_at = Some(record.new.started_at);
        view.head.entry = record.last_hash.map(|hash| (record.state.last_seq, hash)).filter(|(seq, _)| *seq > 0);
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

/// Starts a session in which nothing has happened yet.
pub(super) async fn start(
    context: &Arc<Context>,
    mut work: Work,
    plan: SandboxPlan,
    record: &SessionRecord,
    seat: &Seat,
) -> End {
    work.input.earlier = match earlier(context, &record.new, seat).await {
        Ok(earlier) => earlier,
        Err(end) => {
            finish(context, record, &Progress::default(), &end).await;
            return end;
        }
    };
    work.input.subject.networks = plan.networks.iter().map(|network| network.name.clone()).collect();
    let request = plan.request.clone();
    let bench = Bench::new(context, record, seat, Progress::default(), BTreeMap::new(), Changes::default());
    let deps = bench.deps(request, Some(plan));
    bench.end(Box::pin(agent::run(deps, work.input, seat.cancel.clone()))).await
}

/// What a session's agent works with, and who looks on.
pub(super) struct Bench<'a> {
    context: &'a Arc<Context>,
    record: &'a SessionRecord,
    seat: &'a Seat,
    recorder: Arc<Recorder>,
    ledger: Arc<SessionLedger>,
    brake: Arc<SessionBrake>,
    progress: watch::Sender<Progress>,
}

impl<'a> Bench<'a> {
    /// The recorder goes on behind `record`'s last entry; `open` are the changes that an earlier controller began,
    /// `changes` what is known of all of them.
    pub(super) fn new(
        context: &'a Arc<Context>,
        record: &'a SessionRecord,
        seat: &'a Seat,
        progress: Progress,
        open: BTreeMap<i64, Option<ChangeOrigin>>,
        changes: Changes,
    ) -> Self {
        let recorder = Arc::new(Recorder::new(context.audit.clone(), record, CancellationToken::new()));
        let progress = watch::Sender::new(progress);
        let gate = Gate { cancel: seat.cancel.clone(), halt: context.halt.clone() };
        let redactor = context.redaction.session(&record.new.id);
        let ledger = Arc::new(SessionLedger::new(recorder.clone(), progress.clone(), gate, redactor, open, changes));
        let brake = SessionBrake::new(context.sandboxes.clone(), record.new.id.clone(), ledger.clone());
        Self { context, record, seat, recorder, ledger, brake, progress }
    }

    pub(super) fn deps(&self, request: SandboxRequest, plan: Option<SandboxPlan>) -> AgentDeps {
        let (context, session) = (self.context, &self.record.new.id);
        let subject = ObjectRef::new(&self.record.new.subject).within(&self.record.new.incident_namespace);
        AgentDeps {
            redactor: context.redaction.session(session),
            recorder: self.recorder.clone(),
            model: context.spending.meter(context.model.clone(), session),
            summariser: context.summary_model.clone().map(|name| Summariser {
                model: context.spending.meter(context.model.clone(), session),
                name,
                store: context.audit.clone(),
            }),
            sandbox: Arc::new(Source {
                context: context.clone(),
                request,
                plan: Mutex::new(plan),
                view: self.seat.view.clone(),
                ledger: self.ledger.clone(),
            }),
            progress: self.progress.clone(),
            verifier: context.verifier(&subject),
            orders: Orders {
                notes: self.seat.notes.clone(),
                evidence: self.seat.evidence.clone(),
                halt: context.halt.clone(),
                brake: self.brake.clone() as Arc<dyn Brake>,
            },
        }
    }

    /// Lets the agent work to its end, and finishes the session.
    pub(super) async fn end(self, agent: impl Future<Output = SessionEnd>) -> End {
        let Self { context, record, seat, progress, .. } = &self;
        let over = CancellationToken::new();
        let mirror = tokio::spawn(mirror(
            (*context).clone(),
            (*record).clone(),
            progress.subscribe(),
            self.recorder.head(),
            seat.view.clone(),
            over.clone(),
        ));
        // A task that is dropped (shutdown) must not leave its mirror behind.
        let mirror = AbortOnDropHandle::new(mirror);
        // Whatever the loop waits for when it is cancelled, its container ends; with the session this ends, too.
        let watched = [
            AbortOnDropHandle::new(tokio::spawn(self.brake.clone().watch(seat.cancel.clone()))),
            AbortOnDropHandle::new(tokio::spawn(self.brake.clone().follow(context.halt.clone()))),
        ];
        let end = agent.await;
        drop(watched);
        // Waited for, not dropped: a write of its that is under way would come to the row behind the end.
        over.cancel();
        let _ = mirror.await;
        let end = End::of(&end, Timestamp::now()).masked(&context.redaction.session(&record.new.id));
        let progress = Progress { waiting: None, command: None, ..progress.borrow().clone() };
        let head = *self.recorder.head().borrow();
        seat.view.send_modify(|view| (view.progress, view.head) = (progress.clone(), head));
        finish(context, record, &progress, &end).await;
        end
    }
}

/// Puts the end into the session's row and removes its container, side by side.
pub(super) async fn finish(context: &Arc<Context>, record: &SessionRecord, progress: &Progress, end: &End) {
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
        // An engine that is being started again is waited for.
        let removed = async {
            loop {
                match context.sandboxes.remove(id).await {
                    Err(error) if error.is_transient() => tokio::time::sleep(RETRY).await,
                    other => return other,
                }
            }
        };
        match tokio::time::timeout(REMOVE_LIMIT, removed).await {
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
    context.metrics.redacted.inc_by(progress.redacted);
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
    head: watch::Receiver<Head>,
    view: watch::Sender<SessionView>,
    over: CancellationToken,
) {
    let mut pace = tokio::time::interval(ROW_PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stale = true;
    loop {
        tokio::select! {
            biased;
            () = over.cancelled() => return,
            changed = progress.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = progress.borrow_and_update().clone();
                // The trail is ahead of the progress, which tells of what stands there.
                let head = *head.borrow();
                view.send_modify(|view| (view.progress, view.head) = (now, head));
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
