//! The subjects of this project: their files, and what their invariants say of recorded and of made-up readings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::invariant::{Compiled, Judge};
use controller::probe::Round;
use crds::invariant::InvariantState;

#[path = "subjects/files.rs"]
mod files;
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
