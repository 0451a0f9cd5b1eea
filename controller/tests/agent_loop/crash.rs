//! A controller that dies at a chosen moment, and what must hold of the session that another one goes on with.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use controller::agent::SessionEnd;
use controller::agent::verify::{Verdict, Verification, Verifier};
use controller::audit::entry::{VerdictWord, VerificationEntry};
use controller::audit::{
    AuditError, AuditStore, CallOutcome, ControlEvent, Entry, EntryBody, EntryKind, Hash, LinkHead, NewSession,
    SessionRecord, SessionState, SignedEntry, StoredEntry,
};
use controller::halt::Halt;
use controller::model::fake::{FakeModel, Step};
use controller::model::{Model, ModelError, ModelMessage, ModelRequest, OnEvent};
use controller::sandbox::fake::{FakeCall, FakeProvider};
use controller::sandbox::{Command, CommandResult};
use controller::session::SessionId;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::rig::Rig;

/// When the controller dies. Everything is counted from 1, from the moment on that the controller begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Just before a row is committed.
    BeforeRow(usize),
    /// Just after it, before anybody hears of that.
    AfterRow(usize),
    /// While a command runs, which goes on.
    InCommand(usize),
    /// While the model answers.
    InCall(usize),
    /// While it is looked at whether the fault is gone.
    InCheck(usize),
    /// Just before the session's row stands.
    BeforeSession,
    /// Just after it.
    AfterSession,
    /// Just before the session's row says that it ended.
    BeforeEnd,
    /// Just after it.
    AfterEnd,
}

/// What dies at a moment: the store, the model and the sandbox know about it.
#[derive(Default)]
pub(crate) struct Fuse {
    moment: Option<Moment>,
    rows: usize,
    commands: usize,
    calls: usize,
    checks: usize,
    dead: CancellationToken,
}

impl Fuse {
    pub(crate) fn burn(fuse: &Mutex<Self>, moment: Option<Moment>) -> CancellationToken {
        let dead = CancellationToken::new();
        *fuse.lock().unwrap() = Self { moment, dead: dead.clone(), ..Self::default() };
        dead
    }

    /// A command runs.
    pub(crate) fn command(&mut self) {
        self.commands += 1;
        let now = Moment::InCommand(self.commands);
        self.is_now(now);
    }

    /// Whether it is now. From then on nothing of the dead controller goes on.
    fn is_now(&mut self, now: Moment) -> bool {
        if self.moment == Some(now) {
            self.dead.cancel();
        }
        self.dead.is_cancelled()
    }
}

/// A world that outlives controllers: a store, a container, a model with a script by turns.
pub(crate) struct World {
    pub(crate) rig: Rig,
    pub(crate) fuse: Arc<Mutex<Fuse>>,
    script: Vec<Step>,
    /// What led to each turn.
    requests: Mutex<Vec<ModelRequest>>,
    /// What was asked and answered too late, with the turn that was asked for.
    in_vain: Mutex<Vec<(usize, ModelRequest)>>,
}

impl World {
    pub(crate) fn new(script: Vec<Step>, change: impl FnOnce(&mut Rig)) -> Self {
        let fuse = Arc::new(Mutex::new(Fuse::default()));
        let mut rig = Rig::with({
            let fuse = fuse.clone();
            move |command: &Command| {
                fuse.lock().unwrap().command();
                CommandResult::exited(0, &format!("{}\n", command.command), "")
            }
        });
        change(&mut rig);
        rig.verifier =
            Arc::new(DyingVerifier { inner: rig.verifier.clone(), provider: rig.provider.clone(), fuse: fuse.clone() });
        Self { rig, fuse, script, requests: Mutex::default(), in_vain: Mutex::default() }
    }

