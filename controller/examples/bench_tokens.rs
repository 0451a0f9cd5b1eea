//! What a long incident costs in tokens when its conversation is made shorter, beside the same that grows without end.
//!
//! The real loop, the offline model (which counts tokens roughly, and knows a prompt cache), fake sandboxes. Prints one
//! line of JSON: of each course the tokens that the model read, how many of them came from the cache, and the most that
//! it read at once.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use controller::agent::compact::Window;
use controller::agent::verify::NoInvariants;
use controller::agent::{self, AgentDeps, Budgets, Progress, SandboxSource, Wanted};
use controller::audit::{AuditStore as _, EntryBody, FakeStore, Recorder};
use controller::model::anthropic::AnthropicOptions;
use controller::model::{Anthropic, Usage};
use controller::redact::Redactor;
use controller::sandbox::fake::{FakeProvider, MemoryLedger};
use controller::sandbox::{CommandResult, Sandbox, SandboxError, SandboxProvider, SandboxRequest};
use controller::session::SessionId;
use offline_model::{Options, ScriptSet, Server};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[path = "support/session.rs"]
mod session;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Turns with a command each.
const TURNS: u32 = 80;
/// What a command prints.
const OUTPUT: usize = 8 << 10;
/// A model's window that such an incident outgrows.
const WINDOW: u64 = 100_000;

#[tokio::main]
async fn main() -> Outcome<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let with = play(Window::of(WINDOW, 0.65, 0.35)).await?;
    let without = play(Window::of(u64::from(u32::MAX), 0.95, 0.95)).await?;
    println!("{}", json!({"turns": TURNS, "output_bytes": OUTPUT, "window": WINDOW, "with": with, "without": without}));
    Ok(())
}

async fn play(window: Window) -> Outcome<Value> {
    let script = json!({"rules": [
        {"name": "work", "when": {"turn": {"max": TURNS - 1}}, "answer": {"text": "I look.",
            "tools": [{"name": "shell", "input": {"command": "redis-cli info", "reasoning": "to see"}}]}},
        {"name": "end", "answer": {"tools": [{"name": "conclude", "input":
            {"outcome": "resolved", "root_cause": "c", "summary": "s", "evidence": []}}]}},
    ]});
    let server = Server::start(ScriptSet::new().with("bench", &script.to_string())?, Options::default()).await?;
    let mut options = AnthropicOptions::new(server.url(), None);
    options.key = Some("none".to_owned().into());
    let (store, id) = (FakeStore::new(), SessionId::new(jiff::Timestamp::now()));
    let record = store.begin_session(&session::new_session(&id, "bench")).await?;
    let (progress, _seen) = watch::channel(Progress::default());
    let deps = AgentDeps {
        recorder: Arc::new(Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new())),
        model: Arc::new(Anthropic::new(options)?),
        summariser: None,
        sandbox: Arc::new(Source(FakeProvider::new(|_| CommandResult::exited(0, &"1234567 ".repeat(OUTPUT / 8), "")))),
        redactor: Redactor::for_readers().clone(),
        progress,
        orders: agent::orders::none(),
        verifier: Arc::new(NoInvariants),
    };
    let budgets = Budgets { turns: 10_000, tokens: None, cost: None, window, ..Budgets::default() };
    let end = agent::run(deps, session::input(&id, "bench", budgets), CancellationToken::new()).await;
    server.shutdown().await;
    if end.phase() != "Concluded" {
        return Err(format!("the session did not play as written: {end:?}").into());
    }
    let (mut read, mut cached, mut most, mut compacted) = (0, 0, 0, 0);
    for entry in store.entries(&id, 0, 10_000).await? {
        match entry.body {
            EntryBody::Turn(turn) => {
                let usage = Usage::from_api(turn.usage);
                read += usage.total_input();
                cached += usage.cache_read;
                most = most.max(usage.total_input());
            }
            EntryBody::Control(control) => {
                compacted += u32::from(control.event == controller::audit::entry::ControlEvent::Compacted);
            }
            _ => {}
        }
    }
    Ok(
        json!({"read": read, "from_cache": cached, "read_anew": read - cached, "most_at_once": most, "compacted": compacted}),
    )
}

struct Source(FakeProvider);

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, _: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let plan = self.0.preflight(&SandboxRequest::unused(&SessionId::from("bench".to_owned()))).await?;
        self.0.create(&plan, MemoryLedger::new()).await
    }
}
