//! A sandbox without Docker: commands are answered by a closure.
//!
//! It keeps the promises that the real one keeps (start is idempotent by `seq`, a killed command
//! ends as killed, a lost container answers nothing more), so that the agent and the session are
//! tested against the contract and not against a convenience.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::{
    Command, CommandEnd, CommandResult, HostAccess, Ledger, Leftover, NetworkRef, OutputChunk, OutputStream, Recovered,
    Sandbox, SandboxError, SandboxPlan, SandboxProvider, SandboxRequest,
};
use crate::audit::entry::{Change, ChangeOrigin, ChangeResult};
use crate::session::SessionId;

type Run = dyn Fn(&Command) -> CommandResult + Send + Sync;

/// One call that the fake saw, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FakeCall {
    /// [`SandboxProvider::preflight`].
    Preflight(SessionId),
    /// [`SandboxProvider::create`].
    Create(SessionId),
    /// [`SandboxProvider::remove`].
    Remove(SessionId),
    /// A command that was really started: number and text. A second start of a number is none.
    Run(i64, String),
    /// [`Sandbox::recover`].
    Recover(i64),
    /// [`Sandbox::kill`].
    Kill(i64),
    /// [`SandboxProvider::kill`].
    KillAll(SessionId),
    /// [`SandboxProvider::pause`].
    Pause(SessionId, bool),
    /// [`Sandbox::close`].
    Close,
}

/// Keeps changes in memory, numbered from 1, and can be told to take no more.
#[derive(Default)]
pub struct MemoryLedger {
    state: Mutex<LedgerState>,
}

#[derive(Default)]
struct LedgerState {
    refusal: Option<String>,
    begun: Vec<Change>,
    completed: Vec<(i64, ChangeResult)>,
}

impl MemoryLedger {
    /// An empty one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on [`Ledger::begin`] fails with this sentence; with `None` it works again.
    pub fn refuse(&self, reason: Option<&str>) {
        self.state().refusal = reason.map(str::to_owned);
    }

    /// The changes that were announced; the first is number 1.
    #[must_use]
    pub fn begun(&self) -> Vec<Change> {
        self.state().begun.clone()
    }

    /// What came of them, in the order in which it became known.
    #[must_use]
    pub fn completed(&self) -> Vec<(i64, ChangeResult)> {
        self.state().completed.clone()
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn begin(&self, change: &Change) -> Result<i64, String> {
        let mut state = self.state();
        if let Some(reason) = &state.refusal {
            return Err(format!("audit unavailable: {reason}"));
        }
        state.begun.push(change.clone());
        Ok(i64::try_from(state.begun.len()).unwrap_or(i64::MAX))
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        self.state().completed.push((begun, result.clone()));
        Ok(())
    }

    fn left_open(&self) -> Vec<(i64, Option<ChangeOrigin>)> {
        let state = self.state();
        let numbered = (1_i64..).zip(state.begun.iter().map(|change| change.origin));
        numbered.filter(|(seq, _)| state.completed.iter().all(|(completed, _)| completed != seq)).collect()
    }
}

/// Makes [`FakeSandbox`]es. Clones share everything.
#[derive(Clone)]
pub struct FakeProvider {
    shared: Arc<Shared>,
}

struct Shared {
    run: Box<Run>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<FakeCall>,
    delay: Duration,
    create_delay: Duration,
    preflight_error: Option<SandboxError>,
    create_error: Option<SandboxError>,
    remove_error: Option<SandboxError>,
    kill_error: Option<SandboxError>,
    pause_error: Option<SandboxError>,
    stubborn: bool,
    execs: HashMap<String, i64>,
    host_access: Option<Result<Vec<HostAccess>, SandboxError>>,
    standing: BTreeMap<SessionId, Arc<FakeSandbox>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, call: FakeCall) {
        self.state().calls.push(call);
    }
}

