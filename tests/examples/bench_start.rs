//! How long a controller needs from its start until it is ready, and until it has served a new Incident, when many
//! finished ones lie about. `bench_start [FINISHED]`; needs what the end-to-end tests need. Prints one line of JSON.

// A measurement: whatever fails ends it with a sentence.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use crds::Incident;
use futures::StreamExt as _;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use operator_tests::condition;
use operator_tests::stage::{LONG, Stage};
use serde_json::{Value, json};

/// Requests to the API server at once.
const AT_ONCE: usize = 48;
/// Starts that are measured; the middle one counts.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let finished: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().expect("a number"));
    let stage = Stage::set("start", 1).await;
    let begun = Instant::now();
    each(0..finished, |number| make(&stage, number)).await;
    eprintln!("{finished} finished Incidents made in {:.0} s", begun.elapsed().as_secs_f64());
    // All of them stay, also beside the controller.
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "incidents: {historyLimit: null}\n").unwrap();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        rounds.push(start(&stage, round, config.path()).await);
    }
    rounds.sort_by_key(|round| round["served_ms"].as_u64());
    let mut figures = rounds.swap_remove(ROUNDS / 2);
    figures["finished"] = finished.into();
    println!("{figures}");

    let api = stage.namespace.api::<Incident>();
    let names: Vec<String> = (0..finished).map(|number| format!("old-{number}")).collect();
    each(names, |name| remove(&api, name)).await;
    stage.namespace.abandon().await;
}

async fn each<T, F: Future<Output = ()>>(all: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) {
    futures::stream::iter(all).for_each_concurrent(AT_ONCE, work).await;
}

/// One that ended yesterday.
async fn make(stage: &Stage, number: usize) {
    let name = format!("old-{number}");
    stage
        .namespace
        .incident(&name, "counter-0", json!({"title": format!("Incident {number}"), "severity": "info"}))
        .await;
    let now = jiff::Timestamp::now().to_string();
    let condition = json!({"type": "Finished", "status": "True", "reason": "Concluded", "message": "It ended.",
        "lastTransitionTime": now, "observedGeneration": 1});
    let status = json!({"observedGeneration": 1, "phase": "Concluded", "attempt": 1, "turns": 5, "commands": 8,
        "sessionId": format!("2026-01-01T00-00-00-{number:08x}"), "message": "It ended.", "startedAt": now,
        "finishedAt": now, "rootCause": "Redis had become a replica of a host that does not exist.",
        "conditions": [condition]});
    let api = stage.namespace.api::<Incident>();
    // As every Incident that a controller has seen.
    let held = Patch::Merge(json!({"metadata": {"finalizers": [crds::names::FINALIZER]}}));
    api.patch(&name, &PatchParams::default(), &held).await.unwrap();
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap();
}

/// Starts a controller, and waits for what is measured.
async fn start(stage: &Stage, round: usize, config: &Path) -> Value {
    stage.let_lease_run_out().await;
    let begun = Instant::now();
    let mut controller =
        stage.controller_with(&format!("controller-{round}"), &[("OPERATOR_CONFIG", config.to_str().unwrap())]);
    controller.ready().await.unwrap();
    let ready = begun.elapsed();
    // One that nobody knows yet: it is rejected, which takes the whole way of a reconcile and no session.
    let name = format!("new-{round}");
    stage.namespace.incident(&name, "nobody", json!({})).await;
    let incidents = stage.namespace.api::<Incident>();
    loop {
        let incident = incidents.get(&name).await.unwrap();
        if condition(&incident, "Accepted").1 == "SubjectNotFound" {
            break;
        }
        assert!(
            begun.elapsed() < LONG,
            "the new Incident is not served: {:?}\n{}",
            incident.status,
            controller.last_words()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let served = begun.elapsed();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", controller.id())).unwrap();
    let rss = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    json!({"ready_ms": millis(ready), "served_ms": millis(served), "rss_kib": rss.trim().parse::<u64>().unwrap()})
}

/// Deletes one; its finalizer, if it has got one, goes first.
async fn remove(api: &Api<Incident>, name: String) {
    let _ = api.delete(&name, &DeleteParams::background()).await;
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let _ = api.patch(&name, &PatchParams::default(), &none).await;
}
