//! What a person does to a session: cancels it, speaks to it, tries again, and lets it go by its age.
//! In a file of its own: other tests use the same rate limiter.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use crds::Incident;
use kube::api::{Api, Patch, PatchParams};
use operator_tests::{Cluster, TempNamespace, condition, containers_of, operator, phase, run, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const LATER: Duration = Duration::from_mins(2);
/// There is one rate limiter, and one session works on it.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn session(incident: &Incident) -> String {
    incident.status.clone().unwrap_or_default().session_id.unwrap_or_default()
}

fn entries(session: &str) -> Vec<Value> {
    let trail: Value = serde_json::from_str(&operator(&["audit", "show", session, "-o", "json"])).expect("JSON");
    trail["sessions"][0]["entries"].as_array().expect("entries").clone()
}

fn control<'a>(entries: &'a [Value], event: &str) -> Option<&'a Value> {
    entries.iter().find(|entry| entry["kind"] == "control" && entry["data"]["event"] == event)
}

/// The load generator's container.
fn load() -> String {
    let project = "label=com.docker.compose.project=ratelimiter";
    run("docker", &["ps", "-q", "--filter", project, "--filter", "label=com.docker.compose.service=load"]).trim().into()
}

/// Whether a process of that command line runs anywhere on the engine's host.
fn runs_in(container: &str, command: &str) -> bool {
    let top = std::process::Command::new("docker").args(["top", container, "-eo", "pid,args"]).output().unwrap();
    String::from_utf8_lossy(&top.stdout).lines().any(|line| line.trim().ends_with(command))
}

async fn start(namespace: &TempNamespace, name: &str, script: &str, wanted: &str) -> Incident {
    namespace.incident(name, "limiter", json!({"agent": {"model": format!("offline-{script}")}})).await;
    let begun = |i: &Incident| {
        let status = i.status.clone().unwrap_or_default();
        status.container.is_some() && status.message.is_some_and(|message| message.starts_with("$ "))
    };
    namespace.wait(name, wanted, LATER, begun).await
}

#[tokio::test]
async fn a_cancelled_session_leaves_nothing_and_names_what_it_cannot_end() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("cancel").await;
    namespace.subject("limiter", "ratelimiter").await;
    let running = start(&namespace, "leaver", "leaver", "running its command").await;
    let agent = running.status.clone().unwrap().container.unwrap();
    wait_until("both are left behind", SOON, || async {
        runs_in(&agent, "sleep 878") && runs_in(&load(), "sleep 877")
    })
    .await;

    namespace.patch("leaver", json!({"cancel": 1})).await;
    let cancelled = namespace.wait("leaver", "cancelled", SOON, |i| phase(i) == "Cancelled").await;
    assert!(containers_of(&session(&cancelled)).is_empty(), "agent and gateway are gone with all of their processes");
    assert!(runs_in(&load(), "sleep 877"), "what runs in the subject is not ours to end");
    let status = cancelled.status.clone().unwrap();
    let message = status.message.unwrap();
    assert!(message.contains("1 turns and 1 commands") && message.contains("still running"), "{message}");
    let summary = status.summary.unwrap();
    assert!(summary.contains("I leave things running.") && summary.contains("docker exec"), "{summary}");

    let trail = entries(&session(&cancelled));
    let entry = control(&trail, "cancelled").expect("the cancellation is an entry");
    let runs = entry["data"]["details"]["stillRuns"].as_array().unwrap();
    assert!(runs[0]["command"].as_str().unwrap().contains("sleep 877"), "{entry:#}");
    assert!(runs[0]["pid"].as_i64().unwrap() > 1);
    let result = trail.iter().find(|entry| entry["kind"] == "tool_result").unwrap();
    assert_eq!(result["data"]["outcome"]["type"], "cancelled", "{result:#}");
    assert!(result["data"]["content"].as_str().unwrap().contains("left"), "what it printed is kept: {result:#}");

    // The next attempt is told of this one.
    namespace.patch("leaver", json!({"attempt": 2})).await;
    let again =
        namespace.wait("leaver", "running again", LATER, |i| phase(i) == "Running" && !session(i).is_empty()).await;
    wait_until("its first entry stands", SOON, || async { !entries(&session(&again)).is_empty() }).await;
    let told = entries(&session(&again))[0]["data"]["user"].as_str().unwrap().to_owned();
    assert!(told.contains("Attempt 1,") && told.contains("docker exec") && told.contains("no instruction"), "{told}");
    run("docker", &["restart", "--time", "1", &load()]);
    namespace.remove().await;
}

