//! The demos of the subjects: that they can be played, and what their chapters wait for on recorded and made-up readings.

use std::collections::BTreeSet;
use std::sync::Arc;

use controller::demo_chapter::wait_for::{self, Judgement, Scope};
use controller::fault;
use controller::fault::{ContainerView, ProjectView};
use controller::invariant::{Compiled, Judge};
use controller::probe::Round;
use crds::demo_chapter::Advance;
use crds::fault::Action;
use crds::{DemoChapter, Incident, Subject, SubjectSpec};
use kube::ResourceExt as _;
use kube::core::cel::cel::Value;
use serde_json::{Value as Json, json};

use super::{files, pd, tikv};

const FOLDERS: [&str; 3] = ["etcd", "ratelimiter", "tikv"];

fn text(folder: &str, file: &str) -> String {
    std::fs::read_to_string(files::root().join("subjects").join(folder).join(file)).unwrap()
}

fn chapters(folder: &str) -> Vec<DemoChapter> {
    let read = serde_saphyr::from_multiple(&text(folder, "chapters.yaml"));
    read.unwrap_or_else(|error| panic!("{folder}/chapters.yaml: {error}"))
}

fn chapter(demo: &str, name: &str) -> DemoChapter {
    let mut all = FOLDERS.into_iter().flat_map(chapters);
    all.find(|chapter| chapter.spec.demo == demo && chapter.name_any().ends_with(name)).unwrap()
}

/// All that is written in the file is in what was read of it: a wrong name of a field would be passed over.
fn is_in(written: &Json, read: &Json, path: &str) {
    match (written, read) {
        (Json::Object(written), Json::Object(read)) => {
            for (name, value) in written {
                let path = format!("{path}.{name}");
                is_in(value, read.get(name).unwrap_or_else(|| panic!("{path}: there is no such field")), &path);
            }
        }
        (Json::Array(written), Json::Array(read)) => {
            assert_eq!(written.len(), read.len(), "{path}");
            written
                .iter()
                .zip(read)
                .enumerate()
                .for_each(|(at, (written, read))| is_in(written, read, &format!("{path}[{at}]")));
        }
        // A duration may be written in more than one way.
        (Json::String(_), Json::String(_)) => {}
        _ => assert_eq!(written, read, "{path}"),
    }
}

fn actions(chapter: &DemoChapter) -> impl Iterator<Item = &Action> {
    chapter.spec.actions.iter().chain(&chapter.spec.restore)
}