impl FakeProvider {
    /// Commands are answered by `run`.
    pub fn new(run: impl Fn(&Command) -> CommandResult + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared { run: Box::new(run), state: Mutex::default() }) }
    }

    /// Each command takes this long (it can be killed meanwhile).
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        self.shared.state().delay = delay;
        self
    }

    /// Each container takes this long to make.
    #[must_use]
    pub fn with_create_delay(self, delay: Duration) -> Self {
        self.shared.state().create_delay = delay;
        self
    }

    /// From now on `preflight` fails so; `None` heals it.
    pub fn fail_preflight(&self, error: Option<SandboxError>) {
        self.shared.state().preflight_error = error;
    }

    /// From now on `create` fails so; `None` heals it.
    pub fn fail_create(&self, error: Option<SandboxError>) {
        self.shared.state().create_error = error;
    }

    /// From now on `remove` fails so; `None` heals it.
    pub fn fail_remove(&self, error: Option<SandboxError>) {
        self.shared.state().remove_error = error;
    }

    /// From now on `kill` of a whole container fails so; `None` heals it.
    pub fn fail_kill(&self, error: Option<SandboxError>) {
        self.shared.state().kill_error = error;
    }

    /// From now on `pause` fails so; `None` heals it.
    pub fn fail_pause(&self, error: Option<SandboxError>) {
        self.shared.state().pause_error = error;
    }

    /// From now on a command that is killed goes on, as long as its container stands.
    pub fn ignore_kills(&self) {
        self.shared.state().stubborn = true;
    }

    /// This command runs in the subject from now on, under that process number.
    pub fn set_exec(&self, exec: &str, pid: i64) {
        self.shared.state().execs.insert(exec.to_owned(), pid);
    }

    /// From now on `host_access` answers so; before it there is nothing.
    pub fn set_host_access(&self, answer: Result<Vec<HostAccess>, SandboxError>) {
        self.shared.state().host_access = Some(answer);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<FakeCall> {
        self.shared.state().calls.clone()
    }

    /// The texts of the commands that were started, in order.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let texts = self.calls().into_iter().filter_map(|call| match call {
            FakeCall::Run(_, text) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// The sandbox of a session, if one stands.
    #[must_use]
    pub fn sandbox(&self, session: &SessionId) -> Option<Arc<FakeSandbox>> {
        self.shared.state().standing.get(session).cloned()
    }

    /// Every standing container is gone from now on, as if somebody had removed them.
    pub fn lose_all(&self, reason: &str) {
        let gone = std::mem::take(&mut self.shared.state().standing);
        for sandbox in gone.into_values() {
            sandbox.lose(reason);
        }
    }
}

#[async_trait]
impl SandboxProvider for FakeProvider {
    async fn preflight(&self, request: &SandboxRequest) -> Result<SandboxPlan, SandboxError> {
        self.shared.record(FakeCall::Preflight(request.session.clone()));
        if let Some(error) = self.shared.state().preflight_error.clone() {
            return Err(error);
        }
        Ok(SandboxPlan {
            request: request.clone(),
            image_id: format!("sha256:fake-{}", request.image),
            networks: vec![NetworkRef { id: "fake-network".into(), name: format!("{}_default", request.project) }],
        })
    }

