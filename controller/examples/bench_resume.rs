//! What it takes to rebuild a long session from its rows: from the bytes of 1,000 entries to the next step and the
//! conversation that is sent. Prints one line of JSON.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use controller::agent::verify::NoInvariants;
use controller::agent::{self, AgentDeps, Budgets, Left, Progress, SandboxSource, Wanted};
use controller::audit::{AuditStore, FakeStore, Recorder, StoredEntry};
use controller::model::StopReason;
use controller::model::fake::{FakeModel, Step, message};
use controller::redact::Redactor;
use controller::sandbox::fake::{FakeProvider, MemoryLedger};
use controller::sandbox::{CommandResult, Sandbox, SandboxError, SandboxProvider, SandboxRequest};
use controller::session::SessionId;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[path = "support/session.rs"]
mod session;

const ENTRIES: usize = 1000;
/// Of each command.
const OUTPUT: usize = 4 << 10;
const ROUNDS: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let session: SessionId = "2026-01-28T20-54-48-3a029c12".to_owned().into();
    let store = FakeStore::new();
    play(&store, &session).await?;
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let entries = read(&store, &session).await?;
        let entries = entries.get(..ENTRIES).ok_or("the session is too short")?;
        let left = Left::read(&session, entries)?.ok_or("the session has no entries")?;
        let (step, messages) = (left.next_step(), left.state().transcript.messages());
        times.push(begun.elapsed());
        bytes = serde_json::to_string(&messages)?.len();
        drop(step);
    }
    times.sort();
    let millis = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let figures = json!({"entries": ENTRIES, "conversation_bytes": bytes,
        "rebuild_ms_p50": millis(ROUNDS / 2), "rebuild_ms_max": millis(ROUNDS - 1)});
    println!("{figures}");
    Ok(())
}

/// From the bytes on, page by page, as a controller does.
async fn read(store: &FakeStore, session: &SessionId) -> Result<Vec<StoredEntry>, Box<dyn Error>> {
    let mut all: Vec<StoredEntry> = Vec::new();
    loop {
        let page = store.stored(session, all.last().map_or(0, |entry| entry.seq), 500).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Plays a session of about so many entries.
async fn play(store: &FakeStore, id: &SessionId) -> Result<(), Box<dyn Error>> {
    let turn = |number: usize| {
        let call = |part: usize| {
            let input = json!({"command": format!("look {number} {part}"), "reasoning": "to see"});
            json!({"type": "tool_use", "id": format!("call_{number}_{part}"), "name": "shell", "input": input})
        };
        let thinking = json!({"type": "thinking", "thinking": "hm. ".repeat(100), "signature": "c2ln".repeat(50)});
        let content = [thinking, json!({"type": "text", "text": "I look."}), call(1), call(2)];
        Step::Answer(Box::new(message(StopReason::ToolUse, &content)))
    };
    let turns = ENTRIES / 7 + 2;
    let new = session::new_session(id, "bench");
    let record = store.begin_session(&new).await?;
    let (progress, _seen) = watch::channel(Progress::default());
    let deps = AgentDeps {
        recorder: Arc::new(Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new())),
        model: Arc::new(FakeModel::new((1..=turns).map(turn))),
        summariser: None,
        sandbox: Arc::new(Source(FakeProvider::new(|_| CommandResult::exited(0, &"1234567 ".repeat(OUTPUT / 8), "")))),
        redactor: Redactor::for_readers().clone(),
        progress,
        orders: controller::agent::orders::none(),
        verifier: Arc::new(NoInvariants),
    };
    let budgets = Budgets { turns: 10_000, tokens: None, cost: None, ..Budgets::default() };
    agent::run(deps, session::input(id, "bench", budgets), CancellationToken::new()).await;
    Ok(())
}

struct Source(FakeProvider);

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, _: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let plan = self.0.preflight(&SandboxRequest::unused(&SessionId::from("bench".to_owned()))).await?;
        self.0.create(&plan, MemoryLedger::new()).await
    }
}
