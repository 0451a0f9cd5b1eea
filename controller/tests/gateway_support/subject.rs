//! A throwaway project on the real engine, a gateway to it, and somebody who plays the controller.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use controller::audit::entry::{Change, ChangeResult};
use controller::gateway::protocol::{FromController, FromGateway, VERSION};
use controller::supervisor::frames::{codec, decode, encode};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_util::codec::Framed;

const IMAGE: &str = "debian:trixie-slim";

/// Runs Docker's client against the bare engine; a failure is the test's.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("these tests need Docker's client (`docker`)");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A compose-like project `NAME` with a container, a network and a volume, and a foreign container.
pub struct Subject {
    pub name: String,
}

impl Subject {
    pub fn up() -> Self {
        let name = format!("gwt{:08x}", rand::random::<u32>());
        let subject = Self { name };
        let label = format!("com.docker.compose.project={}", subject.name);
        for network in ["front", "back"] {
            docker(&["network", "create", "--label", &label, &subject.named(network)]);
        }
        docker(&["volume", "create", "--label", &label, &subject.named("data")]);
        let volume = format!("{}:/data", subject.named("data"));
        let script = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done";
        let web = ["sh", "-c", script];
        let front = subject.named("front");
        let mut run = vec!["run", "-di", "--init", "--label", &label, "--network", &front, "-v", &volume];
        let (service, name) = ("com.docker.compose.service=web", subject.web());
        run.extend(["--label", service, "--name", &name, IMAGE]);
        run.extend(web);
        docker(&run);
        docker(&["run", "-d", "--init", "--name", &subject.foreign(), IMAGE, "sleep", "600"]);
        subject
    }

    pub fn named(&self, what: &str) -> String {
        format!("{}_{what}", self.name)
    }

    pub fn web(&self) -> String {
        format!("{}-web-1", self.name)
    }

    /// One more container of the project, made with these options by `run` or `create`.
    pub fn also(&self, what: &str, made: &[&str], options: &[&str]) -> String {
        let (name, label) = (format!("{}-{what}-1", self.name), format!("com.docker.compose.project={}", self.name));
        let mut run = made.to_vec();
        run.extend(["--init", "--label", &label, "--name", &name]);
        run.extend(options);
        run.extend([IMAGE, "sleep", "600"]);
        docker(&run);
        name
    }

    pub fn foreign(&self) -> String {
        format!("{}x-foreign-1", self.name)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let quietly = |arguments: &[&str]| Command::new("docker").args(arguments).output();
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let list = quietly(&["ps", "-aq", "--filter", &filter]).map(|output| output.stdout).unwrap_or_default();
        for id in String::from_utf8_lossy(&list).lines().chain([self.foreign().as_str()]) {
            let _ = quietly(&["rm", "-fv", id]);
        }
        let _ = quietly(&["volume", "rm", "-f", &self.named("data")]);
        for network in ["front", "back"] {
            let _ = quietly(&["network", "rm", &self.named(network)]);
        }
    }
}

/// A project that compose itself made.
pub struct Composed {
    pub name: String,
    dir: tempfile::TempDir,
}

impl Composed {
    pub fn up() -> Self {
        let project = Self { name: format!("gwt{:08x}", rand::random::<u32>()), dir: tempfile::tempdir().unwrap() };
        let services = "services:
  web:
    image: debian:trixie-slim
    init: true
    command: [sh, -c, 'while true; do echo tick; sleep 0.2; done']
    environment: {MODE: shop}
    ports: ['127.0.0.1::80']
    volumes: ['data:/data']
    depends_on: [store]
    healthcheck: {test: [CMD, 'true'], interval: 5s}
    restart: unless-stopped
  store:
    image: debian:trixie-slim
    init: true
    command: sleep 600
    networks: {default: {aliases: [database]}}
volumes: {data: {}}
";
        std::fs::write(project.file(), format!("name: {}\n{services}", project.name)).unwrap();
        docker(&["compose", "-f", &project.file(), "up", "-d"]);
        project
    }

    pub fn file(&self) -> String {
        self.dir.path().join("compose.yaml").display().to_string()
    }
}