    async fn create(&self, plan: &SandboxPlan, _ledger: Arc<dyn Ledger>) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let session = &plan.request.session;
        self.shared.record(FakeCall::Create(session.clone()));
        let delay = self.shared.state().create_delay;
        tokio::time::sleep(delay).await;
        let mut state = self.shared.state();
        if let Some(error) = state.create_error.clone() {
            return Err(error);
        }
        let is_kept = state.standing.contains_key(session);
        let sandbox = state
            .standing
            .entry(session.clone())
            .or_insert_with(|| Arc::new(FakeSandbox::new(format!("operator-agent-{session}"), self.shared.clone())));
        Ok(Arc::new(Handle { sandbox: sandbox.clone(), is_kept }))
    }

    async fn remove(&self, session: &SessionId) -> Result<(), SandboxError> {
        self.shared.record(FakeCall::Remove(session.clone()));
        let mut state = self.shared.state();
        if let Some(error) = state.remove_error.clone() {
            return Err(error);
        }
        let gone = state.standing.remove(session);
        drop(state);
        if let Some(sandbox) = gone {
            sandbox.lose("the container was removed");
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Leftover>, SandboxError> {
        let state = self.shared.state();
        let all = state.standing.iter().map(|(session, sandbox)| Leftover {
            session: session.clone(),
            container: format!("fake-{session}"),
            name: sandbox.name.clone(),
        });
        Ok(all.collect())
    }

    async fn kill(&self, session: &SessionId) -> Result<(), SandboxError> {
        self.shared.record(FakeCall::KillAll(session.clone()));
        if let Some(error) = self.shared.state().kill_error.clone() {
            return Err(error);
        }
        let gone = self.shared.state().standing.remove(session);
        if let Some(sandbox) = gone {
            sandbox.lose("the container was killed");
        }
        Ok(())
    }

    async fn pause(&self, session: &SessionId, paused: bool) -> Result<(), SandboxError> {
        self.shared.record(FakeCall::Pause(session.clone(), paused));
        self.shared.state().pause_error.clone().map_or(Ok(()), Err)
    }

    async fn running_exec(&self, exec: &str) -> Result<Option<i64>, SandboxError> {
        Ok(self.shared.state().execs.get(exec).copied())
    }

    async fn host_access(&self, _project: &str) -> Result<Vec<HostAccess>, SandboxError> {
        self.shared.state().host_access.clone().unwrap_or_else(|| Ok(Vec::new()))
    }
}

/// Answers commands with the closure of its provider.
pub struct FakeSandbox {
    name: String,
    shared: Arc<Shared>,
    lost: watch::Sender<Option<String>>,
    commands: Mutex<HashMap<i64, Arc<FakeCommand>>>,
}

/// A command that was started here once.
#[derive(Default)]
struct FakeCommand {
    killed: Notify,
    outcome: watch::Sender<Option<CommandResult>>,
}

impl FakeSandbox {
    fn new(name: String, shared: Arc<Shared>) -> Self {
        Self { name, shared, lost: watch::Sender::new(None), commands: Mutex::default() }
    }

    /// From now on every call, and every command that runs, answers [`SandboxError::Lost`].
    pub fn lose(&self, reason: &str) {
        self.lost.send_replace(Some(reason.to_owned()));
    }

    /// The command of this number, and whether this call is the one that starts it.
    fn enter(&self, seq: i64) -> (Arc<FakeCommand>, bool) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = false;
        let command = commands.entry(seq).or_insert_with(|| {
            first = true;
            Arc::default()
        });
        (command.clone(), first)
    }

    /// Starts the command as a task of its own, for dropping the caller's future does not kill it.
    fn start(&self, command: &Command, entry: &Arc<FakeCommand>) {
        let (shared, entry, command) = (self.shared.clone(), entry.clone(), command.clone());
        shared.record(FakeCall::Run(command.seq, command.command.clone()));
        let delay = shared.state().delay;
        let work = async move {
            let result = tokio::select! {
                () = tokio::time::sleep(delay) => (shared.run)(&command),
                () = entry.killed.notified() => {
                    CommandResult { end: CommandEnd::Killed, ..CommandResult::exited(0, "", "") }
                }
            };
            let streams = [(OutputStream::Stdout, &result.stdout), (OutputStream::Stderr, &result.stderr)];
            for (stream, captured) in streams {
                if let (Some(live), false) = (&command.live, captured.head.is_empty()) {
                    let _ = live.try_send(OutputChunk { seq: command.seq, stream, data: captured.head.clone() });
                }
            }
            entry.outcome.send_replace(Some(result));
        };
        tokio::spawn(work);
    }
}

#[async_trait]
impl Sandbox for FakeSandbox {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError> {
        let mut lost = self.lost.subscribe();
        if let Some(reason) = lost.borrow().clone() {
            return Err(SandboxError::Lost { reason });
        }
        let (entry, first) = self.enter(command.seq);
        let mut outcome = entry.outcome.subscribe();
        if first {
            self.start(command, &entry);
        }
        tokio::select! {
            biased;
            Ok(reason) = lost.wait_for(Option::is_some) => {
                Err(SandboxError::Lost { reason: reason.clone().unwrap_or_default() })
            }
            Ok(result) = outcome.wait_for(Option::is_some) => {
                result.clone().ok_or_else(|| SandboxError::Lost { reason: "no outcome".into() })
            }
            else => Err(SandboxError::Lost { reason: "the fake is gone".into() }),
        }
    }

