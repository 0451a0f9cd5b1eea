//! What an agent changes with its Docker CLI: on record before and after, and not at all when it may only look.
//! In a file of its own: other tests use the same rate limiter.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use operator_tests::{Cluster, TempNamespace, condition, containers_of, operator, phase, root, run, wait_until};
use serde_json::{Value, json};

const LATER: Duration = Duration::from_mins(3);
/// There is one rate limiter.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn fault(what: &str) -> String {
    run(root().join("subjects/ratelimiter/fault").to_str().unwrap(), &[what])
}

fn flows() -> bool {
    let status = std::process::Command::new(root().join("subjects/ratelimiter/fault")).arg("status").output();
    status.unwrap().status.success()
}

/// When the load generator was last started.
fn started_at() -> String {
    let filters = ["label=com.docker.compose.project=ratelimiter", "label=com.docker.compose.service=load"];
    let id = run("docker", &["ps", "-aq", "--filter", filters[0], "--filter", filters[1]]);
    run("docker", &["inspect", "--format", "{{.State.StartedAt}}", id.trim()])
}

/// Plays an Incident to its end; its phase and its entries.
async fn play(namespace: &TempNamespace, name: &str, agent: Value) -> (String, Vec<Value>) {
    namespace.incident(name, "limiter", json!({"agent": agent})).await;
    let ended = namespace.wait(name, "finished", LATER, |i| condition(i, "Finished").0 == "True").await;
    let session = ended.status.clone().unwrap().session_id.unwrap();
    assert!(containers_of(&session).is_empty(), "agent and gateway are gone");
    let trail: Value = serde_json::from_str(&operator(&["audit", "show", &session, "-o", "json"])).expect("JSON");
    let entries = trail["sessions"][0]["entries"].as_array().expect("entries").clone();
    (phase(&ended).to_owned(), entries)
}

/// The result of the first command.
fn output(entries: &[Value]) -> String {
    let result = entries.iter().find(|entry| entry["kind"] == "tool_result").expect("a result");
    result["data"]["content"].as_str().unwrap().to_owned()
}

fn changes<'a>(entries: &'a [Value], step: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["kind"] == "change" && entry["data"]["step"] == step).collect()
}

#[tokio::test]
async fn changes_are_on_record_and_an_observer_makes_none() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("changes").await;
    namespace.subject("limiter", "ratelimiter").await;
    fault("heal");

    let before = started_at();
    let (_, entries) = play(&namespace, "acts", json!({"model": "offline-changer"})).await;
    let said = output(&entries);
    assert!(said.contains("found 5") && said.contains("restart: 0") && said.contains("exec: 3"), "{said}");
    assert!(!said.contains("operator-agent-20"), "no container but the subject's is seen: {said}");
    assert_ne!(started_at(), before);
    let (begun, completed) = (changes(&entries, "begun"), changes(&entries, "completed"));
    let actions: Vec<_> = begun.iter().map(|entry| entry["data"]["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["container.restart", "container.exec"], "{entries:#?}");
    for (begun, completed) in begun.iter().zip(&completed) {
        assert_eq!(completed["data"]["change"], begun["seq"]);
        assert_eq!(completed["data"]["outcome"]["type"], "succeeded", "{completed:#}");
    }
    assert_eq!(completed[1]["data"]["details"]["exitCode"], 3);
    let text = |entry: &Value| entry["seq"].as_i64().unwrap();
    let call = entries.iter().find(|entry| entry["kind"] == "tool_call").unwrap();
    assert!(text(call) < text(begun[0]), "a change comes after the command that makes it");

    let before = started_at();
    let (_, entries) = play(&namespace, "looks", json!({"model": "offline-changer", "mode": "Observe"})).await;
    let said = output(&entries);
    assert!(said.contains("found 5") && said.contains("restart: 1"), "{said}");
    assert_eq!((changes(&entries, "begun").len(), started_at()), (0, before), "{said}");
    namespace.remove().await;
}

/// The demo's second path: what only Docker can repair.
#[tokio::test]
async fn a_stopped_container_is_found_and_started() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("second").await;
    namespace.subject("limiter", "ratelimiter").await;
    for what in ["redis-stopped", "node-killed"] {
        fault("heal");
        fault(what);
        let (phase, entries) = play(&namespace, what, json!({"model": "offline-ratelimiter"})).await;
        assert_eq!(phase, "Concluded", "{what}: {entries:#?}");
        assert!(!changes(&entries, "completed").is_empty(), "{what}: repaired through the gateway");
        wait_until("the load flows", LATER, || async { flows() }).await;
    }
    namespace.remove().await;
}
