//! Both ends of the gateway's stream, on a real engine: nothing changes before its row, whatever breaks.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "sandbox_support/engine.rs"]
#[allow(dead_code)] // this file needs a part of it
mod engine;

use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller::audit::entry::{Change, ChangeOutcome, ChangeResult};
use controller::gateway::protocol::{FromController, VERSION};
use controller::sandbox::Ledger;
use controller::sandbox::changes::Changes;
use controller::sandbox::dial::{Condition, Dial, Pipe, UnixDial};
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::stream::{Identity, Patience};
use controller::supervisor::frames::encode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};

/// A gateway's process on this machine, for a project of one container.
struct Rig {
    _project: engine::Project,
    container: String,
    process: Child,
    directory: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Rig {
    fn start(held: Duration) -> Self {
        let project = engine::Project::up();
        let container = project.container();
        let directory = tempfile::tempdir().unwrap();
        let policy = serde_json::json!({"project": project.name}).to_string();
        let process = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["gateway", "--session", "s", "--policy", &policy, "--wall-limit", "600", "--held-ms"])
            .arg(held.as_millis().to_string())
            .arg("--socket")
            .arg(directory.path().join("docker.sock"))
            .arg("--control")
            .arg(directory.path().join("control.sock"))
            .spawn()
            .unwrap();
        let rig = Self { _project: project, container, process, directory };
        for _ in 0..500 {
            if rig.socket().exists() && rig.control().exists() {
                return rig;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the gateway made no sockets");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn control(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    async fn connect(&self, dial: Arc<dyn Dial>, ledger: Arc<dyn Ledger>) -> Changes {
        let identity = Identity { session: "s".into(), epoch: 1 };
        Changes::connect(dial, identity, Patience::default(), ledger).await.unwrap()
    }

    /// The real CLI through the gateway.
    fn docker(&self, arguments: &[&str]) -> tokio::task::JoinHandle<Output> {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    }

    /// When the container was last started.
    fn started_at(&self) -> String {
        engine::docker(&["inspect", "--format", "{{.State.StartedAt}}", &self.container])
    }
}

fn refused(output: &Output, with: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(with), "{output:?}");
}

/// Takes changes to the memory ledger only when it is let.
struct GatedLedger {
    asked: Semaphore,
    gate: Semaphore,
    inner: Arc<MemoryLedger>,
}

impl GatedLedger {
    fn new() -> Arc<Self> {
        Arc::new(Self { asked: Semaphore::new(0), gate: Semaphore::new(0), inner: MemoryLedger::new() })
    }
}

#[async_trait]
impl Ledger for GatedLedger {
    async fn begin(&self, change: &Change) -> Result<i64, String> {
        self.asked.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.inner.begin(change).await
    }

    async fn complete(&self, begun: i64, result: &ChangeResult) -> Result<(), String> {
        self.inner.complete(begun, result).await
    }
}

/// A way to the gateway that can be cut.
struct CutDial {
    inner: UnixDial,
    cut: watch::Sender<u32>,
}

#[async_trait]
impl Dial for CutDial {
    async fn dial(&self) -> Result<Pipe, String> {
        let mut pipe = self.inner.dial().await?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (read, write) = tokio::io::split(ours);
        let mut cut = self.cut.subscribe();
        cut.mark_unchanged();
        tokio::spawn(async move {
            let (mut to_us, mut from_us) = {
                let (read, write) = tokio::io::split(theirs);
                (write, read)
            };
            tokio::select! {
                _ = tokio::io::copy(&mut pipe.read, &mut to_us) => {}
                _ = tokio::io::copy(&mut from_us, &mut pipe.write) => {}
                _ = cut.changed() => {}
            }
        });
        Ok(Pipe { read: Box::new(read), write: Box::new(write), aside: controller::sandbox::dial::Aside::default() })
    }