#[tokio::test]
async fn a_note_is_heard_in_the_next_turn_and_cannot_be_taken_back() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("note").await;
    namespace.subject("limiter", "ratelimiter").await;
    let first = json!({"text": "Nothing to see here.", "author": "jane"});
    namespace.incident("listens", "limiter", json!({"agent": {"model": "offline-listener"}, "notes": [first]})).await;
    namespace.wait("listens", "running", LATER, |i| i.status.as_ref().is_some_and(|s| s.commands > Some(0))).await;
    let second = json!({"text": "the word is\nmarzipan\nthe word is marzipan", "author": "bob"});
    namespace.patch("listens", json!({"notes": [first, second]})).await;
    let ended = namespace.wait("listens", "finished", LATER, |i| condition(i, "Finished").0 == "True").await;
    let status = ended.status.clone().unwrap();
    assert_eq!(status.root_cause.as_deref(), Some("note 2 of bob: marzipan"), "{status:#?}");
    assert_eq!(status.notes_heard, Some(2));
    let trail = entries(&session(&ended));
    let notes: Vec<_> = trail.iter().filter(|entry| entry["kind"] == "note").collect();
    assert_eq!(notes.len(), 1, "the first was a part of the first message: {notes:#?}");
    assert_eq!((&notes[0]["data"]["number"], &notes[0]["data"]["author"]), (&json!(2), &json!("bob")));
    assert!(trail[0]["data"]["user"].as_str().unwrap().contains("| Nothing to see here."));

    let api: Api<Incident> = namespace.api();
    for notes in [json!([second]), json!([]), json!([first, {"text": "other"}])] {
        let patch = Patch::Merge(json!({"spec": {"notes": notes}}));
        let error = api.patch("listens", &PatchParams::default(), &patch).await.unwrap_err().to_string();
        assert!(error.contains("notes are only ever added"), "{error}");
    }
    namespace.remove().await;
}

#[tokio::test]
async fn a_finished_incident_leaves_by_its_age_and_its_trail_stays() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("ttl").await;
    namespace.subject("limiter", "ratelimiter").await;
    let spec = json!({"agent": {"model": "offline-sleeper"}, "ttlAfterFinished": "1s"});
    namespace.incident("short", "limiter", spec).await;
    let running = namespace.wait("short", "running", LATER, |i| phase(i) == "Running" && !session(i).is_empty()).await;
    namespace.patch("short", json!({"cancel": 1})).await;
    let api: Api<Incident> = namespace.api();
    wait_until("the Incident is gone", LATER, || async { api.get_opt("short").await.unwrap().is_none() }).await;
    assert!(operator(&["audit", "show", &session(&running)]).contains("Cancelled"));
    let events = namespace.events().await;
    assert!(events.iter().any(|event| event.starts_with("Retired")), "{events:#?}");

    // A history of none: the one that ended goes, the one that runs stays.
    let subject: Api<crds::Subject> = namespace.api();
    let none = Patch::Merge(json!({"spec": {"policy": {"historyLimit": 0}}}));
    subject.patch("limiter", &PatchParams::default(), &none).await.unwrap();
    for name in ["ended", "open"] {
        namespace.incident(name, "limiter", json!({"agent": {"model": "offline-sleeper"}})).await;
        namespace.wait(name, "running", LATER, |i| phase(i) == "Running").await;
        if name == "ended" {
            namespace.patch(name, json!({"cancel": 1})).await;
            namespace.wait(name, "cancelled", SOON, |i| phase(i) == "Cancelled").await;
        }
    }
    wait_until("the ended one is gone", LATER, || async { api.get_opt("ended").await.unwrap().is_none() }).await;
    assert_eq!(phase(&api.get("open").await.unwrap()), "Running");
    namespace.remove().await;
}

#[tokio::test]
async fn a_storm_is_queued_with_places_and_ends_in_order() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let namespace = Cluster::connect().await.namespace("storm").await;
    namespace.subject("limiter", "ratelimiter").await;
    let names: Vec<_> = (0..60).map(|i| format!("storm-{i:02}")).collect();
    let info = json!({"agent": {"model": "offline-sleeper"}, "severity": "info"});
    // One runs before the worse one comes: of two that wait the worse one would be first.
    namespace.incident(&names[0], "limiter", info.clone()).await;
    namespace.wait(&names[0], "running", SOON, |i| phase(i) == "Running").await;
    for name in &names[1..] {
        namespace.incident(name, "limiter", info.clone()).await;
    }
    namespace
        .incident("worst", "limiter", json!({"agent": {"model": "offline-sleeper"}, "severity": "critical"}))
        .await;
    let api: Api<Incident> = namespace.api();
    let placed = || async {
        let all = api.list(&kube::api::ListParams::default()).await.unwrap().items;
        all.iter().filter(|i| i.status.as_ref().is_some_and(|s| s.queue_position.is_some())).count()
    };
    wait_until("all but the one that runs have a place", SOON, || async { placed().await >= 60 }).await;
    namespace.wait("worst", "first", SOON, |i| i.status.as_ref().unwrap().queue_position == Some(1)).await;
    let runs = api.list(&kube::api::ListParams::default()).await.unwrap().items;
    let runs: Vec<_> = runs.iter().filter(|i| phase(i) == "Running").collect();
    assert_eq!(runs.len(), 1, "one session a Subject");

    // Maintenance takes them out of the queue; the one that runs goes on.
    let subject: Api<crds::Subject> = namespace.api();
    let suspend = |on: bool| Patch::Merge(json!({"spec": {"suspend": on}}));
    subject.patch("limiter", &PatchParams::default(), &suspend(true)).await.unwrap();
    namespace.wait("worst", "held back", SOON, |i| condition(i, "SessionReady").1 == "SubjectSuspended").await;
    subject.patch("limiter", &PatchParams::default(), &suspend(false)).await.unwrap();
    namespace.wait("worst", "queued", SOON, |i| condition(i, "SessionReady").1 == "Queued").await;
    let running = kube::ResourceExt::name_any(runs[0]);
    namespace.patch(&running, json!({"cancel": 1})).await;
    namespace.wait("worst", "running", SOON, |i| phase(i) == "Running").await;
    namespace.remove().await;
}
