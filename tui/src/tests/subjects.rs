//! The Subjects screen.

use insta::assert_snapshot;
use serde_json::json;

use super::{LOOKS, sizes};
use crate::ask::Target;
use crate::feed::{FeedEvent, Kind, Link, Object, Source};
use crate::testing::{Bench, incident, subject};

fn some() -> Vec<Object> {
    let invariant = |name: &str, state: &str, message: &str, keys: serde_json::Value| json!({"name": name, "state": state, "severity": "error", "since": "2026-01-28T12:00:48Z", "message": message, "keys": keys, "total": 3});
    vec![
        subject(
            "tikv",
            &json!({
                "spec": {
                    "description": "Three stores, three placement drivers.",
                    "invariants": [{"name": "store_up", "description": "Each store answers.", "violated": "true"}],
                },
                "status": {
                    "conditions": [
                        {"type": "Accepted", "status": "True", "reason": "Valid", "message": "compose project tikv", "lastTransitionTime": "2026-01-28T11:00:00Z"},
                        {"type": "Healthy", "status": "False", "reason": "Violated", "message": "1 of 3 invariants violated", "lastTransitionTime": "2026-01-28T12:00:48Z"},
                    ],
                    "violated": "1/3", "openIncidents": 1, "openIncident": "inc-7f3a", "lastIncident": "inc-7f3a",
                    "observer": {"container": "operator-observer-tikv", "startedAt": "2026-01-28T08:00:00Z"},
                    "invariants": [
                        invariant("region_health", "Ok", "", json!([])),
                        invariant("store_up", "Violated", "the store tikv1 is down", json!([{"key": "tikv1", "state": "Violated", "message": "down for 14s"}])),
                        invariant("p99_latency", "Unknown", "the reading is 31s old", json!([])),
                    ],
                },
            }),
        ),
        subject(
            "ratelimiter",
            &json!({
                "spec": {"invariants": [{"name": "counters_agree", "violated": "true"}]},
                "status": {
                    "violated": "0/1", "observer": {"container": "o", "startedAt": "2026-01-28T11:59:00Z"},
                    "invariants": [invariant("counters_agree", "Ok", "", json!([]))],
                },
            }),
        ),
        subject("etcd", &json!({"spec": {"suspend": true}})),
        subject(
            "legacy",
            &json!({"status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "NotAllowed", "message": "the namespace shop may not name the project legacy", "lastTransitionTime": "2026-01-28T11:00:00Z"}]}}),
        ),
    ]
}

#[test]
fn loading() {
    assert_snapshot!(sizes(&mut Bench::new(&Target::Subjects)));
}

#[test]
fn empty() {
    assert_snapshot!(sizes(&mut Bench::new(&Target::Subjects).listed(Vec::new())));
}

#[test]
fn rows() {
    assert_snapshot!(sizes(&mut Bench::new(&Target::Subjects).listed(some())));
}

#[test]
fn other_looks() {
    for (name, theme, ascii) in LOOKS {
        let mut bench = Bench::with(&Target::Subjects, theme, ascii).listed(some());
        bench.keys("j");
        assert_snapshot!(format!("looks_{name}"), sizes(&mut bench));
    }
}

#[test]
fn stale() {
    let mut bench = Bench::new(&Target::Subjects).listed(some());
    let link = Link::Lost { reason: "The API server gives no sign of life".to_owned() };
    bench.feed(vec![FeedEvent::Link { source: Source::Kind(Kind::Subjects), link }]);
    bench.later(75);
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn errors() {
    for (name, link) in [
        ("missing", Link::Missing { reason: "The cluster does not know Subjects. Install the definitions: helm install operator-crds charts/operator-crds".to_owned() }),
        ("forbidden", Link::Forbidden { reason: "You may not list and watch subjects.operator.dev in the namespace shop".to_owned() }),
    ] {
        let mut bench = Bench::new(&Target::Subjects);
        bench.feed(vec![FeedEvent::Link { source: Source::Kind(Kind::Subjects), link }]);
        assert_snapshot!(format!("error_{name}"), sizes(&mut bench));
    }
}

#[test]
fn described() {
    let mut bench = Bench::new(&Target::Subjects).listed(some());
    bench.keys("d");
    assert_snapshot!(bench.screen((120, 36)));
}

#[test]
fn opened_are_its_incidents() {
    let mut objects = some();
    objects.push(incident("inc-7f3a", "tikv", &json!({})));
    objects.push(incident("inc-7f3b", "etcd", &json!({})));
    let mut bench = Bench::new(&Target::Subjects).listed(objects);
    bench.keys("enter");
    let screen = bench.screen((120, 36));
    assert!(
        screen.contains("inc-7f3a") && !screen.contains("inc-7f3b") && screen.contains("/subject=tikv ns=shop"),
        "{screen}"
    );
    bench.keys("esc esc");
    assert!(bench.screen((120, 36)).contains("store_up"));
}