#[test]
fn every_chapter_is_as_the_api_server_and_the_controller_want_it() {
    for folder in FOLDERS {
        let written: Vec<Json> = serde_saphyr::from_multiple(&text(folder, "chapters.yaml")).unwrap();
        let all = chapters(folder);
        for (chapter, written) in all.iter().zip(&written) {
            let name = chapter.name_any();
            is_in(written, &serde_json::to_value(chapter).unwrap(), &name);
            if let Err(errors) = kube::core::cel::validate_cel(chapter) {
                panic!("{name}: {errors}");
            }
            assert!(name.starts_with(&format!("{}-{}-", chapter.spec.demo, chapter.spec.order)), "{name}");
            assert_eq!(chapter.spec.subject_ref.name, files::subject_name(folder), "{name}");
            assert!(chapter.spec.narration.len() < 500, "{name}: a few sentences, no more");
            if let Some(expression) = &chapter.spec.wait_for {
                wait_for::compile(expression).unwrap_or_else(|why| panic!("{name}: {why}"));
                assert!(!chapter.spec.waiting.is_empty(), "{name} says in words what it waits for");
            }
            for action in actions(chapter) {
                fault::check(action).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
        let demos: BTreeSet<&str> = all.iter().map(|chapter| chapter.spec.demo.as_str()).collect();
        for demo in demos {
            let own: Vec<&DemoChapter> = all.iter().filter(|chapter| chapter.spec.demo == demo).collect();
            let orders: Vec<i64> = own.iter().map(|chapter| chapter.spec.order).collect();
            assert_eq!(orders, (1..=i64::try_from(own.len()).unwrap()).collect::<Vec<_>>(), "{demo}");
            assert!(own.len() >= 7, "{demo} tells the whole story");
            assert!(own.iter().any(|chapter| chapter.spec.narration.contains("{{model}}")), "{demo} names who plays");
            assert!(own.last().unwrap().spec.advance == Advance::Manual, "{demo}: nobody turns the last page");
        }
    }
}

/// The project as compose would make it.
fn project(folder: &str) -> ProjectView {
    let compose: Json = serde_saphyr::from_str(&text(folder, "compose.yaml")).unwrap();
    let services = compose["services"].as_object().unwrap().keys();
    let container = |service: &String| ContainerView {
        id: format!("{service}-id"),
        service: service.clone(),
        state: controller::fault::view::State::Running,
        own_network: true,
        addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..ContainerView::default()
    };
    let network = controller::sandbox::NetworkRef { id: "1".into(), name: "default".into() };
    ProjectView { project: folder.into(), networks: vec![network], containers: services.map(container).collect() }
}

/// What the probes read last in a recording.
fn recorded(folder: &str, recording: &str) -> Value {
    let (compiled, _) = Compiled::new(&files::subject(folder).spec);
    let mut judge = Judge::new(Arc::new(compiled));
    let rounds: Vec<Round> = text(folder, &format!("fixtures/{recording}"))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for round in &rounds {
        judge.read(round);
    }
    judge.probes(rounds.last().unwrap().at)
}

#[test]
fn every_action_finds_its_target() {
    for (folder, probes) in [
        ("ratelimiter", recorded("ratelimiter", "healthy.jsonl")),
        ("etcd", recorded("etcd", "healthy.jsonl")),
        ("tikv", Value::Null),
    ] {
        let view = project(folder);
        for chapter in chapters(folder) {
            for action in actions(&chapter) {
                let plan = fault::plan(action, &view, &probes, 7);
                plan.unwrap_or_else(|why| panic!("{}: {why}", chapter.name_any()));
            }
        }
    }
    let leader = &chapter("etcd", "leader").spec.actions[0];
    let plan = fault::plan(leader, &project("etcd"), &recorded("etcd", "healthy.jsonl"), 0).unwrap();
    assert!(plan.says.starts_with("kill etcd") && plan.targets.len() == 1, "{}", plan.says);
}

fn subject(spec: SubjectSpec, healthy: bool) -> Subject {
    let mut subject = Subject::new("s", spec);
    let (state, holds) = if healthy { ("Ok", "True") } else { ("Violated", "False") };
    let status = json!({
        "openIncidents": i64::from(!healthy), "violated": "0/1",
        "invariants": [{"name": "i", "state": state, "severity": "error", "total": 1}],
        "conditions": [{"type": "Healthy", "status": holds, "reason": "R", "message": "",
                        "lastTransitionTime": "2026-01-28T20:54:48Z"}],
    });
    subject.status = Some(serde_json::from_value(status).unwrap());
    subject
}

fn incident(phase: &str, invariant: &str) -> Arc<Incident> {
    let incident = json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": "i", "namespace": "demo", "creationTimestamp": "2026-01-28T20:54:48Z"},
        "spec": {"title": "t", "subjectRef": {"name": "s"},
                 "origin": {"fingerprint": "0a1b2c3d4e5f6071", "violated": [{"invariant": invariant, "key": "k"}]}},
        "status": {"phase": phase},
    });
    Arc::new(serde_json::from_value(incident).unwrap())
}

/// Whether what a chapter waits for has come.
fn has_come(demo: &str, name: &str, scope: &Scope) -> bool {
    let expression = chapter(demo, name).spec.wait_for.unwrap();
    scope.judge(&expression) == Judgement::Come
}

