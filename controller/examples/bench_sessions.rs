//! What many sessions at once take of memory and CPU.
//!
//! `bench_sessions OFFLINE_MODEL [SESSIONS [TURNS]]` runs them side by side in this process, each with the real loop,
//! the real client of the Messages API and the real audit store (a private Postgres); commands run in fake sandboxes.
//! The offline model is a process of its own (`OFFLINE_MODEL` is its binary), so that it is not measured. Prints one
//! line of JSON.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use controller::agent::verify::NoInvariants;
use controller::agent::{self, AgentDeps, Budgets, Progress, SandboxSource, Wanted};
use controller::audit::testing::TestServer;
use controller::audit::{AuditStore as _, PostgresStore, Recorder};
use controller::model::Anthropic;
use controller::model::anthropic::AnthropicOptions;
use controller::redact::Redactor;
use controller::sandbox::{Command, CommandResult, Recovered, Sandbox, SandboxError};
use controller::session::SessionId;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[path = "support/session.rs"]
mod session;
#[path = "support/usage.rs"]
mod usage;

use usage::Usage;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a turn of the model takes: long enough that all sessions are in the middle of their work at the same time.
const DELAY_MS: u64 = 1000;
/// A command's output, of a length that is not rare.
const OUTPUT: usize = 4 << 10;
/// What a command takes.
const COMMAND: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().ok_or("bench_sessions OFFLINE_MODEL [SESSIONS [TURNS]]")?;
    let sessions: usize = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let turns: u32 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let _ = rustls::crypto::ring::default_provider().install_default();

    let model = Offline::start(&binary, turns)?;
    let server = TestServer::start_durable();
    let mut options = AnthropicOptions::new(&model.url, None);
    options.key = Some("none".to_owned().into());
    let bench =
        Arc::new(Bench { store: server.database().await.store(), model: Arc::new(Anthropic::new(options)?), turns });
    // One alone opens connections and fills caches that a controller has open and full.
    bench.session(0).await?;
    let before = Usage::now()?;
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for number in 1..=sessions {
        let bench = bench.clone();
        all.spawn(async move { bench.session(number).await });
    }
    let mut peak = before.memory_kib;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let mut ended = 0;
    while ended < sessions {
        tokio::select! {
            Some(session) = all.join_next() => {
                session??;
                ended += 1;
            }
            _ = look.tick() => peak = peak.max(Usage::now()?.memory_kib),
        }
    }
    let (wall, after) = (begun.elapsed(), Usage::now()?);
    let cpu = after.cpu_s - before.cpu_s;
    let round = |figure: f64| (figure * 100.0).round() / 100.0;
    let figures = json!({
        "sessions": sessions,
        "turns": turns,
        "wall_s": round(wall.as_secs_f64()),
        "memory_kib": {"before": before.memory_kib, "peak": peak, "after": after.memory_kib},
        "cpu_s": round(cpu),
        "cpus": round(cpu / wall.as_secs_f64()),
        "cpu_ms_per_turn": round(cpu * 1000.0 / (f64::from(turns + 1) * f64::from(u32::try_from(sessions)?))),
    });
    println!("{figures}");
    Ok(())
}

/// The offline model as a process.
struct Offline {
    process: Child,
    url: String,
    _script: tempfile::NamedTempFile,
}

impl Offline {
    fn start(binary: &str, turns: u32) -> Outcome<Self> {
        let script = json!({"rules": [
            {"name": "work", "when": {"turn": {"max": turns - 1}}, "answer": {
                "thinking": "I have to know more. ".repeat(20), "text": "I look.",
                "tools": [{"name": "shell", "input": {"command": "redis-cli info", "reasoning": "to see"}}]}},
            {"name": "end", "answer": {"tools": [{"name": "conclude", "input":
                {"outcome": "resolved", "root_cause": "c", "summary": "s", "evidence": []}}]}},
        ]});
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(script.to_string().as_bytes())?;
        let mut process = Process::new(binary)
            .args(["--listen", "127.0.0.1:0", "--delay-ms", &DELAY_MS.to_string()])
            .arg("--script")
            .arg(format!("bench={}", file.path().display()))
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().ok_or("no output")?);
        output.read_line(&mut line)?;
        // It goes on to say things, and must find somebody who listens.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        Ok(Self { process, url, _script: file })
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What all sessions share.
struct Bench {
    store: PostgresStore,
    model: Arc<Anthropic>,
    turns: u32,
}

impl Bench {
    async fn session(&self, number: usize) -> Outcome<()> {
        let id = SessionId::new(jiff::Timestamp::now());
        let incident = format!("bench-{number}");
        let new = session::new_session(&id, &incident);
        // As the controller does it: a store that is too busy is asked again.
        let record = loop {
            match self.store.begin_session(&new).await {
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(2)).await,
                other => break other?,
            }
        };
        let (progress, seen) = watch::channel(Progress::default());
        let deps = AgentDeps {
            recorder: Arc::new(Recorder::new(Arc::new(self.store.clone()), &record, CancellationToken::new())),
            model: self.model.clone(),
            summariser: None,
            sandbox: Arc::new(Printers),
            redactor: Redactor::for_readers().clone(),
            progress,
            orders: agent::orders::none(),
            verifier: Arc::new(NoInvariants),
        };
        let end = agent::run(deps, session::input(&id, &incident, Budgets::default()), CancellationToken::new()).await;
        let commands = seen.borrow().commands;
        if end.phase() != "Concluded" || commands != i64::from(self.turns) {
            return Err(format!("session {number} did not play as written: {commands} commands, {end:?}").into());
        }
        Ok(())
    }
}

/// Hands out [`Printer`]s.
struct Printers;

#[async_trait]
impl SandboxSource for Printers {
    async fn open(&self, _: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        Ok(Arc::new(Printer))
    }
}

/// A container in which every command prints the same. It keeps nothing of it: what a command printed is kept in the
/// real container, not in this process.
struct Printer;

#[async_trait]
impl Sandbox for Printer {
    fn name(&self) -> &'static str {
        "bench"
    }

    async fn run(&self, _: &Command) -> Result<CommandResult, SandboxError> {
        tokio::time::sleep(COMMAND).await;
        Ok(CommandResult::exited(0, &"1234567 ".repeat(OUTPUT / 8), ""))
    }

    async fn recover(&self, _: &Command) -> Result<Recovered, SandboxError> {
        Ok(Recovered::NeverStarted)
    }

    async fn kill(&self, _: i64) -> Result<(), SandboxError> {
        Ok(())
    }
}
