//! Incidents on the installed controller: repaired, refused, queued, cancelled, deleted.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use crds::{Incident, Subject};
use kube::api::{Api, DeleteParams};
use operator_tests::{Cluster, condition, containers_of, operator, phase, root, run, standing, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const LATER: Duration = Duration::from_mins(2);
const PROJECT: &str = "ratelimiter";

fn fault(what: &str) -> String {
    run(root().join("subjects/ratelimiter/fault").to_str().unwrap(), &[what])
}

fn busy() -> Value {
    json!({"agent": {"model": "offline-sleeper"}})
}

fn session(incident: &Incident) -> String {
    incident.status.clone().unwrap_or_default().session_id.unwrap_or_default()
}

/// The main job. Both halves use the one rate limiter, so they are one test.
#[tokio::test]
async fn a_fault_is_repaired_and_a_healthy_system_is_left_alone() {
    let namespace = Cluster::connect().await.namespace("repair").await;
    namespace.subject("limiter", PROJECT).await;
    fault("heal");

    // Nothing is wrong: the agent says so, and a person is told.
    namespace.incident("healthy", "limiter", json!({"agent": {"model": "offline-ratelimiter"}})).await;
    let ended = namespace.wait("healthy", "finished", LATER, |i| condition(i, "Finished").0 == "True").await;
    assert_eq!(
        (phase(&ended), condition(&ended, "Finished").1.as_str()),
        ("Escalated", "Escalated"),
        "{:#?}",
        ended.status
    );

    fault("redis-readonly");
    namespace
        .incident("broken", "limiter", json!({"agent": {"model": "offline-ratelimiter"}, "severity": "critical"}))
        .await;
    let ended = namespace.wait("broken", "finished", LATER, |i| condition(i, "Finished").0 == "True").await;
    assert_eq!(phase(&ended), "Concluded", "{:#?}", ended.status);
    assert_eq!(condition(&ended, "Verified"), ("Unknown".into(), "NoInvariants".into()));
    let status = ended.status.clone().unwrap();
    assert!(status.root_cause.unwrap().contains("replica"));
    assert!(status.commands.unwrap() >= 8 && status.turns.unwrap() >= 5);
    wait_until("the load flows", SOON, || async {
        std::process::Command::new(root().join("subjects/ratelimiter/fault"))
            .arg("status")
            .output()
            .unwrap()
            .status
            .success()
    })
    .await;
    assert!(containers_of(&session(&ended)).is_empty(), "the container is gone");

    // The trail, read through the API server's port-forward: in order, without gaps, each call before its result.
    let text = operator(&["audit", "show", &session(&ended), "-o", "json"]);
    let trail: Value = serde_json::from_str(&text).expect("JSON");
    let entries = find_entries(&trail).expect("entries");
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"incident"), Some(&"control")), "{kinds:?}");
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"].as_u64().unwrap(), index as u64 + 1);
        if entry["kind"] == "tool_result" {
            let call = entry["data"]["call"].as_u64().unwrap();
            assert_eq!(entries[usize::try_from(call).unwrap() - 1]["kind"], "tool_call");
            assert!(call < entry["seq"].as_u64().unwrap());
        }
    }
    let events = namespace.events().await;
    for reason in ["SessionStarted", "Concluded"] {
        assert!(events.iter().any(|event| event.starts_with(reason)), "no Event {reason}: {events:#?}");
    }
    namespace.remove().await;
}

/// The list of entries, wherever the document has it.
fn find_entries(trail: &Value) -> Option<&Vec<Value>> {
    match trail {
        Value::Array(list) if list.first().is_some_and(|first| first.get("seq").is_some()) => Some(list),
        Value::Array(list) => list.iter().find_map(find_entries),
        Value::Object(map) => map.values().find_map(find_entries),
        _ => None,
    }
}

#[tokio::test]
async fn a_deleted_incident_leaves_no_container_and_its_trail_stays() {
    let namespace = Cluster::connect().await.namespace("delete").await;
    namespace.subject("limiter", PROJECT).await;
    namespace.incident("busy", "limiter", busy()).await;
    let running = namespace
        .wait("busy", "running a command", LATER, |i| {
            i.status.as_ref().is_some_and(|s| s.commands == Some(1) && s.container.is_some())
        })
        .await;
    assert_eq!(condition(&running, "SessionReady").0, "True");
    let id = session(&running);
    assert_eq!(standing(&id).len(), 2, "the agent's and its gateway: {:?}", standing(&id));
    let api: Api<Incident> = namespace.api();
    api.delete("busy", &DeleteParams::default()).await.unwrap();
    wait_until("the Incident is gone", SOON, || async { api.get_opt("busy").await.unwrap().is_none() }).await;
    assert!(containers_of(&id).is_empty(), "the container is gone with it");
    let trail = operator(&["audit", "show", &id]);
    assert!(trail.contains("sleep 300") && trail.contains("Cancelled"), "{trail}");
    namespace.remove().await;
}

