//! The controller as a process of its own, which a test can kill, stop and start again.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::root;

/// How long a start may take, on a machine that does much else.
const START: Duration = Duration::from_mins(1);

/// The `operator` that the workspace built.
#[must_use]
pub fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/operator")
}

/// A running controller. It is killed when this is dropped.
pub struct Controller {
    child: Child,
    listen: String,
    log: PathBuf,
    /// Where its process id stands, for whoever cleans up after a test that was cut off.
    record: PathBuf,
}

impl Controller {
    /// Starts one with these variables and no others of ours. Its log and its process id go into `directory`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(directory: &Path, name: &str, variables: &[(String, String)]) -> Self {
        let [listen, audit] = [(); 2].map(|()| free_address());
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a file for the log");
        let mut command = Command::new(binary());
        command.arg("run").env_clear().envs(variables.iter().cloned());
        command.env("OPERATOR_LISTEN", &listen).env("OPERATOR_AUDIT_LISTEN", audit).env("HOSTNAME", name);
        for inherited in ["HOME", "PATH"] {
            command.env(inherited, std::env::var_os(inherited).unwrap_or_default());
        }
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("the log twice")).stderr(file);
        let child = command.spawn().expect("target/debug/operator: `cargo build` makes it");
        let record = directory.join(format!("{}.pid", child.id()));
        std::fs::write(&record, child.id().to_string()).expect("a file for the process id");
        Self { child, listen, log, record }
    }

    /// Where it serves health, metrics and webhooks.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// What it is waiting for, or its last words.
    pub async fn ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a client");
        let mut said = String::new();
        while begun.elapsed() < START {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the controller ended ({status}): {}", self.last_words()));
            }
            if let Ok(answer) = client.get(format!("http://{}/readyz", self.listen)).send().await {
                if answer.status().is_success() {
                    return Ok(());
                }
                said = answer.text().await.unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the controller is not ready within {START:?}: {said}{}", self.last_words()))
    }

    /// Whether it still runs (or is stopped).
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, also of a stopped one.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it does not notice.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, signal);
        }
    }

    /// All that it said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let short = |line: &&str| line.chars().take(300).collect::<String>();
        lines[lines.len().saturating_sub(30)..].iter().map(short).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.record);
    }
}

/// A free address of the loopback, for whoever listens there a moment later. Its port is none of those that connections
/// going out are given, or one of them would now and then be there first.
///
/// # Panics
/// When none of a hundred is free.
#[must_use]
pub fn free_address() -> String {
    let free = (0..100).find_map(|_| {
        let address = format!("127.0.0.1:{}", rand::random_range(20_000..30_000));
        TcpListener::bind(&address).is_ok().then_some(address)
    });
    free.expect("a free port of the loopback")
}
