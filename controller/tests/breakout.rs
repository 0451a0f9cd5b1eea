//! The break-out suite: what a hostile container would try, inside a real sandbox on a real engine.
//!
//! The attempts are a Python program (`breakout/*.py`); here is the stage: a subject, somebody else's
//! project, listeners of the machine, and the proof that the same program finds what is open when it is
//! given the engine's own socket.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code)] // Another test uses the rest.
#[path = "sandbox_support/engine.rs"]
mod engine;

#[path = "breakout/stage.rs"]
mod stage;

use std::sync::Arc;
use std::time::Duration;

use controller::sandbox::SandboxRequest;
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::{Command, CommandEnd, CommandResult, ContainerLimits, Sandbox, SandboxProvider as _};
use engine::docker;
use serde_json::{Value, json};
use stage::{Stage, agent_image};

/// The program in the order in which it is put together.
const PARTS: [&str; 9] = [
    include_str!("breakout/harness.py"),
    include_str!("breakout/others.py"),
    include_str!("breakout/create.py"),
    include_str!("breakout/wide.py"),
    include_str!("breakout/requests.py"),
    include_str!("breakout/smuggling.py"),
    include_str!("breakout/container.py"),
    include_str!("breakout/network.py"),
    include_str!("breakout/run.py"),
];

/// What a run of the suite said.
struct Report {
    lines: Vec<Value>,
    summary: Value,
}

impl Report {
    fn read(output: &str) -> Self {
        let mut lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let last = lines.pop().unwrap_or_default();
        assert!(last["summary"].is_object(), "the suite did not come to its end: {output}");
        Self { lines, summary: last["summary"].clone() }
    }

    fn with(&self, outcome: &str) -> Vec<String> {
        let chosen = self.lines.iter().filter(|line| line["outcome"] == outcome);
        chosen.map(|line| format!("{}: {}: {}", line["group"], line["name"], line["detail"])).collect()
    }
}

async fn run(sandbox: &Arc<dyn Sandbox>, seq: i64, text: &str, limit: Duration) -> CommandResult {
    sandbox.run(&Command { seq, command: text.into(), timeout: limit, live: None }).await.unwrap()
}

fn out(result: &CommandResult) -> String {
    String::from_utf8_lossy(&[result.stdout.head.as_slice(), &result.stdout.tail].concat()).into_owned()
}

#[tokio::test]
async fn nothing_gets_out_of_a_sandbox() {
    let stage = Stage::up().await;
    let request = SandboxRequest {
        image: agent_image().into(),
        limits: ContainerLimits { memory_bytes: 512 << 20, cpu_millis: 1000, pids: 256 },
        ..stage.own.request()
    };
    let provider = stage.own.provider();
    let plan = provider.preflight(&request).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    let minute = Duration::from_mins(1);

    let agent = docker(&["inspect", "-f", "{{.Id}}", sandbox.name()]);
    let ours: Vec<String> = stage.own.standing().into_iter().filter_map(|id| stage::full_id(&id)).collect();
    let mut config = stage.config();
    config["agent"] = json!(agent);
    config["agent_name"] = json!(sandbox.name());
    config["ours"] = json!(ours);
    config["quiet"] = json!(true);

    // In pieces: the text of one command has a limit.
    let mut seq = 0;
    for part in PARTS {
        seq += 1;
        let text = format!("cat >> breakout.py <<'END-OF-PART'\n{part}\nEND-OF-PART");
        assert_eq!(run(&sandbox, seq, &text, minute).await.end, CommandEnd::Exited { code: 0 });
    }
    let before = stage.state();
    let suite = format!("cat > breakout.json <<'END'\n{config}\nEND\npython3 breakout.py \"$(cat breakout.json)\"");
    let result = run(&sandbox, seq + 1, &suite, minute * 8).await;
    let report = Report::read(&out(&result));
    println!("{}", report.summary);

    for outcome in ["BROKE", "hung", "error"] {
        let found = report.with(outcome);
        assert!(found.is_empty(), "{outcome}:\n{}", found.join("\n"));
    }
    // What must work does: else what was held says nothing.
    for controls in [&report.summary["before"], &report.summary["after"]] {
        assert_eq!(controls["ping"], 200, "{controls}");
        assert_eq!(controls["list_has_own"], true, "{controls}");
        assert_eq!(controls["create"], 201, "{controls}");
        assert_eq!(controls["exec"], true, "{controls}");
        assert_eq!(controls[stage.control()], true, "{controls}");
    }
    assert!(report.summary["attempts"].as_u64() > Some(100), "{}", report.summary);
    assert!(report.summary["held"].as_u64() > Some(100), "{}", report.summary);
    // What the machine itself saw, whatever the suite thinks.
    assert_eq!(stage.listeners.heard(), Vec::<String>::new());
    assert_eq!(stage.state(), before);
    // Gateway and supervisor are as they were.
    let listed = run(&sandbox, seq + 2, "docker ps --format '{{.Names}}' | sort", minute).await;
    assert!(out(&listed).contains(&stage.own_name()), "{listed:?}");
    assert!(!out(&listed).contains(&stage.foreign.name), "{listed:?}");
}

#[tokio::test]
async fn the_same_attempts_get_out_by_the_bare_socket() {
    let stage = Stage::up().await;
    let companion = stage.companion();
    let mut config = stage.config();
    config["bare"] = json!(true);
    config["socket"] = json!("/var/run/docker.sock");
    config["whole"] = json!(600);
    config["agent"] = json!(companion);
    let output = stage.over_the_bare_socket(&config, &PARTS.concat()).await;
    let report = Report::read(&output);
    println!("{}", report.summary);

    // That the engine is slow at times is not what is tested here.
    assert_eq!(report.with("error"), Vec::<String>::new());
    let broke = report.with("BROKE");
    let count = |group: &str| broke.iter().filter(|line| line.starts_with(&format!("{group:?}"))).count();
    let of_the_socket = broke.len() - count("the network");
    assert!(of_the_socket >= 200, "only {of_the_socket} found:\n{}", broke.join("\n"));
    for (group, least) in [
        ("other containers", 25),
        ("other execs", 2),
        ("lists", 15),
        ("events", 4),
        ("other networks", 10),
        ("create", 50),
        ("host-equal containers", 6),
        ("the whole engine", 35),
        ("paths", 10),
        ("queries", 8),
        ("JSON", 12),
        ("smuggling", 12),
        ("the network", 8),
    ] {
        assert!(count(group) >= least, "{group}: only {} of {least}:\n{}", count(group), broke.join("\n"));
    }
    assert!(!stage.listeners.heard().is_empty(), "no packet came to the machine's listener");
    assert_eq!(stage.leftovers(), Vec::<String>::new());
}
