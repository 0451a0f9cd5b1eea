//! A session among fakes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use controller::agent::transcript::Transcript;
use controller::agent::verify::{NoInvariants, Verifier};
use controller::agent::{
    self, Aftermath, AgentDeps, Brake, Budgets, DockerAccess, IncidentBrief, Left, Orders, Progress, Proving,
    SandboxSource, SessionEnd, SessionInput, StillRuns, SubjectBrief, Summariser, Wanted,
};
use controller::audit::entry::NoteEntry;
use controller::audit::{AuditStore, EntryBody, FakeStore, NewSession, Recorder, SessionRecord};
use controller::config::redaction::RedactionConfig;
use controller::halt::Halt;
use controller::model::fake::{FakeModel, Step, calls};
use controller::model::{Model, Price, Pricing};
use controller::redact::{InstallationSecret, Redactor, Rules};
use controller::sandbox::fake::{FakeProvider, MemoryLedger};
use controller::sandbox::{
    Access, Command, CommandResult, ContainerLimits, Sandbox, SandboxError, SandboxProvider, SandboxRequest,
};
use controller::session::SessionId;
use crds::incident::Evidence;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) struct Rig {
    pub(crate) store: FakeStore,
    pub(crate) provider: FakeProvider,
    pub(crate) session: SessionId,
    pub(crate) input: SessionInput,
    pub(crate) cancel: CancellationToken,
    pub(crate) patience: Duration,
    pub(crate) summariser: Option<Arc<dyn Model>>,
    pub(crate) notes: watch::Sender<Vec<NoteEntry>>,
    pub(crate) halt: watch::Sender<Option<Halt>>,
    pub(crate) evidence: watch::Sender<Vec<Evidence>>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) brake: Arc<FakeBrake>,
}

/// Kills the session's container among the fakes.
pub(crate) struct FakeBrake {
    provider: Mutex<FakeProvider>,
    session: SessionId,
    left: Mutex<Vec<StillRuns>>,
}

impl FakeBrake {
    /// What is said to run on in the subject.
    pub(crate) fn leave(&self, runs: StillRuns) {
        self.left.lock().unwrap().push(runs);
    }
}

#[async_trait]
impl Brake for FakeBrake {
    async fn end(&self) -> Aftermath {
        let trouble = self.kill().await.err().map(|error| error.to_string());
        Aftermath { still_runs: self.left.lock().unwrap().clone(), trouble, ..Aftermath::default() }
    }

    async fn kill(&self) -> Result<(), SandboxError> {
        let provider = self.provider.lock().unwrap().clone();
        provider.kill(&self.session).await
    }

    async fn hold(&self, held: bool) -> Result<(), SandboxError> {
        let provider = self.provider.lock().unwrap().clone();
        provider.pause(&self.session, held).await
    }
}

impl Rig {
    /// Commands echo themselves, exit code 0.
    pub(crate) fn new() -> Self {
        Self::with(|command| CommandResult::exited(0, &format!("{}\n", command.command), ""))
    }

    pub(crate) fn with(run: impl Fn(&Command) -> CommandResult + Send + Sync + 'static) -> Self {
        let session: SessionId = "2026-01-28T20-54-48-3a029c12".to_owned().into();
        let provider = FakeProvider::new(run);
        Self {
            store: FakeStore::new(),
            notes: watch::Sender::new(Vec::new()),
            halt: watch::Sender::new(None),
            evidence: watch::Sender::new(Vec::new()),
            verifier: Arc::new(NoInvariants),
            brake: Arc::new(FakeBrake {
                provider: Mutex::new(provider.clone()),
                session: session.clone(),
                left: Mutex::default(),
            }),
            provider,
            input: input(&session),
            session,
            cancel: CancellationToken::new(),
            patience: Duration::from_millis(50),
            summariser: None,
        }
    }

    /// Makes the session's row.
    pub(crate) async fn begin(&self) {
        self.record_on(&self.store).await;
    }

    async fn record_on(&self, store: &dyn AuditStore) -> SessionRecord {
        self.record_of(store, self.session.clone(), 1).await
    }

    async fn record_of(&self, store: &dyn AuditStore, id: SessionId, attempt: i64) -> SessionRecord {
        let new = NewSession {
            id,
            incident_uid: "u-1".to_owned(),
            incident_namespace: "default".to_owned(),
            incident_name: "checks-fail".to_owned(),
            attempt,
            subject: "ratelimiter".to_owned(),
            model: "offline-test".to_owned(),
            title: "Every check fails".to_owned(),
            severity: "critical".to_owned(),
            started_at: "2026-01-28T20:54:48Z".parse().unwrap(),
        };
        store.begin_session(&new).await.unwrap()
    }

    pub(crate) async fn run_with(&self, model: Arc<dyn Model>) -> (SessionEnd, Progress) {
        self.run_on(Arc::new(self.store.clone()), model).await
    }

    /// The same with another store than the rig's own.
    pub(crate) async fn run_on(&self, store: Arc<dyn AuditStore>, model: Arc<dyn Model>) -> (SessionEnd, Progress) {
        let (deps, seen) = self.deps(store, model, Progress::default()).await;
        let work = agent::run(deps, self.input.clone(), self.cancel.clone());
        let end = tokio::time::timeout(Duration::from_mins(2), work).await.expect("the session never ended");
        let progress = seen.borrow().clone();
        (end, progress)
    }

