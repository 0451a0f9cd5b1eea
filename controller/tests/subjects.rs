//! The subjects of this project: their files, and what their invariants say of recorded and of made-up readings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::invariant::{Compiled, Judge, View};
use controller::probe::Round;
use crds::SubjectSpec;
use crds::invariant::InvariantState;

#[path = "subjects/chapters.rs"]
mod chapters;
#[path = "subjects/files.rs"]
mod files;
#[path = "subjects/pd.rs"]
mod pd;
#[path = "subjects/record.rs"]
mod record;

#[test]
fn every_subject_is_as_the_api_server_wants_it() {
    for (path, subject) in files::all() {
        if let Err(errors) = kube::core::cel::validate_cel(&subject) {
            panic!("{path}: {errors}");
        }
        let (_, mistakes) = Compiled::new(&subject.spec);
        assert!(mistakes.is_empty(), "{path}: {mistakes:#?}");
    }
}

/// A recording of a system that runs, judged round after round: each invariant's state at the end.
fn judged(name: &str, recording: &str) -> BTreeMap<String, (InvariantState, String)> {
    let (compiled, _) = Compiled::new(&files::subject(name).spec);
    let mut judge = Judge::new(Arc::new(compiled));
    let file = files::root().join("subjects").join(name).join("fixtures").join(recording);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut last = None;
    for line in text.lines() {
        let round: Round = serde_json::from_str(line).unwrap();
        judge.take(&round);
        last = Some(round.at);
    }
    judge.look(last.unwrap());
    judge.views().into_iter().map(|view| (view.name, (view.state, view.message))).collect()
}

#[test]
fn a_healthy_system_is_seen_to_be_healthy() {
    for name in ["ratelimiter", "etcd"] {
        let all = judged(name, "healthy.jsonl");
        assert!(all.len() >= 6 && all.values().all(|(state, _)| *state == InvariantState::Ok), "{name}: {all:#?}");
    }
}

#[test]
fn a_node_that_was_killed_is_named_and_nothing_else_is_violated() {
    let all = judged("ratelimiter", "node-killed.jsonl");
    let (state, message) = &all["node_down"];
    assert_eq!(*state, InvariantState::Violated, "{all:#?}");
    assert!(message.contains("node2 does not answer") && message.contains("exited, exit code 137"), "{message}");
    let others = all.iter().filter(|(name, (state, _))| *name != "node_down" && *state == InvariantState::Violated);
    assert_eq!(others.count(), 0, "{all:#?}");
}

/// The Subject of `TiKV`, whose PDs and Prometheus are this server.
fn tikv(cluster: &pd::Cluster) -> SubjectSpec {
    let mut spec = files::subject("tikv").spec;
    let server = cluster.address.to_string();
    for http in spec.probes.iter_mut().filter_map(|probe| probe.http.as_mut()) {
        http.url = http.url.replace("{{target}}:2379", &format!("{server}/{{{{target}}}}"));
    }
    for prometheus in spec.probes.iter_mut().filter_map(|probe| probe.prometheus.as_mut()) {
        prometheus.url = prometheus.url.replace("prometheus:9090", &server);
    }
    spec
}

/// How the invariants stand when everything has answered for two minutes as it does now.
async fn seen(spec: &SubjectSpec) -> Vec<View> {
    let (compiled, mistakes) = Compiled::new(spec);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut judge = Judge::new(Arc::new(compiled));
    let mut rounds = controller::probe::once(&spec.probes).await.unwrap();
    let begun = rounds[0].at;
    for seconds in (0..=120).step_by(5) {
        for round in &mut rounds {
            round.at = begun + jiff::SignedDuration::from_secs(seconds);
            judge.take(round);
        }
    }
    judge.views()
}

/// Not a real `TiKV`: a server that answers in the documented shape of its interfaces.
#[tokio::test]
async fn what_pd_and_prometheus_say_of_a_tikv_is_judged() {
    let cluster = pd::Cluster::start().await;
    let mut spec = tikv(&cluster);
    // Their heartbeats stand still, because nobody is there: that is the one thing that is violated.
    let healthy = seen(&spec).await;
    let wrong = |view: &&View| view.state != InvariantState::Ok && view.name != "store_down";
    assert_eq!(healthy.iter().filter(wrong).count(), 0, "{healthy:#?}");
    for (what, file, invariant, said) in [
        ("/stores", "stores-disconnected.json", "store_down", "Disconnected"),
        ("/down-peer", "regions-down-peer.json", "region_health", "have one that is down"),
        ("/miss-peer", "regions-miss-peer.json", "region_health", "regions miss a replica"),
        ("histogram_quantile", "prometheus-latency-high.json", "high_latency", "p99 has been above 100 ms"),
        ("store_size_bytes", "prometheus-space-low.json", "low_disk_space", "percent of its space left"),
        ("/stores", "no-leader", "pd_down", "does not answer for the cluster"),
    ] {
        cluster.heal();
        cluster.say(what, file);
        if invariant == "pd_down" {
            // Without a leader nobody knows the stores.
            spec.invariants.retain(|one| one.name == invariant);
        }
        let all = seen(&spec).await;
        let found = all.iter().find(|view| view.name == invariant).unwrap();
        assert!(found.state == InvariantState::Violated && found.message.contains(said), "{file}: {all:#?}");
    }
}

/// What an agent's `docker compose` is given is the file that people use.
#[test]
fn the_compose_file_in_a_subject_is_the_one_beside_it() {
    let mut compared = 0;
    for (path, subject) in files::all() {
        let docker = subject.spec.r#where.docker.unwrap();
        let Some(text) = docker.compose_file else { continue };
        let beside = std::fs::read_to_string(path.replace("subject.yaml", "compose.yaml")).unwrap();
        assert_eq!(text, beside, "{path}: copy compose.yaml into where.docker.composeFile");
        compared += 1;
    }
    assert_eq!(compared, 2);
}

/// Records the rounds of a subject that runs: `RECORD=ratelimiter:60:FILE cargo test --test subjects -- --ignored recording`.
#[tokio::test]
#[ignore = "records from a system that runs"]
async fn recording() {
    let wish = std::env::var("RECORD").expect("RECORD=SUBJECT:SECONDS:FILE");
    let [subject, seconds, file] = wish.splitn(3, ':').collect::<Vec<_>>().try_into().expect("SUBJECT:SECONDS:FILE");
    record::record(subject, seconds.parse().unwrap(), file).await;
}