impl Drop for Composed {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["compose", "-f", &self.file(), "down", "-v", "-t", "0"]).output();
    }
}

/// What the gateway said, as far as the ledger is concerned.
#[derive(Default)]
pub struct Trail {
    pub begun: Vec<(u64, Change)>,
    pub done: Vec<(u64, ChangeResult)>,
}

/// A gateway process, and Docker's client through it.
pub struct Gateway {
    process: Child,
    dir: tempfile::TempDir,
    pub trail: Arc<Mutex<Trail>>,
}

impl Gateway {
    /// Starts one; `audit` says whether somebody answers its changes.
    pub fn start(policy: &str, audit: bool, held_ms: u64) -> Self {
        Self::start_with(policy, audit, held_ms, &[])
    }

    /// Starts one with further options.
    pub fn start_with(policy: &str, audit: bool, held_ms: u64, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["gateway", "--session", "test", "--policy", policy, "--wall-limit", "600"])
            .args(["--held-ms", &held_ms.to_string()])
            .args(options)
            .arg("--socket")
            .arg(dir.path().join("docker.sock"))
            .arg("--control")
            .arg(dir.path().join("gateway.sock"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Self { process, dir, trail: Arc::default() };
        let since = Instant::now();
        while !gateway.socket().exists() {
            assert!(since.elapsed() < Duration::from_secs(20), "the gateway does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        if audit {
            let (control, trail) = (gateway.dir.path().join("gateway.sock"), gateway.trail.clone());
            tokio::spawn(async move { play_controller(&control, trail).await });
        }
        gateway
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    pub fn control(&self) -> PathBuf {
        self.dir.path().join("gateway.sock")
    }

    /// Docker's client through the gateway.
    pub fn client(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", "docker", "-H"]).arg(format!("unix://{}", self.socket().display()));
        command
    }

    pub fn try_docker(&self, arguments: &[&str]) -> Output {
        self.client().args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What the client prints; a failure is the test's.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.try_docker(arguments);
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What the client complains about; a success is the test's failure.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.try_docker(arguments);
        assert!(!output.status.success(), "docker {arguments:?} was possible");
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }

    /// The result of the last change with this action, once it is there.
    pub async fn result(&self, action: &str) -> (Change, ChangeResult) {
        for _ in 0..500 {
            {
                let trail = self.trail.lock().unwrap();
                let begun = trail.begun.iter().rev().find(|(_, change)| change.action == action);
                let done = begun.and_then(|(id, _)| trail.done.iter().find(|(done, _)| done == id));
                if let (Some((_, change)), Some((_, result))) = (begun, done) {
                    return (change.clone(), result.clone());
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no result of {action} came");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A control stream, greeted.
pub async fn control(socket: &Path, epoch: u64) -> Framed<UnixStream, tokio_util::codec::LengthDelimitedCodec> {
    let mut stream = Framed::new(UnixStream::connect(socket).await.unwrap(), codec());
    say(&mut stream, &FromController::Hello { version: VERSION, session: "test".into(), epoch }).await;
    stream
}

pub async fn say(stream: &mut Framed<UnixStream, tokio_util::codec::LengthDelimitedCodec>, frame: &FromController) {
    stream.send(encode(frame).unwrap()).await.unwrap();
}

pub async fn hear(stream: &mut Framed<UnixStream, tokio_util::codec::LengthDelimitedCodec>) -> Option<FromGateway> {
    let frame = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("nothing was said");
    frame.map(|frame| decode(&frame.unwrap()).unwrap())
}

/// Commits whatever begins and notes whatever is done.
async fn play_controller(socket: &Path, trail: Arc<Mutex<Trail>>) {
    let mut stream = control(socket, 1).await;
    while let Some(Ok(frame)) = stream.next().await {
        let answer = match decode(&frame).unwrap() {
            FromGateway::Begin { id, change } => {
                trail.lock().unwrap().begun.push((id, *change));
                FromController::Committed { id, epoch: 1 }
            }
            FromGateway::Done { id, result } => {
                trail.lock().unwrap().done.push((id, *result));
                FromController::Noted { id }
            }
            _ => continue,
        };
        say(&mut stream, &answer).await;
    }
}