#[tokio::test]
async fn one_session_a_subject_and_cancel_frees_the_place() {
    let namespace = Cluster::connect().await.namespace("queue").await;
    namespace.subject("limiter", PROJECT).await;
    namespace.incident("first", "limiter", busy()).await;
    namespace.wait("first", "running", LATER, |i| phase(i) == "Running").await;
    namespace.incident("second", "limiter", busy()).await;
    let queued = namespace.wait("second", "queued", SOON, |i| condition(i, "SessionReady").1 == "Queued").await;
    assert_eq!(queued.status.unwrap().queue_position, Some(1));

    namespace.patch("first", json!({"cancel": 1})).await;
    let cancelled = namespace.wait("first", "cancelled", SOON, |i| phase(i) == "Cancelled").await;
    assert!(containers_of(&session(&cancelled)).is_empty());
    namespace.wait("second", "running", SOON, |i| phase(i) == "Running").await;

    // A raised attempt is a new session of the same Incident.
    namespace.patch("second", json!({"cancel": 1})).await;
    namespace.wait("second", "cancelled", SOON, |i| phase(i) == "Cancelled").await;
    namespace.patch("first", json!({"attempt": 2})).await;
    let again = namespace.wait("first", "running again", SOON, |i| phase(i) == "Running").await;
    assert_ne!(session(&again), session(&cancelled));
    assert_eq!(again.status.unwrap().attempt, Some(2));
    namespace.remove().await;
}

#[tokio::test]
async fn what_is_missing_is_named_and_waited_for() {
    let namespace = Cluster::connect().await.namespace("missing").await;
    namespace.incident("early", "later", busy()).await;
    let waits = namespace.wait("early", "rejected", SOON, |i| condition(i, "Accepted").0 == "False").await;
    assert_eq!(condition(&waits, "Accepted").1, "SubjectNotFound");
    namespace.subject("later", "no-such-project").await;
    let waits =
        namespace.wait("early", "waiting", SOON, |i| condition(i, "SessionReady").1 == "ProjectNotRunning").await;
    assert!(waits.status.unwrap().message.unwrap().contains("no-such-project"));

    namespace.incident("image", "later", json!({"agent": {"image": "evil:latest"}})).await;
    namespace.wait("image", "rejected", SOON, |i| condition(i, "Accepted").1 == "ImageNotAllowed").await;

    let place = json!({"where": {"kubernetes": {"namespace": "a", "serviceAccountName": "b"}}});
    namespace.create::<Subject>("cluster", &place).await.unwrap();
    namespace.incident("unsupported", "cluster", json!({})).await;
    namespace.wait("unsupported", "rejected", SOON, |i| condition(i, "Accepted").1 == "SubjectNotAccepted").await;

    // A model that does not exist fails with the API's own words.
    namespace.subject("limiter", PROJECT).await;
    namespace.incident("model", "limiter", json!({"agent": {"model": "offline-nothing"}})).await;
    let failed = namespace.wait("model", "failed", LATER, |i| phase(i) == "Failed").await;
    assert!(failed.status.unwrap().message.unwrap().contains("offline-nothing"));
    namespace.remove().await;
}

#[tokio::test]
async fn nonsense_is_refused_by_the_api_server_in_a_sentence() {
    let namespace = Cluster::connect().await.namespace("schema").await;
    let of = |more: Value| {
        let mut spec = json!({"title": "t", "subjectRef": {"name": "s"}});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            spec[key] = value;
        }
        spec
    };
    let refused = [
        (of(json!({"title": ""})), "title is one line"),
        (of(json!({"title": "a\nb"})), "title is one line"),
        (of(json!({"cancel": 2})), "cannot be beyond spec.attempt"),
        (of(json!({"agent": {"budget": {"wallTime": "3 days"}}})), "wallTime is a duration"),
        (of(json!({"agent": {"budget": {"dollars": 0}}})), "dollars is more than 0"),
    ];
    for (spec, sentence) in refused {
        // As raw JSON: the types would not let some of it be written.
        let client = Cluster::connect().await.client;
        let resource = kube::core::ApiResource::erase::<Incident>(&());
        let api: Api<kube::core::DynamicObject> = Api::namespaced_with(client, &namespace.name, &resource);
        let object: kube::core::DynamicObject = serde_json::from_value(json!({
            "apiVersion": "operator.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "bad"}, "spec": spec,
        }))
        .unwrap();
        let error = api.create(&kube::api::PostParams::default(), &object).await.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
    let place =
        json!({"where": {"docker": {"project": "a"}, "kubernetes": {"namespace": "a", "serviceAccountName": "b"}}});
    let error = namespace.create::<Subject>("both", &place).await.unwrap_err().to_string();
    assert!(error.contains("exactly one of where.docker and where.kubernetes"), "{error}");
    namespace.remove().await;
}

#[test]
fn examples_and_subjects_are_valid() {
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("examples")).unwrap().map(|file| file.unwrap().path()).collect();
    let subject = std::fs::read_dir(root().join("subjects/ratelimiter")).unwrap().map(|file| file.unwrap().path());
    files.extend(subject.filter(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name == "subject.yaml" || name.starts_with("incident-")
    }));
    assert!(files.len() > 3, "the examples are there");
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "yaml")) {
        run("kubectl", &["apply", "--dry-run=server", "--validate=strict", "-f", file.to_str().unwrap()]);
    }
}