    async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError> {
        self.shared.record(FakeCall::Recover(command.seq));
        let known = self.commands.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&command.seq);
        match self.lost.borrow().clone() {
            Some(reason) => return Err(SandboxError::Lost { reason }),
            None if known => {}
            None => return Ok(Recovered::NeverStarted),
        }
        self.run(command).await.map(Recovered::Ended)
    }

    async fn kill(&self, seq: i64) -> Result<(), SandboxError> {
        self.shared.record(FakeCall::Kill(seq));
        if let Some(reason) = self.lost.borrow().clone() {
            return Err(SandboxError::Lost { reason });
        }
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(command) = commands.get(&seq).filter(|_| !self.shared.state().stubborn) {
            command.killed.notify_one();
        }
        Ok(())
    }

    async fn close(&self) {
        self.shared.record(FakeCall::Close);
    }
}

/// A fake sandbox as one caller of `create` has it.
struct Handle {
    sandbox: Arc<FakeSandbox>,
    is_kept: bool,
}

#[async_trait]
impl Sandbox for Handle {
    fn name(&self) -> &str {
        self.sandbox.name()
    }

    async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError> {
        self.sandbox.run(command).await
    }

    async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError> {
        self.sandbox.recover(command).await
    }

    fn is_kept(&self) -> bool {
        self.is_kept
    }

    async fn kill(&self, seq: i64) -> Result<(), SandboxError> {
        self.sandbox.kill(seq).await
    }

    async fn close(&self) {
        self.sandbox.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Access, ContainerLimits};

    fn request() -> SandboxRequest {
        SandboxRequest {
            session: SessionId::from("2026-01-28T20-54-48-3a029c12".to_owned()),
            subject: "default/shop".into(),
            project: "shop".into(),
            image: "agent:dev".into(),
            limits: ContainerLimits::default(),
            access: Access::default(),
            egress: Vec::new(),
            wall_limit: Duration::from_mins(1),
        }
    }

    fn command(seq: i64, text: &str) -> Command {
        Command { seq, command: text.into(), timeout: Duration::from_secs(1), live: None }
    }

    async fn sandbox(provider: &FakeProvider) -> Arc<dyn Sandbox> {
        let plan = provider.preflight(&request()).await.unwrap();
        provider.create(&plan, MemoryLedger::new()).await.unwrap()
    }

    #[tokio::test]
    async fn a_number_runs_once() {
        let provider = FakeProvider::new(|command| CommandResult::exited(0, &command.command, ""));
        let sandbox = sandbox(&provider).await;
        let first = sandbox.run(&command(3, "one")).await.unwrap();
        assert_eq!(first, sandbox.run(&command(3, "two")).await.unwrap());
        assert_eq!(provider.commands(), ["one"]);
    }

    #[tokio::test]
    async fn a_kill_ends_the_command() {
        let provider = FakeProvider::new(|_| CommandResult::exited(0, "", "")).with_delay(Duration::from_hours(1));
        let sandbox = sandbox(&provider).await;
        let asked = command(1, "sleep");
        let (result, killed) = tokio::join!(sandbox.run(&asked), async {
            tokio::task::yield_now().await;
            sandbox.kill(1).await
        });
        killed.unwrap();
        assert_eq!(result.unwrap().end, CommandEnd::Killed);
    }

    #[tokio::test]
    async fn a_removed_container_is_lost_to_its_commands() {
        let provider = FakeProvider::new(|_| CommandResult::exited(0, "", "")).with_delay(Duration::from_hours(1));
        let sandbox = sandbox(&provider).await;
        let asked = command(1, "sleep");
        let session = request().session;
        let (result, removed) = tokio::join!(sandbox.run(&asked), provider.remove(&session));
        removed.unwrap();
        assert!(matches!(result, Err(SandboxError::Lost { .. })), "{result:?}");
        assert!(provider.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn fails_as_it_is_told() {
        let provider = FakeProvider::new(|_| CommandResult::exited(0, "", ""));
        let plan = provider.preflight(&request()).await.unwrap();
        let gone = SandboxError::EngineUnavailable { reason: "no socket".into() };
        provider.fail_create(Some(gone.clone()));
        assert_eq!(provider.create(&plan, MemoryLedger::new()).await.err(), Some(gone));
        provider.fail_create(None);
        assert!(provider.create(&plan, MemoryLedger::new()).await.is_ok());
    }
}