    /// One controller, which may die at `moment`. `None` if it does.
    pub(crate) async fn controller(&self, moment: Option<Moment>) -> Option<SessionEnd> {
        let dead = Fuse::burn(&self.fuse, moment);
        let inner: Arc<dyn AuditStore> = Arc::new(self.rig.store.clone());
        let store: Arc<dyn AuditStore> = Arc::new(DyingStore { inner, fuse: self.fuse.clone() });
        // One answer a turn: those that are on record were given.
        let turns = self.turns();
        let inner = FakeModel::new(self.script.iter().skip(turns).cloned());
        let model = Arc::new(DyingModel { inner, fuse: self.fuse.clone() });
        let asked: Arc<dyn Model> = model.clone();
        let end = tokio::select! {
            biased;
            () = dead.cancelled() => None,
            (end, _) = self.rig.go_on(store, asked) => Some(end),
        };
        let mut asked = model.inner.requests();
        if end.is_none() {
            let in_vain = asked.split_off(asked.len().min(self.turns() - turns));
            self.in_vain.lock().unwrap().extend(in_vain.into_iter().map(|request| (self.turns(), request)));
        }
        self.requests.lock().unwrap().extend(asked);
        // What was under way in the container goes on without a controller.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        end
    }

    /// How many answers, or final failures, of the model are on record.
    fn turns(&self) -> usize {
        let is_answer = |body: &EntryBody| match body {
            EntryBody::Turn(_) => true,
            EntryBody::Control(control) => control.details.get("end").is_some(),
            _ => false,
        };
        self.rig.bodies().iter().filter(|body| is_answer(body)).count()
    }

    /// What led to each turn, with the numbers that entries would have without those that say that a controller
    /// went on; and that what was asked in vain was asked again, byte for byte.
    pub(crate) fn asked(&self, what: &str) -> Vec<(u32, Value)> {
        let (requests, numbers) = (self.requests.lock().unwrap(), self.numbers());
        for (turn, request) in self.in_vain.lock().unwrap().iter() {
            assert_eq!(requests.get(*turn), Some(request), "{what}: turn {turn} was asked for in other words");
        }
        let whole = |request: &ModelRequest| {
            let rest = json!([request.model, request.system, request.tools, request.thinking, request.messages]);
            (request.max_tokens, renumbered(&rest, &numbers))
        };
        requests.iter().map(whole).collect()
    }

    /// The entries without those that say that a controller went on, and without what time alone decides; with the
    /// numbers that they would have without them.
    pub(crate) fn story(&self) -> Vec<Value> {
        let (mut story, mut resumed, mut seqs) = (Vec::new(), 0, vec![0]);
        for (seq, body) in (1_i64..).zip(self.rig.bodies()) {
            if matches!(&body, EntryBody::Control(control) if control.event == ControlEvent::Resumed) {
                resumed += 1;
                seqs.push(seq - resumed);
                continue;
            }
            seqs.push(seq - resumed);
            let mut body = serde_json::to_value(body).unwrap();
            body["data"].as_object_mut().unwrap().remove("durationMs");
            if let Some(call) = body["data"]["call"].as_i64() {
                body["data"]["call"] = seqs[usize::try_from(call).unwrap()].into();
            }
            story.push(renumbered(&body, &seqs));
        }
        story
    }