    /// Goes on with the session as a controller does that finds it in the store; begins it if nothing stands there.
    pub(crate) async fn go_on(&self, store: Arc<dyn AuditStore>, model: Arc<dyn Model>) -> (SessionEnd, Progress) {
        let entries = store.stored(&self.session, 0, 500).await.unwrap();
        let Some(left) = Left::read(&self.session, &entries).unwrap() else {
            return self.run_on(store, model).await;
        };
        let (deps, seen) = self.deps(store, model, left.progress().clone()).await;
        let work = agent::resume(deps, left, self.cancel.clone());
        let end = tokio::time::timeout(Duration::from_mins(2), work).await.expect("the session never ended");
        let progress = seen.borrow().clone();
        (end, progress)
    }

    async fn deps(
        &self,
        store: Arc<dyn AuditStore>,
        model: Arc<dyn Model>,
        progress: Progress,
    ) -> (AgentDeps, watch::Receiver<Progress>) {
        let record = self.record_on(&*store).await;
        let recorder = Recorder::new(store.clone(), &record, CancellationToken::new()).with_patience(self.patience);
        let (progress, seen) = watch::channel(progress);
        let deps = AgentDeps {
            recorder: Arc::new(recorder),
            model,
            summariser: self.summariser.clone().map(|model| Summariser {
                model,
                name: "offline-summary".to_owned(),
                store,
            }),
            redactor: redactor(self),
            sandbox: Arc::new(Source { provider: self.provider.clone(), session: self.session.clone() }),
            progress,
            verifier: self.verifier.clone(),
            orders: Orders {
                notes: self.notes.subscribe(),
                evidence: self.evidence.subscribe(),
                halt: self.halt.subscribe(),
                brake: self.brake.clone(),
            },
        };
        (deps, seen)
    }

    /// Plays these steps and gives the end and what the model was asked.
    pub(crate) async fn play(&self, steps: impl IntoIterator<Item = Step>) -> (SessionEnd, Arc<FakeModel>) {
        let model = Arc::new(FakeModel::new(steps));
        let (end, _) = self.run_with(model.clone()).await;
        (end, model)
    }

    pub(crate) fn bodies(&self) -> Vec<EntryBody> {
        self.store.bodies(&self.session)
    }

    /// The kinds of all entries, `control` with its event.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let name = |body: &EntryBody| match body {
            EntryBody::Control(control) => {
                format!("control:{}", serde_json::to_value(control.event).unwrap().as_str().unwrap())
            }
            body => body.kind().as_str().to_owned(),
        };
        self.bodies().iter().map(name).collect()
    }

    /// The contents of all results.
    pub(crate) fn results(&self) -> Vec<String> {
        let content = |body| match body {
            EntryBody::ToolResult(result) => Some(result.content),
            _ => None,
        };
        self.bodies().into_iter().filter_map(content).collect()
    }

    pub(crate) fn rebuilt(&self) -> Transcript {
        let bodies = self.bodies();
        Transcript::rebuild((1..).zip(bodies.iter()))
    }
}

/// What masks the rig's secrets: the built-in rules.
pub(crate) fn redactor(rig: &Rig) -> Redactor {
    Rules::compile(&RedactionConfig::default(), &[])
        .unwrap()
        .with(InstallationSecret::new([3; 32]))
        .session(&rig.session)
}

/// The writer of another session, because the rig's own may be sealed.
pub(crate) async fn recorder_of_another(rig: &Rig, store: Arc<dyn AuditStore>) -> Arc<Recorder> {
    let record = rig.record_of(&*store, SessionId::new(Timestamp::now()), 2).await;
    Arc::new(Recorder::new(store, &record, CancellationToken::new()).with_patience(rig.patience))
}

fn input(session: &SessionId) -> SessionInput {
    SessionInput {
        session: session.clone(),
        incident: IncidentBrief {
            namespace: "default".to_owned(),
            name: "checks-fail".to_owned(),
            uid: "u-1".to_owned(),
            title: "Every check fails".to_owned(),
            description: None,
            severity: "critical".to_owned(),
            evidence: Value::Null,
            violated: Vec::new(),
            attempt: 1,
            notes: Vec::new(),
        },
        earlier: None,
        recurrence: None,
        recurring: None,
        proving: Proving::default(),
        subject: SubjectBrief {
            name: "ratelimiter".to_owned(),
            description: None,
            location: json!({"docker": {"project": "ratelimiter"}}),
            networks: vec!["ratelimiter_default".to_owned()],
        },
        model: "offline-test".to_owned(),
        system_addition: None,
        budgets: Budgets::default(),
        pricing: Pricing { known: true, price: Price::FREE },
        docker: DockerAccess::None,
        sandbox: Value::Null,
        operator_version: "0.1.0".to_owned(),
    }
}

struct Source {
    provider: FakeProvider,
    session: SessionId,
}

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, wanted: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        if wanted == Wanted::Fresh {
            self.provider.remove(&self.session).await?;
        }
        let request = SandboxRequest {
            session: self.session.clone(),
            subject: "default/ratelimiter".to_owned(),
            project: "ratelimiter".to_owned(),
            image: "agent:dev".to_owned(),
            limits: ContainerLimits::default(),
            access: Access::default(),
            egress: Vec::new(),
            wall_limit: Duration::from_hours(1),
        };
        let plan = self.provider.preflight(&request).await?;
        self.provider.create(&plan, MemoryLedger::new()).await
    }
}

pub(crate) fn shell(id: &str, command: &str) -> Step {
    calls(&[(id, "shell", json!({"command": command, "reasoning": "to see"}))])
}

pub(crate) fn conclusion() -> Value {
    json!({"outcome": "resolved", "root_cause": "Redis followed a host that is gone", "summary": "made it a master", "evidence": [5]})
}

pub(crate) fn conclude(id: &str) -> Step {
    calls(&[(id, "conclude", conclusion())])
}

/// The reason of an end that is no conclusion.
pub(crate) fn reason(end: &SessionEnd) -> String {
    format!("{}:{}", end.phase(), end.reason())
}
