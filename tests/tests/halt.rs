//! The whole installation is halted and goes on. In a file of its own, because other tests cannot run beside it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use crds::Incident;
use operator_tests::{Cluster, condition, operator, phase, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const LATER: Duration = Duration::from_mins(2);

/// Whatever becomes of the test, the installation goes on.
struct Resumes;

impl Drop for Resumes {
    fn drop(&mut self) {
        operator(&["resume"]);
    }
}

fn reason(incident: &Incident) -> String {
    condition(incident, "SessionReady").1
}

#[tokio::test]
async fn a_halt_kills_what_runs_holds_back_what_waits_and_both_go_on() {
    let namespace = Cluster::connect().await.namespace("halt").await;
    namespace.subject("limiter", "ratelimiter").await;
    let patient = json!({"agent": {"model": "offline-patient"}});
    namespace.incident("runs", "limiter", patient.clone()).await;
    let command =
        |i: &Incident| i.status.as_ref().is_some_and(|s| s.message.as_deref() == Some("$ echo begun; sleep 300"));
    let running = namespace.wait("runs", "running its command", LATER, command).await;
    let container = running.status.clone().unwrap().container.unwrap();
    namespace.incident("waits", "limiter", patient.clone()).await;
    namespace.wait("waits", "queued", SOON, |i| reason(i) == "Queued").await;

    let resumes = Resumes;
    operator(&["halt", "--reason", "wrong cluster"]);
    let halted = namespace.wait("runs", "halted", SOON, |i| reason(i) == "Halted").await;
    assert_eq!(phase(&halted), "Running");
    assert!(halted.status.unwrap().message.unwrap().contains("wrong cluster"));
    namespace.wait("waits", "halted", SOON, |i| reason(i) == "Halted").await;
    let top =
        || String::from_utf8(std::process::Command::new("docker").args(["top", &container]).output().unwrap().stdout);
    wait_until("the command is dead", SOON, || async { !top().unwrap().contains("sleep 300") }).await;
    namespace.incident("late", "limiter", patient).await;
    namespace.wait("late", "halted from its beginning", SOON, |i| reason(i) == "Halted").await;
    let events = namespace.events().await;
    assert!(events.iter().any(|event| event.starts_with("Halted:")), "{events:#?}");

    drop(resumes);
    let ended = namespace.wait("runs", "finished", LATER, |i| condition(i, "Finished").0 == "True").await;
    let status = ended.status.unwrap();
    assert_eq!(status.root_cause.as_deref(), Some("it was halted"), "{:?}", status.message);
    let text = operator(&["audit", "show", &status.session_id.unwrap(), "-o", "json"]);
    let trail: Value = serde_json::from_str(&text).unwrap();
    let entries = trail["sessions"][0]["entries"].as_array().unwrap();
    let result = entries.iter().find(|entry| entry["kind"] == "tool_result").unwrap();
    assert!(result["data"]["content"].as_str().unwrap().contains("halted"), "{result:#}");
    for event in ["halted", "released"] {
        let found = entries.iter().filter(|entry| entry["data"]["event"] == event).count();
        assert_eq!(found, 1, "{event}");
    }
    namespace.wait("waits", "running", LATER, |i| phase(i) == "Running").await;
    namespace.remove().await;
}