    /// The numbers that entries would have without those that say that a controller went on.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        let mut resumed = 0;
        let mut numbers = vec![0];
        for (seq, body) in (1_i64..).zip(self.rig.bodies()) {
            resumed +=
                i64::from(matches!(&body, EntryBody::Control(control) if control.event == ControlEvent::Resumed));
            numbers.push(seq - resumed);
        }
        numbers
    }

    /// Commands that were put on record and never sent, because the controller died in between: their ids.
    pub(crate) fn never_sent(&self) -> Vec<String> {
        let never = |body| match body {
            EntryBody::ToolResult(result) => match result.outcome {
                CallOutcome::NotStarted { reason } if reason.contains("before it was sent") => Some(result.tool_use_id),
                _ => None,
            },
            _ => None,
        };
        self.rig.bodies().into_iter().filter_map(never).collect()
    }

    /// No command ran twice, and none without its row.
    pub(crate) fn check_commands(&self, what: &str) {
        let bodies = self.rig.bodies();
        let mut started = Vec::new();
        for call in self.rig.provider.calls() {
            let FakeCall::Run(seq, text) = call else { continue };
            assert!(!started.contains(&seq), "{what}: command {seq} ran twice");
            started.push(seq);
            let row = usize::try_from(seq - 1).ok().and_then(|at| bodies.get(at));
            assert!(
                matches!(row, Some(EntryBody::ToolCall(row)) if row.command.as_deref() == Some(&text)),
                "{what}: command {seq} ran without its row"
            );
        }
        for (seq, body) in (1_i64..).zip(&bodies) {
            if let EntryBody::ToolResult(result) = body
                && matches!(result.outcome, CallOutcome::Exited { .. })
            {
                assert!(started.contains(&result.call), "{what}: result {seq} is of a command that never ran");
            }
        }
    }
}

/// What holds of the checks of every session: they are counted, none begins while one is open, none ends without its
/// beginning, and `Resolved` is what one said that was about the last word of the agent.
pub(crate) fn check_proof(bodies: &[EntryBody], what: &str) {
    let (mut begun, mut open, mut proven) = (0, None, false);
    for body in bodies {
        match body {
            EntryBody::Verification(VerificationEntry::Begun(check)) => {
                assert_eq!(open, None, "{what}: two checks at once");
                begun += 1;
                assert_eq!(check.attempt, begun, "{what}");
                open = Some(check.attempt);
            }
            EntryBody::Verification(VerificationEntry::Ended(check)) => {
                assert_eq!(open.take(), Some(check.attempt), "{what}: an end without its beginning");
                proven = check.verdict == VerdictWord::Holds;
            }
            EntryBody::Turn(_) => {
                assert_eq!(open, None, "{what}: the model was asked while it was looked at");
                proven = false;
            }
            EntryBody::Control(control) if control.event == ControlEvent::Sealed => {
                let resolved = control.details["phase"] == "Resolved";
                assert_eq!(resolved, proven, "{what}: {control:?}");
            }
            _ => {}
        }
    }
}

/// `[entry 12]` with the number that the entry would have.
pub(crate) fn renumbered(value: &Value, numbers: &[i64]) -> Value {
    match value {
        Value::String(text) => {
            let Some(rest) = text.strip_prefix("[entry ") else { return value.clone() };
            let Some((number, rest)) = rest.split_once(']') else { return value.clone() };
            let number: usize = number.parse().unwrap();
            json!(format!("[entry {}]{rest}", numbers[number]))
        }
        Value::Array(all) => all.iter().map(|value| renumbered(value, numbers)).collect(),
        Value::Object(all) => Value::Object(all.iter().map(|(k, v)| (k.clone(), renumbered(v, numbers))).collect()),
        other => other.clone(),
    }
}

pub(crate) struct DyingStore {
    pub(crate) inner: Arc<dyn AuditStore>,
    pub(crate) fuse: Arc<Mutex<Fuse>>,
}

