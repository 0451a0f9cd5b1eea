//! The monitor on the installed controller: a fault that nobody tells is found, opened once, and cleared.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crds::condition::find;
use crds::{Incident, Subject};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use operator_tests::{Cluster, TempNamespace, phase, root, run, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(2);
const PROJECT: &str = "ratelimiter";

/// What is looked at, and what has to hold.
fn spec(more: &Value) -> Value {
    let mut spec = json!({
        "where": {"docker": {"project": PROJECT}},
        "description": "A test's subject.",
        "probes": [
            {"name": "health", "interval": "1s", "timeout": "2s", "targets": ["node1", "node2", "node3"],
             "http": {"url": "http://{{target}}:8080/healthz"}},
            {"name": "containers", "interval": "1s", "docker": {"services": ["node1", "node2", "node3", "redis"]}},
        ],
        "invariants": [
            {"name": "node_silent", "description": "Each node answers.", "forEach": "probes.health",
             "violated": "!item.ok", "grace": "2s", "message": "{{ key }}: {{ item.error }}"},
            {"name": "container_stopped", "forEach": "probes.containers.value", "severity": "critical",
             "violated": "item.state != 'running'", "message": "{{ key }} is {{ item.state }}"},
        ],
        "display": {"groups": [{"title": "Nodes", "forEach": "probes.health", "state": "item.ok ? 'ok' : 'bad'"}]},
    });
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        spec[key] = value;
    }
    spec
}

fn fault(what: &str) {
    run(root().join("subjects/ratelimiter/fault").to_str().unwrap(), &[what]);
}

async fn subject(namespace: &TempNamespace) -> Subject {
    namespace.api::<Subject>().get("limiter").await.unwrap()
}

fn condition(subject: &Subject, type_: &str) -> String {
    let conditions = subject.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, type_).map(|c| format!("{} {}", c.status, c.reason)).unwrap_or_default()
}

async fn until(namespace: &TempNamespace, what: &str, holds: impl Fn(&Subject) -> bool) -> Subject {
    let begun = Instant::now();
    loop {
        let subject = subject(namespace).await;
        if holds(&subject) {
            return subject;
        }
        let events = || async { namespace.events().await.join("\n  ") };
        assert!(begun.elapsed() < SOON, "{what}: {:#?}\nEvents:\n  {}", subject.status, events().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Those that the monitor opened.
async fn incidents(namespace: &TempNamespace) -> Vec<Incident> {
    let all = namespace.api::<Incident>().list(&ListParams::default()).await.unwrap();
    all.items.into_iter().filter(|incident| incident.spec.origin.is_some()).collect()
}

fn observers(namespace: &str) -> Vec<String> {
    let filter = format!("label=operator.dev/subject={namespace}/limiter");
    let role = "label=operator.dev/role=observer";
    let names = run("docker", &["ps", "--filter", &filter, "--filter", role, "--format", "{{.Names}}"]);
    names.lines().map(str::to_owned).collect()
}

/// One test, for there is one rate limiter.
#[tokio::test]
async fn a_fault_that_nobody_tells_opens_one_incident_with_evidence() {
    let namespace = Cluster::connect().await.namespace("monitor").await;
    fault("heal");
    namespace.create::<Subject>("limiter", &spec(&json!({}))).await.unwrap();
    let healthy = until(&namespace, "healthy", |subject| condition(subject, "Healthy") == "True AllHold").await;
    assert_eq!(condition(&healthy, "Observed"), "True Observing");
    let status = healthy.status.unwrap();
    assert_eq!((status.violated.as_str(), status.open_incident), ("0/2", None));
    let observer = status.observer.unwrap().container;
    assert_eq!(observers(&namespace.name), [observer]);
    // A while without a fault: no alarm, and nothing is written again and again.
    let version = subject(&namespace).await.metadata.resource_version;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let now = subject(&namespace).await;
    assert_eq!(now.metadata.resource_version, version, "{:#?}", now.status);
    assert!(incidents(&namespace).await.is_empty());

    // Somebody who only looks takes the Subject's place, so that no agent repairs what this looks at. That does not keep
    // the monitor from opening one.
    let looks = json!({"agent": {"model": "offline-sleeper", "mode": "Observe"}});
    namespace.incident("busy", "limiter", looks).await;
    namespace.wait("busy", "running", SOON, |incident| phase(incident) == "Running").await;
    let project = format!("label=com.docker.compose.project={PROJECT}");
    let service = "label=com.docker.compose.service=node2";
    let node = run("docker", &["ps", "-q", "--filter", &project, "--filter", service]);
    run("docker", &["kill", node.trim()]);
    let violated = until(&namespace, "violated", |subject| {
        subject.status.as_ref().is_some_and(|status| status.violated == "2/2" && status.open_incident.is_some())
    })
    .await;
    assert_eq!(condition(&violated, "Healthy"), "False Violated");
    let found = incidents(&namespace).await;
    assert_eq!(found.len(), 1);
    let spec_ = &found[0].spec;
    assert_eq!(spec_.title.split(':').next(), Some("container_stopped[node2]"), "{}", spec_.title);
    assert_eq!(spec_.severity, crds::Severity::Critical);
    assert!(!spec_.evidence.is_empty() && spec_.evidence.iter().all(|evidence| evidence.observed_at.is_some()));
    assert_eq!(violated.status.unwrap().open_incident, found[0].metadata.name);
    // The second invariant, whose grace was longer, is in it as well.
    let begun = Instant::now();
    loop {
        let origin = incidents(&namespace).await[0].spec.origin.clone().unwrap();
        if origin.violated.iter().any(|violated| violated.invariant == "node_silent") {
            break;
        }
        assert!(begun.elapsed() < SOON, "{origin:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fault("heal");
    until(&namespace, "healthy again", |subject| condition(subject, "Healthy") == "True AllHold").await;
    wait_until("Events", SOON, || async {
        let events = namespace.events().await;
        ["InvariantViolated: container_stopped[node2]", "IncidentOpened", "InvariantCleared: container_stopped[node2]"]
            .iter()
            .all(|wanted| events.iter().any(|event| event.starts_with(wanted)))
    })
    .await;
    assert_eq!(incidents(&namespace).await.len(), 1, "exactly one");

    // In maintenance it is watched, and nothing is opened.
    let api: Api<Incident> = namespace.api();
    let name = found[0].metadata.name.clone().unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    wait_until("it is gone", SOON, || async { api.get_opt(&name).await.unwrap().is_none() }).await;
    let suspend = Patch::Merge(json!({"spec": {"suspend": true, "policy": {"cooldown": "0s"}}}));
    namespace.api::<Subject>().patch("limiter", &PatchParams::default(), &suspend).await.unwrap();
    run("docker", &["kill", node.trim()]);
    until(&namespace, "violated", |subject| condition(subject, "Healthy") == "False Violated").await;
    fault("heal");
    until(&namespace, "healthy again", |subject| condition(subject, "Healthy") == "True AllHold").await;
    assert!(incidents(&namespace).await.is_empty());

    // The Subject goes, and its observer with it.
    namespace.api::<Subject>().delete("limiter", &DeleteParams::default()).await.unwrap();
    wait_until("the observer is gone", SOON, || async { observers(&namespace.name).is_empty() }).await;
    namespace.remove().await;
}
