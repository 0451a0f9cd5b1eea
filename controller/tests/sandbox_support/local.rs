//! A supervisor as a process of this machine, and ways to talk to it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use controller::sandbox::dial::{Dial, UnixDial};
use controller::sandbox::stream::{Identity, Patience, Stream};
use controller::sandbox::{Command, CommandResult, SandboxError};
use controller::session::SessionId;
use controller::supervisor::frames::{codec, decode, encode};
use controller::supervisor::protocol::{Reply, Request, VERSION};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// No test waits longer for anything; a slow machine is no failure before.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A user that owns nothing here, if this is root; else whoever this is.
pub fn spare_uid() -> u32 {
    if rustix::process::geteuid().is_root() { 54321 } else { rustix::process::geteuid().as_raw() }
}

pub struct Local {
    pub session: String,
    child: Child,
    dir: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Local {
    pub async fn start(extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let uid = spare_uid();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&work, Some(uid), Some(uid)).unwrap();
        }
        let at = |name: &str| dir.path().join(name).display().to_string();
        // The wall limit is for a test that is killed before it can end its supervisor.
        let session = SessionId::new(jiff::Timestamp::now()).to_string();
        let fixed = ["supervise", "--session", &session, "--user", "agent"];
        let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
        for (flag, value) in [
            ("--socket", at("run/supervisor.sock")),
            ("--spool", at("spool")),
            ("--workdir", at("work")),
            ("--home", at("work")),
            ("--uid", uid.to_string()),
            ("--gid", uid.to_string()),
            ("--wall-limit", "600".into()),
        ] {
            if !extra.contains(&flag) {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        arguments.extend(extra.iter().map(|&text| text.to_owned()));
        let local = Self { child: spawn(&arguments), dir, arguments, session };
        local.ready().await;
        local
    }

    /// Kills it without a warning and starts another on the same directories.
    pub async fn start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.arguments);
        self.ready().await;
    }

    async fn ready(&self) {
        until("the supervisor's socket", async || UnixStream::connect(self.socket()).await.is_ok()).await;
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/supervisor.sock")
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The most memory that it ever had, in KiB.
    pub fn high_water(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub async fn stream(&self) -> Stream {
        stream(&self.session, Arc::new(UnixDial(self.socket()))).await.unwrap()
    }

    pub async fn raw(&self) -> Raw {
        Raw(Framed::new(UnixStream::connect(self.socket()).await.unwrap(), codec()))
    }

    /// A raw stream after the hellos.
    pub async fn greeted(&self, epoch: u64) -> Raw {
        let mut raw = self.raw().await;
        raw.send(&hello(&self.session, epoch)).await;
        assert!(matches!(raw.next().await, Some(Reply::Hello { version: VERSION, .. })));
        raw
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // SIGTERM, so that it takes its commands with it.
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[String]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_operator"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

pub fn hello(session: &str, epoch: u64) -> Request {
    Request::Hello { version: VERSION, session: session.into(), epoch }
}

/// Frames without the client's manners.
pub struct Raw(pub Framed<UnixStream, LengthDelimitedCodec>);

impl Raw {
    pub async fn send(&mut self, request: &Request) {
        self.0.send(encode(request).unwrap()).await.unwrap();
    }

    /// Sends on a stream that may have been ended at its other end.
    pub async fn try_send(&mut self, request: &Request) {
        let _ = self.0.send(encode(request).unwrap()).await;
    }

    /// The next frame; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<Reply> {
        let frame = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("no frame came")?;
        Some(decode(&frame.ok()?).unwrap())
    }

    /// The next frame of a client, for those who play the supervisor.
    pub async fn next_request(&mut self) -> Option<Request> {
        decode(&self.0.next().await?.ok()?).ok()
    }

    /// The next frame that is no output.
    pub async fn next_but_output(&mut self) -> Option<Reply> {
        loop {
            match self.next().await {
                Some(Reply::Output { .. }) => {}
                other => return other,
            }
        }
    }
}

pub async fn stream(session: &str, dial: Arc<dyn Dial>) -> Result<Stream, SandboxError> {
    let patience = Patience {
        hello: Duration::from_secs(30),
        reattach: Duration::from_secs(30),
        ping: Duration::from_millis(200),
        ..Patience::default()
    };
    Stream::connect(dial, Identity { session: session.into(), epoch: 1 }, patience).await
}

pub fn command(seq: i64, text: &str) -> Command {
    Command { seq, command: text.into(), timeout: PATIENCE, live: None }
}

pub async fn run(stream: &Stream, seq: i64, text: &str) -> CommandResult {
    run_for(stream, seq, text, PATIENCE).await
}

pub async fn run_for(stream: &Stream, seq: i64, text: &str, limit: Duration) -> CommandResult {
    let command = Command { timeout: limit, ..command(seq, text) };
    tokio::time::timeout(PATIENCE * 2, stream.run(&command)).await.expect("no result came").unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, look).await.is_ok(), "{what} did not come");
}

/// The processes whose command line contains `mark`, but for those that only look for it.
pub fn processes_with(mark: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"))
            .is_ok_and(|line| text(&line).contains(mark))
    })
    .collect()
}