impl DyingStore {
    async fn die_if(&self, now: Moment) {
        let dies = self.fuse.lock().unwrap().is_now(now);
        if dies {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl AuditStore for DyingStore {
    async fn ping(&self) -> Result<(), AuditError> {
        self.inner.ping().await
    }

    async fn begin_session(&self, new: &NewSession) -> Result<SessionRecord, AuditError> {
        self.die_if(Moment::BeforeSession).await;
        let record = self.inner.begin_session(new).await?;
        self.die_if(Moment::AfterSession).await;
        Ok(record)
    }

    async fn find_session(&self, uid: &str, attempt: i64) -> Result<Option<SessionRecord>, AuditError> {
        self.inner.find_session(uid, attempt).await
    }

    fn sign(
        &self,
        session: &SessionId,
        seq: i64,
        prev: Hash,
        at: Timestamp,
        body: &EntryBody,
    ) -> Result<SignedEntry, AuditError> {
        self.inner.sign(session, seq, prev, at, body)
    }

    async fn commit(&self, entry: &SignedEntry) -> Result<(), AuditError> {
        let row = {
            let mut fuse = self.fuse.lock().unwrap();
            fuse.rows += 1;
            fuse.rows
        };
        self.die_if(Moment::BeforeRow(row)).await;
        self.inner.commit(entry).await?;
        self.die_if(Moment::AfterRow(row)).await;
        Ok(())
    }

    async fn hash_before(&self, session: &SessionId, seq: i64) -> Result<Option<Hash>, AuditError> {
        self.inner.hash_before(session, seq).await
    }

    fn chain_head(&self) -> Option<LinkHead> {
        self.inner.chain_head()
    }

    async fn update_session(&self, session: &SessionId, state: &SessionState) -> Result<(), AuditError> {
        if state.ended_at.is_none() {
            return self.inner.update_session(session, state).await;
        }
        self.die_if(Moment::BeforeEnd).await;
        self.inner.update_session(session, state).await?;
        self.die_if(Moment::AfterEnd).await;
        Ok(())
    }

    async fn add_summary(&self, session: &SessionId, seq: i64, text: &str) -> Result<(), AuditError> {
        self.inner.add_summary(session, seq, text).await
    }

    async fn entries(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<Entry>, AuditError> {
        self.inner.entries(session, after, limit).await
    }

    async fn stored(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        self.inner.stored(session, after, limit).await
    }

    async fn running(&self) -> Result<Vec<SessionRecord>, AuditError> {
        self.inner.running().await
    }

    async fn last_of(&self, session: &SessionId, kinds: &[EntryKind], limit: i64) -> Result<Vec<Entry>, AuditError> {
        self.inner.last_of(session, kinds, limit).await
    }

    async fn record_halt(&self, halt: Option<&Halt>) -> Result<(), AuditError> {
        self.inner.record_halt(halt).await
    }
}

/// A verifier that knows when it dies, and sees that the container stands still while it looks.
struct DyingVerifier {
    inner: Arc<dyn Verifier>,
    provider: FakeProvider,
    fuse: Arc<Mutex<Fuse>>,
}

impl DyingVerifier {
    fn is_paused(&self) -> bool {
        let calls = self.provider.calls().into_iter();
        let mut set = calls.filter_map(|call| if let FakeCall::Pause(_, paused) = call { Some(paused) } else { None });
        set.next_back() == Some(true)
    }
}

#[async_trait]
impl Verifier for DyingVerifier {
    fn can_prove(&self) -> bool {
        self.inner.can_prove()
    }

    async fn verify(&self, request: &Verification) -> Verdict {
        assert!(self.is_paused(), "it is looked at while the container runs");
        let verdict = self.inner.verify(request).await;
        let dies = {
            let mut fuse = self.fuse.lock().unwrap();
            fuse.checks += 1;
            let now = Moment::InCheck(fuse.checks);
            fuse.is_now(now)
        };
        if dies {
            std::future::pending::<()>().await;
        }
        assert!(self.is_paused(), "the container went on while it was looked at");
        verdict
    }

    async fn healed(&self) {
        self.inner.healed().await;
    }
}

pub(crate) struct DyingModel {
    pub(crate) inner: FakeModel,
    pub(crate) fuse: Arc<Mutex<Fuse>>,
}

#[async_trait]
impl Model for DyingModel {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError> {
        let answer = self.inner.complete(request, on_event, cancel).await;
        let dies = {
            let mut fuse = self.fuse.lock().unwrap();
            fuse.calls += 1;
            let now = Moment::InCall(fuse.calls);
            fuse.is_now(now)
        };
        if dies {
            std::future::pending::<()>().await;
        }
        answer
    }
}