#[test]
fn what_the_chapters_wait_for_comes_when_it_should() {
    for (folder, early, faults) in [
        ("ratelimiter", &["health", "setup"][..], &[("detection", "remediation", "over_limit")][..]),
        (
            "etcd",
            &["health", "load"][..],
            &[("5-detection", "6-remediation", "member_down"), ("no-space", "make-space", "no_space")][..],
        ),
    ] {
        let spec = files::subject(folder).spec;
        let probes = recorded(folder, "healthy.jsonl");
        let at = |healthy: bool, incidents: &[Arc<Incident>]| {
            Scope::new(Some(&subject(spec.clone(), healthy)), incidents, probes.clone())
        };
        for name in early {
            assert!(has_come(folder, name, &at(true, &[])), "{folder} {name}");
            let nothing = Scope::new(Some(&Subject::new("s", spec.clone())), &[], controller::cel::map([]));
            assert!(!has_come(folder, name, &nothing), "{folder} {name}: nothing is known yet");
        }
        for (detection, remediation, invariant) in faults {
            assert!(!has_come(folder, detection, &at(true, &[])));
            let running = at(false, &[incident("Running", invariant)]);
            assert!(has_come(folder, detection, &running) && !has_come(folder, remediation, &running), "{folder}");
            for end in ["Escalated", "Concluded", "Failed"] {
                assert!(!has_come(folder, remediation, &at(true, &[incident(end, invariant)])), "{folder} {end}");
            }
            assert!(has_come(folder, remediation, &at(true, &[incident("Resolved", invariant)])), "{folder}");
        }
        assert!(has_come(folder, "recovery", &at(true, &[])) && !has_come(folder, "recovery", &at(false, &[])));
    }
    let quota = chapter("etcd", "no-space").spec.wait_for.unwrap();
    let first = Scope::new(None, &[incident("Resolved", "member_down")], Value::Null);
    assert_eq!(first.judge(&quota), Judgement::NotYet, "the Incident of the first fault is not that of the second");
    let killed = Scope::new(
        Some(&subject(files::subject("ratelimiter").spec, true)),
        &[],
        recorded("ratelimiter", "node-killed.jsonl"),
    );
    assert!(!has_come("ratelimiter", "health", &killed), "a node does not answer");
}

/// What the probes read of a cluster that answers like `TiKV`.
async fn read(spec: &SubjectSpec) -> Value {
    let mut judge = Judge::new(Arc::new(Compiled::new(spec).0));
    let rounds = controller::probe::once(&spec.probes).await.unwrap();
    for round in &rounds {
        judge.read(round);
    }
    judge.probes(rounds[0].at)
}

#[tokio::test]
async fn what_the_chapters_of_a_tikv_wait_for_comes_when_it_should() {
    let cluster = pd::Cluster::start().await;
    let spec = tikv(&cluster);
    let at = |healthy: bool, incidents: &[Arc<Incident>], probes: &Value| {
        Scope::new(Some(&subject(spec.clone(), healthy)), incidents, probes.clone())
    };
    let well = read(&spec).await;
    for name in ["health", "load", "baseline", "recovery"] {
        assert!(has_come("tikv", name, &at(true, &[], &well)), "{name}");
    }
    cluster.say("/stores", "stores-disconnected.json");
    let lost = read(&spec).await;
    let running = [incident("Running", "store_down")];
    for name in ["health", "recovery"] {
        assert!(!has_come("tikv", name, &at(false, &running, &lost)), "{name}: a store is away");
    }
    assert!(!has_come("tikv", "baseline", &at(false, &[], &well)), "an invariant is violated");
    assert!(!has_come("tikv", "detection", &at(true, &[], &well)));
    assert!(has_come("tikv", "detection", &at(false, &running, &lost)));
    assert!(!has_come("tikv", "remediation", &at(false, &running, &lost)));
    assert!(has_come("tikv", "remediation", &at(true, &[incident("Resolved", "store_down")], &well)));
    assert!(!has_come("tikv", "recovery", &at(true, &[], &lost)), "PD has to say so, too");
    cluster.heal();
    cluster.say("duration_seconds_count", "prometheus-nothing.json");
    let idle = read(&spec).await;
    for name in ["load", "baseline", "recovery"] {
        assert!(!has_come("tikv", name, &at(true, &[], &idle)), "{name}: nothing is counted");
    }
}