    async fn look(&self) -> Condition {
        self.inner.look().await
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_its_row_and_is_followed_by_its_end() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = GatedLedger::new();
    let changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    let before = rig.started_at();
    let call = rig.docker(&["restart", "--time", "0", "victim-of-nobody"]);
    refused(&call.await.unwrap(), "No such container");
    let call = rig.docker(&["restart", "--time", "0", &rig.container]);
    ledger.asked.acquire().await.unwrap().forget();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.started_at(), before, "not before its row");
    ledger.gate.add_permits(1);
    let output = call.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_ne!(rig.started_at(), before);
    until("the end is on record", || ledger.inner.completed().len() == 1).await;
    let begun = &ledger.inner.begun()[0];
    assert_eq!((begun.action.as_str(), begun.target.kind.as_str()), ("container.restart", "container"));
    assert!(begun.summary.starts_with("docker restart"), "{}", begun.summary);
    assert_eq!(ledger.inner.completed()[0].1.outcome, ChangeOutcome::Succeeded { status: 204 });
    changes.close().await;
    refused(&rig.docker(&["restart", &rig.container]).await.unwrap(), "session");
    assert_eq!(ledger.inner.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_refuses_the_change() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = MemoryLedger::new();
    let _changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    let before = rig.started_at();
    ledger.refuse(Some("the audit store is unavailable: nobody there"));
    for arguments in
        [vec!["restart", &rig.container], vec!["exec", &rig.container, "true"], vec!["rm", "-f", &rig.container]]
    {
        let output = rig.docker(&arguments).await.unwrap();
        refused(&output, "audit unavailable");
        if arguments[0] == "exec" {
            assert_eq!(output.status.code(), Some(126), "{output:?}");
        }
    }
    assert_eq!(rig.started_at(), before);
    ledger.refuse(None);
    assert!(rig.docker(&["exec", &rig.container, "true"]).await.unwrap().status.success());
    assert_eq!(ledger.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_killed_before_the_row_lets_nothing_happen() {
    let rig = Rig::start(Duration::from_secs(3));
    let ledger = GatedLedger::new();
    let changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    let before = rig.started_at();
    let call = rig.docker(&["restart", "--time", "0", &rig.container]);
    ledger.asked.acquire().await.unwrap().forget();
    // Dead as after kill -9: nobody answers, nobody says goodbye.
    drop(changes);
    refused(&call.await.unwrap(), "audit unavailable");
    assert_eq!(rig.started_at(), before);
    // And without any controller at all.
    refused(&rig.docker(&["kill", &rig.container]).await.unwrap(), "audit unavailable");
    // The next controller can go on.
    let ledger = MemoryLedger::new();
    let _changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    assert!(rig.docker(&["restart", "--time", "0", &rig.container]).await.unwrap().status.success());
    assert_ne!(rig.started_at(), before);
    assert_eq!(ledger.begun().len(), 1, "what was given up is not done later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_repeats_nothing_and_loses_nothing() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = GatedLedger::new();
    let dial = Arc::new(CutDial { inner: UnixDial(rig.control()), cut: watch::Sender::new(0) });
    let _changes = rig.connect(dial.clone(), ledger.clone()).await;
    // Between the question and the row.
    let call = rig.docker(&["restart", "--time", "0", &rig.container]);
    ledger.asked.acquire().await.unwrap().forget();
    dial.cut.send_modify(|cuts| *cuts += 1);
    ledger.gate.add_permits(1);
    let output = call.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    until("the end is on record", || ledger.inner.completed().len() == 1).await;
    // While it happens.
    ledger.gate.add_permits(1);
    let call = rig.docker(&["exec", &rig.container, "sh", "-c", "sleep 2; exit 7"]);
    until("it is begun", || ledger.inner.begun().len() == 2).await;
    dial.cut.send_modify(|cuts| *cuts += 1);
    assert_eq!(call.await.unwrap().status.code(), Some(7));
    until("the end is on record", || ledger.inner.completed().len() == 2).await;
    let (seq, result) = ledger.inner.completed()[1].clone();
    assert_eq!((seq, result.details["exitCode"].as_i64()), (2, Some(7)), "{result:?}");
    assert_eq!(ledger.inner.begun().len(), 2);
}

/// A stream that was given up because nothing was heard of it in time may come through all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_stream_of_our_own_takes_over_for_a_moment_only() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = MemoryLedger::new();
    let _changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    for round in 1..4 {
        let hello = FromController::Hello { version: VERSION, session: "s".into(), epoch: 1 };
        let mut late = UnixStream::connect(rig.control()).await.unwrap();
        let frame = encode(&hello).unwrap();
        late.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        late.write_all(&frame).await.unwrap();
        // It is heard, and nobody reads what it is told.
        late.readable().await.unwrap();
        let output = rig.docker(&["exec", &rig.container, "true"]).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        until("the end is on record", || ledger.completed().len() == round).await;
    }
    assert_eq!(ledger.begun().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_controller_is_told_what_came_of_a_change_that_it_did_not_begin() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = MemoryLedger::new();
    let first = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    let call = rig.docker(&["exec", &rig.container, "sh", "-c", "sleep 2; exit 7"]);
    until("it is begun", || ledger.begun().len() == 1).await;
    // Dead as after kill -9; its rows are what is left of it.
    drop(first);
    assert_eq!(call.await.unwrap().status.code(), Some(7));
    assert!(ledger.completed().is_empty());
    let _next = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    until("the end is on record", || ledger.completed().len() == 1).await;
    let (seq, result) = ledger.completed()[0].clone();
    assert_eq!((seq, result.details["exitCode"].as_i64()), (1, Some(7)), "{result:?}");
    assert_eq!(ledger.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_ends_what_is_under_way() {
    let rig = Rig::start(Duration::from_secs(30));
    let ledger = MemoryLedger::new();
    let changes = rig.connect(Arc::new(UnixDial(rig.control())), ledger.clone()).await;
    let call = rig.docker(&["exec", &rig.container, "sleep", "300"]);
    until("it is begun", || ledger.begun().len() == 1).await;
    changes.close().await;
    let ended = ledger.completed();
    assert_eq!(ended.len(), 1, "its end is on record when the session is closed");
    assert!(matches!(ended[0].1.outcome, ChangeOutcome::Unknown { .. } | ChangeOutcome::Succeeded { .. }), "{ended:?}");
    tokio::time::timeout(Duration::from_secs(20), call).await.expect("the client is let go").unwrap();
}
