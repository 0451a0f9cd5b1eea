//! Stops one session's container through the engine, whatever the session waits for.
//!
//! The order of a cancellation: the ledger takes no change any more, in this very moment; the supervisor gets a second
//! to end the command that runs, so that what it printed is kept; then the engine kills the container, and with it
//! what a command left in the background; then all that goes on record, and what is left is removed. Only the first
//! three have a limit in time, and none of them waits for the audit store.
//!
//! Two may want the container to stand still: a halt of the installation, and a check of the agent's word. It goes on
//! when neither does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::{Mutex, OnceCell, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::SessionId;
use super::ledger::SessionLedger;
use crate::agent::{Aftermath, Brake, StillRuns};
use crate::error::chain;
use crate::halt::Halt;
use crate::sandbox::{SandboxError, SandboxProvider};

/// How long a command may take to end by the supervisor's hand before the engine ends everything.
pub const GENTLE: Duration = Duration::from_millis(1200);
/// How long the engine is asked again if it does not kill.
const INSIST: Duration = Duration::from_secs(30);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(250);
/// How long the engine may take to say what still runs.
const ASK: Duration = Duration::from_secs(3);

/// Stops one session's container.
pub struct SessionBrake {
    sandboxes: Arc<dyn SandboxProvider>,
    session: SessionId,
    ledger: Arc<SessionLedger>,
    insist: Duration,
    ended: OnceCell<Aftermath>,
    /// Locked while the engine is asked, so that the last who asks has the last word.
    holds: Mutex<Holds>,
}

/// Who wants the container to stand still.
#[derive(Debug, Default)]
struct Holds {
    halted: bool,
    checked: bool,
}

impl SessionBrake {
    /// Of the session whose changes `ledger` has.
    #[must_use]
    pub fn new(sandboxes: Arc<dyn SandboxProvider>, session: SessionId, ledger: Arc<SessionLedger>) -> Arc<Self> {
        Arc::new(Self { sandboxes, session, ledger, insist: INSIST, ended: OnceCell::new(), holds: Mutex::default() })
    }

    /// Ends everything soon after `cancel`, wherever the session stands by then. Never returns otherwise.
    pub async fn watch(self: Arc<Self>, cancel: CancellationToken) {
        cancel.cancelled().await;
        sleep(GENTLE).await;
        self.end().await;
    }

    /// Freezes the container soon after a halt began, with all that a command left in the background, and lets it go
    /// on after it. Never returns.
    pub async fn follow(self: Arc<Self>, mut halt: watch::Receiver<Option<Halt>>) {
        // What was done last, if it is known that it was done.
        let mut frozen = Some(false);
        loop {
            let halted = halt.borrow_and_update().is_some();
            if halted && frozen == Some(false) {
                // The command that runs is ended first, so that what it printed is kept.
                tokio::select! {
                    () = sleep(GENTLE) => {}
                    _ = halt.changed() => continue,
                }
            }
            if Some(halted) != frozen {
                match self.set(|holds| holds.halted = halted).await {
                    Ok(()) => frozen = Some(halted),
                    Err(error) => {
                        tracing::warn!(session = %self.session, halted, error = chain(&error), "trying again");
                        frozen = None;
                        sleep(AGAIN).await;
                        continue;
                    }
                }
            }
            if halt.changed().await.is_err() {
                // The controller stops.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Freezes the container or lets it go on, as those want it who may. What is said stands also if the engine does
    /// not do it.
    async fn set(&self, change: impl FnOnce(&mut Holds)) -> Result<(), SandboxError> {
        let mut holds = self.holds.lock().await;
        change(&mut holds);
        self.sandboxes.pause(&self.session, holds.halted || holds.checked).await
    }

    /// SIGKILL, again and again while the engine is away: nobody has said that it happened.
    async fn insist(&self) -> Result<(), SandboxError> {
        let until = Instant::now() + self.insist;
        loop {
            match self.sandboxes.kill(&self.session).await {
                Err(SandboxError::EngineUnavailable { .. }) if Instant::now() < until => sleep(AGAIN).await,
                done => return done,
            }
        }
    }

    async fn still_runs(&self) -> Vec<StillRuns> {
        let look = |exec: super::execs::Exec| async move {
            match self.sandboxes.running_exec(&exec.id).await {
                Ok(None) => None,
                Ok(pid) => Some(StillRuns { pid, ..exec.runs }),
                // Not known: named without its number.
                Err(error) => {
                    tracing::debug!(session = %self.session, entry = exec.runs.entry, error = chain(&error), "an exec is not known");
                    Some(exec.runs)
                }
            }
        };
        let open = self.ledger.changes().open();
        match timeout(ASK, join_all(open.iter().cloned().map(look))).await {
            Ok(found) => found.into_iter().flatten().collect(),
            Err(_) => open.into_iter().map(|exec| exec.runs).collect(),
        }
    }
}

#[async_trait]
impl Brake for SessionBrake {
    async fn end(&self) -> Aftermath {
        let all = async {
            let trouble = self.insist().await.err().map(|error| {
                let error = chain(&error);
                tracing::warn!(session = %self.session, error, "a cancelled session's container may still run");
                format!("whether all of the container's processes ended is not known ({error})")
            });
            let still_runs = self.still_runs().await;
            let changes = self.ledger.changes();
            Aftermath { changes: changes.begun, last_changes: changes.lines(), still_runs, trouble }
        };
        self.ended.get_or_init(|| all).await.clone()
    }

    async fn kill(&self) -> Result<(), SandboxError> {
        self.sandboxes.kill(&self.session).await
    }

    async fn hold(&self, held: bool) -> Result<(), SandboxError> {
        let until = Instant::now() + self.insist;
        loop {
            match self.set(|holds| holds.checked = held).await {
                Err(SandboxError::EngineUnavailable { .. }) if Instant::now() < until => sleep(AGAIN).await,
                done => return done,
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;
    use crate::agent::Progress;
    use crate::audit::entry::{Change, ChangeTarget};
    use crate::audit::fake::FakeStore;
    use crate::audit::testing::samples::session;
    use crate::audit::{AuditStore as _, Recorder};
    use crate::halt::Halt;
    use crate::sandbox::fake::{FakeCall, FakeProvider};
    use crate::sandbox::{CommandResult, Ledger as _};
    use crate::session::ledger::Gate;

    struct Rig {
        store: FakeStore,
        provider: FakeProvider,
        session: SessionId,
        ledger: Arc<SessionLedger>,
        brake: Arc<SessionBrake>,
        cancel: CancellationToken,
        halt: watch::Sender<Option<Halt>>,
    }

    async fn rig() -> Rig {
        let store = FakeStore::new();
        let new = session("i", 1);
        let record = store.begin_session(&new).await.unwrap();
        let recorder = Arc::new(Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new()));
        let (cancel, halt) = (CancellationToken::new(), watch::Sender::new(None));
        let gate = Gate { cancel: cancel.clone(), halt: halt.subscribe() };
        let ledger = Arc::new(SessionLedger::new(
            recorder,
            watch::Sender::new(Progress::default()),
            gate,
            crate::redact::Redactor::of_tests(&new.id),
            std::collections::BTreeMap::new(),
            crate::session::execs::Changes::default(),
        ));
        let provider = FakeProvider::new(|_| CommandResult::exited(0, "", ""));
        let sandboxes = Arc::new(provider.clone());
        let brake = SessionBrake::new(sandboxes, new.id.clone(), ledger.clone());
        Rig { store, provider, session: new.id, ledger, brake, cancel, halt }
    }

    fn exec(id: &str) -> Change {
        let target = ChangeTarget { kind: "container".into(), id: "c".into(), name: "web".into(), service: None };
        Change {
            action: "container.exec".into(),
            target,
            summary: format!("docker exec -d web {id}"),
            argv: Vec::new(),
            call: json!({"method": "POST", "path": format!("/v1.41/exec/{id}/start")}),
            origin: None,
        }
    }

    #[tokio::test]
    async fn a_cancelled_session_is_killed_though_the_store_is_away_and_though_nobody_asks() {
        let rig = rig().await;
        rig.ledger.begin(&exec("aa")).await.unwrap();
        rig.ledger.begin(&exec("bb")).await.unwrap();
        rig.provider.set_exec("bb", 4711);
        rig.store.make_unavailable("no route to host");
        rig.cancel.cancel();
        let refused = rig.ledger.begin(&exec("cc")).await.unwrap_err();
        assert!(refused.contains("cancelled"), "{refused}");
        rig.brake.clone().watch(rig.cancel.clone()).await;
        let aftermath = rig.brake.end().await;
        let kills = rig.provider.calls().into_iter().filter(|call| *call == FakeCall::KillAll(rig.session.clone()));
        assert_eq!(kills.count(), 1, "once is enough");
        assert_eq!(aftermath.changes, 2);
        let runs: Vec<_> = aftermath.still_runs.iter().map(|runs| (runs.command.as_str(), runs.pid)).collect();
        assert_eq!(runs, [("docker exec -d web bb", Some(4711))]);
        assert_eq!(aftermath.trouble, None);
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_asked_again_and_then_it_is_said() {
        let rig = rig().await;
        rig.provider.fail_kill(Some(SandboxError::EngineUnavailable { reason: "gone".into() }));
        let Rig { provider, session, ledger, .. } = rig;
        let sandboxes = Arc::new(provider.clone());
        let insist = AGAIN * 4;
        let (ended, holds) = (OnceCell::new(), Mutex::default());
        let brake = SessionBrake { sandboxes, session, ledger, insist, ended, holds };
        let trouble = brake.end().await.trouble.unwrap();
        assert!(trouble.contains("not known") && trouble.contains("gone"), "{trouble}");
        assert!(provider.calls().len() > 2, "it was asked again and again");
    }

    #[tokio::test]
    async fn a_halt_closes_the_ledger_and_opens_it_again() {
        let rig = rig().await;
        rig.halt.send_replace(Some(Halt { reason: Some("wrong cluster".into()), ..Halt::default() }));
        let refused = rig.ledger.begin(&exec("aa")).await.unwrap_err();
        assert_eq!(refused, "the installation is halted: wrong cluster; nothing is changed until that ends");
        rig.halt.send_replace(None);
        rig.ledger.begin(&exec("aa")).await.unwrap();
    }

    #[tokio::test]
    async fn a_halt_freezes_the_container_until_it_is_over() {
        let rig = rig().await;
        let hold =
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(rig.brake.clone().follow(rig.halt.subscribe())));
        let frozen = |rig: &Rig| {
            let calls = rig.provider.calls().into_iter().filter_map(|call| match call {
                FakeCall::Pause(_, paused) => Some(paused),
                _ => None,
            });
            calls.collect::<Vec<_>>()
        };
        rig.halt.send_replace(Some(Halt::default()));
        tokio::time::sleep(GENTLE * 2).await;
        assert_eq!(frozen(&rig), [true]);
        rig.halt.send_replace(None);
        tokio::time::sleep(GENTLE * 2).await;
        assert_eq!(frozen(&rig), [true, false]);
        // A check of the agent's word holds it as well: neither lets go of the other's.
        rig.brake.hold(true).await.unwrap();
        rig.halt.send_replace(Some(Halt::default()));
        tokio::time::sleep(GENTLE * 2).await;
        rig.brake.hold(false).await.unwrap();
        assert_eq!(frozen(&rig), [true, false, true, true, true]);
        rig.brake.hold(true).await.unwrap();
        rig.halt.send_replace(None);
        tokio::time::sleep(GENTLE * 2).await;
        assert_eq!(frozen(&rig)[5..], [true, true]);
        rig.brake.hold(false).await.unwrap();
        assert_eq!(frozen(&rig).last(), Some(&false));
        // One that is over before its container froze.
        rig.halt.send_replace(Some(Halt::default()));
        tokio::time::sleep(GENTLE / 2).await;
        rig.halt.send_replace(None);
        tokio::time::sleep(GENTLE * 4).await;
        assert_eq!(frozen(&rig).last(), Some(&false));
        drop(hold);
    }
}
